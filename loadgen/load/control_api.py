"""The control API: a running load's state and its changes over HTTP, JSON in and out.

The same routes are on the metrics port and on Locust's own page. A request is checked whole before
any of it is applied; a refusal is one line, `{"error": …}`.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import json
from collections.abc import Callable, Mapping
from typing import Final, TypeGuard

from flask import Blueprint, Flask, Response, jsonify, request

from loadgen.errors import JournalFullError, SettingsError, suggest
from loadgen.load.journal import LARGEST_ENTRY, OWN
from loadgen.load.options import checked_change
from loadgen.load.run import LoadTest
from loadgen.untrusted import parse_json
from loadgen.workload.model import Operation
from loadgen.workload.operations import rate_of
from loadgen.workload.schedule.rate_curve import ProfileName

PREFIX = "/loadgen"
_RESERVED = {"at", "kind"}
_LONGEST_WORD = 64  # characters of a kind, or of who posts


class _Refused(Exception):  # noqa: N818 - an answer, not an error of ours
    """A request that is refused: the HTTP status and the line that says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def control_api(run: Callable[[], LoadTest | None], base: str = "") -> Blueprint:
    """Return the routes below `base`; `run` returns the current or the last test, or None.

    `web_access` decides who may use them.
    """
    api = Blueprint("loadgen", __name__, url_prefix=f"{base}{PREFIX}")

    @api.errorhandler(_Refused)
    def refuse(exc: _Refused) -> tuple[Response, int]:
        return jsonify({"error": str(exc)}), exc.status

    @api.get("/rates")
    def state() -> Response:
        return jsonify(status(run()))

    def view_of(action: Callable[[LoadTest, Mapping[str, object]], None]) -> Callable[[], Response]:
        def view() -> Response:
            body, current = _posted_object(), run()
            if current is None or current.finishing or current.outcome is not None:
                raise _Refused(409, "no run is under way: start one, then try again")
            try:
                action(current, body)
            except JournalFullError as exc:
                raise _Refused(429, str(exc)) from exc
            except SettingsError as exc:
                raise _Refused(400, str(exc)) from exc
            return jsonify(status(current))

        return view

    for name, action in _ACTIONS.items():
        api.add_url_rule(f"/{name}", f"post_{name}", view_of(action), methods=["POST"])
    return api


def _change(run: LoadTest, body: Mapping[str, object]) -> None:
    rates, operations = body.get("rates_per_hour", {}), run.controller.operations
    if not isinstance(rates, Mapping):
        raise _Refused(400, "rates_per_hour has to be an object, {operation: rate per hour}")
    for name in rates:
        if name not in operations:
            hint = suggest(str(name), operations)
            raise _Refused(400, f"no operation is called {name!r}: {hint}")
    checked_rates, profile = _checked(operations, rates, body.get("profile"))
    run.change(checked_rates, profile, by=_by(body))


def _pause(run: LoadTest, body: Mapping[str, object]) -> None:
    reason = body.get("reason", "asked for")
    if not isinstance(reason, str) or not reason.strip():
        raise _Refused(400, "reason has to be a text")
    _require_small_entry({"reason": reason})
    run.controller.live_changes.pause(reason, by=_by(body))


def _resume(run: LoadTest, body: Mapping[str, object]) -> None:
    run.controller.live_changes.resume(by=_by(body))


def _journal(run: LoadTest, body: Mapping[str, object]) -> None:
    details = dict(body)
    kind = details.pop("kind", None)
    if not _is_word(kind):
        raise _Refused(400, "kind has to be a word, such as slot_lost")
    if kind in OWN:
        raise _Refused(400, f"{kind} is a kind that the load alone writes: choose another name")
    if reserved := _RESERVED & set(details):
        raise _Refused(400, f"{', '.join(sorted(reserved))}: written by the journal itself")
    _require_small_entry(details)
    run.controller.sampler.journal.post(kind, details)


def _require_small_entry(details: Mapping[str, object]) -> None:
    """Refuse an entry that would make the run's record large."""
    for name, detail in details.items():
        if not isinstance(detail, str | int | float | None):
            raise _Refused(400, f"{name[:_LONGEST_WORD]!r} has to be a text, a number or null")
    if (size := len(json.dumps(details, ensure_ascii=False).encode())) > LARGEST_ENTRY:
        raise _Refused(413, f"an entry has at most {LARGEST_ENTRY:,} bytes, this one {size:,}")


_ACTIONS: Final = {"rates": _change, "pause": _pause, "resume": _resume, "journal": _journal}


def keep_order(app: Flask) -> None:
    """Have JSON, and Locust's page, list operations and rates in their own order."""
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's default provider
    app.jinja_env.policies["json.dumps_kwargs"] = {"sort_keys": False}


def status(run: LoadTest | None) -> dict[str, object]:
    """Return the load's state of this moment, as plain values."""
    if run is None or run.outcome is not None:
        last = run.controller.plan.run_id if run is not None else None
        return {"run_id": None, "last_run_id": last, "state": "idle"}
    controller = run.controller
    live_changes, swarm, rows = controller.live_changes, controller.swarm, controller.sampler.rows
    counts, targets = swarm.counts(), swarm.target_rates()
    paused = live_changes.paused
    return {
        "run_id": controller.plan.run_id,
        "state": "finishing" if run.finishing else "paused" if paused else "running",
        "profile": live_changes.profile,
        "rates_per_hour": dict(live_changes.mix.rates_per_hour),
        "applied_by": live_changes.applied_by,
        "reason": paused.reason if paused else None,
        "seconds": max(0.0, round(swarm.elapsed(), 3)),
        "duration_seconds": controller.plan.duration,
        "operations": {
            name: {
                "target": targets[name],
                "offered": counted.offered,
                "committed": counted.committed,
                "failed": counted.failed,
                "skipped": counted.skipped,
                "unknown": counted.unknown,
                "in_flight": counted.in_flight,
                "service_p95": rows[name].service_p95 if name in rows else None,
                "intended_p95": rows[name].intended_p95 if name in rows else None,
            }
            for name, counted in counts.items()
        },
    }


def _posted_object() -> dict[str, object]:
    """Return the JSON object that was posted, its texts printable."""
    try:
        body = parse_json(request.get_data()) if request.is_json else None
    except (ValueError, RecursionError):  # also thousands of brackets
        body = None
    if not isinstance(body, dict):
        raise _Refused(400, "post a JSON object, with Content-Type: application/json")
    return body


def _checked(
    operations: Mapping[str, Operation], rates: Mapping[str, object], profile: object
) -> tuple[dict[str, float], ProfileName | None]:
    """Return the values, checked as the settings that they are."""
    by_setting = {operations[name].option: str(rate) for name, rate in rates.items()}
    try:
        settings = checked_change(by_setting, profile, given_by="request")
    except SettingsError as exc:
        raise _Refused(400, str(exc).replace("\n", "; ")) from exc
    checked_rates = {name: rate_of(settings, operations[name]) for name in rates}
    return checked_rates, settings.profile if profile is not None else None


def _by(body: Mapping[str, object]) -> str:
    by = body.get("by", "http")
    if not _is_word(by):
        raise _Refused(400, "by has to be a word, such as cli or watch")
    return by


def _is_word(text: object) -> TypeGuard[str]:
    return isinstance(text, str) and text.isidentifier() and len(text) <= _LONGEST_WORD
