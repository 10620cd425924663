"""Workloads on a real Postgres: their DDL, statements and checks."""

from pathlib import Path

import pytest

from loadgen.source.postgres import connect
from loadgen.workload.read_model import built_in_models, read_model


@pytest.mark.parametrize("name", built_in_models())
def test_a_built_in_workload_is_sql_that_postgres_takes(name: str, empty_database: str) -> None:
    """Its tables are made, its statements prepared, and its checks find nothing."""
    model = read_model(name)
    with connect(empty_database) as connection:
        connection.execute(model.schema_sql.encode())
        for operation in model.operations.values():
            for i, statement in enumerate(operation.statements):
                connection.execute(f"PREPARE {operation.name}_{i} AS {statement.sql}".encode())
            if operation.recent:
                assert connection.execute(operation.recent.encode()).fetchone() == (0,)
        for check in model.checks:
            assert connection.execute(check.violations.encode()).fetchone() == (0,), check.name
        for table in model.tables.values():
            columns = {
                row[0]
                for row in connection.execute(
                    "SELECT column_name FROM information_schema.columns WHERE table_name = %s",
                    [table.relation],
                )
            }
            assert set(table.columns) <= columns


SCHEMA = """
CREATE TYPE mood AS ENUM ('a', 'b');
CREATE TABLE "Order" (
    "Id" uuid PRIMARY KEY, "select" mood NOT NULL, tags text[], parent uuid REFERENCES "Order",
    n numeric, total numeric GENERATED ALWAYS AS (n * 2) STORED);
CREATE TABLE parts (day date, code text, qty int, PRIMARY KEY (day, code)) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts DEFAULT;
CREATE TABLE counted (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at date DEFAULT now());
"""
WORKLOAD = """
[tables.Order]
rows = 10
columns.Id = { generate = "uuid" }
columns.select = { choose = ["a", "b"] }
columns.tags = { array = { text = [1, 4] } }
columns.parent = { row = "Order", null = 0.2 }
columns.n = { decimal = [0, 9], scale = 3 }
[tables.parts]
columns.day = { time = "even" }
columns.code = { generate = "sequence", pattern = "X{:05}" }
columns.qty = { number = [1, 9] }
[tables.counted]
columns.id = { generate = "sequence" }
[operations.order]
per_hour = 1
insert = "Order"
[operations.part]
per_hour = 1
insert = "parts"
[operations.count]
per_hour = 1
insert = "counted"
[operations.remove]
per_hour = 1
delete = "Order"
row = { inserted = "order" }
[operations.rename]
per_hour = 1
update = "Order"
set.select = { choose = ["a", "b"] }
set.tags = { default = true }
where = "n > 1 OR n IS NULL"
"""


def test_declared_writes_are_sql_that_postgres_takes(tmp_path: Path, empty_database: str) -> None:
    """Mixed-case and reserved names, an enum, an array, a partitioned table, an identity."""
    (tmp_path / "schema.sql").write_text(SCHEMA, encoding="utf-8")
    (tmp_path / "workload.toml").write_text(WORKLOAD, encoding="utf-8")
    model = read_model(str(tmp_path))
    with connect(empty_database) as connection:
        connection.execute(SCHEMA.encode())
        for name, operation in model.operations.items():
            for statement in operation.statements:
                connection.execute(f'PREPARE "{name}" AS {statement.sql}'.encode())
        connection.execute("EXECUTE count(7)")
        assert connection.execute("SELECT id FROM counted").fetchone() == (7,)
