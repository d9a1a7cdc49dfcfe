//! How much a client costs: pipelined requests over one handle, and round trips one by one.
//!
//! `throughput HOST:PORT [REQUESTS] [WINDOW]` prints requests a second and microseconds of this process's CPU for each.

use oxkeeper_driver::client::{ConnectString, Operation, Options, PendingRequests};
use oxkeeper_driver::{Batch, Builder, Delivery, Handle, Sink, StartOptions};
use oxkeeper_proto::ErrorCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Counts ends, and says so to who waits for room in the window.
struct Counter {
    ended: Arc<(Mutex<u64>, Condvar)>,
    bytes: Arc<AtomicU64>,
}

impl Sink for Counter {
    fn deliver(&mut self, batch: &mut Batch) {
        let mut ended = 0;
        let mut bytes = 0;
        for delivery in batch.iter() {
            if let Delivery::Completed(completion) = delivery {
                assert_eq!(completion.error, ErrorCode::OK);
                ended += 1;
                bytes += completion.body.len() as u64;
            }
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        *self.ended.0.lock().expect("no panic") += ended;
        self.ended.1.notify_one();
    }
}

/// User and system time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name in brackets").split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number");
    Duration::from_millis(ticks * 10)
}

fn report(what: &str, requests: u64, begun: Instant, cpu_before: Duration) {
    let (wall, used) = (begun.elapsed(), cpu() - cpu_before);
    println!(
        "{what}: {:.0} requests/s, {:.2} us of CPU each, {:.0} requests a CPU second",
        requests as f64 / wall.as_secs_f64(),
        used.as_secs_f64() * 1e6 / requests as f64,
        requests as f64 / used.as_secs_f64()
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().expect("host:port");
    let requests: u64 = arguments.next().map_or(2_000_000, |text| text.parse().expect("a number"));
    let window: u64 = arguments.next().map_or(1000, |text| text.parse().expect("a number"));

    let parsed = ConnectString::parse_like_c(server.as_bytes()).expect("host:port");
    let options = StartOptions::new(Options::new(parsed.hosts, parsed.chroot, 30_000, 1));
    let ended: Arc<(Mutex<u64>, Condvar)> = Arc::default();
    let bytes = Arc::new(AtomicU64::new(0));
    let handle = Handle::start(options, Box::new(Counter { ended: Arc::clone(&ended), bytes: Arc::clone(&bytes) })).expect("a thread");
    while !handle.state().is_connected() {
        std::thread::sleep(Duration::from_millis(1));
    }
    for (what, operation) in [
        ("pipelined exists", Operation::Exists { path: b"/zookeeper", watch: None }),
        ("pipelined getData", Operation::GetData { path: b"/zookeeper", watch: None }),
    ] {
        *ended.0.lock().expect("no panic") = 0;
        let (begun, cpu_before) = (Instant::now(), cpu());
        for tag in 0..requests {
            if tag.is_multiple_of(64) {
                let count = ended.0.lock().expect("no panic");
                drop(ended.1.wait_while(count, |count| tag.saturating_sub(*count) >= window).expect("no panic"));
            }
            handle.submit(tag, &operation).expect("it is open");
        }
        drop(ended.1.wait_while(ended.0.lock().expect("no panic"), |count| *count < requests).expect("no panic"));
        report(what, requests, begun, cpu_before);
        println!("    {} bytes of body each", bytes.swap(0, Ordering::Relaxed) / requests);
    }
    handle.close(PendingRequests::Await);
    handle.join(Duration::from_secs(5));

    let zookeeper = Builder::new(&server, 30_000).expect("host:port").start().expect("a thread");
    zookeeper.wait_connected(Duration::from_secs(10));
    let mut times = Vec::new();
    let (begun, cpu_before) = (Instant::now(), cpu());
    for _ in 0..20_000 {
        let begun = Instant::now();
        zookeeper.exists("/zookeeper", false).expect("it is there");
        times.push(begun.elapsed());
    }
    report("one by one", 20_000, begun, cpu_before);
    times.sort();
    println!("round trip: p50 {:?}, p99 {:?}", times[times.len() / 2], times[times.len() * 99 / 100]);
    zookeeper.close();
}
