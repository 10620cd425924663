"""Panels of a Grafana dashboard, as plain values.

Each panel answers one question, and its description explains the figure. The field names come from
the npm package @grafana/schema.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from grafana.queries import query
from loadgen.config.settings import Settings
from loadgen.workload.operations import operations_of

Panel = dict[str, Any]

GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "text"
# The same on all dashboards. Grafana gives other series its first colours, in their order; those
# that it chooses by name include some that are too dark to see on its dark page.
_COLORS = {
    "operation": {name: operation.dark for name, operation in operations_of(Settings()).items()},
    "tool": {
        "fivetran": "#5794F2",
        "airbyte": "#B877D9",
        "rivery": "#FF9830",
        "simplyload": "#73BF69",
        "replication": "#8AB8FF",
        "dlt": "#FADE2A",
    },
}


def steps(*limits: tuple[float | None, str]) -> Panel:
    """Return thresholds: each colour applies from its limit; the first limit is None."""
    return {
        "mode": "absolute",
        "steps": [{"value": value, "color": color} for value, color in limits],
    }


def stat(  # noqa: PLR0913 - all that differs between tiles
    title: str,
    description: str,
    expression: str,
    unit: str,
    thresholds: Panel | None = None,
    *,
    legend: str = "",
    width: int = 3,
    named: bool = False,
    nothing: str = "not known",
    mappings: Mapping[str, tuple[str, str]] | None = None,
) -> Panel:
    """Return a tile with one value, coloured by its thresholds; `named` shows the legend instead.

    `nothing` is shown if there is no value; `mappings` give values a text and a colour.
    """
    return {
        "type": "stat",
        "title": title,
        "description": description,
        "targets": [query(expression, legend, instant=True)],
        "gridPos": {"w": width, "h": 4},
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "noValue": nothing,
                "thresholds": thresholds or steps((None, GREY)),
                "color": {"mode": "thresholds"},
                "mappings": _mapped(mappings or {}),
            },
            "overrides": [],
        },
        "options": {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "none",
            "textMode": "name" if named else "value",
            "justifyMode": "center",
        },
    }


def lines(  # noqa: PLR0913 - as above
    title: str,
    description: str,
    unit: str,
    *queries: Panel,
    width: int = 12,
    height: int = 8,
    stacked: bool = False,
    dashed: str = "",
    limit: float | None = None,
    log: bool = False,
    nothing: str = "",
) -> Panel:
    """Return a chart over time; `dashed` names a series drawn as a target line.

    `limit` is drawn as a red line. `nothing` is shown if there is no series. An operation and a
    well-known tool have the same colour on all charts.
    """
    custom: Panel = {
        "lineWidth": 1,
        "fillOpacity": 25 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "off" if limit is None else "line"},
    }
    if not log:
        custom["axisSoftMin"] = 0
    else:
        custom["scaleDistribution"] = {"type": "log", "log": 2 if unit == "bytes" else 10}
    overrides = _colored(queries)
    if dashed:
        line = {"fill": "dash", "dash": [8, 6]}
        overrides.append(
            _override(
                dashed, {"custom.lineStyle": line, "custom.fillOpacity": 0, "color": _fixed(GREY)}
            )
        )
    return {
        "type": "timeseries",
        "title": title,
        "description": description,
        "targets": list(queries),
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                **({"noValue": nothing} if nothing else {}),
                "color": {"mode": "palette-classic"},
                "custom": custom,
                "thresholds": steps((None, GREEN), *([(limit, RED)] if limit else [])),
            },
            "overrides": overrides,
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def heatmap(title: str, description: str, expression: str, *, width: int = 12) -> Panel:
    """Return a histogram's buckets over time, in seconds."""
    return {
        "type": "heatmap",
        "title": title,
        "description": description,
        "targets": [query(expression, "{{le}}", kind="heatmap")],
        "gridPos": {"w": width, "h": 8},
        "fieldConfig": {"defaults": {"unit": "short"}, "overrides": []},
        "options": {
            "calculate": False,
            "yAxis": {"unit": "s", "axisPlacement": "left"},
            "color": {"mode": "scheme", "scheme": "Turbo", "steps": 64, "exponent": 0.5},
            "cellGap": 0,
            "filterValues": {"le": 1e-9},
            "tooltip": {"mode": "single", "yHistogram": True},
            "legend": {"show": True},
        },
    }


def states(
    title: str,
    description: str,
    target: Panel,
    mappings: Mapping[str, tuple[str, str]],
    *,
    width: int = 12,
    height: int = 6,
) -> Panel:
    """Return a chart of states over time, each value with a text and a colour."""
    return {
        "type": "state-timeline",
        "title": title,
        "description": description,
        "targets": [target],
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {
            "defaults": {
                "unit": "short",
                "color": {"mode": "thresholds"},
                "thresholds": steps((None, GREY)),
                "mappings": _mapped(mappings),
                "custom": {"fillOpacity": 70, "lineWidth": 0},
            },
            "overrides": [],
        },
        "options": {
            "mergeValues": True,
            "showValue": "auto",
            "alignValue": "left",
            "rowHeight": 0.85,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
            "tooltip": {"mode": "single"},
        },
    }


def column(
    expression: str,
    unit: str,
    thresholds: Panel | None = None,
    mappings: Mapping[str, tuple[str, str]] | None = None,
) -> tuple[str, Panel]:
    """Return a column of a table, its query and look, coloured by thresholds or mappings."""
    look: Panel = {"unit": unit}
    if thresholds or mappings:
        look["thresholds"] = thresholds or steps((None, GREY))
        look["mappings"] = _mapped(mappings or {})
        look["custom.cellOptions"] = {"type": "color-text"}
    return expression, look


def table(
    title: str,
    description: str,
    key: str,
    columns: Mapping[str, tuple[str, Panel]],
    *,
    width: int = 24,
) -> Panel:
    """Return a table with a row for each value of label `key`; `columns` are by heading."""
    queries = [
        query(expression, instant=True, kind="table") | {"refId": heading}
        for heading, (expression, _) in columns.items()
    ]
    return {
        "type": "table",
        "title": title,
        "description": description,
        "targets": queries,
        "gridPos": {"w": width, "h": 6},
        "transformations": [
            {"id": "joinByField", "options": {"byField": key, "mode": "outer"}},
            {
                "id": "filterFieldsByName",
                "options": {"include": {"pattern": f"^({key}|Value #.*)$"}},
            },
            {
                "id": "renameByRegex",
                "options": {"regex": "Value #(.*)", "renamePattern": "$1"},
            },
        ],
        "fieldConfig": {
            "defaults": {"unit": "short", "noValue": "-", "custom": {"align": "auto"}},
            "overrides": [_override(heading, look) for heading, (_, look) in columns.items()],
        },
        "options": {"showHeader": True, "cellHeight": "sm"},
    }


def bars(
    title: str,
    description: str,
    unit: str,
    target: Panel,
    *,
    nothing: str,
    thresholds: Panel | None = None,
) -> Panel:
    """Return the newest value of each series as a bar.

    It is coloured by its thresholds, without them by its tool. `nothing` is shown if there is none.
    """
    by_tool = [
        _override(f"/^{name}: /", {"color": _fixed(color)}, by="byRegexp")
        for name, color in _COLORS["tool"].items()
    ]
    return {
        "type": "bargauge",
        "title": title,
        "description": description,
        "targets": [target],
        "gridPos": {"w": 12, "h": 8},
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "min": 0,
                "noValue": nothing,
                "color": {"mode": "thresholds" if thresholds else "palette-classic"},
                "thresholds": thresholds or steps((None, GREEN)),
            },
            "overrides": [] if thresholds else by_tool,
        },
        "options": {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "orientation": "horizontal",
            "displayMode": "basic",
            "valueMode": "text",
            "showUnfilled": True,
        },
    }


def _mapped(texts: Mapping[str, tuple[str, str]]) -> list[Panel]:
    options = {
        value: {"text": text, "color": color, "index": i}
        for i, (value, (text, color)) in enumerate(texts.items())
    }
    return [{"type": "value", "options": options}] if options else []


def _colored(queries: Iterable[Panel]) -> list[Panel]:
    legends = {target["legendFormat"] for target in queries}
    return [
        _override(name, {"color": _fixed(color)})
        for label, colors in _COLORS.items()
        if f"{{{{{label}}}}}" in legends
        for name, color in colors.items()
    ]


def _fixed(color: str) -> Panel:
    return {"mode": "fixed", "fixedColor": color}


def _override(name: str, properties: Mapping[str, Any], *, by: str = "byName") -> Panel:
    return {
        "matcher": {"id": by, "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties.items()],
    }
