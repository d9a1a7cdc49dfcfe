/*
 * What the programs here share: lines of a transcript without what differs between runs (times, zxids, session ids),
 * and waiting, which is a condition variable in the threaded library and the application's loop in the other.
 */
#ifndef TRANSCRIPT_H_
#define TRANSCRIPT_H_

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper.h>

/* How long anything may take before the transcript says so. */
enum { PATIENCE_MS = 15000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int done; /* how many callbacks have been noted */

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list values;
    pthread_mutex_lock(&lock);
    va_start(values, format);
    vprintf(format, values);
    va_end(values);
    putchar('\n');
    fflush(stdout);
    pthread_mutex_unlock(&lock);
}

/* Called at the end of every callback that is waited for. */
static void note(void)
{
    pthread_mutex_lock(&lock);
    done++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

#ifndef THREADED
/* One round of the application's loop. */
static int turn(zhandle_t *zh, int at_most_ms)
{
    int fd = -1, interest = 0, events = 0, rc, wait_ms;
    struct timeval tv = {0, 0};
    rc = zookeeper_interest(zh, &fd, &interest, &tv);
    if (rc != ZOK && rc != ZCONNECTIONLOSS && rc != ZOPERATIONTIMEOUT)
        return rc;
    wait_ms = (int)(tv.tv_sec > 1000 ? 1000000 : tv.tv_sec * 1000 + tv.tv_usec / 1000);
    if (wait_ms > at_most_ms)
        wait_ms = at_most_ms;
    if (rc == ZOK && fd >= 0) {
        struct pollfd waited = {fd, 0, 0};
        if (interest & ZOOKEEPER_READ)
            waited.events |= POLLIN;
        if (interest & ZOOKEEPER_WRITE)
            waited.events |= POLLOUT;
        if (poll(&waited, 1, wait_ms) > 0) {
            if (waited.revents & (POLLIN | POLLHUP | POLLERR))
                events |= ZOOKEEPER_READ;
            if (waited.revents & (POLLOUT | POLLERR))
                events |= ZOOKEEPER_WRITE;
        }
        return zookeeper_process(zh, events);
    }
    poll(NULL, 0, wait_ms < 20 ? wait_ms : 20);
    return rc;
}
#endif

/* Waits until `count` callbacks have been noted since the last time. */
static void await(zhandle_t *zh, int count)
{
    long long end = now_ms() + PATIENCE_MS;
#ifdef THREADED
    struct timespec until;
    (void)zh;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&lock);
    while (done < count && now_ms() < end)
        pthread_cond_timedwait(&changed, &lock, &until);
    if (done < count)
        printf("  waited in vain: %d of %d\n", done, count);
    done = 0;
    pthread_mutex_unlock(&lock);
#else
    while (done < count && now_ms() < end)
        turn(zh, 100);
    if (done < count)
        printf("  waited in vain: %d of %d\n", done, count);
    done = 0;
#endif
}

/* Lets things happen for a while. */
static void linger(zhandle_t *zh, int ms)
{
#ifdef THREADED
    (void)zh;
    poll(NULL, 0, ms);
#else
    long long end = now_ms() + ms;
    while (now_ms() < end)
        turn(zh, (int)(end - now_ms()));
#endif
}

/* Waits until nothing happens any more, and forgets what was noted. */
static void settle(zhandle_t *zh)
{
    linger(zh, 300);
    pthread_mutex_lock(&lock);
    done = 0;
    pthread_mutex_unlock(&lock);
}

static const char *stat_text(const struct Stat *stat)
{
    static __thread char text[160];
    if (!stat)
        return "no stat";
    snprintf(text, sizeof text, "v%d c%d a%d %s length %d children %d%s", stat->version, stat->cversion, stat->aversion,
             stat->ephemeralOwner ? "ephemeral" : "persistent", stat->dataLength, stat->numChildren,
             stat->czxid > 0 && stat->mzxid >= stat->czxid && stat->ctime > 0 ? "" : " BAD ZXIDS");
    return text;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The strings in order: servers have their own. */
static const char *strings_text(const struct String_vector *strings)
{
    static __thread char text[8192];
    char *sorted[512];
    int i, at = 0;
    if (!strings)
        return "no strings";
    for (i = 0; i < strings->count && i < 512; i++)
        sorted[i] = strings->data[i];
    qsort(sorted, (size_t)i, sizeof *sorted, by_name);
    text[0] = 0;
    for (i = 0; i < strings->count && i < 512 && at < 8000; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "%s%s", i ? " " : "", sorted[i]);
    return text;
}

static const char *acl_text(const struct ACL_vector *acl)
{
    static __thread char text[2048];
    int i, at = 0;
    if (!acl)
        return "no acl";
    text[0] = 0;
    for (i = 0; i < acl->count; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "%s%d:%s:%s", i ? " " : "", acl->data[i].perms,
                       acl->data[i].id.scheme, acl->data[i].id.id);
    return text;
}

/* The completions: each says what it was given. data is the name of the step. */
static void on_void(int rc, const void *data)
{
    say("%s -> %d", (const char *)data, rc);
    note();
}
static void on_stat(int rc, const struct Stat *stat, const void *data)
{
    say("%s -> %d, %s", (const char *)data, rc, stat_text(stat));
    note();
}
static void on_data(int rc, const char *value, int length, const struct Stat *stat, const void *data)
{
    say("%s -> %d, %d bytes \"%.*s\", %s", (const char *)data, rc, length, length > 0 && length < 2000 ? length : 0,
        value ? value : "", stat_text(stat));
    note();
}
static void on_strings(int rc, const struct String_vector *strings, const void *data)
{
    say("%s -> %d, %s", (const char *)data, rc, strings_text(strings));
    note();
}
static void on_strings_stat(int rc, const struct String_vector *strings, const struct Stat *stat, const void *data)
{
    say("%s -> %d, %s, %s", (const char *)data, rc, strings_text(strings), stat_text(stat));
    note();
}
static void on_string(int rc, const char *value, const void *data)
{
    say("%s -> %d, %s", (const char *)data, rc, value ? value : "no string");
    note();
}
static void on_string_stat(int rc, const char *value, const struct Stat *stat, const void *data)
{
    say("%s -> %d, %s, %s", (const char *)data, rc, value ? value : "no string", stat_text(stat));
    note();
}
static void on_acl(int rc, struct ACL_vector *acl, struct Stat *stat, const void *data)
{
    say("%s -> %d, %s, %s", (const char *)data, rc, acl_text(acl), stat_text(stat));
    note();
}

/* The watcher of nodes: says what it saw. */
static void on_event(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)zh;
    say("  event %d state %d path %s for %s", type, state, path, (const char *)context);
    if (type != ZOO_SESSION_EVENT)
        note();
}

/* The handle's watcher: notes session events only. */
static void on_session(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)zh;
    say("  handle's event %d state %d path \"%s\" for %s", type, state, path ? path : "", (const char *)context);
    note();
}

#endif
