"""What a credit and a terabyte cost: by the contract's own rate sheet, else by the rate card."""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Final

from loadgen.config.settings import Settings
from loadgen.costs.cards import RateCard
from loadgen.costs.lines import UnitPrice
from loadgen.costs.snowflake.rows import Rate, Warehouse
from loadgen.costs.unavailable import Unavailable

TERABYTE: Final = Decimal(1024) ** 4  # as Snowflake's own examples divide bytes
_SIZES: Final = {
    "X-SMALL": "xs", "SMALL": "s", "MEDIUM": "m", "LARGE": "l", "X-LARGE": "xl",
    "2X-LARGE": "2xl", "3X-LARGE": "3xl", "4X-LARGE": "4xl", "5X-LARGE": "5xl", "6X-LARGE": "6xl",
}  # fmt: skip


class SnowflakePrices:
    """Prices of one account; `rates` is its rate sheet, `card` the list prices, or why not.

    `filled` is whether the rate sheet has all of the run's days by now.
    """

    def __init__(
        self,
        settings: Settings,
        rates: Sequence[Rate] | Unavailable,
        card: RateCard | Unavailable,
        *,
        filled: bool,
    ) -> None:
        self._settings = settings
        self._rates = rates
        self._card = card
        self._settled = filled or isinstance(rates, Unavailable)

    def credit(self, day: date) -> UnitPrice | Unavailable:
        """Return what a credit costs on a day."""
        edition = self._settings.snowflake_edition
        return self._price(day, "WAREHOUSE_METERING", "credit", edition)

    def terabyte(self, day: date) -> UnitPrice | Unavailable:
        """Return what a terabyte costs for the day: a month's price over the month's days."""
        month = self._price(day, "STORAGE", "storage", "on_demand")
        if isinstance(month, Unavailable):
            return month
        days = monthrange(day.year, day.month)[1]
        return replace(month, value=month.value / days)

    def transfer(self, where: str) -> UnitPrice | Unavailable:
        """Return what a terabyte costs that leaves for `same_region`, `other_region`, `other`."""
        return self._listed("transfer", where)

    def per_hour(self, warehouse: Warehouse, size: str) -> Decimal | Unavailable:
        """Return the credits that an hour of the warehouse takes at a size."""
        if isinstance(self._card, Unavailable):
            return self._card
        column = _SIZES.get(size.upper(), size)
        cloud = (self._settings.snowflake_region or "aws").lower().partition("_")[0]
        row = "gen1" if warehouse.generation == "1" else f"gen{warehouse.generation}_{cloud}"
        if warehouse.generation is None:
            return Unavailable(f"the generation of {warehouse.name} is not shown")
        found = self._card.price("credits_per_hour", row, column)
        if found is None:
            return Unavailable(f"the rate card has no credits per hour for {row}, {size}")
        return found.value

    def _price(
        self, day: date, service: str, table: str, column: str | None
    ) -> UnitPrice | Unavailable:
        found = self._contract(day, service)
        if isinstance(found, UnitPrice):
            return found
        region = self._settings.snowflake_region
        if region is None or column is None:
            missing = "SNOWFLAKE_REGION" if column else "SNOWFLAKE_EDITION"
            why = f"{missing} is not set, and the contract's rate: {found.why}"
            return Unavailable(why, yet=not self._settled)
        listed = self._listed(table, column, region)
        return replace(listed, final=self._settled) if isinstance(listed, UnitPrice) else listed

    def _contract(self, day: date, service: str) -> UnitPrice | Unavailable:
        """Return the rate of the day, or of the last day before that has one."""
        if isinstance(self._rates, Unavailable):
            return self._rates
        known = [rate for rate in self._rates if rate.service == service and rate.day <= day]
        if not known:
            return Unavailable("RATE_SHEET_DAILY has no row of this account")
        last = max(known, key=lambda rate: rate.day)
        if last.currency != "USD":
            return Unavailable(f"RATE_SHEET_DAILY is in {last.currency}, and costs are in dollars")
        settled = self._settled or last.day == day
        return UnitPrice(last.rate, "measured", "P", "RATE_SHEET_DAILY", last.day, settled)

    def _listed(self, table: str, column: str, row: str | None = None) -> UnitPrice | Unavailable:
        if isinstance(self._card, Unavailable):
            return self._card
        row = (row or self._settings.snowflake_region or "").lower()
        found = self._card.price(table, row, column)
        if found is None:
            return Unavailable(
                f"rate card {self._card.name} has no {table} for {row or 'no region'}, {column}"
            )
        title = f"rate card {self._card.name}: {found.source.title}"
        return UnitPrice(found.value, "list", found.grade, title, found.source.as_of)
