//! The workloads of an ensemble of three: loads through the leader and a follower, the time without a leader, and how
//! long writes take while a leader is killed again and again, while snapshots are written and while an empty member
//! comes in.
//!
//! As with single servers (`compare`), the ensembles of all kinds stand side by side and take turns. The echo server
//! stands alone beside them: it shows what the machine allows for requests that one server answers.

use crate::compare::{self, Outcome, Sample, Settings};
use crate::ensemble::{Ensemble, MEMBERS, Mode, mode_at};
use crate::frame;
use crate::histogram::Histogram;
use crate::pool::{Opening, Pace, Pool, Stop};
use crate::server::{Kind, Plain, Scratch, Server, settle_disk};
use crate::source::Creates;
use crate::workload::{Metric, Requests, Seat, Trio, Work, Workload};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// So that at the pace of `SNAPSHOT_WRITES` every member writes several snapshots within a measurement.
const SNAP_COUNT: u64 = 10_000;
const SNAPSHOT_WRITES: f64 = 2_000.0;
/// Longer than the 30 s for which the system keeps what a server does not sync itself: it is a part of a snapshot's cost.
const SNAPSHOT_SECONDS: u64 = 45;
/// Few enough that they are no reason for a snapshot.
const JOIN_WRITES: f64 = 250.0;
const JOIN_SECONDS: u64 = 20;
/// Writers beside a leader that is killed, and how often each of them writes.
const WRITERS: usize = 16;
const WRITE_EVERY: Duration = Duration::from_millis(40);
const KILL_EVERY: Duration = Duration::from_secs(10);
const START_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A server between two leaders may take a connect request and never answer it.
const PATIENCE: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_millis(1);
/// A write that has not succeeded by then never will.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(60);
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(120);

/// What takes part: three members, or the echo server.
enum Stand {
    Three(Ensemble),
    Echo(Server),
}

/// Runs the workloads; `done` is told of each as soon as it is through.
pub fn run(settings: &Settings, mut done: impl FnMut(&Outcome)) -> io::Result<()> {
    let mut sizes: Vec<u64> = settings.workloads.iter().map(|workload| trio_of(workload).znodes()).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for znodes in sizes {
        let seed = match znodes {
            0 => None,
            _ => Some(prepare(settings, znodes)?),
        };
        let mut stands = Vec::new();
        for kind in &settings.servers {
            eprintln!("starting {} with {znodes} znodes", kind.name());
            stands.push(stand(kind, settings, seed.as_ref(), znodes)?);
        }
        settle_disk()?;
        for workload in settings.workloads.iter().filter(|workload| trio_of(workload).znodes() == znodes) {
            let outcome = compare::alternate(settings, workload, |index| match &mut stands[index] {
                Stand::Three(ensemble) => measure(ensemble, trio_of(workload), settings),
                Stand::Echo(echo) => measure_echo(echo, trio_of(workload), settings),
            });
            done(&outcome);
        }
    }
    Ok(())
}

fn trio_of(workload: &Workload) -> Trio {
    match workload.work {
        Work::Trio(trio) => trio,
        _ => unreachable!("the table of the ensembles holds nothing else"),
    }
}

fn stand(kind: &Kind, settings: &Settings, seed: Option<&Scratch>, znodes: u64) -> io::Result<Stand> {
    if kind.is_echo() {
        return Server::start(kind, &settings.directory).map(Stand::Echo);
    }
    let kind = kind.with_heap(match znodes {
        0 => "1g",
        1..=1_000_000 => "3g",
        _ => "6g",
    });
    let lines = if znodes > 0 { format!("snapCount={SNAP_COUNT}\n") } else { String::new() };
    let data = seed.map(|seed| seed.path().join("data"));
    let ensemble = Ensemble::start(&kind, &settings.directory, data.as_deref(), &lines)?;
    compare::populate(ensemble.address(0))?;
    if znodes == 0 {
        let duration = if kind.is_java() { settings.warm_up } else { settings.warm_up.min(Duration::from_secs(1)) };
        for address in ensemble.addresses() {
            compare::warm(address, settings, duration / MEMBERS as u32)?;
        }
    }
    Ok(Stand::Three(ensemble))
}

fn measure(ensemble: &mut Ensemble, trio: Trio, settings: &Settings) -> io::Result<Sample> {
    let megabytes = |ensemble: &Ensemble| (Metric::Megabytes, ensemble.memory() as f64 / compare::MEGABYTE);
    match trio {
        Trio::Load { requests, sessions, outstanding, through } => {
            let leader = ensemble.leader()?;
            let index = if through == Seat::Leader { leader } else { (leader + 1) % MEMBERS };
            let pace = Pace::Closed { outstanding };
            compare::measure_load(ensemble.address(index), &|| ensemble.cpu(), requests, sessions, pace, settings.duration)
        }
        Trio::Memory { .. } => Ok(vec![megabytes(ensemble)]),
        Trio::Failover { .. } => Ok(vec![(Metric::Milliseconds, failover(ensemble)?.as_secs_f64() * 1e3), megabytes(ensemble)]),
        Trio::FailoverAgain => failover_again(ensemble, settings),
        Trio::Snapshots { .. } => beside_snapshots(ensemble),
        Trio::Join { .. } => beside_join(ensemble),
    }
}

fn measure_echo(echo: &Server, trio: Trio, settings: &Settings) -> io::Result<Sample> {
    match trio {
        Trio::Load { requests, sessions, outstanding, .. } => {
            let pace = Pace::Closed { outstanding };
            compare::measure_load(echo.address, &|| echo.cpu(), requests, sessions, pace, settings.duration)
        }
        _ => unreachable!("it takes part in loads only"),
    }
}

/// Kills the leader; returns the time to the next acknowledged write. Then all three are there again.
fn failover(ensemble: &mut Ensemble) -> io::Result<Duration> {
    let leader = ensemble.leader()?;
    let others: Vec<SocketAddr> = (0..MEMBERS).filter(|index| *index != leader).map(|index| ensemble.address(index)).collect();
    let begin = Instant::now();
    ensemble.kill(leader)?;
    let mut turn = 0;
    let took = loop {
        if write_anew(others[turn % others.len()]).is_ok() {
            break begin.elapsed();
        }
        if begin.elapsed() > GIVEN_UP_AFTER {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no write after the leader was killed"));
        }
        turn += 1;
        std::thread::sleep(PAUSE);
    };
    ensemble.spawn(leader)?;
    ensemble.wait()?;
    Ok(took)
}

/// A new session writes.
fn write_anew(address: SocketAddr) -> io::Result<()> {
    let mut session = Plain::open_within(address, PATIENCE)?;
    session.must(frame::set_data("/bench", b"failover"))
}

/// Writers at a fixed pace, each with a session that it opens anew on the next member when it is lost, while the
/// leader is killed every ten seconds. A write counts from the time at which it was meant to be made until it is acknowledged.
fn failover_again(ensemble: &mut Ensemble, settings: &Settings) -> io::Result<Sample> {
    let kills = settings.duration.as_secs().clamp(2, 6) as u32;
    let addresses = ensemble.addresses();
    let begin = Instant::now();
    let end = begin + KILL_EVERY * kills;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|first| scope.spawn(move || keep_writing(addresses, first, begin, end))).collect();
        for kill in 0..kills {
            sleep_until(begin + KILL_EVERY * kill + KILL_EVERY / 2);
            let leader = ensemble.leader()?;
            ensemble.kill(leader)?;
            std::thread::sleep(START_AGAIN_AFTER);
            ensemble.spawn(leader)?;
        }
        let mut latency = Histogram::new();
        for writer in writers {
            latency.merge(&writer.join().expect("a writer does not panic")?);
        }
        ensemble.wait()?;
        let quantile = |fraction| latency.quantile(fraction) as f64 / 1e3;
        Ok(vec![
            (Metric::PerSecond, latency.len() as f64 / (end - begin).as_secs_f64()),
            (Metric::P50Us, quantile(0.5)),
            (Metric::P99Us, quantile(0.99)),
            (Metric::P999Us, quantile(0.999)),
        ])
    })
}

fn keep_writing(addresses: [SocketAddr; MEMBERS], first: usize, begin: Instant, end: Instant) -> io::Result<Histogram> {
    let mut latency = Histogram::new();
    let (mut session, mut turn) = (None, first);
    let mut due = begin + WRITE_EVERY / WRITERS as u32 * first as u32;
    while due < end {
        sleep_until(due);
        while let Err(failure) = write_on(&mut session, addresses[turn % MEMBERS]) {
            if due.elapsed() > GIVEN_UP_AFTER {
                return Err(failure);
            }
            session = None;
            turn += 1;
            std::thread::sleep(PAUSE);
        }
        latency.record(due.elapsed().as_nanos() as u64);
        due += WRITE_EVERY;
    }
    Ok(latency)
}

/// Writes on the session, which is opened if there is none.
fn write_on(session: &mut Option<Plain>, address: SocketAddr) -> io::Result<()> {
    let session = match session {
        Some(session) => session,
        None => session.insert(Plain::open_within(address, PATIENCE)?),
    };
    session.must(frame::set_data("/bench", b"again"))
}

fn sleep_until(time: Instant) {
    std::thread::sleep(time.saturating_duration_since(Instant::now()));
}

/// Writes at a fixed pace through the leader, fast enough that all members write snapshots meanwhile. One must have been
/// finished soon after the load at the latest.
fn beside_snapshots(ensemble: &mut Ensemble) -> io::Result<Sample> {
    // What another kind has left to the system to be written some time would be written now.
    settle_disk()?;
    let count = |ensemble: &Ensemble| -> usize { (0..MEMBERS).map(|index| snapshots(&ensemble.data(index)).len()).sum() };
    let before = count(ensemble);
    let sample = paced_writes(ensemble, SNAPSHOT_WRITES, Duration::from_secs(SNAPSHOT_SECONDS))?;
    wait_for_snapshot(|| count(ensemble) > before)?;
    Ok(sample)
}

/// Waits for a snapshot to be written.
fn wait_for_snapshot(is_written: impl Fn() -> bool) -> io::Result<()> {
    let begin = Instant::now();
    while !is_written() {
        if begin.elapsed() > SNAPSHOT_WITHIN {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no snapshot was written"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Writes at a fixed pace through the leader while a follower loses all it has and comes in again.
fn beside_join(ensemble: &mut Ensemble) -> io::Result<Sample> {
    let joiner = (ensemble.leader()? + 1) % MEMBERS;
    let address = ensemble.address(joiner);
    ensemble.kill(joiner)?;
    ensemble.empty(joiner)?;
    settle_disk()?;
    ensemble.spawn(joiner)?;
    let begin = Instant::now();
    let end = begin + Duration::from_secs(JOIN_SECONDS);
    let (sample, joined) = std::thread::scope(|scope| {
        let watcher = scope.spawn(move || {
            while Instant::now() < end {
                if mode_at(address) == Some(Mode::Follower) {
                    return Some(begin.elapsed());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            None
        });
        let sample = paced_writes(ensemble, JOIN_WRITES, Duration::from_secs(JOIN_SECONDS));
        (sample, watcher.join().expect("it does not panic"))
    });
    let mut sample = sample?;
    ensemble.wait()?;
    let joined = joined.ok_or_else(|| io::Error::other("the member did not come in while the load ran"))?;
    sample.push((Metric::Milliseconds, joined.as_secs_f64() * 1e3));
    Ok(sample)
}

fn paced_writes(ensemble: &Ensemble, per_second: f64, duration: Duration) -> io::Result<Sample> {
    let address = ensemble.address(ensemble.leader()?);
    let requests = Requests::SetData(100);
    compare::measure_load(address, &|| ensemble.cpu(), requests, 16, Pace::Open { per_second }, duration)
}

/// A directory of so many znodes, made once: the newest snapshot and the log from there on. Ours makes it if it takes part,
/// since it is quicker.
fn prepare(settings: &Settings, znodes: u64) -> io::Result<Scratch> {
    let makers = || settings.servers.iter().filter(|kind| !kind.is_echo());
    let maker = makers().find(|kind| !kind.is_java()).or(makers().next()).ok_or_else(|| io::Error::other("no server has a tree"))?;
    eprintln!("{} prepares {znodes} znodes", maker.name());
    let server = Server::start(maker, &settings.directory)?;
    compare::create_parents(server.address, znodes)?;
    let (mut pool, _) = Pool::open(server.address, Opening::gently(4))?;
    let many = 100;
    let mut creates = Creates::new("/fill/", true, &compare::DATA, many, 0);
    pool.run(&mut creates, Pace::Closed { outstanding: 4 }, Stop::Count(znodes / many as u64))?;
    pool.close()?;
    let directory = server.stop()?;
    let data = directory.path().join("data");
    let newest = snapshots(&data).last().copied();
    // A start ends with a snapshot; ours writes it behind the first answers.
    let mut server = Server::spawn(maker, directory, "")?;
    server.wait_ready(SNAPSHOT_WITHIN)?;
    wait_for_snapshot(|| snapshots(&data).last().copied() != newest)?;
    let directory = server.stop()?;
    keep_newest(&data)?;
    Ok(directory)
}

/// The zxids of the snapshots in a data directory, the last one the newest.
fn snapshots(data: &Path) -> Vec<u64> {
    numbered(data, "snapshot.")
}

fn numbered(data: &Path, prefix: &str) -> Vec<u64> {
    let entries = fs::read_dir(data.join("version-2")).into_iter().flatten().flatten();
    let mut zxids: Vec<u64> =
        entries.filter_map(|entry| u64::from_str_radix(entry.file_name().to_str()?.strip_prefix(prefix)?, 16).ok()).collect();
    zxids.sort_unstable();
    zxids
}

/// Removes what a start from the newest snapshot does not read.
fn keep_newest(data: &Path) -> io::Result<()> {
    let snapshots = snapshots(data);
    let Some((newest, older)) = snapshots.split_last() else { return Ok(()) };
    let logs = numbered(data, "log.");
    let first_read = logs.iter().rev().find(|zxid| *zxid <= newest).copied().unwrap_or(0);
    let stale = older.iter().map(|zxid| format!("snapshot.{zxid:x}"));
    let stale = stale.chain(logs.iter().filter(|zxid| **zxid < first_read).map(|zxid| format!("log.{zxid:x}")));
    for name in stale {
        fs::remove_file(data.join("version-2").join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_start_reads_is_kept() {
        let scratch = Scratch::new(&std::env::temp_dir()).unwrap();
        let version = scratch.path().join("version-2");
        fs::create_dir_all(&version).unwrap();
        for name in ["snapshot.0", "snapshot.1f", "log.1", "log.a", "log.20", "snapshot.1f.tmp"] {
            fs::write(version.join(name), "").unwrap();
        }
        keep_newest(scratch.path()).unwrap();
        assert_eq!(snapshots(scratch.path()), [0x1f]);
        assert_eq!(numbered(scratch.path(), "log."), [0xa, 0x20]);
        assert!(version.join("snapshot.1f.tmp").exists());
    }
}
