#!/usr/bin/python3
"""A service that publishes numbers once a second: ./counter.py, until Ctrl-C.

They go to the channel "dashboard", and the broker is asked how many streams there are.
"""

import json
import os
import time

import zmq

broker = zmq.Context().socket(zmq.REQ)
broker.connect(os.environ.get("SSECAST_COMMANDS", "tcp://127.0.0.1:5570"))


def ask(**request):
    broker.send_string(json.dumps(request))
    return json.loads(broker.recv())


count = 0
while True:
    numbers = {"count": count, "load": os.getloadavg()[0],
               "streams": ask(op="stats")["connections"]}
    ask(op="publish", event="numbers", data=numbers, to={"channels": ["dashboard"]})
    count += 1
    time.sleep(1)
