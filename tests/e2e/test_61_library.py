"""libssecast as its users have it: installed, found by pkg-config, linked both ways, and run."""

import contextlib
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest
import zmq
from support.broker import Broker
from support.misbehaving import Misbehaving, Silent, Trickling
from support.ports import free_port
from support.processes import BUILD, ROOT, SANITIZER_REPORT, clean_environment, run
from support.relay import Relay
from support.vectors import vectors
from support.waiting import wait_until

WARNINGS = ["-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
TOOL = ROOT / "tests/e2e/library/tool.c"
STREAM = {"Content-Type": "text/event-stream"}


def sanitizers():
    """What the library was built with, and so what its users must be built with."""
    names = run(["nm", "-D", BUILD / "libssecast.so.0"]).stdout
    return [flag for flag, sign in (
        ("-fsanitize=address", "__asan_"), ("-fsanitize=undefined", "__ubsan_"),
        ("-fsanitize=thread", "__tsan_")
    ) if sign in names]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree as `make install` leaves it."""
    root = tmp_path_factory.mktemp("installed")
    run(["make", "-C", ROOT, "-s", "install", f"BUILD={BUILD}", f"prefix={root}/usr",
         f"sysconfdir={root}/etc", "-o", "all"], timeout=120).check_returncode()
    return root / "usr"


def pkg_config(tree, *args, packages=("ssecast",)):
    env = clean_environment(PKG_CONFIG_PATH=str(tree / "lib/pkgconfig"))
    done = run(["pkg-config", *args, *packages], env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def build(tree, folder, source=TOOL, name="tool", static=False):
    program = folder / name
    libs = pkg_config(tree, "--libs")
    if static:
        libs = [tree / "lib/libssecast.a",
                *pkg_config(tree, "--libs", packages=pkg_config(tree, "--print-requires-private"))]
    done = run(["cc", *WARNINGS, *sanitizers(), *pkg_config(tree, "--cflags"), source, "-o",
                program, *libs], timeout=120)
    assert done.returncode == 0, done.stderr
    return program


@pytest.fixture(scope="module")
def tool(tree, tmp_path_factory):
    """tool("story", ...): what the program printed, by lines."""
    program = build(tree, tmp_path_factory.mktemp("tool"))
    env = clean_environment(LD_LIBRARY_PATH=str(tree / "lib"), LC_ALL="C.UTF-8")

    def tell(*args, **options):
        done = run([program, *args], env=env, **options)
        assert done.returncode == 0, done
        return done.stdout.splitlines()

    tell.program, tell.env = program, env
    return tell


# What is installed


def test_it_shows_nothing_but_its_header(tree):
    symbols = run(["nm", "-D", "--defined-only", tree / "lib/libssecast.so.0"]).stdout.split("\n")
    shown = {line.split()[2].split("@")[0] for line in symbols if " T " in line or " D " in line
             or " B " in line}
    declared = set(re.findall(r"^SSECAST_API .*?\b(ssecast_\w+)\(",
                              (tree / "include/ssecast.h").read_text(), re.M))
    assert shown == declared
    assert "@@SSECAST_0.1" in "".join(symbols)


def shows_no_more(archive):
    lines = run(["nm", "--defined-only", "--extern-only", archive]).stdout.splitlines()
    names = {line.split()[2] for line in lines if len(line.split()) == 3
             and not re.search(r"asan|ubsan|DW\.ref", line)}
    assert names and all(name.startswith("ssecast_") for name in names), names


def test_the_static_one_shows_no_more(tree):
    shows_no_more(tree / "lib/libssecast.a")


# its dpkg-buildflags
UBUNTU = ["CFLAGS=-O2 -flto=auto -ffat-lto-objects", "LDFLAGS=-flto=auto -ffat-lto-objects"]


@pytest.mark.skipif(sanitizers(), reason="the flags of a sanitizer are not among these")
def test_link_time_optimization_changes_nothing_of_that(tmp_path):
    done = run(["make", "-s", "-C", ROOT, f"BUILD={tmp_path}", *UBUNTU, tmp_path / "libssecast.a"],
               timeout=300)
    assert done.returncode == 0, done.stderr
    sections = run(["objdump", "-h", tmp_path / "libssecast.a"]).stdout
    assert ".text" in sections and ".gnu.lto" not in sections
    shows_no_more(tmp_path / "libssecast.a")


def test_its_name_says_its_version(tree):
    header = run(["objdump", "-p", tree / "lib/libssecast.so.0"]).stdout
    assert re.search(r"SONAME\s+libssecast\.so\.0\n", header)
    assert os.readlink(tree / "lib/libssecast.so") == "libssecast.so.0"
    version = run([BUILD / "ssecast", "--version"]).stdout.split()[1]
    assert pkg_config(tree, "--modversion") == [version]


def test_the_static_one_links_too(tree, tmp_path):
    program = build(tree, tmp_path, static=True)
    assert "libssecast" not in run(["ldd", program]).stdout
    assert run([program, "decode", 7, 0], stdin="data: 1\n\n").stdout.startswith("7 1 0\nmessage1")


@pytest.mark.skipif(not shutil.which("c++"), reason="no C++ compiler")
def test_the_header_is_good_for_cpp(tree):
    done = run(["c++", "-x", "c++", "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                "-fsyntax-only", tree / "include/ssecast.h"])
    assert done.returncode == 0 or "pragma once" in done.stderr, done.stderr


def test_the_command_line_uses_only_the_public_header():
    files = [*(ROOT / "client/cli").glob("*.[ch]")]
    of_library = {header for path in files
                  for header in re.findall(r'#include "(lib/.*)"', path.read_text())}
    assert of_library == {"lib/ssecast.h"}


def test_the_manual_has_every_function(tree):
    declared = set(re.findall(r"^SSECAST_API .*?\b(ssecast_\w+)\(",
                              (tree / "include/ssecast.h").read_text(), re.M))
    assert (
        set(re.findall(r"^\.Fo (\w+)", (ROOT / "docs/man/ssecast.3").read_text(), re.M)) == declared
    )
    if shutil.which("man"):
        assert run(["man", "--warnings", "-l", ROOT / "docs/man/ssecast.3"]).stderr == ""


def programs_of_the_tutorial():
    text = (ROOT / "docs/library.md").read_text()
    return [code for code in re.findall(r"```c\n(.*?)```", text, re.S) if "int main" in code]


def test_the_tutorial_compiles_and_publishes(tree, tool, bench, tmp_path):
    broker = Broker(bench).start()
    publishes, reads = programs_of_the_tutorial()
    publishes = publishes.replace("    int err = ssecast_publisher_new(&publisher, NULL);", f"""
    const char *endpoint = "{broker.endpoint("commands")}";
    const struct ssecast_publisher_options options = {{
        .endpoints = &endpoint, .endpoint_count = 1}};
    int err = ssecast_publisher_new(&publisher, &options);""")
    for name, code in (("publishes", publishes), ("reads", reads)):
        (tmp_path / f"{name}.c").write_text(code)
        build(tree, tmp_path, source=tmp_path / f"{name}.c", name=name)
    assert re.fullmatch(r"published as \d+\n", run([tmp_path / "publishes"], env=tool.env).stdout)


# The publisher


def test_everything_one_call_after_the_other(site, tool, session):
    reader = site.open(session)
    lines = tool("everything", site.broker.endpoint("commands"), session)
    a, text, raw, c, again, *none, refused = [line.split() for line in lines[:9]]
    seqs = [line[1] for line in (a, text, raw, c)]
    events = reader.wait_for(7)
    assert [(e.type, e.data) for e in events[:6]] == [
        ("a", '{"n": 0.10}'), ("message", "two\nlines é"), ("b", "by\0tes"),
        ("c", "null"), ("e", "1"), ("e", "2")
    ]
    assert [e.id for e in events[:4]] == seqs[:3] + [f"own-{session}"]
    assert again == ["published", seqs[3], "duplicate"]
    assert all(line[0] == "published" for line in none) and refused == ["refused", "bad_request"]
    assert lines[9:13] == ["failed Invalid argument", "failed Invalid argument",
                           "failed Invalid or incomplete multibyte or wide character",
                           "refused bad_json"]
    assert lines[13] == "batch of 2, 1 further"
    assert json.loads(lines[14]) == {"ok": True, "online": True, "connections": 1}
    assert ([line.split()[0] for line in lines[15:17]] == ["published"] * 2
            and lines[17] == "refused bad_request")
    [entry] = json.loads(lines[18])["keys"]
    assert (entry["data"], entry["key"], entry["ttl"], entry["to"]) == (
        "2", f"key-{session}", 60, {"channels": ["nobody"]}
    )
    assert lines[19].split()[0] == "published" and json.loads(lines[20])["keys"] == []
    assert json.loads(lines[21])["error"] == "bad_request"
    assert lines[22:25] == ["Invalid argument", "Invalid argument", "closed 1"]
    assert (events[6].type, events[6].data) == ("ssecast.shutdown", '{"reason":"done"}')


def test_a_pipeline_in_a_loop_of_its_own(site, tool, session):
    reader = site.open(session)
    [line] = tool("pipeline", site.broker.endpoint("commands"), session, 5000)
    assert line == "good 5000 bad 0, window was full"
    assert [e.data for e in reader.wait_for(5000)] == [str(n) for n in range(5000)]


def test_no_event_is_lost_or_doubled_while_brokers_die(bench, tool):
    broker, count = (Broker(bench, store=bench.folder / "history", history_events=1000000).start(),
                     60000)
    publisher = subprocess.Popen(
        [tool.program, "pipeline", broker.endpoint("commands"), "s", str(count), "auto"],
        env=tool.env, stdout=subprocess.PIPE, text=True
    )
    with broker.commands() as commands:
        for share in (0.05, 0.4):
            wait_until(lambda: commands.stats()["history_events"] >= share * count,
                       what="the next kill")
            assert publisher.poll() is None, "it was over before"
            broker.kill()
            broker.start()
        assert publisher.communicate(timeout=60)[0].startswith(f"good {count} bad 0")
        seen, last = [], 0
        while page := commands.demand({"op": "history", "since": last, "limit": 1000})["events"]:
            seen += [int(e["data"]) for e in page]
            last = page[-1]["seq"]
    assert sorted(seen) == list(range(count))


class Router(threading.Thread):
    """A ROUTER that is no broker: answer(number, request) says what to send back, None: nothing."""

    def __init__(self, answer, **options):
        super().__init__(daemon=True)
        self.answer, self.requests = answer, []
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.linger = 0
        for name, value in options.items():
            setattr(self.socket, name, value)
        self.endpoint = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.ended = threading.Event()

    def run(self):
        while not self.ended.is_set():
            if not self.socket.poll(20):
                continue
            who, text, *_ = self.socket.recv_multipart()
            request = json.loads(text)
            self.requests.append(request)
            reply = self.answer(len(self.requests), request)
            if reply is not None:
                self.socket.send_multipart(
                    [who, reply if isinstance(reply, bytes) else json.dumps(reply).encode()]
                )
        self.socket.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


def accept(_, request):
    return {"ok": True, "seq": 7, "ref": request["ref"]}


@pytest.mark.parametrize("own, tries", [("auto", 3), ("order-17", 3), ("", 1)])
def test_what_has_an_id_is_sent_again(tool, own, tries):
    with Router(lambda n, request: accept(n, request) if n >= 3 else None) as router:
        lines = tool("unsure", router.endpoint, 1500, own)
    publishes = [r for r in router.requests if r["op"] == "publish"]
    assert len(publishes) == tries and len({r.get("id") for r in publishes}) == 1
    assert lines == ["published 7" if own else "failed Connection timed out",
                     "then Operation canceled"]
    if own == "auto":
        assert re.fullmatch(r"a[0-9a-f]{24}-1", publishes[0]["id"])


def test_replies_that_are_none_of_ours(tool):
    def answer(n, request):
        return [None, b'{"ok":true,"seq":1,"ref":999}', b'{"ok":true,"seq":1}', b"\0",
                {"ok": True, "seq": 8, "ref": request["ref"]}][n]

    with Router(answer) as router:
        assert tool("unsure", router.endpoint, 3000, "x")[0] == "failed Bad message"


def test_a_refusal_without_a_number_finds_its_request(tool):
    with Router(lambda n, _: b'{"ok":false,"error":"too_large","message":"5"}') as router:
        assert tool("unsure", router.endpoint, 3000, "")[0] == "refused too_large"


def test_requests_wait_for_a_broker_that_starts_later(tool):
    port = free_port()
    process = subprocess.Popen([tool.program, "unsure", f"tcp://127.0.0.1:{port}", "9000", ""],
                               env=tool.env, stdout=subprocess.PIPE, text=True)
    time.sleep(0.4)
    router = zmq.Context.instance().socket(zmq.ROUTER)
    with router:
        router.bind(f"tcp://127.0.0.1:{port}")
        who, text = router.recv_multipart()
        router.send_multipart([who, json.dumps(accept(1, json.loads(text))).encode()])
        out, _ = process.communicate(timeout=20)
    assert out.splitlines()[0] == "published 7"


def test_of_several_endpoints_reachable_ones_are_used(tool):
    dead = [f"tcp://127.0.0.1:{free_port()}" for _ in range(2)]
    with Router(accept) as router:
        assert tool("unsure",
                    ",".join([dead[0], router.endpoint, dead[1]]), 5000, "")[0] == "published 7"


def test_of_several_endpoints_one_gets_everything(tool):
    """Else the brokers of a cluster would put a publisher's events into any order."""
    with Router(accept) as one, Router(accept) as other:
        tool("pipeline", f"{one.endpoint},{other.endpoint}", "s", 200)
        assert sorted((len(one.requests), len(other.requests))) == [0, 200]


def test_what_one_endpoint_does_not_answer_another_does(tool):
    with Router(lambda *_: None) as deaf, Router(accept) as router:
        for order in ([deaf, router], [router, deaf]):
            assert tool("unsure", ",".join(r.endpoint for r in order),
                        5000, "order-17")[0] == "published 7"


def test_curve_keys(tool):
    public, private = (key.decode() for key in zmq.curve_keypair())
    own = [key.decode() for key in zmq.curve_keypair()]
    other = zmq.curve_keypair()[0].decode()
    with Router(accept, curve_server=True, curve_secretkey=private.encode(),
                curve_publickey=public.encode()) as router:
        assert tool("secret", router.endpoint, public) == ["keys of 40 and 40", "published 7"]
        assert tool("secret", router.endpoint, public, *own)[1] == "published 7"
        assert tool("secret", router.endpoint, other)[1] == "failed No route to host"
        assert len(router.requests) == 2
    done = run([tool.program, "secret", router.endpoint, public[:-1]], env=tool.env)
    assert done.returncode == 1 and "curve: Invalid argument" in done.stdout


def test_endpoints_that_cannot_be(tool):
    for endpoint in ("nowhere", "carrier://pigeon", "tcp://"):
        done = run([tool.program, "everything", endpoint, "a"], env=tool.env)
        assert done.returncode == 1 and "Invalid argument" in done.stdout


# The source


def test_a_source_in_a_thread(site, tool, session):
    reader = subprocess.Popen([tool.program, "read", site.url(session), "2", "m"], env=tool.env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    site.wait_connections(session, 1)
    for event in ("m", "other", "m"):
        last = site.publish(event, data=event, to={"sessions": [session]})["seq"]
    out, err = reader.communicate(timeout=20)
    assert not SANITIZER_REPORT.search(err), err
    opened, first, second, ended = out.splitlines()
    assert opened == "open 1" and ended == f"ended Success, state 2, last {last}"
    assert [line.split("|")[:2] for line in (first, second)] == [["message m", '"m"']] * 2


def test_a_source_begins_at_the_given_id_and_reconnects(site, tool, session):
    first = site.publish("m", data=0, to={"sessions": [session]})["seq"]
    with Relay(site.web.port) as relay:
        path = site.url(session).split("/", 3)[3]
        reader = subprocess.Popen(
            [tool.program, "read", f"{relay.url}/{path}", "4", "*", str(first)], env=tool.env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for n in range(2):
            relay.wait_for_requests(f"/{path}".partition("?")[0], n + 1)
            site.wait_connections(session, 1)
            site.publish("m", data=2 * n + 1, to={"sessions": [session]})
            relay.cut()
            site.publish("m", data=2 * n + 2, to={"sessions": [session]})
        out, err = reader.communicate(timeout=20)
    assert not SANITIZER_REPORT.search(err), err
    assert [line.split("|")[1] for line in out.splitlines() if line.startswith("message")] == [
        "1", "2", "3", "4"
    ]
    assert "error state 0 end 0 status 200 wait 200" in out


def test_answers_of_the_standard_reconnect_or_end(tool):
    with Misbehaving((200, STREAM, b"retry: 5\nid: 1\ndata: a\n\ndata: never finished"),
                     (200, STREAM, b"data: b\n\nid\ndata: c\n\n"),
                     (204, {}, b"")) as server:
        assert tool("read", server.url, 0, "*") == [
            "open 1", "message message|a|1", "error state 0 end 0 status 200 wait 5",
            "open 1", "message message|b|1", "message message|c|",
            "error state 0 end 0 status 200 wait 5",
            "error state 2 end 2 status 204 wait 0", "ended Success, state 2, last "]
    assert [headers.get("Last-Event-ID") for _, headers in server.asked] == [None, "1", None]
    assert all(headers["X-Reader"] == "tool" for _, headers in server.asked)


@pytest.mark.parametrize("answer, lines", [
    ((503, STREAM, b"data: no\n\n"),
     ["error state 2 end 3 status 503 wait 0", "ended Protocol error, state 2, last "]),
    ((200, {"Content-Type": "text/html"}, b"no"),
     ["error state 2 end 3 status 200 wait 0", "ended Protocol error, state 2, last "]),
    ((200, STREAM, b"id: 1\n\ndata: " + b"x" * 200000), [
        "open 1", "error state 2 end 5 status 200 wait 0", "ended Message too long, state 2, last 1"
    ]),
    ((200, STREAM, b'id: 1\n\nevent: ssecast.expired\ndata: {}\n\n'),
     ["open 1", "message ssecast.expired|{}|1", "error state 2 end 7 status 200 wait 0",
      "ended Key has expired, state 2, last 1"]),
])
def test_what_ends_it_for_good(tool, answer, lines):
    with Misbehaving(answer) as server:
        assert tool("read", server.url, 0, "*") == lines
    assert len(server.asked) == 1


def test_a_url_that_cannot_be_used(tool):
    assert tool("read", "gopher://x/", 0, "*") == ["error state 2 end 4 status 0 wait 0",
                                                   "ended Invalid argument, state 2, last "]


def test_retries_of_an_unreachable_server_slow_down(tool):
    reader = subprocess.Popen([tool.program, "read", f"http://127.0.0.1:{free_port()}/", "1", "*"],
                              env=tool.env, stdout=subprocess.PIPE, text=True)
    lines = [reader.stdout.readline().strip() for _ in range(4)]
    reader.kill()
    reader.communicate()
    assert lines == [f"error state 0 end 1 status 0 wait {ms}" for ms in (10, 20, 40, 40)]


def test_a_close_ends_between_two_messages(tool):
    three = b"id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\n\n"
    with Misbehaving((200, STREAM, three), (200, STREAM, three[three.index(b"id: 2"):])) as server:
        assert tool("again", server.url, 2) == [
            "message a|1", "ended Success, last 1", "message b|2", "ended Success, last 2",
            "closed before: Success"
        ]
    assert [headers.get("Last-Event-ID") for _, headers in server.asked] == [None, "1"]


@pytest.fixture
def silence():
    """The address of a server that opens streams and says no more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        clients = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    clients.append(server.accept()[0])
                    clients[-1].sendall(b"HTTP/1.1 200 OK\r\nContent-Type: "
                                        b"text/event-stream\r\n\r\nretry: 5\n\n")

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        server.shutdown(socket.SHUT_RDWR)
        for client in clients:
            client.close()


def test_a_silent_stream_has_ended(tool, silence):
    reader = subprocess.Popen([tool.program, "read", silence, "1", "*", "", "150"], env=tool.env,
                              stdout=subprocess.PIPE, text=True)
    lines = [reader.stdout.readline().strip() for _ in range(4)]
    reader.kill()
    reader.communicate()
    assert lines == ["open 1", "error state 0 end 0 status 200 wait 5"] * 2


@pytest.mark.parametrize("server", [Silent, Trickling])
def test_a_server_that_sends_no_headers_is_unreachable(bench, tool, server):
    silent = bench.closing(server())
    reader = subprocess.Popen([tool.program, "read", silent.url, "1", "*", "", "20000", "150"],
                              env=tool.env, stdout=subprocess.PIPE, text=True)
    lines = [reader.stdout.readline().strip() for _ in range(3)]
    reader.kill()
    reader.communicate()
    assert lines == [f"error state 0 end 1 status 0 wait {ms}" for ms in (10, 20, 40)]


@pytest.mark.parametrize("where", ["in a silent stream", "while it waits to come back"])
def test_a_signal_handler_may_close(tool, silence, where):
    url = silence if "stream" in where else f"http://127.0.0.1:{free_port()}/"
    reader = subprocess.Popen([tool.program, "signal", url], env=tool.env, stdout=subprocess.PIPE,
                              text=True)
    assert reader.stdout.readline() == "running\n"
    time.sleep(0.3)
    reader.terminate()
    assert reader.communicate(timeout=5) == ("ended Success\n", None)


# The decoder


def decoded(tool, body, step, most=0):
    """Its messages, and the line at the end."""
    done = run([tool.program, "decode", step, most], env=tool.env, stdin=body, text=False)
    rest, messages = done.stdout, []
    while rest[:1].isdigit():
        lengths, _, rest = rest.partition(b"\n")
        ends = list(itertools.accumulate(map(int, lengths.split())))
        messages.append(
            tuple(rest[start:end].decode(errors="replace") for start, end in zip([0, *ends], ends))
        )
        rest = rest[ends[-1]:]
    return messages, rest.decode()


@pytest.mark.parametrize("vector", vectors(), ids=lambda v: v.name)
def test_the_decoder_reads_what_the_standard_says(tool, vector):
    for step in (1, 2, 3, 4096):
        messages, end = decoded(tool, vector.body, step)
        assert messages == vector.events, step
        assert end == f"Success, retry {vector.retry or 0}, last {vector.cursor}"


def test_the_decoder_bounds_an_event(tool):
    small = b"data: " + b"x" * 80 + b"\n\n"
    for step in (1, 4096):
        assert decoded(tool, small * 3, step, 100)[1].startswith("Success")
        messages, end = decoded(tool, small + b"data: x\n" * 80 + b"\n", step, 100)
        assert len(messages) == 1 and end.startswith("Message too long")
        assert decoded(tool, b":" + b"x" * 200, step, 100)[1].startswith("Message too long")
