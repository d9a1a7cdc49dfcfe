//! System calls of Linux that no library offers safely; nothing of ZooKeeper is in it. It is the one room of the server
//! with `unsafe` in it, so that all others forbid it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Linux 6.1; `libc` has it for glibc only.
const MADV_COLLAPSE: libc::c_int = 25;

/// Moves the pages of a range of this process's memory into huge pages. What the range holds does not change, and it may
/// be in use meanwhile: whoever touches it waits for as long as the copy of a huge page takes. The range should begin and
/// end where huge pages do.
///
/// # Errors
/// `InvalidInput`: the kernel does not know this (before 6.1), or the range is no memory for it. Others: there is no huge
/// page, or the range is in use in a way that does not allow it; another time it may go.
pub fn collapse(start: usize, bytes: usize) -> io::Result<()> {
    // SAFETY: the kernel checks the range, and changes neither what it holds nor who may use it.
    let done = unsafe { libc::madvise(std::ptr::without_provenance_mut(start), bytes, MADV_COLLAPSE) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether nobody, in this process or another, has the file open but this handle. `false` if that cannot be known (the file
/// belongs to another user, or lies on a file system without leases).
pub fn is_open_here_only(file: &File) -> bool {
    // SAFETY: the calls take a descriptor, which `file` keeps open, and a number.
    unsafe {
        // A lease for writing is granted to the only opener of a file, and broken by the next one.
        let is_granted = libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) == 0;
        if is_granted {
            libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK);
        }
        is_granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUGE: usize = 2 << 20;

    #[test]
    fn what_memory_holds_stays() {
        let bytes: Vec<u8> = (0..4 * HUGE).map(|at| (at % 251) as u8).collect();
        let start = bytes.as_ptr().addr().next_multiple_of(HUGE);
        // Whether there are huge pages is the machine's business.
        let _ = collapse(start, 2 * HUGE);
        assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8));
    }

    #[test]
    fn no_memory_is_an_error() {
        assert!(collapse(HUGE, HUGE).is_err());
    }

    #[test]
    fn another_handle_is_seen() {
        let path = std::env::temp_dir().join(format!("oxkeeper-kernel-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        let other = File::open(&path).unwrap();
        assert!(!is_open_here_only(&file));
        drop(other);
        std::fs::remove_file(&path).unwrap();
        assert!(is_open_here_only(&file), "a temporary directory is expected to know leases");
        assert!(is_open_here_only(&file), "the lease has been given back");
    }
}
