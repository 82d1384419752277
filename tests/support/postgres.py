"""A PostgreSQL cluster of its own on loopback, in the bench's folder, as an account that is not
root.

    postgres = Postgres(bench).start()
    postgres.sql("INSERT INTO ...")
"""

import atexit
import functools
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from . import processes
from .ports import free_port
from .waiting import Deadline, Timeout, readable


@functools.cache
def _program(name):
    """Debian's /usr/bin/psql is a Perl program, which takes twice as long to start as what it then
    runs."""
    found = next(iter(sorted(map(str, pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}")),
                             reverse=True)), None) or shutil.which(name)
    assert found, f"no {name}: is postgresql installed?"
    return found


def _as_owner():
    return [shutil.which("setpriv"), "--reuid", "postgres", "--regid", "postgres",
            "--clear-groups", "--"] if processes.as_root() else []


@functools.cache
def _fresh():
    """The folder of a cluster that nobody has used: copying it takes a tenth of the time of
    initdb."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="ssecast-postgres-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    if processes.as_root():
        shutil.chown(place, "postgres", "postgres")
    done = processes.run([*_as_owner(), _program("initdb"), "-D", place / "data", "-U", "test",
                          "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])
    assert done.returncode == 0, done.stderr
    return place / "data"


class Failure(AssertionError):
    """What psql says of a statement."""


class Disconnected(Failure):
    """The server was not reached, or went."""


class _Psql:
    """One psql for many statements. To start it for each, and a process of the server with it,
    takes a tenth of a second of a core.

    folder: where its complaints go.
    """

    _END = b"--end of the answer--\n"

    def __init__(self, dsn, folder):
        self._complaints = tempfile.TemporaryFile(dir=folder)
        self._process = subprocess.Popen(
            [_program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", dsn],
            bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints,
            env=processes.clean_environment())

    def run(self, sql):
        """The lines of the answer. With a Failure, the psql has ended."""
        try:
            self._process.stdin.write(b"%s\n;\n\\echo %s" % (sql.encode(), self._END))
        except BrokenPipeError:
            self._fail()

        answer, deadline = b"", Deadline()
        while not answer.endswith(self._END):
            if not readable(self._process.stdout, deadline.left()):
                raise Timeout(f"no answer within {deadline.seconds:g} s: {sql}")
            data = self._process.stdout.read(65536)
            if not data:
                self._fail()
            answer += data
        return answer.removesuffix(self._END).decode().splitlines()

    def _fail(self):
        disconnected = self._process.wait() == 2
        self._complaints.seek(0)
        raise (Disconnected if disconnected else Failure)(self._complaints.read().decode())

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.kill()
        self._process.wait()
        self._complaints.close()


class Postgres(processes.Program):
    ok_statuses = (0, 1)

    def __init__(self, bench, name="postgres"):
        self.port, self.data = free_port(), bench.subfolder(f"{name}-data")
        super().__init__(name, [*_as_owner(), _program("postgres"), "-D", self.data], bench.folder,
                         ours=False)
        self._psql = None
        bench.adopt(self)

    @property
    def dsn(self):
        return f"host=127.0.0.1 port={self.port} user=test dbname=postgres"

    def start(self):
        if not (self.data / "PG_VERSION").exists():
            self._initialize()
        super().start()
        self.wait_ready(self._answers, "answers")
        return self

    def _answers(self):
        try:
            return self._run("SELECT 1")
        except Disconnected:
            return False

    def _initialize(self):
        self.data.rmdir()
        processes.run(["cp", "-a", _fresh(), self.data]).check_returncode()
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as conf:
            conf.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\n"
                       "unix_socket_directories = ''\n"
                       "fsync = off\nshared_buffers = 8MB\nmax_connections = 20\n")

    def stop(self, timeout=None):
        """End it without waiting for its clients."""
        self.expect_end()
        self.signal(signal.SIGINT)
        self._forget_psql()
        return self.wait(timeout)

    def finish(self):
        self._forget_psql()
        if self.running():
            self.stop()
        super().finish()

    def restart(self):
        self.stop()
        return self.start()

    def sql(self, sql):
        """Run statements. The lines of what they answer. A question waits for a server that is
        about to go on after a crash."""
        if not sql.startswith("SELECT"):
            return self._run(sql)
        deadline = Deadline()
        while True:
            try:
                return self._run(sql)
            except Disconnected:
                if not self.running() or deadline.passed():
                    raise
                time.sleep(0.05)

    def _run(self, sql):
        self._psql = self._psql or _Psql(self.dsn, self.folder)
        try:
            return self._psql.run(sql)
        except AssertionError:
            self._forget_psql()
            raise

    def _forget_psql(self):
        if self._psql:
            self._psql.close()
            self._psql = None
