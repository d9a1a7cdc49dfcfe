/*
 * A shell for ZooKeeper over the C library: cli_mt with -DTHREADED, else cli_st. Its options, commands and lines are
 * those of the program that Apache's C client brings, since scripts use it.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper.h>

enum { SESSION_TIMEOUT_MS = 30000, LINE_BYTES = 4096 };

static zhandle_t *zh;
static clientid_t session;
static const char *session_file;
static const char *hosts;
static const char *batch;
static int flags;
static volatile int ends;
static int is_verbose;
static struct timeval sent_at;

static void say_time(void)
{
    struct timeval now;
    gettimeofday(&now, NULL);
    fprintf(stderr, "time = %d msec\n",
            (int)((now.tv_sec - sent_at.tv_sec) * 1000 + (now.tv_usec - sent_at.tv_usec) / 1000));
}

static void say_date(const char *name, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    char text[64];
    if (!ctime_r(&seconds, text))
        text[0] = 0;
    fprintf(stderr, "%s%s", name, text);
}

static void say_stat(const struct Stat *stat)
{
    if (!stat) {
        fprintf(stderr, "null\n");
        return;
    }
    say_date("\tctime = ", stat->ctime);
    fprintf(stderr, "\tczxid=%" PRIx64 "\n", (uint64_t)stat->czxid);
    say_date("\tmtime=", stat->mtime);
    fprintf(stderr, "\tmzxid=%" PRIx64 "\n\tversion=%x\taversion=%x\n\tephemeralOwner = %" PRIx64 "\n",
            (uint64_t)stat->mzxid, (unsigned)stat->version, (unsigned)stat->aversion, (uint64_t)stat->ephemeralOwner);
}

static const char *type_name(int type)
{
    if (type == ZOO_CREATED_EVENT)
        return "CREATED_EVENT";
    if (type == ZOO_DELETED_EVENT)
        return "DELETED_EVENT";
    if (type == ZOO_CHANGED_EVENT)
        return "CHANGED_EVENT";
    if (type == ZOO_CHILD_EVENT)
        return "CHILD_EVENT";
    if (type == ZOO_SESSION_EVENT)
        return "SESSION_EVENT";
    if (type == ZOO_NOTWATCHING_EVENT)
        return "NOTWATCHING_EVENT";
    return "UNKNOWN_EVENT_TYPE";
}

static const char *state_name(int state)
{
    if (state == 0)
        return "CLOSED_STATE";
    if (state == ZOO_CONNECTING_STATE)
        return "CONNECTING_STATE";
    if (state == ZOO_ASSOCIATING_STATE)
        return "ASSOCIATING_STATE";
    if (state == ZOO_CONNECTED_STATE)
        return "CONNECTED_STATE";
    if (state == ZOO_READONLY_STATE)
        return "READONLY_STATE";
    if (state == ZOO_EXPIRED_SESSION_STATE)
        return "EXPIRED_SESSION_STATE";
    if (state == ZOO_AUTH_FAILED_STATE)
        return "AUTH_FAILED_STATE";
    return "INVALID_STATE";
}

static void on_event(zhandle_t *handle, int type, int state, const char *path, void *context)
{
    (void)context;
    fprintf(stderr, "Watcher %s state = %s", type_name(type), state_name(state));
    if (path && *path)
        fprintf(stderr, " for path %s", path);
    fprintf(stderr, "\n");
    if (type != ZOO_SESSION_EVENT)
        return;
    if (state == ZOO_CONNECTED_STATE) {
        const clientid_t *id = zoo_client_id(handle);
        if (session.client_id == 0 || session.client_id != id->client_id) {
            session = *id;
            fprintf(stderr, "Got a new session id: 0x%" PRIx64 "\n", (uint64_t)session.client_id);
            if (session_file) {
                FILE *file = fopen(session_file, "w");
                if (!file || fwrite(&session, sizeof session, 1, file) != 1)
                    perror(session_file);
                if (file)
                    fclose(file);
            }
        }
    } else if (state == ZOO_AUTH_FAILED_STATE) {
        fprintf(stderr, "Authentication failure. Shutting down...\n");
        ends = 1;
    } else if (state == ZOO_EXPIRED_SESSION_STATE) {
        fprintf(stderr, "Session expired. Shutting down...\n");
        ends = 1;
    }
}

/* In batch mode the first completion is the end. */
static void end_of_command(void)
{
    if (batch)
        ends = 1;
}

static void on_void(int rc, const void *data)
{
    fprintf(stderr, "%s: rc = %d\n", (const char *)data, rc);
    free((void *)data);
    end_of_command();
}

static void on_stat(int rc, const struct Stat *stat, const void *data)
{
    fprintf(stderr, "%s: rc = %d Stat:\n", (const char *)data, rc);
    say_stat(stat);
    free((void *)data);
    end_of_command();
}

/* exists says only what failed. */
static void on_exists(int rc, const struct Stat *stat, const void *data)
{
    if (rc)
        fprintf(stderr, "Error %d for %s\n", rc, (const char *)data);
    else if (is_verbose)
        say_stat(stat);
    free((void *)data);
}

static void on_data(int rc, const char *value, int length, const struct Stat *stat, const void *data)
{
    say_time();
    fprintf(stderr, "%s: rc = %d\n", (const char *)data, rc);
    if (value) {
        fprintf(stderr, " value_len = %d\n", length);
        if (fwrite(value, 1, (size_t)length, stderr) != (size_t)length)
            perror("stderr");
    }
    fprintf(stderr, "\nStat:\n");
    say_stat(stat);
    free((void *)data);
    end_of_command();
}

static void say_strings(int rc, const struct String_vector *strings, const void *data)
{
    int i;
    say_time();
    fprintf(stderr, "%s: rc = %d\n", (const char *)data, rc);
    for (i = 0; strings && i < strings->count; i++)
        fprintf(stderr, "\t%s\n", strings->data[i]);
    say_time();
}

static void on_strings(int rc, const struct String_vector *strings, const void *data)
{
    say_strings(rc, strings, data);
    free((void *)data);
    end_of_command();
}

static void on_strings_stat(int rc, const struct String_vector *strings, const struct Stat *stat, const void *data)
{
    say_strings(rc, strings, data);
    say_stat(stat);
    free((void *)data);
    end_of_command();
}

static void on_string(int rc, const char *name, const void *data)
{
    fprintf(stderr, "[%s]: rc = %d\n", (const char *)data, rc);
    if (rc == ZOK)
        fprintf(stderr, "\tname = %s\n", name);
    free((void *)data);
    end_of_command();
}

static void on_string_stat(int rc, const char *name, const struct Stat *stat, const void *data)
{
    fprintf(stderr, "[%s]: rc = %d\n", (const char *)data, rc);
    if (rc == ZOK) {
        fprintf(stderr, "\tname = %s\n", name);
        say_stat(stat);
    }
    free((void *)data);
    end_of_command();
}

static const char *const HELP =
    "    create [+[e|s|c|t=ttl]] <path>\n"
    "    create2 [+[e|s|c|t=ttl]] <path>\n"
    "    delete <path>\n"
    "    set <path> <data>\n"
    "    get <path>\n"
    "    ls <path>\n"
    "    ls2 <path>\n"
    "    sync <path>\n"
    "    exists <path>\n"
    "    wexists <path>\n"
    "    myid\n"
    "    verbose\n"
    "    addauth <scheme> <credentials>\n"
    "    config\n"
    "    reconfig [-file <path> | -members <servers> | -add <servers> | -remove <ids>] [-version <hex>]\n"
    "    reinit\n"
    "    quit\n"
    "    a letter 'a' before a command, as in 'aget', makes no difference\n";

static int starts(const char **line, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(*line, word, length) != 0)
        return 0;
    *line += length;
    return 1;
}

static int is_path(const char *path)
{
    if (*path == '/')
        return 1;
    fprintf(stderr, "Path must start with /, found: %s\n", path);
    return 0;
}

static int refused(int rc, const char *path)
{
    if (rc)
        fprintf(stderr, "Error %d for %s\n", rc, path);
    return rc;
}

/* "+es /path" and the like. */
static int create(const char *line, int with_stat)
{
    int mode = ZOO_PERSISTENT, is_container = 0, rc;
    int64_t ttl = -1;
    if (*line == '+') {
        for (line++; *line != ' ' && *line; line++) {
            if (*line == 'e') {
                mode |= ZOO_EPHEMERAL;
            } else if (*line == 's') {
                mode |= ZOO_SEQUENCE;
            } else if (*line == 'c') {
                is_container = 1;
            } else if (*line == 't') {
                char *end;
                line++;
                if (*line != '=') {
                    fprintf(stderr, "Missing ttl value after +t\n");
                    return -1;
                }
                ttl = strtoll(line + 1, &end, 10);
                if (ttl <= 0) {
                    fprintf(stderr, "ttl value must be a positive integer\n");
                    return -1;
                }
                line = end - 1;
            } else {
                fprintf(stderr, "Unknown option: %c\n", *line);
                return -1;
            }
        }
        while (*line == ' ')
            line++;
    }
    if (is_container && (mode != ZOO_PERSISTENT || ttl >= 0)) {
        fprintf(stderr, "Invalid mode.\n");
        return -1;
    }
    if (is_container)
        mode = ZOO_CONTAINER;
    if (ttl >= 0) {
        if (mode == ZOO_PERSISTENT) {
            mode = ZOO_PERSISTENT_WITH_TTL;
        } else if (mode == ZOO_PERSISTENT_SEQUENTIAL) {
            mode = ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL;
        } else {
            fprintf(stderr, "Invalid mode.\n");
            return -1;
        }
    }
    if (!is_path(line))
        return -1;
    fprintf(stderr, "Creating [%s] node (mode: %d)\n", line, mode);
    if (with_stat)
        rc = zoo_acreate2_ttl(zh, line, "new", 3, &ZOO_OPEN_ACL_UNSAFE, mode, ttl, on_string_stat, strdup(line));
    else
        rc = zoo_acreate_ttl(zh, line, "new", 3, &ZOO_OPEN_ACL_UNSAFE, mode, ttl, on_string, strdup(line));
    return refused(rc, line);
}

static char *read_file(const char *name)
{
    char *text = calloc(1, LINE_BYTES);
    FILE *file = fopen(name, "r");
    if (!file || !text || (fread(text, 1, LINE_BYTES - 1, file) == 0 && ferror(file))) {
        perror(name);
        free(text);
        text = NULL;
    }
    if (file)
        fclose(file);
    return text;
}

static void reconfig(char *line)
{
    char *joining = NULL, *leaving = NULL, *members = NULL, *contents = NULL, *save = NULL, *word;
    int64_t version = -1;
    for (word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char *value = strtok_r(NULL, " ", &save);
        if (!value) {
            fprintf(stderr, "No value after %s\n", word);
            free(contents);
            return;
        }
        if (strcmp(word, "-add") == 0)
            joining = value;
        else if (strcmp(word, "-remove") == 0)
            leaving = value;
        else if (strcmp(word, "-members") == 0)
            members = value;
        else if (strcmp(word, "-file") == 0)
            members = contents = read_file(value);
        else if (strcmp(word, "-version") == 0)
            version = strtoll(value, NULL, 16);
        else
            fprintf(stderr, "Unknown option: %s\n", word);
    }
    refused(zoo_areconfig(zh, joining, leaving, members, version, on_data, strdup("reconfig")), "reconfig");
    free(contents);
}

static int open_handle(const clientid_t *id)
{
    zh = zookeeper_init(hosts, on_event, SESSION_TIMEOUT_MS, id, NULL, flags);
    return zh ? 0 : errno;
}

static void command(char *text)
{
    const char *line = text;
    gettimeofday(&sent_at, NULL);
    if (*line == 'a' && strncmp(line, "addauth ", 8) != 0)
        line++;
    if (strcmp(line, "help") == 0) {
        fputs(HELP, stderr);
    } else if (strcmp(line, "verbose") == 0) {
        is_verbose = !is_verbose;
        zoo_set_debug_level(is_verbose ? ZOO_LOG_LEVEL_DEBUG : ZOO_LOG_LEVEL_WARN);
        fprintf(stderr, "logging level set to %s\n", is_verbose ? "DEBUG" : "WARN");
    } else if (starts(&line, "get ")) {
        if (is_path(line))
            refused(zoo_aget(zh, line, 1, on_data, strdup(line)), line);
    } else if (strcmp(line, "config") == 0) {
        refused(zoo_agetconfig(zh, 1, on_data, strdup(ZOO_CONFIG_NODE)), ZOO_CONFIG_NODE);
    } else if (starts(&line, "reconfig ")) {
        reconfig((char *)line);
    } else if (starts(&line, "set ")) {
        char *data = strchr(line, ' ');
        if (!data) {
            fprintf(stderr, "No data found after path\n");
            return;
        }
        *data++ = 0;
        if (is_path(line))
            refused(zoo_aset(zh, line, data, (int)strlen(data), -1, on_stat, strdup(line)), line);
    } else if (starts(&line, "ls ")) {
        if (is_path(line))
            refused(zoo_aget_children(zh, line, 1, on_strings, strdup(line)), line);
    } else if (starts(&line, "ls2 ")) {
        if (is_path(line))
            refused(zoo_aget_children2(zh, line, 1, on_strings_stat, strdup(line)), line);
    } else if (starts(&line, "create2 ")) {
        create(line, 1);
    } else if (starts(&line, "create ")) {
        create(line, 0);
    } else if (starts(&line, "delete ")) {
        if (is_path(line))
            refused(zoo_adelete(zh, line, -1, on_void, strdup(line)), line);
    } else if (starts(&line, "sync ")) {
        if (is_path(line))
            refused(zoo_async(zh, line, on_string, strdup(line)), line);
    } else if (starts(&line, "wexists ")) {
        if (is_path(line))
            refused(zoo_awexists(zh, line, on_event, NULL, on_exists, strdup(line)), line);
    } else if (starts(&line, "exists ")) {
        if (is_path(line))
            refused(zoo_aexists(zh, line, 1, on_exists, strdup(line)), line);
    } else if (strcmp(line, "myid") == 0) {
        printf("session Id = %" PRIx64 "\n", (uint64_t)zoo_client_id(zh)->client_id);
        fflush(stdout);
    } else if (strcmp(line, "reinit") == 0) {
        zookeeper_close(zh);
        /* With the same session: it was closed, so the server gives another one. */
        open_handle(&session);
    } else if (starts(&line, "addauth ")) {
        char *credentials = strchr(line, ' ');
        if (credentials)
            *credentials++ = 0;
        refused(zoo_add_auth(zh, line, credentials, credentials ? (int)strlen(credentials) : 0, on_void, strdup(line)), line);
    } else if (strcmp(line, "quit") == 0) {
        fprintf(stderr, "Quitting...\n");
        ends = 1;
    } else if (*line) {
        fprintf(stderr, "Unknown command: %s\n", text);
    }
}

static int usage(const char *program)
{
    fprintf(stderr,
            "USAGE: %s -h host:port,... [-m clientid_file] [-c command] [-r] [-d]\n"
            "    or %s host:port,... [clientid_file|cmd:command]\n"
            "    -h  servers, with a chroot if wanted\n"
            "    -m  reads the session from this file and writes a new one into it\n"
            "    -c  does one command and ends\n"
            "    -r  a read-only server will do\n"
            "    -d  says everything in the log\n"
            "Version: ZooKeeper cli (c client) version %s\n",
            program, program, ZOO_VERSION);
    return 2;
}

#ifndef THREADED
/* One turn of the loop: the socket and standard input. */
static void turn(int *reads_input)
{
    struct pollfd waited[2] = {{0, POLLIN, 0}, {-1, 0, 0}};
    struct timeval tv = {0, 0};
    int fd = -1, interest = 0, events = 0, rc, wait_ms;
    rc = zookeeper_interest(zh, &fd, &interest, &tv);
    if (rc == ZINVALIDSTATE) {
        ends = 1;
        return;
    }
    if (!*reads_input)
        waited[0].fd = -1;
    if (rc == ZOK && fd >= 0) {
        waited[1].fd = fd;
        waited[1].events = (short)((interest & ZOOKEEPER_READ ? POLLIN : 0) | (interest & ZOOKEEPER_WRITE ? POLLOUT : 0));
    }
    wait_ms = tv.tv_sec > 1000 ? 1000000 : (int)(tv.tv_sec * 1000 + tv.tv_usec / 1000);
    poll(waited, 2, wait_ms);
    if (waited[1].revents & (POLLIN | POLLHUP | POLLERR))
        events |= ZOOKEEPER_READ;
    if (waited[1].revents & (POLLOUT | POLLERR))
        events |= ZOOKEEPER_WRITE;
    if (rc == ZOK && fd >= 0)
        zookeeper_process(zh, events);
    if (waited[0].revents) {
        static char text[LINE_BYTES];
        static size_t length;
        ssize_t got = read(0, text + length, sizeof text - 1 - length);
        char *newline;
        if (got <= 0) {
            *reads_input = 0;
            ends = 1;
            return;
        }
        length += (size_t)got;
        text[length] = 0;
        while (!ends && (newline = strchr(text, '\n'))) {
            size_t used = (size_t)(newline - text) + 1;
            *newline = 0;
            command(text);
            memmove(text, text + used, length - used + 1);
            length -= used;
        }
        if (length == sizeof text - 1)
            length = 0;
    }
}
#endif

int main(int argc, char **argv)
{
    static char command_text[LINE_BYTES];
    const char *program = argv[0];
    int is_old_style = argc > 1 && argv[1][0] != '-', option, rc;

    zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
    zoo_deterministic_conn_order(1);
    if (is_old_style) {
        if (argc > 3)
            return usage(program);
        hosts = argv[1];
        if (argc == 3 && strncmp(argv[2], "cmd:", 4) == 0) {
            batch = argv[2] + 4;
            fprintf(stderr, "Batch mode: '%s'\n", batch);
        } else if (argc == 3) {
            session_file = argv[2];
        }
    } else {
        while ((option = getopt(argc, argv, "h:m:c:rd")) != -1) {
            switch (option) {
            case 'h':
                hosts = optarg;
                break;
            case 'm':
                session_file = optarg;
                break;
            case 'c':
                batch = optarg;
                fprintf(stderr, "Batch mode: %s\n", batch);
                break;
            case 'r':
                flags |= ZOO_READONLY;
                break;
            case 'd':
                is_verbose = 1;
                zoo_set_debug_level(ZOO_LOG_LEVEL_DEBUG);
                break;
            default:
                return usage(program);
            }
        }
        if (!hosts || optind != argc)
            return usage(program);
    }
    if (session_file) {
        FILE *file = fopen(session_file, "r");
        if (file) {
            if (fread(&session, sizeof session, 1, file) != 1)
                memset(&session, 0, sizeof session);
            fclose(file);
        }
    }
    rc = open_handle(&session);
    if (rc)
        return rc;
    if (batch) {
        snprintf(command_text, sizeof command_text, "%s", batch);
        command(command_text);
    }
#ifdef THREADED
    /* What stdio reads ahead poll does not see. */
    setvbuf(stdin, NULL, _IONBF, 0);
    while (!ends) {
        struct pollfd input = {0, POLLIN, 0};
        if (batch) {
            poll(NULL, 0, 10);
            continue;
        }
        if (poll(&input, 1, 100) > 0) {
            if (!fgets(command_text, sizeof command_text, stdin))
                break;
            command_text[strcspn(command_text, "\n")] = 0;
            command(command_text);
        }
    }
#else
    {
        int reads_input = !batch;
        while (!ends)
            turn(&reads_input);
    }
#endif
    zookeeper_close(zh);
    return 0;
}
