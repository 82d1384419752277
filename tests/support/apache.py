"""Apache with the configurations of apache/, settings as a user makes them: Define before
Include."""

import os
import re
import shutil
import signal

from .options import environment
from .processes import ROOT, WORKER, as_root
from .webserver import USER, WebServer, program

_CONFIGURATIONS = ROOT / "apache"
_MODULES = "/usr/lib/apache2/modules"


class _Apache(WebServer):
    name = "apache"
    mpm = "event"
    modules = ()
    files = ()

    def argv(self):
        return [program("apache2"), "-D", "FOREGROUND", "-f", self.file]

    def configuration(self):
        modules = [f"mpm_{self.mpm}", "authz_core", "env", "dir", "mime", "headers", *self.modules]
        lines = [
            f'ServerRoot "{self.place}"',
            f"Listen 127.0.0.1:{self.port}",
            "ServerName 127.0.0.1",
            "ServerSignature On",  # as Debian has it: a parameter with a newline
            f'DefaultRuntimeDir "{self.place}"',
            f'PidFile "{self.place}/apache.pid"',
            f'ErrorLog "{self.place}/error.log"',
            f'Mutex "file:{self.place}" default',
            *(f"LoadModule {m}_module {_MODULES}/mod_{m}.so" for m in modules),
            *([f"User {USER}", f"Group {USER}"] if as_root() else []),
            f'DocumentRoot "{self.place}/www"',
            "TypesConfig /dev/null",
            *(f'Define {name} "{value}"' for name, value in self.settings().items()),
            *self.size(),
            *(f'Include "{_CONFIGURATIONS / name}"' for name in self.files),
            *self.more(),
        ]
        return "\n".join(lines) + "\n"

    def start(self):
        self.logs[1:] = [self.place / "error.log"]
        return super().start()

    def finish(self):
        """At once: on SIGTERM it would wait 10 s for its streams to end."""
        if self.running():
            self.kill()
        else:
            super().finish()

    def settings(self):
        return {}

    def size(self):
        """Lines that say how many requests it serves at a time."""
        return [f'Include "{_CONFIGURATIONS / "ssecast-mpm.conf"}"']

    def more(self):
        """More lines of configuration."""
        return []

    def reload(self):
        """A graceful reload: open streams stay with the old processes."""
        self.signal(signal.SIGUSR1)


class Apache(_Apache):
    """A worker that runs on its own, through mod_proxy_fcgi: ssecast.conf."""

    modules = ("proxy", "proxy_fcgi")
    files = ("ssecast.conf",)

    def __init__(self, bench, workers, broker=None, name=None):
        [self.worker] = workers
        super().__init__(bench, name)

    def settings(self):
        return {"SSECAST_SOCKET": self.worker.socket}


class ApacheHandoff(_Apache):
    """Streams go from the worker directly to the browser: ssecast-handoff.conf. It has as few
    threads as Apache can do with."""

    name = "apache-handoff"
    modules = ("proxy", "proxy_scgi", "proxy_fcgi", "proxy_fdpass", "setenvif")
    files = ("ssecast-handoff.conf",)
    threads = 10

    def __init__(self, bench, workers, broker=None, name=None):
        [self.worker] = workers
        super().__init__(bench, name)

    @classmethod
    def worker_options(cls, bench, name):
        return {"handoff": bench.folder / f"{name}.handoff",
                "handoff_listen": bench.folder / f"{name}.scgi"}

    def settings(self):
        options = self.worker.options
        return {"SSECAST_SOCKET": self.worker.socket, "SSECAST_SCGI": options["handoff_listen"],
                "SSECAST_HANDOFF": os.path.relpath(options["handoff"], self.place)}

    def size(self):
        if self.mpm == "prefork":
            return ["StartServers 2", f"ServerLimit {self.threads}",
                    f"MaxRequestWorkers {self.threads}"]
        return ["StartServers 1", "ServerLimit 2", f"ThreadsPerChild {self.threads}",
                f"MaxRequestWorkers {2 * self.threads}"]


class ApacheHandoffWorker(ApacheHandoff):
    name = "apache-handoff-worker"
    mpm = "worker"


class ApacheHandoffPrefork(ApacheHandoff):
    name = "apache-handoff-prefork"
    mpm = "prefork"


class ApacheBalancer(Apache):
    """Two workers behind one mount point, with the lines that ssecast.conf has for it in a
    comment."""

    name = "apache-balancer"
    modules = (*Apache.modules, "slotmem_shm", "proxy_balancer", "lbmethod_bybusyness")
    files = ()

    def __init__(self, bench, workers, broker=None, name=None):
        self.workers = workers
        super().__init__(bench, workers[:1], broker, name)

    def more(self):
        text = (_CONFIGURATIONS / "ssecast.conf").read_text()
        [proxy_pass] = re.findall(r"^#     (ProxyPass .*)$", text, re.M)
        [proxy] = re.findall(r"^#     (<Proxy .*?</Proxy>)$", text, re.M | re.S)
        text = re.sub(r"^    ProxyPass .*$", proxy_pass, text, flags=re.M)
        proxy = re.sub(r"^#", "", proxy, flags=re.M)
        for number, worker in enumerate(self.workers, 1):
            assert (documented := f"/run/ssecast/worker-{number}.sock") in proxy
            proxy = proxy.replace(documented, worker.socket)
        return [text, proxy]


class ApacheCgi(_Apache):
    """A process for each stream, through mod_cgid: ssecast-cgi.conf."""

    name = "apache-cgi"
    streams_at_most = 10
    starts_workers = True
    modules = ("alias", "cgid")
    files = ("ssecast-cgi.conf",)

    def __init__(self, bench, workers=(), broker=None, name=None, **options):
        assert not workers
        self.feed, self.sync = broker.endpoint("feed"), broker.endpoint("sync")
        self.options = options
        super().__init__(bench, name)

    def start(self):
        super().start()
        self.wait_ready(self._serves_cgi, "lets its processes connect to mod_cgid's socket")
        return self

    def _serves_cgi(self):
        """mod_cgid gives its socket to Apache's user after the port is open; until then a request
        is answered 503."""
        return any(not as_root()
                   or socket.owner() == USER for socket in self.place.glob("cgi.sock.*"))

    def settings(self):
        shutil.copy2(WORKER, self.place)  # where Apache's user surely may go
        return {"SSECAST_BIN": self.place / WORKER.name, "SSECAST_FEED": self.feed,
                "SSECAST_SYNC": self.sync}

    def more(self):
        return [f"ScriptSock {self.place}/cgi.sock", '<Location "/sse">',
                *(f'SetEnv {name} "{value}"' for name, value in environment(self.options).items()),
                "</Location>"]
