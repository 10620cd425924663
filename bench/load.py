"""Writes a second and client CPU a write: Locust against pgbench, alternating on one server.

    python -m bench.load [--rounds 5] [--seconds 10] [--users 8] [--synchronous-commit on]

Both do one commit a write, with the same statements, mix, indexes, triggers and connections.
pgbench goes as fast as it can; Locust is asked for a fifth more than pgbench has just done, so it
goes as fast as it can too, with its schedule, accounting, latencies and record switched on. Each
pair runs back to back in databases cloned from one template; the ratio is taken pair by pair and
the median quoted. Results go to bench/results/.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from psycopg import sql

from bench.project import argument_parser, environment, rate_arguments, running_server
from bench.results import write_results
from loadgen.record_reader import read_samples
from loadgen.source.postgres import connect

_HERE = Path(__file__).parent
_SEED_ROWS = ("--users", "1000", "--orders", "5000", "--events", "20000")
_WARM_UP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Speed:
    """What one program did in one round."""

    writes_per_second: float
    cpu_us_per_write: float


def main() -> int:
    """Run the rounds and print the ratios."""
    arguments = _arguments()
    with running_server() as (project, info):
        _seed(project, info.dsn)
        rounds = [_round(project, info.dsn, arguments) for _ in range(arguments.rounds)]
    _report(rounds, arguments, info.version)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--synchronous-commit", choices=("on", "off"), default="on")
    return parser.parse_args()


def _seed(project: Path, dsn: str) -> None:
    """Seed the template, and give its orders keys that pgbench can compute."""
    shutil.copy(_HERE.parent / "locustfile.py", project)
    command = [sys.executable, "-m", "loadgen", "seed", *_SEED_ROWS]
    env = environment(dsn)
    subprocess.run(command, cwd=project, env=env, check=True, stdout=subprocess.DEVNULL)
    with connect(dsn) as connection:
        connection.execute("UPDATE orders SET order_number = md5(id::text)::uuid")
        connection.execute("VACUUM (ANALYZE)")


def _round(project: Path, dsn: str, arguments: argparse.Namespace) -> tuple[Speed, Speed]:
    with _cloned(dsn, arguments.synchronous_commit) as cloned:
        limit = _pgbench(cloned, arguments)
    with _cloned(dsn, arguments.synchronous_commit) as cloned:
        ours = _locust(project, cloned, limit.writes_per_second * 1.2, arguments)
    print(
        f"pgbench {limit.writes_per_second:8,.0f}/s {limit.cpu_us_per_write:5.1f} us   "
        f"locust {ours.writes_per_second:8,.0f}/s {ours.cpu_us_per_write:5.1f} us   "
        f"ratio {ours.writes_per_second / limit.writes_per_second:.2f}, "
        f"cpu {ours.cpu_us_per_write / limit.cpu_us_per_write:.2f}",
        flush=True,
    )
    return limit, ours


class _cloned:  # noqa: N801 - a context manager read like a function
    """A database cloned from the seeded one, dropped afterwards."""

    def __init__(self, dsn: str, synchronous_commit: str) -> None:
        self._admin = f"{dsn.rpartition('/')[0]}/postgres"
        self._template, self._name = sql.Identifier(dsn.rpartition("/")[2]), "bench"
        self._dsn = f"{dsn.rpartition('/')[0]}/{self._name}"
        self._commit = sql.Literal(synchronous_commit)

    def __enter__(self) -> str:
        name = sql.Identifier(self._name)
        with connect(self._admin) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, self._template))
            commit = sql.SQL("ALTER DATABASE {} SET synchronous_commit = {}")
            admin.execute(commit.format(name, self._commit))
            admin.execute("CHECKPOINT")
        return self._dsn

    def __exit__(self, *_: object) -> None:
        with connect(self._admin) as admin:
            name = sql.Identifier(self._name)
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


def _pgbench(dsn: str, arguments: argparse.Namespace) -> Speed:
    command = [_pgbench_program(), "-n", "-M", "prepared", "-c", str(arguments.users), "-j", "2"]
    command += ["-T", str(arguments.seconds), "-f", str(_HERE / "pgbench.sql"), dsn]
    before = os.times()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    after = os.times()
    cpu = (
        after.children_user - before.children_user + after.children_system - before.children_system
    )
    lines = done.stdout.splitlines()
    (writes,) = (line.split()[-1] for line in lines if "actually processed" in line)
    (tps,) = (line.split()[2] for line in lines if "without initial connection" in line)
    return Speed(float(tps), cpu / int(writes.partition("/")[0]) * 1e6)


def _pgbench_program() -> str:
    found = shutil.which("pgbench")
    if found is None:
        raise SystemExit("pgbench is not installed: apt-get install postgresql-contrib")
    return found


def _locust(project: Path, dsn: str, rate: float, arguments: argparse.Namespace) -> Speed:
    command = [sys.executable, "-m", "locust", "--headless", "-u", str(arguments.users)]
    command += ["-t", f"{arguments.seconds + int(_WARM_UP_SECONDS)}s", "--loglevel", "ERROR"]
    command += rate_arguments(rate)
    process = subprocess.Popen(
        command, cwd=project, env=environment(dsn), stdout=subprocess.DEVNULL
    )
    watched = psutil.Process(process.pid)
    marks: list[tuple[float, float]] = []  # (time, CPU seconds)
    while process.poll() is None:
        times = watched.cpu_times()
        marks.append((time.time(), times.user + times.system))
        time.sleep(0.1)
    if process.returncode not in {0, 4}:  # 4: it was asked for more than it can do, on purpose
        raise SystemExit(f"locust ended with {process.returncode}")
    return _speed(project / "reports" / "latest", marks)


def _speed(run: Path, marks: list[tuple[float, float]]) -> Speed:
    """Take the steady part: from the warm-up's end to the last full sample."""
    totals: dict[float, int] = {}
    for sample in read_samples(run):
        at = sample.time.timestamp()
        totals[at] = totals.get(at, 0) + sample.committed
    times = sorted(totals)
    first = next(at for at in times if at >= times[0] + _WARM_UP_SECONDS - 1)
    last = times[-3]  # the last ones belong to the drain
    writes = totals[last] - totals[first]
    cpu = _cpu_at(marks, last) - _cpu_at(marks, first)
    return Speed(writes / (last - first), cpu / writes * 1e6)


def _cpu_at(marks: list[tuple[float, float]], at: float) -> float:
    return min(marks, key=lambda mark: abs(mark[0] - at))[1]


def _report(rounds: list[tuple[Speed, Speed]], arguments: argparse.Namespace, version: str) -> None:
    speed = [ours.writes_per_second / limit.writes_per_second for limit, ours in rounds]
    cpu = [ours.cpu_us_per_write / limit.cpu_us_per_write for limit, ours in rounds]
    summary = {
        "writes_ratio_median": round(statistics.median(speed), 3),
        "writes_ratio_range": [round(min(speed), 3), round(max(speed), 3)],
        "cpu_ratio_median": round(statistics.median(cpu), 3),
        "cpu_ratio_range": [round(min(cpu), 3), round(max(cpu), 3)],
    }
    print(json.dumps(summary))
    write_results(
        "load",
        {
            "postgres": version,
            "connections": arguments.users,
            "synchronous_commit": arguments.synchronous_commit,
            "seconds": arguments.seconds,
            "rounds": [
                {"pgbench": asdict(limit), "locust": asdict(ours)} for limit, ours in rounds
            ],
            **summary,
        },
    )


if __name__ == "__main__":
    raise SystemExit(main())
