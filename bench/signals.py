"""Checks that a load ends properly when a signal reaches its process group, at any moment.

    python -m bench.signals [--tries 40] [--seed N]

Starts a load again and again, in turn with one process, two and three workers, and Locust's page.
SIGTERM, SIGHUP or SIGINT goes to the process group at a random moment between Locust's first line
and the end of its process, one time in four twice, as `timeout` does. (Before that line Locust has
not read its locustfile, and Python alone handles the signal.) Each time all processes have to end,
the source has to be free for the next run at once, the exit code has to be 130 (or the run's own if
it was over), and the record's counters have to equal the rows that the tables gained.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from bench.kills import rows
from bench.project import (
    ROOT,
    argument_parser,
    environment,
    free_port,
    rate_arguments,
    running_server,
)
from bench.results import write_results
from loadgen.source.postgres import connect

SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
LOADS: Final[Mapping[str, tuple[str, ...]]] = {
    "two workers": ("--headless", "--processes", "2"),
    "three workers": ("--headless", "--processes", "3"),
    "one process": ("--headless",),
    "page": ("--autostart", "--autoquit", "0", "--processes", "2"),
}
_RUN_SECONDS: Final = 4
_HANGS_AFTER_SECONDS: Final = 180.0
_ORPHAN_AFTER_SECONDS: Final = 30.0
_LOCKED_AFTER_SECONDS: Final = 5.0
_STARTED: Final = "Starting Locust"
_STARTS_WITHIN_SECONDS: Final = 60.0
_INTERRUPTED: Final = 130
_LOCKS: Final = (
    "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
    "WHERE l.locktype = 'advisory' AND d.datname = current_database()"
)


@dataclass(frozen=True, slots=True)
class Try:
    """A load that received a signal, and its end; no `faults` if all was well."""

    load: str
    signals: list[str]
    at_seconds: float
    exit_code: int | None
    began: bool  # a record
    took_seconds: float  # to end, after the signal
    faults: list[str]


def main() -> int:
    """Run all tries and keep them; 1 if one had a fault."""
    arguments = _arguments()
    # A script's background job, or nohup, ignores them, and its child processes would too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    draw = random.Random(arguments.seed)
    print(f"random seed {arguments.seed}")
    with running_server() as (project, info):
        env = environment(info.dsn)
        shutil.copy(ROOT / "locustfile.py", project)
        seed = [sys.executable, "-m", "loadgen", "seed", "--users", "20000"]
        subprocess.run(seed, cwd=project, env=env, check=True, stdout=subprocess.DEVNULL)
        life = calm_run(project, env)
        print(f"an undisturbed run takes {life:.1f} s", flush=True)
        tries = []
        for turn in range(arguments.tries):
            load = list(LOADS)[turn % len(LOADS)]
            signals = [SIGNALS[turn % len(SIGNALS)]] * draw.choice((1, 1, 1, 2))
            one = interrupt(project, env, load, signals, draw.uniform(0, life))
            tries.append(one)
            print(f"{turn + 1:3} {asdict(one)}", flush=True)
        calm_run(project, env)
    faults = Counter(fault.partition(":")[0] for one in tries for fault in one.faults)
    figures = {
        "passed": not faults,
        "faults": dict(faults),
        "exit_codes": dict(Counter(str(one.exit_code) for one in tries)),
        "longest_seconds": max(one.took_seconds for one in tries),
    }
    print(json.dumps(figures, indent=2))
    write_results(
        "signals",
        {"postgres": info.version, "tries": arguments.tries, "random_seed": arguments.seed}
        | figures
        | {"each": [asdict(one) for one in tries]},
    )
    return 1 if faults else 0


def _arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--tries", type=int, default=40)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    return parser.parse_args()


def calm_run(project: Path, env: Mapping[str, str], load: str = "two workers") -> float:
    """Run a load to its own end; return how long that took. Raises if it fails."""
    process = _start(project, env, load)
    began = time.monotonic()
    try:
        code = process.wait(_HANGS_AFTER_SECONDS)
    finally:
        _kill_group(process.pid)
    if code:
        raise SystemExit(f"an undisturbed run ended with {code}: {_log(project)}")
    return time.monotonic() - began


def interrupt(
    project: Path,
    env: Mapping[str, str],
    load: str,
    signals: Sequence[signal.Signals],
    at_seconds: float,
) -> Try:
    """Start a load, send its group signals `at_seconds` later, and check the remains."""
    dsn = env["DATABASE_URL"]
    before, last_run = rows(dsn), _latest(project)
    process = _start(project, env, load)
    try:
        time.sleep(at_seconds)
        over = process.poll() is not None
        for number in signals:
            if process.poll() is None:
                os.killpg(process.pid, number)
        sent_at = time.monotonic()
        try:
            code: int | None = process.wait(_HANGS_AFTER_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        took = time.monotonic() - sent_at
        faults = _left_behind(process.pid, dsn)
    finally:
        _kill_group(process.pid)
    run = _latest(project)
    began = run is not None and run != last_run
    faults += _wrong_code(code, run if began else None, over=over)
    if began and run is not None:
        faults += _wrong_record(run, before, rows(dsn))
    elif before != rows(dsn):
        faults.append("rows: written without a record")
    if faults:
        print(_log(project), file=sys.stderr)
    names = [number.name for number in signals]
    return Try(load, names, round(at_seconds, 3), code, began, round(took, 2), faults)


def _start(project: Path, env: Mapping[str, str], load: str) -> "subprocess.Popen[bytes]":
    """Start a load in a new process group, with its output in a file; wait for a line."""
    port = str(free_port())
    command = [sys.executable, "-m", "locust", *LOADS[load], "-u", "4", "-t", f"{_RUN_SECONDS}s"]
    if "--processes" in LOADS[load]:
        command += ["--master-bind-port", port, "--master-port", port]
    command += ["--web-port", str(free_port()), *rate_arguments(100)]
    with (project / "locust.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=project,
            env={**env, "METRICS_PORT": str(free_port())},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + _STARTS_WITHIN_SECONDS
    while _STARTED not in _log(project):
        if process.poll() is not None or time.monotonic() > deadline:
            _kill_group(process.pid)
            raise SystemExit(f"Locust does not start: {_log(project)}")
        time.sleep(0.005)
    return process


def _left_behind(group: int, dsn: str) -> list[str]:
    """Return the sessions and processes that a load left behind."""
    faults = []
    deadline = time.monotonic() + _ORPHAN_AFTER_SECONDS
    while (left := _group(group)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if any(process.pid == group for process in left):
        faults.append("hang: the load does not end")
    if orphans := [process.pid for process in left if process.pid != group]:
        faults.append(f"orphan: workers {orphans}")
    with connect(dsn) as connection:
        deadline = time.monotonic() + _LOCKED_AFTER_SECONDS
        while connection.execute(_LOCKS).fetchone() != (0,):
            if time.monotonic() > deadline:
                return [*faults, "lock: the source is not free"]
            time.sleep(0.05)
    return faults


def _group(group: int) -> list[psutil.Process]:
    """Return the processes of a group that have not ended."""
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            ours = os.getpgid(process.pid) == group
        except ProcessLookupError:
            continue
        if ours and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def _kill_group(group: int) -> None:
    for process in _group(group):
        process.kill()


def _wrong_code(code: int | None, run: Mapping[str, Any] | None, *, over: bool) -> list[str]:
    """Return the fault of the exit code; a run may have come to its own end before."""
    if code is None or (code == _INTERRUPTED and not over):
        return []
    ended_by_itself = run is not None and run.get("exit_code") == code
    return [] if code == 0 and ended_by_itself else [f"exit code: {code}"]


def _wrong_record(
    run: Mapping[str, Any], before: Mapping[str, int], after: Mapping[str, int]
) -> list[str]:
    """Return the fault of the record of a run that has begun."""
    if run.get("ended_at") is None:
        return ["record: it has no end"]
    faults = []
    began_to_write = any(totals["offered"] for totals in run["totals"].values())
    if began_to_write and not run["valid"]:
        faults.append(f"invalid: {run['invalid_reason']}")
    if run["valid"] and not began_to_write:
        faults.append("valid: though no arrival had fallen due")
    committed = {name: totals["committed"] for name, totals in run["totals"].items()}
    if committed != {name: after[name] - before[name] for name in after}:
        faults.append("rows: not what the record counts")
    if any(totals["unknown"] for totals in run["totals"].values()):
        faults.append("unknown: writes that were not settled")
    return faults


def _latest(project: Path) -> dict[str, Any] | None:
    path = project / "reports" / "latest" / "run.json"
    if not path.exists():
        return None
    run: dict[str, Any] = json.loads(path.read_text())
    return run


def _log(project: Path) -> str:
    return (project / "locust.log").read_text(errors="replace")


if __name__ == "__main__":
    raise SystemExit(main())
