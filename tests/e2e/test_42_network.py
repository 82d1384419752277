"""The network between broker and worker breaks: streams stay open, and nothing is lost, doubled or
out of order."""

import random
import time

import pytest
from support.broker import Broker
from support.network import Network
from support.reader import wait_all
from support.relay import Relay
from support.site import Site
from support.waiting import wait_until
from support.worker import Worker


@pytest.fixture
def relayed(bench):
    """A site whose worker reaches the broker through two relays: site.feed and site.sync."""
    return RelayedSite(bench)


class RelayedSite(Site):
    def __init__(self, bench, broker=None, **worker):
        self.relays = {}
        super().__init__(bench, broker=broker, worker={"heartbeat": "500ms", **worker})

    def endpoints(self):
        for name in ("feed", "sync"):
            port = int(self.broker.endpoint(name).rpartition(":")[2])
            self.relays[name] = self.bench.closing(Relay(port))
        return {name: f"tcp://127.0.0.1:{relay.port}" for name, relay in self.relays.items()}


def publish(site, first, count, sessions=("anna", "bert")):
    site.commands.publish_many([
        {"event": "m", "data": first + n, "to": {"sessions": list(sessions)}} for n in range(count)
    ])


def whole(readers, count):
    wait_all(readers, lambda r: len(r.events) >= count, f"{count} events", timeout=40)
    for reader in readers:
        assert reader.data() == [str(n) for n in range(count)], reader
        assert reader.opens == 1


@pytest.mark.parametrize("broken", [["feed"], ["sync"], ["feed", "sync"]], ids="+".join)
def test_a_cut_costs_nothing(relayed, broken):
    readers = [relayed.open("anna"), relayed.open("bert")]
    publish(relayed, 0, 100)
    for name in broken:
        relayed.relays[name].cut()
    publish(relayed, 100, 100)
    whole(readers, 200)


def test_the_last_event_before_silence_is_repaired_too(relayed):
    reader = relayed.open("anna")
    relayed.relays["feed"].cut()
    publish(relayed, 0, 1)  # nothing follows that would show it missing
    whole([reader], 1)


def test_many_cuts_while_publishing_cost_nothing(relayed):
    chance = random.Random(42)
    readers = [relayed.open("anna"), relayed.open("bert")]
    for n in range(60):
        publish(relayed, n * 20, 20)
        if chance.random() < 0.3:
            relayed.relays[chance.choice(["feed", "sync"])].cut()
    whole(readers, 1200)


def test_a_worker_cut_off_while_more_is_published_than_its_queues_hold_catches_up(relayed):
    readers = [relayed.open("anna"), relayed.open("bert")]
    relayed.worker.freeze()
    for relay in relayed.relays.values():
        relay.cut()
    publish(relayed, 0, 20_000)
    relayed.worker.thaw()
    whole(readers, 20_000)


def test_a_resume_during_a_cut_is_answered_afterwards(relayed):
    first = relayed.publish("m", data="first", to={"sessions": ["anna"]})["seq"]
    publish(relayed, 0, 50)
    for relay in relayed.relays.values():
        relay.cut()
    back = relayed.start_open("anna", last_event_id=str(first))
    whole([back], 50)


def test_presence_survives_a_cut(relayed):
    kept = [relayed.open("anna") for _ in range(3)]
    left = relayed.open("anna")
    relayed.wait_connections("anna", 4)
    relayed.relays["sync"].cut()
    left.close()
    kept.append(relayed.open("bert"))
    relayed.wait_connections("anna", 3)
    relayed.wait_connections("bert", 1)


def test_presence_is_right_after_many_cuts(relayed):
    """Reports that are lost on the way are made up for."""
    chance = random.Random(6)
    readers = []
    for _ in range(30):
        relayed.relays["sync"].cut()
        readers += [relayed.start_open("anna") for _ in range(3)]
        chance.shuffle(readers)
        readers.pop().close()
    wait_all(readers, lambda r: r.starts, "open")
    relayed.wait_connections("anna", len(readers))
    for reader in readers[::2]:
        reader.close()
    relayed.wait_connections("anna", len(readers) - len(readers[::2]))


def test_repairs_are_counted(relayed):
    reader = relayed.open("anna")
    before = relayed.stat("repairs")
    relayed.relays["feed"].cut()
    publish(relayed, 0, 5)
    whole([reader], 5)
    wait_until(lambda: relayed.stat("repairs") > before, what="a repair is counted")


# Requests for what is missing

@pytest.fixture
def slow(bench):
    """A site whose worker reaches the broker through networks that can be stalled and slowed:
    site.relays."""
    return SlowSite(bench)


class SlowSite(RelayedSite):
    def endpoints(self):
        for name in ("feed", "sync"):
            self.relays[name] = self.bench.closing(
                Network(int(self.broker.endpoint(name).rpartition(":")[2]))
            )
        return {name: f"tcp://127.0.0.1:{relay.port}" for name, relay in self.relays.items()}


def test_a_request_for_what_is_missing_may_be_lost(slow):
    reader, sync = slow.open("anna"), slow.relays["sync"]
    publish(slow, 0, 1)
    whole([reader], 1)  # a stream opens before the feed is connected
    pages = slow.stat("pages")
    sync.stall()
    slow.relays["feed"].stall()
    publish(slow, 1, 9)
    slow.relays["feed"].cut()
    time.sleep(1.5)  # the head is announced once a second: by now the worker has asked
    sync.cut()
    publish(slow, 10, 1)
    whole([reader], 11)
    # the counter comes with a report
    wait_until(lambda: slow.stat("pages") > pages, what="a page was asked for")


def test_an_answer_may_be_later_than_the_next_question(slow):
    """5 seconds there and back; after 2 the worker asks again."""
    first = slow.publish("m", data="first", to={"sessions": ["anna"]})["seq"]
    reader = slow.open("bert")
    slow.relays["sync"].delay = 2.5
    slow.relays["feed"].cut()
    publish(slow, 0, 100)
    whole([reader], 100)
    slow.relays["sync"].delay = 0
    back = slow.open("anna", last_event_id=str(first))
    whole([back], 100)


def test_a_resume_whose_answer_is_late_gets_it(bench):
    slow = SlowSite(bench, window_bytes=0)
    first = slow.publish("m", data="first", to={"sessions": ["anna"]})["seq"]
    publish(slow, 0, 100)
    slow.settle()  # it is connected: that takes several round trips
    slow.relays["sync"].delay = 2.5
    back = slow.open("anna", last_event_id=str(first))
    whole([back], 100)


def test_the_feed_may_be_late(slow):
    readers = [slow.open("anna"), slow.open("bert")]
    slow.relays["feed"].delay = 0.7
    for n in range(10):
        publish(slow, n * 10, 10)
    slow.relays["feed"].stall()
    publish(slow, 100, 10)
    slow.relays["feed"].go_on()
    whole(readers, 110)


@pytest.mark.parametrize("durable", [True, False], ids=["durable", "in memory"])
def test_a_network_away_for_seconds_costs_nothing(bench, durable):
    """Longer than any time-out but the 15 s of silence; a minute of it was tried by hand."""
    site = SlowSite(bench, broker={"store": bench.folder / "history"} if durable else {})
    readers = [site.open("anna"), site.open("bert")]
    publish(site, 0, 10)
    for relay in site.relays.values():
        relay.stall()
    publish(site, 10, 1000)
    seen = readers[0].decoder.comments
    readers[0].wait(lambda: readers[0].decoder.comments > seen + 6, "3 seconds of heartbeats")
    for relay in site.relays.values():
        relay.cut()
    publish(site, 1010, 1)  # the last before silence
    whole(readers, 1011)


@pytest.mark.parametrize("brokers", [1, 2])
@pytest.mark.parametrize("rate, values", [(1_300_000, 60), (250_000, 12)],
                         ids=["10 Mbit/s", "2 Mbit/s"])
def test_a_large_state_over_a_slow_line_is_sent_once(bench, brokers, rate, values):
    """It takes longer than the worker waits before it says HELLO again, and turns to the next
    broker."""
    passed = []

    def slowly(_, data):
        passed.append(len(data))
        time.sleep(len(data) / rate)
        return data

    broker = Broker(bench).start()
    with broker.commands() as client:
        for n in range(values):
            client.publish("value", text="x" * 100_000, key=f"key-{n}")
    port = int(broker.endpoint("sync").rpartition(":")[2])
    lines = [bench.closing(Network(port, slowly)) for _ in range(brokers)]
    worker = Worker(bench, name="far", feed=[broker.endpoint("feed")] * brokers,
                    sync=[f"tcp://127.0.0.1:{line.port}" for line in lines]).start()
    wait_until(lambda: "broker connected" in worker.log(), timeout=20,
               what="the worker is connected")
    time.sleep(1)
    assert sum(passed) < 125_000 * values
