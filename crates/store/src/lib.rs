//! Files: the transaction log, snapshots, epoch files, recovery and purge, behind a [`disk::Disk`].
//!
//! This room knows file names, zxids and payload bytes. What a payload does to the tree, and what the body of a
//! snapshot says, is known by `replica` and `tree`; when to sync, to roll or to take a snapshot is decided there too.
//!
//! Read in this order: [`names`] (what lies in a directory), [`log_format`] and [`snapshot`] (the two formats),
//! [`recovery`] (what counts at start), [`txn_log`] (appending), [`store`] (the whole directory in one hand).

#![forbid(unsafe_code)]

pub mod disk;
pub mod epochs;
pub mod log_format;
pub mod names;
pub mod purge;
pub mod recovery;
pub mod sim_disk;
pub mod snapshot;
pub mod store;
pub mod txn_log;

pub use disk::{Disk, DiskFile, DiskRef, FileRef, RealDisk};
pub use recovery::{Damaged, OpenError, OpenOptions};
pub use store::{Directories, Opened, Store};
pub use txn_log::{AppendError, LogOptions, SyncError, Synced, TxnLog};
