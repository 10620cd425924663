"""costs.json as tables and sentences, for `loadgen costs` and for the report's section. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from loadgen import text
from loadgen.costs.estimate import FIRST_COPY, RESYNC
from loadgen.record.costs import (
    GRADES,
    CheapestVendors,
    CostLine,
    Costs,
    PricedMonth,
    PricePoint,
    Projection,
    ReportedUsage,
    Total,
    UsageFigures,
    cheapest_by_card,
    short_vendor,
    worst_grade,
)
from loadgen.report.analysis.tool_summary import (
    INFRASTRUCTURE_CARD,
    cheaper_unpublished,
    lowest_published,
    plan_month,
)
from loadgen.report.charts.costs import SMALL, TALL, WIDE, bends, curves_of, draw_curve
from loadgen.report.charts.svg import Drawing
from loadgen.text import NOTHING, Column, Table

MACHINES_ALONE: Final = "its machines alone: no margin, no working time, so no price"


@dataclass(frozen=True, slots=True)
class CostSection:
    """The section's parts; an empty table is left out."""

    sentence: str
    settled: str
    tested: Table
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


def cost_section(costs: Costs, tested: Collection[str] = ()) -> CostSection:
    """Return the section of a run's costs; `tested` are the tools under test."""
    projection = costs.projection
    curves = curves_of(projection)
    return CostSection(
        sentence=_lowest_price(projection),
        settled=status(costs),
        tested=tools_table(costs, tested),
        totals=totals_table(costs.lines),
        lines=lines_table(costs.lines),
        spent=efficiency_table(projection),
        usage=usage_table(projection),
        months=months_table(projection),
        once=copies_table(projection),
        baseline=baseline_size(projection),
        cheapest=cheapest_table(projection),
        wide=tuple(draw_curve(curve, WIDE) for curve in curves[:1]),
        tall=tuple(draw_curve(curve, TALL) for curve in curves[:1]),
        small=tuple(draw_curve(curve, SMALL) for curve in curves[1:] if bends(curve)),
        sources=tuple(_sources(costs.lines)),
        notes=notes(costs.lines),
        warnings=costs.warnings,
        grades=grades(),
    )


def status(costs: Costs) -> str:
    """Return whether the costs are final, and what to do if they are not."""
    if not any(line.amount is not None for line in costs.lines):
        return "No cost of this run is known; the prices below are what vendors list."
    if costs.mode == "final":
        return "These figures are final."
    return (
        f"These figures are provisional: {costs.unsettled} of "
        f"{text.plural(len(costs.lines), 'line')} may still change or have no figure yet. Run "
        "`loadgen costs` again later."
    )


def grades() -> str:
    """Return the meaning of each grade."""
    return "; ".join(f"{grade}: {meaning}" for grade, meaning in GRADES.items())


def notes(lines: Sequence[CostLine]) -> tuple[str, ...]:
    """Return the notes of the lines, each once."""
    with_note = [f"{line.tool}, {line.category}: {line.note}" for line in lines if line.note]
    return tuple(dict.fromkeys(with_note))


def baseline_size(projection: Projection) -> str:
    """Return the rows and bytes of the baseline, if they are known."""
    baseline = projection.baseline
    return "" if baseline is None else f"{text.big(baseline.rows)} rows, {_size(baseline.bytes)}"


def totals_table(lines: Sequence[CostLine]) -> Table:
    """Return the sum of each tool's lines, by payer."""
    columns = (
        Column("tool"), Column("paid by the customer", number=True),
        Column("by the service", number=True), Column("together", number=True),
    )  # fmt: skip

    def total(own: Sequence[CostLine]) -> str:
        return str(Total.of(own)) if own else NOTHING

    rows = []
    for tool in dict.fromkeys(line.tool for line in lines):
        own = [line for line in lines if line.tool == tool]
        customer = [line for line in own if line.payer == "customer"]
        service = [line for line in own if line.payer == "service"]
        rows.append((tool, total(customer), total(service), total(own)))
    return Table(columns, tuple(rows))


def tools_table(costs: Costs, tested: Collection[str]) -> Table:
    """Return a month and this run of each tool under test, with the reason if it has no price."""
    projection = costs.projection
    rows = []
    for tool in tested:
        own = [line for line in costs.lines if line.tool == tool]
        if not own:
            rows.append((tool, NOTHING, text.NOT_PRICED, text.NOT_PRICED, "", ""))
            continue
        month = plan_month(tool, projection)
        why = next((line.note for line in own if line.amount is None), "")
        if month is None:
            total = Total.of(own)
            why = why.removeprefix(f"{text.NOT_PRICED}: ")  # the two cells before say that
            rows.append((tool, NOTHING, text.NOT_PRICED, str(total), worst_grade(own), why))
            continue
        note = MACHINES_ALONE if month.card == INFRASTRUCTURE_CARD else why
        a_month = text.dollar_range(month.least, month.most)
        this_run = str(Total.of(own))
        rows.append((tool, month.plan, a_month, this_run, month.grade, note))
    columns = (
        Column("tool"), Column("plan"), Column("a month", number=True),
        Column("this run", number=True), Column("grade"), Column("note"),
    )  # fmt: skip
    return Table(columns, tuple(rows))


def lines_table(lines: Sequence[CostLine]) -> Table:
    """Return the lines, each with the number of its source."""
    sources = _sources(lines)
    columns = (
        Column("tool"), Column("paid by"), Column("for"), Column("quantity", number=True),
        Column("amount", number=True), Column("basis"), Column("grade"), Column("source"),
    )  # fmt: skip
    rows = (
        (
            line.tool,
            line.payer,
            line.category,
            text.counted(line.quantity, line.unit) or NOTHING,
            str(Total.of([line])),
            line.basis,
            line.grade,
            str(sources[_citation(line)]) if line.source else NOTHING,
        )
        for line in lines
    )
    return Table(columns, tuple(rows))


def efficiency_table(projection: Projection) -> Table:
    """Return the use of each tool's Snowflake credits."""
    labels = (
        "credits", "per 1M changes", "idle", "statements", "wake-ups", "statements each",
        "bytes a row",
    )  # fmt: skip
    columns = (Column("tool"), *(Column(label, number=True) for label in labels))

    def figure(number: Decimal | int | None) -> str:
        return NOTHING if number is None else text.four_digits(Decimal(number))

    rows = (
        (
            tool.tool,
            figure(tool.credits),
            figure(tool.credits_per_million_changes),
            NOTHING if tool.idle_share is None else f"{tool.idle_share:.0%}",
            figure(tool.statements),
            figure(tool.wake_ups),
            figure(tool.statements_a_wake_up),
            figure(tool.bytes_a_row),
        )
        for tool in projection.snowflake
    )
    return Table(columns, tuple(rows))


def usage_table(projection: Projection) -> Table:
    """Return the usage of the run and of a month, with the vendors' own figures."""
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
        ("bytes as JSON", _size(run.bytes), _size(month.bytes)),
    )
    rows = ((*row, *(_reported(usage, row[0]) for usage in reported.values())) for row in cells)
    return Table(tuple(columns), tuple(rows))


def months_table(projection: Projection) -> Table:
    """Return the price of a month at the run's rate, by plan."""
    columns = (
        Column("vendor"), Column("plan"), Column("a month", number=True),
        Column("between", number=True), Column("per 1M changes", number=True),
        Column("per 1M distinct rows", number=True), Column("syncs every"), Column("grade"),
        Column("as of", number=True),
    )  # fmt: skip
    rows = (
        (
            vendor_name(month),
            month.plan,
            text.dollar_range(month.least, month.most),
            _between(month),
            text.dollars(month.per_million_changes),
            text.dollars(month.per_million_rows),
            text.duration(month.min_interval_seconds),
            month.grade,
            str(month.as_of or NOTHING),
        )
        for month in sorted(projection.months, key=lambda month: month.card == INFRASTRUCTURE_CARD)
    )
    return Table(columns, tuple(rows))


def vendor_name(month: PricedMonth) -> str:
    """Return a vendor's name; SimplyLoad's price is that of its machines."""
    name = short_vendor(month.vendor)
    return f"{name}'s machines" if month.card == INFRASTRUCTURE_CARD else name


def cheapest_months(projection: Projection, number: int) -> Table:
    """Return a month on the cheapest plan of each of so many vendors, and SimplyLoad's machines."""
    cheapest = cheapest_by_card(projection.months)
    vendors = [month for card, month in cheapest.items() if card != INFRASTRUCTURE_CARD][:number]
    machines = [month for card, month in cheapest.items() if card == INFRASTRUCTURE_CARD]
    return months_table(projection.model_copy(update={"months": (*vendors, *machines)}))


def price_dates(projection: Projection) -> str:
    """Return in a sentence when the prices of a month were published."""
    dates = sorted(month.as_of for month in projection.months if month.as_of)
    if not dates:
        return "The prices have no date."
    return f"Prices as of {dates[0]}" + (f" to {dates[-1]}." if dates[-1] != dates[0] else ".")


def copies_table(projection: Projection) -> Table:
    """Return what copying the baseline adds to a month, by plan."""
    columns = (
        Column("vendor"), Column("plan"), Column(FIRST_COPY, number=True),
        Column(RESYNC, number=True), Column("grade"), Column("notes"),
    )  # fmt: skip
    rows = (
        (
            short_vendor(month.vendor),
            month.plan,
            *(text.dollars(line.amount) for line in month.once),
            " ".join(dict.fromkeys(line.grade for line in month.once)),
            "; ".join(dict.fromkeys(line.note for line in month.once if line.note)),
        )
        for month in projection.months
        if month.once and projection.baseline
    )
    return Table(columns, tuple(rows))


def cheapest_table(projection: Projection) -> Table:
    """Return the cheapest vendor by ranges of monthly changes."""
    columns = (
        Column("changes a month"), Column("cheapest"), Column("price", number=True),
        Column("grade"),
    )  # fmt: skip

    def row(entry: CheapestVendors) -> tuple[str, str, str, str]:
        names = (short_vendor(projection.vendors[name]) for name in entry.vendors)
        low, high = _bound(entry.at_from), _bound(entry.at_to)
        points = (*entry.at_from, *entry.at_to)
        return (
            f"{text.big(entry.from_changes)} to {text.big(entry.to_changes)}",
            text.listed([*names], "or"),
            text.dollars(low) if low == high else f"{text.dollars(low)} to {text.dollars(high)}",
            max((point.grade for point in points), key=list(GRADES).index),
        )

    return Table(columns, tuple(map(row, projection.cheapest)))


def _lowest_price(projection: Projection) -> str:
    """Return the lowest published price of a month at the run's rate."""
    if projection.usage is None:
        return "The run committed nothing, so there is no month to estimate."
    month = f"At this run's rate a month is {text.big(projection.usage.month.changes)} changes"
    best = lowest_published(projection.months)
    if best is None:
        return f"{month}."
    plan = f"{short_vendor(best.vendor)}, {best.plan}"
    lowest = f"{month}; the lowest published price for it is {text.dollars(best.amount)} ({plan})."
    cheaper = [
        f"{short_vendor(other.vendor)}, {other.plan} at {text.dollars(other.amount)}"
        for other in cheaper_unpublished(projection.months, best)
    ]
    if not cheaper:
        return lowest
    return f"{lowest} Cheaper, but from background knowledge (K): {text.listed(cheaper)}."


def _sources(lines: Sequence[CostLine]) -> dict[str, int]:
    """Return the numbers by which the lines cite their sources."""
    citations = dict.fromkeys(_citation(line) for line in lines if line.source)
    return {source: number for number, source in enumerate(citations, 1)}


def _citation(line: CostLine) -> str:
    return f"{line.source}, as of {line.as_of}" if line.as_of else line.source


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


def _between(month: PricedMonth) -> str:
    if month.low is None or month.amount is None:
        return NOTHING
    return text.dollar_range(month.low, month.high)


def _bound(points: Sequence[PricePoint]) -> Decimal | None:
    """Return the lowest bound of these prices; None if none is bounded."""
    return min((point.most for point in points if point.most is not None), default=None)


def _distinct_rows(usage: UsageFigures) -> str:
    low, likely, high = map(text.big, usage.distinct_rows)
    return likely if low == high else f"{likely} ({low} to {high})"


def _size(bounds: tuple[int, int, int]) -> str:
    low, likely, high = map(text.gigabytes, bounds)
    return f"{likely} ({low} to {high})"
