"""Mixes of events that fill a history, and what memory broker and worker take for them."""

import itertools
import json
import pathlib

from .commands import Commands
from .waiting import wait_until

LIMIT = 16 << 20    # history-bytes and window-bytes
# beside the history: programs, libraries, sockets, and the largest request while it is parsed
BASE = 16 << 20
FACTOR = 1.5        # of the limit, at most; memory is below FACTOR * LIMIT + BASE
UNDER_WAY = 20      # events
ON_THE_FEED = 4 << 20    # bytes that the worker may be behind


def _names(first, count, length):
    return [f"{first + i:0{length}d}"[-255:] for i in range(count)]


def tiny(n):
    return {"event": "m", "text": ""}


def distinct_names(count, length):
    return lambda n: {"event": "m", "data": 0, "to": {"sessions": _names(n * count, count, length)}}


def same_names(count):
    return lambda n: {"event": "m", "data": 0, "to": {"channels": _names(0, count, 6)}}


def long_ids(n):
    return {"event": "m", "data": 0, "id": f"id-{n:0252d}"}


def large(size):
    return lambda n: {"event": "m", "text": "x" * size}


def by_turns(*makers):
    return lambda n: makers[n % len(makers)](n)


def in_phases(length, *makers):
    """A number of events of one kind, then of the next."""
    return lambda n: makers[n // length % len(makers)](n)


# name -> (event n, how many): more than a history of LIMIT holds
MIXES = {
    "65,535 names of 7 bytes each": (distinct_names(65_535, 7), 8),
    "large and small by turns": (by_turns(large(100_000), tiny, distinct_names(20, 9)), 1_200),
    "own ids of 255 bytes": (long_ids, 24_000),
    "4,000 names of 255 bytes each": (distinct_names(4_000, 255), 30),
    "tiny events to everyone": (tiny, 110_000),
    "a name of its own each": (distinct_names(1, 12), 60_000),
    "the same name": (same_names(1), 90_000),
    "the same 500 names": (same_names(500), 4_000),
    "large events": (large(900_000), 60),
    "names and large events in phases": (in_phases(300, distinct_names(200, 30), large(60_000)),
                                         2_400),
}


def publish(client, make, count, catch_up):
    """Event by event, a few under way at a time. catch_up() waits for the worker: what waits in
    sockets is not what is measured."""
    numbers, behind = iter(range(count)), 0
    while chunk := list(itertools.islice(numbers, UNDER_WAY)):
        events = [make(n) for n in chunk]
        client.publish_many(events)
        behind += len(json.dumps(events))
        if behind > ON_THE_FEED:
            catch_up()
            behind = 0
    catch_up()


def own_memory(program):
    """Bytes of memory it has of its own: files that it has mapped (a store) do not count."""
    for line in (
        pathlib.Path(f"/proc/{program.pid}/status").read_text(encoding="ascii").splitlines()
    ):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")


def measure(broker, worker, mix):
    """{"broker": bytes, "worker": bytes} after the mix, and what each counts."""
    make, count = MIXES[mix]
    with Commands(broker.endpoint("commands")) as client:
        publish(client, make, count, lambda: wait_until(
            lambda: [w["position"] for w in client.ask({"op": "workers"})["workers"]] == [
                client.stats()["history_head"]
            ], what="the worker has everything"))
        counted = client.stats()["history_bytes"]
    return {"broker": own_memory(broker), "worker": own_memory(worker), "counted": counted}
