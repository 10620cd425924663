"""AWS's list prices of one region, from the rate card."""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final

from loadgen.costs.cards import RateCard
from loadgen.costs.lines import PriceOfDay, Unavailable, list_price

GIGABYTE: Final = Decimal(1024) ** 3  # AWS bills storage in GiB
# The tiers of S3 storage in the card, each with its upper end in GB.
_TIERS: Final = (
    ("first_50_tb", Decimal(50 * 1024)),
    ("next_450_tb", Decimal(500 * 1024)),
    ("over_500_tb", None),
)


@dataclass(frozen=True, slots=True)
class AwsPrices:
    """The rate card, or why there is none, and the region."""

    card: RateCard | Unavailable
    region: str

    def of(self, table: str, column: str, per: int = 1) -> PriceOfDay:
        """Return the price of one unit, the same on each day; the card's price is for `per`."""
        price = list_price(self.card, table, self.region, column)
        if isinstance(price, Unavailable):
            if not isinstance(self.card, Unavailable):
                price = replace(
                    price, reason=f"{price.reason}: add it to aws.toml in RATE_CARDS_DIR"
                )
        else:
            price = replace(price, dollars=price.dollars / per)
        return lambda _: price


def split_by_tier(gigabytes: Decimal) -> Iterator[tuple[str, Decimal]]:
    """Yield how much storage falls into each tier, as if the account stored nothing else."""
    below = Decimal(0)
    for name, upto in _TIERS:
        most = gigabytes if upto is None else min(gigabytes, upto)
        if most > below:
            yield name, most - below
            below = most


def hours_of_month(day: date) -> Decimal:
    """Return the number of hours in the day's month, by which a monthly price is divided."""
    return Decimal(monthrange(day.year, day.month)[1] * 24)
