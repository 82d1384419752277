"""Heartbeats and checkpoints: a quiet stream stays alive, and its cursor fresh."""

import pytest
from support.bench import Bench
from support.fcgi import FastCgi
from support.site import Site
from support.tokens import Issuer
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


def test_one_who_is_rarely_addressed_is_not_told_of_a_gap(quick, session):
    reader = quick.open(session)
    for n in range(300):  # more than are retained
        seq = quick.publish("m", data=n, to={"sessions": ["somebody"]})["seq"]
    reader.wait(lambda: int(reader.last_event_id) >= seq, f"the cursor at {seq}")
    reader.close()
    quick.publish("m", data="mine", to={"sessions": [session]})
    back = quick.open(session, last_event_id=reader.last_event_id)
    assert back.wait_for(1)[0].data == '"mine"'


def test_what_is_no_longer_retained_is_told_as_a_gap(quick, session):
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


def test_checkpoints_can_be_made_visible(quick, session):
    """For scripts, which cannot read EventSource's cursor."""
    reader = quick.open(session, query={"checkpoints": "true"})
    assert reader.wait_for(1)[0][:2] == ("ssecast.checkpoint", "")
    seq = quick.publish("m", data=1, to={"sessions": ["somebody"]})["seq"]
    assert reader.wait_for(2)[1][:3] == ("ssecast.checkpoint", "", str(seq))
    quick.publish("m", data=2, to={"sessions": [session]})
    assert reader.wait_for(3)[2].type == "m"


def test_an_event_takes_the_place_of_a_heartbeat(quick, session):
    reader = quick.open(session, keep_body=True)
    for n in range(5):
        quick.publish("m", data=n, to={"sessions": [session]})
    reader.wait_for(5)
    assert reader.decoder.comments <= 3


# Streams that something binds: a token's time, or the limits of an address

BOUND = {
    "token": {"session_from": "jwt", "jwt_key_file": None},
    "max-per-address": {"max_per_address": 100},
    "connect-rate": {"connect_rate": 100},
}


@pytest.mark.parametrize("bound", BOUND)
def test_a_bound_stream_gets_heartbeats_and_checkpoints_too(quick, session, bound):
    options, query = dict(BOUND[bound]), f"session={session}"
    if bound == "token":
        issuer = Issuer(quick.bench.folder / "bound.key")
        options["jwt_key_file"], query = issuer.key_file, "token=" + issuer.token(sub=session)
    worker = Worker(quick.bench, quick.broker, bound, heartbeat="200ms", **options).start()
    with FastCgi(worker.socket) as web:
        web.get(query).wait_open()
        web.wait(lambda: web.decoded()[0].comments >= 2, "2 comments")
        seq = quick.publish("m", data=1, to={"sessions": ["somebody"]})["seq"]
        web.wait(lambda: int(web.decoded()[0].last_event_id) >= seq, f"the cursor at {seq}")
    worker.stop()
