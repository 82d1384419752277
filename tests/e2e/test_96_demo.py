"""The demo page, as a visitor uses it: what `make demo` starts, seen in Chromium on a desktop and
on a phone.

SSECAST_SCREENSHOTS names a folder for the pictures; otherwise they go with the bench.
"""

import json
import os
import pathlib
import re
import signal
import urllib.error
import urllib.request

import pytest
from selenium.webdriver.common.by import By
from support import processes
from support.ports import free_port
from support.waiting import TIMEOUT, wait_until

SIZES = {"desktop": (1280, 900), "narrow": (820, 1100), "phone": (390, 844)}


class Demo(processes.Program):
    def __init__(self, bench):
        self.port, self.state = free_port(), bench.subfolder("demo")
        env = processes.clean_environment(DEMO_PORT=str(self.port), BUILD=str(processes.BUILD),
                                          TMPDIR=str(self.state), PYTHONUNBUFFERED="1")
        super().__init__("demo", [processes.ROOT / "demo" / "run"], bench.folder, env=env)
        bench.adopt(self)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def start(self):
        super().start()
        self.wait_ready(lambda: self.url in self.log(), "says its address")
        return self

    def children(self):
        return [int(pid) for pid in pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children")
                .read_text().split()]


class Page:
    """What a visitor sees and does."""

    def __init__(self, browser, url, session):
        self.browser, self.session = browser, session
        browser.goto(f"{url}?session={session}")
        self.wait_state("open")

    def of(self, id):
        return self.browser.driver.find_element(By.ID, id)

    # What is asked again and again is asked in one piece of JavaScript: WebDriver's own ways take
    # five times as long.

    def text(self, id):
        """As it is seen, with one space between columns."""
        return self.browser.run("""const e = document.getElementById(arguments[0]);
            return e.checkVisibility() ? e.innerText.replace(/[ \\t]+/g, " ").trim() : "";""", id)

    def state(self):
        return self.browser.run("return document.getElementById('state').dataset.state")

    def wait_state(self, *states):
        wait_until(lambda: self.state() in states, what=lambda: f"{states}, is {self.state()}")

    def click(self, id):
        self.of(id).click()

    def fill(self, id, text):
        field = self.of(id)
        if field.get_property("value") != text:
            field.clear()
            field.send_keys(text)

    def publish(self, to="all", target=None, event="greeting", payload='"hello"', format="data"):
        """Fill in the form and send it. Returns the reply the page shows."""
        choice = f'input[name=to][value="{to}"]'
        if not self.browser.run("return document.querySelector(arguments[0]).checked", choice):
            self.browser.driver.find_element(By.CSS_SELECTOR, f"{choice} + span").click()
        if target:
            self.fill("target", target)
        self.fill("event", event)
        self.browser.run("document.getElementById('format').value = arguments[0]", format)
        self.fill("payload", payload)
        self.browser.run("document.getElementById('publish-reply').textContent = ''")
        self.click("publish-button")
        return wait_until(lambda: self.text("publish-reply"), what="an answer")

    def rows(self):
        """The events on the page, the oldest first: (event, id, data)."""
        rows = self.browser.run(
            """return [...document.querySelectorAll("#log li:not(.empty)")].map((row) => [
            row.querySelector(".event").textContent, row.querySelector(".id")?.textContent ?? "",
            row.querySelector("pre, p").textContent])"""
        )
        return [tuple(row) for row in reversed(rows)]

    def wait_row(self, event, data):
        return wait_until(lambda: next((r for r in self.rows() if (r[0], r[2]) == (event, data)),
                                       None), what=lambda: f"{event} {data} among {self.rows()}")

    def wait_text(self, id, pattern):
        wait_until(lambda: re.search(pattern, self.text(id)),
                   what=lambda: f"{pattern!r} in {id}: {self.text(id)!r}")

    def overflow(self):
        """How many pixels the page is wider than its window."""
        return self.browser.run(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )


@pytest.fixture(scope="module")
def demo(bench_of_all):
    return Demo(bench_of_all).start()


@pytest.fixture
def browser(chromium):
    chromium.emulate(*SIZES["desktop"])
    return chromium


@pytest.fixture
def page(browser, demo, session):
    yield Page(browser, demo.url, session)
    assert browser.errors() == []


@pytest.fixture
def page_that_is_kept(whole_chromium, demo, session):
    """Only the whole browser keeps the page as it was, for the way back."""
    yield Page(whole_chromium, demo.url, session)
    assert whole_chromium.errors() == []
    whole_chromium.forget()


def listen_beside(page, demo, session, channels=""):
    """Another visitor, in the same browser's page."""
    return page.browser.listen(f"/sse?session={session}&channels={channels}",
                               names=["greeting"]).wait_open()


def test_the_status_page_that_it_names_shows_it(page, demo):
    [address] = re.findall(r"what it is doing: +(\S+)", demo.log())
    with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
        assert answer.status == 200 and b"Largest sessions" in answer.read()


def test_what_is_published_to_everyone_arrives_with_its_id(page):
    reply = page.publish(payload='{"text":"to all of you"}')
    _, id, _ = page.wait_row("greeting", '{"text":"to all of you"}')
    assert re.match(rf"Stored as {id}; matched \d+ connection", reply)
    assert page.text("fact-last") == id


def test_json_keeps_its_digits_and_text_its_lines(page):
    page.publish(payload="[0.10, 12345678901234567890]")
    page.wait_row("greeting", "[0.10, 12345678901234567890]")
    page.publish(payload="two\nlines", format="text")
    page.wait_row("greeting", "two\nlines")


def test_invalid_json_is_reported_and_not_sent(page):
    assert "JSON" in page.publish(payload="{oops")
    assert page.rows() == []


def test_a_session_and_a_channel_can_be_addressed(page, demo, session):
    other = listen_beside(page, demo, f"{session}-other", "room:9")
    assert "matched 1 connection " in page.publish("sessions", f"{session}-other",
                                                   payload='"for the other"')
    assert "matched 1 connection " in page.publish("channels", "room:9", payload='"for room 9"')
    assert "matched 1 connection " in page.publish("sessions", session, payload='"for me"')
    page.wait_row("greeting", '"for me"')
    assert [e["data"] for e in other.wait_for(2)] == ['"for the other"', '"for room 9"']
    assert [r[2] for r in page.rows()] == ['"for me"']


def test_online_sessions_are_counted(page, demo, session):
    page.wait_text("sessions", rf"{session} \(you\) 1\s")
    second = listen_beside(page, demo, session)
    page.wait_text("sessions", rf"{session} \(you\) 2\s")
    second.close()
    page.wait_text("sessions", rf"{session} \(you\) 1\s")
    page.wait_text("counts", r"^\d+ sessions?, \d+ connections?$")


def test_the_session_can_be_changed(page, session):
    page.fill("session", f"{session}-new")
    page.click("identity-button")
    page.wait_text("fact-session", f"{session}-new")
    page.wait_state("open")
    assert "matched 1 connection " in page.publish("sessions", f"{session}-new",
                                                   payload='"new name"')
    page.wait_row("greeting", '"new name"')


def test_a_dropped_connection_misses_nothing(page):
    page.click("drop")
    page.wait_text("notice", "all arrived, in order, none twice")
    steps = [json.loads(data)["step"] for event, _, data in page.rows() if event == "step"]
    assert steps == [0, 1, 2, 3, 4, 5]
    assert page.text("fact-order") == "6 in order, none twice"
    page.wait_state("open")


def test_a_stream_that_was_closed_resumes_when_it_is_opened(page, session):
    page.publish(payload='"first"')
    page.wait_row("greeting", '"first"')
    page.click("toggle")
    page.wait_state("closed")
    page.publish(payload='"meanwhile"')
    page.click("toggle")
    page.wait_row("greeting", '"meanwhile"')
    assert [r[2] for r in page.rows()] == ['"first"', '"meanwhile"']


def test_a_session_that_was_shut_down_gets_the_reason_and_stays_away(page, session):
    page.fill("reason", "closing time")
    wait_until(lambda: page.browser.driver.find_elements(By.CSS_SELECTOR, '[aria-label="Shut '
                                                         f'down {session}"]'), what="its row")
    page.browser.driver.find_element(By.CSS_SELECTOR, f'[aria-label="Shut down {session}"]').click()
    page.wait_text("state", "closing time")
    page.wait_state("stopped")
    page.wait_text("online-reply", f"{session}: 1 connection ended")
    assert page.rows()[-1][0] == "ssecast.shutdown"
    assert page.text("toggle") == "Open"


def test_the_terminal_s_commands_work_as_they_are_shown(page, demo, session):
    page.wait_text("shell-publish", "^build/ssecast --commands ipc://")
    page.wait_text("shell-stream",
                   rf"^curl -N '{demo.url}sse\?session={session}&channels=room%3A1'$")
    if not processes.CLI.exists():
        pytest.skip("the command line is not built")
    command = page.text("shell-publish").replace("build/ssecast", str(processes.CLI), 1)
    assert processes.run(["sh", "-c", command]).returncode == 0
    page.wait_row("greeting", '{"text":"from a terminal"}')


def test_the_endpoint_serves_its_own_page_only(demo):
    request = urllib.request.Request(demo.url + "demo/api", b'{"op":"stats"}',
                                     {"Origin": "http://elsewhere.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403


def test_a_page_that_was_left_is_offline_and_resumes_on_the_way_back(
    page_that_is_kept, demo, session
):
    page = page_that_is_kept
    other = f"{session}-other"
    page.publish(payload='"before"')
    page.wait_row("greeting", '"before"')
    page.browser.goto(f"{demo.url}?session={other}")
    wait_until(lambda: session not in page.text("sessions").split()
                   and other in page.text("sessions").split(), what="it is gone")
    page.publish("sessions", session, payload='"meanwhile"')
    page.browser.driver.back()
    page.wait_row("greeting", '"meanwhile"')


def test_the_page_fits_every_screen(page, demo, browser, bench_of_all):
    pictures = pathlib.Path(os.environ.get("SSECAST_SCREENSHOTS")
                            or bench_of_all.subfolder("screenshots"))
    page.publish("sessions", page.session, payload='{"text": "hello", "from": '
                 '"somebody with a rather long name, to see lines break"}')
    page.publish("sessions", page.session, event="news", payload="two\nlines of text",
                 format="text")
    browser.goto(f"{demo.url}?session={page.session}&lastEventId=lost")
    wait_until(lambda: any(row[0] == "ssecast.gap" for row in page.rows()), what="a gap")
    page.wait_text("counts", "session")
    page.click("drop")
    page.wait_text("notice", "all arrived")
    page.wait_text("fact-order", "in order, none twice")
    browser.run("scrollTo(0, 0); document.activeElement.blur()")
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            browser.emulate(width, height, scheme)
            assert page.overflow() <= 0, (size, scheme)
            browser.emulate(
                width,
                max(height, browser.run("return document.documentElement.scrollHeight")), scheme
            )
            assert browser.driver.save_screenshot(str(pictures / f"{size}-{scheme}.png"))


def test_its_web_server_asks_no_program_that_is_not_there_yet(bench):
    """lighttpd would not ask it again for two seconds."""
    demo = Demo(bench).start()
    [log] = demo.state.glob("*/lighttpd.log")
    assert "server started" in log.read_text() and "connect" not in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_everything_that_was_started(bench, number):
    demo = Demo(bench).start()
    children = demo.children()
    assert len(children) == 5
    demo.expect_end()
    demo.signal(number)
    assert demo.wait() == 0
    assert [pid for pid in children if pathlib.Path(f"/proc/{pid}").exists()] == []
    assert list(demo.state.iterdir()) == []
    assert demo.log().rstrip().endswith("stopped")


def test_a_port_in_use_is_reported_in_one_line(bench, demo):
    second = Demo(bench)
    second.ok_statuses = (1,)
    second.env["DEMO_PORT"] = str(demo.port)
    processes.Program.start(second)
    second.expect_end()
    assert second.wait() == 1
    assert re.fullmatch(r"demo: cannot listen on 127.0.0.1 port \d+: Address already in use. "
                        r"Another port: make demo DEMO_PORT=8081\n", second.log())
