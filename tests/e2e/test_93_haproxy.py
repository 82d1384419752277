"""HAProxy speaks FastCGI to a worker, and first asks for its values."""

import time

import pytest
from support.haproxy import Haproxy
from support.site import Site


@pytest.fixture
def site(bench):
    return Site(bench, web=Haproxy, worker={"heartbeat": "300ms"})


def test_events_arrive_and_a_stream_resumes(site):
    reader = site.open("anna")
    site.commands.publish("m", text="first", to={"sessions": ["anna"]})
    reader.wait_for(1)
    site.commands.publish("m", text="second", to={"sessions": ["anna"]})
    again = site.open("anna", last_event_id=reader.events[0].id)
    again.wait_for(1)
    assert [e.data for e in again.events] == ["second"]


def test_events_are_not_held_back(site):
    """Without its `option http-no-delay` HAProxy holds back each event for 250 ms.
    docs/configure.md says so."""
    reader, took = site.open("anna"), []
    for n in range(10):
        before = time.monotonic()
        site.commands.publish("m", data=n)
        reader.wait_for(n + 1)
        took.append(time.monotonic() - before)
    assert min(took) < 0.2


def test_many_streams_share_one_backend(site):
    readers = site.open_many([f"s{n}" for n in range(50)])
    site.commands.publish("m", text="to all")
    for reader in readers:
        reader.wait_for(1)
