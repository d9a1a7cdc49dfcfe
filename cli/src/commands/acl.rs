//! Commands about who may do what: `getAcl`, `setAcl`, `addauth`, `whoami`.

use super::{Arguments, Context, walk};
use crate::failure::{CallError, Failure};
use crate::text;
use oxkeeper_driver::Acl;
use serde_json::{Value, json};

/// Reads an ACL; what is wrong with it goes to standard error and is left out.
pub(super) fn parse(context: &Context<'_>, acl: &str) -> Vec<Acl> {
    let mut complaints = Vec::new();
    let acl = text::parse_acl(acl, &mut complaints);
    complaints.iter().for_each(|complaint| context.console.error(complaint));
    acl
}

/// An ACL as JSON.
pub(super) fn value(acl: &[Acl]) -> Value {
    acl.iter().map(|entry| json!({"scheme": entry.scheme, "id": entry.id, "perms": text::permissions(entry.perms)})).collect()
}

pub(super) fn get_acl(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let path = arguments.word(1);
    let (acl, stat) = context.session.get_acl(path)?;
    let stat = arguments.given.has("s").then_some(&stat);
    let text = || {
        let mut lines: Vec<String> = acl.iter().map(text::acl_entry).collect();
        lines.extend(stat.map(|stat| context.stat_text(stat)));
        lines.join("\n")
    };
    context.say(text, || context.object(json!({"path": path, "acl": value(&acl)}), stat));
    Ok(())
}

pub(super) fn set_acl(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let path = arguments.word(1);
    let acl = parse(context, arguments.word(2));
    let version = text::version(arguments.given.value("v"))?;
    if arguments.given.has("R") {
        return walk::visit(context.session, path, false, &mut |path| {
            match context.session.set_acl(path, &acl, version) {
                Ok(_) => Ok(()),
                // zkCli goes on, and ends no line.
                Err(error @ CallError::Keeper(..)) => {
                    context.console.print(&error.text());
                    Ok(())
                }
                Err(error) => Err(error.into()),
            }
        });
    }
    let stat = context.session.set_acl(path, &acl, version)?;
    if context.console.is_json {
        context.console.value(&context.object(json!({"path": path}), Some(&stat)));
    } else if arguments.given.has("s") {
        context.console.line(&context.stat_text(&stat));
    }
    Ok(())
}

pub(super) fn add_auth(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    // Without credentials Java sends null, which servers take for none.
    context.session.add_auth(arguments.word(1), arguments.word(2).as_bytes());
    Ok(())
}

pub(super) fn who_am_i(context: &Context<'_>, _: Arguments) -> Result<(), Failure> {
    // zkCli does not look whether the call failed.
    let identities = context.session.who_am_i().unwrap_or_default();
    let text = || {
        let lines: Vec<String> = identities.iter().map(|identity| format!("\n{}: {}", identity.scheme, identity.user)).collect();
        format!("Auth scheme: User{}", lines.concat())
    };
    context.say(text, || identities.iter().map(|identity| json!({"scheme": identity.scheme, "user": identity.user})).collect());
    Ok(())
}
