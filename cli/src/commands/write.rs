//! Commands that change znodes: `create`, `set`, `delete`, `deleteall`; and `close`.

use super::{Arguments, Context, walk};
use crate::failure::{CallError, Failure};
use crate::{path, text};
use base64::Engine;
use oxkeeper_driver::client::reply::{self, MultiResult};
use oxkeeper_driver::client::{CreateMode, MultiOp, Operation, wire_text};
use oxkeeper_driver::{Acl, Pending};
use oxkeeper_proto::ErrorCode;
use serde_json::json;
use std::collections::VecDeque;

/// The longest time to live: 40 bits of milliseconds.
const LONGEST_TTL_MS: i64 = 0xff_ffff_ffff;

pub(super) fn create(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let given = &arguments.given;
    let (is_ephemeral, is_sequential, is_container) = (given.has("e"), given.has("s"), given.has("c"));
    if is_container && (is_ephemeral || is_sequential) {
        return Err(Failure::refused("-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential."));
    }
    let ttl_ms: Option<i64> = given
        .value("t")
        .map(|ttl| text::java_number(ttl, 10))
        .transpose()
        .map_err(|_| Failure::refused("-t argument must be a long value"))?;
    if ttl_ms.is_some() && is_ephemeral {
        return Err(Failure::refused("TTLs cannot be used with Ephemeral znodes"));
    }
    if ttl_ms.is_some() && is_container {
        return Err(Failure::refused("TTLs cannot be used with Container znodes"));
    }
    if ttl_ms.is_some_and(|ttl_ms| !(1..=LONGEST_TTL_MS).contains(&ttl_ms)) {
        return Err(Failure::refused(format!("ttl must be positive and cannot be larger than: {LONGEST_TTL_MS}")));
    }
    let mode = match (is_ephemeral, is_sequential, is_container, ttl_ms.is_some()) {
        (true, true, _, _) => CreateMode::EPHEMERAL_SEQUENTIAL,
        (true, false, _, _) => CreateMode::EPHEMERAL,
        (false, true, _, true) => CreateMode::PERSISTENT_SEQUENTIAL_WITH_TTL,
        (false, true, _, false) => CreateMode::PERSISTENT_SEQUENTIAL,
        (false, false, true, _) => CreateMode::CONTAINER,
        (false, false, false, true) => CreateMode::PERSISTENT_WITH_TTL,
        (false, false, false, false) => CreateMode::PERSISTENT,
    };
    let data = given.words.get(2).map(String::as_bytes);
    let acl = match given.words.get(3) {
        Some(acl) => super::acl::parse(context, acl),
        None => Acl::open(),
    };
    let created = context.session.create(arguments.word(1), data, &acl, mode, ttl_ms.unwrap_or(-1)).inspect_err(|error| {
        if error.is(ErrorCode::EPHEMERAL_ON_LOCAL_SESSION) {
            context.console.error("Unable to create ephemeral node on a local session");
        } else if error.is(ErrorCode::INVALID_ACL) {
            context.console.error(&error.text());
        }
    })?;
    if context.console.is_json {
        context.console.value(&json!({"created": created}));
    } else {
        context.console.error(&format!("Created {created}"));
    }
    Ok(())
}

pub(super) fn set(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let (path, data) = (arguments.word(1), arguments.word(2));
    let data = if arguments.given.has("b") { decode_base64(data)? } else { data.as_bytes().to_vec() };
    let version = text::version(arguments.given.value("v"))?;
    let stat = context.session.set(path, &data, version)?;
    if context.console.is_json {
        context.console.value(&context.object(json!({"path": path}), Some(&stat)));
    } else if arguments.given.has("s") {
        context.console.line(&context.stat_text(&stat));
    }
    Ok(())
}

fn decode_base64(text: &str) -> Result<Vec<u8>, Failure> {
    // Java's decoder does not ask for the padding.
    const LENIENT: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    LENIENT.decode(text).map_err(|error| {
        let message = match error {
            base64::DecodeError::InvalidByte(_, byte) if byte != b'=' => format!("Illegal base64 character {byte:x}"),
            base64::DecodeError::InvalidByte(..) | base64::DecodeError::InvalidPadding => {
                "Input byte array has wrong 4-byte ending unit".to_owned()
            }
            _ => "Last unit does not have enough valid bits".to_owned(),
        };
        Failure::uncaught("IllegalArgumentException", &message)
    })
}

pub(super) fn delete(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    if arguments.given.words.len() > 2 {
        let advice = "'delete path [version]' has been deprecated. Please use 'delete [-v version] path' instead.";
        context.console.error(advice);
    }
    let version = text::version(arguments.given.value("v"))?;
    let path = arguments.word(1);
    context.session.delete(path, version)?;
    if context.console.is_json {
        context.console.value(&json!({"deleted": path}));
    }
    Ok(())
}

/// Batches on their way at once.
const BATCHES: usize = 10;

pub(super) fn delete_all(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let batch_size: i32 = arguments
        .given
        .value("b")
        .map_or(Ok(1000), |size| text::java_number(size, 10).map_err(|_| Failure::refused("-b argument must be an int value")))?;
    let root = arguments.word(1);
    path::validate(root, false).map_err(CallError::Path)?;
    let mut paths = walk::breadth_first(context.session, root)?;
    let count = paths.len();
    // Children before parents.
    paths.reverse();
    let is_complete = match usize::try_from(batch_size) {
        Ok(batch_size) if batch_size > 0 => delete_in_batches(context, &paths, batch_size),
        _ => {
            for path in &paths {
                context.session.delete(path, -1)?;
            }
            true
        }
    };
    if !is_complete {
        context.console.error("Failed to delete some node(s) in the subtree!");
    }
    if context.console.is_json {
        context.console.value(&json!({"deleted": root, "count": count, "complete": is_complete}));
    }
    Ok(())
}

/// Whether all were deleted. After a batch that fails no further one is sent.
fn delete_in_batches(context: &Context<'_>, paths: &[String], batch_size: usize) -> bool {
    let mut on_their_way: VecDeque<Pending> = VecDeque::new();
    let mut is_complete = true;
    for batch in paths.chunks(batch_size) {
        if on_their_way.len() == BATCHES {
            is_complete &= on_their_way.pop_front().is_none_or(is_done);
        }
        if !is_complete {
            break;
        }
        let encoded: Vec<_> = batch.iter().map(|path| wire_text(path)).collect();
        let operations: Vec<MultiOp<'_>> = encoded.iter().map(|path| MultiOp::Delete { path, version: -1 }).collect();
        match context.session.send(&Operation::Multi(&operations), &batch[0]) {
            Ok(pending) => on_their_way.push_back(pending),
            Err(_) => is_complete = false,
        }
    }
    on_their_way.into_iter().fold(is_complete, |is_complete, pending| is_done(pending) && is_complete)
}

/// Whether every operation of a batch was done.
fn is_done(batch: Pending) -> bool {
    let Ok(body) = batch.wait() else { return false };
    reply::multi(&body).is_ok_and(|results| !results.iter().any(|result| matches!(result, MultiResult::Error(_))))
}

pub(super) fn close(context: &Context<'_>, _: Arguments) -> Result<(), Failure> {
    context.session.close();
    Ok(())
}
