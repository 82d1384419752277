"""A FastCGI client: what a web server says to the worker, spoken by hand, so that it may also be
said wrongly.

    with FastCgi(worker.socket) as web:
        web.get("session=anna")
        web.wait_text("retry:")
"""

import socket
import struct

from .sse import Decoder
from .waiting import Deadline, Timeout

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA, GET_VALUES = range(1, 10)
RESPONDER, AUTHORIZER = 1, 2


def record(kind, content=b"", request=1, padding=0, version=1):
    return struct.pack(">BBHHBB", version, kind, request, len(content),
                       padding, 0) + content + b"\0" * padding


def begin(role=RESPONDER, flags=0, request=1):
    return record(BEGIN, struct.pack(">HB5x", role, flags), request)


def length(n):
    return struct.pack(">B", n) if n < 128 else struct.pack(">I", n | 0x80000000)


def pair(name, value):
    name, value = _bytes(name), _bytes(value)
    return length(len(name)) + length(len(value)) + name + value


def params(pairs, request=1, piece=60000):
    """The parameters as records, and the empty one that ends them."""
    content = b"".join(pair(n, v) for n, v in pairs.items())
    pieces = [content[i:i + piece] for i in range(0, len(content), piece)]
    return b"".join(record(PARAMS, p, request) for p in pieces) + record(PARAMS, b"", request)


def environment(query="", **more):
    """The parameters of a GET request. Keywords add to them; None removes one."""
    out = {"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/sse",
           "REQUEST_URI": "/sse?" + query, "QUERY_STRING": query, "SERVER_PROTOCOL": "HTTP/1.1",
           "REMOTE_ADDR": "127.0.0.1", "SERVER_SOFTWARE": "test"}
    out.update(more)
    return {k: v for k, v in out.items() if v is not None}


def request(query="", **more):
    """A whole GET request."""
    return begin() + params(environment(query, **more)) + record(STDIN)


class FastCgi:
    """One connection to a worker: to a unix socket's path, or to (host, port)."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_INET
                                    if isinstance(address, tuple) else socket.AF_UNIX)
        self.socket.connect(address)
        self._buffer = b""
        self.text = b""      # what came in FCGI_STDOUT
        self.records = []    # (type, request id, length of content), in order
        self.status = None   # of FCGI_END_REQUEST: (application status, protocol status)
        self.eof = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """Send these bytes. A worker that has hung up already is no error."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def throw(self, data):
        """Send as much of it as the connection takes at once, and do not wait for more room."""
        try:
            self.socket.send(data, socket.MSG_DONTWAIT)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            pass
        return self

    def get(self, query="", **more):
        return self.send(request(query, **more))

    # Reading

    def _read(self, deadline):
        """One more piece. False when nothing came in time or nothing can come."""
        if self.eof:
            return False
        self.socket.settimeout(max(0.001, deadline.left()))
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return False
        except ConnectionResetError:
            data = b""
        self.eof = not data
        self._buffer += data
        self._parse()
        return True

    def _parse(self):
        while len(self._buffer) >= 8:
            version, kind, number, size, padding, _ = struct.unpack(">BBHHBB", self._buffer[:8])
            assert version == 1, f"not a FastCGI record: {self._buffer[:8]!r}"
            if len(self._buffer) < 8 + size + padding:
                return
            content, self._buffer = self._buffer[8:8 + size], self._buffer[8 + size + padding:]
            self.records.append((kind, number, size))
            if kind == STDOUT:
                self.text += content
            elif kind == END:
                self.status = struct.unpack(">IB3x", content)

    def wait(self, condition, what, timeout=None):
        deadline = Deadline(timeout)
        while not condition():
            if not self._read(deadline) and not condition():
                raise Timeout(
                    f"{what}: {'hung up' if self.eof else 'nothing'} after {self.text[-300:]!r}"
                )
        return self

    def wait_text(self, part):
        return self.wait(lambda: _bytes(part) in self.text, f"text {part!r}")

    def wait_end(self):
        """Until the response has ended as it should: FCGI_END_REQUEST."""
        return self.wait(lambda: self.status is not None, "FCGI_END_REQUEST")

    def wait_hangup(self, timeout=None):
        return self.wait(lambda: self.eof, "the end of the connection", timeout)

    # What it got

    @property
    def head(self):
        """The response's head: a dictionary, names in lower case; "status" is the first word of
        Status."""
        self.wait(lambda: b"\r\n\r\n" in self.text, "a response head")
        lines = self.text.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        out = {name.lower(): value.strip()
               for name, _, value in (line.partition(":") for line in lines)}
        out["status"] = int(out.get("status", "200").split()[0])
        return out

    @property
    def body(self):
        return self.text.partition(b"\r\n\r\n")[2]

    def decoded(self):
        """(decoder, events) of the stream so far."""
        decoder = Decoder()
        return decoder, decoder.feed(self.body)

    def events(self):
        return self.decoded()[1]

    def wait_events(self, count):
        self.wait(lambda: len(self.events()) >= count, f"{count} events")
        return self.events()

    def wait_open(self):
        """Until the first block, with the cursor, has come."""
        return self.wait(lambda: self.decoded()[0].checkpoints, "the first block")


def _bytes(text):
    return text if isinstance(text, bytes) else str(text).encode()
