"""The baseline: fills an empty playground by COPY, or completes a copy that was interrupted.

Each transaction copies some ten thousand rows and updates the progress in the playground's table,
so an interruption loses only the transaction under way. Indexes and foreign keys are dropped before
the copy and built after it; then the baseline is complete.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from time import monotonic
from typing import Any, Final, Literal, LiteralString

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from loadgen.config.settings import Settings
from loadgen.errors import SettingsError, SourceError
from loadgen.source import schema
from loadgen.source.baseline_rows import (
    BLOCK_ROWS,
    COPY_HEADER,
    COPY_TRAILER,
    TABLES,
    BaselineParameters,
    BaselineRows,
    Table,
)
from loadgen.source.limits import first_write
from loadgen.source.postgres import Connection, plain_errors
from loadgen.sql import statements

# Rows of one transaction; an interruption loses at most so many.
COPY_ROWS: Final = 128 * BLOCK_ROWS

Phase = Literal[Table, "indexes", "statistics"]


@dataclass(frozen=True, slots=True)
class SeedRequest:
    """Parameters of a baseline; `end` defaults to the stored one, or to the start of today."""

    users: int
    orders: int
    events: int
    seed: int
    event_bytes: int
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class SeedProgress:
    """`rows` of `total` are copied, and `phase` is under way."""

    phase: Phase
    rows: int
    total: int


@dataclass(frozen=True, slots=True)
class SeedResult:
    """The baseline in the database, and what this call did for it."""

    parameters: BaselineParameters
    found_rows: int  # copied by earlier calls
    copied_rows: int
    seconds: Mapping[str, float]  # by phase; empty if the baseline was complete


def seed_request(settings: Settings, end: datetime | None = None) -> SeedRequest:
    """Return the baseline that the settings describe."""
    return SeedRequest(
        settings.initial_users,
        settings.initial_orders,
        settings.initial_events,
        settings.seed,
        settings.event_bytes,
        end,
    )


def seed(
    conn: Connection,
    request: SeedRequest,
    report: Callable[[SeedProgress], None] = lambda _: None,
) -> SeedResult:
    """Make the database of `conn` (autocommit) hold the baseline, whatever its state.

    Raises SourceError if it can't or must not be filled; rows copied so far stay.
    """
    schema.check_source(conn)
    schema.require_ownership(conn)
    with _seeding_lock(conn):
        state = schema.seed_state(conn)
        parameters = _parameters(conn, request, state)
        if state is not None and state.progress.get("complete"):
            return SeedResult(parameters, parameters.total(), 0, {})
        return _Seeding(conn, parameters, report).run()


class _Seeding:
    """The work on a baseline that is not complete."""

    def __init__(
        self,
        conn: Connection,
        parameters: BaselineParameters,
        report: Callable[[SeedProgress], None],
    ) -> None:
        self._conn = conn
        self._parameters = parameters
        self._report = report
        self._rows_copied = dict.fromkeys(TABLES, 0)
        self._seconds: dict[str, float] = {}

    def run(self) -> SeedResult:
        """Copy the missing rows, then build indexes and statistics."""
        total = self._parameters.total()
        with first_write(self._conn, "making the schema"):
            schema.migrate(self._conn, indexes=False)
        self._begin()
        found_rows = self._copied()
        if found_rows < total:
            schema.drop_bulk_indexes(self._conn)
        rows = BaselineRows(self._parameters)
        for table in TABLES:
            with self._phase(table):
                self._fill(rows, table)
        with self._phase("indexes"):
            schema.build_indexes(self._conn)
        with self._phase("statistics"), plain_errors("collecting statistics"):
            self._finish()
        return SeedResult(self._parameters, found_rows, total - found_rows, self._seconds)

    def _begin(self) -> None:
        """Store the parameters, or read the progress of an earlier call."""
        state = schema.seed_state(self._conn)
        if state is not None:
            self._rows_copied |= {table: state.progress.get(table, 0) for table in TABLES}
            return
        filled = _row(self._conn, "filled")["filled"]
        if filled is not None:
            raise SourceError(
                f"table {filled} has rows that are not from a baseline; nothing was written: use "
                "an empty database"
            )
        with plain_errors("beginning the baseline"):
            parameters = asdict(self._parameters) | {"end": self._parameters.end.isoformat()}
            self._conn.execute(_sql("begin"), {"parameters": Jsonb(parameters)})

    def _fill(self, rows: BaselineRows, table: Table) -> None:
        total = self._parameters.rows(table)
        while self._rows_copied[table] < total:
            all_rows = self._parameters.total()
            upto = min(self._rows_copied[table] + COPY_ROWS, total)
            with plain_errors(
                f"seeding stopped at {self._copied():,} of {all_rows:,} rows; the same command "
                "continues there"
            ):
                self._copy(rows, table, upto)
            self._rows_copied[table] = upto
            self._report(SeedProgress(table, self._copied(), all_rows))

    def _copy(self, rows: BaselineRows, table: Table, upto: int) -> None:
        """Copy the next rows, up to `upto`, and store the progress."""
        blocks = range(self._rows_copied[table] // BLOCK_ROWS, -(-upto // BLOCK_ROWS))
        with self._conn.transaction():
            with self._conn.cursor() as cursor, cursor.copy(_sql(f"copy_{table}")) as copy:
                copy.write(COPY_HEADER)
                for block in blocks:
                    copy.write(rows.block(table, block))
                copy.write(COPY_TRAILER)
            self._conn.execute(_sql("advance"), {"table": table, "rows": upto})

    def _finish(self) -> None:
        for table in TABLES:
            rows = {"rows": self._parameters.rows(table)}
            self._conn.execute(_sql(f"set_{table}_identity"), rows)
        self._conn.execute(_sql("analyze"))
        self._conn.execute(_sql("settle"))
        with first_write(self._conn, "completing the baseline"):  # the first synchronous commit
            self._conn.execute(_sql("complete"))

    def _copied(self) -> int:
        return sum(self._rows_copied.values())

    @contextmanager
    def _phase(self, phase: Phase) -> Iterator[None]:
        self._report(SeedProgress(phase, self._copied(), self._parameters.total()))
        began = monotonic()
        yield
        self._seconds[phase] = monotonic() - began


def _parameters(
    conn: Connection, request: SeedRequest, state: schema.SeedState | None
) -> BaselineParameters:
    """Return the parameters of the baseline, which must equal the stored ones."""
    if state is None:
        clock = _row(conn, "clock")
        if request.end is not None and request.end > clock["now"]:
            raise SettingsError(
                f"--end is {request.end.isoformat()}, which is in the future (the server has "
                f"{clock['now'].isoformat(timespec='seconds')}): the load's rows must come after it"
            )
        return BaselineParameters(**asdict(request) | {"end": request.end or clock["today"]})
    stored = dict(state.parameters)
    stored["end"] = datetime.fromisoformat(stored["end"])
    # The width of events is the load's setting too, and may be varied over one baseline.
    requested = asdict(request) | {"event_bytes": stored["event_bytes"]}
    differences = [
        f"{name} {stored[name]} instead of {requested[name]}"
        for name in requested
        if requested[name] not in (None, stored[name])
    ]
    if differences:
        raise SourceError(
            f"the database has another baseline, {', '.join(differences)}; nothing was changed: "
            "seed the same one, or remove it with `loadgen db reset` (with DATABASE_URL: use an "
            "empty database)"
        )
    return BaselineParameters(**stored)


@contextmanager
def _seeding_lock(conn: Connection) -> Iterator[None]:
    """Hold the lock of seeding, with session settings that make the copy fast."""
    try:
        conn.execute(_sql("wait_briefly"))
        conn.execute(_sql("lock"))
    except psycopg.errors.LockNotAvailable as exc:
        raise SourceError(
            f"another `loadgen seed` is filling database {conn.info.dbname!r}: let it end first"
        ) from exc
    try:
        with suppress(psycopg.Error):
            conn.execute(_sql("notice_death"))
        conn.execute(_sql("hurry"))
        yield
    finally:
        with suppress(psycopg.Error):
            conn.execute(_sql("unlock"))
            conn.execute(_sql("calm"))


def _row(conn: Connection, statement: str) -> Mapping[str, Any]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_sql(statement)).fetchone() or {}


def _sql(name: str) -> LiteralString:
    return statements("loadgen.source", "baseline.sql")[name]
