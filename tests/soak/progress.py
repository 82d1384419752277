"""A line that changes in place on a terminal; elsewhere only what is to be kept is written."""

import sys
import time


class Progress:
    def __init__(self, out=sys.stdout):
        self._out, self._terminal, self._started = out, out.isatty(), time.monotonic()

    def seconds(self):
        return time.monotonic() - self._started

    def show(self, text):
        """For the moment."""
        if self._terminal:
            self._out.write(f"\r\033[K{self._clock()}  {text}"[:160])
            self._out.flush()

    def keep(self, text):
        """A line of its own."""
        self._out.write(("\r\033[K" if self._terminal else "") + f"{self._clock()}  {text}\n")
        self._out.flush()

    def _clock(self):
        minutes, seconds = divmod(int(self.seconds()), 60)
        return f"{minutes:3d}:{seconds:02d}"
