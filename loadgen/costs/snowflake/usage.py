"""What Snowflake's views say of a period, as typed rows; statements are in sql/snowflake_*.sql.

`Ask` runs one statement: the real connector in the product. Each method raises DestinationError
with the view's name and what to do, so that whoever prices can put that where the figure would be.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol

from loadgen.config.settings import Settings
from loadgen.costs.billing_window import Window
from loadgen.costs.snowflake.rows import (
    OWN_TAGS,
    MeteredDay,
    MeteredHour,
    Rate,
    Serverless,
    Statement,
    Stored,
    Warehouse,
    whose,
)
from loadgen.errors import DestinationError, one_line
from loadgen.sql import statements
from loadgen.tools.readers.snowflake_connection import account_names, connect, login

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

_TAG: Final = f"{OWN_TAGS}costs"
_NOT_THERE: Final = frozenset({2003, 2043, 3001})  # does not exist or not authorized
_GRANTS: Final = {
    "rates": "ORGANIZATION_BILLING_VIEWER",
    "statements": "GOVERNANCE_VIEWER",
    "rows_kept": "OBJECT_VIEWER",
}
_RATES_BACK: Final = timedelta(days=31)  # no row on days without use
SQL: Final = {
    name: text
    for file in ("snowflake_usage.sql", "snowflake_live.sql")
    for name, text in statements("loadgen.costs", file).items()
}

Row = Mapping[str, Any]


class Ask(Protocol):
    """Runs a statement of SQL by its name."""

    def __call__(self, name: str, binds: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Return its rows. Raises DestinationError."""


class SnowflakeUsage:
    """Asks the views for a window, wide enough for its clock hours and days."""

    def __init__(self, ask: Ask, window: Window) -> None:
        self._ask = ask
        self._window = window

    def hours(self, warehouses: Sequence[str]) -> list[MeteredHour]:
        """Return the metered hours, from the view."""
        return [_hour(row) for row in self._between("metered_hours", warehouses=warehouses)]

    def live_hours(self, warehouse: str) -> list[MeteredHour]:
        """Return a warehouse's metered hours from the table function, minutes old."""
        return [_hour(row) for row in self._between("live_hours", warehouse=warehouse)]

    def days(self) -> list[MeteredDay]:
        """Return the account's metered days."""
        found: dict[date, list[tuple[Any, ...]]] = {}
        for row in self._on_days("metered_days"):
            found.setdefault(row[0], []).append(row)
        return [_day(day, rows) for day, rows in found.items()]

    def statements(self, warehouses: Sequence[str]) -> list[Statement]:
        """Return what the warehouses ran, from the view."""
        return [_statement(row) for row in self._between("statements", warehouses=warehouses)]

    def live_statements(self, warehouse: str) -> list[Statement]:
        """Return what a warehouse ran, from the table function: at most 10,000 statements."""
        return [_statement(row) for row in self._between("live_statements", warehouse=warehouse)]

    def attributed(self, warehouses: Sequence[str]) -> dict[tuple[str, str], Decimal]:
        """Return credits of statements within the window by warehouse and whose they were."""
        found: dict[tuple[str, str], Decimal] = {}
        exact = {"since": self._window.start, "until": self._window.end}
        rows = self._ask("attributed", {**exact, "warehouses": warehouses})
        for warehouse, user, tag, used in rows:
            key = (warehouse, whose(str(user), str(tag or "")))
            found[key] = found.get(key, Decimal(0)) + (used or 0)
        return found

    def serverless(self, databases: Sequence[str]) -> list[Serverless]:
        """Return what ran without a warehouse, by database; of "" where no database is named."""
        return [_service(row) for row in self._between("serverless", databases=databases)]

    def acceleration(self, warehouses: Sequence[str]) -> list[Serverless]:
        """Return query acceleration, by warehouse."""
        return [_service(row) for row in self._between("acceleration", warehouses=warehouses)]

    def stored(self, databases: Sequence[str]) -> list[Stored]:
        """Return the databases' bytes by day."""
        return [
            Stored(row[0], row[1], row[2] or Decimal(0), row[3] or Decimal(0))
            for row in self._on_days("stored", databases=databases)
        ]

    def rows_kept(self, databases: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return rows and bytes of each database's tables as they are now."""
        found: dict[str, tuple[int, int]] = {}
        for database, number, size in self._ask("rows_kept", {"databases": databases}):
            rows, total = found.get(database, (0, 0))
            found[database] = (rows + int(number or 0), total + int(size or 0))
        return found

    def transferred(self) -> dict[tuple[str, str], Decimal]:
        """Return the bytes that left the account, by where from and where to."""
        found: dict[tuple[str, str], Decimal] = {}
        for cloud, region, to_cloud, to_region, size in self._between("transferred"):
            key = (f"{cloud} {region}", f"{to_cloud} {to_region}")
            found[key] = found.get(key, Decimal(0)) + (size or 0)
        return found

    def rates(self, account: str) -> list[Rate]:
        """Return the contract's rates of the window and the month before."""
        since = (self._window.start - _RATES_BACK).date()
        binds = {
            "since": since,
            "until": self._window.end.date(),
            "accounts": account_names(account),
        }
        return [Rate(*row) for row in self._ask("rates", binds)]

    def warehouses(self) -> dict[str, Warehouse]:
        """Return the warehouses that our role may see."""
        return {found.name: found for row in self._ask("warehouses", {}) for found in _found(row)}

    def _between(self, name: str, **binds: object) -> list[tuple[Any, ...]]:
        hours = self._window.clock_hours()
        return self._ask(name, {"since": hours.start, "until": hours.end, **binds})

    def _on_days(self, name: str, **binds: object) -> list[tuple[Any, ...]]:
        days = [day for day, _ in self._window.days()]
        return self._ask(name, {"since": days[0], "until": days[-1], **binds})


class Connection:
    """Asks through the real connector; it logs in when it is first asked, and only then."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: SnowflakeConnection | None = None

    def __call__(self, name: str, binds: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Return the statement's rows. Raises DestinationError."""
        if self._connection is None:
            self._connection = self._logged_in()
        from snowflake.connector import DictCursor, errors  # noqa: PLC0415 - an extra
        from snowflake.connector.cursor import SnowflakeCursor  # noqa: PLC0415 - as above

        shown = name == "warehouses"  # columns of SHOW change from release to release
        try:
            with self._connection.cursor(DictCursor if shown else SnowflakeCursor) as cursor:
                cursor.execute(SQL[name], dict(binds))
                rows: list[Any] = cursor.fetchall()
        except errors.Error as exc:
            raise DestinationError(_why(name, exc)) from exc
        return [(row,) for row in rows] if shown else rows

    def _logged_in(self) -> "SnowflakeConnection":
        settings = self._settings
        where = f"snowflake://{settings.snowflake_account or settings.snowflake_host}"
        return connect(login(settings), where, _TAG)

    def close(self) -> None:
        """Log out."""
        if self._connection is not None:
            with suppress(Exception):  # nothing depends on it
                self._connection.close()
            self._connection = None


def _why(name: str, exc: Exception) -> str:
    view = _view(name)
    if getattr(exc, "errno", None) in _NOT_THERE:
        grant = _GRANTS.get(name, "USAGE_VIEWER")
        return f"{view} is not there or not granted: grant SNOWFLAKE.{grant} to our role"
    return f"{view} can't be read: {one_line(getattr(exc, 'msg', None) or exc)}"


def _view(name: str) -> str:
    words = SQL[name].replace("(", " ").split()
    named = [word for word in words if word.startswith("snowflake.")]
    return named[0].rpartition(".")[2].upper() if named else SQL[name].strip()


def _clock(start: datetime) -> Window:
    begun = start.astimezone(UTC)
    return Window(begun, begun + timedelta(hours=1))


def _hour(row: tuple[Any, ...]) -> MeteredHour:
    return MeteredHour(row[0], _clock(row[1]), row[2], row[3], row[4])


def _service(row: tuple[Any, ...]) -> Serverless:
    return Serverless(row[0] or "", row[1], _clock(row[2]), row[3] or Decimal(0), row[4] or "")


def _day(day: date, rows: Iterable[tuple[Any, ...]]) -> MeteredDay:
    """Return a day of all services; only warehouses' credits count for the free tenth."""
    compute = Decimal(0)
    cloud: Decimal | None = None
    adjustment: Decimal | None = None
    for _, service, used, cloud_used, adjusted in rows:
        if service == "WAREHOUSE_METERING":
            compute += used or 0
        if cloud_used is not None:
            cloud = (cloud or Decimal(0)) + cloud_used
        if adjusted is not None:
            adjustment = (adjustment or Decimal(0)) + adjusted
    return MeteredDay(day, compute, cloud, adjustment)


def _statement(row: tuple[Any, ...]) -> Statement:
    span = Window(row[1].astimezone(UTC), row[2].astimezone(UTC))
    return Statement(row[0], span, *(str(word or "") for word in row[3:7]))


def _found(row: tuple[Any, ...]) -> Iterable[Warehouse]:
    shown = {str(key).lower(): value for key, value in row[0].items()}
    constraint = str(shown.get("resource_constraint") or "").upper()
    generation = str(shown.get("generation") or "") or None
    if constraint.startswith("STANDARD_GEN_"):
        generation = constraint.removeprefix("STANDARD_GEN_")
    yield Warehouse(
        name=str(shown["name"]).upper(),
        size=str(shown.get("size") or "size not shown"),
        generation=generation,
        auto_suspend=int(shown["auto_suspend"]) if shown.get("auto_suspend") else None,
        acceleration=str(shown.get("enable_query_acceleration")).lower() == "true",
    )
