//! Where the body of a snapshot ends, found piece by piece: a leader sends it without its length. What it says is left
//! to [`crate::snapshot`].

use std::fmt;

/// The parts of the body, and what is awaited of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The number of sessions.
    SessionCount,
    /// So many sessions: id and timeout.
    Sessions(u32),
    /// The number of ACLs.
    AclCount,
    /// So many ACLs: here the number of one, and how many entries it has.
    Acl(u32),
    /// So many entries of an ACL: the permissions and the length of the scheme.
    Entry { acls: u32, entries: u32 },
    /// The scheme, and the length of the id behind it.
    Scheme { acls: u32, entries: u32 },
    /// The id.
    Id { acls: u32, entries: u32 },
    /// The length of a node's path.
    PathLength,
    /// The path.
    Path,
    /// The length of a node's data.
    DataLength,
    /// The data, the number of the ACL and the Stat.
    Data,
}

/// Bytes that are no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoBody;

impl fmt::Display for NoBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what came is not the body of a snapshot")
    }
}

impl std::error::Error for NoBody {}

const SESSION_BYTES: u64 = 12;
const ACL_HEAD_BYTES: u64 = 12;
const ENTRY_HEAD_BYTES: u64 = 8;
/// The number of the ACL and a `StatPersisted`.
const AFTER_DATA_BYTES: u64 = 8 + 60;
/// The path that stands for the end.
const END: &[u8] = b"/";

/// See the module.
pub struct BodyScanner {
    part: Part,
    /// Bytes of the part that are only passed over.
    skip: u64,
    /// Bytes that have to be looked at, gathered here while they come in pieces.
    gathered: Vec<u8>,
    /// How many of them are wanted.
    wanted: usize,
}

impl Default for BodyScanner {
    fn default() -> Self {
        Self { part: Part::SessionCount, skip: 0, gathered: Vec::new(), wanted: 4 }
    }
}

impl BodyScanner {
    /// Takes the next piece. `Some(n)`: the body ended with the first n bytes of it.
    ///
    /// # Errors
    /// When a count or length is negative: these bytes are no body.
    pub fn feed(&mut self, piece: &[u8]) -> Result<Option<usize>, NoBody> {
        let mut at = 0;
        loop {
            let passed = self.skip.min((piece.len() - at) as u64);
            self.skip -= passed;
            at += passed as usize;
            if self.skip > 0 {
                return Ok(None);
            }
            let taken = (self.wanted - self.gathered.len()).min(piece.len() - at);
            self.gathered.extend_from_slice(&piece[at..at + taken]);
            at += taken;
            if self.gathered.len() < self.wanted {
                return Ok(None);
            }
            let is_end = self.step()?;
            self.gathered.clear();
            if is_end {
                return Ok(Some(at));
            }
        }
    }

    /// The last four bytes that were gathered.
    fn number(&self) -> i32 {
        let bytes = self.gathered.last_chunk::<4>().expect("numbers have four bytes");
        i32::from_be_bytes(*bytes)
    }

    fn count(&self) -> Result<u32, NoBody> {
        u32::try_from(self.number()).map_err(|_| NoBody)
    }

    /// A length; null has none.
    fn length(&self) -> Result<u64, NoBody> {
        match self.number() {
            -1 => Ok(0),
            n => u64::try_from(n).map_err(|_| NoBody),
        }
    }

    fn go(&mut self, part: Part, skip: u64, wanted: usize) {
        (self.part, self.skip, self.wanted) = (part, skip, wanted);
    }

    fn next_acl(&mut self, left: u32) {
        match left {
            0 => self.go(Part::PathLength, 0, 4),
            left => self.go(Part::Acl(left), ACL_HEAD_BYTES - 4, 4),
        }
    }

    fn next_entry(&mut self, acls: u32, left: u32) {
        match left {
            0 => self.next_acl(acls - 1),
            entries => self.go(Part::Entry { acls, entries }, ENTRY_HEAD_BYTES - 4, 4),
        }
    }

    /// Something has been gathered. Returns whether it is the end.
    fn step(&mut self) -> Result<bool, NoBody> {
        match self.part {
            Part::SessionCount => {
                let count = self.count()?;
                self.go(Part::Sessions(count), u64::from(count) * SESSION_BYTES, 0);
            }
            Part::Sessions(_) => self.go(Part::AclCount, 0, 4),
            Part::AclCount => {
                let count = self.count()?;
                self.next_acl(count);
            }
            Part::Acl(acls) => {
                // An ACL may be null.
                let entries = if self.number() == -1 { 0 } else { self.count()? };
                self.next_entry(acls, entries);
            }
            Part::Entry { acls, entries } => {
                let length = self.length()?;
                self.go(Part::Scheme { acls, entries }, length, 4);
            }
            Part::Scheme { acls, entries } => {
                let length = self.length()?;
                self.go(Part::Id { acls, entries }, length, 0);
            }
            Part::Id { acls, entries } => self.next_entry(acls, entries - 1),
            Part::PathLength => {
                let length = self.length()?;
                if length == END.len() as u64 {
                    self.go(Part::Path, 0, END.len());
                } else {
                    self.go(Part::DataLength, length, 4);
                }
            }
            Part::Path => {
                if self.gathered == END {
                    return Ok(true);
                }
                self.go(Part::DataLength, 0, 4);
            }
            Part::DataLength => {
                let length = self.length()?;
                self.go(Part::Data, length + AFTER_DATA_BYTES, 0);
            }
            Part::Data => self.go(Part::PathLength, 0, 4),
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tree, TreeOptions};

    fn body() -> Vec<u8> {
        let mut tree = Tree::new(TreeOptions::default());
        let mut view = tree.begin_view().expect("the first view");
        let mut bytes = Vec::new();
        while !view.next_chunk(&tree, &mut bytes, 1 << 16) {}
        tree.end_view(view);
        bytes
    }

    #[test]
    fn the_end_is_found_in_pieces_of_every_size() {
        let body = body();
        let mut stream = body.clone();
        stream.extend_from_slice(b"\0\0\0\x0aBenWasHere");
        for size in 1..=stream.len() {
            let mut scanner = BodyScanner::default();
            let mut passed = 0;
            let end = stream.chunks(size).find_map(|piece| {
                let found = scanner.feed(piece).expect("a body");
                passed += found.unwrap_or(piece.len());
                found.map(|_| passed)
            });
            assert_eq!(end, Some(body.len()), "pieces of {size}");
        }
    }

    #[test]
    fn negative_counts_are_no_body() {
        assert_eq!(BodyScanner::default().feed(&[0xff, 0xff, 0xff, 0xff]), Err(NoBody));
        assert_eq!(BodyScanner::default().feed(&[0, 0, 0, 0, 0x80, 0, 0, 0]), Err(NoBody));
    }
}
