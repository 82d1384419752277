"""Programs under test: started with their output in files, watched, and ended by their own process
id.

A program that ends when nobody asked it to, ends with a status other than 0, or leaves a
sanitizer's report in its log is a failure of the test it ran in: check() says so.
"""

import grp
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess

from .waiting import Deadline, Timeout, readable, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = (ROOT / os.environ.get("SSECAST_BUILD", "build")).resolve()

BROKER = BUILD / "ssecast-broker"
WORKER = BUILD / "ssecast-fcgi"
CLI = BUILD / "ssecast"
PGSQL = BUILD / "ssecast-pgsql"
MQTT = BUILD / "ssecast-mqtt"

def _is_sanitized():
    return BROKER.exists() and re.search(rb"__(asan|tsan|ubsan)_", BROKER.read_bytes()) is not None


SANITIZED = _is_sanitized()  # the programs were built with SAN=...
SANITIZER_REPORT = re.compile(
    r"ERROR: (Address|Leak|Memory)Sanitizer|WARNING: "
    r"(Thread|Memory)Sanitizer|runtime error:|SUMMARY: \w+Sanitizer"
)

def as_root():
    return os.geteuid() == 0


def clean_environment(**extra):
    """This process's environment without settings of ours that would reach the programs, and with
    `extra`."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("SSECAST_")}
    env.update(extra)
    return env


_STARTER = BUILD / "starter"   # `make e2e` builds it
_SETPRIV = shutil.which("setpriv") or "/usr/bin/setpriv"


def _dies_with_the_tests(group, argv):
    """A command that becomes argv.

    Python's own ways (preexec_fn, group) would fork this process, which takes 40 ms. setpriv takes
    6 ms, the starter 1.
    """
    if _STARTER.exists():
        return [str(_STARTER), str(grp.getgrnam(group).gr_gid) if group else "-", *map(str, argv)]
    return [_SETPRIV, "--pdeathsig", "KILL",
            *(["--regid", group, "--keep-groups"] if group else []), "--", *map(str, argv)]


class Program:
    """One running program. argv[0] is its path; `group` the group it runs as (when we are root)."""

    ok_statuses = (0,)

    def __init__(self, name, argv, folder, env=None, group=None, ours=True):
        self.name, self.folder, self.ours = name, pathlib.Path(folder), ours
        self.argv = [str(a) for a in argv]
        self.env = clean_environment() if env is None else env
        self.group = group if as_root() else None
        self.process = None
        self.expected_end = False
        self.logs = [self.folder / f"{name}.log"]

    # Starting

    stderr = None   # a descriptor, instead of the log file

    def start(self, stdin=subprocess.DEVNULL, argv=None, pass_fds=()):
        """Start it (again). Returns itself; when it is ready is another question. argv: a command
        that ends in it."""
        assert (self.process is None
                or self.process.poll() is not None), f"{self.name} is running already"
        self.expected_end = False
        with open(self.logs[0], "ab") as log:
            self.process = subprocess.Popen(
                _dies_with_the_tests(self.group, argv or self.argv), stdin=stdin, stdout=log,
                stderr=log if self.stderr is None else self.stderr,
                env=self.env, cwd=self.folder, pass_fds=pass_fds, start_new_session=True,
            )
        return self

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait_ready(self, condition, what):
        """Wait until condition() holds; a program that ended meanwhile is an error at once."""

        def ready():
            if not self.running():
                raise AssertionError(
                    f"{self.name} ended with status {self.process.returncode}\n{self.report()}"
                )
            return condition()

        try:
            wait_until(ready, what=f"{self.name}: {what}")
        except Timeout as e:
            raise Timeout(f"{e}\n{self.report()}") from None

    # Ending

    def signal(self, number):
        os.kill(self.pid, number)

    def freeze(self):
        """Stop it in the middle of whatever it does, until thaw(). Waits until all its threads
        stand still."""
        self.signal(signal.SIGSTOP)
        wait_until(self._stands_still, what=f"{self.name} stands still")

    def _stands_still(self):
        threads = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        return all((t / "stat").read_text().rpartition(")")[2].split()[0] == "T" for t in threads)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def stop(self, timeout=None):
        """SIGTERM, and wait for the end. Returns the exit status."""
        self.expect_end()
        if self.running():
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        """kill -9, as a crash would."""
        self.expect_end()
        if self.running():
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def expect_end(self):
        """From now on its end is no failure (its status still may be)."""
        self.expected_end = True

    def wait(self, timeout=None):
        """Wait for it to end by itself. Returns the exit status."""
        if not self._ends_within(Deadline(timeout).seconds):
            raise Timeout(f"{self.name} has not ended\n{self.report()}")
        return self.process.wait()

    def finish(self):
        """End it, whatever it does: for the end of a test."""
        if self.process is None:
            return
        self.died = not self.running() and not self.expected_end
        if self.running():
            self.signal(signal.SIGTERM)
            self.stuck = not self._ends_within(Deadline(15).seconds)
        self._kill_group()
        self.process.wait()

    died = False
    stuck = False

    def _ends_within(self, seconds):
        """The kernel reports the end at once. Popen.wait() looks for it in pauses that grow to 50
        ms."""
        if self.process.poll() is not None:
            return True
        descriptor = os.pidfd_open(self.pid)
        try:
            return readable(descriptor, seconds)
        finally:
            os.close(descriptor)

    def _kill_group(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    # Judging

    def check(self):
        """What is wrong with how it ran, as a list of lines. Call it after finish()."""
        problems = []
        if SANITIZER_REPORT.search(self.log()):
            problems.append(f"{self.name}: a sanitizer reported (see its log)")
        status = self.process.returncode if self.process else 0
        if self.died:
            problems.append(f"{self.name}: ended by itself with status {status}")
        elif self.stuck:
            problems.append(f"{self.name}: did not end after SIGTERM and had to be killed")
        elif self.ours and status not in self.ok_statuses:
            problems.append(f"{self.name}: exit status {status}")
        return problems

    def log(self):
        return "".join(p.read_text(errors="replace") for p in self.logs if p.exists())

    def report(self, lines=60):
        """The end of its log, to be read by people."""
        tail = self.log().splitlines()[-lines:]
        return "\n".join([f"--- {self.name}: {' '.join(self.argv)}"] + tail)

    # Looking inside

    def open_files(self):
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident(self):
        """Bytes that it has in memory."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * resource.getpagesize()


def run(argv, env=None, stdin="", timeout=None, text=True):
    """Run a program to its end. Returns subprocess.CompletedProcess with output as text; a
    sanitizer's report fails."""
    done = subprocess.run(
        [str(a) for a in argv], input=stdin, capture_output=True, text=text,
        timeout=Deadline(timeout).seconds,
        env=clean_environment() if env is None else env, check=False,
    )
    errors = done.stderr if text else done.stderr.decode(errors="replace")
    assert not SANITIZER_REPORT.search(errors), errors
    return done
