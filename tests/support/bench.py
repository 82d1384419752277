"""A bench: a temporary folder, and the programs a test starts in it.

    with Bench() as bench:
        broker = Broker(bench).start()

At its end every program is ended by its own process id, in the opposite order, and judged: one that
died by itself, ended with a status other than 0, had to be killed or left a sanitizer's report is a
failure of the test.
"""

import os
import pathlib
import shutil
import tempfile

from .processes import as_root

KEEP = bool(os.environ.get("SSECAST_KEEP"))  # leave the folders behind, to look into them

_open = []


class Bench:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ssecast-test-"))
        self.folder.chmod(0o755)  # the web servers' user comes here too
        self.programs, self._closing = [], []
        _open.append(self)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(judge=kind is None)

    def adopt(self, program):
        """From now on the program is ended and judged with the bench."""
        self.programs.append(program)
        return program

    def closing(self, thing):
        """Call thing.close() at the end, before the programs end."""
        self._closing.append(thing)
        return thing

    def subfolder(self, name):
        """A folder in the bench's folder that the web servers may write to."""
        path = self.folder / name
        path.mkdir(exist_ok=True)
        if as_root():
            shutil.chown(path, "www-data", "www-data")
        return path

    def close(self, judge=True):
        for thing in reversed(self._closing):
            thing.close()
        for program in reversed(self.programs):
            program.finish()
        _open.remove(self)
        problems = [line for program in self.programs for line in program.check()]
        report = self.report()
        if not KEEP:
            shutil.rmtree(self.folder, ignore_errors=True)
        if judge and problems:
            raise AssertionError("\n".join(problems + [report]))

    def report(self):
        """The end of every program's log."""
        return "\n".join(p.report() for p in self.programs)


def open_benches():
    return list(_open)
