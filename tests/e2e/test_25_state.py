"""Keyed events: the current state for streams that begin, conflation for slow readers, and time to
live."""

import collections
import time

import pytest
from support.apache import Apache
from support.bench import Bench
from support.commands import Refused
from support.lighttpd import Lighttpd
from support.nginx import Nginx
from support.site import Site
from support.tokens import Issuer
from support.waiting import wait_until

BIG = "x" * 10_000


@pytest.fixture(scope="module", params=[Lighttpd, Apache, Nginx], ids=lambda w: w.name)
def behind_any(request):
    """A site whose clients come with a plain session or with a token."""
    with Bench() as b:
        issuer = Issuer(b.folder / "jwt.key")
        site = Site(b, web=request.param,
                    worker={"session_from": "jwt,query:session",
                            "jwt_secret_file": str(issuer.secret_file), "queue_bytes": "512K"})
        site.issuer = issuer
        yield site


KINDS = ["session", "token"]


def opening(kind, site, session, channel):
    """A function that opens a stream of the session in the channel."""
    def open_stream(start=site.start_open, **options):
        if kind == "session":
            return start(session, channels=[channel], keep_blocks=True, **options)
        token = site.issuer.token(sub=session, channels=[channel])
        return start(None, channels=[channel], keep_blocks=True,
                     headers={"Authorization": f"Bearer {token}"}, **options)
    return open_stream


@pytest.fixture(params=KINDS)
def opened(request, behind_any, session):
    """Opens a stream of the test's session, in the test's channel."""
    return opening(request.param, behind_any, session, session)


def blocks(reader):
    """(type, data, id) of each block; a checkpoint has neither type nor data."""
    return [(b.type, b.data, b.id) for b in reader.decoder.blocks]


def wait_live(reader):
    """Until the first checkpoint has come."""
    reader.wait(lambda: reader.checkpoints, "a checkpoint")
    return reader


def test_a_stream_begins_with_the_state_that_concerns_it(behind_any, opened, session):
    site, to = behind_any, {"to": {"channels": [session]}}
    site.publish("price", key="BTC", data=1, **to)
    site.publish("price", key="ETH", data=2, **to)
    site.publish("plain", data="no key", **to)
    site.publish("note", key="BTC", data=3, to={"sessions": [session]})
    site.publish("note", key="BTC", data=4, to={"sessions": [session + "-other"]})
    last = site.publish("price", key="BTC", data=5, **to)["seq"]
    site.settle()
    head = site.commands.ping()["head"]
    reader = wait_live(opened())
    assert blocks(reader) == [("price", "2", ""), ("note", "3", ""), ("price", "5", ""),
                              (None, "", str(head))] and head >= last
    assert reader.about["connection"] == reader.connection

    live = site.publish("price", key="ETH", data=6, **to)["seq"]
    reader.wait(lambda: blocks(reader)[-1] == ("price", "6", str(live)), "the live event")


def test_a_client_with_a_cursor_gets_what_it_missed(behind_any, opened, session):
    site, to = behind_any, {"to": {"channels": [session]}}
    site.publish("price", key="BTC", data=1, **to)
    reader = wait_live(opened())
    reader.close()
    site.publish("price", key="BTC", data=2, **to)
    site.publish("plain", data="always", **to)
    third = site.publish("price", key="BTC", data=3, **to)["seq"]
    site.settle()
    back = opened(last_event_id=reader.last_event_id)
    back.wait(lambda: blocks(back) and blocks(back)[-1][2] == str(third), "the newest event")
    assert [b[1] for b in blocks(back)[1:]] == [
        '"always"', "3"
    ], "what was superseded is left out, and nothing else"


def test_a_removed_key_is_no_longer_sent(behind_any, opened, session):
    site, to = behind_any, {"to": {"channels": [session]}}
    site.publish("job", key="a", data=1, **to)
    site.publish("job", key="b", data=2, **to)
    site.settle()
    reader = wait_live(opened())
    site.publish("job", key="a", data="gone", remove=True, **to)
    reader.wait(lambda: blocks(reader)[-1][1] == '"gone"', "the removal is delivered")
    assert [b[1] for b in blocks(wait_live(opened()))] == ["2", ""]
    keys = site.commands.demand({"op": "state", "channel": session})
    assert [k["key"] for k in keys["keys"]] == ["b"] and keys["more"] is False


def test_an_event_lives_for_its_ttl(behind_any, opened, session):
    site, to = behind_any, {"to": {"channels": [session]}}
    cursor = str(site.commands.ping()["head"])
    reader = wait_live(opened())
    site.publish("soon", data="over", ttl=1, **to)
    site.publish("soon", key="k", data="over too", ttl=1, **to)
    site.publish("late", key="l", data="stays", ttl=600, **to)
    reader.wait(lambda: [b[1] for b in blocks(reader)[-3:]] == ['"over"', '"over too"', '"stays"'],
                "all three")
    wait_until(
        lambda: site.commands.demand({"op": "state", "channel": session})["keys"][0]["key"] == "l",
        what="the key is forgotten"
    )
    assert [b[1] for b in blocks(wait_live(opened()))] == ['"stays"', ""]
    back = opened(last_event_id=cursor)
    back.wait(lambda: blocks(back) and blocks(back)[-1][1] == '"stays"', "the replay")
    assert [b[1] for b in blocks(back)] == ["", '"stays"']


def test_a_worker_that_starts_has_the_state(bench):
    site = Site(bench)
    for n in range(300):
        site.publish("m", key=f"k{n}", text=BIG)
    site.worker.restart()
    wait_until(lambda: site.commands.workers() and site.stat("workers") == 1,
               what="the worker is back")
    reader = wait_live(
        site.start_open("a", keep_blocks=True, stubborn=True, reconnect=True, retry=0.1)
    )
    assert len(blocks(reader)) == 301


# Slow readers

def flood(site, channel, count, keys=20):
    """Publish numbers under keys in turn, with one event without a key after each hundred."""
    for at in range(0, count, 100):
        batch = [{"event": "k", "key": f"k{n % keys}", "text": f"{n} {BIG}",
                  "to": {"channels": [channel]}} for n in range(at, at + 100)]
        batch.append({"event": "plain", "text": str(at), "to": {"channels": [channel]}})
        site.commands.publish_batch(batch)


def assert_newest(reader, count, keys=20):
    """It ends with the newest event of each key, no older one after a newer one, and has all events
    without a key."""
    numbers = collections.defaultdict(list)
    for b in reader.decoder.blocks:
        if b.type == "k":
            n = int(b.data.split()[0])
            numbers[n % keys].append(n)
    for key, seen in numbers.items():
        assert (seen == sorted(set(seen))
                and seen[-1] == max(n for n in range(count) if n % keys == key)), (key, seen)
    assert len(numbers) == keys
    assert [b.data for b in reader.decoder.blocks if b.type == "plain"] == [
        str(at) for at in range(0, count, 100)
    ]


def test_a_slow_reader_of_keys_is_not_cut_and_ends_with_the_newest(behind_any, session):
    """One of each kind at once: most of the time they wait."""
    site, count = behind_any, 4000
    slow_ends, conflated = site.stat("ends_slow"), site.stat("conflated")
    opens = [opening(kind, site, f"{session}-{kind}", session) for kind in KINDS]
    both_slow = [opened(receive_buffer=4096).wait_head() for opened in opens]
    both_quick = [wait_live(opened()) for opened in opens]
    for slow in both_slow:
        wait_live(slow).pause()
    started = time.monotonic()
    flood(site, session, count)
    for quick in both_quick:
        quick.wait(lambda q=quick: blocks(q)[-1][1] == str(count - 100), "everything")
    # longer than a reader that is behind may take nothing
    time.sleep(max(0, started + 5 - time.monotonic()))
    for slow in both_slow:
        slow.resume()
    for reader in (*both_slow, *both_quick):
        reader.wait(lambda r=reader: blocks(r)[-1][1] == str(count - 100), "the newest")
        assert_newest(reader, count)
    for slow in both_slow:
        assert slow.opens == 1 and len(slow.decoder.blocks) < count / 2
    # the bound is half of each reader's events
    wait_until(lambda: site.stat("conflated") > conflated + count,
               what="the worker has reported it")
    assert site.stat("ends_slow") == slow_ends


# Refusals

def test_a_key_beyond_the_limits_is_refused_and_the_others_go_on(bench):
    site = Site(bench, broker={"state_events": 3})
    for n in range(3):
        site.publish("m", key=f"k{n}", data=n)
    with pytest.raises(Refused) as refused:
        site.publish("m", key="one too many", data=0)
    assert refused.value.error == "state_full" and "--state-events" in str(refused.value)
    site.publish("m", key="k0", data="new")
    assert site.stat("state_events") == 3 and site.stat("errors_state_full") == 1
    site.settle()
    assert [b[1] for b in blocks(wait_live(site.start_open("a", keep_blocks=True)))] == [
        "1", "2", '"new"', ""
    ]


def test_a_large_state_reaches_a_reader_that_takes_its_time(bench):
    site = Site(bench, worker={"queue_bytes": "64K", "window_bytes": "1M"})
    for n in range(800):
        site.publish("m", key=f"k{n}", text=BIG)
    slow = site.start_open("a", keep_blocks=True, receive_buffer=4096)
    slow.wait(lambda: len(blocks(slow)) > 10, "it has begun")
    slow.pause()
    last = [site.publish("m", key=f"k{n}", text="new")["seq"] for n in range(400)][-1]
    slow.resume()
    slow.wait(lambda: blocks(slow)[-1][2] == str(last), "the last event")
    assert len({b.id for b in slow.decoder.blocks}) - 1 == len(
        [b for b in slow.decoder.blocks if b.id]
    ), "no id twice"
    newest = [b.data for b in slow.decoder.blocks if b.type == "m"]
    assert newest.count("new") == 400 and len(newest) >= 800


# Lost events

def test_the_state_follows_a_gap(bench):
    site = Site(bench, broker={"history_events": 5})
    old = str(site.publish("m", data="forgotten")["seq"])
    for n in range(20):
        site.publish("m", key=f"k{n}", data=n)
    site.worker.restart()  # its window is empty: the broker is asked
    wait_until(lambda: site.stat("workers") == 1, what="the worker is back")
    reader = site.start_open("a", keep_blocks=True, last_event_id=old, stubborn=True,
                             reconnect=True, retry=0.1)
    reader.wait(lambda: blocks(reader) and blocks(reader)[-1][1] == "19", "the newest event")
    seen = blocks(reader)
    gap = next(i for i, b in enumerate(seen) if b[0] == "ssecast.gap")
    assert [b[1] for b in seen[gap + 1:]] == [*map(str, range(15)), "", *map(str, range(15, 20))]
    assert (
        [bool(int(b[2]) > int(old)) for b in seen[gap + 1:]] == [False] * 15 + [True] * 6
    ), "state events leave the cursor where it is"


def test_the_state_follows_the_loss_of_the_broker_s_memory(bench):
    site = Site(bench)
    site.publish("m", key="k", data="before")
    reader = wait_live(site.start_open("a", keep_blocks=True))
    site.broker.restart()
    reader.wait(lambda: any(b[0] == "ssecast.gap" for b in blocks(reader)), "the gap")
    with site.broker.commands() as commands:
        commands.publish("m", key="k", data="after")
        reader.wait(lambda: blocks(reader)[-1][1] == '"after"', "the event")
        fresh = wait_live(site.start_open("b", keep_blocks=True))
        assert [b[1] for b in blocks(fresh)] == ['"after"', ""]
