#!/usr/bin/python3
"""The server's side of the chat, as a CGI program.

POST {"room", "from", "text"} publishes a text in a room. GET ?room=R returns the texts of the room,
and the id of the last one. The page opens its stream behind that id, so that no text is missed in
between. A room is a channel. An application would take "from" from its login.
"""

import json
import os
import sys
import urllib.parse

import zmq


def ask(**request):
    broker = zmq.Context.instance().socket(zmq.REQ)
    broker.connect(os.environ["SSECAST_COMMANDS"])
    broker.setsockopt(zmq.RCVTIMEO, 5000)
    broker.setsockopt(zmq.LINGER, 0)
    broker.send_string(json.dumps(request))
    return json.loads(broker.recv())


def say(room, message):
    return ask(op="publish", event="said", data=message, to={"channels": [f"room:{room}"]})


def history(channel):
    since, more = 0, True
    while more:
        page = ask(op="history", channel=channel, since=since, limit=1000)
        yield from page["events"]
        more = page["more"]
        since = page["events"][-1]["seq"] if more else since


def said(room):
    head = ask(op="ping")["head"]  # first: what is said in the meantime is in the list, or after it
    events = list(history(f"room:{room}"))
    last = max([head] + [e["seq"] for e in events])
    return {"last": str(last),
            "said": [json.loads(e["data"]) for e in events if e.get("event") == "said"][-100:]}


if os.environ["REQUEST_METHOD"] == "POST":
    body = json.load(sys.stdin)
    answer = say(body["room"], {"from": str(body["from"])[:40], "text": str(body["text"])[:1000]})
else:
    answer = said(urllib.parse.parse_qs(os.environ["QUERY_STRING"])["room"][0])
print("Content-Type: application/json\nCache-Control: no-store\n")
print(json.dumps(answer))
