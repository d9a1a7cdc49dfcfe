"""The C library through ctypes, as Python programs without a binding of their own use it. Prints a transcript."""

import ctypes
import sys
import threading
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_int32, c_int64, c_void_p


class Stat(Structure):
    _fields_ = [(name, c_int64) for name in ("czxid", "mzxid", "ctime", "mtime")]
    _fields_ += [(name, c_int32) for name in ("version", "cversion", "aversion")]
    _fields_ += [("ephemeralOwner", c_int64), ("dataLength", c_int32), ("numChildren", c_int32), ("pzxid", c_int64)]


class Strings(Structure):
    _fields_ = [("count", c_int32), ("data", POINTER(c_char_p))]


Watcher = CFUNCTYPE(None, c_void_p, c_int, c_int, c_char_p, c_void_p)
DataCompletion = CFUNCTYPE(None, c_int, c_void_p, c_int, POINTER(Stat), c_void_p)
StringsCompletion = CFUNCTYPE(None, c_int, POINTER(Strings), c_void_p)

zk = ctypes.CDLL("libzookeeper_mt.so.2")
zk.zookeeper_init.restype = c_void_p
zk.zookeeper_init.argtypes = [c_char_p, Watcher, c_int, c_void_p, c_void_p, c_int]
for name in ("zoo_create", "zoo_get", "zoo_set", "zoo_delete", "zoo_aget", "zoo_awget", "zoo_aget_children", "zoo_state", "zookeeper_close"):
    getattr(zk, name).restype = c_int
zk.zerror.restype = c_char_p
open_acl = ctypes.c_byte.in_dll(zk, "ZOO_OPEN_ACL_UNSAFE")
ephemeral_sequential = c_int.in_dll(zk, "ZOO_EPHEMERAL_SEQUENTIAL").value

happened = threading.Semaphore(0)


@Watcher
def on_session(handle, kind, state, path, context):
    print("session", kind, state, path.decode() if path else "")
    happened.release()


@Watcher
def on_node(handle, kind, state, path, context):
    print("event", kind, state, path.decode(), "context", context)
    happened.release()


@DataCompletion
def on_data(rc, value, length, stat, context):
    data = ctypes.string_at(value, length) if rc == 0 else None
    print("data", rc, data, stat[0].version if rc == 0 else "", "context", context)
    happened.release()


@StringsCompletion
def on_children(rc, strings, context):
    names = sorted(strings[0].data[i].decode() for i in range(strings[0].count)) if rc == 0 else None
    print("children", rc, names)
    happened.release()


def wait(count=1):
    for _ in range(count):
        if not happened.acquire(timeout=20):
            sys.exit("waited in vain")


zk.zoo_set_debug_level(0)
handle = c_void_p(zk.zookeeper_init(sys.argv[1].encode(), on_session, 10000, None, None, 2))
wait()
name = ctypes.create_string_buffer(64)
print("create", zk.zoo_create(handle, b"/py", b"one", 3, byref(open_acl), 0, name, 64), name.value)
print("create", zk.zoo_create(handle, b"/py/s-", b"", 0, byref(open_acl), ephemeral_sequential, name, 64), name.value)
buffer, length, stat = ctypes.create_string_buffer(64), c_int(64), Stat()
print("get", zk.zoo_get(handle, b"/py", 0, buffer, byref(length), byref(stat)), buffer.raw[: length.value], stat.numChildren)
rc = zk.zoo_awget(handle, b"/py", on_node, c_void_p(42), on_data, c_void_p(7))
wait()
print("awget", rc)
rc = zk.zoo_set(handle, b"/py", b"two", 3, -1)
wait()
print("set", rc)
zk.zoo_aget_children(handle, b"/py", 0, on_children, None)
wait()
zk.zoo_aget(handle, b"/none", 0, on_data, None)
wait()
print("delete", zk.zoo_delete(handle, name.value, -1), zk.zoo_delete(handle, b"/py", -1), zk.zoo_delete(handle, b"/py", -1))
print(zk.zerror(-101).decode(), zk.zoo_state(handle))
print("close", zk.zookeeper_close(handle))
