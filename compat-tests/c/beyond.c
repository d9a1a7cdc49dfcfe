/*
 * Where ours is right and the original is not, and what the original lacks (zookeeper_ext.h). Runs on ours only. The
 * first argument is host:port. What is wrong is said; the last line is the count of checks.
 */
#include "transcript.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <zookeeper_ext.h>
#include <zookeeper_log.h>

static int checks, failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        checks++;                                                                                                      \
        if (!(condition)) {                                                                                            \
            failures++;                                                                                                \
            say("line %d: %s", __LINE__, #condition);                                                                  \
        }                                                                                                              \
    } while (0)
#define IS(expected, call)                                                                                             \
    do {                                                                                                               \
        int rc_ = (call);                                                                                              \
        checks++;                                                                                                      \
        if (rc_ != (expected)) {                                                                                       \
            failures++;                                                                                                \
            say("line %d: %s is %d, not %d", __LINE__, #call, rc_, expected);                                          \
        }                                                                                                              \
    } while (0)

static int last_rc;
static int last_number;
static char last_text[512];
static int event_types[64];
static char event_paths[64][64];
static int event_count;

static void keep_void(int rc, const void *data)
{
    (void)data;
    last_rc = rc;
    note();
}
static void keep_string(int rc, const char *value, const void *data)
{
    (void)data;
    last_rc = rc;
    snprintf(last_text, sizeof last_text, "%s", value ? value : "");
    note();
}
static void keep_data(int rc, const char *value, int length, const struct Stat *stat, const void *data)
{
    (void)data;
    (void)value;
    (void)stat;
    last_rc = rc;
    last_number = length;
    note();
}
static void keep_stat(int rc, const struct Stat *stat, const void *data)
{
    (void)stat;
    (void)data;
    last_rc = rc;
    note();
}
static void keep_strings(int rc, const struct String_vector *strings, const void *data)
{
    (void)data;
    last_rc = rc;
    snprintf(last_text, sizeof last_text, "%s", strings_text(strings));
    note();
}
static void keep_number(int rc, int number, const void *data)
{
    (void)data;
    last_rc = rc;
    last_number = number;
    note();
}
static void keep_infos(int rc, const struct ClientInfo_vector *infos, const void *data)
{
    int i, at = 0;
    (void)data;
    last_rc = rc;
    last_text[0] = 0;
    for (i = 0; infos && i < infos->count; i++)
        at += snprintf(last_text + at, sizeof last_text - (size_t)at, "%s:%s ", infos->data[i].authScheme, infos->data[i].user);
    note();
}
static void keep_event(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)zh;
    (void)state;
    (void)context;
    if (type == ZOO_SESSION_EVENT)
        return;
    pthread_mutex_lock(&lock);
    if (event_count < 64) {
        event_types[event_count] = type;
        snprintf(event_paths[event_count], sizeof event_paths[0], "%s", path);
    }
    event_count++;
    pthread_mutex_unlock(&lock);
    note();
}
static void keep_session(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)zh;
    (void)type;
    (void)state;
    (void)path;
    (void)context;
    note();
}

static zhandle_t *connect_to(const char *host)
{
    zhandle_t *zh = zookeeper_init(host, keep_session, 10000, NULL, NULL, ZOO_NO_LOG_CLIENTENV);
    if (zh)
        await(zh, 1);
    return zh;
}

/* The original crashes on most of these. */
static void nothing_crashes_on_null(zhandle_t *zh)
{
    zhandle_t *none = NULL;
    zoo_op_t op;
    zoo_op_result_t result;
    struct sockaddr address;
    socklen_t length = sizeof address;
    IS(ZBADARGUMENTS, zoo_aexists(none, "/a", 0, keep_stat, NULL));
    IS(ZBADARGUMENTS, zoo_aget(none, "/a", 0, keep_data, NULL));
    IS(ZBADARGUMENTS, zoo_aset(none, "/a", "", 0, -1, keep_stat, NULL));
    IS(ZBADARGUMENTS, zoo_aget_children(none, "/a", 0, keep_strings, NULL));
    IS(ZBADARGUMENTS, zoo_async(none, "/a", keep_string, NULL));
    IS(ZBADARGUMENTS, zoo_aget_acl(none, "/a", NULL, NULL));
    IS(ZBADARGUMENTS, zoo_aset_acl(none, "/a", -1, NULL, keep_void, NULL));
    IS(ZBADARGUMENTS, zoo_agetconfig(none, 0, keep_data, NULL));
    IS(ZBADARGUMENTS, zoo_areconfig(none, NULL, NULL, NULL, -1, keep_data, NULL));
    IS(ZBADARGUMENTS, zoo_amulti(none, 0, NULL, NULL, keep_void, NULL));
    IS(ZBADARGUMENTS, zoo_set_servers(none, "a:1"));
    IS(ZBADARGUMENTS, zoo_set_servers_resolution_delay(none, 1));
    IS(ZBADARGUMENTS, zoo_aremove_watches(none, "/a", ZWATCHTYPE_ANY, keep_event, NULL, 0, NULL, NULL));
    IS(ZBADARGUMENTS, zoo_aremove_all_watches(none, "/a", ZWATCHTYPE_ANY, 0, NULL, NULL));
    IS(0, zoo_recv_timeout(none));
    CHECK(zoo_get_context(none) == NULL && zoo_client_id(none) == NULL && zoo_set_watcher(none, NULL) == NULL);
    CHECK(zookeeper_get_connected_host(none, &address, &length) == NULL);
    CHECK(zookeeper_get_connected_host(zh, NULL, &length) == NULL);
    CHECK(strcmp(zoo_get_current_server(none), ":0") == 0);
    zoo_cycle_next_server(none);
    zoo_set_context(none, NULL);
    zoo_create_op_init(NULL, "/a", "", 0, NULL, 0, NULL, 0);
    zoo_delete_op_init(NULL, "/a", 0);
    deallocate_String(NULL);
    deallocate_String_vector(NULL);
    deallocate_ACL_vector(NULL);
    deallocate_Stat(NULL);
    IS(ZBADARGUMENTS, zoo_amulti(zh, 1, NULL, &result, keep_void, NULL));
    zoo_delete_op_init(&op, "/a", 0);
    IS(ZBADARGUMENTS, zoo_amulti(zh, 1, &op, NULL, keep_void, NULL));
    zoo_delete_op_init(&op, NULL, 0);
    IS(ZBADARGUMENTS, zoo_amulti(zh, 1, &op, &result, keep_void, NULL));
    /* Lengths that are none, and data that is not there. */
    IS(ZBADARGUMENTS, zoo_aset(zh, "/a", NULL, 5, -1, keep_stat, NULL));
    IS(ZBADARGUMENTS, zoo_aset(zh, "/a", "x", -2, -1, keep_stat, NULL));
    IS(ZBADARGUMENTS, zoo_acreate(zh, "/a", NULL, 1, NULL, 0, keep_string, NULL));
    IS(ZBADARGUMENTS, zoo_add_auth(zh, "digest", "a:b", -7, keep_void, NULL));
    {
        struct ACL_vector no_entries = {3, NULL};
        IS(ZBADARGUMENTS, zoo_acreate(zh, "/a", "", 0, &no_entries, 0, keep_string, NULL));
    }
    /* Without a completion. */
    IS(ZOK, zoo_aget(zh, "/", 0, NULL, NULL));
    IS(ZOK, zoo_aget_children(zh, "/", 0, NULL, NULL));
    IS(ZOK, zoo_adelete(zh, "/none", -1, NULL, NULL));
    IS(ZOK, zoo_async(zh, "/", keep_string, NULL));
    await(zh, 1);
}

/* Multis: bad paths are bad arguments, containers do not crash, create2 and times to live are there. */
static void multis(zhandle_t *zh)
{
    zoo_op_t ops[4];
    zoo_op_result_t results[4];
    char name[4][64];
    struct Stat stat;
    memset(results, 0, sizeof results);
    memset(&stat, 0, sizeof stat);
    zoo_create_op_init(&ops[0], "nonsense", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, name[0], 64);
    IS(ZBADARGUMENTS, zoo_amulti(zh, 1, ops, results, keep_void, NULL));
    zoo_create_op_init(&ops[0], "/beyond/m", "m", 1, &ZOO_OPEN_ACL_UNSAFE, 0, name[0], 64);
    zoo_create_op_init(&ops[1], "/beyond/container", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, name[1], 64);
    zoo_create2_op_init(&ops[2], "/beyond/two-", "22", 2, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL, name[2], 64);
    zoo_create_ttl_op_init(&ops[3], "/beyond/ttl", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 100000, name[3], 64);
    results[2].stat = &stat;
    results[3].stat = NULL;
    IS(ZOK, zoo_amulti(zh, 4, ops, results, keep_void, NULL));
    await(zh, 1);
    IS(ZOK, last_rc);
    CHECK(strcmp(name[1], "/beyond/container") == 0);
    CHECK(strncmp(name[2], "/beyond/two-0", 13) == 0);
    IS(2, stat.dataLength);
    CHECK(strcmp(name[3], "/beyond/ttl") == 0);
    IS(ZOK, zoo_amulti(zh, 4, ops, results, keep_void, NULL));
    await(zh, 1);
    IS(ZNODEEXISTS, last_rc);
    IS(ZNODEEXISTS, results[0].err);
    IS(ZRUNTIMEINCONSISTENCY, results[2].err);
    CHECK(results[0].value == NULL && results[2].stat == NULL);
    zoo_delete_op_init(&ops[0], "/beyond/m", -1);
    zoo_delete_op_init(&ops[1], "/beyond/container", -1);
    zoo_delete_op_init(&ops[2], name[2], -1);
    zoo_delete_op_init(&ops[3], "/beyond/ttl", -1);
    IS(ZOK, zoo_amulti(zh, 4, ops, results, keep_void, NULL));
    await(zh, 1);
    IS(ZOK, last_rc);
}

/* Local removal completes; in the original it does not, and takes data for an object of its own. */
static void local_removal(zhandle_t *zh)
{
    int data;
    IS(ZOK, zoo_awget(zh, "/beyond", keep_event, "removed", keep_data, NULL));
    await(zh, 1);
    last_rc = 1;
    IS(ZNOWATCHER, zoo_aremove_watches(zh, "/beyond", ZWATCHTYPE_CHILD, keep_event, "removed", 1, (void_completion_t *)keep_void, &data));
    IS(ZOK, zoo_aremove_watches(zh, "/beyond", ZWATCHTYPE_DATA, keep_event, "removed", 1, (void_completion_t *)keep_void, &data));
    await(zh, 1);
    IS(ZOK, last_rc);
    /* All of none is no error, as in the original. */
    last_rc = 1;
    IS(ZOK, zoo_aremove_all_watches(zh, "/beyond", ZWATCHTYPE_ANY, 1, (void_completion_t *)keep_void, &data));
    await(zh, 1);
    IS(ZOK, last_rc);
    event_count = 0;
    IS(ZOK, zoo_aset(zh, "/beyond", "unwatched", 9, -1, keep_stat, NULL));
    await(zh, 1);
    linger(zh, 100);
    IS(0, event_count);
}

/* Persistent watches, and the questions that only Java could ask. */
static void extensions(zhandle_t *zh)
{
    IS(ZBADARGUMENTS, zoo_aadd_watch(zh, "/beyond", (ZooAddWatchMode)7, keep_event, NULL, keep_void, NULL));
    IS(ZBADARGUMENTS, zoo_aadd_watch(zh, "/beyond", ZADDWATCH_PERSISTENT, NULL, NULL, keep_void, NULL));
    IS(ZBADARGUMENTS, zoo_aadd_watch(zh, "beyond", ZADDWATCH_PERSISTENT, keep_event, NULL, keep_void, NULL));
    IS(ZOK, zoo_aadd_watch(zh, "/beyond", ZADDWATCH_PERSISTENT_RECURSIVE, keep_event, "recursive", keep_void, NULL));
    await(zh, 1);
    IS(ZOK, last_rc);
    event_count = 0;
    IS(ZOK, zoo_acreate(zh, "/beyond/a", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, keep_string, NULL));
    await(zh, 2);
    IS(ZOK, zoo_aset(zh, "/beyond/a", "x", 1, -1, keep_stat, NULL));
    await(zh, 2);
    IS(ZOK, zoo_aset(zh, "/beyond/a", "y", 1, -1, keep_stat, NULL));
    await(zh, 2);
    IS(3, event_count);
    CHECK(event_types[0] == ZOO_CREATED_EVENT && event_types[1] == ZOO_CHANGED_EVENT && event_types[2] == ZOO_CHANGED_EVENT);
    CHECK(strcmp(event_paths[2], "/beyond/a") == 0);
    IS(ZOK, zoo_aremove_watches(zh, "/beyond", ZWATCHTYPE_ANY, keep_event, "recursive", 0, (void_completion_t *)keep_void, NULL));
    await(zh, 1);
    IS(ZOK, last_rc);
    IS(ZOK, zoo_aset(zh, "/beyond/a", "z", 1, -1, keep_stat, NULL));
    await(zh, 1);
    linger(zh, 100);
    IS(3, event_count);
    IS(ZOK, zoo_awho_am_i(zh, keep_infos, NULL));
    await(zh, 1);
    CHECK(last_rc == ZOK && strcmp(last_text, "ip:127.0.0.1 ") == 0);
    IS(ZOK, zoo_aget_ephemerals(zh, "/beyond", keep_strings, NULL));
    await(zh, 1);
    CHECK(last_rc == ZOK && strcmp(last_text, "/beyond/a") == 0);
    IS(ZOK, zoo_aget_all_children_number(zh, "/beyond", keep_number, NULL));
    await(zh, 1);
    CHECK(last_rc == ZOK && last_number == 1);
    IS(ZOK, zoo_aget_all_children_number(zh, "/none", keep_number, NULL));
    await(zh, 1);
    IS(ZNONODE, last_rc);
#ifdef THREADED
    {
        struct ClientInfo_vector infos;
        struct String_vector names;
        int number = 0;
        IS(ZOK, zoo_add_watch(zh, "/beyond", ZADDWATCH_PERSISTENT, keep_event, "persistent"));
        IS(ZOK, zoo_who_am_i(zh, &infos));
        CHECK(infos.count == 1 && strcmp(infos.data[0].authScheme, "ip") == 0);
        deallocate_ClientInfo_vector(&infos);
        IS(ZOK, zoo_get_ephemerals(zh, "/", &names));
        CHECK(names.count == 1 && strcmp(names.data[0], "/beyond/a") == 0);
        deallocate_String_vector(&names);
        IS(ZOK, zoo_get_all_children_number(zh, "/beyond", &number));
        IS(1, number);
        IS(ZNONODE, zoo_get_all_children_number(zh, "/none", NULL));
        IS(ZOK, zoo_remove_all_watches(zh, "/beyond", ZWATCHTYPE_ANY, 0));
    }
#endif
    IS(ZOK, zoo_adelete(zh, "/beyond/a", -1, keep_void, NULL));
    await(zh, 1);
}

/* The answer to credentials comes at once, not with the next ping. */
static void credentials_are_sent_at_once(zhandle_t *zh)
{
    long long start = now_ms();
    IS(ZOK, zoo_add_auth(zh, "digest", "a:b", 3, keep_void, NULL));
    await(zh, 1);
    IS(ZOK, last_rc);
    /* A ping is due after a third of 10 s. */
    CHECK(now_ms() - start < 2500);
}

#ifdef THREADED
/* The configuration's node is not below the chroot. */
static void configuration_in_a_chroot(const char *server)
{
    char host[128], buffer[512];
    int length = sizeof buffer;
    zhandle_t *zh;
    snprintf(host, sizeof host, "%s/beyond", server);
    zh = connect_to(host);
    IS(ZOK, zoo_getconfig(zh, 0, buffer, &length, NULL));
    IS(ZOK, zookeeper_close(zh));
}

/* get_children2 without a place for the Stat; the original crashes. */
static void places_may_be_missing(zhandle_t *zh)
{
    int length = 10;
    IS(ZOK, zoo_get_children2(zh, "/", 0, NULL, NULL));
    IS(ZOK, zoo_get(zh, "/beyond", 0, NULL, &length, NULL));
    IS(0, length);
}

/* A child closes its copy of the handle; the parent's goes on. */
static void a_child_closes_its_copy(zhandle_t *zh)
{
    int status = 1;
    pid_t child;
    fflush(stdout);
    child = fork();
    if (child == 0)
        _exit(zookeeper_close(zh) == ZOK ? 0 : 7);
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    IS(ZOK, zoo_exists(zh, "/beyond", 0, NULL));
    IS(ZOO_CONNECTED_STATE, zoo_state(zh));
}

static void *calls(void *data)
{
    zhandle_t *zh = data;
    int i;
    for (i = 0; i < 500; i++) {
        char buffer[64];
        int length = sizeof buffer;
        if (zoo_get(zh, "/beyond", 0, buffer, &length, NULL) != ZOK || zoo_set(zh, "/beyond", "t", 1, -1) != ZOK) {
            failures++;
            break;
        }
        if (i % 50 == 0) {
            zoo_set_context(zh, data);
            zoo_state(zh);
            zoo_get_current_server(zh);
        }
    }
    return NULL;
}

static void many_threads_share_a_handle(zhandle_t *zh)
{
    pthread_t threads[8];
    int i;
    for (i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, calls, zh);
    for (i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    checks++;
}
#endif

static char lines[64][256];
static int line_count;
static void keep_line(const char *line)
{
    pthread_mutex_lock(&lock);
    if (line_count < 64)
        snprintf(lines[line_count], sizeof lines[0], "%s", line);
    line_count++;
    pthread_mutex_unlock(&lock);
}

/* 2026-11-23 05:41:04,607:30649(0x7f99685e1c80):ZOO_INFO@function@137: text */
static int is_log_line(const char *line)
{
    int year, month, day, hour, minute, second, ms, pid, number, at = 0;
    char level[16], function[64];
#ifdef THREADED
    unsigned long thread;
    return sscanf(line, "%4d-%2d-%2d %2d:%2d:%2d,%3d:%d(0x%lx):%15[A-Z_]@%63[^@]@%d: %n", &year, &month, &day, &hour, &minute,
                  &second, &ms, &pid, &thread, level, function, &number, &at) == 12 && pid == (int)getpid();
#else
    return sscanf(line, "%4d-%2d-%2d %2d:%2d:%2d,%3d:%d:%15[A-Z_]@%63[^@]@%d: %n", &year, &month, &day, &hour, &minute,
                  &second, &ms, &pid, level, function, &number, &at) == 11 && pid == (int)getpid();
#endif
}

static void the_log(const char *server)
{
    zhandle_t *zh;
    FILE *file = tmpfile();
    char text[8192], long_text[6000];
    size_t length;
    int i, established = 0;
    zoo_set_debug_level(ZOO_LOG_LEVEL_INFO);
    zh = zookeeper_init2(server, keep_session, 10000, NULL, NULL, 0, keep_line);
    await(zh, 1);
    CHECK(zoo_get_log_callback(zh) == keep_line);
    for (i = 0; i < line_count && i < 64; i++) {
        CHECK(is_log_line(lines[i]) && !strchr(lines[i], '\n'));
        established += strstr(lines[i], "session establishment complete on server") != NULL;
    }
    CHECK(strstr(lines[0], "Client environment:zookeeper.version=zookeeper C client ") != NULL);
    CHECK(strstr(lines[7], "Client environment:user.dir=") != NULL);
    CHECK(strstr(lines[8], "Initiating client connection, host=") != NULL);
    IS(1, established);
    zoo_set_log_callback(zh, NULL);
    CHECK(zoo_get_log_callback(zh) == NULL);
    zoo_set_log_stream(file);
    CHECK(zoo_get_log_stream() == file);
    LOG_INFO(LOGCALLBACK(zh), "%s %d %ld %.2f %c %d %d %d %d", "text", -1, 123456789012L, 1.5, 'c', 6, 7, 8, 9);
    LOG_DEBUG(LOGCALLBACK(zh), "not wanted");
    memset(long_text, 'l', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    LOG_ERROR(LOGCALLBACK(zh), "%s", long_text);
    zookeeper_close(zh);
    zoo_set_log_stream(NULL);
    CHECK(zoo_get_log_stream() == stderr);
    rewind(file);
    length = fread(text, 1, sizeof text - 1, file);
    text[length] = 0;
    CHECK(is_log_line(text));
    CHECK(strstr(text, "ZOO_INFO@the_log@") && strstr(text, ": text -1 123456789012 1.50 c 6 7 8 9\n"));
    CHECK(!strstr(text, "not wanted"));
    CHECK(strstr(text, "ZOO_ERROR@the_log@") && strstr(text, "lll\n"));
    CHECK(length > 4000 && length < 5500);
    zoo_set_debug_level((ZooLogLevel)0);
    fclose(file);
}

static void addresses(void)
{
    zhandle_t *zh;
    char expected[2][16] = {"[::1]:1", "[::1]:1"};
    const char *hosts[2] = {"[::1]:1", "::1:1"};
    int i;
    for (i = 0; i < 2; i++) {
        zh = zookeeper_init(hosts[i], NULL, 600, NULL, NULL, ZOO_NO_LOG_CLIENTENV);
        CHECK(zh != NULL);
        if (zh) {
            linger(zh, 100);
            CHECK(strcmp(zoo_get_current_server(zh), expected[i]) == 0);
            zookeeper_close(zh);
        }
    }
    /* Only commas are no servers; only a chroot never connects. */
    errno = 0;
    CHECK(zookeeper_init(",", NULL, 600, NULL, NULL, ZOO_NO_LOG_CLIENTENV) == NULL && errno == EINVAL);
    zh = zookeeper_init("/x", NULL, 600, NULL, NULL, ZOO_NO_LOG_CLIENTENV);
    CHECK(zh != NULL);
    if (zh) {
        linger(zh, 50);
        zookeeper_close(zh);
    }
    errno = 0;
    CHECK(zookeeper_init("no-such-host.invalid:1", NULL, 600, NULL, NULL, ZOO_NO_LOG_CLIENTENV) == NULL && errno != 0);
    CHECK(strcmp(zoo_version_str(), ZOO_VERSION) == 0);
}

/* What a completion is lent it may give back: the original's own memory is libc's, and users rely on it. */
static void give_back_strings(int rc, const struct String_vector *strings, const void *data)
{
    (void)data;
    last_rc = rc;
    deallocate_String_vector((struct String_vector *)strings);
    note();
}
static void give_back_acl(int rc, struct ACL_vector *acl, struct Stat *stat, const void *data)
{
    (void)data;
    (void)stat;
    last_rc = rc;
    deallocate_ACL_vector(acl);
    note();
}
static void vectors_may_be_given_back(zhandle_t *zh)
{
    last_rc = 1;
    IS(ZOK, zoo_aget_children(zh, "/", 0, give_back_strings, NULL));
    await(zh, 1);
    IS(ZOK, last_rc);
    last_rc = 1;
    IS(ZOK, zoo_aget_acl(zh, "/", give_back_acl, NULL));
    await(zh, 1);
    IS(ZOK, last_rc);
}

/* A list that is none changes nothing; nor does a path that is none go through a chroot. */
static void lists_and_paths(zhandle_t *zh, const char *server)
{
    char in_chroot[256];
    zhandle_t *chrooted;
    IS(ZBADARGUMENTS, zoo_set_servers(zh, "no port here:x"));
    IS(ZOO_CONNECTED_STATE, zoo_state(zh));
    last_rc = 1;
    IS(ZOK, zoo_aexists(zh, "/", 0, keep_stat, NULL));
    await(zh, 1);
    IS(ZOK, last_rc);
    snprintf(in_chroot, sizeof in_chroot, "%s/beyond", server);
    chrooted = connect_to(in_chroot);
    IS(ZBADARGUMENTS, zoo_aexists(chrooted, "a", 0, keep_stat, NULL));
    IS(ZBADARGUMENTS, zoo_aexists(chrooted, "", 0, keep_stat, NULL));
    IS(ZOK, zookeeper_close(chrooted));
}

/* What the library opens is not inherited by programs that the application starts. */
static void descriptors_end_with_exec(void)
{
    char place[64], target[128];
    struct dirent *entry;
    int sockets = 0;
    DIR *all = opendir("/proc/self/fd");
    CHECK(all != NULL);
    while (all && (entry = readdir(all)) != NULL) {
        ssize_t length;
        snprintf(place, sizeof place, "/proc/self/fd/%.20s", entry->d_name);
        length = readlink(place, target, sizeof target - 1);
        if (length <= 0)
            continue;
        target[length] = 0;
        if (atoi(entry->d_name) > 2 && (strncmp(target, "socket:", 7) == 0 || strstr(target, "eventfd"))) {
            sockets++;
            CHECK(fcntl(atoi(entry->d_name), F_GETFD) & FD_CLOEXEC);
        }
    }
    if (all)
        closedir(all);
    CHECK(sockets > 0);
}

#ifdef THREADED
/* Exported by both libraries, declared for one. */
int zookeeper_interest(zhandle_t *zh, int *fd, int *interest, struct timeval *tv);
int zookeeper_process(zhandle_t *zh, int events);
#endif

/* The loop of the other library, and of a handle that reaches nobody. */
static void loops_that_do_not_turn(zhandle_t *zh)
{
    struct timeval tv;
    int fd = 77, interest = 0;
#ifdef THREADED
    IS(ZINVALIDSTATE, zookeeper_interest(zh, &fd, &interest, &tv));
    IS(ZINVALIDSTATE, zookeeper_process(zh, ZOOKEEPER_READ));
    CHECK(fd == -1);
#else
    zhandle_t *refused = zookeeper_init("127.0.0.1:1", NULL, 600, NULL, NULL, ZOO_NO_LOG_CLIENTENV);
    int i;
    (void)zh;
    /* Nobody listens there: no descriptor is left over from the attempt. */
    for (i = 0; i < 50 && fd != -1; i++) {
        int rc = zookeeper_interest(refused, &fd, &interest, &tv);
        if (rc != ZOK)
            CHECK(fd == -1);
        zookeeper_process(refused, interest);
    }
    CHECK(fd == -1);
    IS(ZOK, zookeeper_close(refused));
#endif
}

/* A child's lines tell its own number. */
static void a_child_has_its_own_number(void)
{
    char text[512], number[32];
    FILE *file = tmpfile();
    size_t length;
    pid_t child;
#ifdef THREADED
    const char after = '(';
#else
    const char after = ':';
#endif
    CHECK(file != NULL);
    zoo_set_log_stream(file);
    zoo_set_debug_level(ZOO_LOG_LEVEL_INFO);
    LOG_INFO(NULL, "the parent's");
    fflush(file);
    child = fork();
    if (child == 0) {
        LOG_INFO(NULL, "the child's");
        fflush(file);
        _exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    zoo_set_debug_level((ZooLogLevel)0);
    zoo_set_log_stream(NULL);
    rewind(file);
    length = fread(text, 1, sizeof text - 1, file);
    text[length] = 0;
    snprintf(number, sizeof number, ":%d%c", (int)child, after);
    CHECK(strstr(text, number) != NULL);
    snprintf(number, sizeof number, ":%d%c", (int)getpid(), after);
    CHECK(strstr(text, number) != NULL);
    fclose(file);
}

/* A request after the close of another thread's wish is refused as such; here: within a callback of the close. */
static int code_while_closing;
static void ask_while_closing(int rc, const void *data)
{
    zhandle_t *zh = (zhandle_t *)data;
    if (rc == ZCLOSING)
        code_while_closing = zoo_aget(zh, "/", 0, keep_data, NULL);
}

static void closing(const char *server)
{
    zhandle_t *zh = zookeeper_init(server, NULL, 10000, NULL, NULL, ZOO_NO_LOG_CLIENTENV);
    code_while_closing = 1;
    IS(ZOK, zoo_adelete(zh, "/none", -1, ask_while_closing, zh));
    /* Not yet connected, or just about to be: completes with ZCLOSING unless the server was faster. */
    IS(ZOK, zookeeper_close(zh));
    CHECK(code_while_closing == 1 || code_while_closing == ZCLOSING);
}

int main(int argc, char **argv)
{
    zhandle_t *zh;
    if (argc < 2)
        return 2;
    zoo_set_debug_level((ZooLogLevel)0);
    the_log(argv[1]);
    addresses();
    zh = connect_to(argv[1]);
    zoo_acreate(zh, "/beyond", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, keep_string, NULL);
    await(zh, 1);
    nothing_crashes_on_null(zh);
    multis(zh);
    local_removal(zh);
    extensions(zh);
    credentials_are_sent_at_once(zh);
    vectors_may_be_given_back(zh);
    lists_and_paths(zh, argv[1]);
    descriptors_end_with_exec();
    loops_that_do_not_turn(zh);
    a_child_has_its_own_number();
#ifdef THREADED
    configuration_in_a_chroot(argv[1]);
    places_may_be_missing(zh);
    a_child_closes_its_copy(zh);
    many_threads_share_a_handle(zh);
#endif
    closing(argv[1]);
    zoo_adelete(zh, "/beyond", -1, keep_void, NULL);
    await(zh, 1);
    IS(ZOK, zookeeper_close(zh));
    printf("%d checks, %d failures\n", checks, failures);
    return failures != 0;
}
