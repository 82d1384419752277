"""Tokens: who may open a stream, which channels it may have, and until when."""

import base64
import hmac
import itertools
import json
import os
import random
import re
import signal
import time
import urllib.parse

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import serialization
from support.apache import Apache, ApacheCgi
from support.bench import Bench
from support.browser import CLOSED
from support.fcgi import FastCgi
from support.http_publisher import HttpPublisher
from support.jwt_keys import Ec, Rsa, Secret, jwks, option_for, put
from support.lighttpd import Lighttpd
from support.nginx import Nginx
from support.presence import Presence
from support.processes import CLI, ROOT, WORKER, run
from support.site import Site
from support.tabs import Tab
from support.waiting import PATIENCE, wait_until

ISSUER, AUDIENCE = "https://login.example.org", "events"


def new_site(bench, text, web=Lighttpd, **worker):
    """A site whose workers take sessions from tokens that are judged by this text."""
    file = put(bench.subfolder("keys") / "key", text)
    site = Site(bench, web=web,
                worker={"session_from": "jwt", option_for(text): str(file), **worker})
    site.key_file = file
    return site


def new_site_with(bench, file):
    """A site whose workers judge tokens by the secrets in this file."""
    return Site(bench, worker={"session_from": "jwt", "jwt_secret_file": str(file)})


def make_secret(file):
    """`ssecast keygen --jwt`: the new secret, to sign with."""
    done = run([CLI, "keygen", "--jwt", file])
    assert done.returncode == 0, done.stderr
    made = json.loads(file.read_text())["keys"][-1]
    secret = Secret(made["kid"])
    secret.private = base64.urlsafe_b64decode(made["k"] + "==")
    return secret


@pytest.fixture(scope="module")
def key():
    return Secret()


@pytest.fixture(scope="module")
def site(bench_of_all, key):
    """Its tokens are from ISSUER for AUDIENCE."""
    site = new_site(bench_of_all, key.file, jwt_issuer=ISSUER, jwt_audience=[AUDIENCE, "others"],
                    heartbeat="300ms")
    return site


def good(key, session, seconds=3600, **claims):
    return key.token(seconds, sub=session, **{"iss": ISSUER, "aud": AUDIENCE, **claims})


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def open_with(site, token, channels=(), **options):
    return site.open(None, channels, headers=bearer(token), **options)


def refusal(site, token=None, **query):
    """(status, error) of a request with this token."""
    status, headers, body = site.request(headers=bearer(token) if token else {}, **query)
    assert (status == 401) == (headers.get("www-authenticate", "").startswith("Bearer")), headers
    return status, json.loads(body)["error"]


def accepted(site, token):
    status, headers, _ = site.request(headers=bearer(token))
    return status == 200 and headers["content-type"] == "text/event-stream"


# Where a token comes from, through each web server

@pytest.mark.parametrize("web", [Lighttpd, Apache, Nginx, ApacheCgi], ids=lambda w: w.name)
def test_a_token_comes_by_header_cookie_or_query(bench, web):
    key = Secret()
    site = new_site(bench, key.file, web=web)
    readers = [
        site.open(None, headers=bearer(key.token(sub="anna"))),
        site.open(None, headers={"Cookie": f"a=b; ssecast_token={key.token(sub='anna')}"}),
        site.open(None, query={"token": key.token(sub="anna")}),
    ]
    site.wait_connections("anna", 3)
    site.publish("m", data="for anna", to={"sessions": ["anna"]})
    for reader in readers:
        assert reader.wait_for(1)[0].data == '"for anna"'
    assert refusal(site) == (401, "missing_token")
    assert refusal(site, key.token(-1, sub="anna")) == (401, "token_expired")


def test_the_header_goes_first_then_the_cookie(site, key, session):
    def opened(**headers):
        reader = site.open(None, headers=headers, query={"token": good(key, session + "-query")})
        site.wait_connections(session + wanted, 1)
        reader.close()

    cookie = f"ssecast_token={good(key, session + '-cookie')}"
    for wanted, headers in (
        ("-header", {"Cookie": cookie, **bearer(good(key, session + "-header"))}),
        ("-cookie", {"Cookie": cookie}),
        ("-cookie", {"Cookie": cookie, "Authorization": "Basic YTpi"}), ("-query", {})
    ):
        opened(**headers)


def test_the_cookie_may_have_another_name(bench):
    key = Secret()
    site = new_site(bench, key.file, jwt_cookie="sid")
    site.open(None, headers={"Cookie": f"sid={key.token(sub='anna')}"})
    assert site.request(headers={"Cookie": f"ssecast_token={key.token(sub='anna')}"})[0] == 401


def test_the_session_in_the_query_does_not_count(site, key, session):
    site.start_open(session + "-other", headers=bearer(good(key, session))).wait_open()
    site.wait_connections(session, 1)
    assert site.commands.connections_of(session + "-other") == 0
    assert site.request(session=session)[0] == 401


# Algorithms and keys

@pytest.mark.parametrize("make", [Secret, Rsa, Ec])
def test_each_kind_of_key_is_good_for_its_algorithm_and_no_other(bench, make):
    ours, foreign = make(), make()
    site = new_site(bench, ours.file)
    assert accepted(site, ours.token(sub="anna"))
    for token in (foreign.token(sub="anna"), Secret().token(sub="anna"), Rsa().token(sub="anna"),
                  Ec().token(sub="anna"),
                  unsigned({"sub": "anna"}), with_secret(ours.file, {"sub": "anna"})):
        assert refusal(site, token) == (401, "invalid_token")


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(claims, algorithm="none"):
    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims)}."


def with_secret(secret, claims):
    """HS256 with any text as the secret: a public key, in the attack that made this famous."""
    head = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    secret = secret if "BEGIN" in secret else secret + " "
    signature = pyjwt.algorithms.HMACAlgorithm(pyjwt.algorithms.HMACAlgorithm.SHA256).sign(
        head.encode(), secret.encode()
    )
    return f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize("algorithm",
                         ["none", "None", "NONE", "nOnE", "", "HS256", "HS384", "RS256"])
def test_an_unsigned_token_is_refused_whatever_it_calls_itself(site, session, algorithm):
    token = unsigned({"sub": session, "iss": ISSUER, "aud": AUDIENCE}, algorithm)
    for text in (token, token.rstrip("."), token + "AAAA"):
        assert refusal(site, text) == (401, "invalid_token")


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_with_the_right_secret_is_refused(site, key, session, algorithm):
    assert refusal(site, good(key, session, algorithm=algorithm)) == (401, "invalid_token")


def test_a_jwks_of_all_public_kinds_and_one_of_secrets(bench):
    pairs, secrets = [Rsa("r"), Ec("e"), Rsa()], [Secret("s"), Secret()]
    site = new_site(bench, jwks(*pairs),
                    jwt_secret_file=str(put(bench.subfolder("keys") / "secrets", jwks(*secrets))))
    for key in pairs + secrets:
        assert accepted(site, key.token(sub="anna"))
    stranger = Rsa("r")
    assert refusal(site, stranger.token(sub="anna")) == (401, "invalid_token")
    assert refusal(site, pairs[0].token(sub="anna", headers={"kid": "e"})) == (401, "invalid_token")
    assert refusal(site, Secret("s").token(sub="anna")) == (401, "invalid_token")


# What a token says

def claim_id(value):
    """A test's name must be the same in every process that collects it, so it names no time of
    day."""
    return re.sub(r"\d{9,}(\.\d+)?", "TIME", str(value))


@pytest.mark.parametrize("claims, error", [
    ({"exp": time.time() - 1}, "token_expired"), ({"exp": 0}, "token_expired"),
    ({"exp": "tomorrow"}, "invalid_token"), ({"nbf": time.time() + 3600}, "invalid_token"),
    ({"iss": "https://evil.example"}, "invalid_token"), ({"iss": None}, "invalid_token"),
    ({"aud": "web"}, "invalid_token"), ({"aud": ["web", "mail"]}, "invalid_token"),
    ({"aud": None}, "invalid_token"), ({"sub": ""}, "invalid_token"), ({"sub": 7}, "invalid_token"),
    ({"sub": "a\nb"}, "invalid_token"), ({"sub": "x" * 256}, "invalid_token"),
    ({"channels": "room"}, "invalid_token"), ({"channels": [1]}, "invalid_token"),
    ({"channels": [""]}, "invalid_token"),
    ({"iss": "https://evil.example", "exp": 0}, "invalid_token"),
], ids=claim_id)
def test_claims_that_do_not_do(site, key, session, claims, error):
    claims = {"sub": session, "iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 60, **claims}
    before = site.stat("streams_unauthorized")
    text = pyjwt.encode({k: v for k, v in claims.items() if v is not None}, key.private,
                        algorithm="HS256")
    assert refusal(site, text) == (401, error)
    wait_until(lambda: site.stat("streams_unauthorized") >= before + 1, what="it is counted")


@pytest.mark.parametrize("claims",
                         [{"aud": ["web", "others"]}, {"nbf": time.time() - 5}, {"sub": "ä €"},
                          {"iat": time.time() + 99}, {"more": {"a": [1]}}], ids=claim_id)
def test_other_valid_claims_are_accepted(site, key, session, claims):
    assert accepted(site, good(
        key, **{"session": session, **claims} if "sub" not in claims else {"session": claims["sub"]}
    ))


def test_a_token_without_a_time_is_good_for_ever(site, key, session):
    reader = open_with(site, good(key, session, seconds=None))
    site.publish("m", data=1, to={"sessions": [session]})
    reader.wait_for(1)


def test_a_token_without_a_session_opens_nothing(site, key):
    token = key.token(iss=ISSUER, aud=AUDIENCE)
    assert refusal(site, token) == (401, "invalid_token")


def test_every_tampered_token_is_refused_in_the_same_words(site, key, session):
    head, body, signature = good(key, session).split(".")
    other = part({"sub": "root", "iss": ISSUER, "aud": AUDIENCE})
    bad = [f"{head}.{other}.{signature}", f"{head}.{body}.{signature[:-4]}AAAA", f"{head}.{body}.",
           f"{head}.{body}", f"{body}.{head}.{signature}", "x", "..",
           f"{head}.{body}.{signature}.{signature}", "%00", good(Secret(), session),
           good(key, session, iss="x"), good(key, session, aud="x")]
    answers = {site.request(headers=bearer(token))[2] for token in bad}
    assert len(answers) == 1 and "invalid_token" in str(answers)


def test_no_token_is_ever_in_a_log(site, key, session):
    tokens = [good(key, session), good(key, session, -1), good(Secret(), session),
              unsigned({"sub": session})]
    site.worker.signal(signal.SIGUSR1)  # debug
    wait_until(lambda: "debug" in site.worker.log(), what="the worker tells more")
    for token, name in itertools.product(tokens, ("header", "query")):
        site.request(headers=bearer(token) if name == "header" else {},
                     **({"token": token} if name == "query" else {}))
    site.worker.signal(signal.SIGUSR1)
    wait_until(lambda: "token refused" in site.worker.log(), what="the refusal is in the log")
    for token in tokens:
        assert not any(part in site.worker.log() for part in token.split(".")[1:] if part)


def test_clocks_may_differ_by_the_leeway(bench):
    key = Secret()
    site = new_site(bench, key.file, jwt_leeway="10m")
    assert accepted(site, key.token(-60, sub="anna"))
    assert accepted(site, key.token(sub="anna", nbf=time.time() + 60))
    assert refusal(site, key.token(-700, sub="anna")) == (401, "token_expired")


def test_a_page_of_another_origin_may_read_the_refusal(bench):
    site = new_site(bench, Secret().file, cors_origin="https://page.example")
    status, headers, _ = site.request(headers={"Origin": "https://page.example"})
    assert status == 401 and headers["access-control-allow-origin"] == "https://page.example"
    status, headers, _ = site.request("OPTIONS", headers={"Origin": "https://page.example"})
    assert status == 204 and "Authorization" in headers["access-control-allow-headers"]


# Channels

def test_a_token_limits_the_channels(site, key, session):
    token = good(key, session, channels=["news", f"{session}:*"])
    reader = open_with(site, token, channels=["news", f"{session}:7"])
    site.publish("m", data="here", to={"channels": [f"{session}:7"]})
    assert reader.wait_for(1)[0].data == '"here"'
    before = site.stat("streams_forbidden")
    for channels in (["new"], ["newsletter"], [session], ["news", "other"], ["*"],
                     [f"{session}x"], ["News"]):
        assert refusal(site, token, channels=",".join(channels)) == (
            403, "forbidden_channel"
        ), channels
    wait_until(lambda: site.stat("streams_forbidden") >= before + 7, what="they are counted")


def test_a_token_with_an_empty_list_allows_none_and_one_without_all(site, key, session):
    assert refusal(site, good(key, session, channels=[]), channels="a") == (
        403, "forbidden_channel"
    )
    assert accepted(site, good(key, session, channels=[]))
    open_with(site, good(key, session), channels=["any", "other"])
    open_with(site, good(key, session, channels=["*"]), channels=["any", "other"])


def test_channels_can_come_from_the_token_itself(bench):
    key = Secret()
    site = new_site(bench, key.file, channels_from="jwt")
    reader = open_with(site,
                       key.token(sub="anna", channels=["news", "with, comma", "room:*", "news"]),
                       channels=["stolen"])
    site.wait_counted(reader)
    [connection] = site.commands.connections(session="anna")["connections"]
    assert sorted(connection["channels"]) == ["news", "with, comma"]
    for channel in ("stolen", "room:7", "with, comma"):
        site.publish("m", data=channel, to={"channels": [channel]})
    site.publish("m", data="end", to={"sessions": ["anna"]})
    reader.wait_data('"end"')
    assert reader.data() == ['"with, comma"', '"end"']


def test_more_channels_than_a_stream_may_have_are_refused(bench):
    key = Secret()
    site = new_site(bench, key.file, channels_from="jwt", max_channels=3)
    assert refusal(site, key.token(sub="anna", channels=list("abcd"))) == (400, "bad_channels")
    assert accepted(site, key.token(sub="anna", channels=list("abc")))


# Other sources beside it

def test_a_token_may_stand_in_a_list(bench):
    key = Secret()
    site = new_site(bench, key.file, session_from=["jwt", "cookie:sid"])
    open_with(site, key.token(sub="anna"))
    site.open(None, headers={"Cookie": "sid=bert"})
    site.open(None, headers={"Cookie": "sid=bert", **bearer(key.token(sub="anna"))})
    assert (site.commands.connections_of("anna"), site.commands.connections_of("bert")) == (2, 1)
    for token in (key.token(-1, sub="anna"), "nonsense"):  # never passed over silently
        assert site.request(headers={"Cookie": "sid=bert", **bearer(token)})[0] == 401
    assert refusal(site) == (401, "missing_token")
    # it gave nothing, and limits nothing
    site.open(None, headers={"Cookie": "sid=bert", **bearer(key.token(channels=["x"]))},
              channels=["y"])


# The end

def test_a_stream_ends_with_its_token(site, key, session):
    before = site.stat("ends_expired")
    seq = site.publish("m", data="first", to={"sessions": [session]})["seq"]
    reader = open_with(site, good(key, session, 2), last_event_id=str(seq - 1))
    forever = open_with(site, good(key, session, None))
    began = time.monotonic()
    reader.wait_end()
    assert 1 < time.monotonic() - began < 4
    assert (reader.types() == ["m", "ssecast.expired"]
            and json.loads(reader.events[-1].data) == {"reason": "expired"})
    assert reader.complete and int(reader.last_event_id) >= seq
    wait_until(lambda: site.stat("ends_expired") >= before + 1, what="it is counted")
    site.wait_connections(session, 1)
    missed = site.publish("m", data="missed", to={"sessions": [session]})["seq"]
    back = open_with(site, good(key, session), last_event_id=reader.last_event_id)
    assert [e.id for e in back.wait_for(1)] == [str(missed)]
    assert forever.data() == ['"missed"'] and not forever.ended


def test_streams_end_in_the_order_of_their_tokens(site, key, session):
    """As the worker reports it: what readers see at the same moment has no order."""
    with Presence(site.broker) as presence:
        expiries, readers = open_before_they_expire(site, key, session)
        wait_until(lambda: all(r.ended for r in readers), what="all end")

        def ends():
            return [m for m in list(presence.messages) if m["type"] == "disconnected"
                    and m["session"] in expiries]

        wait_until(lambda: len(ends()) == 40, what="all ends are reported")
        assert ([m["session"] for m in ends()] == list(expiries)
                and {m["cause"] for m in ends()} == {"expired"})
        late = [m["at"] / 1000 - expiries[m["session"]] for m in ends()]
        assert -0.01 < min(late) and max(late) < 2 * PATIENCE


def open_before_they_expire(site, key, session):
    """40 streams whose tokens expire one after the other. ({session: when, in that order},
    readers).

    On a busy machine the first token may expire before all streams are open: then the next attempt
    has more time."""
    for seconds in (1, 3, 10, 30):
        begin = time.time() + seconds
        names = [f"{session}-{seconds}-{n}" for n in sorted(range(40), key=lambda n: n * 7 % 40)]
        expiries = {name: begin + place / 20 for place, name in enumerate(names)}
        readers = [site.start_open(None, headers=bearer(good(key, name, exp=expiries[name])))
                   for name in sorted(names)]
        wait_until(lambda readers=readers: all(r.opens or r.ended for r in readers),
                   what="each stream is open, or over")
        if time.time() < begin:
            return expiries, readers
    raise AssertionError("40 streams are not open within 30 s")


def test_one_that_left_before_its_end_is_no_trouble(site, key, session):
    for _ in range(20):
        open_with(site, good(key, session, 1)).close()
    last = open_with(site, good(key, session, 2)).wait_end()
    assert last.types() == ["ssecast.expired"]


def test_a_reader_that_comes_back_with_the_old_token_is_refused(site, key, session):
    reader = open_with(site, good(key, session, 1), reconnect=True)
    reader.wait_end()
    assert reader.status == 401 and reader.json["error"] == "token_expired" and reader.opens == 1


# Keys change

def wait_accepted(site, token, wanted=True):
    wait_until(lambda: accepted(site, token) == wanted, timeout=5,
               what=f"the token is {'accepted' if wanted else 'refused'}")


def test_a_new_key_is_in_force_within_a_second_and_streams_go_on(bench):
    old, new = Ec(), Rsa()
    site = new_site(bench, old.file)
    reader = open_with(site, old.token(sub="anna"))
    put(site.key_file, new.file)
    wait_accepted(site, new.token(sub="anna"))
    assert refusal(site, old.token(sub="anna")) == (401, "invalid_token")
    site.publish("m", data=1, to={"sessions": ["anna"]})
    reader.wait_for(1)


def test_keys_are_rotated_without_a_gap(bench):
    old, new = Ec("2025"), Ec("2026")
    site = new_site(bench, jwks(old))
    assert refusal(site, new.token(sub="anna")) == (401, "invalid_token")
    put(site.key_file, jwks(old, new))
    wait_accepted(site, new.token(sub="anna"))
    assert accepted(site, old.token(sub="anna"))
    put(site.key_file, jwks(new))
    wait_accepted(site, old.token(sub="anna"), False)
    assert accepted(site, new.token(sub="anna"))


def test_an_invalid_key_file_is_logged_once_and_the_old_key_stays(bench):
    key = Secret()
    site = new_site(bench, key.file)
    for text in ("", "short\n", "{", '{"keys":[]}', "-----BEGIN PUBLIC KEY-----\n",
                 Ec().file, None):
        if text is None:
            site.key_file.unlink()
        else:
            put(site.key_file, text)
        time.sleep(1.1)
        assert accepted(site, key.token(sub="anna")), text
    assert site.worker.log().count("keeping the previous keys") == 1
    other = Secret()
    put(site.key_file, other.file)
    wait_accepted(site, other.token(sub="anna"))
    assert refusal(site, key.token(sub="anna")) == (401, "invalid_token")


def test_a_hangup_reads_the_keys_at_once(bench):
    old, new = Secret(), Secret()
    site = new_site(bench, old.file)
    assert accepted(site, old.token(sub="anna"))
    put(site.key_file, new.file)
    site.worker.signal(signal.SIGHUP)
    wait_until(lambda: "reloaded" in site.worker.log(), what="the keys are read")
    assert accepted(site, new.token(sub="anna")) and not accepted(site, old.token(sub="anna"))


def with_bytes(file):
    """A token that anybody can make who can read the file: signed with its bytes."""
    head = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': 'victim', 'publish': True})}"
    tokens = []
    for secret in (file, file.rstrip(b"\n"), file.strip()):
        mac = hmac.digest(secret, head.encode(), "sha256")
        tokens.append(f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}")
    return tokens


def der(key):
    return key.private.public_key().public_bytes(serialization.Encoding.DER,
                                                 serialization.PublicFormat.SubjectPublicKeyInfo)


def openssh(key):
    return key.private.public_key().public_bytes(serialization.Encoding.OpenSSH,
                                                 serialization.PublicFormat.OpenSSH)


_OURS = Rsa("ours")
_PAGE = (b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad "
         b"Gateway</h1></center>\r\n</body>\r\n</html>\r\n")

# What a file of public keys may hold one day: a broken fetch, another format, a slip of the hand.
PUBLIC_TEXTS = {
    "byte order mark": b"\xef\xbb\xbf" + jwks(_OURS).encode(),
    "list of keys": json.dumps([_OURS.jwk()]).encode(),
    "DER": der(_OURS),
    "DER of EC": der(Ec()),
    "DER in base64": base64.b64encode(der(_OURS)),
    "OpenSSH": openssh(_OURS),
    "OpenSSH of EC": openssh(Ec()),
    "error page": _PAGE,
    "error in JSON": b'{"error":"temporarily_unavailable","error_description":"try again later"}',
    "plain error": b"upstream connect error or disconnect/reset before headers",
    "one word": b"service-temporarily-unavailable-please-try-again-later",
    "JWKS of a secret": json.dumps(
        {"keys": [{"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).rstrip(b"=").decode()}]}
    ).encode(),
}


@pytest.mark.parametrize("text", PUBLIC_TEXTS.values(), ids=PUBLIC_TEXTS)
def test_what_replaces_public_keys_is_never_a_secret(bench, text):
    """Neither at a reload, where the keys from before stay, nor at the start, where there are
    none."""
    site = new_site(bench, jwks(_OURS), publish=True)
    new = site.key_file.with_name("new")
    new.write_bytes(text)
    new.chmod(0o644)
    os.replace(new, site.key_file)
    site.worker.signal(signal.SIGHUP)
    wait_until(lambda: "keeping the previous keys" in site.worker.log(), what="the file is refused")
    for token in [*with_bytes(text), Secret().token(sub="victim")]:
        assert refusal(site, token) == (401, "invalid_token")
        assert HttpPublisher(site.web.url, token).publish("m", data=1)[0] == 401
    assert accepted(site, _OURS.token(sub="anna"))
    # these are accepted as secrets, though they are bad ones
    secret = text in (PUBLIC_TEXTS["one word"], PUBLIC_TEXTS["JWKS of a secret"])
    for option in ("--jwt-key-file", *([] if secret else ["--jwt-secret-file"])):
        done = run([WORKER, "--session-from", "jwt", option, site.key_file, "--check-config"])
        assert (done.returncode == 2 and option in done.stderr
                and "accepted" in done.stderr), done.stderr


@pytest.mark.parametrize("text, why", [("BOM", "byte order mark"), ("lines", "several lines"),
                                       ("space", "blanks"), ("list", "JSON list"),
                                       ("public", "PEM"), ("NUL", "NUL")])
def test_what_is_no_secret_is_named(bench, text, why):
    key = Secret()
    file = bench.folder / "secret"
    file.write_bytes({"BOM": b"\xef\xbb\xbf" + key.file.encode(), "lines": key.file.encode() * 2,
                      "space": key.private.encode() + b" ",
                      "list": json.dumps([key.jwk()]).encode(), "public": Rsa().file.encode(),
                      "NUL": key.private.encode() + b"\0"}[text])
    done = run([WORKER, "--session-from", "jwt", "--jwt-secret-file", file, "--check-config"])
    assert done.returncode == 2 and why in done.stderr and key.private not in done.stderr


def test_secrets_are_rotated_without_a_gap(bench):
    """As docs/secure.md has it: ssecast keygen --jwt, first for the file, then for the secret that
    comes beside it."""
    file = bench.subfolder("keys") / "jwt.secret"
    first = make_secret(file)
    file.chmod(0o640)
    site = new_site_with(bench, file)
    assert accepted(site, first.token(sub="anna"))
    second = make_secret(file)
    assert first.kid != second.kid and len(json.loads(file.read_text())["keys"]) == 2
    wait_accepted(site, second.token(sub="anna"))
    assert accepted(site, first.token(sub="anna"))
    wait_until(lambda: "reloaded, 2 keys" in site.worker.log(),
               what="the log says how many there are")
    documented = documented_token("b64decode", file)
    assert (accepted(site, documented)
            and pyjwt.get_unverified_header(documented)["kid"] == second.kid)
    put(file, "".join(line for line in file.read_text().splitlines(True) if first.kid not in line))
    wait_accepted(site, first.token(sub="anna"), False)
    assert accepted(site, second.token(sub="anna"))


# As the documentation has it

def documented_token(part_of_code, file):
    """What the Python lines of docs/secure.md with this in them make of this file."""
    text = (ROOT / "docs" / "secure.md").read_text()
    [code] = [c for c in re.findall(r"```python\n(.*?)```", text, re.S) if '"sub": "anna"' in c
              and part_of_code in c]
    assert "/etc/ssecast/jwt.secret" in code
    return run(
        ["/usr/bin/python3", "-c",
         code.replace("/etc/ssecast/jwt.secret", str(file)) + "\nprint(token)"]
    ).stdout.strip()


def test_the_documented_way_to_make_a_token(bench):
    key = Secret()
    site = new_site(bench, key.file)
    token = documented_token("rstrip", site.key_file)
    open_with(site, token, channels=["news", "room:7"])
    site.wait_connections("anna", 1)
    done = run([CLI, "tail", "--count", "1", "--header",
                f"Authorization: Bearer {key.token(max(2, PATIENCE), sub='bert')}", site.web.url])
    assert done.returncode == 0 and "ssecast.expired" in done.stdout


# The start

def started(**options):
    return run([WORKER, *itertools.chain(
        *((f"--{n.replace('_', '-')}", str(v)) for n, v in options.items())
    )])


@pytest.mark.parametrize("text, why", [(None, "No such file"), ("short", "no public key"),
                                       ("{}", "JWKS"), (Ec().private_file, "private key")],
                         ids=["missing", "short", "no JWKS", "private"])
def test_a_bad_key_file_is_an_error_at_the_start(tmp_path, text, why):
    file = tmp_path / "key"
    if text is not None:
        file.write_text(text)
    for more in ({"listen": tmp_path / "socket"}, {"check_config": None}):
        argv = ["--session-from", "jwt", "--jwt-key-file", file]
        done = run([WORKER, *argv, *itertools.chain(
            *((f"--{n.replace('_', '-')}", *([v] if v else [])) for n, v in more.items())
        )])
        assert (done.returncode == 2 and why in done.stderr and str(file) in done.stderr
                and len(done.stderr.splitlines()) == 1)


@pytest.mark.parametrize("option", ["session_from", "channels_from"])
def test_tokens_need_a_key(tmp_path, option):
    done = started(listen=tmp_path / "socket", **{option: "jwt"})
    assert (done.returncode == 2 and "--jwt-key-file" in done.stderr
            and "--jwt-secret-file" in done.stderr)


def test_a_world_readable_secret_is_reported(bench):
    site = new_site(bench, Secret().file)
    assert "every user of this host can read this secret" in site.worker.log()


def test_open_sessions_are_reported_once(bench, key):
    site = Site(bench)
    site.open("anna")
    site.open("bert")
    assert site.worker.log().count("any client that knows a session's name") == 1
    assert "any client that knows" not in new_site(bench.closing(Bench()), key.file).worker.log()


# Nobody reads what is for others, whatever cursor is named

def test_a_forged_cursor_gives_nothing_of_others(site, key, session):
    anna, bert = f"{session}-anna", f"{session}-bert"
    start = site.publish("m", data="start", to={"sessions": ["nobody"]})["seq"]
    secret = site.publish("m", data="for bert", to={"sessions": [bert]},
                          id=f"secret-{session}")["seq"]
    site.publish("m", data="his room", to={"channels": [f"{session}-room"]})
    site.publish("m", data="for anna", to={"sessions": [anna]})
    for cursor in (str(start), str(secret), str(secret - 1), f"secret-{session}", "0", "1", "-1",
                   str(2**63), "unknown", "x" * 5000):
        back = open_with(site, good(key, anna), last_event_id=cursor)
        back.wait_data('"for anna"')
        assert {e.data for e in back.events if e.type == "m"} == {'"for anna"'}, cursor
        back.close()


def test_a_narrower_token_narrows_what_is_caught_up_with(site, key, session):
    rooms = [f"{session}-{n}" for n in range(3)]
    wide = open_with(site, good(key, session, channels=[f"{session}-*"]), channels=rooms)
    site.publish("m", data="start", to={"channels": rooms})
    wide.wait_for(1)
    wide.close()
    for room in rooms:
        site.publish("m", data=room, to={"channels": [room]})
    narrow = good(key, session, channels=rooms[:1])
    assert refusal(site, narrow, channels=",".join(rooms), lastEventId=wide.last_event_id) == (
        403, "forbidden_channel"
    )
    back = open_with(site, narrow, channels=rooms[:1], last_event_id=wide.last_event_id)
    site.publish("m", data="end", to={"sessions": [session]})
    back.wait_data('"end"')
    assert back.data() == [f'"{rooms[0]}"', '"end"']


def test_another_connection_s_events_are_not_replayed(site, key, session):
    first = open_with(site, good(key, session))
    start = first.last_event_id
    site.publish("m", data="for this connection", to={"connections": [first.connection]})
    site.publish("m", data="for the session", to={"sessions": [session]})
    assert len(first.wait_for(2)) == 2
    back = open_with(site, good(key, session), last_event_id=start)
    back.wait_for(1)
    assert back.data() == ['"for the session"']


def test_what_was_excepted_stays_excepted(site, key, session):
    start = site.publish("m", data="start", to={"sessions": ["nobody"]})["seq"]
    site.publish("m", data="not for her", to={"channels": [session]},
                 **{"except": {"sessions": [session]}})
    site.publish("m", data="end", to={"channels": [session]})
    back = open_with(site, good(key, session), channels=[session], last_event_id=str(start))
    back.wait_data('"end"')
    assert back.data() == ['"end"']


def test_a_resume_from_any_position_gets_exactly_its_own_events(site, key, session):
    """Readers with random tokens and cursors, against what the events say of themselves."""
    dice = random.Random(session)
    people, rooms = [f"{session}-p{n}" for n in range(4)], [f"{session}-r{n}" for n in range(4)]
    events = []
    for n in range(120):
        to = {"sessions": dice.sample(people, dice.randint(0, 2)),
              "channels": dice.sample(rooms, dice.randint(0, 2))}
        but = {"sessions": dice.sample(people, dice.randint(0, 1)),
               "channels": dice.sample(rooms, dice.randint(0, 1))}
        own = {"id": f"{session}-own-{n}"} if n % 3 == 0 else {}
        seq = site.publish("m", data=n, to=to, **{"except": but}, **own)["seq"]
        events.append((seq, own.get("id", str(seq)), to, but))
    for _ in range(40):
        who, mine, start = (dice.choice(people), dice.sample(rooms, dice.randint(0, 3)),
                            dice.randrange(len(events)))
        token = good(key, who, channels=mine)
        stranger = sorted(set(rooms) - set(mine))
        assert refusal(site, token, channels=",".join([*mine, stranger[0]]),
                       lastEventId=events[start][1]) == (403, "forbidden_channel")
        reader = open_with(site, token, channels=mine, last_event_id=events[start][1])
        site.publish("end", data=0, to={"sessions": [who]})
        reader.wait_type("end")
        should = [str(n) for n, (_, _, to, but) in enumerate(events) if n > start
                  and (who in to["sessions"] or set(mine) & set(to["channels"]))
                  and not (who in but["sessions"] or set(mine) & set(but["channels"]))]
        assert reader.data("m") == should
        reader.close()


# In a browser

@pytest.fixture
def browser(chromium, site):
    chromium.goto(site.web.origin)
    yield chromium
    forget_cookies(chromium)
    chromium.goto("about:blank")


def forget_cookies(browser):
    browser.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})


def set_cookie(browser, token):
    browser.run("document.cookie = 'ssecast_token=' + arguments[0] + '; path=/sse; "
                "SameSite=Strict'", token)


def test_eventsource_with_a_token_in_a_cookie_or_the_query(site, key, browser, session):
    set_cookie(browser, good(key, f"{session}-cookie"))
    by_cookie = browser.listen("/sse").wait_open()
    forget_cookies(browser)
    by_query = browser.listen(
        "/sse?" + urllib.parse.urlencode({"token": good(key, f"{session}-query")})
    ).wait_open()
    for how, source in (("cookie", by_cookie), ("query", by_query)):
        site.publish(text=how, to={"sessions": [f"{session}-{how}"]})
        assert source.wait_for(1)[0]["data"] == how
    by_cookie.close(), by_query.close()


def test_eventsource_gives_up_without_a_token_and_after_its_end(site, key, browser, session):
    browser.listen("/sse").wait_closed()
    browser.listen("/sse?token=nonsense").wait_closed()
    source = browser.listen("/sse?token=" + good(key, session, 3),
                            names=["ssecast.expired"]).wait_open()
    source.wait_closed()
    assert [e["type"] for e in source.events()] == ["ssecast.expired"] and source.opens() == 1


def test_eventsource_goes_on_with_a_cookie_that_was_renewed(site, key, browser, session):
    set_cookie(browser, good(key, session, 3))
    source = browser.listen("/sse", names=["ssecast.expired"]).wait_open()
    set_cookie(browser, good(key, session))
    source.wait_open(times=2)
    site.publish(text="still here", to={"sessions": [session]})
    assert [e["type"] for e in source.wait_for(2)] == ["ssecast.expired", "message"]
    assert source.ready_state() != CLOSED
    source.close()


def test_the_module_stops_at_the_end_of_a_token_and_opens_with_another(site, key, browser, session):
    tab = Tab(browser, site.web.origin)
    stream = tab.stream("/sse?token=" + good(key, session, 3), names=["m"])
    stream.wait_told("online")
    stream.wait_told("expired")
    stream.wait_told("stopped")
    site.publish("m", text="missed", to={"sessions": [session]})
    stream.open("/sse?token=" + good(key, session))
    assert stream.wait_for(1)[0]["data"] == "missed"
    tab.close()


# Limits for clients

def answer(worker, query, address="192.0.2.1"):
    """How a request from there is answered: "open", "later" (200, retry, end) or the status."""
    web = FastCgi(worker.socket)
    web.get(query, REMOTE_ADDR=address)
    if web.head["status"] != 200:
        return web, web.head["status"]
    web.wait(lambda: b"retry:" in web.text, "the first block")
    web.wait(lambda: web.status is not None or b"id:" in web.text, "an id or the end")
    return web, "open" if web.status is None else "later"


@pytest.fixture
def limited(bench):
    def start(**worker):
        site = Site(bench, worker=worker)
        keep = []

        def ask(query="session=a", address="192.0.2.1"):
            web, how = answer(site.worker, query, address)
            keep.append(bench.closing(web))
            return how

        return site, ask, keep
    return start


def test_an_address_has_so_many_streams(limited):
    site, ask, keep = limited(max_per_address=3)
    assert [ask() for _ in range(5)] == ["open"] * 3 + ["later"] * 2
    assert ask(address="192.0.2.2") == "open"
    assert [ask(address="::ffff:192.0.2.1"), ask(address="")] == ["later", "open"]
    wait_until(lambda: site.stat("shed_address") == 3 and site.stat("streams_shed") == 3,
               what="they are counted")
    keep[0].close()
    wait_until(lambda: ask() == "open", what="there is room again")
    assert ask() == "later"


def test_an_ipv6_network_has_so_many_streams(limited):
    _, ask, _ = limited(max_per_address=2)
    assert [ask(address=f"2001:db8:0:1::{n}") for n in range(1, 5)] == ["open"] * 2 + ["later"] * 2
    assert ask(address="2001:db8:0:2::1") == "open"


def test_an_address_opens_so_many_streams_a_second(limited):
    site, ask, _ = limited(connect_rate=5)
    began = time.monotonic()
    answers = [ask() for _ in range(60)]
    took = time.monotonic() - began
    assert (answers[:5] == ["open"] * 5 and "later" in answers
            and answers.count("open") <= 6 + 5 * took)
    assert ask(address="192.0.2.2") == "open"
    wait_until(lambda: site.stat("shed_rate") == answers.count("later"), what="they are counted")
    wait_until(lambda: ask() == "open", what="time passes")


def test_guessing_tokens_is_slowed_down(bench):
    key = Secret()
    site = new_site(bench, key.file, connect_rate=5)
    began = time.monotonic()
    statuses = [site.request(headers=bearer(f"guess-{n}"))[0] for n in range(60)]
    took = time.monotonic() - began
    assert statuses[:5] == [401] * 5 and 200 in statuses and statuses.count(401) <= 6 + 5 * took


def test_guessing_tokens_for_publishing_is_slowed_down(bench):
    """Each request counts once, and what comes too fast is not verified. Who brings no token tries
    none."""
    key = Secret()
    site = new_site(bench, key.file, publish=True, connect_rate=5)
    with HttpPublisher(site.web.url, "guess") as publisher:
        answers = [publisher.publish("m", data=1) for _ in range(40)]
    statuses = [status for status, _, _ in answers]
    assert statuses[:5] == [401] * 5 and set(statuses) == {401, 429} and statuses.count(429) > 10
    _, headers, reply = answers[statuses.index(429)]
    assert headers["retry-after"] == "1" and reply["error"] == "rate_limited"
    assert {HttpPublisher(site.web.url).publish("m", data=1)[0] for _ in range(20)} == {401}
    with HttpPublisher(site.web.url, key.token(publish=True)) as publisher:
        wait_until(lambda: publisher.publish("m", data=1)[0] == 200, what="time passes")
    wait_until(lambda: site.stat("shed_rate") >= statuses.count(429), what="they are counted")


@pytest.mark.parametrize("claims, reason", [
    ({"alg": "HS512"}, "no key is for its algorithm HS512"),
    ({"kid": "gone"}, "no key has its kid gone"), ({"seconds": -5}, "it has expired"),
    ({"iss": "https://evil.example"}, "iss differs from jwt-issuer"),
    ({"exp": 1e13}, "milliseconds"), ({"signature": 1}, "signature is not that of a key"),
    ({"publish": "yes"}, "publish is not what it must be"),
], ids=str)
def test_the_log_has_the_reason_of_a_refused_token_and_the_answer_does_not(bench, claims, reason):
    key = Secret("now")
    site = new_site(bench, jwks(key), log_level="debug", jwt_issuer=ISSUER)
    headers = {"kid": claims["kid"]} if "kid" in claims else None
    signer = Secret("now") if "signature" in claims else key
    more = {k: v for k, v in claims.items() if k not in ("alg", "kid", "signature", "seconds")}
    token = signer.token(claims.get("seconds", 60), headers=headers, algorithm=claims.get("alg"),
                         **{"sub": "anna", "iss": ISSUER, **more})
    status, _, body = site.request(headers=bearer(token))
    assert status == 401 and reason.encode() not in body
    [line] = [line for line in site.worker.log().splitlines() if "token refused" in line]
    assert reason in line and "client=127.0.0.1" in line and "port=" in line


def test_of_several_token_cookies_the_good_one_counts(bench):
    key = Secret()
    site = new_site(bench, key.file)
    for cookies in (f"ssecast_token=stale; ssecast_token={key.token(sub='anna')}",
                    f"ssecast_token={key.token(sub='anna')}; ssecast_token=stale"):
        site.open(None, headers={"Cookie": cookies})
    site.wait_connections("anna", 2)
    assert site.request(headers={"Cookie": "ssecast_token=a; ssecast_token=b"})[0] == 401


def test_a_token_or_a_session_that_the_query_names_twice_is_refused(bench):
    key = Secret()
    site = new_site(bench, key.file)
    token = key.token(sub="anna")
    for query in (f"token={token}&token={token}", f"token=x&token={token}"):
        assert raw_query(site, query) == (400, "repeated_parameter")
    assert raw_query(site, f"token={token}&lastEventId=1&lastEventId=2")[0] == 200


def raw_query(site, query):
    """(status, error) of a request with exactly this query."""
    with FastCgi(site.worker.socket) as web:
        web.get(query)
        web.wait(lambda: b"\r\n\r\n" in web.text, "a head")
        error = re.search(rb'"error":"(\w+)"', web.text)
        return web.head["status"], error and error[1].decode()


def test_a_refused_browser_reconnects_by_itself(bench):
    site = Site(bench, worker={"max_per_address": 1, "retry": "100ms"})
    first = site.open("anna")
    second = site.start_open("bert", reconnect=True)
    wait_until(lambda: second.attempts > 3, what="it tries again")
    first.close()
    site.wait_connections("bert", 1)


def test_names_and_channels_are_bounded_as_configured(limited):
    _, ask, _ = limited(max_name_bytes=10, max_channels=2)
    assert ask("session=" + "x" * 10) == "open" and ask("session=" + "x" * 11) == 400
    assert ask("session=a&channels=a,b") == "open" and ask("session=a&channels=a,b,c") == 400
    assert ask("session=a&channels=" + "x" * 11) == 400


def test_many_channels_may_be_allowed(limited):
    site, ask, _ = limited(max_channels=1000)
    assert ask("session=a&channels=" + ",".join(f"c{n}" for n in range(1000))) == "open"
    site.wait_connections("a", 1)
    assert site.publish("m", data=1, to={"channels": ["c999"]})["online"] == 1


def test_a_request_that_does_not_come_is_not_waited_for(bench):
    site = Site(bench, worker={"request_timeout": "300ms"})
    before = site.stat("requests_dropped")
    began = time.monotonic()
    with FastCgi(site.worker.socket) as web:
        web.wait_hangup(timeout=5)
    assert time.monotonic() - began < 3
    wait_until(lambda: site.stat("requests_dropped") > before, what="it is counted")
