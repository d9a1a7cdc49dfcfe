/*
 * Dynamic reconfiguration as a transcript: the configuration read and watched, changed by increments and as a whole, and
 * refused. With threads the synchronous calls tell the same story once more. The arguments: host:port of a member that
 * keeps its role; the lines of the three members, joined by commas; the line of a fourth as an observer that need not
 * run; the lines of the three with the first as an observer.
 *
 * Versions are not printed: they are compared with the Stat's mzxid, and must grow.
 */
#include <stdlib.h>

#include "transcript.h"

static const char *whole, *joiner, *demoted;
static long long last_version;

/* The text with its lines behind each other, and the version judged. */
static const char *configuration(const char *value, int length, const struct Stat *stat)
{
    static __thread char text[4096];
    char *version;
    long long number;
    int i;
    if (!value || length < 0 || length >= (int)sizeof text - 64 || !stat)
        return "no configuration";
    memcpy(text, value, (size_t)length);
    text[length] = 0;
    version = strstr(text, "version=");
    if (!version)
        return "a configuration without version";
    number = strtoll(version + 8, NULL, 16);
    sprintf(version, "version %s the zxid, %s", number == stat->mzxid ? "is" : "IS NOT",
            number > last_version ? "new" : number == last_version ? "known" : "OLD");
    last_version = number;
    for (i = 0; text[i]; i++)
        if (text[i] == '\n')
            text[i] = '|';
    return text;
}

/* data is the name of the step. The Stat's zxids are judged: the node is made by the servers at zxid 0. */
static void on_config(int rc, const char *value, int length, const struct Stat *stat, const void *data)
{
    if (rc == ZOK)
        say("%s: %s, a%d children %d length %s", (const char *)data, configuration(value, length, stat), stat->aversion,
            stat->numChildren, stat->dataLength == length ? "right" : "WRONG");
    else
        say("%s: error %d, value %s, stat %s", (const char *)data, rc, value ? "there" : "none", stat ? "there" : "none");
    note();
}

#define STEP(events, call)                                                                                             \
    do {                                                                                                               \
        int rc_ = (call);                                                                                              \
        if (rc_ == ZOK)                                                                                                \
            await(zh, 1 + (events));                                                                                   \
        else                                                                                                           \
            say("%s refused: %d", #call, rc_);                                                                         \
    } while (0)

static void change(zhandle_t *zh, int events, const char *name, const char *joining, const char *leaving,
                   const char *members, int64_t version)
{
    STEP(events, zoo_areconfig(zh, joining, leaving, members, version, on_config, name));
}

/* What must be refused, whoever asks with whatever rights: it is looked at before the rights are, or not at all. */
static void refusals(zhandle_t *zh)
{
    static const char *const joining[] = {"nonsense", "server.9=127.0.0.1:1:2:participant", "server.9=127.0.0.1:1:1;2",
                                          "server.9=127.0.0.1:1:2:emperor;2", "server.9=127.0.0.1:1:70000;2",
                                          "server.x=127.0.0.1:1:2;2"};
    static const char *const leaving[] = {"x", "1,2", "1,2,3"};
    static const char *const members[] = {"nonsense", "", "server.1=127.0.0.1:1:2;3",
                                          "server.1=127.0.0.1:1:2;3,server.2=127.0.0.1:1:2;3,group.1=1",
                                          "server.7=127.0.0.1:1:2;3,server.8=127.0.0.1:1:2;3,server.9=127.0.0.1:1:2;3"};
    size_t i;
    for (i = 0; i < sizeof joining / sizeof *joining; i++)
        change(zh, 0, joining[i], joining[i], NULL, NULL, -1);
    for (i = 0; i < sizeof leaving / sizeof *leaving; i++)
        change(zh, 0, leaving[i], NULL, leaving[i], NULL, -1);
    for (i = 0; i < sizeof members / sizeof *members; i++)
        change(zh, 0, members[i], NULL, NULL, members[i], -1);
    change(zh, 0, "another version", joiner, NULL, NULL, 7);
    change(zh, 0, "three strangers", "server.7=127.0.0.1:1:2;3,server.8=127.0.0.1:1:2;3,server.9=127.0.0.1:1:2;3", NULL, NULL, -1);
}

static void asynchronous(zhandle_t *zh)
{
    long long before;
    say("-- as anybody");
    STEP(0, zoo_agetconfig(zh, 0, on_config, "config"));
    refusals(zh);
    change(zh, 0, "nothing, as anybody", NULL, NULL, NULL, -1);
    change(zh, 0, "a joiner, as anybody", joiner, NULL, NULL, -1);
    STEP(0, zoo_add_auth(zh, "digest", "super:secret", 12, on_void, "auth"));
    say("-- as super");
    refusals(zh);

    STEP(0, zoo_awgetconfig(zh, on_event, "a watcher of its own", on_config, "wgetconfig"));
    change(zh, 1, "joins", joiner, NULL, NULL, -1);
    STEP(0, zoo_agetconfig(zh, 1, on_config, "config with the handle's watcher"));
    change(zh, 1, "leaves", NULL, "4", NULL, -1);
    /* A watch is for one event. */
    change(zh, 0, "nothing", NULL, NULL, NULL, -1);
    change(zh, 0, "blanks", "", " 9 ,, ", NULL, -1);
    STEP(0, zoo_agetconfig(zh, 0, on_config, "config"));

    before = last_version;
    change(zh, 0, "joins, from the version", joiner, NULL, NULL, last_version);
    change(zh, 0, "leaves, from the version before", NULL, "4", NULL, before);
    change(zh, 0, "joins and leaves, from the version", joiner, "4", NULL, last_version);
    change(zh, 0, "leaves", NULL, "4", NULL, last_version);

    STEP(0, zoo_awgetconfig(zh, on_event, "for the whole", on_config, "wgetconfig"));
    change(zh, 1, "the whole, the first as an observer", NULL, NULL, demoted, -1);
    STEP(0, zoo_awgetconfig(zh, on_event, "for the whole again", on_config, "wgetconfig"));
}

/* With the first member as a voter again, which it may take a while to be ready for. */
static void restored(zhandle_t *zh)
{
    change(zh, 1, "the whole", NULL, NULL, whole, -1);
    change(zh, 0, "increments beside the whole", joiner, "1,2", whole, -1);
    STEP(0, zoo_agetconfig(zh, 0, on_config, "config"));

    say("-- watches that are removed");
    STEP(0, zoo_awgetconfig(zh, on_event, "removed", on_config, "wgetconfig"));
    say("another's: %d", zoo_aremove_watches(zh, ZOO_CONFIG_NODE, ZWATCHTYPE_DATA, on_event, "other", 0,
                                             (void_completion_t *)on_void, "remove"));
    /* Removed without a word, unlike in Java. */
    STEP(0, zoo_aremove_watches(zh, ZOO_CONFIG_NODE, ZWATCHTYPE_DATA, on_event, "removed", 0, (void_completion_t *)on_void,
                                "remove"));
    change(zh, 0, "unwatched", NULL, NULL, NULL, -1);
}

/* The configuration lies beside every chroot. */
static void chroots(const char *server)
{
    char host[128];
    zhandle_t *zh;
    snprintf(host, sizeof host, "%s/some/where", server);
    zh = zookeeper_init(host, on_session, 20000, NULL, "chroot", ZOO_NO_LOG_CLIENTENV);
    await(zh, 1);
    say("-- below a chroot");
    STEP(0, zoo_add_auth(zh, "digest", "super:secret", 12, on_void, "auth"));
    STEP(0, zoo_agetconfig(zh, 0, on_config, "config"));
    change(zh, 0, "joins", joiner, NULL, NULL, -1);
    change(zh, 0, "leaves", NULL, "4", NULL, -1);
    say("close %d", zookeeper_close(zh));
    done = 0;
}

#ifdef THREADED
static char buffer[2048];
static int length;
static struct Stat stat;

/* Its events may be delivered before or after it returns, so it is said afterwards. */
static void synchronous_change(zhandle_t *zh, int events, const char *name, const char *joining, const char *leaving,
                               const char *members, int64_t version)
{
    int rc;
    length = sizeof buffer;
    rc = zoo_reconfig(zh, joining, leaving, members, version, buffer, &length, &stat);
    if (events)
        await(zh, events);
    say("%s = %d%s%s", name, rc, rc == ZOK ? ", " : "", rc == ZOK ? configuration(buffer, length, &stat) : "");
}

static void synchronous(zhandle_t *zh)
{
    long long before = last_version;
    say("-- synchronous");
    synchronous_change(zh, 0, "nonsense", "nonsense", NULL, NULL, -1);
    synchronous_change(zh, 0, "too few", NULL, "1,2", NULL, -1);
    synchronous_change(zh, 0, "strangers", NULL, NULL, "server.7=127.0.0.1:1:2;3,server.8=127.0.0.1:1:2;3", -1);
    synchronous_change(zh, 0, "another version", joiner, NULL, NULL, 7);
    length = sizeof buffer;
    say("wgetconfig = %d", zoo_wgetconfig(zh, on_event, "synchronously", buffer, &length, &stat));
    say("%s", configuration(buffer, length, &stat));
    before = last_version;
    synchronous_change(zh, 1, "joins", joiner, NULL, NULL, before);
    synchronous_change(zh, 0, "the same version again", joiner, NULL, NULL, before);
    length = sizeof buffer;
    say("getconfig = %d", zoo_getconfig(zh, 1, buffer, &length, &stat));
    say("%s", configuration(buffer, length, &stat));
    synchronous_change(zh, 1, "the whole", NULL, NULL, whole, -1);
    memset(buffer, '#', sizeof buffer);
    length = 9;
    say("cut = %d", zoo_reconfig(zh, NULL, NULL, NULL, -1, buffer, &length, NULL));
    say("%d bytes: %.12s", length, buffer);
    length = 0;
    say("no room = %d", zoo_reconfig(zh, NULL, NULL, NULL, -1, buffer, &length, &stat));
    say("%d bytes, stat %s", length, stat.dataLength > 9 ? "there" : "none");
    length = 7;
    say("cut = %d", zoo_getconfig(zh, 0, buffer, &length, NULL));
    say("%d bytes: %.12s", length, buffer);
}
#endif

/* Waits for a byte from whoever runs this; the session goes on meanwhile. */
static int told(zhandle_t *zh)
{
    struct pollfd input = {0, POLLIN, 0};
    char byte;
    while (poll(&input, 1, 0) == 0)
        linger(zh, 20);
    return read(0, &byte, 1) == 1;
}

int main(int argc, char **argv)
{
    zhandle_t *zh;
    if (argc != 5)
        return 2;
    whole = argv[2];
    joiner = argv[3];
    demoted = argv[4];
    zoo_set_debug_level(0);
    zh = zookeeper_init(argv[1], on_session, 20000, NULL, "context", ZOO_NO_LOG_CLIENTENV);
    if (!zh)
        return 1;
    await(zh, 1);
    asynchronous(zh);
    /* Whoever runs this says when the first member is an observer that keeps up. */
    say("-- demoted");
    if (!told(zh))
        return 3;
    done = 0;
    restored(zh);
#ifdef THREADED
    synchronous(zh);
#endif
    chroots(argv[1]);
    say("close %d", zookeeper_close(zh));
    return 0;
}
