"""What the web servers have in common: a folder, a free port, a configuration file around the
repository's own."""

import os
import pathlib
import socket

from . import processes
from .ports import free_port

USER = "www-data"  # as whom Debian's web servers run


class WebServer(processes.Program):
    """Subclasses give argv() and configuration(); the mount point of the streams is always /sse."""

    name = "webserver"
    streams_at_most = 1000

    def __init__(self, bench, name=None):
        name = name or self.name
        self.port, self.place = free_port(), bench.subfolder(name)
        self.file = self.place / f"{name}.conf"
        (self.place / "www").mkdir()
        (self.place / "www" / "index.html").write_text("a page\n")
        super().__init__(name, self.argv(), bench.folder, env=self.environment(), ours=False)
        bench.adopt(self)

    @classmethod
    def worker_options(cls, bench, name):
        """Options that a worker of this name needs for it."""
        return {}

    def environment(self):
        return processes.clean_environment(PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self):
        return self.origin + "/sse"

    def start(self):
        self.file.write_text(self.configuration())
        super().start()
        self.wait_ready(self._listens, "accepts connections")
        return self

    def _listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def argv(self):
        raise NotImplementedError

    def configuration(self):
        raise NotImplementedError


def program(name):
    """The path of a web server; those of an ordinary user's machine are in /usr/sbin."""
    for folder in ("/usr/sbin", "/usr/bin", "/usr/local/sbin"):
        if (pathlib.Path(folder) / name).exists():
            return f"{folder}/{name}"
    raise FileNotFoundError(f"{name} is missing: make deps")
