"""A real Prometheus with our configuration scrapes a load with two workers and a watch."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

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
from tests.conftest import RunLoadgen
from tests.dashboards import Asked, check_answers, queries
from tests.prometheus import Prometheus, running_prometheus

__all__ = ["watch", "watch_port"]  # fixtures
COMMITTED = 'loadgen_operations_total{outcome="committed"}'


def committed(prometheus: Prometheus) -> dict[str, float]:
    """Return the committed writes of each operation, summed over restarts of the load."""
    total: dict[str, float] = {}
    for series in prometheus.query(f"{COMMITTED}[10m]"):
        name, before = series["metric"]["operation"], 0.0
        for _, text in series["values"]:
            gained = float(text) - before
            total[name] = total.get(name, 0.0) + (gained if gained >= 0 else float(text))
            before = float(text)
    return total


@pytest.fixture
def prometheus(tmp_path: Path, metrics_port: int, watch_port: int) -> Iterator[Prometheus]:
    """Run Prometheus with our files; only ports, intervals and limits are changed."""
    configuration = (ROOT / "grafana/prometheus.yml").read_text()
    for usual, here in (("9646", metrics_port), ("9647", watch_port), ("5s", "500ms")):
        assert usual in configuration
        configuration = configuration.replace(usual, str(here))
    alerts = (ROOT / "grafana/alerts.yml").read_text()
    shorter = (("(0.1 * loadgen", "(0.0001 * loadgen"), ("[10m]", "[10s]"), ("for: 5m", "for: 1s"))
    for usual, here in shorter:
        assert usual in alerts
        alerts = alerts.replace(usual, here)
    (tmp_path / "prometheus.yml").write_text(configuration)
    (tmp_path / "alerts.yml").write_text(alerts)
    with running_prometheus(tmp_path) as running:
        yield running


def test_what_prometheus_knows_is_what_the_tables_hold(
    seeded: str,
    locust: Locust,
    project: Path,
    watch: Start,
    prometheus: Prometheus,
    run_loadgen: RunLoadgen,
    metrics_port: int,
) -> None:
    """Counters equal rows over restarts of load and watch; the slot's alert fires and clears.

    Prometheus answers every query of the dashboards on load and source.
    """
    start, began, door = counted(seeded), time.time(), {"METRICS_PORT": str(metrics_port)}
    with connect(seeded) as connection:  # so that some writes fail
        connection.execute("ALTER TABLE orders ADD CHECK (quantity < 3) NOT VALID")
    change = partial(run_loadgen, "rates", "--set", "soft_delete_user=2000", env=door)
    looking = watch(seeded)
    for _ in range(2):
        before = counted(seeded)
        process = locust(seeded, "-u", "4", "-t", "14s", "--processes", "2", *rates(2))
        wait_for_offers(project, process, 30)
        wait_for(lambda: prometheus.value("loadgen_workers") == 2, "two workers")
        wait_for(lambda: change().returncode == 0, "a rate to be changed")
        looking.terminate()
        looking.wait(20)
        looking = watch(seeded)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
        check_record(project, seeded, before)
    end = counted(seeded)
    gained = {name: end[name] - start[name] for name in GAINED}
    wait_for(lambda: committed(prometheus) == gained, f"counters that say {gained}")
    # A counter falls only at a restart; rates treat that as a reset.
    assert prometheus.value(f"max(resets({COMMITTED}[5m]))") == 1
    fastest = 'max_over_time(rate(loadgen_offered_total{operation="insert_event"}[3s])[1m:500ms])'
    assert 20 <= (prometheus.value(fastest) or 0) <= 80  # 40 are planned
    assert (prometheus.value("resets(loadgen_source_wal_bytes_total[5m])") or 0) == 0

    firing = 'ALERTS{alertname="SlotRetentionGrows",alertstate="firing",slot="a_tool"}'
    with connect(seeded) as connection:
        connection.execute(SLOT)
        deadline = time.monotonic() + 40
        while not prometheus.query(firing):
            assert time.monotonic() < deadline, "the alert does not fire"
            connection.execute(FILL)
            time.sleep(0.3)
        connection.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'")
        connection.execute("SELECT pg_reload_conf()")
        enough = "count_over_time(loadgen_slot_safe_wal_bytes[1m]) > 4"
        wait_for(lambda: prometheus.query(enough), "room left")
        connection.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
        connection.execute("SELECT pg_reload_conf()")
        # The free disk is known for an embedded server only; test_watch has one.
        shown = [q for q in queries() if not q.of_tools() and "free_disk_bytes" not in q.expression]
        check_answers(prometheus, shown, began)
        asked = {query.where: query.expression for query in shown}
        # The points of a long range lie far apart, and the load has ended before the last one.
        events = prometheus.query(asked["load: Journal"].replace("$__interval", "10m"))
        assert "rate_change" in {event["metric"]["kind"] for event in events}
        # The load is younger than the time shown.
        share = Asked("", asked["load: Offered, of target A"].replace("(5 *", "(0.5 *")).sent()
        assert 0.6 < (prometheus.value(share.replace(":5s]", ":500ms]")) or 0) < 1.4
        connection.execute("SELECT pg_drop_replication_slot('a_tool')")
    wait_for(lambda: not prometheus.query(firing), "the alert to clear")
