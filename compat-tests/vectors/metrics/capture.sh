#!/bin/sh
# Writes the families of a Java server's /metrics as lines "type name label...", sorted, without the JVM's own:
#   capture.sh http://host:7000/metrics > 3.9.5-leader.txt
# The files here are from servers of 3.9.5 with zookeeper-prometheus-metrics 3.9.4 (the last in Maven's central
# repository), metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider:
# standalone after some clients; and the leader, follower and observer of an ensemble of two voters and one observer.
curl -s "$1" | awk '
    /^# TYPE / { type[$3] = $4; next }
    /^#/ { next }
    {
        name = $0; sub(/[{ ].*/, "", name)
        base = name
        if (!(base in type)) { sub(/_(count|sum|total|bucket)$/, "", base) }
        labels = ""
        rest = $0
        if (rest ~ /^[a-zA-Z_:0-9]*\{/) {
            sub(/^[^{]*\{/, "", rest)
            while (match(rest, /^[a-z_]+="([^"\\]|\\.)*",?/)) {
                pair = substr(rest, RSTART, RLENGTH); rest = substr(rest, RLENGTH + 1)
                sub(/=.*/, "", pair)
                labels = labels " " pair
            }
        }
        if (length(labels) > length(seen[base])) { seen[base] = labels }
    }
    END { for (name in type) if (name !~ /^jvm_(threads|memory|gc|classes|buffer|info)/) print type[name] " " name seen[name] }
' | LC_ALL=C sort
