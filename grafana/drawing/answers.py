"""A panel's queries, sent to Prometheus as Grafana sends them."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

from grafana.drawing import formats

SCRAPE_SECONDS: Final = 5
_NAME: Final = re.compile(r"\{\{(\w+)\}\}")
_LABEL_VALUES: Final = re.compile(r"label_values\((.*), (\w+)\)")
_TIMEOUT: Final = 30  # seconds


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a panel: its name, labels, and points of time and value."""

    name: str
    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]
    query: str = ""  # the query's refId

    @property
    def last(self) -> float:
        """Return the newest value."""
        return self.points[-1][1]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus, and the time range of the dashboards in seconds since 1970."""

    url: str
    start: float
    end: float

    def series(self, panel: Mapping[str, Any], values: Mapping[str, str]) -> list[Series]:
        """Return the series of a panel's queries; `values` has the dashboard's variables."""
        return [
            Series(_legend(target["legendFormat"], answer["metric"]), answer["metric"], points,
                   target["refId"])
            for target in panel["targets"]
            for answer in self._ask(target, values)
            if (points := _numbers(answer))
        ]  # fmt: skip

    def values_of(self, variable: Mapping[str, Any]) -> list[str]:
        """Return the values of a dashboard's variable in the time range."""
        match = _LABEL_VALUES.fullmatch(variable["query"]["query"])
        if match is None:
            return []
        target = {"expr": f"group by ({match[2]}) ({match[1]})", "range": True}
        return sorted({answer["metric"][match[2]] for answer in self._ask(target, {})})

    def journal(self, dashboard: Mapping[str, Any]) -> list[float]:
        """Return the times of a dashboard's annotations."""
        (annotation,) = dashboard["annotations"]["list"]
        target = {"expr": annotation["expr"], "range": True}
        return sorted({at for answer in self._ask(target, {}) for at, _ in _numbers(answer)})

    def _ask(self, target: Mapping[str, Any], values: Mapping[str, str]) -> list[dict[str, Any]]:
        expression = target["expr"]
        times = {"__rate_interval": f"{4 * SCRAPE_SECONDS}s", "__interval": f"{SCRAPE_SECONDS}s",
                 "__range": f"{self.end - self.start:.0f}s"}  # fmt: skip
        for name, text in {**times, **values}.items():
            expression = expression.replace(f"${name}", text)
        form: dict[str, object] = {"query": expression}
        if target.get("range"):
            path = "query_range"
            form |= {"start": self.start, "end": self.end, "step": SCRAPE_SECONDS}
        else:
            path = "query"
            form |= {"time": self.end}
        url = f"{self.url}/api/v1/{path}?{urlencode(form)}"
        with urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310 - our own Prometheus
            result: list[dict[str, Any]] = json.loads(answer.read())["data"]["result"]
        return result


def _numbers(answer: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return the points that are numbers, of an instant query its only one."""
    points = answer["values"] if "values" in answer else [answer["value"]]
    numbers = ((float(at), float(number)) for at, number in points)
    return [(at, number) for at, number in numbers if math.isfinite(number)]


def _legend(template: str, labels: Mapping[str, str]) -> str:
    if template != "__auto":
        return _NAME.sub(lambda match: labels.get(match[1], ""), template)
    return ", ".join(text for name, text in labels.items() if name != "__name__")


def colors(panel: Mapping[str, Any], lines: Sequence[Series]) -> list[str]:
    """Return each series's colour: that which the panel fixes, else the palette's."""
    fixed = [overrides(panel, line.name).get("color", {}).get("fixedColor") for line in lines]
    return [
        formats.color(name) if name else formats.series_color(i) for i, name in enumerate(fixed)
    ]


def overrides(panel: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what a panel overrides for a series or a column."""
    properties: dict[str, Any] = {}
    for override in panel["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        if matcher["id"] == "byName":
            matches = matcher["options"] == name
        else:
            matches = re.search(matcher["options"].strip("/"), name) is not None
        if matches:
            properties |= {each["id"]: each["value"] for each in override["properties"]}
    return properties
