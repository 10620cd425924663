"""The dashboards: valid by Grafana's schema, and each query has an answer from Prometheus.

dashboard.schema.json is generated from the npm package @grafana/schema 13.2.3
(raw/dashboard/x/types) by ts-json-schema-generator 2.4.0, type Dashboard. No test runs a Grafana
server.
"""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations, count
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from grafana.__main__ import DASHBOARDS, FOLDER, written
from grafana.drawing.answers import Prometheus as Drawn
from grafana.drawing.page import page
from loadgen.load.metrics import LoadCollector
from loadgen.prometheus import counter, gauge, histogram
from loadgen.watch.marker_reader import BUCKETS
from loadgen.watch.metrics import WatchCollector
from tests.dashboards import check_answers, panels, queries
from tests.plans import OPERATIONS
from tests.polling import wait_for
from tests.prometheus import Prometheus, running_prometheus

ROOT = Path(__file__).parents[2]
NAMES = sorted(DASHBOARDS)
# Keys of an annotation that Grafana's Prometheus data source reads, but that the schema lacks.
PROMETHEUS_OWN = ("expr", "step", "titleFormat", "textFormat")
RECORDED = {"loadgen:wal_bytes_per_write"}  # by grafana/alerts.yml


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_what_the_code_makes(name: str) -> None:
    """The files are up to date; `python -m grafana` writes them."""
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == written(DASHBOARDS[name])


@pytest.mark.parametrize("name", NAMES)
def test_it_is_valid_by_grafanas_schema(name: str) -> None:
    """Each key is known and each value has the right type; a wrong type is detected."""
    schema = json.loads((Path(__file__).parent / "dashboard.schema.json").read_text())
    validator = Draft7Validator(schema)
    dashboard = json.loads((FOLDER / f"{name}.json").read_text())
    for annotation in dashboard["annotations"]["list"]:
        for key in PROMETHEUS_OWN:
            del annotation[key]
    assert [f"{e.json_path}: {e.message}" for e in validator.iter_errors(dashboard)] == []
    dashboard["panels"][1]["gridPos"]["w"] = "wide"
    assert list(validator.iter_errors(dashboard))


@pytest.mark.parametrize("name", NAMES)
def test_panels_stand_side_by_side_and_say_what_they_show(name: str) -> None:
    """No panel overlaps another or leaves the grid; each has a title, a description and a unit."""
    dashboard = DASHBOARDS[name]
    for one, other in combinations([panel["gridPos"] for panel in dashboard["panels"]], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    assert all(0 <= p["gridPos"]["x"] <= 24 - p["gridPos"]["w"] for p in dashboard["panels"])
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))
    for panel in panels(dashboard):
        assert panel["title"]
        assert len(panel["description"]) > 5
        assert panel["fieldConfig"]["defaults"]["unit"]
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters))


def exported() -> set[str]:
    """Return the names of the metrics that load and watch expose."""
    families: list[Metric] = [*LoadCollector(OPERATIONS, lambda: None).collect()]
    families += WatchCollector(lambda: None).collect()
    return {f"{f.name}_total" if f.type == "counter" else f.name for f in families}


def test_each_metric_is_shown_and_each_shown_is_exported() -> None:
    """Every metric of a query is exported, and every exported metric is in a panel."""
    asked = set[str]().union(*(query.metrics() for query in queries()))
    assert asked - exported() == RECORDED
    assert exported() - asked == set()


def test_what_is_provisioned_is_what_the_dashboards_name() -> None:
    """The uid of the data source, the links and the folder of the dashboards match."""
    provisioning = ROOT / "grafana/provisioning"
    sources = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())
    (source,) = sources["datasources"]
    for dashboard in DASHBOARDS.values():
        variable = dashboard["templating"]["list"][0]
        assert variable["current"]["value"] == source["uid"]
        for link in dashboard["links"]:
            assert link["url"].removeprefix("/d/") in {d["uid"] for d in DASHBOARDS.values()}
    providers = yaml.safe_load((provisioning / "dashboards/playground.yml").read_text())
    assert providers["providers"][0]["options"]["path"] == "/var/lib/grafana/dashboards"


class Copies:
    """Metrics of a watch with two tools; the count of deliveries grows with every scrape."""

    def __init__(self) -> None:
        self._scrapes = count(1)

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        n, tools = next(self._scrapes), ("replication", "dlt")
        tables = ("users", "orders", "events")
        edges = [*map(str, BUCKETS), "+Inf"]
        rows = [((table,), 1000.0) for table in tables]
        yield gauge("source_rows", "rows", ["table"], rows)
        yield gauge("freshness_seconds", "age", ["tool"], [((t,), 2.0) for t in tools])
        yield gauge("destination_up", "answers", ["tool"], [((t,), 1.0) for t in tools])
        yield gauge("markers_unseen", "late", ["tool"], [((t,), 1.0) for t in tools])
        yield counter("markers", "written", [], [((), float(n))])
        yield histogram(
            "delivery_seconds",
            "took",
            ["tool"],
            [((t,), [(edge, float(n)) for edge in edges], float(n)) for t in tools],
        )
        there = [((tool, table), 990.0) for tool in tools for table in tables]
        yield gauge("destination_rows", "rows", ["tool", "table"], there)
        yield gauge("findings", "wrong", ["tool", "kind"], [(("dlt", "not_deleted"), 3.0)])
        costs = [((t, "compute"), 0.25) for t in tools]
        yield gauge("cost_dollars", "cost", ["tool", "component"], costs)
        yield gauge("tool_resident_bytes", "memory", ["tool"], [((t,), 5e7) for t in tools])
        for name in ("tool_cpu_seconds", "tool_read_bytes", "tool_written_bytes"):
            yield counter(name, "used", ["tool"], [((t,), float(n)) for t in tools])
        for name in ("consistency_reads", "torn_reads"):
            yield counter(name, "reads", ["tool"], [((t,), float(n)) for t in tools])


@pytest.fixture
def copies(tmp_path: Path) -> Iterator[Prometheus]:
    """Yield a Prometheus that scrapes two tools' metrics."""
    registry = CollectorRegistry()
    registry.register(Copies())

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(generate_latest(registry))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its own name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        target = f"127.0.0.1:{server.server_address[1]}"
        (tmp_path / "prometheus.yml").write_text(
            "global: {scrape_interval: 500ms}\nscrape_configs:\n  - job_name: watch\n"
            f'    static_configs: [{{targets: ["{target}"]}}]\n'
        )
        with running_prometheus(tmp_path) as prometheus:
            yield prometheus
        server.shutdown()


def test_what_is_asked_of_tools_has_an_answer(copies: Prometheus) -> None:
    """Each query on tools has an answer from made-up metrics, since real tools need accounts."""
    enough = "count_over_time(loadgen_freshness_seconds[1m]) > 8"
    wait_for(lambda: copies.query(enough), "some scrapes")
    asked = [query for query in queries() if query.of_tools()]
    assert len(asked) > 10
    check_answers(copies, asked, time.time() - 20)
    now = time.time()
    drawn = page(DASHBOARDS["tools"], Drawn(copies.address, now - 30, now))
    assert "this is not Grafana's rendering" in drawn
    assert "Delivery, dlt" in drawn  # repeated for each tool
    assert "dlt: not_deleted" in drawn
    # Only the load has a run's id.
    assert [drawn.count(f">{text}</p>") for text in ("No data", "no run")] == [0, 1]
