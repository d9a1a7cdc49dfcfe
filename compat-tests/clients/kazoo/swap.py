"""kazoo as a load that notes everything: runs while servers are exchanged under it.

Usage: swap.py hosts. Writes numbered nodes and reads them back until there is a line on its input, and prints
"ready", "acknowledged <path>", "error <kind>", "lost" when the session is gone, "session <id>" twice, and "done".
"""

import logging
import select
import sys
import threading

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import ConnectionLoss, KazooException

logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
LINES = threading.Lock()


def say(*words):
    with LINES:
        print(*words, flush=True)


def kind(error):
    return "ConnectionLoss" if isinstance(error, ConnectionLoss) else type(error).__name__


def main():
    zk = KazooClient(hosts=sys.argv[1], timeout=30, connection_retry={"max_tries": -1, "delay": 0.05, "backoff": 1})
    zk.add_listener(lambda state: say("lost") if state == KazooState.LOST else None)
    zk.start(timeout=60)
    say("session", f"{zk.client_id[0]:x}")
    zk.ensure_path("/kazoo")
    zk.create("/kazoo/ephemeral", b"", ephemeral=True)
    events = []
    zk.DataWatch("/kazoo/watched", lambda data, stat: events.append(data))
    zk.ensure_path("/kazoo/watched")
    say("ready")
    number = 0
    last = None
    while not select.select([sys.stdin], [], [], 0.005)[0]:
        number += 1
        path = f"/kazoo/{number:06}"
        try:
            zk.create(path, str(number).encode())
            say("acknowledged", path)
            if number % 10 == 0:
                last = str(number).encode()
                zk.set("/kazoo/watched", last)
            data, stat = zk.get(path)
            if data != str(number).encode():
                say("error", "WrongData")
        except KazooException as error:
            say("error", kind(error))
    # What was set without an answer may have happened.
    for attempt in range(100):
        try:
            zk.set("/kazoo/watched", b"the end")
            if zk.exists("/kazoo/ephemeral").ephemeralOwner != zk.client_id[0]:
                say("error", "EphemeralOfAnother")
            break
        except ConnectionLoss as error:
            say("error", kind(error))
    for attempt in range(1000):
        if events and events[-1] == b"the end":
            break
        threading.Event().wait(0.01)
    else:
        say("error", "WatchLost")
    say("session", f"{zk.client_id[0]:x}")
    say("done")


main()
