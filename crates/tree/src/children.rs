//! The names of a node's children, kept as the bytes of the reply that lists them: a length and a
//! name, one after the other, in chunks. Listing copies chunks; a deletion searches one chunk.

use oxkeeper_proto::Write as _;

/// A chunk of more bytes takes no further name. Searching one costs well under a microsecond.
const CHUNK_BYTES: usize = 4096;

/// The names of a node's children.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChildNames {
    count: u32,
    /// Names with characters beyond U+FFFF, whose reply bytes are not their UTF-8.
    wide: u32,
    names: Names,
}

#[derive(Clone, Debug)]
enum Names {
    One(Vec<u8>),
    Many(Box<Many>),
}

impl Default for Names {
    fn default() -> Self {
        Names::One(Vec::new())
    }
}

#[derive(Clone, Debug)]
struct Many {
    chunks: Vec<Chunk>,
    /// The chunk that takes new names.
    open: u32,
    /// Chunks that lost most of their names, to be filled again.
    spare: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Chunk {
    bytes: Vec<u8>,
    is_spare: bool,
}

fn is_wide(name: &[u8]) -> bool {
    name.iter().any(|b| *b >= 0xf0)
}

fn append(bytes: &mut Vec<u8>, name: &[u8]) {
    bytes.extend_from_slice(&(name.len() as u32).to_be_bytes());
    bytes.extend_from_slice(name);
}

fn has_room(bytes: &[u8], name: &[u8]) -> bool {
    bytes.is_empty() || bytes.len() + 4 + name.len() <= CHUNK_BYTES
}

/// Takes a name out of a chunk.
fn cut_out(bytes: &mut Vec<u8>, name: &[u8]) {
    let mut at = 0;
    loop {
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        let end = at + 4 + length;
        if length == name.len() && bytes[at + 4..end] == *name {
            bytes.drain(at..end);
            break;
        }
        at = end;
    }
    if bytes.is_empty() {
        *bytes = Vec::new();
    } else if bytes.capacity() >= 256 && bytes.len() < bytes.capacity() / 4 {
        bytes.shrink_to(bytes.len() * 2);
    }
}

impl ChildNames {
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Adds a name; the answer is where it stands, to be given to [`ChildNames::remove`].
    pub fn insert(&mut self, name: &[u8]) -> u32 {
        self.count += 1;
        self.wide += u32::from(is_wide(name));
        match &mut self.names {
            Names::One(bytes) if has_room(bytes, name) => {
                append(bytes, name);
                0
            }
            Names::One(bytes) => {
                let first = Chunk { bytes: std::mem::take(bytes), is_spare: false };
                let mut many = Many { chunks: vec![first], open: 0, spare: Vec::new() };
                let place = many.insert(name);
                self.names = Names::Many(Box::new(many));
                place
            }
            Names::Many(many) => many.insert(name),
        }
    }

    /// Takes out a name that stands at `place`.
    pub fn remove(&mut self, place: u32, name: &[u8]) {
        self.count -= 1;
        self.wide -= u32::from(is_wide(name));
        match &mut self.names {
            Names::One(bytes) => cut_out(bytes, name),
            Names::Many(many) => {
                let chunk = &mut many.chunks[place as usize];
                cut_out(&mut chunk.bytes, name);
                if chunk.bytes.len() < CHUNK_BYTES / 4 && !chunk.is_spare && place != many.open {
                    chunk.is_spare = true;
                    many.spare.push(place);
                }
            }
        }
        if self.count == 0 {
            self.names = Names::default();
        }
    }

    fn chunks(&self) -> Chunks<'_> {
        match &self.names {
            Names::One(bytes) => Chunks::One(Some(bytes)),
            Names::Many(many) => Chunks::Many(many.chunks.iter()),
        }
    }

    /// Appends the names as a vector of strings.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(4 + self.chunks().map(<[u8]>::len).sum::<usize>());
        out.int(self.count as i32);
        if self.wide == 0 {
            for chunk in self.chunks() {
                out.extend_from_slice(chunk);
            }
        } else {
            for name in self.iter() {
                out.ustring(Some(name));
            }
        }
    }

    /// The names, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let mut chunks = self.chunks();
        let mut rest: &[u8] = &[];
        std::iter::from_fn(move || {
            while rest.is_empty() {
                rest = chunks.next()?;
            }
            let (length, after) = rest.split_first_chunk::<4>().expect("a length before each name");
            let (name, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            rest = after;
            Some(std::str::from_utf8(name).expect("names came in as strings"))
        })
    }
}

enum Chunks<'a> {
    One(Option<&'a [u8]>),
    Many(std::slice::Iter<'a, Chunk>),
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match self {
            Chunks::One(bytes) => bytes.take(),
            Chunks::Many(chunks) => chunks.next().map(|c| &*c.bytes),
        }
    }
}

impl Many {
    fn insert(&mut self, name: &[u8]) -> u32 {
        while !has_room(&self.chunks[self.open as usize].bytes, name) {
            match self.spare.pop() {
                Some(spare) => {
                    self.chunks[spare as usize].is_spare = false;
                    self.open = spare;
                }
                None => {
                    self.open = self.chunks.len() as u32;
                    self.chunks.push(Chunk { bytes: Vec::with_capacity(CHUNK_BYTES), is_spare: false });
                }
            }
        }
        append(&mut self.chunks[self.open as usize].bytes, name);
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxkeeper_proto::Reader;
    use std::collections::BTreeMap;

    #[test]
    fn names_come_and_go_and_are_listed() {
        let mut model = BTreeMap::new();
        let mut names = ChildNames::default();
        let mut state = 7u64;
        for round in 0..30_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = (state >> 33) % 3000;
            let name = match number {
                0 => "x".repeat(10_000),
                1 => "wide \u{1F600}".to_string(),
                _ => format!("name-{number}"),
            };
            let growing = round / 6000 % 2 == 0;
            match model.get(&name).copied() {
                None if growing => {
                    let place = names.insert(name.as_bytes());
                    model.insert(name, place);
                }
                Some(place) if !growing || number.is_multiple_of(2) => {
                    names.remove(place, name.as_bytes());
                    model.remove(&name);
                }
                _ => {}
            }
            assert_eq!(names.count() as usize, model.len());
            if round % 500 == 0 {
                let mut listed: Vec<&str> = names.iter().collect();
                listed.sort_unstable();
                assert!(listed.iter().copied().eq(model.keys().map(String::as_str)));
                let mut out = vec![9];
                names.write(&mut out);
                let read = Reader::new(&out[1..]).vector(|r| r.buffer().map(|b| b.unwrap().to_vec())).unwrap().unwrap();
                let mut read: Vec<Vec<u8>> = read;
                read.sort_unstable();
                let mut expected: Vec<Vec<u8>> = model.keys().map(|n| oxkeeper_proto::java_string::encode(n).into_owned()).collect();
                expected.sort_unstable();
                assert_eq!(read, expected);
            }
        }
        assert!(names.chunks().count() < 60, "spare chunks are filled again");
    }
}
