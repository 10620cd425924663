"""Can a load run for days? Memory, page and records, observed for half an hour.

    python -m bench.soak [--minutes 30] [--rate 1000] [--workers 2]

A load with Locust's page and two workers writes 1000 rows a second. Every ten seconds the resident
memory of each process is read, and the page, its statistics and the metrics are fetched. Memory may
grow by less than 1 MiB after the first five minutes (without pruning, Locust's own statistics grow
by 86 MiB in 48 hours), and the page has to stay as fast and as small as at the start.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psutil

from bench.project import (
    ROOT,
    argument_parser,
    environment,
    free_port,
    rate_arguments,
    running_server,
)
from bench.results import write_results

_INTERVAL = 10.0
_SETTLED = 300.0  # seconds after which memory may not grow any more
_MOST = 1.0  # MiB
_PAGES = ("/", "/stats/requests", "/metrics")


@dataclass(frozen=True, slots=True)
class Look:
    """Measurements at one moment; `pages` has seconds and bytes of each."""

    at: float
    rss_mib: list[float]
    pages: dict[str, tuple[float, int]]


def main() -> int:
    """Run the load, observe it, print the findings; 1 if memory grew or the run was invalid."""
    arguments = _arguments()
    with running_server() as (project, info):
        env = environment(info.dsn)
        shutil.copy(ROOT / "locustfile.py", project)
        command = [sys.executable, "-m", "loadgen", "seed", "--users", "100000"]
        subprocess.run(command, cwd=project, env=env, check=True, stdout=subprocess.DEVNULL)
        with _load(project, env, arguments) as (process, addresses):
            looks = _watch(process, addresses, arguments.minutes * 60)
        run = json.loads((project / "reports" / "latest" / "run.json").read_text())
    return _report(looks, run, arguments, info.version)


def _arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=1000, help="writes a second")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


@contextmanager
def _load(
    project: Path, env: dict[str, str], arguments: argparse.Namespace
) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """Run Locust with its page; yield it and the addresses to fetch."""
    web, metrics, master = free_port(), free_port(), str(free_port())
    command = [sys.executable, "-m", "locust", "--autostart", "--autoquit", "3", "-u", "16"]
    command += ["--web-port", str(web), "-t", f"{arguments.minutes * 60:.0f}s"]
    command += ["--processes", str(arguments.workers)]
    command += ["--master-bind-port", master, "--master-port", master]
    command += rate_arguments(arguments.rate)
    addresses = {
        page: f"http://127.0.0.1:{metrics if page == '/metrics' else web}{page}" for page in _PAGES
    }
    with subprocess.Popen(command, cwd=project, env=env | {"METRICS_PORT": str(metrics)}) as load:
        try:
            yield load, addresses
        finally:
            load.terminate()


def _watch(
    process: subprocess.Popen[bytes], addresses: dict[str, str], seconds: float
) -> list[Look]:
    """Look every ten seconds until the load is nearly over, then wait for its end."""
    looks: list[Look] = []
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < seconds - _INTERVAL:
        time.sleep(_INTERVAL - elapsed % _INTERVAL)
        master = psutil.Process(process.pid)
        rss = [round(p.memory_info().rss / 2**20, 3) for p in (master, *master.children())]
        pages = {page: _fetch(address) for page, address in addresses.items()}
        looks.append(Look(round(time.monotonic() - began), rss, pages))
    process.wait(120)
    return looks


def _fetch(address: str) -> tuple[float, int]:
    began = time.perf_counter()
    with urlopen(address, timeout=30) as answer:  # noqa: S310 - our own
        size = len(answer.read())
    return round(time.perf_counter() - began, 4), size


def _report(
    looks: list[Look],
    run: dict[str, object],
    arguments: argparse.Namespace,
    version: str,
) -> int:
    settled = [look.rss_mib for look in looks if look.at >= min(_SETTLED, looks[-1].at / 2)]
    growth = [round(max(column) - column[0], 3) for column in zip(*settled, strict=True)]
    half = len(looks) // 2
    pages = {
        page: {
            part: {
                "seconds_median": statistics.median(look.pages[page][0] for look in some),
                "bytes_last": some[-1].pages[page][1],
            }
            for part, some in (("first half", looks[:half]), ("second half", looks[half:]))
        }
        for page in _PAGES
    }
    passed = run["valid"] is True and max(growth) < _MOST
    print(json.dumps({"growth_mib": growth, "pages": pages, "valid": run["valid"]}, indent=2))
    write_results(
        "soak",
        {
            "postgres": version,
            "minutes": arguments.minutes,
            "writes_per_second": arguments.rate,
            "workers": arguments.workers,
            "passed": passed,
            "growth_mib_after_settling": growth,
            "settled_after_seconds": _SETTLED,
            "pages": pages,
            "totals": run["totals"],
            "asked": run["asked"],
            "rss_mib": [[look.at, *look.rss_mib] for look in looks[::6]],
        },
    )
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
