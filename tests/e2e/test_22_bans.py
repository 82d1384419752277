"""Bans: how long they last, who lifts them, and that every worker knows."""

import shutil
import struct
import time

import pytest
import zmq
from support.broker import Broker
from support.cli import Cli
from support.clocks import set_clock
from support.commands import Commands
from support.fcgi import FastCgi
from support.keys import Keys
from support.nats import SERVER, NatsServer
from support.ports import free_port
from support.site import Site
from support.waiting import wait_until
from support.worker import Worker

FEW = {"history_events": 20}
STORES = ["memory", "directory", pytest.param(
    "jetstream", marks=pytest.mark.skipif(not shutil.which(SERVER), reason="no nats-server")
)]
DURABLE = STORES[1:]


def broker_with(bench, store, name="broker", **options):
    """A broker that retains few events. Of the same store, if there is one already."""
    if store == "directory":
        options["store"] = bench.folder / "history"
    if store == "jetstream":
        if not hasattr(bench, "nats"):
            bench.nats = NatsServer(bench, "nats").start()
        options |= {"store": f"nats://{bench.nats.address}", "store_replicas": 1,
                    "store_timeout": "2s"}
    return Broker(bench, name, **{**FEW, **options})


def status(worker, session, **more):
    """What a request for a stream is answered."""
    with FastCgi(worker.socket) as web:
        web.get(f"session={session}", **more).wait(lambda: web.head, "the head")
        return web.head["status"]


def publish_much(client, count=100):
    """So much that nothing of before is retained."""
    for n in range(count):
        client.publish("m", data=n, to={"sessions": ["nobody"]})


def wait_status(worker, session, wanted):
    wait_until(lambda: status(worker, session) == wanted, what=f"{session} is answered {wanted}")


# By the broker's clock

@pytest.mark.parametrize("offset", ["-1h", "+1h"])
def test_a_broker_with_a_wrong_clock_bans_for_as_long_as_it_says(bench, offset):
    broker = Broker(bench)
    set_clock(broker, offset)
    broker.start()
    before, after = (Worker(bench, broker, name) for name in ("before", "after"))
    before.start()
    with broker.commands() as client:
        client.shutdown(sessions=["anna"], block=600)
        client.shutdown(sessions=["bert"], block=1)
        wait_status(before, "anna", 204)
        after.start()
        wait_status(after, "anna", 204)
        for worker in (before, after):
            wait_status(worker, "bert", 200)
        assert list(client.bans()) == ["anna"]


# For their whole time

@pytest.mark.parametrize("store", STORES)
def test_a_ban_outlives_its_record_and_restarts(bench, store):
    broker = broker_with(bench, store).start()
    worker = Worker(bench, broker).start()
    with broker.commands() as client:
        client.shutdown(sessions=["anna", "bert"], block=86400)
        client.shutdown(sessions=["carl"], block=7200)
        before = client.bans()
        publish_much(client)
        assert not [e for e in client.history(since=0, limit=1000)["events"]
                    if e["event"] == "ssecast.shutdown"]
        assert client.bans() == before and list(before) == ["anna", "bert", "carl"]
    if store != "memory":
        broker.restart()
    with broker.commands() as client:
        assert client.bans() == before
        publish_much(client)
    if store != "memory":
        broker.kill()
        broker.start()
    worker.restart()
    assert [status(worker, s) for s in ("anna", "bert", "carl", "dora")] == [204, 204, 204, 200]
    with broker.commands() as client:
        assert client.bans() == before


@pytest.mark.parametrize("store", DURABLE)
def test_a_ban_that_was_lifted_or_shortened_stays_so(bench, store):
    broker = broker_with(bench, store).start()
    worker = Worker(bench, broker).start()
    with broker.commands() as client:
        client.shutdown(sessions=["anna", "bert", "carl", "dora"], block=86400)
        publish_much(client)
        client.shutdown(sessions=["bert"], block=0)
        client.shutdown(sessions=["carl"], block=600)
        assert client.unban("anna", "nobody", "bert") == 1
        after = client.bans()
        assert list(after) == ["carl", "dora"] and after["dora"] - after["carl"] > 80000 * 1000
    for _ in range(2):
        broker.restart()
        with broker.commands() as client:
            assert client.bans() == after
            publish_much(client)
    worker.restart()
    assert [status(worker, s) for s in ("anna", "bert", "carl", "dora")] == [200, 200, 204, 204]


@pytest.mark.parametrize("store", DURABLE)
def test_a_worker_that_was_away_knows_what_was_lifted_and_what_was_banned_meanwhile(bench, store):
    broker = broker_with(bench, store).start()
    worker = Worker(bench, broker, heartbeat="300ms").start()
    stays = bench.closing(FastCgi(worker.socket))
    stays.get("session=bert").wait_open()
    with broker.commands() as client:
        client.shutdown(sessions=["anna"], block=86400)
    wait_status(worker, "anna", 204)
    broker.stop()
    other = broker_with(bench, store, "other").start()
    with other.commands() as client:
        assert client.unban("anna") == 1
        client.shutdown(sessions=["bert"], block=86400)
        publish_much(client)
    other.stop()
    broker.start()
    wait_status(worker, "anna", 200)
    wait_status(worker, "bert", 204)
    stays.wait_end()  # its shutdown is no longer retained
    assert [e.type for e in stays.events()][-1] == "ssecast.shutdown"


def test_workers_keep_their_bans_when_a_broker_that_keeps_none_restarts(bench):
    broker = Broker(bench).start()
    worker = Worker(bench, broker).start()
    with broker.commands() as client:
        client.shutdown(sessions=["anna", "bert"], block=3600)
        client.shutdown(sessions=["carl"], block=3600)
    for session in ("anna", "carl"):
        wait_status(worker, session, 204)
    broker.restart()
    wait_status(worker, "dora", 200)
    with broker.commands() as client:
        wait_until(lambda: client.stats()["workers"] == 1, what="the worker is back")
        assert [status(worker, s) for s in ("anna", "bert", "carl")] == [204] * 3
        assert client.bans() == {}
        client.unban("anna")
        client.shutdown(sessions=["carl"], block=1)
    for session in ("anna", "carl"):
        wait_status(worker, session, 200)
    assert status(worker, "bert") == 204


def test_a_ban_ends_by_itself_everywhere(bench):
    site = Site(bench, workers=2, broker=FEW)
    site.commands.shutdown(sessions=["anna"], block=2)
    site.settle()
    assert [status(w, "anna") for w in site.workers] == [204, 204]
    for w in site.workers:
        wait_status(w, "anna", 200)
    wait_until(lambda: site.stat("bans") == 0, what="the broker has forgotten it")
    assert site.commands.bans() == {}


# The last word

def test_block_0_lifts_earlier_bans_too(bench):
    site = Site(bench, workers=2)
    site.commands.shutdown(sessions=["anna"], block=3600)
    site.settle()
    assert [status(w, "anna") for w in site.workers] == [204, 204]
    site.commands.shutdown(sessions=["anna"], block=0)
    site.settle()
    assert [status(w, "anna") for w in site.workers] == [200, 200]


def test_a_later_shutdown_shortens_a_ban(bench):
    site = Site(bench)
    site.commands.shutdown(sessions=["anna"], block=3600)
    long = site.commands.bans()["anna"]
    site.commands.shutdown(sessions=["anna"], block=1)
    assert site.commands.bans()["anna"] < long - 3000 * 1000
    wait_status(site.worker, "anna", 200)


def test_requests_at_once_count_in_their_order(bench):
    with Broker(bench).start().commands() as client:
        requests = [{"op": "shutdown", "sessions": ["a", "b"], "block": 60}, {"op": "bans"},
                    {"op": "unban", "sessions": ["a", "a"]},
                    {"op": "bans"}, {"op": "shutdown", "sessions": ["a"], "block": 5},
                    {"op": "unban", "sessions": ["b", "c"]}, {"op": "bans"}]
        refs = [client.send(r) for r in requests]
        replies = {r["ref"]: r for r in (client.receive() for _ in refs)}
        found = [replies[r] for r in refs]
        names = [[b["session"] for b in r["bans"]] for r in found if "bans" in r]
        assert names == [["a", "b"], ["b"], ["a"]]
        assert [r["lifted"] for r in found if "lifted" in r] == [1, 1]


# With what else there is

def test_a_banned_client_resumes_exactly_after_its_ban(bench):
    site = Site(bench)
    first = site.publish("m", data=1, to={"sessions": ["anna"]})["seq"]
    site.commands.shutdown(sessions=["anna"], block=3600)
    site.publish("m", data=2, to={"sessions": ["anna"]})
    site.settle()
    assert status(site.worker, "anna", HTTP_LAST_EVENT_ID=str(first)) == 204
    assert site.commands.unban("anna") == 1
    site.publish("m", data=3, to={"sessions": ["anna"]})
    site.settle()
    back = site.open("anna", last_event_id=str(first))
    back.wait_data("3")
    assert back.data("m") == ["2", "3"] and back.types() == ["m", "m"]


def test_records_of_bans_are_not_delivered_and_move_the_cursor(bench):
    site = Site(bench, worker={"heartbeat": "200ms"})
    reader = site.open("anna")
    site.commands.unban("x", "y")
    seq = site.publish("m", data=1)["seq"]
    reader.wait_for(1)
    assert reader.types() == ["m"] and reader.decoder.last_event_id == str(seq)
    site.commands.unban("x")
    wait_until(lambda: int(reader.decoder.last_event_id) > seq,
               what="a checkpoint after the record")
    [record] = [e for e in site.commands.history(since=seq)["events"]]
    assert (record["event"], record["data"], record["to"]) == ("ssecast.bans", '{"bans":1}', {})
    assert site.commands.history(since=seq, session="x")["events"] == []
    assert reader.types() == ["m"]


def entries_in(batch):
    count = 0
    while batch:
        batch = batch[struct.unpack("<I", batch[:4])[0]:]
        count += 1
    return count


def test_no_head_is_ahead_of_the_feed_when_bans_are_written_again(bench):
    """A worker would ask for what is on the feed a moment later."""
    site = Site(bench, broker={"store": bench.folder / "history", "history_age": "4s"})
    with zmq.Context.instance().socket(zmq.SUB) as feed:
        feed.setsockopt(zmq.RCVTIMEO, 20_000)
        feed.subscribe(b"")
        feed.connect(site.broker.endpoint("feed"))
        feed.recv()
        site.commands.shutdown(sessions=["anna"], block=600)
        position, batches, heads = 0, 0, 0
        while batches < 3 or not heads:
            message = feed.recv()
            before = struct.unpack("<Q", message[16:24])[0]
            if message[4] == 1:
                position, batches, heads = before + entries_in(message[24:]), batches + 1, 0
            elif message[4] == 2 and batches:
                assert before <= position, f"head {before}, and the feed ends at {position}"
                heads += 1
    assert site.stat("repairs") == 0


def test_a_worker_that_stops_still_turns_away(bench):
    site = Site(bench, worker={"drain": "5s"})
    # one alone would be closed at once
    readers = site.open_many([f"reader-{n}" for n in range(20)])
    site.commands.shutdown(sessions=["anna"], block=3600)
    site.settle()
    site.worker.expect_end()
    site.worker.process.terminate()
    assert status(site.worker, "anna") == 204
    for reader in readers:
        reader.wait_end()


def test_a_request_that_is_turned_away_is_in_the_log(bench):
    site = Site(bench, worker={"log_level": "debug"})
    site.commands.shutdown(sessions=["anna"], block=3600)
    until = site.commands.bans()["anna"]
    wait_status(site.worker, "anna", 204)
    assert f"session is banned until={until}" in site.worker.log()
    assert "anna" not in site.worker.log()


# How many

def test_a_shutdown_that_would_ban_too_many_is_refused_and_nothing_is_lost(bench):
    site = Site(bench, broker={"max_bans": 3})
    reader = site.open("c")
    site.commands.shutdown(sessions=["a", "b"], block=60)
    reply = site.commands.ask({"op": "shutdown", "sessions": ["c", "d"], "block": 60})
    assert (reply["error"] == "too_large" and "--max-bans" in reply["message"]
            and "3" in reply["message"])
    assert list(site.commands.bans()) == ["a", "b"] and site.stat("bans") == 2
    site.publish("m", data=1, to={"sessions": ["c"]})
    reader.wait_for(1)
    assert reader.types() == ["m"]
    assert site.commands.shutdown(sessions=["c", "d"], block=0)["closed"] == 1
    assert site.commands.shutdown(sessions=["a", "b", "b", "e"], block=60)["ok"]
    assert (
        site.commands.ask({"op": "shutdown", "sessions": ["d"], "block": 1})["error"] == "too_large"
    )
    site.commands.unban("e")
    assert site.commands.shutdown(sessions=["d"], block=60)["ok"]


def test_bans_take_no_more_of_a_durable_history_than_their_share(bench):
    with Broker(bench, store=bench.folder / "history",
                history_bytes="1M").start().commands() as client:
        names = [f"{n:0200d}" for n in range(1000)]
        reply = client.ask({"op": "shutdown", "sessions": names, "block": 60})
        assert reply["error"] == "too_large" and "--history-bytes" in reply["message"]
        assert client.shutdown(sessions=names[:600], block=60)["ok"]
        publish_much(client, 300)
        assert client.stats()["bans"] == 600


def test_many_bans_are_listed_page_by_page(bench):
    with Broker(bench).start().commands() as client:
        names = sorted(f"s{n}" for n in range(2500))
        client.shutdown(sessions=names, block=600)
        client.shutdown(sessions=["other"], block=600)
        found, more = [], True
        while more:
            page = client.demand({"op": "bans", "prefix": "s", "limit": 1000,
                                  **({"after": found[-1]} if found else {})})
            found, more = found + [b["session"] for b in page["bans"]], page["more"]
        assert found == names
        assert len(client.bans()) == 100


# Who may

def test_limited_keys_ban_and_lift_within_their_patterns_only(bench):
    keys = Keys(bench.folder)
    part, shop = keys.add("operator", "part",
                          "sessions=a-*,b channels=*"), keys.add("publisher", "shop")
    rooms = keys.add("operator", "rooms", "channels=*")
    open_for_tests = f"ipc://{bench.folder}/commands"
    broker = Broker(bench, commands=[open_for_tests, f"tcp://127.0.0.1:{free_port()}"],
                    **keys.broker_options()).start()
    tcp = broker.options["commands"][1]
    with (broker.commands() as all_may, Commands(tcp, part) as limited,
          Commands(tcp, shop) as publisher, Commands(tcp, rooms) as channels):
        all_may.shutdown(sessions=["a-1", "b", "c"], block=600)
        before = all_may.bans()
        assert list(limited.bans()) == ["a-1", "b"] and channels.bans() == {}
        for request in ({"op": "unban", "sessions": ["c"]},
                        {"op": "unban", "sessions": ["a-1", "c"]},
                        {"op": "unban", "sessions": ["a-1", "bb"]},
                        {"op": "shutdown", "sessions": ["c"], "block": 0},
                        {"op": "shutdown", "sessions": ["a-1", "c"], "block": 5}):
            for client in (limited, channels):
                assert client.ask(request)["error"] == "forbidden"
        assert all_may.bans() == before
        assert limited.demand({"op": "bans", "prefix": "c"})["bans"] == []
        for op in ("bans", "unban"):
            assert publisher.ask(
                {"op": op, "sessions": ["a-1"]} if op == "unban" else {"op": op}
            )["error"] == "forbidden"
        channels.shutdown(channels=["room"], block=600)  # a channel is no session
        assert limited.unban("a-1") == 1
        assert list(all_may.bans()) == ["b", "c"]


@pytest.mark.parametrize("request_", [
    {"op": "unban"}, {"op": "unban", "sessions": "a"}, {"op": "unban", "sessions": [""]},
    {"op": "unban", "sessions": ["x" * 256]}, {"op": "unban", "sessions": ["a"], "channels": ["b"]},
    {"op": "bans", "session": "a"}, {"op": "bans", "limit": 0}
])
def test_what_is_no_request_is_refused(bench_of_all, request_):
    if not hasattr(bench_of_all, "plain"):
        bench_of_all.plain = Broker(bench_of_all).start()
    with bench_of_all.plain.commands() as client:
        assert client.ask(request_)["error"] == "bad_request"
        assert client.unban() == 0


# Several brokers

@pytest.mark.skipif(not shutil.which(SERVER), reason="no nats-server")
def test_all_brokers_of_a_cluster_agree_on_bans(bench):
    brokers = [broker_with(bench, "jetstream", f"broker{n}").start() for n in range(2)]
    workers = [Worker(bench, b, f"worker{n}").start() for n, b in enumerate(brokers)]
    clients = [bench.closing(b.commands()) for b in brokers]
    clients[0].shutdown(sessions=["anna", "bert"], block=86400)
    assert clients[1].unban("anna") == 1  # whatever broker 1 has heard of by then
    clients[1].shutdown(sessions=["carl"], block=86400)
    for n in range(2):
        publish_much(clients[n])
    wait_until(lambda: len({c.ping()["head"] for c in clients}) == 1,
               what="the brokers stand at the same place")
    bans = clients[0].bans()
    assert clients[1].bans() == bans and list(bans) == ["bert", "carl"]
    for w in workers:
        wait_status(w, "bert", 204)
        assert status(w, "anna") == 200
    with broker_with(bench, "jetstream", "late").start().commands() as late:
        assert late.bans() == bans
    for b in brokers:
        b.stop()
    with brokers[1].start().commands() as client:
        assert client.bans() == bans


# The command line

def test_the_command_line_lists_and_lifts(bench):
    broker = Broker(bench).start()
    cli = Cli(broker)
    cli("shutdown", "--session", "anna", "--session", "bert", "--block", "3600").check()
    year = str(time.gmtime().tm_year)
    out = cli("bans").check().out
    assert out.splitlines()[0].split() == ["SESSION", "UNTIL"] and "anna" in out and year in out
    assert cli("bans", "--prefix", "b", "--json").check().out.count('"session"') == 1
    assert "1" in cli("unban", "anna", "nobody").check().out
    cli("shutdown", "--session", "bert", "--block", "0").check()
    assert "anna" not in cli("bans").check().out and "bert" not in cli("bans").check().out
    assert cli("unban").status == 2
