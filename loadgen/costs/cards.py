"""Rate cards: dated list prices with their sources, one TOML file per vendor.

The files in rate_cards/ ship with the program; a file of the same name in RATE_CARDS_DIR replaces
one. Numbers are Decimals exactly as written. An unknown price is `unpriced = "reason"`, since no
default may make it $0. A card has the vendor's `plans`, and `tables` of prices by two keys (region
and edition, generation and size).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loadgen.errors import SettingsError, one_line
from loadgen.record.costs import Grade, Payer
from loadgen.untrusted import parse_toml, reading

STALE_DAYS: Final = 90
_SHOWN: Final = 60  # characters of a name in a message

# The meters that a vendor may charge by; `usage` computes them.
Meter = Literal[
    "inserts",
    "updates",
    "deletes",
    "changes",
    "distinct_rows",
    "gigabytes",
    "connections",
    "connection_hours",
    "hours",
    "months",
]
_Text = Annotated[str, Field(min_length=1)]
_Price = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
_Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PriceSource(_Table):
    """The page that has a price, and `as_of`, the last day on which it was checked."""

    title: _Text
    url: _Text | None = None
    as_of: date
    grade: Grade


class Tier(_Table):
    """The price of one unit up to a quantity; the last tier has no `upto`.

    It has either `rate`, or `unpriced` with the reason and perhaps the bound `at_most`.
    """

    upto: _Positive | None = None
    rate: _Price | None = None
    unpriced: _Text | None = None
    at_most: _Price | None = None

    @model_validator(mode="after")
    def _has_rate_or_reason(self) -> "Tier":
        if (self.rate is None) == (self.unpriced is None):
            raise ValueError('a tier has rate = a number, or unpriced = "why", and not both')
        if self.rate is not None and self.at_most is not None:
            raise ValueError("at_most goes with unpriced only")
        return self


class Charge(_Table):
    """One charge of a plan: meter x factor units, less those included, by tiers.

    Rates are dollars per `per` units.
    """

    category: _Text
    meter: Meter
    unit: _Text
    factor: _Positive = Decimal(1)
    per: _Positive = Decimal(1)
    included: Annotated[Decimal, Field(ge=0)] = Decimal(0)
    tiers: Annotated[tuple[Tier, ...], Field(min_length=1)]
    source: _Text
    grade: Grade | None = None  # if it is less certain than its source
    note: str = ""

    @model_validator(mode="after")
    def _has_rising_tiers(self) -> "Charge":
        ends = [tier.upto for tier in self.tiers]
        limits = [end for end in ends[:-1] if end is not None]
        if len(limits) < len(ends) - 1 or ends[-1] is not None:
            raise ValueError("each tier but the last has upto, and the last has none")
        if any(low >= high for low, high in pairwise(limits)):
            raise ValueError("upto has to rise from tier to tier")
        return self


class Base(_Table):
    """The fixed fee of a month: usage comes on top (`add`), or fills it up first (`floor`).

    With `meter` and `upto` it applies only while that meter is above 0 and at most `upto`.
    """

    amount: _Price | None = None
    unpriced: _Text | None = None
    mode: Literal["add", "floor"] = "add"
    meter: Meter | None = None
    upto: _Positive | None = None
    source: _Text
    grade: Grade | None = None
    note: str = ""

    @model_validator(mode="after")
    def _has_amount_or_reason(self) -> "Base":
        if (self.amount is None) == (self.unpriced is None):
            raise ValueError('base has amount = a number, or unpriced = "why", and not both')
        if (self.meter is None) != (self.upto is None):
            raise ValueError("meter and upto of base go together")
        return self


class Copying(_Table):
    """Whether a vendor bills copied rows that did not change."""

    billed: bool
    source: _Text
    grade: Grade | None = None  # if it is less certain than its source
    note: str = ""


class PricePlan(_Table):
    """One plan of a vendor: its charges, and the first and last day on which it is sold.

    Beyond one of the `limits` (by meter) the plan can't be had. Plans of the same name that are
    sold together are its sizes, with different titles.
    """

    name: _Text
    title: _Text
    effective_from: date | None = None
    effective_to: date | None = None
    min_interval_seconds: Annotated[int, Field(gt=0)] | None = None
    base: Base | None = None
    charges: tuple[Charge, ...] = ()
    limits: Mapping[Meter, _Positive] = Field(default_factory=dict)
    connections: Annotated[int, Field(ge=1)] = 1  # of one pipeline
    compared: bool = True  # whether the comparison of all vendors has it
    note: str = ""

    def is_sold(self, day: date) -> bool:
        """Return whether the plan is sold on that day."""
        has_begun = self.effective_from is None or self.effective_from <= day
        return has_begun and not self.has_ended(day)

    def has_ended(self, day: date) -> bool:
        """Return whether the plan is no longer sold on that day."""
        return self.effective_to is not None and self.effective_to < day


class PriceTable(_Table):
    """Prices by two keys: `rows.FIRST.SECOND = number`."""

    unit: _Text
    source: _Text
    grade: Grade | None = None
    rows: Mapping[str, Mapping[str, _Price]]


@dataclass(frozen=True, slots=True)
class ListPrice:
    """One price of a table, and how reliable it is."""

    rate: Decimal
    unit: str
    source: PriceSource
    grade: Grade


class RateCard(_Table):
    """One vendor's prices.

    `first_copy` and `resync` are None if the vendor does not say whether it bills copies.
    """

    name: str
    vendor: _Text
    currency: Literal["USD"] = "USD"
    payer: Payer = "service"
    infrastructure: bool = False  # an estimate of AWS resources, not a vendor's bill
    sources: Annotated[Mapping[str, PriceSource], Field(min_length=1)]
    plans: tuple[PricePlan, ...] = ()
    first_copy: Copying | None = None
    resync: Copying | None = None
    tables: Mapping[str, PriceTable] = Field(default_factory=dict)
    note: str = ""

    @model_validator(mode="after")
    def _has_its_sources(self) -> "RateCard":
        for place, source in self._citations():
            if source not in self.sources:
                known = ", ".join(self.sources)
                raise ValueError(f"{place} cites {source!r}, but [sources] has {known}")
        return self

    def price(self, table: str, row: str, column: str) -> ListPrice | None:
        """Return a price of a table; None if the card has none for these keys."""
        prices = self.tables.get(table)
        rate = prices.rows.get(row, {}).get(column) if prices is not None else None
        if prices is None or rate is None:
            return None
        source = self.sources[prices.source]
        return ListPrice(rate, prices.unit, source, prices.grade or source.grade)

    def plan(self, name: str | None, day: date) -> PricePlan | None:
        """Return the plan of that name or title on that day; without a name the first on sale.

        A plan that has ended is found too, for those who still have it.
        """
        on_sale = [plan for plan in self.plans if plan.is_sold(day)]
        has_ended = [plan for plan in self.plans if plan.has_ended(day)]
        if name is None:
            return next(iter(on_sale), None)
        named = [plan for plan in [*on_sale, *has_ended] if name in {plan.name, plan.title}]
        return next(iter(named), None)

    def warnings(self, today: date) -> list[str]:
        """Return a warning for each source that is older than STALE_DAYS."""
        return [
            f"rate card {self.name}: {source.title} is of {source.as_of}, {days} days ago: "
            f"check the price and correct {self.name}.toml"
            for source in self.sources.values()
            if (days := (today - source.as_of).days) > STALE_DAYS
        ]

    def _citations(self) -> Iterator[tuple[str, str]]:
        for plan in self.plans:
            if plan.base is not None:
                yield f"base of plan {plan.name}", plan.base.source
            for charge in plan.charges:
                yield f"{charge.category} of plan {plan.name}", charge.source
        for key, copying in (("first_copy", self.first_copy), ("resync", self.resync)):
            if copying is not None:
                yield key, copying.source
        for name, table in self.tables.items():
            yield f"table {name}", table.source


def load_cards(folder: Path | None = None) -> dict[str, RateCard]:
    """Return the rate cards by name; those of `folder` replace the packaged ones.

    Raises SettingsError with a line for each error in a card.
    """
    return {name: load_card(name, folder) for name in sorted(_names(folder))}


def load_card(name: str, folder: Path | None = None) -> RateCard:
    """Return one rate card. Raises SettingsError if there is none, or it is wrong."""
    packaged = files("loadgen.costs").joinpath("rate_cards", f"{name}.toml")
    own = folder / f"{name}.toml" if folder is not None else None
    known = sorted(_names(folder))
    if name not in known:
        shown = one_line(repr(name), _SHOWN)
        raise SettingsError(f"there is no rate card {shown}: there are {', '.join(known)}")
    file = own if own is not None and own.is_file() else packaged
    with reading(file, "correct or remove it", SettingsError):
        text = file.read_text(encoding="utf-8")
    return parse_card(name, text, str(file))


def parse_card(name: str, text: str, place: str) -> RateCard:
    """Return the card of the file's text; errors name it as `place`. Raises SettingsError."""
    tables = parse_toml(text, place, parse_float=Decimal)
    try:
        return RateCard.model_validate({**tables, "name": name})
    except ValidationError as exc:
        lines = [
            f"{place}: {_location(error['loc'])}{_message(error['msg'])}" for error in exc.errors()
        ]
        raise SettingsError("\n".join(lines)) from exc


def _names(folder: Path | None) -> set[str]:
    packaged = files("loadgen.costs").joinpath("rate_cards")
    names = {file.name for file in packaged.iterdir()}
    if folder is not None:
        with reading("RATE_CARDS_DIR", "name a folder of rate cards", SettingsError):
            if not folder.is_dir():
                raise SettingsError(
                    f"RATE_CARDS_DIR is {folder}, which is no folder: create or unset it"
                )
            names |= {file.name for file in folder.iterdir()}
    return {name.removesuffix(".toml") for name in names if name.endswith(".toml")}


def _location(location: tuple[int | str, ...]) -> str:
    parts = [
        f"number {part + 1}" if isinstance(part, int) else one_line(part, _SHOWN)
        for part in location
    ]
    return f"{', '.join(parts)}: " if parts else ""


def _message(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return one_line(message[0].lower() + message[1:])
