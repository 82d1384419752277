"""client/js/ssecast.js in Chromium: what it adds to EventSource, and one connection for several
tabs."""

import contextlib
import pathlib
import shutil
import subprocess
import tarfile
import time

import pytest
from support import node, processes
from support.network import Network
from support.relay import Relay
from support.site import Site
from support.tabs import MODULE, Tab
from support.waiting import TIMEOUT, never, wait_until


HEARTBEAT = "1s"
SEVERAL_HEARTBEATS = 4.5  # after two and a half to three a stream counts as dead


@pytest.fixture(scope="module")
def site(bench_of_all):
    return Site(bench_of_all,
                worker={"heartbeat": HEARTBEAT, "session_from": ["query:session", "cookie:sid"],
                        "cors_origin": "*"})


@contextlib.contextmanager
def opened_in(browser, relay):
    """A function that opens a tab on a page of the site; what a test opened is closed."""
    opened = []

    def tab():
        opened.append(Tab(browser, relay.url))
        return opened[-1]

    yield tab
    for tab in opened:
        tab.close()


@pytest.fixture
def tabs(chromium, relay):
    with opened_in(chromium, relay) as tab:
        yield tab


@pytest.fixture
def tabs_apart(whole_chromium, relay):
    """Each with a process of its own."""
    with opened_in(whole_chromium, relay) as tab:
        yield tab


@pytest.fixture
def tab(tabs):
    return tabs()


def to(session):
    return {"sessions": [session]}


def path(session):
    return f"/sse?session={session}"


def publish(site, session, count, start=0, **fields):
    """Events with the data start, start + 1, ...; their ids as a page sees them."""
    return [str(site.publish(data=n, to=to(session), **fields)["seq"])
            for n in range(start, start + count)]


def streams_of(site, session):
    return site.commands.connections_of(session)


# Events, and what happens to the stream

def test_events_arrive_with_their_names_and_ids(site, tab, session):
    stream = tab.stream(path(session), ["message", "greeting"]).wait_state("online")
    first = site.publish("greeting", data={"msg": "hi"}, to=to(session))["seq"]
    second = site.publish(text="no name", to=to(session))["seq"]
    assert stream.wait_for(2) == [{"type": "greeting", "data": '{"msg": "hi"}', "id": str(first)},
                                  {"type": "message", "data": "no name", "id": str(second)}]
    assert stream.told() == [["online", {}]]


def test_channels_may_have_commas(site, tab, session):
    stream = tab.stream(path(session),
                        channels=[f"{session}-a", f"{session},b"]).wait_state("online")
    wait_until(lambda: [
        sorted(c["channels"]) for c in site.commands.connections(session=session)["connections"]
    ] == [sorted([f"{session}-a", f"{session},b"])], what="the channels")
    site.publish(data=1, to={"channels": [f"{session},b"]})
    assert stream.wait_for(1)[0]["data"] == "1"


def test_a_start_counts_for_the_first_opening_only(site, tab, relay, session):
    publish(site, session, 5)
    stream = tab.stream(path(session), last=2).wait_state("online")
    assert [e["data"] for e in stream.wait_for(2)] == ["3", "4"]
    relay.cut()
    publish(site, session, 1, start=5)
    assert [e["data"] for e in stream.wait_for(3)] == ["3", "4", "5"]


NAMES = ["open", "error", "message", "online", "offline", "gap", "shutdown", "expired",
         "replaced", "stopped"]


@pytest.mark.parametrize("shared", [False, "us"])
@pytest.mark.parametrize("names", [NAMES, ["last"]], ids=["heard", "unheard"])
def test_a_published_event_is_never_taken_for_one_of_the_stream_s_own(
    site, tab, session, names, shared
):
    """EventSource dispatches an `error` and an `open` of its own."""
    stream = tab.stream(path(session), [*names, "last"], shared=shared).wait_state("online")
    for name in [*NAMES, "last"]:
        site.publish(name, data=1, to=to(session))
    wait_until(lambda: stream.events() and stream.events()[-1]["type"] == "last",
               what="the last event")
    assert {e["type"] for e in stream.events()} == {*names, "last"}
    assert stream.told() == [["online", {}]] and stream.state() == "online"


@pytest.mark.parametrize("shared", [False, "us"])
def test_a_lost_connection_is_never_taken_for_a_published_event(site, tab, session, shared):
    """With listeners for `error` and `open` the cursor stays, and nothing is lost."""
    stream = tab.stream(path(session), ["m", "error", "open"], shared=shared).wait_state("online")
    ids = publish(site, session, 1, event="m")
    stream.wait_for(1)
    site.worker.kill()
    ids += publish(site, session, 2, 1, event="error")
    wait_until(lambda: any(t[1]["retryIn"] for t in stream.told("offline")),
               what="EventSource gave up")
    site.worker.start()
    stream.wait_for(3)
    assert stream.ids() == ids and stream.told("gap") == []


def test_a_listener_can_come_later(site, tab, session):
    stream = tab.stream(path(session)).wait_state("online")
    stream.listen("late")
    site.publish("late", data=1, to=to(session))
    assert stream.wait_for(1)[0]["type"] == "late"


def test_retained_events_follow_a_gap(site, tab, session):
    site.publish(text="retained", to=to(session))
    stream = tab.stream(path(session), lastEventId="unknown")
    assert stream.wait_told("gap")["last"] == "unknown"
    assert stream.wait_for(1)[0]["data"] == "retained"


def test_a_page_that_knows_where_it_stands_begins_there(site, tab, session):
    known, = publish(site, session, 1)
    later = publish(site, session, 3, 1)
    stream = tab.stream(path(session), lastEventId=known)
    stream.wait_for(3)
    assert stream.ids() == later and stream.told("gap") == []


# Coming back

def test_cut_connections_lose_nothing(site, tab, relay, session):
    stream = tab.stream(path(session)).wait_state("online")
    ids = []
    for round in range(3):
        ids += publish(site, session, 10)
        relay.cut()
        ids += publish(site, session, 10)
        stream.wait_told("online", round + 2)
    stream.wait_for(len(ids))
    assert stream.ids() == ids
    assert stream.told("offline") == [["offline", {"retryIn": None}]] * 3


@pytest.mark.parametrize("before", [0, 3])
def test_it_reconnects_when_the_web_server_has_answered_503(site, tab, session, before):
    """EventSource alone gives up then. Also a page that has received nothing yet resumes
    exactly."""
    stream = tab.stream(path(session)).wait_state("online")
    ids = publish(site, session, before)
    wait_until(lambda: len(stream.events()) == before, what="what came before")
    site.worker.kill()
    ids += publish(site, session, 5)
    wait_until(lambda: any(t[1]["retryIn"] for t in stream.told("offline")),
               what="EventSource gave up")
    assert site.request("GET", session)[0] == 503
    site.worker.start()
    stream.wait_state("online")
    stream.wait_for(len(ids))
    assert stream.ids() == ids and stream.told("gap") == []


def test_pauses_grow_and_are_jittered(site, tab, session):
    stream = tab.stream(path(session), firstPause=100, longestPause=400).wait_state("online")
    site.worker.kill()
    pauses = wait_until(lambda: len(
        p := [t[1]["retryIn"] for t in stream.told("offline") if t[1]["retryIn"]]
    ) >= 5 and p, what="5 pauses")
    site.worker.start()
    stream.wait_state("online")
    for pause, longest in zip(pauses, (100, 200, 400, 400, 400)):
        assert longest / 2 <= pause <= longest
    assert len({*pauses[2:5]}) > 1


def test_the_cursor_moves_with_what_does_not_concern_the_page(site, tab, session):
    stream = tab.stream(path(session)).wait_state("online")
    seq = site.publish(data=1, to=to("somebody-else"))["seq"]
    wait_until(lambda: int(stream.last_event_id()) >= seq, what="a checkpoint")
    assert stream.events() == []


def test_a_page_is_not_online_while_the_worker_is_full(bench, chromium):
    """Its stream is answered 200 and ends. What is published then is not for it: it has no cursor
    yet."""
    site = Site(bench, worker={"retry": "100ms", "max_connections": 1})
    holder = site.open("anna")
    with Relay(site.web.port) as relay, opened_in(chromium, relay) as tab:
        stream = tab().stream(path("bert"))
        wait_until(lambda: len(stream.told("offline")) >= 3, what="three attempts")
        assert stream.told("online") == [] and stream.state() == "offline"
        holder.close()
        stream.wait_state("online")
        publish(site, "bert", 1)
        stream.wait_for(1)
        assert len(stream.told("online")) == 1


def test_coming_back_takes_the_place_of_no_other_stream(bench, chromium):
    """The question what the answer would be now is not a stream of the session."""
    site = Site(bench, worker={"heartbeat": HEARTBEAT, "retry": "100ms", "max_per_session": 2})
    with Relay(site.web.port) as relay, opened_in(chromium, relay) as tab:
        streams = [tab().stream(path("anna")).wait_state("online") for _ in range(2)]
        site.worker.kill()
        for stream in streams:
            wait_until(lambda: any(t[1]["retryIn"] for t in stream.told("offline")),
                       what="EventSource gave up")
        before = site.commands.stats()["streams_opened"]
        site.worker.start()
        for stream in streams:
            stream.wait_state("online")
        wait_until(lambda: site.commands.connections_of("anna") == 2, what="both are known")
        stats = site.commands.stats()
        assert (stats["streams_opened"] - before, stats["ends_replaced"]) == (2, 0)
        assert [stream.told("replaced") for stream in streams] == [[], []]


# Heartbeats

@pytest.fixture
def network(site):
    with contextlib.closing(Network(site.web.port)) as network:
        yield network


@pytest.mark.parametrize("shared", [False, "us"])
def test_a_dead_connection_is_noticed(site, chromium, network, session, shared):
    """Nobody closed it: a mobile phone has changed its network, a router has lost its table."""
    tab = Tab(chromium, network.url)
    stream = tab.stream(path(session), shared=shared).wait_state("online")
    before = stream.connection()
    ids = publish(site, session, 1)
    stream.wait_for(1)
    network.stall()
    ids += publish(site, session, 3, 1)
    stream.wait_told("offline")
    stream.wait_state("online")
    stream.wait_for(4)
    assert stream.ids() == ids and stream.told("gap") == []
    assert stream.connection() not in (before, None)
    tab.close()


def test_a_large_event_arrives_over_a_slow_line(site, chromium, session):
    """It takes longer than a stream may be silent, and begins anew with each attempt."""
    def slowly(line, data):
        time.sleep(len(data) / 150_000)
        return data

    with contextlib.closing(Network(site.web.port, slowly)) as network:
        tab = Tab(chromium, network.url)
        try:
            stream = tab.stream(path(session)).wait_state("online")
            site.publish(text="x" * 600_000, to=to(session))
            wait_until(lambda: [len(data) for data in stream.data()] == [600_000],
                       what=lambda: stream.told())
            assert stream.told("gap") == []
        finally:
            tab.close()


def test_a_quiet_stream_is_not_dead(site, tab, session):
    """Nothing is published to anybody, so that no cursor moves."""
    stream = tab.stream(path(session)).wait_state("online")
    never(lambda: stream.told("offline"), SEVERAL_HEARTBEATS, what="another connection")


def test_a_stream_busy_with_unheard_events_is_not_dead(site, tab, session):
    stream = tab.stream(path(session)).wait_state("online")

    def publish_and_look():
        site.publish("unheard", data=1, to=to(session))
        return stream.told("offline")

    never(publish_and_look, SEVERAL_HEARTBEATS, what="another connection")


def test_a_stream_is_not_dead_while_the_broker_is_away(site, tab, session):
    stream = tab.stream(path(session)).wait_state("online")
    site.broker.kill()
    try:
        never(lambda: stream.told("offline"), SEVERAL_HEARTBEATS, what="another connection")
    finally:
        site.broker.start()
    wait_until(lambda: publish(site, session, 1) and stream.events(),
               what="an event after the broker's return")
    assert stream.told("offline") == []


def test_a_page_can_exclude_itself(site, tabs, session):
    anna, bert = (tabs().stream(path(session)).wait_state("online") for _ in range(2))
    wait_until(lambda: anna.connection(), what="the connection's id")
    wait_until(lambda: anna.connection() in [
        c["connection"] for c in site.commands.connections(session=session)["connections"]
    ], what="it is known")
    site.publish(data="from anna", to=to(session),
                 **{"except": {"connections": [anna.connection()]}})
    last, = publish(site, session, 1)
    bert.wait_for(2)
    anna.wait_for(1)
    assert anna.ids() == [last]


# Staying away

def test_a_session_that_was_shut_down_stays_away(site, tab, relay, session):
    stream = tab.stream(path(session)).wait_state("online")
    site.commands.shutdown(sessions=[session], reason="logout", block=60)
    stream.wait_state("stopped")
    assert stream.told("shutdown", "stopped") == [["shutdown", {"reason": "logout"}],
                                                  ["stopped", {"status": 204, "reason": "logout"}]]
    asked = len(relay.requests("/sse"))
    never(lambda: len(relay.requests("/sse")) > asked, 1.5, what="another request")


def test_a_page_without_a_block_reconnects(site, tab, session):
    stream = tab.stream(path(session)).wait_state("online")
    site.commands.shutdown(sessions=[session], block=0)
    stream.wait_told("online", 2)
    publish(site, session, 1)
    assert stream.wait_for(1)[0]["data"] == "0"
    assert [what for what, _ in stream.told()] == ["online", "shutdown", "offline", "online"]


def test_a_shutdown_just_before_an_outage_is_not_the_end(site, tab, session):
    """EventSource comes back, meets a 503, and gives up. The module asks what the answer is now."""
    stream = tab.stream(path(session)).wait_state("online")
    site.commands.shutdown(sessions=[session], reason="upgrade", block=0)
    stream.wait_told("shutdown")
    site.worker.kill()
    ids = publish(site, session, 2)
    wait_until(lambda: any(t[1]["retryIn"] for t in stream.told("offline")),
               what="EventSource gave up")
    site.worker.start()
    stream.wait_state("online")
    stream.wait_for(2)
    assert stream.ids() == ids and stream.told("stopped") == []


def test_a_204_is_a_wish_without_a_shutdown_too(site, tab, session):
    site.commands.shutdown(sessions=[session], block=60)
    stream = tab.stream(path(session)).wait_state("stopped")
    assert stream.told("stopped") == [["stopped", {"status": 204, "reason": None}]]


def test_a_refusal_is_reported_with_its_reason(tab):
    stream = tab.stream("/sse?session=").wait_state("stopped")
    told = stream.told("stopped")[0][1]
    assert told["status"] == 400 and "session" in told["reason"]


def test_what_was_stopped_can_be_opened_again(site, tab, session):
    stream = tab.stream(path(session)).wait_state("online")
    site.commands.shutdown(sessions=[session], block=1)
    stream.wait_state("stopped")
    ids = publish(site, session, 2)

    def opened():
        stream.open()
        return wait_until(lambda: (s := stream.state()) in ("online", "stopped") and s,
                          what="an answer") == "online"
    wait_until(opened, what="the block is over")
    stream.wait_for(2)
    assert stream.ids() == ids


def test_a_closed_stream_is_closed_and_goes_on_when_it_is_opened(site, tab, session):
    stream = tab.stream(path(session)).wait_state("online")
    ids = publish(site, session, 2)
    stream.wait_for(2)
    stream.close()
    site.wait_connections(session, 0)
    ids += publish(site, session, 2, 2)
    assert stream.state() == "closed" and len(stream.events()) == 2
    stream.open()
    stream.wait_for(4)
    assert stream.ids() == ids


def together(tab, session, names=("message",), **options):
    """A stream that is shared with the other tabs of this session's user."""
    return tab.stream(path(session), names, shared=session, **options)


# Several tabs

def test_two_tabs_share_one_connection(site, tabs, session):
    anna = together(tabs(), session, ["message"]).wait_state("online")
    bert = together(tabs(), session, ["other"]).wait_state("online")
    ids = publish(site, session, 3)
    others = publish(site, session, 3, event="other")
    bert.wait_for(3)
    anna.wait_for(3)
    assert (anna.ids(), bert.ids()) == (ids, others)
    assert streams_of(site, session) == 1


def test_many_tabs_leave_connections_for_everything_else(site, tabs, session):
    """A browser has six to a host over HTTP/1.1: with streams of their own, the seventh tab would
    not even load."""
    streams = [together(tabs(), session) for _ in range(8)]
    for stream in streams:
        stream.wait_state("online")
    publish(site, session, 1)
    for stream in streams:
        stream.wait_for(1)
    assert streams_of(site, session) == 1


def log_in(tab, user):
    """The session is in a cookie, which all tabs have."""
    tab.run("document.cookie = `sid=${arguments[0]}; path=/`", user)


@pytest.mark.parametrize("share", [lambda _: {}, lambda user: {"shared": user}],
                         ids=["by default", "shared"])
def test_the_next_user_of_the_browser_is_sent_nothing_of_the_one_before(site, tabs, session, share):
    """The address is the same for all."""
    users = [f"{session}-{name}" for name in ("anna", "bert")]
    tab = tabs()
    log_in(tab, users[0])
    anna = tab.stream("/sse", **share(users[0])).wait_state("online")
    secrets = publish(site, users[0], 3)
    anna.wait_for(3)
    log_in(tab, users[1])
    bert = tabs().stream("/sse", **share(users[1]), lastEventId=secrets[0]).wait_state("online")
    ids = [publish(site, user, 1)[0] for user in users]
    anna.wait_for(4)
    bert.wait_for(1)
    assert (anna.ids(), bert.ids()) == ([*secrets, ids[0]], [ids[1]])
    assert [streams_of(site, user) for user in users] == [1, 1]


@pytest.mark.parametrize("named", [False, True], ids=["alone", "shared"])
def test_a_stream_that_comes_back_as_another_session_s_is_stopped(
    site, tabs, relay, session, named
):
    users = [f"{session}-{name}" for name in ("anna", "bert")]
    tab = tabs()
    log_in(tab, users[0])
    streams = [t.stream("/sse", shared=named and users[0]).wait_state("online")
               for t in (tab, tabs())]
    publish(site, users[0], 1)
    for stream in streams:
        stream.wait_for(1)
    log_in(tab, users[1])
    relay.cut()
    for stream in streams:
        stream.wait_state("stopped")
        assert stream.wait_told("stopped")["status"] == 0
    publish(site, users[1], 1)
    bert = tabs().stream("/sse", shared=named and users[1],
                         lastEventId=streams[0].last_event_id()).wait_state("online")
    bert.wait_for(1)
    assert [len(stream.events()) for stream in streams] == [1, 1]
    log_in(tab, users[0])
    later = publish(site, users[0], 1, 1)
    streams[0].open()
    streams[0].wait_for(2)
    assert streams[0].ids()[1:] == later and len(bert.events()) == 1


@pytest.mark.parametrize("named", [False, True], ids=["alone", "shared"])
def test_a_stream_whose_user_has_logged_out_is_stopped(bench, chromium, session, named):
    """It comes back without a session, and two tabs of nobody share a stream."""
    site = Site(bench, worker={"heartbeat": HEARTBEAT, "session_from": ["cookie:sid", "none"]})
    with Relay(site.web.port) as relay, contextlib.ExitStack() as stack:
        tab, other = (stack.enter_context(contextlib.closing(Tab(chromium, relay.url)))
                      for _ in range(2))
        log_in(tab, session)
        stream = tab.stream("/sse", shared=named and "us").wait_state("online")
        log_in(tab, "")
        relay.cut()
        stream.wait_state("stopped")
        assert stream.wait_told("stopped")["status"] == 0
        nobody = [t.stream("/sse", shared=named and "nobody").wait_state("online")
                  for t in (tab, other)]
        wait_until(lambda: site.commands.stats()["connections"] == (1 if named else 2),
                   what="their connections")
        site.publish(data=1)
        for stream in nobody:
            assert stream.wait_for(1)[0]["data"] == "1"


def test_the_same_name_does_not_make_another_session_s_stream_ours(site, tabs, session):
    """A tab that was open before and resumes finds a leader whose stream is another session's."""
    users = [f"{session}-{name}" for name in ("anna", "bert")]
    tab = tabs()
    log_in(tab, users[0])
    anna = tab.stream("/sse", shared="family").wait_state("online")
    known, = publish(site, users[0], 1)
    anna.wait_for(1)
    anna.close()
    log_in(tab, users[1])
    bert = tabs().stream("/sse", shared="family", lastEventId=known).wait_state("online")
    publish(site, users[1], 2)
    bert.wait_for(2)
    log_in(tab, users[0])
    later = publish(site, users[0], 1, 1)
    anna.open()
    anna.wait_for(2)
    assert anna.ids() == [known, *later] and bert.data() == ["0", "1"]


def test_only_a_name_makes_tabs_share(tab, session):
    for shared in (True, "", 7):
        with pytest.raises(AssertionError, match="name of the user"):
            tab.stream(path(session), shared=shared)


def test_a_sandboxed_frame_has_a_stream_of_its_own(site, tab, session):
    """It has no origin, and a browser gives it no locks."""
    tab.run(FRAME, MODULE.read_text(), tab.run("return location.origin") + path(session))
    site.wait_connections(session, 1)
    publish(site, session, 1)
    wait_until(lambda: tab.run("return window.heard.length"), what="an event in the frame")
    assert tab.run("return window.heard") == ["0"]


# A frame as <iframe sandbox="allow-scripts">, which posts what its stream hears.
FRAME = """
const [module, url] = arguments;
window.heard = [];
addEventListener("message", ({ data }) => window.heard.push(data));
const frame = document.createElement("iframe");
frame.sandbox = "allow-scripts";
const text = JSON.stringify(module).replaceAll("<", "\\u003c");
frame.srcdoc = `<script>
    const source = new Blob([${text}], { type: "text/javascript" });
    import(URL.createObjectURL(source)).then(({ EventStream }) =>
        new EventStream("${url}", { shared: "us" })
            .on("message", (event) => parent.postMessage(event.data, "*")));
    <` + `/script>`;
document.body.append(frame);
"""


def test_other_addresses_have_connections_of_their_own(site, tabs, session):
    tab = tabs()
    together(tab, session).wait_state("online")
    tab.stream(path(session) + "&channels=news", shared=session).wait_state("online")
    assert streams_of(site, session) == 2


def test_sharing_is_asked_for_and_is_not_needed(site, tabs, session):
    together(tabs(), session).wait_state("online")
    tabs().stream(path(session)).wait_state("online")
    without = tabs()
    without.run("Object.defineProperty(navigator, 'locks', { value: undefined })")
    together(without, session).wait_state("online")
    site.wait_connections(session, 3)


@pytest.mark.parametrize("leave", ["close the stream", "leave the page"])
def test_the_next_tab_takes_over_exactly(site, tabs, session, leave):
    first, *others = [together(tabs(), session).wait_state("online") for _ in range(3)]
    take_over(site, session, others,
              first.close if leave == "close the stream" else lambda: first.tab.goto("about:blank"))


@pytest.mark.parametrize("leave", [Tab.close, Tab.crash], ids=["close the tab", "crash"])
def test_the_next_tab_takes_over_exactly_from_a_process_that_ends(site, tabs_apart, session, leave):
    first, *others = [together(tabs_apart(), session).wait_state("online") for _ in range(3)]
    take_over(site, session, others, lambda: leave(first.tab))


def take_over(site, session, others, end):
    ids = publish(site, session, 20)
    end()
    ids += publish(site, session, 20, 20)
    for stream in others:
        stream.wait_for(40)
    ids += publish(site, session, 20, 40)
    for stream in others:
        stream.wait_for(60)
        assert stream.ids() == ids and stream.told() == [["online", {}]]
    site.wait_connections(session, 1)


def test_nothing_is_lost_however_often_the_leader_goes(site, tabs, session):
    streams = [together(tabs(), session).wait_state("online") for _ in range(5)]
    ids = []
    while len(streams) > 1:
        ids += publish(site, session, 5, len(ids))
        streams.pop(0).tab.close()
        ids += publish(site, session, 5, len(ids))
    streams[0].wait_for(len(ids))
    assert streams[0].ids() == ids


def test_a_leader_that_is_frozen_is_replaced_and_catches_up(site, tabs_apart, session):
    anna, bert = (together(tabs_apart(), session).wait_state("online") for _ in range(2))
    ids = publish(site, session, 5)
    anna.tab.freeze()
    ids += publish(site, session, 5, 5)
    bert.wait_for(10)
    anna.tab.thaw()
    ids += publish(site, session, 5, 10)
    for stream in (anna, bert):
        stream.wait_for(15)
        assert stream.ids() == ids
    assert streams_of(site, session) == 1


def test_a_silent_leader_is_replaced_too(site, tabs_apart, session):
    anna, bert = (together(tabs_apart(), session, leaderTimeout=500).wait_state("online")
                  for _ in range(2))
    ids = publish(site, session, 5)
    bert.wait_for(5)
    anna.tab.block(seconds=8)
    bert.tab.look()
    ids += publish(site, session, 5, 5)
    bert.wait_for(10)
    assert streams_of(site, session) == 2, "the silent one has not let go yet"
    ids += publish(site, session, 5, 10)
    bert.wait_for(15)
    site.wait_connections(session, 1)
    ids += publish(site, session, 5, 15)
    for stream in (anna, bert):
        stream.wait_for(20)
        assert stream.ids() == ids


def test_a_503_and_a_cut_reach_all_tabs(site, tabs, relay, session):
    anna, bert = (together(tabs(), session).wait_state("online") for _ in range(2))
    relay.cut()
    bert.wait_told("online", 2)
    site.worker.kill()
    ids = publish(site, session, 5)
    wait_until(lambda: any(t[1]["retryIn"] for t in bert.told("offline")),
               what="a pause is reported")
    site.worker.start()
    for stream in (anna, bert):
        stream.wait_for(5)
        assert stream.ids() == ids


def test_a_shutdown_reaches_all_tabs_and_a_new_one_asks_for_itself(site, tabs, session):
    anna, bert = (together(tabs(), session).wait_state("online") for _ in range(2))
    site.commands.shutdown(sessions=[session], reason="logout", block=2)
    for stream in (anna, bert):
        assert stream.wait_told("stopped") == {"status": 204, "reason": "logout"}
        assert stream.told("shutdown") == [["shutdown", {"reason": "logout"}]]
    tab = tabs()
    wait_until(lambda: together(tab, session).wait_state("online")
                   if site.request("GET", session)[0] == 200 else None, what="the block is over")


def test_a_page_that_was_left_is_gone_and_brought_up_to_date_on_the_way_back(site, tabs, session):
    anna, bert = (together(tabs(), session).wait_state("online") for _ in range(2))
    ids = publish(site, session, 2)
    anna.wait_for(2)
    for stream in (anna, bert):
        stream.tab.run("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    site.wait_connections(session, 0)
    ids += publish(site, session, 2, 2)
    for stream in (bert, anna):
        stream.tab.run("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
        stream.wait_for(4)
        assert stream.ids() == ids
    assert streams_of(site, session) == 1


def test_a_tab_that_others_cannot_update_asks_the_server(site, tabs, session):
    known, *ids = publish(site, session, 3)
    anna = together(tabs(), session).wait_state("online")
    bert = together(tabs(), session, lastEventId=known).wait_state("online")
    bert.wait_for(2)
    ids += publish(site, session, 2, 3)
    bert.wait_for(4)
    anna.wait_for(2)
    assert (bert.ids(), anna.ids()) == (ids, ids[2:])
    assert streams_of(site, session) == 2


# As a package

@pytest.mark.parametrize("file", ["module.test.mjs", "tabs.test.mjs"])
def test_it_does_each_step_right(file):
    """Where a browser cannot be made to: heartbeats that are late, locks that are refused, tabs
    that are suspended."""
    done = subprocess.run(
        [node.program("node"), "--test", processes.ROOT / "tests" / "node" / file],
        capture_output=True, text=True, timeout=6 * TIMEOUT
    )
    assert done.returncode == 0, done.stdout


def test_its_types_fit():
    place = node.installed("tests/node")
    for name in ("ssecast.js", "ssecast.d.ts"):
        shutil.copy2(processes.ROOT / "client" / "js" / name, place)
    done = subprocess.run([node.program("node"), "node_modules/typescript/bin/tsc", "--noEmit",
                           "--skipDefaultLibCheck", "--strict", "--target", "es2022", "--module",
                           "nodenext", "--lib", "es2022,dom", "types.ts"], cwd=place,
                          capture_output=True, text=True, timeout=3 * TIMEOUT)
    assert done.returncode == 0, done.stdout


def test_the_npm_package_has_its_four_files(tmp_path):
    done = subprocess.run([node.program("npm"), "pack", "--offline", "--silent",
                           "--pack-destination", tmp_path, processes.ROOT / "client" / "js"],
                          cwd=tmp_path, capture_output=True, text=True, timeout=3 * TIMEOUT)
    assert done.returncode == 0, done.stderr
    with tarfile.open(next(tmp_path.glob("ssecast-*.tgz"))) as package:
        names = {pathlib.PurePath(name).name for name in package.getnames()}
    assert names == {"package.json", "README.md", "ssecast.js", "ssecast.d.ts"}


# Where a session may have few streams

def test_a_stream_that_was_replaced_does_not_fight(bench, chromium):
    """With a plain EventSource two such tabs take turns."""
    site = Site(bench, worker={"heartbeat": HEARTBEAT, "retry": "100ms", "max_per_session": 1})
    first, second = (Tab(chromium, site.web.url + "/healthz") for _ in range(2))
    try:
        older = first.stream(path("anna")).wait_state("online")
        newer = second.stream(path("anna")).wait_state("online")
        older.wait_state("stopped")
        assert older.told("replaced", "stopped") == [
            ["replaced", {"reason": "max-per-session"}],
            ["stopped", {"status": 409, "reason": "max-per-session"}]
        ]
        publish(site, "anna", 1)
        assert [e["data"] for e in newer.wait_for(1)] == ["0"]
        assert site.commands.stats()["streams_opened"] == 2 and newer.told() == [["online", {}]]

        older.open()
        assert [e["data"] for e in older.wait_for(1)] == ["0"]
        newer.wait_state("stopped")
        wait_until(lambda: site.commands.stats()["ends_replaced"] == 2,
                   what="the second that was replaced")
        assert site.commands.stats()["streams_opened"] == 3
    finally:
        first.close()
        second.close()


def test_tabs_that_share_a_stream_hear_together_that_it_was_replaced(bench, chromium):
    site = Site(bench, worker={"heartbeat": HEARTBEAT, "retry": "100ms", "max_per_session": 1})
    first, second = (Tab(chromium, site.web.url + "/healthz") for _ in range(2))
    try:
        shared = [tab.stream(path("anna"), shared="anna").wait_state("online")
                  for tab in (first, second)]
        newer = site.open("anna")
        for stream in shared:
            stream.wait_state("stopped")
            assert [what for what, _ in stream.told("replaced", "stopped")] == [
                "replaced", "stopped"
            ]
        publish(site, "anna", 1)
        assert newer.wait_for(1)[0].data == "0" and site.commands.stats()["streams_opened"] == 2
    finally:
        first.close()
        second.close()
