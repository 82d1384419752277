"""The broker goes away and returns: streams stay open, and what could be lost is said."""

import signal
import statistics
import time

import pytest
import zmq
from support.broker import Broker
from support.fcgi import FastCgi
from support.site import Site
from support.waiting import wait_until
from support.worker import Worker


@pytest.fixture
def site(bench):
    return Site(bench, worker={"heartbeat": "500ms"})


def publish_again(site, *data, session="anna"):
    """Publish through a client of its own: the broker was restarted."""
    with site.broker.commands() as client:
        return [client.publish("m", data=d, to={"sessions": [session]})["seq"] for d in data]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_streams_stay_open_and_get_a_gap(site, end):
    reader = site.open("anna")
    [before] = publish_again(site, "before")
    getattr(site.broker, end)()
    site.broker.start()
    wait_until(lambda: reader.types()[-1] == "ssecast.gap", what="the gap")
    [after] = publish_again(site, "after")
    reader.wait_data('"after"')
    assert reader.types() == ["m", "ssecast.gap", "m"] and reader.opens == 1
    assert after > before


def test_ids_are_never_used_twice(site):
    seqs = []
    for _ in range(4):
        seqs += publish_again(site, *range(100))
        site.broker.restart()
    assert seqs == sorted(set(seqs))


def test_a_stream_opens_while_the_broker_is_away_and_catches_up(site):
    site.broker.stop()
    reader = site.start_open("anna").wait_head()
    assert reader.status == 200
    site.broker.start()
    reader.wait_open()
    publish_again(site, "here")
    assert reader.wait_data('"here"').types()[-1] == "m"


def test_a_worker_says_why_it_cannot_use_an_ipc_endpoint(bench):
    missing = f"ipc://{bench.folder}/no/sync"
    broker = Broker(bench).start()
    worker = Worker(bench, broker, sync=missing).start()
    wait_until(lambda: f"no broker yet at {missing}: No such file or directory" in worker.log(),
               what="the log says why")


def test_a_worker_may_be_started_before_the_broker(bench):
    broker = Broker(bench)
    worker = Worker(bench, broker).start()
    with FastCgi(worker.socket) as web:
        assert web.get("session=anna").head["status"] == 200
        broker.start()
        web.wait_open()
        with broker.commands() as client:
            client.publish("m", data="hello", to={"sessions": ["anna"]})
        assert web.wait_events(1)[0].data == '"hello"'


def test_a_resume_while_the_broker_is_away_waits_for_it(site):
    publish_again(site, "one")
    reader = site.open("anna")
    reader.close()
    [second] = publish_again(site, "two")
    site.worker.stop()
    site.broker.freeze()
    site.worker.start()
    back = site.start_open("anna", last_event_id=reader.last_event_id, stubborn=True, retry=0.1)
    back.wait(lambda: back.status == 200, "an open stream")
    site.broker.thaw()
    [event] = back.wait_for(1)
    assert (event.data, event.id) == ('"two"', str(second))


def test_heartbeats_go_on_while_the_broker_is_away(site):
    reader = site.open("anna")
    site.broker.stop()
    seen = reader.decoder.comments
    reader.wait(lambda: reader.decoder.comments >= seen + 3, "3 heartbeats")
    assert reader.opens == 1
    site.broker.start()


def test_presence_is_whole_again_after_a_restart(site):
    readers = [site.open("anna") for _ in range(5)]
    site.broker.restart()
    with site.broker.commands() as client:
        wait_until(lambda: client.connections_of("anna") == 5, what="5 connections again")
    readers.pop().close()
    with site.broker.commands() as client:
        wait_until(lambda: client.connections_of("anna") == 4, what="4 connections")


def test_a_broker_that_was_frozen_goes_on_where_it_was(site):
    reader = site.open("anna")
    publish_again(site, 1)
    site.broker.freeze()
    ref = site.commands.send(
        {"op": "publish", "event": "m", "data": 2, "to": {"sessions": ["anna"]}}
    )
    reader.wait_data("1")
    site.broker.thaw()
    assert site.commands.receive()["ref"] == ref
    assert [e.data for e in reader.wait_for(2)] == ["1", "2"] and reader.types() == ["m", "m"]


def test_a_new_stream_after_a_restart_begins_at_the_new_run(site):
    old = site.open("anna")
    publish_again(site, 1)
    old.wait_for(1)
    old.close()
    site.broker.restart()
    [seq] = publish_again(site, 2)
    back = site.open("anna", last_event_id=old.last_event_id)
    back.wait_data("2")
    assert back.types()[0] == "ssecast.gap" and back.events[-1].id == str(seq)


# In the middle of publishing

def acknowledged(client, count):
    """The seqs of those publishes that were answered ok, in order; a broker that ends leaves the
    rest unanswered."""
    seqs = []
    for _ in range(count):
        reply = client.receive(0.5)
        if reply is None:
            break
        if reply["ok"]:
            seqs.append(str(reply["seq"]))
    return seqs


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_acknowledged_events_reach_the_streams_or_a_gap_is_sent(site, end):
    reader = site.open("anna")
    for n in range(3000):
        site.commands.send({"op": "publish", "event": "m", "data": n, "to": {"sessions": ["anna"]}})
    assert site.commands.receive()["ok"]
    site.broker.expect_end()
    site.broker.signal(end)
    first, seqs = reader.wait_for(1)[0].id, acknowledged(site.commands, 2999)
    site.broker.wait() if end == signal.SIGTERM else site.broker.kill()
    site.broker.start()
    reader.wait_type("ssecast.gap")
    seen = [e.id for e in reader.events[:reader.types().index("ssecast.gap")]]
    # nothing is missing in between
    assert seen[0] == first and seen == [str(int(first) + n) for n in range(len(seen))]
    if end == signal.SIGTERM:
        assert set(seqs) <= set(seen)


def test_a_stopping_broker_answers_or_refuses_what_it_received(site):
    refs = [site.commands.send(
        {"op": "publish", "event": "m", "data": n, "to": {"sessions": ["anna"]}}
    ) for n in range(2000)]
    site.broker.expect_end()
    site.broker.signal(signal.SIGTERM)
    replies = []
    while (reply := site.commands.receive(1)) is not None:
        replies.append(reply["ref"])
    assert site.broker.wait() == 0
    assert replies == refs[:len(replies)]  # each once, in order, none skipped


# With a store nobody notices

@pytest.fixture
def durable(bench):
    return Site(bench, workers=2, broker={"store": bench.folder / "history"},
                worker={"heartbeat": "500ms"})


class InFlight:
    """A publisher with many requests under way, each with its own id."""

    def __init__(self, site, count):
        self._site, self.count, self.seqs = site, count, {}
        self._client = site.broker.commands()
        for n in range(count):
            self._send(n)

    def _send(self, n):
        self._client.send({"op": "publish", "event": "m", "data": n, "to": {"sessions": ["anna"]},
                           "id": f"order-{n}", "ref": n})

    def take(self, timeout=None):
        """Take one reply. False when none comes."""
        reply = self._client.receive(timeout)
        if reply is None:
            return False
        assert reply["ok"], reply
        assert (
            self.seqs.setdefault(reply["ref"], reply["seq"]) == reply["seq"]
        ), f"{reply}: it had another seq before"
        return True

    def take_all(self):
        """Take what comes, then ask for everything again: each id still has one seq, and no more
        than that."""
        while self.take(0.3):
            pass
        for n in range(self.count):
            self._send(n)
        for _ in range(self.count):
            assert self.take(), f"{len(self.seqs)} of {self.count} have a seq"
        self._client.close()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_every_request_in_flight_is_answered_or_may_be_asked_again(durable, end):
    reader, numbers = durable.open("anna"), InFlight(durable, 20_000)
    for _ in range(500):
        numbers.take()
    getattr(durable.broker, end)()
    durable.broker.start()
    numbers.take_all()
    reader.wait_for(numbers.count, timeout=60)
    by_seq = sorted(numbers.seqs, key=numbers.seqs.get)
    assert len(set(numbers.seqs.values())) == numbers.count
    assert reader.data() == [str(n) for n in by_seq] and set(reader.types()) == {"m"}
    assert [e.id for e in reader.events] == [f"order-{n}" for n in by_seq] and reader.opens == 1


def test_a_broker_that_stops_answers_what_it_had_received(durable):
    """What came in before the signal: nothing of it is left without an answer."""
    with durable.broker.commands() as client:
        client.ping()
        refs = {client.send({"op": "publish", "event": "m", "data": n}) for n in range(2000)}
        first = client.receive()
        durable.broker.freeze()
        time.sleep(0.3)  # the requests are in its sockets by now
        durable.broker.signal(signal.SIGTERM)
        durable.broker.expect_end()
        durable.broker.thaw()
        replies = [first]
        while (reply := client.receive(1)) is not None and len(replies) < 2000:
            replies.append(reply)
        assert {r["ref"] for r in replies} == refs and all(r["ok"] for r in replies)
    assert durable.broker.wait() == 0
    durable.broker.start()
    with durable.broker.commands() as client:
        assert client.stats()["history_events"] == 2000


def test_broker_and_workers_all_restarted_one_after_the_other_lose_nothing(durable):
    reader, total = durable.open("anna", stubborn=True, retry=0.05), 0
    for program in (durable.broker, *durable.workers, durable.broker):
        publish_again(durable, *range(total, total + 50))
        program.restart()
        publish_again(durable, *range(total + 50, total + 100))
        total += 100
    reader.wait_for(total)
    assert reader.data() == [str(n) for n in range(total)] and set(reader.types()) == {"m"}


def test_how_long_a_broker_may_be_silent_can_be_set(bench):
    site = Site(bench, worker={"broker_timeout": "2s"})
    reader = site.open("anna")
    site.broker.freeze()
    wait_until(lambda: "broker silent for 2 s" in site.worker.log(), timeout=12,
               what="the broker counts as lost")
    site.broker.thaw()
    site.publish("m", data=0)
    reader.wait_for(1)
    assert reader.opens == 1 and set(reader.types()) == {"m"}


def test_a_broker_that_was_silent_for_long_is_found_again(bench):
    """Longer than the time after which workers take it for gone, and its own lease on them."""
    site = Site(bench, workers=2, broker={"store": bench.folder / "history", "worker_lease": "3s"},
                worker={"heartbeat": "500ms", "broker_timeout": "4s"})
    reader = site.open_counted("anna")
    publish_again(site, 0)
    site.broker.freeze()
    wait_until(lambda: all("broker silent" in w.log() for w in site.workers), 30, "taken for gone")
    site.broker.thaw()
    publish_again(site, 1, 2)
    reader.wait_for(3)
    assert reader.data() == ["0", "1", "2"] and reader.opens == 1 and set(reader.types()) == {"m"}
    with site.broker.commands() as client:
        wait_until(lambda: client.connections_of("anna") == 1, what="presence is whole again")


def test_who_connects_to_the_feed_receives_the_head(bench):
    """So a worker whose broker was restarted finds out. (HEAD also comes once a second: the next
    one would wait for a second.)"""
    broker, context, took = Broker(bench).start(), zmq.Context(), []
    for _ in range(5):
        with context.socket(zmq.SUB) as feed:
            feed.linger = 0
            feed.subscribe(b"SSC")
            began = time.monotonic()
            feed.connect(broker.endpoint("feed"))
            assert feed.poll(5000)
            assert feed.recv()[4] == 2  # HEAD
            took.append(time.monotonic() - began)
    context.term()
    assert statistics.median(took) < 0.5, took
