"""An emulated Snowflake account whose usage views are tables that a test fills."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from loadgen.config.settings import load_settings
from loadgen.costs.cards import load_card
from loadgen.costs.lines import Unavailable
from loadgen.costs.snowflake.costs import SnowflakeCostTracker
from loadgen.costs.snowflake.views import UsageConnection
from loadgen.errors import DestinationError
from loadgen.record.costs import CostLine
from loadgen.record.run import Run
from loadgen.tools.tools_file import parse_tools

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

_HOURLY = "start_time timestamp_ltz, end_time timestamp_ltz"
_CREDITS = "number(38, 9)"
TABLES = {
    "account_usage.warehouse_metering_history": f"{_HOURLY}, warehouse_name varchar, "
    f"credits_used_compute {_CREDITS}, credits_used_cloud_services {_CREDITS}, "
    f"credits_attributed_compute_queries {_CREDITS}",
    "account_usage.metering_daily_history": "usage_date date, service_type varchar, "
    f"credits_used_compute {_CREDITS}, credits_used_cloud_services {_CREDITS}, "
    f"credits_adjustment_cloud_services {_CREDITS}",
    "account_usage.query_history": f"{_HOURLY}, warehouse_name varchar, warehouse_size varchar, "
    "user_name varchar, role_name varchar, query_tag varchar",
    "account_usage.query_attribution_history": f"{_HOURLY}, warehouse_name varchar, "
    f"user_name varchar, query_tag varchar, credits_attributed_compute {_CREDITS}",
    "account_usage.metering_history": f"{_HOURLY}, service_type varchar, name varchar, "
    f"database_name varchar, credits_used {_CREDITS}",
    "account_usage.database_storage_usage_history": "usage_date date, database_name varchar, "
    "average_database_bytes float, average_failsafe_bytes float",
    "account_usage.tables": "table_catalog varchar, row_count number, bytes number, "
    "deleted timestamp_ltz",
    "account_usage.data_transfer_history": f"{_HOURLY}, source_cloud varchar, "
    "source_region varchar, target_cloud varchar, target_region varchar, bytes_transferred float",
    "organization_usage.rate_sheet_daily": "date date, account_name varchar, "
    "account_locator varchar, usage_type varchar, service_type varchar, billing_type varchar, "
    "is_adjustment boolean, currency varchar, effective_rate number(38, 2)",
}
DENIED = DestinationError("SHOW WAREHOUSES can't be read: denied")
Answer = list[tuple[Any, ...]] | DestinationError


def at(text: str) -> datetime:
    """Return a moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def warehouse(name: str, generation: str = "1", **shown: object) -> tuple[dict[str, object]]:
    """Return a row of SHOW WAREHOUSES, with the columns that the vendor documents."""
    row = {
        "name": name,
        "size": "X-Small",
        "auto_suspend": 60,
        "enable_query_acceleration": "false",
    }
    return ({**row, "resource_constraint": f"STANDARD_GEN_{generation}", **shown},)


def a_run(start: str, end: str | None, changes: int = 0) -> Run:
    """Return a run of that time."""
    raw = {"run_id": "r", "started_at": f"{start}+00:00", "ended_at": end and f"{end}+00:00"}
    totals = {"insert_order": {"offered": changes, "committed": changes}}
    return Run.model_validate({**raw, "totals": totals})


def tools_of(*names: str, **keys: str) -> Mapping[str, Any]:
    """Return [tools] with one Snowflake tool a name, each with a warehouse, database and user."""
    return {
        name: {
            "kind": "generic",
            "destination": "snowflake",
            "schema": "PUBLIC",
            "database": f"DB_{name.upper()}",
            "warehouse": f"WH_{name.upper()}",
            "user": f"SVC_{name.upper()}",
            **keys,
        }
        for name in names
    }


@dataclass
class Account:
    """The account: its views, and recorded answers to statements that the emulator can't run."""

    port: int
    connection: "SnowflakeConnection"
    recorded: dict[str, Answer] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)
    card: Unavailable | None = None

    def put(self, table: str, **values: object) -> None:
        """Add a row; texts are cast to the column's type."""
        kinds = dict(
            word.split(" ", 1) for word in TABLES[table].replace("38, ", "38,").split(", ")
        )
        cells = ", ".join(f"CAST(%({name})s AS {kinds[name]})" for name in values)
        self.execute(f"INSERT INTO snowflake.{table} ({', '.join(values)}) SELECT {cells}", values)

    def execute(self, statement: str, values: Mapping[str, object] | None = None) -> None:
        """Run a statement."""
        self.connection.cursor().execute(statement, dict(values or {}))

    def empty(self) -> None:
        """Create the views again, without rows."""
        for table, columns in TABLES.items():
            self.execute(f"CREATE OR REPLACE TABLE snowflake.{table} ({columns})")

    def hour(self, name: str, start: str, compute: object, **more: object) -> None:
        """Add a metered hour; cloud services and attributed credits as given, else null."""
        self.put(
            "account_usage.warehouse_metering_history",
            warehouse_name=name,
            start_time=at(start),
            end_time=at(start) + timedelta(hours=1),
            credits_used_compute=compute,
            credits_used_cloud_services=more.get("cloud"),
            credits_attributed_compute_queries=more.get("attributed"),
        )

    def day(self, day: str, compute: object, cloud: object, adjustment: object = None) -> None:
        """Add the account's day of warehouses."""
        self.put(
            "account_usage.metering_daily_history",
            usage_date=day,
            service_type="WAREHOUSE_METERING",
            credits_used_compute=compute,
            credits_used_cloud_services=cloud,
            credits_adjustment_cloud_services=adjustment,
        )

    def ran(
        self, name: str, start: datetime, seconds: float, user: str, tag: str = "",
        *, size: str = "X-Small",
    ) -> None:  # fmt: skip
        """Add a statement."""
        self.put(
            "account_usage.query_history",
            warehouse_name=name,
            warehouse_size=size,
            start_time=start,
            end_time=start + timedelta(seconds=seconds),
            user_name=user,
            role_name="R",
            query_tag=tag,
        )

    def attributed(self, name: str, start: str, user: str, used: object, tag: str = "") -> None:
        """Add the credits of a statement's work."""
        self.put(
            "account_usage.query_attribution_history",
            warehouse_name=name,
            start_time=at(start),
            end_time=at(start),
            user_name=user,
            query_tag=tag,
            credits_attributed_compute=used,
        )

    def tracker(self, tools: Mapping[str, Any], now: str) -> SnowflakeCostTracker:
        """Return the tracker as the product makes it, recorded answers put in its way."""
        settings = load_settings(
            {
                "snowflake_host": "127.0.0.1",
                "snowflake_port": self.port,
                "snowflake_protocol": "http",
                "snowflake_account": "ORG-PLAYGROUND",
                "snowflake_edition": "standard",
                "snowflake_region": "aws_us_east_1",
                **self.settings,
            }
        )
        real = UsageConnection(settings)

        def ask(name: str, binds: Mapping[str, object]) -> list[tuple[Any, ...]]:
            answer = self.recorded.get(name)
            if isinstance(answer, DestinationError):
                raise answer
            return real(name, binds) if answer is None else answer

        parsed = parse_tools({"tools": tools}, "tools.toml")
        return SnowflakeCostTracker(
            parsed, settings, self.card or load_card("snowflake"), ask, at(now)
        )

    def lines(self, tools: Mapping[str, Any], run: Run, now: str) -> dict[str, CostLine]:
        """Return the run's lines by `tool category`."""
        lines = self.tracker(tools, now).lines(run)
        return {f"{line.tool} {line.category}": line for line in lines}


def total(lines: Mapping[str, CostLine], of: Callable[[str], bool] = lambda _: True) -> Decimal:
    """Return the sum of the lines that are priced."""
    return sum((line.amount or Decimal(0) for name, line in lines.items() if of(name)), Decimal(0))
