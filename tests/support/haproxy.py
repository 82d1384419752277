"""HAProxy as a FastCGI client, with FCGI_GET_VALUES (`option get-values`): before its first request
it asks what the worker can do."""

from .webserver import USER, WebServer, program
from .processes import as_root
from .tls import SITE, certificate


class Haproxy(WebServer):
    name = "haproxy"

    def __init__(self, bench, workers, broker=None, name=None):
        [self.worker] = workers
        super().__init__(bench, name)

    def argv(self):
        return [program("haproxy"), "-db", "-f", self.file]

    def configuration(self):
        return f"""
global
    {f'group {USER}' if as_root() else ''}
    maxconn 4000
defaults
    mode http
    option http-no-delay
    timeout connect 5s
    timeout client 1h
    timeout server 1h
fcgi-app ssecast
    docroot {self.place}/www
    option get-values
frontend web
    bind 127.0.0.1:{self.port}
    use_backend worker if {{ path_beg /sse }}
backend worker
    use-fcgi-app ssecast
    server worker unix@{self.worker.socket} proto fcgi
"""


class HaproxyTls(WebServer):
    """Terminates TLS in front of another web server, to which it speaks HTTP/1.1 and names the
    client."""

    name = "haproxy-tls"

    def __init__(self, bench, web):
        self.web = web
        super().__init__(bench)
        certificate(self.place / "site.pem", SITE)

    def argv(self):
        return [program("haproxy"), "-db", "-f", self.file]

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}/sse"

    def configuration(self):
        return f"""
global
    maxconn 4000
defaults
    mode http
    option http-no-delay
    option forwardfor
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend web
    bind 127.0.0.1:{self.port} ssl crt {self.place}/site.pem alpn h2,http/1.1
    default_backend apache
backend apache
    server apache 127.0.0.1:{self.web.port}
"""
