"""Facts of databases, written by hand as an import would read them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loadgen.workload.importing.facts import (
    ColumnFacts,
    DatabaseFacts,
    ForeignKeyFacts,
    StatementFacts,
    TableFacts,
    Window,
    WriteCounts,
)
from loadgen.workload.importing.write import WrittenModel
from loadgen.workload.model import WorkloadModel
from loadgen.workload.read_model import read_model

READ_AT = datetime(2026, 11, 29, 13, tzinfo=UTC)
PGBENCH_SQL = """
CREATE TABLE public.pgbench_accounts (aid integer NOT NULL, bid integer, abalance integer,
    filler character(84));
CREATE TABLE public.pgbench_branches (bid integer NOT NULL, bbalance integer, filler character(88));
CREATE TABLE public.pgbench_history (tid integer, bid integer, aid integer, delta integer,
    mtime timestamp without time zone, filler character(22));
CREATE TABLE public.pgbench_tellers (tid integer NOT NULL, bid integer, tbalance integer,
    filler character(84));
ALTER TABLE ONLY public.pgbench_accounts ADD CONSTRAINT accounts_pkey PRIMARY KEY (aid);
ALTER TABLE ONLY public.pgbench_branches ADD CONSTRAINT branches_pkey PRIMARY KEY (bid);
ALTER TABLE ONLY public.pgbench_tellers ADD CONSTRAINT tellers_pkey PRIMARY KEY (tid);
"""


def table(
    name: str,
    columns: str,
    rows: int = 100,
    writes: tuple[int, int, int] | None = (0, 0, 0),
    references: tuple[ForeignKeyFacts, ...] = (),
) -> TableFacts:
    """Return a table of columns such as "id uuid!": ! is a column of the key, + NOT NULL."""
    parts = [column.strip().partition(" ") for column in columns.split(",")]
    return TableFacts(
        name,
        tuple(
            ColumnFacts(
                column,
                type_.rstrip("!+"),
                type_.rstrip("!+"),
                is_required=type_.endswith(("!", "+")),
                distinct=float(rows) or None,
                null_share=0.0,
            )
            for column, _, type_ in parts
        ),
        rows=rows,
        heap_bytes=rows * 100,
        index_bytes=rows * 20,
        primary_key=tuple(column for column, _, type_ in parts if type_.endswith("!")),
        foreign_keys=references,
        writes=None if writes is None else WriteCounts(*writes),
    )


def with_column(facts: TableFacts, name: str, **changes: object) -> TableFacts:
    """Return a table with other facts about one of its columns."""
    columns = [
        replace(column, **changes) if column.name == name else column  # type: ignore[arg-type] # by name
        for column in facts.columns
    ]
    return replace(facts, columns=tuple(columns))


def database(
    *tables: TableFacts,
    schema_sql: str = "",
    statements: tuple[StatementFacts, ...] = (),
    hours: float | None = 24,
    with_values: bool = False,
) -> DatabaseFacts:
    """Return a database whose writes were counted in `hours`; DDL is made up if none is given."""
    return DatabaseFacts(
        digests=("a" * 64, "b" * 64),
        server_version=150008,
        read_at=READ_AT,
        window=Window(None if hours is None else READ_AT - timedelta(hours=hours), READ_AT),
        tables=tables,
        statements=statements,
        has_statements=bool(statements),
        schema_sql=schema_sql or "".join(map(_ddl, tables)),
        with_values=with_values,
    )


def pgbench(scale: int = 20, transactions: int = 36_000) -> DatabaseFacts:
    """Return pgbench's database after some transactions in ten hours."""
    accounts = table(
        "pgbench_accounts",
        "aid integer!, bid integer, abalance integer, filler character(84)",
        100_000 * scale,
        (0, transactions, 0),
    )
    branches = table(
        "pgbench_branches",
        "bid integer!, bbalance integer, filler character(88)",
        scale,
        (0, transactions, 0),
    )
    history = table(
        "pgbench_history",
        "tid integer, bid integer, aid integer, delta integer, mtime timestamp without time zone, "
        "filler character(22)",
        transactions,
        (transactions, 0, 0),
    )
    tellers = table(
        "pgbench_tellers",
        "tid integer!, bid integer, tbalance integer, filler character(84)",
        10 * scale,
        (0, transactions, 0),
    )
    empty = {"null_share": 1.0, "distinct": 0.0}
    tables = (
        accounts,
        with_column(branches, "filler", **empty),
        with_column(with_column(history, "filler", **empty), "mtime", correlation=1.0),
        with_column(tellers, "filler", **empty),
    )
    texts = (
        "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2",
        "UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2",
        "UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2",
        "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1,$2,$3,$4,$5)",
    )
    statements = tuple(
        StatementFacts(text, transactions - i, transactions - i) for i, text in enumerate(texts)
    )
    return database(*tables, schema_sql=PGBENCH_SQL, statements=statements, hours=10)


def read_back(written: WrittenModel, folder: Path) -> WorkloadModel:
    """Return the model that the written texts are."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "workload.toml").write_text(written.toml, encoding="utf-8")
    (folder / "schema.sql").write_text(written.schema_sql, encoding="utf-8")
    return read_model(str(folder))


def _ddl(facts: TableFacts) -> str:
    schema, _, relation = facts.name.rpartition(".")
    columns = [
        f'"{column.name}" {column.type}{" NOT NULL" if column.is_required else ""}'
        for column in facts.columns
    ]
    if facts.primary_key:
        columns.append("PRIMARY KEY ({})".format(", ".join(f'"{c}"' for c in facts.primary_key)))
    return f'CREATE TABLE "{schema or "public"}"."{relation}" ({", ".join(columns)});\n'
