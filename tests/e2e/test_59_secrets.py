"""Secrets stay in their files: not in the log at any level, not where `ps` looks, not in the
environment, not in what is answered."""

import os
import pathlib

import pytest
from support.broker import Broker
from support.commands import Commands
from support.jwt_keys import Secret, put
from support.keys import Keys, handshake
from support.ports import free_port
from support.processes import BROKER, WORKER, run
from support.site import Site
from support.waiting import wait_until

MONITOR = "monitor-secret-0123456789"
PASSWORD = "hunter2-and-more"


@pytest.fixture(scope="module")
def site(bench_of_all):
    """Everything that has secrets, and logs as much as there is to log."""
    folder = bench_of_all.folder
    keys, jwt = Keys(folder), Secret()
    worker_key, tcp = keys.add("worker", "web"), f"tcp://127.0.0.1:{free_port()}"
    files = bench_of_all.subfolder("secrets")
    token_file, jwt_file = put(files / "monitor", MONITOR + "\n"), put(files / "jwt", jwt.file)
    os.chmod(token_file, 0o640)
    site = Site(
        bench_of_all,
        broker={"commands": [f"ipc://{folder}/commands", tcp], **keys.broker_options(),
                "log_level": "debug"},
        worker={**worker_key.options(), "session_from": "jwt", "jwt_secret_file": str(jwt_file),
                "publish": True, "monitor_from": "none",
                "monitor_token_file": str(token_file), "log_level": "debug"},
    )
    site.keys, site.jwt, site.tcp, site.worker_key = keys, jwt, tcp, worker_key
    return site


def wrong(token):
    """The same with another signature."""
    head, _, signature = token.rpartition(".")
    return f"{head}.{signature[::-1]}"


@pytest.fixture(scope="module")
def told(site):
    """All that a good and a bad day bring. The secrets that were used."""
    shop, stranger = site.keys.add("publisher", "shop"), site.keys.stranger("stranger")
    site.broker.signal(1)
    site.commands.ping()
    with Commands(site.tcp, shop) as client:
        client.publish("m", data=1)
    assert handshake(site.tcp, stranger) == "refused"
    good = site.jwt.token(sub="anna", publish=True)
    expired, forged = site.jwt.token(-10, sub="anna"), wrong(good)
    site.open(None, headers={"Authorization": f"Bearer {good}"})
    site.open(None, query={"token": good})
    for token in (expired, forged, "x" * 300, good[:-1]):
        for headers, query in (({"Authorization": f"Bearer {token}"}, {}),
                               ({"Cookie": f"ssecast_token={token}"}, {}), ({}, {"token": token})):
            assert site.request(headers=headers, **query)[0] == 401
    site.request("/healthz", headers={"Authorization": f"Bearer {MONITOR}"})
    site.request("/healthz", headers={"Authorization": "Bearer " + MONITOR[::-1]})
    return [shop.secret, stranger.secret, site.keys.broker.secret, site.worker_key.secret,
            site.jwt.file.strip(), good, expired, forged, MONITOR,
            *(part for token in (good, expired, forged) for part in token.split(".")[1:])]


def ours(site):
    return [site.broker, *site.workers]


def test_the_log_holds_none(site, told):
    for program in ours(site):
        log = program.log()
        assert "ready" in log or "broker connected" in log
        assert not [secret for secret in told if secret in log]


def test_ps_shows_none(site, told):
    for program in ours(site):
        for name in ("cmdline", "environ"):
            shown = pathlib.Path(f"/proc/{program.pid}/{name}").read_bytes().decode(
                errors="replace"
            )
            assert not [secret for secret in told if secret in shown]


def test_refusals_repeat_none(site, told):
    forged = told[7]
    status, headers, body = site.request(headers={"Authorization": f"Bearer {forged}"})
    answer = f"{headers}{body}"
    assert status == 401 and not [secret for secret in told if secret in answer]


def test_a_wrong_value_is_shown_without_its_password():
    done = run(
        [BROKER, "--store", f"nats://me:{PASSWORD}@nowhere:4222,ftp://me:{PASSWORD}@there:1"]
    )
    assert (done.returncode == 2 and PASSWORD not in done.stderr
            and "nats://@nowhere:4222,ftp://@there:1" in done.stderr)


@pytest.mark.parametrize("command", [
    [BROKER, "--curve-key-file", "FILE", "--keys", "FILE"],
    [WORKER, "--curve-key-file", "FILE", "--broker-key", "FILE", "--listen", "SOCKET"],
    [WORKER, "--monitor-token-file", "FILE", "--listen", "SOCKET"],
    [WORKER, "--session-from", "jwt", "--jwt-secret-file", "FILE", "--listen", "SOCKET"],
    [WORKER, "--session-from", "jwt", "--jwt-key-file", "FILE", "--listen", "SOCKET"],
], ids=lambda c: f"{c[0].name} {c[-4]}")
def test_a_file_that_is_wrong_is_named_and_not_shown(bench, command):
    file = bench.folder / "secret"
    file.write_text(PASSWORD + " ...\n")
    file.chmod(0o600)
    done = run([{"FILE": file, "SOCKET": bench.folder / "s"}.get(word, word) for word in command])
    assert done.returncode != 0 and str(file) in done.stderr and PASSWORD not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
def test_running_as_root_is_warned_about(bench):
    assert "running as root" in Broker(bench).start().log()
