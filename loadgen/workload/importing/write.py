"""Writes the model of a database's statistics: the texts of a workload's folder."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Final

from loadgen.errors import printable
from loadgen.text import plural, written_duration
from loadgen.workload.importing.anonymize import anonymized
from loadgen.workload.importing.facts import DatabaseFacts, TableFacts, Window
from loadgen.workload.importing.operations import plan_operations
from loadgen.workload.importing.planned import Operations
from loadgen.workload.importing.statements import read_statements
from loadgen.workload.importing.table_plan import TablePlan
from loadgen.workload.importing.tables import plan_tables
from loadgen.workload.importing.toml_text import Entry, SectionText, rounded, value_text

_MOST_LISTED: Final = 50  # tables that the model lacks, in [imported]
_UNKNOWN_HOURS: Final = 30 * 24  # of statistics whose beginning Postgres does not know
_DAY: Final = 86_400  # seconds
_NO_VALUES: Final = "values are made up by type and statistics"


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a model differs from its database.

    `rows` and `rate` are scales. Tables with fewer than `min_writes` rows written an hour come
    last.
    """

    rows: float = 1.0
    rate: float = 1.0
    min_writes: float = 1.0
    anonymize: bool = False


@dataclass(frozen=True, slots=True)
class WrittenModel:
    """The texts of a workload's folder, the guesses in them, and the missing parts, by line."""

    toml: str
    schema_sql: str
    guesses: tuple[str, ...]
    left_out: tuple[str, ...]


def write_model(facts: DatabaseFacts, options: WriteOptions) -> WrittenModel:
    """Return the model of a database. Raises ValueError if no table can be written."""
    if not facts.with_values:
        facts = _without_values(facts)
    if options.anonymize:
        facts = anonymized(facts)
    seconds = facts.window.seconds
    hours = seconds / 3600 if seconds else _UNKNOWN_HOURS
    plans, refused = plan_tables(facts.tables, facts.schema_sql, facts.read_at.date(), options.rows)
    if not plans:
        raise ValueError("no table can be written: " + "; ".join(_refusals(refused)))
    statements = read_statements(
        facts.statements, {name: plan.facts for name, plan in plans.items()}
    )
    operations = plan_operations(
        plans,
        statements,
        hours,
        options.rate,
        has_statements=facts.has_statements,
        is_measured=facts.window.is_measured,
    )
    left_out = [*facts.left_out, *_refusals(refused), *operations.left_out]
    if statements.unread:
        unread = plural(statements.unread, "statement")
        left_out.append(f"{unread} of pg_stat_statements can't be parsed")
    return WrittenModel(
        toml=_toml(facts, options, plans, operations, hours),
        schema_sql=facts.schema_sql,
        guesses=tuple(map(printable, _guesses(facts, plans, operations))),
        left_out=tuple(map(printable, left_out)),
    )


def _without_values(facts: DatabaseFacts) -> DatabaseFacts:
    """Return the facts without values of rows; without leave they should have none."""
    tables = (
        replace(t, columns=tuple(replace(c, common=(), bounds=()) for c in t.columns))
        for t in facts.tables
    )
    return replace(facts, tables=tuple(tables))


def _refusals(refused: Mapping[str, str]) -> Iterator[str]:
    for table, reason in refused.items():
        yield f"table {table}: {reason}"


def _guesses(
    facts: DatabaseFacts, plans: Mapping[str, TablePlan], operations: Operations
) -> Iterator[str]:
    if not facts.window.seconds:
        yield (
            f"all rates: Postgres does not know since when it counts, so {_UNKNOWN_HOURS // 24} "
            "days are assumed: measure with --interval"
        )
    for plan in plans.values():
        for key, reason in plan.notes:
            yield f"[tables.{plan.name}] {key}: {reason}: change it if the table matters"
        for columns in plan.limits.unknown:
            names = ", ".join(columns) or "its columns"
            yield (
                f"[tables.{plan.name}] a check on {names} is not understood: if `workload check` "
                "reports it, give values that it allows"
            )
    yield from operations.guesses()


def _toml(
    facts: DatabaseFacts,
    options: WriteOptions,
    plans: Mapping[str, TablePlan],
    operations: Operations,
    hours: float,
) -> str:
    quiet = [
        name
        for name, plan in plans.items()
        if _per_hour(plan.facts, hours) < options.min_writes and not _has_guess(plan, operations)
    ]
    busy = [name for name in plans if name not in quiet]
    busy.sort(key=lambda name: -_per_hour(plans[name].facts, hours))
    chosen = {name: plans[name] for name in busy}
    values = "some values are the database's" if facts.with_values else _NO_VALUES
    title = f"imported from the statistics of a database on {facts.read_at.date()}"
    parts = [
        f"title = {value_text(title)}\n# {_window(facts)}; {values}.\n{_profile(facts.window)}",
        _imported(facts, options, plans, operations, hours).text(),
        *_sections(chosen, operations),
    ]
    if quiet:
        least = f"{options.min_writes:g} row{'' if options.min_writes == 1 else 's'}"
        parts.append(f"# Quiet tables: fewer than {least} written an hour.\n")
        parts += _sections({name: plans[name] for name in quiet}, operations)
    return "\n".join(parts)


def _has_guess(plan: TablePlan, operations: Operations) -> bool:
    """Tell whether a table whose writes are unknown has operations all the same."""
    return plan.facts.writes is None and any(o.plan is plan for o in operations.planned)


def _per_hour(table: TableFacts, hours: float) -> float:
    return table.writes.total / hours if table.writes else 0.0


def _window(facts: DatabaseFacts) -> str:
    window = facts.window
    if not window.seconds:
        return "Writes counted since an unknown time"
    kind = "measured for" if window.is_measured else "counted over"
    return (
        f"Writes {kind} {window.seconds / 3600:,.3g} hours until {window.ended_at:%Y-%m-%d %H:%M}"
    )


def _profile(window: Window) -> str:
    """Return the model's profile, with when it begins and ends; "" if the window has no parts."""
    if not window.shares or window.began_at is None:
        return ""
    period = window.every * len(window.shares)
    repeats = f"after {written_duration(period)}"
    if period % _DAY:
        repeats += ", which is not a day: it does not follow the time of day"
    every = written_duration(round(window.every, 3))
    profile = {"every": every, "levels": [rounded(share) for share in window.shares]}
    began_at = window.began_at.astimezone(UTC)
    return (
        f"# The rate of all tables by part, from {began_at:%Y-%m-%d %H:%M} UTC; a run "
        f"begins there.\n# It repeats {repeats}.\nprofile = {value_text(profile)}\n"
    )


def _sections(plans: Mapping[str, TablePlan], operations: Operations) -> Iterator[str]:
    for plan in plans.values():
        entries: Entry = {"rows": plan.rows} if plan.rows else {}
        if plan.key_is_written:
            entries["key"] = plan.key[0] if len(plan.key) == 1 else list(plan.key)
        comments = {key: f"guess: {reason}" for key, reason in plan.notes}
        if plan.columns:
            entries["columns"] = plan.columns
        else:
            entries.pop("rows", None)
        yield SectionText("tables", plan.name, entries, comments).text()
    for plan in plans.values():
        for operation in operations.planned:
            if operation.plan is plan:
                yield operation.section().text()


def _imported(
    facts: DatabaseFacts,
    options: WriteOptions,
    plans: Mapping[str, TablePlan],
    operations: Operations,
    hours: float,
) -> SectionText:
    entries: Entry = {
        "read_at": facts.read_at.isoformat(),
        "databases": list(facts.digests),
    }
    if facts.window.seconds:
        entries["window_seconds"] = rounded(facts.window.seconds)
    if options.rows != 1:
        entries["row_scale"] = options.rows
    if options.rate != 1:
        entries["rate_scale"] = options.rate
    others = [table for table in facts.tables if table.name not in plans]
    others.sort(key=lambda table: -table.bytes)
    listed = [*(plan.facts for plan in plans.values()), *others[:_MOST_LISTED]]
    entries["tables"] = {
        table.name: _imported_table(table, hours, is_loaded=table.name in operations.unexplained)
        for table in listed
    }
    return SectionText("imported", "", entries)


def _imported_table(table: TableFacts, hours: float, *, is_loaded: bool) -> Entry:
    """Return a table's sizes, and the rows written to it per hour, if they are known."""
    entries: Entry = {"rows": table.rows, "bytes": table.bytes, "index_bytes": table.index_bytes}
    if table.writes is not None:
        counts = table.writes
        if not is_loaded:  # by its first load, which is no part of the model
            entries["inserts"] = rounded(counts.inserts / hours)
        entries |= {
            "updates": rounded(counts.updates / hours),
            "deletes": rounded(counts.deletes / hours),
        }
    return entries
