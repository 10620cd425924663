"""`loadgen tools resync` under a load: time, rows and WAL are in the run record."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.record.resyncs import resyncs_of
from loadgen.record.rows import SlotSample
from loadgen.record.run import Run
from loadgen.report.tables.resyncs import resync_table
from loadgen.source.embedded import server
from loadgen.source.postgres import connect
from tests.acceptance.conftest import Locust, stopped, wait_for
from tests.conftest import RunLoadgen, find_free_port, spawning

TOOLS = '[tools.cdc]\nkind = "postgres"\ndestination = "postgres"\nrunner = "replication"\n'
SLOT = "loadgen_cdc"
COUNT = "SELECT count(*) FROM users"


@pytest.fixture
def environment(
    seeded: str, project: Path, metrics_port: int, run_loadgen: RunLoadgen
) -> Iterator[dict[str, str]]:
    """Yield the settings of a project with a replicated copy; the tool is removed afterwards."""
    (project / "tools.toml").write_text(TOOLS)
    ports = {"METRICS_PORT": str(metrics_port), "WATCH_PORT": str(find_free_port())}
    settings = ports | {"DATABASE_URL": seeded}
    try:
        done = run_loadgen("tools", "start", "--wait", "60", env=settings)
        assert done.returncode == 0, done.stdout + done.stderr
        yield settings
    finally:
        run_loadgen("tools", "remove", env=settings)


def test_a_resync_under_load_is_measured(
    seeded: str,
    project: Path,
    locust: Locust,
    run_loadgen: RunLoadgen,
    environment: dict[str, str],
) -> None:
    """The run record has time, rows and WAL of the re-sync, and the copy is complete again."""
    load = locust(seeded, "-t", "10m")
    latest = project / "reports" / "latest"
    with spawning() as spawn:
        watch = ("-m", "loadgen", "watch", "--interval", "0.1")
        spawn(*watch, cwd=project, env=environment, measured=False)
        wait_for(
            lambda: SLOT in {row.slot for row in SlotSample.read(latest)}, "a look at the slot"
        )
        done = run_loadgen("tools", "resync", "cdc", env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "rows copied again in" in done.stdout
        assert "no run has it" not in done.stdout
    stopped(load)
    (resync,) = resyncs_of(Run.of(latest).journal)
    assert resync.tool == "cdc"
    assert resync.rows is not None
    assert resync.rows >= 7000  # of the baseline
    assert resync.seconds is not None
    table = resync_table([resync], SlotSample.read(latest), {"cdc": SLOT}, [])
    ((*_, rows, wal, price),) = table.rows
    assert (rows, price) == (f"{resync.rows:,}", "not priced")
    assert wal.endswith("B"), "no look at the slot during the re-sync"
    copy = server.status(project / ".loadgen" / "tools" / "cdc")
    assert copy is not None
    with connect(copy.dsn) as conn:
        assert conn.execute(COUNT).fetchone() == (1000,)


def test_what_has_no_copy_is_not_copied_again(
    project: Path, seeded: str, run_loadgen: RunLoadgen
) -> None:
    """Without a first copy the error names the command; without a tool's name it is refused."""
    (project / "tools.toml").write_text(TOOLS)
    done = run_loadgen("tools", "resync", "cdc", env={"DATABASE_URL": seeded})
    assert done.returncode == 2
    assert "has no complete copy yet: `loadgen tools start --wait S cdc` makes one" in done.stderr
    assert run_loadgen("tools", "resync", env={"DATABASE_URL": seeded}).returncode == 2
