"""A slow line between worker and broker: answers that come late are answers all the same."""

import pytest
from support.network import Network
from support.site import Site


class SlowSite(Site):
    """Its workers reach the broker's sync through .line."""

    def endpoints(self):
        self.line = self.bench.closing(Network(int(self.broker.endpoint("sync").rpartition(":")[2])))
        self.feed = self.bench.closing(Network(int(self.broker.endpoint("feed").rpartition(":")[2])))
        return {"sync": f"tcp://127.0.0.1:{self.line.port}", "feed": f"tcp://127.0.0.1:{self.feed.port}"}


@pytest.fixture
def site(bench):
    """A question is asked again after 2 s; here every answer takes 3."""
    site = SlowSite(bench, worker={"window_bytes": "0"})
    site.open("first").close()
    site.line.delay = 1.5
    return site


def publish(site, first, count):
    return [r["seq"] for r in site.commands.publish_many(
        [{"event": "m", "data": first + n, "to": {"sessions": ["anna"]}} for n in range(count)])]


def test_a_resume_that_only_the_broker_can_answer(site):
    start, *_ = publish(site, 0, 50)
    reader = site.start_open("anna", last_event_id=str(start))
    reader.wait_for(49)
    assert reader.data() == [str(n) for n in range(1, 50)]


def test_a_repair(site):
    reader = site.start_open("anna").wait_head()
    site.feed.cut()
    publish(site, 0, 50)
    reader.wait_for(50)
    assert reader.data() == [str(n) for n in range(50)] and reader.opens == 1
