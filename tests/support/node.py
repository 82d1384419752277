"""Node, and packages from npm: what a folder's package-lock.json pins, installed once below the
build folder."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from . import processes

PATIENCE_SECONDS = 60
_trouble = []  # why npm could not get packages: it is not asked again


def program(name):
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is missing: make deps")
    return found


def installed(folder):
    """A copy of folder (of the repository) with its packages beside it. The test is skipped when
    npm cannot get them."""
    source = processes.ROOT / folder
    files = sorted(p for p in source.iterdir() if p.is_file())
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()[:12]
    place = processes.BUILD / "node" / f"{folder.replace('/', '-')}-{digest}"
    if not place.exists():
        _install(files, place)
    return place


def _install(files, place):
    if _trouble:
        pytest.skip(_trouble[0])
    npm = program("npm")
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = pathlib.Path(tempfile.mkdtemp(dir=place.parent))
    try:
        for file in files:
            shutil.copy2(file, fresh)
        _run_npm(npm, fresh)
        if not place.exists():
            fresh.rename(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _run_npm(npm, place):
    """Without scripts of packages: what is used here needs none."""
    try:
        done = subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=place,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE_SECONDS, env=os.environ)
    except subprocess.TimeoutExpired:
        _give_up(f"npm got no packages within {PATIENCE_SECONDS} s")
    if done.returncode:
        codes = [line.split()[-1] for line in done.stderr.splitlines() if " code " in line]
        _give_up("npm could not get the packages: "
                 f"{codes[0] if codes else f'exit status {done.returncode}'}")


def _give_up(why):
    _trouble.append(why)
    pytest.skip(why)
