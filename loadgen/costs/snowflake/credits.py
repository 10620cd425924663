"""Credits of a warehouse within a window, from its metered hours or from when it was awake. Pure.

An hour that is only partly in the window counts by the part of the time awake that is, where the
statements are known, else by the part of the hour.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Final, Literal

from loadgen.costs.billing_window import Window
from loadgen.costs.lines import ByDay
from loadgen.costs.snowflake.rows import MeteredDay, MeteredHour
from loadgen.costs.snowflake.uptime import Awake, credits_awake, share_of_hour

_BY: Final = {
    True: "by the time awake, told from its statements",
    False: "by the clock, since its statements are not known",
}


@dataclass(frozen=True, slots=True)
class Used:
    """Credits of one warehouse in the window, by UTC day.

    `work` is the part that statements used, None where Snowflake did not say it of each hour;
    `cloud` the cloud services before the daily rule. `model` are credits told from uptime alone.
    """

    compute: ByDay
    work: ByDay | None
    cloud: ByDay | None
    how: Literal["metered", "live", "model"]
    notes: tuple[str, ...] = field(default=())

    @property
    def total(self) -> Decimal:
        """All credits of the warehouse."""
        return sum(self.compute.values(), Decimal(0))

    @property
    def idle(self) -> ByDay | None:
        """What was paid while nothing ran."""
        if self.work is None:
            return None
        return {day: used - self.work[day] for day, used in self.compute.items()}


def metered(
    hours: Sequence[MeteredHour],
    window: Window,
    spans: Sequence[Awake] | None,
    how: Literal["metered", "live"] = "metered",
) -> Used:
    """Return the credits of metered hours; `spans` is when the warehouse was awake."""
    days = [day for day, _ in window.days()]
    compute, work, cloud = _Sum(days), _Sum(days), _Sum(days)
    prorated: dict[bool, int] = {}
    for one in hours:
        share, by = _share(one.hour, window, spans)
        if window.share_of(one.hour) != 1:
            prorated[by] = prorated.get(by, 0) + 1
        day = one.hour.start.date()
        compute.add(day, one.compute, share)
        work.add(day, one.attributed, share)
        cloud.add(day, one.cloud, share)
    notes = [f"{number} partial hour(s) {_BY[by]}" for by, number in prorated.items()]
    if compute.missing:
        notes.append(f"{compute.missing} hour(s) without CREDITS_USED_COMPUTE are left out")
    found = None if work.missing or not _plausible(work.by_day, compute.by_day) else work.by_day
    if found is None:
        notes.append("idle time not told apart: CREDITS_ATTRIBUTED_COMPUTE_QUERIES is not filled")
    return Used(compute.by_day, found, None if cloud.missing else cloud.by_day, how, tuple(notes))


def modelled(spans: Sequence[Awake], window: Window) -> Used:
    """Return what being awake must have cost, by the size that statements ran on."""
    days = {day: credits_awake(spans, whole.within(window)) for day, whole in window.days()}
    sizes = {(one.size, one.per_hour): Decimal(0) for one in spans}
    for one in spans:
        sizes[one.size, one.per_hour] += one.span.within(window).hours
    parts = [
        f"{hours:.3f} h as {size} at {rate} credits an hour"
        for (size, rate), hours in sizes.items()
    ]
    note = f"model: awake {' and '.join(parts)}, its generation as it is now"
    return Used(days, None, None, "model", (note,))


def billed_cloud(used: ByDay, account: Mapping[date, MeteredDay]) -> ByDay | None:
    """Return the part of a warehouse's cloud services that is billed; None where not yet known.

    What the whole account is billed on a day is split by who used the services on it.
    """
    found: dict[date, Decimal] = {}
    for day, own in used.items():
        whole = account.get(day)
        if not own:
            found[day] = Decimal(0)
        elif whole is None or whole.billed_cloud is None or not whole.cloud:
            return None
        else:
            found[day] = own * whole.billed_cloud / whole.cloud
    return found


class _Sum:
    """Adds up by day what is there, and counts what is not."""

    def __init__(self, days: Iterable[date]) -> None:
        self.by_day = dict.fromkeys(days, Decimal(0))
        self.missing = 0

    def add(self, day: date, credits_: Decimal | None, share: Decimal) -> None:
        if credits_ is None:
            self.missing += 1
        self.by_day[day] += (credits_ or 0) * share


def _share(hour: Window, window: Window, spans: Sequence[Awake] | None) -> tuple[Decimal, bool]:
    by_clock = window.share_of(hour)
    if by_clock == 1 or spans is None:
        return by_clock, False
    by_uptime = share_of_hour(spans, hour, window)
    return (by_clock, False) if by_uptime is None else (by_uptime, True)


def _plausible(work: ByDay, compute: ByDay) -> bool:
    return all(used <= compute[day] for day, used in work.items())


def scaled(parts: ByDay, share: Decimal) -> dict[date, Decimal]:
    """Return a part of each day's credits."""
    return {day: used * share for day, used in parts.items()}


def total(parts: Iterable[Decimal]) -> Decimal:
    """Return the sum, exactly."""
    return sum(parts, Decimal(0))
