//! Snapshot files: the frame round a body of opaque bytes, read and written, plain, gz or snappy.
//!
//! ```text
//! "ZKSN" 00000002 ffffffffffffffff
//! body, ends with the string "/" (00000001 2f)                SEAL
//! [ zxid i64, digest version i32, digest i64 ]                SEAL     if digests are on
//! [ last processed zxid i64 ]                                 SEAL     if that is on
//! SEAL = Adler-32 of every byte so far as i64, the string "/"
//! ```
//! The sections bear no mark: how many there are follows from what is left of the file. Where the body ends is known to
//! whoever reads it; [`verify`] finds it from the back without understanding it.

use crate::disk::{DiskRef, FileRef, OpenMode};
use crate::names::{self, Compression};
use oxkeeper_proto::zxid::Zxid;
use oxkeeper_proto::{Mutant, mutant};
use simd_adler32::Adler32;
use std::io::{self, BufRead, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// What every snapshot begins with.
pub const FILE_HEADER: [u8; 16] = *b"ZKSN\x00\x00\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff";
/// The string "/", which ends the body and every seal.
pub const TERMINATOR: [u8; 5] = [0, 0, 0, 1, b'/'];

const SEAL_BYTES: usize = 8 + TERMINATOR.len();
const LAST_ZXID_BYTES: usize = 8 + SEAL_BYTES;
/// The sections after the body with a digest in text form (digest version 1) stay far below this.
const LONGEST_TAIL_BYTES: usize = 1024;
/// A reader's chunk; four of them are in flight at most.
const CHUNK_BYTES: usize = 512 << 10;
/// Below this a thread that reads ahead costs more than it saves.
const READ_AHEAD_FROM_BYTES: u64 = 2 << 20;
/// What is read back comes in small chunks: a disk serves reads before what a log syncs.
const READ_BACK_BYTES: usize = 128 << 10;
/// A snapshot is brought to the disk in pieces, so that the log's fdatasync waits for no more than one of them (measured
/// beside a log, as its longest sync: 8 ms with these, 16 ms with a megabyte, 320 ms when the system writes back).
const SYNC_EVERY_BYTES: u64 = 256 << 10;
/// Pieces of snapshots up to here are read back without a rest.
const RESTS_FROM_BYTES: u64 = 2 << 20;
const LONGEST_REST: Duration = Duration::from_millis(20);
const WRITE_BUFFER_BYTES: usize = 256 << 10;

const SNAPPY_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// Magic, version 1, lowest compatible version 1.
const SNAPPY_HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
const SNAPPY_BLOCK_BYTES: usize = 32 << 10;
/// Java's blocks are 32 KiB; no writer makes larger ones than this.
const LONGEST_SNAPPY_BLOCK_BYTES: usize = 64 << 20;

/// The digest that a snapshot carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotDigest {
    /// The transaction after which the tree had it; zero if nothing had been applied. In a fuzzy snapshot (Java's) it
    /// may lie above the snapshot's own zxid: the digest holds once the log has been replayed up to there.
    pub zxid: Zxid,
    /// Version of the calculation; 2 everywhere today.
    pub version: i32,
    /// The digest.
    pub digest: u64,
}

/// What follows the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotEnd {
    /// The digest section, absent in files of old or differently configured writers.
    pub digest: Option<SnapshotDigest>,
    /// The zxid that the writer had processed last (Java reads the one in the file name instead).
    pub last_zxid: Option<Zxid>,
}

/// A snapshot in memory, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFraming {
    /// Sessions, ACLs and nodes, the terminator included.
    pub body: Range<usize>,
    /// What follows.
    pub end: SnapshotEnd,
}

/// A finished snapshot file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// The zxid in its name.
    pub zxid: Zxid,
    /// Its name.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
}

fn damaged(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

fn ended() -> io::Error {
    damaged("the snapshot ends too early")
}

/// Takes an uncompressed snapshot apart; the error says what is wrong with it.
pub fn decode_snapshot_framing(bytes: &[u8]) -> Result<SnapshotFraming, String> {
    if bytes.len() < FILE_HEADER.len() || bytes[..4] != FILE_HEADER[..4] {
        return Err("it does not begin with ZKSN".to_owned());
    }
    let held = bytes.len().saturating_sub(HELD_BYTES);
    let mut sum = Adler32::new();
    sum.write(&bytes[..held]);
    let (tail, end) = find_tail(&sum, &bytes[held..])?;
    Ok(SnapshotFraming { body: FILE_HEADER.len()..bytes.len() - tail, end })
}

/// The longest end with a digest in binary form, and the terminator before it.
const HELD_BYTES: usize = TERMINATOR.len() + SEAL_BYTES + 20 + SEAL_BYTES + LAST_ZXID_BYTES;

/// Finds the sections at the end of `held`, the last bytes of a snapshot whose other bytes `sum` covers.
fn find_tail(sum: &Adler32, held: &[u8]) -> Result<(usize, SnapshotEnd), String> {
    const DIGEST_BYTES: usize = 20 + SEAL_BYTES;
    for tail in [SEAL_BYTES + DIGEST_BYTES + LAST_ZXID_BYTES, SEAL_BYTES + DIGEST_BYTES, SEAL_BYTES + LAST_ZXID_BYTES, SEAL_BYTES] {
        let Some(body) = held.len().checked_sub(tail) else { continue };
        if !held[..body].ends_with(&TERMINATOR) {
            continue;
        }
        let mut sum = sum.clone();
        sum.write(&held[..body]);
        if let Ok(end) = read_tail(sum.finish(), &held[body..]) {
            return Ok((tail, end));
        }
    }
    Err("its checksum does not fit, or it is cut short".to_owned())
}

/// Reads the seals and sections after a body whose Adler-32, header included, is `sum`.
fn read_tail(sum: u32, tail: &[u8]) -> Result<SnapshotEnd, String> {
    fn take<'a>(rest: &mut &'a [u8], n: usize) -> Result<&'a [u8], String> {
        let (taken, left) = rest.split_at_checked(n).ok_or("it is cut short behind the nodes")?;
        *rest = left;
        Ok(taken)
    }
    fn long(rest: &mut &[u8]) -> Result<i64, String> {
        Ok(i64::from_be_bytes(take(rest, 8)?.try_into().expect("eight bytes")))
    }
    fn int(rest: &mut &[u8]) -> Result<i32, String> {
        Ok(i32::from_be_bytes(take(rest, 4)?.try_into().expect("four bytes")))
    }
    let sum_before = |rest: &[u8]| {
        let mut adler = Adler32::from_checksum(sum);
        adler.write(&tail[..tail.len() - rest.len()]);
        adler.finish()
    };
    let seal = |rest: &mut &[u8]| {
        let actual = sum_before(rest);
        let stored = long(rest)?;
        if stored != i64::from(actual) {
            return Err(format!("its checksum is {stored:#x} and should be {actual:#x}"));
        }
        if take(rest, TERMINATOR.len())? != TERMINATOR { Err("a seal does not end with \"/\"".to_owned()) } else { Ok(()) }
    };
    let mut rest = tail;
    let mut end = SnapshotEnd::default();
    seal(&mut rest)?;
    if !rest.is_empty() && rest.len() != LAST_ZXID_BYTES {
        let zxid = Zxid(long(&mut rest)?);
        let version = int(&mut rest)?;
        let digest = if version < 2 {
            let length = int(&mut rest)?;
            let text = take(&mut rest, usize::try_from(length).map_err(|_| "its digest has no text")?)?;
            let text = std::str::from_utf8(text).map_err(|_| "its digest is not a number")?;
            u64::from_str_radix(text, 16).map_err(|_| "its digest is not a number")?
        } else {
            long(&mut rest)? as u64
        };
        seal(&mut rest)?;
        end.digest = Some(SnapshotDigest { zxid, version, digest });
    }
    if !rest.is_empty() {
        end.last_zxid = Some(Zxid(long(&mut rest)?));
        seal(&mut rest)?;
    }
    if rest.is_empty() { Ok(end) } else { Err(format!("{} bytes follow its last seal", rest.len())) }
}

/// The quick look at a snapshot that Java takes before it counts it: does it end (or, compressed, begin) as one?
pub fn looks_complete(disk: &DiskRef, path: &Path) -> io::Result<bool> {
    let file = disk.open(path, OpenMode::Read)?;
    let size = file.size()?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let begins_with = |magic: &[u8]| {
        let mut bytes = vec![0; magic.len()];
        Ok(crate::disk::read_full(&*file, &mut bytes, 0)? == magic.len() && bytes == magic)
    };
    match Compression::of_name(&name) {
        Compression::Gz => begins_with(&[0x1f, 0x8b]),
        Compression::Snappy => begins_with(&SNAPPY_MAGIC),
        Compression::None if size < 10 => Ok(false),
        Compression::None => {
            let mut last = [0; TERMINATOR.len()];
            let n = crate::disk::read_full(&*file, &mut last, size - TERMINATOR.len() as u64)?;
            Ok(n == last.len() && last == TERMINATOR)
        }
    }
}

/// Reads a whole snapshot and checks its header, checksums and end, without understanding its body.
pub fn verify(disk: &DiskRef, path: &Path) -> io::Result<SnapshotEnd> {
    verify_all(SnapshotReader::open(disk, path)?, &mut || {})
}

fn verify_all(mut reader: SnapshotReader, rest: &mut dyn FnMut()) -> io::Result<SnapshotEnd> {
    let mut sum = Adler32::from_checksum(reader.sum());
    let mut held: Vec<u8> = Vec::with_capacity(2 * HELD_BYTES);
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        let n = chunk.len();
        let (front, back) = chunk.split_at(n.saturating_sub(HELD_BYTES));
        if !front.is_empty() {
            sum.write(&held);
            held.clear();
            sum.write(front);
        }
        held.extend_from_slice(back);
        let excess = held.len().saturating_sub(HELD_BYTES);
        sum.write(&held[..excess]);
        held.drain(..excess);
        reader.consume(n);
        rest();
    }
    find_tail(&sum, &held).map(|(_, end)| end).map_err(damaged)
}

/// A snapshot's uncompressed bytes behind the header, with the checksum running along. Read the body from it (it is a
/// [`BufRead`]) up to and including its terminator, then call [`SnapshotReader::finish`].
pub struct SnapshotReader {
    feed: Feed,
    /// Of what is not read ahead.
    chunk_bytes: usize,
    chunk: Vec<u8>,
    position: usize,
    /// Adler-32 of all bytes before the chunk.
    sum_before: u32,
    /// Version and database id, which nobody checks but the checksum covers.
    header_rest: [u8; 12],
}

enum Feed {
    Inline(Box<dyn Read + Send>),
    /// Chunks come from a thread that reads, unpacks and sums ahead; emptied ones go back.
    Ahead {
        full: Receiver<io::Result<(Vec<u8>, u32)>>,
        empty: SyncSender<Vec<u8>>,
    },
}

impl SnapshotReader {
    /// Opens a snapshot and reads its header. A large one is read ahead by a thread of its own.
    pub fn open(disk: &DiskRef, path: &Path) -> io::Result<Self> {
        Self::open_ahead(disk, path, true)
    }

    fn open_ahead(disk: &DiskRef, path: &Path, ahead: bool) -> io::Result<Self> {
        let file = disk.open(path, OpenMode::Read)?;
        let size = file.size()?;
        let bytes = FileReader { file, offset: 0 };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unpacked: Box<dyn Read + Send> = match Compression::of_name(&name) {
            Compression::None => Box::new(bytes),
            Compression::Gz => Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(64 << 10, bytes))),
            Compression::Snappy => Box::new(SnappyReader::new(io::BufReader::with_capacity(64 << 10, bytes))),
        };
        let feed = if ahead && size >= READ_AHEAD_FROM_BYTES { read_ahead(unpacked)? } else { Feed::Inline(unpacked) };
        let chunk_bytes = if ahead { CHUNK_BYTES } else { READ_BACK_BYTES };
        let mut reader =
            Self { feed, chunk_bytes, chunk: Vec::new(), position: 0, sum_before: Adler32::new().finish(), header_rest: [0; 12] };
        let mut header = [0; FILE_HEADER.len()];
        reader.read_exact(&mut header).map_err(|error| if error.kind() == io::ErrorKind::UnexpectedEof { ended() } else { error })?;
        // Java checks neither version nor database id.
        if header[..4] != FILE_HEADER[..4] {
            return Err(damaged("the snapshot does not begin with ZKSN"));
        }
        reader.header_rest.copy_from_slice(&header[4..]);
        Ok(reader)
    }

    /// Adler-32 of what has been consumed.
    fn sum(&self) -> u32 {
        let mut sum = Adler32::from_checksum(self.sum_before);
        sum.write(&self.chunk[..self.position]);
        sum.finish()
    }

    /// Version and database id, as they stand in the header.
    pub(crate) fn header_rest(&self) -> [u8; 12] {
        self.header_rest
    }

    /// Reads and checks what follows the body.
    pub fn finish(mut self) -> io::Result<SnapshotEnd> {
        let sum = self.sum();
        let mut tail = Vec::new();
        (&mut self).take(LONGEST_TAIL_BYTES as u64).read_to_end(&mut tail)?;
        read_tail(sum, &tail).map_err(|reason| damaged(format!("the snapshot is damaged: {reason}")))
    }
}

impl BufRead for SnapshotReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.chunk.len() {
            let sum = self.sum();
            match &mut self.feed {
                Feed::Inline(bytes) => {
                    self.sum_before = sum;
                    self.position = 0;
                    fill_chunk(bytes, &mut self.chunk, self.chunk_bytes)?;
                }
                Feed::Ahead { full, empty } => match full.recv() {
                    Ok(Ok((chunk, sum_before))) => {
                        let used = std::mem::replace(&mut self.chunk, chunk);
                        let _ = empty.try_send(used);
                        self.sum_before = sum_before;
                        self.position = 0;
                    }
                    Ok(Err(error)) => return Err(error),
                    // The thread has gone because the file has ended.
                    Err(_) => {}
                },
            }
        }
        Ok(&self.chunk[self.position..])
    }

    fn consume(&mut self, n: usize) {
        self.position += n;
        debug_assert!(self.position <= self.chunk.len());
    }
}

impl Read for SnapshotReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let n = ready.len().min(buffer.len());
        buffer[..n].copy_from_slice(&ready[..n]);
        self.consume(n);
        Ok(n)
    }
}

/// Replaces a chunk by the next bytes; empty at the end.
fn fill_chunk(bytes: &mut impl Read, chunk: &mut Vec<u8>, wanted: usize) -> io::Result<()> {
    chunk.resize(wanted, 0);
    let mut done = 0;
    while done < chunk.len() {
        match bytes.read(&mut chunk[done..]) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                chunk.clear();
                return Err(error);
            }
        }
    }
    chunk.truncate(done);
    Ok(())
}

fn read_ahead(mut bytes: Box<dyn Read + Send>) -> io::Result<Feed> {
    const IN_FLIGHT: usize = 3;
    let (full_in, full) = sync_channel(IN_FLIGHT);
    let (empty, empty_out) = sync_channel::<Vec<u8>>(IN_FLIGHT + 1);
    std::thread::Builder::new().name("snapshot-read".to_owned()).spawn(move || {
        let mut sum = Adler32::new();
        loop {
            let mut chunk = empty_out.try_recv().unwrap_or_default();
            match fill_chunk(&mut bytes, &mut chunk, CHUNK_BYTES) {
                Ok(()) if chunk.is_empty() => return,
                Ok(()) => {
                    let before = sum.finish();
                    sum.write(&chunk);
                    if full_in.send(Ok((chunk, before))).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let _ = full_in.send(Err(error));
                    return;
                }
            }
        }
    })?;
    Ok(Feed::Ahead { full, empty })
}

/// A file read from front to back.
struct FileReader {
    file: FileRef,
    offset: u64,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buffer, self.offset)?;
        self.offset += n as u64;
        Ok(n)
    }
}

struct SnappyReader<R> {
    bytes: R,
    packed: Vec<u8>,
    block: Vec<u8>,
    position: usize,
    begun: bool,
}

impl<R: BufRead> SnappyReader<R> {
    fn new(bytes: R) -> Self {
        Self { bytes, packed: Vec::new(), block: Vec::new(), position: 0, begun: false }
    }

    /// Unpacks the next block; `false` at the end of the file.
    fn next_block(&mut self) -> io::Result<bool> {
        let broken = |_| damaged("a block of the compressed snapshot is damaged");
        if !self.begun {
            let mut header = [0; SNAPPY_HEADER.len()];
            self.bytes.read_exact(&mut header).map_err(|_| ended())?;
            if header[..8] != SNAPPY_MAGIC {
                return Err(damaged("the snapshot does not begin as snappy-java's streams do"));
            }
            self.begun = true;
        }
        loop {
            if self.bytes.fill_buf()?.is_empty() {
                return Ok(false);
            }
            let mut length = [0; 4];
            self.bytes.read_exact(&mut length).map_err(|_| ended())?;
            // Streams may be joined: a header in place of a length.
            if length == SNAPPY_MAGIC[..4] {
                let mut rest = [0; SNAPPY_HEADER.len() - 4];
                self.bytes.read_exact(&mut rest).map_err(|_| ended())?;
                continue;
            }
            let length = u32::from_be_bytes(length) as usize;
            if length > LONGEST_SNAPPY_BLOCK_BYTES {
                return Err(damaged(format!("a compressed block of {length} bytes")));
            }
            self.packed.resize(length, 0);
            self.bytes.read_exact(&mut self.packed).map_err(|_| ended())?;
            let unpacked = snap::raw::decompress_len(&self.packed).map_err(broken)?;
            if unpacked > LONGEST_SNAPPY_BLOCK_BYTES {
                return Err(damaged(format!("a block of {unpacked} bytes")));
            }
            self.block.resize(unpacked, 0);
            snap::raw::Decoder::new().decompress(&self.packed, &mut self.block).map_err(broken)?;
            self.position = 0;
            if unpacked > 0 {
                return Ok(true);
            }
        }
    }
}

impl<R: BufRead> Read for SnappyReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.block.len() && !self.next_block()? {
            return Ok(0);
        }
        let n = buffer.len().min(self.block.len() - self.position);
        buffer[..n].copy_from_slice(&self.block[self.position..self.position + n]);
        self.position += n;
        Ok(n)
    }
}

/// Writes one snapshot. The file gets its name only when it is whole, on the disk and read back; dropped before that,
/// nothing is left of it. It is an [`io::Write`] that takes the body.
pub struct SnapshotWriter {
    disk: DiskRef,
    directory: PathBuf,
    zxid: Zxid,
    name: String,
    temporary: PathBuf,
    packer: Option<Packer>,
    sum: Adler32,
    /// Bytes, not packed.
    written: u64,
    named: bool,
}

enum Packer {
    None(FileWriter),
    Gz(Box<flate2::write::GzEncoder<FileWriter>>),
    Snappy(SnappyWriter),
}

impl SnapshotWriter {
    /// Begins the snapshot of a zxid in a directory (the `version-2` one).
    pub fn create(disk: &DiskRef, directory: &Path, zxid: Zxid, compression: Compression) -> io::Result<Self> {
        Self::create_as(disk, directory, zxid, names::snapshot_name(zxid, compression), compression)
    }

    /// The same for a history that is not complete yet.
    pub(crate) fn create_staged(disk: &DiskRef, directory: &Path, zxid: Zxid) -> io::Result<Self> {
        let name = format!("{}{}", names::STAGED_PREFIX, names::snapshot_name(zxid, Compression::None));
        Self::create_as(disk, directory, zxid, name, Compression::None)
    }

    fn create_as(disk: &DiskRef, directory: &Path, zxid: Zxid, name: String, compression: Compression) -> io::Result<Self> {
        let temporary = directory.join(format!("{}{name}", names::TEMPORARY_PREFIX));
        let file = FileWriter {
            file: disk.open(&temporary, OpenMode::Create)?,
            offset: 0,
            unsynced: 0,
            buffer: Vec::with_capacity(WRITE_BUFFER_BYTES),
        };
        let packer = match compression {
            Compression::None => Packer::None(file),
            Compression::Gz => Packer::Gz(Box::new(flate2::write::GzEncoder::new(file, flate2::Compression::default()))),
            Compression::Snappy => Packer::Snappy(SnappyWriter::new(file)),
        };
        let mut writer = Self {
            disk: disk.clone(),
            directory: directory.to_owned(),
            zxid,
            name,
            temporary,
            packer: Some(packer),
            sum: Adler32::new(),
            written: 0,
            named: false,
        };
        if let Some(Packer::Snappy(snappy)) = &mut writer.packer {
            snappy.file.write_all(&SNAPPY_HEADER)?;
        }
        writer.write_all(&FILE_HEADER)?;
        Ok(writer)
    }

    fn seal(&mut self) -> io::Result<()> {
        let sum = u64::from(self.sum.finish());
        self.write_all(&sum.to_be_bytes())?;
        self.write_all(&TERMINATOR)
    }

    /// Closes the body (whose terminator has been written), writes the sections asked for, and makes the file durable
    /// under its name. Java readers with default settings want both sections, or neither, or the digest only. A large
    /// one is read back in a third of the time that the disk has; the rest is left to others.
    pub fn finish(self, end: SnapshotEnd) -> io::Result<SnapshotFile> {
        if self.written < RESTS_FROM_BYTES {
            return self.finish_resting(end, &mut || {});
        }
        let mut since = Instant::now();
        self.finish_resting(end, &mut || {
            std::thread::sleep((since.elapsed() * 2).min(LONGEST_REST));
            since = Instant::now();
        })
    }

    /// As [`SnapshotWriter::finish`]; `rest` is called after every piece that is read back, for a caller who
    /// leaves disk and processor to others in between.
    pub fn finish_resting(mut self, end: SnapshotEnd, rest: &mut dyn FnMut()) -> io::Result<SnapshotFile> {
        self.seal()?;
        if let Some(digest) = end.digest {
            debug_assert!(digest.version >= 2, "older versions wrote text");
            self.write_all(&digest.zxid.0.to_be_bytes())?;
            self.write_all(&digest.version.to_be_bytes())?;
            self.write_all(&digest.digest.to_be_bytes())?;
            self.seal()?;
        }
        if let Some(zxid) = end.last_zxid {
            self.write_all(&zxid.0.to_be_bytes())?;
            self.seal()?;
        }
        let mut file = match self.packer.take().expect("taken only here") {
            Packer::None(file) => file,
            Packer::Gz(gz) => gz.finish()?,
            Packer::Snappy(snappy) => snappy.finish()?,
        };
        file.flush()?;
        if !mutant::is(Mutant::SnapshotNotSynced) {
            file.file.sync_data()?;
        }
        // What is read back should come from the disk. (The temporary name ends as the final one: the packing shows.)
        let _ = file.file.evict();
        let read_back = verify_all(SnapshotReader::open_ahead(&self.disk, &self.temporary, false)?, rest)?;
        if read_back != end {
            return Err(damaged("the snapshot reads back with another end than was written"));
        }
        self.disk.rename(&self.temporary, &self.directory.join(&self.name))?;
        self.named = true;
        self.disk.sync_directory(&self.directory)?;
        Ok(SnapshotFile { zxid: self.zxid, name: self.name.clone(), size_bytes: file.offset })
    }
}

impl Write for SnapshotWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.packer.as_mut().expect("taken only by finish") {
            Packer::None(file) => file.write_all(bytes)?,
            Packer::Gz(gz) => gz.write_all(bytes)?,
            Packer::Snappy(snappy) => snappy.write_all(bytes)?,
        }
        self.sum.write(bytes);
        self.written += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if !self.named {
            // A GzEncoder that is dropped writes its trailer; what is removed cannot be harmed by it.
            self.packer = None;
            if let Err(error) = self.disk.remove(&self.temporary) {
                log::warn!("could not remove the unfinished {}: {error}", self.temporary.display());
            }
        }
    }
}

/// A file written from front to back.
struct FileWriter {
    file: FileRef,
    offset: u64,
    unsynced: u64,
    buffer: Vec<u8>,
}

impl FileWriter {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_EVERY_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > WRITE_BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() >= WRITE_BUFFER_BYTES {
            self.put(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let done = if buffer.is_empty() { Ok(()) } else { self.put(&buffer) };
        self.buffer = buffer;
        self.buffer.clear();
        done
    }
}

struct SnappyWriter {
    file: FileWriter,
    block: Vec<u8>,
    packed: Vec<u8>,
}

impl SnappyWriter {
    fn new(file: FileWriter) -> Self {
        Self { file, block: Vec::with_capacity(SNAPPY_BLOCK_BYTES), packed: vec![0; snap::raw::max_compress_len(SNAPPY_BLOCK_BYTES)] }
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = bytes.len().min(SNAPPY_BLOCK_BYTES - self.block.len());
            self.block.extend_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            if self.block.len() == SNAPPY_BLOCK_BYTES {
                self.pack()?;
            }
        }
        Ok(())
    }

    fn pack(&mut self) -> io::Result<()> {
        let n = snap::raw::Encoder::new().compress(&self.block, &mut self.packed).map_err(io::Error::other)?;
        self.block.clear();
        self.file.write_all(&(n as u32).to_be_bytes())?;
        self.file.write_all(&self.packed[..n])
    }

    fn finish(mut self) -> io::Result<FileWriter> {
        if !self.block.is_empty() {
            self.pack()?;
        }
        Ok(self.file)
    }
}
