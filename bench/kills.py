"""Do counters ever fall? Workers killed and started at random, a Prometheus each second.

    python -m bench.kills [--minutes 5] [--rate 300] [--seed N]

A master and two workers run as separate processes, as on several hosts. At random moments one of
the two gets a SIGKILL, and another starts within ten seconds; never both at once, since Locust
stops a test without workers. Every sample in Prometheus of every counter, and of every part of
every histogram, is compared with the one before it: none may be lower. At the end the counters have
to equal the rows that the tables gained.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from bench.project import (
    ROOT,
    argument_parser,
    environment,
    free_port,
    rate_arguments,
    running_server,
    wait_for_run,
)
from bench.prometheus import scraping
from bench.results import write_results
from loadgen.source.postgres import connect

_LIVES_SECONDS = (1.0, 15.0)  # from when both workers have a share to the next kill
_AWAY_SECONDS = (0.0, 10.0)  # until another one is started
_NOTICED_SECONDS = 60.0  # until the loss and the new worker are in the run's journal
_QUIET_SECONDS = 15.0  # at the end
COUNTERS: Final = '{job="load",__name__=~".+_(total|count|sum|bucket)"}'
_COMMITTED = 'loadgen_operations_total{job="load",outcome="committed"}'
_GAINED = {
    "insert_order": "SELECT count(*) FROM orders",
    "insert_event": "SELECT count(*) FROM events",
    "update_order_status": "SELECT coalesce(sum(version), 0)::bigint FROM orders",
    "soft_delete_user": "SELECT count(*) FROM users WHERE deleted_at IS NOT NULL",
}


def main() -> int:
    """Run it and print the findings; 1 if a counter fell, or counters and rows differ."""
    arguments = _arguments()
    with running_server() as (project, info):
        env = environment(info.dsn) | {"METRICS_PORT": str(free_port())}
        shutil.copy(ROOT / "locustfile.py", project)
        seed = [sys.executable, "-m", "loadgen", "seed", "--users", "100000"]
        subprocess.run(seed, cwd=project, env=env, check=True, stdout=subprocess.DEVNULL)
        # Killed workers, on a busy machine, may be the bottleneck: that is not asked here.
        (project / "thresholds.toml").write_text("generator_bottleneck_share = 1.0\n")
        before = rows(info.dsn)
        with scraping(project, int(env["METRICS_PORT"]), "1s") as prometheus:
            kills = _disturbed_run(project, env, arguments)
            series = prometheus.query(f"{COUNTERS}[1d]")
            counted = _newest(prometheus.query(f"{_COMMITTED}[1d]"))
        after = rows(info.dsn)
        run = json.loads((project / "reports" / "latest" / "run.json").read_text())
    gained = {name: after[name] - before[name] for name in _GAINED}
    figures = _figures(series, counted, gained, run)
    print(json.dumps(figures, indent=2))
    asked = {
        "postgres": info.version,
        "minutes": arguments.minutes,
        "writes_per_second": arguments.rate,
        "random_seed": arguments.seed,
        "scrape_interval_seconds": 1,
    }
    told = {"killed_at_seconds": kills, "totals": run["totals"]}
    write_results("kills", asked | figures | {"kills": len(kills)} | told)
    return 0 if figures["passed"] else 1


def _arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rate", type=float, default=300, help="writes a second")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    return parser.parse_args()


def _disturbed_run(
    project: Path, env: dict[str, str], arguments: argparse.Namespace
) -> list[float]:
    """Run the load to its end; return when workers were killed, in seconds from the start."""
    draw = random.Random(arguments.seed)
    port, seconds = str(free_port()), arguments.minutes * 60

    def start(*options: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-m", "locust", *options], cwd=project, env=env)

    def start_worker() -> "subprocess.Popen[bytes]":
        return start("--worker", "--master-port", port, "--loglevel", "ERROR")

    workers = [start_worker(), start_worker()]
    master = ["--master", "--master-bind-port", port, "--expect-workers", "2", "--headless"]
    rates = rate_arguments(arguments.rate)
    load = start(*master, "-u", "8", "-t", f"{seconds:.0f}s", "--loglevel", "WARNING", *rates)
    kills: list[float] = []
    try:
        wait_for_run(load, project)
        began = time.monotonic()
        while time.monotonic() - began < seconds - _QUIET_SECONDS:
            time.sleep(draw.uniform(*_LIVES_SECONDS))
            place = draw.randrange(2)
            workers[place].kill()
            workers[place].wait()
            kills.append(round(time.monotonic() - began, 1))
            time.sleep(draw.uniform(*_AWAY_SECONDS))
            workers[place] = start_worker()
            _wait_until_noticed(project, load, len(kills))
        load.wait(180)
    finally:
        for process in (load, *workers):
            process.kill()
            process.wait()
    return kills


def _wait_until_noticed(project: Path, load: "subprocess.Popen[bytes]", kills: int) -> None:
    """Wait until the run's journal has each kill, and the worker that came instead."""
    deadline = time.monotonic() + _NOTICED_SECONDS
    while load.poll() is None:
        journal = json.loads((project / "reports/latest/run.json").read_text())["journal"]
        kinds = [entry["kind"] for entry in journal]
        if min(kinds.count("worker_lost"), kinds.count("worker_joined")) >= kills:
            return
        if time.monotonic() > deadline:
            raise SystemExit("a worker that was killed is not in the journal after a minute")
        time.sleep(0.2)


def rows(dsn: str) -> dict[str, int]:
    """Return the table rows that the load's counters count."""
    with connect(dsn) as connection:
        found = {name: connection.execute(query).fetchone() for name, query in _GAINED.items()}
    return {name: int(row[0]) for name, row in found.items() if row is not None}


def _newest(series: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {one["metric"]["operation"]: int(one["values"][-1][1]) for one in series}


def falls(series: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return each sample that is lower than its predecessor."""
    return [
        f"{one['metric']}: {before[1]} then {after[1]} at {after[0]}"
        for one in series
        for before, after in pairwise(one["values"])
        if float(after[1]) < float(before[1])
    ]


def _figures(
    series: Sequence[Mapping[str, Any]],
    counted: Mapping[str, int],
    gained: Mapping[str, int],
    run: Mapping[str, Any],
) -> dict[str, Any]:
    found = falls(series)
    for fall in found:
        print(f"fell: {fall}")
    sound = run["valid"] is True and bool(run["journal"]) and bool(series)
    return {
        "passed": sound and not found and counted == gained,
        "series": len(series),
        "samples": sum(len(one["values"]) for one in series),
        "falls": len(found),
        "counted": dict(counted),
        "gained": dict(gained),
        "valid": run["valid"],
        "invalid_reason": run["invalid_reason"],
    }


if __name__ == "__main__":
    raise SystemExit(main())
