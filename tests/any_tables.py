"""Tables of every kind of key, and true copies of them in each engine, to be spoilt."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from loadgen.config.settings import load_settings
from loadgen.source.postgres import connect
from loadgen.tools.columns import quoted
from loadgen.tools.readers.factory import open_copy
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.source_tables import published_tables
from loadgen.tools.tools_file import Tool
from loadgen.verify.outcome import ToolOutcome
from loadgen.verify.reconcile import VerifyOptions, reconcile
from tests.conftest import Cluster, Fakesnow
from tests.copies import tool_of


@dataclass(frozen=True, slots=True)
class Sample:
    """A table of the source: its columns with their types there, in DuckDB and in Snowflake.

    `more` are constraints and further columns, `rows` a query for its rows.
    """

    schema: str
    name: str
    columns: tuple[tuple[str, str, str, str], ...]
    rows: str
    more: str = ""
    storage: str = ""


_INT = ("INTEGER", "NUMBER(38,0)")
_WORD = ("VARCHAR", "VARCHAR")
_TIME = ("TIMESTAMPTZ", "TIMESTAMP_TZ")
_COUNT = 40
SAMPLES = (
    Sample(
        "public", "accounts",
        (("account_no", "uuid", "UUID", "VARCHAR"), ("region", "text", *_WORD),
         ("balance", "numeric", "DECIMAL(38,9)", "NUMBER(38,9)")),
        "SELECT md5(k::text)::uuid, CASE k % 3 WHEN 0 THEN NULL ELSE 'r' || k % 3 END, k * 1.25",
        "PRIMARY KEY (account_no)",
    ),
    Sample(
        "public", "countries",
        (("code", "text", *_WORD), ("people", "bigint", "BIGINT", "NUMBER(38,0)")),
        "SELECT CASE k WHEN 1 THEN '' WHEN 2 THEN 'ä, b' WHEN 3 THEN 'NULL' ELSE 'c' || k END, k",
        "PRIMARY KEY (code)",
    ),
    Sample(
        "sales", "order",
        (("Line No", "integer", *_INT), ("select", "text", *_WORD),
         ("placed", "date", "DATE", "DATE"), ("at", "timestamptz", *_TIME)),
        "SELECT k % 4, 'o' || k, date '2026-01-01' + k, timestamptz '2026-01-01 00:00:00+00' + k * "
        "interval '1.5 s'",
        'PRIMARY KEY (placed, "Line No")',
    ),
    Sample(
        "public", "log",
        (("level", "text", *_WORD), ("size", "integer", *_INT), ("doc", "jsonb", "JSON", "VARIANT"),
         ("ratio", "float8", "DOUBLE", "FLOAT")),
        "SELECT CASE k % 4 WHEN 0 THEN NULL ELSE 'l' || k % 4 END, k % 5, "
        "jsonb_build_object('bb', 1, 'a', k % 2), k % 2 * 1e20",
    ),
    Sample(
        "sales", "Readings",
        (("id", "bigint", "BIGINT", "NUMBER(38,0)"), ("day", "date", "DATE", "DATE"),
         ("n", "integer", *_INT)),
        "SELECT k, date '2026-01-01' + k % 60, k",
        "PRIMARY KEY (id, day)",
        "PARTITION BY RANGE (day)",
    ),
    Sample(
        "public", "CamelCase",
        (("rowId", "bigint", "BIGINT", "NUMBER(38,0)"), ("n", "integer", *_INT)),
        "SELECT k, k",
        'PRIMARY KEY ("rowId"), doubled integer GENERATED ALWAYS AS (n * 2) STORED',
    ),
)  # fmt: skip
_PARTITIONS = {
    "sales.readings_a": "FROM ('2026-01-01') TO ('2026-02-01')",
    "sales.readings_b": "FROM ('2026-02-01') TO ('2027-01-01')",
}


def make_source(dsn: str) -> None:
    """Make the samples, the only tables that are published."""
    with connect(dsn) as conn:
        conn.execute("CREATE SCHEMA sales")
        for sample in SAMPLES:
            columns = [f"{quoted(name)} {kind}" for name, kind, _, _ in sample.columns]
            listed = ", ".join([*columns, *filter(None, [sample.more])])
            name = quoted(sample.schema, sample.name)
            conn.execute(f"CREATE TABLE {name} ({listed}) {sample.storage}".encode())
            for partition, bounds in _PARTITIONS.items() if sample.storage else ():
                create = f"CREATE TABLE {partition} PARTITION OF {name} FOR VALUES {bounds}"
                conn.execute(create.encode())
            insert = f"INSERT INTO {name} {sample.rows} FROM generate_series(1, {_COUNT}) k"
            conn.execute(insert.encode())
        tables = ", ".join(quoted(sample.schema, sample.name) for sample in SAMPLES)
        conn.execute("DROP PUBLICATION IF EXISTS loadgen")
        conn.execute(
            f"CREATE PUBLICATION loadgen FOR TABLE {tables} "
            "WITH (publish_via_partition_root = true)".encode()
        )


@dataclass(frozen=True, slots=True)
class AnyCopy:
    """A tool's copy of the samples, and the function that runs a statement in it."""

    tool: Tool
    source: str
    execute: Callable[[str], object]
    settings: dict[str, object]

    def name(self, sample: Sample) -> str:
        """Return the copy's qualified name of a table."""
        return self.tool.for_schema(sample.schema).place_of(sample.name)

    def verified(self, options: VerifyOptions | None = None) -> ToolOutcome:
        """Return the outcome of verifying the copy."""
        source = PostgresReader(self.source, is_source=True)
        reader = open_copy(self.tool, load_settings(self.settings))
        try:
            tables = published_tables(source)
            return reconcile(self.tool, source, tables, reader, options or VerifyOptions())
        finally:
            source.close()
            reader.close()

    def fill(self, kinds: Callable[[tuple[str, str, str, str]], str]) -> None:
        """Make the tables and their rows, with the types that `kinds` chooses."""
        for sample in SAMPLES:
            names = [quoted(self._column(column[0])) for column in sample.columns]
            types = [kinds(column) for column in sample.columns]
            columns = ", ".join(f"{n} {t}" for n, t in zip(names, types, strict=True))
            self.execute(f"CREATE TABLE {self.name(sample)} ({columns})")
        self.restore(kinds)

    def restore(self, kinds: Callable[[tuple[str, str, str, str]], str]) -> None:
        """Copy all rows again."""
        for sample in SAMPLES:
            types = [kinds(column) for column in sample.columns]
            rows = [
                f"SELECT {', '.join(map(_cell, row, types))}" for row in _texts(self.source, sample)
            ]
            self.execute(f"DELETE FROM {self.name(sample)}")
            self.execute(f"INSERT INTO {self.name(sample)} {' UNION ALL '.join(rows)}")

    def _column(self, name: str) -> str:
        return self.tool.convention.folded(name, folds_to=self.tool.folds_to)


def _texts(dsn: str, sample: Sample) -> list[tuple[str | None, ...]]:
    listed = ", ".join(f"{quoted(name)}::text" for name, *_ in sample.columns)
    with connect(dsn) as conn:
        return conn.execute(
            f"SELECT {listed} FROM {quoted(sample.schema, sample.name)}".encode()
        ).fetchall()


def _cell(text: str | None, kind: str) -> str:
    literal = "NULL" if text is None else "'" + text.replace("'", "''") + "'"
    return f"PARSE_JSON({literal})" if kind == "VARIANT" else f"CAST({literal} AS {kind})"


@contextmanager
def postgres_copy(cluster: Cluster, source: str) -> Iterator[AnyCopy]:
    """Yield a copy by Postgres' own conventions, of the very types."""
    with cluster.database("template1") as dsn, connect(dsn) as conn:
        conn.execute("CREATE SCHEMA sales")
        tool = tool_of(f'kind = "postgres"\ndestination = "postgres"\nurl = "{dsn}"')
        copy = AnyCopy(tool, source, lambda text: conn.execute(text.encode()), {})
        copy.fill(lambda column: column[1])
        yield copy


@contextmanager
def duckdb_copy(folder: Path, source: str) -> Iterator[AnyCopy]:
    """Yield a copy in a DuckDB file, all schemas in one, as dlt lays it down."""
    file = folder / "copy.duckdb"

    def execute(statement: str) -> None:
        with duckdb.connect(str(file)) as conn:
            conn.execute("SET TimeZone = 'UTC'")
            conn.execute(statement)

    execute("CREATE SCHEMA landed")
    tool = tool_of(f'kind = "dlt"\ndestination = "duckdb"\nfile = "{file}"\nschema = "landed"')
    copy = AnyCopy(tool, source, execute, {})
    copy.fill(lambda column: column[2])
    yield copy


@contextmanager
def snowflake_copy(fakesnow: Fakesnow, source: str) -> Iterator[AnyCopy]:
    """Yield a copy in the emulated Snowflake, as Fivetran lays it down."""
    with fakesnow.connect("KEYS") as conn, conn.cursor() as cursor:
        cursor.execute("CREATE SCHEMA KEYS.APP_PUBLIC")
        cursor.execute("CREATE SCHEMA KEYS.APP_SALES")
        tool = tool_of(
            'kind = "fivetran"\ndestination = "snowflake"\ndatabase = "KEYS"\nschema = "APP_PUBLIC"'
        )
        copy = AnyCopy(tool, source, cursor.execute, fakesnow.settings)
        copy.fill(lambda column: column[3])
        yield copy
