"""Who passes the middleware in front of our HTTP ports, and with which answer the others leave."""

import io
import json
from collections.abc import Iterable
from typing import Any
from wsgiref.util import setup_testing_defaults

import psutil
import pytest

from loadgen.config.settings import load_settings
from loadgen.errors import SettingsError
from loadgen.web_access import LARGEST_BODY, AccessControl, is_loopback, require_token

TOKEN = "a long, random text ☃"  # noqa: S105 - of the test
BEARER = {"HTTP_AUTHORIZATION": f"Bearer {TOKEN}".encode().decode("latin-1")}


def application(_: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer everything as Locust does, for all the world to read."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Access-Control-Allow-Origin", "*")])
    return [b"inside"]


class Client:
    """Sends requests through the middleware; `status`, `headers` and `body` are the answer."""

    def __init__(self, login_path: str | None = "/login", **settings: str) -> None:
        self._access = AccessControl(application, load_settings(settings), login_path)
        self.status, self.headers, self.body = 0, dict[str, str](), ""

    def __call__(self, path: str = "/", body: str = "", **environ: str) -> int:
        """Return the status of the answer; `environ` has the differences from a plain request."""
        asked: dict[str, Any] = {"PATH_INFO": path, "HTTP_HOST": "127.0.0.1:8089"}
        if body:
            asked |= {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body))}
            asked["wsgi.input"] = io.BytesIO(body.encode("latin-1"))
        asked |= environ
        setup_testing_defaults(asked)

        def start_response(status: str, headers: list[tuple[str, str]]) -> None:
            self.status, self.headers = int(status[:3]), dict(headers)

        self.body = b"".join(self._access(asked, start_response)).decode()
        return self.status


def own_addresses() -> list[str]:
    """Return this machine's IPv4 addresses."""
    interfaces = psutil.net_if_addrs().values()
    return [own.address for each in interfaces for own in each if own.family.name == "AF_INET"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8089", "localhost", "LOCALHOST:8089", "[::1]:8089", "127.1.2.3", "load:80"]
)
def test_a_host_of_this_machine_passes(host: str) -> None:
    """Loopback by any name, and the names in LOADGEN_ALLOWED_HOSTS."""
    client = Client(loadgen_allowed_hosts="ingress.example, Load")
    assert client(HTTP_HOST=host) == 200
    assert client.body == "inside"
    assert client(HTTP_HOST=host, HTTP_ORIGIN=f"http://{host.lower()}") == 200


def test_this_machine_s_addresses_pass() -> None:
    """Prometheus scrapes by an address, in a cluster by the pod's."""
    client = Client()
    for address in own_addresses():
        assert client(HTTP_HOST=f"{address}:9646") == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8089", "", "localhost.evil.example", "192.0.2.1", "a@[", "::1["],
)
def test_another_name_is_refused(host: str) -> None:
    """A foreign name that DNS has pointed at this machine (rebinding) reads nothing."""
    client = Client()
    assert client(HTTP_HOST=host) == 403
    assert "LOADGEN_ALLOWED_HOSTS" in json.loads(client.body)["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_ORIGIN": "https://evil.example"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_ORIGIN": "http://127.0.0.1:3000"},
        {"HTTP_ORIGIN": "http://["},
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
        {"HTTP_SEC_FETCH_SITE": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/swarm", "/metrics", "/health", "/login", "/assets/x.js"])
def test_another_page_s_request_is_refused(headers: dict[str, str], path: str) -> None:
    """On every route, with the right token too: a browser adds it by itself."""
    client = Client(loadgen_web_token=TOKEN)
    assert client(path, **headers, **BEARER) == 403
    assert client(path, "{}", **headers, **BEARER) == 403
    assert not [name for name in client.headers if name.lower().startswith("access-control")]


def test_no_other_page_may_read_an_answer() -> None:
    """Locust's own CORS headers are taken away."""
    client = Client()
    assert client(HTTP_SEC_FETCH_SITE="same-origin") == 200
    assert client.headers == {"Content-Type": "text/plain"}
    assert client(HTTP_SEC_FETCH_SITE="none") == 200


@pytest.mark.parametrize(
    "environ",
    [
        {"CONTENT_LENGTH": str(LARGEST_BODY + 1)},
        {"CONTENT_LENGTH": "9" * 5000},
        {"CONTENT_LENGTH": "-1"},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
    ],
)
def test_an_endless_body_is_not_read(environ: dict[str, str]) -> None:
    """A body has a length, and not a large one."""
    client = Client()
    assert client("/swarm", "x", **environ) == 413
    assert client("/swarm", "x" * 1000) == 200


def test_with_a_token_all_but_metrics_and_health_need_it() -> None:
    """As a Bearer token, or by the cookie that the login page gives for it."""
    client = Client(loadgen_web_token=TOKEN)
    for path in ("/metrics", "/health"):
        assert client(path) == 200
    for path in ("/", "/swarm", "/loadgen/rates", "/stats/requests", "/metrics/x"):
        assert client(path) == 401
        assert client.headers["WWW-Authenticate"] == "Bearer"
        assert "LOADGEN_WEB_TOKEN" in json.loads(client.body)["error"]
        assert client(path, HTTP_AUTHORIZATION="Bearer wrong") == 401
        assert client(path, HTTP_AUTHORIZATION="Basic eDp5") == 401
        assert client(path, HTTP_COOKIE="loadgen_session=00") == 401
        assert client(path, **BEARER) == 200


def test_the_login_page() -> None:
    """A browser is sent to it; a wrong token is refused there; the right one leads to the page."""
    client = Client(loadgen_web_token=TOKEN, login_path="/base/login")
    assert client("/base/", HTTP_ACCEPT="text/html,*/*") == 303
    assert client.headers["Location"] == "/base/login"
    assert client("/base/login") == 200
    assert 'type="password"' in client.body
    assert client("/base/login", "token=wrong") == 401
    assert "This is not the token." in client.body
    assert client("/base/login", "\xff\xfe") == 401
    assert client("/base/login", "token=a+long%2C+random+text+%E2%98%83") == 303
    assert client.headers["Location"] == "/base/"
    cookie, *attributes = client.headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict"} <= set(attributes)
    assert TOKEN not in cookie
    assert client("/base/", HTTP_COOKIE=f"other=1; {cookie}") == 200
    other = Client(loadgen_web_token="another")  # noqa: S106 - as above
    assert other("/base/", HTTP_COOKIE=cookie) == 401


def test_without_a_token_the_login_page_is_the_application_s() -> None:
    """Nothing of ours is in front of Locust's own routes."""
    client = Client()
    assert client("/login") == 200
    assert client.body == "inside"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("::1", True), ("localhost", True), ("127.9.9.9", True),
        ("", False), ("*", False), ("0.0.0.0", False), ("::", False), ("192.0.2.1", False),  # noqa: S104
        ("example.org", False),
    ],
)  # fmt: skip
def test_an_address_that_others_reach_needs_a_token(host: str, *, loopback: bool) -> None:
    """The start is refused in one line that names the option and the remedy."""
    assert is_loopback(host) is loopback
    require_token(load_settings({"loadgen_web_token": TOKEN}), host, "--web-host")
    if loopback:
        require_token(load_settings(), host, "--web-host")
        return
    with pytest.raises(SettingsError, match=r"^--web-host is '.*': .* LOADGEN_WEB_TOKEN to "):
        require_token(load_settings(), host, "--web-host")
