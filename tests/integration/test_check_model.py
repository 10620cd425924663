"""Mistakes in a model that Postgres finds; nothing of the model stays in the database."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loadgen.errors import SourceError
from loadgen.source.check_model import check_model
from loadgen.source.postgres import connect
from loadgen.source.schema import migrate
from loadgen.workload.model import (
    Check,
    Choice,
    Number,
    Statement,
    Table,
    Text,
    Uuid,
    Value,
    WorkloadModel,
)
from loadgen.workload.read_model import built_in_models, read_model
from tests.conftest import Cluster, RunLoadgen
from tests.workload_cases import made_up_model


@pytest.fixture
def empty(each_empty_database: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to an empty database, on each server in turn."""
    with connect(each_empty_database) as conn:
        yield conn


@pytest.fixture(scope="module")
def one_database(cluster: Cluster) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to a database that all checks of a mistake share: it stays empty."""
    with cluster.database("template1") as dsn, connect(dsn) as conn:
        yield conn


def with_table(name: str, **changes: Any) -> WorkloadModel:
    """Return the made-up model with one of its tables changed."""
    model = made_up_model()
    return replace(model, tables={**model.tables, name: replace(model.tables[name], **changes)})


def with_column(name: str, column: str, value: Value | None) -> WorkloadModel:
    """Return the made-up model with another generator for a column; None takes it away."""
    columns = dict(made_up_model().tables[name].columns)
    columns.pop(column, None)
    return with_table(name, columns=columns if value is None else {**columns, column: value})


def with_schema(old: str, new: str) -> WorkloadModel:
    """Return the made-up model with a change of its schema.sql."""
    model = made_up_model()
    assert old in model.schema_sql
    return replace(model, schema_sql=model.schema_sql.replace(old, new))


def with_statement(operation: str, sql: str, table: str, change: str = "update") -> WorkloadModel:
    """Return the made-up model with another statement of an operation without parameters."""
    model = made_up_model()
    statement = Statement(sql, (), change, table)  # type: ignore[arg-type]
    changed = replace(model.operations[operation], statements=(statement,), parameters={})
    return replace(model, operations={**model.operations, operation: changed})


def with_types(**types: str) -> WorkloadModel:
    """Return a model of one table without schema.sql."""
    table = Table("notes", 5, key=("no",), columns={"no": Value(Number(1, 9))}, types=types)
    return WorkloadModel("notes", "", {"notes": table}, {})


def test_a_right_model_has_no_problem(empty: psycopg.Connection[Any]) -> None:
    """And it leaves nothing."""
    query = "SELECT count(*) FROM pg_class"
    before = empty.execute(query).fetchone()
    assert check_model(empty, made_up_model()) == []
    assert empty.execute(query).fetchone() == before
    assert empty.execute("SELECT to_regtype('mood')").fetchone() == (None,)
    assert empty.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
    assert empty.execute("SHOW search_path").fetchone() == ("public",)


@pytest.mark.parametrize("name", [*built_in_models(), "shop+transfers"])
def test_the_built_in_models_are_right(empty: psycopg.Connection[Any], name: str) -> None:
    """Each as its files are."""
    assert check_model(empty, read_model(name)) == []


MISTAKES: tuple[tuple[WorkloadModel, str], ...] = (
    (with_schema("share       percent", "share       percnt"), "schema.sql, line 9: type"),
    (with_schema("CREATE SCHEMA sales;", "CREATE SCHEMA sales; COMMIT;"), "schema.sql"),
    (
        with_schema("name    text NOT NULL", "name    text NOT NULL CHECK (name ~ '^[0-9]+$')"),
        "[tables.staff], columns.name: new row for relation",
    ),
    (
        replace(made_up_model(), tables={"custmers": Table("custmers", 1)}),
        "workload.toml, [tables.custmers]: schema.sql makes no such table: did you mean customers?",
    ),
    (
        with_column("customers", "emial", Value(Text(1, 5))),
        "workload.toml, [tables.customers], columns.emial: no such column: did you mean email?",
    ),
    (
        with_column("sales.Order", "doubled", Value(Number(1, 5))),
        '[tables."sales.Order"], columns.doubled: Postgres generates this column: remove the key',
    ),
    (
        with_table("staff", version="verson"),
        "[tables.staff], version: no column 'verson': there are id, badge, name, leads",
    ),
    (
        with_table("customers", key=("mood",)),
        "[tables.customers], key: (mood) has no primary key or unique index in schema.sql: add one",
    ),
    (
        with_column("sales.Order", "customer", None),
        'give it a generator, such as columns.customer = { generate = "uuid" }',
    ),
    (
        with_schema("what text NOT NULL", "what text NOT NULL, note tsvector NOT NULL"),
        "",
    ),
    (
        with_schema("name    text NOT NULL", "name    text NOT NULL, find tsvector NOT NULL"),
        "[tables.staff], columns.find: it is missing, and the column (tsvector) is NOT NULL",
    ),
    (
        with_column("customers", "mood", Value(Choice(("calm", "angry"), (1, 1)))),
        '[tables.customers], columns.mood: invalid input value for enum mood: "angry"',
    ),
    (
        with_column("customers", "share", Value(Number(200, 300))),
        "[tables.customers], columns.share: value for domain percent violates check constraint",
    ),
    (
        with_column("staff", "badge", Value(Uuid())),
        "[tables.staff], columns.badge: ",
    ),
    (
        with_column("customers", "email", Value(Choice(("a@b.c",), (1,)))),
        "[tables.customers]: unique customers_email_key: could not create unique index",
    ),
    (
        with_statement("forget", "DELETE FROM audit", "audit", "delete"),
        "workload.toml, [operations.forget]: deletes of audit are refused, since it is published",
    ),
    (
        with_statement("raise_share", "UPDATE customers SET shre = 1", "customers"),
        '[operations.raise_share]: column "shre" of relation "customers" does not exist',
    ),
    (
        with_statement("raise_share", "UPDATE customers SET share = 'x'", "customers"),
        '[operations.raise_share]: invalid input syntax for type integer: "x"',
    ),
    (
        replace(
            with_statement("raise_share", "UPDATE staff SET name = 'Kim'", "staff"),
            tables=with_table("staff", version="badge").tables,
        ),
        "[operations.raise_share]: it changes 10 rows and raises staff.badge by 0: let it, or a",
    ),
    (
        with_statement("forget", "INSERT INTO staff (name) VALUES (NULL)", "staff", "insert"),
        '[operations.forget]: null value in column "name" of relation "staff" violates not-null',
    ),
    (
        replace(made_up_model(), checks=(Check("odd", "", "SELECT count(*) FROM nowhere"),)),
        '[checks.odd], violations: relation "nowhere" does not exist: there are ',
    ),
    (
        replace(made_up_model(), checks=(Check("odd", "", "SELECT 'many'"),)),
        "[checks.odd], violations: it gives text: it must give one whole number",
    ),
    (
        with_schema("CREATE TABLE audit", "CREATE UNLOGGED TABLE audit"),
        "schema.sql: its tables can't be published to tools: cannot add relation",
    ),
    (
        with_schema("CREATE TABLE audit", 'CREATE TABLE "a.b" (); CREATE TABLE audit'),
        "schema.sql: table 'a.b' has a dot in its name: rename it",
    ),
    (
        with_schema("CREATE TABLE audit", "CREATE TABLE hard_cases (); CREATE TABLE audit"),
        "schema.sql: table hard_cases has a name of the playground's own: rename it",
    ),
    (with_types(no="bigint", memo="txet"), 'type "txet" does not exist: did you mean text?'),
    (with_types(no="bigint", memo="timestmp"), "does not exist: did you mean timestamp?"),
    (with_types(no="bigint", memo="qqqq"), "give a type of Postgres, such as text, bigint or"),
    (
        replace(made_up_model(), checks=(Check("odd", "", "SELECT 1, 2 WHERE false"),)),
        "[checks.odd], violations: it gives 2 columns: it must give one whole number",
    ),
    (
        replace(made_up_model(), checks=(Check("odd", "", "SELECT 1.5 WHERE false"),)),
        "[checks.odd], violations: it gives numeric: it must give one whole number",
    ),
    (
        replace(made_up_model(), checks=(Check("odd", "", "SELECT count(*) FROM custmers"),)),
        'relation "custmers" does not exist: did you mean customers?',
    ),
    (
        with_schema(
            "CREATE SCHEMA sales;", "CREATE SCHEMA sales; ALTER SCHEMA sales OWNER TO me_;"
        ),
        'role "me_" does not exist: use pg_dump --no-owner',
    ),
    (
        with_types(no="bigint", memo="text; DROP TABLE x"),
        "[tables.notes], columns.memo.type: syntax",
    ),
)


@pytest.mark.parametrize(
    ("model", "message"), MISTAKES, ids=[str(n) for n, _ in enumerate(MISTAKES)]
)
def test_each_mistake_is_named(
    one_database: psycopg.Connection[Any], model: WorkloadModel, message: str
) -> None:
    """In one line with table, column or operation; none that follows from another one."""
    problems = check_model(one_database, model)
    assert len(problems) == bool(message)
    if message:
        assert message in problems[0]
        assert "\n" not in problems[0]
    for left in ("to_regclass('customers')", "to_regclass('notes')", "to_regnamespace('sales')"):
        assert one_database.execute(f"SELECT {left}".encode()).fetchone() == (None,)


SHOP = """
[tables.customers]
columns.id = { generate = "sequence" }
[tables.bills]
rows = 5
columns.id = { generate = "sequence" }
columns.customer = { number = [1, 9] }
columns.total = { decimal = [1, 9] }
columns.paid_at = { time = "even", null = 0.5 }
[operations.pay]
per_hour = 60
update = "bills"
row = {}
set.paid_at = { sql = "now()" }
set.total = { sql = "total + 1" }
where = "paid_at IS NULL"
[operations.bill]
per_hour = 60
sql = "INSERT INTO bills (customer, total) VALUES (NULL, :total)"
params.total = { decimal = [1, 9] }
"""
SHOP_SCHEMA = """CREATE TABLE customers (id bigint PRIMARY KEY);
CREATE TABLE bills (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer bigint,
    total numeric,
    paid_at timestamptz
);
"""
REFERENCE = "ALTER TABLE bills ADD CONSTRAINT of_one FOREIGN KEY (customer) REFERENCES customers;"
PAY = "[operations.pay], "


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [
        ("", "", ""),
        (
            '"total + 1"',
            '"total +"',
            PAY + 'set.total: syntax error at or near "WHERE", near ' + "'total + WHERE id'",
        ),
        ('"now()"', '"now() +"', PAY + 'set.paid_at: syntax error at or near ","'),
        ('"now()"', '"now() + 1"', PAY + "set.paid_at: operator does not exist"),
        ('{ sql = "now()" }', "5", PAY + 'set.paid_at: column "paid_at" is of type timestamp'),
        ('{ sql = "now()" }', '"soon"', PAY + "set.paid_at: invalid input syntax"),
        ('{ sql = "now()" }', "{ text = [5, 9] }", PAY + "set.paid_at: invalid input syntax"),
        ('"paid_at IS NULL"', '"paid_at = 5"', PAY + "where: operator does not exist"),
        ('"paid_at IS NULL"', '"paid_at IS"', PAY + "where: syntax error at end of input"),
        (
            "set.paid_at = { sql",
            "set.id = 5\nset.paid_at = { sql",
            PAY + 'set.id: column "id" can only be updated to DEFAULT; Column "id" is an identity '
            "column defined as GENERATED ALWAYS: leave it out",
        ),
        (
            (
                'sql = "INSERT INTO bills (customer, total) VALUES (NULL, :total)"\n'
                "params.total = { decimal = [1, 9] }"
            ),
            'insert = "bills"\nset.id = 5\nset.customer = 5',
            '[operations.bill], set.id: cannot insert a non-DEFAULT value into column "id"',
        ),
        (
            "params.total = { decimal = [1, 9] }",
            "params.total = { text = [5, 9] }",
            "[operations.bill], params.total: invalid input syntax for type numeric",
        ),
        (
            "bills (customer, total) VALUES (NULL,",
            "bills (id, total) VALUES (3,",
            (
                '[operations.bill], sql: cannot insert a non-DEFAULT value into column "id"; '
                'Column "id" is an identity column defined as GENERATED ALWAYS: write { default = '
                "true }, or OVERRIDING SYSTEM VALUE in the sql"
            ),
        ),
    ],
)
def test_a_mistake_is_at_its_key(
    one_database: psycopg.Connection[Any], tmp_path: Path, right: str, wrong: str, line: str
) -> None:
    """The line begins as the reader's do, and has no hint at casts."""
    (tmp_path / "workload.toml").write_text(SHOP.replace(right, wrong, 1))
    (tmp_path / "schema.sql").write_text(SHOP_SCHEMA)
    problems = check_model(one_database, read_model(str(tmp_path)))
    assert len(problems) == bool(line)
    if line:
        assert problems[0].startswith(f"{tmp_path}/workload.toml, {line}")
        assert "cast" not in problems[0]


def test_a_reference_to_a_table_without_rows(
    one_database: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """The remedy is the generator that the reader knows."""
    (tmp_path / "workload.toml").write_text(SHOP)
    (tmp_path / "schema.sql").write_text(SHOP_SCHEMA + REFERENCE)
    (problem,) = check_model(one_database, read_model(str(tmp_path)))
    assert problem.startswith(f"{tmp_path}/workload.toml, [tables.bills], columns.customer: ")
    assert problem.endswith('give customers `rows`, and use { row = "customers" }')


def test_the_command_asks_postgres(
    each_empty_database: str, project: Path, run_loadgen: RunLoadgen
) -> None:
    """Findings are printed like mistakes in the files; without a Postgres a note says so."""
    (project / "workload.toml").write_text(
        '[tables.notes]\nrows = 5\nkey = "no"\ncolumns.no = { generate = "sequence" }\n'
        'columns.memo = { text = [1, 9], type = "txet" }\n'
        '[operations.note]\nper_hour = 60\ninsert = "notes"\n'
    )
    env = {"DATABASE_URL": each_empty_database}
    done = run_loadgen("workload", "check", ".", env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "loadgen: error: workload.toml, [tables.notes], columns.memo.type: "
        'type "txet" does not exist: did you mean text?\n'
    )
    assert run_loadgen("workload", "check", "shop", env=env).returncode == 0
    alone = run_loadgen("workload", "check", "shop")
    assert alone.returncode == 0
    assert "not checked with Postgres" in alone.stdout


def test_a_database_that_has_the_tables_is_refused(empty: psycopg.Connection[Any]) -> None:
    """The tables of a running workload are left alone."""
    migrate(empty, made_up_model())
    with pytest.raises(SourceError, match="has customers, measures"):
        check_model(empty, made_up_model())


BANK = (
    """
[tables.accounts]
rows = 20
columns.no = { generate = "sequence" }
columns.balance = { decimal = [0, 500], scale = 2 }
columns.rating = { number = [1, 9], type = "double precision" }

[tables.entries]
columns.no = { generate = "sequence" }
columns.amount = { decimal = [1, 500], scale = 2 }

[operations.deposit]
per_hour = 60
sql = """
    '"""'
    """
UPDATE accounts SET balance = balance + :amount WHERE no = :no;
INSERT INTO entries (no, amount) VALUES (:entry, :amount);
"""
    '"""'
    """
params.no = { row = "accounts" }
params.entry = { key = true }
params.amount = { value = 7 }

[operations.correct]
per_hour = 60
update = "entries"
row = { inserted = "deposit" }
set.amount = 0

[conserved.money]
sums = ["accounts.balance", "entries.amount"]
"""
)


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [
        ("", "", ""),  # `correct` would change the sums, but no row of it is there yet
        (
            "balance + :amount",
            "balance + :amount - 2",
            "operation deposit moves them apart by 2: correct its statements, or the sums",
        ),
        (
            '["accounts.balance", "entries.amount"]',
            '["accounts.balance"]',
            "operation deposit changes it by 7: correct its statements, or the sums",
        ),
        (
            "accounts.balance",
            "accounts.rating",
            "the sum of accounts.rating is float8: give columns of integers or decimals",
        ),
    ],
)
def test_conserved_sums_are_compared_before_and_after_each_operation(
    one_database: psycopg.Connection[Any], tmp_path: Path, right: str, wrong: str, line: str
) -> None:
    """The line names the operation; columns without an exact sum are refused."""
    (tmp_path / "workload.toml").write_text(BANK.replace(right, wrong, 1))
    problems = check_model(one_database, read_model(str(tmp_path)))
    place = f"{tmp_path}/workload.toml, [conserved.money], sums: "
    assert problems == ([place + line] if line else [])
