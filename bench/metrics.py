"""The cost of being scraped: the load's CPU time with a Prometheus every 5 s, and without.

    python -m bench.metrics [--rounds 20] [--seconds 10] [--rate 1000] [--users 8]

One load writes 1000 rows a second. For ten seconds each, a real Prometheus scrapes it every 5 s,
another every 0.5 s, or none (the other Prometheus is stopped with SIGSTOP): one process, one
database, rounds back to back, in changing order. The figure compared is the CPU time of the load's
process, all its threads, by Linux's nanosecond clock. Two scrapes cost less than the noise of ten
seconds of writing on a busy machine, so the verdict uses a tenth of the extra cost of ten times as
many. "Off" means that METRICS_PORT listens without requests. There is nothing else to switch off:
metrics are made from the run's own counters, on request.
"""

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

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
from loadgen.record.run import Run

_WARM_UP_SECONDS = 20.0
_OFTEN = 10  # times as often as every 5 s
_MOST = 1.02

Round = Mapping[str, float]  # CPU seconds a second: "off", "5s" and "0.5s"


def main() -> int:
    """Run the load, switch its scrapers on and off, print the ratio; 1 if it is above 1.02."""
    arguments = _arguments()
    with running_server() as (project, info):
        port = free_port()
        env = environment(info.dsn) | {"METRICS_PORT": str(port)}
        shutil.copy(ROOT / "locustfile.py", project)
        seed = [sys.executable, "-m", "loadgen", "seed", "--users", "10000"]
        subprocess.run(seed, cwd=project, env=env, check=True, stdout=subprocess.DEVNULL)
        with (
            scraping(project / "slow", port, "5s") as slow,
            scraping(project / "quick", port, "500ms") as quick,
            subprocess.Popen(_command(arguments), cwd=project, env=env) as load,
        ):
            try:
                wait_for_run(load, project)
                time.sleep(_WARM_UP_SECONDS)
                scrapers = {"5s": slow.process, "0.5s": quick.process}
                rounds = _measure(load, scrapers, arguments)
                load.send_signal(signal.SIGINT)
                load.wait(60)
            finally:
                load.kill()
        run = Run.of(project / "reports" / "latest")
    return _report(rounds, arguments, info.version, valid=run.valid is True)


def _arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10, help="of each third of a round")
    parser.add_argument("--rate", type=float, default=1000, help="writes a second")
    parser.add_argument("--users", type=int, default=8)
    return parser.parse_args()


def _command(arguments: argparse.Namespace) -> list[str]:
    command = [sys.executable, "-m", "locust", "--headless", "-u", str(arguments.users)]
    return [*command, "-t", "24h", "--loglevel", "ERROR", *rate_arguments(arguments.rate)]


def _measure(
    load: "subprocess.Popen[bytes]",
    scrapers: Mapping[str, "subprocess.Popen[bytes]"],
    arguments: argparse.Namespace,
) -> list[Round]:
    """Return the CPU time of each round, whose turns change their order from one to the next."""
    rounds: list[Round] = []
    turns = ["off", *scrapers]
    for _ in range(arguments.rounds):
        found: dict[str, float] = {}
        for turn in turns:
            for name, scraper in scrapers.items():
                scraper.send_signal(signal.SIGCONT if name == turn else signal.SIGSTOP)
            found[turn] = _cpu_over(load.pid, arguments.seconds)
        rounds.append(found)
        turns = [*turns[1:], turns[0]] if len(rounds) % 3 else turns[::-1]
        print("  ".join(f"{name} {found[name]:.4f}" for name in ("off", *scrapers)), flush=True)
    for scraper in scrapers.values():
        scraper.send_signal(signal.SIGCONT)
    return rounds


def _cpu_over(pid: int, seconds: float) -> float:
    """Return the CPU time that a process takes in a second, measured for `seconds`."""
    began, before = time.perf_counter(), _cpu(pid)
    time.sleep(seconds)
    after, ended = _cpu(pid), time.perf_counter()
    return (after - before) / (ended - began)


def _cpu(pid: int) -> float:
    """Return user and system time of all threads that are there, in seconds."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def _report(
    rounds: list[Round], arguments: argparse.Namespace, version: str, *, valid: bool
) -> int:
    direct = [found["5s"] / found["off"] for found in rounds]
    often = [1 + (found["0.5s"] / found["off"] - 1) / _OFTEN for found in rounds]
    ratio = statistics.median(often)
    low, _, high = statistics.quantiles(often, n=4)
    summary = {
        "passed": valid and ratio <= _MOST,
        "ratio_by_tenfold_median": round(ratio, 4),
        "ratio_by_tenfold_quartiles": [round(low, 4), round(high, 4)],
        "ratio_direct_median": round(statistics.median(direct), 4),
        "ratio_direct_quartiles": [round(q, 4) for q in statistics.quantiles(direct, n=4)[::2]],
        "cpu_unscraped_median": round(statistics.median(found["off"] for found in rounds), 4),
    }
    print(json.dumps(summary, indent=2))
    asked = {
        "postgres": version,
        "writes_per_second": arguments.rate,
        "connections": arguments.users,
        "seconds": arguments.seconds,
        "run_valid": valid,
    }
    kept = [{name: round(cpu, 5) for name, cpu in found.items()} for found in rounds]
    write_results("metrics", {**asked, **summary, "rounds": kept})
    return 0 if summary["passed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
