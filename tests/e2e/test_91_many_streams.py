"""Many streams: everything arrives, everywhere, in order."""

import resource

import pytest
from support.apache import Apache, ApacheHandoff
from support.lighttpd import Lighttpd
from support.nginx import Nginx
from support.reader import wait_all
from support.site import Site
from support.waiting import wait_until

SIZES = [(Lighttpd, 1000), (Apache, 1000), (ApacheHandoff, 1000), (Nginx, 1000)]


@pytest.mark.parametrize("web, count", SIZES, ids=[f"{w.name}-{n}" for w, n in SIZES])
def test_many_streams_get_five_events_each_in_order(bench, web, count):
    site = Site(bench, web=web)
    readers = site.open_many([f"s{n}" for n in range(count)])
    seqs = [str(site.publish("m", data=n)["seq"]) for n in range(5)]
    wait_all(readers, lambda r: len(r.events) >= 5, "5 events")
    for reader in readers:
        assert [(e.data, e.id) for e in reader.events] == list(zip("01234", seqs))


def test_each_of_many_sessions_gets_its_own_events(bench):
    site = Site(bench, workers=2)
    readers = site.open_many([f"s{n}" for n in range(500)])
    site.commands.publish_many(
        [{"event": "m", "data": n, "to": {"sessions": [f"s{n % 500}"]}} for n in range(5000)]
    )
    wait_all(readers, lambda r: len(r.events) >= 10, "10 events")
    for n, reader in enumerate(readers):
        assert reader.data() == [str(n + 500 * i) for i in range(10)]


def test_a_thousand_streams_come_back_at_once_and_miss_nothing(bench):
    site = Site(bench)
    readers = site.open_many([f"s{n}" for n in range(1000)], reconnect=True, retry=0.01)
    site.publish("m", data=0)
    wait_all(readers, lambda r: r.events, "the first event")
    for reader in readers:
        reader.cut()
    for n in range(1, 20):
        site.publish("m", data=n)
    wait_all(readers, lambda r: len(r.events) >= 20, "20 events", timeout=60)
    for reader in readers:
        assert reader.data() == [str(n) for n in range(20)]


@pytest.mark.alone
@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 20000,
                    reason="needs 20,000 descriptors (ulimit -Hn)")
def test_8900_streams_through_one_lighttpd_all_receive_a_broadcast(bench):
    site = Site(bench, worker={"heartbeat": "60s"})
    readers = site.open_many([f"s{n}" for n in range(8900)], timeout=120)
    wait_until(lambda: site.stat("connections") == 8900, what="the broker counts all")
    reply = site.publish("m", data="to all")
    wait_all(readers, lambda r: r.events, "the broadcast", timeout=60)
    assert reply["online"] == 8900
    assert all(r.data() == ['"to all"'] and r.opens == 1 for r in readers)
