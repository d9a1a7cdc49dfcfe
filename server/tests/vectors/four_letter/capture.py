#!/usr/bin/env python3
"""Captures what a Java ZooKeeper standalone server answers to the four-letter words.

    python3 capture.py CLASSPATH

CLASSPATH is that of Apache ZooKeeper 3.9.5 with its dependencies, dropwizard's metrics-core and
snappy-java. Writes one `<word>.txt` beside this file for each word, with what differs from run to run
(client ports, session ids, times, sizes, host properties) replaced by constants; the lines of `mntr` are
sorted. The order of connections, watches and ephemerals is that of Java's hash tables: after a new capture
the tests may need theirs changed. Needs loopback with IPv4 and IPv6.
"""
import os, re, shutil, socket, struct, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(classpath, port, data, *properties):
    environment = dict(os.environ, TZ="UTC")
    command = ["java", "-Xmx256m", "-Dzookeeper.admin.enableServer=false", *properties, "-cp", classpath,
               "org.apache.zookeeper.server.ZooKeeperServerMain", str(port), data]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(150):
        try:
            if ask(port, b"srvr").startswith(b"Zookeeper version"):
                return server
        except OSError:
            pass
        time.sleep(0.1)
    server.terminate()
    raise SystemExit("the server did not come up")


def ask(port, word):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
        link.sendall(word)
        answer = b""
        while True:
            try:
                chunk = link.recv(65536)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                return answer
            answer += chunk


def read(link, count):
    data = b""
    while len(data) < count:
        chunk = link.recv(count - len(data))
        if not chunk:
            raise SystemExit("closed")
        data += chunk
    return data


def frame(link, body):
    link.sendall(struct.pack(">i", len(body)) + body)
    return read(link, struct.unpack(">i", read(link, 4))[0])


def text(value):
    value = value.encode()
    return struct.pack(">i", len(value)) + value


WORLD = struct.pack(">ii", 1, 31) + text("world") + text("anyone")


class Session:
    def __init__(self, port, host):
        self.link = socket.create_connection((host, port), timeout=5)
        self.port = self.link.getsockname()[1]
        reply = frame(self.link, struct.pack(">iqiqi", 0, 0, 30000, 0, 16) + bytes(16) + b"\0")
        self.id = struct.unpack(">q", reply[8:16])[0]
        self.xid = 0

    def call(self, op, body):
        self.xid += 1
        return frame(self.link, struct.pack(">ii", self.xid, op) + body)

    def create(self, path, data=b"", flags=0):
        return self.call(1, text(path) + struct.pack(">i", len(data)) + data + WORLD + struct.pack(">i", flags))

    def exists(self, path, watch):
        return self.call(3, text(path) + bytes([watch]))


def save(name, content):
    if isinstance(content, str):
        content = content.encode()
    with open(os.path.join(HERE, name), "wb") as out:
        out.write(content)


def main():
    classpath = sys.argv[1]
    home = tempfile.mkdtemp(prefix="four-letter-")
    servers = []
    try:
        # The default white list, and one with blanks and an unknown word.
        port = free_port()
        servers.append(start(classpath, port, home + "/a"))
        save("refused.ruok.txt", ask(port, b"ruok"))
        save("refused.telnet.txt", ask(port, b"\xff\xf4\xff\xfd"))
        port = free_port()
        servers.append(start(classpath, port, home + "/b", "-Dzookeeper.4lw.commands.whitelist=ruok, mntr ,,nope,*,x"))
        save("allowed.telnet.txt", ask(port, b"\xff\xf4\xff\xfd"))

        port = free_port()
        data = home + "/c"
        servers.append(start(classpath, port, data, "-Dzookeeper.4lw.commands.whitelist=*"))
        save("mntr.fresh.txt", b"\n".join(sorted(ask(port, b"mntr").strip().split(b"\n"))) + b"\n")
        save("hash.fresh.txt", ask(port, b"hash"))
        save("wchs.fresh.txt", ask(port, b"wchs"))
        save("wchp.fresh.txt", ask(port, b"wchp"))
        one, two = Session(port, "127.0.0.1"), Session(port, "::1")
        bare = socket.create_connection(("127.0.0.1", port))
        one.create("/a", b"hello")
        one.create("/a/e1", b"", 1)
        one.create("/a/e2", b"", 1)
        two.create("/q\u00e9", b"", 1)
        one.exists("/a", 1)
        one.exists("/missing", 1)
        two.exists("/a", 1)
        two.call(8, text("/a") + b"\1")  # a child watch, which the watch words do not count
        for _ in range(260):
            one.call(5, text("/a") + struct.pack(">i", 1) + b"x" + struct.pack(">i", -1))
        time.sleep(0.2)

        def normal(answer):
            answer = answer.decode()
            for number, client in enumerate((one.port, two.port, bare.getsockname()[1])):
                answer = answer.replace(":%d" % client, ":4000%d" % (number + 1))
            answer = re.sub(r"(/127\.0\.0\.1):(?!4000)\d+", r"\1:49999", answer)
            answer = answer.replace("%x" % one.id, "10000000000000a").replace("%x" % two.id, "10000000000000b")
            answer = answer.replace(data, "/data")
            answer = answer.replace("clientPort=%d" % port, "clientPort=2181")
            answer = re.sub(r"(est|lresp)=\d+", lambda m: m[1] + ("=1795398000123" if m[1] == "est" else "=987654"), answer)
            answer = re.sub(r"(llat|minlat|avglat|maxlat)=\d+", r"\1=7", answer)
            answer = re.sub(r"expire at .*:\n", "expire at Mon Nov 23 01:40:00 UTC 2026:\n", answer)
            answer = re.sub(r"min/avg/max: .*", "min/avg/max: 0/0.1625/7", answer)
            answer = re.sub(r"(dataDirSize|dataLogSize|datadir_size|logdir_size)(=|: )\d+", r"\g<1>\g<2>67108880", answer)
            return answer

        for word in "conf cons dirs dump gtmk hash isro ruok srvr stat wchc wchp wchs".split():
            save(word + ".txt", normal(ask(port, word.encode())))
        save("envi.txt", re.sub(r"=(?!MB).*?(MB)?\n", r"=*\1\n", ask(port, b"envi").decode()))
        save("stmk.txt", ask(port, b"stmk" + struct.pack(">q", 1 << 40 | 306)))
        save("mntr.txt", b"\n".join(sorted(ask(port, b"mntr").strip().split(b"\n"))) + b"\n")
        save("crst.txt", ask(port, b"crst"))
        save("cons.reset.txt", normal(ask(port, b"cons")))
        save("srst.txt", ask(port, b"srst"))
        save("srvr.reset.txt", ask(port, b"srvr"))
        save("mntr.reset.txt", b"\n".join(sorted(ask(port, b"mntr").strip().split(b"\n"))) + b"\n")
    finally:
        for server in servers:
            server.terminate()
            server.wait()
        shutil.rmtree(home)


main()
