#!/usr/bin/python3
"""A long job that reports its progress. ./job.py NAME

Each event is the whole state, not a step: a page that joins late needs only the last one. All events go
to one channel, which the pages that watch this job have.
"""

import json
import os
import sys
import time

import zmq

STEPS = 40


def tell(broker, job, done):
    broker.send_string(json.dumps({"op": "publish", "event": "progress", "data": {"done": done, "of": STEPS}, "to": {"channels": [f"job:{job}"]}}))
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
