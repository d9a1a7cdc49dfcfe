/*
 * What Apache's C client lacks and its Java client has: persistent watches, the connection's identities, the
 * session's ephemerals, the number of descendants, and creation with a Stat or a time to live within a multi.
 * The rules of zookeeper.h hold here too.
 */
#ifndef ZOOKEEPER_EXT_H_
#define ZOOKEEPER_EXT_H_

#include <zookeeper.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What servers from 3.9 on may also answer; zookeeper.h has no names for them. */
enum ZOO_EXT_ERRORS { ZREQUESTTIMEOUT = -122, ZQUOTAEXCEEDED = -125 };

/* How a persistent watch looks at the tree: at the node and its children, or at all below it. */
typedef enum { ZADDWATCH_PERSISTENT = 0, ZADDWATCH_PERSISTENT_RECURSIVE = 1 } ZooAddWatchMode;

/* The type of watches that zoo_aremove_watches and its kin can also remove. */
enum { ZWATCHTYPE_PERSISTENT = 4, ZWATCHTYPE_PERSISTENT_RECURSIVE = 5 };

typedef void (*client_info_completion_t)(int rc, const struct ClientInfo_vector *infos, const void *data);
typedef void (*number_completion_t)(int rc, int number, const void *data);

/* Tells the watcher of every change until it is removed; never of ZOO_CHILD_EVENT when recursive. */
ZOOAPI int zoo_aadd_watch(zhandle_t *zh, const char *path, ZooAddWatchMode mode, watcher_fn watcher, void *watcherCtx,
                          void_completion_t completion, const void *data);
/* As whom the server knows this connection. */
ZOOAPI int zoo_awho_am_i(zhandle_t *zh, client_info_completion_t completion, const void *data);
/* The paths of this session's ephemerals that begin with prefix. */
ZOOAPI int zoo_aget_ephemerals(zhandle_t *zh, const char *prefix, strings_completion_t completion, const void *data);
/* How many nodes there are below path. */
ZOOAPI int zoo_aget_all_children_number(zhandle_t *zh, const char *path, number_completion_t completion,
                                        const void *data);

/*
 * For zoo_multi: create with a Stat, and with a time to live (ms, 1 to 2^40 - 1; the modes ZOO_PERSISTENT_WITH_TTL and
 * ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL). The results of both have a Stat: set results[i].stat before the call, to where
 * it shall go or to NULL.
 */
ZOOAPI void zoo_create2_op_init(zoo_op_t *op, const char *path, const char *value, int valuelen,
                                const struct ACL_vector *acl, int mode, char *path_buffer, int path_buffer_len);
ZOOAPI void zoo_create_ttl_op_init(zoo_op_t *op, const char *path, const char *value, int valuelen,
                                   const struct ACL_vector *acl, int mode, int64_t ttl, char *path_buffer,
                                   int path_buffer_len);

#ifdef THREADED
ZOOAPI int zoo_add_watch(zhandle_t *zh, const char *path, ZooAddWatchMode mode, watcher_fn watcher, void *watcherCtx);
/* The vector is the caller's: deallocate_ClientInfo_vector. */
ZOOAPI int zoo_who_am_i(zhandle_t *zh, struct ClientInfo_vector *infos);
ZOOAPI int zoo_get_ephemerals(zhandle_t *zh, const char *prefix, struct String_vector *strings);
ZOOAPI int zoo_get_all_children_number(zhandle_t *zh, const char *path, int *number);
#endif

#ifdef __cplusplus
}
#endif

#endif
