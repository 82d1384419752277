#!/usr/bin/python3
"""The server's side of the page, as a CGI program. Each request is a POST with a JSON object.

{"login": NAME}             logs in, and answers {"name": NAME}. An application would ask for a
                            password
{}                          who is logged in? {"name": NAME}, or {"name": null}
{"to": NAME, "text": TEXT}  sends a text to another user, in the name of the user who is logged in

Each answer to a logged-in user sets a cookie with a fresh token for the stream, valid for SECONDS.
That cookie goes to /sse only, and no script can read it. A second cookie, the application's own,
holds the login. Here it is a token too, for another audience.
"""

import http.cookies
import json
import os
import sys
import time

import jwt
import zmq

SECONDS = 10  # an application takes an hour or so
SECRET = open(os.environ["SSECAST_JWT_SECRET_FILE"], encoding="ascii").read().rstrip("\r\n")


def token(name, audience, seconds, **claims):
    return jwt.encode({"sub": name, "aud": audience, "exp": time.time() + seconds, **claims},
                      SECRET, algorithm="HS256")


def cookie(name, value, path):
    # Over https, add: Secure
    print(f"Set-Cookie: {name}={value}; Path={path}; HttpOnly; SameSite=Strict")


def logged_in():
    cookies = http.cookies.SimpleCookie(os.environ.get("HTTP_COOKIE", ""))
    try:
        return jwt.decode(cookies["login"].value, SECRET, algorithms=["HS256"],
                          audience="login")["sub"]
    except (KeyError, jwt.InvalidTokenError):
        return None


def say(name, request):
    broker = zmq.Context.instance().socket(zmq.REQ)
    broker.connect(os.environ["SSECAST_COMMANDS"])
    broker.setsockopt(zmq.RCVTIMEO, 5000)
    broker.setsockopt(zmq.LINGER, 0)
    broker.send_string(json.dumps({"op": "publish", "event": "said", "data": {
        "from": name, "text": str(request["text"])[:1000]
    }, "to": {"sessions": [str(request["to"])[:40]]}}))
    broker.recv()


request = json.load(sys.stdin)
name = str(request["login"])[:40] if request.get("login") else logged_in()
if name and "text" in request:
    say(name, request)
print("Content-Type: application/json\nCache-Control: no-store")
if name:
    cookie("login", token(name, "login", 3600), "/login.py")
    cookie("ssecast_token", token(name, "stream", SECONDS, channels=["news"]), "/sse")
print()
print(json.dumps({"name": name}))
