/*
 * Does what its arguments say, against a server that plays a part:
 *
 *     cases hosts timeout_ms flags action...
 *
 * Actions: event (await a session event), get:N and the like (issue N, do not wait), all (await what was issued),
 * state, linger:MS, close, closing:N (issue N and close the handle within the first completion).
 */
#include "transcript.h"

static zhandle_t *zh;
static int issued, ended, events;
static int closes_within;
static int last_rc = 1, same;

/* Equal codes in a row are one line. */
static void flush_codes(void)
{
    if (same > 0)
        printf("rc %d x %d\n", last_rc, same);
    same = 0;
    fflush(stdout);
}

static void count(int rc, int has_more)
{
    int must_close;
    pthread_mutex_lock(&lock);
    if (rc != last_rc || same == 0) {
        flush_codes();
        last_rc = rc;
    }
    same++;
    if (rc != ZOK && has_more)
        printf("a failure with arguments\n");
    ended++;
    must_close = closes_within && ended == 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    if (must_close)
        say("close within a completion: %d", zookeeper_close(zh));
}

static void end_void(int rc, const void *data)
{
    (void)data;
    count(rc, 0);
}
static void end_data(int rc, const char *value, int length, const struct Stat *stat, const void *data)
{
    (void)data;
    (void)length;
    count(rc, value || stat);
}
static void end_stat(int rc, const struct Stat *stat, const void *data)
{
    (void)data;
    count(rc, stat != NULL);
}
static void end_strings(int rc, const struct String_vector *strings, const void *data)
{
    (void)data;
    count(rc, strings != NULL);
}
static void end_strings_stat(int rc, const struct String_vector *strings, const struct Stat *stat, const void *data)
{
    (void)data;
    count(rc, strings || stat);
}
static void end_string(int rc, const char *value, const void *data)
{
    (void)data;
    count(rc, value != NULL);
}
static void end_acl(int rc, struct ACL_vector *acl, struct Stat *stat, const void *data)
{
    (void)data;
    count(rc, acl || stat);
}

static void watcher(zhandle_t *handle, int type, int state, const char *path, void *context)
{
    (void)handle;
    (void)context;
    pthread_mutex_lock(&lock);
    flush_codes();
    if (type == ZOO_SESSION_EVENT) {
        printf("session %d\n", state);
        events++;
    } else {
        printf("event %d state %d %s\n", type, state, path);
    }
    fflush(stdout);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Waits until a number has grown to what is wanted. */
static void until(const int *number, int wanted, const char *what)
{
    long long end = now_ms() + PATIENCE_MS;
    int reached;
#ifdef THREADED
    pthread_mutex_lock(&lock);
    while (*number < wanted && now_ms() < end) {
        struct timespec slice;
        clock_gettime(CLOCK_REALTIME, &slice);
        slice.tv_sec++;
        pthread_cond_timedwait(&changed, &lock, &slice);
    }
    reached = *number;
    pthread_mutex_unlock(&lock);
#else
    while (*number < wanted && now_ms() < end && !(closes_within && ended))
        turn(zh, 100);
    reached = *number;
#endif
    if (reached < wanted)
        say("waited in vain for %s: %d of %d", what, reached, wanted);
}

static zoo_op_t ops[2];
static zoo_op_result_t results[2];

static int issue(const char *what)
{
    issued++;
    if (strcmp(what, "get") == 0)
        return zoo_aget(zh, "/x", 0, end_data, NULL);
    if (strcmp(what, "watch") == 0)
        return zoo_awget(zh, "/x", watcher, NULL, end_data, NULL);
    if (strcmp(what, "exists") == 0)
        return zoo_aexists(zh, "/x", 0, end_stat, NULL);
    if (strcmp(what, "children") == 0)
        return zoo_aget_children(zh, "/x", 0, end_strings, NULL);
    if (strcmp(what, "children2") == 0)
        return zoo_aget_children2(zh, "/x", 0, end_strings_stat, NULL);
    if (strcmp(what, "acl") == 0)
        return zoo_aget_acl(zh, "/x", end_acl, NULL);
    if (strcmp(what, "create") == 0)
        return zoo_acreate(zh, "/x", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, end_string, NULL);
    if (strcmp(what, "delete") == 0)
        return zoo_adelete(zh, "/x", -1, end_void, NULL);
    if (strcmp(what, "auth") == 0)
        return zoo_add_auth(zh, "digest", "a:b", 3, end_void, NULL);
    if (strcmp(what, "multi") == 0) {
        zoo_create_op_init(&ops[0], "/x", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
        zoo_delete_op_init(&ops[1], "/x", -1);
        return zoo_amulti(zh, 2, ops, results, end_void, NULL);
    }
    return 1;
}

int main(int argc, char **argv)
{
    int i, seen = 0;
    if (argc < 4)
        return 2;
    zoo_set_debug_level(getenv("CASES_LOG") ? ZOO_LOG_LEVEL_DEBUG : (ZooLogLevel)0);
    zoo_deterministic_conn_order(1);
    zh = zookeeper_init(argv[1], watcher, atoi(argv[2]), NULL, NULL, atoi(argv[3]) | ZOO_NO_LOG_CLIENTENV);
    if (!zh) {
        perror("init");
        return 1;
    }
    for (i = 4; i < argc; i++) {
        char *number = strchr(argv[i], ':');
        int n = number ? atoi(number + 1) : 1, rc;
        if (number)
            *number = 0;
        if (strcmp(argv[i], "event") == 0) {
            until(&events, ++seen, "an event");
        } else if (strcmp(argv[i], "all") == 0) {
            until(&ended, issued, "completions");
            pthread_mutex_lock(&lock);
            flush_codes();
            pthread_mutex_unlock(&lock);
        } else if (strcmp(argv[i], "state") == 0) {
            say("state %d", zoo_state(zh));
        } else if (strcmp(argv[i], "linger") == 0) {
            linger(zh, n);
        } else if (strcmp(argv[i], "closing") == 0) {
            closes_within = 1;
            while (n-- > 0)
                issue("get");
            until(&ended, issued, "completions");
            flush_codes();
            say("completions: %d of %d", ended, issued);
            zh = NULL;
        } else if (strcmp(argv[i], "close") == 0) {
            rc = zookeeper_close(zh);
            flush_codes();
            say("closed: %d, completions %d of %d", rc, ended, issued);
            zh = NULL;
        } else {
            while (n-- > 0) {
                rc = issue(argv[i]);
                if (rc != ZOK) {
                    issued--;
                    say("%s refused: %d", argv[i], rc);
                }
            }
        }
    }
#ifdef THREADED
    /* A thread that closed its own handle unwinds. */
    poll(NULL, 0, closes_within ? 300 : 0);
#endif
    if (zh)
        zookeeper_close(zh);
    return 0;
}
