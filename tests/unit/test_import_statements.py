"""What statements write: names that the catalogue knows, and nothing else of their text."""

import pytest

from loadgen.workload.importing.facts import StatementFacts
from loadgen.workload.importing.statements import WriteShape, read_statements
from tests.import_facts import table

TABLES = {
    facts.name: facts
    for facts in (
        table("t", "id bigint!, a text, n integer, at timestamp"),
        table("sales.orders", "id bigint!, Total numeric"),
        table("x.same", "id bigint!"),
        table("y.same", "id bigint!"),
    )
}


def shapes(*sql: str) -> tuple[tuple[WriteShape, ...], int]:
    """Return the writes of statements, and how many could not be read."""
    read = read_statements((StatementFacts(text, 5, 6) for text in sql), TABLES)
    return read.shapes, read.unread


@pytest.mark.parametrize(
    ("sql", "shape"),
    [
        (
            "INSERT INTO t (id,a) VALUES ($1,$2),($3,$4)",
            WriteShape("insert", "t", 5, 6, ("a", "id")),
        ),
        ("INSERT INTO public.t SELECT * FROM u", WriteShape("insert", "t", 5, 6)),
        (
            'PREPARE "p" (bigint) AS INSERT INTO t (id) VALUES ($1 /*, ... */)',
            WriteShape("insert", "t", 5, 6, ("id",)),
        ),
        (
            "/* job */ UPDATE t x SET a=$1, n = x.n + $2, at = now() WHERE x.id=$3 AND a IS NULL",
            WriteShape(
                "update", "t", 5, 6, (), (("a", "value"), ("at", "now"), ("n", "+")), ("id",)
            ),
        ),
        (
            "UPDATE t SET (a, n) = ($1, $2), at = DEFAULT, id = NULL WHERE (id = ($3)::bigint)",
            WriteShape(
                "update", "t", 5, 6, (),
                (("a", "value"), ("at", "default"), ("id", "null"), ("n", "value")), ("id",),
            ),
        ),
        (
            'UPDATE orders SET "Total" = "Total" - $1, total = $2 WHERE id = ANY ($3)',
            WriteShape("update", "sales.orders", 5, 6, (), (("Total", "-"),), ("id",)),
        ),
        (
            "WITH d AS (SELECT id FROM t FOR UPDATE) DELETE FROM t USING d WHERE t.id = d.id",
            WriteShape("delete", "t", 5, 6, aims=("id",)),
        ),
    ],
)  # fmt: skip
def test_what_a_statement_writes(sql: str, shape: WriteShape) -> None:
    """The shape has the table, the columns it sets and the columns that find its rows."""
    assert shapes(sql) == ((shape,), 0)


def test_an_upsert_inserts_and_updates() -> None:
    """Postgres counts each row as one or the other."""
    sql = "INSERT INTO t (id, n) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = excluded.n"
    insert, update = shapes(sql)[0]
    assert (insert.change, insert.columns) == ("insert", ("id", "n"))
    assert (update.change, update.sets) == ("update", (("n", "value"),))


def test_equal_statements_are_added_up() -> None:
    """Whatever their comments, spaces and number of rows."""
    (shape,), _ = shapes(
        "INSERT INTO t (a) VALUES ($1)",
        "insert into t(a) values ($1), ($2) -- by a job",
        "INSERT INTO public.t (a) VALUES ($1), ($2), ($3)",
    )
    assert (shape.calls, shape.rows) == (15, 18)


def test_what_is_not_understood_is_counted_or_passed_over() -> None:
    """Reads, unknown tables and names of two tables write nothing that the model has."""
    assert shapes(
        "SELECT * FROM t FOR UPDATE",
        "WITH a AS (SELECT 1) SELECT 'INSERT' FROM a",
        "COPY t FROM STDIN",
        "UPDATE elsewhere SET a = $1",
        "DELETE FROM same WHERE id = $1",
        "UPDATE t SET WHERE",
        "DELETE FROM t WHERE id = = $1",
    ) == ((), 2)
