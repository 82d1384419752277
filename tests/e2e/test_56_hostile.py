"""Hostile input on every socket, while streams continue undisturbed.

Noise is in test_53_garbage.py, one piece at a time; here it is much of it at once, and through the
web servers."""

import concurrent.futures
import contextlib
import ctypes
import json
import os
import random
import re
import signal
import socket
import struct
import time

import pytest
import zmq
from support import fcgi
from support.apache import Apache
from support.bench import Bench
from support.broker import Broker
from support.curve import CurvePeer, properties
from support.disk import HangingDisk
from support.fcgi import STDIN, FastCgi, begin, environment, pair, params, record
from support.http_publisher import HttpPublisher
from support.keys import Keys
from support.lighttpd import Lighttpd
from support.ports import free_port
from support.processes import BUILD, SANITIZED, Program
from support.site import Site
from support.tokens import Issuer
from support.undisturbed import Undisturbed
from support.waiting import wait_until
from support.worker import Worker

CHANCE = random.Random(56)
MANY = 2000
ORIGIN = "https://app.example"


class HostileSite(Site):
    """Publishing over HTTP is on, so that bodies are read."""

    def __init__(self, bench, web=Lighttpd, **worker):
        bench.folder.chmod(0o755)
        self.issuer = Issuer(bench.folder / "jwt.key")
        super().__init__(bench, web=web, workers=1,
                         worker={"publish": True, "jwt_secret_file": self.issuer.secret_file,
                                 "cors_origin": ORIGIN, "heartbeat": "1s", **worker})

    def memory(self):
        return self.worker.resident()

    def assert_grown_by(self, before, at_most):
        assert SANITIZED or self.memory() < before + at_most, f"{self.memory() - before} bytes more"


@pytest.fixture(scope="module", params=[Lighttpd, Apache], ids=["lighttpd", "apache"])
def web_site(request):
    with Bench() as b:
        yield HostileSite(b, request.param)


@pytest.fixture(scope="module")
def site():
    with Bench() as b:
        yield HostileSite(b)


def connect_many(count, address, first=b""):
    """This number of connections, each with these bytes sent."""
    out = []
    for _ in range(count):
        s = socket.socket(socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX)
        s.settimeout(5)
        s.connect(address)
        if first:
            try:
                s.send(first, socket.MSG_DONTWAIT)
            except (BrokenPipeError, ConnectionResetError):
                pass
        out.append(s)
    return out


def receive_some(s):
    try:
        return s.recv(4096, socket.MSG_DONTWAIT)
    except OSError:
        return b""


def send_some(s, data):
    try:
        return s.send(data)
    except OSError:
        return 0


def close_all(sockets):
    for s in sockets:
        s.close()


def serves(site, session):
    """A new stream is opened and gets an event."""
    reader = site.open(session)
    site.publish("m", data=1, to={"sessions": [session]})
    reader.wait_type("m")


# The worker's socket

def test_many_silent_connections(site, session):
    files = site.worker.open_files()
    with Undisturbed(site):
        silent = connect_many(MANY, site.worker.socket)
        serves(site, session)
        close_all(silent)
        wait_until(lambda: site.worker.open_files() <= files + 30,
                   what=lambda: f"{files} descriptors; have {site.worker.open_files()}")


HALVES = {
    "a header": fcgi.request("session=x")[:5],
    "a beginning": begin(),
    "half the parameters": begin() + record(fcgi.PARAMS, pair("REQUEST_METHOD", "GET")),
    "no body": begin() + params(environment("session=x")),
    "half a body": begin() + params(environment("session=x", REQUEST_METHOD="POST"))
        + record(STDIN, b"x" * 100)[:50],
}


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
def test_many_half_requests(site, session, half):
    with Undisturbed(site):
        halves = connect_many(500, site.worker.socket, half)
        serves(site, session)
        close_all(halves)


def test_many_requests_in_single_bytes(site, session):
    with Undisturbed(site):
        slow = [FastCgi(site.worker.socket) for _ in range(50)]
        whole = fcgi.request(f"session={session}-slow")
        for n in range(len(whole)):
            for web in slow:
                web.send(whole[n:n + 1])
        for web in slow:
            assert web.wait_open().head["status"] == 200
            web.close()


def test_out_of_descriptors_the_silent_make_way(bench):
    site = HostileSite(bench)
    site.worker.restart_with_files(150)
    with Undisturbed(site, readers=10):
        silent = connect_many(400, site.worker.socket)
        start = time.monotonic()
        serves(site, "anna")
        assert time.monotonic() - start < 9, "they left by themselves after 10 s"
        close_all(silent)


def test_parameters_without_end_take_bounded_memory(site, session):
    """Each of them holds back the end of 240 KB of parameters: 240 MB, of which 80 are held."""
    value = "v" * 60_000
    head = begin() + b"".join(record(fcgi.PARAMS, pair(f"NAME{n}", value)) for n in range(4))
    before = site.memory()
    with Undisturbed(site):
        greedy = connect_many(1000, site.worker.socket)
        for s in greedy:
            s.settimeout(1)
            try:
                s.sendall(head)
            except OSError:
                pass
        site.assert_grown_by(before, 100 << 20)
        serves(site, session)
        close_all(greedy)


def authorized(site, length):
    return begin() + params(environment("", REQUEST_METHOD="POST", REQUEST_URI="/sse/publish",
                                        CONTENT_TYPE="application/json", CONTENT_LENGTH=str(length),
                                        HTTP_AUTHORIZATION=f"Bearer {site.issuer.publisher()}"))


def test_bodies_without_end_take_bounded_memory(site, session):
    """300 publishers whose tokens are good and whose bodies never end: 600 MB, of which 80 are
    held."""
    head, piece = authorized(site, 2 << 20), record(STDIN, b" " * 65_000) * 30
    before = site.memory()
    with Undisturbed(site):
        greedy = connect_many(300, site.worker.socket, head)
        for s in greedy:
            s.setblocking(False)
        left, refused = dict.fromkeys(greedy, memoryview(piece)), set()

        def most_are_refused():
            for s in greedy:
                left[s] = left[s][send_some(s, left[s]):]
                if b"Status: 503 " in receive_some(s):
                    refused.add(s)
            return len(refused) > 200

        wait_until(most_are_refused, what=lambda: f"more than 200 refused, have {len(refused)}")
        site.assert_grown_by(before, 200 << 20)
        assert len(refused) < 300
        serves(site, session)
        close_all(greedy)
        publisher = site.bench.closing(HttpPublisher(site.web.url, site.issuer.publisher()))
        wait_until(lambda: publisher.publish("m", data=1, to={"sessions": [session]})[0] == 200,
                   what="room again")


def test_half_bodies_and_then_the_end(site, session):
    with Undisturbed(site):
        for n in range(300):
            with FastCgi(site.worker.socket) as web:
                web.throw(authorized(site, 50_000) + record(
                    STDIN, b" " * CHANCE.randrange(1, 50_000)
                )[:CHANCE.randrange(50_000)])
        serves(site, session)


def broken(whole):
    """whole with some bytes changed, and some of it missing."""
    out = bytearray(whole)
    for _ in range(CHANCE.randrange(1, 6)):
        out[CHANCE.randrange(len(out))] = CHANCE.randrange(256)
    return bytes(out[:CHANCE.randrange(1, len(out) + 1)])


def test_many_broken_requests(site, session):
    """Wrong types, ids, lengths, versions; requests to publish among them."""
    kinds = [fcgi.request("session=broken"),
             authorized(site, 20) + record(STDIN, b'{"data":1,"to":{}}  ') + record(STDIN)]
    with Undisturbed(site):
        for n in range(MANY):
            with FastCgi(site.worker.socket) as web:
                web.throw(broken(kinds[n % 2]))
        serves(site, session)


LENGTHS = [struct.pack(">BB", 255, 255), struct.pack(">II", 0xFFFFFFFF, 0xFFFFFFFF),
           struct.pack(">BI", 1, 0xFFFFFFFF), struct.pack(">II", 0x80000000, 0x80000001),
           b"\x80", b"\x80\0\0"]


@pytest.mark.parametrize("pieces", [1, 7, 10_000], ids=["single bytes", "pieces", "whole"])
@pytest.mark.parametrize("lengths", LENGTHS, ids=lambda b: b.hex())
def test_lengths_that_exceed_the_record_are_harmless(site, session, lengths, pieces):
    request = begin() + record(fcgi.PARAMS, lengths + b"x") + record(fcgi.PARAMS) + record(STDIN)
    with FastCgi(site.worker.socket) as web:
        for n in range(0, len(request), pieces):
            web.send(request[n:n + pieces])
        serves(site, session)


# The broker's sockets

GREETING = b"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL" + bytes(48)
HANDSHAKES = {
    "silence": b"",
    "half a greeting": GREETING[:10],
    "a greeting": GREETING,
    "another mechanism": GREETING[:12] + b"GSSAPI" + bytes(46),
    "noise": CHANCE.randbytes(2000),
    "ready and noise": GREETING + b"\4\x19\5READY\x0bSocket-Type\0\0\0\6DEALER"
        + CHANCE.randbytes(500),
}


@pytest.mark.parametrize("handshake", HANDSHAKES.values(), ids=HANDSHAKES)
@pytest.mark.parametrize("endpoint", ["commands", "feed", "sync", "presence"])
def test_many_half_handshakes(site, session, endpoint, handshake):
    address = ("127.0.0.1", int(site.broker.endpoint(endpoint).rpartition(":")[2]))
    with Undisturbed(site, readers=5):
        halves = connect_many(200, address, handshake)
        serves(site, session)
        close_all(halves)


def test_handshakes_that_never_end_are_ended(bench):
    """So that they cannot take all of the broker's descriptors."""
    port = int(
        Broker(bench, handshake_timeout="1s").start().endpoint("commands").rpartition(":")[2]
    )
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.settimeout(40)
        s.sendall(GREETING[:20])
        while s.recv(1000):
            pass


def test_many_clients_talk_nonsense_and_do_not_listen(site, session):
    nonsense = [b"", b"{", b"[" * 5000, b'{"op":1}', b'{"op":"publish"}', b"\xff" * 100,
                b'{"op":"' + b"x" * 5000 + b'"}', json.dumps({"op": "sessions"}).encode()]
    with Undisturbed(site):
        clients = []
        for _ in range(20):
            dealer = zmq.Context.instance().socket(zmq.DEALER)
            dealer.setsockopt(zmq.LINGER, 0)
            dealer.setsockopt(zmq.RCVHWM, 1)
            dealer.connect(site.broker.endpoint("commands"))
            clients.append(dealer)
        for n in range(10_000):
            try:
                clients[n % 20].send_multipart([b"", CHANCE.choice(nonsense)], zmq.DONTWAIT)
            except zmq.Again:
                pass
        serves(site, session)
        for client in clients:
            client.close()


# A connection that ends while the broker has not read what came on it. libzmq alone would end the
# process when a heartbeat is due there.

HEARTBEAT = 5
HELLO = b"SSC\5" + struct.pack("<IQH3sHQ", 3, 0, 3, b"raw", 0, 0)


def zmtp_connect(broker, endpoint, routing_id=b"", kind=b"DEALER"):
    """A socket of libzmq by hand."""
    s = socket.create_connection(("127.0.0.1", int(broker.endpoint(endpoint).rpartition(":")[2])))
    ready = b"\5READY" + b"\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    ready += b"\x08Identity" + struct.pack(">I", len(routing_id)) + routing_id
    s.sendall(GREETING + b"\6" + struct.pack(">Q", len(ready)) + ready)
    s.recv(64, socket.MSG_WAITALL)
    assert s.recv(1000)  # its READY
    return s


def zmtp_message(text):
    return bytes([0, len(text)]) + text


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000


@contextlib.contextmanager
def held(pid):
    """The main thread of a process stands still meanwhile, and libzmq's does not."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        assert ptrace(request, pid, None, None) == 0, os.strerror(ctypes.get_errno())
    os.waitpid(pid, WALL)
    yield
    ptrace(PTRACE_DETACH, pid, None, None)


def test_a_publisher_that_is_killed_while_its_requests_wait(bench):
    broker = Broker(bench).start()
    with broker.commands() as commands:
        commands.ask({"op": "publish", "events": [{"text": "x" * 4000} for _ in range(1000)]})
        killed = zmtp_connect(broker, "commands")
        time.sleep(HEARTBEAT - 0.7)
        killed.sendall(zmtp_message(b'{"op":"history","limit":1000}') * 3000)
        time.sleep(0.4)
        reset(killed)
        time.sleep(0.6)
        assert broker.running()
        assert commands.ask({"op": "ping"})["ok"]


@pytest.mark.parametrize("reads", [True, False], ids=["reads", "reads nothing"])
def test_a_publisher_that_is_killed_after_a_heartbeat(bench, reads):
    """libzmq wants to answer it when the broker has read what came before, and ended the process:
    the connection is gone."""
    broker = Broker(bench).start()
    with broker.commands() as commands:
        commands.ask({"op": "publish", "events": [{"text": "x" * 4000} for _ in range(1000)]})
        for _ in range(5):
            killed = zmtp_connect(broker, "commands")
            if reads:
                killed.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
            killed.sendall(zmtp_message(b'{"op":"history","limit":1000}') * 3
                           + (zmtp_message(b"{") + b"\4\7\4PING\0\0") * 2000)
            time.sleep(0.02)
            reset(killed)
            assert commands.ask({"op": "ping"})["ok"]
        assert broker.running()


def test_requests_a_heartbeat_and_a_reset_that_the_broker_meets_at_once(bench):
    """As above. One event of epoll has the input and the reset, and libzmq stops reading in the
    midst of it."""
    broker = Broker(bench).start()
    with broker.commands() as commands:
        killed = zmtp_connect(broker, "commands")
        broker.freeze()
        killed.sendall(zmtp_message(b"") * 2000 + b"\4\7\4PING\0\0" + zmtp_message(b"") * 200)
        reset(killed)
        broker.thaw()
        assert commands.ask({"op": "ping"})["ok"]
        time.sleep(0.2)
        assert broker.running()


def test_a_broker_that_is_killed_while_its_events_wait(bench):
    """The same in a worker, whose main thread is behind by as many messages as libzmq keeps for
    it."""
    listener = socket.create_server(("127.0.0.1", 0))
    worker = Worker(bench, feed=f"tcp://127.0.0.1:{listener.getsockname()[1]}",
                    sync=f"tcp://127.0.0.1:{free_port()}").start()
    killed, _ = listener.accept()
    ready = b"\5READY" + b"\x0bSocket-Type" + struct.pack(">I", 4) + b"XPUB"
    killed.sendall(GREETING + b"\4" + bytes([len(ready)]) + ready)
    while b"SSC\5" not in killed.recv(1000):  # it subscribes
        pass
    with held(worker.pid):
        killed.sendall(zmtp_message(b"SSC\5\0\0\0\0") * 110_000)
        time.sleep(0.5)
        reset(killed)
        listener.close()
        time.sleep(HEARTBEAT + 0.7)
    assert worker.running()


def test_a_broker_that_is_killed_while_its_presence_waits(bench):
    """The same in `ssecast watch`, whose reader is a pager."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        watch = Program("watch",
                        [BUILD / "ssecast", "--presence", endpoint, "watch", "--no-snapshot"],
                        bench.folder)
        watch.ok_statuses = (-signal.SIGTERM,)
        bench.adopt(watch)
        watch.start()
        listener.settimeout(10)
        killed, _ = listener.accept()
    ready = b"\5READY" + b"\x0bSocket-Type" + struct.pack(">I", 4) + b"XPUB"
    killed.sendall(GREETING + b"\4" + bytes([len(ready)]) + ready)
    while b"\0\1\1" not in killed.recv(1000):  # it subscribes to everything
        pass
    with held(watch.pid):
        for _ in range(111):
            killed.sendall(zmtp_message(b"{}") * 10_000)
        time.sleep(0.5)
        reset(killed)
        time.sleep(HEARTBEAT + 0.7)
    assert watch.running()


@pytest.mark.parametrize("endpoint", ["commands", "sync"])
def test_a_routing_id_that_is_too_long(bench, endpoint):
    """ZMTP has 255 bytes of it. libzmq accepts more."""
    broker = Broker(bench).start()
    with (broker.commands() as commands, zmtp_connect(broker, endpoint, b"x" * 256) as long,
          zmtp_connect(broker, endpoint, b"x" * 255) as allowed):
        for s in (long, allowed):
            s.sendall((
                zmtp_message(b'{"op":"ping"}') if endpoint == "commands" else zmtp_message(HELLO)
            ) * 300)
            s.settimeout(5)
        assert allowed.recv(1000)
        assert commands.ask({"op": "ping"})["ok"]
        long.settimeout(0.2)
        with pytest.raises(TimeoutError):
            long.recv(1000)
    assert "routing id is too long" in broker.log()


@pytest.mark.parametrize("endpoint", ["feed", "presence"])
def test_a_subscriber_that_is_killed_while_its_subscriptions_wait(bench, endpoint):
    broker = Broker(bench, store=bench.folder / "store").start()
    disk = HangingDisk(bench, broker)
    with broker.commands() as commands:
        killed = zmtp_connect(broker, endpoint, kind=b"SUB")
        time.sleep(HEARTBEAT - 0.7)
        with disk.hanging():
            commands.send({"op": "publish", "text": "late"})
            time.sleep(0.2)
            killed.sendall(zmtp_message(b"\1topic") * 1000)
            time.sleep(0.2)
            reset(killed)
            time.sleep(0.6)
        assert commands.receive()["ok"] and broker.running()


def test_a_former_connection_of_a_worker_that_ends_late(bench):
    """After a stalled network, for example: the worker has connected again, and what it had sent
    before arrives."""
    broker = Broker(bench).start()
    former = zmtp_connect(broker, "sync", b"raw")
    former.sendall(zmtp_message(HELLO))
    assert former.recv(1000)
    present = zmtp_connect(broker, "sync", b"raw")
    present.sendall(zmtp_message(HELLO))
    assert present.recv(1000)
    former.sendall(zmtp_message(HELLO))
    time.sleep(0.2)
    reset(former)
    time.sleep(HEARTBEAT + 0.5)
    assert broker.running()
    present.sendall(zmtp_message(HELLO))
    assert present.recv(1000)
    present.close()


def test_silent_peers_are_disconnected(bench):
    """Of a machine that is gone no end arrives. And libzmq no longer reads from a connection whose
    routing id another one has taken."""
    broker = Broker(bench).start()
    before = broker.open_files()
    peers = [zmtp_connect(broker, endpoint, kind=kind)
             for endpoint, kind in [("commands", b"DEALER"), ("sync", b"DEALER"), ("feed", b"SUB"),
                                    ("presence", b"SUB")]]
    for _ in ("former", "present"):
        peers.append(zmtp_connect(broker, "sync", b"raw"))
        peers[-1].sendall(zmtp_message(HELLO))
        assert peers[-1].recv(1000)
    peers[-2].sendall(zmtp_message(HELLO))
    for peer in peers:
        peer.settimeout(10 * HEARTBEAT)
        with contextlib.suppress(ConnectionResetError):
            while peer.recv(1000):
                pass
        peer.close()
    wait_until(lambda: broker.open_files() <= before, what="each descriptor is back")


def test_wrong_messages_under_curve_keep_no_descriptor(bench):
    """After one libzmq often neither reads on nor ends the connection. The missing answer to a
    heartbeat ends it, also when a reply waits for a peer that is gone."""
    keys, port = Keys(bench.folder), free_port()
    shop = keys.add("publisher", "shop")
    broker = Broker(bench, commands=[f"ipc://{bench.folder}/commands", f"tcp://127.0.0.1:{port}"],
                    **keys.broker_options()).start()
    before = broker.open_files()
    peers = [CurvePeer(port, shop) for _ in range(15)]
    broker.freeze()
    for peer in peers:
        peer.send(
            peer.message(b'{"op":"ping"}') + peer.wrong_message() + peer.message(b'{"op":"ping"}')
        )
    for peer in peers[:5]:
        reset(peer.socket)
    for peer in peers[5:10]:
        peer.close()
    broker.thaw()
    wait_until(lambda: broker.open_files() <= before, timeout=6 * HEARTBEAT,
               what="each descriptor is back")
    for peer in peers[10:]:
        peer.close()


# Frames that are well formed, and what they say is not

def zmtp_frame(flags, body):
    return bytes([flags | 2]) + struct.pack(">Q", len(body)) + body


def chance_bytes(*lengths):
    return CHANCE.randbytes(CHANCE.choice(lengths))


COMMAND, MORE = 4, 1
PIECES = [
    lambda: zmtp_frame(COMMAND, b"\4PING" + chance_bytes(0, 1, 2, 6, 18, 19, 100)),
    lambda: zmtp_frame(COMMAND, b"\4PING\0\1" + chance_bytes(0, 16)),  # a time to live of 0.1 s
    lambda: zmtp_frame(COMMAND, b"\4PONG" + chance_bytes(0, 16, 40)),
    lambda: zmtp_frame(COMMAND, b"\x09SUBSCRIBE" + chance_bytes(0, 1, 200)),
    lambda: zmtp_frame(COMMAND, b"\6CANCEL" + chance_bytes(0, 1, 200)),
    lambda: zmtp_frame(COMMAND, b"\5ERROR" + chance_bytes(0, 1, 300)),
    lambda: zmtp_frame(COMMAND, b"\5READY\x0bSocket-Type\0\0\0\4PAIR"),
    lambda: zmtp_frame(COMMAND, chance_bytes(0, 1, 5, 300)),
    lambda: zmtp_frame(COMMAND | MORE, chance_bytes(0, 1, 5)),
    lambda: zmtp_frame(MORE, b"") * 50,
    lambda: zmtp_frame(MORE, b"") + zmtp_frame(0, b'{"op":"history","limit":1000}'),
    lambda: zmtp_frame(0, b'{"op":"ping"}') * CHANCE.choice([1, 100]),
    lambda: zmtp_frame(0, HELLO) * CHANCE.choice([1, 100]),
    lambda: zmtp_frame(0, b"SSC" + chance_bytes(0, 1, 30)),
    lambda: zmtp_frame(0, b"\1" + chance_bytes(0, 3, 200)) * CHANCE.choice([1, 100]),
    lambda: zmtp_frame(0,
                       b"\0" + chance_bytes(0, 3)) * CHANCE.choice([1, 3]),  # was never subscribed
    lambda: zmtp_frame(CHANCE.choice([8, 64, 252]), b"x"),
    lambda: b"\2" + struct.pack(">Q", CHANCE.choice([1 << 63, (1 << 64) - 1, 1 << 32])) + b"x",
]
IDS = [b"", b"", b"raw", b"twin", b"\0", b"\0\1\2\3\4", b"x" * 256]


def talk_by_chance(broker, endpoint):
    """A whole handshake, any pieces, and an end."""
    kind = CHANCE.choice([b"DEALER", b"REQ", b"ROUTER"]
                         if endpoint in ("commands", "sync") else [b"SUB", b"XSUB"])
    s = zmtp_connect(broker, endpoint, CHANCE.choice(IDS), kind)
    data = b"".join(CHANCE.choice(PIECES)() for _ in range(CHANCE.choice([1, 3, 20])))
    s.setblocking(False)
    send_some(s, data[:CHANCE.randrange(len(data))] if CHANCE.random() < 0.2 else data)
    return s


def test_well_formed_frames_of_any_kind(bench):
    broker = Broker(bench).start()
    with broker.commands() as commands:
        talking = []
        for n in range(800):
            talking.append(talk_by_chance(broker, ["commands", "sync", "feed", "presence"][n % 4]))
            if len(talking) > 30:
                CHANCE.choice([reset, socket.socket.close])(talking.pop(CHANCE.randrange(30)))
            if n % 20 == 0:
                assert commands.ask({"op": "ping"})["ok"], f"after {n}"
        close_all(talking)
        assert commands.ask({"op": "ping"})["ok"]
    assert broker.running()


METADATA = [
    properties(Socket_Type=b"DEALER", Identity=b""), properties(Socket_Type=b"SUB"),
    properties(Socket_Type=b"PAIR"), b"", b"\xff",
    properties(Socket_Type=b"DEALER", Identity=b"x" * 256),
    properties(Socket_Type=b"DEALER", Identity=b"\0\1\2\3\4"),
    properties(Socket_Type=b"DEALER") + properties(Identity=b"twin") * 3,
    properties(Socket_Type=b"DEALER", X=b"x" * 100_000), properties(Socket_Type=b"DEALER")[:-3],
    properties(Socket_Type=b"DEALER") + b"\x08Identity\xff\xff\xff\xff", bytes(150),
]
CURVE_PIECES = [
    lambda p: p.message(b"", MORE) + p.message(b'{"op":"ping"}'),
    lambda p: b"".join(p.message(b"{") for _ in range(100)),
    lambda p: b"".join(p.message(HELLO) for _ in range(100)),
    lambda p: p.message(b"\4PING\0\0" + chance_bytes(0, 1, 16, 17, 100), 2),
    lambda p: p.message(b"\x09SUBSCRIBE" + chance_bytes(0, 3), 2),
    lambda p: p.message(b"\1" + chance_bytes(0, 3, 200)),
    lambda p: p.message(chance_bytes(0, 1, 5, 200), CHANCE.choice([2, 3, 4, 255])),
    lambda p: p.wrong_message(),
    lambda p: p.message(b"{}") * 2,  # one nonce
    lambda p: zmtp_frame(CHANCE.choice([0, COMMAND]),
                         b"\7MESSAGE" + chance_bytes(0, 1, 8, 23, 24, 25, 26, 40)),
    lambda p: zmtp_frame(CHANCE.choice([0, MORE, COMMAND]), chance_bytes(0, 1, 7, 8, 30)),
    lambda p: p.initiate(),
    lambda p: zmtp_frame(
        COMMAND, CHANCE.choice([b"\5HELLO", b"\5READY", b"\5ERROR"]) + chance_bytes(0, 30, 194)
    ),
]


def test_frames_of_any_kind_under_curve(bench):
    """Each by a key that is admitted: whole handshakes with any metadata, and what follows, often
    as one with them."""
    keys, port = Keys(bench.folder), free_port()
    shop, desk, web = keys.add("publisher",
                               "shop"), keys.add("operator", "desk"), keys.add("worker", "web")
    broker = Broker(bench, commands=[f"ipc://{bench.folder}/commands", f"tcp://127.0.0.1:{port}"],
                    **keys.broker_options()).start()
    ports = [(port, shop)] + [(int(broker.endpoint(name).rpartition(":")[2]), key)
                              for name, key in [("sync", web), ("feed", web), ("presence", desk)]]
    with broker.commands() as commands:
        talking = []
        for n in range(300):
            peer = CurvePeer(*ports[n % 4], metadata=CHANCE.choice(METADATA), finish=False)
            data = peer.initiate() + b"".join(CHANCE.choice(CURVE_PIECES)(peer)
                                              for _ in range(CHANCE.choice([0, 1, 3, 20])))
            peer.socket.setblocking(False)
            send_some(peer.socket,
                      data[:CHANCE.randrange(len(data))] if CHANCE.random() < 0.2 else data)
            talking.append(peer.socket)
            if CHANCE.random() < 0.3 or len(talking) > 30:
                CHANCE.choice([reset, socket.socket.close])(
                    talking.pop(CHANCE.randrange(len(talking)))
                )
            if n % 20 == 0:
                assert commands.ask({"op": "ping"})["ok"], f"after {n}"
        close_all(talking)
        assert commands.ask({"op": "ping"})["ok"]
    assert broker.running()


# Through the web servers

def speak(site, request):
    """The whole answer to these bytes."""
    with socket.create_connection(("127.0.0.1", site.web.port), timeout=20) as s:
        s.settimeout(3)
        answer = b""
        try:
            s.sendall(request)
            while piece := s.recv(65536):
                answer += piece
                if b"retry:" in answer and b"\n\n" in answer.partition(b"retry:")[2]:
                    break  # a stream
        except OSError:
            pass
    return answer


def get(path, *lines):
    return (b"GET " + path + b" HTTP/1.1\r\nHost: "
            b"x\r\nConnection: close\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n")


NASTY = {
    "a query of 7 KB": get(b"/sse?session=a&x=" + b"x" * 7000),
    "a query of 100 KB": get(b"/sse?session=a&x=" + b"x" * 100_000),
    "a session of 5 KB": get(b"/sse?session=" + b"s" * 5000),
    "1000 parameters": get(b"/sse?" + b"&".join(b"session=%d" % n for n in range(900))),
    "half escapes": get(b"/sse?session=%&channels=%4&x=%zz%%%"),
    "escaped NUL": get(b"/sse?session=a%00b"),
    "escaped lines": get(b"/sse?session=a%0d%0aX-Injected:%201&channels=b%0aX-Injected:%201"),
    "escaped lines in the cursor": get(
        b"/sse?session=a&lastEventId=1%0d%0a%0d%0aevent:%20injected%0adata:%20X-Injected%0a%0a"
    ),
    "a NUL": get(b"/sse?session=a\0b"),
    "other bytes": get(b"/sse?session=\xff\xfe\x80&channels=\xc0\xaf"),
    "an overlong escape": get(b"/sse?session=%c0%af%e0%80%80"),
    "a path that climbs": get(b"/sse/../../../../etc/passwd?session=a"),
    "an escaped path": get(b"/sse/%2e%2e/%2e%2e/publish?session=a"),
    "another service's name, escaped": get(b"/sse/health%7a?session=a"),
    "many cookies": get(b"/sse?session=a", *[
        b"Cookie: " + b"; ".join(b"c%d=%s" % (n, b"v" * 20) for n in range(100))
    ]),
    "a cookie of 7 KB": get(b"/sse?session=a", b"Cookie: sid=" + b"x" * 7000),
    "200 headers": get(b"/sse?session=a", *[b"X-H%d: v" % n for n in range(90)]),
    "a cursor of 6 KB": get(b"/sse?session=a", b"Last-Event-ID: " + b"9" * 6000),
    "a cursor with other bytes": get(b"/sse?session=a", b"Last-Event-ID: \xff\xfe\x01\x7f"),
    "an origin that goes on": get(b"/sse?session=a", b"Origin: https://app.example\tX-Injected: 1"),
    "an origin with a line": get(b"/sse?session=a",
                                 b"Origin: https://app.example%0d%0aX-Injected: 1"),
    "a folded header": get(b"/sse?session=a", b"Last-Event-ID: 1\r\n X-Injected: 1"),
    "two origins": get(b"/sse?session=a", b"Origin: https://app.example",
                       b"Origin: https://evil.example"),
    "a strange method":
        b"G\"T\\\x7f /sse?session=a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a method of 3 KB": b"X" * 3000
        + b" /sse?session=a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "an absolute address":
        b"GET http://evil.example/sse?session=a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "two lengths": b"POST /sse/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: "
    b"50\r\nConnection: close\r\n\r\nhello",
    "a length and chunks":
        b"POST /sse/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: "
    b"chunked\r\nConnection: close\r\n\r\n0\r\n\r\nGET /sse?session=smuggled HTTP/1.1\r\n\r\n",
    "a length that is no number":
        b"POST /sse/publish HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\nConnection: close\r\n\r\n",
    "chunks that are none": b"POST /sse/publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
    b"chunked\r\nConnection: close\r\n\r\nzz\r\nhello\r\n",
    "a proxy header": get(b"/sse?session=a", b"Proxy: http://evil.example"),
}


def heads(answer):
    """The heads of all responses in what a server sent."""
    return re.findall(rb"HTTP/1\.[01] \d{3}[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n", answer)


@pytest.mark.parametrize("request_", NASTY.values(), ids=NASTY)
def test_nasty_requests_get_one_clean_answer(web_site, session, request_):
    answer = speak(web_site, request_)
    assert answer, "no answer"
    assert len(heads(answer)) == 1 and answer.startswith(heads(answer)[0])
    assert b"X-Injected" not in heads(answer)[0] and b"\nevent: injected" not in answer
    assert b" 502 " not in heads(answer)[0] and b" 500 " not in heads(answer)[0]
    serves(web_site, session)


def test_many_malformed_requests_disturb_no_stream(web_site, session):
    with Undisturbed(web_site):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda r: speak(web_site, r), list(NASTY.values()) * 3))
        serves(web_site, session)


INJECTIONS = [{"event": "a\r\nX-Injected: 1"}, {"event": "a\n\nevent: injected"}, {"event": "a\0b"},
              {"id": "x\r\nevent: injected"}, {"id": "x\0"}, {"id": "12"},
              {"to": {"sessions": ["a\n"]}}, {"to": {"channels": ["a\r\ndata: injected"]}},
              {"event": "ssecast.shutdown"}, {"event": "x" * 256}, {"id": "x" * 256},
              {"retry": "1\n\nevent: injected"}, {"retry": -1}, {"retry": 1e99}]


@pytest.mark.parametrize("fields", INJECTIONS, ids=lambda f: repr(f)[:40])
def test_nothing_can_be_injected_into_a_stream(web_site, fields):
    with HttpPublisher(web_site.web.url, web_site.issuer.publisher()) as publisher:
        status, _, reply = publisher.send({"data": 1, **fields})
    assert (status, reply["error"]) == (400, "bad_request")


@pytest.mark.parametrize("text",
                         ["a\r\n\r\nevent: injected\r\ndata: 1\r\n\r\n", "a\n\nid: 7\n\n", "\r",
                          "\n", ": x", "data: y", "\ufeffdata", "a\x85b\u2028c\u2029d", "\0"])
def test_text_stays_data(web_site, session, text):
    reader = web_site.open(session)
    with HttpPublisher(web_site.web.url, web_site.issuer.publisher()) as publisher:
        assert publisher.publish("m", text=text, to={"sessions": [session]})[0] == 200
        assert publisher.publish("end", data=1, to={"sessions": [session]})[0] == 200
    reader.wait_type("end")
    assert reader.types() == ["m", "end"]
    assert reader.data("m") == [text.replace("\r\n", "\n").replace("\r", "\n")]


def test_many_half_requests_to_the_web_server(web_site, session):
    """They cost the web server; the worker does not hear of them."""
    with Undisturbed(web_site):
        halves = connect_many(150, ("127.0.0.1", web_site.web.port),
                              b"GET /sse?session=a HTTP/1.1\r\nHost: x\r\n")
        serves(web_site, session)
        close_all(halves)


def test_slow_bodies_through_the_web_server(web_site, session):
    """They send a byte now and then."""
    token = web_site.issuer.publisher().encode()
    head = (b"POST /sse/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer " + token + b"\r\nContent-Length: 100\r\n\r\n")
    with Undisturbed(web_site):
        slow = connect_many(100, ("127.0.0.1", web_site.web.port), head)
        for _ in range(5):
            for s in slow:
                try:
                    s.send(b" ")
                except OSError:
                    pass
            time.sleep(0.2)
        serves(web_site, session)
        with HttpPublisher(web_site.web.url, token.decode()) as publisher:
            assert publisher.publish("m", data=1, to={"sessions": [session]})[0] == 200
        close_all(slow)
