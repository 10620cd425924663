"""When a warehouse was awake, told from the statements that ran on it. Pure.

A warehouse resumes for a statement, stays awake until it was idle for AUTO_SUSPEND, and each resume
is billed for a minute at least: so a sync of 20 seconds every five minutes with AUTO_SUSPEND = 60
pays for 80. It is a model: Snowflake looks for idleness about twice a minute only, so the tail may
be half a minute longer.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from loadgen.costs.window import Window, merged

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


def share_of_hour(spans: Sequence[Window], hour: Window, window: Window) -> Decimal | None:
    """Return which part of the hour's time awake is in the window; None where it never was."""
    whole = awake_hours(spans, hour)
    return awake_hours(spans, hour.within(window)) / whole if whole else None
