"""A broker whose clock is not right."""

import pathlib
import subprocess

import pytest

from . import processes

FAKETIME = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def skip_unless_time_can_be_faked():
    """A program with a sanitizer cannot be given another library first."""
    if not FAKETIME:
        pytest.skip("faketime is not installed")
    done = subprocess.run([processes.BROKER, "--version"],
                          env=processes.clean_environment(LD_PRELOAD=str(FAKETIME)),
                          capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("not with a sanitizer")


def set_clock(broker, offset):
    """From its next start on, the broker's clock is "+1h" or "-1h" off; "+0": it is right."""
    if offset == "+0":
        broker.env = processes.clean_environment()
        return
    skip_unless_time_can_be_faked()
    broker.env = processes.clean_environment(LD_PRELOAD=str(FAKETIME), FAKETIME=offset,
                                             FAKETIME_DONT_FAKE_MONOTONIC="1")


class Clock:
    """Of a broker, from its next start on: it can be set while the broker runs."""

    def __init__(self, bench, broker):
        skip_unless_time_can_be_faked()
        self._file = bench.folder / "clock"
        self.set("+0")
        broker.env = processes.clean_environment(
            LD_PRELOAD=str(FAKETIME), FAKETIME_TIMESTAMP_FILE=str(self._file),
            FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1"
        )

    def set(self, offset):
        """"+1h", "-60s", "+0"."""
        new = self._file.with_suffix(".new")
        new.write_text(offset + "\n")
        new.rename(self._file)
