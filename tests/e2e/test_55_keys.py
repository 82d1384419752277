"""Keys: who may connect to what, who may give which command about whom, and what happens when that
changes."""

import concurrent.futures
import json
import os
import re
import signal
import socket
import stat
import subprocess
import time

import pytest
import zmq
from support.broker import Broker
from support.cli import Cli, Tail
from support.commands import Commands
from support.fcgi import FastCgi
from support.keys import Key, Keys, Watched, handshake
from support.lighttpd import Lighttpd
from support.options import arguments
from support.ports import free_port
from support.processes import BROKER, BUILD, CLI, ROOT, WORKER, clean_environment, run
from support.reader import wait_all
from support.site import Site
from support.waiting import patient, wait_until
from support.worker import Worker

OK, FAILED, USAGE = 0, 1, 2


class KeyedSite(Site):
    """A site whose broker has keys. Tests command it over ipc, where there are none; .tcp is where
    keys count."""

    def __init__(self, bench, worker=None, **options):
        self.keys = Keys(bench.folder)
        self.tcp = f"tcp://127.0.0.1:{free_port()}"
        self.worker_key = self.keys.add("worker", "web")
        commands = [f"ipc://{bench.folder}/commands", self.tcp]
        super().__init__(bench, broker={"commands": commands, **self.keys.broker_options(),
                                        **options.pop("broker", {})},
                         worker={**self.worker_key.options(), **(worker or {})}, **options)

    def client(self, key):
        return Commands(self.tcp, key)

    def reload(self):
        """Wait until the broker has reread the file, or logged why not. It handles signals between
        two commands."""
        self.broker.signal(signal.SIGHUP)
        self.commands.ping()
        self.commands.ping()


@pytest.fixture(scope="module")
def keyed(bench_of_all):
    site = KeyedSite(bench_of_all)
    site.shop = site.keys.add("publisher", "shop", "sessions=shop-*,anna channels=room:*")
    site.anyone = site.keys.add("publisher", "anyone")
    site.desk = site.keys.add("operator", "desk")
    site.part = site.keys.add("operator", "part", "sessions=anna")
    site.reload()
    return site


# Who may connect

WHO = {
    "commands": {"worker": "refused", "anyone": "in", "desk": "in", "part": "in"},
    "feed": {"worker": "in", "anyone": "refused", "desk": "refused", "part": "refused"},
    "sync": {"worker": "in", "anyone": "refused", "desk": "refused", "part": "refused"},
    "presence": {"worker": "refused", "anyone": "refused", "desk": "in", "part": "refused"},
}
KINDS = {"commands": zmq.DEALER, "feed": zmq.SUB, "sync": zmq.DEALER, "presence": zmq.SUB}


@pytest.mark.parametrize("name", WHO)
def test_a_role_is_let_in_where_it_belongs(keyed, name):
    endpoint = keyed.tcp if name == "commands" else keyed.broker.endpoint(name)
    keys = {"worker": keyed.worker_key, "anyone": keyed.anyone, "desk": keyed.desk,
            "part": keyed.part}
    before = keyed.stat("keys_refused")
    got = {who: handshake(endpoint, key, KINDS[name]) for who, key in keys.items()}
    assert got == WHO[name]
    assert keyed.stat("keys_refused") - before == list(got.values()).count("refused")
    assert handshake(endpoint, keyed.keys.stranger("nobody"), KINDS[name]) == "refused"
    assert handshake(endpoint, None, KINDS[name]) == "failed"
    assert handshake(endpoint, keyed.desk, KINDS[name], broker=keyed.desk.public) == "failed"


def test_the_log_names_the_refused_key(keyed):
    assert handshake(keyed.broker.endpoint("feed"), keyed.desk, zmq.SUB) == "refused"
    stranger = keyed.keys.stranger("who")
    assert handshake(keyed.tcp, stranger) == "refused"
    wait_until(lambda: stranger.public in keyed.broker.log(), what="the stranger's key")
    assert re.search(r"may not connect here socket=\w+ name=desk role=operator "
                     r"address=127\.0\.0\.1", keyed.broker.log())


# What they may do there

def test_a_publisher_publishes_within_its_limits(keyed, session):
    name = f"shop-{session}"
    reader = keyed.open_counted(name, channels=["room:7"])
    with keyed.client(keyed.shop) as shop:
        assert shop.publish("m", data=1, to={"sessions": [name]})["online"] == 1
        shop.publish("m", data=2, to={"channels": ["room:7"]})
        shop.publish_batch([{"event": "m", "data": 3, "to": {"sessions": [name, "anna"]}}])
        for wrong in ({}, {"to": {"sessions": ["bert"]}},
                      {"to": {"sessions": [name], "channels": ["hall"]}},
                      {"to": {"connections": [reader.connection]}},
                      {"to": {"sessions": [name]}, "except": {"sessions": ["bert"]}},
                      {"to": {"sessions": [name]}, "retry": 1000}):
            assert shop.ask(
                {"op": "publish", "event": "m", "data": 0, **wrong}
            )["error"] == "forbidden"
        assert (shop.online(name)["online"]
                and shop.ask({"op": "online", "session": "bert"})["error"] == "forbidden")
        for op in ("stats", "sessions", "connections", "history", "shutdown", "log"):
            assert shop.ask({"op": op, "ref": op})["error"] == "forbidden"
        assert (
            shop.ask({"op": "members", "channel": "room:7"})["error"] == "forbidden"
        ), "only readers of a channel, and operators"
        shop.ping()
    reader.wait_for(3)
    assert reader.data() == ["1", "2", "3"]


def test_one_without_limits_reaches_everyone(keyed, session):
    reader = keyed.open_counted(session)
    with keyed.client(keyed.anyone) as anyone:
        anyone.publish("m", data=1)
        assert anyone.ask({"op": "shutdown", "sessions": [session]})["error"] == "forbidden"
    with keyed.client(keyed.desk) as desk:
        assert desk.shutdown(sessions=[session])["closed"] == 1
    reader.wait_for(2)
    assert reader.types() == ["m", "ssecast.shutdown"]


def test_a_limited_operator_sees_its_part(keyed, session):
    keyed.open("anna"), keyed.open(session)
    keyed.wait_connections("anna", 1)
    keyed.wait_connections(session, 1)
    keyed.publish("m", data=1, to={"sessions": ["anna", session]})
    with keyed.client(keyed.part) as part:
        assert [s["session"] for s in part.sessions()["sessions"]] == ["anna"]
        assert {c["session"] for c in part.connections(session="anna")["connections"]} == {"anna"}
        assert part.history(session="anna")["events"][-1]["to"] == {"sessions": ["anna"]}
        for op in ({"op": "connections"}, {"op": "history"}, {"op": "history", "session": session},
                   {"op": "shutdown", "sessions": [session]}, {"op": "presence"}, {"op": "status"},
                   {"op": "log"}, {"op": "members", "channel": "room:7"}):
            assert part.ask(op)["error"] == "forbidden"
        assert part.stats()["connections"] >= 2
        assert part.shutdown(sessions=["anna"], block=0)["closed"] == 1


def test_an_operator_with_limits_leaves_room_for_the_bans_of_others(bench):
    site = KeyedSite(bench, broker={"max_bans": 8})
    tenant = site.keys.add("operator", "tenant", "sessions=shop-*")
    site.reload()
    reader = site.open("anna")
    with site.client(tenant) as client:
        assert client.shutdown(sessions=[f"shop-{n}" for n in range(6)], block=3600)["ok"]
        reply = client.ask({"op": "shutdown", "sessions": ["shop-6"], "block": 3600})
        assert reply["error"] == "too_large" and "three quarters" in reply["message"]
        assert client.shutdown(sessions=["shop-5"], block=60)["ok"]
    assert site.commands.shutdown(sessions=["anna", "bert"], block=60)["closed"] == 1
    reader.wait_type("ssecast.shutdown")


def test_over_ipc_no_key_is_needed(keyed):
    assert keyed.commands.stats()["ok"]
    path = keyed.broker.options["commands"][0].removeprefix("ipc://")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660


def test_the_permissions_of_ipc_sockets_are_an_option(bench):
    options = {n: f"ipc://{bench.folder}/{n}" for n in ("commands", "feed", "sync", "presence")}
    Broker(bench, ipc_mode="0600", **options).start()
    assert {stat.S_IMODE(os.stat(bench.folder / n).st_mode) for n in options} == {0o600}


class Named(Key):
    """The pair of another one, of a client that chooses its routing id."""

    def __init__(self, key, routing_id):
        self.public, self.secret, self.broker, self.routing_id = (
            key.public, key.secret, key.broker, routing_id
        )

    def use(self, socket, broker=None):
        super().use(socket, broker)
        socket.setsockopt(zmq.ROUTING_ID, self.routing_id)


@pytest.mark.parametrize("routing_id", [b"twin", b"\0\0\0\0\2", b"x" * 255],
                         ids=["usual", "reserved", "long"])
def test_publishers_choose_no_routing_ids(keyed, routing_id):
    """libzmq would never read the second one, or end the broker."""
    name = Named(keyed.anyone, routing_id)
    with keyed.client(name) as first, keyed.client(name) as second:
        for client in (first, second, first):
            assert client.ask({"op": "ping"})["ok"]


# Streams through CURVE

def test_streams_resume_and_presence_work_through_curve(keyed, session):
    assert "with CURVE" in keyed.broker.log()
    reader = keyed.open(session)
    keyed.wait_connections(session, 1)
    keyed.commands.publish_many(
        [{"event": "m", "data": n, "to": {"sessions": [session]}} for n in range(2000)]
    )
    reader.wait_for(2000)
    assert reader.data() == [str(n) for n in range(2000)]
    back = keyed.open(session, last_event_id=reader.events[999].id)
    back.wait_for(1000)
    assert back.data() == [str(n) for n in range(1000, 2000)]
    reader.close(), back.close()
    keyed.wait_connections(session, 0)


def test_a_large_event_passes_through_curve(keyed, session):
    reader = keyed.open_counted(session)
    with keyed.client(keyed.anyone) as anyone:
        anyone.publish("m", payload=b"x" * (1 << 20), to={"sessions": [session]})
    assert len(reader.wait_for(1)[0].data) == 1 << 20


# Rereading the file

def test_a_key_is_let_in_when_it_is_added_and_cut_off_when_it_is_gone(keyed):
    late = keyed.keys.stranger("late")
    assert handshake(keyed.tcp, late) == "refused"
    keyed.keys.add("publisher", "late", key=late)
    keyed.reload()
    with keyed.client(late) as client:
        client.publish("m", data=1, to={"sessions": ["nobody"]})
        keyed.keys.remove("late")
        client.publish("m", data=1, to={"sessions": ["nobody"]})
        head = keyed.commands.ping()["head"]
        with keyed.client(keyed.anyone) as other:
            other.ping()
            keyed.reload()
            assert client.try_ask(
                {"op": "publish", "event": "m", "data": 2, "to": {"sessions": ["nobody"]}}, 1
            ) is None
            other.ping()  # its connection was cut too, and reconnected
        assert keyed.commands.ping()["head"] == head
    assert handshake(keyed.tcp, late) == "refused"


def test_a_role_that_changes_counts_at_the_next_command(keyed):
    key = keyed.keys.add("operator", "turncoat")
    keyed.reload()
    with keyed.client(key) as client:
        client.stats()
        keyed.keys.add("publisher", "turncoat", key=key)
        keyed.reload()
        assert client.ask({"op": "stats"})["error"] == "forbidden"
        client.ping()
    keyed.keys.remove("turncoat")
    keyed.reload()


def test_a_file_with_an_error_leaves_the_keys_as_they_were(keyed):
    with keyed.client(keyed.anyone) as client:
        keyed.keys.write("publisher nonsense\n")
        keyed.reload()
        line = len(keyed.keys.lines) + 2
        assert (f"stay in force why=\"{keyed.keys.file}, line {line}: "
                "'nonsense' is no public key (40 characters of Z85)" in keyed.broker.log())
        client.publish("m", data=1, to={"sessions": ["nobody"]})
        keyed.keys.file.write_text("")
        keyed.reload()
        assert "stay in force why=\"" + str(
            keyed.keys.file
        ) + ": the file is empty" in keyed.broker.log()
        client.publish("m", data=1, to={"sessions": ["nobody"]})
        keyed.keys.file.unlink()
        keyed.reload()
        client.publish("m", data=1, to={"sessions": ["nobody"]})
    keyed.keys.write()
    keyed.reload()
    assert handshake(keyed.tcp, keyed.anyone) == "in"


def test_without_keys_a_hangup_changes_nothing(bench):
    broker = Broker(bench).start()
    broker.signal(signal.SIGHUP)
    wait_until(lambda: "nothing to reload" in broker.log(), what="it says so")
    with broker.commands() as client:
        client.ping()


def test_a_worker_that_is_taken_out_is_cut_off_and_the_others_miss_nothing(bench):
    site = KeyedSite(bench, workers=1)
    other = site.keys.add("worker", "other")
    site.reload()
    revoked = Worker(bench, site.broker, "revoked", **other.options()).start()
    web = Lighttpd(bench, [revoked], name="other-web").start()
    kept, lost = site.open("anna"), site.readers.open(f"{web.url}?session=anna").wait_open()
    site.wait_connections("anna", 2)
    publish(site, 0, 100)
    wait_all([kept, lost], lambda r: len(r.events) >= 100, "100 events")
    site.keys.remove("other")
    for n in range(1, 6):
        publish(site, n * 100, 50)
        if n == 2:
            site.reload()
        publish(site, n * 100 + 50, 50)
    wait_all([kept], lambda r: len(r.events) >= 600, "600 events")
    assert kept.data() == [str(n) for n in range(600)] and kept.opens == 1
    wait_until(lambda: "the broker refuses this key" in revoked.log(), what="it says so")
    assert len(lost.events) <= 350 and lost.data() == [str(n) for n in range(len(lost.events))]
    wait_until(lambda: site.stat("sync_forbidden") > 0, what="its reports are not taken")
    site.keys.add("worker", "other", key=other)
    site.reload()
    wait_all([lost], lambda r: len(r.events) >= 600, "600 events", timeout=40)
    assert lost.data() == [str(n) for n in range(600)] and lost.opens == 1


def publish(site, first, count):
    site.commands.publish_many(
        [{"event": "m", "data": first + n, "to": {"sessions": ["anna"]}} for n in range(count)]
    )


def test_an_operator_that_is_taken_out_is_cut_off_from_presence(bench):
    site = KeyedSite(bench)
    gone, stays = site.keys.add("operator", "gone"), site.keys.add("operator", "stays")
    site.reload()
    one, two = (bench.closing(Watched(site.broker.endpoint("presence"), key, zmq.SUB))
                for key in (gone, stays))
    wait_until(lambda: one.look() == two.look() == ["in"], what="both are in")
    site.keys.remove("gone")
    site.reload()
    wait_until(lambda: one.look() == ["in", "refused"] and two.look() == ["in", "in"],
               what=lambda: f"{one.events} and {two.events}")


# What is wrong is said

@pytest.mark.parametrize("how, said", [
    ("unknown", "the broker refuses this key"),
    ("publisher", "the broker refuses this key"),
    ("wrong broker", "is broker-key the public key of this broker, and is the port the right one?"),
    ("none", "wants a key"),
])
def test_a_worker_says_why_it_has_no_broker(keyed, bench, how, said):
    key = {"unknown": keyed.keys.stranger("unknown"), "publisher": keyed.anyone}.get(
        how, keyed.worker_key
    )
    options = {} if how == "none" else key.options()
    if how == "wrong broker":
        options["broker_key"] = keyed.desk.public
    worker = Worker(bench, keyed.broker, f"worker-{how.replace(' ', '-')}", **options).start()
    wait_until(lambda: said in worker.log(), what=said)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(worker.socket)  # it serves all the same
    with FastCgi(worker.socket) as web:
        web.get(REQUEST_URI="/sse/healthz", REMOTE_ADDR="127.0.0.1").wait_end()
        assert web.head["status"] == 503 and "broker handshake" in json.loads(web.body)["reasons"]
    lines = [line for line in worker.log().splitlines() if "--feed tcp" in line
             or "--sync tcp" in line]
    assert len([line for line in lines if "warning" in line]) <= 2


def test_a_worker_that_needs_no_key_says_when_there_is_no_broker_with_keys(bench):
    broker, key = Broker(bench).start(), Keys(bench.folder).stranger("web")
    worker = Worker(bench, broker, **key.options()).start()
    wait_until(lambda: "does not use CURVE" in worker.log() or "does not accept us" in worker.log(),
               what="it says so")


def cli_of(site, key=None, **changes):
    options = {**({"curve_key_file": str(key.file), "broker_key": key.broker} if key else {}),
               **changes}
    cli = Cli(endpoint=site.tcp)
    cli.env.update({"SSECAST_" + name.upper(): value for name, value in options.items()})
    return cli


def test_the_command_line_with_a_key(keyed, session):
    reader = keyed.open(session)
    cli_of(keyed, keyed.anyone)("publish", "m", "1", "--session", session).check()
    reader.wait_for(1)
    done = cli_of(keyed)("--curve-key-file", str(keyed.shop.file), "publish", "m", "1", "--session",
                         "bert", "--broker-key", keyed.keys.broker.public)
    assert done.status == FAILED and "forbidden" in done.err and "bert" in done.err


def test_the_command_line_says_why_it_cannot_connect(keyed):
    cases = [(cli_of(keyed), "wants a key"),
             (cli_of(keyed, keyed.keys.stranger("cli")), "the broker refuses this key"),
             (cli_of(keyed, keyed.anyone, broker_key=keyed.anyone.public),
              "is broker-key the public key of this broker, and is the port the right one?")]
    with concurrent.futures.ThreadPoolExecutor() as pool:  # each waits for its time-out
        tries = [(pool.submit(cli, "ping", "--timeout", patient(1)), said) for cli, said in cases]
    for ended, said in tries:
        done = ended.result()
        assert done.status == FAILED and said in done.err and keyed.tcp in done.err, done.err


def test_the_command_line_wants_both_keys(keyed):
    done = cli_of(keyed)("--curve-key-file", str(keyed.anyone.file), "ping")
    assert done.status == USAGE and "--broker-key is missing" in done.err
    done = cli_of(keyed, keyed.anyone, curve_key_file="/nowhere")("ping")
    assert done.status == USAGE and "/nowhere" in done.err and "No such file" in done.err


def test_watching_with_a_key(keyed, session):
    where = ["--presence", keyed.broker.endpoint("presence")]
    late = keyed.keys.stranger("watcher")
    cli = cli_of(keyed, keyed.desk)
    with Tail([str(CLI), *where, "watch", "--session", session, "--count", "1"], cli.env) as watch:
        wait_until(lambda: keyed.open(session).close() or watch.process.poll() is not None,
                   what="a change")
        assert "connected" in watch.finish().check().out
    refused = keyed.stat("keys_refused")
    with Tail([str(CLI), *where, "watch", "--no-snapshot", "--session", session, "--count", "1"],
              cli_of(keyed, late).env) as watch:
        wait_until(lambda: keyed.stat("keys_refused") > refused, what="it is refused")
        keyed.keys.add("operator", "watcher", key=late)
        keyed.reload()
        wait_until(lambda: keyed.open(session).close() or watch.process.poll() is not None,
                   what="a change", pause=0.2)
        assert "connected" in watch.finish().check().out
    keyed.keys.remove("watcher")
    keyed.reload()


# keygen

def test_keygen_makes_what_the_broker_and_its_clients_read(bench):
    cli, folder = Cli(endpoint="tcp://127.0.0.1:1"), bench.folder
    before = os.umask(0)
    try:
        cli("keygen", "--role", "broker", f"{folder}/broker.key").check()
        lines = [cli("keygen", "--role", role, "--name", role, f"{folder}/{role}.key", *limits)
                 .check().out for role, limits in (
                     ("publisher", ["--session", "a-*", "--session", "b", "--channel", "c"]),
                     ("operator", []), ("worker", [])
                 )]
    finally:
        os.umask(before)
    for name in ("broker", "publisher", "operator", "worker"):
        assert stat.S_IMODE(os.stat(folder / f"{name}.key").st_mode) == 0o600
        assert stat.S_IMODE(os.stat(folder / f"{name}.key.pub").st_mode) == 0o644
    assert lines[0].split()[3:] == ["sessions=a-*,b", "channels=c"]
    (folder / "keys").write_text("".join((folder / f"{role}.key.pub").read_text()
                                         for role in ("publisher", "operator", "worker")))
    assert (folder / "keys").read_text() == "".join(lines)
    broker = Broker(bench, commands=[f"ipc://{folder}/c", tcp := f"tcp://127.0.0.1:{free_port()}"],
                    curve_key_file=folder / "broker.key", keys=folder / "keys").start()
    worker = Worker(bench, broker, curve_key_file=folder / "worker.key",
                    broker_key=folder / "broker.key.pub").start()
    wait_until(lambda: "broker connected" in worker.log(), what="the worker is welcomed")
    ask = Cli(endpoint=tcp)
    ask.env.update(SSECAST_BROKER_KEY=f"{folder}/broker.key.pub",
                   SSECAST_CURVE_KEY_FILE=f"{folder}/operator.key")
    assert json.loads(ask("stats", "--json").check().out)["workers"] == 1
    from zmq import auth
    public, secret = auth.load_certificate(str(folder / "publisher.key"))
    assert public.decode() == lines[0].split()[1] and zmq.curve_public(secret) == public


def test_keygen_overwrites_nothing_and_shows_no_secret(bench):
    cli, path = Cli(endpoint="tcp://127.0.0.1:1"), bench.folder / "a.key"
    done = cli("keygen", "--role", "worker", "--name", "web", str(path)).check()
    before = path.read_bytes()
    secret = re.search(r'secret-key = "(.*)"', path.read_text()).group(1)
    assert len(secret) == 40 and secret not in done.out + done.err
    again = cli("keygen", "--role", "worker", "--name", "web", str(path))
    assert again.status == FAILED and "not overwritten" in again.err and path.read_bytes() == before
    path.unlink()
    # the public half is still there
    again = cli("keygen", "--role", "worker", "--name", "web", str(path))
    assert again.status == FAILED and not path.exists()


@pytest.mark.parametrize("args, said", [
    (["x"], "--role"),
    (["--role", "king", "--name", "a", "x"], "'king'"),
    (["--role", "worker", "x"], "--name"),
    (["--role", "worker", "--name", "a b", "x"], "--name"),
    (["--role", "publisher", "--name", "sessions=shop-*", "x"], "--name 'sessions=shop-*'"),
    (["--role", "worker", "--name", "a", "--session", "s", "x"], "limits"),
    (["--role", "publisher", "--name", "a", "--session", "s,t", "x"], "commas"),
    (["--role", "publisher", "--name", "a"], "FILE"),
    (["--role", "publisher", "--name", "a", "/nowhere/x"], "/nowhere/x"),
])
def test_a_wrong_keygen_is_explained(bench, args, said):
    env = clean_environment()
    done = subprocess.run([str(CLI), "keygen", *args], cwd=bench.folder, env=env,
                          capture_output=True, text=True, check=False)
    assert (done.returncode in (FAILED, USAGE) and said in done.stderr
            and not list(bench.folder.glob("x*")))


def test_no_secret_is_in_a_log_or_among_arguments(keyed):
    secrets = [k.secret for k in (keyed.keys.broker, keyed.worker_key, keyed.anyone)]
    for program in (keyed.broker, *keyed.workers):
        shown = program.log() + open(
            f"/proc/{program.pid}/cmdline", encoding="utf-8"
        ).read() + open(f"/proc/{program.pid}/environ", encoding="utf-8").read()
        assert not [s for s in secrets if s in shown]


# libssecast, and other languages

def test_a_program_in_c_with_keys(keyed, bench, session):
    source = bench.folder / "publish.c"
    source.write_text(r"""
#include <ssecast.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    char public_key[41], secret_key[41];
    struct ssecast_publisher_options o = {
        .endpoints = (const char *const *)&argv[1], .endpoint_count = 1, .timeout_ms = 2000};
    struct ssecast_publisher *p;
    if (argc < 4 || ssecast_curve_read(argv[3], public_key, secret_key))
        return 2;
    o.curve = (struct ssecast_curve){
        .server_key = argv[2], .public_key = public_key, .secret_key = secret_key};
    if (ssecast_publisher_new(&p, &o))
        return 3;
    struct ssecast_names to = {.names = (const char *const *)&argv[4], .count = 1};
    struct ssecast_target target = {.sessions = to};
    struct ssecast_event event = {.event = "m", .json = "1", .to = &target};
    int err = ssecast_publish(p, &event, NULL);
    printf("%s|%s\n", err ? strerror(-err) : "published", ssecast_publisher_problem(p));
    ssecast_publisher_free(&p);
    return 0;
}
""")
    program = bench.folder / "publish"
    flags = ["-fsanitize=" + s
             for s, sign in (("address", b"__asan_init"), ("undefined", b"__ubsan_"))
             if sign in CLI.read_bytes()]
    done = run(["cc", "-Wall", "-Wextra", "-Werror", *flags, f"-I{ROOT}/client/lib", source, "-o",
                program, f"-L{BUILD}", "-lssecast", f"-Wl,-rpath,{BUILD}"], timeout=120)
    assert done.returncode == 0, done.stderr
    reader = keyed.open(session)
    assert run(
        [program, keyed.tcp, keyed.keys.broker.public, keyed.anyone.file, session]
    ).stdout == "published|\n"
    reader.wait_for(1)
    stranger = keyed.keys.stranger("c")
    assert "the broker refuses this key" in run(
        [program, keyed.tcp, keyed.keys.broker.public, stranger.file, session]
    ).stdout
    assert "broker-key" in run(
        [program, keyed.tcp, keyed.anyone.public, keyed.anyone.file, session]
    ).stdout
    os.chmod(stranger.file, 0o644)
    assert (
        run([program, keyed.tcp, keyed.keys.broker.public, stranger.file, session]).returncode == 2
    )


def test_a_publisher_passes_once_its_key_is_known(keyed):
    """The library reconnects by itself after it was refused."""
    late = keyed.keys.stranger("patient")
    cli = cli_of(keyed, late)
    process = subprocess.Popen([str(CLI), "ping", "--timeout", "15s"], env=cli.env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: late.public in keyed.broker.log(), what="it was refused")
    keyed.keys.add("publisher", "patient", key=late)
    keyed.reload()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "version" in out, err
    keyed.keys.remove("patient")
    keyed.reload()


def test_a_page_in_php_publishes_with_a_key(keyed, session):
    reader = keyed.open(session)
    shown = re.search(r"(    .socket->setSockOpt.*?)\n\n",
                      (ROOT / "docs/protocol.md").read_text(), re.S).group(1)
    code = f"""
    $socket = new ZMQSocket(new ZMQContext(), ZMQ::SOCKET_REQ);
    $brokerKey = getenv('BROKER'); $publicKey = getenv('PUBLIC'); $secretKey = getenv('SECRET');
    {shown}
    $socket->connect(getenv('ENDPOINT'));
    $to = ['sessions' => [getenv('SESSION')]];
    $socket->send(json_encode(['op' => 'publish', 'event' => 'm', 'data' => 1, 'to' => $to]));
    echo $socket->recv();
    """
    env = clean_environment(BROKER=keyed.keys.broker.public, PUBLIC=keyed.anyone.public,
                            SECRET=keyed.anyone.secret, ENDPOINT=keyed.tcp, SESSION=session)
    done = run(["php", "-r", code], env=env)
    assert '"ok":true' in done.stdout, done
    reader.wait_for(1)


# Hostile input

NOISE = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "noise": os.urandom(5000),
    "null greeting": b"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL" + bytes(48)
        + b"\4\x26\5READY\x0bSocket-Type\0\0\0\6DEALER\x08Identity\0\0\0\0",
    "curve hello of chance": b"\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE" + bytes(47) + b"\4\xc8\5HELLO"
        + os.urandom(194),
    "curve hello too long": b"\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE" + bytes(47)
        + b"\6\0\0\0\0\0\1\0\0\5HELLO" + os.urandom(65000),
    "curve hello cut short": b"\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE" + bytes(47) + b"\4\x10\5HELLO"
        + os.urandom(10),
    "message before a handshake": b"\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE" + bytes(47) + b"\0\x10"
        + os.urandom(16),
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_garbage_on_an_endpoint_with_curve(keyed, session, noise):
    reader = keyed.open(session)
    for endpoint in (keyed.tcp, *(keyed.broker.endpoint(n) for n in ("feed", "sync", "presence"))):
        with socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2]))) as s:
            s.sendall(noise)
            keyed.publish("m", data=1, to={"sessions": [session]})
    reader.wait_for(4)


def test_an_unfinished_handshake_is_counted_and_disconnected(bench):
    site = KeyedSite(bench, broker={"handshake_timeout": "500ms"})
    reader, port = site.open("anna"), int(site.tcp.rpartition(":")[2])
    before = site.stat("handshakes_failed")
    half = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    for s in half[::2]:
        s.sendall(b"\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE" + bytes(47))
    site.publish("m", data=1)
    reader.wait_for(1)
    shop = site.keys.add("publisher", "shop")
    site.reload()
    with site.client(shop) as client:
        client.ping(timeout=10)
    wait_until(lambda: site.stat("handshakes_failed") - before >= 200, what="all are counted")
    for s in half:
        s.settimeout(10)
        while s.recv(1000):
            pass
        s.close()


def test_a_session_claimed_by_a_client_is_not_believed(keyed):
    """A User-Id in its own metadata counts for nothing."""
    with Commands(keyed.tcp, None) as client:
        client.socket.close()
        client.socket = zmq.Context.instance().socket(zmq.DEALER)
        client.socket.setsockopt(zmq.LINGER, 0)
        client.socket.setsockopt(zmq.METADATA, b"X-User-Id:" + keyed.desk.public.encode())
        keyed.shop.use(client.socket)
        client.socket.connect(keyed.tcp)
        assert client.ask({"op": "stats"})["error"] == "forbidden"


# Starting

def refuses_to_start(program, said, **options):
    done = run([program, *arguments(options)])
    assert done.returncode == USAGE and len(done.stderr.splitlines()) == 1, done
    assert all(part in done.stderr for part in said), done.stderr


@pytest.mark.parametrize("endpoint", ["tcp://*:5570", "tcp://0.0.0.0:5570", "tcp://[::]:5570",
                                      "tcp://192.0.2.1:5570", "tcp://broker.invalid:5570"])
@pytest.mark.parametrize("name", ["commands", "feed", "sync", "presence"])
def test_an_endpoint_that_others_reach_needs_keys(name, endpoint):
    refuses_to_start(BROKER, [f"--{name} {endpoint}", "--curve-key-file", "--allow-insecure"],
                     **{name: endpoint})
    assert run([BROKER, f"--{name}", endpoint, "--check-config"]).returncode == USAGE


def test_an_interface_s_name_is_its_addresses():
    names = [name for _, name in socket.if_nameindex() if name != "lo"]
    for name in names:
        refuses_to_start(BROKER, [f"tcp://{name}:5570"], commands=f"tcp://{name}:5570")
    done = run([BROKER, "--commands", "tcp://lo:5570", "--check-config"])
    assert done.returncode == 0


def test_insecure_is_allowed_with_a_warning(bench):
    port = free_port()
    broker = Broker(bench, commands=[f"tcp://127.0.0.1:{free_port()}", f"tcp://0.0.0.0:{port}"],
                    allow_insecure="yes")
    broker.argv = (
        [a for a in broker.argv if a not in ("--allow-insecure", "yes")] + ["--allow-insecure"]
    )
    broker.start()
    assert (f"warning: broker: --commands tcp://0.0.0.0:{port}: "
            "other hosts or users can reach this endpoint" in broker.log())
    with Commands(f"tcp://127.0.0.1:{port}") as client:
        client.ping()


def test_with_keys_any_endpoint_may_be_open(bench):
    keys, port = Keys(bench.folder), free_port()
    Broker(bench, commands=[f"ipc://{bench.folder}/c", f"tcp://*:{port}"],
           **keys.broker_options()).start()
    assert handshake(f"tcp://127.0.0.1:{port}", None) == "failed"


def test_wrong_key_files_are_named(bench):
    keys = Keys(bench.folder)
    good = keys.broker_options()
    refuses_to_start(BROKER, ["--keys is missing"], curve_key_file=good["curve_key_file"])
    refuses_to_start(BROKER, ["--curve-key-file is missing"], keys=good["keys"])
    refuses_to_start(BROKER, ["--curve-key-file", "/nowhere", "No such file"],
                     **{**good, "curve_key_file": "/nowhere"})
    refuses_to_start(BROKER, ["--keys /nowhere", "No such file"], **{**good, "keys": "/nowhere"})
    keys.write("worker\n")
    refuses_to_start(BROKER, [f"--keys {keys.file}, line 2", "no public key"], **good)
    keys.write()
    os.chmod(keys.broker.file, 0o644)
    refuses_to_start(BROKER, ["everybody may use this file (mode 0644)", "chmod 600"], **good)
    os.chmod(keys.broker.file, 0o600)
    web = keys.stranger("web")
    refuses_to_start(WORKER, ["--broker-key is missing"], curve_key_file=web.file)
    refuses_to_start(WORKER, ["--broker-key", "nonsense"], curve_key_file=web.file,
                     broker_key="nonsense")
    refuses_to_start(WORKER, ["2 keys for 1 brokers"], curve_key_file=web.file,
                     broker_key=[web.public, web.broker])


def test_a_broker_without_any_key_says_so(bench):
    broker = Broker(bench, commands=[f"ipc://{bench.folder}/c", f"tcp://127.0.0.1:{free_port()}"],
                    **Keys(bench.folder).broker_options()).start()
    assert "every connection to a tcp endpoint is refused" in broker.log()


# The broker's limits

def test_limits_of_a_request_are_options(bench):
    broker = Broker(bench, max_batch=3, max_targets=4, max_name_bytes=8, max_json_depth=10).start()
    with broker.commands() as client:
        reply = client.ask({"op": "publish", "events": [{"data": n} for n in range(4)]})
        assert reply["error"] == "too_large" and "--max-batch" in reply["message"]
        reply = client.ask({"op": "publish", "data": 1, "to": {"sessions": ["a", "b", "c"]},
                            "except": {"channels": ["d", "e"]}})
        assert reply["error"] == "too_large" and "--max-targets" in reply["message"]
        reply = client.ask({"op": "online", "session": "123456789"})
        assert reply["error"] == "bad_request" and "1 to 8 bytes" in reply["message"]
        reply = client.ask(b'{"op":"publish","data":' + b"[" * 10 + b"]" * 10 + b"}")
        assert reply["error"] == "bad_json" and "--max-json-depth" in reply["message"]
        client.publish_batch([{"data": n} for n in range(3)])
        client.publish("m", data=[[[[[[[[[1]]]]]]]]], to={"sessions": ["12345678", "b", "c", "d"]})
        assert client.stats()["errors_too_large"] == 2


def test_requests_in_flight_are_bounded_and_within_the_bound_none_is_refused(bench):
    broker = Broker(bench, max_in_flight=20).start()
    with broker.commands() as greedy, broker.commands() as modest:
        modest.ping(), greedy.ping()
        os.kill(broker.pid, signal.SIGSTOP)
        refs = [greedy.send({"op": "publish", "data": n}) for n in range(500)]
        allowed = [modest.send({"op": "publish", "data": n}) for n in range(20)]
        time.sleep(0.2)  # so that most of them have arrived
        os.kill(broker.pid, signal.SIGCONT)
        assert all(modest.receive()["ok"] for _ in allowed)
        replies = {reply["ref"]: reply for reply in (greedy.receive() for _ in refs)}
        assert sorted(replies) == refs
        refused = [r for r in replies.values() if not r["ok"]]
        assert (refused and {r["error"] for r in refused} == {"too_large"}
                and all("--max-in-flight" in r["message"] for r in refused))
        assert greedy.stats()["in_flight_exceeded"] == len(refused)
        stored = len(greedy.history(limit=1000)["events"])
        assert stored == 520 - len(refused)
        for _ in range(50):
            for reply in greedy.publish_many([{"data": n} for n in range(20)]):
                assert reply["ok"]
