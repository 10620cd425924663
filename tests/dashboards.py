"""The dashboards' queries, as Grafana would send them to Prometheus."""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from grafana.__main__ import DASHBOARDS
from tests.prometheus import Prometheus

_OF_TOOLS = {
    "loadgen_freshness_seconds",
    "loadgen_delivery_seconds",
    "loadgen_destination_up",
    "loadgen_markers_unseen",
    "loadgen_markers_total",
    "loadgen_destination_rows",
    "loadgen_findings",
    "loadgen_cost_dollars",
    "loadgen_tool_resident_bytes",
    "loadgen_tool_cpu_seconds_total",
    "loadgen_tool_read_bytes_total",
    "loadgen_tool_written_bytes_total",
    "loadgen_consistency_reads_total",
    "loadgen_torn_reads_total",
}
_LABEL_VALUES = re.compile(r"label_values\((.*), (\w+)\)")


@dataclass(frozen=True, slots=True)
class Asked:
    """One query; `label` is what a variable takes its values from."""

    where: str
    expression: str
    label: str = ""

    def metrics(self) -> set[str]:
        """Return the names that it reads, recorded ones too."""
        names = re.findall(r"\bloadgen[:_]\w+", self.expression)
        return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}

    def of_tools(self) -> bool:
        """Tell whether it needs a tool under test."""
        return bool(self.metrics() & _OF_TOOLS)

    def sent(self) -> str:
        """Return it with the variables in their place, all values chosen."""
        text = self.expression
        for name, value in (
            ("$__rate_interval", "10s"),
            ("$__range", "5m"),
            ("$__interval", "10s"),
            ("$run", ".*"),
            ("$operation", ".*"),
            ("$slot", ".*"),
            ("$tool", ".*"),
        ):
            text = text.replace(name, value)
        assert not re.search(r"\$[A-Za-z_]", text), text
        return text


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the panels that show something."""
    yield from (panel for panel in dashboard["panels"] if panel["type"] != "row")


def queries() -> Iterator[Asked]:
    """Yield every query of every dashboard: of panels, annotations and variables."""
    for name, dashboard in DASHBOARDS.items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield Asked(f"{name}: {panel['title']} {target['refId']}", target["expr"])
        for annotation in dashboard["annotations"]["list"]:
            yield Asked(f"{name}: {annotation['name']}", annotation["expr"])
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
                assert found
                yield Asked(f"{name}: ${variable['name']}", found[1], found[2])


def check_answers(prometheus: Prometheus, asked: Iterable[Asked], since: float) -> None:
    """Each query must be valid, and give at least one number since then."""
    empty = []
    for query in asked:
        series = prometheus.over_time(query.sent(), since, time.time())
        numbers = [v for one in series for _, v in one["values"] if v not in {"NaN", "+Inf"}]
        named = all(query.label in one["metric"] for one in series) if query.label else True
        if not numbers or not named:
            empty.append(f"{query.where}: {query.sent()}")
    assert not empty, "\n".join(["nothing came of", *empty])
