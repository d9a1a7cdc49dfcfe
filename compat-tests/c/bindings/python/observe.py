"""PyPI's zkpython, an extension module on libzookeeper_mt, on whichever library it was started with. Prints a transcript: the
same, whoever made the library. Arguments: the directory of the module, host:port."""

import queue
import sys

sys.path.insert(0, sys.argv[1])
import zookeeper  # noqa: E402

OPEN = [{"perms": zookeeper.PERM_ALL, "scheme": "world", "id": "anyone"}]
happened = queue.Queue()


def wait(count=1):
    """Prints what other threads were told, here, so that the order of lines is one."""
    for _ in range(count):
        try:
            print(*happened.get(timeout=20))
        except queue.Empty:
            sys.exit("waited in vain")


def attempt(what, function, *arguments):
    try:
        print(what, shape(function(*arguments)))
    except Exception as error:
        print(what, type(error).__name__, error)


def shape(value):
    """What has neither times nor zxids in it."""
    if isinstance(value, tuple):
        return tuple(shape(part) for part in value)
    if isinstance(value, dict) and "czxid" in value:
        return {name: value[name] for name in ("version", "cversion", "aversion", "dataLength", "numChildren")}
    return sorted(value) if isinstance(value, list) and value and isinstance(value[0], str) else value


def told(what):
    def tell(*words):
        happened.put([what, *(shape(word) for word in words[1:])])

    return tell


zookeeper.set_debug_level(zookeeper.LOG_LEVEL_ERROR)
zookeeper.deterministic_conn_order(1)
zh = zookeeper.init(sys.argv[2], told("session"), 10000)
wait()
print("state", zookeeper.state(zh), "timeout", zookeeper.recv_timeout(zh), "unrecoverable", zookeeper.is_unrecoverable(zh))

attempt("create", zookeeper.create, zh, "/py", "one", OPEN, 0)
attempt("create again", zookeeper.create, zh, "/py", "one", OPEN, 0)
attempt("a bad path", zookeeper.create, zh, "no", "", OPEN, 0)
attempt("sequential", zookeeper.create, zh, "/py/s-", "", OPEN, zookeeper.EPHEMERAL | zookeeper.SEQUENCE)
attempt("exists", zookeeper.exists, zh, "/py", None)
attempt("exists none", zookeeper.exists, zh, "/none", None)
attempt("get", zookeeper.get, zh, "/py", told("data watch"))
attempt("get none", zookeeper.get, zh, "/none", None)
attempt("children", zookeeper.get_children, zh, "/py", told("child watch"))
attempt("set", zookeeper.set, zh, "/py", "three", 0)
wait()
attempt("set2", zookeeper.set2, zh, "/py", "four", 1)
attempt("wrong version", zookeeper.set, zh, "/py", "five", 7)
attempt("acl", zookeeper.get_acl, zh, "/py")

for what, function, arguments in [
    ("acreate", zookeeper.acreate, ("/py/a", "x", OPEN, 0)),
    ("aget", zookeeper.aget, ("/py/a", None)),
    ("aset", zookeeper.aset, ("/py/a", "yz", -1)),
    ("aexists", zookeeper.aexists, ("/py/a", None)),
    ("aget_children", zookeeper.aget_children, ("/py", None)),
    ("aget_acl", zookeeper.aget_acl, ("/py/a",)),
    ("async", getattr(zookeeper, "async"), ("/py",)),
    ("adelete", zookeeper.adelete, ("/py/a", -1)),
    ("aget none", zookeeper.aget, ("/none", None)),
]:
    rc = function(zh, *arguments, told(what))
    wait(2 if what == "acreate" else 1)
    print(what, "submitted", rc)

attempt("auth", lambda: zookeeper.add_auth(zh, "digest", "u:p", told("auth")))
wait()
attempt("read only", zookeeper.set_acl, zh, "/py", 0, [{"perms": zookeeper.PERM_READ, "scheme": "world", "id": "anyone"}])
attempt("not allowed", zookeeper.set, zh, "/py", "x", -1)
attempt("not empty", zookeeper.delete, zh, "/py", -1)
attempt("delete", zookeeper.delete, zh, "/py/s-0000000000", -1)
attempt("delete", zookeeper.delete, zh, "/py", -1)
print(zookeeper.zerror(-101))
print("close", zookeeper.close(zh))
attempt("closed", zookeeper.get, zh, "/py", None)
