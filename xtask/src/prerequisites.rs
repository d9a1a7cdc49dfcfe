//! What the tests need beside Rust: Debian packages, and the jars of the ZooKeeper release that judges. A machine
//! may be a bare Debian 12; what is missing is installed, what cannot be installed fails the run.

use std::process::Command;

use crate::clients;

/// Debian packages and what each is for.
const PACKAGES: &[(&str, &str)] = &[
    ("libzookeeper-java", "the server and client of 3.8.0"),
    ("zookeeper", "its scripts"),
    ("zookeeper-bin", "the C client's command line"),
    ("openjdk-17-jre-headless", "runs the judge"),
    ("openjdk-17-jdk-headless", "compiles the Java clients of the tests"),
    ("maven", "fetches the judge"),
    ("python3-venv", "the Python client"),
    ("g++", "compiles the engine of the fuzzers"),
    ("prometheus", "promtool reads our metrics"),
    ("chromium", "shows the console"),
    ("iproute2", "the network that the chaos tests cut"),
    ("strace", "shows that no reply comes before its sync"),
    ("lintian", "judges the Debian packages"),
    ("shellcheck", "judges the scripts"),
    ("rpm", "builds and installs the RPM"),
    ("systemd", "judges the unit"),
    ("debootstrap", "makes the root that packages are installed into"),
];

/// Where the judge's jars go, below the target directory; `compat-tests` looks for them there.
const JUDGE: &str = "compat-java/3.9.5";

/// Installs what is missing.
///
/// # Errors
/// What could not be installed, with the command that failed.
pub fn install() -> Result<(), String> {
    let missing: Vec<&str> = PACKAGES.iter().map(|(package, _)| *package).filter(|package| !is_installed(package)).collect();
    if !missing.is_empty() {
        println!("installing {}", missing.join(" "));
        command("apt-get", &["-qq", "update"])?;
        let mut arguments = vec!["-qq", "-y", "--no-install-recommends", "install"];
        arguments.extend(&missing);
        command("apt-get", &arguments)?;
    }
    if let Some((package, purpose)) = PACKAGES.iter().find(|(package, _)| !is_installed(package)) {
        return Err(format!("the package {package} is missing: {purpose}"));
    }
    let judge = clients::target().join(JUDGE);
    let wanted = ["zookeeper-3.9.5.jar", "logback-classic-1.3.15.jar", "zookeeper-prometheus-metrics-3.9.4.jar"];
    if wanted.iter().any(|jar| !judge.join(jar).exists()) {
        let pom = clients::workspace().join("compat-tests/java/pom.xml").display().to_string();
        let output = format!("-DoutputDirectory={}", std::path::absolute(&judge).map_err(|error| error.to_string())?.display());
        command("mvn", &["-q", "-B", "-f", &pom, "dependency:copy-dependencies", &output])?;
    }
    if !judge.join("zookeeper-3.9.5.jar").exists() {
        return Err(format!("maven did not put the judge's jars into {}", judge.display()));
    }
    Ok(())
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]).output();
    query.is_ok_and(|output| output.stdout.starts_with(b"install ok"))
}

fn command(program: &str, arguments: &[&str]) -> Result<(), String> {
    let status = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .map_err(|error| format!("{program}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program} {} ended with {status}", arguments.join(" "))) }
}
