"""Credits of a warehouse within a window, from its metered hours or from its uptime. Pure.

An hour that is only partly in the window counts by that part of its awake time if the statements
are known, else by that part of the hour.

Uptime follows from the statements: a warehouse resumes for a statement, stays awake until it was
idle for AUTO_SUSPEND, and pays at least a minute per resume. So a sync of 20 seconds every five
minutes with AUTO_SUSPEND = 60 pays for 80. This is a model: Snowflake checks for idleness only
about twice a minute, so the tail may be half a minute longer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final, Literal

from loadgen.costs.billing_window import Window, merged
from loadgen.costs.lines import QuantityByDay
from loadgen.costs.snowflake.views import MeteredDay, MeteredHour

_MINIMUM: Final = timedelta(seconds=60)
_BY_UPTIME: Final = "by the awake time that its statements show"
_BY_CLOCK: Final = "by the clock, since its statements are not known"


@dataclass(frozen=True, slots=True)
class AwakeSpan:
    """A time awake at one size, and the credits of an hour at that size; None if not known."""

    span: Window
    size: str
    per_hour: Decimal | None


@dataclass(frozen=True, slots=True)
class WarehouseCredits:
    """Credits of one warehouse in the window, by UTC day.

    `work` are the credits of statements, None unless Snowflake has them for each hour; `cloud` the
    cloud services before the daily rule. The method `model` derives credits from uptime alone.
    """

    compute: QuantityByDay
    work: QuantityByDay | None
    cloud: QuantityByDay | None
    method: Literal["metered", "live", "model"]
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> Decimal:
        """All credits of the warehouse."""
        return sum(self.compute.values(), Decimal(0))

    @property
    def idle(self) -> QuantityByDay | None:
        """The credits that were paid while no statement ran."""
        if self.work is None:
            return None
        return {day: used - self.work[day] for day, used in self.compute.items()}


def awake_windows(
    statements: Iterable[Window], auto_suspend: int | None, until: datetime
) -> list[Window]:
    """Return when a warehouse was awake; without `auto_suspend` (seconds) it never suspends."""
    if not auto_suspend:
        first = min((span.start for span in statements), default=None)
        return [] if first is None or first >= until else [Window(first, until)]
    tail = timedelta(seconds=auto_suspend)
    spans = merged(Window(span.start, span.end + tail) for span in statements)
    return merged(Window(span.start, max(span.end, span.start + _MINIMUM)) for span in spans)


def split_by_size(
    spans: Iterable[Window], sizes: Iterable[tuple[datetime, str]]
) -> Iterator[tuple[Window, str]]:
    """Yield the awake times with their size, cut when a statement ran on another size.

    `sizes` has the start of each statement and the size it ran on. A warehouse may have been
    resized before the statement that shows it, so a cut may be late by the time between the two.
    """
    known = sorted(sizes)
    for span in spans:
        inside = [(at, size) for at, size in known if span.start <= at < span.end]
        start = span.start
        for (_, size), (changed, next_size) in pairwise(inside):
            if next_size != size:
                yield Window(start, changed), size
                start = changed
        if inside:
            yield Window(start, span.end), inside[-1][1]


def metered(
    hours: Sequence[MeteredHour],
    window: Window,
    spans: Sequence[AwakeSpan] | None,
    method: Literal["metered", "live"] = "metered",
) -> WarehouseCredits:
    """Return the credits of metered hours; `spans` are the warehouse's awake times, if known."""
    compute, work, cloud = (_SumByDay(day for day, _ in window.days()) for _ in range(3))
    partial_hours: dict[str, int] = {}
    for metered_hour in hours:
        hour = metered_hour.hour
        share, basis = window.share_of(hour), _BY_CLOCK
        if share != 1:
            by_uptime = None if spans is None else share_of_credits(spans, hour, window)
            if by_uptime is not None:
                share, basis = by_uptime, _BY_UPTIME
            partial_hours[basis] = partial_hours.get(basis, 0) + 1
        day = hour.start.date()
        compute.add(day, metered_hour.compute, share)
        work.add(day, metered_hour.attributed, share)
        cloud.add(day, metered_hour.cloud, share)
    notes = [f"{number} partial hour(s) {basis}" for basis, number in partial_hours.items()]
    if compute.missing:
        notes.append(f"{compute.missing} hour(s) without CREDITS_USED_COMPUTE are left out")
    plausible = all(used <= compute.by_day[day] for day, used in work.by_day.items())
    work_by_day = work.by_day if plausible and not work.missing else None
    if work_by_day is None:
        notes.append("idle time is unknown: CREDITS_ATTRIBUTED_COMPUTE_QUERIES is not filled")
    cloud_by_day = None if cloud.missing else cloud.by_day
    return WarehouseCredits(compute.by_day, work_by_day, cloud_by_day, method, tuple(notes))


def modelled(spans: Sequence[AwakeSpan], window: Window) -> WarehouseCredits:
    """Return the credits of the uptime alone, by the sizes that statements ran on."""
    days = {day: _awake_credits(spans, whole.within(window)) for day, whole in window.days()}
    hours = {(span.size, span.per_hour): Decimal(0) for span in spans}
    for span in spans:
        hours[span.size, span.per_hour] += span.span.within(window).hours
    parts = [
        f"{number:.3f} h as {size} at {rate} credits an hour"
        for (size, rate), number in hours.items()
    ]
    note = f"model: awake {' and '.join(parts)}, by its current generation"
    return WarehouseCredits(days, None, None, "model", (note,))


def billed_cloud(
    used: QuantityByDay, account: Mapping[date, MeteredDay]
) -> dict[date, Decimal] | None:
    """Return the billed part of a warehouse's cloud services; None if not known yet.

    The bill of the whole account for a day is split by the use of the services on that day.
    """
    billed: dict[date, Decimal] = {}
    for day, own in used.items():
        whole = account.get(day)
        if not own:
            billed[day] = Decimal(0)
        elif whole is None or whole.billed_cloud is None or not whole.cloud:
            return None
        else:
            billed[day] = own * whole.billed_cloud / whole.cloud
    return billed


def share_of_credits(spans: Sequence[AwakeSpan], hour: Window, window: Window) -> Decimal | None:
    """Return the share of the hour's credits in the window; None if it never was awake."""
    whole = _awake_credits(spans, hour)
    return _awake_credits(spans, hour.within(window)) / whole if whole else None


def scaled(by_day: QuantityByDay, share: Decimal) -> dict[date, Decimal]:
    """Return a share of each day's credits."""
    return {day: used * share for day, used in by_day.items()}


def _awake_credits(spans: Sequence[AwakeSpan], window: Window) -> Decimal:
    """Return the credits of the awake time; if a rate is missing, an hour counts as 1."""
    even = any(span.per_hour is None for span in spans)
    by_span = (
        span.span.within(window).length * (1 if even or span.per_hour is None else span.per_hour)
        for span in spans
    )
    return sum(by_span, Decimal(0)) / 3600


class _SumByDay:
    """Adds up credits by day, and counts the hours without."""

    def __init__(self, days: Iterable[date]) -> None:
        self.by_day = dict.fromkeys(days, Decimal(0))
        self.missing = 0

    def add(self, day: date, credits_: Decimal | None, share: Decimal) -> None:
        if credits_ is None:
            self.missing += 1
        self.by_day[day] += (credits_ or 0) * share
