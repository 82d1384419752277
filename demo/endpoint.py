#!/usr/bin/python3
"""The demo's endpoint: passes the page's requests on to the broker.

A CGI program. POST takes one JSON request of docs/protocol.md and returns its reply. GET returns the
broker's endpoint, for the terminal box of the page. SSECAST_COMMANDS names the broker's commands socket.

It serves the demo only: every visitor of the page may publish. An application checks its own login and
its own rules in this place. This file only checks that its own page sends the request.

The six lines of ask() are all that a service in Python needs to publish.
"""

import json
import os
import sys

import zmq

OPS = ("publish", "shutdown", "online", "sessions", "connections", "stats", "ping")
MAX_BODY = 64 * 1024
TIMEOUT_MS = 3000


class Refused(Exception):
    """status is the HTTP status line, code the error code of the reply."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code = status, code


def ask(endpoint, request):
    """Send one request (bytes of JSON) to the broker and return its reply. Raises zmq.Again after TIMEOUT_MS."""
    with zmq.Context() as context, context.socket(zmq.REQ) as broker:
        broker.setsockopt(zmq.LINGER, 0)
        broker.setsockopt(zmq.RCVTIMEO, TIMEOUT_MS)
        broker.connect(endpoint)
        broker.send(request)
        return broker.recv()


def check_same_origin(env):
    """Accept requests of our own page only: otherwise another site in the same browser could publish."""
    origin = env.get("HTTP_ORIGIN", "").partition("://")[2]
    site = env.get("HTTP_SEC_FETCH_SITE", "same-origin")
    if not origin or origin != env.get("HTTP_HOST") or site != "same-origin":
        raise Refused("403 Forbidden", "forbidden", "only the demo page itself may use this endpoint")


def read_body(env, stream):
    length = env.get("CONTENT_LENGTH", "")
    if not length.isdecimal():
        raise Refused("411 Length Required", "bad_request", "send a Content-Length")
    if int(length) > MAX_BODY:
        raise Refused("413 Content Too Large", "too_large", f"a request may have {MAX_BODY} bytes")
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
        raise Refused("400 Bad Request", "bad_json", str(error)) from None
    op = request.get("op") if isinstance(request, dict) else None
    if op not in OPS:
        raise Refused("403 Forbidden", "unknown_op", "this endpoint passes on " + ", ".join(OPS))


def post(env, stream, endpoint):
    check_same_origin(env)
    body = read_body(env, stream)
    check_request(body)
    try:
        return ask(endpoint, body)
    except zmq.Again:
        raise Refused("504 Gateway Timeout", "no_broker", f"the broker did not answer in {TIMEOUT_MS} ms") from None


def respond(env, stream):
    """The status line and the body of the answer."""
    endpoint = env["SSECAST_COMMANDS"]
    try:
        if env.get("REQUEST_METHOD") == "GET":
            return "200 OK", json.dumps({"ok": True, "commands": endpoint}).encode()
        if env.get("REQUEST_METHOD") == "POST":
            return "200 OK", post(env, stream, endpoint)
        raise Refused("405 Method Not Allowed", "bad_request", "GET or POST")
    except Refused as refused:
        return refused.status, json.dumps({"ok": False, "error": refused.code, "message": str(refused)}).encode()


def main():
    status, body = respond(os.environ, sys.stdin.buffer)
    head = f"Status: {status}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\r\n"
    sys.stdout.buffer.write(head.encode() + body)


if __name__ == "__main__":
    main()
