"""Hardening options of the compiler and the linker; no secret is printed."""

import re

import pytest
from support import processes
from support.processes import BUILD, SANITIZED, run

PROGRAMS = [processes.BROKER, processes.WORKER, processes.CLI, processes.PGSQL, processes.MQTT]
OBJECTS = [*PROGRAMS, BUILD / "libssecast.so.0"]

pytestmark = pytest.mark.skipif("coverage" in BUILD.name, reason="built plainly")


def elf(path, *what):
    return run(["readelf", "--wide", *what, path]).stdout


@pytest.mark.parametrize("path", OBJECTS, ids=lambda p: p.name)
def test_it_may_be_loaded_anywhere_and_its_tables_are_read_only(path):
    assert re.search(r"Type:\s+DYN", elf(path, "--file-header"))
    segments, dynamic = elf(path, "--program-headers"), elf(path, "--dynamic")
    assert "GNU_RELRO" in segments
    assert (re.search(r"FLAGS.*BIND_NOW", dynamic) and "RPATH" not in dynamic
            and "RUNPATH" not in dynamic)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: p.name)
def test_a_program_is_position_independent(path):
    assert re.search(r"Flags:.*PIE", elf(path, "--dynamic"))


@pytest.mark.parametrize("path", OBJECTS, ids=lambda p: p.name)
def test_nothing_is_both_writable_and_executable(path):
    segments = [line.split() for line in elf(path, "--program-headers").splitlines()
                if re.match(r"\s+(LOAD|GNU_STACK)", line)]
    flags = {"".join(words[6:-1]) for words in segments}
    assert flags and not any("W" in f and "E" in f for f in flags)
    assert any(words[0] == "GNU_STACK" for words in segments)


@pytest.mark.skipif(SANITIZED, reason="the sanitizers check more")
@pytest.mark.parametrize("path", OBJECTS, ids=lambda p: p.name)
def test_stacks_and_buffers_are_watched(path):
    symbols = elf(path, "--dyn-syms")
    assert "__stack_chk_fail" in symbols
    assert re.search(r"__(memcpy|snprintf|vsnprintf|printf|fprintf|vfprintf|strcpy|read)_chk",
                     symbols)


@pytest.mark.parametrize("path", OBJECTS, ids=lambda p: p.name)
def test_libcurl_is_loaded_only_when_it_is_used(path):
    """It brings 20 libraries, which a short command would spend most of its time on."""
    loaded = elf(path, "--dynamic")
    assert "libzmq" in loaded and "libcurl" not in loaded
