"""The documentation says what is: options, verbs, counters, formats and commands are compared with
the programs."""

import json
import re
import shlex
import shutil

import jwt
import pytest
from support import processes
from support.broker import Broker
from support.ports import free_port
from support.prometheus import Samples
from support.waiting import wait_until

DOCS = processes.ROOT / "docs"
PROGRAMS = {"The broker's options": processes.BROKER, "The worker's options": processes.WORKER}
BUILT_IN = {"config", "check-config", "print-config", "help", "version"}


def read(name):
    return (processes.ROOT / name).read_text()


def section(text, title):
    """What stands under a heading, up to the next one."""
    return re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#+ |\Z)", text, re.M | re.S).group(2)


def rows(text):
    """The cells of a table's rows."""
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()
            if line.startswith("| `")]


def options(program):
    """Name to default, as --print-config shows them; and all names that --help knows."""
    shown = processes.run([program, "--help"]).stdout
    defaults = dict(
        re.findall(r"--([a-z-]+) [A-Z]+ (?:(?!\n  --).)*?\(default:\s+([^)]*)\)", shown, re.S)
    )
    names = set(re.findall(r"^  --([a-z-]+)", shown, re.M)) - BUILT_IN
    return names, {name: value for name, value in defaults.items() if " " not in value}


@pytest.mark.parametrize("title", PROGRAMS)
def test_the_table_of_options_is_the_program_s(title):
    names, defaults = options(PROGRAMS[title])
    table = {row[0].strip("`"): row[1] for row in rows(section(read("docs/configure.md"), title))}
    assert set(table) == names
    assert {name: re.match("`([^`]*)`", table[name]).group(1) for name in defaults} == defaults


@pytest.mark.parametrize(
    "program", [processes.BROKER, processes.WORKER, processes.CLI, processes.PGSQL, processes.MQTT],
    ids=lambda p: p.name
)
def test_the_man_page_knows_every_option(program):
    page = DOCS / "man" / f"{program.name}.1"
    if not page.exists():
        pytest.skip("no man page yet")
    names, defaults = options(program)
    text = page.read_text()
    assert {name for name in names | BUILT_IN if not re.search(rf"-{name}\b", text)} == set()
    if shutil.which("man"):
        assert processes.run(["man", "--warnings", "-l", page]).stderr == ""


@pytest.mark.parametrize("program",
                         [processes.BROKER, processes.WORKER, processes.PGSQL, processes.MQTT],
                         ids=lambda p: p.name)
def test_the_examples_of_the_man_page_are_accepted(bench, program):
    """As they stand; keys as docs/secure.md makes them are in a folder of the test's."""
    folder = bench.subfolder("keys")
    processes.run([processes.CLI, "keygen", "--role", "broker", folder / "broker.key"])
    worker = processes.run(
        [processes.CLI, "keygen", "--role", "worker", "--name", "web1", folder / "worker.key"]
    )
    (folder / "keys").write_text(worker.stdout)
    text = section((DOCS / "man" / f"{program.name}.1").read_text().replace(".Sh ", "# "),
                   "EXAMPLES").replace("\\e\n", "")
    commands = re.findall(rf"^(?:\.Dl )?(?:\$ )?({program.name} .*)$", text, re.M)
    assert commands
    for command in commands:
        argv = shlex.split(command.replace("/etc/ssecast", str(folder)))
        done = processes.run([program, *argv[1:], "--check-config"])
        assert done.returncode == 0, (command, done)


def test_every_number_of_stats_is_explained(bench):
    with Broker(bench).start().commands() as commands:
        shown = set(commands.stats()) - {"ok", "ref"}
    text = read("docs/monitor.md")
    text = text[text.index("\n## Statistics"):text.index("\n### Each worker")]
    explained = {name for row in rows(text) for name in re.findall("`([a-z0-9_]+)`", row[0])}
    assert explained == shown


def test_every_number_of_a_worker_is_explained(site):
    [shown] = wait_until(lambda: site.commands.workers(limit=1), what="a worker's first report")
    text = read("docs/monitor.md")
    text = text[text.index("\n### The workers' counters"):text.index("\n### Latency")]
    assert {
        name for row in rows(text) for name in re.findall("`([a-z0-9_]+)`", row[0])
    } == set(shown) - {"worker"}


def test_every_metric_is_explained(site):
    """By the row of the number it is made of, or by its own name."""
    text = read("docs/monitor.md")
    text = text[text.index("\n## Statistics"):text.index("\n## Logs")]
    explained = {name for row in rows(text) for name in re.findall("`([a-z0-9_]+)`", row[0])}
    metrics = Samples(site.commands.demand({"op": "metrics"})["text"]).types
    unexplained = {m for m in metrics if re.sub("^ssecast_(worker_)?|_total$", "", m)
                   not in explained and f"`{m}" not in text}
    assert len(metrics) > 50 and unexplained == set()


def test_every_example_request_is_accepted(bench):
    text = read("docs/protocol.md")
    requests = re.findall(r'^    (\{"op":.*?\})(?:  |$)', text, re.M)
    requests += [r for r in re.findall(r'`(\{"op":[^`]*\})`', text)]
    assert len(requests) >= 9
    with Broker(bench, presence_channels="room:*").start().commands() as commands:
        for request in requests:
            request = request.replace("{…}", '{"data":1}')
            assert "…" in request or commands.demand(json.loads(request)), request


def snippet(language, endpoint):
    """The README's program in a language, as a command, for a broker at this endpoint."""
    [code] = re.findall(rf"```{language}\n(.*?)```", read("README.md"), re.S)
    assert "tcp://127.0.0.1:5570" in code
    interpreter = {"python": ["/usr/bin/python3", "-c"], "php": ["/usr/bin/php", "-r"]}[language]
    return interpreter + [code.replace("tcp://127.0.0.1:5570", endpoint)]


@pytest.mark.parametrize("language", ["python", "php"])
def test_the_readme_publishes(bench, language):
    broker = Broker(bench).start()
    done = processes.run(snippet(language, broker.endpoint("commands")))
    assert re.match(r"""\{["']ok["']: ?[Tt]rue, ?["']seq["']: ?\d""", done.stdout), done


@pytest.mark.parametrize("language", ["python", "php"])
def test_the_readme_s_programs_end_when_there_is_no_broker(language):
    done = processes.run(snippet(language, f"tcp://127.0.0.1:{free_port()}"), timeout=30)
    assert "seq" not in done.stdout


def test_the_readme_publishes_from_a_shell(bench):
    if not processes.CLI.exists():
        pytest.skip("the command line is not built")
    broker = Broker(bench).start()
    env = processes.clean_environment(SSECAST_COMMANDS=broker.endpoint("commands"),
                                      PATH=f"{processes.BUILD}:/usr/bin:/bin")
    commands = re.findall(r"^    (ssecast [a-z].*)$", read("README.md"), re.M)
    assert len(commands) >= 4
    for command in commands:
        assert processes.run(["sh", "-c", command], env=env).returncode == 0, command


def test_the_page_of_the_readme_shows_an_event(site, chromium):
    [page] = re.findall(r"```html\n(.*?)```", read("README.md"), re.S)
    chromium.goto(site.web.origin)
    chromium.run("document.open(); document.write(arguments[0]); document.close()", page)
    site.wait_connections("anna", 1)
    site.publish("greeting", data={"text": "hello, Anna"}, to={"sessions": ["anna"]})
    site.publish("greeting", data={"text": "news"}, to={"channels": ["news"]})
    wait_until(lambda: chromium.run(
        "return document.body.innerText"
    ).split("\n") == ["news", "hello, Anna"], what="both events in the page")
    chromium.goto("about:blank")


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md",
                                  "client/js/README.md", "examples/README.md",
                                  *(f"docs/{p.name}" for p in DOCS.glob("*.md"))])
def test_links_lead_somewhere(name):
    text, folder = read(name), (processes.ROOT / name).parent
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        assert not path or (folder / path).exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", (folder / path).read_text() if path else text, re.M)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-")
                              for h in headings}, target


# What people look for, and the document that has it under this heading.
LOOKED_FOR = {
    "install.md": ["Which user runs what", "Without systemd", "Upgrading"],
    "configure.md": ["Publishing from a web request", "Moving from memory to disk",
                     "TLS and HTTP/2", "Behind another proxy or CDN"],
    "secure.md": ["Sessions", "PHP tokens without Composer", "Rotating a secret",
                  "Authorising per article", "Logout and logging in again", "Lifting a ban"],
    "monitor.md": ["Health", "Statistics", "Metrics", "Status page", "Logs"],
    "troubleshoot.md": ["Troubleshooting", "Nothing arrives", "Events arrive in lumps",
                        "502 or 503", "The stream ends after 60 seconds",
                        "The ninth tab hangs", "A browser is not told of what it missed"],
    "glossary.md": ["Glossary"],
    "compare.md": ["Why not Mercure"],
}


@pytest.mark.parametrize("name", LOOKED_FOR)
def test_the_headings_that_people_look_for(name):
    headings = re.findall("^#+ (.*)$", read(f"docs/{name}"), re.M)
    assert [h for h in LOOKED_FOR[name] if h not in headings] == []
    assert f"docs/{name}" in read("README.md")


@pytest.mark.parametrize("name", ["install.md", "configure.md", "secure.md", "monitor.md",
                                  "troubleshoot.md", "compare.md"])
def test_the_contents_name_every_chapter(name):
    text = read(f"docs/{name}")
    contents = text[:text.index("\n## ")]
    chapters = re.findall("^## (.*)$", text, re.M)
    assert [c for c in chapters if f"[{c}](#" not in contents] == []


def test_a_token_from_php_without_composer():
    [code] = re.findall(r"```php\n(function ssecast_token.*?)```", read("docs/secure.md"), re.S)
    code = code.replace("file_get_contents('/etc/ssecast/jwt.secret')",
                        f"'{'k' * 32}'") + "echo $token;"
    token = processes.run(["/usr/bin/php", "-r", code]).stdout
    assert jwt.decode(token, "k" * 32, algorithms=["HS256"])["sub"] == "anna"


def test_every_module_is_named_under_its_room():
    text = read("docs/architecture.md")
    shown = dict(re.findall(r"\*\*`([a-z/]+)/`\*\*(.*?)(?=\n\*\*`|\nEach third-party)", text, re.S))
    for part in ("common", "fcgi", "broker", "client", "bridges"):
        for room in {p.parent for p in (processes.ROOT / part).rglob("*.[ch]")}:
            name = str(room.relative_to(processes.ROOT))
            modules = {
                re.sub(r"^(cmd|verb|service)_.*", r"\1_", p.stem) for p in room.glob("*.[ch]")
            } - {"ssecast"}
            named = {re.sub("<[a-z]+>$", "", m)
                     for m in re.findall(r"^\| (.*?) \|", shown[name], re.M)
                     for m in re.findall("`([a-z0-9_<>]+)`", m)}
            assert modules == named, f"docs/architecture.md: {name}/ {sorted(modules ^ named)}"


def test_the_plan_is_what_is_calculated():
    shown = re.search(r"<!-- what docs/capacity prints -->\n(.*?)\n<!-- end -->",
                      read("docs/scaling.md"), re.S).group(1)
    assert shown == processes.run([DOCS / "capacity"]).stdout.strip()


def test_every_function_that_the_architecture_names_exists():
    """The walks of docs/architecture.md name functions: `event_new()`."""
    named = set(re.findall(r"`([a-z_]+)\(\)`", read("docs/architecture.md")))
    sources = "".join(p.read_text() for part in ("broker", "common", "fcgi")
                      for p in (processes.ROOT / part).rglob("*.c"))
    defined = set(re.findall(r"^[a-z][\w *]*?\b\*?([a-z_]+)\([^;{]*\)\s*\{", sources, re.M))
    assert len(named) > 50 and named - defined <= {"epoll_wait", "writev"}, named - defined
