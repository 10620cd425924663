r"""`loadgen verify` compared with reladiff, on the same pairs of a source and its copy.

    python -m bench.verify [--rounds 3] [--users 100000 --orders 300000 --events 600000]

A million rows in three tables; Postgres to Postgres and Postgres to DuckDB. verify compares every
column, reladiff as many as it can: with DuckDB it ends with an error if a time is NULL, so it does
not get `deleted_at`. One value of a table is wrong, and each program has to name its key. reladiff
compares one table per run, so it runs three times, as a person would run it. Rounds alternate.
Results go to bench/results/.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from bench.project import ROOT, argument_parser, environment, running_server
from bench.results import write_results
from loadgen.source.postgres import connect

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLES = ("users", "orders", "events")
_RELADIFF = ROOT / ".tools" / "emulators" / "bin" / "reladiff"
# In each table one value is changed, at the key that is named.
FAULTS = {"users": (7, "country = 'XX'"), "orders": (150_000, "quantity = 99"),
           "events": (599_000, "event_type = 'changed'")}  # fmt: skip
# reladiff 0.6.0 takes a NULL time in DuckDB for '' and in Postgres for '<null>', downloads the
# rows, and ends with an error when it sorts them.
_BEYOND_IT = {"duckdb": ("deleted_at",)}
_AIM, _MOST_MIB = 2.0, 500.0
TOOLS = """
[tools.postgres]
kind = "postgres"
destination = "postgres"
url = "{copy}"

[tools.duckdb]
kind = "postgres"
destination = "duckdb"
file = "copy.duckdb"
schema = "main"
"""


@dataclass(frozen=True, slots=True)
class Used:
    """The cost of one comparison: of the processes that were started, without the server's."""

    seconds: float
    cpu_seconds: float
    peak_rss_mib: float


def main() -> int:
    """Run the rounds on both pairs and print the ratios."""
    arguments = _arguments()
    with running_server() as (project, info):
        copy = f"{info.dsn.rpartition('/')[0]}/copy"
        # In a separate process: one that is started from a large one is counted as large.
        preparing = get_context("spawn").Process(
            target=_prepare, args=(project, info.dsn, copy, arguments)
        )
        preparing.start()
        preparing.join()
        if preparing.exitcode:
            return 1
        figures = {
            name: _pair(project, info.dsn, name, other, arguments.rounds)
            for name, other in (("postgres", copy), ("duckdb", f"duckdb://{project}/copy.duckdb"))
        }
    print(json.dumps(figures, indent=2))
    rows = {table: int(getattr(arguments, table)) for table in TABLES}
    write_results("verify", {"postgres": info.version, "rows": rows, "pairs": figures})
    return 0


def _arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--users", default="100000")
    parser.add_argument("--orders", default="300000")
    parser.add_argument("--events", default="600000")
    return parser.parse_args()


def _prepare(project: Path, dsn: str, copy: str, arguments: argparse.Namespace) -> None:
    """Seed the source, make both copies, and spoil them."""
    import duckdb  # noqa: PLC0415 - large, and needed in no other process

    seed_source(project, dsn, arguments)
    (project / "tools.toml").write_text(TOOLS.format(copy=copy))
    with connect(dsn) as admin:
        admin.execute("CREATE DATABASE copy TEMPLATE playground")
        admin.execute("CHECKPOINT")
    with duckdb.connect(str(project / "copy.duckdb")) as file:
        export(project, dsn, file)
    with connect(copy) as conn, duckdb.connect(str(project / "copy.duckdb")) as file:
        conn.execute("SET session_replication_role = replica")
        for table, (key, change) in FAULTS.items():
            spoil = f"UPDATE {table} SET {change} WHERE id = {key}"
            conn.execute(spoil.encode())
            file.execute(spoil)
        conn.execute("VACUUM ANALYZE")


def seed_source(project: Path, dsn: str, arguments: argparse.Namespace) -> None:
    """Seed the source with the rows that the arguments ask for."""
    command = [sys.executable, "-m", "loadgen", "seed"]
    for table in TABLES:
        command += [f"--{table}", getattr(arguments, table)]
    subprocess.run(command, cwd=project, env=environment(dsn), check=True)


def export(project: Path, dsn: str, file: "DuckDBPyConnection") -> None:
    """Make the DuckDB copy, its columns of the same types and its JSON of the same text."""
    types = {"jsonb": "JSON", "timestamp with time zone": "TIMESTAMPTZ", "text": "VARCHAR"}
    query = (
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum"
    )
    with connect(dsn) as conn:
        file.execute("SET TimeZone = 'UTC'")
        for table in TABLES:
            columns = conn.execute(query, (table,)).fetchall()
            listed = ", ".join(f"{name} {types.get(kind, kind)}" for name, kind in columns)
            file.execute(f"CREATE TABLE {table} ({listed})")
            path = project / f"{table}.csv"
            dump = f"COPY {table} TO STDOUT (FORMAT csv, HEADER)".encode()
            with path.open("wb") as out, conn.cursor() as cursor, cursor.copy(dump) as rows:
                out.writelines(rows)
            read = f"read_csv('{path}', header = true, all_varchar = true)"
            file.execute(f"INSERT INTO {table} SELECT * FROM {read}")


def _pair(project: Path, dsn: str, name: str, other: str, rounds: int) -> dict[str, object]:
    ours: list[Used] = []
    theirs: list[Used] = []
    for _ in range(rounds):
        theirs.append(_timed(lambda: _reladiff(dsn, name, other)))
        ours.append(_timed(lambda: _verify(project, dsn, name)))
        print(
            f"{name:<9} reladiff {theirs[-1].seconds:6.2f} s   verify {ours[-1].seconds:6.2f} s   "
            f"ratio {theirs[-1].seconds / ours[-1].seconds:.2f}",
            flush=True,
        )
    ratios = [their.seconds / our.seconds for their, our in zip(theirs, ours, strict=True)]
    peak = max(one.peak_rss_mib for one in ours)
    return {
        "reladiff": [asdict(one) for one in theirs],
        "verify": [asdict(one) for one in ours],
        "ratio_median": round(statistics.median(ratios), 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "passed": statistics.median(ratios) >= _AIM and peak < _MOST_MIB,
    }


def _timed(compare: Callable[[], list[Used]]) -> Used:
    """Return the cost of several processes one after the other."""
    used = compare()
    return Used(
        round(sum(one.seconds for one in used), 2),
        round(sum(one.cpu_seconds for one in used), 2),
        max(one.peak_rss_mib for one in used),
    )


def _verify(project: Path, dsn: str, name: str) -> list[Used]:
    command = ["-m", "loadgen", "verify", "--json", "--tool", name]
    used, said = run([sys.executable, *command], project, environment(dsn))
    findings = json.loads(said)["tools"][name]["findings"]
    found = {(one["table"], int(one["key"])) for one in findings}
    require(found == {(table, key) for table, (key, _) in FAULTS.items()}, said)
    return [used]


def _reladiff(dsn: str, name: str, other: str) -> list[Used]:
    found = []
    for table in TABLES:
        command = [str(_RELADIFF), dsn, table, other, table, "-k", "id"]
        for column in _columns(dsn, table):
            if column not in _BEYOND_IT.get(name, ()):
                command += ["-c", column]
        used, said = run(command, ROOT, {"PATH": os.environ["PATH"]})
        require(str(FAULTS[table][0]) in said, said)
        found.append(used)
    return found


@cache
def _columns(dsn: str, table: str) -> tuple[str, ...]:
    query = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 1"
    with connect(dsn) as conn:
        return tuple(str(row[0]) for row in conn.execute(query, (table,)).fetchall())


def require(is_found: object, output: str) -> None:
    """Exit unless a program found the faults."""
    if not is_found:
        raise SystemExit(f"what was wrong was not found: {output[:2000]}")


def run(command: Sequence[str], folder: Path, env: dict[str, str]) -> tuple[Used, str]:
    """Return the cost of a process, and its output."""
    began = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    cpu = used.ru_utime + used.ru_stime
    return Used(seconds, cpu, round(used.ru_maxrss / 1024, 1)), said


if __name__ == "__main__":
    raise SystemExit(main())
