//! A nonblocking connection, and the place where TLS will be put between it and the caller.

use mio::event::Source;
use mio::{Interest, Registry, Token};
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

/// A TCP connection. Reads and writes go through its stage; errors are those of the socket.
#[derive(Debug)]
pub struct Stream {
    socket: mio::net::TcpStream,
    stage: Stage,
}

/// What stands between the socket's bytes and the caller's. A stage that keeps bytes of its own
/// (TLS) must hand them out before it says that it would block, and may give short reads only when
/// it has nothing left, since [`crate::ReadBuffer`] takes a short read for the end.
#[derive(Debug)]
enum Stage {
    Plain,
}

impl Stream {
    pub(crate) fn plain(socket: mio::net::TcpStream) -> Self {
        Self { socket, stage: Stage::Plain }
    }

    /// Begins to connect. The first writable event says that it is done; then ask
    /// [`Self::take_error`] and [`Self::peer_address`] whether it worked.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        mio::net::TcpStream::connect(address).map(Self::plain)
    }

    /// What ZooKeeper sets on every client's socket: no delay, close without lingering (the
    /// system's default, so nothing is set), keep-alive by option.
    pub fn set_client_options(&self, keep_alive: bool) -> io::Result<()> {
        self.socket.set_nodelay(true)?;
        if keep_alive {
            SockRef::from(&self.socket).set_keepalive(true)?;
        }
        Ok(())
    }

    /// Lets the connection fail when what was sent has not been acknowledged for so long, in place of
    /// the quarter of an hour that the system tries: for peers that are wanted back soon.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        SockRef::from(&self.socket).set_tcp_user_timeout(Some(patience))
    }

    /// Closes with a reset in place of a farewell, and without a TIME_WAIT of ours: for
    /// connections that are refused at the door.
    pub fn abort(self) {
        // Where it fails the drop closes the ordinary way.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }

    /// Says that nothing more will be sent; what is on its way is still delivered.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Ends both directions.
    pub fn shutdown(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Both)
    }

    /// The error that a connect ended with, if it did.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// The other end; `NotConnected` while a connect is under way.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        let peer = self.socket.peer_addr()?;
        Ok(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
    }

    /// Our end.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        let local = self.socket.local_addr()?;
        Ok(SocketAddr::new(local.ip().to_canonical(), local.port()))
    }
}

impl Read for Stream {
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.stage {
            Stage::Plain => self.socket.read(into),
        }
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stage {
            Stage::Plain => self.socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Stream {
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
