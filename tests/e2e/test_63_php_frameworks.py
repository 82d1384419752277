"""The plug-ins for WordPress, Laravel and Symfony publish to a real broker. Laravel and Symfony are
Debian's; WordPress' functions are declared in php/wordpress.php with their published signatures."""

import http.cookies
import json
import pathlib
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request

import pytest
from support.login import APACHE, LIGHTTPD
from support.processes import ROOT, run
from support.site import Site
from support.tokens import Issuer
from support.waiting import wait_until

HERE = pathlib.Path(__file__).parent / "php"
CLASS = ROOT / "client/php/ssecast.php"


def framework(name):
    return pytest.mark.skipif(not pathlib.Path("/usr/share/php", name).exists(),
                              reason=f"no {name}: make deps")


class Application:
    """A page of PHP behind a web server, whose worker takes tokens."""

    def __init__(self, bench, way, page, files, session_from):
        issuer = Issuer(bench.folder / "jwt.secret")
        self.page = page
        settings = {"SSECAST_URL": "http://127.0.0.1:1/sse",
                    "SSECAST_SECRET_FILE": str(issuer.secret_file)}
        web, self.php = way.prepare(bench, pages={page: HERE / page, "ssecast.php": CLASS, **files},
                                    settings=settings, asks=False)
        worker = {"publish": True, "session_from": session_from,
                  "jwt_secret_file": issuer.secret_file,
                  "channels_from": "jwt" if session_from == "jwt" else "query:channels"}
        self.site = Site(bench, web=web, worker=worker)
        # PHP learns the address once it is known.
        (self.site.web.place / "www" / page).write_text((HERE / page).read_text().replace(
            "<?php\n", f"<?php\nputenv('SSECAST_URL={self.site.web.url}');\n"
            f"$_ENV['SSECAST_URL'] = $_SERVER['SSECAST_URL'] = '{self.site.web.url}';\n", 1
        ))

    def post(self, fields, **headers):
        """(status, answer, cookies)."""
        request = urllib.request.Request(
            f"{self.site.web.origin}/{self.page}",
            urllib.parse.urlencode(fields, doseq=True).encode(), headers
        )
        try:
            answer = urllib.request.urlopen(request, timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            cookies = http.cookies.SimpleCookie()
            for line in answer.headers.get_all("Set-Cookie") or []:
                cookies.load(line)
            body = answer.read()
            return (answer.status,
                    json.loads(body) if body.startswith((b"{", b"[", b'"')) else body, cookies)

    def check(self):
        assert self.php.complaints() == []


# Laravel

@pytest.fixture
def laravel(bench):
    def start(way=LIGHTTPD, session_from=("jwt", "none")):
        return Application(
            bench, way, "laravel.php",
            {"SsecastBroadcaster.php": ROOT / "examples/laravel/SsecastBroadcaster.php"},
            list(session_from)
        )
    return start


def ask_for(app, user, *names):
    return app.post({"action": "auth", "channel_name[]": names},
                    **({"X-Test-User": str(user)} if user else {}))


def stream(app, cookies, channels):
    return app.site.open_counted(
        None, channels,
        headers={"Cookie": f"ssecast_token={cookies['ssecast_token'].value}"} if cookies else {}
    )


@framework("Illuminate/Broadcasting")
@pytest.mark.parametrize("way", [LIGHTTPD, APACHE], ids=lambda w: w.name)
def test_laravel_s_private_channels_reach_who_was_granted(laravel, way):
    app = laravel(way)
    status, answer, cookies = ask_for(app, 7, "private-orders.7", "news")
    assert (status == 200 and answer["channels"] == ["private-orders.7", "news"]
            and answer["members"] == {"private-orders.7": True})
    token = cookies["ssecast_token"]
    assert token["path"] == "/sse" and token["httponly"] and token["samesite"] == "Strict"
    anna = stream(app, cookies, ["private-orders.7", "news"])
    visitor = stream(app, None, ["private-orders.7", "news"])
    assert app.post(
        {"action": "publish", "event": "App\\Events\\Shipped", "to[]": ["private", "news"],
         "payload": '{"order":7,"socket":null}'}
    )[1] == "published"
    app.post({"action": "publish", "event": "Secret", "to[]": ["private"], "payload": "{}"})
    app.post({"action": "publish", "event": "News", "to[]": ["news"], "payload": '{"a":[]}'})
    assert [(e.type, json.loads(e.data)) for e in anna.wait_for(3)] == [
        ("App\\Events\\Shipped", {"order": 7}), ("Secret", {}), ("News", {"a": []})
    ]
    assert [e.type for e in visitor.wait_for(2)] == [
        "App\\Events\\Shipped", "News"
    ], "the first was for a public channel too"
    app.check()


@framework("Illuminate/Broadcasting")
def test_laravel_s_others_and_members(laravel):
    app = laravel()
    status, answer, cookies = ask_for(app, 8, "presence-room.1")
    assert status == 200 and answer["members"] == {"presence-room.1": {"id": 8, "name": "user 8"}}
    one, other = (stream(app, cookies, ["presence-room.1"]) for _ in range(2))
    app.post({"action": "publish", "event": "said", "to[]": ["presence"],
              "payload": json.dumps({"text": "hi", "socket": one.connection})})
    app.post({"action": "publish", "event": "end", "to[]": ["presence"], "payload": "{}"})
    assert [e.type for e in other.wait_for(2)] == ["said", "end"]
    one.wait_type("end")
    assert one.types() == ["end"]
    app.check()


@framework("Illuminate/Broadcasting")
def test_laravel_grants_nothing_when_one_channel_is_denied(laravel):
    app = laravel()
    for user, names in ((7, ["private-orders.8"]), (7, ["private-orders.7", "private-orders.8"]),
                        (None, ["private-orders.7"]), (100, ["presence-room.1"]),
                        (7, ["private-nothing"]), (7, ["*"]), (7, ["private-*"]),
                        (7, ["news,private-orders.8"]), (7, [""])):
        status, answer, cookies = ask_for(app, user, *names)
        assert (status, answer) == (403, "denied") and not cookies, (user, names)
    status, answer, cookies = ask_for(app, None, "news")
    assert status == 200 and stream(app, cookies, ["news"]).status == 200
    assert app.site.request(
        channels=["private-orders.7"],
        headers={"Cookie": f"ssecast_token={cookies['ssecast_token'].value}"}
    )[0] == 403
    app.check()


@framework("Illuminate/Broadcasting")
def test_laravel_is_told_what_went_wrong(laravel):
    app = laravel()
    status, answer, _ = app.post(
        {"action": "publish", "event": "a\r\ndata: forged", "to[]": ["news"], "payload": "{}"}
    )
    assert status == 500 and "events[0].event" in answer
    status, answer, _ = app.post(
        {"action": "publish", "event": "ssecast.gap", "to[]": ["news"], "payload": "{}"}
    )
    assert status == 500 and answer.startswith("bad_request")


# Symfony

# What a new project has.
SERVICES = """services:
    _defaults:
        autowire: true
        autoconfigure: true

    App\\:
        resource: '../src/'
"""


@framework("Symfony/Component/DependencyInjection")
@framework("Symfony/Component/Yaml")
@framework("Symfony/Component/Config")
@pytest.mark.parametrize("way", [LIGHTTPD, APACHE], ids=lambda w: w.name)
def test_symfony_s_service_publishes_and_gives_tokens(bench, way):
    """In the folders where its first lines put the files."""
    ours = (ROOT / "examples/symfony/services.yaml").read_text().partition("services:\n")[2]
    app = Application(
        bench, way, "symfony.php",
        {"src/Ssecast/SsecastPublisher.php": ROOT / "examples/symfony/SsecastPublisher.php",
         "lib/ssecast.php": CLASS, "config/services.yaml": SERVICES + ours}, "jwt"
    )
    status, _, cookies = app.post({"action": "login", "user": "anna"})
    token = cookies["ssecast_token"]
    assert (status == 200 and token["path"] == "/sse" and token["httponly"]
            and token["samesite"].lower() == "strict")
    reader = stream(app, cookies, [])
    status, answer, _ = app.post({"action": "publish", "user": "anna"})
    assert status == 200 and answer[0]["online"] == 1 and len(answer[1]["seqs"]) == 1
    assert [e.data for e in reader.wait_for(2)] == ['{"order":17}', "a"]
    _, _, cookies = app.post({"action": "logout"})
    assert (cookies["ssecast_token"].value in ("", "deleted")
            and cookies["ssecast_token"]["max-age"] == "0")
    app.check()


# WordPress

@pytest.fixture
def wordpress(bench):
    """A function that runs hooks of WordPress, and returns what was printed; and the site."""
    issuer = Issuer(bench.folder / "jwt.secret")
    site = Site(bench, worker={"publish": True, "session_from": "none",
                               "jwt_secret_file": issuer.secret_file})
    for file in (HERE / "wordpress.php", CLASS,
                 ROOT / "examples/wordpress/ssecast-live-comments.php"):
        shutil.copy2(file, bench.folder)
    posts = {"7": {"post_status": "publish", "post_password": ""},
             "8": {"post_status": "private", "post_password": ""},
             "9": {"post_status": "publish", "post_password": "secret"}}

    def comment(number, post, text="hello"):
        return {"comment_ID": str(number), "comment_post_ID": str(post), "comment_parent": "0",
                "comment_author": "Anna <b>B.</b>", "comment_author_email": "anna@example.org",
                "comment_author_IP": "192.0.2.7", "comment_content": text}

    comments = {"1": comment(
        1, 7, '</script><script>alert(1)</script><img src=x onerror=alert(1)>"hi" & grüße'
    ), "2": comment(2, 8), "3": comment(3, 9), "4": comment(4, 77)}

    def do(*actions, shown=None, url=None):
        given = {"url": url or site.web.url, "token": issuer.publisher({"channels": ["post:*"]}),
                 "posts": posts, "comments": comments, "actions": actions}
        done = run(["php", bench.folder / "wordpress.php"],
                   stdin=json.dumps({**given, **({"shown": shown} if shown else {})}), timeout=60)
        assert done.returncode == 0 and "Warning" not in done.stdout, done
        return done
    return do, site


def test_wordpress_comments_are_published(wordpress):
    do, site = wordpress
    reader = site.open(None, query={"channel": "post:7"})
    do(["comment_post", 1, 1, {}], ["transition_comment_status", "approved", "unapproved", 1],
       ["transition_comment_status", "spam", "approved", 1])
    events = reader.wait_for(3)
    assert [e.type for e in events] == ["comment", "comment", "comment-removed"]
    data = json.loads(events[0].data)
    assert (data["author"] == "Anna B." and "<" not in data["text"] and "grüße" in data["text"]
            and set(data) == {"id", "post", "parent", "author", "text"})
    assert json.loads(events[2].data) == {"id": 1}


def test_wordpress_comments_that_are_not_for_everyone_are_not_published(wordpress):
    do, site = wordpress
    before = site.commands.ping()["head"]
    assert do(["comment_post", 1, 0, {}], ["comment_post", 1, "spam", {}],
              ["transition_comment_status", "trash", "unapproved", 1],
              *([["comment_post", n, 1, {}] for n in (2, 3, 4)]), ["wp_footer"]).stdout == ""
    assert do(["wp_footer"], shown=8).stdout == "" == do(["wp_footer"], shown=9).stdout
    assert site.commands.ping()["head"] == before


def test_wordpress_saves_comments_without_ssecast(wordpress):
    do, _ = wordpress
    done = do(["comment_post", 1, 1, {}], url="http://127.0.0.1:1/sse")
    assert "ssecast: unreachable" in done.stderr


def test_wordpress_s_page_shows_comments_as_text(wordpress, chromium):
    do, site = wordpress
    script = do(["wp_footer"], shown=7).stdout
    page = site.web.place / "www" / "post.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><ol class='comment-list'></ol>{script}")
    page.chmod(0o644)
    chromium.goto(f"{site.web.origin}/post.html")
    wait_until(lambda: site.stat("connections") == 1, what="the page's stream")
    do(["comment_post", 1, 1, {}])
    shown = "return [...document.querySelectorAll('.comment-list li')].map((li) => li.innerText)"
    wait_until(lambda: len(chromium.run(shown)) == 1, what="a comment")
    assert "hi" in chromium.run(shown)[0] and not chromium.run(
        "return document.querySelector('.comment-list img, .comment-list script')"
    )
    do(["transition_comment_status", "trash", "approved", 1])
    wait_until(lambda: chromium.run(shown) == [], what="no comment")

    chromium.run("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    wait_until(lambda: site.stat("connections") == 0, what="the page that was left has no stream")
    do(["comment_post", 1, 1, {}])
    chromium.run("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    wait_until(lambda: len(chromium.run(shown)) == 1, what="the comment that came in between")
    chromium.goto("about:blank")
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write", script)
