"""Writes models of made-up databases, and reads them back."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from loadgen.workload.importing.facts import (
    ForeignKeyFacts,
    StatementFacts,
    TableFacts,
    Window,
    WriteCounts,
)
from loadgen.workload.importing.write import WriteOptions, WrittenModel, write_model
from loadgen.workload.model import (
    Choice,
    InsertedParameter,
    KeyParameter,
    Number,
    OnceParameter,
    ProfileLevels,
    Row,
    Sequence,
    Text,
    Time,
    TimeAfter,
    Value,
    WorkloadModel,
)
from tests.import_facts import READ_AT, database, pgbench, read_back, table, with_column

USERS = table("users", "id bigint!, mail text+, born date", 500, (240, 480, 0))
PARENT = ForeignKeyFacts(("user_id",), "users", ("id",))


def model_of(
    tmp_path: Path,
    *tables: TableFacts,
    statements: tuple[StatementFacts, ...] = (),
    options: WriteOptions | None = None,
) -> tuple[WorkloadModel, WrittenModel]:
    """Return the model of a database, and its texts."""
    written = write_model(database(*tables, statements=statements), options or WriteOptions())
    return read_back(written, tmp_path / "model"), written


def test_pgbench_is_a_transaction_and_an_insert(tmp_path: Path) -> None:
    """Its statements ran equally often; the file has fewer than 60 lines."""
    written = write_model(pgbench(), WriteOptions())
    model = read_back(written, tmp_path)
    assert written.toml.count("\n") < 60
    assert {name: table.rows for name, table in model.tables.items()} == {
        "pgbench_accounts": 2_000_000,
        "pgbench_branches": 20,
        "pgbench_history": 36_000,
        "pgbench_tellers": 200,
    }
    transaction, insert = (
        model.operations["transaction"],
        model.operations["insert_pgbench_history"],
    )
    assert [s.table for s in transaction.statements] == [
        "pgbench_accounts",
        "pgbench_branches",
        "pgbench_tellers",
    ]
    assert "SET abalance = abalance + $1 WHERE aid = $2" in transaction.statements[0].sql
    assert transaction.per_hour == insert.per_hour == 3600
    assert "filler" not in model.tables["pgbench_history"].columns
    assert written.guesses[0].startswith(
        "[operations.transaction] per_hour: these statements ran equally often"
    )
    assert written.left_out == ()


def test_the_file_tells_what_it_was_read_from(tmp_path: Path) -> None:
    """Rows and rates are scaled, those of the database are not."""
    options = WriteOptions(rows=0.01, rate=0.1)
    model = read_back(write_model(pgbench(), options), tmp_path)
    imported = model.imported
    assert imported is not None
    assert imported.digests == ("a" * 64, "b" * 64)
    assert imported.read_at == "2026-11-29T13:00:00+00:00"
    assert imported.window_seconds == 36_000
    assert (imported.row_scale, imported.rate_scale) == (0.01, 0.1)
    accounts = imported.tables["pgbench_accounts"]
    assert (accounts.rows, accounts.bytes, accounts.updates) == (2_000_000, 200_000_000, 3600)
    assert model.tables["pgbench_accounts"].rows == 20_000
    assert model.tables["pgbench_branches"].rows == 20  # a small table is not scaled
    assert model.operations["insert_pgbench_history"].per_hour == 360


@pytest.mark.parametrize(
    ("every", "comment"),
    [
        (28_800, "# It repeats after 24h.\n"),
        (
            600.25,
            (
                "# It repeats after 1800.75s, which is not a day: it does not follow the time of "
                "day.\n"
            ),
        ),
    ],
)
def test_the_parts_of_a_window_are_the_profile(tmp_path: Path, every: float, comment: str) -> None:
    """With when a run's first level was, and after how long it comes again."""
    facts = pgbench()
    began_at = READ_AT - timedelta(seconds=3 * every)
    window = Window(began_at, READ_AT, is_measured=True, shares=(0.5, 0, 2.4999999), every=every)
    written = write_model(replace(facts, window=window), WriteOptions())
    assert read_back(written, tmp_path).profile == ProfileLevels(every, (0.5, 0, 2.5))
    assert f", from {began_at:%Y-%m-%d %H:%M} UTC; a run begins there.\n{comment}" in written.toml


def test_no_value_is_written_unless_it_may_be(tmp_path: Path) -> None:
    """Neither of rows nor of statements, comments or statistics."""
    users = with_column(
        with_column(USERS, "mail", common=(("CANARY-1", 0.6), ("CANARY-2", 0.4))),
        "born",
        bounds=("CANARY-3", "CANARY-4"),
    )
    statements = tuple(
        StatementFacts(sql, 100, 100)
        for sql in (
            "UPDATE users SET mail = 'CANARY-5' || $1 /* CANARY-6 */ WHERE id = $2 -- CANARY-7",
            "INSERT INTO users (id, mail) VALUES (1, $$CANARY-8$$)",
            "/* CANARY-9 */ UPDATE users SET mail = mail || E'CANARY-10', born = '2026-01-01'",
            "UPDATE users SET mail = 'CANARY-11' WHERE WHERE id = 5",
            "UPDATE users SET mail = (SELECT 'CANARY-12') WHERE mail = 'CANARY-13'",
        )
    )
    facts = database(users, statements=statements)
    written = write_model(facts, WriteOptions())
    read_back(written, tmp_path)
    assert "CANARY" not in repr(written)
    assert "1 statement of pg_stat_statements can't be parsed" in written.left_out
    values = write_model(replace(facts, with_values=True), WriteOptions())
    assert read_back(values, tmp_path).tables["users"].columns["mail"].generator == Choice(
        ("CANARY-1", "CANARY-2"), (0.6, 0.4)
    )
    assert "CANARY-5" not in repr(values)


def test_keys_of_references_do_not_repeat(tmp_path: Path) -> None:
    """A table that extends another one, and one between two others."""
    profiles = table("profiles", "user_id bigint!, bio text", 400, (240, 0, 0), (PARENT,))
    group = ForeignKeyFacts(("group_id",), "groups", ("id",))
    members = table(
        "members", "user_id bigint!, group_id integer!", 900, (0, 0, 24), (PARENT, group)
    )
    groups = table("groups", "id integer!, title text+", 10)
    model, written = model_of(tmp_path, USERS, profiles, members, groups)
    assert model.tables["profiles"].columns["user_id"] == Value(Row("users", "id", each=True))
    assert model.tables["members"].columns == {
        "user_id": Value(Row("users", "id", each=True)),
        "group_id": Value(Row("groups", "id", each=True)),
    }
    together = model.operations["insert_profiles"]
    assert [s.table for s in together.statements] == ["users", "profiles"]
    assert [s.parameters[0] for s in together.statements] == ["id", "id"]
    assert "insert_users" not in model.operations
    assert (
        model.operations["delete_members"]
        .statements[0]
        .sql.endswith("WHERE user_id = $1 AND group_id = $2")
    )
    many = replace(members, rows=20_000)
    written = write_model(database(USERS, many, groups), WriteOptions())
    assert read_back(written, tmp_path).tables["members"].rows == 5000
    assert "[tables.members] rows: 20,000 there; no more keys differ" in written.guesses[0]


@pytest.mark.parametrize(("rows", "guess"), [(900, ""), (4_904, "96 keys"), (20_000, "0 keys")])
def test_inserts_that_run_out_of_pairs_are_a_guess(tmp_path: Path, rows: int, guess: str) -> None:
    """There are 5,000 pairs, and ten inserts an hour: those left last for two days, or don't."""
    group = ForeignKeyFacts(("group_id",), "groups", ("id",))
    columns = "user_id bigint!, group_id integer!"
    members = table("members", columns, rows, (240, 0, 0), (PARENT, group))
    groups = table("groups", "id integer!, title text+", 10)
    written = write_model(database(USERS, members, groups), WriteOptions())
    read_back(written, tmp_path)
    reason = f"insert: {guess} of rows it refers to are free, for"
    assert any(reason in guess for guess in written.guesses) == bool(guess)


def test_a_second_table_that_extends_one_has_a_step_of_its_own(tmp_path: Path) -> None:
    """Each transaction inserts into the tables that are inserted into as often."""
    profiles = table("profiles", "user_id bigint!, bio text", 400, (240, 0, 0), (PARENT,))
    photos = table("photos", "user_id bigint!, photo bytea+", 100, (120, 0, 0), (PARENT,))
    model, _ = model_of(tmp_path, USERS, profiles, photos)
    rates = {
        name: ([s.table for s in operation.statements], operation.per_hour)
        for name, operation in model.operations.items()
        if name.startswith("insert")
    }
    assert rates == {
        "insert_photos": (["users", "photos", "profiles"], 5),
        "insert_profiles": (["users", "profiles"], 5),
    }


def test_keys_of_other_columns(tmp_path: Path) -> None:
    """One column of a key differs in each row; times of growth do, though the reader can't tell."""
    line = table(
        "lines",
        "user_id bigint!, line smallint!, price numeric+",
        300,
        (24, 48, 0),
        (PARENT,),
    )
    readings = table(
        "readings", "user_id bigint!, at timestamp with time zone!", 90_000, (0, 48, 24), (PARENT,)
    )
    readings = replace(readings, columns=(*readings.columns, with_column(USERS, "mail").columns[1]))
    codes = table("codes", "code character(2)!, note text", 90, (24, 0, 0))
    model, _ = model_of(tmp_path, USERS, line, readings, codes)
    assert model.tables["lines"].columns["line"] == Value(Sequence())
    assert "floor(random() * 32767)" in model.operations["insert_lines"].statements[0].sql
    assert model.tables["readings"].columns["at"] == Value(Time(182, "growth"))
    assert model.tables["readings"].key == ()
    update = model.operations["update_readings"].statements[0].sql
    assert update.endswith("WHERE user_id = $2 AND at = $3")
    assert model.operations["delete_readings"].parameters["at"] == OnceParameter(
        "readings", "at", 0.05
    )
    assert model.tables["codes"].columns["code"] == Value(Sequence(1, "{:02}"))


def test_updates_are_mixed_as_the_statements(tmp_path: Path) -> None:
    """Updates are split by rows; keys are never set, times are now, deletes take inserted rows."""
    orders = table(
        "orders",
        "id uuid!, user_id bigint+, state text, paid_at timestamp with time zone, n integer",
        1000,
        (2400, 4800, 1200),
        (PARENT,),
    )
    statements = (
        StatementFacts("UPDATE orders SET state=$1,paid_at=$2 WHERE id=$3", 300, 300),
        StatementFacts(
            "UPDATE public.orders SET paid_at = now(), state = $1 WHERE id = $2", 300, 300
        ),
        StatementFacts("UPDATE orders SET n = n - $1, id = $2 WHERE state = $3", 10, 200),
        StatementFacts("INSERT INTO orders (id, user_id, state) VALUES ($1, $2, $3)", 100, 100),
        StatementFacts("DELETE FROM orders WHERE id = $1", 50, 50),
        StatementFacts("SELECT 1", 1000, 1000),
    )
    model, written = model_of(tmp_path, USERS, orders, statements=statements)
    state, number = model.operations["update_orders_paid_at"], model.operations["update_orders_n"]
    assert (state.per_hour, number.per_hour) == (150, 50)
    assert state.statements[0].sql == (
        "UPDATE public.orders SET paid_at = now(), state = $1 WHERE id = $2"
    )
    assert "SET n = n - $1 WHERE id = $2" in number.statements[0].sql
    assert number.parameters["n_change"] == Value(Number(0, 9))
    assert number.parameters["id"] == Value(Row("orders", "id", 2))
    insert = model.operations["insert_orders"]
    assert insert.per_hour == 100
    assert "paid_at" not in insert.statements[0].sql
    delete = model.operations["delete_orders"]
    assert delete.parameters["id"] == InsertedParameter("insert_orders", "id", "oldest")
    assert any(
        line.startswith("[operations.delete_orders] row: inserts keep pace")
        for line in written.guesses
    )


def test_what_checks_and_times_allow(tmp_path: Path) -> None:
    """Values keep the rules of the schema as far as they can be understood."""
    visits = table(
        "visits",
        "id bigint!, state text+, stars integer+, price numeric+, starts_at timestamp with time "
        "zone+, ends_at timestamp with time zone+, code character varying(9)",
        100,
        (24, 24, 0),
    )
    checks = (
        "CHECK ((state = ANY (ARRAY['a'::text, 'b'::text])))",
        "CHECK (((stars >= 1) AND (stars <= 5)))",
        "(price > (0)::numeric)",
        "CHECK ((ends_at > starts_at))",
        "CHECK ((char_length((code)::text) >= 4))",
        "CHECK ((my_function(code) OR (state ~ 'x')))",
    )
    visits = replace(with_column(visits, "starts_at", correlation=0.99), checks=checks)
    model, written = model_of(tmp_path, USERS, visits)
    columns = {name: value.generator for name, value in model.tables["visits"].columns.items()}
    assert columns["state"] == Choice(("a", "b"), (1, 1))
    assert columns["stars"] == Number(1, 5)
    assert columns["starts_at"] == Time(182, "growth")
    assert columns["ends_at"] == TimeAfter("starts_at")
    code = columns["code"]
    assert isinstance(code, Text)
    assert 4 <= code.shortest <= code.longest <= 9
    assert "now() + interval" in model.operations["insert_visits"].statements[0].sql
    assert "[tables.visits] a check on state, code is not understood" in written.guesses[0]


def test_tables_that_can_not_be_made_are_left_out(tmp_path: Path) -> None:
    """With the tables that have to refer to them; others leave the reference empty."""
    shapes = table("shapes", "id integer!, shape geometry+", 10, (24, 0, 0))
    key = ForeignKeyFacts(("shape_id",), "shapes", ("id",))
    places = table("places", "id integer!, shape_id integer+", 10, (24, 0, 0), (key,))
    notes = table("notes", "id integer!, shape_id integer, text text", 10, (24, 24, 0), (key,))
    model, written = model_of(tmp_path, shapes, places, notes)
    assert set(model.tables) == {"notes"}
    assert "shape_id" not in model.tables["notes"].columns
    assert written.left_out == (
        "table shapes: no generator makes geometry, and shape is NOT NULL without a default",
        "table places: shape_id refer to shapes, which is left out",
    )
    imported = model.imported
    assert imported is not None
    assert set(imported.tables) == {"notes", "shapes", "places"}
    with pytest.raises(ValueError, match="no table can be written: table shapes: no generator"):
        write_model(database(shapes), WriteOptions())


def test_without_rights_the_types_decide(tmp_path: Path) -> None:
    """No sizes, shapes, writes or window: there still is a workload."""
    blind = replace(
        table("events", "id bigint!, at timestamp with time zone+, kind text"), rows=8736
    )
    blind = replace(
        blind,
        writes=None,
        columns=tuple(replace(c, distinct=None, null_share=None) for c in blind.columns),
    )
    facts = database(blind, hours=None)
    written = write_model(facts, WriteOptions())
    model = read_back(written, tmp_path)
    assert model.operations["insert_events"].per_hour == 2
    assert model.imported is not None
    assert model.imported.window_seconds is None
    assert model.imported.tables["events"].inserts is None
    assert written.guesses[0].startswith("all rates: Postgres does not know since when it counts")
    empty = replace(blind, rows=0, writes=WriteCounts())
    idle = read_back(write_model(database(empty), WriteOptions()), tmp_path)
    assert idle.operations["insert_events"].per_hour == 0


def test_a_first_load_is_no_workload(tmp_path: Path) -> None:
    """Unless the window was measured, rows that no statement inserted are the table's load."""
    facts = pgbench()
    loaded = replace(facts.tables[0], writes=WriteCounts(2_000_000, 36_000, 0))
    facts = replace(facts, tables=(loaded, *facts.tables[1:]))
    written = write_model(facts, WriteOptions())
    model = read_back(written, tmp_path)
    assert "insert_pgbench_accounts" not in model.operations
    assert "2,000,000 inserts into pgbench_accounts" in written.left_out[0]
    assert model.imported is not None
    assert model.imported.tables["pgbench_accounts"].inserts is None
    window = Window(facts.window.began_at, READ_AT, is_measured=True)
    measured = read_back(write_model(replace(facts, window=window), WriteOptions()), tmp_path)
    assert measured.operations["insert_pgbench_accounts"].per_hour == 200_000


def test_odd_names_are_kept(tmp_path: Path) -> None:
    """In quotes where TOML or SQL needs them; an operation's name has plain letters."""
    odd = table('Odd "name"', "key integer!, text text, größe integer", 9, (24, 48, 24))
    key, text, size = odd.columns
    renamed = (replace(key, name="The key"), replace(text, name='a "b" c'), size)
    odd = replace(odd, columns=renamed, primary_key=("The key",))
    other = table("sales.OrderItems", "select uuid!, from text, limit integer", 9, (24, 48, 0))
    long = table("a" * 60, f"id uuid!, {'b' * 60} text", 9, (24, 24, 0))
    second = replace(long, name="a" * 59 + "b")
    ddl = database(other, long, second).schema_sql
    ddl += (
        'CREATE TABLE "Odd ""name""" ("The key" integer PRIMARY KEY, "a ""b"" c" text, größe int);'
    )
    facts = database(odd, other, long, second, schema_sql=ddl)
    model = read_back(write_model(facts, WriteOptions()), tmp_path)
    assert set(model.tables) == {facts.name for facts in facts.tables}
    assert "update_odd_name" in model.operations
    assert "insert_order_items" in model.operations
    names = [name for name in model.operations if "aaa" in name]
    assert len(names) == 4
    assert all(len(name) <= 40 for name in names)
    parameters = model.operations["insert_odd_name"].parameters
    assert KeyParameter('Odd "name"', "The key") in parameters.values()


def test_quiet_tables_come_last(tmp_path: Path) -> None:
    """They are in a separate section after the busy ones."""
    busy = table("zebra", "id uuid!, note text", 10, (2400, 0, 0))
    quiet = table("aardvark", "id uuid!, note text", 10, (2, 0, 0))
    model, written = model_of(tmp_path, quiet, busy)
    _, _, rest = written.toml.partition("# Quiet tables: fewer than 1 row written an hour.")
    assert "[tables.aardvark]" in rest
    assert "[operations.insert_aardvark]" in rest
    assert "zebra" not in rest
    assert list(model.tables) == ["zebra", "aardvark"]


def test_two_hundred_tables(tmp_path: Path) -> None:
    """All 200 tables are in the model; of the tables left out, the fifty largest are named."""
    tables = [
        table(f"t{i}", "id bigint!, parent bigint, note text", 10**9, (10_000 * i, i, i))
        for i in range(200)
    ]
    left = [table(f"g{i}", "id bigint!, shape geometry+", 1000 * i) for i in range(60)]
    model, _ = model_of(tmp_path, *tables, *left, options=WriteOptions(rows=1e-6))
    assert len(model.tables) == 200
    assert model.tables["t7"].rows == 1000
    assert model.imported is not None
    assert len(model.imported.tables) == 250
    assert "g59" in model.imported.tables
    assert "g9" not in model.imported.tables
