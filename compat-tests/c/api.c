/*
 * Every function of the client library, with good and with bad arguments, as a transcript. Compiled with -DTHREADED it
 * has the synchronous calls too. The first argument is host:port; with a second one, "exact", it also says where the
 * original is wrong.
 */
#include "transcript.h"
#include <netinet/in.h>

#define STEP(call)                                                                                                     \
    do {                                                                                                               \
        int rc_ = (call);                                                                                              \
        if (rc_ == ZOK)                                                                                                \
            await(zh, 1);                                                                                              \
        else                                                                                                           \
            say("%s refused: %d", #call, rc_);                                                                         \
    } while (0)
#define CODE(call) say("%s = %d", #call, (call))
/* A call that causes events: they may be delivered before or after it returns, so it is said afterwards. */
#define CODE_AFTER(events, call)                                                                                       \
    do {                                                                                                               \
        int rc_ = (call);                                                                                              \
        await(zh, events);                                                                                             \
        say("%s = %d", #call, rc_);                                                                                    \
    } while (0)

static const char *server;

static void texts(void)
{
    int code;
    for (code = -130; code <= 2; code++)
        say("zerror %d: %s", code, zerror(code));
    say("zerror 2147483647: %d", zerror(2147483647) != NULL);
}

static void inits(void)
{
    static const char *const bad[] = {"", "localhost", "localhost:", "localhost:0", "localhost:x", "localhost:1 ",
                                      "127.0.0.1:1/a/", "127.0.0.1:1/a//b", "127.0.0.1:1/.", "127.0.0.1"};
    size_t i;
    errno = 0;
    say("init NULL: %d, errno %d", zookeeper_init(NULL, on_session, 1000, NULL, NULL, ZOO_NO_LOG_CLIENTENV) != NULL, errno);
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        zhandle_t *zh;
        errno = 0;
        zh = zookeeper_init(bad[i], NULL, 1000, NULL, NULL, ZOO_NO_LOG_CLIENTENV);
        say("init \"%s\": %s, errno %d", bad[i], zh ? "a handle" : "NULL", zh ? 0 : errno);
        if (zh)
            zookeeper_close(zh);
    }
}

static void nulls(void)
{
    zhandle_t *zh = NULL;
    int n = 0;
    struct timeval tv;
    CODE(zoo_state(zh));
    CODE(zookeeper_close(zh));
    CODE(zoo_acreate(zh, "/a", "", 0, NULL, 0, on_string, "x"));
    CODE(zoo_acreate_ttl(zh, "/a", "", 0, NULL, 0, -1, on_string, "x"));
    CODE(zoo_acreate2(zh, "/a", "", 0, NULL, 0, on_string_stat, "x"));
    CODE(zoo_acreate2_ttl(zh, "/a", "", 0, NULL, 0, -1, on_string_stat, "x"));
    CODE(zoo_adelete(zh, "/a", -1, on_void, "x"));
    CODE(zoo_add_auth(zh, "digest", "a:b", 3, on_void, "x"));
    CODE(zoo_get_log_callback(zh) != NULL);
    zoo_set_log_callback(zh, NULL);
#ifndef THREADED
    CODE(zookeeper_interest(zh, &n, &n, &tv));
    CODE(zookeeper_process(zh, 0));
#else
    (void)n;
    (void)tv;
    CODE(zoo_create(zh, "/a", "", 0, NULL, 0, NULL, 0));
    CODE(zoo_delete(zh, "/a", -1));
#endif
}

static void bad_paths(zhandle_t *zh)
{
    static const char *const bad[] = {"", "a", "a/b", "/a/", "//", "/a//b", "/.", "/..", "/a/./b", "/a/../b", "/a/..", "/\x01", "/a\x1e"};
    size_t i;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        say("path %zu: get %d create %d delete %d exists %d set %d children %d sync %d acl %d", i,
            zoo_aget(zh, bad[i], 0, on_data, "x"),
            zoo_acreate(zh, bad[i], "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, on_string, "x"),
            zoo_adelete(zh, bad[i], -1, on_void, "x"), zoo_aexists(zh, bad[i], 0, on_stat, "x"),
            zoo_aset(zh, bad[i], "", 0, -1, on_stat, "x"), zoo_aget_children(zh, bad[i], 0, on_strings, "x"),
            zoo_async(zh, bad[i], on_string, "x"), zoo_aget_acl(zh, bad[i], on_acl, "x"));
    }
    CODE(zoo_aget(zh, NULL, 0, on_data, "x"));
    CODE(zoo_aexists(zh, NULL, 0, on_stat, "x"));
    CODE(zoo_add_auth(zh, NULL, "a:b", 3, on_void, "x"));
    CODE(zoo_set_servers(zh, NULL));
    CODE(zoo_set_servers_resolution_delay(zh, -2));
    CODE(zoo_set_servers_resolution_delay(zh, -1));
    CODE(zoo_set_servers_resolution_delay(zh, 1000));
    CODE(zoo_set_servers_resolution_delay(zh, 0));
    CODE(zoo_acreate_ttl(zh, "/c/t", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 0, on_string, "x"));
    CODE(zoo_acreate_ttl(zh, "/c/t", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 0x10000000000LL, on_string, "x"));
    CODE(zoo_acreate_ttl(zh, "/c/t", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, 5, on_string, "x"));
    CODE(zoo_acreate2_ttl(zh, "/c/t", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, 5, on_string_stat, "x"));
    CODE(zoo_acreate(zh, "/c/t", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, on_string, "x"));
}

/* On a handle of its own: the original is of no use after them. */
static void bad_servers(void)
{
    zhandle_t *zh = zookeeper_init(server, NULL, 10000, NULL, NULL, ZOO_NO_LOG_CLIENTENV);
    CODE(zoo_set_servers(zh, "nonsense"));
    CODE(zoo_set_servers(zh, "127.0.0.1:1/chroot"));
    CODE(zookeeper_close(zh));
}

static void asynchronous(zhandle_t *zh)
{
    char big[3000];
    memset(big, 'b', sizeof big);
    STEP(zoo_acreate(zh, "/c", "root", 4, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, on_string, "create /c"));
    STEP(zoo_acreate(zh, "/c", "root", 4, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, on_string, "create /c again"));
    STEP(zoo_acreate(zh, "/c/null", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, on_string, "create null data"));
    STEP(zoo_acreate(zh, "/c/empty", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, on_string, "create empty data"));
    STEP(zoo_acreate(zh, "/c/big", big, sizeof big, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, on_string, "create big"));
    STEP(zoo_acreate(zh, "/c/noacl", "", 0, NULL, ZOO_PERSISTENT, on_string, "create without acl"));
    STEP(zoo_acreate(zh, "/c/no/parent", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, on_string, "create without parent"));
    STEP(zoo_acreate(zh, "/c/mode", "", 0, &ZOO_OPEN_ACL_UNSAFE, 99, on_string, "create of mode 99"));
    STEP(zoo_acreate(zh, "/c/eph", "e", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, on_string, "create ephemeral"));
    STEP(zoo_acreate(zh, "/c/eph/x", "e", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, on_string, "child of ephemeral"));
    STEP(zoo_acreate(zh, "/c/seq-", "s", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL, on_string, "sequential"));
    STEP(zoo_acreate(zh, "/c/seq/", "s", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL, on_string, "sequential below nothing"));
    STEP(zoo_acreate(zh, "/c/", "s", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL, on_string, "sequential without name"));
    STEP(zoo_acreate2(zh, "/c/two", "2", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, on_string_stat, "create2"));
    STEP(zoo_acreate2(zh, "/c/two", "2", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, on_string_stat, "create2 again"));
    STEP(zoo_acreate(zh, "/c/container", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, on_string, "create container"));
    STEP(zoo_acreate2(zh, "/c/container2", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, on_string_stat, "create2 container"));
    STEP(zoo_acreate_ttl(zh, "/c/ttl", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 100000, on_string, "create ttl"));
    STEP(zoo_acreate2_ttl(zh, "/c/ttl-", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL, 100000, on_string_stat, "create2 ttl"));
    STEP(zoo_aget(zh, "/c", 0, on_data, "get"));
    STEP(zoo_aget(zh, "/c/null", 0, on_data, "get null"));
    STEP(zoo_aget(zh, "/c/empty", 0, on_data, "get empty"));
    STEP(zoo_aget(zh, "/c/big", 0, on_data, "get big"));
    STEP(zoo_aget(zh, "/c/none", 0, on_data, "get none"));
    STEP(zoo_aexists(zh, "/c/eph", 0, on_stat, "exists ephemeral"));
    STEP(zoo_aexists(zh, "/c/none", 0, on_stat, "exists none"));
    STEP(zoo_aset(zh, "/c/empty", "full", 4, 0, on_stat, "set"));
    STEP(zoo_aset(zh, "/c/empty", "full", 4, 0, on_stat, "set with an old version"));
    STEP(zoo_aset(zh, "/c/empty", NULL, -1, -1, on_stat, "set null"));
    STEP(zoo_aset(zh, "/c/none", "x", 1, -1, on_stat, "set none"));
    STEP(zoo_aget_children(zh, "/c", 0, on_strings, "children"));
    STEP(zoo_aget_children(zh, "/c/empty", 0, on_strings, "no children"));
    STEP(zoo_aget_children(zh, "/c/none", 0, on_strings, "children of none"));
    STEP(zoo_aget_children2(zh, "/c", 0, on_strings_stat, "children2"));
    STEP(zoo_aget_children2(zh, "/c/none", 0, on_strings_stat, "children2 of none"));
    STEP(zoo_async(zh, "/c", on_string, "sync"));
    STEP(zoo_async(zh, "/c/none", on_string, "sync none"));
    STEP(zoo_aget_acl(zh, "/c", on_acl, "acl"));
    STEP(zoo_aget_acl(zh, "/c/none", on_acl, "acl of none"));
    STEP(zoo_aset_acl(zh, "/c/two", 0, &ZOO_READ_ACL_UNSAFE, on_void, "set acl"));
    STEP(zoo_aset_acl(zh, "/c/two", 0, &ZOO_READ_ACL_UNSAFE, on_void, "set acl with an old version"));
    STEP(zoo_aset_acl(zh, "/c/two", -1, &ZOO_CREATOR_ALL_ACL, on_void, "set acl auth without auth"));
    STEP(zoo_aget_acl(zh, "/c/two", on_acl, "new acl"));
    STEP(zoo_aset(zh, "/c/two", "x", 1, -1, on_stat, "set without permission"));
    STEP(zoo_adelete(zh, "/c/seq/none", -1, on_void, "delete none"));
    STEP(zoo_adelete(zh, "/c/big", 5, on_void, "delete with a wrong version"));
    STEP(zoo_adelete(zh, "/c/big", 0, on_void, "delete"));
    STEP(zoo_adelete(zh, "/c", -1, on_void, "delete with children"));
    STEP(zoo_agetconfig(zh, 0, on_data, "config") + 0 * 1);
    STEP(zoo_areconfig(zh, "server.9=127.0.0.1:1:2;3", NULL, NULL, -1, on_data, "reconfig"));
}

static void watches(zhandle_t *zh)
{
    STEP(zoo_awexists(zh, "/c/w", on_event, "exists w", on_stat, "wexists none"));
    STEP(zoo_awget_children(zh, "/c", on_event, "children c", on_strings, "wget_children"));
    CODE_AFTER(3, zoo_acreate(zh, "/c/w", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, on_string, "create watched"));
    STEP(zoo_awget(zh, "/c/w", on_event, "get w 1", on_data, "wget 1"));
    STEP(zoo_awget(zh, "/c/w", on_event, "get w 2", on_data, "wget 2"));
    STEP(zoo_awget(zh, "/c/w", on_event, "get w 1", on_data, "wget 1 again"));
    STEP(zoo_awexists(zh, "/c/w", on_event, "exists w", on_stat, "wexists"));
    CODE_AFTER(4, zoo_aset(zh, "/c/w", "2", 1, -1, on_stat, "set watched"));
    STEP(zoo_awget(zh, "/c/w", on_event, "one", on_data, "wget"));
    STEP(zoo_awget_children2(zh, "/c/w", on_event, "one", on_strings_stat, "wget_children2"));
    STEP(zoo_awexists(zh, "/c/w", on_event, "two", on_stat, "wexists"));
    CODE_AFTER(3, zoo_adelete(zh, "/c/w", -1, on_void, "delete watched"));
    /* The handle's own watcher, by flag. */
    STEP(zoo_aexists(zh, "/c/flag", 1, on_stat, "exists flagged"));
    CODE_AFTER(2, zoo_acreate(zh, "/c/flag", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, on_string, "create flagged"));
    STEP(zoo_aget(zh, "/c/flag", 1, on_data, "get flagged"));
    STEP(zoo_aget_children(zh, "/c/flag", 1, on_strings, "children flagged"));
    STEP(zoo_aget_children2(zh, "/c/flag", 1, on_strings_stat, "children2 flagged"));
    zoo_set_context(zh, "another context");
    CODE(zoo_set_watcher(zh, on_event) == on_session);
    CODE_AFTER(2, zoo_acreate(zh, "/c/flag/x", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, on_string, "create below flagged"));
    CODE_AFTER(1, zoo_adelete(zh, "/c/flag/x", -1, on_void, "delete below flagged"));
    CODE_AFTER(2, zoo_adelete(zh, "/c/flag", -1, on_void, "delete flagged"));
    CODE(zoo_set_watcher(zh, on_session) == on_event);
    zoo_set_context(zh, "context");
    /* A watch is not left by a failed request. */
    STEP(zoo_awget(zh, "/c/none", on_event, "never", on_data, "wget none"));
    STEP(zoo_acreate(zh, "/c/none", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, on_string, "create none"));
    STEP(zoo_adelete(zh, "/c/none", -1, on_void, "delete none"));
    STEP(zoo_awgetconfig(zh, on_event, "config", on_data, "wgetconfig") + 0);
}

static void removals(zhandle_t *zh)
{
    STEP(zoo_awget(zh, "/c", on_event, "removed", on_data, "wget"));
    CODE(zoo_aremove_watches(zh, "/c", ZWATCHTYPE_DATA, on_event, "other", 0, (void_completion_t *)on_void, "remove other"));
    CODE(zoo_aremove_watches(zh, "/c", ZWATCHTYPE_CHILD, on_event, "removed", 0, (void_completion_t *)on_void, "remove child"));
    CODE(zoo_aremove_watches(zh, "/c/x", ZWATCHTYPE_ANY, on_event, "removed", 0, (void_completion_t *)on_void, "remove elsewhere"));
    CODE(zoo_aremove_watches(zh, "nonsense", ZWATCHTYPE_ANY, on_event, "removed", 0, (void_completion_t *)on_void, "remove bad path"));
}

static void multis(zhandle_t *zh)
{
    zoo_op_t ops[6];
    zoo_op_result_t results[6];
    char name1[64] = "untouched", name2[8] = "old";
    struct Stat stat;
    int i;
    memset(results, 0, sizeof results);
    memset(&stat, 0, sizeof stat);
    zoo_create_op_init(&ops[0], "/c/m", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, name1, sizeof name1);
    zoo_create_op_init(&ops[1], "/c/m/s-", "s", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL, name2, sizeof name2);
    zoo_set_op_init(&ops[2], "/c/m", "data", 4, 0, &stat);
    zoo_check_op_init(&ops[3], "/c/m", 1);
    zoo_delete_op_init(&ops[4], "/c/m/s-0000000000", -1);
    zoo_set_op_init(&ops[5], "/c/m", NULL, -1, 1, NULL);
    STEP(zoo_amulti(zh, 6, ops, results, on_void, "multi"));
    for (i = 0; i < 6; i++)
        say("  result %d: %d, %s, %s", i, results[i].err, results[i].value ? results[i].value : "no value",
            stat_text(results[i].stat));
    /* The third fails. */
    strcpy(name1, "untouched");
    zoo_create_op_init(&ops[0], "/c/n", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, name1, sizeof name1);
    zoo_set_op_init(&ops[1], "/c/m", "x", 1, -1, &stat);
    zoo_check_op_init(&ops[2], "/c/m", 77);
    zoo_delete_op_init(&ops[3], "/c/m", -1);
    STEP(zoo_amulti(zh, 4, ops, results, on_void, "failing multi"));
    for (i = 0; i < 4; i++)
        say("  result %d: %d, %s", i, results[i].err, i == 0 ? (results[i].value ? results[i].value : "no value") : "");
    STEP(zoo_amulti(zh, 0, NULL, NULL, on_void, "empty multi"));
    ops[0].type = 77;
    CODE(zoo_amulti(zh, 1, ops, results, on_void, "multi of what is none"));
    zoo_delete_op_init(&ops[0], "/c/m", -1);
    STEP(zoo_amulti(zh, 1, ops, results, on_void, "multi delete"));
#ifdef THREADED
    zoo_create_op_init(&ops[0], "/c/m", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, name1, 3);
    zoo_delete_op_init(&ops[1], "/c/m", 0);
    say("sync multi %d: %d \"%s\" %d", zoo_multi(zh, 2, ops, results), results[0].err, results[0].value, results[1].err);
    zoo_delete_op_init(&ops[0], "/c/m", 0);
    say("failing sync multi %d: %d", zoo_multi(zh, 1, ops, results), results[0].err);
#endif
}

static void authentication(zhandle_t *zh)
{
    STEP(zoo_add_auth(zh, "digest", "user:password", 13, on_void, "add auth"));
    STEP(zoo_add_auth(zh, "digest", "other:word", 10, on_void, "add other auth"));
    CODE(zoo_add_auth(zh, "digest", "third:word", 10, NULL, NULL));
    STEP(zoo_acreate(zh, "/c/mine", "", 0, &ZOO_CREATOR_ALL_ACL, 0, on_string, "create mine"));
    STEP(zoo_aget_acl(zh, "/c/mine", on_acl, "acl of mine"));
    STEP(zoo_adelete(zh, "/c/mine", -1, on_void, "delete mine"));
}

#ifdef THREADED
static void synchronous(zhandle_t *zh)
{
    char buffer[32], name[64];
    int length;
    struct Stat stat;
    struct String_vector strings;
    struct ACL_vector acl;

    memset(name, '#', sizeof name);
    CODE(zoo_create(zh, "/c/s", "value", 5, &ZOO_OPEN_ACL_UNSAFE, 0, name, sizeof name));
    say("name %s", name);
    CODE(zoo_create(zh, "/c/s", "value", 5, &ZOO_OPEN_ACL_UNSAFE, 0, name, sizeof name));
    CODE(zoo_create(zh, "/c/s/n-", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL, name, 6));
    say("cut name %s", name);
    strcpy(name, "untouched");
    CODE(zoo_create(zh, "/c/s/m", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, name, 0));
    say("no room: %s", name);
    CODE(zoo_create(zh, "/c/s/m2", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    CODE(zoo_create2(zh, "/c/s/two", "2", 1, &ZOO_OPEN_ACL_UNSAFE, 0, name, sizeof name, &stat));
    say("%s %s", name, stat_text(&stat));
    CODE(zoo_create2_ttl(zh, "/c/s/ttl2", "2", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 90000, name, sizeof name, &stat));
    CODE(zoo_create_ttl(zh, "/c/s/ttl", "2", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 90000, name, sizeof name));
    CODE(zoo_create_ttl(zh, "/c/s/ttl3", "2", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, -1, name, sizeof name));
    CODE(zoo_exists(zh, "/c/s", 0, &stat));
    say("%s", stat_text(&stat));
    CODE(zoo_exists(zh, "/c/s", 0, NULL));
    CODE(zoo_exists(zh, "/c/none", 0, &stat));
    CODE(zoo_wexists(zh, "/c/s/later", on_event, "sync exists", &stat));
    CODE_AFTER(1, zoo_create(zh, "/c/s/later", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    length = sizeof buffer;
    CODE(zoo_get(zh, "/c/s", 0, buffer, &length, &stat));
    say("%d %.*s %s", length, length, buffer, stat_text(&stat));
    length = 3;
    CODE(zoo_get(zh, "/c/s", 0, buffer, &length, NULL));
    say("cut: %d %.*s", length, length, buffer);
    length = 0;
    CODE(zoo_get(zh, "/c/s", 0, buffer, &length, &stat));
    say("no room: %d of %d", length, stat.dataLength);
    length = sizeof buffer;
    CODE(zoo_get(zh, "/c/s/m", 0, buffer, &length, NULL));
    say("null data: %d", length);
    length = 17;
    CODE(zoo_get(zh, "/c/none", 0, buffer, &length, NULL));
    say("no node: %d", length);
    CODE(zoo_get(zh, "/c/s", 0, buffer, NULL, NULL));
    length = sizeof buffer;
    CODE(zoo_wget(zh, "/c/s", on_event, "sync get", buffer, &length, NULL));
    CODE_AFTER(1, zoo_set(zh, "/c/s", "new", 3, 0));
    CODE(zoo_set(zh, "/c/s", "new", 3, 0));
    CODE(zoo_set2(zh, "/c/s", "newer", 5, 1, &stat));
    say("%s", stat_text(&stat));
    CODE(zoo_set2(zh, "/c/s", "newest", 6, -1, NULL));
    CODE(zoo_get_children(zh, "/c/s", 0, &strings));
    say("%s", strings_text(&strings));
    deallocate_String_vector(&strings);
    CODE(zoo_get_children(zh, "/c/s", 0, NULL));
    CODE(zoo_get_children(zh, "/c/none", 0, &strings));
    CODE(zoo_get_children(zh, "/c/s/m", 0, &strings));
    say("count %d", strings.count);
    deallocate_String_vector(&strings);
    CODE(zoo_get_children2(zh, "/c/s", 0, &strings, &stat));
    say("%d %s", strings.count, stat_text(&stat));
    /* Freed by hand, as load_gen does. */
    while (strings.count > 0)
        free(strings.data[--strings.count]);
    free(strings.data);
    CODE(zoo_wget_children(zh, "/c/s", on_event, "sync children", &strings));
    deallocate_String_vector(&strings);
    CODE(zoo_wget_children2(zh, "/c/s", on_event, "sync children 2", &strings, &stat));
    deallocate_String_vector(&strings);
    CODE(zoo_delete(zh, "/c/s/later", 7));
    CODE_AFTER(2, zoo_delete(zh, "/c/s/later", 0));
    CODE(zoo_get_acl(zh, "/c/s", &acl, &stat));
    say("%s %s", acl_text(&acl), stat_text(&stat));
    deallocate_ACL_vector(&acl);
    CODE(zoo_get_acl(zh, "/c/s", NULL, NULL));
    CODE(zoo_get_acl(zh, "/c/none", &acl, &stat));
    CODE(zoo_set_acl(zh, "/c/s", 0, &ZOO_OPEN_ACL_UNSAFE));
    CODE(zoo_set_acl(zh, "/c/s", 0, &ZOO_OPEN_ACL_UNSAFE));
    length = sizeof buffer;
    say("getconfig %d", zoo_getconfig(zh, 0, buffer, &length, &stat));
    say("wgetconfig %d", zoo_wgetconfig(zh, on_event, "config", buffer, &length, &stat));
    CODE(zoo_reconfig(zh, NULL, "3", NULL, -1, buffer, &length, &stat));
    length = sizeof buffer;
    CODE(zoo_wget(zh, "/c/s", on_event, "to be removed", buffer, &length, NULL));
    CODE(zoo_remove_watches(zh, "/c/s", ZWATCHTYPE_CHILD, on_event, "to be removed", 0));
    CODE(zoo_remove_watches(zh, "/c/s", ZWATCHTYPE_DATA, on_event, "to be removed", 0));
    CODE(zoo_remove_watches(zh, "/c/s", ZWATCHTYPE_DATA, on_event, "to be removed", 0));
    length = sizeof buffer;
    CODE(zoo_wget(zh, "/c/s", on_event, "to be removed here", buffer, &length, NULL));
    CODE(zoo_remove_watches(zh, "/c/s", ZWATCHTYPE_ANY, on_event, "to be removed here", 1));
    CODE(zoo_remove_watches(zh, "/c/s", ZWATCHTYPE_ANY, on_event, "to be removed here", 1));
    length = sizeof buffer;
    CODE(zoo_wget(zh, "/c/s", on_event, "all", buffer, &length, NULL));
    CODE(zoo_remove_all_watches(zh, "/c/s", ZWATCHTYPE_ANY, 0));
    CODE(zoo_remove_all_watches(zh, "/c/s", ZWATCHTYPE_ANY, 0));
    CODE(zoo_set(zh, "/c/s", "unwatched", 9, -1));
}

/* Synchronous calls from a callback. */
static void on_string_calls(int rc, const char *value, const void *data)
{
    zhandle_t *zh = (zhandle_t *)data;
    struct Stat stat;
    say("from a callback: %d, %s", rc, value);
    CODE(zoo_exists(zh, "/c", 0, &stat));
    CODE(zoo_set(zh, value, "set in a callback", 17, -1));
    note();
}
#endif

static void remove_tree(zhandle_t *zh, const char *path);
static struct String_vector found;
static int found_rc;
static void on_found(int rc, const struct String_vector *strings, const void *data)
{
    int i;
    (void)data;
    found_rc = rc;
    if (rc == ZOK) {
        allocate_String_vector(&found, strings->count);
        for (i = 0; i < strings->count; i++)
            found.data[i] = strdup(strings->data[i]);
    }
    note();
}
static void on_quiet(int rc, const void *data)
{
    (void)rc;
    (void)data;
    note();
}
static void remove_tree(zhandle_t *zh, const char *path)
{
    struct String_vector names;
    char child[512];
    int i;
    if (zoo_aget_children(zh, path, 0, on_found, NULL) != ZOK)
        return;
    await(zh, 1);
    if (found_rc != ZOK)
        return;
    names = found;
    for (i = 0; i < names.count; i++) {
        snprintf(child, sizeof child, "%s/%s", path, names.data[i]);
        remove_tree(zh, child);
    }
    deallocate_String_vector(&names);
    zoo_adelete(zh, path, -1, on_quiet, NULL);
    await(zh, 1);
}

static void chroots(void)
{
    char host[128];
    zhandle_t *zh;
    snprintf(host, sizeof host, "%s/c/chroot", server);
    zh = zookeeper_init(host, on_session, 10000, NULL, "chroot", ZOO_NO_LOG_CLIENTENV);
    await(zh, 1);
    STEP(zoo_acreate(zh, "/", "root", 4, &ZOO_OPEN_ACL_UNSAFE, 0, on_string, "create the chroot"));
    STEP(zoo_acreate(zh, "/a", "a", 1, &ZOO_OPEN_ACL_UNSAFE, 0, on_string, "create in chroot"));
    STEP(zoo_acreate2(zh, "/b-", "a", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL, on_string_stat, "create2 in chroot"));
    STEP(zoo_aget(zh, "/", 0, on_data, "get the root of the chroot"));
    STEP(zoo_aget_children(zh, "/", 0, on_strings, "children of the chroot"));
    STEP(zoo_async(zh, "/", on_string, "sync the chroot"));
    STEP(zoo_async(zh, "/a", on_string, "sync in chroot"));
    STEP(zoo_awget(zh, "/a", on_event, "in chroot", on_data, "wget in chroot"));
    CODE_AFTER(2, zoo_aset(zh, "/a", "b", 1, -1, on_stat, "set in chroot"));
    STEP(zoo_awget_children(zh, "/", on_event, "root of chroot", on_strings, "watch the chroot"));
    CODE_AFTER(2, zoo_adelete(zh, "/a", -1, on_void, "delete in chroot"));
    STEP(zoo_agetconfig(zh, 0, on_data, "config in chroot"));
    CODE(zookeeper_close(zh));
}

static int order_seen;
static void on_order(int rc, const void *data)
{
    long expected = (long)data;
    if (rc != ZNONODE || expected != order_seen)
        say("out of order: %ld instead of %d, %d", expected, order_seen, rc);
    order_seen++;
    note();
}

/* Many requests at once complete in their order. */
static void pipelines(zhandle_t *zh)
{
    long i;
    for (i = 0; i < 2000; i++)
        if (zoo_adelete(zh, "/c/no-such-node", -1, on_order, (void *)i) != ZOK)
            say("refused %ld", i);
    await(zh, 2000);
    say("pipelined: %d", order_seen);
}

static void on_closed(int rc, const char *value, int length, const struct Stat *stat, const void *data)
{
    (void)value;
    (void)length;
    (void)stat;
    (void)data;
    /* The server may have answered some before it closed; nothing else may come. */
    if (rc != ZCLOSING && rc != ZOK)
        say("closed with %d", rc);
    note();
}

int main(int argc, char **argv)
{
    zhandle_t *zh;
    struct sockaddr_storage address;
    socklen_t address_length = sizeof address;
    static const clientid_t nobody;
    clientid_t id;
    char expected[128];
    int i;

    if (argc < 2)
        return 2;
    server = argv[1];
    zoo_set_debug_level(0);
    zoo_deterministic_conn_order(1);
    texts();
    inits();
    nulls();

    zh = zookeeper_init(server, on_session, 10000, NULL, "context", 0);
    if (!zh)
        return 1;
    await(zh, 1);
    CODE(zoo_state(zh));
    CODE(is_unrecoverable(zh));
    CODE(zoo_recv_timeout(zh));
    say("a session: %d", memcmp(zoo_client_id(zh), &nobody, sizeof nobody) != 0);
    say("context %s", (const char *)zoo_get_context(zh));
    say("connected host: %d", zookeeper_get_connected_host(zh, (struct sockaddr *)&address, &address_length) != NULL);
    snprintf(expected, sizeof expected, "127.0.0.1:%d", ntohs(((struct sockaddr_in *)&address)->sin_port));
    say("its address is what was asked for: %d, length %d", strcmp(expected, server) == 0, (int)address_length);
    say("current server is it: %d", strcmp(zoo_get_current_server(zh), server) == 0);
    bad_paths(zh);
    bad_servers();
    remove_tree(zh, "/c");
    asynchronous(zh);
    watches(zh);
    removals(zh);
    multis(zh);
    authentication(zh);
#ifdef THREADED
    synchronous(zh);
    CODE_AFTER(1, zoo_acreate(zh, "/c/called", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, on_string_calls, zh));
#endif
    pipelines(zh);
    chroots();
    remove_tree(zh, "/c");
    settle(zh);

    /* The session goes on in another handle. */
    id = *zoo_client_id(zh);
    CODE(zookeeper_close(zh));
    done = 0;
    zh = zookeeper_init(server, on_session, 10000, &id, "closed session", ZOO_NO_LOG_CLIENTENV);
    await(zh, 1);
    CODE(zoo_state(zh));
    CODE(is_unrecoverable(zh));
    CODE(zoo_aget(zh, "/", 0, on_data, "x"));
    CODE(zoo_add_auth(zh, "digest", "a:b", 3, on_void, "x"));
    CODE(zookeeper_close(zh));

    /* Credentials that are refused end the handle. */
    zh = zookeeper_init(server, on_session, 10000, NULL, "bad auth", ZOO_NO_LOG_CLIENTENV);
    await(zh, 1);
    CODE_AFTER(2, zoo_add_auth(zh, "nosuchscheme", "a:b", 3, on_void, "bad auth"));
    CODE(zoo_state(zh));
    CODE(is_unrecoverable(zh));
    CODE(zookeeper_close(zh));

    /* Closed with requests under way. */
    zh = zookeeper_init(server, on_session, 10000, NULL, "close", ZOO_NO_LOG_CLIENTENV);
    await(zh, 1);
    for (i = 0; i < 100; i++)
        if (zoo_aget(zh, "/", 0, on_closed, NULL) != ZOK)
            say("refused");
    CODE(zookeeper_close(zh));
    /* The original loses some now and then; ours is asked by the argument "exact". */
    if (argc > 2 && strcmp(argv[2], "exact") == 0 && done != 100)
        say("completions before close returned: %d", done);
    return 0;
}
