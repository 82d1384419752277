"""Disks that a broker's store is on and that fail: full, or refusing every write.

    with Tmpfs(bench.folder / "disk") as disk:
        broker = Broker(bench, store=disk.folder / "history").start()
        disk.fill()
        disk.empty()

Tmpfs is a real small disk and needs root; FileLimit does without, by limits on what the broker's
process may write. HangingDisk is slow instead: syncs wait while the test says so.
"""

import contextlib
import errno
import os
import pathlib
import resource
import subprocess

from .power import recorder_environment
from .processes import as_root


def can_mount():
    """Not every root may: a container's may not."""
    if not as_root():
        return False
    return subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
                          check=False, capture_output=True).returncode == 0


class Tmpfs:
    def __init__(self, folder, size="16m"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", self.folder],
                       check=True)

    def fill(self, _=None):
        """Take all the space that is left."""
        with open(self.folder / "filler", "ab", buffering=0) as f:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        f.write(bytes(size))
                except OSError as e:
                    assert e.errno == errno.ENOSPC, e

    def empty(self, _=None):
        (self.folder / "filler").unlink()

    def remount(self, how):
        """"ro" or "rw"; nobody may have a file of it open."""
        subprocess.run(["mount", "-o", f"remount,{how}", self.folder], check=True)

    def close(self):
        subprocess.run(["umount", "--lazy", self.folder], check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class FileLimit:
    """The same to a broker: grow=True: no file may become larger (a full disk), else nothing can be
    written at all (a read-only one)."""

    def __init__(self, folder, grow):
        self.folder, self._grow = pathlib.Path(folder), grow
        self.folder.mkdir()

    def fill(self, broker):
        size = (os.stat(pathlib.Path(broker.options["store"]) / "data.mdb").st_size
                if self._grow else 0)
        self._limit(broker, size)

    def empty(self, broker):
        self._limit(broker, resource.RLIM_INFINITY)

    def _limit(self, broker, size):
        hard = resource.prlimit(broker.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (size, hard))

    def close(self):
        pass


class HangingDisk:
    """The disk of this broker, which it is restarted for. Syncs of the store's file wait within
    `with disk.hanging():`."""

    def __init__(self, bench, broker):
        self._fail = bench.folder / "disk-fails"
        broker.stop()
        broker.env = recorder_environment(os.devnull, self._fail)
        broker.start()

    @contextlib.contextmanager
    def hanging(self):
        self._fail.write_text("h")
        try:
            yield
        finally:
            self._fail.unlink()
