"""nginx with the two blocks of docs/nginx.md."""

import re

from .processes import ROOT, as_root
from .webserver import USER, WebServer, program

_BLOCK = re.compile(r"^```nginx\n(.*?)^```", re.M | re.S)
_SOCKET = "/run/ssecast/worker-1.sock"  # the documentation's


class Nginx(WebServer):
    name = "nginx"
    extra = ""  # more configuration of the server

    def __init__(self, bench, workers, broker=None, name=None):
        [self.worker] = workers
        super().__init__(bench, name)

    def argv(self):
        return [program("nginx"), "-p", self.place, "-c", self.file, "-e", "stderr"]

    def configuration(self):
        text = (ROOT / "docs" / "nginx.md").read_text()
        assert _SOCKET in text
        http, server = (b.replace(_SOCKET, self.worker.socket) for b in _BLOCK.findall(text))
        (self.place / "fastcgi_params").write_text(open("/etc/nginx/fastcgi_params").read())
        temp = "\n".join(f"    {kind}_temp_path {self.place}/{kind};"
                         for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"""
daemon off;
{f'user {USER};' if as_root() else ''}
pid {self.place}/nginx.pid;
worker_processes 1;
worker_rlimit_nofile 20000;
events {{ worker_connections 8000; }}
http {{
{temp}
    access_log off;
{http}
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
        root {self.place}/www;
        {self.extra}
{server}
    }}
}}
"""
