#!/usr/bin/python3
"""A long job that reports its progress. ./job.py NAME

Each event is the whole state, not a step, and has a key: a page that joins late gets the newest
one. All events go to one channel, which the pages that watch this job have. The last event removes
the key. If the job dies, its key is forgotten after a minute (ttl).
"""

import json
import os
import sys
import time

import zmq

STEPS = 40


def tell(broker, job, done):
    broker.send_string(json.dumps(
        {"op": "publish", "event": "progress", "data": {"done": done, "of": STEPS},
         "to": {"channels": [f"job:{job}"]}, "key": "progress", "ttl": 60, "remove": done == STEPS}
    ))
    broker.recv()


def main(job):
    broker = zmq.Context().socket(zmq.REQ)
    broker.connect(os.environ.get("SSECAST_COMMANDS", "tcp://127.0.0.1:5570"))
    broker.setsockopt(zmq.RCVTIMEO, 60000)
    broker.setsockopt(zmq.LINGER, 0)
    for done in range(STEPS + 1):
        tell(broker, job, done)
        time.sleep(0.1)  # the work


main(sys.argv[1])
