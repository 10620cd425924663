"""Prices a month of a workload from its model, before any run: by table and by vendor.

Of an imported model it is a month of the database itself, in its real size and at its real rates.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from loadgen.config.settings import Settings
from loadgen.costs.cards import RateCard, load_cards
from loadgen.costs.projection import baseline_size, plans_on_offer, priced_month, usage_figures
from loadgen.costs.usage import MONTH_HOURS, Band, Usage
from loadgen.costs.workload import (
    Baseline,
    Workload,
    imported_workload,
    planned_workload,
    total_usage,
)
from loadgen.record.costs import (
    BaselineSize,
    PricedMonth,
    UsageFigures,
    cheapest_by_card,
)
from loadgen.record.model import Exact, Finite, Moment, RecordModel
from loadgen.workload.model import Imported
from loadgen.workload.read_model import read_model, without_transfers

_SMALLEST_SHARE = Decimal("0.0001")


class Statistics(RecordModel):
    """When an import read its database, and how long its writes had been counted."""

    read_at: Moment
    window_seconds: Finite | None
    uncounted: tuple[str, ...]  # tables whose writes the role could not read


class LeftOut(RecordModel):
    """What the imported database has beside the model's tables; it is not in the price."""

    tables: int
    bytes: int
    writes_per_hour: Finite | None  # None if none of theirs could be read


class TableMonth(RecordModel):
    """A month's changes of a table; `copied` is what a first copy or a re-sync moves of it."""

    month: UsageFigures
    copied: BaselineSize


class TableShare(RecordModel):
    """A table's share of a bill, from 0 to 1."""

    table: str
    share: Exact


class VendorMonth(RecordModel):
    """A month on a vendor's cheapest plan, and the tables that make the bill, largest first.

    Fixed fees are no table's, so the shares may add up to less than 1.
    """

    price: PricedMonth
    tables: tuple[TableShare, ...]


class ExpectedMonth(RecordModel):
    """The price of a month of a workload; `vendors` is by rate card, the cheapest first."""

    workload: str
    statistics: Statistics | None = None  # of an imported model
    left_out: LeftOut | None = None
    usage: UsageFigures
    copied: BaselineSize
    tables: dict[str, TableMonth]
    vendors: dict[str, VendorMonth]
    warnings: tuple[str, ...] = ()


def expected_month(settings: Settings, at: datetime) -> ExpectedMonth:
    """Return the price of a month of the workload that the settings name. Raises SettingsError."""
    model, cards = read_model(settings.workload), load_cards(settings.rate_cards_dir)
    imported, hours = model.imported, Decimal(MONTH_HOURS)
    if imported is not None:  # the real database has no transfers of ours
        model = read_model(without_transfers(settings.workload))
    if imported is None:
        workload = planned_workload(settings)
    else:
        workload = imported_workload(settings, model, imported)
    counts = {name: round(rate * MONTH_HOURS) for name, rate in workload.per_hour.items()}
    months = workload.usage_by_table(counts, hours)
    usage = total_usage(months.values(), hours)
    copies = {name: _copied(name, workload, imported) for name in model.tables}
    copied = _together(copies.values())
    names = [name for name in dict.fromkeys([*months, *copies]) if name]
    return ExpectedMonth(
        workload=model.name,
        statistics=_statistics(imported, names) if imported else None,
        left_out=_left_out(imported, names) if imported else None,
        usage=usage_figures(usage),
        copied=baseline_size(copied),
        tables={
            name: TableMonth(
                month=usage_figures(months.get(name) or total_usage((), hours)),
                copied=baseline_size(copies[name]),
            )
            for name in names
        },
        vendors=_vendors(list(cards.values()), at.date(), usage, months, copied),
        warnings=tuple(text for card in cards.values() for text in card.warnings(at.date())),
    )


def _copied(name: str, workload: Workload, imported: Imported | None) -> Baseline:
    """Return what a copy of the table moves: its real size, if the model was imported.

    A disk holds rows otherwise than a vendor counts them, so the bytes of the model's rows widen
    the band.
    """
    rows, size = workload.rows.get(name, 0), workload.sizes[name]
    made = Band(*(rows * bound for bound in size))
    if imported is None or name not in imported.tables:
        return Baseline(Decimal(rows), made)
    real = Decimal(imported.tables[name].bytes)
    return Baseline(Decimal(rows), Band(min(made.low, real), real, max(made.high, real)))


def _together(copies: Collection[Baseline]) -> Baseline:
    low, likely, high = (sum((c.bytes[b] for c in copies), Decimal(0)) for b in range(3))
    return Baseline(sum((copy.rows for copy in copies), Decimal(0)), Band(low, likely, high))


def _statistics(imported: Imported, names: Collection[str]) -> Statistics:
    return Statistics(
        read_at=datetime.fromisoformat(imported.read_at),
        window_seconds=imported.window_seconds,
        uncounted=tuple(
            name
            for name in names
            if name in imported.tables and imported.tables[name].writes is None
        ),
    )


def _left_out(imported: Imported, names: Collection[str]) -> LeftOut | None:
    others = [table for name, table in imported.tables.items() if name not in names]
    if not others:
        return None
    writes = [table.writes for table in others if table.writes is not None]
    return LeftOut(
        tables=len(others),
        bytes=sum(table.bytes for table in others),
        writes_per_hour=sum(writes) if writes else None,
    )


def _vendors(
    cards: Sequence[RateCard],
    day: date,
    usage: Band[Usage],
    months: Mapping[str, Band[Usage]],
    copied: Baseline,
) -> dict[str, VendorMonth]:
    """Return each vendor's cheapest plan, with the shares of the tables."""
    offers = {
        (month.card, month.plan): (month, price)
        for price in plans_on_offer(cards, day, usage.likely)
        for month in [priced_month(price, usage, day, copied)]
    }
    likely = {name: band.likely for name, band in months.items() if name}
    vendors = {}
    for card, month in cheapest_by_card(month for month, _ in offers.values()).items():
        price = offers[card, month.plan][1]
        shares = price.bill_shares(usage.likely, likely)
        vendors[card] = VendorMonth(
            price=month,
            tables=tuple(
                TableShare(table=name, share=share.quantize(_SMALLEST_SHARE))
                for name, share in sorted(shares.items(), key=lambda pair: -pair[1])
                if share >= _SMALLEST_SHARE
            ),
        )
    return vendors
