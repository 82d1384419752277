"""Three NATS servers and two brokers fail, in an order drawn by lot: what was acknowledged reaches
every reader it concerns once and in order, whichever of them was killed, the stream's leader
included.

SEED=n repeats a schedule; FAULT_SECONDS=n makes it longer. `make soak` runs many of them.
"""

import os
import shutil

import pytest
from support.cluster import FaultyCluster
from support.nats import SERVER

pytestmark = pytest.mark.skipif(not shutil.which(SERVER), reason="no nats-server")

SECONDS = float(os.environ.get("FAULT_SECONDS", "10"))


def test_a_killed_program_loses_and_doubles_no_event(bench, seed):
    cluster = FaultyCluster(bench, seed, keyed=0.4)
    cluster.round(SECONDS)
    print(f"{cluster.verdict}, {len(cluster.log)} faults and ends of faults, {cluster.counters}")
    assert cluster.verdict.expected > 10 * SECONDS and cluster.verdict.gaps == 0


def test_workers_that_turn_from_broker_to_broker_lose_and_double_no_event(bench, seed):
    cluster = FaultyCluster(bench, seed, readers=60, keyed=0.4, roam=True)
    cluster.round(SECONDS, stretch=3)
    print(f"{cluster.verdict}, {len(cluster.log)} faults and ends of faults, {cluster.counters}")
    assert cluster.verdict.expected > 5 * SECONDS and cluster.verdict.gaps == 0


def test_members_of_a_cluster_join_and_leave_once(bench, seed):
    cluster = FaultyCluster(bench, seed, readers=30, rate=60, members=20)
    cluster.round(SECONDS * 0.4, stretch=0.5)
    print(f"{cluster.verdict}, {len(cluster.log)} faults and ends of faults, "
          f"{len(cluster.population.changes)} joins and leaves of {cluster.population.counts}")
    assert cluster.verdict.gaps == 0 and len(cluster.population.changes) > 20
