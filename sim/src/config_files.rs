//! zoo.cfg and the configurations beside it, on a simulated disk: what `KeptConfigs` says, carried out step by step as
//! `server` does it, and read again at a start.

use oxkeeper_store::DiskRef;
use oxkeeper_store::disk::{Disk, OpenMode};
use oxkeeper_store::sim_disk::SimDisk;
use oxkeeper_zab::{Config, Keep, KeptConfigs, Sid};
use std::io;
use std::path::{Path, PathBuf};

const DIRECTORY: &str = "/conf";
const CONFIG_FILE: &str = "/conf/zoo.cfg";
const POINTER: &str = "dynamicConfigFile=";

/// See the module.
pub struct ConfigFiles {
    disk: DiskRef,
    kept: KeptConfigs,
}

impl ConfigFiles {
    /// An operator writes a zoo.cfg that names the members itself.
    pub fn write_first(disk: &SimDisk, config: &Config) {
        let text = config.to_text();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("version=")).collect();
        disk.put(Path::new(CONFIG_FILE), lines.join("\n").as_bytes());
    }

    /// The files of a disk as they are go to another one.
    pub fn copy(from: &SimDisk, to: &SimDisk) {
        let directory = Path::new(DIRECTORY);
        for entry in from.list(directory).unwrap_or_default() {
            let path = directory.join(&entry.name);
            to.put(&path, &from.read(&path).expect("a file that is listed"));
        }
    }

    /// What a start finds: the configuration in force, and one that was proposed.
    ///
    /// # Panics
    /// When a file is not whole: each is complete under its name, or is what it was.
    pub fn read(disk: &DiskRef, me: Sid) -> (Self, Config, Option<Config>) {
        let text = |path: &Path| String::from_utf8(disk.read(path).expect("a file that is there")).expect("text");
        let whole = |text: &str| Config::parse(text).expect("a whole configuration");
        let first = text(Path::new(CONFIG_FILE));
        let config = match first.strip_prefix(POINTER) {
            Some(name) => Config { version: KeptConfigs::version_of(name), ..whole(&text(Path::new(name))) },
            None => whole(&first),
        };
        let next = beside(KeptConfigs::NEXT);
        let last_seen = disk.exists(&next).unwrap_or(false).then(|| whole(&text(&next)));
        let (kept, at_once) = KeptConfigs::new(me, &config, last_seen.as_ref());
        let files = Self { disk: disk.clone(), kept };
        // That an old one stays means nothing.
        let _ = at_once.map(|keep| files.keep(keep));
        (files, config, last_seen)
    }

    /// Keeps a configuration that was proposed.
    ///
    /// # Errors
    /// As the disk's.
    pub fn propose(&mut self, config: &Config) -> io::Result<()> {
        let keep = self.kept.propose(config);
        self.keep(keep)
    }

    /// Keeps the configuration that is in force now.
    ///
    /// # Errors
    /// As the disk's.
    pub fn activate(&mut self, config: &Config) -> io::Result<()> {
        self.kept.activate(config).into_iter().try_for_each(|keep| self.keep(keep))?;
        self.kept.activated(config).map_or(Ok(()), |keep| self.keep(keep))
    }

    fn keep(&self, keep: Keep) -> io::Result<()> {
        match keep {
            Keep::Replace { suffix, text } => self.replace(&beside(&suffix), &text),
            Keep::Point { suffix, .. } => self.replace(Path::new(CONFIG_FILE), &format!("{POINTER}{}", beside(&suffix).display())),
            Keep::ForgetNext => match self.disk.remove(&beside(KeptConfigs::NEXT)) {
                Err(failure) if failure.kind() != io::ErrorKind::NotFound => Err(failure),
                _ => Ok(()),
            },
        }
    }

    fn replace(&self, path: &Path, text: &str) -> io::Result<()> {
        let temporary = PathBuf::from(format!("{}.oxkeeper-new", path.display()));
        let file = self.disk.open(&temporary, OpenMode::Create)?;
        file.write_all_at(text.as_bytes(), 0)?;
        file.sync_data()?;
        self.disk.rename(&temporary, path)?;
        self.disk.sync_directory(Path::new(DIRECTORY))
    }
}

fn beside(suffix: &str) -> PathBuf {
    PathBuf::from(format!("{CONFIG_FILE}{suffix}"))
}
