"""The report's cost section: costs.json as tables, charts and sentences. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from loadgen import text
from loadgen.costs import text as words
from loadgen.costs.copying import FIRST_COPY, RESYNC
from loadgen.record.costs import GRADES, CostLine, Costs, Total
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
    outlook = costs.outlook
    curves = curves_of(outlook) if "curves" in outlook else []
    sources = _sources(costs.lines)
    return CostSection(
        sentence=_sentence(outlook),
        settled=words.settled(costs),
        totals=_totals(costs),
        lines=_lines(costs.lines, sources),
        spent=_spent(outlook.get("snowflake", ())),
        usage=_usage(outlook),
        months=_months(outlook),
        once=_once(outlook),
        baseline=_baseline(outlook),
        cheapest=_cheapest(outlook),
        wide=tuple(draw_curve(curve, WIDE) for curve in curves[:1]),
        tall=tuple(draw_curve(curve, TALL) for curve in curves[:1]),
        small=tuple(draw_curve(curve, SMALL) for curve in curves[1:] if bends(curve)),
        sources=tuple(sources),
        notes=_notes(costs.lines),
        warnings=costs.warnings,
        grades=", ".join(f"{grade}: {meaning}" for grade, meaning in GRADES.items()),
    )


def _sentence(outlook: Mapping[str, Any]) -> str:
    if "usage" not in outlook:
        return "The run committed nothing, so there is no month to estimate."
    month = outlook["usage"]["month"]
    begins = f"At this run's rate a month is {text.big(month['changes'])} changes"
    priced = [
        (amount, one)
        for one in outlook["months"]
        if not one["former"] and one["grade"] in _READ
        for amount in [_money(one["amount"])]
        if amount is not None
    ]
    if not priced:
        return f"{begins}."
    amount, best = min(priced, key=lambda found: found[0])
    plan = f"{_named(best)}, {best['plan']}"
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


def _spent(found: Sequence[Mapping[str, Any]]) -> Table:
    labels = (
        "credits", "per 1M changes", "idle", "statements", "wake-ups", "statements each",
        "bytes a row",
    )  # fmt: skip
    columns = (Column("tool"), *(Column(label, number=True) for label in labels))
    rows = [
        (
            one["tool"],
            _figure(one["credits"]),
            _figure(one["credits_per_million_changes"]),
            _share(one["idle_share"]),
            _figure(one["statements"]),
            _figure(one["wake_ups"]),
            _figure(one["statements_a_wake_up"]),
            _figure(one["bytes_a_row"]),
        )
        for one in found
    ]
    return Table(columns, tuple(rows))


def _figure(value: str | int | None) -> str:
    return NOTHING if value is None else text.four_digits(Decimal(value))


def _share(value: str | None) -> str:
    return NOTHING if value is None else f"{Decimal(value):.0%}"


def _usage(outlook: Mapping[str, Any]) -> Table:
    if "usage" not in outlook:
        return Table((), ())
    run, month = outlook["usage"]["run"], outlook["usage"]["month"]
    columns = [Column("meter"), Column("this run", number=True), Column("a month", number=True)]
    reported = outlook.get("reported", {})
    columns += [Column(f"reported by {name}", number=True) for name in reported]
    names = ("inserts", "updates", "deletes")
    cells = [(name, text.big(run[name]), text.big(month[name])) for name in names]
    cells.append(("distinct rows", _band(run, text.big), _band(month, text.big)))
    cells.append(("bytes as JSON", _size(run), _size(month)))
    keys = {"distinct rows": "distinct_rows", "bytes as JSON": "gigabytes"}
    rows = [
        (*row, *(_told(found, keys.get(row[0], row[0])) for found in reported.values()))
        for row in cells
    ]
    return Table(tuple(columns), tuple(rows))


def _told(found: Mapping[str, Any], key: str) -> str:
    value = _money(found.get(key))
    if value is None:
        return NOTHING
    return f"{value:,.15g} GB" if key == "gigabytes" else text.big(value)


def _months(outlook: Mapping[str, Any]) -> Table:
    columns = [Column("vendor"), Column("plan"), Column("a month", number=True)]
    columns += [Column("between", number=True)]
    columns += [Column(label, number=True) for label in ("per 1M changes", "per 1M distinct rows")]
    columns += [Column(label) for label in ("syncs every", "grade")]
    columns.append(Column("as of", number=True))
    rows = [
        (
            _named(month),
            month["plan"],
            text.dollar_range(Decimal(month["least"]), _money(month["most"])),
            _between(month),
            text.dollars(_money(month["per_million_changes"])),
            text.dollars(_money(month["per_million_rows"])),
            duration(month["min_interval_seconds"]),
            month["grade"],
            month["as_of"] or NOTHING,
        )
        for month in outlook.get("months", ())
    ]
    return Table(tuple(columns), tuple(rows))


def _between(month: Mapping[str, Any]) -> str:
    low, high = _money(month["low"]), _money(month["high"])
    if low is None or month["amount"] is None:
        return NOTHING
    return text.dollar_range(low, high)


def _baseline(outlook: Mapping[str, Any]) -> str:
    baseline = outlook.get("baseline")
    if baseline is None:
        return ""
    low, likely, high = (text.gigabytes(size) for size in baseline["bytes"])
    return f"{text.big(baseline['rows'])} rows, {likely} ({low} to {high})"


def _once(outlook: Mapping[str, Any]) -> Table:
    """Return what copying the baseline adds to a month, by plan."""
    columns = [Column("vendor"), Column("plan")]
    columns += [Column(label, number=True) for label in (FIRST_COPY, RESYNC)]
    columns += [Column("grade"), Column("notes")]
    rows = [
        (
            _named(month),
            month["plan"],
            *(text.dollars(_money(line["amount"])) for line in month["once"]),
            " ".join(dict.fromkeys(line["grade"] for line in month["once"])),
            "; ".join(dict.fromkeys(line["note"] for line in month["once"] if line["note"])),
        )
        for month in outlook.get("months", ())
        if "once" in month and outlook.get("baseline")
    ]
    return Table(tuple(columns), tuple(rows))


def _cheapest(outlook: Mapping[str, Any]) -> Table:
    columns = (
        Column("changes a month"), Column("cheapest"), Column("price", number=True),
        Column("grade"),
    )  # fmt: skip
    names = outlook.get("vendors", {})
    return Table(columns, tuple(words.cheapest(e, names) for e in outlook.get("cheapest", ())))


def _notes(lines: Sequence[CostLine]) -> tuple[str, ...]:
    told = [f"{line.tool}, {line.category}: {line.note}" for line in lines if line.note]
    return tuple(dict.fromkeys(told))


def _band(usage: Mapping[str, Any], say: Callable[[int], str]) -> str:
    low, likely, high = (say(number) for number in usage["distinct_rows"])
    return likely if low == high else f"{likely} ({low} to {high})"


def _size(usage: Mapping[str, Any]) -> str:
    low, likely, high = (text.gigabytes(number) for number in usage["bytes"])
    return f"{likely} ({low} to {high})"


def _named(month: Mapping[str, Any]) -> str:
    return words.vendor(month["vendor"])


def _money(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
