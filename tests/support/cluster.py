"""A cluster under a schedule of faults: three NATS servers, two brokers, a worker at each, one web
server before both.

Readers that come back may come to the other worker, so that they resume at another broker.
Everything else is as in faults.py.
"""

import random
import signal

from .broker import Broker
from .faults import FaultySite, GracefulLighttpd, QuietNginx, Schedule
from .nats import NatsCluster
from .network import Network
from .population import Population
from .processes import Program
from .publishers import Publisher
from .reader import Readers
from .waiting import wait_until
from .worker import Worker


class FaultyCluster(FaultySite):
    """members: as for FaultySite. roam: each worker knows all brokers, and a network that fails
    lies between them; so it is with members, but for the network. What stretches faults concerns
    workers and brokers then: when NATS servers (2.9) were killed in turns for long, their log once
    had another batch than a broker had read, which is a gap."""

    grace, lease, delay, outage = 4.5, 5, 1, 15  # servers elect a leader for seconds

    def __init__(self, bench, seed,  # pylint: disable=super-init-not-called
                 readers=120, rate=150, servers=3, brokers=2, keyed=0.0, members=0, roam=False):
        self.members, self.roam = members, roam
        more = Population.options(self.grace, self.lease) if members else {}
        self.bench, self.seed, self.chance = bench, seed, random.Random(f"{seed} cluster")
        self.durable, self.on_own_disk, self.gaps_allowed, self.networks = True, False, False, {}
        self.nats = NatsCluster(bench, servers).start()
        self.brokers = [Broker(bench, f"broker{n}", store=self.nats.url, store_replicas=servers,
                               store_timeout="3s", **more).start() for n in range(brokers)]
        known = ({kind: [b.endpoint(kind) for b in self.brokers] for kind in ("feed", "sync")}
                 if members else {})
        if roam:
            known = {kind: [self._line(n, kind) for n in range(brokers)]
                     for kind in ("feed", "sync")}
        self.workers = [Worker(bench, b, f"worker{n}", **{**known, **self._worker_options()})
                        .start() for n, b in enumerate(self.brokers)]
        self.web = GracefulLighttpd(bench, self.workers).start()
        self.commands = bench.closing(self.broker.commands())
        self.readers = bench.closing(Readers())
        self.networks["web"] = bench.closing(Network(self.web.port))
        self.sessions = [f"s{n}" for n in range(max(6, readers // 5))]
        self.rooms = {s: self.chance.sample(range(10), self.chance.randint(0, 3))
                      for s in self.sessions}
        self._open_readers(readers)
        rooms = [f"room{n}" for n in range(10)]
        self.publishers = [bench.closing(Publisher(
            b.endpoint("commands"), f"p{n}{k}", seed, self.sessions, rooms, rate / 4, keyed=keyed
        )) for n, b in enumerate(self.brokers) for k in range(2)]
        self.rounds, self.start, self.log, self.verdict, self.stuck = 0, None, [], None, None
        if members:
            self._open_population([self.web, QuietNginx(bench, self.workers[:1]).start()],
                                  self.brokers)

    def _line(self, n, kind):
        """An endpoint of the n-th broker, through a network."""
        network = self.bench.closing(
            Network(int(self.brokers[n].endpoint(kind).rpartition(":")[2]))
        )
        self.networks[f"{kind}{n}"] = network
        return f"tcp://127.0.0.1:{network.port}"

    @property
    def broker(self):
        return self.brokers[0]

    def _schedule(self, *how):
        return ClusterSchedule(self, *how)

    def _publish_mark(self):
        self._wait_stores()
        with self.broker.commands() as client:
            return client.publish("m", text=f"mark-{self.rounds}")["seq"]

    def _wait_members(self):
        self._wait_stores()
        super()._wait_members()

    def _wait_stores(self):
        for server in self.nats.servers:
            start(server)
        calm = {"op": "publish", "text": "calm", "id": f"calm-{self.rounds}", "to": {}}
        for b in self.brokers:
            with b.commands() as client:
                wait_until(lambda c=client: (c.try_ask(calm, 4) or {}).get("ok"), timeout=40,
                           what=f"{b.name} can store")

    def _judge(self):
        try:
            super()._judge()
        except AssertionError as e:
            with self.nats.client() as client:
                raise AssertionError("\n".join([str(e), *client.batches()])) from None

    def wait_presence(self):
        """Each broker knows its own worker's."""
        total = 0
        for b in self.brokers:
            with b.commands() as client:
                total += client.stats()["workers"]
        assert total >= len(self.workers)

    def _counters(self):
        out = {}
        for b in self.brokers:
            with b.commands() as client:
                stats = client.stats()
            out[b.name] = {k: stats[k] for k in ("batches_stored", "batches_overtaken",
                                                 "batches_unknown", "batches_adopted", "gaps_told")}
        return out


class ClusterSchedule(Schedule):
    def _actors(self):
        site = self.site
        lines = [name for name in site.networks if name != "web"]
        return [*((self._network_faults(name), 3) for name in lines),
                *((self._server_faults(s), 5) for s in site.nats.servers),
                (self._leader_faults(), 4), (self._operator_faults(), 3),
                *((self._of_broker(b), 4) for b in site.brokers),
                *((self._worker_faults(w), 6) for w in site.workers),
                (self._network_faults("web"), 2), (self._cuts(), 0.5)]

    def _server_faults(self, server):
        part = self._part()
        return [(f"{server.name} killed", lambda: kill(server), lambda: start(server), 1.5 * part),
                (f"{server.name} frozen", *frozen(server), 2.0 * part)]

    def _part(self):
        """Of the usual length, for NATS servers."""
        return 1 / self.stretch if self.site.roam else 1

    def _leader_faults(self):
        """The current leader of the stream, unless a fault is active there."""
        victims = []

        def kill_leader():
            leader = self.site.nats.leader()
            if leader:
                victims.append(leader)
                kill(leader)

        def begin():
            while victims:
                start(victims.pop())

        return [("the leader killed", kill_leader, begin, 1.5 * self._part())]

    def _operator_faults(self):
        """What brokers read the stream by is taken away."""
        def delete():
            try:
                with self.site.nats.client() as client:
                    for name in client.api("CONSUMER.NAMES.ssecast").get("consumers") or []:
                        client.api(f"CONSUMER.DELETE.ssecast.{name}")
            except (OSError, AssertionError, ValueError):  # nobody answers just now
                pass

        return [("all consumers deleted", delete, None, 0)]

    def _of_broker(self, b):
        """Started without waiting: it waits for the servers itself."""
        def begin():
            Program.start(b)

        return [(f"{b.name} killed", b.kill, begin, 1.5), (f"{b.name} stopped", b.stop, begin, 1.0),
                (f"{b.name} frozen", *frozen(b), 2.0)]

    def _cuts(self):
        chance = random.Random(self.chance.random())

        def cut():
            for reader in chance.sample(self.site.all, 10):
                reader.cut()

        return [("10 readers cut", cut, None, 0), ("10 readers cut again", cut, None, 0)]


# A server may suffer as itself and as the leader.

def kill(server):
    if server.running():
        server.kill()


def start(server):
    if not server.running():
        server.start()


def frozen(program):
    return (lambda: program.running() and program.signal(signal.SIGSTOP),
            lambda: program.running() and program.signal(signal.SIGCONT))
