"""kazoo, used as its users use it: the plain calls and the recipes.

Usage: observe.py host:port. Prints a transcript of what it saw; the runner compares the one made against Java with the
one made against Oxkeeper. A line "@stop" or "@start" on the output asks the runner to stop or start the server; the
answer is one line on the input. Times and session ids stay out of the transcript.
"""

import logging
import queue
import sys
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import KazooException, LockTimeout
from kazoo.protocol.states import WatchedEvent
from kazoo.recipe.watchers import PatientChildrenWatch
from kazoo.security import ACL, Id, make_acl, make_digest_acl

DEADLINE_S = 60
HOSTS = sys.argv[1]


def say(*words):
    print(*words, flush=True)


def ask(wish):
    say("@" + wish)
    if not sys.stdin.readline():
        raise SystemExit("the runner is gone")


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def stat(s):
    owner = "none" if s.ephemeralOwner == 0 else "someone"
    return (
        f"c{s.czxid} m{s.mzxid} p{s.pzxid} v{s.version} cv{s.cversion} av{s.aversion} len{s.dataLength} "
        f"kids{s.numChildren} owner {owner}"
    )


def show(value):
    if isinstance(value, tuple) and hasattr(value, "czxid"):
        return stat(value)
    if isinstance(value, tuple):
        return " ".join(show(v) for v in value)
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return str(sorted(value))
    if isinstance(value, list):
        return "[" + ", ".join(show(v) for v in value) + "]"
    if isinstance(value, KazooException):
        return type(value).__name__
    return str(value)


def tell(what, call, *args, **kwargs):
    try:
        say(what, "->", show(call(*args, **kwargs)))
    except (KazooException, ValueError, TypeError) as e:
        say(what, "->", type(e).__name__)


def eventually(what, holds):
    end = time.monotonic() + DEADLINE_S
    while not holds():
        check(time.monotonic() < end, "never: " + what)
        time.sleep(0.01)
    say(what)


def expect(events, *wanted):
    for want in wanted:
        event = events.get(timeout=DEADLINE_S)
        check(event == want, f"event {event} in place of {want}")
        say("event", event)


def connect(**kwargs):
    client = KazooClient(hosts=HOSTS, timeout=30, **kwargs)
    client.start(timeout=DEADLINE_S)
    return client


def plain(zk):
    say("== plain calls")
    tell("create", zk.create, "/k", b"one")
    tell("create again", zk.create, "/k", b"one")
    tell("create deep", zk.create, "/k/a/b/c", b"", makepath=True)
    tell("create with stat", zk.create, "/k/stat", b"x", include_data=True)
    tell("create below nothing", zk.create, "/none/x")
    tell("ephemeral", zk.create, "/k/e", b"e", ephemeral=True)
    tell("below an ephemeral", zk.create, "/k/e/x")
    tell("sequence", zk.create, "/k/s-", b"", sequence=True)
    tell("ephemeral sequence", zk.create, "/k/s-", b"", sequence=True, ephemeral=True)
    tell("ensure_path", zk.ensure_path, "/k/deep/er")
    tell("exists", zk.exists, "/k/stat")
    tell("exists not", zk.exists, "/none")
    tell("get", zk.get, "/k/stat")
    tell("get of nothing", zk.get, "/none")
    tell("set", zk.set, "/k/stat", b"two", version=0)
    check(zk.get("/k/stat")[1].version == 1, "version counts")
    tell("set wrong version", zk.set, "/k/stat", b"two", version=0)
    tell("children", zk.get_children, "/k")
    children, s = zk.get_children("/k", include_data=True)
    say("children with stat ->", sorted(children), s.cversion, s.numChildren)
    tell("delete of a parent", zk.delete, "/k")
    tell("delete wrong version", zk.delete, "/k/stat", version=9)
    tell("delete", zk.delete, "/k/stat", version=1)
    tell("delete of nothing", zk.delete, "/k/stat")
    tell("delete recursive", zk.delete, "/k", recursive=True)
    tell("sync", zk.sync, "/")
    big = b"b" * 900_000
    zk.create("/big", big)
    check(zk.get("/big")[0] == big, "a large node comes back")
    zk.delete("/big")
    pending = [zk.create_async(f"/p{i:03}", str(i).encode()) for i in range(200)]
    say("pipelined", [p.get(timeout=DEADLINE_S) for p in pending] == [f"/p{i:03}" for i in range(200)])
    pending = [zk.delete_async(f"/p{i:03}") for i in range(200)]
    say("pipelined", all(p.get(timeout=DEADLINE_S) for p in pending))
    say("version", zk.server_version()[:2])
    say("ruok", zk.command(b"ruok"))


def access_control(zk):
    say("== access control")
    mine = make_digest_acl("joe", "secret", all=True)
    read = make_acl("world", "anyone", read=True)
    tell("create for joe", zk.create, "/acl", b"1", acl=[mine, read])
    tell("set as anyone", zk.set, "/acl", b"2")
    tell("get as anyone", lambda: zk.get("/acl")[0])
    joe = connect(auth_data=[("digest", "joe:secret")])
    tell("set as joe", lambda: joe.set("/acl", b"2").version)
    tell("acls as joe", lambda: sorted(str(a) for a in joe.get_acls("/acl")[0]))
    tell("set acls", lambda: joe.set_acls("/acl", [make_acl("auth", "", all=True)]).aversion)
    tell("acls", lambda: [str(a) for a in joe.get_acls("/acl")[0]])
    tell("get as anyone", zk.get, "/acl")
    tell("acls of anyone", zk.get_acls, "/acl")
    zk.add_auth("digest", "joe:secret")
    tell("get as joe now", lambda: zk.get("/acl")[0])
    tell("an invalid acl", zk.create, "/acl2", b"", acl=[ACL(31, Id("nobody", "x"))])
    zk.default_acl = [mine]
    tell("default acl", zk.create, "/acl/default", b"")
    zk.default_acl = None
    joe.delete("/acl", recursive=True)
    joe.stop()
    joe.close()


def transactions(zk):
    say("== transactions")
    t = zk.transaction()
    t.create("/t", b"1")
    t.create("/t/s-", b"", sequence=True)
    t.check("/t", 0)
    t.set_data("/t", b"2", version=0)
    t.delete("/t/s-0000000000")
    tell("commit", t.commit)
    t = zk.transaction()
    t.create("/t/x")
    t.check("/t", 7)
    t.delete("/t")
    tell("fails", t.commit)
    tell("nothing done", zk.get_children, "/t")
    with zk.transaction() as t:
        t.delete("/t", 1)
    tell("gone", zk.exists, "/t")


def watches(zk, other):
    say("== watches")
    events = queue.Queue()

    def watch(event: WatchedEvent):
        events.put(f"{event.type} {event.state} {event.path}")

    zk.exists("/w", watch=watch)
    other.create("/w", b"0")
    expect(events, "CREATED CONNECTED /w")
    zk.get("/w", watch=watch)
    other.set("/w", b"1")
    expect(events, "CHANGED CONNECTED /w")
    zk.get_children("/w", watch=watch)
    other.create("/w/c")
    expect(events, "CHILD CONNECTED /w")
    zk.get("/w/c", watch=watch)
    other.delete("/w/c")
    expect(events, "DELETED CONNECTED /w/c")

    data = queue.Queue()
    children = queue.Queue()

    @zk.DataWatch("/w")
    def seen(value, s, event):
        data.put(f"data {value} {s.version if s else None} {event.type if event else None}")

    @zk.ChildrenWatch("/w")
    def listed(names):
        children.put(f"children {sorted(names)}")

    expect(data, "data b'1' 1 None")
    expect(children, "children []")
    other.set("/w", b"2")
    expect(data, "data b'2' 2 CHANGED")
    other.create("/w/a")
    expect(children, "children ['a']")
    other.create("/w/b")
    expect(children, "children ['a', 'b']")
    other.delete("/w/a")
    expect(children, "children ['b']")
    result = PatientChildrenWatch(zk, "/w", time_boundary=0.2).start()
    say("patient", sorted(result.get(timeout=DEADLINE_S)[0]))
    other.delete("/w", recursive=True)
    expect(data, "data None None DELETED")
    other.create("/w", b"3")
    expect(data, "data b'3' 0 CREATED")
    other.delete("/w")


def recipes(zk, other):
    say("== recipes")
    lock = zk.Lock("/lock", "one")
    rival = other.Lock("/lock", "two")
    tell("acquire", lock.acquire, timeout=DEADLINE_S)
    tell("rival, not blocking", rival.acquire, blocking=False)
    try:
        rival.acquire(timeout=0.3)
    except LockTimeout:
        say("rival times out")
    tell("contenders", lock.contenders)
    lock.release()
    tell("rival now", rival.acquire, timeout=DEADLINE_S)
    rival.release()
    inside, turns, errors = [], [], []

    def work(client):
        try:
            for _ in range(5):
                with client.Lock("/lock"):
                    inside.append(1)
                    check(len(inside) == 1, "one holder")
                    turns.append(1)
                    inside.pop()
        except Exception as e:  # a thread's failure must reach the main thread
            errors.append(e)

    threads = [threading.Thread(target=work, args=(client,)) for client in (zk, other, zk, other)]
    [t.start() for t in threads]
    [t.join(DEADLINE_S) for t in threads]
    say("turns", len(turns), "errors", errors)

    readers = zk.ReadLock("/rw"), other.ReadLock("/rw")
    tell("readers", lambda: [r.acquire(timeout=DEADLINE_S) for r in readers])
    tell("writer", other.WriteLock("/rw").acquire, blocking=False)
    [r.release() for r in readers]
    semaphore = zk.Semaphore("/sem", max_leases=1)
    tell("semaphore", semaphore.acquire, timeout=DEADLINE_S)
    tell("second lease", other.Semaphore("/sem", max_leases=1).acquire, blocking=False)
    semaphore.release()

    led = queue.Queue()
    go_on = threading.Event()

    def lead(name):
        led.put(name)
        go_on.wait(DEADLINE_S)

    elections = zk.Election("/election", "one"), other.Election("/election", "two")
    first = threading.Thread(target=elections[0].run, args=(lead, "one leads"))
    first.start()
    expect(led, "one leads")
    second = threading.Thread(target=elections[1].run, args=(lead, "two leads"))
    second.start()
    eventually("two contenders", lambda: len(elections[0].contenders()) == 2)
    tell("contenders", lambda: ",".join(elections[1].contenders()))
    go_on.set()
    expect(led, "two leads")
    first.join(DEADLINE_S)
    second.join(DEADLINE_S)

    counter = zk.Counter("/counter")
    rival = other.Counter("/counter")
    for _ in range(5):
        counter += 2
        rival -= 1
    tell("counter", lambda: (counter.value, rival.value))

    q = zk.Queue("/queue")
    q.put(b"second", priority=200)
    q.put(b"first", priority=50)
    tell("length", lambda: len(q))
    tell("get", q.get)
    tell("get", q.get)
    tell("get empty", q.get)
    locking = zk.LockingQueue("/lqueue")
    locking.put_all([b"x", b"y"])
    tell("locking get", locking.get, DEADLINE_S)
    tell("holds", locking.holds_lock)
    tell("consume", locking.consume)
    tell("other gets", other.LockingQueue("/lqueue").get, DEADLINE_S)

    party = zk.Party("/party", "one")
    guests = other.Party("/party", "two")
    party.join()
    guests.join()
    tell("party", lambda: sorted(party))
    guests.leave()
    eventually("one guest is left", lambda: sorted(party) == ["one"])
    party.leave()
    shallow = zk.ShallowParty("/shallow", "one")
    shallow.join()
    tell("shallow party", lambda: len(shallow))

    barrier = zk.Barrier("/barrier")
    barrier.create()
    tell("barrier stands", other.Barrier("/barrier").wait, 0.2)
    barrier.remove()
    tell("barrier is gone", other.Barrier("/barrier").wait, DEADLINE_S)
    double = [client.DoubleBarrier("/double", 2, name) for client, name in ((zk, "one"), (other, "two"))]
    crossed = []

    def cross(b):
        b.enter()
        b.leave()
        crossed.append(1)

    threads = [threading.Thread(target=cross, args=(b,)) for b in double]
    [t.start() for t in threads]
    [t.join(DEADLINE_S) for t in threads]
    say("crossed", len(crossed))

    partitioner = zk.SetPartitioner("/partition", set=("a", "b", "c"), time_boundary=0.2)
    partitioner.wait_for_acquire(timeout=DEADLINE_S)
    tell("partition", lambda: sorted(partitioner))
    partitioner.finish()

    lease = zk.NonBlockingLease("/lease", __import__("datetime").timedelta(seconds=60), identifier="one")
    tell("lease", bool, lease)
    rival = other.NonBlockingLease("/lease", __import__("datetime").timedelta(seconds=60), identifier="two")
    tell("lease of another", bool, rival)


def chroot(zk):
    say("== chroot")
    zk.ensure_path("/jail")
    client = KazooClient(hosts=HOSTS + "/jail", timeout=30)
    client.start(timeout=DEADLINE_S)
    tell("create", client.create, "/cell", b"")
    tell("children", zk.get_children, "/jail")
    client.stop()
    client.close()
    zk.delete("/jail", recursive=True)


def restart(zk, other):
    say("== restart")
    states = queue.Queue()
    zk.add_listener(lambda state: states.put(str(state)))
    zk.create("/r", b"0")
    zk.create("/r/e", b"", ephemeral=True)
    lock = zk.Lock("/lock", "kept")
    lock.acquire(timeout=DEADLINE_S)
    data = queue.Queue()

    @zk.DataWatch("/r")
    def seen(value, s):
        data.put(f"data {value}")

    expect(data, "data b'0'")
    session = zk.client_id
    ask("stop")
    expect(states, KazooState.SUSPENDED)
    ask("start")
    expect(states, KazooState.CONNECTED)
    say("same session", zk.client_id == session)
    other.retry(other.set, "/r", b"1")
    expect(data, "data b'1'")
    tell("ephemeral", lambda: zk.exists("/r/e").owner_session_id == session[0])
    tell("lock is still held", other.Lock("/lock").acquire, blocking=False)
    lock.release()
    tell("retry", zk.retry, lambda: zk.delete("/r", recursive=True))


def main():
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    zk = connect()
    other = connect()
    say("connected", zk.state, zk.connected)
    plain(zk)
    access_control(zk)
    transactions(zk)
    watches(zk, other)
    recipes(zk, other)
    chroot(zk)
    restart(zk, other)
    for client in (zk, other):
        client.stop()
        client.close()
    say("closed", zk.state)


main()
