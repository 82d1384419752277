"""A thread that waits for sockets, moments and calls, one turn after the other: what reader.py and
network.py run in."""

import collections
import heapq
import itertools
import selectors
import socket
import threading
import time
import traceback

from .waiting import TIMEOUT


class Turns:
    """call() and close() are for everybody; everything else is for what runs in the thread. begin()
    starts it."""

    def __init__(self):
        self._selector = selectors.DefaultSelector()
        self._calls, self._timers, self._count = collections.deque(), [], itertools.count()
        self._wake, self._wake_end = socket.socketpair()
        for sock in (self._wake, self._wake_end):
            sock.setblocking(False)
        self._selector.register(self._wake_end, selectors.EVENT_READ,
                                lambda _: self._wake_end.recv(65536))
        self._stopping = False
        self.failure = None  # what ended the thread, as text
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self):
        self._thread.start()

    def call(self, function):
        """Run function in the thread, soon."""
        self._calls.append(function)
        try:
            self._wake.send(b"x")
        except BlockingIOError:
            pass

    def call_and_wait(self, function):
        """Run function in the thread. Not from the thread itself."""
        done = threading.Event()
        self.call(lambda: (function(), done.set()))
        assert done.wait(TIMEOUT), "the thread has no time"

    def close(self):
        """End the thread, then what it held."""
        self._stopping = True
        self.call(lambda: None)
        self._thread.join()
        self.drop()
        for sock in (self._wake, self._wake_end):
            sock.close()
        self._selector.close()

    def drop(self):
        """The thread has ended: close what it held."""
        raise NotImplementedError

    # In the thread

    def at(self, moment, function):
        """Run function at that moment (time.monotonic())."""
        heapq.heappush(self._timers, (moment, next(self._count), function))

    def _run(self):
        try:
            while not self._stopping:
                self._turn()
        except Exception:
            self.failure = traceback.format_exc()
            raise

    def _turn(self):
        timeout = max(0, self._timers[0][0] - time.monotonic()) if self._timers else None
        for key, events in self._selector.select(timeout):
            key.data(events)
        while self._calls:
            self._calls.popleft()()
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()
