"""A real Prometheus with our configuration, beside a load with two workers and a watch."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from loadgen.source.postgres import connect
from tests.acceptance.conftest import (
    GAINED,
    ROOT,
    Locust,
    check_record,
    counted,
    rates,
    wait_for,
    wait_for_offers,
)
from tests.acceptance.test_watch import FILL, SLOT, Start, watch, watch_port
from tests.conftest import find_free_port

__all__ = ["watch", "watch_port"]  # fixtures
COMMITTED = 'loadgen_operations_total{outcome="committed"}'


class Prometheus:
    """A running Prometheus, asked by its own API."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query; empty while nobody answers."""
        try:
            url = f"{self.address}/api/v1/query?{urlencode({'query': expression})}"
            with urlopen(url, timeout=10) as answer:  # noqa: S310 - our own
                found: list[dict[str, Any]] = json.loads(answer.read())["data"]["result"]
        except OSError:
            return []
        return found

    def value(self, expression: str) -> float | None:
        """Return the one value of an expression; None where it has none."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def counted(self) -> dict[str, float]:
        """Return what each operation committed, over restarts of the load."""
        total: dict[str, float] = {}
        for series in self.query(f"{COMMITTED}[10m]"):
            name, before = series["metric"]["operation"], 0.0
            for _, text in series["values"]:
                gained = float(text) - before
                total[name] = total.get(name, 0.0) + (gained if gained >= 0 else float(text))
                before = float(text)
        return total


@pytest.fixture
def prometheus(tmp_path: Path, metrics_port: int, watch_port: int) -> Iterator[Prometheus]:
    """Run Prometheus with our files; only ports, intervals and limits are a test's."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus (Debian's package)")
    configuration = (ROOT / "grafana/prometheus.yml").read_text()
    for usual, here in (("9646", metrics_port), ("9647", watch_port), ("5s", "500ms")):
        assert usual in configuration
        configuration = configuration.replace(usual, str(here))
    alerts = (ROOT / "grafana/alerts.yml").read_text()
    for usual, here in (("1e9", "1e6"), ("[10m]", "[10s]"), ("for: 5m", "for: 1s")):
        assert usual in alerts
        alerts = alerts.replace(usual, here)
    (tmp_path / "prometheus.yml").write_text(configuration)
    (tmp_path / "alerts.yml").write_text(alerts)
    port = find_free_port()
    with subprocess.Popen(
        [
            program,
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
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


def test_what_prometheus_knows_is_what_the_tables_hold(
    seeded: str, locust: Locust, project: Path, watch: Start, prometheus: Prometheus
) -> None:
    """Through a restart of the load and one of the watch; the slot's alert fires and clears."""
    start = counted(seeded)
    looking = watch(seeded)
    for _ in range(2):
        before = counted(seeded)
        process = locust(seeded, "-u", "4", "-t", "8s", "--processes", "2", *rates(2))
        wait_for_offers(project, process, 30)
        wait_for(lambda: prometheus.value("loadgen_workers") == 2, "two workers")
        looking.terminate()
        looking.wait(20)
        looking = watch(seeded)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
        check_record(project, seeded, before)
    end = counted(seeded)
    gained = {name: end[name] - start[name] for name in GAINED}
    wait_for(lambda: prometheus.counted() == gained, f"counters that say {gained}")
    # A restart is the only thing that a counter falls by; rates see it as one.
    assert prometheus.value(f"max(resets({COMMITTED}[5m]))") == 1
    fastest = 'max_over_time(rate(loadgen_offered_total{operation="insert_event"}[3s])[1m:500ms])'
    assert 20 <= (prometheus.value(fastest) or 0) <= 80  # 40 are asked for
    assert (prometheus.value("resets(loadgen_source_wal_bytes_total[5m])") or 0) == 0

    firing = 'ALERTS{alertname="SlotRetentionGrows",alertstate="firing",slot="a_tool"}'
    with connect(seeded) as connection:
        connection.execute(SLOT)
        deadline = time.monotonic() + 40
        while not prometheus.query(firing):
            assert time.monotonic() < deadline, "the alert does not fire"
            connection.execute(FILL)
            time.sleep(0.3)
        connection.execute("SELECT pg_drop_replication_slot('a_tool')")
    wait_for(lambda: not prometheus.query(firing), "the alert to clear")
