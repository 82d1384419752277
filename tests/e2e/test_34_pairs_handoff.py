"""Apache's hand-off, where the worker writes to the browser's own socket, with what ends streams and with slow readers."""

import json
import time

import pytest
from support.apache import ApacheHandoff
from support.site import Site
from support.tokens import Issuer
from support.waiting import PATIENCE, patient, wait_until

FILL = "x" * 10_000
HALL = {"presence_channels": "hall", "presence_grace": "1s", "worker_lease": "3s"}


@pytest.fixture
def site(bench):
    issuer = Issuer(bench.folder / "jwt.key")
    site = Site(bench, web=ApacheHandoff, broker={"store": bench.folder / "store", **HALL},
                worker={"heartbeat": "300ms", "queue_bytes": "128K", "write_timeout": "60s", "session_from": ["query:session", "jwt"],
                        "jwt_secret_file": issuer.secret_file})
    site.issuer = issuer
    return site


def newest(reader):
    """The newest number of each key; it only goes up."""
    values = {}
    for e in list(reader.events):
        if e.type == "m":
            key, n = json.loads(e.data)[:2]
            assert n > values.get(key, -1)
            values[key] = n
    return values


def test_slow_readers_of_a_flood_of_values_show_the_newest(site):
    slow = [site.start_open(f"s{n}", ["room"], receive_buffer=4096, paused=True).wait_head() for n in range(5)]
    quick = site.open("quick", ["room"])
    for n in range(5):
        site.wait_connections(f"s{n}", 1)
    numbers = 0

    def behind():
        nonlocal numbers
        for _ in range(20):
            site.commands.publish_batch([{"event": "m", "key": f"k{k}", "data": [k, numbers, FILL], "to": {"channels": ["room"]}} for k in range(4)])
            numbers += 1
        return site.stat("streams_behind") >= 5

    wait_until(behind, what="all are behind")
    for reader in slow:
        reader.resume()
    for reader in [*slow, quick]:
        reader.wait(lambda r=reader: newest(r) == {k: numbers - 1 for k in range(4)}, "the newest values")
        assert reader.opens == 1 and "ssecast.gap" not in reader.types()
    assert site.stat("handoffs") == 6 and site.stat("ends_slow") == 0


def test_a_token_ends_a_quiet_stream_and_a_renewed_one_resumes(site):
    def open_with(seconds, **options):
        return site.open(None, headers={"Authorization": f"Bearer {site.issuer.token(seconds, sub='anna')}"}, **options)

    reader = open_with(3)
    reader.wait(lambda: reader.decoder.comments >= 3, "heartbeats")
    seq = site.publish("m", data=1, to={"sessions": ["anna"]})["seq"]
    reader.wait_end()
    assert reader.types() == ["m", "ssecast.expired"] and reader.complete and reader.last_event_id == str(seq)
    site.publish("m", data=2, to={"sessions": ["anna"]})
    back = open_with(600, last_event_id=reader.last_event_id)
    back.wait_for(1)
    assert back.data() == ["2"]
    back.wait(lambda: back.decoder.comments >= 1, "heartbeats go on")
    assert site.stat("ends_expired") == 1


def test_a_token_ends_a_stream_whose_browser_reads_nothing(site):
    reader = site.start_open(None, headers={"Authorization": f"Bearer {site.issuer.token(4, sub='anna')}"}, receive_buffer=4096, paused=True).wait_head()
    site.wait_connections("anna", 1)
    for n in range(400):
        site.commands.publish_batch([{"event": "m", "key": "k", "data": ["k", n, FILL], "to": {"sessions": ["anna"]}}])
    site.wait_connections("anna", 0)
    reader.resume()
    reader.wait_end()
    assert reader.types()[-1] == "ssecast.expired" and newest(reader)


def test_a_killed_worker_s_streams_resume_exactly(site):
    readers = [site.open(f"s{n}", ["room"], stubborn=True, retry=0.1) for n in range(5)]
    for n in range(30):
        if n % 10 == 5:
            site.worker.kill()
        site.publish("m", data=n, to={"channels": ["room"]})
        if n % 10 == 7:
            site.worker.start()
    for reader in readers:
        reader.wait_for(30)
        assert reader.data() == [str(n) for n in range(30)]


def changes(reader):
    return [(e.type, json.loads(e.data)["session"]) for e in reader.decoder.blocks if e.type in ("ssecast.join", "ssecast.leave")]


def test_a_browser_that_closes_leaves_its_channel_and_one_that_reloads_does_not(site):
    watch = site.open("watch", ["hall"], keep_blocks=True)
    readers = {s: site.open(s, ["hall"]) for s in ("anna", "bert")}
    joined = [("ssecast.join", s) for s in ("watch", "anna", "bert")]
    watch.wait(lambda: sorted(changes(watch)) == sorted(joined), "all joined")
    readers["bert"].close()
    again = site.open("bert", ["hall"])
    readers["anna"].close()
    watch.wait(lambda: ("ssecast.leave", "anna") in changes(watch), "anna left")
    assert changes(watch)[3:] == [("ssecast.leave", "anna")]
    again.close()
    watch.wait(lambda: changes(watch)[3:] == [("ssecast.leave", "anna"), ("ssecast.leave", "bert")], "bert left")


# A queue that was emptied

def test_a_stream_that_was_idle_for_longer_than_the_write_timeout_is_not_cut_for_it(bench):
    """What waits for a browser is empty for long, and fills at once when the browser pauses. (After twice the write timeout without
    progress the kernel ends the connection, so the pauses are short.)"""
    site = Site(bench, web=ApacheHandoff, worker={"heartbeat": "60s", "queue_bytes": "64M", "write_timeout": patient(2)})
    reader = site.start_open("anna", receive_buffer=65536).wait_open()
    site.wait_connections("anna", 1)
    sent = 0

    def publish_until_it_waits():
        nonlocal sent
        while site.stat("queued_bytes") == 0:
            site.commands.publish_batch([{"event": "m", "data": [n, 10 * FILL], "to": {"sessions": ["anna"]}} for n in range(sent, sent + 20)])
            sent += 20
            site.settle()
            site.wait_reported()

    for idle in (0, 2.2):
        time.sleep(idle * PATIENCE)         # its queue has no memory any more
        reader.pause()
        publish_until_it_waits()
        time.sleep(0.3 * PATIENCE)          # the time counts from when it filled
        assert site.commands.connections_of("anna") == 1
        reader.resume()
        reader.wait_for(sent)
        wait_until(lambda: site.stat("queued_bytes") == 0, what="nothing waits")
    assert [json.loads(d)[0] for d in reader.data()] == list(range(sent)) and reader.opens == 1 and site.stat("ends_slow") == 0
    reader.pause()
    publish_until_it_waits()
    site.wait_connections("anna", 0)
    assert site.stat("ends_slow") == 1
    back = site.open("anna", last_event_id=reader.last_event_id)
    seen = len(reader.events)
    reader.close()
    back.wait(lambda: back.events and json.loads(back.data()[-1])[0] == sent - 1, "what it missed")
    assert [json.loads(d)[0] for d in [*reader.data()[:seen], *back.data()]] == list(range(sent)) and "ssecast.gap" not in back.types()
