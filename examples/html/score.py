#!/usr/bin/python3
"""Publishes the score of a match as HTML: ./score.py plays one, ./score.py HOME AWAY MINUTE sets a
score.

Each library wants the same piece of HTML in another event. The events have a key, so a page that
opens late shows the present score at once.
"""

import json
import os
import random
import sys
import time

import zmq

# The events of Datastar 1.0.0-beta.11. Version 1.0 calls them datastar-patch-elements and
# datastar-patch-signals, and the first word of the data is "elements".
ELEMENTS, SIGNALS, ELEMENTS_WORD = "datastar-merge-fragments", "datastar-merge-signals", "fragments"

broker = zmq.Context().socket(zmq.REQ)
broker.connect(os.environ.get("SSECAST_COMMANDS", "tcp://127.0.0.1:5570"))
broker.setsockopt(zmq.RCVTIMEO, 5000)
broker.setsockopt(zmq.LINGER, 0)


def event(channel, key, text, **fields):
    return {"to": {"channels": [channel]}, "key": key, "ttl": 3600, "text": text, **fields}


def publish(home, away, minute):
    score = f'<p id="score">{home} : {away} in minute {minute}</p>'
    events = [
        event("turbo", "score", '<turbo-stream action="replace" '
              f'target="score"><template>{score}</template></turbo-stream>'),
        event("htmx", "score", score, event="score"),
        event("htmx4", "score", score),
        event("datastar", "score", f"{ELEMENTS_WORD} {score}", event=ELEMENTS),
        event("datastar", "minute", f'signals {{"minute": {minute}}}', event=SIGNALS),
    ]
    broker.send_string(json.dumps({"op": "publish", "events": events}))
    reply = json.loads(broker.recv())
    if not reply["ok"]:
        sys.exit(reply["message"])


def play():
    score = [0, 0]
    for minute in range(1, 91):
        if random.random() < 0.04:
            score[random.randrange(2)] += 1
        publish(*score, minute)
        time.sleep(0.5)


if len(sys.argv) == 4:
    publish(*map(int, sys.argv[1:]))
else:
    play()
