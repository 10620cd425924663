r"""Rows a second of `loadgen seed` against `psql \copy`, alternating on one server.

    python -m bench.seed [--rounds 3] [--users 100000 --orders 500000 --events 2000000] [--memory]

psql copies ready text files of the very same rows into a migrated database, so with its indexes
and constraints in place, users then orders then events. `loadgen seed` is timed as a person runs
it, from the start of the process to its end, Faker, indexes, foreign keys and statistics included.
The median of the rounds' ratios is quoted; results go to bench/results/. `--memory` compares the
peak memory of seeding 100 thousand and 10 million rows instead.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from psycopg import sql

from bench.project import argument_parser, environment, running_server
from bench.results import write_results
from loadgen.source.postgres import connect
from loadgen.source.schema import migrate
from loadgen.workload.read_model import read_model

TABLES = ("users", "orders", "events")
_FINGERPRINT = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {} t"
_SMALL, _LARGE = ("4000", "16000", "80000"), ("400000", "1600000", "8000000")


@dataclass(frozen=True, slots=True)
class Seeding:
    """One `loadgen seed`, from the start of its process to its end."""

    seconds: float
    cpu_seconds: float
    peak_rss_mib: float
    phases: dict[str, float]  # seconds by phase


def main() -> int:
    """Run the rounds and print the ratios."""
    arguments = _arguments()
    with running_server() as (project, info):
        measure = _memory if arguments.memory else _speed
        figures = measure(project, info.dsn, arguments)
    print(json.dumps(figures))
    name = "seed-memory" if arguments.memory else "seed"
    write_results(name, {"postgres": info.version, **figures})
    return 0


def _arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--users", default="100000")
    parser.add_argument("--orders", default="500000")
    parser.add_argument("--events", default="2000000")
    parser.add_argument("--memory", action="store_true")
    return parser.parse_args()


def _speed(project: Path, dsn: str, arguments: argparse.Namespace) -> dict[str, object]:
    counts = (arguments.users, arguments.orders, arguments.events)
    rows = sum(map(int, counts))
    with _database(dsn, "seeded") as seeded:
        _seed(project, seeded, counts)
        _dump(project, seeded)
        expected = _fingerprint(seeded)
    limits: list[float] = []
    ours: list[Seeding] = []
    for _ in range(arguments.rounds):
        with _database(dsn, "copied") as copied:
            limits.append(_copy(project, copied))
            _require_equal(copied, expected)
        with _database(dsn, "seeded") as seeded:
            ours.append(_seed(project, seeded, counts))
            _require_equal(seeded, expected)
        print(
            f"psql {rows / limits[-1]:9,.0f} rows/s   loadgen {rows / ours[-1].seconds:9,.0f} "
            f"rows/s   ratio {limits[-1] / ours[-1].seconds:.2f}",
            flush=True,
        )
    ratios = [limit / mine.seconds for limit, mine in zip(limits, ours, strict=True)]
    return {
        "rows": dict(zip(TABLES, map(int, counts), strict=True)),
        "psql_seconds": [round(limit, 2) for limit in limits],
        "loadgen": [asdict(mine) for mine in ours],
        "psql_rows_per_second_median": round(rows / statistics.median(limits)),
        "loadgen_rows_per_second_median": round(
            rows / statistics.median(mine.seconds for mine in ours)
        ),
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
    }


def _memory(project: Path, dsn: str, arguments: argparse.Namespace) -> dict[str, object]:  # noqa: ARG001
    peaks: dict[str, float] = {}
    for counts in (_SMALL, _LARGE):
        with _database(dsn, "seeded") as seeded:
            mine = _seed(project, seeded, counts)
        peaks[f"{sum(map(int, counts))} rows"] = mine.peak_rss_mib
        print(f"{sum(map(int, counts)):,} rows: {mine.peak_rss_mib} MiB in {mine.seconds:.0f} s")
    return {"peak_rss_mib": peaks}


@contextmanager
def _database(dsn: str, name: str) -> Iterator[str]:
    """Yield a new, migrated database."""
    new = f"{dsn.rpartition('/')[0]}/{name}"
    identifier = sql.Identifier(name)
    with connect(dsn) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
        with connect(new) as conn:
            migrate(conn, read_model("shop"))
        admin.execute("CHECKPOINT")
    try:
        yield new
    finally:
        with connect(dsn) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


def _seed(project: Path, dsn: str, counts: tuple[str, ...]) -> Seeding:
    command = [sys.executable, "-m", "loadgen", "seed", "--json"]
    for table, count in zip(TABLES, counts, strict=True):
        command += [f"--{table}", count]
    began = time.perf_counter()
    answer = project / "seed.json"
    with answer.open("wb") as stdout:
        process = subprocess.Popen(
            command, cwd=project, env=environment(dsn), stdout=stdout, stderr=subprocess.DEVNULL
        )
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"loadgen seed ended with {process.returncode}")
    return Seeding(
        seconds=round(seconds, 2),
        cpu_seconds=round(used.ru_utime + used.ru_stime, 2),
        peak_rss_mib=round(used.ru_maxrss / 1024, 1),
        phases=json.loads(answer.read_bytes())["seconds"],
    )


def _dump(project: Path, dsn: str) -> None:
    for table in TABLES:
        _psql(dsn, rf"\copy {table} TO '{project / table}.tsv'")


def _copy(project: Path, dsn: str) -> float:
    """Return how many seconds psql takes for the three files."""
    began = time.perf_counter()
    _psql(dsn, *(rf"\copy {table} FROM '{project / table}.tsv'" for table in TABLES))
    return time.perf_counter() - began


def _psql(dsn: str, *commands: str) -> None:
    program = shutil.which("psql")
    if program is None:
        raise SystemExit("psql is not installed: apt-get install postgresql-client")
    command = [program, "-qX", "-v", "ON_ERROR_STOP=1", dsn]
    for one in commands:
        command += ["-c", one]
    subprocess.run(command, check=True)


def _fingerprint(dsn: str) -> list[object]:
    with connect(dsn) as conn:
        queries = [sql.SQL(_FINGERPRINT).format(sql.Identifier(table)) for table in TABLES]
        return [conn.execute(query).fetchone() for query in queries]


def _require_equal(dsn: str, expected: list[object]) -> None:
    if _fingerprint(dsn) != expected:
        raise SystemExit("the rows are not those of the first seeding")


if __name__ == "__main__":
    raise SystemExit(main())
