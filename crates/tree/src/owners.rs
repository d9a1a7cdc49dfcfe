//! Who a node lives and dies with: what its `ephemeralOwner` means, and which nodes each owner has.

use crate::id_set::IdSet;
use crate::tree::TreeOptions;
use oxkeeper_proto::SessionId;
use std::collections::BTreeMap;

/// The meaning of a node's `ephemeralOwner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnerKind {
    /// An ordinary node.
    Void,
    /// Reaped when its last child has gone.
    Container,
    /// Reaped when it has no children and was not set for so many milliseconds.
    Ttl(i64),
    /// Deleted when the session ends.
    Ephemeral(SessionId),
}

/// The `ephemeralOwner` of a container.
pub const CONTAINER: i64 = i64::MIN;
const EXTENDED: i64 = 0xff << 56;
const EXTENDED_FEATURE: i64 = 0x00ff_ff00_0000_0000;
const TTL_MASK: i64 = (1 << 40) - 1;

/// The `ephemeralOwner` of a node with this time to live, if it is one that ZooKeeper takes.
pub fn ttl_owner(ttl_ms: i64) -> Option<i64> {
    (1..=TTL_MASK).contains(&ttl_ms).then_some(EXTENDED | ttl_ms)
}

impl OwnerKind {
    /// What an `ephemeralOwner` means; `None` for an extended type that nobody has defined.
    pub fn of(raw: i64, options: TreeOptions) -> Option<OwnerKind> {
        if options.extended_types {
            if options.emulate_353_ttl && raw < 0 && raw != CONTAINER {
                return Some(OwnerKind::Ttl(raw & TTL_MASK));
            }
            if raw & EXTENDED == EXTENDED {
                return (raw & EXTENDED_FEATURE == 0).then_some(OwnerKind::Ttl(raw & TTL_MASK));
            }
        }
        Some(match raw {
            0 => OwnerKind::Void,
            CONTAINER => OwnerKind::Container,
            session => OwnerKind::Ephemeral(SessionId(session)),
        })
    }
}

/// The number of the owner that ordinary nodes have.
pub(crate) const NOBODY: u32 = 0;

#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub raw: i64,
    pub kind: OwnerKind,
    /// Its nodes' slots; not kept for nobody.
    pub nodes: IdSet,
}

/// All owners that have nodes.
#[derive(Clone, Debug)]
pub(crate) struct Owners {
    slots: Vec<Owner>,
    free: Vec<u32>,
    by_raw: BTreeMap<i64, u32>,
    ephemerals: usize,
}

impl Default for Owners {
    fn default() -> Self {
        let nobody = Owner { raw: 0, kind: OwnerKind::Void, nodes: IdSet::default() };
        Self { slots: vec![nobody], free: Vec::new(), by_raw: BTreeMap::new(), ephemerals: 0 }
    }
}

impl Owners {
    #[inline]
    pub fn get(&self, owner: u32) -> &Owner {
        &self.slots[owner as usize]
    }

    /// Gives a node to its owner.
    pub fn add(&mut self, raw: i64, kind: OwnerKind, node: u32) -> u32 {
        if raw == 0 {
            return NOBODY;
        }
        let owner = *self.by_raw.entry(raw).or_insert_with(|| {
            let new = Owner { raw, kind, nodes: IdSet::default() };
            match self.free.pop() {
                Some(slot) => {
                    self.slots[slot as usize] = new;
                    slot
                }
                None => {
                    self.slots.push(new);
                    self.slots.len() as u32 - 1
                }
            }
        });
        self.slots[owner as usize].nodes.insert(node);
        self.ephemerals += usize::from(matches!(kind, OwnerKind::Ephemeral(_)));
        owner
    }

    /// Takes a node from its owner.
    pub fn remove(&mut self, owner: u32, node: u32) {
        if owner == NOBODY {
            return;
        }
        let it = &mut self.slots[owner as usize];
        it.nodes.remove(node);
        self.ephemerals -= usize::from(matches!(it.kind, OwnerKind::Ephemeral(_)));
        if it.nodes.is_empty() {
            self.by_raw.remove(&it.raw);
            self.free.push(owner);
        }
    }

    pub fn ephemeral_count(&self) -> usize {
        self.ephemerals
    }

    /// The owner that a session is, if it has nodes.
    pub fn of_session(&self, session: SessionId) -> Option<&Owner> {
        let owner = self.get(*self.by_raw.get(&session.0)?);
        matches!(owner.kind, OwnerKind::Ephemeral(_)).then_some(owner)
    }

    /// All owners with nodes, by their number.
    pub fn iter(&self) -> impl Iterator<Item = &Owner> {
        self.by_raw.values().map(|owner| self.get(*owner))
    }
}
