"""Are counters and rows the same after many lost connections? Backends killed under load.

    python -m bench.backend_kills [--kills 200] [--rate 2000] [--seed N]

A load of 8 connections runs once in gevent and once with the compiled loop of the extra `fast`. At
random moments, a third of a second apart on average, the server ends one of its sessions
(pg_terminate_backend), with its work in progress. In the end the record has to be valid, no
write may be unknown, and the committed writes have to equal the rows that the tables gained, by
operation. Results go to bench/results/.
"""

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from bench.kills import rows
from bench.project import (
    argument_parser,
    environment,
    free_port,
    rate_arguments,
    running_server,
    wait_for_run,
)
from bench.results import write_results
from bench.template import seed_workload
from loadgen.source.postgres import connect

_APART_SECONDS: Final = (0.0, 0.6)
_QUIET_SECONDS: Final = 5.0  # at the end
_SESSIONS: Final = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name = 'loadgen' AND query ~* '^(insert|update)'"
)


def main() -> int:
    """Run both loads and keep the results; 1 if counters and rows differ."""
    parser = argument_parser(__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rate", type=float, default=2000, help="writes a second")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    with running_server() as (project, info):
        env = environment(info.dsn) | {"METRICS_PORT": str(free_port())}
        seed_workload(project, info.dsn, "--users", "100000")
        (project / "thresholds.toml").write_text("generator_bottleneck_share = 1.0\n")
        loads = [
            _disturbed(project, env | {"LOAD_LOOP": loop}, arguments.kills, arguments.rate, draw)
            for loop in ("gevent", "compiled")
        ]
    passed = all(load["passed"] for load in loads)
    write_results(
        "backend-kills",
        {"postgres": info.version, **vars(arguments), "passed": passed, "loads": loads},
    )
    return 0 if passed else 1


def _disturbed(
    project: Path, env: dict[str, str], kills: int, rate: float, draw: random.Random
) -> dict[str, Any]:
    """Run a load whose sessions are ended; return the figures of its record, and the rows."""
    before = rows(env["DATABASE_URL"])
    seconds = kills * sum(_APART_SECONDS) / 2 + _QUIET_SECONDS
    command = [sys.executable, "-m", "locust", "--headless", "-u", "8", "-t", f"{seconds:.0f}s"]
    command += ["--loglevel", "WARNING", *rate_arguments(rate)]
    load = subprocess.Popen(command, cwd=project, env=env)
    ended = 0
    try:
        wait_for_run(load, project)
        with connect(env["DATABASE_URL"]) as admin:
            while ended < kills and load.poll() is None:
                time.sleep(draw.uniform(*_APART_SECONDS))
                if pids := [pid for (pid,) in admin.execute(_SESSIONS)]:
                    end = f"SELECT pg_terminate_backend({draw.choice(pids)})"
                    ended += admin.execute(end).fetchone() == (True,)
        load.wait(300)
    finally:
        load.kill()
        load.wait()
    run = json.loads((project / "reports" / "latest" / "run.json").read_text())
    after = rows(env["DATABASE_URL"])
    gained = {name: after[name] - before[name] for name in after}
    committed = {name: totals["committed"] for name, totals in run["totals"].items()}
    unknown = sum(totals["unknown"] for totals in run["totals"].values())
    found = {
        "loop": env["LOAD_LOOP"],
        "killed": ended,
        "exit_code": load.returncode,
        "valid": run["valid"],
        "committed": committed,
        "rows": gained,
        "unknown": unknown,
        "failures": run["failures"],
        "passed": run["valid"] and committed == gained and not unknown and ended > 0,
    }
    print(json.dumps(found, indent=2), flush=True)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
