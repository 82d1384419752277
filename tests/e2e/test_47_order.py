"""What workers and broker tell each other about streams: which were opened before a shutdown,
however late it comes; reports of any size; workers that end, and brokers that stand still."""

import threading
import time

import pytest
from support.broker import Broker
from support.clocks import Clock, set_clock
from support.fcgi import STDIN, FastCgi, begin, environment, params, record
from support.network import Network
from support.ports import free_port
from support.presence import Liar, Presence, everybody
from support.processes import WORKER, run
from support.reader import wait_all
from support.site import Site
from support.tokens import Issuer
from support.waiting import wait_until
from support.worker import Worker

CLOCKS = ["+0", "+1h", "-1h"]
CHANNEL = {"channels": ["x"]}


class Stretched(Site):
    """A site whose worker reaches the broker through networks that can stall."""

    def endpoints(self):
        self.networks = [self.bench.closing(
            Network(int(self.broker.endpoint(name).rpartition(":")[2]))
        ) for name in ("feed", "sync")]
        return {name: f"tcp://127.0.0.1:{network.port}"
                for name, network in zip(("feed", "sync"), self.networks, strict=True)}

    def stall(self):
        for network in self.networks:
            stalled = threading.Event()
            network.stall()
            network.call(stalled.set)
            assert stalled.wait(10)

    def go_on(self):
        for network in self.networks:
            network.go_on()

    def cut(self):
        """What is on its way is lost."""
        for network in self.networks:
            network.cut()

    def shut_down(self, **names):
        """It is acknowledged, and longer ago than the worker's measure of the clocks can be wrong:
        by as much as the fastest recent message took. Here the networks are threads of this
        process, which take some ms on a busy machine."""
        with self.broker.commands() as client:
            client.shutdown(block=0, **names)
        time.sleep(0.1)

    def known(self, count):
        """The broker has the clock and the streams of its worker, as it has in each second."""
        with self.broker.commands() as client:
            wait_until(lambda: len(everybody(client)) == count, what=f"{count} connections")


@pytest.fixture(params=CLOCKS)
def stretched(bench, request):
    """Of a broker whose clock is right, an hour ahead, or an hour behind."""
    site = Stretched(bench, broker={"store": bench.folder / "history"})
    if request.param != "+0":
        set_clock(site.broker, request.param)
        site.broker.restart()
    site.commands = bench.closing(site.broker.commands())
    site.open("first")
    site.known(1)
    return site


def is_ended(reader):
    reader.wait_type("ssecast.shutdown")
    reader.wait_end()


def stay(site, readers):
    """They are there after everything that came before, and hear what follows."""
    with site.broker.commands() as client:
        client.publish("after", data=1)
    wait_all(readers, lambda r: "after" in r.types(), "they are there")
    assert all(r.types() == ["after"] and r.opens == 1 for r in readers)


def names_for(naming, reader):
    return {"session": {"sessions": ["anna"]}, "channel": CHANNEL,
            "connection": {"connections": [reader.connection]}}[naming]


def test_streams_opened_after_a_shutdown_was_acknowledged_stay(stretched):
    stretched.stall()
    stretched.shut_down(sessions=["anna"], **CHANNEL)
    readers = [stretched.open("anna" if n % 2 else f"s{n}", channels=["x"]) for n in range(10)]
    time.sleep(0.5)
    stretched.go_on()
    stay(stretched, readers)


@pytest.mark.parametrize("naming", ["session", "channel", "connection"])
def test_a_shutdown_that_comes_late_ends_exactly_what_was_opened_before(stretched, naming):
    told = stretched.open("anna", channels=["x"])
    stretched.known(2)
    stretched.stall()
    untold = stretched.open("anna", channels=["x"])
    stretched.shut_down(**names_for(naming, untold))
    after = stretched.open("anna", channels=["x"])
    time.sleep(0.3)
    stretched.go_on()
    is_ended(untold)
    if naming != "connection":
        is_ended(told)
    stay(stretched, [after] if naming != "connection" else [told, after])


@pytest.mark.parametrize("later", CLOCKS)
@pytest.mark.parametrize("naming", ["session", "channel", "connection"])
def test_a_shutdown_that_only_the_store_has(bench, naming, later):
    """The broker dies before any worker has heard of it, and comes back with another clock."""
    site = Stretched(bench, broker={"store": bench.folder / "history"})
    told = site.open("anna", channels=["x"])
    site.known(1)
    site.stall()
    untold = site.open("anna", channels=["x"])
    site.shut_down(**names_for(naming, untold))
    site.broker.kill()
    site.cut()
    after = site.open("anna", channels=["x"])
    set_clock(site.broker, later)
    site.broker.start()
    is_ended(untold)
    if naming != "connection":
        is_ended(told)
    stay(site, [after] if naming != "connection" else [told, after])


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("naming", ["session", "channel", "connection"])
def test_a_worker_that_has_no_broker_yet(bench, naming, clock):
    broker = Broker(bench, store=bench.folder / "history")
    set_clock(broker, clock)
    broker.start()
    networks = {name: bench.closing(Network(free_port())) for name in ("feed", "sync")}
    worker = Worker(bench,
                    **{name: f"tcp://127.0.0.1:{n.port}" for name, n in networks.items()}).start()
    with (broker.commands() as client, FastCgi(worker.socket) as before,
          FastCgi(worker.socket) as after, FastCgi(worker.socket) as other):
        client.shutdown(sessions=["other"], block=0)
        time.sleep(0.1)
        for stream, session in ((before, "anna"), (other, "other")):
            stream.get(f"session={session}&channels=x{session}").wait_text("retry:")
        time.sleep(0.1)
        connection = before.head["ssecast-connection"]
        client.shutdown(**{"session": {"sessions": ["anna"]}, "channel": {"channels": ["xanna"]},
                           "connection": {"connections": [connection]}}[naming], block=0)
        time.sleep(0.1)
        after.get("session=anna&channels=xanna").wait_text("retry:")
        for name, network in networks.items():
            network.upstream = int(broker.endpoint(name).rpartition(":")[2])
        before.wait_text("event: ssecast.shutdown").wait_end()
        wait_until(lambda: len(everybody(client)) == 2, what="the others are reported")
        client.publish("after", data=1)
        for stream in (after, other):
            stream.wait_text("event: after")
            assert b"ssecast.shutdown" not in stream.text


def test_when_shutdowns_were_evicted_waiting_clients_reconnect(bench):
    broker = Broker(bench, history_events=5).start()
    networks = {name: bench.closing(Network(free_port())) for name in ("feed", "sync")}
    worker = Worker(bench,
                    **{name: f"tcp://127.0.0.1:{n.port}" for name, n in networks.items()}).start()
    with (broker.commands() as client, FastCgi(worker.socket) as before,
          FastCgi(worker.socket) as after):
        before.get("session=anna&channels=x").wait_text("retry:")
        client.shutdown(**CHANNEL)
        for n in range(10):
            client.publish("m", data=n)
        for name, network in networks.items():
            network.upstream = int(broker.endpoint(name).rpartition(":")[2])
        before.wait_end()
        assert before.text.count(b"retry:") == 2 and b"ssecast.shutdown" not in before.text
        after.get("session=anna&channels=x").wait_open()
        client.publish("after", data=1)
        after.wait_text("event: after")


def test_a_blocked_session_does_not_slip_in(bench):
    site = Stretched(bench)
    site.open("first")
    site.known(1)
    site.stall()
    site.commands.shutdown(sessions=["anna"], block=60)
    reader = site.open("anna")
    site.go_on()
    is_ended(reader)


# Reports

NAMES = [f"{n:04d}" + "x" * 232 for n in range(1000)]


def test_reports_have_any_size(bench):
    """90 streams of 237 KB of channels are more than a broker takes in one message."""
    site = Site(bench, worker={"max_channels": "1000"})
    query = "channels=" + ",".join(NAMES)
    streams = []
    for n in range(90):
        streams.append(bench.closing(FastCgi(site.worker.socket)))
        streams[-1].get(f"session=s{n}&{query}", REQUEST_URI="/sse").wait_open()
    wait_until(lambda: site.stat("connections") == 90, what="all are known")
    for restart in (site.broker.restart, lambda: (site.broker.kill(), site.broker.start())):
        restart()
        site.commands = bench.closing(site.broker.commands())
        wait_until(lambda: site.stat("connections") == 90, what="all are known again")
    welcomes = site.stat("welcomes")
    time.sleep(3)
    assert (site.stat("connections") == 90
            and site.stat("welcomes") == welcomes), "the worker is in sync"
    streams.pop().close()
    wait_until(lambda: site.stat("connections") == 89, what="one is gone")


def test_the_largest_request_to_publish_fits_into_a_message(bench):
    """publish-bytes goes as far as what the broker takes from a worker."""
    issuer = Issuer(bench.folder / "jwt.key")
    broker = Broker(bench, max_event_bytes="20M").start()
    worker = Worker(bench, broker, publish=True, publish_bytes="16M",
                    jwt_secret_file=issuer.secret_file).start()
    body = b'{"data":"' + b"x" * ((16 << 20) - 11) + b'"}'
    more = {"REQUEST_METHOD": "POST", "REQUEST_URI": "/sse/publish",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)), "HTTP_AUTHORIZATION": f"Bearer {issuer.publisher()}"}
    with FastCgi(worker.socket) as web, broker.commands() as client:
        pieces = [record(STDIN, body[i:i + 65000]) for i in range(0, len(body), 65000)]
        web.send(
            begin() + params(environment(**more)) + b"".join(pieces) + record(STDIN)
        ).wait_end()
        wait_until(lambda: client.stats()["events"] == 1, what="it is published")
        time.sleep(1.5)
        stats = client.stats()
        assert stats["welcomes"] == 1 and stats["workers"] == 1 and stats["resyncs"] == 0
    assert run([WORKER, "--check-config", "--publish-bytes", str((16 << 20) + 1)]).returncode == 2


def test_an_incomplete_report_ends_no_connection(bench):
    broker = Broker(bench, worker_lease="3s").start()
    with Presence(broker) as presence, Liar(broker, "half") as liar, broker.commands() as client:
        liar.report(liar.opened("c1", "a"), liar.opened("c2", "b"))
        presence.wait("a", "connected", "session_online")
        liar.report(liar.opened("c1", "a"), full=1 + 8)  # more is to come, and never does
        time.sleep(0.5)
        assert {c["connection"] for c in everybody(client)} == {"c1", "c2"}
        liar.hello()
        liar.report(liar.opened("c1", "a"), full=1 + 8)
        liar.report(liar.opened("c3", "c"), full=1 + 4)
        presence.wait("b", "connected", "session_online", "disconnected:worker_lost",
                      "session_offline:worker_lost")
        assert {c["connection"] for c in everybody(client)} == {"c1", "c3"}
        presence.check(client)


# Leases

def test_a_broker_that_stood_still_loses_no_worker(bench):
    site = Site(bench, workers=2, broker={"worker_lease": "3s"})
    with Presence(site.broker) as presence:
        for n in range(4):
            site.open(f"s{n}")
        presence.wait_count("s3", 2)
        for _ in range(2):
            site.broker.freeze()
            time.sleep(4)  # longer than the lease
            site.broker.thaw()
            time.sleep(1.5)
        assert site.stat("workers_lost") == 0 and site.stat("connections") == 4
        assert not [m for m in presence.messages if m["type"] == "disconnected"]


def test_a_worker_that_is_silent_for_its_lease_is_lost(bench):
    site = Site(bench, workers=2, broker={"worker_lease": "3s"})
    site.open_many([f"s{n}" for n in range(4)])
    wait_until(lambda: site.stat("connections") == 4, what="all are known")
    started = time.monotonic()
    site.worker.kill()
    wait_until(lambda: site.stat("workers_lost") == 1, what="it is lost")
    assert time.monotonic() - started > 2
    assert site.stat("workers") == 1


def test_a_worker_that_ends_in_order_is_not_lost(bench):
    site = Site(bench, workers=2, broker={"worker_lease": "3s"})
    site.open_many([f"s{n}" for n in range(4)])
    wait_until(lambda: site.stat("connections") == 4, what="all are known")
    site.worker.stop()
    wait_until(lambda: site.stat("workers") == 1, what="it is gone")
    time.sleep(4.5)  # longer than its lease
    assert site.stat("workers_lost") == 0 and "workers lost" not in site.broker.log()


def test_a_position_beyond_all_clocks_does_not_move_the_sequence(bench):
    """Ids stay numbers that JavaScript reads exactly, whatever a worker says."""
    broker = Broker(bench).start()
    with broker.commands() as client:
        before = client.publish("m", data=0)["seq"]
        with Liar(broker, "ahead", position=2**53 - 1):
            assert client.publish("m", data=1)["seq"] == before + 1


def test_a_clock_that_is_set_back_while_the_broker_runs_ends_no_event_early(bench):
    site = Site(bench)
    clock = Clock(bench, site.broker)
    site.broker.restart()
    anna, short = site.open("anna"), {"ttl": 20, "to": {"sessions": ["anna"]}}
    site.publish("before", data=0, **short)
    anna.wait_type("before")
    # it does so each second
    wait_until(lambda: site.stat("uptime_ms") > 2500, what="the broker has said its clock")
    clock.set("-60s")

    def arrives():
        site.publish("after", data=0, **short)
        return "after" in anna.types()

    wait_until(arrives, 4, what="an event, once the broker has said its clock again")
