"""Free TCP ports on loopback, each held for the caller until this process ends.

A port that is only looked up can be taken by another program before it is used. So each port that
is handed out stays bound to a socket of ours that never listens. The kernel then gives it to no
outgoing connection, and free_port() in no other process gets it. The program that the port is for
can still bind and listen, because it sets SO_REUSEADDR like every server does.
"""

import os
import random
import socket

_FIRST, _LAST = 18000, 32000  # below the range that Linux hands out to outgoing connections
_held = []
_random = random.Random(os.getpid())


def free_port():
    """A port that nobody has. Never the same one twice in a process."""
    for _ in range(1000):
        port = _random.randrange(_FIRST, _LAST)
        holder = _hold(port)
        if holder:
            _held.append(holder)
            return port
    raise RuntimeError(f"no free port between {_FIRST} and {_LAST}")


def _hold(port):
    """A socket bound to the port; None when the port is not free."""
    holder = socket.socket()
    try:
        # without SO_REUSEADDR: it fails when anybody else has bound the port
        holder.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        return None
    # from now on the port's user may bind it beside us
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return holder
