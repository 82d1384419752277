#!/usr/bin/python3
"""Who is connected: a list that begins with a snapshot and follows the broker's messages.

docs/protocol.md, 1.5, has the messages.

    ./watch.py            prints each change; SSECAST_COMMANDS and SSECAST_PRESENCE name the
                          broker's endpoints
"""

import json
import os

import zmq

COMMANDS = os.environ.get("SSECAST_COMMANDS", "tcp://127.0.0.1:5570")
PRESENCE = os.environ.get("SSECAST_PRESENCE", "tcp://127.0.0.1:5573")


class Broker:
    """Send requests to the broker; a socket without an answer is replaced."""

    def __init__(self):
        self.socket = None

    def ask(self, **request):
        if self.socket is None:
            self.socket = zmq.Context.instance().socket(zmq.REQ)
            self.socket.linger = 0
            self.socket.connect(COMMANDS)
        self.socket.send_json(request)
        if self.socket.poll(2000):
            return self.socket.recv_json()
        self.socket.close()
        self.socket = None
        raise TimeoutError(f"no answer from {COMMANDS}")


class Watch:
    """here: connection -> its description by the broker. said: connections whose change was
    printed."""

    def __init__(self):
        self.broker, self.here = Broker(), {}
        self.told = zmq.Context.instance().socket(zmq.SUB)
        self.told.subscribe(b"")
        self.told.connect(PRESENCE)  # first: what happens during the snapshot waits there

    def snapshot(self):
        """All pages. A page is true, for the ids it covers, at its own n."""
        self.pages, self.run, found, after, more = [], None, {}, "", True
        while more:
            page = self.broker.ask(op="presence", after=after)
            if self.run not in (None, page["run"]):
                return self.snapshot()  # the broker was restarted meanwhile
            self.run, more = page["run"], page["more"]
            found.update((c["connection"], c) for c in page["connections"])
            after = page["connections"][-1]["connection"] if page["connections"] else after
            self.pages.append((after if more else None, page["n"]))
        self.n = self.pages[0][1]
        # a fresh broker: who is missing may only not have been reported yet
        if not page["settled"]:
            found = {**self.here, **found}
        for connection in self.here.keys() - found.keys():
            self.gone(connection, "unknown")
        for connection in found.keys() - self.here.keys():
            self.came(found[connection])
        self.settled = page["settled"]

    def follow(self):
        """Until a message was missed."""
        while True:
            if not self.told.poll(2000):
                now = self.broker.ask(op="presence", limit=0)
                if ((now["run"], now["n"]) != (self.run, self.n) and not self.told.poll(500)
                    or now["settled"] > self.settled):
                    return
                continue
            m = json.loads(self.told.recv())
            if m["run"] == self.run and m["n"] <= self.n:
                continue
            if (m["run"], m["n"]) != (self.run, self.n + 1):
                return
            self.n = m["n"]
            known = next(n for last, n in self.pages if last is None or m["connection"] <= last)
            if m["n"] > known and m["type"] == "connected" and m["connection"] not in self.here:
                self.came(m)
            elif m["n"] > known and m["type"] == "disconnected" and m["connection"] in self.here:
                self.gone(m["connection"], m["cause"])

    def came(self, c):
        self.here[c["connection"]] = c
        print("+", c["session"], c["connection"], ",".join(c["channels"]), flush=True)

    def gone(self, connection, cause):
        print("-", self.here.pop(connection)["session"], connection, f"({cause})", flush=True)


watch = Watch()
while True:
    try:
        watch.snapshot()
        watch.follow()
    except TimeoutError as e:
        print("!", e, flush=True)
