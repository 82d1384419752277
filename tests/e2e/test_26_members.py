"""Presence in a channel: who joins and leaves, as events of the channel, and who is there."""

import json
import time
import urllib.parse

import pytest
from support.apache import Apache
from support.bench import Bench
from support.fcgi import FastCgi
from support.lighttpd import Lighttpd
from support.site import Site
from support.tokens import Issuer
from support.waiting import wait_until
from support.worker import Worker

OURS = ("ssecast.join", "ssecast.leave", "ssecast.members")
GRACE = 1


def broker(**more):
    return {"presence_channels": "room:*,hall", "presence_grace": f"{GRACE}s",
            "presence_settle": "1s", "worker_lease": "3s", **more}


@pytest.fixture(scope="module", params=[Lighttpd, Apache], ids=lambda w: w.name)
def site(request):
    with Bench() as b:
        yield Site(b, web=request.param, broker=broker(),
                   worker={"heartbeat": "1s", "meta": "agent=header:User-Agent"})


@pytest.fixture
def room(session):
    return "room:" + session


def changes(reader):
    """[("+", session)] for what has come, in order."""
    signs = {"ssecast.join": "+", "ssecast.leave": "-", "ssecast.members": "="}
    out = []
    for block in reader.decoder.blocks:
        if block.type in OURS:
            data = json.loads(block.data)
            out.append((signs[block.type], data.get("session", data.get("count"))))
    return out


def wait_changes(reader, expected, timeout=None):
    reader.wait(lambda: changes(reader) == expected, f"{expected}", timeout)


def enter(site, session, room, **options):
    return site.start_open(session, channels=[room], keep_blocks=True, **options)


def both(site, room, how=enter):
    """Anna and then Bert."""
    anna = how(site, "anna", room)
    wait_changes(anna, [("+", "anna")])
    bert = how(site, "bert", room)
    wait_changes(anna, [("+", "anna"), ("+", "bert")])
    return anna, bert


def members(site, room, headers=None, **query):
    """The list over HTTP."""
    status, _, body = site.request(path="/presence", headers=headers, channel=room,
                                   **{"session": "anyone", **query})
    assert status == 200, (status, body)
    return json.loads(body)


def names(site, room, **query):
    return [m["session"] for m in members(site, room, **query)["members"]]


def test_a_page_gets_the_members_and_then_each_change_once(site, room):
    before = time.time() * 1000
    anna = enter(site, "anna", room)
    wait_changes(anna, [("+", "anna")])
    bert = enter(site, "bert", room)
    wait_changes(anna, [("+", "anna"), ("+", "bert")])
    late = enter(site, "cleo", room)
    wait_changes(late, [("+", "anna"), ("+", "bert"), ("+", "cleo")])
    assert [b.id != "" for b in late.decoder.blocks if b.type in OURS] == [
        False, False, True
    ], "the state has no id: lines"

    answer = members(site, room)
    assert (set(answer) == {"channel", "members", "more"} and answer["channel"] == room
            and answer["more"] is False)
    assert [m["session"] for m in answer["members"]] == ["anna", "bert", "cleo"]
    assert all(set(m) == {"session", "meta", "since"}
               and before - 1000 < m["since"] < before + 60_000 for m in answer["members"])
    bert.close()
    wait_changes(anna, [("+", "anna"), ("+", "bert"), ("+", "cleo"), ("-", "bert")])
    assert names(site, room) == ["anna", "cleo"]
    late.close()
    wait_changes(anna, [("+", "anna"), ("+", "bert"), ("+", "cleo"), ("-", "bert"), ("-", "cleo")])


def test_several_streams_of_a_session_count_once(site, room):
    anna = enter(site, "anna", room)
    wait_changes(anna, [("+", "anna")])
    tabs = [enter(site, "bert", room) for _ in range(3)]
    wait_changes(anna, [("+", "anna"), ("+", "bert")])
    for tab in tabs[:2]:
        tab.close()
    time.sleep(2 * GRACE)
    tabs[2].close()
    wait_changes(anna, [("+", "anna"), ("+", "bert"), ("-", "bert")])


def test_a_reload_is_no_departure(site, room):
    anna, bert = both(site, room)
    for _ in range(3):
        bert.close()
        time.sleep(GRACE / 4)
        bert = enter(site, "bert", room)
        bert.wait_open()
    time.sleep(2 * GRACE)
    assert changes(anna) == [("+", "anna"), ("+", "bert")]


def test_what_is_missed_is_resumed(site, room):
    anna, bert = both(site, room)
    cursor = anna.last_event_id
    other = enter(site, "dora", room)
    wait_changes(anna, [("+", "anna"), ("+", "bert"), ("+", "dora")])
    bert.close()
    wait_changes(anna, [("+", "anna"), ("+", "bert"), ("+", "dora"), ("-", "bert")])
    anna.close()
    back = enter(site, "anna", room, last_event_id=cursor)
    wait_changes(back, [("+", "dora"), ("-", "bert")])
    other.close()


def test_names_and_labels_may_be_hostile(site, room):
    evil = 'e"\\</script>\u2028 ö' + "x" * 200
    anna = enter(site, "anna", room)
    wait_changes(anna, [("+", "anna")])
    other = enter(site, evil, room, headers={"User-Agent": 'a"b\\c: {"x":1}'})
    wait_changes(anna, [("+", "anna"), ("+", evil)])
    assert members(site, room)["members"][1]["meta"] == {"agent": 'a"b\\c: {"x":1}'}
    other.close()
    wait_changes(anna, [("+", "anna"), ("+", evil), ("-", evil)])


def test_members_are_no_keys_of_publishers(site, room):
    """A key with the name of a session is another one, and our names cannot be used."""
    anna = enter(site, "anna", room)
    wait_changes(anna, [("+", "anna")])
    site.publish("note", key="anna", data=1, to={"channels": [room]})
    site.publish("note", key="anna", data=2, remove=True, to={"channels": [room]})
    assert names(site, room) == ["anna"]
    assert (site.commands.demand({"op": "state", "channel": room})["keys"] == []
            and site.stat("state_events") == 0)
    for wrong in ({"event": "ssecast.join"}, {"event": "x", "key": "\x01anna"}):
        reply = site.commands.ask(
            {"op": "publish", "data": {"session": "eve"}, "to": {"channels": [room]}, **wrong}
        )
        assert reply["error"] == "bad_request", reply


def test_other_channels_have_no_members(site, session):
    with_it = enter(site, "anna", "room:" + session)
    wait_changes(with_it, [("+", "anna")])
    without = enter(site, "anna", "yard:" + session)
    without.wait_open()
    assert (
        site.commands.ask({"op": "members", "channel": "yard:" + session})["error"] == "not_found"
    )
    status, _, body = site.request(path="/presence", session="anna", channel="yard:" + session)
    assert status == 404 and json.loads(body)["error"] == "not_found"
    assert changes(without) == []


def assert_head_is_get_s(site, **query):
    """HEAD is answered as GET is, without the body."""
    (status, headers, body), (other_status, other, none) = (
        site.request(m, path="/presence", **query) for m in ("GET", "HEAD")
    )
    assert (other_status, none) == (status, b"") and body
    assert {name: other.get(name) for name in ("content-type", "cache-control")} == {
        name: headers[name] for name in ("content-type", "cache-control")}


def test_the_list_comes_in_pages(site, room):
    readers = [enter(site, f"s{n}", room) for n in range(5)]
    wait_until(lambda: len(names(site, room)) == 5, what="five members")
    page = members(site, room, limit=2)
    assert [m["session"] for m in page["members"]] == ["s0", "s1"] and page["more"] is True
    assert names(site, room, limit=2, after="s1") == ["s2", "s3"]
    page = members(site, room, limit=2, after="s3")
    assert [m["session"] for m in page["members"]] == ["s4"] and page["more"] is False
    for limit in ("0", "1001", "-1", "x", "", "1x"):
        status, _, body = site.request(path="/presence", session="anna", channel=room, limit=limit)
        assert status == 400 and json.loads(body)["error"] == "bad_parameter", (limit, body)
    for more, error in (("limit=1&limit=2", "repeated_parameter"),
                        ("after=a&after=b", "repeated_parameter"), ("after=%C3", "bad_parameter"),
                        (f"channel={room}", "repeated_parameter")):
        with FastCgi(site.worker.socket) as web:
            web.get(f"session=anna&channel={room}&{more}", REQUEST_URI="/sse/presence").wait_end()
            assert (web.head["status"] == 400
                    and json.loads(web.body)["error"] == error), (more, web.body)
    for query in ({}, {"channel": ""}):
        assert site.request(path="/presence", session="anna", **query)[0] == 400
    assert site.request(path="/presence", channel=room)[0] == 400, "it has no session"
    assert site.request("POST", path="/presence", session="anna", channel=room)[0] == 405
    for query in ({"channel": room}, {"channel": room, "limit": "0"}, {}):
        assert_head_is_get_s(site, session="anna", **query)
    assert [r.close() for r in readers]


def test_beyond_the_bound_there_is_a_number(bench):
    site = Site(bench, broker=broker(presence_members=2))
    anna, bert = both(site, "hall")
    more = [enter(site, f"s{n}", "hall") for n in range(3)]
    anna.wait(lambda: changes(anna)[-1] == ("=", 5), "the number")
    late = enter(site, "s0", "hall")
    wait_changes(late, [("+", "anna"), ("+", "bert"), ("=", 5)])
    assert members(site, "hall")["count"] == 5 and names(site, "hall") == ["anna", "bert"]
    for reader in [*more, late]:
        reader.close()
    anna.wait(lambda: changes(anna)[-1] == ("=", 2), "all are named again")
    assert "count" not in members(site, "hall")
    bert.close()
    anna.wait(lambda: changes(anna)[-1] == ("-", "bert"), "bert has left")


@pytest.mark.parametrize("store", ["memory", "lmdb"])
def test_the_last_number_is_that_of_the_names_at_its_place(bench, store):
    """Two members leave one after the other, and the third session gets a name: however these fall
    together."""
    more = {} if store == "memory" else {"store": str(bench.folder / "store")}
    site = Site(bench, broker=broker(presence_members=2, presence_grace="0s", **more),
                worker={"session_from": "query:session,none"})
    rooms = [f"room:{n}" for n in range(8)]
    readers = {room: enter(site, None, room) for room in rooms}
    streams = {room: {name: enter(site, name, room) for name in "abc"} for room in rooms}
    for room, reader in readers.items():
        reader.wait(lambda r=reader: changes(r)[-1:] == [("=", 3)], "the number")
    named = {room: names(site, room) for room in rooms}
    # Of each room one at another moment of the broker's second, and the other one after a pause of
    # the room's own.
    ends = sorted((0.13 * n + 0.15 * n * k, room, name) for n, room in enumerate(rooms)
                  for k, name in enumerate(named[room]))
    began = time.monotonic()
    for at, room, name in ends:
        time.sleep(max(0, began + at - time.monotonic()))
        streams[room].pop(name).close()
    for room, reader in readers.items():
        last, = streams[room]
        gone = {("-", name) for name in named[room]}
        reader.wait(
            lambda r=reader, g=gone, n=last: g <= set(changes(r)) and ("+", n) in changes(r),
            "one is left"
        )
        assert "count" not in members(site, room) and names(site, room) == [last]
    time.sleep(2)  # a number comes once a second
    for room, reader in readers.items():
        there, told = set(), None
        for sign, what in changes(reader):
            if sign == "=":
                told = what, len(there)
            else:
                (there.add if sign == "+" else there.remove)(what)
        assert there == set(streams[room]) and told[0] == told[1], (room, changes(reader))


def test_a_token_decides(bench):
    issuer = Issuer(bench.folder / "jwt.key")
    site = Site(bench, broker=broker(), worker={
        "session_from": "jwt", "channels_from": "query:channels,jwt",
        "jwt_secret_file": str(issuer.secret_file), "cors_origin": "https://page.example"
    })

    def ask(token, query):
        headers = {"Origin": "https://page.example",
                   **({"Authorization": f"Bearer {token}"} if token else {})}
        status, headers, body = site.request(path="/presence?" + urllib.parse.urlencode(query),
                                             headers=headers)
        return status, headers, json.loads(body)

    token = issuer.token(sub="anna", channels=["hall", "room:1"])
    reader = site.start_open(None, channels=["hall"], keep_blocks=True,
                             headers={"Authorization": f"Bearer {token}"})
    wait_changes(reader, [("+", "anna")])
    status, headers, answer = ask(token, {"channel": "hall"})
    assert status == 200 and [m["session"] for m in answer["members"]] == ["anna"]
    assert headers["access-control-allow-origin"] == "https://page.example"
    assert ask(token, {"channel": "room:1"})[2]["members"] == []
    status, _, answer = ask(token, {"channel": "room:2"})
    assert status == 403 and answer["error"] == "forbidden_channel"
    for wrong in (None, "nonsense",
                  issuer.token(sub="anna", channels=["hall"], exp=int(time.time()) - 600)):
        status, headers, _ = ask(wrong, {"channel": "hall"})
        assert status == 401 and headers["www-authenticate"].startswith("Bearer")
    assert site.request("OPTIONS", path="/presence",
                        headers={"Origin": "https://page.example"})[0] in (200, 204)


# Restarts


def stubborn(site, session, room):
    return enter(site, session, room, reconnect=True, stubborn=True, retry=0.1)


@pytest.mark.parametrize("store", ["memory", "lmdb"])
def test_a_broker_that_restarts_knows_who_stays(bench, store):
    more = {} if store == "memory" else {"store": str(bench.folder / "store")}
    site = Site(bench, broker=broker(**more))
    anna, bert = both(site, "hall", stubborn)
    site.broker.kill()
    bert.close()
    site.broker.start()
    wait_until(lambda: names(site, "hall") == ["anna"], 30, what="bert has left")
    time.sleep(GRACE)
    if store == "lmdb":
        wait_changes(anna, [("+", "anna"), ("+", "bert"), ("-", "bert")])
    assert ("-", "anna") not in changes(anna)


def test_who_left_while_no_broker_ran_leaves_before_the_lease_is_over(bench):
    """Its worker has reported the end; only who is reported by no worker has the whole lease."""
    site = Site(bench, workers=2, broker=broker(store=str(bench.folder / "store"),
                                                worker_lease="600s", presence_settle="100ms"))
    anna, bert = both(site, "hall", stubborn)
    site.broker.kill()
    bert.close()
    site.broker.start()
    wait_changes(anna, [("+", "anna"), ("+", "bert"), ("-", "bert")], 30)


def kill_and_start(worker):
    worker.kill()
    worker.start()


def test_a_worker_that_restarts_is_no_departure(bench):
    """Two sites, so that one wait does for both ways."""
    with Bench() as another:
        sites = {how: Site(b, workers=2, broker=broker(presence_grace="3s"))
                 for b, how in ((bench, kill_and_start), (another, Worker.restart))}
        for how, site in sites.items():
            anna, bert = both(site, "hall", stubborn)
            for worker in site.workers:
                how(worker)
            anna.wait_open(2)
            bert.wait_open(2)
        time.sleep(7.5)  # longer than lease and grace time
        for site in sites.values():
            assert (site.stat("member_leaves") == 0 and site.stat("member_joins") == 2
                    and names(site, "hall") == ["anna", "bert"])


def test_who_does_not_come_back_from_a_lost_worker_has_left(bench):
    site = Site(bench, workers=1, broker=broker())
    anna = stubborn(site, "anna", "hall")
    wait_changes(anna, [("+", "anna")])
    bert = enter(site, "bert", "hall")
    wait_changes(anna, [("+", "anna"), ("+", "bert")])
    site.worker.kill()
    bert.close()
    site.worker.start()
    anna.wait(lambda: changes(anna)[-1] == ("-", "bert"), "bert has left", 30)
    assert ("-", "anna") not in changes(anna) and site.stat("member_leaves") == 1


def test_lists_are_counted_against_the_rate_without_a_token_too(bench):
    site = Site(bench, workers=1, broker=broker(), worker={"connect_rate": 3})
    ask = [site.request(path="/presence", session="anna", channel="hall") for _ in range(12)]
    statuses = [status for status, _, _ in ask]
    assert statuses[:3] == [200] * 3 and 429 in statuses and set(statuses) == {200, 429}


# What ends streams

def test_a_stream_that_makes_way_for_a_newer_one_is_no_departure(bench):
    site = Site(bench, workers=2, broker=broker(), worker={"max_per_session": 1})
    anna = enter(site, "anna", "hall")
    wait_changes(anna, [("+", "anna")])
    streams = [enter(site, "bert", "hall").wait_open() for _ in range(8)]
    wait_changes(anna, [("+", "anna"), ("+", "bert")])
    wait_until(lambda: sum(r.ended for r in streams) >= 6, what="one is left at each worker")
    time.sleep(2 * GRACE)
    assert (changes(anna) == [("+", "anna"), ("+", "bert")]
            and names(site, "hall") == ["anna", "bert"])
    assert site.stat("ends_replaced") == sum(r.ended for r in streams)
    for reader in streams:
        reader.close()
    wait_until(lambda: names(site, "hall") == ["anna"], what="bert has left")
    wait_changes(anna, [("+", "anna"), ("+", "bert"), ("-", "bert")])


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_new_token_within_the_grace_time_is_no_departure(bench, comes_back):
    issuer = Issuer(bench.folder / "jwt.key")
    site = Site(bench, workers=2, broker=broker(presence_grace="2s"),
                worker={"session_from": "query:session,jwt", "jwt_secret_file": issuer.secret_file})
    anna = enter(site, "anna", "hall")
    wait_changes(anna, [("+", "anna")])

    def enter_with_token(seconds, **claims):
        headers = {"Authorization": f"Bearer {issuer.token(seconds, sub='bert', **claims)}"}
        return enter(site, None, "hall", headers=headers)

    bert = enter_with_token(3, jti="first")
    wait_changes(anna, [("+", "anna"), ("+", "bert")])
    bert.wait_end()
    assert bert.decoder.blocks[-1].type == "ssecast.expired"
    if comes_back:
        bert = enter_with_token(600, jti="second").wait_open()
        time.sleep(3)  # longer than the grace time
        assert changes(anna) == [("+", "anna"), ("+", "bert")] and site.stat("ends_expired") == 1
        bert.close()
    wait_changes(anna, [("+", "anna"), ("+", "bert"), ("-", "bert")])
    assert site.stat("member_leaves") == 1 and site.stat("member_joins") == 2


@pytest.mark.parametrize("after", ["banned", "lifted", "no ban"])
def test_a_member_that_is_shut_down_leaves_after_the_grace_time(bench, after):
    """With a ban it cannot come back; without one, or when the ban is lifted, it has not been
    away."""
    site = Site(bench, workers=2, broker=broker(presence_grace="2s"))
    anna = enter(site, "anna", "hall")
    wait_changes(anna, [("+", "anna")])
    bert = stubborn(site, "bert", "hall")
    other = stubborn(site, "bert", "hall")
    wait_changes(anna, [("+", "anna"), ("+", "bert")])
    site.wait_connections("bert", 2)
    assert site.commands.shutdown(sessions=["bert"],
                                  block=0 if after == "no ban" else 600)["closed"] == 2
    if after == "banned":
        bert.wait_end()
        other.wait_end()
        assert bert.status == 204 and site.commands.bans().keys() == {"bert"}
        assert names(site, "hall") == ["anna", "bert"], "its grace time lasts"
        wait_changes(anna, [("+", "anna"), ("+", "bert"), ("-", "bert")])
        site.commands.unban("bert")
        wait_until(lambda: "bert" in names(site, "hall") or enter(site, "bert", "hall") is None,
                   what="bert is back")
        wait_changes(anna, [("+", "anna"), ("+", "bert"), ("-", "bert"), ("+", "bert")])
        return
    if after == "lifted":
        bert.wait_end()
        site.commands.unban("bert")
        wait_until(lambda: enter(site, "bert", "hall").wait_head().status == 200,
                   what="bert is back")
    else:
        bert.wait_open(2)
    time.sleep(3)  # longer than the grace time
    assert changes(anna) == [("+", "anna"), ("+", "bert")]
