"""A seeded database and its clones, so that each program works on the same rows."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import sql

from bench.project import ROOT, environment
from loadgen.source.postgres import connect

_ROWS = ("--users", "1000", "--orders", "5000", "--events", "20000")
_NAME = "bench"


def seed(project: Path, dsn: str) -> None:
    """Seed the template with the shop, and give its orders keys that pgbench can compute."""
    seed_workload(project, dsn, *_ROWS)
    with connect(dsn) as connection:
        connection.execute("UPDATE orders SET order_number = md5(id::text)::uuid")
        connection.execute("VACUUM (ANALYZE)")


def seed_workload(project: Path, dsn: str, *arguments: str) -> None:
    """Seed the template as these arguments of `loadgen seed` say."""
    shutil.copy(ROOT / "locustfile.py", project)
    command = [sys.executable, "-m", "loadgen", "seed", *arguments]
    env = environment(dsn)
    subprocess.run(command, cwd=project, env=env, check=True, capture_output=True)
    with connect(dsn) as connection:
        connection.execute("VACUUM (ANALYZE)")


@contextmanager
def cloned(dsn: str, synchronous_commit: str) -> Iterator[str]:
    """Yield the DSN of a database cloned from the template; it is dropped afterwards."""
    server, _, template = dsn.partition("?")[0].rpartition("/")
    name = sql.Identifier(_NAME)
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name)
    with connect(f"{server}/postgres") as admin:
        admin.execute(drop)
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        admin.execute(create.format(name, sql.Identifier(template)))
        commit = sql.SQL("ALTER DATABASE {} SET synchronous_commit = {}")
        admin.execute(commit.format(name, sql.Literal(synchronous_commit)))
        admin.execute("CHECKPOINT")
    try:
        yield f"{server}/{_NAME}"
    finally:
        with connect(f"{server}/postgres") as admin:
            admin.execute(drop)
