"""Snowflake as one source of cost lines: credits of each tool's warehouse, and what they bought.

The bill is a warehouse's uptime. So credits come from WAREHOUSE_METERING_HISTORY, with one
warehouse per tool; QUERY_HISTORY and QUERY_ATTRIBUTION_HISTORY only explain them. All of it is on
the customer's bill.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from loadgen.config.settings import Settings
from loadgen.costs.billing_window import Window, run_window
from loadgen.costs.cards import RateCard
from loadgen.costs.lines import Unavailable, join_notes, or_unavailable
from loadgen.costs.snowflake import lines
from loadgen.costs.snowflake.credits import WarehouseCredits
from loadgen.costs.snowflake.lines import BilledTool
from loadgen.costs.snowflake.prices import SnowflakePrices
from loadgen.costs.snowflake.reading import Reading, ViewClock, read
from loadgen.costs.snowflake.usage import RunStatement, UsageViews
from loadgen.errors import DestinationError
from loadgen.record.costs import CostLine, Efficiency, not_priced
from loadgen.record.run import Run
from loadgen.tools.readers.snowflake_connection import same_account
from loadgen.tools.tools_file import Tool


class SnowflakeCostTracker:
    """Reads what a run's tools used in Snowflake, and prices it.

    `card` has the list prices, or why there are none.
    """

    name = "Snowflake"

    def __init__(
        self,
        tools: Sequence[Tool],
        settings: Settings,
        card: RateCard | Unavailable,
        run_statement: RunStatement,
        now: datetime,
    ) -> None:
        self._tools = [tool for tool in tools if tool.destination == "snowflake"]
        self._settings = settings
        self._card = card
        self._run_statement = run_statement
        self._now = now
        self._readings: dict[Window, tuple[Reading, SnowflakePrices]] = {}

    def lines(self, run: Run) -> list[CostLine]:
        """Return the run's lines; a line that can't be read or priced has the reason."""
        if not self._tools:
            return []
        window = run_window(run, self._now)
        if window is None:
            return self._not_priced("the run's record has no time to price")
        try:
            self._run_statement("session", {})
        except DestinationError as exc:
            return self._not_priced(str(exc))
        reading, prices = self._reading(window)
        return [
            *(line for tool in self._tools for line in self._tool_lines(tool, reading, prices)),
            *lines.unattributed(reading, prices),
            *lines.transfer(reading, prices),
        ]

    def efficiency(self, run: Run) -> list[Efficiency]:
        """Return each tool's efficiency; none if Snowflake can't be reached."""
        window = run_window(run, self._now)
        session = or_unavailable(lambda: self._run_statement("session", {}))
        if window is None or isinstance(session, Unavailable):
            return []
        reading, prices = self._reading(window)
        changes = sum(totals.committed for totals in run.totals.values())
        return [
            _efficiency(tool, reading.use_of(tool.warehouse.upper(), prices), reading, changes)
            for tool in self._tools
            if tool.warehouse
        ]

    def _not_priced(self, reason: str) -> list[CostLine]:
        return [not_priced(tool.name, "customer", self.name, reason) for tool in self._tools]

    def _reading(self, window: Window) -> tuple[Reading, SnowflakePrices]:
        """Read Snowflake for the window, only once."""
        if window not in self._readings:
            views, clock = UsageViews(self._run_statement, window), ViewClock(window, self._now)
            account = self._settings.snowflake_account or ""
            rates = or_unavailable(lambda: views.rates(account))
            is_filled = clock.is_filled("RATE_SHEET_DAILY")
            prices = SnowflakePrices(self._settings, rates, self._card, is_filled=is_filled)
            warehouses = sorted({t.warehouse.upper() for t in self._tools if t.warehouse})
            databases = sorted({t.database.upper() for t in self._tools if t.database})
            self._readings[window] = read(views, clock, warehouses, databases), prices
        return self._readings[window]

    def _tool_lines(
        self, tool: Tool, reading: Reading, prices: SnowflakePrices
    ) -> Iterator[CostLine]:
        billed = BilledTool(tool, reading, prices)
        if tool.account and not same_account(tool.account, self._settings.snowflake_account or ""):
            yield billed.key(self.name).not_priced(
                f"its account is {tool.account}, and SNOWFLAKE_ACCOUNT another"
            )
            return
        if tool.warehouse:
            yield from self._warehouse_lines(billed)
        else:
            yield billed.key("compute").not_priced("tools.toml does not name its warehouse")
        if not tool.database:
            yield billed.key("storage").not_priced("tools.toml does not name its database")
        elif others := _names(self._sharing(tool, "database")):
            reason = f"{others} also uses database {billed.database}: give each tool its own"
            yield billed.key("storage").not_priced(reason)
        else:
            yield lines.serverless(billed)
            yield lines.storage(billed)

    def _warehouse_lines(self, billed: BilledTool) -> Iterator[CostLine]:
        tool, reading = billed.tool, billed.reading
        use = reading.use_of(billed.warehouse, billed.prices)
        if isinstance(use, Unavailable):
            yield billed.key("compute").not_priced(use)
            return
        if others := self._sharing(tool, "warehouse"):
            share = lines.share_of_warehouse(tool, [tool, *others], reading)
            if isinstance(share, Unavailable):
                reason = f"{billed.warehouse} is also used by {_names(others)}: {share.reason}"
                yield billed.key("compute").not_priced(replace(share, reason=reason))
                return
            shared = f"{share:.1%} of {billed.warehouse}, which {_names(others)} uses too"
            missing = [lines.without_attribution(other, reading) for other in others]
            note = join_notes(f"{shared}, by attributed credits", *missing)
            billed = replace(billed, share=share, share_note=note)
        yield from lines.compute(billed, use)
        yield lines.cloud_services(billed, use)
        yield from lines.acceleration(billed)

    def _sharing(self, tool: Tool, place: Literal["warehouse", "database"]) -> list[Tool]:
        """Return the other tools with the same warehouse or database."""
        own = str(getattr(tool, place)).upper()
        others = (other for other in self._tools if other is not tool)
        return [other for other in others if str(getattr(other, place) or "").upper() == own]


def _names(tools: Sequence[Tool]) -> str:
    return ", ".join(tool.name for tool in tools)


def _efficiency(
    tool: Tool, use: WarehouseCredits | Unavailable, reading: Reading, changes: int
) -> Efficiency:
    """Return the figures of a tool that wrote `changes` changes in the window."""
    warehouse, clock = str(tool.warehouse).upper(), reading.clock
    credits_ = idle_share = per_million = bytes_per_row = None
    if not isinstance(use, Unavailable):
        credits_ = use.total
        per_million = credits_ * 1_000_000 / changes if changes else None
        if use.idle is not None and credits_:
            idle_share = sum(use.idle.values(), Decimal(0)) / credits_
    windows, statements = reading.awake_windows(warehouse), reading.statements_of(warehouse)
    wake_ups = None if windows is None else sum(map(clock.overlaps, windows))
    counts: dict[tuple[str, str, str], int] = {}
    number = None
    if not isinstance(statements, Unavailable):
        for statement in statements:
            if clock.overlaps(statement.span):
                user = (statement.user, statement.role, statement.tag)
                counts[user] = counts.get(user, 0) + 1
        number = sum(counts.values())
    if not isinstance(reading.table_sizes, Unavailable) and tool.database:
        rows, size = reading.table_sizes.get(tool.database.upper(), (0, 0))
        bytes_per_row = Decimal(size) / rows if rows else None
    settings = reading.settings_of(warehouse)
    return Efficiency(
        tool=tool.name,
        warehouse=warehouse,
        size=settings.size if settings else None,
        generation=settings.generation if settings else None,
        credits=credits_,
        credits_per_million_changes=per_million,
        idle_share=idle_share,
        statements=number,
        wake_ups=wake_ups,
        statements_a_wake_up=Decimal(number) / wake_ups
        if number is not None and wake_ups
        else None,
        bytes_a_row=bytes_per_row,
        users=tuple((*user, count) for user, count in sorted(counts.items())),
    )
