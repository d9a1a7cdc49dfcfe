//! Written by `cargo xtask jute` from `zookeeper.jute`: the records as C structures.

use crate::memory::{Buffer, deallocate_Buffer, deallocate_String};
use std::ffi::c_char;

record!(Id, deallocate_Id {
    scheme: *mut c_char => deallocate_String,
    id: *mut c_char => deallocate_String,
});

record!(ACL, deallocate_ACL {
    perms: i32,
    id: Id => deallocate_Id,
});

record!(Stat, deallocate_Stat {
    czxid: i64,
    mzxid: i64,
    ctime: i64,
    mtime: i64,
    version: i32,
    cversion: i32,
    aversion: i32,
    ephemeralOwner: i64,
    dataLength: i32,
    numChildren: i32,
    pzxid: i64,
});

record!(StatPersisted, deallocate_StatPersisted {
    czxid: i64,
    mzxid: i64,
    ctime: i64,
    mtime: i64,
    version: i32,
    cversion: i32,
    aversion: i32,
    ephemeralOwner: i64,
    pzxid: i64,
});

record!(ClientInfo, deallocate_ClientInfo {
    authScheme: *mut c_char => deallocate_String,
    user: *mut c_char => deallocate_String,
});

record!(ConnectRequest, deallocate_ConnectRequest {
    protocolVersion: i32,
    lastZxidSeen: i64,
    timeOut: i32,
    sessionId: i64,
    passwd: Buffer => deallocate_Buffer,
});

record!(ConnectResponse, deallocate_ConnectResponse {
    protocolVersion: i32,
    timeOut: i32,
    sessionId: i64,
    passwd: Buffer => deallocate_Buffer,
});

vector!(String_vector of *mut c_char, allocate_String_vector, deallocate_String_vector, deallocate_String);

record!(SetWatches, deallocate_SetWatches {
    relativeZxid: i64,
    dataWatches: String_vector => deallocate_String_vector,
    existWatches: String_vector => deallocate_String_vector,
    childWatches: String_vector => deallocate_String_vector,
});

record!(SetWatches2, deallocate_SetWatches2 {
    relativeZxid: i64,
    dataWatches: String_vector => deallocate_String_vector,
    existWatches: String_vector => deallocate_String_vector,
    childWatches: String_vector => deallocate_String_vector,
    persistentWatches: String_vector => deallocate_String_vector,
    persistentRecursiveWatches: String_vector => deallocate_String_vector,
});

record!(RequestHeader, deallocate_RequestHeader {
    xid: i32,
    r#type: i32,
});

record!(MultiHeader, deallocate_MultiHeader {
    r#type: i32,
    done: i32,
    err: i32,
});

record!(AuthPacket, deallocate_AuthPacket {
    r#type: i32,
    scheme: *mut c_char => deallocate_String,
    auth: Buffer => deallocate_Buffer,
});

record!(ReplyHeader, deallocate_ReplyHeader {
    xid: i32,
    zxid: i64,
    err: i32,
});

record!(GetDataRequest, deallocate_GetDataRequest {
    path: *mut c_char => deallocate_String,
    watch: i32,
});

record!(SetDataRequest, deallocate_SetDataRequest {
    path: *mut c_char => deallocate_String,
    data: Buffer => deallocate_Buffer,
    version: i32,
});

record!(ReconfigRequest, deallocate_ReconfigRequest {
    joiningServers: *mut c_char => deallocate_String,
    leavingServers: *mut c_char => deallocate_String,
    newMembers: *mut c_char => deallocate_String,
    curConfigId: i64,
});

record!(SetDataResponse, deallocate_SetDataResponse {
    stat: Stat => deallocate_Stat,
});

record!(GetSASLRequest, deallocate_GetSASLRequest {
    token: Buffer => deallocate_Buffer,
});

record!(SetSASLRequest, deallocate_SetSASLRequest {
    token: Buffer => deallocate_Buffer,
});

record!(SetSASLResponse, deallocate_SetSASLResponse {
    token: Buffer => deallocate_Buffer,
});

vector!(ACL_vector of ACL, allocate_ACL_vector, deallocate_ACL_vector, deallocate_ACL);

record!(CreateRequest, deallocate_CreateRequest {
    path: *mut c_char => deallocate_String,
    data: Buffer => deallocate_Buffer,
    acl: ACL_vector => deallocate_ACL_vector,
    flags: i32,
});

record!(CreateTTLRequest, deallocate_CreateTTLRequest {
    path: *mut c_char => deallocate_String,
    data: Buffer => deallocate_Buffer,
    acl: ACL_vector => deallocate_ACL_vector,
    flags: i32,
    ttl: i64,
});

record!(DeleteRequest, deallocate_DeleteRequest {
    path: *mut c_char => deallocate_String,
    version: i32,
});

record!(GetChildrenRequest, deallocate_GetChildrenRequest {
    path: *mut c_char => deallocate_String,
    watch: i32,
});

record!(GetAllChildrenNumberRequest, deallocate_GetAllChildrenNumberRequest {
    path: *mut c_char => deallocate_String,
});

record!(GetChildren2Request, deallocate_GetChildren2Request {
    path: *mut c_char => deallocate_String,
    watch: i32,
});

record!(CheckVersionRequest, deallocate_CheckVersionRequest {
    path: *mut c_char => deallocate_String,
    version: i32,
});

record!(GetMaxChildrenRequest, deallocate_GetMaxChildrenRequest {
    path: *mut c_char => deallocate_String,
});

record!(GetMaxChildrenResponse, deallocate_GetMaxChildrenResponse {
    max: i32,
});

record!(SetMaxChildrenRequest, deallocate_SetMaxChildrenRequest {
    path: *mut c_char => deallocate_String,
    max: i32,
});

record!(SyncRequest, deallocate_SyncRequest {
    path: *mut c_char => deallocate_String,
});

record!(SyncResponse, deallocate_SyncResponse {
    path: *mut c_char => deallocate_String,
});

record!(GetACLRequest, deallocate_GetACLRequest {
    path: *mut c_char => deallocate_String,
});

record!(SetACLRequest, deallocate_SetACLRequest {
    path: *mut c_char => deallocate_String,
    acl: ACL_vector => deallocate_ACL_vector,
    version: i32,
});

record!(SetACLResponse, deallocate_SetACLResponse {
    stat: Stat => deallocate_Stat,
});

record!(AddWatchRequest, deallocate_AddWatchRequest {
    path: *mut c_char => deallocate_String,
    mode: i32,
});

record!(WatcherEvent, deallocate_WatcherEvent {
    r#type: i32,
    state: i32,
    path: *mut c_char => deallocate_String,
});

record!(ErrorResponse, deallocate_ErrorResponse {
    err: i32,
});

record!(CreateResponse, deallocate_CreateResponse {
    path: *mut c_char => deallocate_String,
});

record!(Create2Response, deallocate_Create2Response {
    path: *mut c_char => deallocate_String,
    stat: Stat => deallocate_Stat,
});

record!(ExistsRequest, deallocate_ExistsRequest {
    path: *mut c_char => deallocate_String,
    watch: i32,
});

record!(ExistsResponse, deallocate_ExistsResponse {
    stat: Stat => deallocate_Stat,
});

record!(GetDataResponse, deallocate_GetDataResponse {
    data: Buffer => deallocate_Buffer,
    stat: Stat => deallocate_Stat,
});

record!(GetChildrenResponse, deallocate_GetChildrenResponse {
    children: String_vector => deallocate_String_vector,
});

record!(GetAllChildrenNumberResponse, deallocate_GetAllChildrenNumberResponse {
    totalNumber: i32,
});

record!(GetChildren2Response, deallocate_GetChildren2Response {
    children: String_vector => deallocate_String_vector,
    stat: Stat => deallocate_Stat,
});

record!(GetACLResponse, deallocate_GetACLResponse {
    acl: ACL_vector => deallocate_ACL_vector,
    stat: Stat => deallocate_Stat,
});

record!(CheckWatchesRequest, deallocate_CheckWatchesRequest {
    path: *mut c_char => deallocate_String,
    r#type: i32,
});

record!(RemoveWatchesRequest, deallocate_RemoveWatchesRequest {
    path: *mut c_char => deallocate_String,
    r#type: i32,
});

record!(GetEphemeralsRequest, deallocate_GetEphemeralsRequest {
    prefixPath: *mut c_char => deallocate_String,
});

record!(GetEphemeralsResponse, deallocate_GetEphemeralsResponse {
    ephemerals: String_vector => deallocate_String_vector,
});

vector!(ClientInfo_vector of ClientInfo, allocate_ClientInfo_vector, deallocate_ClientInfo_vector, deallocate_ClientInfo);

record!(WhoAmIResponse, deallocate_WhoAmIResponse {
    clientInfo: ClientInfo_vector => deallocate_ClientInfo_vector,
});

record!(LearnerInfo, deallocate_LearnerInfo {
    serverid: i64,
    protocolVersion: i32,
    configVersion: i64,
});

vector!(Id_vector of Id, allocate_Id_vector, deallocate_Id_vector, deallocate_Id);

record!(QuorumPacket, deallocate_QuorumPacket {
    r#type: i32,
    zxid: i64,
    data: Buffer => deallocate_Buffer,
    authinfo: Id_vector => deallocate_Id_vector,
});

record!(QuorumAuthPacket, deallocate_QuorumAuthPacket {
    magic: i64,
    status: i32,
    token: Buffer => deallocate_Buffer,
});

record!(FileHeader, deallocate_FileHeader {
    magic: i32,
    version: i32,
    dbid: i64,
});

record!(TxnDigest, deallocate_TxnDigest {
    version: i32,
    treeDigest: i64,
});

record!(TxnHeader, deallocate_TxnHeader {
    clientId: i64,
    cxid: i32,
    zxid: i64,
    time: i64,
    r#type: i32,
});

record!(CreateTxnV0, deallocate_CreateTxnV0 {
    path: *mut c_char => deallocate_String,
    data: Buffer => deallocate_Buffer,
    acl: ACL_vector => deallocate_ACL_vector,
    ephemeral: i32,
});

record!(CreateTxn, deallocate_CreateTxn {
    path: *mut c_char => deallocate_String,
    data: Buffer => deallocate_Buffer,
    acl: ACL_vector => deallocate_ACL_vector,
    ephemeral: i32,
    parentCVersion: i32,
});

record!(CreateTTLTxn, deallocate_CreateTTLTxn {
    path: *mut c_char => deallocate_String,
    data: Buffer => deallocate_Buffer,
    acl: ACL_vector => deallocate_ACL_vector,
    parentCVersion: i32,
    ttl: i64,
});

record!(CreateContainerTxn, deallocate_CreateContainerTxn {
    path: *mut c_char => deallocate_String,
    data: Buffer => deallocate_Buffer,
    acl: ACL_vector => deallocate_ACL_vector,
    parentCVersion: i32,
});

record!(DeleteTxn, deallocate_DeleteTxn {
    path: *mut c_char => deallocate_String,
});

record!(SetDataTxn, deallocate_SetDataTxn {
    path: *mut c_char => deallocate_String,
    data: Buffer => deallocate_Buffer,
    version: i32,
});

record!(CheckVersionTxn, deallocate_CheckVersionTxn {
    path: *mut c_char => deallocate_String,
    version: i32,
});

record!(SetACLTxn, deallocate_SetACLTxn {
    path: *mut c_char => deallocate_String,
    acl: ACL_vector => deallocate_ACL_vector,
    version: i32,
});

record!(SetMaxChildrenTxn, deallocate_SetMaxChildrenTxn {
    path: *mut c_char => deallocate_String,
    max: i32,
});

record!(CreateSessionTxn, deallocate_CreateSessionTxn {
    timeOut: i32,
});

record!(CloseSessionTxn, deallocate_CloseSessionTxn {
    paths2Delete: String_vector => deallocate_String_vector,
});

record!(ErrorTxn, deallocate_ErrorTxn {
    err: i32,
});

record!(Txn, deallocate_Txn {
    r#type: i32,
    data: Buffer => deallocate_Buffer,
});

vector!(Txn_vector of Txn, allocate_Txn_vector, deallocate_Txn_vector, deallocate_Txn);

record!(MultiTxn, deallocate_MultiTxn {
    txns: Txn_vector => deallocate_Txn_vector,
});
