"""A PNG as a browser's screenshot has it (8 bits, RGB or RGBA, not interlaced), as rows of pixels to count."""

import collections
import struct
import zlib


class Picture:
    def __init__(self, png):
        assert png[:8] == b"\x89PNG\r\n\x1a\n"
        self.width, self.height, depth, kind, *_, interlaced = struct.unpack(">IIBBBBB", png[16:29])
        assert depth == 8 and kind in (2, 6) and not interlaced
        self.channels = 3 if kind == 2 else 4
        self.rows = self._unfilter(zlib.decompress(b"".join(_data(png))))

    def _unfilter(self, data):
        """What filter each row has been given stands before it; PNG specification, section 9."""
        step, size, rows, before = self.channels, self.width * self.channels, [], None
        for start in range(0, len(data), size + 1):
            kind, row = data[start], bytearray(data[start + 1:start + 1 + size])
            above = before or bytes(size)
            for i in range(size) if kind else ():
                left, corner = (row[i - step], above[i - step]) if i >= step else (0, 0)
                row[i] = (row[i] + (0, left, above[i], (left + above[i]) // 2, _paeth(left, above[i], corner))[kind]) & 255
            rows.append(bytes(row))
            before = row
        return rows

    def colours(self, left=0, top=0, right=None, bottom=None):
        """How many pixels of each colour a part of it has."""
        right, bottom = right or self.width, bottom or self.height
        out = collections.Counter()
        for row in self.rows[int(top):int(bottom)]:
            part = row[int(left) * self.channels:int(right) * self.channels]
            out.update(part[i:i + 3] for i in range(0, len(part), self.channels))
        return out


def _data(png):
    at = 8
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at:at + 8])
        if kind == b"IDAT":
            yield png[at + 8:at + 8 + size]
        at += size + 12


def _paeth(a, b, c):
    p = a + b - c
    return min((a, b, c), key=lambda v: abs(p - v))
