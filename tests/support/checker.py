"""Judges what readers saw by what publishers know. Records in, complaints out: no socket, no clock.

A publisher keeps a Publication for each event, with what became of it: acknowledged (it has a seq,
and must reach each reader that it concerns), refused (nobody may ever see it), or unknown (no
answer came: it may appear, but then to all concerned). A reader keeps a Diary: every block of its
streams in the order of their arrival, over all of its connections.

What each diary must show: every event that concerns its reader exactly once and in the order of the
seqs, from where its first stream began to the end; and no checkpoint that is ahead of what was
sent. Only an `ssecast.gap` excuses what is missing, and no more of it than lies before the
checkpoint that follows it.

An event with a key (`replaces`) may be missing when a later one with this key, which concerns the
reader as well, is there: a reader that is behind may be sent the newest only. It comes in order all
the same, so that nobody sees an older value after a newer one. A value that follows a gap or that a
stream begins with may have no `id:` line of its own.
"""

import bisect
import itertools
import json

ACKNOWLEDGED, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"

_AT_MOST = 5  # complaints about one reader


class Publication:
    """An event as its publisher knows it. to and without are the request's `to` and `except`; key
    begins the event's text; replaces is the request's `key`. private: no channel of `to` brings it
    to a reader, because readers have no token."""

    __slots__ = ("key", "own_id", "to", "without", "fate", "seq", "replaces", "private")

    def __init__(self, key, own_id=False, to=None, without=None, fate=UNKNOWN, seq=None,
                 replaces=None, private=False):
        self.key, self.own_id, self.to, self.without, self.fate, self.seq = (
            key, own_id, to, without, fate, seq
        )
        self.replaces, self.private = replaces, private

    @property
    def place(self):
        """Where one event replaces another: its key and its target, of which it is a part whether
        it is private."""
        return self.replaces, json.dumps(self.to, sort_keys=True), self.private

    def acknowledge(self, seq):
        """The broker's ok. What is wrong with it, or None: a second one has to name the same
        seq."""
        if self.seq is not None and self.seq != seq:
            return f"{self.key}: acknowledged as {self.seq} and as {seq}"
        self.fate, self.seq = ACKNOWLEDGED, seq
        return None

    def concerns(self, session, channels):
        named = self.to is None or _names(self.to, session, () if self.private else channels)
        return named and not (self.without and _names(self.without, session, channels))

    @property
    def id(self):
        """What its `id:` line says."""
        return self.key if self.own_id else str(self.seq)

    def __repr__(self):
        return f"{self.key} (seq {self.seq}, {self.fate})"


def _names(target, session, channels):
    return (session in target.get("sessions", ())
            or any(c in channels for c in target.get("channels", ())))


class Diary:
    """What one reader saw. blocks: as sse.Decoder keeps them; type is None for a checkpoint. start:
    the seq after which its reading begins, None when its first block says so."""

    def __init__(self, name, session, channels, blocks, start=None):
        self.name, self.session, self.channels, self.blocks, self.start = (
            name, session, frozenset(channels), blocks, start
        )


class Verdict:
    def __init__(self):
        self.complaints = []
        self.deliveries = self.gaps = self.expected = 0

    def __str__(self):
        return (f"{self.deliveries} deliveries of {self.expected} events, {self.gaps} gaps, "
                f"{len(self.complaints)} complaints")


def key_of(block):
    """Which publication an event is."""
    return block.data.partition(" ")[0]


def check(publications, diaries, end, gaps_allowed=False):
    """A Verdict. end: the seq of the last event that everybody must have come to, one for
    everybody."""
    verdict, known = Verdict(), {p.key: p for p in publications}
    _learn_from_readers(known, diaries, verdict.complaints)
    facts = _Facts(known, verdict.complaints)
    verdict.expected = len(facts.in_order)
    for diary in diaries:
        walk = _Walk(facts, diary, gaps_allowed)
        walk.all(end)
        verdict.complaints += [f"{diary.name}: {c}" for c in walk.complaints[:_AT_MOST]]
        verdict.deliveries += walk.deliveries
        verdict.gaps += walk.gaps
    return verdict


def _learn_from_readers(known, diaries, complaints):
    """The seqs of unacknowledged events that one stream got: every other stream must get them
    too."""
    for block in itertools.chain.from_iterable(d.blocks for d in diaries):
        if block.type != "m":
            continue
        p = known.get(key_of(block))
        if p and p.fate == UNKNOWN and p.seq is None:
            if block.id.isdigit():
                p.seq = int(block.id)
            else:
                complaints.append(f"{p}: seen, and its publisher could not learn its seq")


class _Facts:
    """What happened, as far as it is certain."""

    def __init__(self, known, complaints):
        self.known = known
        self.in_order = sorted((p for p in known.values() if p.seq is not None),
                               key=lambda p: p.seq)
        for a, b in itertools.pairwise(self.in_order):
            if a.seq == b.seq:
                complaints.append(f"{a} and {b} have the same seq")
        self._by_audience = {}
        self._newest = {p.place: p.seq for p in self.in_order if p.replaces}

    def is_replaced(self, p):
        """A later event has its key."""
        return bool(p.replaces) and p.seq < self._newest[p.place]

    def seq_of_id(self, text):
        """The seq that an `id:` line means, or None."""
        if text.isdigit():
            return int(text)
        p = self.known.get(text)
        return p.seq if p else None

    def concerning(self, diary):
        """Those that this reader must see, in order, and their seqs."""
        audience = (diary.session, diary.channels)
        if audience not in self._by_audience:
            mine = [p for p in self.in_order if p.concerns(*audience)]
            self._by_audience[audience] = mine, [p.seq for p in mine]
        return self._by_audience[audience]


class _Walk:
    """Through one diary. position: the seq up to which everything that concerns the reader was
    sent."""

    def __init__(self, facts, diary, gaps_allowed):
        self.facts, self.diary, self.gaps_allowed = facts, diary, gaps_allowed
        self.mine, self.seqs = facts.concerning(diary)
        self.position, self.seen, self.after_gap = diary.start, set(), False
        self.state = 0    # the seq of the last value before a checkpoint
        self.deliveries = self.gaps = 0
        self.complaints = []

    def complain(self, text):
        self.complaints.append(text)

    def all(self, end):
        for block in self.diary.blocks:
            if block.type == "ssecast.gap":
                self._gap(block)
            elif block.type == "ssecast.shutdown":
                pass  # it ends a connection, and has no place among what is published
            elif block.type is None:
                self._checkpoint(block)
            else:
                self._event(block)
        if self.position is None:
            self.complain("its stream never began")
        else:
            self._missing_before(end + 1, "before the end")

    def _gap(self, block):
        self.gaps += 1
        self.after_gap = True
        if not self.gaps_allowed:
            self.complain(f"was told of a gap where nothing is lost: {block.data}")

    def _checkpoint(self, block):
        seq = self.facts.seq_of_id(block.id)
        if seq is None:
            self.complain(f"checkpoint {block.id!r} is no id that was given out")
        elif self.position is None or self.after_gap:
            self.position, self.after_gap, self.state = seq, False, 0
            self.seen.difference_update([s for s in self.seen if s > seq])
        elif seq < self.position:
            self.complain(f"checkpoint {block.id} goes back behind {self.position}")
        else:
            self._missing_before(seq + 1, f"and checkpoint {block.id} is ahead of it")
            self.position = seq

    def _event(self, block):
        self.deliveries += 1
        p = self.facts.known.get(key_of(block))
        if not p:
            self.complain(f"saw {block.type} {block.data[:60]!r}, which nobody published")
        elif p.fate == REFUSED:
            self.complain(f"saw {p}, which was refused")
        elif block.id != p.id and not self._is_state(p):
            self.complain(f"saw {p} with the id {block.id}")
        elif not p.concerns(self.diary.session, self.diary.channels):
            self.complain(f"saw {p}, which does not concern it")
        elif self._is_state(p):
            self._in_state(p)
        else:
            self._in_order(p)

    def _is_state(self, p):
        """Before its first checkpoint a stream is sent the values of its keys, which are no place
        to go on from."""
        return bool(p.replaces) and (self.position is None or self.after_gap)

    def _in_state(self, p):
        if p.seq <= self.state:
            self.complain(f"saw {p} out of order, after {self.state}")
        self.state = p.seq

    def _in_order(self, p):
        if p.seq in self.seen:
            self.complain(f"saw {p} twice")
        elif self.position is not None and p.seq <= self.position:
            self.complain(f"saw {p} out of order, after {self.position}")
        else:
            self._missing_before(p.seq, f"and then came {p}")
            self.position = p.seq
        self.seen.add(p.seq)

    def _missing_before(self, seq, what):
        """Complain about what lies between the position and seq."""
        if self.position is None:
            return
        first, last = bisect.bisect_right(self.seqs,
                                          self.position), bisect.bisect_left(self.seqs, seq)
        missing = [p for p in self.mine[first:last] if not self.facts.is_replaced(p)]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            self.complain(f"did not see {missing[0]}{more} after {self.position}, {what}")
