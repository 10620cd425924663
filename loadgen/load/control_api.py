"""The control door: a running load's state and levers over HTTP, JSON in and out.

The same routes are on the metrics port and on Locust's own page. A request is checked whole before
any of it is applied; what is refused says so in one line, `{"error": …}`.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeGuard

from flask import Blueprint, Flask, Response, jsonify, request

from loadgen.config.settings import load_settings
from loadgen.errors import JournalFullError, SettingsError, suggest
from loadgen.load.journal import LARGEST_ENTRY, OWN
from loadgen.load.run import Run
from loadgen.untrusted import parse_json
from loadgen.workload.operations import OPERATIONS, RATE_SETTINGS
from loadgen.workload.schedule.rate_curve import ProfileName

PREFIX = "/loadgen"
_RESERVED = {"at", "kind"}
_LONGEST_WORD = 64  # characters of a kind, or of who asks


class _Refused(Exception):  # noqa: N818 - an answer, not an error of ours
    """A request that can't be done: the HTTP status and the line that says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def make_door(run: Callable[[], Run | None], base: str = "") -> Blueprint:
    """Return the routes below `base`; `run` gives the test that is going on, or was last, or None.

    Who may use them is `web_access`'s business.
    """
    door = Blueprint("loadgen", __name__, url_prefix=f"{base}{PREFIX}")

    @door.errorhandler(_Refused)
    def refuse(exc: _Refused) -> tuple[Response, int]:
        return jsonify({"error": str(exc)}), exc.status

    @door.get("/rates")
    def state() -> Response:
        return jsonify(status(run()))

    def pull(lever: Callable[[Run, dict[str, Any]], None]) -> Callable[[], Response]:
        def view() -> Response:
            body = _body()
            going_on = _going_on(run())
            try:
                lever(going_on, body)
            except JournalFullError as exc:
                raise _Refused(429, str(exc)) from exc
            return jsonify(status(going_on))

        return view

    for name, lever in _LEVERS.items():
        door.add_url_rule(f"/{name}", f"post_{name}", pull(lever), methods=["POST"])
    return door


def _change(run: Run, body: Mapping[str, object]) -> None:
    rates, profile = _checked(_named(body.get("rates_per_hour", {})), body.get("profile"))
    run.change(rates, profile, by=_by(body))


def _pause(run: Run, body: Mapping[str, object]) -> None:
    reason = body.get("reason", "asked for")
    if not isinstance(reason, str) or not reason.strip():
        raise _Refused(400, "reason has to be a text")
    _require_plain({"reason": reason})
    run.controller.live_changes.pause(reason, by=_by(body))


def _resume(run: Run, body: Mapping[str, object]) -> None:
    run.controller.live_changes.resume(by=_by(body))


def _journal(run: Run, body: Mapping[str, object]) -> None:
    details = dict(body)
    kind = details.pop("kind", None)
    if not _is_word(kind):
        raise _Refused(400, "kind has to be a word, such as slot_lost")
    if kind in OWN:
        raise _Refused(400, f"{kind} is a kind that the load alone writes: name yours otherwise")
    if taken := _RESERVED & set(details):
        raise _Refused(400, f"{', '.join(sorted(taken))}: written by the journal itself")
    _require_plain(details)
    run.controller.post(kind, details)


def _require_plain(details: Mapping[str, object]) -> None:
    """Refuse what would make the run's record large."""
    for name, value in details.items():
        if not isinstance(value, str | int | float | None):
            raise _Refused(400, f"{name[:_LONGEST_WORD]!r} has to be a text, a number or null")
    if (size := len(json.dumps(details, ensure_ascii=False).encode())) > LARGEST_ENTRY:
        raise _Refused(413, f"an entry has at most {LARGEST_ENTRY:,} bytes, this one {size:,}")


_LEVERS: Final = {"rates": _change, "pause": _pause, "resume": _resume, "journal": _journal}


def keep_order(app: Flask) -> None:
    """Have JSON, and Locust's page, name operations and rates in their own order."""
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's default provider
    app.jinja_env.policies["json.dumps_kwargs"] = {"sort_keys": False}


def status(run: Run | None) -> dict[str, object]:
    """Return what a load does at this moment, as plain values."""
    if run is None or run.outcome is not None:
        last = run.controller.plan.run_id if run is not None else None
        return {"run_id": None, "last_run_id": last, "state": "idle"}
    controller = run.controller
    live_changes, swarm, latest = controller.live_changes, controller.swarm, controller.latest
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
                "offered": counts[name].offered,
                "committed": counts[name].committed,
                "failed": counts[name].failed,
                "skipped": counts[name].skipped,
                "unknown": counts[name].unknown,
                "in_flight": counts[name].in_flight,
                "service_p95": latest[name].service_p95 if name in latest else None,
                "intended_p95": latest[name].intended_p95 if name in latest else None,
            }
            for name in OPERATIONS
        },
    }


def _body() -> dict[str, Any]:
    """Return the JSON object that was posted, its texts printable."""
    try:
        body = parse_json(request.get_data()) if request.is_json else None
    except (ValueError, RecursionError):  # thousands of brackets, too
        body = None
    if not isinstance(body, dict):
        raise _Refused(400, "post a JSON object, with Content-Type: application/json")
    return body


def _going_on(run: Run | None) -> Run:
    if run is None or run.finishing or run.outcome is not None:
        raise _Refused(409, "no run is going on: start one, then ask again")
    return run


def _named(rates: object) -> Mapping[str, object]:
    if not isinstance(rates, Mapping):
        raise _Refused(400, "rates_per_hour has to be an object, {operation: rate per hour}")
    for name in rates:
        if name not in OPERATIONS:
            hint = suggest(str(name), OPERATIONS)
            raise _Refused(400, f"no operation is called {name!r}: {hint}")
    return rates


def _checked(
    rates: Mapping[str, object], profile: object
) -> tuple[dict[str, float], ProfileName | None]:
    """Return the values, checked as the settings that they are."""
    given = {RATE_SETTINGS[name]: str(rate) for name, rate in rates.items()}
    try:
        settings = load_settings({**given, "profile": profile}, given_by="request")
    except SettingsError as exc:
        raise _Refused(400, str(exc).replace("\n", "; ")) from exc
    found = {name: float(getattr(settings, RATE_SETTINGS[name])) for name in rates}
    return found, settings.profile if profile is not None else None


def _by(body: Mapping[str, object]) -> str:
    by = body.get("by", "http")
    if not _is_word(by):
        raise _Refused(400, "by has to be a word, such as cli or watch")
    return by


def _is_word(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value.isidentifier() and len(value) <= _LONGEST_WORD
