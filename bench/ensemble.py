#!/usr/bin/env python3
"""Three servers on this machine, Java's and ours in turn, under the same load generator in the same run.

    cargo build --release && python3 bench/ensemble.py [--rounds 3] [--seconds 4] [--znodes 0]

Java is Debian's 3.8.0 (/usr/share/java/zookeeper.jar). Prints a line for each measurement and the ratios of the medians:
throughput and latency of setData and getData (oxkeeper-bench load, its own CPU is not counted), CPU of all three
servers, resident memory of all three, and the time from kill -9 of the leader to the next acknowledged write.
"""
import argparse, os, re, shutil, signal, socket, statistics, struct, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BENCH = os.path.join(ROOT, "target/release/oxkeeper-bench")
OURS = os.path.join(ROOT, "target/release/oxkeeper")
TICKS = os.sysconf("SC_CLK_TCK")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def word(port, what):
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as s:
            s.sendall(what.encode())
            s.settimeout(2)
            answer = b""
            while piece := s.recv(65536):
                answer += piece
            return answer.decode()
    except OSError:
        return ""


class Ensemble:
    def __init__(self, kind):
        self.kind = kind
        self.directory = tempfile.mkdtemp(prefix=f"ensemble-{kind}-")
        ports = free_ports(9)
        self.clients = ports[:3]
        lines = [f"server.{i + 1}=127.0.0.1:{ports[3 + i]}:{ports[6 + i]}" for i in range(3)]
        self.processes = [None] * 3
        for i in range(3):
            data = os.path.join(self.directory, str(i))
            os.makedirs(data)
            with open(os.path.join(data, "myid"), "w") as f:
                f.write(str(i + 1))
            with open(self.configuration(i), "w") as f:
                f.write("\n".join([
                    "tickTime=2000", "initLimit=10", "syncLimit=5", f"dataDir={data}", f"clientPort={self.clients[i]}",
                    "maxClientCnxns=0", "admin.enableServer=false", "4lw.commands.whitelist=*", *lines, ""]))
            self.start(i)
        self.wait()

    def configuration(self, i):
        return os.path.join(self.directory, f"{i}.cfg")

    def start(self, i):
        if self.kind == "java":
            command = ["java", "-Xmx1g", "-Dzookeeper.admin.enableServer=false", "-cp", "/etc/zookeeper/conf:/usr/share/java/*",
                       "org.apache.zookeeper.server.quorum.QuorumPeerMain", self.configuration(i)]
        else:
            command = [OURS, self.configuration(i)]
        log = open(os.path.join(self.directory, f"{i}.log"), "a")
        self.processes[i] = subprocess.Popen(command, stdout=log, stderr=log)

    def modes(self):
        found = [re.search(r"Mode: (\w+)", word(port, "srvr")) for port in self.clients]
        return [m.group(1) if m else None for m in found]

    def wait(self):
        for _ in range(600):
            if sorted(map(str, self.modes())) == ["follower", "follower", "leader"]:
                return
            time.sleep(0.1)
        raise SystemExit(f"{self.kind} does not come up: {self.modes()}, see {self.directory}")

    def leader(self):
        return self.modes().index("leader")

    def memory_mb(self):
        total = 0
        for p in self.processes:
            with open(f"/proc/{p.pid}/status") as f:
                total += int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
        return total / 1024

    def cpu_s(self):
        total = 0
        for p in self.processes:
            with open(f"/proc/{p.pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def load(self, port, seconds, **options):
        command = [BENCH, "load", "--address", f"127.0.0.1:{port}", "--seconds", str(seconds)]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        before = self.cpu_s()
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            raise SystemExit(f"{command}: {run.stdout}{run.stderr}")
        return run.stdout.strip(), self.cpu_s() - before

    def failover_ms(self):
        leader = self.leader()
        others = [port for i, port in enumerate(self.clients) if i != leader]
        self.processes[leader].send_signal(signal.SIGKILL)
        killed = time.monotonic()
        self.processes[leader].wait()
        while True:
            for port in others:
                if write(port):
                    elapsed = (time.monotonic() - killed) * 1000
                    self.start(leader)
                    self.wait()
                    return elapsed
            if time.monotonic() - killed > 60:
                raise SystemExit("no write after 60 s")

    def stop(self):
        for p in self.processes:
            p.kill()
            p.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def frame(s, body):
    s.sendall(struct.pack(">i", len(body)) + body)


def read_frame(s):
    head = b""
    while len(head) < 4:
        piece = s.recv(4 - len(head))
        if not piece:
            raise OSError("closed")
        head += piece
    length, body = struct.unpack(">i", head)[0], b""
    while len(body) < length:
        piece = s.recv(length - len(body))
        if not piece:
            raise OSError("closed")
        body += piece
    return body


def write(port):
    """A new session creates a node; whether both succeed at once."""
    try:
        with socket.create_connection(("127.0.0.1", port), 0.2) as s:
            s.settimeout(1.0)
            frame(s, struct.pack(">iqiqi", 0, 0, 4000, 0, 16) + bytes(16) + b"\0")
            if struct.unpack(">q", read_frame(s)[8:16])[0] == 0:
                return False
            path = b"/failover-"
            body = struct.pack(">ii", 1, 1) + struct.pack(">i", len(path)) + path + struct.pack(">i", 1) + b"x"
            body += struct.pack(">ii", 1, 31) + struct.pack(">i", 5) + b"world" + struct.pack(">i", 6) + b"anyone" + struct.pack(">i", 2)
            frame(s, body)
            return struct.unpack(">iqi", read_frame(s)[:16])[2] == 0
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--fill", type=int, default=0, help="znodes of 100 bytes made before the failovers")
    parser.add_argument("--only", choices=["java", "ours"])
    arguments = parser.parse_args()
    figures = {}

    def note(kind, what, value):
        figures.setdefault(what, {}).setdefault(kind, []).append(value)
        print(f"{kind:5} {what}: {value:.3f}", flush=True)

    kinds = [arguments.only] if arguments.only else ["java", "ours"]
    for _ in range(arguments.rounds):
        for kind in kinds:
            ensemble = Ensemble(kind)
            try:
                note(kind, "memory of the three at start, MB", ensemble.memory_mb())
                leader = ensemble.leader()
                follower = (leader + 1) % 3
                for name, options in [
                    ("warm-up", dict(op="set", sessions=16, outstanding=16, bytes=100)),
                    ("set 100 B 16x16", dict(op="set", sessions=16, outstanding=16, bytes=100)),
                    ("get 100 B 16x16", dict(op="get", sessions=16, outstanding=16, bytes=100)),
                    ("get 100 B 200x1", dict(op="get", sessions=200, outstanding=1, bytes=100)),
                    ("set one outstanding", dict(op="set", sessions=1, outstanding=1, bytes=100)),
                ]:
                    for where, index in [("leader", leader), ("follower", follower)]:
                        text, cpu = ensemble.load(ensemble.clients[index], arguments.seconds, **options)
                        if name == "warm-up":
                            continue
                        print(f"{kind:5} {name}, through the {where}: {text}; CPU of the three {cpu:.2f} s")
                        rate = re.search(r"([\d.]+)\s*(k|M)?(?:/s| ops/s| per second)", text)
                        if rate:
                            scale = {"k": 1e3, "M": 1e6, None: 1}[rate.group(2)]
                            note(kind, f"{name}, {where}, per second", float(rate.group(1)) * scale)
                for _ in range(arguments.fill // 10_000):
                    ensemble.load(ensemble.clients[leader], 1, op="create", sessions=16, outstanding=16, bytes=100)
                note(kind, "memory of the three after load, MB", ensemble.memory_mb())
                for _ in range(3):
                    note(kind, "leader killed: to the next acknowledged write, ms", ensemble.failover_ms())
            finally:
                ensemble.stop()
    print()
    for what, by_kind in figures.items():
        medians = {kind: statistics.median(values) for kind, values in by_kind.items()}
        ratio = f", ours/Java {medians['ours'] / medians['java']:.2f}" if len(medians) == 2 else ""
        print(f"{what}: " + ", ".join(f"{kind} {value:.1f}" for kind, value in medians.items()) + ratio)


if __name__ == "__main__":
    main()
