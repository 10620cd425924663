"""A real Prometheus next to a benchmark's load, with the playground's own configuration."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from bench.project import ROOT, free_port

_SCRAPE_INTERVAL = "5s"


class Prometheus:
    """A running one, asked by its HTTP API; `process` may be stopped and continued."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self._address = f"http://127.0.0.1:{port}"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        url = f"{self._address}/api/v1/query?{urlencode({'query': expression})}"
        with urlopen(url, timeout=60) as answer:  # noqa: S310 - our own
            found: list[dict[str, Any]] = json.loads(answer.read())["data"]["result"]
        return found


@contextmanager
def scraping(folder: Path, metrics_port: int, interval: str) -> Iterator[Prometheus]:
    """Run one that scrapes the load on `metrics_port` each `interval`, its data in `folder`."""
    program = shutil.which("prometheus")
    if program is None:
        raise SystemExit("prometheus is not installed: apt-get install prometheus")
    text = (ROOT / "grafana/prometheus.yml").read_text(encoding="utf-8")
    text = text.replace("127.0.0.1:9646", f"127.0.0.1:{metrics_port}")
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / "grafana/alerts.yml", folder)
    (folder / "prometheus.yml").write_text(text.replace(_SCRAPE_INTERVAL, interval), "utf-8")
    port = free_port()
    command = [program, f"--config.file={folder}/prometheus.yml", "--log.level=error"]
    command += [f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield Prometheus(process, port)
        finally:
            process.kill()
