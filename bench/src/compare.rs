//! Runs the workloads over the servers in turn and keeps every sample.
//!
//! The servers of the request loads stand side by side, idle but for the one under load, so that all of them stay
//! warm; each alternation goes through all of them, beginning with another one each time, and ends with a second
//! measurement of the baseline (A/A): its spread says what a difference is worth. What the numbers mean and how they
//! are told is `report`'s.

use crate::frame::{self, op};
use crate::pool::{self, LoadReport, Opening, Pace, Pool, Stop};
use crate::server::{self, Kind, Plain, Scratch, Server};
use crate::source::{self, Creates, NAME_BYTES, Source};
use crate::swarm::Swarm;
use crate::workload::{Metric, Requests, Trio, Work, Workload};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Nodes that reads and writes go to.
const NODES: usize = 1000;
pub(crate) const DATA: [u8; 100] = [b'x'; 100];
const LARGE_DATA: [u8; 1024] = [b'x'; 1024];
const FAN_OUT_NODE: &str = "/watched";
/// Announcements of a change per opening of the watchers; the median counts.
const FAN_OUT_ROUNDS: usize = 5;
/// A load runs so long before it is measured.
const SETTLE: Duration = Duration::from_millis(150);

/// How to run.
pub struct Settings {
    pub servers: Vec<Kind>,
    pub workloads: Vec<&'static Workload>,
    pub alternations: usize,
    /// Alternations of the workloads that take many seconds each.
    pub heavy_alternations: usize,
    /// Of one measurement.
    pub duration: Duration,
    /// Of the load that warms each Java server.
    pub warm_up: Duration,
    /// Where the servers' directories go: the disk that is measured.
    pub directory: PathBuf,
}

/// The numbers of one measurement.
pub type Sample = Vec<(Metric, f64)>;

/// All measurements of one workload on one server, in order; a failure stands in its place.
pub struct Series {
    pub server: String,
    pub samples: Vec<Result<Sample, String>>,
}

/// One workload on all servers. The baseline (first Java, else the first server) has a second series.
pub struct Outcome {
    pub workload: &'static Workload,
    pub series: Vec<Series>,
    pub again: Option<Series>,
}

/// Runs everything; `done` is told of each workload as soon as it is through.
pub fn run(settings: &Settings, mut done: impl FnMut(&Outcome)) -> io::Result<()> {
    let shares = |workload: &&&'static Workload| workload.work.shares_server();
    if settings.workloads.iter().any(|workload| workload.work.shares_server()) {
        let mut standing = Vec::new();
        for kind in &settings.servers {
            eprintln!("starting {}", kind.name());
            let server = Server::start(kind, &settings.directory)?;
            if !kind.is_echo() {
                populate(server.address)?;
            }
            standing.push(server);
        }
        for server in standing.iter().filter(|server| server.kind.is_java()) {
            eprintln!("warming {} for {:?}", server.kind.name(), settings.warm_up);
            warm(server.address, settings, settings.warm_up)?;
        }
        for server in standing.iter().filter(|server| !server.kind.is_java()) {
            warm(server.address, settings, settings.warm_up.min(Duration::from_secs(1)))?;
        }
        let mut creations = 0;
        for workload in settings.workloads.iter().filter(shares) {
            let outcome = alternate(settings, workload, |index| {
                let server = &standing[index];
                creations += 1;
                measure_shared(server, workload.work, settings.duration, creations)
            });
            done(&outcome);
        }
    }
    let mut left_behind = None;
    for workload in settings.workloads.iter().filter(|workload| !workload.work.shares_server()) {
        if let Work::StartFull { znodes, transactions } = workload.work
            && left_behind.is_none()
        {
            // One directory for all, made by Java if it takes part.
            let maker = settings.servers.iter().find(|kind| !kind.is_echo()).expect("a server that has a tree");
            eprintln!("{} prepares a directory of {znodes} znodes", maker.name());
            left_behind = Some(leave_directory(maker, settings, znodes, transactions)?);
        }
        let outcome = alternate(settings, workload, |index| {
            let kind = &settings.servers[index];
            match workload.work {
                Work::Fill { znodes } => measure_fill(kind, settings, znodes),
                Work::StartEmpty => measure_start(kind, settings, None),
                Work::StartFull { .. } => measure_start(kind, settings, left_behind.as_ref()),
                Work::Hostile { sockets } => measure_hostile(kind, settings, sockets),
                _ => unreachable!("runs on the standing servers"),
            }
        });
        done(&outcome);
    }
    Ok(())
}

pub(crate) fn alternate(settings: &Settings, workload: &'static Workload, mut measure: impl FnMut(usize) -> io::Result<Sample>) -> Outcome {
    let suited = |index: &usize| workload.work.suits_echo() || !settings.servers[*index].is_echo();
    let order: Vec<usize> = (0..settings.servers.len()).filter(suited).collect();
    let baseline = order.iter().copied().find(|index| settings.servers[*index].is_java()).or(order.first().copied());
    let mut series: Vec<Series> =
        order.iter().map(|index| Series { server: settings.servers[*index].name(), samples: Vec::new() }).collect();
    let mut again = Series { server: String::new(), samples: Vec::new() };
    let times = if workload.work.is_heavy() { settings.heavy_alternations } else { settings.alternations };
    let mut once = |index: usize| {
        let sample = measure(index).map_err(|error| error.to_string());
        let told = match &sample {
            Ok(sample) => sample.iter().map(|(metric, value)| format!("{} {value:.1}", metric.title())).collect::<Vec<_>>(),
            Err(error) => vec![error.clone()],
        };
        eprintln!("{} {}: {}", workload.key, settings.servers[index].name(), told.join(", "));
        sample
    };
    for turn in 0..times {
        for step in 0..order.len() {
            let place = (turn + step) % order.len();
            series[place].samples.push(once(order[place]));
        }
        if let Some(baseline) = baseline
            && !workload.work.is_heavy()
        {
            again.server = settings.servers[baseline].name();
            again.samples.push(once(baseline));
        }
    }
    Outcome { workload, series, again: (!again.samples.is_empty()).then_some(again) }
}

/// The nodes that the loads use.
pub(crate) fn populate(address: SocketAddr) -> io::Result<()> {
    let mut session = Plain::open(address)?;
    for (path, data) in [("/bench", &b""[..]), ("/large", b""), ("/children", b""), ("/created", b""), (FAN_OUT_NODE, b"")] {
        session.must(frame::create(path, data))?;
    }
    for group in source::paths("/bench", NODES).chunks(100) {
        session.must(frame::multi_create(group.iter().map(String::as_str), &DATA))?;
    }
    for group in source::paths("/large", NODES).chunks(100) {
        session.must(frame::multi_create(group.iter().map(String::as_str), &LARGE_DATA))?;
    }
    let mut children = Creates::new("/children/", false, b"", 100, 0);
    for _ in 0..crate::echo::CHILDREN / 100 {
        let mut request = Vec::new();
        children.append(&mut request, 0);
        session.must(request)?;
    }
    session.call(frame::close_session(0)).map(|_| ())
}

/// A mixed load, then a little of each load chosen.
pub(crate) fn warm(address: SocketAddr, settings: &Settings, duration: Duration) -> io::Result<()> {
    let closed: Vec<Requests> = settings
        .workloads
        .iter()
        .filter_map(|workload| match workload.work {
            Work::Closed { requests, .. } | Work::Open { requests, .. } | Work::Trio(Trio::Load { requests, .. }) => Some(requests),
            _ => None,
        })
        .filter(|requests| !matches!(requests, Requests::Create))
        .chain([Requests::Mixed])
        .collect();
    let (mut pool, _) = Pool::open(address, Opening::gently(16))?;
    for requests in &closed {
        let outstanding = if matches!(requests, Requests::GetChildren10k) { 1 } else { 16 };
        let part = duration / closed.len() as u32;
        pool.run(&mut *source_of(*requests, 0), Pace::Closed { outstanding }, Stop::After(part))?;
    }
    pool.close()
}

fn source_of(requests: Requests, run: u64) -> Box<dyn Source> {
    match requests {
        Requests::GetData => Box::new(source::reads(op::GET_DATA, NODES)),
        Requests::Exists => Box::new(source::reads(op::EXISTS, NODES)),
        Requests::SetData(100) => Box::new(source::writes("/bench", NODES, &DATA)),
        Requests::SetData(bytes) => Box::new(source::writes("/large", NODES, &LARGE_DATA[..bytes.min(LARGE_DATA.len())])),
        Requests::Mixed => Box::new(source::mixed("/bench", NODES, &DATA)),
        Requests::Multi10 => Box::new(source::multis("/bench", NODES, 10, &DATA)),
        Requests::GetChildren10k => Box::new(source::Repeat::new(vec![frame::read(op::GET_CHILDREN, "/children", false)])),
        // No run makes a million; the names of two runs must not meet.
        Requests::Create => Box::new(Creates::new("/created/", false, &DATA, 1, run * 1_000_000 % 100_000_000)),
    }
}

fn measure_shared(server: &Server, work: Work, duration: Duration, run: u64) -> io::Result<Sample> {
    let (address, cpu) = (server.address, || server.cpu());
    match work {
        Work::Closed { requests, sessions, outstanding } => {
            load_of(address, &cpu, &mut *source_of(requests, run), sessions, Pace::Closed { outstanding }, duration)
        }
        Work::Open { requests, sessions, per_second } => {
            load_of(address, &cpu, &mut *source_of(requests, run), sessions, Pace::Open { per_second }, duration)
        }
        Work::FanOut { watchers } => {
            let (mut pool, _) = Pool::open(server.address, Opening::gently(watchers))?;
            let watch = frame::read(op::GET_DATA, FAN_OUT_NODE, true);
            let write = frame::set_data(FAN_OUT_NODE, b"told");
            let (mut times, mut generator) = (Vec::new(), Duration::ZERO);
            let mut used = Duration::ZERO;
            for _ in 0..FAN_OUT_ROUNDS {
                pool.on_all(&watch, 1000)?;
                let (own, before) = (pool::own_cpu(), server.cpu());
                times.push(pool.fan_out(&write)?.as_secs_f64() * 1e3);
                generator += pool::own_cpu().saturating_sub(own);
                used += server.cpu().saturating_sub(before);
            }
            pool.close()?;
            let per_event = |time: Duration| time.as_secs_f64() * 1e6 / (watchers * FAN_OUT_ROUNDS) as f64;
            Ok(vec![
                (Metric::Milliseconds, crate::report::median(&times)),
                (Metric::ServerCpuUs, per_event(used)),
                (Metric::GeneratorCpuUs, per_event(generator)),
            ])
        }
        Work::Storm { sessions } => {
            let (pool, opened) = Pool::open(server.address, Opening::storm(sessions))?;
            pool.close()?;
            Ok(vec![(Metric::Milliseconds, opened.took.as_secs_f64() * 1e3), (Metric::Retries, opened.retries as f64)])
        }
        _ => unreachable!("starts its own server"),
    }
}

/// A load of requests that make no new nodes, on whatever listens there.
pub(crate) fn measure_load(
    address: SocketAddr,
    cpu: &dyn Fn() -> Duration,
    requests: Requests,
    sessions: usize,
    pace: Pace,
    duration: Duration,
) -> io::Result<Sample> {
    load_of(address, cpu, &mut *source_of(requests, 0), sessions, pace, duration)
}

fn load_of(
    address: SocketAddr,
    cpu: &dyn Fn() -> Duration,
    source: &mut dyn Source,
    sessions: usize,
    pace: Pace,
    duration: Duration,
) -> io::Result<Sample> {
    let (mut pool, _) = Pool::open(address, Opening::gently(sessions))?;
    pool.run(source, pace, Stop::After(SETTLE))?;
    let sample = load(cpu, &mut pool, source, pace, Stop::After(duration))?;
    pool.close()?;
    Ok(sample)
}

/// Drives the load and states the numbers that every load has. `cpu` is what the servers under it have used.
fn load(cpu: &dyn Fn() -> Duration, pool: &mut Pool, source: &mut dyn Source, pace: Pace, stop: Stop) -> io::Result<Sample> {
    let (before, (busy_before, total_before)) = (cpu(), server::machine_cpu());
    let report = pool.run(source, pace, stop)?;
    let used = cpu().saturating_sub(before);
    let (busy, total) = server::machine_cpu();
    let mut sample = sample_of(&report, used)?;
    // Ticks of 10 ms, as everything that /proc counts.
    let ours = (used + report.generator_cpu).as_secs_f64() * 100.0;
    let others = ((busy - busy_before) as f64 - ours).max(0.0) / (total - total_before).max(1) as f64;
    sample.push((Metric::OthersCpuPercent, others * 100.0));
    Ok(sample)
}

fn sample_of(report: &LoadReport, server_cpu: Duration) -> io::Result<Sample> {
    if report.errors > 0 {
        return Err(io::Error::other(format!(
            "{} of {} requests answered with an error, the last with {}",
            report.errors, report.completed, report.last_error
        )));
    }
    if report.completed == 0 {
        return Err(io::Error::other("nothing was answered in time"));
    }
    let per_op = |time: Duration| time.as_secs_f64() * 1e6 / report.completed as f64;
    let quantile = |fraction| report.latency.quantile(fraction) as f64 / 1e3;
    Ok(vec![
        (Metric::PerSecond, report.per_second()),
        (Metric::P50Us, quantile(0.5)),
        (Metric::P99Us, quantile(0.99)),
        (Metric::P999Us, quantile(0.999)),
        (Metric::ServerCpuUs, per_op(server_cpu)),
        (Metric::GeneratorCpuUs, per_op(report.generator_cpu)),
    ])
}

pub(crate) const MEGABYTE: f64 = 1e6;

fn measure_fill(kind: &Kind, settings: &Settings, znodes: u64) -> io::Result<Sample> {
    let server = Server::start(kind, &settings.directory)?;
    create_parents(server.address, znodes)?;
    let (mut pool, _) = Pool::open(server.address, Opening::gently(16))?;
    let (before, _) = server.memory();
    let mut creates = Creates::new("/fill/", true, &DATA, 1, 0);
    let mut sample = load(&|| server.cpu(), &mut pool, &mut creates, Pace::Closed { outstanding: 16 }, Stop::Count(znodes))?;
    // A snapshot that the fill began may still be running.
    std::thread::sleep(Duration::from_secs(1));
    let (after, _) = server.memory();
    let own = (DATA.len() + NAME_BYTES) as f64;
    sample.push((Metric::Megabytes, after as f64 / MEGABYTE));
    sample.push((Metric::ZnodeBytes, after.saturating_sub(before) as f64 / znodes as f64 - own));
    drop(pool);
    Ok(sample)
}

pub(crate) fn create_parents(address: SocketAddr, znodes: u64) -> io::Result<()> {
    let mut session = Plain::open(address)?;
    session.must(frame::create("/fill", b""))?;
    let parents: Vec<String> = Creates::parents("/fill/", znodes).collect();
    for group in parents.chunks(100) {
        session.must(frame::multi_create(group.iter().map(String::as_str), b""))?;
    }
    session.call(frame::close_session(0)).map(|_| ())
}

/// A server fills a tree, is stopped and started again (Java then writes a snapshot), makes further transactions
/// without another snapshot and is killed.
fn leave_directory(kind: &Kind, settings: &Settings, znodes: u64, transactions: u64) -> io::Result<Scratch> {
    let server = Server::start(kind, &settings.directory)?;
    create_parents(server.address, znodes)?;
    let (mut pool, _) = Pool::open(server.address, Opening::gently(4))?;
    let many = 100;
    let mut creates = Creates::new("/fill/", true, &DATA, many, 0);
    pool.run(&mut creates, Pace::Closed { outstanding: 4 }, Stop::Count(znodes / many as u64))?;
    pool.close()?;
    let mut server = Server::spawn(kind, server.stop()?, "snapCount=100000000\n")?;
    server.wait_ready(Duration::from_secs(120))?;
    let mut session = Plain::open(server.address)?;
    session.must(frame::create("/bench", b""))?;
    for group in source::paths("/bench", NODES).chunks(100) {
        session.must(frame::multi_create(group.iter().map(String::as_str), &DATA))?;
    }
    let (mut pool, _) = Pool::open(server.address, Opening::gently(16))?;
    let report = pool.run(&mut source::writes("/bench", NODES, &DATA), Pace::Closed { outstanding: 16 }, Stop::Count(transactions))?;
    if report.errors > 0 {
        return Err(io::Error::other("the directory could not be prepared"));
    }
    server.kill()
}

/// From the start of the process to the first write answered.
fn measure_start(kind: &Kind, settings: &Settings, left: Option<&Scratch>) -> io::Result<Sample> {
    let directory = Scratch::new(&settings.directory)?;
    if let Some(left) = left {
        server::copy_tree(&left.path().join("data"), &directory.path().join("data"))?;
        // The copy's dirty pages are not the server's to write.
        std::process::Command::new("sync").status()?;
    }
    let mut server = Server::spawn(kind, directory, "")?;
    let mut session = server.first_session(Duration::from_secs(120))?;
    session.must(frame::create("/first", &DATA))?;
    let took = server.begun.elapsed();
    if left.is_some() {
        session.must(frame::read(op::EXISTS, &source::paths("/bench", NODES)[NODES - 1], false))?;
        session.must(frame::read(op::EXISTS, "/fill/p0999/n00999999", false))?;
    }
    let (memory, _) = server.memory();
    Ok(vec![(Metric::Milliseconds, took.as_secs_f64() * 1e3), (Metric::Megabytes, memory as f64 / MEGABYTE)])
}

fn measure_hostile(kind: &Kind, settings: &Settings, sockets: usize) -> io::Result<Sample> {
    let mut server = Server::start(kind, &settings.directory)?;
    populate(server.address)?;
    let duration = settings.duration.max(Duration::from_secs(2));
    let (mut pool, _) = Pool::open(server.address, Opening::gently(4))?;
    let mut reads = source::reads(op::GET_DATA, NODES);
    let pace = Pace::Closed { outstanding: 1 };
    let warm_up = if kind.is_java() { settings.warm_up / 2 } else { duration };
    pool.run(&mut reads, pace, Stop::After(warm_up))?;
    let before = pool.run(&mut reads, pace, Stop::After(duration))?;
    let (memory, _) = server.memory();
    let swarm = Swarm::send(server.address, sockets, 200);
    let all = swarm.wait(sockets, Duration::from_secs(20));
    let during = pool.run(&mut reads, pace, Stop::After(duration));
    let (_, peak) = server.memory();
    let (standing, closed) = (swarm.standing(), swarm.closed());
    drop(swarm);
    if !server.is_alive() {
        return Err(io::Error::other("the server died"));
    }
    let during = during?;
    if !all {
        eprintln!("hostile {}: only {standing} of {sockets} sockets stood, {closed} were closed", kind.name());
    }
    let p99 = |report: &LoadReport| report.latency.quantile(0.99) as f64 / 1e3;
    Ok(vec![
        (Metric::Megabytes, peak.saturating_sub(memory) as f64 / MEGABYTE),
        (Metric::P99Us, p99(&during)),
        (Metric::P99Growth, p99(&during) / p99(&before)),
        (Metric::Retries, closed as f64),
    ])
}
