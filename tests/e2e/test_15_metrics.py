"""Who may see how the system is, and what they see: healthz and metrics through real web
servers."""

import json
import os
import re
import shutil
import signal
import time

import pytest
from support.apache import Apache
from support.bench import Bench
from support.broker import Broker
from support.fcgi import FastCgi
from support.lighttpd import Lighttpd
from support.network import Network
from support.ports import free_port
from support.processes import CLI, WORKER, run
from support.prometheus import MONITORING, Prometheus, Samples, check
from support.site import Site
from support.waiting import wait_until
from support.worker import Worker

TOKEN = "a-secret-of-the-operators"


@pytest.fixture(scope="module", params=[Lighttpd, Apache], ids=lambda web: web.name)
def watched(request):
    """A site behind each of the web servers."""
    with Bench() as b:
        # Apache notices at a write that a client left
        yield Site(b, web=request.param, worker={"heartbeat": "300ms"})


@pytest.fixture(scope="module")
def closed():
    """A site that shows itself to nobody without the token."""
    with Bench() as b:
        yield Site(b, worker={"monitor_from": "none", "monitor_token_file": token_file(b)})


def token_file(bench, text=TOKEN + "\n", mode=0o640):
    path = bench.folder / "token"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def health(worker, query="", **environment):
    """(status, body) of healthz, past the web server."""
    with FastCgi(worker.socket) as web:
        web.get(query, REQUEST_URI=f"/sse/healthz?{query}", REMOTE_ADDR="127.0.0.1",
                **environment).wait_end()
        return web.head["status"], json.loads(web.body)


# Health

def test_a_worker_with_a_broker_is_ready(watched):
    status, headers, body = watched.request(path="/healthz")
    assert (status, json.loads(body)) == (200, {"live": True, "ready": True, "reasons": []})
    assert headers["content-type"] == "application/json" and headers["cache-control"] == "no-store"
    status, headers, body = watched.request("HEAD", path="/healthz")
    assert (status, body) == (200, b"")


def test_a_worker_without_a_broker_is_live_but_not_ready(bench):
    broker = Broker(bench)
    worker = Worker(bench, broker).start()
    assert health(worker) == (503, {"live": True, "ready": False, "reasons": ["no broker"]})
    assert health(worker, "live=1") == (200,
                                        {"live": True, "ready": False, "reasons": ["no broker"]})
    assert health(worker, "live=10")[0] == health(worker, "alive=1")[0] == 503
    assert health(worker, "a=b&live=1&c")[0] == health(worker, "%6Cive=%31")[0] == 200
    broker.start()
    wait_until(lambda: health(worker)[0] == 200, what="ready")


def test_a_full_worker_says_so(bench):
    site = Site(bench, worker={"max_connections": 1})
    reader = site.open("anna")
    assert health(site.worker) == (503, {"live": True, "ready": False, "reasons": ["full"]})
    reader.close()
    wait_until(lambda: health(site.worker)[0] == 200, what="ready")


def test_a_stopping_worker_says_so(bench):
    site = Site(bench, worker={"drain": "3s"})
    readers = site.open_many(["anna", "bert"])
    site.worker.expect_end()
    site.worker.signal(signal.SIGTERM)
    wait_until(lambda: health(site.worker)[1]["reasons"] == ["stopping"], what="stopping")
    assert readers


# Metrics

def scrape(site, workers_restart=False):
    """None when workers restart, and the web server found none of them."""
    status, headers, body = site.request(path="/metrics")
    if workers_restart and status == 503:
        return None
    assert (
        status == 200 and headers.get("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    ), (status, headers, body[:300])
    return Samples(body.decode())


def wait_samples(site, condition, what, workers_restart=False):
    """Until a scrape is so; the workers report once a second."""
    found = []

    def holds():
        found[:] = [scrape(site, workers_restart)]
        return found[0] is not None and condition(found[0])

    wait_until(holds, what=what)
    return found[0]


def test_promtool_finds_nothing_wrong(watched):
    check(scrape(watched).text)


def test_what_happens_is_counted(watched, session):
    before = wait_samples(watched,
                          lambda s: s["ssecast_up"] == 1 and s["ssecast_workers"] == 1, "a worker")
    readers = [watched.open(session) for _ in range(3)]
    watched.publish("m", data="x" * 100, to={"sessions": [session]}, id=f"once-{session}")
    watched.publish("m", data="x", to={"sessions": [session]}, id=f"once-{session}")
    watched.publish("m", data="y", to={"sessions": [session]})
    for reader in readers:
        reader.wait_for(2)
    watched.commands.ask({"op": "nonsense"})
    # a report may fall between a delivery and its write
    written = "ssecast_publish_to_write_seconds_count"
    after = wait_samples(watched, lambda s: s[written] - before[written] == 6,
                         "six deliveries that are written")

    def grew(name, labels=None):
        key = (name, labels) if labels else name
        return after[key] - before[key]

    assert (grew("ssecast_publishes_total") == 3 and grew("ssecast_events_total") == 2
            and grew("ssecast_duplicates_total") == 1)
    assert (grew("ssecast_streams_opened_total") == 3 and grew("ssecast_connections") == 3
            and grew("ssecast_sessions") == 1)
    assert grew("ssecast_written_bytes_total") > 3 * 100 and grew("ssecast_history_events") == 2
    assert grew("ssecast_request_errors_total", "code=unknown_op") == 1
    assert grew("ssecast_deliveries_total") == 6
    assert grew("ssecast_publish_to_write_seconds_bucket", "le=+Inf") == 6
    assert 0 <= grew("ssecast_publish_to_write_seconds_sum") < 6 * 10
    assert sum(
        after.of("ssecast_worker_deliveries_total").values()
    ) == after["ssecast_deliveries_total"]
    assert sum(after.of("ssecast_worker_streams").values()) == after["ssecast_connections"]
    assert abs(after["ssecast_start_time_seconds"] - time.time()) < 600
    check(after.text)


def test_an_end_is_counted_by_its_cause(watched, session):
    before = scrape(watched)
    reader = watched.open(session)
    watched.commands.demand({"op": "shutdown", "sessions": [session], "block": 0})
    reader.wait(lambda: reader.ended, "the end")
    wait_samples(watched, lambda s: s["ssecast_stream_ends_total", "cause=shutdown"]
                     - before["ssecast_stream_ends_total", "cause=shutdown"] == 1, "an end")


def test_a_replay_is_no_live_delivery(watched, session):
    reader = watched.open(session)
    cursor = reader.wait(lambda: reader.last_event_id, "a cursor") and reader.last_event_id
    reader.close()
    watched.wait_connections(session, 0)
    for n in range(5):
        watched.publish("m", data=n, to={"sessions": [session]})
    before = scrape(watched)
    time.sleep(1.1)
    watched.open(session, last_event_id=cursor).wait_for(5)
    after = wait_samples(
        watched, lambda s: s["ssecast_deliveries_total"] - before["ssecast_deliveries_total"] == 5,
        "five deliveries"
    )
    assert (after["ssecast_publish_to_write_seconds_count"]
            == before["ssecast_publish_to_write_seconds_count"])
    replays = [sum(s.of("ssecast_replays_total").values()) for s in (before, after)]
    assert replays[1] == replays[0] + 1


def test_a_reader_that_takes_nothing_shows_in_the_queue(bench):
    site = Site(bench, worker={"queue_bytes": "20M"})
    reader = site.open("slow", receive_buffer=4096)
    reader.pause()
    for _ in range(60):
        site.publish("m", text="x" * 100_000, to={"sessions": ["slow"]})
    found = wait_samples(site, lambda s: s["ssecast_queued_bytes"] > 0, "a queue")
    assert found["ssecast_queued_readers"] == 1
    reader.resume()
    reader.wait_for(60)
    wait_samples(site,
                 lambda s: s["ssecast_queued_bytes"] == 0 and s["ssecast_queued_readers"] == 0,
                 "an empty queue")


def test_a_worker_whose_feed_stalls_is_seen_to_be_behind(bench):
    feed = None

    class Stalling(Site):
        def endpoints(self):
            nonlocal feed
            feed = bench.closing(Network(int(self.broker.endpoint("feed").rpartition(":")[2])))
            return {"feed": f"tcp://127.0.0.1:{feed.port}"}

    site = Stalling(bench)
    reader = site.open("anna")
    site.publish("m", data=0)
    reader.wait_for(1)
    feed.stall()
    for n in range(7):
        site.publish("m", data=n)

    def lag(samples):
        return sum(samples.of("ssecast_worker_feed_lag_events").values())

    # What was on its way when the feed stalled may still have arrived.
    found = wait_samples(site, lambda s: 0 < lag(s) == 8 - len(reader.events),
                         "as many events behind as the reader lacks")
    late = lag(found)
    assert list(found.of("ssecast_worker_feed_lag_seconds").values())[0] > 0
    before = found["ssecast_publish_to_write_seconds_count"]
    feed.go_on()
    reader.wait_for(8)
    after = wait_samples(site, lambda s: lag(s) == 0 and s["ssecast_publish_to_write_seconds_count"]
                             == before + late, "no event behind")
    assert (
        after["ssecast_publish_to_write_seconds_sum"]
        - found["ssecast_publish_to_write_seconds_sum"] > 0.1 * late
    ), "they were late, and it shows"


def streams_of_running_workers(site):
    """Without those of a killed worker, which the broker keeps until its lease ends."""
    running = [f"-{w.pid}-" for w in site.workers]
    return sum(w["connections"] for w in site.commands.workers()
               if any(pid in w["worker"] for pid in running))


def test_counters_never_fall_when_workers_come_and_go(bench):
    site = Site(bench, workers=2)
    site.open_many([f"s{n}" for n in range(4)], stubborn=True, retry=0.1)
    site.publish("m", data=1)
    last = wait_samples(site, lambda s: s["ssecast_deliveries_total"] == 4, "four deliveries")
    site.workers[0].restart()
    site.workers[1].kill()
    site.workers[1].start()
    for deliveries in (8, 12):
        wait_until(lambda: streams_of_running_workers(site) == 4, what="all are back")
        site.publish("m", data=2)
        now = wait_samples(site, lambda s, least=deliveries: s["ssecast_deliveries_total"] >= least,
                           "four more", workers_restart=True)
        fell = {key: (value, now[key]) for key, value in last.counters().items() if key in now
                and now[key] < value}
        assert not fell
        last = now


def test_a_new_broker_does_not_count_again_what_its_workers_did_before(bench):
    site = Site(bench, worker={"heartbeat": "300ms"})
    reader = site.open("anna", reconnect=True)
    for n in range(10):
        site.publish("m", data=n)
    wait_samples(site, lambda s: s["ssecast_deliveries_total"] == 10, "ten deliveries")
    site.broker.restart()
    wait_samples(site, lambda s: s["ssecast_up"] == 1 and s["ssecast_connections"] == 1,
                 "the worker is back")
    site.publish("m", data=10)
    reader.wait(lambda: "10" in reader.data(), "the last event")
    found = wait_samples(site, lambda s: s["ssecast_deliveries_total"] > 0, "a delivery")
    assert found["ssecast_deliveries_total"] == 1 and site.stat("deliveries") == 11
    assert sum(found.of("ssecast_worker_deliveries_total").values()) == 11


def test_without_a_broker_a_worker_reports_itself(bench):
    site = Site(bench)
    site.open("anna")
    site.publish("m", data=1)
    wait_samples(site, lambda s: s["ssecast_deliveries_total"] == 1, "a delivery")
    site.broker.kill()
    began = time.monotonic()
    own = scrape(site)
    assert time.monotonic() - began < 8, "within Prometheus' usual time-out of 10 s"
    check(own.text)
    assert own["ssecast_up"] == 0
    assert (list(own.of("ssecast_worker_deliveries_total").values()) == [1]
            and list(own.of("ssecast_worker_streams").values()) == [1])
    assert {name for name in own.types if not name.startswith("ssecast_worker_")} == {"ssecast_up"}
    site.broker.start()
    wait_samples(site, lambda s: s["ssecast_up"] == 1 and s["ssecast_connections"] == 1,
                 "the broker")


def test_an_answer_that_waits_for_the_broker_is_sent_no_heartbeat(bench):
    site = Site(bench, worker={"heartbeat": "100ms"})
    site.broker.freeze()
    try:
        with FastCgi(site.worker.socket) as web:
            web.get("", REQUEST_URI="/sse/metrics").wait_end()
    finally:
        site.broker.thaw()
    assert web.text.startswith(b"Status: 200") and b"keep-alive" not in web.text
    assert Samples(web.body.decode())["ssecast_up"] == 0, "the broker did not reply in time"


def test_the_command_line_shows_the_same(watched):
    done = run([CLI, "--commands", watched.broker.endpoint("commands"), "stats", "--prometheus"])
    assert done.returncode == 0
    check(done.stdout)
    shown, scraped = Samples(done.stdout), scrape(watched)
    assert set(shown) == set(scraped) and shown.types == scraped.types


def test_stats_and_metrics_agree(watched):
    stats = watched.commands.stats()
    found = Samples(watched.commands.demand({"op": "metrics"})["text"])
    assert (found["ssecast_events_total"] == stats["events"]
            and found["ssecast_history_bytes"] == stats["history_bytes"])
    assert found["ssecast_stream_ends_total", "cause=client"] == stats["ends_client"]
    assert (found["ssecast_publish_to_write_seconds_bucket", "le=0.002"] == stats["latency_1ms"]
            + stats["latency_2ms"])


# monitoring/

def dashboard_queries():
    """Every query of the dashboard, with what Grafana would put into it."""
    board = json.loads((MONITORING / "ssecast-grafana.json").read_text())
    queries = [t["expr"] for p in board["panels"] for t in p["targets"]] + [
        a["expr"] for a in board["annotations"]["list"]
    ]
    assert len(queries) > 30
    return [q.replace("$job", "ssecast").replace("$instance", "INSTANCE")
            .replace("$__rate_interval", "30s") for q in queries]


def alert_queries():
    return re.findall(r"expr: (?:>-\n)?(.*?)\n +(?:for|labels):",
                      (MONITORING / "ssecast-alerts.yml").read_text(), re.S)


@pytest.mark.parametrize("queries", [dashboard_queries, alert_queries])
def test_every_query_names_metrics_that_exist(watched, queries):
    there = {key if isinstance(key, str) else key[0] for key in scrape(watched)}
    asked = {name for query in queries() for name in re.findall("ssecast_[a-z_]+", query)}
    assert len(asked) > 10 and asked <= there


def test_promtool_takes_the_rules_and_the_configuration():
    for what in (["check", "rules", MONITORING / "ssecast-alerts.yml"],
                 ["check", "config", "--syntax-only", MONITORING / "prometheus.yml"]):
        done = run(["promtool", *what])
        assert done.returncode == 0, done


@pytest.mark.parametrize("alert, series, silent", [
    ("SsecastBrokerAway", {"ssecast_up": "0x20"}, {"ssecast_up": "1x20"}),
    ("SsecastStoreFailing", {"ssecast_store_failing": "1x20"}, {"ssecast_store_failing": "0x20"}),
    ("SsecastStateFull", {"ssecast_state_events": "1x20", "ssecast_state_events_max": "9x20",
                          "ssecast_state_bytes": "95x20", "ssecast_state_bytes_max": "100x20"},
     {"ssecast_state_events": "8x20", "ssecast_state_events_max": "9x20",
      "ssecast_state_bytes": "0x20", "ssecast_state_bytes_max": "0x20"}),
    ("SsecastWorkerLost", {"ssecast_workers_lost_total": "0x9 1x10"},
     {"ssecast_workers_lost_total": "3x20"}),
    ("SsecastNearlyFull", {"ssecast_connections": "95x20", "ssecast_streams_max": "100x20"},
     {"ssecast_connections": "50x20", "ssecast_streams_max": "100x20"}),
    ("SsecastCutsReaders", {
        'ssecast_stream_ends_total{cause="slow"}': "0+20x20", "ssecast_connections": "1000x20"
    }, {'ssecast_stream_ends_total{cause="slow"}': "0+1x20", "ssecast_connections": "1000x20"}),
    ("SsecastSlow", {'ssecast_publish_to_write_seconds_bucket{le="1"}': "0x20",
                     'ssecast_publish_to_write_seconds_bucket{le="5"}': "0+9x20",
                     'ssecast_publish_to_write_seconds_bucket{le="+Inf"}': "0+9x20"},
     {'ssecast_publish_to_write_seconds_bucket{le="1"}': "0+9x20",
      'ssecast_publish_to_write_seconds_bucket{le="5"}': "0+9x20",
      'ssecast_publish_to_write_seconds_bucket{le="+Inf"}': "0+9x20"}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_an_alert_fires_when_it_should(bench, alert, series, silent):
    rules = bench.folder / "rules.yml"
    shutil.copy(MONITORING / "ssecast-alerts.yml", rules)
    for values, fires in ((series, True), (silent, False)):
        case = {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [
            {"interval": "1m", "input_series": [
                {"series": name, "values": v} for name, v in values.items()
            ], "promql_expr_test": [
                {"expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                 "eval_time": "16m", "exp_samples": [{"labels": "{}", "value": int(fires)}]}
            ]}]}
        (bench.folder / "case.yml").write_text(json.dumps(case))
        done = run(["promtool", "test", "rules", bench.folder / "case.yml"])
        assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_itself_reads_all_of_it(bench):
    site = Site(bench, worker={"monitor_from": "none", "monitor_token_file": token_file(bench),
                               "heartbeat": "300ms"})
    prometheus = Prometheus(bench, site, TOKEN).start()
    site.open_many(["anna", "bert"])
    wait_until(lambda: prometheus.query("ssecast_connections")
                   and prometheus.query("ssecast_connections")[0][1] == 2, what="two streams")
    for n in range(20):
        site.publish("m", data=n)
        time.sleep(0.1)
    wait_until(lambda: [v for _, v in prometheus.query("ssecast_deliveries_total")] == [40],
               what="forty deliveries")
    assert (prometheus.query('up{job="ssecast"}')[0][1] == 1
            and prometheus.query("ssecast_up")[0][1] == 1)
    [(labels, _)] = prometheus.query("ssecast_build_info")
    assert labels["version"] and labels["job"] == "ssecast"
    for query in dashboard_queries():
        prometheus.query(query.replace("INSTANCE", labels["instance"]))
    [(_, latency)] = prometheus.query(
        "histogram_quantile(0.99, rate(ssecast_publish_to_write_seconds_bucket[30s]))"
    )
    assert 0 < latency < 1
    assert {
        rule["health"] for group in prometheus.api("rules")["groups"] for rule in group["rules"]
    } <= {"ok", "unknown"}
    site.broker.kill()
    wait_until(lambda: [v for _, v in prometheus.query("ssecast_up")] == [0], 30,
               what="ssecast_up is 0")


def test_a_feed_that_nothing_comes_from_is_told(bench):
    """The broker's sync is right and its feed is not: nothing answers there, as behind a
    firewall."""
    broker = Broker(bench).start()
    feed = f"tcp://127.0.0.1:{free_port()}"
    worker = Worker(bench, broker, feed=feed, broker_timeout="2s").start()
    wait_until(
        lambda: health(worker) == (503, {"live": True, "ready": False, "reasons": ["feed silent"]}),
        20, "not ready"
    )
    assert (f"--feed {feed}: nothing arrives for 2 s, "
            f"although the broker answers at {broker.endpoint('sync')}" in worker.log())


@pytest.mark.parametrize("option, wrong", [("feed", "commands"), ("sync", "presence")])
def test_another_endpoint_of_the_broker_is_told(bench, option, wrong):
    broker = Broker(bench).start()
    worker = Worker(bench, broker, **{option: broker.endpoint(wrong)}).start()
    wait_until(lambda: "broker handshake" in health(worker)[1]["reasons"], 20, "told")
    told = worker.log()
    assert (f"--{option} {broker.endpoint(wrong)}: what answers there is another "
            "endpoint of the broker" in told or f"--{option} {broker.endpoint(wrong)}: "
            "what answers there ends the connection: it is another endpoint" in told)


# Who may see it

@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
def test_clients_without_access_are_refused(closed, path):
    status, headers, body = closed.request(path=path)
    assert (status, json.loads(body)) == (403, {
        "error": "forbidden", "message":
            "access denied; accepted: an address of the option monitor-from, or the monitor token"
    })
    assert closed.request("DELETE",
                          path=path)[0] == 403, "who may not see it is not told what there is"
    assert closed.request(path=path, headers={"Authorization": f"Bearer {TOKEN}x"})[0] == 403
    assert closed.request(path=path, headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200
    assert closed.request("DELETE", path=path,
                          headers={"Authorization": f"Bearer {TOKEN}"})[0] == 405
    assert TOKEN not in closed.worker.log()


def test_apache_hands_the_token_on(bench):
    site = Site(bench, web=Apache,
                worker={"monitor_from": "none", "monitor_token_file": token_file(bench)})
    assert site.request(path="/healthz")[0] == 403
    assert site.request(path="/healthz", headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200


def test_only_listed_addresses_may(bench):
    site = Site(bench, worker={"monitor_from": ["192.0.2.0/24", "2001:db8::/32"]})
    assert site.request(path="/healthz")[0] == 403
    for address, status in (("192.0.2.77", 200), ("192.0.3.1", 403), ("2001:db8::7", 200),
                            ("::1", 403)):
        with FastCgi(site.worker.socket) as web:
            web.get("", REQUEST_URI="/sse/healthz", REMOTE_ADDR=address).wait_end()
            assert web.head["status"] == status, address


def test_the_token_is_reread_on_sighup(bench):
    site = Site(bench, worker={"monitor_from": "none", "monitor_token_file": token_file(bench)})

    def seen_with(token):
        return site.request(path="/healthz", headers={"Authorization": f"Bearer {token}"})[0]

    assert seen_with(TOKEN) == 200
    token_file(bench, "the-next-secret-of-theirs\n")
    site.worker.signal(signal.SIGHUP)
    wait_until(lambda: seen_with("the-next-secret-of-theirs") == 200, what="the new token")
    assert seen_with(TOKEN) == 403


@pytest.mark.parametrize("text, mode, complaint",
                         [("the-next-secret-of-theirs", 0o604, "every user"),
                          ("short", 0o600, "16 to 512"), ("", 0o600, "16 to 512"),
                          (None, 0, "No such file")])
def test_a_token_file_that_cannot_be_used_leaves_the_token_and_all_streams_as_they_are(
    bench, text, mode, complaint
):
    path = token_file(bench)
    site = Site(bench,
                worker={"monitor_from": "none", "monitor_token_file": path, "heartbeat": "300ms"})
    reader = site.open("anna")
    watcher = bench.closing(FastCgi(site.worker.socket))
    watcher.get("stream=1", REQUEST_URI="/sse/status", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")
    watcher.wait(watcher.events, "an event of the status page")
    os.unlink(path) if text is None else token_file(bench, text, mode)
    site.worker.signal(signal.SIGHUP)
    wait_until(lambda: "; keeping the previous token" in site.worker.log(),
               what="the log says that the token stays")
    assert complaint in site.worker.log() and "theirs" not in site.worker.log()
    assert site.request(path="/healthz", headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200
    assert site.request(path="/healthz",
                        headers={"Authorization": "Bearer the-next-secret-of-theirs"})[0] == 403

    token_file(bench, "a-secret-that-is-good\n")
    for readings in (1, 2):
        site.worker.signal(signal.SIGHUP)
        wait_until(
            lambda: site.worker.log().count(f"monitor-token-file {path}: reloaded\n") == readings,
            what="each reading is confirmed"
        )
    assert site.request(path="/healthz",
                        headers={"Authorization": "Bearer a-secret-that-is-good"})[0] == 200
    seen = len(watcher.events())
    watcher.wait(lambda: len(watcher.events()) > seen + 1, "the page goes on")
    site.publish("m", data=1)
    reader.wait_for(1)
    assert reader.opens == 1


@pytest.mark.parametrize("text, mode, complaint", [
    (TOKEN, 0o604, "every user"), ("short", 0o600, "16 to 512"), (None, 0, "No such file")
])
def test_a_token_file_that_cannot_be_used_ends_the_start(bench, text, mode, complaint):
    path = token_file(bench, text, mode) if text else str(bench.folder / "absent")
    done = run([WORKER, "--listen", bench.folder / "w.sock", "--monitor-token-file", path])
    assert (done.returncode == 2 and complaint in done.stderr and path in done.stderr
            and done.stderr.count("\n") == 1)


@pytest.mark.parametrize("value",
                         ["localhost", "10.0.0.0/33", "127.0.0.1/8/8", "2001:db8::/129", "*"])
def test_an_address_that_is_none_is_refused_at_the_start(bench, value):
    done = run([WORKER, "--monitor-from", value])
    assert done.returncode == 2 and f"'{value}'" in done.stderr and "192.0.2.0/24" in done.stderr
