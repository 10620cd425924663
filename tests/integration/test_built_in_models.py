"""The built-in workloads on a real Postgres: their DDL, statements and checks."""

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
