"""examples/: each program is run, and each page looked at in Chromium, as their README says."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest
from selenium.webdriver.common.by import By
from support import node, processes
from support.commands import Commands
from support.ports import free_port
from support.relay import Relay
from support.site import Site
from support.tokens import Issuer
from support.waiting import TIMEOUT, wait_until

EXAMPLES = processes.ROOT / "examples"


class Pages(processes.Program):
    """`demo/run examples/NAME`, or with the folder given."""

    def __init__(self, bench, name, folder=None):
        self.port = free_port()
        env = processes.clean_environment(DEMO_PORT=str(self.port), BUILD=str(processes.BUILD),
                                          PYTHONUNBUFFERED="1",
                                          TMPDIR=str(bench.subfolder(f"{name}-state")))
        super().__init__(f"example-{name}",
                         [processes.ROOT / "demo" / "run", folder or EXAMPLES / name],
                         bench.folder, env=env)
        bench.adopt(self)
        self.start()
        self.wait_ready(lambda: self.url in self.log(), "says its address")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    @property
    def commands(self):
        """The broker's endpoint, as it is shown."""
        return re.search(r"--commands (\S+)", self.log())[1]


@pytest.fixture
def browser(chromium):
    return chromium


@pytest.fixture
def see(browser, bench):
    """A function that starts an example and shows its page; afterwards nothing may have been
    complained about."""
    def start(name, query="", folder=None):
        pages = Pages(bench, name, folder)
        browser.goto(pages.url + query)
        return pages
    yield start
    assert browser.errors() == []
    browser.goto("about:blank")


def text(browser, id):
    return browser.run("return document.getElementById(arguments[0]).innerText", id)


def lines(browser, id):
    """Of a list, the newest first."""
    return browser.run("return [...document.querySelectorAll(`#${arguments[0]} li`)].map((li) => "
                       "li.textContent)", id)


def wait_text(browser, id, wanted):
    wait_until(lambda: text(browser, id) == wanted,
               what=lambda: f"{wanted!r}, is {text(browser, id)!r}")


# Publish, in five languages

def compiled(folder):
    """publish.c, with the library as it was built."""
    if re.search(rb"__[at]san_init", (processes.BUILD / "libssecast.so").read_bytes()):
        pytest.skip("the library was built with a sanitizer, "
                    "which the program would have to begin with")
    program = folder / "publish"
    command = ["cc", "-Wall", "-Werror", EXAMPLES / "publish" / "publish.c", "-o", program,
               f"-I{processes.ROOT}/client/lib",
               processes.BUILD / "libssecast.so", f"-Wl,-rpath,{processes.BUILD}"]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [program]


def publisher(language, folder):
    if language == "C":
        return compiled(folder)
    if language == "Node":
        return [node.program("node"), node.installed("examples/publish") / "publish.mjs"]
    command = {"Python": ["/usr/bin/python3", "publish.py"], "PHP": ["php", "publish.php"],
               "shell": ["./publish.sh"]}[language]
    if not shutil.which(command[0]) and not command[0].startswith("./"):
        pytest.skip(f"{command[0]} is missing: make deps")
    return command


@pytest.mark.parametrize("language", ["Python", "PHP", "Node", "C", "shell"])
def test_the_example_publishes_in_every_language(site, session, tmp_path, language):
    reader = site.open(session)
    env = processes.clean_environment(SSECAST_COMMANDS=site.broker.endpoint("commands"))
    env["PATH"] = f"{processes.BUILD}:{env['PATH']}"
    done = subprocess.run([*publisher(language, tmp_path), "how are you?"],
                          cwd=EXAMPLES / "publish", env=env, capture_output=True, text=True,
                          timeout=TIMEOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    event = reader.wait_for(1)[0]
    assert event.type == "greeting"
    if language in ("C", "shell"):
        assert event.data == "how are you?"
    else:
        assert json.loads(event.data) == {"from": language, "text": "how are you?"}


@pytest.mark.parametrize("language", ["Python", "PHP", "shell"])
def test_publish_over_http(bench, language):
    issuer, token = Issuer(bench.folder / "jwt.key"), bench.folder / "token.jwt"
    token.write_text(issuer.publisher() + "\n")
    site = Site(bench, worker={"publish": True, "jwt_secret_file": issuer.secret_file})
    reader = site.open("anna")
    command = {"Python": ["./publish_http.py", "how are you?"],
               "PHP": ["php", "publish_http.php", "how are you?"],
               "shell": ["./publish_http.sh", '{"from":"shell","text":"how are you?"}']}[language]
    env = processes.clean_environment(SSECAST_URL=site.web.url, SSECAST_TOKEN_FILE=str(token))
    done = subprocess.run(command, cwd=EXAMPLES / "publish", env=env, capture_output=True,
                          text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(reader.wait_for(1)[0].data) == {"from": language, "text": "how are you?"}
    token.write_text(issuer.token(sub="anna"))
    done = subprocess.run(command, cwd=EXAMPLES / "publish", env=env, capture_output=True,
                          text=True, timeout=TIMEOUT)
    assert done.returncode != 0 and "forbidden" in done.stdout + done.stderr


def test_what_is_published_is_on_the_page(see, browser):
    pages = see("publish")
    wait_text(browser, "state", "online")
    env = processes.clean_environment(SSECAST_COMMANDS=pages.commands)
    subprocess.run(["/usr/bin/python3", "publish.py", "hello, page"], cwd=EXAMPLES / "publish",
                   env=env, check=True, capture_output=True)
    wait_until(lambda: lines(browser, "greetings") == ['{"from": "Python", "text": "hello, page"}'],
               what="a greeting")


# HTML from the server, with packages from npm

@pytest.fixture
def html(bench):
    """The folder with its packages, and workers whose heartbeats (checkpoints, when something else
    was published) come often."""
    folder = bench.folder / "html"
    shutil.copytree(node.installed("examples/html"), folder)
    (folder / "worker.conf").write_text("heartbeat = 1s\n")
    return folder


def set_score(pages, *score):
    subprocess.run(["/usr/bin/python3", EXAMPLES / "html" / "score.py", *map(str, score)],
                   check=True, timeout=TIMEOUT, capture_output=True,
                   env=processes.clean_environment(SSECAST_COMMANDS=pages.commands))


@pytest.mark.parametrize("library", ["turbo", "htmx", "htmx4", "datastar"])
def test_html_that_is_published_is_shown_by_each_library(see, browser, html, library):
    pages = see("html", f"{library}.html", html)
    assert text(browser, "score") == "not yet begun"
    with Commands(pages.commands) as broker:
        wait_until(lambda: broker.connections_of("reader") == 1, what="its stream")
        set_score(pages, 1, 0, 17)
        wait_text(browser, "score", "1 : 0 in minute 17")
        beats = broker.stats()["heartbeats"]
        for n in range(3):
            broker.publish("m", data=n, to={"channels": ["another"]})
            wait_until(lambda: broker.stats()["heartbeats"] > beats + n, what="a checkpoint")
        assert text(browser, "score") == "1 : 0 in minute 17"
        set_score(pages, 2, 0, 18)
        wait_text(browser, "score", "2 : 0 in minute 18")
        assert broker.connections_of("reader") == 1
    if library == "datastar":
        assert text(browser, "minute") == "18"


@pytest.mark.parametrize("library", ["turbo", "htmx", "htmx4", "datastar"])
def test_html_is_shown_to_a_page_that_comes_late(see, browser, html, library):
    pages = see("html", folder=html)
    set_score(pages, 3, 3, 89)
    browser.goto(f"{pages.url}{library}.html")
    wait_text(browser, "score", "3 : 3 in minute 89")


@pytest.mark.parametrize("library", ["turbo", "htmx", "htmx4"])
def test_html_that_was_published_in_the_meantime_is_shown(see, browser, html, library):
    """After the end of a stream: these come back by themselves."""
    pages = see("html", f"{library}.html", html)
    with Commands(pages.commands) as broker:
        wait_until(lambda: broker.connections_of("reader") == 1, what="its stream")
        set_score(pages, 0, 0, 1)
        wait_text(browser, "score", "0 : 0 in minute 1")
        broker.shutdown(sessions=["reader"], block=0)
        set_score(pages, 0, 1, 2)
        wait_text(browser, "score", "0 : 1 in minute 2")
        wait_until(lambda: broker.connections_of("reader") == 1, what="its stream again")
        set_score(pages, 0, 2, 3)
        wait_text(browser, "score", "0 : 2 in minute 3")
    complaints = browser.errors()
    assert all("[object Event]" in c
               for c in complaints), "htmx writes each end of a stream to the console"
    assert not complaints or library == "htmx"


@pytest.mark.parametrize("library", ["turbo", "htmx", "htmx4", "datastar"])
def test_html_that_was_published_while_the_network_was_down_is_shown(
    see, browser, bench, html, library
):
    """All of them come back by themselves after that, with their cursor."""
    pages = see("html", folder=html)
    relay = bench.closing(Relay(pages.port))
    browser.goto(f"{relay.url}/{library}.html")
    with Commands(pages.commands) as broker:
        wait_until(lambda: broker.connections_of("reader") == 1, what="its stream")
        seq = broker.ping()["head"]
        set_score(pages, 0, 0, 1)
        wait_text(browser, "score", "0 : 0 in minute 1")
        relay.cut()
        set_score(pages, 0, 1, 2)
        wait_text(browser, "score", "0 : 1 in minute 2")
    cursors = [int(request["last-event-id"]) for request in relay.requests("/sse")
               if "last-event-id" in request]
    assert cursors and min(cursors) > seq
    browser.errors()  # they complain, which is right


# The other pages

def say(browser, words):
    field = browser.driver.find_element(By.ID, "text")
    field.send_keys(words)
    field.submit()


def test_a_chat_with_rooms(see, browser):
    pages = see("chat", "?name=Anna")
    wait_text(browser, "state", "online")
    say(browser, "hello")
    wait_until(lambda: lines(browser, "said") == ["Anna: hello"], what="what was said")
    anna = browser.driver.current_window_handle
    try:
        browser.driver.switch_to.new_window("tab")
        browser.goto(pages.url + "?name=Bert")
        wait_text(browser, "state", "online")
        assert lines(browser, "said") == ["Anna: hello"], "what was said before"
        say(browser, "<b>hi</b>")
        wait_until(lambda: lines(browser, "said") == ["Bert: <b>hi</b>", "Anna: hello"],
                   what="both")
        browser.goto(pages.url + "?room=garden")
        wait_text(browser, "state", "online")
        say(browser, "nobody here")
        wait_until(lambda: lines(browser, "said") == ["Bert: nobody here"], what="another room")
    finally:
        browser.driver.close()
        browser.driver.switch_to.window(anna)
    assert lines(browser, "said") == ["Bert: <b>hi</b>", "Anna: hello"]


def test_the_login_shows_who_is_logged_in(see, browser):
    pages = see("login")
    wait_text(browser, "state", "logged out")
    name = browser.driver.find_element(By.ID, "name")
    name.send_keys("Anna")
    name.submit()
    wait_text(browser, "state", "logged in as Anna")
    assert "ssecast_token" not in browser.run("return document.cookie")

    def say_to(whom, words):
        browser.run("document.getElementById('to').value = arguments[0]", whom)
        say(browser, words)

    with Commands(pages.commands) as broker:
        wait_until(lambda: broker.connections_of("Anna") == 1, what="her stream")
        say_to("Anna", "to myself")
        wait_until(lambda: lines(browser, "said") == ["Anna: to myself"], what="what was said")
        wait_text(browser, "renewed", "· 1 renewed")
        wait_until(lambda: broker.connections_of("Anna") == 1, what="her stream again")
        [connection] = broker.connections(session="Anna")["connections"]
        assert connection["channels"] == ["news"]
    say_to("Bert", "not for me")
    say_to("Anna", "with a fresh token")
    wait_until(lambda: lines(browser, "said") == ["Anna: with a fresh token", "Anna: to myself"],
               what="both")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(pages.url + "sse?session=Anna")


def test_a_progress_bar(see, browser):
    see("progress")
    wait_text(browser, "state", "ready")
    browser.run("window.values = []; "
                "setInterval(() => values.push(document.getElementById('bar').value), 20)")
    browser.driver.find_element(By.ID, "start").click()
    wait_text(browser, "state", "done")
    values = browser.run("return values")
    assert values == sorted(values) and len({*values}) > 20


def test_a_progress_bar_begins_where_the_job_is(see, browser):
    """Opened in the middle of a job, which this test pretends to be."""
    pages = see("progress", "#mine")
    wait_text(browser, "state", "ready")
    event = {"to": {"channels": ["job:mine"]}, "key": "progress", "ttl": 60}
    with Commands(pages.commands) as broker:
        broker.publish("progress", data={"done": 7, "of": 40}, **event)
        wait_text(browser, "state", "7 of 40")
        browser.driver.refresh()
        wait_text(browser, "state", "7 of 40")
        assert not browser.driver.find_element(By.ID, "start").is_enabled()
        broker.publish("progress", data={"done": 40, "of": 40}, remove=True, **event)
        wait_text(browser, "state", "done")
    browser.driver.refresh()
    wait_text(browser, "state", "ready")


def prices(browser):
    """What the ticker shows: {name: text}."""
    return browser.run("return Object.fromEntries([...document.querySelectorAll('#prices "
                       "div')].map((row) => [...row.children].map((e) => e.textContent)))")


def ticker(pages, bench):
    program = processes.Program("prices", ["/usr/bin/python3", EXAMPLES / "ticker" / "prices.py"],
                                bench.folder, ours=False,
                                env=processes.clean_environment(SSECAST_COMMANDS=pages.commands))
    return bench.adopt(program)


def test_a_ticker(see, browser, bench):
    pages = see("ticker")
    wait_text(browser, "state", "online")
    ticker(pages, bench).start()
    first = wait_until(lambda: len(shown := prices(browser)) == 3 and shown, what="three prices")
    wait_until(lambda: all(price != first[name] for name, price in prices(browser).items()),
               what="other prices")


def test_a_ticker_begins_with_the_newest_prices(see, browser, bench):
    pages = see("ticker")
    program = ticker(pages, bench)
    program.start()
    wait_until(lambda: len(prices(browser)) == 3, what="three prices")
    program.stop()
    with Commands(pages.commands) as broker:
        newest = [json.loads(entry["data"])
                  for entry in broker.demand({"op": "state", "channel": "prices"})["keys"]]
    newest = {n["name"]: f"{n['price']:.2f}" for n in newest}
    browser.driver.refresh()
    wait_until(lambda: prices(browser) == newest, what=lambda: f"{newest}, is {prices(browser)}")
    subprocess.run(["/usr/bin/python3", EXAMPLES / "ticker" / "prices.py", "delist", "BETA"],
                   check=True, timeout=TIMEOUT,
                   env=processes.clean_environment(SSECAST_COMMANDS=pages.commands))
    del newest["BETA"]
    wait_until(lambda: prices(browser) == newest, what="a price less")
    browser.driver.refresh()
    wait_until(lambda: prices(browser) == newest, what="the same after a reload")


def generated():
    """The text that is written."""
    return eval(re.search(r"^TEXT = (\(.*?\))\n\n",
                          (EXAMPLES / "generation" / "generate.py").read_text(), re.M | re.S)[1])


def test_a_generation_is_read_from_its_first_token(see, browser):
    """By the page that started it, by one that comes in the middle, and by one that comes after the
    end."""
    pages = see("generation")
    browser.driver.find_element(By.ID, "start").click()
    wait_until(lambda: text(browser, "text"), what="the first words")
    browser.driver.refresh()
    wait_text(browser, "state", "done")
    assert text(browser, "text") == generated()
    browser.goto("about:blank")
    browser.driver.back()
    wait_text(browser, "state", "done")
    assert text(browser, "text") == generated()


def test_the_dashboard_shows_what_its_counter_publishes(see, browser, bench):
    pages = see("dashboard")
    wait_text(browser, "state", "online")
    counter = processes.Program("counter",
                                ["/usr/bin/python3", EXAMPLES / "dashboard" / "counter.py"],
                                bench.folder, ours=False,
                                env=processes.clean_environment(SSECAST_COMMANDS=pages.commands))
    bench.adopt(counter).start()
    wait_text(browser, "count", "2")
    wait_until(lambda: int(text(browser, "streams")) >= 1 and float(text(browser, "load")) >= 0,
               what="numbers")
