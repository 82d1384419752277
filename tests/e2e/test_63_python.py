"""Django, Flask and FastAPI publish and give tokens, with the files and the code of docs/python.md,
behind real web servers."""

import importlib.util
import json
import shutil

import pytest
from support.processes import ROOT, run
from support.python_web import PYTHON, WAYS, Application, Visitor, behind, code
from support.site import Site
from support.tokens import Issuer
from support.waiting import wait_until

EXAMPLES = ROOT / "examples" / "python"

# What a project has beside the example: here a login without a password.
URLS = """
from django.contrib.auth import get_user_model, login
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path

def enter(request):
    login(request, get_user_model().objects.get_or_create(username=request.GET["user"])[0])
    get_token(request)
    return HttpResponse()

def front(request):
    return HttpResponse("front")

"""
LOGIN = """

@app.get("/enter")
def enter():
    flask.session["user"] = "anna"
    return ""


@app.get("/")
def front():
    return ("<!doctype html><body><script type=module>"
            "const show = (said) => document.body.append(said.text);" + SCRIPT + "</script>")


SCRIPT = """ + repr(code("js"))

def needs(module):
    return pytest.mark.skipif(not importlib.util.find_spec(module),
                              reason=f"no {module}: make deps")


def tokens(bench):
    issuer = Issuer(bench.folder / "jwt.secret")
    return issuer, {"session_from": "jwt", "channels_from": "jwt",
                    "jwt_secret_file": issuer.secret_file}


def begin(bench, folder, argv, way=WAYS[0], worker=None):
    """The site, the application behind its web server, and a function that makes visitors. argv has
    {port}."""
    issuer, settings = tokens(bench)
    web = behind(way)
    site = Site(bench, web=web, worker=settings if worker is None else worker)
    settings = {"SSECAST_COMMANDS": site.broker.endpoint("commands"),
                "SSECAST_JWT_SECRET_FILE": str(issuer.secret_file)}
    argv = [word.format(port=web.port_of_application) for word in argv]
    return site, Application(bench, web.port_of_application, argv, folder, settings).start()


# Django

@pytest.fixture
def django(bench):
    """A function: a new project as docs/python.md extends it, and its site."""
    def start(worker=None):
        folder = bench.subfolder("project")
        assert run(
            ["env", "-C", folder, PYTHON, "-m", "django", "startproject", "mysite", "."]
        ).returncode == 0
        for name in ("live.py", "live_views.py"):
            shutil.copy2(EXAMPLES / name, folder / "mysite")
        (folder / "mysite" / "urls.py").write_text(
            URLS + code("python", "Django")
            .replace("    # …\n", '    path("enter", enter),\n    path("", front),\n'))
        assert run(["env", "-C", folder, PYTHON, "manage.py", "migrate", "-v", "0"],
                   timeout=60).returncode == 0
        return begin(bench, folder, ["manage.py", "runserver", "--noreload", "127.0.0.1:{port}"],
                     worker=worker)
    return start


def enter(site, user):
    visitor = Visitor(site)
    assert visitor.ask(f"/enter?user={user}") == 200
    return visitor


def is_for_no_cache(visitor):
    """Of the answer that brought the token."""
    return "no-store" in visitor.answer_headers["Cache-Control"]


def post(visitor, path, **fields):
    return visitor.ask(path, fields, **{"X-CSRFToken": visitor.cookie("csrftoken").value})


@needs("django")
def test_django_s_users_have_their_streams(django):
    site, app = django()
    assert Visitor(site).ask("/live/token") == 401 and site.request()[0] == 401
    anna, bert = enter(site, "anna"), enter(site, "bert")
    assert anna.ask("/live/token") == bert.ask("/live/token") == 204 and is_for_no_cache(anna)
    cookie = anna.cookie("ssecast_token")
    assert (cookie.path == "/sse" and not cookie.secure and cookie.has_nonstandard_attr("HttpOnly")
            and cookie.get_nonstandard_attr("SameSite") == "strict")
    streams = [site.open_counted(None, headers=visitor.headers) for visitor in (anna, bert)]
    assert post(anna, "/live/say", text="grüße") == 204
    site.publish("note", data=1, to={"sessions": ["2"]})
    said = {"from": "anna", "text": "grüße"}
    assert json.loads(streams[0].wait_for(1)[0].data) == json.loads(
        streams[1].wait_for(2)[0].data
    ) == said
    assert streams[1].types()[-1] == "note" and "note" not in streams[0].types()

    token = anna.headers
    assert post(anna, "/live/leave") == 200, "the front page"
    streams[0].wait_type("ssecast.shutdown")
    assert not anna.headers and anna.ask("/live/token") == 401 and site.request()[0] == 401
    assert site.open(None, headers=token).status == 200, "a token is valid until it expires"
    assert "ssecast.shutdown" not in streams[1].types()
    assert "Traceback" not in app.log()


@needs("django")
def test_django_without_tokens_in_the_query(django):
    site, _ = django(worker={})
    reader = site.open_counted("anna", ["news"])
    assert post(enter(site, "bert"), "/live/say", text="hello") == 204
    assert reader.wait_for(1)[0].type == "said"


@needs("django")
def test_django_stores_and_logs_out_without_a_broker(django):
    site, app = django()
    anna = enter(site, "anna")
    site.broker.kill()
    assert (post(anna, "/live/say", text="hello") == 204
            and "ssecast: said not published: no reply from the broker" in app.log())
    assert post(anna, "/live/leave") == 200 and anna.ask("/live/token") == 401
    assert "ssecast: streams of user 1 not ended" in app.log()


# Flask and FastAPI

def application(bench, title, more=""):
    folder = bench.subfolder("application")
    shutil.copy2(EXAMPLES / "live.py", folder)
    (folder / "app.py").write_text(code("python", title) + more)
    return folder


@needs("flask")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_flask_publishes_and_gives_tokens(bench, way):
    site, app = begin(bench, application(bench, "Flask", LOGIN),
                      ["-m", "flask", "run", "--port", "{port}"], way)
    anna = Visitor(site)
    assert anna.ask("/live/token") == anna.ask("/live/say", {"text": "nobody is logged in"}) == 401
    assert anna.ask("/enter") == 200 and anna.ask("/live/token") == 204 and is_for_no_cache(anna)
    stream = site.open_counted(None, headers=anna.headers)
    assert anna.ask("/live/say", {"text": "hello"}) == 204
    assert json.loads(stream.wait_for(1)[0].data) == {"text": "hello"}
    assert anna.ask("/live/leave", {}) == 200 and not anna.headers
    stream.wait_type("ssecast.shutdown")
    assert "Traceback" not in app.log()

    anna.ask("/enter")
    site.broker.kill()
    assert (anna.ask("/live/leave", {}) == 200
            and anna.ask("/live/token") == 401), "logged out without a broker"


@needs("flask")
def test_the_script_of_the_page_shows_what_is_said(bench, chromium):
    site, _ = begin(bench, application(bench, "Flask", LOGIN),
                    ["-m", "flask", "run", "--port", "{port}"])
    chromium.goto(f"{site.web.origin}/enter")
    chromium.goto(f"{site.web.origin}/")
    site.wait_connections("anna", 1)
    assert enter(site, "anna").ask("/live/say", {"text": "hello"}) == 204
    wait_until(lambda: chromium.run("return document.body.innerText") == "hello",
               what="the text in the page")
    chromium.goto("about:blank")


@needs("fastapi")
@needs("uvicorn")
def test_fastapi_publishes_and_gives_tokens(bench):
    site, app = begin(bench, application(bench, "FastAPI"),
                      ["-m", "uvicorn", "app:app", "--port", "{port}"])
    anna = Visitor(site)
    assert anna.ask("/live/token") == 204 and is_for_no_cache(anna)
    stream = site.open_counted(None, headers=anna.headers)
    assert anna.ask("/live/say", b'{"text":"hello"}', **{"Content-Type": "application/json"}) == 200
    assert json.loads(stream.wait_for(1)[0].data) == {"from": "anna", "text": "hello"}
    assert "Traceback" not in app.log()
