"""lighttpd with the configurations of lighttpd/, settings as a user makes them: in
ssecast-settings.conf."""

import shutil

from .options import environment
from .processes import ROOT, WORKER, as_root
from .webserver import USER, WebServer, program

_CONFIGURATIONS = ROOT / "lighttpd"


class _Lighttpd(WebServer):
    name = "lighttpd"
    streams_at_most = 9000
    files = ()         # of lighttpd/, in this order
    max_fds = 20000
    extra = ""         # more configuration

    def argv(self):
        return [program("lighttpd"), "-D", "-f", self.file]

    def configuration(self):
        self.write_settings()
        lines = [
            'server.modules = ("mod_access", "mod_alias", "mod_setenv", "mod_cgi", "mod_fastcgi")',
            'server.bind = "127.0.0.1"',
            f"server.port = {self.port}",
            f'server.document-root = "{self.place}/www"',
            f'server.upload-dirs = ("{self.place}")',
            'mimetype.assign = (".html" => "text/html")',
            *([f'server.username = "{USER}"', f'server.groupname = "{USER}"'] if as_root() else []),
            *(f'include "{self.install(name)}"' for name in ("ssecast-limits.conf", *self.files)),
            self.extra,
        ]
        return "\n".join(lines) + "\n"

    def install(self, name):
        """A copy where lighttpd's user surely may go: it reads its files again for a graceful
        restart."""
        return shutil.copy2(_CONFIGURATIONS / name, self.place)

    def write_settings(self):
        (self.place / "ssecast-limits-settings.conf").write_text(
            f"var.ssecast_max_fds := {self.max_fds}\nvar.ssecast_max_connections := "
            f"{self.max_fds // 2}\n")
        (self.place / "ssecast-settings.conf").write_text(self.settings())

    def settings(self):
        raise NotImplementedError


class Lighttpd(_Lighttpd):
    """Workers that run on their own: ssecast.conf."""

    files = ("ssecast.conf",)

    def __init__(self, bench, workers, broker=None, name=None):
        self.workers = workers
        super().__init__(bench, name)

    def settings(self):
        sockets = "".join(f'    ( "socket" => "{w.socket}" ) + var.ssecast_options,\n'
                          for w in self.workers)
        return f"var.ssecast_workers := (\n{sockets})\n"


class _OwnProcesses(_Lighttpd):
    """lighttpd starts the worker's program itself."""

    starts_workers = True

    def __init__(self, bench, workers=(), broker=None, name=None, **options):
        assert not workers
        self.options = {"feed": broker.endpoint("feed"), "sync": broker.endpoint("sync"), **options}
        super().__init__(bench, name)

    def settings(self):
        shutil.copy2(WORKER, self.place)  # where lighttpd's user surely may go
        variables = "".join(f'    "{n}" => "{v}",\n' for n, v in environment(self.options).items())
        return (f'var.ssecast_bin := "{self.place / WORKER.name}"\nvar.ssecast_environment := (\n'
                f'{variables})\n')


class LighttpdSpawning(_OwnProcesses):
    """Workers that lighttpd spawns: ssecast-spawn.conf."""

    name = "lighttpd-spawning"
    files = ("ssecast-spawn.conf",)

    def settings(self):
        return super().settings() + f'var.ssecast_socket := "{self.place}/worker.sock"\n'


class LighttpdCgi(_OwnProcesses):
    """A process for each stream: ssecast-cgi.conf."""

    name = "lighttpd-cgi"
    streams_at_most = 10
    files = ("ssecast-cgi.conf",)
