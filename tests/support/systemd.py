"""What systemd does for a service, as far as a program sees it: passes listening sockets, and hears
how it is."""

import os
import socket
import sys

from .processes import clean_environment
from .waiting import Deadline

# Runs in the new process: the descriptors become number 3 and so on, LISTEN_PID this very process,
# then the program takes its place.
_LAUNCHER = """
import fcntl, os, sys
fds, (count, names), argv = [int(fd) for fd in sys.argv[1].split(",")], sys.argv[2:4], sys.argv[4:]
for number, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in fds], 3):
    os.dup2(fd, number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=count, LISTEN_FDNAMES=names)
os.execv(argv[0], argv)
"""


def passed(listener, argv, count=1):
    """The command that runs argv with this socket as descriptor 3. Start it with
    pass_fds=[listener.fileno()]."""
    return _launch([listener], argv, count, "connection")


def passed_by_name(listeners, argv):
    """The same with several, each (name, socket), from descriptor 3 on."""
    return _launch([s for _, s in listeners], argv, len(listeners),
                   ":".join(name for name, _ in listeners))


def _launch(listeners, argv, count, names):
    fds = ",".join(str(s.fileno()) for s in listeners)
    return [sys.executable, "-c", _LAUNCHER, fds, str(count), names, *map(str, argv)]


def listen(path):
    """What a .socket unit does: a unix socket that outlives its service."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    os.chmod(path, 0o666)
    listener.listen(4096)
    return listener


class Manager:
    """Hears what services say through NOTIFY_SOCKET."""

    def __init__(self, address):
        self.address = str(address)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address.replace("@", "\0", 1)
                         if self.address.startswith("@") else self.address)
        self.environment = clean_environment(NOTIFY_SOCKET=self.address)
        self.heard = []

    def close(self):
        self.socket.close()

    def wait_for(self, line):
        """Until a service says this line. What was said together with it."""
        deadline = Deadline()
        while not any(line in message for message in self.heard):
            self.socket.settimeout(deadline.left())
            self.heard.append(self.socket.recv(4096).decode().split("\n"))
        return next(message for message in self.heard if line in message)

    def has_said(self, line):
        self.socket.setblocking(False)
        try:
            while True:
                self.heard.append(self.socket.recv(4096).decode().split("\n"))
        except BlockingIOError:
            return any(line in message for message in self.heard)
