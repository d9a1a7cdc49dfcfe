"""Writes opening.bin and notification.bin: what a Java server (myid 1 of 3) sends to the election port of a
peer with a higher number, and its first notification once that peer connects. The class path of ZooKeeper
3.9.5 is the only argument:  python3 capture.py "$CLASSPATH"
"""

import socket
import struct
import subprocess
import sys
import tempfile

PORTS = 22881  # quorum ports 22881 to 22883, election ports 22891 to 22893


def exactly(connection, count):
    data = b""
    while len(data) < count:
        data += connection.recv(count - len(data)) or sys.exit("the connection ended")
    return data


with tempfile.TemporaryDirectory() as directory:
    with open(f"{directory}/myid", "w") as file:
        file.write("1\n")
    with open(f"{directory}/zoo.cfg", "w") as file:
        file.write(f"dataDir={directory}\ntickTime=2000\ninitLimit=5\nsyncLimit=2\nclientPort=0\n")
        for sid in (1, 2, 3):
            file.write(f"server.{sid}=127.0.0.1:{PORTS + sid - 1}:{PORTS + sid + 9}\n")
    listener = socket.create_server(("127.0.0.1", PORTS + 12))
    server = subprocess.Popen(
        ["java", "-cp", sys.argv[1], "-Dzookeeper.admin.enableServer=false",
         "org.apache.zookeeper.server.quorum.QuorumPeerMain", f"{directory}/zoo.cfg"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        listener.settimeout(30)
        called, _ = listener.accept()
        head = exactly(called, 20)
        opening = head + exactly(called, struct.unpack(">i", head[16:])[0])
        caller = socket.create_connection(("127.0.0.1", PORTS + 10), 30)
        address = f"127.0.0.1:{PORTS + 12}".encode()
        caller.sendall(struct.pack(">qqi", -65536, 3, len(address)) + address)
        notification = exactly(caller, struct.unpack(">i", exactly(caller, 4))[0])
    finally:
        server.kill()
        server.wait()
with open("opening.bin", "wb") as file:
    file.write(opening)
with open("notification.bin", "wb") as file:
    file.write(notification)
