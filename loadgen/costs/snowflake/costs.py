"""What the tools under test cost in Snowflake: credits of a warehouse each, and what goes with it.

The bill is a warehouse's uptime, so credits come from WAREHOUSE_METERING_HISTORY, one warehouse a
tool; QUERY_HISTORY and QUERY_ATTRIBUTION_HISTORY only explain them. The customer pays all of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from loadgen.config.settings import Settings
from loadgen.costs.billing_window import Window, run_window
from loadgen.costs.cards import RateCard
from loadgen.costs.lines import joined
from loadgen.costs.snowflake import lines
from loadgen.costs.snowflake.credits import Used
from loadgen.costs.snowflake.efficiency import efficiency
from loadgen.costs.snowflake.lines import Case
from loadgen.costs.snowflake.prices import SnowflakePrices
from loadgen.costs.snowflake.reading import Clock, Reading, read
from loadgen.costs.snowflake.usage import Ask, SnowflakeUsage
from loadgen.costs.snowflake.users import split, unattributed
from loadgen.costs.unavailable import Unavailable, tried
from loadgen.errors import DestinationError
from loadgen.record.costs import CostLine, Efficiency, not_priced
from loadgen.record.run import Run
from loadgen.tools.readers.snowflake_connection import same_account
from loadgen.tools.tools_file import Tool


class SnowflakeCostTracker:
    """Asks Snowflake what a run's tools used, and prices it; a `CostSource`.

    `card` is the list prices, or why there are none; `ask` runs a statement.
    """

    name = "Snowflake"

    def __init__(
        self,
        tools: Sequence[Tool],
        settings: Settings,
        card: RateCard | Unavailable,
        ask: Ask,
        now: datetime,
    ) -> None:
        self._tools = [tool for tool in tools if tool.destination == "snowflake"]
        self._settings = settings
        self._card = card
        self._ask = ask
        self._now = now
        self._read: dict[Window, tuple[Reading, SnowflakePrices]] = {}

    def lines(self, run: Run) -> list[CostLine]:
        """Return the run's lines; what can't be read or priced says why."""
        if not self._tools:
            return []
        window = run_window(run, self._now)
        if window is None:
            return self._nothing("the run's record has no time to price")
        try:
            self._ask("session", {})
        except DestinationError as exc:
            return self._nothing(str(exc))
        reading, prices = self._reading(window)
        found = [line for tool in self._tools for line in self._of(tool, reading, prices)]
        return [
            *found,
            *lines.unattributed(reading, prices),
            *lines.transfer(reading, prices),
        ]

    def efficiency(self, run: Run) -> list[Efficiency]:
        """Return what the credits were spent on, by tool; nothing where nobody can be asked."""
        window = run_window(run, self._now)
        if window is None or isinstance(tried(lambda: self._ask("session", {})), Unavailable):
            return []
        reading, prices = self._reading(window)
        changes = sum(totals.committed for totals in run.totals.values())
        return [
            efficiency(tool, self._used(tool, reading, prices), reading, changes)
            for tool in self._tools
            if tool.warehouse
        ]

    def _nothing(self, why: str) -> list[CostLine]:
        return [not_priced(tool.name, "customer", "Snowflake", why) for tool in self._tools]

    def _reading(self, window: Window) -> tuple[Reading, SnowflakePrices]:
        """Return what was read for the window, once."""
        if window not in self._read:
            usage, clock = SnowflakeUsage(self._ask, window), Clock(window, self._now)
            account = self._settings.snowflake_account or ""
            rates = tried(lambda: usage.rates(account))
            filled = clock.final("RATE_SHEET_DAILY", daily=True)
            prices = SnowflakePrices(self._settings, rates, self._card, filled=filled)
            warehouses = sorted({t.warehouse.upper() for t in self._tools if t.warehouse})
            databases = sorted({t.database.upper() for t in self._tools if t.database})
            self._read[window] = read(usage, clock, warehouses, databases), prices
        return self._read[window]

    def _of(self, tool: Tool, reading: Reading, prices: SnowflakePrices) -> Iterator[CostLine]:
        case = Case(tool, reading, prices)
        if tool.account and not same_account(tool.account, self._settings.snowflake_account or ""):
            yield case.what("Snowflake").unpriced(
                f"its account is {tool.account}, and SNOWFLAKE_ACCOUNT another"
            )
            return
        if tool.warehouse:
            yield from self._warehouse(tool, reading, prices)
        else:
            yield case.what("compute").unpriced("tools.toml does not name its warehouse")
        if not tool.database:
            yield case.what("storage").unpriced("tools.toml does not name its database")
        elif others := _names(self._sharing(tool, "database")):
            why = f"database {case.database} is also used by {others}: give each tool its own"
            yield case.what("storage").unpriced(why)
        else:
            yield lines.serverless(case)
            yield lines.storage(case)

    def _warehouse(
        self, tool: Tool, reading: Reading, prices: SnowflakePrices
    ) -> Iterator[CostLine]:
        sharing = self._sharing(tool, "warehouse")
        case = Case(tool, reading, prices)
        used = self._used(tool, reading, prices)
        if isinstance(used, Unavailable):
            yield case.what("compute").unpriced(used)
            return
        if sharing:
            part = split(tool, [tool, *sharing], reading)
            if isinstance(part, Unavailable):
                also = f"{case.warehouse} is also used by {_names(sharing)}"
                why = replace(part, why=f"{also}: {part.why}")
                yield case.what("compute").unpriced(why)
                return
            shared = f"{part:.1%} of {case.warehouse}, which {_names(sharing)} uses too"
            others = [unattributed(one, reading) for one in sharing]
            note = joined(f"{shared}, by attributed credits", *others)
            case = Case(tool, reading, prices, part, note)
        yield from lines.compute(case, used)
        yield lines.cloud(case, used)
        yield from lines.acceleration(case)

    def _used(self, tool: Tool, reading: Reading, prices: SnowflakePrices) -> Used | Unavailable:
        return reading.used(str(tool.warehouse).upper(), prices)

    def _sharing(self, tool: Tool, what: str) -> list[Tool]:
        """Return the other tools with the same warehouse or database."""
        own = str(getattr(tool, what)).upper()
        others = (one for one in self._tools if one is not tool)
        return [one for one in others if str(getattr(one, what) or "").upper() == own]


def _names(tools: Sequence[Tool]) -> str:
    return ", ".join(tool.name for tool in tools)
