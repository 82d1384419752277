"""The Mercure protocol, both dialects: subscribing, publishing, private updates, cursors,
credentials and origins."""

import json
import subprocess

import pytest
from support.apache import Apache
from support.bench import Bench
from support.fcgi import FastCgi
from support.hub import DETAIL, GOOD, PATH, Hub
from support.lighttpd import Lighttpd
from support.waiting import TIMEOUT, wait_until

@pytest.fixture(scope="module", params=[Lighttpd, Apache], ids=["lighttpd", "apache"])
def hub(request):
    with Bench() as b:
        yield Hub(b, request.param)


@pytest.fixture(scope="module")
def open_hub():
    """Anonymous subscribers may come."""
    with Bench() as b:
        yield Hub(b, mercure_anonymous=True)


@pytest.fixture
def topic(session):
    return f"https://example.com/{session}"


def seen(reader):
    return [(e.type, e.data, e.id) for e in reader.events]


# Public updates

@pytest.mark.parametrize("name", ["topic", "match", "match_exact"])
def test_an_update_reaches_the_subscribers_of_its_topic(hub, topic, name):
    reader, other = hub.subscribe(topic, name=name), hub.subscribe(topic + "/other", name=name)
    own = hub.update(topic, data="one\ntwo", id=f"urn:{topic}", type="book", retry=5000)
    assert own == f"urn:{topic}"
    hub.update(topic + "/other", data="end")
    reader.wait_for(1)
    other.wait_for(1)
    assert seen(reader) == [("book", "one\ntwo", own)] and other.data() == ["end"]


def test_the_hub_s_own_id_is_what_the_publisher_is_told_and_a_cursor(hub, topic):
    reader = hub.subscribe(topic)
    first, second = hub.update(topic, data="1"), hub.update(topic, data="2")
    assert first.startswith("#")
    assert [e.id for e in reader.wait_for(2)] == [first, second]
    assert [e.id for e in hub.subscribe(topic, cursor=first).wait_for(1)] == [second]


def test_an_update_with_alternate_topics_arrives_once(hub, topic):
    reader = hub.subscribe(topic, topic + "/alternate")
    single = hub.subscribe(topic + "/alternate")
    hub.update(topic, topic + "/alternate", data="1")
    hub.update(topic, topic + "/alternate", data="2")
    assert ([e.data for e in reader.wait_for(2)] == ["1", "2"]
            and [e.data for e in single.wait_for(2)] == ["1", "2"])
    assert len(reader.events) == 2


@pytest.mark.parametrize("name", ["topic", "match"])
def test_the_star_subscribes_to_every_topic(hub, topic, session, name):
    reader = hub.subscribe("*", name=name)
    hub.publish("session", text="no", to={"sessions": [session]})
    hub.publish("connection", text="no", to={"connections": [reader.connection]})
    hub.publish("everyone", text="yes")
    hub.update(topic, data="1")
    hub.update(topic + "/2", data="2")
    reader.wait_data("2")
    assert [t for t in reader.types() if t in ("session", "connection")] == []
    assert [d for d in reader.data() if d in ("yes", "1", "2")] == ["yes", "1", "2"]
    back = hub.subscribe("*", name=name, cursor=reader.events[-2].id)
    assert [e.data for e in back.wait_for(1)] == ["2"]


def test_what_has_no_topic_reaches_no_subscriber_of_a_topic(hub, topic):
    reader = hub.subscribe(topic)
    hub.publish("everyone", text="no")
    hub.publish("mine", text="no", to={"connections": [reader.connection]})
    hub.publish("mixed", text="no",
                to={"connections": [reader.connection], "channels": ["another"]})
    hub.update(topic, data="end")
    assert [e.data for e in reader.wait_for(1)] == ["end"]
    assert hub.subscribe(topic, cursor=reader.starts[0]).wait_for(1)[0].data == "end"


def test_a_channel_is_a_topic_both_ways(hub, topic):
    reader, plain = hub.subscribe(topic), hub.open(None, [topic])
    seq = hub.publish("m", data={"a": 1}, to={"channels": [topic]})["seq"]
    own = hub.update(topic, data="back")
    assert seen(reader.wait_for(2) and reader) == [("m", '{"a": 1}', f"#{seq}"),
                                                   ("message", "back", own)]
    assert [(e.data, "#" + e.id) for e in plain.wait_for(2)] == [
        ('{"a": 1}', f"#{seq}"), ("back", own)
    ]


def test_an_id_that_is_used_again_is_delivered_again(hub, topic):
    reader = hub.subscribe(topic)
    ids = [hub.update(topic, data=str(n), id=f"same-{topic}") for n in range(3)]
    assert (ids[0] == f"same-{topic}" and all(i.startswith("#") for i in ids[1:])
            and len(set(ids)) == 3)
    assert [(e.data, e.id) for e in reader.wait_for(3)] == list(zip("012", ids))


def test_an_id_that_another_publisher_showed_is_not_shown_twice(hub, topic):
    hub.publish("m", text="zmq", id=f"id-{topic}", to={"channels": [topic]})
    hub.settle()
    reader = hub.subscribe(topic)
    own = hub.update(topic, data="1", id=f"id-{topic}")
    assert own.startswith("#") and reader.wait_for(1)[0].id == own


def test_an_id_that_is_a_number_is_replaced(hub, topic):
    assert hub.update(topic, data="1", id="42").startswith("#")


# Private updates: with fresh ids each

def test_a_private_update_reaches_who_is_granted_and_nobody_else(hub, topic):
    granted = [hub.subscribe(topic, token=hub.old_token(subscribe=grant))
               for grant in ([topic], ["*"])]
    granted.append(hub.subscribe(topic, name="match", token=hub.new_token(subscribe=[topic])))
    granted.append(hub.subscribe("*", token=hub.old_token(subscribe=[topic])))
    others = [hub.subscribe(topic, token=hub.old_token(subscribe=grant))
              for grant in (None, [], [topic + "/other"])]
    others.append(hub.subscribe(topic, name="match", token=hub.new_token(publish=[topic])))
    others.append(hub.subscribe("*", token=hub.old_token(subscribe=[])))
    secret, public = f"secret-{topic}", f"public-{topic}"
    hub.update(topic, data=secret, private="on")
    hub.update(topic, data=public)
    for reader in granted + others:
        reader.wait_data(public)
    assert all(secret in r.data() for r in granted) and not any(secret in r.data() for r in others)


def test_a_private_update_is_replayed_to_who_is_granted_and_nobody_else(hub, topic):
    first = hub.update(topic, data="0")
    hub.update(topic, data="secret", private="1")
    hub.update(topic, data="public")
    granted = hub.subscribe(topic, cursor=first, token=hub.old_token(subscribe=[topic]))
    other = hub.subscribe(topic, cursor=first)
    assert [e.data for e in granted.wait_for(2)] == ["secret", "public"]
    assert [e.data for e in other.wait_for(1)] == ["public"]


def test_an_alternate_topic_may_be_the_grant(hub, topic):
    user = topic + "/users/1"
    granted, other = hub.subscribe(topic,
                                   token=hub.old_token(subscribe=[user])), hub.subscribe(topic)
    hub.update(topic, user, data="secret", private="")
    hub.update(topic, data="public")
    assert [e.data for e in granted.wait_for(2)] == ["secret", "public"]
    assert [e.data for e in other.wait_for(1)] == ["public"]


def test_anonymous_subscribers_get_what_is_public(open_hub, topic):
    reader = open_hub.subscribe(topic, token="")
    granted = open_hub.subscribe(topic, token=open_hub.old_token(subscribe=[topic]))
    open_hub.update(topic, data="secret", private="on")
    open_hub.update(topic, data="public")
    assert ([e.data for e in reader.wait_for(1)] == ["public"]
            and [e.data for e in granted.wait_for(2)] == ["secret", "public"])


def test_private_is_a_field_of_every_publish_and_binds_plain_streams(hub, topic, session):
    """A plain stream gets a private event of a channel when its token lists the channel."""
    anybody = hub.open(session, [topic])
    token = hub.issuer.token(sub=session + "-t", channels=[topic])
    granted = hub.open(None, [topic], headers={"Authorization": f"Bearer {token}"})
    subscriber = hub.subscribe(topic, token=hub.old_token(subscribe=[topic]))
    hub.publish("m", text="secret", private=True, to={"channels": [topic]})
    hub.publish("m", text="own", private=True,
                to={"sessions": [session, session + "-t"], "channels": [topic]})
    hub.publish("m", text="public", to={"channels": [topic]})
    assert [e.data for e in granted.wait_for(3)] == ["secret", "own", "public"]
    assert [e.data for e in subscriber.wait_for(3)] == ["secret", "own", "public"]
    assert [e.data for e in anybody.wait_for(2)] == ["own", "public"]
    back = hub.open(session, [topic], last_event_id=anybody.starts[0])
    assert [e.data for e in back.wait_for(2)] == ["own", "public"]


def test_the_current_state_keeps_private_events_private(hub, topic, session):
    hub.publish("m", text="secret", key="a", private=True, to={"channels": [topic]})
    hub.publish("m", text="public", key="b", to={"channels": [topic]})
    hub.settle()
    token = hub.issuer.token(sub=session, channels=[topic])
    granted = hub.open(None, [topic], headers={"Authorization": f"Bearer {token}"})
    anybody = hub.open(session, [topic])
    assert [e.data for e in granted.wait_for(2)] == ["secret", "public"]
    assert [e.data for e in anybody.wait_for(1)] == ["public"]


def test_a_private_event_for_everyone_is_refused(hub):
    reply = hub.commands.ask({"op": "publish", "data": 1, "private": True})
    assert reply["error"] == "bad_request" and "`private`" in reply["message"]


# Cursors

@pytest.mark.parametrize("name", ["lastEventID", "Last-Event-ID", "last-event-id"])
def test_a_cursor_in_the_query_and_the_head_that_answers(hub, topic, name):
    first = hub.update(topic, data="1", id=f"one-{topic}-{name}")
    hub.update(topic, data="2")
    hub.subscribe(topic).close()  # the worker has both by now
    reader = hub.subscribe(topic, **{name: first})
    assert ([e.data for e in reader.wait_for(1)] == ["2"]
            and reader.headers["last-event-id"] == first)


def test_a_cursor_of_the_second_dialect(hub, topic):
    first = hub.update(topic, data="1")
    hub.update(topic, data="2")
    reader = hub.subscribe(topic, name="match", last_event_id=first)
    assert [e.data for e in reader.wait_for(1)] == ["2"]
    assert (reader.headers["mercure-last-event-id"] == first
            and "last-event-id" not in reader.headers)
    empty = hub.subscribe(topic, name="match", last_event_id="")
    assert empty.headers["mercure-last-event-id"].startswith("#")


def test_a_cursor_as_another_draft_of_the_second_dialect_spells_it(hub, topic):
    first, second = [hub.update(topic, data=str(n)) for n in (1, 2)]
    reader = hub.subscribe(topic, name="matchExact", lastEventID=first)
    assert reader.wait_for(1)[0].id == second and reader.headers["mercure-last-event-id"] == first


@pytest.mark.parametrize(
    "name, query", [("topic", "lastEventID"), ("topic", "lastEventId"), ("match", "last_event_id")]
)
def test_the_newer_of_two_cursors_counts(hub, topic, name, query):
    """A polyfill repeats the header of its first request, and appends to the query what it has read
    since."""
    ids = [hub.update(topic, data=str(n)) for n in range(4)]
    hub.subscribe(topic).close()  # the worker has them by now
    for cursor, other in ((ids[0], ids[2]), (ids[2], ids[0]), ("earliest", ids[2]),
                          (ids[2], "earliest"), (f"{ids[0]}, {ids[2]}", ids[1])):
        reader = hub.subscribe(topic, name=name, cursor=cursor, **{query: other})
        reader.wait_for(1)
        assert [e.data for e in reader.events] == ["3"], (cursor, other)


def test_what_a_stream_has_is_for_no_shared_cache(hub, topic):
    assert hub.subscribe(topic).headers["cache-control"] == "private, no-cache, no-transform"


def test_earliest_is_the_whole_history(hub, topic):
    for n in range(3):
        hub.update(topic, data=str(n))
    reader = hub.subscribe(topic, cursor="earliest")
    assert ([e.data for e in reader.wait_for(3)] == ["0", "1", "2"]
            and reader.headers["last-event-id"] == "earliest")


def test_an_unknown_cursor_is_told_in_the_head_and_as_a_gap(hub, topic):
    hub.update(topic, data="1")
    reader = hub.subscribe(topic, cursor="urn:uuid:nobody-had-it")
    assert reader.headers["last-event-id"] == "earliest" and reader.wait_type("ssecast.gap")


def test_without_a_cursor_no_header_says_one(hub, topic):
    assert "last-event-id" not in hub.subscribe(topic).headers


def test_a_cursor_cannot_break_the_head(hub):
    """Behind a web server that lets such a query through."""
    token = hub.old_token(subscribe=[])
    with FastCgi(hub.worker.socket) as web:
        web.get("topic=a&lastEventID=x%0d%0aSet-Cookie:+a=b", REQUEST_URI=PATH,
                HTTP_AUTHORIZATION=f"Bearer {token}")
        assert web.head["last-event-id"] == "earliest" and "set-cookie" not in web.head


def test_a_restart_with_a_store_is_exact():
    with Bench() as b:
        hub = Hub(b, broker={"store": b.subfolder("store")})
        topic = "https://example.com/1"
        first, second = (hub.update(topic, data="1"),
                         hub.update(topic, data="2", private="on", id="urn:two"))
        hub.broker.kill()
        hub.broker.start()
        wait_until(lambda: hub.post(topic, data="3")[0] == 200, what="the broker publishes again")
        reader = hub.subscribe(topic, cursor=first, token=hub.old_token(subscribe=[topic]))
        other = hub.subscribe(topic, cursor=first)
        assert ([(e.data, e.id) for e in reader.wait_for(2)][:1] == [("2", second)]
                and other.wait_for(1)[0].data == "3")
        assert "ssecast.gap" not in reader.types() + other.types()


# What is refused

@pytest.mark.parametrize("query", [
    (), [("topic", "")], [("topic", "x" * 256)], [("topic", "https://example.com/{id")],
    [("match_urlpattern", "https://example.com/(.*)")], [("match_regexp", "x")],
    [("topic", "a"), ("match", "b")], [("topic", f"t{n}") for n in range(65)],
    [("topic", "a"), ("checkpoints", "perhaps")],
], ids=["none", "empty", "long", "template", "pattern", "unknown", "mixed", "many", "checkpoints"])
def test_subscriptions_that_are_refused(hub, query):
    status, _, body = hub.ask("GET", query, token=hub.old_token(subscribe=["*"]))
    assert status == 400 and json.loads(body)["message"]


@pytest.mark.parametrize("fields", [
    [("data", "x")], [("topic", ""), ("data", "x")], [("topic", "x" * 256)], [("topic", "*")],
    [("topic", "a"), ("id", "#1")], [("topic", "a"), ("id", "earliest")],
    [("topic", "a"), ("retry", "soon")], [("topic", "a"), ("retry", "")],
    [("topic", "a"), ("type", "mercure")], [("topic", "a"), ("type", "a\nb")],
    [("topic", "a"), ("type", "ssecast.gap")],
    [("topic", "/.well-known/mercure/subscriptions/a/b")], [("topic", "a"), ("data", b"\xff")],
    [("topic", f"t{n}") for n in range(65)], [("topic", "a"), ("id", "1\n2")],
    [("topic", "a"), ("id", "1\r")], [("topic", "a"), ("id", "1\0")],
    [("topic", "a"), ("data", "x"), ("data", "y")], [("topic", "a"), ("id", "x"), ("id", "x")],
    [("topic", "a"), ("type", ""), ("type", "")],
    [("topic", "a"), ("retry", "500"), ("retry", "500")],
], ids=["no topic", "empty", "long", "star", "own id", "earliest", "retry", "no retry", "mercure",
        "two lines", "reserved type", "reserved", "not UTF-8", "many", "id of two lines",
        "id with a return", "id with a zero", "two data", "two ids",
        "two types", "two retry times"])
def test_updates_that_are_refused(hub, fields):
    status, _, body = hub.ask("POST", body=fields, token=hub.old_token(publish=["*"]))
    error = json.loads(body)
    assert (status == 400 and list(error) == ["error", "message"]
            and "; accepted: " in error["message"])


@pytest.mark.parametrize("retry", [50, 99999999])
def test_the_broker_s_refusals_have_the_shape_of_the_hub_s(hub, retry):
    status, _, body = hub.post("a", data="x", retry=str(retry), token=hub.old_token(publish=["*"]))
    error = json.loads(body)
    assert status == 400 and list(error) == ["error", "message"] and error["error"] == "bad_request"
    assert error["message"] == f"`retry` must be a whole number from 100 to 3600000, not {retry}"


def test_a_missing_token_is_asked_for_where_the_hub_looks(hub):
    for method in ("GET", "POST"):
        status, _, body = hub.ask(
            method, [("topic", "a"), ("token", hub.old_token(subscribe=["*"], publish=["*"]))]
        )
        assert (status == 401
                and "the parameter `authorization` (0.x)" in json.loads(body)["message"])


@pytest.mark.parametrize("topic", ["a\u0085b", "a\u200eb"], ids=["control", "format"])
def test_topics_of_the_second_dialect_have_no_invisible_characters(hub, topic):
    token = hub.new_token(publish=["*"])
    status, _, body = hub.post(topic, token=token)
    assert status == 400 and "control or format characters" in json.loads(body)["message"]
    assert hub.ask("GET", [("match", topic)], token=token)[0] == 400


def test_other_methods_types_and_sizes_are_refused(hub):
    token = hub.old_token(publish=["*"])
    status, headers, _ = hub.ask("PUT", [("topic", "a")], token=token)
    assert status == 405 and headers["allow"] == "GET, HEAD, POST, OPTIONS"
    assert hub.ask("POST", body=b"{}", headers={"Content-Type": "application/json"},
                   token=token)[0] == 415
    assert hub.ask("POST", body=[("topic", "a"), ("data", "x" * (2 << 20))], token=token)[0] == 413


def test_without_the_option_there_is_no_hub():
    with Bench() as b:
        hub = Hub(b, mercure=None)
        assert (hub.ask("GET", [("topic", "a")])[0] == 404
                and hub.ask("POST", body=[("topic", "a")])[0] == 404)


# Credentials

def test_who_brings_no_token_or_a_bad_one(hub, open_hub):
    for site, status in ((hub, 401), (open_hub, 200)):
        assert site.ask("GET", [("topic", "a")])[0] == status
        assert site.ask("HEAD", [("topic", "a")])[0] == status
    for site in (hub, open_hub):
        for bad in ("nonsense", site.old_token(subscribe=["*"], seconds=-60),
                    site.old_token(subscribe="no list"),
                    site.new_token(subscribe=["a"], typ="rt+jwt"),
                    site.new_token(subscribe=["a"], exp=None),
                    site.new_token(subscribe=["a"], aud=None),
                    site.new_token(authorization_details=[{"type": DETAIL}])):
            status, headers, _ = site.ask("GET", [("topic", "a")], token=bad)
            assert status == 401 and headers["www-authenticate"].startswith("Bearer")
        status, headers, _ = site.ask("POST", body=[("topic", "a")])
        assert status == 401 and headers["www-authenticate"] == "Bearer"


def test_what_a_token_may_publish(hub, topic):
    for make in (hub.old_token, hub.new_token):
        token = make(publish=[topic, topic + "/2"])
        assert hub.post(topic, topic + "/2", data="1", token=token)[0] == 200
        status, headers, _ = hub.post(topic, topic + "/3", data="1", token=token)
        assert status == 403 and 'error="insufficient_scope"' in headers["www-authenticate"]
        assert hub.post(topic, data="1", token=make(subscribe=["*"]))[0] == 403
    assert hub.post(topic, data="1",
                    token=hub.old_token(publish=["https://example.org/{id}"]))[0] == 403
    assert hub.post(topic, data="1", token=hub.issuer.publisher())[0] == 403  # of the plain service


def test_a_retry_time_is_passed_on_only_where_every_topic_is_granted(hub, topic):
    reader = hub.subscribe(topic)
    hub.update(topic, data="1", retry="7000", token=hub.old_token(publish=[topic]))
    reader.wait_for(1)
    assert reader.decoder.retry == 200
    hub.update(topic, data="2", retry="7000")
    reader.wait_for(2)
    assert reader.decoder.retry == 7000


def test_a_token_in_the_query_is_for_the_first_dialect_only(hub, topic):
    old, new = hub.old_token(subscribe=[topic]), hub.new_token(subscribe=[topic])
    assert hub.ask("GET", [("topic", topic), ("authorization", old)])[0] == 200
    assert hub.ask("GET", [("match", topic), ("authorization", new)])[0] == 401
    assert hub.ask("GET",
                   [("topic", topic), ("authorization", old), ("authorization", old)])[0] == 400


def test_cookies_and_their_order(hub, topic):
    old, new = hub.old_token(subscribe=[topic]), hub.new_token(subscribe=[topic])
    for cookie in (f"mercureAuthorization={old}", f"__Secure-mercure_access_token={new}",
                   f"mercureAuthorization=bad; mercureAuthorization={old}"):
        assert hub.ask("GET", [("topic", topic)], headers={"Cookie": cookie})[0] == 200
    cookie = {"Cookie": f"mercureAuthorization={old}"}
    assert hub.ask("GET", [("topic", topic)], headers=cookie, token="bad")[0] == 401
    assert hub.ask("GET", [("topic", topic), ("authorization", "bad")], headers=cookie)[0] == 401


@pytest.mark.parametrize("headers,status", [
    ({}, 403), ({"Origin": GOOD}, 200), ({"Referer": GOOD + "/page?x"}, 200),
    ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403),
    ({"Referer": "https://evil.example/" + GOOD}, 403), ({"Origin": GOOD + ".evil.example"}, 403),
    ({"Origin": "https://evil.example", "Referer": GOOD}, 403), ({"Origin": "http://HOST"}, 200),
], ids=["none", "allowed", "referer", "other", "null", "referer of another", "beginning",
        "origin first", "own"])
def test_a_cookie_publishes_only_from_a_page_that_is_trusted(hub, topic, headers, status):
    headers = {n: v.replace("HOST", f"127.0.0.1:{hub.web.port}") for n, v in headers.items()}
    headers["Cookie"] = f"mercureAuthorization={hub.old_token(publish=['*'])}"
    assert hub.post(topic, data="1", token="", headers=headers)[0] == status


def test_a_token_ends_its_stream_when_it_expires(hub, topic):
    reader = hub.subscribe(topic, token=hub.old_token(subscribe=[topic], seconds=3))
    reader.wait_end()
    assert reader.complete and "ssecast.expired" in reader.types()


# Pages of other origins

def test_a_preflight_and_the_answers_that_pages_may_read(hub, topic):
    status, headers, _ = hub.ask("OPTIONS",
                                 headers={"Origin": GOOD, "Access-Control-Request-Method": "POST"})
    assert status == 204 and headers["access-control-allow-origin"] == GOOD
    assert (headers["access-control-allow-credentials"] == "true"
            and "POST" in headers["access-control-allow-methods"])
    for name in ("authorization", "cache-control", "last-event-id", "content-type"):
        assert name in headers["access-control-allow-headers"].lower()
    reader = hub.subscribe(topic, headers={"Origin": GOOD}, lastEventID="earliest")
    assert reader.headers["access-control-allow-origin"] == GOOD
    assert "Last-Event-ID" in reader.headers["access-control-expose-headers"]
    _, headers, _ = hub.ask("OPTIONS", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in headers


def test_a_head_request_gets_the_head(hub, topic):
    status, headers, body = hub.ask("HEAD", [("topic", topic)],
                                    token=hub.old_token(subscribe=[topic]))
    assert (status, headers["content-type"], body) == (200, "text/event-stream", b"")


@pytest.mark.parametrize("name, query, header",
                         [("topic", "lastEventID", "last-event-id"),
                          ("match", "last_event_id", "mercure-last-event-id")])
def test_a_head_request_is_told_the_cursor(hub, topic, name, query, header):
    first = hub.update(topic, data="1")
    hub.subscribe(topic).close()  # the worker has it by now
    for cursor, told in ((first, first), ("earliest", "earliest"), ("nobody-had-it", "earliest")):
        status, headers, _ = hub.ask("HEAD", [(name, topic), (query, cursor)],
                                     token=hub.old_token(subscribe=[]), headers={"Origin": GOOD})
        assert (status, headers[header], headers["access-control-expose-headers"].lower()) == (
            200, told, header
        )


# Real clients

LISTEN = """
const topic = arguments[0];
window.seen = [];
const source = new EventSource('/sse/.well-known/mercure?topic=' + encodeURIComponent(topic));
source.onmessage = e => window.seen.push([e.data, e.lastEventId]);
source.onopen = () => { window.opened = true; };
"""


@pytest.fixture(scope="module")
def page(hub):
    (hub.web.place / "www" / "mercure.html").write_text("<!doctype html><title>mercure</title>")
    return f"http://127.0.0.1:{hub.web.port}/mercure.html"


def test_a_page_with_the_cookie_gets_private_updates(hub, chromium, page, topic):
    chromium.goto(page)
    chromium.run(
        f"document.cookie = 'mercureAuthorization={hub.old_token(subscribe=[topic])}; path=/';"
    )
    chromium.run(LISTEN, topic)
    wait_until(lambda: chromium.run("return window.opened;"), what="the stream is open in the page")
    own = hub.update(topic, data="secret", private="on")
    wait_until(lambda: chromium.run("return window.seen;") == [["secret", own]],
               what="the update in the page")


SYMFONY = """<?php
foreach (["Symfony/Component/Mercure", "Symfony/Component/HttpClient"] as $library)
    require_once "/usr/share/php/$library/autoload.php";
[, $url, $token, $topic] = $argv;
$provider = new Symfony\\Component\\Mercure\\Jwt\\StaticTokenProvider($token);
$hub = new Symfony\\Component\\Mercure\\Hub($url, $provider);
echo $hub->publish(new Symfony\\Component\\Mercure\\Update(
    [$topic, "$topic/2"], "one\\ntwo", true, null, "book", 5000)), PHP_EOL;
"""


def test_symfony_s_hub_publishes(hub, bench, topic):
    script = bench.folder / "publish.php"
    script.write_text(SYMFONY)
    reader = hub.subscribe(topic, token=hub.old_token(subscribe=[topic]))
    done = subprocess.run(["php", script, hub.hub, hub.old_token(publish=["*"]), topic],
                          capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    reader.wait_for(1)
    assert seen(reader) == [("book", "one\ntwo", done.stdout.strip())]
