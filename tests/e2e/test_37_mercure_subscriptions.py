"""Subscription events and the subscription API of the Mercure protocol."""

import http.client
import json
import re
import signal
import time
import urllib.parse

import pytest
from support.apache import Apache
from support.bench import Bench
from support.hub import DETAIL, GOOD, Hub, PATH
from support.lighttpd import Lighttpd
from support.waiting import TIMEOUT, wait_until

BASE = f"{PATH}/subscriptions"
OLD_PATTERN = BASE + "{/topic}{/subscriber}"
NEW_PATTERN = BASE + "/:match_type/:match/:subscriber"
SUBSCRIBER = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def quoted(text):
    return urllib.parse.quote(text, safe="")


@pytest.fixture(scope="module", params=[Lighttpd, Apache], ids=["lighttpd", "apache"])
def hub(request):
    with Bench() as b:
        yield Hub(b, request.param, max_channels=100, mercure_subscriptions=True, mercure_anonymous=True)


@pytest.fixture
def topic(session):
    return f"https://example.com/{session}/a b"


def get(hub, path, token, headers=None):
    """(status, headers, JSON)."""
    connection = http.client.HTTPConnection("127.0.0.1", hub.web.port, timeout=TIMEOUT)
    try:
        headers = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        connection.request("GET", urllib.parse.urlsplit(hub.hub).path + "/subscriptions" + path, headers=headers)
        response = connection.getresponse()
        return response.status, {n.lower(): v for n, v in response.getheaders()}, json.loads(response.read())
    finally:
        connection.close()


def watch_old(hub, grant=OLD_PATTERN, pattern=OLD_PATTERN):
    return hub.subscribe(pattern, token=hub.old_token(subscribe=[grant]))


def watch_new(hub, grant=NEW_PATTERN, pattern=NEW_PATTERN):
    return hub.subscribe(pattern, name="match_urlpattern", token=hub.new_token(subscribe=[grant], match_type="urlpattern"))


def documents(reader, topic, count, timeout=TIMEOUT):
    """The documents about topic, in their order."""
    found = []

    def enough():
        found[:] = [d for d in (json.loads(e.data) for e in reader.events if e.data.startswith("{"))
                    if topic in (d.get("topic"), d.get("match"))]
        return len(found) >= count

    wait_until(enough, timeout=timeout)
    return found


# Events

def test_a_subscription_of_dialect_0_is_told_when_it_begins_and_ends(hub, topic):
    watcher = watch_old(hub)
    reader = hub.subscribe(topic, token=hub.old_token(subscribe=[], payload={"x": 1}))
    [begun] = documents(watcher, topic, 1)
    subscriber = begun["subscriber"]
    assert SUBSCRIBER.fullmatch(subscriber)
    assert begun == {"@context": "https://mercure.rocks/", "id": f"{BASE}/{quoted(topic)}/{quoted(subscriber)}",
                     "type": "Subscription", "topic": topic, "subscriber": subscriber, "active": True}
    reader.close()
    assert documents(watcher, topic, 2)[1] == {**begun, "active": False}
