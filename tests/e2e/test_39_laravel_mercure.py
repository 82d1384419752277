"""The requests of Laravel's driver for the Mercure protocol: of its broadcaster, and of pages with
it. No release on npm has it yet."""

import http.client
import json
import time
import urllib.parse

import pytest
from support.hub import DETAIL, FORM, GOOD, Hub, quoted
from support.waiting import TIMEOUT, wait_until

PREFIX = "https://laravel.alt/echo/"


@pytest.fixture(scope="module")
def hub(bench_of_all):
    return Hub(bench_of_all, workers=2, mercure_subscriptions=True, max_channels=200)


class Laravel:
    """An application with this hub: tokens as its broadcaster makes them, requests as a page's
    driver sends them."""

    def __init__(self, hub):
        self.hub = hub
        self.path = urllib.parse.urlsplit(hub.hub).path

    def topic(self, channel, kind="channel"):
        return f"{PREFIX}{kind}/{quoted(channel)}"

    def members(self, channel, end):
        return f"{self.path}/subscriptions/:match_type/{quoted(self.topic(channel))}{end}"

    def cookie(self, user, private=(), presence=()):
        """One token for all channels of a page."""
        def detail(actions, topics, **more):
            return {"type": DETAIL, "actions": actions, "topics": topics, **more}

        details = ([detail(["subscribe"], [{"match": self.topic(c)} for c in private])]
                   if private else [])
        details += [detail(["subscribe"], [{"match": self.topic(c)}, {
            "match": self.members(c, "{/:subscriber}?"), "match_type": "urlpattern"
        }], payload={"id": user}) for c in presence]
        whispers = [{"match": self.topic(c, "whisper")} for c in (*private, *presence)]
        details += [detail(["subscribe", "publish"], whispers)] if whispers else []
        token = self.hub.new_token(sub=user, client_id="app", iat=int(time.time()),
                                   jti=f"{user}-{time.time()}", authorization_details=details)
        return f"__Secure-mercure_access_token={token}"

    def listen(self, cookie, channels, presence=(), cursor=None):
        pairs = [("match", self.topic(c)) for c in (*channels, *presence)]
        pairs += [("match_urlpattern", self.members(c, "/:subscriber")) for c in presence]
        pairs += [("last_event_id", cursor)] if cursor else []
        return self._stream(cookie, pairs)

    def listen_to_whispers(self, cookie, channel):
        return self._stream(cookie, [("match", self.topic(channel, "whisper"))])

    def _stream(self, cookie, pairs):
        headers = {"Cookie": cookie, "Origin": GOOD}
        return self.hub.readers.open(self.hub.hub + "?" + urllib.parse.urlencode(pairs), None,
                                     headers=headers).wait_open()

    def post(self, cookie, topic, data):
        """As a page does: FormData of URLSearchParams. Returns the status."""
        status, headers, _ = self.hub.ask(
            "POST", body=[("topic", topic), ("data", json.dumps(data)), ("private", "on")],
            headers={"Cookie": cookie, "Origin": GOOD, "Content-Type": f"{FORM};charset=UTF-8"}
        )
        assert (headers["access-control-allow-origin"] == GOOD
                and headers["access-control-allow-credentials"] == "true")
        return status

    def snapshot(self, cookie, channel):
        """The payloads of a presence channel's members, sorted."""
        connection = http.client.HTTPConnection("127.0.0.1", self.hub.web.port, timeout=TIMEOUT)
        try:
            connection.request("GET",
                               f"{self.path}/subscriptions/exact/{quoted(self.topic(channel))}",
                               headers={"Cookie": cookie, "Origin": GOOD})
            response = connection.getresponse()
            assert (response.status == 200
                    and response.getheader("Access-Control-Allow-Origin") == GOOD)
            return sorted(s["payload"]["id"] for s in json.load(response)["subscriptions"]
                          if s["active"] and s.get("payload"))
        finally:
            connection.close()

    def broadcast(self, *channels, private, event="Sent"):
        body = json.dumps({"channels": list(channels), "event": event, "payload": {}})
        token = self.hub.new_token(publish=["*"], sub="server")
        return self.hub.update(*map(self.topic, channels), data=body, token=token,
                               **({"private": "on"} if private else {}))


@pytest.fixture
def laravel(hub):
    return Laravel(hub)


def names(reader):
    """The names of Laravel's events, in order."""
    return [json.loads(e.data)["event"] for e in reader.events if e.type == "message"]


def changes(reader, channel, laravel):
    """Who came (True) and went, as the driver takes it from the events of this channel."""
    documents = [json.loads(e.data) for e in reader.events if e.type == "mercure"]
    return [(d["payload"]["id"], d["active"]) for d in documents
            if d["match_type"] == "exact" and d["match"] == laravel.topic(channel)
            and d.get("payload")]


def test_laravel_s_channels(laravel, session):
    public, private = f"news-{session}", f"private-orders.{session} é!*'()"
    member = laravel.listen(laravel.cookie("1", private=[private]), [public, private])
    stranger = laravel.listen(laravel.cookie("2"), [public, private])
    laravel.broadcast(private, private=True, event="Secret")
    cursor = laravel.broadcast(public, f"other-{session}", private=False, event="Open")
    laravel.broadcast(private, private=True, event="Later")
    last = laravel.broadcast(public, private=False, event="Last")
    wait_until(lambda: names(member)[-1:] == names(stranger)[-1:] == ["Last"],
               what="the last event")
    assert (names(member) == ["Secret", "Open", "Later", "Last"]
            and names(stranger) == ["Open", "Last"])

    again = laravel.listen(laravel.cookie("1", private=[private]), [public, private], cursor=cursor)
    wait_until(lambda: names(again) == ["Later", "Last"], what="what came after the cursor")
    assert again.headers["mercure-last-event-id"] == cursor and again.events[-1].id == last


def test_laravel_s_whispers(laravel, session):
    channel = f"private-chat.{session}"
    anna, ben, stranger = [laravel.cookie(user, private=channels)
                           for user, channels in (("1", [channel]), ("2", [channel]), ("3", []))]
    whispers, others, page = laravel.listen_to_whispers(ben, channel), laravel.listen_to_whispers(
        stranger, channel
    ), laravel.listen(ben, [channel])
    whisper = {"channels": [channel], "event": "client-typing", "payload": {}, "socket": "x"}
    assert laravel.post(anna, laravel.topic(channel, "whisper"), whisper) == 200
    assert laravel.post(stranger, laravel.topic(channel, "whisper"), whisper) == 403
    assert laravel.post(anna, laravel.topic(channel), {**whisper, "event": "Forged"}) == 403
    laravel.broadcast(channel, private=True, event="Real")
    wait_until(lambda: names(page) == ["Real"] and names(whispers) == ["client-typing"],
               what="what each listens to")
    assert names(others) == []


def test_laravel_s_presence_channels(laravel, session):
    channel = f"presence-room.{session}"
    anna, ben = laravel.cookie("1", presence=[channel]), laravel.cookie("2", presence=[channel])
    first = laravel.listen(anna, [], [channel])
    assert (
        laravel.snapshot(anna, channel) == ["1"]
    ), "the snapshot has the page itself, as soon as its stream is open"

    second, tab = laravel.listen(ben, [], [channel]), laravel.listen(ben, [], [channel])
    phantom = laravel.listen(laravel.cookie("3"), [channel])
    assert laravel.snapshot(ben, channel) == [
        "1", "2", "2"
    ], "a page without the grant has no payload, so it is no member"
    wait_until(lambda: changes(first, channel, laravel)[-2:] == [("2", True), ("2", True)],
               what="those who come")

    for reader in (second, tab, phantom):
        reader.close()
    wait_until(lambda: changes(first, channel, laravel)[-2:] == [("2", False), ("2", False)],
               what="those who go")
    assert laravel.snapshot(anna, channel) == ["1"]


def test_laravel_s_many_channels(laravel):
    """Nearly as many as fit into 8 KB, which is the limit of the web server: a presence channel
    takes two places."""
    news, rooms = [f"n{n}" for n in range(60)], [f"presence-{n}" for n in range(12)]
    reader = laravel.listen(laravel.cookie("1", presence=rooms[-2:]), news, rooms)
    laravel.broadcast(rooms[0], private=True, event="Ungranted")
    laravel.broadcast(rooms[-1], private=True, event="Granted")
    laravel.broadcast(news[-1], private=False, event="Open")
    wait_until(lambda: names(reader) == ["Granted", "Open"], what="the events")
