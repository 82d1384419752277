"""A PostgreSQL cluster of its own on loopback, in the bench's folder, as an account that is not root.

    postgres = Postgres(bench).start()
    postgres.sql("INSERT INTO ...")
"""

import atexit
import functools
import pathlib
import shutil
import signal
import tempfile

from . import processes
from .ports import free_port


@functools.cache
def _program(name):
    """Debian's /usr/bin/psql is a Perl program, which takes twice as long to start as what it then runs."""
    found = next(iter(sorted(map(str, pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), reverse=True)), None) or shutil.which(name)
    assert found, f"no {name}: is postgresql installed?"
    return found


def _as_owner():
    return [shutil.which("setpriv"), "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"] if processes.as_root() else []


@functools.cache
def _fresh():
    """The folder of a cluster that nobody has used: copying it takes a tenth of the time of initdb."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="ssecast-postgres-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    if processes.as_root():
        shutil.chown(place, "postgres", "postgres")
    done = processes.run([*_as_owner(), _program("initdb"), "-D", place / "data", "-U", "test", "-A", "trust", "-E", "UTF8",
                          "--locale=C", "--no-sync"])
    assert done.returncode == 0, done.stderr
    return place / "data"


class Postgres(processes.Program):
    ok_statuses = (0, 1)

    def __init__(self, bench, name="postgres"):
        self.port, self.data = free_port(), bench.subfolder(f"{name}-data")
        super().__init__(name, [*_as_owner(), _program("postgres"), "-D", self.data], bench.folder, ours=False)
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
        self.data.rmdir()
        processes.run(["cp", "-a", _fresh(), self.data]).check_returncode()
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
        return processes.run([_program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.dsn], stdin=sql)

    def sql(self, sql):
        """Run statements. The lines of what they answer."""
        done = self.psql(sql)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()
