"""Workers fail, fall behind and are restarted: their clients come back and miss nothing."""

import signal
import statistics
import subprocess
import threading
import time

import pytest
from support import processes
from support.broker import Broker
from support.fcgi import FastCgi
from support.reader import wait_all, wait_all_open
from support.site import Site
from support.waiting import wait_until
from support.worker import Worker


@pytest.fixture
def site(bench):
    return Site(bench, workers=2, worker={"drain": "1s", "retry": "100ms"})


class Publishing:
    """Publishes to sessions in the background, until it is left; keeps the numbers that were
    acknowledged."""

    def __init__(self, site, sessions, pause=0.002):
        self._client, self._sessions, self._pause = site.broker.commands(), sessions, pause
        self.count, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._client.close()

    def _run(self):
        while not self._stop.wait(self._pause):
            self._client.publish("m", data=self.count, to={"sessions": self._sessions})
            self.count += 1

    def wait(self, more):
        target = self.count + more
        wait_until(lambda: self.count >= target, what=f"{target} published")


def all_seen_once_in_order(readers, count):
    wait_all(readers, lambda r: len(r.events) >= count, f"{count} events", timeout=40)
    for reader in readers:
        assert reader.data() == [str(n) for n in range(count)], reader


def test_clients_of_a_killed_worker_come_back_and_miss_nothing(site):
    readers = [site.open(f"s{n}", stubborn=True, retry=0.05) for n in range(20)]
    with Publishing(site, [f"s{n}" for n in range(20)]) as publishing:
        for worker in site.workers:
            publishing.wait(100)
            worker.kill()
            publishing.wait(50)
            worker.start()
            wait_all(readers, lambda r: r._sock is not None and r.status == 200, "open again")
        publishing.wait(100)
    all_seen_once_in_order(readers, publishing.count)


def test_a_rolling_restart_loses_nothing(site):
    """With nothing but EventSource in the browsers: one status other than 200, and a stream would
    be gone for good."""
    readers = [site.open(f"s{n}", reconnect=True) for n in range(20)]
    with Publishing(site, [f"s{n}" for n in range(20)]) as publishing:
        for worker in site.workers:
            publishing.wait(50)
            worker.restart()
            wait_until(lambda w=worker: gets_streams(site, w), what="new streams come to it again")
        publishing.wait(100)
    all_seen_once_in_order(readers, publishing.count)
    assert all(r.opens >= 2 for r in readers)


def gets_streams(site, worker):
    """Does a new stream come to this worker?"""
    probe = site.open("probe")
    with FastCgi(worker.socket) as web:
        web.get("session=probe").wait_open()
        mine = (
            web.head["ssecast-connection"].partition("-")[0] == probe.connection.partition("-")[0]
        )
    probe.close()
    return mine


def test_a_stopping_worker_ends_its_streams_paced_and_each_with_its_own_retry(bench):
    site = Site(bench, worker={"drain": "2s", "retry": "10s"})
    readers = site.open_many([f"s{n}" for n in range(40)], keep_body=True)
    started = time.monotonic()
    site.worker.expect_end()
    site.worker.signal(signal.SIGTERM)
    ends = {}
    while len(ends) < 40:
        for reader in readers:
            if reader.ended:
                ends.setdefault(reader, time.monotonic() - started)
        assert time.monotonic() - started < 20, f"{len(ends)} ended"
        time.sleep(0.005)
    assert site.worker.wait() == 0
    assert all(r.complete for r in readers)
    assert max(ends.values()) - min(ends.values()) > 1  # seconds
    retries = {r.decoder.retry for r in readers}
    assert len(retries) > 20 and all(1000 <= r <= 10_000 for r in retries)


def test_while_draining_new_streams_are_asked_to_come_back(bench):
    site = Site(bench, worker={"drain": "5s", "retry": "1s"})
    site.open_many([f"s{n}" for n in range(10)])
    site.worker.expect_end()
    site.worker.signal(signal.SIGTERM)
    try:
        with FastCgi(site.worker.socket) as web:
            web.get("session=late").wait_end()
            assert web.head["status"] == 200 and b"retry:" in web.body
    except (FileNotFoundError, ConnectionRefusedError):
        pass  # no longer listening: the web server asks another worker
    site.worker.signal(signal.SIGTERM)  # a second one: at once
    assert site.worker.wait(2) == 0


def test_a_second_signal_ends_a_drain_at_once(bench):
    site = Site(bench, worker={"drain": "60s"})
    site.open_many([f"s{n}" for n in range(10)])
    site.worker.expect_end()
    site.worker.signal(signal.SIGTERM)
    time.sleep(0.3)  # two signals sent at once may be one
    site.worker.signal(signal.SIGTERM)
    site.worker.wait(5)


def test_a_worker_that_fell_behind_catches_up_in_order(site):
    readers = [site.open(f"s{n}") for n in range(6)]
    sessions = [f"s{n}" for n in range(6)]
    site.worker.freeze()
    total = 3000
    site.commands.publish_many(
        [{"event": "m", "data": n, "to": {"sessions": sessions}} for n in range(total)], timeout=60
    )
    site.worker.thaw()
    all_seen_once_in_order(readers, total)
    assert all(r.opens == 1 for r in readers)


def test_a_frozen_worker_never_holds_others_up(site):
    readers = [site.open_counted(f"s{n}") for n in range(6)]
    held = {c["session"] for c in site.commands.connections()["connections"]
            if c["worker"] == worker_of(site, readers[0])}
    mine = [r for n, r in enumerate(readers) if f"s{n}" not in held]
    frozen = freeze_worker_of(site, readers[0])
    started = time.monotonic()
    site.publish("m", data=1)
    wait_all(mine, lambda r: r.events, "the event")
    assert mine and time.monotonic() - started < 5
    frozen.thaw()
    wait_all(readers, lambda r: r.events, "the event")


def worker_of(site, reader):
    wait_until(lambda: any(c["connection"] == reader.connection
                           for c in site.commands.connections()["connections"]), what="listed")
    return next(c["worker"] for c in site.commands.connections()["connections"]
                if c["connection"] == reader.connection)


def freeze_worker_of(site, reader):
    """Find the worker process that holds the reader's stream: the one whose end would be the
    reader's."""
    prefix = reader.connection.partition("-")[0]
    for worker in site.workers:
        with FastCgi(worker.socket) as web:
            web.get("session=probe").wait_open()
            if web.head["ssecast-connection"].startswith(prefix):
                worker.freeze()
                return worker
    raise AssertionError(f"no worker for {reader.connection}")


def test_a_killed_worker_s_connections_are_forgotten_within_the_lease(bench):
    site = Site(bench, broker={"worker_lease": "3s"})
    for _ in range(3):
        site.open("anna")
    site.wait_connections("anna", 3)
    site.worker.kill()
    site.wait_connections("anna", 0, timeout=10)


def test_a_worker_that_ends_in_order_takes_its_connections_along_at_once(bench):
    site = Site(bench)
    for _ in range(3):
        site.open("anna")
    site.wait_connections("anna", 3)
    site.worker.stop()
    site.wait_connections("anna", 0, timeout=5)


def test_the_web_server_s_restart_brings_everybody_back(bench):
    site = Site(bench)
    readers = [site.open(f"s{n}", reconnect=True, retry=0.05) for n in range(20)]
    site.publish("m", data=0)
    site.web.kill()
    site.publish("m", data=1)
    site.web.start()
    wait_all(readers, lambda r: r.opens >= 2, "open again")
    site.publish("m", data=2)
    all_seen_once_in_order(readers, 3)


# An LD_PRELOAD library: who writes this word finds that the reader has left.
BROKEN_PIPE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    ssize_t (*real)(int, const struct msghdr *, int);
    *(void **)&real = dlsym(RTLD_NEXT, "sendmsg");
    for (size_t i = 0; i < m->msg_iovlen; i++)
        if (memmem(m->msg_iov[i].iov_base, m->msg_iov[i].iov_len, "broken pipe", 11))
            return errno = EPIPE, -1;
    return real(fd, m, flags);
}
"""


@pytest.mark.skipif(processes.SANITIZED, reason="a sanitizer cannot have a library before it")
def test_a_stream_whose_write_fails_is_reported_at_once(bench):
    """And not when a timer of the worker is due, half a second later on average."""
    library = bench.folder / "broken-pipe.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-xc", "-", "-o", library, "-ldl"], input=BROKEN_PIPE,
                   text=True, check=True)
    broker = Broker(bench).start()
    worker = Worker(bench, broker)
    worker.env = processes.clean_environment(LD_PRELOAD=str(library))
    worker.start()
    commands, took = bench.closing(broker.commands()), []
    for n in range(9):
        with FastCgi(worker.socket) as web:
            web.get("session=anna").wait_open()
            wait_until(lambda: commands.connections_of("anna") == 1)
            time.sleep(0.11 * n)
            began = time.monotonic()
            commands.publish("m", data="broken pipe", to={"sessions": ["anna"]})
            wait_until(lambda: commands.connections_of("anna") == 0)
            took.append(time.monotonic() - began)
    assert statistics.median(took) < 0.25, took
