//! Large files: they come and go in pieces, so that nobody's log waits long for the disk.

use oxkeeper_store::disk::{Disk, OpenMode, RealDisk};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const BYTES: usize = 20 << 20;

/// A file of more than 16 MiB in a directory that goes with it.
struct Large {
    directory: PathBuf,
    path: PathBuf,
}

impl Large {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("oxkeeper-large-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("file");
        std::fs::write(&path, vec![7; BYTES]).unwrap();
        Self { directory, path }
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn whoever_reads_a_removed_file_reads_it_to_its_end() {
    let large = Large::new("read");
    let reader = RealDisk.open(&large.path, OpenMode::Read).unwrap();
    RealDisk.remove(&large.path).unwrap();
    assert!(!large.path.exists());
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(reader.size().unwrap(), BYTES as u64);
}

#[test]
fn another_name_keeps_what_is_in_the_file() {
    let large = Large::new("linked");
    let other = large.directory.join("other");
    std::fs::hard_link(&large.path, &other).unwrap();
    RealDisk.remove(&large.path).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(std::fs::metadata(&other).unwrap().len(), BYTES as u64);
}

#[test]
fn the_space_of_a_removed_file_comes_back() {
    let large = Large::new("gone");
    RealDisk.remove(&large.path).unwrap();
    let begun = Instant::now();
    let is_held = || {
        let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|target| target.starts_with(&large.directory))
    };
    while is_held() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the file is held for ever");
        std::thread::sleep(Duration::from_millis(10));
    }
}
