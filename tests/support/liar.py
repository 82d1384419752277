"""A network that tells one lie: it loses an event, swaps two or doubles one, for one reader, and
nothing else is disturbed.

What it passes on is as long as what it got, so that no chunk of HTTP is disturbed: what has to be
filled is filled by a comment.
"""

import re

_BLOCK = rb"id: [^\n]+\nevent: m\ndata: [^\n]*\n\n"
_ONE, _TWO = (re.compile(rb"(?<=\n\n)" + _BLOCK),
              re.compile(rb"(?<=\n\n)(" + _BLOCK + rb")(" + _BLOCK + rb")"))


class Liar:
    """tamper() is for Network. It lies on request, at the first opportunity."""

    def __init__(self, lie):
        self._lie, self._armed, self.told = lie, False, None

    def arm(self):
        self._armed = True

    def tamper(self, line, data):
        if not self._armed:
            return data
        changed = self._lie(data)
        if changed is None:
            return data
        assert len(changed) == len(data)
        self._armed, self.told = False, changed
        return changed


def lose(data):
    """data without one of its events; None when there is none in it."""
    if not (found := _ONE.search(data)):
        return None
    return _replace(data, found, _comment(len(found[0])))


def swap(data):
    found = _TWO.search(data)
    return found and _replace(data, found, found[2] + found[1])


def double(data):
    """One event comes twice, and the one after it not at all."""
    for found in _TWO.finditer(data):
        room = len(found[2]) - len(found[1])
        if room == 0 or room > 3:
            return _replace(data, found, found[1] * 2 + _comment(room))
    return None


def _comment(size):
    return b":" + b"x" * (size - 3) + b"\n\n" if size else b""


def _replace(data, found, new):
    return data[:found.start()] + new + data[found.end():]
