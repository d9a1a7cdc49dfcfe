# Sourced by the scripts beside it, as installed by a package: what /etc/zookeeper/conf/environment says counts, with the
# same names as in the packages of Apache ZooKeeper; what it does not say has the defaults below. JAVA, CLASSPATH and
# ZOOMAIN have no meaning; OXKEEPER names the program.

ZOOBINDIR="${ZOOBINDIR:-/usr/share/zookeeper/bin}"

given_directory="$ZOOCFGDIR"
given_file="$ZOOCFG"
if [ "$#" -gt 1 ] && [ "$1" = "--config" ]; then
  given_directory="$2"
  shift 2
fi
ZOOCFGDIR="${given_directory:-/etc/zookeeper/conf}"
if [ -r "$ZOOCFGDIR/environment" ]; then
  . "$ZOOCFGDIR/environment"
fi
if [ -f "$ZOOCFGDIR/zookeeper-env.sh" ]; then
  . "$ZOOCFGDIR/zookeeper-env.sh"
fi
if [ -f "$ZOOCFGDIR/java.env" ]; then
  . "$ZOOCFGDIR/java.env"
fi
# What was asked for goes before what the file says.
if [ -n "$given_directory" ]; then
  ZOOCFGDIR="$given_directory"
  ZOOCFG="$ZOOCFGDIR/zoo.cfg"
fi
ZOOCFG="${given_file:-${ZOOCFG:-$ZOOCFGDIR/zoo.cfg}}"
case "$ZOOCFG" in
  */*) ;;
  *) ZOOCFG="$ZOOCFGDIR/$ZOOCFG" ;;
esac
SERVER_JVMFLAGS="$JAVA_OPTS $SERVER_JVMFLAGS"
ZOO_LOG_DIR="${ZOO_LOG_DIR:-/var/log/zookeeper}"
OXKEEPER="${OXKEEPER:-/usr/bin/oxkeeper}"
if [ ! -x "$OXKEEPER" ]; then
  echo "Error: there is no program $OXKEEPER; install oxkeeper-bin, or set OXKEEPER." 1>&2
  exit 1
fi
