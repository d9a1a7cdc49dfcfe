//! Our exit code for each invocation of `compat-tests/vectors/config/exit-codes.tsv` against the one that
//! Java gave (the script beside it says how).

use std::path::{Path, PathBuf};

use oxkeeper_server::config::args::{self, Invocation};
use oxkeeper_server::config::{self, ConfigError};

/// Where we differ on purpose: flags, words, our answer, reason.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[
    ("-", "-", "runs", "no argument at all is a server with defaults"),
    ("-", "0 {D} 0", "2", "Java ends with a division by zero"),
    ("-", "cfg:dataDir={D}\\nclientPort=0\\ndataDir=", "2", "Java ends with an index out of bounds"),
    ("-", "cfg:dataDir={D}\\nclientPort=0\\ntickTime=2000 # x", "runs", "tutorials are full of it"),
    ("-", "cfg:dataDir={D}\\n", "2", "Java runs without any port"),
    ("-Dzookeeper.serverCnxnFactory=foo", "cfg:dataDir={D}\\nclientPort=0\\n", "runs", "no classes here"),
    ("-Dzookeeper.snapSizeLimitInKb=0", "cfg:dataDir={D}\\nclientPort=0\\n", "2", "Java dies of it later"),
    (
        "-",
        "myid=1 cfg:dataDir={D}\\nclientPort=0\\ninitLimit=-5\\nsyncLimit=2\\nserver.1=localhost:23881:23891\\nserver.2=localhost:23882:23892\\nserver.3=localhost:23883:23893\\n",
        "2",
        "Java's timeouts become negative, and its sockets refuse them",
    ),
    (
        "-",
        "myid=1 cfg:dataDir={D}\\nclientPort=0\\ninitLimit=5\\nsyncLimit=2\\nserver.1=localhost:23881:23891\\nserver.2=localhost:23882:23892\\nserver.3=localhost:23883:23893\\nserver.4=localhost:1:2|localhost:3:4\\nmultiAddress.enabled=true",
        "runs",
        "Java looks only at the property, given with -D, when it reads the line",
    ),
    (
        "-",
        "myid=1 cfg:dataDir={D}\\nclientPort=0\\ninitLimit=5\\nsyncLimit=2\\nserver.1=localhost:23881:23891\\nserver.2=localhost:23882:23892\\nserver.3=localhost:23883:23893\\nelectionPortBindRetry=x",
        "2",
        "Java takes the default silently",
    ),
    ("-Dzookeeper.maxCnxns=x", "cfg:dataDir={D}\\nclientPort=0\\n", "2", "Java takes the default silently"),
];

#[test]
fn exit_codes_are_those_of_java() {
    let vectors = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../compat-tests/vectors/config");
    let table = std::fs::read_to_string(vectors.join("exit-codes.tsv")).expect("Java's answers");
    let base = std::env::temp_dir().join(format!("oxkeeper-exit-codes-{}", std::process::id()));
    let mut wrong = Vec::new();
    let mut count = 0;
    for (index, line) in table.lines().enumerate() {
        let [java, flags, words] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("line {}: {line}", index + 1) };
        let expected =
            DIFFERENCES.iter().find(|difference| (difference.0, difference.1) == (flags, words)).map_or(java, |difference| difference.2);
        let directory = base.join(index.to_string());
        std::fs::create_dir_all(&directory).expect("a directory");
        let ours = match invoke(flags, words, &directory) {
            Ok(()) => "runs".to_owned(),
            Err(error) => error.exit_code.to_string(),
        };
        if ours != expected {
            wrong.push(format!("{flags} {words}: {ours} instead of {expected}"));
        }
        count += 1;
    }
    let _ = std::fs::remove_dir_all(&base);
    for (flags, words, ours, reason) in DIFFERENCES {
        let same = format!("{ours}\t{flags}\t{words}");
        assert!(!table.lines().any(|line| line == same), "no difference any more: {words}: {reason}");
        let suffix = format!("\t{flags}\t{words}");
        assert!(table.lines().any(|line| line.ends_with(&suffix)), "no such case: {words}");
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(count >= 50, "only {count} cases");
}

/// What a start does before it opens a port.
fn invoke(flags: &str, words: &str, directory: &Path) -> Result<(), ConfigError> {
    let place = directory.display().to_string();
    let words = match words.strip_prefix("myid=").and_then(|words| words.split_once(' ')) {
        Some((number, words)) => {
            std::fs::write(directory.join("myid"), format!("{number}\n")).expect("a file");
            words
        }
        None => words,
    };
    let arguments = match words.strip_prefix("cfg:") {
        _ if words == "-" => Vec::new(),
        Some(text) => {
            let file = directory.join("zoo.cfg");
            // As the shell's %b: \n is a line's end, and two backslashes are one.
            let text = text.replace("{D}", &place).replace("\\\\", "\0").replace("\\n", "\n");
            std::fs::write(&file, text.replace('\0', "\\")).expect("a file");
            vec![file.display().to_string()]
        }
        None => words.replace("{D}", &place).split(' ').map(str::to_owned).collect(),
    };
    let flags = if flags == "-" { "" } else { flags };
    let invocation = args::parse(arguments, |name| (name == "JVMFLAGS").then(|| flags.to_owned()))?;
    let Invocation::Serve(request) = invocation else { panic!("{words}: {invocation:?}") };
    let loaded = config::load(&request)?;
    if words == "-" {
        // Its data would be in the current directory.
        return Ok(());
    }
    loaded.config.prepare_directories()
}
