"""The report's tables about the load, one function each; report.html and report.md show the same.

Pure.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import psycopg.errors

from loadgen import text
from loadgen.record.run import JournalEvent, Latency, Run, TableGrowth
from loadgen.record.verdict import Judgement
from loadgen.report.analysis.impact import FIGURES, Impact, against
from loadgen.report.analysis.run import Facts, OperationSummary, shown_events
from loadgen.report.analysis.verdict import limit_text
from loadgen.report.charts.load import rate_unit
from loadgen.text import NOTHING, Column, Table

_QUANTILES = ("p50", "p95", "p99", "max")
_SHOWN_SETTINGS = ("lateness_limit_seconds", "max_rate_per_hour", "pipeline_depth")
_SHOPS = ("shop", "shop_transfers")
_SETTINGS_OF_SHOP = (
    "initial_users", "initial_orders", "initial_events", "event_bytes", "hot_users",
)  # fmt: skip
_LIMIT_RESULTS = {"pass": "passed", "missed": "MISSED", "not judged": "not judged"}

# What the load means by a code whose name in Postgres says less.
_OWN_MEANING = {
    "02000": "no row was left that it could change",
    "08001": "the source could not be reached",
    "08006": "connection lost, and the write is not in the source",
    "40P01": "deadlock detected",
    "53000": "more would have been open at once than the load holds open",
}
_CAPITALS = re.compile(r"(?<=[a-z])(?=[A-Z])")


def thresholds(facts: Facts, judgement: Judgement) -> Table:
    """Return the limits beside the measurements."""
    rows = [
        (
            limit.threshold.name,
            "All" if (name := limit.threshold.operation) is None else facts.label(name),
            limit_text(limit.threshold.name, limit.threshold.limit),
            limit.why
            if limit.measured is None
            else limit_text(limit.threshold.name, limit.measured),
            _LIMIT_RESULTS[limit.verdict],
        )
        for limit in judgement.thresholds
    ]
    columns = (Column("limit"), Column("operation"), Column("at most", number=True))
    return Table((*columns, Column("measured", number=True), Column("result")), tuple(rows))


def impact(run: Impact, control: Impact | None) -> Table:
    """Return a run's impact on the source, beside that of its control if there is one."""
    columns = [Column("figure"), Column("this run", number=True)]
    if control is not None:
        columns += [Column("without tools", number=True), Column("difference", number=True)]
    rows = []
    for name, heading, formatted in FIGURES:
        figure = getattr(run, name)
        row = [heading, formatted(figure)]
        if control is not None:
            base = getattr(control, name)
            row += [formatted(base), against(figure, base)]
        rows.append(tuple(row))
    return Table(tuple(columns), tuple(rows))


def planned(facts: Facts) -> Table:
    """Return the rates per hour, as shares, and the arrivals that they make in this run."""
    rates = {o.name: _rate(facts, o.name) for o in facts.operations}
    total = sum(rate for rate in rates.values() if rate is not None)
    rows = [
        (
            facts.label(operation.name),
            text.value(rates[operation.name]),
            text.share(rates[operation.name] or 0.0, total),
            _planned(operation.planned),
        )
        for operation in facts.operations
    ]
    rows.append(("All", text.value(total), text.share(total, total), text.whole(facts.planned)))
    labels = ("per hour, at the start", "share", "planned arrivals")
    return Table(_columns("operation", *labels), tuple(rows), total=True)


def outcomes(facts: Facts) -> Table:
    """Return the outcomes of the arrivals: counts, shares of those offered, achieved rate."""
    per, unit = rate_unit(facts.planned / facts.seconds if facts.seconds else 1.0)
    units = facts.seconds / per if facts.seconds else None
    whole = OperationSummary("", facts.planned, facts.totals, facts.in_flight, None)
    rows = [
        _outcomes_row(facts, facts.label(operation.name), operation, units)
        for operation in facts.operations
    ]
    rows.append(_outcomes_row(facts, "All", whole, units))
    labels = ["planned", "offered", "committed", "failed", "skipped", "unknown"]
    labels += [] if facts.ended else ["in flight"]
    labels += ["committed share", f"committed {unit}"]
    return Table(_columns("operation", *labels), tuple(rows), total=True)


def latency(facts: Facts) -> Table:
    """Return the latencies of committed writes over the whole run, in milliseconds."""
    columns = [Column("operation")]
    for group in ("service", "intended"):
        columns += [Column(name, number=True, group=group) for name in _QUANTILES]
    rows = [
        (facts.label(name), *_quantiles(times.service), *_quantiles(times.intended))
        for name in facts.in_order(facts.run.latency)
        for times in [facts.run.latency[name]]
    ]
    whole = facts.run.latency_all
    has_total = bool(rows) and whole.service.max is not None
    if has_total:
        rows.append(("All", *_quantiles(whole.service), *_quantiles(whole.intended)))
    return Table(tuple(columns), tuple(rows), total=has_total)


def failures(facts: Facts) -> Table:
    """Return failed writes by operation and SQLSTATE, the most frequent first."""
    offered = {operation.name: operation.totals.offered for operation in facts.operations}
    rows = [
        (
            facts.label(name),
            sqlstate,
            sqlstate_words(sqlstate),
            text.count(number),
            text.share(number, offered.get(name, 0)),
        )
        for name in facts.in_order(facts.run.failures)
        for sqlstate, number in sorted(facts.run.failures[name].items(), key=lambda pair: -pair[1])
    ]
    columns = (Column("operation"), Column("SQLSTATE"), Column("meaning"))
    numbers = (Column("writes", number=True), Column("of offered", number=True))
    return Table((*columns, *numbers), tuple(rows))


def row_counts(facts: Facts) -> Table:
    """Return each table's gain beside the sum of its committed writes."""
    rows = [row for name, growth in (facts.growth or {}).items() for row in _growth(name, growth)]
    first, *numbers = _columns("table", "gained", "written")
    return Table((first, Column("counted"), *numbers, Column("equal")), tuple(rows))


def journal(facts: Facts) -> Table:
    """Return the events of the run, numbered as in the charts; of very many the two ends."""
    rows: list[tuple[str, ...]] = []
    last = 0
    for number, event in shown_events(facts.run):
        if number > last + 1:
            rows.append(_not_listed(number - last - 1, "they are in run.json"))
        last = number
        since = NOTHING
        if facts.start is not None:
            since = text.duration(max(0.0, (event.at - facts.start).total_seconds()))
        kind = text.first_capital(event.kind.replace("_", " "))
        rows.append((str(number), text.moment(event.at), since, kind, _details(event)))
    if facts.run.journal_left_out:
        reason = "they were too many to be kept, even in run.json"
        rows.append(_not_listed(facts.run.journal_left_out, reason))
    labels = ("#", "at", "since the start", "what", "details")
    return Table(tuple(map(Column, labels)), tuple(rows))


def environment(run: Run) -> Table:
    """Return machine, versions and the source's settings, by name."""
    machine, source = dict(run.machine), dict(run.source)
    cores, postgres = machine.get("cores"), source.pop("version", None)
    embedded = source.pop("embedded", None)
    place = ", embedded" if embedded else "" if embedded is None else ", at DATABASE_URL"
    rows = [
        ("Processor", _known(machine.get("cpu")) + (f", {cores} cores" if cores else "")),
        ("Memory", text.size(machine.get("memory_bytes"))),
        ("Operating system", _known(machine.get("os"))),
        *((name, text.value(version)) for name, version in run.versions.items()),
        ("Source", f"Postgres {_known(postgres)}{place}"),
        *((name, text.value(setting)) for name, setting in sorted(source.items())),
    ]
    return Table((Column("what"), Column("value")), tuple(rows))


def settings(facts: Facts, tools: Sequence[str]) -> Table:
    """Return when and how the run was made, and the settings that shape its writes.

    `tools` are those that were watched, verified or priced.
    """
    run = facts.run
    rows = [
        ("Started", text.moment(run.started_at)),
        ("Ended", text.moment(run.ended_at) if facts.ended else "no end recorded"),
        ("Length", text.duration(facts.seconds)),
        ("Profile", _known(run.profile)),
        ("Arrivals", _known(run.settings.get("arrivals"))),
        ("Seed", _known(run.seed)),
        ("Workload", run.workload),
        ("Rows before", _rows_before(run)),
        ("Connections (users)", text.count(run.users)),
        ("Tools under test", ", ".join(tools) or "none watched, verified or priced"),
    ]
    names = (*(_SETTINGS_OF_SHOP if run.workload in _SHOPS else ()), *_SHOWN_SETTINGS)
    shown = (name for name in names if name in run.settings)
    rows += [(name.upper(), text.value(run.settings[name])) for name in shown]
    return Table((Column("what"), Column("value")), tuple(rows))


def _rows_before(run: Run) -> str:
    """Return how many rows each table had before the run."""
    rows = (f"{text.count(table.rows)} {name}" for name, table in run.rows_before.items())
    return ", ".join(rows) or NOTHING


def sqlstate_words(sqlstate: str) -> str:
    """Return what a SQLSTATE means: to the load, else by the name Postgres gives it."""
    if sqlstate in _OWN_MEANING:
        return _OWN_MEANING[sqlstate]
    try:
        name = psycopg.errors.lookup(sqlstate).__name__
    except KeyError:
        return "a code that Postgres does not list"
    return _CAPITALS.sub(" ", name).lower()


def _columns(first: str, *numbers: str) -> tuple[Column, ...]:
    return (Column(first), *(Column(label, number=True) for label in numbers))


def _rate(facts: Facts, operation: str) -> float | None:
    known = facts.workload.get(operation)
    rate = facts.run.settings.get(known.option) if known else None
    return float(rate) if isinstance(rate, int | float) else None


def _planned(arrivals: float | None) -> str:
    return NOTHING if arrivals is None else text.whole(arrivals)


def _outcomes_row(
    facts: Facts, label: str, operation: OperationSummary, units: float | None
) -> tuple[str, ...]:
    totals = operation.totals
    return (
        label,
        _planned(operation.planned),
        text.count(totals.offered),
        text.count(totals.committed),
        _with_share(totals.failed, totals.offered),
        _with_share(totals.skipped, totals.offered),
        text.count(totals.unknown),
        *(() if facts.ended else (text.count(operation.in_flight),)),
        text.share(totals.committed, totals.offered),
        text.quantity(totals.committed / units if units else None),
    )


def _with_share(number: int, of: int) -> str:
    return f"{text.count(number)} ({text.share(number, of)})" if number else "0"


def _quantiles(times: Latency) -> tuple[str, ...]:
    return tuple(text.milliseconds(getattr(times, name)) for name in _QUANTILES)


def _growth(table: str, growth: TableGrowth) -> Iterator[tuple[str, ...]]:
    """Yield a table's growth in rows and, if it has versions, in updates."""
    counted = [("rows", growth.rows, growth.rows_written)]
    if growth.versions is not None:
        counted.append(("updates", growth.versions, growth.versions_written))
    for noun, gained, written in counted:
        equal = NOTHING if written is None else "yes" if gained == written else "NO"
        yield table, noun, text.count(gained), text.count(written), equal


def _not_listed(number: int, reason: str) -> tuple[str, ...]:
    return ("…", "", "", f"{text.count(number)} more", reason)


def _details(event: JournalEvent) -> str:
    parts = [f"{name}: {_detail(detail)}" for name, detail in event.details.items()]
    return "; ".join(parts) or NOTHING


def _detail(detail: object) -> str:
    if isinstance(detail, Mapping) and set(detail) == {"from", "to"}:
        return f"{_detail(detail['from'])} to {_detail(detail['to'])}"
    if isinstance(detail, Mapping):
        return ", ".join(f"{name} {_detail(inner)}" for name, inner in detail.items())
    if isinstance(detail, list):
        return ", ".join(map(_detail, detail))
    return text.value(round(detail, 3) if isinstance(detail, float) else detail)


def _known(setting: object) -> str:
    return NOTHING if setting is None else text.value(setting)
