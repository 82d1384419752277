"""Machines on a network that can be parted: network namespaces, each with an address, all on one
bridge. As root only.

Programs run in them with `ip netns exec`; what talks over ipc:// or a unix socket reaches them from
anywhere.
"""

import contextlib
import ctypes
import os
import subprocess
import threading

from .processes import as_root

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def _ip(*argv, check=True):
    return subprocess.run(["ip", *argv], check=check, capture_output=True)


def can_make():
    """May we make network namespaces here?"""
    if not as_root():
        return False
    try:
        done = _ip("netns", "add", f"ssecast-{os.getpid()}-try", check=False)
        _ip("netns", "del", f"ssecast-{os.getpid()}-try", check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


class Machine:
    """address: on the network. command: what to put before a program's argv."""

    def __init__(self, name, address):
        self.name, self.address, self.command = name, address, ["ip", "netns", "exec", name]

    def call(self, function):
        """What function gives when it is called on this machine. A socket that it opens there stays
        there."""
        found = []

        def run():
            fd = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
            try:
                if _libc.setns(fd, _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
                with contextlib.suppress(OSError):
                    found.append(function())
            finally:
                os.close(fd)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if not found:
            raise OSError(f"{self.name}: failed there")
        return found[0]


class Machines:
    """This number of machines; close() removes them."""

    def __init__(self, count):
        self.hub = f"ssecast-{os.getpid()}-hub"
        self.all = []
        _ip("netns", "add", self.hub)
        _ip("-n", self.hub, "link", "add", "bridge0", "type", "bridge")
        _ip("-n", self.hub, "link", "set", "bridge0", "up")
        for n in range(count):
            self.all.append(self._add(n))

    def _add(self, n):
        machine = Machine(f"ssecast-{os.getpid()}-{n}", f"192.0.2.{n + 1}")
        _ip("netns", "add", machine.name)
        _ip("link", "add", f"port{n}", "netns", self.hub, "type", "veth", "peer", "name", "eth0",
            "netns", machine.name)
        _ip("-n", self.hub, "link", "set", f"port{n}", "master", "bridge0", "up")
        _ip("-n", machine.name, "address", "add", f"{machine.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", machine.name, "link", "set", device, "up")
        return machine

    def part(self, n):
        """The n-th reaches nobody, and nobody reaches it."""
        _ip("-n", self.hub, "link", "set", f"port{n}", "down")

    def join(self, n):
        _ip("-n", self.hub, "link", "set", f"port{n}", "up")

    def close(self):
        for name in [*(m.name for m in self.all), self.hub]:
            _ip("netns", "del", name, check=False)
