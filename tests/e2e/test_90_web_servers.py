"""The same story through every web server: open, publish, target, resume, shut down, come back."""

import http.client
import os
import signal
import socket

import pytest
from support.apache import Apache, ApacheCgi, ApacheHandoff
from support.bench import Bench
from support.lighttpd import Lighttpd, LighttpdCgi, LighttpdSpawning
from support.nginx import Nginx
from support.site import Site
from support.waiting import TIMEOUT, wait_until

EVERY = [Lighttpd, LighttpdSpawning, LighttpdCgi, Apache, ApacheCgi, ApacheHandoff, Nginx]


@pytest.fixture(scope="module", params=EVERY, ids=lambda w: w.name)
def any_site(request):
    """A site behind each web server in turn."""
    with Bench() as b:
        yield Site(b, web=request.param,
                   worker={"heartbeat": "500ms", "cors_origin": "https://app.example"})


def test_a_stream_opens_with_all_its_headers(any_site, session):
    headers = any_site.open(session, headers={"Origin": "https://app.example"}).headers
    assert headers["content-type"].split(";")[0] == "text/event-stream"
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["access-control-allow-origin"] == "https://app.example"
    assert "content-encoding" not in headers and "content-length" not in headers


def test_an_event_arrives_at_once(any_site, session):
    reader = any_site.open(session)
    for n in range(5):
        any_site.publish("m", data=n, to={"sessions": [session]})
        reader.wait_for(n + 1, timeout=3)


def test_a_broadcast_reaches_everyone(any_site, session):
    readers = [any_site.open(f"{session}-{n}") for n in range(4)]
    any_site.publish("notification", data={"msg": "hi"})
    for reader in readers:
        reader.wait_type("notification")


def test_two_targeted_events_then_resume_from_the_first_gives_only_the_second(any_site, session):
    first, second = (any_site.publish("m", data=n, to={"sessions": [session]})["seq"]
                     for n in (1, 2))
    back = any_site.open(session, last_event_id=str(first))
    any_site.publish("m", data=3, to={"sessions": [session]})
    back.wait_for(2)
    assert back.data() == ["2", "3"] and back.events[0].id == str(second)


def test_many_events_arrive_in_order(any_site, session):
    reader = any_site.open(session)
    any_site.commands.publish_many(
        [{"event": "m", "data": n, "to": {"sessions": [session]}} for n in range(2000)]
    )
    reader.wait_for(2000)
    assert reader.data() == [str(n) for n in range(2000)]


def test_a_large_event_arrives_whole(any_site, session):
    reader = any_site.open(session)
    any_site.publish("m", text="x" * 500_000, to={"sessions": [session]})
    assert len(reader.wait_for(1)[0].data) == 500_000


def test_heartbeats_get_through(any_site, session):
    reader = any_site.open(session)
    reader.wait(lambda: reader.decoder.comments >= 3, "3 comments")


def test_shutdown_ends_all_connections_of_a_session_in_less_than_2_seconds(any_site, session):
    readers = [any_site.open(session) for _ in range(4)]
    other = any_site.open(session + "-other")
    any_site.wait_connections(session, 4)
    any_site.commands.shutdown(sessions=[session], reason="logout")
    for reader in readers:
        reader.wait_end(timeout=2)
        assert reader.types() == ["ssecast.shutdown"] and reader.complete
    assert not other.ended


def test_a_session_that_was_shut_down_gets_204(any_site, session):
    reader = any_site.open(session, reconnect=True, retry=0.01)
    any_site.commands.shutdown(sessions=[session])
    reader.wait_end()
    assert reader.status == 204 and reader.opens == 1


def test_a_request_may_name_the_server(any_site, session):
    """The absolute form, as clients send it to a proxy."""
    for path, status in ((f"/sse?session={session}", b" 200 "), ("/sse/publish", b" 405 "),
                         ("/sse//publish", b" 40")):
        with socket.create_connection(("127.0.0.1", any_site.web.port)) as client:
            client.settimeout(TIMEOUT)
            client.sendall(f"GET {any_site.web.origin}{path} HTTP/1.1\r\nHost: "
                           f"127.0.0.1:{any_site.web.port}\r\n\r\n".encode())
            assert status in client.recv(4096).partition(b"\r\n")[0], path


def test_a_missing_session_is_400(any_site):
    status, headers, body = any_site.request()
    assert (status == 400 and headers["content-type"].startswith("application/json")
            and b"missing_session" in body)


def test_a_parameter_s_name_may_be_encoded(any_site, session):
    first = any_site.publish("m", data=1, to={"sessions": [session]})["seq"]
    any_site.publish("m", data=2, to={"sessions": [session]})
    reader = (any_site.readers.open(f"{any_site.web.url}?%73ession={session}&%6CastEventId={first}")
              .wait_open())
    reader.wait_for(1)
    assert reader.data() == ["2"]


def test_a_parameter_that_is_encoded_once_is_repeated(any_site, session):
    status, _, body = any_site.request(path="?session=a&%73ession=b")
    assert status == 400 and b"repeated_parameter" in body


def test_a_parameter_without_a_value_is_empty_and_not_absent(any_site, session):
    status, _, body = any_site.request(path=f"?session={session}&last")
    assert status == 400 and b"last=; accepted: " in body


def test_another_method_is_405(any_site, session):
    assert any_site.request("DELETE", session=session)[0] == 405


def test_head_of_a_stream_opens_none(any_site, session):
    """ssecast.js asks so what the answer to GET would be."""
    status, headers, body = any_site.request("HEAD", session=session)
    assert (status, body) == (200, b"") and headers["content-type"].startswith("text/event-stream")
    assert any_site.request("HEAD", session=session, last="x")[::2] == (400, b"")
    assert any_site.commands.connections_of(session) == 0


def test_head_of_a_service_has_no_body(any_site):
    for path in ("/presence?channel=a", "/healthz"):
        (status, _, body), (other, _, none) = (any_site.request(method, path=path)
                                               for method in ("GET", "HEAD"))
        assert (other, none) == (status, b"") and status != 405 and body


def test_a_preflight_is_answered(any_site, session):
    status, headers, _ = any_site.request("OPTIONS", session=session, headers={
        "Origin": "https://app.example", "Access-Control-Request-Method": "GET"
    })
    assert status in (200, 204) and headers["access-control-allow-origin"] == "https://app.example"


def test_a_closed_browser_is_noticed(any_site, session):
    reader = any_site.open(session)
    any_site.wait_connections(session, 1)
    reader.close()
    any_site.wait_connections(session, 0, timeout=10)


def test_a_reader_that_is_cut_comes_back_and_misses_nothing(any_site, session):
    reader = any_site.open(session, reconnect=True, retry=0.01)
    for n in range(30):
        any_site.publish("m", data=n, to={"sessions": [session]})
        if n % 10 == 5:
            reader.cut()
    reader.wait_for(30)
    reader.wait_open(2)  # all 30 may have come before the cut was made
    assert reader.data() == [str(n) for n in range(30)]


def test_other_pages_are_served_beside_the_streams(any_site):
    connection = http.client.HTTPConnection("127.0.0.1", any_site.web.port, timeout=10)
    connection.request("GET", "/index.html")
    assert connection.getresponse().read() == b"a page\n"
    connection.close()


# What differs

@pytest.mark.parametrize("web", [Lighttpd, LighttpdSpawning, Nginx, ApacheHandoff],
                         ids=lambda w: w.name)
def test_a_closed_browser_is_noticed_at_once(bench, web):
    site = Site(bench, web=web)  # its heart beats every 15 s
    reader = site.open("anna")
    site.wait_connections("anna", 1)
    reader.close()
    site.wait_connections("anna", 0, timeout=2)


def test_a_closed_browser_is_noticed_by_the_next_write_under_apache(bench):
    site = Site(bench, web=Apache)
    reader = site.open("anna")
    site.wait_connections("anna", 1)
    reader.close()
    for n in range(3):  # the first write may still be taken by the closed socket
        site.publish("m", data=n)
    wait_until(lambda: site.publish("m", data=0) and not site.commands.online("anna")["online"],
               timeout=5, what="noticed")


def test_lighttpd_spawns_several_workers_and_all_of_them_deliver(bench):
    site = Site(bench, web=LighttpdSpawning)
    readers = site.open_many([f"s{n}" for n in range(20)])
    wait_until(lambda: len(site.commands.connections()["connections"]) == 20, what="20 connections")
    assert len({c["worker"] for c in site.commands.connections()["connections"]}) == 2
    site.publish("m", data=1)
    for reader in readers:
        reader.wait_for(1)


def test_lighttpd_restarts_a_dead_worker(bench):
    site = Site(bench, web=LighttpdSpawning)
    readers = [site.open(f"s{n}", stubborn=True, retry=0.1) for n in range(4)]
    for pid in children(site.web.pid):
        os.kill(pid, signal.SIGKILL)
    for reader in readers:
        reader.wait_open(2)
    site.publish("m", data=1)
    for reader in readers:
        assert reader.wait_for(1)[0].data == "1"


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


def test_cgi_processes_end_with_their_browsers(bench):
    site = Site(bench, web=LighttpdCgi)
    readers = [site.open(f"s{n}") for n in range(5)]
    assert len(children(site.web.pid)) == 5
    for reader in readers:
        reader.close()
    wait_until(lambda: not children(site.web.pid), what="all processes ended")


class ImpatientLighttpd(Lighttpd):
    """As Debian's: a reload cuts the streams that are still open after a while."""

    extra = 'server.feature-flags += ("server.graceful-shutdown-timeout" => 1)'


def test_lighttpd_s_graceful_restart_brings_everybody_back(bench):
    site = Site(bench, web=ImpatientLighttpd)
    readers = [site.open(f"s{n}", stubborn=True, retry=0.1) for n in range(10)]
    site.publish("m", data=0)
    site.web.signal(signal.SIGUSR1)  # what systemd's reload sends
    for n in range(1, 100):
        site.publish("m", data=n)
    for reader in readers:
        reader.wait_open(2)
    for reader in readers:
        reader.wait_for(100)
        assert reader.data() == [str(n) for n in range(100)]


@pytest.mark.parametrize("web", [Apache, ApacheHandoff], ids=lambda w: w.name)
def test_apache_s_graceful_reload_keeps_open_streams(bench, web):
    site = Site(bench, web=web)
    old = [site.open(f"old{n}", reconnect=True) for n in range(5)]
    site.web.reload()
    site.publish("m", data=1)
    new = [site.open(f"new{n}", stubborn=True) for n in range(5)]
    site.publish("m", data=2)
    for reader in old:
        reader.wait_for(2)
        assert reader.data() == ["1", "2"]
    for reader in new:
        reader.wait_data("2")
