"""Sites under faults, one after the other, each for some rounds; every round is judged.

In each second round what fails may fail for long, longer than the lease and the silence after which the other side is taken for gone.
"""

from support.apache import ApacheBalancer
from support.bench import Bench
from support.faults import FaultySite, GracefulLighttpd

_ROUND = 20   # seconds
_ROUNDS = 6   # of one site
_LONG = 9     # how many times as long as usual


def run(seed, seconds, progress):
    """Raises AssertionError with all that the checker has to say, the seed among it."""
    site_number = 0
    while progress.seconds() < seconds:
        durable, web = site_number % 3 != 2, ApacheBalancer if site_number % 3 == 1 else GracefulLighttpd
        one_site(seed + site_number, durable, web, seconds, progress)
        site_number += 1


def one_site(seed, durable, web, seconds, progress):
    progress.keep(f"SEED={seed}, {web.name}, a broker {'with a store on disk' if durable else 'without a memory'}")
    with Bench() as bench:
        site = FaultySite(bench, seed, durable, web=web)
        for n in range(_ROUNDS):
            left = seconds - progress.seconds()
            if left <= 0 and n:
                break
            stretch = _LONG if n % 2 else 1
            site.round(min(_ROUND, max(5, left)), stretch=stretch, progress=lambda what, n=n: progress.show(f"round {n + 1} of SEED={seed}: {what}"))
            site.wait_presence()
            progress.keep(f"round {n + 1}: {site.verdict}, {len(site.log)} faults and ends of faults")
