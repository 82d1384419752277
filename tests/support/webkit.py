"""WebKit, the engine of Safari: WebKitGTK's MiniBrowser on an invisible display of its own.

    with WebKit(folder) as webkit:
        webkit.goto("http://127.0.0.1:8080/")
        webkit.listen("/sse?session=anna").wait_for(1)   # as browser.py's Browser
"""

import os
import pathlib
import shutil
import subprocess

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service

from .browser import Page
from .waiting import TIMEOUT

_BROWSERS = "/usr/lib/*/webkit2gtk-*/MiniBrowser"

# Its own sandbox needs user namespaces, which containers often lack. The pages are ours.
_ENVIRONMENT = {"WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1", "LIBGL_ALWAYS_SOFTWARE": "1",
                "GSETTINGS_BACKEND": "memory", "GDK_BACKEND": "x11", "NO_AT_BRIDGE": "1"}


class WebKit(Page):
    """One WebKit with a profile of its own. Close it: it is also a context manager."""

    def __init__(self, folder):
        driver, display = shutil.which("WebKitWebDriver"), shutil.which("Xvfb")
        browsers = sorted(pathlib.Path("/").glob(_BROWSERS.lstrip("/")))
        if not (driver and display and browsers):
            pytest.skip("WebKitWebDriver or Xvfb is missing: make deps")
        super().__init__()
        folder = pathlib.Path(folder)
        self._display, number = _start_display(display)
        home = {name: str(folder) for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME",
                                               "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")}
        options = Options()
        options.binary_location = str(browsers[0])
        options.add_argument("--automation")
        options.set_capability("acceptInsecureCerts", True)  # of tls.py
        before = dict(os.environ)
        os.environ.update(_ENVIRONMENT, DISPLAY=f":{number}", **home)  # selenium passes on ours
        # The constructor of webdriver.WebKitGTK differs between releases of selenium; its parts do
        # not.
        self._service = Service(driver, log_path=str(folder / "driver.log"))
        try:
            self._service.start()
            self.driver = webdriver.Remote(self._service.service_url, options=options)
        except BaseException:
            self._end()
            raise
        finally:
            os.environ.clear()
            os.environ.update(before)
        self.driver.set_script_timeout(TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.driver.quit()
        except WebDriverException:
            pass
        finally:
            self._end()

    def _end(self):
        self._service.stop()
        self._display.terminate()
        self._display.wait(TIMEOUT)

    def goto(self, url):
        self.driver.get(url)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)


def _start_display(program):
    """The process of a new X server, and the number that it has chosen."""
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [program, "-displayfd", str(writer), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
        pass_fds=[writer],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(writer)
    with open(reader) as lines:
        number = lines.readline().strip()
    assert number, "Xvfb has ended"
    return process, number
