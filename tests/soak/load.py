"""Thousands of streams through one lighttpd under an even load: everything arrives in order, and
memory stays flat.

The history's and the window's limits are reached early, so that from then on nothing has a reason
to grow.
"""

import time

from bench.tools import Load, result, start_publisher
from support.bench import Bench
from support.site import Site

_SAMPLE = 5          # seconds between two looks at the memory
_WARM_UP = 0.3       # of the whole time
# of a process's memory, and _GROWTH_LEAST bytes: what it may grow by after that
_GROWTH = 0.02
_GROWTH_LEAST = 2 << 20


def run(streams, rate, seconds, progress):
    with Bench() as bench:
        site = Site(bench, workers=2, worker={"window_bytes": "256K", "retry": "1s"},
                    broker={"store": str(bench.folder / "store"),
                            "history_events": max(100, int(rate * seconds / 10))})
        programs = [site.broker, *site.workers, site.web]
        with Load(bench.folder, site.web.port) as client:
            took = client.open(streams, "/sse?session=s%n", seconds=120)
            progress.keep(f"{streams} streams are open, after {took:.1f} s; "
                          f"{rate:g} events a second, each to every stream")
            publisher = start_publisher("--dealer", site.broker.endpoint("commands"), "--rate",
                                        rate, "--seconds", seconds)
            client.begin()
            samples = watch(programs, seconds, progress)
            published = result(publisher)
            client.wait(published["events"], 60)
            judge(streams, published, client.end(), programs, samples, progress)


def watch(programs, seconds, progress):
    """(seconds, {program: bytes}) now and then."""
    samples, started = [], time.monotonic()
    while (now := time.monotonic() - started) < seconds:
        samples.append((now, {p.name: p.resident() for p in programs}))
        line = ", ".join(f"{name} {rss / 1e6:.1f} MB" for name, rss in samples[-1][1].items())
        progress.show(line)
        if len(samples) % 12 == 1:
            progress.keep(line)
        time.sleep(_SAMPLE)
    return samples


def judge(streams, published, seen, programs, samples, progress):
    expected = published["events"] * streams
    progress.keep(f"{published['events']} events, {seen['events']} of {expected} deliveries, "
                  f"p50 {seen['p50_ms']:.0f} ms, p99 {seen['p99_ms']:.0f} ms")
    problems = [f"{seen[what]} {what}"
                for what in ("lost", "disordered", "gaps", "ended", "refused") if seen[what]]
    if seen["events"] != expected:
        problems.append(f"{seen['events']} deliveries instead of {expected}")
    if published["failed"] or published["unanswered"]:
        problems.append(f"publisher: {published}")
    for p in programs:
        grown, allowed = growth([(t, rss[p.name]) for t, rss in samples])
        progress.keep(f"{p.name}: {samples[-1][1][p.name] / 1e6:.1f} MB, grew by {grown / 1e3:.0f} "
                      f"kB after the warm-up (allowed {allowed / 1e3:.0f})")
        if grown > allowed:
            problems.append(f"{p.name} grew by {grown / 1e6:.1f} MB")
    assert not problems, "\n".join(problems)


def growth(samples):
    """(bytes that a straight line through what follows the warm-up gains, what it may)."""
    last = samples[-1][0]
    points = [(t, rss) for t, rss in samples if t >= last * _WARM_UP]
    middle = sum(t for t, _ in points) / len(points)
    mean = sum(rss for _, rss in points) / len(points)
    spread = sum((t - middle) ** 2 for t, _ in points)
    slope = sum((t - middle) * (rss - mean) for t, rss in points) / spread if spread else 0
    return slope * (points[-1][0] - points[0][0]), max(_GROWTH_LEAST, _GROWTH * mean)
