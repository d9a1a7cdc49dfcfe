//! Files: the transaction log, snapshots, epoch files, recovery and purge, behind a Disk trait.

#![forbid(unsafe_code)]
