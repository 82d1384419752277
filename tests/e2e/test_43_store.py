"""Durable history: acknowledged events survive, and a failing disk is reported and survived."""

import random
import time

import pytest
from support.broker import Broker
from support.disk import FileLimit, HangingDisk, Tmpfs, can_mount
from support.site import Site
from support.waiting import PATIENCE, wait_until


@pytest.fixture
def broker(bench):
    """A durable broker on its own."""
    return Broker(bench, store=bench.folder / "history").start()


@pytest.fixture
def durable(bench):
    """A site with a durable broker."""
    return Site(bench, broker={"store": bench.folder / "history"}, worker={"heartbeat": "300ms"})


def retained(client):
    """Everything that is retained, oldest first."""
    events, more = [], True
    while more:
        page = client.history(since=events[-1]["seq"] if events else 0, limit=1000)
        events, more = events + page["events"], page["more"]
    return events


def publish(client, count, text="x", batch=500):
    """Publish this number of events in batches. Returns their seqs."""
    seqs = []
    for first in range(0, count, batch):
        texts = [f"{n} {text}" for n in range(first, min(first + batch, count))]
        seqs += client.publish_batch([{"event": "m", "text": t} for t in texts], timeout=60)["seqs"]
    return seqs


# What was acknowledged

def test_what_was_acknowledged_is_there_after_kill_9(broker):
    with broker.commands() as client:
        acknowledged = {}
        for n in range(20_000):
            client.send({"op": "publish", "event": "m", "data": n, "ref": n})
        while len(acknowledged) < 2000:
            reply = client.receive()
            acknowledged[reply["seq"]] = str(reply["ref"])
        broker.kill()
        while (reply := client.receive(0.2)) is not None:
            acknowledged[reply["seq"]] = str(reply["ref"])
    broker.start()
    with broker.commands() as client:
        there = {e["seq"]: e["data"] for e in retained(client)}
    assert len(acknowledged) >= 2000 and acknowledged.items() <= there.items()
    assert list(there.values()) == [str(n) for n in range(len(there))]


def test_delivered_events_survive_kill_9(durable):
    reader = durable.open()
    for n in range(20_000):
        durable.commands.send({"op": "publish", "event": "m", "data": n})
    reader.wait_for(1000)
    durable.broker.kill()
    durable.broker.start()
    with durable.broker.commands() as client:
        there = {str(e["seq"]): e["data"] for e in retained(client)}
        last = client.publish("last", data=0)["seq"]
    reader.wait_type("last")
    assert {e.id: e.data for e in reader.events} == {**there, str(last): "0"}
    assert len(reader.events) == len(there) + 1 and reader.opens == 1


def test_everything_of_an_event_is_there_again(broker):
    with broker.commands() as client:
        client.publish("m", data={"n": 0.1}, to={"sessions": ["anna"], "channels": ["room"]},
                       id="order-17", retry=3000)
        client.publish(payload=b"two\nlines", **{"except": {"sessions": ["bert"]}})
        before = retained(client)
    with broker.killed_and_started() as client:
        assert retained(client) == before
        assert client.history(session="bert")["events"] == []


def test_a_session_that_was_shut_down_stays_away_across_a_restart(durable, session):
    durable.commands.shutdown(sessions=[session], block=60)
    durable.broker.kill()
    durable.broker.start()
    durable.open("other")
    wait_until(lambda: durable.request(session=session)[0] == 204, what="204")


# Limits

LIMITS = {"count": {"history_events": 1000}, "bytes": {"history_bytes": "2M"},
          "age": {"history_age": "1s"}}


@pytest.mark.parametrize("limit", LIMITS)
def test_what_is_evicted_gives_its_space_back(bench, limit):
    """Many times as much goes through as is retained, which is 1 to 2 MB at a time."""
    broker = Broker(bench, store=bench.folder / "history", **LIMITS[limit]).start()
    with broker.commands() as client:
        for _ in range(3 if limit == "age" else 20):
            publish(client, 1000, text="x" * 1000, batch=250)
            wait_until(lambda: limit != "age" or client.stats()["history_events"] == 0,
                       what="all too old")
        stats = client.stats()
        before = retained(client)
    assert stats["store_file_bytes"] < 10 << 20
    assert stats["store_used_bytes"] < 4 << 20
    with broker.killed_and_started() as client:
        assert retained(client) == before and len(before) <= 2000


def test_smaller_limits_hold_from_the_next_start_on(bench, broker):
    with broker.commands() as client:
        last = publish(client, 5000, text="x" * 500)[-1]
        before = client.stats()
    broker.stop()
    smaller = Broker(bench, name="smaller", store=broker.options["store"], history_events=100)
    with smaller.start().commands() as client:
        assert [e["seq"] for e in retained(client)] == list(range(last - 99, last + 1))
        wait_until(lambda: client.stats()["store_used_bytes"] < before["store_used_bytes"] / 5,
                   what="the space is free")
        publish(client, 100)
        assert client.stats()["history_events"] == 100
        assert client.stats()["store_file_bytes"] <= before["store_file_bytes"] * 1.5
    smaller.stop()
    broker.start()


# Starting

def test_a_restart_loads_much_in_a_short_time_and_says_how_much(bench):
    """(A million took 3 s, and 6 s without the file in the page cache.)"""
    count = 200_000
    broker = Broker(bench, store=bench.folder / "history", history_events=count).start()
    with broker.commands() as client:
        first = publish(client, count, batch=2000)[0]
    broker.kill()
    started = time.monotonic()
    broker.start()
    assert time.monotonic() - started < 5 * PATIENCE
    assert f"{count} events loaded in " in broker.log()
    with broker.commands() as client:
        assert client.stats()["history_events"] == count
        assert client.history(limit=1)["events"][0]["seq"] == first


def test_a_second_broker_on_the_same_store_is_refused(bench, broker):
    second = Broker(bench, name="second", store=broker.options["store"])
    assert refusal(second).endswith("is in use by another process")
    with broker.commands() as client:
        client.publish("m", data=1)


def refusal(broker):
    """Start a broker that must not start; the last line it says."""
    super(Broker, broker).start()
    status = broker.wait()
    broker.process = None
    assert status == 1, f"status {status}: {broker.log()}"
    return broker.log().splitlines()[-1]


def other_format(data):
    known = b"format" + (4).to_bytes(4, "little")
    assert data.count(known) >= 1
    return data.replace(known, b"format" + (5).to_bytes(4, "little"))


DAMAGES = {
    "garbage": lambda data: random.Random(1).randbytes(len(data)),
    "a beginning of garbage": lambda data: random.Random(1).randbytes(8192) + data[8192:],
    "zeros": lambda data: bytes(len(data)),
    "truncated": lambda data: data[:len(data) // 2],
    "cut short": lambda data: data[:100],
    "emptied": lambda data: b"",
    "another format": other_format,
    "some text": lambda data: b"not what you think\n" * 1000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_refused_and_left_as_it_is(broker, damage):
    with broker.commands() as client:
        publish(client, 2000)
        before = retained(client)
    broker.stop()
    file = broker.options["store"] / "data.mdb"
    whole = file.read_bytes()
    damaged = DAMAGES[damage](whole)
    file.write_bytes(damaged)
    said = refusal(broker)
    assert str(broker.options["store"]) in said and "left as it is" in said, said
    assert file.read_bytes() == damaged
    file.write_bytes(whole)
    with broker.start().commands() as client:
        assert retained(client) == before


def test_a_store_with_damaged_places_never_loads_as_something_else(bench, broker):
    """Pages in the middle of it are overwritten: it is refused, or these pages were not in use."""
    with broker.commands() as client:
        publish(client, 3000, text="x" * 200)
        publish(client, 30, text="x" * 20_000, batch=10)
        before = retained(client)
    broker.stop()
    file = broker.options["store"] / "data.mdb"
    whole = file.read_bytes()
    chance = random.Random(1)
    refused = 0
    for page in chance.sample(range(2, len(whole) // 4096), 15):
        noise = chance.choice([bytes(4096), chance.randbytes(4096), b"\xff" * 4096])
        file.write_bytes(whole[:page * 4096] + noise + whole[page * 4096 + 4096:])
        super(Broker, broker).start()
        wait_until(lambda: not broker.running() or broker._answers(), what="it runs or has ended")
        if broker.running():
            with broker.commands() as client:
                assert retained(client) == before
            broker.stop()
        else:
            assert broker.wait() == 1, broker.report()
            assert "left as it" in broker.log().splitlines()[-1]
            refused += 1
        file.write_bytes(whole)
    assert refused > 3
    broker.start()


@pytest.mark.skipif(not can_mount(), reason="may not mount")
def test_a_read_only_disk_is_said_at_the_start(bench):
    with Tmpfs(bench.folder / "disk") as disk:
        broker = Broker(bench, store=disk.folder / "history").start()
        with broker.commands() as client:
            client.publish("m", data=1)
        broker.stop()
        disk.remount("ro")
        assert "Read-only file system" in refusal(broker)
        disk.remount("rw")
        with broker.start().commands() as client:
            assert len(retained(client)) == 1


# A disk that fails

DISKS = {
    "full": pytest.param(Tmpfs, marks=pytest.mark.skipif(not can_mount(), reason="may not mount")),
    "full for the broker": lambda folder: FileLimit(folder, grow=True),
    "read-only for the broker": lambda folder: FileLimit(folder, grow=False),
}


@pytest.fixture(params=DISKS.values(), ids=DISKS)
def disk(request, bench):
    """A disk that can be made to fail, and to work again."""
    disk = request.param(bench.folder / "disk")
    yield disk
    disk.close()


def publish_until_refused(site):
    """Publish to anna. Returns how many were acknowledged."""
    for count in range(10_000):
        reply = site.commands.ask({"op": "publish", "event": "m", "text": f"{count} " + "x" * 5000,
                                   "to": {"sessions": ["anna"]}})
        if not reply["ok"]:
            assert reply["error"] == "store_failed", reply
            return count
    raise AssertionError("never refused")


def test_when_the_disk_fails_publishes_are_refused_until_it_works_again(bench, disk):
    site = Site(bench, broker={"store": disk.folder / "history"}, worker={"heartbeat": "300ms"})
    reader = site.open("anna")
    disk.fill(site.broker)
    count = publish_until_refused(site)
    kept = retained(site.commands)
    for _ in range(100):
        assert site.commands.ask(
            {"op": "publish", "event": "no", "data": 0}
        )["error"] == "store_failed"
        assert site.commands.ask(
            {"op": "publish", "events": [{"data": 0}] * 10}
        )["error"] == "store_failed"
    assert retained(site.commands) == kept and len(kept) == count

    quiet = reader.decoder.comments
    reader.wait(lambda: reader.decoder.comments > quiet + 1, "heartbeats")
    late = site.open("anna", last_event_id=reader.starts[0])
    late.wait_for(count)
    assert site.stat("store_failures") > 100 and site.stat("errors_store_failed") >= 200

    disk.empty(site.broker)
    seqs = [site.publish("m", text=f"{n} after", to={"sessions": ["anna"]})["seq"]
            for n in range(count, count + 10)]
    for each in (reader, late):
        each.wait_for(count + 10)
        assert [e.data.split()[0] for e in each.events] == [str(n) for n in range(count + 10)]
        assert each.events[-1].id == str(seqs[-1]) and each.opens == 1
    with site.broker.killed_and_started() as client:
        assert [e["data"].split()[0] for e in retained(client)] == [
            str(n) for n in range(count + 10)
        ]
    assert set(reader.types()) == {"m"}


@pytest.mark.skipif(not can_mount(), reason="may not mount")
def test_a_disk_that_becomes_full_within_an_event_is_called_full(bench):
    """LMDB reports a write that ends early as an I/O error."""
    with Tmpfs(bench.folder / "disk", size="1m") as disk:
        broker = Broker(bench, store=disk.folder / "history").start()
        with broker.commands() as client:
            ask = {"op": "publish", "event": "m", "text": "x" * 300_000}
            replies = [client.ask(ask) for _ in range(5)]
        refused = [r for r in replies if not r["ok"]]
        assert replies[0]["ok"] and refused
        for reply in refused:
            assert (reply["error"] == "store_failed"
                    and "No space left on device" in reply["message"]), reply
        assert ('events cannot be stored: '
                'publishes fail with store_failed why="No space left on device"' in broker.log())


@pytest.mark.skipif(not can_mount(), reason="may not mount")
def test_the_last_line_says_whether_events_can_be_stored(bench):
    """Also on a disk that has room for small events only."""
    with Tmpfs(bench.folder / "disk", size="1m") as disk:
        broker = Broker(bench, store=disk.folder / "history").start()
        with broker.commands() as client:
            for _ in range(5):
                client.ask({"op": "publish", "event": "m", "text": "x" * 300_000})
            for _ in range(3):
                assert client.publish("m", data=1)
                assert not client.ask({"op": "publish", "event": "m", "text": "x" * 300_000})["ok"]
        assert [line for line in broker.log().splitlines() if "stored" in line][-1].count(
            "cannot be stored"
        )


@pytest.mark.parametrize("disk", [DISKS["full"], DISKS["full for the broker"]],
                         ids=["full", "full for the broker"], indirect=True)
def test_a_full_history_on_a_full_disk_goes_round(bench, disk):
    """Once the file has reached its size, a disk without space for anything else does not
    matter."""
    broker = Broker(bench, store=disk.folder / "history", history_events=500).start()
    with broker.commands() as client:
        publish(client, 3000, text="x" * 1000, batch=50)
        disk.fill(broker)
        last = publish(client, 3000, text="x" * 1000, batch=50)[-1]
        assert client.stats()["history_head"] == last
        disk.empty(broker)


def test_a_disk_that_hangs_is_reported_and_delays_only_publishes(bench, durable):
    disk = HangingDisk(bench, durable.broker)
    anna = durable.open("anna")
    with durable.broker.commands() as client:
        with disk.hanging():
            client.send({"op": "publish", "event": "m", "data": "late", "ref": 1})
            time.sleep(1.1)    # more than a second is reported
            quiet, bob = anna.decoder.comments, durable.open("bob")
            anna.wait(lambda: anna.decoder.comments > quiet, "a heartbeat")
            assert not anna.events
        assert client.receive()["ok"]
    anna.wait_data('"late"')
    bob.wait_data('"late"')
    wait_until(lambda: "the disk is slow: publishers and "
               "workers waited for it" in durable.broker.log(), what="the broker says so")
