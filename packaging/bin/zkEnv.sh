# Sourced by the other scripts: where the configuration, the logs and the program are.
#
# Read from the environment, as the scripts of Apache ZooKeeper do: ZOOCFGDIR, ZOOCFG, ZOO_LOG_DIR, SERVER_JVMFLAGS,
# CLIENT_JVMFLAGS and JVMFLAGS; `--config <dir>` as the first arguments goes before ZOOCFGDIR. zookeeper-env.sh and java.env of
# the configuration directory are sourced. Of the flags for a JVM, -Dname=value counts and the rest is overlooked.
#
# Beyond them: OXKEEPER names the program. JAVA_HOME, CLASSPATH and the sizes of heaps have no meaning.

ZOOBINDIR="${ZOOBINDIR:-/usr/bin}"
ZOOKEEPER_PREFIX="${ZOOBINDIR}/.."

if [ "$#" -gt 1 ] && [ "$1" = "--config" ]; then
  ZOOCFGDIR="$2"
  shift 2
fi

if [ -z "$ZOOCFGDIR" ]; then
  if [ -e "$ZOOKEEPER_PREFIX/conf" ]; then
    ZOOCFGDIR="$ZOOBINDIR/../conf"
  else
    ZOOCFGDIR="$ZOOBINDIR/../etc/zookeeper"
  fi
fi

if [ -f "$ZOOCFGDIR/zookeeper-env.sh" ]; then
  . "$ZOOCFGDIR/zookeeper-env.sh"
fi

ZOOCFG="$ZOOCFGDIR/${ZOOCFG:-zoo.cfg}"

if [ -f "$ZOOCFGDIR/java.env" ]; then
  . "$ZOOCFGDIR/java.env"
fi

ZOO_LOG_DIR="${ZOO_LOG_DIR:-$ZOOKEEPER_PREFIX/logs}"

# Beside the scripts (tarball), then where packages put it, then on the PATH.
if [ -z "$OXKEEPER" ]; then
  for OXKEEPER in "$ZOOBINDIR/oxkeeper" "$ZOOBINDIR/../bin/oxkeeper" /usr/bin/oxkeeper "$(command -v oxkeeper)"; do
    if [ -x "$OXKEEPER" ] && [ ! -d "$OXKEEPER" ]; then
      break
    fi
  done
fi
if [ ! -x "$OXKEEPER" ]; then
  echo "Error: the program oxkeeper is neither beside this script nor in PATH; set OXKEEPER to it." 1>&2
  exit 1
fi
