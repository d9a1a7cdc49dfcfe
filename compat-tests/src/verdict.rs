//! Judges a history in two ways that know nothing of each other.
//!
//! `by_zxid` takes the zxids at their word: they say in which order everything happened, and it looks whether that order
//! agrees with real time, with every version and every value that was seen. `linearizable` looks at no zxid: it searches
//! (Wing and Gong's search with Lowe's memory of states) for any order of each register's requests that agrees with
//! real time and with what was answered.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use crate::chronicle::{Action, Event, History, Outcome};

/// How strict the judge is about reads behind a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syncs {
    /// They see everything that was acknowledged before they were sent.
    Linearizable,
    /// A leader that does not know yet that it is none may answer them: Java's promise. They are judged as plain reads.
    AsJava,
}

/// Everything that is wrong, in words; at most some dozens.
pub fn judge(history: &History, syncs: Syncs) -> Vec<String> {
    let mut wrong: Vec<String> = history.lives.iter().flat_map(|life| life.complaints.clone()).collect();
    for life in &history.lives {
        wrong.extend(life.expired.iter().map(|session| format!("client {}: session {session:#x} expired", life.client)));
    }
    wrong.extend(by_zxid(history, syncs));
    wrong.extend(linearizable(history, syncs));
    wrong.truncate(50);
    wrong
}

/// A write that took effect, by its zxid.
struct Effect<'a> {
    zxid: i64,
    version: i32,
    value: u64,
    event: &'a Event,
}

/// Whether the order of zxids explains what was seen.
pub fn by_zxid(history: &History, syncs: Syncs) -> Vec<String> {
    let mut wrong = real_time(history);
    for register in 0..history.registers {
        wrong.extend(register_by_zxid(history, register, syncs));
    }
    wrong
}

/// No two writes have one zxid, and a write that began when another had been acknowledged has a higher one.
fn real_time(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    let zxid_of = |event: &Event| match event.outcome {
        Outcome::Written { zxid, .. } | Outcome::Created { zxid } | Outcome::Refused { zxid } => Some(zxid),
        _ => None,
    };
    let mut seen = BTreeSet::new();
    let mut by_end: Vec<(Duration, i64)> = Vec::new();
    for event in &history.events {
        // A refusal is a transaction too, but Java answers some without one.
        if let Some(zxid) = zxid_of(event)
            && !matches!(event.outcome, Outcome::Refused { .. })
        {
            by_end.push((event.ended, zxid));
            if !seen.insert(zxid) {
                wrong.push(format!("zxid {zxid:#x} was given to two writes: {event:?}"));
            }
        }
    }
    by_end.sort();
    let mut highest = 0;
    let mut ended = by_end.into_iter().peekable();
    // The events are in the order in which they began.
    for event in &history.events {
        while let Some((_, zxid)) = ended.next_if(|(end, _)| *end < event.begun) {
            highest = highest.max(zxid);
        }
        if let Some(zxid) = zxid_of(event)
            && zxid < highest
        {
            wrong.push(format!("zxid {highest:#x} had been acknowledged before this began: {event:?}"));
        }
    }
    wrong
}

fn register_by_zxid(history: &History, register: u32, syncs: Syncs) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut effects = Vec::new();
    // Written and not acknowledged: each may have taken effect once.
    let mut unknown = BTreeSet::new();
    for event in &history.events {
        match (&event.action, &event.outcome) {
            (Action::Write { register: at, value, version }, outcome) if *at == register => match outcome {
                Outcome::Written { zxid, version: written } => {
                    if version.is_some_and(|version| version + 1 != *written) {
                        wrong.push(format!("a write with a version made another one: {event:?}"));
                    }
                    effects.push(Effect { zxid: *zxid, version: *written, value: *value, event });
                }
                Outcome::Unknown => {
                    unknown.insert(*value);
                }
                _ => {}
            },
            _ => {}
        }
    }
    effects.sort_by_key(|effect| effect.zxid);
    // Versions count the writes: those in between are writes that were not acknowledged.
    let (mut version, mut unexplained) = (0, unknown.len() as i32);
    for effect in &effects {
        let between = effect.version - version - 1;
        unexplained -= between;
        if between < 0 || unexplained < 0 {
            wrong.push(format!("register {register}: version {version} before this: {:?}", effect.event));
        }
        version = effect.version;
    }
    // What was seen: a value, its zxid and its version always together.
    let mut values: BTreeMap<i64, (u64, i32)> = effects.iter().map(|effect| (effect.zxid, (effect.value, effect.version))).collect();
    let mut last_of_client: BTreeMap<usize, i64> = BTreeMap::new();
    // What had been shown to anyone, by the time at which it was shown.
    let mut shown: Vec<(Duration, i64)> = effects.iter().map(|effect| (effect.event.ended, effect.zxid)).collect();
    let mut reads = Vec::new();
    for event in &history.events {
        match (&event.action, &event.outcome) {
            (Action::Read { register: at, is_synced }, Outcome::Seen { value, mzxid, version }) if *at == register => {
                if *value == 0 {
                    if *version != 0 {
                        wrong.push(format!("the first value with another version: {event:?}"));
                    }
                } else {
                    let known = values.entry(*mzxid).or_insert_with(|| {
                        if !unknown.contains(value) {
                            wrong.push(format!("nobody wrote this with that zxid: {event:?}"));
                        }
                        (*value, *version)
                    });
                    if *known != (*value, *version) {
                        wrong.push(format!("value and version of {mzxid:#x} were {known:?}: {event:?}"));
                    }
                }
                let mzxid = if *value == 0 { 0 } else { *mzxid };
                let last = last_of_client.entry(event.client).or_insert(0);
                if mzxid < *last {
                    wrong.push(format!("client {} had seen or written {last:#x}: {event:?}", event.client));
                }
                *last = mzxid.max(*last);
                shown.push((event.ended, mzxid));
                if *is_synced && syncs == Syncs::Linearizable {
                    reads.push((event, mzxid));
                }
            }
            (Action::Write { register: at, .. }, Outcome::Written { zxid, .. }) if *at == register => {
                last_of_client.insert(event.client, *zxid);
            }
            _ => {}
        }
    }
    shown.sort();
    let mut shown = shown.into_iter().peekable();
    let mut highest = 0;
    for (event, mzxid) in reads {
        while let Some((_, zxid)) = shown.next_if(|(at, _)| *at < event.begun) {
            highest = highest.max(zxid);
        }
        if mzxid < highest {
            wrong.push(format!("{highest:#x} had been seen before this read with a sync began: {event:?}"));
        }
    }
    // A value that has two zxids was written twice.
    let mut zxids: BTreeMap<u64, i64> = BTreeMap::new();
    for (zxid, (value, _)) in values {
        if let Some(other) = zxids.insert(value, zxid) {
            wrong.push(format!("register {register}: value {value} was written with {other:#x} and again with {zxid:#x}"));
        }
    }
    wrong
}

/// A request on one register, for the search.
#[derive(Clone, Copy, Debug)]
struct Step {
    begun: Duration,
    /// `Duration::MAX`: never answered.
    ended: Duration,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The version that it was acknowledged with, if it was, and the one it asked for, if it did.
    Write {
        value: u64,
        acknowledged: Option<i32>,
        expected: Option<i32>,
    },
    Refused {
        expected: i32,
    },
    Read {
        value: u64,
        version: i32,
    },
}

/// A register: its value and version.
type State = (u64, i32);

fn apply(state: State, kind: Kind) -> Option<State> {
    match kind {
        Kind::Write { value, acknowledged, expected } => {
            let next = (value, state.1 + 1);
            let is_allowed = expected.is_none_or(|expected| expected == state.1) && acknowledged.is_none_or(|version| version == next.1);
            is_allowed.then_some(next)
        }
        Kind::Refused { expected } => (expected != state.1).then_some(state),
        Kind::Read { value, version } => (state == (value, version)).then_some(state),
    }
}

/// Whether there is an order of each register's requests that explains all answers.
pub fn linearizable(history: &History, syncs: Syncs) -> Vec<String> {
    let mut wrong = Vec::new();
    for register in 0..history.registers {
        let steps: Vec<Step> = history.events.iter().filter_map(|event| step_of(event, register, syncs)).collect();
        if let Err(stuck) = search(&steps) {
            wrong.push(format!("register {register} is not linearizable: no order of {} requests goes further than {stuck}", steps.len()));
        }
    }
    wrong
}

fn step_of(event: &Event, register: u32, syncs: Syncs) -> Option<Step> {
    let answered = |kind| Some(Step { begun: event.begun, ended: event.ended, kind });
    match (&event.action, &event.outcome) {
        (Action::Write { register: at, value, version: expected }, outcome) if *at == register => match outcome {
            Outcome::Written { version, .. } => answered(Kind::Write { value: *value, acknowledged: Some(*version), expected: *expected }),
            Outcome::Refused { .. } => answered(Kind::Refused { expected: (*expected)? }),
            Outcome::Unknown => {
                let kind = Kind::Write { value: *value, acknowledged: None, expected: *expected };
                Some(Step { begun: event.begun, ended: Duration::MAX, kind })
            }
            _ => None,
        },
        (Action::Read { register: at, is_synced: true }, Outcome::Seen { value, version, .. })
            if *at == register && syncs == Syncs::Linearizable =>
        {
            answered(Kind::Read { value: *value, version: *version })
        }
        _ => None,
    }
}

/// How far the search has come: what is taken, and what that made of the register.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Position {
    /// All answered requests before this one are taken.
    low: usize,
    /// Answered requests behind `low` that are taken too, ascending: few, since only those that overlap can be.
    ahead: Vec<usize>,
    /// Unanswered requests that are taken, ascending. The others may never have happened.
    unanswered: Vec<usize>,
    state: State,
}

/// Depth first: takes any request that began before every untaken one had been answered, and goes back where none
/// fits. Positions that have led nowhere are remembered.
fn search(steps: &[Step]) -> Result<(), String> {
    let (mut unanswered, mut answered): (Vec<Step>, Vec<Step>) = steps.iter().partition(|step| step.ended == Duration::MAX);
    answered.sort_by_key(|step| step.begun);
    unanswered.sort_by_key(|step| step.begun);
    // A write that somebody saw has the version that was seen with it.
    for step in &mut unanswered {
        if let Kind::Write { value, acknowledged, .. } = &mut step.kind {
            *acknowledged = answered.iter().find_map(|other| match other.kind {
                Kind::Read { value: seen, version } if seen == *value => Some(version),
                _ => None,
            });
        }
    }
    let mut position = Position { low: 0, ahead: Vec::new(), unanswered: Vec::new(), state: (0, 0) };
    let mut tried: HashSet<Position> = HashSet::new();
    // Where to go back to, and the first candidate to try there then.
    let mut way: Vec<(Position, usize)> = Vec::new();
    let mut from = 0;
    let mut furthest = (0, String::from("the beginning"));
    while position.low < answered.len() {
        match next_position(&answered, &unanswered, &position, from, &mut tried) {
            Some((candidate, next)) => {
                way.push((std::mem::replace(&mut position, next), candidate + 1));
                from = 0;
                if position.low > furthest.0 {
                    furthest = (position.low, format!("{:?}, state {:?}", answered[position.low - 1], position.state));
                }
            }
            None => (position, from) = way.pop().ok_or(furthest.1.clone())?,
        }
    }
    Ok(())
}

/// The first candidate from `from` on that leads somewhere new. Candidates are numbered: answered requests, then the
/// others.
fn next_position(
    answered: &[Step],
    unanswered: &[Step],
    position: &Position,
    from: usize,
    tried: &mut HashSet<Position>,
) -> Option<(usize, Position)> {
    // Whatever began later than this must come later than the request that ends here.
    let mut horizon = Duration::MAX;
    let mut candidates = Vec::new();
    for (at, step) in answered.iter().enumerate().skip(position.low) {
        if step.begun > horizon {
            break;
        }
        if position.ahead.binary_search(&at).is_err() {
            horizon = horizon.min(step.ended);
            candidates.push(at);
        }
    }
    candidates.retain(|at| answered[*at].begun <= horizon);
    let others = unanswered.iter().enumerate().take_while(|(_, step)| step.begun <= horizon);
    let others = others.filter(|(at, _)| position.unanswered.binary_search(at).is_err());
    candidates.extend(others.map(|(at, _)| answered.len() + at));
    for candidate in candidates.into_iter().filter(|candidate| *candidate >= from) {
        let is_answered = candidate < answered.len();
        let kind = if is_answered { answered[candidate].kind } else { unanswered[candidate - answered.len()].kind };
        let Some(state) = apply(position.state, kind) else { continue };
        let mut next = Position { state, ..position.clone() };
        let (set, member) = if is_answered { (&mut next.ahead, candidate) } else { (&mut next.unanswered, candidate - answered.len()) };
        let place = set.binary_search(&member).unwrap_err();
        set.insert(place, member);
        while next.ahead.first() == Some(&next.low) {
            next.ahead.remove(0);
            next.low += 1;
        }
        if tried.insert(next.clone()) {
            return Some((candidate, next));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Syncs, by_zxid, linearizable};
    use crate::chronicle::{Action, Event, History, Outcome};

    fn event(client: usize, begun: u64, ended: u64, action: Action, outcome: Outcome) -> Event {
        Event { client, begun: Duration::from_millis(begun), ended: Duration::from_millis(ended), action, outcome }
    }

    fn write(client: usize, begun: u64, ended: u64, value: u64, zxid: i64, version: i32) -> Event {
        event(client, begun, ended, Action::Write { register: 0, value, version: None }, Outcome::Written { zxid, version })
    }

    fn lost(client: usize, begun: u64, ended: u64, value: u64) -> Event {
        event(client, begun, ended, Action::Write { register: 0, value, version: None }, Outcome::Unknown)
    }

    fn read(client: usize, begun: u64, ended: u64, value: u64, mzxid: i64, version: i32) -> Event {
        event(client, begun, ended, Action::Read { register: 0, is_synced: true }, Outcome::Seen { value, mzxid, version })
    }

    /// Whether each of the two judges is content.
    fn verdicts(events: Vec<Event>) -> (bool, bool) {
        let mut history = History { events, lives: Vec::new(), registers: 1 };
        history.events.sort_by_key(|event| event.begun);
        (by_zxid(&history, Syncs::Linearizable).is_empty(), linearizable(&history, Syncs::Linearizable).is_empty())
    }

    #[test]
    fn what_is_right_is_found_right() {
        assert_eq!(verdicts(vec![]), (true, true));
        let overlapping = vec![write(0, 0, 10, 1, 5, 2), write(1, 0, 10, 2, 4, 1), read(2, 5, 12, 2, 4, 1), read(2, 13, 14, 1, 5, 2)];
        assert_eq!(verdicts(overlapping), (true, true));
        // One that got no answer took effect long after, another never.
        let unknown = vec![lost(0, 0, 3, 1), lost(1, 0, 3, 2), write(2, 5, 6, 3, 4, 1), read(2, 7, 8, 1, 9, 2), write(2, 9, 10, 4, 11, 3)];
        assert_eq!(verdicts(unknown), (true, true));
        // It took effect and nobody saw it: the version tells.
        assert_eq!(verdicts(vec![lost(0, 0, 3, 1), write(2, 5, 6, 3, 4, 2)]), (true, true));
        let refused = event(1, 3, 4, Action::Write { register: 0, value: 9, version: Some(7) }, Outcome::Refused { zxid: 6 });
        assert_eq!(verdicts(vec![write(0, 0, 1, 1, 5, 1), refused]), (true, true));
    }

    #[test]
    fn what_is_wrong_is_found_by_both() {
        // A lost write: acknowledged, and the next one has its version.
        assert_eq!(verdicts(vec![write(0, 0, 1, 1, 5, 1), write(0, 2, 3, 2, 6, 1)]), (false, false));
        // A read behind a sync that does not see it.
        assert_eq!(verdicts(vec![write(0, 0, 1, 1, 5, 1), read(1, 2, 3, 0, 0, 0)]), (false, false));
        // One that goes back.
        let back = vec![write(0, 0, 9, 1, 5, 1), write(2, 0, 9, 2, 6, 2), read(1, 2, 3, 2, 6, 2), read(1, 4, 5, 1, 5, 1)];
        assert_eq!(verdicts(back), (false, false));
        // A value from nowhere.
        assert_eq!(verdicts(vec![write(0, 0, 1, 1, 5, 1), read(1, 2, 3, 7, 6, 2)]), (false, false));
        // Done twice.
        assert_eq!(verdicts(vec![write(0, 0, 1, 1, 5, 1), write(0, 2, 3, 2, 6, 3)]), (false, false));
    }

    #[test]
    fn only_zxids_tell_some_things() {
        // Real time and zxids disagree, on one register and between two.
        assert!(!verdicts(vec![write(0, 0, 1, 1, 5, 1), write(0, 2, 3, 2, 4, 2)]).0);
        let elsewhere = event(1, 2, 3, Action::Create { number: 1 }, Outcome::Created { zxid: 4 });
        assert!(!verdicts(vec![write(0, 0, 1, 1, 5, 1), elsewhere]).0);
        let same = event(1, 0, 3, Action::Create { number: 1 }, Outcome::Created { zxid: 5 });
        assert!(!verdicts(vec![write(0, 0, 1, 1, 5, 1), same]).0);
    }

    #[test]
    fn a_long_history_with_many_lost_writes_is_judged_quickly() {
        let mut events = Vec::new();
        let mut version = 0;
        for at in 0..3000u64 {
            if at % 50 == 0 {
                events.push(lost((at % 5) as usize, at * 10, at * 10 + 5, 100_000 + at));
                // Every other one takes effect.
                version += i32::from(at % 100 == 0);
            }
            version += 1;
            events.push(write(1, at * 10 + 6, at * 10 + 9, at + 1, 2 * i64::from(version), version));
        }
        assert_eq!(verdicts(events), (true, true));
    }
}
