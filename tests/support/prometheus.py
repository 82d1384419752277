"""Prometheus' text format: samples read, and promtool's opinion of it.

    samples = Samples(text)
    samples["ssecast_stream_ends_total", "cause=slow"]
"""

import re

from .processes import run

_SAMPLE = re.compile(r'^([a-z_:]+)(?:\{(.*)\})? (\S+)$')
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


class Samples(dict):
    """(name, "label=value,...") to the number; what has no labels also by its name alone."""

    def __init__(self, text):
        super().__init__()
        self.text, self.types = text, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.types, f"{name} twice"
                self.types[name] = kind
            elif not line.startswith("# HELP "):
                name, labels, value = _SAMPLE.match(line).groups()
                key = (name, ",".join(f"{n}={v}" for n, v in _LABEL.findall(labels))) if labels else name
                assert key not in self, f"{key} twice"
                self[key] = float(value)

    def of(self, name):
        """All samples of a name, whatever their labels: labels to number."""
        return {key[1]: value for key, value in self.items() if isinstance(key, tuple) and key[0] == name}

    def counters(self):
        """What may only grow."""
        def base(key):
            name = key if isinstance(key, str) else key[0]
            return re.sub("_(bucket|sum|count)$", "", name) if name not in self.types else name
        return {key: value for key, value in self.items() if self.types[base(key)] in ("counter", "histogram")}


def check(text):
    """promtool finds nothing wrong with it."""
    done = run(["promtool", "check", "metrics"], stdin=text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
