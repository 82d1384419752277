"""Our stream, read by readers that others wrote: eight packages from npm, and curl. (Browsers:
test_95. Debian 12 packages no SSE client for Python.) docs/clients.md says what is found here."""

import collections
import contextlib
import itertools
import json
import re
import subprocess

import pytest
from support import node, processes
from support.bench import Bench
from support.relay import Relay
from support.site import Site
from support.sse import Decoder
from support.waiting import never, wait_until

NOT_READERS = {"typescript"}
PACKAGES = (
    json.loads((processes.ROOT / "tests" / "node" / "package.json").read_text())["dependencies"]
)
READERS = sorted(PACKAGES.keys() - NOT_READERS)
NAMES = ["message", "greeting", "ssecast.gap", "ssecast.shutdown"]
TEXTS = ["plain", "two\nlines", "", "\n\n", " leading and trailing ", "ä € 𝄞 \u2028",
         "id: 7\nevent: forged\n\ndata: x", "x" * 100000]


class Node:
    """One process for the readers of all tests."""

    def __init__(self, bench):
        self._program = processes.Program(
            "readers", [node.program("node"), node.installed("tests/node") / "read.mjs"],
            bench.folder, env=processes.clean_environment(), ours=False
        )
        bench.adopt(self._program).start(stdin=subprocess.PIPE)
        self._log, self._rest = open(self._program.logs[0], "rb"), b""
        self._lines = collections.defaultdict(list)

    def tell(self, **what):
        self._program.process.stdin.write(json.dumps(what).encode() + b"\n")
        self._program.process.stdin.flush()

    def lines(self, number):
        """Those of a reader that are complete."""
        *lines, self._rest = (self._rest + self._log.read()).split(b"\n")
        for line in lines:
            whose, _, text = line.decode().partition(" ")
            self._lines[whose].append(text)
        return self._lines[str(number)]

    def close(self):
        self._program.expected_end = True
        self._program.process.stdin.close()
        self._log.close()


class Reader:
    def __init__(self, node, number, package, url, names):
        self._node, self._number = node, number
        node.tell(number=number, reader=package, url=url, types=names)
        self.wait_open()

    def lines(self):
        return self._node.lines(self._number)

    def events(self):
        return [tuple(json.loads(line)) for line in self.lines() if line.startswith("[")]

    def wait_open(self, times=1):
        wait_until(lambda: self.lines().count("open") >= times,
                   what=lambda: f"open {times} times: {self.lines()[-5:]}")

    def wait_for(self, count):
        return wait_until(lambda: len(e := self.events()) >= count and e,
                          what=lambda: f"{count} events, have {len(self.events())}")

    def close(self):
        self._node.tell(number=self._number)


@pytest.fixture(scope="module")
def threads(bench_of_all):
    return bench_of_all.closing(Node(bench_of_all))


@pytest.fixture(params=READERS)
def package(request):
    return request.param


_numbers = itertools.count(1)


@pytest.fixture
def read(package, threads):
    """A function that starts a reader with that package."""
    with contextlib.ExitStack() as started:
        yield lambda url, names=NAMES: started.enter_context(
            contextlib.closing(Reader(threads, next(_numbers), package, url, names))
        )


@pytest.fixture(scope="module")
def lone():
    """A site with a single worker, for all packages."""
    with Bench() as b:
        yield Site(b)


@pytest.fixture(scope="module")
def small():
    """A site that keeps little, for all packages."""
    with Bench() as b:
        yield Site(b, broker={"history_events": 50},
                   worker={"heartbeat": "300ms", "window_bytes": "64K"})


def to(session):
    return {"sessions": [session]}


def as_seen(package, text):
    """JSON, which has no line breaks and begins with no space, is safe."""
    if package == "event-source-plus":
        return text.split("\n")[-1].strip()
    if package == "@microsoft/fetch-event-source":
        return text.lstrip("\n")
    return text


def test_events_of_all_kinds(site, session, package, read):
    reader = read(site.url(session))
    wanted = []
    for text in TEXTS:
        wanted.append(
            ("message", as_seen(package, text), str(site.publish(text=text, to=to(session))["seq"]))
        )
        wanted.append(("greeting", json.dumps({"text": text}),
                       str(site.publish("greeting", data={"text": text}, to=to(session))["seq"])))
    own = site.publish(text="with an id of its own", to=to(session), id=f"own-{session}")
    assert own["ok"]
    wanted.append(("message", "with an id of its own", f"own-{session}"))
    assert reader.wait_for(len(wanted)) == wanted


def test_one_that_was_cut_resumes_exactly(site, session, read):
    with Relay(site.web.port) as relay:
        reader = read(site.url(session).replace(site.web.origin, relay.url))
        ids = []
        for round in range(3):
            ids += [str(site.publish(data=n, to=to(session))["seq"]) for n in range(20)]
            reader.wait_for(len(ids))
            relay.cut()
            ids += [str(site.publish(data=n, to=to(session))["seq"]) for n in range(20)]
            reader.wait_open(round + 2)
        assert [e[2] for e in reader.wait_for(len(ids))] == ids


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_a_client_whose_worker_stops_misses_nothing(site, session, read, end):
    """One worker after the other. A request that no worker takes is answered 503, on which an
    EventSource gives up."""
    reader = read(site.url(session))
    ids = []
    for worker in site.workers:
        ids.append(str(site.publish(data=1, to=to(session))["seq"]))
        if end == "restart":
            worker.restart()
        else:
            worker.kill()
            ids.append(str(site.publish(data=2, to=to(session))["seq"]))
            worker.start()
        wait_served(site, worker)
        ids.append(str(site.publish(data=3, to=to(session))["seq"]))
    assert [e[2] for e in reader.wait_for(len(ids))] == ids


def wait_served(site, worker):
    """Until lighttpd gives requests to this worker. For a moment after it was away it does not."""
    def is_served():
        site.request(session="probe")
        return any(f"-{worker.pid}-" in w["worker"] and w["streams_opened"]
                   for w in site.commands.workers())

    wait_until(is_served, what="lighttpd knows the worker again")


GIVE_UP = {"event-source-polyfill", "eventsource", "undici"}


def test_one_that_is_answered_503(lone, session, package, read):
    """While the only worker is away. What an EventSource does then is to give up."""
    site = lone
    wait_served(site, site.worker)
    with Relay(site.web.port) as relay:
        reader = read(site.url(session).replace(site.web.origin, relay.url))
        site.worker.kill()
        wait_until(lambda: b"HTTP/1.1 503 " in relay.sent_down(), what="a 503")
        asked = len(relay.requests("/sse"))
        site.worker.start()
        seq = site.publish(data=1, to=to(session))["seq"]
        if package in GIVE_UP:
            never(lambda: len(relay.requests("/sse")) > asked, 2, what="another request")
        else:
            assert reader.wait_for(1) == [("message", "1", str(seq))]


# Readers that drop the id of a block without data: most of them do

def test_one_that_received_nothing_misses_nothing_when_its_web_server_dies(site, session, read):
    reader = read(site.url(session), ["ssecast.checkpoint", "message"])
    [begin] = reader.wait_for(1)
    assert begin[0] == "ssecast.checkpoint" and json.loads(begin[1])["heartbeat"] == 15000
    site.web.kill()
    ids = [str(site.publish(data=n, to=to(session))["seq"]) for n in range(3)]
    site.web.start()
    ids.append(str(site.publish(data=3, to=to(session))["seq"]))
    of = lambda name: [e[2] for e in reader.events() if e[0] == name]  # noqa: E731
    wait_until(lambda: len(of("message")) == 4 and len(of("ssecast.checkpoint")) > 1,
               what=lambda: f"all, have {reader.events()}")
    assert of("message") == ids


def test_a_rarely_addressed_page_gets_no_gap(small, session, read):
    site = small
    with Relay(site.web.port) as relay:
        reader = read(site.url(session).replace(site.web.origin, relay.url),
                      ["ssecast.checkpoint", "ssecast.gap", "message"])
        site.publish(data="first", to=to(session))
        for n in range(100):  # more than broker or window hold
            seq = site.publish(text="x" * 1000, to={"sessions": ["another"]})["seq"]
        wait_until(lambda: reader.events() and int(reader.events()[-1][2]) >= seq,
                   what=lambda: f"a checkpoint at {seq}")
        relay.cut()
        site.publish(data="second", to=to(session))
        wait_until(lambda: reader.events()[-1][1] == '"second"',
                   what=lambda: f"the second event, have {reader.events()[-1]}")
        assert [e[1] for e in reader.events() if e[0] != "ssecast.checkpoint"] == [
            '"first"', '"second"'
        ]


def test_our_own_events(site, session, read):
    first = site.publish(data=1, to=to(session))["seq"]
    reader = read(site.url(session, lastEventId="unknown"))
    gap, event = reader.wait_for(2)
    assert gap[0] == "ssecast.gap" and json.loads(gap[1])["last"] == "unknown"
    assert event == ("message", "1", str(first))
    site.commands.shutdown(sessions=[session], reason="logout", block=0)
    assert reader.wait_for(3)[2][:2] == ("ssecast.shutdown", '{"reason":"logout"}')


def test_a_client_whose_session_is_shut_down_stays_away(site, session, package, read):
    """Three packages do so because read.mjs looks for the 204. One does not."""
    with Relay(site.web.port) as relay:
        reader = read(site.url(session).replace(site.web.origin, relay.url))
        site.commands.shutdown(sessions=[session], reason="logout", block=60)
        reader.wait_for(1)
        wait_until(lambda: b"HTTP/1.1 204 " in relay.sent_down(), what="a 204")
        asked = len(relay.requests("/sse"))
        if package == "event-source-polyfill":
            # a 204 without a body is a network error for it
            relay.wait_for_requests("/sse", asked + 1)
            return
        never(lambda: len(relay.requests("/sse")) > asked, 2, what="another request")


def test_each_package_is_in_the_documentation_with_its_version():
    text = (processes.ROOT / "docs" / "clients.md").read_text()
    documented = dict(re.findall(r"^\| `([^`]+)` +\| ([0-9.]+) ", text, re.M))
    assert documented == {name: PACKAGES[name] for name in READERS}


def test_curl(site, session):
    """As it comes off the wire, and without buffering: each event is there before the next is
    published."""
    curl = subprocess.Popen([node.program("curl"), "-sN", site.url(session)],
                            stdout=subprocess.PIPE)
    try:
        decoder, events = Decoder(), []

        def read_until(condition):
            while not condition():
                events.extend(decoder.feed(curl.stdout.read1(65536)))
        read_until(lambda: decoder.last_event_id)
        for n, text in enumerate(TEXTS, 1):
            site.publish(text=text, to=to(session))
            read_until(lambda: len(events) >= n)
        assert [e.data for e in events] == TEXTS
    finally:
        curl.kill()
        curl.wait()
        curl.stdout.close()
