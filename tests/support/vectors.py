"""The vectors of tests/data/sse_vectors.json, and a server that plays them to readers."""

import http.server
import json
import threading
import urllib.parse

from .processes import ROOT

SOON = b"retry: 1\n\n"


class Vector:
    def __init__(self, row):
        self.name, self.cursor, self.retry = row["name"], row["cursor"], row.get("retry")
        self.body = bytes.fromhex(row["hex"]) if "hex" in row else row["stream"].encode()
        self.events = [tuple(e) for e in row["events"]]


def vectors():
    return [Vector(row)
            for row in json.loads((ROOT / "tests" / "data" / "sse_vectors.json").read_text())]


class Player:
    """GET /N?KEY: a stream that says to come back soon, then the N-th vector, then 204.
    cursors[KEY]: the Last-Event-ID of the last request.

    Each KEY is one reader.
    """

    def __init__(self, played, page=""):
        self.cursors, self._asked, player = {}, {}, self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                if not url.query:
                    return self.answer(200, "text/html", page.encode())
                asked = player._asked[url.query] = player._asked.get(url.query, 0) + 1
                if asked == 1:
                    self.answer(200, "text/event-stream", SOON)
                elif asked == 2:
                    self.answer(200, "text/event-stream", played[int(url.path[1:])].body)
                else:
                    player.cursors[url.query] = self.headers.get(
                        "Last-Event-ID", ""
                    ).encode("latin-1").decode(errors="replace")
                    self.send_response(204)
                    self.end_headers()

            def answer(self, status, kind, body):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
