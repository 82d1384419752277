"""The bridges as tests see them: programs that publish to a broker."""

import json

from . import processes
from .options import arguments
from .waiting import wait_until


class Bridge(processes.Program):
    """program: processes.PGSQL or processes.MQTT. Started when it is connected."""

    def __init__(self, bench, broker, program, name=None, **options):
        options = {"commands": broker.endpoint("commands"), "timeout": "1s", "log_level": "debug",
                   **options}
        super().__init__(name or program.name, [program, *arguments(options)], bench.folder)
        bench.adopt(self)

    def start(self, connected=True):
        before = self.connections()
        super().start()
        if connected:
            self.wait_connected(before + 1)
        return self

    def connections(self):
        return self.log().count("bridge: connected")

    def wait_connected(self, times):
        self.wait_ready(lambda: self.connections() >= times, "is connected")

    def wait_log(self, text, times=1):
        self.wait_ready(lambda: self.log().count(text) >= times, f"logs {text!r}")

    def restart(self):
        self.stop()
        return self.start()


def events(broker):
    """All events that the broker has, oldest first."""
    found, more = [], True
    with broker.commands() as commands:
        while more:
            reply = commands.demand(
                {"op": "history", "since": found[-1]["seq"] if found else 0, "limit": 1000}
            )
            found, more = found + reply["events"], reply["more"]
    return found


def data(broker):
    return [event["data"] for event in events(broker)]


def values(broker):
    """The data of all events, read as JSON."""
    return [json.loads(text) for text in data(broker)]


def wait_data(broker, expected):
    wait_until(lambda: len(data(broker)) >= len(expected),
               what=lambda: f"{expected}; have {data(broker)}")
    assert data(broker) == expected


def state(broker):
    """{key: event} of the current state."""
    with broker.commands() as commands:
        return {entry["key"]: entry
                for entry in commands.demand({"op": "state", "limit": 1000})["keys"]}
