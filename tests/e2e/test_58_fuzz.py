"""The fuzzers themselves: every decoder of outside input has one, with seeds; and findings are
reported.

`make fuzz` and the short run of `make check` do the fuzzing.
"""

import subprocess

import pytest
from support.processes import ROOT

FUZZ = ROOT / "tests" / "fuzz"
TARGETS = sorted(p.stem for p in FUZZ.glob("fuzz_*.c"))
FAILS = """#!/bin/sh
echo "INFO: diary"
echo "something must hold" >&2
echo "stat::number_of_executed_units: 1234"
exit 77
"""
FINDS_NOTHING = "#!/bin/sh\necho 'stat::number_of_executed_units: 56'\n"


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_has_inputs_to_begin_from(name):
    assert len(list((FUZZ / "corpus" / name).iterdir())) >= 2
    assert f"`{name[5:]}`" in (ROOT / "docs" / "testing.md").read_text()


def test_no_input_is_left_over():
    assert sorted(p.name for p in (FUZZ / "corpus").iterdir()) == TARGETS


@pytest.fixture
def build(bench):
    """A build folder with targets of our own: name and script."""

    def make(**targets):
        folder = bench.folder / "built" / "fuzz"
        folder.mkdir(parents=True)
        for name, script in targets.items():
            path = folder / f"fuzz_{name}"
            path.write_text(script)
            path.chmod(0o755)
        return folder.parent

    return make


def fuzz(build, *args):
    return subprocess.run([FUZZ / "run", build, "--seconds", "1", *args], capture_output=True,
                          text=True, check=False)


def test_what_a_target_finds_fails_the_run_and_is_shown(build):
    done = fuzz(build(wire=FINDS_NOTHING, json=FAILS), "--fresh")
    assert done.returncode == 1 and "1 of 2 targets failed" in done.stderr
    assert ("fuzz_json" in done.stdout and "something must hold" in done.stdout
            and "diary" not in done.stdout)
    assert "56 inputs, nothing found" in " ".join(done.stdout.split())


def test_one_target_can_be_chosen(build):
    folder = build(wire=FINDS_NOTHING, json=FAILS)
    assert fuzz(folder, "--target", "wire").returncode == 0
    assert fuzz(folder, "--target", "fuzz_json").returncode == 1
    assert "no such target" in fuzz(folder, "--target", "nothing").stderr


def test_the_short_run_keeps_nothing_and_the_long_one_does(build):
    folder = build(wire=FINDS_NOTHING)
    fuzz(folder, "--fresh")
    assert not (folder / "fuzz" / "corpus").exists()
    fuzz(folder)
    assert (folder / "fuzz" / "corpus" / "fuzz_wire").is_dir()
