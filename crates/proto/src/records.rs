//! The records, written by `cargo xtask jute` from `zookeeper.jute`: edit that file, not this one.

use crate::jute::{JuteError, Reader, Record, Write};
use std::borrow::Cow;
/// `data.Id` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Id<'a> {
    /// `scheme`
    pub scheme: Option<Cow<'a, str>>,
    /// `id`
    pub id: Option<Cow<'a, str>>,
}
impl<'a> Record<'a> for Id<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            scheme: r.ustring()?,
            id: r.ustring()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.scheme.as_deref());
        out.ustring(self.id.as_deref());
    }
}
/// `data.ACL` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl<'a> {
    /// `perms`
    pub perms: i32,
    /// `id`
    pub id: Id<'a>,
}
impl<'a> Record<'a> for Acl<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            perms: r.int()?,
            id: Id::read(r)?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.perms);
        self.id.write(out);
    }
}
/// `data.Stat` of the IDL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// `czxid`
    pub czxid: i64,
    /// `mzxid`
    pub mzxid: i64,
    /// `ctime`
    pub ctime: i64,
    /// `mtime`
    pub mtime: i64,
    /// `version`
    pub version: i32,
    /// `cversion`
    pub cversion: i32,
    /// `aversion`
    pub aversion: i32,
    /// `ephemeralOwner`
    pub ephemeral_owner: i64,
    /// `dataLength`
    pub data_length: i32,
    /// `numChildren`
    pub num_children: i32,
    /// `pzxid`
    pub pzxid: i64,
}
impl<'a> Record<'a> for Stat {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            czxid: r.long()?,
            mzxid: r.long()?,
            ctime: r.long()?,
            mtime: r.long()?,
            version: r.int()?,
            cversion: r.int()?,
            aversion: r.int()?,
            ephemeral_owner: r.long()?,
            data_length: r.int()?,
            num_children: r.int()?,
            pzxid: r.long()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.long(self.czxid);
        out.long(self.mzxid);
        out.long(self.ctime);
        out.long(self.mtime);
        out.int(self.version);
        out.int(self.cversion);
        out.int(self.aversion);
        out.long(self.ephemeral_owner);
        out.int(self.data_length);
        out.int(self.num_children);
        out.long(self.pzxid);
    }
}
/// `data.StatPersisted` of the IDL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatPersisted {
    /// `czxid`
    pub czxid: i64,
    /// `mzxid`
    pub mzxid: i64,
    /// `ctime`
    pub ctime: i64,
    /// `mtime`
    pub mtime: i64,
    /// `version`
    pub version: i32,
    /// `cversion`
    pub cversion: i32,
    /// `aversion`
    pub aversion: i32,
    /// `ephemeralOwner`
    pub ephemeral_owner: i64,
    /// `pzxid`
    pub pzxid: i64,
}
impl<'a> Record<'a> for StatPersisted {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            czxid: r.long()?,
            mzxid: r.long()?,
            ctime: r.long()?,
            mtime: r.long()?,
            version: r.int()?,
            cversion: r.int()?,
            aversion: r.int()?,
            ephemeral_owner: r.long()?,
            pzxid: r.long()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.long(self.czxid);
        out.long(self.mzxid);
        out.long(self.ctime);
        out.long(self.mtime);
        out.int(self.version);
        out.int(self.cversion);
        out.int(self.aversion);
        out.long(self.ephemeral_owner);
        out.long(self.pzxid);
    }
}
/// `data.ClientInfo` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo<'a> {
    /// `authScheme`
    pub auth_scheme: Option<Cow<'a, str>>,
    /// `user`
    pub user: Option<Cow<'a, str>>,
}
impl<'a> Record<'a> for ClientInfo<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            auth_scheme: r.ustring()?,
            user: r.ustring()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.auth_scheme.as_deref());
        out.ustring(self.user.as_deref());
    }
}
/// `proto.ConnectRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectRequest<'a> {
    /// `protocolVersion`
    pub protocol_version: i32,
    /// `lastZxidSeen`
    pub last_zxid_seen: i64,
    /// `timeOut`
    pub time_out: i32,
    /// `sessionId`
    pub session_id: i64,
    /// `passwd`
    pub passwd: Option<&'a [u8]>,
}
impl<'a> Record<'a> for ConnectRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            protocol_version: r.int()?,
            last_zxid_seen: r.long()?,
            time_out: r.int()?,
            session_id: r.long()?,
            passwd: r.buffer()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.protocol_version);
        out.long(self.last_zxid_seen);
        out.int(self.time_out);
        out.long(self.session_id);
        out.buffer(self.passwd);
    }
}
/// `proto.ConnectResponse` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectResponse<'a> {
    /// `protocolVersion`
    pub protocol_version: i32,
    /// `timeOut`
    pub time_out: i32,
    /// `sessionId`
    pub session_id: i64,
    /// `passwd`
    pub passwd: Option<&'a [u8]>,
}
impl<'a> Record<'a> for ConnectResponse<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            protocol_version: r.int()?,
            time_out: r.int()?,
            session_id: r.long()?,
            passwd: r.buffer()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.protocol_version);
        out.int(self.time_out);
        out.long(self.session_id);
        out.buffer(self.passwd);
    }
}
/// `proto.SetWatches` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetWatches<'a> {
    /// `relativeZxid`
    pub relative_zxid: i64,
    /// `dataWatches`
    pub data_watches: Option<Vec<Option<Cow<'a, str>>>>,
    /// `existWatches`
    pub exist_watches: Option<Vec<Option<Cow<'a, str>>>>,
    /// `childWatches`
    pub child_watches: Option<Vec<Option<Cow<'a, str>>>>,
}
impl<'a> Record<'a> for SetWatches<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            relative_zxid: r.long()?,
            data_watches: r.vector(Reader::ustring)?,
            exist_watches: r.vector(Reader::ustring)?,
            child_watches: r.vector(Reader::ustring)?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.long(self.relative_zxid);
        out.vector(
            self.data_watches.as_deref(),
            |out, element| {
                out.ustring(element.as_deref());
            },
        );
        out.vector(
            self.exist_watches.as_deref(),
            |out, element| {
                out.ustring(element.as_deref());
            },
        );
        out.vector(
            self.child_watches.as_deref(),
            |out, element| {
                out.ustring(element.as_deref());
            },
        );
    }
}
/// `proto.SetWatches2` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetWatches2<'a> {
    /// `relativeZxid`
    pub relative_zxid: i64,
    /// `dataWatches`
    pub data_watches: Option<Vec<Option<Cow<'a, str>>>>,
    /// `existWatches`
    pub exist_watches: Option<Vec<Option<Cow<'a, str>>>>,
    /// `childWatches`
    pub child_watches: Option<Vec<Option<Cow<'a, str>>>>,
    /// `persistentWatches`
    pub persistent_watches: Option<Vec<Option<Cow<'a, str>>>>,
    /// `persistentRecursiveWatches`
    pub persistent_recursive_watches: Option<Vec<Option<Cow<'a, str>>>>,
}
impl<'a> Record<'a> for SetWatches2<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            relative_zxid: r.long()?,
            data_watches: r.vector(Reader::ustring)?,
            exist_watches: r.vector(Reader::ustring)?,
            child_watches: r.vector(Reader::ustring)?,
            persistent_watches: r.vector(Reader::ustring)?,
            persistent_recursive_watches: r.vector(Reader::ustring)?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.long(self.relative_zxid);
        out.vector(
            self.data_watches.as_deref(),
            |out, element| {
                out.ustring(element.as_deref());
            },
        );
        out.vector(
            self.exist_watches.as_deref(),
            |out, element| {
                out.ustring(element.as_deref());
            },
        );
        out.vector(
            self.child_watches.as_deref(),
            |out, element| {
                out.ustring(element.as_deref());
            },
        );
        out.vector(
            self.persistent_watches.as_deref(),
            |out, element| {
                out.ustring(element.as_deref());
            },
        );
        out.vector(
            self.persistent_recursive_watches.as_deref(),
            |out, element| {
                out.ustring(element.as_deref());
            },
        );
    }
}
/// `proto.RequestHeader` of the IDL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestHeader {
    /// `xid`
    pub xid: i32,
    /// `type`
    pub kind: i32,
}
impl<'a> Record<'a> for RequestHeader {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            xid: r.int()?,
            kind: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.xid);
        out.int(self.kind);
    }
}
/// `proto.MultiHeader` of the IDL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MultiHeader {
    /// `type`
    pub kind: i32,
    /// `done`
    pub done: bool,
    /// `err`
    pub err: i32,
}
impl<'a> Record<'a> for MultiHeader {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            kind: r.int()?,
            done: r.boolean()?,
            err: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.kind);
        out.boolean(self.done);
        out.int(self.err);
    }
}
/// `proto.AuthPacket` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthPacket<'a> {
    /// `type`
    pub kind: i32,
    /// `scheme`
    pub scheme: Option<Cow<'a, str>>,
    /// `auth`
    pub auth: Option<&'a [u8]>,
}
impl<'a> Record<'a> for AuthPacket<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            kind: r.int()?,
            scheme: r.ustring()?,
            auth: r.buffer()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.kind);
        out.ustring(self.scheme.as_deref());
        out.buffer(self.auth);
    }
}
/// `proto.ReplyHeader` of the IDL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyHeader {
    /// `xid`
    pub xid: i32,
    /// `zxid`
    pub zxid: i64,
    /// `err`
    pub err: i32,
}
impl<'a> Record<'a> for ReplyHeader {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            xid: r.int()?,
            zxid: r.long()?,
            err: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.xid);
        out.long(self.zxid);
        out.int(self.err);
    }
}
/// `proto.GetDataRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetDataRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `watch`
    pub watch: bool,
}
impl<'a> Record<'a> for GetDataRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            watch: r.boolean()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.boolean(self.watch);
    }
}
/// `proto.SetDataRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetDataRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `data`
    pub data: Option<&'a [u8]>,
    /// `version`
    pub version: i32,
}
impl<'a> Record<'a> for SetDataRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            data: r.buffer()?,
            version: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.buffer(self.data);
        out.int(self.version);
    }
}
/// `proto.ReconfigRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconfigRequest<'a> {
    /// `joiningServers`
    pub joining_servers: Option<Cow<'a, str>>,
    /// `leavingServers`
    pub leaving_servers: Option<Cow<'a, str>>,
    /// `newMembers`
    pub new_members: Option<Cow<'a, str>>,
    /// `curConfigId`
    pub cur_config_id: i64,
}
impl<'a> Record<'a> for ReconfigRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            joining_servers: r.ustring()?,
            leaving_servers: r.ustring()?,
            new_members: r.ustring()?,
            cur_config_id: r.long()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.joining_servers.as_deref());
        out.ustring(self.leaving_servers.as_deref());
        out.ustring(self.new_members.as_deref());
        out.long(self.cur_config_id);
    }
}
/// `proto.SetDataResponse` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetDataResponse {
    /// `stat`
    pub stat: Stat,
}
impl<'a> Record<'a> for SetDataResponse {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { stat: Stat::read(r)? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.stat.write(out);
    }
}
/// `proto.GetSASLRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetSaslRequest<'a> {
    /// `token`
    pub token: Option<&'a [u8]>,
}
impl<'a> Record<'a> for GetSaslRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { token: r.buffer()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.buffer(self.token);
    }
}
/// `proto.SetSASLRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetSaslRequest<'a> {
    /// `token`
    pub token: Option<&'a [u8]>,
}
impl<'a> Record<'a> for SetSaslRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { token: r.buffer()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.buffer(self.token);
    }
}
/// `proto.SetSASLResponse` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetSaslResponse<'a> {
    /// `token`
    pub token: Option<&'a [u8]>,
}
impl<'a> Record<'a> for SetSaslResponse<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { token: r.buffer()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.buffer(self.token);
    }
}
/// `proto.CreateRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `data`
    pub data: Option<&'a [u8]>,
    /// `acl`
    pub acl: Option<Vec<Acl<'a>>>,
    /// `flags`
    pub flags: i32,
}
impl<'a> Record<'a> for CreateRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            data: r.buffer()?,
            acl: r.vector(Acl::read)?,
            flags: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.buffer(self.data);
        out.vector(
            self.acl.as_deref(),
            |out, element| {
                element.write(out);
            },
        );
        out.int(self.flags);
    }
}
/// `proto.CreateTTLRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateTtlRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `data`
    pub data: Option<&'a [u8]>,
    /// `acl`
    pub acl: Option<Vec<Acl<'a>>>,
    /// `flags`
    pub flags: i32,
    /// `ttl`
    pub ttl: i64,
}
impl<'a> Record<'a> for CreateTtlRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            data: r.buffer()?,
            acl: r.vector(Acl::read)?,
            flags: r.int()?,
            ttl: r.long()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.buffer(self.data);
        out.vector(
            self.acl.as_deref(),
            |out, element| {
                element.write(out);
            },
        );
        out.int(self.flags);
        out.long(self.ttl);
    }
}
/// `proto.DeleteRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `version`
    pub version: i32,
}
impl<'a> Record<'a> for DeleteRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            version: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.int(self.version);
    }
}
/// `proto.GetChildrenRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetChildrenRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `watch`
    pub watch: bool,
}
impl<'a> Record<'a> for GetChildrenRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            watch: r.boolean()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.boolean(self.watch);
    }
}
/// `proto.GetAllChildrenNumberRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetAllChildrenNumberRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
}
impl<'a> Record<'a> for GetAllChildrenNumberRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { path: r.ustring()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
    }
}
/// `proto.GetChildren2Request` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetChildren2Request<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `watch`
    pub watch: bool,
}
impl<'a> Record<'a> for GetChildren2Request<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            watch: r.boolean()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.boolean(self.watch);
    }
}
/// `proto.CheckVersionRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckVersionRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `version`
    pub version: i32,
}
impl<'a> Record<'a> for CheckVersionRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            version: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.int(self.version);
    }
}
/// `proto.GetMaxChildrenRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetMaxChildrenRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
}
impl<'a> Record<'a> for GetMaxChildrenRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { path: r.ustring()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
    }
}
/// `proto.GetMaxChildrenResponse` of the IDL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetMaxChildrenResponse {
    /// `max`
    pub max: i32,
}
impl<'a> Record<'a> for GetMaxChildrenResponse {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { max: r.int()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.max);
    }
}
/// `proto.SetMaxChildrenRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetMaxChildrenRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `max`
    pub max: i32,
}
impl<'a> Record<'a> for SetMaxChildrenRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            max: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.int(self.max);
    }
}
/// `proto.SyncRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
}
impl<'a> Record<'a> for SyncRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { path: r.ustring()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
    }
}
/// `proto.SyncResponse` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncResponse<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
}
impl<'a> Record<'a> for SyncResponse<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { path: r.ustring()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
    }
}
/// `proto.GetACLRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetAclRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
}
impl<'a> Record<'a> for GetAclRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { path: r.ustring()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
    }
}
/// `proto.SetACLRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetAclRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `acl`
    pub acl: Option<Vec<Acl<'a>>>,
    /// `version`
    pub version: i32,
}
impl<'a> Record<'a> for SetAclRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            acl: r.vector(Acl::read)?,
            version: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.vector(
            self.acl.as_deref(),
            |out, element| {
                element.write(out);
            },
        );
        out.int(self.version);
    }
}
/// `proto.SetACLResponse` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetAclResponse {
    /// `stat`
    pub stat: Stat,
}
impl<'a> Record<'a> for SetAclResponse {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { stat: Stat::read(r)? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.stat.write(out);
    }
}
/// `proto.AddWatchRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddWatchRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `mode`
    pub mode: i32,
}
impl<'a> Record<'a> for AddWatchRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            mode: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.int(self.mode);
    }
}
/// `proto.WatcherEvent` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatcherEvent<'a> {
    /// `type`
    pub kind: i32,
    /// `state`
    pub state: i32,
    /// `path`
    pub path: Option<Cow<'a, str>>,
}
impl<'a> Record<'a> for WatcherEvent<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            kind: r.int()?,
            state: r.int()?,
            path: r.ustring()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.kind);
        out.int(self.state);
        out.ustring(self.path.as_deref());
    }
}
/// `proto.ErrorResponse` of the IDL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorResponse {
    /// `err`
    pub err: i32,
}
impl<'a> Record<'a> for ErrorResponse {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { err: r.int()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.err);
    }
}
/// `proto.CreateResponse` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateResponse<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
}
impl<'a> Record<'a> for CreateResponse<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { path: r.ustring()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
    }
}
/// `proto.Create2Response` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Create2Response<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `stat`
    pub stat: Stat,
}
impl<'a> Record<'a> for Create2Response<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            stat: Stat::read(r)?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        self.stat.write(out);
    }
}
/// `proto.ExistsRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExistsRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `watch`
    pub watch: bool,
}
impl<'a> Record<'a> for ExistsRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            watch: r.boolean()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.boolean(self.watch);
    }
}
/// `proto.ExistsResponse` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExistsResponse {
    /// `stat`
    pub stat: Stat,
}
impl<'a> Record<'a> for ExistsResponse {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { stat: Stat::read(r)? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.stat.write(out);
    }
}
/// `proto.GetDataResponse` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetDataResponse<'a> {
    /// `data`
    pub data: Option<&'a [u8]>,
    /// `stat`
    pub stat: Stat,
}
impl<'a> Record<'a> for GetDataResponse<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            data: r.buffer()?,
            stat: Stat::read(r)?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.buffer(self.data);
        self.stat.write(out);
    }
}
/// `proto.GetChildrenResponse` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetChildrenResponse<'a> {
    /// `children`
    pub children: Option<Vec<Option<Cow<'a, str>>>>,
}
impl<'a> Record<'a> for GetChildrenResponse<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            children: r.vector(Reader::ustring)?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.vector(
            self.children.as_deref(),
            |out, element| {
                out.ustring(element.as_deref());
            },
        );
    }
}
/// `proto.GetAllChildrenNumberResponse` of the IDL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetAllChildrenNumberResponse {
    /// `totalNumber`
    pub total_number: i32,
}
impl<'a> Record<'a> for GetAllChildrenNumberResponse {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { total_number: r.int()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.total_number);
    }
}
/// `proto.GetChildren2Response` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetChildren2Response<'a> {
    /// `children`
    pub children: Option<Vec<Option<Cow<'a, str>>>>,
    /// `stat`
    pub stat: Stat,
}
impl<'a> Record<'a> for GetChildren2Response<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            children: r.vector(Reader::ustring)?,
            stat: Stat::read(r)?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.vector(
            self.children.as_deref(),
            |out, element| {
                out.ustring(element.as_deref());
            },
        );
        self.stat.write(out);
    }
}
/// `proto.GetACLResponse` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetAclResponse<'a> {
    /// `acl`
    pub acl: Option<Vec<Acl<'a>>>,
    /// `stat`
    pub stat: Stat,
}
impl<'a> Record<'a> for GetAclResponse<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            acl: r.vector(Acl::read)?,
            stat: Stat::read(r)?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.vector(
            self.acl.as_deref(),
            |out, element| {
                element.write(out);
            },
        );
        self.stat.write(out);
    }
}
/// `proto.CheckWatchesRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckWatchesRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `type`
    pub kind: i32,
}
impl<'a> Record<'a> for CheckWatchesRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            kind: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.int(self.kind);
    }
}
/// `proto.RemoveWatchesRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoveWatchesRequest<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `type`
    pub kind: i32,
}
impl<'a> Record<'a> for RemoveWatchesRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            kind: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.int(self.kind);
    }
}
/// `proto.GetEphemeralsRequest` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetEphemeralsRequest<'a> {
    /// `prefixPath`
    pub prefix_path: Option<Cow<'a, str>>,
}
impl<'a> Record<'a> for GetEphemeralsRequest<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { prefix_path: r.ustring()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.prefix_path.as_deref());
    }
}
/// `proto.GetEphemeralsResponse` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetEphemeralsResponse<'a> {
    /// `ephemerals`
    pub ephemerals: Option<Vec<Option<Cow<'a, str>>>>,
}
impl<'a> Record<'a> for GetEphemeralsResponse<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            ephemerals: r.vector(Reader::ustring)?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.vector(
            self.ephemerals.as_deref(),
            |out, element| {
                out.ustring(element.as_deref());
            },
        );
    }
}
/// `proto.WhoAmIResponse` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhoAmIResponse<'a> {
    /// `clientInfo`
    pub client_info: Option<Vec<ClientInfo<'a>>>,
}
impl<'a> Record<'a> for WhoAmIResponse<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            client_info: r.vector(ClientInfo::read)?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.vector(
            self.client_info.as_deref(),
            |out, element| {
                element.write(out);
            },
        );
    }
}
/// `quorum.LearnerInfo` of the IDL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LearnerInfo {
    /// `serverid`
    pub serverid: i64,
    /// `protocolVersion`
    pub protocol_version: i32,
    /// `configVersion`
    pub config_version: i64,
}
impl<'a> Record<'a> for LearnerInfo {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            serverid: r.long()?,
            protocol_version: r.int()?,
            config_version: r.long()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.long(self.serverid);
        out.int(self.protocol_version);
        out.long(self.config_version);
    }
}
/// `quorum.QuorumPacket` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumPacket<'a> {
    /// `type`
    pub kind: i32,
    /// `zxid`
    pub zxid: i64,
    /// `data`
    pub data: Option<&'a [u8]>,
    /// `authinfo`
    pub authinfo: Option<Vec<Id<'a>>>,
}
impl<'a> Record<'a> for QuorumPacket<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            kind: r.int()?,
            zxid: r.long()?,
            data: r.buffer()?,
            authinfo: r.vector(Id::read)?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.kind);
        out.long(self.zxid);
        out.buffer(self.data);
        out.vector(
            self.authinfo.as_deref(),
            |out, element| {
                element.write(out);
            },
        );
    }
}
/// `quorum.QuorumAuthPacket` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumAuthPacket<'a> {
    /// `magic`
    pub magic: i64,
    /// `status`
    pub status: i32,
    /// `token`
    pub token: Option<&'a [u8]>,
}
impl<'a> Record<'a> for QuorumAuthPacket<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            magic: r.long()?,
            status: r.int()?,
            token: r.buffer()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.long(self.magic);
        out.int(self.status);
        out.buffer(self.token);
    }
}
/// `persistence.FileHeader` of the IDL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileHeader {
    /// `magic`
    pub magic: i32,
    /// `version`
    pub version: i32,
    /// `dbid`
    pub dbid: i64,
}
impl<'a> Record<'a> for FileHeader {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            magic: r.int()?,
            version: r.int()?,
            dbid: r.long()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.magic);
        out.int(self.version);
        out.long(self.dbid);
    }
}
/// `txn.TxnDigest` of the IDL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxnDigest {
    /// `version`
    pub version: i32,
    /// `treeDigest`
    pub tree_digest: i64,
}
impl<'a> Record<'a> for TxnDigest {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            version: r.int()?,
            tree_digest: r.long()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.version);
        out.long(self.tree_digest);
    }
}
/// `txn.TxnHeader` of the IDL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxnHeader {
    /// `clientId`
    pub client_id: i64,
    /// `cxid`
    pub cxid: i32,
    /// `zxid`
    pub zxid: i64,
    /// `time`
    pub time: i64,
    /// `type`
    pub kind: i32,
}
impl<'a> Record<'a> for TxnHeader {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            client_id: r.long()?,
            cxid: r.int()?,
            zxid: r.long()?,
            time: r.long()?,
            kind: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.long(self.client_id);
        out.int(self.cxid);
        out.long(self.zxid);
        out.long(self.time);
        out.int(self.kind);
    }
}
/// `txn.CreateTxnV0` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateTxnV0<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `data`
    pub data: Option<&'a [u8]>,
    /// `acl`
    pub acl: Option<Vec<Acl<'a>>>,
    /// `ephemeral`
    pub ephemeral: bool,
}
impl<'a> Record<'a> for CreateTxnV0<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            data: r.buffer()?,
            acl: r.vector(Acl::read)?,
            ephemeral: r.boolean()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.buffer(self.data);
        out.vector(
            self.acl.as_deref(),
            |out, element| {
                element.write(out);
            },
        );
        out.boolean(self.ephemeral);
    }
}
/// `txn.CreateTxn` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateTxn<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `data`
    pub data: Option<&'a [u8]>,
    /// `acl`
    pub acl: Option<Vec<Acl<'a>>>,
    /// `ephemeral`
    pub ephemeral: bool,
    /// `parentCVersion`
    pub parent_c_version: i32,
}
impl<'a> Record<'a> for CreateTxn<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            data: r.buffer()?,
            acl: r.vector(Acl::read)?,
            ephemeral: r.boolean()?,
            parent_c_version: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.buffer(self.data);
        out.vector(
            self.acl.as_deref(),
            |out, element| {
                element.write(out);
            },
        );
        out.boolean(self.ephemeral);
        out.int(self.parent_c_version);
    }
}
/// `txn.CreateTTLTxn` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateTtlTxn<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `data`
    pub data: Option<&'a [u8]>,
    /// `acl`
    pub acl: Option<Vec<Acl<'a>>>,
    /// `parentCVersion`
    pub parent_c_version: i32,
    /// `ttl`
    pub ttl: i64,
}
impl<'a> Record<'a> for CreateTtlTxn<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            data: r.buffer()?,
            acl: r.vector(Acl::read)?,
            parent_c_version: r.int()?,
            ttl: r.long()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.buffer(self.data);
        out.vector(
            self.acl.as_deref(),
            |out, element| {
                element.write(out);
            },
        );
        out.int(self.parent_c_version);
        out.long(self.ttl);
    }
}
/// `txn.CreateContainerTxn` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateContainerTxn<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `data`
    pub data: Option<&'a [u8]>,
    /// `acl`
    pub acl: Option<Vec<Acl<'a>>>,
    /// `parentCVersion`
    pub parent_c_version: i32,
}
impl<'a> Record<'a> for CreateContainerTxn<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            data: r.buffer()?,
            acl: r.vector(Acl::read)?,
            parent_c_version: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.buffer(self.data);
        out.vector(
            self.acl.as_deref(),
            |out, element| {
                element.write(out);
            },
        );
        out.int(self.parent_c_version);
    }
}
/// `txn.DeleteTxn` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteTxn<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
}
impl<'a> Record<'a> for DeleteTxn<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { path: r.ustring()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
    }
}
/// `txn.SetDataTxn` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetDataTxn<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `data`
    pub data: Option<&'a [u8]>,
    /// `version`
    pub version: i32,
}
impl<'a> Record<'a> for SetDataTxn<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            data: r.buffer()?,
            version: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.buffer(self.data);
        out.int(self.version);
    }
}
/// `txn.CheckVersionTxn` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckVersionTxn<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `version`
    pub version: i32,
}
impl<'a> Record<'a> for CheckVersionTxn<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            version: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.int(self.version);
    }
}
/// `txn.SetACLTxn` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetAclTxn<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `acl`
    pub acl: Option<Vec<Acl<'a>>>,
    /// `version`
    pub version: i32,
}
impl<'a> Record<'a> for SetAclTxn<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            acl: r.vector(Acl::read)?,
            version: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.vector(
            self.acl.as_deref(),
            |out, element| {
                element.write(out);
            },
        );
        out.int(self.version);
    }
}
/// `txn.SetMaxChildrenTxn` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetMaxChildrenTxn<'a> {
    /// `path`
    pub path: Option<Cow<'a, str>>,
    /// `max`
    pub max: i32,
}
impl<'a> Record<'a> for SetMaxChildrenTxn<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            path: r.ustring()?,
            max: r.int()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.ustring(self.path.as_deref());
        out.int(self.max);
    }
}
/// `txn.CreateSessionTxn` of the IDL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateSessionTxn {
    /// `timeOut`
    pub time_out: i32,
}
impl<'a> Record<'a> for CreateSessionTxn {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { time_out: r.int()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.time_out);
    }
}
/// `txn.CloseSessionTxn` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloseSessionTxn<'a> {
    /// `paths2Delete`
    pub paths2_delete: Option<Vec<Option<Cow<'a, str>>>>,
}
impl<'a> Record<'a> for CloseSessionTxn<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            paths2_delete: r.vector(Reader::ustring)?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.vector(
            self.paths2_delete.as_deref(),
            |out, element| {
                out.ustring(element.as_deref());
            },
        );
    }
}
/// `txn.ErrorTxn` of the IDL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorTxn {
    /// `err`
    pub err: i32,
}
impl<'a> Record<'a> for ErrorTxn {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { err: r.int()? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.err);
    }
}
/// `txn.Txn` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn<'a> {
    /// `type`
    pub kind: i32,
    /// `data`
    pub data: Option<&'a [u8]>,
}
impl<'a> Record<'a> for Txn<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            kind: r.int()?,
            data: r.buffer()?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.int(self.kind);
        out.buffer(self.data);
    }
}
/// `txn.MultiTxn` of the IDL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MultiTxn<'a> {
    /// `txns`
    pub txns: Option<Vec<Txn<'a>>>,
}
impl<'a> Record<'a> for MultiTxn<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self { txns: r.vector(Txn::read)? })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.vector(
            self.txns.as_deref(),
            |out, element| {
                element.write(out);
            },
        );
    }
}
