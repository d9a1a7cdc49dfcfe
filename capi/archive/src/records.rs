//! Written by `cargo xtask jute` from `zookeeper.jute`: the records in archives.

use oxkeeper_capi::records::*;

record!(Id, serialize_Id, deserialize_Id {
    string scheme,
    string id,
});

record!(ACL, serialize_ACL, deserialize_ACL {
    int perms,
    [serialize_Id deserialize_Id] id,
});

record!(Stat, serialize_Stat, deserialize_Stat {
    long czxid,
    long mzxid,
    long ctime,
    long mtime,
    int version,
    int cversion,
    int aversion,
    long ephemeralOwner,
    int dataLength,
    int numChildren,
    long pzxid,
});

record!(StatPersisted, serialize_StatPersisted, deserialize_StatPersisted {
    long czxid,
    long mzxid,
    long ctime,
    long mtime,
    int version,
    int cversion,
    int aversion,
    long ephemeralOwner,
    long pzxid,
});

record!(ClientInfo, serialize_ClientInfo, deserialize_ClientInfo {
    string authScheme,
    string user,
});

record!(ConnectRequest, serialize_ConnectRequest, deserialize_ConnectRequest {
    int protocolVersion,
    long lastZxidSeen,
    int timeOut,
    long sessionId,
    buffer passwd,
});

record!(ConnectResponse, serialize_ConnectResponse, deserialize_ConnectResponse {
    int protocolVersion,
    int timeOut,
    long sessionId,
    buffer passwd,
});

vector!(String_vector, serialize_String_vector, deserialize_String_vector, allocate_String_vector, string);

record!(SetWatches, serialize_SetWatches, deserialize_SetWatches {
    long relativeZxid,
    [serialize_String_vector deserialize_String_vector] dataWatches,
    [serialize_String_vector deserialize_String_vector] existWatches,
    [serialize_String_vector deserialize_String_vector] childWatches,
});

record!(SetWatches2, serialize_SetWatches2, deserialize_SetWatches2 {
    long relativeZxid,
    [serialize_String_vector deserialize_String_vector] dataWatches,
    [serialize_String_vector deserialize_String_vector] existWatches,
    [serialize_String_vector deserialize_String_vector] childWatches,
    [serialize_String_vector deserialize_String_vector] persistentWatches,
    [serialize_String_vector deserialize_String_vector] persistentRecursiveWatches,
});

record!(RequestHeader, serialize_RequestHeader, deserialize_RequestHeader {
    int xid,
    int r#type,
});

record!(MultiHeader, serialize_MultiHeader, deserialize_MultiHeader {
    int r#type,
    boolean done,
    int err,
});

record!(AuthPacket, serialize_AuthPacket, deserialize_AuthPacket {
    int r#type,
    string scheme,
    buffer auth,
});

record!(ReplyHeader, serialize_ReplyHeader, deserialize_ReplyHeader {
    int xid,
    long zxid,
    int err,
});

record!(GetDataRequest, serialize_GetDataRequest, deserialize_GetDataRequest {
    string path,
    boolean watch,
});

record!(SetDataRequest, serialize_SetDataRequest, deserialize_SetDataRequest {
    string path,
    buffer data,
    int version,
});

record!(ReconfigRequest, serialize_ReconfigRequest, deserialize_ReconfigRequest {
    string joiningServers,
    string leavingServers,
    string newMembers,
    long curConfigId,
});

record!(SetDataResponse, serialize_SetDataResponse, deserialize_SetDataResponse {
    [serialize_Stat deserialize_Stat] stat,
});

record!(GetSASLRequest, serialize_GetSASLRequest, deserialize_GetSASLRequest {
    buffer token,
});

record!(SetSASLRequest, serialize_SetSASLRequest, deserialize_SetSASLRequest {
    buffer token,
});

record!(SetSASLResponse, serialize_SetSASLResponse, deserialize_SetSASLResponse {
    buffer token,
});

vector!(ACL_vector, serialize_ACL_vector, deserialize_ACL_vector, allocate_ACL_vector, [serialize_ACL deserialize_ACL]);

record!(CreateRequest, serialize_CreateRequest, deserialize_CreateRequest {
    string path,
    buffer data,
    [serialize_ACL_vector deserialize_ACL_vector] acl,
    int flags,
});

record!(CreateTTLRequest, serialize_CreateTTLRequest, deserialize_CreateTTLRequest {
    string path,
    buffer data,
    [serialize_ACL_vector deserialize_ACL_vector] acl,
    int flags,
    long ttl,
});

record!(DeleteRequest, serialize_DeleteRequest, deserialize_DeleteRequest {
    string path,
    int version,
});

record!(GetChildrenRequest, serialize_GetChildrenRequest, deserialize_GetChildrenRequest {
    string path,
    boolean watch,
});

record!(GetAllChildrenNumberRequest, serialize_GetAllChildrenNumberRequest, deserialize_GetAllChildrenNumberRequest {
    string path,
});

record!(GetChildren2Request, serialize_GetChildren2Request, deserialize_GetChildren2Request {
    string path,
    boolean watch,
});

record!(CheckVersionRequest, serialize_CheckVersionRequest, deserialize_CheckVersionRequest {
    string path,
    int version,
});

record!(GetMaxChildrenRequest, serialize_GetMaxChildrenRequest, deserialize_GetMaxChildrenRequest {
    string path,
});

record!(GetMaxChildrenResponse, serialize_GetMaxChildrenResponse, deserialize_GetMaxChildrenResponse {
    int max,
});

record!(SetMaxChildrenRequest, serialize_SetMaxChildrenRequest, deserialize_SetMaxChildrenRequest {
    string path,
    int max,
});

record!(SyncRequest, serialize_SyncRequest, deserialize_SyncRequest {
    string path,
});

record!(SyncResponse, serialize_SyncResponse, deserialize_SyncResponse {
    string path,
});

record!(GetACLRequest, serialize_GetACLRequest, deserialize_GetACLRequest {
    string path,
});

record!(SetACLRequest, serialize_SetACLRequest, deserialize_SetACLRequest {
    string path,
    [serialize_ACL_vector deserialize_ACL_vector] acl,
    int version,
});

record!(SetACLResponse, serialize_SetACLResponse, deserialize_SetACLResponse {
    [serialize_Stat deserialize_Stat] stat,
});

record!(AddWatchRequest, serialize_AddWatchRequest, deserialize_AddWatchRequest {
    string path,
    int mode,
});

record!(WatcherEvent, serialize_WatcherEvent, deserialize_WatcherEvent {
    int r#type,
    int state,
    string path,
});

record!(ErrorResponse, serialize_ErrorResponse, deserialize_ErrorResponse {
    int err,
});

record!(CreateResponse, serialize_CreateResponse, deserialize_CreateResponse {
    string path,
});

record!(Create2Response, serialize_Create2Response, deserialize_Create2Response {
    string path,
    [serialize_Stat deserialize_Stat] stat,
});

record!(ExistsRequest, serialize_ExistsRequest, deserialize_ExistsRequest {
    string path,
    boolean watch,
});

record!(ExistsResponse, serialize_ExistsResponse, deserialize_ExistsResponse {
    [serialize_Stat deserialize_Stat] stat,
});

record!(GetDataResponse, serialize_GetDataResponse, deserialize_GetDataResponse {
    buffer data,
    [serialize_Stat deserialize_Stat] stat,
});

record!(GetChildrenResponse, serialize_GetChildrenResponse, deserialize_GetChildrenResponse {
    [serialize_String_vector deserialize_String_vector] children,
});

record!(GetAllChildrenNumberResponse, serialize_GetAllChildrenNumberResponse, deserialize_GetAllChildrenNumberResponse {
    int totalNumber,
});

record!(GetChildren2Response, serialize_GetChildren2Response, deserialize_GetChildren2Response {
    [serialize_String_vector deserialize_String_vector] children,
    [serialize_Stat deserialize_Stat] stat,
});

record!(GetACLResponse, serialize_GetACLResponse, deserialize_GetACLResponse {
    [serialize_ACL_vector deserialize_ACL_vector] acl,
    [serialize_Stat deserialize_Stat] stat,
});

record!(CheckWatchesRequest, serialize_CheckWatchesRequest, deserialize_CheckWatchesRequest {
    string path,
    int r#type,
});

record!(RemoveWatchesRequest, serialize_RemoveWatchesRequest, deserialize_RemoveWatchesRequest {
    string path,
    int r#type,
});

record!(GetEphemeralsRequest, serialize_GetEphemeralsRequest, deserialize_GetEphemeralsRequest {
    string prefixPath,
});

record!(GetEphemeralsResponse, serialize_GetEphemeralsResponse, deserialize_GetEphemeralsResponse {
    [serialize_String_vector deserialize_String_vector] ephemerals,
});

vector!(ClientInfo_vector, serialize_ClientInfo_vector, deserialize_ClientInfo_vector, allocate_ClientInfo_vector, [serialize_ClientInfo deserialize_ClientInfo]);

record!(WhoAmIResponse, serialize_WhoAmIResponse, deserialize_WhoAmIResponse {
    [serialize_ClientInfo_vector deserialize_ClientInfo_vector] clientInfo,
});

record!(LearnerInfo, serialize_LearnerInfo, deserialize_LearnerInfo {
    long serverid,
    int protocolVersion,
    long configVersion,
});

vector!(Id_vector, serialize_Id_vector, deserialize_Id_vector, allocate_Id_vector, [serialize_Id deserialize_Id]);

record!(QuorumPacket, serialize_QuorumPacket, deserialize_QuorumPacket {
    int r#type,
    long zxid,
    buffer data,
    [serialize_Id_vector deserialize_Id_vector] authinfo,
});

record!(QuorumAuthPacket, serialize_QuorumAuthPacket, deserialize_QuorumAuthPacket {
    long magic,
    int status,
    buffer token,
});

record!(FileHeader, serialize_FileHeader, deserialize_FileHeader {
    int magic,
    int version,
    long dbid,
});

record!(TxnDigest, serialize_TxnDigest, deserialize_TxnDigest {
    int version,
    long treeDigest,
});

record!(TxnHeader, serialize_TxnHeader, deserialize_TxnHeader {
    long clientId,
    int cxid,
    long zxid,
    long time,
    int r#type,
});

record!(CreateTxnV0, serialize_CreateTxnV0, deserialize_CreateTxnV0 {
    string path,
    buffer data,
    [serialize_ACL_vector deserialize_ACL_vector] acl,
    boolean ephemeral,
});

record!(CreateTxn, serialize_CreateTxn, deserialize_CreateTxn {
    string path,
    buffer data,
    [serialize_ACL_vector deserialize_ACL_vector] acl,
    boolean ephemeral,
    int parentCVersion,
});

record!(CreateTTLTxn, serialize_CreateTTLTxn, deserialize_CreateTTLTxn {
    string path,
    buffer data,
    [serialize_ACL_vector deserialize_ACL_vector] acl,
    int parentCVersion,
    long ttl,
});

record!(CreateContainerTxn, serialize_CreateContainerTxn, deserialize_CreateContainerTxn {
    string path,
    buffer data,
    [serialize_ACL_vector deserialize_ACL_vector] acl,
    int parentCVersion,
});

record!(DeleteTxn, serialize_DeleteTxn, deserialize_DeleteTxn {
    string path,
});

record!(SetDataTxn, serialize_SetDataTxn, deserialize_SetDataTxn {
    string path,
    buffer data,
    int version,
});

record!(CheckVersionTxn, serialize_CheckVersionTxn, deserialize_CheckVersionTxn {
    string path,
    int version,
});

record!(SetACLTxn, serialize_SetACLTxn, deserialize_SetACLTxn {
    string path,
    [serialize_ACL_vector deserialize_ACL_vector] acl,
    int version,
});

record!(SetMaxChildrenTxn, serialize_SetMaxChildrenTxn, deserialize_SetMaxChildrenTxn {
    string path,
    int max,
});

record!(CreateSessionTxn, serialize_CreateSessionTxn, deserialize_CreateSessionTxn {
    int timeOut,
});

record!(CloseSessionTxn, serialize_CloseSessionTxn, deserialize_CloseSessionTxn {
    [serialize_String_vector deserialize_String_vector] paths2Delete,
});

record!(ErrorTxn, serialize_ErrorTxn, deserialize_ErrorTxn {
    int err,
});

record!(Txn, serialize_Txn, deserialize_Txn {
    int r#type,
    buffer data,
});

vector!(Txn_vector, serialize_Txn_vector, deserialize_Txn_vector, allocate_Txn_vector, [serialize_Txn deserialize_Txn]);

record!(MultiTxn, serialize_MultiTxn, deserialize_MultiTxn {
    [serialize_Txn_vector deserialize_Txn_vector] txns,
});
