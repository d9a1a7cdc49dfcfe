#!/usr/bin/env bash
# Makes empty data directories for a new server: `zkServer-initialize.sh --myid=1`.
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

usage() {
  cat <<USAGE
usage: $0 <parameters>
  Optional parameters:
     -h                      Show this
     --help                  Show this
     --configfile=FILE       The configuration ($ZOOCFG)
     --myid=N                The number of this server in its ensemble (0-255)
     --force                 Throw away what is in the data directories
USAGE
  exit 1
}

# As the original's: a value may follow after `=` or as the next word, and an empty word ends the options.
given=()
while [ -n "$1" ]; do
  case "$1" in
    --configfile)
      ZOOCFG="$2"
      shift 2 || shift
      ;;
    --configfile=?*)
      ZOOCFG="${1#*=}"
      shift
      ;;
    --myid)
      given+=("--myid=$2")
      shift 2 || shift
      ;;
    --myid=?* | --force)
      given+=("$1")
      shift
      ;;
    -h | --help)
      usage
      ;;
    *)
      echo "Unknown option: $1"
      usage
      ;;
  esac
done
exec "$OXKEEPER" initialize --configfile="$ZOOCFG" "${given[@]}"
