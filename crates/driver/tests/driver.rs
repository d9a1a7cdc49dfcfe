//! The thread against a server that is played here, on real sockets.

use oxkeeper_driver::client::{
    Chroot, Completion, ConnectString, CreateMode, HostPort, Operation, Options, PendingRequests, State, SubmitError, WatcherId,
};
use oxkeeper_driver::{Acl, Batch, Builder, Delivery, Error, Event, Handle, Resolve, Sink, StartOptions, ZooKeeper};
use oxkeeper_proto::records::Stat;
use oxkeeper_proto::{ErrorCode, OpCode, Record, SessionId, Write as _};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Longer than anything here takes; only a test that fails waits for it.
const LONG: Duration = Duration::from_secs(30);
const SESSION: i64 = 0x55;

/// How the played server answers; each connection has a thread.
#[derive(Default)]
struct Manners {
    is_read_only: AtomicBool,
    /// Says `rw` to `isro`.
    is_read_write: AtomicBool,
    /// Takes requests and answers none of them.
    is_mute: AtomicBool,
    connections: AtomicUsize,
    streams: Mutex<Vec<TcpStream>>,
    closed_sessions: AtomicUsize,
    /// Requests that were read in silence.
    swallowed: AtomicUsize,
}

struct Fake {
    address: SocketAddr,
    manners: Arc<Manners>,
}

impl Fake {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let manners = Arc::new(Manners::default());
        let on_thread = Arc::clone(&manners);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                stream.set_nodelay(true).expect("a socket");
                let manners = Arc::clone(&on_thread);
                manners.connections.fetch_add(1, Ordering::SeqCst);
                manners.streams.lock().unwrap().push(stream.try_clone().expect("a second descriptor"));
                std::thread::spawn(move || drop(serve(stream, &manners)));
            }
        });
        Self { address, manners }
    }

    fn connect_string(&self) -> String {
        self.address.to_string()
    }

    /// Breaks all connections.
    fn hang_up(&self) {
        for stream in self.manners.streams.lock().unwrap().drain(..) {
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
    }

    /// Sends a frame to every connection.
    fn say(&self, frame: &[u8]) {
        for stream in self.manners.streams.lock().unwrap().iter_mut() {
            stream.write_all(frame).expect("it is open");
        }
    }
}

fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.buffer(Some(body));
    out
}

fn reply(xid: i32, zxid: i64, error: i32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.int(xid);
    out.long(zxid);
    out.int(error);
    out.extend_from_slice(body);
    frame(&out)
}

fn serve(mut stream: TcpStream, manners: &Manners) -> io::Result<()> {
    let mut first = [0; 4];
    stream.read_exact(&mut first)?;
    if &first == b"isro" {
        return stream.write_all(if manners.is_read_write.load(Ordering::SeqCst) { b"rw" } else { b"ro" });
    }
    let mut connect = vec![0; u32::from_be_bytes(first) as usize];
    stream.read_exact(&mut connect)?;
    let asked = i64::from_be_bytes(connect[16..24].try_into().unwrap());
    let mut answer = Vec::new();
    answer.int(0);
    answer.int(10_000);
    answer.long(if asked == 0 { SESSION } else { asked });
    answer.buffer(Some(&[1; 16]));
    answer.boolean(manners.is_read_only.load(Ordering::SeqCst));
    stream.write_all(&frame(&answer))?;
    for zxid in 1.. {
        let request = read_frame(&mut stream)?;
        let xid = i32::from_be_bytes(request[..4].try_into().unwrap());
        let op = OpCode(i32::from_be_bytes(request[4..8].try_into().unwrap()));
        if manners.is_mute.load(Ordering::SeqCst) {
            manners.swallowed.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        let mut body = Vec::new();
        match op {
            // The path comes back as the data.
            OpCode::GET_DATA => {
                body.extend_from_slice(&request[8..request.len() - 1]);
                Stat::default().write(&mut body);
            }
            // The data comes back as its length.
            OpCode::SET_DATA => Stat { data_length: request.len() as i32, ..Stat::default() }.write(&mut body),
            OpCode::CREATE => {
                let length = u32::from_be_bytes(request[8..12].try_into().unwrap()) as usize;
                body.extend_from_slice(&request[8..12 + length]);
            }
            OpCode::CLOSE_SESSION => drop(manners.closed_sessions.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        }
        let error = if op == OpCode::DELETE { ErrorCode::NO_NODE.0 } else { 0 };
        stream.write_all(&reply(xid, zxid, error, if error == 0 { &body } else { b"" }))?;
    }
    Ok(())
}

fn builder(fake: &Fake) -> Builder {
    Builder::new(&fake.connect_string(), 10_000).expect("a good list")
}

fn connected(fake: &Fake) -> (ZooKeeper, Receiver<Event>) {
    let (sender, events) = mpsc::channel();
    let zookeeper = builder(fake).on_event(move |event| drop(sender.send(event))).start().expect("a thread");
    assert_eq!(zookeeper.wait_connected(LONG), State::Connected);
    assert_eq!(events.recv_timeout(LONG).expect("an event").state, State::Connected);
    (zookeeper, events)
}

#[test]
fn calls_wait_for_their_replies() {
    let fake = Fake::start();
    let (zookeeper, _events) = connected(&fake);
    assert_eq!(zookeeper.get("/a", false).unwrap().0.as_deref(), Some(&b"/a"[..]));
    let path = zookeeper.create("/ü\u{1F600}", Some(b"x"), &Acl::open(), CreateMode::PERSISTENT, -1).unwrap();
    // The second character is two surrogates on the wire, and Java's reader makes U+FFFD of each.
    assert_eq!(path, "/ü\u{fffd}\u{fffd}");
    assert!(matches!(zookeeper.delete("/a", -1), Err(Error::Code(ErrorCode::NO_NODE))));
    assert!(matches!(zookeeper.get("a", false), Err(Error::Code(ErrorCode::BAD_ARGUMENTS))));
    assert_eq!(zookeeper.handle().session(), (SessionId(SESSION), [1; 16]));
    assert_eq!(zookeeper.handle().session_timeout_ms(), 10_000);
    assert_eq!(zookeeper.handle().server(), Some(fake.address));
    zookeeper.close();
    assert_eq!(fake.manners.closed_sessions.load(Ordering::SeqCst), 1);
}

#[test]
fn many_requests_of_many_threads_each_end_once_and_in_order() {
    const THREADS: usize = 4;
    const REQUESTS: usize = 20_000;
    let fake = Fake::start();
    let (zookeeper, _events) = connected(&fake);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let zookeeper = &zookeeper;
            scope.spawn(move || {
                let mut pending = Vec::new();
                for number in 0..REQUESTS {
                    let path = format!("/{thread}/{number}");
                    if number % 100 == 0 {
                        assert_eq!(zookeeper.get(&path, false).unwrap().0.as_deref(), Some(path.as_bytes()));
                    }
                    pending.push((zookeeper.send(&Operation::GetData { path: path.as_bytes(), watch: None }).unwrap(), path));
                }
                for (pending, path) in pending {
                    let body = pending.wait().unwrap();
                    assert_eq!(oxkeeper_driver::client::reply::data(&body).unwrap().0, Some(path.as_bytes()));
                }
            });
        }
    });
    assert_eq!(zookeeper.handle().pending_count(), 0);
    zookeeper.close();
}

#[test]
fn large_requests_and_replies_pass_in_pieces() {
    let fake = Fake::start();
    let (zookeeper, _events) = connected(&fake);
    let data = vec![7; 20 << 20];
    let stat = zookeeper.set("/a", Some(&data), -1).unwrap();
    assert!(stat.data_length as usize > data.len());
    let path = format!("/{}", "x".repeat(5 << 20));
    assert_eq!(zookeeper.get(&path, false).unwrap().0.as_deref(), Some(path.as_bytes()));
    zookeeper.close();
}

#[test]
fn watches_and_the_session_tell_of_themselves_over_a_reconnect() {
    let fake = Fake::start();
    let (zookeeper, events) = connected(&fake);
    zookeeper.get("/a", true).unwrap();
    let mut event = Vec::new();
    event.int(3);
    event.int(3);
    event.ustring(Some("/a"));
    fake.say(&reply(-1, 9, 0, &event));
    let told = events.recv_timeout(LONG).unwrap();
    assert_eq!(told, Event { kind: 3, state: State::Connected, path: "/a".to_string(), zxid: 9 });
    fake.manners.is_mute.store(true, Ordering::SeqCst);
    let pending = zookeeper.send(&Operation::Sync { path: b"/a" }).unwrap();
    // A request that is made after the loss would wait for the next connection.
    while fake.manners.swallowed.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    fake.hang_up();
    assert!(matches!(pending.wait(), Err(Error::Code(ErrorCode::CONNECTION_LOSS))));
    assert_eq!(events.recv_timeout(LONG).unwrap().state, State::Connecting);
    fake.manners.is_mute.store(false, Ordering::SeqCst);
    assert_eq!(events.recv_timeout(LONG).unwrap().state, State::Connected);
    assert_eq!(zookeeper.handle().session().0, SessionId(SESSION));
    zookeeper.get("/b", false).unwrap();
    zookeeper.close();
}

#[test]
fn an_end_right_behind_a_reply_is_seen() {
    // The reply and the end come in one event of the poll when the client is busy in between, so it is kept busy.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let Ok(_) = read_frame(&mut stream) else { continue };
            let mut answer = Vec::new();
            answer.int(0);
            answer.int(60_000);
            answer.long(SESSION);
            answer.buffer(Some(&[1; 16]));
            answer.boolean(false);
            drop(stream.write_all(&frame(&answer)));
            let Ok(_) = read_frame(&mut stream) else { continue };
            drop(stream.write_all(&reply(-2, 0, 0, b"")));
            // The client sleeps in its callback until this connection has been closed.
        }
    });
    let (sender, events) = mpsc::channel();
    let on_event = move |event: Event| {
        if event.state == State::Connected {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = sender.send(event.state);
    };
    let zookeeper = Builder::new(&address.to_string(), 60_000).unwrap().on_event(on_event).start().unwrap();
    for _ in 0..3 {
        // Written by this thread while the other one sleeps in the callback.
        while !zookeeper.state().is_connected() {
            std::thread::yield_now();
        }
        let _ = zookeeper.handle().submit_now(1 << 63, &Operation::WhoAmI);
        assert_eq!(events.recv_timeout(LONG), Ok(State::Connected));
        assert_eq!(events.recv_timeout(LONG), Ok(State::Connecting));
    }
}

#[test]
fn nobody_listens() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let logged = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&logged);
    let builder = Builder::new(&address.to_string(), 10_000).unwrap().on_log(move |_, text| log.lock().unwrap().push(text.to_string()));
    let zookeeper = builder.start().unwrap();
    for _ in 0..3 {
        assert!(matches!(zookeeper.get("/a", false), Err(Error::Code(ErrorCode::CONNECTION_LOSS))));
    }
    zookeeper.close();
    let logged = logged.lock().unwrap();
    let expected = format!("Socket {address} zk retcode=-4, errno=111(Connection refused): server refused to accept the client");
    assert!(logged.contains(&expected), "{logged:?}");
}

/// Writes down what is delivered.
struct Recorder {
    sender: Sender<Told>,
    /// Called with each completion's tag, on the handle's thread.
    on_completion: Box<dyn FnMut(u64) + Send>,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Completed(u64, ErrorCode),
    Watch(Vec<u8>),
    Session(State),
    Closed,
}

impl Sink for Recorder {
    fn deliver(&mut self, batch: &mut Batch) {
        assert!(!batch.is_empty());
        // Handed on as the C library does it.
        let batch = std::mem::take(batch);
        for delivery in batch.iter() {
            let told = match delivery {
                Delivery::Completed(Completion { tag, error, .. }) => {
                    (self.on_completion)(tag);
                    Told::Completed(tag, error)
                }
                Delivery::Watch(event) => Told::Watch(event.path.to_vec()),
                Delivery::Session(event) => Told::Session(event.state),
                Delivery::Closed => Told::Closed,
            };
            drop(self.sender.send(told));
        }
    }
}

fn options_of(connect_string: &str) -> Options {
    let parsed = ConnectString::parse_like_c(connect_string.as_bytes()).unwrap();
    Options::new(parsed.hosts, parsed.chroot, 10_000, 1)
}

fn recorded(options: StartOptions, on_completion: impl FnMut(u64) + Send + 'static) -> (Handle, Receiver<Told>) {
    let (sender, told) = mpsc::channel();
    let handle = Handle::start(options, Box::new(Recorder { sender, on_completion: Box::new(on_completion) })).expect("a thread");
    (handle, told)
}

fn recorded_and_connected(fake: &Fake) -> (Handle, Receiver<Told>) {
    let (handle, told) = recorded(StartOptions::new(options_of(&fake.connect_string())), |_| {});
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Session(State::Connected)));
    (handle, told)
}

#[test]
fn closing_ends_everything_once_and_the_thread() {
    let fake = Fake::start();
    fake.manners.is_mute.store(true, Ordering::SeqCst);
    let (handle, told) = recorded_and_connected(&fake);
    for tag in 0..100 {
        handle.submit(tag, &Operation::WhoAmI).unwrap();
    }
    handle.close(PendingRequests::Fail);
    assert_eq!(handle.submit(100, &Operation::WhoAmI), Err(SubmitError::Closing));
    assert_eq!(handle.submit_now(100, &Operation::WhoAmI), Err(SubmitError::Closing));
    for tag in 0..100 {
        assert_eq!(told.recv_timeout(LONG), Ok(Told::Completed(tag, SubmitError::CLOSING)));
    }
    // A server that does not answer is not waited for for long.
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Closed));
    assert!(handle.join(LONG));
    assert_eq!(handle.state(), State::Closed);
    handle.close(PendingRequests::Fail);
    handle.set_servers(vec![]);
    assert_eq!(handle.submit(100, &Operation::WhoAmI), Err(SubmitError::Closing));
    assert!(told.try_recv().is_err());
}

#[test]
fn a_handle_may_be_used_and_closed_in_its_own_sink() {
    let fake = Fake::start();
    let own: Arc<Mutex<Option<Handle>>> = Arc::default();
    let in_sink = Arc::clone(&own);
    let (handle, told) = recorded(StartOptions::new(options_of(&fake.connect_string())), move |tag| {
        let own = in_sink.lock().unwrap();
        let handle = own.as_ref().expect("it was put there before the first request");
        match tag {
            0..3 => {
                handle.submit_now(tag + 1, &Operation::WhoAmI).unwrap();
                assert!(handle.is_own_thread());
                handle.session();
            }
            3 => {
                handle.close(PendingRequests::Fail);
                assert!(!handle.join(LONG), "waiting for oneself");
            }
            _ => unreachable!(),
        }
    });
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Session(State::Connected)));
    *own.lock().unwrap() = Some(handle.clone());
    handle.submit(0, &Operation::WhoAmI).unwrap();
    for tag in 0..4 {
        assert_eq!(told.recv_timeout(LONG), Ok(Told::Completed(tag, ErrorCode::OK)));
    }
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Closed));
    assert!(handle.join(LONG));
    assert_eq!(fake.manners.closed_sessions.load(Ordering::SeqCst), 1);
}

#[test]
fn a_call_within_a_callback_is_refused_rather_than_stuck() {
    let fake = Fake::start();
    let own: Arc<Mutex<Option<Arc<ZooKeeper>>>> = Arc::default();
    let in_callback = Arc::clone(&own);
    let (sender, refused) = mpsc::channel();
    let is_set = Arc::new((Mutex::new(false), Condvar::new()));
    let wait = Arc::clone(&is_set);
    let on_event = move |_| {
        let guard = wait.1.wait_while(wait.0.lock().unwrap(), |is_set| !*is_set).unwrap();
        drop(guard);
        let zookeeper = in_callback.lock().unwrap().take().expect("it is set");
        drop(sender.send(zookeeper.get("/a", false).map(drop)));
    };
    let zookeeper = Arc::new(builder(&fake).on_event(on_event).start().unwrap());
    *own.lock().unwrap() = Some(Arc::clone(&zookeeper));
    *is_set.0.lock().unwrap() = true;
    is_set.1.notify_all();
    assert!(matches!(refused.recv_timeout(LONG), Ok(Err(Error::Code(ErrorCode::INVALID_CALLBACK)))));
}

#[test]
fn dropping_the_last_handle_hangs_up_and_leaves_the_session() {
    let fake = Fake::start();
    let (handle, told) = recorded_and_connected(&fake);
    let clone = handle.clone();
    drop(handle);
    clone.submit(1, &Operation::WhoAmI).unwrap();
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Completed(1, ErrorCode::OK)));
    fake.manners.is_mute.store(true, Ordering::SeqCst);
    clone.submit(2, &Operation::WhoAmI).unwrap();
    drop(clone);
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Completed(2, SubmitError::CLOSING)));
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Closed));
    assert_eq!(fake.manners.closed_sessions.load(Ordering::SeqCst), 0);
    // The thread drops its sink when it ends.
    assert!(matches!(told.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected)));
}

#[test]
fn credentials_watches_and_servers_go_through_the_handle() {
    let fake = Fake::start();
    let (handle, told) = recorded_and_connected(&fake);
    handle.add_auth(1, b"digest", b"a:b").unwrap();
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Completed(1, ErrorCode::OK)));
    handle.submit(2, &Operation::GetData { path: b"/a", watch: Some(WatcherId(5)) }).unwrap();
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Completed(2, ErrorCode::OK)));
    let any = oxkeeper_driver::client::WatchesToRemove::Any;
    assert_eq!(handle.remove_watches(3, b"/a", any, Some(WatcherId(6)), false), Err(SubmitError::NoWatcher));
    handle.remove_watches(3, b"/a", any, Some(WatcherId(5)), false).unwrap();
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Completed(3, ErrorCode::OK)));
    let other = Fake::start();
    handle.set_servers(vec![HostPort { host: other.address.ip().to_string(), port: other.address.port() }]);
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Session(State::Connected)));
    assert_eq!(handle.server(), Some(other.address));
    handle.abandon();
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Closed));
}

/// A resolver that knows what it is told.
struct Book {
    pages: Mutex<HashMap<String, Vec<SocketAddr>>>,
    asked: AtomicUsize,
}

impl Resolve for Book {
    fn resolve(&self, host: &HostPort) -> io::Result<Vec<SocketAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.pages.lock().unwrap().get(&host.host).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[test]
fn names_are_resolved_apart_and_again_when_servers_fail() {
    let (first, second) = (Fake::start(), Fake::start());
    let book = Arc::new(Book { pages: Mutex::default(), asked: AtomicUsize::new(0) });
    book.pages.lock().unwrap().insert("zk".to_string(), vec![first.address]);
    let mut client = options_of("unknown:1,zk:1");
    // Only when the connection is lost.
    client.resolution_delay_ms = -1;
    let resolver = Arc::clone(&book) as Arc<dyn Resolve>;
    let (handle, told) = recorded(StartOptions { resolver, ..StartOptions::new(client) }, |_| {});
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Session(State::Connected)));
    assert_eq!(handle.server(), Some(first.address));
    book.pages.lock().unwrap().insert("zk".to_string(), vec![second.address]);
    first.hang_up();
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Session(State::Connecting)));
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Session(State::Connected)));
    assert_eq!(handle.server(), Some(second.address));
    assert!(book.asked.load(Ordering::SeqCst) >= 4);
    handle.close(PendingRequests::Fail);
    assert!(handle.join(LONG));
}

#[test]
fn addresses_that_are_known_are_not_asked_for() {
    let fake = Fake::start();
    let book = Arc::new(Book { pages: Mutex::default(), asked: AtomicUsize::new(0) });
    let mut client = options_of("somewhere:1");
    client.resolution_delay_ms = -1;
    let resolver = Arc::clone(&book) as Arc<dyn Resolve>;
    let resolved = Some(vec![vec![fake.address]]);
    let (handle, told) = recorded(StartOptions { resolver, resolved, ..StartOptions::new(client) }, |_| {});
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Session(State::Connected)));
    assert_eq!(book.asked.load(Ordering::SeqCst), 0);
    drop(handle);
}

#[test]
fn a_read_only_server_is_left_for_a_read_write_one() {
    let (read_only, other) = (Fake::start(), Fake::start());
    read_only.manners.is_read_only.store(true, Ordering::SeqCst);
    let mut client = options_of(&format!("{},{}", read_only.address, other.address));
    client.shuffle = false;
    client.can_be_read_only = true;
    let (handle, told) = recorded(StartOptions::new(client), |_| {});
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Session(State::ReadOnly)));
    other.manners.is_read_write.store(true, Ordering::SeqCst);
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Session(State::Connecting)));
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Session(State::Connected)));
    assert_eq!(handle.server(), Some(other.address));
    assert_eq!(handle.chroot(), &Chroot::default());
    handle.close(PendingRequests::Await);
    assert!(handle.join(LONG));
}
