"""What systemd does for a service, as far as a program sees it: passes listening sockets, and hears how it is."""

import os
import socket
import sys

from .processes import clean_environment
from .waiting import Deadline

# Runs in the new process: the descriptor becomes number 3, LISTEN_PID this very process, then the program takes its place.
_LAUNCHER = """
import os, sys
listener, count, argv = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
if listener != 3:
    os.dup2(listener, 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=count, LISTEN_FDNAMES="connection")
os.execv(argv[0], argv)
"""


def passed(listener, argv, count=1):
    """The command that runs argv with this socket as descriptor 3. Start it with pass_fds=[listener.fileno()]."""
    return [sys.executable, "-c", _LAUNCHER, str(listener.fileno()), str(count), *map(str, argv)]


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
        self.socket.bind(self.address.replace("@", "\0", 1) if self.address.startswith("@") else self.address)
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
