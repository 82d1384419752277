"""What lets tests run side by side: ports that nobody else gets, and the floor that one test can
have to itself."""

import fcntl
import socket
import threading

import pytest
from support import ports
from support.side_by_side import Floor, plain_name
from support.waiting import wait_until


def test_a_port_that_was_handed_out_is_free_for_its_user_alone():
    port = ports.free_port()
    assert ports._hold(port) is None
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0
    with (socket.create_server(("127.0.0.1", port)) as server,
          socket.create_connection(("127.0.0.1", port)) as client):
        server.accept()[0].close()
        assert client.recv(1) == b""
        with pytest.raises(OSError), socket.create_server(("127.0.0.1", port)):
            pass


def test_a_port_in_use_is_never_handed_out():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ports._hold(server.getsockname()[1]) is None


@pytest.mark.parametrize("name", ["test_a.py::test_b", "test_a.py::test_b[x@y]"])
def test_a_group_is_no_part_of_a_name(name):
    assert plain_name(name) == plain_name(f"{name}@group") == name


class Process:
    """What runs one test after the other."""

    def __init__(self, folder, log, name):
        self.floor, self.log, self.name = Floor(folder), log, name
        self.thread = None

    def start(self, alone):
        def run():
            self.floor.enter(alone)
            self.log.append(self.name)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def end(self, next_alone=False):
        self.thread.join()
        self.floor.leave(next_alone)


def is_closed(gate):
    with open(gate, "a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_test_alone_waits_for_others_and_others_wait_for_it(bench):
    log = []
    first, second, alone = (Process(bench.folder, log, name)
                            for name in ("first", "second", "alone"))
    first.start(alone=False)
    second.start(alone=False)
    wait_until(lambda: len(log) == 2, what="two side by side")
    alone.start(alone=True)
    wait_until(lambda: is_closed(bench.folder / "gate"), what="the one alone has closed the gate")
    second.end()
    second.start(alone=False)
    second.thread.join(0.3)
    assert sorted(log) == ["first", "second"]
    first.end()
    wait_until(lambda: log[2:] == ["alone"], what="the one alone begins")
    second.thread.join(0.3)
    assert log[3:] == []
    alone.end(next_alone=True)
    alone.start(alone=True)
    alone.end()
