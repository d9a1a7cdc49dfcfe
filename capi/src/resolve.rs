//! Names to addresses by the system, with the original's codes for failure; and addresses as C has them.

use crate::log::{Log, log};
use oxkeeper_client::HostPort;
use std::ffi::{CStr, CString, c_int};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;

/// The addresses of each host; a name that is not known has none. Hosts that are none at all are no error.
///
/// # Errors
/// errno when hosts were asked for and not one is known.
pub fn all(hosts: &[HostPort], log: Log) -> Result<Vec<Vec<SocketAddr>>, c_int> {
    let mut errno = 0;
    let mut is_any_known = false;
    let mut addresses = Vec::with_capacity(hosts.len());
    for host in hosts {
        addresses.push(match one(host) {
            Ok(found) => {
                is_any_known |= !found.is_empty();
                found
            }
            Err(failure) => {
                log!(log, Error, c"resolve_hosts", "getaddrinfo: {}", failure.reason);
                errno = failure.errno;
                Vec::new()
            }
        });
    }
    if is_any_known || hosts.is_empty() { Ok(addresses) } else { Err(if errno == 0 { libc::EINVAL } else { errno }) }
}

/// Why a name has no addresses.
pub struct Failure {
    /// What `zookeeper_init` leaves in errno.
    pub errno: c_int,
    /// In words.
    pub reason: String,
}

/// The addresses of one host.
///
/// # Errors
/// When the system knows none.
pub fn one(host: &HostPort) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(ip) = host.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, host.port)]);
    }
    let Ok(name) = CString::new(host.host.as_bytes()) else {
        return Err(Failure { errno: libc::EINVAL, reason: "a name with a NUL".to_owned() });
    };
    let mut status = ask(&name, libc::AI_ADDRCONFIG);
    if matches!(status, Err(libc::EAI_BADFLAGS)) {
        status = ask(&name, 0);
    }
    match status {
        Ok(mut addresses) => {
            addresses.iter_mut().for_each(|address: &mut SocketAddr| address.set_port(host.port));
            Ok(addresses)
        }
        Err(code) => {
            let errno = match code {
                libc::EAI_NONAME | libc::EAI_NODATA => libc::ENOENT,
                libc::EAI_MEMORY => libc::ENOMEM,
                _ => libc::EINVAL,
            };
            // SAFETY: a static text for any code.
            let reason = unsafe { CStr::from_ptr(libc::gai_strerror(code)) }.to_string_lossy().into_owned();
            Err(Failure { errno, reason })
        }
    }
}

fn ask(name: &CStr, flags: c_int) -> Result<Vec<SocketAddr>, c_int> {
    // SAFETY: all of its members may be zero.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_flags = flags;
    hints.ai_family = libc::AF_UNSPEC;
    hints.ai_socktype = libc::SOCK_STREAM;
    hints.ai_protocol = libc::IPPROTO_TCP;
    let mut list = ptr::null_mut();
    // SAFETY: valid pointers; the list is freed below.
    let code = unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &hints, &mut list) };
    if code != 0 {
        return Err(code);
    }
    let mut addresses = Vec::new();
    let mut at = list;
    // SAFETY: the list that the system made, each address as long as its family says.
    unsafe {
        while let Some(entry) = at.as_ref() {
            if !entry.ai_addr.is_null() {
                match entry.ai_family {
                    libc::AF_INET => {
                        let v4 = entry.ai_addr.cast::<libc::sockaddr_in>().read_unaligned();
                        addresses.push(SocketAddrV4::new(u32::from_be(v4.sin_addr.s_addr).into(), 0).into());
                    }
                    libc::AF_INET6 => {
                        let v6 = entry.ai_addr.cast::<libc::sockaddr_in6>().read_unaligned();
                        addresses.push(SocketAddrV6::new(v6.sin6_addr.s6_addr.into(), 0, 0, v6.sin6_scope_id).into());
                    }
                    _ => {}
                }
            }
            at = entry.ai_next;
        }
        libc::freeaddrinfo(list);
    }
    Ok(addresses)
}

/// Writes an address as `getpeername` does: as much as there is room for, and its whole length.
///
/// # Safety
/// `to` has `length` bytes.
pub unsafe fn write_address(address: SocketAddr, to: *mut libc::sockaddr, length: &mut libc::socklen_t) {
    let room = *length as usize;
    // SAFETY: the caller's promise; plain structures, copied bytewise.
    unsafe {
        match address {
            SocketAddr::V4(v4) => {
                let mut raw: libc::sockaddr_in = std::mem::zeroed();
                raw.sin_family = libc::AF_INET as libc::sa_family_t;
                raw.sin_port = v4.port().to_be();
                raw.sin_addr.s_addr = u32::from(*v4.ip()).to_be();
                ptr::copy_nonoverlapping((&raw const raw).cast::<u8>(), to.cast(), room.min(size_of_val(&raw)));
                *length = size_of_val(&raw) as libc::socklen_t;
            }
            SocketAddr::V6(v6) => {
                let mut raw: libc::sockaddr_in6 = std::mem::zeroed();
                raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                raw.sin6_port = v6.port().to_be();
                raw.sin6_addr.s6_addr = v6.ip().octets();
                raw.sin6_scope_id = v6.scope_id();
                ptr::copy_nonoverlapping((&raw const raw).cast::<u8>(), to.cast(), room.min(size_of_val(&raw)));
                *length = size_of_val(&raw) as libc::socklen_t;
            }
        }
    }
}
