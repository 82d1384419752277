"""The C programs of this folder, as Python sees them."""

import json
import pathlib
import subprocess
import sys

from support import processes

PROGRAMS = processes.BUILD / "bench"

_publishers = []


def must_be_built():
    """End with a message when a program of this folder is missing."""
    for source in pathlib.Path(__file__).parent.glob("*.c"):
        if not (PROGRAMS / source.stem).exists():
            sys.exit(f"{PROGRAMS / source.stem} is missing: make bench-build")


class Load:
    """A load client with thousands of readers. See load.c for the commands."""

    def __init__(self, folder, port, tls=False):
        self.progress = pathlib.Path(folder) / f"progress-{port}-{id(self)}"
        self.process = subprocess.Popen(
            [PROGRAMS / "load", str(port), self.progress, *(["tls"] if tls else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
        self.progress.unlink(missing_ok=True)

    def tell(self, line):
        self.process.stdin.write(line + "\n")

    def ask(self, line):
        self.tell(line)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the load client ended during `{line}`")
        return json.loads(answer)

    def pids(self, pids):
        """Whose CPU time end() tells."""
        self.tell("pids " + " ".join(map(str, pids)))

    def burst(self, count):
        """How many streams are being opened at a time."""
        self.tell(f"burst {count}")

    def start_open(self, count, path, cursor=None):
        self.tell(f"open {count} {path}" + (f" {cursor}" if cursor else ""))

    def open(self, count, path, cursor=None, seconds=20, enough=1.0):
        """Open streams and wait until all are, or after some time `enough` of them. Returns the
        seconds it took."""
        self.start_open(count, path, cursor)
        answer = self.ask(f"wait 0 {int(seconds * 1000)}")
        if answer["open"] < count * enough:
            raise RuntimeError(f"not all streams were opened in {seconds} s: {answer}")
        return answer["seconds"]

    def wait(self, events, seconds=30):
        """Until every stream is open and has received so many events since begin()."""
        answer = self.ask(f"wait {events} {int(seconds * 1000)}")
        if not answer["ok"]:
            raise RuntimeError(
                f"not all streams were opened and had {events} events in {seconds} s: {answer}"
            )
        return answer

    def newest(self, number, seconds=60):
        """Until every stream has the event with this number, published last, and so the newest of
        each key."""
        answer = self.ask(f"newest {number} {int(seconds * 1000)}")
        if not answer["ok"] or answer["stale"]:
            raise RuntimeError(
                f"not all streams have the newest events after {seconds} s: {answer}"
            )

    def begin(self):
        self.tell("begin")

    def end(self):
        return self.ask("end")

    def close(self):
        self.tell("close")


def start_publisher(*options):
    """It ends with this process, and with the case that started it (end_publishers())."""
    publisher = subprocess.Popen([PROGRAMS / "publish", *map(str, options)], stdout=subprocess.PIPE,
                                 text=True)
    _publishers.append(publisher)
    return publisher


def end_publishers():
    """A case that failed or was interrupted may have left one, which would disturb those that
    follow."""
    while _publishers:
        publisher = _publishers.pop()
        publisher.kill()
        publisher.wait()
        publisher.stdout.close()


def result(publisher):
    try:
        out, _ = publisher.communicate(timeout=120)
    finally:
        publisher.kill()
        publisher.wait()
        _publishers.remove(publisher)
    if publisher.returncode:
        raise RuntimeError(f"publish ended with status {publisher.returncode}")
    return json.loads(out)


def publish(*options):
    return result(start_publisher(*options))


def nats_publish(*options):
    """Acknowledged messages a second."""
    done = subprocess.run([PROGRAMS / "nats_publish", *map(str, options)], check=True, timeout=120,
                          capture_output=True, text=True)
    found = json.loads(done.stdout)
    return found["acknowledged"] / found["seconds"]


def family(pid):
    """A process and all that descend from it."""
    children = {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(
                int(folder.name)
            )
    pids = [pid]
    for member in pids:
        pids += children.get(member, [])
    return pids


def memory(pids):
    """(RSS, PSS) of the processes together, bytes."""
    rss = pss = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name == "Rss":
                rss += int(rest.split()[0]) * 1024
            elif name == "Pss":
                pss += int(rest.split()[0]) * 1024
    return rss, pss
