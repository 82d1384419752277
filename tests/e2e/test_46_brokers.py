"""A worker that knows several brokers turns to another one when its own is silent; its streams stay
open."""

import pytest
from support.broker import Broker
from support.ports import free_port
from support.site import Site
from support.waiting import wait_until


class TwoBrokers(Site):
    """The worker knows both; `broker` is the first. They have each a memory of its own, so that a
    move shows as a gap."""

    def endpoints(self):
        self.other = Broker(self.bench, "other").start()
        both = (self.broker, self.other)
        return {"feed": [b.endpoint("feed") for b in both],
                "sync": [b.endpoint("sync") for b in both]}


@pytest.fixture
def site(bench):
    return TwoBrokers(bench)


def connections(broker, session):
    with broker.commands() as client:
        return client.connections_of(session)


def test_the_first_one_is_used_as_long_as_it_is_there(site):
    site.open("anna")
    site.wait_connections("anna", 1)
    assert connections(site.other, "anna") == 0


def test_when_it_is_gone_the_next_one_serves_the_streams_that_are_open(site):
    anna = site.open("anna")
    site.wait_connections("anna", 1)
    site.broker.kill()
    wait_until(lambda: connections(site.other, "anna") == 1, timeout=20,
               what="anna is known to the other broker")
    with site.other.commands() as client:
        client.publish("m", data="from the other one", to={"sessions": ["anna"]})
    anna.wait(lambda: "from the other one" in str(anna.data()), "the other broker's event")
    assert not anna.ended


def test_and_back_when_that_one_goes(site):
    anna = site.open("anna")
    site.broker.kill()
    wait_until(lambda: connections(site.other, "anna") == 1, timeout=20,
               what="anna is known to the other broker")
    site.broker.start()
    site.other.kill()
    site.wait_connections("anna", 1, timeout=20)
    site.commands.publish("m", data="home", to={"sessions": ["anna"]})
    anna.wait(lambda: "home" in str(anna.data()), "the first broker's event")


def test_at_the_start_it_takes_whichever_is_there(bench):
    brokers = [Broker(bench, "never"), Broker(bench, "there").start()]
    site = Site(bench, worker={"feed": [b.endpoint("feed") for b in brokers],
                               "sync": [b.endpoint("sync") for b in brokers]})
    site.open("anna")
    wait_until(lambda: connections(brokers[1], "anna") == 1, timeout=20,
               what="anna is known to the second broker")


def test_one_whose_feed_brings_nothing_is_left(bench):
    """It answers, and its events do not come: the next one's do."""
    brokers = [Broker(bench, "deaf").start(), Broker(bench, "whole").start()]
    site = Site(bench,
                worker={"feed": [f"tcp://127.0.0.1:{free_port()}", brokers[1].endpoint("feed")],
                        "sync": [b.endpoint("sync") for b in brokers], "broker_timeout": "2s"})
    anna = site.open("anna")
    wait_until(lambda: connections(brokers[1], "anna") == 1, timeout=20,
               what="anna is known to the second broker")
    with brokers[1].commands() as client:
        client.publish("m", data="heard", to={"sessions": ["anna"]})
    anna.wait(lambda: "heard" in str(anna.data()), "the second broker's event")
    assert not anna.ended
