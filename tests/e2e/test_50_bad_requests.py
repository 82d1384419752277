"""Bad requests to the broker: each is answered by its code and a sentence that helps, and costs
nobody else anything."""

import json

import pytest
import zmq
from support.broker import Broker
from support.commands import Refused
from support.site import Site


def refused(site, request, payload=None):
    """The code of the answer to a request that must not be ok."""
    reply = site.commands.ask(request, payload=payload)
    assert reply["ok"] is False and isinstance(reply["message"], str) and len(reply["message"]) > 10
    return reply["error"]


NO_JSON = [b"", b"{", b"not json", b'{"op":"ping"} x', b'{"op":"ping",}', b"\xff\xfe",
           b'{"op":"p\xffing"}', b'{"op":"ping","op":"ping"}',
           b"[" * 100_000, b'{"a":' * 50_000, b'{"op":"\\ud800"}', b"\0" * 100,
           *(b'{"op":"publish","data":1,"%s":"\\ud83d"}' % field
             for field in (b"text", b"event", b"id", b"ref"))]


@pytest.mark.parametrize("request_", NO_JSON, ids=lambda r: repr(r[:20]))
def test_what_is_no_json_is_refused(site, request_):
    assert refused(site, request_) in ("bad_json", "bad_request")
    site.commands.ping()


def test_what_is_bad_json_is_called_so(site):
    assert refused(site, b'{"op":') == "bad_json"


BAD = [
    b"[]", b"1", b"null", b'"ping"', {}, {"op": 1}, {"op": None}, {"op": "ping", "extra": 1},
    {"op": "publish"}, {"op": "publish", "event": 1, "data": 1},
    {"op": "publish", "event": "a\nb", "data": 1},
    {"op": "publish", "event": "a\rb", "data": 1}, {"op": "publish", "event": "a\0b", "data": 1},
    {"op": "publish", "event": "x" * 256, "data": 1},
    {"op": "publish", "event": "ssecast.gap", "data": 1},
    {"op": "publish", "event": "ssecast.", "data": 1}, {"op": "publish", "event": "x", "text": 1},
    {"op": "publish", "event": "x", "data": 1, "retry": -1},
    {"op": "publish", "event": "x", "data": 1, "retry": 0},
    {"op": "publish", "event": "x", "data": 1, "retry": "1"},
    {"op": "publish", "event": "x", "data": 1, "retry": 1.5},
    {"op": "publish", "event": "x", "data": 1, "retry": 10**12},
    {"op": "publish", "event": "x", "data": 1, "id": None},
    {"op": "publish", "event": "x", "data": 1, "too": {"sessions": ["a"]}},
    {"op": "publish", "events": []}, {"op": "publish", "events": {}},
    {"op": "publish", "events": [1]}, {"op": "publish", "events": [{"event": "x"}]},
    {"op": "publish", "events": [{"event": "x", "data": 1}], "event": "x"},
    {"op": "publish", "events": [{"event": "x", "data": 1, "op": "publish"}]},
    {"op": "publish", "event": "x", "data": 1, "except": ["a"]},
    {"op": "publish", "event": "x", "data": 1, "except": {"session": ["a"]}}, {"op": "shutdown"},
    {"op": "shutdown", "sessions": "a"}, {"op": "shutdown", "sessions": ["a"], "block": -1},
    {"op": "shutdown", "sessions": ["a"], "reason": 7}, {"op": "online"},
    {"op": "online", "session": ""},
    {"op": "online", "session": ["a"]}, {"op": "sessions", "limit": 0},
    {"op": "sessions", "limit": 10**30}, {"op": "sessions", "prefix": 1},
    {"op": "history", "since": -1}, {"op": "history", "since": "x"},
    {"op": "connections", "limit": "all"},
]


@pytest.mark.parametrize("request_", BAD, ids=[f"{n:02d}" for n in range(len(BAD))])
def test_an_unacceptable_request_is_a_bad_request(site, request_):
    assert refused(site, request_) == "bad_request"


def test_a_bad_field_is_named(site):
    assert "sesions" in site.commands.ask(
        {"op": "publish", "event": "x", "data": 1, "to": {"sesions": ["a"]}}
    )["message"]


@pytest.mark.parametrize("op", ["", "PING", "publish ", "drop", "x" * 10_000, "\n"],
                         ids=lambda o: repr(o[:9]))
def test_an_unknown_op_is_refused(site, op):
    assert refused(site, {"op": op}) == "unknown_op"


def test_a_second_frame_where_none_belongs_is_refused(site):
    assert refused(site, {"op": "ping"}, payload=b"x") == "bad_request"


def test_three_frames_are_refused(site):
    site.commands.send_frames(b"", b'{"op":"publish","event":"x"}', b"1", b"2")
    assert site.commands.receive()["error"] == "bad_request"


def test_a_request_without_any_frame_is_answered_or_dropped_but_harms_nothing(site):
    site.commands.send_frames(b"")
    site.commands.receive(0.2)
    site.commands.ping()


def test_data_beyond_max_event_bytes_are_too_large(bench):
    site = Site(bench, broker={"max_event_bytes": "10K"})
    reader = site.open("anna")
    to = {"sessions": ["anna"]}
    for payload in ({"text": "x" * 10_241}, {"data": "x" * 10_240}):
        assert refused(site, {"op": "publish", "event": "x", "to": to, **payload}) == "too_large"
    assert refused(site, {"op": "publish", "event": "x", "to": to},
                   payload=b"x" * 10_241) == "too_large"
    assert refused(site, {"op": "publish", "event": "x", "to": to},
                   payload=b"x" * 3_000_000) == "too_large"
    site.publish("x", text="x" * 10_240, to=to)
    assert [len(e.data) for e in reader.wait_for(1)] == [10_240]


def test_a_huge_first_frame_is_too_large_or_ends_the_connection(bench):
    broker = Broker(bench, max_event_bytes="10K").start()
    for megabytes in (1, 3, 30):
        with broker.commands() as client:
            ended = client.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            reply = client.try_ask(b'{"op":"publish","event":"x","text":"' + b"x"
                                       * (megabytes << 20) + b'"}', unless=ended)
            assert reply["error"] == "too_large" if reply else megabytes > 1 and ended.poll(0)
            client.socket.disable_monitor()
    with broker.commands() as client:
        client.ping()


def test_store_failed_when_an_event_cannot_be_retained(bench):
    with Broker(bench, history_bytes="64K").start().commands() as client:
        with pytest.raises(Refused) as failure:
            client.publish("x", text="x" * 100_000)
        assert failure.value.error == "store_failed"
        client.publish("x", text="small")


def test_a_batch_of_which_one_event_cannot_be_retained_is_not_published_at_all(bench):
    site = Site(bench, broker={"history_bytes": "64K"})
    reader = site.open("anna")
    batch = [{"event": "x", "text": "small"}, {"event": "x", "text": "x" * 100_000},
             {"event": "x", "text": "small"}]
    assert refused(site, {"op": "publish", "events": batch}) == "store_failed"
    seq = site.publish("after", data=1)["seq"]
    assert [(e.type, e.id) for e in reader.wait_for(1)] == [("after", str(seq))]
    assert [e["seq"] for e in site.commands.history(since=0)["events"]] == [seq]


def test_ref_comes_back_with_a_refusal_too(site):
    assert site.commands.ask({"op": "nonsense", "ref": {"a": 1}})["ref"] == {"a": 1}


def test_bad_requests_never_disturb_good_ones_in_between(site, session):
    reader = site.open(session)
    refs = []
    for n in range(200):
        site.commands.send_frames(b"", b"{" * (n % 7))
        refs.append(site.commands.send(
            {"op": "publish", "event": "m", "data": n, "to": {"sessions": [session]}}
        ))
    replies = [site.commands.receive() for _ in range(400)]
    assert [r["ref"] for r in replies if r["ok"]] == refs
    assert [json.loads(e.data) for e in reader.wait_for(200)] == list(range(200))
