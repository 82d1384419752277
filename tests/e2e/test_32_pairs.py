"""Features that share code, two and three at a time: readers that are behind, the state of keys
while it is sent, and what ends a stream."""

import json
import shutil
import signal

import pytest
from support.broker import Broker
from support.fcgi import FastCgi
from support.nats import SERVER, NatsServer
from support.tokens import Issuer
from support.waiting import wait_until
from support.worker import Worker

needs_nats = pytest.mark.skipif(not shutil.which(SERVER), reason="no nats-server")

FILL = "x" * 10_000
KEYS = 4
OPTIONS = {"heartbeat": "300ms", "retry": "300ms", "queue_bytes": "128K", "write_timeout": "60s"}


class Page:
    """A client's view of the values over all its connections: the newest number of each key; it
    only goes up."""

    def __init__(self):
        self.values, self.cursor = {}, None

    def take(self, web):
        """What a stream has been sent. Values come whole or not at all."""
        decoder, events = web.decoded()
        for e in events:
            if e.type == "m":
                key, n = json.loads(e.data)[:2]
                assert n > self.values.get(key, -1), f"{key}: {n} after {self.values[key]}"
                self.values[key] = n
        self.cursor = decoder.last_event_id or self.cursor
        return [e.type for e in events if e.type != "m"]


class Pairs:
    """A broker (or two on a shared log) and workers, without a web server: readers are as slow as a
    test wants."""

    def __init__(self, bench, brokers, **worker):
        self.bench, self.brokers = bench, brokers
        self.issuer = Issuer(bench.folder / "jwt.key")
        options = {**OPTIONS, "session_from": ["query:session", "jwt"],
                   "jwt_secret_file": self.issuer.secret_file,
                   "feed": [b.endpoint("feed") for b in brokers],
                   "sync": [b.endpoint("sync") for b in brokers], **worker}
        self.workers = [Worker(bench, None, f"worker{n}", **options).start() for n in range(2)]
        self.clients = [bench.closing(b.commands()) for b in brokers]
        self.numbers = {}

    @property
    def commands(self):
        return self.clients[0]

    def ask(self, session="anna", worker=0, cursor=None, seconds=None, **more):
        who = (f"token={self.issuer.token(seconds, sub=session)}"
               if seconds else f"session={session}")
        if cursor:
            more["HTTP_LAST_EVENT_ID"] = cursor
        return self.bench.closing(FastCgi(self.workers[worker].socket)).get(
            who + "&channels=room", **more
        )

    def open(self, session="anna", **how):
        web = self.ask(session, **how).wait_open()
        wait_until(lambda: self.knows(web), what="the broker knows it")
        return web

    def knows(self, web, client=None):
        connections = (client or self.commands).connections(limit=1000)["connections"]
        return web.head["ssecast-connection"] in [c["connection"] for c in connections]

    def values(self, rounds, keys=KEYS, client=None, fill=FILL, **more):
        """Publish a new value of each key, several times."""
        for _ in range(rounds):
            batch = []
            for k in range(keys):
                self.numbers[k] = self.numbers.get(k, -1) + 1
                batch.append({"event": "m", "key": f"k{k}", "data": [k, self.numbers[k], fill],
                              "to": {"channels": ["room"]}, **more})
            (client or self.commands).publish_batch(batch)

    def worker_stat(self, name, n=0, client=None):
        workers = (client or self.commands).workers()
        return next((w[name] for w in workers if f"-{self.workers[n].pid}-" in w["worker"]), 0)

    def fall_behind(self, *webs, before=0, client=None):
        """Publish until that many streams of the first worker are behind."""
        def behind():
            self.values(10, client=client)
            return self.worker_stat("streams_behind", client=client) >= before + len(webs)
        wait_until(behind, what="behind")

    def settle(self, worker=0, client=None):
        """Until the worker has everything."""
        with FastCgi(self.workers[worker].socket) as web:
            web.get("session=settle").wait_open()
            (client or self.commands).publish("settle", data=0, to={"sessions": ["settle"]})
            web.wait(lambda: "settle" in [e.type for e in web.events()], "the mark")

    def wait_newest(self, web, page):
        """Until the page shows the newest values."""
        web.wait(lambda: self.shows_newest(web), f"the newest values {self.numbers}")
        others = page.take(web)
        assert page.values == self.numbers
        return others

    def shows_newest(self, web):
        shown = {}
        for e in web.events():
            if e.type == "m":
                shown.update([json.loads(e.data)[:2]])
        return shown.items() >= self.numbers.items()


@pytest.fixture(params=["memory", "LMDB"])
def broker(bench, request):
    more = {"store": bench.folder / "store"} if request.param == "LMDB" else {}
    made = Broker(bench, **more).start()
    made.durable = bool(more)
    return made


def gaps(others):
    return others.count("ssecast.gap")


# A reader that is behind

def test_a_token_ends_a_reader_that_is_behind(bench, broker):
    site, page = Pairs(bench, [broker], max_per_address=1), Page()
    web = site.open(seconds=4)
    site.fall_behind(web)
    wait_until(lambda: site.commands.connections_of("anna") == 0, what="its token has ended it")
    assert site.worker_stat("ends_expired") == 1
    # of the same address, while the first one's reader still takes nothing
    back = site.open(seconds=600, cursor=None)
    site.values(1)
    web.wait_end()
    assert page.take(web) == ["ssecast.expired"]
    back.close()
    wait_until(lambda: site.commands.connections_of("anna") == 0, what="it is gone")
    assert gaps(site.wait_newest(site.open(seconds=600, cursor=page.cursor), page)) == 0


def test_a_newer_stream_replaces_a_reader_that_is_behind(bench, broker):
    site, page = Pairs(bench, [broker], max_per_session=1, max_per_address=1), Page()
    web = site.open()
    site.fall_behind(web)
    other = site.open()
    wait_until(lambda: site.commands.connections_of("anna") == 1, what="the first one has made way")
    site.values(1)
    web.wait_end()
    assert page.take(web) == ["ssecast.replaced"]
    other.close()
    wait_until(lambda: site.commands.connections_of("anna") == 0, what="it is gone")
    back = site.open(cursor=page.cursor, worker=1)
    assert gaps(site.wait_newest(back, page)) == 0


@pytest.mark.parametrize("published", ["before", "after", "both"])
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_the_broker_comes_back_while_a_reader_is_behind(bench, broker, end, published):
    site, page = Pairs(bench, [broker]), Page()
    web, quick = site.open(), site.open("bert")
    site.fall_behind(web)
    if published != "after":
        site.values(3)
    for _ in range(2):
        getattr(broker, end)()
        broker.start()
        wait_until(lambda: site.knows(quick), what="the worker is back")
        if published != "before":
            site.values(3)
    site.settle()
    if published == "before" and not broker.durable:
        web.wait(lambda: "ssecast.gap" in [e.type for e in web.events()], "a gap")
        site.values(1)
    others = site.wait_newest(web, page)
    assert (gaps(others) > 0) == (not broker.durable) and set(others) <= {"ssecast.gap"}
    site.values(1)
    web.wait(lambda: site.shows_newest(web), "it is live")
    assert site.commands.stats()["ends_slow"] == 0


@needs_nats
def test_the_broker_of_a_reader_that_is_behind_dies_and_another_takes_over(bench):
    server = NatsServer(bench, "nats").start()
    brokers = [Broker(bench, f"broker{n}", store=f"nats://{server.address}", store_replicas=1)
               .start() for n in range(2)]
    site, page = Pairs(bench, brokers), Page()
    web = site.open()
    site.fall_behind(web, client=site.clients[0])
    for victim in (0, 1):
        other = site.clients[1 - victim]
        brokers[victim].kill()
        site.values(30, client=other)
        wait_until(lambda c=other: site.knows(web, c), timeout=40, what="the other broker knows it")
        brokers[victim].start()
        site.clients[victim] = bench.closing(brokers[victim].commands())
    site.settle(client=site.clients[0])
    assert site.wait_newest(web, page) == []


def test_a_key_is_removed_and_another_expires_behind_a_reader(bench, broker):
    """A removal reaches the reader as the newest of its key; an expired value does not."""
    site = Pairs(bench, [broker])
    web = site.open()
    site.fall_behind(web)
    site.commands.publish("m", key="k0", data=[0, 10_000_000, "gone"], remove=True,
                          to={"channels": ["room"]})
    site.commands.publish("m", key="k1", data=[1, 10_000_000, "soon over"], ttl=1,
                          to={"channels": ["room"]})
    wait_until(
        lambda: [k["key"] for k in site.commands.demand({"op": "state"})["keys"]] == ["k2", "k3"],
        what="two keys are left"
    )
    end = site.commands.publish("end", data=0, to={"channels": ["room"]})["seq"]
    site.settle()
    web.wait(lambda: web.decoded()[0].last_event_id == str(end), "the end")
    page = Page()
    assert page.take(web) == ["end"]
    assert page.values[0] == 10_000_000 and page.values[1] != 10_000_000
    assert {k: page.values[k] for k in (2, 3)} == {k: site.numbers[k] for k in (2, 3)}


# The state, while it is sent

MANY, VALUE = 1500, "y" * 1000


@pytest.fixture
def stateful(bench, broker):
    site = Pairs(bench, [broker])
    site.values(2, keys=MANY, fill=VALUE)
    site.settle(0)
    site.settle(1)
    return site


def begun(site, session="anna", **how):
    """A stream whose state is sent, to a reader that takes little of it."""
    web = site.ask(session, **how)
    web.wait(web.events, "the first values")
    assert not web.decoded()[0].checkpoints
    wait_until(lambda: site.knows(web), what="the broker knows it")
    return web


def test_a_drain_within_the_state(stateful):
    site, page = stateful, Page()
    web = begun(site)
    site.workers[0].expect_end()
    site.workers[0].signal(signal.SIGTERM)
    wait_until(lambda: site.commands.connections_of("anna") == 0, what="it has ended")
    site.values(1, keys=MANY, fill=VALUE)
    web.wait(lambda: web.status is not None or web.eof, "its end")
    assert page.take(web) == [] and page.cursor is None and web.decoded()[0].retry
    site.workers[0].wait()
    back = site.ask(worker=1)
    fresh = Page()
    assert site.wait_newest(back, fresh) == []
    assert all(fresh.values[k] > n for k, n in page.values.items())


@pytest.mark.parametrize("whom", ["sessions", "channels", "block"])
def test_a_shutdown_within_the_state(stateful, whom):
    site, page = stateful, Page()
    web = begun(site)
    named = {"channels": ["room"]} if whom == "channels" else {"sessions": ["anna"]}
    assert site.commands.shutdown(reason="over",
                                  block=60 if whom == "block" else 0, **named)["closed"] == 1
    site.values(1, keys=MANY, fill=VALUE)
    web.wait_end()
    others = page.take(web)
    assert others == ["ssecast.shutdown"]
    wait_until(lambda: site.commands.connections_of("anna") == 0, what="it has ended")
    if whom == "block":
        assert site.ask(worker=1).wait_end().head["status"] == 204
        site.commands.unban("anna")
        site.settle(1)
    back = site.ask(worker=1, cursor=page.cursor)
    assert site.wait_newest(back, page if page.cursor else Page()) == []


def test_the_broker_restarts_within_the_state(stateful):
    site, page = stateful, Page()
    web = begun(site)
    broker = site.brokers[0]
    broker.kill()
    broker.start()
    site.settle(0)
    if broker.durable:
        assert site.wait_newest(web, page) == []
    else:
        site.numbers = {}
        site.values(1)
        web.wait(lambda: web.status is not None or "ssecast.gap" in [e.type for e in web.events()],
                 "its end, or a gap")
        if web.status is None:
            web.wait(lambda: site.shows_newest(web), "the state again")
        else:
            assert (web.decoded()[0].last_event_id == ""
                    and site.wait_newest(site.ask(), Page()) == [])


def test_a_token_expires_within_the_state(stateful):
    site, page = stateful, Page()
    web = begun(site, seconds=3)
    wait_until(lambda: site.commands.connections_of("anna") == 0, what="its token has ended it")
    web.wait_end()
    assert page.take(web) == ["ssecast.expired"] and page.cursor is None
    assert site.wait_newest(site.ask(seconds=600), Page()) == []


# Own ids

def replaced(site, web, page, client):
    """A value with an own id, then newer ones, while the reader is behind. The value is published
    again, and again after the newest."""
    first = client.publish("m", key="k0", data=[0, 10_000_000, "first"], id="order-1",
                           to={"channels": ["room"]})
    newest = client.publish("m", key="k0", data=[0, 10_000_001, "newest"], id="order-2",
                            to={"channels": ["room"]})
    for own, reply, data in (("order-1", first, [0, 10_000_000, "first"]),
                             ("order-2", newest, [0, 10_000_001, "newest"]),
                             ("order-1", first, [0, 10_000_002, "other data"])):
        again = client.publish("m", key="k0", data=data, id=own, to={"channels": ["room"]})
        assert again == {"ok": True, "seq": reply["seq"], "online": 0, "duplicate": True,
                         "ref": again["ref"]}
    assert [k["data"] for k in client.demand({"op": "state", "prefix": "k0"})["keys"]] == [
        '[0, 10000001, "newest"]'
    ]
    site.numbers[0] = 10_000_001
    site.settle(client=client)
    assert site.wait_newest(web, page) == []
    seen = [e for e in web.events() if json.loads(e.data)[:2] in ([0, 10_000_000], [0, 10_000_001])]
    assert [e.id for e in seen][-1] == "order-2" and len(seen) <= 2


def test_what_is_published_twice_behind_a_reader_comes_once(bench, broker):
    site, page = Pairs(bench, [broker]), Page()
    web = site.open()
    site.fall_behind(web)
    replaced(site, web, page, site.commands)
    web.close()
    # it was replaced, and is a place to go on from all the same
    back = site.open(cursor="order-1", worker=1)
    end = site.commands.publish("end", data=0, to={"channels": ["room"]})["seq"]
    back.wait(lambda: back.decoded()[0].last_event_id == str(end), "the end")
    assert [(e.type, e.id) for e in back.events()] == [("m", "order-2"), ("end", str(end))]


def test_what_is_published_twice_after_a_restart_comes_once(bench):
    """Of a broker with a store."""
    broker = Broker(bench, store=bench.folder / "store").start()
    site, page = Pairs(bench, [broker]), Page()
    web, quick = site.open(), site.open("bert")
    site.fall_behind(web)
    site.commands.publish("m", key="k0", data=[0, 5_000_000, "before"], id="order-0",
                          to={"channels": ["room"]})
    broker.kill()
    broker.start()
    wait_until(lambda: site.knows(quick), what="the worker is back")
    assert site.commands.publish("m", key="k0", data=[0, 5_000_000, "before"], id="order-0",
                                 to={"channels": ["room"]})["duplicate"]
    replaced(site, web, page, site.commands)


@needs_nats
def test_what_is_published_twice_at_two_brokers_comes_once(bench):
    server = NatsServer(bench, "nats").start()
    brokers = [Broker(bench, f"broker{n}", store=f"nats://{server.address}", store_replicas=1)
               .start() for n in range(2)]
    site, page = Pairs(bench, brokers), Page()
    web = site.open()
    site.fall_behind(web, client=site.clients[0])
    site.clients[0].publish("m", key="k0", data=[0, 5_000_000, "before"], id="order-0",
                            to={"channels": ["room"]})
    assert site.clients[1].publish("m", key="k0", data=[0, 5_000_000, "before"], id="order-0",
                                   to={"channels": ["room"]})["duplicate"]
    replaced(site, web, page, site.clients[1])
