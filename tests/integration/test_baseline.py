"""The baseline in a real database: exact, consistent, reproducible, never over something else."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from loadgen.errors import PlaygroundError, SettingsError, SourceError
from loadgen.source.postgres import connect
from loadgen.source.schema import seed_state
from loadgen.source.seed import SeedProgress, SeedResult, seed
from loadgen.workload.read_model import read_model
from loadgen.workload.seed_request import SeedRequest
from tests.conftest import RunLoadgen, clean_environment

END = datetime(2026, 11, 20, tzinfo=UTC)
EARLIER = datetime(2026, 11, 1, tzinfo=UTC)
SHOP = read_model("shop")
TABLES = ("users", "orders", "events")


def asked_for(
    *counts: int, seed: int = 1, event_bytes: int = 200, end: datetime | None = END
) -> SeedRequest:
    """Return a baseline of so many users, orders and events."""
    settings = {"event_bytes": event_bytes, "hot_users": None}
    return SeedRequest(dict(zip(TABLES, counts, strict=True)), seed, settings, end)


ASKED = asked_for(1000, 3000, 8000)


def sow(
    dsn: str, asked: SeedRequest = ASKED, report: Callable[[SeedProgress], None] | None = None
) -> SeedResult:
    """Seed the database at `dsn`."""
    with connect(dsn) as conn:
        return seed(conn, SHOP, asked, report or (lambda _: None))


def fingerprint(dsn: str) -> dict[str, tuple[Any, ...]]:
    """Return count and checksum over all columns of each table."""
    query = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {} t"
    with connect(dsn) as conn:
        return {
            table: conn.execute(sql.SQL(query).format(sql.Identifier(table))).fetchone() or ()
            for table in TABLES
        }


def one(dsn: str, query: str) -> Any:
    """Return the first column of the first row."""
    with connect(dsn) as conn:
        row = conn.execute(query).fetchone()
        return row and row[0]


@contextmanager
def refused(dsn: str, error: type[PlaygroundError], *words: str) -> Iterator[None]:
    """Demand an error of one line with all `words`, and a database that stays as it was."""
    before = fingerprint(dsn)
    with pytest.raises(error) as caught:
        yield
    assert "\n" not in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []
    assert fingerprint(dsn) == before


@pytest.fixture(scope="module")
def seeded(cluster: Any) -> Iterator[str]:
    """Yield the DSN of a database with the baseline, which tests only read."""
    with cluster.database("template1") as dsn:
        sow(dsn)
        yield dsn


def test_an_empty_database_is_filled_to_exactly_the_counts(each_empty_database: str) -> None:
    """Schema, rows, indexes, identities, statistics: all there, and noted as complete."""
    result = sow(each_empty_database)
    assert (result.found_rows, result.copied_rows) == (0, 12_000)
    counts = {table: found[0] for table, found in fingerprint(each_empty_database).items()}
    assert counts == {"users": 1000, "orders": 3000, "events": 8000}
    with connect(each_empty_database) as conn:
        state = seed_state(conn)
        assert state is not None
        assert state.complete
        assert state.copied == {"users": 1000, "orders": 3000, "events": 8000}
        for table, count in counts.items():
            query = sql.SQL(
                "SELECT min(id), max(id), (SELECT reltuples FROM pg_class "
                "WHERE oid = {}::regclass) FROM {}"
            ).format(table, sql.Identifier(table))
            assert conn.execute(query).fetchone() == (1, count, count)
        added = conn.execute(
            "INSERT INTO events (event_id, event_type, properties) "
            "VALUES (gen_random_uuid(), 'x', '{}') RETURNING id"
        ).fetchone()
        assert added == (8001,)
        names = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'"
        assert conn.execute(names).fetchone() == (12,)
        keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated"
        assert conn.execute(keys).fetchone() == (2,)


def test_the_server_reads_the_rows_as_they_are_meant(seeded: str) -> None:
    """Amounts, statuses, times and JSON arrive as values that SQL can compute with."""
    broken = """
        SELECT count(*) FROM orders o JOIN users u ON u.id = o.user_id
        WHERE o.created_at < u.created_at OR o.updated_at < o.created_at
           OR o.created_at >= u.deleted_at OR o.amount NOT BETWEEN 4 AND 2500
           OR o.quantity NOT BETWEEN 1 AND 8 OR o.deleted_at IS NOT NULL
           OR (o.version = 0) <> (o.status = 'pending')"""
    assert one(seeded, broken) == 0
    broken = """
        SELECT count(*) FROM events e JOIN users u ON u.id = e.user_id
        WHERE e.created_at < u.created_at OR e.created_at >= u.deleted_at
           OR e.updated_at <> e.created_at OR jsonb_typeof(e.properties) <> 'object'
           OR e.properties ->> 'session' IS NULL"""
    assert one(seeded, broken) == 0
    deleted = "SELECT count(*) FROM users WHERE deleted_at > created_at AND updated_at = deleted_at"
    assert one(seeded, deleted) == 20
    assert one(seeded, "SELECT count(DISTINCT properties ->> 'session') FROM events") == 8000
    assert one(seeded, "SELECT max(created_at) < '2026-11-20Z' FROM events") is True
    assert one(seeded, "SELECT min(created_at) = '2026-05-22Z' FROM users") is True


def test_one_seed_makes_the_same_rows_and_another_makes_others(
    seeded: str, each_empty_database: str
) -> None:
    """Checksums over all columns agree between databases, and between server versions."""
    sow(each_empty_database)
    assert fingerprint(each_empty_database) == fingerprint(seeded)


def test_another_seed_makes_other_rows(seeded: str, empty_database: str) -> None:
    """Counts are the same, nothing else is."""
    sow(empty_database, asked_for(1000, 3000, 8000, seed=2))
    ours, others = fingerprint(seeded), fingerprint(empty_database)
    for table in TABLES:
        assert ours[table][0] == others[table][0]
        assert ours[table][1] != others[table][1]


def test_rows_do_not_depend_on_what_is_copied_together(
    seeded: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transactions of one block make the rows of transactions of many."""
    monkeypatch.setattr("loadgen.source.seed.COPY_ROWS", 512)
    steps: list[SeedProgress] = []
    sow(database, report=steps.append)
    assert fingerprint(database) == fingerprint(seeded)
    assert [step.rows for step in steps] == sorted(step.rows for step in steps)
    assert len(steps) > 24
    phases = list(dict.fromkeys((step.phase, step.table) for step in steps))
    tables = [("rows", "users"), ("rows", "orders"), ("rows", "events")]
    assert phases == [*tables, ("indexes", ""), ("statistics", "")]


@pytest.mark.parametrize("counts", [(1, 0, 0), (1, 1, 1), (1, 600, 600), (49, 0, 513)])
def test_small_and_lopsided_baselines(empty_database: str, counts: tuple[int, int, int]) -> None:
    """Zero orders or events, and a single user for all, are baselines too."""
    sow(empty_database, asked_for(*counts, event_bytes=64, end=None))
    assert tuple(found[0] for found in fingerprint(empty_database).values()) == counts
    if not counts[1]:
        with connect(empty_database) as conn, conn.transaction():
            first = conn.execute(
                "INSERT INTO orders (order_number, user_id, status, quantity, amount, currency) "
                "VALUES (gen_random_uuid(), 1, 'pending', 1, 1, 'EUR') RETURNING id"
            ).fetchone()
        assert first == (1,)


def test_the_same_again_is_a_no_op(seeded: str) -> None:
    """Nothing is written, whether the end instant is given or left to the stored one."""
    before = fingerprint(seeded), one(seeded, "SELECT xmin::text FROM loadgen_playground")
    for end in (END, None):
        result = sow(seeded, asked_for(1000, 3000, 8000, end=end))
        assert (result.found_rows, result.copied_rows, dict(result.seconds)) == (12_000, 0, {})
        assert result.parameters.end == END
    after = fingerprint(seeded), one(seeded, "SELECT xmin::text FROM loadgen_playground")
    assert after == before


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (asked_for(1000, 3001, 8000), ("3000 rows of orders instead of 3001",)),
        (
            asked_for(1001, 3000, 8000, seed=2),
            ("1000 rows of users instead of 1001", "seed 1 instead of 2"),
        ),
        (asked_for(1000, 3000, 8000, end=EARLIER), ("2026-11-20", "2026-11-01")),
    ],
)
def test_other_parameters_are_refused(
    seeded: str, asked: SeedRequest, words: tuple[str, ...]
) -> None:
    """The error names both values and the command that removes a baseline."""
    with refused(seeded, SourceError, *words, "loadgen db reset"):
        sow(seeded, asked)


def test_the_width_of_events_is_the_load_s_too(seeded: str) -> None:
    """Another EVENT_BYTES doesn't refuse a baseline, which keeps its own."""
    result = sow(seeded, asked_for(1000, 3000, 8000, event_bytes=900))
    assert result.parameters.settings["event_bytes"] == 200


def test_rows_of_somebody_else_are_not_mixed_with_a_baseline(database: str) -> None:
    """A migrated database that was written to before it was seeded is left alone."""
    with connect(database) as conn:
        conn.execute("INSERT INTO users (email, name, plan, country) VALUES ('a', 'b', 'c', 'd')")
    with refused(database, SourceError, "users", "empty database"):
        sow(database)
    assert one(database, "SELECT seed FROM loadgen_playground") is None


def test_a_foreign_database_is_left_alone(empty_database: str) -> None:
    """Tables of another application are detected before the first write."""
    with connect(empty_database) as conn:
        conn.execute("CREATE TABLE users (id int)")
        with pytest.raises(SourceError, match="not the playground's"):
            seed(conn, SHOP, ASKED)
        tables = conn.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchone() == (1,)


def test_a_history_does_not_end_in_the_future(database: str) -> None:
    """The load's writes come after the baseline."""
    with refused(database, SettingsError, "--end", "2100-01-01", "in the future"):
        sow(database, asked_for(1, 1, 1, end=datetime(2100, 1, 1, tzinfo=UTC)))


def test_without_an_end_the_history_ends_with_yesterday(empty_database: str) -> None:
    """The default end is the start of today, UTC, by the server's clock."""
    result = sow(empty_database, asked_for(10, 10, 10, end=None))
    today = one(empty_database, "SELECT date_trunc('day', now(), 'UTC')")
    assert 0 <= (today - result.parameters.end).days <= 1
    assert (result.parameters.end.hour, result.parameters.end.minute) == (0, 0)


def test_the_session_is_given_back_as_it_was(empty_database: str) -> None:
    """The session loses neither its durability nor its time limits, and holds no lock."""
    names = ("synchronous_commit", "statement_timeout", "lock_timeout", "maintenance_work_mem")
    with connect(empty_database) as conn:

        def shown() -> list[Any]:
            return [conn.execute("SELECT current_setting(%s)", (n,)).fetchone() for n in names]

        before = shown()
        seed(conn, SHOP, ASKED)
        assert shown() == before
        assert conn.execute("SHOW search_path").fetchone() == ("public",)
        held = (
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        )
        assert conn.execute(held).fetchone() == (0,)


def test_the_command_says_what_it_did(empty_database: str, run_loadgen: RunLoadgen) -> None:
    """Without a terminal, progress is printed in lines on stderr; the answer is on stdout."""
    counts = ("--users", "300", "--orders", "700", "--events", "1000", "--end", "2026-11-20")
    env = {"DATABASE_URL": empty_database}
    done = run_loadgen("seed", *counts, env=env)
    assert done.returncode == 0, done.stderr
    assert "seeded: 300 users, 700 orders, 1,000 events up to 2026-11-20 00:00 UTC" in done.stdout
    assert "copying users: 0 of 2,000 rows" in done.stderr
    assert "building indexes and foreign keys: 2,000 of 2,000 rows" in done.stderr
    again = run_loadgen("seed", *counts, env=env)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.startswith("already seeded, nothing to do: 300 users")
    answer = json.loads(run_loadgen("seed", *counts, "--json", env=env).stdout)
    assert answer["found_rows"] == sum(answer["rows"].values()) == 2000
    assert (answer["copied_rows"], answer["end"]) == (0, "2026-11-20T00:00:00+00:00")
    wider = run_loadgen("seed", *counts, env=env | {"EVENT_BYTES": "900"})
    assert "made with EVENT_BYTES 300; 900 applies to the load only" in wider.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--users", "0"), ("INITIAL_USERS", "0")),
        (("--events", "many"), ("INITIAL_EVENTS", "many")),
        (("--orders", "-1"), ("INITIAL_ORDERS", "-1")),
        (("--seed", "1.5"), ("SEED", "1.5")),
        (("--end", "yesterday"), ("--end", "yesterday", "2026-11-23")),
    ],
)
def test_the_command_refuses_what_makes_no_sense(
    empty_database: str, run_loadgen: RunLoadgen, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    """Exit 2, the setting by name, and a database in which nothing was made."""
    done = run_loadgen("seed", *arguments, env={"DATABASE_URL": empty_database})
    assert (done.returncode, done.stdout) == (2, "")
    assert [word for word in words if word not in done.stderr] == []
    assert one(empty_database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


def test_the_history_s_end_is_utc_where_it_says_nothing_else(
    empty_database: str, run_loadgen: RunLoadgen
) -> None:
    """An instant with another offset is the same instant."""
    few = ("--users", "1", "--orders", "0", "--events", "0", "--json")
    env = {"DATABASE_URL": empty_database, "TZ": "America/New_York"}
    for end in ("2026-11-20T00:00", "2026-11-20T02:00:00+02:00", "2026-11-20"):
        done = run_loadgen("seed", *few, "--end", end, env=env)
        assert json.loads(done.stdout)["end"] == "2026-11-20T00:00:00+00:00"


def test_two_seedings_do_not_run_at_once(database: str) -> None:
    """The second is refused and says why."""
    with connect(database) as other:
        other.execute("SELECT pg_advisory_lock(hashtext('loadgen seed'))")
        with refused(database, SourceError, "another `loadgen seed`"):
            sow(database)


def test_an_interrupt_while_indexes_are_built_is_made_good(
    seeded: str, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows in and indexes absent is not complete: the next call makes them."""
    with monkeypatch.context() as patched:

        def interrupted(conn: psycopg.Connection[Any]) -> None:
            raise KeyboardInterrupt

        patched.setattr("loadgen.source.seed.build_indexes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sow(empty_database)
    query = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'"
    assert one(empty_database, query) == 7
    result = sow(empty_database)
    assert (result.found_rows, result.copied_rows) == (12_000, 0)
    assert one(empty_database, query) == 12
    assert fingerprint(empty_database) == fingerprint(seeded)


def peak_rss_mib(dsn: str, events: int, folder: Path) -> float:
    """Return the peak memory of `loadgen seed` for so many events."""
    command = [sys.executable, "-m", "loadgen", "seed", "--orders", "0", "--events", str(events)]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=clean_environment({"DATABASE_URL": dsn}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_maxrss / 1024


def test_memory_does_not_grow_with_the_rows(cluster: Any, tmp_path: Path) -> None:
    """Forty times the rows take no more memory (100 thousand to 10 million: bench/seed.py)."""
    with cluster.database("template1") as few, cluster.database("template1") as many:
        small = peak_rss_mib(few, 10_000, tmp_path)
        large = peak_rss_mib(many, 400_000, tmp_path)
    assert large < small + 8
