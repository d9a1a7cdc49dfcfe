//! The generator against the echo server: every way of driving sessions, for a moment. No timing is asserted.

use oxkeeper_bench::echo::Echo;
use oxkeeper_bench::frame::{self, op};
use oxkeeper_bench::pool::{Opening, Pace, Pool, Stop};
use oxkeeper_bench::server::{Plain, Scratch};
use oxkeeper_bench::source::{self, Creates, Source};
use oxkeeper_bench::swarm::Swarm;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

struct Running {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    scratch: Scratch,
}

impl Running {
    fn start() -> Self {
        let scratch = Scratch::new(&std::env::temp_dir()).unwrap();
        let echo = Echo::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), scratch.path()).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, echo.local_addr().unwrap().port()));
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::spawn(move || echo.run(&told).unwrap());
        Self { address, stop, thread: Some(thread), scratch }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn each_kind_of_request_is_answered_as_often_as_asked() {
    let echo = Running::start();
    let (mut pool, opened) = Pool::open(echo.address, Opening::gently(7)).unwrap();
    assert_eq!(opened.retries, 0);
    let mut sources: Vec<Box<dyn Source>> = vec![
        Box::new(source::reads(op::GET_DATA, 10)),
        Box::new(source::reads(op::EXISTS, 10)),
        Box::new(source::writes("/bench", 10, &[1; 1024])),
        Box::new(source::mixed("/bench", 10, &[1; 100])),
        Box::new(source::multis("/bench", 20, 10, &[1; 100])),
        Box::new(source::Repeat::new(vec![frame::read(op::GET_CHILDREN, "/children", false)])),
        Box::new(Creates::new("/fill/", true, &[1; 100], 1, 0)),
    ];
    for source in &mut sources {
        for outstanding in [1, 16] {
            let report = pool.run(&mut **source, Pace::Closed { outstanding }, Stop::Count(500)).unwrap();
            assert_eq!((report.completed, report.errors, report.latency.len()), (500, 0, 500));
        }
    }
    pool.close().unwrap();
}

#[test]
fn the_open_loop_sends_what_its_rate_says() {
    let echo = Running::start();
    let (mut pool, _) = Pool::open(echo.address, Opening::gently(3)).unwrap();
    let mut reads = source::reads(op::GET_DATA, 10);
    let report = pool.run(&mut reads, Pace::Open { per_second: 5000.0 }, Stop::Count(1000)).unwrap();
    assert_eq!((report.completed, report.errors), (1000, 0));
    // A closed loop of a fixed time on the same sessions afterwards: nothing is left over from the open one.
    let report = pool.run(&mut reads, Pace::Closed { outstanding: 2 }, Stop::After(Duration::from_millis(50))).unwrap();
    assert_eq!((report.completed > 0, report.errors), (true, 0));
}

#[test]
fn a_storm_of_sessions_is_told_of_a_change() {
    let echo = Running::start();
    let (mut pool, _) = Pool::open(echo.address, Opening::storm(300)).unwrap();
    for _ in 0..2 {
        pool.on_all(&frame::read(op::GET_DATA, "/watched", true), 100).unwrap();
        pool.fan_out(&frame::set_data("/watched", b"x")).unwrap();
    }
    pool.close().unwrap();
}

#[test]
fn writes_are_in_the_log_when_they_are_answered_and_reads_are_not() {
    let echo = Running::start();
    let mut session = Plain::open(echo.address).unwrap();
    session.must(frame::set_data("/a", b"written down")).unwrap();
    session.must(frame::read(op::GET_DATA, "/only read", false)).unwrap();
    assert_eq!(session.call(frame::read(999, "/a", false)).unwrap(), -6);
    let log = std::fs::read(echo.scratch.path().join("echo.log")).unwrap();
    let holds = |text: &[u8]| log.windows(text.len()).any(|window| window == text);
    assert!(holds(b"written down"));
    assert!(!holds(b"/only read"));
}

#[test]
fn hostile_sockets_stand_and_leave_the_others_alone() {
    let echo = Running::start();
    let swarm = Swarm::send(echo.address, 200, 20);
    assert!(swarm.wait(200, Duration::from_secs(30)));
    let (mut pool, _) = Pool::open(echo.address, Opening::gently(2)).unwrap();
    let mut reads = source::reads(op::GET_DATA, 10);
    let report = pool.run(&mut reads, Pace::Closed { outstanding: 1 }, Stop::Count(100)).unwrap();
    assert_eq!((report.completed, report.errors, swarm.closed()), (100, 0, 0));
}

#[test]
fn a_server_that_goes_away_is_an_error_and_no_silence() {
    let echo = Running::start();
    let (mut pool, _) = Pool::open(echo.address, Opening::gently(2)).unwrap();
    drop(echo);
    let mut reads = source::reads(op::GET_DATA, 10);
    assert!(pool.run(&mut reads, Pace::Closed { outstanding: 1 }, Stop::Count(100)).is_err());
}
