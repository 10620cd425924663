"""Queries of the dashboards: PromQL as Grafana sends it, with its variables."""

from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def of_run(expression: str) -> str:
    """Return a load's expression that has values only during the chosen run."""
    return f'({expression}) and on() loadgen_run_info{{profile!="",run_id=~"$run"}}'


def newest_run(labels: str) -> str:
    """Return an expression for the last run in the time range, ended or not."""
    # Not timestamp(): over 48 hours that takes Prometheus seconds instead of milliseconds.
    seen = f"max_over_time((time() * loadgen_run_info{{{labels}}})[$__range:5s])"
    return f"topk(1, max by (run_id, profile) ({seen}))"


def query(
    expression: str, legend: str = "", *, instant: bool = False, kind: str = ""
) -> dict[str, Any]:
    """Return a query with the name of its series; `kind` is table or heatmap."""
    target: dict[str, Any] = {
        "datasource": SOURCE,
        "expr": expression,
        "legendFormat": legend or "__auto",
    }
    target["format"] = kind or "time_series"
    return target | ({"instant": True, "range": False} if instant else {"range": True})
