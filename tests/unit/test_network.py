"""The environment's proxy is for other machines: this one is reached without it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from loadgen.control import ControlError, LoadControl
from loadgen.network import is_local
from loadgen.source.tunnel import ExposableServer, TunnelError, tunnel
from tests.proxy import refusing_proxy


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set a proxy in the environment that refuses all."""
    with refusing_proxy() as environment:
        for name, url in environment.items():
            monkeypatch.setenv(name, url)
        yield


class Answer(BaseHTTPRequestHandler):
    """A load's control API, or ngrok's: it answers every request."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"state": "running", "tunnels": []}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """Return the port of a server on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_load_of_this_machine_is_asked_directly(host: str, port: int) -> None:
    """The proxy would have answered 503."""
    assert LoadControl(f"http://{host}:{port}").ask("rates")["state"] == "running"


@pytest.mark.usefixtures("proxied")
def test_a_load_elsewhere_is_asked_by_the_proxy() -> None:
    """LOAD_URL is another machine: 192.0.2.1 belongs to no host, and the proxy answers for it."""
    with pytest.raises(ControlError, match="HTTP 503"):
        LoadControl("http://192.0.2.1:9646").ask("rates")


@pytest.mark.usefixtures("proxied")
def test_ngrok_is_asked_directly(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that runs already is seen: through a proxy it would not be."""
    monkeypatch.setattr("shutil.which", lambda _: "/bin/false")
    with (
        pytest.raises(TunnelError, match="runs already"),
        tunnel(ExposableServer("127.0.0.1", 1, (), ()), f"http://127.0.0.1:{port}"),
    ):
        pass


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("0.0.0.0", True),  # noqa: S104 - asked about, not listened on
        ("localhost", True),
        ("a.localhost", True),
        ("", False),
        ("localhost.example.org", False),
        ("192.0.2.1", False),
        ("load.example.org", False),
    ],
)
def test_what_is_this_machine(host: str, local: bool) -> None:
    """Loopback by any of its names; other names are not looked up."""
    assert is_local(host) is local
