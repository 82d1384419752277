"""Power failures: what a disk may look like afterwards, and whether a broker finds everything on it
that it had acknowledged.

    recording = Recording(bench).run(seed)      # a broker under load; each write, sync and reply in
                                                order
    for image in recording.images(count):       # the disk as power may have failed there
        image.check()                           # AssertionError says what is lost or what is there
                                                that must not be

The model of the disk: what was written before the last completed sync is there. Of what was written
since, each sector of 512 bytes may be there or not, whatever the order of the writes. A write
through O_DSYNC is there when it has returned. A new file may be missing until the directory that
names it was synced. A file that grew may have its new size without the new bytes, which are then
zero.
"""

import json
import pathlib
import random
import shutil
import struct

from . import processes
from .broker import Broker
from .waiting import wait_until

_SECTOR = 512
_HEAD = struct.Struct("=cQI")

HISTORY_EVENTS = 200


def recorder_environment(log, fail, **extra):
    """For a broker whose store tests/power/recorder.c records and disturbs, as the file `fail`
    says."""
    return processes.clean_environment(LD_PRELOAD=str(processes.BUILD / "power-recorder.so"),
                                       POWER_LOG=str(log), POWER_FAIL=str(fail),
                                       ASAN_OPTIONS="verify_asan_link_order=0", **extra)


class Recording:
    """What one broker did to its store, and what it said meanwhile."""

    def __init__(self, bench, skip_sync=None):
        self._folder = bench.folder / "power"
        self._folder.mkdir()
        self._log, self._fail = self._folder / "log", self._folder / "fail"
        self.store = self._folder / "store"
        self.broker = Broker(bench, store=self.store, history_events=HISTORY_EVENTS,
                             max_event_bytes="64K")
        self.broker.env = recorder_environment(
            self._log, self._fail, **({"POWER_SKIP_SYNC": str(skip_sync)} if skip_sync else {})
        )
        self.texts = {}    # ref -> the texts of the request
        self.keys = {}     # text -> (key and target, whether it removes the key)
        self.seed = None
        self.records = []

    # The load

    def run(self, seed, rounds=40):
        """Requests of every kind, with restarts and failing disks in between."""
        self.seed = seed
        dice = random.Random(seed)
        self.broker.start()
        for _ in range(rounds):
            self._round(dice)
        self.broker.stop()
        self.records = list(_read(self._log.read_bytes()))
        return self

    def _round(self, dice):
        what = dice.choice(["work"] * 6 + ["restart", "kill", "w", "s", "m"])
        if what == "restart":
            self.broker.restart()
        elif what == "kill":
            self._publish(dice, dice.randint(1, 20), wait=False)
            self.broker.kill()
            self.broker.start()
        elif what in "wsm":
            self._fail.write_text(what)
            self._publish(dice, dice.randint(1, 5))
            self._fail.unlink()
            self._until_it_stores_again()
        else:
            self._publish(dice, dice.randint(1, 30))

    def _publish(self, dice, count, wait=True):
        with self.broker.commands() as client:
            refs = [client.send(self._request(dice)) for _ in range(count)]
            for _ in refs if wait else []:
                assert client.receive() is not None, "no reply"

    def _request(self, dice):
        ref = len(self.texts) + 1
        count = dice.choice([1, 1, 1, 2, 5, 40])
        sizes = [dice.choice([0, 10, 300, 5000]) for _ in range(count)]
        events = [{"event": "m", "text": f"{ref}.{n} {'x' * size}"} for n, size in enumerate(sizes)]
        for event in events:
            if dice.random() < 0.2:
                event["id"] = f"own-{ref}-{event['text'][:9]}"
            if dice.random() < 0.2:
                event["to"] = {"sessions": [f"s{dice.randrange(9)}"]}
            if dice.random() < 0.3:
                event["key"], event["remove"] = f"k{dice.randrange(30)}", dice.random() < 0.3
                self.keys[event["text"]] = ((event["key"], str(event.get("to"))), event["remove"])
        self.texts[ref] = [event["text"] for event in events]
        if dice.random() < 0.1:
            events[-1]["text"] = "x" * (65 << 10)    # too large: the whole batch is refused
        if count == 1:
            return {"op": "publish", "ref": ref, **events[0]}
        return {"op": "publish", "ref": ref, "events": events}

    def _until_it_stores_again(self):
        def stores():
            ref = len(self.texts) + 1
            self.texts[ref] = [f"{ref}.0 again"]
            with self.broker.commands() as client:
                client.send({"op": "publish", "event": "m", "text": self.texts[ref][0], "ref": ref})
                return client.receive()["ok"]

        wait_until(stores, what="events are stored again")

    # The images

    def images(self, count):
        """`count` images of the disk, at moments that the seed chooses."""
        dice = random.Random(self.seed + 1)
        moments = sorted(dice.randrange(1, len(self.records) + 1) for _ in range(count))
        disk = _Disk(self.store)
        done = 0
        for moment in moments:
            for record in self.records[done:moment]:
                disk.apply(*record)
            done = moment
            yield Image(self, disk, moment, disk.after_power_failure(dice))


class Image:
    """A disk as a power failure may have left it; None: the file is not there."""

    def __init__(self, recording, disk, moment, data):
        self._recording, self.moment, self.data = recording, moment, data
        self._replies = list(disk.replies)

    def write(self, folder):
        """The store in a folder of its own."""
        folder = pathlib.Path(folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if self.data is not None:
            (folder / "data.mdb").write_bytes(self.data)
        return folder

    def check(self, folder):
        """The broker opens it; what was acknowledged is there; what was refused is not."""
        acknowledged, refused = self._promised()
        where = (f"SEED={self._recording.seed}, "
                 f"moment {self.moment} of {len(self._recording.records)}")
        if self.data is None:
            assert not acknowledged, (f"{where}: the file is not there, "
                                      f"and {len(acknowledged)} events were acknowledged")
            return
        store = self.write(folder)
        done = processes.run([processes.BROKER, "--dump-store", store])
        if done.returncode and not acknowledged and self._unborn():
            return
        assert done.returncode == 0, f"{where}: {done.stderr}"
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        there = {e["seq"]: e["data"] for e in lines if "seq" in e}
        self._compare(where, there, acknowledged, refused)
        kept = {line["kept"]["seq"]: line["kept"]["data"] for line in lines if "kept" in line
                and "sound" not in line}
        self._compare_state(where, {**kept, **there}, acknowledged, refused)

    def _promised(self):
        """seq -> text of what was acknowledged, and the texts of what was refused."""
        acknowledged, refused = {}, set()
        for reply in map(json.loads, self._replies):
            texts = self._recording.texts.get(reply.get("ref"), [])
            if reply["ok"] and ("seq" in reply or "seqs" in reply):
                acknowledged.update(zip(reply.get("seqs") or [reply["seq"]], texts))
            elif not reply["ok"] and not reply.get("unknown"):
                refused.update(texts)
        return acknowledged, refused

    def _unborn(self):
        """The file was never synced: nobody promised anything."""
        return not any(kind == b"S" for kind, *_ in self._recording.records[:self.moment])

    @staticmethod
    def _compare(where, there, acknowledged, refused):
        oldest = min(there, default=0)
        missing = {seq for seq, text in acknowledged.items() if seq >= oldest
                   and there.get(seq) != text}
        assert not missing, (f"{where}: acknowledged and not there, or another: "
                             f"{sorted(missing)[:5]}")
        assert len(there) >= min(
            HISTORY_EVENTS, len(acknowledged)
        ), f"{where}: {len(there)} events are there, {len(acknowledged)} were acknowledged"
        unwanted = refused & set(there.values())
        assert not unwanted, f"{where}: refused and there: {[text[:20] for text in unwanted]}"


    def _compare_state(self, where, there, acknowledged, refused):
        """The newest event of each key is there, though the history forgot it."""
        state, should = self._state_of(there), self._state_of(acknowledged)
        maybe_removed = self._maybe_removed(acknowledged, refused)
        for place, (seq, text) in should.items():
            if place in maybe_removed:
                continue
            if text is None:
                assert (
                    state.get(place, (0, None))[0] > seq or state.get(place, (0, None))[1] is None
                ), f"{where}: {place} was removed and is there"
            else:
                assert (
                    state.get(place, (0, None))[0] >= seq
                ), f"{where}: the newest of {place} is {seq}, and there is {state.get(place)}"
        unwanted = refused & {text for _, text in state.values()}
        assert not unwanted, (f"{where}: refused and in the state: "
                              f"{[text[:20] for text in unwanted]}")

    def _maybe_removed(self, acknowledged, refused):
        """Keys and targets of removals that nobody knows of whether they were stored. The history
        may have forgotten them."""
        settled = refused | set(acknowledged.values())
        last = max((int(text.partition(".")[0]) for text in settled), default=0)
        return {place for text, (place, remove) in self._recording.keys.items()
                if remove and text not in settled and int(text.partition(".")[0]) <= last}

    def _state_of(self, events):
        """key and target -> (seq, text) of the newest; the text is None when it removed the key."""
        state = {}
        for seq in sorted(events):
            place, remove = self._recording.keys.get(events[seq], (None, False))
            if place:
                state[place] = (seq, None if remove else events[seq])
        return state


class _Disk:
    """What is certainly on the disk, and the writes that may be."""

    def __init__(self, store):
        self._store = str(store).encode()
        self._synced = bytearray()
        self._named, self._exists = False, False   # in its directory: certainly; at all
        self._pending = []
        self.replies = []

    def apply(self, kind, offset, data):
        if kind == b"C":
            self._exists, self._named = True, False
        elif kind == b"W":
            self._pending.append((offset, data))
        elif kind == b"P":
            self._pending = [w for w in self._pending if not _within(w, offset, data)]
            _put(self._synced, offset, data)
        elif kind == b"S":
            for at, bytes_ in self._pending:
                _put(self._synced, at, bytes_)
            self._pending = []
        elif kind == b"Y":
            self._named = self._named or (self._exists and data == self._store)
        elif kind == b"R":
            self.replies.append(data)
        else:
            raise AssertionError(f"the model of a disk does not know {kind}")

    def after_power_failure(self, dice):
        """The file's bytes, or None when it is not there."""
        if not self._exists or (not self._named and dice.random() < 0.5):
            return None
        image = bytearray(self._synced)
        likelihood = dice.choice([0, 0.1, 0.5, 0.9, 1])
        for offset, data in self._pending:
            for at in range(0, len(data), _SECTOR):
                if dice.random() < likelihood:
                    _put(image, offset + at, data[at:at + _SECTOR])
        if self._pending and dice.random() < 0.3:
            size = max(offset + len(data) for offset, data in self._pending)
            image.extend(bytes(max(0, size - len(image))))
        return bytes(image)


def _put(image, offset, data):
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset:offset + len(data)] = data


def _within(write, offset, data):
    return write[0] >= offset and write[0] + len(write[1]) <= offset + len(data)


def _read(log):
    at = 0
    while at < len(log):
        kind, offset, length = _HEAD.unpack_from(log, at)
        at += _HEAD.size
        yield kind, offset, log[at:at + length]
        at += length
