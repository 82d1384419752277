"""An application in Python behind a web server, as docs/python.md has it, and a browser that visits
it.

    way = behind(Lighttpd)                   # a class of web server, with a port for the
                                             application
    site = Site(bench, web=way)
    Application(bench, way.port_of_application, ["manage.py", "runserver", ...], folder,
    settings).start()
"""

import http.cookiejar
import re
import socket
import urllib.error
import urllib.parse
import urllib.request

from . import processes
from .apache import Apache
from .lighttpd import Lighttpd
from .nginx import Nginx
from .ports import free_port

PYTHON = "/usr/bin/python3"
PAGE = processes.ROOT / "docs" / "python.md"


def code(language, title=None):
    """The block of docs/python.md in this language, under this heading."""
    text = PAGE.read_text()
    text = text[text.index(f"\n## {title}\n"):] if title else text
    return re.search(rf"^```{language}\n(.*?)^```", text, re.M | re.S)[1]


def _block(language, port):
    block = code(language, "The web server")
    assert "8000" in block
    return block.replace("8000", str(port))


class _Lighttpd(Lighttpd):
    @property
    def extra(self):
        return _block("lighttpd", self.port_of_application)


class _Apache(Apache):
    modules = (*Apache.modules, "proxy_http")

    def more(self):
        return [f"<VirtualHost 127.0.0.1:{self.port}>", _block("apache", self.port_of_application),
                "</VirtualHost>"]


class _Nginx(Nginx):
    @property
    def extra(self):
        return _block("nginx", self.port_of_application)


WAYS = [_Lighttpd, _Apache, _Nginx]


def behind(way):
    """This class, with a port for an application of one test."""
    return type(way.__name__, (way,), {"port_of_application": free_port()})


class Application(processes.Program):
    """argv runs it with Python in this folder. settings: environment variables."""

    def __init__(self, bench, port, argv, folder, settings):
        self.port = port
        env = processes.clean_environment(PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1",
                                          **settings)
        super().__init__("application", ["env", "-C", folder, PYTHON, *argv], bench.folder, env=env,
                         ours=False)
        bench.adopt(self)

    def start(self):
        super().start()
        self.wait_ready(self._listens, "accepts connections")
        return self

    def _listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0


class Visitor:
    """A browser with its cookies."""

    def __init__(self, site):
        self.origin, self.jar = site.web.origin, http.cookiejar.CookieJar()
        self.answer_headers = {}
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def cookie(self, name):
        return next((c for c in self.jar if c.name == name), None)

    def ask(self, path, body=None, **headers):
        """The status; its headers are in answer_headers. body: bytes, or the fields of a form."""
        body = urllib.parse.urlencode(body).encode() if isinstance(body, dict) else body
        try:
            with self.opener.open(urllib.request.Request(self.origin + path, body, headers),
                                  timeout=20) as answer:
                self.answer_headers = answer.headers
                return answer.status
        except urllib.error.HTTPError as error:
            self.answer_headers = error.headers
            return error.code

    @property
    def headers(self):
        """Of a request for a stream."""
        return ({"Cookie": f"ssecast_token={self.cookie('ssecast_token').value}"}
                if self.cookie("ssecast_token") else {})
