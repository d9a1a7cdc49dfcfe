#!/usr/bin/env bash
# Deletes old snapshots and transaction logs: `zkCleanup.sh -n 3`.
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

value_of() {
  grep "^[[:space:]]*$1=" "$ZOOCFG" | sed -e 's/.*=//'
}
ZOODATADIR="$(value_of dataDir)"
ZOODATALOGDIR="$(value_of dataLogDir)"

if [ -z "$ZOODATALOGDIR" ]; then
  exec "$OXKEEPER" $JVMFLAGS org.apache.zookeeper.server.PurgeTxnLog "$ZOODATADIR" $*
else
  exec "$OXKEEPER" $JVMFLAGS org.apache.zookeeper.server.PurgeTxnLog "$ZOODATALOGDIR" "$ZOODATADIR" $*
fi
