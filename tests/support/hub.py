"""A hub of the Mercure protocol: a site, its tokens and its requests."""

import http.client
import time
import urllib.parse

import jwt

from .apache import Apache
from .lighttpd import Lighttpd
from .site import Site
from .tokens import Issuer
from .waiting import TIMEOUT

PATH = "/.well-known/mercure"
GOOD = "https://app.example"
DETAIL = "https://mercure.rocks/authorization-detail"
FORM = "application/x-www-form-urlencoded"


def quoted(text):
    """For a part of a path."""
    return urllib.parse.quote(text, safe="")


class HubApache(Apache):
    """The list of subscriptions has topics in its paths, as docs/mercure.md says."""

    def more(self):
        return ["AllowEncodedSlashes NoDecode"]


class Hub(Site):
    """A site whose workers answer as a hub, behind any prefix."""

    def __init__(self, bench, web=Lighttpd, broker=None, workers=1, **worker):
        bench.folder.chmod(0o755)
        self.issuer = Issuer(bench.folder / "jwt.key")
        worker = {"mercure": True, "jwt_secret_file": self.issuer.secret_file,
                  "session_from": ["query:session", "jwt", "none"],
                  "channels_from": ["query:channels", "jwt"], "cors_origin": GOOD, **worker}
        super().__init__(bench, web=web, workers=workers, broker=broker, worker=worker)
        self.hub = self.web.url + PATH

    # Tokens

    def old_token(self, publish=None, subscribe=None, seconds=3600, payload=None, **claims):
        """Dialect 0.x."""
        lists = {"publish": publish, "subscribe": subscribe, "payload": payload}
        return self.issuer.token(seconds, mercure={k: v for k, v in lists.items() if v is not None},
                                 **claims)

    def new_token(self, publish=(), subscribe=(), seconds=3600, typ="at+jwt",
                  match_type="exact", **claims):
        """Dialect 1.0."""
        details = [{"type": DETAIL, "actions": [action],
                    "topics": [{"match": t, "match_type": match_type} for t in topics]}
                   for action, topics in (("publish", publish), ("subscribe", subscribe)) if topics]
        claims = {"iss": "https://issuer.example", "aud": self.hub,
                  "exp": int(time.time()) + seconds, "sub": "anna",
                  "authorization_details": details, **claims}
        return jwt.encode({k: v for k, v in claims.items() if v is not None}, self.issuer.secret,
                          algorithm="HS256", headers={"typ": typ})

    # Requests

    def ask(self, method, query=(), body=None, headers=None, token=None):
        """(status, headers with names in lower case, the body unless it is a stream)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=TIMEOUT)
        try:
            path = urllib.parse.urlsplit(self.hub).path
            query = urllib.parse.urlencode(list(query))
            headers = dict(headers or {})
            if token:
                headers["Authorization"] = f"Bearer {token}"
            if body is not None:
                headers.setdefault("Content-Type", FORM)
                body = (body
                        if isinstance(body, bytes) else urllib.parse.urlencode(list(body)).encode())
            connection.request(method, path + ("?" + query if query else ""), body=body,
                               headers=headers)
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            stream = (response.status == 200 and fields.get("content-type") == "text/event-stream"
                      and method == "GET")
            return response.status, fields, b"" if stream else response.read()
        finally:
            connection.close()

    def post(self, *topics, token=None, headers=None, **fields):
        """Publish an update with these topics."""
        token = token if token is not None else self.old_token(publish=["*"])
        return self.ask("POST", body=[("topic", t) for t in topics] + list(fields.items()),
                        token=token or None, headers=headers)

    def update(self, *topics, **fields):
        """Publish, and the update's id."""
        status, headers, body = self.post(*topics, **fields)
        assert status == 200 and headers["content-type"].startswith("text/plain"), body
        return body.decode()

    def start_subscribe(self, *topics, name="topic", token=None, cursor=None,
                        headers=None, **query):
        pairs = [(name, t) for t in topics] + list(query.items())
        headers = dict(headers or {})
        token = token if token is not None else self.old_token(subscribe=[])
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return self.readers.open(self.hub + "?" + urllib.parse.urlencode(pairs), cursor,
                                 headers=headers)

    def subscribe(self, *topics, **options):
        return self.start_subscribe(*topics, **options).wait_open()
