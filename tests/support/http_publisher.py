"""A service that publishes over HTTP, with Python's http.client.

    publisher = HttpPublisher(site.web.url, token)
    status, headers, reply = publisher.publish(event="m", data=1)
"""

import http.client
import json
import urllib.parse

from .waiting import TIMEOUT


class HttpPublisher:
    """url: the mount point of the streams. One connection, kept open between requests when the
    server keeps it."""

    def __init__(self, url, token=None):
        parts = urllib.parse.urlsplit(url)
        self.path, self.token = parts.path + "/publish", token
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.connection.close()

    def headers(self, more=None):
        """None as a value takes a header away."""
        out = {"Content-Type": "application/json"}
        if self.token:
            out["Authorization"] = f"Bearer {self.token}"
        out.update(more or {})
        return {name: value for name, value in out.items() if value is not None}

    def send(self, body, headers=None, method="POST", query="", chunked=False):
        """(status, headers with names in lower case, the reply). body: bytes, or what becomes JSON;
        an iterable of bytes when chunked."""
        if not chunked and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.connection.request(method, self.path + query, body=body, headers=self.headers(headers),
                                encode_chunked=chunked)
        response = self.connection.getresponse()
        text = response.read()
        fields = {name.lower(): value for name, value in response.getheaders()}
        is_json = fields.get("content-type", "").startswith("application/json")
        return response.status, fields, json.loads(text) if is_json else text

    def publish(self, event=None, **fields):
        return self.send({**({"event": event} if event is not None else {}), **fields})

    def publish_batch(self, events):
        return self.send({"events": list(events)})
