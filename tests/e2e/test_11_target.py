"""Targets: who gets an event, who does not, and how many were there."""

import pytest
from support.commands import Refused


def names(session, *suffixes):
    return [f"{session}-{s}" for s in suffixes]


def test_to_one_session_reaches_it_alone(site, session):
    a, b = (site.open_counted(n) for n in names(session, "a", "b"))
    reply = site.publish("m", data="to a", to={"sessions": names(session, "a")})
    site.publish("end", data="end")
    assert reply["online"] == 1
    assert a.wait_data('"end"').data() == ['"to a"', '"end"']
    assert b.wait_data('"end"').data() == ['"end"']


def test_several_sessions_at_once(site, session):
    a, b, c = (site.open_counted(n) for n in names(session, "a", "b", "c"))
    assert site.publish("m", data=1, to={"sessions": names(session, "a", "c")})["online"] == 2
    site.publish("end", data=0)
    assert [r.wait_type("end") and r.data("m") for r in (a, b, c)] == [["1"], [], ["1"]]


def test_all_connections_of_a_session_get_its_events(site, session):
    readers = [site.open_counted(session) for _ in range(6)]  # on both workers
    assert site.publish("m", data=1, to={"sessions": [session]})["online"] == 6
    for reader in readers:
        reader.wait_for(1)


def test_a_channel_event_reaches_its_listeners(site, session):
    room, other = names(session, "room", "other")
    a = site.open_counted(session + "a", channels=[room, other])
    b = site.open_counted(session + "b", channels=[room])
    c = site.open_counted(session + "c", channels=[other])
    assert site.publish("m", data=1, to={"channels": [room]})["online"] == 2
    site.publish("end", data=0)
    assert [len(r.wait_type("end") and r.data("m")) for r in (a, b, c)] == [1, 1, 0]


def test_a_connection_is_addressed_by_its_own_id(site, session):
    first, second = site.open_counted(session), site.open_counted(session)
    assert first.connection != second.connection
    assert site.publish("m", data=1, to={"connections": [first.connection]})["online"] == 1
    site.publish("end", data=0)
    assert first.wait_type("end") and first.data("m") == ["1"]
    assert second.wait_type("end") and second.data("m") == []


def test_a_connection_that_matches_twice_gets_an_event_once(site, session):
    reader = site.open_counted(session, channels=[session])
    reply = site.publish("m", data=1, to={"sessions": [session], "channels": [session],
                                          "connections": [reader.connection]})
    site.publish("end", data=0)
    assert reply["online"] == 1
    assert reader.wait_type("end") and reader.data("m") == ["1"]


def test_except_leaves_sessions_channels_and_connections_out(site, session):
    room = session
    a, b, c, d = (site.open_counted(n, channels=ch)
                  for n, ch in zip(names(session, *"abcd"), ([], [room], [], [])))
    reply = site.publish("m", data=1, to={"sessions": names(session, *"abcd")},
                         **{"except": {"sessions": names(session, "a"), "channels": [room],
                                       "connections": [c.connection]}})
    site.publish("end", data=0)
    assert reply["online"] == 1
    assert [len(r.wait_type("end") and r.data("m")) for r in (a, b, c, d)] == [0, 0, 0, 1]


def test_except_alone_is_everyone_else(site, session):
    a, b = (site.open(n) for n in names(session, "a", "b"))
    site.publish("m", data=1, **{"except": {"sessions": names(session, "a")}})
    site.publish("end", data=0)
    assert a.wait_type("end") and a.data("m") == []
    assert b.wait_type("end") and b.data("m") == ["1"]


def test_except_holds_on_replay_too(site, session):
    reader = site.open(session)
    reader.close()
    site.publish("m", data=1, **{"except": {"sessions": [session]}})
    site.publish("end", data=0, to={"sessions": [session]})
    back = site.open(session, last_event_id=reader.last_event_id)
    assert back.wait_type("end") and back.types() == ["end"]


@pytest.mark.parametrize(
    "to", [{}, {"sessions": []}, {"sessions": [], "channels": [], "connections": []}], ids=str
)
def test_an_empty_target_is_no_connection(site, session, to):
    reader = site.open(session)
    assert site.publish("m", data=1, to=to)["online"] == 0
    site.publish("end", data=0, to={"sessions": [session]})
    assert reader.wait_type("end") and reader.types() == ["end"]


def test_a_disconnected_client_gets_its_events_on_return(site, session):
    reader = site.open(session)
    reader.close()
    site.wait_connections(session, 0)
    assert site.publish("m", data="later", to={"sessions": [session]})["online"] == 0
    assert site.open(session, last_event_id=reader.last_event_id).wait_for(1)[0].data == '"later"'


@pytest.mark.parametrize("bad", [{"session": ["a"]}, {"sessions": "a"}, {"sessions": [1]},
                                 {"sessions": [""]}, {"sessions": ["a\nb"]},
                                 {"sessions": ["x" * 256]}, [], "a", None], ids=str)
def test_a_target_with_a_mistake_never_becomes_a_broadcast(site, session, bad):
    reader = site.open(session)
    with pytest.raises(Refused) as refused:
        site.publish("m", data=1, to=bad)
    assert refused.value.error == "bad_request"
    site.publish("end", data=0, to={"sessions": [session]})
    assert reader.wait_type("end") and reader.types() == ["end"]


def test_names_of_many_kinds_are_matched_exactly(site, session):
    odd = [session, session + " ", session + "/ä€😀", session + "%2C+&=;", session.upper(),
           session + '"\\']
    readers = [site.open_counted(name) for name in odd]
    for n, name in enumerate(odd):
        assert site.publish("m", data=n, to={"sessions": [name]})["online"] == 1
    site.publish("end", data=0)
    for n, reader in enumerate(readers):
        assert reader.wait_type("end") and reader.data("m") == [str(n)]
