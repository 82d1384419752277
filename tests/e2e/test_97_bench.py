"""`make bench` itself: it needs no settings, and leaves no program behind when it is
interrupted."""

import pathlib
import signal
import subprocess

import pytest
from support.processes import BUILD, ROOT, clean_environment
from support.waiting import TIMEOUT, wait_until

RUN = ROOT / "tests" / "bench" / "run"


def environment(**extra):
    env = clean_environment(SSECAST_BUILD=str(BUILD), **extra)
    env.pop("PYTHONPATH", None)
    return env


def test_it_runs_without_settings_from_any_folder(tmp_path):
    done = subprocess.run([RUN, "--help"], cwd=tmp_path, env=environment(), capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--case" in done.stdout


def test_programs_that_are_not_built_are_named(tmp_path):
    done = subprocess.run([RUN, "--quick"], env=environment() | {"SSECAST_BUILD": str(tmp_path)},
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith(" is missing: make bench-build\n")


def descendants(pid):
    """{pid: name} of the processes below this one."""
    found, parents = {}, {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                name, rest = (folder / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
            except OSError:
                continue
            parents.setdefault(int(rest.split()[1]), []).append((int(folder.name), name))
    waiting = [pid]
    for parent in waiting:
        for child, name in parents.get(parent, []):
            found[child] = name
            waiting.append(child)
    return found


@pytest.mark.skipif(not (BUILD / "bench" / "echo").exists(),
                    reason="make bench-build (make e2e does it)")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_nothing_behind(tmp_path, number):
    with subprocess.Popen([RUN, "--case", "publishing"], env=environment(TMPDIR=str(tmp_path)),
                          start_new_session=True, stderr=subprocess.DEVNULL) as run:
        try:
            wait_until(lambda: "publish" in descendants(run.pid).values(), what="a publisher runs")
            started = descendants(run.pid)
            assert {"echo", "ssecast-broker"} <= set(started.values())
            run.send_signal(number)
            status = run.wait(4 * TIMEOUT)
        finally:
            run.kill()
    wait_until(lambda: not [p for p in started if pathlib.Path(f"/proc/{p}").exists()],
               what="nothing is left")
    if number != signal.SIGKILL:
        assert status == 128 + number
        assert not list(tmp_path.iterdir())
