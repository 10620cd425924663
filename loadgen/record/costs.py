"""costs.json of the run record: cost lines, and the projection of a month.

A line's amount is dollars, as Decimal here and as a decimal string in the file. None is "not
priced", never nothing; the line's note then says why. Totals are sums of lines.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

from pydantic import Field, TypeAdapter, model_validator

from loadgen.record.model import SCHEMA_VERSION, Exact, Moment, RecordFile, RecordModel, SparseModel
from loadgen.text import dollar_range

Payer = Literal["customer", "service"]
Basis = Literal["measured", "list", "estimate"]
Grade = Literal["P", "S", "K", "?"]
Mode = Literal["provisional", "final"]

GRADES: Final[Mapping[Grade, str]] = {
    "P": "published by the vendor",
    "S": "published by others, not verified",
    "K": "background knowledge, not verified",
    "?": "not known",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """An item of a bill, or of an estimate.

    `payer` is who sees it on a bill: the customer (Snowflake, the source) or the service (the
    vendor's price, or SimplyLoad's own infrastructure). If the amount is None, `at_most` may
    still bound it. `final` is False where later figures of the same period will replace it.
    """

    tool: str
    payer: Payer
    category: str
    quantity: Exact | None = None
    unit: str = ""
    unit_price: Exact | None = None
    amount: Exact | None
    basis: Basis
    grade: Grade
    source: str
    as_of: date | None
    note: str = ""
    at_most: Exact | None = None
    final: bool = True

    def __post_init__(self) -> None:
        for name, known in _ALLOWED.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}, not one of {known}")
        if self.amount is None and not self.note:
            raise ValueError(f"{self.tool}, {self.category}: a line without amount says why")
        for name in _DECIMALS:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, Decimal) and value.is_finite()):
                raise ValueError(f"{name} is {value!r}, not a Decimal")


_ALLOWED: Final = {
    "payer": get_args(Payer),
    "basis": get_args(Basis),
    "grade": get_args(Grade),
}
_DECIMALS: Final = ("quantity", "unit_price", "amount", "at_most")


COST_LINES: Final = TypeAdapter(tuple[CostLine, ...])  # for lines outside of costs.json


def worst_grade(lines: Iterable[CostLine]) -> Grade:
    """Return the worst grade of the lines."""
    order = list(GRADES)
    return max((line.grade for line in lines), key=order.index, default="?")


def not_priced(tool: str, payer: Payer, category: str, why: str, source: str = "") -> CostLine:
    """Return a line without an amount, with the reason in its note."""
    return CostLine(
        tool=tool,
        payer=payer,
        category=category,
        amount=None,
        basis="estimate",
        grade="?",
        source=source,
        as_of=None,
        note=f"not priced: {why}",
    )


@dataclass(frozen=True, slots=True)
class Total:
    """A sum of lines: the dollars of the priced ones, and the number of the others."""

    amount: Decimal
    unpriced: int
    at_most: Decimal | None  # None if a line has neither amount nor bound

    def __str__(self) -> str:
        return dollar_range(self.amount, self.at_most)

    @classmethod
    def of(cls, lines: Iterable[CostLine]) -> "Total":
        """Return the total of the lines; without a priced line its amount is 0."""
        amount, at_most, unpriced = Decimal(0), Decimal(0), 0
        bounded = True
        for line in lines:
            highest = line.at_most if line.amount is None else line.amount
            amount += line.amount or 0
            unpriced += line.amount is None
            bounded = bounded and highest is not None
            at_most += highest or 0
        return cls(amount, unpriced, at_most if bounded else None)


def short_vendor(vendor: str) -> str:
    """Return a vendor's name without its former name or owner in parentheses."""
    return vendor.partition(" (")[0]


class UsageFigures(RecordModel):
    """The writes of a period; three figures are the lowest, the likely and the highest."""

    inserts: int
    updates: int
    deletes: int
    changes: int
    hours: Exact
    distinct_rows: tuple[int, int, int]
    bytes: tuple[int, int, int]


class ProjectedUsage(RecordModel):
    """The writes of the run, and of a month at its rate."""

    run: UsageFigures
    month: UsageFigures


class BaselineSize(RecordModel):
    """The size of a first copy; the bytes are the lowest, the likely and the highest."""

    rows: int
    bytes: tuple[int, int, int]


class PricedMonth(RecordModel):
    """A month at the run's rate on one plan.

    `amount` is None if a part is not priced; then it lies between `least` and `most`. `low` and
    `high` are the prices of the lowest and the highest usage. `once` is what copying the baseline
    adds, the first time and again.
    """

    card: str
    vendor: str
    plan: str
    former: bool
    min_interval_seconds: int | None = None
    amount: Exact | None
    least: Exact
    most: Exact | None
    low: Exact | None
    high: Exact | None
    per_million_changes: Exact | None
    per_million_rows: Exact | None
    grade: Grade
    as_of: date | None
    lines: tuple[CostLine, ...] = ()
    once: tuple[CostLine, ...] = ()

    @model_validator(mode="after")
    def _has_both_copies(self) -> "PricedMonth":
        if len(self.once) not in {0, 2}:
            raise ValueError("once does not hold a first copy and a re-sync")
        return self


def cheapest_by_card(months: Iterable[PricedMonth]) -> dict[str, PricedMonth]:
    """Return each card's cheapest plan, the cheapest card first.

    A plan of which a part is not priced is placed by the part that is.
    """
    cheapest: dict[str, PricedMonth] = {}
    for month in sorted(months, key=lambda month: month.least):
        cheapest.setdefault(month.card, month)
    return cheapest


class PricePoint(RecordModel):
    """A month's price between two bounds, the plan that it is of, and its grade."""

    plan: str
    least: Exact
    most: Exact | None
    grade: Grade


class PriceCurve(RecordModel):
    """A month's price by vendor at each of the values x."""

    x: Annotated[tuple[int, ...], Field(min_length=2)]
    vendors: dict[str, tuple[PricePoint, ...]]

    @model_validator(mode="after")
    def _has_a_price_at_each(self) -> "PriceCurve":
        if self.x[0] <= 0 or any(low >= high for low, high in pairwise(self.x)):
            raise ValueError("x does not rise from above 0")
        if any(len(points) != len(self.x) for points in self.vendors.values()):
            raise ValueError(f"a vendor has not {len(self.x)} prices")
        return self


class PriceCurves(RecordModel):
    """The prices over changes a month, over the width of events, and over busy rows.

    A workload without EVENT_BYTES has no prices over it.
    """

    changes: PriceCurve
    event_bytes: PriceCurve | None = None
    hot_rows: PriceCurve


class CheapestVendors(RecordModel):
    """The vendors of which one is the cheapest, over a range of changes a month."""

    from_changes: int = Field(alias="from")
    to_changes: int = Field(alias="to")
    vendors: tuple[str, ...]
    at_from: Annotated[tuple[PricePoint, ...], Field(min_length=1)]
    at_to: Annotated[tuple[PricePoint, ...], Field(min_length=1)]


class ReportedUsage(SparseModel):
    """The usage of the run as a vendor itself reported it."""

    source: str
    inserts: Exact | None = None
    updates: Exact | None = None
    deletes: Exact | None = None
    distinct_rows: Exact | None = None
    gigabytes: Exact | None = None
    billed_usd: Exact | None = None


class ToolPlan(RecordModel):
    """The plan of a tool under test: the rate card's name, and the plan's."""

    card: str
    plan: str


@dataclass(frozen=True, slots=True)
class Efficiency:
    """The use of one tool's Snowflake credits; None for figures that are not known.

    A wake-up is a time awake without a break: what a batch tool's sync looks like from outside.
    """

    tool: str
    warehouse: str = ""
    size: str | None = None
    generation: str | None = None
    credits: Exact | None = None
    credits_per_million_changes: Exact | None = None
    idle_share: Exact | None = None
    statements: int | None = None
    wake_ups: int | None = None
    statements_a_wake_up: Exact | None = None
    bytes_a_row: Exact | None = None
    users: tuple[tuple[str, str, str, int], ...] = ()  # user, role, query tag, statements


class Projection(SparseModel):
    """The cost of a month at the run's rate.

    `usage` and what follows it is None or empty for a run that committed nothing.
    """

    usage: ProjectedUsage | None = None
    baseline: BaselineSize | None = None
    event_bytes: int | None = None
    vendors: dict[str, str] = Field(default_factory=dict)  # names by rate card
    months: tuple[PricedMonth, ...] = ()
    curves: PriceCurves | None = None
    cheapest: tuple[CheapestVendors, ...] = ()
    reported: dict[str, ReportedUsage] = Field(default_factory=dict)  # by tool
    tools: dict[str, ToolPlan] = Field(default_factory=dict)
    snowflake: tuple[Efficiency, ...] = ()

    @model_validator(mode="after")
    def _names_vendors(self) -> "Projection":
        curves = self.curves
        of_curves = (curves.changes, curves.event_bytes, curves.hot_rows) if curves else ()
        priced = {name for part in (*of_curves, *self.cheapest) if part for name in part.vendors}
        if unnamed := sorted(priced - self.vendors.keys()):
            raise ValueError(f"vendors has no {', '.join(unnamed)}")
        return self


class Costs(RecordFile):
    """The content of costs.json: lines of the run, warnings, and the projection of a month."""

    FILE: ClassVar = "costs.json"
    REMEDY: ClassVar = "run `loadgen costs` again"
    OTHER_VERSION: ClassVar = REMEDY

    made_at: Moment
    lines: tuple[CostLine, ...] = ()
    warnings: tuple[str, ...] = ()
    projection: Projection = Field(default_factory=Projection, alias="outlook")

    @classmethod
    def of(cls, folder: Path) -> "Costs | None":
        """Read the folder's costs.json; None if the run was not priced."""
        try:
            return cls.read(folder)
        except FileNotFoundError:
            return None

    @property
    def mode(self) -> Mode:
        """Provisional as long as one line is, which may still get a figure or another one."""
        return "provisional" if self.unsettled else "final"

    @property
    def unsettled(self) -> int:
        """The number of provisional lines."""
        return sum(not line.final for line in self.lines)

    def plain(self) -> dict[str, Any]:
        """Return the costs as JSON has them, with their mode."""
        return {"schema_version": SCHEMA_VERSION, "mode": self.mode, **super().plain()}

    def tools(self) -> tuple[str, ...]:
        """Return the tools that have lines, in their order."""
        return tuple(dict.fromkeys(line.tool for line in self.lines))

    def total(self, tool: str, payer: Payer | None = None) -> Total:
        """Return the total of the tool's lines, or of those that one payer pays."""
        return Total.of(
            line for line in self.lines if line.tool == tool and payer in {None, line.payer}
        )
