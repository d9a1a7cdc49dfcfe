//! The operations that this room asks of a disk, and the real disk.
//!
//! [`crate::sim_disk`] is the other one. Whoever calls decides what a failure means: errors come back as they are.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A disk that several owners share.
pub type DiskRef = Arc<dyn Disk>;
/// An open file that several owners share; closed (and never flushed) when the last one drops it.
pub type FileRef = Arc<dyn DiskFile>;

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name within the directory. Names that are not UTF-8 are none of ours and are left out of listings.
    pub name: String,
    /// Length in bytes, padding and holes included.
    pub size: u64,
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// For reading and writing; made if it is missing, emptied if it is there.
    Create,
}

/// What keeps a directory locked; dropping it unlocks.
pub type Lock = Box<dyn Send + Sync>;

/// A file system. Paths are whole paths; no operation follows another implicitly, so that a caller shows every
/// durable step.
pub trait Disk: Send + Sync {
    /// The plain files of a directory, sorted by name.
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>>;
    /// Whether a file or directory is there.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Makes a directory and its parents.
    fn create_directories(&self, directory: &Path) -> io::Result<()>;
    /// Opens or makes a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<FileRef>;
    /// Gives a file another name in the same directory, replacing what bore it, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes names given, changed and removed in a directory durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
    /// Takes the lock file at `path`, making it; `None` when somebody else holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;

    /// The whole content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let mut bytes = vec![0; file.size()? as usize];
        let n = read_full(&*file, &mut bytes, 0)?;
        bytes.truncate(n);
        Ok(bytes)
    }
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Reads at an offset; fewer bytes than asked for only at the end or when interrupted, 0 only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all bytes at an offset, with one system call unless the kernel takes only a part.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file, or lengthens it by a hole of zeros.
    fn set_size(&self, size: u64) -> io::Result<()>;
    /// Makes content and length durable (fdatasync).
    fn sync_data(&self) -> io::Result<()>;
    /// The first offset from `offset` on that may hold something else than a hole; `None` when only a hole follows.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>>;
    /// Asks the system to forget cached clean pages, so that the next read shows what the disk holds. A hint.
    fn evict(&self) -> io::Result<()>;
}

/// Reads until the buffer is full or the file ends; returns the bytes read.
pub fn read_full(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Reads a padded file without its holes: the bytes up to the end of the last data, and the file's length. Holes
/// in between come back as zeros. Java pads a log by 64 MiB of hole, which need not be read to be known as zeros.
pub fn read_without_trailing_hole(file: &dyn DiskFile) -> io::Result<(Vec<u8>, u64)> {
    const CHUNK_BYTES: u64 = 1 << 20;
    let size = file.size()?;
    let mut bytes = Vec::new();
    let mut offset = 0;
    while let Some(data) = file.next_data(offset)? {
        if data >= size {
            break;
        }
        let end = (data + CHUNK_BYTES).min(size);
        bytes.resize(end as usize, 0);
        let n = read_full(file, &mut bytes[data as usize..], data)?;
        offset = data + n as u64;
        if n == 0 {
            break;
        }
    }
    bytes.truncate(offset as usize);
    Ok((bytes, size))
}

/// The disk of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl RealDisk {
    /// A shared one.
    pub fn shared() -> DiskRef {
        Arc::new(Self)
    }
}

impl Disk for RealDisk {
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed between the listing and the look.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                entries.push(Entry { name, size: metadata.len() });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn create_directories(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<FileRef> {
        let mut options = fs::OpenOptions::new();
        match mode {
            OpenMode::Read => options.read(true),
            OpenMode::ReadWrite => options.read(true).write(true),
            OpenMode::Create => options.read(true).write(true).create(true).truncate(true),
        };
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        // Opened before, so that its space goes in steps after its name.
        let file = fs::OpenOptions::new().write(true).open(path).ok();
        fs::remove_file(path)?;
        let is_ours = |file: &fs::File| {
            let is_large = |metadata: fs::Metadata| metadata.nlink() == 0 && metadata.len() >= LARGE_FILE_BYTES;
            // A backup, or a thread that sends it to a learner, may be reading it to its end.
            file.metadata().is_ok_and(is_large) && oxkeeper_kernel::is_open_here_only(file)
        };
        if let Some(file) = file.filter(is_ours) {
            release(file);
        }
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        fs::File::open(directory)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// From here on a file's space is given back in steps of `RELEASE_BYTES`, `RELEASE_REST` apart. On a disk with discards a
/// file of 200 MB that goes at once holds up the log's next sync for 130 ms; so, for no longer than other syncs take.
const LARGE_FILE_BYTES: u64 = 16 << 20;
const RELEASE_BYTES: u64 = 8 << 20;
const RELEASE_REST: Duration = Duration::from_millis(50);

/// Gives back the space of a file without a name, on a thread of its own. If it cannot, or the process ends before, the
/// system does so at once.
fn release(file: fs::File) {
    let work = move || {
        let mut left = file.metadata().map_or(0, |metadata| metadata.len());
        while left > RELEASE_BYTES {
            left -= RELEASE_BYTES;
            if file.set_len(left).and_then(|()| file.sync_data()).is_err() {
                break;
            }
            std::thread::sleep(RELEASE_REST);
        }
    };
    let _ = std::thread::Builder::new().name("Release".to_owned()).spawn(work);
}

struct RealFile(fs::File);

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        match rustix::fs::seek(&self.0, rustix::fs::SeekFrom::Data(offset)) {
            Ok(data) => Ok(Some(data)),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            // A file system that does not know holes.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => Ok(Some(offset)),
            Err(error) => Err(error.into()),
        }
    }

    fn evict(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&self.0, 0, None, rustix::fs::Advice::DontNeed)?)
    }
}
