#!/usr/bin/env bash
# Sums up the subtrees of a snapshot: `zkSnapshotRecursiveSummaryToolkit.sh snapshot_file starting_node max_depth`.
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

exec "$OXKEEPER" $JVMFLAGS org.apache.zookeeper.server.SnapshotRecursiveSummary "$@"
