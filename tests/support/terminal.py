"""A terminal of a given size with a program in it: what it writes is put on a screen of characters,
as a terminal would.

    with Terminal([CLI, "top"], columns=80, lines=24, env=env) as terminal:
        terminal.wait_text("connections")
        terminal.type("q")
        assert terminal.wait_end() == 0

It knows the orders that our programs use and no others: an order that it does not know is an error.
"""

import codecs
import fcntl
import os
import pty
import re
import signal
import struct
import termios
import time

from .waiting import Deadline, Timeout, readable

_ORDER = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")


class Terminal:
    def __init__(self, argv, columns=80, lines=24, env=None):
        self.columns, self.lines = columns, lines
        self._screen, self._row, self._column = None, 0, 0
        self.modes, self.status, self._old_frames = set(), None, 0
        # how often it went to the upper left corner: at the beginning of a frame, and at its end
        self._homes = 0
        self._text, self._decoder = "", codecs.getincrementaldecoder("utf-8")()
        self._clear()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            self._set_size(0)
            os.execve(str(argv[0]), [str(a) for a in argv],
                      {**(env or os.environ), "TERM": "xterm"})
        self._set_size(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def _set_size(self, fd):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", self.lines, self.columns, 0, 0))

    def resize(self, columns, lines):
        """What is still written for the old size, a frame or two, is cut and no error."""
        self.columns, self.lines, self._old_frames = columns, lines, 4
        self._clear()
        self._set_size(self.fd)

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def echoes(self):
        """Does it show what is typed, line by line, as a terminal does before and after such
        programs?"""
        flags = termios.tcgetattr(self.fd)[3]
        return bool(flags & termios.ECHO and flags & termios.ICANON)

    # The screen

    def rows(self):
        return ["".join(row).rstrip() for row in self._screen]

    def text(self):
        return "\n".join(self.rows()).rstrip()

    def _clear(self):
        self._screen = [[" "] * self.columns for _ in range(self.lines)]
        self._row = self._column = 0

    def _put(self, character):
        if character == "\r":
            self._column = 0
        elif character == "\n":
            assert self._row + 1 < self.lines or self._old_frames, "it scrolls"
            self._row = min(self._row + 1, self.lines - 1)
        elif self._column >= self.columns and self._old_frames:
            pass
        else:
            assert (
                character >= " " and self._column < self.columns
            ), f"{character!r} at {self._row}, {self._column}"
            self._screen[self._row][self._column] = character
            self._column += 1

    def _obey(self, private, argument, letter):
        if private and letter in "hl":
            (self.modes.add if letter == "h" else self.modes.discard)(argument)
        elif letter == "H" and not argument:
            self._row = self._column = 0
            self._old_frames = max(0, self._old_frames - 1)
            self._homes += 1
        elif letter in "KJ" and not argument:
            # the last one, when it has been written to
            row, column = self._screen[self._row], min(self._column, self.columns - 1)
            row[column:] = [" "] * (self.columns - column)
            for below in self._screen[self._row + 1:] if letter == "J" else []:
                below[:] = [" "] * self.columns
        else:
            assert letter == "m", ("an order this terminal does not know: "
                                   f"{private}{argument}{letter}")

    def _take(self, text):
        self._text += text
        while self._text:
            if self._text[0] != "\x1b":
                self._put(self._text[0])
                self._text = self._text[1:]
                continue
            order = _ORDER.match(self._text)
            if not order:
                assert len(self._text) < 20, f"what is that? {self._text[:20]!r}"
                return
            self._obey(*order.groups())
            self._text = self._text[order.end():]

    # Waiting

    def _read(self, seconds):
        """False when the program has ended."""
        if not readable(self.fd, seconds):
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self._take(self._decoder.decode(data))
        return bool(data)

    def wait(self, condition, what):
        deadline = Deadline()
        while not condition():
            if not self._read(0.1) or deadline.passed():
                raise Timeout(f"{what}; on the screen:\n{self.text()}")
        return self

    def wait_text(self, part):
        return self.wait(lambda: part in self.text(), f"'{part}' is shown")

    def redraw(self):
        """Type keys that change nothing, until a frame that began after this call is complete. The
        second key is for one that was being drawn: it counts as one of the three corners, and the
        first key may not be read before it ends."""
        homes = self._homes
        for corners in (1, 3):
            self.type(" ")
            self.wait(lambda least=homes + corners: self._homes >= least, "a frame")

    def wait_end(self):
        """Its exit status."""
        deadline = Deadline()
        while self.status is None:
            self._read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif deadline.passed():
                raise Timeout("it has not ended")
            else:
                time.sleep(0.01)
        while self._read(0):
            pass
        return self.status
