#!/usr/bin/python3
"""The demo's endpoint: passes the page's requests on to the broker.

POST takes one JSON request of docs/protocol.md and returns its reply. GET returns the broker's
endpoint, for the terminal box of the page. The argument is the unix socket at which the web server
sends requests over HTTP. SSECAST_COMMANDS names the broker's commands socket.

It serves the demo only: every visitor of the page may publish. An application checks its own login
and its own rules in this place. This file only checks that its own page sends the request.

The six lines of ask() are all that a service in Python needs to publish.
"""

import http.server
import json
import os
import socketserver
import sys

import zmq

OPS = ("publish", "shutdown", "online", "sessions", "connections", "stats", "ping")
MAX_BODY = 64 * 1024
TIMEOUT_MS = 3000


class Refused(Exception):
    """status is the HTTP status, code the error code of the reply."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code = status, code


def ask(endpoint, request):
    """Send one request (bytes of JSON) to the broker and return its reply. Raises zmq.Again after
    TIMEOUT_MS."""
    with zmq.Context() as context, context.socket(zmq.REQ) as broker:
        broker.setsockopt(zmq.LINGER, 0)
        broker.setsockopt(zmq.RCVTIMEO, TIMEOUT_MS)
        broker.connect(endpoint)
        broker.send(request)
        return broker.recv()


def check_same_origin(headers):
    """Accept requests of our own page only: otherwise another site in the same browser could
    publish."""
    origin = headers.get("Origin", "").partition("://")[2]
    site = headers.get("Sec-Fetch-Site", "same-origin")
    if not origin or origin != headers.get("Host") or site != "same-origin":
        raise Refused(403, "forbidden", "only the demo page itself may use this endpoint")


def read_body(headers, stream):
    length = headers.get("Content-Length", "")
    if not length.isdecimal():
        raise Refused(411, "bad_request", "send a Content-Length")
    if int(length) > MAX_BODY:
        raise Refused(413, "too_large", f"a request may have {MAX_BODY} bytes")
    return stream.read(int(length))


def unique_fields(pairs):
    """A JSON object without duplicate fields: parsers disagree on which of two counts."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field occurs twice")
    return fields


def check_request(body):
    """Check the request. It is passed on byte by byte, so that numbers keep their digits."""
    try:
        request = json.loads(body.decode("utf-8"), object_pairs_hook=unique_fields)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "bad_json", str(error)) from None
    op = request.get("op") if isinstance(request, dict) else None
    if op not in OPS:
        raise Refused(403, "unknown_op", "this endpoint passes on " + ", ".join(OPS))


def post(headers, stream, endpoint):
    check_same_origin(headers)
    body = read_body(headers, stream)
    check_request(body)
    try:
        return ask(endpoint, body)
    except zmq.Again:
        raise Refused(504, "no_broker", f"the broker did not answer in {TIMEOUT_MS} ms") from None


class Handler(http.server.BaseHTTPRequestHandler):
    endpoint = os.environ.get("SSECAST_COMMANDS", "")

    def do_GET(self):
        self.respond(200, json.dumps({"ok": True, "commands": self.endpoint}).encode())

    def do_POST(self):
        try:
            self.respond(200, post(self.headers, self.rfile, self.endpoint))
        except Refused as refused:
            self.respond(
                refused.status,
                json.dumps({"ok": False, "error": refused.code, "message": str(refused)}).encode()
            )

    def respond(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """The web server has a log."""


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


if __name__ == "__main__":
    Server(sys.argv[1], Handler).serve_forever()
