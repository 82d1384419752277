"""Presence: each change is reported once, also after crashes; snapshots without races; metadata."""

import json
import os
import random
import signal
import subprocess
import threading
import time

import pytest
import zmq
from support import processes
from support.apache import Apache
from support.bench import Bench
from support.broker import Broker
from support.cli import Cli
from support.commands import Refused
from support.lighttpd import Lighttpd
from support.network import Network
from support.presence import Liar, Presence, everybody, take_change
from support.relay import Relay
from support.site import Site
from support.tokens import Issuer
from support.waiting import Deadline, wait_until

CAME = ("connected", "session_online")
META = ["env:REMOTE_ADDR", "user_agent=header:User-Agent", "query:lang"]


def went(cause):
    return f"disconnected:{cause}", f"session_offline:{cause}"


@pytest.fixture(scope="module", params=[Lighttpd, Apache], ids=lambda w: w.name)
def any_site(request):
    with Bench() as b:
        yield Site(b, web=request.param,
                   worker={"heartbeat": "300ms", "queue_bytes": "16M", "meta": META})


@pytest.fixture
def presence(any_site):
    with Presence(any_site.broker) as presence:
        yield presence


SETTLE = {"presence_settle": "1s"}  # both workers report within it, also on a machine that is busy
LEASE = {"worker_lease": "5s"}      # several reports, which come once a second


@pytest.fixture
def pair(bench):
    """Two workers, and a subscriber to presence."""
    site = Site(bench, workers=2, broker={**SETTLE, **LEASE})
    site.presence = bench.closing(Presence(site.broker))
    return site


def kill_broker(site):
    """Wait until every report was acknowledged. Otherwise it would rightly be sent again."""
    site.wait_reported()
    site.broker.kill()


def start_broker(site):
    """With a subscriber before there is a worker: else what it tells first would be lost."""
    for worker in site.workers:
        worker.freeze()
    site.broker.start()
    site.presence.wait_subscribed(site.broker)
    for worker in site.workers:
        worker.thaw()


# Messages


def test_a_stream_s_life(any_site, presence, session):
    before = time.time() * 1000
    reader = any_site.open(session, channels=["x", "y"])
    presence.wait(session, *CAME)
    came, online = [m for m in presence.messages if m["session"] == session]
    assert came["connection"] == online["connection"] == reader.connection
    assert came["channels"] == ["x", "y"] and came["worker"] and came["run"] == online["run"]
    assert (before - 2000 < came["at"] < time.time() * 1000 + 2000
            and abs(came["since"] - came["at"]) < 2000)
    reader.close()
    presence.wait(session, *CAME, *went("client"))
    numbers = [m["n"] for m in presence.messages]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_session_is_online_from_its_first_connection_to_its_last(any_site, presence, session):
    first = any_site.open(session)
    second = any_site.open(session)
    first.close()
    presence.wait(session, *CAME, "connected", "disconnected:client")
    second.close()
    presence.wait(session, *CAME, "connected", "disconnected:client", *went("client"))


def test_a_shutdown_is_the_cause_of_a_disconnect(any_site, presence, session):
    any_site.open(session)
    any_site.commands.shutdown(sessions=[session], block=0)
    presence.wait(session, *CAME, *went("shutdown"))


def test_a_reader_that_is_too_slow(any_site, presence, session):
    lazy = any_site.start_open(session, receive_buffer=4096, paused=True).wait_head()
    presence.wait(session, *CAME)
    deadline = Deadline()
    while len(presence.of(session)) < 3 and not deadline.passed():
        any_site.commands.publish_many(
            [{"event": "m", "text": "x" * 10_000, "to": {"sessions": [session]}}] * 100
        )
    presence.wait(session, *CAME, *went("slow"))
    lazy.close()


def test_a_worker_that_stops(bench):
    site = Site(bench)
    with Presence(site.broker) as presence:
        site.open("anna")
        presence.wait("anna", *CAME)
        site.worker.stop()
        presence.wait("anna", *CAME, *went("drain"))


def test_a_token_that_expires(bench):
    issuer = Issuer(bench.folder / "key")
    site = Site(bench, worker={"session_from": "jwt", "jwt_secret_file": issuer.secret_file,
                               "meta": ["who=jwt:name", "jwt:level"]})
    with Presence(site.broker) as presence:
        site.open(None,
                  query={"token": issuer.token(seconds=3, sub="anna", name="Anna B.", level=7)})
        presence.wait("anna", *CAME, *went("expired"))
        came = next(m for m in presence.messages if m["session"] == "anna")
        assert came["meta"] == {"who": "Anna B.", "level": "7"}


# What dies


def test_a_killed_worker_s_connections_are_lost_once(pair):
    readers = [pair.open(f"s{n}") for n in range(6)]
    held = {c["connection"]: c["session"] for c in everybody(pair.commands)}
    pair.worker.kill()
    prefixes = [r.connection.partition("-")[0] for r in readers if r.connection in held]
    wait_until(lambda: sum(m["type"] == "disconnected" for m in pair.presence.messages) >= 1,
               timeout=30, what="the messages")
    ends = [m for m in pair.presence.messages if m["type"] == "disconnected"]
    assert ({m["cause"] for m in ends} == {"worker_lost"}
            and len({m["connection"] for m in ends}) == len(ends))
    assert len({p for p in prefixes}) == 2
    pair.presence.check(pair.commands)


def test_a_frozen_worker_is_lost_and_comes_back(pair):
    for n in range(4):
        pair.open(f"s{n}")
    pair.worker.freeze()
    wait_until(lambda: any(m.get("cause") == "worker_lost" for m in pair.presence.messages),
               timeout=30, what="lost")
    pair.worker.thaw()
    wait_until(lambda: len(everybody(pair.commands)) == 4, what="all are there again")
    lost = sum(m.get("cause") == "worker_lost" and m["type"] == "disconnected"
               for m in pair.presence.messages)
    wait_until(lambda: sum(m["type"] == "connected" for m in pair.presence.messages) == 4 + lost,
               what="the messages")
    pair.presence.check(pair.commands)


@pytest.mark.parametrize("store", ["memory", "directory"])
def test_the_broker_s_death(bench, store):
    site = Site(bench, workers=2, broker={"store": bench.folder / "history", **SETTLE}
                    if store == "directory" else SETTLE)
    presence = site.presence = bench.closing(Presence(site.broker))
    stays, leaves = [site.open("stays"), site.open("stays")], site.open("leaves")
    presence.wait("leaves", *CAME)
    presence.wait("stays", *CAME, "connected")
    kill_broker(site)
    leaves.close()
    site.open("comes")
    site.open("flits").close()
    start_broker(site)
    presence.wait("comes", *CAME)
    presence.wait("leaves", *CAME, *went("client"))
    presence.wait("flits", *CAME, *went("client"))
    wait_until(lambda: len(everybody(site.commands)) == 3, what="all are known")
    stays.pop().close()
    stays.pop().close()
    presence.wait("stays", *CAME, "connected", "disconnected:client", *went("client"))
    presence.check(site.commands)
    assert len({m["run"] for m in presence.messages}) == 2


def test_the_broker_dies_again_and_again(pair):
    rounds = 4
    for n in range(rounds):
        reader = pair.open(f"s{n}")
        pair.presence.wait(f"s{n}", *CAME)
        kill_broker(pair)
        reader.close()
        pair.open(f"t{n}")
        start_broker(pair)
        pair.presence.wait(f"s{n}", *CAME, *went("client"))
        pair.presence.wait(f"t{n}", *CAME)
    wait_until(lambda: len(everybody(pair.commands)) == rounds, what="all are known")
    pair.presence.check(pair.commands)


def test_a_report_in_full_is_no_storm(bench):
    """A worker that lost its connection to the broker reports in full again, which causes no
    messages."""
    site = SyncRelayed(bench)
    presence = bench.closing(Presence(site.broker))
    readers = [site.open(f"s{n}") for n in range(30)]
    presence.wait("s29", *CAME)
    for n in range(10):
        site.relay.cut()
        readers.pop(0).close()
        readers.append(site.open(f"more{n}"))
    presence.wait("more9", *CAME)
    presence.wait("s9", *CAME, *went("client"))
    wait_until(lambda: len(everybody(site.commands)) == 30, what="all are known")
    presence.check(site.commands)
    assert len([m for m in presence.messages if m["type"] == "connected"]) == 40


class SyncRelayed(Site):
    def endpoints(self):
        self.relay = self.bench.closing(Relay(int(self.broker.endpoint("sync").rpartition(":")[2])))
        return {"sync": f"tcp://127.0.0.1:{self.relay.port}"}


def test_a_session_that_moves_to_another_worker_stays_online(pair):
    old = pair.open("anna")
    new = pair.open("anna")
    while new.connection.partition("-")[0] == old.connection.partition("-")[0]:
        new = pair.open("anna")
    pair.presence.wait_count("anna", 3)
    old.close()
    wait_until(lambda: "disconnected:client" in pair.presence.of("anna"),
               what="the old one is gone")
    assert "session_offline:client" not in pair.presence.of("anna")
    pair.presence.check(pair.commands)


def test_a_worker_of_another_version_is_not_misread(bench):
    broker = Broker(bench).start()
    with zmq.Context() as context, context.socket(zmq.DEALER) as old:
        old.connect(broker.endpoint("sync"))
        for kind, fields in ((3, bytes(8) + b"\3\0old"),
                             (7, bytes(8) + b"\1\0\0\1\1\0a\1\0s" + bytes(10))):
            old.send(b"SSC\1" + bytes([kind, 0, 0, 0]) + fields)
        wait_until(lambda: "protocol version differs" in broker.log(), what="a line in the log")
        assert "protocol=1 ours=5" in broker.log() and not old.poll(300)
    with broker.commands() as commands:
        assert commands.stats()["connections"] == 0 and commands.stats()["sync_invalid"] == 2


# The snapshot


def test_pages_of_the_snapshot(any_site, session):
    readers = [any_site.open(f"{session}-{n}") for n in range(5)]
    any_site.wait_connections(f"{session}-4", 1)
    found, after, more = [], "", True
    while more:
        page = any_site.commands.demand({"op": "presence", "after": after, "limit": 2})
        found += page["connections"]
        after, more = page["connections"][-1]["connection"], page["more"]
    assert {r.connection for r in readers} <= {c["connection"] for c in found}
    assert [c["connection"] for c in found] == sorted(c["connection"] for c in found)
    at = any_site.commands.demand({"op": "presence", "limit": 0})
    assert (at["connections"], at["run"], at["n"], at["more"]) == ([], page["run"], page["n"], True)
    for reader in readers:
        reader.close()


@pytest.mark.parametrize("fields",
                         [{"limit": 1001}, {"limit": -1}, {"after": 1}, {"session": "a"}], ids=str)
def test_a_bad_presence_request_is_refused(any_site, fields):
    with pytest.raises(Refused, match="bad_request"):
        any_site.commands.demand({"op": "presence", **fields})


class Churn:
    """Streams that come and go in the background, and liars' thousands beside them."""

    def __init__(self, broker, liars=2, each=800):
        self._stop, self._threads, self._broker, self._each = threading.Event(), [], broker, each
        self.threads = [threading.Thread(target=self._run, args=(n,)) for n in range(liars)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self.threads:
            thread.join()

    def _run(self, number):
        chance, here = random.Random(number), set()
        liar = Liar(self._broker, f"churn{number}")
        while not self._stop.wait(0.003):
            items = []
            for _ in range(20):
                c = chance.randrange(self._each)
                name, session = f"{c:04x}-{number}", f"s{c % 37}"
                items.append(liar.ended(name, session) if c in here else liar.opened(name, session))
                here ^= {c}
            liar.report(*items)


class Watch:
    """`ssecast watch --json`, its lines as they come."""

    def __init__(self, broker, *args, presence=None):
        self.lines, self.errors, env = [], [], Cli(broker).env
        argv = [processes.CLI, "--presence", presence or broker.endpoint("presence"), "watch",
                "--json", *args]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=env, text=True)
        for stream, lines in ((self.process.stdout, self.lines),
                              (self.process.stderr, self.errors)):
            threading.Thread(target=lambda stream=stream, lines=lines: lines.extend(stream),
                             daemon=True).start()

    def close(self):
        self.process.kill()
        self.process.wait()

    def here(self):
        """The connections according to the messages. Each must have been reported once."""
        here, sessions = {}, {}
        for line in list(self.lines):
            take_change(here, sessions, json.loads(line))
        return here

    def wait_for_truth(self, commands, timeout=40):
        def truth():
            return {c["connection"]: c["session"] for c in everybody(commands)}

        wait_until(lambda: self.here() == truth(), timeout,
                   what=lambda: f"{len(self.here())} are reported, {len(truth())} are connected; "
                   f"errors: {self.errors}", pause=0.2)


@pytest.fixture
def watch(bench):
    """A function that starts `ssecast watch` on a broker."""
    return lambda broker, *args, **options: bench.closing(Watch(broker, *args, **options))


def test_a_snapshot_in_the_middle_of_everything(pair, watch):
    with Churn(pair.broker):
        wait_until(lambda: len(everybody(pair.commands)) > 500, what="a crowd")
        watches = [watch(pair.broker) for _ in range(3)]
        readers = [pair.open(f"real{n}") for n in range(10)]
        for one in watches:
            wait_until(lambda one=one: len(one.lines) > 3000, what="the message")
        for reader in readers[5:]:
            reader.close()
    for one in watches:
        one.wait_for_truth(pair.commands)
        assert not one.errors
    pair.presence.check(pair.commands)


def test_watching_across_the_broker_s_death(pair, watch):
    readers = [pair.open(f"s{n}") for n in range(10)]
    one = watch(pair.broker)
    one.wait_for_truth(pair.commands)
    kill_broker(pair)
    for reader in readers[:3]:
        reader.close()
    pair.open("new")
    pair.broker.start()
    wait_until(lambda: len(everybody(pair.commands)) == 8, what="all are known")
    one.wait_for_truth(pair.commands)
    assert any("restarted" in line for line in one.errors)
    assert sum(json.loads(line)["type"] == "connected" for line in one.lines) == 11


def test_a_worker_that_dies_while_the_broker_is_dead_is_found_gone(pair, watch):
    """No program is left that could report it. A watcher finds it by comparing snapshots."""
    for n in range(6):
        pair.open(f"s{n}")
    one = watch(pair.broker)
    one.wait_for_truth(pair.commands)
    pair.broker.kill()
    pair.worker.kill()
    pair.broker.start()
    wait_until(lambda: len(everybody(pair.commands)) == 3, what="those of the other are known")
    one.wait_for_truth(pair.commands)
    ends = [e for e in map(json.loads, one.lines) if e["type"] == "disconnected"]
    assert len(ends) == 3 and all(e["inferred"] is True for e in ends)


LONG = "x" * 230    # in messages of this size, less than 60,000 of them are more than may wait

def test_a_paused_subscriber_sees_that_messages_are_missing(bench, watch):
    """More than may wait for it: it takes a snapshot, and has it right again; nobody else waits."""
    site = Site(bench, broker=LEASE)
    slow, quick = watch(site.broker), bench.closing(Presence(site.broker))
    wait_until(lambda: site.commands.demand({"op": "presence", "limit": 0})["settled"], timeout=30,
               what="the broker knows everybody")
    site.open("bert")
    slow.wait_for_truth(site.commands)
    time.sleep(3)  # it knows that the broker does: it asks every 2 s
    slow.process.send_signal(signal.SIGSTOP)
    with Liar(site.broker, "crowd") as liar:
        for n in range(30):
            liar.report(*[liar.opened(f"{n:03}-{c:03}", f"s{c}-{LONG}") for c in range(500)])
            liar.report(*[liar.ended(f"{n:03}-{c:03}", f"s{c}-{LONG}") for c in range(500)])
            quick_until = 2000 * n
            wait_until(lambda until=quick_until: len(quick.messages) >= until, timeout=60,
                       what="the other one gets them at once")
        site.open("anna")
        liar.report(*[liar.opened(f"last-{c:03}", f"s{c}") for c in range(300)])
        slow.process.send_signal(signal.SIGCONT)
        wait_until(lambda: liar.report() or any("missed" in line for line in slow.errors),
                   timeout=60, what="it says so")
        slow.wait_for_truth(site.commands)
        liar.report()   # it is not lost meanwhile
        quick.check(site.commands)


# Metadata


def test_what_was_kept_of_the_request(any_site, presence, session):
    any_site.open(session, headers={"User-Agent": 'a \u00e4 browser "x"'}, query={"lang": "de"})
    presence.wait(session, *CAME)
    meta = {"remote_addr": "127.0.0.1", "user_agent": "a \u00e4 browser \"x\"", "lang": "de"}
    [mine] = any_site.commands.connections(session=session)["connections"]
    assert mine["meta"] == meta
    assert next(m for m in presence.messages if m["session"] == session)["meta"] == meta


def test_what_the_request_does_not_have_is_left_out(any_site, session):
    any_site.open(session)
    any_site.wait_connections(session, 1)
    assert set(
        any_site.commands.connections(session=session)["connections"][0]["meta"]
    ) == {"remote_addr"}


def test_long_values_are_cut(any_site, session):
    any_site.open(session, headers={"User-Agent": "x" * 4000})
    any_site.wait_connections(session, 1)
    assert any_site.commands.connections(
        session=session
    )["connections"][0]["meta"]["user_agent"] == "x" * 250


def test_with_meta_none_a_connection_has_no_meta(bench):
    site = Site(bench, worker={"meta": "none"})
    site.open("anna")
    site.wait_connections("anna", 1)
    assert "meta" not in site.commands.connections()["connections"][0]


@pytest.mark.parametrize("meta, problem", [
    (["nowhere:X"], "LABEL=]SOURCE"), (["a b=env:X"], "LABEL=]SOURCE"),
    ([f"env:V{n}" for n in range(9)], "at most 8"),
    (["env:X", "x=query:y"], "this label is used twice"),
])
def test_an_invalid_meta_is_refused_at_the_start(bench, meta, problem):
    argv = [processes.WORKER, "--listen", bench.folder / "w.sock",
            *[a for m in meta for a in ("--meta", m)]]
    done = processes.run(argv)
    assert done.returncode == 2 and problem in done.stderr


def test_how_far_a_reader_has_come(any_site, session):
    lazy = any_site.start_open(session, receive_buffer=4096, paused=True).wait_head()
    quick = any_site.open(session + "-quick")
    any_site.wait_connections(session, 1)

    def lag(of):
        return any_site.commands.connections(session=of)["connections"][0]

    def stalls():
        any_site.commands.publish_many(
            [{"event": "m", "text": "x" * 50_000, "to": {"sessions": [session]}}] * 10
        )
        # a position is reported once a second; what is queued for a moment only is no lag
        time.sleep(1.2)
        mine, head = lag(session), any_site.commands.ping()["head"]
        return mine["queued"] >= 20_000 and mine["lag"] > 2 and mine["sent"] == head - mine["lag"]

    wait_until(stalls, what="the lazy reader lags, and its position and lag add up to the head")
    assert (lag(session + "-quick")["queued"], lag(session + "-quick")["lag"]) == (0, 0)
    lazy.resume()
    wait_until(lambda: (lag(session)["queued"], lag(session)["lag"]) == (0, 0),
               what="it has come after")
    quick.close()
    lazy.close()


# The command line, and the example


def test_watch_for_people(any_site, session):
    any_site.open(session, channels=["x", "y"])
    any_site.wait_connections(session, 1)
    cli = Cli(any_site.broker)
    done = cli("--presence", any_site.broker.endpoint("presence"), "watch", "--session", session,
               "--count", "2").check()
    connected, online = done.lines
    assert connected.split()[2:] == ["connected", session, any_site.commands.connections(
        session=session
    )["connections"][0]["connection"], "x,y", "(already)"]
    assert online.split()[2:] == ["session_online", session, "(already)"] and done.err == ""


def test_watch_without_a_snapshot(any_site, watch, session):
    any_site.open(session + "-before")
    any_site.wait_connections(session + "-before", 1)
    one = watch(any_site.broker, "--no-snapshot")

    def told():
        any_site.open(session).close()
        return any(f'"{session}"' in line for line in one.lines)

    wait_until(told, what="the message")
    assert not any("-before" in line for line in one.lines)
    assert {"run", "n", "type", "at"} <= set(json.loads(one.lines[0]))


def test_a_late_subscription_misses_nothing(pair, watch, bench):
    """Streams come and go while the presence endpoint accepts no connection."""
    wait_until(lambda: pair.commands.demand({"op": "presence", "limit": 0})["settled"], timeout=30,
               what="the broker knows everybody")
    late = bench.closing(Network(int(pair.broker.endpoint("presence").rpartition(":")[2])))
    late.pause_accept()
    with Churn(pair.broker):
        one = watch(pair.broker, presence=f"tcp://127.0.0.1:{late.port}")
        time.sleep(0.4)
        late.resume_accept()
        wait_until(lambda: len(one.lines) > 1000, what="messages")
    one.wait_for_truth(pair.commands)
    assert not one.errors


def test_watch_goes_on_asking_a_broker_that_is_away(bench, watch):
    site = Site(bench)
    site.broker.kill()
    one = watch(site.broker, "--count", "2", "--timeout", "2s")
    wait_until(lambda: any("does not answer" in line for line in one.errors), what="it says so")
    site.broker.start()
    site.open("anna")
    assert one.process.wait(Deadline().seconds) == 0
    assert [json.loads(line)["type"] for line in one.lines] == list(CAME)


def test_the_example_in_python(pair):
    env = processes.clean_environment(SSECAST_COMMANDS=pair.broker.endpoint("commands"),
                                      SSECAST_PRESENCE=pair.broker.endpoint("presence"))
    anna = pair.open("anna", channels=["x"])
    pair.wait_connections("anna", 1)
    lines = []
    with subprocess.Popen([processes.ROOT / "examples/presence/watch.py"], stdout=subprocess.PIPE,
                          env=env, text=True) as example:
        threading.Thread(target=lambda: lines.extend(line.split() for line in example.stdout),
                         daemon=True).start()
        wait_until(lambda: lines, what="the snapshot")
        bert = pair.open("bert")
        wait_until(lambda: len(lines) == 2, what="bert is reported")
        pair.broker.kill()
        anna.close()
        pair.broker.start()
        pair.wait_connections("bert", 1)
        bert.close()
        wait_until(lambda: len([line for line in lines if line[0] == "-"]) == 2, timeout=40,
                   what="both ends are reported")
        os.kill(example.pid, signal.SIGTERM)
    assert [line[:2] for line in lines if line[0] == "+"] == [["+", "anna"], ["+", "bert"]]
    assert sorted(line[1] for line in lines if line[0] == "-") == ["anna", "bert"]
