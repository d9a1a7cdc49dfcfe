//! Quotas: `setquota`, `listquota`, `delquota`. A quota is two znodes below `/zookeeper/quota`, one with the limits and
//! one with what the servers count; clients write both.

use super::{Arguments, Context, walk};
use crate::failure::{CallError, Failure};
use crate::{path, text};
use oxkeeper_driver::Acl;
use oxkeeper_driver::client::CreateMode;
use oxkeeper_proto::ErrorCode;
use oxkeeper_proto::path::{QUOTA, SYSTEM};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const LIMITS: &str = "zookeeper_limits";
const STATISTICS: &str = "zookeeper_stats";

const COUNT: &str = "count";
const BYTES: &str = "bytes";
const HARD_COUNT: &str = "countHardLimit";
const HARD_BYTES: &str = "byteHardLimit";

/// The options and what each limits.
const OPTIONS: [(&str, &str); 4] = [("n", COUNT), ("b", BYTES), ("N", HARD_COUNT), ("B", HARD_BYTES)];

/// Limits or counts: the text of a quota znode. What is not there is -1: no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Numbers(BTreeMap<String, i64>);

impl Numbers {
    fn parse(data: &[u8]) -> Result<Self, Failure> {
        let text = text::data(data);
        let mut numbers = BTreeMap::new();
        for pair in text.split([',', ';']).filter(|pair| !pair.is_empty()) {
            let mut parts = pair.split('=');
            let (key, number) = (parts.next().unwrap_or_default(), parts.next().filter(|number| !number.is_empty()));
            let Some(number) = number else {
                return Err(Failure::uncaught("ArrayIndexOutOfBoundsException", "Index 1 out of bounds for length 1"));
            };
            numbers.insert(key.to_owned(), text::java_number(number, 10).map_err(Failure::refused)?);
        }
        Ok(Self(numbers))
    }

    fn of<const N: usize>(numbers: [(&str, i64); N]) -> Self {
        Self(numbers.into_iter().map(|(key, number)| (key.to_owned(), number)).collect())
    }

    fn get(&self, key: &str) -> i64 {
        self.0.get(key).copied().unwrap_or(-1)
    }

    fn set(&mut self, key: &str, number: i64) {
        self.0.insert(key.to_owned(), number);
    }

    /// As servers and clients of all versions read it: `count` and `bytes` first, then a `=` that makes old ones stop.
    fn text(&self) -> String {
        let rest: Vec<String> =
            self.0.iter().filter(|(key, _)| ![COUNT, BYTES].contains(&key.as_str())).map(|(key, n)| format!(";{key}={n}")).collect();
        let stop = if rest.is_empty() { "" } else { "=" };
        format!("{COUNT}={},{BYTES}={}{stop}{}", self.get(COUNT), self.get(BYTES), rest.concat())
    }

    fn value(&self) -> Value {
        Value::Object(self.0.iter().map(|(key, number)| (key.clone(), (*number).into())).collect::<Map<_, _>>())
    }
}

fn quota_path(path: &str) -> String {
    format!("{QUOTA}{path}")
}

pub(super) fn set_quota(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let path = arguments.word(1);
    let complain = |complaint: &str| {
        context.console.error(complaint);
        Ok(())
    };
    if path.starts_with(QUOTA) {
        return complain("cannot set a quota under the path: /zookeeper/quota");
    }
    let mut limits = Numbers::of(OPTIONS.map(|(_, key)| (key, -1)));
    for (option, key) in OPTIONS {
        let Some(given) = arguments.given.value(option) else { continue };
        let is_count = option.eq_ignore_ascii_case("n");
        let parsed = if is_count { text::java_number::<i32>(given, 10).map(i64::from) } else { text::java_number::<i64>(given, 10) };
        match parsed {
            Err(_) => return complain("NumberFormatException happens when parsing the option value"),
            Ok(number) if is_count && number <= 0 => return complain("the num quota must be greater than zero"),
            Ok(number) if number < 0 => return complain("the bytes quota must be greater than or equal to zero"),
            Ok(number) => limits.set(key, number),
        }
    }
    put_quota(context, path, &limits)
}

fn put_quota(context: &Context<'_>, path: &str, wanted: &Numbers) -> Result<(), Failure> {
    let session = context.session;
    if session.exists(path, false)?.is_none() {
        return Err(Failure::refused(format!("{path} does not exist.")));
    }
    refuse_quota_below(context, path)?;
    refuse_quota_above(context, path)?;
    let create_if_missing = |path: &str| match session.create(path, None, &Acl::open(), CreateMode::PERSISTENT, -1) {
        Err(error) if !error.is(ErrorCode::NODE_EXISTS) => Err(error),
        _ => Ok(()),
    };
    if session.exists(QUOTA, false)?.is_none() {
        create_if_missing(SYSTEM)?;
        create_if_missing(QUOTA)?;
    }
    let mut at = QUOTA.to_owned();
    for name in text::java_split(path, '/').into_iter().skip(1) {
        at = format!("{at}/{name}");
        if session.exists(&at, false)?.is_none() {
            create_if_missing(&at)?;
        }
    }
    let (limits_path, statistics_path) = (format!("{at}/{LIMITS}"), format!("{at}/{STATISTICS}"));
    let read = |path: &str| session.get(path, false).map_err(Failure::from).and_then(|(data, _)| Numbers::parse(&data.unwrap_or_default()));
    if session.exists(&limits_path, false)?.is_none() {
        let create =
            |path: &str, numbers: &Numbers| session.create(path, Some(numbers.text().as_bytes()), &Acl::open(), CreateMode::PERSISTENT, -1);
        create(&limits_path, wanted)?;
        create(&statistics_path, &Numbers::of([(COUNT, 0), (BYTES, 0)]))?;
        warn(context, &read(&limits_path)?, &read(&statistics_path)?);
    } else {
        let mut limits = read(&limits_path)?;
        for (_, key) in OPTIONS {
            if wanted.get(key) > -1 {
                limits.set(key, wanted.get(key));
            }
        }
        warn(context, &limits, &read(&statistics_path)?);
        session.set(&limits_path, limits.text().as_bytes(), -1)?;
    }
    if context.console.is_json {
        context.console.value(&json!({"path": path, "quota": read(&limits_path)?.value()}));
    }
    Ok(())
}

/// Says when there is more than a limit allows already.
fn warn(context: &Context<'_>, limits: &Numbers, counted: &Numbers) {
    for (soft, hard, name, counted) in [(COUNT, HARD_COUNT, "count", counted.get(COUNT)), (BYTES, HARD_BYTES, "bytes", counted.get(BYTES))]
    {
        if [soft, hard].iter().any(|key| limits.get(key) > -1 && limits.get(key) < counted) {
            let text = format!("[Warning]: the {name} quota you create is less than the existing {name}:{counted}");
            if context.console.is_json { context.console.error(&text) } else { context.console.line(&text) }
        }
    }
}

fn refuse_quota_below(context: &Context<'_>, path: &str) -> Result<(), Failure> {
    let own = quota_path(path);
    path::validate(&own, false).map_err(CallError::Path)?;
    if context.session.exists(&own, false)?.is_none() {
        return Ok(());
    }
    walk::visit(context.session, &own, false, &mut |quota| match context.session.children(quota, false) {
        Ok((children, _)) if quota != own && children.iter().any(|child| child == LIMITS) => {
            Err(Failure::refused(format!("{path} has a child {} which has a quota", quota.strip_prefix(QUOTA).unwrap_or(quota))))
        }
        Err(error) if !error.is(ErrorCode::NO_NODE) => Err(error.into()),
        _ => Ok(()),
    })
}

fn refuse_quota_above(context: &Context<'_>, path: &str) -> Result<(), Failure> {
    let names = text::java_split(path, '/');
    let mut above = String::new();
    for name in names.iter().take(names.len().saturating_sub(1)).skip(1) {
        above = format!("{above}/{name}");
        match context.session.children(&quota_path(&above), false) {
            Err(error) if error.is(ErrorCode::NO_NODE) => return Ok(()),
            Err(error) => return Err(error.into()),
            Ok((children, _)) if children.is_empty() => return Ok(()),
            Ok((children, _)) if above != path && children.iter().any(|child| child == LIMITS) => {
                return Err(Failure::refused(format!("{path} has a parent {above} which has a quota")));
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

pub(super) fn list_quota(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let path = arguments.word(1);
    let limits_path = format!("{}/{LIMITS}", quota_path(path));
    context.console.error(&format!("absolute path is {limits_path}"));
    let read = |path: &str| match context.session.get(path, false) {
        Ok((data, _)) => Numbers::parse(&data.unwrap_or_default()).map(Some),
        Err(error) if error.is(ErrorCode::NO_NODE) => Ok(None),
        Err(error) => Err(error.into()),
    };
    let both = match read(&limits_path)? {
        Some(limits) => read(&format!("{}/{STATISTICS}", quota_path(path)))?.map(|counted| (limits, counted)),
        None => None,
    };
    let Some((limits, counted)) = both else {
        context.console.error(&format!("quota for {path} does not exist."));
        return Ok(());
    };
    context.say(
        || format!("Output quota for {path} {}\nOutput stat for {path} {}", limits.text(), counted.text()),
        || json!({"path": path, "quota": limits.value(), "stat": counted.value()}),
    );
    Ok(())
}

pub(super) fn delete_quota(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let path = arguments.word(1);
    match remove_quota(context, path, &arguments) {
        Err(Failure::Refused { error: Some((ErrorCode::NO_NODE, _)), .. }) => {
            context.console.error(&format!("quota for {path} does not exist."));
            Ok(())
        }
        other => other,
    }
}

fn remove_quota(context: &Context<'_>, path: &str, arguments: &Arguments) -> Result<(), Failure> {
    let session = context.session;
    let own = quota_path(path);
    let limits_path = format!("{own}/{LIMITS}");
    if session.exists(&limits_path, false)?.is_none() {
        context.console.line(&format!("Quota does not exist for {path}"));
        return Ok(());
    }
    let (data, _) = session.get(&limits_path, false)?;
    let mut limits = Numbers::parse(&data.unwrap_or_default())?;
    let chosen: Vec<&str> = OPTIONS.iter().filter(|(option, _)| arguments.given.has(option)).map(|(_, key)| *key).collect();
    if !chosen.is_empty() {
        chosen.iter().for_each(|key| limits.set(key, -1));
        session.set(&limits_path, limits.text().as_bytes(), -1)?;
        return Ok(());
    }
    for child in session.children(&own, false)?.0 {
        session.delete(&format!("{own}/{child}"), -1)?;
    }
    // Parents that nothing needs any more.
    let mut at = own.as_str();
    while at != QUOTA && session.children(at, false)?.0.is_empty() {
        session.delete(at, -1)?;
        at = at.rsplit_once('/').map_or(QUOTA, |(parent, _)| parent);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_texts_are_javas() {
        for (text, again) in [
            ("count=3,bytes=-1", "count=3,bytes=-1"),
            ("count=3,bytes=9=;countHardLimit=4;byteHardLimit=5", "count=3,bytes=9=;byteHardLimit=5;countHardLimit=4"),
            ("bytes=9", "count=-1,bytes=9"),
            ("", "count=-1,bytes=-1"),
        ] {
            assert_eq!(Numbers::parse(text.as_bytes()).map(|numbers| numbers.text()), Ok(again.to_owned()));
        }
        assert_eq!(Numbers::parse(b"count=x"), Err(Failure::refused("For input string: \"x\"")));
        assert!(matches!(Numbers::parse(b"count"), Err(Failure::Uncaught(_))));
    }
}
