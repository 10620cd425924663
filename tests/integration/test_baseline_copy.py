"""Binary COPY, text COPY and parameters put the same values into tables of every type."""

from collections.abc import Mapping

import numpy as np
import psycopg
import pytest
from psycopg import sql

from loadgen.errors import SettingsError
from loadgen.source.postgres import Connection, connect
from loadgen.workload.baseline import COPY_HEADER, COPY_TRAILER, BaselineTable
from loadgen.workload.model import (
    Array,
    Boolean,
    Bytes,
    Choice,
    Constant,
    Decimal,
    Email,
    Generator,
    Json,
    Number,
    PersonName,
    Sequence,
    Table,
    Text,
    Time,
    TimeAfter,
    Uuid,
    Value,
    WorkloadModel,
)
from loadgen.workload.typed import rows_of
from loadgen.workload.values import ValueMakers
from tests.shop_model import END, ROWS, SETTINGS, SHOP, TYPES

N = 700
ODD = ("", "\\", "\\N", "a\tb", "line\nbreak\r", "é 'quoted' \"twice\"", "NULL")
TEMPLATE = {
    "id": Uuid(),
    "text": Choice(ODD, (1,) * len(ODD)),
    "n": Number(-9, 9),
    "list": [Boolean(), None, Value(Decimal(0, 9, 3), 0.5)],
    "tags": Array(Choice(ODD, (1,) * len(ODD)), 0, 3),
    "at": Time(),
}
BINARY: Mapping[str, tuple[str, Generator]] = {
    "small": ("smallint", Number(-5, 32767)),
    "whole": ("integer", Number(1, 1000, 2.5)),
    "big": ("bigint", Number(-(2**63), 2**63 - 1)),
    "chosen": ("integer", Choice(("1", "-20", "300"), (1, 2, 3))),
    "float_of_decimal": ("double precision", Decimal(-5, 5, 3)),
    "float_of_whole": ("double precision", Number(0, 2**60)),
    "float_of_text": ("double precision", Choice(("1e300", "-0.1"), (1, 1))),
    "decimal": ("numeric", Decimal(-1000, 1000, 5)),
    "rounded": ("numeric(12,2)", Decimal(0, 1000, 7)),
    "fine": ("numeric(38,18)", Decimal(0.5, 12, 18)),
    "decimal_of_whole": ("numeric", Number(-(10**9), 10**9)),
    "decimal_of_text": ("numeric", Choice(("1e-7", "-12.50", "12345678.9", "0.00"), (1,) * 4)),
    "flag": ("boolean", Boolean(0.3)),
    "flag_of_text": ("boolean", Choice(("true", "f"), (1, 1))),
    "words": ("text", Text(0, 30)),
    "words_alike": ("text", Text(8, 8)),
    "varying": ("character varying(20)", Sequence(1, "ACC-{:06}")),
    "blank_padded": ("character(6)", Choice(("a", "bcdefg"), (1, 1))),
    "odd": ("text", Choice(ODD, (1,) * len(ODD))),
    "odd_pattern": ("text", Sequence(7, "a\\b\t{:04}")),
    "formatted": ("text", Sequence(7, "{:x}!")),
    "number_as_text": ("text", Number(-5, 500)),
    "name": ("text", PersonName()),
    "email": ("text", Email()),
    "key": ("uuid", Uuid()),
    "key_of_text": ("uuid", Constant("00000000-0000-4000-8000-00000000000f")),
    "instant": ("timestamp with time zone", Time(30, "growth")),
    "later": ("timestamp with time zone", TimeAfter("instant", 0.5)),
    "to_milliseconds": ("timestamp(3) with time zone", Time(400)),
    "local": ("timestamp without time zone", Time(400, form="timestamp")),
    "instant_of_text": ("timestamp with time zone", Constant("1969-07-20 20:17:40+00")),
    "day": ("date", Time(400, form="date")),
    "day_of_instant": ("date", Time(400)),
    "day_after": ("date", TimeAfter("day")),
    "document": ("jsonb", Json({"": TEMPLATE}, pad_to=400)),
    "plain_document": ("json", Json({"": TEMPLATE})),
    "document_of_text": ("jsonb", Constant('{"a": [1, "\\n"]}')),
    "bytes": ("bytea", Bytes(0, 20)),
    "bytes_alike": ("bytea", Bytes(7, 7)),
}
TEXT: Mapping[str, tuple[str, Generator]] = {
    "id": ("bigint", Sequence()),
    "numbers": ("integer[]", Array(Number(-9, 99), 0, 4)),
    "texts": ("text[]", Array(Choice(ODD, (1,) * len(ODD)), 0, 3)),
    "matrix": ("integer[]", Array(Array(Number(0, 9), 2, 2), 2, 2)),
    "mood": ("mood", Choice(("sad", "it's \\ ok"), (1, 1))),
    "span": ("interval", Constant("3 days 04:05:06")),
    "float": ("real", Decimal(0, 1, 4)),
    "odd": ("text", Choice(ODD, (1,) * len(ODD))),
    "bytes": ("bytea", Bytes(0, 20)),
    "document": ("jsonb", Json({"": TEMPLATE}, pad_to=400)),
}


def _model(columns: Mapping[str, tuple[str, Generator]]) -> tuple[WorkloadModel, dict[str, str]]:
    """Return a model of one table, each column also with NULLs, and its types."""
    values = {name: Value(generator) for name, (_, generator) in columns.items()}
    values |= {f"{name}_or_null": Value(g, 0.4) for name, (_, g) in columns.items()}
    types = {name: type_ for name, (type_, _) in columns.items()}
    types |= {f"{name}_or_null": type_ for name, type_ in types.items()}
    return WorkloadModel(
        "every", "every type", {"every": Table("every", columns=values)}, {}
    ), types


def _create(conn: Connection, table: str, types: Mapping[str, str]) -> None:
    columns = ", ".join(f'"{name}" {type_}' for name, type_ in types.items())
    conn.execute(f"CREATE TABLE {table} ({columns})".encode())


def _copy(conn: Connection, table: str, rows: BaselineTable, spans: list[tuple[int, int]]) -> None:
    binary = rows.format == "binary"
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
        sql.Identifier(table), columns, sql.SQL(rows.format)
    )
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(COPY_HEADER if binary else b"")
        for first, n in spans:
            copy.write(rows.rows(first, n))
        copy.write(COPY_TRAILER if binary else b"")


def _insert(conn: Connection, table: str, makers: ValueMakers, rows: BaselineTable) -> None:
    """Insert the rows by statements with text parameters."""
    texts = []
    for column in rows.columns:
        maker = makers.column("every", column)
        column_texts = maker.texts(np.arange(N))
        assert isinstance(column_texts, list) == (maker.width is None)
        texts.append(column_texts if isinstance(column_texts, list) else rows_of(column_texts))
    places = ", ".join(f"${i + 1}" for i in range(len(texts)))
    names = ", ".join(f'"{column}"' for column in rows.columns)
    statement = f"INSERT INTO {table} ({names}) VALUES ({places})".encode()
    for row in zip(*texts, strict=True):
        result = conn.pgconn.exec_params(statement, row)
        assert result.status == psycopg.pq.ExecStatus.COMMAND_OK, result.error_message


def _differences(conn: Connection, left: str, right: str) -> list[tuple[object, ...]]:
    return conn.execute(
        f"(SELECT l::text FROM {left} l EXCEPT ALL SELECT r::text FROM {right} r) UNION ALL "
        f"(SELECT r::text FROM {right} r EXCEPT ALL SELECT l::text FROM {left} l)".encode()
    ).fetchall()


def test_all_forms_of_a_value_are_the_same_rows(each_empty_database: str) -> None:
    """Every type with a binary format, with and without NULLs, by three ways."""
    model, types = _model(BINARY)
    makers = ValueMakers(model, 7, {"every": N}, END, {})
    rows = BaselineTable(makers, model.tables["every"], types)
    assert rows.format == "binary"
    with connect(each_empty_database) as conn:
        for table in ("by_binary", "by_text", "by_parameters"):
            _create(conn, table, types)
        _copy(conn, "by_binary", rows, [(0, N)])
        rows.format = "text"
        _copy(conn, "by_text", rows, [(0, 1), (1, 299), (300, N - 300)])
        _insert(conn, "by_parameters", makers, rows)
        assert conn.execute("SELECT count(*) FROM by_binary").fetchone() == (N,)
        assert _differences(conn, "by_binary", "by_text") == []
        assert _differences(conn, "by_binary", "by_parameters") == []


def test_other_types_are_copied_as_text(each_empty_database: str) -> None:
    """Arrays, enums, intervals and real numbers have no binary encoder."""
    model, types = _model(TEXT)
    makers = ValueMakers(model, 7, {"every": N}, END, {})
    rows = BaselineTable(makers, model.tables["every"], types)
    assert rows.format == "text"
    with connect(each_empty_database) as conn:
        conn.execute(r"CREATE TYPE mood AS ENUM ('sad', 'it''s \ ok')")
        for table in ("by_text", "by_parameters"):
            _create(conn, table, types)
        _copy(conn, "by_text", rows, [(0, N)])
        _insert(conn, "by_parameters", makers, rows)
        assert conn.execute("SELECT count(*) FROM by_text").fetchone() == (N,)
        assert _differences(conn, "by_text", "by_parameters") == []
        texts = conn.execute("SELECT DISTINCT unnest(texts) FROM by_text").fetchall()
        assert {text for (text,) in texts} == set(ODD)
        nulls = conn.execute("SELECT count(*) FROM by_text WHERE odd_or_null IS NULL").fetchone()
        assert nulls is not None
        assert 0.3 < nulls[0] / N < 0.5


def test_a_value_that_its_type_can_not_hold_is_named(empty_database: str) -> None:
    """Beyond the rows that were tried, too: the table, the column, the type."""
    model = WorkloadModel(
        "large", "too large", {"t": Table("t", columns={"n": Value(Sequence(32_000))})}, {}
    )
    makers = ValueMakers(model, 7, {"t": 1000}, END, {})
    rows = BaselineTable(makers, model.tables["t"], {"n": "smallint"})
    assert rows.format == "binary"
    rows.rows(0, 500)
    with pytest.raises(SettingsError, match=r"tables\.t: column n of type smallint .* 32999"):
        rows.rows(500, 500)
    with pytest.raises(SettingsError, match=r"tables\.t: the table has no column n"):
        BaselineTable(makers, model.tables["t"], {"m": "smallint"})
    # A word in a column of whole numbers is for Postgres to refuse.
    word = WorkloadModel("w", "w", {"t": Table("t", columns={"n": Value(Text(3, 9))})}, {})
    rows = BaselineTable(ValueMakers(word, 7, {"t": 5}, END, {}), word.tables["t"], {"n": "bigint"})
    with connect(empty_database) as conn:
        conn.execute("CREATE TABLE t (n bigint)")
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            _copy(conn, "t", rows, [(0, 5)])


def test_tables_like_the_shops(database: str) -> None:
    """The shop's own tables take them, with every index and foreign key."""
    makers = ValueMakers(SHOP, 42, ROWS, END, SETTINGS)
    with connect(database) as conn:
        for name, table in SHOP.tables.items():
            rows = BaselineTable(makers, table, TYPES[name])
            assert rows.format == "binary"
            step = 1000
            _copy(conn, name, rows, [(first, step) for first in range(0, ROWS[name], step)])
        early = conn.execute(
            "SELECT count(*) FROM orders JOIN users ON users.id = user_id "
            "WHERE orders.created_at < users.created_at OR users.deleted_at IS NOT NULL"
        ).fetchone()
        assert early == (0,)
        gone = conn.execute("SELECT count(deleted_at) FROM users").fetchone()
        assert gone == (ROWS["users"] // 50,)
        sizes = conn.execute("SELECT DISTINCT length(properties::text) FROM events").fetchall()
        assert sizes
