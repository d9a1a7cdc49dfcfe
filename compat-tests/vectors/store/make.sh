#!/bin/bash
# Makes the directories beside this script with Java servers, for the tests of crates/store.
#
#   ./make.sh 3.8.0                     Debian's package `zookeeper`
#   ./make.sh 3.9.5                     fetched with Maven
#
# Each directory is the version-2 of a standalone server with preAllocSize=4 (KB) that was killed with kill -9. What was
# done to it is the table at the end.
set -eu
version=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ "$version" = 3.8.0 ]; then
    class_path=/usr/share/java/zookeeper.jar
else
    cat > "$work/pom.xml" <<POM
<project><modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>x</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.zookeeper</groupId><artifactId>zookeeper</artifactId><version>$version</version></dependency>
<dependency><groupId>org.xerial.snappy</groupId><artifactId>snappy-java</artifactId><version>1.1.10.5</version></dependency>
<dependency><groupId>io.dropwizard.metrics</groupId><artifactId>metrics-core</artifactId><version>4.1.12.1</version></dependency>
</dependencies></project>
POM
    mvn -q -f "$work/pom.xml" dependency:build-classpath -Dmdep.outputFile="$work/class_path"
    class_path=$(cat "$work/class_path")
fi
port=${PORT:-28711}

# server <flags> : starts a server on $work/data; its id is in $pid. (It listens a moment before it has loaded.)
server() {
    java -Xmx128m -Dzookeeper.preAllocSize=4 -Dzookeeper.admin.enableServer=false -Dzookeeper.extendedTypesEnabled=true "$@" -cp "$class_path" \
        org.apache.zookeeper.server.ZooKeeperServerMain "$port" "$work/data" > "$work/server.log" 2>&1 &
    pid=$!
    for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && { sleep 1; return; }
        sleep 0.1
    done
    cat "$work/server.log"; exit 1
}
client() {
    java -cp /usr/share/java/zookeeper.jar:/etc/zookeeper/conf org.apache.zookeeper.ZooKeeperMain -waitforconnection -server "127.0.0.1:$port" > "$work/client.log" 2>&1
}
stop() { kill -9 "$pid"; wait "$pid" 2>/dev/null || true; }
keep() { # keep <name>
    rm -rf "$here/$version-$1"; mkdir -p "$here/$version-$1"
    cp --sparse=never "$work"/data/version-2/* "$here/$version-$1/"
    rm -rf "$work/data"; mkdir "$work/data"
}
mkdir "$work/data"
first() { printf 'create /a one\nset /a two\ncreate -s /s- x\ncreate -e /e gone\ndelete /none\ncreate /a again\ncreate -c /c\ncreate -t 100000 /t ttl\ncreate /b\n'; }
second() { printf 'set /a three\ncreate /d four\ndelete /b\n'; }

server; stop; keep empty
server; first | client; stop;                      keep once
server; first | client; stop; server; second | client; stop; keep twice
server -Dzookeeper.digest.enabled=false -Dzookeeper.serializeLastProcessedZxid.enabled=false; first | client; stop
server -Dzookeeper.digest.enabled=false -Dzookeeper.serializeLastProcessedZxid.enabled=false; second | client; stop; keep plain
for method in gz snappy; do
    server -Dzookeeper.snapshot.compression.method=$method; first | client; stop
    server -Dzookeeper.snapshot.compression.method=$method; second | client; stop; keep $method
done
server -Dzookeeper.snapCount=6; (first; second; first; second) | client; sleep 1; stop; keep rolled
