"""Waiting for conditions. Tests wait for what they need to be true, never for time to pass.

Timeouts are generous, because sanitizer builds on a busy machine are slow; SSECAST_PATIENCE
(default 1) multiplies them.
"""

import os
import select
import time

PATIENCE = float(os.environ.get("SSECAST_PATIENCE", "1"))
TIMEOUT = 20 * PATIENCE  # seconds


def patient(seconds):
    """This duration, times PATIENCE, as a value for an option of our programs."""
    return f"{round(seconds * PATIENCE * 1000)}ms"


class Timeout(AssertionError):
    """A condition did not become true in time."""


class Deadline:
    """A moment in the future: timeout seconds from now, TIMEOUT when None."""

    def __init__(self, timeout=None):
        self.seconds = TIMEOUT if timeout is None else timeout * PATIENCE
        self.at = time.monotonic() + self.seconds

    def left(self):
        return max(0.0, self.at - time.monotonic())

    def passed(self):
        return time.monotonic() >= self.at


def readable(descriptor, seconds):
    """Whether it can be read within this time. (select() takes no descriptor above 1023.)"""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


_PAUSE_MAX = 0.1  # seconds


def wait_until(condition, timeout=None, what=None, pause=0.005):
    """Call condition() until it gives something true, and return that. `what` names it when it
    never does.

    The pauses grow, and a condition that takes long is asked less often, so that waiting leaves the
    cores to others.
    """
    deadline = Deadline(timeout)
    while True:
        began = time.monotonic()
        value = condition()
        took = time.monotonic() - began
        if value:
            return value
        if deadline.passed():
            name = what() if callable(what) else what
            raise Timeout(f"not within {deadline.seconds:g} s: "
                          f"{name or 'the condition'} (last: {value!r})")
        time.sleep(max(pause, min(took, 0.25)))
        pause = max(pause, min(pause * 1.5, _PAUSE_MAX))


def never(condition, seconds, what=None):
    """Call condition() for this time: it must not hold. PATIENCE does not multiply it, because
    every test that passes waits it out."""
    try:
        wait_until(condition, seconds / PATIENCE, what)
    except Timeout:
        return
    raise AssertionError(f"within {seconds:g} s: {what or 'the condition'}")
