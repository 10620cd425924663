"""Locust's own page: its statistics and forms, and what we add to them.

Its numbers are a view of ours, never a source. Once an interval the latencies since the last one
are merged into Locust's entries, as it merges a worker's report; a `request` event for each write
would cost a sixth of the write itself.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import argparse
import json
import math
import time
from collections.abc import Callable, Collection, Mapping
from importlib.resources import files
from typing import Final, cast

from flask import Flask, Response, jsonify, request
from locust.runners import STATE_SPAWNING
from locust.stats import RequestStats, StatsEntry, StatsError
from locust.util.timespan import parse_timespan
from locust.web import WebUI

from loadgen.config.settings import Settings
from loadgen.errors import PlaygroundError, SettingsError
from loadgen.load.options import checked_change
from loadgen.web_access import AccessControl
from loadgen.workload.histogram import Histogram, upper_edge
from loadgen.workload.model import Operation
from loadgen.workload.operations import rate_of

METHOD = "SQL"
# Locust keeps an entry a second for ever, but reads only the last 12 seconds.
_HISTORY_SECONDS = 60
# A chart point every 5 s, all embedded in the page: the last ten minutes stay whole, older points
# are thinned by half each time there are too many.
_MOST_POINTS, _WHOLE_POINTS = 240, 120
# The form's fields beside the rates.
_FIELDS = {"user_count", "spawn_rate", "run_time", "host", "profile", "load_profile"}
_MOST_USERS = 10_000
_LONGEST_RUN_SECONDS = 10 * 366 * 86_400
# What we add to the page, served below /loadgen.
_ASSETS: Final = {
    "page.js": "text/javascript",
    "load_tab.js": "text/javascript",
    "page.css": "text/css",
}
# Thirty-five writes a second, as in `loadgen demo`: enough to see each chart move. So few soft
# deletes that two days of them leave a user of the default baseline.
DEMO_MIX: Final = {
    "insert_order": 36_000.0,
    "insert_event": 72_000.0,
    "update_order_status": 18_000.0,
    "soft_delete_user": 20.0,
}
_DEMO_PER_HOUR: Final = 126_000


def feed(
    stats: RequestStats,
    service: Mapping[str, Histogram],
    failures: Mapping[tuple[str, str], int],
) -> None:
    """Add an interval's committed latencies and failures to Locust's statistics."""
    for operation, histogram in service.items():
        states = {state: n for (name, state), n in failures.items() if name == operation and n}
        if not histogram.counts and not states:
            stats.get(operation, METHOD)  # so that the page lists all operations from the start
            continue
        part = _entry(stats, operation, histogram, sum(states.values()))
        stats.get(operation, METHOD).extend(part)
        stats.total.extend(part)
        for state, n in states.items():
            error = f"SQLSTATE {state}"
            key = StatsError.create_key(METHOD, operation, error)
            stats.errors.setdefault(key, StatsError(METHOD, operation, error)).occurrences += n


def prune(stats: RequestStats) -> None:
    """Delete the entries by second that Locust never reads again."""
    oldest = int(time.time()) - _HISTORY_SECONDS
    for entry in (stats.total, *stats.entries.values()):
        for per_second in (entry.num_reqs_per_sec, entry.num_fail_per_sec):
            for second in [s for s in per_second if s < oldest]:
                del per_second[second]
    if len(stats.history) > _MOST_POINTS:
        stats.history[:-_WHOLE_POINTS] = stats.history[:-_WHOLE_POINTS:2]


def protect(app: Flask, settings: Settings, base: str) -> None:
    """Let only people on this machine, or with the token, use the page."""
    app.wsgi_app = AccessControl(  # type: ignore[method-assign]  # as Flask's documentation does
        app.wsgi_app, settings, f"{base}/login"
    )


def guard(
    app: Flask,
    operations: Mapping[str, Operation],
    host: str,
    take_edits: Callable[[], str],
    base: str = "",
) -> None:
    """Check every form whole before Locust applies any part, and show its effect.

    `host` is the source as the form shows it. `take_edits` applies the changes of a form, and
    returns how many processes acknowledged them; `base` is the path below which the page is.
    """

    @app.before_request
    def refuse() -> tuple[Response, int] | Response | None:
        if request.method == "POST" and request.path.endswith("/user"):
            return jsonify({"error": "this load has only one kind of user"}), 404
        return _refuse_bad_form(rate_fields, host)

    rate_fields = _rate_settings(operations)
    tags = (
        f'<link rel="stylesheet" href="{base}/loadgen/page.css">'
        f'<script src="{base}/loadgen/page.js"></script>'
        f'<script src="{base}/loadgen/load_tab.js"></script>'
    )
    package = files("loadgen.load")
    texts = {name: package.joinpath(name).read_text(encoding="utf-8") for name in _ASSETS}

    @app.get(f"{base}/loadgen/<any({','.join(map(repr, _ASSETS))}):name>")
    def asset(name: str) -> Response:
        return Response(texts[name], mimetype=_ASSETS[name])

    @app.after_request
    def show_effect(response: Response) -> Response:
        if _is_form() and response.is_json and response.get_json()["success"]:
            try:
                applied = take_edits()
            except PlaygroundError as exc:
                response.set_data(json.dumps({"success": False, "message": str(exc)}))
                return response
            if applied:
                answer = {**response.get_json(), "message": f"Change applied by {applied}"}
                response.set_data(json.dumps(answer))
        elif request.path == f"{base}/" and response.mimetype == "text/html":
            response.direct_passthrough = False
            html = response.get_data(as_text=True)
            response.set_data(html.replace("<head>", f"<head>\n    {tags}", 1))
        return response


def show_current_rates(
    web_ui: WebUI, options: argparse.Namespace, operations: Mapping[str, Operation]
) -> None:
    """Let the page's forms show the current rates: Locust fills in those of the launch.

    An open page gets them with its statistics. A field's help is short: a phone shows it too.
    """
    helps = {operation.option: name for name, operation in operations.items()}
    helps["load_profile"] = "how the rates rise and fall"
    update = web_ui.update_template_args

    def current() -> dict[str, object]:
        return {name: getattr(options, name) for name in helps}

    def update_and_correct() -> None:
        update()  # type: ignore[no-untyped-call]  # Locust's, not ours
        for name, setting in current().items():
            field = web_ui.template_args["extra_options"][name]
            field["default_value"], field["help_text"] = setting, helps[name]

    web_ui.update_template_args = update_and_correct  # type: ignore[method-assign]
    if web_ui.app is None:
        return

    @web_ui.app.after_request
    def add_rates(response: Response) -> Response:
        if request.path.endswith("/stats/requests") and response.is_json:
            response.set_data(json.dumps({**response.get_json(), "current_settings": current()}))
        return response


def show_starts(app: Flask, is_starting: Callable[[], bool]) -> None:
    """Tell the page that a run is spawning while it is being opened.

    Locust says that it is ready, at which the page goes back to the form, and stays there.
    """

    @app.after_request
    def tell(response: Response) -> Response:
        if request.path.endswith("/stats/requests") and response.is_json and is_starting():
            report = {**response.get_json(), "state": STATE_SPAWNING}
            response.set_data(json.dumps(report))
        return response


def offer_mixes(web_ui: WebUI, settings: Settings, operations: Mapping[str, Operation]) -> None:
    """Let the form offer the demo mix and the settings' rates, each with a click.

    The fields of the first form begin with the demo mix if the rates are the built-in ones, a
    write in half a minute, and the source is our own server, where writes cost nothing.
    """
    configured = {of.option: rate_of(settings, of) for of in operations.values()}
    built_in = {of.option: of.per_hour for of in operations.values()}
    demo = _demo_rates(operations)
    web_ui.template_args["loadgen"] = {
        "mixes": [
            {"title": "Demo mix", "rates": demo},
            {"title": "Rates of the settings", "rates": configured},
        ],
        "begin_with_demo": settings.database_url is None and configured == built_in,
    }


def add_load_tab(web_ui: WebUI) -> None:
    """Add our tab, which `load_tab.js` fills: Locust's own tables lack targets and counters."""
    web_ui.template_args["extended_tabs"] = [{"title": "Load", "key": "load"}]


def _demo_rates(operations: Mapping[str, Operation]) -> dict[str, float]:
    """Return 35 writes a second: the shop's mix, or the model's rates in their proportion."""
    if operations.keys() == DEMO_MIX.keys():
        return {of.option: DEMO_MIX[name] for name, of in operations.items()}
    total = sum(of.per_hour for of in operations.values())
    scale = _DEMO_PER_HOUR / total if total else 0.0
    return {of.option: float(f"{of.per_hour * scale:.3g}") for of in operations.values()}


def _rate_settings(operations: Mapping[str, Operation]) -> list[str]:
    return [operation.option for operation in operations.values()]


def _refuse_bad_form(rate_fields: Collection[str], host: str) -> Response | None:
    """Check a posted form whole before Locust applies any of it field by field."""
    if not _is_form():
        return None
    try:
        _check_form(request.form, rate_fields, host)
    except SettingsError as exc:
        return jsonify({"success": False, "message": str(exc), "host": request.form.get("host")})
    return None


def _is_form() -> bool:
    return request.method == "POST" and request.path.endswith("/swarm")


def _check_form(form: Mapping[str, str], rate_fields: Collection[str], host: str) -> None:
    """Raise SettingsError if a field is not in the form, or its value is not allowed.

    Locust would set any option of its command line that a request names.
    """
    if unknown := sorted(form.keys() - _FIELDS - {*rate_fields}):
        raise SettingsError(
            f"{unknown[0]!r:.60} is no field of this form: post only its own fields"
        )
    rates = {name: rate for name, rate in form.items() if name in rate_fields}
    checked_change(rates, form.get("load_profile"), given_by="form")
    for field, title, is_allowed, requirement in (
        ("user_count", "Number of users", _is_count, f"a whole number from 1 to {_MOST_USERS}"),
        ("spawn_rate", "Ramp up", _is_rate, "a number above 0"),
        ("run_time", "Run time", _is_run_time, "1 second or more, as 20s, 3m or 1h20m"),
        ("host", "Host", {"", host}.__contains__, f"{host}: DATABASE_URL names the source"),
        ("profile", "Profile", "".__eq__, "empty: Load Profile sets how the rates rise and fall"),
    ):
        text = form.get(field, "")
        if not is_allowed(text):
            raise SettingsError(f"{title} is {text!r:.60}: it must be {requirement}")


def _is_count(text: str) -> bool:
    return text.isdecimal() and len(text) < 10 and 1 <= int(text) <= _MOST_USERS


def _is_rate(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _is_run_time(text: str) -> bool:
    """Tell whether Locust reads a text as a run time; an empty one means the setting's."""
    try:
        return not text or 0 < parse_timespan(text) <= _LONGEST_RUN_SECONDS
    except (ValueError, OverflowError):
        return False


def _entry(stats: RequestStats, operation: str, histogram: Histogram, failed: int) -> StatsEntry:
    now = time.time()
    entry = StatsEntry(stats, operation, METHOD)
    entry.num_requests = histogram.count() + failed
    entry.num_none_requests = failed  # a failure has no latency here
    entry.num_failures = failed
    # Locust annotates whole milliseconds but adds, compares and prints floats just as well.
    entry.total_response_time = cast("int", histogram.total * 1000)
    entry.last_request_timestamp = now
    entry.num_reqs_per_sec[int(now)] = entry.num_requests
    if failed:
        entry.num_fail_per_sec[int(now)] = failed
    for bucket, n in histogram.counts.items():
        # To two digits, so that a write of 0.3 ms is not shown as 0 and keys stay few.
        rounded = cast("int", float(f"{upper_edge(bucket) * 1000:.2g}"))
        entry.response_times[rounded] = entry.response_times.get(rounded, 0) + n
    if histogram.counts:
        entry.max_response_time = cast("int", histogram.maximum * 1000)
        entry.min_response_time = min(entry.response_times)
    return entry
