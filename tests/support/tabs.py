"""Tabs of one Chromium, and the EventStreams of client/js/ssecast.js that a test opens in them.

    anna = Tab(browser, url).stream("/sse?session=anna", names=["greeting"])
    anna.wait_told("online")
    anna.wait_for(1)[0] == {"type": "greeting", "data": "\"hello\"", "id": "1763…"}
"""

import contextlib
import itertools

from selenium.common.exceptions import WebDriverException

from .processes import ROOT
from .waiting import wait_until

MODULE = ROOT / "client" / "js" / "ssecast.js"

_numbers = itertools.count(1)

# The module as a page gets it, and a stream that keeps a record of all that it says.
_OPEN = """
const [key, module, url, names, options] = arguments;
const done = (error = "") => { (window.begun ??= {})[key] = { error }; };
const address = URL.createObjectURL(new Blob([module], { type: "text/javascript" }));
import(address).then(({ EventStream }) => {
    const stream = new EventStream(url, options);
    const record = { stream, events: [], told: [] };
    record.listen = (name) => stream.on(name, (e) =>
        record.events.push({ type: e.type, data: e.data, id: e.lastEventId }));
    for (const what of ["online", "offline", "gap", "shutdown", "expired", "replaced", "stopped"])
        stream.addEventListener(what, (e) => record.told.push([what, e.detail]));
    names.forEach(record.listen);
    (window.streams ??= {})[key] = record;
    done();
}).catch((error) => done(String(error)));
"""


class Tab:
    """A tab of its own in browser, at url."""

    def __init__(self, browser, url):
        self.driver = browser.driver
        self._before = self.driver.current_window_handle
        self.driver.switch_to.new_window("tab")
        self.handle = self.driver.current_window_handle
        self.goto(url)

    def goto(self, url):
        self._enter()
        self.driver.get(url)

    def back(self):
        self._enter()
        self.driver.back()

    def run(self, script, *arguments):
        self._enter()
        return self.driver.execute_script(script, *arguments)

    def freeze(self):
        """As browsers do with tabs in the background: none of its code runs until thaw()."""
        self._enter()
        self.driver.execute_cdp_cmd("Page.setWebLifecycleState", {"state": "frozen"})

    def thaw(self):
        self._enter()
        self.driver.execute_cdp_cmd("Page.setWebLifecycleState", {"state": "active"})

    def block(self, seconds):
        """Keep its code busy, so that it hears nothing and says nothing; from the moment on when
        another tab is looked at."""
        self.run("""const ms = arguments[0];
            document.addEventListener("visibilitychange", function block() {
                if (!document.hidden)
                    return;
                document.removeEventListener("visibilitychange", block);
                setTimeout(() => { for (const end = Date.now() + ms; Date.now() < end;); });
            })""", 1000 * seconds)

    def look(self):
        self._enter()
        wait_until(lambda: self.run("return !document.hidden"), what="the tab in front")

    def crash(self):
        """End its process, as a lack of memory does. The tab is gone."""
        self._enter()
        with contextlib.suppress(WebDriverException):
            self.driver.get("chrome://crash")
        with contextlib.suppress(WebDriverException):
            self.driver.close()
        self.driver.switch_to.window(self.driver.window_handles[0])

    def close(self):
        if self.handle in self.driver.window_handles:
            self._enter()
            self.driver.close()
        self.driver.switch_to.window(self.driver.window_handles[0])

    def stream(self, url, names=("message",), **options):
        """Open an EventStream. Pauses are short unless options say otherwise."""
        return open_stream(self, url, names, **options)

    def _enter(self):
        if self.driver.current_window_handle != self.handle:
            self.driver.switch_to.window(self.handle)


def open_stream(page, url, names=("message",), **options):
    """Open an EventStream in a tab, or in the page of a browser without tabs."""
    key = str(next(_numbers))
    options = {"firstPause": 200, "longestPause": 1000, **options}
    page.run(_OPEN, key, MODULE.read_text(), url, list(names), options)
    begun = wait_until(lambda: page.run("return window.begun?.[arguments[0]]", key),
                       what="the module in the page")
    assert not begun["error"], begun["error"]
    return Stream(page, key)


class Stream:
    """An EventStream in a tab."""

    def __init__(self, tab, key):
        self.tab, self.key = tab, key

    def ask(self, what, *arguments):
        return self.tab.run("const [key, a] = arguments; const record = streams[key]; "
                            f"return record.{what}", self.key, *arguments)

    def events(self):
        return self.ask("events")

    def data(self):
        return [e["data"] for e in self.events()]

    def ids(self):
        return [e["id"] for e in self.events()]

    def told(self, *kinds):
        """What the stream said of itself, in order: [what, detail]; only of these kinds."""
        return [t for t in self.ask("told") if not kinds or t[0] in kinds]

    def listen(self, name):
        self.ask("listen(a)", name)

    def open(self, url=None):
        self.ask("stream.open(a ?? undefined)", url)

    def close(self):
        self.ask("stream.close()")

    def state(self):
        return self.ask("stream.state")

    def connection(self):
        return self.ask("stream.connection")

    def last_event_id(self):
        return self.ask("stream.lastEventId")

    def wait_for(self, count):
        """The events, as soon as there are count of them. (More may follow.)"""
        return wait_until(lambda: (e := self.events()) and len(e) >= count and e,
                          what=lambda: f"{count} events, have {self.events()}")

    def wait_state(self, state):
        wait_until(lambda: self.state() == state,
                   what=lambda: f"{state}, is {self.state()}: {self.told()}")
        return self

    def wait_told(self, what, times=1):
        """The detail of the times-th event of this kind."""
        return wait_until(lambda: len(t := self.told(what)) >= times and t,
                          what=lambda: f"{times} {what}, told {self.told()}")[times - 1][1]
