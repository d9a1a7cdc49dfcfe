#!/usr/bin/env bash
# Compares two snapshots: `zkSnapshotComparer.sh -l LEFT -r RIGHT -b BYTES -n NODES`.
#
# Linked to from elsewhere it finds its neighbours only through ZOOBINDIR; call it by its path.

ZOOBIN="${BASH_SOURCE-$0}"
ZOOBIN="$(dirname "$ZOOBIN")"
ZOOBINDIR="$(cd "$ZOOBIN" && pwd)"

if [ -e "$ZOOBIN/../libexec/zkEnv.sh" ]; then
  . "$ZOOBINDIR/../libexec/zkEnv.sh"
else
  . "$ZOOBINDIR/zkEnv.sh"
fi

exec "$OXKEEPER" $JVMFLAGS org.apache.zookeeper.server.SnapshotComparer "$@"
