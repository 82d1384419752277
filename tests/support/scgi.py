"""An SCGI client: what Apache's mod_proxy_scgi says to the worker, and mod_proxy_fdpass after it.

    answer = ask(worker.options["handoff_listen"], "session=anna")
    browser = hand_over(worker.options["handoff"], answer.token)
"""

import array
import re
import socket

PLAIN = {"REQUEST_SCHEME": "http", "SERVER_PROTOCOL": "HTTP/1.1"}


def request(query="", body=b"", **more):
    """The bytes of a request. Keywords add parameters; None removes one."""
    pairs = {"CONTENT_LENGTH": str(len(body)), "SCGI": "1", "REQUEST_METHOD": "GET",
             "REQUEST_URI": "/sse?" + query, "QUERY_STRING": query, "REMOTE_ADDR": "127.0.0.1",
             "SERVER_SOFTWARE": "test", **PLAIN, **more}
    text = b"".join(f"{n}\0{v}\0".encode() for n, v in pairs.items() if v is not None)
    return b"%d:%b,%b" % (len(text), text, body)


class Answer:
    def __init__(self, text):
        head, _, self.body = text.partition(b"\r\n\r\n")
        self.text = text
        self.headers = {name.lower(): value.strip() for name, _, value in (
            line.partition(":") for line in head.decode().split("\r\n")
        )}
        self.location = self.headers.get("location", "")

    @property
    def token(self):
        return re.match(r"/handoff/([0-9a-f]{32})\?", self.location)[1]


def say(path, bytes_):
    """Send these bytes, and return all that comes."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(str(path))
        s.sendall(bytes_)
        text = b""
        try:
            while piece := s.recv(65536):
                text += piece
        except ConnectionResetError:
            pass
        return text


def ask(path, query="", **more):
    return Answer(say(path, request(query, **more)))


def ask_together(path, query, count):
    """The answers to this number of requests, all of which are sent before one is read."""
    sockets = [socket.socket(socket.AF_UNIX) for _ in range(count)]
    try:
        for s in sockets:
            s.settimeout(30)
            s.connect(str(path))
            s.sendall(request(query))
        return [Answer(s.recv(65536)) for s in sockets]
    finally:
        for s in sockets:
            s.close()


def connect(folder, token):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(f"{folder}/{token}")
    return s


def pass_descriptors(peer, fds):
    peer.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        browser = socket.create_connection(listener.getsockname(), timeout=30)
        return browser, listener.accept()[0]


def hand_over(folder, token):
    """Pass the worker one end of a TCP connection; returns the browser's end."""
    browser, passed = tcp_pair()
    with connect(folder, token) as peer, passed:
        pass_descriptors(peer, [passed.fileno()])
    return browser
