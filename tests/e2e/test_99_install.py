"""Installing: everything arrives where it belongs, says what the programs say, and goes away
again."""

import os
import re
import shutil
import stat

import pytest
from support import processes
from support.jwt_keys import Ec
from support.keys import Keys
from support.lighttpd import program
from support.processes import BROKER, BUILD, CLI, MQTT, PGSQL, ROOT, WORKER, run

MAKE = ["make", "-s", "-C", ROOT, f"BUILD={os.path.relpath(BUILD, ROOT)}"]
CONFIGURATIONS = {"broker.conf": BROKER, "worker.conf": WORKER, "pgsql.conf": PGSQL,
                  "mqtt.conf": MQTT}
PROGRAMS = [BROKER, WORKER, CLI, PGSQL, MQTT]


def make(*arguments):
    done = run([*MAKE, *arguments])
    assert done.returncode == 0, done.stderr
    return done.stdout


def files(root):
    return {str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir() or p.is_symlink()}


@pytest.fixture(scope="module")
def installed(bench_of_all):
    """An installation below /usr, packed into a folder. Tests change copies of it."""
    folder = bench_of_all.folder / "installed"
    make("install", "prefix=/usr", f"DESTDIR={folder}")
    return folder


@pytest.fixture
def root(bench, installed):
    return shutil.copytree(installed, bench.folder / "root", symlinks=True)


# What arrives


def test_everything_is_there_and_only_programs_may_be_executed(root):
    there = files(root)
    assert {
        "usr/bin/ssecast", "usr/bin/ssecast-broker", "usr/bin/ssecast-fcgi",
        "etc/ssecast/broker.conf", "etc/ssecast/worker.conf",
        "etc/lighttpd/conf-available/50-ssecast.conf", "etc/apache2/conf-available/ssecast.conf",
        "usr/lib/systemd/system/ssecast-broker.service", "usr/share/man/man1/ssecast.1"
    } <= there
    for name in there:
        mode = (root / name).stat().st_mode
        example = ROOT / name.partition("/doc/ssecast/")[2] if "/examples/" in name else None
        program = "/bin/" in name or (example and os.access(example, os.X_OK))
        assert stat.S_IMODE(mode) == (0o755 if program else 0o644), name
    assert run([root / "usr/bin/ssecast", "--version"]).returncode == 0


def test_the_documents_find_each_other_and_their_pictures(root):
    """Their links to sources and to what is installed elsewhere are left out."""
    folder = root / "usr/share/doc/ssecast"
    pages = [p for p in folder.rglob("*.md")]
    targets = [(page, target) for page in pages
               for target in re.findall(r"\]\(([^)#:]+\.(?:md|png|svg))[)#]", page.read_text())]
    dead = {target for page, target in targets if not (page.parent / target).exists()}
    assert len(targets) > 200 and dead <= {"CONTRIBUTING.md", "../CONTRIBUTING.md"}


def test_the_examples_are_where_the_documents_and_configurations_name_them(root):
    folder = root / "usr/share/doc/ssecast"
    links = [(page, target) for page in folder.rglob("*.md")
             for target in re.findall(r"\]\(((?:\.\./)?examples/[^)#]*)[)#]", page.read_text())]
    assert (len(links) > 10
            and [target for page, target in links if not (page.parent / target).exists()] == [])
    assert (folder / "examples/php/authorize.php").exists(), "ssecast-login.conf names it"


def test_uninstall_leaves_nothing(root):
    make("uninstall", "prefix=/usr", f"DESTDIR={root}")
    assert files(root) == set()


def test_settings_that_were_changed_are_kept(root):
    settings = root / "etc/ssecast/worker.conf"
    settings.write_text("drain = 3s\n")
    assert f"kept: {settings}" in make("install", "prefix=/usr", f"DESTDIR={root}")
    assert settings.read_text() == "drain = 3s\n"
    make("uninstall", "prefix=/usr", f"DESTDIR={root}")
    assert files(root) == {"etc/ssecast/worker.conf"}


def test_elsewhere_the_files_name_the_programs_that_are_there(bench):
    place = bench.folder / "elsewhere"
    make("install", f"prefix={place}", f"sysconfdir={place}/etc")
    folders = ("lib/systemd", "share/bash-completion", "etc")
    texts = {name: (place / name).read_text() for name in files(place) if name.startswith(folders)}
    assert len(texts) > 12
    assert [name for name, text in texts.items()
            if re.search(r"/usr/bin/ssecast|(^|[\s\"])/etc/(ssecast|lighttpd)/", text)] == []
    unit = texts["lib/systemd/system/ssecast-broker.service"]
    assert (
        f"ExecStart={place}/bin/ssecast-broker --config {place}/etc/ssecast/broker.conf\n" in unit
    )


# Settings


def settings_shown(name):
    """The settings of conf/, those that are commented out too: name to value."""
    return dict(re.findall(r"^#?([a-z-]+) = (.*)$", (ROOT / "conf" / name).read_text(), re.M))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_settings_explain_every_option_and_show_its_default(bench, name):
    binary = CONFIGURATIONS[name]
    printed = run([binary, "--print-config"]).stdout
    defaults = dict(re.findall(r"^([a-z-]+) = (.*)$", printed, re.M))
    without = set(re.findall(r"^# ([a-z-]+) =$", printed, re.M))
    shown = settings_shown(name)
    assert (
        set(shown) == set(defaults) | without
    ), "one line `#name = default` with a comment for each option"
    changed = {n for n in defaults if shown[n] != defaults[n]}
    assert changed == ({"store"} if name == "broker.conf" else set())


@pytest.fixture
def keys(bench):
    """The files that settings name, in a folder of their own."""
    keys = Keys(bench.subfolder("etc"))
    worker = keys.add("worker", "worker")
    keys.add("publisher", "bridge")
    for name in ("mqtt-cert.pem", "mqtt-key.pem"):
        (keys.folder / name).write_text("x")
    for name in ("pgsql.password", "mqtt.password"):
        (keys.folder / name).write_text("x")
        (keys.folder / name).chmod(0o600)
    (keys.folder / "broker.key.pub").write_text(worker.broker + "\n")
    (keys.folder / "jwt.secret").write_text("x" * 32)
    (keys.folder / "jwt.pem").write_text(Ec().file)
    (keys.folder / "monitor.token").write_text("x" * 32)
    (keys.folder / "monitor.token").chmod(0o600)
    return keys


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_settings_are_valid_as_they_are_and_with_everything_set(bench, keys, name):
    binary, file = CONFIGURATIONS[name], ROOT / "conf" / name
    everything = bench.folder / name
    settings = file.read_text().replace("/etc/ssecast/", f"{keys.folder}/")
    everything.write_text(re.sub(r"^#(?=[a-z-]+ = )", "", settings, flags=re.M))
    for each in (file, everything):
        done = run([binary, "--config", each, "--check-config"])
        assert done.returncode == 0, done.stderr


# systemd


def test_the_broker_cannot_replace_the_workers_sockets(root):
    """Who can is given what browsers send, cookies included."""
    [line] = [line.split() for line in (root / "usr/lib/tmpfiles.d/ssecast.conf").read_text()
              .splitlines() if line.startswith("d ")]
    assert line[:5] == ["d", "/run/ssecast", "0755", "root", "root"]
    unit = (root / "usr/lib/systemd/system/ssecast-broker.service").read_text()
    assert ("RuntimeDirectory=ssecast-broker\n" in unit and "/run/ssecast\n" not in unit
            and "ReadWritePaths" not in unit)
    assert "ListenStream=/run/ssecast/" in (
        root / "usr/lib/systemd/system/ssecast-fcgi@.socket"
    ).read_text()
    for text in [*ROOT.glob("docs/**/*"), *ROOT.glob("conf/*")]:
        assert (not text.is_file()
                or "ipc:///run/ssecast/" not in text.read_text(errors="replace")), text


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_systemd_understands_the_units(root):
    units = root / "usr/lib/systemd/system"
    # the programs are not in /usr/bin here, nor are their man pages where man looks
    for unit in units.iterdir():
        text = re.sub("^Documentation=.*\n", "", unit.read_text(), flags=re.M)
        unit.write_text(text.replace("/usr/bin/", f"{root}/usr/bin/"))
    done = run(["systemd-analyze", "verify", *units.iterdir()])
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
@pytest.mark.parametrize("unit", ["ssecast-broker.service", "ssecast-fcgi@.service",
                                  "ssecast-webhook.service", "ssecast-pgsql.service",
                                  "ssecast-mqtt.service"])
def test_the_units_are_well_sandboxed(unit):
    done = run(["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=12",
                ROOT / "systemd" / unit])
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_store_of_the_settings_is_the_unit_s_state_directory():
    unit = (ROOT / "systemd/ssecast-broker.service").read_text()
    assert settings_shown("broker.conf")["store"] == "/var/lib/" + re.search(
        "^StateDirectory=(.*)$", unit, re.M
    ).group(1)


def test_the_units_sockets_are_where_the_web_servers_look():
    path = re.search("^ListenStream=(.*)$",
                     (ROOT / "systemd/ssecast-fcgi@.socket").read_text(), re.M).group(1)
    for web in ("lighttpd/ssecast.conf", "apache/ssecast.conf"):
        assert path.replace("%i", "1") in (ROOT / web).read_text()


def test_the_hand_off_s_socket_and_directory_are_where_apache_looks():
    apache = (ROOT / "apache/ssecast-handoff.conf").read_text()
    socket = re.search("^ListenStream=(.*)$",
                       (ROOT / "systemd/ssecast-fcgi-handoff@.socket").read_text(), re.M)[1]
    assert f"Define SSECAST_SCGI {socket.replace('%i', '1')}\n" in apache
    drop_in = (ROOT / "systemd/handoff.conf").read_text()
    folder = re.search("^RuntimeDirectory=(.*)$", drop_in, re.M)[1]
    assert f"Environment=SSECAST_HANDOFF=%t/{folder}\n" in drop_in
    assert f"Define SSECAST_HANDOFF ../../run/{folder.replace('%i', '1')}\n" in apache


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_a_worker_with_the_hand_off_is_well_sandboxed_too(bench):
    unit = bench.folder / "ssecast-fcgi@1.service"
    unit.write_text("".join((ROOT / "systemd" / name).read_text()
                            for name in ("ssecast-fcgi@.service", "handoff.conf")))
    done = run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=14", unit]
    )
    assert done.returncode == 0 and "PrivateUsers" in done.stdout, done.stdout[-2000:]


# Debian's ways to switch configurations on


@pytest.mark.skipif(not shutil.which("lighttpd") and not os.path.exists("/usr/sbin/lighttpd"),
                    reason="no lighttpd")
@pytest.mark.parametrize("name, others",
                         [("ssecast", ["ssecast-limits"]), ("ssecast-spawn", ["ssecast-limits"]),
                          ("ssecast-cgi", []), ("ssecast-login", ["ssecast", "ssecast-limits"])])
def test_lighttpd_takes_the_configuration_with_what_it_depends_on(bench, root, name, others):
    available = root / "etc/lighttpd/conf-available"
    text = next(available.glob(f"??-{name}.conf")).read_text()
    depends = re.search(r"^# -\*- depends: ([-\w, ]+) -\*-$", text, re.M).group(1).split(", ")
    assert set(others[:1]) <= set(depends)
    conf = bench.folder / "lighttpd.conf"
    modules = ", ".join(f'"mod_{m}"' for m in ["alias", *depends] if not m.startswith("ssecast"))
    includes = "".join(f'include "{path}"\n' for path in sorted(available.iterdir())
                       if path.stem[3:] in [name, *others])
    conf.write_text(f'server.modules = ({modules})\n'
                    f'server.document-root = "{bench.folder}"\nserver.port = 8080\n{includes}')
    done = run([program("lighttpd"), "-tt", "-f", conf])
    assert done.returncode == 0, done.stderr


def test_apache_is_told_what_the_configuration_depends_on():
    for name, modules in {
        "ssecast": "proxy_fcgi env", "ssecast-cgi": "cgid env",
        "ssecast-handoff": "proxy_scgi proxy_fcgi proxy_fdpass headers setenvif env",
        "ssecast-login": "proxy_fcgi authnz_fcgi authn_core authz_user alias env setenvif"
    }.items():
        assert f"# Depends: {modules}\n" in (ROOT / f"apache/{name}.conf").read_text()


# Debian packages


def test_the_packages_have_the_version_of_the_programs():
    version = run([BROKER, "--version"]).stdout.split()[-1]
    assert (ROOT / "debian/changelog").read_text().startswith(f"ssecast ({version}) ")


def test_every_file_that_is_installed_has_a_package(root):
    patterns = "\n".join(p.read_text() for p in (ROOT / "debian").glob("*.install"))
    patterns = patterns.replace("usr/lib/*/", "usr/lib/")
    units = re.findall(r"'\$\(UNITDIR\)/(.*)'", (ROOT / "debian/rules").read_text())
    patterns += "".join(f"\nusr/lib/systemd/system/{unit}" for unit in units)
    regexes = [re.escape(p).replace(r"\*", "[^/]*") + "(/.*)?$" for p in patterns.split()]
    assert [name for name in files(root)
            if not any(re.match(r, name.replace("/site-functions/", "/x/")) for r in regexes)] == []


# Completion


def completed(line, *more):
    """What bash offers at the end of this line."""
    words = line.split(" ")
    script = """
        . "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _ssecast "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    env = processes.clean_environment(PATH=f"{BUILD}:/usr/bin:/bin")
    done = run(["bash", "-c", script, "-", ROOT / "completion/ssecast.bash", *words, *more],
               env=env)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


def completed_by_zsh(line):
    """What our function hands to zsh's completion system, whose own functions are replaced by ones
    that print."""
    script = """
        _describe() { local name=$@[-1]; print -rl -- ${(P)name} }
        _files() { print FILES:; }
        compadd() { [[ $@[-2] == -a ]] && print -rl -- ${(P)@[-1]} || print -rl -- "$@" }
        compset() { }
        file=$1; shift; words=("$@"); CURRENT=$#
        source $file
    """
    env = processes.clean_environment(PATH=f"{BUILD}:/usr/bin:/bin")
    done = run(["zsh", "-f", "-c", script, "-", ROOT / "completion/_ssecast", *line.split(" ")],
               env=env)
    assert (done.returncode, done.stderr) == (0, "")
    return {text.split(":")[0] for text in done.stdout.splitlines()}


SHELLS = [completed, pytest.param(
    completed_by_zsh, marks=pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
)]


def offered(*arguments):
    """The long options that --help lists."""
    return set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", run([*arguments, "--help"]).stdout, re.M))


def commands():
    text = run([CLI, "--help"]).stdout
    return set(re.findall(r"^  ([a-z-]+) ", text[text.index("Commands:"):], re.M))


@pytest.mark.parametrize("complete", SHELLS)
def test_every_option_is_completed(complete):
    for binary in PROGRAMS:
        assert complete(f"{binary.name} --") == offered(binary)


@pytest.mark.parametrize("complete", SHELLS)
def test_every_command_and_its_flags_are_completed(complete):
    assert len(commands()) >= 9
    assert complete("ssecast ") == complete("ssecast --timeout 2s ") == complete(
        "ssecast --timeout=2s "
    ) == commands()
    for command in commands():
        assert complete(f"ssecast --timeout 2s {command} --") == offered(CLI, command)


@pytest.mark.parametrize("complete", SHELLS)
def test_values_are_completed_where_they_are_known(complete):
    assert complete("ssecast-broker --log-level ") == {"error", "warn", "info", "debug"}
    assert {"query", "cookie", "header", "env", "remote-user"} <= {
        v.rstrip(":") for v in complete("ssecast-fcgi --session-from ")
    }


def test_bash_completes_behind_an_equals_sign():
    assert completed("ssecast-broker --log-level =") == {"error", "warn", "info", "debug"}
    assert completed("ssecast-broker --log-level = d") == {"debug"}


def test_bash_offers_only_what_begins_so(bench):
    (bench.folder / "broker.conf").touch()
    assert completed("ssecast-fcgi --hea") == {"--heartbeat", "--header"}
    assert (
        completed(f"ssecast-broker --config {bench.folder}/br") == {f"{bench.folder}/broker.conf"}
    )
    assert completed("ssecast publish ") == completed("ssecast publish --key ") == set()
