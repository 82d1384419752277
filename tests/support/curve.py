"""A client of ZMTP with CURVE, spoken by hand, so that it may also be spoken wrongly. libsodium
computes.

    peer = CurvePeer(port, keys.add("publisher", "shop"))
    peer.send(peer.message(b'{"op":"ping"}'))
"""

import ctypes
import os
import socket
import struct

from zmq.utils import z85

_sodium = ctypes.CDLL("libsodium.so.23")
_MAC = 16
_GREETING = b"\xff\0\0\0\0\0\0\0\1\x7f\3\0" + b"CURVE".ljust(20, b"\0") + bytes(32)


def _box(text, nonce, public, secret):
    out = ctypes.create_string_buffer(len(text) + _MAC)
    assert _sodium.crypto_box_easy(out, text, ctypes.c_ulonglong(len(text)), nonce,
                                   public, secret) == 0
    return out.raw


def _open(box, nonce, public, secret):
    out = ctypes.create_string_buffer(max(len(box) - _MAC, 1))
    assert _sodium.crypto_box_open_easy(
        out, box, ctypes.c_ulonglong(len(box)), nonce, public, secret
    ) == 0, "a box that does not open"
    return out.raw[:len(box) - _MAC]


def _pair():
    public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
    _sodium.crypto_box_keypair(public, secret)
    return public.raw, secret.raw


def frame(flags, body):
    """A frame of ZMTP 3."""
    return bytes([flags | 2]) + struct.pack(">Q", len(body)) + body


def properties(**values):
    """Metadata; _ stands for -."""
    out = b""
    for name, value in values.items():
        name = name.replace("_", "-").encode()
        out += bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
    return out


COMMAND = 4


class CurvePeer:
    """A connection to 127.0.0.1:port that has been welcomed, and with finish() is ready. key: a Key
    (keys.py)."""

    def __init__(self, port, key, metadata=None, finish=True):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(10)
        self._broker = z85.decode(key.broker)
        self._own = z85.decode(key.public), z85.decode(key.secret)
        self._short, self._count = _pair(), 0
        self._metadata = (properties(Socket_Type=b"DEALER", Identity=b"")
                          if metadata is None else metadata)
        self._say_hello()
        if finish:
            self.send(self.initiate())
            assert self.receive().startswith(b"\5READY")

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """The body of the next frame."""
        flags = self._exactly(1)[0]
        size = struct.unpack(">Q", self._exactly(8))[0] if flags & 2 else self._exactly(1)[0]
        return self._exactly(size)

    # Frames

    def initiate(self):
        nonce = os.urandom(16)
        vouch = nonce + _box(self._short[0] + self._broker, b"VOUCH---" + nonce, self._session,
                             self._own[1])
        count, prefix = self._next_count(), b"CurveZMQINITIATE"
        box = _box(self._own[0] + vouch + self._metadata, prefix + count, self._session,
                   self._short[1])
        return frame(COMMAND, b"\x08INITIATE" + self._cookie + count + box)

    def message(self, body, flags=0):
        """A message. flags, within the box: 1: more follows, 2: a command."""
        count = self._next_count()
        return frame(0, b"\7MESSAGE" + count + _box(
            bytes([flags]) + body, b"CurveZMQMESSAGEC" + count, self._session, self._short[1]
        ))

    def wrong_message(self):
        """One that does not open."""
        data = self.message(b"{}")
        return data[:-1] + bytes([data[-1] ^ 1])

    # The handshake

    def _say_hello(self):
        self.send(_GREETING)
        self._exactly(64)
        count = self._next_count()
        box = _box(bytes(64), b"CurveZMQHELLO---" + count, self._broker, self._short[1])
        self.send(frame(COMMAND, b"\5HELLO\1\0" + bytes(72) + self._short[0] + count + box))
        welcome = self.receive()
        assert welcome.startswith(b"\7WELCOME"), welcome
        text = _open(welcome[24:], b"WELCOME-" + welcome[8:24], self._broker, self._short[1])
        self._session, self._cookie = text[:32], text[32:]

    def _next_count(self):
        self._count += 1
        return struct.pack(">Q", self._count)

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise ConnectionResetError("the broker ended the connection")
            data += piece
        return data
