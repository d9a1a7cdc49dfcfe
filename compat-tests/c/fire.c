/*
 * Many handles at work while their servers come and go:
 *
 *     fire hosts handles seconds
 *
 * Every request that was taken completes exactly once, and every watch that was set is told of the next change, also
 * when the connection was lost in between. Prints what is wrong, then the counts; status 1 if anything was.
 */
#include "transcript.h"

enum { MOST_HANDLES = 200, OUTSTANDING = 10, FINAL_MS = 30000 };

struct client {
    zhandle_t *zh;
    char path[64];
    int outstanding;
    /* Of the watch: 0 none, 1 asked for, 2 set. */
    int watch;
    long fired;
};

struct request {
    struct client *of;
    int ended;
};

static struct client clients[MOST_HANDLES];
static int handles;
static long taken, completed, refused, expired, connected, wrong;
static struct request *requests;
static long capacity;

static void complain(const char *what)
{
    __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
    say("WRONG: %s", what);
}

static void on_watch(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    struct client *client = context;
    (void)zh;
    (void)state;
    if (type == ZOO_SESSION_EVENT)
        return;
    if (strcmp(path, client->path) != 0)
        complain("an event for another path");
    if (__atomic_exchange_n(&client->watch, 0, __ATOMIC_ACQ_REL) != 2)
        complain("a watch that was not set has fired");
    __atomic_add_fetch(&client->fired, 1, __ATOMIC_RELAXED);
}

static void on_session_change(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)zh;
    (void)path;
    (void)context;
    if (type == ZOO_SESSION_EVENT && state == ZOO_CONNECTED_STATE)
        __atomic_add_fetch(&connected, 1, __ATOMIC_RELAXED);
}

static void end(const void *data)
{
    struct request *request = (struct request *)data;
    if (__atomic_exchange_n(&request->ended, 1, __ATOMIC_ACQ_REL))
        complain("a request has completed twice");
    __atomic_sub_fetch(&request->of->outstanding, 1, __ATOMIC_ACQ_REL);
    __atomic_add_fetch(&completed, 1, __ATOMIC_RELAXED);
}

static void end_data(int rc, const char *value, int length, const struct Stat *stat, const void *data)
{
    (void)length;
    if ((rc == ZOK) != (stat != NULL) || (rc != ZOK && value))
        complain("arguments do not fit the code");
    end(data);
}

static void end_stat(int rc, const struct Stat *stat, const void *data)
{
    if ((rc == ZOK) != (stat != NULL))
        complain("arguments do not fit the code");
    end(data);
}

static void end_watched(int rc, const struct Stat *stat, const void *data)
{
    struct request *request = (struct request *)data;
    (void)stat;
    /* exists sets a watch on what is there and on what is not. */
    __atomic_store_n(&request->of->watch, rc == ZOK || rc == ZNONODE ? 2 : 0, __ATOMIC_RELEASE);
    end(data);
}

static void end_string(int rc, const char *value, const void *data)
{
    if ((rc == ZOK) != (value != NULL))
        complain("arguments do not fit the code");
    end(data);
}

static struct request *next_request(struct client *client)
{
    if (taken == capacity)
        return NULL;
    requests[taken].of = client;
    __atomic_add_fetch(&client->outstanding, 1, __ATOMIC_ACQ_REL);
    return &requests[taken++];
}

static void taken_or_not(struct client *client, struct request *request, int rc)
{
    if (rc == ZOK)
        return;
    if (request->ended)
        complain("a refused request has completed");
    taken--;
    refused++;
    request->ended = 0;
    __atomic_sub_fetch(&client->outstanding, 1, __ATOMIC_ACQ_REL);
}

static void open_client(struct client *client, const char *hosts)
{
    client->watch = 0;
    client->zh = zookeeper_init(hosts, on_session_change, 10000, NULL, NULL, ZOO_NO_LOG_CLIENTENV);
    if (!client->zh) {
        perror("init");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    long long over;
    unsigned random = 12345;
    long i, unfinished = 0, fired = 0;
    int lost = 0;
    if (argc < 4)
        return 2;
    handles = atoi(argv[2]);
    zoo_set_debug_level((ZooLogLevel)0);
    capacity = 4000000;
    requests = calloc((size_t)capacity, sizeof *requests);
    for (i = 0; i < handles; i++) {
        snprintf(clients[i].path, sizeof clients[i].path, "/fire-%ld", i);
        open_client(&clients[i], argv[1]);
    }
    over = now_ms() + atoi(argv[3]) * 1000LL;
    while (now_ms() < over) {
        struct client *client = &clients[(random = random * 1103515245 + 12345) / 65536 % (unsigned)handles];
        struct client *other = &clients[(random = random * 1103515245 + 12345) / 65536 % (unsigned)handles];
        struct request *request;
        if (is_unrecoverable(client->zh) != ZOK) {
            /* Its watches are gone with the session, and its requests complete with the close at the latest. */
            expired++;
            zookeeper_close(client->zh);
            if (client->outstanding)
                complain("requests outstanding after close");
            open_client(client, argv[1]);
        }
        if (__atomic_load_n(&client->outstanding, __ATOMIC_ACQUIRE) >= OUTSTANDING) {
            poll(NULL, 0, 1);
            continue;
        }
        request = next_request(client);
        if (!request)
            break;
        random = random * 1103515245 + 12345;
        switch (random / 65536 % 5) {
        case 0:
            taken_or_not(client, request, zoo_aset(client->zh, other->path, "x", 1, -1, end_stat, request));
            break;
        case 1:
            taken_or_not(client, request,
                         zoo_acreate(client->zh, client->path, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, end_string, request));
            break;
        case 2: {
            int none = 0;
            if (__atomic_compare_exchange_n(&client->watch, &none, 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
                int rc = zoo_awexists(client->zh, client->path, on_watch, client, end_watched, request);
                if (rc != ZOK)
                    __atomic_store_n(&client->watch, 0, __ATOMIC_RELEASE);
                taken_or_not(client, request, rc);
                break;
            }
        }
        /* fall through */
        default:
            taken_or_not(client, request, zoo_aget(client->zh, other->path, 0, end_data, request));
        }
    }
    /* The servers stay now. Every watch that is set must still be told. */
    for (i = 0; i < handles; i++) {
        long long patience = now_ms() + FINAL_MS;
        int rc = -1;
        if (is_unrecoverable(clients[i].zh) != ZOK)
            continue;
        while (__atomic_load_n(&clients[i].outstanding, __ATOMIC_ACQUIRE) && now_ms() < patience)
            poll(NULL, 0, 5);
        while ((rc = zoo_set(clients[i].zh, clients[i].path, "last", 4, -1)) != ZOK && now_ms() < patience) {
            zoo_create(clients[i].zh, clients[i].path, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
            poll(NULL, 0, 20);
        }
        if (rc != ZOK)
            complain("a handle did not find its way back");
        while (__atomic_load_n(&clients[i].watch, __ATOMIC_ACQUIRE) && now_ms() < patience)
            poll(NULL, 0, 5);
        if (__atomic_load_n(&clients[i].watch, __ATOMIC_ACQUIRE))
            lost++;
    }
    for (i = 0; i < handles; i++) {
        zookeeper_close(clients[i].zh);
        fired += clients[i].fired;
    }
    for (i = 0; i < taken; i++)
        unfinished += !requests[i].ended;
    if (unfinished)
        complain("requests that never completed");
    if (lost)
        complain("watches that were lost");
    if (fired == 0 || connected <= handles)
        complain("nothing has happened");
    printf("requests %ld completed %ld refused %ld sessions expired %ld connections %ld watches fired %ld lost %d\n", taken,
           completed, refused, expired, connected, fired, lost);
    free(requests);
    return wrong != 0;
}
