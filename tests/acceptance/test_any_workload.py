"""Loads with other workloads than the shop: an archive, and pgbench's TPC-B."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from loadgen.record.rows import Sample
from loadgen.source.postgres import connect
from tests.acceptance.conftest import Locust, journaled, latest, stopped, wait_for
from tests.acceptance.faulted import cut
from tests.acceptance.test_workers import workers_of
from tests.archive import (
    FAULTS,
    GAINED,
    KEYS,
    LOST_BY_DLT,
    UNPROVED,
    WORKLOAD,
    Tools,
    gained,
    places,
    plant,
)
from tests.conftest import Cluster, RunLoadgen

RATE = 500  # transactions a second of the archive's operations
ARCHIVE = {"WORKLOAD": str(WORKLOAD)}
TPCB = {"WORKLOAD": "tpcb", "WORKLOAD_SCALE": "2"}
SUMS = """
SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
       (SELECT sum(bbalance) FROM pgbench_branches), coalesce(sum(delta), 0), count(*)
FROM pgbench_history
"""
FAMILY = """
CREATE TABLE parents (id bigint PRIMARY KEY);
CREATE TABLE children (
    id bigint PRIMARY KEY, parent bigint NOT NULL REFERENCES parents ON DELETE CASCADE
);
CREATE INDEX ON children (parent);
"""
FAMILY_WORKLOAD = """
[tables.parents]
rows = 500
columns.id = { generate = "sequence" }

[tables.children]
rows = 5000
columns.id = { generate = "sequence" }
columns.parent = { number = [1, 500] }

[operations.remove]
per_hour = 360000
delete = "parents"
row = { once = true, share = 1 }
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
    """Yield a function that seeds a fresh database with the workload that its settings name."""
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
def tools(
    archive: str, project: Path, metrics_port: int, run_loadgen: RunLoadgen
) -> Iterator[Tools]:
    """Yield two local tools that have copied the baseline."""
    environment = ARCHIVE | {"DATABASE_URL": archive, "METRICS_PORT": str(metrics_port)}
    running = Tools(project, run_loadgen, environment)
    try:
        running.run("start")
        for name in ("cdc", "cursor"):
            wait_for(partial(running.last_received, name), f"the first copy of {name}", 120)
        yield running
    finally:
        for name in ("cdc", "cursor"):
            running.run("remove", name)


def check_law(project: Path) -> dict[str, Any]:
    """Check any workload's run: the law holds in every sample, and the run is valid."""
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


def wait_for_commits(project: Path, load: Popen[str], n: int) -> None:
    """Wait until a run has committed that many transactions."""
    samples = project / "reports" / "latest" / "samples.csv"

    def is_so() -> bool:
        assert load.poll() is None, load.communicate()
        return samples.exists() and committed(project) >= n

    wait_for(is_so, f"{n} commits", 120)


def test_the_baseline_leaves_the_schema_as_it_is_written(
    archive: str, cluster: Cluster, run_loadgen: RunLoadgen
) -> None:
    """Indexes and foreign keys, even circular ones, match schema.sql, and validate passes."""
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
    archive: str, tools: Tools, locust: Locust, project: Path, run_loadgen: RunLoadgen
) -> None:
    """At 500 transactions a second and with a killed worker, rows match and verify finds faults."""
    with connect(archive) as conn:
        row = conn.execute("SELECT now()").fetchone()
    assert row is not None
    begin: datetime = row[0]
    before = gained(archive, begin)
    load = locust(archive, "-u", "8", "-t", "10m", "--processes", "2", env=ARCHIVE)
    wait_for_commits(project, load, 2 * RATE)
    workers_of(load)[0].kill()
    wait_for(lambda: journaled(project, "worker_lost"), "the loss to be noticed")
    moving = tools.verified("cdc", "--lag", "3")
    assert moving["verdict"] == "right", moving["findings"]
    assert KEYS.keys() <= moving["tables"].keys()
    planted = plant(tools.copy(), FAULTS[::4], begin)
    assert places(tools.verified("cdc", "--lag", "3")["findings"]) == planted
    stopped(load)
    check_rows(check_law(project), before, gained(archive, begin))
    assert places(tools.verified("cdc", "--lag", "3")["findings"]) == planted
    done = run_loadgen("validate", env=ARCHIVE | {"DATABASE_URL": archive})
    assert done.returncode == 0, done.stdout + done.stderr
    tools.sync_again("cursor")
    findings = tools.verified("cursor", "--lag", "1")["findings"]
    assert {(f["table"], f["column"], f["kind"]) for f in findings} == LOST_BY_DLT


def check_rows(run: Mapping[str, Any], before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """Check that counters equal rows; an unknown write without a proof may have been written."""
    assert run["proof"].keys() == run["totals"].keys() == GAINED.keys()
    assert {name for name, proof in run["proof"].items() if proof == "unproved"} == UNPROVED
    for name, totals in run["totals"].items():
        rows = after[name] - before[name]
        assert 0 < totals["committed"] <= rows <= totals["committed"] + totals["unknown"], name


def test_rows_that_a_foreign_key_deletes_are_not_missed(
    seeded_with: Callable[[dict[str, str]], str], locust: Locust, project: Path, tmp_path: Path
) -> None:
    """Deleting a parent deletes its children, so only parents are compared with the counters."""
    workload = tmp_path / "family"
    workload.mkdir()
    (workload / "schema.sql").write_text(FAMILY)
    (workload / "workload.toml").write_text(FAMILY_WORKLOAD)
    settings = {"WORKLOAD": str(workload)}
    load = locust(seeded_with(settings), "-u", "2", "-t", "2s", env=settings)
    _, errors = load.communicate(timeout=90)
    assert load.returncode == 0, errors
    growth = check_law(project)["growth"]
    assert growth["parents"]["rows"] == growth["parents"]["rows_written"] < -50
    assert growth["children"]["rows"] < -50
    assert growth["children"]["rows_written"] is None


def test_balances_of_tpcb_are_the_sum_of_its_history(
    seeded_with: Callable[[dict[str, str]], str], locust: Locust, project: Path,
    run_loadgen: RunLoadgen,
) -> None:  # fmt: skip
    """Transactions are written whole or not at all, even if all connections are cut meanwhile."""
    dsn = seeded_with(TPCB)
    rate = ("--transaction-per-hour", str(RATE * 3600))
    load = locust(dsn, "-u", "8", "-t", "10m", *rate, env=TPCB)
    wait_for_commits(project, load, RATE)
    for _ in range(3):
        wait_for(lambda: cut(dsn), "connections to cut")
        wait_for_commits(project, load, committed(project) + RATE)
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
