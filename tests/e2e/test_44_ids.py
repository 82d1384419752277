"""Ids are unique for ever: across restarts, wiped stores, backups put back and clocks set back.
What may be missing is said."""

import shutil
import time

import pytest
from support import processes
from support.apache import Apache
from support.asker import Asker
from support.broker import Broker
from support.clocks import FAKETIME, set_clock, skip_unless_time_can_be_faked
from support.commands import Commands
from support.fcgi import FastCgi
from support.http_publisher import HttpPublisher
from support.keys import Keys
from support.lighttpd import Lighttpd
from support.nginx import Nginx
from support.ports import free_port
from support.site import Site
from support.tokens import Issuer
from support.waiting import wait_until

ANNA = {"sessions": ["anna"]}


@pytest.fixture
def site(bench):
    return Site(bench, broker={"store": bench.folder / "history"}, worker={"heartbeat": "300ms"})


def publish(site, *data):
    """Publish to anna, through a client of its own: the broker was restarted. Returns the seqs."""
    with site.broker.commands() as client:
        return [client.publish("m", data=d, to=ANNA)["seq"] for d in data]


def wait_gap(reader, count=1):
    """The count-th gap; what it says is where the reader was."""
    return reader.wait_type("ssecast.gap", count)


def rising(seqs):
    return seqs == sorted(set(seqs))


# Restarts

@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_is_not_noticed(site, end):
    reader = site.open("anna")
    seqs = publish(site, 0, 1)
    for n in range(2, 8, 2):
        getattr(site.broker, end)()
        site.broker.start()
        seqs += publish(site, n, n + 1)
    reader.wait_for(8)
    assert reader.data() == [str(n) for n in range(8)] and reader.opens == 1
    assert [int(e.id) for e in reader.events] == seqs and rising(seqs)


def test_a_client_away_during_a_restart_resumes_exactly(site):
    reader = site.open("anna")
    publish(site, 0)
    reader.wait_for(1)
    reader.close()
    publish(site, 1)
    site.broker.kill()
    site.worker.kill()
    site.broker.start()
    site.worker.start()
    publish(site, 2)
    back = site.open("anna", last_event_id=reader.last_event_id)
    back.wait_for(2)
    assert back.data() == ["1", "2"] and back.types() == ["m", "m"]


# Own ids

def test_an_own_id_is_a_duplicate_and_a_cursor_across_a_restart(site):
    reader = site.open("anna")
    with site.broker.commands() as client:
        first = client.publish("m", data=1, to=ANNA, id="order-17")
        client.publish("m", data=2, to=ANNA)
    site.broker.kill()
    site.worker.kill()
    site.broker.start()
    site.worker.start()
    with site.broker.commands() as client:
        again = client.publish("m", data="other", to=ANNA, id="order-17")
        assert (again["seq"], again["duplicate"]) == (first["seq"], True)
    back = site.open("anna", last_event_id="order-17")
    back.wait_for(1)
    publish(site, 3)
    back.wait_for(2)
    assert back.data() == ["2", "3"] and back.types() == ["m", "m"]
    reader.close()


def test_a_publisher_that_tries_again_after_each_crash_publishes_once(site):
    reader = site.open("anna")
    for n in range(5):
        request = {"op": "publish", "event": "m", "data": n, "to": ANNA,
                   "id": f"order-{n}", "ref": n}
        with site.broker.commands() as client:
            client.send(request)
            time.sleep(0.001 * n)
        site.broker.kill()
        site.broker.start()
        with site.broker.commands() as client:
            assert client.demand(request)["ok"]
    reader.wait_for(5)
    publish(site, "end")
    reader.wait_data('"end"')
    assert reader.data() == ["0", "1", "2", "3", "4", '"end"'] and set(reader.types()) == {"m"}


# Whose id it is

class Publishers(Site):
    """A site whose publishers come with tokens, over HTTP."""

    def __init__(self, bench, **broker):
        bench.folder.chmod(0o755)
        self.issuer = Issuer(bench.folder / "jwt.key")
        super().__init__(bench, broker=broker,
                         worker={"publish": True, "jwt_secret_file": self.issuer.secret_file})

    def publisher(self, publish=True, **claims):
        return self.bench.closing(
            HttpPublisher(self.web.url, self.issuer.publisher(publish, **claims))
        )


def reply_of(answer):
    status, _, reply = answer
    assert status == 200 and reply["ok"], answer
    return reply


def test_events_of_different_tokens_are_not_confused(bench):
    site = Publishers(bench)
    mallory, shop = (site.publisher({"sessions": ["mallory-*"]}),
                     site.publisher({"sessions": ["anna"]}))
    reader, other = site.open_counted("anna"), site.open("mallory-1")
    first = reply_of(
        mallory.publish("m", data="evil", id="order-18", to={"sessions": ["mallory-1"]})
    )
    again = {"event": "m", "data": "order", "id": "order-18", "to": ANNA}
    second = reply_of(shop.send(again))
    assert "duplicate" not in second and second["online"] == 1 and second["seq"] > first["seq"]
    assert [(e.data, e.id) for e in reader.wait_for(1)] == [('"order"', str(second["seq"]))]
    assert other.wait_for(1)[0].id == "order-18"
    repeated = reply_of(shop.send(again))
    assert (repeated["seq"], repeated["duplicate"]) == (second["seq"], True)
    assert [e["id"] for e in site.commands.history()["events"]] == ["order-18"] * 2
    site.publish("m", data="end", to=ANNA)
    assert reader.wait_data('"end"').data() == ['"order"', '"end"']


def test_a_token_that_replaces_another_is_the_same_publisher(bench):
    site = Publishers(bench)
    event = {"event": "m", "data": 1, "id": "order-1", "to": ANNA}
    first = reply_of(site.publisher(sub="shop", iss="login").send(event))
    renewed = site.publisher({"sessions": ["anna"]}, sub="shop", iss="login",
                             exp=int(time.time()) + 9999)
    assert reply_of(renewed.send(event)) == {"ok": True, "seq": first["seq"], "duplicate": True,
                                             "online": 0}
    assert "duplicate" not in reply_of(site.publisher(sub="shop", iss="other").send(event))
    assert "duplicate" not in reply_of(site.publisher(sub="desk", iss="login").send(event))


def test_a_batch_with_an_id_of_another_publisher_is_delivered_whole(bench):
    site = Publishers(bench)
    reader = site.open("anna")
    reply_of(
        site.publisher(sub="mallory").publish("m", data="evil", id="b", to={"sessions": ["x"]})
    )
    events = [{"event": "m", "data": n, "id": i, "to": ANNA} for n, i in enumerate("abcb")]
    reply = reply_of(site.publisher(sub="shop").publish_batch(events))
    assert reply["duplicates"] == [3] and reply["seqs"][3] == reply["seqs"][1]
    assert [(e.data, e.id) for e in reader.wait_for(3)] == [
        ("0", "a"), ("1", str(reply["seqs"][1])), ("2", "c")
    ]


def test_events_of_different_keys_are_not_confused(bench):
    keys, tcp = Keys(bench.folder), f"tcp://127.0.0.1:{free_port()}"
    shop, mallory = keys.add("publisher",
                             "shop"), keys.add("publisher", "mallory", "sessions=mallory-*")
    web, replaced = keys.add("worker", "web"), keys.stranger("replaced")
    keys.lines["replaced"] = f"publisher {replaced.public} shop"
    keys.write()
    site = Site(bench, broker={"commands": [f"ipc://{bench.folder}/commands", tcp],
                               **keys.broker_options()}, worker=web.options())
    reader = site.open("anna")

    def publish(key, **fields):
        with Commands(tcp, key) if key else site.broker.commands() as client:
            return client.publish("m", id="order-18", **fields)

    first = publish(mallory, data="evil", to={"sessions": ["mallory-1"]})
    second = publish(shop, data="order", to=ANNA)
    assert "duplicate" not in second and second["seq"] > first["seq"]
    assert [(e.data, e.id) for e in reader.wait_for(1)] == [('"order"', str(second["seq"]))]
    assert publish(replaced, data="order", to=ANNA)["duplicate"], "another key of the same name"
    third = publish(None, data="local", to=ANNA)
    assert "duplicate" not in third and reader.wait_for(2)[1].id == str(third["seq"])
    with Asker(site.broker.endpoint("sync"), web) as worker:
        reply = worker.publish("key:shop", text="forged", id="order-19")
        assert (reply["ok"], reply["error"]) == (False, "forbidden")
        assert "duplicate" not in worker.publish("token:x", text="new", id="order-18")
        assert "duplicate" not in worker.publish("", text="new",
                                                 id="order-18"), "not one of those without a key"
        assert worker.publish("", text="new", id="order-18")["duplicate"]


# An id that is used again

def other_events(site, count):
    site.commands.publish_many([{"event": "m", "data": n, "to": ANNA} for n in range(count)])


@pytest.mark.parametrize("worker", ["stays", "restarted"])
def test_an_id_that_is_used_again_hides_no_loss(bench, worker):
    site = Site(bench, broker={"history_events": 10}, worker={"window_bytes": "64K"})
    reader = site.open("anna")
    site.publish("m", data="first", to=ANNA, id="order-1")
    reader.wait_for(1)
    reader.close()
    other_events(site, 30)
    if worker == "restarted":
        site.worker.stop()
        site.worker.start()
    again = site.publish("m", data="second", to=ANNA, id="order-1")
    assert "duplicate" not in again
    site.publish("m", data="end", to=ANNA)
    back = site.open("anna", last_event_id=reader.last_event_id)
    back.wait_data('"end"')
    told = [e.data for e in back.events if e.type == "m"]
    if worker == "stays":  # its window has everything
        assert (back.types() == ["m"] * 32
                and told == [str(n) for n in range(30)] + ['"second"', '"end"'])
    else:
        assert (back.types()[0] == "ssecast.gap"
                and told == [str(n) for n in range(22, 30)] + ['"second"', '"end"'])


def test_an_id_that_is_used_every_day_brings_nothing_twice(bench):
    site = Site(bench, broker={"history_events": 10})
    reader = site.open("anna")
    site.publish("m", data="monday", to=ANNA, id="daily")
    other_events(site, 30)
    again = site.publish("m", data="tuesday", to=ANNA, id="daily")
    reader.wait_for(32)
    assert reader.events[0].id == "daily" and reader.last_event_id == str(again["seq"])
    reader.close()
    site.publish("m", data="end", to=ANNA)
    back = site.open("anna", last_event_id=reader.last_event_id)
    back.wait_for(1)
    assert back.data() == ['"end"'] and back.types() == ["m"]


def test_an_id_outlives_its_event_in_a_store(bench):
    site = Site(bench, broker={"store": bench.folder / "history", "history_events": 10})
    site.publish("m", data="first", to=ANNA, id="order-1")
    for _ in range(2):  # evicted and trimmed, then remembered only
        with site.broker.commands() as client:
            client.publish_many([{"event": "m", "data": n, "to": ANNA} for n in range(30)])
        site.broker.kill()
        site.worker.kill()
        site.broker.start()
        site.worker.start()
    reader = site.open("anna")
    with site.broker.commands() as client:
        again = client.publish("m", data="second", to=ANNA, id="order-1")
        assert ("duplicate" not in again
                and client.publish("m", data="second", to=ANNA, id="order-1")["duplicate"])
    assert reader.wait_for(1)[0].id == str(again["seq"])
    back = site.open("anna", last_event_id="order-1")
    back.wait_data('"second"')
    assert back.types()[0] == "ssecast.gap"


def test_an_id_from_before_a_restart_without_a_store_hides_no_loss(bench):
    """The broker has forgotten it; the worker that sent it has not."""
    site = Site(bench)
    reader, watcher = site.open("anna"), site.open("anna")
    site.publish("m", data="first", to=ANNA, id="order-1")
    reader.wait_for(1)
    reader.close()
    site.publish("m", data="lost", to=ANNA)
    watcher.wait_for(2)
    site.broker.restart()
    with site.broker.commands() as client:
        # tried again by a publisher that had no reply
        client.publish("m", data="first", to=ANNA, id="order-1")
        client.publish("m", data="end", to=ANNA)
    watcher.wait_data('"end"')
    back = site.open("anna", last_event_id="order-1")
    back.wait_data('"end"')
    assert back.types()[0] == "ssecast.gap" and back.data()[-2:] == ['"first"', '"end"']


def test_a_question_about_an_id_is_not_answered_by_a_broker_that_lost_its_memory(bench):
    site = Site(bench)
    site.publish("m", data="first", to=ANNA, id="order-1")
    site.publish("m", data="lost", to=ANNA)
    site.worker.stop()
    site.worker.start()  # it never sent that id
    site.open("anna")
    site.broker.freeze()
    back = site.open("anna", last_event_id="order-1")
    site.broker.kill()
    site.broker.start()
    with site.broker.commands() as client:
        client.publish("m", data="first", to=ANNA, id="order-1")
        client.publish("m", data="end", to=ANNA)
    back.wait_data('"end"')
    assert back.types()[0] == "ssecast.gap" and back.data()[-2:] == ['"first"', '"end"']


# What an id may be

NO_HEADER = ["a\x01b", "a\fb", "a\x1f", "\x7f", "a\nb", "a\rb", "a\0b", " x", "x ", "\tx", "x\t",
             " ", "", "12", "-1", "+1", "x" * 256, "€" * 86]
FINE = ["a\tb", "a b", "ä€", "\U0001f600", "\x85", "a\u2028b", "\ufeffx", "\"q\"", "x" * 255,
        "€" * 85, "0x10", "-", "a,b;c"]


@pytest.mark.parametrize("web", [Lighttpd, Apache, Nginx], ids=lambda w: w.name)
def test_an_own_id_comes_back_as_it_was(bench, web):
    site = Site(bench, web=web)
    for n, own in enumerate(FINE):
        to = {"sessions": [f"s{n}"]}
        reader = site.open(f"s{n}")
        site.publish("m", data="first", to=to, id=own)
        assert reader.wait_for(1)[0].id == own
        reader.close()
        site.publish("m", data="second", to=to)
        back = site.open(f"s{n}", last_event_id=reader.last_event_id)
        back.wait_for(1)
        assert (back.data(), back.types(), back.starts) == (['"second"'], ["m"], [own])


def test_an_own_id_that_would_not_come_back_is_refused(site):
    for own in NO_HEADER:
        reply = site.commands.ask({"op": "publish", "data": 1, "id": own})
        assert (reply["ok"], reply["error"]) == (False, "bad_request"), own
        assert reply["message"].startswith("`id` must be 1 to 255 bytes"), reply
    assert site.commands.history()["events"] == []


@pytest.mark.parametrize("cursor", ["a%01b", "x%20", "%20x", "a%7F", "%FF"])
def test_a_cursor_that_would_not_come_back_is_not_named(site, cursor):
    """It comes from a query, where it can be anything; a browser would keep it and be refused for
    ever. (lighttpd refuses some of it.)"""
    site.publish("m", data="first", to=ANNA, id="x")
    stream = site.bench.closing(FastCgi(site.worker.socket))
    stream.get("session=anna&lastEventId=" + cursor).wait_open()
    site.publish("m", data="second", to=ANNA)
    events = stream.wait_events(3)
    assert [(e.type, e.data) for e in events[1:]] == [("m", '"first"'), ("m", '"second"')]
    assert (events[0].type, events[0].id) == ("ssecast.gap", "") and events[2].id.isdigit()


# Stores that were taken away

def test_after_a_wiped_store_no_id_is_used_again_and_all_clients_get_a_gap(site):
    reader, away = site.open("anna"), site.open("anna")
    seqs = publish(site, 0, 1)
    away.wait_for(2)
    away.close()
    site.broker.stop()
    shutil.rmtree(site.broker.options["store"])
    site.broker.start()
    assert wait_gap(reader).data.startswith('{"last":%d,' % seqs[-1])
    seqs += publish(site, 2)
    back = site.open("anna", last_event_id=away.last_event_id)
    for each in (reader, back):
        each.wait_data("2")
    assert back.types() == ["ssecast.gap", "m"] and reader.types() == ["m", "m", "ssecast.gap", "m"]
    assert reader.opens == 1 and rising(seqs)


class Backup:
    """A copy of the store, made while the broker is stopped."""

    def __init__(self, site):
        self.site, self.store, self.copy = (site, site.broker.options["store"],
                                            site.bench.folder / "backup")
        site.broker.stop()
        shutil.copytree(self.store, self.copy)
        site.broker.start()

    def put_back(self):
        self.site.broker.kill()
        shutil.rmtree(self.store)
        shutil.copytree(self.copy, self.store)


def test_after_an_older_backup_no_id_is_used_again_and_all_clients_get_a_gap(site):
    reader, early, late = (site.open("anna") for _ in range(3))
    seqs = publish(site, 0, 1)
    early.wait_for(2)
    early.close()  # knows nothing that the backup does not, and yet misses what comes now
    backup = Backup(site)
    seqs += publish(site, 2, 3)
    late.wait_for(4)
    late.close()
    backup.put_back()
    site.broker.start()
    assert wait_gap(reader).data.startswith('{"last":%d,"oldest":%d}' % (seqs[-1], seqs[0]))
    seqs += publish(site, 4)
    for _ in range(2):
        for away in (early, late):
            back = site.open("anna", last_event_id=away.last_event_id)
            back.wait_data("4")
            assert back.types()[0] == "ssecast.gap"
        site.broker.kill()  # which changes nothing
        site.broker.start()
    reader.wait_data("4")
    assert reader.types() == ["m"] * 4 + ["ssecast.gap", "m"] and rising(seqs)
    assert "an older copy of the store" in site.broker.log()


# Clocks

@pytest.fixture
def clock(site):
    """Sets the broker's clock: clock("-1h")."""
    skip_unless_time_can_be_faked()
    return lambda offset: set_clock(site.broker, offset)


def test_a_clock_that_was_set_back_gives_no_id_twice(site, clock):
    reader = site.open("anna")
    seqs = publish(site, 0, 1)
    clock("-1h")
    site.broker.restart()
    seqs += publish(site, 2)
    site.broker.restart()
    seqs += publish(site, 3)
    reader.wait_for(4)
    assert reader.data() == ["0", "1", "2", "3"] and set(reader.types()) == {"m"} and rising(seqs)
    assert seqs == list(range(seqs[0], seqs[0] + 4)), "nobody went by the clock"


@pytest.mark.parametrize("lost", ["wiped", "older backup"])
def test_a_clock_that_was_set_back_and_a_lost_store_give_no_id_twice_while_a_worker_remembers(
    site, clock, lost
):
    seqs = publish(site, 0)
    backup = Backup(site)
    reader, away = site.open("anna"), site.open("anna")
    seqs += publish(site, 1, 2)
    away.wait_for(2)
    away.close()
    backup.put_back()
    if lost == "wiped":
        shutil.rmtree(backup.store)
    clock("-1h")
    site.broker.start()
    wait_gap(reader)
    seqs += publish(site, 3)
    back = site.open("anna", last_event_id=away.last_event_id)
    for each in (reader, back):
        each.wait_data("3")
    assert back.types()[0] == "ssecast.gap" and back.data()[-1] == "3"
    assert rising(seqs)
    site.broker.restart()
    seqs += publish(site, 4)
    reader.wait_data("4")
    assert rising(seqs) and reader.types() == ["m", "m", "ssecast.gap", "m", "m"]


def test_a_clock_that_is_set_back_while_the_broker_runs_changes_nothing(bench):
    """The time of day is only for what is too old."""
    skip_unless_time_can_be_faked()
    setting = bench.folder / "clock"
    setting.write_text("+0")
    broker = Broker(bench, store=bench.folder / "history", history_age="10s")
    broker.env = processes.clean_environment(
        LD_PRELOAD=str(FAKETIME), FAKETIME_TIMESTAMP_FILE=str(setting), FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1"
    )
    with broker.start().commands() as client:
        seqs = [client.publish("m", data=0)["seq"]]
        setting.write_text("-1h")
        seqs += [client.publish("m", data=n)["seq"] for n in range(1, 4)]
        assert seqs == list(range(seqs[0], seqs[0] + 4))
        assert client.stats()["history_events"] == 4
        setting.write_text("+1h")
        wait_until(lambda: client.stats()["history_events"] == 0, what="all are too old")
        assert client.publish("m", data=5)["seq"] == seqs[-1] + 1
