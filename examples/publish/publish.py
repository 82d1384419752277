#!/usr/bin/python3
"""Publish an event from Python, with pyzmq (Debian: python3-zmq). ./publish.py [TEXT]"""

import json
import os
import sys

import zmq

request = {"op": "publish", "event": "greeting",
           "data": {"from": "Python", "text": sys.argv[1] if len(sys.argv) > 1 else "hello"}}

broker = zmq.Context().socket(zmq.REQ)
broker.connect(os.environ.get("SSECAST_COMMANDS", "tcp://127.0.0.1:5570"))
broker.setsockopt(zmq.RCVTIMEO, 5000)
broker.setsockopt(zmq.LINGER, 0)
broker.send_string(json.dumps(request))
reply = json.loads(broker.recv())
print(reply)
sys.exit(not reply["ok"])
