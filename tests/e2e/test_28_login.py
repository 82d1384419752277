"""The application's login decides whose stream a request is: docs/login.md, with real PHP behind
each web server."""

import http.client
import http.cookiejar
import json
import re
import urllib.error
import urllib.parse
import urllib.request

import pytest
from support.fcgi import PARAMS, STDIN, FastCgi, begin, environment, pair, params, record
from support.login import APACHE, APACHE_HANDOFF, LIGHTTPD, NGINX, SETTINGS, WAYS, Way
from support.php import PhpFpm
from support.processes import ROOT
from support.site import Site
from support.tokens import Issuer
from support.waiting import patient, wait_until

# The application: its login keeps the user in $_SESSION.
APPLICATION = """<?php
session_start(['use_strict_mode' => true]);
if (isset($_POST['user'])) {
    session_regenerate_id(true);
    $_SESSION = [
        'user_id' => ctype_digit($_POST['user']) ? (int) $_POST['user'] : $_POST['user'],
        'articles' => explode(',', $_POST['articles'] ?? ''),
    ];
} elseif (isset($_POST['logout'])) {
    $_SESSION = [];
    session_destroy();
}
echo json_encode($_SESSION);
"""

PER_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda w: w.name)


class Browser:
    """What the application and the streams see of one: its cookies."""

    def __init__(self, site):
        self.site, self.jar = site, http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def post(self, page="app.php", **fields):
        """The status."""
        try:
            with self.opener.open(f"{self.site.web.origin}/{page}",
                                  urllib.parse.urlencode(fields).encode(), timeout=20) as answer:
                answer.read()
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    @property
    def headers(self):
        return {"Cookie": "; ".join(f"{c.name}={c.value}" for c in self.jar)}

    def open(self, more=None, session=None, channels=(), **options):
        """more: other headers. session, channels: in the query."""
        return self.site.open_counted(session, channels, headers={**self.headers, **(more or {})},
                                      **options)

    def ask(self, path="", more=None, **query):
        """(status, the error of a JSON body)."""
        status, headers, body = self.site.request(headers={**self.headers, **(more or {})},
                                                  path=path, **query)
        return (status, json.loads(body).get("error")
                    if headers.get("content-type") == "application/json" else None)


@pytest.fixture
def login(bench):
    """A function: a site that asks, in a way; afterwards PHP may not have complained."""
    started = []

    def start(way, worker=None, broker=None, **more):
        web, php = way.prepare(bench, pages={"app.php": APPLICATION}, **more)
        started.append(php)
        return Site(bench, web=web, worker={**SETTINGS, **(worker or {})}, broker=broker)

    yield start
    for php in started:
        assert php.complaints() == []


def logged_in(site, user=42, **fields):
    browser = Browser(site)
    assert browser.post(user=user, **fields) == 200
    return browser


def connection(site, reader):
    """How the broker describes a reader's stream."""
    site.wait_counted(reader)
    [found] = [c for c in site.commands.connections(limit=1000)["connections"]
               if c["connection"] == reader.connection]
    return found


@PER_WAY
def test_a_user_gets_the_stream_of_the_user_and_a_stranger_gets_none(login, way):
    site = login(way)
    assert Browser(site).ask()[0] == 401
    anna, bert = logged_in(site, 42).open(), logged_in(site, "bert@example.org").open()
    assert (connection(site, anna)["session"] == "42"
            and connection(site, anna)["channels"] == ["news"])
    assert connection(site, bert)["session"] == "bert@example.org"
    site.publish("m", data="for anna", to={"sessions": ["42"]})
    site.publish("m", data="for all", to={"channels": ["news"]})
    assert ([e.data for e in anna.wait_for(2)] == ['"for anna"', '"for all"']
            and bert.wait_for(1)[0].data == '"for all"')
    for head in (anna, bert):
        assert not {"set-cookie", "variable-user_id", "x-powered-by"} & {
            name.lower() for name in head.headers
        }


@PER_WAY
def test_the_application_decides_about_channels(login, way):
    site = login(way)
    anna = logged_in(site, articles="7,8")
    assert set(connection(site, anna.open(query={"article": 7}))["channels"]) == {
        "news", "article:7"
    }
    for query in ({"article": 9}, {"article": "7,secret"}, {"article[]": 7}, {"article": ""}):
        assert anna.ask(**query)[0] == 403, query
    assert connection(
        site, anna.open(channels=["secret"], query={"channel": "secret", "SSE_CHANNELS": "secret"})
    )["channels"] == ["news"]


NAMES = ["USER_ID", "User-Id", "X-User-Id", "X_User_Id", "x_user-id", "X-User_Id", "HTTP_USER_ID",
         "Variable-USER_ID", "Variable_USER_ID", "Remote-User",
         "REMOTE_USER", "REDIRECT_USER_ID", "SSE_CHANNELS", "Variable-SSE_CHANNELS"]


@PER_WAY
def test_a_client_cannot_say_who_it_is(login, way):
    site = login(way)
    forged = {name: "mallory" for name in NAMES}
    for more in (forged, *({name: "mallory"} for name in NAMES)):
        assert Browser(site).ask(more=more, session="mallory", USER_ID="mallory",
                                 user_id="mallory")[0] == 401, more
    described = connection(
        site, logged_in(site).open(forged, "mallory", ["mallory"], query={"USER_ID": "mallory"})
    )
    assert described["session"] == "42" and described["channels"] == ["news"]
    for cookie in ("", "x", "0" * 32, "../../etc/passwd", "a" * 5000, "%00", "sess_\tx"):
        assert Browser(site).ask(more={"Cookie": f"PHPSESSID={cookie}"})[0] in (400, 401), cookie
    assert site.commands.connections_of("mallory") == 0


@PER_WAY
def test_other_paths_and_services_have_no_user(login, way, bench):
    issuer = Issuer(bench.folder / "jwt.secret")
    site = login(way, worker={"publish": True, "jwt_secret_file": issuer.secret_file,
                              "monitor_from": "127.0.0.1"})
    anna = logged_in(site)
    for path in ("//sse", "/./sse", "/x/../sse", "/%73se", "/sse%2f", "/sse//", "/sse/.", "/sse/x",
                 "/sse/presence/x", "/sse//presence", "/sse/x/../presence"):
        for browser in (Browser(site), anna):
            assert raw(site, path, browser.headers) in (400, 401, 404), path
    assert site.request(path="/healthz")[0] == 200
    assert site.request("POST", path="/publish",
                        headers={"Content-Type": "application/json"})[0] == 401
    stream = anna.open()
    token = {"Authorization": f"Bearer {issuer.publisher()}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{site.web.url}/publish",
                                     b'{"event":"m","data":1,"to":{"sessions":["42"]}}', token)
    assert urllib.request.urlopen(request, timeout=20).status == 200
    stream.wait_for(1)


def raw(site, path, headers):
    """The status of a request for exactly this path."""
    web = http.client.HTTPConnection("127.0.0.1", site.web.port, timeout=20)
    try:
        web.putrequest("GET", path)
        for name, value in headers.items():
            web.putheader(name, value)
        web.endheaders()
        return web.getresponse().status
    finally:
        web.close()


@PER_WAY
def test_after_a_logout_streams_end_and_other_devices_come_back(login, way):
    site = login(way)
    telephone, laptop = logged_in(site), logged_in(site)
    stream, other = telephone.open(reconnect=True), laptop.open(reconnect=True)
    telephone.post(logout=1)
    assert site.commands.shutdown(sessions=["42"], reason="logout", block=0)["closed"] == 2
    stream.wait(lambda: stream.ended and stream.status == 401,
                "the browser that logged out is refused")
    site.publish("m", data="still here", to={"sessions": ["42"]})
    other.wait_type("m")
    assert stream.data("m") == [] and telephone.ask()[0] == 401 and laptop.ask()[0] == 200


@pytest.mark.parametrize("way", [LIGHTTPD, APACHE, APACHE_HANDOFF, NGINX], ids=lambda w: w.name)
def test_members_are_listed_for_users_only(login, way):
    site = login(way, broker={"presence_channels": "article:*"})
    anna = logged_in(site, articles="7")
    anna.open(query={"article": 7}).wait_type("ssecast.join")
    assert Browser(site).ask("/presence", channel="article:7")[0] == 401
    assert anna.ask("/presence", article=8, channel="article:8")[0] == 403
    assert anna.ask("/presence", channel="article:7") == (403, "forbidden_channel")
    status, _, body = site.request(path="/presence", headers=anna.headers, article=7,
                                   channel="article:7")
    assert status == 200 and [m["session"] for m in json.loads(body)["members"]] == ["42"]


@pytest.mark.parametrize("way", [LIGHTTPD, APACHE, APACHE_HANDOFF, NGINX], ids=lambda w: w.name)
def test_without_php_nobody_gets_a_stream(login, way):
    site = login(way)
    anna = logged_in(site)
    stream = anna.open()
    site.web.php.kill()
    assert anna.ask()[0] in (500, 502, 503)
    site.publish("m", data=1, to={"sessions": ["42"]})
    stream.wait_for(1)
    site.web.php.start()
    wait_until(lambda: anna.ask()[0] == 200, what="PHP is back")


@pytest.mark.parametrize("way", [LIGHTTPD, APACHE, APACHE_HANDOFF, NGINX], ids=lambda w: w.name)
def test_a_reader_that_takes_nothing_is_still_noticed(login, way):
    """The question in front of the stream leaves the way of its bytes as it was: nothing collects a
    backlog in files."""
    site = login(way, worker={"queue_bytes": "256K"})
    anna = logged_in(site)
    lazy = site.start_open(None, headers=anna.headers, receive_buffer=4096, paused=True).wait_head()
    site.wait_connections("42", 1)
    for _ in range(400):
        site.commands.publish_many(
            [{"event": "m", "text": "x" * 10_000, "to": {"sessions": ["42"]}}] * 10
        )
        if not site.commands.connections_of("42"):
            break
    site.wait_connections("42", 0)
    lazy.close()


@PER_WAY
def test_a_program_that_names_nobody_opens_nothing(login, way, bench):
    silent = bench.folder / "silent.php"
    silent.write_text("<?php\n")
    assert logged_in(login(way, authorize=silent)).ask()[0] in (400, 500)


def test_over_tls_the_hand_off_knows_the_user_too(login):
    """Such a stream goes through FastCGI, behind a redirect inside Apache."""
    site = login(APACHE_HANDOFF)
    anna = logged_in(site, articles="7")
    described = connection(site, anna.open({"X-Over-Tls": "yes"}, query={"article": 7}))
    assert described["session"] == "42" and set(described["channels"]) == {"news", "article:7"}
    assert Browser(site).ask(more={"X-Over-Tls": "yes", "REDIRECT_USER_ID": "42"})[0] == 401


def test_the_pool_for_apache_runs_the_program_and_nothing_else(bench, login):
    """As docs/login.md has it, with this test's paths."""
    text = (ROOT / "docs" / "login.md").read_text()
    limits = dict(re.findall(r"^php_admin_value\[(\w+)\] = (.*)$", text, re.M))
    folder = bench.folder / "apache" / "authorize.php"
    limits["open_basedir"] = limits["open_basedir"].replace(
        "/etc/ssecast/authorize.php", str(folder)
    ).replace("/var/lib/php/sessions", str(bench.folder / "php-fpm-sessions"))
    assert limits["open_basedir"].count(str(bench.folder)) == 2
    Limited = type("Limited", (PhpFpm,), {"limits": limits})
    site = login(Way(APACHE.web, Limited, tcp=True))
    name = "s" * 32
    session = site.web.php.folder_of_sessions / f"sess_{name}"
    session.write_text("user_id|i:42;")
    session.chmod(0o666)
    assert site.request(headers={"Cookie": f"PHPSESSID={name}"})[0] == 200
    assert site.request()[0] == 401
    assert Browser(site).post() in (403, 404), "the application's own page is not for this pool"
    site.web.php.forget_complaints()


def test_two_variables_of_one_name_are_not_believed(site_of_a_worker):
    for name in ("USER_ID", "SSE_CHANNELS"):
        with FastCgi(site_of_a_worker.worker.socket) as web:
            twice = record(PARAMS, pair("USER_ID", "anna") + pair("SSE_CHANNELS", "news") + pair(
                name, "mallory"
            ))
            web.send(begin() + twice + params(environment()) + record(STDIN))
            web.wait_end()
            assert web.head["status"] == 400 and b"repeated_parameter" in web.body


@pytest.fixture
def site_of_a_worker(bench):
    return Site(bench, worker=SETTINGS)


# A token in a cookie: login.php

@pytest.fixture
def tokens(bench):
    """A function: a site with login.php, whose tokens live for this number of seconds."""
    passwords, issuer = bench.folder / "passwords.json", Issuer(bench.folder / "jwt.secret")
    started = []

    def start(way, seconds=3600, ending="\n"):
        issuer.secret_file.write_text(issuer.secret + ending, newline="")
        settings = {"PASSWORDS_FILE": str(passwords),
                    "SSECAST_JWT_SECRET_FILE": str(issuer.secret_file),
                    "TOKEN_SECONDS": str(seconds)}
        web, php = way.prepare(
            bench, pages={"login.php": ROOT / "examples/php/login.php",
                          "hash.php": "<?php echo password_hash('secret', PASSWORD_DEFAULT);"},
            settings=settings, asks=False
        )
        started.append(php)
        site = Site(bench, web=web,
                    worker={"session_from": "jwt", "channels_from": "jwt",
                            "jwt_secret_file": issuer.secret_file, "heartbeat": patient(0.5)})
        passwords.write_text(json.dumps(
            {"anna": urllib.request.urlopen(f"{site.web.origin}/hash.php").read().decode()}
        ))
        return site

    yield start
    for php in started:
        assert php.complaints() == []


def stream_headers(browser):
    """What the browser sends to /sse: the cookies of that path."""
    return {
        "Cookie": "; ".join(f"{c.name}={c.value}" for c in browser.jar if c.path in ("/", "/sse"))
    }


@pytest.mark.parametrize("way", [LIGHTTPD, APACHE, APACHE_HANDOFF, NGINX], ids=lambda w: w.name)
def test_a_login_sets_a_token_for_the_streams(tokens, way):
    site = tokens(way)
    anna = Browser(site)
    assert (anna.post("login.php") == 401
            and anna.post("login.php", user="anna", password="wrong") == 401)
    assert anna.post("login.php", user="nobody", password="secret") == 401 and anna.ask()[0] == 401
    assert anna.post("login.php", user="anna", password="secret") == 204
    [cookie] = [c for c in anna.jar if c.name == "ssecast_token"]
    assert (cookie.path == "/sse" and cookie.has_nonstandard_attr("HttpOnly")
            and cookie.get_nonstandard_attr("SameSite") == "Strict")
    stream = site.open_counted(None, headers=stream_headers(anna))
    assert (connection(site, stream)["session"] == "anna"
            and connection(site, stream)["channels"] == ["news"])
    site.publish("m", data=1, to={"sessions": ["anna"]})
    stream.wait_for(1)
    site.publish("m", data=2, to={"sessions": ["bert"]})
    stream.wait(lambda: len(stream.checkpoints) >= 2, "a heartbeat")
    assert (anna.post("login.php", logout="1") == 401
            and "ssecast_token" not in {c.name for c in anna.jar})
    assert anna.post("login.php") == 401 and anna.ask()[0] == 401


@pytest.mark.parametrize("way", [LIGHTTPD, APACHE], ids=lambda w: w.name)
def test_a_fresh_token_goes_on_where_the_old_one_expired(tokens, way):
    site = tokens(way, seconds=2)
    anna = Browser(site)
    anna.post("login.php", user="anna", password="secret")
    stream = site.open(None, headers=stream_headers(anna))
    stream.wait_type("ssecast.expired")
    stream.wait_end()
    site.publish("m", data="in between", to={"sessions": ["anna"]})
    assert site.request(headers=stream_headers(anna))[0] == 401
    assert anna.post("login.php") == 204
    again = site.open(None, headers=stream_headers(anna), last_event_id=stream.last_event_id)
    assert again.wait_for(1)[0].data == '"in between"'


def test_a_secret_with_crlf_signs(tokens):
    site = tokens(LIGHTTPD, ending="\r\n")
    anna = Browser(site)
    assert anna.post("login.php", user="anna", password="secret") == 204
    site.open_counted(None, headers=stream_headers(anna))


def test_login_php_is_as_short_as_promised():
    assert len((ROOT / "examples/php/login.php").read_text().splitlines()) < 40
