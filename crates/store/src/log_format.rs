//! The bytes of a transaction log, and what the place where they stop to make sense tells.
//!
//! ```text
//! "ZKLG" 00000002 0000000000000000
//! { Adler-32 of the payload as i64, payload length as i32, payload, 'B' } *
//! zeros up to the length that was allocated in advance
//! ```
//! A payload is a TxnHeader (client id, cxid, zxid, time, type: 32 bytes), a body and perhaps a digest. Pure: from bytes
//! to judgement. Whether a judgement is harmless depends on the neighbouring files, which [`crate::recovery`] knows.

use oxkeeper_proto::zxid::Zxid;

/// What every log begins with.
pub const FILE_HEADER: [u8; 16] = *b"ZKLG\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00";
/// Bytes that a record has beside its payload.
pub const RECORD_OVERHEAD_BYTES: usize = 13;
/// Length of the TxnHeader, below which nothing is a payload.
pub const TXN_HEADER_BYTES: usize = 32;
/// Ends every record.
pub const END_OF_RECORD: u8 = b'B';
/// Type of a transaction that only says that a request failed.
pub const ERROR_TYPE: i32 = -1;
/// The most that the writer leaves unsynced, and so the longest stretch at the end of a log that one power cut can
/// leave in pieces. Java's own batches (1,000 requests) are far shorter unless they carry megabytes of data each.
pub const LONGEST_BATCH_BYTES: usize = 8 << 20;

/// The smallest piece that a disk writes whole.
const SECTOR_BYTES: usize = 512;
/// How much may be hashed in search of a valid record behind a damaged one: hostile data can look like the beginning
/// of a record at every byte.
const SEARCH_BUDGET_BYTES: usize = 256 << 20;

/// One record of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The zxid in its header.
    pub zxid: Zxid,
    /// The transaction type in its header.
    pub kind: i32,
    /// Header, body and digest.
    pub payload: &'a [u8],
    /// Where it begins in the file.
    pub offset: usize,
}

impl Record<'_> {
    /// Where the next record begins.
    pub fn end(&self) -> usize {
        self.offset + RECORD_OVERHEAD_BYTES + self.payload.len()
    }
}

/// How a log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEnd {
    /// With the last record, or with nothing but zeros behind it.
    Clean,
    /// With a record that is whole by its checksum but whose last byte, the end mark, is zero: a write that lacked one
    /// byte. Java ignores such a record.
    MarkMissing {
        /// The record's zxid.
        zxid: Zxid,
        /// Where the record ends.
        end: usize,
    },
    /// As a write that was cut short ends: the data stop within a record, or whole sectors of it are missing.
    Torn {
        /// Whether intact records follow, as they do when a middle sector of a long write is the missing one.
        records_follow: bool,
    },
    /// As no interrupted write ends.
    Damaged(String),
}

/// What is left of a log, read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Whether the header is there; without it there are no records (an empty or never written file).
    pub has_header: bool,
    /// First zxid, if there is a record.
    pub first: Option<Zxid>,
    /// Zxid of the last good record.
    pub last: Option<Zxid>,
    /// Where the last good record ends; 0 without a header.
    pub good_end: usize,
    /// Where the last byte that is not zero ends.
    pub data_end: usize,
    /// What comes after the last good record.
    pub end: LogEnd,
}

/// The zxid of a payload, `None` if it is shorter than a header.
pub fn zxid_of(payload: &[u8]) -> Option<Zxid> {
    (payload.len() >= TXN_HEADER_BYTES).then(|| Zxid(i64::from_be_bytes(payload[12..20].try_into().expect("eight bytes"))))
}

/// The transaction type of a payload, `None` if it is shorter than a header.
pub fn type_of(payload: &[u8]) -> Option<i32> {
    (payload.len() >= TXN_HEADER_BYTES).then(|| i32::from_be_bytes(payload[28..32].try_into().expect("four bytes")))
}

/// Appends a record with this payload to a buffer.
pub fn write_record(out: &mut Vec<u8>, payload: &[u8]) {
    out.reserve(payload.len() + RECORD_OVERHEAD_BYTES);
    out.extend_from_slice(&u64::from(simd_adler32::adler32(&payload)).to_be_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
    out.push(END_OF_RECORD);
}

/// The records of a log and how it ends. `bytes` may lack the zeros at the end of the file.
pub fn decode_log(bytes: &[u8]) -> (Vec<Record<'_>>, Scan) {
    let mut records = Vec::new();
    let scan = scan(bytes, |record| records.push(*record));
    (records, scan)
}

/// Reads a log to its end, showing each good record.
pub fn scan<'a>(bytes: &'a [u8], mut visit: impl FnMut(&Record<'a>)) -> Scan {
    let data_end = data_end(bytes);
    let mut scan = Scan { has_header: false, first: None, last: None, good_end: 0, data_end, end: LogEnd::Clean };
    if data_end < 4 || bytes[..4] != FILE_HEADER[..4] || bytes.len() < FILE_HEADER.len() {
        scan.end = judge_header(bytes, data_end);
        return scan;
    }
    scan.has_header = true;
    scan.good_end = FILE_HEADER.len();
    loop {
        let offset = scan.good_end;
        if offset >= data_end {
            return scan;
        }
        match record_at(bytes, offset) {
            Ok(record) => {
                scan.first.get_or_insert(record.zxid);
                scan.last = Some(record.zxid);
                scan.good_end = record.end();
                visit(&record);
            }
            Err(problem) => {
                scan.end = judge(bytes, offset, data_end, problem);
                return scan;
            }
        }
    }
}

/// The records between two offsets that an earlier [`scan`] found good, without looking at their checksums again.
pub fn trusted_records(bytes: &[u8], from: usize, to: usize) -> impl Iterator<Item = Record<'_>> {
    let mut offset = from;
    std::iter::from_fn(move || {
        if offset >= to {
            return None;
        }
        let length = u32::from_be_bytes(bytes[offset + 8..offset + 12].try_into().expect("four bytes")) as usize;
        let payload = &bytes[offset + 12..offset + 12 + length];
        let record = Record { zxid: zxid_of(payload)?, kind: type_of(payload)?, payload, offset };
        offset = record.end();
        Some(record)
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    /// The length is zero, or no payload can have it.
    Length,
    /// The bytes end before the record does.
    Short,
    /// The checksum is not that of the payload.
    Sum(usize),
    /// The payload is right, the end mark is missing (zero) or wrong.
    Mark(usize, u8),
}

fn record_at(bytes: &[u8], offset: usize) -> Result<Record<'_>, Problem> {
    let rest = &bytes[offset..];
    if rest.len() < RECORD_OVERHEAD_BYTES {
        return Err(Problem::Short);
    }
    let sum = u64::from_be_bytes(rest[..8].try_into().expect("eight bytes"));
    let length = i32::from_be_bytes(rest[8..12].try_into().expect("four bytes"));
    if length < TXN_HEADER_BYTES as i32 {
        return Err(Problem::Length);
    }
    let length = length as usize;
    if rest.len() < length + RECORD_OVERHEAD_BYTES {
        return Err(Problem::Short);
    }
    let payload = &rest[12..12 + length];
    if sum != u64::from(simd_adler32::adler32(&payload)) {
        return Err(Problem::Sum(length));
    }
    match rest[12 + length] {
        END_OF_RECORD => {
            Ok(Record { zxid: zxid_of(payload).expect("long enough"), kind: type_of(payload).expect("long enough"), payload, offset })
        }
        mark => Err(Problem::Mark(length, mark)),
    }
}

/// A log without a whole header: was it never written, or is it damaged?
fn judge_header(bytes: &[u8], data_end: usize) -> LogEnd {
    if data_end == 0 {
        return LogEnd::Clean;
    }
    if data_end < FILE_HEADER.len() && FILE_HEADER.starts_with(&bytes[..data_end]) {
        return LogEnd::Torn { records_follow: false };
    }
    let first_sector = &bytes[..bytes.len().min(SECTOR_BYTES)];
    if data_end <= LONGEST_BATCH_BYTES && is_zero(first_sector) && first_sector.len() == SECTOR_BYTES {
        return LogEnd::Torn { records_follow: find_record(bytes, 0, data_end) != Found::None };
    }
    LogEnd::Damaged("it does not begin with ZKLG".to_owned())
}

/// What a place where no good record begins, though there are data behind it, tells.
///
/// An interrupted write leaves new bytes up to some point and zeros behind it, or lacks whole sectors, which then hold
/// the zeros that were there before: the disk writes sectors whole, but those of one long write in any order. Nothing
/// else looks like that, so a flipped or zeroed byte in a record that was once acknowledged is told from it.
fn judge(bytes: &[u8], offset: usize, data_end: usize, problem: Problem) -> LogEnd {
    let extent = match problem {
        Problem::Length => offset + 12,
        Problem::Short => bytes.len().max(offset + 12),
        Problem::Sum(length) | Problem::Mark(length, _) => offset + RECORD_OVERHEAD_BYTES + length,
    };
    let follows = find_record(bytes, offset + 1, data_end);
    if follows == Found::Unclear {
        return LogEnd::Damaged(format!("the record at offset {offset} is damaged, and what follows cannot be told from records"));
    }
    let records_follow = follows != Found::None;
    let whole_to = if let Found::At(next) = follows { next } else { data_end };
    if is_whole_with_wrong_length(bytes, offset, whole_to) {
        return LogEnd::Damaged(format!("the length of the record at offset {offset} is damaged"));
    }
    if !records_follow {
        if let (Problem::Mark(length, 0), true) = (problem, data_end < extent) {
            let zxid = zxid_of(&bytes[offset + 12..offset + 12 + length]).expect("long enough");
            return LogEnd::MarkMissing { zxid, end: extent };
        }
        // The data stop within the record; or the file does.
        if data_end < extent || problem == Problem::Short {
            return LogEnd::Torn { records_follow };
        }
    }
    let explained_by_one_byte = match problem {
        // With the end mark gone, too, it would be two.
        Problem::Sum(length) => {
            bytes.get(offset + 12 + length) == Some(&END_OF_RECORD) && one_byte_explains(&bytes[offset..offset + 12 + length])
        }
        _ => false,
    };
    if lacks_a_sector(bytes, offset, extent) && !explained_by_one_byte && data_end - offset <= LONGEST_BATCH_BYTES {
        return LogEnd::Torn { records_follow };
    }
    let what = match problem {
        Problem::Length => "the length of the record",
        Problem::Short => "the length of the record",
        Problem::Sum(_) => "the record (its checksum does not fit)",
        Problem::Mark(..) => "the end mark of the record",
    };
    let behind = if records_follow { "; valid records follow" } else { "" };
    LogEnd::Damaged(format!("{what} at offset {offset} is damaged{behind}"))
}

/// Whether one of the sectors that the bytes of `offset..extent` lie in holds zeros where the write should have gone.
fn lacks_a_sector(bytes: &[u8], offset: usize, extent: usize) -> bool {
    let extent = extent.min(bytes.len());
    (offset / SECTOR_BYTES..extent.div_ceil(SECTOR_BYTES)).any(|sector| {
        let start = (sector * SECTOR_BYTES).max(offset);
        let end = ((sector + 1) * SECTOR_BYTES).min(bytes.len());
        // The first four bytes of a record are always zero, and prove nothing.
        start < end && end >= offset + 6 && is_zero(&bytes[start..end])
    })
}

/// Whether changing one byte of a record (checksum, length, payload) would make it right. Then it is that, and not
/// a payload with many zeros that has lost a sector.
fn one_byte_explains(record: &[u8]) -> bool {
    const MODULUS: i64 = 65521;
    let stored = u64::from_be_bytes(record[..8].try_into().expect("eight bytes"));
    let payload = &record[12..];
    let actual = u64::from(simd_adler32::adler32(&payload));
    if (stored ^ actual).to_be_bytes().iter().filter(|byte| **byte != 0).count() == 1 {
        return true;
    }
    if stored > u64::from(u32::MAX) {
        return false;
    }
    // Adler-32 is two sums: of the bytes, and of the bytes each times its distance from the end.
    let difference = |shift: u32| ((stored >> shift & 0xffff) as i64 - (actual >> shift & 0xffff) as i64).rem_euclid(MODULUS);
    let (a, b) = (difference(0), difference(16));
    (0..payload.len()).any(|i| {
        let weight = (payload.len() - i) as i64 % MODULUS;
        let old = i64::from(payload[i]);
        let new = (old + a).rem_euclid(MODULUS);
        new <= 255 && a != 0 && (a * weight).rem_euclid(MODULUS) == b
    })
}

/// Whether everything from `offset` to `end` is one record but for its length field.
fn is_whole_with_wrong_length(bytes: &[u8], offset: usize, end: usize) -> bool {
    if end < offset + RECORD_OVERHEAD_BYTES + TXN_HEADER_BYTES || bytes[end - 1] != END_OF_RECORD {
        return false;
    }
    let sum = u64::from_be_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"));
    sum == u64::from(simd_adler32::adler32(&&bytes[offset + 12..end - 1]))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    None,
    At(usize),
    Unclear,
}

/// Looks for a whole record anywhere in `from..data_end`.
fn find_record(bytes: &[u8], from: usize, data_end: usize) -> Found {
    let mut budget = SEARCH_BUDGET_BYTES;
    let mut offset = from;
    while offset + RECORD_OVERHEAD_BYTES + TXN_HEADER_BYTES <= data_end {
        // A record begins with the four zero bytes of its checksum's upper half.
        let Some(other) = bytes[offset..offset + 4].iter().rposition(|byte| *byte != 0) else {
            let length = i32::from_be_bytes(bytes[offset + 8..offset + 12].try_into().expect("four bytes"));
            let fits = length >= TXN_HEADER_BYTES as i32 && length as usize <= data_end - offset - RECORD_OVERHEAD_BYTES;
            if fits && bytes[offset + 12 + length as usize] == END_OF_RECORD {
                match budget.checked_sub(length as usize) {
                    Some(left) => budget = left,
                    None => return Found::Unclear,
                }
                if record_at(bytes, offset).is_ok() {
                    return Found::At(offset);
                }
            }
            offset += 1;
            continue;
        };
        offset += other + 1;
    }
    Found::None
}

/// Where the last byte that is not zero ends.
fn data_end(bytes: &[u8]) -> usize {
    let mut end = bytes.len();
    while end >= 4096 && is_zero(&bytes[end - 4096..end]) {
        end -= 4096;
    }
    bytes[..end].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// Whether all bytes are zero; without early exit, so that it runs at memory speed.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |all, byte| all | byte) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(zxid: i64, data: &[u8]) -> Vec<u8> {
        let mut payload = vec![0; TXN_HEADER_BYTES];
        payload[12..20].copy_from_slice(&zxid.to_be_bytes());
        payload[28..32].copy_from_slice(&5i32.to_be_bytes());
        payload.extend_from_slice(data);
        payload
    }

    fn log(records: &[Vec<u8>], padding: usize) -> Vec<u8> {
        let mut bytes = FILE_HEADER.to_vec();
        for record in records {
            write_record(&mut bytes, record);
        }
        bytes.resize(bytes.len() + padding, 0);
        bytes
    }

    #[test]
    fn the_bytes_are_those_that_java_writes() {
        // A createSession record of a Java server, from the reference.
        let hex = "010000126cb80000000000000000000000000001000001a2015bf1c5fffffff6000027100000000200000000\
                   51c6d660";
        let payload: Vec<u8> = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        let mut out = Vec::new();
        write_record(&mut out, &payload);
        assert_eq!(out[..12], [0, 0, 0, 0, 0xc3, 0xf2, 0x0a, 0x67, 0, 0, 0, 0x30]);
        assert_eq!(out.last(), Some(&b'B'));
        assert_eq!((zxid_of(&payload), type_of(&payload)), (Some(Zxid(1)), Some(-10)));
    }

    #[test]
    fn a_sector_of_zeros_in_the_data_does_not_excuse_a_flipped_byte() {
        let records = [payload(1, b"one"), payload(2, &[0; 4096]), payload(3, b"three")];
        let whole = log(&records, 1000);
        assert_eq!(decode_log(&whole).1.end, LogEnd::Clean);
        let second = FILE_HEADER.len() + records[0].len() + RECORD_OVERHEAD_BYTES;
        for at in (second + 4)..second + 100 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            let (good, scan) = decode_log(&bytes);
            assert_eq!(good.len(), 1, "{at}");
            assert!(matches!(scan.end, LogEnd::Damaged(_)), "{at}: {:?}", scan.end);
        }
    }

    /// Seed 187 of the simulator of one server on 32799b3: of a record only its last byte and its end mark lay in the sector
    /// that was lost, and a change of the one would have explained it.
    #[test]
    fn a_missing_sector_is_a_torn_write_however_little_of_a_record_it_held() {
        for in_last in 1..12 {
            let length = 2 * SECTOR_BYTES - FILE_HEADER.len() + in_last - RECORD_OVERHEAD_BYTES;
            let records = [payload(1, &vec![7; length - TXN_HEADER_BYTES]), payload(2, &[9; 2000])];
            let whole = log(&records, 1000);
            assert_eq!(whole[2 * SECTOR_BYTES + in_last - 1], END_OF_RECORD);
            let mut bytes = whole.clone();
            bytes[2 * SECTOR_BYTES..3 * SECTOR_BYTES].fill(0);
            assert_eq!(decode_log(&bytes).1.end, LogEnd::Torn { records_follow: false }, "{in_last}");
            // The byte alone is damage.
            let mut bytes = whole;
            bytes[2 * SECTOR_BYTES + in_last - 2] ^= 7;
            assert!(matches!(decode_log(&bytes).1.end, LogEnd::Damaged(_)), "{in_last}");
        }
    }

    #[test]
    fn a_missing_sector_is_a_torn_write_even_if_records_follow() {
        let records: Vec<_> = (1..=40).map(|zxid| payload(zxid, &[7; 100])).collect();
        let whole = log(&records, 1000);
        let sectors = whole.len() / SECTOR_BYTES;
        for sector in 1..sectors - 2 {
            let mut bytes = whole.clone();
            bytes[sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES].fill(0);
            let (good, scan) = decode_log(&bytes);
            assert_eq!(scan.end, LogEnd::Torn { records_follow: true }, "{sector}");
            assert!(scan.good_end <= sector * SECTOR_BYTES && good.len() < 40);
        }
    }

    #[test]
    fn every_prefix_of_a_log_is_a_torn_or_a_shorter_log() {
        let records = [payload(1, b"one"), payload(2, b"two"), payload(3, b"three")];
        let whole = log(&records, 0);
        for cut in 0..whole.len() {
            let mut bytes = whole[..cut].to_vec();
            for padding in [0, 2000] {
                bytes.resize(cut + padding, 0);
                let (good, scan) = decode_log(&bytes);
                assert!(!matches!(scan.end, LogEnd::Damaged(_)), "{cut} {padding} {:?}", scan.end);
                for (record, payload) in good.iter().zip(&records) {
                    assert_eq!(record.payload, payload);
                }
            }
        }
    }
}
