"""A workload's files are read into statements, parameters, proofs and types."""

from pathlib import Path

import pytest

from loadgen.workload.model import (
    Choice,
    InsertedParameter,
    Json,
    KeyParameter,
    OnceParameter,
    Operation,
    Row,
    StateParameter,
    Time,
    Value,
    WorkloadModel,
)
from loadgen.workload.read_model import ModelError, built_in_models, read_model, without_transfers
from loadgen.workload.read_sql import SqlFault, parse_statements, quoted_table, schema_tables

TABLES = """
[tables.lines]
rows = 100
key = ["order_id", "line_no"]
columns.order_id = { row = "orders" }
columns.line_no = { generate = "sequence" }

[tables.orders]
rows = 10
columns.id = { generate = "sequence" }
columns.note = { text = [0, 9] }
columns.done_at = { time = "even", null = 0.5 }
"""


def model_of(tmp_path: Path, toml: str, schema: str = "") -> WorkloadModel:
    """Read a model from texts."""
    (tmp_path / "workload.toml").write_text(toml, encoding="utf-8")
    if schema:
        (tmp_path / "schema.sql").write_text(schema, encoding="utf-8")
    return read_model(str(tmp_path))


def operation_of(tmp_path: Path, body: str) -> Operation:
    """Read an operation on TABLES."""
    toml = f"{TABLES}\n[operations.work]\nper_hour = 1\n{body}"
    return model_of(tmp_path, toml).operations["work"]


def test_the_shop_is_what_it_was() -> None:
    """Names, labels, options, colours and proofs of before, and statements that do the same."""
    shop = read_model("shop")
    assert [
        (o.name, o.label, o.option, o.per_hour, o.light, o.proof.kind)
        for o in shop.operations.values()
    ] == [
        ("insert_order", "New orders", "orders_per_hour", 50, "#1a3ac5", "key"),
        ("insert_event", "New events", "events_per_hour", 200, "#9a6016", "key"),
        (
            "update_order_status", "Status updates", "status_updates_per_hour", 40, "#1d7572",
            "version",
        ),
        ("soft_delete_user", "Soft deletes", "soft_deletes_per_hour", 1, "#8f188c", "once"),
    ]  # fmt: skip
    assert [s.sql for o in shop.operations.values() for s in o.statements] == [
        (
            "INSERT INTO public.orders (order_number, user_id, status, quantity, amount, currency) "
            "VALUES ($1, $2, 'pending', $3, $4, $5)"
        ),
        (
            "INSERT INTO public.events (event_id, user_id, event_type, properties) "
            "VALUES ($1, $2, $3, $4)"
        ),
        "UPDATE public.orders SET status = $1 WHERE order_number = $2 AND version = $3",
        "UPDATE public.users SET deleted_at = now() WHERE id = $1 AND deleted_at IS NULL",
    ]
    assert shop.operations["soft_delete_user"].parameters == {
        "id": OnceParameter("users", "id", condition="deleted_at IS NULL")
    }
    assert shop.operations["soft_delete_user"].proof.condition == "deleted_at IS NULL"
    states = shop.tables["orders"].states
    assert states
    assert states.open_states == ("pending", "paid", "shipped")
    properties = shop.operations["insert_event"].parameters["properties"]
    assert isinstance(properties, Value)
    assert isinstance(properties.generator, Json)
    assert properties.generator.pad_setting == "event_bytes"
    assert properties == shop.tables["events"].columns["properties"]


def test_tpcb_is_the_transaction_of_pgbench() -> None:
    """Three updates and an insert; nothing proves it, since its history has no key."""
    tpcb = read_model("tpcb")
    (transaction,) = tpcb.operations.values()
    assert [(s.change, s.table) for s in transaction.statements] == [
        ("update", "pgbench_accounts"),
        ("update", "pgbench_tellers"),
        ("update", "pgbench_branches"),
        ("insert", "pgbench_history"),
    ]
    assert transaction.proof.kind == "unproved"
    assert tpcb.tables["pgbench_history"].key == ()
    assert [table.rows for table in tpcb.tables.values()] == [1, 10, 100_000, 0]


def test_the_digest_is_that_of_the_files(tmp_path: Path) -> None:
    """Any change is another model; each built-in one has its own."""
    assert len({read_model(name).digest for name in built_in_models()}) == 3
    toml = f"{TABLES}\n[operations.work]\nper_hour = 1\ninsert = 'orders'\n"
    digest = model_of(tmp_path, toml).digest
    assert model_of(tmp_path, toml).digest == digest
    assert model_of(tmp_path, f"{toml}\n# a word").digest != digest


def test_transfers_stand_beside_any_workload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its schema.sql if there is one; a folder that is really called so is taken as it is."""
    shop, both = read_model("shop"), read_model("shop+transfers")
    transfers = read_model("transfers")
    assert both.name == "shop_transfers"
    assert both.tables == {**shop.tables, **transfers.tables}
    assert both.operations.keys() == {*shop.operations, "transfer"}
    assert both.conserved == transfers.conserved
    assert both.checks == shop.checks
    assert both.schema_sql.startswith(shop.schema_sql)
    assert "public.transfers" in both.schema_sql
    assert both.digest not in {shop.digest, transfers.digest}
    toml = f"{TABLES}\n[operations.work]\nper_hour = 1\ninsert = 'orders'\n"
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "workload.toml").write_text(toml)
    mine = read_model(f"{folder}+transfers")
    assert mine.schema_sql == ""
    assert without_transfers(f"{folder}+transfers") == str(folder)
    assert mine.tables["transfers"].types["amount"] == "integer"
    so_called = folder.rename(tmp_path / "other+transfers")
    assert read_model(str(so_called)).tables.keys() == {"lines", "orders"}
    so_called.rename(tmp_path / "shop+transfers")
    monkeypatch.chdir(tmp_path)
    assert read_model("shop+transfers") == both  # whose record names no files


def test_transfers_stand_beside_a_schema_without_its_last_semicolon(tmp_path: Path) -> None:
    """Which is right alone."""
    (tmp_path / "schema.sql").write_text("CREATE TABLE public.things (id bigint PRIMARY KEY)")
    toml = "[tables.things]\nrows = 1\ncolumns.id = { generate = 'sequence' }\n"
    toml += "[operations.work]\nper_hour = 1\ninsert = 'things'\n"
    (tmp_path / "workload.toml").write_text(toml)
    both = read_model(f"{tmp_path}+transfers")
    assert both.tables.keys() == {"things", "transfer_accounts", "transfers"}
    assert schema_tables(both.schema_sql).keys() == both.tables.keys()


def test_transfers_refuse_a_name_that_is_taken(tmp_path: Path) -> None:
    """Neither of the two tables could be meant."""
    toml = "[tables.transfers]\nrows = 1\ncolumns.id = { generate = 'sequence' }\n"
    toml += "[operations.work]\nper_hour = 1\ninsert = 'transfers'\n"
    (tmp_path / "workload.toml").write_text(toml)
    with pytest.raises(ModelError, match=r"tables\.transfers: \+transfers has one of this name"):
        read_model(f"{tmp_path}+transfers")


def test_an_example_with_tables_of_schema_sql_alone(tmp_path: Path) -> None:
    """A table that only operations name has no baseline; its key and columns are the schema's."""
    toml = """
    [tables.accounts]
    rows = 10000
    columns.account_no = { generate = "uuid" }

    [operations.transfer]
    per_hour = 3600
    sql = '''
    UPDATE accounts SET balance = balance - :amount WHERE account_no = :payer;
    INSERT INTO entries (entry_id, payer, amount) VALUES (:entry_id, :payer, :amount);
    '''
    params.payer = { row = "accounts", skew = 2 }
    params.amount = { decimal = [1, 500], scale = 2 }
    params.entry_id = { key = true }
    """
    schema = """
    CREATE TABLE accounts (account_no uuid PRIMARY KEY, balance numeric DEFAULT 0);
    CREATE TABLE entries (entry_id bigint PRIMARY KEY, payer uuid, amount numeric);
    CREATE TABLE other (id int);
    """
    model = model_of(tmp_path, toml, schema)
    assert {name: table.key for name, table in model.tables.items()} == {
        "accounts": ("account_no",),
        "entries": ("entry_id",),
    }
    transfer = model.operations["transfer"]
    assert transfer.parameters["entry_id"] == KeyParameter("entries", "entry_id")
    assert transfer.parameters["payer"] == Value(Row("accounts", "account_no", 2.0))
    assert (transfer.proof.kind, transfer.proof.table) == ("key", "entries")
    assert transfer.statements[0].parameters == ("amount", "payer")


def test_an_insert_has_values_as_the_baseline(tmp_path: Path) -> None:
    """Keys are the client's, times are now, and `set` changes a column."""
    insert = operation_of(tmp_path, 'insert = "orders"\nset.note = "O\'Neil; :no"')
    assert insert.statements[0].sql == (
        "INSERT INTO public.orders (id, note, done_at) OVERRIDING SYSTEM VALUE "
        "VALUES ($1, 'O''Neil; :no', now())"
    )
    assert insert.parameters == {"id": KeyParameter("orders", "id")}
    assert insert.proof.kind == "key"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('delete = "orders"\nrow = { once = true }', "once"),
        ('delete = "orders"', "unproved"),
        ('update = "orders"\nset.note = "x"\nrow = { once = true }', "unproved"),
        ('update = "orders"\nset.note = "x"\nrow = {once = true}\nwhere = "note <> \'x\'"', "once"),
        (
            'update = "orders"\nset.note = "x"\nrow = { once = true }\nwhere = "done_at IS NULL"',
            "unproved",
        ),
        (
            ('sql = "DELETE FROM orders WHERE id = :id"\n'
            'params.id = { row = "orders", once = true }'),
            "once",
        ),
        (
            ('sql = "INSERT INTO orders (id) SELECT :id WHERE random() < 2"\n'
            'params.id = { row = "orders" }'),
            "unproved",
        ),
        (
            ('sql = "DELETE FROM orders WHERE id = :id; INSERT INTO orders VALUES (:new)"\n'
            'params.id = { row = "orders", once = true }\nparams.new = { key = true }'),
            "key",
        ),
    ],
)  # fmt: skip
def test_the_proof_is_the_strongest(tmp_path: Path, body: str, kind: str) -> None:
    """A key, a version, a row that is aimed at once and tells, or none."""
    assert operation_of(tmp_path, body).proof.kind == kind


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        ("", "once"),
        ("[operations.two]\nper_hour = 1\ndelete = 'orders'\nrow = {inserted = 'add'}", "unproved"),
    ],
)  # fmt: skip
def test_rows_that_two_operations_aim_at_prove_neither(
    tmp_path: Path, second: str, kind: str
) -> None:
    """Each may have removed the row."""
    toml = f"""{TABLES}
    [operations.remove]
    per_hour = 1
    delete = "orders"
    row = {{ inserted = "add", order = "oldest" }}

    [operations.add]
    per_hour = 1
    insert = "orders"
    {second}
    """
    remove = model_of(tmp_path, toml).operations["remove"]
    assert remove.parameters == {"id": InsertedParameter("add", "id", "oldest")}
    assert remove.proof.kind == kind


def test_a_move_raises_the_version_itself_without_a_schema(tmp_path: Path) -> None:
    """With a schema.sql, a trigger may do it."""
    toml = """
    [tables."Sales.Order"]
    rows = 5
    columns.Id = { generate = "uuid" }
    columns.user = { value = "new" }
    [tables."Sales.Order".states]
    column = "user"
    version = "n"
    first = "new"
    next.new.old = 1
    [operations.age]
    per_hour = 1
    move = "Sales.Order"
    """
    model = model_of(tmp_path, toml)
    age = model.operations["age"]
    assert age.statements[0].sql == (
        'UPDATE "Sales"."Order" SET "user" = $1, n = n + 1 WHERE "Id" = $2 AND n = $3'
    )
    assert set(age.parameters.values()) == {
        StateParameter("Sales.Order", "key"),
        StateParameter("Sales.Order", "state"),
        StateParameter("Sales.Order", "version"),
    }
    assert age.statements[0].table == "Sales.Order"
    assert age.proof.kind == "version"
    assert model.tables["Sales.Order"].types == {"Id": "uuid", "user": "text", "n": "bigint"}


def test_a_time_has_the_form_of_its_column(tmp_path: Path) -> None:
    """By the type in the model or in schema.sql."""
    toml = """
    [tables.t]
    rows = 1
    columns.a = { time = "even"TYPE }
    [operations.o]
    per_hour = 1
    insert = "t"
    """
    typed = model_of(tmp_path, toml.replace("TYPE", ', type = "date"'))
    assert typed.tables["t"].columns["a"].generator == Time(form="date")
    made = model_of(tmp_path, toml.replace("TYPE", ""), "CREATE TABLE t (a timestamp(3));")
    assert made.tables["t"].columns["a"].generator == Time(form="timestamp")


def test_a_pool_is_a_choice(tmp_path: Path) -> None:
    """Several values may use it."""
    toml = f"[pools]\np = {{ a = 1, b = 3 }}\n{TABLES}\n[operations.o]\nper_hour = 1\n"
    model = model_of(tmp_path, f"{toml}insert = 'orders'\nset.note = {{ choose = 'p' }}\n")
    assert model.operations["o"].parameters["note"] == Value(Choice(("a", "b"), (1.0, 3.0)))


def test_parameters_are_found_where_postgres_has_none() -> None:
    """Neither in texts, comments, casts, slices nor dollar quotes."""
    sql = """
    UPDATE t SET a = :a::text || ':b' || $$ :c $$, d = e[1 : n], "x:y" = :a -- :f
    WHERE /* ; :g */ id = :käse
    """.replace(":käse", ":key")
    (parsed,) = parse_statements(sql)
    assert parsed.statement.parameters == ("a", "key")
    assert "a = $1::text" in parsed.statement.sql
    assert '"x:y" = $1' in parsed.statement.sql


def test_parameters_without_a_space_between_them() -> None:
    """Two are no quote of dollars."""
    (insert,) = parse_statements("INSERT INTO t (a,b) VALUES (:a,:b)")
    assert insert.values == {"a": ("a",), "b": ("b",)}
    (update,) = parse_statements("UPDATE t SET a=:a,b=:b WHERE id=:id")
    assert update.aims == {"id": "id"}


@pytest.mark.parametrize(
    ("sql", "change", "table"),
    [
        ("INSERT INTO s.t (a) OVERRIDING SYSTEM VALUE VALUES (1)", "insert", "s.t"),
        ('UPDATE ONLY public."T" SET a = 1', "update", "T"),
        ("DELETE FROM T USING u WHERE t.a = u.a", "delete", "t"),
        ("WITH d AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM d", "other", "b"),
        ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE", "other", "t"),
    ],
)
def test_what_a_statement_changes(sql: str, change: str, table: str) -> None:
    """Names are in lower case unless they are in quotes."""
    (parsed,) = parse_statements(sql)
    assert (parsed.statement.change, parsed.statement.table) == (change, table)


def test_a_read_in_a_with_is_a_read() -> None:
    """But not if it changes something."""
    with pytest.raises(SqlFault, match="only writes"):
        parse_statements("WITH a AS (SELECT 1) SELECT * FROM a")
    assert parse_statements("WITH a AS (DELETE FROM t RETURNING 1) SELECT * FROM a")


def test_a_statement_of_several_paragraphs() -> None:
    """A function's body may have empty lines after its semicolons."""
    body = "BEGIN\n  NEW.x := 'a;\n\n b';\n\n  RETURN NEW;\n\nEND"
    tables = schema_tables(f"""
CREATE TABLE a (id int PRIMARY KEY);

CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$;

CREATE TABLE b (id int PRIMARY KEY);
""")
    assert list(tables) == ["a", "b"]
    with pytest.raises(SqlFault, match="a quote is not closed"):
        schema_tables("CREATE TABLE a (id int DEFAULT 'x);\n\nCREATE TABLE b (id int);\n\n")


def test_the_tables_of_a_dump() -> None:
    """Keys that ALTER TABLE adds, no partitions, functions passed over."""
    tables = schema_tables("""
    SET search_path = '';
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.x := 1; END $$;
    CREATE TYPE public.mood AS ENUM ('a', 'b');
    CREATE TABLE sales."Order Line" (id bigint NOT NULL, "Order" uuid, m public.mood[] DEFAULT '{}',
        day date GENERATED ALWAYS AS (CURRENT_DATE) STORED) PARTITION BY RANGE (id);
    CREATE TABLE sales.p PARTITION OF sales."Order Line" FOR VALUES FROM (1) TO (2);
    CREATE TABLE "Part 2" (id bigint NOT NULL, "Order" uuid, m public.mood[], day date);
    ALTER TABLE ONLY sales."Order Line" ATTACH PARTITION "Part 2" FOR VALUES FROM (2) TO (3);
    ALTER TABLE ONLY sales."Order Line" ADD CONSTRAINT k PRIMARY KEY ("Order", id);
    """)
    (table,) = tables.values()
    assert (table.name, table.key) == ("sales.Order Line", ("Order", "id"))
    assert {name: column.has_default for name, column in table.columns.items()} == {
        "id": False, "Order": False, "m": True, "day": True,
    }  # fmt: skip
    assert quoted_table(table.name) == 'sales."Order Line"'
