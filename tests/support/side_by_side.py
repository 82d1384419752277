"""Tests side by side: which ones share a process, in which order they begin, and which have the
machine to themselves.

pytest-xdist (`-n 6 --dist loadgroup`) starts processes and hands them groups of tests. Those tests
of a file that share a fixture are one group, so that the fixture is made once. Tests of several
files that need the browser are one group too, because it takes long to start. Every other test is a
group of its own.

A test marked `alone` takes what the others need: nearly all descriptors, or both cores. No other
test of the run goes on meanwhile.
"""

import fcntl

import pytest

# Files with many tests in the browser. Each of them is a group of its own.
_BROWSING = ("test_70_examples", "test_94_tls", "test_95_browser", "test_96_demo", "test_98_module")

# What takes longest begins first, so that no process is left alone with much at the end. Seconds,
# roughly, of a run side by side:
# of a group, and of the longest other test of a file. What is not here begins last.
_GROUP_SECONDS = {
    "test_98_module": 310, "test_70_examples": 190, "test_72_readers": 130, "chromium": 130,
    "test_96_demo": 130, "test_64_pgsql": 130, "test_95_browser": 120, "test_31_crossed": 110,
    "test_61_library": 100, "test_94_tls": 100, "test_57_http_publish": 70, "test_17_status": 70,
    "test_30_slow_readers": 60, "test_54_tokens": 60, "test_62_php": 60, "test_56_hostile": 60,
    "test_99_install": 55, "test_60_cli": 50, "test_90_web_servers": 45, "test_71_conformance": 35,
    "test_55_keys": 34, "test_26_members": 30, "test_14_presence": 27, "test_25_state": 27,
    "test_35_mercure": 20, "test_63_php_frameworks": 18, "test_18_top": 9,
}
_OWN_SECONDS = {
    "test_95_browser": 34, "test_47_power": 30, "test_38_pairs_cluster": 28,
    "test_81_cluster_faults": 25, "test_80_cluster": 22,
    "test_82_partition": 22, "test_99_install": 22, "test_34_pairs_handoff": 15,
    "test_98_module": 14, "test_65_mqtt": 14, "test_84_services": 14,
    "test_45_faults": 13, "test_15_metrics": 13, "test_47_order": 11, "test_62_php": 11,
}


def arrange(items):
    """Give each test its group, and put the groups into the order in which they begin."""
    for item in items:
        group = _group(item)
        if group:
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_rank)


def _group(item):
    """None: it shares nothing."""
    fixtures, file = _fixtures(item), item.path.stem
    if item.get_closest_marker("alone"):
        return "alone"
    if "shared_chromium" in fixtures:
        return file if file in _BROWSING else "chromium"
    return file if "module" in fixtures.values() else None


def _fixtures(item):
    """Name and scope of each. pytest has no public way to ask for them."""
    return {name: definitions[-1].scope
            for name, definitions in item._fixtureinfo.name2fixturedefs.items()}


def _rank(item):
    """A test alone first, then by falling duration; a group stays together."""
    group = _group(item)
    seconds = _GROUP_SECONDS.get(group, 0) if group else _OWN_SECONDS.get(item.path.stem, 0)
    return group != "alone", -seconds


def plain_name(nodeid):
    """A test's name without the group, which pytest-xdist appends to it."""
    return nodeid.rpartition("@")[0] if nodeid.rfind("@") > nodeid.rfind("]") else nodeid


class Floor:
    """Held by a test while it runs: together with others, or alone. folder: the run's own.

    There are two locks, so that a test alone need not wait for a moment without any test: behind
    the gate no further test begins.
    """

    def __init__(self, folder):
        self._gate, self._floor = (open(folder / name, "a", encoding="utf-8")
                                   for name in ("gate", "floor"))
        self._alone = False

    def enter(self, alone):
        if self._alone:
            return
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        fcntl.flock(self._floor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        if not alone:
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        self._alone = alone

    def leave(self, next_alone):
        """A test alone leaves the floor to the next one, if that is alone too."""
        if self._alone and next_alone:
            return
        fcntl.flock(self._floor, fcntl.LOCK_UN)
        fcntl.flock(self._gate, fcntl.LOCK_UN)
        self._alone = False
