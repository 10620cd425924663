"""`loadgen db clean`, and grants in a workload of several schemas."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from loadgen.errors import SourceError
from loadgen.source.clean import clean
from loadgen.source.examine import examine
from loadgen.source.grant import Grant, create_grant, list_grants, revoke_grant
from loadgen.source.model_schema import existing_tables
from loadgen.source.postgres import connect
from loadgen.source.schema import migrate, published_tables, require_ownership
from tests.conftest import RunLoadgen
from tests.granting import as_user, ignore
from tests.workload_cases import made_up_model


@pytest.fixture
def migrated(each_empty_database: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to a database with the made-up workload's tables."""
    with connect(each_empty_database) as conn:
        migrate(conn, made_up_model())
        yield conn


def grant_of(conn: psycopg.Connection[Any], publication: str = "loadgen") -> Grant:
    """Return a tool's grant in a database."""
    return Grant("cleaner", conn.info.dbname, "cleaner_slot", publication)


def slots(conn: psycopg.Connection[Any]) -> list[Any]:
    """Return the slots of the database."""
    query = (
        "SELECT slot_name FROM pg_replication_slots WHERE database = current_database() ORDER BY 1"
    )
    return [name for (name,) in conn.execute(query)]


def test_a_tool_reads_every_schema(
    migrated: psycopg.Connection[Any], each_empty_database: str
) -> None:
    """It has USAGE of each schema and SELECT on each table, and its publication has all tables."""
    grant = grant_of(migrated, "theirs")
    password = create_grant(migrated, grant, ignore)
    assert password is not None
    try:
        assert create_grant(migrated, grant, pytest.fail) is None
        with connect(as_user(each_empty_database, grant.user, password)) as tool:
            assert tool.execute('SELECT count(*) FROM sales."Order"').fetchone() == (0,)
        facts = examine(migrated, lambda: datetime.now(UTC))
        tables = {publication.name: publication for publication in facts.publications}
        assert set(tables["theirs"].tables) == set(published_tables(migrated))
        assert set(facts.tables) == set(published_tables(migrated)) - {"hard_cases"}
        assert tables["loadgen"].partial == tables["theirs"].split == []
        assert facts.unidentified == ("audit",)
    finally:
        assert revoke_grant(migrated, "cleaner", ignore)


def test_a_publication_of_partitions_is_noticed(migrated: psycopg.Connection[Any]) -> None:
    """Tools would see each partition as a table."""
    migrated.execute("CREATE PUBLICATION split FOR TABLE measures, customers")
    facts = examine(migrated, lambda: datetime.now(UTC))
    (split,) = [publication for publication in facts.publications if publication.name == "split"]
    assert (split.tables, split.split) == (["customers", "measures"], ["measures"])


@pytest.mark.parametrize("tables", [False, True])
def test_all_of_ours_goes(migrated: psycopg.Connection[Any], tables: bool) -> None:
    """Users, slots, publication and tables of ours; the workload's only if that is wanted."""
    migrated.execute("CREATE TABLE mine (id int)")
    create_grant(migrated, grant_of(migrated), ignore)
    migrated.execute("SELECT pg_create_logical_replication_slot('of_tools_toml', 'pgoutput')")
    migrated.execute("SELECT pg_create_logical_replication_slot('not_ours', 'pgoutput')")
    shown: list[str] = []
    clean(migrated, ["of_tools_toml", "elsewhere"], shown.append, tables=tables)
    assert slots(migrated) == ["not_ours"]
    assert "DROP PUBLICATION" in " ".join(shown)
    assert [grant for grant in list_grants(migrated) if grant.tool == "cleaner"] == []
    left = existing_tables(migrated, ours=())
    assert "mine" in left
    assert ("sales.Order" in left) != tables
    assert not {"loadgen_playground", "loadgen_markers", "hard_cases"} & left.keys()
    assert migrated.execute("SELECT count(*) FROM pg_publication").fetchone() == (0,)
    with pytest.raises(SourceError, match="not the playground's and not empty"):
        require_ownership(migrated)
    with pytest.raises(SourceError, match="there is no playground"):
        clean(migrated, [], ignore)


@pytest.mark.parametrize("lock", ["load", "watch", "seed"])
def test_nothing_goes_while_somebody_works(
    migrated: psycopg.Connection[Any], each_empty_database: str, lock: str
) -> None:
    """A load, a watch, a seeding."""
    with connect(each_empty_database) as other:
        other.execute(f"SELECT pg_advisory_lock(hashtext('loadgen {lock}'))".encode())
        with pytest.raises(SourceError, match="stop it first; nothing was changed"):
            clean(migrated, [], pytest.fail)
    assert "loadgen_playground" in existing_tables(migrated, ours=())


def test_the_command_asks_first(
    migrated: psycopg.Connection[Any], each_empty_database: str, run_loadgen: RunLoadgen
) -> None:
    """Without a terminal only with --yes; it shows each statement."""
    env = {"DATABASE_URL": each_empty_database}
    refused = run_loadgen("db", "clean", env=env)
    assert refused.returncode == 2
    assert "add --yes" in refused.stderr
    done = run_loadgen("db", "clean", "--tables", "--yes", env=env)
    assert done.returncode == 0, done.stderr
    assert 'DROP PUBLICATION IF EXISTS "loadgen";' in done.stdout
    assert existing_tables(migrated, ours=()) == {}


def test_another_workload_has_another_database(run_loadgen: RunLoadgen) -> None:
    """Of the embedded server, named after it; the shop's stays."""
    for workload in ("tpcb", "shop"):
        env = {"WORKLOAD": workload, "WORKLOAD_SCALE": "0.01"}
        done = run_loadgen("seed", env=env)
        assert done.returncode == 0, done.stderr
        assert run_loadgen("validate", env=env).returncode == 0
        dsn = run_loadgen("db", "dsn", env=env).stdout.strip()
        assert f"/{'playground' if workload == 'shop' else workload}?" in dsn
        with connect(dsn) as conn:
            assert ("users" in existing_tables(conn)) == (workload == "shop")
