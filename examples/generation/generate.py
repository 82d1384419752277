#!/usr/bin/python3
"""A language model that writes a text, token by token. ./generate.py ID

The model is a stand-in; the publishing is real. Tokens go to a channel of their own, so that a page
can read them from the first one on (from=earliest), whenever it comes. After an hour they are
forgotten (ttl).
"""

import json
import os
import re
import sys
import time

import zmq

TEXT = ("Server-Sent Events are one long answer to one request. The server adds an event whenever "
        "there is something to tell, and the browser hands it to the page. When the connection is "
        "lost, the browser asks again, names the last event that it has, and reads on from there. "
        "So a text that takes a minute to write survives a tunnel, a reload and a second reader.")


def tokens():
    for token in re.findall(r"\s*\S+", TEXT):
        yield token
        time.sleep(0.05)  # the work


def main(generation):
    broker = zmq.Context().socket(zmq.REQ)
    broker.connect(os.environ.get("SSECAST_COMMANDS", "tcp://127.0.0.1:5570"))
    broker.setsockopt(zmq.RCVTIMEO, 60000)
    broker.setsockopt(zmq.LINGER, 0)

    def publish(**event):
        broker.send_string(json.dumps({
            "op": "publish", **event, "to": {"channels": [f"generation:{generation}"]}, "ttl": 3600
        }))
        broker.recv()

    for token in tokens():
        publish(event="token", text=token)
    publish(event="end", data=None)


main(sys.argv[1])
