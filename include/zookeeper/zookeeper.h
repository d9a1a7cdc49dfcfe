/*
 * A client of ZooKeeper for C and C++, source-compatible with Apache ZooKeeper's zookeeper.h.
 *
 * Two libraries have these functions. libzookeeper_mt has threads of its own for each handle and the synchronous
 * calls (define THREADED before including this file); libzookeeper_st has none, and the application calls
 * zookeeper_interest and zookeeper_process from its own loop.
 *
 * Arguments are copied before a call returns. What a completion or a watcher is given is valid until it returns.
 * Vectors that synchronous calls fill belong to the caller: deallocate_String_vector, deallocate_ACL_vector, or free.
 */
#ifndef ZOOKEEPER_H_
#define ZOOKEEPER_H_

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#ifdef HAVE_OPENSSL_H
#include <openssl/types.h>
#endif
#ifdef HAVE_CYRUS_SASL_H
#include <sasl/sasl.h>
#endif

#include "proto.h"
#include "recordio.h"
#include "zookeeper.jute.h"
#include "zookeeper_version.h"

#ifndef ZOOAPI
#define ZOOAPI
#endif

/* What functions return and completions are given. Servers may send codes that have no name here. */
enum ZOO_ERRORS {
    ZOK = 0,

    /* The client or the server could not do it. */
    ZSYSTEMERROR = -1,
    ZRUNTIMEINCONSISTENCY = -2,  /* a reply out of order; in a failed multi: an operation after the one that failed */
    ZDATAINCONSISTENCY = -3,
    ZCONNECTIONLOSS = -4,        /* the link broke; the request may have been carried out or not */
    ZMARSHALLINGERROR = -5,
    ZUNIMPLEMENTED = -6,
    ZOPERATIONTIMEOUT = -7,      /* the server was silent for two thirds of the session's timeout */
    ZBADARGUMENTS = -8,
    ZINVALIDSTATE = -9,          /* the handle's session has expired, or its authentication failed */
    ZNEWCONFIGNOQUORUM = -13,    /* the members of the new configuration are not connected and up to date */
    ZRECONFIGINPROGRESS = -14,
    ZSSLCONNECTIONERROR = -15,

    /* The server refuses. Not a code of its own: all below are smaller. */
    ZAPIERROR = -100,
    ZNONODE = -101,
    ZNOAUTH = -102,
    ZBADVERSION = -103,
    ZNOCHILDRENFOREPHEMERALS = -108,
    ZNODEEXISTS = -110,
    ZNOTEMPTY = -111,
    ZSESSIONEXPIRED = -112,
    ZINVALIDCALLBACK = -113,
    ZINVALIDACL = -114,
    ZAUTHFAILED = -115,
    ZCLOSING = -116,             /* the handle is being closed */
    ZNOTHING = -117,             /* no error: zookeeper_process found no complete message */
    ZSESSIONMOVED = -118,
    ZNOTREADONLY = -119,         /* a write on a read-only server */
    ZEPHEMERALONLOCALSESSION = -120,
    ZNOWATCHER = -121,
    ZRECONFIGDISABLED = -123,
    ZSESSIONCLOSEDREQUIRESASLAUTH = -124,
    ZTHROTTLEDOP = -127          /* not carried out: the server is too busy */
};

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    ZOO_LOG_LEVEL_ERROR = 1,
    ZOO_LOG_LEVEL_WARN = 2,
    ZOO_LOG_LEVEL_INFO = 3,
    ZOO_LOG_LEVEL_DEBUG = 4
} ZooLogLevel;

/* Permissions of an ACL entry. */
extern ZOOAPI const int ZOO_PERM_READ;
extern ZOOAPI const int ZOO_PERM_WRITE;
extern ZOOAPI const int ZOO_PERM_CREATE;
extern ZOOAPI const int ZOO_PERM_DELETE;
extern ZOOAPI const int ZOO_PERM_ADMIN;
extern ZOOAPI const int ZOO_PERM_ALL;

/* The node that holds the ensemble's configuration. */
#define ZOO_CONFIG_NODE "/zookeeper/config"

/* Flags of zookeeper_init: a read-only server will do; no "Client environment" lines in the log. */
#define ZOO_READONLY 1
#define ZOO_NO_LOG_CLIENTENV 2

/* Anyone; and whoever this client has authenticated as (in ACLs only). */
extern ZOOAPI struct Id ZOO_ANYONE_ID_UNSAFE;
extern ZOOAPI struct Id ZOO_AUTH_IDS;

/* Everything to anyone; reading to anyone; everything to the creator. */
extern ZOOAPI struct ACL_vector ZOO_OPEN_ACL_UNSAFE;
extern ZOOAPI struct ACL_vector ZOO_READ_ACL_UNSAFE;
extern ZOOAPI struct ACL_vector ZOO_CREATOR_ALL_ACL;

/* Bits of zookeeper_interest and zookeeper_process. */
extern ZOOAPI const int ZOOKEEPER_WRITE;
extern ZOOAPI const int ZOOKEEPER_READ;

/* Modes of create. */
extern ZOOAPI const int ZOO_PERSISTENT;
extern ZOOAPI const int ZOO_EPHEMERAL;
extern ZOOAPI const int ZOO_PERSISTENT_SEQUENTIAL;
extern ZOOAPI const int ZOO_EPHEMERAL_SEQUENTIAL;
extern ZOOAPI const int ZOO_CONTAINER;
extern ZOOAPI const int ZOO_PERSISTENT_WITH_TTL;
extern ZOOAPI const int ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL;
/* The bit of a sequential mode among the first four. */
extern ZOOAPI const int ZOO_SEQUENCE;

/* States of a handle: zoo_state, and the state of session events. */
extern ZOOAPI const int ZOO_EXPIRED_SESSION_STATE;
extern ZOOAPI const int ZOO_AUTH_FAILED_STATE;
extern ZOOAPI const int ZOO_CONNECTING_STATE;
extern ZOOAPI const int ZOO_ASSOCIATING_STATE;
extern ZOOAPI const int ZOO_CONNECTED_STATE;
extern ZOOAPI const int ZOO_READONLY_STATE;
extern ZOOAPI const int ZOO_NOTCONNECTED_STATE;

/* Types of events. */
extern ZOOAPI const int ZOO_CREATED_EVENT;      /* the node came; from zoo_wexists */
extern ZOOAPI const int ZOO_DELETED_EVENT;      /* the node went */
extern ZOOAPI const int ZOO_CHANGED_EVENT;      /* its data was set */
extern ZOOAPI const int ZOO_CHILD_EVENT;        /* a child came or went */
extern ZOOAPI const int ZOO_SESSION_EVENT;      /* the state of the session changed; the path is empty */
extern ZOOAPI const int ZOO_NOTWATCHING_EVENT;  /* never happens */

/* A client: a session, its connection, its watches. */
typedef struct _zhandle zhandle_t;

typedef struct _zcert {
    char *certstr;
    char *ca;
    char *cert;
    char *key;
    char *passwd;
} zcert_t;

typedef struct _zsock {
    int sock;
    zcert_t *cert;
#ifdef HAVE_OPENSSL_H
    SSL *ssl_sock;
    SSL_CTX *ssl_ctx;
#endif
} zsock_t;

/* What proves to a server that a session is ours. */
typedef struct {
    int64_t client_id;
    char passwd[16];
} clientid_t;

/* One operation of a multi; fill it with the functions below. What it points to must live until the completion. */
typedef struct zoo_op {
    int type;
    union {
        struct {
            const char *path;
            const char *data;
            int datalen;
            char *buf;
            int buflen;
            const struct ACL_vector *acl;
            int flags;
            int64_t ttl;
        } create_op;
        struct {
            const char *path;
            int version;
        } delete_op;
        struct {
            const char *path;
            const char *data;
            int datalen;
            int version;
            struct Stat *stat;
        } set_op;
        struct {
            const char *path;
            int version;
        } check_op;
    };
} zoo_op_t;

/* Creates a node; its name goes to path_buffer, cut if need be and always ended by NUL. */
void zoo_create_op_init(zoo_op_t *op, const char *path, const char *value, int valuelen,
                        const struct ACL_vector *acl, int mode, char *path_buffer, int path_buffer_len);
/* Deletes a node of this version; -1 is any. */
void zoo_delete_op_init(zoo_op_t *op, const char *path, int version);
/* Sets the data of a node of this version; its new Stat goes to stat unless that is NULL. */
void zoo_set_op_init(zoo_op_t *op, const char *path, const char *buffer, int buflen, int version, struct Stat *stat);
/* Asks that the node has this version. */
void zoo_check_op_init(zoo_op_t *op, const char *path, int version);

/* What became of one operation: its code, and where the name or the Stat of the operation is. */
typedef struct zoo_op_result {
    int err;
    char *value;
    int valuelen;
    struct Stat *stat;
} zoo_op_result_t;

/* Is told of an event. Watchers of nodes are called once; the handle's own is told of every session event. */
typedef void (*watcher_fn)(zhandle_t *zh, int type, int state, const char *path, void *watcherCtx);

/* Is given each line of the log, without a newline, by any thread. */
typedef void (*log_callback_fn)(const char *message);

/*
 * Makes a handle. host: "name:port,name:port/chroot". recv_timeout: the session's timeout, ms. clientid: a session to
 * go on with, or NULL. Returns at once; the watcher is told when the session is there. NULL with errno when the
 * arguments are wrong or no host can be resolved.
 */
ZOOAPI zhandle_t *zookeeper_init(const char *host, watcher_fn fn, int recv_timeout, const clientid_t *clientid,
                                 void *context, int flags);
#ifdef HAVE_OPENSSL_H
/* cert: "ca,cert,key,password" or "ca". */
ZOOAPI zhandle_t *zookeeper_init_ssl(const char *host, const char *cert, watcher_fn fn, int recv_timeout,
                                     const clientid_t *clientid, void *context, int flags);
#endif
ZOOAPI void close_zsock(zsock_t *zsock);

/* The same with a function for the handle's log lines. */
ZOOAPI zhandle_t *zookeeper_init2(const char *host, watcher_fn fn, int recv_timeout, const clientid_t *clientid,
                                  void *context, int flags, log_callback_fn log_callback);

#ifdef HAVE_CYRUS_SASL_H
/* How to authenticate by SASL; the strings are copied, the callbacks must outlive the handle. */
typedef struct zoo_sasl_params {
    const char *service;
    const char *host;
    const char *mechlist;
    const sasl_callback_t *callbacks;
} zoo_sasl_params_t;

ZOOAPI zhandle_t *zookeeper_init_sasl(const char *host, watcher_fn fn, int recv_timeout, const clientid_t *clientid,
                                      void *context, int flags, log_callback_fn log_callback,
                                      zoo_sasl_params_t *sasl_params);
ZOOAPI sasl_callback_t *zoo_sasl_make_basic_callbacks(const char *user, const char *realm, const char *password_file);

typedef int (*zoo_sasl_password_callback_t)(const char *content, size_t content_len, void *context, char *buf,
                                            size_t buf_len, size_t *passwd_len);
typedef struct zoo_sasl_password {
    const char *password_file;
    void *context;
    zoo_sasl_password_callback_t callback;
} zoo_sasl_password_t;
ZOOAPI sasl_callback_t *zoo_sasl_make_password_callbacks(const char *user, const char *realm,
                                                         zoo_sasl_password_t *password);
#endif

/* Replaces the list of servers; moves to another one when that evens out the load. No chroot here. */
ZOOAPI int zoo_set_servers(zhandle_t *zh, const char *hosts);
/* How often names are resolved anew: at most once in delay_ms, 0 always, -1 only while disconnected. */
ZOOAPI int zoo_set_servers_resolution_delay(zhandle_t *zh, int delay_ms);
/* The next attempt to connect goes to the next server. */
ZOOAPI void zoo_cycle_next_server(zhandle_t *zh);
/* "address:port" of the current server, in memory of the calling thread that the next call overwrites. */
ZOOAPI const char *zoo_get_current_server(zhandle_t *zh);

/*
 * Ends the session if it is connected, completes what is outstanding with ZCLOSING, and frees the handle. It may be
 * called from a callback.
 */
ZOOAPI int zookeeper_close(zhandle_t *zh);

/* The session, in memory of the handle; zeros before the first one. */
ZOOAPI const clientid_t *zoo_client_id(zhandle_t *zh);
/* The session's timeout, ms: the server's once connected. */
ZOOAPI int zoo_recv_timeout(zhandle_t *zh);
/* What watchers registered by a watch flag are given. */
ZOOAPI const void *zoo_get_context(zhandle_t *zh);
ZOOAPI void zoo_set_context(zhandle_t *zh, void *context);
/* Replaces the handle's watcher; returns the old one. */
ZOOAPI watcher_fn zoo_set_watcher(zhandle_t *zh, watcher_fn newFn);
/* The address of the server, NULL unless connected. */
ZOOAPI struct sockaddr *zookeeper_get_connected_host(zhandle_t *zh, struct sockaddr *addr, socklen_t *addr_len);

#ifndef THREADED
/*
 * What to wait for: on which descriptor (-1: none), for which bits, and for how long at most. To be called before
 * every wait.
 */
ZOOAPI int zookeeper_interest(zhandle_t *zh, int *fd, int *interest, struct timeval *tv);
/* To be called after every wait with the bits that are ready; calls the callbacks. */
ZOOAPI int zookeeper_process(zhandle_t *zh, int events);
#endif

/* Completions. data is the caller's; the other pointers are NULL unless rc is ZOK. */
typedef void (*void_completion_t)(int rc, const void *data);
typedef void (*stat_completion_t)(int rc, const struct Stat *stat, const void *data);
typedef void (*data_completion_t)(int rc, const char *value, int value_len, const struct Stat *stat, const void *data);
typedef void (*strings_completion_t)(int rc, const struct String_vector *strings, const void *data);
typedef void (*string_stat_completion_t)(int rc, const char *string, const struct Stat *stat, const void *data);
typedef void (*strings_stat_completion_t)(int rc, const struct String_vector *strings, const struct Stat *stat,
                                          const void *data);
typedef void (*string_completion_t)(int rc, const char *value, const void *data);
typedef void (*acl_completion_t)(int rc, struct ACL_vector *acl, struct Stat *stat, const void *data);

/* The state of the handle: one of the constants above; 0 while a lost connection has not been tried again. */
ZOOAPI int zoo_state(zhandle_t *zh);

/*
 * Requests that return at once. ZOK: the completion will be called, exactly once. ZBADARGUMENTS: a wrong argument;
 * ZINVALIDSTATE: the session is over; ZCLOSING: the handle is being closed.
 * valuelen -1 with value NULL stores no data. watch != 0 registers the handle's watcher; the w functions register
 * the one given unless it is NULL.
 */
ZOOAPI int zoo_acreate(zhandle_t *zh, const char *path, const char *value, int valuelen, const struct ACL_vector *acl,
                       int mode, string_completion_t completion, const void *data);
ZOOAPI int zoo_acreate_ttl(zhandle_t *zh, const char *path, const char *value, int valuelen,
                           const struct ACL_vector *acl, int mode, int64_t ttl, string_completion_t completion,
                           const void *data);
ZOOAPI int zoo_acreate2(zhandle_t *zh, const char *path, const char *value, int valuelen, const struct ACL_vector *acl,
                        int mode, string_stat_completion_t completion, const void *data);
ZOOAPI int zoo_acreate2_ttl(zhandle_t *zh, const char *path, const char *value, int valuelen,
                            const struct ACL_vector *acl, int mode, int64_t ttl, string_stat_completion_t completion,
                            const void *data);
ZOOAPI int zoo_adelete(zhandle_t *zh, const char *path, int version, void_completion_t completion, const void *data);
ZOOAPI int zoo_aexists(zhandle_t *zh, const char *path, int watch, stat_completion_t completion, const void *data);
ZOOAPI int zoo_awexists(zhandle_t *zh, const char *path, watcher_fn watcher, void *watcherCtx,
                        stat_completion_t completion, const void *data);
ZOOAPI int zoo_aget(zhandle_t *zh, const char *path, int watch, data_completion_t completion, const void *data);
ZOOAPI int zoo_awget(zhandle_t *zh, const char *path, watcher_fn watcher, void *watcherCtx,
                     data_completion_t completion, const void *data);
/* The ensemble's configuration; not below the chroot. */
ZOOAPI int zoo_agetconfig(zhandle_t *zh, int watch, data_completion_t completion, const void *data);
ZOOAPI int zoo_awgetconfig(zhandle_t *zh, watcher_fn watcher, void *watcherCtx, data_completion_t completion,
                           const void *data);
/* Changes the ensemble: joining and leaving, or members alone. version -1 is any configuration. */
ZOOAPI int zoo_areconfig(zhandle_t *zh, const char *joining, const char *leaving, const char *members, int64_t version,
                         data_completion_t dc, const void *data);
ZOOAPI int zoo_aset(zhandle_t *zh, const char *path, const char *buffer, int buflen, int version,
                    stat_completion_t completion, const void *data);
ZOOAPI int zoo_aget_children(zhandle_t *zh, const char *path, int watch, strings_completion_t completion,
                             const void *data);
ZOOAPI int zoo_awget_children(zhandle_t *zh, const char *path, watcher_fn watcher, void *watcherCtx,
                              strings_completion_t completion, const void *data);
ZOOAPI int zoo_aget_children2(zhandle_t *zh, const char *path, int watch, strings_stat_completion_t completion,
                              const void *data);
ZOOAPI int zoo_awget_children2(zhandle_t *zh, const char *path, watcher_fn watcher, void *watcherCtx,
                               strings_stat_completion_t completion, const void *data);
/* Waits until the server has seen all that the leader had. */
ZOOAPI int zoo_async(zhandle_t *zh, const char *path, string_completion_t completion, const void *data);
ZOOAPI int zoo_aget_acl(zhandle_t *zh, const char *path, acl_completion_t completion, const void *data);
ZOOAPI int zoo_aset_acl(zhandle_t *zh, const char *path, int version, struct ACL_vector *acl, void_completion_t,
                        const void *data);
/* All of the operations or none. */
ZOOAPI int zoo_amulti(zhandle_t *zh, int count, const zoo_op_t *ops, zoo_op_result_t *results, void_completion_t,
                      const void *data);

/* The text of a return code, or of errno when positive. */
ZOOAPI const char *zerror(int c);

/*
 * Authenticates, now and at every connection to come. The completion may be NULL. On failure the handle is dead and
 * its state ZOO_AUTH_FAILED_STATE.
 */
ZOOAPI int zoo_add_auth(zhandle_t *zh, const char *scheme, const char *cert, int certLen, void_completion_t completion,
                        const void *data);

/* ZINVALIDSTATE when the session is over for good, else ZOK. */
ZOOAPI int is_unrecoverable(zhandle_t *zh);

/* The log: up to which level; to which stream (NULL: stderr); or to a function for a handle. */
ZOOAPI void zoo_set_debug_level(ZooLogLevel logLevel);
ZOOAPI void zoo_set_log_stream(FILE *logStream);
ZOOAPI log_callback_fn zoo_get_log_callback(const zhandle_t *zh);
ZOOAPI void zoo_set_log_callback(zhandle_t *zh, log_callback_fn callback);

/* Not 0: handles made from now on take servers in the order of the list, unshuffled. */
ZOOAPI void zoo_deterministic_conn_order(int yesOrNo);

/* The version of the library: ZOO_VERSION of its own headers. */
ZOOAPI const char *zoo_version_str(void);

/* Which watches to remove: of children, of data and existence, or both. */
typedef enum { ZWATCHTYPE_CHILD = 1, ZWATCHTYPE_DATA = 2, ZWATCHTYPE_ANY = 3 } ZooWatcherType;

/*
 * Removes one watcher, or all watchers, of a path. local: here only, without asking the server.
 * The completion is the function itself, cast to this type.
 */
ZOOAPI int zoo_aremove_watches(zhandle_t *zh, const char *path, ZooWatcherType wtype, watcher_fn watcher,
                               void *watcherCtx, int local, void_completion_t *completion, const void *data);
ZOOAPI int zoo_remove_all_watches(zhandle_t *zh, const char *path, ZooWatcherType wtype, int local);
ZOOAPI int zoo_aremove_all_watches(zhandle_t *zh, const char *path, ZooWatcherType wtype, int local,
                                   void_completion_t *completion, const void *data);

#ifdef THREADED
/*
 * The same requests, waiting for the reply; also from within callbacks. Buffers: *buffer_len is the room, then the
 * bytes that were put there (-1: the node has no data); path_buffer gets the name, cut if need be and ended by NUL.
 * A Stat, a vector or a buffer that is not wanted may be NULL.
 */
ZOOAPI int zoo_create(zhandle_t *zh, const char *path, const char *value, int valuelen, const struct ACL_vector *acl,
                      int mode, char *path_buffer, int path_buffer_len);
ZOOAPI int zoo_create_ttl(zhandle_t *zh, const char *path, const char *value, int valuelen,
                          const struct ACL_vector *acl, int mode, int64_t ttl, char *path_buffer, int path_buffer_len);
ZOOAPI int zoo_create2(zhandle_t *zh, const char *path, const char *value, int valuelen, const struct ACL_vector *acl,
                       int mode, char *path_buffer, int path_buffer_len, struct Stat *stat);
ZOOAPI int zoo_create2_ttl(zhandle_t *zh, const char *path, const char *value, int valuelen,
                           const struct ACL_vector *acl, int mode, int64_t ttl, char *path_buffer, int path_buffer_len,
                           struct Stat *stat);
ZOOAPI int zoo_delete(zhandle_t *zh, const char *path, int version);
ZOOAPI int zoo_exists(zhandle_t *zh, const char *path, int watch, struct Stat *stat);
ZOOAPI int zoo_wexists(zhandle_t *zh, const char *path, watcher_fn watcher, void *watcherCtx, struct Stat *stat);
ZOOAPI int zoo_get(zhandle_t *zh, const char *path, int watch, char *buffer, int *buffer_len, struct Stat *stat);
ZOOAPI int zoo_wget(zhandle_t *zh, const char *path, watcher_fn watcher, void *watcherCtx, char *buffer,
                    int *buffer_len, struct Stat *stat);
ZOOAPI int zoo_getconfig(zhandle_t *zh, int watch, char *buffer, int *buffer_len, struct Stat *stat);
ZOOAPI int zoo_wgetconfig(zhandle_t *zh, watcher_fn watcher, void *watcherCtx, char *buffer, int *buffer_len,
                          struct Stat *stat);
ZOOAPI int zoo_reconfig(zhandle_t *zh, const char *joining, const char *leaving, const char *members, int64_t version,
                        char *buffer, int *buffer_len, struct Stat *stat);
ZOOAPI int zoo_set(zhandle_t *zh, const char *path, const char *buffer, int buflen, int version);
ZOOAPI int zoo_set2(zhandle_t *zh, const char *path, const char *buffer, int buflen, int version, struct Stat *stat);
ZOOAPI int zoo_get_children(zhandle_t *zh, const char *path, int watch, struct String_vector *strings);
ZOOAPI int zoo_wget_children(zhandle_t *zh, const char *path, watcher_fn watcher, void *watcherCtx,
                             struct String_vector *strings);
ZOOAPI int zoo_get_children2(zhandle_t *zh, const char *path, int watch, struct String_vector *strings,
                             struct Stat *stat);
ZOOAPI int zoo_wget_children2(zhandle_t *zh, const char *path, watcher_fn watcher, void *watcherCtx,
                              struct String_vector *strings, struct Stat *stat);
ZOOAPI int zoo_get_acl(zhandle_t *zh, const char *path, struct ACL_vector *acl, struct Stat *stat);
ZOOAPI int zoo_set_acl(zhandle_t *zh, const char *path, int version, const struct ACL_vector *acl);
ZOOAPI int zoo_multi(zhandle_t *zh, int count, const zoo_op_t *ops, zoo_op_result_t *results);
ZOOAPI int zoo_remove_watches(zhandle_t *zh, const char *path, ZooWatcherType wtype, watcher_fn watcher,
                              void *watcherCtx, int local);
#endif

#ifdef __cplusplus
}
#endif

#endif
