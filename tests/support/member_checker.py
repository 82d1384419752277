"""Judges the members of channels. Records in, complaints out: no socket, no clock.

Three records are compared: the changes that the log has (`ssecast.join` and `ssecast.leave`), the
visits of the clients (when each stream was tried, open and over), and what subscribers of a channel
saw. All times are unix time in seconds.

Of each session in a channel the changes must alternate, beginning with a join. Each of them needs a
reason. A session that had a stream within the grace time may not leave, and a session without a
stream may not join. A client and the broker do not see a stream open and end at the same moment.
`slack` is how much later the broker may learn it.
"""

import collections
import json

from .checker import ACKNOWLEDGED, Publication
from .sse import Event

JOIN, LEAVE = "ssecast.join", "ssecast.leave"

Change = collections.namedtuple("Change", "seq at channel session came")
# opened: None when it never was; over: None while it lasts
Visit = collections.namedtuple("Visit", "tried opened over")

_EVER = float("inf")
_CLOCK = 0.01        # seconds: the log has milliseconds, and a stream may be a member within one


def changes_of(history):
    """Changes, of the events that the verb `history` lists."""
    return [Change(e["seq"], e["at"] / 1000, e["to"]["channels"][0],
                   json.loads(e["data"])["session"], e["event"] == JOIN)
            for e in history if e.get("event") in (JOIN, LEAVE)]


class Rules:
    """grace: presence-grace. lease: worker-lease. slack: seconds; so large a slack that it makes
    the grace time void excuses every leave. outage: seconds for which the log may take nothing."""

    def __init__(self, grace, lease, slack, outage=1):
        self.grace, self.lease, self.slack, self.outage = grace, lease, slack, outage


def check_changes(changes, visits, rules, before=()):
    """Complaints. visits: {(channel, session): [Visit]}. before: the pairs (channel, session) that
    were members."""
    here, complaints = set(before), []
    for c in sorted(changes):
        pair = c.channel, c.session
        if c.came == (pair in here):
            complaints.append(f"{_told(c)} twice")
        (here.add if c.came else here.discard)(pair)
        why_not = _join_fault if c.came else _leave_fault
        complaint = why_not(c, visits.get(pair, ()), rules)
        if complaint:
            complaints.append(f"{_told(c)}, {complaint}")
    return complaints + [m for pair in visits
                         for m in _missed(pair, changes, visits[pair], rules, pair in before)]


def _told(c):
    return f"{c.session} {'joined' if c.came else 'left'} {c.channel} (seq {c.seq}, {c.at:.3f})"


def _end(visit):
    return _EVER if visit.over is None else visit.over


def _join_fault(c, visits, rules):
    """A worker that died keeps its streams for a lease."""
    first = c.at - rules.slack - rules.lease
    if not any(v.tried <= c.at + _CLOCK and _end(v) >= first for v in visits):
        return f"and had no stream; it tried at {[round(v.tried, 4) for v in visits]}"
    return None


def _leave_fault(c, visits, rules):
    """Streams that were open in the grace time, so early that the broker knew it, and so late that
    it had to wait."""
    first, last = c.at - rules.grace + rules.slack, c.at - rules.slack
    for v in visits:
        if first <= last and v.opened is not None and v.opened <= last and _end(v) >= first:
            return f"and had a stream from {v.opened:.3f} to {_end(v):.3f}"
    return None


def _missed(pair, changes, visits, rules, before):
    """A session that had streams for long, without a pause, has joined."""
    mine = sorted(c for c in changes if (c.channel, c.session) == pair)
    for begin, end in _merged(visits):
        if end != _EVER and end - begin > 2 * rules.slack + rules.outage:
            earlier = [c.came for c in mine if c.at <= end]
            if not (earlier[-1] if earlier else before):
                yield (f"{pair[1]} had a stream in {pair[0]} for {end - begin:.3f} s until "
                       f"{end:.3f}, and is no member")


def _merged(visits):
    """The times in which a stream was open."""
    out = []
    for begin, end in sorted((v.opened, _end(v)) for v in visits if v.opened is not None):
        if out and begin <= out[-1][1]:
            out[-1][1] = max(out[-1][1], end)
        else:
            out.append([begin, end])
    return out


# What subscribers saw

def publications(changes):
    """The changes as published events, for checker.py. The text of each one begins with its seq."""
    return [Publication(str(c.seq), to={"channels": [c.channel]}, fate=ACKNOWLEDGED, seq=c.seq,
                        replaces=f"member {c.session}") for c in changes]


class Observer:
    """What one stream of the channel showed. view: the members that its page lists now. blocks()
    returns what checker.py reads."""

    def __init__(self, name, channel):
        self.name, self.channel, self.view, self.listed, self.complaints = (
            name, channel, set(), None, []
        )

    def read(self, blocks, changes):
        """The next blocks of the stream, in order."""
        here = [c for c in sorted(changes) if c.channel == self.channel]
        out = []
        for n, block in enumerate(blocks):
            if block.type in (JOIN, LEAVE):
                out.append(self._change(block, here, blocks[n:]))
            else:
                self._other(block, here)
                out.append(block)
        return out

    def _change(self, block, changes, rest):
        session = json.loads(block.data)["session"]
        if self.listed is not None:
            self.listed.add(session)
        (self.view.add if block.type == JOIN else self.view.discard)(session)
        return Event("m", f"{block.id or _seq_in_state(session, changes, rest)} change",
                     block.id, block.at)

    def _other(self, block, changes):
        """A gap, and the beginning of a stream without a cursor, are followed by the list and then
        by a checkpoint."""
        if block.type == "ssecast.gap":
            self.begin()
        elif block.type is None and self.listed is not None:
            expected = members_at(changes, int(block.id))
            if changes and self.listed != expected:
                self.complaints.append(f"{self.name}: got the list {sorted(self.listed)} at "
                                       f"{block.id}, and it was {sorted(expected)}")
            self.listed = None

    def begin(self):
        """What follows is the list."""
        self.listed, self.view = set(), set()
        return self


def _seq_in_state(session, changes, rest):
    """A value of the state has no id: it is the newest one before the checkpoint that follows."""
    upto = next((int(b.id) for b in rest if b.type is None and b.id.isdigit()), _EVER)
    return max((c.seq for c in changes if c.session == session and c.seq <= upto), default=0)


def members_at(changes, seq):
    """The members of one channel at this position."""
    here = set()
    for c in changes:
        if c.seq <= seq:
            (here.add if c.came else here.discard)(c.session)
    return here
