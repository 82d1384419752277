"""Apache's hand-off, where the worker writes to the browser's own socket, with what ends streams
and with slow readers."""

import json
import os
import signal
import time

import pytest
from support import scgi
from support.apache import ApacheHandoff
from support.site import Site
from support.tokens import Issuer
from support.waiting import PATIENCE, patient, wait_until
from support.worker import PassedWorker

FILL = "x" * 10_000
HALL = {"presence_channels": "hall", "presence_grace": "1s", "worker_lease": "3s"}


@pytest.fixture
def site(bench):
    issuer = Issuer(bench.folder / "jwt.key")
    site = Site(bench, web=ApacheHandoff, broker={"store": bench.folder / "store", **HALL},
                worker={"heartbeat": "300ms", "queue_bytes": "128K", "write_timeout": "60s",
                        "session_from": ["query:session", "jwt"],
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
    slow = [site.start_open(f"s{n}", ["room"], receive_buffer=4096, paused=True).wait_head()
            for n in range(5)]
    quick = site.open("quick", ["room"])
    for n in range(5):
        site.wait_connections(f"s{n}", 1)
    numbers = 0

    def behind():
        nonlocal numbers
        for _ in range(20):
            site.commands.publish_batch([{"event": "m", "key": f"k{k}", "data": [k, numbers, FILL],
                                          "to": {"channels": ["room"]}} for k in range(4)])
            numbers += 1
        return site.stat("streams_behind") >= 5

    wait_until(behind, what="all are behind")
    for reader in slow:
        reader.resume()
    for reader in [*slow, quick]:
        reader.wait(lambda r=reader: newest(r) == {k: numbers - 1 for k in range(4)},
                    "the newest values")
        assert reader.opens == 1 and "ssecast.gap" not in reader.types()
    assert site.stat("handoffs") == 6 and site.stat("ends_slow") == 0


def test_a_token_ends_a_quiet_stream_and_a_renewed_one_resumes(site):
    def open_with(seconds, **options):
        return site.open(
            None, headers={"Authorization": f"Bearer {site.issuer.token(seconds, sub='anna')}"},
            **options
        )

    reader = open_with(3)
    reader.wait(lambda: reader.decoder.comments >= 3, "heartbeats")
    seq = site.publish("m", data=1, to={"sessions": ["anna"]})["seq"]
    reader.wait_end()
    assert (reader.types() == ["m", "ssecast.expired"] and reader.complete
            and reader.last_event_id == str(seq))
    site.publish("m", data=2, to={"sessions": ["anna"]})
    back = open_with(600, last_event_id=reader.last_event_id)
    back.wait_for(1)
    assert back.data() == ["2"]
    back.wait(lambda: back.decoder.comments >= 1, "heartbeats go on")
    assert site.stat("ends_expired") == 1


def test_a_token_ends_a_stream_whose_browser_reads_nothing(site):
    reader = site.start_open(
        None, headers={"Authorization": f"Bearer {site.issuer.token(4, sub='anna')}"},
        receive_buffer=4096, paused=True
    ).wait_head()
    site.wait_connections("anna", 1)
    for n in range(400):
        site.commands.publish_batch(
            [{"event": "m", "key": "k", "data": ["k", n, FILL], "to": {"sessions": ["anna"]}}]
        )
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
    return [(e.type, json.loads(e.data)["session"]) for e in reader.decoder.blocks
            if e.type in ("ssecast.join", "ssecast.leave")]


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
    watch.wait(lambda: changes(watch)[3:] == [("ssecast.leave", "anna"), ("ssecast.leave", "bert")],
               "bert left")


# Sockets that were used for several offers, and the end of their worker

def offers(site):
    """The sockets of offers, those that wait to be used again included."""
    return os.listdir(site.worker.options["handoff"])


def open_one_after_the_other(site, count, name="s"):
    """Each but the first gets a socket that was used before."""
    readers = []
    for n in range(count):
        # the worker writes when the socket has come
        readers.append(site.open(f"{name}{n}", ["room"], stubborn=True, retry=0.1))
    return readers


def numbers(reader):
    return [int(n) for n in reader.data()]


def test_a_rolling_restart_on_reused_sockets_loses_nothing(bench, monkeypatch):
    """The next worker uses the directory, and the listening sockets, while the one before it
    drains."""
    monkeypatch.setattr("support.site.Worker", PassedWorker)
    site = Site(bench, web=ApacheHandoff, worker={"heartbeat": "300ms", "drain": patient(1)})
    readers, count = open_one_after_the_other(site, 15), 0
    assert 1 <= len(offers(site)) <= 2

    def publish(times):
        nonlocal count
        for _ in range(times):
            site.publish("m", data=count, to={"channels": ["room"]})
            count += 1
            time.sleep(0.01)

    workers = [site.worker]
    for turn in range(2):
        publish(10)
        following = PassedWorker(bench, site.broker, f"next{turn}", **{
            k: v for k, v in workers[-1].options.items() if k not in ("feed", "sync")
        })
        following.sockets = workers[-1].sockets
        workers.append(following.start())
        workers[-2].expect_end()
        workers[-2].signal(signal.SIGTERM)
        late = [site.start_open(f"late{turn}-{n}", ["room"], stubborn=True, retry=0.1)
                for n in range(10)]
        while workers[-2].running():
            publish(5)
        assert workers[-2].wait() == 0
        publish(10)
        for reader in late:
            reader.wait_open()
        readers += late
    publish(10)
    for reader in readers:
        reader.wait_data(str(count - 1))
        assert (numbers(reader) == list(range(numbers(reader)[0], count))
                and "ssecast.gap" not in reader.types())
    assert all(numbers(r)[0] == 0 for r in readers[:15])
    for reader in readers:
        reader.close()
    workers[-1].stop()
    assert not offers(site)


def rest_of(browser):
    with browser:
        browser.settimeout(30)
        text = b""
        while piece := browser.recv(4096):
            text += piece
        return text


@pytest.mark.parametrize("drain", ["0s", patient(2)], ids=["at once", "slowly"])
def test_requests_in_flight_when_a_worker_stops_are_asked_to_come_back(bench, drain):
    """An offer on a socket that was used before, whose browser comes when the drain has begun; and
    a request that comes then."""
    site = Site(bench, web=ApacheHandoff, worker={"drain": drain})
    where, folder = site.worker.options["handoff_listen"], site.worker.options["handoff"]
    browsers = []
    for n in range(8):
        browsers.append(scgi.hand_over(folder, scgi.ask(where, f"session=s{n}").token))
        assert browsers[-1].recv(4096).startswith(b"retry: ")
    assert len(offers(site)) == 1
    token = scgi.ask(where, "session=waits").token
    site.worker.expect_end()
    site.worker.signal(signal.SIGTERM)
    wait_until(lambda: "worker stopping" in site.worker.log(), what="it stops")
    browsers.append(scgi.hand_over(folder, token))
    texts = [scgi.ask(where, "session=late").text] if drain != "0s" else []
    texts += [rest_of(browser) for browser in browsers]
    assert all(b"retry: " in text for text in texts), texts
    assert site.worker.wait() == 0 and not offers(site)


# A queue that was emptied

def test_a_stream_that_was_idle_for_longer_than_the_write_timeout_is_not_cut_for_it(bench):
    """What waits for a browser is empty for long, and fills at once when the browser pauses. (After
    twice the write timeout without progress the kernel ends the connection, so the pauses are
    short.)"""
    site = Site(bench, web=ApacheHandoff,
                worker={"heartbeat": "60s", "queue_bytes": "64M", "write_timeout": patient(1.5)})
    reader = site.start_open("anna", receive_buffer=65536).wait_open()
    site.wait_connections("anna", 1)
    sent = 0

    def publish_until_it_waits():
        nonlocal sent
        while site.stat("queued_bytes") == 0:
            site.commands.publish_batch([{
                "event": "m", "data": [n, 10 * FILL], "to": {"sessions": ["anna"]}
            } for n in range(sent, sent + 20)])
            sent += 20
            site.settle()
            site.wait_reported()

    for idle in (0, 1.7):
        time.sleep(idle * PATIENCE)         # its queue has no memory any more
        reader.pause()
        publish_until_it_waits()
        time.sleep(0.3 * PATIENCE)          # the time counts from when it filled
        assert site.commands.connections_of("anna") == 1
        reader.resume()
        reader.wait_for(sent)
        wait_until(lambda: site.stat("queued_bytes") == 0, what="nothing waits")
    assert ([json.loads(d)[0] for d in reader.data()] == list(range(sent)) and reader.opens == 1
            and site.stat("ends_slow") == 0)
    reader.pause()
    publish_until_it_waits()
    site.wait_connections("anna", 0)
    assert site.stat("ends_slow") == 1
    back = site.open("anna", last_event_id=reader.last_event_id)
    seen = len(reader.events)
    reader.close()
    back.wait(lambda: back.events and json.loads(back.data()[-1])[0] == sent - 1, "what it missed")
    assert ([json.loads(d)[0] for d in [*reader.data()[:seen], *back.data()]] == list(range(sent))
            and "ssecast.gap" not in back.types())
