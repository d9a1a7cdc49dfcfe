//! The real clients of `compat-tests/tests/clients.rs`: what has to be on the machine before that test, and how it is
//! run. Everything is fetched by name through its own package manager and lies below the target directory; what the
//! test does with it is the test's affair.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian packages: zkCli.sh, the C client's `cli_mt`, and the tools that build and run the other clients.
const PACKAGES: &[&str] = &["zookeeper", "zookeeper-bin", "openjdk-17-jdk-headless", "maven", "python3-venv", "nodejs", "npm", "golang-go"];

/// Programs that serve as well when they come from elsewhere than the package after them.
const INSTEAD: &[(&str, &str)] =
    &[("mvn", "maven"), ("node", "nodejs"), ("npm", "npm"), ("go", "golang-go"), ("javac", "openjdk-17-jdk-headless")];

/// Fetches what is missing and leaves alone what is there.
///
/// # Errors
/// What could not be installed. Nothing is skipped: without a client its test must fail.
pub fn prerequisites() -> Result<(), String> {
    let found = |program: &str| Command::new("which").arg(program).output().is_ok_and(|output| output.status.success());
    let served: Vec<&str> = INSTEAD.iter().filter(|(program, _)| found(program)).map(|(_, package)| *package).collect();
    let missing: Vec<&str> = PACKAGES.iter().copied().filter(|package| !served.contains(package) && !installed(package)).collect();
    if !missing.is_empty() {
        execute(Command::new("apt-get").args(["-qq", "update"]))?;
        let mut install = Command::new("apt-get");
        install.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-y", "--no-install-recommends", "install"]);
        execute(install.args(&missing))?;
    }
    fetch_jars("java", "java-3.9", &["-Dzookeeper.version=3.9.5"])?;
    fetch_jars("java", "java-3.8", &["-Dzookeeper.version=3.8.4"])?;
    fetch_jars("curator", "curator", &[])?;

    let venv = directory("venv");
    let requirements = sources().join("kazoo/requirements.txt");
    fresh(&venv, &requirements, || {
        execute(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        execute(Command::new(venv.join("bin/pip")).args(["-q", "install", "-r"]).arg(&requirements))
    })?;

    // A client, and what drives the browser of the console's test.
    for name in ["node", "console"] {
        let modules = directory(name);
        let lock = sources().join(name).join("package-lock.json");
        fresh(&modules, &lock, || {
            for file in ["package.json", "package-lock.json"] {
                fs::copy(sources().join(name).join(file), modules.join(file)).map_err(|e| format!("{file}: {e}"))?;
            }
            execute(Command::new("npm").arg("ci").current_dir(&modules))
        })?;
    }

    execute(Command::new("go").args(["mod", "download"]).current_dir(sources().join("go")))?;
    let mut fetch = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    execute(fetch.args(["fetch", "--quiet", "--locked"]).current_dir(sources().join("rust")))
}

/// Every client against Java and against our release build.
///
/// # Errors
/// What is missing, or that a client saw a difference.
pub fn run() -> Result<(), String> {
    prerequisites()?;
    oxkeeper()?;
    let mut test = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    execute(test.args(["test", "-p", "oxkeeper-compat-tests", "--test", "clients"]).current_dir(workspace()))
}

/// Copies the jars that `clients/<source>/pom.xml` names into the prepared directory `name`, once.
pub(crate) fn fetch_jars(source: &str, name: &str, properties: &[&str]) -> Result<(), String> {
    let (pom, jars) = (sources().join(source).join("pom.xml"), directory(name));
    fresh(&jars, &pom, || {
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
        maven.arg(format!("-DoutputDirectory={}", jars.display())).args(properties);
        execute(maven.arg("-f").arg(&pom))
    })
}

/// Makes a directory anew when the file that says what is in it has changed.
pub(crate) fn fresh(directory: &Path, reason: &Path, fill: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let stamp = directory.join("made-from");
    let wanted = fs::read(reason).map_err(|e| format!("{}: {e}", reason.display()))?;
    if fs::read(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    let _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    fill()?;
    fs::write(&stamp, wanted).map_err(|e| format!("{}: {e}", stamp.display()))
}

fn installed(package: &str) -> bool {
    let query = Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]).output();
    query.is_ok_and(|output| output.stdout.starts_with(b"install ok"))
}

/// Runs a command to its end.
pub(crate) fn execute(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}")) }
}

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_path_buf()
}

pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// A prepared thing, where the test looks for it.
pub(crate) fn directory(name: &str) -> PathBuf {
    target().join("clients").join(name)
}

pub(crate) fn sources() -> PathBuf {
    workspace().join("compat-tests/clients")
}

/// Our server: `OXKEEPER_BINARY`, or the release build.
pub(crate) fn oxkeeper() -> Result<PathBuf, String> {
    let path = std::env::var_os("OXKEEPER_BINARY").map_or_else(|| target().join("release/oxkeeper"), PathBuf::from);
    if path.exists() { Ok(path) } else { Err(format!("{} is missing: run `cargo build --release`", path.display())) }
}
