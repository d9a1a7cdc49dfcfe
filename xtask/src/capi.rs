//! `cargo xtask install-capi --prefix DIR`: the C library as a distribution would lay it out, and what its tests need:
//! Debian's original, its headers, compilers and valgrind. `cargo xtask bench capi` measures both.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::clients;

/// The libraries: the name, the package of the shared one and of the static one, and what its programs also need.
const LIBRARIES: &[(&str, &str, &str, &str)] = &[
    ("zookeeper_mt", "oxkeeper-capi-mt-shared", "oxkeeper-capi-mt-static", "-DTHREADED"),
    ("zookeeper_st", "oxkeeper-capi-st-shared", "oxkeeper-capi-st-static", ""),
];

/// The version in the shared library's file name: the SONAME is `.so.2`, as it has been since 3.4.
const FILE_VERSION: &str = "2.0.0";

/// The version that pkg-config tells: that of the interface.
const INTERFACE_VERSION: &str = "3.9.5";

/// What a program linked with the static archive needs of the system.
const PRIVATE_LIBRARIES: &str = "-lpthread -ldl -lm -lgcc_s";

/// The profile of the root `Cargo.toml` that makes it small.
pub(crate) const PROFILE: &str = "small";

/// The programs of the original's package: name, source in `capi/programs`, library.
const PROGRAMS: &[(&str, &str, &str)] =
    &[("cli_mt", "cli.c", "zookeeper_mt"), ("cli_st", "cli.c", "zookeeper_st"), ("load_gen", "load_gen.c", "zookeeper_mt")];

/// `install-capi --prefix DIR [--debug]`.
///
/// # Errors
/// What could not be built or written.
pub fn install(root: &Path, arguments: &[String]) -> Result<(), String> {
    let (prefix, is_debug) = match arguments {
        [flag, prefix] if flag == "--prefix" => (prefix, false),
        [flag, prefix, debug] if flag == "--prefix" && debug == "--debug" => (prefix, true),
        _ => return Err("usage: cargo xtask install-capi --prefix DIR [--debug]".to_owned()),
    };
    let prefix = std::path::absolute(prefix).map_err(|error| error.to_string())?;
    let mut build = cargo(root);
    build.arg("build");
    if !is_debug {
        build.args(["--profile", PROFILE]);
    }
    for (_, shared, archive, _) in LIBRARIES {
        build.args(["-p", shared, "-p", archive]);
    }
    execute(&mut build)?;
    let built = clients::target().join(if is_debug { "debug" } else { PROFILE });

    let (lib, include, pkgconfig, bin) =
        (prefix.join("lib"), prefix.join("include/zookeeper"), prefix.join("lib/pkgconfig"), prefix.join("bin"));
    for directory in [&lib, &include, &pkgconfig, &bin] {
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    for (name, _, _, flags) in LIBRARIES {
        let file = format!("lib{name}.so.{FILE_VERSION}");
        copy(&built.join(format!("lib{name}.so")), &lib.join(&file))?;
        for link in [format!("lib{name}.so.2"), format!("lib{name}.so")] {
            let link = lib.join(link);
            let _ = fs::remove_file(&link);
            symlink(&file, &link).map_err(|error| format!("{}: {error}", link.display()))?;
        }
        copy(&built.join(format!("lib{name}_static.a")), &lib.join(format!("lib{name}.a")))?;
        let description = pkg_config(&prefix, name, flags);
        write(&pkgconfig.join(format!("lib{name}.pc")), &description)?;
    }
    if is_debug {
        install_for_races(root, &lib.join("races"))?;
    }
    let headers = root.join("include/zookeeper");
    for entry in fs::read_dir(&headers).map_err(|error| format!("{}: {error}", headers.display()))?.flatten() {
        copy(&entry.path(), &include.join(entry.file_name()))?;
    }
    for (program, source, library) in PROGRAMS {
        let source = root.join("capi/programs").join(source);
        let mut compile = Command::new("cc");
        compile.args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(bin.join(program)).arg(&source);
        if *library == "zookeeper_mt" {
            compile.arg("-DTHREADED");
        }
        compile.arg("-I").arg(&include).arg("-L").arg(&lib).arg(format!("-l{library}")).arg("-lpthread");
        execute(&mut compile)?;
    }
    println!("installed below {}", prefix.display());
    Ok(())
}

/// The threaded library once more, with ThreadSanitizer in it, for the tests. The compiler calls that unstable; std's own code
/// stays as it is shipped, which is why the locks are pthreads' (see `capi/src/lock.rs`).
fn install_for_races(root: &Path, to: &Path) -> Result<(), String> {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target = clients::target().join("races");
    let mut build = cargo(root);
    build.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", &target);
    build.env("RUSTFLAGS", "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer");
    build.args(["build", "--target", &triple, "-p", "oxkeeper-capi-mt-shared", "--features", "oxkeeper-capi-mt-shared/pthread_locks"]);
    execute(&mut build)?;
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    copy(&target.join(triple).join("debug/libzookeeper_mt.so"), &to.join("libzookeeper_mt.so.2"))
}

/// The text of a `.pc` file.
fn pkg_config(prefix: &Path, name: &str, flags: &str) -> String {
    let flags = if flags.is_empty() { String::new() } else { format!(" {flags}") };
    format!(
        "prefix={}\nlibdir=${{prefix}}/lib\nincludedir=${{prefix}}/include\n\n\
         Name: lib{name}\nDescription: A client of ZooKeeper for C\nVersion: {INTERFACE_VERSION}\n\
         Libs: -L${{libdir}} -l{name}\nLibs.private: {PRIVATE_LIBRARIES}\nCflags: -I${{includedir}}/zookeeper{flags}\n",
        prefix.display()
    )
}

/// Debian packages that the tests of the C library need on the machine.
const PACKAGES: &[&str] = &["gcc", "g++", "binutils", "valgrind", "libzookeeper-mt2", "zookeeper-bin", "libc6-dbg"];

/// Packages that are only unpacked: the two -dev packages exclude each other.
const UNPACKED: &[&str] = &["libzookeeper-st2", "libzookeeper-mt-dev", "libzookeeper-st-dev"];

/// Where they are unpacked, below the target directory; `compat-tests` looks for them there.
const DEBIAN: &str = "capi-debian";

/// Headers that bindings are compiled against, and the packages that have them where nothing else brought them.
const BINDING_HEADERS: &[(&str, &str, &str)] = &[
    ("node", "console.log(require('path').join(process.execPath, '../../include/node/node.h'))", "libnode-dev"),
    ("python3", "import sysconfig; print(sysconfig.get_paths()['include'] + '/Python.h')", "python3-dev"),
];

/// Fetches the sources of bindings that others wrote; `compat-tests/tests/capi_bindings.rs` compiles them.
fn bindings() -> Result<(), String> {
    for (program, script, package) in BINDING_HEADERS {
        let flag = if *program == "node" { "-e" } else { "-c" };
        let found = Command::new(program).args([flag, script]).output().map_err(|error| format!("{program}: {error}"))?;
        if !Path::new(String::from_utf8_lossy(&found.stdout).trim()).exists() {
            install_packages(&[package])?;
        }
    }
    let sources = clients::workspace().join("compat-tests/c/bindings");
    let node = clients::directory("capi-node");
    clients::fresh(&node, &sources.join("node/package-lock.json"), || {
        for file in ["package.json", "package-lock.json"] {
            copy(&sources.join("node").join(file), &node.join(file))?;
        }
        // Its own build would use the client that it bundles.
        execute(Command::new("npm").args(["ci", "--ignore-scripts"]).current_dir(&node))
    })?;
    let python = clients::directory("capi-python");
    let requirements = sources.join("python/requirements.txt");
    clients::fresh(&python, &requirements, || {
        let pip = clients::directory("venv").join("bin/pip");
        let mut download = Command::new(pip);
        download.args(["-q", "download", "--no-deps", "--no-binary", ":all:", "-r"]).arg(&requirements).arg("-d").arg(&python);
        execute(&mut download)?;
        let entries = fs::read_dir(&python).map_err(|error| format!("{}: {error}", python.display()))?;
        let archive = entries.flatten().map(|entry| entry.path()).find(|path| path.to_string_lossy().ends_with(".tar.gz"));
        let unpacked = python.join("zkpython");
        fs::create_dir_all(&unpacked).map_err(|error| format!("{}: {error}", unpacked.display()))?;
        let mut unpack = Command::new("tar");
        unpack.args(["--strip-components=1", "-xzf"]).arg(archive.ok_or("pip has brought no archive")?);
        execute(unpack.arg("-C").arg(&unpacked))
    })
}

fn install_packages(packages: &[&str]) -> Result<(), String> {
    execute(Command::new("apt-get").args(["-qq", "update"]))?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-y", "--no-install-recommends", "install"]);
    execute(install.args(packages))
}

/// Fetches what is missing.
///
/// # Errors
/// What could not be had.
pub fn prerequisites() -> Result<(), String> {
    bindings()?;
    let installed = |package: &&&str| {
        let query = Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]).output();
        query.is_ok_and(|output| output.stdout.starts_with(b"install ok"))
    };
    let missing: Vec<&str> = PACKAGES.iter().filter(|package| !installed(package)).copied().collect();
    if !missing.is_empty() {
        install_packages(&missing)?;
    }
    let directory = clients::target().join(DEBIAN);
    if directory.join("complete").exists() {
        return Ok(());
    }
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    execute(Command::new("apt-get").args(["-qq", "download"]).args(UNPACKED).current_dir(&directory))?;
    let archives: Vec<PathBuf> = fs::read_dir(&directory)
        .map_err(|error| error.to_string())?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "deb"))
        .collect();
    for archive in archives {
        let name = archive.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let package = name.split('_').next().unwrap_or_default();
        execute(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(directory.join(package)))?;
    }
    write(&directory.join("complete"), "")
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    // A new file, so that a running program keeps the old one.
    let _ = fs::remove_file(to);
    fs::copy(from, to).map(|_| ()).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn execute(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.current_dir(root);
    cargo
}

/// How often each library is measured, in turn; the median counts.
const BENCH_ROUNDS: usize = 5;

/// `bench capi [seconds]`: Debian's library and ours by `bench/capi/bench.c`, against the same server of ours.
///
/// # Errors
/// What could not be built or run.
pub fn bench(root: &Path, arguments: &[String]) -> Result<(), String> {
    let seconds = arguments.first().map_or("3", String::as_str);
    prerequisites()?;
    let directory = clients::target().join("capi-bench");
    install(root, &["--prefix".to_owned(), directory.display().to_string()])?;
    execute(cargo(root).args(["build", "--release", "--quiet", "-p", "oxkeeper"]))?;
    let original = original_library()?;
    let ours = directory.join("lib/libzookeeper_mt.so.2");
    let program = directory.join("bench");
    let mut compile = Command::new("cc");
    compile.args(["-O2", "-DTHREADED", "-I"]).arg(clients::target().join(DEBIAN).join("libzookeeper-mt-dev/usr/include/zookeeper"));
    execute(compile.arg(root.join("bench/capi/bench.c")).arg("-o").arg(&program).arg(&original).arg("-lpthread"))?;

    let server = BenchServer::start(&directory)?;
    let mut figures: [Vec<(String, Vec<f64>)>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..BENCH_ROUNDS {
        for (library, figures) in [&original, &ours].into_iter().zip(&mut figures) {
            let mut run = Command::new(&program);
            run.arg(&server.address).arg(seconds).env("LD_LIBRARY_PATH", library.parent().ok_or("a library lies in a directory")?);
            let output = run.output().map_err(|error| format!("{run:?}: {error}"))?;
            if !output.status.success() {
                return Err(format!("{run:?}: {}", output.status));
            }
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let Some((name, value)) = line.split_once(' ') else { continue };
                let value = value.parse().map_err(|error| format!("{line}: {error}"))?;
                match figures.iter_mut().find(|(known, _)| known == name) {
                    Some((_, values)) => values.push(value),
                    None => figures.push((name.to_owned(), vec![value])),
                }
            }
        }
    }
    drop(server);
    println!("| figure | original | ours | ours / original |\n|---|---|---|---|");
    let [of_original, of_ours] = figures.map(|figures| figures.into_iter().map(|(name, values)| (name, median(values))));
    let mut rows: Vec<(String, f64, f64)> = of_original.zip(of_ours).map(|((name, theirs), (_, ours))| (name, theirs, ours)).collect();
    rows.push(("library_kb".to_owned(), kilobytes(&original)?, kilobytes(&ours)?));
    for (name, theirs, ours) in rows {
        // Nothing is a multiple of nothing: no request fails.
        let ratio = if theirs == 0.0 { "-".to_owned() } else { format!("{:.2}", ours / theirs) };
        println!("| {name} | {theirs} | {ours} | {ratio} |");
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn kilobytes(file: &Path) -> Result<f64, String> {
    let bytes = fs::metadata(file).map_err(|error| format!("{}: {error}", file.display()))?.len();
    Ok((bytes / 1000) as f64)
}

/// Debian's shared library, which the dynamic linker finds.
fn original_library() -> Result<PathBuf, String> {
    let output = Command::new("dpkg-query").args(["-L", "libzookeeper-mt2"]).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let library = text.lines().find(|line| line.ends_with("/libzookeeper_mt.so.2"));
    library.map(PathBuf::from).ok_or_else(|| "libzookeeper-mt2 is not installed".to_owned())
}

/// A server of ours on a free port and an empty directory; it ends with this.
struct BenchServer {
    process: std::process::Child,
    address: String,
}

impl BenchServer {
    fn start(directory: &Path) -> Result<Self, String> {
        let data = directory.join("data");
        let _ = fs::remove_dir_all(&data);
        fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let address = free.map_err(|error| error.to_string())?;
        let configuration = directory.join("zoo.cfg");
        let text = format!(
            "dataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\nmaxClientCnxns=0\n",
            data.display(),
            address.port()
        );
        write(&configuration, &text)?;
        let log = fs::File::create(directory.join("server.log")).map_err(|error| error.to_string())?;
        let mut server = Command::new(clients::oxkeeper()?);
        server.arg(&configuration).stdout(log.try_clone().map_err(|error| error.to_string())?).stderr(log);
        let process = server.spawn().map_err(|error| format!("{server:?}: {error}"))?;
        let server = Self { process, address: address.to_string() };
        for _ in 0..200 {
            if std::net::TcpStream::connect(address).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Err(format!("nobody listens at {address}"))
    }
}

impl Drop for BenchServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
