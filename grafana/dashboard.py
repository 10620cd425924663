"""The frame of a dashboard: variables, journal entries, links to the other dashboards."""

from collections.abc import Iterable, Sequence
from typing import Any

from grafana.layout import Row, laid_out
from grafana.queries import SOURCE

_TITLES = {"load": "Load", "source": "Source and slots", "tools": "Tools"}
# Journal entries since the previous point, at any distance that Grafana chooses for a long range.
# A new kind starts at its first entry, and a load that has ended since still counts.
_ENTRIES = "loadgen_journal_events_total"
_NOW = f"({_ENTRIES} or last_over_time({_ENTRIES}[$__interval]))"
_BEFORE = f"{_ENTRIES} offset $__interval"
_JOURNAL = f"sum by (kind) (({_NOW} - {_BEFORE}) > 0 or {_NOW} unless {_BEFORE})"


def variable(name: str, label: str, expression: str, text: str) -> dict[str, Any]:
    """Return a variable with the values of a label; the user chooses one, several or all."""
    return {
        "name": name,
        "label": label,
        "description": text,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": expression, "refId": f"variable-{name}"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "hide": 0,
        "skipUrlSync": False,
        "options": [],
    }


RUN = variable(
    "run", "Run", 'label_values(loadgen_run_info{profile!=""}, run_id)', "runs of the load"
)
OPERATION = variable(
    "operation",
    "Operation",
    "label_values(loadgen_target_rate, operation)",
    "operations of the load",
)
TOOL = variable("tool", "Tool", "label_values(loadgen_destination_up, tool)", "tools under test")


def dashboard(
    name: str, description: str, variables: Sequence[dict[str, Any]], rows: Iterable[Row]
) -> dict[str, Any]:
    """Return the dashboard `name` in the format of Grafana's files."""
    return {
        "uid": f"loadgen-{name}",
        "title": f"SimplyLoad Playground: {_TITLES[name]}",
        "description": description,
        "tags": ["simplyload-playground"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": "now-15m", "to": "now"},
        "refresh": "5s",
        "fiscalYearStartMonth": 0,
        "templating": {"list": [_datasource(), *variables]},
        "annotations": {"list": [_journal()]},
        "links": [_link(other) for other in _TITLES if other != name],
        "panels": laid_out(rows),
    }


def _datasource() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "prometheus"},
        "hide": 0,
        "refresh": 1,
        "skipUrlSync": False,
        "multi": False,
        "includeAll": False,
        "options": [],
    }


def _journal() -> dict[str, Any]:
    return {
        "name": "Journal",
        "enable": True,
        "datasource": SOURCE,
        "iconColor": "orange",
        "expr": _JOURNAL,
        "step": "10s",
        "titleFormat": "{{kind}}",
        "textFormat": "an entry of the run's journal",
    }


def _link(other: str) -> dict[str, Any]:
    return {
        "title": _TITLES[other],
        "type": "link",
        "icon": "dashboard",
        "tooltip": f"the same time on the dashboard {_TITLES[other]}",
        "url": f"/d/loadgen-{other}",
        "tags": [],
        "asDropdown": False,
        "targetBlank": False,
        "includeVars": True,
        "keepTime": True,
    }
