//! Where the requests of a load come from: frames prepared beforehand, copied and given their xid.

use crate::frame::{self, op};

/// Gives the next request of a load.
pub trait Source {
    /// Appends one whole request frame with this xid.
    fn append(&mut self, out: &mut Vec<u8>, xid: i32);
}

/// The same frames again and again, in turn.
pub struct Repeat {
    frames: Vec<Vec<u8>>,
    next: usize,
}

impl Repeat {
    pub fn new(frames: Vec<Vec<u8>>) -> Self {
        assert!(!frames.is_empty());
        Self { frames, next: 0 }
    }
}

impl Source for Repeat {
    #[inline]
    fn append(&mut self, out: &mut Vec<u8>, xid: i32) {
        let frame = &self.frames[self.next];
        self.next = if self.next + 1 == self.frames.len() { 0 } else { self.next + 1 };
        let start = out.len();
        out.extend_from_slice(frame);
        frame::set_xid(&mut out[start..], xid);
    }
}

/// Creates with a running number in the path, `per_frame` of them in each request (1: a plain create, more: a multi).
///
/// Node `n` is `<prefix>p<n / 1000>/n<n>` with 4 and 8 digits if `directories`, else `<prefix>n<n>`: a thousand
/// children a parent, so that the size of one child list is not what is measured.
pub struct Creates {
    template: Vec<u8>,
    /// Offset of the parent's digits, if any, and of the name's digits, for each create in the frame.
    stamps: Vec<(Option<usize>, usize)>,
    next: u64,
}

pub const CHILDREN_OF_A_PARENT: u64 = 1000;
const PARENT_DIGITS: usize = 4;
const NAME_DIGITS: usize = 8;
/// Bytes of a created node's name: `n` and its digits.
pub const NAME_BYTES: usize = 1 + NAME_DIGITS;

impl Creates {
    pub fn new(prefix: &str, directories: bool, data: &[u8], per_frame: usize, first: u64) -> Self {
        let parent = if directories { format!("{prefix}p{}/", "x".repeat(PARENT_DIGITS)) } else { prefix.to_string() };
        let path = format!("{parent}n{}", "y".repeat(NAME_DIGITS));
        let template = match per_frame {
            1 => frame::create(&path, data),
            _ => frame::multi_create(std::iter::repeat_n(path.as_str(), per_frame), data),
        };
        let mut stamps = Vec::new();
        let mut from = 0;
        while let Some(found) = template[from..].windows(path.len()).position(|window| window == path.as_bytes()) {
            let at = from + found;
            let name = at + parent.len() + 1;
            stamps.push((directories.then(|| at + parent.len() - 1 - PARENT_DIGITS), name));
            from = at + path.len();
        }
        assert_eq!(stamps.len(), per_frame);
        Self { template, stamps, next: first }
    }

    /// The parents that must exist for the nodes below `count`.
    pub fn parents(prefix: &str, count: u64) -> impl Iterator<Item = String> {
        (0..count.div_ceil(CHILDREN_OF_A_PARENT)).map(move |parent| format!("{prefix}p{parent:04}"))
    }
}

impl Source for Creates {
    #[inline]
    fn append(&mut self, out: &mut Vec<u8>, xid: i32) {
        let start = out.len();
        out.extend_from_slice(&self.template);
        let frame = &mut out[start..];
        frame::set_xid(frame, xid);
        for &(parent, name) in &self.stamps {
            if let Some(parent) = parent {
                write_digits(&mut frame[parent..parent + PARENT_DIGITS], self.next / CHILDREN_OF_A_PARENT);
            }
            write_digits(&mut frame[name..name + NAME_DIGITS], self.next);
            self.next += 1;
        }
    }
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The children of a node that reads and writes go to, in an order that jumps about.
pub fn paths(parent: &str, count: usize) -> Vec<String> {
    // 7919 is a prime above any count used here, so that each path comes once.
    (0..count).map(|index| format!("{parent}/n{:06}", index * 7919 % count)).collect()
}

pub fn reads(op: i32, count: usize) -> Repeat {
    Repeat::new(paths("/bench", count).iter().map(|path| frame::read(op, path, false)).collect())
}

pub fn writes(parent: &str, count: usize, data: &[u8]) -> Repeat {
    Repeat::new(paths(parent, count).iter().map(|path| frame::set_data(path, data)).collect())
}

/// Four reads, then a write.
pub fn mixed(parent: &str, count: usize, data: &[u8]) -> Repeat {
    let frames = paths(parent, count).into_iter().enumerate().map(|(index, path)| match index % 5 {
        4 => frame::set_data(&path, data),
        _ => frame::read(op::GET_DATA, &path, false),
    });
    Repeat::new(frames.collect())
}

pub fn multis(parent: &str, count: usize, per_frame: usize, data: &[u8]) -> Repeat {
    let paths = paths(parent, count);
    Repeat::new(paths.chunks(per_frame).map(|group| frame::multi_set_data(group.iter().map(String::as_str), data)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creates_count_on_through_parents() {
        let mut source = Creates::new("/fill/", true, b"data", 1, 999);
        for (xid, path) in [(1, "/fill/p0000/n00000999"), (2, "/fill/p0001/n00001000")] {
            let mut out = vec![9; 3];
            source.append(&mut out, xid);
            let mut expected = frame::create(path, b"data");
            frame::set_xid(&mut expected, xid);
            assert_eq!(out[3..], expected);
        }
        assert_eq!(Creates::parents("/fill/", 1001).collect::<Vec<_>>(), ["/fill/p0000", "/fill/p0001"]);
    }

    #[test]
    fn many_creates_in_one_frame() {
        let mut out = Vec::new();
        Creates::new("/", false, b"d", 3, 5).append(&mut out, 0);
        assert_eq!(out, frame::multi_create(["/n00000005", "/n00000006", "/n00000007"].into_iter(), b"d"));
    }

    #[test]
    fn paths_come_once_each() {
        let mut paths = paths("/bench", 1000);
        paths.sort();
        paths.dedup();
        assert_eq!((paths.len(), paths[0].as_str(), paths[999].as_str()), (1000, "/bench/n000000", "/bench/n000999"));
    }
}
