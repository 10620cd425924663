"""costs.json of the run record: cost lines, and what is said beside them.

A line's amount is dollars, as Decimal here and as a decimal string in the file. None is "not
priced", never nothing; the line's note then says why. Totals are sums of lines.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, Literal, get_args

from loadgen.record.files import LONE, replace_file
from loadgen.record.model import iso
from loadgen.record.run import Keys, MisfitError
from loadgen.untrusted import bounded, read_json, reading

COSTS_FILE: Final = "costs.json"
COSTS_SCHEMA_VERSION: Final = 1
COSTS_AGAIN: Final = "run `loadgen costs` again"  # what to do about a file that can't be read

Payer = Literal["customer", "service"]
Basis = Literal["measured", "list", "estimate"]
Grade = Literal["P", "S", "K", "?"]
Mode = Literal["provisional", "final"]

GRADES: Final[Mapping[Grade, str]] = {
    "P": "the vendor's own words, read",
    "S": "told by others, read, not verified",
    "K": "background knowledge, not verified",
    "?": "not known",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """One thing that was or would be paid for.

    `payer` is who sees it on a bill: the customer (Snowflake, the source) or the service (the
    vendor's price, or SimplyLoad's own infrastructure). Where the amount is None, `at_most` may
    still bound it. `final` is False where later figures of the same period will replace it.
    """

    tool: str
    payer: Payer
    category: str
    quantity: Decimal | None = None
    unit: str = ""
    unit_price: Decimal | None = None
    amount: Decimal | None
    basis: Basis
    grade: Grade
    source: str
    as_of: date | None
    note: str = ""
    at_most: Decimal | None = None
    final: bool = True

    def __post_init__(self) -> None:
        for name, known in _ALLOWED.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}, not one of {known}")
        if self.amount is None and not self.note:
            raise ValueError(f"{self.tool}, {self.category}: a line without amount says why")
        for name in _MONEY:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, Decimal) and value.is_finite()):
                raise ValueError(f"{name} is {value!r}, not a Decimal")


_ALLOWED: Final = {
    "payer": get_args(Payer),
    "basis": get_args(Basis),
    "grade": get_args(Grade),
}
_MONEY: Final = ("quantity", "unit_price", "amount", "at_most")


def worst_grade(lines: Iterable[CostLine]) -> Grade:
    """Return the grade of what is known least."""
    order = list(GRADES)
    return max((line.grade for line in lines), key=order.index, default="?")


def not_priced(tool: str, payer: Payer, category: str, why: str, source: str = "") -> CostLine:
    """Return the line that stands where a figure would, with what kept it from being read."""
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
    """A sum of lines: the dollars of those that are priced, and how many are not."""

    amount: Decimal
    unpriced: int
    at_most: Decimal | None  # None where a line has neither amount nor bound

    @classmethod
    def of(cls, lines: Iterable[CostLine]) -> "Total":
        """Return the total of the lines; where none is priced the amount is 0 of nothing."""
        amount, at_most, unpriced = Decimal(0), Decimal(0), 0
        bounded = True
        for line in lines:
            highest = line.at_most if line.amount is None else line.amount
            amount += line.amount or 0
            unpriced += line.amount is None
            bounded = bounded and highest is not None
            at_most += highest or 0
        return cls(amount, unpriced, at_most if bounded else None)


@dataclass(frozen=True, slots=True)
class Costs:
    """What costs.json holds: lines of the run, warnings in words, and the outlook, plain data."""

    made_at: datetime
    lines: tuple[CostLine, ...]
    warnings: tuple[str, ...] = ()
    outlook: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mode(self) -> Mode:
        """Provisional as long as one line is: it has no figure yet, or one that may change."""
        return "provisional" if self.unsettled else "final"

    @property
    def unsettled(self) -> int:
        """How many lines are provisional."""
        return sum(not line.final for line in self.lines)

    def tools(self) -> tuple[str, ...]:
        """Return the tools that have lines, in their order."""
        return tuple(dict.fromkeys(line.tool for line in self.lines))

    def total(self, tool: str, payer: Payer | None = None) -> Total:
        """Return what the tool's lines sum up to, or those that one payer pays."""
        return Total.of(
            line for line in self.lines if line.tool == tool and payer in {None, line.payer}
        )


def write_costs(folder: Path, costs: Costs) -> Path:
    """Replace costs.json in the run's folder at once and return its path."""
    path = folder / COSTS_FILE
    text = json.dumps(plain_costs(costs), indent=2, ensure_ascii=False, allow_nan=False)
    replace_file(path, f"{text}\n".encode(errors=LONE))
    return path


def plain_costs(costs: Costs) -> dict[str, Any]:
    """Return what costs.json has: plain values, decimals and dates as text."""
    found = {
        "schema_version": COSTS_SCHEMA_VERSION,
        "mode": costs.mode,
        "made_at": iso(costs.made_at),
        "lines": [plain_line(line) for line in costs.lines],
        "warnings": list(costs.warnings),
        "outlook": costs.outlook,
    }
    plain: dict[str, Any] = json.loads(json.dumps(found, default=_plain))
    return plain


def read_costs(folder: Path) -> Costs | None:
    """Return what costs.json in the run's folder holds; None where there is none yet."""
    file = folder / COSTS_FILE
    try:
        raw = read_json(file, COSTS_AGAIN)
    except FileNotFoundError:
        return None
    with reading(file, COSTS_AGAIN):
        return _costs(raw)


def plain_line(line: CostLine) -> dict[str, object]:
    """Return the line as costs.json has it: decimals and dates as text."""
    return {
        part.name: value if value is None or isinstance(value, bool | str) else _plain(value)
        for part in fields(line)
        for value in [getattr(line, part.name)]
    }


def _costs(raw: object) -> Costs:
    if not isinstance(raw, dict):
        raise MisfitError("it is no object")
    keys = Keys(raw)
    if (version := keys.whole("schema_version")) != COSTS_SCHEMA_VERSION:
        raise MisfitError(f"schema_version is {version!r}, not {COSTS_SCHEMA_VERSION}")
    made_at = keys.moment("made_at")
    if made_at is None:
        raise MisfitError("made_at is missing")
    lines = tuple(line_of(entry) for entry in keys.entries("lines"))
    warnings = tuple(str(text) for text in keys.entries("warnings"))
    return Costs(made_at, lines, warnings, keys.mapping("outlook"))


def line_of(entry: object) -> CostLine:
    """Return the line that `plain_line` has made plain. Raises ValueError or TypeError."""
    if not isinstance(entry, dict):
        raise MisfitError(f"lines holds {entry!r}, not a cost line")
    parts: dict[str, Any] = dict(entry)
    for name in _MONEY:
        parts[name] = _decimal(name, parts.get(name))
    as_of = Keys(entry, "lines.").text("as_of")
    parts["as_of"] = None if as_of is None else date.fromisoformat(as_of)
    return CostLine(**parts)


def _decimal(name: str, text: object) -> Decimal | None:
    if text is None:
        return None
    try:
        return _exact(str(text))
    except InvalidOperation as exc:
        raise MisfitError(f"lines.{name} is {text!r}, not a decimal number") from exc


def _exact(text: str) -> Decimal:
    found = Decimal(text)
    if not found.is_finite():
        raise InvalidOperation
    return Decimal(bounded(found))


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not plain data")
