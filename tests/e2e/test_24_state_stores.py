"""The state of keys is durable: it outlives the history, the broker, power and the log that several
brokers share."""

import concurrent.futures
import shutil
import struct

import pytest
import zmq
from support.broker import Broker
from support.clocks import set_clock
from support.disk import FileLimit
from support.keys import Keys
from support.commands import Commands
from support.nats import SERVER, NatsClient, NatsServer
from support.ports import free_port
from support.store import Dump
from support.waiting import wait_until

needs_nats = pytest.mark.skipif(not shutil.which(SERVER), reason="no nats-server")

KEYS = 200


def state(client):
    """(key, target) -> (seq, data) of all keys."""
    keys, page = [], {"more": True}
    while page["more"]:
        page = client.demand(
            {"op": "state", "limit": 1000, **({"after": page["next"]} if "next" in page else {})}
        )
        keys += page["keys"]
    return {(e["key"], str(e.get("to"))): (e["seq"], e["data"]) for e in keys}


def put(client, key, data, **more):
    return client.publish("m", text=str(data), key=key, **more)["seq"]


def flush(client, count=50):
    """Evict all that the history had."""
    for n in range(count):
        client.publish("other", data=n)


HELLO, WELCOME, STATE = 3, 4, 15


def told_to_workers(broker):
    """The seqs of the events that a new worker is sent before its welcome."""
    seqs = []
    with zmq.Context.instance().socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(broker.endpoint("sync"))
        socket.send(b"SSC\5" + struct.pack("<IQH3sHQ", HELLO, 0, 3, b"raw", 0, 0))
        while True:
            assert socket.poll(10_000)
            message = socket.recv()
            kind = message[4]
            if kind == WELCOME:
                return seqs
            assert kind == STATE, message[:8]
            at = 8 + 16
            while at < len(message):
                size, _, seq = struct.unpack_from("<IIQ", message, at)
                seqs.append(seq)
                at += size


@pytest.fixture
def broker(bench):
    return Broker(bench, store=bench.folder / "history", history_events=5).start()


# All stores

@pytest.fixture(params=["memory", "store", pytest.param("journal", marks=needs_nats)])
def any_store(request, bench):
    """The options of a broker for this store."""
    if request.param == "journal":
        return {"store": f"nats://{NatsServer(bench, 'nats').start().address}", "store_replicas": 1}
    return {"store": bench.folder / "history"} if request.param == "store" else {}


def test_a_publisher_with_limits_cannot_fill_the_state(bench, any_store):
    keys, tcp = Keys(bench.folder), f"tcp://127.0.0.1:{free_port()}"
    shop = keys.add("publisher", "shop", "channels=shop:*")
    broker = Broker(bench, commands=[f"ipc://{bench.folder}/commands", tcp], state_events=8,
                    **keys.broker_options(), **any_store)
    broker.start()
    to = {"channels": ["shop:1"]}
    with broker.commands() as others, Commands(tcp, shop) as limited:
        batch = limited.ask(
            {"op": "publish", "events": [{"data": n, "key": f"k{n}", "to": to} for n in range(7)]}
        )
        assert (batch["error"] == "state_full"
                and not state(others)), "of a batch all events are published, or none"
        for n in range(6):
            put(limited, f"k{n}", n, to=to)
        reply = limited.ask({"op": "publish", "data": 6, "key": "k6", "to": to})
        assert (reply["error"] == "state_full" and "6 keys" in reply["message"]
                and "with limits" in reply["message"])
        put(limited, "k0", "again", to=to)
        put(others, "a", 1)
        put(others, "b", 1)
        assert others.ask({"op": "publish", "data": 1, "key": "c"})["error"] == "state_full"
        put(limited, "k0", "", to=to, remove=True)
        assert limited.ask(
            {"op": "publish", "data": 6, "key": "k6", "to": to}
        )["error"] == "state_full"
        before = state(others)
        assert len(before) == 7
    broker.restart()
    with broker.commands() as others, Commands(tcp, shop) as limited:
        assert state(others) == (before if any_store else {})
        if any_store:
            assert limited.ask(
                {"op": "publish", "data": 6, "key": "k6", "to": to}
            )["error"] == "state_full"


# A store of one broker

def test_keys_outlive_a_tiny_history_and_kill_9(broker):
    with broker.commands() as client:
        for n in range(KEYS):
            put(client, f"k{n}", n, **({"to": {"channels": [f"c{n % 3}"]}} if n % 2 else {}))
        newest = {n: put(client, f"k{n}", -n) for n in range(0, KEYS, 2)}
        flush(client)
        before = state(client)
    assert len(before) == KEYS and all(before[(f"k{n}", "None")] == (seq, str(-n))
                                       for n, seq in newest.items())
    for _ in range(2):
        with broker.killed_and_started() as client:
            assert state(client) == before
            flush(client)
            assert told_to_workers(broker) == sorted(seq for seq, _ in before.values())


def test_a_key_that_was_removed_does_not_come_back(broker):
    with broker.commands() as client:
        for key in ("gone", "stays", "late"):
            put(client, key, 1)
        flush(client)
        put(client, "gone", 2, remove=True)
        flush(client)
        put(client, "late", 2, remove=True)
    with broker.killed_and_started() as client:
        assert {key for key, _ in state(client)} == {"stays"}
        flush(client)
    with broker.killed_and_started() as client:
        assert {key for key, _ in state(client)} == {"stays"}


def test_a_key_expires_while_no_broker_runs(broker):
    with broker.commands() as client:
        put(client, "short", 1, ttl=1800)
        put(client, "long", 1, ttl=7200)
        put(client, "ever", 1)
        flush(client)
    broker.kill()
    set_clock(broker, "+1h")
    broker.start()
    with broker.commands() as client:
        assert {key for key, _ in state(client)} == {"long", "ever"}
        wait_until(lambda: client.stats()["state_events"] == 2, what="the key is forgotten")
        flush(client)
    broker.kill()
    set_clock(broker, "+0")
    broker.start()
    with broker.commands() as client:
        wait_until(lambda: {key for key, _ in state(client)} == {"long", "ever"},
                   what="the store has forgotten it, too")


def test_when_the_disk_is_full_nothing_changes(bench):
    disk = FileLimit(bench.folder / "disk", grow=True)
    broker = Broker(bench, store=disk.folder / "history", history_events=5).start()
    with broker.commands() as client:
        for n in range(20):
            put(client, f"k{n}", n)
        flush(client)
        disk.fill(broker)
        acknowledged = 0
        for n in range(10_000):
            reply = client.ask(
                {"op": "publish", "event": "m", "data": "x" * 5000, "key": f"large{n}"}
            )
            if not reply["ok"]:
                break
            acknowledged += 1
        assert reply["error"] == "store_failed"
        before = state(client)
        assert len(before) == 20 + acknowledged
        assert client.ask(
            {"op": "publish", "event": "m", "data": "y" * 50000, "key": "k1"}
        )["error"] == "store_failed"
        assert client.ask(
            {"op": "publish", "events": [
                {"data": 1, "key": "k2", "remove": True}, {"data": "y" * 50000}]}
        )["error"] == "store_failed"
        assert state(client) == before
        disk.empty(broker)
        put(client, "k3", "after")
        after = state(client)
    with broker.killed_and_started() as client:
        assert state(client) == after and set(before) == set(after)


def test_the_age_of_the_history_does_not_concern_keys(bench):
    broker = Broker(bench, store=bench.folder / "history", history_age="1s").start()
    with broker.commands() as client:
        put(client, "a", 1)
        wait_until(lambda: not client.history()["events"], timeout=20,
                   what="the history has expired")
    with broker.killed_and_started() as client:
        assert {key for key, _ in state(client)} == {"a"}


def test_a_batch_without_room_for_all_keys_changes_nothing(bench):
    broker = Broker(bench, store=bench.folder / "history", state_events=3).start()
    with broker.commands() as client:
        put(client, "a", 1, id="own-1")
        before = state(client)
        reply = client.ask({"op": "publish", "events": [
            {"data": n, "key": f"k{n}", "id": f"own-k{n}"} for n in range(3)
        ]})
        assert reply["error"] == "state_full" and state(client) == before
        assert (client.publish("m", data=9, key="a", id="own-1")["duplicate"]
                and state(client) == before)
        assert client.publish("m", data=0, key="k0", id="own-k0").get("duplicate") is not True
        after = state(client)
    with broker.killed_and_started() as client:
        assert state(client) == after


def test_the_dump_of_a_store_shows_what_is_kept_for_a_key(broker):
    with broker.commands() as client:
        seq = put(client, "a", "value")
        flush(client)
    broker.stop()
    dump = Dump(broker.options["store"])
    assert (dump.status == 0
            and [(e["seq"], e["key"], e["data"]) for e in dump.kept] == [(seq, "a", "value")])
    assert dump.summary["kept"] == 1 and seq not in [e["seq"] for e in dump.events]


# Several brokers on one log

class Cluster:
    def __init__(self, bench, brokers=2, **options):
        self.bench, self.options = bench, {"store_replicas": 1, "store_timeout": "2s", **options}
        self.server = NatsServer(bench, "nats").start()
        self.brokers = [self.broker(n).start() for n in range(brokers)]
        self.clients = [b.commands() for b in self.brokers]

    def broker(self, n):
        return Broker(self.bench, f"broker{n}", store=f"nats://{self.server.address}",
                      **self.options)

    def restart(self, n):
        """It reads the log from its beginning."""
        self.clients[n].close()
        self.brokers[n].kill()
        self.brokers[n].start()
        self.clients[n] = self.brokers[n].commands()

    def agreed(self):
        """The state, which is the same at every broker."""
        wait_until(lambda: len({c.ping()["head"] for c in self.clients}) == 1,
                   what="the brokers stand at the same place")
        first, *others = [state(c) for c in self.clients]
        assert all(o == first for o in others)
        return first

    def first_message(self):
        with NatsClient(self.server.port) as admin:
            return admin.info()["state"]["first_seq"]


@pytest.fixture
def cluster(bench):
    made = []

    def make(**options):
        made.append(Cluster(bench, **options))
        return made[0]

    yield make
    for c in made:
        for client in c.clients:
            client.close()


@needs_nats
def test_what_one_broker_is_given_the_other_lists(cluster):
    c = cluster()
    for n in range(20):
        put(c.clients[n % 2], f"k{n % 5}", n)
    put(c.clients[0], "k4", 0, remove=True)
    keys = c.agreed()
    assert {key: data for (key, _), (_, data) in keys.items()} == {
        "k0": "15", "k1": "16", "k2": "17", "k3": "18"
    }
    for n in range(2):
        c.restart(n)
        assert c.agreed() == keys


@needs_nats
def test_keys_outlive_the_log(cluster):
    """The log is turned over several times; then a broker has only the log."""
    c = cluster(history_events=100)
    for n in range(KEYS):
        put(c.clients[n % 2], f"k{n}", n)
    put(c.clients[0], "gone", 1)
    put(c.clients[0], "gone", 1, remove=True)
    keys = c.agreed()
    assert len(keys) == KEYS
    first = c.first_message()
    for n in range(500):
        c.clients[n % 2].publish("other", data=n)
    assert c.first_message() > first + KEYS
    assert c.agreed() == keys
    for n in (0, 1, 0):
        c.restart(n)
        assert c.agreed() == keys


@needs_nats
def test_the_same_key_at_both_brokers_at_once(cluster):
    c = cluster(history_events=50)

    def work(n):
        return [put(c.clients[n], f"k{i % 3}", f"{n} {i}") for i in range(150)]

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        seqs = [seq for done in pool.map(work, range(2)) for seq in done]
    assert len(set(seqs)) == 300
    keys = c.agreed()
    assert len(keys) == 3 and max(seq for seq, _ in keys.values()) == max(seqs)
    c.restart(1)
    assert c.agreed() == keys


@needs_nats
def test_a_log_that_was_deleted_gets_the_keys_again(cluster):
    c = cluster()
    for n in range(10):
        put(c.clients[0], f"k{n}", n)
    keys = c.agreed()
    with NatsClient(c.server.port) as admin:
        admin.demand("STREAM.DELETE.ssecast")

    def stored():
        return c.clients[0].try_ask({"op": "publish", "data": 1}, 5)["ok"]

    wait_until(stored, timeout=40, what="the brokers go on")
    assert c.agreed() == keys
    for n in range(2):
        c.restart(n)
        assert c.agreed() == keys


@needs_nats
def test_expired_keys_are_no_difference_between_brokers(cluster):
    c = cluster(history_events=50)
    put(c.clients[0], "short", 1, ttl=1)
    put(c.clients[1], "long", 1, ttl=1000)
    wait_until(lambda: all([key for key, _ in state(client)] == ["long"] for client in c.clients),
               what="the key has expired")
    for n in range(200):
        c.clients[n % 2].publish("other", data=n)
    assert {key for key, _ in c.agreed()} == {"long"}
    c.restart(0)
    assert {key for key, _ in c.agreed()} == {"long"}


@needs_nats
def test_keys_take_a_share_of_the_log(cluster):
    c = cluster(history_bytes="1M", state_bytes="16M", brokers=1)
    replies = []
    while not replies or replies[-1]["ok"]:
        replies.append(
            c.clients[0].ask({"op": "publish", "data": "x" * 4000, "key": f"k{len(replies)}"})
        )
    assert replies[-1]["error"] == "state_full" and "--history-bytes" in replies[-1]["message"]
    assert 10 < len(replies) < 40
    put(c.clients[0], "k0", "small", remove=True)
    put(c.clients[0], "k1", "small")
