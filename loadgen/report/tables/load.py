"""The report's tables: every figure of the record in the words in which both reports show it.

One table, one function; report.html and report.md show the same cells. Pure.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import psycopg.errors

from loadgen import text as words
from loadgen.record.reader import JournalEvent, Latency, Run, Totals
from loadgen.report.analysis.run import Done, Facts, shown_events
from loadgen.report.charts.load import rate_unit
from loadgen.text import Column, Table
from loadgen.workload.operations import OPERATIONS, in_order, label

_V = TypeVar("_V")
_QUANTILES = ("p50", "p95", "p99", "max")
_SHOWN_SETTINGS = (
    "initial_users", "initial_orders", "initial_events", "event_bytes", "hot_users",
    "lateness_limit_seconds", "max_rate_per_hour", "pipeline_depth",
)  # fmt: skip

# What the load itself means by a code, where Postgres' own name says less.
_OWN_MEANING = {
    "02000": "no row was left that it could change",
    "08001": "the source could not be reached",
    "08006": "connection lost, and the write is not in the source",
    "40P01": "deadlock detected",
    "53000": "more would have been open at once than the load holds open",
}
_CAPITALS = re.compile(r"(?<=[a-z])(?=[A-Z])")


def asked(facts: Facts) -> Table:
    """Return the rates asked for: per hour, as shares, and what they make of this run."""
    rates = {done.operation: _rate(facts.run, done.operation) for done in facts.operations}
    total = sum(rate for rate in rates.values() if rate is not None)
    rows = [
        (
            label(done.operation),
            words.value(rates[done.operation]),
            words.share(rates[done.operation] or 0.0, total),
            _asked(done),
        )
        for done in facts.operations
    ]
    rows.append(("All", words.value(total), words.share(total, total), words.whole(facts.asked)))
    numbers = ("per hour, at the start", "share", "arrivals asked for")
    return Table(_columns("operation", *numbers), tuple(rows), total=True)


def done(facts: Facts) -> Table:
    """Return what became of the arrivals: counts, shares of what was offered, rate achieved."""
    per, unit = rate_unit(facts.asked / facts.seconds if facts.seconds else 1.0)
    units = facts.seconds / per if facts.seconds else None
    rows = [_done_row(facts, label(d.operation), d, units) for d in facts.operations]
    rows.append(_done_row(facts, "All", _sum(facts), units))
    labels = ["asked", "offered", "committed", "failed", "skipped", "unknown"]
    labels += [] if facts.ended else ["in flight"]
    labels += ["committed share", f"committed {unit}"]
    return Table(_columns("operation", *labels), tuple(rows), total=True)


def latency(run: Run) -> Table:
    """Return the latencies of committed writes over the whole run, in milliseconds."""
    columns = [Column("operation")]
    for group in ("service", "intended"):
        columns += [Column(label, number=True, group=group) for label in _QUANTILES]
    rows = [
        (
            label(operation),
            *_quantiles(found.service),
            *_quantiles(found.intended),
        )
        for operation, found in _in_order(run.latency)
    ]
    whole = run.latency_all
    together = rows and whole.service.max is not None
    if together:
        rows.append(("All", *_quantiles(whole.service), *_quantiles(whole.intended)))
    return Table(tuple(columns), tuple(rows), total=bool(together))


def failures(facts: Facts) -> Table:
    """Return failed writes by operation and SQLSTATE, the most frequent first."""
    offered = {d.operation: d.totals.offered for d in facts.operations}
    rows = [
        (
            label(operation),
            sqlstate,
            sqlstate_words(sqlstate),
            words.count(number),
            words.share(number, offered.get(operation, 0)),
        )
        for operation, found in _in_order(facts.run.failures)
        for sqlstate, number in sorted(found.items(), key=lambda item: -item[1])
    ]
    columns = (Column("operation"), Column("SQLSTATE"), Column("meaning"))
    numbers = (Column("writes", number=True), Column("of offered", number=True))
    return Table((*columns, *numbers), tuple(rows))


def rows(facts: Facts) -> Table:
    """Return the source's counts before and after beside what was counted as committed."""
    found = [_rows_row(facts.run, d) for d in facts.operations if d.operation in OPERATIONS]
    numbers = ("before", "after", "gained", "committed")
    columns = _columns("operation", *numbers)
    shown = (columns[0], Column("shows in"), *columns[1:], Column("equal"))
    return Table(shown, tuple(found))


def journal(facts: Facts) -> Table:
    """Return what happened to the run, numbered as in the charts; of very many the two ends."""
    found: list[tuple[str, ...]] = []
    last = 0
    for number, event in shown_events(facts.run):
        if number > last + 1:
            found.append(_not_listed(number - last - 1, "they are in run.json"))
        last = number
        at, since = words.moment(event.at), _since(facts, event)
        found.append((str(number), at, since, _kind(event), _details(event)))
    if facts.run.journal_left_out:
        text = "they were too many to be kept, even in run.json"
        found.append(_not_listed(facts.run.journal_left_out, text))
    labels = ("#", "at", "since the start", "what", "details")
    return Table(tuple(Column(label) for label in labels), tuple(found))


def circumstances(run: Run) -> Table:
    """Return machine, versions and the source's settings, by name."""
    machine, source = dict(run.machine), dict(run.source)
    cores = machine.get("cores")
    found = [
        ("Processor", _known(machine.get("cpu")) + (f", {cores} cores" if cores else "")),
        ("Memory", words.size(machine.get("memory_bytes"))),
        ("Operating system", _known(machine.get("os"))),
        *((name, words.value(version)) for name, version in run.versions.items()),
        ("Source", f"Postgres {_known(source.pop('version', None))}{_kept(source)}"),
        *((name, words.value(value)) for name, value in sorted(source.items())),
    ]
    return Table((Column("what"), Column("value")), tuple(found))


def settings(facts: Facts, tools: Sequence[str]) -> Table:
    """Return when and how the run was made, and the settings that shape what is written.

    `tools` are those that were watched, verified or priced.
    """
    run = facts.run
    given = [
        ("Started", words.moment(run.started_at)),
        ("Ended", words.moment(run.ended_at) if facts.ended else "no end recorded"),
        ("Length", words.duration(facts.seconds)),
        ("Profile", _known(run.profile)),
        ("Arrivals", _known(run.settings.get("arrivals"))),
        ("Seed", _known(run.seed)),
        ("Connections (users)", words.count(run.users)),
        ("Tools under test", ", ".join(tools) or "none watched, verified or priced"),
    ]
    given += [
        (name.upper(), words.value(run.settings[name]))
        for name in _SHOWN_SETTINGS
        if name in run.settings
    ]
    return Table((Column("what"), Column("value")), tuple(given))


def flat(table: Table) -> Table:
    """Return the table with each group's heading in its columns' labels."""
    columns = [replace(c, label=f"{c.group} {c.label}".strip()) for c in table.columns]
    return replace(table, columns=tuple(columns))


def _columns(first: str, *numbers: str) -> tuple[Column, ...]:
    return (Column(first), *(Column(label, number=True) for label in numbers))


def _rate(run: Run, operation: str) -> float | None:
    known = OPERATIONS.get(operation)
    rate = run.settings.get(known.rate_setting) if known else None
    return float(rate) if isinstance(rate, int | float) else None


def _asked(found: Done) -> str:
    return words.NOTHING if found.asked is None else words.whole(found.asked)


def _sum(facts: Facts) -> Done:
    names = ("offered", "committed", "failed", "skipped", "unknown")
    totals = Totals(*(facts.total(name) for name in names))
    return Done("", facts.asked, totals, sum(d.in_flight for d in facts.operations), None)


def _done_row(facts: Facts, name: str, found: Done, units: float | None) -> tuple[str, ...]:
    totals = found.totals
    open_ends = () if facts.ended else (words.count(found.in_flight),)
    return (
        name,
        _asked(found),
        words.count(totals.offered),
        words.count(totals.committed),
        _with_share(totals.failed, totals.offered),
        _with_share(totals.skipped, totals.offered),
        words.count(totals.unknown),
        *open_ends,
        words.share(totals.committed, totals.offered),
        words.quantity(totals.committed / units if units else None),
    )


def _with_share(number: int, of: int) -> str:
    return f"{words.count(number)} ({words.share(number, of)})" if number else "0"


def _quantiles(found: Latency) -> tuple[str, ...]:
    return tuple(words.milliseconds(getattr(found, name)) for name in _QUANTILES)


def _rows_row(run: Run, found: Done) -> tuple[str, ...]:
    operation = OPERATIONS[found.operation]
    table, column = operation.table, operation.counter
    where = f"rows of {table}" if column == "rows" else f"versions of {table}"
    before, after = run.rows_before.get(table), run.rows_after.get(table)
    counts = [None if rows is None else getattr(rows, column) for rows in (before, after)]
    equal = {True: "yes", False: "NO", None: words.NOTHING}[found.agrees]
    return (
        label(found.operation),
        where,
        *(words.count(number) for number in (*counts, found.gained, found.totals.committed)),
        equal,
    )


def _not_listed(number: int, why: str) -> tuple[str, ...]:
    return ("…", "", "", f"{words.count(number)} more", why)


def _since(facts: Facts, event: JournalEvent) -> str:
    if facts.start is None:
        return words.NOTHING
    return words.duration(max(0.0, (event.at - facts.start).total_seconds()))


def _kind(event: JournalEvent) -> str:
    return words.first_capital(event.kind.replace("_", " "))


def _details(event: JournalEvent) -> str:
    parts = [f"{name}: {_detail(value)}" for name, value in event.details.items()]
    return "; ".join(parts) or words.NOTHING


def _detail(value: object) -> str:
    if isinstance(value, Mapping) and set(value) == {"from", "to"}:
        return f"{_detail(value['from'])} to {_detail(value['to'])}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_detail(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_detail(inner) for inner in value)
    return words.value(round(value, 3) if isinstance(value, float) else value)


def _known(value: object) -> str:
    return words.NOTHING if value is None else words.value(value)


def _kept(source: dict[str, object]) -> str:
    embedded = source.pop("embedded", None)
    if embedded is None:
        return ""
    return ", embedded" if embedded else ", at DATABASE_URL"


def _in_order(found: Mapping[str, _V]) -> list[tuple[str, _V]]:
    return [(name, found[name]) for name in in_order(found)]


def sqlstate_words(sqlstate: str) -> str:
    """Return what a SQLSTATE means: in the load's words, else by the name Postgres gives it."""
    if sqlstate in _OWN_MEANING:
        return _OWN_MEANING[sqlstate]
    try:
        name = psycopg.errors.lookup(sqlstate).__name__
    except KeyError:
        return "a code that Postgres does not list"
    return _CAPITALS.sub(" ", name).lower()
