"""A seeding that is interrupted in any way is completed to exactly the requested rows."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from loadgen.source.embedded import server
from loadgen.source.embedded.account import server_account
from loadgen.source.postgres import connect
from tests.conftest import clean_environment, find_free_port, spawning

SIZE = {"users": 3000, "orders": 100_000, "events": 400_000}
END = "2026-11-20"
TOTAL = sum(SIZE.values())
DEADLINE_SECONDS = 60

Start = Callable[[str], "subprocess.Popen[str]"]


def fingerprint(dsn: str) -> dict[str, tuple[Any, ...]]:
    """Return count, first and last id, and checksum over all columns of each table."""
    query = "SELECT count(*), min(id), max(id), sum(hashtextextended(t::text, 0)) FROM {} t"
    with connect(dsn) as conn:
        return {
            table: conn.execute(sql.SQL(query).format(sql.Identifier(table))).fetchone() or ()
            for table in SIZE
        }


def indexes(dsn: str) -> int:
    """Return how many indexes there are."""
    with connect(dsn) as conn:
        row = conn.execute("SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'").fetchone()
        return int(row[0]) if row else 0


@pytest.fixture
def start_seed(tmp_path: Path) -> Iterator[Start]:
    """Yield a starter of `loadgen seed` as a process, which is ended after the test."""
    sizes = [text for table, count in SIZE.items() for text in (f"--{table}", str(count))]
    with spawning() as spawn:

        def start(dsn: str) -> subprocess.Popen[str]:
            command = ("-m", "loadgen", "seed", "--end", END, *sizes)
            env = {"DATABASE_URL": dsn, "EVENT_BYTES": "100"}
            return spawn(*command, cwd=tmp_path, env=env, measured=False)

        yield start


@pytest.fixture(scope="module")
def expected(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, ...]]:
    """Return the fingerprint of a seeding that nothing interrupted."""
    with cluster.database("template1") as dsn:
        command = [sys.executable, "-m", "loadgen", "seed", "--end", END]
        for table, count in SIZE.items():
            command += [f"--{table}", str(count)]
        environment = clean_environment({"DATABASE_URL": dsn, "EVENT_BYTES": "100"})
        folder = tmp_path_factory.mktemp("expected")
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        return fingerprint(dsn)


def rows_noted(dsn: str, table: str) -> int:
    """Return how many rows of `table` are in, as the playground's own row has it."""
    with connect(dsn) as conn:
        noted = conn.execute("SELECT to_regclass('public.loadgen_playground')").fetchone()
        if noted == (None,):
            return 0
        query = "SELECT coalesce((progress -> 'rows' ->> %s)::bigint, 0) FROM loadgen_playground"
        row = conn.execute(query, (table,)).fetchone()
        return int(row[0]) if row else 0


@contextmanager
def half_way(dsn: str, process: "subprocess.Popen[str]") -> Iterator[None]:
    """Wait until some events are in, then hold the seeding up: its next note has to wait."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not rows_noted(dsn, "events"):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no event was copied"
        time.sleep(0.02)
    with closing(connect(dsn, autocommit=False)) as conn:
        conn.execute("LOCK TABLE loadgen_playground IN SHARE MODE")
        assert rows_noted(dsn, "events") < SIZE["events"]
        yield


def require_as_noted(dsn: str) -> dict[str, int]:
    """Demand that exactly the rows that were noted are there; return how many."""
    counts = {table: found[0] for table, found in fingerprint(dsn).items()}
    assert counts == {table: rows_noted(dsn, table) for table in SIZE}
    return counts


def require_partial(dsn: str) -> None:
    """Demand that all orders and some of the events are there, as noted."""
    counts = require_as_noted(dsn)
    assert counts["orders"] == SIZE["orders"]
    assert 0 < counts["events"] < SIZE["events"]


def require_completed(dsn: str, start_seed: Start, expected: dict[str, tuple[Any, ...]]) -> None:
    """Demand that the same command completes the baseline to the rows of an undisturbed one."""
    process = start_seed(dsn)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "ed: 3,000 users, 100,000 orders, 400,000 events" in out
    assert fingerprint(dsn) == expected
    assert indexes(dsn) == 12
    assert start_seed(dsn).communicate()[0].startswith("already seeded, nothing to do")


def end_backend(dsn: str) -> None:
    """End the server's side of the seeding."""
    with connect(dsn) as conn:
        ended = conn.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid IN "
            "(SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted)"
        ).fetchall()
    assert ended == [(True,)]


def test_a_killed_seeding_is_completed(
    empty_database: str, start_seed: Start, expected: dict[str, tuple[Any, ...]]
) -> None:
    """SIGKILL half-way: whole transactions are in, and the next call adds the missing rows."""
    process = start_seed(empty_database)
    with half_way(empty_database, process):
        process.kill()
        assert process.wait() == -signal.SIGKILL
    # Its server process may still be rolling back; the next call waits for that by itself.
    require_completed(empty_database, start_seed, expected)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_seeding_says_how_to_go_on(
    number: signal.Signals,
    empty_database: str,
    start_seed: Start,
    expected: dict[str, tuple[Any, ...]],
) -> None:
    """A signal half-way: exit 130, no traceback, and the same command continues."""
    process = start_seed(empty_database)
    with half_way(empty_database, process):
        process.send_signal(number)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert "Run the same command to continue." in err
    assert "Traceback" not in err
    require_partial(empty_database)
    require_completed(empty_database, start_seed, expected)


def test_a_seeding_whose_backend_is_ended_is_completed(
    empty_database: str, start_seed: Start, expected: dict[str, tuple[Any, ...]]
) -> None:
    """The server ends the session: exit 2, one line that says how far it has come."""
    process = start_seed(empty_database)
    with half_way(empty_database, process):
        end_backend(empty_database)
        _, err = process.communicate()
    assert process.returncode == 2
    (error,) = [line for line in err.splitlines() if line.startswith("loadgen: error:")]
    assert f"of {TOTAL:,} rows; the same command continues there: " in error
    assert "Traceback" not in err
    require_partial(empty_database)
    require_completed(empty_database, start_seed, expected)


def test_a_seeding_whose_server_is_killed_is_completed(
    project: Path, start_seed: Start, expected: dict[str, tuple[Any, ...]]
) -> None:
    """SIGKILL to the server: the rows that it recovers are completed, and none is there twice."""
    info = server.start(project, port=find_free_port())
    process = start_seed(info.dsn)
    with half_way(info.dsn, process):
        os.kill(info.pid, signal.SIGKILL)
        _, err = process.communicate()
    assert process.returncode == 2
    assert f"of {TOTAL:,} rows; the same command continues there: " in err
    assert "Traceback" not in err
    revived = server.start(project)
    # The newest commits may be lost, for none waits for the disk; then so are their notes.
    require_as_noted(revived.dsn)
    require_completed(revived.dsn, start_seed, expected)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """Yield a folder of 64 MiB that belongs to the server's account; only root can make one."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    with tempfile.TemporaryDirectory(prefix="playground-disk-") as folder:
        disk = Path(folder)
        disk.chmod(0o755)
        mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"can't mount a small disk: {done.stderr.strip()}")
        try:
            account = server_account()
            tablespace = disk / "tablespace"
            tablespace.mkdir()
            os.chown(tablespace, account.uid, account.gid)
            yield tablespace
        finally:
            subprocess.run(["umount", folder], check=True)


def test_a_full_disk_ends_cleanly_and_can_be_continued(
    cluster: Any, small_disk: Path, start_seed: Start, expected: dict[str, tuple[Any, ...]]
) -> None:
    """SQLSTATE 53100: exit 2 and one line with the progress; with more room seeding continues."""
    with connect(cluster.info.dsn) as admin:
        place = sql.Literal(str(small_disk))
        admin.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(place))
        try:
            with cluster.database("template1") as dsn:
                name = sql.Identifier(dsn.rpartition("/")[2])
                admin.execute(sql.SQL("ALTER DATABASE {} SET TABLESPACE small").format(name))
                process = start_seed(dsn)
                _, err = process.communicate()
                assert process.returncode == 2
                error = err.splitlines()[-1]
                assert error.startswith("loadgen: error: seeding stopped at ")
                assert f"of {TOTAL:,} rows; the same command continues there: " in error
                assert "SQLSTATE 53100" in error
                assert "run the same command again" in error
                require_partial(dsn)
                remount = ["mount", "-o", "remount,size=1g", str(small_disk.parent)]
                subprocess.run(remount, check=True)
                require_completed(dsn, start_seed, expected)
        finally:
            admin.execute("CHECKPOINT")  # so that the dropped files are gone
            admin.execute("DROP TABLESPACE small")
