"""Presence in tests: a permanent subscriber, a checker of its messages, and a fake worker.

    with Presence(site.broker) as presence:
        site.open("anna")
        presence.wait_types(["connected", "session_online"])
        presence.check(site.commands)
"""

import json
import struct
import threading

import zmq

from .waiting import wait_until


PROBE = "settle"  # a session whose messages are no matter to a test


class Presence:
    """A SUB socket on the presence endpoint, read by a thread of its own."""

    def __init__(self, broker, **options):
        self.messages, self._probes = [], []
        self._stop, self._paused = threading.Event(), threading.Event()
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        for name, value in options.items():
            self._socket.setsockopt(getattr(zmq, name), value)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self._socket.subscribe(b"")
        events = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._socket.connect(broker.endpoint("presence"))
        assert events.poll(10_000), "no broker there"
        self._socket.disable_monitor()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._settle(broker)

    def _run(self):
        while not self._stop.is_set():
            if not self._paused.is_set() and self._socket.poll(20):
                m = json.loads(self._socket.recv())
                (self._probes if m["session"] == PROBE else self.messages).append(m)
            elif self._paused.is_set():
                self._stop.wait(0.02)

    def _settle(self, broker):
        self.wait_subscribed(broker)
        self.messages.clear()

    def wait_subscribed(self, broker):
        """The broker has our subscription when its messages arrive: those of a worker whose only
        connection comes and goes."""
        seen = len(self._probes)
        with Liar(broker, PROBE) as liar:
            wait_until(lambda: liar.flicker() or self._probes[seen:],
                       what="the subscription is in force")
            wait_until(lambda: (
                self._probes[-1]["connection"], self._probes[-1]["type"]
            ) == (liar.last, "session_offline"), what="quiet")

    def pause(self):
        self._paused.set()

    def resume(self):
        self._paused.clear()

    def close(self):
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Messages

    def of(self, session):
        """The types of the session's messages, with the causes of ends."""
        return [m["type"] + (f":{m['cause']}" if "cause" in m else "") for m in list(self.messages)
                if m["session"] == session]

    def wait(self, session, *types, timeout=None):
        """Wait until exactly these changes of the session were reported."""
        wait_until(lambda: self.of(session) == list(types), timeout,
                   what=lambda: f"{types} of {session}; got {self.of(session)}")

    def wait_count(self, session, count, timeout=None):
        wait_until(lambda: len(self.of(session)) >= count, timeout,
                   what=lambda: f"{count} messages of {session}; have {self.of(session)}")

    def check(self, commands, before=()):
        """No change is repeated, numbers have no holes within an epoch, and the changes add up to
        the connections."""
        here, sessions, last = {c["connection"]: c["session"] for c in before}, {}, {}
        for c in before:
            sessions[c["session"]] = sessions.get(c["session"], 0) + 1
        for m in list(self.messages):
            last[m["run"]] = take_number(last.get(m["run"]), m)
            take_change(here, sessions, m)
        now = {c["connection"]: c["session"] for c in everybody(commands)}
        assert here == now


def take_number(last, m):
    assert last is None or m["n"] > last, f"{m} after {last}"
    return m["n"]


def take_change(here, sessions, m):
    """One message on a model of who is here: it must be news."""
    connection, session = m["connection"], m["session"]
    if m["type"] == "connected":
        assert connection not in here, f"told twice: {m}"
        here[connection] = session
        sessions[session] = sessions.get(session, 0) + 1
    elif m["type"] == "disconnected":
        assert here.pop(connection, None) == session, f"was not here: {m}"
        sessions[session] -= 1
    else:
        assert (sessions.get(session, 0) > 0) == (
            m["type"] == "session_online"
        ), f"{m}, with {sessions.get(session)}"


def everybody(commands):
    """All connections, page by page."""
    found, after = [], ""
    while True:
        page = commands.connections(after=after, limit=1000)
        found += page["connections"]
        if not page["more"]:
            return found
        after = found[-1]["connection"]


class Liar:
    """A worker without a web server: it says what a worker says, about connections that do not
    exist (docs/protocol.md, 3)."""

    def __init__(self, broker, name, position=0):
        self.name, self.position, self.n, self.count = name, position, 0, 0
        self._socket = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.ROUTING_ID, f"liar-{name}".encode())
        self._socket.connect(broker.endpoint("sync"))
        self.hello()
        self.report(full=True)

    def hello(self):
        self._send(3,
                   struct.pack("<Q", self.position) + _name(self.name) + struct.pack("<HQ", 0, 0))
        assert self._socket.poll(10_000)
        self._socket.recv()

    def report(self, *items, full=False):
        """full may be flags: 1 full, 4 not the first piece, 8 not the last, 16 good-bye."""
        self.n += 1
        self._send(7, struct.pack("<QBQHH", self.n, full, 0, 0, 0) + b"".join(items))

    def opened(self, connection, session):
        return b"\1" + _name(connection) + _name(session) + struct.pack("<QHBHH", 1, 0, 0, 0, 0)

    def ended(self, connection, session):
        return b"\0" + _name(connection) + _name(session) + struct.pack("<QHBB", 1, 0, 0, 0)

    def flicker(self):
        """A session connects and disconnects."""
        self.count += 1
        self.last = f"{self.name}-{self.count}"
        self.report(self.opened(self.last, self.name), self.ended(self.last, self.name))

    def close(self):
        """Leave nobody behind, and nothing to be lost: say good-bye."""
        self.report(full=True)
        self.report(full=16)
        self._socket.close(linger=1000)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _send(self, kind, fields):
        self._socket.send(b"SSC\5" + bytes([kind, 0, 0, 0]) + fields)


def _name(text):
    return struct.pack("<H", len(text.encode())) + text.encode()
