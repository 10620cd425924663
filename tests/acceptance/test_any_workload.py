"""Workloads that no part of the program was written for: an archive, and pgbench's."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from loadgen.record.rows import Sample
from loadgen.source.postgres import connect
from tests.acceptance.conftest import Locust, journaled, latest, stopped, wait_for
from tests.acceptance.faulted import cut
from tests.acceptance.test_workers import workers_of
from tests.archive import FAULTS, GAINED, KEYS, WORKLOAD, gained, places, plant
from tests.conftest import Cluster, RunLoadgen
from tests.replication import Subscription

RATE = 500  # transactions a second of the archive's operations
ARCHIVE = {"WORKLOAD": str(WORKLOAD)}
TPCB = {"WORKLOAD": "tpcb", "WORKLOAD_SCALE": "2"}
TOOLS = """
[tools.copy]
kind = "postgres"
destination = "postgres"
url = "{copy}"
"""
SUMS = """
SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
       (SELECT sum(bbalance) FROM pgbench_branches), coalesce(sum(delta), 0), count(*)
FROM pgbench_history
"""
# Constraints and indexes, as Postgres writes them.
DEFINITIONS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'archive'::regnamespace
UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'archive'
ORDER BY 1, 2, 3
"""


@pytest.fixture
def seeded_with(
    cluster: Cluster, run_loadgen: RunLoadgen
) -> Iterator[Callable[[dict[str, str]], str]]:
    """Yield a seeder of a fresh database with the workload that some settings name."""
    with cluster.database("template1") as dsn:

        def seeded(settings: dict[str, str]) -> str:
            done = run_loadgen("seed", env=settings | {"DATABASE_URL": dsn})
            assert done.returncode == 0, done.stderr
            return dsn

        yield seeded


@pytest.fixture
def archive(seeded_with: Callable[[dict[str, str]], str]) -> str:
    """Return the DSN of a seeded archive."""
    return seeded_with(ARCHIVE)


@pytest.fixture
def copy(cluster: Cluster, archive: str, project: Path) -> Iterator[str]:
    """Yield the DSN of a copy of it that replication keeps, and that tools.toml names."""
    with cluster.database(archive.rpartition("/")[2]) as dsn:
        with connect(dsn) as conn:
            conn.execute("DROP PUBLICATION loadgen")
        subscription = Subscription(archive, dsn)
        (project / "tools.toml").write_text(TOOLS.format(copy=dsn))
        yield dsn
        subscription.drop()


def check_law(project: Path) -> dict[str, Any]:
    """Check what holds of any workload's run: the law in every sample, and a valid end."""
    run = latest(project)
    samples = list(Sample.read(project / "reports" / "latest"))
    assert samples
    assert all(sample.balanced() for sample in samples)
    assert run["valid"] is True, run["invalid_reason"]
    for name, totals in run["totals"].items():
        outcomes = ("committed", "failed", "skipped", "unknown")
        assert totals["offered"] == sum(totals[outcome] for outcome in outcomes)
        assert totals["unknown"] == 0 or run["proof"][name] == "unproved"
    return run


def committed(project: Path) -> int:
    """Return how many transactions the newest sample shows."""
    samples = list(Sample.read(project / "reports" / "latest"))
    newest = max((sample.time for sample in samples), default=None)
    return sum(sample.committed for sample in samples if sample.time == newest)


def wait_for_commits(project: Path, n: int) -> None:
    """Wait until a run has committed that many transactions."""
    samples = project / "reports" / "latest" / "samples.csv"
    wait_for(lambda: samples.exists() and committed(project) >= n, f"{n} commits", 120)


def test_the_baseline_leaves_the_schema_as_it_is_written(
    archive: str, cluster: Cluster, run_loadgen: RunLoadgen
) -> None:
    """Indexes and foreign keys, a circle of them too, are those of schema.sql; all hold."""
    with cluster.database("template1") as plain, connect(plain) as conn, connect(archive) as seeded:
        conn.execute((WORKLOAD / "schema.sql").read_bytes())
        definitions = conn.execute(DEFINITIONS).fetchall()
        assert len(definitions) > 20
        assert seeded.execute(DEFINITIONS).fetchall() == definitions
        row = seeded.execute(
            "SELECT count(DISTINCT tableoid), count(*) FROM archive.movements"
        ).fetchone()
        assert row == (3, 3000)
    done = run_loadgen("validate", env=ARCHIVE | {"DATABASE_URL": archive})
    assert done.returncode == 0, done.stdout + done.stderr


def test_ten_tables_are_loaded_counted_and_verified(
    archive: str, copy: str, locust: Locust, project: Path, metrics_port: int,
    run_loadgen: RunLoadgen,
) -> None:  # fmt: skip
    """At 500 transactions a second, one of two workers killed: law, rows, copy, planted faults."""
    environment = ARCHIVE | {"DATABASE_URL": archive, "METRICS_PORT": str(metrics_port)}

    def verified(*arguments: str) -> dict[str, Any]:
        done = run_loadgen("verify", "--json", *arguments, env=environment)
        assert done.stdout, done.stderr
        outcome: dict[str, Any] = json.loads(done.stdout)["tools"]["copy"]
        assert not outcome.get("problems"), outcome["problems"]
        return outcome

    with connect(archive) as conn:
        row = conn.execute("SELECT now()").fetchone()
    assert row is not None
    begin: datetime = row[0]
    before = gained(archive, begin)
    load = locust(archive, "-u", "8", "-t", "10m", "--processes", "2", env=ARCHIVE)
    wait_for_commits(project, 2 * RATE)
    workers_of(load)[0].kill()
    wait_for(lambda: journaled(project, "worker_lost"), "the loss to be noticed")
    moving = verified("--lag", "3")
    assert moving["verdict"] == "right", moving["findings"]
    assert KEYS.keys() <= moving["tables"].keys()
    planted = plant(copy, FAULTS[::4], begin)
    assert places(verified("--lag", "3")["findings"]) == planted
    stopped(load)
    run = check_law(project)
    after = gained(archive, begin)
    for name in GAINED:
        totals = run["totals"][name]
        rows = after[name] - before[name]
        assert totals["committed"] <= rows <= totals["committed"] + totals["unknown"], name
        assert rows > 0, name
    assert {name for name, proof in run["proof"].items() if proof == "unproved"} == {
        "visit", "confirm", "rename",
    }  # fmt: skip
    assert run["proof"].keys() == GAINED.keys()
    at_rest = verified("--lag", "3")
    assert places(at_rest["findings"]) == planted
    done = run_loadgen("validate", env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_balances_of_tpcb_are_the_sum_of_its_history(
    seeded_with: Callable[[dict[str, str]], str], locust: Locust, project: Path,
    run_loadgen: RunLoadgen,
) -> None:  # fmt: skip
    """Whole transactions or nothing, also if all connections are cut in their midst."""
    dsn = seeded_with(TPCB)
    rate = ("--transaction-per-hour", str(RATE * 3600))
    load = locust(dsn, "-u", "8", "-t", "10m", *rate, env=TPCB)
    for n in (200, 600, 1000):
        wait_for_commits(project, n)
        assert cut(dsn)
    wait_for_commits(project, 1400)
    stopped(load)
    run = check_law(project)
    with connect(dsn) as conn:
        *sums, transactions = conn.execute(SUMS).fetchone() or ()
    assert len(set(sums)) == 1
    totals = run["totals"]["transaction"]
    assert run["proof"] == {"transaction": "unproved"}
    assert totals["committed"] <= transactions <= totals["committed"] + totals["unknown"]
    done = run_loadgen("validate", env=TPCB | {"DATABASE_URL": dsn})
    assert done.returncode == 0, done.stdout + done.stderr
