//! Commands that look: `ls`, `get`, `stat`, numbers of children, ephemerals, `sync`, `version`.

use super::{Arguments, Context, walk};
use crate::failure::{CallError, Failure};
use crate::session::sort;
use crate::text;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oxkeeper_proto::ErrorCode;
use serde_json::{Value, json};

pub(super) fn ls(context: &Context<'_>, mut arguments: Arguments) -> Result<(), Failure> {
    if arguments.given.has("?") {
        context.console.print(&format!("usage: ls [options] path\n{}", arguments.command.options.help()));
    }
    arguments.retain_old_watch_form(context, "ls [-w] path")?;
    if arguments.given.words.len() < 2 {
        return Err(arguments.usage());
    }
    let (path, watch) = (arguments.word(1), arguments.given.has("w"));
    if arguments.given.has("R") {
        return walk::visit(context.session, path, watch, &mut |path| {
            context.say(|| path.to_owned(), || json!({"path": path}));
            Ok(())
        });
    }
    let (mut children, stat) = context.session.children(path, watch)?;
    sort(&mut children);
    let stat = arguments.given.has("s").then_some(&stat);
    let text = || {
        let mut text = text::list(&children);
        if let Some(stat) = stat {
            text += "\n";
            text += &context.stat_text(stat);
        }
        text
    };
    context.say(text, || context.object(json!({"path": path, "children": children}), stat));
    Ok(())
}

pub(super) fn get(context: &Context<'_>, mut arguments: Arguments) -> Result<(), Failure> {
    arguments.retain_old_watch_form(context, "get [-s] [-w] path")?;
    let path = arguments.word(1);
    let (data, stat) = context.session.get(path, arguments.given.has("w"))?;
    let stat = arguments.given.has("s").then_some(&stat);
    let text = || {
        // Nothing is shown as the word, encoded or not.
        let bytes = data.as_deref().unwrap_or(b"null");
        let mut text = if arguments.given.has("x") {
            text::hex_dump(bytes)
        } else if arguments.given.has("b") {
            STANDARD.encode(bytes)
        } else {
            text::data(bytes).into_owned()
        };
        if let Some(stat) = stat {
            text += "\n";
            text += &context.stat_text(stat);
        }
        text
    };
    let (key, value) = data_member(data.as_deref(), arguments.given.has("b"));
    context.say(text, || context.object(json!({"path": path, key: value}), stat));
    Ok(())
}

/// Data as a member of a JSON object: as text where it is text, else in base64.
pub(super) fn data_member(data: Option<&[u8]>, is_base64: bool) -> (&'static str, Value) {
    match data.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => ("data", Value::Null),
        Some((_, Ok(text))) if !is_base64 => ("data", text.into()),
        Some((bytes, _)) => ("dataBase64", STANDARD.encode(bytes).into()),
    }
}

pub(super) fn stat(context: &Context<'_>, mut arguments: Arguments) -> Result<(), Failure> {
    arguments.retain_old_watch_form(context, "stat [-w] path")?;
    let path = arguments.word(1);
    let found = context.session.exists(path, arguments.given.has("w"))?;
    let stat = found.ok_or_else(|| CallError::Keeper(ErrorCode::NO_NODE, Some(path.to_owned())))?;
    context.say(|| context.stat_text(&stat), || context.object(json!({"path": path}), Some(&stat)));
    Ok(())
}

pub(super) fn all_children_number(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let path = arguments.word(1);
    let number = context.session.all_children_number(path)?;
    context.say(|| number.to_string(), || json!({"path": path, "number": number}));
    Ok(())
}

pub(super) fn ephemerals(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let prefix = if arguments.given.words.len() < 2 { "/" } else { arguments.word(1) };
    let paths = context.session.ephemerals(prefix)?;
    context.say(|| text::list(&paths), || json!({"prefix": prefix, "ephemerals": paths}));
    Ok(())
}

pub(super) fn sync(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let path = arguments.word(1);
    let code = context.session.sync(path)?;
    let text = || if code == ErrorCode::OK { "Sync is OK".to_owned() } else { format!("Sync has failed. rc={}", code.0) };
    context.say(text, || json!({"path": path, "rc": code.0}));
    Ok(())
}

pub(super) fn version(context: &Context<'_>, _: Arguments) -> Result<(), Failure> {
    context.say(|| format!("ZooKeeper CLI version: {}", context.version), || json!({"version": context.version}));
    Ok(())
}
