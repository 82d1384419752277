"""The Mercure protocol with what else a stream meets: every store, a worker that stops, a reader
that is behind."""

import json
import shutil
import signal
import urllib.parse

import pytest
from support.hub import Hub
from support.nats import SERVER, NatsServer
from support.waiting import wait_until

BASE = "https://example.com/pairs"
FILL = "z" * 10_000


@pytest.fixture(params=["LMDB", "JetStream"])
def store(bench, request):
    """Options of the broker."""
    if request.param == "LMDB":
        return {"store": bench.subfolder("store")}
    if not shutil.which(SERVER):
        pytest.skip("no nats-server")
    return {"store": f"nats://{NatsServer(bench, 'nats').start().address}", "store_replicas": 1}


@pytest.fixture
def hub(bench, store):
    return Hub(bench, broker=store, heartbeat="300ms", retry="200ms", window_bytes="1M",
               queue_bytes="128K", write_timeout="60s")


def restart(hub):
    """Broker and worker have nothing but the store."""
    hub.broker.kill()
    hub.broker.start()
    hub.worker.kill()
    hub.worker.start()
    wait_until(lambda: hub.post(f"{BASE}/elsewhere", data="up")[0] == 200,
               what="the hub publishes again")


def publish(hub, count, first=0, private=False, data=str):
    """Through the broker, whose seq is the cursor behind a #."""
    return [hub.commands.publish(text=data(n), to={"channels": [f"{BASE}/books/{n}"]},
                                 private=private)["seq"] for n in range(first, first + count)]


def texts(reader):
    return [e.data for e in reader.events]


@pytest.mark.parametrize("selects", ["topic", "template", "everything"])
def test_a_seq_is_a_cursor_after_a_restart_of_everything(hub, selects):
    seqs = publish(hub, 10)
    restart(hub)
    topics = {"topic": [f"{BASE}/books/{n}" for n in range(10)] + [f"{BASE}/end"],
              "template": [f"{BASE}/books/{{id}}", f"{BASE}/end"], "everything": ["*"]}[selects]
    readers = {n: hub.subscribe(*topics, cursor=f"#{seqs[n]}") for n in (0, 4, 9)}
    hub.update(f"{BASE}/end", data="end")
    for n, reader in readers.items():
        reader.wait_data("end")
        assert (
            [d for d in texts(reader) if d != "up"] == [str(k) for k in range(n + 1, 10)] + ["end"]
        )
        assert "ssecast.gap" not in reader.types()


ROOM = "room:7"
MEMBERS = {"ssecast.join", "ssecast.leave", "ssecast.members"}


def come_and_go(hub, name):
    """A session joins the room and leaves it; then there is an update that everyone may read."""
    before = hub.stat("member_leaves")
    reader = hub.start_open(name, channels=[ROOM])
    reader.wait(lambda: any(name in e.data for e in reader.events if e.type in MEMBERS), "the join")
    reader.close()
    wait_until(lambda: hub.stat("member_leaves") > before, what="the leave")
    return hub.commands.publish(text=f"after {name}", to={"channels": [ROOM]})["seq"]


def of_members(reader):
    return [(e.type, json.loads(e.data)["session"]) for e in reader.events if e.type in MEMBERS]


@pytest.mark.parametrize("store", ["memory", "LMDB"])
def test_members_are_sent_to_subscribers_who_are_granted_their_channel(bench, store):
    stored = {} if store == "memory" else {"store": bench.subfolder("store")}
    hub = Hub(bench, broker={**stored, "presence_channels": "room:*", "presence_grace": "0s"},
              mercure_anonymous=True)
    tokens = {"anonymous": "", "nothing": hub.old_token(subscribe=[]),
              "another": hub.old_token(subscribe=["room:8"]),
              "template": hub.old_token(subscribe=["room:{id}"]),
              "topic": hub.old_token(subscribe=[ROOM]), "all": hub.old_token(subscribe=["*"]),
              "new": hub.new_token(subscribe=[ROOM]), "new nothing": hub.new_token(subscribe=["x"])}
    selected = {"*": "topic", ROOM: "topic", "room:{id}": "topic"}
    how = {(who, topic): {"name": name, "token": token} for who, token in tokens.items()
           if not who.startswith("new") for topic, name in selected.items()}
    how |= {(who, ROOM): {"name": "match", "token": tokens[who]} for who in ("new", "new nothing")}
    granted = {"template", "topic", "all", "new"}
    plain = hub.start_open("eve", channels=[ROOM]).wait_open()

    live = {key: hub.subscribe(key[1], **options) for key, options in how.items()}
    cursor = come_and_go(hub, "anna")
    for key, reader in live.items():
        reader.wait_data("after anna")
        assert of_members(reader) == ([("ssecast.join", "anna"), ("ssecast.leave", "anna")]
                                      if key[0] in granted else []), key
        reader.close()

    come_and_go(hub, "bert")
    resumed = {key: hub.subscribe(key[1], cursor=f"#{cursor}", **options)
               for key, options in how.items()}
    oldest = {key: hub.subscribe(key[1], cursor="earliest", **options)
              for key, options in how.items()}
    for key, reader in [*resumed.items(), *oldest.items()]:
        reader.wait_data("after bert")
        assert {session for _, session in of_members(reader)} - {"eve", "anna"} == (
            {"bert"} if key[0] in granted else set()
        ), key
        assert key[0] in granted or of_members(reader) == [], key

    hub.commands.publish(text="end", to={"channels": [ROOM]})
    for key, reader in [*resumed.items(), *oldest.items()]:
        reader.wait_data("end")
        assert key[0] in granted or of_members(reader) == [], "none is current state"
    plain.wait_data("end")
    assert of_members(plain)[-4:] == [("ssecast.join", "anna"), ("ssecast.leave", "anna"),
                                      ("ssecast.join", "bert"), ("ssecast.leave", "bert")]


@pytest.mark.parametrize("granted", [True, False])
def test_private_updates_are_resumed_with_patterns_by_those_who_may(hub, granted):
    token = hub.old_token(subscribe=[f"{BASE}/books/{{id}}"] if granted else [])
    first = hub.subscribe(f"{BASE}/{{+rest}}", token=token)
    publish(hub, 3, private=True)
    public = publish(hub, 1, first=3)
    first.wait_data("3")
    first.close()
    publish(hub, 3, first=4, private=True)
    for again in (False, True):
        if again:
            restart(hub)
        back = hub.subscribe(f"{BASE}/{{+rest}}", token=token, cursor=first.last_event_id)
        hub.update(f"{BASE}/end", data="end")
        back.wait_data("end")
        assert [d for d in texts(back) if d not in ("up", "end")] == (
            ["4", "5", "6"] if granted else []
        )
        assert "ssecast.gap" not in back.types()
        assert first.last_event_id == f"#{public[0]}"
    assert texts(first) == (["0", "1", "2", "3"] if granted else ["3"])


def test_a_drain_loses_no_update_of_a_pattern(hub):
    reader = hub.readers.open(hub.hub + "?" + f"topic={BASE}/books/%7Bid%7D",
                              headers={"Authorization": f"Bearer {hub.old_token(subscribe=[])}"},
                              stubborn=True, retry=0.1).wait_open()
    publish(hub, 5)
    hub.worker.expect_end()
    hub.worker.signal(signal.SIGTERM)
    publish(hub, 5, first=5)
    hub.worker.wait()
    hub.worker.start()
    publish(hub, 5, first=10)
    reader.wait_for(15)
    assert texts(reader) == [str(n) for n in range(15)]


def paused_reader(hub):
    """It selects by a pattern, and reads nothing."""
    reader = hub.readers.open(hub.hub + "?" + f"topic={BASE}/books/%7Bid%7D",
                              headers={"Authorization": f"Bearer {hub.old_token(subscribe=[])}"},
                              reconnect=True, retry=0.01, receive_buffer=4096).wait_open()
    reader.pause()
    return reader


def publish_until_it_is_cut(hub):
    """How many were published."""
    total = 0
    while not hub.commands.stats()["ends_slow"]:
        publish(hub, 100, first=total, data=lambda n: f"{n} {FILL}")
        total += 100
        assert total < 40_000
        hub.wait_reported()
    return total


def test_a_reader_with_patterns_beyond_the_window_is_cut_and_misses_nothing(hub):
    reader = paused_reader(hub)
    total = publish_until_it_is_cut(hub)
    reader.resume()
    reader.wait_for(total, timeout=60)
    assert [int(d.split()[0]) for d in texts(reader)] == list(range(total)) and reader.opens >= 2


def test_a_reader_with_patterns_beyond_the_history_is_told_a_gap(bench):
    hub = Hub(bench, broker={"history_events": 300}, heartbeat="300ms", window_bytes="1M",
              queue_bytes="128K", write_timeout="60s")
    reader = paused_reader(hub)
    total = publish_until_it_is_cut(hub)
    publish(hub, 400, first=total)
    total += 400
    reader.resume()
    reader.wait_data(str(total - 1), timeout=60)
    kinds = reader.types()
    assert kinds.count("ssecast.gap") == 1
    gap = kinds.index("ssecast.gap")
    numbers = [int(e.data.split()[0]) for e in reader.events if e.type != "ssecast.gap"]
    assert numbers[:gap] == list(range(gap)) and numbers[gap:] == list(range(total - 300, total))
    assert set(json.loads(reader.events[gap].data)) == {"last", "oldest"}


# Subscription events

SUBSCRIPTIONS = "/.well-known/mercure/subscriptions{/topic}{/subscriber}"


def watch(hub, cursor=None):
    url = hub.hub + "?" + urllib.parse.urlencode({"topic": SUBSCRIPTIONS})
    return hub.readers.open(url, cursor, headers={
        "Authorization": f"Bearer {hub.old_token(subscribe=[SUBSCRIPTIONS])}"
    }, stubborn=True, retry=0.1).wait_open()


def told(reader):
    """[(topic, subscriber, active)] in the order of their arrival, without those of the streams
    that watch."""
    return [(d["topic"], d["subscriber"], d["active"]) for d in map(json.loads, texts(reader))
            if d["topic"].startswith(BASE)]


def begin_and_end(hub, live, topic):
    """One subscription, from its begin to its end as another stream sees them."""
    before = len(told(live))
    reader = hub.subscribe(topic)
    live.wait(lambda: len(told(live)) == before + 1, "its begin")
    reader.close()
    live.wait(lambda: len(told(live)) == before + 2, "its end")


@pytest.mark.parametrize("other", ["reloads", "restarts of the workers", "restart of the broker"])
def test_subscriptions_that_begin_and_end_are_told_once_in_order_also_to_a_stream_that_resumes(
    bench, store, other
):
    hub = Hub(bench, broker=store, workers=2, mercure_subscriptions=True, mercure_anonymous=True,
              heartbeat="300ms", retry="200ms")
    live, away = watch(hub), watch(hub)
    begin_and_end(hub, live, f"{BASE}/0")
    away.wait(lambda: told(away) == told(live), "the same")
    away.close()
    for n in range(1, 5):
        begin_and_end(hub, live, f"{BASE}/{n}")
        if other == "reloads":
            for program in (*hub.workers, hub.broker):
                program.signal(signal.SIGHUP)
    if other == "restarts of the workers":
        for worker in hub.workers:
            worker.restart()
    elif other == "restart of the broker":
        hub.broker.kill()
        hub.broker.start()
    else:
        wait_until(lambda: all(w.log().count("reload") for w in hub.workers),
                   what="the workers have reloaded")
    back = watch(hub, cursor=away.last_event_id)
    begin_and_end(hub, live, f"{BASE}/last")
    back.wait(lambda: told(back)[-2:] == told(live)[-2:], "the last one")
    assert (told(back) == told(live)[2:]
            and [active for _, _, active in told(back)] == [True, False] * 5)
    assert "ssecast.gap" not in [*back.types(), *live.types()]
