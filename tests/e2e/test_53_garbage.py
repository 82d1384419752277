"""Garbage on every socket while streams go on undisturbed."""

import os
import random
import socket
import struct

import pytest
import zmq
from support import fcgi
from support.fcgi import FastCgi
from support.waiting import wait_until

CHANCE = random.Random(53)
ALL = fcgi.request("session=noise")


def still_works(site, session):
    """A stream that is open gets an event, and a new one can be opened."""
    open_before = site.open(session)
    site.publish("m", data=1, to={"sessions": [session]})
    open_before.wait_for(1)
    with FastCgi(site.worker.socket) as web:
        web.get(f"session={session}").wait_open()


BROKEN = {
    "nothing": b"",
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "zeros": bytes(1000),
    "ones": b"\xff" * 1000,
    "noise": CHANCE.randbytes(5000),
    "half a header": ALL[:4],
    "begin only": fcgi.begin(),
    "half the parameters": fcgi.begin() + fcgi.record(fcgi.PARAMS,
                                                      fcgi.pair("REQUEST_METHOD", "GET")[:9]),
    "no end of parameters": fcgi.begin() + fcgi.record(fcgi.PARAMS,
                                                       fcgi.pair("REQUEST_METHOD", "GET")),
    "parameters without begin": fcgi.params({"A": "b"}),
    "no parameters": fcgi.begin() + fcgi.params({}) + fcgi.record(fcgi.STDIN),
    "wrong version": fcgi.begin() + fcgi.record(fcgi.PARAMS, b"", version=7),
    "unknown record": fcgi.record(99, b"x" * 100) + ALL,
    "unknown role": fcgi.begin(role=77) + fcgi.params(fcgi.environment("session=a")) + fcgi.record(
        fcgi.STDIN
    ),
    "authorizer": fcgi.begin(role=fcgi.AUTHORIZER) + fcgi.params(fcgi.environment("session=a"))
        + fcgi.record(fcgi.STDIN),
    "get values": fcgi.record(fcgi.GET_VALUES, fcgi.pair("FCGI_MAX_CONNS", ""), request=0),
    "abort": fcgi.begin() + fcgi.record(fcgi.ABORT),
    "a name of 2 GB": fcgi.begin() + fcgi.record(
        fcgi.PARAMS, struct.pack(">II", 0xFFFFFFFF, 0xFFFFFFFF) + b"x" * 100
    ),
    "a value of 1 GB": fcgi.begin() + fcgi.record(fcgi.PARAMS,
                                                  struct.pack(">BI", 1, 0xC0000000) + b"x" * 100),
    "parameters with NUL": fcgi.begin() + fcgi.params(
        {"REQUEST_METHOD": "GET", "QUERY_STRING": "session=a\0b", "A\0B": "c"}
    ) + fcgi.record(fcgi.STDIN),
    "a parameter without name": fcgi.begin()
        + fcgi.params({"": "x", "REQUEST_METHOD": "GET", "=": "="}) + fcgi.record(fcgi.STDIN),
    "1000 parameters": fcgi.begin() + fcgi.params({f"N{n}": "v" * 50 for n in range(1000)})
        + fcgi.record(fcgi.STDIN),
    "a parameter of 500 KB": fcgi.begin() + fcgi.params(
        {"REQUEST_METHOD": "GET", "QUERY_STRING": "session=" + "x" * 500_000}
    ) + fcgi.record(fcgi.STDIN),
    "cut in the middle": ALL[:len(ALL) // 2],
    "another request's end": fcgi.begin(request=1) + fcgi.params(
        fcgi.environment("session=a"), request=2
    ),
    "two requests": ALL + ALL,
    "more after the request": ALL + CHANCE.randbytes(300),
}


@pytest.mark.parametrize("bytes_", BROKEN.values(), ids=BROKEN)
def test_broken_fastcgi(site, session, bytes_):
    watching = site.open(session + "-watching")
    with FastCgi(site.worker.socket) as web:
        web.throw(bytes_)
        still_works(site, session)
    with FastCgi(site.worker.socket) as web:  # and again, hanging up first
        web.throw(bytes_)
        web.socket.shutdown(socket.SHUT_WR)
    still_works(site, session)
    assert watching.opens == 1 and not watching.ended


def test_every_request_cut_short_at_every_place(site, session):
    for cut in range(0, len(ALL), 3):
        with FastCgi(site.worker.socket) as web:
            web.send(ALL[:cut])
    still_works(site, session)


def test_random_changes_of_a_request(site, session):
    for _ in range(300):
        broken = bytearray(ALL)
        for _ in range(CHANCE.randrange(1, 6)):
            broken[CHANCE.randrange(len(broken))] = CHANCE.randrange(256)
        with FastCgi(site.worker.socket) as web:
            web.send(bytes(broken))
    still_works(site, session)


def test_silent_connections_do_not_stop_others(site, session):
    silent = [FastCgi(site.worker.socket) for _ in range(300)]
    for half in silent[:100]:
        half.send(ALL[:20])
    still_works(site, session)
    for web in silent:
        web.close()


def test_a_request_in_single_bytes_is_understood(site, session):
    with FastCgi(site.worker.socket) as web:
        for n in range(len(ALL)):
            web.send(ALL[n:n + 1])
        assert web.wait_open().head["status"] == 200


def test_a_request_with_padding_is_understood(site):
    with FastCgi(site.worker.socket) as web:
        content = b"".join(fcgi.pair(n, v) for n, v in fcgi.environment("session=a").items())
        pieces = [content[i:i + 7] for i in range(0, len(content), 7)]
        web.send(fcgi.begin() + b"".join(fcgi.record(fcgi.PARAMS, p, padding=5) for p in pieces)
                 + fcgi.record(fcgi.PARAMS) + fcgi.record(fcgi.STDIN, padding=255))
        assert web.wait_open().head["status"] == 200


@pytest.mark.parametrize("number", [1, 7, 65535])
def test_the_request_s_number_comes_back(site, number):
    with FastCgi(site.worker.socket) as web:
        web.send(fcgi.begin(request=number) + fcgi.params(
            fcgi.environment("session=a"), request=number
        ) + fcgi.record(fcgi.STDIN, request=number))
        web.wait_open()
        assert {r[1] for r in web.records} == {number}


def test_a_flood_of_connections_leaves_no_descriptor_behind(site, session):
    still_works(site, session)
    before = site.worker.open_files()
    for _ in range(500):
        FastCgi(site.worker.socket).send(ALL).close()
    wait_until(lambda: site.worker.open_files() <= before + 2,
               what=lambda: f"{before} descriptors; have {site.worker.open_files()}")


# ZeroMQ

NOISE = {
    "nothing": b"",
    "http": b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    "noise": CHANCE.randbytes(10_000),
    "half a greeting": b"\xff\0\0\0\0\0\0\0\1\x7f",
    "a huge frame": b"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL" + bytes(48) + b"\2" + b"\xff" * 8 + b"x"
        * 1000,
}


@pytest.mark.parametrize("endpoint", ["commands", "feed", "sync"])
@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_noise_on_the_broker_s_endpoints(site, session, endpoint, noise):
    port = int(site.broker.endpoint(endpoint).rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(noise)
        still_works(site, session)


MESSAGES = [[b""], [b"x"], [b"", b""], [b"SSC\5"], [b"SSC\1" + bytes(100)],
            [b"SSC\5" + bytes([7, 0, 0, 0])],
            *[[b"SSC\5" + bytes([t, 0, 0, 0]) + b"\xff" * 200] for t in range(12)],
            *[[b"SSC\5" + bytes([t, 0, 0, 0]) + bytes(500)] for t in range(12)],
            [CHANCE.randbytes(3000)], [b"a"] * 20]


def test_nonsense_on_sync_is_ignored(site, session):
    """What a broken worker could say."""
    with zmq.Context.instance().socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 1000)
        dealer.connect(site.broker.endpoint("sync"))
        for message in MESSAGES:
            dealer.send_multipart(message)
        for _ in range(300):
            dealer.send(b"SSC\5" + bytes([CHANCE.randrange(1, 9), 0, 0, 0])
                        + CHANCE.randbytes(CHANCE.randrange(200)))
        still_works(site, session)


def test_nonsense_on_feed_is_ignored(site, session):
    """Subscriptions nobody should send."""
    with zmq.Context.instance().socket(zmq.XSUB) as sub:
        sub.setsockopt(zmq.LINGER, 1000)
        sub.connect(site.broker.endpoint("feed"))
        for _ in range(200):
            sub.send(bytes([CHANCE.randrange(2)]) + os.urandom(CHANCE.randrange(50)))
        sub.send(b"\1" + b"x" * 100_000)
        still_works(site, session)


def test_a_client_that_hangs_up_before_its_reply_is_no_trouble(site, session):
    for _ in range(200):
        with site.broker.commands() as client:
            client.send({"op": "publish", "event": "m", "data": 1, "to": {"sessions": ["nobody"]}})
    still_works(site, session)


def test_a_client_that_never_reads_its_replies_is_no_trouble(site, session):
    with site.broker.commands() as lazy:
        for _ in range(20_000):
            lazy.send({"op": "sessions", "prefix": ""})
        still_works(site, session)
