"""Prometheus: its text format read, promtool's opinion of it, and Prometheus itself.

    samples = Samples(text)
    samples["ssecast_stream_ends_total", "cause=slow"]
"""

import json
import re
import shutil
import urllib.parse
import urllib.request

from .ports import free_port
from .processes import ROOT, Program, run

MONITORING = ROOT / "monitoring"

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
                key = ((name, ",".join(f"{n}={v}" for n, v in _LABEL.findall(labels)))
                       if labels else name)
                assert key not in self, f"{key} twice"
                self[key] = float(value)

    def of(self, name):
        """All samples of a name, whatever their labels: labels to number."""
        return {key[1]: value for key, value in self.items() if isinstance(key, tuple)
                and key[0] == name}

    def counters(self):
        """What may only grow."""
        def base(key):
            name = key if isinstance(key, str) else key[0]
            return re.sub("_(bucket|sum|count)$", "", name) if name not in self.types else name
        return {key: value for key, value in self.items()
                if self.types[base(key)] in ("counter", "histogram")}


def check(text):
    """promtool finds nothing wrong with it."""
    done = run(["promtool", "check", "metrics"], stdin=text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done


class Prometheus(Program):
    """The real one, with monitoring/prometheus.yml as a user would change it: it scrapes the site
    each second, and shows a token."""

    ok_statuses = (0,)

    def __init__(self, bench, site, token):
        self.port = free_port()
        place = bench.folder / "prometheus"
        place.mkdir()
        shutil.copy(MONITORING / "ssecast-alerts.yml", place)
        (place / "token").write_text(token)
        text = (MONITORING / "prometheus.yml").read_text()
        for before, after in (("www.example.org", f"127.0.0.1:{site.web.port}"),
                              ("scheme: https", "scheme: http"), ("interval: 15s", "interval: 1s"),
                              ("# authorization:", "authorization:"),
                              ("#   credentials_file: /etc/prometheus/ssecast.token",
                               f"  credentials_file: {place}/token")):
            assert before in text, before
            text = text.replace(before, after)
        (place / "prometheus.yml").write_text(text)
        super().__init__("prometheus",
                         ["prometheus", f"--config.file={place}/prometheus.yml",
                          f"--storage.tsdb.path={place}/data",
                          f"--web.listen-address=127.0.0.1:{self.port}"], place, ours=False)
        bench.adopt(self)

    def api(self, path, **query):
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=5
        ) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        """What it gives at the moment: a list of (labels, number)."""
        return [(r["metric"], float(r["value"][1]))
                for r in self.api("query", query=expression)["result"]]

    def start(self):
        super().start()
        self.wait_ready(self._answers, "answers queries")
        return self

    def _answers(self):
        try:
            return self.query("vector(1)") == [({}, 1.0)]
        except OSError:
            return False
