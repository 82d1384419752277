"""The command line as a test uses it.

    cli = Cli(site.broker)
    cli("publish", "m", "1").check()                     # a finished run: status, out, err
    with cli.tail(site.url("anna"), "--count", "2") as tail:
        ...
        assert tail.finish().status == 0
"""

import json
import subprocess

from .processes import CLI, SANITIZER_REPORT, clean_environment, run
from .waiting import Deadline


class Run:
    """A run that has ended."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def check(self):
        assert self.status == 0, f"status {self.status}: {self.err}"
        return self

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def lines(self):
        return self.out.splitlines()


class Tail:
    """A run of `ssecast tail` that goes on while the test does other things."""

    def __init__(self, argv, env):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe,
                                        text=True, env=env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def finish(self, timeout=None):
        """Wait until it ends by itself."""
        out, err = self.process.communicate(timeout=Deadline(timeout).seconds)
        assert not SANITIZER_REPORT.search(err), err
        return Run(self.process.returncode, out, err)


class Cli:
    """With the broker's endpoint in the environment."""

    def __init__(self, broker=None, endpoint=None):
        endpoint = endpoint or broker.endpoint("commands")
        self.env = clean_environment(SSECAST_COMMANDS=endpoint, TZ="UTC")

    def __call__(self, *args, stdin="", text=True):
        done = run([CLI, *args], env=self.env, stdin=stdin, text=text)
        return Run(done.returncode, done.stdout, done.stderr)

    def tail(self, url, *args):
        return Tail([str(a) for a in (CLI, "tail", url, *args)], self.env)
