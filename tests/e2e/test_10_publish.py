"""Publishing: events arrive as sent, with the seq of the reply as their id."""

import json

import pytest
import zmq
from support.commands import Commands, Refused


def test_a_broadcast_reaches_everyone_with_its_seq_as_id(site, session):
    readers = [site.open(f"{session}-{n}") for n in range(4)]
    reply = site.publish("notification", data={"msg": "hi"})
    assert reply["online"] >= 4
    for reader in readers:
        event = reader.wait_for(1)[0]
        assert (event.type, json.loads(event.data), event.id) == (
            "notification", {"msg": "hi"}, str(reply["seq"])
        )


def test_seqs_increase_strictly(site):
    seqs = [site.publish("n", data=n, to={"sessions": ["nobody"]})["seq"] for n in range(50)]
    assert seqs == sorted(set(seqs))


def test_events_arrive_in_the_order_of_their_replies(site, session):
    reader = site.open(session)
    to = {"sessions": [session]}
    replies = site.commands.publish_many({"event": "n", "data": n, "to": to} for n in range(500))
    events = reader.wait_for(500)
    assert [e.data for e in events] == [str(n) for n in range(500)]
    assert [e.id for e in events] == [str(r["seq"]) for r in replies]


def test_an_event_without_a_name_is_a_message(site, session):
    reader = site.open(session, keep_body=True)
    site.publish(data=1, to={"sessions": [session]})
    assert reader.wait_for(1)[0].type == "message"
    block = reader.body.split(b"\n\n")[1]    # after the first one, which has the checkpoint
    assert block.startswith(b"id: ") and b"event:" not in block


NUMBERS = ["0.1", "1e400", "12345678901234567890123456789", "-0", "1.10", "1E5",
           "0.30000000000000004", "9007199254740993"]


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_keep_their_digits(site, session, number):
    reader = site.open(session)
    request = '{"op":"publish","event":"n","data":{"n":[%s]},"to":{"sessions":["%s"]},"ref":1}' % (
        number, session.replace('"', "")
    )
    reply = site.commands.demand(request.encode())
    data = reader.wait_for(1)[0].data
    assert reply["ok"] and data == '{"n":[%s]}' % number


VALUES = [None, True, False, 0, "", "a\nb", "two\r\nlines", "\u2028 \u0000 \U0001f600 ä", [], {},
          [[[]]], {"a": {"b": [1, "2", None]}}, "</script>", {"": ""}, {"b": 1, "a": 2}]


@pytest.mark.parametrize("value", VALUES, ids=[str(n) for n in range(len(VALUES))])
def test_any_json_value_is_parsed_to_what_was_sent(site, session, value):
    reader = site.open(session)
    site.publish("v", data=value, to={"sessions": [session]})
    data = reader.wait_for(1)[0].data
    assert json.loads(data) == value
    if isinstance(value, dict):
        assert list(json.loads(data)) == list(value)


@pytest.mark.parametrize("text", ["two\nlines", "", "\n", "a\r\nb\rc\n", " leading", ": colon",
                                  "data: x", "trailing\n\n", "\ufeffbom", "id: 7\n\nevent: x"])
def test_text_arrives_line_by_line(site, session, text):
    reader = site.open(session)
    site.publish("t", text=text, to={"sessions": [session]})
    [event] = reader.wait_for(1)
    assert event.data == text.replace("\r\n", "\n").replace("\r", "\n")


HALVES = ['"cut \\ud83d"', '{"\\ud83d": ["\\ude00\\ud83d"]}', '"\\ud83d\\ud83d\\ude00"']


@pytest.mark.parametrize("data", HALVES, ids=[str(n) for n in range(len(HALVES))])
def test_half_of_a_surrogate_pair_stays_as_it_is(site, session, data):
    """JSON.stringify("abcd😀".slice(0, 5)) makes one. It refuses neither its event nor the batch."""
    reader = site.open(session)
    to = '"to":{"sessions":["%s"]}' % session.replace('"', "")
    one = site.commands.demand(f'{{"op":"publish","data":{data},{to},"ref":1}}'.encode())
    batch = site.commands.demand(
        f'{{"op":"publish","ref":2,"events":[{{"data":1,{to}}},{{"data":{data},{to}}}]}}'.encode()
    )
    framed = site.publish("f", payload=data.encode(), to={"sessions": [session]})
    assert one["ok"] and batch["ok"] and framed["ok"]
    assert [e.data for e in reader.wait_for(4)] == [data, "1", data, data]


def test_a_second_frame_is_taken_verbatim(site, session):
    reader = site.open(session)
    payload = '{"spaces" :  [ 1.50,2 ]}  '.encode()
    site.publish("f", payload=payload, to={"sessions": [session]})
    assert reader.wait_for(1)[0].data == payload.decode()


@pytest.mark.parametrize("fields", [{}, {"data": 1, "text": "1"}], ids=["none", "two"])
def test_exactly_one_payload_is_wanted(site, fields):
    with pytest.raises(Refused) as refused:
        site.publish("x", **fields)
    assert refused.value.error == "bad_request"


@pytest.mark.parametrize("fields", [{"data": 1}, {"text": "1"}], ids=lambda f: next(iter(f)))
def test_a_second_frame_beside_another_payload_is_refused(site, fields):
    assert site.commands.ask({"op": "publish", "event": "x", **fields},
                             payload=b"2")["error"] == "bad_request"


def test_retry_reaches_the_browser(site, session):
    reader = site.open(session)
    site.publish("r", data=1, retry=3210, to={"sessions": [session]})
    reader.wait_for(1)
    assert reader.decoder.retry == 3210


# Batches

def test_a_batch_is_published_together(site, session):
    reader = site.open(session)
    to = {"sessions": [session]}
    reply = site.commands.publish_batch({"event": "b", "data": n, "to": to} for n in range(5))
    assert reply["seqs"] == list(range(reply["seqs"][0], reply["seqs"][0] + 5))
    assert [e.id for e in reader.wait_for(5)] == [str(s) for s in reply["seqs"]]


def test_a_batch_with_one_bad_event_publishes_none(site, session):
    reader = site.open(session)
    to = {"sessions": [session]}
    with pytest.raises(Refused) as refused:
        site.commands.publish_batch(
            [{"event": "b", "data": 1, "to": to}, {"event": "b\n", "data": 2, "to": to}]
        )
    assert refused.value.error == "bad_request" and "1" in refused.value.reply["message"]
    site.publish("after", data=3, to=to)
    assert [e.type for e in reader.wait_for(1)] == ["after"]


def test_an_empty_batch_is_refused(site):
    with pytest.raises(Refused):
        site.commands.publish_batch([])


# Own ids

def test_an_own_id_is_the_stream_s_id(site, session):
    reader = site.open(session)
    site.publish("o", data=1, id=f"order-{session}", to={"sessions": [session]})
    assert reader.wait_for(1)[0].id == f"order-{session}"
    assert reader.last_event_id == f"order-{session}"


def test_the_same_id_again_delivers_nothing_and_answers_the_first_seq(site, session):
    reader = site.open(session)
    fields = {"id": f"once-{session}", "to": {"sessions": [session]}}
    first, second = site.publish("o", data=1, **fields), site.publish("o", data=2, **fields)
    assert (second["duplicate"] is True and second["seq"] == first["seq"]
            and "duplicate" not in first)
    site.publish("after", data=3, to=fields["to"])
    assert reader.wait_data("3").data() == ["1", "3"]


def test_the_same_id_twice_in_one_batch_is_published_once(site, session):
    reader = site.open(session)
    event = {"event": "o", "id": f"twice-{session}", "to": {"sessions": [session]}}
    reply = site.commands.ask(
        {"op": "publish", "events": [{**event, "data": 1}, {**event, "data": 2}]}
    )
    site.publish("after", data=3, to=event["to"])
    reader.wait_data("3")
    assert len(reader.data("o")) == (1 if reply["ok"] else 0)


@pytest.mark.parametrize("bad",
                         ["", "1234", "+1", "-5", "a\nb", "a\rb", "a\0b", "x" * 256, 7], ids=repr)
def test_an_id_that_could_be_mistaken_is_refused(site, bad):
    assert site.commands.ask(
        {"op": "publish", "event": "o", "data": 1, "id": bad}
    )["error"] == "bad_request"


@pytest.mark.parametrize("good", ["a", "12a", "ä€😀", "x" * 255, "-", "a b", "0x10", "order:17/3"],
                         ids=lambda g: g[:9])
def test_ids_of_many_kinds_are_accepted(site, session, good):
    reader = site.open(session)
    site.publish("o", data=1, id=good, to={"sessions": [session]})
    assert reader.wait_for(1)[0].id == good


# Sockets

@pytest.fixture
def socket_of(site):
    def make(kind):
        sock = zmq.Context.instance().socket(kind)
        sock.setsockopt(zmq.LINGER, 0)
        sock.setsockopt(zmq.RCVTIMEO, 20000)
        sock.connect(site.broker.endpoint("commands"))
        made.append(sock)
        return sock

    made = []
    yield make
    for sock in made:
        sock.close()


def test_a_req_socket_works(socket_of):
    req = socket_of(zmq.REQ)
    req.send_json({"op": "ping"})
    assert req.recv_json()["ok"] is True


def test_a_req_socket_sends_a_second_frame(site, session, socket_of):
    reader, req = site.open(session), socket_of(zmq.REQ)
    req.send_multipart([json.dumps({"op": "publish", "event": "f", "to": {"sessions": [session]}})
                            .encode(), b"payload"])
    assert req.recv_json()["ok"] is True
    assert reader.wait_for(1)[0].data == "payload"


@pytest.mark.parametrize("delimiter", [[], [b""]], ids=["bare", "delimiter"])
def test_a_dealer_is_answered_as_it_asked(socket_of, delimiter):
    dealer = socket_of(zmq.DEALER)
    dealer.send_multipart([*delimiter, b'{"op":"ping","ref":[1,{"a":null}]}'])
    *before, reply = dealer.recv_multipart()
    assert before == delimiter
    assert json.loads(reply)["ref"] == [1, {"a": None}]


def test_a_dealer_without_delimiter_sends_a_second_frame(site, session, socket_of):
    reader, dealer = site.open(session), socket_of(zmq.DEALER)
    dealer.send_multipart(
        [json.dumps({"op": "publish", "event": "f", "to": {"sessions": [session]}}).encode(),
         b"payload"]
    )
    assert dealer.recv_json()["ok"] is True
    assert reader.wait_for(1)[0].data == "payload"


@pytest.mark.parametrize("ref",
                         ["null", "true", "0.10", '"a"', '[1,{"b":2}]', "12345678901234567890"])
def test_ref_of_any_value_comes_back(site, ref):
    reply = site.commands.try_ask(b'{"op":"ping","ref":' + ref.encode() + b"}")
    assert reply["ok"] and json.dumps(reply["ref"]) == json.dumps(json.loads(ref))


def test_many_publishers_at_once_get_their_own_replies(site):
    clients = [Commands(site.broker.endpoint("commands")) for _ in range(20)]
    refs = {(c, c.send({"op": "publish", "event": "m", "data": n, "to": {"sessions": ["nobody"]},
                        "ref": f"{i}-{n}"})) for i, c in enumerate(clients) for n in range(20)}
    got = {(c, c.receive()["ref"]) for c in clients for _ in range(20)}
    assert got == refs
    for client in clients:
        client.close()
