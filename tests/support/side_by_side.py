"""Tests side by side: which ones share a process, in which order they begin, and which have the machine to themselves.

pytest-xdist (`-n 6 --dist loadgroup`) starts processes and hands them groups of tests. Those tests of a file that share a fixture
are one group, so that the fixture is made once. Tests of several files that need the browser are one group too, because it takes
long to start. Every other test is a group of its own.

A test marked `alone` takes what the others need: nearly all descriptors, or both cores. No other test of the run goes on meanwhile.
"""

import fcntl

import pytest

# Files that use the browser so much that they are groups of their own.
_BROWSING = ("test_70_examples", "test_94_tls", "test_95_browser", "test_96_demo", "test_98_module")

# Groups of tests that share a fixture and take longest together. They begin first, so that none of them is the last to end.
_LONG = ("test_98_module", "test_70_examples", "test_95_browser", "test_72_readers", "test_96_demo", "chromium", "test_64_pgsql", "test_31_crossed",
         "test_61_library", "test_94_tls", "test_57_http_publish", "test_17_status", "test_30_slow_readers", "test_54_tokens", "test_62_php",
         "test_56_hostile", "test_99_install", "test_60_cli", "test_14_presence", "test_25_state", "test_90_web_servers", "test_55_keys")

# Tests without such a fixture that take longest: they follow.
_LONG_TESTS = ("test_43_store", "test_82_partition", "test_47_power", "test_81_cluster_faults", "test_14_presence", "test_80_cluster",
               "test_99_install", "test_40_broker_restarts", "test_47_order", "test_45_faults")


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
    return {name: definitions[-1].scope for name, definitions in item._fixtureinfo.name2fixturedefs.items()}


def _rank(item):
    group = _group(item)
    if group == "alone":
        return 0
    if group in _LONG:
        return 1 + _LONG.index(group)
    if not group and item.path.stem in _LONG_TESTS:
        return 1 + len(_LONG)
    return 2 + len(_LONG)


def plain_name(nodeid):
    """A test's name without the group, which pytest-xdist appends to it."""
    return nodeid.rpartition("@")[0] if nodeid.rfind("@") > nodeid.rfind("]") else nodeid


class Floor:
    """Held by a test while it runs: together with others, or alone. folder: the run's own.

    There are two locks, so that a test alone need not wait for a moment without any test: behind the gate no further test begins.
    """

    def __init__(self, folder):
        self._gate, self._floor = (open(folder / name, "a", encoding="utf-8") for name in ("gate", "floor"))
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
