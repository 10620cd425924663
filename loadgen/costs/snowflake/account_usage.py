"""The account's usage during one run: the rows of each view, or why they are unavailable.

Each view is filled with a different delay; until then its figures are provisional.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from loadgen.costs.billing_window import HOUR, Window
from loadgen.costs.lines import Unavailable, not_yet, or_unavailable
from loadgen.costs.snowflake.credits import (
    AwakeSpan,
    WarehouseCredits,
    awake_windows,
    metered,
    modelled,
    split_by_size,
)
from loadgen.costs.snowflake.prices import SnowflakePrices
from loadgen.costs.snowflake.views import (
    DatabaseStorage,
    MeteredDay,
    MeteredHour,
    ServiceCredits,
    Statement,
    UsageViews,
    WarehouseSettings,
)
from loadgen.errors import DestinationError
from loadgen.tools.columns import available_names

# WAREHOUSE_METERING_HISTORY has cloud services without a warehouse under this name [K].
NO_WAREHOUSE: Final = "CLOUD_SERVICES_ONLY"
CLOUD_AND_ATTRIBUTED: Final = "cloud services and attributed credits of the warehouse"
_METERING: Final = "WAREHOUSE_METERING_HISTORY"

# Hours until a view is filled, after the hour or (for daily views) the day in question.
_HOURLY_DELAYS: Final = {
    _METERING: 3,
    CLOUD_AND_ATTRIBUTED: 6,
    "METERING_HISTORY": 12,  # 3 except for streaming
    "QUERY_ATTRIBUTION_HISTORY": 8,
    "DATA_TRANSFER_HISTORY": 3,
}
_DAILY_DELAYS: Final = {
    "METERING_DAILY_HISTORY": 6,
    "DATABASE_STORAGE_USAGE_HISTORY": 3,
    "RATE_SHEET_DAILY": 24,
}


@dataclass(frozen=True, slots=True)
class ViewClock:
    """The run's window and the current time, which together decide which views are filled."""

    window: Window
    now: datetime

    def overlaps(self, span: Window) -> bool:
        """Return whether some of the span is in the run's window."""
        return self.window.within(span).length > 0

    def ready_at(self, view: str) -> datetime:
        """Return when a view has all of the window."""
        if view in _HOURLY_DELAYS:
            return self.window.clock_hours().end + _HOURLY_DELAYS[view] * HOUR
        *_, (_, last_day) = self.window.days()
        return last_day.end + _DAILY_DELAYS[view] * HOUR

    def is_filled(self, view: str) -> bool:
        """Return whether the view has all of the window by now."""
        return self.now >= self.ready_at(view)

    def missing(self, view: str, reason: str = "") -> Unavailable:
        """Return the reason for a missing figure, by default the view's delay until it has passed.

        Until the view is filled the figure may still come.
        """
        if self.is_filled(view):
            return Unavailable(reason)
        return not_yet(
            reason or f"{view} is filled up to {_HOURLY_DELAYS[view]} h late", self.ready_at(view)
        )


@dataclass(frozen=True, slots=True)
class AccountUsage:
    """The rows of each view, or why there are none."""

    clock: ViewClock
    hours: list[MeteredHour] | Unavailable
    days: Mapping[date, MeteredDay] | Unavailable
    statements: list[Statement] | Unavailable
    attributed: Mapping[tuple[str, str], Decimal] | Unavailable
    warehouses: Mapping[str, WarehouseSettings] | Unavailable
    serverless: list[ServiceCredits] | Unavailable
    acceleration: list[ServiceCredits] | Unavailable
    storage: list[DatabaseStorage] | Unavailable
    table_sizes: Mapping[str, tuple[int, int]] | Unavailable
    transfers: Mapping[tuple[str, str], Decimal] | Unavailable
    live_hours: Mapping[str, list[MeteredHour] | Unavailable]

    def statements_of(self, warehouse: str) -> list[Statement] | Unavailable:
        """Return the statements of one warehouse."""
        if isinstance(self.statements, Unavailable):
            return self.statements
        return [statement for statement in self.statements if statement.warehouse == warehouse]

    def settings_of(self, warehouse: str) -> WarehouseSettings | None:
        """Return a warehouse's settings; None if our role may not see them."""
        return None if isinstance(self.warehouses, Unavailable) else self.warehouses.get(warehouse)

    def awake_windows(self, warehouse: str) -> list[Window] | None:
        """Return when a warehouse was awake, None if that is unknown."""
        statements, settings = self.statements_of(warehouse), self.settings_of(warehouse)
        if isinstance(statements, Unavailable) or settings is None or not statements:
            return None
        until = self.clock.window.clock_hours().end
        spans = [statement.span for statement in statements]
        return awake_windows(spans, settings.auto_suspend, until)

    def credits_of(self, warehouse: str, prices: SnowflakePrices) -> WarehouseCredits | Unavailable:
        """Return a warehouse's credits: metered, else live, else modelled from its uptime."""
        spans = self._awake_spans(warehouse, prices)
        if self.clock.is_filled(_METERING):
            return self._metered(warehouse, spans)
        live = self.live_hours[warehouse]
        if not isinstance(live, Unavailable) and live:
            return metered(live, self.clock.window, spans, "live")
        if spans and all(span.per_hour is not None for span in spans):
            return modelled(spans, self.clock.window)
        return self.clock.missing(_METERING)

    def _awake_spans(self, warehouse: str, prices: SnowflakePrices) -> list[AwakeSpan] | None:
        """Return the awake times with the size that their statements ran on."""
        windows, settings = self.awake_windows(warehouse), self.settings_of(warehouse)
        statements = self.statements_of(warehouse)
        if windows is None or settings is None or isinstance(statements, Unavailable):
            return None
        sizes = [
            (statement.span.start, statement.size or settings.size) for statement in statements
        ]
        return [
            AwakeSpan(span, size, prices.credits_per_hour(settings, size))
            for span, size in split_by_size(windows, sizes)
        ]

    def _metered(
        self, warehouse: str, spans: Sequence[AwakeSpan] | None
    ) -> WarehouseCredits | Unavailable:
        if isinstance(self.hours, Unavailable):
            return self.hours
        hours = [hour for hour in self.hours if hour.warehouse == warehouse]
        if not hours and self.settings_of(warehouse) is None:
            visible = () if isinstance(self.warehouses, Unavailable) else self.warehouses
            instead = f"; {available_names(warehouse, visible)}" if visible else ""
            return Unavailable(
                f"warehouse {warehouse} has no metered hour and is not among those that our role "
                f"may see{instead}: correct tools.toml, or grant MONITOR on it"
            )
        if hours and all(hour.compute is None for hour in hours):
            return Unavailable(f"CREDITS_USED_COMPUTE of {warehouse} is not filled")
        return metered(hours, self.clock.window, spans)


def read_account_usage(
    views: UsageViews, clock: ViewClock, warehouses: Sequence[str], databases: Sequence[str]
) -> AccountUsage:
    """Read every view once, and the live functions while the views lag behind."""
    lagging = not clock.is_filled(_METERING)
    # An IN without members is no SQL.
    warehouses, databases = warehouses or [""], databases or [""]

    def live_hours(warehouse: str) -> list[MeteredHour] | Unavailable:
        return or_unavailable(lambda: views.live_hours(warehouse))

    def statements() -> list[Statement]:
        if lagging:
            with suppress(DestinationError):  # our role may lack the right
                return [row for name in warehouses for row in views.live_statements(name)]
        return views.statements(warehouses)

    return AccountUsage(
        clock=clock,
        hours=or_unavailable(lambda: views.hours([*warehouses, NO_WAREHOUSE])),
        days=or_unavailable(lambda: {row.day: row for row in views.days()}),
        statements=or_unavailable(statements),
        attributed=or_unavailable(lambda: views.attributed_credits(warehouses)),
        warehouses=or_unavailable(views.warehouses),
        serverless=or_unavailable(lambda: views.serverless(databases)),
        acceleration=or_unavailable(lambda: views.acceleration(warehouses)),
        storage=or_unavailable(lambda: views.storage(databases)),
        table_sizes=or_unavailable(lambda: views.table_sizes(databases)),
        transfers=or_unavailable(views.transfers),
        live_hours={name: live_hours(name) for name in warehouses} if lagging else {},
    )
