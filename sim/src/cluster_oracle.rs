//! What an ensemble has to hold to, whatever goes wrong: one list of committed transactions, of which every member
//! applies a prefix, each with the same digest after it; at most one leader an epoch; and everything that a client was
//! told is in that list for good.

use crate::client::Told;
use crate::hearing::Hearing;
use crate::machine::Start;
use crate::member::Event;
use crate::model::Model;
use crate::quorums::decide;
use crate::trace::trace;
use bytes::Bytes;
use oxkeeper_proto::txn::{LoggedTxn, Txn};
use oxkeeper_proto::{OpCode, Zxid};
use oxkeeper_zab::{Config, Role, Sid};
use std::collections::{BTreeMap, BTreeSet};

const SESSION_EXPIRED: i32 = -112;
const SESSION_MOVED: i32 = -118;

/// What is known of one member.
#[derive(Default)]
struct Known {
    /// The log as it was given out, durable or not, from the snapshot that it begins with on.
    log: BTreeMap<Zxid, Bytes>,
    /// Everything up to here is in that snapshot.
    base: Zxid,
    /// The history that counts again if a snapshot is given up.
    old: Option<(BTreeMap<Zxid, Bytes>, Zxid)>,
    /// From here on either of the two may be found after a crash.
    is_adopting: bool,
    /// The end of the log when that was asked for.
    settling: Zxid,
    /// A snapshot of that kind which is to be the history.
    installing: Option<Zxid>,
    /// Where snapshots end that Java has taken of a log with all its tail.
    dirty: BTreeSet<Zxid>,
    /// Everything up to here is durable, as the member has been told by its disk: it must be there after any crash (I3).
    durable: Zxid,
    /// What it held before its directory was emptied: acknowledgements of that may still be on their way.
    emptied: Option<Box<Known>>,
    /// What a cut has taken away, for when it could not be made.
    cut: BTreeMap<Zxid, Bytes>,
    /// What cuts have taken away of which the disk has not said yet that they were made: a crash may bring it back.
    may_return: BTreeMap<Zxid, Bytes>,
    /// The end of the tree.
    applied: Zxid,
    /// Between its synchronisation and the end of its role: what it applies is committed.
    serves: bool,
}

/// See the module.
pub struct ClusterOracle {
    members: Vec<Known>,
    /// The configuration in force at the end of the list.
    config: Config,
    /// Configurations that were committed.
    pub reconfigurations: usize,
    /// The one list.
    committed: BTreeMap<Zxid, Bytes>,
    /// Where it begins.
    origin: Zxid,
    /// No counter of an epoch gets so far.
    last_counter: u32,
    /// What is in the snapshots that Java has taken, by their last zxid: the log and where it begins.
    dirty_histories: BTreeMap<Zxid, (BTreeMap<Zxid, Bytes>, Zxid)>,
    /// The digest of a tree that holds the list up to here.
    digests: BTreeMap<Zxid, u64>,
    /// Who led each epoch.
    leaders: BTreeMap<i64, usize>,
    /// Who has promised which epoch, for somebody's election: never twice (I2).
    promises: BTreeSet<(usize, i64)>,
    /// Sessions whose end was proposed at one time. A leader denies such a session, as Java's does, though the proposal
    /// may be lost with its role.
    ends_proposed: BTreeSet<i64>,
    /// Session and cxid of everything committed.
    names: BTreeSet<(i64, i32)>,
    /// Writes that clients were told of, and those of them that groups and weights have decided.
    pub acknowledged: usize,
    pub by_groups: usize,
    /// What any client was told of: all that is behind a sync shows as much.
    pub highest_told: i64,
    /// Roles taken up.
    pub leads: usize,
    pub follows: usize,
}

impl Known {
    /// A start has found everything that was durable, as it was.
    fn has_kept(&self, member: usize, begun: &Start) {
        if self.is_adopting && self.old.is_some() {
            return;
        }
        assert!(begun.last >= self.durable, "member {member}: {} was durable, and its history ends with {}", self.durable, begun.last);
        let (log, base) = self.old.as_ref().map_or((&self.log, self.base), |(log, base)| (log, *base));
        for (zxid, payload) in &begun.records {
            let is_same = log.get(zxid).is_none_or(|logged| logged == payload);
            assert!(is_same || *zxid > self.durable, "member {member}: {zxid} is another transaction than was durable");
            let is_known = *zxid <= base || log.contains_key(zxid) || self.may_return.contains_key(zxid);
            assert!(is_known, "member {member}: {zxid} was cut off for good, and is back");
        }
    }

    fn has_durably(&self, zxid: Zxid, payload: &Bytes) -> bool {
        let (log, base) = self.old.as_ref().map_or((&self.log, self.base), |(log, base)| (log, *base));
        let has_had = self.emptied.as_ref().is_some_and(|before| before.has_durably(zxid, payload));
        has_had || (self.durable >= zxid && (base >= zxid || log.get(&zxid) == Some(payload)))
    }
}

impl ClusterOracle {
    /// Of so many servers whose history ends here without a single transaction, and of which the configuration names some.
    /// Epochs end before this counter.
    pub fn new(members: usize, config: Config, origin: Zxid, last_counter: u32) -> Self {
        Self {
            config,
            reconfigurations: 0,
            members: (0..members).map(|_| Known::default()).collect(),
            committed: BTreeMap::new(),
            origin,
            last_counter,
            dirty_histories: BTreeMap::new(),
            digests: BTreeMap::new(),
            leaders: BTreeMap::new(),
            promises: BTreeSet::new(),
            ends_proposed: BTreeSet::new(),
            names: BTreeSet::new(),
            acknowledged: 0,
            by_groups: 0,
            highest_told: 0,
            leads: 0,
            follows: 0,
        }
    }

    /// Whether everything that it has logged is committed.
    pub fn has_nothing_outstanding(&self, member: usize) -> bool {
        self.members[member].log.last_key_value().is_none_or(|(last, _)| *last <= self.last_committed())
    }

    /// Whether nobody has led since this one began to.
    pub fn is_last_leader(&self, member: usize) -> bool {
        self.leaders.last_key_value().is_some_and(|(_, last)| *last == member)
    }

    /// The end of the list.
    pub fn last_committed(&self) -> Zxid {
        self.committed.last_key_value().map_or(self.origin, |(zxid, _)| *zxid)
    }

    /// A member has started from its files.
    pub fn begun(&mut self, member: usize, begun: &Start) {
        trace!(
            "{member}: starts: snapshot {}, records {:?}",
            begun.snapshot,
            begun.records.iter().map(|(z, _)| z.to_string()).collect::<Vec<_>>()
        );
        let last_committed = self.last_committed();
        let known = &mut self.members[member];
        known.has_kept(member, begun);
        let records = begun.records.iter().cloned();
        // It may have been adopted right before the end.
        known.dirty.extend(known.installing.filter(|_| known.is_adopting));
        let is_dirty = known.dirty.contains(&begun.snapshot);
        if is_dirty {
            // The log up to there is what it was, even if a cut was asked for that the crash has forestalled.
            (known.log, known.base) = self.dirty_histories[&begun.snapshot].clone();
            known.log.extend(records);
        } else {
            known.base = begun.snapshot;
            known.log = records.collect();
        }
        (known.old, known.installing) = (None, None);
        known.may_return.clear();
        known.is_adopting = false;
        // A start makes durable what it reads, before it reads it.
        known.durable = begun.last;
        known.applied = begun.records.last().map_or(begun.snapshot, |(zxid, _)| *zxid);
        known.serves = false;
        // What a snapshot holds was committed, unless Java has taken it.
        assert!(
            is_dirty || begun.snapshot <= last_committed,
            "member {member}: a snapshot of {}, which was never committed",
            begun.snapshot
        );
    }

    /// Java has run here, and taken a snapshot of all that the log holds.
    pub fn java_was_here(&mut self, member: usize, last: Zxid) {
        let known = &mut self.members[member];
        known.dirty.insert(last);
        self.dirty_histories.insert(last, (known.log.clone(), known.base));
    }

    /// A member's directory was damaged, and its owner has emptied it.
    pub fn emptied(&mut self, member: usize) {
        self.promises.retain(|(of, _)| *of != member);
        let before = std::mem::take(&mut self.members[member]);
        self.members[member] = Known { durable: Zxid(-1), emptied: Some(Box::new(before)), ..Known::default() };
    }

    /// A member did something.
    pub fn event(&mut self, member: usize, event: Event) {
        trace!("{member}: {event:?}");
        match event {
            Event::Appended(zxid, payload) => {
                let known = &mut self.members[member];
                let last = known.log.last_key_value().map_or(known.base, |(zxid, _)| *zxid);
                assert!(
                    zxid.0 == last.0 + 1 || (zxid.epoch() > last.epoch() && zxid.counter() == 1),
                    "member {member}: {zxid} is appended behind {last}"
                );
                assert!(zxid.counter() < self.last_counter, "member {member}: {zxid} is appended after the last counter of its epoch");
                let header = LoggedTxn::read(&payload).expect("a transaction").header;
                if header.kind == OpCode::CLOSE_SESSION.0 {
                    self.ends_proposed.insert(header.client_id);
                }
                known.log.insert(zxid, payload);
            }
            Event::Truncated(to) => {
                let known = &mut self.members[member];
                known.durable = known.durable.min(to);
                let gone = known.log.split_off(&Zxid(to.0 + 1));
                known.cut = gone.clone();
                known.may_return.extend(gone.clone());
                // A proposal that is committed while a learner that had it already is cut back to be sent it again.
                for (zxid, payload) in gone.iter().filter(|(zxid, payload)| self.committed.get(zxid) == Some(payload)) {
                    let has_it = |known: &Known| known.base >= *zxid || known.log.get(zxid) == Some(payload);
                    assert!(
                        decide(&self.config, |sid| has_it(&self.members[sid.0 as usize - 1])),
                        "member {member}: {zxid} was committed and is cut off, and no quorum has it"
                    );
                }
            }
            Event::Installing(zxid) => {
                let known = &mut self.members[member];
                known.installing = None;
                let old = (std::mem::take(&mut known.log), std::mem::replace(&mut known.base, zxid));
                known.old.get_or_insert(old);
                // A leader that is not established yet has sent what Java has taken of its whole log.
                if let Some((log, base)) = self.dirty_histories.get(&zxid) {
                    (known.log, known.base) = (log.clone(), *base);
                    known.installing = Some(zxid);
                }
            }
            Event::Installed(zxid, digest) => {
                self.members[member].applied = zxid;
                self.same_digest(member, zxid, digest);
            }
            Event::EpochCommitted => {
                let known = &mut self.members[member];
                known.is_adopting = true;
                known.settling = known.log.last_key_value().map_or(known.base, |(zxid, _)| *zxid);
            }
            Event::EpochDurable => {
                let known = &mut self.members[member];
                known.is_adopting = false;
                known.may_return.clear();
                if known.old.take().is_some() {
                    known.durable = Zxid::ZERO;
                    known.dirty = known.installing.into_iter().collect();
                }
                known.durable = known.durable.max(known.settling);
            }
            // Not told of what is staged, which does not count before its epoch does.
            Event::Synced(through) => {
                let known = &mut self.members[member];
                known.durable = known.durable.max(through);
                known.may_return.clear();
            }
            Event::Abandoned => {
                let known = &mut self.members[member];
                if let Some((log, base)) = known.old.take() {
                    (known.log, known.base, known.serves) = (log, base, false);
                    known.applied = known.log.last_key_value().map_or(base, |(zxid, _)| *zxid);
                }
            }
            Event::CutRefused => {
                let known = &mut self.members[member];
                let mut cut = std::mem::take(&mut known.cut);
                known.log.append(&mut cut);
            }
            Event::Rebuilt(zxid, digest) => {
                self.members[member].applied = zxid;
                self.same_digest(member, zxid, digest);
            }
            Event::Applied(zxid, payload, digest) => self.applied(member, zxid, &payload, digest),
            Event::Promised(epoch) => {
                assert!(self.promises.insert((member, epoch)), "member {member} has promised epoch {epoch} twice");
            }
            Event::Serving(role, epoch, zxid, digest, config) => self.serving(member, role, epoch, zxid, digest, &config),
        }
    }

    /// The trees of two members that end with the same committed transaction are the same.
    fn same_digest(&mut self, member: usize, zxid: Zxid, digest: u64) {
        if zxid > self.last_committed() {
            return;
        }
        let known = *self.digests.entry(zxid).or_insert(digest);
        assert_eq!(known, digest, "member {member}: the digest at {zxid}");
    }

    fn applied(&mut self, member: usize, zxid: Zxid, payload: &Bytes, digest: u64) {
        let known = &mut self.members[member];
        assert!(zxid > known.applied, "member {member}: {zxid} is applied after {}", known.applied);
        let logged = known.log.get(&zxid);
        assert!(logged == Some(payload), "member {member}: {zxid} is applied and was not logged so");
        let next = known.log.range(Zxid(known.applied.0 + 1)..).next().map(|(zxid, _)| *zxid);
        assert_eq!(next, Some(zxid), "member {member}: what is applied after {}", known.applied);
        known.applied = zxid;
        if known.serves {
            self.commit(member, zxid, payload);
        }
        self.same_digest(member, zxid, digest);
    }

    fn commit(&mut self, member: usize, zxid: Zxid, payload: &Bytes) {
        if let Some(committed) = self.committed.get(&zxid) {
            assert!(committed == payload, "member {member}: another {zxid} is committed than before");
            return;
        }
        assert!(zxid > self.last_committed(), "member {member}: {zxid} is committed behind {}", self.last_committed());
        let name = name(payload);
        // The leader's own transactions have no cxid.
        assert!(name.1 == 0 || self.names.insert(name), "session {:#x} cxid {} is committed twice", name.0, name.1);
        // Nobody need have been told of it yet, nor need a crash have found it missing (I3).
        self.is_on_a_quorum(zxid, payload, "committed");
        if let Some(config) = configuration(payload) {
            self.activate(config);
            self.is_on_a_quorum(zxid, payload, "committed as the new ensemble");
        }
        self.committed.insert(zxid, payload.clone());
    }

    fn activate(&mut self, config: Config) {
        trace!("in force: {}", config.to_text().replace('\n', " "));
        assert!(config.version > self.config.version, "version {:x} follows {:x}", config.version, self.config.version);
        self.reconfigurations += 1;
        self.config = config;
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// By the configuration in force: what an earlier quorum had is on a quorum of a later one before that is in force.
    fn is_on_a_quorum(&self, zxid: Zxid, payload: &Bytes, what: &str) {
        let has_it = |sid: Sid| self.members[sid.0 as usize - 1].has_durably(zxid, payload);
        assert!(decide(&self.config, has_it), "{zxid} was {what} and is not durable on a quorum");
    }

    /// A member begins to serve: its whole history is the list, or a prefix of it; that of a leader is all of it.
    fn serving(&mut self, member: usize, role: Role, epoch: i64, zxid: Zxid, digest: u64, config: &Config) {
        if role == Role::Leading {
            self.leads += 1;
            let leader = *self.leaders.entry(epoch).or_insert(member);
            assert_eq!(leader, member, "epoch {epoch} has two leaders");
        } else {
            self.follows += 1;
        }
        let known = &mut self.members[member];
        known.serves = true;
        assert_eq!(known.applied, zxid, "member {member}: where the tree ends");
        let history: Vec<(Zxid, Bytes)> = known.log.range(..=zxid).map(|(zxid, payload)| (*zxid, payload.clone())).collect();
        let base = known.base;
        let mut expected = self.committed.range(Zxid(base.0 + 1)..).map(|(zxid, payload)| (*zxid, payload.clone()));
        let mut behind = Vec::new();
        for (zxid, payload) in history {
            if zxid <= base {
                continue;
            }
            match expected.next() {
                Some((next, committed)) => {
                    assert_eq!(next, zxid, "member {member}: its history has {zxid} where {next} is committed");
                    assert!(committed == payload, "member {member}: its history has another {zxid} than is committed");
                }
                None => behind.push((zxid, payload)),
            }
        }
        let missing = expected.next().map(|(zxid, _)| zxid);
        drop(expected);
        if role == Role::Leading {
            assert_eq!(missing, None, "member {member} leads epoch {epoch} without what was committed");
        }
        // What a new leader has beyond the list is committed by its quorum; what a learner has, by its leader's.
        for (zxid, payload) in behind {
            self.commit(member, zxid, &payload);
        }
        self.same_digest(member, zxid, digest);
        if config.version > self.config.version {
            // One that was proposed, if only to this server, is finished with the epoch, as in Java.
            assert!(role == Role::Leading, "member {member}: version {:x} is in force and was never committed", config.version);
            self.activate(config.clone());
            if let Some((zxid, payload)) = self.committed.last_key_value() {
                self.is_on_a_quorum(*zxid, payload, "the end of a history that a new ensemble began with,");
            }
        }
    }

    /// A server that has left the ensemble was emptied, and is to be a new one.
    pub fn replaced(&mut self, member: usize) {
        self.members[member] = Known::default();
        self.promises.retain(|(of, _)| *of != member);
    }

    /// A member is gone, or no longer serves.
    pub fn retired(&mut self, member: usize) {
        self.members[member].serves = false;
    }

    /// A client was told something by this member.
    pub fn told(&mut self, member: usize, told: Told) {
        if let Told::Write { zxid, .. } | Told::Zxid(zxid) = told {
            self.highest_told = self.highest_told.max(zxid);
        }
        match told {
            // Answers that spend no transaction, or one of another.
            Told::Write { error: SESSION_EXPIRED | SESSION_MOVED, .. } | Told::Zxid(_) => {}
            Told::Write { session, xid, zxid, .. } => {
                self.acknowledged += 1;
                self.by_groups += usize::from(self.config.is_hierarchical());
                let payload = self.committed.get(&Zxid(zxid));
                let payload = payload.unwrap_or_else(|| panic!("member {member}: {zxid:#x} was acknowledged and is not committed"));
                assert_eq!(name(payload), (session.0, xid), "{zxid:#x} was acknowledged to another");
                self.is_on_a_quorum(Zxid(zxid), payload, "acknowledged");
            }
            Told::Session(_) => {}
            Told::NoSession(session) => {
                let of = |kind: OpCode| self.committed.values().any(|payload| is(payload, session.0, kind));
                assert!(
                    !of(OpCode::CREATE_SESSION) || of(OpCode::CLOSE_SESSION) || self.ends_proposed.contains(&session.0),
                    "{session} lives and was denied by member {member}"
                );
            }
        }
    }

    /// The list on a naive tree, and what clients have heard compared with it.
    pub fn replay(&self, heard: &[&Hearing]) -> Model {
        Model::replay(self.committed.iter().map(|(zxid, payload)| (zxid.0, payload)), heard)
    }

    /// Everything has healed: all members of the ensemble hold the whole list.
    pub fn all_equal(&self) {
        for sid in self.config.members.keys() {
            let (member, known) = (sid.0 - 1, &self.members[sid.0 as usize - 1]);
            assert_eq!(known.applied, self.last_committed(), "member {member} has not caught up");
        }
    }
}

/// The configuration that a transaction makes.
fn configuration(payload: &[u8]) -> Option<Config> {
    match LoggedTxn::read(payload).expect("a transaction").txn {
        Txn::Reconfig(change) => {
            let text = String::from_utf8(change.data.expect("a text").to_vec()).expect("text");
            Some(Config::parse(&text).expect("a configuration"))
        }
        _ => None,
    }
}

fn is(payload: &[u8], session: i64, kind: OpCode) -> bool {
    let header = LoggedTxn::read(payload).expect("a transaction").header;
    header.client_id == session && header.kind == kind.0
}

/// Session and cxid of a transaction.
fn name(payload: &[u8]) -> (i64, i32) {
    let header = LoggedTxn::read(payload).expect("a transaction").header;
    (header.client_id, header.cxid)
}
