//! A full disk, a real one: a small tmpfs, which wants root. Writes stop with an error, reads go on, nothing
//! acknowledged is lost, also if the server is killed and started in that state, and all goes on by itself when there
//! is room again.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::load::{Eye, Load, connect};
use oxkeeper_compat_tests::subject::{Options, Server, Subject, TemporaryDirectory};

const PATIENCE: Duration = Duration::from_secs(60);

/// A file system of 16 MiB; gone with the value.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    fn mount(path: PathBuf) -> SmallDisk {
        fs::create_dir_all(&path).expect("mount point");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(&path).status().expect("mount runs");
        assert!(status.success(), "this test mounts a tmpfs and needs root for it");
        SmallDisk { path }
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).expect("ballast");
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![1; size];
            loop {
                match file.write(&block) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("ballast");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn wait_for(progress: &AtomicU64, replies: u64) {
    let begun = Instant::now();
    while progress.load(Ordering::Relaxed) < replies {
        assert!(begun.elapsed() < PATIENCE, "{} replies of {replies}", progress.load(Ordering::Relaxed));
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn wait_until_writable(server: &Server) {
    let begun = Instant::now();
    while connect(server.address(), None, 1000).is_none() {
        assert!(begun.elapsed() < PATIENCE, "does not recover:\n{}", server.log_tail());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn count(log: &Path, text: &str) -> usize {
    fs::read_to_string(log).expect("log").lines().filter(|line| line.contains(text)).count()
}

#[test]
fn a_full_disk_stops_writes_and_nothing_else() {
    let directory = TemporaryDirectory::new();
    let disk = SmallDisk::mount(directory.path.join("small"));
    let data = disk.path.join("data");
    let options = Options::usual()
        .line("forceSync", "yes")
        .line("preAllocSize", "64")
        .line("snapCount", "2000")
        .line("dataDir", &data.display().to_string());
    let mut server = Server::start_in(Subject::Oxkeeper, &options, &directory.path);
    let address = server.address();
    let mut eye = Eye::open(address);
    let mut load = Load::new(4, 16, 31);
    load.run(address, |progress| wait_for(progress, 1000));
    load.verify_with(&mut eye);

    for round in 1..=3 {
        let refused = load.refused();
        load.run(address, |progress| {
            disk.fill();
            let begun = Instant::now();
            while count(&server.log_path(), "No space left for the transaction log") < round {
                assert!(begun.elapsed() < PATIENCE, "the disk is full and nobody says so");
                std::thread::sleep(Duration::from_millis(5));
            }
            wait_for(progress, progress.load(Ordering::Relaxed) + 300);
        });
        assert!(load.refused() > refused, "round {round}: no write was refused");
        // Reads go on, and show what was acknowledged and nothing of what was refused.
        load.verify_with(&mut eye);
        assert!(connect(address, None, 1000).is_none(), "a new session is a write");
        if round == 2 {
            server.kill();
            server.restart();
            eye.reopen(address);
            load.verify_with(&mut eye);
            // The snapshot that belongs to a start finds no room; the server lives.
            assert!(count(&server.log_path(), "could not be written, the log is kept") > 0, "{}", server.log_tail());
        }
        assert_eq!(count(&server.log_path(), "No space left for the transaction log"), round, "one line, not one for each write");
        disk.make_room();
        wait_until_writable(&server);
        let acknowledged = load.acknowledged();
        load.run(address, |progress| wait_for(progress, 1000));
        assert!(load.acknowledged() > acknowledged + 500, "writes go on");
        load.verify_with(&mut eye);
    }
    server.kill();
    server.restart();
    load.verify(address);
    assert_eq!(server.terminate().code(), Some(0));
}
