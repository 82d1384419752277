"""ssecast watch --webhook: presence changes posted to a web server, in order, until they are
taken."""

import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
from support.fcgi import FastCgi
from support.ports import free_port
from support.processes import BUILD
from support.site import Site
from support.waiting import wait_until
from support.webhook import SECRET, Receiver

RECEIVER = pathlib.Path(__file__).parents[2] / "examples/webhook/receive.php"
PHP_CLASS = RECEIVER.parents[2] / "client/php/ssecast.php"


@pytest.fixture
def site(bench):
    (bench.folder / "secret").write_bytes(SECRET + b"\n")
    (bench.folder / "state").mkdir()
    return Site(bench)


@pytest.fixture
def receiver(bench):
    return bench.closing(Receiver())


@pytest.fixture
def watch(bench, site):
    """Starts the watch; ended with the test."""
    started = []

    def start(url, *more, state=True):
        args = ["--state", str(bench.folder / "state")] if state else []
        process = subprocess.Popen([
            f"{BUILD}/ssecast", "--commands", site.broker.endpoint("commands"), "--presence",
            site.broker.endpoint("presence"),
            "watch", "--webhook", url, "--secret-file", str(bench.folder / "secret"), *args, *more
        ], stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def come_and_go(site, name):
    with FastCgi(site.worker.socket) as web:
        web.get(f"session={name}").wait_open()
        site.wait_connections(name, 1)
    site.wait_connections(name, 0)


def wait_watching(site, receiver):
    """Until the watch has the open connections, and reports changes."""
    probe = site.open_counted("probe")
    wait_until(lambda: any(m.get("session") == "probe" for m in receiver.messages),
               what="the watch")
    return probe


def wait_for(receiver, expected):
    wait_until(lambda: receiver.sessions == expected,
               what=lambda: f"{expected}; have {receiver.sessions}")


def test_changes_are_posted_in_order_and_signed(site, receiver, watch):
    anna = site.open_counted("anna")
    watch(receiver.url)
    wait_for(receiver, [("+", "anna")])
    come_and_go(site, "bert")
    anna.close()
    wait_for(receiver, [("+", "anna"), ("+", "bert"), ("-", "bert"), ("-", "anna")])
    receiver.check_order()
    first, second = receiver.messages[:2]
    assert first["number"] == 1 and first["type"] == "reset"
    assert (second["type"] == "connected" and second["present"] is True
            and second["session"] == "anna")


def test_what_is_not_taken_comes_again(site, receiver, watch):
    receiver.answers = [500, None, 302, 404]
    receiver.delay = 0.2
    process = watch(receiver.url, "--webhook-retry", "1s")
    wait_watching(site, receiver)
    come_and_go(site, "anna")
    wait_for(receiver, [("+", "anna"), ("-", "anna")])
    assert receiver.batches[0] == receiver.batches[1] == receiver.batches[4]
    receiver.check_order()
    assert process.poll() is None


def test_a_crash_loses_nothing_and_no_number_is_given_out_twice(site, receiver, watch):
    port = receiver.port
    process = watch(receiver.url)
    wait_watching(site, receiver)
    come_and_go(site, "anna")
    wait_for(receiver, [("+", "anna"), ("-", "anna")])
    receiver.close()
    come_and_go(site, "bert")
    time.sleep(1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = receiver.messages[-1]["number"]

    second = Receiver(port)
    try:
        come_and_go(site, "cleo")  # nobody watches
        watch(second.url)
        wait_until(lambda: second.messages and second.messages[-1].get("session") == "probe"
                       and second.messages[-1].get("present"),
                   what="the new start, and the open connections")
        come_and_go(site, "dora")
        wait_for(second, [("+", "bert"), ("-", "bert"), ("+", "dora"), ("-", "dora")])
        assert second.messages[0]["number"] == before + 1
        receiver.batches += second.batches
        receiver.check_order()
    finally:
        second.close()


def test_wrong_flags_and_files_are_named(bench, site, watch, receiver):
    del site
    (bench.folder / "empty").write_text("\n")
    run = [f"{BUILD}/ssecast", "watch"]
    secret = ["--secret-file", str(bench.folder / "secret")]
    empty = str(bench.folder / "empty")
    for status, args, text in (
            (2, ["--webhook", receiver.url], "needs --secret-file"),
            (2, [*secret], "need --webhook"),
            (2, ["--webhook", receiver.url, "--secret-file", empty],
             f"--secret-file {empty}: its first line is empty; accepted: 1 to 4096"),
            *((2, [f"--webhook={url}", *secret],
               f"--webhook {url}: no URL; accepted: http://HOST/PATH")
              for url in ("", "hook", "ftp://a/b", "http://", "/hook")),
            (2, ["--webhook", receiver.url, "--secret-file", "/nonexistent"],
             "--secret-file /nonexistent: No such file"),
            (1, ["--webhook", receiver.url, *secret, "--state", "/nonexistent/state"],
             "--state /nonexistent/state: cannot be created"),
            (1, ["--webhook", receiver.url, *secret, "--state", empty],
             f"--state {empty}: not an accessible directory")):
        done = subprocess.run([*run, *args], capture_output=True, text=True, timeout=30,
                              check=False)
        assert done.returncode == status and text in done.stderr, done
    watch(receiver.url)
    wait_until(lambda: receiver.batches, what="the first post")
    second = watch(receiver.url)
    assert second.wait(30) == 1 and "another process" in second.stderr.read()


@pytest.mark.skipif(not shutil.which("php"), reason="no php")
def test_the_directory_is_created(bench, site, watch, receiver):
    folder = bench.folder / "new"
    del site
    watch(receiver.url, "--state", str(folder), state=False)
    wait_until(lambda: receiver.batches, what="the first post")
    assert (folder / "queue").exists() and folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not shutil.which("php"), reason="no php")
@pytest.mark.parametrize("file", [SECRET, SECRET + b"\r\n", SECRET + b" \t\n",
                                  SECRET + b"\nolder secret of 16 bytes\n", SECRET + b"\n\n"],
                         ids=["no line break", "CRLF", "blanks", "second line", "empty line"])
def test_both_ends_read_the_same_secret(bench, site, watch, receiver, file):
    """The command line, the receiver of the examples, and the class for PHP."""
    (bench.folder / "secret").write_bytes(file)
    watch(receiver.url, state=False)
    wait_until(lambda: receiver.batches, what="the first post")
    assert not receiver.bad
    del site
    body = b'{"messages":[{"number":1,"type":"session_online","session":"anna","at":1}]}'
    signature = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    with receive_php(bench) as ask:
        assert ask(signature, body) == "204" and ask("sha256=" + "0" * 64, body) == "403"
    code = "require $argv[1]; echo Ssecast\\Webhook::secretFromFile($argv[2]);"
    assert subprocess.run(["php", "-r", code, "--", str(PHP_CLASS), str(bench.folder / "secret")],
                          capture_output=True, check=True).stdout == SECRET


@pytest.mark.skipif(not shutil.which("php"), reason="no php")
@pytest.mark.parametrize("file", [b"", b" \r\nsecond line\n", None],
                         ids=["empty", "blank", "missing"])
def test_the_receivers_refuse_an_empty_secret(bench, file):
    """With it everybody could sign."""
    if file is not None:
        (bench.folder / "secret").write_bytes(file)
    body = b'{"messages":[]}'
    with receive_php(bench) as ask:
        assert ask("sha256=" + hmac.new(b"", body, hashlib.sha256).hexdigest(), body) == "500"
    code = ("require $argv[1]; try { Ssecast\\Webhook::secretFromFile($argv[2]); "
            "} catch (Ssecast\\BadValue $e) { echo $e->getMessage(); }")
    done = subprocess.run(["php", "-r", code, "--", str(PHP_CLASS), str(bench.folder / "secret")],
                          capture_output=True, text=True, check=True)
    assert "cannot be read" in done.stdout if file is None else "is empty" in done.stdout


@contextlib.contextmanager
def receive_php(bench):
    """The receiver of the examples: a function that posts, and returns the status."""
    port, known = free_port(), bench.subfolder("known")
    url = f"http://127.0.0.1:{port}/receive.php"
    settings = {"WEBHOOK_SECRET_FILE": f"{bench.folder}/secret", "WEBHOOK_FOLDER": str(known)}
    web = subprocess.Popen([shutil.which("php"), "-S", f"127.0.0.1:{port}", "-t",
                            str(RECEIVER.parent)], env={**os.environ, **settings},
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(signature, body):
        return subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H",
                               f"X-Ssecast-Signature: {signature}", "--data-binary", "@-", url],
                              input=body, capture_output=True, timeout=30,
                              check=False).stdout.decode()

    try:
        wait_until(lambda: ask("", b"") != "000", what="the web server")
        yield ask
    finally:
        web.terminate()
        web.wait(30)


def test_a_short_secret_signs_with_a_warning(bench, site, watch):
    del site
    (bench.folder / "secret").write_text("top")
    short = bench.closing(Receiver(secret=b"top"))
    process = watch(short.url)
    wait_until(lambda: short.batches, what="the first post")
    assert not short.bad
    process.terminate()
    assert "the secret is short" in process.stderr.read()


def test_the_receiver_of_the_examples(bench, site, watch):
    """The web server of PHP, which is down at first."""
    port, known = free_port(), bench.folder / "known"
    known.mkdir()
    watch(f"http://127.0.0.1:{port}/receive.php")
    anna = site.open_counted("anna")
    come_and_go(site, "bert")

    settings = {"WEBHOOK_SECRET_FILE": f"{bench.folder}/secret", "WEBHOOK_FOLDER": str(known)}
    web = subprocess.Popen([shutil.which("php"), "-S", f"127.0.0.1:{port}", "-t",
                            str(RECEIVER.parent)], env={**os.environ, **settings},
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def online():
            file = known / "online.json"
            return set(json.loads(file.read_text())["online"]) if file.exists() else None
        wait_until(lambda: online() == {"anna"}, what=lambda: f"anna is online; have {online()}")
        number = json.loads((known / "online.json").read_text())["number"]
        wrong = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H",
                                "X-Ssecast-Signature: sha256=" + "0" * 64, "-d",
                                '{"messages":[{"number":9999,"type":"reset"}]}',
                                f"http://127.0.0.1:{port}/receive.php"],
                               capture_output=True, text=True, timeout=30, check=True)
        assert (wrong.stdout == "403"
                and json.loads((known / "online.json").read_text())["number"] == number)
        anna.close()
        wait_until(lambda: online() == set(), what="nobody is online")
    finally:
        web.terminate()
        web.wait(30)
