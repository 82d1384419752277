"""Apache's hand-off: streams that the worker writes directly to the browser, and what keeps it
safe."""

import os
import pathlib
import re
import socket
import ssl
import subprocess

import pytest
from support import scgi, systemd
from support.apache import ApacheHandoff, ApacheHandoffPrefork, ApacheHandoffWorker
from support.haproxy import HaproxyTls
from support.options import arguments
from support.processes import WORKER
from support.reader import wait_all
from support.relay import Relay
from support.site import Site
from support.tls import ApacheHandoffTls
from support.waiting import wait_until
from support.worker import PassedWorker

APP = "https://app.example"


@pytest.fixture
def site(bench):
    return Site(bench, web=ApacheHandoff, worker={"heartbeat": "500ms", "cors_origin": APP})


def folder(site):
    return site.worker.options["handoff"]


def socket_of(site):
    return site.worker.options["handoff_listen"]


def wait_stat(site, name, value):
    wait_until(lambda: site.stat(name) == value,
               what=lambda: f"{name} {value}, not {site.stat(name)}")


def curl(*arguments, seconds=3):
    """What curl shows within this time."""
    done = subprocess.run(["curl", "-sN", "-k", "-i", "--max-time", str(seconds), *arguments],
                          capture_output=True)
    return done.stdout.decode()


def publish_over_a_restart(site, readers):
    """Three events: before the worker stops, while it is away, when it is back. All readers get
    all."""
    site.publish("m", data=1)
    for reader in readers:
        reader.wait_for(1)
    site.worker.stop()
    site.publish("m", data=2)
    site.worker.start()
    site.publish("m", data=3)
    for reader in readers:
        reader.wait_for(3)


# Streams without a thread

@pytest.mark.parametrize("web", [ApacheHandoff, ApacheHandoffWorker, ApacheHandoffPrefork],
                         ids=lambda w: w.mpm)
def test_streams_outnumber_apache_s_threads(bench, web):
    site = Site(bench, web=web)
    readers = site.open_many([f"s{n}" for n in range(20 * web.threads)])
    site.publish("m", data=1)
    wait_all(readers, lambda r: r.events, "an event")
    wait_stat(site, "handoffs", len(readers))
    site.commands.shutdown(sessions=[f"s{n}" for n in range(len(readers))])
    for reader in readers:
        reader.wait_end()
        assert reader.types() == ["m", "ssecast.shutdown"] and reader.complete


def test_streams_outlive_apache(site):
    readers = [site.open(f"s{n}", reconnect=True) for n in range(5)]
    site.web.stop()
    site.publish("m", data=1)
    site.web.start()
    site.publish("m", data=2)
    for reader in readers:
        reader.wait_for(2)
        assert reader.data() == ["1", "2"] and reader.opens == 1


def test_a_restart_of_the_worker_ends_streams_in_order_and_they_resume(site):
    readers = [site.open(f"s{n}", stubborn=True, retry=0.1) for n in range(5)]
    publish_over_a_restart(site, readers)
    for reader in readers:
        # also while the worker ended: 200, retry
        assert reader.data() == ["1", "2", "3"] and reader.opens >= 2


def test_a_worker_that_was_killed_leaves_nothing_that_hinders_the_next(site):
    token = scgi.ask(socket_of(site), "session=x").token
    site.worker.kill()
    offer = pathlib.Path(folder(site)) / token
    assert offer.is_socket()
    site.worker.start()  # it listens first, and cleans the directory then
    wait_until(lambda: not offer.exists(), what="the old socket is removed")
    reader = site.open("anna")
    site.publish("m", data=1)
    reader.wait_for(1)


def test_without_descriptors_a_worker_is_restarted_and_every_stream_goes_on(site):
    def taken():
        return len(os.listdir(f"/proc/{site.worker.pid}/fd"))

    limit = taken() + 12
    site.worker.restart_with_files(limit)
    readers = [site.open(f"s{n}", stubborn=True, retry=0.1) for n in range(5)]
    late = [site.start_open(f"late{n}", stubborn=True, retry=0.1) for n in range(20)]
    wait_until(lambda: taken() >= limit - 1, what="descriptors are used up")
    publish_over_a_restart(site, readers)
    for reader in readers:
        assert reader.data() == ["1", "2", "3"] and reader.types() == ["m"] * 3
    for reader in late:
        reader.wait_open()
    site.publish("m", data=4)
    for reader in late:
        reader.wait_data("4")


def test_fastcgi_is_served_beside_it(site):
    site.settle()  # over FastCGI
    reader = site.open("anna")
    site.publish("m", data=1, to={"sessions": ["anna"]})
    reader.wait_for(1)


# TLS and HTTP/2: FastCGI, and never a byte in the clear

def tls_records(data):
    """The types of all TLS records; fails if anything else is between them."""
    types = []
    while data:
        kind, version, length = data[0], data[1], int.from_bytes(data[3:5], "big")
        assert (20 <= kind <= 24 and version == 3
                and length <= 16640), f"no TLS record: {data[:60]!r}"
        types.append(kind)
        data = data[5 + length:]
    return types


@pytest.fixture
def tls_site(bench):
    return Site(bench, web=ApacheHandoffTls, worker={"heartbeat": "300ms"})


def test_a_tls_stream_comes_through_fastcgi_and_nothing_is_in_the_clear(tls_site):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Relay(tls_site.web.tls_port) as relay:
        with (socket.create_connection(("127.0.0.1", relay.port), timeout=30) as raw,
              context.wrap_socket(raw) as tls):
            tls.sendall(b"GET /sse?session=anna HTTP/1.1\r\nHost: a\r\n\r\n")
            tls_site.wait_connections("anna", 1)
            tls_site.publish("m", text="the one event", to={"sessions": ["anna"]})
            text = b""
            while b"the one event" not in text or text.count(b"keep-alive") < 3:
                text += tls.recv(4096)
        down = relay.sent_down()
    assert len(tls_records(down[:down.rfind(b"\x17\x03\x03")])) > 5
    assert b"the one event" not in down and b"HTTP/1.1" not in down and b"retry" not in down
    assert tls_site.stat("handoffs") == 0 and not list(pathlib.Path(folder(tls_site)).iterdir())


@pytest.mark.parametrize("how", [["--http1.1"], ["--http2"], ["--http1.0", "--no-alpn"]],
                         ids=lambda h: h[0])
def test_curl_reads_a_stream_over_tls(tls_site, how):
    text = curl(*how, f"https://127.0.0.1:{tls_site.web.tls_port}/sse?session=anna&lastEventId=1")
    assert re.match(r"HTTP/(1.1|2) 200", text) and "content-type: text/event-stream" in text.lower()
    assert ("event: ssecast.gap" in text and text.count(": keep-alive") >= 2
            and "ssecast-connection: " in text.lower())
    assert tls_site.stat("handoffs") == 0


@pytest.mark.parametrize("how", [["--http2-prior-knowledge"], ["--http2"]],
                         ids=["known", "upgraded"])
def test_http2_without_tls_comes_through_fastcgi(tls_site, how):
    text = curl(*how, tls_site.url("anna"))
    assert "HTTP/2 200" in text and text.count(": keep-alive") >= 2
    assert tls_site.stat("handoffs") == 0


def test_plain_http_beside_tls_is_handed_over(tls_site):
    reader = tls_site.open("anna")
    tls_site.publish("m", data=1)
    reader.wait_for(1)
    wait_stat(tls_site, "handoffs", 1)


def test_short_answers_are_the_same_over_tls(tls_site):
    url = f"https://127.0.0.1:{tls_site.web.tls_port}/sse"
    assert ("400 Bad Request" in curl("--http1.1", url)
            and "missing_session" in curl("--http1.1", url))
    assert "405 Method Not Allowed" in curl("--http1.1", "-X", "DELETE", url)
    assert "Allow: GET, HEAD, OPTIONS" in curl("--http1.1", "-X", "OPTIONS", url)
    tls_site.open("anna")
    tls_site.commands.shutdown(sessions=["anna"])
    assert "204 No Content" in curl("--http1.1", url + "?session=anna")


# Behind a proxy that terminates TLS

class ApacheBehindProxy(ApacheHandoff):
    """With the lines in the comment of ssecast-handoff.conf."""

    modules = (*ApacheHandoff.modules, "remoteip")

    def more(self):
        text = (pathlib.Path(__file__).parents[2] / "apache/ssecast-handoff.conf").read_text()
        return re.findall(r"^#     (RemoteIP.*)$", text, re.M)


def test_behind_haproxy_with_tls_streams_are_handed_over_and_clients_have_their_addresses(bench):
    site = Site(bench, web=ApacheBehindProxy, worker={"heartbeat": "300ms", "max_per_address": "2"})
    front = HaproxyTls(bench, site.web).start()
    streams = [subprocess.Popen(
        ["curl", "-skN", "--interface", address, f"{front.url}?session={session}"],
        stdout=subprocess.PIPE
    ) for address, session in (("127.0.0.2", "a"), ("127.0.0.2", "b"), ("127.0.0.3", "c"))]
    for session in "abc":
        site.wait_connections(session, 1)
    wait_stat(site, "handoffs", 3)
    meta = {c["session"]: c["meta"]["remote_addr"]
            for c in site.commands.connections()["connections"]}
    assert meta == {"a": "127.0.0.2", "b": "127.0.0.2", "c": "127.0.0.3"}

    shed = curl("--interface", "127.0.0.2", f"{front.url}?session=d")
    assert " 200" in shed.splitlines()[0] and "retry: " in shed and "id: " not in shed
    assert site.commands.connections_of("d") == 0

    site.publish("m", text="to all")
    for stream in streams:
        lines = iter(stream.stdout.readline, b"")
        assert b"data: to all\n" in lines
        stream.kill()
        stream.wait()
        stream.stdout.close()
    for session in "abc":
        site.wait_connections(session, 0, timeout=10)


# The head, which Apache writes

def test_the_head_is_the_same_as_through_fastcgi(site):
    handed = site.open_counted("anna", headers={"Origin": APP}).headers
    for name, value in {"content-type": "text/event-stream",
                        "cache-control": "no-cache, no-transform", "x-accel-buffering": "no",
                        "access-control-allow-origin": APP,
                        "access-control-allow-credentials": "true", "vary": "Origin",
                        "access-control-expose-headers": "Ssecast-Connection",
                        "connection": "close"}.items():
        assert handed[name] == value, name
    assert "transfer-encoding" not in handed and "content-length" not in handed
    connections = site.commands.connections()["connections"]
    assert [c["connection"] for c in connections] == [handed["ssecast-connection"]]


def test_an_origin_that_is_not_allowed_gets_no_permission(site):
    headers = site.open("anna", headers={"Origin": "https://evil.example"}).headers
    assert headers["vary"] == "Origin" and "access-control-allow-origin" not in headers


@pytest.mark.parametrize("query", [{"origin": "https://evil.example"}, {
    "connection": "x", "vary": "", "origin": "https://evil.example"
}, {"x": "&vary=origin&origin=https://evil.example&"}, {"x": "\r\nAccess-Control-Allow-Origin: *"}],
                         ids=["origin", "all", "encoded", "lines"])
def test_the_query_of_a_client_sets_no_header(site, query):
    reader = site.open("anna", query=query, headers={"Origin": "https://evil.example"})
    assert ("access-control-allow-origin" not in reader.headers
            and "access-control-allow-credentials" not in reader.headers)
    assert re.fullmatch("[0-9a-f]{16}-[0-9a-f]+-[0-9a-f]+", reader.connection)
    raw = curl(site.web.url + "?session=a&vary=origin&origin=https://evil.example&", "-H",
               "Origin: https://evil.example")
    assert raw.startswith("HTTP/1.1 200") and "evil" not in raw


def test_requests_from_outside_for_the_inner_paths_are_refused(site):
    paths = ("/handoff/{}", "/%68andoff/{}", "//handoff/{}", "/x/../handoff/{}", "/handoff/{}/",
             "/handoff/{}?connection=0-1-2&vary=origin&origin=https://evil.example&",
             "/sse-fcgi?session=a", "/handoff/")
    for path in paths:
        token = scgi.ask(socket_of(site), "session=waiting").token  # it lives 5 seconds
        answer = curl("--path-as-is", site.web.origin + path.format(token), "-H",
                      "REDIRECT_STATUS: 200")
        assert re.match("HTTP/1.1 40[34]", answer), path
        assert "evil" not in answer and "ssecast-connection" not in answer.lower()
        with scgi.hand_over(folder(site), token) as browser:  # it was not used up
            assert browser.recv(4096).startswith(b"retry: ")


class ApacheThatRewrites(ApacheHandoff):
    """A site that takes paths of clients for its own redirects."""

    modules = (*ApacheHandoff.modules, "rewrite")

    def more(self):
        return [f'<Directory "{self.place}/www">', "RewriteEngine On", "RewriteRule ^app(/.*)$ $1",
                "</Directory>", 'ErrorDocument 404 "/handoff/' + "0" * 32
                    + '?connection=0-1-2&vary=origin&origin=https://evil.example&"']


def test_no_other_redirect_inside_apache_comes_through(bench):
    site = Site(bench, web=ApacheThatRewrites)
    token = scgi.ask(socket_of(site), "session=waiting").token
    for path in (f"/app/handoff/{token}?connection=0-1-2&vary=origin&origin=https://evil.example&",
                 "/app/sse-fcgi?session=a", "/none"):
        answer = curl(site.web.origin + path)
        assert re.match("HTTP/1.1 40[34]", answer), path
        assert "evil" not in answer and "ssecast-connection" not in answer.lower()
    with scgi.hand_over(folder(site), token) as browser:
        assert browser.recv(4096).startswith(b"retry: ")


# What the worker takes over, and what not

def test_a_token_works_once(site):
    token = scgi.ask(socket_of(site), "session=anna").token
    with scgi.hand_over(folder(site), token) as browser:
        assert browser.recv(4096).startswith(b"retry: ")
        with pytest.raises(OSError):
            scgi.connect(folder(site), token)
    site.wait_connections("anna", 0)


def test_without_a_socket_in_time_the_stream_ends(site):
    token = scgi.ask(socket_of(site), "session=anna").token
    site.wait_connections("anna", 1)
    with scgi.connect(folder(site), token):  # it says nothing
        site.wait_connections("anna", 0, timeout=20)
    wait_stat(site, "handoffs_expired", 1)
    assert not list(pathlib.Path(folder(site)).iterdir())


def test_other_descriptors_are_refused_and_their_stream_ends(site):
    browser, passed = scgi.tcp_pair()
    pair, udp = socket.socketpair(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with browser, passed, pair[0], pair[1], udp, open("/dev/null", "rb") as file:
        cases = [[pair[0]], [udp], [file], [passed, passed], [passed] * 20, []]
        for n, case in enumerate(cases):
            token = scgi.ask(socket_of(site), f"session=s{n}").token
            site.wait_connections(f"s{n}", 1)
            with scgi.connect(folder(site), token) as peer:
                scgi.pass_descriptors(peer, [s.fileno() for s in case])
                site.wait_connections(f"s{n}", 0)
        wait_stat(site, "handoffs_refused", len(cases))
        browser.setblocking(False)
        with pytest.raises(BlockingIOError):
            browser.recv(1)


def test_many_that_ask_and_never_pass_leave_room_for_others(site):
    answers = scgi.ask_together(socket_of(site), "session=idle", 1100)
    locations = [a.location.split("?")[0] for a in answers]
    assert (sum(where.startswith("/handoff/") for where in locations) == 1024
            and locations.count("/sse-fcgi") == 1100 - 1024)
    reader = site.open("anna")  # through FastCGI, while they wait
    site.publish("m", data=1)
    reader.wait_for(1)
    site.wait_connections("idle", 0, timeout=30)
    before = site.stat("handoffs")
    site.open("bob")
    wait_stat(site, "handoffs", before + 1)


@pytest.mark.parametrize("bytes_",
                         [b"", b"x", b"9999999:", b"12:CONTENT_LENGTH", b"GET / HTTP/1.1\r\n\r\n",
                          b"\1\1\0\1\0\x08\0\0\0\1\0\0\0\0\0\0",
                          b"24:CONTENT_LENGTH\0000\0SCGI\0002\0,"], ids=range(7))
def test_what_is_no_scgi_request_is_closed_without_an_answer(bench, bytes_):
    site = Site(bench, web=ApacheHandoff, worker={"request_timeout": "500ms"})
    assert scgi.say(socket_of(site), bytes_) == b""
    site.open("anna")


@pytest.mark.parametrize("more", [{"HTTPS": "on"}, {"REQUEST_SCHEME": "https"},
                                  {"REQUEST_SCHEME": None}, {"SERVER_PROTOCOL": "HTTP/2.0"},
                                  {"SERVER_PROTOCOL": None}, {"body": b"x"}], ids=str)
def test_without_proof_of_plain_http_the_stream_goes_to_fastcgi(site, more):
    answer = scgi.ask(socket_of(site), "session=anna&lastEventId=1", **more)
    assert answer.location == "/sse-fcgi?session=anna&lastEventId=1"
    assert site.commands.connections_of("anna") == 0


def test_a_browser_that_sends_more_is_closed(site):
    token = scgi.ask(socket_of(site), "session=anna").token
    with scgi.hand_over(folder(site), token) as browser:
        site.wait_connections("anna", 1)
        browser.sendall(b"GET / HTTP/1.1\r\n\r\n")
        site.wait_connections("anna", 0)


def test_a_shutdown_before_the_socket_comes_reaches_its_browser(site):
    token = scgi.ask(socket_of(site), "session=anna").token
    site.wait_connections("anna", 1)
    site.wait_reported()
    site.commands.shutdown(sessions=["anna"], reason="logout")
    site.wait_connections("anna", 0)
    text = b""
    with scgi.hand_over(folder(site), token) as browser:
        while piece := browser.recv(4096):
            text += piece
    assert b"event: ssecast.shutdown" in text


# Options, and sockets from systemd

@pytest.mark.parametrize("options", [{"handoff": "/tmp/x"}, {"handoff_listen": "/tmp/x"}],
                         ids=["handoff", "handoff_listen"])
def test_one_option_without_the_other_is_an_error(bench, options):
    done = subprocess.run([WORKER, *arguments(options), "--listen", f"{bench.folder}/y"],
                          capture_output=True)
    assert done.returncode == 2 and b"--handoff" in done.stderr and b"needs" in done.stderr


def test_a_worker_that_cannot_listen_for_the_hand_off_removes_its_other_socket(bench):
    other_file = bench.folder / "file"
    other_file.touch()
    options = {"listen": bench.folder / "fcgi.sock", "handoff": bench.folder / "handoff",
               "handoff_listen": other_file}
    done = subprocess.run([WORKER, *arguments(options)], capture_output=True)
    assert done.returncode == 1 and b"this file is no socket" in done.stderr
    assert not options["listen"].exists() and other_file.exists()


def test_both_sockets_may_come_from_systemd_and_no_request_is_refused_in_a_restart(
    bench, monkeypatch
):
    monkeypatch.setattr("support.site.Worker", PassedWorker)
    site = Site(bench, web=ApacheHandoff)
    site.settle()
    early = site.open("early", reconnect=True, retry=0.05)
    site.worker.stop()
    late = site.start_open("late")  # waits in the socket
    site.worker.start()
    for reader in (early.wait_open(2), late.wait_open()):
        assert reader.status == 200
    site.publish("m", data=1)
    for reader in (early, late):
        reader.wait_for(1)
    wait_stat(site, "handoffs", 3)


@pytest.mark.parametrize(
    "names", [["handoff"], ["handoff", "handoff"], ["a", "b"], ["a", "handoff", "b"]], ids=":".join
)
def test_other_sets_of_sockets_are_an_error(bench, names):
    listeners = [(name, bench.closing(systemd.listen(bench.folder / f"{n}.sock")))
                 for n, name in enumerate(names)]
    argv = systemd.passed_by_name(listeners, [WORKER, "--handoff", bench.folder / "handoff"])
    done = subprocess.run(argv, capture_output=True, pass_fds=[s.fileno() for _, s in listeners],
                          timeout=30)
    assert done.returncode == 2 and b"a worker takes one listening stream socket" in done.stderr


# Beside PHP

_PHP = sorted(pathlib.Path("/usr/lib/apache2/modules").glob("libphp*.so"))


class ApacheWithPhp(ApacheHandoffPrefork):
    def more(self):
        (self.place / "www" / "page.php").write_text('<?php echo "from PHP ", 6 * 7;')
        return [f"LoadModule php_module {_PHP[-1]}", '<FilesMatch "\\.php$">',
                "SetHandler application/x-httpd-php", "</FilesMatch>"]


@pytest.mark.skipif(not _PHP, reason="needs libapache2-mod-php")
def test_mod_php_and_streams_share_a_few_processes(bench):
    site = Site(bench, web=ApacheWithPhp)
    readers = site.open_many([f"s{n}" for n in range(5 * ApacheWithPhp.threads)])
    assert "from PHP 42" in curl(site.web.origin + "/page.php")
    site.publish("m", data=1)
    wait_all(readers, lambda r: r.events, "an event")
