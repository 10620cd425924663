"""How the report says things: numbers, shares, times and operations as a person would write them.

Pure text; no figure is computed here beyond its rounding.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from math import floor, log10

import psycopg.errors

OPERATION_WORDS = {
    "insert_order": "New orders",
    "insert_event": "New events",
    "update_order_status": "Status updates",
    "soft_delete_user": "Soft deletes",
}
NOTHING = "\N{EN DASH}"
# What the load itself means by a code, where Postgres' own name says less.
_OWN_MEANING = {
    "02000": "no row was left that it could change",
    "08001": "the source could not be reached",
    "08006": "connection lost, and the write is not in the source",
    "40P01": "deadlock detected",
    "53000": "more would have been open at once than the load holds open",
}
_CAPITALS = re.compile(r"(?<=[a-z])(?=[A-Z])")


def operation_words(operation: str) -> str:
    """Return an operation's name in words; of one that is not known, its own name."""
    return OPERATION_WORDS.get(operation, operation)


def count(number: int | None) -> str:
    """Return a whole number with its thousands apart; a dash where there is none."""
    return NOTHING if number is None else f"{number:,}"


def quantity(number: float | None) -> str:
    """Return a number that need not be whole, to three digits and never fewer than its ones."""
    if number is None:
        return NOTHING
    text = three_digits(number)
    return text.rstrip("0").rstrip(".") if "." in text else text


def three_digits(number: float) -> str:
    """Return a number to three digits, ending zeros kept, so that a column of them lines up."""
    if number == 0:
        return "0"
    return f"{number:,.{max(0, 2 - floor(log10(abs(number))))}f}"


def whole(number: float) -> str:
    """Return a number that is a sum of shares, to its ones; small ones to three digits."""
    return f"{number:,.0f}" if number >= 100 else quantity(number)


def share(part: float, of: float) -> str:
    """Return a part in percent: 0% only for nothing, 100% only for exactly all."""
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
    """Return a latency as a number of milliseconds, to three digits; a dash where there is none."""
    return NOTHING if seconds is None else three_digits(seconds * 1000)


def latency(seconds: float | None) -> str:
    """Return a latency with its unit, to three digits; a dash where there is none."""
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


def moment(at: datetime | None) -> str:
    """Return a moment in UTC, to the second; a dash where there is none."""
    return NOTHING if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def size(number: object) -> str:
    """Return a number of bytes in the largest unit that it fills; a dash where it is no number."""
    if not isinstance(number, int | float):
        return NOTHING
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if abs(number) >= 2**power:
            return f"{quantity(number / 2**power)} {unit}"
    return f"{quantity(number)} B"


def value(given: object) -> str:
    """Return a setting's value as it is written in a settings file."""
    if given is None:
        return "not set"
    if isinstance(given, bool):
        return "true" if given else "false"
    return f"{given:,.15g}" if isinstance(given, int | float) else str(given)


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return the number with its noun: 1 write, 2 writes."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(parts: list[str]) -> str:
    """Join parts as a sentence does: a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def kinds(found: Mapping[str, int]) -> str:
    """Return how many there are of each kind: 2 missing, 1 differs; `nothing` if none."""
    return ", ".join(f"{number:,} {kind}" for kind, number in found.items()) or "nothing"


def sqlstate_words(sqlstate: str) -> str:
    """Return what a SQLSTATE means: in the load's words, else by the name Postgres gives it."""
    if sqlstate in _OWN_MEANING:
        return _OWN_MEANING[sqlstate]
    try:
        name = psycopg.errors.lookup(sqlstate).__name__
    except KeyError:
        return "a code that Postgres does not list"
    return _CAPITALS.sub(" ", name).lower()


def first_capital(text: str) -> str:
    """Return the text with its first letter large, the rest as it is."""
    return text[:1].upper() + text[1:]
