"""Is a copy right after a SIGKILL at any moment? The runner simplyload, killed again and again.

    python -m bench.simplyload_kills [--kills 60] [--seed N]

Meanwhile sessions write: hard deletes, moved keys, values out of line, TRUNCATE, equal rows without
a key, and transactions that commit late. The tool's process gets a SIGKILL at a random moment of
its first copy or of a batch. Then it syncs to the end, and every row and column of the copy is
compared with the source. Each fourth time it begins with a new first copy. At the end the tool is
removed: no slot and no file may be left.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

from bench.project import argument_parser, environment, running_server
from bench.results import write_results
from bench.template import seed_workload
from loadgen.config.settings import load_settings
from loadgen.errors import SourceError
from loadgen.source.postgres import connect
from loadgen.tools.readers.factory import open_copy
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.runners import background
from loadgen.tools.runners.simplyload import runner
from loadgen.tools.runners.simplyload.pipe import open_pipe
from loadgen.tools.source_tables import published_tables
from loadgen.tools.tools_file import Tool, parse_tools
from loadgen.verify.reconcile import VerifyOptions, reconcile

TOOLS: Final = """
[tools.pipe]
kind = "simplyload"
destination = "duckdb"
runner = "simplyload"
interval_seconds = 0.1
"""
_TABLES: Final = """
CREATE TABLE wide (a integer, b text, doc text, n numeric(12,3), at timestamptz DEFAULT now(),
                   PRIMARY KEY (a, b));
ALTER TABLE wide ALTER doc SET STORAGE EXTERNAL;
INSERT INTO wide SELECT k, 'k', repeat('x', 3000) || k, k FROM generate_series(1, 3000) k;
CREATE TABLE equal_rows (word text, n integer);
ALTER TABLE equal_rows REPLICA IDENTITY FULL;
CREATE TABLE emptied (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n integer);
ALTER PUBLICATION loadgen ADD TABLE wide, equal_rows, emptied;
"""
# Weighted; {k} is a random row's key, {n} a random number.
_WRITES: Final = (
    (20, "UPDATE wide SET n = {n} WHERE a = {k}"),
    (5, "UPDATE wide SET doc = repeat('y', 3000) || {n} WHERE a = {k}"),
    (5, "DELETE FROM wide WHERE a = {k}"),
    (5, "INSERT INTO wide VALUES ({k}, 'k', repeat('z', 3000), {n}) ON CONFLICT DO NOTHING"),
    (5, "UPDATE wide SET b = b || 'm' WHERE a = {k}"),
    (5, "UPDATE wide SET a = a + 5000 WHERE a = {k} AND b <> 'k'"),
    (1, "UPDATE wide SET n = n + 1 WHERE a % 10 = {n} % 10"),
    (10, "INSERT INTO equal_rows SELECT 'w' || {n} % 3, {n} % 2 FROM generate_series(1, 3)"),
    (4, "DELETE FROM equal_rows WHERE ctid IN (SELECT ctid FROM equal_rows LIMIT 3 OFFSET {n})"),
    (4, "UPDATE equal_rows SET n = {n} % 5 WHERE word = 'w' || {n} % 3 AND n = 0"),
    (10, "INSERT INTO emptied (n) VALUES ({n})"),
    (1, "TRUNCATE emptied"),
    (20, "UPDATE orders SET status = 'n' || {n} WHERE id = {k}"),
    (2, "DELETE FROM events WHERE id = {k}"),
)  # fmt: skip
_SESSIONS: Final = 4
_MOST_FAILURES: Final = 5  # in a row, until a sync counts as impossible
_LIFE_SECONDS: Final = (0.0, 2.5)  # after the process holds its pid file


def main() -> int:
    """Kill, verify and print; 1 if a copy was not right, or something is left at the end."""
    parser = argument_parser(__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    with running_server() as (project, info):
        seed_workload(project, info.dsn, "--users", "500", "--orders", "2000", "--events", "8000")
        with connect(info.dsn) as connection:
            connection.execute(_TABLES.encode())
        os.chdir(project)
        Path("tools.toml").write_text(TOOLS, encoding="utf-8")
        (tool,) = parse_tools(tomllib.loads(TOOLS), "tools.toml")
        settings = load_settings({"database_url": info.dsn})
        killed_after: Counter[str] = Counter()
        wrong = []
        began = time.monotonic()
        for number in range(arguments.kills):
            if number % 4 == 0:
                runner.remove(tool, settings)
            with writing(info.dsn, draw):
                killed_after[killed(tool, info.dsn, draw)] += 1
            findings = differences(tool, info.dsn)
            wrong += [f"kill {number + 1}: {finding}" for finding in findings]
            print(f"kill {number + 1}: {findings or 'right'}", flush=True)
        runner.remove(tool, settings)
        remains = remaining(tool, info.dsn)
        os.chdir("/")
    figures: dict[str, object] = {
        "postgres": info.version,
        "random_seed": arguments.seed,
        "kills": arguments.kills,
        "last_point_before_the_kill": dict(killed_after),
        "copies_that_were_wrong": wrong,
        "left_after_remove": remains,
        "seconds": round(time.monotonic() - began),
        "passed": not wrong and not remains,
    }
    print(json.dumps(figures, indent=2))
    write_results("simplyload-kills", figures)
    return 0 if figures["passed"] else 1


@contextmanager
def writing(dsn: str, draw: random.Random) -> Iterator[None]:
    """Let several sessions write for the length of the block; some of them commit late."""
    stopped = threading.Event()
    seeds = [draw.random() for _ in range(_SESSIONS)]
    threads = [threading.Thread(target=_write, args=(dsn, seed, stopped)) for seed in seeds]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def _write(dsn: str, seed: float, stopped: threading.Event) -> None:
    draw = random.Random(seed)
    weights = [weight for weight, _ in _WRITES]
    with connect(dsn) as connection:
        while not stopped.is_set():
            try:
                with connection.transaction():
                    for _, statement in draw.choices(_WRITES, weights, k=draw.randint(1, 8)):
                        names = {"k": draw.randint(1, 3000), "n": draw.randint(0, 999)}
                        connection.execute(statement.format(**names).encode())
                    stopped.wait(draw.choice((0, 0, 0.01, 0.2)))
            except (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation):
                continue  # such a transaction leaves nothing


def killed(tool: Tool, dsn: str, draw: random.Random) -> str:
    """Run the tool's process, kill it at a random moment, and return its last point before."""
    tool.folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-W", "ignore", "-m", runner.MODULE, tool.name, "--trace"]
    log = tool.folder / "traced.log"
    with log.open("w+") as output:
        process = subprocess.Popen(command, env=environment(dsn), stdout=output)
        try:
            while process.poll() is None and background.running(tool.folder) is None:
                time.sleep(0.02)
            time.sleep(draw.uniform(*_LIFE_SECONDS))
        finally:
            process.send_signal(signal.SIGKILL)
            code = process.wait()
        if code != -signal.SIGKILL:
            raise SystemExit(f"the tool's process ended with {code} before it was killed")
        points = [line for line in log.read_text().splitlines() if "Z " not in line]
    log.unlink()
    return points[-1] if points else "before the first point"


def differences(tool: Tool, dsn: str) -> list[str]:
    """Sync until the slot has no more, and return the differences between source and copy."""
    pipe, more, failures = open_pipe(tool, load_settings({})), True, 0
    while more:
        try:
            rows, more = pipe.sync(dsn)
        except SourceError as exc:  # as the tool's process does, which tries again
            failures += 1
            print(f"  sync failed: {exc}", flush=True)
            if failures == _MOST_FAILURES:
                return [f"no sync succeeds: {exc}"]
            time.sleep(1)
            continue
        more = more or bool(rows)
    source, reader = PostgresReader(dsn, is_source=True), open_copy(tool, load_settings({}))
    try:
        outcome = reconcile(tool, source, published_tables(source), reader, VerifyOptions())
    finally:
        source.close()
        reader.close()
    findings = [f"{f.table} {f.key} {f.column} {f.kind}" for f in outcome.findings]
    return (
        findings
        + list(outcome.problems)
        + ([] if outcome.verdict == "right" else [outcome.verdict])
    )


def remaining(tool: Tool, dsn: str) -> list[str]:
    """Return slots and files that are left."""
    with connect(dsn) as connection:
        slots = connection.execute("SELECT slot_name::text FROM pg_replication_slots").fetchall()
    return [row[0] for row in slots] + [str(file) for file in tool.folder.rglob("*")]


if __name__ == "__main__":
    raise SystemExit(main())
