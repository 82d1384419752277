"""Everything fails, in an order drawn by lot: what was acknowledged reaches every reader it concerns once and in order.

SEED=n repeats a schedule; FAULT_SECONDS=n makes it longer. `make soak` runs many of them.
"""

import os
import random

import pytest
from support.faults import FaultySite

SECONDS = float(os.environ.get("FAULT_SECONDS", "10"))


@pytest.fixture
def seed():
    """Printed, so that what failed can be repeated."""
    n = int(os.environ.get("SEED") or random.SystemRandom().randrange(1, 1_000_000))
    print(f"SEED={n}")
    return n


def test_with_a_durable_broker_nothing_is_lost_and_no_gap_is_told(bench, seed):
    site = FaultySite(bench, seed)
    site.round(SECONDS)
    print(f"{site.verdict}, {len(site.log)} faults and ends of faults, {site.counters}")
    assert site.verdict.expected > 10 * SECONDS and site.verdict.gaps == 0
