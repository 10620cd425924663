"""The cost of each local tool to the source, alone, compared with the same load without a tool.

    python -m bench.source_cost [--seconds 60] [--rate 500] [--rounds 3]

Each round has a load without a tool, the control, and one beside each tool, all on clones of one
database. A tool's first copy is complete before. Figures are of a window that begins one interval
after the load, so that each tool reads an equally long time of writes in it.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
import tomllib
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NamedTuple

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
from bench.template import cloned, seed_workload
from loadgen.config.settings import load_settings
from loadgen.record.folder import find_run
from loadgen.record.run import Run
from loadgen.source.environment import resources_used
from loadgen.source.postgres import Connection, connect
from loadgen.tools.runners.lifecycle import remove_tool, start_tool, status_of
from loadgen.tools.runners.processes import ProcessMeter
from loadgen.tools.runners.runners import runner_of
from loadgen.tools.tools_file import Tool, parse_tools
from tests.polling import wait_for

# Sessions but for the one that looks, the age of the oldest transaction, and what slots keep.
_LOOK: Final = """
SELECT count(*) FILTER (WHERE backend_type IN ('client backend', 'walsender')),
       coalesce(extract(epoch FROM max(now() - xact_start)
                FILTER (WHERE backend_type = 'client backend')), 0)::float,
       (SELECT coalesce(max(pg_current_wal_lsn() - restart_lsn), 0) / 1e6
        FROM pg_replication_slots)::float
FROM pg_stat_activity WHERE pid <> pg_backend_pid()
"""
_TOOLS: Final = ROOT / "bench" / "local_tools.toml"
_INTERVAL: Final = 10.0  # seconds between two syncs of a tool, as said there
_SENDERS: Final = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsender'"
_FIRST_COPY_SECONDS: Final = 120.0
_CONTROL: Final = "no tool"


@dataclass(frozen=True, slots=True)
class Cost:
    """One window's figures; cores are processor seconds a second.

    `source` is the whole server, of which `session` are the sessions that ended in the window, and
    those that send WAL: the tool's, and autovacuum's. The load's sessions do not end. `own` is
    what the tool's own processes use.
    """

    source_cores: float
    session_cores: float
    wal_mb_a_minute: float
    sessions_median: float
    sessions_most: int
    oldest_transaction_seconds: float
    retained_mb_most: float
    service_p95_ms: float | None
    own_cores: float
    own_mb_most: float
    committed: int


def main() -> int:
    """Measure, print and keep; 1 if a load wrote fewer rows than planned."""
    parser = argument_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=500, help="writes a second")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    tools = parse_tools(tomllib.loads(_TOOLS.read_text()), str(_TOOLS))
    costs: dict[str, list[Cost]] = {name: [] for name in (_CONTROL, *(t.name for t in tools))}
    with running_server() as (project, info):
        seed_workload(project, info.dsn, "--users", "10000", "--orders", "20000")
        os.chdir(project)
        shutil.copy(_TOOLS, "tools.toml")
        for tool in tools:
            runner_of(tool).install(tool)
        for number in range(arguments.rounds):
            turn: list[Tool | None] = [None, *tools]
            for each in turn[number % len(turn) :] + turn[: number % len(turn)]:
                with cloned(info.dsn, "on") as dsn:
                    cost = measure(each, project, dsn, arguments)
                name = each.name if each else _CONTROL
                costs[name].append(cost)
                print(f"{name}: {asdict(cost)}", flush=True)
        os.chdir("/")
    wanted = 0.98 * arguments.rate * (arguments.seconds + _INTERVAL)
    passed = all(cost.committed >= wanted for rounds in costs.values() for cost in rounds)
    medians = {name: _medians(rounds) for name, rounds in costs.items()}
    for name, figures in medians.items():
        print(name, figures)
    write_results(
        "source-cost",
        {
            "postgres": info.version,
            **vars(arguments),
            "passed": passed,
            "medians": medians,
            "rounds_of_each": {
                name: [asdict(cost) for cost in each] for name, each in costs.items()
            },
        },
    )
    return 0 if passed else 1


def measure(tool: Tool | None, project: Path, dsn: str, arguments: Namespace) -> Cost:
    """Return the use of the source and the tool while a load writes; None is no tool."""
    os.environ["DATABASE_URL"] = dsn
    with ExitStack() as stack:
        if tool is not None:
            stack.enter_context(_copied(tool))
        connection = stack.enter_context(connect(dsn))
        load = stack.enter_context(_load(project, dsn, arguments))
        time.sleep(_INTERVAL)
        meter, looks, own_mb = ProcessMeter(), [], [0.0]
        before, began = _spent(connection), time.monotonic()
        use = meter.look(runner_of(tool).processes(tool)) if tool else None
        while time.monotonic() - began < arguments.seconds:
            looks.append(_look(connection))
            if tool and (use := meter.look(runner_of(tool).processes(tool))):
                own_mb.append(use.resident_bytes / 1e6)
            time.sleep(0.5)
        after, length = _spent(connection), time.monotonic() - began
        if load.wait(60):
            raise SystemExit(f"the load ended with exit code {load.returncode}")
    run = Run.of(find_run(project / "reports"))
    p95 = run.latency_all.service.p95
    sessions = [look[0] for look in looks]
    return Cost(
        source_cores=round((after.cpu - before.cpu) / length, 4),
        session_cores=round((after.sessions_cpu - before.sessions_cpu) / length, 4),
        wal_mb_a_minute=round((after.wal_bytes - before.wal_bytes) / 1e6 * 60 / length, 1),
        sessions_median=statistics.median(sessions),
        sessions_most=max(sessions),
        oldest_transaction_seconds=round(max(look[1] for look in looks), 2),
        retained_mb_most=round(max(look[2] for look in looks), 1),
        service_p95_ms=None if p95 is None else round(p95 * 1000, 2),
        own_cores=round(use.cpu_seconds / length, 3) if use else 0.0,
        own_mb_most=round(max(own_mb), 1),
        committed=sum(totals.committed for totals in run.totals.values()),
    )


@contextmanager
def _copied(tool: Tool) -> Iterator[None]:
    """Run the tool, its first copy complete; nothing of it is left afterwards."""
    settings = load_settings()
    try:
        start_tool(tool, settings)
        wait_for(
            lambda: status_of(tool).copied, f"the first copy of {tool.name}", _FIRST_COPY_SECONDS
        )
        yield
        if problem := status_of(tool).problem:
            raise SystemExit(f"{tool.name}: {problem}")
    finally:
        remove_tool(tool, settings)


@contextmanager
def _load(project: Path, dsn: str, arguments: Namespace) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a load that has begun, and ends some seconds after the window."""
    shutil.rmtree(project / "reports", ignore_errors=True)
    length = _INTERVAL + arguments.seconds + 3
    env = environment(dsn) | {"METRICS_PORT": str(free_port())}
    command = [sys.executable, "-m", "locust", "--headless", "-u", "8", "-t", f"{length:.0f}s"]
    command += ["--loglevel", "WARNING", *rate_arguments(arguments.rate)]
    with subprocess.Popen(command, cwd=project, env=env, stdout=subprocess.DEVNULL) as load:
        try:
            wait_for_run(load, project)
            yield load
        finally:
            load.terminate()


class _Spent(NamedTuple):
    """Processor seconds of the server, of its ended sessions and WAL senders, and its WAL."""

    cpu: float
    sessions_cpu: float
    wal_bytes: int


def _spent(connection: Connection) -> _Spent:
    """Return the server's use of resources."""
    spent = resources_used(connection)
    if spent.cpu_seconds is None or spent.wal_bytes is None:
        raise SystemExit("Linux only: the server's processor time is not known")
    postmaster = psutil.Process(connection.info.backend_pid).parent()
    if postmaster is None:
        raise SystemExit("the source is no server of this machine")
    ended = postmaster.cpu_times()
    senders = connection.execute(_SENDERS).fetchall()
    sending = sum(sum(psutil.Process(pid).cpu_times()[:2]) for (pid,) in senders)
    return _Spent(
        spent.cpu_seconds, ended.children_user + ended.children_system + sending, spent.wal_bytes
    )


def _look(connection: Connection) -> tuple[int, float, float]:
    (row,) = connection.execute(_LOOK).fetchall()
    return row[0], row[1], row[2]


def _medians(costs: Sequence[Cost]) -> Mapping[str, float | None]:
    """Return each figure's median over the rounds."""
    columns = [asdict(cost) for cost in costs]
    return {
        name: None if None in (each := [row[name] for row in columns]) else statistics.median(each)
        for name in columns[0]
    }


if __name__ == "__main__":
    raise SystemExit(main())
