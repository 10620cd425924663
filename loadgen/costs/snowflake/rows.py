"""What a row of Snowflake's usage views is, and what follows from one row alone. Pure."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from loadgen.costs.billing_window import Window

OWN_TAGS: Final = "loadgen "  # what the query tags of our own statements begin with


@dataclass(frozen=True, slots=True)
class MeteredHour:
    """Credits of a warehouse in one clock hour; None where Snowflake has not filled it in."""

    warehouse: str
    hour: Window
    compute: Decimal | None
    cloud: Decimal | None
    attributed: Decimal | None


@dataclass(frozen=True, slots=True)
class MeteredDay:
    """Credits of the account on one UTC day: those of warehouses, and its cloud services."""

    day: date
    compute: Decimal
    cloud: Decimal | None
    adjustment: Decimal | None

    @property
    def billed_cloud(self) -> Decimal | None:
        """What is billed of the cloud services: what is above a tenth of the warehouses' credits.

        By Snowflake's own adjustment where that is filled in, else by the rule.
        """
        if self.cloud is None:
            return None
        free = self.compute / 10 if self.adjustment is None else -self.adjustment
        return max(self.cloud - free, Decimal(0))


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement that a warehouse ran."""

    warehouse: str
    span: Window
    user: str
    role: str
    tag: str
    size: str = ""  # of the warehouse when it ran; "" where Snowflake does not say it

    @property
    def who(self) -> str:
        """Whose it was: a user's, or our own, whoever we logged in as."""
        return whose(self.user, self.tag)


@dataclass(frozen=True, slots=True)
class Warehouse:
    """How a warehouse is set up now; `auto_suspend` in seconds, None for never."""

    name: str
    size: str
    generation: str | None
    auto_suspend: int | None
    acceleration: bool

    def __str__(self) -> str:
        generation = f"Gen{self.generation}" if self.generation else "generation not shown"
        sleeps = f"AUTO_SUSPEND {self.auto_suspend} s" if self.auto_suspend else "never suspends"
        return f"{self.name}, {self.size} {generation}, {sleeps}"


@dataclass(frozen=True, slots=True)
class Serverless:
    """Credits of a service without warehouse in a clock hour.

    `of` is a database or warehouse, "" where Snowflake names none; `name` is the entity's.
    """

    of: str
    service: str
    hour: Window
    credits: Decimal
    name: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes of a database on one UTC day, its average."""

    database: str
    day: date
    live: Decimal
    failsafe: Decimal

    @property
    def bytes(self) -> Decimal:
        """All that is paid for."""
        return self.live + self.failsafe


@dataclass(frozen=True, slots=True)
class Rate:
    """What the contract says that one unit of a service costs on a day."""

    day: date
    service: str
    currency: str
    rate: Decimal


def whose(user: str, tag: str) -> str:
    """Return whose a statement was: a user's, or ours, by its query tag."""
    return f"{user} as {tag}" if tag.startswith(OWN_TAGS) else user
