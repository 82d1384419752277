"""Keys of a broker and of those who connect to it, as files in a bench's folder.

    keys = Keys(bench.folder)
    shop = keys.add("publisher", "shop", "sessions=user-*")
    broker = Broker(bench, **keys.broker_options(), commands=...)
    with Commands(endpoint, shop) as client: ...
"""

import os

import zmq
import zmq.utils.monitor

from .waiting import Deadline

_HANDSHAKES = {
    zmq.EVENT_HANDSHAKE_SUCCEEDED: "in", zmq.EVENT_HANDSHAKE_FAILED_AUTH: "refused",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "failed", zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "failed",
}


class Key:
    """A pair: .public and .secret as text, .file with the secret half. broker: the public key of
    whom to talk to."""

    def __init__(self, path, broker=None):
        self.public, self.secret = (key.decode() for key in zmq.curve_keypair())
        self.file, self.broker = path, broker
        with open(path, "w", encoding="ascii",
                  opener=lambda p, flags: os.open(p, flags, 0o640)) as f:
            f.write(self.secret + "\n")
        os.chmod(path, 0o640)

    def use(self, socket, broker=None):
        """Make a socket of pyzmq's a CURVE client with this pair."""
        socket.curve_publickey, socket.curve_secretkey = self.public.encode(), self.secret.encode()
        socket.curve_serverkey = (broker or self.broker).encode()

    def options(self):
        """For a worker, or as flags of the command line."""
        return {"curve_key_file": str(self.file), "broker_key": self.broker}


class Keys:
    """The broker's file of keys, and the broker's own."""

    def __init__(self, folder):
        self.folder, self.lines = folder, {}
        self.broker = Key(folder / "broker.key")
        self.file = folder / "keys"
        self.write()

    def stranger(self, name):
        """A pair that the broker does not know."""
        return Key(self.folder / f"{name}.key", self.broker.public)

    def add(self, role, name, limits="", key=None):
        key = key or self.stranger(name)
        self.lines[name] = f"{role} {key.public} {name} {limits}".strip()
        self.write()
        return key

    def remove(self, name):
        del self.lines[name]
        self.write()

    def write(self, extra=""):
        fresh = self.file.with_suffix(".new")
        fresh.write_text(
            "# made by a test\n" + "".join(line + "\n" for line in self.lines.values()) + extra
        )
        fresh.replace(self.file)

    def broker_options(self):
        return {"curve_key_file": str(self.broker.file), "keys": str(self.file)}


class Watched:
    """A socket that stays, and how its handshakes went: .events, of "in", "refused", "failed"."""

    def __init__(self, endpoint, key, kind=zmq.DEALER):
        self.context = zmq.Context()
        self.socket, self.events = self.context.socket(kind), []
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 20)
        key.use(self.socket)
        self._monitor = self.socket.get_monitor_socket(sum(_HANDSHAKES))
        if kind == zmq.SUB:
            self.socket.subscribe(b"")
        self.socket.connect(endpoint)

    def look(self):
        while self._monitor.poll(0):
            self.events.append(
                _HANDSHAKES[zmq.utils.monitor.recv_monitor_message(self._monitor)["event"]]
            )
        return self.events

    def close(self):
        self.socket.disable_monitor()
        self.socket.close()
        self._monitor.close()
        self.context.term()


def handshake(endpoint, key=None, kind=zmq.DEALER, broker=None, timeout=None):
    """How connecting goes: "in", "refused" (the broker knows who we are and does not want us) or
    "failed"."""
    with zmq.Context() as context, context.socket(kind) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        if key:
            key.use(socket, broker)
        monitor = socket.get_monitor_socket(sum(_HANDSHAKES))
        try:
            socket.connect(endpoint)
            if not monitor.poll(Deadline(timeout).seconds * 1000):
                return None
            return _HANDSHAKES[zmq.utils.monitor.recv_monitor_message(monitor)["event"]]
        finally:
            socket.disable_monitor()
            monitor.close()
