"""The baseline: fills an empty playground by COPY, or completes a filling that was interrupted.

Rows come from `rows`; here is what makes them arrive exactly once. Some ten thousand are copied in
a transaction together with the note of how far it has come, so an interruption at any moment loses
only the transaction under way. Before many rows, indexes and foreign keys are dropped; they are
made afterwards, and the baseline is complete when they are.
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
from loadgen.source.limits import first_write
from loadgen.source.postgres import plain_errors
from loadgen.sql import statements
from loadgen.workload.data.baseline_rows import (
    BLOCK_ROWS,
    HEADER,
    TABLES,
    TRAILER,
    Parameters,
    Rows,
    Table,
)

# Rows of one transaction; an interruption loses at most so many.
COPY_ROWS: Final = 128 * BLOCK_ROWS

Phase = Literal[Table, "indexes", "statistics"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks the baseline to be; without `end` the stored one, or today's start."""

    users: int
    orders: int
    events: int
    seed: int
    event_bytes: int
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """How far the seeding is: `rows` of `total` are in, and `phase` is being done."""

    phase: Phase
    rows: int
    total: int


@dataclass(frozen=True, slots=True)
class SeedResult:
    """What the database holds now, and what this call did for it."""

    parameters: Parameters
    found_rows: int  # that were there before
    copied_rows: int
    seconds: Mapping[str, float]  # by phase; empty where all was complete before


def asked(settings: Settings, end: datetime | None = None) -> Asked:
    """Return what the settings ask for."""
    return Asked(
        settings.initial_users,
        settings.initial_orders,
        settings.initial_events,
        settings.seed,
        settings.event_bytes,
        end,
    )


def seed(
    conn: psycopg.Connection[Any], wanted: Asked, report: Callable[[Step], None] = lambda _: None
) -> SeedResult:
    """Make the database of `conn` (autocommit) hold the baseline, from whatever state of it.

    Raises SourceError where it can't or mustn't be filled; what was copied until then is kept.
    """
    schema.check_source(conn)
    schema.require_ownership(conn)
    with _alone(conn):
        state = schema.seed_state(conn)
        parameters = _parameters(conn, wanted, state)
        if state is not None and state.progress.get("complete"):
            return SeedResult(parameters, parameters.total(), 0, {})
        return _Seeding(conn, parameters, report).run()


class _Seeding:
    """One call's work on a baseline that is not complete."""

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        parameters: Parameters,
        report: Callable[[Step], None],
    ) -> None:
        self._conn = conn
        self._parameters = parameters
        self._report = report
        self._rows_in = dict.fromkeys(TABLES, 0)
        self._seconds: dict[str, float] = {}

    def run(self) -> SeedResult:
        """Do what is left to do."""
        total = self._parameters.total()
        with first_write(self._conn, "making the schema"):
            schema.migrate(self._conn, indexes=False)
        self._begin()
        found = self._done()
        if found < total:
            schema.drop_bulk_indexes(self._conn)
        rows = Rows(self._parameters)
        for table in TABLES:
            with self._phase(table):
                self._fill(rows, table)
        with self._phase("indexes"):
            schema.build_indexes(self._conn)
        with self._phase("statistics"), plain_errors("collecting statistics"):
            self._finish()
        return SeedResult(self._parameters, found, total - found, self._seconds)

    def _begin(self) -> None:
        """Note the parameters, or take up what an earlier call had done."""
        state = schema.seed_state(self._conn)
        if state is not None:
            self._rows_in |= {table: state.progress.get(table, 0) for table in TABLES}
            return
        filled = _row(self._conn, "filled")["filled"]
        if filled is not None:
            raise SourceError(
                f"table {filled} has rows that no baseline put there; nothing was written: use an "
                "empty database"
            )
        with plain_errors("beginning the baseline"):
            noted = Jsonb(_noted(self._parameters))
            self._conn.execute(_sql("begin"), {"parameters": noted})

    def _fill(self, rows: Rows, table: Table) -> None:
        total = self._parameters.rows(table)
        while self._rows_in[table] < total:
            done, every = self._done(), self._parameters.total()
            upto = min(self._rows_in[table] + COPY_ROWS, total)
            where = (
                f"seeding stopped at {done:,} of {every:,} rows and goes on with the same command"
            )
            with plain_errors(where):
                self._copy(rows, table, upto)
            self._rows_in[table] = upto
            self._report(Step(table, self._done(), every))

    def _copy(self, rows: Rows, table: Table, upto: int) -> None:
        """Copy the rows that follow the ones there, up to `upto`, and note it."""
        blocks = range(self._rows_in[table] // BLOCK_ROWS, -(-upto // BLOCK_ROWS))
        with self._conn.transaction():
            with self._conn.cursor() as cursor, cursor.copy(_sql(f"copy_{table}")) as copy:
                copy.write(HEADER)
                for block in blocks:
                    copy.write(rows.block(table, block))
                copy.write(TRAILER)
            self._conn.execute(_sql("advance"), {"table": table, "rows": upto})

    def _finish(self) -> None:
        for table in TABLES:
            rows = {"rows": self._parameters.rows(table)}
            self._conn.execute(_sql(f"set_{table}_identity"), rows)
        self._conn.execute(_sql("analyze"))
        self._conn.execute(_sql("settle"))
        with first_write(self._conn, "completing the baseline"):  # the first that waits for all
            self._conn.execute(_sql("complete"))

    def _done(self) -> int:
        return sum(self._rows_in.values())

    @contextmanager
    def _phase(self, phase: Phase) -> Iterator[None]:
        self._report(Step(phase, self._done(), self._parameters.total()))
        began = monotonic()
        yield
        self._seconds[phase] = monotonic() - began


def _parameters(
    conn: psycopg.Connection[Any], wanted: Asked, state: schema.SeedState | None
) -> Parameters:
    """Return what to make: what is stored, if it is what is wanted."""
    if state is None:
        clock = _row(conn, "clock")
        if wanted.end is not None and wanted.end > clock["now"]:
            raise SettingsError(
                f"--end is {wanted.end.isoformat()}, which is yet to come (the server has "
                f"{clock['now'].isoformat(timespec='seconds')}): the load's rows must come after it"
            )
        return Parameters(**asdict(wanted) | {"end": wanted.end or clock["today"]})
    stored = dict(state.parameters)
    stored["end"] = datetime.fromisoformat(stored["end"])
    # The width of events is the load's setting too, and may be varied over one baseline.
    asked_for = asdict(wanted) | {"event_bytes": stored["event_bytes"]}
    others = [
        f"{name} {stored[name]} there and {value} asked for"
        for name, value in asked_for.items()
        if value is not None and value != stored[name]
    ]
    if others:
        raise SourceError(
            f"the database has another baseline, {', '.join(others)}; nothing was changed: ask for "
            "the same, or remove it with `loadgen db reset` (with DATABASE_URL: use an empty "
            "database)"
        )
    return Parameters(**stored)


def _noted(parameters: Parameters) -> dict[str, Any]:
    return asdict(parameters) | {"end": parameters.end.isoformat()}


@contextmanager
def _alone(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Hold the lock of seeding, with a session made for it."""
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


def _row(conn: psycopg.Connection[Any], statement: str) -> Mapping[str, Any]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_sql(statement)).fetchone() or {}


def _sql(name: str) -> LiteralString:
    return statements("loadgen.source", "baseline.sql")[name]
