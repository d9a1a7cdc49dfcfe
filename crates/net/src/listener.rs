//! Listening sockets.

use crate::Stream;
use mio::event::Source;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How many connections may wait for `accept` when the caller does not say: what Linux allows at
/// most by default (`net.core.somaxconn`). A whole ensemble's clients come back at once.
const BACKLOG: i32 = 4096;

/// A nonblocking listener.
#[derive(Debug)]
pub struct Listener {
    socket: mio::net::TcpListener,
}

impl Listener {
    /// Binds with SO_REUSEADDR and listens. `backlog` -1 is the default.
    ///
    /// A wildcard of either family hears both, as Java's does; where the machine has no IPv6 it
    /// hears IPv4. Port 0 takes any free port.
    pub fn bind(address: SocketAddr, backlog: i32) -> io::Result<Self> {
        let backlog = if backlog < 0 { BACKLOG } else { backlog };
        if !address.ip().is_unspecified() {
            return Self::bind_one(SocketAddr::new(address.ip().to_canonical(), address.port()), backlog);
        }
        let both = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), address.port());
        match Self::bind_one(both, backlog) {
            Err(error) if lacks_ipv6(&error) => Self::bind_one(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()), backlog),
            outcome => outcome,
        }
    }

    fn bind_one(address: SocketAddr, backlog: i32) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(backlog)?;
        Ok(Self { socket: mio::net::TcpListener::from_std(socket.into()) })
    }

    /// Where it listens; with the real port where 0 was asked for.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next connection and its peer, an IPv4 peer always as IPv4; `None` when nobody waits.
    /// A connection that died while it waited is passed over.
    ///
    /// An error means that the process or the machine lacks something (descriptors, memory): the
    /// connection still waits, no new event will tell of it, so the caller tries again after a pause.
    pub fn accept(&self) -> io::Result<Option<(Stream, SocketAddr)>> {
        loop {
            match self.socket.accept() {
                Ok((socket, peer)) => {
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    return Ok(Some((Stream::plain(socket), peer)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Java looks whether it may make an IPv6 socket; here the attempt tells.
fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::Unsupported)
        // "Address family not supported by protocol" has no kind of its own.
        || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

impl Source for Listener {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket.deregister(registry)
    }
}
