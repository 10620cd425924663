"""A real Prometheus for tests, asked by its own API."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.conftest import find_free_port


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query; empty while Prometheus does not answer."""
        try:
            return self._ask("query", query=expression)
        except OSError:
            return []

    def over_time(
        self, expression: str, start: float, end: float, step: float = 1.0
    ) -> list[dict[str, Any]]:
        """Return the series of a query over time; raises OSError if it is not valid."""
        return self._ask("query_range", query=expression, start=start, end=end, step=step)

    def value(self, expression: str) -> float | None:
        """Return the first value of an expression; None if it has none."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def _ask(self, what: str, **form: object) -> list[dict[str, Any]]:
        url = f"{self.address}/api/v1/{what}?{urlencode(form)}"
        with urlopen(url, timeout=10) as answer:  # noqa: S310 - our own
            found: list[dict[str, Any]] = json.loads(answer.read())["data"]["result"]
        return found


@contextmanager
def running_prometheus(folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus on `folder`, which has its prometheus.yml; skip if it is not installed."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus (Debian's package)")
    port = find_free_port()
    with subprocess.Popen(
        [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield Prometheus(port)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            process.kill()
