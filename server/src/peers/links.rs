//! The links between learners and a leader: what waits to be sent on each, and the sending, by whichever thread has
//! something for it. Reading is left to the thread of the peers ([`super::Peers`]).
//!
//! Packets are put into a link's buffer under the core's lock, so that their order is the core's; they are sent after it
//! has been let go. What a socket does not take at once is sent by the thread of the peers when there is room.

use crate::four_letter::zone::Zone;
use crate::logging::Timestamp;
use crate::metrics::{Counter, Metrics, Recorder, SummarySet};
use bytes::Bytes;
use log::{info, warn};
use oxkeeper_ledger::{Received, SyncError, synchronise_within};
use oxkeeper_net::{FlushOutcome, Queue, Stream, Wakeup, WriteBuffer};
use oxkeeper_proto::Zxid;
use oxkeeper_store::Store;
use oxkeeper_zab::{Config, Door, LinkId, Packet, PacketKind, Sid, SyncJob, SyncPlan};
use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A learner that does not take what it is sent is dropped beyond this: it comes back and gets it from the files.
const LONGEST_BACKLOG_BYTES: usize = 256 << 20;
/// A synchronisation waits while so much is on its way.
const SYNC_WINDOW_BYTES: usize = 4 << 20;
/// How long a synchronisation waits for the log to be written, and how often it looks.
const LOG_WAIT: Duration = Duration::from_millis(20);
const LOG_WAITS: usize = 50;
/// How often the core is told that a synchronisation goes on: more often than the shortest tick asks for.
const PROGRESS_EVERY: Duration = Duration::from_millis(20);
/// How long it waits at a time before it looks whether the link lives.
const SYNC_WAIT: Duration = Duration::from_millis(200);

/// What the thread of the peers is asked to do.
pub enum Work {
    /// Send an election message.
    Notify { to: Sid, message: Bytes },
    /// Connect to a leader, or to who feeds observers.
    Dial { link: LinkId, leader: Sid, door: Door },
    /// The addresses of a leader.
    Resolved { link: LinkId, addresses: Vec<SocketAddr> },
    /// Accept learners, or no longer.
    Listen { on: bool, door: Door },
    /// Close a link when what it waits for has been sent.
    HangUp(LinkId),
    /// A configuration was proposed.
    SeenMembers(Box<Config>),
    /// The members have changed.
    Members(Box<Config>),
    /// Part of a synchronisation has gone out.
    Progress(LinkId),
    /// A link has failed while something was sent.
    Failed(LinkId),
}

/// One link.
pub struct Link {
    pub id: LinkId,
    pub peer: SocketAddr,
    /// The learner at the other end, once it has said who it is.
    learner: OnceLock<Sid>,
    /// When it was made, milliseconds since 1970.
    established_ms: i64,
    socket: Mutex<Socket>,
    /// Woken when there is room again, or none will ever be.
    room: Condvar,
}

struct Socket {
    stream: Stream,
    out: WriteBuffer,
    /// What comes behind a synchronisation that is still being sent.
    held: Option<Vec<u8>>,
    /// Close it when everything has been sent.
    is_closing: bool,
    has_failed: bool,
    /// A synchronisation waits for room. (Telling a condition variable is a system call even where nobody waits.)
    is_awaited: bool,
    waiting: Waiting,
    counted: Counted,
    tracked: Option<Tracked>,
}

/// The last packets of a link, oldest first (messageTracker.*). Of a synchronisation only its kind is kept, when all of
/// it has been sent; what it consists of is not.
struct Tracked {
    most: usize,
    sent: VecDeque<(SystemTime, PacketKind)>,
    received: VecDeque<(SystemTime, PacketKind)>,
}

impl Tracked {
    fn new(most: u32) -> Self {
        Self { most: most as usize, sent: VecDeque::new(), received: VecDeque::new() }
    }

    fn sent(&mut self, kind: PacketKind) {
        Self::keep(self.most, &mut self.sent, kind);
    }

    fn received(&mut self, kind: PacketKind) {
        Self::keep(self.most, &mut self.received, kind);
    }

    fn keep(most: usize, kept: &mut VecDeque<(SystemTime, PacketKind)>, kind: PacketKind) {
        if kept.len() >= most {
            kept.pop_front();
        }
        kept.push_back((SystemTime::now(), kind));
    }

    /// The lines that Java writes about one direction, and whether they are a warning.
    fn lines(way: &str, peer: SocketAddr, kept: &VecDeque<(SystemTime, PacketKind)>, zone: &Zone) -> (bool, Vec<String>) {
        if kept.is_empty() {
            return (false, vec![format!("No buffered timestamps for messages {way} {peer}")]);
        }
        let head = format!("Last {} timestamps for messages {way} {peer}:", kept.len());
        let each = kept.iter().map(|&(at, kind)| {
            let name = kind.name().unwrap_or("UNKNOWN");
            format!("{way} {peer}  TimeStamp: {} Type: {name}", Timestamp(at, zone))
        });
        (true, std::iter::once(head).chain(each).collect())
    }
}

/// What operators are told of the link of a learner.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// When it was made, milliseconds since 1970.
    pub established_ms: i64,
    /// Packets that wait to be sent, and bytes.
    pub queued: (u64, u64),
    /// Packets of the learner since it is up to date.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Requests of its clients.
    pub requests: u64,
    /// The last zxid in a packet for it.
    pub last_zxid: Zxid,
}

/// Of packets that a learner sends, and is to be sent. As Java counts: nothing before its history is settled comes in,
/// and what is sent begins behind LEADERINFO.
#[derive(Default)]
struct Counted {
    pushed: u64,
    last_zxid: Zxid,
    is_settled: bool,
    received: u64,
    requests: u64,
}

impl Counted {
    fn receive(&mut self, kind: PacketKind) {
        self.received += u64::from(self.is_settled);
        self.requests += u64::from(self.is_settled && kind == PacketKind::REQUEST);
        self.is_settled |= kind == PacketKind::ACK;
    }

    fn push(&mut self, packet: &Packet) {
        self.pushed += u64::from(packet.kind != PacketKind::LEADERINFO);
        if packet.zxid > Zxid::ZERO {
            self.last_zxid = packet.zxid;
        }
    }
}

/// The packets that were put into a link and have not been sent.
#[derive(Default)]
struct Waiting {
    packets: i64,
    /// Since when the oldest of them waits.
    since: Option<Instant>,
    /// Where this is told, and under which name: for a learner that is known.
    told: Option<(Recorder, String)>,
}

impl Waiting {
    fn add(&mut self) {
        if self.told.is_some() {
            self.packets += 1;
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// The socket is about to take some: how many wait behind the first.
    fn begin(&self) {
        if let Some((recorder, name)) = &self.told
            && self.packets > 0
        {
            recorder.observe_for(SummarySet::LearnerHandlerQpSize, name, self.packets - 1);
        }
    }

    /// It has taken all of them.
    fn end(&mut self) {
        self.packets = 0;
        if let (Some(since), Some((recorder, name))) = (self.since.take(), &self.told) {
            recorder.observe_for(SummarySet::LearnerHandlerQpTime, name, since.elapsed().as_millis() as i64);
        }
    }
}

impl Link {
    pub fn new(id: LinkId, peer: SocketAddr, stream: Stream, tracked_packets: Option<u32>) -> Arc<Self> {
        let socket = Socket {
            stream,
            out: WriteBuffer::default(),
            held: None,
            is_closing: false,
            has_failed: false,
            is_awaited: false,
            waiting: Waiting::default(),
            counted: Counted::default(),
            tracked: tracked_packets.map(Tracked::new),
        };
        let established_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
        Arc::new(Self { id, peer, learner: OnceLock::new(), established_ms, socket: Mutex::new(socket), room: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Socket> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The learner at the other end has said who it is.
    pub fn name(&self, sid: Sid, metrics: &Metrics) {
        if self.learner.set(sid).is_ok() {
            self.lock().waiting.told = Some((metrics.recorder(), sid.0.to_string()));
        }
    }

    /// The stream, to be registered.
    pub fn with_stream<T>(&self, what: impl FnOnce(&mut Stream) -> T) -> T {
        what(&mut self.lock().stream)
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// As the socket's.
    pub fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.lock().stream.read(into)
    }

    /// Counts a packet that has come in.
    pub fn count(&self, kind: PacketKind) {
        let mut socket = self.lock();
        socket.counted.receive(kind);
        if let Some(tracked) = &mut socket.tracked {
            tracked.received(kind);
        }
    }

    /// A synchronisation has been sent.
    fn track_sent(&self, kind: PacketKind) {
        if let Some(tracked) = &mut self.lock().tracked {
            tracked.sent(kind);
        }
    }

    /// Names its last packets in the log, if they were kept: once, when it has ended.
    pub fn tell_tracked(&self) {
        let Some(tracked) = self.lock().tracked.take() else { return };
        let zone = Zone::local();
        for (way, kept) in [("receivedBuffer from", &tracked.received), ("sentBuffer to", &tracked.sent)] {
            let (warns, lines) = Tracked::lines(way, self.peer, kept, &zone);
            let level = if warns { log::Level::Warn } else { log::Level::Info };
            lines.iter().for_each(|line| log::log!(level, "{line}"));
        }
    }

    /// What has gone over it so far.
    pub fn traffic(&self) -> Traffic {
        let socket = self.lock();
        let packets = socket.waiting.packets.unsigned_abs();
        let bytes = socket.out.pending_bytes() + socket.held.as_ref().map_or(0, Vec::len);
        Traffic {
            established_ms: self.established_ms,
            queued: (packets, bytes as u64),
            received: socket.counted.received,
            sent: socket.counted.pushed.saturating_sub(packets),
            requests: socket.counted.requests,
            last_zxid: socket.counted.last_zxid,
        }
    }

    /// Counts anew; what waits will have been sent then.
    pub fn forget_traffic(&self) {
        let mut socket = self.lock();
        let packets = socket.waiting.packets.unsigned_abs();
        (socket.counted.received, socket.counted.requests, socket.counted.pushed) = (0, 0, packets);
    }

    /// Puts a packet behind everything else.
    fn push(&self, packet: &Packet) {
        let socket = &mut *self.lock();
        let into = socket.held.as_mut().unwrap_or_else(|| socket.out.tail());
        packet.encode(into);
        socket.waiting.add();
        socket.counted.push(packet);
        if let Some(tracked) = &mut socket.tracked {
            tracked.sent(packet.kind);
        }
        if into.len() > LONGEST_BACKLOG_BYTES {
            warn!("The link with {} is dropped: {} bytes wait to be sent", self.peer, into.len());
            socket.has_failed = true;
        }
    }

    /// Sends what the socket takes. Returns whether the link lives.
    pub fn flush(&self) -> bool {
        let mut socket = self.lock();
        let Socket { stream, out, held, is_closing, has_failed, is_awaited, waiting, .. } = &mut *socket;
        if !*has_failed {
            // What is held back waits on.
            if held.is_none() {
                waiting.begin();
            }
            match out.flush(stream) {
                Ok(FlushOutcome::Done) => {
                    if held.is_none() {
                        waiting.end();
                    }
                    if *is_closing && held.is_none() {
                        *has_failed = true;
                        let _ = stream.shutdown();
                    }
                }
                Ok(FlushOutcome::WouldBlock) => {}
                Err(_) => *has_failed = true,
            }
        }
        let lives = !*has_failed;
        let is_awaited = *is_awaited;
        drop(socket);
        if is_awaited {
            self.room.notify_all();
        }
        lives
    }

    fn hold(&self) {
        self.lock().held.get_or_insert_default();
    }

    fn close_behind(&self) {
        self.lock().is_closing = true;
    }

    /// Nothing more is sent; whoever waits for room learns it.
    pub fn fail(&self) {
        let mut socket = self.lock();
        socket.has_failed = true;
        let _ = socket.stream.shutdown();
        drop(socket);
        self.room.notify_all();
    }

    /// Sends a piece of a synchronisation, and waits while too much is on its way.
    fn send_piece(&self, bytes: &[u8]) -> io::Result<()> {
        {
            let mut socket = self.lock();
            while socket.out.pending_bytes() > SYNC_WINDOW_BYTES && !socket.has_failed {
                socket.is_awaited = true;
                socket = self.room.wait_timeout(socket, SYNC_WAIT).unwrap_or_else(PoisonError::into_inner).0;
            }
            socket.is_awaited = false;
            if socket.has_failed {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            socket.out.tail().extend_from_slice(bytes);
        }
        if self.flush() { Ok(()) } else { Err(io::ErrorKind::ConnectionAborted.into()) }
    }

    /// The synchronisation has been sent: now what came behind it.
    fn release(&self) {
        {
            let socket = &mut *self.lock();
            if let Some(held) = socket.held.take() {
                socket.out.tail().extend_from_slice(&held);
            }
        }
        self.flush();
    }
}

/// All links of a server.
pub struct Links {
    links: Mutex<HashMap<LinkId, Arc<Link>>>,
    pub work: Arc<Queue<Work>>,
    /// Of the thread of the peers.
    pub wakeup: Arc<Wakeup>,
    /// A snapshot that has come in, until it is installed.
    pub received: Mutex<Option<Received>>,
    pub metrics: Metrics,
}

impl Links {
    pub fn new(wakeup: Arc<Wakeup>, metrics: Metrics) -> Arc<Self> {
        // Bounded by what the core asks for: a few things for each link and election.
        let work = Queue::new(usize::MAX, wakeup.clone());
        Arc::new(Self { links: Mutex::default(), work, wakeup, received: Mutex::default(), metrics })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LinkId, Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn insert(&self, link: Arc<Link>) {
        self.lock().insert(link.id, link);
    }

    pub fn remove(&self, id: LinkId) -> Option<Arc<Link>> {
        self.lock().remove(&id)
    }

    pub fn get(&self, id: LinkId) -> Option<Arc<Link>> {
        self.lock().get(&id).cloned()
    }

    /// Asks the thread of the peers for something.
    pub fn ask(&self, work: Work) {
        let _ = self.work.push(work);
    }

    /// Puts a packet into the buffer of a link, if there is still one; [`Links::flush`] sends it.
    pub fn send(&self, id: LinkId, packet: &Packet, touched: &mut Vec<Arc<Link>>) {
        let Some(link) = self.get(id) else { return };
        link.push(packet);
        if !touched.iter().any(|one| one.id == id) {
            touched.push(link);
        }
    }

    /// Sends what was put into these buffers.
    pub fn flush(&self, touched: &[Arc<Link>]) {
        for link in touched {
            if !link.flush() {
                self.ask(Work::Failed(link.id));
            }
        }
    }

    /// Closes a link behind what waits on it.
    pub fn hang_up(&self, id: LinkId) {
        if let Some(link) = self.get(id) {
            link.close_behind();
        }
        self.ask(Work::HangUp(id));
    }

    /// Serves a learner from the files, on a thread of its own. What is sent on the link meanwhile waits behind it.
    pub fn synchronise(self: &Arc<Self>, id: LinkId, job: SyncJob, store: &Arc<Mutex<Store>>, log_share: Option<f64>) {
        let Some(link) = self.get(id) else { return };
        link.hold();
        let (links, store) = (self.clone(), store.clone());
        let spawned = std::thread::Builder::new().name(format!("LearnerHandler-{}", link.peer)).spawn(move || {
            let peer_last: Zxid = job.peer_last;
            let learner = link.learner.get().map_or_else(|| "without a number".to_owned(), |sid| sid.0.to_string());
            let mut told = Instant::now();
            let mut has_sent = false;
            let mut send = |piece: &[u8]| {
                has_sent = true;
                link.send_piece(piece)?;
                if told.elapsed() >= PROGRESS_EVERY {
                    told = Instant::now();
                    links.ask(Work::Progress(link.id));
                }
                Ok(())
            };
            let mut outcome = synchronise_within(&store, &job, log_share, &mut send);
            // A quorum may have committed what our own log's thread has not written yet: it comes.
            for _ in 0..LOG_WAITS {
                if has_sent || !matches!(outcome, Err(SyncError::Files(_))) {
                    break;
                }
                std::thread::sleep(LOG_WAIT);
                outcome = synchronise_within(&store, &job, log_share, &mut |piece| {
                    has_sent = true;
                    link.send_piece(piece)
                });
            }
            match outcome {
                Ok(plan) => {
                    let (how, at) = match plan {
                        SyncPlan::Diff { after } => (PacketKind::DIFF, after),
                        SyncPlan::Trunc { to } => (PacketKind::TRUNC, to),
                        SyncPlan::Snap => (PacketKind::SNAP, job.through),
                    };
                    link.track_sent(how);
                    // As Java counts: a cut is a DIFF.
                    let counter = if matches!(plan, SyncPlan::Snap) { Counter::SnapCount } else { Counter::DiffCount };
                    links.metrics.record(|recorder| recorder.add(counter, 1));
                    info!(
                        "Synchronised learner {learner} at {} with {how} {at}: its history ended with {peer_last}, ours with {}",
                        link.peer, job.through
                    );
                    link.release();
                }
                Err(failure) => {
                    warn!("Learner {learner} at {} cannot be synchronised: {failure}", link.peer);
                    links.ask(Work::Failed(link.id));
                }
            }
        });
        if let Err(failure) = spawned {
            warn!("No thread to synchronise a learner: {failure}");
            self.ask(Work::Failed(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_packets_of_a_link_are_told_oldest_first() {
        let mut tracked = Tracked::new(2);
        for kind in [PacketKind::LEADERINFO, PacketKind::DIFF, PacketKind(99)] {
            tracked.sent(kind);
        }
        tracked.sent.iter_mut().zip(1..).for_each(|(one, at)| one.0 = UNIX_EPOCH + Duration::from_millis(at));
        let peer = SocketAddr::from(([127, 0, 0, 1], 2888));
        let told = Tracked::lines("sentBuffer to", peer, &tracked.sent, &Zone::utc());
        let expected = [
            "Last 2 timestamps for messages sentBuffer to 127.0.0.1:2888:",
            "sentBuffer to 127.0.0.1:2888  TimeStamp: 1970-01-01 00:00:00,001 Type: DIFF",
            "sentBuffer to 127.0.0.1:2888  TimeStamp: 1970-01-01 00:00:00,002 Type: UNKNOWN",
        ];
        assert_eq!(told, (true, expected.map(String::from).to_vec()));
        let told = Tracked::lines("receivedBuffer from", peer, &tracked.received, &Zone::utc());
        assert_eq!(told, (false, vec!["No buffered timestamps for messages receivedBuffer from 127.0.0.1:2888".to_owned()]));
    }
}
