"""A custom workload: made, seeded, interrupted, completed and validated in a real Postgres."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from loadgen.errors import SourceError
from loadgen.record.run import TableRows
from loadgen.source import seed as seeding
from loadgen.source.bulk_indexes import (
    build_indexes,
    damaged_objects,
    drop_bulk_indexes,
    missing_objects,
    present_objects,
)
from loadgen.source.model_schema import existing_tables, table_facts
from loadgen.source.observe import observe
from loadgen.source.postgres import connect
from loadgen.source.schema import migrate, published_tables, require_ownership, seed_state
from loadgen.source.seed import SeedResult, seed
from loadgen.source.validate import LastRun, count_rows, validate
from loadgen.workload.model import Row, Sequence, Table, Text, Value, WorkloadModel
from loadgen.workload.seed_request import SeedRequest
from tests.workload_cases import made_up_model

NOT_VALID = (
    "ALTER TABLE teams DROP CONSTRAINT teams_head_fkey, ADD CONSTRAINT teams_head_fkey "
    "FOREIGN KEY (head) REFERENCES staff NOT VALID"
)
END = datetime(2026, 1, 1, tzinfo=UTC)
TABLES = (
    "audit",
    "customers",
    "measures",
    "staff",
    "teams",
    "sales.Order",
    "sales.lines",
)


@pytest.fixture
def model() -> WorkloadModel:
    """Return the model."""
    return made_up_model()


@pytest.fixture
def empty(each_empty_database: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to an empty database, on each server in turn."""
    with connect(each_empty_database) as conn:
        yield conn


def request_of(model: WorkloadModel, **rows: int) -> SeedRequest:
    """Return the baseline of a model."""
    sizes = {name: table.rows for name, table in model.tables.items()}
    return SeedRequest(sizes | rows, 7, {}, END)


def column(conn: psycopg.Connection[Any], query: str) -> list[Any]:
    """Return the one column of `query`."""
    return [row[0] for row in conn.execute(query.encode())]


def fingerprint(conn: psycopg.Connection[Any]) -> dict[str, Any]:
    """Return count and hash of each table's rows."""
    return {
        name: conn.execute(
            f"SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) "
            f"FROM {quoted(name)} t".encode()
        ).fetchone()
        for name in TABLES
    }


def quoted(name: str) -> str:
    """Return a table's name for a statement."""
    return ".".join(f'"{part}"' for part in name.split("."))


def test_the_schema_is_made_and_known(empty: psycopg.Connection[Any], model: WorkloadModel) -> None:
    """Tables of any schema with their keys, types and replica identities; published by root."""
    migrate(empty, model)
    require_ownership(empty, model)
    facts = existing_tables(empty)
    assert tuple(facts) == TABLES
    assert table_facts(empty, model).keys() == model.tables.keys()
    order = facts["sales.Order"]
    assert order.columns == {
        "orderNo": "text",
        "customer": "uuid",
        "select": "numeric",
        "doubled": "numeric",
        "body": "jsonb",
    }
    assert order.generated == {"doubled"}
    assert order.required == {"orderNo", "customer", "select"}
    assert facts["customers"].columns["mood"] == "mood"
    assert facts["customers"].columns["tags"] == "text[]"
    assert facts["customers"].foreign_keys[0].table == "customers"
    assert facts["staff"].identity == {"id"}
    assert facts["sales.lines"].primary_key == ("order_no", "line")
    assert facts["measures"].partitioned
    assert [name for name, table in facts.items() if not table.identified] == ["audit"]
    published = column(
        empty,
        "SELECT schemaname || '.' || tablename FROM pg_publication_tables "
        "WHERE pubname = 'loadgen' ORDER BY 1",
    )
    assert published == sorted(
        name if "." in name else f"public.{name}" for name in published_tables(empty)
    )
    assert set(published_tables(empty)) >= set(TABLES)


def test_indexes_go_and_come_back(empty: psycopg.Connection[Any], model: WorkloadModel) -> None:
    """All but primary keys, with their definitions, on partitions too; triggers are disabled."""
    migrate(empty, model)
    before = present_objects(empty)
    assert {(item.kind, item.name) for item in before} == {
        ("index", "measures_day_idx"),
        ("index", "measures_1_value_idx"),
        ("index", "lower_email_idx"),
        ("unique", "customers_email_key"),
        ("unique", "staff_badge_key"),
        ("foreign key", "customers_favourite_fkey"),
        ("foreign key", "Order_customer_fkey"),
        ("foreign key", "lines_order_no_fkey"),
        ("foreign key", "staff_leads_fkey"),
        ("foreign key", "teams_head_fkey"),
        ("trigger", "note"),
    }
    partitions = (
        "SELECT count(*) FROM pg_indexes WHERE tablename ~ '^measures_' AND indexdef ~ 'day'"
    )
    with_index = column(empty, partitions)
    empty.execute("CREATE INDEX mine ON staff (name)")
    drop_bulk_indexes(empty)
    assert [item.name for item in present_objects(empty)] == ["mine"]
    assert set(missing_objects(empty)) == set(before)
    build_indexes(empty)
    build_indexes(empty)
    assert [item for item in present_objects(empty) if item.name != "mine"] == list(before)
    assert column(empty, partitions) == with_index
    assert damaged_objects(empty) == ()


def test_the_baseline_is_seeded(empty: psycopg.Connection[Any], model: WorkloadModel) -> None:
    """All rows, references that hold, sequences that continue, statistics, no trigger's rows."""
    seeded = seed(empty, model, request_of(model))
    assert seeded.copied_rows == 8520
    rows = count_rows(empty, model)
    assert {name: table.rows for name, table in rows.items()} == {
        name: table.rows for name, table in model.tables.items()
    }
    assert column(empty, "SELECT count(*) FROM audit") == [0]
    assert missing_objects(empty) == ()
    assert column(empty, "SELECT nextval('staff_id_seq')") == [501]
    assert column(empty, "SELECT nextval('staff_badge_seq')") == [1500]
    assert column(empty, "SELECT reltuples FROM pg_class WHERE relname = 'teams'") == [20]
    assert column(empty, "SELECT count(DISTINCT tableoid) FROM measures") == [2]
    assert column(empty, 'SELECT count(*) FROM sales."Order" WHERE doubled <> "select" * 2') == [0]
    empty.execute("INSERT INTO teams (id, head) VALUES (99, 1)")
    assert column(empty, "SELECT what FROM audit") == ["teams"]
    again = seed(empty, model, request_of(model))
    assert again.seconds == {}
    assert validate(empty, model).ok


class StoppedError(Exception):
    """An interruption."""


def interrupted_after(rows: int) -> Any:
    """Return a report that interrupts the baseline once so many rows are copied."""

    def report(step: seeding.SeedProgress) -> None:
        if step.phase == "rows" and step.rows >= rows:
            raise StoppedError

    return report


def test_an_interrupted_baseline_is_completed(
    cluster: Any, model: WorkloadModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it was interrupted, the rows are those of a baseline in one go."""
    monkeypatch.setattr(seeding, "COPY_ROWS", 600)
    with cluster.database("template1") as dsn, connect(dsn) as conn:
        seed(conn, model, request_of(model))
        expected = fingerprint(conn)
    with cluster.database("template1") as dsn:
        for rows in (600, 2600, 5000, 8000):
            with connect(dsn) as conn, pytest.raises(StoppedError):
                seed(conn, model, request_of(model), interrupted_after(rows))
            with connect(dsn) as conn:
                assert missing_objects(conn)
                state = seed_state(conn)
                assert state is not None
                assert not state.complete
                assert not validate(conn, model).ok
        with connect(dsn) as conn:
            completed: SeedResult = seed(conn, model, request_of(model))
            assert completed.found_rows + completed.copied_rows == 8520
            assert completed.found_rows >= 8000
            assert fingerprint(conn) == expected
            assert missing_objects(conn) == ()
            assert validate(conn, model).ok


def test_another_workload_or_version_is_refused(
    empty: psycopg.Connection[Any], model: WorkloadModel
) -> None:
    """In one line that names the way out."""
    migrate(empty, model)
    changed = replace(model, digest="e" * 64)
    with pytest.raises(SourceError, match=r"made_up as it was before .*`loadgen db reset`"):
        migrate(empty, changed)
    other = replace(changed, name="other")
    with pytest.raises(SourceError, match=r"workload made_up, and this is other.*db reset"):
        seed(empty, other, request_of(model))
    seed(empty, model, request_of(model))
    with pytest.raises(SourceError, match="another baseline, 500 rows of staff instead of 3"):
        seed(empty, model, request_of(model, staff=3))


def test_a_database_of_the_version_before_is_explained(
    empty: psycopg.Connection[Any], model: WorkloadModel
) -> None:
    """The shop's tables were its only ones."""
    empty.execute(
        "CREATE TABLE loadgen_playground (only_row boolean, schema_version integer, seed jsonb, "
        "progress jsonb, run_id text); INSERT INTO loadgen_playground VALUES (true, 1)"
    )
    for call in (lambda: migrate(empty, model), lambda: validate(empty, model)):
        with pytest.raises(SourceError, match="in version 1, this program works with 2: "):
            call()


def test_a_schema_that_postgres_refuses_names_its_line(
    empty: psycopg.Connection[Any], model: WorkloadModel
) -> None:
    """File and line, and nothing is made; a COMMIT in it can't change that."""
    broken = replace(model, schema_sql="CREATE TABLE a (id int);\nCREATE TABEL b ();\n")
    with pytest.raises(SourceError, match=r'schema\.sql, line 2: syntax error at or near "TABEL"'):
        migrate(empty, broken)
    committed = replace(model, schema_sql="CREATE TABLE a (id int); COMMIT; CREATE TABLE b ();")
    with pytest.raises(SourceError, match=r"schema\.sql"):
        migrate(empty, committed)
    assert existing_tables(empty) == {}


def test_tables_without_a_schema_file(empty: psycopg.Connection[Any]) -> None:
    """Their types make them, with the key and a version that starts at 0."""
    tables = (
        Table(
            "billing.invoices",
            rows=50,
            key=("no",),
            columns={"no": Value(Sequence()), "memo": Value(Text(3, 9))},
            types={"no": "bigint", "memo": "text", "version": "bigint"},
            version="version",
        ),
        Table("parts", 10, key=(), columns={"no": Value(Row("billing.invoices", "no"))},
              types={"no": "bigint"}),
    )  # fmt: skip
    model = WorkloadModel("invoices", "", {table.name: table for table in tables}, {})
    seed(empty, model, request_of(model))
    facts = table_facts(empty, model)
    assert facts["billing.invoices"].primary_key == ("no",)
    assert count_rows(empty, model) == {
        "billing.invoices": TableRows(rows=50, version_sum=0),
        "parts": TableRows(rows=10),
    }


def test_a_run_is_compared_with_its_tables(
    empty: psycopg.Connection[Any], model: WorkloadModel
) -> None:
    """Inserts and deletes by table, from the rows of committed statements."""
    seed(empty, model, request_of(model))
    before = count_rows(empty, model)
    empty.execute("UPDATE loadgen_playground SET run_id = 'r1/2'")
    empty.execute(
        'INSERT INTO sales."Order" ("orderNo", customer, "select") '
        "SELECT 'X' || n, (SELECT customer_no FROM customers LIMIT 1), 5 "
        "FROM generate_series(1, 4) n"
    )
    deleted = empty.execute("DELETE FROM sales.lines WHERE line <= 9").rowcount
    touched = {"place_order": (4,), "raise_share": (0,), "forget": (deleted,)}
    right = LastRun("r1", ended=True, statement_rows=touched, rows_before=before)
    check = validate(empty, model, right).checks[-1]
    assert (check.ok, check.detail) == (True, "run r1: all 13 counted changes are there")
    wrong = replace(right, statement_rows=touched | {"place_order": (5,), "forget": (8,)})
    check = validate(empty, model, wrong).checks[-1]
    assert check.ok is False
    assert check.detail == (
        "run r1: sales.Order: 5 rows counted, 4 in the table; "
        "sales.lines: -8 rows counted, -9 in the table"
    )
    # A lost write without a proof may have been committed.
    check = validate(empty, model, replace(wrong, unknown=["forget"])).checks[-1]
    assert check.detail == "run r1: sales.Order: 5 rows counted, 4 in the table"


@pytest.mark.parametrize(
    ("damage", "name", "detail"),
    [
        (
            "ALTER TABLE sales.lines DROP CONSTRAINT lines_order_no_fkey",
            "every foreign key is valid",
            "lines_order_no_fkey of lines is missing or not valid",
        ),
        (
            NOT_VALID,
            "every foreign key is valid",
            "teams_head_fkey of teams is missing or not valid",
        ),
        (
            "ALTER TABLE customers DROP CONSTRAINT customers_email_key",
            "every unique key is valid",
            "customers_email_key of customers is missing or not valid",
        ),
        (
            "ALTER TABLE sales.lines DROP CONSTRAINT lines_pkey",
            "every unique key is valid",
            "the key of sales.lines is missing",
        ),
        (
            'UPDATE sales."Order" SET "select" = -1 WHERE "orderNo" < $$ORD-000004$$',
            "amounts are positive",
            "3 orders",
        ),
        ("DELETE FROM measures WHERE id < 6", "the baseline is complete", "5 rows of measures"),
    ],
)
def test_each_broken_invariant_is_found(
    empty: psycopg.Connection[Any], model: WorkloadModel, damage: str, name: str, detail: str
) -> None:
    """The check's name and the damage are reported."""
    seed(empty, model, request_of(model))
    empty.execute(damage.encode())
    broken = {check.name: check.detail for check in validate(empty, model).checks if not check.ok}
    assert broken.keys() == {name}
    assert broken[name].startswith(detail)


def test_sizes_of_partitioned_tables_are_sums(
    empty: psycopg.Connection[Any], model: WorkloadModel
) -> None:
    """The watch sees each table of the workload once."""
    seed(empty, model, request_of(model))
    sizes = {table.name: table for table in observe(empty).tables}
    assert sorted(sizes) == sorted(TABLES)
    assert sizes["measures"].bytes > 0
