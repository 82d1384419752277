#!/usr/bin/python3
"""Writes the stores of this folder that the current format can have: tests/data/stores/make.py,
with PYTHONPATH=tests, after make.

Stores of older formats were written by the programs of their time and are kept. Each file is a
data.mdb, compressed.
"""

import gzip
import pathlib

from support.bench import Bench
from support.broker import Broker

FOLDER = pathlib.Path(__file__).parent
FORMAT = 4


def sound(bench):
    """Events of every kind, a ban, ids of forgotten events, and a second start."""
    broker = Broker(bench, store=bench.folder / "store", history_events=20).start()
    with broker.commands() as client:
        client.publish("m", data="old", key="replaced")
        client.publish("m", data="kept", key="newest", to={"channels": ["c"]})
        client.publish("m", data="new", key="replaced")
        for n in range(25):
            client.publish("m", data={"n": n}, to={"sessions": [f"s{n % 3}"]}, id=f"own-{n}")
        client.publish(text="two\nlines", **{"except": {"channels": ["c"]}})
        client.shutdown(sessions=["s1"], reason="over", block=31622400)
    broker.restart()
    with broker.commands() as client:
        client.publish("m", data="after the restart")
    broker.stop()
    return (bench.folder / "store" / "data.mdb").read_bytes()


def changed(data, old, new):
    """With other bytes in every copy of these."""
    assert data.count(old) and len(old) == len(new)
    return data.replace(old, new)


def main():
    with Bench() as bench:
        data = sound(bench)
    known = b"format" + FORMAT.to_bytes(4, "little")
    stores = {
        f"format-{FORMAT}": data,
        "damaged-entry": changed(data, b'{"n": 20}', b'{"n": 21}'),
        "damaged-format": changed(data, known, b"format" + (99).to_bytes(4, "little")),
        "damaged-cut": data[:len(data) // 2],
        "damaged-page": data[:8192] + bytes(4096) + data[12288:],
        "damaged-no-store": b"not a store\n" * 4096,
    }
    for name, content in stores.items():
        (FOLDER / f"{name}.mdb.gz").write_bytes(gzip.compress(content, mtime=0))


if __name__ == "__main__":
    main()
