//! Session ids and the passwords that Java servers derive from them.

use std::fmt;

/// A session's number. 0 is no session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub i64);

impl SessionId {
    /// No session: a new one is asked for, or a transaction of the server itself.
    pub const NONE: SessionId = SessionId(0);

    /// The id of the first session of a server that starts at `time_ms` (since 1970): the server id in
    /// the top byte, the time below it, 16 bits for counting.
    pub const fn first(server_id: u8, time_ms: u64) -> Self {
        let id = (((time_ms << 24) >> 8) | ((server_id as u64) << 56)) as i64;
        // The smallest number marks container nodes and must not be a session.
        if id == i64::MIN { Self(id + 1) } else { Self(id) }
    }

    /// The number of the server that drew the id, as far as it fits into a byte.
    pub const fn server_id(self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// The next session's id.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// The password by which a client proves that a session is its own: the first 16 bytes of
    /// Java's `Random` seeded with the id. No secret is in it, which is what lets a session move
    /// between any two servers of an ensemble.
    pub fn password(self) -> [u8; 16] {
        const SALT: i64 = 0xB341_5C00;
        const MULTIPLIER: u64 = 0x5_DEEC_E66D;
        const MASK: u64 = (1 << 48) - 1;
        let mut state = ((self.0 ^ SALT) as u64 ^ MULTIPLIER) & MASK;
        let mut password = [0; 16];
        for word in password.chunks_exact_mut(4) {
            state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
            word.copy_from_slice(&((state >> 16) as u32).to_le_bytes());
        }
        password
    }
}

/// `0x` and hexadecimal without padding, as ZooKeeper prints session ids.
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_those_that_java_gave() {
        for (id, password) in [
            (0x0100_0012_6cb8_0000, "3a5e98303f6c958ba87cf4c1204c9a6d"),
            (0x0100_0012_6cb8_0005, "99037b305fe6f1e372cbf89a42f8006f"),
            (0x0100_0012_6cb8_000e, "f9a85d307f604e3c3c1afd7364a46770"),
            (0x0100_0012_6cb8_000f, "0cca57301fac2d81325d649f382d7c3d"),
        ] {
            let hex: String = SessionId(id).password().iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(hex, password, "session {id:#x}");
        }
    }

    #[test]
    fn the_first_session_carries_the_server_id_and_the_time() {
        assert_eq!(SessionId::first(1, 0x12_6cb8), SessionId(0x0100_0012_6cb8_0000));
    }
}
