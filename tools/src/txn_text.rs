//! One transaction as a line of text, as Java's TxnLogToolkit prints it.
//!
//! Its forms are old and odd: some records show their data as text, others go through jute's text form, and an access
//! list ends each entry with a newline.

use crate::Calendar;
use oxkeeper_proto::java_string;
use oxkeeper_proto::records::{Acl, MultiTxn, TxnHeader};
use oxkeeper_proto::txn::{HEADER_LENGTH, LoggedTxn, Txn, TxnError};
use oxkeeper_proto::{OpCode, Reader, Record as _};
use std::borrow::Cow;
use std::fmt::Write as _;

/// The line of a payload, with a newline.
///
/// # Errors
/// When the payload is no transaction.
pub fn line(payload: &[u8], calendar: &dyn Calendar) -> Result<String, TxnError> {
    let logged = LoggedTxn::read(payload)?;
    let TxnHeader { client_id, cxid, zxid, time, kind } = logged.header;
    let mut line =
        format!("{} session {client_id:#x} cxid {cxid:#x} zxid {zxid:#x} {} ", calendar.short_date_long_time(time), name_of_type(kind));
    write_txn(&mut line, &logged.txn, payload)?;
    if !line.ends_with('\n') {
        line.push('\n');
    }
    Ok(line)
}

/// The name of a type of transaction.
pub fn name_of_type(kind: i32) -> Cow<'static, str> {
    Cow::Borrowed(match OpCode(kind) {
        OpCode::CREATE => "create",
        OpCode::CREATE2 => "create2",
        OpCode::CREATE_TTL => "createTTL",
        OpCode::CREATE_CONTAINER => "createContainer",
        OpCode::DELETE => "delete",
        OpCode::DELETE_CONTAINER => "deleteContainer",
        OpCode::SET_DATA => "setData",
        OpCode::RECONFIG => "reconfig",
        OpCode::SET_ACL => "setACL",
        OpCode::CHECK => "check",
        OpCode::MULTI => "multi",
        OpCode::CREATE_SESSION => "createSession",
        OpCode::CLOSE_SESSION => "closeSession",
        OpCode::ERROR => "error",
        _ => return Cow::Owned(format!("unknown {kind}")),
    })
}

/// Java's `null` in a concatenation.
fn path<'a>(path: &'a Option<Cow<'_, str>>) -> &'a str {
    path.as_deref().unwrap_or("null")
}

/// `new String(data, UTF_8)`, empty for none.
fn data(data: Option<&[u8]>) -> Cow<'_, str> {
    java_string::decode(data.unwrap_or_default())
}

fn write_txn(line: &mut String, txn: &Txn<'_>, payload: &[u8]) -> Result<(), TxnError> {
    // Writing to a string does not fail.
    let _ = match txn {
        Txn::Create(t) | Txn::Create2(t) => {
            let acl = list(t.acl.as_deref());
            write!(line, "{},{},{acl},{},{}", path(&t.path), data(t.data), t.ephemeral, t.parent_c_version)
        }
        Txn::SetData(t) | Txn::Reconfig(t) => write!(line, "{},{},{}", path(&t.path), data(t.data), t.version),
        Txn::CreateContainer(t) => {
            write!(line, "{},{},{},{}", path(&t.path), data(t.data), list(t.acl.as_deref()), t.parent_c_version)
        }
        Txn::CreateTtl(t) => {
            let acl = list(t.acl.as_deref());
            write!(line, "{},{},{acl},{},{}", path(&t.path), data(t.data), t.parent_c_version, t.ttl)
        }
        Txn::Multi(_) => {
            let multi = MultiTxn::read(&mut Reader::with_max_length(&payload[HEADER_LENGTH..], i32::MAX))?;
            for (index, part) in multi.txns.unwrap_or_default().iter().enumerate() {
                let separator = if index == 0 { "" } else { ";" };
                // The bytes of the part, whatever they are.
                let _ = write!(line, "{separator}{}:{}", name_of_type(part.kind), data(part.data));
            }
            Ok(())
        }
        Txn::Delete(t) | Txn::DeleteContainer(t) => writeln!(line, "{}", escaped(t.path.as_deref())),
        Txn::SetAcl(t) => {
            let entries: Vec<String> = t.acl.iter().flatten().map(|acl| format!("s{{{}}}", fields(acl))).collect();
            writeln!(line, "{},v{{{}}},{}", escaped(t.path.as_deref()), entries.join(","), t.version)
        }
        Txn::Check(t) => writeln!(line, "{},{}", escaped(t.path.as_deref()), t.version),
        Txn::CreateSession(t) => writeln!(line, "{}", t.time_out),
        Txn::CloseSession(Some(t)) => {
            let paths: Vec<String> = t.paths2_delete.iter().flatten().map(|path| escaped(path.as_deref())).collect();
            writeln!(line, "v{{{}}}", paths.join(","))
        }
        Txn::CloseSession(None) => Ok(()),
        Txn::Error(t) => writeln!(line, "{}", t.err),
    };
    Ok(())
}

/// A Java list of access list entries.
fn list(entries: Option<&[Acl<'_>]>) -> String {
    match entries {
        None => "null".to_owned(),
        Some(entries) => {
            let entries: Vec<String> = entries.iter().map(|acl| format!("{}\n", fields(acl))).collect();
            format!("[{}]", entries.join(", "))
        }
    }
}

/// The fields of an access list entry in jute's text form.
fn fields(acl: &Acl<'_>) -> String {
    format!("{},s{{{},{}}}", acl.perms, escaped(acl.id.scheme.as_deref()), escaped(acl.id.id.as_deref()))
}

/// A string in jute's text form.
fn escaped(text: Option<&str>) -> String {
    let Some(text) = text else { return String::new() };
    let mut escaped = String::with_capacity(text.len() + 1);
    escaped.push('\'');
    for character in text.chars() {
        match character {
            '\0' | '\n' | '\r' | ',' | '}' | '%' => {
                let _ = write!(escaped, "%{:02X}", character as u32);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_jute_does() {
        assert_eq!(escaped(None), "");
        assert_eq!(escaped(Some("")), "'");
        assert_eq!(escaped(Some("/a,b}c%d\n\r\0é'")), "'/a%2Cb%7Dc%25d%0A%0D%00é'");
    }
}
