"""Sites under faults, one after the other, each for some rounds; every round is judged."""

from support.bench import Bench
from support.faults import FaultySite

_ROUND = 20   # seconds
_ROUNDS = 6   # of one site


def run(seed, seconds, progress):
    """Raises AssertionError with all that the checker has to say, the seed among it."""
    site_number = 0
    while progress.seconds() < seconds:
        durable = site_number % 3 != 2
        one_site(seed + site_number, durable, seconds, progress)
        site_number += 1


def one_site(seed, durable, seconds, progress):
    progress.keep(f"SEED={seed}, a broker {'with a store on disk' if durable else 'without a memory'}")
    with Bench() as bench:
        site = FaultySite(bench, seed, durable)
        for n in range(_ROUNDS):
            left = seconds - progress.seconds()
            if left <= 0 and n:
                break
            site.round(min(_ROUND, max(5, left)), progress=lambda what, n=n: progress.show(f"round {n + 1} of SEED={seed}: {what}"))
            progress.keep(f"round {n + 1}: {site.verdict}, {len(site.log)} faults and ends of faults")
