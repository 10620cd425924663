"""Formats numbers, shares, times, sizes, money and lists for terminal and report; reads durations.

Nothing is computed here except rounding, and an unknown price is never $0.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from math import floor, log10
from typing import Final, TypeVar

NOTHING = "\N{EN DASH}"
NOT_PRICED: Final = "not priced"
_COUNTS: Final = ((10**9, "billion"), (10**6, "million"))
_BYTES: Final = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
_MILLION: Final = 1_000_000
_KILO: Final = 1_000
_THREE_DIGITS: Final = 100
_UNITS: Final = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_Kind = TypeVar("_Kind", bound=str)


@dataclass(frozen=True, slots=True)
class Column:
    """A column; numbers are right-aligned, neighbours of the same `group` share a heading."""

    label: str
    number: bool = False
    group: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """The cells of a table; with `total` the last row is their sum."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    total: bool = False


def count(number: int | None) -> str:
    """Return a whole number with thousands separators; a dash for None."""
    return NOTHING if number is None else f"{number:,}"


def quantity(number: float | None) -> str:
    """Return a number to three digits, or to its ones if it is larger; a dash for None."""
    if number is None:
        return NOTHING
    text = three_digits(number)
    return text.rstrip("0").rstrip(".") if "." in text else text


def three_digits(number: float) -> str:
    """Return a number to three digits with trailing zeros, so that a column of them aligns."""
    if number == 0:
        return "0"
    return f"{number:,.{max(0, 2 - floor(log10(abs(number))))}f}"


def whole(number: float) -> str:
    """Return a number without decimals, small ones to three digits."""
    return f"{number:,.0f}" if number >= 100 else quantity(number)


def share(part: float, of: float) -> str:
    """Return a part in percent: 0% only for exactly nothing, 100% only for exactly all."""
    if of == 0:
        return NOTHING
    ratio = part / of
    if ratio in {0, 1}:
        return f"{ratio:.0%}"
    if ratio < 0.0001:
        return "<0.01%"
    if 0.9999 < ratio < 1:
        return ">99.99%"
    if 1 < ratio < 1.0001:
        return ">100%"
    return f"{100 * ratio:.2f}%"


def milliseconds(seconds: float | None) -> str:
    """Return a latency in milliseconds without the unit, to three digits; a dash for None."""
    return NOTHING if seconds is None else three_digits(seconds * 1000)


def latency(seconds: float | None) -> str:
    """Return a latency with its unit, to three digits; a dash for None."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{quantity(seconds * 1000)} ms"
    return f"{quantity(seconds)} s"


def duration(seconds: float | None) -> str:
    """Return a duration in its two largest units: 48 h, 1 h 30 min, 90 s."""
    if seconds is None:
        return NOTHING
    if seconds < 120:
        return f"{quantity(round(seconds, 1))} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    units = (("h", hours), ("min", minutes_left), ("s", 0 if hours else rest))
    return " ".join(f"{number} {unit}" for unit, number in units if number)


def written_duration(seconds: float) -> str:
    """Return a duration as a file or an argument has it, in hours, minutes or seconds: 24h, 90s."""
    unit = next((unit for unit in "hm" if seconds % _UNITS[unit] == 0), "s")
    return f"{seconds / _UNITS[unit]:.15g}{unit}"


def seconds_of(written: str) -> float:
    """Return a duration such as 90s, 10m or 1h30m in seconds. Raises ValueError."""
    if _DURATION.sub("", written.strip()) or not written.strip():
        raise ValueError(f"{written!r} is no duration")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(written))


def moment(at: datetime | None) -> str:
    """Return a moment in UTC, to the second; a dash for None."""
    return NOTHING if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def size(number: object) -> str:
    """Return a number of bytes in its largest unit; a dash for anything but a number."""
    if not isinstance(number, int | float):
        return NOTHING
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if abs(number) >= 2**power:
            return f"{quantity(number / 2**power)} {unit}"
    return f"{quantity(number)} B"


def value(setting: object) -> str:
    """Return a setting's value as a settings file has it."""
    if setting is None:
        return "not set"
    if isinstance(setting, bool):
        return "true" if setting else "false"
    return f"{setting:,.15g}" if isinstance(setting, int | float) else str(setting)


def plural(number: int, singular: str, many: str | None = None) -> str:
    """Return the number with its noun: 1 write, 2 writes."""
    return f"{number:,} {singular if number == 1 else many or singular + 's'}"


def listed(parts: list[str], word: str = "and") -> str:
    """Join parts as in a sentence: a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def first_few(names: Sequence[str], most: int = 5) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def kinds(counts: Mapping[_Kind, int]) -> str:
    """Return the count of each kind: 2 missing, 1 differs; `nothing` without any."""
    return ", ".join(f"{number:,} {kind}" for kind, number in counts.items()) or "nothing"


def first_capital(text: str) -> str:
    """Return the text with its first letter in upper case, the rest unchanged."""
    return text[:1].upper() + text[1:]


def dollars(amount: Decimal | None) -> str:
    """Return dollars to the cent; amounts between nothing and a cent as <$0.01."""
    if amount is None:
        return NOT_PRICED
    if 0 < amount < Decimal("0.01"):
        return "<$0.01"
    return f"-${-amount:,.2f}" if amount < 0 else f"${amount:,.2f}"


def dollar_range(least: Decimal, most: Decimal | None) -> str:
    """Return the range between two amounts, or one figure if they are the same."""
    if most is None:
        return f"{dollars(least)} + {NOT_PRICED}" if least else NOT_PRICED
    if dollars(least) == dollars(most):
        return dollars(least)
    if most - least >= 10:
        return f"${least:,.0f} to ${most:,.0f}" if least else f"up to ${most:,.0f}"
    return f"{dollars(least)} to {dollars(most)}" if least else f"up to {dollars(most)}"


def big(number: Decimal | float) -> str:
    """Return a count with a word for large numbers: 91.2 million."""
    return f"{number:,.0f}" if number < _MILLION else _scaled(number, _COUNTS)


def gigabytes(number: Decimal | float) -> str:
    """Return bytes in GB (10^9), large ones in TB, small ones in MB or kB."""
    return f"{number:,.0f} bytes" if number < _KILO else _scaled(number, _BYTES)


def _scaled(number: Decimal | float, scales: Sequence[tuple[int, str]]) -> str:
    """Return a number to three digits in the largest scale in which it is, rounded, at least 1."""
    scaled = [(float(number) / scale, unit) for scale, unit in scales]
    amount, unit = next((pair for pair in scaled if float(f"{pair[0]:.3g}") >= 1), scaled[-1])
    if amount < _THREE_DIGITS:
        amount = float(f"{amount:.3g}")
    return f"{amount:,.0f} {unit}" if amount >= _THREE_DIGITS else f"{amount:g} {unit}"


def four_digits(number: Decimal) -> str:
    """Return a quantity to four digits, large ones without decimals."""
    if number >= _KILO or not number:
        return f"{number:,.0f}"
    return f"{float(number):.4g}" if number >= Decimal("0.001") else "<0.001"


def counted(number: Decimal | None, unit: str) -> str:
    """Return a quantity with its unit, in the plural if the unit is a word."""
    if number is None:
        return ""
    ending = "s" if number != 1 and unit[-1:].islower() else ""
    return f"{four_digits(number)} {unit}{ending}".strip()
