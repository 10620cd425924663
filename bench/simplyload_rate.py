"""Does the runner simplyload keep up? Lag, memory, and the cost of an open transaction.

    python -m bench.simplyload_rate [--minutes 5] [--rate 2000] [--interval 10] [--open-minutes 10]

Locust writes at a rate, and a marker is committed each half second. Each second the newest marker
of the copy is read: its age may not exceed two intervals. The peak of the process's resident memory
may not exceed 256 MB. Then a transaction is left open at the same rate. A poll decodes the WAL from
its begin on, since the slot can't pass it; the WAL that each poll reads and the length of the
syncs are recorded.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from bench.project import (
    ROOT,
    argument_parser,
    environment,
    free_port,
    rate_arguments,
    running_server,
    wait_for_run,
)
from bench.results import write_results
from bench.template import seed_workload
from loadgen.config.settings import load_settings
from loadgen.errors import DestinationError
from loadgen.source.postgres import connect
from loadgen.tools.readers.duckdb import DuckdbReader
from loadgen.tools.runners.simplyload import runner
from loadgen.tools.runners.syncs import read_syncs
from loadgen.tools.tools_file import Tool, parse_tools

_MEMORY_MB: Final = 256
_MARK: Final = (
    "INSERT INTO loadgen_markers (run_id, sequence, sent_at, horizon) "
    "VALUES ('bench', %s, clock_timestamp(), 1)"
)
_NEWEST: Final = (
    "SELECT epoch_ms(now() - max(sent_at)) / 1000.0 FROM public.loadgen_markers "
    "WHERE run_id = 'bench'"
)
_RETAINED: Final = (
    "SELECT pg_current_wal_lsn() - restart_lsn FROM pg_replication_slots WHERE slot_name = %s"
)
_SETTLING_SECONDS: Final = 30  # at the begin of the load


def main() -> int:
    """Measure, print and keep; 1 if the lag or the memory is above its limit."""
    parser = argument_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rate", type=float, default=2000, help="changes a second")
    parser.add_argument("--interval", type=float, default=10, help="the tool's, in seconds")
    parser.add_argument("--open-minutes", type=float, default=10)
    arguments = parser.parse_args()
    tools = (
        '[tools.pipe]\nkind = "simplyload"\ndestination = "duckdb"\nrunner = "simplyload"\n'
        f"interval_seconds = {arguments.interval}\n"
    )
    (tool,) = parse_tools(tomllib.loads(tools), "tools.toml")
    with running_server() as (project, info):
        # Enough users that soft deletes find one to the end.
        seed_workload(project, info.dsn, "--users", "100000", "--orders", "20000")
        shutil.copy(ROOT / "locustfile.py", project)
        os.chdir(project)
        Path("tools.toml").write_text(tools, encoding="utf-8")
        os.environ["DATABASE_URL"] = info.dsn
        settings = load_settings()
        runner.start(tool, settings)
        try:
            while not runner.status(tool).copied:
                time.sleep(0.2)
            seconds = _SETTLING_SECONDS + 60 * (arguments.minutes + arguments.open_minutes) + 30
            with load(project, info.dsn, arguments.rate, seconds), marking(info.dsn):
                time.sleep(_SETTLING_SECONDS)
                closed = observe(tool, info.dsn, arguments.minutes * 60)
                with connect(info.dsn, autocommit=False) as open_session:
                    # A transaction that has written nothing does not hold the slot.
                    open_session.execute("CREATE TABLE left_open (n integer)")
                    opened = observe(tool, info.dsn, arguments.open_minutes * 60)
            status = runner.status(tool)
        finally:
            runner.remove(tool, settings)
        os.chdir("/")
    passed = bool(
        closed["changes_per_second"] >= 0.95 * arguments.rate
        and closed["lag_seconds"]["most"] <= 2 * arguments.interval
        and opened["peak_resident_mb"] <= _MEMORY_MB
        and status.problem is None
    )
    figures: dict[str, object] = {
        "postgres": info.version,
        "changes_per_second": arguments.rate,
        "interval_seconds": arguments.interval,
        "without_open_transaction": closed,
        "with_open_transaction": opened,
        "problem": status.problem,
        "passed": passed,
    }
    print(json.dumps(figures, indent=2))
    write_results("simplyload-rate", figures)
    return 0 if passed else 1


@contextmanager
def load(project: Path, dsn: str, rate: float, seconds: float) -> Iterator[None]:
    """Let Locust write for the length of the block, at most for so many seconds."""
    env = environment(dsn) | {"METRICS_PORT": str(free_port())}
    command = [sys.executable, "-m", "locust", "--headless", "-u", "8", "-t", f"{seconds:.0f}s"]
    command += ["--loglevel", "WARNING", *rate_arguments(rate)]
    with subprocess.Popen(command, cwd=project, env=env, stdout=subprocess.DEVNULL) as locust:
        try:
            wait_for_run(locust, project)
            yield
        finally:
            locust.kill()


@contextmanager
def marking(dsn: str) -> Iterator[None]:
    """Commit a marker each half second for the length of the block."""
    stopped = threading.Event()

    def mark() -> None:
        with connect(dsn) as connection:
            number = 0
            while not stopped.wait(0.5):
                connection.execute(_MARK, (number,))
                number += 1

    thread = threading.Thread(target=mark)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def observe(tool: Tool, dsn: str, seconds: float) -> dict[str, Any]:
    """Return the figures of the tool over `seconds`."""
    reader = DuckdbReader(tool.duckdb_file)
    (pid,) = runner.processes(tool)
    process = psutil.Process(pid)
    before, cpu = len(read_syncs(tool.folder)), process.cpu_times()
    lags: list[float] = []
    retained: list[tuple[int, float]] = []
    began = time.monotonic()
    with connect(dsn) as connection:
        while time.monotonic() - began < seconds:
            try:
                lags += [float(row[0]) for row in reader.query(_NEWEST) if row[0] is not None]
            except DestinationError as exc:
                print(exc, flush=True)
            row = connection.execute(_RETAINED, (tool.runner_slot,)).fetchone()
            if row is not None:
                retained.append((round(time.monotonic() - began), float(row[0]) / 1e6))
            time.sleep(1)
    syncs = read_syncs(tool.folder)[before:]
    lengths = [(sync.ended_at - sync.began_at).total_seconds() for sync in syncs]
    used = process.cpu_times()
    fifth = max(len(lengths) // 5, 1)
    return {
        "seconds": round(time.monotonic() - began),
        "changes_per_second": round(sum(sum(s.rows.values()) for s in syncs) / seconds),
        "syncs": len(syncs),
        "lag_seconds": _spread(lags),
        "sync_seconds": _spread(lengths),
        "sync_seconds_in_each_fifth": [
            round(statistics.mean(lengths[at : at + fifth]), 2)
            for at in range(0, len(lengths), fifth)
        ],
        "wal_mb_that_a_poll_decodes": [
            {"after_seconds": at, "mb": round(size, 1)}
            for at, size in retained[:: max(len(retained) // 10, 1)]
        ],
        "cpu_share": round((used.user + used.system - cpu.user - cpu.system) / seconds, 3),
        "peak_resident_mb": _peak_resident(pid),
    }


def _spread(numbers: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(numbers), 2), "most": round(max(numbers), 2)}


def _peak_resident(pid: int) -> float:
    """Return the most memory that the process ever had resident, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) * 1024 / 1e6, 1)
    raise SystemExit("Linux only: there is no peak of the resident memory")


if __name__ == "__main__":
    raise SystemExit(main())
