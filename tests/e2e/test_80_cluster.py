"""Several brokers on one NATS JetStream: one order, ids once, and what happens when the servers are
away or not what they were."""

import base64
import concurrent.futures
import json
import random
import re
import shutil
import threading
import time

import pytest
from support import processes
from support.asker import Asker
from support.broker import Broker
from support.clocks import Clock
from support.fcgi import FastCgi
from support.nats import SERVER, NatsClient, NatsCluster, NatsServer
from support.network import Network
from support.options import arguments
from support.waiting import wait_until
from support.worker import Worker

pytestmark = pytest.mark.skipif(not shutil.which(SERVER), reason="no nats-server")


class Cluster:
    """One server, this number of brokers, and a worker for each."""

    def __init__(self, bench, brokers=2, extra="", **options):
        self.bench, self.options = bench, {"store_replicas": 1, "store_timeout": "1s", **options}
        self.server = NatsServer(bench, "nats", extra=extra).start()
        self.brokers = [self.broker(n).start() for n in range(brokers)]
        self.workers = [Worker(bench, b, f"worker{n}", heartbeat="300ms").start()
                        for n, b in enumerate(self.brokers)]
        self.clients = [bench.closing(b.commands()) for b in self.brokers]

    def broker(self, n, **options):
        return Broker(self.bench, f"broker{n}",
                      **{"store": f"nats://{self.server.address}", **self.options, **options})

    def open(self, n, query="session=anna", **more):
        """A stream at the n-th worker."""
        stream = self.bench.closing(FastCgi(self.workers[n].socket))
        stream.get(query, **more).wait_open()
        return stream

    def admin(self):
        return NatsClient(self.server.port)


def texts(stream, name="m"):
    return [e.data for e in stream.events() if e.type == name]


def kept(client):
    """All that a broker retains: seq and data."""
    events, more = [], True
    while more:
        page = client.history(since=events[-1]["seq"] if events else 0, limit=1000)
        events, more = events + page["events"], page["more"]
    return [(e["seq"], e["data"]) for e in events]


def wait_same(clients):
    """Until all brokers retain the same. Returns it."""
    wait_until(lambda: len({c.ping()["head"] for c in clients}) == 1,
               what="the brokers stand at the same place")
    first, *others = [kept(c) for c in clients]
    assert all(o == first for o in others)
    return first


# One order

def test_what_one_broker_is_given_both_deliver_with_the_same_ids(bench):
    c = Cluster(bench)
    streams = [c.open(0), c.open(1)]
    seqs = [c.clients[n % 2].publish("m", text=f"e{n}")["seq"] for n in range(20)]
    assert seqs == sorted(set(seqs))
    for s in streams:
        s.wait_events(20)
        assert [(int(e.id), e.data) for e in s.events()] == [
            (q, f"e{n}") for n, q in enumerate(seqs)
        ]
    assert wait_same(c.clients) == [(q, f"e{n}") for n, q in enumerate(seqs)]


# many requests at once, on a busy machine: none is refused for want of time
PATIENT = {"store_timeout": "20s"}


def test_brokers_that_race_give_each_seq_and_each_own_id_once(bench):
    c = Cluster(bench, **PATIENT)

    def publish(n):
        with c.brokers[n].commands() as client:
            return client.publish_many([{
                "text": f"{n}-{i}", "id": f"both-{i}" if i % 5 == 0 else f"{n}-{i}"
            } for i in range(3000)], timeout=60)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        replies = list(pool.map(publish, range(2)))
    odd = [(n, i, r) for n, rs in enumerate(replies) for i, r in enumerate(rs) if not r["ok"]
           or (i % 5 and r.get("duplicate"))]
    assert not odd, odd[:10]
    shared = [(a, b) for i, (a, b) in enumerate(zip(*replies, strict=True)) if i % 5 == 0]
    assert all(a["seq"] == b["seq"] and a.get("duplicate", False) != b.get("duplicate", False)
               for a, b in shared)
    fresh = [r["seq"] for rs in replies for r in rs if not r.get("duplicate")]
    assert len(fresh) == len(set(fresh)) == 5400
    events = wait_same(c.clients)
    assert [seq for seq, _ in events] == sorted(fresh)
    totals = {"publishes": 6000, "duplicates": 600, "events": 5400, "events_adopted": 5400}
    for client in c.clients:    # each answers for both, once they have told each other
        wait_until(lambda client=client: totals.items() <= client.stats().items(),
                   what="the totals of both brokers")


def test_an_id_that_two_publishers_race_for_is_shown_by_the_first(bench):
    """Each event was encoded before its broker knew of the other one."""
    c = Cluster(bench, **PATIENT)
    streams = [c.open(0), c.open(1)]

    def publish(n, names):
        with Asker(c.brokers[n].endpoint("sync")) as worker:
            return worker.publish_many(
                f"token:{n}", [{"text": f"{n}-{name}", "id": f"both-{name}"} for name in names]
            )

    def race(names):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            replies = list(pool.map(publish, range(2), [names] * 2))
        assert all(r["ok"] and "duplicate" not in r for rs in replies for r in rs)
        return dict(zip(names, zip(*replies, strict=True), strict=True))

    pairs = {}
    # on a busy machine one may be done before the other begins
    while not sum(client.stats()["batches_overtaken"] for client in c.clients):
        assert len(pairs) < 10_000, "they never race"
        pairs |= race([f"{len(pairs) + i}" for i in range(500)])
    for stream in streams:
        stream.wait_events(2 * len(pairs))
        ids = {e.data: e.id for e in stream.events()}
        for name, pair in pairs.items():
            first = 0 if pair[0]["seq"] < pair[1]["seq"] else 1
            assert ids[f"{first}-{name}"] == f"both-{name}"
            assert ids[f"{1 - first}-{name}"] == str(pair[1 - first]["seq"])
    wait_same(c.clients)


def test_batches_of_racing_brokers_are_not_mixed(bench):
    c = Cluster(bench, **PATIENT)

    def publish(n):
        with c.brokers[n].commands() as client:
            return client.publish_many(
                [{"events": [{"text": f"{n}-{i}-{k}"} for k in range(7)]} for i in range(200)],
                timeout=60
            )

    with concurrent.futures.ThreadPoolExecutor() as pool:
        replies = [r for rs in pool.map(publish, range(2)) for r in rs]
    for r in replies:
        assert r["seqs"] == list(range(r["seqs"][0], r["seqs"][0] + 7))
    assert len(wait_same(c.clients)) == 2800


def test_what_does_not_fit_into_one_message_of_the_server_is_refused_and_the_rest_goes_on(bench):
    c = Cluster(bench, extra="max_payload: 64K", **PATIENT)
    client = c.clients[0]
    reply = client.ask({"op": "publish", "text": "x" * 70_000})
    assert reply["error"] == "too_large" and "max_payload" in reply["message"]
    assert client.ask(
        {"op": "publish", "events": [{"text": "x" * 1000}] * 100}
    )["error"] == "too_large"
    replies = client.publish_many([{"text": f"{n} " + "y" * 5000} for n in range(300)], timeout=30)
    assert [r["ok"] for r in replies] == [True] * 300
    assert [d.split()[0] for _, d in wait_same(c.clients)] == [str(n) for n in range(300)]
    assert client.stats()["publishes"] == 300


class Comings:
    """Sessions that enter a channel and leave it, so that there is an event about members in each
    batch."""

    def __init__(self, worker):
        self._worker, self._stop, self.count = worker, threading.Event(), 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            with FastCgi(self._worker.socket) as stream:
                stream.get(f"session=s{self.count}&channels=hall").wait_open()
                self.count += 1
                time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def test_a_request_that_fills_a_batch_does_not_wait_for_an_end_of_arrivals(bench):
    c = Cluster(bench, brokers=1, extra="max_payload: 64K",
                **{**PATIENT, "presence_channels": "hall", "presence_grace": "0s"})
    client = c.clients[0]
    too_large = client.ask({"op": "publish", "text": "x" * 70_000})
    has, room = (int(n) for n in re.findall(
        r"(\d+) bytes; the journal takes at most (\d+)", too_large["message"]
    )[0])
    fits = 70_000 - (has - room)
    network = bench.closing(Network(c.server.port))
    network.delay = 0.1
    c.brokers[0].stop()
    c.brokers[0] = c.broker(0, store=f"nats://127.0.0.1:{network.port}").start()
    client = bench.closing(c.brokers[0].commands())
    with Comings(Worker(bench, c.brokers[0], "delayed").start()) as comings:
        wait_until(lambda: client.stats()["member_leaves"] > 20, what="sessions come and go")
        for _ in range(5):
            before = comings.count
            client.send({"op": "publish", "text": "x" * fits})
            reply = client.receive(10)
            assert reply and reply["ok"], reply
        assert comings.count > before
        assert client.ask({"op": "publish", "text": "x" * (fits + 1)})["error"] == "too_large"
        joins = client.stats()["member_joins"]
        wait_until(lambda: client.stats()["member_joins"] > joins,
                   what="sessions are members again")


def test_a_shutdown_given_to_one_broker_ends_and_blocks_the_streams_of_both(bench):
    c = Cluster(bench)
    streams = [c.open(0), c.open(1)]
    c.clients[0].shutdown(sessions=["anna"], reason="logout", block=60)
    for n, s in enumerate(streams):
        s.wait_end()
        assert [e.type for e in s.events()] == ["ssecast.shutdown"]
        refused = bench.closing(FastCgi(c.workers[n].socket))
        refused.get("session=anna")
        refused.wait_end()
        assert refused.head["status"] == 204


# Starting and ending

def test_a_broker_that_starts_later_has_all_of_it_and_its_ids_go_on(bench):
    c = Cluster(bench, brokers=1)
    first = [c.clients[0].publish("m", text=f"{n}")["seq"] for n in range(50)]
    late = c.broker(1).start()
    with late.commands() as client:
        assert kept(client) == [(q, str(n)) for n, q in enumerate(first)]
        seq = client.publish("m", text="late")["seq"]
    assert seq > first[-1]
    after = c.clients[0].publish("m", text="after")["seq"]
    assert after == seq + 1


def test_a_client_resumes_exactly_at_another_broker_across_starts(bench):
    c = Cluster(bench)
    stream = c.open(0)
    c.clients[0].publish("m", text="seen")
    [seen] = stream.wait_events(1)
    stream.close()
    c.clients[0].publish("m", text="missed 1")
    c.brokers[0].restart()
    c.clients[0].publish("m", text="missed 2")
    c.brokers[1].kill()
    c.brokers[1].start()
    c.clients[0].publish("m", text="missed 3")
    again = c.open(1, HTTP_LAST_EVENT_ID=seen.id)
    again.wait_events(3)
    assert texts(again) == ["missed 1", "missed 2", "missed 3"]
    assert not texts(again, "ssecast.gap")


def test_open_streams_see_each_event_once_while_brokers_are_killed(bench):
    c = Cluster(bench)
    streams = [c.open(0), c.open(1)]
    for round_ in range(6):
        victim = round_ % 2
        for n in range(20):
            c.clients[1 - victim].publish("m", text=f"{round_}-{n}")
            if n == 10:
                c.brokers[victim].kill()
        c.brokers[victim].start()
    for s in streams:
        s.wait_events(120)
        assert texts(s) == [f"{r}-{n}" for r in range(6) for n in range(20)]


def test_a_server_that_comes_late_is_waited_for(bench):
    server = NatsServer(bench, "nats")
    broker = Broker(bench, store=f"nats://{server.address}", store_replicas=1)
    processes.Program.start(broker)
    wait_until(lambda: "servers unreachable" in broker.log(), what="it says that it waits")
    server.start()
    wait_until(broker._answers, what="the broker serves")


def test_a_broker_that_waits_for_its_server_can_be_ended(bench):
    server = NatsServer(bench, "nats")
    broker = Broker(bench, store=f"nats://{server.address}", store_replicas=1)
    broker.ok_statuses = (1,)
    processes.Program.start(broker)
    wait_until(lambda: "servers unreachable" in broker.log(), what="it says that it waits")
    broker.stop(timeout=5)


# What is refused at the start

def refused(bench, **options):
    """The last line of a broker that does not start."""
    broker = Broker(bench, "refused", **options)
    broker.ok_statuses = (1, 2)
    processes.Program.start(broker)
    broker.expect_end()
    assert broker.wait() in (1, 2)
    return broker.log().splitlines()[-1]


def test_more_replicas_than_servers_are_refused_with_a_clear_line(bench):
    server = NatsServer(bench, "nats").start()
    line = refused(bench, store=f"nats://{server.address}", store_replicas=3)
    assert "--store-replicas asks for more servers with JetStream than there are" in line


def test_a_server_without_jetstream_is_no_store(bench):
    server = NatsServer(bench, "nats")
    server.configure()
    server.conf.write_text("".join(line for line in server.conf.read_text().splitlines(True)
                                   if "jetstream" not in line))
    processes.Program.start(server)
    server.wait_ready(server._listens, "listens")
    broker = Broker(bench, store=f"nats://{server.address}", store_replicas=1)
    broker.ok_statuses = (0, 1)
    processes.Program.start(broker)
    wait_until(lambda: "no JetStream" in broker.log(), what="it says so")
    broker.stop()


@pytest.mark.parametrize("options, part", [
    ({"store": "nats://"}, "must be memory, the path of a directory"),
    ({"store": "http://127.0.0.1:1"}, "must be memory, the path"),
    ({"store": "nats://127.0.0.1:1,127.0.0.1:2"}, None),
    ({"store": "nats://a b"}, "must be memory"), ({"store": "nats://a,:4"}, "must be memory"),
    ({"store": "nats://127.0.0.1:1", "store_stream": "a.b"}, "letters, digits, - and _"),
    ({"store": "nats://127.0.0.1:1", "store_replicas": "0"}, "store-replicas"),
    ({"store_timeout": "1ms"}, "store-timeout")])
def test_an_invalid_place_is_refused(options, part):
    done = processes.run([processes.BROKER, *arguments(options), "--check-config"])
    assert (done.returncode, part in done.stderr) == (2, True) if part else done.returncode == 0


USERS = """authorization { users: [
  { user: admin, password: secret }
  { user: ssecast, password: secret, permissions {
%s
  } } ] }
"""


def permissions():
    """Those that docs/configure.md names."""
    text = (processes.ROOT / "docs/configure.md").read_text()
    return text[text.index("    permissions {\n") + len("    permissions {\n"):].partition(
        "\n    }\n"
    )[0]


def test_the_permissions_in_the_documentation_are_enough(bench):
    server = NatsServer(bench, "nats", extra=USERS % permissions()).start()
    store = f"nats://ssecast:secret@{server.address}"
    brokers = [Broker(bench, f"broker{n}", store=store, store_replicas=1).start() for n in range(2)]
    with brokers[0].commands() as a, brokers[1].commands() as b:
        a.publish_many([{"text": "x" * 2000} for _ in range(8000)], timeout=60)
        wait_same([a, b])
        # so much at once needs flow control
        late = Broker(bench, "late", store=store, store_replicas=1).start()
        with late.commands() as client:
            wait_same([a, client])
    assert "secret" not in "".join(b.log() for b in [*brokers, late])


def test_a_wrong_password_ends_the_start(bench):
    server = NatsServer(bench, "nats", extra=USERS % permissions()).start()
    line = refused(bench, store=f"nats://ssecast:wrong@{server.address}", store_replicas=1)
    assert "--store" in line and "uthori" in line and "wrong" not in line


def certificate(folder, name, ca=None):
    """A key and a certificate for 127.0.0.1, signed by ca, or its own authority."""
    key, cert, request = folder / f"{name}.key", folder / f"{name}.pem", folder / f"{name}.csr"
    run = processes.run
    if not ca:
        done = run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key,
                    "-out", cert, "-days", "2", "-subj", f"/CN={name}"])
        assert done.returncode == 0, done.stderr
        return key, cert
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for argv in (["req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj",
                  f"/CN={name}"],
                 ["x509", "-req", "-in", request, "-CA", ca[1], "-CAkey", ca[0], "-CAcreateserial",
                  "-days", "2", "-out", cert, "-extfile", folder / "san"]):
        done = run(["openssl", *argv])
        assert done.returncode == 0, done.stderr
    return key, cert


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
def test_tls_with_certificates_on_both_sides(bench):
    ca, stranger = certificate(bench.folder, "ca"), certificate(bench.folder, "stranger")
    key, cert = certificate(bench.folder, "server", ca)
    mine = certificate(bench.folder, "broker", ca)
    server = NatsServer(bench, "nats", extra=f'tls {{ cert_file: "{cert}", key_file: "{key}", '
                        f'ca_file: "{ca[1]}", verify: true }}').start()
    tls = {"store": f"nats://{server.address}", "store_replicas": 1, "store_tls_ca": ca[1],
           "store_tls_cert": mine[1], "store_tls_key": mine[0]}
    broker = Broker(bench, **tls).start()
    with broker.commands() as client:
        assert client.publish("m", text="hello")["seq"]
    assert "--store" in refused(bench, **{**tls, "store_tls_ca": stranger[1]})


# The server is away

def test_while_the_server_is_away_publishes_fail_in_time_and_then_work_again(bench):
    c = Cluster(bench)
    streams = [c.open(0), c.open(1)]
    c.clients[0].publish("m", text="before")
    c.server.kill()
    began = time.monotonic()
    reply = c.clients[0].ask({"op": "publish", "event": "m", "text": "lost", "id": "lost"})
    assert reply["error"] == "store_failed" and time.monotonic() - began < 3
    began = time.monotonic()
    c.clients[0].send({"op": "publish", "event": "m", "text": "also lost"})
    assert c.clients[0].ask({"op": "online", "session": "anna"})["online"]
    c.clients[1].ping()
    assert time.monotonic() - began < 1, "questions do not wait for the server"
    c.server.start()
    wait_until(lambda: c.clients[1].ask(
        {"op": "publish", "event": "m", "text": "after", "id": "after"}
    )["ok"], what="it can be published again")
    wait_until(
        lambda: c.clients[0].ask({"op": "publish", "event": "m", "text": "end", "id": "end"})["ok"],
        what="there as well"
    )
    for s in streams:
        s.wait(lambda s=s: "end" in texts(s), "the end")
        assert [t for t in texts(s) if t not in ("lost", "also lost")] == ["before", "after", "end"]
        assert not texts(s, "ssecast.gap")
    assert len({e[0] for e in wait_same(c.clients)}) >= 3


def test_a_publish_waits_for_a_server_that_is_back_in_time(bench):
    c = Cluster(bench, store_timeout="20s")
    c.server.kill()
    c.clients[0].send({"op": "publish", "event": "m", "text": "patient"})
    time.sleep(0.5)
    c.server.start()
    assert c.clients[0].receive()["ok"]
    assert [d for _, d in wait_same(c.clients)] == ["patient"]


def test_a_server_that_refuses_us_for_a_while_is_asked_again(bench):
    server = NatsServer(bench, "nats", extra=USERS % permissions()).start()
    broker = Broker(bench, store=f"nats://ssecast:secret@{server.address}", store_replicas=1,
                    store_timeout="1s").start()
    with broker.commands() as client:
        client.publish("m", text="before")
        server.stop()
        server.extra = (USERS % permissions()).replace("secret", "changed")
        server.start()
        wait_until(lambda: "uthori" in broker.log(), what="it says that it is refused")
        assert client.ask({"op": "publish", "text": "x"}, timeout=10)["error"] == "store_failed"
        server.stop()
        server.extra = USERS % permissions()
        server.start()
        wait_until(lambda: client.ask(
            {"op": "publish", "event": "m", "text": "after", "id": "after"}, timeout=10
        )["ok"], what="it can be published again")
        assert [d for _, d in kept(client) if d != "x"] == ["before", "after"]


def test_when_the_answer_is_lost_the_outcome_is_unknown_and_the_id_prevents_a_duplicate(bench):
    c = Cluster(bench)
    stream = c.open(1)
    c.clients[0].publish("m", text="before")
    c.server.freeze()
    reply = c.clients[0].ask({"op": "publish", "event": "m", "text": "once", "id": "once"})
    assert reply["error"] == "store_failed" and reply["unknown"] and "not known" in reply["message"]
    c.server.thaw()
    again = wait_until(lambda: (
        r := c.clients[0].ask({"op": "publish", "event": "m", "text": "once", "id": "once"})
    )["ok"] and r)
    c.clients[1].publish("m", text="after")
    stream.wait_events(3)
    assert texts(stream) == ["before", "once", "after"]
    assert (again["seq"], "once") in wait_same(c.clients)


def test_a_batch_that_is_stored_is_not_called_refused_when_it_is_sent_again(bench):
    """Its answer is lost, and the stream it is sent to again takes no message any more."""
    server = NatsServer(bench, "nats").start()
    lost = threading.Event()
    network = bench.closing(Network(server.port, lambda _, data: b"" if lost.is_set() else data))
    broker = Broker(bench, store=f"nats://127.0.0.1:{network.port}", store_replicas=1,
                    store_timeout="4s").start()
    client = bench.closing(broker.commands())
    client.publish("m", text="before")
    with server.client() as admin:
        before = admin.info()["state"]["last_seq"]
    lost.set()
    client.send({"op": "publish", "event": "m", "text": "once", "ref": "once"})
    with server.client() as admin:
        wait_until(lambda: admin.info()["state"]["last_seq"] > before, what="it is stored")
        admin.demand("STREAM.UPDATE.ssecast", {**admin.info()["config"], "sealed": True})
    lost.clear()
    network.cut()
    reply = client.receive(10)
    assert reply["ok"] or reply.get("unknown"), reply


# The stream is not what it was

def cursors_and_gaps(stream):
    return [e.type for e in stream.events()]


def test_a_stream_that_was_deleted_ends_in_a_gap_and_no_id_is_used_twice(bench):
    c = Cluster(bench)
    streams = [c.open(0), c.open(1)]
    before = [c.clients[0].publish("m", text=f"before {n}")["seq"] for n in range(5)]
    wait_same(c.clients)
    with c.admin() as admin:
        admin.demand("STREAM.DELETE.ssecast")
    after = wait_until(
        lambda: c.clients[1].ask({"op": "publish", "event": "m", "text": "after"}).get("seq"),
        what="published again"
    )
    assert after > max(before)
    for s in streams:
        s.wait(lambda s=s: "after" in texts(s), "what came after")
        assert cursors_and_gaps(s) == ["m"] * 5 + ["ssecast.gap", "m"]
    late = c.broker(2).start()
    with late.commands() as client:
        assert client.publish("m", text="late")["seq"] > after


def test_a_stream_that_was_emptied_when_all_was_read_costs_nothing(bench):
    c = Cluster(bench)
    streams = [c.open(0), c.open(1)]
    before = [c.clients[0].publish("m", text=f"before {n}")["seq"] for n in range(5)]
    wait_same(c.clients)
    with c.admin() as admin:
        admin.demand("STREAM.PURGE.ssecast")
    assert c.clients[1].publish("m", text="after")["seq"] > before[-1]
    for s in streams:
        s.wait_events(6)
        assert cursors_and_gaps(s) == ["m"] * 6


def test_a_broker_that_starts_on_an_emptied_stream_gives_no_id_twice_and_knows_no_cursor(bench):
    c = Cluster(bench, brokers=1)
    stream = c.open(0)
    before = [c.clients[0].publish("m", text=f"before {n}")["seq"] for n in range(5)]
    stream.wait_events(5)
    c.brokers[0].stop()
    with c.admin() as admin:
        admin.demand("STREAM.PURGE.ssecast")
    c.brokers[0].start()
    assert c.clients[0].publish("m", text="after")["seq"] > before[-1]
    stream.wait(lambda: "after" in texts(stream), "what came after")
    assert cursors_and_gaps(stream) == ["m"] * 5 + ["ssecast.gap", "m"]


@pytest.mark.parametrize("meanwhile", ["both brokers run on", "one broker restarts"])
def test_an_older_copy_of_the_stream_ends_in_a_gap_and_no_id_is_used_twice(bench, meanwhile):
    c = Cluster(bench)
    streams = [c.open(0), c.open(1)]
    seqs = [c.clients[0].publish("m", text=f"old {n}")["seq"] for n in range(5)]
    c.server.stop()
    shutil.copytree(c.server.data, bench.folder / "copy")
    c.server.start()
    seqs += [wait_until(lambda n=n: c.clients[0].ask(
        {"op": "publish", "event": "m", "text": f"new {n}", "id": f"new {n}"}
    ).get("seq")) for n in range(5)]
    for s in streams:
        s.wait_events(10)
    c.server.stop()
    shutil.rmtree(c.server.data)
    shutil.copytree(bench.folder / "copy", c.server.data)
    if meanwhile == "one broker restarts":
        c.brokers[1].kill()
    c.server.start()
    if meanwhile == "one broker restarts":
        c.brokers[1].start()
    after = wait_until(lambda: c.clients[1].ask(
        {"op": "publish", "event": "m", "text": "after", "id": "after"}
    ).get("seq"), what="published again")
    assert after > max(seqs)
    wait_until(lambda: c.clients[0].ask(
        {"op": "publish", "event": "m", "text": "end", "id": "end"}
    ).get("seq"), what="published again")
    for s in streams:
        s.wait(lambda s=s: "end" in texts(s), "what came after")
        assert [e.type for e in s.events() if e.type != "m" or e.data in ("after", "end")] == [
            "ssecast.gap", "m", "m"
        ]
    ids = [e.id for e in streams[0].events() if e.type == "m"]
    assert len(set(ids)) == len(ids)


def test_what_others_wrote_into_the_stream_is_ignored(bench):
    c = Cluster(bench)
    stream = c.open(0)
    first = c.clients[0].publish("m", text="first")["seq"]
    with c.admin() as admin:
        for junk in (b"", b"junk", b"SSCL\x01" + bytes(59), random.Random(1).randbytes(300)):
            assert "seq" in json.loads(admin.request("ssecast", junk))
            c.clients[1].publish("m", text="next")
    stream.wait_events(5)
    assert [int(e.id) for e in stream.events()][0] == first
    assert not texts(stream, "ssecast.gap")
    assert len(wait_same(c.clients)) == 5


def test_a_copied_turn_is_not_delivered_again(bench):
    c = Cluster(bench)
    stream = c.open(0)
    c.clients[0].publish("m", text="once")
    with c.admin() as admin:
        last = admin.info()["state"]["last_seq"]
        message = admin.demand("STREAM.MSG.GET.ssecast", {"seq": last})["message"]
        for _ in range(3):
            admin.request("ssecast", base64.b64decode(message["data"]))
    c.clients[1].publish("m", text="after")
    stream.wait_events(2)
    assert texts(stream) == ["once", "after"]
    assert len(wait_same(c.clients)) == 2


# Retention

def test_a_quiet_stream_keeps_its_place_longer_than_its_events(bench):
    c = Cluster(bench, history_age="2s")
    stream = c.open(0)
    seen = c.clients[0].publish("m", text="seen")["seq"]
    stream.wait_events(1)
    with c.admin() as admin:
        wait_until(lambda: not kept(c.clients[0]), what="the event is too old")
        time.sleep(2.5)
        assert admin.info()["state"]["messages"] > 0
    late = c.broker(2).start()
    worker = Worker(bench, late, "late", heartbeat="300ms").start()
    again = bench.closing(FastCgi(worker.socket))
    again.get("session=anna", HTTP_LAST_EVENT_ID=str(seen)).wait_open()
    with late.commands() as client:
        client.publish("m", text="after")
    again.wait(lambda: "after" in texts(again), "what came after")
    assert seen


def test_a_quiet_stream_keeps_its_place_also_when_the_clock_was_ahead(bench):
    """Set back by an hour, the broker does not wait for that hour."""
    server = NatsServer(bench, "nats").start()
    broker = Broker(bench, store=f"nats://{server.address}", store_replicas=1, history_age="2s")
    clock = Clock(bench, broker)
    clock.set("+1h")
    with broker.start().commands() as client, server.client() as admin:
        client.publish("m", text="seen")
        before = admin.info()["state"]["last_seq"]
        clock.set("+0")
        wait_until(lambda: admin.info()["state"]["last_seq"] >= before + 2, timeout=5,
                   what="two batches without events")


def test_the_stream_holds_as_much_as_a_broker_retains(bench):
    c = Cluster(bench, brokers=1, history_events=100, history_age="1h", history_bytes="64M")
    with c.admin() as admin:
        config = admin.info()["config"]
    assert (config["max_msgs"], config["max_age"], config["max_bytes"]) == (
        100, 3600 * 10**9, 64 << 20
    )
    for n in range(300):
        c.clients[0].publish("m", text=str(n))
    late = c.broker(1).start()
    with late.commands() as client:
        assert kept(client) == kept(c.clients[0])
        assert len(kept(client)) == 100


# Races

def test_brokers_that_race_while_servers_are_killed_lose_and_double_nothing(bench):
    """As many batches as possible are overtaken, lost on the way or answered twice."""
    nats = NatsCluster(bench).start()
    brokers = [Broker(bench, f"broker{n}", store=nats.url, store_replicas=3, store_timeout="20s")
               .start() for n in range(2)]
    stop = threading.Event()

    def publish(n):
        seqs, number = {}, 0
        with brokers[n].commands() as client:
            while not stop.is_set():
                ids = [f"both-{number + i}" if i % 3 else f"{n}-{number + i}" for i in range(50)]
                for own, r in zip(
                    ids, client.publish_many([{"text": own, "id": own} for own in ids], timeout=40),
                    strict=True
                ):
                    assert r["ok"], r
                    seqs[own] = r["seq"]
                number += 50
        return seqs

    def overtaken():
        total = 0
        for b in brokers:
            with b.commands() as client:
                total += client.stats()["batches_overtaken"]
        return total

    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = [pool.submit(publish, n) for n in range(2)]
        for _ in range(4):
            time.sleep(1)
            victim = nats.leader() or nats.servers[0]
            victim.kill()
            time.sleep(0.5)
            victim.start()
        wait_until(lambda: overtaken() > 10, timeout=60,
                   what="the brokers have overtaken each other")
        stop.set()
        one, two = [r.result() for r in running]
    assert all(two[own] == seq for own, seq in one.items() if own in two)
    with brokers[0].commands() as a, brokers[1].commands() as b:
        a.publish("m", text="end")
        events = wait_same([a, b])
    assert len({d for _, d in events}) == len(events)
    assert {d: q for q, d in events if d != "end"} == one | two


# Three servers

def test_a_large_report_reaches_the_other_brokers_in_pieces(bench):
    c = Cluster(bench)
    wide = Worker(bench, c.brokers[0], "wide", max_channels=1000).start()
    query = "channels=" + ",".join(f"{n:04d}" + "x" * 232 for n in range(1000))
    streams = []
    for n in range(12):
        streams.append(bench.closing(FastCgi(wide.socket)))
        streams[-1].get(f"session=s{n}&{query}", REQUEST_URI="/sse").wait_open()
    for client in c.clients:
        wait_until(lambda client=client: client.stats()["connections"] == 12, what="all are known")
    c.brokers[1].restart()  # and asks for everything
    with c.brokers[1].commands() as client:
        wait_until(lambda: client.stats()["connections"] == 12, what="all are known again")
        streams.pop().close()
        wait_until(lambda: client.stats()["connections"] == 11, what="one is gone")


def test_three_servers_keep_the_stream(bench):
    nats = NatsCluster(bench).start()
    broker = Broker(bench, store=nats.url, store_replicas=3, store_timeout="20s").start()
    with broker.commands() as client:
        client.publish_many([{"text": str(n)} for n in range(500)])
        leader = wait_until(nats.leader, what="the stream has a leader")
        leader.kill()
        client.publish("m", text="without it", timeout=25)
        leader.start()
        assert len(kept(client)) == 501


# Presence in a channel

def test_each_join_and_leave_is_published_once(bench):
    cluster = Cluster(bench, presence_channels="hall", presence_grace="1s", worker_lease="3s")

    def wait_changes(stream, joins, leaves):
        stream.wait(lambda: (len(texts(stream, "ssecast.join")),
                             len(texts(stream, "ssecast.leave"))) == (joins, leaves),
                    f"{joins} joins, {leaves} leaves")

    def check_changes(stream, joins, leaves):
        time.sleep(2.5)  # longer than the grace time
        mark = cluster.clients[0].publish("mark", data=time.time(), to={"channels": ["hall"]})
        stream.wait(lambda: str(mark["seq"]) in [e.id for e in stream.events()], "the mark")
        assert (len(texts(stream, "ssecast.join")), len(texts(stream, "ssecast.leave"))) == (
            joins, leaves
        )

    a = cluster.open(0, "session=anna&channels=hall")
    wait_changes(a, 1, 0)
    b = cluster.open(1, "session=bert&channels=hall")
    again = cluster.open(0, "session=bert&channels=hall")
    wait_changes(a, 2, 0)
    wait_changes(b, 2, 0)
    for client in cluster.clients:
        wait_until(lambda c=client: [
            m["session"] for m in c.demand({"op": "members", "channel": "hall"})["members"]
        ] == ["anna", "bert"], what="both brokers have the list")
    b.close()
    check_changes(a, 2, 0)
    again.close()
    wait_changes(a, 2, 1)
    check_changes(a, 2, 1)
    assert cluster.clients[0].stats()["member_joins"] == 2
