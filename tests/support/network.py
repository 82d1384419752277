"""A network that fails: passes connections on, in one thread for hundreds of them, and cuts,
stalls, slows or falsifies what runs through.

relay.py is the plain one, which remembers what clients asked.
"""

import collections
import selectors
import socket
import struct
import time

from .ports import free_port
from .turns import Turns

_AT_ONCE = 262144    # bytes read in one go
_AT_MOST = 1 << 20   # bytes that wait in one direction before no more are read
_RESET = struct.pack("ii", 1, 0)


class Network(Turns):
    """Listens on .port and passes everything on to 127.0.0.1:upstream.

    tamper(line, data): what to pass on instead of data that comes from upstream; None passes all on
    as it is.
    """

    def __init__(self, upstream, tamper=None):
        super().__init__()
        self.upstream, self.port, self.tamper = upstream, free_port(), tamper
        self.delay = 0.0
        self._lines = []
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self.begin()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def drop(self):
        for line in list(self._lines):
            line.close()
        self._listener.close()

    # What a test does. pick(): whether a connection is concerned; those that come later never are,
    # but by delays.

    def cut(self, pick=lambda: True, reset=False):
        """End connections without a word, or with a reset."""
        self.call(lambda: [line.close(reset) for line in list(self._lines) if pick()])

    def stall(self, pick=lambda: True):
        """From now on pass nothing on, until go_on(); nothing is lost meanwhile."""
        self.call_and_wait(lambda: [line.stall() for line in self._lines if pick()])

    def go_on(self):
        self.call(lambda: [line.go_on() for line in list(self._lines)])

    def pause_accept(self):
        """Accept no connection until resume_accept(); the kernel lets them wait."""
        self.call_and_wait(lambda: self._selector.unregister(self._listener))

    def resume_accept(self):
        self.call(
            lambda: self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        )

    # In the thread

    def _accept(self, _):
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.upstream), timeout=1)
        except OSError:
            client.close()
            return
        self._lines.append(Line(self, client, server))

    def forget(self, line):
        self._lines.remove(line)


class Line:
    """One connection. state is for tamper to keep what it likes."""

    def __init__(self, network, client, server):
        self.network, self.open, self.stalled, self.state = network, True, False, None
        up, down = self._directions = [_Direction(self, client, server, False),
                                       _Direction(self, server, client, True)]
        self._ready, self._watched = {client: _both(up, down), server: _both(down, up)}, {}
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.watch()

    def stall(self):
        self.stalled = True

    def go_on(self):
        self.stalled = False
        for direction in self._directions:
            direction.flush()

    def close(self, reset=False):
        if not self.open:
            return
        self.open = False
        for direction in self._directions:
            sock = direction.source
            self._watch_one(sock, 0)
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()
        self.network.forget(self)

    def watch(self):
        """Read what has room to go on, write what waits and may."""
        if not self.open:
            return
        up, down = self._directions
        for reads, writes in ((up, down), (down, up)):
            self._watch_one(reads.source, (selectors.EVENT_READ if reads.has_room() else 0)
                            | (selectors.EVENT_WRITE if writes.blocked else 0))

    def _watch_one(self, sock, wanted):
        selector, watched = self.network._selector, self._watched.get(sock, 0)
        if wanted == watched:
            return
        if not watched:
            selector.register(sock, wanted, self._ready[sock])
        elif not wanted:
            selector.unregister(sock)
        else:
            selector.modify(sock, wanted, self._ready[sock])
        self._watched[sock] = wanted


def _both(reads, writes):
    def ready(events):
        if events & selectors.EVENT_READ:
            reads.read()
        if events & selectors.EVENT_WRITE and writes.line.open:
            writes.blocked = False
            writes.flush()

    return ready


class _Direction:
    """What runs one way."""

    def __init__(self, line, source, target, down):
        self.line, self.source, self.target, self._down = line, source, target, down
        self._waiting, self._size = collections.deque(), 0
        self.blocked = self._ended = False

    def has_room(self):
        return self._size < _AT_MOST and not self._ended

    def read(self):
        if not self.line.open or not self.has_room():
            return
        try:
            data = self.source.recv(_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            self.line.close()
            return
        network = self.line.network
        self._ended = not data
        if data and self._down and network.tamper:
            data = network.tamper(self.line, data)
        due = time.monotonic() + network.delay
        self._waiting.append((due, data))
        self._size += len(data)
        if network.delay:
            network.at(due, self.flush)
        else:
            self.flush()

    def flush(self):
        """Write what may leave."""
        while self.line.open and self._waiting and not self.line.stalled and not self.blocked:
            due, data = self._waiting[0]
            if due > time.monotonic():
                break
            self._waiting.popleft()
            self._size -= len(data)
            self._write(data)
        if self.line.open and self._ended and not self._waiting:
            self.line.close()
        self.line.watch()

    def _write(self, data):
        if not data:
            return
        try:
            sent = self.target.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.line.close()
            return
        if sent < len(data):
            self._waiting.appendleft((0, data[sent:]))
            self._size += len(data) - sent
            self.blocked = True
