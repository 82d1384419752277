"""What all end-to-end tests have: a bench that ends what they started, and a site that stands."""

import itertools
import pathlib
import re
import resource
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.bench import Bench, open_benches  # noqa: E402
from support.browser import Browser  # noqa: E402
from support.relay import Relay  # noqa: E402
from support.site import Site  # noqa: E402

_numbers = itertools.count(1)


def _raise_descriptor_limit():
    """To what is allowed, for us and the programs that we start: a reader is a descriptor here, and three on the other side."""
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


@pytest.fixture(scope="module")
def chromium(bench_of_all):
    with Browser(bench_of_all.subfolder("chromium")) as browser:
        yield browser


@pytest.fixture
def relay(site):
    """A relay before the site's web server."""
    with Relay(site.web.port) as relay:
        yield relay


@pytest.fixture(scope="module")
def site():
    """One site for all tests of a file, with lighttpd and two workers. Tests share it: they use sessions of their own."""
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
