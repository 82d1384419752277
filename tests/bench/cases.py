"""What is measured, one function to a case. Each returns {metric: value} of one round; report.py
knows what they mean."""

import concurrent.futures
import contextlib
import os
import statistics
import subprocess
import time

from support import mixes, processes
from support.bench import Bench
from support.broker import Broker
from support.waiting import wait_until
from support.worker import Worker

import servers
import tools

STREAMS = 1000
MANY = 8900
PAYLOAD = 128


class Effort:
    """How long and how many."""

    def __init__(self, quick):
        self.rounds = 1 if quick else 5
        self.warm = 0.3 if quick else 1
        self.seconds = 1.5 if quick else 5
        self.publish_count = 60_000 if quick else 300_000
        self.many = 2000 if quick else MANY
        self.idle = 2000 if quick else 15000  # as far as a server takes them
        self.mixes = 3 if quick else len(mixes.MIXES)
        self.retained = 20_000 if quick else 100_000
        self.pairs = 4 if quick else 10
        self.part = 1 if quick else 1.5


@contextlib.contextmanager
def running(server_class, count=0):
    """A server with so many streams open: (server, load client)."""
    with Bench() as bench:
        server = server_class(bench)
        with tools.Load(bench.folder, server.port, server.tls) as load:
            load.burst(server.burst)
            if count:
                load.open(count, server.path, None, server.open_seconds, server.enough)
            load.pids(server.pids())  # again: some servers start more processes after they listen
            yield server, load


def measured(load, publisher, effort):
    """What the load client counted while the publisher was going."""
    time.sleep(effort.warm)
    load.begin()
    time.sleep(effort.seconds)
    counted = load.end()
    tools.result(publisher)
    return counted


def must_be_exact(counted):
    wrong = {name: counted[name] for name in ("lost", "disordered", "gaps", "ended", "refused")
             if counted[name]}
    if wrong:
        raise RuntimeError(f"the streams were not exact: {wrong}")


# --- 1,000 streams, every server ---

def paced(server, load, effort):
    """20 events a second to everyone."""
    publisher = tools.start_publisher(*server.publisher(), "--size", PAYLOAD, "--rate", 20,
                                      "--seconds", effort.warm + effort.seconds + 0.5)
    counted = measured(load, publisher, effort)
    must_be_exact(counted)
    return {"p50_ms": counted["p50_ms"], "p99_ms": counted["p99_ms"], **cpu_of(server, counted)}


def cpu_of(server, counted):
    """CPU time of a delivery: of the whole server, and of each of its programs."""
    cpu = {int(pid): seconds for pid, seconds in counted["cpu"].items()}
    found = {"cpu_us": 1e6 * sum(cpu.values()) / counted["events"]}
    for program in server.programs:
        members = tools.family(program.pid)
        found[f"cpu_us of {program.name}"] = (
            1e6 * sum(cpu.get(pid, 0) for pid in members) / counted["events"]
        )
    return found


def flat_out(server, load, effort):
    """As fast as they are taken, at most `ahead` events before the readers."""
    publisher = tools.start_publisher(*server.publisher(), "--size", PAYLOAD, "--progress",
                                      load.progress, "--ahead", server.ahead,
                                      "--seconds", effort.warm + effort.seconds + 0.5)
    counted = measured(load, publisher, effort)
    must_be_exact(counted)
    return {"events_per_s": counted["events"] / counted["seconds"], **cpu_of(server, counted)}


def with_streams(server_class, effort):
    """paced and flat out, one after the other, on the same streams."""
    with running(server_class, STREAMS) as (server, load):
        return {"paced": paced(server, load, effort), "flat": flat_out(server, load, effort)}


# --- ssecast: writes for each delivery ---

def coalescing(server_class, effort):
    """How many writes a delivery costs the worker, one event at a time and flat out."""
    found = {}
    with running(server_class, STREAMS) as (server, load):
        for name, case in (("paced", paced), ("flat", flat_out)):
            before = _fresh_stats(server, load)
            case(server, load, effort)
            after = _fresh_stats(server, load)
            found[name] = (after["writes"] - before["writes"]) / (
                after["deliveries"] - before["deliveries"]
            )
    return found


def _fresh_stats(server, load):
    """A worker reports its counters with each stream that is opened."""
    load.open(1, server.path)
    time.sleep(0.2)
    return server.stats()


# --- many streams: opening, memory ---

def idle(server_class, effort):
    """Open many at once; what they cost while nothing happens. Memory counts from half of them on:
    what a server's threads and pools take for the first streams does not grow with more of them."""
    with running(server_class) as (server, load):
        count = min(effort.idle, server.streams_at_most)
        first = count // 2
        load.begin()
        seconds = load.open(first, server.path, None, server.open_seconds)
        time.sleep(1)
        before = {p.name: tools.memory(tools.family(p.pid)) for p in server.programs}
        seconds += load.open(count - first, server.path, None, server.open_seconds)
        refused = load.end()["refused"]
        time.sleep(1)
        found = {"streams": count, "opened_per_s": count / seconds, "refused": refused}
        total = 0
        for program in server.programs:
            rss, pss = tools.memory(tools.family(program.pid))
            found[f"rss_kb of {program.name}"] = (
                (rss - before[program.name][0]) / (count - first) / 1024
            )
            total += (pss - before[program.name][1]) / (count - first) / 1024
        found["pss_kb"] = total
        return found


# --- TLS ---

def over_tls(server_class, effort):
    """The same over TLS: paced and flat out with 1,000 streams, and what idle streams cost."""
    return {**with_streams(server_class, effort), "idle": idle(server_class, effort)}


# --- publishing ---

KINDS = {"data": [], "frame": ["--frame"], "batch": ["--batch", 100]}
TURNS = 3  # of the echo and the broker


def publishing(effort):
    """One DEALER against a broker without workers: acknowledged events a second, and what part that
    is of the answers of a bare ROUTER. The two take turns."""
    found = {}
    for store in ("memory", "durable"):
        for kind in KINDS:
            with Bench() as bench:
                echo, broker = servers.Echo(bench), _start_broker(bench, store)
                turns = [(_answers(echo.commands, kind, effort, "--echo"),
                          _answers(broker.endpoint("commands"), kind, effort))
                         for _ in range(TURNS)]
            found[f"{store} {kind}"] = statistics.median(ours for _, ours in turns)
            found[f"{store} {kind} ÷ echo"] = statistics.median(ours / bare for bare, ours in turns)
            found.setdefault(f"echo {kind}", statistics.median(bare for bare, _ in turns))
    return found


def _answers(endpoint, kind, effort, *options):
    """How many events a second are answered."""
    done = tools.publish("--dealer", endpoint, "--size", PAYLOAD, *KINDS[kind], *options,
                         "--count",
                         effort.publish_count // TURNS // (100 if kind == "batch" else 1),
                         "--window", 10 if kind == "batch" else 1000)
    assert not done["failed"] and not done["unanswered"], done
    return done["answered"] / done["seconds"]


def acknowledging(effort):
    """How long an answer takes at 10,000 events a second, durable."""
    with Bench() as bench:
        broker = _start_broker(bench, "durable")
        done = tools.publish("--dealer", broker.endpoint("commands"), "--rate", 10000, "--seconds",
                             effort.seconds, "--window", 20000, "--size", PAYLOAD)
        assert not done["failed"] and not done["unanswered"], done
        return {name: done[name] for name in ("p50_ms", "p99_ms", "max_ms")}


def cluster(server_class, effort):
    """Acknowledged events a second and how long they take to arrive, with the history in a NATS
    JetStream; next to libnats alone there."""
    with running(server_class) as (server, load):
        found = {"libnats alone":
                 tools.nats_publish("--servers", server.nats.url, "--replicas", server.replicas,
                                    "--count", effort.publish_count, "--size", PAYLOAD)}
        done = tools.publish(*server.publisher(), "--count", effort.publish_count, "--window", 1000,
                             "--size", PAYLOAD)
        assert not done["failed"] and not done["unanswered"], done
        found["acknowledged/s"] = done["answered"] / done["seconds"]
        found["÷ libnats alone"] = found["acknowledged/s"] / found["libnats alone"]
        load.open(STREAMS, server.path)
        counted = paced(server, load, effort)
        return {**found, "p50_ms": counted["p50_ms"], "p99_ms": counted["p99_ms"]}


def two_brokers(server_class, effort):
    """Deliveries a second of two brokers with two workers each."""
    with running(server_class, STREAMS) as (server, load):
        return {"two brokers, deliveries/s": flat_out(server, load, effort)["events_per_s"]}


def _start_broker(bench, store):
    return Broker(bench, store=bench.folder / "store" if store == "durable" else "memory").start()


# --- targets ---

def targeting(server_class, effort):
    """An event for one session: what others, connected here or elsewhere, add to its cost."""
    found = {}
    with running(server_class) as (server, load):
        load.open(1, "/sse?session=target")
        found["alone us"] = _cost_of_targeted(server, load, effort)
        load.open(effort.many, server.path)
        found["with streams us"] = _cost_of_targeted(server, load, effort)
        with _known_sessions(server, 100_000):
            found["with sessions us"] = _cost_of_targeted(server, load, effort)
    return found


def _cost_of_targeted(server, load, effort):
    """CPU µs of broker and worker for each event to the session `target`."""
    pids = [server.broker.pid, server.worker.pid]
    load.pids(pids)
    count = effort.publish_count // 3
    load.begin()
    tools.publish(*server.publisher(), "--size", PAYLOAD, "--session", "target", "--count", count,
                  "--rate", 20000)
    counted = load.end()
    must_be_exact(counted)
    return 1e6 * sum(counted["cpu"].values()) / count


@contextlib.contextmanager
def _known_sessions(server, count):
    process = subprocess.Popen([tools.PROGRAMS / "sessions", server.broker.endpoint("sync"),
                                str(count)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        with server.broker.commands() as client:
            wait_until(
                lambda: client.ask({"op": "online", "session": f"somebody-{count - 1}"})["online"],
                what="the sessions"
            )
        yield
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


# --- patterns ---

def patterns(server_class, effort):
    """100 events a second, each for a hundred of 1,000 streams that select ten topics each: by
    their names, and by templates."""
    return {name: _cost_of_selected(server_class, path, effort)
            for name, path in (("exact us", server_class.exact),
                               ("templates us", server_class.templates))}


def _cost_of_selected(server_class, path, effort):
    """CPU µs of the worker for each event."""
    with running(server_class) as (server, load):
        load.tell("kinds 10")
        load.open(STREAMS, path)
        load.pids(tools.family(server.worker.pid))
        publisher = tools.start_publisher(*server.publisher(), "--size", PAYLOAD, "--channels", 10,
                                          "--rate", 100,
                                          "--seconds", effort.warm + effort.seconds + 0.5)
        counted = measured(load, publisher, effort)
    published = counted["events"] / (STREAMS / 10)
    if published < 80 * effort.seconds or any(
        counted[name] for name in ("disordered", "gaps", "ended", "refused")
    ):
        raise RuntimeError(f"the streams were not exact: {counted}")
    return 1e6 * sum(counted["cpu"].values()) / published


# --- replay ---

def replay(server_class, effort):
    """All clients come back at once, and each missed the last thousandth of what is retained; next
    to the same events delivered live, and to coming back without having missed any."""
    found, missed = {}, effort.retained // 1000
    with running(server_class) as (server, load):
        publisher = [*server.publisher(), "--size", PAYLOAD]
        tools.publish(*publisher, "--count", effort.retained - missed)
        load.open(effort.many, server.path)
        cursor = _head(server)
        load.begin()
        tools.publish(*publisher, "--count", missed)
        found["live s"] = load.wait(missed)["since_begin"]
        for name, events, since in (("reconnect s", 0, None), ("replay s", missed, cursor)):
            load.close()
            time.sleep(1)
            load.begin()
            load.start_open(effort.many, server.path, since)
            found[name] = load.wait(events)["since_begin"]
        must_be_exact(load.end())
    return found


def scattered_replay(server_class, effort):
    """The same, but what each missed is scattered over all that is retained: every client is in one
    of many channels. With a tenth of the channels, a tenth is retained and as much is delivered."""
    found = {}
    for name, channels in (("scattered over a tenth s", 100), ("scattered s", 1000)):
        with running(server_class) as (server, load):
            missed = effort.retained // 1000
            cursor = _head(server)
            tools.publish(*server.publisher(), "--size", PAYLOAD, "--count", missed * channels,
                          "--channels", channels)
            load.tell(f"kinds {channels}")
            load.begin()
            load.start_open(effort.many, "/sse?session=s%n&channels=%k", cursor)
            found[name] = load.wait(missed)["since_begin"]
    return found


def _head(server):
    with server.broker.commands() as client:
        return client.ask({"op": "publish", "data": 0})["seq"]


# --- keyed events ---

KEYS = 100
RATE = 10_000
IN_TIME_MS = 500
SLOW = 10                    # streams ...
SLOW_SHARE = 0.01            # ... that read so much of what there is
KEYED_BYTES = PAYLOAD + 30   # of an event on a stream
SLOW_KB = 64                 # of the worker: what is read for it at once, and a part more
BUFFERED_BYTES = 500_000     # for a slow reader, before the worker reads its window for it


def keyed(server_class, effort):
    """Readers of keyed events, without and with slow ones among them: what these cost the others,
    and the worker's memory.

    Two sites stand side by side, of which one has slow readers, and get events in turns: so both
    parts of a pair follow each other at once, and nobody has to catch up in between. Every pair
    counts, not one number for all. The control are pairs of the same sites before any reader is
    slow: what their ratios are away from 1 is noise.
    """
    with (_keyed_readers(server_class, STREAMS, SLOW, KEYS) as fast,
          _keyed_readers(server_class, STREAMS, SLOW, KEYS) as slow):
        sites = {"without": Keyed(*fast), "with": Keyed(*slow)}
        rate = _rate_in_time(sites["without"], effort) / 2  # well below what is too much
        control = [_keyed_pair(sites, rate, effort, n) for n in range(effort.pairs // 2)]
        _make_slow(sites["with"], rate)
        pairs = [_keyed_pair(sites, rate, effort, n) for n in range(effort.pairs)]
        skipped, lost = (sites["with"].left_out[name] for name in ("skipped", "lost"))
        at_end = _all_newest(sites["with"].load, sites["with"].sent)
    found = {name: [pair[name] for pair in pairs] for name in pairs[0]}
    return {"events/s": rate, "p99, control": [pair["p99 with ÷ without"] for pair in control],
            **found, "events left out for a slow reader": (skipped + at_end["skipped"]) / SLOW,
            "events left out for one of the others": (lost + at_end["lost"]) / (STREAMS - SLOW)}


class Keyed:
    """A site, the load client of its readers, and how many events it got."""

    def __init__(self, server, load):
        self.server, self.load, self.sent = server, load, 0
        self.left_out = {"skipped": 0, "lost": 0}

    def publish(self, rate, seconds, keys=KEYS):
        """Start a publisher whose events are numbered behind those before."""
        publisher = tools.start_publisher(
            *self.server.publisher(), "--size", PAYLOAD, "--keys", keys, "--rate", rate,
            "--after", self.sent, "--count", int(rate * seconds), "--window", 20000
        )
        self.sent += int(rate * seconds)
        return publisher

    def part(self, rate, warm, seconds):
        """What the load client counted while events came."""
        publisher = self.publish(rate, warm + seconds + 0.2)
        time.sleep(warm)
        self.load.begin()
        time.sleep(seconds)
        counted = self.load.end()
        tools.result(publisher)
        for name in self.left_out:
            self.left_out[name] += counted[name]
        return counted


def _keyed_pair(sites, rate, effort, number):
    """A part of each; which comes first changes from pair to pair."""
    order = ("without", "with") if number % 2 == 0 else ("with", "without")
    counted = {name: sites[name].part(rate, effort.warm / 3, effort.part) for name in order}
    without, with_slow = counted["without"], counted["with"]
    return {"p99 without, ms": without["p99_ms"], "p99 with, ms": with_slow["p99_ms"],
            "p99 with ÷ without": with_slow["p99_ms"] / without["p99_ms"],
            "CPU with ÷ without": _cpu_of_delivery(with_slow) / _cpu_of_delivery(without)}


def _make_slow(site, rate):
    """Until the slow readers are behind by all that is buffered for them."""
    _pace(site.load, rate)
    site.part(rate, 0, 1 + BUFFERED_BYTES / (rate * KEYED_BYTES))


@contextlib.contextmanager
def _keyed_readers(server_class, count, slow, keys):
    with running(server_class) as (server, load):
        load.tell(f"keys {keys}")
        load.tell(f"slow {slow}")
        load.open(count, server.path)
        yield server, load


def _rate_in_time(site, effort):
    """The highest rate, of 10,000/s and its halves, at which all readers are in time."""
    rate = RATE
    while rate > RATE / 100:
        counted = site.part(rate, effort.warm, effort.seconds)
        site.load.newest(site.sent)
        if counted["p99_ms"] < IN_TIME_MS and not counted["lost"]:
            return rate
        rate /= 2
    raise RuntimeError("the readers are in time at no rate")


def slow_memory(server_class, effort):
    """What the worker's memory grows by for each slow reader, when nothing else makes it grow."""
    return {f"{keys} keys": _memory_of_slow(server_class, keys)
            for keys in (KEYS, 10 * KEYS)[:1 if effort.rounds == 1 else 2]}


def _memory_of_slow(server_class, keys, readers=100, rate=2500, full=6, behind=6):
    with _keyed_readers(server_class, readers, readers, keys) as (server, load):
        publisher = Keyed(server, load).publish(rate, full + behind + 0.5, keys)
        time.sleep(full)  # the window is full
        before = tools.memory([server.worker.pid])[0]
        load.begin()
        _pace(load, rate)
        time.sleep(behind)
        after = tools.memory([server.worker.pid])[0]
        _all_newest(load, tools.result(publisher)["events"])
        return (after - before) / readers / 1024


def _pace(load, rate):
    load.tell(f"pace {int(rate * KEYED_BYTES * SLOW_SHARE)}")


def _all_newest(load, sent):
    """The slow readers have caught up; what was counted since the last begin()."""
    load.tell("pace 0")
    load.newest(sent)
    counted = load.end()
    _must_be_newest(counted)
    return counted


def _cpu_of_delivery(counted):
    return sum(counted["cpu"].values()) / counted["events"]


def _must_be_newest(counted):
    must_be_exact({**counted, "lost": 0})  # a reader that is late is spared what is superseded
    if not counted["skipped"]:
        raise RuntimeError("the slow readers were not behind")


def state(server_class, effort):
    """The state of many keys to streams that come back without a cursor; next to the same events
    delivered live, and to coming back when there is no state."""
    found, keys = {}, effort.retained // 100
    with running(server_class) as (server, load):
        load.open(effort.many, server.path)
        _come_back(server, load, effort)
        found |= _until_all_have(load, 0, "reconnect")
        load.begin()
        tools.publish(*server.publisher(), "--size", PAYLOAD, "--keys", keys, "--count", keys)
        found |= _until_all_have(load, keys, "live")
        _come_back(server, load, effort)
        found |= _until_all_have(load, keys, "state")
    return found


def _come_back(server, load, effort):
    load.close()
    time.sleep(1)
    load.begin()
    load.start_open(effort.many, server.path)


def _until_all_have(load, events, name):
    seconds = load.wait(events, 120)["since_begin"]
    counted = load.end()
    must_be_exact(counted)
    return {f"{name} s": seconds, f"{name}, CPU s": sum(counted["cpu"].values())}


# --- memory ---

def memory(effort):
    """What broker and worker take for their limits, by mix of events: resident bytes, less those at
    the start, over the limit."""
    found = {}
    for mix in list(mixes.MIXES)[:effort.mixes]:
        with Bench() as bench:
            broker = Broker(bench, history_bytes=mixes.LIMIT, history_events=10_000_000).start()
            worker = Worker(bench, broker, window_bytes=mixes.LIMIT).start()
            before = {"broker": mixes.own_memory(broker), "worker": mixes.own_memory(worker)}
            after = mixes.measure(broker, worker, mix)
        for program, bytes_before in before.items():
            found[f"{program}: {mix}"] = (after[program] - bytes_before) / mixes.LIMIT
    return found


# --- codecs ---

def codecs():
    """Instructions for each call, counted by callgrind: the same in every run."""
    names = subprocess.run([tools.PROGRAMS / "codecs"], capture_output=True, text=True,
                           check=True).stdout.split()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(names, pool.map(_instructions_per_call, names)))


def _instructions_per_call(name):
    few, more = (_instructions(name, times) for times in (500, 1500))
    return (more - few) / 1000


def _instructions(name, times):
    with Bench() as bench:
        out = bench.folder / "callgrind.out"
        subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
                        tools.PROGRAMS / "codecs", name, str(times)],
                       capture_output=True, check=True)
        for line in out.read_text().splitlines():
            if line.startswith(("summary:", "totals:")):
                return int(line.split()[1])
    raise RuntimeError("callgrind said nothing")
