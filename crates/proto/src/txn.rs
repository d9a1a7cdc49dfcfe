//! Transactions: the payload of a log record and of a PROPOSAL, `TxnHeader`, body and an optional
//! `TxnDigest`.

use crate::code::OpCode;
use crate::jute::{JuteError, Reader, Record, Write};
use crate::records::{
    CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateSessionTxn, CreateTtlTxn, CreateTxn, CreateTxnV0, DeleteTxn, ErrorTxn,
    SetAclTxn, SetDataTxn, TxnDigest, TxnHeader,
};
use std::fmt;

/// The version of the digest that this and every current Java server computes.
pub const DIGEST_VERSION: i32 = 2;
/// The bytes of a `TxnHeader`.
pub const HEADER_LENGTH: usize = 32;
/// The bytes of a `TxnDigest`.
pub const DIGEST_LENGTH: usize = 12;

/// The body of a transaction, by its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Txn<'a> {
    /// A session was opened.
    CreateSession(CreateSessionTxn),
    /// A session ended; `None` where an old writer left the body out.
    CloseSession(Option<CloseSessionTxn<'a>>),
    /// `create`; the only kind that, replayed over an existing node, moves the parent's counter.
    Create(CreateTxn<'a>),
    /// `create2`.
    Create2(CreateTxn<'a>),
    /// `createTTL`.
    CreateTtl(CreateTtlTxn<'a>),
    /// `createContainer`.
    CreateContainer(CreateContainerTxn<'a>),
    /// `delete`.
    Delete(DeleteTxn<'a>),
    /// `deleteContainer`.
    DeleteContainer(DeleteTxn<'a>),
    /// `setData`.
    SetData(SetDataTxn<'a>),
    /// `reconfig`: sets the configuration node.
    Reconfig(SetDataTxn<'a>),
    /// `setACL`.
    SetAcl(SetAclTxn<'a>),
    /// `check`; only inside a multi.
    Check(CheckVersionTxn<'a>),
    /// A refused write.
    Error(ErrorTxn),
    /// Several at once.
    Multi(Vec<Txn<'a>>),
}

/// A payload taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedTxn<'a> {
    /// Who, when, which zxid, which type.
    pub header: TxnHeader,
    /// What.
    pub txn: Txn<'a>,
    /// The tree's digest after it, where the writer gave one.
    pub digest: Option<TxnDigest>,
}

/// Why a payload is not a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnError {
    /// Its bytes cannot be decoded.
    Jute(JuteError),
    /// It is of a type that no version writes.
    UnsupportedType(i32),
}

impl From<JuteError> for TxnError {
    fn from(error: JuteError) -> Self {
        TxnError::Jute(error)
    }
}

impl fmt::Display for TxnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TxnError::Jute(error) => error.fmt(f),
            TxnError::UnsupportedType(kind) => write!(f, "Unsupported Txn with type={kind}"),
        }
    }
}

impl std::error::Error for TxnError {}

impl Txn<'_> {
    /// The type that stands in the header.
    pub fn op(&self) -> OpCode {
        match self {
            Txn::CreateSession(_) => OpCode::CREATE_SESSION,
            Txn::CloseSession(_) => OpCode::CLOSE_SESSION,
            Txn::Create(_) => OpCode::CREATE,
            Txn::Create2(_) => OpCode::CREATE2,
            Txn::CreateTtl(_) => OpCode::CREATE_TTL,
            Txn::CreateContainer(_) => OpCode::CREATE_CONTAINER,
            Txn::Delete(_) => OpCode::DELETE,
            Txn::DeleteContainer(_) => OpCode::DELETE_CONTAINER,
            Txn::SetData(_) => OpCode::SET_DATA,
            Txn::Reconfig(_) => OpCode::RECONFIG,
            Txn::SetAcl(_) => OpCode::SET_ACL,
            Txn::Check(_) => OpCode::CHECK,
            Txn::Error(_) => OpCode::ERROR,
            Txn::Multi(_) => OpCode::MULTI,
        }
    }

    /// Appends the body's bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Txn::CreateSession(t) => t.write(out),
            Txn::CloseSession(t) => {
                if let Some(t) = t {
                    t.write(out);
                }
            }
            Txn::Create(t) | Txn::Create2(t) => t.write(out),
            Txn::CreateTtl(t) => t.write(out),
            Txn::CreateContainer(t) => t.write(out),
            Txn::Delete(t) | Txn::DeleteContainer(t) => t.write(out),
            Txn::SetData(t) | Txn::Reconfig(t) => t.write(out),
            Txn::SetAcl(t) => t.write(out),
            Txn::Check(t) => t.write(out),
            Txn::Error(t) => t.write(out),
            Txn::Multi(txns) => out.vector(Some(txns), |out, txn| {
                out.int(txn.op().0);
                let length_at = out.len();
                out.int(0);
                txn.write(out);
                let length = (out.len() - length_at - 4) as i32;
                out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
            }),
        }
    }

    fn read<'a>(kind: i32, r: &mut Reader<'a>) -> Result<Txn<'a>, TxnError> {
        Ok(match OpCode(kind) {
            OpCode::CREATE_SESSION => Txn::CreateSession(CreateSessionTxn::read(r)?),
            OpCode::CLOSE_SESSION => Txn::CloseSession(read_close_session(r)),
            OpCode::CREATE => Txn::Create(read_create(r)?),
            OpCode::CREATE2 => Txn::Create2(CreateTxn::read(r)?),
            OpCode::CREATE_TTL => Txn::CreateTtl(CreateTtlTxn::read(r)?),
            OpCode::CREATE_CONTAINER => Txn::CreateContainer(CreateContainerTxn::read(r)?),
            OpCode::DELETE => Txn::Delete(DeleteTxn::read(r)?),
            OpCode::DELETE_CONTAINER => Txn::DeleteContainer(DeleteTxn::read(r)?),
            OpCode::SET_DATA => Txn::SetData(SetDataTxn::read(r)?),
            OpCode::RECONFIG => Txn::Reconfig(SetDataTxn::read(r)?),
            OpCode::SET_ACL => Txn::SetAcl(SetAclTxn::read(r)?),
            OpCode::ERROR => Txn::Error(ErrorTxn::read(r)?),
            OpCode::MULTI => Txn::Multi(read_multi(r)?),
            _ => return Err(TxnError::UnsupportedType(kind)),
        })
    }
}

impl<'a> LoggedTxn<'a> {
    /// Takes a payload apart. Trailing bytes that are no digest are ignored, as Java does.
    ///
    /// # Errors
    /// When the bytes are no transaction of a known type.
    pub fn read(payload: &'a [u8]) -> Result<Self, TxnError> {
        // What was logged must stay readable whatever the limit is today (ZOOKEEPER-4306).
        let mut r = Reader::with_max_length(payload, i32::MAX);
        let header = TxnHeader::read(&mut r)?;
        let txn = Txn::read(header.kind, &mut r)?;
        let digest = if r.rest().len() >= DIGEST_LENGTH { Some(TxnDigest::read(&mut r)?) } else { None };
        Ok(Self { header, txn, digest })
    }
}

/// The bytes of a payload.
pub fn encode(header: &TxnHeader, txn: &Txn<'_>, digest: Option<u64>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    encode_into(&mut out, header, txn, digest);
    out
}

/// Appends the bytes of a payload.
pub fn encode_into(out: &mut Vec<u8>, header: &TxnHeader, txn: &Txn<'_>, digest: Option<u64>) {
    header.write(out);
    txn.write(out);
    if let Some(tree_digest) = digest {
        TxnDigest { version: DIGEST_VERSION, tree_digest: tree_digest as i64 }.write(out);
    }
}

/// A `create` may lack the parent's counter (before 3.4).
fn read_create<'a>(r: &mut Reader<'a>) -> Result<CreateTxn<'a>, JuteError> {
    let mut whole = r.clone();
    if let Ok(txn) = CreateTxn::read(&mut whole) {
        *r = whole;
        return Ok(txn);
    }
    let CreateTxnV0 { path, data, acl, ephemeral } = CreateTxnV0::read(r)?;
    Ok(CreateTxn { path, data, acl, ephemeral, parent_c_version: -1 })
}

/// A closing session's body may be left out, and a digest may follow either way: the reading that
/// uses all bytes is the right one.
fn read_close_session<'a>(r: &mut Reader<'a>) -> Option<CloseSessionTxn<'a>> {
    let mut whole = r.clone();
    let body = CloseSessionTxn::read(&mut whole).ok()?;
    match whole.rest().len() {
        0 | DIGEST_LENGTH => {
            *r = whole;
            Some(body)
        }
        // A digest alone reads as a list too: version 2 as the count, then two "strings".
        _ if r.rest().len() == DIGEST_LENGTH => None,
        _ => {
            *r = whole;
            Some(body)
        }
    }
}

fn read_multi<'a>(r: &mut Reader<'a>) -> Result<Vec<Txn<'a>>, TxnError> {
    let count = r.int()?;
    let mut txns = Vec::new();
    for _ in 0..count {
        let kind = r.int()?;
        let body = r.buffer()?.unwrap_or_default();
        let mut r = Reader::with_max_length(body, i32::MAX);
        txns.push(match OpCode(kind) {
            OpCode::CHECK => Txn::Check(CheckVersionTxn::read(&mut r)?),
            OpCode::CREATE
            | OpCode::CREATE2
            | OpCode::CREATE_TTL
            | OpCode::CREATE_CONTAINER
            | OpCode::DELETE
            | OpCode::DELETE_CONTAINER
            | OpCode::SET_DATA
            | OpCode::ERROR => Txn::read(kind, &mut r)?,
            _ => return Err(TxnError::UnsupportedType(kind)),
        });
    }
    Ok(txns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap()).collect()
    }

    /// Payloads that Java 3.10 logged on a fresh standalone server.
    const LOGGED: [&str; 3] = [
        "010000126cb80000 00000000 0000000000000001 000001a2015bf1c5 fffffff6 00002710 00000002 0000000051c6d660",
        "010000126cb80000 00000001 0000000000000002 000001a2015bf1e5 00000001 00000002 2f61 00000005 68656c6c6f 00000001 0000001f \
         00000005 776f726c64 00000006 616e796f6e65 00 00000001 00000002 00000000caa3a7a5",
        "010000126cb80000 00000009 0000000000000007 000001a2015bf21a ffffffff ffffff99",
    ];

    #[test]
    fn what_java_logged_is_read_and_written_alike() {
        for text in LOGGED {
            let payload = hex(text);
            let LoggedTxn { header, txn, digest } = LoggedTxn::read(&payload).unwrap();
            assert_eq!(header.kind, txn.op().0);
            assert_eq!(encode(&header, &txn, digest.map(|d| d.tree_digest as u64)), payload);
        }
    }

    #[test]
    fn a_closing_session_is_read_with_and_without_body_and_digest() {
        let header = TxnHeader { kind: OpCode::CLOSE_SESSION.0, ..TxnHeader::default() };
        let list = |paths: &[&'static str]| {
            Txn::CloseSession(Some(CloseSessionTxn { paths2_delete: Some(paths.iter().map(|p| Some((*p).into())).collect()) }))
        };
        for txn in [Txn::CloseSession(None), list(&[]), list(&["/a"]), list(&["/a", "/b/c"])] {
            for digest in [None, Some(7u64)] {
                let payload = encode(&header, &txn, digest);
                let read = LoggedTxn::read(&payload).unwrap();
                assert_eq!((&read.txn, read.digest.map(|d| d.tree_digest as u64)), (&txn, digest));
            }
        }
    }

    #[test]
    fn a_multi_keeps_its_parts() {
        let header = TxnHeader { kind: OpCode::MULTI.0, ..TxnHeader::default() };
        let txn = Txn::Multi(vec![
            Txn::Delete(DeleteTxn { path: Some("/a".into()) }),
            Txn::Check(CheckVersionTxn { path: Some("/b".into()), version: 3 }),
            Txn::Error(ErrorTxn { err: -2 }),
        ]);
        let payload = encode(&header, &txn, Some(1));
        assert_eq!(LoggedTxn::read(&payload).unwrap().txn, txn);
    }
}
