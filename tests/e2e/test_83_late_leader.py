"""The log's leader is behind or silent while publishers wait: no event that is not kept has a good
reply, and no publisher waits longer than store-timeout."""

import concurrent.futures
import re
import shutil
import struct
import threading
import time

import pytest
from support.broker import Broker
from support.fcgi import FastCgi
from support.nats import SERVER, NatsServer
from support.network import Network
from support.waiting import PATIENCE, wait_until
from support.worker import Worker

pytestmark = pytest.mark.skipif(not shutil.which(SERVER), reason="no nats-server")

LIMIT = 1.0     # store-timeout, seconds
OFFER = 0.5     # what a batch is given at least


class LateLeader:
    """tamper() is for Network: the next answers say that the stream is shorter than it is, as a
    leader's that was just elected. Or those of a server that is late, while there is no leader."""

    def __init__(self, leads):
        self.left, self.told, self.leads = 0, 0, leads

    def tamper(self, _, data):
        found = re.search(rb'"last_seq":(\d+)', data)
        if not found or not self.left:
            return data
        self.left -= 1
        self.told += 1
        number = b"1".rjust(len(found[1]))
        data = data[:found.start(1)] + number + data[found.end(1):]
        page = b'"total":0,"offset":0,"limit":0,'
        return data if self.leads else data.replace(page,
                                                    b'"cluster":{"name":"x"},'.ljust(len(page)))


class OtherCopy:
    """tamper() is for Network: at first the second batch is not the one that the stream has, as at
    a server that kept what its leader lost."""

    def __init__(self, times):
        self.left = times

    def tamper(self, _, data):
        at = -1
        while (at := data.find(b"SSCL\1", at + 1)) >= 0:
            if self.left and data[at + 40:at + 48] == struct.pack("<Q", 1):
                self.left -= 1
                data = data[:at + 8] + bytes([data[at + 8] ^ 1]) + data[at + 9:]
        return data


class Publishers:
    """Threads that publish one event after the other, at both brokers. replies: {text: (reply,
    seconds)}."""

    def __init__(self, brokers, each=3):
        self.replies, self._stop = {}, threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor()
        self._running = [self._pool.submit(self._run, b, f"{n}-{k}") for n, b in enumerate(brokers)
                         for k in range(each)]

    def _run(self, broker, name):
        with broker.commands() as client:
            for n in range(100_000):
                if self._stop.is_set():
                    return
                text, began = f"{name}-{n}", time.monotonic()
                reply = client.ask({"op": "publish", "event": "m", "text": text, "id": text},
                                   timeout=60)
                self.replies[text] = reply, time.monotonic() - began
                time.sleep(0.01)

    def stop(self):
        self._stop.set()
        for running in self._running:
            running.result()
        self._pool.shutdown()

    def count(self, what):
        return sum(bool(reply.get(what)) for reply, _ in list(self.replies.values()))


def kept(client):
    events, more = [], True
    while more:
        page = client.history(since=events[-1]["seq"] if events else 0, limit=1000)
        events, more = events + page["events"], page["more"]
    return {e["data"]: e["seq"] for e in events if e.get("event") == "m"}


@pytest.mark.parametrize(
    "lies, leads", [(3, True), (1_000_000, True), (1_000_000, False)],
    ids=["for a moment", "until the stream counts as lost", "without a leader"]
)
def test_a_leader_that_catches_up_costs_no_event_that_was_stored(bench, lies, leads):
    late, server = LateLeader(leads), NatsServer(bench, "nats").start()
    network = bench.closing(Network(server.port, late.tamper))
    options = {"store_replicas": 1, "store_timeout": f"{round(LIMIT * 1000)}ms"}
    brokers = [Broker(bench, "direct", store=f"nats://{server.address}", **options).start(),
               Broker(bench, "late", store=f"nats://127.0.0.1:{network.port}", **options).start()]
    stream = bench.closing(FastCgi(Worker(bench, brokers[1], heartbeat="300ms").start().socket))
    stream.get("session=anna").wait_open()

    publishers = Publishers(brokers)
    wait_until(lambda: publishers.count("ok") > 60, what="the stream has some length")
    late.left = lies
    network.cut()
    wait_until(lambda: late.told >= min(lies, 5), what="the leader was late")
    if lies > 3 and leads:
        wait_until(lambda: "lost its end" in brokers[1].log(), timeout=30,
                   what="the stream counts as lost")
    if not leads:
        wait_until(lambda: late.told >= 14, timeout=30, what="longer than a leader may be late")
        assert "cannot inspect the stream: it has no leader" in brokers[1].log()
        assert "lost its end" not in brokers[1].log()
    late.left = 0
    before = publishers.count("ok")
    with brokers[1].commands() as client:
        wait_until(lambda: client.ask({"op": "publish", "text": "x"}, timeout=60)["ok"], timeout=30,
                   what="it stores again")
    wait_until(lambda: publishers.count("ok") > before + 20, what="publishers go on")
    publishers.stop()

    clients = [bench.closing(b.commands()) for b in brokers]
    end = clients[0].publish("end", data=1)["seq"]
    wait_until(lambda: clients[1].ping()["head"] >= end, what="both have everything")
    events = kept(clients[0])
    assert kept(clients[1]) == events
    for text, (reply, seconds) in publishers.replies.items():
        assert seconds < LIMIT + OFFER + 2 * PATIENCE, (text, reply, seconds)
        if reply["ok"]:
            assert events[text] == reply["seq"]
        else:
            assert reply["error"] == "store_failed", reply
            assert reply.get("unknown") or text not in events, (text, reply)
    stream.wait(lambda: "end" in [e.type for e in stream.events()], "the end")
    seen = [(e.data, int(e.id) if e.id.isdigit() else e.id) for e in stream.events()
            if e.type == "m"]
    assert len({data for data, _ in seen}) == len(seen)
    told_gap = any(e.type == "ssecast.gap" for e in stream.events())
    assert leads or not told_gap
    if not told_gap:
        assert {data for data, _ in seen} == set(events)


@pytest.mark.parametrize("times", [1, 2, 1_000_000], ids=["once", "twice", "always"])
def test_a_broker_that_starts_reads_again_what_a_server_told_wrong(bench, times):
    server = NatsServer(bench, "nats").start()
    network = bench.closing(Network(server.port, OtherCopy(times).tamper))
    with Broker(bench, "first", store=f"nats://{server.address}",
                store_replicas=1).start().commands() as client:
        seqs = [client.publish("m", text=str(n))["seq"] for n in range(3)]
    broker = Broker(bench, store=f"nats://127.0.0.1:{network.port}", store_replicas=1).start()
    reader = bench.closing(
        FastCgi(Worker(bench, broker).start().socket)
    ).get(f"session=anna&lastEventId={seqs[0]}")
    reader.wait(lambda: len(reader.events()) >= (2 if times < 3 else 1), "what it resumes with")
    found = [e.type if e.type != "m" else e.data for e in reader.events()]
    assert found == ["1", "2"] if times < 3 else found[0] == "ssecast.gap"


def test_a_broker_that_is_always_overtaken_replies_in_time(bench):
    """The other one is nearer to the server and appends all the time, so this one's batches never
    follow the last message."""
    server = NatsServer(bench, "nats").start()
    network = bench.closing(Network(server.port))
    near = Broker(bench, "near", store=f"nats://{server.address}", store_replicas=1,
                  store_timeout="30s").start()
    far = Broker(bench, "far", store=f"nats://127.0.0.1:{network.port}", store_replicas=1,
                 store_timeout=f"{round(LIMIT * 1000)}ms").start()
    client = bench.closing(far.commands())
    client.publish("m", text="before")
    network.delay = 0.2
    publishers = Publishers([near], each=2)
    wait_until(lambda: publishers.count("ok") > 20, what="the other broker appends")
    replies = [client.ask({"op": "publish", "event": "m", "text": f"far-{n}", "id": f"far-{n}"},
                          timeout=30) for n in range(3)]
    assert client.stats()["batches_overtaken"] > 0
    network.delay = 0
    publishers.stop()
    assert all(reply["ok"] for reply, _ in publishers.replies.values())
    end = client.publish("end", data=1, timeout=60)["seq"]
    events = kept(client)
    for n, reply in enumerate(replies):
        assert reply["ok"] or reply["error"] == "store_failed", reply
        assert (f"far-{n}" in events) is reply["ok"] or reply.get("unknown")
    with near.commands() as other:
        wait_until(lambda: other.ping()["head"] >= end, what="both have everything")
        assert kept(other) == events


def test_large_requests_that_wait_keep_their_order_in_many_batches(bench):
    """More than 64 MiB, the most that the broker takes while the log decides nothing; the rest
    waits in the socket."""
    server = NatsServer(bench, "nats", extra="max_payload: 8M").start()
    broker = Broker(bench, store=f"nats://{server.address}", store_replicas=1, store_timeout="120s",
                    history_bytes="512M").start()
    client, other = bench.closing(broker.commands()), bench.closing(broker.commands())
    client.publish("m", text="before")
    large = "x" * 990_000
    server.freeze()
    refs = [client.send({"op": "publish", "event": "m", "text": f"{n} {large}", "id": f"own-{n}"})
            for n in range(40)]
    assert other.ping()["ok"], "a question passes them"
    refs += [client.send({"op": "publish", "event": "m", "text": f"{n} {large}", "id": f"own-{n}"})
             for n in range(40, 90)]
    server.thaw()
    replies = {}
    while len(replies) < len(refs):
        reply = client.receive(timeout=120)
        replies[reply["ref"]] = reply
    assert all(replies[ref]["ok"] for ref in refs)
    seqs = [replies[ref]["seq"] for ref in refs]
    assert seqs == sorted(set(seqs))
    events = kept(client)
    assert [data.split()[0] for data in sorted(events, key=events.get)] == [
        "before", *map(str, range(90))
    ]
    assert client.stats()["batches_stored"] > 30, "a batch takes about one of them"
