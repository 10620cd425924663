"""Whether a database may carry the playground, and the results of migration."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from loadgen.errors import SourceError
from loadgen.source import schema
from loadgen.source.bulk_indexes import build_indexes, drop_bulk_indexes
from loadgen.source.embedded import server
from loadgen.source.postgres import connect
from loadgen.source.schema import (
    BaselineParameters,
    SeedState,
    check_source,
    is_playground,
    migrate,
    require_ownership,
    require_playground,
    require_version,
    seed_state,
    source_problems,
)
from loadgen.workload.read_model import read_model
from tests.conftest import RunLoadgen

INDEXES = {
    "orders_order_number_key",
    "events_event_id_key",
    "users_updated_at_idx",
    "orders_updated_at_idx",
    "events_updated_at_idx",
}
SHOP = read_model("shop")
PUBLISHED = {"users", "orders", "events", "hard_cases", "loadgen_markers"}
FOREIGN_KEYS = {"orders_user_id_fkey", "events_user_id_fkey"}


@pytest.fixture
def empty(each_empty_database: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to an empty database, on each server in turn."""
    with connect(each_empty_database) as conn:
        yield conn


@pytest.fixture
def migrated(each_database: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to a migrated database, on each server in turn."""
    with connect(each_database) as conn:
        yield conn


def column(conn: psycopg.Connection[Any], query: str) -> set[Any]:
    """Return the one column of `query`."""
    return {row[0] for row in conn.execute(query.encode())}


def relations(conn: psycopg.Connection[Any]) -> set[Any]:
    """Return the names of all relations in public."""
    return column(conn, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")


def constraints(conn: psycopg.Connection[Any]) -> set[Any]:
    """Return the names of all foreign keys."""
    return column(conn, "SELECT conname FROM pg_constraint WHERE contype = 'f'")


def published(conn: psycopg.Connection[Any]) -> set[Any]:
    """Return the tables of the publication."""
    return column(conn, "SELECT tablename FROM pg_publication_tables WHERE pubname = 'loadgen'")


def add_rows(conn: psycopg.Connection[Any]) -> None:
    """Add a user with an order and an event."""
    conn.execute("INSERT INTO users (email, name, plan, country) VALUES ('e', 'n', 'p', 'c')")
    conn.execute(
        "INSERT INTO orders (order_number, user_id, status, quantity, amount, currency) "
        "VALUES (gen_random_uuid(), 1, 'pending', 1, 9.99, 'EUR')"
    )
    conn.execute(
        "INSERT INTO events (event_id, user_id, event_type, properties) "
        "VALUES (gen_random_uuid(), 1, 'login', '{}')"
    )


def test_migration_makes_everything(empty: psycopg.Connection[Any]) -> None:
    """Tables, indexes, foreign keys and the publication, from an empty database."""
    assert not is_playground(empty)
    migrate(empty, SHOP)
    assert is_playground(empty)
    assert relations(empty) >= {"users", "orders", "events", "loadgen_playground"} | INDEXES
    assert constraints(empty) == FOREIGN_KEYS
    assert published(empty) == PUBLISHED


def test_migration_again_changes_nothing(migrated: psycopg.Connection[Any]) -> None:
    """Rows and objects stay, down to their ids."""
    add_rows(migrated)
    query = "SELECT oid FROM pg_class UNION ALL SELECT oid FROM pg_constraint"
    before = column(migrated, query)
    migrate(migrated, SHOP)
    assert column(migrated, query) == before
    assert column(migrated, "SELECT count(*) FROM orders") == {1}


def test_migration_again_does_not_wait_for_writers(each_database: str) -> None:
    """If nothing is missing, no table is locked, so that a running load is not held up."""
    with (
        connect(each_database, autocommit=False) as writer,
        connect(each_database) as other,
    ):
        add_rows(writer)
        other.execute("SET lock_timeout = '100ms'")
        migrate(other, SHOP)


def test_migrations_at_once_do_not_race(each_empty_database: str) -> None:
    """Several processes may start on an empty database together."""
    failures: list[BaseException] = []

    def one() -> None:
        try:
            with connect(each_empty_database) as conn:
                migrate(conn, SHOP)
        except BaseException as exc:  # noqa: BLE001 - shown by the assertion below
            failures.append(exc)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with connect(each_empty_database) as conn:
        assert is_playground(conn)
        assert column(conn, "SELECT count(*) FROM loadgen_playground") == {1}


def test_migration_restores_what_is_missing(migrated: psycopg.Connection[Any]) -> None:
    """An index, a foreign key or a published table that went missing comes back."""
    migrated.execute("DROP INDEX orders_updated_at_idx")
    migrated.execute("ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey")
    migrated.execute("ALTER PUBLICATION loadgen DROP TABLE events")
    migrate(migrated, SHOP)
    assert relations(migrated) >= INDEXES
    assert constraints(migrated) == FOREIGN_KEYS
    assert published(migrated) == PUBLISHED


def test_a_publication_of_all_tables_will_do(empty: psycopg.Connection[Any]) -> None:
    """A publication of our name that carries more is left as it is."""
    empty.execute("CREATE PUBLICATION loadgen FOR ALL TABLES")
    migrate(empty, SHOP)
    assert published(empty) >= PUBLISHED


def test_migration_is_all_or_nothing(empty: psycopg.Connection[Any]) -> None:
    """A migration that is cut off leaves an empty database, so that the next one can run."""
    empty.execute(
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE 'no publications here'; END $$"
    )
    empty.execute(
        "CREATE EVENT TRIGGER refuse ON ddl_command_start "
        "WHEN TAG IN ('CREATE PUBLICATION') EXECUTE FUNCTION refuse()"
    )
    with pytest.raises(SourceError, match="making the schema: no publications here"):
        migrate(empty, SHOP)
    assert relations(empty) == set()
    empty.execute("DROP EVENT TRIGGER refuse")
    migrate(empty, SHOP)


def test_updates_raise_version_and_updated_at(migrated: psycopg.Connection[Any]) -> None:
    """The trigger of users and orders counts updates; events have no version to count."""
    add_rows(migrated)
    for table in ("users", "orders", "events"):
        touch = sql.SQL("UPDATE {} SET id = id RETURNING updated_at > created_at")
        assert migrated.execute(touch.format(sql.Identifier(table))).fetchone() == (True,)
    assert column(migrated, "SELECT version FROM users UNION SELECT version FROM orders") == {1}


def test_bulk_indexes_go_and_come_back(migrated: psycopg.Connection[Any]) -> None:
    """Dropped before a big COPY and built after it, each as often as one likes."""
    add_rows(migrated)
    for _ in range(2):
        drop_bulk_indexes(migrated)
        assert not relations(migrated) & INDEXES
        assert constraints(migrated) == set()
    for _ in range(2):
        build_indexes(migrated)
        assert relations(migrated) >= INDEXES
        assert constraints(migrated) == FOREIGN_KEYS


def test_migration_can_leave_indexes_to_the_baseline(migrated: psycopg.Connection[Any]) -> None:
    """A baseline continues without them, and need not have them built first."""
    drop_bulk_indexes(migrated)
    migrate(migrated, SHOP, indexes=False)
    assert not relations(migrated) & INDEXES
    assert constraints(migrated) == set()


def test_rows_that_break_a_key_are_named(migrated: psycopg.Connection[Any]) -> None:
    """Building a foreign key over an orphan fails in one line that names the constraint."""
    drop_bulk_indexes(migrated)
    add_rows(migrated)
    migrated.execute("DELETE FROM users")
    with pytest.raises(SourceError, match=r"building the indexes: .*user_id_fkey"):
        build_indexes(migrated)


def test_a_search_path_cannot_mislead(each_empty_database: str) -> None:
    """Tables go to public and are looked for there, whatever the connection's search_path is."""
    with psycopg.connect(each_empty_database, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA elsewhere")
        conn.execute("SET search_path = elsewhere")
        migrate(conn, SHOP)
        drop_bulk_indexes(conn)
        build_indexes(conn)
        assert column(
            conn,
            "SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE relname = ANY ('{users,orders,events,users_updated_at_idx}')",
        ) == {"public"}


@pytest.mark.parametrize(
    ("foreign", "named"),
    [
        ("CREATE TABLE users (id int)", "public.users"),
        ("CREATE TABLE accounts (id int)", "public.accounts"),
        ('CREATE SCHEMA shop; CREATE TABLE shop."Order s" ()', 'shop."Order s"'),
        ("CREATE VIEW sales AS SELECT 1 AS n", "public.sales"),
        ("CREATE SEQUENCE numbers", "public.numbers"),
    ],
)
def test_a_database_of_somebody_else_is_refused(
    empty: psycopg.Connection[Any], foreign: str, named: str
) -> None:
    """The error names the objects found and a way out, and nothing is written."""
    empty.execute(foreign.encode())
    before = column(empty, "SELECT oid FROM pg_class")
    for refusing in (require_ownership, lambda conn: migrate(conn, SHOP)):
        with pytest.raises(SourceError, match="not the playground's and not empty") as caught:
            refusing(empty)
        assert named in str(caught.value)
        assert "CREATE DATABASE" in str(caught.value)
    assert column(empty, "SELECT oid FROM pg_class") == before


def test_many_foreign_tables_are_summed_up(empty: psycopg.Connection[Any]) -> None:
    """One line stays one line: five names and a number."""
    for n in range(9):
        empty.execute(sql.SQL("CREATE TABLE {} ()").format(sql.Identifier(f"t{n}")))
    with pytest.raises(SourceError, match=r"public\.t4 and 4 more"):
        require_ownership(empty)


def test_an_empty_database_may_have_extensions(empty: psycopg.Connection[Any]) -> None:
    """Hosted databases come with extensions; their views are not user tables."""
    empty.execute("CREATE EXTENSION pg_stat_statements")
    require_ownership(empty)


def test_tables_of_our_names_with_other_columns_are_refused(
    migrated: psycopg.Connection[Any],
) -> None:
    """The mark of ownership does not make another application's table ours."""
    migrated.execute("ALTER TABLE hard_cases DROP COLUMN wide")
    with pytest.raises(SourceError, match=r"public\.hard_cases .*lacks wide"):
        migrate(migrated, SHOP)


def test_another_schema_version_is_refused(migrated: psycopg.Connection[Any]) -> None:
    """A database of a newer program is not changed by an older one."""
    migrated.execute("UPDATE loadgen_playground SET schema_version = 99")
    with pytest.raises(SourceError, match="version 99, this program works with 2"):
        migrate(migrated, SHOP)


@pytest.fixture
def older(database: str) -> str:
    """Return the DSN of a database as version 1 left it: markers were rows of events."""
    with connect(database) as conn:
        conn.execute("DROP TABLE loadgen_markers")
        conn.execute(
            "ALTER TABLE loadgen_playground DROP COLUMN workload, DROP COLUMN digest, "
            "DROP COLUMN tables, DROP COLUMN indexes"
        )
        conn.execute("UPDATE loadgen_playground SET schema_version = 1, run_id = 'run-1'")
        conn.execute(
            "INSERT INTO events (event_id, event_type, properties) "
            "VALUES (gen_random_uuid(), 'loadgen_marker', '{}')"
        )
    return database


def test_an_older_database_is_left_as_it_is(older: str) -> None:
    """Its tables and publication stay, and doctor reads the same line as all others."""
    with connect(older) as conn:
        before = published(conn), relations(conn)
        (problem,) = source_problems(conn)
        assert "version 1, this program works with 2: point DATABASE_URL at" in problem
        for refusing in (lambda conn: migrate(conn, SHOP), require_playground, require_version):
            with pytest.raises(SourceError) as caught:
                refusing(conn)
            assert str(caught.value) == problem
        assert (published(conn), relations(conn)) == before


@pytest.mark.parametrize(
    "command", ["seed", "validate", "verify", "watch --markers", "db grant copy", "doctor"]
)
def test_an_older_database_is_explained(
    older: str, command: str, project: Path, run_loadgen: RunLoadgen
) -> None:
    """In one line with the remedy, whatever is run on it first."""
    (project / "tools.toml").write_text(
        f'[tools.copy]\nkind = "postgres"\ndestination = "postgres"\nurl = "{older}"\nslot = "s"\n'
    )
    done = run_loadgen(*command.split(), env={"DATABASE_URL": older})
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "in version 1" in line]
    assert len(lines) == 1, done.stdout + done.stderr
    assert "run `loadgen seed`, or use the program that made it" in lines[0]
    assert done.returncode == (1 if command == "doctor" else 2)


def test_seed_state_is_what_was_stored(migrated: psycopg.Connection[Any]) -> None:
    """None until a baseline was begun; then its parameters, and its progress."""
    assert seed_state(migrated) is None
    end = datetime(2026, 1, 1, tzinfo=UTC)
    parameters = BaselineParameters(1, end, {"users": 5}, {"event_bytes": 300})
    store = "UPDATE loadgen_playground SET seed = %s"
    migrated.execute(store, (Jsonb(parameters.dump()),))
    assert seed_state(migrated) == SeedState(parameters, {}, complete=False)
    progress = """'{"rows": {"users": 3}, "complete": true}'"""
    migrated.execute(f"UPDATE loadgen_playground SET progress = {progress}".encode())
    assert seed_state(migrated) == SeedState(parameters, {"users": 3}, complete=True)


def test_an_empty_database_has_no_seed_state(empty: psycopg.Connection[Any]) -> None:
    """Asking makes nothing and fails nowhere."""
    assert seed_state(empty) is None


def test_a_good_source_passes(empty: psycopg.Connection[Any]) -> None:
    """The embedded server is fit to be the source."""
    check_source(empty)


def test_read_only_database_is_refused(each_empty_database: str) -> None:
    """default_transaction_read_only is found before the first write, however it was set."""
    with connect(each_empty_database) as conn:
        name = sql.Identifier(conn.info.dbname)
        conn.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name)
        )
    with connect(each_empty_database) as conn:
        with pytest.raises(SourceError, match=r"read-only .*default_transaction_read_only = off"):
            check_source(conn)
        with pytest.raises(SourceError, match=r"making the schema: .*read-only"):
            migrate(conn, SHOP)


@pytest.fixture
def limited(each_empty_database: str) -> Iterator[str]:
    """Yield the DSN of an empty database for a role without any rights there."""
    with connect(each_empty_database) as admin:
        admin.execute("REVOKE ALL ON SCHEMA public FROM public")
        admin.execute("CREATE ROLE limited LOGIN PASSWORD 'pw'")
    try:
        yield f"postgresql://limited:pw@{each_empty_database.rpartition('@')[2]}"
    finally:
        with connect(each_empty_database) as admin:
            admin.execute("DROP OWNED BY limited; DROP ROLE limited")


def test_missing_rights_are_named_one_after_the_other(
    limited: str, each_empty_database: str
) -> None:
    """CREATE on schema public, then on the database; granting as the errors advise is enough."""
    with connect(limited) as conn, connect(each_empty_database) as admin:
        with pytest.raises(SourceError, match="GRANT CREATE ON SCHEMA public TO") as caught:
            check_source(conn)
        assert "'limited' may not create tables" in str(caught.value)
        admin.execute("GRANT USAGE, CREATE ON SCHEMA public TO limited")
        with pytest.raises(SourceError, match="GRANT CREATE ON DATABASE"):
            check_source(conn)
        name = sql.Identifier(conn.info.dbname)
        admin.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO limited").format(name))
        check_source(conn)
        migrate(conn, SHOP)
        assert is_playground(conn)


def test_no_schema_public_is_said(empty: psycopg.Connection[Any]) -> None:
    """A user may have dropped it."""
    empty.execute("DROP SCHEMA public")
    with pytest.raises(SourceError, match="CREATE SCHEMA public"):
        check_source(empty)


def test_server_without_logical_wal_is_refused(project: Path, free_port: int) -> None:
    """The message holds the command that changes it."""
    info = server.start(project, port=free_port, options={"wal_level": "replica"})
    with (
        connect(info.dsn) as conn,
        pytest.raises(SourceError, match=r"wal_level is 'replica'.* ALTER SYSTEM SET wal_level"),
    ):
        check_source(conn)


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ({"version": 130022, "version_text": "13.22"}, "version 13.22"),
        ({"version": 190001, "version_text": "19.1"}, "works with 14 to 18"),
        ({"in_recovery": True}, "standby"),
    ],
)
def test_servers_that_are_not_at_hand_are_refused(
    empty: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    fact: dict[str, Any],
    said: str,
) -> None:
    """Unsupported versions and standbys are refused; their facts are simulated."""
    facts = schema._fitness(empty) | fact
    monkeypatch.setattr(schema, "_fitness", lambda _: facts)
    with pytest.raises(SourceError, match=said):
        check_source(empty)
