"""HAProxy as a FastCGI client, with FCGI_GET_VALUES (`option get-values`): before its first request it asks what the worker can do."""

from .webserver import USER, WebServer, program
from .processes import as_root


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
