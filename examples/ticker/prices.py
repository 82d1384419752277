#!/usr/bin/python3
"""A service that publishes prices: ./prices.py, until Ctrl-C. ./prices.py delist NAME removes one.

Each price is an event with a key, in the channel "prices". A page that opens gets the newest price
of each name first, and a slow page skips prices that newer ones have replaced. When this service
stops, its prices are forgotten after a minute (ttl), so that no page begins with old ones.
"""

import json
import os
import random
import sys
import time

import zmq

broker = zmq.Context().socket(zmq.REQ)
broker.connect(os.environ.get("SSECAST_COMMANDS", "tcp://127.0.0.1:5570"))


def event(name, **fields):
    return {"to": {"channels": ["prices"]}, "key": f"price:{name}", **fields}


def publish(**fields):
    broker.send_string(json.dumps({"op": "publish", **fields}))
    reply = json.loads(broker.recv())
    if not reply["ok"]:
        sys.exit(reply["message"])


def run():
    prices = {"ALPHA": 120.0, "BETA": 48.5, "GAMMA": 7.25}
    while True:
        prices = {name: max(0.01, price * random.uniform(0.99, 1.01))
                  for name, price in prices.items()}
        publish(events=[event(name, event="price", data={"name": name, "price": price}, ttl=60)
                        for name, price in prices.items()])
        time.sleep(0.2)


if sys.argv[1:2] == ["delist"]:
    publish(**event(sys.argv[2], event="delisted", data={"name": sys.argv[2]}, remove=True))
else:
    run()
