//! The command line and the environment: what to do, which file to read, which properties are given.
//!
//! Meaning and values of the properties are not looked at here.

use std::path::PathBuf;

use log::Level;

use super::{ConfigError, EXIT_INVALID_INVOCATION, Notice};

/// The text of `--help`, and what a wrong invocation is shown.
pub const USAGE: &str = "\
Usage: oxkeeper [server] [-Dkey=value ...] [zoo.cfg]
       oxkeeper [server] [-Dkey=value ...] <port> <dataDir> [tickTime] [maxClientCnxns]
       oxkeeper --version | --help
Without any argument: a standalone server on port 2181 with its data in ./data.
-D words in the environment variables SERVER_JVMFLAGS and JVMFLAGS count too; those of the command line win.";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Print [`USAGE`].
    Help,
    /// Print the version.
    Version,
    /// Run the server.
    Serve(Request),
}

/// The configuration that was asked for, before it is read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Where the configuration comes from.
    pub source: Source,
    /// `-D` properties; of equal keys the last wins.
    pub definitions: Vec<Definition>,
    /// What to log about the command line itself.
    pub notices: Vec<Notice>,
}

impl Request {
    /// The value of `-Dzookeeper.root.logger`, for the log, which starts before the rest is read.
    #[must_use]
    pub fn root_logger(&self) -> Option<&str> {
        self.definitions
            .iter()
            .rev()
            .find(|definition| definition.key == "zookeeper.root.logger")
            .map(|definition| definition.value.as_str())
    }
}

/// Where the configuration comes from.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: defaults.
    #[default]
    Defaults,
    /// A zoo.cfg.
    File(PathBuf),
    /// `<port> <dataDir> [tickTime] [maxClientCnxns]`, as text.
    Words(Vec<String>),
}

/// One `-Dkey=value`.
#[derive(Clone, PartialEq, Eq)]
pub struct Definition {
    /// The key.
    pub key: String,
    /// The value; empty for `-Dkey`.
    pub value: String,
    /// Where it stood, for messages: `command line` or the name of a variable.
    pub origin: &'static str,
}

impl std::fmt::Debug for Definition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = super::shown(&self.key, &self.value);
        write!(formatter, "-D{}={value} ({})", self.key, self.origin)
    }
}

/// Reads the arguments (without the program's name) and the two variables.
///
/// # Errors
/// Exit code 2 for what Java refuses: an unknown option, or more than four words. No word at all, which Java
/// refuses too, is a server with defaults here.
pub fn parse(arguments: impl IntoIterator<Item = String>, variable: impl Fn(&str) -> Option<String>) -> Result<Invocation, ConfigError> {
    let mut request = Request::default();
    // zkServer.sh puts SERVER_JVMFLAGS in front of JVMFLAGS, and of equal -D words the last wins.
    for name in ["SERVER_JVMFLAGS", "JVMFLAGS"] {
        for word in split_words(&variable(name).unwrap_or_default()) {
            match definition(&word, name) {
                Some(definition) => request.definitions.push(definition),
                None => request.notices.push(Notice {
                    level: Level::Info,
                    // Only the beginning: a flag such as -javaagent:... may carry a password.
                    message: format!("{name}: {} is a flag of the JVM; ignored", flag_name(&word)),
                }),
            }
        }
    }
    let mut words = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if let Some(definition) = definition(&argument, "command line") {
            request.definitions.push(definition);
            continue;
        }
        match argument.as_str() {
            "--help" | "-help" | "-h" | "-?" => return Ok(Invocation::Help),
            "--version" | "-version" | "-V" => return Ok(Invocation::Version),
            // Scripts that put this program in the place of java.
            "-cp" | "-classpath" | "--class-path" => drop(arguments.next()),
            "org.apache.zookeeper.server.quorum.QuorumPeerMain" | "org.apache.zookeeper.server.ZooKeeperServerMain" if words.is_empty() => {
            }
            flag if is_jvm_flag(flag) => {
                request.notices.push(Notice { level: Level::Info, message: format!("{} is a flag of the JVM; ignored", flag_name(flag)) })
            }
            flag if flag.starts_with('-') && flag.parse::<i64>().is_err() => {
                return Err(usage(&format!("unknown option {}", flag_name(flag))));
            }
            _ => words.push(argument),
        }
    }
    if words.first().is_some_and(|word| word == "server") {
        words.remove(0);
    }
    request.source = match words.len() {
        0 => Source::Defaults,
        1 => Source::File(words.remove(0).into()),
        2..=4 => Source::Words(words),
        count => return Err(usage(&format!("{count} arguments are too many"))),
    };
    Ok(Invocation::Serve(request))
}

/// An invocation that cannot be understood, with the usage behind the reason.
pub(super) fn usage(reason: &str) -> ConfigError {
    ConfigError { exit_code: EXIT_INVALID_INVOCATION, message: format!("Invalid arguments: {reason}\n{USAGE}") }
}

fn definition(word: &str, origin: &'static str) -> Option<Definition> {
    let pair = word.strip_prefix("-D").filter(|pair| !pair.is_empty() && !pair.starts_with('='))?;
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    Some(Definition { key: key.to_owned(), value: value.to_owned(), origin })
}

fn is_jvm_flag(word: &str) -> bool {
    ["-X", "-ea", "-da", "-esa", "-dsa", "-javaagent:", "-agentlib:", "-agentpath:", "--add-"]
        .iter()
        .any(|beginning| word.starts_with(beginning))
        || matches!(word, "-server" | "-client")
}

/// A flag without its value.
fn flag_name(word: &str) -> &str {
    word.split(['=', ':']).next().unwrap_or(word)
}

/// Splits as a shell does: at blanks, with `'...'`, `"..."` and backslashes. An open quote ends with the
/// text.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some('"') | None, '\\') => {
                let Some(escaped) = characters.next() else {
                    break;
                };
                let word = word.get_or_insert_default();
                if quote.is_some() && !matches!(escaped, '"' | '\\' | '$' | '`') {
                    word.push('\\');
                }
                word.push(escaped);
            }
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, _) if character.is_ascii_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(arguments: &[&str], server_flags: &str, flags: &str) -> Result<Request, ConfigError> {
        let parsed = parse(arguments.iter().map(|&argument| argument.to_owned()), |name| {
            Some(if name == "JVMFLAGS" { flags } else { server_flags }.to_owned())
        });
        match parsed? {
            Invocation::Serve(request) => Ok(request),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn splits_as_a_shell() {
        for (text, expected) in [
            ("", vec![]),
            ("  -Da=1\t-Db=2\n", vec!["-Da=1", "-Db=2"]),
            ("-Da='b c' d", vec!["-Da=b c", "d"]),
            (r#"-Da="b \"c\" \d" ''"#, vec![r#"-Da=b "c" \d"#, ""]),
            (r"a\ b c\\", vec!["a b", r"c\"]),
            ("'a b", vec!["a b"]),
            ("-XX:OnOutOfMemoryError='kill -9 %p'", vec!["-XX:OnOutOfMemoryError=kill -9 %p"]),
        ] {
            assert_eq!(split_words(text), expected, "{text}");
        }
    }

    #[test]
    fn takes_the_forms_of_the_command_line() {
        let words = |words: &[&str]| Source::Words(words.iter().map(|&word| word.into()).collect());
        for (arguments, source) in [
            (&[][..], Source::Defaults),
            (&["server"], Source::Defaults),
            (&["zoo.cfg"], Source::File("zoo.cfg".into())),
            (&["server", "-Da=b", "server"], Source::File("server".into())),
            // Java takes a lone port for a file, too.
            (&["2181"], Source::File("2181".into())),
            (&["2181", "/d"], words(&["2181", "/d"])),
            (&["server", "2181", "/d", "2000", "-1"], words(&["2181", "/d", "2000", "-1"])),
            (&["-Xmx1g", "-cp", "a.jar", "org.apache.zookeeper.server.quorum.QuorumPeerMain", "c"], Source::File("c".into())),
        ] {
            assert_eq!(serve(arguments, "", "").unwrap().source, source, "{arguments:?}");
        }
        for (argument, expected) in [("--version", Invocation::Version), ("-h", Invocation::Help)] {
            assert_eq!(parse([argument.to_owned()], |_| None), Ok(expected));
        }
        for wrong in [&["1", "2", "3", "4", "5"][..], &["--frobnicate"], &["-D"], &["-D=x"]] {
            let error = serve(wrong, "", "").unwrap_err();
            assert_eq!(error.exit_code, 2, "{wrong:?}");
            assert!(error.message.contains("Usage: "), "{}", error.message);
        }
    }

    #[test]
    fn later_definitions_stand_behind_earlier_ones() {
        let request = serve(&["-Da=3", "-De"], "-Da=1 -Xmx1g -Dx='1 2'", "-Da=2 -javaagent:a.jar=pw").unwrap();
        let found: Vec<_> = request.definitions.iter().map(|one| (one.key.as_str(), one.value.as_str(), one.origin)).collect();
        assert_eq!(
            found,
            [
                ("a", "1", "SERVER_JVMFLAGS"),
                ("x", "1 2", "SERVER_JVMFLAGS"),
                ("a", "2", "JVMFLAGS"),
                ("a", "3", "command line"),
                ("e", "", "command line"),
            ]
        );
        let notices: Vec<_> = request.notices.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(
            notices,
            ["SERVER_JVMFLAGS: -Xmx1g is a flag of the JVM; ignored", "JVMFLAGS: -javaagent is a flag of the JVM; ignored"]
        );
    }

    #[test]
    fn the_last_root_logger_counts() {
        let flags = "-Dzookeeper.root.logger=INFO,CONSOLE";
        let given = ["-Dzookeeper.root.logger=DEBUG"];
        assert_eq!(serve(&given, flags, "").unwrap().root_logger(), Some("DEBUG"));
        assert_eq!(serve(&[], flags, "").unwrap().root_logger(), Some("INFO,CONSOLE"));
        assert_eq!(serve(&[], "", "").unwrap().root_logger(), None);
    }

    #[test]
    fn a_secret_is_not_in_debug_output() {
        let request = serve(&["-Dzookeeper.ssl.keyStore.password=hunter2"], "", "").unwrap();
        assert!(!format!("{request:?}").contains("hunter2"));
    }
}
