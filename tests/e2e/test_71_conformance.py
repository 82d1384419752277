"""Decoders against the standard's text: ours, those of the tests, the browser's, and Node's."""

import json
import subprocess

import pytest
from support import node, processes
from support.cli import Cli
from support.sse import Decoder
from support.vectors import Player, vectors
from support.waiting import TIMEOUT, wait_until

VECTORS = vectors()
TYPES = sorted({type for v in VECTORS for type, _, _ in v.events} | {"message"})
each_vector = pytest.mark.parametrize("number", range(len(VECTORS)), ids=[v.name for v in VECTORS])

# Where a reader that is not ours departs from the standard, and how.
_LAST_CR = "a CR at the end of what has come is kept back, in case an LF follows"
_NO_DATA = "the id of a block without data is dropped"
_PARSER = {
    "lines end with CR": _LAST_CR,
    "a block without data moves the id": _NO_DATA,
    "an id with NUL is none": _NO_DATA,
}
DEPARTS = {
    "parser": _PARSER,
    "eventsource": {**_PARSER, "an id outlives its block":
                        "lastEventId is empty for an event without an id line"},
}


@pytest.fixture(scope="module")
def player():
    with Player(VECTORS, page="<!doctype html>") as player:
        yield player


def cursor_sent(player, key):
    return wait_until(lambda: key in player.cursors and [player.cursors[key]],
                      what="the last request")[0].strip()


def as_sent(cursor):
    """Around a header's value, spaces are lost on the way."""
    return cursor.strip(" ")


# Ours

@each_vector
def test_the_command_line_reads_every_vector(player, number):
    v = VECTORS[number]
    with Cli(endpoint="ipc://unused").tail(f"{player.url}/{number}?cli-{number}", "--json") as tail:
        done = tail.finish().check()
    events = [json.loads(line) for line in done.out.split("\n") if line]
    assert [(e["event"], e["data"], e["id"]) for e in events] == v.events
    assert cursor_sent(player, f"cli-{number}") == as_sent(v.cursor)
    if v.retry:
        assert f"reconnecting in {v.retry / 1000:g} s" in done.err


@each_vector
def test_the_decoder_of_the_tests(number):
    v = VECTORS[number]
    for cut in range(len(v.body) + 1):
        decoder = Decoder()
        events = decoder.feed(v.body[:cut]) + decoder.feed(v.body[cut:])
        assert [e[:3] for e in events] == v.events, cut
        assert (decoder.last_event_id, decoder.retry) == (v.cursor, v.retry), cut


# Others

@pytest.fixture(scope="module")
def seen_by_chromium(player, shared_chromium):
    """What each vector became."""
    browser = shared_chromium.take()
    browser.goto(player.url)
    sources = [browser.listen(f"/{n}?chromium-{n}", names=[t for t in TYPES if t != "message"])
               for n in range(len(VECTORS))]
    for source in sources:
        source.wait_closed()
    yield [source.events() for source in sources]
    shared_chromium.give_back()


@each_vector
def test_chromium_reads_every_vector(player, seen_by_chromium, number):
    v = VECTORS[number]
    assert [(e["type"], e["data"], e["id"]) for e in seen_by_chromium[number]] == v.events
    assert cursor_sent(player, f"chromium-{number}") == as_sent(v.cursor)


def run_node(reader, player):
    place = node.installed("tests/node")
    urls = [f"{player.url}/{n}?{reader}-{n}" for n in range(len(VECTORS))]
    done = subprocess.run([node.program("node"), "vectors.mjs", reader, ",".join(TYPES), *urls],
                          cwd=place, capture_output=True, text=True,
                          timeout=3 * TIMEOUT, env=processes.clean_environment())
    assert done.returncode == 0, done.stderr
    return [[tuple(e) for e in json.loads(line)] for line in done.stdout.rstrip("\n").split("\n")]


@pytest.fixture(scope="module")
def seen_by_eventsource(player):
    return run_node("eventsource", player)


@pytest.fixture(scope="module")
def seen_by_parser(player):
    return run_node("parser", player)


def compare(reader, seen, number):
    v = VECTORS[number]
    why = DEPARTS[reader].get(v.name)
    if why and seen[number] != v.events:
        pytest.xfail(why)
    assert seen[number] == v.events


@each_vector
def test_node_s_eventsource(seen_by_eventsource, number):
    compare("eventsource", seen_by_eventsource, number)


@each_vector
def test_node_s_eventsource_parser(seen_by_parser, number):
    compare("parser", seen_by_parser, number)
