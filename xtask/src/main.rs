//! Helper commands of the project: `cargo xtask <command>`. What each command does is in a file of its own; this
//! one only chooses.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

mod bench;
mod capi;
mod clients;
mod coverage;
mod dist;
mod fuzz;
mod jute;
mod prerequisites;
mod real_hbase;
mod test;

type Command = fn(&Path, &[String]) -> Result<(), String>;

/// What can be asked for: name, what it does, how.
const COMMANDS: &[(&str, &str, Command)] = &[
    ("test", "everything that CI checks, on a bare Debian 12 with Rust", |root, _| test::run(root)),
    ("prerequisites", "installs what the tests need and nothing else", |_, _| {
        prerequisites::install().and_then(|()| clients::prerequisites()).and_then(|()| capi::prerequisites())
    }),
    ("clients", "real clients against Java and ours", |_, _| clients::prerequisites().and_then(|()| clients::run())),
    ("soak", "the long forms of the tests", |_, _| test::soak()),
    ("dist", "[tarball|static|deb|rpm|image]...: what is shipped, in target/dist", dist::run),
    ("bench", "[ensemble] [workload...] [options]: figures against Java in the same run", |root, arguments| bench::run(root, arguments)),
    ("real", "hbase: a real system on our server", |_, arguments| match arguments {
        [name] if name == "hbase" => real_hbase::run(),
        _ => Err("which one? there is: hbase".to_owned()),
    }),
    ("coverage", "[--print]: the simulator's tests, and what their seeds leave unexecuted", coverage::run),
    ("fuzz", "[--seconds N] [target...]: the decoders under a fuzzer", fuzz::run),
    ("install-capi", "--prefix DIR [--debug]: the C libraries, headers, archives, pkg-config files, programs", capi::install),
    ("jute", "writes the records from zookeeper.jute", |root, _| jute::run(root)),
];

fn main() -> ExitCode {
    if let Some(code) = coverage::compile() {
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted = arguments.first().map_or("", String::as_str);
    let found = COMMANDS.iter().find(|(name, _, _)| *name == wanted);
    // Nobody who asks what a command does wants to wait for all of it.
    let asks = arguments.iter().any(|argument| matches!(argument.as_str(), "-h" | "--help"));
    if let (Some((name, what, _)), true) = (found, asks) {
        println!("cargo xtask {name}: {what}");
        return ExitCode::SUCCESS;
    }
    let Some((_, _, command)) = found else {
        eprintln!("usage: cargo xtask <command>");
        for (name, what, _) in COMMANDS {
            eprintln!("  {name:14} {what}");
        }
        return ExitCode::from(2);
    };
    match command(root, &arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask {wanted}: {reason}");
            ExitCode::FAILURE
        }
    }
}
