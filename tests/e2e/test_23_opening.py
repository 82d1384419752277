"""How a stream opens: without a session, with repeated channels, and from a start that its request
names."""

import datetime
import json
import shutil
import time
import urllib.parse

import pytest
from support.apache import Apache
from support.bench import Bench
from support.broker import Broker
from support.fcgi import FastCgi
from support.jwt_keys import Secret
from support.lighttpd import Lighttpd
from support.nats import SERVER, NatsServer
from support.presence import Presence
from support.processes import CLI, WORKER, run
from support.site import Site
from support.waiting import wait_until
from support.worker import Worker


@pytest.fixture(scope="module")
def site(bench_of_all):
    return Site(bench_of_all, worker={"session_from": "query:session,none", "heartbeat": "200ms"})


@pytest.fixture
def fresh(bench):
    """A site of the test's own, on which nobody is connected."""
    return Site(bench, worker={"session_from": "query:session,none", "heartbeat": "200ms"})


def refusal(site, query):
    """(status, error, message) of a request with this query string, past the web server, which
    refuses some itself."""
    with FastCgi(site.worker.socket) as request:
        request.get(query).wait_end()
        return (request.head["status"],
                *(json.loads(request.body)[name] for name in ("error", "message")))


def own_events(reader):
    return [e.data for e in reader.events if e.type == "m"]


# No session

def test_a_stream_without_a_session_gets_broadcasts_and_its_channels(fresh, session):
    site = fresh
    reader = site.open(None, channels=[session])
    site.publish("m", data="not mine", to={"sessions": ["bert"]})
    site.publish("m", data="all")
    site.publish("m", data="channel", to={"channels": [session]})
    site.publish("m", data="connection", to={"connections": [reader.connection]})
    assert [e.data for e in reader.wait_for(3)] == ['"all"', '"channel"', '"connection"']


def test_it_is_a_connection_and_no_session(fresh, session):
    site = fresh
    with Presence(site.broker) as presence:
        anonymous, other, named = site.open(None,
                                            channels=[session]), site.open(None), site.open(session)
        wait_until(lambda: site.commands.stats()["connections"] == 3, what="3 connections")
        assert site.commands.stats()["sessions"] == 1
        assert [s["session"] for s in site.commands.sessions()["sessions"]] == [session]
        listed = {c["connection"]: c["session"] for c in site.commands.connections()["connections"]}
        assert listed == {anonymous.connection: None, other.connection: None,
                          named.connection: session}
        anonymous.close()
        wait_until(lambda: any(m["type"] == "disconnected" for m in presence.messages),
                   what="a disconnected")
        of_it = [(m["type"], m["session"]) for m in presence.messages
                 if m["connection"] == anonymous.connection]
        assert of_it == [("connected", None), ("disconnected", None)]
        presence.check(site.commands)


def test_a_shutdown_by_channel_or_connection_ends_it_and_is_in_the_status(fresh, session):
    site = fresh
    by_channel, by_connection, other = (site.open(None, channels=[session]), site.open(None),
                                        site.open(None))
    wait_until(lambda: len(site.commands.connections()["connections"]) >= 3, what="3 connections")
    site.commands.shutdown(channels=[session], reason="over")
    by_channel.wait_end()
    site.commands.shutdown(connections=[by_connection.connection])
    by_connection.wait_end()
    assert not other.ended
    assert by_channel.types()[-1] == "ssecast.shutdown"
    assert site.commands.demand({"op": "status"})["ends"][0]["session"] is None


def test_a_ban_of_sessions_never_concerns_it(fresh, session):
    site = fresh
    reader = site.open(None)
    site.commands.shutdown(sessions=[session], block=30)
    assert site.request()[0] == 200
    site.publish("m", data=1)
    reader.wait_for(1)
    assert reader.types() == ["m"]


def test_a_quiet_one_gets_heartbeats_without_an_owner(site):
    reader = site.open(None, query={"checkpoints": "always"}, keep_body=True)
    reader.wait(lambda: reader.body.count(b"event: ssecast.checkpoint") >= 3, "3 checkpoints")
    assert "owner" not in reader.about and reader.about["connection"] == reader.connection
    assert "owner" in site.open("anna", query={"checkpoints": "always"}).about


def test_max_per_session_does_not_apply(bench):
    site = Site(bench, worker={"session_from": "query:session,none", "max_per_session": 1})
    readers = [site.open(None) for _ in range(3)]
    site.open("anna")
    replaced = site.open("anna")
    site.publish("m", data=1)
    for reader in [*readers, replaced]:
        assert reader.wait_for(1)[0].data == "1"


def test_max_per_address_applies(bench):
    site = Site(bench, worker={"session_from": "none", "max_per_address": 2})
    readers = [site.open(None) for _ in range(2)]
    third = site.start_open(None)
    third.wait_end()
    site.publish("m", data=1)
    for reader in readers:
        reader.wait_for(1)
    assert third.events == []


def test_a_broker_that_restarts_learns_of_it_again(bench):
    site = Site(bench, broker={"store": bench.folder / "store"},
                worker={"session_from": "query:session,none"})
    readers = [site.open(None, channels=["c"]), site.open(None)]
    wait_until(lambda: site.commands.stats()["connections"] == 2, what="2 connections")
    site.broker.restart()
    wait_until(lambda: site.commands.stats()["connections"] == 2, what="2 connections again")
    assert site.commands.stats()["sessions"] == 0
    assert site.commands.publish("m", data=1)["online"] == 2
    for reader in readers:
        reader.wait_for(1)


def test_tokens_and_no_token(bench):
    key = Secret()
    file = bench.folder / "key"
    file.write_text(key.file)
    site = Site(bench, worker={"session_from": "jwt,none", "jwt_secret_file": str(file)})

    def bearer(token):
        return {"Authorization": f"Bearer {token}"}

    anonymous = site.open(None, channels=["any"])
    named = site.open(None, headers=bearer(key.token(sub="anna")))
    nameless = site.open(None, channels=["room:1"],
                         headers=bearer(key.token(2, channels=["room:*"])))
    wait_until(lambda: site.commands.stats()["connections"] == 3, what="3 connections")
    assert site.commands.stats()["sessions"] == 1
    for token, error in ((key.token(-1, sub="anna"), "token_expired"),
                         (Secret().token(sub="anna"), "invalid_token"),
                         ("nonsense", "invalid_token"), (key.token(-1), "token_expired")):
        status, _, body = site.request(headers=bearer(token))
        assert (status, json.loads(body)["error"]) == (401, error)
    status, _, body = site.request(channels=["other"],
                                   headers=bearer(key.token(channels=["room:*"])))
    assert (status, json.loads(body)["error"]) == (403, "forbidden_channel")
    site.publish("m", data=1)
    for reader in (anonymous, named, nameless):
        reader.wait_for(1)
    nameless.wait_type("ssecast.expired")
    assert not anonymous.ended


@pytest.mark.parametrize("sources", ["none,query:session", "jwt,none,query:x", "none,none"])
def test_none_is_the_last_source(sources):
    done = run([WORKER, "--session-from", sources, "--listen", "/tmp/none.socket"])
    assert done.returncode != 0 and "none as the last source" in done.stderr


def test_none_is_no_source_of_channels():
    done = run([WORKER, "--channels-from", "none"])
    assert done.returncode != 0 and "channels-from" in done.stderr


def test_the_command_line_lists_it(site, session):
    reader = site.open(None, channels=[session])
    wait_until(lambda: site.commands.stats()["connections"] >= 1, what="a connection")
    endpoints = ["--commands", site.broker.endpoint("commands"), "--presence",
                 site.broker.endpoint("presence")]
    line = next(x for x in run([CLI, *endpoints[:2], "connections"]).stdout.splitlines()
                if reader.connection in x)
    assert "-" in line.split() and session in line
    watched = run([CLI, *endpoints, "--json", "watch", "--count", "1"])
    assert json.loads(watched.stdout.splitlines()[0])["session"] is None, watched.stderr


@pytest.mark.skipif(not shutil.which(SERVER), reason="no nats-server")
def test_two_brokers_know_it_as_no_session(bench):
    server = NatsServer(bench, "nats").start()
    brokers = [Broker(bench, f"broker{n}", store=f"nats://{server.address}", store_replicas=1)
               .start() for n in range(2)]
    workers = [Worker(bench, b, f"worker{n}", session_from="query:session,none").start()
               for n, b in enumerate(brokers)]
    clients = [bench.closing(b.commands()) for b in brokers]
    for worker in workers:
        bench.closing(FastCgi(worker.socket)).get("channels=c").wait_open()
    for client in clients:
        wait_until(lambda c=client: c.stats()["connections"] == 2, what="2 connections")
        assert client.stats()["sessions"] == 0
        assert [c["session"] for c in client.connections()["connections"]] == [None, None]
    late = Broker(bench, "broker2", store=f"nats://{server.address}", store_replicas=1).start()
    with late.commands() as client:
        wait_until(lambda: client.stats()["connections"] == 2,
                   what="2 connections at the late broker")
        assert client.stats()["sessions"] == 0


# Channels

def channels_of(site, reader):
    def found():
        return [c["channels"] for c in site.commands.connections()["connections"]
                if c["connection"] == reader.connection]
    wait_until(found, what="the connection")
    return found()[0]


@pytest.mark.parametrize("query, wanted", [
    ("channel=a&channel=b", ["a", "b"]),
    ("channels=a,b&channel=c", ["a", "b", "c"]),
    ("channel=a,b&channels=c", ["a,b", "c"]),
    ("channel=a&channel=a&channels=a,a", ["a"]),
    ("channel=&channel=a&channels=", ["a"]),
    ("channel=&channels=", []),
    ("channel=%E4%BD%A0%20x%2C&channel=b+c", ["b c", "你 x,"]),
])
def test_channels_may_be_repeated(site, query, wanted):
    reader = site.readers.open(site.web.url + "?" + query).wait_open()
    assert sorted(channels_of(site, reader)) == sorted(wanted)


@pytest.mark.parametrize("query, error", [
    ("channel=a%0Ab", "bad_channels"), ("channel=%FF", "bad_channels"),
    ("channel=" + "x" * 256, "bad_channels"),
    ("&".join(f"channel=c{n}" for n in range(65)), "bad_channels"),
    ("channels=" + ",".join(f"c{n}" for n in range(40))
         + "".join(f"&channel=d{n}" for n in range(25)), "bad_channels"),
    ("channels=a&channels=b", "repeated_parameter"),
])
def test_bad_channels_are_refused(site, query, error):
    assert refusal(site, query)[:2] == (400, error)


def test_channel_belongs_to_the_default_source(bench):
    site = Site(bench, worker={"channels_from": "query:rooms"})
    reader = site.readers.open(site.url("anna") + "&rooms=a&channel=b&channel=c").wait_open()
    assert channels_of(site, reader) == ["a"]


# Where to start

@pytest.fixture
def filled(site, session):
    """A channel with 10 events, and events of others between them: (channel, the seqs)."""
    seqs = []
    for n in range(10):
        seqs.append(site.publish("m", data=n, to={"channels": [session]})["seq"])
        site.publish("m", data="x", to={"sessions": ["bert"]})
    site.settle()  # else the worker may begin at the newest events that it has so far
    return session, seqs


STARTS = [("last=3", 7), ("last=1", 9), ("last=10", 0), ("last=1000", 0), ("from=earliest", 0)]


@pytest.mark.parametrize("empty", [False, True], ids=["window", "empty window"])
@pytest.mark.parametrize("start, first", STARTS)
def test_a_stream_begins_where_it_was_asked_to(site, filled, start, first, empty):
    channel, seqs = filled
    if empty:
        site.worker.restart()
    reader = site.readers.open(site.url(None, [channel]) + "&" + start).wait_open()
    reader.wait_for(10 - first)
    assert own_events(reader) == [str(n) for n in range(first, 10)]
    assert int(reader.checkpoints[0]) < seqs[first] if first else True
    more = site.publish("m", data="live", to={"channels": [channel]})
    assert reader.wait_for(11 - first)[-1].id == str(more["seq"])
    assert "ssecast.gap" not in reader.types()


@pytest.mark.parametrize("shape", ["ms", "Z", "offset", "blank"])
def test_since_begins_with_the_first_event_of_that_time(site, session, shape):
    site.publish("m", data="before", to={"channels": [session]})
    time.sleep(0.02)
    at = datetime.datetime.now(datetime.UTC)
    ms = int(at.timestamp() * 1000)
    text = {"ms": str(ms),
            "Z": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "offset": at.astimezone(datetime.timezone(datetime.timedelta(hours=5, minutes=30)))
                .isoformat(timespec="milliseconds"),
            "blank": ""}[shape]
    query = (urllib.parse.urlencode({"since": text})
             if text else "since=" + at.isoformat(timespec="milliseconds"))
    time.sleep(0.02)
    for n in range(3):
        site.publish("m", data=n, to={"channels": [session]})
    reader = site.readers.open(site.url(None, [session]) + "&" + query).wait_open()
    reader.wait_for(3)
    assert own_events(reader) == ["0", "1", "2"]


def test_a_start_in_the_future_or_with_nothing_to_show_is_now(site, session):
    for start in ("last=5", "since=9007199254740991", "since=9999-12-31T23:59:60Z"):
        reader = site.readers.open(site.url(None, [session + start]) + "&" + start).wait_open()
        reader.wait(lambda r=reader: r.last_event_id, "a first checkpoint")
        site.publish("m", data=start, to={"channels": [session + start]})
        assert [e.data for e in reader.wait_for(1)] == [json.dumps(start)]


@pytest.mark.parametrize("start", ["last=2", "from=earliest", "since=0"])
def test_a_cursor_goes_first_and_a_bad_value_is_refused_all_the_same(site, filled, start):
    channel, seqs = filled
    url = site.url(None, [channel]) + "&" + start
    for reader in (site.readers.open(url, str(seqs[4])),
                   site.readers.open(url + f"&lastEventId={seqs[4]}")):
        reader.wait_for(5)
        assert own_events(reader) == ["5", "6", "7", "8", "9"]
    assert refusal(site, f"last=0&lastEventId={seqs[4]}")[:2] == (400, "bad_parameter")
    empty = site.readers.open(url + "&lastEventId=").wait_open()
    empty.wait_for(2)
    assert own_events(empty)[-2:] == ["8", "9"]


BAD = ["last=0", "last=1001", "last=-1", "last=1e3", "last=%EF%BC%95", "last=", "last=+5",
       "last=5%20", "last=0x5", "last=5%00", "last=99999999999999999999", "last=" + "9" * 7000,
       "since=9e99", "since=-1", "since=", "since=9007199254740992", "since=yesterday",
       "since=2026-02-29T00:00:00Z", "since=2026-11-21", "since=2026-11-21T10:15:02",
       "since=2026-11-21T10:15:60Z", "since=2026-11-21T24:00:00Z", "since=2026-11-21T10:15:02.Z",
       "since=2026-13-01T00:00:00Z", "since=2026-11-21T10:15:02ZZ",
       "since=2026-11-21T10:15:02%2B24:00", "since=%FF%FE",
       "from=EARLIEST", "from=", "from=latest", "from=earliest%0A", "from=0"]


@pytest.mark.parametrize("query", BAD, ids=lambda q: q[:40])
def test_a_bad_value_is_named(site, query):
    status, error, message = refusal(site, query)
    assert (status, error) == (400, "bad_parameter")
    assert message.startswith(query.partition("=")[0] + "=") and "accepted: " in message


@pytest.mark.parametrize("query, error", [
    ("last=1&from=earliest", "bad_parameter"), ("last=1&since=0", "bad_parameter"),
    ("since=0&from=earliest", "bad_parameter"),
    ("last=1&last=1", "repeated_parameter"), ("since=0&since=1", "repeated_parameter"),
    ("from=earliest&from=earliest", "repeated_parameter"), ("last=1&last=", "repeated_parameter")])
def test_a_stream_has_one_start_given_once(site, query, error):
    assert refusal(site, query)[:2] == (400, error)


@pytest.mark.parametrize("query",
                         ["last=%31%30", "from=%65arliest", "since=2016-12-31T23:59:60Z",
                          "since=2016-12-31t23:59:59.123456789z",
                          "since=1969-12-31T23:59:59Z", "since=2017-01-01T00:59:60%2B01:00"])
def test_unusual_spellings_of_a_start_are_accepted(site, query):
    assert site.request(path="?" + query)[0] == 200


def test_head_is_answered_with_the_head(site):
    assert site.request("HEAD", path="?last=5")[::2] == (200, b"")


def test_without_checkpoints_the_position_is_an_id_line(site, filled):
    channel, seqs = filled
    reader = site.readers.open(site.url(None, [channel]) + "&last=2&checkpoints=false").wait_open()
    reader.wait_for(2)
    assert own_events(reader) == ["8", "9"]
    assert int(reader.last_event_id) == seqs[-1]


def test_a_disconnect_in_the_middle_resumes_exactly(bench):
    """A slow reader is cut at every place of a large replay."""
    site = Site(bench, worker={"session_from": "none"})
    for n in range(400):
        site.publish("m", data=f"{n} " + "x" * 5000, to={"channels": ["c"]})
    site.worker.restart()
    reader = site.readers.open(site.url(None, ["c"]) + "&last=300", reconnect=True, retry=0.01,
                               receive_buffer=4096)
    for wanted in range(20, 300, 40):
        reader.wait(lambda n=wanted: len(reader.events) >= n, f"{wanted} events")
        reader.cut()
    reader.wait_for(300)
    assert [e.data.split()[0].strip('"') for e in reader.events] == [
        str(n) for n in range(100, 400)
    ]


@pytest.mark.parametrize("web", [Lighttpd, Apache], ids=lambda w: w.name)
def test_a_start_and_channels_come_through_web_servers(bench, web):
    site = Site(bench, web=web, worker={"session_from": "query:session,none"})
    for n in range(5):
        site.publish("m", data=n, to={"channels": ["a,b"]})
    site.settle()
    reader = site.readers.open(site.web.url + "?channel=a%2Cb&channel=c&last=2").wait_open()
    reader.wait_for(2)
    assert own_events(reader) == ["3", "4"]


@pytest.mark.parametrize("store", [True, False], ids=["lmdb", "memory"])
def test_a_stream_that_waits_for_a_broker_keeps_its_wish(bench, store):
    site = Site(bench, broker={"store": bench.folder / "store"} if store else {},
                worker={"session_from": "none"})
    for n in range(5):
        site.publish("m", data=n)
    site.broker.stop()
    site.worker.restart()
    starts = {"last=2": ["3", "4"], "from=earliest": ["0", "1", "2", "3", "4"],
              "since=1": ["0", "1", "2", "3", "4"]}
    readers = {start: site.readers.open(site.web.url + "?" + start) for start in starts}
    for reader in readers.values():
        reader.wait(lambda r=reader: r.status == 200, "an answer")
    site.broker.start()
    for reader in readers.values():
        reader.wait_open()
    site.publish("m", data="live")
    for start, reader in readers.items():
        reader.wait_data('"live"')
        assert own_events(reader) == (starts[start] if store else []) + ['"live"']
        assert "ssecast.gap" not in reader.types()


def test_a_broker_that_is_killed_in_the_middle(bench):
    site = Site(bench, broker={"store": bench.folder / "store"}, worker={"session_from": "none"})
    for n in range(300):
        site.publish("m", data=f"{n} " + "x" * 8000)
    site.worker.restart()
    reader = site.readers.open(site.web.url + "?from=earliest", receive_buffer=4096, reconnect=True)
    reader.wait(lambda: len(reader.events) >= 20, "20 events")
    site.broker.kill()
    site.broker.start()
    reader.wait_for(300)
    site.publish("m", data="live")
    reader.wait_for(301)
    assert [e.data.split()[0].strip('"') for e in reader.events] == [*map(str, range(300)), "live"]


def test_earliest_begins_with_the_oldest_event_retained_and_tells_no_gap(bench):
    site = Site(bench, broker={"history_events": 10}, worker={"session_from": "none"})
    for n in range(30):
        site.publish("m", data=n)
    for start in ("from=earliest", "last=1000", "since=0"):
        site.worker.restart()
        reader = site.readers.open(site.web.url + "?" + start).wait_open()
        reader.wait_for(10)
        assert reader.data() == [str(n) for n in range(20, 30)]


def test_a_shutdown_after_the_opening_ends_a_stream_that_begins_later(bench):
    """The answer to `last` comes after the shutdown, which is older than the last event."""
    site = Site(bench, worker={"session_from": "query:session"})
    site.publish("m", data=0)
    site.worker.restart()
    site.open("warm")
    site.broker.freeze()
    commands = bench.closing(site.broker.commands())
    commands.send({"op": "shutdown", "sessions": ["anna"]})
    commands.send({"op": "publish", "event": "m", "data": 1})
    reader = site.start_open("anna", query={"last": "1"})
    reader.wait(lambda: reader.status == 200, "an answer")
    site.broker.thaw()
    reader.wait_end()
    assert reader.types()[-1] == "ssecast.shutdown"


def test_shutdowns_are_not_counted(site, session):
    site.publish("m", data="kept", to={"channels": [session]})
    site.commands.shutdown(channels=[session])
    reader = site.readers.open(site.url(None, [session]) + "&last=1").wait_open()
    assert reader.wait_for(1)[0].data == '"kept"'


@pytest.mark.skipif(not shutil.which(SERVER), reason="no nats-server")
def test_behind_jetstream_the_newest_are_those_of_all_brokers(bench):
    server = NatsServer(bench, "nats").start()
    brokers = [Broker(bench, f"broker{n}", store=f"nats://{server.address}", store_replicas=1)
               .start() for n in range(2)]
    worker = Worker(bench, brokers[1], "worker", session_from="none").start()
    first = bench.closing(brokers[0].commands())
    for n in range(20):
        first.publish("m", data=n)
        stream = bench.closing(FastCgi(worker.socket)).get("since=0")
        stream.wait_open()
        wait_until(lambda s=stream, n=n: [e.data for e in s.events() if e.type == "m"] == [
            str(i) for i in range(n + 1)
        ], what=f"{n + 1} events")
        stream.close()


# Clients

def tail(site, *arguments):
    done = run([CLI, "tail", "--json", *arguments])
    return [json.loads(line)["data"] for line in done.stdout.splitlines()], done


@pytest.mark.parametrize("arguments, first", [(["--last", "3"], 7), (["--from", "earliest"], 0),
                                              (["--since", "2020-01-01T00:00:00+02:00"], 0)])
def test_tail_begins_where_it_is_told_to(site, filled, arguments, first):
    channel, _ = filled
    printed, done = tail(site, site.url(None, [channel]), "--event", "m", "--count",
                         str(10 - first), *arguments)
    assert printed == [str(n) for n in range(first, 10)], done.stderr


@pytest.mark.parametrize(
    "arguments", [["--last", "0"], ["--last", "1001"], ["--from", "latest"], ["--since", "x&y"],
                  ["--last", "1", "--from", "earliest"], ["--last", "1", "--last-event-id", "5"]]
)
def test_tail_refuses_bad_starts(site, arguments):
    assert tail(site, site.url(None), *arguments)[1].returncode == 2


def test_tail_shows_why_the_server_refused(site):
    done = tail(site, site.url(None), "--since", "2026-02-29T00:00:00Z")[1]
    assert (done.returncode == 1
            and done.stderr.rstrip("\n").endswith('RFC 3339 (2026-11-21T10:15:02Z)"}')), done.stderr


# Private events


@pytest.mark.parametrize("empty", [False, True], ids=["window", "empty window"])
def test_the_newest_events_are_those_that_the_stream_may_be_sent(site, session, empty):
    """Private events of a channel do not concern a stream without a token: they take no event's
    place."""
    for n in range(3):
        site.publish("m", data=n, to={"channels": [session]})
        site.publish("m", data="secret", private=True, to={"channels": [session]})
    site.publish("m", data="own", private=True, to={"channels": [session], "sessions": [session]})
    for _ in range(5):
        site.publish("m", data="secret", private=True, to={"channels": [session]})
    site.settle()
    if empty:
        site.worker.restart()
    reader = site.readers.open(site.url(session, [session]) + "&last=3").wait_open()
    site.publish("m", data="live", to={"channels": [session]})
    assert [json.loads(e.data) for e in reader.wait_for(4)] == [1, 2, "own", "live"]


@pytest.mark.parametrize("channels", [["room:1"], ["room:*"], ["*"]],
                         ids=["exact", "prefix", "all"])
def test_the_newest_events_are_counted_with_a_token_s_grants(bench, channels):
    """A token that grants a stream's channels grants their private events, and no others are in the
    way."""
    key = Secret()
    (bench.folder / "key").write_text(key.file)
    site = Site(bench,
                worker={"session_from": "jwt,query:session", "channels_from": "query:channels,jwt",
                        "jwt_secret_file": str(bench.folder / "key")})
    headers = {"Authorization": f"Bearer {key.token(sub='anna', channels=channels)}"}
    for n in range(4):
        site.publish("m", data=n, private=n % 2 == 1, to={"channels": ["room:1"]})
        site.publish("m", data="other", private=True, to={"channels": ["room:2", "hall"]})
        site.publish("m", data="secret", private=True,
                     to={"channels": ["hall"], "sessions": ["bert"]})
    site.publish("m", data="both", private=True, to={"channels": ["room:1", "hall"]})
    site.settle()
    # the first reader's end is one more message
    for place, count in (("window", 3), ("broker", 4)):
        reader = site.readers.open(site.url(None, ["room:1"]) + f"&last={count}",
                                   headers=headers).wait_open()
        site.publish("end", data=place, to={"sessions": ["anna"]})
        reader.wait_data(json.dumps(place))
        assert [json.loads(e.data) for e in reader.events if e.type == "m"] == [2, 3, "both"], place
        reader.close()
        site.worker.restart()
    status, _, body = site.request(headers=headers, channels="room:1,else", session=None)
    assert (status, json.loads(body or b"{}").get("error")) == (
        (200, None) if channels == ["*"] else (403, "forbidden_channel")
    )


@pytest.mark.parametrize("store", ["memory", "LMDB", pytest.param(
    "JetStream", marks=pytest.mark.skipif(not shutil.which(SERVER), reason="no nats-server")
)])
def test_the_newest_events_are_neither_private_nor_replaced(bench, store):
    """A value that a later one replaced takes no event's place either, wherever the newest are
    looked up."""
    options = {"LMDB": lambda: {"store": bench.subfolder("store")},
               "JetStream": lambda: {"store": f"nats://{NatsServer(bench, 'nats').start().address}",
                                     "store_replicas": 1}}
    site = Site(bench, broker=options.get(store, dict)())
    for data, more in [(0, {}), ("old", {"key": "k"}), (1, {}),
                       ("secret", {"key": "p", "private": True}), ("new", {"key": "k"}), (2, {}),
                       *[("secret", {"private": True})] * 5, ("other", {"key": "o"}),
                       ("secret", {"key": "p", "private": True})]:
        site.publish("m", data=data, to={"channels": ["room"]}, **more)
    site.settle()
    for place in ("window", "broker"):
        # the last one: new is the state
        for count, wanted in [(4, [1, "new", 2, "other"]), (3, ["new", 2, "other"]),
                              (2, ["new", 2, "other"])]:
            session = f"{place}-{count}"
            reader = site.readers.open(site.url(session, ["room"]) + f"&last={count}").wait_open()
            site.publish("end", data=None, to={"sessions": [session]})
            reader.wait_data("null")
            assert [json.loads(e.data) for e in reader.events if e.type == "m"] == wanted, (
                place, count
            )
            assert (reader.events[0].id == "") == (count == 2), (place, count)
        site.worker.restart()
