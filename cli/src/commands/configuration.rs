//! Commands about the ensemble: `config`, `reconfig`.

use super::{Arguments, Context};
use crate::failure::{Failure, system_text};
use crate::{membership, text};
use serde_json::json;
use std::fs;

pub(super) fn config(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let (data, stat) = context.session.get_config(arguments.given.has("w"))?;
    let stat = arguments.given.has("s").then_some(&stat);
    let data = text::data(data.as_deref().unwrap_or(b"null"));
    let shown = if arguments.given.has("c") { membership::client_addresses(&data) } else { data.into_owned() };
    let text = || match stat {
        Some(stat) => format!("{shown}\n{}", context.stat_text(stat)),
        None => shown.clone(),
    };
    context.say(text, || context.object(json!({"config": shown}), stat));
    Ok(())
}

pub(super) fn reconfig(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let given = &arguments.given;
    let (is_whole, is_incremental) = (given.has("file") || given.has("members"), given.has("add") || given.has("remove"));
    if !is_whole && !is_incremental {
        return Err(arguments.usage());
    }
    let from_config: i64 = given
        .value("v")
        .map_or(Ok(-1), |version| text::java_number(version, 16))
        .map_err(|_| Failure::refused("-v must be followed by a long (configuration version)"))?;
    if is_whole && is_incremental {
        return Err(Failure::refused(
            "Can't use -file or -members together with -add or -remove (mixing incremental and non-incremental modes is not allowed)",
        ));
    }
    if given.has("file") && given.has("members") {
        return Err(Failure::refused("Can't use -file and -members together (conflicting non-incremental modes)"));
    }
    let lower = |name| given.value(name).map(str::to_lowercase);
    let members = match given.value("file") {
        Some(file) => Some(read_members(file)?),
        None => lower("members"),
    };
    let (data, stat) = context.session.reconfig(lower("add").as_deref(), lower("remove").as_deref(), members.as_deref(), from_config)?;
    let configuration = text::data(data.as_deref().unwrap_or_default());
    let stat = given.has("s").then_some(&stat);
    let text = || {
        let shown = format!("Committed new configuration:\n{configuration}");
        stat.map_or_else(|| shown.clone(), |stat| format!("{shown}\n{}", context.stat_text(stat)))
    };
    context.say(text, || context.object(json!({"config": configuration}), stat));
    Ok(())
}

fn read_members(file: &str) -> Result<String, Failure> {
    let complain = |message: &str| Failure::refused(format!("Error processing {file}{message}"));
    let bytes = fs::read(file).map_err(|error| complain(&format!("{file} ({})", system_text(&error))))?;
    membership::from_file(&bytes).map_err(|message| complain(&message))
}
