"""ZeroMQ sockets of every kind at the broker's endpoints: envelopes, IPv6, and those who do not
read."""

import json
import os
import re
import resource
import socket
import threading
import time

import pytest
import zmq
from support.bench import Bench
from support.broker import Broker
from support.cli import Cli
from support.commands import Commands
from support.keys import Keys, handshake
from support.lighttpd import Lighttpd
from support.ports import free_port
from support.processes import BROKER, Program, run
from support.reader import Readers
from support.waiting import wait_until
from support.worker import Worker


@pytest.fixture(scope="module")
def broker():
    with Bench() as bench:
        yield Broker(bench).start()


@pytest.fixture
def context():
    with zmq.Context() as c:
        yield c


def socket_to(context, endpoint, kind, **options):
    s = context.socket(kind)
    s.setsockopt(zmq.LINGER, 0)
    s.setsockopt(zmq.RCVTIMEO, 20_000)
    for name, value in options.items():
        s.setsockopt(getattr(zmq, name), value)
    s.connect(endpoint)
    return s


# Envelopes: what stands before the empty frame comes back before the reply

PING = b'{"op":"ping","ref":7}'


def is_pong(frame):
    return json.loads(frame)["ref"] == 7


@pytest.mark.parametrize("options", [
    {}, {"REQ_RELAXED": 1}, {"REQ_CORRELATE": 1}, {"REQ_CORRELATE": 1, "REQ_RELAXED": 1},
], ids=["plain", "relaxed", "correlate", "both"])
def test_a_req_of_every_kind_is_answered(broker, context, options):
    with socket_to(context, broker.endpoint("commands"), zmq.REQ, **options) as req:
        for _ in range(3):
            req.send(PING)
            assert is_pong(req.recv())
        req.send_multipart([b'{"op":"publish","to":{}}', b"payload"])
        assert json.loads(req.recv())["ok"]


@pytest.fixture(params=[1, 3])
def through_proxies(request, broker, context):
    """The endpoint of the first of some devices in a row."""
    endpoint, devices = broker.endpoint("commands"), []
    for n in range(request.param):
        front, back = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        front.setsockopt(zmq.LINGER, 0)
        back.setsockopt(zmq.LINGER, 0)
        back.connect(endpoint)
        endpoint = f"inproc://device-{n}"
        front.bind(endpoint)
        control = context.socket(zmq.PAIR)
        control.setsockopt(zmq.LINGER, 0)
        control.bind(f"inproc://control-{n}")
        steer = context.socket(zmq.PAIR)
        steer.setsockopt(zmq.LINGER, 0)
        steer.connect(f"inproc://control-{n}")
        thread = threading.Thread(target=zmq.proxy_steerable, args=(front, back, None, control),
                                  daemon=True)
        thread.start()
        devices.append((thread, steer, front, back, control))
    yield endpoint
    for thread, steer, *sockets in devices:
        steer.send(b"TERMINATE")
        thread.join(20)
        for s in (steer, *sockets):
            s.close()


@pytest.mark.parametrize("options", [{}, {"REQ_CORRELATE": 1}], ids=["plain", "correlate"])
def test_a_req_through_devices_is_answered(through_proxies, context, options):
    with socket_to(context, through_proxies, zmq.REQ, **options) as req:
        for _ in range(3):
            req.send(PING)
            assert is_pong(req.recv())


def test_an_envelope_comes_back_as_it_was(broker, context):
    envelope = [bytes([n]) * (n + 1) for n in range(7)] + [b"x" * 255]
    with socket_to(context, broker.endpoint("commands"), zmq.DEALER) as dealer:
        dealer.send_multipart([*envelope, b"", PING])
        *before, empty, reply = dealer.recv_multipart()
        assert before == envelope and empty == b"" and is_pong(reply)
        dealer.send_multipart([b"id", b"", b'{"op":"publish","to":{}}', b""])
        *before, reply = dealer.recv_multipart()
        assert before == [b"id", b""] and json.loads(reply)["ok"]
        dealer.send_multipart([b'{"op":"publish","to":{}}', b""])
        [reply] = dealer.recv_multipart()  # an empty payload is no delimiter
        assert json.loads(reply)["ok"]


@pytest.mark.parametrize("before", [[b"x"] * 9, [b"x" * 256]], ids=["frames", "bytes"])
def test_more_than_an_envelope_is_refused(broker, context, before):
    with socket_to(context, broker.endpoint("commands"), zmq.DEALER) as dealer:
        dealer.send_multipart([*before, b"", PING])
        [reply] = dealer.recv_multipart()
        assert json.loads(reply)["error"] == "bad_request"
        dealer.send(PING)
        assert is_pong(dealer.recv())


# IPv6

@pytest.fixture(scope="module")
def loopback6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError as e:
        pytest.skip(f"this machine has no ::1: {e}")


def free_port6():
    with socket.socket(socket.AF_INET6) as s:
        s.bind(("::1", 0))
        return s.getsockname()[1]


def test_everything_works_over_ipv6(loopback6, bench):
    names = ("commands", "feed", "sync", "presence")
    broker = Broker(bench, **{name: f"tcp://[::1]:{free_port6()}" for name in names}).start()
    cli = Cli(broker)
    cli("ping").check()
    worker = Worker(bench, broker).start()
    web = Lighttpd(bench, [worker]).start()
    with Readers() as readers:
        reader = readers.open(f"{web.url}?session=anna").wait_open()
        cli("publish", "m", '"over six"', "--session", "anna").check()
        assert reader.wait_for(1)[0].data == '"over six"'


# Those who do not read

def test_unread_replies_take_bounded_memory(bench, context):
    """Replies to `history` are of megabytes, and nobody takes them."""
    if b"__asan_init" in BROKER.read_bytes():
        pytest.skip("the address sanitizer keeps what was freed")
    broker = Broker(bench).start()
    with broker.commands() as client:
        for n in range(8):
            client.publish("m", payload=b"x" * 500_000, to={"sessions": ["nobody"]})
        deaf = socket_to(context, broker.endpoint("commands"), zmq.DEALER, RCVHWM=1,
                         RCVBUF=4096, SNDHWM=0)
        before = broker.resident()
        for n in range(400):
            deaf.send(b'{"op":"history","limit":1000}')
        wait_until(lambda: client.stats()["requests"] > 400, what="all have been taken")
        wait_until(lambda: client.stats()["replies_dropped"] > 100, what="most replies are dropped")
        assert broker.resident() - before < 150 << 20
        deaf.close()
        wait_until(lambda: broker.resident() - before < 40 << 20, what="the memory is given back")
        assert len(client.history(since=0)["events"]) > 5


def ref_of(reply):
    """Without reading the megabytes of JSON around it."""
    return int(re.search(rb'"ref":(\d+)', reply[-100:] + reply[:100])[1])


def test_what_is_read_is_not_dropped(bench):
    """Large replies, one after the other and some at once, to who reads them."""
    broker = Broker(bench).start()
    with broker.commands() as client:
        for n in range(8):
            client.publish("m", payload=b"x" * 500_000, to={"sessions": ["nobody"]})
        for _ in range(20):
            refs = [client.send({"op": "history", "limit": 1000}) for _ in range(4)]
            assert sorted(ref_of(client.receive_bytes()) for _ in refs) == refs
        assert client.stats()["replies_dropped"] == 0


# Subscriptions

def subscribe_much(context, endpoint, key=None):
    sub = context.socket(zmq.SUB)
    sub.setsockopt(zmq.LINGER, 0)
    sub.setsockopt(zmq.SNDHWM, 0)
    if key:
        key.use(sub)
    sub.connect(endpoint)
    for n in range(300):
        sub.subscribe(str(n).encode() + b"x" * 1000)
    return sub


def test_subscriptions_without_end_are_ended_and_others_come_back(bench, context):
    broker = Broker(bench).start()
    worker = Worker(bench, broker).start()
    web = Lighttpd(bench, [worker]).start()
    with Readers() as readers, broker.commands() as client:
        reader = readers.open(f"{web.url}?session=anna").wait_open()
        with subscribe_much(context, broker.endpoint("feed")):
            wait_until(lambda: "too many subscriptions" in broker.log(), what="they are ended")
        for n in range(20):
            client.publish("m", data=n, to={"sessions": ["anna"]})
        reader.wait_for(20)
        assert reader.data("m") == [str(n) for n in range(20)] and reader.opens == 1


def test_a_key_that_subscribes_without_end_is_not_admitted_again(bench, context):
    keys = Keys(bench.folder)
    greedy, other = keys.add("operator", "greedy"), keys.add("operator", "other")
    broker = Broker(bench,
                    commands=[f"tcp://127.0.0.1:{free_port()}", f"ipc://{bench.folder}/commands"],
                    **keys.broker_options())
    broker.options["commands"].reverse()
    broker.start()
    with subscribe_much(context, broker.endpoint("presence"), greedy):
        wait_until(lambda: "too many subscriptions" in broker.log(), what="they are ended")
    assert greedy.public in broker.log()
    wait_until(lambda: handshake(broker.endpoint("presence"), other, zmq.SUB, timeout=1) == "in",
               what="others are admitted")
    assert handshake(broker.endpoint("presence"), greedy, zmq.SUB) == "refused"


# Names without permissions

def test_an_abstract_socket_is_for_everybody_and_refused(bench):
    done = run([BROKER, "--commands", "ipc://@ssecast-test", "--check-config"])
    assert done.returncode != 0 and "every local process can connect" in done.stderr
    allowed = run(
        [BROKER, "--commands", "ipc://@ssecast-test", "--allow-insecure", "--check-config"]
    )
    assert allowed.returncode == 0


# Descriptors

def start_with_descriptors(broker, soft, hard):
    Program.start(broker, argv=["prlimit", f"--nofile={soft}:{hard}", *broker.argv])
    broker.wait_ready(broker._answers, "answers a ping")
    return broker


def test_the_soft_limit_is_raised_to_the_hard_one(bench):
    with start_with_descriptors(Broker(bench), 64, 500).commands() as client:
        stats = client.stats()
        assert stats["descriptors_max"] == 500 and 10 < stats["descriptors"] < 100


def cpu_seconds(program):
    with open(f"/proc/{program.pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_descriptors_a_client_of_an_ipc_endpoint_waits(bench):
    """libzmq's own accept() would end the broker."""
    ipc = f"ipc://{bench.folder}/commands"
    broker = Broker(bench, commands=[ipc, f"tcp://127.0.0.1:{free_port()}"]).start()
    limits = resource.prlimit(broker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    with Commands(ipc) as late:
        assert late.try_ask({"op": "ping"}, 0.3) is None
        resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, limits)
        assert late.ask({"op": "ping"})["ok"]


def test_short_of_descriptors_new_connections_wait_and_the_others_are_served(bench):
    broker = start_with_descriptors(Broker(bench, handshake_timeout="600s"), 160, 160)
    port = int(broker.endpoint("commands").rpartition(":")[2])
    with broker.commands() as client:
        client.ping()
        crowd = []
        for _ in range(300):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
            crowd.append(s)
        wait_until(lambda: "few descriptors left" in broker.log(), what="it says so")
        stats = client.stats()
        assert stats["descriptors_max"] == 160 and stats["descriptors"] <= 160
        before = cpu_seconds(broker)
        for n in range(20):
            client.publish("m", data=n, to={"sessions": ["nobody"]})
            time.sleep(0.1)
        assert cpu_seconds(broker) - before < 1  # of two: libzmq does not spin
        with broker.commands() as late:
            assert late.try_ask({"op": "ping"}, 0.5) is None
            for s in crowd:
                s.close()
            wait_until(lambda: "descriptors available again" in broker.log(), what="it says so")
            wait_until(lambda: late.try_ask({"op": "ping"}, 1) is not None,
                       what="who came late is served")
