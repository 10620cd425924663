"""How often a copy shows a part of a transaction, by tool, while a load runs.

    python -m bench.torn_reads [--seconds 90] [--rate 200]

The workload is `transfers`: each raises what its account sent and inserts its amount, in one
transaction, so that two sums of two tables agree between transactions. Four local tools copy the
tables, and the watch reads the sums at each copy and at the source.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.project import ROOT, argument_parser, environment, free_port, running_server
from bench.results import write_results
from loadgen.record.folder import find_run
from loadgen.record.rows import SumsSample
from loadgen.record.verify import Verification
from loadgen.report.analysis.consistency import SOURCE, SumsReads, reads_by_tool
from loadgen.tools.runners.abilities import ABILITIES, NO_TORN_READ, TORN_BY_TABLE

_LOADGEN = [sys.executable, "-m", "loadgen"]
_FOUND = (0, 1)  # exit codes of `verify`: 1 if a copy is wrong, as one that sees no deletes


def main() -> int:
    """Measure, print and keep; 1 if a tool did not behave as expected."""
    parser = argument_parser(__doc__)
    parser.add_argument("--seconds", type=int, default=90)
    parser.add_argument("--rate", type=int, default=200, help="transfers a second")
    arguments = parser.parse_args()
    with running_server() as (project, info):
        shutil.copy(ROOT / "locustfile.py", project)
        shutil.copy(ROOT / "bench" / "local_tools.toml", project / "tools.toml")
        env = environment(info.dsn) | {
            "WORKLOAD": "transfers",
            "METRICS_PORT": str(free_port()),
            "WATCH_PORT": str(free_port()),
            "MARKER_INTERVAL_SECONDS": "2",
        }

        def perform(*command: str) -> None:
            done = subprocess.run(command, cwd=project, env=env, check=False)
            if done.returncode not in _FOUND:
                raise SystemExit(f"{' '.join(command)} ended with exit code {done.returncode}")

        perform(*_LOADGEN, "seed")
        perform(*_LOADGEN, "tools", "install")
        try:
            perform(*_LOADGEN, "tools", "start", "--wait", "120")
            load = ["-m", "locust", "--headless", "-u", "8", "-t", f"{arguments.seconds}s"]
            with _watch(project, env):
                perform(sys.executable, *load, "--transfer-per-hour", str(arguments.rate * 3600))
                perform(*_LOADGEN, "verify", "--drain")
        finally:
            perform(*_LOADGEN, "tools", "remove")
        folder = find_run(project / "reports")
        reads = reads_by_tool(SumsSample.read(folder))
        verdicts = {name: tool.verdict for name, tool in Verification.of(folder).tools.items()}
    figures = {name or "the source": _figures(of) for name, of in reads.items()}
    torn = {name: bool(of.count().torn) for name, of in reads.items()}
    expected = {SOURCE: False} | {
        name: does.torn_reads == TORN_BY_TABLE
        for name, does in ABILITIES.items()
        if does.torn_reads in (NO_TORN_READ, TORN_BY_TABLE)
    }
    passed = torn.keys() == {SOURCE, *ABILITIES} and expected.items() <= torn.items()
    result = {
        "postgres": info.version,
        "seconds": arguments.seconds,
        "transfers_per_second": arguments.rate,
        "reads": figures,
        "verdicts": verdicts,
        "passed": passed,
    }
    print(json.dumps(result, indent=2))
    write_results("torn-reads", result)
    return 0 if passed else 1


@contextmanager
def _watch(project: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Run a watch for the length of the block."""
    with subprocess.Popen([*_LOADGEN, "watch", "--interval", "2"], cwd=project, env=env) as watch:
        try:
            yield
        finally:
            watch.terminate()


def _figures(reads: SumsReads) -> dict[str, object]:
    return {**reads.count()._asdict(), "most_apart": max(reads.differences.values(), default=0)}


if __name__ == "__main__":
    raise SystemExit(main())
