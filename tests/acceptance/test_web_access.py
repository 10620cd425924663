"""Other web pages, rebound host names and other hosts without the token can't control a load."""

import http.client
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.conftest import ROOT, Ask, wait_for
from tests.acceptance.test_browser import browser_page, playwright
from tests.acceptance.test_page import FORM
from tests.conftest import RunLoadgen, spawning

__all__ = ["browser_page", "playwright"]  # fixtures

PAGE_ROUTES = ("/", "/swarm", "/stop", "/stats/reset", "/stats/requests", "/logs", "/user")
OUR_ROUTES = ("/loadgen/rates", "/loadgen/pause", "/loadgen/journal", "/nonexistent")
TOKEN = "long and random"  # noqa: S105 - of the test
FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Host": "evil.example"},
)
BAD_FIELDS = (
    ("hard_cases", "abc", "'hard_cases' is no field of this form"),
    ("headless", "true", "'headless' is no field of this form"),
    ("csv_prefix", "/tmp/x", "'csv_prefix' is no field of this form"),
    ("spawn_rate", "nan", "Ramp up is 'nan'"),
    ("user_count", "9" * 400, "Number of users is '9999"),
    ("run_time", "9" * 400, "Run time is '9999"),
    ("run_time", "0", "Run time is '0'"),
    ("host", "elsewhere:5432", "Host is 'elsewhere:5432'"),
    ("profile", "burst", "Profile is 'burst'"),
)


def send(
    address: str, path: str, headers: Mapping[str, str], body: bytes | None = None
) -> tuple[int, http.client.HTTPMessage]:
    """Return status and headers of an answer; a request with a body is a post."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    try:
        connection.request("GET" if body is None else "POST", path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.headers
    finally:
        connection.close()


def test_who_may_use_page_and_metrics_port(page: Ask, metrics_port: int, project: Path) -> None:
    """Foreign requests are refused on every route, and a form may only have its own fields."""
    metrics = f"http://127.0.0.1:{metrics_port}"
    form = urlencode(FORM).encode()
    for headers in FOREIGN:
        for route in (*PAGE_ROUTES, *OUR_ROUTES, "/assets/index.js"):
            assert send(page.address, route, headers)[0] == 403, (route, headers)
            assert send(page.address, route, headers, form)[0] == 403, (route, headers)
        for route in ("/metrics", "/health", *OUR_ROUTES):
            assert send(metrics, route, headers)[0] == 403, (route, headers)
            assert send(metrics, route, headers, b"{}")[0] == 403, (route, headers)
    for address, route in (
        (page.address, "/stats/requests"),
        (page.address, "/logs"),
        (metrics, "/metrics"),
        (metrics, "/health"),
    ):
        status, answered = send(address, route, {"Origin": address})
        assert status == 200
        assert "Access-Control-Allow-Origin" not in answered
    assert send(page.address, "/user", {}, b'{"user_class_name": "PostgresUser"}')[0] == 404
    assert send(page.address, "/swarm", {"Content-Length": "200000000"}, b"")[0] == 413

    for field, value, message in BAD_FIELDS:
        answer = json.loads(page("/swarm", FORM | {field: value}))
        assert answer["success"] is False
        assert answer["message"].startswith(message)
        assert len(answer["message"]) < 200
    assert not (project / "reports").exists()
    assert json.loads(page("/swarm", FORM))["success"] is True


@pytest.fixture
def evil_page() -> Iterator[str]:
    """Yield the address of a web page of another origin on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>evil</title>")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("browser_page", ["light"], indirect=True)
def test_another_page_in_the_same_browser_starts_nothing(
    page: Ask, evil_page: str, browser_page: Page, project: Path
) -> None:
    """Another page can't post a form, even by a fetch without preflight, nor read answers."""
    browser_page.goto(evil_page)
    post = """([url, form]) => {
        const body = new URLSearchParams(form);
        return fetch(url, {method: "POST", mode: "no-cors", body}).then(answer => answer.type);
    }"""
    assert browser_page.evaluate(post, [f"{page.address}/swarm", FORM]) == "opaque"
    read = "url => fetch(url).then(a => a.text()).catch(() => 'unreadable')"
    assert browser_page.evaluate(read, f"{page.address}/stats/requests") == "unreadable"
    assert json.loads(page("/loadgen/rates"))["run_id"] is None
    assert not (project / "reports").exists()


@pytest.fixture
def token(project: Path) -> None:
    """Set the page's token in .env, as a user does."""
    (project / ".env").write_text(f"LOADGEN_WEB_TOKEN={TOKEN}\n")


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("browser_page", ["light"], indirect=True)
@pytest.mark.parametrize("page", [("--web-host", "0.0.0.0")], indirect=True)  # noqa: S104 - ours
def test_a_page_that_others_can_reach_asks_for_the_token(
    page: Ask, browser_page: Page, run_loadgen: RunLoadgen, metrics_port: int, tmp_path: Path
) -> None:
    """A person types the token once and commands send it; metrics and health need none."""
    metrics = f"http://127.0.0.1:{metrics_port}"
    assert send(page.address, "/stats/requests", {})[0] == 401
    assert send(page.address, "/loadgen/tab", {})[0] == 401
    assert send(page.address, "/loadgen/record/any/run.json", {})[0] == 401
    assert send(page.address, "/stop", {}, b"")[0] == 401
    assert send(metrics, "/loadgen/rates", {})[0] == 401
    assert send(metrics, "/metrics", {})[0] == send(metrics, "/health", {})[0] == 200
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert send(page.address, "/stats/requests", bearer)[0] == 200

    browser_page.goto(page.address)
    browser_page.screenshot(path=tmp_path / "login.png")
    browser_page.get_by_label("Token of this load").fill("wrong")
    browser_page.get_by_role("button", name="Log in").click()
    expect(browser_page.get_by_role("alert")).to_have_text("This is not the token.")
    browser_page.get_by_label("Token of this load").fill(TOKEN)
    browser_page.get_by_role("button", name="Log in").click()
    browser_page.get_by_label("Orders Per Hour").fill("36000")
    browser_page.get_by_role("button", name="Start").click()
    browser_page.get_by_role("tab", name="Load", exact=True).click()

    port = {"METRICS_PORT": str(metrics_port)}
    wait_for(
        lambda: run_loadgen("rates", "--set", "insert_order=7200", env=port).returncode == 0,
        "a change of rates",
    )
    refused = run_loadgen("pause", env={**port, "LOADGEN_WEB_TOKEN": "wrong"})
    assert refused.returncode == 2
    assert "LOADGEN_WEB_TOKEN" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "metrics_host", "message"),
    [
        (("--web-host", "0.0.0.0"), "127.0.0.1", "--web-host is '0.0.0.0'"),  # noqa: S104 - ours
        (("--web-host", "*"), "127.0.0.1", "--web-host is '*'"),
        (("--headless",), "0.0.0.0", "METRICS_HOST is '0.0.0.0'"),  # noqa: S104 - as above
        (("--web-login",), "127.0.0.1", "--web-login needs users"),
    ],
)
def test_an_open_port_without_a_token_is_refused(
    project: Path, arguments: tuple[str, ...], metrics_host: str, message: str
) -> None:
    """The start fails with exit code 2 and one line, before it connects to a source."""
    shutil.copy(ROOT / "locustfile.py", project)
    env = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "METRICS_HOST": metrics_host}
    with spawning() as spawn:
        process = spawn(
            "-m", "locust", *arguments, cwd=project, env={**env, "PYTHONPATH": str(ROOT)}
        )
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert message in err
    assert not (project / "reports").exists()
