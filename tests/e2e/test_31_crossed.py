"""Every feature of a stream with every kind of stream: what one kind does differently in the code
must not cost it another feature.

A kind is a worker with options of its own and the way in which it is asked. Streams are opened as
web servers do it, without one.
"""

import contextlib
import itertools
import json
import threading

import pytest
from support.bench import Bench
from support.broker import Broker
from support.fcgi import FastCgi
from support.tokens import Issuer
from support.waiting import wait_until
from support.worker import Worker

COMMON = {"heartbeat": "300ms", "retry": "300ms", "queue_bytes": "128K", "max_per_session": 2}
JWT = {"session_from": "jwt"}
ADDRESS, RATE = {"max_per_address": 3}, {"connect_rate": 100}
META = {"meta": ["address=env:REMOTE_ADDR", "agent=header:User-Agent"]}
BUNDLED = {"SERVER_SOFTWARE": "lighttpd/1.4.69"}

# name: options of the worker, the query, more parameters
KINDS = {
    "plain": ({}, "", {}),
    "token": (JWT, "", {}),
    "per-address": (ADDRESS, "", {}),
    "connect-rate": (RATE, "", {}),
    "metadata": (META, "", {}),
    "no-checkpoints": ({}, "checkpoints=false", {}),
    "bundled": ({}, "", BUNDLED),
    "all-of-them": ({**JWT, **ADDRESS, **RATE, **META}, "", BUNDLED),
    "all-but-checkpoints": ({**JWT, **ADDRESS, **RATE, **META}, "checkpoints=false", BUNDLED),
}


class Kind:
    def __init__(self, bench, broker, name):
        options, self.query, self.more = KINDS[name]
        self.name, self.broker, self.options, self._addresses = name, broker, {
            **COMMON, **options
        }, itertools.count(1)
        self.issuer = Issuer(bench.folder / f"{name}.key") if "session_from" in options else None
        if self.issuer:
            self.options["jwt_secret_file"] = self.issuer.secret_file
        self.worker = Worker(bench, broker, name, **self.options).start()
        self.commands = bench.closing(broker.commands())
        self._open = contextlib.ExitStack()

    def close_streams(self):
        self._open.close()

    def address(self):
        """One that no other stream has."""
        n = next(self._addresses)
        return f"192.0.{n // 256}.{n % 256}"

    def ask(self, session, last_id=None, seconds=3600, address=None):
        """Ask for a stream, and do not wait."""
        who = (f"token={self.issuer.token(seconds, sub=session)}"
               if self.issuer else f"session={session}")
        query = "&".join(part for part in (who, "channels=room", self.query) if part)
        more = {"REMOTE_ADDR": address or self.address(), "HTTP_USER_AGENT": "crossed", **self.more}
        if last_id:
            more["HTTP_LAST_EVENT_ID"] = last_id
        return self._open.enter_context(FastCgi(self.worker.socket)).get(query, **more)

    def open(self, session, **how):
        return self.ask(session, **how).wait_open()

    def open_and_known(self, session):
        """Open a stream and wait until the broker knows it."""
        web = self.open(session)
        wait_until(lambda: self.commands.connections_of(session) == 1, what="it is online")
        return web

    def publish(self, session, data):
        return self.commands.publish("m", data=data, to={"sessions": [session]})["seq"]

    def stat(self, name):
        """Of this kind's worker, once it has reported to a broker that the test before may have
        restarted."""
        def mine():
            return next(
                (w for w in self.commands.workers() if f"-{self.worker.pid}-" in w["worker"]), None
            )

        return wait_until(mine, what="the broker lists the worker")[name]


@pytest.fixture(scope="module")
def broker(bench_of_all):
    return Broker(bench_of_all).start()


@pytest.fixture(scope="module")
def kinds(bench_of_all, broker):
    made = {}

    def get(name):
        if name not in made:
            made[name] = Kind(bench_of_all, broker, name)
        return made[name]
    return get


def settle(kind):
    """Until the worker has seen what was published before: the kinds share a broker and a
    channel."""
    web = kind.open_and_known("settle")
    kind.publish("settle", 0)
    web.wait(lambda: 0 in data_of(web), "the worker is up to date")
    web.close()


@pytest.fixture(params=KINDS)
def kind(request, kinds):
    kind = kinds(request.param)
    settle(kind)
    yield kind
    kind.close_streams()


def cursor(web):
    return web.decoded()[0].last_event_id


def data_of(web, type="m"):
    return [json.loads(e.data) for e in web.events() if e.type == type]


def wait_data(web, *data):
    web.wait(lambda: len(data_of(web)) >= len(data), f"the events {data}")
    assert data_of(web) == list(data)


def test_it_is_kept_alive_and_its_cursor_moves(kind, session):
    web = kind.open(session)
    web.wait(lambda: web.decoded()[0].comments >= 2, "2 comments")
    seq = kind.publish("another", 1)
    web.wait(lambda: cursor(web) == str(seq), f"the cursor at {seq}")
    if "checkpoints=false" in kind.query:
        assert b"ssecast.checkpoint" not in web.body
    else:
        assert json.loads(web.decoded()[0].about) == {"connection": web.head["ssecast-connection"],
                                                      "heartbeat": 300}
        assert b"event: ssecast.checkpoint\nid: %d\ndata: {}\n\n" % seq in web.body


def test_it_is_sent_what_concerns_it_in_order(kind, session):
    web = kind.open(session)
    sent = [{"event": "m", "data": n, "to": to} for n, to in enumerate(
        [{"sessions": [session]}, {"channels": ["room"]}, {"sessions": ["another"]},
         {"connections": [web.head["ssecast-connection"]]}] * 5)]
    kind.commands.publish_batch(sent)
    wait_data(web, *[n for n in range(20) if n % 4 != 2])


@pytest.mark.parametrize("read_by", ["window", "broker"])
def test_it_resumes_exactly(kind, session, read_by):
    web = kind.open(session)
    begin = cursor(web)
    for n in range(5):
        seq = kind.publish(session, n)
    wait_data(web, *range(5))
    web.close()
    if read_by == "broker":
        kind.worker.restart()  # its window is empty then
    for n in range(5, 10):
        kind.publish(session, n)
    wait_data(kind.open(session, last_id=str(seq)), *range(5, 10))
    wait_data(kind.open(session, last_id=begin), *range(10))


def test_a_lost_sequence_is_reported_and_then_its_position(kind, session):
    # the worker has heard that the test before restarted the broker
    kind.open_and_known(f"{session}-before")
    web = kind.open(session)
    kind.publish(session, "before")
    wait_data(web, "before")
    before = len(web.decoded()[0].checkpoints)
    kind.broker.restart()  # which keeps nothing on a disk
    web.wait(lambda: len(web.decoded()[0].checkpoints) > before, "a checkpoint")
    assert [e.type for e in web.events()] == ["m", "ssecast.gap"]
    kind.publish(session, "after")
    wait_data(web, "before", "after")


def test_a_slow_reader_is_cut_in_order_and_resumes_exactly(kind, session):
    before = kind.stat("ends_slow")
    web = kind.open_and_known(session)
    total = 200  # 2 MB: more than the socket and queue-bytes hold
    for first in range(0, total, 20):
        kind.commands.publish_many([{"event": "m", "data": [first + n, "x" * 10000],
                                     "to": {"sessions": [session]}} for n in range(20)])
    wait_until(lambda: kind.stat("ends_slow") == before + 1, what="one cut as slow")
    web.wait_end()
    seen = [n for n, _ in data_of(web)]
    back = kind.open(session, last_id=cursor(web))
    back.wait(lambda: len(data_of(back)) >= total - len(seen), "the rest")
    assert 0 < len(seen) < total and seen + [n for n, _ in data_of(back)] == list(range(total))
    assert not [e for e in back.events() if e.type == "ssecast.gap"]


def test_a_shutdown_ends_it_and_keeps_it_away(kind, session):
    before = kind.stat("ends_shutdown")
    web = kind.open_and_known(session)
    kind.publish(session, "last words")
    assert kind.commands.shutdown(sessions=[session], reason="logout", block=60)["closed"] == 1
    web.wait_end()
    assert [e.type for e in web.events()] == ["m", "ssecast.shutdown"]
    assert kind.ask(session).wait_end().head["status"] == 204
    wait_until(lambda: kind.stat("ends_shutdown") == before + 1, what="it is counted")


def test_a_worker_that_stops_ends_it_in_order(kind, session):
    web = kind.open(session)
    kind.publish(session, 1)
    wait_data(web, 1)
    stopping = threading.Thread(target=kind.worker.stop)
    stopping.start()
    web.wait_end()
    stopping.join()
    assert 30 <= web.decoded()[0].retry <= 300 and [e.type for e in web.events()] == ["m"]
    kind.publish(session, 2)
    kind.worker.start()
    wait_data(kind.open(session, last_id=cursor(web)), 2)


def test_the_oldest_of_a_session_makes_way(kind, session):
    before = kind.stat("ends_replaced")
    first, second, third = (kind.open(session) for _ in range(3))
    first.wait_end()
    assert ([e.type for e in first.events()] == ["ssecast.replaced"]
            and 300 <= first.decoded()[0].retry <= 3000)
    kind.publish(session, 1)
    wait_data(second, 1)
    wait_data(third, 1)
    wait_until(lambda: kind.stat("ends_replaced") == before + 1, what="it is counted")


def test_an_address_has_so_many_streams_as_it_may(kind, session):
    most = kind.options.get("max_per_address")
    address = kind.address()
    webs = [kind.open(f"{session}-{n}", address=address) for n in range(3)]
    late = kind.ask(f"{session}-late", address=address)
    if most:
        assert late.wait_end().body.startswith(b"retry: ") and not late.decoded()[0].checkpoints
        webs[0].close()
        wait_until(lambda: kind.commands.connections_of(f"{session}-0") == 0, what="room")
        kind.open(f"{session}-later", address=address)
    else:
        late.wait_open()


def test_its_token_ends_it(kind, session):
    web = kind.open(session, seconds=2)
    if kind.issuer:
        web.wait_end()
        assert [(e.type, e.data) for e in web.events()] == [
            ("ssecast.expired", '{"reason":"expired"}')
        ]
        wait_until(lambda: kind.commands.connections_of(session) == 0, what="it is offline")
    else:
        web.wait(lambda: web.decoded()[0].comments >= 8, "more than two seconds of comments")
        assert kind.commands.connections_of(session) == 1


def test_the_broker_knows_it_and_its_end(kind, session):
    web = kind.open(session, address="192.0.2.77")
    wait_until(lambda: kind.commands.connections_of(session) == 1, what="it is online")
    [known] = kind.commands.connections(session=session)["connections"]
    assert (known["connection"], known["channels"]) == (web.head["ssecast-connection"], ["room"])
    assert known["meta"] == ({"address": "192.0.2.77", "agent": "crossed"}
                             if "meta" in kind.options else {"remote_addr": "192.0.2.77"})
    web.close()
    wait_until(lambda: kind.commands.connections_of(session) == 0, what="it is gone")
