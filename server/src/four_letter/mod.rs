//! The four-letter words: which there are, which are allowed, and what each prints.
//!
//! - here: the words and the white list.
//! - `view`: the plain data that an answer is made of; the runtime gathers it.
//! - `render`: the answers, to the byte those of ZooKeeper 3.9.5; `busy` is ours alone.
//! - `environment`: what `envi` says of the process and the machine.
//! - `date`, `zone`: dates as `java.util.Date` prints them.
//!
//! Reading the word from a socket, closing it, resetting counters (`srst`, `crst`) and storing the mask
//! (`stmk`) are the runtime's.

pub mod date;
pub mod environment;
pub mod render;
pub mod view;
pub mod zone;

pub use render::{Chunks, render};
pub use view::*;

/// A word. It is the first four bytes of a connection; what follows is ignored, but for `stmk`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// The busiest paths; a word of ours.
    Busy,
    /// Configuration in force.
    Conf,
    /// Connections with their statistics.
    Cons,
    /// Resets the statistics of all connections.
    Crst,
    /// Sizes of the directories.
    Dirs,
    /// Sessions, ephemerals, connections by expiry.
    Dump,
    /// Environment of the process.
    Envi,
    /// The trace mask.
    Gtmk,
    /// History of tree digests.
    Hash,
    /// `rw` or `ro`.
    Isro,
    /// All metrics.
    Mntr,
    /// Alive.
    Ruok,
    /// Resets the server's statistics.
    Srst,
    /// Statistics of the server.
    Srvr,
    /// The same with connections.
    Stat,
    /// Sets the trace mask: eight more bytes follow, a big-endian i64.
    Stmk,
    /// Watches by session.
    Wchc,
    /// Watches by path.
    Wchp,
    /// Numbers of watches.
    Wchs,
    /// What telnet sends when it is closed. Known so that it is not taken for a length: refused with a
    /// line if not in the white list (as by default), closed without an answer otherwise.
    TelnetClose,
}

impl Command {
    /// Every word.
    pub const ALL: [Command; 20] = [
        Command::Busy,
        Command::Conf,
        Command::Cons,
        Command::Crst,
        Command::Dirs,
        Command::Dump,
        Command::Envi,
        Command::Gtmk,
        Command::Hash,
        Command::Isro,
        Command::Mntr,
        Command::Ruok,
        Command::Srst,
        Command::Srvr,
        Command::Stat,
        Command::Stmk,
        Command::Wchc,
        Command::Wchp,
        Command::Wchs,
        Command::TelnetClose,
    ];

    /// The word in the first four bytes of a connection, if they are one. Lower case only.
    pub fn parse(bytes: &[u8; 4]) -> Option<Command> {
        Some(match bytes {
            b"busy" => Command::Busy,
            b"conf" => Command::Conf,
            b"cons" => Command::Cons,
            b"crst" => Command::Crst,
            b"dirs" => Command::Dirs,
            b"dump" => Command::Dump,
            b"envi" => Command::Envi,
            b"gtmk" => Command::Gtmk,
            b"hash" => Command::Hash,
            b"isro" => Command::Isro,
            b"mntr" => Command::Mntr,
            b"ruok" => Command::Ruok,
            b"srst" => Command::Srst,
            b"srvr" => Command::Srvr,
            b"stat" => Command::Stat,
            b"stmk" => Command::Stmk,
            b"wchc" => Command::Wchc,
            b"wchp" => Command::Wchp,
            b"wchs" => Command::Wchs,
            [0xff, 0xf4, 0xff, 0xfd] => Command::TelnetClose,
            _ => return None,
        })
    }

    /// The name in the white list and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Command::Busy => "busy",
            Command::Conf => "conf",
            Command::Cons => "cons",
            Command::Crst => "crst",
            Command::Dirs => "dirs",
            Command::Dump => "dump",
            Command::Envi => "envi",
            Command::Gtmk => "gtmk",
            Command::Hash => "hash",
            Command::Isro => "isro",
            Command::Mntr => "mntr",
            Command::Ruok => "ruok",
            Command::Srst => "srst",
            Command::Srvr => "srvr",
            Command::Stat => "stat",
            Command::Stmk => "stmk",
            Command::Wchc => "wchc",
            Command::Wchp => "wchp",
            Command::Wchs => "wchs",
            Command::TelnetClose => "telnet close",
        }
    }

    /// What a word that the white list does not allow is answered.
    pub fn refusal(self) -> String {
        format!("{} is not executed because it is not in the whitelist.\n", self.name())
    }

    /// What a [`ServerView`] must hold for this word; the rest may stay as `Default` made it.
    pub const fn needs(self) -> Needs {
        use Command::*;
        Needs {
            connections: matches!(self, Cons | Stat),
            statistics: matches!(self, Srvr | Stat),
            configuration: matches!(self, Conf),
            directory_sizes: matches!(self, Conf | Dirs),
            sessions: matches!(self, Dump),
            digests: matches!(self, Hash),
            watch_summary: matches!(self, Wchs),
            watches_by_path: matches!(self, Wchp),
            watches_by_session: matches!(self, Wchc),
            environment: matches!(self, Envi),
            metrics: matches!(self, Mntr),
            busy_paths: matches!(self, Busy),
        }
    }
}

/// Parts of a [`ServerView`] that a word prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// `connections`.
    pub connections: bool,
    /// `statistics`.
    pub statistics: bool,
    /// `configuration`.
    pub configuration: bool,
    /// `data_dir_size_bytes`, `log_dir_size_bytes`.
    pub directory_sizes: bool,
    /// `sessions`, `ephemerals`, `connection_buckets`.
    pub sessions: bool,
    /// `digests`.
    pub digests: bool,
    /// `watch_summary`.
    pub watch_summary: bool,
    /// `watches_by_path`.
    pub watches_by_path: bool,
    /// `watches_by_session`.
    pub watches_by_session: bool,
    /// `environment`.
    pub environment: bool,
    /// `metrics`.
    pub metrics: bool,
    /// `busy_paths`.
    pub busy_paths: bool,
}

/// Which words are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whitelist {
    allowed: [bool; Command::ALL.len()],
}

impl Whitelist {
    /// Reads `zookeeper.4lw.commands.whitelist` (`None` when it is not set): names with commas between
    /// and blanks around, unknown ones without effect, `*` for all. `srvr` is always allowed (zkServer.sh
    /// asks it), `isro` when `readonlymode.enabled` is true (clients look for a server with it).
    pub fn new(property: Option<&str>, read_only_mode: bool) -> Self {
        let mut allowed = [false; Command::ALL.len()];
        let mut allow = |name: &str| {
            for (command, allowed) in Command::ALL.iter().zip(&mut allowed) {
                *allowed |= name == "*" || name == command.name();
            }
        };
        allow("srvr");
        if read_only_mode {
            allow("isro");
        }
        for name in property.unwrap_or_default().split(',') {
            // Java's `trim` takes every character up to the blank.
            allow(name.trim_matches(|character| character <= ' '));
        }
        Self { allowed }
    }

    /// Whether a word is executed.
    pub fn allows(&self, command: Command) -> bool {
        self.allowed[command as usize]
    }

    /// The allowed words, for the log.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        Command::ALL.iter().filter(|command| self.allows(**command)).map(|command| command.name())
    }
}

/// What the configuration read, which follows the same rules.
impl From<&crate::config::FourLetterWhitelist> for Whitelist {
    fn from(configured: &crate::config::FourLetterWhitelist) -> Self {
        let words: Vec<&str> = configured.words.iter().map(String::as_str).collect();
        Self::new(Some(if configured.all { "*".to_owned() } else { words.join(",") }.as_str()), false)
    }
}

impl Default for Whitelist {
    fn default() -> Self {
        Self::new(None, false)
    }
}

/// `lop` of a connection after a request of this kind.
pub fn last_operation(op: oxkeeper_proto::OpCode) -> &'static str {
    use oxkeeper_proto::OpCode;
    match op {
        OpCode::PING => "PING",
        OpCode::CREATE_SESSION => "SESS",
        OpCode::MULTI => "MULT",
        OpCode::MULTI_READ => "MLTR",
        OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_TTL | OpCode::CREATE_CONTAINER => "CREA",
        OpCode::DELETE | OpCode::DELETE_CONTAINER => "DELE",
        OpCode::SET_DATA => "SETD",
        OpCode::RECONFIG => "RECO",
        OpCode::SET_ACL => "SETA",
        OpCode::CLOSE_SESSION => "CLOS",
        OpCode::SYNC => "SYNC",
        OpCode::CHECK => "CHEC",
        OpCode::EXISTS => "EXIS",
        OpCode::GET_DATA => "GETD",
        OpCode::SET_WATCHES => "SETW",
        OpCode::SET_WATCHES2 => "STW2",
        OpCode::ADD_WATCH => "ADDW",
        OpCode::GET_ACL => "GETA",
        OpCode::GET_CHILDREN | OpCode::GET_CHILDREN2 => "GETC",
        OpCode::GET_ALL_CHILDREN_NUMBER => "GETACN",
        OpCode::CHECK_WATCHES => "CHKW",
        OpCode::REMOVE_WATCHES => "REMW",
        OpCode::WHO_AM_I => "HOMI",
        OpCode::GET_EPHEMERALS => "GETE",
        _ => "NA",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known_by_their_bytes() {
        for (index, command) in Command::ALL.into_iter().enumerate() {
            assert_eq!(command as usize, index);
            let bytes = if command == Command::TelnetClose { b"\xff\xf4\xff\xfd" } else { command.name().as_bytes().try_into().unwrap() };
            assert_eq!(Command::parse(bytes), Some(command));
        }
        for unknown in [b"RUOK", b"ruoK", b"\0\0\0\x2d", b"kill", b"reqs", b"orst", b"lead", b"\xff\xff\xff\xff"] {
            assert_eq!(Command::parse(unknown), None);
        }
    }

    #[test]
    fn the_white_list_is_read_as_java_reads_it() {
        for (property, read_only, names) in [
            (None, false, "srvr"),
            (None, true, "isro srvr"),
            (Some(""), false, "srvr"),
            (Some("ruok"), false, "ruok srvr"),
            (Some(" stat\t, ruok ,,mntr"), false, "mntr ruok srvr stat"),
            (Some("RUOK,nope,st at"), false, "srvr"),
            (Some("telnet close"), false, "srvr telnet close"),
        ] {
            let list = Whitelist::new(property, read_only);
            assert_eq!(list.names().collect::<Vec<_>>().join(" "), names, "{property:?}");
        }
        for all in ["*", " * ", "ruok,*", "nope,*,x"] {
            let list = Whitelist::new(Some(all), false);
            assert!(Command::ALL.into_iter().all(|command| list.allows(command)), "{all}");
        }
        assert_eq!(Whitelist::default(), Whitelist::new(None, false));
    }

    #[test]
    fn the_configured_white_list_is_taken_over() {
        let words = ["isro", "srvr"].map(str::to_owned).into();
        let some = crate::config::FourLetterWhitelist { all: false, words };
        assert_eq!(Whitelist::from(&some), Whitelist::new(None, true));
        let all = crate::config::FourLetterWhitelist { all: true, words: Default::default() };
        assert_eq!(Whitelist::from(&all), Whitelist::new(Some("*"), false));
    }
}
