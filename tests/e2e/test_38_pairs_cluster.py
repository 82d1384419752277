"""Members, webhooks and bridges when brokers, workers and the log's servers go and come back."""

import json
import shutil
import subprocess

import pytest
from support.bridge import Bridge, values
from support.broker import Broker
from support.commands import Commands
from support.fcgi import FastCgi
from support.keys import Keys
from support.mosquitto import Mosquitto
from support.nats import SERVER, NatsCluster, NatsServer
from support.postgres import Postgres
from support.processes import BUILD, MQTT, PGSQL, Program
from support.waiting import wait_until
from support.webhook import SECRET, Receiver
from support.worker import Worker

needs_nats = pytest.mark.skipif(not shutil.which(SERVER), reason="no nats-server")
STORES = ["LMDB", pytest.param("JetStream", marks=needs_nats)]
HALL = {"presence_channels": "hall", "presence_grace": "2s", "presence_settle": "1s",
        "worker_lease": "3s"}


class Place:
    """One broker on LMDB, or two on a shared log; two workers that know all brokers."""

    def __init__(self, bench, store, **options):
        self.bench = bench
        if store == "LMDB":
            self.brokers = [Broker(bench, store=bench.folder / "store", **options).start()]
        else:
            server = NatsServer(bench, "nats").start()
            self.brokers = [Broker(bench, f"broker{n}", store=f"nats://{server.address}",
                                   store_replicas=1, **options).start() for n in range(2)]
        endpoints = {kind: [b.endpoint(kind) for b in self.brokers] for kind in ("feed", "sync")}
        self.workers = [Worker(bench, None, f"worker{n}", heartbeat="300ms", **endpoints).start()
                        for n in range(2)]

    def open(self, session, worker=0, cursor=None):
        more = {"HTTP_LAST_EVENT_ID": cursor} if cursor else {}
        return self.bench.closing(FastCgi(self.workers[worker].socket)).get(
            f"session={session}&channels=hall", **more
        ).wait_open()

    def ask(self, request, n=-1):
        with self.brokers[n].commands() as client:
            return client.demand(request, timeout=40)

    def wait_online(self, sessions, n=-1):
        def online():
            return {c["session"]
                    for c in self.ask({"op": "connections", "limit": 1000}, n)["connections"]}
        wait_until(lambda: online() == set(sessions), timeout=40,
                   what=lambda: f"{sessions}; online {online()}")


@pytest.fixture(params=STORES)
def place(bench, request):
    return Place(bench, request.param, **HALL)


def changes(web):
    return [("+" if e.type == "ssecast.join" else "-") + json.loads(e.data)["session"]
            for e in web.events() if e.type in ("ssecast.join", "ssecast.leave")]


def test_each_member_joins_and_leaves_once_whatever_dies(place):
    watch = place.open("watch")
    streams = {s: place.open(s, n % 2)
               for n, s in enumerate(("anna", "bert", "cleo", "dora", "eric"))}
    everyone = ["+watch", *("+" + s for s in streams)]
    watch.wait(lambda: sorted(changes(watch)) == sorted(everyone), "all have joined")

    place.brokers[0].kill()
    streams.pop("anna").close()               # leaves
    streams["bert"].close()
    streams["bert"] = place.open("bert", 0)    # reloads, at another worker
    place.brokers[0].start()
    streams["fred"] = place.open("fred", 1)    # joins
    watch.wait(lambda: {"-anna", "+fred"} <= set(changes(watch)), "what changed meanwhile",
               timeout=60)

    place.workers[1].kill()                   # dora and fred were there
    streams["fred"] = place.open("fred", 0)    # comes back
    watch.wait(lambda: "-dora" in changes(watch), "one did not come back", timeout=60)
    place.brokers[-1].kill()
    place.brokers[-1].start()
    streams.pop("eric").close()
    watch.wait(lambda: "-eric" in changes(watch), "the last has left", timeout=60)

    seen = changes(watch)
    assert sorted(seen[:6]) == sorted(everyone)
    assert (sorted(seen[6:]) == ["+fred", "-anna", "-dora", "-eric"]
            and seen.index("-eric") == len(seen) - 1)
    assert not [e for e in watch.events() if e.type == "ssecast.gap"]
    for n in range(len(place.brokers)):
        wait_until(lambda n=n: {
            m["session"] for m in place.ask({"op": "members", "channel": "hall"}, n)["members"]
        } == {"watch", "bert", "cleo", "fred"}, timeout=40, what="every broker has the list")


def model_of(receiver):
    """{connection: session} of what was posted; a change must be one."""
    here, last = {}, 0
    for m in receiver.messages:
        if m["number"] <= last:
            continue
        assert m["number"] == last + 1, f"{m} after {last}"
        last = m["number"]
        if m["type"] == "reset":
            here = {}
        elif m["type"] == "connected":
            here[m["connection"]] = m["session"]
        elif m["type"] == "disconnected":
            here.pop(m["connection"], None)
    return here


def test_a_webhook_knows_who_is_online_whatever_dies(bench, place):
    (bench.folder / "secret").write_bytes(SECRET + b"\n")
    receiver = bench.closing(Receiver())
    broker = place.brokers[0]
    process = subprocess.Popen([f"{BUILD}/ssecast", "--commands", broker.endpoint("commands"),
                                "--presence", broker.endpoint("presence"), "--timeout", "2s",
                                "watch", "--webhook", receiver.url, "--secret-file",
                                str(bench.folder / "secret"), "--state",
                                str(bench.subfolder("state"))], stderr=subprocess.DEVNULL)

    def wait_model(*sessions):
        wait_until(lambda: sorted(model_of(receiver).values()) == sorted(sessions), timeout=60,
                   what=lambda: f"{sessions}; have {model_of(receiver)}; {receiver.messages[-6:]}")

    try:
        anna = place.open("anna")
        wait_model("anna")
        for turn, victim in enumerate((place.brokers[-1], broker, broker)):
            receiver.answers = [500, None]
            place.open(f"before{turn}", turn % 2)
            victim.kill()
            during = place.open(f"during{turn}", 0)
            anna.close()
            anna = place.open("anna", 1)
            victim.start()
            wait_model("anna", *(f"before{t}" for t in range(turn + 1)),
                       *(f"during{t}" for t in range(turn)), f"during{turn}")
            assert during.eof is False
        receiver.check_order()
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_webhook_that_crashes_between_a_post_and_its_answer_goes_on_at_the_other_broker(
    bench, place
):
    """At least once: what was posted last comes again, with the numbers that it had. No number is
    given out for two changes."""
    (bench.folder / "secret").write_bytes(SECRET + b"\n")
    receiver = bench.closing(Receiver())
    state = bench.subfolder("state")

    def watch(broker):
        return subprocess.Popen([f"{BUILD}/ssecast", "--commands", broker.endpoint("commands"),
                                 "--presence", broker.endpoint("presence"),
                                 "watch", "--webhook", receiver.url, "--secret-file",
                                 str(bench.folder / "secret"), "--state", str(state)],
                                stderr=subprocess.DEVNULL)

    process, online = watch(place.brokers[0]), []
    try:
        for turn in range(4):
            receiver.delay = 1.0
            before = len(receiver.batches) + receiver.pending
            online.append(f"s{turn}")
            place.open(online[-1], turn % 2)
            wait_until(lambda n=before: len(receiver.batches) + receiver.pending > n,
                       what="a post that has no answer yet")
            process.kill()
            process.wait()
            place.brokers[turn % len(place.brokers)].restart()
            receiver.delay = 0
            process = watch(place.brokers[(turn + 1) % len(place.brokers)])
            wait_until(lambda: sorted(model_of(receiver).values()) == online, timeout=60,
                       what=lambda: f"{online}; have {model_of(receiver)}")
        receiver.check_order()
        given = {}
        for m in receiver.messages:
            assert given.setdefault(m["number"], m) == m
    finally:
        process.kill()
        process.wait()


@needs_nats
def test_a_bridge_with_a_limited_key_loses_nothing_when_brokers_die(bench):
    keys = Keys(bench.folder)
    shop = keys.add("publisher", "shop", "channels=open*")
    operator = keys.add("operator", "admin")
    server = NatsServer(bench, "nats").start()
    brokers = [Broker(bench, f"broker{n}", store=f"nats://{server.address}", store_replicas=1,
                      **keys.broker_options()) for n in range(2)]
    for b in brokers:
        Program.start(b)
    postgres = Postgres(bench, "postgres").start()
    postgres.sql("CREATE TABLE outbox (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, "
                 "channel text, session text, event text, data json, text text, key text, "
                 "remove boolean, ttl int, created timestamptz DEFAULT now(), error text)")
    Bridge(bench, brokers[0], PGSQL, dsn=postgres.dsn, outbox="outbox", statement_timeout="3s",
           poll="300ms", **shop.options()).start()
    for turn in range(3):
        rows = [(f"'{'closed' if n % 10 == 3 else 'open'}'", n)
                for n in range(turn * 100, turn * 100 + 100)]
        postgres.sql("INSERT INTO outbox (channel, "
                     "event, data) VALUES " + ",".join(f"({c}, 'n', '{n}')" for c, n in rows))
        victim = brokers[turn % 2]
        victim.kill()
        Program.start(victim)
    expected = [str(n) for n in range(300) if n % 10 != 3]
    for b in brokers:
        with Commands(b.endpoint("commands"), operator) as client:
            wait_until(lambda c=client: len(c.history(limit=1000)["events"]) >= len(expected),
                       timeout=60, what="all rows that it may publish")
            assert [e["data"] for e in client.history(limit=1000)["events"]] == expected


# The bound of all members together: an eighth of history-bytes

SMALL = "64K"


def counted(web):
    """The number of members that the stream got last, and the names that it has."""
    names, count = set(), None
    for e in web.events():
        data = json.loads(e.data) if e.type.startswith("ssecast.") else {}
        if e.type == "ssecast.members":
            count = data["count"]
        elif e.type == "ssecast.join":
            names.add(data["session"])
        elif e.type == "ssecast.leave":
            names.discard(data["session"])
    return count, names


@needs_nats
def test_the_brokers_of_a_cluster_name_the_same_members_when_not_all_have_room(bench):
    place = Place(bench, "JetStream", history_bytes=SMALL, **HALL)
    watchers = [place.open(f"watch{n}", n) for n in range(2)]
    streams = {f"s{n:02}": place.open(f"s{n:02}", n % 2) for n in range(30)}
    total = len(watchers) + len(streams)

    def listed(n=-1):
        page = place.ask({"op": "members", "channel": "hall", "limit": 1000}, n)
        return page.get("count"), {m["session"] for m in page["members"]}

    def wait_agreed(count):
        """Brokers and pages have the same names, and the same number."""
        def agreed():
            return listed(0) == listed(1) and listed(0)[0] == count
        wait_until(agreed, timeout=60, what=lambda: f"{count}; have {listed(0)} and {listed(1)}")
        for web in watchers:
            web.wait(lambda w=web: counted(w)[1] == listed()[1] and (
                count is None or counted(w)[0] == count
            ), "the same on the page", timeout=60)
        return listed()[1]

    named = wait_agreed(total)
    assert 5 < len(named) < total
    for victim in place.brokers:
        victim.kill()
        victim.start()
        assert wait_agreed(total) == named, "who is named stays named"
    for session in sorted(named & set(streams))[:5]:
        streams.pop(session).close()
    others = wait_agreed(total - 5)
    assert (abs(len(others) - len(named)) <= 1
            and len(others & named) <= len(named) - 5), "others take their places"
    for session in sorted(streams)[: len(streams) - 3]:
        streams.pop(session).close()
    assert wait_agreed(None) == {"watch0", "watch1", *streams}


# The bridge of MQTT


@needs_nats
@pytest.mark.parametrize("how", ["it returns", "the bridge moves"])
def test_messages_of_mqtt_are_published_once_when_a_broker_of_the_cluster_dies(bench, how):
    server = NatsServer(bench, "nats").start()
    brokers = [Broker(bench, f"broker{n}", store=f"nats://{server.address}", store_replicas=1)
               .start() for n in range(2)]
    mosquitto = Mosquitto(bench).start()

    def bridge(n):
        return Bridge(bench, brokers[n], MQTT, f"bridge{n}", server=mosquitto.server,
                      topic="home/#", state=bench.folder / "mqtt.state")

    program = bridge(0).start()
    for turn in range(4):
        mosquitto.publish_lines("home/n", range(turn * 200, turn * 200 + 200))
        if turn == 1:
            brokers[0].kill()
            if how == "it returns":
                Program.start(brokers[0])
            else:
                program.kill()
                program = bridge(1).start()
    for n in (1,) if how == "the bridge moves" else (0, 1):
        wait_until(lambda n=n: len(values(brokers[n])) >= 800, timeout=60,
                   what=lambda n=n: f"all messages; have {len(values(brokers[n]))}")
        assert sorted(values(brokers[n])) == list(range(800)), "none lost, none twice"


# Both bridges, when the log is lost and when its leader is

ROWS = ("CREATE TABLE outbox (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, "
        "channel text, event text, data json, error text)")


class Source:
    """Messages of MQTT, or rows of a table; a bridge of its kind publishes them to a broker. The
    number `first` is added to each."""

    def __init__(self, bench, broker, kind, first=0):
        self.first = first
        self.postgres = self.mosquitto = None
        if kind == "mqtt":
            self.mosquitto = Mosquitto(bench).start()
            Bridge(bench, broker, MQTT, server=self.mosquitto.server, topic="home/#",
                   channel="hall", payload="json", keyed="none",
                   state=bench.folder / "mqtt.state").start()
        else:
            self.postgres = Postgres(bench).start()
            self.postgres.sql(ROWS)
            Bridge(bench, broker, PGSQL, dsn=self.postgres.dsn, outbox="outbox",
                   statement_timeout="3s", poll="300ms").start()

    def put(self, numbers):
        numbers = [self.first + n for n in numbers]
        if self.mosquitto:
            self.mosquitto.publish_lines("home/n", numbers)
        else:
            self.postgres.sql("INSERT INTO outbox (channel, event, data) VALUES "
                              + ",".join(f"('hall', 'mqtt', '{n}')" for n in numbers))


@pytest.mark.parametrize("kind", ["mqtt", "pgsql"])
def test_a_broker_without_a_store_that_restarts_costs_no_message_without_a_gap(bench, kind):
    broker = Broker(bench).start()
    worker = Worker(bench, broker, heartbeat="300ms").start()
    source = Source(bench, broker, kind)
    web = bench.closing(FastCgi(worker.socket)).get("session=anna&channels=hall").wait_open()
    for turn in range(4):
        source.put(range(turn * 50, turn * 50 + 50))
        broker.restart()
        source.put([1000 + turn])
        web.wait(lambda turn=turn: str(1000 + turn) in [e.data for e in web.events()],
                 "what was sent when it was back", timeout=60)
    seen = [int(e.data) for e in web.events() if e.type == "mqtt"]
    missing = {
        n for turn in range(4) for n in (*range(turn * 50, turn * 50 + 50), 1000 + turn)
    } - set(seen)
    assert not missing or any(e.type == "ssecast.gap" for e in web.events()), missing
    if not missing and len(set(seen)) == len(seen):
        order = [n for turn in range(4) for n in (*range(turn * 50, turn * 50 + 50), 1000 + turn)]
        assert kind == "mqtt" or seen == order


@needs_nats
def test_a_new_leader_of_the_log_costs_and_doubles_no_message(bench):
    """Both bridges at once: NATS takes seconds to find a new leader."""
    nats = NatsCluster(bench).start()
    broker = Broker(bench, store=nats.url, store_replicas=3, store_timeout="1s").start()
    sources = [Source(bench, broker, kind, first) for kind, first in (("mqtt", 0), ("pgsql", 1000))]

    def published():
        """What each of them has published, in order."""
        found = values(broker)
        return [n for n in found if n < 1000], [n for n in found if n >= 1000]

    def put(numbers):
        for source in sources:
            source.put(numbers)

    for turn in range(3):
        put(range(turn * 100, turn * 100 + 50))
        leader = wait_until(nats.leader, timeout=40, what="the stream has a leader")
        leader.kill()
        put(range(turn * 100 + 50, turn * 100 + 100))
        wait_until(lambda n=turn * 100 + 100: min(map(len, published())) >= n, timeout=60,
                   what=lambda: f"all messages; have {[len(found) for found in published()]}")
        leader.start()
    of_mqtt, of_pgsql = published()
    assert sorted(of_mqtt) == list(range(300))
    assert of_pgsql == list(range(1000, 1300))
