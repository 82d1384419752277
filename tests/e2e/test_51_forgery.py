"""No value of id, event, session or data ever forges a second event, a header or a field."""

import itertools

import pytest
from support.fcgi import FastCgi

FORGED = "\n\nevent: forged\ndata: forged\n\n"
BREAKS = ["\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n", "\n\r", "\0", "\x0b", "\x0c", "\x85",
          "\u2028", "\u2029", "\ufeff", "\x1a", "\x1e"]
VALUES = [f"a{b}event: forged{b}data: forged{b}{b}" for b in BREAKS]


def nothing_forged(reader, session, site):
    """After an end mark nothing but what was published is there."""
    site.publish("end", data=0, to={"sessions": [session]})
    reader.wait_type("end")
    assert "forged" not in reader.types() and "forged" not in reader.data()
    return reader


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_data_forge_no_event(site, session, value):
    reader = site.open(session)
    for fields in ({"text": value}, {"data": value}, {"data": {value: [value]}},
                   {"payload": value.encode()}):
        site.publish("m", to={"sessions": [session]}, **fields)
    nothing_forged(reader, session, site)
    assert reader.types() == ["m"] * 4 + ["end"]
    if "\r" not in value:
        assert reader.data("m")[0] == value == reader.data("m")[3]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_event_names_and_ids(site, session, value):
    reader = site.open(session)
    for field in ("event", "id"):
        request = {"op": "publish", "event": "m", "data": 1, "to": {"sessions": [session]},
                   field: value}
        reply = site.commands.ask(request)
        # no id that a header cannot hold
        control = any(ord(c) < 0x20 and c != "\t" or ord(c) == 0x7f for c in value)
        if any(c in value for c in "\r\n\0") or (field == "id" and control):
            assert reply["error"] == "bad_request"
        else:
            assert reply["ok"]
    nothing_forged(reader, session, site)


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_reasons_of_a_shutdown(site, session, value):
    reader = site.open(session)
    site.commands.ask({"op": "shutdown", "sessions": [session], "reason": value, "block": 0})
    reader.wait_for(1)
    assert reader.types() == ["ssecast.shutdown"]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_a_cursor_forges_no_event(site, session, value):
    with FastCgi(site.worker.socket) as web:
        web.get(f"session={session}", HTTP_LAST_EVENT_ID="unknown" + value)
        web.wait_text("ssecast.gap")
        site.publish("end", data=0, to={"sessions": [session]})
        web.wait_text("event: end")
        assert "forged" not in [e.type for e in web.events()]
        assert {e.type for e in web.events()} <= {"ssecast.gap", "end"} | {
            e.type for e in retained(site)
        }


def retained(site):
    return [type("E", (), {"type": e.get("event") or "message"})
            for e in site.commands.history(since=0, limit=1000)["events"]]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_cursors_in_the_query(site, session, value):
    quoted = "".join(f"%{b:02x}" for b in value.encode())
    with FastCgi(site.worker.socket) as web:
        web.get(f"session={session}&lastEventId=unknown{quoted}")
        web.wait_text("ssecast.gap")
        assert "forged" not in [e.type for e in web.events()]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_sessions_and_channels(site, value):
    quoted = "".join(f"%{b:02x}" for b in value.encode())
    for query in (f"session={quoted}", f"session=a&channels={quoted}"):
        with FastCgi(site.worker.socket) as web:
            web.get(query)
            assert web.head["status"] in (200, 400)
            assert "forged" not in str(web.head)
            web.wait_open() if web.head["status"] == 200 else web.wait_end()
            assert web.events() == [] or web.head["status"] == 400


@pytest.mark.parametrize(
    "value", ["https://a.example\r\nX-Forged: 1", "null\r\n\r\nforged", "*\nX-Forged: 1"], ids=ascii
)
def test_an_origin_forges_no_header(site, value):
    with FastCgi(site.worker.socket) as web:
        web.get("session=a", HTTP_ORIGIN=value)
        assert "x-forged" not in web.head and b"forged" not in web.body


def test_every_byte_in_data_arrives_or_is_refused(site, session):
    """All single characters of the first page, one event each."""
    reader = site.open(session)
    letters = [chr(n) for n in range(256)]
    for letter in letters:
        site.publish("m", text=f"<{letter}>", to={"sessions": [session]})
    events = reader.wait_for(256)
    for letter, event in itertools.zip_longest(letters, events):
        assert event.data == f"<{letter}>".replace("\r", "\n")


def test_a_payload_that_is_no_text_stays_one_event(site, session):
    reader = site.open(session)
    for payload in (bytes(range(256)), b"\xff" * 100, b"\xc3\n\n\xa9", b"\xed\xa0\x80\r\r"):
        reply = site.commands.ask({"op": "publish", "event": "m", "to": {"sessions": [session]}},
                                  payload=payload)
        assert reply["ok"] or reply["error"] == "bad_request"
    nothing_forged(reader, session, site)
    assert set(reader.types()) <= {"m", "end"}
