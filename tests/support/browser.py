"""A real browser: headless Chromium with a profile of its own, and the EventSources that a test
opens in it.

Mostly it is chromium-headless-shell: the same engine without a browser around it, which takes half
as long. Tests that are about tabs, or about the browser that people have, take the whole Chromium.

    browser = Browser(folder)
    browser.goto("http://127.0.0.1:8080/")             # an EventSource belongs to a page: this
                                                       gives it its origin
    source = browser.listen("/sse?session=anna", names=["greeting"])
    source.wait_for(1)[0] == {"type": "greeting", "data": "\"hello\"", "id": "1763…"}
"""

import itertools
import os
import pathlib

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service

from .waiting import TIMEOUT, wait_until

CONNECTING, OPEN, CLOSED = 0, 1, 2

# of Debian; elsewhere the whole Chromium is taken
SHELL = pathlib.Path("/usr/lib/chromium/chromium-headless-shell")

_FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run
            --disable-background-networking --disable-component-update --disable-sync
            --disable-dev-shm-usage --disable-site-isolation-trials
            --disable-features=SpareRendererForSitePerProcess """
# With the last two, a tab keeps its process from page to page. Without them nearly every page that
# is loaded starts one.

# Tabs get no processes of their own, either.
_ONE_RENDERER = "--renderer-process-limit=1"

# What listen() runs in the page: an EventSource that keeps a record of all that happens to it.
_LISTEN = """
const [key, url, names, options] = arguments;
const source = new EventSource(url, options);
const record = { source, events: [], opens: 0, errors: 0 };
source.onopen = () => record.opens++;
source.onerror = () => record.errors++;
for (const name of ["message", "ssecast.gap", "ssecast.shutdown", ...names])
    source.addEventListener(name, (e) =>
        record.events.push({ type: e.type, data: e.data, id: e.lastEventId }));
(window.records ??= {})[key] = record;
"""


class Page:
    """The EventSources of the page that a browser shows. A browser has goto() and run()."""

    def __init__(self):
        self._keys = map(str, itertools.count(1))

    def listen(self, url, names=(), with_credentials=False):
        """Open an EventSource in the page."""
        key = next(self._keys)
        self.run(_LISTEN, key, url, list(names), {"withCredentials": with_credentials})
        return Source(self, key)


class Browser(Page):
    """One Chromium. folder: where its profile may be. Close it: it is also a context manager.

    whole: with a process for each tab, so that one can crash, be frozen or be busy without the
    others.
    """

    def __init__(self, folder, flags=(), whole=False):
        super().__init__()
        options = webdriver.ChromeOptions()
        for flag in (*_FLAGS.split(), *flags, *([] if whole else [_ONE_RENDERER])):
            options.add_argument(flag)
        if SHELL.exists() and not whole:
            options.binary_location = str(SHELL)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # The driver makes the profile. The shell opens no page when it is named one.
        service = Service("/usr/bin/chromedriver", env={**os.environ, "TMPDIR": str(folder)})
        self.driver = webdriver.Chrome(service=service, options=options)
        self.driver.set_script_timeout(TIMEOUT)
        self._first, self._emulates = self.driver.current_window_handle, False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.driver.quit()

    def goto(self, url):
        """Load a page; what listened in the one before is gone."""
        self.driver.get(url)

    def run(self, script, *arguments):
        """The value of a piece of JavaScript."""
        return self.driver.execute_script(script, *arguments)

    def errors(self):
        """What the console has complained about since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] == "SEVERE"]

    def forget(self):
        """One empty tab and no cookies, whatever a test has left."""
        for handle in self.driver.window_handles:
            if handle != self._first:
                self.driver.switch_to.window(handle)
                self.driver.close()
        self.driver.switch_to.window(self._first)
        self.goto("about:blank")
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        if self._emulates:
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
            self._emulates = False
        self.driver.set_script_timeout(TIMEOUT)
        self.errors()

    def emulate(self, width, height, scheme="light"):
        """Emulate a screen of that size and that preferred colour scheme."""
        self._emulates = True
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})


class SharedBrowser:
    """A browser for many tests, one after the other. It starts with the first of them, and again
    when one has broken it."""

    def __init__(self, folder):
        self._folder, self._browser = folder, None

    def take(self):
        if not self._browser:
            self._browser = Browser(self._folder)
        return self._browser

    def give_back(self):
        try:
            self._browser.forget()
        except WebDriverException:
            self.close()

    def close(self):
        if self._browser:
            self._browser.close()
            self._browser = None


class Source:
    """One EventSource in the browser's page."""

    def __init__(self, browser, key):
        self._browser, self._key = browser, key

    def _record(self, what):
        return self._browser.run(f"return window.records[arguments[0]].{what}", self._key)

    def events(self):
        """What was dispatched, in order: dictionaries of type, data and id (lastEventId)."""
        return self._record("events")

    def ready_state(self):
        return self._record("source.readyState")

    def opens(self):
        """How often the stream was opened: 1, and once more for each reconnect."""
        return self._record("opens")

    def errors(self):
        return self._record("errors")

    def close(self):
        self._record("source.close()")

    def wait_open(self, times=1):
        wait_until(lambda: self.opens() >= times and self.ready_state() == OPEN,
                   what=f"EventSource open ({times})")
        return self

    def wait_closed(self):
        wait_until(lambda: self.ready_state() == CLOSED, what="EventSource closed for good")
        return self

    def wait_for(self, count):
        """The events, as soon as there are count of them. (More may follow.)"""
        return wait_until(lambda: (e := self.events()) and len(e) >= count and e,
                          what=lambda: f"{count} events, have {self.events()}")
