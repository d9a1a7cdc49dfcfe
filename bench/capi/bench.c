/*
 * Measures a client library of ZooKeeper: run it with one library or the other, against the same server.
 *
 *     bench host:port [seconds]
 *
 * Prints one "name value" line for each figure. Reads only: the server's share of the work is the same for both.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper.h>

enum { WINDOW = 1000, SYNC_CALLS = 20000, HANDLES = 40 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int connected;
static long outstanding, finished, failed;
static int is_over;
static const char *name = "/bench-capi";

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_session(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)zh;
    (void)path;
    (void)context;
    if (type == ZOO_SESSION_EVENT && state == ZOO_CONNECTED_STATE) {
        pthread_mutex_lock(&lock);
        connected++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
}

static void await_connected(int count)
{
    pthread_mutex_lock(&lock);
    while (connected < count)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void on_data(int rc, const char *value, int length, const struct Stat *stat, const void *data)
{
    zhandle_t *zh = (zhandle_t *)data;
    (void)value;
    (void)length;
    (void)stat;
    finished++;
    if (rc != ZOK)
        failed++;
    if (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
        zoo_aget(zh, name, 0, on_data, zh);
    } else {
        pthread_mutex_lock(&lock);
        outstanding--;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static long resident_kb(void)
{
    long pages = 0, dummy;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f) {
        if (fscanf(f, "%ld %ld", &dummy, &pages) != 2)
            pages = 0;
        fclose(f);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(int argc, char **argv)
{
    static double times[SYNC_CALLS];
    zhandle_t *zh, *many[HANDLES];
    double wall, cpu;
    char data[100];
    long before;
    int i, length, seconds = argc > 2 ? atoi(argv[2]) : 5;

    if (argc < 2)
        return 2;
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zh = zookeeper_init(argv[1], on_session, 30000, NULL, NULL, ZOO_NO_LOG_CLIENTENV);
    if (!zh)
        return 1;
    await_connected(1);
    setvbuf(stdout, NULL, _IOLBF, 0);
    memset(data, 'x', sizeof data);
    zoo_create(zh, name, data, sizeof data, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);

    wall = now(CLOCK_MONOTONIC);
    cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    outstanding = WINDOW;
    for (i = 0; i < WINDOW; i++)
        zoo_aget(zh, name, 0, on_data, zh);
    poll(NULL, 0, seconds * 1000);
    __atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&lock);
    while (outstanding > 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    wall = now(CLOCK_MONOTONIC) - wall;
    cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("async_operations_per_second %.0f\n", (double)finished / wall);
    printf("async_cpu_us_per_operation %.3f\n", cpu * 1e6 / (double)finished);
    printf("async_operations_per_cpu_second %.0f\n", (double)finished / cpu);
    printf("async_failed %ld\n", failed);

    cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    for (i = 0; i < SYNC_CALLS; i++) {
        double start = now(CLOCK_MONOTONIC);
        length = sizeof data;
        if (zoo_get(zh, name, 0, data, &length, NULL) != ZOK)
            return 1;
        times[i] = (now(CLOCK_MONOTONIC) - start) * 1e6;
    }
    cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    qsort(times, SYNC_CALLS, sizeof *times, by_value);
    printf("sync_p50_us %.1f\n", times[SYNC_CALLS / 2]);
    printf("sync_p99_us %.1f\n", times[SYNC_CALLS * 99 / 100]);
    printf("sync_cpu_us_per_operation %.3f\n", cpu * 1e6 / SYNC_CALLS);

    before = resident_kb();
    for (i = 0; i < HANDLES; i++)
        many[i] = zookeeper_init(argv[1], on_session, 30000, NULL, NULL, ZOO_NO_LOG_CLIENTENV);
    await_connected(1 + HANDLES);
    for (i = 0; i < HANDLES; i++) {
        length = sizeof data;
        zoo_get(many[i], name, 0, data, &length, NULL);
    }
    printf("memory_kb_per_handle %.1f\n", (double)(resident_kb() - before) / HANDLES);
    for (i = 0; i < HANDLES; i++)
        zookeeper_close(many[i]);
    zoo_delete(zh, name, -1);
    zookeeper_close(zh);
    return 0;
}
