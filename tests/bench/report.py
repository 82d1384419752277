"""Medians, tables, targets and the plot."""

import json
import os
import platform
import shutil
import statistics
import subprocess

from support import mixes

import cases


class Results:
    """values[case][who][metric] = one number for each round."""

    def __init__(self):
        self.values, self.notes, self.rounds = {}, [], 0

    def add(self, case, who, found):
        """A list is what several turns of this round gave."""
        for metric, value in found.items():
            self.values.setdefault(case, {}).setdefault(who, {}).setdefault(metric, []).extend(
                value if isinstance(value, list) else [value]
            )

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def median(self, case, who, metric):
        """None when it was not measured."""
        values = self.values.get(case, {}).get(who, {}).get(metric)
        return statistics.median(values) if values else None

    def ratio(self, case, metric, who, other, other_case=None, other_metric=None):
        """The median of the rounds' ratios: both were measured in each, so what disturbed one
        disturbed the other."""
        a = self.values.get(case, {}).get(who, {}).get(metric, [])
        b = self.values.get(other_case or case, {}).get(other, {}).get(other_metric or metric, [])
        pairs = [x / y for x, y in zip(a, b) if y]
        return statistics.median(pairs) if pairs else None

    def quartiles(self, case, who, metric):
        """(lower, upper); None when there are too few values to say."""
        values = self.values.get(case, {}).get(who, {}).get(metric, [])
        if len(values) < 4:
            return None
        lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
        return lower, upper

    def save(self, path, about):
        path.write_text(json.dumps({"machine": about, "results": self.values, "notes": self.notes},
                                   indent=1) + "\n")


# --- tables ---

def number(value, digits=3):
    if value is None:
        return "–"
    if abs(value) >= 10000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:.0f}"


def table(head, rows):
    """A Markdown table that is readable as it is."""
    cells = [[str(c) for c in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def streams_table(r, servers):
    head = ["1,000 streams", "flat out, events/s", "× Nchan", "20 ev/s: CPU µs per delivery",
            "× Nchan", "× floor", "p50 ms", "p99 ms"]
    rows = []
    for s in servers:
        if s.name in r.values.get("paced", {}):
            rows.append([s.label, number(r.median("flat", s.name, "events_per_s")),
                         number(r.ratio("flat", "events_per_s", s.name, "nchan")),
                         number(r.median("paced", s.name, "cpu_us")),
                         number(r.ratio("paced", "cpu_us", s.name, "nchan")),
                         number(r.ratio("paced", "cpu_us", s.name, "floor")),
                         number(r.median("paced", s.name, "p50_ms")),
                         number(r.median("paced", s.name, "p99_ms"))])
    return table(head, rows)


def tls_table(r, servers):
    """As streams_table, and what an idle stream costs; ratios to Nchan over TLS."""
    head = ["TLS 1.3, 1,000 streams", "flat out, events/s", "× Nchan",
            "20 ev/s: CPU µs per delivery", "× Nchan", "p50 ms", "p99 ms",
            "2,000 idle: KB per stream (PSS)", "× Nchan", "opened/s"]
    columns = [("tls flat", "events_per_s", True), ("tls paced", "cpu_us", True),
               ("tls paced", "p50_ms", False), ("tls paced", "p99_ms", False),
               ("tls idle", "pss_kb", True), ("tls idle", "opened_per_s", False)]
    rows = []
    for s in servers:
        if s.name in r.values.get("tls paced", {}):
            row = [s.label]
            for case, metric, compared in columns:
                row.append(number(r.median(case, s.name, metric)))
                row += [number(r.ratio(case, metric, s.name, "nchan-tls"))] if compared else []
            rows.append(row)
    return table(head, rows)


def parts_table(r, servers, case="paced"):
    """Where the CPU time of a delivery goes."""
    rows = []
    for s in servers:
        for metric in r.values.get(case, {}).get(s.name, {}):
            if metric.startswith("cpu_us of "):
                rows.append([s.label, metric.removeprefix("cpu_us of "),
                             number(r.median(case, s.name, metric))])
    return table(["20 ev/s", "process", "CPU µs per delivery"], rows)


def idle_table(r, servers):
    head = ["idle streams", "number", "KB per stream (PSS, all processes)", "RSS KB per stream of",
            "opened/s", "refused"]
    rows = []
    for s in servers:
        if s.name in r.values.get("idle", {}):
            parts = ", ".join(
                f"{m.removeprefix('rss_kb of ')} {number(r.median('idle', s.name, m), 2)}"
                for m in r.values["idle"][s.name] if m.startswith("rss_kb of ")
            )
            rows.append([s.label, number(r.median("idle", s.name, "streams")),
                         number(r.median("idle", s.name, "pss_kb")), parts,
                         number(r.median("idle", s.name, "opened_per_s")),
                         number(r.median("idle", s.name, "refused"))])
    return table(head, rows)


def plain_table(r, case, head, labels=None):
    values = r.values.get(case, {}).get("ssecast", {})
    return table(head,
                 [[(labels or {}).get(m, m), number(r.median(case, "ssecast", m))] for m in values])


def quartiles_table(r, case, head):
    """As plain_table, with the quartiles of what was measured in turns."""
    rows = []
    for metric, values in r.values.get(case, {}).get("ssecast", {}).items():
        found = r.quartiles(case, "ssecast", metric)
        rows.append([metric, number(statistics.median(values)),
                     f"{number(found[0])} to {number(found[1])}" if found else "–", len(values)])
    return table([*head, "median", "quartiles", "of"], rows)


# --- targets ---

def targets(r):
    """(what, value, wanted, reached) for everything that was measured."""
    lighttpd, apache, handoff, nchan = ("ssecast-lighttpd", "ssecast-apache",
                                        "ssecast-handoff", "nchan")
    mine = "ssecast"
    behind = [r.ratio("paced", "cpu_us", lighttpd, peer)
              for peer in ("nchan-lighttpd", "node-lighttpd")]
    behind = max((ratio for ratio in behind if ratio), default=None)
    rows = [
        ("flat out via lighttpd ÷ Nchan",
         r.ratio("flat", "events_per_s", lighttpd, nchan), ">=", 20),
        ("flat out via Apache ÷ Nchan", r.ratio("flat", "events_per_s", apache, nchan), ">=", 10),
        ("20 ev/s via lighttpd: CPU ÷ Nchan", r.ratio("paced", "cpu_us", lighttpd, nchan), "<=", 1),
        ("20 ev/s via lighttpd: CPU ÷ floor",
         r.ratio("paced", "cpu_us", lighttpd, "floor"), "<=", 2),
        ("20 ev/s via lighttpd: p50 ÷ Nchan", r.ratio("paced", "p50_ms", lighttpd, nchan), "<=", 1),
        ("20 ev/s via lighttpd: p99 ÷ Nchan", r.ratio("paced", "p99_ms", lighttpd, nchan), "<=", 1),
        ("20 ev/s: CPU ÷ any peer behind the same lighttpd", behind, "<=", 0.6),
        ("20 ev/s by the hand-off: CPU ÷ via lighttpd",
         r.ratio("paced", "cpu_us", handoff, lighttpd), "<=", 0.6),
        ("20 ev/s by the hand-off: CPU ÷ floor",
         r.ratio("paced", "cpu_us", handoff, "floor"), "<=", 1.2),
        ("idle: worker RSS, KB per stream",
         r.median("idle", lighttpd, "rss_kb of worker"), "<=", 0.5),
        ("idle, by the hand-off: worker RSS, KB per stream",
         r.median("idle", handoff, "rss_kb of worker"), "<=", 0.5),
        ("idle, by the hand-off: Apache RSS, KB per stream",
         r.median("idle", handoff, "rss_kb of apache-handoff"), "<=", 0.1),
        ("connects through Apache's hand-off, streams/s",
         r.median("idle", handoff, "opened_per_s"), ">=", 3000),
        ("idle: worker + lighttpd RSS, KB per stream",
         _sum(r, "idle", lighttpd, "rss_kb of worker", "rss_kb of lighttpd"), "<=", 5),
        ("connects through lighttpd, streams/s",
         r.median("idle", lighttpd, "opened_per_s"), ">=", 5000),
        ("connects refused", r.median("idle", lighttpd, "refused"), "<=", 0),
        ("acknowledged/s, JSON, memory", r.median("publishing", mine, "memory data"), ">=", 150e3),
        ("acknowledged/s, JSON, durable", r.median("publishing", mine, "durable data"),
         ">=", 100e3),
        ("second frame ÷ JSON, memory",
         r.ratio("publishing", "memory frame", mine, mine, other_metric="memory data"), ">=", 1),
        *((f"acknowledged/s ÷ echo of a bare ROUTER: {what}",
           r.median("publishing", mine, f"{what} ÷ echo"), ">=", limit)
          for what, limit in (("memory data", 0.5), ("memory frame", 0.8), ("durable data", 0.4))),
        ("p99 of an answer at 10,000/s durable, ms",
         r.median("acknowledging", mine, "p99_ms"), "<=", 5),
        ("targeted: 8,900 other streams ÷ none",
         r.ratio("targeting", "with streams us", mine, mine, other_metric="alone us"), "<=", 1.1),
        ("targeted: 100,000 other sessions ÷ none",
         r.ratio("targeting", "with sessions us", mine, mine, other_metric="with streams us"),
         "<=", 1.1),
        ("ten templates a stream ÷ ten exact topics: CPU of the worker",
         r.ratio("patterns", "templates us", mine, mine, other_metric="exact us"), "<=", 1.3),
        *((f"acknowledged/s on JetStream, {n} replica(s) ÷ libnats alone",
           r.median("cluster", mine, f"{n} replica(s): ÷ libnats alone"), ">=", 0.9)
          for n in (1, 3)),
        ("replay ÷ the same events live",
         r.ratio("replay", "replay s", mine, mine, other_metric="live s"), "<=", 3),
        ("replay: 10 × as much retained, as much delivered",
         r.ratio("scattered", "scattered s", mine, mine, other_metric="scattered over a tenth s"),
         "<=", 1.5),
        (f"keyed, {cases.SLOW} of 1,000 readers slow ÷ none: "
         f"p99 of the others{_spread(r, 'keyed', mine, 'p99 with ÷ without')}",
         r.median("keyed", mine, "p99 with ÷ without"), "<=", 1.1),
        ("keyed: KB of the worker per slow reader", _most(r, "slow", mine), "<=", cases.SLOW_KB),
        ("state to streams that come back ÷ the same events live",
         r.ratio("state", "state s", mine, mine, other_metric="live s"), "<=", 3),
        ("state to streams that come back ÷ live, CPU time",
         r.ratio("state", "state, CPU s", mine, mine, other_metric="live, CPU s"), "<=", 3),
        ("writes per delivery, one event at a time",
         r.median("coalescing", mine, "paced"), "<=", 1.02),
        ("writes per delivery, flat out", r.median("coalescing", mine, "flat"), "<=", 0.5),
        ("memory ÷ limit, the most of all mixes", _most(r, "memory", mine), "<=",
         mixes.FACTOR + mixes.BASE / mixes.LIMIT),
    ]
    return [(what, value, f"{'≥' if sign == '>=' else '≤'} {number(limit)}",
             value >= limit if sign == ">=" else value <= limit)
            for what, value, sign, limit in rows if value is not None]


def _spread(r, case, who, metric):
    """The quartiles, to tell a result from noise."""
    found = r.quartiles(case, who, metric)
    return f" (quartiles {number(found[0])} to {number(found[1])})" if found else ""


def _sum(r, case, who, *metrics):
    values = [r.median(case, who, m) for m in metrics]
    return None if None in values else sum(values)


def _most(r, case, who):
    return max((r.median(case, who, m) for m in r.values.get(case, {}).get(who, {})), default=None)


def targets_table(r):
    return table(["target", "measured", "wanted", ""],
                 [[what, number(value), limit, "reached" if ok else "not reached"]
                  for what, value, limit, ok in targets(r)])


# --- everything ---

def text(r, servers, tls_servers, effort, about):
    parts = [f"Machine: {about}. Medians of {r.rounds} round(s); "
             "ratios are medians of the rounds' ratios."]
    if "paced" in r.values:
        parts += [streams_table(r, servers), parts_table(r, servers)]
    if "tls paced" in r.values:
        parts += [tls_table(r, tls_servers), parts_table(r, tls_servers, "tls paced")]
    if "idle" in r.values:
        parts.append(idle_table(r, servers))
    if "publishing" in r.values:
        parts.append(
            plain_table(r, "publishing", ["publishing (one DEALER, 128 bytes)", "acknowledged/s"])
        )
    if "acknowledging" in r.values:
        parts.append(plain_table(r, "acknowledging", ["answers at 10,000/s, durable", "ms"]))
    if "targeting" in r.values:
        parts.append(
            plain_table(r, "targeting", ["an event for one session", "CPU µs of broker and worker"])
        )
    if "patterns" in r.values:
        parts.append(plain_table(r, "patterns", [
            "1,000 streams of ten selectors, an event for 100 of them", "CPU µs of the worker"
        ]))
    if "replay" in r.values:
        parts.append(plain_table(r, "replay",
                                 [f"{effort.many:,} clients, {effort.retained // 1000} events "
                                  f"each, of {effort.retained:,}", "s"]))
    if "scattered" in r.values:
        parts.append(plain_table(r, "scattered", ["the same, scattered", "s"]))
    if "keyed" in r.values:
        parts.append(
            quartiles_table(r, "keyed", ["1,000 readers of events with 100 keys, 10 of them slow"])
        )
    if "slow" in r.values:
        parts.append(plain_table(r, "slow", ["100 slow readers", "KB of the worker for each"]))
    if "state" in r.values:
        parts.append(plain_table(
            r, "state", [f"{effort.many:,} clients, state of {effort.retained // 100:,} keys", "s"]
        ))
    if "coalescing" in r.values:
        parts.append(plain_table(r, "coalescing", ["writes per delivery", ""]))
    if "cluster" in r.values:
        parts.append(plain_table(
            r, "cluster", ["several brokers on NATS JetStream, everything on one machine", ""]
        ))
    if "memory" in r.values:
        parts.append(plain_table(
            r, "memory", [f"memory with limits of {mixes.LIMIT >> 20} MiB", "resident ÷ limit"]
        ))
    if "codecs" in r.values:
        parts.append(plain_table(r, "codecs", ["codec", "instructions per call"]))
    parts.append(targets_table(r))
    return "\n\n".join([*parts, *r.notes]) + "\n"


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), platform.machine())
    memory = int(open("/proc/meminfo").readline().split()[1]) / 1024 / 1024
    return (f"{os.cpu_count()} cores, {model}, {memory:.0f} GB, "
            f"Linux {platform.release().split('-')[0]}, loopback")


# --- plot ---

PANELS = [  # case, metric, title, format of the labels
    ("flat", "events_per_s", "flat out, 1,000 streams: million events/s", 1e6),
    ("paced", "cpu_us", "20 events/s, 1,000 streams: CPU µs per delivery", 1),
    ("paced", "p99_ms", "20 events/s, 1,000 streams: p99 latency, ms", 1),
    ("idle", "pss_kb", "idle streams: KB each", 1),
]


def plot(r, servers, folder):
    """plot.svg and plot.png in folder; nothing without gnuplot."""
    panels = [p for p in PANELS if p[0] in r.values]
    if not shutil.which("gnuplot") or not panels:
        return
    blocks = []
    for i, (case, metric, _, unit) in enumerate(panels):
        rows = [(s, r.median(case, s.name, metric)) for s in servers]
        rows = [(s, v / unit) for s, v in rows if v is not None]
        lines = [f"$d{i} << EOD"]
        lines += [f'"{s.label}" {v:.6g} '
                  f'{0 if s.name.startswith("ssecast") else 1 if s.name != "floor" else 2} '
                  f'"{number(v)}"' for s, v in reversed(rows)]
        blocks.append("\n".join([*lines, "EOD"]))
    for terminal, name in (("svg size 900,{0} font 'sans,12' background 'white'", "plot.svg"),
                           ("png size 900,{0}", "plot.png")):
        script = [*blocks, f"set terminal {terminal.format(230 * len(panels))}",
                  f"set output '{folder / name}'", f"set multiplot layout {len(panels)},1",
                  "set style fill solid", "set boxwidth 0.7", "unset key", "set xrange [0:*]",
                  "set offsets 0,0,0.5,0.5", "set lmargin 28", "set rmargin 8", "set border 3",
                  "set tics nomirror", "set linetype 1 lc rgb '#0b6e4f'",
                  "set linetype 2 lc rgb '#8d99ae'", "set linetype 3 lc rgb '#d9a441'"]
        for i, (_, _, title, _) in enumerate(panels):
            script += [f"set title '{title}'",
                       f"plot $d{i} using ($2/2):0:($2/2):(0.35):($3+1):ytic(1) with "
                       f"boxxyerror lc variable, $d{i} using 2:0:4 with labels left offset 0.5,0"]
        subprocess.run(["gnuplot"], input="\n".join(script), text=True, check=False)
