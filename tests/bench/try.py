import sys, time, json
import servers, tools
from support.bench import Bench
for cls in servers.ALL:
    if len(sys.argv)>1 and cls.name not in sys.argv[1:]: continue
    with Bench() as bench:
        try: s = cls(bench)
        except Exception as e: print(cls.name, repr(e)); continue
        with tools.Load(bench.folder, s.port, s.pids()) as load:
            try:
                load.burst(s.burst); t = load.open(1000, s.path)
                print(cls.name, "opened in", t)
                p = tools.start_publisher(*s.publisher(), "--rate", 20, "--seconds", 4)
                time.sleep(0.7); load.begin(); time.sleep(3); r = load.end(); tools.result(p)
                cpu = sum(r["cpu"].values())
                print("  paced", r["events"]/r["seconds"], "us/delivery", cpu*1e6/max(1,r["events"]), r["p50_ms"], r["p99_ms"], "lost", r["lost"], r["disordered"], r["ended"], {p.name: round(r["cpu"][str(p.pid)]*1e6/max(1,r["events"]),2) for p in s.programs})
                p = tools.start_publisher(*s.publisher(), "--seconds", 4, "--progress", load.progress, "--ahead", 1000)
                time.sleep(0.7); load.begin(); time.sleep(3); r = load.end(); print("  ", tools.result(p))
                print("  flat", r["events"]/r["seconds"], "lost", r["lost"], r["disordered"], r["ended"], "load cpu", r["load_cpu"]/r["seconds"], {p.name: round(r["cpu"][str(p.pid)]/r["seconds"],2) for p in s.programs})
            except Exception as e:
                print(cls.name, repr(e)); print(bench.report())
