"""Options: command line, environment and file; what is refused, and how."""

import re

import pytest
from support.broker import Broker
from support.options import arguments
from support.processes import BROKER, CLI, MQTT, PGSQL, WORKER, clean_environment, run
from support.worker import Worker

PROGRAMS = pytest.mark.parametrize("program", [BROKER, WORKER], ids=["broker", "worker"])

BROKER_OPTIONS = {"commands": "tcp://127.0.0.1:5570", "feed": "tcp://127.0.0.1:5571",
                  "sync": "tcp://127.0.0.1:5572",
                  "presence": "tcp://127.0.0.1:5573", "store": "memory", "store-stream": "ssecast",
                  "store-replicas": "3", "store-timeout": "5s", "history-events": "100000",
                  "history-age": "24h", "history-bytes": "256M", "max-event-bytes": "1M"}
WORKER_OPTIONS = {"feed": "tcp://127.0.0.1:5571", "sync": "tcp://127.0.0.1:5572",
                  "session-from": "query:session", "channels-from": "query:channels",
                  "heartbeat": "15s", "retry": "15000ms", "queue-bytes": "1M", "drain": "10s"}


def printed_config(program, *argv, env=None):
    """What --print-config says, as a dictionary of lists."""
    done = run([program, *argv, "--print-config"], env=env)
    assert done.returncode == 0, done.stderr
    out = {}
    for line in done.stdout.splitlines():
        name, sign, value = line.partition("=")
        if sign and not line.lstrip().startswith(("#", ";")):
            out.setdefault(name.strip(), []).append(value.strip())
    return out


def bytes_of(value):
    return (int(value[:-1]) << {"K": 10, "M": 20, "G": 30}[value[-1]]
            if value[-1] in "KMG" else int(value))


@PROGRAMS
def test_help_names_every_option_with_its_default(program):
    done = run([program, "--help"])
    assert done.returncode == 0 and done.stderr == ""
    for name, value in (BROKER_OPTIONS if program == BROKER else WORKER_OPTIONS).items():
        assert f"--{name}" in done.stdout and value in done.stdout, name


@PROGRAMS
def test_version_is_one_line(program):
    done = run([program, "--version"])
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1 and program.name in done.stdout


@PROGRAMS
def test_what_print_config_prints_is_a_config_that_says_the_same(program, tmp_path):
    option, value = ("history-events", "123") if program == BROKER else ("queue-bytes", "64K")
    first = run([program, f"--{option}", value, "--print-config"])
    (tmp_path / "file.conf").write_text(first.stdout)
    second = run([program, "--config", tmp_path / "file.conf", "--print-config"])
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout


@pytest.mark.parametrize("program", [BROKER, WORKER, CLI], ids=lambda p: p.name)
def test_a_misspelt_variable_is_refused_with_what_was_meant(program):
    env = clean_environment(SSECAST_SYNK="tcp://127.0.0.1:2", SSECAST_SESION_FROM="jwt")
    done = run([program, "--check-config"], env=env)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "SSECAST_SYNK: no option has this name; did you mean SSECAST_SYNC?" in done.stderr


@pytest.mark.parametrize("program", [BROKER, WORKER, CLI], ids=lambda p: p.name)
def test_variables_of_the_other_programs_are_known(program):
    """One file of settings may serve all of them."""
    names = {name for other in (BROKER, WORKER, CLI, PGSQL, MQTT)
             for name in re.findall(r"^  --([a-z-]+)", run([other, "--help"]).stdout, re.M)}
    own = set(re.findall(r"^  --([a-z-]+)", run([program, "--help"]).stdout, re.M))
    assert len(names) > 60
    others = {f"SSECAST_{name.upper().replace('-', '_')}": "x" for name in names - own}
    done = run([program, "--check-config"], env=clean_environment(**others))
    assert done.returncode == 0, done.stderr


def test_a_misspelt_variable_is_warned_of_at_the_start(bench):
    broker = Broker(bench)
    broker.env = clean_environment(SSECAST_HISTORY_EVENT="5")
    broker.start()
    worker = Worker(bench, broker)
    worker.env = clean_environment(SSECAST_SESION_FROM="cookie:secret-name")
    worker.start()
    assert ("warning: variables: environment SSECAST_HISTORY_EVENT: no option has this name; "
            "did you mean SSECAST_HISTORY_EVENTS?" in broker.log())
    assert ("did you mean SSECAST_SESSION_FROM?" in worker.log()
            and "secret-name" not in worker.log())
    done = run([CLI, "--commands", broker.endpoint("commands"), "ping"],
               env=clean_environment(SSECAST_TIMEOT="1s"))
    assert done.returncode == 0
    assert (done.stderr == "ssecast: warning: environment SSECAST_TIMEOT: no option has this name; "
            "did you mean SSECAST_TIMEOUT?\n")


@PROGRAMS
def test_the_command_line_wins_over_the_environment_and_that_over_the_file(program, tmp_path):
    (tmp_path / "file.conf").write_text("feed = tcp://127.0.0.1:1\nsync = tcp://127.0.0.1:1\n")
    env = clean_environment(SSECAST_SYNC="tcp://127.0.0.1:2", SSECAST_FEED="tcp://127.0.0.1:2")
    config = printed_config(program, "--config", tmp_path / "file.conf", "--feed",
                            "tcp://127.0.0.1:3", env=env)
    assert config["feed"] == ["tcp://127.0.0.1:3"]
    assert config["sync"] == ["tcp://127.0.0.1:2"]


@PROGRAMS
def test_a_value_may_follow_an_equals_sign(program):
    assert printed_config(program, "--feed=tcp://127.0.0.1:9")["feed"] == ["tcp://127.0.0.1:9"]


def test_a_repeatable_option_takes_a_list_from_the_environment():
    env = clean_environment(SSECAST_SESSION_FROM="cookie:sid,query:session")
    assert ",".join(printed_config(WORKER, env=env)["session-from"]).replace(
        " ", ""
    ) == "cookie:sid,query:session"


def test_sizes_have_units():
    assert bytes_of(printed_config(BROKER, "--history-bytes", "2G")["history-bytes"][0]) == 2 << 30


@pytest.mark.parametrize("program", [BROKER, WORKER, CLI, MQTT, PGSQL], ids=lambda p: p.name)
def test_a_bare_number_means_seconds_and_of_retry_milliseconds(program):
    names = re.findall(r"^  --([a-z-]+) (?:DURATION|TIME)\b", run([program, "--help"]).stdout, re.M)
    assert names
    for name in names:
        unit = "milliseconds" if name == "retry" else "seconds"
        assert f" ({unit}), " in run([program, f"--{name}", "x"]).stderr, name


@PROGRAMS
def test_check_config_starts_nothing(program, tmp_path):
    good, bad = tmp_path / "good.conf", tmp_path / "bad.conf"
    good.write_text("feed = tcp://127.0.0.1:1\n")
    bad.write_text("feed = nowhere\n")
    assert run([program, "--config", good, "--check-config"]).returncode == 0
    assert run([program, "--config", bad, "--check-config"]).returncode == 2


BAD = [
    (BROKER, {"commands": "127.0.0.1:5570"}),
    (BROKER, {"feed": "nowhere"}),
    (BROKER, {"history-events": "many"}),
    (BROKER, {"history-events": "-1"}),
    (BROKER, {"history-age": "1 fortnight"}),
    (BROKER, {"history-bytes": "99999999999999999999"}),
    (BROKER, {"max-event-bytes": ""}),
    (WORKER, {"feed": ""}),
    (WORKER, {"session-from": "query"}),
    (WORKER, {"session-from": "telepathy:me"}),
    (WORKER, {"channels-from": "cookie:"}),
    (WORKER, {"session-from": "cookie:sid # the login"}),
    (WORKER, {"session-from": "header:X User"}),
    (WORKER, {"jwt-cookie": "a=b"}),
    (WORKER, {"heartbeat": "soon"}),
    (WORKER, {"heartbeat": "0"}),
    (WORKER, {"retry": "1.5s"}),
    (WORKER, {"queue-bytes": "1T1"}),
    (WORKER, {"cors-origin": "example.org"}),
    (WORKER, {"cors-origin": "https://example.org/path"}),
    (WORKER, {"cors-origin": "https://example.org/"}),
    (WORKER, {"cors-origin": "https://Example.org"}),
    (WORKER, {"cors-origin": "https://example.org:443"}),
    (WORKER, {"cors-origin": "https://münchen.example"}),
    (WORKER, {"cors-origin": "null"}),
    (WORKER, {"header": "no colon"}),
    (WORKER, {"header": "Content-Type: text/html"}),
    (WORKER, {"max-connections": "lots"}),
    (WORKER, {"listen-mode": "999"}),
]


@pytest.mark.parametrize("program, option", BAD,
                         ids=[f"{p.name}-{'-'.join(map(str, *o.items()))}" for p, o in BAD])
def test_a_bad_value_is_named_with_what_is_accepted(program, option):
    [(name, value)] = option.items()
    done = run([program, *arguments(option)])
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert name in done.stderr and value in done.stderr


@PROGRAMS
@pytest.mark.parametrize(
    "argv", [["--no-such-option", "1"], ["--feed"], ["stray"], ["--config", "/nowhere/file.conf"]],
    ids=lambda a: " ".join(a)
)
def test_a_command_line_that_makes_no_sense_is_refused_in_one_line(program, argv):
    done = run([program, *argv])
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr


@PROGRAMS
def test_a_file_with_an_unknown_name_is_refused_with_its_line(program, tmp_path):
    (tmp_path / "file.conf").write_text("feed = tcp://127.0.0.1:1\nfeeed = tcp://127.0.0.1:1\n")
    done = run([program, "--config", tmp_path / "file.conf", "--check-config"])
    assert done.returncode == 2
    assert "feeed" in done.stderr and "2" in done.stderr


@PROGRAMS
def test_a_bad_environment_variable_is_refused_too(program):
    done = run([program], env=clean_environment(SSECAST_FEED="nowhere"))
    assert done.returncode == 2
    assert "feed" in done.stderr.lower() and "nowhere" in done.stderr


HANDOFF = {"handoff": "/tmp/handoff", "handoff-listen": "/tmp/handoff.sock"}
START = [
    (WORKER, {**HANDOFF, "handoff-user": "nobodyxx"}, "--handoff-user nobodyxx: no such user"),
    (WORKER, {**HANDOFF, "handoff-user": "4000000000"}, "--handoff-user 4000000000: no such user"),
    (WORKER, {"listen": "/tmp/worker.sock", "handoff": "/tmp/handoff", "handoff-user": "root"},
     "--handoff needs --handoff-listen"),
    (WORKER, {"listen": "127.0.0.1:65536"}, "a port of 1 to 65535"),
    (WORKER, {"listen": "unix:/run/ssecast/worker-1.sock"}, "without unix: or tcp:// before it"),
    (BROKER, {"commands": "tcp://127.0.0.1:5571"},
     "--feed and --commands have the same endpoint, tcp://127.0.0.1:5571"),
    (BROKER, {"sync": "ipc:///tmp/a", "feed": "ipc:///tmp/a"},
     "--feed and --sync have the same endpoint, ipc:///tmp/a"),
    (WORKER, {"listen": "127.0.0.1:0x1"}, "a port of 1 to 65535"),
    (WORKER, {"listen": "::1:9000"}, "an IPv6 address in brackets"),
    (WORKER, {"feed": "tcp://*:5571", "sync": "tcp://127.0.0.1:1"}, "* is no host to connect to"),
    (BROKER, {"commands": "tcp://*:0x"}, "--commands 'tcp://*:0x'"),
    (BROKER, {"feed": "tcp://a:b:1"}, "--feed 'tcp://a:b:1'"),
    (BROKER, {"sync": f"ipc:///{'x' * 107}"}, "a path of at most 107 bytes"),
    (BROKER, {"store": "nats://h:x"}, "nats://HOST:PORT (port 1 to 65535)"),
    (BROKER, {"store": "nats://"}, "nats://HOST:PORT (port 1 to 65535)"),
    (BROKER, {"store": "tls://host:99999"}, "nats://HOST:PORT (port 1 to 65535)"),
    (BROKER, {"store": "nats://a:1,b:"}, "nats://HOST:PORT (port 1 to 65535)"),
    (BROKER, {"store": "nats://user:x@:4222"}, "nats://HOST:PORT (port 1 to 65535)"),
    (MQTT, {"topic": "a", "server": "a host"}, "HOST, HOST:PORT or [IPV6]:PORT"),
    (MQTT, {"topic": "a", "commands": "tcp://127.0.0.1:65536"}, "a port of 1 to 65535"),
    (WORKER, {"monitor-token-file": "/nonexistent"},
     "--monitor-token-file /nonexistent: No such file"),
    (WORKER, {"monitor-token-file": "/dev/null"},
     "--monitor-token-file /dev/null: it is not a regular file"),
    (MQTT, {"topic": "a", "tls-ca": "/nonexistent"}, "--tls-ca /nonexistent: No such file"),
    (MQTT, {"topic": "a", "event": "ssecast.join"}, "does not begin with"),
    (PGSQL, {"notify": "a", "event": "ssecast."}, 'does not begin with "ssecast."'),
    (BROKER, {"store": "nats://h", "store-credentials": "/nonexistent"},
     "--store-credentials /nonexistent: No such file"),
    (BROKER, {"store": "nats://h", "store-tls-ca": "/nonexistent"},
     "--store-tls-ca /nonexistent: No such file"),
    (BROKER, {"store": "tls://h", "store-tls-cert": "/dev/null"}, "--store-tls-key is missing"),
    (BROKER, {"store": "tls://h", "store-tls-key": "/nonexistent", "store-tls-cert": "/dev/null"},
     "--store-tls-key /nonexistent: No such"),
]


@pytest.mark.parametrize("program, options, said", START, ids=[said for _, _, said in START])
def test_check_config_says_what_the_start_would_say(program, options, said):
    for more in ([], ["--check-config"]):
        done = run([program, *arguments(options), *more])
        assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1, done


@pytest.mark.parametrize("program, options, warnings", [
    (WORKER, {"session-from": "jwt", "jwt-secret-file": "SECRET"}, []),
    (WORKER, {}, ["session-from query:session: any client that knows"]),
    (WORKER, {"session-from": ["jwt", "none"], "jwt-secret-file": "READABLE"},
     ["/readable: every user of this host can read this secret"]),
    (WORKER, {"session-from": "none", "listen": "0.0.0.0:1", "allow-insecure": True},
     ["--listen 0.0.0.0:1: other hosts can reach"]),
    (WORKER, {"session-from": "none", **HANDOFF, "handoff-user": "root", "header": "X-A: b"},
     ["--header has no effect on streams"]),
    (BROKER, {}, []),
    (BROKER, {"feed": "tcp://*:1", "commands": "ipc://@ssecast-test", "allow-insecure": True},
     ["--commands ipc://@ssecast-test: every local process",
      "--feed tcp://*:1: other hosts or users can reach"]),
    (BROKER, {"feed": "tcp://*:1", "curve-key-file": "KEY", "keys": "EMPTY"},
     ["/empty: no keys; every connection"]),
])
def test_check_config_warns_as_the_start_does(program, options, warnings, tmp_path):
    files = {"SECRET": tmp_path / "secret", "READABLE": tmp_path / "readable",
             "EMPTY": tmp_path / "empty", "KEY": tmp_path / "key"}
    run([CLI, "keygen", "--role", "broker", files["KEY"]])
    for name, mode in (("SECRET", 0o640), ("READABLE", 0o644), ("EMPTY", 0o640)):
        files[name].write_text("" if name == "EMPTY" else "s" * 32)
        files[name].chmod(mode)
    if "EMPTY" in options.values():
        files["EMPTY"].write_text("# none yet\n")
    given = {name: files.get(value, value) if isinstance(value, str) else value
             for name, value in options.items()}
    done = run([program, *arguments(given), "--check-config"])
    assert done.returncode == 0 and done.stdout == f"{program.name}: the configuration is valid\n"
    said = done.stderr.splitlines()
    assert len(said) == len(warnings) and all(
        "warning: " in line and what in line for line, what in zip(said, warnings)
    ), done


@pytest.mark.parametrize("options, said", [
    ({"curve-key-file": "/nonexistent"}, "--broker-key is missing"),
    ({"broker-key": "k"}, "--curve-key-file is missing"),
    ({"curve-key-file": "/nonexistent", "broker-key": "k"},
     "--curve-key-file '/nonexistent': No such file"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_check_config_of_the_command_line_judges_its_keys(options, said, tmp_path):
    done = run([CLI, *arguments(options), "--check-config"])
    assert (done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
            and not done.stdout), done
    made = run([CLI, *arguments(options), "keygen", "--jwt", tmp_path / "new.key"])
    assert made.returncode == 0, "a verb without a broker needs none of these keys"


def test_sockets_that_systemd_will_pass_are_not_missed():
    done = run([WORKER, "--check-config", "--handoff", "/tmp/handoff", "--handoff-user", "root"])
    assert done.returncode == 0, done


def test_a_worker_knows_as_many_feeds_as_syncs():
    done = run([WORKER, "--check-config", "--feed", "tcp://127.0.0.1:1", "--feed",
                "tcp://127.0.0.1:2", "--sync", "tcp://127.0.0.1:3"])
    assert done.returncode == 2 and "--feed names 2 brokers and --sync 1" in done.stderr
