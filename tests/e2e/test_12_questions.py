"""Questions: who is online, what is retained, how it runs."""

import time

from support.site import Site
from support.waiting import wait_until


def test_online_counts_connections_while_they_come_and_go(site, session):
    before = site.commands.online(session)
    assert (before["online"], before["connections"]) == (False, 0)
    readers = [site.open(session) for _ in range(3)]
    site.wait_connections(session, 3)
    assert site.commands.online(session)["online"] is True
    readers.pop().close()
    site.wait_connections(session, 2)
    for reader in readers:
        reader.close()
    site.wait_connections(session, 0)
    assert site.commands.online(session)["online"] is False


def test_an_open_stream_is_counted_at_once(site, session):
    for n in range(20):
        site.open(session)
        site.wait_connections(session, n + 1)
        assert site.publish("m", data=n, to={"sessions": [session]})["online"] == n + 1


def test_sessions_are_listed_with_their_connections(site, session):
    for name, count in (("a", 1), ("b", 2)):
        for _ in range(count):
            site.open(f"{session}-{name}")
    site.wait_connections(f"{session}-b", 2)
    reply = site.commands.sessions(prefix=f"{session}-")
    assert sorted((s["session"], s["connections"]) for s in reply["sessions"]) == [
        (f"{session}-a", 1), (f"{session}-b", 2)
    ]


def test_a_list_is_bounded_and_says_when_there_is_more(site, session):
    for n in range(4):
        site.open(f"{session}-{n}")
    for n in range(4):  # of two workers
        site.wait_connections(f"{session}-{n}", 1)
    reply = site.commands.sessions(prefix=f"{session}-", limit=3)
    assert len(reply["sessions"]) == 3 and reply["more"] is True
    assert site.commands.sessions(prefix=f"{session}-", limit=4)["more"] is False


def test_connections_show_their_session_and_channels(site, session):
    before = time.time() * 1000
    reader = site.open(session, channels=["x", "y"])
    site.wait_connections(session, 1)
    [mine] = [c for c in site.commands.connections()["connections"] if c["session"] == session]
    assert mine["connection"] == reader.connection
    assert sorted(mine["channels"]) == ["x", "y"]
    assert mine["worker"] and before - 2000 < mine["since"] < time.time() * 1000 + 2000


def test_workers_say_how_they_are(bench):
    site = Site(bench, workers=2)
    site.open_many([f"s{n}" for n in range(6)])
    before = time.time() * 1000
    wait_until(lambda: sum(w["connections"] for w in site.commands.workers()) == 6,
               what="six connections")
    site.publish("m", data=1)
    wait_until(lambda: sum(w["deliveries"] for w in site.commands.workers()) == 6,
               what="six deliveries")
    workers = site.commands.workers()
    assert ([w["worker"] for w in workers] == sorted(w["worker"] for w in workers)
            and len(workers) == 2)
    for worker in workers:
        assert (worker["connections"] > 0 and worker["silent_ms"] < 5000
                and worker["lag_events"] == 0)
        assert before - 60000 < worker["started_ms"] < before + 2000
        assert worker["position"] == site.stat("history_head") and worker["window_events"] == 1
    assert [w["worker"] for w in site.commands.workers(after=workers[0]["worker"])] == [
        workers[1]["worker"]
    ]


def test_a_worker_that_hangs_is_seen(bench):
    site = Site(bench)
    site.open("anna")
    site.worker.freeze()
    wait_until(lambda: site.commands.workers()[0]["silent_ms"] > 1500, what="silence")
    site.worker.thaw()
    wait_until(lambda: site.commands.workers()[0]["silent_ms"] < 1000, what="a report")


def test_history_lists_what_was_delivered(site, session):
    first = site.publish("h", data=[1], to={"sessions": [session]})["seq"]
    second = site.publish("h", text="two\nlines", to={"sessions": [session]},
                          id=f"own-{session}")["seq"]
    reply = site.commands.history(since=first - 1, session=session)
    assert [(e["seq"], e["event"], e["data"]) for e in reply["events"]] == [
        (first, "h", '[1]'), (second, "h", "two\nlines")
    ]
    assert reply["events"][0]["to"]["sessions"] == [session] and reply["more"] is False


def test_history_pages_forward(site, session):
    seqs = [site.publish("h", data=n, to={"sessions": [session]})["seq"] for n in range(7)]
    seen, since, more = [], seqs[0] - 1, True
    while more:
        reply = site.commands.history(since=since, session=session, limit=3)
        seen += [e["seq"] for e in reply["events"]]
        since, more = seen[-1], reply["more"]
    assert seen == seqs


def test_history_of_a_session_holds_broadcasts_and_nothing_of_others(site, session):
    first = site.publish("h", data="mine", to={"sessions": [session]})["seq"]
    site.publish("h", data="other", to={"sessions": [session + "x"]})
    site.publish("h", data="all")
    data = [e["data"] for e in site.commands.history(since=first - 1, session=session)["events"]]
    assert data == ['"mine"', '"all"']


def test_stats_are_flat_numbers_that_count(site, session):
    before = site.commands.stats()
    reader = site.open(session)
    for n in range(10):
        site.publish("s", data=n, to={"sessions": [session]})
    reader.wait_for(10)
    assert all(isinstance(v, (int, float, str, bool)) for v in before.values())
    wait_until(lambda: sum(v for k, v in site.commands.stats().items() if "deliver" in k)
                   >= 10 + sum(v for k, v in before.items() if "deliver" in k),
               what="deliveries are counted")


def test_ping_is_answered(site):
    assert site.commands.ping()["ok"] is True
