"""client/php/ssecast.php: publishing, tokens, presence and webhooks from PHP, over HTTP in two ways
and over ZeroMQ, with a real broker."""

import base64
import hashlib
import hmac
import json
import shutil
import socket
import subprocess
import threading
import time

import jwt
import pytest
from support.apache import Apache
from support.broker import Broker
from support.keys import Keys
from support.lighttpd import Lighttpd
from support.ports import free_port
from support.processes import BUILD, ROOT, clean_environment, run
from support.site import Site
from support.tls import LighttpdTls
from support.tokens import Issuer
from support.waiting import TIMEOUT

pytestmark = pytest.mark.skipif(not shutil.which("php"), reason="no php: make deps")

CLASS = ROOT / "client" / "php" / "ssecast.php"
PHP_FILES = sorted([*(ROOT / "client" / "php").rglob("*.php"), *(ROOT / "examples").rglob("*.php")])

PROGRAM = """<?php
error_reporting(E_ALL);
set_error_handler(function ($n, $text, $file, $line) {
    throw new ErrorException("$text at $line", 0, $n, $file, $line);
});
require %s;
use Ssecast\\{Client, Http, ZeroMq, Signer, Webhook, BadValue, Failure};
$in = json_decode(stream_get_contents(STDIN), true);
try {
    $out = (function () use ($in) { %s })();
    echo json_encode(['value' => $out]);
} catch (Failure $e) {
    echo json_encode(['failure' => $e->error, 'message' => $e->getMessage(),
                      'status' => $e->status, 'unknown' => $e->unknown]);
} catch (BadValue $e) {
    echo json_encode(['bad' => $e->getMessage()]);
}
"""


def php(code, options=(), **given):
    """Runs the body of a function, to which $in is what is given. Returns what it gave, as
    {"value": …}, {"failure": …} or {"bad": …}."""
    done = run(
        ["php", *options, "-r", (PROGRAM % (repr(str(CLASS)), code)).removeprefix("<?php\n")],
        stdin=json.dumps(given), timeout=60
    )
    assert done.returncode == 0 and not done.stderr and done.stdout.startswith("{"), done
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def issuer(bench_of_all):
    return Issuer(bench_of_all.folder / "jwt.key")


@pytest.fixture(scope="module")
def sites(bench_of_all, issuer):
    """Behind lighttpd and behind Apache."""
    worker = {"publish": True, "jwt_secret_file": issuer.secret_file,
              "session_from": "jwt,query:session"}
    return {web.name: Site(bench_of_all if web is Lighttpd else Sub(bench_of_all, web.name),
                           web=web, worker=worker, broker={"presence_channels": "room:*"})
            for web in (Lighttpd, Apache)}


class Sub:
    """A bench's folder within a folder, for a second site."""

    def __init__(self, bench, name):
        self.bench, self.folder = bench, bench.subfolder(f"site-{name}")

    def __getattr__(self, name):
        return getattr(self.bench, name)

    def subfolder(self, name):
        return self.bench.subfolder(f"{self.folder.name}/{name}")


WAYS = {
    "curl": "$c = new Client(new Http($in['url'], $in['token'], 5.0));",
    "streams": "$c = new Client(new Http($in['url'], $in['token'], 5.0, false));",
    "zeromq": "$c = Client::zeromq($in['commands']);",
}
PER_WAY = pytest.mark.parametrize(
    "way, web", [("curl", "lighttpd"), ("curl", "apache"), ("streams", "lighttpd"),
                 ("streams", "apache"), ("zeromq", "lighttpd")], ids=lambda v: v
)


@pytest.fixture
def ask(sites, issuer):
    def ask(way, web, body, token=None, **given):
        site = sites[web]
        token = token or issuer.token(publish=True, sub="php")
        return php(WAYS[way] + body, url=site.web.url, token=token,
                   commands=site.broker.endpoint("commands"), **given)
    return ask


@PER_WAY
def test_an_event_is_published(sites, ask, way, web, session):
    reader = sites[web].open(session)
    data = {"text": "grüße \"<b>\" \\ \u2028 😀", "list": [], "number": 1.0, "null": None}
    got = ask(way, web, "return $c->publish('greeting', $in['data'] + ['empty' => new stdClass()], "
              "['to' => ['sessions' => [$in['session']]]]);", data=data, session=session)
    assert got["value"]["ok"] is True and got["value"]["online"] == 1
    [event] = reader.wait_for(1)
    assert (event.type == "greeting" and json.loads(event.data) == {**data, "empty": {}}
            and '"number":1.0' in event.data)


@PER_WAY
def test_text_batches_and_fields(sites, ask, way, web, session):
    channel = int(time.time() * 1e6)
    reader = sites[web].open(session, channels=[str(channel)])
    to = f"['sessions' => ['{session}']]"
    got = ask(way, web, f"""return [
        $c->publishText(null, "two\\nlines", ['to' => {to}]),
        $c->publishAll([['event' => 'a', 'data' => null, 'to' => {to}],
                        ['text' => '', 'to' => ['channels' => [{channel}]]]]),
        $c->publish('state', 1, ['to' => ['channels' => ['{channel}']], 'key' => 'k', 'ttl' => 60]),
        $c->publish('nobody', 1, ['to' => []]),
        $c->publish('nobody', 1, ['to' => ['sessions' => []]]),
        $c->publish('not', 1, ['to' => {to}, 'except' => ['channels' => [{channel}]]]),
    ];""")["value"]
    assert len(got[1]["seqs"]) == 2
    events = reader.wait_for(4)
    assert [(e.type, e.data) for e in events] == [("message", "two\nlines"), ("a", "null"),
                                                  ("message", ""), ("state", "1")]
    sites[web].publish("end", data=0, to={"sessions": [session]})
    assert reader.wait_for(5)[4].type == "end"


@PER_WAY
def test_the_same_id_is_published_once(sites, ask, way, web, session):
    reader = sites[web].open(session)
    got = ask(way, web, "$e = ['id' => $in['s'] . '-1', 'to' => ['sessions' => [$in['s']]]]; "
              "return [$c->publish('m', 1, $e), $c->publish('m', 1, $e)];", s=session)["value"]
    assert got[1]["duplicate"] is True and got[0]["seq"] == got[1]["seq"]
    assert len(reader.wait_for(1)) == 1


BAD_EVENTS = [
    ("$c->publish(\"a\\nb\", 1)", "event.event is"), ("$c->publish(\"a\\rdata: x\", 1)", "CR, LF"),
    ("$c->publish(\"\\xff\", 1)", "UTF-8"), ("$c->publish(str_repeat('x', 256), 1)", "255 bytes"),
    ("$c->publish('m', \"\\xff\")", "cannot become JSON"),
    ("$c->publish('m', NAN)", "cannot become JSON"),
    ("$c->publish('m', 1, ['to' => ['session' => ['a']]])", "accepted are lists named sessions"),
    ("$c->publish('m', 1, ['to' => 'anna'])", "event.to is no array"),
    ("$c->publish('m', 1, ['to' => ['sessions' => 'anna']])", "event.to"),
    ("$c->publish('m', 1, ['to' => ['sessions' => ['a', '']]])", "event.to.sessions[1]"),
    ("$c->publish('m', 1, ['to' => ['sessions' => [1.5]]])", "double"),
    ("$c->publish('m', 1, ['to' => ['sessions' => [\"a\\r\\n\"]]])", "event.to.sessions[0]"),
    ("$c->publish('m', 1, ['too' => []])", "event.too is not a field"),
    ("$c->publish('m', 1, ['text' => 'x'])", "data or text"),
    ("$c->publish('m', 1, ['id' => \"a\\nb\"])", "event.id"),
    ("$c->publish('m', 1, ['key' => ''])", "event.key"), ("$c->publishAll([])", "events is empty"),
    ("$c->publishAll([['data' => 1], ['data' => 1, 'event' => \"\\n\"]])", "events[1].event"),
    ("$c->publishAll([7])", "events[0] is no array"),
    ("$c->presence(\"a\\r\\nb\")", "channel is"), ("$c->presence('')", "channel is"),
    ("new Http(\"http://h/sse\\r\\nX: 1\", 't')", "the URL"),
    ("new Http('ftp://h/sse', 't')", "the URL"), ("new Http('http://u:p@h/sse', 't')", "the URL"),
    ("new Http('file:///etc/passwd', 't')", "the URL"),
    ("new Http('http://h/sse?x', 't')", "the URL"),
    ("new Http('http://h/sse', \"t\\r\\nX: 1\")", "the token"),
    ("new Http('http://h/sse', \"t\\n\")", "the token"),
    ("new Http('http://h/sse', '')", "the token"),
    ("new Http('http://h/sse', 't', 0.0)", "timeout"),
    ("new ZeroMq('http://x')", "the endpoint"), ("new ZeroMq(\"tcp://x\\n\")", "the endpoint"),
    ("new ZeroMq('tcp://127.0.0.1:1', 1.0, ['server' => 'x'])", "curve"),
    ("new Client(new ZeroMq('tcp://127.0.0.1:1'), 0)", "attempts"),
]


def test_bad_values_are_named_and_nothing_is_sent():
    """To a broker that is not there, so that an attempt would be a Failure."""
    bodies = ", ".join(f"function ($c) {{ return {body}; }}" for body, _ in BAD_EVENTS)
    got = php("$c = Client::zeromq('tcp://127.0.0.1:1', 0.1); "
              "$out = []; foreach ([" + bodies + "] as $f) { try { $f($c); $out[] = 'nothing'; } "
              "catch (BadValue $e) { $out[] = $e->getMessage(); } catch (Throwable $e) { $out[] = "
              "get_class($e) . $e->getMessage(); } } return $out;")["value"]
    for (body, part), message in zip(BAD_EVENTS, got, strict=True):
        assert (part in message and "Failure" not in message
                and "Error" not in message), (body, message)


@pytest.mark.parametrize("way, web", [("curl", "lighttpd"), ("streams", "apache"),
                                      ("curl", "apache"), ("streams", "lighttpd")])
def test_what_is_refused_is_an_exception_with_its_name(ask, issuer, way, web):
    publish = "return $c->publish('m', 1);"
    assert ask(way, web, publish,
               token=issuer.token(publish=True, seconds=-5))["failure"] == "token_expired"
    got = ask(way, web, publish, token=issuer.token(publish={"channels": ["news"]}))
    assert (got["failure"] == "forbidden" and got["status"] == 403 and got["unknown"] is False
            and "forbidden: " in got["message"])
    assert ask(way, web, publish, token="a.b.c")["failure"] == "invalid_token"
    assert ask(way, web, "return $c->publish('ssecast.x', 1);")["failure"] == "bad_request"
    assert ask(way, web, "return $c->publish('m', str_repeat('x', 3000000));")["status"] == 413
    assert ask(way, web, "return $c->shutdown(['sessions' => ['a']]);")["failure"] == "forbidden"
    got = ask(way, web,
              "$c = new Client(new Http($in['url'] . '/nothing', $in['token']));" + publish)
    assert got["status"] == 404


def test_zeromq_has_the_other_commands(sites, ask, session):
    site = sites["lighttpd"]
    reader = site.open_counted(session)
    got = ask("zeromq", "lighttpd", "return [$c->isOnline($in['s']), $c->isOnline('nobody-here'), "
              "$c->shutdown(['sessions' => [$in['s']]], 'logout')];", s=session)["value"]
    assert got[:2] == [True, False] and got[2]["closed"] == 1
    reader.wait_type("ssecast.shutdown")
    assert ask("zeromq", "lighttpd",
               "return $c->publish('ssecast.x', 1);")["failure"] == "bad_request"


@pytest.mark.parametrize("way, web",
                         [("curl", "lighttpd"), ("streams", "lighttpd"), ("zeromq", "lighttpd"),
                          ("curl", "apache"), ("streams", "apache")])
def test_presence_is_listed(sites, ask, issuer, way, web):
    readers = [sites[web].open_counted(name, channels=["room:ä&7"]) for name in ("u1", "u2", "u3")]
    token = issuer.token(sub="php")
    names = "array_column($p['members'], 'session')"
    got = ask(way, web, f"$p = $c->presence('room:ä&7', null, 2); $one = {names}; "
              "$more = $p['more']; $p = $c->presence('room:ä&7', 'u2');"
              f"return [$one, $more, {names}, $p['more']];", token=token)["value"]
    assert got == [["u1", "u2"], True, ["u3"], False]
    assert ask(way, web, "return $c->presence('other');", token=token)["failure"] == "not_found"
    assert all(not r.ended for r in readers)


# Bad networks

class Odd:
    """A web server that answers with these bytes, whatever it is asked, and keeps the requests."""

    def __init__(self, *answers, pause=0):
        self.answers, self.requests, self.pause = list(answers), [], pause
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/sse"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while self.answers:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                data = b""
                while (b"\r\n\r\n" not in data
                       or len(data.partition(b"\r\n\r\n")[2]) < length_of(data)):
                    piece = connection.recv(65536)
                    if not piece:
                        break
                    data += piece
                self.requests.append(data)
                answer = self.answers.pop(0)
                try:
                    for byte in ([answer] if not self.pause
                                 else [answer[i:i + 1] for i in range(len(answer))]):
                        connection.sendall(byte)
                        time.sleep(self.pause)
                except OSError:
                    pass

    def close(self):
        self.listener.close()


def length_of(data):
    for line in data.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def answer(status, body, *headers):
    lines = [f"HTTP/1.1 {status} x", "Content-Type: application/json",
             f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body.encode()


OK = answer(200, '{"ok":true,"seq":7,"online":0}')
HTTP_WAYS = pytest.mark.parametrize("way", ["curl", "streams"])


@HTTP_WAYS
@pytest.mark.parametrize("first", [b"", answer(503, '{"error":"unavailable","message":"m"}'),
                                   answer(502, "<html>bad gateway"), answer(200, "<html>"),
                                   b"HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\n{"],
                         ids=["cut", "503", "502", "200", "half"])
def test_an_unknown_outcome_is_tried_again_with_the_same_id(bench, way, first):
    odd = bench.closing(Odd(first, OK))
    got = php(WAYS[way] + "return $c->publish('m', 1);", url=odd.url, token="t")
    assert got["value"]["seq"] == 7
    ids = [json.loads(r.partition(b"\r\n\r\n")[2])["id"] for r in odd.requests]
    assert len(ids) == 2 and ids[0] == ids[1]


@HTTP_WAYS
def test_a_refusal_is_not_tried_again(bench, way):
    odd = bench.closing(Odd(answer(403, '{"error":"forbidden","message":"m\\r\\nm"}'), OK))
    assert php(WAYS[way] + "return $c->publish('m', 1);",
               url=odd.url, token="t")["failure"] == "forbidden" and len(odd.requests) == 1


@HTTP_WAYS
def test_a_redirect_is_not_followed(bench, way):
    """The token stays with the server that it was given for."""
    other = bench.closing(Odd(OK))
    odd = bench.closing(Odd(answer(307, "{}", f"Location: {other.url}/publish")))
    got = php(WAYS[way] + "return $c->publish('m', 1);", url=odd.url, token="t")
    assert got["failure"] == "bad_reply" and got["status"] == 307
    assert other.requests == []


@HTTP_WAYS
def test_a_slow_server_costs_no_more_than_the_timeout(bench, way):
    odd = bench.closing(Odd(OK, OK, pause=0.2))
    extra = ", false" if way == "streams" else ""
    got = php(f"$c = new Client(new Http($in['url'], 't', 0.5{extra}), 1); "
              "return $c->publish('m', 1);", url=odd.url)
    assert got["failure"] == "unreachable" and got["unknown"] is True


@HTTP_WAYS
def test_an_endless_answer_is_given_up(bench, way):
    odd = bench.closing(Odd(b"HTTP/1.1 200 x\r\nConnection: close\r\n\r\n" + b"x" * 20_000_000))
    extra = ", false" if way == "streams" else ""
    got = php(f"$c = new Client(new Http($in['url'], 't', 20.0{extra}), 1); "
              "return $c->publish('m', 1);", ["-d", "memory_limit=64M"], url=odd.url)
    assert got["failure"] == "bad_reply" and len(got["message"]) < 500


@pytest.mark.parametrize("names, trusted, good", [
    (("localhost",), True, True), (("localhost",), False, False), (("other.test",), True, False)
], ids=["right", "unknown authority", "another name"])
def test_certificates_are_checked(bench, issuer, names, trusted, good):
    web = type("Tls", (LighttpdTls,), {"tls_port": free_port(), "names": {"site.pem": names}})
    site = Site(bench, web=web, worker={"publish": True, "jwt_secret_file": issuer.secret_file})
    reader = site.open("anna")
    pem = next(bench.folder.rglob("site.pem"))
    options = [
        part for name in ("curl.cainfo", "openssl.cafile") for part in ("-d", f"{name}={pem}")
    ] if trusted else []
    for way in ("curl", "streams"):
        got = php(WAYS[way] + "return $c->publish('m', str_repeat('x', 500000));", options,
                  url=f"https://localhost:{web.tls_port}/sse", token=issuer.publisher())
        assert got.get("value", {}).get("ok") if good else got["failure"] == "unreachable", got
    if good:
        assert [len(e.data) for e in reader.wait_for(2)] == [500002] * 2


def test_without_a_broker_there_is_an_exception_in_time():
    got = php("return (new Client(new ZeroMq($in['e'], 0.3), 1))->publish('m', 1);",
              e=f"tcp://127.0.0.1:{free_port()}")
    assert got["failure"] == "no_reply" and got["unknown"] is True
    got = php("return (new Client(new Http($in['u'], 't', 0.5), 1))->publish('m', 1);",
              u=f"http://127.0.0.1:{free_port()}/sse")
    assert got["failure"] == "unreachable"


def test_a_broker_that_returns_is_found_again(bench):
    """The socket that waits for an old reply is not used again."""
    broker = Broker(bench).start()
    process = subprocess.Popen(["php", "-r", f"""require '{CLASS}';
        $c = new Ssecast\\Client(new Ssecast\\ZeroMq('{broker.endpoint("commands")}', 0.5), 1);
        while (fgets(STDIN) !== false) {{
            try {{ $c->publish('m', 1); echo "ok\\n"; }}
            catch (Ssecast\\Failure $e) {{ echo $e->error, "\\n"; }}
        }}"""],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_environment())
    try:
        def once():
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().strip()
        assert once() == "ok"
        broker.freeze()
        assert once() == "no_reply" == once()
        broker.thaw()
        deadline = time.monotonic() + TIMEOUT
        while (last := once()) != "ok" and time.monotonic() < deadline:
            assert last == "no_reply"
        assert last == "ok"
    finally:
        process.stdin.close()
        process.wait(30)


def test_zeromq_with_keys(bench):
    keys, endpoint = Keys(bench.folder), f"tcp://127.0.0.1:{free_port()}"
    shop, stranger = keys.add("publisher", "shop", "channels=news"), keys.stranger("stranger")
    Broker(bench, **keys.broker_options(),
           commands=[f"ipc://{bench.folder}/commands", endpoint]).start()

    def publish(key, channel):
        curve = {"server": keys.broker.public, "public": key.public, "secret": key.secret}
        return php("return (new Client(new ZeroMq($in['e'], 2.0, $in['curve']), 1))->publish('m', "
                   "1, ['to' => ['channels' => [$in['channel']]]]);",
                   e=endpoint, curve=curve, channel=channel)

    assert publish(shop, "news")["value"]["ok"]
    assert publish(shop, "other")["failure"] == "forbidden"
    assert publish(stranger, "news")["failure"] == "no_reply"


# Tokens

def test_a_client_makes_its_own_tokens_and_renews_them(sites, issuer, session):
    site = sites["lighttpd"]
    got = php("""$s = Signer::fromFile($in['f']);
        $c = Client::signed($in['url'], $s, ['sessions' => [$in['s']]]);
        $first = $c->publish('m', 1, ['to' => ['sessions' => [$in['s']]]]); $tokens = [];
        $http = new Http($in['url'], function () use ($s, &$tokens) {
            return $tokens[] = $s->sign(['publish' => true, 'n' => count($tokens)]);
        });
        $c2 = new Client($http); $c2->publish('m', 1); $c2->publish('m', 2);
        (function () { $this->until = time(); })->call($http); $c2->publish('m', 3);
        try { $c->publish('m', 1); }
        catch (Failure $e) { return [$first['ok'], count($tokens), $e->error]; }""",
              f=str(issuer.secret_file), url=site.web.url, s=session)["value"]
    assert got == [True, 2, "forbidden"]


def test_tokens_are_accepted_by_the_worker(sites, issuer, session):
    token = php("return Signer::fromFile($in['f'])->sign(['sub' => $in['s'], 'channels' => "
                "['news', 'room:*']], 60);", f=str(issuer.secret_file), s=session)["value"]
    claims = jwt.decode(token, issuer.secret, algorithms=["HS256"])
    assert (claims["sub"] == session and claims["channels"] == ["news", "room:*"]
            and 0 < claims["exp"] - time.time() <= 60)
    for site in sites.values():
        reader = site.open(None, headers={"Authorization": f"Bearer {token}"})
        site.publish("m", data=1, to={"sessions": [session]})
        reader.wait_for(1)


def test_a_number_is_a_session_too(issuer):
    token = php("return (new Signer($in['s']))->sign(['sub' => 42]);", s=issuer.secret)["value"]
    assert jwt.decode(token, issuer.secret, algorithms=["HS256"])["sub"] == "42"


def test_the_last_key_of_a_jwks_signs(bench):
    file = bench.folder / "jwks"
    for _ in range(2):
        assert run([f"{BUILD}/ssecast", "keygen", "--jwt", file]).returncode == 0
    key = json.loads(file.read_text())["keys"][-1]
    token = php("return Signer::fromFile($in['f'])->sign(['sub' => 'a']);", f=str(file))["value"]
    assert jwt.get_unverified_header(token)["kid"] == key["kid"]
    secret = base64.urlsafe_b64decode(key["k"] + "==")
    assert jwt.decode(token, secret, algorithms=["HS256"])["sub"] == "a"


REFUSED = [
    ("new Signer('short')", "32"), ("Signer::fromFile('/nonexistent')", "/nonexistent"),
    ("(new Signer($s))->sign(['sub' => ''])", "sub"),
    ("(new Signer($s))->sign(['sub' => \"a\\nb\"])", "sub"),
    ("(new Signer($s))->sign(['sub' => ['a']])", "sub"), ("(new Signer($s))->sign([], 0)", "0 s"),
    ("(new Signer($s))->sign(['channels' => 'news'])", "channels"),
    ("(new Signer($s))->sign(['channels' => [1]])", "channels"),
    ("(new Signer($s))->sign(['publish' => ['channels' => 'x']])", "publish.channels"),
    ("(new Signer($s))->sign(['x' => str_repeat('x', 9000)])", "8192"),
    ("(new Signer($s))->sign(['x' => \"\\xff\"])", "JSON")]


def test_tokens_that_would_be_refused_are_not_made():
    bodies = ", ".join(f"function ($s) {{ return {body}; }}" for body, _ in REFUSED)
    got = php(
        "$out = []; foreach ([" + bodies + "] as $f) { try { $out[] = 'made ' . $f(str_repeat('s', "
        "32)); } catch (BadValue $e) { $out[] = $e->getMessage(); } } return $out;"
    )["value"]
    for (body, part), message in zip(REFUSED, got, strict=True):
        assert part in message and not message.startswith("made"), (body, message)


def test_a_jwks_without_a_secret_is_named(bench):
    for text in ('{"keys":[]}', '{"keys":[{"kty":"RSA"}]}', "{", '{"keys":7}'):
        (bench.folder / "jwks").write_text(text)
        assert "jwks" in php("return Signer::fromFile($in['f'])->sign([]);",
                             f=str(bench.folder / "jwks"))["bad"]


# Webhooks

SECRET = "a secret of more than 16 bytes"


def test_signatures_of_webhooks():
    body = ('{"messages":[{"number":3,"type":"reset","at":1},'
            '{"number":4,"type":"connected","session":"a"}]}')

    def sign(text, secret=SECRET):
        return "sha256=" + hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    check = ("return Webhook::after(Webhook::messages($in['body'], $in['signature'], "
             "$in['secret']), $in['last'] ?? 0);")
    assert [
        m["number"] for m in php(check, body=body, signature=sign(body), secret=SECRET)["value"]
    ] == [3, 4]
    assert [
        m["number"]
        for m in php(check, body=body, signature=sign(body), secret=SECRET, last=3)["value"]
    ] == [4]
    for wrong in (None, "", "sha256=", sign(body + " "), sign(body, SECRET + "x"),
                  sign(body).upper(), sign(body)[7:], "sha256=" + "0" * 64):
        got = php(check, body=body, signature=wrong, secret=SECRET)
        assert got["failure"] == "bad_signature" and got["status"] == 403, wrong
    for odd in ("", "[]", '{"messages":7}', '{"messages":[7]}',
                '{"messages":[{"number":"1","type":"x"}]}'):
        assert php(check, body=odd, signature=sign(odd), secret=SECRET)["failure"] == "bad_reply"
    assert "16" in php(check, body=body, signature=sign(body, "short"), secret="short")["bad"]


# The language

def test_files_are_php_7_4():
    """`php -l`, and a list of what came later."""
    for file in PHP_FILES:
        assert run(["php", "-l", file]).returncode == 0, file
    done = run(["php", ROOT / "tests/support/php74.php", *PHP_FILES])
    assert done.returncode == 0 and done.stdout == "", done.stdout


LATER = ["function f(int|string $a) {}", "function f(int $a,) {}", "f(a: 1);", "$x?->y;",
         "$x = match(1) {1 => 2};", "function f(): mixed {}",
         "class A { function __construct(private $x) {} }", "try {} catch (E) {}",
         "$a = $b ?? throw new E();", "str_contains('a', 'b');", "#[A]\nclass B {}"]


def test_the_list_of_what_came_later_is_right(tmp_path):
    files = [tmp_path / f"{n}.php" for n in range(len(LATER))]
    for file, line in zip(files, LATER, strict=True):
        file.write_text(f"<?php\n{line}\n")
    done = run(["php", ROOT / "tests/support/php74.php", *files])
    named = {line.partition(":")[0] for line in done.stdout.splitlines()}
    assert named == {file.name for file in files}, done.stdout


def test_the_class_needs_no_extension(sites, issuer, session):
    """Without a php.ini there is no curl, zmq, mbstring or ctype."""
    site = sites["lighttpd"]
    reader = site.open(session)
    body = ("return Client::http($in['url'], $in['token'])->publish('m', extension_loaded('curl') "
            "|| extension_loaded('zmq'), ['to' => ['sessions' => [$in['s']]]]);")
    assert php(body, ["-n"], url=site.web.url, token=issuer.token(publish=True),
               s=session)["value"]["ok"]
    assert reader.wait_for(1)[0].data == "false"
    assert php("return Client::zeromq();", ["-n"])["failure"] == "unreachable"
