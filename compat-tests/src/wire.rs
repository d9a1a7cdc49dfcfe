//! The client protocol in bytes, written a second time on purpose: a mistake in the codec of the server under
//! test must not hide behind the same mistake here. Requests are built, replies are turned into text that keeps
//! every byte. What may differ between two servers (times, session ids) is named by `mask`, not here.

use crate::mask::Names;

/// Operation codes of ZooKeeper 3.9 (ZooDefs.OpCode).
pub mod op {
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const EXISTS: i32 = 3;
    pub const DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const ACL: i32 = 6;
    pub const SET_ACL: i32 = 7;
    pub const CHILDREN: i32 = 8;
    pub const SYNC: i32 = 9;
    pub const PING: i32 = 11;
    pub const CHILDREN2: i32 = 12;
    pub const CHECK: i32 = 13;
    pub const MULTI: i32 = 14;
    pub const CREATE2: i32 = 15;
    pub const RECONFIG: i32 = 16;
    pub const CHECK_WATCHES: i32 = 17;
    pub const REMOVE_WATCHES: i32 = 18;
    pub const CREATE_CONTAINER: i32 = 19;
    pub const DELETE_CONTAINER: i32 = 20;
    pub const CREATE_TTL: i32 = 21;
    pub const MULTI_READ: i32 = 22;
    pub const AUTH: i32 = 100;
    pub const SET_WATCHES: i32 = 101;
    pub const SASL: i32 = 102;
    pub const EPHEMERALS: i32 = 103;
    pub const ALL_CHILDREN_NUMBER: i32 = 104;
    pub const SET_WATCHES2: i32 = 105;
    pub const ADD_WATCH: i32 = 106;
    pub const WHO_AM_I: i32 = 107;
    pub const CREATE_SESSION: i32 = -10;
    pub const CLOSE_SESSION: i32 = -11;
}

/// The name of an operation code, for transcripts and tables.
pub fn op_name(code: i32) -> String {
    match code {
        op::CREATE => "create",
        op::DELETE => "delete",
        op::EXISTS => "exists",
        op::DATA => "getData",
        op::SET_DATA => "setData",
        op::ACL => "getACL",
        op::SET_ACL => "setACL",
        op::CHILDREN => "getChildren",
        op::SYNC => "sync",
        op::PING => "ping",
        op::CHILDREN2 => "getChildren2",
        op::CHECK => "check",
        op::MULTI => "multi",
        op::CREATE2 => "create2",
        op::RECONFIG => "reconfig",
        op::CHECK_WATCHES => "checkWatches",
        op::REMOVE_WATCHES => "removeWatches",
        op::CREATE_CONTAINER => "createContainer",
        op::DELETE_CONTAINER => "deleteContainer",
        op::CREATE_TTL => "createTTL",
        op::MULTI_READ => "multiRead",
        op::AUTH => "auth",
        op::SET_WATCHES => "setWatches",
        op::SASL => "sasl",
        op::EPHEMERALS => "getEphemerals",
        op::ALL_CHILDREN_NUMBER => "getAllChildrenNumber",
        op::SET_WATCHES2 => "setWatches2",
        op::ADD_WATCH => "addWatch",
        op::WHO_AM_I => "whoAmI",
        op::CREATE_SESSION => "createSession",
        op::CLOSE_SESSION => "closeSession",
        other => return format!("op{other}"),
    }
    .to_owned()
}

/// Builds jute bytes, field by field.
#[derive(Default, Clone)]
pub struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn new() -> Writer {
        Writer::default()
    }

    pub fn byte(mut self, value: u8) -> Writer {
        self.bytes.push(value);
        self
    }

    pub fn boolean(self, value: bool) -> Writer {
        self.byte(u8::from(value))
    }

    pub fn int(mut self, value: i32) -> Writer {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn long(mut self, value: i64) -> Writer {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A string or a buffer: both are a length and bytes; `None` is length -1.
    pub fn buffer(self, value: Option<&[u8]>) -> Writer {
        match value {
            None => self.int(-1),
            Some(bytes) => {
                let mut this = self.int(i32::try_from(bytes.len()).expect("short test data"));
                this.bytes.extend_from_slice(bytes);
                this
            }
        }
    }

    pub fn string(self, value: &str) -> Writer {
        self.buffer(Some(value.as_bytes()))
    }

    pub fn strings(self, values: &[&str]) -> Writer {
        let this = self.int(values.len() as i32);
        values.iter().fold(this, |writer, value| writer.string(value))
    }

    pub fn acls(self, acls: &[Acl]) -> Writer {
        let this = self.int(acls.len() as i32);
        acls.iter().fold(this, |writer, acl| writer.int(acl.permissions).string(&acl.scheme).string(&acl.id))
    }

    pub fn raw(mut self, bytes: &[u8]) -> Writer {
        self.bytes.extend_from_slice(bytes);
        self
    }
}

/// One entry of an access list as it goes on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    pub permissions: i32,
    pub scheme: String,
    pub id: String,
}

/// Makes an access list entry.
pub fn acl(permissions: i32, scheme: &str, id: &str) -> Acl {
    Acl { permissions, scheme: scheme.to_owned(), id: id.to_owned() }
}

/// The list that everybody may do everything with.
pub fn open() -> Vec<Acl> {
    vec![acl(31, "world", "anyone")]
}

/// A request without its xid: what it is and the bytes of its record.
#[derive(Clone)]
pub struct Request {
    pub op: i32,
    /// Arguments as text, for the transcript.
    pub label: String,
    pub body: Vec<u8>,
    /// The sub-operations of a multi with the create flag each carries, for the table of what was reached.
    pub parts: Vec<(i32, i32)>,
    /// Create flag, watch flag, watch mode or watcher type; -1 where the operation has none.
    pub flag: i32,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", op_name(self.op), self.label)
    }
}

impl Request {
    /// A request with a body of the caller's making.
    pub fn raw(op: i32, label: impl Into<String>, body: Writer) -> Request {
        Request { op, label: label.into(), body: body.bytes, parts: Vec::new(), flag: -1 }
    }

    /// The frame that carries it, length included.
    pub fn frame(&self, xid: i32) -> Vec<u8> {
        let payload = Writer::new().int(xid).int(self.op).raw(&self.body).bytes;
        frame(&payload)
    }
}

/// A payload with its length before it.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    Writer::new().buffer(Some(payload)).bytes
}

/// Requests with well-formed records. Each is named after its operation.
pub mod request {
    use super::{Acl, Request, Writer, op, op_name};

    /// create, create2 and createContainer, which differ by `code` only.
    pub fn create_as(code: i32, path: &str, data: Option<&[u8]>, acls: &[Acl], flags: i32) -> Request {
        let body = Writer::new().string(path).buffer(data).acls(acls).int(flags);
        let label = format!("{path:?} {:?} {} flags {flags}", data.map(show), show_acls(acls));
        Request { flag: flags, ..Request::raw(code, label, body) }
    }

    pub fn create(path: &str, data: &str) -> Request {
        create_as(op::CREATE, path, Some(data.as_bytes()), &super::open(), 0)
    }

    pub fn create_flags(path: &str, flags: i32) -> Request {
        create_as(op::CREATE, path, Some(b"d"), &super::open(), flags)
    }

    pub fn create_acl(path: &str, acls: &[Acl]) -> Request {
        create_as(op::CREATE, path, Some(b"d"), acls, 0)
    }

    pub fn create2(path: &str, data: &str) -> Request {
        create_as(op::CREATE2, path, Some(data.as_bytes()), &super::open(), 0)
    }

    pub fn create_ttl(path: &str, acls: &[Acl], flags: i32, ttl_ms: i64) -> Request {
        let body = Writer::new().string(path).buffer(Some(b"t")).acls(acls).int(flags).long(ttl_ms);
        let label = format!("{path:?} {} flags {flags} ttl {ttl_ms}", show_acls(acls));
        Request { flag: flags, ..Request::raw(op::CREATE_TTL, label, body) }
    }

    pub fn delete(path: &str, version: i32) -> Request {
        let body = Writer::new().string(path).int(version);
        Request::raw(op::DELETE, format!("{path:?} v{version}"), body)
    }

    pub fn check(path: &str, version: i32) -> Request {
        Request { op: op::CHECK, ..delete(path, version) }
    }

    pub fn set_data(path: &str, data: Option<&[u8]>, version: i32) -> Request {
        let body = Writer::new().string(path).buffer(data).int(version);
        Request::raw(op::SET_DATA, format!("{path:?} {:?} v{version}", data.map(show)), body)
    }

    pub fn set_acl(path: &str, acls: &[Acl], version: i32) -> Request {
        let body = Writer::new().string(path).acls(acls).int(version);
        Request::raw(op::SET_ACL, format!("{path:?} {} v{version}", show_acls(acls)), body)
    }

    /// exists, getData, getChildren, getChildren2: a path and the watch flag.
    pub fn read(code: i32, path: &str, watch: bool) -> Request {
        let body = Writer::new().string(path).boolean(watch);
        let mark = if watch { " watch" } else { "" };
        Request { flag: i32::from(watch), ..Request::raw(code, format!("{path:?}{mark}"), body) }
    }

    /// getACL, sync, getEphemerals, getAllChildrenNumber, deleteContainer: a path alone.
    pub fn path(code: i32, path: &str) -> Request {
        Request::raw(code, format!("{path:?}"), Writer::new().string(path))
    }

    pub fn add_watch(path: &str, mode: i32) -> Request {
        let body = Writer::new().string(path).int(mode);
        Request { flag: mode, ..Request::raw(op::ADD_WATCH, format!("{path:?} mode {mode}"), body) }
    }

    /// checkWatches and removeWatches.
    pub fn watches(code: i32, path: &str, kind: i32) -> Request {
        let body = Writer::new().string(path).int(kind);
        Request { flag: kind, ..Request::raw(code, format!("{path:?} type {kind}"), body) }
    }

    /// setWatches (three lists) or setWatches2 (five).
    pub fn set_watches(relative_zxid: i64, lists: &[&[&str]]) -> Request {
        let code = if lists.len() == 3 { op::SET_WATCHES } else { op::SET_WATCHES2 };
        let body = lists.iter().fold(Writer::new().long(relative_zxid), |writer, list| writer.strings(list));
        Request::raw(code, format!("{lists:?}"), body)
    }

    pub fn auth(scheme: &str, data: &[u8]) -> Request {
        let body = Writer::new().int(0).string(scheme).buffer(Some(data));
        Request::raw(op::AUTH, format!("{scheme} {:?}", show(data)), body)
    }

    pub fn reconfig(joining: Option<&str>, leaving: Option<&str>, members: Option<&str>, version: i64) -> Request {
        let string = |writer: Writer, value: Option<&str>| writer.buffer(value.map(str::as_bytes));
        let body = [joining, leaving, members].into_iter().fold(Writer::new(), string).long(version);
        Request::raw(op::RECONFIG, format!("{joining:?} {leaving:?} {members:?} {version}"), body)
    }

    pub fn ping() -> Request {
        Request::raw(op::PING, "", Writer::new())
    }

    /// An operation without a record.
    pub fn bare(code: i32) -> Request {
        Request::raw(code, "", Writer::new())
    }

    /// multi or multiRead of the given parts.
    pub fn multi(code: i32, parts: &[Request]) -> Request {
        let mut body = Writer::new();
        let mut label = String::new();
        for part in parts {
            body = body.int(part.op).boolean(false).int(-1).raw(&part.body);
            label += &format!("[{} {}]", op_name(part.op), part.label);
        }
        let body = body.int(-1).boolean(true).int(-1);
        let parts = parts.iter().map(|part| (part.op, part.flag)).collect();
        Request { parts, ..Request::raw(code, label, body) }
    }

    fn show(data: &[u8]) -> String {
        if data.len() > 40 {
            return format!("{} bytes", data.len());
        }
        data.escape_ascii().to_string()
    }

    fn show_acls(acls: &[Acl]) -> String {
        let entries: Vec<String> = acls.iter().map(|acl| format!("{}:{}:{}", acl.permissions, acl.scheme, acl.id)).collect();
        format!("({})", entries.join(" "))
    }
}

/// Takes jute bytes apart; every method fails with `Short` when bytes run out.
pub struct Reader<'a> {
    pub rest: &'a [u8],
}

/// The bytes ended inside a field, or a length makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short;

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Short> {
        if self.rest.len() < count {
            return Err(Short);
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    pub fn byte(&mut self) -> Result<u8, Short> {
        Ok(self.take(1)?[0])
    }

    pub fn int(&mut self) -> Result<i32, Short> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into().map_err(|_| Short)?))
    }

    pub fn long(&mut self) -> Result<i64, Short> {
        Ok(i64::from_be_bytes(self.take(8)?.try_into().map_err(|_| Short)?))
    }

    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, Short> {
        match self.int()? {
            -1 => Ok(None),
            length if length < 0 => Err(Short),
            length => self.take(length as usize).map(Some),
        }
    }

    fn vector<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T, Short>) -> Result<Option<Vec<T>>, Short> {
        match self.int()? {
            -1 => Ok(None),
            count if count < 0 => Err(Short),
            count => (0..count).map(|_| one(self)).collect::<Result<Vec<T>, Short>>().map(Some),
        }
    }

    /// A vector of strings.
    pub fn strings(&mut self) -> Result<Option<Vec<Option<&'a [u8]>>>, Short> {
        self.vector(Reader::buffer)
    }
}

/// The header in front of every reply and event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyHeader {
    pub xid: i32,
    pub zxid: i64,
    pub error: i32,
}

/// Reads the header of a reply frame.
pub fn reply_header(frame: &[u8]) -> Result<ReplyHeader, Short> {
    let mut reader = Reader::new(frame);
    Ok(ReplyHeader { xid: reader.int()?, zxid: reader.long()?, error: reader.int()? })
}

/// Turns a reply into text that keeps every byte but the masked ones. `code` is the operation it answers;
/// an event (xid -1) is told by its xid.
pub fn render_reply(code: i32, frame: &[u8], names: &Names) -> String {
    let Ok(header) = reply_header(frame) else {
        return format!("short frame {}", hex(frame));
    };
    let mut reader = Reader::new(&frame[16..]);
    let head = format!("xid {} zxid {} err {}", header.xid, names.zxid(header.zxid), header.error);
    let body = if header.xid == -1 {
        render_event(&mut reader)
    } else if header.error != 0 && code != op::SASL {
        Ok(String::new())
    } else {
        render_body(code, &mut reader, names)
    };
    let text = body.unwrap_or_else(|Short| " UNREADABLE".to_owned());
    let tail = if reader.rest.is_empty() { String::new() } else { format!(" +{}", hex(reader.rest)) };
    format!("{head}{text}{tail}")
}

fn render_event(reader: &mut Reader) -> Result<String, Short> {
    Ok(format!(" EVENT type {} state {} path {}", reader.int()?, reader.int()?, text(reader.buffer()?)))
}

fn render_body(code: i32, reader: &mut Reader, names: &Names) -> Result<String, Short> {
    Ok(match code {
        op::CREATE | op::SYNC => format!(" path {}", text(reader.buffer()?)),
        op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
            format!(" path {} {}", text(reader.buffer()?), render_stat(reader, names)?)
        }
        op::EXISTS | op::SET_DATA | op::SET_ACL => format!(" {}", render_stat(reader, names)?),
        op::DATA | op::RECONFIG => {
            let data = text(reader.buffer()?);
            format!(" data {data} {}", render_stat(reader, names)?)
        }
        op::ACL => {
            let acls = reader.vector(|reader| Ok(format!("{}:{}:{}", reader.int()?, text(reader.buffer()?), text(reader.buffer()?))))?;
            format!(" acl {acls:?} {}", render_stat(reader, names)?)
        }
        op::CHILDREN | op::EPHEMERALS => format!(" {}", render_sorted(reader)?),
        op::CHILDREN2 => {
            let children = render_sorted(reader)?;
            format!(" {children} {}", render_stat(reader, names)?)
        }
        op::ALL_CHILDREN_NUMBER | op::ADD_WATCH => format!(" int {}", reader.int()?),
        op::WHO_AM_I => {
            // Java keeps a connection's identities in a hash set: sorted (mask "unordered vectors").
            let mut ids = reader.vector(|reader| Ok(format!("{}:{}", text(reader.buffer()?), text(reader.buffer()?))))?;
            if let Some(ids) = &mut ids {
                ids.sort();
            }
            format!(" ids {ids:?}")
        }
        op::SASL => format!(" token {}", text(reader.buffer()?)),
        op::MULTI | op::MULTI_READ => render_multi(reader, names)?,
        _ => String::new(),
    })
}

fn render_multi(reader: &mut Reader, names: &Names) -> Result<String, Short> {
    let mut out = String::new();
    loop {
        let (code, done, error) = (reader.int()?, reader.byte()?, reader.int()?);
        out += &format!(" [{code} done {done} err {error}");
        if done != 0 {
            out.push(']');
            return Ok(out);
        }
        if code == -1 {
            out += &format!(" int {}", reader.int()?);
        } else {
            out += &render_body(code, reader, names)?;
        }
        out.push(']');
    }
}

/// The errors of each part of a multi's reply, for the table of what was reached.
pub fn multi_errors(frame: &[u8]) -> Vec<i32> {
    let mut errors = Vec::new();
    let mut reader = Reader::new(frame.get(16..).unwrap_or_default());
    let names = Names::identity();
    while let (Ok(code), Ok(0), Ok(_)) = (reader.int(), reader.byte(), reader.int()) {
        if code == -1 {
            errors.push(reader.int().unwrap_or(i32::MIN));
        } else {
            if render_body(code, &mut reader, &names).is_err() {
                break;
            }
            errors.push(0);
        }
    }
    errors
}

/// Children and ephemerals come in the order of a hash set in Java: sorted (mask "unordered vectors").
fn render_sorted(reader: &mut Reader) -> Result<String, Short> {
    Ok(match reader.strings()? {
        None => "null".to_owned(),
        Some(mut list) => {
            list.sort();
            let list: Vec<String> = list.into_iter().map(text).collect();
            format!("{{{}}}", list.join(" "))
        }
    })
}

/// A Stat as text; times and owners go through the mask.
pub fn render_stat(reader: &mut Reader, names: &Names) -> Result<String, Short> {
    let (czxid, mzxid, ctime, mtime) = (reader.long()?, reader.long()?, reader.long()?, reader.long()?);
    let (version, cversion, aversion) = (reader.int()?, reader.int()?, reader.int()?);
    let (owner, length, children, pzxid) = (reader.long()?, reader.int()?, reader.int()?, reader.long()?);
    Ok(format!(
        "stat(c {} m {} p {} {} v {version} cv {cversion} av {aversion} owner {} len {length} children {children})",
        names.zxid(czxid),
        names.zxid(mzxid),
        names.zxid(pzxid),
        names.times(ctime, mtime, czxid == mzxid),
        names.session(owner),
    ))
}

/// A string or buffer as text, without loss.
pub fn text(value: Option<&[u8]>) -> String {
    match value {
        None => "null".to_owned(),
        Some(bytes) if bytes.len() > 200 => {
            let sum = bytes.iter().fold(0u64, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
            format!("<{} bytes, sum {sum:x}>", bytes.len())
        }
        Some(bytes) => format!("'{}'", bytes.escape_ascii()),
    }
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
