"""The report's cost section: costs.json as tables, charts and sentences. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from loadgen import text
from loadgen.costs import text as words
from loadgen.costs.estimate import FIRST_COPY, RESYNC
from loadgen.record.costs import (
    GRADES,
    CostLine,
    Costs,
    Efficiency,
    PricedMonth,
    Projection,
    ReportedUsage,
    Total,
    UsageFigures,
)
from loadgen.report.charts.costs import SMALL, TALL, WIDE, bends, curves_of, draw_curve
from loadgen.report.charts.svg import Drawing
from loadgen.text import NOTHING, Column, Table, duration

_READ: Final = ("P", "S")  # grades of prices that somebody has read


@dataclass(frozen=True, slots=True)
class CostSection:
    """What the section shows; an empty table is left out."""

    sentence: str
    settled: str
    totals: Table
    lines: Table
    usage: Table
    spent: Table
    months: Table
    once: Table
    baseline: str
    cheapest: Table
    wide: tuple[Drawing, ...]
    tall: tuple[Drawing, ...]
    small: tuple[Drawing, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    grades: str


def cost_section(costs: Costs) -> CostSection:
    """Return the section of a run's costs."""
    projection = costs.projection
    curves = curves_of(projection)
    sources = _sources(costs.lines)
    return CostSection(
        sentence=_sentence(projection),
        settled=words.settled(costs),
        totals=_totals(costs),
        lines=_lines(costs.lines, sources),
        spent=_spent(projection.snowflake),
        usage=_usage(projection),
        months=_months(projection),
        once=_once(projection),
        baseline=_baseline(projection),
        cheapest=_cheapest(projection),
        wide=tuple(draw_curve(curve, WIDE) for curve in curves[:1]),
        tall=tuple(draw_curve(curve, TALL) for curve in curves[:1]),
        small=tuple(draw_curve(curve, SMALL) for curve in curves[1:] if bends(curve)),
        sources=tuple(sources),
        notes=_notes(costs.lines),
        warnings=costs.warnings,
        grades=", ".join(f"{grade}: {meaning}" for grade, meaning in GRADES.items()),
    )


def _sentence(projection: Projection) -> str:
    if projection.usage is None:
        return "The run committed nothing, so there is no month to estimate."
    begins = f"At this run's rate a month is {text.big(projection.usage.month.changes)} changes"
    priced = [
        (month.amount, month)
        for month in projection.months
        if not month.former and month.grade in _READ and month.amount is not None
    ]
    if not priced:
        return f"{begins}."
    amount, best = min(priced, key=lambda pair: pair[0])
    plan = f"{words.vendor(best.vendor)}, {best.plan}"
    return (
        f"{begins}; the lowest price that is published for it is {text.dollars(amount)} ({plan})."
    )


def _totals(costs: Costs) -> Table:
    columns = (
        Column("tool"), Column("paid by the customer", number=True),
        Column("by the service", number=True), Column("together", number=True),
    )  # fmt: skip
    rows = []
    for tool in costs.tools():
        payers = {line.payer for line in costs.lines if line.tool == tool}
        customer, service = (
            words.total(costs.total(tool, payer)) if payer in payers else NOTHING
            for payer in ("customer", "service")
        )  # fmt: skip
        rows.append((tool, customer, service, words.total(costs.total(tool))))
    return Table(columns, tuple(rows))


def _lines(lines: Sequence[CostLine], sources: Mapping[str, int]) -> Table:
    columns = [Column(label) for label in ("tool", "paid by", "for")]
    columns += [Column("quantity", number=True), Column("amount", number=True)]
    columns += [Column(label) for label in ("basis", "grade", "source")]
    rows = [
        (
            line.tool,
            line.payer,
            line.category,
            text.counted(line.quantity, line.unit) or NOTHING,
            words.total(Total.of([line])),
            line.basis,
            line.grade,
            str(sources[_cited(line)]) if line.source else NOTHING,
        )
        for line in lines
    ]
    return Table(tuple(columns), tuple(rows))


def _sources(lines: Sequence[CostLine]) -> dict[str, int]:
    """Return the numbers by which the lines cite their sources."""
    found = dict.fromkeys(_cited(line) for line in lines if line.source)
    return {source: number for number, source in enumerate(found, 1)}


def _cited(line: CostLine) -> str:
    return f"{line.source}, as of {line.as_of}" if line.as_of else line.source


def _spent(tools: Sequence[Efficiency]) -> Table:
    labels = (
        "credits", "per 1M changes", "idle", "statements", "wake-ups", "statements each",
        "bytes a row",
    )  # fmt: skip
    columns = (Column("tool"), *(Column(label, number=True) for label in labels))
    rows = [
        (
            tool.tool,
            _figure(tool.credits),
            _figure(tool.credits_per_million_changes),
            NOTHING if tool.idle_share is None else f"{tool.idle_share:.0%}",
            _figure(tool.statements),
            _figure(tool.wake_ups),
            _figure(tool.statements_a_wake_up),
            _figure(tool.bytes_a_row),
        )
        for tool in tools
    ]
    return Table(columns, tuple(rows))


def _figure(number: Decimal | int | None) -> str:
    return NOTHING if number is None else text.four_digits(Decimal(number))


def _usage(projection: Projection) -> Table:
    if projection.usage is None:
        return Table((), ())
    run, month, reported = projection.usage.run, projection.usage.month, projection.reported
    columns = [Column("meter"), Column("this run", number=True), Column("a month", number=True)]
    columns += [Column(f"reported by {name}", number=True) for name in reported]
    cells = (
        ("inserts", text.big(run.inserts), text.big(month.inserts)),
        ("updates", text.big(run.updates), text.big(month.updates)),
        ("deletes", text.big(run.deletes), text.big(month.deletes)),
        ("distinct rows", _distinct_rows(run), _distinct_rows(month)),
        ("bytes as JSON", _size(run), _size(month)),
    )
    rows = [(*row, *(_reported(usage, row[0]) for usage in reported.values())) for row in cells]
    return Table(tuple(columns), tuple(rows))


def _reported(usage: ReportedUsage, meter: str) -> str:
    counts = {
        "inserts": usage.inserts,
        "updates": usage.updates,
        "deletes": usage.deletes,
        "distinct rows": usage.distinct_rows,
    }
    if meter not in counts:
        return NOTHING if usage.gigabytes is None else f"{usage.gigabytes:,.15g} GB"
    count = counts[meter]
    return NOTHING if count is None else text.big(count)


def _months(projection: Projection) -> Table:
    columns = [Column("vendor"), Column("plan"), Column("a month", number=True)]
    columns += [Column("between", number=True)]
    columns += [Column(label, number=True) for label in ("per 1M changes", "per 1M distinct rows")]
    columns += [Column(label) for label in ("syncs every", "grade")]
    columns.append(Column("as of", number=True))
    rows = [
        (
            words.vendor(month.vendor),
            month.plan,
            text.dollar_range(month.least, month.most),
            _between(month),
            text.dollars(month.per_million_changes),
            text.dollars(month.per_million_rows),
            duration(month.min_interval_seconds),
            month.grade,
            str(month.as_of or NOTHING),
        )
        for month in projection.months
    ]
    return Table(tuple(columns), tuple(rows))


def _between(month: PricedMonth) -> str:
    if month.low is None or month.amount is None:
        return NOTHING
    return text.dollar_range(month.low, month.high)


def _baseline(projection: Projection) -> str:
    if projection.baseline is None:
        return ""
    low, likely, high = (text.gigabytes(size) for size in projection.baseline.bytes)
    return f"{text.big(projection.baseline.rows)} rows, {likely} ({low} to {high})"


def _once(projection: Projection) -> Table:
    """Return what copying the baseline adds to a month, by plan."""
    columns = [Column("vendor"), Column("plan")]
    columns += [Column(label, number=True) for label in (FIRST_COPY, RESYNC)]
    columns += [Column("grade"), Column("notes")]
    rows = [
        (
            words.vendor(month.vendor),
            month.plan,
            *(text.dollars(line.amount) for line in month.once),
            " ".join(dict.fromkeys(line.grade for line in month.once)),
            "; ".join(dict.fromkeys(line.note for line in month.once if line.note)),
        )
        for month in projection.months
        if month.once and projection.baseline
    ]
    return Table(tuple(columns), tuple(rows))


def _cheapest(projection: Projection) -> Table:
    columns = (
        Column("changes a month"), Column("cheapest"), Column("price", number=True),
        Column("grade"),
    )  # fmt: skip
    rows = (words.cheapest(entry, projection.vendors) for entry in projection.cheapest)
    return Table(columns, tuple(rows))


def _notes(lines: Sequence[CostLine]) -> tuple[str, ...]:
    told = [f"{line.tool}, {line.category}: {line.note}" for line in lines if line.note]
    return tuple(dict.fromkeys(told))


def _distinct_rows(usage: UsageFigures) -> str:
    low, likely, high = map(text.big, usage.distinct_rows)
    return likely if low == high else f"{likely} ({low} to {high})"


def _size(usage: UsageFigures) -> str:
    low, likely, high = map(text.gigabytes, usage.bytes)
    return f"{likely} ({low} to {high})"
