r"""The cost of keys of other types for `loadgen verify`, compared with integers.

    python -m bench.verify_keys [--rounds 5] [--users 100000 --orders 300000 --events 600000]

The million rows of bench.verify, with integers, uuids and texts as keys; the other columns are the
same. Each kind is compared with a copy in Postgres and with one in DuckDB, in which one value of
each table is wrong. Rounds alternate. The result is the median of each round's ratio of the times;
it goes to bench/results/.
"""

import argparse
import json
import sys
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from psycopg import sql

from bench.project import argument_parser, environment, running_server
from bench.results import spread, write_results
from bench.verify import FAULTS, TABLES, TOOLS, Used, export, require, run, seed_source
from loadgen.source.postgres import connect

# SQL for the key that takes an integer's place.
_KEYS: Final = {
    "integer": "{id}",
    "uuid": "md5({id}::text)::uuid",
    "text": "'K-' || md5({id}::text)",
}
_ENGINES: Final = ("postgres", "duckdb")


def main() -> int:
    """Run the rounds and print the ratios."""
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--users", default="100000")
    parser.add_argument("--orders", default="300000")
    parser.add_argument("--events", default="600000")
    arguments = parser.parse_args()
    with running_server() as (project, info):
        # In a separate process: one that is started from a large one is counted as large.
        preparing = get_context("spawn").Process(
            target=_prepare, args=(project, info.dsn, arguments)
        )
        preparing.start()
        preparing.join()
        if preparing.exitcode:
            return 1
        times: dict[str, dict[str, list[Used]]] = {
            engine: {kind: [] for kind in _KEYS} for engine in _ENGINES
        }
        for _ in range(arguments.rounds):
            for engine in _ENGINES:
                for kind in _KEYS:
                    times[engine][kind].append(_verify(project, info.dsn, kind, engine))
                seconds = ", ".join(f"{k} {times[engine][k][-1].seconds:.2f} s" for k in _KEYS)
                print(f"{engine:<9}{seconds}", flush=True)
    figures = {
        engine: {
            kind: spread([o.seconds / i.seconds for o, i in zip(ours, of["integer"], strict=True)])
            for kind, ours in of.items()
        }
        for engine, of in times.items()
    }
    seconds_of = {
        engine: {kind: [one.seconds for one in ours] for kind, ours in of.items()}
        for engine, of in times.items()
    }
    print(json.dumps(figures, indent=2))
    rows = {table: int(getattr(arguments, table)) for table in TABLES}
    result: dict[str, object] = {
        "postgres": info.version,
        "rows": rows,
        "by_integers": figures,
        "seconds": seconds_of,
    }
    write_results("verify-keys", result)
    return 0


def _dsn(dsn: str, database: str) -> str:
    return f"{dsn.rpartition('/')[0]}/{database}"


def _prepare(project: Path, dsn: str, arguments: argparse.Namespace) -> None:
    """Seed the source, and make for each kind of key a source and two spoilt copies."""
    import duckdb  # noqa: PLC0415 - large, and needed in no other process

    seed_source(project, dsn, arguments)
    for kind, key in _KEYS.items():
        with connect(dsn) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE playground").format(_name(kind)))
        with connect(_dsn(dsn, kind)) as conn:
            for table in TABLES if kind != "integer" else ():
                statements = (
                    f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey CASCADE; "
                    f"ALTER TABLE {table} ALTER id DROP IDENTITY IF EXISTS; "
                    f"ALTER TABLE {table} ALTER id TYPE {kind} USING {key.format(id='id')}; "
                    f"ALTER TABLE {table} ADD PRIMARY KEY (id)"
                )
                conn.execute(statements.encode())
            conn.execute("VACUUM ANALYZE")
        with connect(dsn) as admin:
            copy = f"copy_{kind}"
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(_name(copy), _name(kind))
            )
        folder = project / kind
        folder.mkdir()
        (folder / "tools.toml").write_text(TOOLS.format(copy=_dsn(dsn, copy)))
        with (
            connect(_dsn(dsn, copy)) as conn,
            duckdb.connect(str(folder / "copy.duckdb")) as file,
        ):
            export(folder, _dsn(dsn, kind), file)
            for table, (number, change) in FAULTS.items():
                (row,) = conn.execute(f"SELECT {key.format(id=number)}::text".encode()).fetchall()
                spoil = f"UPDATE {table} SET {change} WHERE id = '{row[0]}'"
                conn.execute("SET session_replication_role = replica")
                conn.execute(spoil.encode())
                file.execute(spoil)
            conn.execute("VACUUM ANALYZE")


def _name(database: str) -> sql.Identifier:
    return sql.Identifier(database)


def _verify(project: Path, dsn: str, kind: str, engine: str) -> Used:
    command = [sys.executable, "-m", "loadgen", "verify", "--json", "--tool", engine]
    used, output = run(command, project / kind, environment(_dsn(dsn, kind)))
    findings = json.loads(output)["tools"][engine]["findings"]
    require(sorted(one["table"] for one in findings) == sorted(FAULTS), output)
    return used


if __name__ == "__main__":
    raise SystemExit(main())
