"""A site that stands: broker, workers and a web server, with a commands client and readers.

    with Bench() as bench:
        site = Site(bench)
        anna = site.open("anna")
        site.commands.publish("greeting", data="hello", to={"sessions": ["anna"]})
        anna.wait_for(1)
"""

import http.client
import urllib.parse

from .broker import Broker
from .fcgi import FastCgi
from .lighttpd import Lighttpd
from .reader import Readers, wait_all_open
from .waiting import TIMEOUT, wait_until
from .worker import Worker


class Site:
    """web: a class of lighttpd.py, apache.py or nginx.py. broker, worker: options of those
    programs."""

    def __init__(self, bench, web=Lighttpd, workers=1, broker=None, worker=None):
        self.bench, worker = bench, {"retry": "200ms", **(worker or {})}
        self.broker = Broker(bench, **(broker or {})).start()
        worker.update(self.endpoints())
        if getattr(web, "starts_workers", False):
            self.workers = []
            self.web = web(bench, broker=self.broker, **worker).start()
        else:
            names = [f"worker-{n + 1}" for n in range(workers)]
            self.workers = [Worker(
                bench, self.broker, name, **web.worker_options(bench, name), **worker
            ).start() for name in names]
            self.web = web(bench, self.workers).start()
        self.commands = bench.closing(self.broker.commands())
        self.readers = bench.closing(Readers())

    @property
    def worker(self):
        return self.workers[0]

    def endpoints(self):
        """Options of the workers that say where the broker is; for tests that put something in
        between."""
        return {}

    # Streams

    def url(self, session=None, channels=(), **query):
        """The address of a stream."""
        pairs = [("session", session)] if session is not None else []
        pairs += [("channels", ",".join(channels))] if channels else []
        query = urllib.parse.urlencode(pairs + list(query.items()))
        return self.web.url + ("?" + query if query else "")

    def start_open(self, session="anna", channels=(), last_event_id=None, query=None, **options):
        """Begin to open a stream, and do not wait."""
        return self.readers.open(self.url(session, channels, **(query or {})), last_event_id,
                                 **options)

    def open(self, session="anna", channels=(), last_event_id=None, **options):
        """Open a stream and wait until it is: nothing published from now on is missed."""
        return self.start_open(session, channels, last_event_id, **options).wait_open()

    def open_counted(self, *args, **options):
        """Open a stream and wait until the broker counts it, as `online` and `closed` of a reply
        do. (It is open before the broker knows: the worker's report goes another way.)"""
        reader = self.open(*args, **options)
        self.wait_counted(reader)
        return reader

    def open_many(self, sessions, timeout=60, **options):
        """A stream for each name of sessions."""
        readers = [self.start_open(session, **options) for session in sessions]
        wait_all_open(readers, timeout)
        return readers

    # Plain requests

    def request(self, method="GET", session=None, headers=None, path="", **query):
        """(status, headers with names in lower case, the body unless it is a stream)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=TIMEOUT)
        try:
            url = urllib.parse.urlsplit(self.url(session, **query))
            connection.request(method, url.path + path + ("?" + url.query if url.query else ""),
                               headers=headers or {})
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            stream = (response.status == 200 and method == "GET"
                      and headers.get("content-type") == "text/event-stream")
            return response.status, headers, b"" if stream else response.read()
        finally:
            connection.close()

    # What the broker knows

    def wait_connections(self, session, count, timeout=None):
        """Wait until the broker counts this number of connections of the session."""
        wait_until(
            lambda: self.commands.connections_of(session) == count, timeout,
            what=lambda: f"{count} connections of {session}; have {self.commands.online(session)}"
        )

    def wait_counted(self, *readers):
        """Wait until the broker counts the streams of these readers."""
        for reader in readers:
            # no other id is between this and its own
            before = reader.connection[:-1] + chr(ord(reader.connection[-1]) - 1) + "~"
            wait_until(lambda after=before, known=reader.connection: [
                c["connection"]
                for c in self.commands.connections(after=after, limit=1)["connections"]
            ] == [known], what=f"the broker counts {reader.connection}")

    def stat(self, name):
        return self.commands.stats()[name]

    def settle(self):
        """Until every worker has seen everything that was published so far. (A reply says stored,
        not yet everywhere.)"""
        for worker in self.workers:
            with FastCgi(worker.socket) as web:
                web.get("session=settle").wait_open()
                self.commands.publish("settle", data=0, to={"sessions": ["settle"]})
                web.wait_events(1)

    def wait_reported(self):
        """Until every worker knows that the broker took its reports so far. (The broker
        acknowledges them on the same way, before it replies to what the worker asks.)"""
        for worker in self.workers:
            with FastCgi(worker.socket) as web:
                web.get("", REQUEST_URI="/sse/metrics").wait_end()

    def publish(self, event=None, **fields):
        return self.commands.publish(event, **fields)
