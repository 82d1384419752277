"""What else web servers do to a request on its way: log in, compress, speak HTTP/2, balance, keep
away what is wrong."""

import base64
import json
import re
import socket
import subprocess
import time
import urllib.request

import pytest
from support.apache import Apache, ApacheBalancer, ApacheCgi, ApacheHandoff
from support.bench import Bench
from support.lighttpd import Lighttpd, LighttpdCgi
from support.nginx import Nginx
from support.php import PhpFpm
from support.processes import ROOT
from support.site import Site
from support.tokens import Issuer
from support.waiting import wait_until

# anna:secret
PASSWORDS = "anna:{SHA}" + base64.b64encode(
    bytes.fromhex("e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4")
).decode() + "\n"
LOGIN = {"Authorization": "Basic " + base64.b64encode(b"anna:secret").decode()}


# Logging in: the web server knows who it is, and tells

class LighttpdWithLogin(Lighttpd):
    @property
    def extra(self):
        (self.place / "passwords").write_text("anna:secret\n")
        return f"""
server.modules += ("mod_auth", "mod_authn_file")
auth.backend = "plain"
auth.backend.plain.userfile = "{self.place}/passwords"
auth.require = ("/sse" => ("method" => "basic", "realm" => "test", "require" => "valid-user"))"""


class ApacheWithLogin(Apache):
    modules = (*Apache.modules, "auth_basic", "authn_core", "authn_file", "authz_user")

    def more(self):
        (self.place / "passwords").write_text(PASSWORDS)
        return ['<Location "/sse">', "AuthType Basic", "AuthName test",
                f'AuthUserFile "{self.place}/passwords"', "Require valid-user", "</Location>"]


class ApacheHandoffWithLogin(ApacheHandoff):
    modules = (*ApacheHandoff.modules, "auth_basic", "authn_core", "authn_file", "authz_user")
    more = ApacheWithLogin.more


class NginxWithLogin(Nginx):
    @property
    def extra(self):
        (self.place / "passwords").write_text(PASSWORDS)
        return f'auth_basic "test"; auth_basic_user_file {self.place}/passwords;'


@pytest.mark.parametrize("web", [LighttpdWithLogin, ApacheWithLogin, ApacheHandoffWithLogin,
                                 NginxWithLogin], ids=lambda w: w.name)
def test_the_session_is_the_logged_in_user(bench, web):
    site = Site(bench, web=web, worker={"session_from": "remote-user"})
    assert site.request()[0] == 401
    reader = site.open(None, headers=LOGIN)
    site.publish("m", data="for anna", to={"sessions": ["anna"]})
    assert reader.wait_for(1)[0].data == '"for anna"'


@pytest.mark.parametrize("web", [Lighttpd, Apache, ApacheHandoff, Nginx], ids=lambda w: w.name)
def test_cookies_authorization_and_own_headers_reach_the_worker(bench, web):
    site = Site(bench, web=web, worker={
        "session_from": ["cookie:sid", "header:Authorization", "header:X-My-Session"]
    })
    headers = [{"Cookie": "a=1; sid=wanted"}, {"Authorization": "wanted"},
               {"X-My-Session": "wanted"}]
    readers = [site.open_counted(None, headers=h) for h in headers]
    assert site.publish("m", data=1, to={"sessions": ["wanted"]})["online"] == 3
    for reader in readers:
        reader.wait_for(1)


def test_a_variable_of_the_web_server_can_be_the_session(bench):
    site = Site(bench, web=LighttpdWithVariable, worker={"session_from": "env:MY_SESSION"})
    reader = site.open(None)
    site.publish("m", data=1, to={"sessions": ["from-lighttpd"]})
    assert reader.wait_for(1)[0].data == "1"


class LighttpdWithVariable(Lighttpd):
    extra = 'setenv.add-environment = ("MY_SESSION" => "from-lighttpd")'


def test_a_browser_cannot_set_the_web_server_s_variables(bench):
    """Request headers become HTTP_..., so env: and remote-user cannot be forged."""
    site = Site(bench, worker={"session_from": ["env:MY_SESSION", "remote-user"]})
    for name in ("MY_SESSION", "My-Session", "REMOTE_USER", "Remote-User", "HTTP_REMOTE_USER"):
        assert site.request(headers={name: "forged"})[0] == 400


# A header that the web server sets, and that a browser sends too

class LighttpdWithHeader(Lighttpd):
    """As lighttpd/ssecast.conf has it. An empty value removes the header."""

    value = "anna"

    @property
    def extra(self):
        [line] = re.findall(r"^#     (setenv.set-request-header = .*)$",
                            (ROOT / "lighttpd" / "ssecast.conf").read_text(), re.M)
        return line.replace("...", self.value)


class LighttpdWithoutHeader(LighttpdWithHeader):
    value = ""


class LighttpdCareless(Lighttpd):
    """Sets the header, and forgets the other spellings."""

    extra = 'setenv.set-request-header = ( "X-User-Id" => "anna" )'


class ApacheWithHeader(Apache):
    line = 'RequestHeader set X-User-Id "anna"'

    def more(self):
        return [self.line]


class ApacheWithoutHeader(ApacheWithHeader):
    line = "RequestHeader unset X-User-Id"


class ApacheHandoffWithHeader(ApacheHandoff):
    line, more = ApacheWithHeader.line, ApacheWithHeader.more


class ApacheHandoffWithoutHeader(ApacheHandoff):
    line, more = ApacheWithoutHeader.line, ApacheWithHeader.more


class NginxWithHeader(Nginx):
    value = "anna"

    def configuration(self):
        return super().configuration().replace(
            "include fastcgi_params;",
            f'include fastcgi_params; fastcgi_param HTTP_X_USER_ID "{self.value}";'
        )


class NginxWithoutHeader(NginxWithHeader):
    value = ""


SPELLINGS = ["X-User-Id", "X_User_Id", "x_user-id", "X-User_Id", "x_USER_id"]


@pytest.mark.parametrize("web", [LighttpdWithHeader, ApacheWithHeader, ApacheHandoffWithHeader,
                                 NginxWithHeader], ids=lambda w: w.name)
def test_the_header_of_the_web_server_counts_and_never_the_browser_s(bench, web):
    site = Site(bench, web=web, worker={"session_from": "header:X-User-Id"})
    for sent in ({}, *({name: "mallory"} for name in SPELLINGS),
                 dict.fromkeys(SPELLINGS, "mallory")):
        site.open(None, headers=sent)
    site.wait_connections("anna", len(SPELLINGS) + 2)
    assert site.commands.connections_of("mallory") == 0


@pytest.mark.parametrize("web",
                         [LighttpdWithoutHeader, ApacheWithoutHeader, ApacheHandoffWithoutHeader,
                          NginxWithoutHeader], ids=lambda w: w.name)
def test_a_header_that_the_web_server_removes_names_no_session(bench, web):
    site = Site(bench, web=web, worker={"session_from": "header:X-User-Id"})
    for sent in ({}, *({name: "mallory"} for name in SPELLINGS),
                 dict.fromkeys(SPELLINGS, "mallory")):
        status, _, body = site.request(headers=sent)
        assert status == 400 and json.loads(body)["error"] == "missing_session", sent


def test_a_header_that_comes_twice_is_not_believed(bench):
    """Should the web server's configuration have forgotten a spelling."""
    site = Site(bench, web=LighttpdCareless, worker={"session_from": "header:X-User-Id"})
    for name in SPELLINGS[1:]:
        status, _, body = site.request(headers={name: "mallory"})
        assert status == 400 and json.loads(body)["error"] == "repeated_parameter"
        assert "HTTP_X_USER_ID" in json.loads(body)["message"]
    site.open(None, headers={"X-User-Id": "mallory"})
    site.wait_connections("anna", 1)
    assert site.commands.connections_of("mallory") == 0


def test_cookies_that_http2_splits_are_one(bench):
    """Browsers send each cookie in a field of its own there; web servers put them together."""
    for web in (LighttpdHttp2, ApacheHttp2):
        with Bench() as b:
            site = Site(b, web=web, worker={"session_from": "cookie:sid"})
            done = subprocess.run(["curl", "-sSN", "--max-time", "2", "--http2-prior-knowledge",
                                   "-o", "/dev/null", "-w", "%{http_code}",
                                   "-H", "Cookie: a=1", "-H", "Cookie: sid=anna", site.url(None)],
                                  capture_output=True, text=True)
            assert done.stdout == "200", (web.name, done.stdout)


# Paths: one mount point, and services right behind it

class LighttpdWithRule(Lighttpd):
    @property
    def extra(self):
        return '$HTTP["url"] =~ "^/sse/(publish|status|metrics)$" { url.access-deny = ("") }'


class ApacheWithRule(Apache):
    def more(self):
        return ['<LocationMatch "^/sse/(publish|status|metrics)$">', "Require all denied",
                "</LocationMatch>"]


class ApacheHandoffWithRule(ApacheHandoff):
    more = ApacheWithRule.more


class NginxWithRule(Nginx):
    extra = "location ~ ^/sse/(publish|status|metrics)$ { return 403; }"


DETOURS = ["/sse/x/{}", "/sse//{}", "//sse/{}", "/sse-x/{}", "/ssex/{}", "/sse/./{}",
           "/sse/x/../{}", "/sse/{}/", "/sse/{}/x", "/sse%2fx/{}", "/sse/x%2f{}", "/sse%2f{}",
           "/sse/%2e/{}", "/./sse/{}", "/sse/{};x", "/x/../sse/{}", "/%73se/{}", "/sse/{}%00"]


@pytest.mark.parametrize("web",
                         [LighttpdWithRule, ApacheWithRule, ApacheHandoffWithRule, NginxWithRule],
                         ids=lambda w: w.name)
@pytest.mark.parametrize("mount", [None, "/sse"])
def test_a_rule_for_the_services_cannot_be_walked_around(bench, web, mount):
    site = Site(bench, web=web,
                worker={"monitor_from": ["0.0.0.0/0", "::/0"], "publish": True, "mount": mount,
                        "jwt_secret_file": Issuer(bench.folder / "jwt.secret").secret_file})
    site.open("anna")
    for service in ("publish", "status", "metrics"):
        for path in ("/sse/{}", *DETOURS):
            for method in ("GET", "POST"):
                status = raw_status(site, method, path.format(service))
                assert status in (400, 403, 404), (method, path.format(service), status)


def raw_status(site, method, path):
    """Of a request for exactly this path."""
    with socket.create_connection(("127.0.0.1", site.web.port), timeout=10) as connection:
        connection.sendall(f"{method} {path}?session=anna HTTP/1.1\r\nHost: "
                           "127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        return int(connection.makefile("rb").readline().split()[1])


@pytest.mark.parametrize("web", [Lighttpd, Apache, ApacheHandoff, Nginx, LighttpdCgi, ApacheCgi],
                         ids=lambda w: w.name)
def test_what_is_beside_the_mount_point_is_the_web_server_s(bench, web):
    site = Site(bench, web=web)
    for name in ("sse-client.js", "ssecast.txt"):
        file = site.web.place / "www" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("hello")
        file.chmod(0o644)
        done = urllib.request.urlopen(f"http://127.0.0.1:{site.web.port}/{name}", timeout=10)
        assert done.status == 200 and done.read() == b"hello"
    assert raw_status(site, "GET", "/sse/nothing") == 404
    assert raw_status(site, "GET", "/sse") == raw_status(site, "GET", "/sse/") == 200


# The application's own FastCGI program

class _BesideDebiansPhp:
    """The lines of Debian's php-fpm.conf, which has the name localhost for its socket."""

    php = None

    def more(self):
        return ["<FilesMatch \\.php$>",
                f'SetHandler "proxy:unix:{self.php.socket}|fcgi://localhost"', "</FilesMatch>"]


class ApacheBesideDebiansPhp(_BesideDebiansPhp, Apache):
    pass


class ApacheHandoffBesideDebiansPhp(_BesideDebiansPhp, ApacheHandoff):
    pass


@pytest.mark.parametrize("web", [Apache, ApacheHandoff], ids=lambda w: w.name)
def test_apache_ignores_nothing_of_the_configuration(bench, web):
    """Such as the parameters of a second backend of one name (AH01146)."""
    site = Site(bench, web=web)
    site.open()
    assert "Ignoring" not in (site.web.place / "error.log").read_text()


@pytest.mark.parametrize("web", [ApacheBesideDebiansPhp, ApacheHandoffBesideDebiansPhp],
                         ids=lambda w: w.name)
def test_pages_in_php_are_php_s_and_streams_the_worker_s(bench, web):
    php = PhpFpm(bench).start()
    secret = Issuer(bench.folder / "jwt.secret").secret_file
    site = Site(bench, web=type(web.__name__, (web,), {"php": php}),
                worker={"publish": True, "jwt_secret_file": secret})
    page = site.web.place / "www" / "page.php"
    page.parent.mkdir(exist_ok=True)
    page.write_text("<?php echo 'from PHP';")
    page.chmod(0o644)

    for _ in range(3):
        assert (
            urllib.request.urlopen(f"{site.web.origin}/page.php", timeout=10).read() == b"from PHP"
        )
        assert site.request("POST", path="/publish")[0] == 401, "the worker wants a token"
        site.open().close()


# A site that sends every path to its index page, with the remedies of docs/troubleshoot.md

def remedy(pattern):
    return re.search(pattern, (ROOT / "docs/troubleshoot.md").read_text())[1]


class _ApacheRewriting:
    def more(self):
        return ["RewriteEngine On", remedy(r"put `(RewriteRule [^`]*)`"),
                "RewriteRule ^ /index.txt [PT]"]


class ApacheRewriting(_ApacheRewriting, Apache):
    modules = (*Apache.modules, "rewrite")


class ApacheHandoffRewriting(_ApacheRewriting, ApacheHandoff):
    modules = (*ApacheHandoff.modules, "rewrite")


class LighttpdRewriting(Lighttpd):
    @property
    def extra(self):
        pattern = remedy(r"with\s+`([^`]*)` instead of")
        return f'server.modules += ("mod_rewrite")\nurl.rewrite-once = ({pattern} => "/index.txt")'


@pytest.mark.parametrize("web", [ApacheRewriting, ApacheHandoffRewriting, LighttpdRewriting],
                         ids=lambda w: w.name)
def test_rewrite_rules_leave_the_streams_alone(bench, web):
    site = Site(bench, web=web)
    page = site.web.place / "www" / "index.txt"
    page.parent.mkdir(exist_ok=True)
    page.write_text("the application")
    page.chmod(0o644)
    for path in ("/", "/some/page", "/ssecast"):
        assert (
            urllib.request.urlopen(site.web.origin + path, timeout=10).read() == b"the application"
        ), path
    assert raw_status(site, "GET", "/sse/nothing") == 404
    site.open_counted("anna")


class ApachePrefork(Apache):
    mpm = "prefork"


def test_with_prefork_apache_starts_and_streams(bench):
    """As Debian does with mod_php: ssecast-mpm.conf, which is about threads, keeps it from
    nothing."""
    site = Site(bench, web=ApachePrefork)
    reader = site.open_counted("anna")
    site.publish("m", data=1, to={"sessions": ["anna"]})
    assert reader.wait_for(1)[0].data == "1"


# Compression

class ApacheWithCompression(Apache):
    modules = (*Apache.modules, "filter", "deflate", "brotli")

    def more(self):
        return ["AddOutputFilterByType DEFLATE text/html text/event-stream",
                "AddOutputFilterByType BROTLI_COMPRESS text/html text/event-stream"]


class NginxWithCompression(Nginx):
    extra = "gzip on; gzip_types text/plain text/event-stream; gzip_min_length 1;"


@pytest.mark.parametrize("web", [ApacheWithCompression, NginxWithCompression], ids=lambda w: w.name)
def test_a_compressor_for_everything_else_holds_no_event_back(bench, web):
    site = Site(bench, web=web)
    reader = site.open("anna", headers={"Accept-Encoding": "gzip, br, deflate"})
    assert "content-encoding" not in reader.headers
    site.publish("m", data=1)
    reader.wait_for(1, timeout=3)


# HTTP/2 and curl

class LighttpdHttp2(Lighttpd):
    extra = 'server.feature-flags += ("server.h2proto" => "enable")'


class ApacheHttp2(Apache):
    modules = (*Apache.modules, "http2")

    def more(self):
        return ["Protocols h2c http/1.1"]


@pytest.mark.parametrize(
    "web, how", [(Lighttpd, "--http1.1"), (Lighttpd, "--http1.0"), (Apache, "--http1.1"),
                 (Apache, "--http1.0"), (ApacheHandoff, "--http1.1"), (ApacheHandoff, "--http1.0"),
                 (Nginx, "--http1.1"), (LighttpdHttp2, "--http2-prior-knowledge"),
                 (ApacheHttp2, "--http2-prior-knowledge")], ids=lambda v: getattr(v, "name", v)
)
def test_curl_shows_events_as_they_come(bench, web, how):
    site = Site(bench, web=web)
    curl = subprocess.Popen(["curl", "-sSN", how, site.url("anna")], stdout=subprocess.PIPE,
                            text=True)
    try:
        site.wait_connections("anna", 1)
        for n in range(3):
            site.publish("m", data=n, to={"sessions": ["anna"]})
            while (line := curl.stdout.readline()) != f"data: {n}\n":
                assert line, "curl ended"
        site.commands.shutdown(sessions=["anna"])
        assert "ssecast.shutdown" in curl.stdout.read()
        assert curl.wait(10) == 0
    finally:
        curl.kill()
        curl.wait()


# Several workers

def test_apache_balances_as_the_comment_says(bench):
    site = Site(bench, web=ApacheBalancer, workers=2)
    readers = site.open_many([f"s{n}" for n in range(20)], stubborn=True, retry=0.05)
    wait_until(lambda: len(site.commands.connections()["connections"]) == 20, what="20 connections")
    assert len({c["worker"] for c in site.commands.connections()["connections"]}) == 2
    site.publish("m", data=0)
    site.worker.restart()
    site.publish("m", data=1)
    for reader in readers:
        reader.wait_for(2)
        assert reader.data() == ["0", "1"]


@pytest.mark.parametrize("web", [Lighttpd, ApacheBalancer], ids=lambda w: w.name)
def test_one_of_two_workers_may_be_away(bench, web):
    site = Site(bench, web=web, workers=2)
    site.open_many([f"before{n}" for n in range(10)], retry=60)
    site.worker.stop()
    # not one is refused, although this worker has more streams
    readers = [site.open(f"s{n}") for n in range(10)]
    site.publish("m", data=1)
    for reader in readers:
        reader.wait_for(1)


@pytest.mark.parametrize("web", [Lighttpd, Apache, ApacheHandoff, Nginx], ids=lambda w: w.name)
def test_a_worker_that_was_away_is_used_again_at_once(bench, web):
    site = Site(bench, web=web)
    site.worker.stop()
    assert site.request(session="anna")[0] in (502, 503)
    site.worker.start()
    started = time.monotonic()
    site.open("anna", stubborn=True, retry=0.05)
    assert time.monotonic() - started < 3
