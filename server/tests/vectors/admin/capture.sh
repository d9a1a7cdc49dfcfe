#!/bin/sh
# Writes what a member of an ensemble answers to the commands that tell of it, one file a command:
#   capture.sh http://127.0.0.1:18092/commands leader
# Captured from ZooKeeper 3.9.5: servers 1 and 2 (127.0.0.1:2188N, elections 2189N, clients 2182N), server 3 observes;
# 2 led, 1 followed.
for command in leader voting_view zabstate observers server_stats; do
    curl -s "$1/$command" > "3.9.5-$2-$command.json"
done
