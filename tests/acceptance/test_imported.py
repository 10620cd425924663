"""A load of an imported workload: refused on that database, and compared with its writes."""

from pathlib import Path

import pytest

from loadgen.errors import SourceError
from loadgen.source.imported import database_digests
from loadgen.source.postgres import connect
from loadgen.source.seed import seed
from loadgen.workload.read_model import read_model
from loadgen.workload.seed_request import SeedRequest
from tests.acceptance.conftest import Locust, latest
from tests.conftest import RunLoadgen

ITEMS = """
[tables.items]
rows = 10
columns.id = { generate = "sequence" }

[operations.add]
per_hour = 3600
insert = "items"
"""
OWN_OBJECTS = """
SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    + (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_locks
       WHERE locktype = 'advisory' AND pid <> pg_backend_pid()
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


def imported(folder: Path, *digests: str, profile: str = "") -> Path:
    """Write a model that was imported from a database with these digests."""
    folder.mkdir(exist_ok=True)
    quoted = ", ".join(f'"{digest}"' for digest in digests)
    section = f'[imported]\nread_at = "2026-11-29T13:00:00+00:00"\ndatabases = [{quoted}]\n'
    (folder / "workload.toml").write_text(profile + ITEMS + section)
    return folder


def refusal(dsn: str, folder: Path) -> str:
    """Return why the model can't be seeded in the database."""
    with connect(dsn) as conn, pytest.raises(SourceError) as refused:
        seed(conn, read_model(str(folder)), SeedRequest({"items": 10}, 1, {}))
    return str(refused.value)


def own_objects(dsn: str) -> int:
    """Return how many relations, publications and advisory locks the database has."""
    with connect(dsn) as conn:
        row = conn.execute(OWN_OBJECTS).fetchone()
    return int(row[0]) if row else -1


def test_the_database_is_refused_by_each_of_its_digests(
    each_empty_database: str, tmp_path: Path
) -> None:
    """The digest of address or server is enough; empty or not, nothing is written there."""
    with connect(each_empty_database) as conn:
        address, server = database_digests(conn)
    for digest in (address, server):
        folder = imported(tmp_path / "mywork", 64 * "0", digest)
        name = each_empty_database.rpartition("/")[2]
        assert refusal(each_empty_database, folder) == (
            f"workload mywork was imported from database '{name}', which no load may touch; "
            "nothing was written: point DATABASE_URL at an empty database of another name, or "
            "unset it to use the embedded Postgres"
        )
    assert own_objects(each_empty_database) == 0
    with connect(each_empty_database) as conn:
        conn.execute("CREATE TABLE customers (id int)")
    assert "was imported from" in refusal(each_empty_database, folder)
    assert own_objects(each_empty_database) == 1


def test_another_address_of_the_server_changes_nothing(
    each_empty_database: str, tmp_path: Path
) -> None:
    """Another name of the host changes the digest of the address, but not that of the server."""
    with connect(each_empty_database) as conn:
        digests = database_digests(conn)
    by_name = each_empty_database.replace("127.0.0.1", "localhost")
    assert by_name != each_empty_database
    assert "was imported from" in refusal(by_name, imported(tmp_path / "mywork", *digests))
    with connect(by_name) as conn:
        other = database_digests(conn)
    assert (other[0] == digests[0], other[1] == digests[1]) == (False, True)


def test_a_role_that_may_not_read_the_identity_has_the_address(empty_database: str) -> None:
    """Such a role gets the address alone, and an open transaction survives the refused read."""
    with connect(empty_database) as conn:
        address, _ = database_digests(conn)
        conn.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        conn.execute("CREATE ROLE importing_reader")
        try:
            conn.execute("SET ROLE importing_reader")
            with conn.transaction():
                assert database_digests(conn) == (address,)
                conn.execute("SELECT 1")
        finally:
            conn.execute("RESET ROLE")
            conn.execute("DROP ROLE importing_reader")


def test_every_command_refuses_it_before_it_writes(
    empty_database: str, project: Path, locust: Locust, run_loadgen: RunLoadgen
) -> None:
    """`seed`, `workload check` and `locust` exit with 2 and one line; another database is fine."""
    with connect(empty_database) as conn:
        folder = imported(project / "mywork", *database_digests(conn))
    settings = {"DATABASE_URL": empty_database, "WORKLOAD": str(folder)}
    for command in (("seed",), ("workload", "check", str(folder))):
        done = run_loadgen(*command, env=settings)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert "was imported from database" in line
    load = locust(empty_database, "-t", "2s", env=settings)
    _, errors = load.communicate(timeout=60)
    assert load.returncode == 2
    assert [line for line in errors.splitlines() if "was imported from database" in line]
    assert own_objects(empty_database) == 0
    imported(folder, 64 * "0")
    assert run_loadgen("seed", env=settings).returncode == 0


def test_a_seeded_source_of_an_import_is_refused_by_the_load(
    empty_database: str, project: Path, locust: Locust, run_loadgen: RunLoadgen
) -> None:
    """The load refuses a seeded source if its workload was imported from that database."""
    folder = imported(project / "mywork", 64 * "0")
    settings = {"DATABASE_URL": empty_database, "WORKLOAD": str(folder)}
    assert run_loadgen("seed", env=settings).returncode == 0
    with connect(empty_database) as conn:
        imported(folder, *database_digests(conn))
    load = locust(empty_database, "-t", "2s", env=settings)
    _, errors = load.communicate(timeout=60)
    assert load.returncode == 2
    assert "was imported from database" in errors


def test_a_run_is_compared_with_the_imported_writes(
    empty_database: str, project: Path, locust: Locust, run_loadgen: RunLoadgen
) -> None:
    """The run is in the profile's first part; run.json and report compare it with the import."""
    profile = 'profile = { every = "1h", levels = [3, 1] }\n'
    folder = imported(project / "mywork", 64 * "0", profile=profile)
    with (folder / "workload.toml").open("a") as toml:
        toml.write(
            "rate_scale = 10\n[imported.tables]\n"
            "items = { rows = 10, bytes = 8192, inserts = 3600, updates = 0, deletes = 0 }\n"
        )
    settings = {"DATABASE_URL": empty_database, "WORKLOAD": str(folder)}
    assert run_loadgen("seed", env=settings).returncode == 0
    options = ("-t", "4s", "--add-per-hour", "36000", "--processes", "2")
    load = locust(empty_database, *options, env=settings)
    _, errors = load.communicate(timeout=60)
    assert load.returncode == 0, errors
    run = latest(project)
    rows = run["totals"]["add"]["committed"]
    assert rows == pytest.approx(4 * 10 * 1.5, abs=1)
    assert run["profile"] == run["settings"]["profile"] == "workload"
    assert run["plan"]["own_profile"] == {"every": 3600.0, "levels": [3.0, 1.0]}
    assert run["imported"]["tables"] == {"items": {"rows": rows, "per_hour": 36_000.0}}
    assert run["imported"]["level"] == pytest.approx(1.5)
    report = run_loadgen("report", env=settings)
    line = "modelled from statistics of 2026-11-29; writes by table within"
    assert line in " ".join(report.stdout.split())
    assert "except" not in report.stdout.partition(line)[2].partition("\n")[0]
