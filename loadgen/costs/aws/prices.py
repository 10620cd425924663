"""AWS' list prices of one region, from the rate card; a month's prices by the hour."""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from loadgen.costs.cards import RateCard
from loadgen.costs.lines import PriceOf, UnitPrice
from loadgen.costs.unavailable import Unavailable

GIGABYTE: Final = Decimal(1024) ** 3  # as AWS counts what is stored
# Names in the card, and up to how many GB of what is stored they hold.
_TIERS: Final = (
    ("first_50_tb", Decimal(50 * 1024)),
    ("next_450_tb", Decimal(500 * 1024)),
    ("over_500_tb", None),
)


@dataclass(frozen=True, slots=True)
class AwsPrices:
    """The card, or why there is none, and the region that is asked about."""

    card: RateCard | Unavailable
    region: str

    def price(self, table: str, column: str) -> UnitPrice | Unavailable:
        """Return a list price."""
        if isinstance(self.card, Unavailable):
            return self.card
        found = self.card.price(table, self.region, column)
        if found is None:
            return Unavailable(
                f"rate card {self.card.name} has no {table} of {column} in {self.region}: "
                "add it to aws.toml in RATE_CARDS_DIR"
            )
        title = f"rate card {self.card.name}: {found.source.title}"
        return UnitPrice(found.value, "list", found.grade, title, found.source.as_of)

    def of(self, table: str, column: str, per: int = 1) -> PriceOf:
        """Return the price as lines want it, whatever the day; of one, where it is for `per`."""
        found = self.price(table, column)

        def price(_: date) -> UnitPrice | Unavailable:
            if isinstance(found, Unavailable):
                return found
            return UnitPrice(found.value / per, found.basis, found.grade, found.source, found.as_of)

        return price


def tiers(gigabytes: Decimal) -> Iterator[tuple[str, Decimal]]:
    """Yield which part of what is stored falls into which tier, as if a month began with it."""
    below = Decimal(0)
    for name, upto in _TIERS:
        most = gigabytes if upto is None else min(gigabytes, upto)
        if most > below:
            yield name, most - below
            below = most


def hours_of_month(day: date) -> Decimal:
    """Return how many hours the day's month has: what a month's price is divided by."""
    return Decimal(monthrange(day.year, day.month)[1] * 24)
