"""pgbench and Locust, the two programs compared, doing the same work in one database.

pgbench is the limit: a C program that only sends. Locust runs as a user starts it, with schedule,
accounting, latencies and record switched on.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.project import environment, free_port, rate_arguments
from loadgen.record.rows import Sample

_HERE = Path(__file__).parent
_WARM_UP_SECONDS = 2.0
# Typical properties of an event; sent with each write, as Locust does.
_PROPERTIES = (
    '{"session":"9f1b2c3d4e5f6071","path":"/pricing","referrer":"search","browser":"Firefox",'
    '"device":"desktop","load_ms":1532,"excerpt":"the quick team ships a small change and watches '
    "the numbers for a while before it goes on to the next one, and so on and on while the rest of "
    'the company looks at the dashboards now and again"}'
)
_VARIABLES = {
    "kind": "page_view",
    "properties": _PROPERTIES,
    "quantity": "2",
    "amount": "59.80",
    "currency": "EUR",
    "status": "paid",
}


@dataclass(frozen=True, slots=True)
class Speed:
    """One program's figures in one round; `lateness` is in seconds, a value a write."""

    writes_per_second: float
    cpu_us_per_write: float
    lateness: Sequence[float] = field(default=(), repr=False)

    def figures(self) -> dict[str, float]:
        """Return the figures for the record; lateness in milliseconds."""
        found = {
            "writes_per_second": round(self.writes_per_second, 1),
            "cpu_us_per_write": round(self.cpu_us_per_write, 2),
        }
        if self.lateness:
            cuts = statistics.quantiles(self.lateness, n=100, method="inclusive")
            found["late_p50_ms"], found["late_p99_ms"] = (
                round(1000 * cuts[at], 3) for at in (49, 98)
            )
            found["late_max_ms"] = round(1000 * max(self.lateness), 3)
        return found


@dataclass(frozen=True, slots=True)
class Work:
    """What both programs do: a script of pgbench's with its variables, and Locust's arguments.

    `rate_arguments` are those for so many transactions a second.
    """

    script: Path
    variables: Mapping[str, str]
    rate_arguments: Callable[[float], list[str]]
    settings: Mapping[str, str] = field(default_factory=dict)  # of the load


SHOP = Work(_HERE / "pgbench.sql", _VARIABLES, rate_arguments)


def pgbench(
    dsn: str, users: int, seconds: int, rate: float | None = None, *, work: Work = SHOP
) -> Speed:
    """Run pgbench as fast as it can, or at `rate` writes a second, a Poisson process."""
    program = shutil.which("pgbench")
    if program is None:
        raise SystemExit("pgbench is not installed: apt-get install postgresql-contrib")
    with tempfile.TemporaryDirectory(prefix="pgbench-") as folder:
        command = [program, "-n", "-M", "prepared", "-c", str(users), "-j", str(min(2, users))]
        command += ["-T", str(seconds), "-f", str(work.script)]
        for name, value in work.variables.items():
            command += ["-D", f"{name}={value}"]
        if rate is not None:
            command += ["-R", str(rate), "--log", "--log-prefix=log"]
        before = os.times()
        done = subprocess.run(
            [*command, dsn], cwd=folder, check=True, capture_output=True, text=True
        )
        after = os.times()
        logs = [path.read_text(encoding="ascii") for path in Path(folder).glob("log*")]
    cpu = (
        after.children_user - before.children_user + after.children_system - before.children_system
    )
    lines = done.stdout.splitlines()
    (writes,) = (line.split()[-1] for line in lines if "actually processed" in line)
    (tps,) = (line.split()[2] for line in lines if "without initial connection" in line)
    # Of each transaction the log's seventh figure is how late it began, in microseconds.
    lags = [int(line.split()[6]) / 1e6 for log in logs for line in log.splitlines()]
    return Speed(float(tps), cpu / int(writes.partition("/")[0]) * 1e6, lags)


def locust(  # noqa: PLR0913 - the options of a run
    project: Path,
    dsn: str,
    rate: float,
    *,
    users: int,
    seconds: int,
    processes: int = 1,
    settings: dict[str, str] | None = None,
    lateness: bool = False,
    work: Work = SHOP,
) -> Speed:
    """Run Locust at `rate`; more than it can do makes it go as fast as it can.

    With `lateness`, single-process, the lateness of each write's start is recorded too.
    """
    command = [sys.executable, "-m", "locust", "--headless", "-u", str(users)]
    command += ["-t", f"{seconds + int(_WARM_UP_SECONDS)}s", "--loglevel", "WARNING"]
    command += work.rate_arguments(rate)
    if processes > 1:
        port = str(free_port())
        command += ["--processes", str(processes)]
        command += ["--master-bind-port", port, "--master-port", port]
    env = environment(dsn) | {"METRICS_PORT": str(free_port())} | dict(work.settings)
    env |= settings or {}
    kept = project / "lateness"
    if lateness:
        command += ["-f", str(_HERE / "lateness_locustfile.py")]
        env["LATENESS_TO"] = str(kept)
    process = subprocess.Popen(command, cwd=project, env=env, stdout=subprocess.DEVNULL)
    marks: list[tuple[float, float]] = []  # (time, CPU seconds)
    while process.poll() is None:
        marks.append((time.time(), _cpu_of(process.pid)))
        time.sleep(0.1)
    if process.returncode not in {0, 3, 4}:  # its target is above its capacity on purpose
        raise SystemExit(f"locust ended with {process.returncode}")
    late = array("d")
    if lateness:
        late.frombytes(kept.read_bytes())
    return _speed(project / "reports" / "latest", marks, late)


def _cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process and its children.

    It must cost little, as nobody watches pgbench: psutil reads all of the machine's processes to
    find the children of one, which takes milliseconds.
    """
    try:
        times = psutil.Process(pid).cpu_times()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except (psutil.Error, OSError):
        return 0.0  # it has just ended
    return times.user + times.system + sum(_cpu_of(int(child)) for child in children.split())


def _speed(run: Path, marks: list[tuple[float, float]], late: Sequence[float]) -> Speed:
    """Take the steady part: from the warm-up's end to the last full sample."""
    totals: dict[float, int] = {}
    for sample in Sample.read(run):
        at = sample.time.timestamp()
        totals[at] = totals.get(at, 0) + sample.committed
    times = sorted(totals)
    first = next(at for at in times if at >= times[0] + _WARM_UP_SECONDS - 1)
    last = times[-3]  # the last ones belong to the drain
    writes = totals[last] - totals[first]
    cpu = _cpu_at(marks, last) - _cpu_at(marks, first)
    return Speed(writes / (last - first), cpu / writes * 1e6, late)


def _cpu_at(marks: list[tuple[float, float]], at: float) -> float:
    return min(marks, key=lambda mark: abs(mark[0] - at))[1]
