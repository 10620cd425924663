"""How well is a rate kept? Locust and `pgbench -R` in turn on one server.

    python -m bench.rate [--seconds 10] [--rates 10 100 1000 5000]

Both have the same target as a Poisson process, with the same statements and 10 connections. The
benchmark measures how many writes were done and how late each began (its start minus its scheduled
time). Then Locust alone, with its default jitter, for a minute per rate from 100 to 10,000: how
many arrivals fell due, compared with the target. Last, the highest rate that each can keep: the
largest at which 99 % are done in time. Results go to bench/results/.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.contestants import Speed, locust, pgbench
from bench.project import argument_parser, running_server
from bench.results import write_results
from bench.template import cloned, seed
from loadgen.record.rows import Sample

_USERS = 10
_EXACT_RATES = (100.0, 1000.0, 5000.0, 10_000.0)
_EXACT_SECONDS = 60
_FINENESS = 0.04  # of the highest rate's search
_LATE_SECONDS = 0.1  # beyond it a start is not in time


def main() -> int:
    """Measure, print and keep."""
    parser = argument_parser(__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rates", type=float, nargs="+", default=[10.0, 100.0, 1000.0, 5000.0])
    arguments = parser.parse_args()
    with running_server() as (project, info):
        seed(project, info.dsn)
        kept = [_kept(project, info.dsn, rate, arguments.seconds) for rate in arguments.rates]
        exact = [_exact(project, info.dsn, rate) for rate in _EXACT_RATES]
        highest = _highest(project, info.dsn, arguments.seconds)
    figures = {"connections": _USERS, "kept": kept, "jitter": exact, "highest": highest}
    write_results("rate", {"postgres": info.version, "seconds": arguments.seconds, **figures})
    return 0


def _locust(project: Path, dsn: str, rate: float, seconds: int, arrivals: str = "poisson") -> Speed:
    with cloned(dsn, "off") as database:
        return locust(
            project,
            database,
            rate,
            users=_USERS,
            seconds=seconds,
            settings={"ARRIVALS": arrivals},
            lateness=True,
        )


def _pgbench(dsn: str, rate: float, seconds: int) -> Speed:
    with cloned(dsn, "off") as database:
        return pgbench(database, _USERS, seconds, rate)


def _kept(project: Path, dsn: str, rate: float, seconds: int) -> dict[str, Any]:
    found = {
        "rate": rate,
        "pgbench": _pgbench(dsn, rate, seconds).figures(),
        "locust": _locust(project, dsn, rate, seconds).figures(),
    }
    print(found, flush=True)
    return found


def _exact(project: Path, dsn: str, rate: float) -> dict[str, Any]:
    speed = _locust(project, dsn, rate, _EXACT_SECONDS, "jitter")
    run = project / "reports" / "latest"
    # The last samples belong to the drain.
    last = {sample.operation: sample for sample in Sample.read(run)}
    offered = sum(sample.offered for sample in last.values())
    asked = rate * (_EXACT_SECONDS + 2)
    found = {
        "rate": rate,
        "offered": offered,
        "error_percent": round(100 * (offered / asked - 1), 4),
        **speed.figures(),
    }
    print(found, flush=True)
    return found


def _highest(project: Path, dsn: str, seconds: int) -> dict[str, float]:
    with cloned(dsn, "off") as database:
        limit = pgbench(database, _USERS, seconds).writes_per_second
    theirs = _search(lambda rate: _in_time(_pgbench(dsn, rate, seconds), rate), limit)
    ours = _search(lambda rate: _in_time(_locust(project, dsn, rate, seconds), rate), limit)
    found = {"pgbench": theirs, "locust": ours, "ratio": round(ours / theirs, 3)}
    print(found, flush=True)
    return found


def _in_time(speed: Speed, rate: float) -> bool:
    late = sum(seconds > _LATE_SECONDS for seconds in speed.lateness)
    return speed.writes_per_second >= 0.97 * rate and late <= 0.01 * len(speed.lateness)


def _search(kept: Callable[[float], bool], most: float) -> float:
    """Return the highest rate up to `most` that the load keeps, by halving the range."""
    low, high = 0.0, most
    while high - low > _FINENESS * most:
        middle = (low + high) / 2
        low, high = (middle, high) if kept(middle) else (low, middle)
    return round(low)


if __name__ == "__main__":
    raise SystemExit(main())
