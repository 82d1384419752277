"""make soak: faults for SOAK minutes, then POWER power failures, then an even load for LOAD
minutes. SEED=n repeats faults and power failures."""

import argparse
import os
import random
import resource
import sys

from . import faults, load, power
from .progress import Progress


def main():
    p = argparse.ArgumentParser(prog="soak", description=__doc__)
    p.add_argument("--faults", type=float, default=10, metavar="MINUTES",
                   help="how long things fail (10)")
    p.add_argument("--power", type=int, default=10_000, metavar="N",
                   help="how many power failures (10000)")
    p.add_argument("--load", type=float, default=10, metavar="MINUTES",
                   help="how long the even load lasts (10)")
    p.add_argument("--streams", type=int, default=8900, help="of the even load (8900)")
    p.add_argument("--rate", type=float, default=20,
                   help="its events a second, each to every stream (20)")
    options = p.parse_args()
    raise_descriptor_limit()
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1, 1_000_000))
    try:
        if options.faults:
            faults.run(seed, options.faults * 60, Progress())
        if options.power:
            power.run(seed, options.power, Progress())
        if options.load:
            load.run(options.streams, options.rate, options.load * 60, Progress())
    except AssertionError as e:
        print(e, file=sys.stderr)
        return 1
    return 0


def raise_descriptor_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE,
                       (hard if hard != resource.RLIM_INFINITY else 65536, hard))


sys.exit(main())
