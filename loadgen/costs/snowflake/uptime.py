"""When a warehouse was awake, told from the statements that ran on it. Pure.

A warehouse resumes for a statement, stays awake until it was idle for AUTO_SUSPEND, and each resume
is billed for a minute at least: so a sync of 20 seconds every five minutes with AUTO_SUSPEND = 60
pays for 80. It is a model: Snowflake looks for idleness about twice a minute only, so the tail may
be half a minute longer.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final

from loadgen.costs.billing_window import Window, merged

MINIMUM: Final = timedelta(seconds=60)


def awake(statements: Iterable[Window], auto_suspend: int | None, until: datetime) -> list[Window]:
    """Return when a warehouse was awake; without `auto_suspend` (seconds) it never falls asleep."""
    if not auto_suspend:
        first = min((one.start for one in statements), default=None)
        return [] if first is None or first >= until else [Window(first, until)]
    tail = timedelta(seconds=auto_suspend)
    spans = merged(Window(one.start, one.end + tail) for one in statements)
    return merged(Window(one.start, max(one.end, one.start + MINIMUM)) for one in spans)


def awake_hours(spans: Sequence[Window], window: Window) -> Decimal:
    """Return for how many hours of the window the warehouse was awake."""
    return sum((one.within(window).length for one in spans), Decimal(0)) / 3600


@dataclass(frozen=True, slots=True)
class Awake:
    """A time awake at one size, and the credits that an hour of it takes; None if not known."""

    span: Window
    size: str
    per_hour: Decimal | None


def by_size(
    spans: Iterable[Window], sizes: Iterable[tuple[datetime, str]]
) -> Iterator[tuple[Window, str]]:
    """Yield the times awake with their size, cut where a statement ran on another size.

    `sizes` are when statements began and the size that they ran on. A warehouse may have been
    resized before the statement that shows it, so a cut is up to the time between two late.
    """
    known = sorted(sizes)
    for span in spans:
        own = [(at, size) for at, size in known if span.start <= at < span.end]
        begun = span.start
        for (_, size), (changed, following) in pairwise(own):
            if following != size:
                yield Window(begun, changed), size
                begun = changed
        if own:
            yield Window(begun, span.end), own[-1][1]


def credits_awake(spans: Iterable[Awake], window: Window) -> Decimal:
    """Return what the time awake in the window takes; an hour counts 1 where a price is missing."""
    known = list(spans)
    even = any(one.per_hour is None for one in known)
    parts = (
        one.span.within(window).length * (1 if even or one.per_hour is None else one.per_hour)
        for one in known
    )
    return sum(parts, Decimal(0)) / 3600


def share_of_hour(spans: Sequence[Awake], hour: Window, window: Window) -> Decimal | None:
    """Return which part of the hour's credits awake is in the window; None where it never was."""
    whole = credits_awake(spans, hour)
    return credits_awake(spans, hour.within(window)) / whole if whole else None
