//! Empty data directories, made as zkServer-initialize.sh makes them.

use crate::Failure;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// `dataDir`.
    pub data: &'a Path,
    /// `dataLogDir`, if it is set.
    pub log: Option<&'a Path>,
    /// The server's number, as given.
    pub my_id: Option<&'a str>,
    /// Whether what is there is thrown away.
    pub force: bool,
}

/// Empties or makes the directories, writes `myid` and the file `initialize`.
///
/// # Errors
/// Directories with data in them (unless forced), or that cannot be written.
pub fn initialize(request: &Request<'_>, out: &mut dyn Write) -> Result<(), Failure> {
    let Request { data, log, my_id, force } = request;
    let places = || [(Some(*data), "data"), (*log, "txnlog")].into_iter().filter_map(|(path, kind)| Some((path?, kind)));
    if *force {
        writeln!(out, "Force enabled, data/txnlog directories will be re-initialized")?;
    } else if let Some((path, kind)) = places().find(|(path, _)| path.join("version-2").is_dir()) {
        let path = path.display();
        return Err(Failure::unexpected(format!(
            "ZooKeeper {kind} directory already exists at {path} (or use --force to force re-initialization)"
        )));
    }
    for (path, _) in places() {
        let lock = path.join("version-2/oxkeeper.lock");
        if is_in_use(&lock) {
            return Err(Failure::unexpected(format!("{} is in use by a running server: stop it first", path.display())));
        }
        for name in ["myid", "version-2"] {
            remove(&path.join(name))?;
        }
        let version = path.join("version-2");
        fs::create_dir_all(&version).map_err(|error| Failure::of_file(&version, &error))?;
    }
    let my_id_file = data.join("myid");
    match my_id {
        Some(id) => {
            writeln!(out, "Using myid of {id}")?;
            fs::write(&my_id_file, format!("{id}\n")).map_err(|error| Failure::of_file(&my_id_file, &error))?;
        }
        None => writeln!(out, "No myid provided, be sure to specify it in {} if using non-standalone", my_id_file.display())?,
    }
    // Servers look for it beside the logs; the original script puts it into dataDir alone.
    for (path, _) in places() {
        let initialize = path.join("initialize");
        fs::File::options().create(true).append(true).open(&initialize).map_err(|error| Failure::of_file(&initialize, &error))?;
    }
    Ok(())
}

fn is_in_use(lock: &Path) -> bool {
    lock.exists() && matches!(oxkeeper_store::Disk::lock(&oxkeeper_store::RealDisk, lock), Ok(None))
}

fn remove(path: &Path) -> Result<(), Failure> {
    let done = if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::of_file(path, &error)),
        _ => Ok(()),
    }
}
