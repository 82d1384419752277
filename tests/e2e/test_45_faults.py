"""Everything fails, in an order drawn by lot: what was acknowledged reaches every reader it
concerns once and in order.

SEED=n repeats a schedule; FAULT_SECONDS=n makes it longer. `make soak` runs many of them.
"""

import os

import pytest
from support import liar
from support.apache import ApacheHandoff
from support.faults import FaultySite

SECONDS = float(os.environ.get("FAULT_SECONDS", "7"))


def go_through(site, seconds, **how):
    site.round(seconds, **how)
    print(f"{site.verdict}, {len(site.log)} faults and ends of faults, {site.counters}")


def test_with_a_durable_broker_nothing_is_lost_and_no_gap_is_sent(bench, seed):
    site = FaultySite(bench, seed, keyed=0.4)
    go_through(site, SECONDS)
    assert site.verdict.expected > 10 * SECONDS and site.verdict.gaps == 0


def test_with_keys_that_change_nothing_is_lost(bench, seed):
    site = FaultySite(bench, seed, keys=True)
    go_through(site, SECONDS)
    assert site.verdict.expected > 10 * SECONDS and site.verdict.gaps == 0
    assert "keys reloaded" in site.broker.log()


def test_streams_whose_sockets_were_handed_over_lose_nothing(bench, seed):
    site = FaultySite(bench, seed, web=ApacheHandoff, workers=1, keyed=0.4)
    go_through(site, SECONDS)
    assert site.verdict.expected > 10 * SECONDS and site.verdict.gaps == 0


def test_with_a_broker_without_a_store_lost_events_are_reported_as_a_gap(bench, seed):
    site = FaultySite(bench, seed, durable=False, keyed=0.4)
    go_through(site, SECONDS / 2)
    assert site.verdict.gaps > 0


def test_members_join_and_leave_once(bench, seed):
    site = FaultySite(bench, seed, readers=30, rate=60, members=20)
    go_through(site, SECONDS * 0.6, stretch=0.5)
    print(f"{len(site.population.changes)} joins and leaves of {site.population.counts}")
    assert site.verdict.gaps == 0 and len(site.population.changes) > 20


def test_the_members_of_a_broker_without_a_store_are_those_that_are_connected(bench, seed):
    site = FaultySite(bench, seed, readers=30, rate=60, members=20, durable=False)
    go_through(site, SECONDS / 2, stretch=0.5)


@pytest.mark.parametrize("lie, complaint", [
    (liar.lose, "did not see"), (liar.swap, "out of order"), (liar.double, "twice")
], ids=lambda x: getattr(x, "__name__", ""))
def test_the_checker_finds_one_falsified_event(bench, seed, lie, complaint):
    planted = liar.Liar(lie)
    site = FaultySite(bench, seed, readers=30, rate=300, tamper=planted.tamper)
    site.round(0.5, quiet=True)
    planted.arm()
    with pytest.raises(AssertionError) as caught:
        for _ in range(20):
            site.round(0.5, quiet=True)
    assert planted.told
    complaints = [c for c in site.verdict.complaints if c]
    assert any(complaint in c for c in complaints)
    assert len({c.split(":")[0] for c in complaints}) == 1, caught.value
