"""The status page: what it is fed with, who may see it, and how it looks in a browser."""

import base64
import contextlib
import json
import os
import pathlib
import re
import signal
import time

import pytest
from selenium.webdriver.common.keys import Keys
from support.apache import Apache
from support.bench import Bench
from support.commands import Refused
from support.fcgi import FastCgi
from support.lighttpd import Lighttpd
from support.network import Network
from support.nginx import Nginx
from support.picture import Picture
from support.site import Site
from support.waiting import wait_until

TOKEN = "a-token-of-the-operators"
EVIL = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'
SIZES = {"desktop": (1280, 900), "phone": (360, 740)}
IDS = ["connections", "sessions", "channels", "events-rate", "deliveries-rate", "latency",
       "workers-count"]


def status(site, **fields):
    return site.commands.demand({"op": "status", **fields})


def watch(worker, query="stream=1", **more):
    """A connection to a worker that watches."""
    return FastCgi(worker.socket).get("", REQUEST_URI=f"/sse/status?{query}",
                                      QUERY_STRING=query, **more)


def replies(web):
    return [json.loads(e.data) for e in web.events() if e.type == "message"]


def wait_replies(web, count):
    web.wait(lambda: len(replies(web)) >= count, f"{count} events of the status page")
    return replies(web)


# Under which name it is shown

@pytest.mark.parametrize("service", ["status", "metrics"])
def test_a_page_whose_name_leads_here_sees_nothing(bench, service):
    """DNS rebinding: the page's own name is 127.0.0.1 for a moment, and its requests come from the
    operator's browser."""
    token = bench.folder / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    site = Site(bench,
                worker={"monitor_host": ["monitor.example.org"], "monitor_token_file": token})

    def ask(host, **headers):
        status, _, body = site.request(path=f"/{service}", headers={"Host": host, **headers})
        return status, body

    for host in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example",
                 "localhost.evil.example"):
        status, body = ask(host)
        assert status == 403 and b"monitor-host" in body, host
        assert ask(host, Authorization=f"Bearer {TOKEN}")[0] == 200
    for host in ("localhost:8080", "127.0.0.1", "[::1]:80", "monitor.example.org",
                 "Monitor.Example.org:443"):
        assert ask(host)[0] == 200, host
    assert site.request(path="/healthz", headers={"Host": "evil.example"})[0] == 200


# The command


def test_it_counts_what_is_connected(site, session):
    before = status(site)
    for _ in range(3):
        site.open(session, channels=[session])
    site.wait_connections(session, 3)
    after = status(site)
    assert after["connections"] == before["connections"] + 3
    assert (after["sessions"] == before["sessions"] + 1
            and after["channels"] == before["channels"] + 1)
    assert {"session": session, "connections": 3} in after["sessions_top"]
    wait_until(lambda: sum(
        w["connections"] for w in status(site)["workers"]
    ) == status(site)["connections"], what="workers report")


def test_the_largest_sessions_come_first(site, session):
    for n in range(12):
        for _ in range(n + 1):
            site.start_open(f"{session}-{n:02}")
    for n in range(12):
        site.wait_connections(f"{session}-{n:02}", n + 1)
    wait_until(lambda: status(site)["sessions_top"][0]["connections"] >= 12)
    top = status(site)["sessions_top"]
    assert len(top) == 10
    counts = [t["connections"] for t in top]
    assert counts == sorted(counts, reverse=True)
    for t in top:
        assert site.commands.connections_of(t["session"]) == t["connections"]


def test_each_second_is_reported_once(bench):
    site = Site(bench)
    reader = site.open("a")
    wait_until(lambda: len(status(site)["over_time"]["events"]) >= 1, what="a second has passed")
    for n in range(50):
        site.publish("m", data=n)
    reader.wait_for(50)
    wait_until(lambda: sum(status(site)["over_time"]["deliveries"]) >= 40, what="the deliveries")
    over_time = status(site)["over_time"]
    # a busy machine's seconds are longer
    assert 40 <= sum(over_time["events"]) <= 60 and sum(over_time["deliveries"]) <= 60
    assert over_time["connections"][-1] == 1
    assert len(over_time["events"]) == len(over_time["connections"]) == len(over_time["deliveries"])
    wait_until(lambda: len(status(site)["over_time"]["events"]) >= 4)
    assert [len(status(site, seconds=n)["over_time"]["events"]) for n in (0, 1, 3)] == [0, 1, 3]


def test_latency_is_reported_once_measured(bench):
    site = Site(bench)
    assert status(site)["latency"] == {"measured": False}
    reader = site.open("a")
    for n in range(100):
        site.publish("m", data=n)
    reader.wait_for(100)
    wait_until(lambda: status(site)["latency"]["measured"], what="deliveries were measured")
    told = status(site)["latency"]
    assert 1 <= told["p50_ms"] <= told["p95_ms"] <= told["p99_ms"] <= 5000


@pytest.mark.parametrize("seconds", [-1, 301, "5", 1.5, None])
def test_a_wrong_number_of_seconds_is_refused(site, seconds):
    with pytest.raises(Refused) as refused:
        status(site, seconds=seconds)
    assert refused.value.error == "bad_request" and "seconds" in str(refused.value)


def test_history_and_store_are_reported_with_their_limits(bench):
    site = Site(bench, broker={"store": bench.folder / "history", "history_events": 10,
                               "history_bytes": "64K", "history_age": "1h"})
    for n in range(15):
        site.publish("m", data=n)
    told = status(site)
    assert (told["history"]["events"], told["history"]["events_max"]) == (10, 10)
    assert 0 < told["history"]["bytes"] < told["history"]["bytes_max"] == 65536
    assert 0 <= told["history"]["age_ms"] < told["history"]["age_max_ms"] == 3600000
    assert (told["store"]["kind"] == "directory" and told["store"]["failing"] is False
            and told["store"]["commits"] >= 15)


def ends(site, cause):
    return [e for e in status(site)["ends"] if e["cause"] == cause]


def test_streams_that_were_shut_down_are_reported_together(bench):
    site = Site(bench)
    for n in range(5):
        site.open(f"many-{n}")
    site.open("leaves").close()
    site.wait_connections("leaves", 0)
    site.commands.shutdown(sessions=[f"many-{n}" for n in range(5)])
    wait_until(lambda: ends(site, "shutdown") and ends(site, "shutdown")[0]["count"] == 5,
               what="five ends as one")
    [end] = status(site)["ends"]  # who left by itself is not among them
    assert end["session"].startswith("many-") and str(site.worker.pid) in end["worker"]
    assert abs(end["at"] - time.time() * 1000) < 20000


def test_streams_of_a_lost_or_stopped_worker_are_reported(bench):
    site = Site(bench, workers=2, broker={"worker_lease": "5s"})
    for n in range(6):
        site.open(f"s-{n}", reconnect=False)
    stopped, killed = site.workers
    stopped.stop()
    wait_until(lambda: ends(site, "drain"), what="the ends of a worker that stopped")
    killed.kill()
    wait_until(lambda: ends(site, "worker_lost"), 40, what="the ends of a worker that was killed")
    told = ends(site, "drain") + ends(site, "worker_lost")
    assert sum(e["count"] for e in told) == 6
    assert len({e["worker"] for e in told}) == 2


def test_a_slow_reader_is_reported(bench):
    site = Site(bench, worker={"queue_bytes": "64K"})
    with FastCgi(site.worker.socket) as slow:
        slow.get("session=slow").wait_open()
        for _ in range(20):
            site.publish("m", text="x" * 100000)
        wait_until(lambda: ends(site, "slow"), what="the slow reader is among the ends")
    assert ends(site, "slow")[0]["session"] == "slow"


def test_streams_that_got_a_gap_are_reported(site):
    site.open("gap", last_event_id="unknown")
    wait_until(lambda: any(e["cause"] == "gap" for e in status(site)["ends"]),
               what="a gap among the ends")


# The stream


def test_the_page_gets_the_past_and_then_each_second(site):
    wait_until(lambda: len(status(site)["over_time"]["events"]) >= 6)
    with watch(site.worker) as web:
        first, *more = wait_replies(web, 3)
        assert web.head["content-type"] == "text/event-stream"
        assert len(first["over_time"]["events"]) >= 6
        assert all(len(m["over_time"]["events"]) <= 5 for m in more)
        assert first["ok"] and 500 < more[1]["now"] - more[0]["now"] < 3000


def test_it_is_asked_for_by_what_is_accepted_too(site):
    with watch(site.worker, query="", HTTP_ACCEPT="text/event-stream") as web:
        wait_replies(web, 1)


def test_however_many_watch_the_broker_is_asked_once_a_second_and_otherwise_not_at_all(bench):
    site = Site(bench)
    webs = [watch(site.worker) for _ in range(40)]
    for web in webs:
        wait_replies(web, 1)
    files = site.worker.open_files()
    before, began = site.stat("requests"), time.monotonic()
    time.sleep(3)
    asked, seconds = site.stat("requests") - before - 1, time.monotonic() - began
    assert 1 <= asked <= seconds + 1
    for web in webs:
        web.close()
    wait_until(lambda: site.worker.open_files() <= files - len(webs), what="the worker has noticed")
    before = site.stat("requests")
    time.sleep(2.5)
    assert site.stat("requests") == before + 1


def test_watchers_see_when_the_broker_is_away_and_when_it_is_back(bench):
    site = Site(bench)
    with watch(site.worker) as web:
        wait_replies(web, 1)
        site.broker.stop()
        web.wait(lambda: any(e.type == "away" for e in web.events()), "the event away")
        count = len(replies(web))
        site.broker.start()
        told = wait_replies(web, count + 2)
        assert told[-1]["uptime_ms"] < told[0]["uptime_ms"] + 60000 and told[-1]["ok"]


def test_watchers_do_not_keep_a_worker_from_stopping(bench):
    site = Site(bench)
    with watch(site.worker) as web:
        wait_replies(web, 1)
        began = time.monotonic()
        site.worker.expect_end()
        site.worker.signal(signal.SIGTERM)
        web.wait_end()
    assert site.worker.wait() == 0
    assert time.monotonic() - began < 2.5


def test_a_watcher_that_does_not_read_is_cut_and_costs_others_nothing(bench):
    """To lighttpd a worker keeps small buffers, and names of sessions can be long: so it does not
    take long."""
    site = Site(bench, worker={"write_timeout": "1s", "queue_bytes": "4K"})
    for n in range(10):
        site.open(str(n) + '"' * 254)
    site.wait_connections("9" + '"' * 254, 1)
    with watch(site.worker, SERVER_SOFTWARE="lighttpd/1.4") as stuck, watch(site.worker) as other:
        wait_replies(other, 1)
        both = site.worker.open_files()
        wait_until(lambda: site.worker.open_files() < both, 60, what="it is cut")
        count = len(wait_replies(other, 5))
        wait_replies(other, count + 2)
        stuck.wait_hangup()


def test_no_more_watch_than_are_allowed(bench):
    site = Site(bench)
    webs = [watch(site.worker) for _ in range(200)]
    wait_replies(webs[-1], 1)
    with watch(site.worker) as one_more:
        assert one_more.wait_end().head["status"] == 503
    webs.pop().close()
    wait_until(lambda: site.worker.open_files() < 250)

    def allowed():
        with watch(site.worker) as again:
            return again.wait_text("\r\n\r\n").head["status"] == 200

    wait_until(allowed, what="there is room again")
    for web in webs:
        web.close()


@pytest.mark.parametrize("web", [Apache, Nginx], ids=lambda web: web.name)
def test_behind_other_web_servers_it_comes_each_second(bench, web):
    site = Site(bench, web=web)
    reader = site.readers.open(site.web.url + "/status?stream=1").wait_open()
    assert len(reader.wait_for(3)) >= 3


# Who may


@pytest.fixture(scope="module")
def closed():
    """A site whose status is for who has the token."""
    with Bench() as b:
        path = b.folder / "token"
        path.write_text(TOKEN)
        path.chmod(0o600)
        yield Site(b, worker={"monitor_from": "none", "monitor_token_file": path})


def basic(password, name="me"):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.mark.parametrize("query", ["", "stream=1"])
@pytest.mark.parametrize("header",
                         [None, "Bearer " + TOKEN[:-1], basic(TOKEN + "x"), basic(TOKEN[:-1]),
                          "Basic", "Basic ====", basic("", TOKEN),
                          "Basic " + base64.b64encode(TOKEN.encode()).decode(), basic("x" * 5000)],
                         ids=["nothing", "bearer", "longer", "shorter", "no pair", "no base64",
                              "as the name", "no colon", "huge"])
def test_others_are_asked_for_the_token(closed, query, header):
    with watch(closed.worker, query, HTTP_AUTHORIZATION=header) as web:
        assert (web.wait_end().head["status"] == 401
                and web.head["www-authenticate"].startswith('Basic realm="ssecast"'))
        assert json.loads(web.body)["error"] == "unauthorized"


@pytest.mark.parametrize("query", ["", "stream=1"])
@pytest.mark.parametrize(
    "header", [f"Bearer {TOKEN}", basic(TOKEN), basic(TOKEN, "a-name"), basic(TOKEN, "")]
)
def test_with_the_token_it_is_shown(closed, query, header):
    with watch(closed.worker, query, HTTP_AUTHORIZATION=header) as web:
        web.wait_text("data:" if query else "</html>")


def test_without_a_token_there_is_nothing_to_ask_for(bench):
    worker = Site(bench, worker={"monitor_from": "none"}).worker
    with watch(worker) as web:
        assert web.wait_end().head["status"] == 403 and "www-authenticate" not in web.head


def test_a_browser_that_knows_the_password_sees_the_page_and_its_stream(closed, chromium):
    chromium.goto(closed.web.url.replace("://", f"://me:{TOKEN}@") + "/status")
    wait_until(lambda: text(chromium, "contact") == "Live", what="the page is live")
    chromium.goto("about:blank")


def test_methods_but_get_and_head_are_405(site):
    with watch(site.worker, REQUEST_METHOD="POST") as web:
        assert web.wait_end().head["status"] == 405 and web.head["allow"] == "GET, HEAD"


# The page


def test_the_page_is_whole_and_obeys_its_own_script_only(site):
    nonces = set()
    for _ in range(2):
        code, headers, body = site.request(path="/status")
        text = body.decode()
        assert (code == 200 and headers["content-type"] == "text/html; charset=utf-8"
                and headers["cache-control"] == "no-store")
        policy = headers["content-security-policy"]
        [nonce] = set(re.findall(r"'nonce-([0-9a-f]{32})'", policy))
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert re.findall(r"<(?:script|style)[^>]*>", text) == [
            f'<style nonce="{nonce}">', f'<script nonce="{nonce}">'
        ]
        assert "{{" not in text and text.rstrip().endswith("</html>")
        assert (not re.search(r"(src|href)=\"(?!data:,|#)", text)
                and not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text))
        nonces.add(nonce)
    assert len(nonces) == 2


@pytest.fixture(scope="module")
def busy():
    """A site on which something happens."""
    with Bench() as b:
        site = Site(b, workers=2, broker={"store": b.folder / "history", "history_events": 1000})
        for n in range(30):
            site.open(EVIL if n < 6 else f"user-{n % 7}", channels=["news"])
        site.open("gap", last_event_id="unknown")
        yield site


@pytest.fixture
def page(busy, chromium):
    """The status page of the busy site, with numbers in it."""
    chromium.emulate(*SIZES["desktop"])
    chromium.goto(busy.web.url + "/status")
    wait_until(lambda: text(chromium, "contact") == "Live", what="the page is live")
    yield chromium
    chromium.goto("about:blank")
    assert chromium.errors() == []


def text(browser, name):
    return browser.run("return document.getElementById(arguments[0]).textContent", name)


def number(browser, name):
    return int(text(browser, name).replace(",", "").replace("–", "-1"))


def test_the_page_shows_numbers_as_they_change(busy, page):
    before = number(page, "connections")
    assert before >= 31 and number(page, "workers-count") == 2
    reader = busy.open("one-more")
    wait_until(lambda: number(page, "connections") == before + 1,
               what="one more connection is shown")
    for n in range(100):
        busy.publish("m", data=n)
    wait_until(lambda: number(page, "deliveries-rate") > 0, what="deliveries are shown")
    path = "return document.querySelector('#c-rates path.one').getAttribute('d').split('L').length"
    count = page.run(path)
    wait_until(lambda: page.run(path) > count, what="the curve goes on")
    reader.close()


def test_names_are_text(page):
    names = page.run("return [...document.querySelectorAll('#top tr td:first-child')].map((td) => "
                     "td.textContent)")
    assert EVIL in names
    assert page.run(
        "return [document.images.length, document.scripts.length, window.pwned ?? null]"
    ) == [0, 1, None]


def test_no_script_but_its_own_is_obeyed(page):
    page.run("document.body.insertAdjacentHTML('beforeend', '<img src=data:, "
             "onerror=\"window.pwned=1\" id=forged>')")
    page.run("const s = document.createElement('script'); s.textContent = 'window.pwned=2'; "
             "document.body.append(s)")
    time.sleep(0.3)
    assert page.run("return window.pwned ?? null") is None
    assert any("Content Security Policy" in e for e in page.errors())


def test_it_says_what_is_wrong_and_goes_on_by_itself(bench, chromium):
    site = Site(bench)
    chromium.goto(site.web.url + "/status")
    wait_until(lambda: text(chromium, "contact") == "Live")
    site.broker.stop()
    wait_until(lambda: "lost contact with the broker" in text(chromium, "contact"),
               what="the broker is away")
    assert chromium.run("return [document.body.className, document.title]") == [
        "lost", "No contact - ssecast"
    ]
    site.broker.start()
    wait_until(lambda: text(chromium, "contact") == "Live", what="it is back")
    site.web.stop()
    wait_until(lambda: "Lost contact with the worker" in text(chromium, "contact"),
               what="the web server is away")
    site.web.start()
    wait_until(lambda: text(chromium, "contact") == "Live", what="it is back")
    chromium.goto("about:blank")
    chromium.errors()  # the browser's own complaints about a server that is away


def test_it_comes_back_from_a_dead_connection(busy, chromium):
    """Nobody closed it. The page's clock is set on, since nobody here waits for half a minute."""
    with contextlib.closing(Network(busy.web.port)) as network:
        chromium.goto(network.url + "/sse/status")
        wait_until(lambda: text(chromium, "contact") == "Live")
        network.stall()
        chromium.run("const now = Date.now; Date.now = () => now() + 60000")
        seen = set()
        wait_until(lambda: seen.add(text(chromium, "updated")) or len(seen) > 2,
                   what="numbers that change")
        assert text(chromium, "contact") == "Live"
        chromium.goto("about:blank")


def test_it_works_with_the_keyboard(page):
    active, seen = page.driver.switch_to, []
    for _ in range(5):
        active.active_element.send_keys(Keys.TAB)
        seen.append(active.active_element.get_attribute("id")
                    or active.active_element.get_attribute("class"))
    assert seen[:4] == ["skip", "pause", "c-connections", "c-rates"]
    chart = page.driver.find_element("id", "c-connections")
    chart.send_keys(Keys.ARROW_LEFT)
    reading = wait_until(
        lambda: (t := text(page, "o-connections")) and re.match(r"\d+:\d\d:\d\d", t) and t
    )
    assert re.search(r"\d+ connections$", reading) and chart.get_attribute("aria-label")
    chart.send_keys(Keys.ESCAPE)
    wait_until(lambda: text(page, "o-connections").startswith("at most"))


def test_a_paused_page_shows_the_same_numbers(busy, page):
    page.driver.find_element("id", "pause").send_keys(Keys.ENTER)
    assert text(page, "contact") == "Paused"
    shown = text(page, "connections")
    readers = [busy.open("while-paused") for _ in range(3)]
    time.sleep(2.5)
    assert text(page, "connections") == shown
    page.driver.find_element("id", "pause").send_keys(Keys.SPACE)
    wait_until(lambda: text(page, "connections") != shown, what="it goes on")
    for reader in readers:
        reader.close()


def test_everything_has_a_name(page):
    unnamed = page.run("""
        const all = document.querySelectorAll('button, progress, table, [role=img]');
        return [...all].filter((e) => {
            const label = e.labels?.[0]?.textContent || e.caption?.textContent
                || e.getAttribute('aria-label') || e.textContent;
            return !label.trim(); }).length""")
    headings = page.run(
        "return [...document.querySelectorAll('th')].every((th) => th.scope === 'col')"
    )
    assert unnamed == 0 and headings and page.run("return document.documentElement.lang") == "en"
    assert page.run("return document.getElementById('contact').getAttribute('role')") == "status"
    # numbers are not read out each second
    assert page.run("return document.querySelectorAll('[aria-live=polite]').length") == 0


def test_nothing_moves_with_reduced_motion(page):
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-reduced-motion", "value": "reduce"}]
    })
    assert page.run("return [...document.querySelectorAll('*')].every((e) => "
                    "parseFloat(getComputedStyle(e).transitionDuration) === 0)")


# How it looks

# The contrast of each text with what is behind it, as WCAG 2 defines it: the lowest, and of which
# element.
_CONTRAST = """
const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
const linear = (v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const light = (c) => {
    const [r, g, b] = rgb(c).map(linear);
    return .2126 * r + .7152 * g + .0722 * b;
};
const behind = (e) => {
    for (; e; e = e.parentElement) {
        const c = getComputedStyle(e).backgroundColor;
        if ((rgb(c)[3] ?? 1) === 1) return c;
    }
    return "rgb(255, 255, 255)";
};
let worst = [99, ""];
for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())
        || !e.checkVisibility() || e.matches("script, style, noscript, noscript *")) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 80)];
}
return worst;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_can_be_read_on_every_screen(busy, page, bench_of_all, size, scheme):
    width, height = SIZES[size]
    page.emulate(width, height, scheme)
    for n in range(20):
        busy.publish("m", data=n)
    wait_until(lambda: number(page, "deliveries-rate") > 0)
    wait_until(lambda: len(status(busy)["over_time"]["events"]) >= 12,
               what="there is something of a curve")
    wait_until(lambda: page.run("return document.querySelector('#c-connections "
                                "path.one').getAttribute('d').split('L').length") >= 12)
    assert page.run("return document.documentElement.scrollWidth") <= width
    outside = page.run("""return [...document.querySelectorAll('main *')]
        .filter((e) => e.checkVisibility() && !e.closest('svg, .sr'))
        .filter((e) => {
            const r = e.getBoundingClientRect();
            return r.right > innerWidth + 1 || r.left < 0; })
        .map((e) => e.outerHTML.slice(0, 80))""")
    assert outside == []
    for name in IDS + ["workers", "top", "ends", "store", "counters", "m-events"]:
        assert page.run("const r = document.getElementById(arguments[0]).getBoundingClientRect(); "
                        "return r.width * r.height", name) > 0, name
    ratio, where = page.run(_CONTRAST)
    assert ratio >= 4.5, where

    page.emulate(width, page.run("return document.documentElement.scrollHeight"), scheme)
    pictures = pathlib.Path(os.environ.get("SSECAST_SCREENSHOTS")
                            or bench_of_all.subfolder("screenshots"))
    png = page.driver.get_screenshot_as_png()
    (pictures / f"status-{size}-{scheme}.png").write_bytes(png)
    picture = Picture(page, png)
    colours = picture.colours()
    brightness = sum(sum(c) * n for c, n in colours.items()) / 3 / sum(colours.values())
    assert (brightness > 200) if scheme == "light" else (brightness < 70)
    for chart in ("c-connections", "c-rates"):
        box = page.run("const r = document.querySelector(`#${arguments[0]} "
                       "svg`).getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]",
                       chart)
        line = bytes(int(v) for v in page.run(
            "return getComputedStyle(document.querySelector(`#${arguments[0]} "
            "path.one`)).stroke.match(/\\d+/g)", chart
        ))
        assert picture.colours(*box)[line] > 40, f"no curve in {chart}"
