"""NATS servers with JetStream, one or three on loopback, and a client that speaks just enough of
their protocol to look into them and to do what an administrator could."""

import base64
import itertools
import json
import shutil
import socket
import struct
import time

from . import processes
from .ports import free_port
from .waiting import wait_until

SERVER = shutil.which("nats-server") or "/usr/sbin/nats-server"


class NatsServer(processes.Program):
    """One server. It is stopped by SIGTERM and killed like any program; its data stay where they
    are."""

    ok_statuses = (0, 1)

    def __init__(self, bench, name, cluster=None, extra="", machine=None):
        self.machine, self.host = machine, machine.address if machine else "127.0.0.1"
        self.port, self.route_port = free_port(), free_port()
        self.data = bench.folder / f"{name}-data"
        self.conf = bench.folder / f"{name}.conf"
        self.cluster, self.extra = cluster, extra
        super().__init__(name,
                         [*(machine.command if machine else []), SERVER, "-c", str(self.conf)],
                         bench.folder, ours=False)
        bench.adopt(self)

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def configure(self):
        text = [
            f"server_name: {self.name}", f"listen: {self.host}:{self.port}",
            f'jetstream {{ store_dir: "{self.data}", max_file_store: 1G, max_memory_store: 64M }}',
            self.extra
        ]
        if self.cluster:
            routes = ", ".join(f"nats://{s.host}:{s.route_port}" for s in self.cluster.servers
                               if s is not self)
            text.append(f"cluster {{ name: test, listen: {self.host}:{self.route_port}, "
                        f"routes: [{routes}] }}")
        self.conf.write_text("\n".join(text) + "\n")

    def start(self):
        self.configure()
        super().start()
        self.wait_ready(self._listens, "listens")
        return self

    def client(self, timeout=3):
        def connect():
            return NatsClient(self.port, timeout, self.host)
        return self.machine.call(connect) if self.machine else connect()

    def _listens(self):
        def connect():
            with socket.socket() as s:
                return s.connect_ex((self.host, self.port)) == 0
        return self.machine.call(connect) if self.machine else connect()


def _knows_leader(server):
    try:
        with server.client(timeout=1) as client:
            return "error" not in client.api("INFO")
    except (OSError, AssertionError):  # it does not answer yet
        return False


class NatsCluster:
    """Three servers that know each other."""

    def __init__(self, bench, count=3, extra="", machines=()):
        self.servers = []
        self.servers += [NatsServer(bench, f"nats{n}", self if count > 1 else None, extra,
                                    machines[n] if machines else None) for n in range(count)]

    @property
    def url(self):
        return "nats://" + ",".join(s.address for s in self.servers)

    def start(self):
        for s in self.servers:
            s.start()
        wait_until(lambda: all(map(_knows_leader, self.servers)), timeout=30,
                   what="each server knows JetStream's leader")
        return self

    def client(self):
        for s in self.servers:
            if s.running():
                try:
                    return s.client(timeout=1)
                except OSError:
                    continue
        raise AssertionError("no server answers")

    def leader(self, stream="ssecast"):
        """The server that leads the stream."""
        try:
            with self.client() as client:
                name = client.api(f"STREAM.INFO.{stream}").get("cluster", {}).get("leader")
        except (OSError, AssertionError, ValueError):  # nobody answers just now
            return None
        return next((s for s in self.servers if s.name == name), None)


class NatsClient:
    """A connection. Its methods wait for their answer."""

    def __init__(self, port, timeout=3, host="127.0.0.1", **login):
        self.socket = socket.create_connection((host, port), timeout)
        self.file = self.socket.makefile("rb")
        self.numbers = itertools.count(1)
        self.file.readline()
        options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True,
                   "lang": "python", "version": "0", **login}
        self._send(f"CONNECT {json.dumps(options)}\r\nSUB _INBOX.test.> 1\r\nPING\r\n".encode())
        while not (line := self.file.readline()).startswith(b"PONG"):
            assert line, "the server closed the connection"

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def _send(self, data):
        self.socket.sendall(data)

    def request(self, subject, data=b"", headers=None):
        """The payload of the answer."""
        reply = f"_INBOX.test.{next(self.numbers)}"
        if headers:
            head = (
                "NATS/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
            ).encode()
            self._send(f"HPUB {subject} {reply} {len(head)} "
                       f"{len(head) + len(data)}\r\n".encode() + head + data + b"\r\n")
        else:
            self._send(f"PUB {subject} {reply} {len(data)}\r\n".encode() + data + b"\r\n")
        return self._answer(reply)

    def _answer(self, reply):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            words = self.file.readline().split()
            assert words, "the server closed the connection"
            if words[0] == b"PING":
                self._send(b"PONG\r\n")
            elif words[0] in (b"MSG", b"HMSG"):
                body = self.file.read(int(words[-1]) + 2)[:-2]
                if words[1].decode() == reply:
                    return body[int(words[-2]):] if words[0] == b"HMSG" else body
        raise TimeoutError(reply)

    def api(self, verb, body=None):
        return json.loads(
            self.request(f"$JS.API.{verb}", json.dumps(body).encode() if body is not None else b"")
            or b'{"error":{"code":503}}'
        )

    def demand(self, verb, body=None):
        answer = self.api(verb, body)
        assert "error" not in answer, answer
        return answer

    def batches(self, stream="ssecast"):
        """What broker/log/batch.h says of each message, a line each."""
        state = self.info(stream)["state"]
        for offset in range(state["first_seq"], state["last_seq"] + 1):
            message = self.api(f"STREAM.MSG.GET.{stream}", {"seq": offset}).get("message")
            if message:
                data = base64.b64decode(message["data"])
                yield f"{offset}: {message['time'][11:23]} " + describe(data)

    def info(self, stream="ssecast"):
        return self.demand(f"STREAM.INFO.{stream}")


def describe(data):
    """A batch in words."""
    if data[:5] != b"SSCL\x01":
        return f"{len(data)} bytes that are no batch"
    broker, number, before, before_number, offset, position, incomplete = struct.unpack(
        "<7Q", data[8:64]
    )
    count, at = 0, 64
    while at < len(data):
        count, at = count + 1, at + struct.unpack("<I", data[at:at + 4])[0]
    return (f"{broker % 10000}/{number} after {before % 10000}/{before_number} "
            f"at {offset}, {position} + {count}{', begins' if data[5] & 1 else ''}"
            f"{f', incomplete before {incomplete}' if incomplete else ''}")
