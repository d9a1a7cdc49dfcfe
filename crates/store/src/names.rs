//! What a file name in a data directory says, read exactly as Java reads it.
//!
//! Java splits a name at its dots: the first piece is the kind, the second the zxid, whatever follows is ignored. So
//! `log.5.bak` is a log to Java, and `snapshot.5.tmp` a snapshot. Names of our own therefore begin with `oxkeeper.`,
//! which Java takes for neither.

use oxkeeper_proto::zxid::Zxid;

/// The directory below dataDir and dataLogDir that holds the files.
pub const VERSION_DIRECTORY: &str = "version-2";
/// Begins every name that Java is to overlook.
pub const OWN_PREFIX: &str = "oxkeeper.";
/// Held open and locked by a running server.
pub const LOCK: &str = "oxkeeper.lock";
/// Space that is given back when the disk is full.
pub const RESERVE: &str = "oxkeeper.reserve";
/// Says that the last log was closed in good order.
pub const CLEAN: &str = "oxkeeper.clean";
/// The second copy of the epochs.
pub const EPOCHS: &str = "oxkeeper.epochs";
/// What was cut off a log at the last start that found a torn tail.
pub const TORN: &str = "oxkeeper.torn";
/// Begins the name of a file that is not whole yet; removed at start.
pub const TEMPORARY_PREFIX: &str = "oxkeeper.tmp.";
/// Begins the name of a file of a history that is not complete yet, and is to take the place of the one that is there.
pub const STAGED_PREFIX: &str = "oxkeeper.tmp.staged.";
/// Says that it is complete and takes that place now.
pub const ADOPTING: &str = "oxkeeper.adopting";
/// Begins the name of a file that was taken out of the history but not deleted.
pub const ASIDE_PREFIX: &str = "oxkeeper.aside.";

/// How the bytes of a snapshot file are packed, said by the last piece of its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all (Java calls it CHECKED).
    #[default]
    None,
    /// gzip.
    Gz,
    /// The blocks of snappy-java's SnappyOutputStream.
    Snappy,
}

impl Compression {
    /// The end of the file name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gz => ".gz",
            Self::Snappy => ".snappy",
        }
    }

    /// The value of `zookeeper.snapshot.compression.method`; anything unknown means none, as in Java.
    pub fn from_method(method: &str) -> Self {
        if method.eq_ignore_ascii_case("gz") {
            Self::Gz
        } else if method.eq_ignore_ascii_case("snappy") {
            Self::Snappy
        } else {
            Self::None
        }
    }

    /// The packing of a file by its name.
    pub fn of_name(name: &str) -> Self {
        match name.trim_end_matches('.').rsplit_once('.') {
            Some((_, last)) => Self::from_method(last),
            None => Self::None,
        }
    }
}

/// `log.<zxid>`.
pub fn log_name(first: Zxid) -> String {
    format!("log.{first:x}")
}

/// `snapshot.<zxid>` and the ending of the compression.
pub fn snapshot_name(zxid: Zxid, compression: Compression) -> String {
    format!("snapshot.{zxid:x}{}", compression.extension())
}

/// The zxid in a log's name as Java reads it, `None` for what Java does not take for a log.
pub fn log_zxid(name: &str) -> Option<Zxid> {
    zxid_of(name, "log")
}

/// The zxid in a snapshot's name as Java reads it, `None` for what Java does not take for a snapshot.
pub fn snapshot_zxid(name: &str) -> Option<Zxid> {
    zxid_of(name, "snapshot")
}

/// Whether a log bears the name that a server gives, and not one with something attached.
pub fn is_plain_log(name: &str) -> bool {
    log_zxid(name).is_some_and(|zxid| name == log_name(zxid))
}

/// Whether a snapshot bears a name that a server gives to a finished one.
pub fn is_plain_snapshot(name: &str) -> bool {
    snapshot_zxid(name).is_some_and(|zxid| name == snapshot_name(zxid, Compression::of_name(name)))
}

fn zxid_of(name: &str, kind: &str) -> Option<Zxid> {
    let mut pieces = name.split('.');
    if pieces.next() != Some(kind) {
        return None;
    }
    i64::from_str_radix(pieces.next()?, 16).ok().filter(|zxid| *zxid >= 0).map(Zxid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_java_reads_them() {
        let cases = [
            ("log.1", Some(1)),
            ("log.100000001", Some(0x1_0000_0001)),
            ("log.1.bak", Some(1)),
            ("log.FF", Some(255)),
            ("log.", None),
            ("log", None),
            ("log..5", None),
            ("log.x", None),
            ("log.ffffffffffffffff", None),
            ("logs.1", None),
            ("snapshot.1", None),
            ("oxkeeper.tmp.log.1", None),
        ];
        for (name, zxid) in cases {
            assert_eq!(log_zxid(name), zxid.map(Zxid), "{name}");
        }
        for (name, plain) in [("log.ff", true), ("log.FF", false), ("log.0ff", false), ("log.ff.gz", false)] {
            assert_eq!(is_plain_log(name), plain, "{name}");
        }
        for (name, plain) in [("snapshot.0", true), ("snapshot.0.gz", true), ("snapshot.a.snappy", true), ("snapshot.a.tmp", false)] {
            assert_eq!(is_plain_snapshot(name), plain, "{name}");
        }
        assert_eq!(Compression::of_name("snapshot.5.gz"), Compression::Gz);
        assert_eq!(Compression::of_name("snapshot.5.snappy"), Compression::Snappy);
        assert_eq!(Compression::of_name("snapshot.5.tmp"), Compression::None);
        assert_eq!(Compression::of_name("snapshot.5"), Compression::None);
    }
}
