"""Events over HTTP: POST …/publish, through lighttpd and Apache."""

import concurrent.futures
import http.client
import json
import pathlib
import socket
import threading
import time

import pytest
from support.apache import Apache, ApacheCgi, ApacheHandoff
from support.bench import Bench
from support.checker import Diary, Publication, check
from support.disk import FileLimit
from support.fcgi import STDIN, FastCgi, begin, environment, params, record
from support.http_publisher import HttpPublisher
from support.lighttpd import Lighttpd, LighttpdCgi
from support.nginx import Nginx
from support.processes import CLI, WORKER, clean_environment, run
from support.reader import wait_all
from support.relay import Relay
from support.site import Site
from support.tabs import MODULE
from support.tokens import Issuer
from support.waiting import Deadline, patient, wait_until

GOOD = "https://app.example"


class PublishingSite(Site):
    """A site whose workers take events over HTTP."""

    def __init__(self, bench, web=Lighttpd, workers=1, broker=None, **worker):
        bench.folder.chmod(0o755)
        self.issuer = Issuer(bench.folder / "jwt.key")
        worker = {"publish": True, "jwt_secret_file": self.issuer.secret_file, **worker}
        super().__init__(bench, web=web, workers=workers, broker=broker, worker=worker)

    def broker_head(self):
        """The last seq given out."""
        return self.commands.ping()["head"]

    def publisher(self, token=None):
        return self.bench.closing(HttpPublisher(self.web.url, token or self.issuer.publisher()))


@pytest.fixture(scope="module", params=[Lighttpd, Apache, ApacheHandoff, Nginx],
                ids=lambda w: w.name)
def site(request):
    with Bench() as b:
        yield PublishingSite(b, request.param, cors_origin=GOOD, publish_bytes="2M")


# What speaks to the worker itself runs at one of the sites.
past_the_web_server = pytest.mark.parametrize("site", [Lighttpd], indirect=True, ids=["lighttpd"])


@pytest.fixture
def publisher(site):
    return site.publisher()


# What is published

def test_an_event_arrives_and_its_reply_is_the_broker_s(site, session, publisher):
    reader = site.open(session)
    status, headers, reply = publisher.publish("greeting", data={"msg": "hi", "pi": 3.0},
                                               to={"sessions": [session]})
    assert (status, headers["content-type"], headers["cache-control"]) == (
        200, "application/json", "no-store"
    )
    [event] = reader.wait_for(1)
    assert reply == {"ok": True, "seq": int(event.id), "online": 1}
    assert (event.type, json.loads(event.data)) == ("greeting", {"msg": "hi", "pi": 3.0})


def test_text_that_was_cut_within_a_character_arrives_as_it_is(site, session, publisher):
    """As JSON.stringify() writes it: half of a surrogate pair, as an escape."""
    reader = site.open(session)
    to = {"sessions": [session]}
    status, _, reply = publisher.send(
        {"events": [{"data": "cut \ud83d", "to": to}, {"data": 2, "to": to}]}
    )
    assert status == 200 and len(reply["seqs"]) == 2
    assert [e.data for e in reader.wait_for(2)] == ['"cut \\ud83d"', "2"]


def test_the_request_may_name_its_op_and_a_ref(site, session, publisher):
    status, _, reply = publisher.send(
        {"op": "publish", "ref": [7, "x"], "text": "a\nb", "to": {"sessions": [session]}}
    )
    assert (status, reply["ok"], reply["ref"]) == (200, True, [7, "x"])


def test_a_batch_is_all_or_none(site, session, publisher):
    reader = site.open(session)
    to = {"sessions": [session]}
    status, _, reply = publisher.publish_batch(
        {"event": "m", "data": n, "to": to} for n in range(100)
    )
    assert status == 200 and reply["seqs"] == list(range(reply["seqs"][0], reply["seqs"][0] + 100))
    status, _, reply = publisher.publish_batch(
        [{"data": "lost", "to": to}, {"data": 1, "to": {"session": [session]}}]
    )
    assert ((status, reply["error"]) == (400, "bad_request")
            and "`events[1].to.session`" in reply["message"])
    publisher.publish("m", data="end", to=to)
    assert [json.loads(e.data) for e in reader.wait_for(101)] == [*range(100), "end"]


def test_an_id_is_published_once(site, session, publisher):
    first, again = (publisher.publish("m", data=1, id=session, to={"sessions": [session]})
                    for _ in range(2))
    assert first[2]["seq"] == again[2]["seq"] and again[2]["duplicate"] is True and again[0] == 200


BODIES = [1, 1000, 65_535, 65_536, 262_144, 1 << 20]


@pytest.mark.parametrize("size", BODIES)
def test_a_body_of_any_size_arrives_whole(site, session, publisher, size):
    reader = site.open(session)
    text = ("0123456789abcdef" * (size // 16 + 1))[:size]
    status, _, reply = publisher.publish("m", text=text, to={"sessions": [session]})
    assert status == 200, reply
    assert reader.wait_for(1)[0].data == text


@pytest.mark.parametrize("body", [b"", b"x", b"{", b"[]", b"\0", b"\xff\xfe", b'{"data":1',
                                  b'"' + b"x" * 100_000, b"[" * 100_000], ids=lambda b: repr(b[:8]))
def test_what_is_not_a_request_is_400(publisher, body):
    status, headers, reply = publisher.send(body)
    assert (status == 400 and reply["ok"] is False and reply["error"] in ("bad_json", "bad_request")
            and reply["message"])


@pytest.mark.parametrize("size", [100, 500_000])
def test_a_chunked_body_arrives(site, session, publisher, size):
    """A client that does not know how much it will send."""
    reader = site.open(session)
    body = json.dumps({"event": "m", "text": "x" * size, "to": {"sessions": [session]}}).encode()
    pieces = [body[n:n + 7000] for n in range(0, len(body), 7000)]
    status, _, reply = publisher.send(iter(pieces), chunked=True,
                                      headers={"Transfer-Encoding": "chunked"})
    assert status == 200, reply
    assert len(reader.wait_for(1)[0].data) == size


def test_a_client_that_waits_for_100_continue_is_answered(site, session):
    body = json.dumps({"event": "m", "text": "x" * 3000, "to": {"sessions": [session]}}).encode()
    with socket.create_connection(("127.0.0.1", site.web.port), timeout=20) as s:
        s.sendall(b"POST /sse/publish HTTP/1.1\r\nHost: x\r\nContent-Type: "
                  b"application/json\r\nConnection: close\r\nExpect: 100-continue\r\n"
                  b"Authorization: Bearer " + site.issuer.publisher().encode()
                  + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n")
        answer = s.recv(65536)
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        s.sendall(body)
        while piece := s.recv(65536):
            answer += piece
    assert b"\r\n\r\nHTTP/1.1 200 OK\r\n" in answer and b'{"ok":true' in answer


def test_a_slow_client_is_waited_for(site, session, publisher):
    """A body that comes in pieces with pauses between them."""
    body = json.dumps({"text": "x" * 200_000, "to": {"sessions": [session]}}).encode()

    def pieces():
        for n in range(0, len(body), 50_000):
            time.sleep(0.3)
            yield body[n:n + 50_000]

    status, _, reply = publisher.send(pieces(), chunked=True,
                                      headers={"Transfer-Encoding": "chunked"})
    assert status == 200, reply


# Who may

def test_without_a_token_nothing_is_published(site):
    for token, error in ((None, "missing_token"), ("x.y.z", "invalid_token"),
                         (site.issuer.token(publish=True, seconds=-10), "token_expired")):
        with HttpPublisher(site.web.url, token) as nobody:
            before = site.broker_head()
            status, headers, reply = nobody.publish("m", data=1)
            assert ((status, reply["error"]) == (401, error)
                    and headers["www-authenticate"].startswith("Bearer"))
            assert site.broker_head() == before


@pytest.mark.parametrize("claim", [None, False, "yes", 1, [], {}, {"sessions": []}], ids=repr)
def test_a_token_without_a_publish_claim_may_not(site, claim):
    status, _, reply = site.publisher(site.issuer.token(publish=claim, sub="anna")).publish(
        "m", data=1
    )
    assert status in (401, 403) and reply["error"] in ("forbidden", "invalid_token")


def test_the_token_may_come_in_a_cookie_or_the_query(site, session):
    token = site.issuer.publisher()
    with HttpPublisher(site.web.url) as publisher:
        body = {"data": 1, "to": {"sessions": [session]}}
        assert publisher.send(body, headers={"Cookie": f"a=b; ssecast_token={token}"})[0] == 200
        assert publisher.send(body, query=f"?token={token}")[0] == 200


def test_a_limited_token_sets_state_of_the_names_it_lists(site, session):
    publisher = site.publisher(
        site.issuer.publisher({"sessions": [session + "*"], "channels": [session]})
    )
    to = ({"sessions": [session + "-1"]}, {"channels": [session]})
    for n, target in enumerate(to):
        assert publisher.publish("m", data=n, key="k", ttl=60, to=target)[0] == 200
    keys = site.commands.demand({"op": "state", "prefix": "k"})["keys"]
    assert [(k["data"], k["to"]) for k in keys if session in str(k["to"])] == [
        ("0", to[0]), ("1", to[1])
    ]
    for target in ({}, {"to": {"sessions": ["admin"]}}, {"to": {"channels": ["room"]}}):
        status, _, reply = publisher.send({"data": 1, "key": "k", "remove": True, **target})
        assert (status, reply["error"]) == (403, "forbidden")
    assert publisher.publish("m", data=2, key="k", remove=True, to=to[0])[0] == 200
    keys = site.commands.demand({"op": "state", "prefix": "k"})["keys"]
    assert [k["data"] for k in keys if session in str(k["to"])] == ["1"]


@pytest.mark.parametrize("fields",
                         [{"key": "k", "to": {"sessions": ["a", "b"]}},
                          {"key": "k", "to": {"connections": ["a"]}}, {"key": "k", "to": {}},
                          {"key": "k", "except": {"sessions": ["a"]}}, {"key": ""},
                          {"remove": True}, {"ttl": 0}, {"ttl": 2592001}], ids=str)
def test_a_wrong_key_is_400(publisher, fields):
    status, _, reply = publisher.publish("m", data=1, **fields)
    assert ((status, reply["error"]) == (400, "bad_request")
            and f"`{next(iter(fields))}`" in reply["message"])


REFUSED = [{}, {"to": {"sessions": ["admin"]}}, {"to": {"sessions": ["user-1", "admin"]}},
           {"to": {"channels": ["user-1"]}}, {"to": {"connections": ["x"]}},
           {"except": {"sessions": ["a"]}},
           {"to": {"sessions": ["user-1"]}, "except": {"sessions": ["admin"]}},
           {"to": {"sessions": ["user-1"]}, "retry": 1000}]


@pytest.mark.parametrize("fields", REFUSED, ids=str)
def test_a_limited_token_reaches_no_other_name(site, fields):
    publisher = site.publisher(
        site.issuer.publisher({"sessions": ["user-*"], "channels": ["room:7"]})
    )
    before = site.broker_head()
    for body in ({"data": 1, **fields},
                 {"events": [{"data": 1, "to": {"sessions": ["user-1"]}}, {"data": 2, **fields}]}):
        status, _, reply = publisher.send(body)
        assert (status, reply["error"]) == (403, "forbidden"), body
    assert site.broker_head() == before


def test_a_limited_token_reaches_the_names_it_lists(site, session):
    publisher = site.publisher(
        site.issuer.publisher({"sessions": [session + "*"], "channels": ["room:7"]})
    )
    reader = site.open(session + "-1")
    assert publisher.publish("m", data=1,
                             to={"sessions": [session + "-1"], "channels": ["room:7"]})[0] == 200
    reader.wait_for(1)


@pytest.mark.parametrize(
    "op", ["shutdown", "online", "sessions", "connections", "history", "state", "stats", "ping"]
)
def test_nothing_but_publish_is_accepted(site, publisher, op):
    status, _, reply = publisher.send(
        {"op": op, **({"sessions": ["a"]} if op == "shutdown" else {}),
         **({"session": "a"} if op == "online" else {})}
    )
    assert (status, reply["error"]) == (403, "forbidden")


def test_an_unknown_op_is_400(publisher):
    status, _, reply = publisher.send({"op": "explode"})
    assert (status, reply["error"]) == (400, "unknown_op")


# What is refused

@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_405(publisher, method):
    status, headers, reply = publisher.send(b"", method=method)
    assert (status, reply["error"], headers["allow"]) == (
        405, "method_not_allowed", "POST, OPTIONS"
    )


@pytest.mark.parametrize("kind",
                         [None, "", "text/plain", "application/x-www-form-urlencoded",
                          "multipart/form-data; boundary=x", "application/jsonx", "text/json"])
def test_another_content_type_is_415(site, publisher, kind):
    """What a form of another site, or a script without preflight, may send."""
    before = site.broker_head()
    status, _, reply = publisher.send(b'{"data":1}', headers={"Content-Type": kind})
    assert ((status, reply["error"]) == (415, "unsupported_media_type")
            and "application/json" in reply["message"])
    assert site.broker_head() == before


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON",
                                  "application/json;charset=UTF-8"])
def test_parameters_of_the_type_do_not_matter(session, publisher, kind):
    assert publisher.send({"data": 1, "to": {"sessions": [session]}},
                          headers={"Content-Type": kind})[0] == 200


def test_an_event_that_is_too_large_is_413(publisher):
    status, _, reply = publisher.publish("m", text="x" * ((1 << 20) + 1))
    assert (status, reply["error"]) == (413, "too_large") and "max-event-bytes" in reply["message"]


@pytest.mark.parametrize("size", [(2 << 20) + 1, 20 << 20])
def test_a_body_that_is_too_large_is_413(site, session, size):
    """It is answered while it still comes; a client that goes on sending may find its connection
    closed."""
    head = ("POST /sse/publish HTTP/1.1\r\nHost: x\r\nContent-Type: "
            f"application/json\r\nAuthorization: Bearer {site.issuer.publisher()}\r\n"
            f"Content-Length: {size}\r\n\r\n").encode()
    with socket.create_connection(("127.0.0.1", site.web.port), timeout=20) as s:
        s.sendall(head)
        try:
            for _ in range(size // 65536 + 1):
                s.sendall(b" " * 65536)
        except OSError:
            pass
        s.settimeout(20)
        answer = s.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    still_publishes(site, session)


def still_publishes(site, session):
    reader = site.open(session)
    assert site.publisher().publish("still", data=1, to={"sessions": [session]})[0] == 200
    reader.wait_type("still")


def test_a_client_that_leaves_in_the_middle_publishes_nothing(site, session):
    before = site.broker_head()
    for cut in (0, 10, 60_000, 140_000):
        with socket.create_connection(("127.0.0.1", site.web.port)) as s:
            s.sendall(b"POST /sse/publish HTTP/1.1\r\nHost: x\r\nContent-Type: "
                      b"application/json\r\nAuthorization: Bearer "
                      + site.issuer.publisher().encode() + b"\r\nContent-Length: "
                      b"150013\r\n\r\n" + (b'{"text":"' + b"x" * 150_000 + b'"}')[:cut])
    time.sleep(0.2)
    assert site.broker_head() == before
    still_publishes(site, session)


# From pages

def test_a_preflight_from_an_allowed_origin(site, publisher):
    status, headers, _ = publisher.send(
        b"", method="OPTIONS", headers={"Origin": GOOD, "Access-Control-Request-Method": "POST"}
    )
    assert status == 204 and headers["access-control-allow-origin"] == GOOD
    assert headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert headers["access-control-allow-headers"] == "Authorization, Content-Type"


def test_a_preflight_from_another_origin_gets_no_headers(publisher):
    _, headers, _ = publisher.send(b"", method="OPTIONS", headers={
        "Origin": "https://evil.example", "Access-Control-Request-Method": "POST"
    })
    assert not [h for h in headers if h.startswith("access-control")]


@pytest.mark.parametrize("good", [True, False])
def test_answers_may_be_read_by_allowed_origins_only(site, session, publisher, good):
    for body in ({"data": 1, "to": {"sessions": [session]}}, {"dta": 1}):
        _, headers, _ = publisher.send(body,
                                       headers={"Origin": GOOD if good else "https://evil.example"})
        assert headers.get("access-control-allow-origin") == (GOOD if good else None)
        assert "origin" in headers["vary"].lower()


# From pages, in Chromium

POST = """
const [url, options, token] = arguments;
const authorization = token ? {Authorization: `Bearer ${token}`} : {};
const headers = {"Content-Type": "application/json", ...authorization, ...options.headers};
const body = '{"event":"m","text":"from a page","to":{"sessions":["anna"]}}';
return fetch(url, {method: "POST", body, ...options, headers})
    .then(async (r) => [r.status, r.type === "opaque" ? null : await r.json()],
          (e) => [0, String(e)]);
"""


@pytest.fixture
def pages(bench, chromium):
    """(site, a page of an origin that is allowed, a page of one that is not): relays to the
    site."""
    friend, stranger = bench.closing(Relay(0)), bench.closing(Relay(0))
    site = PublishingSite(bench, cors_origin=friend.url)
    friend.upstream = stranger.upstream = site.web.port
    yield site, friend, stranger
    chromium.goto("about:blank")
    chromium.errors()  # refused requests are among them


def test_a_page_publishes_with_the_token_in_a_cookie(pages, chromium):
    site, _, _ = pages
    reader = site.open("anna")
    chromium.goto(site.web.origin)
    chromium.run(f"document.cookie = 'ssecast_token={site.issuer.publisher()}; path=/sse'")
    assert chromium.run(POST, "/sse/publish", {})[0] == 200
    assert reader.wait_for(1)[0].data == "from a page"


def test_a_page_of_an_allowed_origin_publishes(pages, chromium):
    site, friend, _ = pages
    reader = site.open("anna")
    chromium.goto(friend.url)
    status, reply = chromium.run(POST, site.web.url + "/publish", {}, site.issuer.publisher())
    assert (status, reply["ok"]) == (200, True)
    assert reader.wait_for(1)[0].data == "from a page"


def test_a_page_of_another_origin_cannot(pages, chromium):
    """Neither with a preflight, nor without one and with the cookies that the browser has for the
    site."""
    site, _, stranger = pages
    before = site.broker_head()
    chromium.goto(site.web.origin)
    chromium.run(f"document.cookie = 'ssecast_token={site.issuer.publisher()}; path=/sse'")
    chromium.goto(stranger.url)
    url = site.web.url + "/publish"
    assert chromium.run(POST, url, {}, site.issuer.publisher())[0] == 0
    assert chromium.run(POST, url, {"credentials": "include"})[0] == 0
    refused = site.stat("publishes_http_refused")
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        assert chromium.run(POST, url, {"mode": "no-cors", "credentials": "include",
                                        "headers": {"Content-Type": kind}}) == [0, None]
    wait_until(lambda: site.stat("publishes_http_refused") == refused + 2,
               what="both came, and were refused")
    assert site.broker_head() == before


# client/js/ssecast.js

PUBLISH = """
const [module, url, events, options] = arguments;
const address = URL.createObjectURL(new Blob([module], { type: "text/javascript" }));
window.published = import(address).then(({ publish }) => publish(url, events, options))
    .then((reply) => ["published", reply], (e) => [e.name, e.status, e.code, e.message]);
"""


@pytest.fixture
def page(pages, chromium):
    """A function that publishes from a page of an allowed origin, with the module."""
    site, friend, _ = pages
    chromium.goto(friend.url)

    def publish(events, token=None, meanwhile=lambda: None, **options):
        options = {"token": token or site.issuer.publisher(), "firstPause": 50, **options}
        chromium.run(PUBLISH, MODULE.read_text(), site.web.url + "/publish", events, options)
        meanwhile()
        return chromium.run("return window.published")

    publish.site = site
    return publish


def test_the_module_publishes(page):
    reader = page.site.open("anna")
    kind, reply = page({"event": "m", "data": {"n": 1}, "to": {"sessions": ["anna"]}})
    assert (kind, reply["ok"], reply["online"]) == ("published", True, 1)
    kind, reply = page([{"event": "m", "text": "a"}, {"event": "m", "text": "b", "id": "mine"}])
    assert kind == "published" and len(reply["seqs"]) == 2
    events = reader.wait_for(3)
    assert [e.data for e in events] == ['{"n":1}', "a", "b"] and events[2].id == "mine"
    assert events[0].id.startswith("js-") and events[0].id != events[1].id


def test_the_module_tries_again(page):
    """While there is no worker, and the web server says 503."""
    reader = page.site.open("anna", reconnect=True, stubborn=True, retry=0.05)
    page.site.worker.stop()

    def meanwhile():
        wait_until(lambda: page.site.web.log().count("are down") >= 2, what="two tries that failed")
        page.site.worker.start()

    assert page({"event": "m", "data": 1}, meanwhile=meanwhile, tries=100,
                longestPause=200)[0] == "published"
    reader.wait_type("m")
    assert reader.data("m") == ["1"]


def test_the_module_reports_refusals(page):
    kind, status, code, message = page({"data": 1}, token=page.site.issuer.token(sub="anna"))
    assert (kind, status, code) == ("PublishError", 403, "forbidden") and message
    assert page({"dta": 1})[:3] == ["PublishError", 400, "bad_request"]
    page.site.worker.stop()
    kind, status, *_ = page({"data": 1}, tries=2)
    # a 503 without CORS headers is nothing that a page may see
    assert kind == "PublishError" and status in (0, 503)


# The command line

@pytest.fixture
def cli(site, tmp_path):
    """A function that publishes with the command line over HTTP; no broker is anywhere near."""
    token = tmp_path / "token.jwt"
    token.write_text(site.issuer.publisher() + "\n")
    env = clean_environment(SSECAST_COMMANDS="tcp://127.0.0.1:1")

    def publish(*arguments, url=site.web.url + "/publish", token_file=token, **options):
        return run([CLI, "publish", "--url", url,
                    *(["--token-file", token_file] if token_file else []), *arguments], env=env,
                   **options)

    return publish


def test_the_command_line_publishes(site, session, cli):
    reader = site.open(session, ["room:7"])
    done = cli("note", '{"a": 0.10}', "--session", session)
    assert done.returncode == 0 and f"seq     {reader.wait_for(1)[0].id}" in done.stdout, done
    assert json.loads(cli("note", "two\nlines\"", "--text", "--channel", "room:7", "--id", session,
                          "--retry", "7000", "--json").stdout)["ok"]
    assert json.loads(cli("note", "again", "--text", "--id", session, "--json").stdout)["duplicate"]
    assert cli("none", "1", "--session", session, "--except-session", session).returncode == 0
    assert cli("none", "1", "--channel", "room:7", "--private").returncode == 0
    assert ("--private needs --channel, "
            "--session or --connection" in cli("none", "1", "--private").stderr)
    assert cli("", "-", "--text", "--session", session, stdin="x" * 300_000).returncode == 0
    private = cli("none", "1", "--channel", "room:7", "--private", "--key", session)
    assert private.returncode == 0 and site.commands.demand(
        {"op": "state", "prefix": session}
    )["keys"][0]["private"] is True
    events = reader.wait_for(3)
    assert [(e.type, e.data) for e in events] == [("note", '{"a": 0.10}'), ("note", 'two\nlines"'),
                                                  ("message", "x" * 300_000)]


def test_the_command_line_says_what_went_wrong(site, cli, tmp_path):
    other = tmp_path / "other.jwt"
    other.write_text(site.issuer.token(sub="anna"))
    wrong = [
        (1, "answered 403", cli("m", "1", token_file=other)),
        (1, "answered 401", cli("m", "1", token_file=None)),
        (1, "answered 400", cli("ssecast.x", "1")),
        (1, "answered 404", cli("m", "1", url=site.web.origin + "/elsewhere")),
        (1, "connect", cli("m", "1", url="http://127.0.0.1:1/sse/publish")),
        (2, "/nonexistent", cli("m", "1", token_file="/nonexistent")),
        (2, "first line is empty", cli("m", "1", token_file="/dev/null")),
        (2, "not JSON", cli("m", "{")),
        (2, "rotocol", cli("m", "1", url="file:///etc/passwd")),
        (2, "--url", run([CLI, "publish", "m", "1", "--token-file", other])),
    ]
    for status, part, done in wrong:
        assert (done.returncode == status and part in done.stderr
                and done.stderr.count("\n") == 1), done
        assert "eyJ" not in done.stdout + done.stderr
    assert cli("m", "1", url=site.web.url).stderr.endswith('accepted: GET, HEAD, OPTIONS"}\n')


# A web server that hands a body on while it comes

class StreamingLighttpd(Lighttpd):
    extra = "server.stream-request-body = 2"


def test_lighttpd_may_hand_bodies_on_as_they_come(bench):
    site = PublishingSite(bench, StreamingLighttpd)
    reader = site.open("anna")
    publisher = site.publisher()
    for size in (1, 70_000, 1 << 20):
        assert publisher.publish("m", text="x" * size)[0] == 200
    assert [len(e.data) for e in reader.wait_for(3)] == [1, 70_000, 1 << 20]
    body = json.dumps({"text": "y" * 300_000}).encode()
    with socket.create_connection(("127.0.0.1", site.web.port), timeout=20) as s:
        s.sendall("POST /sse/publish HTTP/1.1\r\nHost: x\r\nContent-Type: "
                  "application/json\r\nConnection: close\r\nAuthorization: Bearer "
                  f"{site.issuer.publisher()}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for n in range(0, len(body), 30_000):
            time.sleep(0.1)
            s.sendall(body[n:n + 30_000])
        assert s.recv(65536).startswith(b"HTTP/1.1 200 ")
    reader.wait_for(4)
    with socket.create_connection(("127.0.0.1", site.web.port)) as s:
        s.sendall("POST /sse/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                  f"Authorization: Bearer {site.issuer.publisher()}\r\nContent-Length: "
                  f"{len(body)}\r\n\r\n".encode() + body[:100_000])
    assert publisher.publish("m", text="end")[0] == 200
    assert reader.wait_for(5)[4].data == "end"


# Many

def test_many_publishers_at_once_lose_and_mix_nothing(bench):
    """Each publishes one after the other; everybody sees each publisher's events in order, and all
    of them."""
    site = PublishingSite(bench, workers=2)
    readers = [site.open(f"r{n}", keep_blocks=True) for n in range(5)]
    publications = []

    def publish(name):
        publisher = site.publisher()
        for n in range(60):
            p = Publication(f"{name}-{n}", own_id=n % 3 == 0)
            status, _, reply = publisher.publish("m", text=p.key + " " + "x" * (n * 97 % 3000),
                                                 **({"id": p.key} if p.own_id else {}))
            assert status == 200, reply
            assert p.acknowledge(reply["seq"]) is None
            publications.append(p)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(publish, [f"p{n}" for n in range(16)]))
    assert len(publications) == 960
    for p in range(16):
        seqs = [q.seq for q in publications if q.key.startswith(f"p{p}-")]
        assert seqs == sorted(seqs)
    end = max(p.seq for p in publications)
    wait_all(readers, lambda r: len([b for b in r.decoder.blocks if b.type == "m"]) >= 960,
             "all events")
    verdict = check(publications,
                    [Diary(f"r{n}", f"r{n}", [], r.decoder.blocks) for n, r in enumerate(readers)],
                    end)
    assert not verdict.complaints, verdict.complaints
    assert site.commands.stats()["publishes"] >= 960


def send_until_published(site, p, text):
    """As a careful service does: with an id, again and again until there is a 200."""
    deadline = Deadline(60)
    while not deadline.passed():
        try:
            with HttpPublisher(site.web.url, site.issuer.publisher()) as publisher:
                status, _, reply = publisher.publish("m", text=text, id=p.key)
        except (OSError, http.client.HTTPException):
            continue  # the web server lost its worker in the middle
        if status == 200:
            return p.acknowledge(reply["seq"])
        assert status >= 500, reply
        time.sleep(0.05)
    return f"{p.key} was never published"


def test_through_crashes_everything_is_published_once(bench):
    """Brokers killed, workers restarted, and every event of every publisher is there once, in its
    publisher's order."""
    site = PublishingSite(bench, workers=2, broker={"store": bench.folder / "history"})
    readers = [site.open(f"r{n}", keep_blocks=True, reconnect=True, stubborn=True, retry=0.05)
               for n in range(4)]
    publications, over = [], threading.Event()

    def publish(name):
        n = 0
        while not over.is_set():
            p = Publication(f"{name}-{n}", own_id=True)
            publications.append(p)
            assert send_until_published(site, p, p.key) is None
            n += 1
        return n

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        running = [pool.submit(publish, f"p{n}") for n in range(6)]
        try:
            for number in range(3):
                enough = len(publications) + 60
                wait_until(lambda: len(publications) > enough or any(r.done() for r in running), 60,
                           what="publishing goes on")
                site.broker.kill()
                site.broker.start()
                site.workers[number % 2].restart()
        finally:
            over.set()
        assert sum(r.result() for r in running) == len(publications)
    for n in range(6):
        seqs = [p.seq for p in publications if p.key.startswith(f"p{n}-")]
        assert seqs == sorted(seqs)
    end = Publication("end", own_id=True)
    publications.append(end)
    assert send_until_published(site, end, "end") is None
    wait_all(readers, lambda r: any(b.data == "end" for b in r.decoder.blocks[-5:]),
             "the last event")
    verdict = check(publications,
                    [Diary(f"r{n}", f"r{n}", [], r.decoder.blocks) for n, r in enumerate(readers)],
                    end.seq)
    assert not verdict.complaints, "\n".join(verdict.complaints)


def test_large_bodies_at_once_are_taken_or_refused_in_time(bench):
    """More of them than are held in memory: each is answered, and what was answered 200 arrives."""
    site = PublishingSite(bench, publish_bytes="1M")
    reader = site.open("anna")

    def publish(n):
        with HttpPublisher(site.web.url, site.issuer.publisher()) as publisher:
            return n, publisher.publish("m", text=f"{n} " + "x" * 900_000,
                                        to={"sessions": ["bert"] if n % 20 else ["anna"]})

    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(publish, range(80)))
    assert {status for _, (status, _, _) in answers} <= {200, 503}
    expected = [n for n, (status, _, _) in answers if status == 200 and n % 20 == 0]
    assert len([1 for _, (status, _, _) in answers if status == 200]) >= 40
    seen = reader.wait_for(len(expected))
    assert sorted(int(e.data.split()[0]) for e in seen) == sorted(expected)


@pytest.mark.parametrize(
    "fields, status", [({"data": [{}] * 250_000}, 403), ({"data": 1, "ref": "x" * 1_100_000}, 400)],
    ids=["data", "ref"]
)
def test_refused_publishes_do_not_starve_the_commands_socket(bench, fields, status):
    """Large ones, from many clients at once, each refused only when it was read."""
    site = PublishingSite(bench, publish_bytes="2M")
    token = site.issuer.publisher({"sessions": ["mallory"]})
    body = json.dumps({"to": {"sessions": ["anna"]}, **fields}).encode()
    refused, stop = [], threading.Event()

    def flood():
        with HttpPublisher(site.web.url, token) as publisher:
            while not stop.is_set():
                refused.append(publisher.send(body)[0])

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        floods = [pool.submit(flood) for _ in range(12)]
        try:
            wait_until(lambda: len(refused) >= 12, what="the flood is on")
            with site.broker.commands() as honest:
                for n in range(300):
                    honest.publish("m", data=n, to={"sessions": ["anna"]})
        finally:
            stop.set()
        for f in floods:
            f.result()
    assert set(refused) <= {status, 503} and status in refused
    assert len(site.commands.history(since=0, limit=1000)["events"]) == 300


# Trouble

def test_without_a_broker_it_is_503_in_time_and_nothing_was_published(bench):
    site = PublishingSite(bench)
    site.broker.stop()
    start = time.monotonic()
    status, _, reply = site.publisher().publish("m", data="lost")
    assert (status, reply["error"]) == (503, "unavailable") and time.monotonic() - start < 15
    site.broker.start()
    reader = site.open("anna")
    wait_until(lambda: site.publisher().publish("m", data="back", id="once")[0] == 200,
               what="published again")
    reader.wait_type("m")
    # with its id: the worker may have asked the new broker before it knew that it is new
    assert reader.data("m") == ['"back"']


def test_a_broker_that_does_not_reply_is_reported(bench):
    """It may have stored the event: the message says so, and sending it again with its id does no
    harm."""
    site = PublishingSite(bench)
    reader = site.open("anna")
    site.broker.freeze()
    try:
        status, _, reply = site.publisher().publish("m", data=1, id="order-17")
    finally:
        site.broker.thaw()
    assert (status, reply["error"]) == (503, "unavailable")
    assert "unknown whether" in reply["message"] and "`id`" in reply["message"]
    status, _, reply = site.publisher().publish("m", data=1, id="order-17")
    assert status == 200 and reply["duplicate"] is True
    site.publisher().publish("m", data=2)
    assert reader.wait_data("2") and reader.data("m") == ["1", "2"]


def unread(endpoint):
    """Bytes that have arrived at this TCP endpoint and were not read."""
    port = f":{int(endpoint.rpartition(':')[2]):04X}"
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[4].partition(":")[2], 16) for row in rows if row[1].endswith(port)
               and row[3] == "01")


def test_a_worker_that_stops_answers_pending_requests(bench):
    site = PublishingSite(bench)
    wait_until(lambda: site.publisher().publish("m", data=1)[0] == 200,
               what="the worker has its broker")
    site.broker.freeze()
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(lambda: site.publisher().publish("m", data="x" * 5000))
            wait_until(lambda: unread(site.broker.endpoint("sync")) > 5000,
                       what="the worker asks the broker")
            site.worker.stop()
            status, _, reply = waiting.result()
    finally:
        site.broker.thaw()
    assert ((status, reply["error"]) == (503, "unavailable")
            and "unknown whether" in reply["message"])


def test_a_store_that_fails_is_503(bench):
    disk = FileLimit(bench.folder / "disk", grow=False)
    site = PublishingSite(bench, broker={"store": str(disk.folder / "history")})
    publisher = site.publisher()
    assert publisher.publish("m", data=1)[0] == 200
    disk.fill(site.broker)
    status, _, reply = publisher.publish("m", data=2)
    assert (status, reply["error"]) == (503, "store_failed")
    disk.empty(site.broker)
    wait_until(lambda: publisher.publish("m", data=3)[0] == 200, what="the disk is well again")


def test_a_full_state_is_503(bench):
    site = PublishingSite(bench, broker={"state_events": 1})
    publisher = site.publisher()
    assert publisher.publish("m", data=1, key="a")[0] == 200
    before = site.broker_head()
    for body in ({"data": 2, "key": "b"}, {"events": [{"data": 2}, {"data": 2, "key": "b"}]}):
        status, _, reply = publisher.send(body)
        assert ((status, reply["error"]) == (503, "state_full")
                and "--state-events" in reply["message"])
    assert site.broker_head() == before, "nothing was published"
    assert publisher.publish("m", data=3, key="a")[0] == 200
    assert publisher.publish("m", data=4, key="a", remove=True)[0] == 200
    assert publisher.publish("m", data=5, key="b")[0] == 200


def test_the_worker_counts_what_it_publishes(bench):
    site = PublishingSite(bench)
    publisher = site.publisher()
    assert publisher.publish("m", data=1)[0] == 200
    assert publisher.publish("m", dta=1)[0] == 400
    assert HttpPublisher(site.web.url).publish("m", data=1)[0] == 401
    wait_until(lambda: (site.stat("publishes_http"), site.stat("publishes_http_refused")) == (1, 2),
               what="the counters")


# Switched off, and wrong settings

def test_it_is_off_by_default(bench):
    site = PublishingSite(bench, publish=None)
    status, _, reply = site.publisher().publish("m", data=1)
    assert (status, reply["error"]) == (404, "not_found") and "publish" in reply["message"]


def test_without_a_key_it_does_not_start():
    done = run([WORKER, "--publish", "--listen", "/nonexistent/x.sock"])
    assert (done.returncode == 2 and "--jwt-secret-file" in done.stderr
            and "--jwt-key-file" in done.stderr)


# Plain CGI

@pytest.mark.parametrize("web", [LighttpdCgi, ApacheCgi], ids=["lighttpd", "apache"])
def test_plain_cgi_publishes_too(bench, web):
    bench.folder.chmod(0o755)
    site = PublishingSite(bench, web)
    reader = site.open("anna")
    publisher = site.publisher()
    for size in (1, 100_000):
        status, _, reply = publisher.publish("m", text="x" * size)
        assert status == 200, reply
    assert [len(e.data) for e in reader.wait_for(2)] == [1, 100_000]
    assert HttpPublisher(site.web.url).publish("m", data=1)[0] == 401
    assert publisher.publish("m", text="x" * (3 << 20))[0] == 413


# What a web server says, spoken by hand

def speak(site, body_records, length, **more):
    token = site.issuer.publisher()
    fields = environment("", REQUEST_METHOD="POST", REQUEST_URI="/sse/publish",
                         CONTENT_TYPE="application/json", HTTP_AUTHORIZATION=f"Bearer {token}",
                         CONTENT_LENGTH=str(length) if length is not None else None, **more)
    web = FastCgi(site.worker.socket)
    web.send(begin() + params(fields) + body_records)
    return web


@past_the_web_server
def test_a_body_in_single_bytes(site, session):
    body = json.dumps({"data": 1, "to": {"sessions": [session]}}).encode()
    with speak(site, b"", len(body)) as web:
        for byte in body:
            web.send(record(STDIN, bytes([byte]), padding=3))
        web.send(record(STDIN)).wait_end()
        assert web.head["status"] == 200, web.text


@past_the_web_server
@pytest.mark.parametrize("length", [5, 5000])
def test_a_body_of_another_length_than_was_said_is_400(site, session, length):
    body = json.dumps({"data": 1, "to": {"sessions": [session]}}).encode()
    with speak(site, record(STDIN, body) + record(STDIN), length) as web:
        web.wait_end()
        assert web.head["status"] == 400 and b"ended before" in web.text


@past_the_web_server
def test_without_a_length_the_records_say_it(site, session):
    body = json.dumps({"data": 1, "to": {"sessions": [session]}}).encode()
    with speak(site, record(STDIN, body) + record(STDIN), None) as web:
        web.wait_end()
        assert web.head["status"] == 200, web.text


def test_a_body_that_never_ends_is_given_up(bench, session):
    site = PublishingSite(bench, request_timeout=patient(1))
    with speak(site, record(STDIN, b'{"data":'), 100) as web:
        still_publishes(site, session)
        web.wait_end()
        assert web.head["status"] == 400 and b"before it was complete" in web.text


@past_the_web_server
def test_bodies_are_kept_for_authorized_publishers_only(site):
    """Without a good token the body is dropped as it comes, and the worker's memory does not
    grow."""
    fields = environment("", REQUEST_METHOD="POST", REQUEST_URI="/sse/publish",
                         CONTENT_TYPE="application/json", CONTENT_LENGTH="3000000")
    with FastCgi(site.worker.socket) as web:
        web.send(begin() + params(fields)).throw(record(STDIN, b"x" * 65000) * 3)
        web.wait_end()
        assert web.head["status"] == 401
