/*
 * Where clients go when the list of servers changes: many handles of the library without threads, none of which ever
 * connects. Prints how many have chosen each server.
 *
 *     balance clients port from,from,... to,to,...
 */
#include "transcript.h"

int main(int argc, char **argv)
{
    static int chosen[256];
    int i, clients;
    if (argc < 5)
        return 2;
    zoo_set_debug_level((ZooLogLevel)0);
    clients = atoi(argv[1]);
    for (i = 0; i < clients; i++) {
        int fd, interest;
        struct timeval tv;
        const char *server, *last;
        zhandle_t *zh = zookeeper_init(argv[3], NULL, 10000, NULL, NULL, ZOO_NO_LOG_CLIENTENV);
        if (!zh)
            return 1;
        zookeeper_interest(zh, &fd, &interest, &tv);
        if (zoo_set_servers(zh, argv[4]) != ZOK)
            return 1;
        zookeeper_interest(zh, &fd, &interest, &tv);
        server = zoo_get_current_server(zh);
        last = strrchr(server, '.');
        chosen[last ? atoi(last + 1) : 0]++;
        zookeeper_close(zh);
    }
    for (i = 0; i < 256; i++)
        if (chosen[i])
            printf("%d %d\n", i, chosen[i]);
    return 0;
}
