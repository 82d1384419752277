"""Webhooks taken by examples/webhook/receive.php behind real web servers: PHP is down, fails, is
slow, and answers are lost."""

import hashlib
import hmac
import json
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from support.fcgi import FastCgi
from support.login import APACHE, APACHE_CGI, LIGHTTPD, LIGHTTPD_CGI
from support.processes import BUILD, ROOT
from support.site import Site
from support.waiting import wait_until

SECRET = b"a secret of more than 16 bytes"
PER_WAY = pytest.mark.parametrize("way", [LIGHTTPD, LIGHTTPD_CGI, APACHE, APACHE_CGI],
                                  ids=lambda w: w.name)

# The receiver, and a fault in front of it or behind it. A line of the log is a request and what the
# receiver had stored before it.
HOOK = """<?php
$folder = getenv('WEBHOOK_FOLDER');
$body = json_decode(file_get_contents('php://input'), true);
$numbers = array_column($body['messages'] ?? [], 'number');
$stored = json_decode(@file_get_contents("$folder/online.json") ?: '{}', true)['number'] ?? 0;
file_put_contents("$folder/log", json_encode([$numbers, $stored]) . "\\n", FILE_APPEND | LOCK_EX);
$fault = trim((string) @file_get_contents("$folder/fault"));
if ($fault === 'fails') { http_response_code(500); exit; }
if ($fault === 'slow') sleep(2);
require __DIR__ . '/receive.php';
if ($fault === 'lost') http_response_code(500);
"""


class Hook:
    def __init__(self, bench, way):
        self.folder = bench.subfolder("known")
        secret = bench.folder / "secret"
        secret.write_bytes(SECRET + b"\n")
        web, self.php = way.prepare(
            bench, pages={"hook.php": HOOK, "receive.php": ROOT / "examples/webhook/receive.php"},
            asks=False,
            settings={"WEBHOOK_SECRET_FILE": str(secret), "WEBHOOK_FOLDER": str(self.folder)}
        )
        # Apache notices at its next write that a reader has left
        self.site = Site(bench, web=web, worker={"heartbeat": "500ms"})
        (bench.folder / "state").mkdir()
        self.process = None
        self.command = [f"{BUILD}/ssecast", "--commands", self.site.broker.endpoint("commands"),
                        "--presence", self.site.broker.endpoint("presence"), "watch",
                        "--webhook", f"{self.site.web.origin}/hook.php", "--secret-file",
                        str(secret), "--state", str(bench.folder / "state"),
                        "--webhook-timeout", "1", "--webhook-retry", "1"]

    def start(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.DEVNULL)
        return self

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def fault(self, name):
        (self.folder / "fault").write_text(name)

    def calls(self):
        """[(numbers, the number that was stored before)] of all requests."""
        file = self.folder / "log"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def known(self):
        """What the receiver stored: (number, sessions)."""
        file = self.folder / "online.json"
        stored = json.loads(file.read_text()) if file.exists() else {"number": 0, "online": {}}
        return stored["number"], set(stored["online"])

    def wait_known(self, *sessions):
        wait_until(lambda: self.known()[1] == set(sessions),
                   what=lambda: f"{sessions} are online; have {self.known()}")

    def come_and_go(self, name):
        with FastCgi(self.site.worker.socket) as web:
            web.get(f"session={name}").wait_open()
            self.site.wait_connections(name, 1)
        self.site.wait_connections(name, 0)

    def check(self):
        """The numbers of all requests have no hole; what was stored has the largest."""
        numbers = {n for ns, _ in self.calls() for n in ns}
        assert numbers == set(range(1, max(numbers) + 1))
        assert self.known()[0] == max(numbers)
        assert self.php.complaints() == []


@pytest.fixture
def hook(bench):
    def make(way):
        return bench.closing(Hook(bench, way))
    return make


@PER_WAY
def test_changes_arrive(hook, way):
    hook = hook(way).start()
    anna = hook.site.open_counted("anna")
    hook.wait_known("anna")
    hook.come_and_go("bert")
    dora = hook.site.open_counted("dora")
    hook.wait_known("anna", "dora")
    anna.close()
    hook.wait_known("dora")
    dora.close()
    hook.wait_known()
    hook.check()


@PER_WAY
def test_a_receiver_that_fails_gets_everything_later(hook, way):
    hook = hook(way)
    hook.fault("fails")
    hook.start()
    wait_until(lambda: len(hook.calls()) >= 2, what="two attempts")
    anna = hook.site.open_counted("anna")
    hook.come_and_go("bert")
    assert hook.known() == (0, set())
    hook.fault("")
    hook.wait_known("anna")
    anna.close()
    hook.wait_known()
    hook.check()
    assert hook.calls()[0] == hook.calls()[1]


@PER_WAY
def test_an_answer_that_was_lost_brings_the_same_numbers_and_they_count_once(hook, way):
    hook = hook(way).start()
    anna = hook.site.open_counted("anna")
    hook.wait_known("anna")
    hook.fault("lost")
    bert = hook.site.open_counted("bert")
    wait_until(lambda: any(stored >= numbers[-1] for numbers, stored in hook.calls()),
               what="numbers that were stored already")
    hook.fault("")
    hook.wait_known("anna", "bert")
    bert.close()
    hook.wait_known("anna")
    anna.close()
    hook.wait_known()
    hook.check()


@PER_WAY
def test_a_slow_receiver_gets_the_same_batch_twice_and_stores_it_once(hook, way):
    """It answers after the poster has given up: two of the same run at a time."""
    hook = hook(way)
    hook.fault("slow")
    hook.start()
    anna = hook.site.open_counted("anna")
    wait_until(lambda: len(hook.calls()) >= 2, what="a second attempt")
    assert hook.calls()[0][0] == hook.calls()[1][0]
    hook.fault("")
    hook.wait_known("anna")
    anna.close()
    hook.wait_known()
    hook.check()


@PER_WAY
def test_php_and_the_web_server_may_be_down(hook, way):
    hook = hook(way).start()
    anna = hook.site.open_counted("anna")
    hook.wait_known("anna")
    hook.php.kill()
    with FastCgi(hook.site.worker.socket) as bert:
        bert.get("session=bert").wait_open()
        hook.site.wait_connections("bert", 1)
        time.sleep(1)
        hook.php.start()
        hook.wait_known("anna", "bert")
    hook.site.web.kill()
    hook.site.wait_connections("anna", 0)
    hook.site.wait_connections("bert", 0)
    hook.site.web.start()
    hook.wait_known()
    del anna
    hook.check()


@pytest.mark.parametrize("way", [LIGHTTPD, APACHE], ids=lambda w: w.name)
def test_another_process_goes_on_behind_a_crash(hook, way):
    hook = hook(way).start()
    anna = hook.site.open_counted("anna")
    hook.wait_known("anna")
    hook.fault("fails")
    hook.come_and_go("bert")
    wait_until(lambda: hook.calls()[-1][1] < hook.calls()[-1][0][0], what="an attempt that fails")
    hook.close()
    hook.fault("")
    hook.start()
    dora = hook.site.open_counted("dora")
    hook.wait_known("anna", "dora")
    anna.close()
    dora.close()
    hook.wait_known()
    hook.check()


@pytest.mark.parametrize("way", [LIGHTTPD, APACHE], ids=lambda w: w.name)
def test_a_forged_request_changes_nothing(hook, way):
    hook = hook(way)
    body = (b'{"messages":[{"number":1,"type":"reset","at":1},'
            b'{"number":2,"type":"session_online","session":"mallory","at":1}]}')
    right = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    for headers in ({}, {"X-Ssecast-Signature": ""}, {"X-Ssecast-Signature": right[7:]},
                    {"X-Ssecast-Signature": right[:-1]},
                    {"X-Ssecast-Signature": "sha256=" + "0" * 64},
                    {"X_Ssecast_Signature": "sha256=" + "0" * 64}):
        assert post(hook, body, headers) == 403 and hook.known() == (0, set())
    assert post(hook, body + b" ", {"X-Ssecast-Signature": right}) == 403
    assert (post(hook, body, {"X-Ssecast-Signature": right}) == 204
            and hook.known() == (2, {"mallory"}))
    assert (post(hook, body, {"X-Ssecast-Signature": right}) == 204
            and hook.known() == (2, {"mallory"}))


def post(hook, body, headers):
    request = urllib.request.Request(f"{hook.site.web.origin}/hook.php", body,
                                     {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_durations_are_checked(bench):
    secret = bench.folder / "secret"
    secret.write_bytes(SECRET)
    for args, part in ((["--webhook-timeout", "0"], "1s"), (["--webhook-retry", "2h"], "1h"),
                       (["--webhook-retry", "x"], "duration"),
                       (["--webhook-timeout", "1"], "need --webhook")):
        more = [] if "need" in part else ["--webhook", "http://127.0.0.1:1/", "--secret-file",
                                          str(secret)]
        done = subprocess.run([f"{BUILD}/ssecast", "watch", *more, *args], capture_output=True,
                              text=True, timeout=30, check=False)
        assert done.returncode == 2 and part in done.stderr, done
