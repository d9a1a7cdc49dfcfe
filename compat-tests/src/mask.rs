//! The masks: the whole list of what may differ between Java and the server under test. Nothing else is hidden.
//!
//! 1. Times (`ctime`, `mtime`): a time inside the run's window reads `T`; when `mzxid == czxid` the two must be equal.
//! 2. Session ids: replaced by the name the script gave to the session, where a session is meant (`ephemeralOwner`,
//!    connect response); ids the script does not know are shown as they are.
//! 3. Passwords: shown as `good` if they are the password that belongs to the session id, else as they are.
//! 4. Zxids: counted from the zxid at which the script began, so that one difference does not drag all later
//!    scripts with it. Within a script each is compared exactly.
//! 5. Unordered vectors (children, ephemerals, identities): sorted (`wire`).
//! 6. Events of one closeSession transaction: sorted among themselves, since Java deletes ephemerals in the order
//!    of a hash set (`conversation`).
//! 7. The text of four-letter words: values by `four_letter`.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a transcript calls the values that differ from server to server.
#[derive(Clone, Default)]
pub struct Names {
    base_zxid: i64,
    sessions: HashMap<i64, String>,
    started_ms: i64,
    raw: bool,
}

impl Names {
    /// Masks relative to the zxid at which the script began.
    pub fn new(base_zxid: i64) -> Names {
        Names { base_zxid, sessions: HashMap::new(), started_ms: wall_clock_ms(), raw: false }
    }

    /// No mask at all: for two servers that read the same directory.
    pub fn identity() -> Names {
        Names { raw: true, ..Names::default() }
    }

    /// Counts zxids from `base_zxid` on.
    pub fn set_base(&mut self, base_zxid: i64) {
        self.base_zxid = base_zxid;
    }

    /// Gives a session a name; the first name stays.
    pub fn name_session(&mut self, id: i64, name: &str) {
        self.sessions.entry(id).or_insert_with(|| name.to_owned());
    }

    /// The zxid of the header, Stat or event, relative to the beginning of the script.
    pub fn zxid(&self, zxid: i64) -> String {
        if self.raw {
            return format!("{zxid:x}");
        }
        match zxid {
            -1..=0 => zxid.to_string(),
            _ if zxid >= self.base_zxid => format!("z+{}", zxid - self.base_zxid),
            _ => format!("z-{}", self.base_zxid - zxid),
        }
    }

    /// The name of the session, or the value itself if it is none of ours.
    pub fn session(&self, id: i64) -> String {
        if self.raw {
            return format!("{id:x}");
        }
        self.sessions.get(&id).cloned().unwrap_or_else(|| format!("{id:x}"))
    }

    /// `ctime` and `mtime`.
    pub fn times(&self, ctime: i64, mtime: i64, must_be_equal: bool) -> String {
        if self.raw {
            return format!("ct {ctime} mt {mtime}");
        }
        let relation = match (must_be_equal, ctime == mtime) {
            (true, true) => "=",
            (true, false) => "DIFFERENT",
            (false, _) => "",
        };
        format!("ct {} mt {}{relation}", self.time(ctime), self.time(mtime))
    }

    fn time(&self, ms: i64) -> String {
        const SLACK_MS: i64 = 600_000;
        if ms >= self.started_ms - SLACK_MS && ms <= wall_clock_ms() + SLACK_MS { "T".to_owned() } else { ms.to_string() }
    }
}

/// The password that every ZooKeeper server derives from a session id: `java.util.Random` seeded with the id.
pub fn session_password(id: i64) -> [u8; 16] {
    const MASK: u64 = (1 << 48) - 1;
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    let mut state = ((id as u64) ^ 0xB341_5C00 ^ MULTIPLIER) & MASK;
    let mut password = [0; 16];
    for word in password.chunks_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        word.copy_from_slice(&((state >> 16) as u32).to_le_bytes());
    }
    password
}

fn wall_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since.as_millis()).expect("fits for ages")
}

#[cfg(test)]
mod tests {
    #[test]
    fn password_is_the_one_that_a_java_server_gave() {
        let hex = crate::wire::hex(&super::session_password(0x0100_0012_6cb8_0000));
        assert_eq!(hex, "3a5e98303f6c958ba87cf4c1204c9a6d");
    }
}
