"""The local tools copy every published table: any schema, type, key and name."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadgen.tools.tools_file import parse_tools
from tests.any_source import CHANGES, TABLES, make_source, run_sql
from tests.conftest import Cluster, RunLoadgen
from tests.polling import wait_for

TOOLS = """
[tools.cdc]
kind = "postgres"
destination = "postgres"
runner = "replication"
slot = "any_slot"

[tools.cursor]
kind = "dlt"
destination = "duckdb"
schema = "playground"
runner = "dlt"
interval_seconds = 0.5
cursor_columns = ["updated_at", "updatedAt"]
"""
_LATER = """
UPDATE accounts SET feeling = 'new' WHERE account_no = md5('2')::uuid;
CREATE SCHEMA later;
CREATE TYPE later.kind AS ENUM ('a');
CREATE TABLE later.things (id text PRIMARY KEY, kind later.kind);
INSERT INTO later.things VALUES ('x', 'a');
ALTER PUBLICATION loadgen ADD TABLE later.things;
"""


class Project:
    """A project with both local tools, and its source."""

    def __init__(self, folder: Path, dsn: str, run_loadgen: RunLoadgen) -> None:
        self.folder = folder
        self.dsn = dsn
        self._run_loadgen = run_loadgen

    def run(self, *arguments: str) -> tuple[int, str]:
        """Return the exit code and output of a command."""
        done = self._run_loadgen(*arguments, env={"DATABASE_URL": self.dsn}, cwd=self.folder)
        return done.returncode, done.stdout + done.stderr

    def verified(self, tool: str) -> Any:
        """Return the outcome of verifying a tool's copy."""
        done = self._run_loadgen(
            *("verify", "--json", "--lag", "0.1", "--tool", tool),
            env={"DATABASE_URL": self.dsn},
            cwd=self.folder,
        )
        return json.loads(done.stdout)["tools"][tool]


@pytest.fixture
def source(cluster: Cluster) -> Iterator[str]:
    """Yield the DSN of a source with tables of every kind."""
    with cluster.database("migrated_template") as dsn:
        make_source(dsn)
        yield dsn


@pytest.fixture
def project_of(source: str, project: Path, run_loadgen: RunLoadgen) -> Iterator[Project]:
    """Yield a project whose tools are removed in the end."""
    (project / "tools.toml").write_text(TOOLS, encoding="utf-8")
    made = Project(project, source, run_loadgen)
    yield made
    code, output = made.run("tools", "remove")
    assert code == 0, output


def totals(outcome: Any) -> dict[tuple[str, str], int]:
    """Return the number of findings by table and kind."""
    counts: dict[tuple[str, str], int] = {}
    for finding in outcome["findings"]:
        place = (finding["table"], finding["kind"])
        counts[place] = counts.get(place, 0) + 1
    return counts


def wait_for_right(project: Project, tool: str) -> None:
    """Wait until a tool's copy is right."""
    wait_for(lambda: project.verified(tool)["verdict"] == "right", f"{tool} to be right")


def test_every_table_is_copied_and_changes_arrive(project_of: Project) -> None:
    """Replication is right; dlt keeps deleted rows of the tables that it reads by a cursor."""
    code, output = project_of.run("tools", "start", "--wait", "120")
    assert code == 0, output
    assert "without a replica identity, so that Postgres refuses their updates" in output
    assert "deletes: notes. If the load has any, run ALTER TABLE" in output
    for tool in ("cdc", "cursor"):
        wait_for_right(project_of, tool)
        outcome = project_of.verified(tool)
        assert outcome["problems"] == []
        assert set(outcome["tables"]) == TABLES
        assert outcome["tables"]["sales.Readings"]["rows"] == 20
    run_sql(project_of.dsn, CHANGES)
    wait_for_right(project_of, "cdc")
    expected = {  # only of a key from a sequence it is known that the source had it
        ("accounts", "extra"): 1,
        ("sales.Readings", "extra"): 1,
        ("sales.orderItems", "not_deleted"): 1,
    }
    wait_for(lambda: totals(project_of.verified("cursor")) == expected, "the cursor's losses")
    _, text = project_of.run("tools", "status", "--json")
    status = json.loads(text)
    assert set(status["cdc"]["rows"]) == TABLES
    assert status["cursor"]["rows"]["notes"] == 21
    code, output = project_of.run("tools", "probe", "cdc", "cursor")
    assert code == 0, output
    cdc, cursor = parse_tools(tomllib.loads(output), "printed")
    written = parse_tools(tomllib.loads(TOOLS), "written")
    assert [cdc.convention, cursor.convention] == [tool.convention for tool in written]
    assert cursor.cursor_columns == ("updated_at", "updatedAt")
    assert "is missing" not in output


def test_a_table_that_is_published_later_is_copied_after_a_restart(project_of: Project) -> None:
    """With a schema and a type that were not there; an enum's new label arrives too."""
    assert project_of.run("tools", "start", "cdc", "--wait", "120")[0] == 0
    assert project_of.run("tools", "stop", "cdc")[0] == 0
    run_sql(project_of.dsn, "ALTER TYPE sales.mood ADD VALUE 'new'", _LATER)
    assert project_of.run("tools", "start", "cdc", "--wait", "120")[0] == 0
    wait_for_right(project_of, "cdc")
    assert project_of.verified("cdc")["tables"]["later.things"]["rows"] == 1


def test_two_tables_of_one_name_are_refused_where_all_schemas_share_one(
    project_of: Project,
) -> None:
    """A copy that has one already is not compared with the wrong table; others are."""
    assert project_of.run("tools", "start", "cursor", "--wait", "120")[0] == 0
    run_sql(
        project_of.dsn,
        "CREATE TABLE order_items (id integer PRIMARY KEY)",
        "ALTER PUBLICATION loadgen ADD TABLE order_items",
    )
    refusal = (
        "order_items and sales.orderItems have one name at the copy, playground.order_items: "
        "take all but one out of the publication `loadgen`, or rename them"
    )
    outcome = project_of.verified("cursor")
    assert outcome["problems"] == [f"not compared: {refusal}"]
    assert set(outcome["tables"]) == TABLES - {"sales.orderItems"}
    assert project_of.run("tools", "stop", "cursor")[0] == 0
    code, output = project_of.run("tools", "start")
    assert code == 2
    assert f"tool cursor: {refusal}" in output
    assert "cdc runs" in output
