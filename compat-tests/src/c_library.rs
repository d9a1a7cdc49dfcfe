//! The C library under test and Debian's original: where they are, how C programs are compiled against one of them and
//! run on the other. What the programs do is in `compat-tests/c`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::subject::{TemporaryDirectory, workspace};

/// With threads or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threading {
    /// `libzookeeper_mt`
    Multi,
    /// `libzookeeper_st`
    Single,
}

impl Threading {
    pub const BOTH: [Threading; 2] = [Threading::Multi, Threading::Single];

    /// `zookeeper_mt` or `zookeeper_st`.
    pub fn library(self) -> &'static str {
        match self {
            Threading::Multi => "zookeeper_mt",
            Threading::Single => "zookeeper_st",
        }
    }
}

/// Whose library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Debian's build of 3.8.0.
    Original,
    /// Ours, as `cargo xtask install-capi` laid it out.
    Ours,
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Where ours is installed; `OXKEEPER_CAPI` names another place.
pub fn installed() -> PathBuf {
    let place = std::env::var_os("OXKEEPER_CAPI").map_or_else(|| target().join("capi"), PathBuf::from);
    assert!(place.join("lib").exists(), "{}: run `cargo xtask install-capi --prefix target/capi --debug`", place.display());
    place
}

/// The source of a binding, as `cargo xtask prerequisites` fetched it.
pub fn prepared(binding: &str) -> PathBuf {
    let place = target().join("clients").join(binding);
    assert!(place.exists(), "{} is missing: run `cargo xtask prerequisites`", place.display());
    place
}

/// Where Debian's packages are unpacked.
fn debian(package: &str) -> PathBuf {
    let place = target().join("capi-debian").join(package);
    assert!(place.exists(), "{} is missing: run `cargo xtask prerequisites`", place.display());
    place
}

impl Maker {
    /// The shared library's file.
    pub fn library(self, threading: Threading) -> PathBuf {
        let file = format!("lib{}.so.2", threading.library());
        match (self, threading) {
            (Maker::Ours, _) => installed().join("lib").join(file),
            (Maker::Original, Threading::Multi) => library_directory(Path::new("/")).join(file),
            (Maker::Original, Threading::Single) => library_directory(&debian("libzookeeper-st2")).join(file),
        }
    }

    /// The directory of headers.
    pub fn headers(self, threading: Threading) -> PathBuf {
        match (self, threading) {
            (Maker::Ours, _) => installed().join("include/zookeeper"),
            (Maker::Original, Threading::Multi) => debian("libzookeeper-mt-dev").join("usr/include/zookeeper"),
            (Maker::Original, Threading::Single) => debian("libzookeeper-st-dev").join("usr/include/zookeeper"),
        }
    }
}

/// `usr/lib/<triplet>` below a root.
fn library_directory(root: &Path) -> PathBuf {
    let libraries = root.join("usr/lib");
    let found = std::fs::read_dir(&libraries)
        .expect("readable")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with("-linux-gnu") && path.is_dir());
    found.unwrap_or(libraries)
}

/// A program that was compiled, in a directory that disappears with it.
pub struct Program {
    pub path: PathBuf,
    _directory: TemporaryDirectory,
}

/// Compiles a file of `compat-tests/c` against one maker's headers and library.
pub fn compile(source: &str, threading: Threading, against: Maker, flags: &[&str]) -> Program {
    let directory = TemporaryDirectory::new();
    let path = directory.path.join("program");
    let mut command = Command::new("gcc");
    command.args(["-g", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]).args(flags);
    if threading == Threading::Multi {
        command.arg("-DTHREADED");
    }
    command.arg("-I").arg(against.headers(threading)).arg(workspace().join("compat-tests/c").join(source));
    command.arg("-o").arg(&path).arg(against.library(threading)).arg("-lpthread");
    output(&mut command);
    Program { path, _directory: directory }
}

/// The command that runs a program on one maker's library.
pub fn on(program: &Path, threading: Threading, maker: Maker) -> Command {
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", maker.library(threading).parent().expect("a directory"));
    command
}

/// Compiles a file of `compat-tests/c` with gcc's ThreadSanitizer against the threaded library that LLVM's was built into; the
/// library's locks are pthreads' there, which it knows, so that nothing needs to be suppressed.
pub fn compile_for_races(source: &str) -> Program {
    let helper = workspace().join("compat-tests/c/races.c").display().to_string();
    // The library finds the helper's functions in the program only if the program exports them.
    let flags = ["-rdynamic", "-fsanitize=thread", "-fno-builtin", "-Wno-stringop-truncation", &helper];
    compile(source, Threading::Multi, Maker::Ours, &flags)
}

/// The command that runs it; a race is exit code 66. Its shadow memory does not bear with places drawn by chance.
pub fn watched_for_races(program: &Path) -> Command {
    let mut command = Command::new("setarch");
    command.args([std::env::consts::ARCH, "-R"]).arg(program);
    command.env("LD_LIBRARY_PATH", installed().join("lib/races"));
    command
}

/// The command that runs a program on ours under valgrind's memcheck; what it finds is exit code 9.
pub fn under_valgrind(program: &Path, threading: Threading) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["-q", "--error-exitcode=9", "--leak-check=full"]);
    command.args(["--show-leak-kinds=definite,indirect,possible", "--errors-for-leak-kinds=definite,indirect,possible"]);
    command.env("LD_LIBRARY_PATH", Maker::Ours.library(threading).parent().expect("a directory"));
    command.arg(program);
    command
}

/// Runs a command to its end; what it printed.
///
/// # Panics
/// When it fails.
pub fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command that has to end within a time; its exit code (-1 when it was ended) and what it printed.
pub fn output_within(command: &mut Command, patience: Duration) -> (i32, String) {
    let directory = TemporaryDirectory::new();
    let file = directory.path.join("output");
    let log = std::fs::File::create(&file).expect("a file");
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let start = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().expect("waitable") {
            break status.code().unwrap_or(-1);
        }
        if start.elapsed() > patience {
            let _ = child.kill();
            let _ = child.wait();
            break -1;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    (code, String::from_utf8_lossy(&std::fs::read(file).expect("readable")).into_owned())
}
