"""A tab on Locust's page: for each operation what is asked, offered and done, and who applied it.

Locust's own tables know requests and failures; a load is judged by target, offered and skipped.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from flask import Response, request
from locust.web import WebUI

_KEY: Final = "load"
_COLUMNS: Final = {
    "operation": "Operation",
    "target": "Target/s",
    "offered": "Offered",
    "committed": "Committed",
    "failed": "Failed",
    "skipped": "Skipped",
    "unknown": "Unknown",
    "inFlight": "In flight",
    "serviceP95": "Service p95 (ms)",
    "intendedP95": "Intended p95 (ms)",
    "applied": "Last change",
}


def add(web_ui: WebUI, status: Callable[[], Mapping[str, Any]]) -> None:
    """Add the tab; `status` is asked each time the page asks for its statistics."""
    app = web_ui.app
    if app is None:
        return
    structure = [{"key": key, "title": title} for key, title in _COLUMNS.items()]
    web_ui.template_args["extended_tabs"] = [{"title": "Load", "key": _KEY}]
    web_ui.template_args["extended_tables"] = [{"key": _KEY, "structure": structure}]

    @app.after_request
    def extend(response: Response) -> Response:
        if request.path.endswith("/stats/requests") and response.is_json:
            found = dict(response.get_json()) | {
                "extended_stats": [{"key": _KEY, "data": rows(status())}]
            }
            response.set_data(json.dumps(found))
        return response


def rows(status: Mapping[str, Any]) -> list[dict[str, object]]:
    """Return the tab's rows, one an operation; none before the first run."""
    applied = status.get("applied_by")
    last = f"applied by {applied}" if applied else "none"
    if status["state"] == "paused":
        last = f"paused: {status['reason']} ({last})"
    return [
        {
            "operation": name,
            "target": float(f"{found['target']:.3g}"),
            "offered": found["offered"],
            "committed": found["committed"],
            "failed": found["failed"],
            "skipped": found["skipped"],
            "unknown": found["unknown"],
            "inFlight": found["in_flight"],
            "serviceP95": _milliseconds(found["service_p95"]),
            "intendedP95": _milliseconds(found["intended_p95"]),
            "applied": last,
        }
        for name, found in status.get("operations", {}).items()
    ]


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f}"
