//! How many connections are let in, of one address and in all.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts the connections of one listener or of several; shared by their threads.
#[derive(Debug)]
pub struct ConnectionLimits {
    /// 0: no limit.
    per_address: usize,
    /// 0: no limit.
    total: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    by_address: HashMap<IpAddr, usize>,
    total: usize,
}

/// A connection that was let in; dropping it makes room.
#[derive(Debug)]
pub struct Admission {
    limits: Arc<ConnectionLimits>,
    address: IpAddr,
}

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its address has this many already.
    PerAddress(usize),
    /// There are this many in all.
    Total(usize),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerAddress(count) => write!(f, "too many connections from one address: {count}"),
            Self::Total(count) => write!(f, "too many connections: {count}"),
        }
    }
}

impl ConnectionLimits {
    /// The most connections of one address and in all; 0 is no limit.
    pub fn new(per_address: usize, total: usize) -> Arc<Self> {
        Arc::new(Self { per_address, total, counts: Mutex::default() })
    }

    /// Lets a connection in, or says which limit is reached; the total is looked at first.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admission, Refusal> {
        let mut counts = self.lock();
        if self.total != 0 && counts.total >= self.total {
            return Err(Refusal::Total(counts.total));
        }
        let of_address = counts.by_address.get(&address).copied().unwrap_or(0);
        if self.per_address != 0 && of_address >= self.per_address {
            return Err(Refusal::PerAddress(of_address));
        }
        counts.by_address.insert(address, of_address + 1);
        counts.total += 1;
        Ok(Admission { limits: Arc::clone(self), address })
    }

    /// Connections that are in.
    pub fn total(&self) -> usize {
        self.lock().total
    }

    /// Connections of that address that are in.
    pub fn of_address(&self, address: IpAddr) -> usize {
        self.lock().by_address.get(&address).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.limits.lock();
        counts.total -= 1;
        if let Some(count) = counts.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}
