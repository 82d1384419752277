"""EventSource in browsers: they read streams, reconnect by themselves, and stop on request."""

import contextlib
import shutil

import pytest
from support import node
from support.apache import Apache, ApacheCgi, ApacheHandoff
from support.bench import Bench
from support.browser import CLOSED, OPEN
from support.firefox import Firefox
from support.hub import PATH, Hub, quoted
from support.lighttpd import LighttpdCgi, LighttpdSpawning
from support.network import Network
from support.nginx import Nginx
from support.relay import Relay
from support.site import Site
from support.tabs import open_stream
from support.waiting import wait_until
from support.webkit import WebKit

OTHERS = {"sessions": ["somebody-else"]}


@pytest.fixture(scope="module")
def guest(bench_of_all):
    """Where a page of another origin is loaded from."""
    with Relay(0) as relay:
        yield relay


@pytest.fixture(scope="module")
def site(bench_of_all, guest):
    """Sessions come from the query, else from a cookie; pages of `guest` may read streams."""
    site = Site(bench_of_all, workers=2, worker={"heartbeat": "300ms", "cors_origin": guest.url,
                                                 "session_from": ["query:session", "cookie:sid"]})
    guest.upstream = site.web.port
    return site


@pytest.fixture
def browser(chromium, relay):
    """On a page of the relay's origin, so that streams run through it."""
    chromium.goto(relay.url)
    yield chromium
    chromium.goto("about:blank")


def to(session):
    return {"sessions": [session]}


def requests(relay):
    return relay.requests("/sse")


def ids(events):
    return [e["id"] for e in events]


def data(events):
    return [e["data"] for e in events]


# What is dispatched

def test_events_arrive_with_their_names_and_ids(site, browser, session):
    source = browser.listen(f"/sse?session={session}", names=["greeting"]).wait_open()
    first = site.publish("greeting", data={"msg": "hi"}, to=to(session))["seq"]
    second = site.publish(text="no name", to=to(session))["seq"]
    site.publish("greeting", data=0.1, to=to(session), id=f"own-{session}")
    assert source.wait_for(3) == [
        {"type": "greeting", "data": '{"msg": "hi"}', "id": str(first)},
        {"type": "message", "data": "no name", "id": str(second)},
        {"type": "greeting", "data": "0.1", "id": f"own-{session}"},
    ]


def test_numbers_keep_their_digits_and_text_its_letters(site, browser, session):
    source = browser.listen(f"/sse?session={session}").wait_open()
    site.commands.demand(
        b'{"op":"publish","data":[9007199254740993,1e400,0.10],"to":{"sessions":["%s"]}}'
        % session.encode()
    )
    site.publish(text="ä € 𝄞", to=to(session))
    assert data(source.wait_for(2)) == ["[9007199254740993,1e400,0.10]", "ä € 𝄞"]


@pytest.mark.parametrize(
    "text", ["one\ntwo", "\n", "", "\n\n end", " leading", "a\n\ndata: b\nid: 7\nevent: forged"]
)
def test_every_text_arrives_as_one_event(site, browser, session, text):
    source = browser.listen(f"/sse?session={session}", names=["forged"]).wait_open()
    site.publish(text=text, to=to(session))
    site.publish(text="end", to=to(session))
    events = source.wait_for(2)
    assert data(events) == [text, "end"]
    assert [e["type"] for e in events] == ["message"] * 2


def test_carriage_returns_arrive_as_line_feeds(site, browser, session):
    source = browser.listen(f"/sse?session={session}").wait_open()
    site.publish(payload=b"one\r\ntwo\rthree\n", to=to(session))
    assert data(source.wait_for(1)) == ["one\ntwo\nthree\n"]


def test_two_sources_in_one_page_each_get_what_is_theirs(site, browser, session):
    anna = browser.listen(f"/sse?session={session}-anna&channels={session}").wait_open()
    bert = browser.listen(f"/sse?session={session}-bert&channels={session}").wait_open()
    site.publish(text="room", to={"channels": [session]})
    site.publish(text="anna", to=to(f"{session}-anna"))
    site.publish(text="bert", to=to(f"{session}-bert"))
    assert data(anna.wait_for(2)) == ["room", "anna"]
    assert data(bert.wait_for(2)) == ["room", "bert"]


# Coming back

def test_a_browser_that_was_cut_off_resumes_exactly(site, browser, relay, session):
    source = browser.listen(f"/sse?session={session}").wait_open()
    seqs = []
    for round in range(3):
        seqs += [site.publish(data=n, to=to(session))["seq"] for n in range(10)]
        source.wait_for(len(seqs))
        asked = len(requests(relay))
        relay.cut()
        seqs += [site.publish(data=n, to=to(session))["seq"] for n in range(10)]
        again = relay.wait_for_requests("/sse", asked + 1)[asked]
        assert again["last-event-id"] == str(seqs[-11]), round
    source.wait_for(len(seqs))
    site.publish(text="end", to=to(session))
    assert ids(source.wait_for(len(seqs) + 1))[:-1] == [str(s) for s in seqs]
    assert source.opens() >= 4


def test_it_resumes_from_a_publisher_s_own_id(site, browser, relay, session):
    source = browser.listen(f"/sse?session={session}").wait_open()
    site.publish(text="first", to=to(session), id=f"own-{session}")
    source.wait_for(1)
    relay.cut()
    site.publish(text="second", to=to(session))
    assert relay.wait_for_requests("/sse", 2)[1]["last-event-id"] == f"own-{session}"
    assert data(source.wait_for(2)) == ["first", "second"]


def test_a_browser_that_received_nothing_resumes_from_the_first_block(
    site, browser, relay, session
):
    source = browser.listen(f"/sse?session={session}").wait_open()
    relay.cut()
    seq = site.publish(text="missed", to=to(session))["seq"]
    assert source.wait_for(1) == [{"type": "message", "data": "missed", "id": str(seq)}]
    assert int(relay.wait_for_requests("/sse", 2)[1]["last-event-id"]) < seq


def test_a_checkpoint_moves_the_cursor_and_dispatches_nothing(site, browser, relay, session):
    source = browser.listen(f"/sse?session={session}").wait_open()
    seq = site.publish(text="not for this one", to=OTHERS)["seq"]
    wait_until(lambda: b"id: %d\n" % seq in relay.sent_down(), what="a checkpoint")
    wait_until(lambda: b": keep-alive\n" in relay.sent_down().partition(b"id: %d\n" % seq)[2],
               what="the next heartbeat")
    relay.cut()
    assert relay.wait_for_requests("/sse", 2)[1]["last-event-id"] == str(seq)
    source.wait_open(times=2)
    assert source.events() == []


@pytest.fixture(scope="module")
def firefox(bench_of_all):
    with Firefox(bench_of_all.subfolder("firefox")) as firefox:
        yield firefox


@pytest.fixture(scope="module")
def webkit(bench_of_all):
    with WebKit(bench_of_all.subfolder("webkit")) as webkit:
        yield webkit


@pytest.fixture(params=["chromium", "firefox", "webkit"])
def any_browser(request, bench_of_all):
    """Firefox and WebKit drop the id of a block without data. Naming bench_of_all keeps these tests
    in the process that has the browsers."""
    browser = request.getfixturevalue("whole_chromium"
                                      if request.param == "chromium" else request.param)
    yield browser
    browser.goto("about:blank")


@pytest.fixture
def each(any_browser, relay):
    """Each browser, on a page of the relay's origin."""
    any_browser.goto(relay.url)
    return any_browser


def test_each_browser_receives_and_comes_back_where_it_was(site, each, relay, session):
    source = each.listen(f"/sse?session={session}", names=["greeting"]).wait_open()
    wanted = []
    for round in range(3):
        seq = site.publish("greeting", data={"n": round}, to=to(session))["seq"]
        wanted.append({"type": "greeting", "data": '{"n": %d}' % round, "id": str(seq)})
        assert source.wait_for(len(wanted)) == wanted
        relay.cut()
        seq = site.publish(text=f"while it was away\n{round}", to=to(session))["seq"]
        wanted.append({"type": "message", "data": f"while it was away\n{round}", "id": str(seq)})
        assert source.wait_for(len(wanted)) == wanted
        source.wait_open(times=round + 2)
        assert relay.wait_for_requests("/sse", round + 2)[-1]["last-event-id"] == wanted[-2]["id"]


def test_each_browser_reports_a_gap_and_a_shutdown_and_stays_away(site, each, relay, session):
    site.publish(text="retained", to=to(session))
    source = each.listen(f"/sse?session={session}&lastEventId=lost").wait_open()
    site.commands.shutdown(sessions=[session], reason="logout", block=60)
    gap, retained, end = source.wait_for(3)
    assert gap["type"] == "ssecast.gap" and gap["data"].startswith('{"last":"lost","oldest":')
    assert retained["data"] == "retained"
    assert (end["type"], end["data"]) == ("ssecast.shutdown", '{"reason":"logout"}')
    source.wait_closed()
    assert len(requests(relay)) == 2 and b"HTTP/1.1 204 " in relay.sent_down()


@pytest.mark.parametrize("shared", [False, "us"])
def test_the_module_works_in_each_browser(site, each, relay, session, shared):
    stream = open_stream(each, f"/sse?session={session}", ["m", "error"],
                         shared=shared).wait_state("online")
    wait_until(stream.connection, what="the connection's id")
    wanted = []
    for round in range(2):
        wanted += [str(site.publish(name, data=round, to=to(session))["seq"])
                   for name in ("m", "error")]
        relay.cut()
        wanted += [str(site.publish(name, data=round, to=to(session))["seq"])
                   for name in ("m", "error")]
        stream.wait_told("online", round + 2)
        stream.wait_for(len(wanted))
    assert stream.ids() == wanted and stream.told("gap") == []
    site.commands.shutdown(sessions=[session], reason="logout", block=60)
    stream.wait_state("stopped")
    assert stream.told("stopped") == [["stopped", {"status": 204, "reason": "logout"}]]


def test_the_module_notices_a_dead_connection_in_each_browser(site, any_browser, session):
    with contextlib.closing(Network(site.web.port)) as network:
        any_browser.goto(network.url)
        stream = open_stream(any_browser, f"/sse?session={session}").wait_state("online")
        network.stall()
        seq = site.publish(data=1, to=to(session))["seq"]
        assert stream.wait_for(1) == [{"type": "message", "data": "1", "id": str(seq)}]
        assert stream.told("gap") == []
        any_browser.goto("about:blank")


def test_a_browser_that_received_nothing_misses_nothing_when_its_web_server_dies(
    bench, any_browser, session
):
    site = Site(bench)
    any_browser.goto(site.web.origin)
    source = any_browser.listen(f"/sse?session={session}", names=["ssecast.checkpoint"]).wait_open()
    [begin] = source.wait_for(1)
    site.web.kill()
    seqs = [site.publish(data=n, to=to(session))["seq"] for n in range(3)]
    site.web.start()
    source.wait_open(times=2)
    seqs.append(site.publish(data=3, to=to(session))["seq"])
    events = source.wait_for(6)
    assert begin["type"] == "ssecast.checkpoint"
    assert [e["id"] for e in events if e["type"] == "message"] == [str(s) for s in seqs]


def test_a_browser_that_is_rarely_addressed_gets_no_gap(bench, any_browser, session):
    site = Site(bench, broker={"history_events": 50},
                worker={"heartbeat": "300ms", "window_bytes": "64K"})
    with Relay(site.web.port) as relay:
        any_browser.goto(relay.url)
        source = any_browser.listen(f"/sse?session={session}").wait_open()
        site.publish(data="first", to=to(session))
        for n in range(100):  # more than broker or window hold
            seq = site.publish(text="x" * 1000, to=OTHERS)["seq"]
        wait_until(lambda: b"id: %d\n" % seq in relay.sent_down(), what="a checkpoint")
        relay.cut()
        again = relay.wait_for_requests("/sse", 2)[1]
        site.publish(data="second", to=to(session))
        assert (data(source.wait_for(2)) == ['"first"', '"second"']
                and int(again["last-event-id"]) >= seq)
        any_browser.goto("about:blank")


def test_a_gap_is_reported_to_the_page(site, browser, session):
    source = browser.listen(f"/sse?session={session}&lastEventId=lost")
    [gap, *_] = source.wait_for(1)
    assert gap["type"] == "ssecast.gap"
    assert gap["data"].startswith('{"last":"lost","oldest":')


# Ends

def test_a_shutdown_is_reported_and_the_browser_stays_away(site, browser, relay, session):
    source = browser.listen(f"/sse?session={session}").wait_open()
    site.publish(text="last words", to=to(session))
    assert site.commands.shutdown(sessions=[session], reason="logout", block=60)["closed"] == 1
    last, end = source.wait_for(2)
    assert last["data"] == "last words"
    assert (end["type"], end["data"]) == ("ssecast.shutdown", '{"reason":"logout"}')
    source.wait_closed()
    assert len(requests(relay)) == 2 and b"HTTP/1.1 204 " in relay.sent_down()
    assert requests(relay)[1]["last-event-id"] == last["id"]
    assert len(source.events()) == 2


def test_after_a_shutdown_without_a_block_the_browser_comes_back(site, browser, session):
    source = browser.listen(f"/sse?session={session}").wait_open()
    site.commands.shutdown(sessions=[session], block=0)
    source.wait_open(times=2)
    site.publish(text="here again", to=to(session))
    assert [e["data"] for e in source.wait_for(2)] == ['{"reason":null}', "here again"]


def test_a_page_that_is_left_is_not_online_any_more(site, browser, session):
    browser.listen(f"/sse?session={session}").wait_open()
    site.wait_connections(session, 1)
    browser.goto("about:blank")
    site.wait_connections(session, 0)


def test_without_a_session_the_browser_gives_up(browser):
    assert browser.listen("/sse").wait_closed().opens() == 0


def is_served(site, worker):
    """Does lighttpd give requests to this worker? For a moment after it was away it does not, and
    with all away it answers 503."""
    site.request(session="probe")
    return any(f"-{worker.pid}-" in w["worker"] and w["streams_opened"]
               for w in site.commands.workers())


def test_streams_survive_the_restart_of_their_worker(site, browser, session):
    source = browser.listen(f"/sse?session={session}").wait_open()
    site.publish(data=1, to=to(session))
    for worker in site.workers:
        worker.restart()
        wait_until(lambda worker=worker: is_served(site, worker),
                   what="lighttpd knows the worker again")
    site.publish(data=2, to=to(session))
    assert data(source.wait_for(2)) == ["1", "2"]
    assert source.wait_open(times=2).ready_state() == OPEN


def test_a_stream_stays_open_and_gets_a_gap_when_a_broker_without_a_store_restarts(
    site, browser, session
):
    source = browser.listen(f"/sse?session={session}").wait_open()
    site.publish(data=1, to=to(session))
    before = source.wait_for(1)[0]["id"]
    site.broker.restart()
    gap = source.wait_for(2)[1]
    assert gap["type"] == "ssecast.gap" and gap["data"].startswith('{"last":%s,"oldest":' % before)
    after = site.publish(data=2, to=to(session))["seq"]
    assert source.wait_for(3)[2] == {"type": "message", "data": "2", "id": str(after)}
    assert source.opens() == 1


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_page_notices_nothing_of_a_broker_with_a_store_that_restarts(
    bench, chromium, session, end
):
    site = Site(bench, broker={"store": bench.folder / "history"}, worker={"heartbeat": "300ms"})
    with Relay(site.web.port) as relay:
        chromium.goto(relay.url)
        source = chromium.listen(f"/sse?session={session}").wait_open()
        seqs = [site.publish(data=n, to=to(session))["seq"] for n in range(3)]
        getattr(site.broker, end)()
        relay.cut()
        source.wait_open(times=2)
        site.broker.start()
        seqs += [site.publish(data=n, to=to(session))["seq"] for n in range(3, 6)]
        relay.cut()
        seqs += [site.publish(data=n, to=to(session))["seq"] for n in range(6, 9)]
        events = source.wait_for(9)
        assert data(events) == [str(n) for n in range(9)]
        assert ids(events) == [str(s) for s in seqs] and sorted(set(seqs)) == seqs
        chromium.goto("about:blank")


# Other origins

def test_a_page_of_an_allowed_origin_reads_with_its_cookies(site, chromium, guest, session):
    chromium.goto(guest.url)
    chromium.run("document.cookie = `sid=${arguments[0]}; path=/`", session)
    with_cookies = chromium.listen(site.url(), with_credentials=True).wait_open()
    without = chromium.listen(site.url())
    site.publish(text="for the cookie", to=to(session))
    assert data(with_cookies.wait_for(1)) == ["for the cookie"]
    assert without.wait_closed().opens() == 0


def test_a_page_of_another_origin_reads_nothing(site, browser, session):
    source = browser.listen(site.url(session)).wait_closed()
    assert source.opens() == 0 and source.ready_state() == CLOSED


# Every web server

@pytest.mark.parametrize("web",
                         [Apache, ApacheHandoff, Nginx, LighttpdSpawning, LighttpdCgi, ApacheCgi],
                         ids=lambda web: web.name)
def test_behind_each_web_server_a_browser_receives_resumes_and_is_sent_away(
    bench, chromium, web, session
):
    site = Site(bench, web=web, worker={"heartbeat": "300ms"})
    with Relay(site.web.port) as relay:
        chromium.goto(relay.url)
        source = chromium.listen(f"/sse?session={session}", names=["greeting"]).wait_open()
        first = site.publish("greeting", data={"msg": "hi"}, to=to(session))["seq"]
        assert source.wait_for(1) == [
            {"type": "greeting", "data": '{"msg": "hi"}', "id": str(first)}
        ]
        relay.cut()
        second = site.publish(text="while it was away", to=to(session))["seq"]
        assert ids(source.wait_for(2)) == [str(first), str(second)]
        assert relay.wait_for_requests("/sse", 2)[1]["last-event-id"] == str(first)
        site.commands.shutdown(sessions=[session], reason="the end")
        assert source.wait_for(3)[2]["data"] == '{"reason":"the end"}'
        assert source.wait_closed().opens() == 2
        chromium.goto("about:blank")


# The Mercure protocol

HUB = "/sse" + PATH


@pytest.fixture(scope="module")
def hub():
    with Bench() as b:
        yield Hub(b, workers=2, heartbeat="500ms")


@pytest.fixture
def hub_relay(hub):
    with Relay(hub.web.port) as relay:
        yield relay


@pytest.fixture
def topic(session):
    return f"https://example.com/{session}"


def bring_cookie(browser, token):
    browser.run("document.cookie = arguments[0]",
                f"mercureAuthorization={token}; path={HUB}; SameSite=Strict")


def told(source, count):
    return [(e["data"], e["id"]) for e in source.wait_for(count)]


def cursors(relay):
    return [r["last-event-id"] for r in relay.requests(HUB) if "last-event-id" in r]


def test_each_browser_with_a_cookie_or_a_query_cursor_misses_nothing(
    hub, any_browser, hub_relay, topic
):
    """A public update and a private one; each worker goes away, and comes back; the query's cursor
    counts once."""
    any_browser.goto(hub_relay.url)
    bring_cookie(any_browser, hub.old_token(subscribe=[topic]))
    wanted = [("before", hub.update(topic, data="before", id=f"urn:{topic}"))]
    live = any_browser.listen(f"{HUB}?topic={quoted(topic)}").wait_open()
    old = (any_browser.listen(f"{HUB}?topic={quoted(topic)}&lastEventID={quoted(wanted[0][1])}")
           .wait_open())
    new = any_browser.listen(f"{HUB}?match={quoted(topic)}&last_event_id=earliest").wait_open()
    ungranted = (
        any_browser.listen(f"{HUB}?topic={quoted(topic)}-2&lastEventID=earliest").wait_open()
    )

    wanted += [(data, hub.update(topic, data=data, **fields))
               for data, fields in (("public", {}), ("private", {"private": "on"}))]
    hub.update(f"{topic}-2", data="private", private="on")
    assert told(live, 2) == told(old, 2) == wanted[1:] and told(new, 3) == wanted

    for worker, private in zip(hub.workers, (False, True)):
        worker.stop()
        seq = hub.publish(text="away", to={"channels": [topic]}, private=private)["seq"]
        wanted.append(("away", f"#{seq}"))
        worker.start()
        wait_until(lambda worker=worker: is_served(hub, worker),
                   what="lighttpd knows the worker again")
    assert told(live, 4) == told(old, 4) == wanted[1:] and told(new, 5) == wanted
    assert wanted[2][1] in cursors(hub_relay)

    wanted.append(("after", hub.update(topic, data="after", private="on")))
    hub.update(f"{topic}-2", data="after")
    assert told(live, 5) == told(old, 5) == wanted[1:] and told(new, 6) == wanted
    assert [data for data, _ in told(ungranted, 1)] == ["after"]


TURBO = """<!doctype html><title>Turbo</title><link rel="icon" href="data:,">
<script src="/turbo.js"></script>
<p id="score">not yet begun</p><turbo-stream-source src="{source}"></turbo-stream-source>"""


def stream(score):
    return (
        f'<turbo-stream action="update" target="score"><template>{score}</template></turbo-stream>'
    )


def test_turbo_shows_what_the_hub_sends(hub, chromium, hub_relay, topic):
    """The element opens an EventSource without credentials: within one origin that is with the
    cookie."""
    www = hub.web.place / "www"
    shutil.copy(node.installed("examples/html")
                    / "node_modules/@hotwired/turbo/dist/turbo.es2017-umd.js", www / "turbo.js")
    (www / "turbo.html").write_text(TURBO.format(source=f"{HUB}?topic={quoted(topic)}"))
    shows = lambda score: wait_until(  # noqa: E731
        lambda: chromium.run("return document.getElementById('score').innerText") == score,
        what=score
    )

    chromium.goto(hub_relay.url)
    bring_cookie(chromium, hub.old_token(subscribe=[topic]))
    chromium.goto(f"{hub_relay.url}/turbo.html")
    hub_relay.wait_for_requests(HUB, 1)
    wait_until(lambda: chromium.run(
        "return document.querySelector('turbo-stream-source').streamSource.readyState"
    ) == 1, what="its stream")

    hub.update(topic, data=stream("1 : 0"))
    shows("1 : 0")
    last = hub.update(topic, data=stream("2 : 0"), private="on")
    shows("2 : 0")
    hub_relay.cut()
    hub.update(topic, data=stream("3 : 0"), private="on")
    shows("3 : 0")
    assert last in cursors(hub_relay)
    chromium.goto("about:blank")
