"""Our tab on Locust's page: each operation's counters, the rates over time, and the run's record.

It shows the current run, and after its end the last one, whose figures are then final.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import html
from collections.abc import Callable
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, abort, jsonify, send_file
from flask.typing import ResponseReturnValue

from loadgen.load.run import LoadTest
from loadgen.text import milliseconds, quantity

REPORT: Final = "report.html"
# The columns of the tab: key, title, and its explanation.
COLUMNS: Final = (
    ("operation", "Operation", "one kind of write; its rate is a field of the form"),
    (
        "target",
        "Target/s",
        "writes a second that the rates call for; after the end, their average",
    ),
    ("offered", "Offered", "writes that fell due so far"),
    ("committed", "Committed", "writes that Postgres has confirmed"),
    ("failed", "Failed", "writes that Postgres refused; the Failures tab has the SQLSTATE"),
    ("skipped", "Skipped", "writes that no connection could take in time; they are not made up"),
    ("unknown", "Unknown", "writes whose answer was lost; the load looks them up"),
    ("inFlight", "In flight", "writes that wait for a connection or for their answer"),
    ("serviceP95", "Service p95 (ms)", "95% of the writes took at most this long from sending"),
    (
        "intendedP95",
        "Intended p95 (ms)",
        "the same from the moment the write was due, so with the wait for a connection",
    ),
)


def load_tab(run: Callable[[], LoadTest | None], base: str = "") -> Blueprint:
    """Return the tab's routes below `base`; `run` returns the current or the last test, or None."""
    tab = Blueprint("load_tab", __name__, url_prefix=f"{base}/loadgen")

    @tab.get("/tab")
    def state() -> Response:
        current = run()
        return jsonify({"state": "idle"} if current is None else tab_state(current))

    @tab.get("/record/<run_id>/")
    def record(run_id: str) -> str:
        folder = folder_of(run_id)
        links = [
            f'<li><a href="{name}">{name}</a></li>' for name in map(html.escape, _files(folder))
        ]
        return _FOLDER_PAGE.format(path=html.escape(str(folder)), links="\n".join(links))

    @tab.get("/record/<run_id>/<name>")
    def file(run_id: str, name: str) -> ResponseReturnValue:
        folder = folder_of(run_id)
        if name not in _files(folder):
            abort(404)
        is_page = name.endswith((".html", ".svg"))
        return send_file(
            folder.absolute() / name, mimetype=None if is_page else "text/plain", max_age=0
        )

    def folder_of(run_id: str) -> Path:
        """Return the folder of the run on the tab; other runs are not served."""
        current = run()
        if current is None or current.controller.plan.run_id != run_id:
            abort(404)
        return current.controller.record.path

    return tab


def tab_state(run: LoadTest) -> dict[str, object]:
    """Return what the tab shows of a run, as plain values."""
    controller, outcome = run.controller, run.outcome
    live_changes, plan = controller.live_changes, controller.plan
    paused, path, changed = live_changes.paused, controller.record.path, live_changes.applied_by
    rates = run.rate_history.rates()
    verdict = str(outcome.verdict) if outcome else ""
    if run.ended:
        state, verdict = "ended", verdict or "its record could not be closed: see the terminal"
    elif run.finishing:
        state = "finishing"
    else:
        state = "paused" if paused else "running"
    return {
        "state": state,
        "run_id": plan.run_id,
        "profile": live_changes.profile,
        "seconds": outcome.seconds if outcome else max(0.0, round(controller.swarm.elapsed(), 3)),
        "duration_seconds": plan.duration,
        "paused_by": f"{paused.by}: {paused.reason}" if paused and not outcome else "",
        "last_change": f"applied by {changed}" if changed else "none",
        "verdict": verdict,
        "reasons": outcome.verdict.reasons if outcome else [],
        "columns": [{"key": key, "title": title, "help": text} for key, title, text in COLUMNS],
        "operations": _operations(run),
        "rates": [[float(f"{figure:.4g}") for figure in point] for point in rates],
        "folder": str(path),
        "report": (path / REPORT).is_file(),
    }


def _operations(run: LoadTest) -> list[dict[str, object]]:
    """Return the table's rows. After the end, rates and latencies are those of the whole run."""
    controller, outcome = run.controller, run.outcome
    counts, rows = controller.swarm.counts(), controller.sampler.rows
    targets = controller.swarm.target_rates()
    shown = []
    for name, counted in counts.items():
        target, row = targets[name], rows.get(name)
        service, intended = (row.service_p95, row.intended_p95) if row else (None, None)
        if outcome is not None:
            target = outcome.planned[name] / outcome.seconds if outcome.seconds else 0.0
            latency = outcome.latency[name]
            service, intended = latency["service"]["p95"], latency["intended"]["p95"]
        shown.append(
            {
                "operation": name,
                "target": quantity(target),
                "offered": counted.offered,
                "committed": counted.committed,
                "failed": counted.failed,
                "skipped": counted.skipped,
                "unknown": counted.unknown,
                "inFlight": counted.in_flight,
                "serviceP95": milliseconds(service),
                "intendedP95": milliseconds(intended),
            }
        )
    return shown


def _files(folder: Path) -> list[str]:
    """Return the names of a record's files; links to elsewhere are left out."""
    return sorted(
        path.name for path in folder.iterdir() if path.is_file() and not path.is_symlink()
    )


_FOLDER_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Run record</title>
<style>
  :root {{ color-scheme: light dark; font: 16px/1.5 Roboto, Helvetica, Arial, sans-serif; }}
  body {{ max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }}
  code {{ overflow-wrap: anywhere; }}
</style>
<h1>Run record</h1>
<p>On the load's machine: <code>{path}</code></p>
<ul>
{links}
</ul>
</html>
"""
