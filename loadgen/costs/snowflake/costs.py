"""Snowflake as one source of cost lines: credits of each tool's warehouse, and their effect.

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
from loadgen.costs.snowflake.account_usage import AccountUsage, ViewClock, read_account_usage
from loadgen.costs.snowflake.credits import WarehouseCredits
from loadgen.costs.snowflake.lines import BilledTool
from loadgen.costs.snowflake.prices import SnowflakePrices
from loadgen.costs.snowflake.views import RunStatement, UsageViews
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
        self._usages: dict[Window, tuple[AccountUsage, SnowflakePrices]] = {}

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
        usage, prices = self._account_usage(window)
        return [
            *(line for tool in self._tools for line in self._tool_lines(tool, usage, prices)),
            *lines.unattributed(usage, prices),
            *lines.transfer(usage, prices),
        ]

    def efficiency(self, run: Run) -> list[Efficiency]:
        """Return each tool's efficiency; none if Snowflake can't be reached."""
        window = run_window(run, self._now)
        session = or_unavailable(lambda: self._run_statement("session", {}))
        if window is None or isinstance(session, Unavailable):
            return []
        usage, prices = self._account_usage(window)
        changes = sum(totals.committed for totals in run.totals.values())
        return [
            _efficiency(tool, usage.credits_of(tool.warehouse.upper(), prices), usage, changes)
            for tool in self._tools
            if tool.warehouse
        ]

    def _not_priced(self, reason: str) -> list[CostLine]:
        return [not_priced(tool.name, "customer", self.name, reason) for tool in self._tools]

    def _account_usage(self, window: Window) -> tuple[AccountUsage, SnowflakePrices]:
        """Read the account's usage in the window, only once."""
        if window not in self._usages:
            views, clock = UsageViews(self._run_statement, window), ViewClock(window, self._now)
            account = self._settings.snowflake_account or ""
            rates = or_unavailable(lambda: views.rates(account))
            is_filled = clock.is_filled("RATE_SHEET_DAILY")
            prices = SnowflakePrices(self._settings, rates, self._card, is_filled=is_filled)
            warehouses = sorted({t.warehouse.upper() for t in self._tools if t.warehouse})
            databases = sorted({t.database.upper() for t in self._tools if t.database})
            self._usages[window] = read_account_usage(views, clock, warehouses, databases), prices
        return self._usages[window]

    def _tool_lines(
        self, tool: Tool, usage: AccountUsage, prices: SnowflakePrices
    ) -> Iterator[CostLine]:
        billed = BilledTool(tool, usage, prices)
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
        tool, usage = billed.tool, billed.usage
        used = usage.credits_of(billed.warehouse, billed.prices)
        if isinstance(used, Unavailable):
            yield billed.key("compute").not_priced(used)
            return
        if others := self._sharing(tool, "warehouse"):
            share = lines.share_of_warehouse(tool, [tool, *others], usage)
            if isinstance(share, Unavailable):
                reason = f"{billed.warehouse} is also used by {_names(others)}: {share.reason}"
                yield billed.key("compute").not_priced(replace(share, reason=reason))
                return
            shared = f"{share:.1%} of {billed.warehouse}, which {_names(others)} uses too"
            missing = [lines.without_attribution(other, usage) for other in others]
            note = join_notes(f"{shared}, by attributed credits", *missing)
            billed = replace(billed, share=share, share_note=note)
        yield from lines.compute(billed, used)
        yield lines.cloud_services(billed, used)
        yield from lines.acceleration(billed)

    def _sharing(self, tool: Tool, place: Literal["warehouse", "database"]) -> list[Tool]:
        """Return the other tools with the same warehouse or database."""
        own = str(getattr(tool, place)).upper()
        others = (other for other in self._tools if other is not tool)
        return [other for other in others if str(getattr(other, place) or "").upper() == own]


def _names(tools: Sequence[Tool]) -> str:
    return ", ".join(tool.name for tool in tools)


def _efficiency(
    tool: Tool, used: WarehouseCredits | Unavailable, usage: AccountUsage, changes: int
) -> Efficiency:
    """Return the figures of a tool that wrote `changes` changes in the window."""
    warehouse, clock = str(tool.warehouse).upper(), usage.clock
    credits_ = idle_share = per_million = bytes_per_row = None
    if not isinstance(used, Unavailable):
        credits_ = used.total
        per_million = credits_ * 1_000_000 / changes if changes else None
        if used.idle is not None and credits_:
            idle_share = sum(used.idle.values(), Decimal(0)) / credits_
    windows, statements = usage.awake_windows(warehouse), usage.statements_of(warehouse)
    wake_ups = None if windows is None else sum(map(clock.overlaps, windows))
    counts: dict[tuple[str, str, str], int] = {}
    number = None
    if not isinstance(statements, Unavailable):
        for statement in statements:
            if clock.overlaps(statement.span):
                user = (statement.user, statement.role, statement.tag)
                counts[user] = counts.get(user, 0) + 1
        number = sum(counts.values())
    if not isinstance(usage.table_sizes, Unavailable) and tool.database:
        rows, size = usage.table_sizes.get(tool.database.upper(), (0, 0))
        bytes_per_row = Decimal(size) / rows if rows else None
    settings = usage.settings_of(warehouse)
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
