//! Sockets: mio, buffers and listeners; no ZooKeeper in it.
