"""The broker as a test sees it: a program with four endpoints, and a commands client."""

import os

from . import processes
from .commands import Commands
from .options import arguments
from .ports import free_port


class Broker(processes.Program):
    def __init__(self, bench, name="broker", **options):
        for endpoint in ("commands", "feed", "sync", "presence"):
            options.setdefault(endpoint, f"tcp://127.0.0.1:{free_port()}")
        self.options = options
        super().__init__(name, [processes.BROKER] + arguments(options), bench.folder)
        self.client = None
        bench.adopt(self)

    def endpoint(self, name):
        """"commands", "feed", "sync" or "presence": the first endpoint of that kind."""
        value = self.options[name]
        return value[0] if isinstance(value, list) else value

    def start(self):
        super().start()
        self.wait_ready(self._answers, "answers a ping")
        return self

    def restart(self):
        """End it in order and start it again, on the same endpoints."""
        self.stop()
        return self.start()

    def killed_and_started(self):
        """End it with kill -9 and start it again. Returns a client of its own."""
        self.kill()
        self.start()
        return self.commands()

    def commands(self):
        """A client of its own (close it, or leave it to the bench's end)."""
        return Commands(self.endpoint("commands"))

    def _answers(self):
        """Whether it answers a ping. When it ends meanwhile, that is no."""
        if not self.running():
            return False
        ended = os.pidfd_open(self.pid)
        try:
            with Commands(self.endpoint("commands")) as client:
                reply = client.try_ask({"op": "ping"}, 0.3, unless=ended)
                return reply is not None and reply["ok"]
        finally:
            os.close(ended)
