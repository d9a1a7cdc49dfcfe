//! The busiest paths of the last seconds, in memory that does not grow with the number of paths.
//!
//! Each of two windows holds a table of at most [`PLACES`] paths. When it is full, a new path takes the place of the one with the
//! least, and what that one had counts for the new one's place, but is not shown (the rule is called space-saving): a path that has
//! more than its share of all requests is always there, and no path is shown with more than it has. `/parent/*` stands for all
//! children of a znode, where no single one of them has most of it. Who is busy notes only one of so
//! many requests, which is chosen so that a few hundred a second are noted: of a path that has a tenth of all requests, what is
//! told is right within some percent.

use oxkeeper_replica::meter::PathUse;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Paths in a window. A search for the least looks at all of them, which takes some hundreds of nanoseconds.
const PLACES: usize = 256;
/// How long a window lasts; what is told is of the last one to two.
const WINDOW_MS: u64 = 10_000;
/// How much is noted in a window, if all of it were not too much. Each costs about a microsecond.
const NOTED_IN_WINDOW: u64 = 4_000;
/// By how much fewer are noted from then on, if a window has had that much before its end.
const THINNER: u32 = 4;

/// What a path had, a second.
#[derive(Clone, Debug, PartialEq)]
pub struct PathRate {
    /// The whole path, or the beginning of a very long one.
    pub path: String,
    /// Reads a second.
    pub reads: f64,
    /// Writes a second that were carried out, of all members of the ensemble.
    pub writes: f64,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    reads: u64,
    writes: u64,
    /// Of those whose place it took.
    inherited: u64,
}

impl Counts {
    fn own(self) -> u64 {
        self.reads + self.writes
    }
}

/// `/parent/*`, but for the root's children.
fn siblings(path: &str, name: &mut String) -> bool {
    name.clear();
    let Some((parent, _)) = path.rsplit_once('/').filter(|(parent, _)| !parent.is_empty()) else { return false };
    name.push_str(parent);
    name.push_str("/*");
    true
}

#[derive(Default)]
struct Window {
    paths: HashMap<Box<str>, Counts>,
    noted: u64,
    stand_for: u64,
    name: String,
}

impl Window {
    fn note(&mut self, path: &str, what: PathUse, count: u32) {
        self.noted += 1;
        self.stand_for += u64::from(count);
        self.count(path, what, count);
        let mut name = std::mem::take(&mut self.name);
        if siblings(path, &mut name) {
            self.count(&name, what, count);
        }
        self.name = name;
    }

    fn count(&mut self, path: &str, what: PathUse, count: u32) {
        if !self.paths.contains_key(path) {
            let inherited = if self.paths.len() < PLACES { 0 } else { self.make_room() };
            self.paths.insert(path.into(), Counts { inherited, ..Counts::default() });
        }
        let counts = self.paths.get_mut(path).expect("it has a place now");
        match what {
            PathUse::Read => counts.reads += u64::from(count),
            PathUse::Written => counts.writes += u64::from(count),
        }
    }

    /// Takes out the path with the least, and gives what it had.
    fn make_room(&mut self) -> u64 {
        let least = self.paths.iter().min_by_key(|(_, counts)| counts.inherited + counts.own());
        let Some((path, counts)) = least.map(|(path, counts)| (path.clone(), *counts)) else { return 0 };
        self.paths.remove(&path);
        counts.inherited + counts.own()
    }
}

#[derive(Default)]
struct Windows {
    began_ms: u64,
    now: Window,
    before: Window,
    /// How long `before` lasted.
    before_ms: u64,
}

/// See the module. Its lock is the innermost: nobody takes another one while holding it.
pub struct BusyPaths {
    windows: Mutex<Windows>,
    one_of: AtomicU32,
    is_on: bool,
}

impl BusyPaths {
    /// Counts from now on, or never.
    #[must_use]
    pub fn new(is_on: bool, now_ms: u64) -> Self {
        let windows = Mutex::new(Windows { began_ms: now_ms, ..Windows::default() });
        Self { windows, one_of: AtomicU32::new(u32::from(is_on)), is_on }
    }

    /// Whether anything is counted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Of how many requests one is to be noted now; 0: none.
    #[must_use]
    pub fn one_of(&self) -> u32 {
        self.one_of.load(Ordering::Relaxed)
    }

    /// Notes paths: `each` is called with what takes one path, what was done, and how many requests it stands for.
    pub fn note(&self, now_ms: u64, each: impl FnOnce(&mut dyn FnMut(&str, PathUse, u32))) {
        let mut windows = self.windows_at(now_ms);
        each(&mut |path, what, count| windows.now.note(path, what, count));
        // A sudden load: what is noted until the window ends is made less, and less again.
        let noted = windows.now.noted;
        if noted > NOTED_IN_WINDOW {
            windows.now.noted = NOTED_IN_WINDOW - NOTED_IN_WINDOW / u64::from(THINNER);
            self.one_of.store(self.one_of().saturating_mul(THINNER).min(1 << 20), Ordering::Relaxed);
        }
    }

    /// The busiest paths, the busiest first.
    #[must_use]
    pub fn busiest(&self, now_ms: u64, most: usize) -> Vec<PathRate> {
        let windows = self.windows_at(now_ms);
        let lasted_ms = windows.before_ms + now_ms.saturating_sub(windows.began_ms);
        let mut sums: HashMap<&str, Counts> = HashMap::new();
        for (path, counts) in windows.before.paths.iter().chain(&windows.now.paths) {
            let sum = sums.entry(path).or_default();
            sum.reads += counts.reads;
            sum.writes += counts.writes;
        }
        // Of whom one child has most, only that child is shown.
        let mut largest: HashMap<String, u64> = HashMap::new();
        let mut name = String::new();
        for (path, counts) in sums.iter().filter(|(path, _)| !path.ends_with("/*")) {
            if siblings(path, &mut name) {
                let most = largest.entry(name.clone()).or_default();
                *most = counts.own().max(*most);
            }
        }
        let is_told = |path: &str, counts: &Counts| !path.ends_with("/*") || largest.get(path).is_none_or(|most| *most * 2 < counts.own());
        let mut sorted: Vec<(&str, Counts)> = sums.into_iter().filter(|(path, counts)| is_told(path, counts)).collect();
        sorted.sort_unstable_by_key(|(path, counts)| (Reverse(counts.own()), *path));
        let rate = |count: u64| count as f64 * 1000.0 / lasted_ms.max(1000) as f64;
        let row =
            |(path, counts): (&str, Counts)| PathRate { path: path.to_owned(), reads: rate(counts.reads), writes: rate(counts.writes) };
        sorted.into_iter().take(most).map(row).collect()
    }

    fn windows_at(&self, now_ms: u64) -> MutexGuard<'_, Windows> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let lasted_ms = now_ms.saturating_sub(windows.began_ms);
        if lasted_ms >= WINDOW_MS {
            // After a long silence nothing of it is of interest.
            let is_old = lasted_ms >= 2 * WINDOW_MS;
            let ended = std::mem::take(&mut windows.now);
            if self.is_on {
                let one_of = if is_old { 1 } else { ended.stand_for.div_ceil(NOTED_IN_WINDOW).clamp(1, 1 << 20) };
                self.one_of.store(one_of as u32, Ordering::Relaxed);
            }
            (windows.before, windows.before_ms) = if is_old { Default::default() } else { (ended, lasted_ms) };
            windows.began_ms = now_ms;
        }
        windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(paths: &BusyPaths, now_ms: u64, path: &str, count: u32) {
        paths.note(now_ms, |note| note(path, PathUse::Read, count));
    }

    #[test]
    fn the_busiest_are_found_among_many_in_bounded_memory() {
        let paths = BusyPaths::new(true, 0);
        for round in 0..5000_u64 {
            read(&paths, 1, &format!("/once/{round}"), 1);
            read(&paths, 1, "/busy", 3);
            paths.note(1, |note| note("/busy", PathUse::Written, 1));
            if round % 10 == 0 {
                read(&paths, 1, "/deep/second", 9);
            }
        }
        let busiest = paths.busiest(10_000 - 1, 3);
        let names: Vec<&str> = busiest.iter().map(|row| row.path.as_str()).collect();
        assert_eq!(names, ["/busy", "/once/*", "/deep/second"]);
        assert!((busiest[0].reads - 1500.0).abs() < 1.0 && (busiest[0].writes - 500.0).abs() < 1.0, "{busiest:?}");
        assert!(busiest[1].reads <= 500.1 && busiest[2].reads <= 450.1, "never more than they had: {busiest:?}");
        assert!(paths.busiest(10_000 - 1, 500).iter().all(|row| row.path != "/deep/*"), "one child has all of it");
        assert!(paths.windows.lock().expect("not poisoned").now.paths.len() <= PLACES);
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let paths = BusyPaths::new(true, 0);
        read(&paths, 5_000, "/early", 1);
        read(&paths, 12_000, "/late", 4);
        // 12 s of the first window, 4 of the second.
        let told = paths.busiest(16_000, 9);
        assert_eq!(told.iter().map(|row| row.path.as_str()).collect::<Vec<_>>(), ["/late", "/early"]);
        assert!((told[0].reads - 0.25).abs() < 1e-9, "{told:?}");
        assert_eq!(paths.busiest(23_000, 9).len(), 1, "the window of the early one is over");
        assert!(paths.busiest(60_000, 9).is_empty());
    }

    #[test]
    fn under_load_fewer_are_noted_and_afterwards_all_again() {
        let paths = BusyPaths::new(true, 0);
        assert_eq!(paths.one_of(), 1);
        (0..=NOTED_IN_WINDOW).for_each(|_| read(&paths, 1, "/a", 1));
        assert_eq!(paths.one_of(), THINNER);
        (0..=NOTED_IN_WINDOW / u64::from(THINNER)).for_each(|_| read(&paths, 1, "/a", THINNER));
        assert_eq!(paths.one_of(), THINNER * THINNER);
        read(&paths, 2, "/a", 20 * NOTED_IN_WINDOW as u32);
        read(&paths, 10_000, "/a", 1);
        // The first noted, each of the second kind for four, and twenty: as much as that in one window.
        assert_eq!(paths.one_of(), 23);
        read(&paths, 50_000, "/a", 1);
        assert_eq!(paths.one_of(), 1);
        let off = BusyPaths::new(false, 0);
        read(&off, 90_000, "/a", 1);
        assert_eq!((off.one_of(), off.is_on()), (0, false));
    }
}
