"""A workload that nothing was written for: counted, copied and verified.

    python -m bench.any_workload [--seconds 60] [--faults 30] [--seed N]

The archive of tests/workloads has ten tables with uuid, text and composite keys and most types of
Postgres. A load of two workers writes 500 of its transactions a second, and one of the workers is
killed in its midst. Two local tools copy the tables. Then faults of random kinds are planted in
replication's copy, and it is verified again and again beside the load, and once after it. The
findings have to be these faults and nothing else, and those of dlt's copy the losses that it is
known for. The law has to hold in every sample, and counters have to equal the rows.
"""

import json
import random
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import psutil

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
from loadgen.source.postgres import connect
from tests.archive import (
    FAULTS,
    LOST_BY_DLT,
    WORKLOAD,
    Place,
    Tools,
    gained,
    places,
    plant,
)
from tests.polling import wait_for

RunLoadgen = Callable[..., CompletedProcess[str]]


def main() -> int:
    """Run it and print the findings; 1 if anything is wrong."""
    parser = argument_parser(__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--faults", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    arguments = parser.parse_args()
    with running_server() as (project, info):
        shutil.copy(ROOT / "locustfile.py", project)
        env = environment(info.dsn) | {
            "WORKLOAD": str(WORKLOAD),
            "METRICS_PORT": str(free_port()),
        }
        run_loadgen = partial(_loadgen, project)
        _require(run_loadgen("seed", env=env))
        tools = Tools(project, run_loadgen, env)
        try:
            tools.run("start")
            for name in ("cdc", "cursor"):
                wait_for(partial(tools.last_received, name), f"the first copy of {name}", 120)
            outcome = _outcome(project, info.dsn, env, tools, arguments)
        finally:
            for name in ("cdc", "cursor"):
                tools.run("remove", name)
    for name, value in outcome.items():
        print(f"{name}: {value}")
    write_results("any-workload", {"postgres": info.version, **vars(arguments), **outcome})
    return 0 if outcome["passed"] else 1


def _loadgen(project: Path, *arguments: str, env: Mapping[str, str]) -> CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadgen", *arguments],
        cwd=project,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def _require(done: CompletedProcess[str]) -> None:
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


@dataclass(frozen=True, slots=True)
class _Looks:
    """Verification's findings in replication's copy, and the faults that were planted there."""

    before: list[Place]
    planted: list[Place]
    beside: list[list[Place]]
    afterwards: list[Place]


def _outcome(
    project: Path, dsn: str, env: Mapping[str, str], tools: Tools, arguments: Namespace
) -> dict[str, Any]:
    """Return the outcome of a load with a worker killed and faults planted."""
    with connect(dsn) as conn:
        ((begin,),) = conn.execute("SELECT now()").fetchall()
    rows_before = gained(dsn, begin)
    looks = _load(project, env, tools, begin, arguments)
    tools.sync_again("cursor")
    findings = tools.verified("cursor", "--lag", "1")["findings"]
    lost = {(f["table"], f["column"], f["kind"]) for f in findings}
    run: dict[str, Any] = json.loads((project / "reports" / "latest" / "run.json").read_text())
    rows = {name: n - rows_before[name] for name, n in gained(dsn, begin).items()}
    samples = list(Sample.read(project / "reports" / "latest"))
    checks = {
        **_checks_of_run(run, rows, samples),
        "nothing is found before there are faults": not looks.before,
        "exactly the faults are found beside the load": bool(looks.beside)
        and all(places_found == looks.planted for places_found in looks.beside),
        "exactly the faults are found afterwards": looks.afterwards == looks.planted,
        "dlt lost what it is known to lose": lost == LOST_BY_DLT,
    }
    return {
        "passed": all(checks.values()),
        "checks": checks,
        "samples": len(samples),
        "verified_beside_the_load": len(looks.beside),
        "planted": looks.planted,
        "missed": sorted(set(looks.planted) - set(looks.afterwards), key=str),
        "false": sorted(set(looks.afterwards) - set(looks.planted), key=str),
        "lost_by_dlt": sorted(lost, key=str),
        "totals": run["totals"],
        "rows": rows,
    }


def _load(
    project: Path, env: Mapping[str, str], tools: Tools, begin: datetime, arguments: Namespace
) -> _Looks:
    """Load, kill a worker, plant the faults, and verify until the load has ended."""

    def verified() -> list[Place]:
        return places(tools.verified("cdc", "--lag", "3")["findings"])

    command = [sys.executable, "-m", "locust", "--headless", "-u", "8", "--processes", "2"]
    command += ["-t", f"{arguments.seconds}s"]
    with (project / "load.log").open("wb") as log:
        load = subprocess.Popen(command, cwd=project, env=env, stdout=log, stderr=log)
        wait_for_run(load, project)
        time.sleep(arguments.seconds / 6)
        psutil.Process(load.pid).children()[0].kill()
        before = verified()
        faults = random.Random(arguments.seed).sample(FAULTS, arguments.faults)
        planted = plant(tools.copy(), faults, begin)
        beside: list[list[Place]] = []
        while load.poll() is None:
            findings = verified()
            if load.poll() is None:
                beside.append(findings)
    return _Looks(before, planted, beside, verified())


def _checks_of_run(
    run: Mapping[str, Any], rows: Mapping[str, int], samples: Sequence[Sample]
) -> dict[str, bool]:
    return {
        "the law holds in every sample": all(sample.balanced() for sample in samples),
        "the run is valid": run["valid"] is True,
        "the killed worker is in the journal": any(
            entry["kind"] == "worker_lost" for entry in run["journal"]
        ),
        "counters equal rows": all(
            totals["committed"] <= rows[name] <= totals["committed"] + totals["unknown"]
            and (totals["unknown"] == 0 or run["proof"][name] == "unproved")
            for name, totals in run["totals"].items()
        ),
    }


if __name__ == "__main__":
    raise SystemExit(main())
