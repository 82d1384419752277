"""`ssecast top`: how everything is, in a terminal."""

import os
import re
import signal

import pytest
from support.cli import Cli
from support.processes import CLI, clean_environment
from support.site import Site
from support.terminal import Terminal
from support.waiting import wait_until


@pytest.fixture(scope="module")
def cli(site):
    return Cli(site.broker)


def top(site, **size):
    return Terminal([CLI, "top"],
                    env=clean_environment(SSECAST_COMMANDS=site.broker.endpoint("commands")),
                    **size)


def number(text, name):
    """What stands behind a name."""
    return int(re.search(rf"{name} +([\d,]+)", text)[1].replace(",", ""))


def test_once_prints_one_frame_without_escapes(site, cli, session):
    for _ in range(3):
        site.open(session)
    site.wait_connections(session, 3)
    site.publish("m", data=1)
    out = cli("top", "--once").check().out
    assert "\x1b" not in out and site.broker.endpoint("commands") in out
    assert number(out, "workers") == 2 and number(out, "sessions") >= 1
    assert re.search(rf"^{session[:32]} +3$", out, re.M), out
    assert re.search(r"^events +[#.]+ [\d,]+ of 100,000$", out, re.M), out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_json_is_the_reply(site, cli):
    reply = cli("top", "--once", "--json").check().json
    assert reply["ok"] and len(reply["workers"]) == 2 and reply["history"]["events_max"] == 100000


def test_without_a_terminal_it_says_so(cli):
    run = cli("top")
    assert run.status == 2 and "the output is not a terminal; --once" in run.err and run.out == ""


@pytest.mark.parametrize("term, said",
                         [("TERM=dumb", "TERM is dumb"), ("TERM=", "TERM is not set")])
def test_a_terminal_that_cannot_move_the_cursor_is_named(term, said):
    with Terminal(["/usr/bin/env", term, CLI, "top"], columns=120) as terminal:
        assert terminal.wait_end() == 2 and said in terminal.text() and "--once" in terminal.text()


def test_it_goes_on_showing_until_q(site, session):
    with top(site) as terminal:
        terminal.wait_text("workers 2")
        assert "1049" in terminal.modes and not terminal.echoes()
        reader = site.open(session)
        terminal.wait_text(session[:32])
        reader.close()
        terminal.wait(lambda: session[:32] not in terminal.text(), "the session leaves the list")
        terminal.type("q")
        assert terminal.wait_end() == 0
        assert terminal.modes == {"7", "25"} and terminal.echoes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(site, number):
    with top(site) as terminal:
        terminal.wait_text("workers 2")
        os.kill(terminal.pid, number)
        assert terminal.wait_end() == 0
        assert terminal.modes == {"7", "25"} and terminal.echoes()


def test_it_fits_a_terminal_of_any_size_and_follows_its_changes(site):
    """A line that is too long, or one too many, is an error of the terminal's."""
    with top(site, columns=100, lines=40) as terminal:
        terminal.wait_text("ssecast 0.")
        for columns, lines in ((40, 12), (20, 5), (200, 60), (90, 40), (80, 24)):
            terminal.resize(columns, lines)
            for _ in range(3):
                terminal.redraw()
            assert terminal.rows()[0].startswith("ssecast 0.")
            if lines > 20:
                assert any(row.endswith(" HEARD") for row in terminal.rows())
        terminal.type("q")
        assert terminal.wait_end() == 0


def test_it_says_that_the_broker_is_away_and_comes_back(bench):
    site = Site(bench)
    env = clean_environment(SSECAST_COMMANDS=site.broker.endpoint("commands"), SSECAST_TIMEOUT="1s")
    with Terminal([CLI, "top"], env=env) as terminal:
        terminal.wait_text("workers 1")
        site.broker.stop()
        terminal.wait_text("no answer from the broker; these numbers are old")
        terminal.wait_text("workers 1")
        site.broker.start()
        terminal.wait(lambda: "no answer" not in terminal.text() and "workers 1" in terminal.text(),
                      "it is back")
        terminal.type("q")
        assert terminal.wait_end() == 0


def test_it_says_why_nothing_answers(site):
    env = clean_environment(SSECAST_COMMANDS=site.broker.endpoint("presence"), SSECAST_TIMEOUT="1s")
    with Terminal([CLI, "top"], columns=120, env=env) as terminal:
        terminal.wait_text("waiting for the broker's answer")
        terminal.wait_text("no answer from the broker: what answers there")
        terminal.type("q")
        assert terminal.wait_end() == 0


def test_names_give_the_terminal_no_orders(site, cli):
    """C1 controls and marks of direction are allowed in names."""
    name = "evil\u009b31m\u202e"
    readers = [site.open(name) for _ in range(6)]
    wait_until(lambda: site.commands.connections_of(name) == 6)
    out = cli("top", "--once").check().out
    assert "\u009b" not in out and "\u202e" not in out and r"evil\xc2\x9b31m\xe2\x80\xae" in out
    for reader in readers:
        reader.close()
