//! The one owner of a member's files: appends, and carries out the steps of a change of role, each after what was asked
//! before. Whatever fails here leaves the files in doubt, and the process has to end.

use crate::receive::Received;
use crate::replay::{place, replay, write_whole};
use log::{info, warn};
use oxkeeper_proto::{Mutant, Zxid, mutant};
use oxkeeper_replica::core::DiskStep;
use oxkeeper_store::snapshot::SnapshotEnd;
use oxkeeper_store::{AppendError, LogOptions, OpenError, Store, Synced, TxnLog};
use oxkeeper_tree::{Tree, TreeOptions};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How files and tree are made.
#[derive(Clone, Debug)]
pub struct LedgerOptions {
    /// The tree that is loaded when a snapshot takes the place of the history.
    pub tree: TreeOptions,
    /// The log.
    pub log: LogOptions,
}

/// The files can no longer be trusted, or not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerError {
    /// What failed.
    pub reason: String,
}

impl LedgerError {
    fn new(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string() }
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for LedgerError {}

/// What a step has done to the running tree.
pub enum Stepped {
    /// Nothing.
    Unchanged,
    /// Another one takes its place.
    Replaced(Box<Tree>),
    /// The history of a leader is complete. Its snapshot may hold effects of what follows, up to here: until then the
    /// digests that transactions announce mean nothing.
    Adopted(Zxid),
    /// The log could not be cut: nothing was changed. The core has to be told, and until it answers with
    /// [`DiskStep::Resume`] nothing but barriers is carried out.
    CutRefused,
}

/// See the module.
pub struct Ledger {
    store: Arc<Mutex<Store>>,
    /// Absent only while a step is carried out.
    log: Option<TxnLog>,
    options: LedgerOptions,
    /// A cut was refused.
    is_refusing: bool,
    /// The zxid of a snapshot that begins a history which is not complete yet.
    staged: Option<Zxid>,
}

impl Ledger {
    /// The owner of these files, whose history is continued.
    ///
    /// # Errors
    /// When the log's directory cannot be read.
    pub fn new(store: Arc<Mutex<Store>>, options: LedgerOptions) -> std::io::Result<Self> {
        let log = lock(&store).txn_log(options.log.clone())?;
        Ok(Self { store, log: Some(log), options, is_refusing: false, staged: None })
    }

    /// The log.
    pub fn log(&mut self) -> &mut TxnLog {
        self.log.as_mut().expect("a log between two steps")
    }

    /// Whether appends are to be passed over until [`DiskStep::Resume`].
    pub fn is_refusing(&self) -> bool {
        self.is_refusing
    }

    /// Appends, see [`TxnLog::append`].
    ///
    /// # Errors
    /// As there.
    pub fn append<P: AsRef<[u8]>>(&mut self, payloads: &[P]) -> Result<(), AppendError> {
        self.log().append(payloads)
    }

    /// Whether what is appended belongs to a history that is not complete yet.
    pub fn is_staging(&self) -> bool {
        self.staged.is_some()
    }

    /// Makes durable what was appended.
    ///
    /// # Errors
    /// When that is in doubt.
    pub fn sync(&mut self) -> Result<Synced, LedgerError> {
        self.log().sync().map_err(LedgerError::new)
    }

    /// Closes the log in good order.
    ///
    /// # Errors
    /// When its end is in doubt.
    pub fn close(mut self) -> Result<(), LedgerError> {
        self.log.take().map_or(Ok(()), |log| log.close().map_err(LedgerError::new))
    }

    /// Carries out a step; everything appended before has been synced. `received` is the snapshot that has come in, if one
    /// has; `applied` is the last zxid of the running tree. Returns the tree that takes its place, if any does.
    ///
    /// # Errors
    /// When it could not be done: nothing of what was promised counts.
    pub fn step(&mut self, step: DiskStep, received: Option<Received>, applied: Zxid) -> Result<Stepped, LedgerError> {
        if self.is_refusing {
            self.is_refusing = step != DiskStep::Resume;
            return Ok(Stepped::Unchanged);
        }
        match step {
            DiskStep::SaveAccepted(epoch) => {
                self.store().epochs().set_accepted(epoch).map_err(|e| LedgerError::new(format!("acceptedEpoch: {e}")))?;
                Ok(Stepped::Unchanged)
            }
            DiskStep::AnnounceEpoch(epoch) => {
                self.store().epochs().announce_current(epoch).map_err(|e| LedgerError::new(format!("currentEpoch.tmp: {e}")))?;
                Ok(Stepped::Unchanged)
            }
            DiskStep::CommitEpoch(epoch) => {
                let adopted = self.adopt()?;
                self.store().epochs().set_current(epoch).map_err(|e| LedgerError::new(format!("currentEpoch: {e}")))?;
                Ok(adopted.map_or(Stepped::Unchanged, Stepped::Adopted))
            }
            DiskStep::Truncate(zxid) => self.truncate(zxid, applied),
            DiskStep::InstallSnapshot(zxid) => self.install(zxid, received),
            DiskStep::AbandonSnapshot => self.abandon(),
            DiskStep::Barrier(_) | DiskStep::Resume => Ok(Stepped::Unchanged),
        }
    }

    /// Whether there is no history, not even the snapshot with which one begins: a member that has lost its own gets none
    /// but a leader's.
    fn is_lost(&mut self) -> Result<bool, LedgerError> {
        let snapshot = self.store().newest_snapshot_bytes().map_err(LedgerError::new)?;
        Ok(snapshot == 0 && self.log().total_bytes() == 0)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    fn close_log(&mut self) -> Result<(), LedgerError> {
        self.log.take().map_or(Ok(()), |log| log.close().map_err(LedgerError::new))
    }

    fn reopen_log(&mut self) -> Result<(), LedgerError> {
        let log = self.store().txn_log(self.options.log.clone()).map_err(LedgerError::new)?;
        self.log = Some(log);
        let _ = self.log().hold_reserve();
        Ok(())
    }

    fn truncate(&mut self, zxid: Zxid, applied: Zxid) -> Result<Stepped, LedgerError> {
        warn!("Truncating log to get in sync with the leader {zxid}");
        self.close_log()?;
        let cut = self.store().truncate(zxid);
        match cut {
            Ok(()) => self.reopen_log()?,
            Err(OpenError::Damaged(damaged)) => {
                warn!("{damaged}");
                self.reopen_log()?;
                self.is_refusing = true;
                return Ok(Stepped::CutRefused);
            }
            Err(_) if mutant::is(Mutant::FailedCutIgnored) => {
                self.reopen_log()?;
                return Ok(Stepped::Unchanged);
            }
            Err(error) => return Err(LedgerError::new(error)),
        }
        if applied <= zxid || mutant::is(Mutant::TreeNotCut) {
            return Ok(Stepped::Unchanged);
        }
        let tree = load_tree(&self.store(), self.options.tree)?;
        if tree.last_zxid() != zxid && !mutant::is(Mutant::SnapshotNotCut) {
            return Err(LedgerError::new(format!("the files end with {} after they were cut at {zxid}", tree.last_zxid())));
        }
        info!("The tree was built anew at {zxid}; it had been at {applied}");
        Ok(Stepped::Replaced(Box::new(tree)))
    }

    /// The old history stays what a start begins with, until the new one is complete: it may hold what was acknowledged.
    fn install(&mut self, zxid: Zxid, received: Option<Received>) -> Result<Stepped, LedgerError> {
        self.close_log()?;
        let tree = {
            let store = self.store();
            let wrong = |e: std::io::Error| LedgerError::new(format!("snapshot {zxid}: {e}"));
            match received.filter(|received| received.zxid == zxid) {
                Some(received) => {
                    received.writer.finish(SnapshotEnd::default()).map_err(wrong)?;
                    let mut reader = store.staged_snapshot(zxid).map_err(wrong)?;
                    let mut tree = oxkeeper_tree::snapshot::load(&mut reader, self.options.tree).map_err(LedgerError::new)?;
                    tree.set_last_zxid(zxid);
                    // A Java leader writes its snapshot while it goes on.
                    tree.expect_digest_at(Zxid(i64::MAX), None);
                    tree
                }
                None if zxid == Zxid::ZERO => {
                    let mut tree = Tree::new(self.options.tree);
                    let writer = store.staged_snapshot_writer(zxid).map_err(wrong)?;
                    write_whole(&mut tree, writer, SnapshotEnd::default()).map_err(wrong)?;
                    tree
                }
                None => return Err(LedgerError::new(format!("the snapshot {zxid} has not come"))),
            }
        };
        let log = self.store().staged_log(self.options.log.clone(), zxid);
        self.log = Some(log);
        self.staged = Some(zxid);
        Ok(Stepped::Replaced(Box::new(tree)))
    }

    fn adopt(&mut self) -> Result<Option<Zxid>, LedgerError> {
        let Some(zxid) = self.staged.take() else { return Ok(None) };
        let last = self.log().last_appended().unwrap_or(zxid).max(zxid);
        self.close_log()?;
        // A history must not be there before its epoch is: Java would not start on it. And until it is there the earlier one
        // needs what was announced for that.
        let epochs = self.store().epochs();
        let announced = epochs.announced().map_err(LedgerError::new)?.unwrap_or(0);
        let epoch = i64::from(last.epoch()).max(announced);
        epochs.announce_current(epoch).map_err(|e| LedgerError::new(format!("currentEpoch.tmp: {e}")))?;
        self.store().adopt_staged(last).map_err(|e| LedgerError::new(format!("the new history: {e}")))?;
        info!("The history of the leader has taken the place of ours, through {last}");
        self.reopen_log()?;
        Ok(Some(last))
    }

    fn abandon(&mut self) -> Result<Stepped, LedgerError> {
        if self.staged.take().is_none() {
            return Ok(Stepped::Unchanged);
        }
        // Never to be synced: it goes.
        self.log = None;
        self.store().drop_staged().map_err(|e| LedgerError::new(format!("the snapshot that was not completed: {e}")))?;
        self.reopen_log()?;
        if mutant::is(Mutant::SnapKeptInMemory) {
            return Ok(Stepped::Unchanged);
        }
        let tree = if self.is_lost()? {
            let mut tree = Tree::new(self.options.tree);
            tree.set_last_zxid(LOST);
            tree
        } else {
            load_tree(&self.store(), self.options.tree)?
        };
        info!("The history ends with {} as before", tree.last_zxid());
        Ok(Stepped::Replaced(Box::new(tree)))
    }
}

/// What a history ends with of which nothing is left.
const LOST: Zxid = Zxid(-1);

/// The tree that the newest snapshot and the log behind it make.
///
/// # Errors
/// When either cannot be read.
pub fn load_tree(store: &Store, options: TreeOptions) -> Result<Tree, LedgerError> {
    let newest = store.newest_snapshot().map_err(LedgerError::new)?;
    let (zxid, mut reader) = newest.ok_or_else(|| LedgerError::new("there is no snapshot"))?;
    let mut tree = oxkeeper_tree::snapshot::load(&mut reader, options).map_err(LedgerError::new)?;
    let end = reader.finish().map_err(LedgerError::new)?;
    place(&mut tree, zxid, end.digest);
    let log = store.read_log(zxid).map_err(LedgerError::new)?;
    replay(&mut tree, &log, |_, _| {}, |wrong| warn!("Digests are not matching at {}", wrong.zxid))?;
    Ok(tree)
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxkeeper_store::names::Compression;
    use oxkeeper_store::sim_disk::SimDisk;
    use oxkeeper_store::{Directories, DiskRef, OpenOptions};

    /// Seed 9089780 on 2cdf70b: a member whose log had rotted ended, because the leader went while its snapshot was taken in.
    #[test]
    fn who_has_lost_its_history_outlives_a_snapshot_that_comes_to_nothing() {
        let disk: DiskRef = Arc::new(SimDisk::new());
        let options = OpenOptions { autocreate_database: false, ..OpenOptions::default() };
        let opened = Store::open(&disk, &Directories::one("/data"), &options, |_| Err::<((), SnapshotEnd), _>("no snapshot".to_owned()))
            .expect("opens");
        assert_eq!(opened.last_zxid, LOST);
        let options = LedgerOptions { tree: TreeOptions::default(), log: LogOptions::default() };
        let mut ledger = Ledger::new(Arc::new(Mutex::new(opened.store)), options).expect("lists");
        let installed = ledger.step(DiskStep::InstallSnapshot(Zxid::ZERO), None, LOST).expect("there is room");
        assert!(matches!(installed, Stepped::Replaced(tree) if tree.last_zxid() == Zxid::ZERO));
        let abandoned = ledger.step(DiskStep::AbandonSnapshot, None, Zxid::ZERO).expect("nothing has to be there");
        assert!(matches!(abandoned, Stepped::Replaced(tree) if tree.last_zxid() == LOST && tree.node_count() > 0));
    }

    /// A member of epoch 1 that has begun to take in what a leader has of epoch 3 (announced as 3, and not the whole of it),
    /// and then gets an earlier history as a snapshot. Seed 1364 on 2added1: a power cut after the announcement of that
    /// one's epoch left nothing that explained the records of epoch 3, and the member did not start.
    #[test]
    fn an_earlier_history_that_takes_the_place_of_a_later_one_may_be_stopped_anywhere() {
        let (mut old, mut new) = (0, 0);
        for (nth, seed) in (0..40).flat_map(|nth| (0..4).map(move |seed| (nth, seed))) {
            let sim = SimDisk::new();
            let disk: DiskRef = Arc::new(sim.clone());
            let open = || {
                let opened = Store::open(&disk, &Directories::one("/data"), &OpenOptions::default(), |reader| {
                    oxkeeper_tree::snapshot::load(reader, TreeOptions::default()).map_err(|error| error.to_string())
                });
                opened.expect("opens")
            };
            let opened = open();
            let mut tree = Tree::new(TreeOptions::default());
            let writer = opened.store.snapshot_writer(Zxid::ZERO, Compression::None).expect("opens");
            write_whole(&mut tree, writer, SnapshotEnd::default()).expect("writes");
            assert!(opened.store.epochs().load(Zxid::ZERO).is_ok());
            let options = LedgerOptions { tree: TreeOptions::default(), log: LogOptions::default() };
            let mut ledger = Ledger::new(Arc::new(Mutex::new(opened.store)), options).expect("lists");
            for step in [DiskStep::SaveAccepted(1), DiskStep::CommitEpoch(1), DiskStep::SaveAccepted(4), DiskStep::AnnounceEpoch(3)] {
                ledger.step(step, None, Zxid::ZERO).expect("there is room");
            }
            let zxid = Zxid::new(3, 1);
            // Session 1, cxid 0, then the zxid, a time, createSession with its timeout.
            let parts = [&1i64.to_be_bytes()[..], &[0; 4], &zxid.0.to_be_bytes(), &[0; 8], &(-10i32).to_be_bytes(), &[0, 0, 16, 0]];
            ledger.append(&[parts.concat()]).expect("there is room");
            ledger.sync().expect("syncs");
            for step in [DiskStep::SaveAccepted(6), DiskStep::InstallSnapshot(Zxid::ZERO)] {
                ledger.step(step, None, zxid).expect("there is room");
            }
            sim.stop_before(nth);
            let outcome = ledger.step(DiskStep::CommitEpoch(6), None, Zxid::ZERO);
            drop(ledger);
            sim.power_cut(seed);
            let last = open().last_zxid;
            let epochs = open().store.epochs().load(last);
            let epochs = epochs.unwrap_or_else(|damaged| panic!("stopped before operation {nth}, seed {seed}: {}", damaged.reason));
            if last == zxid {
                assert!(outcome.is_err() && epochs.current == 3, "{epochs:?}");
                old += 1;
            } else {
                assert!(last == Zxid::ZERO && [1, 6].contains(&epochs.current), "{last} {epochs:?}");
                new += 1;
            }
        }
        assert!(old > 10 && new > 10, "{old} and {new}");
    }
}
