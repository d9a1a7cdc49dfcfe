//! Commands that change znodes: `create`, `set`, `delete`, `deleteall`; and `close`.

use super::{Arguments, Context, walk};
use crate::failure::{CallError, Failure};
use crate::{path, text};
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

/// Decodes as Java's basic decoder does, which asks for no padding, and complains in its words.
fn decode_base64(text: &str) -> Result<Vec<u8>, Failure> {
    let complain = |message: String| Err(Failure::uncaught("IllegalArgumentException", &message));
    const ENDING: &str = "Input byte array has wrong 4-byte ending unit";
    // Latin-1, with a question mark for what it does not have.
    let source: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect();
    if source.len() == 1 {
        return complain("Input byte[] should at least have 2 bytes for base64 bytes".to_owned());
    }
    let (mut decoded, mut bits, mut count) = (Vec::with_capacity(source.len() * 3 / 4), 0u32, 0);
    let mut at = 0;
    while at < source.len() {
        let byte = source[at];
        at += 1;
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                let is_second_missing = count == 2 && source.get(at) != Some(&b'=');
                if count == 0 || is_second_missing {
                    return complain(ENDING.to_owned());
                }
                at += usize::from(count == 2);
                break;
            }
            _ => return complain(format!("Illegal base64 character {}", signed_hex(byte))),
        };
        bits = bits << 6 | u32::from(digit);
        count += 1;
        if count == 4 {
            decoded.extend_from_slice(&bits.to_be_bytes()[1..]);
            (bits, count) = (0, 0);
        }
    }
    match count {
        1 => return complain("Last unit does not have enough valid bits".to_owned()),
        2 => decoded.push((bits >> 4) as u8),
        3 => decoded.extend_from_slice(&(bits >> 2).to_be_bytes()[2..]),
        _ => {}
    }
    if at < source.len() {
        return complain(format!("Input byte array has incorrect ending byte at {at}"));
    }
    Ok(decoded)
}

/// A byte as Java prints it: signed.
fn signed_hex(byte: u8) -> String {
    let signed = byte as i8;
    format!("{}{:x}", if signed < 0 { "-" } else { "" }, signed.unsigned_abs())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_as_java_decodes() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("aGVsbG8gd29ybGQ=", b"hello world"),
            ("aGVsbG8", b"hello"),
            ("aGVsbA==", b"hell"),
            ("aGVsbA", b"hell"),
            ("/+8=", b"\xff\xef"),
            // Bits that are left over do not matter.
            ("aGVsbB==", b"hell"),
        ] {
            assert_eq!(decode_base64(text).as_deref(), Ok(bytes), "{text}");
        }
        for (text, complaint) in [
            ("!", "Input byte[] should at least have 2 bytes for base64 bytes"),
            ("ab!d", "Illegal base64 character 21"),
            ("abü", "Illegal base64 character -4"),
            ("abcde", "Last unit does not have enough valid bits"),
            ("a=bc", "Last unit does not have enough valid bits"),
            ("ab=c", "Input byte array has wrong 4-byte ending unit"),
            ("=abc", "Input byte array has wrong 4-byte ending unit"),
            ("abc=d", "Input byte array has incorrect ending byte at 4"),
        ] {
            assert_eq!(decode_base64(text), Err(Failure::uncaught("IllegalArgumentException", complaint)), "{text}");
        }
    }
}
