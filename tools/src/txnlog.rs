//! Transaction logs: shown, repaired and cut as Java's TxnLogToolkit does it, and judged by our own rules.

use crate::txn_text::line;
use crate::{Calendar, EXIT_INVALID_INVOCATION, EXIT_UNEXPECTED_ERROR, Failure};
use oxkeeper_proto::Zxid;
use oxkeeper_proto::txn::LoggedTxn;
use oxkeeper_store::disk::{Disk as _, OpenMode, RealDisk, read_without_trailing_hole};
use oxkeeper_store::log_format::{self, END_OF_RECORD, FILE_HEADER, LogEnd, RECORD_OVERHEAD_BYTES};
use oxkeeper_store::recovery::follows;
use std::fs::File;
use std::io::{BufRead, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Java's `zookeeper.preAllocSize`, by which a repaired log is padded.
const PADDING_BYTES: u64 = 64 << 20;
/// Java pads again when fewer bytes than this are left.
const PADDING_RESERVE_BYTES: u64 = 4096;

/// How records with a wrong checksum are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Repair all without asking.
    pub yes: bool,
    /// Print every record, not just repaired ones.
    pub verbose: bool,
}

/// One record as it lies in the file, good or not.
struct Raw<'a> {
    sum: u64,
    payload: &'a [u8],
    /// The end mark, `None` where the file ends before it.
    mark: Option<u8>,
}

impl Raw<'_> {
    fn actual_sum(&self) -> u64 {
        u64::from(simd_adler32::adler32(&self.payload))
    }
}

/// The content of a log, without the zeros at its end, and its length with them.
fn read(path: &Path) -> Result<(Vec<u8>, u64), Failure> {
    // The message is the one of the original, for a file that is missing and for one that cannot be read.
    let refused = |_| Failure::unexpected(format!("File doesn't exist or not readable: {}", path.display()));
    if path.is_dir() {
        return Err(Failure::unexpected(format!("{} is a directory; name one of the log files in it", path.display())));
    }
    let file = RealDisk.open(path, OpenMode::Read).map_err(refused)?;
    read_without_trailing_hole(&*file).map_err(|error| Failure::of_file(path, &error))
}

/// Java's view of a log: header, and records up to the first that is empty or cut off.
struct Records<'a> {
    bytes: &'a [u8],
    offset: usize,
    /// The length of the file; what `bytes` lack are zeros.
    size: u64,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Raw<'a>, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let head = self.bytes.get(self.offset..self.offset + 12)?;
        let sum = u64::from_be_bytes(head[..8].try_into().expect("eight bytes"));
        let length = i32::from_be_bytes(head[8..].try_into().expect("four bytes"));
        if length == 0 {
            return None;
        }
        let Ok(length) = usize::try_from(length) else {
            return Some(Err(Failure::unexpected(format!(
                "the record at offset {} has the length {length}: the log is damaged from there on. `oxkeeper txnlog --verify` tells more.",
                self.offset
            ))));
        };
        let start = self.offset + 12;
        let end = start + length;
        if end > self.bytes.len() {
            // A record that ends in the zeros behind the data is no record to us; Java would read those zeros, find a
            // wrong checksum and then no end mark.
            if (end as u64) < self.size {
                return Some(Err(partial()));
            }
            return None;
        }
        self.offset = end + 1;
        let mark = self.bytes.get(end).copied().or(((end as u64) < self.size).then_some(0));
        Some(Ok(Raw { sum, payload: &self.bytes[start..end], mark }))
    }
}

fn partial() -> Failure {
    Failure { exit_code: EXIT_UNEXPECTED_ERROR, message: "Last transaction was partial.".to_owned() }
}

/// The header's line, or Java's complaint.
fn open<'a>(path: &Path, bytes: &'a [u8], size: u64, out: &mut dyn Write) -> Result<Records<'a>, Failure> {
    if bytes.len() < FILE_HEADER.len() && size < FILE_HEADER.len() as u64 {
        return Err(Failure::unexpected(format!("{} has {size} bytes, which is no whole header of a log", path.display())));
    }
    if !bytes.starts_with(&FILE_HEADER[..4]) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        return Err(Failure { exit_code: EXIT_INVALID_INVOCATION, message: format!("Invalid magic number for {name}") });
    }
    let mut header = [0; FILE_HEADER.len()];
    let given = bytes.len().min(header.len());
    header[..given].copy_from_slice(&bytes[..given]);
    let version = i32::from_be_bytes(header[4..8].try_into().expect("four bytes"));
    let database = i64::from_be_bytes(header[8..].try_into().expect("eight bytes"));
    writeln!(out, "ZooKeeper Transactional Log File with dbid {database} txnlog format version {version}")?;
    Ok(Records { bytes, offset: FILE_HEADER.len(), size })
}

fn text(payload: &[u8], calendar: &dyn Calendar) -> Result<String, Failure> {
    line(payload, calendar).map_err(|error| Failure::unexpected(format!("a record cannot be read: {error}")))
}

/// Prints all records, as `zkTxnLogToolkit.sh <file>`. A record with a wrong checksum is marked and printed twice.
///
/// # Errors
/// As Java: an unreadable file, a file that is no log (exit code 2), a record without its end mark.
pub fn dump(path: &Path, calendar: &dyn Calendar, out: &mut dyn Write) -> Result<(), Failure> {
    let (bytes, size) = read(path)?;
    let mut count = 0;
    for raw in open(path, &bytes, size, out)? {
        let raw = raw?;
        let line = text(raw.payload, calendar)?;
        if raw.sum != raw.actual_sum() {
            write!(out, "CRC ERROR - {line}")?;
        }
        out.write_all(line.as_bytes())?;
        if raw.mark != Some(END_OF_RECORD) {
            return Err(partial());
        }
        count += 1;
    }
    writeln!(out, "EOF reached after {count} txns.")?;
    Ok(())
}

/// Writes `<file>.fixed` with the checksums that were agreed to be calculated anew.
///
/// # Errors
/// As Java; also when the target is there already.
pub fn recover(
    path: &Path,
    recovery: Recovery,
    calendar: &dyn Calendar,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (bytes, size) = read(path)?;
    let target = with_suffix(path, ".fixed");
    let mut file = match File::options().write(true).create_new(true).open(&target) {
        Ok(file) => file,
        Err(_) => return Err(Failure::unexpected(format!("Recovery file {} already exists or not writable", target.display()))),
    };
    let mut words = Words { input, line: Vec::new() };
    let mut fixed = 0;
    let result = (|| -> Result<(), Failure> {
        let records = open(path, &bytes, size, out)?;
        let written = |error: std::io::Error| Failure::of_file(&target, &error);
        file.write_all(&bytes[..FILE_HEADER.len()]).map_err(written)?;
        let mut padded = FILE_HEADER.len() as u64;
        let mut position = padded;
        let mut count = 0;
        let mut record = Vec::new();
        for raw in records {
            let raw = raw?;
            let mut sum = raw.sum;
            if sum != raw.actual_sum() {
                let line = text(raw.payload, calendar)?;
                if recovery.yes {
                    write!(out, "CRC FIXED - {line}")?;
                } else {
                    write!(out, "CRC ERROR - {line}")?;
                }
                if recovery.yes || asks_for_fix(&mut words, out)? {
                    sum = raw.actual_sum();
                    fixed += 1;
                }
            }
            if recovery.verbose {
                out.write_all(text(raw.payload, calendar)?.as_bytes())?;
            }
            if raw.mark != Some(END_OF_RECORD) {
                return Err(partial());
            }
            if position + PADDING_RESERVE_BYTES >= padded {
                padded =
                    if position > padded { (position + PADDING_BYTES) / PADDING_BYTES * PADDING_BYTES } else { padded + PADDING_BYTES };
                file.set_len(padded).map_err(written)?;
                file.seek(SeekFrom::Start(position)).map_err(written)?;
            }
            record.clear();
            record.extend_from_slice(&sum.to_be_bytes());
            record.extend_from_slice(&(raw.payload.len() as u32).to_be_bytes());
            record.extend_from_slice(raw.payload);
            record.push(END_OF_RECORD);
            file.write_all(&record).map_err(written)?;
            position += record.len() as u64;
            count += 1;
        }
        file.sync_all().map_err(written)?;
        writeln!(out, "EOF reached after {count} txns.")?;
        Ok(())
    })();
    match result {
        Ok(()) => {
            writeln!(out, "Recovery file {} has been written with {fixed} fixed CRC error(s)", target.display())?;
            Ok(())
        }
        // As Java, what was written so far stays; "Abort" is no error.
        Err(failure) => Err(failure),
    }
}

/// Blank-separated words of the answers.
struct Words<'a> {
    input: &'a mut dyn BufRead,
    line: Vec<String>,
}

impl Words<'_> {
    fn next(&mut self) -> Option<String> {
        while self.line.is_empty() {
            let mut line = String::new();
            if self.input.read_line(&mut line).ok()? == 0 {
                return None;
            }
            self.line = line.split_whitespace().rev().map(str::to_owned).collect();
        }
        self.line.pop()
    }
}

fn asks_for_fix(words: &mut Words<'_>, out: &mut dyn Write) -> Result<bool, Failure> {
    loop {
        write!(out, "Would you like to fix it (Yes/No/Abort) ? ")?;
        out.flush()?;
        let Some(word) = words.next() else {
            return Err(Failure::unexpected("no answer: standard input has ended; -y repairs without asking"));
        };
        match word.chars().next().map(|letter| letter.to_ascii_uppercase()) {
            Some('Y') => return Ok(true),
            Some('N') => return Ok(false),
            Some('A') => return Err(Failure { exit_code: 0, message: "Recovery aborted.".to_owned() }),
            _ => {}
        }
    }
}

/// Writes `<file>.chopped<zxid>` with the records up to and including a zxid that the log holds; returns whether that
/// was done. What there is to say is printed. Java creates the target in any case, and so do we.
///
/// # Errors
/// As Java: an unreadable file.
pub fn chop(path: &Path, zxid: Zxid, out: &mut dyn Write, err: &mut dyn Write) -> Result<bool, Failure> {
    let (bytes, size) = read(path)?;
    let target = with_suffix(path, &format!(".chopped{}", zxid.0));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut chopped = Vec::new();
    let done = chop_bytes(path, &bytes, size, zxid, &mut chopped, out, err)?;
    let written = (|| {
        let mut file = File::create(&target)?;
        file.write_all(&chopped)?;
        file.sync_all()
    })();
    if let Err(error) = written {
        writeln!(out, "Got exception: {} ({})", target.display(), crate::without_code(&error))?;
        return Ok(false);
    }
    match done {
        Ok(true) => return Ok(true),
        Ok(false) => writeln!(out, "Got exception: Failed to chop {name}")?,
        Err(reason) => writeln!(out, "Got exception: {reason}")?,
    }
    Ok(false)
}

fn chop_bytes(
    path: &Path,
    bytes: &[u8],
    size: u64,
    zxid: Zxid,
    chopped: &mut Vec<u8>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Result<bool, String>, Failure> {
    if !bytes.starts_with(&FILE_HEADER[..4]) {
        writeln!(err, "Invalid magic number in txn log file")?;
        return Ok(Ok(false));
    }
    let records = open(path, bytes, size, out)?;
    chopped.extend_from_slice(&bytes[..FILE_HEADER.len()]);
    let mut previous: Option<Zxid> = None;
    let (mut count, mut found) = (0, false);
    for raw in records {
        let raw = match raw {
            Ok(raw) => raw,
            Err(failure) => return Ok(Err(failure.message)),
        };
        if raw.sum != raw.actual_sum() {
            return Ok(Err(format!("CRC doesn't match {} vs {}", raw.sum as i64, raw.actual_sum())));
        }
        let at = match LoggedTxn::read(raw.payload) {
            Ok(logged) => Zxid(logged.header.zxid),
            Err(error) => return Ok(Err(error.to_string())),
        };
        if raw.mark != Some(END_OF_RECORD) {
            writeln!(out, "Last transaction was partial.")?;
            return Ok(Err("Last transaction was partial.".to_owned()));
        }
        found |= at == zxid;
        if let Some(last) = previous.filter(|last| at.0 != last.0 + 1) {
            if at.epoch() == last.epoch() {
                writeln!(out, "There is intra-epoch gap between {last:x} and {at:x}")?;
            } else if at.counter() != 1 {
                writeln!(out, "There is inter-epoch gap between {last:x} and {at:x}")?;
            }
        }
        previous = Some(at);
        if at > zxid {
            if count == 0 || !found {
                writeln!(out, "This log does not contain zxid {zxid:x}")?;
                return Ok(Ok(false));
            }
            writeln!(out, "Chopping at {zxid:x} new log has {count} records")?;
            return Ok(Ok(true));
        }
        log_format::write_record(chopped, raw.payload);
        count += 1;
    }
    writeln!(out, "EOF reached after {count} txns.")?;
    Ok(Ok(false))
}

/// Reads a number as Java's `Long.decode`: decimal, `0x` or `#` hexadecimal, `0` octal.
pub fn decode_long(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = if let Some(rest) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        (16, rest)
    } else if let Some(rest) = digits.strip_prefix('#') {
        (16, rest)
    } else if let Some(rest) = digits.strip_prefix('0').filter(|rest| !rest.is_empty()) {
        (8, rest)
    } else {
        (10, digits)
    };
    if digits.is_empty() || digits.starts_with(['-', '+']) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
    i64::try_from(if negative { -value } else { value }).ok()
}

/// What our own rules say of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whole records.
    pub records: usize,
    /// First and last zxid.
    pub zxids: Option<(Zxid, Zxid)>,
    /// What is wrong; `None` for a healthy log.
    pub problem: Option<String>,
    /// What is odd but harmless.
    pub note: Option<String>,
}

/// Judges a log by itself: checksums, end marks, an order without holes, every record readable.
///
/// # Errors
/// An unreadable file.
pub fn verify(path: &Path) -> Result<Verdict, Failure> {
    let (bytes, _) = read(path)?;
    let mut verdict = Verdict { records: 0, zxids: None, problem: None, note: None };
    let (records, scan) = log_format::decode_log(&bytes);
    for record in &records {
        let problem = match verdict.zxids {
            Some((_, last)) if record.zxid <= last && record.kind != log_format::ERROR_TYPE => {
                Some(format!("zxid {} comes after {last} at offset {}", record.zxid, record.offset))
            }
            Some((_, last)) if record.zxid > last && !follows(last, record.zxid) => {
                Some(format!("zxid {} comes after {last} at offset {}: what lies between is missing", record.zxid, record.offset))
            }
            _ => {
                LoggedTxn::read(record.payload).err().map(|error| format!("the record at offset {} cannot be read: {error}", record.offset))
            }
        };
        verdict.problem = verdict.problem.or(problem);
        verdict.records += 1;
        let first = verdict.zxids.map_or(record.zxid, |(first, _)| first);
        verdict.zxids = Some((first, record.zxid));
    }
    match scan.end {
        LogEnd::Clean if !scan.has_header => verdict.note = Some("it is empty: no record was ever written".to_owned()),
        LogEnd::Clean => {}
        LogEnd::Torn { .. } => {
            let lost = scan.data_end.saturating_sub(scan.good_end);
            verdict.note = Some(format!("it ends with an interrupted write at offset {}; {lost} bytes do not count", scan.good_end));
        }
        LogEnd::MarkMissing { zxid, end } => {
            let at = end - 1;
            verdict.note = Some(format!("the end mark of the last record, zxid {zxid}, is missing at offset {at}"));
        }
        LogEnd::Damaged(reason) => verdict.problem = verdict.problem.or(Some(reason)),
    }
    debug_assert!(scan.good_end == 0 || scan.good_end >= FILE_HEADER.len() + verdict.records * RECORD_OVERHEAD_BYTES);
    Ok(verdict)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_java_decodes_them() {
        for (text, value) in [
            ("0", Some(0)),
            ("10", Some(10)),
            ("0x10", Some(16)),
            ("#ff", Some(255)),
            ("010", Some(8)),
            ("-0x1", Some(-1)),
            ("0x100000001", Some(0x1_0000_0001)),
            ("", None),
            ("0x", None),
            ("abc", None),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("--1", None),
        ] {
            assert_eq!(decode_long(text), value, "{text}");
        }
    }
}
