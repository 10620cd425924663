"""Databases that are imported, priced, seeded and loaded: how near the models come to them.

    python -m bench.imported [--seconds 60] [--only pgbench|archive|wide]

Three databases, on one server with pg_stat_statements:

pgbench's, of scale 20, imported while pgbench writes 200 transactions a second. Aims: an import
takes less than 5 s and writes less than 60 lines; a run of the model writes as many rows to each
table as the statistics say, within 2%, and its tables have the source's rows, within 1%.

The archive of tests/workloads, imported while its own load writes. Aims: a run of the model writes
as many rows to each table, within 5%; it has the source's keys, foreign keys and checks; native
replication copies it right, and verification finds in dlt's copy no faults but those known.

200 tables of 3 TB, as far as the catalogue and the statistics tell. Aims: an import takes less than
10 s and 100 MB, the price of a month 100 MB, and each vendor's bill names the largest tables.

Writes are counted by Postgres (pg_stat_user_tables), not by the load.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE, CompletedProcess, Popen
from typing import Any, NamedTuple

from psycopg import sql

from bench.project import (
    ROOT,
    argument_parser,
    environment,
    free_port,
    running_server,
    wait_for_run,
)
from bench.results import write_results
from loadgen.record.rows import Sample
from loadgen.source.postgres import Connection, connect
from loadgen.workload.read_model import read_model
from tests.archive import LOST_BY_DLT, WORKLOAD, Tools
from tests.polling import wait_for

_DATABASES = ("pgbench", "archive", "wide")
_SCALE = 20
_COUNTED_SECONDS = 3  # after which a backend that ends has counted its writes
_HISTORY_SECONDS = 10  # of pgbench at full speed, so that the history is no small table
_RATE = 200
_MOST_BYTES = 100_000_000
_WRITES = """
SELECT CASE schemaname WHEN 'public' THEN '' ELSE schemaname || '.' END
       || (SELECT relname FROM pg_class WHERE oid = coalesce(pg_partition_root(s.relid), s.relid)),
       sum(n_tup_ins + n_tup_upd + n_tup_del)::int8
FROM pg_stat_user_tables s GROUP BY 1
"""
_CONSTRAINTS = """
SELECT contype::text, count(*) FROM pg_constraint
WHERE contype IN ('p', 'u', 'f', 'c') AND connamespace::regnamespace::text !~ '^(pg_|information)'
  AND conrelid <> 0 AND conrelid::regclass::text !~ 'loadgen_'
GROUP BY 1
"""


def main() -> int:
    """Run the three and print the figures; 1 if an aim is missed."""
    parser = argument_parser(__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--only", choices=_DATABASES)
    arguments = parser.parse_args()
    measures = dict(zip(_DATABASES, (_pgbench, _archive, _wide), strict=True))
    options = {"shared_preload_libraries": "pg_stat_statements"}
    with running_server(options) as (project, info):
        shutil.copy(ROOT / "locustfile.py", project)
        outcome: dict[str, dict[str, Any]] = {}
        for name in [arguments.only] if arguments.only else _DATABASES:
            outcome[name] = measures[name](project, info.dsn, arguments)
            for figure, value in outcome[name].items():
                print(f"{name} {figure}: {value}", flush=True)
    passed = all(all(figures["aims"].values()) for figures in outcome.values())
    facts = {"postgres": info.version, **vars(arguments), "passed": passed, **outcome}
    write_results("imported", facts)
    return 0 if passed else 1


# --- The three databases --------------------------------------------------------------------------


def _pgbench(project: Path, server_dsn: str, arguments: Namespace) -> dict[str, Any]:
    program = shutil.which("pgbench")
    if program is None:
        raise SystemExit("pgbench is not installed: apt-get install postgresql-contrib")
    seconds = str(arguments.seconds + 60)
    with _database(server_dsn, "bank") as source, connect(source) as conn:
        subprocess.run([program, "-iq", "-s", str(_SCALE), source], check=True, capture_output=True)
        at_full_speed = ["-n", "-c", "4", "-T", str(_HISTORY_SECONDS), source]
        subprocess.run([program, *at_full_speed], check=True, capture_output=True)
        _forget_statistics(conn)
        command = [program, "-n", "-c", "4", "-R", str(_RATE), "-T", seconds, source]
        with Popen(command, stdout=PIPE, stderr=PIPE) as bench:
            time.sleep(arguments.seconds)
            rows = _rows(conn)
            imported = _import(project, source, "bank_model")
            grown = _rows(conn)  # the import read the statistics at some time in between
            bench.terminate()
    with _database(server_dsn, "bank_copy") as copy, connect(copy) as conn:
        _seed(project, copy, "bank_model")
        seeded = _rows(conn)
        writes = _loaded(project, copy, conn, "bank_model", arguments.seconds)
    differences = {
        name: round(seeded[name] / min(max(seeded[name], rows[name]), grown[name]) - 1, 4)
        for name in rows
    }
    return {
        "aims": {
            "imported in 5 s": imported["seconds"] < 5,
            "60 lines": imported["lines"] < 60,
            "writes within 2%": _within(writes, 0.02),
            "rows within 1%": all(abs(share) <= 0.01 for share in differences.values()),
        },
        "import": imported,
        "rows_differ_by": differences,
        "writes": writes,
    }


def _archive(project: Path, server_dsn: str, arguments: Namespace) -> dict[str, Any]:
    with _database(server_dsn, "archive") as source, connect(source) as conn:
        _seed(project, source, str(WORKLOAD))
        _forget_statistics(conn)
        with _load(project, source, str(WORKLOAD), arguments.seconds + 30) as load:
            time.sleep(arguments.seconds)
            imported = _import(project, source, "archive_model")
            load.terminate()
        constraints = _counts(conn, _CONSTRAINTS)
    with _database(server_dsn, "archive_copy") as copy, connect(copy) as conn:
        _seed(project, copy, "archive_model")
        env = environment(copy) | {"WORKLOAD": "archive_model", "METRICS_PORT": str(free_port())}
        tools = Tools(project, partial(_loadgen, project), env)
        try:
            tools.run("start")
            for name in ("cdc", "cursor"):
                wait_for(partial(tools.last_received, name), f"the first copy of {name}", 120)
            writes = _loaded(project, copy, conn, "archive_model", arguments.seconds)
            replicated = tools.verified("cdc", "--lag", "1")
            tools.sync_again("cursor")
            by_dlt = tools.verified("cursor", "--lag", "1")
        finally:
            for name in ("cdc", "cursor"):
                tools.run("remove", name)
        valid = _loadgen(project, "validate", env=env)
        lost = {(f["table"], f["column"], f["kind"]) for f in by_dlt["findings"]}
        return {
            "aims": {
                "writes within 5%": _within(writes, 0.05),
                "keys, foreign keys and checks are the source's": constraints
                == _counts(conn, _CONSTRAINTS),
                "replication is right": not replicated["findings"],
                "dlt lost what it is known to lose": lost <= LOST_BY_DLT,
                "validate finds nothing": valid.returncode == 0,
            },
            "import": imported,
            "writes": writes,
            "constraints": constraints,
            "verdicts": {"replication": replicated["verdict"], "dlt": by_dlt["verdict"]},
            "lost_by_dlt": sorted(map(str, lost)),
        }


def _wide(project: Path, server_dsn: str, _: Namespace) -> dict[str, Any]:
    with _database(server_dsn, "wide") as source:
        with connect(source) as conn:
            conn.execute(Path(__file__).with_name("imported_wide.sql").read_bytes())
        imported = _import(project, source, "wide_model")
    env = _no_source() | {"WORKLOAD": "wide_model"}
    priced = _measured(project, "costs", "--expected", "--json", env=env)
    vendors: dict[str, Any] = json.loads(priced.output)["month"]["vendors"]
    named = {
        vendor: [each["table"].rpartition("_")[2] for each in month["tables"][:3]]
        for vendor, month in vendors.items()
        if month["tables"]
    }
    return {
        "aims": {
            "imported in 10 s": imported["seconds"] < 10,
            "imported in 100 MB": imported["peak_bytes"] < _MOST_BYTES,
            "priced in 100 MB": priced.peak_bytes < _MOST_BYTES,
            "every vendor's bill names the largest tables": bool(named)
            and all(ranks == ["1", "2", "3"] for ranks in named.values()),
        },
        "import": imported,
        "price": {"seconds": round(priced.seconds, 2), "peak_bytes": priced.peak_bytes},
        "ranks_of_named_tables": named,
    }


# --- Shared by all three --------------------------------------------------------------------------


class _Measured(NamedTuple):
    """A command's output, time and memory."""

    output: str
    seconds: float
    peak_bytes: int


def _measured(project: Path, *arguments: str, env: Mapping[str, str]) -> _Measured:
    """Run a command of ours; exits if it fails."""
    began = time.monotonic()
    command = [sys.executable, "-m", "loadgen", *arguments]
    with Popen(command, cwd=project, env=env, stdout=PIPE) as process:
        assert process.stdout is not None
        output = process.stdout.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"loadgen {arguments[0]} ended with {process.returncode}")
    return _Measured(output, time.monotonic() - began, used.ru_maxrss * 1024)


def _no_source() -> dict[str, str]:
    env = environment("")
    del env["DATABASE_URL"]
    return env


def _import(project: Path, dsn: str, out: str) -> dict[str, Any]:
    imported = _measured(project, "workload", "import", dsn, "--out", out, env=_no_source())
    return {
        "seconds": round(imported.seconds, 2),
        "peak_bytes": imported.peak_bytes,
        "lines": len((project / out / "workload.toml").read_text().splitlines()),
    }


@contextmanager
def _database(server_dsn: str, name: str) -> Iterator[str]:
    """Yield the DSN of a new database on the server, with pg_stat_statements; it is dropped."""
    place, _, options = server_dsn.partition("?")
    identifier = sql.Identifier(name)
    with connect(server_dsn) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
    dsn = f"{place.rpartition('/')[0]}/{name}?{options}"
    try:
        with connect(dsn) as conn:
            conn.execute("CREATE EXTENSION pg_stat_statements")
        yield dsn
    finally:
        with connect(server_dsn) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


def _loadgen(project: Path, *arguments: str, env: Mapping[str, str]) -> CompletedProcess[str]:
    command = [sys.executable, "-m", "loadgen", *arguments]
    return subprocess.run(
        command, cwd=project, env=env, capture_output=True, text=True, check=False
    )


def _seed(project: Path, dsn: str, workload: str) -> None:
    done = _loadgen(project, "seed", env=environment(dsn) | {"WORKLOAD": workload})
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


@contextmanager
def _load(project: Path, dsn: str, workload: str, seconds: int) -> Iterator["Popen[bytes]"]:
    """Yield a load under way."""
    command = [sys.executable, "-m", "locust", "--headless", "-u", "8", "-t", f"{seconds}s"]
    shutil.rmtree(project / "reports", ignore_errors=True)
    env = environment(dsn) | {"WORKLOAD": workload, "METRICS_PORT": str(free_port())}
    with (
        (project / "load.log").open("wb") as log,
        Popen(command, cwd=project, env=env, stdout=log, stderr=log) as load,
    ):
        try:
            wait_for_run(load, project)
            yield load
        finally:
            load.wait()


def _loaded(
    project: Path, dsn: str, conn: Connection, workload: str, seconds: int
) -> dict[str, Any]:
    """Return the rows that a load wrote by table, and those expected by the statistics."""
    imported = read_model(str(project / workload)).imported
    assert imported is not None
    before = _counts(conn, _WRITES)
    with _load(project, dsn, workload, seconds):
        pass
    run = json.loads((project / "reports" / "latest" / "run.json").read_text())
    samples = list(Sample.read(project / "reports" / "latest"))
    if not all(sample.balanced() for sample in samples):
        raise SystemExit(f"the run of {workload} breaks the law")
    if not run["valid"]:  # its latencies may be useless on a busy machine, its writes count
        print(f"the run of {workload} is not valid: {run['invalid_reason']}", flush=True)
    time.sleep(_COUNTED_SECONDS)
    after = _counts(conn, _WRITES)
    return {
        name: {
            "rows": after.get(name, 0) - before.get(name, 0),
            "expected": round((table.writes or 0) * run["duration_seconds"] / 3600),
        }
        for name, table in imported.tables.items()
    }


def _within(writes: Mapping[str, Any], share: float) -> bool:
    return any(table["expected"] for table in writes.values()) and all(
        abs(table["rows"] - table["expected"]) <= share * table["expected"]
        for table in writes.values()
    )


def _forget_statistics(conn: Connection) -> None:
    conn.execute("VACUUM (ANALYZE)")
    conn.execute("SELECT pg_stat_reset()")
    conn.execute("SELECT pg_stat_statements_reset()")


def _rows(conn: Connection) -> dict[str, int]:
    tables = conn.execute(
        "SELECT schemaname, tablename FROM pg_tables"
        " WHERE schemaname = 'public' AND tablename LIKE 'pgbench%'"
    ).fetchall()
    rows = {}
    for schema, table in tables:
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
        ((rows[table],),) = conn.execute(query).fetchall()
    return rows


def _counts(conn: Connection, query: str) -> dict[str, int]:
    return dict(conn.execute(query.encode()).fetchall())


if __name__ == "__main__":
    raise SystemExit(main())
