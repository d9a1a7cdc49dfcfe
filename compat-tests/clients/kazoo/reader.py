"""kazoo as a reader of a server that has no quorum: what it may do, and that it comes to write once there is one.

Usage: reader.py hosts. Prints what it was told, "waiting", and "created" when its first write has succeeded.
"""

import logging
import sys
import time

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NotReadOnlyCallError

logging.basicConfig(stream=sys.stderr, level=logging.WARNING)


def say(*words):
    print(*words, flush=True)


def main():
    zk = KazooClient(hosts=sys.argv[1], timeout=30, read_only=True, connection_retry={"max_tries": -1, "delay": 0.05, "backoff": 1})
    zk.start(timeout=60)
    say("state", zk.client_state)
    say("children", sorted(zk.get_children("/")))
    say("zookeeper", zk.exists("/zookeeper").numChildren)
    for what, write in [
        ("create", lambda: zk.create("/reader", b"")),
        ("set", lambda: zk.set("/zookeeper", b"x")),
        ("delete", lambda: zk.delete("/zookeeper/quota")),
        ("sync", lambda: zk.sync("/")),
    ]:
        try:
            write()
            say(what, "was done")
        except NotReadOnlyCallError:
            say(what, "needs a leader")
    say("waiting")
    for _ in range(600):
        try:
            zk.create("/reader", b"")
            break
        except KazooException:
            time.sleep(0.1)
    else:
        sys.exit("no server to write to was found")
    say("created")
    zk.stop()


main()
