"""A relay between a client and a web server that can cut what runs through it, as a lost network
does.

It also keeps what each client asked, so that a test can see the headers a browser sends when it
reconnects.
"""

import socket
import threading

from .ports import free_port
from .waiting import wait_until


class Relay:
    """Listens on .port and passes everything on to 127.0.0.1:upstream."""

    def __init__(self, upstream):
        self.upstream, self.port = upstream, free_port()
        self._lock, self._pairs, self._heads, self._down = threading.Lock(), [], [], bytearray()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self):
        """End every connection, both ways and without a word."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for sock in (s for pair in pairs for s in pair):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def requests(self, path):
        """The requests for this path so far, each a dictionary of its headers (names in lower
        case)."""
        with self._lock:
            heads = [bytes(h) for h in self._heads]
        lines = [h.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n") for h in heads]
        return [dict(_header(line) for line in rest) for first, *rest in lines
                if first.split(" ")[1].split("?")[0] == path]

    def wait_for_requests(self, path, count):
        return wait_until(lambda: len(r := self.requests(path)) >= count and r,
                          what=f"{count} requests for {path}")

    def sent_down(self):
        """All bytes that came from the web server."""
        with self._lock:
            return bytes(self._down)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.upstream))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._pairs.append((client, server))
            threading.Thread(target=self._pump, args=(client, server, self._note_up),
                             daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, self._note_down),
                             daemon=True).start()

    def _pump(self, source, target, note):
        try:
            while data := source.recv(65536):
                note(data)
                target.sendall(data)
        except OSError:
            pass
        for sock in (source, target):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _note_up(self, data):
        """A browser's GET comes in one piece."""
        if data.startswith((b"GET ", b"POST ", b"OPTIONS ")):
            with self._lock:
                self._heads.append(data)

    def _note_down(self, data):
        with self._lock:
            self._down += data


def _header(line):
    name, _, value = line.partition(":")
    return name.lower(), value.strip()
