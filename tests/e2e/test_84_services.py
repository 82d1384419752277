"""The services of a worker that drains, or whose broker is away: a status that says so, the same
for HEAD, and no request that hangs."""

import concurrent.futures
import http.client
import json
import signal
import urllib.parse

import pytest
from support.hub import PATH, Hub, HubApache
from support.lighttpd import Lighttpd
from support.waiting import PATIENCE, patient, wait_until

ROOM = {"session": "anna", "channels": "hall"}
PATHS = {"health": ("/healthz", {}), "live": ("/healthz", {"live": 1}), "page": ("/status", {}),
         "metrics": ("/metrics", {}),
         "members": ("/presence", ROOM), "subscriptions": (PATH + "/subscriptions", {})}
ASK_LIMIT = 5   # seconds, for the broker's reply
UNCHANGED = {"live": 200, "page": 200}
NO_BROKER = {**UNCHANGED, "health": 503, "metrics": 200, "members": 503, "subscriptions": 503}


@pytest.fixture(params=[Lighttpd, HubApache], ids=["lighttpd", "apache"])
def hub(bench, request):
    return Hub(bench, request.param,
               broker={"presence_channels": "hall", "presence_grace": "1s", "worker_lease": "3s"},
               drain=patient(4), broker_timeout=patient(2), mercure_subscriptions=True,
               mercure_anonymous=True)


def ask(hub, method, name):
    """(status, headers, body)"""
    path, query = PATHS[name]
    headers = ({"Authorization": f"Bearer {hub.old_token(subscribe=['*'])}"}
               if name == "subscriptions" else {})
    connection = http.client.HTTPConnection("127.0.0.1", hub.web.port,
                                            timeout=ASK_LIMIT + 10 * PATIENCE)
    try:
        connection.request(method, urllib.parse.urlsplit(
            hub.web.url
        ).path + path + ("?" + urllib.parse.urlencode(query) if query else ""), headers=headers)
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    finally:
        connection.close()


def ask_all(hub):
    """{name: status}; all are asked at once. HEAD has the status and the type of GET, and no
    body."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = {(name, method): pool.submit(ask, hub, method, name) for name in PATHS
                   for method in ("GET", "HEAD")}
    statuses = {}
    for name in PATHS:
        (status, headers, body), (head_status, head_headers, none) = (
            answers[name, method].result() for method in ("GET", "HEAD")
        )
        assert (head_status, head_headers["content-type"], none) == (
            status, headers["content-type"], b""
        ), name
        assert body, name
        if status != 200:
            assert headers["content-type"] == "application/json", (name, body)
            assert json.loads(body)["error" if name != "health" else "reasons"], (name, body)
        statuses[name] = status
    return statuses


def test_without_a_broker_each_service_says_so(hub):
    hub.open("anna", ["hall"])
    assert set(ask_all(hub).values()) == {200}
    hub.broker.freeze()
    assert ask_all(hub) in (
        NO_BROKER, {**NO_BROKER, "health": 200}
    ), "the worker knows within broker-timeout that it is silent"
    hub.broker.thaw()
    hub.broker.kill()
    wait_until(lambda: ask(hub, "GET", "health")[0] == 503,
               what="the worker knows that there is no broker")
    assert ask_all(hub) == NO_BROKER
    hub.broker.start()
    wait_until(lambda: ask(hub, "GET", "health")[0] == 200, what="the broker is connected again")
    wait_until(lambda: set(ask_all(hub).values()) == {200}, what="all is well again")


@pytest.mark.parametrize("broker", ["there", "away"])
def test_a_worker_that_drains_answers_and_is_not_healthy(hub, broker):
    readers = [hub.open(f"s{n}", ["hall"]) for n in range(30)]
    if broker == "away":
        hub.broker.kill()
    hub.worker.expect_end()
    hub.worker.signal(signal.SIGTERM)
    wait_until(lambda: ask(hub, "GET", "health")[0] == 503, what="the worker stops")
    statuses = ask_all(hub)
    if broker == "there":
        assert statuses == {**dict.fromkeys(PATHS, 200), "health": 503}
        assert "stopping" in json.loads(ask(hub, "GET", "health")[2])["reasons"]
    else:
        assert statuses == NO_BROKER
    for reader in readers:
        reader.wait_end()
    assert hub.worker.wait() == 0


def test_requests_that_wait_for_a_broker_are_answered_before_the_worker_ends(hub):
    """It is frozen, so that the worker asks it."""
    def connections():
        """Of web servers to the worker: /proc/net/unix has the state and the path of each end."""
        with open("/proc/net/unix", encoding="utf-8") as file:
            fields = [line.split() for line in file]
        return sum(f[5] == "03" and f[-1] == hub.worker.socket for f in fields)

    hub.broker.freeze()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = [pool.submit(ask, hub, method, name) for name in ("members", "subscriptions")
                   for method in ("GET", "HEAD")]
        wait_until(lambda: connections() >= len(waiting), what="the worker has the requests")
        hub.worker.expect_end()
        hub.worker.signal(signal.SIGTERM)
        answers = [w.result() for w in waiting]
    hub.broker.thaw()
    assert [status for status, _, _ in answers] == [503] * 4
    assert all(headers["content-type"] == "application/json" for _, headers, _ in answers), answers
    assert hub.worker.wait() == 0
