#!/usr/bin/env bash
# The command line client: `zkCli.sh -server host:port`.
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

# Flags for a JVM reach the program through its environment.
export CLIENT_JVMFLAGS JVMFLAGS
exec "$OXKEEPER" cli "$@"
