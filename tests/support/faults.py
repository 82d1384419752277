"""A site under a schedule of faults, hundreds of readers on it, and publishers that go on.

    with Bench() as bench:
        site = FaultySite(bench, seed=7)
        site.round(seconds=10)          # faults, then calm; raises with all that the checker has to
                                        say

Everything that is drawn by lot is drawn from the seed, so that SEED=n repeats a schedule. (When
exactly a fault strikes among the messages is up to the machine.) At the end of a round everything
is whole again, one more event goes to everyone, and when every reader has it, the diaries are
judged.
"""

import errno
import os
import random
import signal
import subprocess
import time

from .bench import KEEP
from .checker import Diary, Publication, check
from .keys import Keys
from .lighttpd import Lighttpd
from .network import Network
from .nginx import Nginx
from .population import Population
from .ports import free_port
from .processes import as_root
from .publishers import Publisher
from .reader import wait_all, wait_all_open
from .site import Site
from .waiting import wait_until

_STORE = "64m"  # a tmpfs for the broker's store, when we may mount one


class GracefulLighttpd(Lighttpd):
    """On SIGUSR1 it restarts and keeps the old streams for a second."""

    extra = 'server.feature-flags += ("server.graceful-shutdown-timeout" => 1)'

    def finish(self):
        """A SIGTERM during its restart would be lost."""
        if self.running():
            self.kill()
        else:
            super().finish()


class QuietNginx(Nginx):
    """It has a line for each request that finds no worker."""

    extra = "error_log stderr emerg;"


class FaultySite(Site):
    """seed: of everything drawn. durable: the broker keeps its history in a directory.
    history_events: how many at most; less than are published during a fault means gaps, and a
    publisher's own ids are forgotten before it asks again. A third of the readers come through a
    network that fails, and so do both workers and the publishers to the broker. keys: the broker
    has some, which change. keyed: what share of the events replaces earlier ones. members: how many
    sessions come and go in channels with presence (population.py), behind two web servers."""

    keys = identity = population = None
    grace, lease, delay, outage = 3.5, 3.5, 0.5, 1  # of members, in seconds; see population.py

    def __init__(self, bench, seed, durable=True, readers=300, rate=150, tamper=None,
                 web=GracefulLighttpd, history_events=20000, keys=False,
                 keyed=0.0, members=0, workers=2):
        if keys:
            self.keys = Keys(bench.folder)
            # before the broker starts: libzmq does not try again when refused
            self.identity = self.keys.add("publisher", "shop")
        self.seed, self.durable, self.chance = seed, durable, random.Random(f"{seed} site")
        self.members = members
        self.history_events, self.gaps_allowed = (history_events,
                                                  not durable or history_events < 10000)
        self.bench_folder = bench.folder
        self.networks, self.store, self.on_own_disk = {}, bench.folder / "store", False
        bench.closing(self)
        if durable:
            self._mount()
        super().__init__(bench, web=web, workers=workers, broker=self._broker_options(),
                         worker=self._worker_options())
        self.networks["web"] = bench.closing(Network(self.web.port, tamper))
        self.sessions = [f"s{n}" for n in range(max(6, readers // 5))]
        self.rooms = {s: self.chance.sample(range(10), self.chance.randint(0, 3))
                      for s in self.sessions}
        self._open_readers(readers)
        rooms = [f"room{n}" for n in range(10)]
        own_ids = 0 if self.gaps_allowed else 0.7  # who forgets events knows no duplicates of them
        self.networks["commands"] = bench.closing(
            Network(int(self.commands_tcp.rpartition(":")[2]))
        )
        commands = f"tcp://127.0.0.1:{self.networks['commands'].port}"
        self.publishers = [bench.closing(Publisher(
            commands, f"p{n}", seed, self.sessions, rooms, rate / 3, own_ids, self.identity, keyed
        )) for n in range(3)]
        self.rounds, self.start, self.log, self.verdict = 0, None, [], None
        if members:
            self._open_population([self.web, QuietNginx(bench, self.workers[:1]).start()],
                                  [self.broker])

    def _open_population(self, webs, brokers):
        self.population = Population(self, self.seed, webs, brokers, self.grace, self.lease,
                                     self.delay, self.outage, self.members, self.durable)
        self.bench.closing(self.population)

    def close(self):
        if self.on_own_disk and not KEEP:
            subprocess.run(["umount", "--lazy", str(self.store)], check=False)

    def _mount(self):
        """A small disk for the store, so that it can be full."""
        self.store.mkdir()
        if as_root():
            done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_STORE}", "none",
                                   str(self.store)], check=False, capture_output=True)
            self.on_own_disk = done.returncode == 0
        if not self.on_own_disk:
            print("no disk is full in this round: "
                  "a file system of its own for the store takes root and mount(2)")

    def _broker_options(self):
        """The oldest goes, so that a long test needs no large disk; nobody is away for as long as
        that takes."""
        self.commands_tcp = f"tcp://127.0.0.1:{free_port()}"
        options = {"store": str(self.store), "history_events": self.history_events,
                   "history_bytes": "16M"} if self.durable else {}
        if self.members:
            options.update(Population.options(self.grace, self.lease))
        if not self.keys:
            return {**options, "commands": self.commands_tcp}
        return {**options, **self.keys.broker_options(),
                "commands": [f"ipc://{self.bench_folder}/commands", self.commands_tcp]}

    def _worker_options(self):
        keys = self.keys.add("worker", "web").options() if self.keys else {}
        return {**keys, "heartbeat": "500ms", "drain": self.chance.choice(["0ms", "300ms"]),
                "retry": "200ms", "window_bytes": self.chance.choice(["64K", "1M", "64M"]),
                "queue_bytes": self.chance.choice(["8K", "1M"])}

    def endpoints(self):
        for name in ("feed", "sync"):
            self.networks[name] = self.bench.closing(
                Network(int(self.broker.endpoint(name).rpartition(":")[2]))
            )
        return {name: f"tcp://127.0.0.1:{self.networks[name].port}" for name in ("feed", "sync")}

    def toggle_key(self):
        """A worker that is not there gets a key, or loses it: then the feed is cut off from
        everybody for a moment."""
        if "spare" in self.keys.lines:
            self.keys.remove("spare")
        else:
            self.keys.add("worker", "spare")
        if self.broker.running():
            self.broker.signal(signal.SIGHUP)

    # Readers

    def _open_readers(self, count):
        """Those of one session have the same rooms."""
        self.all = []
        for n in range(count):
            session = self.sessions[n % len(self.sessions)]
            url = self.url(session, [f"room{r}" for r in self.rooms[session]])
            if n % 3 == 0:
                url = url.replace(self.web.origin, self.networks["web"].url)
            if n % 4 == 1:
                url += "&checkpoints=always"
            self.all.append(self.readers.open(url, reconnect=True, stubborn=True, keep_blocks=True))
        wait_all_open(self.all)

    def _diaries(self):
        """What was seen up to now; the readers begin new ones."""
        diaries = []
        for n, reader in enumerate(self.all):
            session = self.sessions[n % len(self.sessions)]
            blocks = reader.decoder.blocks
            self.readers.call(lambda r=reader: setattr(r.decoder, "blocks", []))
            diaries.append(Diary(f"reader {n} ({reader.opens} streams)", session,
                                 [f"room{r}" for r in self.rooms[session]], blocks, self.start))
        return diaries + (self.population.diaries(self.start) if self.population else [])

    # A round

    def round(self, seconds, quiet=False, stretch=1, progress=lambda text: None):
        """Faults for this time (none when quiet), then calm, then the check. stretch: factor for
        the length of each fault."""
        self.rounds += 1
        self.log, self.stretch = [], stretch
        schedule = self._schedule(random.Random(f"{self.seed} round {self.rounds}"), seconds,
                                  quiet, stretch)
        going = [*self.publishers, *([self.population] if self.population else [])]
        for p in going:
            p.go()
        schedule.run(progress)
        progress("calm")
        self._settle()
        self._judge()

    def _schedule(self, *how):
        return Schedule(self, *how)

    def _settle(self):
        for p in self.publishers:
            p.pause()
        for p in self.publishers:
            p.wait_idle()
        if self.population:
            self.population.pause()
            self._wait_members()
        self.mark, self.counters = self._publish_mark(), self._counters()
        try:
            wait_all([*self.all, *(self.population.watchers if self.population else [])],
                     lambda r: r.decoder.blocks and any(
                         b.id == str(self.mark) for b in r.decoder.blocks[-3:]
                     ), f"the last event, {self.mark}", timeout=40)
        except AssertionError as e:
            self.stuck = str(e)
        else:
            self.stuck = None

    def _wait_members(self):
        try:
            self.population.wait_calm()
        except AssertionError as e:
            raise AssertionError(
                "\n".join([f"SEED={self.seed}, round {self.rounds}: {e}", *self.log])
            ) from None

    def _publish_mark(self):
        """The seq of the last event."""
        with self.broker.commands() as client:
            self.networks["feed"].cut()  # nothing follows the last event that would show it missing
            # a disk that was full is looked at again each second
            return wait_until(lambda: client.ask(
                {"op": "publish", "event": "m", "text": f"mark-{self.rounds}"}
            ).get("seq"), what="the last event is stored")

    def _counters(self):
        stats = self.commands.stats()
        return {k: stats[k]
                for k in ("repairs", "replays_local", "replays_broker", "ends_slow", "gaps_told")}

    def wait_presence(self):
        """Until the broker counts each reader once; a worker that was killed stays on the list
        until its lease ends."""
        for session in self.sessions:
            self.wait_connections(session, sum(
                1 for n in range(len(self.all)) if self.sessions[n % len(self.sessions)] == session
            ), timeout=25)

    def _judge(self):
        publications = [p for publisher in self.publishers for p in publisher.publications]
        mark = Publication(f"mark-{self.rounds}")
        mark.acknowledge(self.mark)
        publications.append(mark)
        faults = self.population.learn(self.start or 0) if self.population else []
        publications += self.population.publications() if self.population else []
        verdict = check(publications, self._diaries(), self.mark, gaps_allowed=self.gaps_allowed)
        verdict.complaints += faults + (self.population.judge(self.stretch)
                                        if self.population else [])
        verdict.complaints += [c for p in self.publishers for c in p.complaints]
        verdict.complaints += [self.stuck] if self.stuck else []
        self.start, self.verdict = self.mark, verdict
        for p in self.publishers:
            p.forget_settled()
        if verdict.complaints:
            raise AssertionError("\n".join(
                [f"SEED={self.seed}, round {self.rounds}: {verdict}", *verdict.complaints[:40],
                 f"workers: {self.workers[0].options}", *self.log]
            ))


class Schedule:
    """Who suffers what and when, drawn before it begins. Each actor suffers one thing at a time;
    several actors may suffer at once."""

    def __init__(self, site, chance, seconds, quiet=False, stretch=1):
        self.site, self.chance, self.seconds, self.stretch, self.steps = (
            site, chance, seconds, stretch, []
        )
        if quiet:
            return
        for number, (faults, pause) in enumerate(self._actors()):
            self._draw(number, faults, pause)
        self.steps.sort(key=lambda step: step[:2])

    def _actors(self):
        """Each with its faults, and the seconds between two of them."""
        site = self.site
        keys = [([("a key changed", site.toggle_key, None, 0)], 0.4)] if site.keys else []
        return [*keys, (self._broker_faults(), 2.5),
                *((self._worker_faults(w), 3) for w in site.workers), (self._web_faults(), 5),
                (self._network_faults("feed"), 1.5), (self._network_faults("sync"), 1.5),
                (self._network_faults("web"), 1.5),
                (self._network_faults("commands"), 2), (self._reader_faults(), 0.5)]

    def _draw(self, number, faults, pause):
        """Faults of one actor, one after the other, with a pause of about this number of seconds
        between them."""
        at = self.chance.uniform(0.1, pause)
        while at < self.seconds:
            name, begin, end, longest = self.chance.choice(faults)
            length = self.chance.uniform(0.02, longest * self.stretch) if longest else 0
            self.steps.append(
                (at, number, f"{name} for {length:.2f} s" if longest else name, begin)
            )
            if end:
                self.steps.append((at + length, number, f"end: {name}", end))
            at += length + self.chance.uniform(0.2, 2 * pause)

    def run(self, progress=lambda text: None):
        started = time.monotonic()
        for at, _, name, action in self.steps:
            time.sleep(max(0, started + at - time.monotonic()))
            self.site.log.append(f"{time.monotonic() - started:6.2f} s  {name}")
            progress(name)
            action()
        time.sleep(max(0, started + self.seconds - time.monotonic()))

    # What can happen: (name, how it begins, how it ends, how long at most)

    def _broker_faults(self):
        b = self.site.broker
        faults = [("broker killed", b.kill, b.start, 1.5), ("broker stopped", b.stop, b.start, 1.0)]
        if self.site.durable:
            faults.append(("broker frozen", *frozen(b), 2.0))
        if self.site.on_own_disk:
            faults += [("disk full", self._fill, self._empty, 2.0), (
                "disk full, broker killed and started", self._fill_and_kill, self._empty, 2.0
            )]
        return faults

    def _worker_faults(self, w):
        return [(f"{w.name} killed", w.kill, w.start, 1.0),
                (f"{w.name} stopped", w.stop, w.start, 1.0), (f"{w.name} frozen", *frozen(w), 2.0)]

    def _web_faults(self):
        w = self.site.web
        return [(f"{w.name} frozen", *frozen(w), 2.0), (f"{w.name} killed", w.kill, w.start, 0.5),
                (f"{w.name} restarted gracefully", lambda: w.signal(signal.SIGUSR1), None, 0)]

    def _network_faults(self, name):
        network, chance, delay = (self.site.networks[name], random.Random(self.chance.random()),
                                  self.chance.uniform(0.02, 0.4))

        def half():
            return chance.random() < 0.5

        def slow():
            network.delay = delay

        def quick():
            network.delay = 0

        return [(f"{name} cut", network.cut, None, 0),
                (f"some of {name} cut", lambda: network.cut(half), None, 0),
                (f"some of {name} reset", lambda: network.cut(half, reset=True), None, 0),
                (f"{name} stalled", network.stall, network.go_on, 2.0),
                (f"some of {name} stalled", lambda: network.stall(half), network.go_on, 2.0),
                (f"{name} slow", slow, quick, 2.0)]

    def _half(self):
        return self.chance.random() < 0.5

    def _reader_faults(self):
        chance, lazy = random.Random(self.chance.random()), []

        def cut():
            for reader in chance.sample(self.site.all, 10):
                reader.cut()

        def pause():
            lazy.extend(chance.sample(self.site.all, 10))
            for reader in lazy:
                reader.pause()

        def resume():
            while lazy:
                lazy.pop().resume()

        def shut_down():
            with self.site.broker.commands() as client:
                client.send(
                    {"op": "shutdown", "channels": [f"room{chance.randrange(10)}"], "block": 0}
                )
                client.receive(0.5)  # the broker may be away, or its disk full

        return [("10 readers cut", cut, None, 0), ("10 readers cut again", cut, None, 0),
                ("10 readers lazy", pause, resume, 2.0), ("a room shut down", shut_down, None, 0)]

    def _fill(self):
        with open(self.site.store / "filler", "wb") as f:
            try:
                while True:
                    os.write(f.fileno(), bytes(65536))
            except OSError as e:
                assert e.errno == errno.ENOSPC, e

    def _fill_and_kill(self):
        self._fill()
        time.sleep(0.1)  # for some to be refused
        self.site.broker.kill()
        self.site.broker.start()

    def _empty(self):
        (self.site.store / "filler").unlink()


def frozen(program):
    return lambda: program.signal(signal.SIGSTOP), lambda: program.signal(signal.SIGCONT)
