"""The worker as a test sees it: a program on a unix socket that web servers (or fcgi.py) connect
to."""

import socket

from . import processes, seccomp, systemd
from .options import arguments

WEB_GROUP = "www-data"  # Debian's web servers


class Worker(processes.Program):
    def __init__(self, bench, broker=None, name="worker", **options):
        options.setdefault("listen", str(bench.folder / f"{name}.sock"))
        if broker:
            options.setdefault("feed", broker.endpoint("feed"))
            options.setdefault("sync", broker.endpoint("sync"))
        options.setdefault("drain", "200ms")
        self.options = options
        super().__init__(name, [processes.WORKER] + arguments(options), bench.folder,
                         group=WEB_GROUP)
        bench.adopt(self)

    @property
    def socket(self):
        return self.options["listen"]

    def start(self):
        super().start()
        self.wait_ready(self._listens, "accepts connections")
        return self

    def start_with_stdin(self, listener):
        """Start it with a listening socket as descriptor 0, as a web server does."""
        return super().start(stdin=listener)

    def start_activated(self, listener):
        """Start it with a listening socket as descriptor 3, as systemd does."""
        return super().start(argv=systemd.passed(listener, self.argv), pass_fds=[listener.fileno()])

    def restart(self):
        self.stop()
        return self.start()

    def restart_with_files(self, limit):
        """Restart it with so few descriptors."""
        self.stop()
        super().start(argv=["prlimit", f"--nofile={limit}:{limit}", *self.argv])
        self.wait_ready(self._listens, "accepts connections")
        return self

    def restart_without(self, number):
        """Restart it without this system call."""
        self.stop()
        super().start(argv=seccomp.refused(number, self.argv))
        self.wait_ready(self._listens, "accepts connections")
        return self

    def _listens(self):
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(self.socket)
            except OSError:
                return False
            return True


class PassedWorker(Worker):
    """A worker of the hand-off. Its sockets come from systemd, and outlive it. They come in any
    order."""

    sockets = None

    def start(self):
        self.sockets = (self.sockets
                        or [("handoff", systemd.listen(self.options["handoff_listen"])),
                            ("ssecast-fcgi@1.socket", systemd.listen(self.options["listen"]))])
        options = {k: v for k, v in self.options.items() if k not in ("listen", "handoff_listen")}
        argv = systemd.passed_by_name(self.sockets, [processes.WORKER, *arguments(options)])
        processes.Program.start(self, argv=argv, pass_fds=[s.fileno() for _, s in self.sockets])
        self.wait_ready(self._listens, "accepts connections")
        return self
