"""Under systemd: sockets that are passed and outlive a worker, and what the daemons tell the
service manager."""

import os
import signal
import socket

import pytest
from support import systemd
from support.broker import Broker
from support.fcgi import FastCgi
from support.lighttpd import Lighttpd
from support.processes import WORKER, Program, run
from support.reader import Readers, wait_all_open
from support.waiting import wait_until
from support.worker import Worker


@pytest.fixture
def manager(bench):
    return bench.closing(systemd.Manager(bench.folder / "notify.sock"))


@pytest.fixture
def listener(bench):
    return bench.closing(systemd.listen(bench.folder / "worker-1.sock"))


def activated(bench, broker, listener, name="worker", manager=None, **options):
    """A worker that got its socket from systemd; its own path is only where tests find it."""
    worker = Worker(bench, broker, name, listen=None, **options)
    if manager:
        worker.env = manager.environment
    return worker.start_activated(listener)


def test_a_worker_says_when_it_accepts_and_when_it_stops(bench, manager, listener):
    worker = activated(bench, Broker(bench).start(), listener, manager=manager)
    assert any(line.startswith("STATUS=accepting") for line in manager.wait_for("READY=1"))
    with FastCgi(listener.getsockname()) as web:
        web.get("session=a").wait_open()
        assert not manager.has_said("STOPPING=1")
        worker.stop()
    assert "STATUS=closing 1 streams" in manager.wait_for("STOPPING=1")


def test_a_worker_that_opened_its_socket_itself_says_so_too(bench, manager):
    worker = Worker(bench, Broker(bench).start())
    worker.env = manager.environment
    worker.start()
    manager.wait_for("READY=1")


@pytest.mark.parametrize("name", ["path", "abstract"])
def test_the_broker_says_when_it_is_bound_and_has_loaded(bench, name):
    address = bench.folder / "notify.sock" if name == "path" else f"@{bench.folder}/notify"
    manager = bench.closing(systemd.Manager(address))
    broker = Broker(bench, store=f"{bench.folder}/store")
    broker.env = manager.environment
    Program.start(broker)
    assert f"STATUS=history in {bench.folder}/store" in manager.wait_for("READY=1")
    with socket.socket() as s:
        s.connect(("127.0.0.1", int(broker.endpoint("sync").rpartition(":")[2])))
    broker.stop()
    manager.wait_for("STOPPING=1")


def test_a_passed_socket_and_what_waits_there_are_left_to_the_next_worker(bench, listener):
    broker = Broker(bench).start()
    path = listener.getsockname()
    worker = activated(bench, broker, listener)
    with FastCgi(path) as web:
        web.get("session=a").wait_open()
        worker.stop()
        web.wait_end()
    assert os.path.exists(path)
    with FastCgi(path) as web:
        web.get("session=b")
        activated(bench, broker, listener, "worker-again")
        web.wait_open()


def test_while_it_drains_a_passed_socket_is_not_accepted_from(bench, listener):
    broker = Broker(bench).start()
    worker = activated(bench, broker, listener, drain="60s")
    with FastCgi(listener.getsockname()) as a:
        a.get("session=a").wait_open()
        worker.expect_end()
        worker.signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in worker.log())
        with FastCgi(listener.getsockname()) as b:
            b.get("session=b")
            activated(bench, broker, listener, "worker-again")
            b.wait_open()
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0


def test_one_worker_restarted_behind_lighttpd_refuses_nobody(bench, listener):
    broker = Broker(bench).start()
    worker = activated(bench, broker, listener, heartbeat="1s", retry="100ms")
    worker.options["listen"] = listener.getsockname()
    web = Lighttpd(bench, [worker]).start()
    readers = bench.closing(Readers())
    streams = [readers.open(f"{web.url}?session=s{n}", reconnect=True) for n in range(20)]
    wait_all_open(streams)
    with broker.commands() as commands:
        for n in range(4):
            commands.publish("m", data=n)
            worker.stop()
            commands.publish("m", data=n + 100)
            worker.start_activated(listener)
        for stream in streams:
            stream.wait_for(8)
    assert [e.data for e in streams[0].events] == ["0", "100", "1", "101", "2", "102", "3", "103"]


def test_variables_that_are_meant_for_another_process_are_ignored(bench, listener):
    env = {"LISTEN_FDS": "1", "LISTEN_PID": "1"}
    done = run([WORKER], env={**os.environ, **env})
    assert done.returncode == 2 and "no socket for requests" in done.stderr


def refused(bench, listener, count=1, **options):
    """The exit status and the words of a worker that does not want what it is passed."""
    worker = Worker(bench, None, "refused", **options)
    worker.ok_statuses = (2,)
    Program.start(worker, argv=systemd.passed(listener, worker.argv, count),
                  pass_fds=[listener.fileno()])
    worker.expect_end()
    return worker.wait(), worker.log()


def test_a_passed_socket_and_listen_are_one_too_many(bench, listener):
    status, log = refused(bench, listener)
    assert status == 2 and "systemd passed a socket, too" in log


def test_more_sockets_than_one_are_refused(bench, listener):
    status, log = refused(bench, listener, count=2, listen=None)
    assert status == 2 and "LISTEN_FDS=2" in log


def test_what_is_no_listening_socket_is_refused(bench):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        status, log = refused(bench, other, listen=None)
    assert status == 2 and "LISTEN_FDS=1" in log
