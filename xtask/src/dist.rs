//! `cargo xtask dist`: everything that is shipped, in `target/dist`: Debian packages, an RPM, a tarball in the layout of
//! Apache's, an OCI image from scratch. What is in them stands in `packaging`; this file only puts it together, with the
//! tools of the distribution (`dpkg-deb`, `rpmbuild`, `tar`, `gzip`). Times, owners and order of files are fixed, so a build
//! can be repeated.

use crate::capi;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::clients::target;

/// When a build does not say: the day of this version's release, as the server's own text.
const RELEASED_EPOCH_SECONDS: &str = "1795392000";
/// What the packages stand in for, in Debian's and Red Hat's version order above every 3.8 and 3.9 of theirs.
const ZOOKEEPER: &str = "3.9.5";
/// The soft version of glibc whose symbols the program needs is found out; this is what is claimed if that fails.
const LEAST_GLIBC: &str = "2.34";

type Build = fn(&Dist) -> Result<(), String>;

const KINDS: &[(&str, Build)] =
    &[("tarball", Dist::tarball), ("static", Dist::static_tarball), ("deb", Dist::deb), ("rpm", Dist::rpm), ("image", Dist::image)];

/// What is built, and of what.
struct Dist {
    root: PathBuf,
    out: PathBuf,
    program: PathBuf,
    /// The program without shared libraries, if it is wanted.
    static_program: Option<PathBuf>,
    /// Where the C library's shared libraries and archives are.
    libraries: PathBuf,
    /// How hard dpkg-deb and xz try.
    level: &'static str,
    version: String,
    epoch_seconds: String,
}

/// Builds all kinds, or those that are named; `--program FILE` takes a program that is there already,
/// `--static-program FILE` one that needs no shared libraries (`--build-static` makes it even so), `--libraries DIR` the C library as
/// it was built there; `--debug` builds with debug assertions, and `--quick` packs less tightly.
///
/// # Errors
/// What could not be built.
pub fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let (mut wanted, mut program, mut static_program, mut out) = (Vec::new(), None, None, target().join("dist"));
    let (mut libraries, mut level) = (None, "-z6");
    let (mut builds_static, mut profile, mut profile_of_libraries) = (false, RELEASE, SMALL);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().map(PathBuf::from).ok_or(format!("{argument} needs a path"));
        match argument.as_str() {
            "--program" => program = Some(value()?),
            "--static-program" => static_program = Some(value()?),
            "--libraries" => libraries = Some(value()?),
            "--build-static" => builds_static = true,
            "--debug" => (profile, profile_of_libraries) = (DEBUG, DEBUG),
            "--quick" => level = "-z1",
            "--out" => out = value()?,
            name => match KINDS.iter().find(|(kind, _)| *kind == name) {
                Some(kind) => wanted.push(kind),
                None => {
                    return Err("usage: cargo xtask dist [tarball|static|deb|rpm|image]... [--program FILE] [--static-program FILE] \
                         [--build-static] [--libraries DIR] [--debug] [--quick] [--out DIR]"
                        .to_owned());
                }
            },
        }
    }
    if static_program.is_none() && (builds_static || program.is_none()) {
        static_program = Some(build_statically(root, profile)?);
    }
    let program = match program {
        Some(program) => program,
        None => {
            call(Command::new("cargo").args(["build", "--profile", profile.name, "-p", "oxkeeper"]).current_dir(root))?;
            // The C library's packages, where they are: shared libraries and static archives.
            let mut build = Command::new("cargo");
            build.args(["build", "--profile", profile_of_libraries.name]);
            for shell in ["mt-shared", "st-shared", "mt-static", "st-static"] {
                if root.join("capi").join(shell).join("Cargo.toml").exists() {
                    build.arg("-p").arg(format!("oxkeeper-capi-{shell}"));
                }
            }
            call(build.current_dir(root))?;
            target().join(profile.directory).join("oxkeeper")
        }
    };
    let libraries = libraries.unwrap_or_else(|| target().join(profile_of_libraries.directory));
    fs::create_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let absolute = |path: &Path| std::path::absolute(path).map_err(|error| error.to_string());
    let dist = Dist {
        root: root.to_owned(),
        out: absolute(&out)?,
        program: absolute(&program)?,
        static_program: static_program.as_deref().map(absolute).transpose()?,
        libraries: absolute(&libraries)?,
        level,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epoch_seconds: std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| RELEASED_EPOCH_SECONDS.to_owned()),
    };
    let wanted = if wanted.is_empty() { KINDS.iter().collect() } else { wanted };
    for (name, build) in wanted {
        println!("== {name}");
        build(&dist)?;
    }
    Ok(())
}

/// How cargo builds, and where it puts what it has built.
#[derive(Clone, Copy)]
struct Profile {
    name: &'static str,
    directory: &'static str,
}

const SMALL: Profile = Profile { name: capi::PROFILE, directory: capi::PROFILE };
const RELEASE: Profile = Profile { name: "release", directory: "release" };
const DEBUG: Profile = Profile { name: "dev", directory: "debug" };

/// Builds the program without shared libraries: with musl where Rust's target for it is installed or can be, else with the static
/// glibc of this machine, whose resolver asks files and DNS by itself (since 2.34; other sources of names it does not know).
fn build_statically(root: &Path, profile: Profile) -> Result<PathBuf, String> {
    let musl = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let is_there = || {
        let library =
            call(Command::new("rustc").args(["--print", "target-libdir", "--target", &musl]).current_dir(root)).unwrap_or_default();
        Path::new(String::from_utf8_lossy(&library).trim()).exists()
    };
    let has_musl = is_there() || (call(Command::new("rustup").args(["target", "add", &musl]).current_dir(root)).is_ok() && is_there());
    let triple = if has_musl { musl } else { format!("{}-unknown-linux-gnu", std::env::consts::ARCH) };
    println!("the static program is built for {triple}");
    let mut build = Command::new("cargo");
    build.args(["build", "--profile", profile.name, "-p", "oxkeeper", "--target", &triple]).current_dir(root);
    if !has_musl {
        build.env("RUSTFLAGS", "-C target-feature=+crt-static");
    }
    call(&mut build)?;
    Ok(target().join(triple).join(profile.directory).join("oxkeeper"))
}

/// Runs a command and shows what it says if it fails.
fn call(command: &mut Command) -> Result<Vec<u8>, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(format!("{program} ended with {}:\n{said}", output.status))
}

/// A directory that is filled.
struct Stage(PathBuf);

impl Stage {
    fn new(path: PathBuf) -> Result<Self, String> {
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    fn failed(&self, name: &str) -> impl Fn(std::io::Error) -> String {
        let path = self.0.join(name).display().to_string();
        move |error| format!("{path}: {error}")
    }

    fn directory(&self, name: &str, mode: u32) -> Result<(), String> {
        fs::create_dir_all(self.0.join(name)).map_err(self.failed(name))?;
        fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(mode)).map_err(self.failed(name))
    }

    fn put(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), String> {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("below the stage")).map_err(self.failed(name))?;
        fs::write(&path, bytes).map_err(self.failed(name))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(self.failed(name))
    }

    fn copy(&self, from: &Path, name: &str, mode: u32) -> Result<(), String> {
        self.put(name, &fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?, mode)
    }

    fn link(&self, to: &str, name: &str) -> Result<(), String> {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("below the stage")).map_err(self.failed(name))?;
        symlink(to, path).map_err(self.failed(name))
    }

    /// The sum of the files' sizes in KiB, as dpkg counts them.
    fn size_kib(&self) -> Result<u64, String> {
        fn walk(path: &Path) -> std::io::Result<u64> {
            let mut sum = 0;
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                sum += if entry.file_type()?.is_dir() { 1 + walk(&entry.path())? } else { entry.metadata()?.len().div_ceil(1024) };
            }
            Ok(sum)
        }
        walk(&self.0).map_err(self.failed(""))
    }
}

impl Dist {
    fn packaging(&self, name: &str) -> PathBuf {
        self.root.join("packaging").join(name)
    }

    fn read(&self, name: &str) -> Result<String, String> {
        let path = self.packaging(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Scripts by name: those of `bin`, executable but for the one that is sourced.
    fn scripts(&self) -> Result<Vec<(String, PathBuf, u32)>, String> {
        let directory = self.packaging("bin");
        let mut scripts = Vec::new();
        for entry in fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let mode = if name == "zkEnv.sh" { 0o644 } else { 0o755 };
            scripts.push((name, entry.path(), mode));
        }
        scripts.sort();
        Ok(scripts)
    }

    /// The program without symbols of debugging.
    fn stripped(&self) -> Result<Vec<u8>, String> {
        self.without_symbols(&self.program)
    }

    fn without_symbols(&self, program: &Path) -> Result<Vec<u8>, String> {
        self.stripped_of("--strip-all", program)
    }

    /// A file without the symbols that this option of `strip` takes away.
    fn stripped_of(&self, option: &str, file: &Path) -> Result<Vec<u8>, String> {
        let copy = self.out.join("oxkeeper.stripped");
        // Archives keep no times and owners of the build.
        call(Command::new("strip").args([option, "--enable-deterministic-archives", "-o"]).arg(&copy).arg(file))?;
        let bytes = fs::read(&copy).map_err(|error| error.to_string());
        let _ = fs::remove_file(copy);
        bytes
    }

    /// Manual pages, packed, and completions: the program writes them from its own tables.
    fn documents(&self, stage: &Stage) -> Result<(), String> {
        let pages = self.out.join("man");
        let _ = fs::remove_dir_all(&pages);
        call(Command::new(&self.program).arg("man").arg("--to").arg(&pages))?;
        let mut names: Vec<_> = fs::read_dir(&pages).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path()).collect();
        names.sort();
        for page in names {
            let packed = call(Command::new("gzip").args(["-9nc"]).arg(&page))?;
            let name = page.file_name().unwrap_or_default().to_string_lossy().into_owned();
            stage.put(&format!("usr/share/man/man1/{name}.gz"), &packed, 0o644)?;
        }
        let _ = fs::remove_dir_all(pages);
        for (shell, name) in [
            ("bash", "bash-completion/completions/oxkeeper"),
            ("zsh", "zsh/site-functions/_oxkeeper"),
            ("fish", "fish/vendor_completions.d/oxkeeper.fish"),
        ] {
            let text = call(Command::new(&self.program).args(["completions", shell]))?;
            stage.put(&format!("usr/share/{name}"), &text, 0o644)?;
        }
        Ok(())
    }

    /// What the server's package has, but for maintainer scripts and configuration.
    fn service(&self, stage: &Stage, systemd: &str) -> Result<(), String> {
        for (name, path, mode) in self.scripts()? {
            let from = if name == "zkEnv.sh" { self.packaging("deb/zkEnv.sh") } else { path };
            stage.copy(&from, &format!("usr/share/zookeeper/bin/{name}"), mode)?;
        }
        stage.copy(&self.packaging("systemd/oxkeeper.service"), &format!("{systemd}/oxkeeper.service"), 0o644)?;
        stage.copy(&self.packaging("systemd/oxkeeper.sysusers"), "usr/lib/sysusers.d/oxkeeper.conf", 0o644)?;
        stage.copy(&self.packaging("systemd/oxkeeper.tmpfiles"), "usr/lib/tmpfiles.d/oxkeeper.conf", 0o644)
    }

    /// The configuration of a fresh installation, below a directory.
    fn configuration(&self, stage: &Stage, below: &str) -> Result<(), String> {
        let sample = self.read("conf/zoo_sample.cfg")?;
        let text: String = sample
            .lines()
            .filter(|line| !line.contains("/tmp is for trying"))
            .map(|line| if line.starts_with("dataDir=") { "dataDir=/var/lib/zookeeper\n".to_owned() } else { format!("{line}\n") })
            .collect();
        stage.put(&format!("{below}/zoo.cfg"), text.as_bytes(), 0o644)?;
        stage.copy(&self.packaging("deb/environment"), &format!("{below}/environment"), 0o644)
    }

    fn pack(&self, directory: &Path, names: &[&str], to: &Path) -> Result<(), String> {
        let mut command = Command::new("tar");
        command.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"]);
        command.arg(format!("--mtime=@{}", self.epoch_seconds)).arg("-cf").arg(to).arg("-C").arg(directory).args(names);
        call(&mut command)?;
        call(Command::new("gzip").arg("-9nf").arg(to))?;
        Ok(())
    }

    fn tarball(&self) -> Result<(), String> {
        self.tarball_of(&self.program, &format!("oxkeeper-{}-bin", self.version))
    }

    fn static_tarball(&self) -> Result<(), String> {
        match &self.static_program {
            Some(program) => self.tarball_of(program, &format!("oxkeeper-{}-static-{}", self.version, std::env::consts::ARCH)),
            None => {
                println!("there is no static program: left out");
                Ok(())
            }
        }
    }

    fn tarball_of(&self, program: &Path, name: &str) -> Result<(), String> {
        let stage = Stage::new(self.out.join("stage-tarball"))?;
        stage.put(&format!("{name}/bin/oxkeeper"), &self.without_symbols(program)?, 0o755)?;
        for (script, path, mode) in self.scripts()? {
            stage.copy(&path, &format!("{name}/bin/{script}"), mode)?;
        }
        stage.copy(&self.packaging("conf/zoo_sample.cfg"), &format!("{name}/conf/zoo_sample.cfg"), 0o644)?;
        for (file, to) in
            [("LICENSE", "LICENSE.txt"), ("README.md", "README.md"), ("COMPAT.md", "docs/COMPAT.md"), ("CHANGELOG.md", "docs/CHANGELOG.md")]
        {
            stage.copy(&self.root.join(file), &format!("{name}/{to}"), 0o644)?;
        }
        let documents = Stage(stage.0.join(name).join("docs"));
        self.documents(&documents)?;
        let tar = self.out.join(format!("{name}.tar"));
        self.pack(&stage.0, &[name], &tar)?;
        println!("{}.gz", tar.display());
        Ok(())
    }

    /// `amd64`, `arm64`, ...: Debian's name of the machine that the program is for.
    fn architecture(&self) -> Result<String, String> {
        Ok(String::from_utf8_lossy(&call(Command::new("dpkg").arg("--print-architecture"))?).trim().to_owned())
    }

    /// `libc6 (>= 2.34)`: the newest version of glibc's symbols that a file needs.
    fn libc(&self, file: &Path) -> String {
        let symbols = call(Command::new("objdump").arg("-T").arg(file)).unwrap_or_default();
        let symbols = String::from_utf8_lossy(&symbols).into_owned();
        let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| {
            let text = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
            let mut numbers = text.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
            Some((numbers.next()?, numbers.next()?))
        });
        let least = versions.max().map_or(LEAST_GLIBC.to_owned(), |(major, minor)| format!("{major}.{minor}"));
        format!("libc6 (>= {least}), libgcc-s1 (>= 4.2)")
    }

    fn deb(&self) -> Result<(), String> {
        let architecture = self.architecture()?;
        let program = |stage: &Stage| {
            stage.put("usr/bin/oxkeeper", &self.stripped()?, 0o755)?;
            self.documents(stage)
        };
        self.deb_package("oxkeeper-bin", &architecture, &self.libc(&self.program), program)?;
        self.deb_package("oxkeeper", "all", "", |stage| {
            self.service(stage, "lib/systemd/system")?;
            self.configuration(stage, "usr/share/oxkeeper/conf")
        })?;
        for kind in ["mt", "st"] {
            self.deb_libraries(kind, &architecture)?;
        }
        Ok(())
    }

    /// The C library's packages, if it has been built.
    fn deb_libraries(&self, kind: &str, architecture: &str) -> Result<(), String> {
        let shared = self.libraries.join(format!("libzookeeper_{kind}.so"));
        if !shared.exists() {
            println!("no {}: its packages are left out", shared.display());
            return Ok(());
        }
        let triplet = call(Command::new("dpkg-architecture").arg("-qDEB_HOST_MULTIARCH"))
            .map_or_else(|_| format!("{}-linux-gnu", std::env::consts::ARCH), |text| String::from_utf8_lossy(&text).trim().to_owned());
        let directory = format!("usr/lib/{triplet}");
        let libc = self.libc(&shared);
        self.deb_package(&format!("liboxkeeper-{kind}2"), architecture, &libc, |stage| {
            stage.put(&format!("{directory}/libzookeeper_{kind}.so.2.0.0"), &self.stripped_of("--strip-unneeded", &shared)?, 0o644)?;
            stage.link(&format!("libzookeeper_{kind}.so.2.0.0"), &format!("{directory}/libzookeeper_{kind}.so.2"))?;
            // Programs built with this package may run with Debian's as well.
            let shlibs = format!("libzookeeper_{kind} 2 libzookeeper-{kind}2\n");
            stage.put("DEBIAN/shlibs", shlibs.as_bytes(), 0o644)?;
            stage.put("DEBIAN/triggers", b"activate-noawait ldconfig\n", 0o644)
        })?;
        self.deb_package(&format!("liboxkeeper-{kind}-dev"), architecture, &libc, |stage| {
            stage.link(&format!("libzookeeper_{kind}.so.2"), &format!("{directory}/libzookeeper_{kind}.so"))?;
            let archive = self.libraries.join(format!("libzookeeper_{kind}_static.a"));
            if archive.exists() {
                stage.put(&format!("{directory}/libzookeeper_{kind}.a"), &self.stripped_of("--strip-debug", &archive)?, 0o644)?;
            }
            let headers = self.root.join("include/zookeeper");
            for entry in fs::read_dir(&headers).map_err(|error| format!("{}: {error}", headers.display()))?.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.ends_with(".h") {
                    stage.copy(&entry.path(), &format!("usr/include/zookeeper/{name}"), 0o644)?;
                }
            }
            Ok(())
        })
    }

    fn deb_package(&self, name: &str, architecture: &str, libc: &str, fill: impl Fn(&Stage) -> Result<(), String>) -> Result<(), String> {
        let stage = Stage::new(self.out.join(format!("stage-deb-{name}")))?;
        fill(&stage)?;
        let version = format!("{}-1", self.version);
        stage.copy(&self.packaging("deb/copyright"), &format!("usr/share/doc/{name}/copyright"), 0o644)?;
        let date = call(Command::new("date").args(["-R", "-u", "-d", &format!("@{}", self.epoch_seconds)]))?;
        let changelog = format!(
            "{name} ({version}) unstable; urgency=medium\n\n  * See CHANGELOG.md of the project.\n\n -- The Oxkeeper project <oxkeeper@example.org>  {}",
            String::from_utf8_lossy(&date)
        );
        stage.put("changelog", changelog.as_bytes(), 0o644)?;
        let packed = call(Command::new("gzip").args(["-9nc"]).arg(stage.0.join("changelog")))?;
        fs::remove_file(stage.0.join("changelog")).map_err(stage.failed("changelog"))?;
        stage.put(&format!("usr/share/doc/{name}/changelog.Debian.gz"), &packed, 0o644)?;
        let size = stage.size_kib()?;
        let mut sums = String::new();
        for path in sorted_files(&stage.0)? {
            let relative = path.strip_prefix(&stage.0).expect("below").display().to_string();
            if !relative.starts_with("DEBIAN/") && !path.is_symlink() {
                let sum = call(Command::new("md5sum").arg(&path))?;
                let _ = writeln!(sums, "{}  {relative}", String::from_utf8_lossy(&sum[..32]));
            }
        }
        stage.put("DEBIAN/md5sums", sums.as_bytes(), 0o644)?;
        let control = self
            .read(&format!("deb/{name}/control"))?
            .replace("@VERSION@", &version)
            .replace("@ARCH@", architecture)
            .replace("@LIBC@", libc)
            .replace("@ZOOKEEPER@", ZOOKEEPER)
            .replace("Section:", &format!("Installed-Size: {size}\nSection:"));
        stage.put("DEBIAN/control", control.as_bytes(), 0o644)?;
        for script in ["preinst", "postinst", "prerm", "postrm"] {
            let path = self.packaging(&format!("deb/{name}/{script}"));
            if path.exists() {
                stage.copy(&path, &format!("DEBIAN/{script}"), 0o755)?;
            }
        }
        let file = self.out.join(format!("{name}_{version}_{architecture}.deb"));
        let mut build = Command::new("dpkg-deb");
        build.env("SOURCE_DATE_EPOCH", &self.epoch_seconds);
        call(build.args(["--root-owner-group", "-Zxz", self.level, "--build"]).arg(&stage.0).arg(&file))?;
        println!("{}", file.display());
        Ok(())
    }

    fn rpm(&self) -> Result<(), String> {
        let stage = Stage::new(self.out.join("stage-rpm"))?;
        stage.put("usr/bin/oxkeeper", &self.stripped()?, 0o755)?;
        self.documents(&stage)?;
        self.service(&stage, "usr/lib/systemd/system")?;
        self.configuration(&stage, "etc/zookeeper/conf_oxkeeper")?;
        stage.copy(&self.root.join("README.md"), "usr/share/doc/oxkeeper/README.md", 0o644)?;
        stage.copy(&self.root.join("LICENSE"), "usr/share/doc/oxkeeper/LICENSE", 0o644)?;
        for directory in ["var/lib/zookeeper", "var/log/zookeeper"] {
            stage.directory(directory, 0o750)?;
        }
        let top = self.out.join("rpmbuild");
        let mut build = Command::new("rpmbuild");
        build.env("SOURCE_DATE_EPOCH", &self.epoch_seconds).arg("-bb");
        for (name, value) in [
            ("_topdir", top.display().to_string()),
            ("stage", stage.0.display().to_string()),
            ("package_version", self.version.clone()),
            ("zookeeper_version", ZOOKEEPER.to_owned()),
            ("_rpmdir", self.out.display().to_string()),
            ("_rpmfilename", "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm".to_owned()),
            ("use_source_date_epoch_as_buildtime", "1".to_owned()),
            ("clamp_mtime_to_source_date_epoch", "1".to_owned()),
            ("_buildhost", "oxkeeper".to_owned()),
        ] {
            build.arg("--define").arg(format!("{name} {value}"));
        }
        call(build.arg(self.packaging("rpm/oxkeeper.spec")))?;
        println!("{}", self.out.join(format!("oxkeeper-{}-1.{}.rpm", self.version, std::env::consts::ARCH)).display());
        Ok(())
    }

    /// An OCI image layout with one layer: the program, the shared libraries that it needs, and links by the names of the
    /// scripts. No shell, no user database but its own two lines.
    fn image(&self) -> Result<(), String> {
        let stage = Stage::new(self.out.join("stage-image"))?;
        let program = self.static_program.as_ref().unwrap_or(&self.program);
        stage.put("usr/bin/oxkeeper", &self.without_symbols(program)?, 0o755)?;
        for name in ["docker-entrypoint.sh", "usr/bin/zkServer.sh", "usr/bin/zkCli.sh"] {
            stage.link("/usr/bin/oxkeeper", name)?;
        }
        // Says nothing of a static one.
        let listed = call(Command::new("ldd").arg(program)).unwrap_or_default();
        let listed = String::from_utf8_lossy(&listed).into_owned();
        for word in listed.split_whitespace().filter(|word| word.starts_with('/')) {
            stage.copy(Path::new(word), word.trim_start_matches('/'), 0o755)?;
        }
        stage.put("etc/passwd", b"root:x:0:0:root:/:/nologin\nzookeeper:x:1000:1000:ZooKeeper:/data:/nologin\n", 0o644)?;
        stage.put("etc/group", b"root:x:0:\nzookeeper:x:1000:\n", 0o644)?;
        // Whoever runs the image lays his own over it.
        stage.put("etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n", 0o644)?;
        stage.put("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n", 0o644)?;
        stage.put("conf/zoo_sample.cfg", self.read("conf/zoo_sample.cfg")?.as_bytes(), 0o644)?;
        // As in the official image: anybody may be given the directories, and zoo.cfg is written at the first start.
        for (directory, mode) in [("conf", 0o777), ("data", 0o777), ("datalog", 0o777), ("logs", 0o777), ("tmp", 0o1777)] {
            stage.directory(directory, mode)?;
        }
        let image = Stage::new(self.out.join(format!("oxkeeper-{}-image", self.version)))?;
        let tar = self.out.join("layer.tar");
        let names: Vec<String> = {
            let entries = fs::read_dir(&stage.0).map_err(|error| error.to_string())?.flatten();
            let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        let mut command = Command::new("tar");
        command.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"]);
        command.arg(format!("--mtime=@{}", self.epoch_seconds)).arg("-cf").arg(&tar).arg("-C").arg(&stage.0).args(&names);
        call(&mut command)?;
        let plain = digest(&fs::read(&tar).map_err(|error| error.to_string())?)?;
        let layer = call(Command::new("gzip").args(["-9nc"]).arg(&tar))?;
        let _ = fs::remove_file(&tar);
        let created = call(Command::new("date").args(["-u", "-d", &format!("@{}", self.epoch_seconds), "+%Y-%m-%dT%H:%M:%SZ"]))?;
        let created = String::from_utf8_lossy(&created).trim().to_owned();
        let architecture = self.architecture()?;
        let environment = [
            "PATH=/usr/bin",
            "ZOOCFGDIR=/conf",
            "ZOO_CONF_DIR=/conf",
            "ZOO_DATA_DIR=/data",
            "ZOO_DATA_LOG_DIR=/datalog",
            "ZOO_LOG_DIR=/logs",
            "ZOO_TICK_TIME=2000",
            "ZOO_INIT_LIMIT=5",
            "ZOO_SYNC_LIMIT=2",
            "ZOO_AUTOPURGE_PURGEINTERVAL=0",
            "ZOO_AUTOPURGE_SNAPRETAINCOUNT=3",
            "ZOO_MAX_CLIENT_CNXNS=60",
            "ZOO_STANDALONE_ENABLED=true",
            "ZOO_ADMINSERVER_ENABLED=true",
        ]
        .map(|variable| format!("\"{variable}\""))
        .join(",");
        let config = format!(
            "{{\"created\":\"{created}\",\"architecture\":\"{architecture}\",\"os\":\"linux\",\"config\":{{\"Env\":[{environment}],\
             \"Entrypoint\":[\"/docker-entrypoint.sh\"],\"Cmd\":[\"zkServer.sh\",\"start-foreground\"],\"WorkingDir\":\"/\",\
             \"ExposedPorts\":{{\"2181/tcp\":{{}},\"2888/tcp\":{{}},\"3888/tcp\":{{}},\"8080/tcp\":{{}}}},\
             \"Volumes\":{{\"/data\":{{}},\"/datalog\":{{}},\"/logs\":{{}}}},\
             \"Labels\":{{\"org.opencontainers.image.title\":\"oxkeeper\",\"org.opencontainers.image.version\":\"{}\"}}}},\
             \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"sha256:{plain}\"]}},\
             \"history\":[{{\"created\":\"{created}\",\"created_by\":\"cargo xtask dist image\"}}]}}",
            self.version
        );
        let blob = |bytes: &[u8]| -> Result<String, String> {
            let sum = digest(bytes)?;
            image.put(&format!("blobs/sha256/{sum}"), bytes, 0o644)?;
            Ok(format!("\"digest\":\"sha256:{sum}\",\"size\":{}", bytes.len()))
        };
        let kind = |name: &str| format!("\"mediaType\":\"application/vnd.oci.image.{name}\"");
        let manifest = format!(
            "{{\"schemaVersion\":2,{},\"config\":{{{},{}}},\"layers\":[{{{},{}}}]}}",
            kind("manifest.v1+json"),
            kind("config.v1+json"),
            blob(config.as_bytes())?,
            kind("layer.v1.tar+gzip"),
            blob(&layer)?
        );
        let index = format!(
            "{{\"schemaVersion\":2,{},\"manifests\":[{{{},{},\"platform\":{{\"architecture\":\"{architecture}\",\"os\":\"linux\"}},\
             \"annotations\":{{\"org.opencontainers.image.ref.name\":\"{}\"}}}}]}}",
            kind("index.v1+json"),
            kind("manifest.v1+json"),
            blob(manifest.as_bytes())?,
            self.version
        );
        image.put("index.json", index.as_bytes(), 0o644)?;
        image.put("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}", 0o644)?;
        let archive = self.out.join(format!("oxkeeper-{}-image.tar", self.version));
        let mut pack = Command::new("tar");
        pack.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"]).arg(format!("--mtime=@{}", self.epoch_seconds));
        call(pack.arg("-cf").arg(&archive).arg("-C").arg(&image.0).args(["blobs", "index.json", "oci-layout"]))?;
        println!("{}", archive.display());
        Ok(())
    }
}

fn sorted_files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files.extend(sorted_files(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// SHA-256 in hexadecimal.
fn digest(bytes: &[u8]) -> Result<String, String> {
    let mut child =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| format!("sha256sum: {error}"))?;
    child.stdin.take().expect("piped").write_all(bytes).map_err(|error| error.to_string())?;
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.get(..64).map(str::to_owned).ok_or_else(|| "sha256sum says nothing".to_owned())
}
