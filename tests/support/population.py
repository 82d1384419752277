"""Sessions that come and go in channels with presence, and pages that watch them.

    population = Population(site, seed, sessions=20)
    population.go()                    # streams open and close at random
    population.pause()
    population.wait_calm()             # every list of members is who is connected
    population.judge()                 # complaints (member_checker.py)

Some sessions stay: their streams end only by faults. Some open and close up to three streams, and
are away for less than the grace time or for more. Streams come through all web servers, so that one
session is at several workers.
"""

import json
import random
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from .checker import Diary
from .member_checker import Observer, Rules, Visit, changes_of, check_changes, publications
from .reader import wait_all_open
from .waiting import PATIENCE, wait_until

LONGEST = 2.0        # seconds of a fault, at a stretch of 1
HALLS = ["hall0", "hall1", "hall2"]
_PAUSE = 0.03        # seconds between two actions
_STREAMS = 3         # of a session at most
_KEPT = 120          # seconds for which visits are remembered


class _Session:
    """stays: it is never away of its own will."""

    def __init__(self, name, halls, stays):
        self.name, self.halls, self.stays = name, halls, stays
        self.streams, self.past, self.away_until = [], [], 0.0

    def visits(self, hall):
        if hall not in self.halls:
            return []
        return [Visit(*v) for reader in [*self.past, *self.streams] for v in reader.visits]


class Population:
    """site: with options(); webs: the web servers that streams come through. brokers: each one's
    list and log are compared. delay: seconds in which a broker learns of a stream without faults.
    outage: see member_checker.py. durable: the log outlives the broker."""

    def __init__(self, site, seed, webs, brokers, grace, lease, delay, outage, sessions=20,
                 durable=True):
        self.site, self.webs, self.brokers, self.durable = site, webs, brokers, durable
        self.rules, self.chance = Rules(grace, lease,
                                        delay, outage), random.Random(f"{seed} members")
        self.changes, self.before, self.counts, self.failure = [], set(), {
            "opened": 0, "left": 0, "reloaded": 0, "cut": 0
        }, None
        self.watching = [(self._open(f"watch{n}", [hall], keep_blocks=True),
                          Observer(f"watcher {n} of {hall}", hall).begin())
                         for n, hall in enumerate(HALLS * 2)]
        self.sessions = [_Session(f"watch{n}", [hall], True) for n, hall in enumerate(HALLS * 2)]
        for session, (reader, _) in zip(self.sessions, self.watching, strict=True):
            session.streams.append(reader)
        wait_all_open([reader for reader, _ in self.watching])
        self.sessions += [_Session(f"m{n}", self.chance.sample(HALLS, self.chance.randint(1, 2)),
                                   n % 4 == 0) for n in range(sessions)]
        self._going, self._stopping, self._turns = threading.Event(), False, 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @staticmethod
    def options(grace, lease):
        """Of the broker."""
        return {"presence_channels": "hall*", "presence_grace": f"{grace * 1000:.0f}ms",
                "worker_lease": f"{lease * 1000:.0f}ms"}

    def close(self):
        self._stopping = True
        self._thread.join()

    @property
    def watchers(self):
        return [reader for reader, _ in self.watching]

    def go(self):
        self._going.set()

    def pause(self):
        self._going.clear()
        turns = self._turns
        wait_until(lambda: self.failure or self._turns > turns + 1, what="the members rest")
        assert not self.failure, self.failure

    # Coming and going

    def _run(self):
        try:
            while not self._stopping:
                self._turns += 1
                if self._going.is_set():
                    self._act(self.chance.choice(self.sessions[len(self.watching):]))
                time.sleep(_PAUSE)
        except Exception as e:  # raised by the next wait
            self.failure = f"members: {e!r}"

    def _open(self, session, halls, **how):
        query = urllib.parse.urlencode({"session": session, "channels": ",".join(halls)})
        web = self.chance.choice(self.webs)
        return self.site.readers.open(f"{web.url}?{query}", reconnect=True, stubborn=True,
                                      retry=0.1, **how)

    def _act(self, session):
        draw = self.chance.random()
        if not session.streams:
            if session.away_until <= time.monotonic():
                self._come(session)
        elif draw < 0.1:
            self.chance.choice(session.streams).cut()
            self.counts["cut"] += 1
        elif len(session.streams) < _STREAMS and draw < 0.4:
            self._come(session)
        elif draw < 0.8 and (len(session.streams) > 1 or not session.stays):
            self._go_away(session)

    def _come(self, session):
        session.streams.append(self._open(session.name, session.halls))
        self.counts["opened"] += 1

    def _go_away(self, session):
        """Close one stream, or leave."""
        if len(session.streams) == 1:
            short = self.chance.random() < 0.5
            seconds = (self.chance.uniform(0, 0.3)
                       if short else self.rules.grace + self.chance.uniform(0, 2))
            session.away_until = time.monotonic() + seconds
            self.counts["reloaded" if short else "left"] += 1
        reader = session.streams.pop(self.chance.randrange(len(session.streams)))
        reader.close()
        session.past.append(reader)

    # What is there

    def connected(self, hall):
        return {s.name for s in self.sessions if hall in s.halls and s.streams}

    def _all_open(self):
        return all(reader.is_open for s in self.sessions for reader in s.streams)

    def listed(self, web, hall):
        """GET .../presence, or None while that is not answered."""
        try:
            with urllib.request.urlopen(
                f"{web.url}/presence?session=nobody&limit=1000&channel={hall}", timeout=10
            ) as answer:
                return {m["session"] for m in json.load(answer)["members"]}
        except (OSError, urllib.error.URLError):
            return None

    def wait_calm(self):
        """Every web server and every broker lists who is connected."""
        wait_until(self._all_open, 30, what="all streams are open")
        for hall in HALLS:
            expected = self.connected(hall)
            for web in self.webs:
                self._wait_list(lambda w=web, h=hall: self.listed(w, h), expected,
                                f"{web.name} and {hall}")
            for b in self.brokers:
                with b.commands() as client:
                    self._wait_list(lambda c=client, h=hall: self._of_broker(c, h), expected,
                                    f"{b.name} and {hall}")

    def _wait_list(self, ask, expected, what):
        seconds = 30 + self.rules.grace + self.rules.lease

        def difference():
            found = ask()
            return ("no answer" if found is None else f"missing {sorted(expected - found)}, "
                    f"too many {sorted(found - expected)}")

        wait_until(lambda: ask() == expected, seconds,
                   what=lambda: f"the members of {what}: {difference()}", pause=0.1)

    @staticmethod
    def _of_broker(client, hall):
        reply = client.try_ask({"op": "members", "channel": hall, "limit": 1000}, 5)
        return {m["session"] for m in reply["members"]} if reply and reply["ok"] else None

    # The judgement

    def learn(self, since):
        """Read the changes after this position. Complaints when brokers do not agree on them."""
        logs = [self._log(b, since) for b in self.brokers] if self.durable else [[]]
        self.new = logs[0]
        self.changes += self.new
        return [f"the brokers' logs differ in {sorted(set(logs[0]) ^ set(other))[:5]}"
                for other in logs[1:] if other != logs[0]]

    def _log(self, broker, since):
        found = set()
        with broker.commands() as client:
            for hall in HALLS:
                after, more = since, True
                while more:
                    page = client.demand({"op": "history", "channel": hall, "since": after,
                                          "limit": 1000}, timeout=20)
                    found.update(changes_of(page["events"]))
                    more, after = (page["more"],
                                   page["events"][-1]["seq"] if page["events"] else after)
        return sorted(found)

    def publications(self):
        return publications(self.changes)

    def diaries(self, start):
        """What the watchers saw since the last time."""
        out = []
        for reader, observer in self.watching:
            blocks = reader.decoder.blocks
            self.site.readers.call(lambda r=reader: setattr(r.decoder, "blocks", []))
            seen = observer.read(blocks, self.changes)
            if not self.durable:
                seen = [b for b in seen if not b.data.endswith(" change")]
            out.append(Diary(observer.name, "watch", [observer.channel], seen, start))
        return out

    def judge(self, stretch):
        """Complaints about the changes that learn() has read. While a fault lasts, reports wait."""
        rules = Rules(self.rules.grace, self.rules.lease,
                      self.rules.slack * PATIENCE + LONGEST * stretch, self.rules.outage * PATIENCE)
        visits = {(hall, s.name): s.visits(hall) for s in self.sessions for hall in s.halls}
        complaints = check_changes(self.new, visits, rules, self.before) if self.durable else []
        for _, observer in self.watching:
            complaints += observer.complaints
            if observer.view != self.connected(observer.channel):
                complaints.append(f"{observer.name} shows {sorted(observer.view)}, "
                                  f"connected are {sorted(self.connected(observer.channel))}")
            observer.complaints = []
        self.before = {(hall, s) for hall in HALLS for s in self.connected(hall)}
        self._forget()
        return complaints

    def _forget(self):
        for s in self.sessions:
            s.past = [r for r in s.past if r.visits
                      and (r.visits[-1][2] or 0) > time.time() - _KEPT]
