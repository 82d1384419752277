"""Free TCP ports on loopback, below the range the kernel hands out to outgoing connections."""

import os
import random
import socket

_FIRST, _LAST = 18000, 32000
_given = set()
_random = random.Random(os.getpid())


def free_port():
    """A port nobody listens on. Never the same one twice in a run."""
    for _ in range(1000):
        port = _random.randrange(_FIRST, _LAST)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise RuntimeError(f"no free port between {_FIRST} and {_LAST}")


def _is_free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
