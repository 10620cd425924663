"""A full disk and a changed clock during a run do not damage its record."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from loadgen.record.rows import Sample, SlotSample
from loadgen.record.run import Run
from loadgen.source.postgres import connect
from tests.acceptance.conftest import ROOT, Locust, check_record, counted, latest, rates, wait_for
from tests.acceptance.test_watch import SLOT, Start, watch, watch_port
from tests.conftest import find_free_port

__all__ = ["watch", "watch_port"]

EVENTS = "SELECT count(*) FROM events"


@pytest.fixture
def small_reports(project: Path) -> Iterator[Path]:
    """Mount a file system of 1 MiB as the project's folder of reports."""
    folder = project / "reports"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


class MachineClock:
    """A clock that the test sets for processes with `environment`: tests/clock.c, and a file."""

    def __init__(self, folder: Path) -> None:
        library = folder / "clock.so"
        source = ROOT / "tests" / "clock.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
        self._file = folder / "offset"
        self.set(0)
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(self._file)}

    def set(self, seconds: int) -> None:
        """Set the clock this many seconds from the true time, in one step."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)


@pytest.fixture
def machine_clock() -> Iterator[MachineClock]:
    """Yield a clock that the test can set."""
    if sys.platform != "linux" or not shutil.which("cc"):
        pytest.skip("setting a clock needs Linux and cc: scripts/system-packages")
    with tempfile.TemporaryDirectory() as folder:
        yield MachineClock(Path(folder))


def journal(folder: Path, sort: str) -> dict[str, Any] | None:
    """Return the first entry of this kind in the newest run's journal."""
    run = json.loads((folder / "latest" / "run.json").read_text())
    found = (e for e in run["journal"] if sort in {e["kind"], e.get("what")})
    return next(found, None)


def wait_for_writes(dsn: str, writes: int) -> None:
    """Wait until the load has written this many more events."""
    with connect(dsn) as connection:

        def events() -> int:
            row = connection.execute(EVENTS).fetchone()
            return int(row[0]) if row else 0

        until = events() + writes
        wait_for(lambda: events() >= until, "writes")


def test_a_full_disk_and_a_set_clock_cost_the_record_nothing(
    seeded: str,
    small_reports: Path,
    machine_clock: MachineClock,
    locust: Locust,
    watch: Start,
    project: Path,
) -> None:
    """The load continues, rows wait in memory, the journal has both, and no time goes backwards.

    REPORTS_DIR is full for a while. Then the clock is set an hour forward, and two hours back.
    """
    before = counted(seeded)
    env = machine_clock.environment
    process = locust(seeded, "-t", "10m", *rates(), env=env)
    wait_for((small_reports / "latest" / "samples.csv").exists, "a sample")
    with connect(seeded) as connection:
        connection.execute(SLOT)
    looking = watch(seeded, env | {"WATCH_PORT": str(find_free_port())})
    folder = (small_reports / "latest").resolve()
    wait_for((folder / "slots.csv").exists, "the watch")

    fill = small_reports / "fill"
    with pytest.raises(OSError, match="No space left"):
        fill.write_bytes(bytes(1 << 20))
    wait_for_writes(seeded, 60)  # three seconds' worth
    fill.unlink()
    hole = wait_for(lambda: journal(small_reports, "record_unwritable"), "the journal's entry")
    assert hole["seconds"] >= 1
    assert "No space left" in hole["why"]

    machine_clock.set(3600)
    step = wait_for(lambda: journal(small_reports, "clock_stepped"), "the first step")
    assert step["seconds"] == pytest.approx(3600, abs=5)
    wait_for_writes(seeded, 20)
    machine_clock.set(-3600)
    wait_for(lambda: "count" in (journal(small_reports, "clock_stepped") or {}), "the second")
    wait_for_writes(seeded, 40)

    looking.terminate()
    _, complaint = looking.communicate(timeout=30)
    assert looking.returncode == 130, complaint
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    assert "No space left on device" in err
    assert "this machine's clock was set by" in err
    check_record(project, seeded, before)
    check_times(folder)
    samples = list(Sample.read(folder))
    taken = len({sample.time for sample in samples})
    assert f"the accounting law held in all {taken:,} samples" in out
    assert all(sample.balanced() for sample in samples)
    since, until = (datetime.fromisoformat(hole[key]) for key in ("at", "until"))
    assert len({s.time for s in samples if since <= s.time <= until}) >= 2  # none is missing
    assert latest(project)["sampled"]["samples"] == taken
    with connect(seeded) as connection:
        connection.execute("SELECT pg_drop_replication_slot('a_tool')")


def check_times(folder: Path) -> None:
    """Check that the times of the record never go backwards, nor jump by minutes."""
    run = Run.of(folder)
    assert run.started_at is not None
    assert run.ended_at is not None
    for times in (
        [run.started_at, *(event.at for event in run.journal), run.ended_at],
        [run.started_at, *(row.time for row in Sample.read(folder)), run.ended_at],
        [row.time for row in SlotSample.read(folder)],
    ):
        assert times
        assert all(timedelta() <= b - a < timedelta(minutes=5) for a, b in pairwise(times)), times
