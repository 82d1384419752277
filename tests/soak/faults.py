"""Sites under faults, one after the other, each for some rounds; every round is judged.

In each second round what fails may fail for long, longer than the lease and the silence after which
the other side is taken for gone.
"""

from support.apache import ApacheBalancer, ApacheHandoff
from support.bench import Bench
from support.cluster import FaultyCluster
from support.faults import FaultySite

_ROUND = 20   # seconds
_ROUNDS = 4   # of one site
_LONG = 9     # how many times as long as usual


class SiteWithMembers(FaultySite):
    """What fails in a first round may fail for longer than in the tests."""

    grace, lease = 9, 6


class ClusterWithMembers(FaultyCluster):
    grace, lease = 10, 10


# Which of them it is, the seed says.
_SITES = [
    ("a store on disk", FaultySite, {}),
    ("three NATS servers and two brokers", FaultyCluster, {}),
    ("three NATS servers and workers that know both brokers", FaultyCluster,
     {"roam": True, "keyed": 0.4, "readers": 60}),
    ("a store on disk and keys", FaultySite, {"keys": True}),
    ("a store on disk and Apache", FaultySite, {"web": ApacheBalancer}),
    ("a store on disk and sockets handed over by Apache", FaultySite,
     {"web": ApacheHandoff, "workers": 1}),
    ("a broker without a memory", FaultySite, {"durable": False}),
    ("a history that is too small", FaultySite, {"history_events": 100}),
    ("members and a store on disk", SiteWithMembers, {"members": 40, "readers": 60}),
    ("members and two brokers", ClusterWithMembers, {"members": 40, "readers": 60}),
    ("members and a broker without a memory", SiteWithMembers,
     {"members": 40, "readers": 60, "durable": False}),
]


def run(seed, seconds, progress):
    """Raises AssertionError with all that the checker has to say, the seed among it."""
    while progress.seconds() < seconds:
        one_site(seed, *_SITES[seed % len(_SITES)], seconds, progress)
        seed += 1


def one_site(seed, what, make, options, seconds, progress):
    progress.keep(f"SEED={seed}: {what}")
    with Bench() as bench:
        site = make(bench, seed, **options)
        for n in range(_ROUNDS):
            left = seconds - progress.seconds()
            if left <= 0 and n:
                break
            stretch = _LONG if n % 2 else 1
            site.round(
                min(_ROUND, max(5, left)), stretch=stretch,
                progress=lambda what, n=n: progress.show(f"round {n + 1} of SEED={seed}: {what}")
            )
            site.wait_presence()
            progress.keep(f"round {n + 1}: {site.verdict}, "
                          f"{len(site.log)} faults and ends of faults")
