//! The files in which a member keeps its configuration when that changes while it runs, as Java keeps them:
//! `<zoo.cfg>.dynamic.<version>` for the one in force, to which zoo.cfg points, and `<zoo.cfg>.dynamic.next` for one that
//! was proposed ([`KeptConfigs`] says what they hold).
//!
//! Each file is complete and durable under its name, or is what it was: a kill at any moment leaves what either server
//! starts on. Reading them is left to [`super::load`].

use super::properties::{self, trim};
use log::{info, warn};
use oxkeeper_zab::{Config, Keep, KeptConfigs, Sid};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Ends the name of a file that is not whole yet.
const UNFINISHED: &str = ".oxkeeper-new";

/// See the module.
#[derive(Debug)]
pub struct DynamicFiles {
    config_file: PathBuf,
    kept: KeptConfigs,
}

impl DynamicFiles {
    /// The files beside this zoo.cfg, of the member with this number. What an earlier run had no time to take away goes.
    #[must_use]
    pub fn new(config_file: PathBuf, me: Sid, in_force: &Config, last_seen: Option<&Config>) -> Self {
        let (kept, at_once) = KeptConfigs::new(me, in_force, last_seen);
        let files = Self { config_file, kept };
        if let Err(failure) = files.forget_unfinished() {
            warn!("What an earlier run did not finish beside zoo.cfg cannot be removed: {failure}");
        }
        if let Some(Err(failure)) = at_once.map(|keep| files.keep(keep)) {
            // It means nothing: that it stays costs only this line.
            warn!("An old configuration cannot be removed: {failure}");
        }
        files
    }

    /// Keeps a configuration that was proposed. If it is the one in force, what was kept is of no use any more.
    ///
    /// # Errors
    /// As the file system's.
    pub fn propose(&mut self, config: &Config) -> io::Result<()> {
        let keep = self.kept.propose(config);
        self.keep(keep)
    }

    /// Keeps the configuration that is in force now: first in a file of its own, then zoo.cfg names that.
    ///
    /// # Errors
    /// As the file system's.
    pub fn activate(&mut self, config: &Config) -> io::Result<()> {
        self.kept.activate(config).into_iter().try_for_each(|keep| self.keep(keep))?;
        info!("Configuration {:x} is kept beside {}", config.version, self.config_file.display());
        self.kept.activated(config).map_or(Ok(()), |keep| self.keep(keep))
    }

    fn keep(&self, keep: Keep) -> io::Result<()> {
        match keep {
            Keep::Replace { suffix, text } => replace(&beside(&self.config_file, &suffix), text.as_bytes()),
            Keep::Point { suffix, has_client_port } => {
                let dynamic = fs::canonicalize(beside(&self.config_file, &suffix))?;
                // A link stays one.
                let config_file = fs::canonicalize(&self.config_file)?;
                let text = pointing_to(&fs::read(&config_file)?, &dynamic, has_client_port);
                replace(&config_file, &text)
            }
            Keep::ForgetNext => match fs::remove_file(beside(&self.config_file, KeptConfigs::NEXT)) {
                Err(failure) if failure.kind() != io::ErrorKind::NotFound => Err(failure),
                _ => Ok(()),
            },
        }
    }

    fn forget_unfinished(&self) -> io::Result<()> {
        let own = self.config_file.file_name().unwrap_or_default().as_encoded_bytes();
        for entry in fs::read_dir(directory_of(&self.config_file))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            if name.starts_with(own) && name.ends_with(UNFINISHED.as_bytes()) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// The copy that Java makes of a zoo.cfg that names the members itself, before a reconfiguration takes them out.
pub fn back_up(config_file: &Path) {
    let copied = fs::read(config_file).and_then(|text| replace(&beside(config_file, ".bak"), &text));
    if let Err(failure) = copied {
        warn!("{} cannot be copied to .bak: {failure}", config_file.display());
    }
}

pub(super) fn beside(config_file: &Path, suffix: &str) -> PathBuf {
    let mut name = config_file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A zoo.cfg without what stands in the dynamic file, and with that one's name. Unlike Java's it keeps its comments, its
/// order and its escapes.
fn pointing_to(text: &[u8], dynamic: &Path, has_client_port: bool) -> Vec<u8> {
    let has_moved = |key: &str| {
        let is_member = ["server.", "group", "weight", "dynamicConfigFile", "peerType"].iter().any(|start| key.starts_with(start));
        is_member || has_client_port && matches!(key, "clientPort" | "clientPortAddress")
    };
    // It was read at the start; an operator who has broken it since then gets everything back as it is.
    let entries = properties::parse(text).unwrap_or_default();
    let moved: BTreeSet<usize> = entries.iter().filter(|entry| has_moved(trim(&entry.key))).map(|entry| entry.line).collect();
    let mut kept = Vec::with_capacity(text.len());
    let (mut continues, mut is_moved) = (false, false);
    for (index, line) in physical_lines(text).into_iter().enumerate() {
        if !continues {
            is_moved = moved.contains(&(index + 1));
        }
        if !is_moved {
            kept.extend_from_slice(line);
        }
        let content = line.trim_ascii_start();
        let is_comment = !continues && matches!(content.first(), Some(b'#' | b'!'));
        let bare: &[u8] = line.strip_suffix(b"\r\n").or(line.strip_suffix(b"\n")).or(line.strip_suffix(b"\r")).unwrap_or(line);
        continues = !is_comment && bare.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
    }
    if kept.last().is_some_and(|byte| !matches!(byte, b'\n' | b'\r')) {
        kept.push(b'\n');
    }
    kept.extend_from_slice(format!("dynamicConfigFile={}\n", escaped(&dynamic.to_string_lossy())).as_bytes());
    kept
}

/// With their ends, each of which is a CR, an LF or both.
fn physical_lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        let end = at + if rest[at..].starts_with(b"\r\n") { 2 } else { 1 };
        let (line, behind) = rest.split_at(end);
        lines.push(line);
        rest = behind;
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// A value of a properties file.
fn escaped(value: &str) -> String {
    let unit = |unit: u16| match unit {
        0x5c => "\\\\".to_owned(),
        0x20..=0x7e => char::from(unit as u8).to_string(),
        _ => format!("\\u{unit:04x}"),
    };
    value.encode_utf16().map(unit).collect()
}

/// Puts a file in the place of another, durably, under the rights that the other had.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path, UNFINISHED);
    let mut file = File::create(&temporary)?;
    if let Ok(before) = fs::metadata(path) {
        file.set_permissions(before.permissions())?;
    }
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory_of(path))?.sync_all()
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_moved_leaves_zoo_cfg() {
        let text = b"# members \\\nserver.1=a:1:2\\\n  ;3\ntickTime=2000\r\n  clientPort : 2181\rclientPortListenBacklog=7\nx=\\\n  server.2\ngroup.1=1";
        for (has_client_port, expected) in [
            (true, &b"# members \\\ntickTime=2000\r\nclientPortListenBacklog=7\nx=\\\n  server.2\ndynamicConfigFile=/d\\\\e/\\u00e4.5\n"[..]),
            (false, b"# members \\\ntickTime=2000\r\n  clientPort : 2181\rclientPortListenBacklog=7\nx=\\\n  server.2\ndynamicConfigFile=/d\\\\e/\\u00e4.5\n"),
        ] {
            let edited = pointing_to(text, Path::new("/d\\e/\u{e4}.5"), has_client_port);
            assert_eq!(edited.escape_ascii().to_string(), expected.escape_ascii().to_string());
            let again = properties::parse(&edited).unwrap();
            assert_eq!(again.last().map(|entry| entry.value.as_str()), Some("/d\\e/\u{e4}.5"));
        }
    }

    #[test]
    fn what_is_in_force_takes_the_place_of_what_was_proposed() {
        let directory = std::env::temp_dir().join(format!("oxkeeper-dynamic-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let config_file = directory.join("zoo.cfg");
        fs::write(&config_file, "server.1=a:1:2\nclientPort=5\n").unwrap();
        let parse = |text: &str| Config::parse(text).unwrap();
        let (first, second) = (parse("server.1=a:1:2\nversion=0"), parse("server.2=b:1:2\nserver.1=a:1:2;7\nversion=1f"));
        let names = || {
            let mut names: Vec<String> =
                fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let mut files = DynamicFiles::new(config_file.clone(), Sid(1), &first, None);
        files.propose(&second).unwrap();
        let proposed = "server.1=a:1:2:participant;0.0.0.0:7\nserver.2=b:1:2:participant\nversion=1f";
        assert_eq!(fs::read_to_string(directory.join("zoo.cfg.dynamic.next")).unwrap(), proposed);
        files.propose(&first).unwrap();
        assert_eq!(names(), ["zoo.cfg"]);
        files.propose(&second).unwrap();
        files.activate(&second).unwrap();
        assert_eq!(names(), ["zoo.cfg", "zoo.cfg.dynamic.1f"]);
        fs::write(directory.join("zoo.cfg.dynamic.next"), proposed).unwrap();
        fs::write(directory.join("zoo.cfg.dynamic.20.oxkeeper-new"), "serv").unwrap();
        let _ = DynamicFiles::new(config_file.clone(), Sid(1), &second, Some(&second));
        assert_eq!(names(), ["zoo.cfg", "zoo.cfg.dynamic.1f"]);
        let kept = fs::read_to_string(directory.join("zoo.cfg.dynamic.1f")).unwrap();
        assert_eq!(kept, proposed.rsplit_once('\n').unwrap().0);
        let pointer = fs::canonicalize(&directory).unwrap().join("zoo.cfg.dynamic.1f");
        assert_eq!(fs::read_to_string(&config_file).unwrap(), format!("dynamicConfigFile={}\n", pointer.display()));
        fs::remove_dir_all(&directory).unwrap();
    }
}
