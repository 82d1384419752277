"""`ssecast-broker --dump-store DIR`: a store shown and checked while no broker uses it."""

import ctypes
import gzip
import itertools
import threading

import pytest
from support import processes
from support.broker import Broker
from support.store import Dump
from support.waiting import wait_until


@pytest.fixture
def broker(bench):
    return Broker(bench, store=bench.folder / "history", history_events=100).start()


def published(broker, count):
    """What the broker says of its history."""
    with broker.commands() as client:
        for n in range(count):
            client.publish("m", data={"n": n}, to={"sessions": [f"s{n}"]}, id=f"own-{n}",
                           **{"except": {"channels": ["c"]}})
        client.publish(text="two\nlines")
        return client.history(limit=1000)["events"]


def test_the_events_are_those_that_history_lists(broker):
    events = published(broker, 10)
    broker.stop()
    dump = Dump(broker.options["store"])
    assert dump.status == 0 and dump.events == events
    assert dump.summary == {
        "events": 11, "first": events[0]["seq"], "last": events[-1]["seq"],
        "trimmed": events[0]["seq"] - 1, "past_ids": 0, "kept": 0, "sound": True,
    }


def test_starts_and_what_was_trimmed_are_shown(broker):
    before = published(broker, 150)
    broker.restart()
    with broker.commands() as client:
        last = client.publish("m", text="after the restart")["seq"]
    broker.stop()
    dump = Dump(broker.options["store"])
    seqs = [e["seq"] for e in dump.events]
    # what is evicted goes with a later commit
    assert seqs[-100:] == [e["seq"] for e in before[1:]] + [last] and len(seqs) <= 102
    assert dump.summary["trimmed"] == seqs[0] - 1
    assert (before[-1]["seq"] < dump.starts[-1]["started_at"] < last
            and not dump.starts[-1]["incomplete"])


def test_a_dump_changes_nothing(broker, bench):
    published(broker, 10)
    broker.stop()
    file = bench.folder / "history" / "data.mdb"
    before = file.read_bytes()
    assert Dump(broker.options["store"]).status == 0
    assert file.read_bytes() == before


def test_a_store_in_use_is_left_alone(broker):
    dump = Dump(broker.options["store"])
    assert dump.status == 1 and "in use by another process" in dump.errors and not dump.events


_RDONLY = 0x20000


def copy_while_it_runs(store, to):
    """What mdb_copy does."""
    lmdb, env = ctypes.CDLL("liblmdb.so.0"), ctypes.c_void_p()
    assert lmdb.mdb_env_create(ctypes.byref(env)) == 0
    assert lmdb.mdb_env_open(env, str(store).encode(), _RDONLY, 0o600) == 0
    assert lmdb.mdb_env_copy(env, str(to).encode()) == 0
    lmdb.mdb_env_close(env)


def test_a_copy_made_while_events_are_stored_is_a_beginning_of_them(broker, bench):
    stop, acknowledged = threading.Event(), []

    def publish():
        with broker.commands() as client:
            for n in itertools.count():
                if stop.is_set():
                    return
                acknowledged.append(client.publish(
                    text=f"{n} " + "x" * 20000, key=f"k{n % 7}", id=f"own-{n}"
                )["seq"])

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        for n in range(5):
            wait_until(lambda n=n: len(acknowledged) > 40 * (n + 1), what="more events")
            copy, known = bench.folder / f"copy{n}", acknowledged[-1]
            copy.mkdir()
            copy_while_it_runs(broker.options["store"], copy)
            dump = Dump(copy)
            seqs = [e["seq"] for e in dump.events]
            assert dump.status == 0 and dump.summary["sound"]
            assert seqs == list(range(seqs[0], seqs[-1] + 1)) and seqs[-1] >= known
    finally:
        stop.set()
        thread.join()


def test_nothing_is_made_where_there_is_no_store(bench):
    dump = Dump(bench.folder / "nowhere")
    assert dump.status == 1 and "no store found" in dump.errors
    assert not (bench.folder / "nowhere").exists()


def test_a_damaged_store_is_said_to_be_so(broker, bench):
    published(broker, 10)
    broker.stop()
    file = bench.folder / "history" / "data.mdb"
    file.write_bytes(file.read_bytes().replace(b'{"n": 5}', b'{"n": 6}'))
    dump = Dump(broker.options["store"])
    assert dump.status == 1 and "is damaged" in dump.errors and dump.summary is None


# Stores that are kept (tests/data/stores)

KEPT = processes.ROOT / "tests" / "data" / "stores"


def kept(bench, name):
    """The kept store of this name, in a folder of its own."""
    folder = bench.subfolder(name)
    (folder / "data.mdb").write_bytes(gzip.decompress((KEPT / f"{name}.mdb.gz").read_bytes()))
    return folder


def test_a_store_of_the_current_format_is_read(bench):
    dump = Dump(kept(bench, "format-4"))
    assert dump.status == 0 and dump.summary["events"] == len(dump.events)
    assert (dump.events[-1]["data"] == '"after the restart"'
            and dump.events[-2]["event"] == "ssecast.shutdown")
    assert [e["data"] for e in dump.events if e.get("id") == "own-24"] == ['{"n": 24}']
    assert [(e["key"], e["data"]) for e in dump.kept] == [
        ("newest", '"kept"'), ("replaced", '"new"')
    ]


def test_a_broker_goes_on_with_a_kept_store(bench):
    # its events do not become younger
    broker = Broker(bench, store=kept(bench, "format-4"), history_age="3000d").start()
    with broker.commands() as client:
        assert [b["session"] for b in client.demand({"op": "bans"})["bans"]] == ["s1"]
        assert client.publish("m", data={"n": 24}, id="own-24")["duplicate"]
        assert [(e["key"], e["data"]) for e in client.demand({"op": "state"})["keys"]] == [
            ("newest", '"kept"'), ("replaced", '"new"')
        ]


@pytest.mark.parametrize("name, said", [
    ("format-2", "format 2, this program knows format 4"),
    ("format-3", "format 3, this program knows format 4"),
    ("damaged-format", "format 99, this program knows format 4"),
    ("damaged-entry", "is damaged"), ("damaged-cut", "is damaged"), ("damaged-page", "is damaged"),
    ("damaged-no-store", "damaged or no store"),
])
def test_another_format_and_damage_are_reported_and_nothing_is_changed(bench, name, said):
    folder = kept(bench, name)
    before = (folder / "data.mdb").read_bytes()
    dump = Dump(folder)
    assert dump.status == 1 and said in dump.errors and dump.summary is None
    assert (folder / "data.mdb").read_bytes() == before
