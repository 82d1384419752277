"""Readers of event streams, as browsers are: thousands of them in one thread.

    readers = Readers()
    anna = readers.open("http://127.0.0.1:8080/sse?session=anna").wait_open()
    anna.wait_for(2)[1].data
    bert = readers.open(url, last_event_id=anna.last_event_id, reconnect=True)

A Reader keeps what it saw: status, headers, events, the cursor (last_event_id) and the checkpoints
that moved it. Like EventSource it comes back after an end of the stream or a network error when
asked to (reconnect), and gives up on any status other than 200.
"""

import collections
import json
import selectors
import socket
import threading
import time
import urllib.parse

from .sse import Decoder
from .turns import Turns
from .waiting import Deadline, wait_until

_MOST_CONNECTING = 200  # at once; more would only fill the web server's backlog


class Readers(Turns):
    """A thread, and the streams it reads. Close it: it is also a context manager."""

    def __init__(self):
        super().__init__()
        self._waiting, self._connecting = collections.deque(), 0
        self._all = []
        self.begin()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def open(self, url, last_event_id=None, **options):
        """Open a stream; see Reader for the options."""
        reader = Reader(self, url, last_event_id, **options)
        self._all.append(reader)
        self.call(reader._begin)
        return reader

    def drop(self):
        for reader in self._all:
            reader._drop()

    # In the thread

    def later(self, seconds, function):
        self.at(time.monotonic() + seconds, function)

    def connect_when_there_is_room(self, reader):
        if self._connecting < _MOST_CONNECTING:
            self._connecting += 1
            reader._connect()
        else:
            self._waiting.append(reader)

    def connected(self):
        self._connecting -= 1
        if self._waiting:
            self.connect_when_there_is_room(self._waiting.popleft())

    def watch(self, sock, events, callback):
        self._selector.register(sock, events, callback)

    def rewatch(self, sock, events, callback):
        self._selector.modify(sock, events, callback)

    def unwatch(self, sock):
        self._selector.unregister(sock)


class Reader:
    """One EventSource.

    reconnect: come back after the end of the stream, after the stream's own `retry:` or `retry`
    seconds if given; stubborn: also after a 5xx, as a page does that opens a new EventSource when a
    web server has no worker. headers: more request headers. keep_body: keep what was received in
    .body (bodies of refusals are always kept). receive_buffer: bytes of SO_RCVBUF, for slow
    readers; paused: read nothing until resume(). keep_blocks: keep all blocks, events and
    checkpoints in their order, in .decoder.blocks, and nothing in .events.
    """

    def __init__(self, loop, url, last_event_id=None, *, headers=None, reconnect=False,
                 stubborn=False, retry=None, keep_body=False,
                 receive_buffer=None, paused=False, method="GET", keep_blocks=False):
        self.url, self.reconnect, self._loop = url, reconnect, loop
        self._target = urllib.parse.urlsplit(url)
        self._headers, self._method = dict(headers or {}), method
        self._stubborn = stubborn
        self._retry, self._keep_body, self._receive_buffer, self._paused = (
            retry, keep_body, receive_buffer, paused
        )
        self.status, self.headers, self.body = None, {}, bytearray()
        self.events = []
        self.starts = []        # the cursor that the first block of each connection named
        # of each connection: when it was tried, when its first block came, when it was over (unix
        # time, or None)
        self.visits = []
        self.opens = 0          # how often a stream was opened with status 200
        self.attempts = 0
        self.ended = False      # no connection, and none will follow
        self.complete = False   # the last response ended as it should, not by a cut
        self.error = None       # of the last network error
        self.decoder = Decoder(last_event_id or "", [] if keep_blocks else None)
        self._given_id = last_event_id
        self._sock, self._counted, self._closed = None, False, False

    # What a test asks

    @property
    def last_event_id(self):
        """The cursor."""
        return self.decoder.last_event_id

    @property
    def checkpoints(self):
        """The ids of all blocks so far that moved the cursor without an event."""
        return self.decoder.checkpoints

    @property
    def is_open(self):
        """Its stream has begun and lasts."""
        return bool(self.visits) and self.visits[-1][1] is not None and self.visits[-1][2] is None

    @property
    def about(self):
        """What the first checkpoint of this connection said of the stream."""
        return json.loads(self.decoder.about)

    @property
    def connection(self):
        """Its connection id, as the worker said."""
        return self.headers.get("ssecast-connection")

    @property
    def json(self):
        """A refusal's body."""
        return json.loads(bytes(self.body))

    def data(self, kind=None):
        """The data of all events (of that type), in order."""
        return [e.data for e in self.events if kind is None or e.type == kind]

    def types(self):
        return [e.type for e in self.events]

    def wait(self, condition, what, timeout=None):
        def checked():
            assert self._loop.failure is None, self._loop.failure
            return condition()

        return wait_until(checked, timeout, what=lambda: f"{what}; have {self}")

    def wait_head(self):
        """Until the response's head is there."""
        self.wait(lambda: self.status is not None, "a response")
        return self

    def wait_open(self, times=1):
        """Until the stream is open and its first block, with the cursor, has come: nothing
        published from now on is missed."""
        self.wait(lambda: (self.opens >= times and len(self.starts) >= times)
                      or self._ended_early(), f"open ({times})")
        assert self.opens >= times, f"not open: {self}"
        return self

    def wait_for(self, count, timeout=None):
        """The events, as soon as there are count of them. (More may follow.)"""
        self.wait(lambda: len(self.events) >= count, f"{count} events", timeout)
        return self.events

    def wait_type(self, kind, count=1, timeout=None):
        """The count-th event of this type."""
        return self.wait(lambda: (
            found := [e for e in self.events if e.type == kind]
        ) and len(found) >= count and found, f"{kind} ({count})", timeout)[count - 1]

    def wait_data(self, data, timeout=None):
        """Until an event with this data has come."""
        self.wait(lambda: any(e.data == data for e in reversed(self.events)),
                  f"data {data!r}", timeout)
        return self

    def wait_end(self, timeout=None):
        self.wait(lambda: self.ended, "the end of the stream", timeout)
        return self

    def _ended_early(self):
        return self.ended

    def __repr__(self):
        tail = ", ".join(f"{e.type}:{e.data[:40]!r}#{e.id}" for e in self.events[-5:])
        return (f"<{self._target.path}?{self._target.query} status {self.status}, "
                f"opens {self.opens}, cursor {self.last_event_id}, "
                f"error {self.error}, ended {self.ended}, {len(self.events)} events: ...{tail}>")

    # What a test does

    def close(self):
        """Close it for good, as a page that is left. Waits until it is."""
        done = threading.Event()
        self._closed = True
        self._loop.call(lambda: (self._drop(), done.set()))
        assert done.wait(Deadline().seconds)

    def cut(self):
        """Lose the connection, as a network does; it comes back with reconnect."""
        self._loop.call(lambda: self._sock and self._lost("cut by the test"))

    def pause(self):
        """Read nothing any more, until resume()."""
        self._paused = True
        self._loop.call(self._apply_pause)

    def resume(self):
        self._paused = False
        self._loop.call(self._apply_pause)

    # In the thread: connecting

    def _begin(self):
        if not self._closed:
            self._loop.connect_when_there_is_room(self)

    def _connect(self):
        self.attempts += 1
        self.visits.append([time.time(), None, None])
        self._counted, self.status, self._head = True, None, bytearray()
        self._first_block = True
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if self._receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        self._sock = sock
        try:
            sock.connect((self._target.hostname, self._target.port))
        except BlockingIOError:
            pass
        except OSError as e:
            self._lost(str(e), watched=False)
            return
        self._loop.watch(sock, selectors.EVENT_WRITE, self._on_connected)

    def _on_connected(self, _):
        error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._lost(f"connect: errno {error}")
            return
        try:
            self._sock.send(self._request())
        except OSError as e:
            self._lost(str(e))
            return
        self._loop.rewatch(self._sock, selectors.EVENT_READ, self._on_readable)

    def _request(self):
        path = self._target.path + ("?" + self._target.query if self._target.query else "")
        lines = [f"{self._method} {path} HTTP/1.1", f"Host: {self._target.netloc}",
                 "Accept: text/event-stream", "Cache-Control: no-cache"]
        if self.last_event_id or (self._given_id is not None and not self.opens):
            lines.append(f"Last-Event-ID: {self.last_event_id}")
        lines += [f"{name}: {value}" for name, value in self._headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _uncount(self):
        if self._counted:
            self._counted = False
            self._loop.connected()

    # In the thread: reading

    def _on_readable(self, _):
        if self._sock is None:
            return
        try:
            data = self._sock.recv(262144)
        except BlockingIOError:
            return
        except OSError as e:
            self._lost(str(e))
            return
        if not data:
            self._lost(None)
            return
        if self.status is None:
            data = self._on_head(data)
        if data:
            self._on_body(data)

    def _on_head(self, data):
        """Collect the response's head; returns what of the body came with it."""
        self._head += data
        head, end, body = bytes(self._head).partition(b"\r\n\r\n")
        if not end:
            return b""
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        length = self.headers.get("content-length")
        self._length = _Chunked() if chunked else _Counted(int(length)) if length else _UntilEnd()
        status = int(first.split()[1])
        if status == 200:
            self.opens += 1
            self.decoder = self._continue_decoder()
        self.status = status
        self._uncount()
        if self._paused:
            self._apply_pause()
        if status in (204, 304) or length == "0" or self._method == "HEAD":
            self._finished()
            return b""
        return body

    def _continue_decoder(self):
        """A decoder for this connection that goes on where the one before it was."""
        old, new = self.decoder, Decoder(self.decoder.last_event_id, self.decoder.blocks)
        new.checkpoints, new.comments, new.retry = old.checkpoints, old.comments, old.retry
        return new

    def _on_body(self, data):
        text = self._length.feed(data)
        if self._keep_body or self.status != 200:
            self.body += text
        if self.status == 200 and text:
            before = len(self.decoder.checkpoints)
            events = self.decoder.feed(text)
            if self._first_block and (events or len(self.decoder.checkpoints) > before):
                self._first_block = False
                self.visits[-1][1] = time.time()
                self.starts.append(self.decoder.checkpoints[before]
                                   if len(self.decoder.checkpoints) > before else None)
            if self.decoder.blocks is None:
                self.events += events
        if self._length.complete:
            self._finished()

    def _apply_pause(self):
        if self._sock is None or self.status is None:
            return
        try:
            registered = self._loop._selector.get_key(self._sock)
        except KeyError:
            registered = None
        if self._paused and registered:
            self._loop.unwatch(self._sock)
        elif not self._paused and not registered:
            self._loop.watch(self._sock, selectors.EVENT_READ, self._on_readable)

    # In the thread: ends

    def _finished(self):
        self.complete = True
        self._over()

    def _lost(self, error, watched=True):
        self.error = error
        self.complete = (self.status is not None and isinstance(self._length, _UntilEnd)
                         and error is None)
        self._over()

    def _over(self):
        self._drop()
        refused = self.status not in (None, 200) and not (self._stubborn and self.status >= 500)
        if (self.reconnect or self._stubborn) and not refused and not self._closed:
            seconds = (self._retry
                       if self._retry is not None else (self.decoder.retry or 1000) / 1000)
            self._loop.later(seconds, self._begin)
        else:
            self.ended = True

    def _drop(self):
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self.visits[-1][2] = time.time()
        try:
            self._loop.unwatch(sock)
        except (KeyError, ValueError, RuntimeError):
            pass
        sock.close()
        self._uncount()


# How a response's body ends

class _UntilEnd:
    complete = False

    def feed(self, data):
        return data


class _Counted:
    def __init__(self, left):
        self._left, self.complete = left, left == 0

    def feed(self, data):
        data = data[:self._left]
        self._left -= len(data)
        self.complete = self._left == 0
        return data


class _Chunked:
    """Chunked transfer coding. Malformed framing raises ValueError."""

    def __init__(self):
        self._buffer, self._left, self.complete = b"", None, False

    def feed(self, data):
        buffer, at, out = self._buffer + data, 0, []
        while not self.complete:
            if self._left is None:
                end = buffer.find(b"\r\n", at)
                if end < 0:
                    break
                self._left, at = int(buffer[at:end].split(b";")[0], 16), end + 2
                self.complete = self._left == 0
            elif self._left > 0:
                piece = buffer[at:at + self._left]
                if not piece:
                    break
                out.append(piece)
                at, self._left = at + len(piece), self._left - len(piece)
            else:
                if len(buffer) < at + 2:
                    break
                if buffer[at:at + 2] != b"\r\n":
                    raise ValueError("no line end after a chunk")
                at, self._left = at + 2, None
        self._buffer = buffer[at:]
        return b"".join(out)


def wait_all(readers, condition, what, timeout=None):
    """Until condition(reader) holds for every reader."""
    missing = list(readers)

    def all_of_them():
        missing[:] = [r for r in missing if not condition(r)]
        return not missing

    wait_until(all_of_them, timeout, what=lambda: f"{what}: {len(missing)} of {len(readers)} not, "
               f"for example {missing[0]}", pause=0.05)


def wait_all_open(readers, timeout=None):
    wait_all(readers, lambda r: r.starts, "open", timeout)
