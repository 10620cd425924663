"""An HTTP proxy that refuses every request, like one that can't reach this machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Refusal(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(503)

    do_POST = do_CONNECT = do_GET  # noqa: N815 - names that http.server calls

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def refusing_proxy() -> Iterator[dict[str, str]]:
    """Run one, and yield the environment that sends every HTTP client to it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusal) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            names = ("http_proxy", "https_proxy", "all_proxy")
            yield {name: url for pair in names for name in (pair, pair.upper())}
        finally:
            server.shutdown()
