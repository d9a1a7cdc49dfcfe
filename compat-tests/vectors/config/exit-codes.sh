#!/bin/sh
# Writes exit-codes.tsv anew: what ZooKeeper 3.9.5 does with each invocation. Takes about two minutes.
# A column each: Java's exit code ("runs" if it still runs after 6 seconds), -D words or "-", what follows the main class.
# That is words, or "cfg:" and the text of a zoo.cfg; "myid=N " in front of that makes {D}/myid. {D} is an
# empty directory. Run, with the
# class path of ZooKeeper 3.9.5 and its libraries: CLASSPATH=... sh exit-codes.sh < exit-codes.tsv > new
tab=$(printf '\t')
while IFS="$tab" read -r _ flags words; do
    directory=$(mktemp -d)
    shown=$words
    case $words in
    myid=*)
        number=${words%% *}
        printf '%s\n' "${number#myid=}" > "$directory/myid"
        words=${words#* } ;;
    esac
    case $words in
    cfg:*)
        printf '%b' "$(printf '%s' "${words#cfg:}" | sed "s|{D}|$directory|g")" > "$directory.cfg"
        words=$directory.cfg ;;
    -) words= ;;
    esac
    words=$(printf '%s' "$words" | sed "s|{D}|$directory|g")
    given=$flags; [ "$flags" = - ] && given=
    # shellcheck disable=SC2086
    timeout 6 java -Dzookeeper.admin.enableServer=false $given \
        org.apache.zookeeper.server.quorum.QuorumPeerMain $words > /dev/null 2>&1 < /dev/null
    code=$?; [ $code = 124 ] && code=runs
    printf '%s\t%s\t%s\n' "$code" "$flags" "$shown"
    rm -rf "$directory" "$directory.cfg"
done
