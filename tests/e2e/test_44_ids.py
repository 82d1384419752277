"""Ids are unique for ever: across restarts, wiped stores, backups put back and clocks set back. What may be missing is said."""

import pathlib
import shutil
import subprocess
import time

import pytest
from support import processes
from support.broker import Broker
from support.site import Site
from support.waiting import wait_until

FAKETIME = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
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


def test_who_was_away_during_a_restart_resumes_exactly(site):
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
        request = {"op": "publish", "event": "m", "data": n, "to": ANNA, "id": f"order-{n}", "ref": n}
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


# Stores that were taken away

def test_after_a_wiped_store_no_id_is_used_again_and_everybody_is_told(site):
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
        self.site, self.store, self.copy = site, site.broker.options["store"], site.bench.folder / "backup"
        site.broker.stop()
        shutil.copytree(self.store, self.copy)
        site.broker.start()

    def put_back(self):
        self.site.broker.kill()
        shutil.rmtree(self.store)
        shutil.copytree(self.copy, self.store)


def test_after_an_older_backup_was_put_back_no_id_is_used_again_and_everybody_is_told(site):
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

def skip_unless_time_can_be_faked():
    """A program with a sanitizer cannot be given another library first."""
    if not FAKETIME:
        pytest.skip("faketime is not installed")
    done = subprocess.run([processes.BROKER, "--version"], env=processes.clean_environment(LD_PRELOAD=str(FAKETIME)), capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("not with a sanitizer")


@pytest.fixture
def clock(site):
    """Sets the broker's clock: clock("-1h")."""
    skip_unless_time_can_be_faked()

    def set_clock(offset):
        site.broker.env = processes.clean_environment(LD_PRELOAD=str(FAKETIME), FAKETIME=offset, FAKETIME_DONT_FAKE_MONOTONIC="1")

    return set_clock


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
def test_a_clock_that_was_set_back_and_a_lost_store_give_no_id_twice_while_a_worker_remembers(site, clock, lost):
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
    broker.env = processes.clean_environment(LD_PRELOAD=str(FAKETIME), FAKETIME_TIMESTAMP_FILE=str(setting), FAKETIME_NO_CACHE="1",
                                             FAKETIME_DONT_FAKE_MONOTONIC="1")
    with broker.start().commands() as client:
        seqs = [client.publish("m", data=0)["seq"]]
        setting.write_text("-1h")
        seqs += [client.publish("m", data=n)["seq"] for n in range(1, 4)]
        assert seqs == list(range(seqs[0], seqs[0] + 4))
        assert client.stats()["history_events"] == 4
        setting.write_text("+1h")
        wait_until(lambda: client.stats()["history_events"] == 0, what="all are too old")
        assert client.publish("m", data=5)["seq"] == seqs[-1] + 1
