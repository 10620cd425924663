"""All that was asked of Snowflake for one run, each part an answer or why there is none.

Each view is filled with a delay of its own; before it has passed, figures are provisional.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from loadgen.costs.billing_window import HOUR, Window
from loadgen.costs.snowflake.credits import Used, metered, modelled
from loadgen.costs.snowflake.prices import SnowflakePrices
from loadgen.costs.snowflake.rows import (
    MeteredDay,
    MeteredHour,
    Serverless,
    Statement,
    Stored,
    Warehouse,
)
from loadgen.costs.snowflake.uptime import Awake, awake, by_size
from loadgen.costs.snowflake.usage import SnowflakeUsage
from loadgen.costs.unavailable import Unavailable, not_yet, tried
from loadgen.errors import DestinationError
from loadgen.tools.columns import there_is

# Under which WAREHOUSE_METERING_HISTORY has cloud services of what ran without a warehouse [K].
NO_WAREHOUSE: Final = "CLOUD_SERVICES_ONLY"

# Hours until a view is filled, after the hour or day it is of.
DELAYS: Final = {
    "WAREHOUSE_METERING_HISTORY": 3,
    "its cloud services and attributed credits": 6,
    "METERING_DAILY_HISTORY": 6,
    "METERING_HISTORY": 12,  # 3 but for streaming
    "QUERY_ATTRIBUTION_HISTORY": 8,
    "DATABASE_STORAGE_USAGE_HISTORY": 3,
    "DATA_TRANSFER_HISTORY": 3,
    "RATE_SHEET_DAILY": 24,
}


@dataclass(frozen=True, slots=True)
class Clock:
    """The run's window, and the moment at which it is looked at."""

    window: Window
    now: datetime

    def has(self, span: Window) -> bool:
        """Return whether some of the span is in the run's window."""
        return self.window.within(span).length > 0

    def after_hours(self, view: str) -> datetime:
        """Return when an hourly view has all of the window."""
        return self.window.clock_hours().end + DELAYS[view] * HOUR

    def after_days(self, view: str) -> datetime:
        """Return when a daily view has all of the window."""
        *_, (_, last) = self.window.days()
        return last.end + DELAYS[view] * HOUR

    def final(self, view: str, *, daily: bool = False) -> bool:
        """Return whether the view has all of the window by now."""
        return self.now >= (self.after_days(view) if daily else self.after_hours(view))


@dataclass(frozen=True, slots=True)
class Reading:
    """What the views say, or why they don't."""

    clock: Clock
    hours: list[MeteredHour] | Unavailable
    days: list[MeteredDay] | Unavailable
    statements: list[Statement] | Unavailable
    attributed: Mapping[tuple[str, str], Decimal] | Unavailable
    warehouses: Mapping[str, Warehouse] | Unavailable
    serverless: list[Serverless] | Unavailable
    acceleration: list[Serverless] | Unavailable
    stored: list[Stored] | Unavailable
    rows_kept: Mapping[str, tuple[int, int]] | Unavailable
    transferred: Mapping[tuple[str, str], Decimal] | Unavailable
    live_hours: Mapping[str, list[MeteredHour] | Unavailable]

    def ran(self, warehouse: str) -> list[Statement] | Unavailable:
        """Return what one warehouse ran."""
        if isinstance(self.statements, Unavailable):
            return self.statements
        return [one for one in self.statements if one.warehouse == warehouse]

    def awake(self, warehouse: str) -> list[Window] | None:
        """Return when a warehouse was awake, None where that can't be told."""
        ran = self.ran(warehouse)
        if isinstance(ran, Unavailable) or isinstance(self.warehouses, Unavailable) or not ran:
            return None
        found = self.warehouses.get(warehouse)
        if found is None:
            return None
        until = self.clock.window.clock_hours().end
        return awake([one.span for one in ran], found.auto_suspend, until)

    def used(self, warehouse: str, prices: SnowflakePrices) -> Used | Unavailable:
        """Return a warehouse's credits: metered, else live, else told from its uptime."""
        view = "WAREHOUSE_METERING_HISTORY"
        spans = self.awake(warehouse)
        sized = None if spans is None else self._sized(warehouse, spans, prices)
        if self.clock.final(view):
            return self._metered(warehouse, sized)
        live = self.live_hours[warehouse]
        if not isinstance(live, Unavailable) and live:
            return metered(live, self.clock.window, sized, "live")
        if sized and all(one.per_hour is not None for one in sized):
            return modelled(sized, self.clock.window)
        return not_yet(
            f"{view} is filled up to {DELAYS[view]} h late", self.clock.after_hours(view)
        )

    def _sized(
        self, warehouse: str, spans: Sequence[Window], prices: SnowflakePrices
    ) -> list[Awake]:
        """Return the times awake with the size that the statements in them ran on."""
        ran = self.ran(warehouse)
        if isinstance(ran, Unavailable) or isinstance(self.warehouses, Unavailable):
            return []
        now = self.warehouses[warehouse]
        sizes = [(one.span.start, one.size or now.size) for one in ran]
        return [
            Awake(span, size, None if isinstance(per_hour, Unavailable) else per_hour)
            for span, size in by_size(spans, sizes)
            for per_hour in [prices.per_hour(now, size)]
        ]

    def _metered(self, warehouse: str, spans: Sequence[Awake] | None) -> Used | Unavailable:
        if isinstance(self.hours, Unavailable):
            return self.hours
        own = [hour for hour in self.hours if hour.warehouse == warehouse]
        known = not isinstance(self.warehouses, Unavailable) and warehouse in self.warehouses
        if not own and not known:
            others = self.warehouses if not isinstance(self.warehouses, Unavailable) else ()
            instead = f"; {there_is(warehouse, others)}" if others else ""
            return Unavailable(
                f"warehouse {warehouse} has no metered hour and is not among those that our role "
                f"may see{instead}: correct tools.toml, or grant MONITOR on it"
            )
        if own and all(hour.compute is None for hour in own):
            return Unavailable(f"CREDITS_USED_COMPUTE of {warehouse} is not filled")
        return metered(own, self.clock.window, spans)


def read(
    usage: SnowflakeUsage, clock: Clock, warehouses: Sequence[str], databases: Sequence[str]
) -> Reading:
    """Ask every view once; what is live only while the views lag behind."""
    early = not clock.final("WAREHOUSE_METERING_HISTORY")
    # An IN without members is no SQL.
    warehouses, databases = warehouses or [""], databases or [""]
    return Reading(
        clock=clock,
        hours=tried(lambda: usage.hours([*warehouses, NO_WAREHOUSE])),
        days=tried(usage.days),
        statements=tried(lambda: _statements(usage, warehouses, early=early)),
        attributed=tried(lambda: usage.attributed(warehouses)),
        warehouses=tried(usage.warehouses),
        serverless=tried(lambda: usage.serverless(databases)),
        acceleration=tried(lambda: usage.acceleration(warehouses)),
        stored=tried(lambda: usage.stored(databases)),
        rows_kept=tried(lambda: usage.rows_kept(databases)),
        transferred=tried(usage.transferred),
        live_hours={n: _live_hours(usage, n) for n in warehouses} if early else {},
    )


def _live_hours(usage: SnowflakeUsage, warehouse: str) -> list[MeteredHour] | Unavailable:
    return tried(lambda: usage.live_hours(warehouse))


def _statements(
    usage: SnowflakeUsage, warehouses: Sequence[str], *, early: bool
) -> list[Statement]:
    """Return what ran: live while the view may lag and where that may be read, else the view."""
    if early:
        with suppress(DestinationError):
            return [row for name in warehouses for row in usage.live_statements(name)]
    return usage.statements(warehouses)
