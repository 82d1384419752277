"""Web servers that keep their connections to a worker (FCGI_KEEP_CONN): many requests, one after
the other, on one connection."""

import concurrent.futures
import json
import pathlib
import re

import pytest
from support import fcgi
from support.apache import Apache
from support.fcgi import FastCgi
from support.haproxy import Haproxy
from support.nginx import Nginx
from support.processes import ROOT
from support.site import Site
from support.tokens import Issuer
from support.waiting import PATIENCE, Timeout, wait_until

KEEP = 1  # FCGI_KEEP_CONN
REQUESTS, AT_ONCE = 800, 8


@pytest.fixture(scope="module")
def issuer(bench_of_all):
    return Issuer(bench_of_all.folder / "jwt.key")


@pytest.fixture(scope="module")
def site(bench_of_all, issuer):
    return Site(bench_of_all,
                worker={"heartbeat": "300ms", "request_timeout": "500ms", "publish": True,
                        "jwt_secret_file": issuer.secret_file})


@pytest.fixture
def web(site):
    with FastCgi(site.worker.socket) as web:
        yield web


def to(session):
    return {"sessions": [session]}


def ask(web, query="", body=None, **more):
    """One more request on the connection."""
    web.status, web.text = None, b""
    if body is not None:
        more.update(REQUEST_METHOD="POST", REQUEST_URI="/sse/publish",
                    CONTENT_LENGTH=str(len(body)), CONTENT_TYPE="application/json")
    pieces = [fcgi.record(fcgi.STDIN, body[at:at + 60000])
              for at in range(0, len(body or b""), 60000)]
    web.send(fcgi.begin(flags=KEEP) + fcgi.params(fcgi.environment(query, **more))
             + b"".join(pieces) + fcgi.record(fcgi.STDIN))
    return web


def answered(web):
    """The status of a response that has ended, on a connection that has not."""
    web.wait_end()
    assert web.status == (0, 0) and not web.eof
    return web.head["status"]


def assert_stays(web, seconds):
    """Patience does not multiply these seconds: every test that passes waits them out."""
    with pytest.raises(Timeout):
        web.wait_hangup(seconds / PATIENCE)
    assert not web.eof


# By hand

def test_a_connection_serves_one_request_after_the_other(web):
    for _ in range(20):
        assert answered(ask(web)) == 400
        assert answered(ask(web, REQUEST_URI="/sse/healthz")) == 200


def test_a_stream_comes_and_goes_on_a_kept_connection(site, web, session):
    assert answered(ask(web)) == 400
    for round in range(3):
        ask(web, f"session={session}").wait_open()
        site.wait_connections(session, 1)
        seq = site.publish(data=round, to=to(session))["seq"]
        assert [(e.data, e.id) for e in web.wait_events(1)] == [(str(round), str(seq))]
        site.commands.shutdown(sessions=[session], block=0)
        assert answered(web) == 200
        site.wait_connections(session, 0)


def test_a_client_that_leaves_is_noticed_on_a_kept_connection(site, web, session):
    assert answered(ask(web)) == 400
    ask(web, f"session={session}").wait_open()
    site.wait_connections(session, 1)
    web.close()
    site.wait_connections(session, 0)


@pytest.mark.parametrize("size", [10, 5000, 100000])
def test_requests_with_bodies_follow_each_other(site, issuer, web, session, size):
    reader = site.open(session)
    body = json.dumps({"event": "m", "data": "x" * size, "to": to(session)}).encode()
    for _ in range(3):
        assert (
            answered(ask(web, body=body, HTTP_AUTHORIZATION=f"Bearer {issuer.publisher()}")) == 200
        )
    assert reader.wait_for(3) and {len(e.data) for e in reader.events} == {size + 2}


def test_a_connection_that_does_not_ask_for_it_is_closed(web):
    web.get().wait_end().wait_hangup()


def test_a_kept_connection_may_be_idle_for_longer_than_a_request_may_take(site, web):
    assert answered(ask(web)) == 400
    before = site.stat("requests_dropped")
    assert_stays(web, 2)
    assert answered(ask(web)) == 400
    web.close()
    with FastCgi(site.worker.socket) as other:
        assert answered(ask(other)) == 400
    assert site.stat("requests_dropped") == before  # no request was lost


def test_half_a_request_on_it_has_no_more_time_than_any(web):
    assert answered(ask(web)) == 400
    web.send(fcgi.begin(flags=KEEP)).wait_hangup()


def test_garbage_on_it_ends_it(web):
    assert answered(ask(web)) == 400
    web.send(b"GET / HTTP/1.1\r\n\r\n").wait_hangup()


def test_an_abort_ends_it(site, web, session):
    ask(web, f"session={session}").wait_open()
    site.wait_connections(session, 1)
    web.send(fcgi.record(fcgi.ABORT)).wait_hangup()
    site.wait_connections(session, 0)


def test_no_more_than_a_bounded_number_is_kept(bench):
    """ACCEPT_KEPT_MAX. Those beyond are answered too, and closed."""
    site = Site(bench)
    webs = [FastCgi(site.worker.socket) for _ in range(1100)]
    try:
        for web in webs:
            ask(web).wait_end()
        wait_until(lambda: sum(_is_over(web) for web in webs) == 1100 - 1024,
                   what="76 closed connections")
        assert answered(ask(webs[0])) == 400
    finally:
        for web in webs:
            web.close()


def _is_over(web):
    try:
        web.wait_hangup(0)
    except Timeout:
        pass
    return web.eof


def test_a_worker_that_stops_closes_kept_connections(bench):
    site = Site(bench)
    with FastCgi(site.worker.socket) as web:
        assert answered(ask(web)) == 400
        site.worker.stop()
        web.wait_hangup()


# By web servers

class NginxKeeping(Nginx):
    """As docs/nginx.md says it."""

    def configuration(self):
        text = super().configuration()
        text = re.sub(r"(    server unix:.*\n)", r"\1    keepalive 16;\n", text, count=1)
        return text.replace("fastcgi_pass ssecast;",
                            "fastcgi_pass ssecast;\n    fastcgi_keep_conn on;")


class ApacheKeeping(Apache):
    files = ()

    def more(self):
        text = (ROOT / "apache" / "ssecast.conf").read_text()
        assert "flushpackets=on retry=0" in text
        return [text.replace('fcgi://ssecast/" flushpackets=on',
                             'fcgi://ssecast/" enablereuse=on flushpackets=on')]


class HaproxyKeeping(Haproxy):
    """HAProxy keeps connections unless `no option keep-conn` is said; with `http-reuse always` for
    all clients."""

    def configuration(self):
        return super().configuration() + "    http-reuse always\n"


def connections_to(worker):
    """How many connections the worker has."""
    lines = pathlib.Path("/proc/net/unix").read_text().splitlines()
    return sum(line.split()[5] == "03" and line.endswith(" " + worker.socket) for line in lines)


@pytest.mark.parametrize("web", [NginxKeeping, ApacheKeeping, HaproxyKeeping],
                         ids=lambda web: web.name)
def test_no_request_of_a_web_server_that_keeps_connections_fails(bench, web, session):
    site = Site(bench, web=web)
    reader = site.open(session)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = list(pool.map(lambda _: site.request()[0], range(REQUESTS)))
    assert statuses == [400] * REQUESTS
    assert 1 < connections_to(site.worker) <= AT_ONCE + 1 + 16
    site.publish(data=1, to=to(session))
    assert [e.data for e in reader.wait_for(1)] == ["1"]
    assert "prematurely" not in site.web.log() and "Connection reset" not in site.web.log()
