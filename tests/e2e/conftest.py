"""What all end-to-end tests have: a bench that ends what they started, and a site that stands."""

import itertools
import os
import pathlib
import random
import re
import resource
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.bench import Bench, open_benches  # noqa: E402
from support.browser import Browser, SharedBrowser  # noqa: E402
from support.relay import Relay  # noqa: E402
from support.side_by_side import Floor, arrange, plain_name  # noqa: E402
from support.site import Site  # noqa: E402

_numbers = itertools.count(1)


def _raise_descriptor_limit():
    """To what is allowed, for us and the programs that we start: a reader is a descriptor here, and
    three on the other side."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


_raise_descriptor_limit()


@pytest.fixture
def bench():
    """A bench of the test's own."""
    with Bench() as b:
        yield b


@pytest.fixture(scope="module")
def bench_of_all():
    """A bench for all tests of a file."""
    with Bench() as b:
        yield b


@pytest.fixture
def seed():
    """Of all that a test draws by lot. Printed: SEED=n repeats a run that failed."""
    n = int(os.environ.get("SEED") or random.SystemRandom().randrange(1, 1_000_000))
    print(f"SEED={n}")
    return n


@pytest.fixture(scope="session")
def shared_chromium():
    with Bench() as b:
        yield b.closing(SharedBrowser(b.subfolder("chromium")))


@pytest.fixture
def chromium(shared_chromium):
    """One for the tests of all files. Each finds an empty tab. What it leaves is closed, and its
    cookies are forgotten."""
    yield shared_chromium.take()
    shared_chromium.give_back()


@pytest.fixture(scope="module")
def whole_chromium(bench_of_all):
    """For tests of what a process of its own does for a tab, of the way back to a page, and of the
    browser that people have."""
    with Browser(bench_of_all.subfolder("chromium"), whole=True) as browser:
        yield browser


@pytest.fixture
def relay(site):
    """A relay before the site's web server."""
    with Relay(site.web.port) as relay:
        yield relay


@pytest.fixture(scope="module")
def site():
    """One site for all tests of a file, with lighttpd and two workers. Tests share it: they use
    sessions of their own."""
    with Bench() as b:
        yield Site(b, workers=2)


@pytest.fixture
def session(request):
    """A session name that no other test uses."""
    return re.sub(r"\W+", "-", request.node.name)[:60] + f"-{next(_numbers)}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With a failure, show the end of all programs' logs."""
    report = (yield).get_result()
    if report.failed:
        for bench in open_benches():
            report.sections.append(("programs", bench.report()))


# Side by side: see support/side_by_side.py. The first process starts the others and runs no test
# itself.

@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    arrange(items)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """In the first process: another one is about to be started."""
    config = node.config
    if not hasattr(config, "floor_folder"):
        config.floor_folder = tempfile.mkdtemp(prefix="ssecast-floor-")
        config.add_cleanup(lambda: shutil.rmtree(config.floor_folder))
    node.workerinput["floor"] = config.floor_folder


def pytest_configure(config):
    config.addinivalue_line("markers",
                            "alone: takes the whole machine; no other test runs at the same time")
    started = getattr(config, "workerinput", None)
    config.floor = Floor(pathlib.Path(started["floor"])) if started else None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    floor = item.config.floor
    if floor:
        floor.enter(bool(item.get_closest_marker("alone")))
    yield
    if floor:
        floor.leave(bool(nextitem and nextitem.get_closest_marker("alone")))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report):
    if hasattr(report, "node"):  # in the first process, from another one
        report.nodeid = plain_name(report.nodeid)
