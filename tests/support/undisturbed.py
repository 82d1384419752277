"""Streams that go on while something else happens, and the proof that they did.

    with Undisturbed(site):
        attack()

At the end every reader has seen every event once, in order, on one connection, and none came late.
"""

import threading
import time

from .checker import Diary, Publication, check
from .reader import wait_all, wait_all_open
from .waiting import PATIENCE, wait_until

LATE = 4.0 * PATIENCE  # seconds from publishing to reading; the machine is shared with the attack


class Undisturbed:
    """readers: how many, half of them in a channel of their own; rate: events a second. late:
    seconds that an event may take."""

    def __init__(self, site, readers=20, rate=50, late=LATE):
        self.site, self.count, self.rate, self.late = site, readers, rate, late
        self.publications, self.sent_at, self.failure = [], {}, None
        self._stopping = threading.Event()

    def __enter__(self):
        self.name = f"calm-{time.monotonic_ns()}"
        rooms = [[self.name] if n % 2 else [] for n in range(self.count)]
        self.readers = [self.site.start_open(f"{self.name}-{n}", room, keep_blocks=True)
                        for n, room in enumerate(rooms)]
        wait_all_open(self.readers)
        self.rooms = rooms
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._thread.start()
        wait_until(lambda: len(self.publications) >= 5 or self.failure, what="publishing has begun")
        return self

    def __exit__(self, kind, *_):
        self._stopping.set()
        self._thread.join()
        try:
            if kind is None:
                self._judge()
        finally:
            for reader in self.readers:
                reader.close()

    def _publish(self):
        try:
            with self.site.broker.commands() as client:
                n = 0
                while not self._stopping.is_set():
                    self._publish_one(client, n)
                    n += 1
                    time.sleep(1 / self.rate)
        except Exception as e:  # seen by _judge()
            self.failure = repr(e)

    def _publish_one(self, client, n):
        to = None if n % 3 else {"channels": [self.name]}
        p = Publication(f"{self.name}/{n}", to=to)
        self.publications.append(p)
        self.sent_at[p.key] = time.monotonic()
        p.acknowledge(client.publish("m", text=p.key, **({"to": to} if to else {}))["seq"])

    def _judge(self):
        assert not self.failure, self.failure
        end = max(p.seq for p in self.publications if p.to is None)
        wait_all(self.readers, lambda r: any(b.id == str(end) for b in r.decoder.blocks[-10:]),
                 "the last event")
        last = max(p.seq for p in self.publications)
        wait_all([r for r, room in zip(self.readers, self.rooms, strict=True) if room],
                 lambda r: any(b.id == str(last) for b in r.decoder.blocks[-10:]),
                 "the last event of the channel")
        diaries = [Diary(f"reader {n}", f"{self.name}-{n}", room, self._own_blocks(reader))
                   for n, (reader, room) in enumerate(zip(self.readers, self.rooms, strict=True))]
        verdict = check(self.publications, diaries, end)
        assert not verdict.complaints, "\n".join(verdict.complaints)
        assert [r.opens for r in self.readers] == [1] * self.count
        slowest = max(b.at - self.sent_at[b.data] for d in diaries for b in d.blocks
                      if b.type == "m")
        assert slowest < self.late, f"an event took {slowest:.2f} s"

    def _own_blocks(self, reader):
        """Others may publish to everyone meanwhile."""
        return [b for b in list(reader.decoder.blocks) if b.type is None
                or b.type.startswith("ssecast.") or b.data in self.sent_at]
