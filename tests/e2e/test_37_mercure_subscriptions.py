"""Subscription events and the subscription API of the Mercure protocol."""

import http.client
import json
import re
import shutil
import time
import urllib.parse

import pytest
from support.bench import Bench
from support.fcgi import FastCgi
from support.hub import DETAIL, GOOD, Hub, HubApache, PATH, quoted
from support.lighttpd import Lighttpd
from support.nats import SERVER, NatsServer
from support.waiting import TIMEOUT, wait_until

BASE = f"{PATH}/subscriptions"
OLD_PATTERN = BASE + "{/topic}{/subscriber}"
NEW_PATTERN = BASE + "/:match_type/:match/:subscriber"
SUBSCRIBER = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


OPTIONS = {"max_channels": 100, "mercure_subscriptions": True, "mercure_anonymous": True}
LEASE = {"worker_lease": "3s"}


@pytest.fixture(scope="module", params=[Lighttpd, HubApache], ids=["lighttpd", "apache"])
def hub(request):
    with Bench() as b:  # Apache notices that a stream was closed at the next heartbeat
        yield Hub(b, request.param, heartbeat="1s", **OPTIONS)


@pytest.fixture
def one(bench):
    """A hub of its own, with options of broker and worker."""
    return lambda workers=1, broker=None, **worker: Hub(
        bench, broker={**LEASE, **(broker or {})}, workers=workers, **{**OPTIONS, **worker}
    )


@pytest.fixture
def topic(session):
    return f"https://example.com/{session}/a b"


def get(hub, path, token, headers=None):
    """(status, headers, JSON)."""
    connection = http.client.HTTPConnection("127.0.0.1", hub.web.port, timeout=TIMEOUT)
    try:
        headers = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        connection.request("GET", urllib.parse.urlsplit(hub.hub).path + "/subscriptions" + path,
                           headers=headers)
        response = connection.getresponse()
        fields, body = {n.lower(): v for n, v in response.getheaders()}, response.read()
        return (response.status, fields,
                json.loads(body) if "json" in fields.get("content-type", "") else body)
    finally:
        connection.close()


def watch_old(hub, grant=OLD_PATTERN, pattern=OLD_PATTERN):
    return hub.subscribe(pattern, token=hub.old_token(subscribe=[grant]))


def watch_new(hub, grant=NEW_PATTERN, pattern=NEW_PATTERN):
    return hub.subscribe(pattern, name="match_urlpattern",
                         token=hub.new_token(subscribe=[grant], match_type="urlpattern"))


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
    reader = hub.subscribe(
        topic, token=hub.old_token(subscribe=[], payload={"x": ["\n", {"active": True}]})
    )
    [begun] = documents(watcher, topic, 1)
    subscriber = begun["subscriber"]
    assert SUBSCRIBER.fullmatch(subscriber)
    assert begun == {
        "@context": "https://mercure.rocks/", "id": f"{BASE}/{quoted(topic)}/{quoted(subscriber)}",
        "type": "Subscription", "topic": topic, "subscriber": subscriber, "active": True,
        "payload": {"x": ["\n", {"active": True}]}
    }
    assert {e.type for e in watcher.events} == {"message"}
    reader.close()
    assert documents(watcher, topic, 2)[1] == {**begun, "active": False}


def test_one_of_dialect_1_has_its_type_and_the_payload_of_the_first_detail_that_matches(hub, topic):
    def detail(match, payload, kind="exact"):
        return {"type": DETAIL, "actions": ["subscribe"],
                "topics": [{"match": match, "match_type": kind}], "payload": payload}

    watcher = watch_new(hub)
    pattern = "https://example.com/:a/" + topic.split("/")[3]
    token = hub.new_token(
        authorization_details=[detail(topic, {"a": 1}), detail(pattern, {"b": 2}, "urlpattern"),
                               detail(topic, {"never": 1})]
    )
    query = urllib.parse.urlencode(
        [("match", topic), ("match", topic + "/other"), ("match_urlpattern", pattern)]
    )
    reader = hub.readers.open(hub.hub + "?" + query,
                              headers={"Authorization": f"Bearer {token}"}).wait_open()
    [first] = documents(watcher, topic, 1)
    [other] = documents(watcher, topic + "/other", 1)
    [by_pattern] = documents(watcher, pattern, 1)
    subscriber = first["subscriber"]
    assert first == {"id": f"{BASE}/exact/{quoted(topic)}/{quoted(subscriber)}",
                     "type": "subscription", "match_type": "exact",
                     "match": topic, "subscriber": subscriber, "active": True, "payload": {"a": 1}}
    assert other["subscriber"] == subscriber and "payload" not in other
    assert by_pattern["match_type"] == "urlpattern" and by_pattern["payload"] == {"b": 2}
    assert {e.type for e in watcher.events} == {"mercure"}
    reader.close()
    assert documents(watcher, topic, 2)[1] == {**first, "active": False}


def test_only_who_is_granted_the_topics_is_told(hub, topic):
    granted = watch_old(hub)
    others = [hub.subscribe(OLD_PATTERN, token=hub.old_token(subscribe=["news"])),
              hub.subscribe(OLD_PATTERN, token=""),
              hub.subscribe("*", token=hub.old_token(subscribe=[topic]))]
    hub.subscribe(topic).close()
    documents(granted, topic, 2)
    hub.update(topic, data="end", private="on")
    hub.publish("m", text="all", to={"channels": [OLD_PATTERN]})
    for reader in others[:2]:
        assert [e.data for e in reader.wait_for(1)] == ["all"]
    others[2].wait_data("end")
    assert not [e for e in others[2].events if "subscriber" in e.data]


@pytest.mark.parametrize("prefix", ["", "/sse", "https://example.com/sse"])
def test_the_hubs_own_path_before_the_topics_makes_no_difference(hub, topic, prefix):
    old = watch_old(hub, grant=prefix + OLD_PATTERN, pattern=prefix + OLD_PATTERN)
    new = watch_new(hub, grant=prefix + NEW_PATTERN, pattern=prefix + NEW_PATTERN)
    hub.subscribe(topic)
    hub.subscribe(topic, name="match")
    assert documents(old, topic, 1)[0]["type"] == "Subscription"
    assert documents(new, topic, 1)[0]["type"] == "subscription"


def test_a_star_and_a_template_are_one_subscription_each(hub, topic):
    watcher = watch_old(hub)
    hub.subscribe(topic, topic + "/{id}", "*", token=hub.old_token(subscribe=[], payload="me"))
    for each in (topic, topic + "/{id}", "*"):
        assert documents(watcher, each, 1)[0]["payload"] == "me"
    subscribers = {d["subscriber"] for each in (topic, topic + "/{id}")
                   for d in documents(watcher, each, 1)}
    assert len(subscribers) == 1


@pytest.mark.parametrize("reserved", [BASE, BASE + "/a/b"])
def test_nobody_publishes_to_the_topics(hub, reserved):
    status, _, body = hub.post(reserved, data="x")
    assert status == 400 and b"reserved" in body
    reply = hub.commands.ask(
        {"op": "publish", "event": "m", "text": "x", "to": {"channels": ["a", reserved]}}
    )
    assert not reply["ok"] and "reserved" in reply["message"]


# The list

def test_the_list_has_what_is_active(hub, topic):
    token = hub.old_token(subscribe=[BASE + "{/topic}{/subscriber}"])
    watcher = watch_old(hub)
    readers = [hub.subscribe(topic, topic + "/x", token=hub.old_token(payload=n)) for n in (1, 2)]
    begun = documents(watcher, topic, 2)

    status, headers, body = get(hub, "/" + quoted(topic), token)
    assert status == 200 and headers["content-type"] == "application/ld+json"
    assert {k: v for k, v in body.items() if k not in ("subscriptions", "lastEventID")} == {
        "@context": "https://mercure.rocks/", "id": f"{BASE}/{quoted(topic)}",
        "type": "Subscriptions"}
    assert sorted(body["subscriptions"], key=lambda s: s["payload"]) == sorted(
        begun, key=lambda s: s["payload"]
    )
    assert headers["link"].startswith(f"<{urllib.parse.urlsplit(hub.hub).path}>; rel=\"mercure\"")

    one = "/" + quoted(topic) + "/" + quoted(begun[0]["subscriber"])
    status, _, single = get(hub, one, token)
    assert status == 200 and single.pop("lastEventID").startswith("#") and single == begun[0]

    after = hub.subscribe(OLD_PATTERN, token=hub.old_token(subscribe=[OLD_PATTERN]),
                          cursor=body["lastEventID"])
    for reader in readers:
        reader.close()
    assert [d["active"] for d in documents(after, topic, 2)] == [False, False]
    assert get(hub, one, token)[0] == 404
    assert get(hub, "/" + quoted(topic), token)[2]["subscriptions"] == []


def test_the_list_of_dialect_1(hub, topic):
    token = hub.new_token(subscribe=[BASE + "{/:a}?{/:b}?{/:c}?"], match_type="urlpattern")
    watcher = watch_new(hub)
    hub.subscribe(topic, name="match", token=hub.new_token(subscribe=["x"]))
    [begun] = documents(watcher, topic, 1)
    for escaped in (quoted(topic), quoted(topic).lower().replace("%2f", "%2F"),
                    quoted(topic).replace("example", "%65xample")):
        status, headers, body = get(hub, "/exact/" + escaped, token, {"Origin": GOOD})
        assert status == 200 and headers["content-type"] == "application/json"
        assert body == {"id": f"{BASE}/exact/{quoted(topic)}", "type": "subscriptions",
                        "subscriptions": [begun]}
        assert ('last-event-id="#' in headers["link"]
                and headers["access-control-allow-origin"] == GOOD)
    assert begun in get(hub, "", token)[2]["subscriptions"]
    assert get(hub, f"/exact/{quoted(topic)}/{quoted(begun['subscriber'])}", token)[2] == begun


def test_who_may_not_see_the_list(hub, topic):
    assert get(hub, "", "")[0] == 401
    assert get(hub, "", "nonsense")[0] == 401
    assert get(hub, "", hub.old_token(subscribe=["x"], seconds=-100))[0] == 401
    assert get(hub, "", hub.old_token(subscribe=[topic]))[0] == 403
    assert get(hub, "", hub.old_token(publish=["*"]))[0] == 403
    assert get(hub, "", hub.old_token(subscribe=["*"]))[0] == 200
    assert get(hub, "/" + quoted(topic), hub.old_token(subscribe=[BASE]))[0] == 403


@pytest.mark.parametrize("path", ["/a/b", "/exact/a/b", "/a/b/c", "/exact/a/b/c", "/" + 300 * "a"])
def test_an_unknown_subscription_is_404(hub, path):
    assert get(hub, path, hub.old_token(subscribe=["*"]))[0] == 404


@pytest.mark.parametrize("path", ["/%zz", "/a%0", "/%"])
def test_escapes_that_are_none(hub, path):
    assert get(hub, path, hub.old_token(subscribe=["*"]))[0] in (400, 404)


# Ends

def test_a_token_that_expires_ends_its_subscriptions(one, topic):
    hub = one(jwt_leeway="0s")
    watcher = watch_old(hub)
    hub.subscribe(topic, token=hub.old_token(subscribe=[], seconds=2))
    assert [d["active"] for d in documents(watcher, topic, 2)] == [True, False]


def test_several_workers_are_one_hub(one, topic):
    hub = one(workers=2)
    watchers = [watch_old(hub) for _ in range(4)]
    readers = [hub.subscribe(topic) for _ in range(6)]
    wait_until(lambda: len(
        get(hub, "/" + quoted(topic), hub.old_token(subscribe=["*"]))[2]["subscriptions"]
    ) == 6)
    for reader in readers:
        reader.close()
    for watcher in watchers:
        assert sum(d["active"] for d in documents(watcher, topic, 12)) == 6


def test_subscriptions_of_a_killed_worker_end(one, topic):
    hub = one()
    watcher = hub.subscribe(OLD_PATTERN, token=hub.old_token(subscribe=[OLD_PATTERN]),
                            cursor="earliest")
    gone = hub.subscribe(topic)
    documents(watcher, topic, 1)
    hub.worker.kill()
    gone.close()
    hub.worker.start()
    again = hub.subscribe(OLD_PATTERN, token=hub.old_token(subscribe=[OLD_PATTERN]),
                          cursor="earliest")
    assert [d["active"] for d in documents(again, topic, 2)] == [True, False]


@pytest.mark.parametrize("store", ["memory", "lmdb"])
def test_a_broker_that_restarts_ends_only_what_has_ended(one, bench, topic, store):
    hub = one(broker={"presence_settle": "1s",
                      **({} if store == "memory" else {"store": str(bench.folder / "store")})})
    token = hub.old_token(subscribe=["*"])
    watcher = watch_old(hub)
    _stays, goes = hub.subscribe(topic + "/stays"), hub.subscribe(topic + "/goes")
    documents(watcher, topic + "/stays", 1)
    documents(watcher, topic + "/goes", 1)
    hub.broker.kill()
    goes.close()
    hub.broker.start()

    def listed(name):
        status, _, body = get(hub, "/" + quoted(f"{topic}/{name}"), token)
        return status == 200 and len(body["subscriptions"])

    wait_until(lambda: listed("stays") == 1 and listed("goes") == 0, 30)
    time.sleep(4)  # longer than a lease
    assert listed("stays") == 1 and all(d["active"]
                                        for d in documents(watcher, topic + "/stays", 1))


def test_beyond_a_bound_further_ones_are_not_told(one, topic):
    hub = one(broker={"max_subscriptions": 3})
    token = hub.old_token(subscribe=["*"])
    readers = [hub.subscribe(f"{topic}/{n}") for n in range(6)]
    hub.wait_counted(*readers)
    wait_until(lambda: len(get(hub, "", token)[2]["subscriptions"]) == 3)
    assert "max-subscriptions" in hub.broker.log()
    for reader in readers:
        reader.close()
    wait_until(lambda: not get(hub, "", token)[2]["subscriptions"])

    def is_told():
        more = hub.subscribe(f"{topic}/more")
        hub.wait_counted(more)
        try:
            return get(hub, "/" + quoted(f"{topic}/more"), token)[2]["subscriptions"]
        finally:
            more.close()

    wait_until(is_told)


def test_lists_that_are_not_read_take_bounded_memory_and_are_cut(one):
    """All that wait have 64 MB at most. Who reads gets the whole list meanwhile, and streams go
    on."""
    site = one(max_channels=200, broker={"max_subscriptions": 20_000})
    token = site.old_token(subscribe=["*"])

    def open_stream(query, path=PATH):
        web = site.bench.closing(FastCgi(site.worker.socket))
        return web.get(query, REQUEST_URI=f"/sse{path}?{query}", SCRIPT_NAME=f"/sse{path}",
                       HTTP_AUTHORIZATION=f"Bearer {token}")

    streams = [open_stream("&".join(f"topic=t{n:04d}{'x' * 95}{k}" for k in range(200))).wait_open()
               for n in range(60)]
    size = wait_until(lambda: (n := len(json.dumps(get(site, "", token)[2]))) > 3_000_000 and n,
                      what="a long list")
    deaf = [open_stream("", BASE) for _ in range((64 << 20) // size + 5)]
    wait_until(lambda: site.stat("answers_cut"), what="an answer is cut")
    assert "answer cut: its reader takes nothing" in site.worker.log()
    status, _, body = get(site, "", token)
    assert status == 200 and body["subscriptions"]
    site.update(f"t0000{'x' * 95}0", data="live", id="live")
    streams[0].wait(lambda: "live" in [e.id for e in streams[0].events()], "an update")
    assert site.stat("answers_cut") < len(deaf)


def test_without_the_option_nothing_is_told(one, topic):
    hub = one(mercure_subscriptions=None)
    watcher = watch_old(hub)
    hub.subscribe(topic).close()
    hub.publish("m", text="end", to={"channels": [OLD_PATTERN]})
    assert [e.data for e in watcher.wait_for(1)] == ["end"]
    assert get(hub, "", hub.old_token(subscribe=["*"]))[0] == 404


@pytest.mark.skipif(not shutil.which(SERVER), reason="no nats-server")
def test_brokers_of_a_cluster_are_one_hub(topic):
    with Bench() as a, Bench() as b:
        server = NatsServer(a, "nats").start()
        store = {"store": f"nats://{server.address}", "store_replicas": 1, **LEASE}
        hubs = [Hub(bench, broker=dict(store), **OPTIONS) for bench in (a, b)]
        watchers = [watch_old(hub) for hub in hubs]
        readers = [hub.subscribe(topic) for hub in hubs]
        for hub, watcher in zip(hubs, watchers):
            assert len({d["subscriber"] for d in documents(watcher, topic, 2)}) == 2
            listed = get(hub, "/" + quoted(topic),
                         hub.old_token(subscribe=["*"]))[2]["subscriptions"]
            assert len(listed) == 2
        hubs[0].worker.kill()
        readers[0].close()
        readers[1].close()
        found = documents(watchers[1], topic, 4, 30)
        assert ([d["active"] for d in found] == [True, True, False, False]
                and len({d["id"] for d in found}) == 2)
