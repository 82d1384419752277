"""PHP behind a web server: php-fpm and php-cgi, each on a unix socket or on a port of loopback.

    php = PhpFpm(bench, settings={"SSECAST_JWT_SECRET_FILE": file}).start()
    php.socket, php.address      where a web server finds it
    php.folder_of_sessions       what $_SESSION is kept in
"""

import pathlib
import shutil
import socket

import pytest

from . import processes
from .ports import free_port
from .webserver import USER

FPM = "php-fpm[0-9].*"  # each release of Debian has its version in the name


class _Php(processes.Program):
    """settings: environment variables of the PHP programs. tcp: on a port, not on a unix socket."""

    kind = ""

    def __init__(self, bench, settings=None, tcp=False, name=None, workers=4):
        if not self.program():
            pytest.skip(f"{self.kind} is missing: make deps")
        name = name or self.kind
        self.place, self.workers, self.settings = bench.subfolder(name), workers, settings or {}
        self.folder_of_sessions = bench.subfolder(f"{name}-sessions")
        self.port = free_port() if tcp else None
        self.socket = None if tcp else str(self.place / "php.sock")
        super().__init__(name, self.command(), bench.folder, env=self.environment(), ours=False)
        self.logs.append(self.place / "php.log")
        bench.adopt(self)

    @classmethod
    def program(cls):
        return None

    @property
    def listen(self):
        return f"127.0.0.1:{self.port}" if self.port else self.socket

    def environment(self):
        return processes.clean_environment(**self.settings)

    def ini(self):
        """Settings of PHP: those of a careful application."""
        return {"session.save_path": self.folder_of_sessions, "display_errors": "0",
                "log_errors": "1", "error_log": self.place / "php.log",
                "opcache.enable": "0", "error_reporting": "32767"}

    def start(self):
        super().start()
        self.wait_ready(self._listens, "accepts connections")
        return self

    def _listens(self):
        family, address = ((socket.AF_INET, ("127.0.0.1", self.port))
                           if self.port else (socket.AF_UNIX, self.socket))
        with socket.socket(family) as s:
            return s.connect_ex(address) == 0

    def complaints(self):
        """What PHP wrote to its log: warnings and errors of programs."""
        file = self.place / "php.log"
        return ([line for line in file.read_text().splitlines() if "PHP " in line]
                if file.exists() else [])

    def forget_complaints(self):
        """Those so far were expected."""
        (self.place / "php.log").write_text("")


class PhpFpm(_Php):
    kind = "php-fpm"
    limits = {}     # more settings of the pool

    @classmethod
    def program(cls):
        found = sorted(pathlib.Path("/usr/sbin").glob(FPM))
        return str(found[-1]) if found else None

    def command(self):
        owner = [f"user = {USER}", f"group = {USER}", f"listen.owner = {USER}",
                 f"listen.group = {USER}"] if processes.as_root() else []
        limits = [f"php_admin_value[{name}] = {value}" for name, value in self.limits.items()]
        lines = ["[global]", "daemonize = no", f"error_log = {self.place}/fpm.log",
                 f"pid = {self.place}/fpm.pid", "[www]", *owner, f"listen = {self.listen}",
                 "pm = static", f"pm.max_children = {self.workers}", "catch_workers_output = yes",
                 *(f"php_admin_value[{name}] = {value}" for name, value in self.ini().items()),
                 *limits,
                 *(f"env[{name}] = {value}" for name, value in self.settings.items())]
        (self.place / "fpm.conf").write_text("\n".join(lines) + "\n")
        return [self.program(), "-F", "-y", self.place / "fpm.conf"]


class PhpCgi(_Php):
    kind = "php-cgi"

    @classmethod
    def program(cls):
        return shutil.which("php-cgi")

    def environment(self):
        return processes.clean_environment(PHP_FCGI_CHILDREN=str(self.workers),
                                           PHP_FCGI_MAX_REQUESTS="10000", **self.settings)

    def command(self):
        settings = [part for name, value in self.ini().items()
                    for part in ("-d", f"{name}={value}")]
        user = (["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
                if processes.as_root() else [])
        return [*user, self.program(), "-b", self.listen, *settings]
