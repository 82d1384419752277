"""Who may see how the system is, and what they see: healthz and metrics through real web servers."""

import json
import signal

import pytest
from support.apache import Apache
from support.bench import Bench
from support.broker import Broker
from support.fcgi import FastCgi
from support.lighttpd import Lighttpd
from support.processes import WORKER, run
from support.site import Site
from support.waiting import wait_until
from support.worker import Worker

TOKEN = "a-secret-of-the-operators"


@pytest.fixture(scope="module", params=[Lighttpd, Apache], ids=lambda web: web.name)
def watched(request):
    """A site behind each of the web servers."""
    with Bench() as b:
        yield Site(b, web=request.param)


@pytest.fixture(scope="module")
def closed():
    """A site that shows itself to nobody without the token."""
    with Bench() as b:
        yield Site(b, worker={"monitor_from": "none", "monitor_token_file": token_file(b)})


def token_file(bench, text=TOKEN + "\n", mode=0o640):
    path = bench.folder / "token"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def health(worker, query="", **environment):
    """(status, body) of healthz, past the web server."""
    with FastCgi(worker.socket) as web:
        web.get(query, REQUEST_URI=f"/sse/healthz?{query}", REMOTE_ADDR="127.0.0.1", **environment).wait_end()
        return web.head["status"], json.loads(web.body)


# Health

def test_a_worker_with_a_broker_is_ready(watched):
    status, headers, body = watched.request(path="/healthz")
    assert (status, json.loads(body)) == (200, {"live": True, "ready": True, "reasons": []})
    assert headers["content-type"] == "application/json" and headers["cache-control"] == "no-store"
    status, headers, body = watched.request("HEAD", path="/healthz")
    assert (status, body) == (200, b"")


def test_a_worker_without_a_broker_is_live_but_not_ready(bench):
    broker = Broker(bench)
    worker = Worker(bench, broker).start()
    assert health(worker) == (503, {"live": True, "ready": False, "reasons": ["no broker"]})
    assert health(worker, "live=1") == (200, {"live": True, "ready": False, "reasons": ["no broker"]})
    assert health(worker, "live=10")[0] == health(worker, "alive=1")[0] == 503
    assert health(worker, "a=b&live=1&c")[0] == 200
    broker.start()
    wait_until(lambda: health(worker)[0] == 200, what="ready")


def test_a_full_worker_says_so(bench):
    site = Site(bench, worker={"max_connections": 1})
    reader = site.open("anna")
    assert health(site.worker) == (503, {"live": True, "ready": False, "reasons": ["full"]})
    reader.close()
    wait_until(lambda: health(site.worker)[0] == 200, what="ready")


def test_a_stopping_worker_says_so(bench):
    site = Site(bench, worker={"drain": "3s"})
    readers = site.open_many(["anna", "bert"])
    site.worker.expect_end()
    site.worker.signal(signal.SIGTERM)
    wait_until(lambda: health(site.worker)[1]["reasons"] == ["stopping"], what="stopping")
    assert readers


# Who may see it

@pytest.mark.parametrize("path", ["/healthz"])
def test_others_are_refused(closed, path):
    status, headers, body = closed.request(path=path)
    assert (status, json.loads(body)) == (403, {"error": "forbidden", "message": "this is not for you"})
    assert closed.request("DELETE", path=path)[0] == 403, "who may not see it is not told what there is"
    assert closed.request(path=path, headers={"Authorization": f"Bearer {TOKEN}x"})[0] == 403
    assert closed.request(path=path, headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200
    assert closed.request("DELETE", path=path, headers={"Authorization": f"Bearer {TOKEN}"})[0] == 405
    assert TOKEN not in closed.worker.log()


def test_apache_hands_the_token_on(bench):
    site = Site(bench, web=Apache, worker={"monitor_from": "none", "monitor_token_file": token_file(bench)})
    assert site.request(path="/healthz")[0] == 403
    assert site.request(path="/healthz", headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200


def test_only_listed_addresses_may(bench):
    site = Site(bench, worker={"monitor_from": ["192.0.2.0/24", "2001:db8::/32"]})
    assert site.request(path="/healthz")[0] == 403
    for address, status in (("192.0.2.77", 200), ("192.0.3.1", 403), ("2001:db8::7", 200), ("::1", 403)):
        with FastCgi(site.worker.socket) as web:
            web.get("", REQUEST_URI="/sse/healthz", REMOTE_ADDR=address).wait_end()
            assert web.head["status"] == status, address


@pytest.mark.parametrize("text, mode, complaint", [(TOKEN, 0o604, "every user"), ("short", 0o600, "16 to 512"), (None, 0, "No such file")])
def test_a_token_file_that_cannot_be_used_ends_the_start(bench, text, mode, complaint):
    path = token_file(bench, text, mode) if text else str(bench.folder / "absent")
    done = run([WORKER, "--listen", bench.folder / "w.sock", "--monitor-token-file", path])
    assert done.returncode == 2 and complaint in done.stderr and path in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("value", ["localhost", "10.0.0.0/33", "127.0.0.1/8/8", "2001:db8::/129", "*"])
def test_an_address_that_is_none_is_refused_at_the_start(bench, value):
    done = run([WORKER, "--monitor-from", value])
    assert done.returncode == 2 and f"'{value}'" in done.stderr and "192.0.2.0/24" in done.stderr
