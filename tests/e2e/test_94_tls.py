"""TLS, and the HTTP/2 that browsers speak over it: its limits, and what helps."""

import contextlib
import subprocess

import pytest
from support.browser import Browser
from support.ports import free_port
from support.site import Site
from support.tabs import Tab, open_stream
from support.tls import EVENTS, SITE, ApacheTls, ApacheTlsApart, ApacheTlsTwice, LighttpdTls, flags
from support.waiting import TIMEOUT, wait_until
from support.webkit import WebKit

LIGHTTPD_S_LIMIT = 8
PATIENCE_MS = 2000  # of a page with a request that will hang

# A request of the page for the site: its text, or null if it was not answered in time.
_FETCH = """
const [url, ms, done] = arguments;
const signal = AbortSignal.timeout(ms);
fetch(url, { cache: "no-store", signal }).then((r) => r.text()).then(done, () => done(null));
"""


@pytest.fixture(scope="module")
def chromium(bench_of_all):
    with Browser(bench_of_all.subfolder("chromium"), flags()) as browser:
        yield browser


@pytest.fixture(scope="module")
def webkit(bench_of_all):
    with WebKit(bench_of_all.subfolder("webkit")) as browser:
        yield browser


class TwoCertificates(LighttpdTls):
    names = {"site.pem": (SITE,), "events.pem": (EVENTS,)}


class OneCertificate(LighttpdTls):
    names = {"site.pem": (SITE, EVENTS)}


def start(bench, web, **worker):
    """A site whose pages may read streams of another origin, with their cookies."""
    port = free_port()
    web = type(web.__name__, (web,), {"tls_port": port})
    return Site(bench, web=web,
                worker={"heartbeat": "1s", "cors_origin": f"https://{SITE}:{port}", **worker})


def goto(browser, site, host=SITE):
    browser.goto(site.web.tls_origin(host) + "/index.html")
    assert (
        browser.run("return performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
    )


def usable(browser, patience_ms=1000 * TIMEOUT):
    """Is a request of the page answered?"""
    browser.driver.set_script_timeout(2 * TIMEOUT)
    return browser.driver.execute_async_script(_FETCH, "/index.html", patience_ms) == "a page\n"


def listen(browser, count, origin=""):
    return [browser.listen(f"{origin}/sse?session=s{n}", with_credentials=bool(origin))
            for n in range(count)]


def wait_opened(sources, count):
    wait_until(lambda: sum(s.opens() for s in sources) == count, what=f"{count} open streams")


def close(sources):
    for source in sources:
        source.close()


# curl

@contextlib.contextmanager
def curl(site, session, origin=None):
    """A stream over TLS, with HTTP/2 where the server has it. Its last line is the version."""
    origin = origin or site.web.tls_origin()
    name, _, port = origin.removeprefix("https://").partition(":")
    process = subprocess.Popen(["curl", "-sSNk", "--http2", "--resolve", f"{name}:{port}:127.0.0.1",
                                "-w", "\n%{http_version}\n", f"{origin}/sse?session={session}"],
                               stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def read_until(process, wanted):
    while (line := process.stdout.readline()) != wanted:
        assert line, "curl ended"


def version_at_end(process):
    """Wait until the stream has ended: how curl spoke with the server."""
    return process.communicate(timeout=TIMEOUT)[0].split()[-1]


@pytest.mark.parametrize("web", [LighttpdTls, ApacheTls], ids=lambda web: web.name)
def test_events_arrive_over_http2_at_once_and_its_end_too(bench, web):
    site = Site(bench, web=web)
    with curl(site, "anna") as process:
        site.wait_connections("anna", 1)
        for n in range(3):
            site.publish("m", data=n, to={"sessions": ["anna"]})
            read_until(process, f"data: {n}\n")
        site.commands.shutdown(sessions=["anna"])
        assert version_at_end(process) == "2" and process.returncode == 0


# lighttpd: 8 requests at a time on a connection

def test_eight_streams_of_a_browser_stop_the_whole_site(bench, chromium):
    """What the remedies below are for. When this fails, lighttpd has changed: correct the
    documentation."""
    site = start(bench, LighttpdTls)
    goto(chromium, site)
    sources = listen(chromium, LIGHTTPD_S_LIMIT + 1)
    wait_opened(sources, LIGHTTPD_S_LIMIT)
    assert not usable(chromium, PATIENCE_MS)
    assert sum(s.opens() for s in sources) == LIGHTTPD_S_LIMIT
    close(sources)


def test_tabs_that_share_a_stream_leave_the_site_usable(bench, chromium):
    site = start(bench, LighttpdTls)
    goto(chromium, site)
    tabs = [Tab(chromium, site.web.tls_origin()) for _ in range(LIGHTTPD_S_LIMIT + 2)]
    streams = [tab.stream("/sse?session=anna", shared="anna").wait_state("online") for tab in tabs]
    seq = site.publish(data="for all tabs", to={"sessions": ["anna"]})["seq"]
    for stream in streams:
        assert stream.wait_for(1) == [{"type": "message", "data": '"for all tabs"', "id": str(seq)}]
    assert usable(chromium)
    assert site.commands.connections_of("anna") == 1
    for tab in tabs:
        tab.close()


@pytest.mark.parametrize("where", ["host", "port"])
def test_streams_at_a_host_or_a_port_of_their_own_leave_the_site_usable(bench, chromium, where):
    site = start(bench, TwoCertificates)
    goto(chromium, site)
    origin = site.web.tls_origin(EVENTS) if where == "host" else site.web.other_origin
    sources = listen(chromium, LIGHTTPD_S_LIMIT + 2, origin)
    wait_opened(sources, LIGHTTPD_S_LIMIT)
    assert usable(chromium)
    seq = site.publish(data=1)["seq"]
    wait_until(lambda: [s.events() for s in sources].count(
        [{"type": "message", "data": "1", "id": str(seq)}]
    ) == LIGHTTPD_S_LIMIT, what="the event on each open stream")
    close(sources)


def test_a_host_of_its_own_does_not_help_when_the_site_s_certificate_covers_it(bench, chromium):
    """The browser uses the connection that it has. As above: the documentation says so."""
    site = start(bench, OneCertificate)
    goto(chromium, site)
    sources = listen(chromium, LIGHTTPD_S_LIMIT, site.web.tls_origin(EVENTS))
    wait_opened(sources, LIGHTTPD_S_LIMIT)
    assert not usable(chromium, PATIENCE_MS)
    close(sources)


# Apache: mod_http2 does not pass on that a worker died

def killed(bench, web, origin=lambda web: web.tls_origin()):
    """The version that curl spoke, once kill -9 of the worker has ended its stream."""
    site = Site(bench, web=web, worker={"heartbeat": "300ms"})
    with curl(site, "anna", origin(site.web)) as process:
        site.wait_connections("anna", 1)
        site.publish("m", data=1, to={"sessions": ["anna"]})
        read_until(process, "data: 1\n")
        site.worker.kill()
        return version_at_end(process)


@pytest.mark.parametrize("web", [LighttpdTls, ApacheTlsTwice], ids=lambda web: web.name)
def test_a_worker_s_death_ends_http2_streams(bench, web):
    assert killed(bench, web) == "2"


def test_a_port_without_http2_ends_streams_when_a_worker_dies(bench):
    assert killed(bench, ApacheTlsApart, lambda web: web.other_origin) == "1.1"


def test_the_module_notices_a_death_that_apache_may_not_tell_over_http2(bench, chromium):
    """Whether Apache ends the stream depends on the moment: a plain EventSource may wait for ever,
    as the documentation warns."""
    site = start(bench, ApacheTls)
    goto(chromium, site)
    tab = Tab(chromium, site.web.tls_origin())
    stream = tab.stream("/sse?session=anna").wait_state("online")
    ids = [str(site.publish(data=0, to={"sessions": ["anna"]})["seq"])]
    stream.wait_for(1)
    site.worker.kill()
    ids.append(str(site.publish(data=1, to={"sessions": ["anna"]})["seq"]))
    site.worker.start()
    stream.wait_for(2)
    assert stream.ids() == ids and stream.told("gap") == []
    tab.close()


@pytest.mark.parametrize("web", [LighttpdTls, ApacheTls], ids=lambda web: web.name)
def test_webkit_notices_no_death_over_http2_and_the_module_does(bench, webkit, web):
    """Of the web server, or behind Apache of the worker. The plain EventSource is there for the
    documentation again."""
    site = Site(bench, web=web, worker={"heartbeat": "500ms"})
    dying = site.web if web is LighttpdTls else site.worker
    goto(webkit, site, "localhost")
    plain = webkit.listen("/sse?session=plain").wait_open()
    stream = open_stream(webkit, "/sse?session=anna").wait_state("online")
    dying.kill()
    seq = site.publish(data=1, to={"sessions": ["anna", "plain"]})["seq"]
    dying.start()
    assert stream.wait_for(1) == [{"type": "message", "data": "1", "id": str(seq)}]
    assert stream.told("gap") == []
    assert (plain.opens(), plain.errors(), plain.events()) == (1, 0, [])
    webkit.goto("about:blank")


def test_the_second_way_through_apache_passes_on_the_client_s_address(bench):
    """The status page is for 127.0.0.1, which is where Apache itself comes from. Clients cannot
    choose the header."""
    site = Site(bench, web=ApacheTlsTwice,
                worker={"monitor_from": "127.0.0.1", "monitor_host": SITE})

    def status(*arguments):
        url = site.web.tls_origin() + "/sse/status"
        resolve = f"{SITE}:{site.web.tls_port}:127.0.0.1"
        done = subprocess.run(["curl", "-sSk", "--http2", "--max-time", str(TIMEOUT), "--resolve",
                               resolve, "-o", "/dev/null", "-w", "%{http_version} %{http_code}",
                               *arguments, url], check=True, capture_output=True, text=True)
        return done.stdout

    assert status() == "2 200"
    assert status("--interface", "127.0.0.2") == "2 403"
    assert status("--interface", "127.0.0.2", "-H", "X-Ssecast-Client: 127.0.0.1", "-H",
                  "X-Forwarded-For: 127.0.0.1") == "2 403"
    assert status("-H", "Host: elsewhere.test") == "2 403"
