//! `acceptedEpoch`, `currentEpoch` and `myid`: small files with a number.
//!
//! A flipped digit would be believed, so a second copy with a checksum lies beside them (`oxkeeper.epochs`), which Java
//! ignores. Java may have raised an epoch since; lowered it has not: a file below the copy is damaged. A `currentEpoch`
//! above the copy that no later promise explains is not believed: it would claim a history that is not there, win an
//! election with it and have others cut what is committed.

use crate::disk::DiskRef;
use crate::names;
use crate::recovery::Damaged;
use crate::txn_log::{replace, write_atomically};
use oxkeeper_proto::zxid::Zxid;
use std::io;
use std::path::{Path, PathBuf};

const ACCEPTED: &str = "acceptedEpoch";
const CURRENT: &str = "currentEpoch";
const ACCEPTED_TEMPORARY: &str = "acceptedEpoch.tmp";
/// Meaningful: the epoch whose history is being written, while `currentEpoch` still has the one before.
const CURRENT_TEMPORARY: &str = "currentEpoch.tmp";

/// The epochs of a server in an ensemble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    /// The highest epoch whose leader it has promised to follow.
    pub accepted: i64,
    /// The epoch that its history belongs to.
    pub current: i64,
    /// Whether a file was missing, or not to be believed, and its value was guessed from the last zxid, as Java does when
    /// it upgrades a directory. With a history of members that is a promise forgotten: such a server is not to vote on its
    /// own before a leader has synchronised it.
    pub in_doubt: bool,
}

/// What the second copy says.
struct Copy {
    accepted: i64,
    current: i64,
    /// What `currentEpoch` may have become since.
    next: i64,
}

/// The epoch files of a directory.
pub struct EpochFiles {
    disk: DiskRef,
    directory: PathBuf,
}

impl EpochFiles {
    pub(crate) fn new(disk: &DiskRef, directory: &Path) -> Self {
        Self { disk: disk.clone(), directory: directory.to_owned() }
    }

    /// Reads both files and holds them against the last zxid of the history. A `currentEpoch.tmp` that a crash left
    /// behind takes effect here, if the history has already got as far as it says.
    pub fn load(&self, last_zxid: Zxid) -> Result<Epochs, Damaged> {
        let epoch_of_zxid = i64::from(last_zxid.epoch()).max(0) * i64::from(last_zxid.0 >= 0);
        let (mut accepted, mut current) = (self.read(ACCEPTED)?, self.read(CURRENT)?);
        let write =
            |outcome: io::Result<()>, name: &str| outcome.map_err(|error| self.damaged(format!("{name} cannot be written: {error}")));
        let copy = self.read_copy();
        let has_been_member = copy.is_some() || epoch_of_zxid > 0;
        if let Some(copy) = copy
            && current.is_some_and(|current| current > copy.next)
            && accepted == Some(copy.accepted)
        {
            // Gone for good: the next copy would be made of it.
            write(self.remove(CURRENT), CURRENT)?;
            current = None;
        }
        if last_zxid <= Zxid::ZERO {
            // A new member. Both numbers are written down before anything else is: if they were missing later, what a
            // half-done synchronisation has left could not be told from a whole history.
            if accepted.is_none() {
                write(self.set_accepted(0), ACCEPTED)?;
                accepted = Some(0);
            }
            if current.is_none() {
                write(self.set_current(0), CURRENT)?;
                current = Some(0);
            }
        }
        let in_doubt = has_been_member && (accepted.is_none() || current.is_none());
        if let Some(earlier) = current.filter(|current| epoch_of_zxid > *current) {
            match self.read(CURRENT_TEMPORARY)? {
                // A crash during a synchronisation. Java takes the number in the file and thereby claims the whole history of
                // that epoch (ZOOKEEPER-4643); what is there proves no more than the epoch of its last record.
                Some(next) if next >= epoch_of_zxid => {
                    write(self.set_current(epoch_of_zxid), CURRENT)?;
                    current = Some(epoch_of_zxid);
                }
                _ => return Err(self.damaged(format!("The current epoch, {earlier:x}, is older than the last zxid, {:x}", last_zxid.0))),
            }
        }
        let epochs = Epochs { accepted: accepted.unwrap_or(epoch_of_zxid), current: current.unwrap_or(epoch_of_zxid), in_doubt };
        if epochs.accepted < epochs.current {
            return Err(
                self.damaged(format!("The accepted epoch, {:x} is less than the current epoch, {:x}", epochs.accepted, epochs.current))
            );
        }
        match self.read_copy() {
            Some(copy) if epochs.accepted < copy.accepted || (epochs.current < copy.current && !in_doubt) => Err(self.damaged(format!(
                "The epochs are {} (accepted) and {} (current), and have been {} and {}",
                epochs.accepted, epochs.current, copy.accepted, copy.current
            ))),
            // A crash between a file and its copy, or Java's work: what is believed once is what later damage is held against.
            Some(copy)
                if !in_doubt
                    && (copy.accepted, copy.current) != (epochs.accepted, epochs.current)
                    && self.read(CURRENT_TEMPORARY)?.is_none() =>
            {
                write(self.write_copy(None), names::EPOCHS)?;
                Ok(epochs)
            }
            _ => Ok(epochs),
        }
    }

    /// Promises an epoch, durably.
    pub fn set_accepted(&self, epoch: i64) -> io::Result<()> {
        replace(&self.disk, &self.directory, &self.directory.join(ACCEPTED_TEMPORARY), ACCEPTED, epoch.to_string().as_bytes())?;
        self.write_copy(None)
    }

    /// Says durably that history of this epoch is going to be written. Both programs start from here on at every
    /// moment until [`EpochFiles::set_current`].
    pub fn announce_current(&self, epoch: i64) -> io::Result<()> {
        // As a whole: what an earlier call has announced may be in the history already.
        write_atomically(&self.disk, &self.directory, CURRENT_TEMPORARY, epoch.to_string().as_bytes())
    }

    /// The last epoch that was announced, until one has become the current one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn announced(&self) -> Result<Option<i64>, Damaged> {
        self.read(CURRENT_TEMPORARY)
    }

    /// Makes an epoch the current one; the history must be durable.
    pub fn set_current(&self, epoch: i64) -> io::Result<()> {
        // After a crash in between the copy has to know of both.
        self.write_copy(Some(epoch))?;
        write_atomically(&self.disk, &self.directory, CURRENT, epoch.to_string().as_bytes())?;
        match self.disk.remove(&self.directory.join(CURRENT_TEMPORARY)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.write_copy(None)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(&self.directory.join(name))?;
        self.disk.sync_directory(&self.directory)
    }

    fn read(&self, name: &str) -> Result<Option<i64>, Damaged> {
        let bytes = match self.disk.read(&self.directory.join(name)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.damaged(format!("{name} cannot be read: {error}"))),
        };
        match parse_epoch(&bytes) {
            Some(epoch) => Ok(Some(epoch)),
            // Half written when the power went: it has announced nothing yet.
            None if name == CURRENT_TEMPORARY => Ok(None),
            None => Err(self.damaged(format!("{name} does not hold an epoch"))),
        }
    }

    fn read_copy(&self) -> Option<Copy> {
        let text = String::from_utf8(self.disk.read(&self.directory.join(names::EPOCHS)).ok()?).ok()?;
        let (numbers, sum) = text.strip_suffix('\n')?.rsplit_once(' ')?;
        if sum != format!("{:08x}", simd_adler32::adler32(&numbers.as_bytes())) {
            return None;
        }
        let mut numbers = numbers.split(' ').map(str::parse);
        let (accepted, current) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        let next = numbers.next().map_or(Ok(current), |next| next).ok()?;
        Some(Copy { accepted, current, next })
    }

    /// `next`: what `currentEpoch` is about to become.
    fn write_copy(&self, next: Option<i64>) -> io::Result<()> {
        let read = |name| self.read(name).ok().flatten().unwrap_or(0);
        let mut numbers = format!("{} {}", read(ACCEPTED), read(CURRENT));
        if let Some(next) = next {
            numbers.push_str(&format!(" {next}"));
        }
        let text = format!("{numbers} {:08x}\n", simd_adler32::adler32(&numbers.as_bytes()));
        write_atomically(&self.disk, &self.directory, names::EPOCHS, text.as_bytes())
    }

    fn damaged(&self, reason: String) -> Damaged {
        Damaged {
            reason: format!("{reason} (in {}).", self.directory.display()),
            remedy: "Empty the version-2 directories (keep a copy) and let the server synchronise.".to_owned(),
        }
    }
}

/// The number in an epoch file: decimal digits, as Java writes them, perhaps a line end.
fn parse_epoch(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let is_number = (1..=10).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits[0] != b'0');
    // An epoch is the upper half of a zxid that is not negative.
    is_number.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten().filter(|epoch| *epoch <= i64::from(i32::MAX))
}

/// The server id in `<dataDir>/myid`: the first line, not trimmed, as Java reads it. The error says what is wrong.
pub fn read_my_id(disk: &DiskRef, data: &Path) -> Result<i64, String> {
    let path = data.join("myid");
    let bytes = disk.read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.split(['\n', '\r']).next().unwrap_or_default();
    line.parse().map_err(|_| format!("{}: {line:?} is not a server id", path.display()))
}
