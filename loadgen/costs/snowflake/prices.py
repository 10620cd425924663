"""The price of a credit and of a terabyte: by the contract's rate sheet, else by the rate card."""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Final

from loadgen.config.settings import Settings
from loadgen.costs.cards import RateCard
from loadgen.costs.lines import Unavailable, UnitPrice, list_price
from loadgen.costs.snowflake.views import ContractRate, WarehouseSettings

TERABYTE: Final = Decimal(1024) ** 4  # as Snowflake's own examples divide bytes
_SIZES: Final = {
    "X-SMALL": "xs", "SMALL": "s", "MEDIUM": "m", "LARGE": "l", "X-LARGE": "xl",
    "2X-LARGE": "2xl", "3X-LARGE": "3xl", "4X-LARGE": "4xl", "5X-LARGE": "5xl", "6X-LARGE": "6xl",
}  # fmt: skip


class SnowflakePrices:
    """Prices of one account: `rates` is its rate sheet, `card` the list prices, or why not.

    With `is_filled` the rate sheet has all of the run's days by now.
    """

    def __init__(
        self,
        settings: Settings,
        rates: Sequence[ContractRate] | Unavailable,
        card: RateCard | Unavailable,
        *,
        is_filled: bool,
    ) -> None:
        self._settings = settings
        self._rates = rates
        self._card = card
        self._settled = is_filled or isinstance(rates, Unavailable)

    def credit(self, day: date) -> UnitPrice | Unavailable:
        """Return the price of a credit on a day."""
        edition = self._settings.snowflake_edition
        return self._price(day, "WAREHOUSE_METERING", "credit", edition)

    def terabyte(self, day: date) -> UnitPrice | Unavailable:
        """Return the price of a terabyte for the day: a month's price over the month's days."""
        month = self._price(day, "STORAGE", "storage", "on_demand")
        if isinstance(month, Unavailable):
            return month
        days = monthrange(day.year, day.month)[1]
        return replace(month, dollars=month.dollars / days)

    def transfer(self, target: str) -> UnitPrice | Unavailable:
        """Return the price of a terabyte to `same_region`, `other_region` or `other`."""
        region = self._settings.snowflake_region or ""
        return list_price(self._card, "transfer", region.lower(), target)

    def credits_per_hour(self, warehouse: WarehouseSettings, size: str) -> Decimal | None:
        """Return the credits of an hour of the warehouse at a size; None if not known."""
        if isinstance(self._card, Unavailable) or warehouse.generation is None:
            return None
        cloud = (self._settings.snowflake_region or "aws").lower().partition("_")[0]
        row = "gen1" if warehouse.generation == "1" else f"gen{warehouse.generation}_{cloud}"
        price = self._card.price("credits_per_hour", row, _SIZES.get(size.upper(), size))
        return None if price is None else price.rate

    def _price(
        self, day: date, service: str, table: str, column: str | None
    ) -> UnitPrice | Unavailable:
        contract = self._contract(day, service)
        if isinstance(contract, UnitPrice):
            return contract
        region = self._settings.snowflake_region
        if region is None or column is None:
            missing = "SNOWFLAKE_REGION" if column else "SNOWFLAKE_EDITION"
            reason = f"{missing} is not set, and there is no contract rate: {contract.reason}"
            return Unavailable(reason, temporary=not self._settled)
        price = list_price(self._card, table, region.lower(), column)
        return replace(price, final=self._settled) if isinstance(price, UnitPrice) else price

    def _contract(self, day: date, service: str) -> UnitPrice | Unavailable:
        """Return the rate of the day, or of the last day before it that has one."""
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
