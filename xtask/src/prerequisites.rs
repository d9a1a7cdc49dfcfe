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
    ("llvm-22", "tells which lines the simulator has executed; the version is that of the compiler's"),
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

/// Where the scripts of 3.9 go, below the target directory, and the release of Debian that has them.
const SCRIPTS: &str = "compat-scripts/3.9";
const LATER_DEBIAN: &str = "trixie";

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
    if let Err(reason) = later_scripts() {
        println!("the scripts of ZooKeeper 3.9 cannot be had, those of 3.8 judge alone: {reason}");
    }
    if !judge.join("zookeeper-3.9.5.jar").exists() {
        return Err(format!("maven did not put the judge's jars into {}", judge.display()));
    }
    Ok(())
}

/// The scripts of 3.9, unpacked from the package of a later Debian, which the archive that this machine asks has, too. Nothing of
/// it is installed.
fn later_scripts() -> Result<(), String> {
    let wanted = std::path::absolute(clients::target().join(SCRIPTS)).map_err(|error| error.to_string())?;
    if wanted.join("zkServer.sh").exists() {
        return Ok(());
    }
    let said = |command: &mut Command| {
        let program = format!("{command:?}");
        let output = command.output().map_err(|error| format!("{program}: {error}"))?;
        if output.status.success() { Ok(output.stdout) } else { Err(format!("{program} ended with {}", output.status)) }
    };
    let targets =
        said(Command::new("apt-get").args(["indextargets", "--format", "$(ORIGIN) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]))?;
    let targets = String::from_utf8_lossy(&targets).into_owned();
    let archive = targets.lines().find_map(|line| line.strip_prefix("Debian main ")).ok_or("no archive of Debian's is configured")?;
    let place = wanted.with_file_name("apt");
    let made = |error: std::io::Error| format!("{}: {error}", place.display());
    std::fs::create_dir_all(place.join("lists/partial")).map_err(made)?;
    std::fs::create_dir_all(place.join("cache/archives/partial")).map_err(made)?;
    let list = place.join("sources.list");
    let source = format!("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {archive} {LATER_DEBIAN} main\n");
    std::fs::write(&list, source).map_err(made)?;
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        let set = |key: &str, value: String| ["-o".to_owned(), format!("{key}={value}")];
        command.args(set("Dir::Etc::sourcelist", list.display().to_string())).args(set("Dir::Etc::sourceparts", "/dev/null".to_owned()));
        command.args(set("Dir::State::lists", place.join("lists").display().to_string()));
        command.args(set("Dir::Cache", place.join("cache").display().to_string()));
        command.args(set("Acquire::Languages", "none".to_owned()));
        command.args(set("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false".to_owned()));
        said(command.args(words).current_dir(&place))
    };
    apt(&["-qq", "update"])?;
    apt(&["-qq", "download", "zookeeper"])?;
    let files = std::fs::read_dir(&place).map_err(made)?.flatten().map(|entry| entry.path());
    let package = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "deb")).ok_or("nothing was fetched")?;
    said(Command::new("dpkg-deb").arg("-x").arg(&package).arg(place.join("unpacked")))?;
    std::fs::rename(place.join("unpacked/usr/share/zookeeper/bin"), &wanted).map_err(made)?;
    std::fs::remove_dir_all(&place).map_err(made)
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
