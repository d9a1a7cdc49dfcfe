//! The commands: one table for what they are called, what they take and what they do. The shell and the single command
//! of a command line read it, and so do usage and completion.

mod acl;
mod configuration;
mod quota;
mod read;
mod subtree;
mod walk;
mod watch;
mod write;

use crate::console::Console;
use crate::failure::Failure;
use crate::options::{self, Choice, Given, OptionRow, OptionTable};
use crate::session::Session;
use oxkeeper_proto::records::Stat;
use oxkeeper_server::four_letter::date::JavaDate;
use oxkeeper_server::four_letter::zone::Zone;
use serde_json::{Map, Value, json};

/// What a command works with.
pub struct Context<'a> {
    /// The session.
    pub session: &'a Session,
    /// Where it says things.
    pub console: &'a Console,
    /// For dates.
    pub zone: &'a Zone,
    /// What `version` prints.
    pub version: &'a str,
    /// Whether somebody sits there who can press a key.
    pub is_terminal: bool,
}

impl Context<'_> {
    /// Prints text, or the value if values are wanted.
    fn say(&self, text: impl FnOnce() -> String, value: impl FnOnce() -> Value) {
        if self.console.is_json {
            self.console.value(&value());
        } else {
            self.console.line(&text());
        }
    }

    /// A Stat in lines.
    fn stat_text(&self, stat: &Stat) -> String {
        crate::text::stat(stat, self.zone)
    }

    /// A Stat as JSON: numbers, zxids and sessions as text like everywhere, times twice.
    fn stat_value(&self, stat: &Stat) -> Value {
        json!({
            "cZxid": format!("{:#x}", stat.czxid),
            "ctime": JavaDate { epoch_ms: stat.ctime, zone: self.zone }.to_string(),
            "ctimeMs": stat.ctime,
            "mZxid": format!("{:#x}", stat.mzxid),
            "mtime": JavaDate { epoch_ms: stat.mtime, zone: self.zone }.to_string(),
            "mtimeMs": stat.mtime,
            "pZxid": format!("{:#x}", stat.pzxid),
            "cversion": stat.cversion,
            "dataVersion": stat.version,
            "aclVersion": stat.aversion,
            "ephemeralOwner": format!("{:#x}", stat.ephemeral_owner),
            "dataLength": stat.data_length,
            "numChildren": stat.num_children,
        })
    }

    /// An object of these members, and the Stat if there is one.
    fn object(&self, members: Value, stat: Option<&Stat>) -> Value {
        let mut object = match members {
            Value::Object(object) => object,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        if let Some(stat) = stat {
            object.insert("stat".to_owned(), self.stat_value(stat));
        }
        Value::Object(object)
    }
}

/// What a command is given.
pub struct Arguments {
    /// Its options.
    pub given: Given,
    /// The words as typed, the command first.
    pub typed: Vec<String>,
    /// The table's row.
    pub command: &'static Command,
}

impl Arguments {
    /// The word at that place after the command.
    fn word(&self, at: usize) -> &str {
        self.given.words.get(at).map_or("", String::as_str)
    }

    /// The usage, as the complaint that it is.
    fn usage(&self) -> Failure {
        Failure::refused(self.command.usage())
    }

    /// The old forms `get path watch`, `ls path watch`, `stat path watch`: whatever the third word typed is becomes `-w`.
    fn retain_old_watch_form(&mut self, context: &Context<'_>, advice: &str) -> Result<(), Failure> {
        if self.given.words.len() > 2 {
            let name = self.command.name;
            context.console.error(&format!("'{name} path [watch]' has been deprecated. Please use '{advice}' instead."));
            "-w".clone_into(&mut self.typed[2]);
            self.given = options::parse(&self.command.options, &self.typed).map_err(Failure::refused)?;
        }
        Ok(())
    }
}

/// How many words a command takes, itself counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    /// Whatever is given is not looked at, options neither.
    Ignored,
    /// The command itself will see.
    Any,
    /// So many, or more that are not looked at.
    Least(usize),
    /// Exactly so many.
    Exactly(usize),
}

/// A row of the table.
pub struct Command {
    /// What it is called.
    pub name: &'static str,
    /// What it takes, for the usage.
    pub arguments: &'static str,
    options: OptionTable,
    words: Words,
    /// Whether the usage goes on with a list of the options.
    explains_options: bool,
    run: fn(&Context<'_>, Arguments) -> Result<(), Failure>,
}

impl Command {
    /// The usage line, and the options where they are explained.
    fn usage(&self) -> String {
        let options = if self.explains_options { format!("\n{}", self.options.help()) } else { String::new() };
        format!("{} {}{options}", self.name, self.arguments)
    }

    /// Runs it. The first word is the command itself.
    ///
    /// # Errors
    /// Its own, and those of its arguments.
    pub fn run(&'static self, context: &Context<'_>, typed: Vec<String>) -> Result<(), Failure> {
        let given = match self.words {
            Words::Ignored => Given::default(),
            _ => options::parse(&self.options, &typed).map_err(Failure::refused)?,
        };
        let arguments = Arguments { given, typed, command: self };
        let count = arguments.given.words.len();
        let fits = match self.words {
            Words::Ignored | Words::Any => true,
            Words::Least(least) => count >= least,
            Words::Exactly(exactly) => count == exactly,
        };
        if fits { (self.run)(context, arguments) } else { Err(arguments.usage()) }
    }
}

const fn flag(name: &'static str, description: &'static str) -> OptionRow {
    OptionRow { name, has_value: false, description }
}

const fn value(name: &'static str, description: &'static str) -> OptionRow {
    OptionRow { name, has_value: true, description }
}

const fn command(
    name: &'static str,
    arguments: &'static str,
    options: &'static [OptionRow],
    words: Words,
    run: fn(&Context<'_>, Arguments) -> Result<(), Failure>,
) -> Command {
    Command { name, arguments, options: OptionTable::free(options), words, explains_options: false, run }
}

/// Commands of the shell itself, which need no session of their own: name and arguments.
pub const BUILT_IN: &[(&str, &str)] =
    &[("connect", "host:port"), ("history", ""), ("printwatches", "on|off"), ("quit", ""), ("redo", "cmdno")];

const LS: &[OptionRow] = &[flag("?", "help"), flag("s", "stat"), flag("w", "watch"), flag("R", "recurse")];
const GET: &[OptionRow] = &[
    flag("s", "Print znode stats additionally"),
    flag("w", "Watch for changes on the znode"),
    flag("b", "Output data in base64 format"),
    flag("x", "Output data in hexdump format"),
];
const SET: &[OptionRow] =
    &[flag("s", "Print znode stats additionally"), value("v", "Set with an expected version"), flag("b", "Supply data in base64 format")];
const CREATE: &[OptionRow] = &[flag("e", "ephemeral"), flag("s", "sequential"), flag("c", "container"), value("t", "ttl")];
const REMOVE_WATCHES: &[OptionRow] = &[
    flag("c", "child watcher type"),
    flag("d", "data watcher type"),
    flag("p", "persistent watcher type"),
    flag("r", "persistent recursive watcher type"),
    flag("a", "any watcher type"),
    flag("l", "remove locally when there is no server connection"),
];
const RECONFIG: &[OptionRow] = &[
    flag("s", "stats"),
    value("v", "required current config version"),
    value("file", "path of config file to parse for membership"),
    value("members", "comma-separated list of config strings for non-incremental reconfig"),
    value("add", "comma-separated list of config strings for new servers"),
    value("remove", "comma-separated list of server IDs to remove"),
];
const RECONFIG_ARGUMENTS: &str = "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | \
                                  [-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]";
const SET_QUOTA: &[OptionRow] =
    &[value("n", "num soft quota"), value("b", "bytes soft quota"), value("N", "num hard quota"), value("B", "bytes hard quota")];
const DELETE_QUOTA: &[OptionRow] =
    &[flag("n", "num soft quota"), flag("b", "bytes soft quota"), flag("N", "num hard quota"), flag("B", "bytes hard quota")];

/// The commands of Java's zkCli 3.9.5 that need a session.
pub const JAVA: &[Command] = &[
    command(
        "addWatch",
        "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - default is PERSISTENT_RECURSIVE",
        &[value("m", "")],
        Words::Exactly(2),
        watch::add_watch,
    ),
    command("addauth", "scheme auth", &[], Words::Least(2), acl::add_auth),
    command("close", "", &[], Words::Ignored, write::close),
    command(
        "config",
        "[-c] [-w] [-s]",
        &[flag("s", "stats"), flag("w", "watch"), flag("c", "client connection string")],
        Words::Any,
        configuration::config,
    ),
    command("create", "[-s] [-e] [-c] [-t ttl] path [data] [acl]", CREATE, Words::Least(2), write::create),
    command("delete", "[-v version] path", &[value("v", "version")], Words::Least(2), write::delete),
    command("deleteall", "path [-b batch size]", &[value("b", "batch size")], Words::Least(2), write::delete_all),
    Command {
        options: OptionTable { rows: DELETE_QUOTA, choice: Choice::AtMostOne },
        ..command("delquota", "[-n|-b|-N|-B] path", &[], Words::Least(2), quota::delete_quota)
    },
    Command { explains_options: true, ..command("get", "[-s] [-w] [-b] [-x] path", GET, Words::Least(2), read::get) },
    command("getAcl", "[-s] path", &[flag("s", "stats")], Words::Least(2), acl::get_acl),
    command("getAllChildrenNumber", "path", &[], Words::Least(2), read::all_children_number),
    command("getEphemerals", "path", &[], Words::Any, read::ephemerals),
    command("listquota", "path", &[], Words::Least(2), quota::list_quota),
    command("ls", "[-s] [-w] [-R] path", LS, Words::Any, read::ls),
    command("reconfig", RECONFIG_ARGUMENTS, RECONFIG, Words::Any, configuration::reconfig),
    command("removewatches", "path [-c|-d|-a] [-l]", REMOVE_WATCHES, Words::Least(2), watch::remove_watches),
    Command { explains_options: true, ..command("set", "path data [-s] [-v version] [-b]", SET, Words::Least(3), write::set) },
    command(
        "setAcl",
        "[-s] [-v version] [-R] path acl",
        &[flag("s", "stats"), value("v", "version"), flag("R", "recursive")],
        Words::Least(3),
        acl::set_acl,
    ),
    Command {
        options: OptionTable { rows: SET_QUOTA, choice: Choice::ExactlyOne },
        ..command("setquota", "-n|-b|-N|-B val path", &[], Words::Least(2), quota::set_quota)
    },
    command("stat", "[-w] path", &[flag("w", "watch")], Words::Least(2), read::stat),
    command("sync", "path", &[], Words::Least(2), read::sync),
    command("version", "", &[], Words::Exactly(1), read::version),
    command("whoami", "", &[], Words::Ignored, acl::who_am_i),
];

/// Commands that Java's zkCli does not have.
pub const OURS: &[Command] = &[
    Command {
        explains_options: true,
        ..command(
            "export",
            "[-e] path [file]",
            &[flag("e", "Include ephemeral znodes, which an import leaves out")],
            Words::Least(2),
            subtree::export,
        )
    },
    Command {
        explains_options: true,
        ..command(
            "import",
            "[-f] [-n] file path",
            &[
                flag("f", "Replace data and ACL of znodes that are there"),
                flag("n", "Open every znode to the world instead of restoring its ACL"),
            ],
            Words::Exactly(3),
            subtree::import,
        )
    },
    Command {
        explains_options: true,
        ..command(
            "tree",
            "[-d depth] [-s] path",
            &[value("d", "Show so many levels"), flag("s", "Show length of data and version")],
            Words::Exactly(2),
            subtree::tree,
        )
    },
    Command {
        explains_options: true,
        ..command(
            "watch",
            "[-d] [-n count] [-o] path",
            &[
                flag("d", "Print the data that is there after a change"),
                value("n", "End after so many changes"),
                flag("o", "This znode only, nothing below it"),
            ],
            Words::Exactly(2),
            watch::watch,
        )
    },
];

/// The command of that name.
pub fn find(name: &str) -> Option<&'static Command> {
    JAVA.iter().chain(OURS).find(|command| command.name == name)
}

/// Whether there is such a command, of the shell's own too.
pub fn is_known(name: &str) -> bool {
    BUILT_IN.iter().any(|(known, _)| *known == name) || find(name).is_some()
}

/// The names of all commands, sorted.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).chain(JAVA.iter().chain(OURS).map(|command| command.name)).collect();
    names.extend(["help", "top"]);
    names.sort_unstable();
    names
}

/// What Java's zkCli prints when it does not know a command: all that it knows.
pub fn java_usage() -> String {
    let mut rows: Vec<(&str, &str)> = BUILT_IN.to_vec();
    rows.extend(JAVA.iter().map(|command| (command.name, command.arguments)));
    rows.sort_unstable();
    let lines: Vec<String> = rows.iter().map(|(name, arguments)| format!("\n\t{name} {arguments}")).collect();
    format!("ZooKeeper -server host:port -client-configuration properties-file cmd args{}", lines.concat())
}

/// What `help` prints: the same, and ours.
pub fn help() -> String {
    let ours: Vec<String> = OURS
        .iter()
        .map(|command| format!("\n\t{} {}", command.name, command.arguments))
        .chain(["\n\thelp ".to_owned(), format!("\n\ttop {}", crate::top::ARGUMENTS)])
        .collect();
    format!("{}\n\nBeyond Apache ZooKeeper's zkCli:{}\n\n{}", java_usage(), ours.concat(), crate::invocation::OPTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_zkclis() {
        let usage = java_usage();
        assert_eq!(usage.lines().count(), 29);
        for line in ["\tclose ", "\tset path data [-s] [-v version] [-b]", "\tprintwatches on|off", "\tget [-s] [-w] [-b] [-x] path"] {
            assert!(usage.lines().any(|found| found == line), "{line:?}");
        }
        let names: Vec<&str> = usage.lines().skip(1).map(|line| line.split(['\t', ' ']).nth(1).expect("a name")).collect();
        assert!(names.is_sorted());
    }

    #[test]
    fn options_are_explained_where_java_explains_them() {
        let get = find("get").expect("get").usage();
        assert_eq!(
            get,
            "get [-s] [-w] [-b] [-x] path\n -b   Output data in base64 format\n -s   Print znode stats additionally\n \
             -w   Watch for changes on the znode\n -x   Output data in hexdump format\n"
        );
        assert_eq!(find("stat").expect("stat").usage(), "stat [-w] path");
        assert_eq!(find("version").expect("version").usage(), "version ");
    }

    #[test]
    fn every_name_is_there_once() {
        let names = names();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
        assert!(!is_known("rmr") && is_known("quit") && is_known("ls"));
    }
}
