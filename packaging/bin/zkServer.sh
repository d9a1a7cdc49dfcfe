#!/usr/bin/env bash
# Starts, stops and looks at a server: `zkServer.sh start [zoo.cfg]`.
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

# The lines about JMX are what scripts know; there is no JMX here. (Metrics are served over HTTP.)
if [ -z "$JMXDISABLE" ] || [ "$JMXDISABLE" = "false" ]; then
  echo "ZooKeeper JMX enabled by default" >&2
  if [ -n "$JMXPORT" ]; then
    echo "ZooKeeper remote JMX Port set to $JMXPORT" >&2
    echo "ZooKeeper remote JMX authenticate set to ${JMXAUTH:-false}" >&2
    echo "ZooKeeper remote JMX ssl set to ${JMXSSL:-false}" >&2
    echo "ZooKeeper remote JMX log4j set to ${JMXLOG4J:-true}" >&2
    if [ -n "$JMXHOSTNAME" ]; then
      echo "ZooKeeper remote JMX Hostname set to $JMXHOSTNAME" >&2
    fi
    echo "oxkeeper: there is no JMX; JMXPORT and its companions are ignored" >&2
  fi
else
  echo "JMX disabled by user request" >&2
fi

# The main class is an argument that the program knows; ps and print-cmd show it as people expect it.
ZOOMAIN="org.apache.zookeeper.server.quorum.QuorumPeerMain"
JVMFLAGS="$SERVER_JVMFLAGS $JVMFLAGS"
# They stand on the command line from here on; the program would read them from the environment a second time.
unset SERVER_JVMFLAGS
export -n JVMFLAGS

# A bare name lies in the configuration directory, a path is taken as it is.
if [ -n "$2" ]; then
  ZOOCFG="$ZOOCFGDIR/$2"
fi
if [ "$(dirname "$ZOOCFG")" != "$ZOOCFGDIR" ]; then
  ZOOCFG="$2"
fi

echo "Using config: $ZOOCFG" >&2

# The last piece behind `=` of the lines that begin with a key, whatever follows the key.
value_of() {
  grep "^[[:space:]]*$1" "$ZOOCFG" | sed -e 's/.*=//'
}
ZOO_DATADIR="$(value_of dataDir | sed -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//')"
ZOO_DATALOGDIR="$(value_of dataLogDir)"

ZOO_DATADIR_AUTOCREATE=""
if [ -n "$ZOO_DATADIR_AUTOCREATE_DISABLE" ]; then
  if [ ! -d "$ZOO_DATADIR/version-2" ]; then
    echo "ZooKeeper data directory is missing at $ZOO_DATADIR fix the path or run initialize"
    exit 1
  fi
  if [ -n "$ZOO_DATALOGDIR" ] && [ ! -d "$ZOO_DATALOGDIR/version-2" ]; then
    echo "ZooKeeper txnlog directory is missing at $ZOO_DATALOGDIR fix the path or run initialize"
    exit 1
  fi
  ZOO_DATADIR_AUTOCREATE="-Dzookeeper.datadir.autocreate=false"
fi

if [ -z "$ZOOPIDFILE" ]; then
  [ -d "$ZOO_DATADIR" ] || mkdir -p "$ZOO_DATADIR"
  ZOOPIDFILE="$ZOO_DATADIR/zookeeper_server.pid"
else
  mkdir -p "$(dirname "$ZOOPIDFILE")"
fi

[ -w "$ZOO_LOG_DIR" ] || mkdir -p "$ZOO_LOG_DIR"
ZOO_LOG_FILE="${ZOO_LOG_FILE:-zookeeper-$USER-server-$HOSTNAME.log}"
_ZOO_DAEMON_OUT="$ZOO_LOG_DIR/zookeeper-$USER-server-$HOSTNAME.out"

# $JVMFLAGS is split at blanks, as it always was.
server=("$OXKEEPER" $ZOO_DATADIR_AUTOCREATE "-Dzookeeper.log.dir=$ZOO_LOG_DIR" "-Dzookeeper.log.file=$ZOO_LOG_FILE" $JVMFLAGS "$ZOOMAIN" "$ZOOCFG")

# Finds the client port: clientPort, else that of this server's line in the static or dynamic file, else secureClientPort.
find_client_port() {
  isSSL="false"
  clientPortAddress="$(value_of 'clientPortAddress[^[:alpha:]]')"
  clientPortAddress="${clientPortAddress:-localhost}"
  clientPort="$(value_of 'clientPort[^[:alpha:]]')"
  if ! [[ "$clientPort" =~ ^[0-9]+$ ]]; then
    myid="$(cat "$(value_of dataDir)/myid" 2>/dev/null)"
    if ! [[ "$myid" =~ ^[0-9]+$ ]]; then
      echo "myid could not be determined, will not able to locate clientPort in the server configs."
    else
      member="$(value_of "server.$myid=.*;.*" | sed -e 's/.*;//')"
      if [ -z "$member" ]; then
        echo "Client port not found in static config file. Looking in dynamic config file."
        member="$(grep "^[[:space:]]*server.$myid=.*;.*" "$(value_of dynamicConfigFile)" | sed -e 's/.*=//' -e 's/.*;//')"
      fi
      if [ -z "$member" ]; then
        echo "Client port not found in the server configs"
      else
        case "$member" in
          \[*\]:*)
            clientPortAddress="${member#[}"
            clientPortAddress="${clientPortAddress%%]:*}"
            ;;
          *:*)
            clientPortAddress="${member%%:*}"
            ;;
        esac
        clientPort="${member##*:}"
      fi
    fi
  fi
  if [ -z "$clientPort" ]; then
    echo "Client port not found. Looking for secureClientPort in the static config."
    clientPort="$(value_of 'secureClientPort[^[:alpha:]]')"
    if [ -z "$clientPort" ]; then
      echo "Unable to find either secure or unsecure client port in any configs. Terminating."
      exit 1
    fi
    isSSL="true"
    clientPortAddress="$(value_of 'secureClientPortAddress[^[:alpha:]]')"
    clientPortAddress="${clientPortAddress:-localhost}"
  fi
}

case $1 in
  start)
    echo -n "Starting zookeeper ... "
    if [ -f "$ZOOPIDFILE" ] && kill -0 "$(cat "$ZOOPIDFILE")" >/dev/null 2>&1; then
      echo "already running as process $(cat "$ZOOPIDFILE")."
      exit 1
    fi
    nohup "${server[@]}" >"$_ZOO_DAEMON_OUT" 2>&1 </dev/null &
    pid=$!
    if ! echo -n "$pid" >"$ZOOPIDFILE"; then
      echo FAILED TO WRITE PID
      exit 1
    fi
    sleep 1
    if kill -0 "$pid" 2>/dev/null; then
      echo STARTED
    else
      echo FAILED TO START
      # The original leaves the reason in its log.
      tail -n 3 "$_ZOO_DAEMON_OUT" >&2
      exit 1
    fi
    ;;
  start-foreground)
    if [ -n "$ZOO_NOEXEC" ]; then
      "${server[@]}"
    else
      exec "${server[@]}"
    fi
    ;;
  print-cmd)
    echo "\"$OXKEEPER\" $ZOO_DATADIR_AUTOCREATE -Dzookeeper.log.dir=\"$ZOO_LOG_DIR\" -Dzookeeper.log.file=\"$ZOO_LOG_FILE\" $JVMFLAGS $ZOOMAIN \"$ZOOCFG\" > \"$_ZOO_DAEMON_OUT\" 2>&1 < /dev/null"
    ;;
  stop)
    echo -n "Stopping zookeeper ... "
    if [ ! -f "$ZOOPIDFILE" ]; then
      echo "no zookeeper to stop (could not find file $ZOOPIDFILE)"
    else
      kill "$(cat "$ZOOPIDFILE")"
      rm "$ZOOPIDFILE"
      sleep 1
      echo STOPPED
    fi
    exit 0
    ;;
  version)
    exec "$OXKEEPER" org.apache.zookeeper.version.VersionInfoMain
    ;;
  restart)
    shift
    # What was set here for this run is found again by the next.
    export SERVER_JVMFLAGS="$JVMFLAGS"
    unset JVMFLAGS
    "$0" stop "$@"
    sleep 3
    "$0" start "$@"
    ;;
  status)
    find_client_port
    echo "Client port found: $clientPort. Client address: $clientPortAddress. Client SSL: $isSSL."
    STAT="$("$OXKEEPER" org.apache.zookeeper.client.FourLetterWordMain "$clientPortAddress" "$clientPort" srvr "$isSSL" 2>/dev/null | grep Mode)"
    if [ -z "$STAT" ]; then
      if [ "$isSSL" = "true" ]; then
        echo " "
        echo "Note: only secureClientPort ($clientPort) is configured, and 'status' does not speak TLS."
        echo "  Ask the AdminServer instead (commands/srvr), or configure a clientPort on a local address."
        echo " "
      fi
      echo "Error contacting service. It is probably not running."
      exit 1
    fi
    echo "$STAT"
    exit 0
    ;;
  *)
    echo "Usage: $0 [--config <conf-dir>] {start|start-foreground|stop|version|restart|status|print-cmd}" >&2
    ;;
esac
