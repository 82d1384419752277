"""Resume: who comes back gets exactly what was missed, in order, and then what is live."""

import random
import time

import pytest
from support.apache import Apache, ApacheHandoff
from support.commands import Refused
from support.fcgi import FastCgi
from support.lighttpd import Lighttpd
from support.nginx import Nginx
from support.reader import wait_all
from support.site import Site


def publish(site, session, *data, **fields):
    return [site.publish("m", data=d, to={"sessions": [session]}, **fields)["seq"] for d in data]


def test_two_targeted_events_then_resume_from_the_first_gives_only_the_second(site, session):
    first, second = publish(site, session, "one", "two")
    reader = site.open(session, last_event_id=str(first))
    publish(site, session, "three")
    events = reader.wait_for(2)
    assert [(e.data, e.id) for e in events[:1]] == [('"two"', str(second))]
    assert reader.data() == ['"two"', '"three"']


def test_what_was_missed_comes_before_what_is_live(site, session):
    reader = site.open(session)
    reader.close()
    publish(site, session, *range(100))
    back = site.start_open(session, last_event_id=reader.last_event_id)
    publish(site, session, *range(100, 200))
    back.wait_for(200)
    assert back.data() == [str(n) for n in range(200)]


def test_a_stream_without_a_cursor_begins_now(site, session):
    publish(site, session, "before")
    site.settle()
    reader = site.open(session)
    publish(site, session, "after")
    reader.wait_for(1)
    assert reader.data() == ['"after"']


def test_the_first_block_names_where_the_stream_starts(site, session):
    [seq] = publish(site, session, "before")
    site.settle()
    reader = site.open(session)
    assert int(reader.starts[0]) >= seq
    assert reader.decoder.retry == 200


def test_a_client_that_received_nothing_resumes_exactly(site, session):
    reader = site.open(session)
    reader.close()
    publish(site, session, "missed")
    back = site.open(session, last_event_id=reader.last_event_id)
    assert back.wait_for(1)[0].data == '"missed"'
    assert back.types() == ["m"]


def test_the_first_block_of_a_resumed_stream_names_the_client_s_own_cursor(site, session):
    first, *_ = publish(site, session, 1, 2, 3)
    assert site.open(session, last_event_id=str(first)).starts == [str(first)]


def test_a_resumed_stream_without_missed_events_gets_no_gap(site, session):
    [seq] = publish(site, session, 1)
    back = site.open(session, last_event_id=str(seq))
    publish(site, session, 2)
    back.wait_for(1)
    assert back.data() == ["2"]


def test_resume_from_an_own_id(site, session):
    publish(site, session, "one", id=f"id-{session}")
    publish(site, session, "two", "three")
    back = site.open(session, last_event_id=f"id-{session}")
    back.wait_for(2)
    assert back.data() == ['"two"', '"three"'] and back.starts == [f"id-{session}"]


def test_resume_from_an_own_id_with_odd_letters(site, session):
    odd = f"ä€ {session}"
    publish(site, session, "one", id=odd)
    publish(site, session, "two")
    back = site.open(session, last_event_id=odd)
    assert back.wait_for(1)[0].data == '"two"'


def test_the_newer_of_two_cursors_counts(site, session):
    """A polyfill repeats the header of its first request, and tells in the query what it has read
    since."""
    seqs = [site.publish("m", data=n, to={"sessions": [session]})["seq"] for n in range(4)]
    for query, header in ((seqs[2], seqs[0]), (seqs[0], seqs[2])):
        back = site.open(session, last_event_id=str(header), query={"lastEventId": query})
        back.wait_for(1)
        assert [e.data for e in back.events] == ["3"]


@pytest.mark.parametrize("web", [Lighttpd, Apache, ApacheHandoff, Nginx], ids=lambda w: w.name)
def test_the_newer_of_two_headers_counts(bench, web):
    """Some web servers join them, others pass both on. An own id cannot be such a list, so nothing
    is ambiguous."""
    site = Site(bench, web=web)
    seqs = [str(site.publish("m", data=n)["seq"]) for n in range(4)]
    site.settle()
    for header, other in ((seqs[2], seqs[0]), (seqs[0], seqs[2]), ("", seqs[2]), (" \t ", seqs[2])):
        back = site.open("anna", last_event_id=header, headers={"last-event-id": other})
        back.wait_for(1)
        assert [e.data for e in back.events] == ["3"], (header, other)
    with pytest.raises(Refused, match="list of numbers"):
        site.publish("m", data=0, id=", ".join(seqs[:2]))


def test_resume_from_the_id_of_another_session_s_event(site, session):
    [seq] = publish(site, session + "x", "not mine")
    publish(site, session, "mine")
    back = site.open(session, last_event_id=str(seq))
    back.wait_for(1)
    assert back.data() == ['"mine"']


def test_nothing_of_others_is_replayed(site, session):
    [start] = publish(site, session, "start")
    for n in range(50):
        publish(site, f"{session}-{n % 5}", n)
    back = site.open(f"{session}-3", last_event_id=str(start))
    back.wait_for(10)
    publish(site, f"{session}-3", "end")
    assert back.wait_data('"end"').data() == [str(n) for n in range(50) if n % 5 == 3] + ['"end"']


def test_channels_are_replayed_for_current_listeners(site, session):
    [start] = publish(site, session, "start")
    site.publish("m", data="room", to={"channels": [session]})
    assert site.open(session + "-a", channels=[session],
                     last_event_id=str(start)).wait_for(1)[0].data == '"room"'


def test_the_cursor_may_come_in_the_query(site, session):
    first, _ = publish(site, session, 1, 2)
    back = site.open(session, query={"lastEventId": first})
    assert back.wait_for(1)[0].data == "2"


def test_the_header_wins_over_the_query(site, session):
    first, second, _ = publish(site, session, 1, 2, 3)
    back = site.open(session, last_event_id=str(second), query={"lastEventId": first})
    publish(site, session, "end")
    assert back.wait_data('"end"').data() == ["3", '"end"']


def test_padding_for_polyfills(site, session):
    reader = site.open(session, query={"padding": "true"}, keep_body=True)
    assert len(reader.body) > 2048 and reader.body.startswith(b":")
    assert reader.decoder.comments >= 1


def test_a_large_replay_arrives_whole(site, session):
    [start] = publish(site, session, "start")
    site.commands.publish_many(
        [{"event": "m", "data": n, "to": {"sessions": [session]}} for n in range(20000)], timeout=60
    )
    back = site.open(session, last_event_id=str(start))
    back.wait_for(20000, timeout=60)
    assert back.data() == [str(n) for n in range(20000)]


def test_large_events_are_replayed(site, session):
    [start] = publish(site, session, "start")
    texts = [chr(97 + n) * (200_000 + n) for n in range(20)]
    for text in texts:
        site.publish("m", text=text, to={"sessions": [session]})
    back = site.open(session, last_event_id=str(start))
    back.wait_for(len(texts))
    assert [d == t for d, t in zip(back.data(), texts)] == [True] * 20


@pytest.mark.parametrize("read_by", ["window", "broker"])
def test_what_is_published_during_a_long_replay_comes_after_it(site, session, read_by):
    [start] = publish(site, session, "start")
    text = "x" * 5000
    site.commands.publish_many(
        [{"event": "m", "text": f"{n} {text}", "to": {"sessions": [session]}} for n in range(2000)]
    )
    if read_by == "broker":
        for worker in site.workers:  # whose windows are empty then
            worker.restart()
    back = site.start_open(session, last_event_id=str(start), receive_buffer=4096, paused=True,
                           stubborn=True).wait_head()
    for n in range(2000, 2100):
        site.publish("m", text=f"{n} live", to={"sessions": [session]})
    back.resume()
    back.wait_for(2100, timeout=60)
    assert [int(d.split()[0]) for d in back.data()] == list(range(2100)) and back.opens == 1


@pytest.mark.parametrize("read_by", ["window", "broker"])
def test_a_stream_of_as_many_channels_as_may_be_resumes_exactly(bench, read_by):
    site = Site(bench, worker={"max_channels": 1024})
    channels = [f"c{n}" for n in range(1024)]
    [start] = publish(site, "another", "start")
    site.publish("m", data="to all of them", to={"channels": channels})
    site.publish("m", data="to the last", to={"channels": channels[-1:]})
    if read_by == "broker":
        site.worker.restart()  # its window is empty then
    with FastCgi(site.worker.socket) as web:
        web.get(f"session=anna&lastEventId={start}&channels=" + ",".join(channels))
        assert [e.data for e in web.wait_events(2)] == ['"to all of them"', '"to the last"']
        site.publish("m", data="live", to={"channels": channels[:1]})
        assert [e.type for e in web.wait_events(3)] == ["m"] * 3


# Cursors nobody gave out

STRANGE = ["-9223372036854775808", "+5", "0x10", "0", "-1", "1", "9223372036854775807",
           "18446744073709551615", "18446744073709551616", "99999999999999999999999999", "1.5",
           "1e3", "unknown", "ä€", "'; drop", " 7", "007", "x" * 256, "x" * 4000, "9" * 4000]


@pytest.mark.parametrize("cursor", STRANGE,
                         ids=lambda c: c[:20] + (f"...{len(c)}" if len(c) > 20 else ""))
def test_an_unknown_cursor_gets_a_gap(site, session, cursor):
    started = time.monotonic()
    reader = site.open(session, last_event_id=cursor)
    gap = reader.wait_type("ssecast.gap")
    assert time.monotonic() - started < 20 and reader.events[0] == gap
    publish(site, session, "live")
    reader.wait_data('"live"')


def test_a_cursor_of_10_kb_costs_no_more_than_its_own_stream(site, session):
    with FastCgi(site.worker.socket) as web:
        web.get(f"session={session}", HTTP_LAST_EVENT_ID="x" * 10240)
        web.wait_text("event: ssecast.gap")
        publish(site, session, "live")
        web.wait_text('data: "live"')
        assert len(web.body) < 100_000


def test_a_header_of_10_kb_never_disturbs_the_site(site, session):
    status, _, _ = site.request(session=session, headers={"Last-Event-ID": "x" * 10240})
    assert status in (200, 400, 413, 431)  # lighttpd may refuse such a header
    site.open(session)


def test_an_empty_cursor_is_none(site, session):
    publish(site, session, "before")
    site.settle()
    reader = site.open(session, last_event_id="")
    publish(site, session, "after")
    reader.wait_for(1)
    assert reader.types() == ["m"]


def test_a_cursor_from_the_future_is_a_gap_and_then_all_that_is_live(site, session):
    [seq] = publish(site, session, 1)
    reader = site.open(session, last_event_id=str(seq + 10**9))
    assert reader.wait_for(1)[0].type == "ssecast.gap"


def test_a_gap_names_the_cursor_and_what_is_retained(site, session):
    reader = site.open(session, last_event_id="lost")
    gap = reader.wait_type("ssecast.gap")
    oldest = site.commands.history(since=0, limit=1)["events"][0]["seq"]
    assert gap.data == '{"last":"lost","oldest":%d}' % oldest
    assert site.open(
        session, last_event_id="17"
    ).wait_type("ssecast.gap").data == '{"last":17,"oldest":%d}' % oldest


def test_after_a_gap_comes_what_is_still_retained(site, session):
    publish(site, session, 1, 2, 3)
    reader = site.open(session, last_event_id="lost")
    publish(site, session, 4)
    reader.wait_data("4")
    assert [e.data for e in reader.events if e.type == "m"] == ["1", "2", "3", "4"]


def test_our_own_events_carry_no_id(site, session):
    reader = site.open(session, last_event_id="lost", keep_body=True)
    reader.wait_type("ssecast.gap")
    [block] = [b for b in bytes(reader.body).split(b"\n\n") if b"ssecast.gap" in b]
    assert b"id:" not in block


# Coming back again and again

def test_publishing_goes_on_while_clients_reconnect_with_no_gap_and_no_duplicate(site, session):
    chance = random.Random(7)
    sessions = [f"{session}-{n}" for n in range(10)]
    readers = [site.open(s, reconnect=True, retry=0.01) for s in sessions for _ in range(4)]
    total = 0
    while total < 3000 or sum(r.opens for r in readers) < 100:
        requests = [{"event": "m", "data": total + i, "to": {"sessions": sessions}}
                    for i in range(20)]
        site.commands.publish_many(requests)
        total += 20
        for reader in chance.sample(readers, 3):
            reader.cut()
    wait_all(readers, lambda r: len(r.events) >= total, "all events", timeout=60)
    for reader in readers:
        assert reader.data() == [str(n) for n in range(total)], reader


def test_a_reader_that_is_cut_in_the_middle_of_its_replay_skips_nothing(site, session):
    [start] = publish(site, session, "start")
    site.commands.publish_many([{"event": "m", "text": f"{n} " + "x" * 1000,
                                 "to": {"sessions": [session]}} for n in range(3000)])
    reader = site.start_open(session, last_event_id=str(start), reconnect=True, retry=0.01)
    chance = random.Random(3)
    for _ in range(15):
        reader.wait_for(min(3000, len(reader.events) + chance.randrange(1, 200)))
        reader.cut()
    reader.wait_for(3000, timeout=60)
    assert [int(d.split()[0]) for d in reader.data()] == list(range(3000))
