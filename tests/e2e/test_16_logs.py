"""Logs: their formats, their level while a program runs, and what never is in them."""

import json
import os
import re
import signal
import struct
import subprocess

import pytest
import zmq
from support.broker import Broker
from support.cli import Cli
from support.commands import Refused
from support.fcgi import FastCgi
from support.processes import BROKER, clean_environment
from support.waiting import wait_until
from support.worker import Worker

TEXT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ssecast-(broker|fcgi): "
                  r"((error|warning|debug): )?[a-z_]+: \S.*$")
SECRET = "do-not-tell-this-payload"


def site(bench, **options):
    broker = Broker(bench, **options).start()
    return broker, Worker(bench, broker, **options).start()


def test_each_line_of_text_has_its_time_program_and_part(bench):
    for program in site(bench):
        program.stop()
        lines = program.log().splitlines()
        assert len(lines) >= 3 and all(TEXT.match(line) for line in lines), lines


def test_each_line_of_json_is_an_object_with_the_same_fields(bench):
    for program in site(bench, log_format="json"):
        program.stop()
        lines = [json.loads(line) for line in program.log().splitlines()]
        assert len(lines) >= 3
        for line in lines:
            assert list(line)[:5] == ["time", "level", "program", "subsystem", "message"]
            assert line["level"] in ("info", "warn") and line["program"].startswith("ssecast-")
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


def test_a_worker_s_name_is_a_field(bench):
    broker, worker = site(bench, log_format="json")
    wait_until(lambda: "worker connected" in broker.log(), what="the worker has said hello")
    [hello] = [line for line in map(json.loads, broker.log().splitlines())
               if "worker connected" in line["message"]]
    assert (hello["subsystem"] == "sync" and str(worker.pid) in hello["worker"]
            and hello["position"] == 0)


def test_to_the_journal_lines_have_priorities_and_no_time(bench):
    """The journal is known by the device and inode of the stream that it gives a program: any file
    can be it."""
    with open(bench.folder / "journal", "wb") as stream:
        stat = os.fstat(stream.fileno())
        env = clean_environment(JOURNAL_STREAM=f"{stat.st_dev}:{stat.st_ino}")
        places = {name: f"ipc://{bench.folder}/{name}" for name in ("commands", "feed", "sync")}
        argv = [str(BROKER),
                *(word for name, place in places.items() for word in (f"--{name}", place))]
        process = subprocess.Popen(argv, stderr=stream, env=env)
        try:
            wait_until(lambda: "is ready" in (bench.folder / "journal").read_text(),
                       what="the broker is ready")
        finally:
            process.terminate()
            assert process.wait(20) == 0
    lines = (bench.folder / "journal").read_text().splitlines()
    assert len(lines) >= 4 and all(re.match(r"<6>[a-z]+: |<4>privilege: ", line)
                                   for line in lines), lines


def test_the_broker_s_level_is_changed_by_command(bench):
    broker = Broker(bench).start()
    with broker.commands() as commands:
        assert commands.demand({"op": "log"})["level"] == "info"
        reply = commands.demand({"op": "log", "level": "debug"})
        assert (reply["level"], reply["before"]) == ("debug", "info")
        say(broker, b"nonsense")
        wait_until(lambda: "; ignored" in broker.log(), what="a debug line")
        commands.demand({"op": "log", "level": "error"})
        assert commands.demand({"op": "log"})["level"] == "error"


def test_the_workers_levels_are_changed_with_it_when_that_is_wanted(bench):
    broker = Broker(bench).start()
    workers = [Worker(bench, broker, name).start() for name in ("one", "two")]
    wait_until(lambda: all("broker connected" in worker.log() for worker in workers),
               what="both have a broker")
    cli = Cli(broker)
    cli("log-level", "warn").check()
    cli("log-level", "debug", "--workers").check()
    for worker in workers:
        wait_until(lambda: "level=debug by=broker" in worker.log(),
                   what="the worker changes its level")
        assert "level=warn" not in worker.log()
    refused = cli("log-level", "--workers")
    assert refused.status == 1 and "level" in refused.err


def test_a_wrong_level_is_refused_and_changes_nothing(bench):
    with Broker(bench).start().commands() as commands:
        for level in ("loud", "", 3, None):
            with pytest.raises(Refused) as refused:
                commands.demand({"op": "log", "level": level})
            assert (refused.value.error == "bad_request"
                    and "level" in refused.value.reply["message"])
        assert commands.demand({"op": "log"})["level"] == "info"


def test_the_command_line_changes_it_too(bench):
    broker = Broker(bench).start()
    cli = Cli(broker)
    assert "info" in cli("log-level").check().out
    assert "debug" in cli("log-level", "debug").check().out
    assert "debug" in cli("log-level").check().out
    refused = cli("log-level", "loud")
    assert refused.status == 1 and "error, warn, info or debug" in refused.err


def test_sigusr1_sets_debug_and_the_next_one_what_was_before(bench):
    broker, worker = site(bench, log_level="warn")
    for program in (broker, worker):
        for round, level in enumerate(("debug", "warn", "debug")):
            program.signal(signal.SIGUSR1)
            wait_until(lambda: program.log().count("level was changed") == round + 1,
                       what=f"{program.name} changes its level")
            changes = [line for line in program.log().splitlines() if "level was changed" in line]
            assert changes[-1].endswith(f"level={level} by=signal")
        assert program.running()


def test_a_broker_that_stops_is_not_ended_by_sigusr1(bench):
    broker = Broker(bench).start()
    broker.expect_end()
    broker.signal(signal.SIGTERM)
    broker.signal(signal.SIGUSR1)
    assert broker.wait() == 0


def test_what_repeats_is_written_once_and_counted(bench):
    broker = Broker(bench, log_format="json").start()
    for n in range(50):
        say(broker, hello("again"))
    wait_until(lambda: welcomes(broker) == 50, what="all hellos are taken")
    broker.stop()
    lines = [line for line in map(json.loads, broker.log().splitlines())
             if "worker connected" in line["message"]]
    assert [line.get("repeated") for line in lines] == [None, 49]


def test_payloads_and_control_characters_are_not_logged(bench):
    broker, worker = site(bench, log_level="debug")
    evil = "evil\x1b[31m\nssecast-broker: forged"
    with broker.commands() as commands:
        for event in ({"data": SECRET}, {"text": SECRET, "to": {"sessions": ["a"]}},
                      {"data": SECRET, "id": f"9{SECRET}"}):
            commands.demand({"op": "publish", "event": "m", **event})
        with pytest.raises(Refused):
            commands.demand(
                {"op": "publish", "event": "m", "data": SECRET, "to": {"sessions": [evil]}}
            )
    with FastCgi(worker.socket) as web:
        web.get(f"session={SECRET}").wait_open()
    say(broker, hello(evil))
    wait_until(lambda: "forged" in broker.log(), what="a worker with such a name is logged")
    assert "\x1b" not in broker.log() and "\\x1b[31m\\x0assecast-broker: forged" in broker.log()
    assert not any(SECRET in program.log() for program in (broker, worker))


def test_effects_of_limits_are_logged_without_session_names(bench):
    """A session may be the value of a cookie."""
    broker = Broker(bench).start()
    worker = Worker(bench, broker, max_connections=2, queue_bytes="64K").start()
    with (FastCgi(worker.socket) as slow, FastCgi(worker.socket) as second,
          FastCgi(worker.socket) as third, broker.commands() as commands):
        slow.get(f"session={SECRET}").wait_open()
        second.get("session=b").wait_open()
        third.get(f"session={SECRET}").wait_end()
        for _ in range(20):
            commands.publish("m", text="x" * 100000, to={"sessions": [SECRET]})
        wait_until(lambda: "stream dropped" in worker.log(), what="the cut is told")
        connection = slow.head["ssecast-connection"]
    log = worker.log()
    assert re.search(r"warning: stream: streams refused.* max-connections=2$", log, re.M)
    assert re.search(rf"stream dropped: .* connection={connection}$", log, re.M)
    assert SECRET not in log


def hello(name):
    """A worker's first words."""
    name = name.encode()
    return b"SSC\5" + bytes([3, 0, 0, 0]) + struct.pack("<QH", 0, len(name)) + name + bytes(10)


def say(broker, message):
    """Send a message to the broker's sync socket."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 5000)
        socket.connect(broker.endpoint("sync"))
        socket.send(message)


def welcomes(broker):
    with broker.commands() as commands:
        return commands.stats()["welcomes"]


# A log that nobody reads

class UnreadPipe:
    """stderr of a program: a pipe that is full already."""

    def __init__(self):
        self.reads, self.writes = os.pipe()
        self.fill()

    def fill(self):
        os.set_blocking(self.writes, False)
        for size in (4096, 1):
            try:
                while True:
                    os.write(self.writes, b"\n" * size)
            except BlockingIOError:
                pass
        os.set_blocking(self.writes, True)

    def read(self):
        """What is in it, as text."""
        os.set_blocking(self.reads, False)
        text = b""
        try:
            while piece := os.read(self.reads, 65536):
                text += piece
        except BlockingIOError:
            pass
        return text.decode()


@pytest.fixture
def unread(bench):
    """A site whose programs' log lines nobody reads, with its pipe."""
    pipe = UnreadPipe()
    broker = Broker(bench, log_level="debug")
    worker = Worker(bench, broker, log_level="debug", heartbeat="200ms")
    for program in broker, worker:
        program.stderr = pipe.writes
        program.start()
    return broker, worker, pipe


def test_a_log_that_is_not_read_stops_no_broker(unread):
    broker, _, pipe = unread
    with broker.commands() as client:
        for _ in range(20):
            assert client.publish("m", data=1)["ok"]
        pipe.read()
        wait_until(lambda: "log lines were dropped because stderr was not read" in pipe.read(),
                   what="the loss is logged")
    assert broker.stop() == 0


def test_a_log_that_is_not_read_stops_no_stream(unread):
    broker, worker, _ = unread
    with FastCgi(worker.socket).get("session=anna") as stream:
        stream.wait_open()
        broker.restart()    # the worker logs that the broker is away, and back
        with broker.commands() as client:
            wait_until(lambda: client.publish("m", text="still here")["online"] == 1,
                       what="the stream is known again")
        stream.wait_text("still here")
    assert worker.stop() == 0
