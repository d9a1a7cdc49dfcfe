/*
 * A load for a ZooKeeper server, over the C library, with the arguments of the program that Apache's C client brings:
 *
 *     load_gen hosts path #children     creates, writes, reads and deletes path/0 to path/n-1, over and over
 *     load_gen hosts path clean         deletes path and all below it
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zookeeper.h>
#include <zookeeper_log.h>

enum { SESSION_TIMEOUT_MS = 10000, PATH_BYTES = 1024 };

static zhandle_t *zh;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int is_connected;
static long outstanding;
static int is_wrong;

static void on_event(zhandle_t *handle, int type, int state, const char *path, void *context)
{
    (void)handle;
    (void)path;
    (void)context;
    if (type != ZOO_SESSION_EVENT)
        return;
    pthread_mutex_lock(&lock);
    is_connected = state == ZOO_CONNECTED_STATE;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    if (state == ZOO_EXPIRED_SESSION_STATE || state == ZOO_AUTH_FAILED_STATE) {
        LOG_ERROR(LOGCALLBACK(handle), "the session is over, state %d", state);
        exit(1);
    }
}

static void await_connected(void)
{
    pthread_mutex_lock(&lock);
    while (!is_connected)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void begin(void)
{
    pthread_mutex_lock(&lock);
    outstanding++;
    pthread_mutex_unlock(&lock);
}

static void finish(void)
{
    pthread_mutex_lock(&lock);
    if (--outstanding == 0)
        pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void await_all(void)
{
    pthread_mutex_lock(&lock);
    while (outstanding > 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void check(int rc, const char *what)
{
    if (rc != ZOK && rc != ZNODEEXISTS && rc != ZNONODE)
        LOG_WARN(LOGCALLBACK(zh), "%s: %d (%s)", what, rc, zerror(rc));
}

static void on_created(int rc, const char *name, const void *data)
{
    (void)name;
    check(rc, (const char *)data);
    finish();
}

static void on_stat(int rc, const struct Stat *stat, const void *data)
{
    (void)stat;
    check(rc, (const char *)data);
    finish();
}

static void on_deleted(int rc, const void *data)
{
    check(rc, (const char *)data);
    finish();
}

static void on_data(int rc, const char *value, int length, const struct Stat *stat, const void *data)
{
    const char *expected = (const char *)data;
    (void)stat;
    check(rc, "get");
    if (rc == ZOK && (length != (int)strlen(expected) || memcmp(value, expected, (size_t)length) != 0)) {
        LOG_ERROR(LOGCALLBACK(zh), "read \"%.*s\" instead of \"%s\"", length, value, expected);
        __atomic_store_n(&is_wrong, 1, __ATOMIC_RELAXED);
    }
    finish();
}

/* One request for each child; the request's own refusal counts as its end. */
#define FOR_EACH(count, request)                                                                                       \
    do {                                                                                                               \
        int i_;                                                                                                        \
        for (i_ = 0; i_ < (count); i_++) {                                                                             \
            char path[PATH_BYTES];                                                                                     \
            int rc_;                                                                                                   \
            snprintf(path, sizeof path, "%s/%d", root, i_);                                                            \
            begin();                                                                                                   \
            rc_ = (request);                                                                                           \
            if (rc_ != ZOK) {                                                                                          \
                check(rc_, #request);                                                                                  \
                finish();                                                                                              \
            }                                                                                                          \
        }                                                                                                              \
        await_all();                                                                                                   \
    } while (0)

static void work(const char *root, int count)
{
    for (;;) {
        await_connected();
        LOG_INFO(LOGCALLBACK(zh), "creating %d children", count);
        FOR_EACH(count, zoo_acreate(zh, path, "first", 5, &ZOO_OPEN_ACL_UNSAFE, 0, on_created, "create"));
        FOR_EACH(count, zoo_aget(zh, path, 0, on_data, "first"));
        LOG_INFO(LOGCALLBACK(zh), "writing %d children", count);
        FOR_EACH(count, zoo_aset(zh, path, "second", 6, -1, on_stat, "set"));
        FOR_EACH(count, zoo_aget(zh, path, 0, on_data, "second"));
        LOG_INFO(LOGCALLBACK(zh), "deleting %d children", count);
        FOR_EACH(count, zoo_adelete(zh, path, -1, on_deleted, "delete"));
        if (__atomic_load_n(&is_wrong, __ATOMIC_RELAXED))
            exit(1);
    }
}

/* How many nodes it deleted; -1 when it could not. */
static long delete_all(const char *path)
{
    struct String_vector children = {0, NULL};
    long count = 0;
    int i, rc = zoo_get_children(zh, path, 0, &children);
    if (rc == ZNONODE)
        return 0;
    if (rc != ZOK) {
        check(rc, path);
        return -1;
    }
    for (i = 0; i < children.count && count >= 0; i++) {
        char child[PATH_BYTES];
        long below;
        snprintf(child, sizeof child, "%s/%s", path, children.data[i]);
        below = delete_all(child);
        count = below < 0 ? -1 : count + below;
    }
    deallocate_String_vector(&children);
    if (count < 0)
        return -1;
    LOG_INFO(LOGCALLBACK(zh), "Deleting %s", path);
    rc = zoo_delete(zh, path, -1);
    if (rc != ZOK && rc != ZNONODE) {
        check(rc, path);
        return -1;
    }
    return count + 1;
}

int main(int argc, char **argv)
{
    int rc;
    if (argc < 4) {
        fprintf(stderr, "USAGE: %s hosts path #children|clean\n", argv[0]);
        return 0;
    }
    zoo_set_debug_level(ZOO_LOG_LEVEL_INFO);
    zoo_deterministic_conn_order(1);
    zh = zookeeper_init(argv[1], on_event, SESSION_TIMEOUT_MS, NULL, NULL, 0);
    if (!zh) {
        perror(argv[1]);
        return 1;
    }
    await_connected();
    if (strcmp(argv[3], "clean") == 0) {
        long count = delete_all(argv[2]);
        if (count >= 0)
            LOG_INFO(LOGCALLBACK(zh), "Successfully deleted a subtree starting at %s (%ld nodes)", argv[2], count);
        zookeeper_close(zh);
        return count < 0;
    }
    rc = zoo_create(zh, argv[2], NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    if (rc != ZOK && rc != ZNODEEXISTS) {
        check(rc, argv[2]);
        return 1;
    }
    work(argv[2], atoi(argv[3]));
    return 0;
}
