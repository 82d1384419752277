"""Limits: what is retained, and how much may be asked for at once."""

import pytest
from support import mixes
from support.bench import Bench
from support.broker import Broker
from support.processes import BROKER
from support.site import Site
from support.waiting import wait_until
from support.worker import Worker


# What is retained: whichever limit is reached first

def published(client, count, size=10):
    return [r["seq"] for r in client.publish_many(
        [{"event": "m", "text": "x" * size} for _ in range(count)]
    )]


def test_no_more_events_than_history_events(bench):
    with Broker(bench, history_events=50).start().commands() as client:
        seqs = published(client, 500)
        assert [e["seq"] for e in client.history(since=0, limit=1000)["events"]] == seqs[-50:]
        assert client.stats()["history_events"] == 50


def test_no_more_bytes_than_history_bytes(bench):
    with Broker(bench, history_bytes="100K").start().commands() as client:
        seqs = published(client, 500, size=1000)
        kept = [e["seq"] for e in client.history(since=0, limit=1000)["events"]]
        assert kept == seqs[-len(kept):] and 20 < len(kept) < 100
        assert client.stats()["history_bytes"] <= 100 * 1024


def test_no_event_older_than_history_age(bench):
    with Broker(bench, history_age="1s").start().commands() as client:
        published(client, 10)
        wait_until(lambda: client.stats()["history_events"] == 0, what="all have expired")
        [seq] = published(client, 1)
        assert [e["seq"] for e in client.history(since=0)["events"]] == [seq]


def test_memory_stays_bounded_while_more_is_published_than_is_retained(bench):
    if b"__asan_init" in BROKER.read_bytes():
        pytest.skip("the address sanitizer keeps what was freed")
    broker = Broker(bench, history_bytes="10M").start()
    with broker.commands() as client:
        published(client, 3000, size=10_000)
        before = broker.resident()
        for _ in range(5):
            published(client, 3000, size=10_000)
        assert broker.resident() - before < 20 << 20


@pytest.mark.parametrize("mix", list(mixes.MIXES)[:4])
def test_broker_and_worker_take_what_their_limits_say_whatever_is_published(bench, mix):
    if b"__asan_init" in BROKER.read_bytes():
        pytest.skip("the address sanitizer keeps what was freed")
    broker = Broker(bench, history_bytes=mixes.LIMIT, history_events=10_000_000).start()
    worker = Worker(bench, broker, window_bytes=mixes.LIMIT).start()
    found, most = mixes.measure(broker, worker, mix), mixes.FACTOR * mixes.LIMIT + mixes.BASE
    assert mixes.LIMIT / 2 < found["counted"] <= mixes.LIMIT
    assert found["broker"] <= most and found["worker"] <= most


def test_an_own_id_can_be_used_again_when_it_is_not_retained_any_more(bench):
    with Broker(bench, history_events=10).start().commands() as client:
        first = client.publish("m", data=1, id="order-1")["seq"]
        published(client, 20)
        again = client.publish("m", data=1, id="order-1")
        assert again["seq"] > first and "duplicate" not in again


# How much may be asked for at once

def test_a_batch_may_be_large(site, session):
    reader = site.open(session)
    reply = site.commands.publish_batch(
        [{"event": "m", "data": n, "to": {"sessions": [session]}} for n in range(5000)]
    )
    assert len(reply["seqs"]) == 5000
    reader.wait_for(5000)
    assert reader.data() == [str(n) for n in range(5000)]


def test_a_batch_too_large_is_refused_as_a_whole(site, session):
    reply = site.commands.ask(
        {"op": "publish", "events": [{"data": 1, "to": {"sessions": [session]}}] * 20_000}
    )
    assert reply["error"] in ("bad_request", "too_large")
    assert site.commands.history(since=0, session=session)["events"] == []


def test_an_event_may_have_many_targets(site, session):
    reader = site.open_counted(session)
    reply = site.publish("m", data=1,
                         to={"sessions": [f"nobody-{n}" for n in range(20_000)] + [session]})
    assert reply["online"] == 1 and reader.wait_for(1)


def test_too_many_targets_are_refused(site):
    reply = site.commands.ask(
        {"op": "publish", "data": 1, "to": {"sessions": [f"{n}" for n in range(70_000)]}}
    )
    assert reply["error"] in ("bad_request", "too_large")


def test_an_event_of_the_largest_size_passes_and_one_byte_more_does_not(site, session):
    reader = site.open(session)
    site.publish("m", text="x" * (1 << 20), to={"sessions": [session]})
    assert len(reader.wait_for(1)[0].data) == 1 << 20
    assert site.commands.ask(
        {"op": "publish", "event": "m", "text": "x" * ((1 << 20) + 1)}
    )["error"] == "too_large"


def test_a_stream_may_have_64_channels(site, session):
    channels = [f"{session}-{n}" for n in range(64)]
    reader = site.open_counted(session, channels=channels)
    assert site.publish("m", data=1, to={"channels": channels[-1:]})["online"] == 1
    reader.wait_for(1)


def test_a_ref_is_for_matching_and_bounded(site):
    assert site.commands.ask({"op": "ping", "ref": "x" * 1022})["ref"] == "x" * 1022
    site.commands.send({"op": "ping", "ref": "x" * 1023})
    refused = site.commands.receive()
    assert (refused["error"] == "bad_request" and "1024" in refused["message"]
            and "ref" not in refused)


@pytest.mark.parametrize("piece", ["[]", "{}"])
def test_many_small_values_cost_no_tree(bench, piece):
    """In `data` they are text; anywhere else this number is refused before any of them is built."""
    if b"__asan_init" in BROKER.read_bytes():
        pytest.skip("the address sanitizer keeps what was freed")
    broker = Broker(bench, max_event_bytes="8M").start()
    values = ",".join([piece] * 2_000_000)
    with broker.commands() as client:
        client.send_frames(
            ('{"op":"publish","to":{"sessions":["nobody"]},"data":[%s]}' % values).encode()
        )
        assert client.receive()["ok"]
        client.send_frames(('{"op":"publish","data":1,"to":{"sessions":[%s]}}' % values).encode())
        assert client.receive()["error"] == "too_large"
        assert peak(broker) < 80 << 20


def peak(program):
    """Bytes of memory it had at most."""
    with open(f"/proc/{program.pid}/status", encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("VmHWM")).split()[1]) * 1024


def test_many_requests_in_flight_are_all_answered(site):
    replies = site.commands.publish_many(
        [{"event": "m", "data": n, "to": {"sessions": ["nobody"]}} for n in range(50_000)],
        timeout=60
    )
    seqs = [r["seq"] for r in replies]
    assert seqs == sorted(set(seqs)) and len(seqs) == 50_000


# The workers' window is bounded as well

@pytest.fixture(scope="module")
def small():
    with Bench() as b:
        yield Site(b, broker={"history_events": 2000})


def test_what_the_worker_does_not_hold_comes_from_the_broker(small, session):
    start = small.publish("m", data="start", to={"sessions": [session]})["seq"]
    small.commands.publish_many(
        [{"event": "m", "data": n, "to": {"sessions": [session]}} for n in range(1500)]
    )
    small.worker.restart()
    before = small.stat("replays_broker")
    back = small.open(session, last_event_id=str(start), stubborn=True)
    back.wait_for(1500)
    assert back.data() == [str(n) for n in range(1500)]
    wait_until(lambda: small.stat("replays_broker") > before, what="the broker was asked")


def test_what_the_worker_holds_never_troubles_the_broker(small, session):
    start = small.publish("m", data="start", to={"sessions": [session]})["seq"]
    small.commands.publish_many(
        [{"event": "m", "data": n, "to": {"sessions": [session]}} for n in range(100)]
    )
    small.settle()
    pages = small.stat("pages")
    for _ in range(20):
        small.open(session, last_event_id=str(start)).wait_for(100)
    assert small.stat("pages") == pages
