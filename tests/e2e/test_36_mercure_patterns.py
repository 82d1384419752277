"""URI templates and URL patterns of the Mercure protocol: what they select, replays, grants and
limits."""

import itertools
import json
import shutil

import pytest
from support.apache import Apache
from support.bench import Bench
from support.hub import Hub
from support.lighttpd import Lighttpd
from support.nats import SERVER, NatsServer
from support.waiting import wait_until

PATTERNS = [("topic", "{base}/books/{{id}}"), ("match_urlpattern", "{base}/books/:id"),
            ("matchURLPattern", "{base}/books/:id")]
KINDS = ["template", "url", "URL"]


@pytest.fixture(scope="module", params=[Lighttpd, Apache], ids=["lighttpd", "apache"])
def hub(request):
    with Bench() as b:
        yield Hub(b, request.param, max_channels=100)


@pytest.fixture
def base(session):
    return f"https://example.com/{session}"


@pytest.fixture
def short(hub, counter=itertools.count()):
    """Web servers take requests of at most 8 KB."""
    return f"/s{next(counter)}"


def data(reader, count):
    return [e.data for e in reader.wait_for(count)]


def subscribe(hub, pattern, base, **options):
    name, text = pattern
    return hub.subscribe(text.format(base=base), name=name, **options)


# What they select

@pytest.mark.parametrize("pattern", PATTERNS, ids=KINDS)
def test_a_pattern_selects_the_topics_that_it_matches(hub, base, pattern):
    reader = subscribe(hub, pattern, base)
    for topic in (f"{base}/books/1", f"{base}/books/1/reviews", f"{base}/authors/1",
                  f"{base}/books/2"):
        hub.update(topic, data=topic)
    hub.publish("everyone", text="no")
    hub.publish("mine", text="no", to={"connections": [reader.connection]})
    hub.publish("m", text="end", to={"channels": [f"{base}/books/end"]})
    assert data(reader, 3) == [f"{base}/books/1", f"{base}/books/2", "end"]


def test_an_update_arrives_once_whatever_selects_it(hub, base):
    templates = hub.subscribe(f"{base}/{{a}}", f"{base}{{/a}}", f"{base}/1", f"{base}/{{+a}}")
    urls = hub.subscribe(f"{base}/:a", f"{base}/*", f"{base}/1{{/x}}?", name="match_urlpattern")
    every = hub.subscribe("*", f"{base}/{{a}}")
    for n in range(3):
        hub.update(f"{base}/1", f"{base}/2", data=str(n))
    hub.update(f"{base}/end", data="end")
    for reader in (templates, urls):
        assert data(reader, 4) == ["0", "1", "2", "end"]
    every.wait_data("end")
    assert [d for d in every.data() if d in "012end"] == ["0", "1", "2", "end"]


def test_a_template_that_is_a_topic(hub, base):
    reader = hub.subscribe(f"{base}/{{id}}")
    hub.update(f"{base}/{{id}}", data="1")
    assert data(reader, 1) == ["1"]


def test_a_pattern_may_be_relative_to_the_hub(hub, session):
    reader = hub.subscribe(f"/{session}/:id", name="match_urlpattern")
    hub.update(f"/{session}/1", data="path")
    hub.update(f"https://elsewhere.example/{session}/1", data="no")
    hub.update(f"http://127.0.0.1:{hub.web.port}/{session}/2", data="url")
    assert data(reader, 2) == ["path", "url"]


def test_a_hundred_patterns_of_one_stream(hub, short):
    reader = hub.subscribe(*[f"{short}/{n}/{{id}}" for n in range(100)])
    for n in (0, 57, 99, 100):
        hub.update(f"{short}/{n}/x", data=str(n))
    hub.update(f"{short}/1/x", data="end")
    assert data(reader, 4) == ["0", "57", "99", "end"]


def test_many_streams_share_patterns_and_leave(hub, base):
    readers = [hub.subscribe(f"{base}/{{id}}", f"{base}/{n % 3}/{{id}}") for n in range(12)]
    for reader in readers[::2]:
        reader.close()
    hub.update(f"{base}/1", data="all")
    hub.update(f"{base}/1/x", data="third")
    hub.update(f"{base}/2", data="end")
    for n, reader in list(enumerate(readers))[1::2]:
        assert data(reader, 3 if n % 3 == 1 else 2) == (
            ["all", "third", "end"] if n % 3 == 1 else ["all", "end"]
        )


def test_a_shutdown_ends_those_whose_patterns_match(hub, base):
    ended, other = hub.subscribe(f"{base}/a/{{id}}"), hub.subscribe(f"{base}/b/{{id}}")
    hub.commands.shutdown(channels=[f"{base}/a/1"])
    ended.wait_end()
    hub.update(f"{base}/b/1", data="1")
    assert data(other, 1) == ["1"]


# Replays

@pytest.mark.parametrize("pattern", PATTERNS, ids=KINDS)
def test_a_replay_from_a_cursor_is_exact(hub, base, pattern):
    ids = [hub.update(f"{base}/{'books' if n % 3 else 'authors'}/{n}", data=str(n))
           for n in range(9)]
    hub.publish("everyone", text="no")
    hub.commands.shutdown(channels=[f"{base}/authors/1"])
    hub.update(f"{base}/books/end", data="end")
    for cursor, left in ((ids[0], "124578"), (ids[3], "4578"), (ids[8], "")):
        assert data(subscribe(hub, pattern, base, cursor=cursor), len(left) + 1) == [*left, "end"]
    earliest = subscribe(hub, pattern, base, cursor="earliest")
    assert data(earliest, 7) == [*"124578", "end"] and "ssecast.gap" not in earliest.types()


def beyond_the_window(hub, broker_restarts=True):
    """The worker is a new one, or remembers nothing: the broker answers."""
    base = "https://example.com/x"
    ids = [hub.update(f"{base}/{'books' if n % 3 else 'authors'}/{n}", data=str(n))
           for n in range(9)]
    for n in range(40):
        hub.update(f"{base}/other/{n}", data=str(n))
    hub.update(f"{base}/books/secret", data="secret", private="on")
    if broker_restarts:
        hub.broker.kill()
        hub.broker.start()
    hub.worker.kill()
    hub.worker.start()
    wait_until(lambda: hub.post(f"{base}/books/end", data="end")[0] == 200,
               what="the hub publishes again")

    readers = [subscribe(hub, pattern, base, cursor=cursor) for pattern in PATTERNS
               for cursor in (ids[0], "earliest")]
    granted = hub.subscribe(f"{base}/books/{{id}}", cursor=ids[4],
                            token=hub.old_token(subscribe=[f"{base}/{{a}}/{{b}}"]))
    for reader in readers:
        assert (data(reader, 7)[:6] == [*"124578"] and reader.wait_data("end")
                and "secret" not in reader.data())
    assert data(granted, 5)[:4] == ["5", "7", "8", "secret"]
    assert all("ssecast.gap" not in r.types() for r in [*readers, granted])


@pytest.mark.parametrize("web", [Lighttpd, Apache], ids=["lighttpd", "apache"])
def test_the_broker_answers_beyond_the_window_with_lmdb(bench, web):
    beyond_the_window(Hub(bench, web, broker={"store": bench.subfolder("store")}))


def test_the_broker_answers_beyond_the_window_in_memory(bench):
    beyond_the_window(Hub(bench), broker_restarts=False)


@pytest.mark.skipif(not shutil.which(SERVER), reason="no nats-server")
def test_the_broker_answers_beyond_the_window_with_jetstream(bench):
    server = NatsServer(bench, "nats").start()
    beyond_the_window(Hub(bench, broker={"store": f"nats://{server.address}", "store_replicas": 1}))


def test_a_window_of_nothing(bench):
    hub, base = Hub(bench, window_bytes=0), "https://example.com/x"
    first = hub.update(f"{base}/books/0", data="0")
    for n in range(1, 200):
        hub.update(f"{base}/{'books' if n % 50 == 0 else 'other'}/{n}", data=str(n))
    for pattern in PATTERNS:
        reader = subscribe(hub, pattern, base, cursor=first)
        assert data(reader, 3) == ["50", "100", "150"]
    hub.update(f"{base}/books/end", data="end")
    assert data(reader, 4)[3] == "end"


def test_a_long_window_is_read_in_pieces(hub, short):
    """Others are served meanwhile, and nothing is missed or sent twice."""
    first = hub.update(f"{short}/books/first", data="first")
    hub.commands.publish_many([{"op": "publish", "text": str(n), "to": {
        "channels": [f"{short}/{'books' if n % 100 == 0 else 'x'}/{n}"]
    }} for n in range(3000)])
    hub.settle()
    patterns = [f"{short}/books/{{id}}", *[f"{short}/{n}{{a}}b{{c}}" for n in range(60)]]
    readers = [hub.start_subscribe(*patterns, cursor=first) for _ in range(5)]
    hub.update(f"{short}/books/end", data="end")
    for reader in readers:
        assert data(reader, 31) == [*[str(n) for n in range(0, 3000, 100)], "end"]


def test_a_reader_that_stalls_goes_on_exactly(bench):
    hub, base = Hub(bench, queue_bytes="64K"), "https://example.com/x"
    reader = hub.subscribe(f"{base}/books/{{id}}")
    reader.pause()
    for n in range(300):
        hub.update(f"{base}/{'books' if n % 3 else 'x'}/{n}", data=str(n) + "x" * 4000)
    reader.resume()
    assert [d.rstrip("x") for d in data(reader, 200)] == [str(n) for n in range(300) if n % 3]


# Grants, with fresh ids each

@pytest.mark.parametrize("make", ["old", "new"])
def test_a_pattern_in_a_token_grants_private_updates(hub, base, make):
    def token(pattern, other):
        return (hub.old_token(subscribe=[pattern])
                if make == "old" else hub.new_token(subscribe=[other], match_type="urlpattern"))
    books, authors = (token(f"{base}/{k}/{{id}}", f"{base}/{k}/:id") for k in ("books", "authors"))
    for topic in (f"{base}/books/1", f"{base}/books/{{id}}"):
        granted, other, none = (hub.start_subscribe(topic, token=t) for t in (books, authors, None))
        for reader in (granted, other, none):
            reader.wait_open()
        hub.update(f"{base}/books/1", data="secret", private="on", id=f"urn:{base}:{make}:{topic}")
        hub.update(f"{base}/books/1", data="public")
        assert data(granted, 2) == ["secret", "public"]
        assert data(other, 1) == ["public"] and data(none, 1) == ["public"]


def test_a_grant_may_be_for_an_alternate_topic(hub, base):
    first = hub.update(f"{base}/books/0", data="0")
    options = {"token": hub.old_token(subscribe=[f"{base}/users/anna{{/rest*}}"])}
    granted, other = hub.subscribe(f"{base}/books/{{id}}",
                                   **options), hub.subscribe(f"{base}/books/{{id}}")
    hub.update(f"{base}/books/1", f"{base}/users/anna", data="anna", private="on")
    hub.update(f"{base}/books/2", f"{base}/users/bert", data="bert", private="on")
    hub.update(f"{base}/books/3", data="public")
    assert data(granted, 2) == ["anna", "public"] and data(other, 1) == ["public"]
    assert data(hub.subscribe(f"{base}/books/{{id}}", cursor=first, **options), 2) == [
        "anna", "public"
    ]
    assert data(hub.subscribe(f"{base}/books/{{id}}", cursor=first), 1) == ["public"]


def test_a_pattern_in_a_token_permits_to_publish(hub, base):
    old = hub.old_token(publish=[f"{base}/books/{{id}}"])
    new = hub.new_token(publish=[f"{base}/books/:id"], match_type="urlpattern")
    exact = hub.new_token(publish=[f"{base}/books/:id", f"{base}/{{id}}"])
    for token in (old, new):
        assert hub.post(f"{base}/books/1", f"{base}/books/2", data="1", token=token)[0] == 200
        assert hub.post(f"{base}/books/1", f"{base}/authors/2", data="1", token=token)[0] == 403
        assert hub.post(f"{base}/books/1/2", data="1", token=token)[0] == 403
    assert hub.post(f"{base}/books/1", data="1", token=exact)[0] == 403
    assert hub.post(f"{base}/{{id}}", data="1", token=exact)[0] == 200


def test_a_token_with_a_pattern_that_is_none(hub, base):
    for token in (hub.old_token(subscribe=[f"{base}/{{id"]),
                  hub.old_token(publish=["*", f"{base}/{{id:3}}"]),
                  hub.new_token(subscribe=[f"{base}/(.*)"], match_type="urlpattern")):
        assert hub.ask("GET", [("topic", base)], token=token)[0] == 401
        assert hub.post(base, data="1", token=token)[0] == 401


# What is refused

@pytest.mark.parametrize("name,value,says", [
    ("topic", "/{id", "a { is not closed (byte 2)"), ("topic", "/id}", "a } closes nothing"),
    ("topic", "/{}", "no valid name"), ("topic", "/{id:3}", "prefix modifiers"),
    ("topic", "/{!id}", "reserved"), ("topic", "/{a}%", "% begins no escape"),
    ("topic", "/{a}" + "x" * 509, "at most 512"), ("topic", "/{a}" + "-{a}" * 60, "too many parts"),
    ("match_urlpattern", "", "empty"),
    ("match_urlpattern", "/(a+)+", "regular expressions are not supported (byte 2)"),
    ("match_urlpattern", "books/:id", "neither a URL nor a path"),
    ("match_urlpattern", "/{a", "braces"),
    ("match_urlpattern", "https://me@example.com/", "users are not supported"),
    ("match_urlpattern", "/a+", "modifies nothing"),
    ("matchURLPattern", "/" + ":a-" * 170, "too many parts"),
    ("match_urlpattern", "/" + "x" * 512, "at most 512"),
    ("matchUrlPattern", "/:id", "matchUrlPattern is not a parameter"),
])
def test_what_is_no_pattern_is_refused(hub, name, value, says):
    status, _, body = hub.ask("GET",
                              [("topic" if name == "topic" else "match", "good"), (name, value)],
                              token=hub.old_token(subscribe=["*"]))
    message = json.loads(body)["message"]
    assert (status == 400 and says in message
            and ("accepted" in message or "not supported" in message)), message


def test_patterns_and_topics_are_counted_together(hub, short):
    token = hub.old_token(subscribe=["*"])
    query = [("topic", f"{short}/{n}") for n in range(50)] + [
        ("topic", f"{short}/{n}/{{id}}") for n in range(51)
    ]
    status, _, body = hub.ask("GET", query, token=token)
    assert status == 400 and "at most 100" in json.loads(body)["message"]
    # twice the same is once
    assert hub.ask("GET", [*query[:-1], *query[:-1]], token=token)[0] == 200
    assert hub.ask("GET", [("topic", "x" * 2048)], token=token)[0] == 400
    assert hub.ask("POST", body=[("topic", "x" * 2048)],
                   token=hub.old_token(publish=["*"]))[0] == 400


def test_the_patterns_of_a_worker_are_limited(bench):
    hub, base = Hub(bench, mercure_max_patterns=3), "https://example.com"
    first = hub.subscribe(f"{base}/1/{{id}}", f"{base}/2/{{id}}")
    shared = hub.subscribe(f"{base}/1/{{id}}", f"{base}/3/{{id}}")
    refused = hub.start_subscribe(f"{base}/4/{{id}}")
    refused.wait_end()
    assert "too many patterns, raise mercure-max-patterns" in hub.worker.log()
    hub.update(f"{base}/1/x", data="1")
    assert data(first, 1) == ["1"] and data(shared, 1) == ["1"]
    exact = hub.subscribe(f"{base}/1")
    shared.close()
    wait_until(lambda: not hub.start_subscribe(f"{base}/4/{{id}}").wait_head().status == 503
                   and hub.subscribe(f"{base}/4/{{id}}"), what="room for a pattern")
    hub.update(f"{base}/1", data="2")
    assert data(exact, 1) == ["2"]


def test_a_long_pattern_counts_several_times(bench):
    hub = Hub(bench, mercure_max_patterns=10)
    costly = "/" + "{a}?" * 50
    hub.subscribe(costly, name="match_urlpattern")
    refused = hub.start_subscribe(costly + "b", name="match_urlpattern")
    refused.wait_end()
    assert "too many patterns, raise mercure-max-patterns" in hub.worker.log()
    assert hub.subscribe(costly, name="match_urlpattern"), "the same one costs nothing more"
    assert hub.subscribe("/{id}")
