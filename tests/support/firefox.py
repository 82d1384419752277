"""Firefox, driven through Marionette, the protocol that is built in: geckodriver is no package of
Debian 12.

    with Firefox(folder) as firefox:
        firefox.goto("http://127.0.0.1:8080/")
        firefox.listen("/sse?session=anna").wait_for(1)   # as browser.py's Browser
"""

import itertools
import json
import os
import pathlib
import shutil
import socket
import subprocess

import pytest

from .browser import Page
from .ports import free_port
from .waiting import TIMEOUT, wait_until

_PREFERENCES = {
    "app.update.enabled": False, "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False, "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
    "services.settings.server": "data:,", "extensions.systemAddon.update.enabled": False,
}


class Firefox(Page):
    """One headless Firefox with a profile of its own. Close it: it is also a context manager."""

    def __init__(self, folder):
        program = shutil.which("firefox-esr")
        if not program:
            pytest.skip("firefox-esr is missing: make deps")
        super().__init__()
        self._folder, self._numbers, port = pathlib.Path(folder), itertools.count(1), free_port()
        profile = self._folder / "firefox"
        profile.mkdir()
        preferences = {**_PREFERENCES, "marionette.port": port}
        (profile / "user.js").write_text(
            "".join(f'user_pref("{k}", {json.dumps(v)});\n' for k, v in preferences.items())
        )
        self._log = open(self._folder / "firefox.log", "wb")
        self._process = subprocess.Popen(
            [program, "--headless", "--no-remote", "--marionette", "--profile", profile],
            stdin=subprocess.DEVNULL, stdout=self._log,
            stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "HOME": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"})
        self._socket = wait_until(lambda: self._connect(port), 60, "Firefox listens")
        self._socket.settimeout(TIMEOUT)
        self._buffer = b""
        self._receive()  # who it is
        self._command("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {}}})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self._command("Marionette:Quit", {"flags": ["eForceQuit"]})
            self._process.wait(TIMEOUT)
        except (OSError, AssertionError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._socket.close()
        self._log.close()

    def goto(self, url):
        self._command("WebDriver:Navigate", {"url": url})

    def run(self, script, *arguments):
        return self._command(
            "WebDriver:ExecuteScript", {
                "script": script, "args": list(arguments), "sandbox": None, "newSandbox": False}
        )["value"]

    # Its protocol: the length of a JSON text, a colon, the text

    def _connect(self, port):
        assert self._process.poll() is None, "Firefox has ended"
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            return None

    def _receive(self):
        while b":" not in self._buffer:
            self._more()
        length, _, self._buffer = self._buffer.partition(b":")
        while len(self._buffer) < int(length):
            self._more()
        text, self._buffer = self._buffer[:int(length)], self._buffer[int(length):]
        return json.loads(text)

    def _more(self):
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("Firefox hung up")
        self._buffer += data

    def _command(self, name, parameters):
        number = next(self._numbers)
        text = json.dumps([0, number, name, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(text), text))
        kind, answered, error, result = self._receive()
        assert (kind, answered, error) == (1, number, None), f"{name}: {error}"
        return result
