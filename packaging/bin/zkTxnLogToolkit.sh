#!/usr/bin/env bash
# Shows, repairs and cuts transaction logs: `zkTxnLogToolkit.sh --help`.
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

exec "$OXKEEPER" $JVMFLAGS org.apache.zookeeper.server.persistence.TxnLogToolkit "$@"
