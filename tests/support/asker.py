"""A worker that gives commands for others, as docs/protocol.md has it (COMMAND and REPLY): for what
no worker of ours would say.

    with Asker(broker.endpoint("sync")) as worker:
        worker.publish("token:anna", text="hi", id="order-1")
"""

import itertools
import json
import struct

import zmq

from .waiting import Deadline, Timeout

VERSION, COMMAND, REPLY = 5, 9, 10
EVENTS = 8  # the role of who publishes over HTTP


class Asker:
    def __init__(self, endpoint, identity=None):
        """identity: a Key (keys.py) with the role worker, for a broker with keys."""
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        if identity:
            identity.use(self.socket)
        self.socket.connect(endpoint)
        self._numbers = itertools.count(1)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, publisher, request, roles=EVENTS):
        """Ask for publisher, who may do everything of that role. Returns the request's number."""
        number, name = next(self._numbers), publisher.encode()
        head = struct.pack("<QBBH", number, roles, 0, len(name)) + name + struct.pack("<HH", 0, 0)
        self.socket.send(
            b"SSC" + bytes([VERSION, COMMAND, 0, 0, 0]) + head + json.dumps(request).encode()
        )
        return number

    def receive(self, timeout=None):
        """(number, reply) of the next reply."""
        if not self.socket.poll(Deadline(timeout).seconds * 1000):
            raise Timeout("no reply on sync")
        message = self.socket.recv()
        assert message[:5] == b"SSC" + bytes([VERSION, REPLY]), message[:8]
        return struct.unpack_from("<Q", message, 8)[0], json.loads(message[16:])

    def ask(self, publisher, request, roles=EVENTS):
        number = self.send(publisher, request, roles)
        answered, reply = self.receive()
        assert answered == number
        return reply

    def publish(self, publisher, **event):
        return self.ask(publisher, {"op": "publish", **event})

    def publish_many(self, publisher, events):
        """Send all at once, and wait for all replies. Returns them in the order of the events."""
        numbers = [self.send(publisher, {"op": "publish", **e}) for e in events]
        replies = dict(self.receive() for _ in numbers)
        return [replies[n] for n in numbers]
