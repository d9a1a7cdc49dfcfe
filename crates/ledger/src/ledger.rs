//! The one owner of a member's files: appends, and carries out the steps of a change of role, each after what was asked
//! before. Whatever fails here leaves the files in doubt, and the process has to end.

use crate::receive::Received;
use log::{info, warn};
use oxkeeper_proto::Zxid;
use oxkeeper_proto::txn::LoggedTxn;
use oxkeeper_replica::core::DiskStep;
use oxkeeper_store::snapshot::SnapshotEnd;
use oxkeeper_store::{AppendError, LogOptions, Store, Synced, TxnLog};
use oxkeeper_tree::{NoopSink, Tree, TreeOptions};
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
    /// The leader asked for a cut that the files do not allow.
    pub cannot_truncate: bool,
}

impl LedgerError {
    fn new(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), cannot_truncate: false }
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for LedgerError {}

/// A tree that takes the place of the running one.
pub struct Replaced(pub Tree);

/// See the module.
pub struct Ledger {
    store: Arc<Mutex<Store>>,
    /// Absent only while a step is carried out.
    log: Option<TxnLog>,
    options: LedgerOptions,
}

impl Ledger {
    /// The owner of these files, whose history is continued.
    ///
    /// # Errors
    /// When the log's directory cannot be read.
    pub fn new(store: Arc<Mutex<Store>>, options: LedgerOptions) -> std::io::Result<Self> {
        let log = lock(&store).txn_log(options.log.clone())?;
        Ok(Self { store, log: Some(log), options })
    }

    /// The log.
    pub fn log(&mut self) -> &mut TxnLog {
        self.log.as_mut().expect("a log between two steps")
    }

    /// Appends, see [`TxnLog::append`].
    ///
    /// # Errors
    /// As there.
    pub fn append<P: AsRef<[u8]>>(&mut self, payloads: &[P]) -> Result<(), AppendError> {
        self.log().append(payloads)
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
    pub fn step(&mut self, step: DiskStep, received: Option<Received>, applied: Zxid) -> Result<Option<Replaced>, LedgerError> {
        match step {
            DiskStep::SaveAccepted(epoch) => {
                self.store().epochs().set_accepted(epoch).map_err(|e| LedgerError::new(format!("acceptedEpoch: {e}")))?;
                Ok(None)
            }
            DiskStep::AnnounceEpoch(epoch) => {
                self.store().epochs().announce_current(epoch).map_err(|e| LedgerError::new(format!("currentEpoch.tmp: {e}")))?;
                Ok(None)
            }
            DiskStep::CommitEpoch(_) => {
                let store = self.store();
                store.epochs().commit_current().map_err(|e| LedgerError::new(format!("currentEpoch: {e}")))?;
                // Everything that the leader had is here now.
                store.set_doubt(false).map_err(|e| LedgerError::new(format!("the mark of doubt: {e}")))?;
                Ok(None)
            }
            DiskStep::Truncate(zxid) => self.truncate(zxid, applied),
            DiskStep::InstallSnapshot(zxid) => {
                let received = received.filter(|received| received.zxid == zxid);
                self.install(received.ok_or_else(|| LedgerError::new(format!("the snapshot {zxid} has not come")))?).map(Some)
            }
            DiskStep::Barrier(_) => Ok(None),
        }
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

    fn truncate(&mut self, zxid: Zxid, applied: Zxid) -> Result<Option<Replaced>, LedgerError> {
        warn!("Truncating log to get in sync with the leader {zxid}");
        self.close_log()?;
        let cut = self.store().truncate(zxid);
        cut.map_err(|error| LedgerError { reason: error.to_string(), cannot_truncate: true })?;
        self.reopen_log()?;
        if applied <= zxid {
            return Ok(None);
        }
        let tree = load_tree(&self.store(), self.options.tree)?;
        if tree.last_zxid() != zxid {
            return Err(LedgerError::new(format!("the files end with {} after they were cut at {zxid}", tree.last_zxid())));
        }
        info!("The tree was built anew at {zxid}; it had been at {applied}");
        Ok(Some(Replaced(tree)))
    }

    fn install(&mut self, received: Received) -> Result<Replaced, LedgerError> {
        let zxid = received.zxid;
        self.close_log()?;
        {
            let mut store = self.store();
            // Until the leader has said that all is here, this server may lack what it has acknowledged before.
            store.set_doubt(true).map_err(|e| LedgerError::new(format!("the mark of doubt: {e}")))?;
            let file = received.writer.finish(SnapshotEnd::default()).map_err(|e| LedgerError::new(format!("snapshot {zxid}: {e}")))?;
            store.set_aside_all_but(zxid).map_err(|e| LedgerError::new(format!("setting the old history aside: {e}")))?;
            store.note_verified(&file);
        }
        self.reopen_log()?;
        let tree = load_tree(&self.store(), self.options.tree)?;
        if tree.last_zxid() != zxid {
            return Err(LedgerError::new(format!("the files end with {} after the snapshot {zxid}", tree.last_zxid())));
        }
        Ok(Replaced(tree))
    }
}

/// The tree that the newest snapshot and the log behind it make.
///
/// # Errors
/// When either cannot be read.
pub fn load_tree(store: &Store, options: TreeOptions) -> Result<Tree, LedgerError> {
    let newest = store.newest_snapshot().map_err(LedgerError::new)?;
    let (zxid, mut reader) = newest.ok_or_else(|| LedgerError::new("there is no snapshot"))?;
    let mut tree = oxkeeper_tree::snapshot::load(&mut reader, options).map_err(LedgerError::new)?;
    reader.finish().map_err(LedgerError::new)?;
    tree.set_last_zxid(zxid);
    for record in store.read_log(zxid).map_err(LedgerError::new)?.records() {
        let logged = LoggedTxn::read(record.payload).map_err(|e| LedgerError::new(format!("transaction {}: {e}", record.zxid)))?;
        tree.apply(&logged, &mut NoopSink);
        tree.set_last_zxid(record.zxid);
    }
    Ok(tree)
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}
