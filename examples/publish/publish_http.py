#!/usr/bin/python3
"""Publish an event over HTTP, with Python alone. SSECAST_URL=https://example.org/sse
SSECAST_TOKEN_FILE=token.jwt ./publish_http.py [TEXT]"""

import json
import os
import pathlib
import sys
import time
import urllib.error
import urllib.request
import uuid

token = pathlib.Path(os.environ["SSECAST_TOKEN_FILE"]).read_text().partition("\n")[0].rstrip()
# The id makes it safe to send the event again when no answer came: it is published once.
event = {"event": "greeting",
         "data": {"from": "Python", "text": sys.argv[1] if len(sys.argv) > 1 else "hello"},
         "id": str(uuid.uuid4())}
request = urllib.request.Request(
    os.environ["SSECAST_URL"] + "/publish", json.dumps(event).encode(),
    {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
)


def publish():
    """The reply; None when it is worth another try."""
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)
    except urllib.error.HTTPError as e:
        if e.code < 500:
            sys.exit(f"refused: {e.read().decode()}")
    except OSError as e:
        print(e, file=sys.stderr)
    return None


for pause in (1, 2, 4, 8, None):
    reply = publish()
    if reply or pause is None:
        break
    time.sleep(pause)
print(reply or "no answer")
sys.exit(not reply)
