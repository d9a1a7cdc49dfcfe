//! What comes in on a link: packets, and behind the packet that announces it the raw body of a snapshot.

use crate::receive::{Received, SnapshotReceiver};
use bytes::BytesMut;
use oxkeeper_store::Store;
use oxkeeper_zab::{Packet, PacketKind};
use std::io;
use std::sync::{Mutex, PoisonError};

/// One thing that has come in.
#[derive(Debug)]
pub enum Arrival {
    /// A packet.
    Packet(Packet),
    /// The snapshot behind the last packet has come in whole.
    Snapshot(Received),
}

/// Takes a link's bytes apart.
#[derive(Default)]
pub struct LinkReader {
    input: BytesMut,
    receiving: Option<SnapshotReceiver>,
}

impl LinkReader {
    /// Whether a snapshot is coming in.
    pub fn is_receiving(&self) -> bool {
        self.receiving.is_some()
    }

    /// Takes in bytes. `store` is where a snapshot goes: `None` on the leader's side, where none is expected.
    ///
    /// # Errors
    /// When these are no packets, or the snapshot cannot be taken in: the link is of no more use.
    pub fn feed(&mut self, bytes: &[u8], longest: usize, store: Option<&Mutex<Store>>, mut arrived: impl FnMut(Arrival)) -> io::Result<()> {
        let behind = self.receive(bytes, &mut arrived)?;
        self.input.extend_from_slice(behind);
        while self.receiving.is_none() {
            let decoded = Packet::decode(&mut self.input, longest);
            let Some(packet) = decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? else { break };
            if packet.kind == PacketKind::SNAP
                && let Some(store) = store
            {
                let receiver = SnapshotReceiver::new(&store.lock().unwrap_or_else(PoisonError::into_inner), packet.zxid)?;
                arrived(Arrival::Packet(packet));
                self.receiving = Some(receiver);
                let rest = self.input.split();
                let behind = self.receive(&rest, &mut arrived)?;
                self.input.extend_from_slice(behind);
            } else {
                arrived(Arrival::Packet(packet));
            }
        }
        Ok(())
    }

    /// Takes in a piece of a snapshot, if one is coming, and returns what is behind it.
    fn receive<'a>(&mut self, bytes: &'a [u8], arrived: &mut impl FnMut(Arrival)) -> io::Result<&'a [u8]> {
        let Some(receiver) = &mut self.receiving else { return Ok(bytes) };
        let Some(end) = receiver.feed(bytes)? else { return Ok(&[]) };
        let receiver = self.receiving.take().expect("it was there just now");
        arrived(Arrival::Snapshot(receiver.finish()));
        Ok(&bytes[end..])
    }
}
