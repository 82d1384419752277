"""A store as `ssecast-broker --dump-store` shows it."""

import json

from . import processes


class Dump:
    """What is in the store in `folder`, and what the program says of it."""

    def __init__(self, folder):
        done = processes.run([processes.BROKER, "--dump-store", folder])
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.status, self.errors = done.returncode, done.stderr
        self.events = [line for line in lines if "seq" in line]
        self.kept = [line["kept"] for line in lines if "kept" in line and "sound" not in line]
        self.starts = [line for line in lines if "started_at" in line]
        self.summary = lines[-1] if lines and "sound" in lines[-1] else None
