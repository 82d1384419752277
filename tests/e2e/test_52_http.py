"""The HTTP side: what is refused, what is limited, and the headers of each answer."""

import json

import pytest
from support.bench import Bench
from support.fcgi import STDIN, FastCgi, begin, environment, params, record
from support.site import Site
from support.waiting import wait_until

GOOD, OTHER = "https://app.example", "http://localhost:3000"


@pytest.fixture(scope="module")
def cors():
    """A worker with everything that a request can be asked for."""
    with Bench() as b:
        yield Site(b, worker={"cors_origin": [GOOD, OTHER],
                              "header": ["X-Team: a, b", "Strict-Transport-Security: max-age=1"],
                              "session_from": ["cookie:sid", "header:X-Session", "env:MY_SESSION",
                                               "remote-user", "query:session"],
                              "channels_from": ["header:X-Channels", "query:channels"]})


def test_the_stream_s_headers(site, session):
    headers = site.open(session).headers
    assert headers["content-type"].split(";")[0] == "text/event-stream"
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert "access-control-allow-origin" not in headers and "content-encoding" not in headers


def test_a_missing_session_is_400(site):
    status, headers, body = site.request()
    assert status == 400 and headers["content-type"].startswith("application/json")
    assert json.loads(body)["error"] == "missing_session"


@pytest.mark.parametrize("query", ["", "session=", "session", "sessions=a", "session=a%0a",
                                   "session=%00", "session=%ff", "session=" + "x" * 256,
                                   "session=" + "x" * 100_000], ids=lambda q: q[:15])
def test_an_impossible_session_is_400(site, query):
    with FastCgi(site.worker.socket) as web:
        web.get(query).wait_end()
        assert web.head["status"] == 400
    reply = json.loads(web.body)
    assert reply["error"] == "missing_session" and len(reply["message"]) > 10


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"])
def test_other_methods_are_405(site, session, method):
    status, headers, body = site.request(method, session=session)
    assert status == 405 and "GET" in headers["allow"]
    assert json.loads(body)["error"] == "method_not_allowed"


def test_head_has_the_stream_s_head_and_ends(site, session):
    status, headers, body = site.request("HEAD", session=session)
    assert (status, body) == (200, b"") and headers["content-type"].startswith("text/event-stream")
    assert site.commands.connections_of(session) == 0


def test_head_has_the_status_of_get(site, session):
    for query in ({"session": None}, {"last": "0"}, {"checkpoints": "no"}, {"channel": "x" * 256}):
        query = {"session": session, **query}
        assert (site.request("HEAD", **query)[::2] == (400, b"")
                and site.request(**query)[0] == 400), query
    site.commands.shutdown(sessions=[session])
    wait_until(lambda: site.request("HEAD", session=session)[0] == 204,
               what="the worker has heard of the shutdown")


def test_a_post_with_a_body_is_refused_and_the_next_request_works(site, session):
    with FastCgi(site.worker.socket) as web:
        web.send(begin() + params(
            environment(f"session={session}", REQUEST_METHOD="POST", CONTENT_LENGTH="100000")
        ) + record(STDIN, b"x" * 50000) * 2 + record(STDIN))
        web.wait_end()
        assert web.head["status"] == 405
    site.open(session)


# CORS

@pytest.mark.parametrize("origin", [GOOD, OTHER])
def test_an_allowed_origin_is_mirrored_with_credentials(cors, origin):
    headers = cors.open("anna", headers={"Origin": origin}).headers
    assert headers["access-control-allow-origin"] == origin
    assert headers["access-control-allow-credentials"] == "true"
    assert (headers["access-control-expose-headers"] == "Ssecast-Connection"
            and headers["ssecast-connection"])
    assert "origin" in headers["vary"].lower()


@pytest.mark.parametrize("origin", ["https://evil.example", "https://app.example.evil",
                                    "https://app.example:8443", "http://app.example",
                                    "null", "https://app.exampl", "*", ""])
def test_other_origins_get_nothing(cors, origin):
    headers = cors.open("anna", headers={"Origin": origin}).headers
    assert not [h for h in headers if h.startswith("access-control")]
    assert "origin" in headers["vary"].lower()


def test_subdomains_of_an_allowed_one(bench):
    site = Site(bench, worker={"cors_origin": "https://*.example.org"})
    for origin in ("https://a.example.org", "https://a.b.example.org"):
        headers = site.open("anna", headers={"Origin": origin}).headers
        assert (headers["access-control-allow-origin"] == origin
                and headers["access-control-allow-credentials"] == "true")
        assert "origin" in headers["vary"].lower()
    for origin in ("https://example.org", "https://evil-example.org", "https://example.org.evil",
                   "https://a.example.org:8443", "http://a.example.org", "null"):
        headers = site.open("anna", headers={"Origin": origin}).headers
        assert not [h for h in headers if h.startswith("access-control")], origin


def test_a_broadcast_with_cors_headers(cors):
    readers = [cors.open(f"s{n}", headers={"Origin": GOOD}) for n in range(3)]
    cors.publish("notification", data="hi")
    for reader in readers:
        assert (reader.wait_for(1)[0].data == '"hi"'
                and reader.headers["access-control-allow-origin"] == GOOD)


def test_a_preflight_is_answered(cors):
    status, headers, _ = cors.request(
        "OPTIONS", headers={"Origin": GOOD, "Access-Control-Request-Method": "GET",
                            "Access-Control-Request-Headers": "last-event-id"}
    )
    assert status in (200, 204) and headers["access-control-allow-origin"] == GOOD
    assert headers["access-control-allow-headers"] == "Last-Event-ID, Cache-Control, Authorization"
    assert "GET" in headers["access-control-allow-methods"]


def test_a_preflight_from_another_origin_gets_no_headers(cors):
    _, headers, _ = cors.request("OPTIONS", headers={"Origin": "https://evil.example",
                                                     "Access-Control-Request-Method": "GET"})
    assert "access-control-allow-origin" not in headers


def test_refusals_have_cors_headers_too(cors):
    status, headers, _ = cors.request(headers={"Origin": GOOD})
    assert status == 400 and headers["access-control-allow-origin"] == GOOD


def test_any_origin_is_allowed_without_credentials(bench):
    site = Site(bench, worker={"cors_origin": "*"})
    headers = site.open("anna", headers={"Origin": "https://anywhere.example"}).headers
    assert (headers["access-control-allow-origin"] == "*"
            and "access-control-allow-credentials" not in headers)


def test_extra_headers_are_sent(cors):
    headers = cors.open("anna").headers
    assert (headers["x-team"], headers["strict-transport-security"]) == ("a, b", "max-age=1")


# Where the session comes from

SOURCES = [
    ({"HTTP_COOKIE": "a=b; sid=wanted; c=d"}, "cookie"),
    ({"HTTP_COOKIE": 'sid="wanted"'}, "quoted cookie"),
    ({"HTTP_X_SESSION": "wanted"}, "header"),
    ({"MY_SESSION": "wanted"}, "env"),
    ({"REMOTE_USER": "wanted"}, "remote-user"),
    ({"QUERY_STRING": "x=1&session=wanted"}, "query"),
    ({"QUERY_STRING": "session=%77ant%65d"}, "quoted query"),
    ({"HTTP_COOKIE": "sid=wanted", "HTTP_X_SESSION": "other", "QUERY_STRING": "session=another"},
     "the first of several"),
    ({"HTTP_COOKIE": "xsid=no; sid=", "QUERY_STRING": "session=wanted"}, "an empty one is none"),
]


@pytest.mark.parametrize("given", [s[0] for s in SOURCES], ids=[s[1] for s in SOURCES])
def test_the_session_comes_from(cors, given):
    with FastCgi(cors.worker.socket) as web:
        web.get(**given).wait_open()
        cors.publish("m", data=1, to={"sessions": ["wanted"]})
        assert web.wait_events(1)[0].data == "1"


def test_channels_come_from_a_header(cors):
    reader = cors.open("anna", headers={"X-Channels": "one,two"})
    cors.publish("m", data=1, to={"channels": ["two"]})
    assert reader.wait_for(1)[0].data == "1"


def test_a_wrong_channel_is_400(site, session):
    for channels in ("a%0ab", "x" * 256, ",".join(f"c{n}" for n in range(1000))):
        with FastCgi(site.worker.socket) as web:
            web.get(f"session={session}&channels={channels}").wait_end()
            assert web.head["status"] == 400 and json.loads(web.body)["message"]


# Limits

def test_beyond_max_connections_a_stream_is_asked_to_come_back(bench):
    site = Site(bench, worker={"max_connections": 3})
    kept = [site.open(f"s{n}") for n in range(3)]
    late = site.start_open("late", reconnect=True)
    late.wait(lambda: late.attempts >= 2, "a second attempt")
    assert late.opens >= 1 and late.decoder.retry and late.starts == [] and late.events == []
    kept.pop().close()
    late.wait(lambda: late.starts, "room again")


def test_beyond_max_per_session_the_oldest_stream_makes_way(bench):
    site = Site(bench, worker={"max_per_session": 2})
    bert = site.open("bert")
    first, second, third = (site.open("anna") for _ in range(3))
    first.wait_end()
    assert [e[:2] for e in first.events] == [("ssecast.replaced", '{"reason":"max-per-session"}')]
    assert 200 <= first.decoder.retry <= 2000 and first.complete
    site.wait_connections("anna", 2)
    site.publish("m", data=1)
    for reader in (second, third, bert):
        reader.wait_for(1)
    assert site.commands.stats()["ends_replaced"] == 1 and site.stat("streams_shed") == 0


def test_a_silently_dead_stream_does_not_block_others(bench):
    """Its web server has not noticed; the page comes back."""
    site = Site(bench, worker={"max_per_session": 1, "heartbeat": "300ms"})
    with FastCgi(site.worker.socket) as dead:
        dead.get("session=anna").wait_open()
        again = site.open("anna", last_event_id=dead.decoded()[0].last_event_id)
        site.publish("m", data=1)
        again.wait_for(1)
        assert dead.wait_end().events()[-1].type == "ssecast.replaced"


# Shutdown

def test_a_shutdown_ends_all_streams_of_a_session_with_its_reason(site, session):
    readers = [site.open_counted(session) for _ in range(4)]
    other = site.open(session + "-other")
    reply = site.commands.shutdown(sessions=[session], reason="logout")
    assert reply["closed"] == 4
    for reader in readers:
        reader.wait_end()
        assert (reader.types(), json.loads(reader.data()[0])) == (
            ["ssecast.shutdown"], {"reason": "logout"}
        )
    assert not other.ended


def test_while_blocked_a_session_gets_204(site, session):
    reader = site.open(session, reconnect=True, retry=0.01)
    site.commands.shutdown(sessions=[session])
    reader.wait_end()
    assert reader.status == 204 and reader.types() == ["ssecast.shutdown"]
    assert site.start_open(session).wait_end().status == 204


def test_block_0_lets_a_session_come_back(site, session):
    reader = site.open(session, reconnect=True, retry=0.01)
    site.commands.shutdown(sessions=[session], block=0)
    reader.wait_open(2)
    site.publish("m", data=1, to={"sessions": [session]})
    reader.wait_type("m")
    assert (reader.types() == ["ssecast.shutdown", "m"]
            and json.loads(reader.data()[0]) == {"reason": None})


def test_a_block_ends(site, session):
    site.commands.shutdown(sessions=[session], block=1)
    wait_until(lambda: site.request(session=session)[0] == 204, what="blocked")
    wait_until(lambda: site.request(session=session)[0] == 200, what="the block's end")


def test_events_before_a_shutdown_arrive_before_it(site, session):
    reader = site.open(session)
    for n in range(200):
        site.commands.send(
            {"op": "publish", "event": "m", "data": n, "to": {"sessions": [session]}}
        )
    site.commands.shutdown(sessions=[session])
    reader.wait_end()
    assert (reader.data("m") == [str(n) for n in range(200)]
            and reader.types()[-1] == "ssecast.shutdown")


def test_a_shutdown_by_channel_and_by_connection(site, session):
    a = site.open(session + "-a", channels=[session])
    b, c = site.open(session + "-b"), site.open(session + "-b")
    site.commands.shutdown(channels=[session], connections=[b.connection])
    a.wait_end(), b.wait_end()
    site.publish("m", data=1, to={"sessions": [session + "-b"]})
    assert c.wait_for(1)[0].data == "1"


def test_a_restarted_worker_knows_blocks_in_force(bench):
    site = Site(bench)
    site.commands.shutdown(sessions=["anna"], block=300)
    site.worker.restart()
    with FastCgi(site.worker.socket) as web:
        web.get("session=bert").wait_open()
    with FastCgi(site.worker.socket) as web:
        assert web.get("session=anna").head["status"] == 204


def test_a_client_that_resumes_past_a_shutdown_is_not_ended_by_it(site, session):
    seq = site.publish("m", data="before", to={"sessions": [session]})["seq"]
    site.commands.shutdown(sessions=[session], block=0)
    site.publish("m", data="after", to={"sessions": [session]})
    site.settle()
    back = site.open(session, last_event_id=str(seq))
    site.publish("m", data="live", to={"sessions": [session]})
    back.wait_data('"live"')
    assert back.data("m") == ['"after"', '"live"'] and back.opens == 1 and not back.ended
