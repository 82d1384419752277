"""Slow readers: one that falls behind and takes nothing is cut, and nobody else notices."""

import os
import pathlib
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.apache import Apache, ApacheHandoff
from support.bench import Bench
from support.fcgi import FastCgi
from support.lighttpd import Lighttpd
from support.nginx import Nginx
from support.seccomp import IO_URING_SETUP
from support.site import Site
from support.waiting import PATIENCE, patient, wait_until

TEXT = "x" * 10_000


@pytest.fixture(scope="module", params=[Lighttpd, Apache, ApacheHandoff, Nginx],
                ids=lambda w: w.name)
def tight(request):
    """A site that keeps at most 256 KB for one connection."""
    with Bench() as b:
        yield Site(b, web=request.param, worker={"queue_bytes": "256K"})


def flood(site, session, megabytes, readers=None):
    """Publish that much, at the pace of its replies, and of readers: {reader: how many events it
    has had}."""
    for n in range(megabytes * 10):
        site.commands.publish_many(
            [{"event": "m", "text": TEXT, "to": {"sessions": [session]}}] * 10
        )
        for reader, before in (readers or {}).items():
            reader.wait_for(before + 10 * (n + 1))


def flood_until_cut(site, session, left=0, readers=()):
    """Publish until the session has `left` streams. What is on the way to a reader holds some MB of
    it; 3 s later it is cut."""

    def counts():
        return {reader: len(reader.events) for reader in readers}

    flood(site, session, 4, counts())
    wait_until(lambda: site.commands.connections_of(session) == left
                   or flood(site, session, 1, counts()), pause=1, what="it is cut")


def cut_as_slow(site):
    return sum(v for k, v in site.commands.stats().items() if "slow" in k)


def test_one_that_never_reads_is_cut_and_counted(tight, session):
    before = cut_as_slow(tight)
    lazy = tight.start_open(session, receive_buffer=4096, paused=True).wait_head()
    tight.wait_connections(session, 1)
    flood_until_cut(tight, session)
    wait_until(lambda: cut_as_slow(tight) == before + 1, what="one cut as slow")
    lazy.close()


def test_others_get_everything_in_the_meantime(tight, session):
    lazy = tight.start_open(session, receive_buffer=4096, paused=True).wait_head()
    quick = tight.open(session)
    other = tight.open(session + "-other")
    tight.wait_connections(session, 2)
    flood_until_cut(tight, session, left=1, readers=[quick])
    started = time.monotonic()
    tight.publish("end", data=0)
    other.wait_type("end")
    assert time.monotonic() - started < 5
    quick.wait_type("end")
    assert all(e.data == TEXT for e in quick.events[:-1]) and quick.opens == 1
    lazy.close()


def test_one_that_was_cut_comes_back_and_misses_nothing(tight, session):
    lazy = tight.open(session, receive_buffer=4096, reconnect=True, retry=0.01)
    tight.wait_connections(session, 1)
    lazy.pause()
    total = 0

    def publish(count=100):
        nonlocal total
        tight.commands.publish_many([{"event": "m", "text": f"{total + n} {TEXT}",
                                      "to": {"sessions": [session]}} for n in range(count)])
        total += count

    publish(400)    # some MB are on the way to it; 3 s later it is cut
    wait_until(lambda: not tight.commands.connections_of(session) or publish(), pause=1,
               what="it is cut")
    lazy.resume()
    lazy.wait_for(total, timeout=60)
    assert [int(d.split()[0]) for d in lazy.data()] == list(range(total)) and lazy.opens >= 2


def test_lighttpd_sees_the_end_of_a_response_and_no_crash(bench):
    site = Site(bench, worker={"queue_bytes": "256K"})
    lazy = site.start_open("anna", receive_buffer=4096, paused=True).wait_head()
    site.wait_connections("anna", 1)
    flood_until_cut(site, "anna")
    lazy.resume()
    lazy.wait_end()
    assert cut_as_slow(site) == 1 and lazy.complete
    assert "gw_backend" not in site.web.log(), site.web.log()


def test_a_reader_over_its_budget_costs_the_worker_no_more_than_that(bench):
    site = Site(bench, worker={"queue_bytes": "64K"})
    lazy = []
    for n in range(50):
        web = FastCgi(site.worker.socket)
        lazy.append(web.get(f"session=s{n}").wait_open())
    before = site.worker.resident()
    for _ in range(30):
        site.commands.publish_many([{"event": "m", "text": TEXT}] * 50)
    wait_until(lambda: not any(site.commands.connections_of(f"s{n}") for n in range(50)),
               what="all cut")
    assert site.worker.resident() - before < 80 << 20
    for web in lazy:
        web.close()


# A burst beyond the budget

@pytest.mark.parametrize("web", [Lighttpd, Apache, ApacheHandoff, Nginx], ids=lambda w: w.name)
def test_a_batch_of_the_greatest_size_cuts_no_reader(bench, web):
    """All of it comes in one turn of the worker: 10,000 events of 200 bytes, twice as much as
    queue-bytes."""
    site = Site(bench, web=web)
    readers = [site.open("anna") for _ in range(2)]
    site.wait_connections("anna", 2)
    for batch in range(2):
        site.commands.publish_many([{"event": "m", "text": f"{batch * 10_000 + n} {'x' * 200}",
                                     "to": {"sessions": ["anna"]}} for n in range(10_000)])
    for reader in readers:
        reader.wait_for(20_000, timeout=60)
        assert ([int(d.split()[0]) for d in reader.data()] == list(range(20_000))
                and reader.opens == 1)
    assert cut_as_slow(site) == 0
    site.publish("end", data=0)
    for reader in readers:
        reader.wait_type("end")


def test_a_reader_that_keeps_reading_goes_on_from_the_window(bench):
    """It is far behind its budget, and slow, but neither stands still nor leaves the window."""
    site = Site(bench, worker={"queue_bytes": "64K", "heartbeat": "500ms"})
    with FastCgi(site.worker.socket) as web:
        web.get("session=anna").wait_open()
        site.commands.publish_many([
            {"event": "m", "text": f"{n} {TEXT}", "to": {"sessions": ["anna"]}} for n in range(400)
        ])
        site.publish("end", data=0)
        # All of it is decoded once: a reader that decodes it again after each piece is too slow on
        # a busy machine, and is cut.
        web.wait(lambda: b"end" in web.text[-100_000:] and web.events()[-1].type == "end",
                 "the end of the burst")
        assert [int(e.data.split()[0]) for e in web.events()[:-1]] == list(range(400))
    wait_until(lambda: site.commands.stats()["streams_behind"] == 1,
               what="the worker has reported it")
    assert site.commands.stats()["ends_slow"] == 0


# Readers that take nothing any more

@pytest.mark.parametrize("web", [Lighttpd, Apache, ApacheHandoff, Nginx], ids=lambda w: w.name)
def test_one_that_takes_nothing_any_more_is_cut_in_time_however_much_may_wait(bench, web):
    site = Site(bench, web=web,
                worker={"queue_bytes": "256M", "heartbeat": "500ms", "write_timeout": "1s"})
    lazy = site.start_open("anna", receive_buffer=4096, paused=True).wait_head()
    quick = site.open("anna")
    site.wait_connections("anna", 2)
    flood(site, "anna", 12, {quick: 0})
    site.wait_connections("anna", 1, timeout=8)
    wait_until(lambda: cut_as_slow(site) == 1, what="one cut as slow")
    site.publish("end", data=0)
    quick.wait_type("end")
    assert quick.opens == 1
    lazy.close()


def test_one_that_reads_slowly_and_steadily_is_never_cut(bench):
    limit = PATIENCE  # seconds without progress; we may be late with reading, but not by that
    site = Site(bench,
                worker={"queue_bytes": "64M", "heartbeat": "500ms", "write_timeout": patient(1)})
    with FastCgi(site.worker.socket) as web, ThreadPoolExecutor() as pool:
        web.get("session=anna").wait_open()
        began, published = time.monotonic(), pool.submit(flood, site, "anna", 3 + int(limit))
        while time.monotonic() < began + 2 * limit or not published.done():
            # Linux lets a local socket take more once three quarters of it were read: after four of
            # these.
            time.sleep(0.1)
            assert web.socket.recv(50_000)
        published.result()
        assert site.commands.connections_of("anna") == 1 and cut_as_slow(site) == 0


@pytest.mark.parametrize("web", [Lighttpd, Apache, ApacheHandoff], ids=lambda w: w.name)
def test_a_client_that_is_killed_is_gone_within_a_heartbeat(bench, web):
    site = Site(bench, web=web, worker={"heartbeat": "500ms"})
    client = subprocess.Popen(["curl", "-sN", site.url("anna")], stdout=subprocess.DEVNULL)
    site.wait_connections("anna", 1)
    client.kill()
    client.wait()
    site.wait_connections("anna", 0, timeout=3)


def test_others_wait_no_longer_because_of_many_that_do_not_read(bench):
    site = Site(bench, worker={"queue_bytes": "64M"})
    quick = site.open("quick")
    lazy = [site.start_open("lazy", receive_buffer=4096, paused=True).wait_head()
            for _ in range(30)]
    site.wait_connections("lazy", 30)
    flood(site, "lazy", 2)
    times = []
    for n in range(50):
        site.commands.send(
            {"op": "publish", "event": "m", "text": TEXT, "to": {"sessions": ["lazy"]}}
        )
        started = time.monotonic()
        site.commands.publish("ping", data=n, to={"sessions": ["quick"]})
        quick.wait_for(n + 1)
        times.append(quick.events[n].at - started)
    assert site.commands.connections_of("lazy") == 30
    assert sorted(times)[25] < 0.05 * PATIENCE and max(times) < 1 * PATIENCE, times
    for reader in lazy:
        reader.close()


# Many streams are written in one system call, where the kernel allows it.

def has_ring(worker):
    return any("io_uring" in os.readlink(fd)
               for fd in pathlib.Path(f"/proc/{worker.pid}/fd").iterdir())


@pytest.mark.parametrize("web", [Lighttpd, Apache, ApacheHandoff], ids=lambda w: w.name)
@pytest.mark.parametrize("how", ["together", "refused by a filter", "switched off"])
def test_however_streams_are_written_each_gets_all_and_a_slow_one_harms_nobody(bench, web, how):
    site = Site(bench, web=web, worker={"queue_bytes": "256K",
                                        **({"io_uring": False} if how == "switched off" else {})})
    if how == "refused by a filter":
        site.worker.restart_without(IO_URING_SETUP)
        wait_until(lambda: "io_uring is not available (Operation "
                   "not permitted)" in site.worker.log(), what="the worker says so")
    assert has_ring(site.worker) == (how == "together")

    slow = site.open("slow")
    readers = site.open_many([f"s{n % 5}" for n in range(40)])
    slow.pause()
    for n in range(30):
        site.commands.publish_many(
            [{"event": "m", "text": f"{n}" + "x" * 100_000, "to": {"sessions": ["slow"]}},
             {"event": "m", "text": f"{n}"},
             {"event": "m", "text": f"own {n}", "to": {"sessions": ["s3"]}}]
        )
    for number, reader in enumerate(readers):
        own = number % 5 == 3
        events = [e.data for e in reader.wait_for(60 if own else 30)]
        assert events == [text for n in range(30)
                          for text in ([f"{n}", f"own {n}"] if own else [f"{n}"])]
