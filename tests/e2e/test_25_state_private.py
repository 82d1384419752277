"""A public and a private event with one key and target are two values: neither replaces nor removes
the other, in any store, for plain streams and for those of the hub."""

import json
import shutil
import urllib.parse

import pytest
from support.bench import Bench
from support.hub import Hub
from support.nats import SERVER, NatsServer
from support.waiting import wait_until

BIG = "x" * 10_000

needs_nats = pytest.mark.skipif(not shutil.which(SERVER), reason="no nats-server")


def options_of(store, bench):
    if store == "JetStream":
        server = NatsServer(bench, "nats").start()
        return {"store": f"nats://{server.address}", "store_replicas": 1}
    return {"store": bench.subfolder("store")} if store == "LMDB" else {}


@pytest.fixture(scope="module",
                params=["memory", "LMDB", pytest.param("JetStream", marks=needs_nats)])
def hub(request):
    with Bench() as bench:
        site = Hub(bench, broker=options_of(request.param, bench), queue_bytes="512K")
        site.durable = request.param != "memory"
        yield site


class Plain:
    """Streams of a session and a channel. A token with the channel grants its private events."""

    starts = {"state": {}, "cursor": {}, "earliest": {"from": "earliest"},
              "last": {"last": "3"}}

    @staticmethod
    def open(site, session, channel, granted, cursor=None, query=None, **options):
        if not granted:
            return site.start_open(session, [channel], cursor, query=query, **options)
        token = site.issuer.token(sub=session, channels=[channel])
        return site.start_open(None, [channel], cursor, query=query,
                               headers={"Authorization": f"Bearer {token}"}, **options)


class OfHub:
    """Subscribers of a topic. The Mercure protocol has no state and no number of newest events."""

    starts = {"cursor": {}, "earliest": {"lastEventID": "earliest"}}

    @staticmethod
    def open(site, session, channel, granted, cursor=None, query=None, **options):
        token = site.old_token(subscribe=[channel] if granted else [])
        query = urllib.parse.urlencode({"topic": channel, **(query or {})})
        return site.readers.open(f"{site.hub}?{query}", cursor and f"#{cursor}",
                                 headers={"Authorization": f"Bearer {token}"}, **options)


KINDS = pytest.mark.parametrize("kind", [Plain, OfHub], ids=["plain", "hub"])


def put(site, channel, text, key=None, **more):
    more = {**more, "key": key} if key else more
    return site.publish("m", text=text, to={"channels": [channel]}, **more)["seq"]


def sent(site, kind, session, channel, granted, start, cursor):
    """The data of what a stream with this start is sent, before what is published now."""
    cursor = cursor if start == "cursor" else None
    reader = kind.open(site, session, channel, granted, cursor, kind.starts[start]).wait_open()
    put(site, channel, "live")
    reader.wait_data("live")
    data = reader.data("m")
    assert "ssecast.gap" not in reader.types()
    reader.close()
    return data[:data.index("live")]


def events_before(start, events):
    """What there is of these: the first is the cursor, and the state has the events with keys."""
    first = {"state": 2, "cursor": 1}.get(start, 0)
    return events[first:]


@KINDS
@pytest.mark.parametrize("place", ["window", "broker"])
@pytest.mark.parametrize("remove", [False, True], ids=["value", "removal"])
def test_a_private_event_takes_no_public_one_from_a_reader(hub, kind, place, remove, session):
    """place: where the events are read, by a worker that has them or by the broker."""
    for start in kind.starts:
        for granted in (False, True):
            case, channel = (start, granted), f"{session}-{start}-{granted}"
            cursor = put(hub, channel, "cursor")
            put(hub, channel, "plain")
            put(hub, channel, "public", key="k")
            put(hub, channel, "private", key="k", private=True, remove=remove)
            hub.settle()
            if place == "broker":
                hub.worker.restart()
            wanted = events_before(start, ["cursor", "plain", "public"])
            if granted and not (start == "state" and remove):
                wanted = [*wanted, "private"][-3 if start == "last" else 0:]
            assert sent(hub, kind, session, channel, granted, start, cursor) == wanted, case


def list_state(site, channel):
    return site.commands.demand({"op": "state", "channel": channel})["keys"]


@KINDS
@pytest.mark.parametrize("place", ["window", "broker", "restarted"])
def test_each_of_the_two_has_its_newest_value(hub, kind, place, session):
    if place == "restarted" and not hub.durable:
        pytest.skip("memory does not outlive its broker")
    cursor = put(hub, session, "cursor")
    for n in range(3):
        put(hub, session, f"public {n}", key="k")
        put(hub, session, f"private {n}", key="k", private=True)
    put(hub, session, "public 3", key="k")
    hub.settle()
    if place == "restarted":
        hub.broker.kill()
        hub.broker.start()
    if place != "window":
        hub.worker.restart()

    listed = [(k["data"], k.get("private")) for k in list_state(hub, session)]
    assert listed == [("public 3", None), ("private 2", True)]
    for start in set(kind.starts) & {"state", "cursor"}:
        assert sent(hub, kind, session, session, False, start, cursor) == ["public 3"], start
        both = sent(hub, kind, session, session, True, start, cursor)
        assert both == ["private 2", "public 3"], start

    put(hub, session, "gone", key="k", remove=True)
    hub.settle()
    assert [k["data"] for k in list_state(hub, session)] == ["private 2"]
    if "state" in kind.starts:
        assert sent(hub, kind, session, session, False, "state", None) == []
        assert sent(hub, kind, session, session, True, "state", None) == ["private 2"]


def flood(site, channel, count, keys=10):
    """Values of keys in turn, public ones and private ones. The last value of each is private."""
    for at in range(0, count, 100):
        site.commands.publish_batch([
            {"event": "m", "key": f"k{n // 2 % keys}", "text": json.dumps([n, BIG]),
             "private": n % 2 == 1, "to": {"channels": [channel]}}
            for n in range(at, at + 100)])


@KINDS
@pytest.mark.parametrize("granted", [False, True], ids=["public", "granted"])
def test_a_slow_reader_ends_with_the_newest_of_both(hub, kind, granted, session):
    count, keys = 3000, 10
    before = hub.stat("conflated")
    reader = kind.open(hub, session, session, granted, receive_buffer=4096).wait_open()
    reader.pause()
    flood(hub, session, count, keys)
    put(hub, session, "null")
    hub.settle()
    reader.resume()
    reader.wait_data("null")

    numbers = [json.loads(d)[0] for d in reader.data("m") if d != "null"]
    assert numbers == sorted(set(numbers)) and len(numbers) < count / 2
    assert all(n % 2 == 0 for n in numbers) or granted
    newest = range(count - 2 * keys, count)
    assert [n for n in numbers if n >= newest[0]] == [n for n in newest if granted or n % 2 == 0]
    assert reader.opens == 1 and "ssecast.gap" not in reader.types()
    wait_until(lambda: hub.stat("conflated") > before, what="the worker has reported it")
    reader.close()
