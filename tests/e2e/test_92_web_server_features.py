"""What else web servers do to a request on its way: log in, compress, speak HTTP/2, balance, keep away what is wrong."""

import base64
import subprocess
import time

import pytest
from support.apache import Apache, ApacheBalancer
from support.lighttpd import Lighttpd
from support.nginx import Nginx
from support.site import Site
from support.waiting import wait_until

PASSWORDS = "anna:{SHA}" + base64.b64encode(bytes.fromhex("e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4")).decode() + "\n"  # anna:secret
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
        return ['<Location "/sse">', "AuthType Basic", "AuthName test", f'AuthUserFile "{self.place}/passwords"', "Require valid-user",
                "</Location>"]


class NginxWithLogin(Nginx):
    @property
    def extra(self):
        (self.place / "passwords").write_text(PASSWORDS)
        return f'auth_basic "test"; auth_basic_user_file {self.place}/passwords;'


@pytest.mark.parametrize("web", [LighttpdWithLogin, ApacheWithLogin, NginxWithLogin], ids=lambda w: w.name)
def test_the_session_is_who_logged_in(bench, web):
    site = Site(bench, web=web, worker={"session_from": "remote-user"})
    assert site.request()[0] == 401
    reader = site.open(None, headers=LOGIN)
    site.publish("m", data="for anna", to={"sessions": ["anna"]})
    assert reader.wait_for(1)[0].data == '"for anna"'


@pytest.mark.parametrize("web", [Lighttpd, Apache, Nginx], ids=lambda w: w.name)
def test_cookies_authorization_and_own_headers_reach_the_worker(bench, web):
    site = Site(bench, web=web, worker={"session_from": ["cookie:sid", "header:Authorization", "header:X-My-Session"]})
    headers = [{"Cookie": "a=1; sid=wanted"}, {"Authorization": "wanted"}, {"X-My-Session": "wanted"}]
    readers = [site.open(None, headers=h) for h in headers]
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


# Compression

class ApacheWithCompression(Apache):
    modules = (*Apache.modules, "filter", "deflate", "brotli")

    def more(self):
        return ["AddOutputFilterByType DEFLATE text/html text/event-stream", "AddOutputFilterByType BROTLI_COMPRESS text/html text/event-stream"]


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


@pytest.mark.parametrize("web, how", [(Lighttpd, "--http1.1"), (Lighttpd, "--http1.0"), (Apache, "--http1.1"), (Apache, "--http1.0"),
                                      (Nginx, "--http1.1"), (LighttpdHttp2, "--http2-prior-knowledge"),
                                      (ApacheHttp2, "--http2-prior-knowledge")], ids=lambda v: getattr(v, "name", v))
def test_curl_shows_events_as_they_come(bench, web, how):
    site = Site(bench, web=web)
    curl = subprocess.Popen(["curl", "-sSN", how, site.url("anna")], stdout=subprocess.PIPE, text=True)
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


def test_one_of_two_workers_may_be_away(bench):
    site = Site(bench, workers=2)
    site.worker.stop()
    readers = site.open_many([f"s{n}" for n in range(10)])  # not one is refused
    site.publish("m", data=1)
    for reader in readers:
        reader.wait_for(1)


@pytest.mark.parametrize("web", [Lighttpd, Apache, Nginx], ids=lambda w: w.name)
def test_a_worker_that_was_away_is_used_again_at_once(bench, web):
    site = Site(bench, web=web)
    site.worker.stop()
    assert site.request(session="anna")[0] in (502, 503)
    site.worker.start()
    started = time.monotonic()
    site.open("anna", stubborn=True, retry=0.05)
    assert time.monotonic() - started < 3
