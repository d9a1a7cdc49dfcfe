//! ACLs, each held once, under the numbers that snapshots give them.

use oxkeeper_proto::collections::HashMap;
use oxkeeper_proto::{AclEntry, AclList, acl};
use std::sync::Arc;

/// The place of the ACL that everyone may do anything under; snapshots know it as -1.
pub(crate) const OPEN: u32 = 0;
const OPEN_ID: i64 = -1;

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub id: i64,
    pub list: AclList,
    /// False where a snapshot's node names an id that the snapshot does not explain.
    pub is_known: bool,
    uses: u32,
}

/// The ACLs of a tree.
#[derive(Clone, Debug)]
pub(crate) struct Acls {
    /// `None` is free.
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_list: HashMap<AclList, u32>,
    /// What was acquired last: most nodes have the ACL of the node before.
    recent: u32,
    last_id: i64,
    known: u32,
    /// While a view reads the table: places below stay as they are, and what falls unused among them
    /// waits for the view's end.
    frozen: Option<Frozen>,
}

#[derive(Clone, Debug)]
struct Frozen {
    below: u32,
    unused: Vec<u32>,
}

impl Default for Acls {
    fn default() -> Self {
        let open = Entry { id: OPEN_ID, list: acl::open(), is_known: true, uses: 1 };
        Self { entries: vec![Some(open)], free: Vec::new(), by_list: HashMap::default(), recent: OPEN, last_id: 0, known: 0, frozen: None }
    }
}

impl Acls {
    #[inline]
    pub fn list(&self, place: u32) -> &AclList {
        &self.entry(place).list
    }

    #[inline]
    pub fn entry(&self, place: u32) -> &Entry {
        self.entries[place as usize].as_ref().expect("a node's ACL is in use")
    }

    /// One use more of an ACL, and where it stands. `None` is the open ACL, as Java takes null.
    pub fn acquire(&mut self, list: Option<&[oxkeeper_proto::records::Acl<'_>]>) -> u32 {
        let Some(list) = list else { return OPEN };
        if self.recent != OPEN
            && let Some(recent) = &self.entries[self.recent as usize]
            && acl::is_same(&recent.list, list)
        {
            self.add_use(self.recent);
            return self.recent;
        }
        self.recent = self.acquire_list(acl::from_records(list));
        self.recent
    }

    /// As [`Acls::acquire`], of an ACL that is shared already.
    pub fn acquire_list(&mut self, list: AclList) -> u32 {
        if let Some(place) = self.by_list.get(&list).copied() {
            self.add_use(place);
            return place;
        }
        self.last_id += 1;
        let place = self.put(Entry { id: self.last_id, list: list.clone(), is_known: true, uses: 1 });
        self.by_list.insert(list, place);
        place
    }

    pub fn add_use(&mut self, place: u32) {
        if place != OPEN {
            self.entries[place as usize].as_mut().expect("in use").uses += 1;
        }
    }

    /// One use less.
    pub fn release(&mut self, place: u32) {
        if place == OPEN {
            return;
        }
        let entry = self.entries[place as usize].as_mut().expect("in use");
        entry.uses -= 1;
        if entry.uses == 0 {
            match &mut self.frozen {
                Some(frozen) if place < frozen.below => frozen.unused.push(place),
                _ => self.drop_unused(place),
            }
        }
    }

    fn put(&mut self, entry: Entry) -> u32 {
        self.known += u32::from(entry.is_known);
        match if self.frozen.is_none() { self.free.pop() } else { None } {
            Some(place) => {
                self.entries[place as usize] = Some(entry);
                place
            }
            None => {
                self.entries.push(Some(entry));
                self.entries.len() as u32 - 1
            }
        }
    }

    fn drop_unused(&mut self, place: u32) {
        let slot = &mut self.entries[place as usize];
        if slot.as_ref().is_some_and(|e| e.uses == 0) {
            let entry = slot.take().expect("just looked at");
            if self.recent == place {
                self.recent = OPEN;
            }
            self.known -= u32::from(entry.is_known);
            if self.by_list.get(&entry.list) == Some(&place) {
                self.by_list.remove(&entry.list);
            }
            self.free.push(place);
        }
    }

    /// How many ACLs a snapshot would explain.
    pub fn known_count(&self) -> u32 {
        self.known
    }

    /// Keeps all present ACLs where they are until [`Acls::thaw`]; the answer is the end of their places.
    pub fn freeze(&mut self) -> u32 {
        let below = self.entries.len() as u32;
        self.frozen = Some(Frozen { below, unused: Vec::new() });
        below
    }

    pub fn thaw(&mut self) {
        for place in self.frozen.take().map(|f| f.unused).unwrap_or_default() {
            self.drop_unused(place);
        }
    }

    /// What stands at a place, if a snapshot is to explain it.
    pub fn explained(&self, place: u32) -> Option<&Entry> {
        self.entries[place as usize].as_ref().filter(|e| e.is_known && e.id != OPEN_ID)
    }

    /// An entry of a snapshot's table, not used yet. The same list may come under two ids.
    pub fn load(&mut self, id: i64, list: AclList) -> u32 {
        self.last_id = self.last_id.max(id);
        let place = self.put(Entry { id, list: list.clone(), is_known: true, uses: 0 });
        self.by_list.insert(list, place);
        self.recent = OPEN;
        place
    }

    /// The entry for an id that the snapshot does not explain: Java loads such a node and fails when
    /// it is asked for; here nobody but a super user is let in.
    pub fn load_unknown(&mut self, id: i64) -> u32 {
        let nothing: AclList = Arc::new([AclEntry { perms: 0, scheme: "world".into(), id: "anyone".into() }]);
        self.put(Entry { id, list: nothing, is_known: false, uses: 0 })
    }

    /// Drops what no loaded node uses.
    pub fn purge_unused(&mut self) {
        for place in 1..self.entries.len() as u32 {
            self.drop_unused(place);
        }
    }
}
