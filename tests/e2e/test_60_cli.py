"""The command line against a real broker: what it sends, what it shows, and what its exit status
says."""

import json
import re
import socket
import subprocess
import time
import urllib.parse

import pytest
from support import processes
from support.cli import Cli
from support.misbehaving import Misbehaving, Silent, Trickling
from support.ports import free_port
from support.processes import CLI, ROOT
from support.relay import Relay
from support.site import Site

OK, FAILED, USAGE = 0, 1, 2


@pytest.fixture(scope="module")
def cli(site):
    return Cli(site.broker)


def fields(out):
    """What a reply of one field on each line says."""
    return dict(line.split(maxsplit=1) for line in out.splitlines())


# Publishing


def test_a_published_event_arrives_as_it_was_typed(site, cli, session):
    reader = site.open_counted(session)
    data = '{"a": 0.10, "n": 123456789012345678901234567890, "big": 1e999}'
    shown = fields(cli("publish", "note", data, "--session", session).check().out)
    [event] = reader.wait_for(1)
    assert (event.type, event.data, event.id) == ("note", data, shown["seq"])
    assert shown["online"] == "1"


def test_half_of_a_surrogate_pair_is_published_and_shown(site, cli, session):
    reader = site.open(session)
    cli("publish", "note", '"cut \\ud83d"', "--session", session).check()
    assert reader.wait_for(1)[0].data == '"cut \\ud83d"'
    assert "cut \\ud83d" in cli("history", "--session", session).check().out


def test_json_from_standard_input(site, cli, session):
    reader = site.open(session)
    cli("publish", "--session", session, "m", "-", stdin='[1,\n 2]\n').check()
    assert json.loads(reader.wait_for(1)[0].data) == [1, 2]


def test_negative_numbers_are_data_and_not_flags(site, cli, session):
    reader = site.open(session)
    cli("publish", "m", "-5.0", "--session", session).check()
    cli("publish", "--session", session, "--", "m", "-7").check()
    assert [e.data for e in reader.wait_for(2)] == ["-5.0", "-7"]


def test_text_is_sent_as_it_is(site, cli, session):
    reader = site.open(session)
    cli("publish", "m", "--text", "{not json", "--session", session).check()
    cli("publish", "m", "-", "--text", "--session", session, stdin="two\nlines").check()
    assert [e.data for e in reader.wait_for(2)] == ["{not json", "two\nlines"]


def test_a_large_text_travels(site, cli, session):
    reader = site.open(session)
    text = "0123456789abcdef" * 50000
    cli("publish", "m", "-", "--text", "--session", session, stdin=text).check()
    assert reader.wait_for(1)[0].data == text


def test_without_data_it_is_null(site, cli, session):
    reader = site.open(session)
    cli("publish", "m", "--session", session).check()
    cli("publish", "", "1", "--session", session).check()
    assert [(e.type, e.data) for e in reader.wait_for(2)] == [("m", "null"), ("message", "1")]


def test_flags_name_targets_and_exceptions(site, cli, session):
    anna, bert, carl = (site.open(f"{session}-{n}", channels=[f"{session}-room"] * (n < 2))
                        for n in range(3))
    room, end = f"{session}-room", [x for n in range(3) for x in ("--session", f"{session}-{n}")]
    cli("publish", "m", "1", "--channel", room).check()
    cli("publish", "m", "2", "--channel", room, "--except-session", f"{session}-0").check()
    cli("publish", "m", "3", "--connection", carl.connection, "--connection",
        anna.connection).check()
    cli("publish", "m", "4", *end, "--except-connection", bert.connection).check()
    cli("publish", "m", "5", *end, "--except-channel", room).check()
    cli("publish", "m", "6", *end).check()
    got = [[e.data for e in reader.wait_for(count)]
           for reader, count in ((anna, 4), (bert, 3), (carl, 4))]
    assert got == [["1", "3", "4", "6"], ["1", "2", "6"], ["3", "4", "5", "6"]]


def test_an_own_id_is_published_once(site, cli, session):
    reader = site.open(session)
    first = fields(
        cli("publish", "m", "1", "--session", session, "--id", f"own-{session}").check().out
    )
    again = fields(
        cli("publish", "m", "1", "--session", session, "--id", f"own-{session}").check().out
    )
    assert again["seq"] == first["seq"] and again["duplicate"] == "true"
    assert reader.wait_for(1)[0].id == f"own-{session}"


def test_retry_reaches_the_reader(site, cli, session):
    with cli.tail(site.url(session), "--count", "1") as tail:
        site.wait_connections(session, 1)
        cli("publish", "m", "1", "--session", session, "--retry", "700").check()
        assert tail.finish().status == OK
    assert cli("history", "--session", session, "--json").json["events"][-1]["retry"] == 700


# Questions


def test_a_key_s_newest_event_is_listed(site, cli, session):
    key = ["--key", f"{session}-b"]
    cli("publish", "price", "1", "--channel", session, *key).check()
    seq = cli("publish", "price", '{"n": 2}', "--channel", session, *key, "--ttl",
              "2h", "--json").check().json["seq"]
    cli("publish", "m", "x\x1b[2J", "--text", "--key", f"{session}-a", "--session", session).check()
    heading, first, second = cli("state", "--prefix", session).check().lines
    assert heading.split() == ["KEY", "TO", "PRIVATE", "SEQ", "AGE", "TTL", "LEFT", "EVENT", "DATA"]
    assert first.split()[0] == f"{session}-a" and first.endswith(r"x\x1b[2J") and " - " in first
    assert (second.split()[:4] == [f"{session}-b", '{"channels":["%s"]}' % session, "-", str(seq)]
            and second.endswith('price  {"n": 2}'))
    assert re.search(r"  [12] h  |  119 min  ", second)
    assert [
        line.split()[0] for line in cli("state", "--channel", session).check().lines[1:]
    ] == [f"{session}-b"]
    assert [line.split()[0] for line in cli("state", "--prefix", session, "--after", f"{session}-a")
            .check().lines[1:]] == [f"{session}-b"]
    assert f" {session}-b " in cli("history", "--channel", session).check().lines[-1]


def test_a_key_s_private_event_is_listed_beside_the_public_one(site, cli, session):
    for private in (True, False):
        site.publish("m", data=1, key=session, to={"channels": [session]}, private=private)
    rows = [line.split() for line in cli("state", "--channel", session).check().lines[1:]]
    assert [(row[0], row[2]) for row in rows] == [(session, "-"), (session, "true")]
    rest = cli("state", "--channel", session, "--limit", "1", "--json").check().json
    assert "private" not in rest["keys"][0]
    [private] = cli("state", "--channel", session, "--after",
                    rest["next"], "--json").check().json["keys"]
    assert private["private"]


def test_the_keys_are_listed_in_pages(cli, session):
    """The place to go on behind is a word that a shell takes; a key may have several targets."""
    key = f"it's {session}"
    for target in ([], ["--session", "a\\b"], ["--channel", "a"]):
        cli("publish", "m", "1", "--key", key, *target, "--ttl", "60").check()
    ask, rows = ["state", "--prefix", key, "--limit", "1"], []
    for last in (False, False, True):
        page = cli(*ask).check()
        rows += page.lines[1:]
        assert ("there is more" in page.err) is not last
        if not last:
            word = re.search(r"--after (\$'.*'), or --limit", page.err)[1]
            ask = [*ask[:5], "--after", subprocess.run(
                ["bash", "-c", f"printf %s {word}"], capture_output=True, text=True, check=True
            ).stdout]
    assert [("everyone" in row, "sessions" in row, "channels" in row) for row in rows] == [
        (True, False, False), (False, True, False), (False, False, True)]
    # else every stream of the tests to come begins with it
    cli("publish", "m", "--key", key, "--remove").check()


def test_an_event_is_private(cli, session):
    cli("publish", "m", "1", "--private", "--channel", session).check()
    [event] = [e for e in cli("history", "--channel", session, "--json").check().json["events"]
               if e.get("to") == {"channels": [session]}]
    assert event["private"] is True
    table = cli("history", "--channel", session).check().lines
    assert table[0].split()[-2:] == ["PRIVATE", "DATA"] and table[-1].split()[-2:] == ["true", "1"]


def test_a_key_is_removed(cli, session):
    key = ["--key", session, "--channel", session]
    cli("publish", "m", "1", *key).check()
    cli("publish", "m", *key, "--remove").check()
    assert cli("state", "--prefix", session, "--json").check().json["keys"] == []
    done = cli("publish", "m", "1", "--key", session, "--connection", session)
    assert done.status == FAILED and "`key` needs one target" in done.err


def test_a_private_event_does_not_reach_a_stream_without_a_grant(site, cli, session):
    reader = site.open(session, channels=[session])
    cli("publish", "m", "1", "--channel", session, "--private", "--key", session).check()
    cli("publish", "m", "2", "--channel", session).check()
    assert reader.wait_for(1)[0].data == "2"
    cli("publish", "m", "3", "--channel", f"{session}-none", "--session", session,
        "--private").check()
    assert reader.wait_for(2)[1].data == "3"
    assert [
        key["private"] for key in cli("state", "--prefix", session, "--json").check().json["keys"]
    ] == [True]
    cli("publish", "m", "--channel", session, "--private", "--key", session, "--remove").check()


def test_existing_connections_are_listed(site, cli, session):
    assert fields(cli("online", session).check().out) == {"online": "false", "connections": "0"}
    reader = site.open(session, channels=["x", "y"])
    site.wait_connections(session, 1)
    assert fields(cli("online", session).out) == {"online": "true", "connections": "1"}
    heading, line = cli("sessions", "--prefix", session).check().lines
    assert (heading.split(), line.split()) == (["SESSION", "CONNECTIONS"], [session, "1"])
    heading, line = cli("connections", "--session", session).check().lines
    assert line.split()[:2] == [reader.connection, session] and line.split()[-1] == "x,y"
    assert heading.index("CHANNELS") == line.index("x,y")


def test_history_shows_and_pages(site, cli, session):
    seqs = [cli("publish", "m", str(n), "--session", session, "--json").json["seq"]
            for n in range(3)]
    lines = cli("history", "--session", session, "--since", seqs[0]).check().lines
    assert [(line.split()[0], line.split()[-1]) for line in lines[1:]] == [
        (str(seqs[1]), "1"), (str(seqs[2]), "2")
    ]
    page = cli("history", "--session", session, "--since", seqs[0], "--limit", "1")
    assert len(page.lines) == 2 and "there is more" in page.err


def test_ping_and_stats(cli):
    assert "version" in fields(cli("ping").check().out)
    assert int(fields(cli("stats").check().out)["publishes"]) > 0
    assert cli("stats", "--json").json["ok"] is True


@pytest.mark.skipif(not processes.as_root(), reason="only root can become another user")
@pytest.mark.parametrize("verb", ["ping", "watch"])
def test_a_socket_without_permission_is_an_error_at_once(bench, verb):
    """Waiting would change nothing."""
    bench.folder.chmod(0o755)
    path = bench.folder / "commands"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        began = time.monotonic()
        done = processes.run(["setpriv", "--reuid", "65534", "--clear-groups", processes.CLI,
                              "--commands", f"ipc://{path}", verb])
    assert (done.returncode == 1
            and f"cannot connect to ipc://{path}: Permission denied" in done.stderr)
    assert time.monotonic() - began < 3  # of --timeout 5s


def test_a_missing_socket_is_named(bench):
    done = processes.run(
        [processes.CLI, "--commands", f"ipc://{bench.folder}/none", "--timeout", "100ms", "ping"]
    )
    assert done.returncode == 1 and "within 0.1 s: no such socket" in done.stderr


def test_workers_are_a_table(site, cli, session):
    site.open(session)
    site.wait_connections(session, 1)
    heading, *rows = cli("workers").check().out.splitlines()
    assert heading.split() == ["WORKER", "CONNECTIONS", "LAG", "QUEUED", "SLOW", "DELIVERIES",
                               "CUT", "HEARD", "STARTED"]
    assert len(rows) == 2 and all(row.split()[7] == "now" for row in rows)
    assert sum(int(row.split()[1]) for row in rows) >= 1
    first = rows[0].split()[0]
    assert [
        row.split()[0] for row in cli("workers", "--after", first).check().out.splitlines()[1:]
    ] == [rows[1].split()[0]]
    shown = cli("workers", "--limit", "1").check()
    assert shown.out.splitlines()[1].split()[0] == first and "there is more" in shown.err


def test_stats_for_prometheus(cli):
    shown = cli("stats", "--prometheus").check().out
    assert (shown.startswith("# HELP ssecast_up ") and "\nssecast_up 1\n" in shown
            and shown.endswith("\n"))


def test_json_is_what_the_broker_said(cli, session):
    for verb in (["ping"], ["stats"], ["sessions"], ["connections"], ["history"], ["state"],
                 ["online", session], ["publish", "m"], ["shutdown", "--session", session]):
        done = cli("--json", *verb).check()
        assert done.json["ok"] is True and len(done.lines) == 1, verb


def test_control_characters_do_not_reach_the_terminal(cli, session):
    cli("publish", "\x1b[31m", "-", "--text", "--session", session,
        stdin="\x1b]0;x\x07\u009b2J\u202e").check()
    out = cli("history", "--session", session).check().out
    assert r"\x1b[31m" in out and r"\x1b]0;x\x07\xc2\x9b2J\xe2\x80\xae" in out
    assert not any(c in out for c in "\x1b\x07\u009b\u202e")


# Shutdown


def test_shutdown_ends_a_stream_for_good(site, cli, session):
    with cli.tail(site.url(session)) as tail:
        site.wait_connections(session, 1)
        assert fields(cli("shutdown", "--session", session, "--reason", "log\"out", "--block", "30")
                      .check().out) == {"closed": "1"}
        done = tail.finish()
    assert done.status == OK and "not to come back" in done.err
    [line] = done.lines
    assert line.split("  ", 1)[1] == 'ssecast.shutdown  {"reason":"log\\"out"}'


def test_shutdown_requires_a_target(cli):
    done = cli("shutdown", "--reason", "x")
    assert done.status == USAGE and "--session" in done.err


# Tail


def test_tail_prints_events_as_they_come(site, cli, session):
    with cli.tail(site.url(session), "--count", "2", "--json") as tail:
        site.wait_connections(session, 1)
        seq = site.publish("m", text="two\nlines", to={"sessions": [session]})["seq"]
        site.publish("n", data={"a": 1}, to={"sessions": [session]}, id=f"own-{session}")
        done = tail.finish().check()
    assert [json.loads(line) for line in done.lines] == [
        {"id": str(seq), "event": "m", "data": "two\nlines"},
        {"id": f"own-{session}", "event": "n",
         "data": '{"a":1}' if '{"a":1}' in done.out else '{"a": 1}'},
    ]


def test_checkpoints_are_printed_when_they_are_asked_for(site, cli, session):
    with cli.tail(site.url(session), "--event", "ssecast.checkpoint", "--event", "m", "--count",
                  "2", "--json") as tail:
        site.wait_connections(session, 1)
        cli("publish", "m", "1", "--session", session).check()
        checkpoint, event = [json.loads(line) for line in tail.finish().check().lines]
    assert (checkpoint["event"] == "ssecast.checkpoint"
            and json.loads(checkpoint["data"])["heartbeat"] == 15000)
    assert event["event"] == "m" and int(event["id"]) > int(checkpoint["id"])


def test_tail_prints_only_what_is_asked_for(site, cli, session):
    with cli.tail(site.url(session), "--event", "a", "--event", "message", "--event", "a",
                  "--count", "3") as tail:
        site.wait_connections(session, 1)
        for event in ("a", "b", "", "aa", "a"):
            site.publish(event, text=event, to={"sessions": [session]})
        done = tail.finish().check()
    assert [line.split("  ")[1:] for line in done.lines] == [
        ["a", "a"], ["message", ""], ["a", "a"]
    ]


def test_tail_begins_at_the_given_id(site, cli, session):
    first = site.publish("m", data=1, to={"sessions": [session]})["seq"]
    site.publish("m", data=2, to={"sessions": [session]})
    done = cli("tail", site.url(session), "--last-event-id", first, "--count", "1").check()
    assert done.lines[0].split("  ")[1:] == ["m", "2"]


def test_tail_comes_back_and_misses_nothing(site, cli, session):
    with Relay(site.web.port) as relay:
        address = urllib.parse.urlsplit(site.url(session))
        with cli.tail(f"{relay.url}{address.path}?{address.query}", "--count", "6") as tail:
            for n in range(3):
                relay.wait_for_requests(address.path, n + 1)
                site.wait_connections(session, 1)
                site.publish("m", data=2 * n, to={"sessions": [session]})
                if n == 0:
                    # a cut before its first answer would end it
                    first = tail.process.stdout.readline()
                relay.cut()
                site.publish("m", data=2 * n + 1, to={"sessions": [session]})
            done = tail.finish().check()
    assert [line.split("  ")[2] for line in [first.rstrip("\n"), *done.lines]] == [
        str(n) for n in range(6)
    ]
    assert "reconnecting in 0.2 s" in done.err


def test_tail_sends_headers(bench):
    site = Site(bench, worker={"session-from": "header:X-User"})
    cli = Cli(site.broker)
    with cli.tail(site.url(), "-H", "X-User: anna", "--count", "1") as tail:
        site.wait_connections("anna", 1)
        site.publish("m", data=1)
        assert tail.finish().status == OK


def test_tail_stops_at_a_refusal(site, cli):
    done = cli("tail", site.url())
    assert done.status == FAILED and "400" in done.err and "missing_session" in done.err
    assert cli("tail", f"http://127.0.0.1:{free_port()}/").status == FAILED
    assert cli("tail", "gopher://x/").status == USAGE


STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}


def test_tail_is_an_event_source(cli):
    name = "x" * 3000
    with Misbehaving(
        (200, STREAM, b"retry: 10\nid: " + name.encode() + b"\ndata: 1\n\ndata: never finished\n"),
        (200, STREAM, b""),
        (200, STREAM, b"data: 2\r\n\r\nid\n\n"),
        (204, {}, b"")
    ) as server:
        done = cli("tail", server.url, "--json").check()
    assert [(e["id"], e["data"]) for e in map(json.loads, done.lines)] == [(name, "1"), (name, "2")]
    assert [headers.get("Last-Event-ID") for _, headers in server.asked] == [None, name, name, None]
    assert all(headers["Accept"] == "text/event-stream" for _, headers in server.asked)


def test_tail_follows_a_redirect(cli):
    with Misbehaving((307, {"Location": "/there"}, b"data: no\n\n"),
                     (200, STREAM, b"data: yes\n\n")) as server:
        assert cli("tail", server.url, "--count", "1").check().out == "-  message  yes\n"
    assert [path for path, _ in server.asked] == ["/", "/there"]


@pytest.mark.parametrize(
    "first", [b"", b"HTTP/1.1 103 Early Hints\r\n\r\n",
              b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 9\r\n\r\n"],
    ids=["nothing", "an interim response", "half of a redirect"]
)
def test_tail_comes_back_when_a_redirect_leads_to_silence(bench, cli, first):
    silent = bench.closing(Silent(first))
    with Misbehaving((200, STREAM, b"retry: 10\ndata: 1\n\n"), (307, {"Location": silent.url}, b""),
                     (200, STREAM, b"data: 2\n\n")) as server:
        done = cli("tail", server.url, "--count", "2", "--timeout", "1s").check()
    assert (done.out == "-  message  1\n-  message  2\n"
            and "the server did not respond in time; reconnecting" in done.err)
    assert silent.asked == 1


def test_tail_comes_back_after_an_interim_response_alone(cli):
    with Misbehaving((200, STREAM, b"retry: 10\ndata: 1\n\n"), (103, {}, b""),
                     (200, STREAM, b"data: 2\n\n")) as server:
        assert cli("tail", server.url,
                   "--count", "2").check().out == "-  message  1\n-  message  2\n"


@pytest.mark.parametrize(
    "server", [Silent, lambda: Silent(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"),
               lambda: Silent(b"HTTP/1.1 103 Early Hints\r\n\r\n"), Trickling],
    ids=["nothing", "half of the headers", "an interim response", "headers without an end"]
)
def test_tail_gives_up_on_a_server_that_sends_no_headers(bench, cli, server):
    silent = bench.closing(server())
    done = cli("tail", silent.url, "--timeout", "1s")
    assert (done.status == FAILED and "the server did not respond in time" in done.err
            and silent.asked == 1)


@pytest.mark.parametrize("status", [200, 204, 307, 403])
def test_tail_comes_back_when_the_connection_ends_among_the_headers(cli, status):
    with Misbehaving((200, STREAM, b"retry: 10\ndata: 1\n\n"), (status, STREAM, None),
                     (200, STREAM, b"data: 2\n\n")) as server:
        assert cli("tail", server.url,
                   "--count", "2").check().out == "-  message  1\n-  message  2\n"


def test_tail_stops_at_a_refusal_whose_body_does_not_come(bench, cli):
    silent = bench.closing(Silent(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n"))
    done = cli("tail", silent.url, "--timeout", "1s")
    assert done.status == FAILED and "403" in done.err and silent.asked == 1


@pytest.mark.parametrize("answer, said", [
    ((200, {"Content-Type": "text/html"}, b"data: no\n\n"), "text/html"),
    ((200, {}, b"data: no\n\n"), "without a type"),
    ((503, STREAM, b"data: no\n\n"), "503"),
])
def test_tail_refuses_what_is_no_stream(cli, answer, said):
    with Misbehaving(answer) as server:
        done = cli("tail", server.url)
    assert done.status == FAILED and said in done.err and done.out == ""


def test_tail_escapes_what_a_stranger_sends(cli):
    with Misbehaving(
        (200, STREAM, b"id: \x1b[2J\nevent: \x1b]0;x\x07\ndata: \xff\xc2\x9b\n\n")
    ) as server:
        out = cli("tail", server.url, "--count", "1").check().out
    assert out == "\\x1b[2J  \\x1b]0;x\\x07  \\xff\\xc2\\x9b\n"


# What is wrong


def test_the_brokers_refusal(cli):
    done = cli("publish", "ssecast.mine", "1")
    assert done.status == FAILED and "bad_request" in done.err and done.out == ""
    done = cli("publish", "ssecast.mine", "1", "--json")
    assert (done.status == FAILED and done.json["error"] == "bad_request"
            and "bad_request" in done.err)


def test_without_an_answer_a_verb_fails_in_time():
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    done = Cli(endpoint=endpoint)("ping", "--timeout", "200ms")
    assert done.status == FAILED and endpoint in done.err and "0.2 s" in done.err


# libzmq on either side may end the connection first.
NO_COMMANDS = "takes no commands from us|is another endpoint of the broker"


@pytest.mark.parametrize("socket, said", [("feed", NO_COMMANDS), ("presence", NO_COMMANDS),
                                          ("sync", "the broker's sync")])
def test_another_socket_of_the_broker(site, socket, said):
    done = Cli(endpoint=site.broker.endpoint(socket))("publish", "m", "1", "--timeout", "1s")
    assert (done.status == FAILED and re.search(said, done.err)
            and site.broker.endpoint(socket) in done.err)


def test_a_web_server_is_no_broker(site):
    done = Cli(endpoint=f"tcp://127.0.0.1:{site.web.port}")("publish", "m", "1", "--timeout", "1s")
    assert done.status == FAILED and "a web server" in done.err and "5570" in done.err


def test_a_usual_port_is_named():
    done = Cli(endpoint="tcp://127.0.0.1:5572")("ping", "--timeout", "200ms")
    assert done.status == FAILED and "5572 is usually the broker's sync" in done.err


def test_an_event_without_receivers_is_reported(site, cli, session):
    done = cli("publish", "m", "1", "--channel", session + "-misspelt").check()
    assert fields(done.out)["online"] == "0" and "no stream is known that gets it now" in done.err
    assert cli("publish", "m", "1", "--channel", session + "-misspelt", "--json").check().err == ""
    own = ["publish", "m", "1", "--session", session, "--id", f"once-{session}"]
    reader = site.open(session)
    assert cli(*own).check().err == ""
    reader.wait_for(1)
    assert cli(*own).check().err == ""


def test_data_that_is_not_json(cli, session):
    done = cli("publish", "m", "hello", "--session", session)
    assert done.status == USAGE and "--text" in done.err


@pytest.mark.parametrize("args, said", [
    ([], "--help"),
    (["dance"], "dance"),
    (["publish"], "EVENT"),
    (["publish", "m", "1", "2"], "'2'"),
    (["publish", "m", "1", "--sesion", "a"], "--sesion"),
    (["publish", "m", "1", "--retry", "soon"], "'soon'"),
    (["publish", "m", "1", "--ttl", "1500ms"], "'1500ms'"),
    (["publish", "m", "1", "--ttl", "31d"], "from 1s to 30d"),
    (["publish", "m", "--remove"], "--remove needs --key"),
    (["publish", "m", "--private"], "--private needs --channel, --session or --connection"),
    (["publish", "m", "1", "--session"], "SESSION"),
    (["publish", "m", "1", "--text=yes"], "--text"),
    (["history", "--since", "-1"], "'-1'"),
    (["online"], "SESSION"),
    (["ping", "--timeout", "x"], "timeout"),
    (["--commands", "nowhere", "ping"], "commands"),
    (["tail", "http://127.0.0.1/", "-H", "nonsense"], "NAME: VALUE"),
    (["tail", "http://127.0.0.1/", "--last-event-id", "a\nb"], "--last-event-id"),
])
def test_a_wrong_call_is_explained(cli, args, said):
    done = cli(*args)
    assert done.status == USAGE and said in done.err and done.out == ""


def test_help_of_each_verb_and_version_are_printed(cli):
    overview = cli("--help").check().out
    assert not [line for line in overview.splitlines() if len(line) > 80]
    verbs = re.findall(r"^  ([a-z-]+)  ", overview.partition("Commands:")[2], re.M)
    assert {"publish", "shutdown", "log-level", "watch", "members"} < set(verbs)
    for verb in verbs:
        text = cli(verb, "--help").check().out
        assert text.startswith("Usage: ssecast")
        assert not [line for line in text.splitlines() if len(line) > 80], verb
    assert cli("--version").check().out.startswith("ssecast ")


def test_an_output_that_cannot_be_written_is_a_failure(cli):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([str(CLI), "ping"], env=cli.env, stdout=full, stderr=subprocess.PIPE,
                              check=False)
    assert done.returncode == FAILED and b"cannot write" in done.stderr


def test_the_manual_knows_every_flag(cli):
    manual = (ROOT / "docs/man/ssecast.1").read_text()
    sections = dict(re.findall(r"^\.It Cm (\w+)(.*?)(?=^\.It Cm|^\.Sh)", manual, re.M | re.S))
    for verb in re.findall(r"^  ([a-z]+)  ", cli("--help").out.partition("Commands:")[2], re.M):
        flags = set(re.findall(r"^  (?:-\w, )?--([a-z-]+)", cli(verb, "--help").out, re.M)) - {
            "json", "help"
        }
        assert flags == set(re.findall(r"(?:Fl|,) -([a-z-]+)", sections[verb])) - {
            "json", "text :"
        }, verb


def test_without_libcurl_only_http_is_missing(site, bench, session):
    (bench.folder / "libcurl.so.4").write_text("no library")
    (bench.folder / "secret").write_text("0123456789abcdef")
    cli = Cli(site.broker)
    cli.env["LD_LIBRARY_PATH"] = str(bench.folder)
    cli("publish", "note", "1", "--session", session).check()
    for args in (
        ["publish", "note", "1", "--url", site.url(session)], ["tail", site.url(session)],
        ["watch", "--webhook", "http://127.0.0.1/", "--secret-file", bench.folder / "secret"]
    ):
        done = cli(*args)
        assert (done.status == FAILED and "libcurl cannot be loaded: " in done.err
                and "libcurl.so.4" in done.err), done.err
