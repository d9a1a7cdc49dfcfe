//! Where threads record and how the parts are merged.
//!
//! A thread's part (a shard) has one writer, its [`Recorder`], so a counter costs a load, an addition
//! and a store. A reset (`srst`) raises a generation number; each writer clears its own part before its
//! next record, and readers skip parts that have not caught up. So nobody ever writes another's memory.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::histogram::{Distribution, Histogram, Merged};
use super::number::average;
use super::table::{Counter, CounterSet, Detail, Summary, SummarySet};

use Ordering::{Acquire, Relaxed, Release};

/// Keys that one set may have in one thread. ZooKeeper has no bound here, which lets a client that makes
/// and deletes top-level znodes fill the heap; values of further keys are not recorded.
const KEYS_MAX: usize = 4096;

/// All metrics of one server. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
    common: Arc<Mutex<Recorder>>,
}

struct Shared {
    generation: AtomicU64,
    shards: Mutex<Vec<Arc<Shard>>>,
    /// Parts whose recorder is gone; the next recorder goes on with one of them.
    idle: Mutex<Vec<Arc<Shard>>>,
    counter_sets: [Mutex<BTreeMap<String, u64>>; CounterSet::ALL.len()],
    lasting: [AtomicU64; Lasting::COUNT],
    /// Every distribution keeps its buckets, not only those that say so.
    keeps_all: AtomicBool,
}

/// Times of stages of a request, in microseconds: finer than ZooKeeper's metrics, and under names of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Writing a batch of transactions to the log, without its sync.
    LogWrite,
    /// The sync of the log.
    LogSync,
}

impl Stage {
    /// Every one.
    pub const ALL: [Stage; 2] = [Stage::LogWrite, Stage::LogSync];

    /// The label.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::LogWrite => "log_write",
            Stage::LogSync => "log_sync",
        }
    }
}

/// Counts that `srst` leaves alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// Authentications that failed.
    AuthFailed,
    /// Plain connections from other machines to a unified port.
    NonMtlsRemote,
    /// Plain connections from this machine to a unified port.
    NonMtlsLocal,
    /// Syncs of the log that took longer than the warning threshold.
    FsyncThresholdExceeded,
}

impl Lasting {
    const COUNT: usize = 4;
}

/// Which latency a request counts towards, beside that of all requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// `readlatency`: answered from the tree.
    Read,
    /// `updatelatency`: became a transaction.
    Update,
}

impl Metrics {
    /// A registry with everything at its neutral value.
    pub fn new() -> Self {
        let shared = Arc::new(Shared {
            generation: AtomicU64::new(0),
            shards: Mutex::default(),
            idle: Mutex::default(),
            counter_sets: [const { Mutex::new(BTreeMap::new()) }; CounterSet::ALL.len()],
            lasting: [const { AtomicU64::new(0) }; Lasting::COUNT],
            keeps_all: AtomicBool::new(false),
        });
        let common = Arc::new(Mutex::new(Recorder::new(shared.clone())));
        Self { shared, common }
    }

    /// A recorder for the calling thread to keep. Its part outlives it: what it recorded stays counted.
    pub fn recorder(&self) -> Recorder {
        Recorder::new(self.shared.clone())
    }

    /// Records something rare, from any thread, under a lock.
    pub fn record<R>(&self, with: impl FnOnce(&Recorder) -> R) -> R {
        with(&lock(&self.common))
    }

    /// Counts for a key of a set: one short lock, for rare events.
    pub fn count_for(&self, set: CounterSet, key: &str, amount: u64) {
        let mut counts = lock(&self.shared.counter_sets[set.index()]);
        if let Some(count) = counts.get_mut(key) {
            *count += amount;
        } else if counts.len() < KEYS_MAX {
            counts.insert(key.to_owned(), amount);
        }
    }

    /// Counts one more of what `srst` leaves alone.
    pub fn count_lasting(&self, what: Lasting) {
        self.shared.lasting[what as usize].fetch_add(1, Relaxed);
    }

    /// Sets everything back but the [`Lasting`] counts, as `srst` does. Keys of sets stay, at zero.
    pub fn reset(&self) {
        self.shared.generation.fetch_add(1, Release);
        for counts in &self.shared.counter_sets {
            lock(counts).values_mut().for_each(|count| *count = 0);
        }
    }

    /// From now on every distribution keeps its buckets, as Prometheus wants them: some hundred KB a thread.
    pub fn keep_all_distributions(&self) {
        self.shared.keeps_all.store(true, Relaxed);
    }

    /// The distributions over all threads, as far as they keep their buckets.
    pub fn distributions(&self) -> Distributions {
        let generation = self.shared.generation.load(Acquire);
        let shards = lock(&self.shared.shards).clone();
        let current: Vec<&Shard> =
            shards.iter().map(|shard| &**shard).filter(|shard| shard.generation.load(Acquire) == generation).collect();
        let merge = |cells: &mut dyn Iterator<Item = &SummaryCell>| {
            let mut merged: Option<Merged> = None;
            for part in cells.filter_map(|cell| cell.histogram.get()) {
                part.add_to(merged.get_or_insert_with(Merged::new));
            }
            merged.map_or_else(Distribution::default, |merged| merged.distribution())
        };
        Distributions {
            summaries: Summary::ALL
                .iter()
                .map(|summary| merge(&mut current.iter().map(|shard| &shard.summaries[summary.index()])))
                .collect(),
            stages: Stage::ALL.map(|stage| {
                let cells = || current.iter().map(|shard| &shard.stages[stage as usize]);
                (merge(&mut cells()), cells().map(|cell| cell.sum.load(Relaxed)).sum())
            }),
            sets: SummarySet::ALL
                .iter()
                .map(|set| {
                    let mut by_key: BTreeMap<String, Vec<Arc<SummaryCell>>> = BTreeMap::new();
                    for shard in &current {
                        for (key, cell) in lock(&shard.sets[set.index()]).iter() {
                            by_key.entry(key.to_string()).or_default().push(cell.clone());
                        }
                    }
                    by_key.into_iter().map(|(key, cells)| (key, merge(&mut cells.iter().map(|cell| &**cell)))).collect()
                })
                .collect(),
        }
    }

    /// The sums over all threads. Walks every part: for `mntr`, not for a hot path.
    pub fn read(&self) -> Reading {
        let generation = self.shared.generation.load(Acquire);
        let shards = lock(&self.shared.shards).clone();
        let current: Vec<&Shard> =
            shards.iter().map(|shard| &**shard).filter(|shard| shard.generation.load(Acquire) == generation).collect();
        let sum = |cell: fn(&Shard) -> &AtomicU64| current.iter().map(|shard| cell(shard).load(Relaxed)).sum();
        let merge = |detail, cell: &dyn Fn(&Shard) -> &SummaryCell| SummaryReading::merge(detail, current.iter().map(|shard| cell(shard)));
        Reading {
            counters: Counter::ALL
                .iter()
                .map(|counter| current.iter().map(|shard| shard.counters[counter.index()].load(Relaxed)).sum())
                .collect(),
            summaries: Summary::ALL.iter().map(|summary| merge(summary.detail(), &|shard| &shard.summaries[summary.index()])).collect(),
            summary_sets: SummarySet::ALL.iter().map(|set| read_set(*set, &shards, generation)).collect(),
            counter_sets: self.shared.counter_sets.iter().map(|counts| lock(counts).clone().into_iter().collect()).collect(),
            latency: merge(Detail::Basic, &|shard| &shard.latency),
            packets_received: sum(|shard| &shard.packets_received),
            packets_sent: sum(|shard| &shard.packets_sent),
            response_sizes: current.iter().map(|shard| shard.response_sizes.load()).fold(ResponseSizes::NONE, ResponseSizes::merge),
            lasting: std::array::from_fn(|index| self.shared.lasting[index].load(Relaxed)),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// One thread's door into the registry. Belongs to one thread at a time (it is not `Sync`) and is not
/// cloned: that is what makes its plain additions right.
pub struct Recorder {
    shared: Arc<Shared>,
    shard: Arc<Shard>,
    keys: [RefCell<Keys>; SummarySet::ALL.len()],
    one_thread: PhantomData<Cell<()>>,
}

impl Recorder {
    fn new(shared: Arc<Shared>) -> Self {
        let idle = lock(&shared.idle).pop();
        let shard = idle.unwrap_or_else(|| {
            let shard = Arc::new(Shard::new(shared.generation.load(Acquire)));
            lock(&shared.shards).push(shard.clone());
            shard
        });
        let keys = std::array::from_fn(|set| {
            RefCell::new(Keys { cells: lock(&shard.sets[set]).iter().map(|(key, cell)| (key.clone(), cell.clone())).collect(), last: None })
        });
        Self { shared, shard, keys, one_thread: PhantomData }
    }

    /// Adds to a counter.
    #[inline]
    pub fn add(&self, counter: Counter, amount: u64) {
        bump(&self.shard().counters[counter.index()], amount);
    }

    /// Takes a value into a distribution, in the metric's own unit.
    #[inline]
    pub fn observe(&self, summary: Summary, value: i64) {
        self.shard().summaries[summary.index()].observe(self.detail(summary.detail()), value);
    }

    /// Takes a time into the distribution of a stage, in microseconds.
    #[inline]
    pub fn observe_stage(&self, stage: Stage, micros: i64) {
        self.shard().stages[stage as usize].observe(Detail::Advanced, micros);
    }

    /// What is kept of a distribution that asks for this.
    #[inline]
    fn detail(&self, detail: Detail) -> Detail {
        if detail == Detail::Basic && self.shared.keeps_all.load(Relaxed) { Detail::Advanced } else { detail }
    }

    /// Takes a value into the distribution of a key. Cheapest for the key used last.
    pub fn observe_for(&self, set: SummarySet, key: &str, value: i64) {
        let shard = self.shard();
        let mut keys = self.keys[set.index()].borrow_mut();
        if let Some((last, cell)) = &keys.last
            && **last == *key
        {
            return cell.observe(self.detail(set.detail()), value);
        }
        let found = keys.cells.get_key_value(key).map(|(key, cell)| (key.clone(), cell.clone()));
        let (key, cell) = match found {
            Some(known) => known,
            None if keys.cells.len() >= KEYS_MAX => return,
            None => {
                let new: (Arc<str>, _) = (Arc::from(key), Arc::new(SummaryCell::new()));
                keys.cells.insert(new.0.clone(), new.1.clone());
                lock(&shard.sets[set.index()]).insert(new.0.clone(), new.1.clone());
                new
            }
        };
        cell.observe(self.detail(set.detail()), value);
        keys.last = Some((key, cell));
    }

    /// Counts a request as answered, `latency_ms` after it was received. A negative time (a clock that
    /// was set back) is not counted.
    #[inline]
    pub fn request_done(&self, kind: RequestKind, latency_ms: i64) {
        if latency_ms < 0 {
            return;
        }
        let shard = self.shard();
        shard.latency.observe(Detail::Basic, latency_ms);
        let summary = match kind {
            RequestKind::Read => Summary::ReadLatency,
            RequestKind::Update => Summary::UpdateLatency,
        };
        shard.summaries[summary.index()].observe(Detail::Advanced, latency_ms);
    }

    /// Counts packets received from clients (a four-letter word is one).
    #[inline]
    pub fn packets_received(&self, packets: u64) {
        bump(&self.shard().packets_received, packets);
    }

    /// Counts packets sent to clients.
    #[inline]
    pub fn packets_sent(&self, packets: u64) {
        bump(&self.shard().packets_sent, packets);
    }

    /// Takes the size of a reply's body into `last_`, `min_` and `max_client_response_size`.
    #[inline]
    pub fn response_size(&self, bytes: i64) {
        let sizes = &self.shard().response_sizes;
        sizes.last.store(bytes, Relaxed);
        let min = sizes.min.load(Relaxed);
        if min < 0 || bytes < min {
            sizes.min.store(bytes, Relaxed);
        }
        if bytes > sizes.max.load(Relaxed) {
            sizes.max.store(bytes, Relaxed);
        }
    }

    /// The part, cleared first if a reset came since the last record.
    #[inline]
    fn shard(&self) -> &Shard {
        let generation = self.shared.generation.load(Relaxed);
        if self.shard.generation.load(Relaxed) != generation {
            self.shard.clear(generation);
        }
        &self.shard
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        lock(&self.shared.idle).push(self.shard.clone());
    }
}

/// A recorder's own way to the cells of a set, without the lock that readers need.
struct Keys {
    cells: HashMap<Arc<str>, Arc<SummaryCell>>,
    last: Option<(Arc<str>, Arc<SummaryCell>)>,
}

/// One writer's part. Aligned so that two parts never share a cache line (x86 fetches lines in pairs).
#[repr(align(128))]
struct Shard {
    generation: AtomicU64,
    packets_received: AtomicU64,
    packets_sent: AtomicU64,
    response_sizes: SizeCells,
    latency: SummaryCell,
    counters: [AtomicU64; Counter::ALL.len()],
    summaries: [SummaryCell; Summary::ALL.len()],
    stages: [SummaryCell; Stage::ALL.len()],
    sets: [Mutex<HashMap<Arc<str>, Arc<SummaryCell>>>; SummarySet::ALL.len()],
}

impl Shard {
    fn new(generation: u64) -> Self {
        Self {
            generation: AtomicU64::new(generation),
            packets_received: AtomicU64::new(0),
            packets_sent: AtomicU64::new(0),
            response_sizes: SizeCells { last: AtomicI64::new(-1), min: AtomicI64::new(-1), max: AtomicI64::new(-1) },
            latency: SummaryCell::new(),
            counters: [const { AtomicU64::new(0) }; Counter::ALL.len()],
            summaries: std::array::from_fn(|_| SummaryCell::new()),
            stages: std::array::from_fn(|_| SummaryCell::new()),
            sets: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Only for the owning thread. The generation comes last, so a reader that sees it sees the rest.
    #[cold]
    fn clear(&self, generation: u64) {
        self.packets_received.store(0, Relaxed);
        self.packets_sent.store(0, Relaxed);
        for size in [&self.response_sizes.last, &self.response_sizes.min, &self.response_sizes.max] {
            size.store(-1, Relaxed);
        }
        self.latency.clear();
        self.counters.iter().for_each(|counter| counter.store(0, Relaxed));
        self.summaries.iter().for_each(SummaryCell::clear);
        self.stages.iter().for_each(SummaryCell::clear);
        for set in &self.sets {
            lock(set).values().for_each(|cell| cell.clear());
        }
        self.generation.store(generation, Release);
    }
}

struct SizeCells {
    last: AtomicI64,
    min: AtomicI64,
    max: AtomicI64,
}

impl SizeCells {
    fn load(&self) -> ResponseSizes {
        ResponseSizes { last: self.last.load(Relaxed), min: self.min.load(Relaxed), max: self.max.load(Relaxed) }
    }
}

/// One writer's part of a distribution.
struct SummaryCell {
    count: AtomicU64,
    sum: AtomicI64,
    min: AtomicI64,
    max: AtomicI64,
    /// Made at the first value of an advanced summary: most never get one.
    histogram: OnceLock<Box<Histogram>>,
}

impl SummaryCell {
    fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            sum: AtomicI64::new(0),
            min: AtomicI64::new(i64::MAX),
            max: AtomicI64::new(i64::MIN),
            histogram: OnceLock::new(),
        }
    }

    #[inline]
    fn observe(&self, detail: Detail, value: i64) {
        self.sum.store(self.sum.load(Relaxed).wrapping_add(value), Relaxed);
        if value < self.min.load(Relaxed) {
            self.min.store(value, Relaxed);
        }
        if value > self.max.load(Relaxed) {
            self.max.store(value, Relaxed);
        }
        if detail == Detail::Advanced {
            self.histogram.get_or_init(Histogram::new).observe(value);
        }
        bump(&self.count, 1);
    }

    fn clear(&self) {
        self.count.store(0, Relaxed);
        self.sum.store(0, Relaxed);
        self.min.store(i64::MAX, Relaxed);
        self.max.store(i64::MIN, Relaxed);
        if let Some(histogram) = self.histogram.get() {
            histogram.clear();
        }
    }
}

/// Right for a single writer only.
#[inline]
fn bump(cell: &AtomicU64, amount: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(amount), Relaxed);
}

/// A panic elsewhere must not take the metrics along: every value is a number that is whole by itself.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keys sorted, so that the output is the same from one time to the next.
fn read_set(set: SummarySet, shards: &[Arc<Shard>], generation: u64) -> Vec<(String, SummaryReading)> {
    let mut by_key: BTreeMap<Arc<str>, Vec<Arc<SummaryCell>>> = BTreeMap::new();
    for shard in shards {
        let current = shard.generation.load(Acquire) == generation;
        for (key, cell) in lock(&shard.sets[set.index()]).iter() {
            let cells = by_key.entry(key.clone()).or_default();
            if current {
                cells.push(cell.clone());
            }
        }
    }
    by_key
        .into_iter()
        .map(|(key, cells)| (key.to_string(), SummaryReading::merge(set.detail(), cells.iter().map(|cell| &**cell))))
        .collect()
}

/// What a registry held when it was read.
#[derive(Clone, Debug)]
pub struct Reading {
    counters: Vec<u64>,
    summaries: Vec<SummaryReading>,
    summary_sets: Vec<Vec<(String, SummaryReading)>>,
    counter_sets: Vec<Vec<(String, u64)>>,
    /// Latency of all requests in ms, as `srvr` and `stat` print it.
    pub latency: SummaryReading,
    /// Packets received from clients.
    pub packets_received: u64,
    /// Packets sent to clients.
    pub packets_sent: u64,
    /// Sizes of replies.
    pub response_sizes: ResponseSizes,
    lasting: [u64; Lasting::COUNT],
}

impl Reading {
    /// A counter's sum.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter.index()]
    }

    /// A distribution over all threads.
    pub fn summary(&self, summary: Summary) -> &SummaryReading {
        &self.summaries[summary.index()]
    }

    /// A set's distributions by key, sorted by key.
    pub fn summary_set(&self, set: SummarySet) -> &[(String, SummaryReading)] {
        &self.summary_sets[set.index()]
    }

    /// A set's counts by key, sorted by key.
    pub fn counter_set(&self, set: CounterSet) -> &[(String, u64)] {
        &self.counter_sets[set.index()]
    }

    /// A count that `srst` leaves alone.
    pub fn lasting(&self, what: Lasting) -> u64 {
        self.lasting[what as usize]
    }
}

/// The buckets of all distributions at one moment.
#[derive(Clone, Debug, Default)]
pub struct Distributions {
    summaries: Vec<Distribution>,
    sets: Vec<BTreeMap<String, Distribution>>,
    stages: [(Distribution, i64); Stage::ALL.len()],
}

impl Distributions {
    /// Of a summary; empty before anything was read.
    pub fn summary(&self, summary: Summary) -> Distribution {
        self.summaries.get(summary.index()).cloned().unwrap_or_default()
    }

    /// Of a key of a set; empty if it has none.
    pub fn of_key(&self, set: SummarySet, key: &str) -> Distribution {
        self.sets.get(set.index()).and_then(|keys| keys.get(key)).cloned().unwrap_or_default()
    }

    /// Of a stage: its values in microseconds, and their sum.
    pub fn stage(&self, stage: Stage) -> &(Distribution, i64) {
        &self.stages[stage as usize]
    }
}

/// A distribution as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SummaryReading {
    /// Number of values.
    pub count: u64,
    /// Their sum.
    pub sum: i64,
    /// The least, 0 without values.
    pub min: i64,
    /// The greatest, 0 without values.
    pub max: i64,
    /// 50 %, 95 %, 99 % and 99.9 % of the values lie below; only for advanced summaries.
    pub percentiles: Option<[i64; 4]>,
}

impl SummaryReading {
    /// The mean to four places, as ZooKeeper rounds it.
    pub fn average(&self) -> f64 {
        average(self.sum, self.count)
    }

    fn merge<'a>(detail: Detail, cells: impl Iterator<Item = &'a SummaryCell>) -> Self {
        let (mut count, mut sum, mut min, mut max) = (0, 0i64, i64::MAX, i64::MIN);
        let mut histogram: Option<Merged> = None;
        for cell in cells {
            count += cell.count.load(Relaxed);
            sum = sum.wrapping_add(cell.sum.load(Relaxed));
            min = min.min(cell.min.load(Relaxed));
            max = max.max(cell.max.load(Relaxed));
            if let Some(part) = cell.histogram.get() {
                part.add_to(histogram.get_or_insert_with(Merged::new));
            }
        }
        let (min, max) = if min > max { (0, 0) } else { (min, max) };
        let percentiles = (detail == Detail::Advanced)
            .then(|| histogram.map_or([0; 4], |merged| [0.5, 0.95, 0.99, 0.999].map(|quantile| merged.quantile(quantile).clamp(min, max))));
        Self { count, sum, min, max, percentiles }
    }
}

/// Sizes of replies in bytes; -1 before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseSizes {
    /// The last one; of several threads, that of the first which sent any.
    pub last: i64,
    /// The smallest.
    pub min: i64,
    /// The largest.
    pub max: i64,
}

impl ResponseSizes {
    /// No reply yet.
    pub const NONE: ResponseSizes = ResponseSizes { last: -1, min: -1, max: -1 };

    fn merge(self, other: Self) -> Self {
        match (self.last < 0, other.last < 0) {
            (true, _) => other,
            (_, true) => self,
            _ => Self { last: self.last, min: self.min.min(other.min), max: self.max.max(other.max) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_record_apart_and_are_read_together() {
        let metrics = Metrics::new();
        std::thread::scope(|scope| {
            for thread in 0..4i64 {
                let recorder = metrics.recorder();
                scope.spawn(move || {
                    for value in 0..1000 {
                        recorder.add(Counter::ResponseBytes, 3);
                        recorder.observe(Summary::FsyncTime, thread * 1000 + value);
                        recorder.request_done(RequestKind::Read, value % 10);
                        recorder.observe_for(SummarySet::ReadPerNamespace, ["a", "b"][value as usize % 2], 5);
                    }
                    recorder.request_done(RequestKind::Update, -1);
                });
            }
        });
        let reading = metrics.read();
        assert_eq!(reading.counter(Counter::ResponseBytes), 12_000);
        assert_eq!(reading.counter(Counter::WatchBytes), 0);
        assert_eq!(
            *reading.summary(Summary::FsyncTime),
            SummaryReading { count: 4000, sum: 3999 * 2000, min: 0, max: 3999, percentiles: None }
        );
        assert_eq!(reading.summary(Summary::FsyncTime).average(), 1999.5);
        assert_eq!(
            *reading.summary(Summary::ReadLatency),
            SummaryReading { count: 4000, sum: 18_000, min: 0, max: 9, percentiles: Some([5, 9, 9, 9]) }
        );
        assert_eq!(reading.latency, SummaryReading { count: 4000, sum: 18_000, min: 0, max: 9, percentiles: None });
        assert_eq!(*reading.summary(Summary::UpdateLatency), SummaryReading { percentiles: Some([0; 4]), ..Default::default() });
        let five = SummaryReading { count: 2000, sum: 10_000, min: 5, max: 5, percentiles: None };
        assert_eq!(reading.summary_set(SummarySet::ReadPerNamespace), [("a".to_owned(), five), ("b".to_owned(), five)]);
    }

    #[test]
    fn a_reset_clears_all_parts_and_keeps_keys_and_lasting_counts() {
        let metrics = Metrics::new();
        let (one, two) = (metrics.recorder(), metrics.recorder());
        for recorder in [&one, &two] {
            recorder.add(Counter::SnapCount, 1);
            recorder.observe_for(SummarySet::AckLatency, "1", 9);
            recorder.request_done(RequestKind::Update, 4);
            recorder.response_size(30);
            recorder.packets_received(2);
            recorder.packets_sent(3);
        }
        metrics.count_for(CounterSet::QuotaExceededErrorPerNamespace, "q", 2);
        metrics.count_lasting(Lasting::AuthFailed);
        metrics.reset();
        let zero = SummaryReading { percentiles: Some([0; 4]), ..Default::default() };
        for after in [0, 7] {
            // At first no recorder has noticed the reset; then one of two has.
            if after > 0 {
                one.add(Counter::SnapCount, after);
                one.response_size(12);
            }
            let reading = metrics.read();
            assert_eq!(reading.counter(Counter::SnapCount), after);
            assert_eq!(reading.summary_set(SummarySet::AckLatency), [("1".to_owned(), zero)]);
            assert_eq!(*reading.summary(Summary::UpdateLatency), zero);
            assert_eq!(reading.latency.count, 0);
            assert_eq!((reading.packets_received, reading.packets_sent), (0, 0));
            let size = if after > 0 { 12 } else { -1 };
            assert_eq!(reading.response_sizes, ResponseSizes { last: size, min: size, max: size });
            assert_eq!(reading.counter_set(CounterSet::QuotaExceededErrorPerNamespace), [("q".to_owned(), 0)]);
            assert_eq!(reading.lasting(Lasting::AuthFailed), 1);
        }
    }

    #[test]
    fn a_dropped_recorder_stays_counted_and_its_part_is_used_again() {
        let metrics = Metrics::new();
        for _ in 0..100 {
            let recorder = metrics.recorder();
            recorder.add(Counter::SnapCount, 1);
            recorder.observe_for(SummarySet::AckLatency, "1", 1);
        }
        let reading = metrics.read();
        assert_eq!(reading.counter(Counter::SnapCount), 100);
        assert_eq!(reading.summary_set(SummarySet::AckLatency)[0].1.count, 100);
        // The common one and one more.
        assert_eq!(lock(&metrics.shared.shards).len(), 2);
    }

    #[test]
    fn keys_of_a_set_are_bounded() {
        let metrics = Metrics::new();
        let recorder = metrics.recorder();
        for key in 0..KEYS_MAX + 10 {
            recorder.observe_for(SummarySet::WritePerNamespace, &key.to_string(), 1);
            metrics.count_for(CounterSet::QuotaExceededErrorPerNamespace, &key.to_string(), 1);
        }
        let reading = metrics.read();
        assert_eq!(reading.summary_set(SummarySet::WritePerNamespace).len(), KEYS_MAX);
        assert_eq!(reading.counter_set(CounterSet::QuotaExceededErrorPerNamespace).len(), KEYS_MAX);
    }

    #[test]
    fn sizes_of_replies_are_merged() {
        let metrics = Metrics::new();
        assert_eq!(metrics.read().response_sizes, ResponseSizes::NONE);
        let (one, two) = (metrics.recorder(), metrics.recorder());
        two.response_size(84);
        two.response_size(16);
        two.response_size(40);
        assert_eq!(metrics.read().response_sizes, ResponseSizes { last: 40, min: 16, max: 84 });
        one.response_size(100);
        assert_eq!(metrics.read().response_sizes, ResponseSizes { last: 100, min: 16, max: 100 });
    }
}
