"""Starting and stopping: ready when it says so, gone when asked, and clear about what is in the
way."""

import os
import shutil
import signal
import socket

import pytest
from support.broker import Broker
from support.fcgi import FastCgi
from support.ports import free_port
from support.processes import BROKER, WORKER, as_root, run
from support.options import arguments
from support.waiting import wait_until
from support.worker import Worker

ENDPOINTS = ("commands", "feed", "sync", "presence")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_programs_end_in_order_on_a_signal(bench, number):
    broker = Broker(bench).start()
    worker = Worker(bench, broker).start()
    for program in (worker, broker):
        program.expect_end()
        program.signal(number)
        assert program.wait() == 0


def test_a_broker_says_which_endpoint_is_taken(bench):
    broker = Broker(bench).start()
    for name in ENDPOINTS:
        others = {n: f"tcp://127.0.0.1:{free_port()}" for n in ENDPOINTS}
        done = run([BROKER, *arguments({**others, name: broker.endpoint(name)})])
        assert done.returncode == 1 and broker.endpoint(name) in done.stderr


def test_a_broker_without_a_presence_endpoint_starts_beside_another(bench):
    with socket.socket() as taken:
        try:
            taken.bind(("127.0.0.1", 5573))
        except OSError:
            pass  # in use already, which is as good
        broker = Broker(bench, presence=None).start()
    assert "--presence tcp://127.0.0.1:5573: cannot bind" in broker.log()


def test_a_second_broker_never_steals_an_ipc_endpoint(bench):
    options = {name: f"ipc://{bench.folder}/{name}" for name in ENDPOINTS}
    broker = Broker(bench, **options).start()
    assert run([BROKER, *arguments(options)]).returncode == 1
    with broker.commands() as client:
        client.ping()
    broker.stop()
    broker.start()


def test_the_broker_listens_to_commands_at_several_places(bench):
    places = [f"tcp://127.0.0.1:{free_port()}", f"ipc://{bench.folder}/commands"]
    broker = Broker(bench, commands=places).start()
    for place in places:
        broker.options["commands"] = place
        with broker.commands() as client:
            client.ping()


def test_the_worker_s_socket_has_the_configured_mode(bench):
    broker = Broker(bench).start()
    assert os.stat(Worker(bench, broker, "usual").start().socket).st_mode & 0o777 == 0o660
    assert os.stat(
        Worker(bench, broker, "open", listen_mode="0666").start().socket
    ).st_mode & 0o777 == 0o666


def test_a_worker_takes_over_the_socket_of_one_that_crashed(bench):
    broker = Broker(bench).start()
    worker = Worker(bench, broker).start()
    worker.kill()
    assert os.path.exists(worker.socket)
    worker.start()
    with FastCgi(worker.socket) as web:
        web.get("session=a").wait_open()


def test_a_worker_never_steals_the_socket_of_one_that_runs(bench):
    broker = Broker(bench).start()
    worker = Worker(bench, broker).start()
    done = run([WORKER, *arguments(worker.options)])
    assert done.returncode == 1 and worker.socket in done.stderr
    with FastCgi(worker.socket) as web:
        web.get("session=a").wait_open()


def test_a_worker_leaves_no_socket_behind(bench):
    worker = Worker(bench, Broker(bench).start()).start()
    worker.stop()
    assert not os.path.exists(worker.socket)


def test_a_worker_listens_on_tcp_too(bench):
    broker = Broker(bench).start()
    port = free_port()
    worker = Worker(bench, broker, listen=f"127.0.0.1:{port}")
    worker._listens = lambda: _answers(port)
    worker.start()
    with FastCgi(("127.0.0.1", port)) as web:
        web.get("session=a").wait_open()


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1"])
def test_a_worker_does_not_listen_beyond_the_machine_by_a_slip(host):
    done = run([WORKER, "--listen", f"{host}:9000", "--check-config"])
    assert (done.returncode == 2 and f"--listen {host}:9000" in done.stderr
            and "--allow-insecure" in done.stderr)
    assert run(
        [WORKER, "--listen", f"{host}:9000", "--allow-insecure", "--check-config"]
    ).returncode == 0
    assert run([WORKER, "--listen", "127.0.0.1:9000", "--check-config"]).returncode == 0


def test_a_worker_that_may_says_that_it_is_open(bench):
    port = free_port()
    worker = Worker(bench, Broker(bench).start(), listen=f"0.0.0.0:{port}", allow_insecure=True)
    worker._listens = lambda: _answers(port)
    worker.start()
    wait_until(lambda: "other hosts can reach this address" in worker.log(), what="the warning")


def test_an_abstract_socket_protects_nothing():
    for command in ([WORKER, "--listen", "@ssecast"], [BROKER, "--commands", "ipc://@ssecast"]):
        done = run([*command, "--check-config"])
        assert done.returncode == 2 and "@ssecast" in done.stderr


def _answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def test_a_worker_takes_its_listening_socket_as_descriptor_0(bench):
    broker = Broker(bench).start()
    worker = Worker(bench, broker, listen=None)
    path = str(bench.folder / "handed-over.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        worker.start_with_stdin(listener)
    with FastCgi(path) as web:
        web.get("session=a").wait_open()


def test_a_missing_directory_of_a_socket_is_named_with_how_to_make_it(tmp_path):
    missing = tmp_path / "missing"
    for argv in ([WORKER, "--listen", missing / "worker.sock"],
                 [BROKER, "--commands", f"ipc://{missing}/commands", "--presence",
                  f"tcp://127.0.0.1:{free_port()}"]):
        done = run(argv)
        assert done.returncode != 0
        assert (f"its directory {missing} does not exist; make it, as root: "
                "install -d -m 0750 -o " in done.stderr)


def test_a_store_whose_parent_is_missing_says_how_to_make_it(bench):
    missing = bench.folder / "not" / "there"
    done = run([BROKER, "--store", missing / "store"])
    assert (done.returncode == 1 and f"cannot make {missing}/store: "
            f"its directory {missing} does not exist; make it" in done.stderr)


def test_a_store_of_another_user_is_told(bench):
    if not as_root():
        pytest.skip("needs another user")
    folder = bench.subfolder("store")
    folder.chmod(0o755)
    program = shutil.copy2(BROKER, bench.subfolder("bin"))  # where that user surely may go
    done = run(["setpriv", "--reuid=65534", "--clear-groups", program, "--store", folder])
    assert (done.returncode == 1
            and f"its directory {folder} is not writable for the user nobody" in done.stderr)


def test_a_secret_of_another_user_is_told_with_the_user(bench):
    if not as_root():
        pytest.skip("needs another user")
    secret = bench.subfolder("secrets") / "jwt.secret"
    secret.write_text("0" * 64)
    secret.chmod(0o600)
    program = shutil.copy2(WORKER, bench.subfolder("bin"))
    done = run(["setpriv", "--reuid=65534", "--clear-groups", program, "--jwt-secret-file", secret,
                "--check-config"])
    assert (done.returncode == 2
            and done.stderr.endswith("jwt.secret: Permission denied for the user nobody\n"))


def test_without_a_socket_and_no_cgi_the_worker_says_what_it_needs(bench):
    done = run([WORKER])
    assert done.returncode in (1, 2)
    assert "listen" in done.stderr


def test_a_worker_that_cannot_listen_says_where(bench):
    done = run([WORKER, "--listen", "/nowhere/at/all.sock"])
    assert done.returncode == 1 and "/nowhere/at/all.sock" in done.stderr
