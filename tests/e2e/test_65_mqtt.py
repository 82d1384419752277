"""ssecast-mqtt: the messages of MQTT topics, acknowledged when the broker has them."""

import base64
import json
import socket
import ssl
import struct
import threading
import time

import pytest
from support.bridge import Bridge, data, events, state, values, wait_data
from support.broker import Broker
from support.keys import Keys
from support import processes
from support.mosquitto import Mosquitto
from support.options import arguments
from support.processes import MQTT, run
from support.relay import Relay
from support.tls import certificate
from support.waiting import wait_until


@pytest.fixture
def mosquitto(bench):
    return Mosquitto(bench).start()


@pytest.fixture
def broker(bench):
    return Broker(bench, store=bench.folder / "store").start()


@pytest.fixture
def bridge(bench, mosquitto, broker):
    """Makes a bridge that keeps its state in a file."""
    return lambda name=None, **options: Bridge(bench, broker, MQTT, name, **{
        "server": mosquitto.server, "topic": "home/#",
        "state": bench.folder / f"{name or 'mqtt'}.state", **options})


def publish(mosquitto, numbers, topic="home/n"):
    mosquitto.publish_lines(topic, numbers)


def wait_numbers(broker, count):
    wait_until(lambda: len(events(broker)) >= count,
               what=lambda: f"{count} events; have {len(events(broker))}")
    assert values(broker) == list(range(count))


# Mapping


def test_a_message_is_an_event_of_the_channel_of_its_topic(mosquitto, broker, bridge):
    bridge(topic=["home/+/t", "work/#"]).start()
    mosquitto.publish("home/attic/t", "21.5 °C")
    mosquitto.publish("home/attic/x", "no")
    mosquitto.publish("work/a/b", "two\nlines", qos=2)
    mosquitto.publish("work/a/b", b"", qos=0)
    wait_data(broker, ["21.5 °C", "two\nlines", ""])
    first, second, third = events(broker)
    assert (first["to"] == {"channels": ["home/attic/t"]} and first["event"] == "mqtt"
            and first["id"].startswith("mqtt-"))
    assert (second["to"] == {"channels": ["work/a/b"]}
            and len({first["id"], second["id"], third["id"]}) == 3)
    assert "key" not in first


def test_names_are_made_by_patterns(mosquitto, broker, bridge):
    bridge(channel="mqtt", event="%s", payload="wrapped").start()
    mosquitto.publish("home/door", "open")
    wait_until(lambda: events(broker), what="an event")
    [event] = events(broker)
    assert event["event"] == "home/door" and event["to"] == {"channels": ["mqtt"]}
    assert json.loads(event["data"]) == {"topic": "home/door", "payload": "open"}


def test_what_cannot_be_published_is_counted_and_acknowledged(mosquitto, broker, bridge):
    program = bridge(max_event_bytes="1000").start()
    for topic, payload in [("home/b", b"\xff\xfe"), ("home/" + "x" * 300, "x"),
                           ("home/big", "x" * 1001), ("home/huge", "x" * 200000),
                           ("home/fits", "x" * 1000), ("home/end", "end")]:
        mosquitto.publish(topic, payload)
    wait_data(broker, ["x" * 1000, "end"])
    assert program.stop() == 0 and "published=2 refused=3" in program.log()
    program.start()
    mosquitto.publish("home/end", "again")
    wait_data(broker, ["x" * 1000, "end", "again"])


def test_a_message_that_the_broker_refuses_stops_nothing(mosquitto, broker, bridge):
    program = bridge(payload="message").start()
    for payload in ['{"event":"ssecast.x","data":1}', '{"data":1,"nonsense":2}', '[]',
                    '{"data":1,"channel":"c","id":"own"}',
                    '{"data":2,"id":"own"}', '{"text":"x","key":"k"}']:
        mosquitto.publish("home/m", payload)
    wait_data(broker, ["1", "x"])
    first, second = events(broker)
    assert first["to"] == {"channels": ["c"]} and first["id"] == "own" and second["key"] == "k"
    program.stop()
    assert "published=3 refused=3" in program.log()


@pytest.mark.parametrize("payloads", [["\x01" * 1000000], [*["x" * 130000] * 32, "\x01" * 1000000]],
                         ids=["one", "many"])
def test_more_than_the_broker_reads_at_once_stops_nothing(bench, mosquitto, payloads):
    """Its own limit is far below that of the bridge."""
    broker = Broker(bench, max_event_bytes="1K").start()
    program = Bridge(bench, broker, MQTT, **{"server": mosquitto.server, "topic": "home/#"})
    program.start().stop()
    for payload in payloads:
        mosquitto.publish("home/m", payload)
    mosquitto.publish("home/m", "end")
    program.start()
    wait_data(broker, ["end"])
    program.stop()
    assert f"published=1 refused={len(payloads)}" in program.log()


def test_binary_payloads_as_base64_and_json_as_it_is(mosquitto, broker, bridge):
    bridge("binary", topic="home/b", payload="base64", client_id="b").start()
    bridge("json", topic="home/j", payload="json", client_id="j").start()
    mosquitto.publish("home/b", bytes(range(256)))
    wait_data(broker, [base64.b64encode(bytes(range(256))).decode()])
    mosquitto.publish("home/j", "{broken")
    mosquitto.publish("home/j", '{"n": 1.10, "big": 12345678901234567890}')
    wait_until(lambda: len(events(broker)) == 2, what="an event")
    assert data(broker)[1] == '{"n": 1.10, "big": 12345678901234567890}'


# State


def test_retained_messages_are_state(mosquitto, broker, bridge):
    mosquitto.publish("home/door", "closed", retain=True)
    program = bridge().start()
    wait_until(lambda: "home/door" in state(broker), what="state")
    mosquitto.publish("home/door", "open", retain=True)
    mosquitto.publish("home/lamp", "on", retain=True)
    mosquitto.publish("home/bell", "ring")
    wait_data(broker, ["closed", "open", "on", "ring"])
    assert {key: (e["data"], e["to"]) for key, e in state(broker).items()} == {
        "home/door": ("open", {"channels": ["home/door"]}),
        "home/lamp": ("on", {"channels": ["home/lamp"]})}
    program.stop()
    mosquitto.publish("home/lamp", "off", retain=True, qos=0)
    program.start()
    wait_until(lambda: state(broker)["home/lamp"]["data"] == "off", what="what changed meanwhile")
    mosquitto.publish("home/door", b"", retain=True)
    wait_until(lambda: set(state(broker)) == {"home/lamp"}, what="the key has gone")


def test_all_or_no_messages_may_be_state(mosquitto, broker, bridge):
    bridge("all", topic="home/a", keyed="all", client_id="a").start()
    none = bridge("none", topic="home/n", keyed="none", client_id="n").start()
    mosquitto.publish("home/a", "1")
    mosquitto.publish("home/n", "1", retain=True)
    wait_until(lambda: len(events(broker)) == 2, what="both events")
    assert set(state(broker)) == {"home/a"}
    none.restart()
    mosquitto.publish("home/n", "2")
    wait_data(broker, ["1", "1", "2"])


# At least once


def test_messages_wait_for_the_bridge(mosquitto, broker, bridge):
    program = bridge().start()
    program.stop()
    publish(mosquitto, range(500))
    mosquitto.restart()
    program.start()
    wait_numbers(broker, 500)


def test_a_message_is_acknowledged_when_the_broker_has_it(mosquitto, broker, bridge):
    """The MQTT broker's log shows the acknowledgements."""
    bridge(timeout="30s").start()
    broker.freeze()
    mosquitto.publish("home/n", "0")
    wait_until(lambda: "Sending PUBLISH to ssecast-mqtt" in mosquitto.log(),
               what="the message is sent")
    time.sleep(0.5)
    assert "Received PUBACK from ssecast-mqtt" not in mosquitto.log()
    broker.thaw()
    wait_until(lambda: "Received PUBACK from ssecast-mqtt" in mosquitto.log(),
               what="the acknowledgement")
    wait_numbers(broker, 1)


def test_killed_at_any_time_each_message_arrives_once(mosquitto, broker, bridge):
    program = bridge().start()
    for turn in range(10):
        publish(mosquitto, range(turn * 300, turn * 300 + 300))
        if turn:
            program.start(connected=False)
        wait_until(lambda t=turn: len(events(broker)) > t * 300, what="some messages")
        program.kill()
    program.start()
    wait_numbers_once_or_twice(broker, 3000)


def wait_numbers_once_or_twice(broker, count):
    """Every number, in order. A kill in the moment of the acknowledgement may bring a batch
    again."""
    wait_until(lambda: values(broker)[-1:] == [count - 1],
               what=lambda: f"{count - 1}; have {values(broker)[-1:]}")
    found = values(broker)
    assert sorted(set(found)) == list(range(count)), sorted(set(range(count)) - set(found))
    assert sum(n == 1 for n in map(found.count, range(0, count, 7))) >= count // 14


def test_killed_before_the_acknowledgement_the_message_arrives_once(mosquitto, broker, bridge):
    program = bridge(timeout="30s").start()
    for turn in range(3):
        broker.freeze()
        publish(mosquitto, range(turn * 20, turn * 20 + 20))
        wait_until(
            lambda t=turn: mosquitto.log().count("Sending PUBLISH to ssecast-mqtt") >= t * 40 + 20,
            what="the messages are sent"
        )
        time.sleep(0.3)
        program.kill()
        broker.thaw()
        program.start()
        wait_until(lambda t=turn: mosquitto.log().count(
            "Received PUBACK from ssecast-mqtt"
        ) >= t * 20 + 20, what="all acknowledgements")
    wait_numbers(broker, 60)


def test_a_broker_that_is_away_costs_nothing(mosquitto, broker, bridge):
    bridge().start()
    for turn in range(3):
        publish(mosquitto, range(turn * 200, turn * 200 + 100))
        broker.kill()
        publish(mosquitto, range(turn * 200 + 100, turn * 200 + 200))
        broker.start()
        wait_numbers(broker, turn * 200 + 200)


def test_a_broker_that_is_away_for_longer_than_the_connection_lives(mosquitto, broker, bridge):
    program = bridge(keepalive="5s").start()
    broker.kill()
    publish(mosquitto, range(50))
    wait_until(lambda: "ssecast-mqtt has exceeded timeout" in mosquitto.log(), timeout=20,
               what="the MQTT broker gives up")
    broker.start()
    program.wait_connected(2)
    wait_until(lambda: mosquitto.log().count("Received PUBACK from ssecast-mqtt") >= 50,
               what="all acknowledgements")
    wait_numbers(broker, 50)


def test_a_network_that_fails_loses_no_message(bench, mosquitto, broker):
    with Relay(mosquitto.port) as relay:
        program = Bridge(bench, broker, MQTT, server=f"127.0.0.1:{relay.port}",
                         topic="home/#").start()
        for turn in range(5):
            publish(mosquitto, range(turn * 100, turn * 100 + 100))
            relay.cut()
            program.wait_connected(turn + 2)
        wait_numbers_once_or_twice(broker, 500)


def test_the_mqtt_broker_comes_back(mosquitto, broker, bridge):
    program = bridge().start()
    mosquitto.stop()
    program.wait_log("connection failed; retrying")
    mosquitto.start()
    program.wait_connected(2)
    publish(mosquitto, range(10))
    wait_numbers(broker, 10)


def test_bridges_that_disconnect_each_other_do_so_less_and_less(mosquitto, broker, bridge):
    """Each connection brings the retained messages again."""
    mosquitto.publish("home/door", "closed", retain=True)
    both = [bridge(name).start() for name in ("one", "other")]
    time.sleep(8)
    for program in both:
        program.stop()
    assert 2 < len(events(broker)) < 12


def test_an_idle_connection_is_kept(mosquitto, broker, bridge):
    program = bridge(keepalive="5s").start()
    wait_until(lambda: mosquitto.log().count("Received PINGREQ from ssecast-mqtt") >= 2, timeout=30,
               what="pings")
    publish(mosquitto, range(1))
    wait_numbers(broker, 1)
    assert program.connections() == 1 and "exceeded timeout" not in mosquitto.log()


def test_another_bridge_may_not_use_the_state(bench, mosquitto, broker, bridge):
    bridge("mqtt").start()
    done = run([MQTT, *arguments({"server": mosquitto.server, "topic": "a", "client_id": "b",
                                  "state": bench.folder / "mqtt.state"})])
    assert done.returncode == 1 and "another bridge uses it" in done.stderr


# Logins


def test_a_password_and_tls(bench, broker):
    class Tls:
        cert = key = ca = bench.folder / "mqtt.pem"

    certificate(Tls.cert, "127.0.0.1", "localhost")
    Tls.cert.chmod(0o644)
    mosquitto = Mosquitto(bench, login=("bridge", "open sesame"), tls=Tls).start()
    secret = bench.folder / "secret"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    program = Bridge(bench, broker, MQTT, server=f"localhost:{mosquitto.port}", topic="home/#",
                     tls_ca=Tls.ca, username="bridge", password_file=secret).start()
    with open(f"/proc/{program.pid}/cmdline", encoding="utf-8") as line:
        assert "sesame" not in line.read()
    for n in range(3):
        done = run(["mosquitto_pub", "-h", "localhost", "-p", mosquitto.port, "-t", "home/n", "-q",
                    1, "-m", n, "-u", "bridge", "-P", "open sesame", "--cafile", Tls.ca])
        assert done.returncode == 0, done.stderr
    wait_numbers(broker, 3)


class BatchingMqttBroker:
    """An MQTT broker for one bridge, with TLS. Unlike mosquitto it may send several messages in one
    TLS record, as others do."""

    def __init__(self, pem):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port, self._packet = self._listener.getsockname()[1], 0
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        self._bridge = self._context.wrap_socket(self._listener.accept()[0], server_side=True)
        self._bridge.recv(4096)  # CONNECT
        self._bridge.sendall(b"\x20\x03\0\0\0")
        request = self._bridge.recv(4096)  # SUBSCRIBE
        self._bridge.sendall(b"\x90\x04" + request[2:4] + b"\0\x01")

    def send(self, *payloads):
        """These messages with QoS 1, together."""
        self._thread.join()
        packets = []
        for payload in payloads:
            self._packet += 1
            content = b"\0\x06home/n" + struct.pack(">H", self._packet) + b"\0" + payload
            packets.append(bytes([0x32, len(content)]) + content)
        self._bridge.sendall(b"".join(packets))

    def close(self):
        self._bridge.close()
        self._listener.close()


def test_messages_that_share_a_tls_record_arrive_together(bench, broker):
    """Also when libmosquitto's wake-up pipe, which the bridge does not read, is full."""
    pem = certificate(bench.folder / "mqtt.pem", "localhost")
    pem.chmod(0o644)
    mqtt = bench.closing(BatchingMqttBroker(pem))
    Bridge(bench, broker, MQTT, server=f"localhost:{mqtt.port}", topic="home/#", tls_ca=pem).start()
    for n in range(400):
        mqtt.send(b"%d" % n)
    wait_numbers(broker, 400)
    mqtt.send(*(b"%d" % n for n in range(400, 420)))
    wait_numbers(broker, 420)


def test_a_wrong_password_is_reported_and_tried_again(bench, broker):
    mosquitto = Mosquitto(bench, login=("bridge", "right")).start()
    program = Bridge(bench, broker, MQTT, server=mosquitto.server, topic="home/#",
                     username="bridge").start(connected=False)
    program.wait_log("Not authorized")
    assert program.stop() == 0


def test_a_key_is_used(bench, mosquitto):
    keys = Keys(bench.folder)
    shop = keys.add("publisher", "shop", "channels=home/open*")
    broker = Broker(bench, "locked", **keys.broker_options())
    processes.Program.start(broker)
    program = Bridge(bench, broker, MQTT, server=mosquitto.server, topic="home/#",
                     **shop.options()).start()
    mosquitto.publish("home/closed", "1")
    mosquitto.publish("home/open", "2")
    program.wait_log("forbidden")
    wait_until(lambda: mosquitto.log().count("Received PUBACK") >= 2, what="both acknowledgements")
    program.stop()
    assert "published=1 refused=1" in program.log()


BAD = [
    ({}, "set --topic"),
    ({"topic": "a", "server": "host:port"}, "HOST, HOST:PORT"),
    ({"topic": "a/#/b"}, "an MQTT topic filter"),
    ({"topic": "a", "qos": 2}, "at most 1"),
    ({"topic": "a", "tls_cert": "x"}, "need each other"),
    ({"topic": "a", "tls_cert": "x", "tls_key": "y"}, "needs --tls-ca"),
    ({"topic": "a", "password_file": "x"}, "needs --username"),
    ({"topic": "a", "payload": "xml"}, "text, json, base64, wrapped or message"),
    ({"topic": "a", "keyed": "some"}, "retained, all or none"),
    ({"topic": "a", "client_id": "x" * 129}, "1 to 128 bytes"),
    ({"topic": "a", "event": "%s/%s"}, "at most one %s"),
]


@pytest.mark.parametrize("options, problem", BAD, ids=range(len(BAD)))
def test_options_that_are_not_accepted_are_named(options, problem):
    done = run([MQTT, *arguments(options)])
    assert done.returncode == 2 and problem in done.stderr and done.stderr.count("\n") == 1
