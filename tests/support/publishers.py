"""Publishers that keep publishing, whatever happens, and remember what became of each event.

Most of what a publisher sends carries an own id: without an answer it is sent again, until there is
one. The rest is sent once; without an answer its fate stays unknown. Single events and batches, to
everyone, to sessions and channels, with exceptions.
"""

import json
import random
import threading
import time

import zmq

from .checker import REFUSED, Publication
from .waiting import PATIENCE, wait_until

_WINDOW = 60                 # requests without an answer at most
_ANSWER = 1.0 * PATIENCE     # seconds; then the request is sent again, or given up
_TRY_AGAIN = 0.2             # seconds after store_failed


class _Request:
    def __init__(self, publications, message):
        self.publications, self.message, self.due, self.given_up = publications, message, 0.0, False


class Publisher:
    """A DEALER in a thread. sessions, channels: to whom it publishes; rate: events a second; name:
    begins its events' keys; own_ids: what share of its requests carries own ids; keyed: what share
    of its events replaces earlier ones (`key`)."""

    def __init__(self, endpoint, name, seed, sessions, channels, rate, own_ids=0.7, identity=None,
                 keyed=0.0):
        self._identity = identity  # a Key (keys.py), for a broker with keys
        self._keyed = keyed
        self._endpoint, self._name, self._rate, self._own_ids = endpoint, name, rate, own_ids
        self._sessions, self._channels, self._chance = sessions, channels, random.Random(
            f"{seed} {name}"
        )
        self._requests, self._settled, self._next, self._numbers, self._allowed = {}, {}, 0, 0, 0.0
        self.publications, self.complaints = [], []
        self.counts = {"acknowledged": 0, "sent again": 0, "store_failed": 0}
        self._publishing, self._stopping, self._turns, self.failure = (
            threading.Event(), False, 0, None
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._stopping = True
        self._thread.join()

    def go(self):
        self._publishing.set()

    def pause(self):
        """Publish nothing new; wait_idle() waits for the answers to the rest."""
        self._publishing.clear()
        turns = self._turns
        wait_until(lambda: self.failure or self._turns > turns + 1, what=f"{self._name} pauses")

    def wait_idle(self):
        wait_until(lambda: self.failure or not self._open(), 30,
                   what=lambda: f"answers for {self._name}: {len(self._open())} requests open")
        assert not self.failure, self.failure

    def forget_settled(self):
        """Begin a new list; what is still unknown stays in it, because it may yet appear."""
        self.publications = [p for p in self.publications if p.seq is None and p.fate != REFUSED]
        self._settled.clear()

    # In the thread

    def _open(self):
        return [r for r in list(self._requests.values()) if not r.given_up]

    def _run(self):
        socket = zmq.Context.instance().socket(zmq.DEALER)
        for option, value in ((zmq.LINGER, 0), (zmq.SNDHWM, 0), (zmq.RECONNECT_IVL, 20),
                              (zmq.RECONNECT_IVL_MAX, 200)):
            socket.setsockopt(option, value)
        if self._identity:
            self._identity.use(socket)
        socket.connect(self._endpoint)
        last = time.monotonic()
        try:
            while not self._stopping:
                self._turns += 1
                if socket.poll(10):
                    self._receive(socket)
                now = time.monotonic()
                self._allowed, last = min(self._allowed + (now - last) * self._rate,
                                          self._rate), now
                self._send_again(socket, now)
                while (self._publishing.is_set() and self._allowed >= 1
                       and len(self._open()) < _WINDOW):
                    self._send_new(socket)
        except Exception as e:  # raised by the next wait
            self.failure = f"{self._name}: {e!r}"
        socket.close()

    def _receive(self, socket):
        while True:
            try:
                reply = json.loads(socket.recv_multipart(zmq.DONTWAIT)[-1])
            except zmq.Again:
                return
            self._answered(reply)

    def _answered(self, reply):
        request = self._requests.get(reply.get("ref"))
        if reply.get("ok"):
            self._acknowledged(reply, request)
        elif reply.get("error") != "store_failed":
            self.complaints.append(f"{self._name}: {reply}")
        elif request:
            self._refused(reply["ref"], request, reply.get("unknown"))

    def _acknowledged(self, reply, request):
        """Also of what was sent twice: both answers have to agree."""
        publications = request.publications if request else self._settled.get(reply["ref"])
        if publications is None:
            return  # of a list long gone
        seqs = reply.get("seqs") or [reply["seq"]]
        self.complaints += [c for p, s in zip(publications, seqs, strict=True)
                            if (c := p.acknowledge(s))]
        if request:
            self.counts["acknowledged"] += len(publications)
            self._settle(reply["ref"])

    def _refused(self, ref, request, unknown):
        self.counts["store_failed"] += 1
        if request.publications[0].own_id:
            request.due = time.monotonic() + _TRY_AGAIN
        elif unknown:
            request.given_up = True
        else:
            for p in request.publications:
                p.fate = REFUSED
            self._settle(ref)

    def _settle(self, ref):
        self._settled[ref] = self._requests.pop(ref).publications

    def _send_again(self, socket, now):
        for request in self._open():
            if request.due > now:
                continue
            if request.publications[0].own_id:
                self.counts["sent again"] += 1
                self._send(socket, request)
            else:
                request.given_up = True

    def _send(self, socket, request):
        request.due = time.monotonic() + _ANSWER
        socket.send_multipart([b"", request.message])

    def _send_new(self, socket):
        chance, own_id, ref = self._chance, self._chance.random() < self._own_ids, self._next
        count = chance.randint(2, 20) if chance.random() < 0.1 else 1
        events = [self._event(own_id) for _ in range(count)]
        body = events[0] if count == 1 else {"events": events}
        publications = [Publication(e["text"].partition(" ")[0], own_id, e.get("to"),
                                    e.get("except"), replaces=e.get("key"),
                                    private=e.get("private", False)) for e in events]
        self.publications += publications
        self._requests[ref] = _Request(publications,
                                       json.dumps({"op": "publish", "ref": ref, **body}).encode())
        self._next += 1
        self._allowed -= count
        self._send(socket, self._requests[ref])

    def _event(self, own_id):
        self._numbers += 1
        key, chance = f"{self._name}-{self._numbers}", self._chance
        event = {"event": "m", "text": f"{key} " + "x" * chance.choice([0, 20, 200, 2000])}
        if own_id:
            event["id"] = key
        kind = chance.random()
        if self._keyed and chance.random() < self._keyed:
            return self._with_key(event)
        if kind < 0.55:
            event["to"] = {"sessions": chance.sample(self._sessions, chance.randint(1, 4))}
        elif kind < 0.8:
            event["to"] = {"channels": chance.sample(self._channels, chance.randint(1, 2))}
        elif kind < 0.95:
            event["to"] = {"sessions": chance.sample(self._sessions, 2),
                           "channels": [chance.choice(self._channels)]}
            event["except"] = {"sessions": chance.sample(self._sessions, 3)}
        elif kind < 0.97:
            event["except"] = {"channels": [chance.choice(self._channels)]}
        return event

    def _with_key(self, event):
        """A few keys of this publisher, some of which are removed now and then. Some values are
        private."""
        chance = self._chance
        event["key"] = f"{self._name}-state-{chance.randrange(6)}"
        if chance.random() < 0.2:
            event["remove"] = True
        event.update(chance.choice([{}, {"to": {"sessions": [chance.choice(self._sessions)]}},
                                    {"to": {"channels": [chance.choice(self._channels)]}}]))
        if "to" in event and chance.random() < 0.3:
            event["private"] = True
        return event
