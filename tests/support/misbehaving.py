"""A web server with prepared answers, wrong ones too."""

import contextlib
import http.server
import itertools
import socket
import threading
import time


class Misbehaving:
    """A web server that gives each request the next of its answers: (status, headers, body). With
    the body None the connection ends within the headers."""

    def __init__(self, *answers):
        todo = list(answers)
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append((self.path, dict(self.headers)))
                status, headers, body = todo.pop(0)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if body is None:
                    self.flush_headers()
                else:
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Silent:
    """A server that answers each connection with these bytes, and with nothing more."""

    def __init__(self, first=b""):
        self.asked = 0
        self.open, self.first = [], first
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}/"
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return  # closed
            self.open.append(connection)
            self.asked += 1
            self.answer(connection)

    def answer(self, connection):
        connection.sendall(self.first)

    def close(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.thread.join()
        for connection in self.open:
            connection.close()


class Trickling(Silent):
    """A server whose headers never end: one comes each 50 ms."""

    def answer(self, connection):
        def trickle():
            with contextlib.suppress(OSError):
                for n in itertools.count():
                    connection.sendall(f"X-{n}: y\r\n".encode())
                    time.sleep(0.05)

        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        threading.Thread(target=trickle, daemon=True).start()
