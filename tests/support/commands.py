"""A client of the broker's commands socket: JSON over a ZeroMQ DEALER.

publish() and the other verbs wait for their reply and raise Refused when it is not ok; ask() gives
any reply as it is; send() and receive() are the two halves, for tests with many requests under way.
Each request carries a ref, by which its reply is found.
"""

import itertools
import json

import zmq

from .waiting import TIMEOUT, Deadline, Timeout


class Refused(AssertionError):
    """The broker's answer was not ok."""

    def __init__(self, request, reply):
        super().__init__(f"{reply.get('error')}: {reply.get('message')} - to {str(request)[:200]}")
        self.reply = reply
        self.error = reply.get("error")


class Commands:
    def __init__(self, endpoint, identity=None):
        """identity: a Key (keys.py), for a broker with keys."""
        self.endpoint = endpoint
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        # libzmq gives up a connection whose key was refused, and sending would block
        self.socket.setsockopt(zmq.SNDTIMEO, int(TIMEOUT * 1000))
        self.socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self.socket.setsockopt(zmq.IPV6, endpoint.startswith("tcp://["))
        if identity:
            identity.use(self.socket)
        self.socket.connect(endpoint)
        self._refs = itertools.count(1)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # The two halves

    def send(self, request, payload=None):
        """Send a request (a dict; bytes are sent as they are) and do not wait. Returns its ref."""
        ref = None
        if not isinstance(request, bytes):
            ref = request.get("ref", next(self._refs))
            request = json.dumps({**request, "ref": ref}).encode()
        self.send_frames(b"", request, *([] if payload is None else [payload]))
        return ref

    def send_frames(self, *frames):
        """Send exactly these frames: the empty delimiter, too, is up to the caller."""
        self.socket.send_multipart(list(frames))

    def receive_bytes(self, timeout=None):
        """The next reply as it came, or None."""
        return self._bytes_before(Deadline(timeout))

    def receive(self, timeout=None):
        """The next reply, or None when there is none in time."""
        return self._before(Deadline(timeout))

    def _before(self, deadline, unless=None):
        reply = self._bytes_before(deadline, unless)
        return None if reply is None else json.loads(reply)

    def _bytes_before(self, deadline, unless=None):
        """The next reply as it came; None after the deadline. When `unless` (a descriptor or
        socket) is readable first, None at once."""
        poller = zmq.Poller()
        for waited_for in (self.socket, unless):
            if waited_for is not None:
                poller.register(waited_for, zmq.POLLIN)
        if self.socket not in dict(poller.poll(deadline.left() * 1000)):
            return None
        return self.socket.recv_multipart()[-1]

    # One request, one reply

    def try_ask(self, request, timeout=None, payload=None, unless=None):
        """The reply to this request, or None when there is none in time. Other replies are
        dropped."""
        ref = self.send(request, payload)
        deadline = Deadline(timeout)
        while True:
            reply = self._before(deadline, unless)
            if reply is None or ref is None or reply.get("ref") == ref:
                return reply
            if deadline.passed():
                return None

    def ask(self, request, timeout=None, payload=None):
        """The reply to this request, ok or not."""
        reply = self.try_ask(request, timeout, payload)
        if reply is None:
            raise Timeout(f"no reply from {self.endpoint} to {str(request)[:200]}")
        return reply

    def demand(self, request, timeout=None, payload=None):
        """The reply to this request, which must be ok."""
        reply = self.ask(request, timeout, payload)
        if not reply.get("ok"):
            raise Refused(request, reply)
        return reply

    # The verbs

    def publish(self, event=None, payload=None, timeout=None, **fields):
        """publish("greeting", data={...}, to={"sessions": ["a"]}); payload=b"..." is the second
        frame."""
        request = {"op": "publish", **fields}
        if event is not None:
            request["event"] = event
        return self.demand(request, timeout, payload)

    def publish_batch(self, events, timeout=None):
        return self.demand({"op": "publish", "events": list(events)}, timeout)

    def publish_many(self, requests, timeout=None):
        """Send all requests at once and wait for all replies. Returns them in the order of the
        requests."""
        refs = [self.send({"op": "publish", **r}) for r in requests]
        replies, deadline = {}, Deadline(timeout)
        while len(replies) < len(refs):
            reply = self._before(deadline)
            if reply is None:
                raise Timeout(f"{len(replies)} of {len(refs)} replies")
            replies[reply["ref"]] = reply
        return [replies[r] for r in refs]

    def shutdown(self, timeout=None, **fields):
        """shutdown(sessions=["a"], reason="logout", block=60)"""
        return self.demand({"op": "shutdown", **fields}, timeout)

    def bans(self, **fields):
        """{session: until} of a page."""
        return {b["session"]: b["until"] for b in self.demand({"op": "bans", **fields})["bans"]}

    def unban(self, *sessions):
        """How many bans were lifted."""
        return self.demand({"op": "unban", "sessions": list(sessions)})["lifted"]

    def online(self, session):
        return self.demand({"op": "online", "session": session})

    def connections_of(self, session):
        """How many connections the session has."""
        return self.online(session)["connections"]

    def sessions(self, **fields):
        return self.demand({"op": "sessions", **fields})

    def workers(self, **fields):
        return self.demand({"op": "workers", **fields})["workers"]

    def connections(self, **fields):
        return self.demand({"op": "connections", **fields})

    def history(self, **fields):
        return self.demand({"op": "history", **fields})

    def stats(self):
        return self.demand({"op": "stats"})

    def ping(self, timeout=None):
        return self.demand({"op": "ping"}, timeout)
