"""Heartbeats and checkpoints: a quiet stream stays alive, and its cursor fresh."""

import json

import pytest
from support.bench import Bench
from support.broker import Broker
from support.fcgi import FastCgi
from support.site import Site
from support.tokens import Issuer
from support.waiting import wait_until
from support.worker import Worker


@pytest.fixture(scope="module")
def quick():
    """A site whose heart beats fast and whose history holds 100 events."""
    with Bench() as b:
        yield Site(b, broker={"history_events": 100}, worker={"heartbeat": "200ms"})


def test_a_quiet_stream_gets_comments(quick, session):
    reader = quick.open(session)
    reader.wait(lambda: reader.decoder.comments >= 3, "3 comments")
    assert reader.events == []


def test_a_heartbeat_moves_the_cursor_when_the_sequence_has_moved_on(quick, session):
    reader = quick.open(session)
    seq = quick.publish("m", data=1, to={"sessions": ["somebody"]})["seq"]
    reader.wait(lambda: int(reader.last_event_id) >= seq, f"the cursor at {seq}")
    assert reader.events == []


def test_a_heartbeat_leaves_the_cursor_alone_when_nothing_happened(quick, session):
    reader = quick.open(session)
    reader.wait(lambda: reader.decoder.comments >= 4, "4 comments")
    assert len(reader.checkpoints) <= 2


def test_a_rarely_addressed_client_gets_no_gap(quick, session):
    reader = quick.open(session)
    for n in range(300):  # more than are retained
        seq = quick.publish("m", data=n, to={"sessions": ["somebody"]})["seq"]
    reader.wait(lambda: int(reader.last_event_id) >= seq, f"the cursor at {seq}")
    reader.close()
    quick.publish("m", data="mine", to={"sessions": [session]})
    back = quick.open(session, last_event_id=reader.last_event_id)
    assert back.wait_for(1)[0].data == '"mine"'


def test_events_no_longer_retained_are_reported_as_a_gap(quick, session):
    first = quick.publish("m", data="first", to={"sessions": [session]})["seq"]
    for n in range(300):
        quick.publish("m", data=n, to={"sessions": ["somebody"]})
    quick.publish("m", data="last", to={"sessions": [session]})
    for worker in quick.workers:
        worker.restart()  # so that its own window knows no more than the broker
    back = quick.open(session, last_event_id=str(first - 1))
    back.wait_data('"last"')
    assert back.types() == ["ssecast.gap", "m"]


def test_a_checkpoint_is_never_ahead_of_what_was_sent(quick, session):
    """Cut at every checkpoint: nothing may be skipped."""
    reader = quick.open(session, reconnect=True, retry=0.01)
    total = 60
    for n in range(total):
        quick.publish("m", data=n, to={"sessions": [session]})
        quick.publish("m", data=n, to={"sessions": ["somebody"]})
        if n % 3 == 0:
            reader.cut()
    reader.wait_for(total)
    assert reader.data() == [str(n) for n in range(total)]


# As they stand in the stream

@pytest.mark.parametrize("query", [{}, {"checkpoints": "true"}], ids=["by default", "asked for"])
def test_a_checkpoint_is_an_event(quick, session, query):
    reader = quick.open(session, query=query, keep_body=True)
    assert reader.about == {"connection": reader.connection, "heartbeat": 200}
    assert reader.body.startswith(
        b"retry: 200\nevent: ssecast.checkpoint\nid: %s\ndata: {" % reader.starts[0].encode()
    )
    seq = quick.publish("m", data=1, to={"sessions": ["somebody"]})["seq"]
    reader.wait(lambda: int(reader.last_event_id) >= seq, f"the cursor at {seq}")
    assert b"\nevent: ssecast.checkpoint\nid: %d\ndata: {}\n\n" % seq in reader.body


def test_a_heartbeat_without_a_checkpoint_is_one_line(quick, session):
    reader = quick.open(session, keep_body=True)
    reader.wait(lambda: reader.decoder.comments >= 2, "2 comments")
    assert b": keep-alive\n: keep-alive\n" in reader.body


def test_checkpoints_can_be_turned_off(quick, session):
    reader = quick.open(session, query={"checkpoints": "false"}, keep_body=True)
    assert bytes(reader.body).startswith(b"retry: 200\nid: %s\n\n" % reader.starts[0].encode())
    seq = quick.publish("m", data=1, to={"sessions": ["somebody"]})["seq"]
    reader.wait(lambda: int(reader.last_event_id) >= seq, f"the cursor at {seq}")
    assert b"ssecast.checkpoint" not in reader.body and b"\nid: %d\n\n" % seq in reader.body


def test_every_heartbeat_can_be_made_an_event(quick, session):
    """On a busy stream too: a page sees nothing of comments, nor of events that it has no listeners
    for."""
    reader = quick.open(session, query={"checkpoints": "always"}, keep_body=True)
    other = quick.open(session + "-other", query={"checkpoints": "always"})
    same = quick.open(session, query={"checkpoints": "always"})
    owner = reader.about["owner"]
    assert owner == same.about["owner"] != other.about["owner"] and session not in owner
    beat = b"\n\nevent: ssecast.checkpoint\ndata: {}\n\n"
    reader.wait(lambda: bytes(reader.body).count(beat) >= 2, "heartbeats of an idle stream")
    so_far = bytes(reader.body).count(beat)

    def busy():
        quick.publish("m", data=1, to={"sessions": [session]})
        return bytes(reader.body).count(beat) >= so_far + 2
    wait_until(busy, what="heartbeats of a busy stream")
    assert b": keep-alive" not in reader.body


@pytest.mark.parametrize("value", ["1", "", "no", "True"])
def test_checkpoints_are_wanted_or_not(quick, session, value):
    status, _, body = quick.request(session=session, checkpoints=value)
    refusal = json.loads(body)
    assert (status, refusal["error"]) == (400, "bad_parameter")
    assert refusal["message"] == f"checkpoints={value}; accepted: true, false or always"


def test_a_resumed_stream_learns_its_connection_beside_its_own_cursor(quick, session):
    quick.publish("m", data=1, to={"sessions": [session]}, id=f"own-{session}")
    quick.settle()
    reader = quick.open(session, last_event_id=f"own-{session}")
    assert reader.starts == [f"own-{session}"] and reader.about["connection"] == reader.connection


def test_a_cursor_that_no_id_line_can_hold_is_answered_with_a_place(quick, session):
    with FastCgi(quick.worker.socket) as web:
        web.get(f"session={session}", HTTP_LAST_EVENT_ID="x" * 300).wait_open()
        decoder, events = web.decoded()
        assert ([e.type for e in events[:1]] == ["ssecast.gap"]
                and web.body.startswith(b"retry: 200\n\nevent: ssecast.gap\n"))
        assert json.loads(decoder.about) == {"connection": web.head["ssecast-connection"],
                                             "heartbeat": 200}


def test_a_stream_that_waits_for_the_broker_learns_its_place_later(bench):
    broker = Broker(bench)
    worker = Worker(bench, broker, heartbeat="200ms").start()
    with FastCgi(worker.socket) as web:
        web.get("session=anna").wait(lambda: web.decoded()[0].comments >= 1, "a comment")
        assert not web.decoded()[0].checkpoints
        broker.start()
        web.wait_open()
        assert json.loads(web.decoded()[0].about) == {"connection": web.head["ssecast-connection"],
                                                      "heartbeat": 200}


def test_an_event_takes_the_place_of_a_heartbeat(quick, session):
    reader = quick.open(session, keep_body=True)
    for n in range(5):
        quick.publish("m", data=n, to={"sessions": [session]})
    reader.wait_for(5)
    assert reader.decoder.comments <= 3


# Streams that something binds: a token's time, or the limits of an address

BOUND = {
    "token": {"session_from": "jwt", "jwt_secret_file": None},
    "max-per-address": {"max_per_address": 100},
    "connect-rate": {"connect_rate": 100},
}


@pytest.mark.parametrize("bound", BOUND)
def test_a_bound_stream_gets_heartbeats_and_checkpoints_too(quick, session, bound):
    options, query = dict(BOUND[bound]), f"session={session}"
    if bound == "token":
        issuer = Issuer(quick.bench.folder / "bound.key")
        options["jwt_secret_file"], query = issuer.secret_file, "token=" + issuer.token(sub=session)
    worker = Worker(quick.bench, quick.broker, bound, heartbeat="200ms", **options).start()
    with FastCgi(worker.socket) as web:
        web.get(query).wait_open()
        web.wait(lambda: web.decoded()[0].comments >= 2, "2 comments")
        seq = quick.publish("m", data=1, to={"sessions": ["somebody"]})["seq"]
        web.wait(lambda: int(web.decoded()[0].last_event_id) >= seq, f"the cursor at {seq}")
    worker.stop()
