"""ssecast for a web application: publishes, and gives a user a token for the streams.

docs/python.md has views for Django, Flask and FastAPI. Debian: python3-zmq, python3-jwt. Variables
of the environment:
    SSECAST_COMMANDS         the broker's endpoint; tcp://127.0.0.1:5570 unless set
    SSECAST_JWT_SECRET_FILE  the workers' jwt-secret-file, one secret as text
"""

import json
import os
import time

import jwt
import zmq

COOKIE, MOUNT = "ssecast_token", "/sse"


class Failure(Exception):
    """The broker refused, or did not answer in time. In the second case it may have published."""


def ask(**request):
    """Sends one request (docs/protocol.md) and returns the reply, within 2 s."""
    with zmq.Context.instance().socket(zmq.REQ) as broker:
        broker.rcvtimeo, broker.linger = 2000, 0  # ms; the default is to wait without end
        broker.connect(os.environ.get("SSECAST_COMMANDS", "tcp://127.0.0.1:5570"))
        broker.send_string(json.dumps(request, default=str))  # default: dates, decimals, UUIDs
        try:
            reply = json.loads(broker.recv())
        except zmq.Again:
            raise Failure("no reply from the broker") from None
    if not reply["ok"]:
        raise Failure(f"{reply['error']}: {reply['message']}")
    return reply


def publish(event, data=None, **more):
    """publish("news", {"a": 1}, to={"channels": ["news"]}). Without `to` the event is for
    everyone."""
    return ask(op="publish", event=event, data=data, **more)


def end_streams(user):
    """After a logout. Other devices of the user come back by themselves."""
    return ask(op="shutdown", sessions=[str(user)], reason="logout", block=0)


def set_cookie(response, user, channels, seconds=3600, secure=True):
    """A token for the streams of this user, with these channels. Returns the response, which no
    cache keeps."""
    with open(os.environ["SSECAST_JWT_SECRET_FILE"], encoding="ascii") as file:
        secret = file.read().rstrip("\r\n")
    claims = {"sub": str(user), "exp": int(time.time()) + seconds, "channels": channels}
    response.set_cookie(COOKIE, jwt.encode(claims, secret, algorithm="HS256"), max_age=seconds,
                        path=MOUNT, secure=secure, httponly=True, samesite="strict")
    response.headers["Cache-Control"] = "no-store"
    return response


def delete_cookie(response):
    """Returns the response."""
    response.delete_cookie(COOKIE, path=MOUNT)
    return response
