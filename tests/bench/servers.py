"""What is measured: ssecast behind web servers, its peers, and the floor.

A server is started in a Bench (tests/support), has a port and a path for streams, tells the
publisher how to reach it, and names its processes.
"""

import json
import pathlib
import shutil
import socket
import subprocess

from support import processes
from support.apache import Apache, ApacheHandoff
from support.broker import Broker
from support.haproxy import HaproxyTls
from support.lighttpd import Lighttpd, _Lighttpd
from support.nats import NatsCluster
from support.ports import free_port
from support.tls import SITE, ApacheTls, LighttpdTls, certificate
from support.tokens import Issuer
from support.waiting import wait_until
from support.webserver import USER, program
from support.worker import Worker

import tools

HERE = pathlib.Path(__file__).resolve().parent


class Missing(Exception):
    """This peer is not installed."""


def _listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def _streams(port, path):
    """Does a stream open?"""
    try:
        with socket.create_connection(("127.0.0.1", port), 0.5) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            return s.recv(12).endswith(b"200")
    except OSError:
        return False


def _start(bench, name, argv, port, **options):
    server = bench.adopt(processes.Program(name, argv, bench.folder, ours=False, **options)).start()
    server.wait_ready(lambda: _listens(port), "accepts connections")
    return server


class Echo(processes.Program):
    """A bare ROUTER that sends each message back: what a broker cannot be faster than."""

    def __init__(self, bench):
        port = free_port()
        self.commands = f"tcp://127.0.0.1:{port}"
        super().__init__("echo", [tools.PROGRAMS / "echo", self.commands], bench.folder, ours=False)
        bench.adopt(self).start().wait_ready(lambda: _listens(port), "accepts connections")


class Server:
    name = label = ""
    path = "/sse"
    quick = True         # also measured when there is little time
    streams_at_most = 8900
    burst = 1000         # streams that may be opened at a time
    enough = 1.0         # share of the streams that must open ...
    open_seconds = 20    # ... in so long
    tls = False          # streams are opened with TLS 1.3
    ahead = 1000         # events that may be published before they have arrived

    def __init__(self, bench):
        self.bench, self.port, self.programs = bench, None, []
        self.start()

    def start(self):
        raise NotImplementedError

    def publisher(self):
        """Options of tests/bench/publish."""
        raise NotImplementedError

    def pids(self):
        return [pid for program in self.programs for pid in tools.family(program.pid)]


class Ssecast(Server):
    web = None
    worker_options = {}
    path = "/sse?session=s%n"

    def start(self):
        self.broker = Broker(self.bench).start()
        options = {**self.web.worker_options(self.bench, "worker"), **self.worker_options}
        self.worker = Worker(self.bench, self.broker, retry="200ms", **options).start()
        self.web_server = self.web(self.bench, [self.worker]).start()
        self.port = self.web_server.port
        self.programs = [self.broker, self.worker, self.web_server]

    def publisher(self):
        return ["--dealer", self.broker.endpoint("commands")]

    def stats(self):
        with self.broker.commands() as client:
            return client.ask({"op": "stats"})


class SsecastLighttpd(Ssecast):
    name, label, web = "ssecast-lighttpd", "ssecast via lighttpd", Lighttpd


class SsecastPatient(SsecastLighttpd):
    """For measurements of something else than readers: none is cut while the machine is busy
    elsewhere."""

    worker_options = {"queue_bytes": "256M"}


class SsecastKeyed(SsecastLighttpd):
    """A slow reader is soon behind, and the window is soon full: what memory grows by after that is
    the reader's."""

    worker_options = {"queue_bytes": "256K", "window_bytes": "4M"}


class SsecastMercure(SsecastLighttpd):
    """A hub of the Mercure protocol, for anybody. Each stream selects ten topics, of which one has
    events: as they are, or by templates."""

    OTHERS = "".join(f"&topic=%n/{n}" for n in range(9))
    exact = "/sse/.well-known/mercure?topic=%k" + OTHERS
    templates = exact.replace("&", "%7B?a%7D&") + "%7B?a%7D"

    def start(self):
        issuer = Issuer(self.bench.folder / "jwt.key")
        self.worker_options = {"mercure": True, "mercure_anonymous": True,
                               "jwt_secret_file": issuer.secret_file}
        super().start()


class SsecastCluster(Ssecast):
    """Brokers that share a NATS JetStream, two workers at each."""

    web, replicas, brokers = Lighttpd, 1, 1
    streams_at_most = 2000

    def start(self):
        self.nats = NatsCluster(self.bench, self.replicas).start()
        store = {"store": self.nats.url, "store_replicas": self.replicas}
        self.all = [Broker(self.bench, f"broker-{n}", **store).start() for n in range(self.brokers)]
        self.broker = self.all[0]
        self.workers = [Worker(self.bench, b, f"{b.name}-worker-{k}", retry="200ms").start()
                        for b in self.all for k in range(2)]
        self.web_server = self.web(self.bench, self.workers).start()
        self.port = self.web_server.port
        self.programs = [*self.nats.servers, *self.all, *self.workers, self.web_server]


class SsecastCluster3(SsecastCluster):
    replicas = 3


class SsecastTwoBrokers(SsecastCluster):
    brokers = 2


class _TwoProcesses(Lighttpd):
    extra = "server.max-worker = 2"


class SsecastLighttpd2(Ssecast):
    name, label, web = "ssecast-lighttpd-2", "ssecast via lighttpd, two processes", _TwoProcesses
    quick = False


class SsecastApache(Ssecast):
    name, label, web = "ssecast-apache", "ssecast via Apache", Apache
    streams_at_most = 2000


class _HandoffThreads(ApacheHandoff):
    """As few threads as serve many that connect at once."""

    threads = 25


class SsecastHandoff(Ssecast):
    """Apache passes the browser's socket to the worker."""

    name, label, web = "ssecast-handoff", "ssecast, Apache's hand-off", _HandoffThreads
    streams_at_most = 15000


class _Tls:
    """Streams over TLS 1.3, with HTTP/1.1: the load client speaks nothing newer."""

    tls = True
    burst = 100          # handshakes at a time
    streams_at_most = 2000
    open_seconds = 60

    def start(self):
        super().start()
        self.port = self.web_server.tls_port


class SsecastLighttpdTls(_Tls, Ssecast):
    name, label, web = "ssecast-lighttpd-tls", "ssecast via lighttpd, TLS", LighttpdTls


class SsecastApacheTls(_Tls, Ssecast):
    """Over TLS Apache cannot hand the socket off, so FastCGI carries the streams."""

    name, label, web = "ssecast-apache-tls", "ssecast via Apache, TLS", ApacheTls


class SsecastHaproxy(_Tls, Ssecast):
    """HAProxy ends TLS, Apache behind it passes its socket to the worker."""

    name, label, web = ("ssecast-haproxy", "ssecast, HAProxy with TLS, Apache's hand-off",
                        _HandoffThreads)

    def start(self):
        Ssecast.start(self)
        haproxy = HaproxyTls(self.bench, self.web_server).start()
        self.programs.append(haproxy)
        self.port = haproxy.port


class _Proxy(_Lighttpd):
    """lighttpd with the same limits, in front of a peer."""

    def __init__(self, bench, backend):
        self.backend = backend
        super().__init__(bench, "lighttpd-proxy")

    def settings(self):
        return ""

    @property
    def extra(self):
        return f"""server.modules += ("mod_proxy")
proxy.server = ("" => (("host" => "127.0.0.1", "port" => {self.backend})))
server.stream-response-body = 2
server.max-write-idle = 360
"""


class _Behind:
    """A peer behind lighttpd; publishing goes straight to it."""

    def start(self):
        super().start()
        self.direct = self.port
        proxy = _Proxy(self.bench, self.port).start()
        self.programs.append(proxy)
        self.port = proxy.port


class Nchan(Server):
    name, label = "nchan", "Nchan (nginx)"
    module = pathlib.Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

    def start(self):
        if not self.module.exists():
            raise Missing("libnginx-mod-nchan")
        self.port = self.direct = free_port()
        folder = self.bench.subfolder("nchan")
        (folder / "nginx.conf").write_text(self.configuration(folder))
        self.programs = [_start(self.bench, "nchan", [
            program("nginx"), "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"
        ], self.port)]

    def more(self):
        """More lines of the server."""
        return ""

    def configuration(self, folder):
        temp = "\n".join(f"    {kind}_temp_path {folder}/{kind};"
                         for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"""
load_module {self.module};
daemon off;
{f'user {USER};' if processes.as_root() else ''}
pid {folder}/nginx.pid;
worker_processes 1;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; }}
http {{
{temp}
    access_log off;
    nchan_shared_memory_size 256M;
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
        {self.more()}
        keepalive_requests 1000000000;
        location = /pub {{
            nchan_publisher;
            nchan_channel_id bench;
            nchan_message_buffer_length 5000;
            nchan_message_timeout 5m;
        }}
        location = /sse {{
            nchan_subscriber eventsource;
            nchan_channel_id bench;
            nchan_subscriber_first_message newest;
        }}
    }}
}}
"""

    def publisher(self):
        return ["--http", self.direct, "--path", "/pub", "--window", 64]


class NchanTls(_Tls, Nchan):
    """Publishing goes to the port without TLS, as it goes to the broker for ssecast."""

    name, label = "nchan-tls", "Nchan (nginx), TLS"

    def start(self):
        self.tls_port = free_port()
        self.pem = certificate(self.bench.folder / "nchan.pem", SITE)
        Nchan.start(self)
        self.port = self.tls_port

    def more(self):
        return f"""listen 127.0.0.1:{self.tls_port} ssl backlog=4096;
        ssl_certificate {self.pem};
        ssl_certificate_key {self.pem};
        ssl_protocols TLSv1.3;"""


class NchanLighttpd(_Behind, Nchan):
    name, label = "nchan-lighttpd", "Nchan via lighttpd"


class Node(Server):
    name, label = "node", "better-sse (Node)"

    def start(self):
        folder = tools.PROGRAMS / "node"
        if not (folder / "node_modules" / "better-sse").exists():
            fetch_node_peer(folder)
        shutil.copy2(HERE / "node" / "server.mjs", folder)
        self.port = self.direct = free_port()
        self.programs = [_start(
            self.bench, "node", [shutil.which("node"), folder / "server.mjs", self.port], self.port
        )]

    def publisher(self):
        return ["--http", self.direct, "--path", "/pub", "--window", 64]


class NodeLighttpd(_Behind, Node):
    name, label = "node-lighttpd", "better-sse via lighttpd"


def fetch_node_peer(folder):
    if not shutil.which("node") or not shutil.which("npm"):
        raise Missing("nodejs, npm")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy2(HERE / "node" / "package.json", folder)
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=folder,
                          check=False)
    if done.returncode:
        raise Missing("npm install failed")


class Pushpin(Server):
    """Its origin, which only says that a request shall be held, is a lighttpd."""

    name, label = "pushpin", "Pushpin"
    path = "/hold.txt"
    burst = 4            # beyond, more requests are never answered
    enough = 0.95
    open_seconds = 8
    ahead = 20           # beyond, events are thrown away

    def start(self):
        if not shutil.which("pushpin"):
            raise Missing("pushpin")
        origin = _Origin(self.bench, 0).start()
        self.port, self.push = free_port(), f"tcp://127.0.0.1:{free_port()}"
        folder = self.bench.subfolder("pushpin")
        for name in ("run", "log"):
            (folder / name).mkdir()
        (folder / "routes").write_text(f"* 127.0.0.1:{origin.port}\n")
        internal = pathlib.Path("/usr/lib/pushpin/internal.conf").read_text()
        (folder / "internal.conf").write_text(
            internal.replace("/var/run/zurl/zurl-", f"{folder}/run/zurl-")
        )
        (folder / "zurl.conf").write_text(self.zurl_configuration(folder))
        (folder / "pushpin.conf").write_text(self.configuration(folder))
        zurl = self.bench.adopt(
            processes.Program("zurl", [shutil.which("zurl"), f"--config={folder}/zurl.conf"],
                              self.bench.folder, ours=False)
        )
        self.programs = [zurl.start(), _start(
            self.bench, "pushpin", [shutil.which("pushpin"), f"--config={folder}/pushpin.conf"],
            self.port
        )]
        wait_until(lambda: _streams(self.port, self.path), what="Pushpin opens a stream")

    def zurl_configuration(self, folder):
        specs = "".join(
            f"{name}_spec=ipc://{folder}/run/zurl-{end}\n" for name, end in
            (("in", "in"), ("in_stream", "in-stream"), ("out", "out"), ("in_req", "req"))
        )
        return (
            f"[General]\ninstance_id=\n{specs}defpolicy=allow\nallow=\ndeny=\n"
            "max_open_requests=2000\nbuffer_size=200000\ntimeout=600\nin_hwm=1000\nout_hwm=1000\n"
        )

    def configuration(self, folder):
        return f"""[global]
include={folder}/internal.conf
rundir={folder}/run
ipc_prefix=bench-
port_offset=0
stats_connection_ttl=120
[runner]
services=condure,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:{self.port}
logdir={folder}/log
log_level=1
client_buffer_size=8192
client_maxconn=19000
condure_bin=condure
mongrel2_bin=mongrel2
m2sh_bin=m2sh
zurl_bin=zurl
[proxy]
routesfile={folder}/routes
debug=false
sig_iss=pushpin
sig_key=changeme
updates_check=off
[handler]
push_in_spec={self.push}
push_in_sub_specs=tcp://127.0.0.1:{free_port()}
push_in_http_addr=127.0.0.1
push_in_http_port={free_port()}
stats_spec=ipc://{{rundir}}/{{ipc_prefix}}stats
command_spec=tcp://127.0.0.1:{free_port()}
message_rate=100000000
message_hwm=25000
message_wait=5000
id_cache_ttl=60
connection_subscription_max=20
subscription_linger=60
stats_subscription_ttl=60
stats_report_interval=10
stats_format=tnetstring
"""

    def publisher(self):
        return ["--push", self.push]


class _Origin(_Proxy):
    def configuration(self):
        (self.place / "www" / "hold.txt").write_text(":\n\n")
        return super().configuration()

    @property
    def extra(self):
        return """mimetype.assign += (".txt" => "text/event-stream")
setenv.add-response-header = ("Grip-Hold" => "stream", "Grip-Channel" => "bench")
server.max-keep-alive-requests = 100000
"""


class Floor(Server):
    name, label = "floor", "bare write() loop"

    def start(self):
        self.port = free_port()
        self.programs = [
            _start(self.bench, "floor", [tools.PROGRAMS / "floor", self.port], self.port)
        ]

    def publisher(self):
        return ["--http", self.port, "--path", "/pub", "--window", 64]


ALL = [SsecastLighttpd, SsecastLighttpd2, SsecastApache, SsecastHandoff, Nchan, NchanLighttpd,
       Pushpin, Node, NodeLighttpd, Floor]
TLS = [SsecastLighttpdTls, SsecastApacheTls, SsecastHaproxy, NchanTls]
