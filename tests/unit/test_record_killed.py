"""The run record while others read it, when its writer is killed, and under gevent."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadgen.record.rows import Sample
from loadgen.record.run import Run

StartPython = Callable[..., subprocess.Popen[str]]

# Writes as a load does, in quick bursts; each run.json is known by its own counter. Without a pause
# the samples grow faster than a concurrent reader reads them all again.
WRITER = """
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from loadgen.record.run import Run, Totals
from loadgen.record.folder import RunRecord
from loadgen.record.rows import Sample

record = RunRecord.create(Path(sys.argv[1]), "run-1")
record.begin(Run(seed=0, totals={}))
print("writing", flush=True)
for n in range(1, 10**9):
    now = datetime.now(UTC)
    record.append([Sample(now, name, 1.0, n, n, 0, 0, 0, 0) for name in ("a", "b")])
    if n % 20 == 0:
        record.run.seed, record.run.totals = n, {"a": Totals(offered=n, committed=n)}
        record.write()
        record.journal("tick", n=n)
        time.sleep(0.01)
"""


@contextmanager
def writing(start_python: StartPython, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a writer until the block ends."""
    process = start_python(WRITER, str(folder))
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def rows_after(path: Path, least: int) -> int:
    """Return how many samples there are once there are at least so many."""
    deadline = time.monotonic() + 60
    while (found := len(list(Sample.read(path)))) < least:
        assert time.monotonic() < deadline, f"only {found} samples"
    return found


def test_a_reader_beside_the_writer_sees_whole_states(
    start_python: StartPython, tmp_path: Path
) -> None:
    """Whenever run.json and samples.csv are read, they hold some state that was written."""
    seen: set[int | None] = set()
    with writing(start_python, tmp_path):
        deadline = time.monotonic() + 60
        while len(seen) < 20:
            assert time.monotonic() < deadline, f"only {len(seen)} states were seen"
            run = Run.of(tmp_path / "run-1")
            assert [event.details["n"] for event in run.journal] == [
                20 * (i + 1) for i in range(len(run.journal))
            ]
            assert run.seed == 0 or run.totals["a"].committed == run.seed
            samples = list(Sample.read(tmp_path / "run-1"))
            assert all(sample.balanced() for sample in samples)
            assert [s.offered for s in samples] == [1 + i // 2 for i in range(len(samples))]
            seen.add(run.seed)


@pytest.mark.parametrize("rows", [1, 300, 2500])
def test_a_killed_writer_leaves_whole_files(
    start_python: StartPython, tmp_path: Path, rows: int
) -> None:
    """After kill -9 run.json is whole and every row but a torn last one is there."""
    with writing(start_python, tmp_path) as process:
        least = rows_after(tmp_path / "run-1", rows)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        path = tmp_path / "run-1"
        run, samples = Run.of(path), list(Sample.read(path))
    assert len(samples) >= least
    assert [s.offered for s in samples] == [1 + i // 2 for i in range(len(samples))]
    assert run.seed is not None
    assert run.ended_at is None
    # Between the last run.json and the kill lie at most the samples of one round.
    assert 2 * run.seed <= len(samples) <= 2 * (run.seed + 20) + 2


def test_the_record_is_the_same_under_gevent(start_python: StartPython, tmp_path: Path) -> None:
    """In a patched process many greenlets may write; no line and no event is lost or mixed."""
    code = """
from gevent import monkey
monkey.patch_all()
import sys
from datetime import UTC, datetime
from pathlib import Path
import gevent
from loadgen.record.run import Run, Totals
from loadgen.record.folder import RunRecord
from loadgen.record.rows import Sample

record = RunRecord.create(Path(sys.argv[1]), "run-1")
record.begin(Run(seed=0))
def write(i):
    for n in range(20):
        record.append([Sample(datetime.now(UTC), f"op{i}", 1.0, n, n, 0, 0, 0, 0)] * 3)
        record.journal("tick", i=i, n=n)
        gevent.sleep(0)
gevent.joinall([gevent.spawn(write, i) for i in range(10)], raise_error=True)
"""
    process = start_python(code, str(tmp_path))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    events = {(e.details["i"], e.details["n"]) for e in Run.of(tmp_path / "run-1").journal}
    assert events == {(i, n) for i in range(10) for n in range(20)}
    samples = list(Sample.read(tmp_path / "run-1"))
    assert len(samples) == 600
    assert json.loads((tmp_path / "run-1" / "run.json").read_bytes())["seed"] == 0
