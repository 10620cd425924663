"""A month's price before any run as tables and sentences, for `loadgen costs --expected`. Pure."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from loadgen import text
from loadgen.costs.cards import STALE_DAYS
from loadgen.costs.estimate import FIRST_COPY, RESYNC
from loadgen.costs.expected_month import ExpectedMonth, LeftOut, Statistics, VendorMonth
from loadgen.record.costs import UsageFigures
from loadgen.report.analysis.tool_summary import INFRASTRUCTURE_CARD
from loadgen.report.tables.costs import vendor_name
from loadgen.text import NOTHING, Column, Table

_TABLES: Final = 10  # that are shown each by itself
_NAMED: Final = 3  # tables of a vendor's bill
_FIXED: Final = Decimal("0.05")  # of a bill: if all tables make less, its fees are fixed ones
_PERCENT: Final = Decimal("0.01")
_SHORT_WINDOW: Final = 86_400  # seconds: less than a day has its own hours only


def month_by_table(month: ExpectedMonth) -> Table:
    """Return the month's changes and the copied bytes of the busiest tables, and of all."""
    columns = (
        Column("table"), Column("inserts", number=True), Column("updates", number=True),
        Column("deletes", number=True), Column("distinct rows", number=True),
        Column("bytes", number=True), Column(FIRST_COPY, number=True),
    )  # fmt: skip
    busiest = sorted(
        month.tables.items(), key=lambda each: (-each[1].month.changes, -each[1].copied.bytes[1])
    )
    shown = busiest if len(busiest) <= _TABLES + 1 else busiest[:_TABLES]
    rows = [_row(name, table.month, table.copied.bytes[1]) for name, table in shown]
    name = "all" if len(shown) == len(busiest) else f"all {len(busiest):,}"
    rows.append(_row(name, month.usage, month.copied.bytes[1]))
    return Table(columns, tuple(rows), total=True)


def _row(name: str, month: UsageFigures, copied: int) -> tuple[str, ...]:
    figures = (month.inserts, month.updates, month.deletes, month.distinct_rows[1])
    sizes = (text.gigabytes(month.bytes[1]), text.gigabytes(copied))
    return (name, *map(text.big, figures), *sizes)


def month_by_vendor(month: ExpectedMonth) -> Table:
    """Return each vendor's price of the month and of a copy, and the tables that make its bill."""
    columns = (
        Column("vendor"), Column("plan"), Column("a month", number=True),
        Column(FIRST_COPY, number=True), Column(RESYNC, number=True), Column("grade"),
        Column("most of the bill"),
    )  # fmt: skip
    rows = tuple(
        (
            vendor_name(vendor.price),
            vendor.price.plan,
            text.dollar_range(vendor.price.least, vendor.price.most),
            *(text.dollars(line.amount) for line in vendor.price.once),
            vendor.price.grade,
            _largest(vendor),
        )
        for vendor in sorted(month.vendors.values(), key=_is_machines)
    )
    return Table(columns, rows)


def _is_machines(vendor: VendorMonth) -> bool:
    """Tell whether it is no vendor but the price of machines, which comes last."""
    return vendor.price.card == INFRASTRUCTURE_CARD


def _largest(vendor: VendorMonth) -> str:
    if not vendor.price.most:
        return NOTHING if vendor.price.most is not None else text.NOT_PRICED
    if sum(table.share for table in vendor.tables) < _FIXED:
        return "fixed fees"
    return ", ".join(
        f"{table.table} {f'{table.share:.0%}' if table.share >= _PERCENT else '<1%'}"
        for table in vendor.tables[:_NAMED]
    )


def month_notes(month: ExpectedMonth) -> Iterator[str]:
    """Yield the assumptions of the month's price, and the parts that it lacks."""
    low, _, high = month.usage.distinct_rows
    least, _, most = month.usage.bytes
    distinct = _band(text.big(low), text.big(high))
    bytes_moved = _band(text.gigabytes(least), text.gigabytes(most))
    yield (
        f"Distinct rows are {distinct}, bytes {bytes_moved}: a band is what is not known of "
        "updates and of how a vendor counts."
    )
    yield (
        "Not in the price: the credits with which Snowflake loads the rows. A run with the tool "
        "measures them."
    )
    if month.statistics is not None:
        yield from _of_statistics(month.statistics)
    if month.left_out is not None:
        yield _of_others(month.left_out)
    if month.warnings:
        yield (
            f"Older than {STALE_DAYS} days: {text.plural(len(month.warnings), 'source')} of "
            "prices; `loadgen costs --expected --json` names them."
        )


def _band(least: str, most: str) -> str:
    return least if least == most else f"{least} to {most}"


def _of_statistics(statistics: Statistics) -> Iterator[str]:
    read_at, seconds = f"{statistics.read_at:%Y-%m-%d %H:%M} UTC", statistics.window_seconds
    if seconds is None:
        yield (
            f"Modelled from statistics of {read_at}, counted over an unknown time: import again "
            "with --interval to measure the rates."
        )
    elif seconds < _SHORT_WINDOW:
        yield (
            f"Modelled from statistics of {read_at}, counted over {text.duration(seconds)}: a "
            "month priced from a quiet hour is wrong. Import again with --interval 24h --every 1h."
        )
    else:
        yield f"Modelled from statistics of {read_at}, counted over {text.duration(seconds)}."
    if uncounted := statistics.uncounted:
        yield (
            f"The writes of {text.plural(len(uncounted), 'table')} could not be read "
            f"({text.first_few(uncounted)}): their price is a guess."
        )


def _of_others(left_out: LeftOut) -> str:
    rate = left_out.writes_per_hour
    writes = "unknown writes" if rate is None else f"{text.plural(round(rate), 'write')} an hour"
    return (
        f"Not in the price: {text.plural(left_out.tables, 'table')} that the model leaves out, "
        f"with {text.gigabytes(left_out.bytes)} and {writes}."
    )
