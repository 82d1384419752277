"""A web server that keeps what `ssecast watch --webhook` posts."""

import hashlib
import hmac
import http.server
import json
import threading
import time

SECRET = b"a secret of more than 16 bytes"


class Receiver:
    """Keeps what is posted. answers: what the next posts get: a status, or None: the connection
    ends."""

    def __init__(self, port=0, secret=SECRET):
        self.batches, self.answers, self.delay, self.bad = [], [], 0, []
        self.pending = 0    # posts that have arrived and are not in batches yet
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
                if (self.headers["X-Ssecast-Signature"] != expected
                    or self.headers["Content-Type"] != "application/json"):
                    outer.bad.append(dict(self.headers))
                outer.pending += 1
                time.sleep(outer.delay)
                outer.pending -= 1
                outer.batches.append(json.loads(body))
                status = outer.answers.pop(0) if outer.answers else 204
                if status:
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    @property
    def messages(self):
        return [m for batch in self.batches for m in batch["messages"]]

    @property
    def sessions(self):
        """[("+", session)] in order, each number once."""
        signs, out, last = {"session_online": "+", "session_offline": "-"}, [], 0
        for m in self.messages:
            if m["number"] > last and m["type"] in signs and m["session"] != "probe":
                out.append((signs[m["type"]], m["session"]))
            last = max(last, m["number"])
        return out

    def check_order(self):
        """Numbers go up by one; a batch that comes again begins with a number that came before."""
        last = 0
        for batch in self.batches:
            numbers = [m["number"] for m in batch["messages"]]
            assert (set(batch) == {"messages"}
                    and numbers == list(range(numbers[0], numbers[0] + len(numbers))))
            assert numbers[0] <= last + 1
            last = max(last, numbers[-1])
        assert not self.bad
