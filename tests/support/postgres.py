"""A PostgreSQL cluster of its own on loopback, in the bench's folder, as an account that is not root.

    postgres = Postgres(bench).start()
    postgres.sql("INSERT INTO ...")
"""

import pathlib
import shutil
import signal

from . import processes
from .ports import free_port


def _program(name):
    found = shutil.which(name) or next(iter(sorted(map(str, pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), reverse=True)), None)
    assert found, f"no {name}: is postgresql installed?"
    return found


class Postgres(processes.Program):
    ok_statuses = (0, 1)

    def __init__(self, bench, name="postgres"):
        self.port, self.data = free_port(), bench.subfolder(f"{name}-data")
        self.as_owner = []
        if processes.as_root():
            self.as_owner = [shutil.which("setpriv"), "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"]
            shutil.chown(self.data, "postgres", "postgres")
        super().__init__(name, [*self.as_owner, _program("postgres"), "-D", self.data], bench.folder, ours=False)
        self.bench = bench
        bench.adopt(self)

    @property
    def dsn(self):
        return f"host=127.0.0.1 port={self.port} user=test dbname=postgres"

    def start(self):
        if not (self.data / "PG_VERSION").exists():
            self._initialize()
        super().start()
        self.wait_ready(lambda: self.psql("SELECT 1").returncode == 0, "answers")
        return self

    def _initialize(self):
        done = processes.run([*self.as_owner, _program("initdb"), "-D", self.data, "-U", "test", "-A", "trust", "-E", "UTF8",
                              "--locale=C", "--no-sync"])
        assert done.returncode == 0, done.stderr
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as conf:
            conf.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n"
                       "fsync = off\nshared_buffers = 8MB\nmax_connections = 20\n")

    def stop(self, timeout=None):
        """End it without waiting for its clients."""
        self.expect_end()
        self.signal(signal.SIGINT)
        return self.wait(timeout)

    def finish(self):
        if self.running():
            self.stop()
        super().finish()

    def restart(self):
        self.stop()
        return self.start()

    def psql(self, sql):
        return processes.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.dsn], stdin=sql)

    def sql(self, sql):
        """Run statements. The lines of what they answer."""
        done = self.psql(sql)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()
