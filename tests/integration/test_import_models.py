"""Models of real databases: Postgres accepts them, and their baseline keeps all keys and rules."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg.errors import UniqueViolation

from loadgen.config.settings import load_settings
from loadgen.load.columns import Column
from loadgen.source.check_model import check_model
from loadgen.source.importing.read import ReadOptions, read_database
from loadgen.source.postgres import Connection, connect
from loadgen.source.seed import seed
from loadgen.workload.importing.facts import DatabaseFacts
from loadgen.workload.importing.write import WriteOptions, WrittenModel, write_model
from loadgen.workload.model import WorkloadModel
from loadgen.workload.read_model import read_model
from loadgen.workload.seed_request import seed_request
from loadgen.workload.values import ValueMakers
from tests.archive import KEYS, WORKLOAD
from tests.conftest import Cluster
from tests.import_facts import read_back

SHAPES = Path(__file__).parents[1] / "import_shapes.sql"
MANY = """
DO $$ BEGIN
    FOR i IN 1..200 LOOP
        EXECUTE format('CREATE TABLE t%s (id bigserial PRIMARY KEY, a text NOT NULL)', i);
        EXECUTE format('ALTER TABLE t%s ADD parent bigint REFERENCES t%s', i, (i + 1) / 2);
        EXECUTE format('INSERT INTO t%s (a) SELECT k FROM generate_series(1, 9) k', i);
        EXECUTE format('UPDATE t%s SET a = a WHERE id %% %s = 0', i, i);
    END LOOP;
END $$
"""


MEMBERS = """
CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid());
CREATE TABLE groups (id serial PRIMARY KEY);
CREATE TABLE members (
    user_id uuid REFERENCES users, group_id int REFERENCES groups, PRIMARY KEY (group_id, user_id)
);
INSERT INTO users SELECT gen_random_uuid() FROM generate_series(1, 30);
INSERT INTO groups SELECT nextval('groups_id_seq') FROM generate_series(1, 20);
INSERT INTO members SELECT u.id, g.id FROM users u, groups g ORDER BY md5(u.id || '-' || g.id)
LIMIT 540;
"""


@contextmanager
def facts_of(cluster: Cluster, *, ddl: str = "", model: str = "") -> Iterator[DatabaseFacts]:
    """Yield the facts that an import reads from a database made by SQL or a model's baseline."""
    with cluster.database("template1") as dsn:
        with connect(dsn) as conn:
            if model:
                source = read_model(model)
                seed(conn, source, seed_request(load_settings(), source))
            else:
                conn.execute(ddl.encode())
            conn.execute("ANALYZE")
            conn.execute("SELECT pg_stat_force_next_flush()")
        yield read_database(dsn, ReadOptions(), lambda _: None)


def seeded(conn: Connection, written: WrittenModel, folder: Path) -> WorkloadModel:
    """Return the written model after Postgres checked it and holds its baseline."""
    model = read_back(written, folder)
    assert check_model(conn, model) == []
    seed(conn, model, seed_request(load_settings(), model))
    return model


def count(conn: Connection, table: str) -> int:
    """Return the rows of a table."""
    row = conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    return int(row[0]) if row else 0


@pytest.mark.parametrize("model", ["shop", "tpcb", "transfers", str(WORKLOAD)])
def test_a_workload_s_own_database(
    cluster: Cluster, empty_database: str, tmp_path: Path, model: str
) -> None:
    """The shop, pgbench and the archive come back with all of their tables and rows."""
    with facts_of(cluster, model=model) as facts, connect(empty_database) as conn:
        written = write_model(facts, WriteOptions())
        imported = seeded(conn, written, tmp_path)
    original = read_model(model)
    assert {name: t.rows for name, t in imported.tables.items()} == {
        name: t.rows for name, t in original.tables.items()
    }
    assert not [line for line in written.left_out if line.startswith("table ")]
    if model == str(WORKLOAD):
        keys = {name: table.key for name, table in imported.tables.items()}
        assert keys == KEYS


@pytest.mark.parametrize("anonymize", [False, True], ids=["named", "anonymous"])
def test_tables_of_every_shape(
    each_cluster: Cluster, each_empty_database: str, tmp_path: Path, anonymize: bool
) -> None:
    """Keys, references, checks, domains, partitions: Postgres accepts all rows and operations."""
    with (
        facts_of(each_cluster, ddl=SHAPES.read_text()) as facts,
        connect(each_empty_database) as conn,
    ):
        written = write_model(facts, WriteOptions(anonymize=anonymize))
        model = seeded(conn, written, tmp_path)
        assert "CANARY" not in repr(written)
        left_out = [line for line in written.left_out if line.startswith("table ")]
        assert len(left_out) == 2
        assert len(model.tables) == len(facts.tables) - 2
        if anonymize:
            assert "readings" not in repr(written)
            return
        rows = {t.name: t.rows for t in facts.tables}
        for name in ("order_lines", "readings", "group_tags", "friends", "days", "orders"):
            assert count(conn, name) == rows[name]
        assert count(conn, "app.profiles") == rows["app.profiles"]
        assert model.tables["switches"].rows == 1


def test_two_hundred_tables(cluster: Cluster, empty_database: str, tmp_path: Path) -> None:
    """Each has its rows, and an operation for each kind of write."""
    with facts_of(cluster, ddl=MANY) as facts, connect(empty_database) as conn:
        model = seeded(conn, write_model(facts, WriteOptions(rows=0.5)), tmp_path)
        assert count(conn, "t200") == 9
    assert len(model.tables) == 200
    assert sum(name.startswith("insert") for name in model.operations) == 200


def test_inserts_into_a_dense_table_between_two_others(
    cluster: Cluster, empty_database: str, tmp_path: Path
) -> None:
    """Of 600 pairs 540 are there; inserts take each of the others once, then none is left."""
    with facts_of(cluster, ddl=MEMBERS) as facts, connect(empty_database) as conn:
        model = seeded(conn, write_model(facts, WriteOptions()), tmp_path)
        assert count(conn, "members") == 540
        operation = model.operations["insert_members"]
        (statement,) = operation.statements
        rows = {name: table.rows for name, table in model.tables.items()}
        makers = ValueMakers(model, 1, rows, datetime.now(UTC), {}, 5, "a run")
        insert = re.sub(r"\$\d+", "%s", statement.sql).encode()
        columns = (makers.parameter(operation.name, name) for name in statement.parameters)
        pairs = list(zip(*(Column.by(maker).keys(range(61)) for maker in columns), strict=True))
        for pair in pairs[:60]:
            conn.execute(insert, pair)
        assert count(conn, "members") == 600
        with pytest.raises(UniqueViolation):
            conn.execute(insert, pairs[60])


def test_tables_that_no_model_can_have(
    cluster: Cluster, empty_database: str, tmp_path: Path
) -> None:
    """A dot or a line break in a name, an exclusion constraint: the others are seeded."""
    ddl = """
        CREATE SCHEMA "my.schema";
        CREATE TABLE "my.schema"."my.table" (id int PRIMARY KEY);
        CREATE TABLE lines (id int PRIMARY KEY, "two
lines" text);
        CREATE TABLE stays (during tsrange, EXCLUDE USING gist (during WITH &&));
        CREATE TABLE plain (id int PRIMARY KEY);
        INSERT INTO stays SELECT tsrange(now()::timestamp, NULL);
        INSERT INTO plain SELECT generate_series(1, 50);
    """
    with facts_of(cluster, ddl=ddl) as facts, connect(empty_database) as conn:
        written = write_model(facts, WriteOptions())
        model = seeded(conn, written, tmp_path)
    assert set(model.tables) == {"plain"}
    assert "my.table" not in written.schema_sql
    assert set(written.left_out) == {
        "table my.schema.my.table, since a model can't have a dot in a name",
        "table lines: the name two\\u000alines has a character that can't be shown",
        "table stays: made-up rows would break its exclusion constraint",
    }
