"""Snowflake's usage views over a period, as typed rows; the statements are in sql/snowflake_*.sql.

A view that can't be read raises DestinationError, with the view's name and what to do.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol

from loadgen.config.settings import Settings
from loadgen.costs.billing_window import DAY, Window, clock_hour
from loadgen.errors import DestinationError, one_line
from loadgen.sql import statements
from loadgen.tools.readers.snowflake_connection import account_names, connect, login

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

OWN_TAGS: Final = "loadgen "  # the query tags of our own statements begin with it
_TAG: Final = f"{OWN_TAGS}costs"
_NOT_THERE: Final = frozenset({2003, 2043, 3001})  # does not exist or not authorized
_GRANTS: Final = {
    "rates": "ORGANIZATION_BILLING_VIEWER",
    "statements": "GOVERNANCE_VIEWER",
    "table_sizes": "OBJECT_VIEWER",
}
_DAYS_OF_RATES: Final = 31 * DAY  # the rate sheet has no row for days without use
SQL: Final = {
    name: text
    for file in ("snowflake_usage.sql", "snowflake_live.sql")
    for name, text in statements("loadgen.costs", file).items()
}

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class MeteredHour:
    """Credits of a warehouse in one clock hour; None if Snowflake has not filled them in."""

    warehouse: str
    hour: Window
    compute: Decimal | None
    cloud: Decimal | None
    attributed: Decimal | None


@dataclass(frozen=True, slots=True)
class MeteredDay:
    """Credits of the account on one UTC day: its warehouses and its cloud services."""

    day: date
    compute: Decimal
    cloud: Decimal | None
    adjustment: Decimal | None

    @property
    def billed_cloud(self) -> Decimal | None:
        """The billed cloud services: those above a tenth of the warehouses' credits.

        By Snowflake's own adjustment if it is filled in, else by the rule.
        """
        if self.cloud is None:
            return None
        free = self.compute / 10 if self.adjustment is None else -self.adjustment
        return max(self.cloud - free, Decimal(0))


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement that a warehouse ran; `size` is the warehouse's at that time, if known."""

    warehouse: str
    span: Window
    user: str
    role: str
    tag: str
    size: str = ""

    @property
    def actor(self) -> str:
        """The user, or our own program under that user."""
        return actor(self.user, self.tag)


@dataclass(frozen=True, slots=True)
class WarehouseSettings:
    """The current settings of a warehouse; `auto_suspend` in seconds, None for never."""

    name: str
    size: str
    generation: str | None
    auto_suspend: int | None
    acceleration: bool

    def __str__(self) -> str:
        generation = f"Gen{self.generation}" if self.generation else "generation not shown"
        sleeps = f"AUTO_SUSPEND {self.auto_suspend} s" if self.auto_suspend else "never suspends"
        return f"{self.name}, {self.size} {generation}, {sleeps}"


@dataclass(frozen=True, slots=True)
class ServiceCredits:
    """Credits of a service without warehouse in a clock hour.

    `owner` is a database or warehouse, "" if Snowflake names none; `name` is the entity's.
    """

    owner: str
    service: str
    hour: Window
    credits: Decimal
    name: str = ""


@dataclass(frozen=True, slots=True)
class DatabaseStorage:
    """Average bytes of a database on one UTC day."""

    database: str
    day: date
    live: Decimal
    failsafe: Decimal

    @property
    def bytes(self) -> Decimal:
        """All bytes that are paid for."""
        return self.live + self.failsafe


@dataclass(frozen=True, slots=True)
class ContractRate:
    """The contract's price of one unit of a service on a day."""

    day: date
    service: str
    currency: str
    rate: Decimal


def actor(user: str, tag: str) -> str:
    """Return who ran a statement: a user, or our own program under that user, by its query tag."""
    return f"{user} as {tag}" if tag.startswith(OWN_TAGS) else user


class RunStatement(Protocol):
    """Runs a statement of SQL by its name."""

    def __call__(self, name: str, binds: Mapping[str, object]) -> list[Row]:
        """Return its rows. Raises DestinationError."""


class UsageViews:
    """Reads the views for a window, widened to its clock hours or days."""

    def __init__(self, run_statement: RunStatement, window: Window) -> None:
        self._run = run_statement
        self._window = window

    def hours(self, warehouses: Sequence[str]) -> list[MeteredHour]:
        """Return the metered hours, from the view."""
        return [_metered_hour(row) for row in self._hourly("metered_hours", warehouses=warehouses)]

    def live_hours(self, warehouse: str) -> list[MeteredHour]:
        """Return a warehouse's metered hours from the table function, minutes old."""
        return [_metered_hour(row) for row in self._hourly("live_hours", warehouse=warehouse)]

    def days(self) -> list[MeteredDay]:
        """Return the account's metered days; only warehouses' credits count for the free tenth."""
        compute: dict[date, Decimal] = {}
        cloud: dict[date, Decimal] = {}
        adjustment: dict[date, Decimal] = {}
        for day, service, used, cloud_used, adjusted in self._daily("metered_days"):
            compute.setdefault(day, Decimal(0))
            if service == "WAREHOUSE_METERING":
                compute[day] += used or 0
            for sums, credits_ in ((cloud, cloud_used), (adjustment, adjusted)):
                if credits_ is not None:
                    sums[day] = sums.get(day, Decimal(0)) + credits_
        return [
            MeteredDay(day, compute[day], cloud.get(day), adjustment.get(day)) for day in compute
        ]

    def statements(self, warehouses: Sequence[str]) -> list[Statement]:
        """Return the warehouses' statements, from the view."""
        return [_statement(row) for row in self._hourly("statements", warehouses=warehouses)]

    def live_statements(self, warehouse: str) -> list[Statement]:
        """Return a warehouse's statements from the table function, at most 10,000."""
        return [_statement(row) for row in self._hourly("live_statements", warehouse=warehouse)]

    def attributed_credits(self, warehouses: Sequence[str]) -> dict[tuple[str, str], Decimal]:
        """Return credits of statements within the window, by warehouse and actor."""
        credits_: dict[tuple[str, str], Decimal] = {}
        binds = {"since": self._window.start, "until": self._window.end, "warehouses": warehouses}
        for warehouse, user, tag, used in self._run("attributed_credits", binds):
            key = (warehouse, actor(str(user), str(tag or "")))
            credits_[key] = credits_.get(key, Decimal(0)) + (used or 0)
        return credits_

    def serverless(self, databases: Sequence[str]) -> list[ServiceCredits]:
        """Return credits without a warehouse, by database; "" if none is named."""
        return [_service_credits(row) for row in self._hourly("serverless", databases=databases)]

    def acceleration(self, warehouses: Sequence[str]) -> list[ServiceCredits]:
        """Return query acceleration, by warehouse."""
        rows = self._hourly("acceleration", warehouses=warehouses)
        return [_service_credits(row) for row in rows]

    def storage(self, databases: Sequence[str]) -> list[DatabaseStorage]:
        """Return the databases' bytes by day."""
        return [
            DatabaseStorage(database, day, live or Decimal(0), failsafe or Decimal(0))
            for database, day, live, failsafe in self._daily("storage", databases=databases)
        ]

    def table_sizes(self, databases: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return the current rows and bytes of each database's tables."""
        sizes: dict[str, tuple[int, int]] = {}
        for database, rows, size in self._run("table_sizes", {"databases": databases}):
            other_rows, other_bytes = sizes.get(database, (0, 0))
            sizes[database] = (other_rows + int(rows or 0), other_bytes + int(size or 0))
        return sizes

    def transfers(self) -> dict[tuple[str, str], Decimal]:
        """Return the bytes that left the account, by origin and target."""
        sizes: dict[tuple[str, str], Decimal] = {}
        for cloud, region, to_cloud, to_region, size in self._hourly("transfers"):
            key = (f"{cloud} {region}", f"{to_cloud} {to_region}")
            sizes[key] = sizes.get(key, Decimal(0)) + (size or 0)
        return sizes

    def rates(self, account: str) -> list[ContractRate]:
        """Return the contract's rates of the window and the month before."""
        binds = {
            "since": (self._window.start - _DAYS_OF_RATES).date(),
            "until": self._window.end.date(),
            "accounts": account_names(account),
        }
        return [ContractRate(*row) for row in self._run("rates", binds)]

    def warehouses(self) -> dict[str, WarehouseSettings]:
        """Return the warehouses that our role may see."""
        warehouses = [_warehouse(row) for (row,) in self._run("warehouses", {})]
        return {warehouse.name: warehouse for warehouse in warehouses}

    def _hourly(self, name: str, **binds: object) -> list[Row]:
        hours = self._window.clock_hours()
        return self._run(name, {"since": hours.start, "until": hours.end, **binds})

    def _daily(self, name: str, **binds: object) -> list[Row]:
        days = [day for day, _ in self._window.days()]
        return self._run(name, {"since": days[0], "until": days[-1], **binds})


class UsageConnection:
    """Runs the statements through Snowflake's connector; the first one logs in."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: SnowflakeConnection | None = None

    def __call__(self, name: str, binds: Mapping[str, object]) -> list[Row]:
        """Return the statement's rows. Raises DestinationError."""
        if self._connection is None:
            settings = self._settings
            place = f"snowflake://{settings.snowflake_account or settings.snowflake_host}"
            self._connection = connect(login(settings), place, _TAG)
        from snowflake.connector import DictCursor, errors  # noqa: PLC0415 - an extra
        from snowflake.connector.cursor import SnowflakeCursor  # noqa: PLC0415 - as above

        by_column = name == "warehouses"  # columns of SHOW change from release to release
        try:
            with self._connection.cursor(DictCursor if by_column else SnowflakeCursor) as cursor:
                cursor.execute(SQL[name], dict(binds))
                rows: list[Any] = cursor.fetchall()
        except errors.Error as exc:
            raise DestinationError(_explain(name, exc)) from exc
        return [(row,) for row in rows] if by_column else rows

    def close(self) -> None:
        """Log out."""
        if self._connection is not None:
            with suppress(Exception):  # nothing depends on it
                self._connection.close()
            self._connection = None


def _explain(name: str, exc: Exception) -> str:
    words = SQL[name].replace("(", " ").split()
    tables = [word for word in words if word.startswith("snowflake.")]
    view = tables[0].rpartition(".")[2].upper() if tables else SQL[name].strip()
    if getattr(exc, "errno", None) in _NOT_THERE:
        grant = _GRANTS.get(name, "USAGE_VIEWER")
        return f"{view} is not there or not granted: grant SNOWFLAKE.{grant} to our role"
    return f"{view} can't be read: {one_line(getattr(exc, 'msg', None) or exc)}"


def _metered_hour(row: Row) -> MeteredHour:
    warehouse, start, compute, cloud, attributed = row
    return MeteredHour(warehouse, _hour(start), compute, cloud, attributed)


def _service_credits(row: Row) -> ServiceCredits:
    owner, service, start, used, name = row
    return ServiceCredits(owner or "", service, _hour(start), used or Decimal(0), name or "")


def _hour(start: datetime) -> Window:
    return clock_hour(start.astimezone(UTC))


def _statement(row: Row) -> Statement:
    span = Window(row[1].astimezone(UTC), row[2].astimezone(UTC))
    return Statement(row[0], span, *(str(text or "") for text in row[3:7]))


def _warehouse(row: Mapping[str, object]) -> WarehouseSettings:
    columns = {key.lower(): cell for key, cell in row.items()}
    constraint = str(columns.get("resource_constraint") or "").upper()
    generation = str(columns.get("generation") or "") or None
    if constraint.startswith("STANDARD_GEN_"):
        generation = constraint.removeprefix("STANDARD_GEN_")
    auto_suspend = columns.get("auto_suspend")
    return WarehouseSettings(
        name=str(columns["name"]).upper(),
        size=str(columns.get("size") or "size not shown"),
        generation=generation,
        auto_suspend=int(str(auto_suspend)) if auto_suspend else None,
        acceleration=str(columns.get("enable_query_acceleration")).lower() == "true",
    )
