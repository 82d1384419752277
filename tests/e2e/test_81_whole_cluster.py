"""Each broker of a cluster answers for all of it, and names those that it does not hear of."""

import re
import shutil
import time

import pytest
from support.broker import Broker
from support.cli import Cli
from support.fcgi import FastCgi
from support.nats import SERVER, NatsServer
from support.network import Network
from support.ports import free_port
from support.processes import ROOT
from support.reader import wait_all
from support.site import Site
from support.waiting import wait_until
from support.worker import Worker

pytestmark = pytest.mark.skipif(not shutil.which(SERVER), reason="no nats-server")


class Cluster(Site):
    """A site whose broker is one of two (or more) on a NATS server; a worker at each, and workers
    that know all brokers with roam=True."""

    def __init__(self, bench, brokers=2, roam=False, extra="", user=""):
        self.server = NatsServer(bench, "nats", extra=extra).start()
        options = {"store": f"nats://{user}{self.server.address}", "store_replicas": 1}
        self.others = [Broker(bench, f"broker-{n + 2}", **options).start()
                       for n in range(brokers - 1)]
        self.roam = roam
        super().__init__(bench, broker=options)
        self.brokers = [self.broker, *self.others]
        if not roam:
            self.workers += [Worker(bench, b, f"worker-of-{b.name}").start() for b in self.others]
        self.clients = [bench.closing(b.commands()) for b in self.brokers]
        self.wait_brokers(brokers)

    def endpoints(self):
        brokers = [self.broker, *self.others]
        return {k: [b.endpoint(k) for b in brokers] for k in ("feed", "sync")} if self.roam else {}

    def wait_brokers(self, count):
        for client in self.clients:
            if client is not None:
                wait_until(lambda c=client: c.stats()["brokers"] == count, timeout=20,
                           what=f"{count} brokers know each other")

    def stream_at(self, n, session):
        """A stream through the worker of the n-th broker, without a web server between."""
        stream = self.bench.closing(FastCgi(self.workers[n].socket))
        stream.get(f"session={session}").wait_open()
        return stream

    def wait_known(self, session, connections, clients=None):
        for client in clients or self.clients:
            wait_until(lambda c=client: c.connections_of(session) == connections, timeout=30,
                       what=f"{connections} connections of {session} at every broker")


def test_every_broker_knows_every_connection(bench):
    site = Cluster(bench)
    site.stream_at(0, "anna")
    site.stream_at(1, "anna")
    bert = site.stream_at(1, "bert")
    site.wait_known("anna", 2)
    site.wait_known("bert", 1)
    for client in site.clients:
        assert [
            (s["session"], s["connections"]) for s in client.ask({"op": "sessions"})["sessions"]
        ] == [("anna", 2), ("bert", 1)]
        assert len(client.ask({"op": "connections"})["connections"]) == 3
        assert client.publish("m", data=1, to={"sessions": ["anna", "bert"]})["online"] == 3
    bert.close()
    site.wait_known("bert", 0)


def test_a_shutdown_counts_and_ends_the_streams_of_all(bench):
    site = Cluster(bench)
    streams = [site.stream_at(n, "anna") for n in (0, 1)]
    site.wait_known("anna", 2)
    assert site.clients[0].shutdown(sessions=["anna"])["closed"] == 2
    for stream in streams:
        stream.wait_end()
    site.wait_known("anna", 0)


def test_stats_are_of_the_whole_cluster(bench):
    site = Cluster(bench)
    for n in range(10):
        site.clients[n % 2].publish("m", data=n)
    for client in site.clients:
        wait_until(lambda c=client: c.stats()["publishes"] == 10,
                   what="ten publishes at every broker")
        wait_until(lambda c=client: c.stats()["workers"] == 2, what="two workers at every broker")


def test_a_broker_that_is_gone_is_named_until_it_is_back(bench):
    site = Cluster(bench, brokers=3)
    gone = site.others[0]
    questions = [{"op": "online", "session": "a"}, {"op": "sessions"}, {"op": "connections"},
                 {"op": "stats"}, {"op": "workers"},
                 {"op": "shutdown", "sessions": ["nobody"], "block": 0}]
    assert all("missing" not in site.clients[0].ask(q) for q in questions)
    gone.kill()
    wait_until(lambda: "missing" in site.clients[0].stats(), timeout=20, what="a broker is missing")
    for question in questions:
        [name] = site.clients[0].ask(question)["missing"]
        assert gone.endpoint("commands") in name
    assert site.clients[2].stats()["brokers_missing"] == 1
    cli = Cli(site.brokers[0])
    for verb in ("sessions", "workers", "connections"):
        assert f"(incomplete: broker {name} is missing)" in cli(verb).check().err
    assert re.search(r"^1 broker missing, "
                     r"streams there are unknown: .*" + gone.endpoint("commands")[-6:],
                     cli("top", "--once").check().out, re.M)
    assert "missing" not in site.clients[0].ping()
    gone.start()
    site.wait_brokers(3)
    assert all("missing" not in c.stats() for c in (site.clients[0], site.clients[2]))


def test_a_broker_that_stops_in_order_is_not_missing(bench):
    site = Cluster(bench)
    site.others[0].stop()
    wait_until(lambda: site.clients[0].stats()["brokers"] == 1, what="one broker is left")
    assert "missing" not in site.clients[0].stats()


def test_a_broker_that_starts_later_knows_all_connections(bench):
    site = Cluster(bench)
    site.stream_at(0, "anna")
    site.wait_known("anna", 1)
    site.others[0].kill()
    site.others[0].start()
    site.wait_known("anna", 1)


def test_a_broker_that_stood_still_catches_up(bench):
    site = Cluster(bench)
    anna = site.stream_at(0, "anna")
    site.wait_known("anna", 1)
    site.others[0].freeze()
    anna.close()
    site.stream_at(0, "bert")
    site.wait_known("bert", 1, site.clients[:1])
    site.others[0].thaw()
    site.wait_known("bert", 1)
    site.wait_known("anna", 0)


def test_a_worker_that_comes_while_its_broker_is_cut_off_is_known_everywhere(bench):
    """The others miss that it has moved."""
    site = Cluster(bench)
    network = bench.closing(Network(site.server.port))
    remote = Broker(bench, "remote", store=f"nats://127.0.0.1:{network.port}",
                    store_replicas=1).start()
    known = {kind: [site.others[0].endpoint(kind), remote.endpoint(kind)]
             for kind in ("feed", "sync")}
    site.workers.append(Worker(bench, name="moving", **known).start())
    site.stream_at(2, "anna")
    site.wait_known("anna", 1)
    network.upstream = free_port()
    network.cut()
    site.others[0].kill()
    wait_until(lambda: "worker connected" in remote.log(), timeout=20, what="the worker has moved")
    network.upstream = site.server.port
    wait_until(lambda: "store available again" in remote.log(), timeout=20,
               what="the broker is back")
    site.stream_at(2, "bert")
    site.wait_known("bert", 1, site.clients[:1])


def test_streams_stay_open_and_lose_nothing_when_their_broker_is_killed(bench):
    """One by one, while events are published to the remaining brokers."""
    site = Cluster(bench, roam=True)
    readers = [site.open(f"s{n}") for n in range(10)]
    to, count = {"sessions": [f"s{n}" for n in range(10)]}, 0
    for victim in (0, 1, 0):
        client = site.clients[1 - victim]
        for _ in range(20):
            client.publish("m", data=count, to=to)
            count += 1
        site.brokers[victim].kill()
        for _ in range(20):
            client.publish("m", data=count, to=to)
            count += 1
        site.brokers[victim].start()
        wait_until(lambda c=client: c.stats()["connections"] == 10, timeout=30,
                   what="all streams are known again")
    wait_all(readers, lambda r: len(r.data()) >= count, f"{count} events", timeout=40)
    for reader in readers:
        assert reader.data() == [str(n) for n in range(count)]
        assert reader.types().count("ssecast.gap") == 0 and not reader.ended


USERS = """
authorization { users: [ { user: ssecast, password: secret, permissions {
%s
} } ] }
"""


def test_the_permissions_in_the_documentation_are_enough(bench):
    text = (ROOT / "docs/configure.md").read_text()
    permissions = text[text.index("    permissions {\n") + len("    permissions {\n"):].partition(
        "\n    }\n"
    )[0]
    site = Cluster(bench, extra=USERS % permissions, user="ssecast:secret@")
    site.stream_at(1, "anna")
    site.wait_known("anna", 1)


def test_a_subject_that_is_not_permitted_is_logged_once(bench):
    """Brokers that do not hear each other are each right about their own workers only, and nothing
    else shows it."""
    server = NatsServer(bench, "nats", extra=USERS % 'publish: {deny: "ssecast.brokers"}, '
                        'subscribe: {deny: "ssecast.brokers"}').start()
    broker = Broker(bench, store=f"nats://ssecast:secret@{server.address}",
                    store_replicas=1).start()
    line = "does not permit the subject ssecast.brokers"
    wait_until(lambda: line in broker.log(), what="a line in the log")
    time.sleep(2.5)  # a message is refused each second
    assert broker.log().count(line) == 1 and "more)" not in broker.log()
