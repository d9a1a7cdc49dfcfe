"""How long one command of zkCli takes from its start to its end, Java's and ours in turn on one server of ours, and the CPU
time of each: what is stated is the median of several rounds. `cargo xtask prerequisites` fetches Java's.

    python3 bench/zkcli.py [--oxkeeper PROGRAM] [--rounds N] [--write docs/performance-cli.md]
"""

import argparse
import glob
import os
import pathlib
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def timed(command):
    """Seconds of the clock and of the CPU; the command must succeed."""
    begun = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command[0]} ended with {child.returncode}")
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--oxkeeper", default=str(ROOT / "target/release/oxkeeper"))
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--write")
    given = arguments.parse_args()
    jars = glob.glob(str(ROOT / "target/compat-java/3.9.5/*.jar"))
    if not jars:
        raise SystemExit("the jars of ZooKeeper 3.9.5 are missing: cargo xtask prerequisites")
    port = free_port()
    words = ["-server", f"127.0.0.1:{port}", "ls", "/"]
    commands = {
        "Java 3.9.5": ["java", "-cp", ":".join(jars), "org.apache.zookeeper.ZooKeeperMain", *words],
        "Oxkeeper": [given.oxkeeper, "cli", *words],
    }
    with tempfile.TemporaryDirectory() as directory:
        zoo = pathlib.Path(directory, "zoo.cfg")
        zoo.write_text(f"dataDir={directory}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n")
        server = subprocess.Popen([given.oxkeeper, "server", str(zoo)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            timed(commands["Oxkeeper"])
            rounds = [{name: timed(command) for name, command in commands.items()} for _ in range(given.rounds)]
        finally:
            server.terminate()
            server.wait()
    lines = ["| client | clock, s | CPU, s |", "|---|---|---|"]
    for name in commands:
        clock, cpu = (statistics.median(each[name][at] for each in rounds) for at in (0, 1))
        lines.append(f"| {name} | {clock:.3f} | {cpu:.3f} |")
    ratios = [statistics.median(each["Java 3.9.5"][at] / max(each["Oxkeeper"][at], 1e-6) for each in rounds) for at in (0, 1)]
    load = os.getloadavg()[0] / os.cpu_count()
    text = "\n".join(lines) + (
        f"\n\nOurs takes 1/{ratios[0]:.0f} of Java's time by the clock and 1/{ratios[1]:.0f} of its CPU time (medians of the ratios of "
        f"{given.rounds} rounds;\nexpected: a fiftieth). While it ran, {load:.1f} threads a core wanted to run"
        f"{', so the times themselves are too long' if load > 1.5 else ''}.\n"
    )
    print(text)
    if given.write:
        head = "# zkCli\n\n`python3 bench/zkcli.py --write docs/performance-cli.md` wrote this: `zkCli.sh ls /`, from its start to its end.\n\n"
        pathlib.Path(given.write).write_text(head + text)


main()
