"""How well is a rate kept? Locust and `pgbench -R` in turn on one server.

    python -m bench.rate [--seconds 10] [--rounds 3] [--rates 10 100 1000 5000] [--loop gevent]
                         [--kept | --cpu]

Both have the same target as a Poisson process, with the same statements and 10 connections. The
benchmark measures how many writes were done and how late each began (its start minus its scheduled
time), and takes the medians of the rounds. Then Locust alone, with its default jitter, for a minute
per rate from 100 to 20,000: how many arrivals fell due, compared with the target. Last, the highest
rate that each can keep: the largest at which 99 % are done in time. Locust's writes are sent by the
compiled loop of the extra `fast`, or by gevent. `--kept` ends after the first part. `--cpu` only
compares the CPU time a write at 1000 a second, of both loops and pgbench in turn. Results go to
bench/results/.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.contestants import Speed, locust, pgbench
from bench.project import add_loop, argument_parser, running_server
from bench.results import write_results
from bench.template import cloned, seed
from loadgen.record.rows import Sample

_USERS = 10
_EXACT_RATES = (100.0, 1000.0, 5000.0, 20_000.0)
_EXACT_SECONDS = 60
_CPU_RATE = 1000.0
_FINENESS = 0.04  # of the highest rate's search
_LATEST = Path("reports", "latest")
_LATE_SECONDS = 0.1  # beyond it a start is not in time


def main() -> int:
    """Measure, print and keep."""
    parser = argument_parser(__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", default=[10.0, 100.0, 1000.0, 5000.0])
    add_loop(parser)
    parser.add_argument("--kept", action="store_true")
    parser.add_argument("--cpu", action="store_true")
    arguments = parser.parse_args()
    with running_server() as (project, info):
        seed(project, info.dsn)
        load = Load(project, info.dsn, arguments.seconds, arguments.rounds, arguments.loop)
        figures: dict[str, Any] = {}
        if arguments.cpu:
            figures["cpu"] = load.cpu()
        else:
            figures["kept"] = [load.kept(rate) for rate in arguments.rates]
            if not arguments.kept:
                figures["jitter"] = [load.exact(rate) for rate in _EXACT_RATES]
                figures["highest"] = load.highest()
    facts = {"postgres": info.version, "seconds": arguments.seconds, "loop": arguments.loop}
    write_results("rate", {**facts, "connections": _USERS, **figures})
    return 0


@dataclass(frozen=True, slots=True)
class Load:
    """Locust and pgbench on one server, for so many seconds each."""

    project: Path
    dsn: str
    seconds: int
    rounds: int
    loop: str  # LOAD_LOOP

    def locust(
        self, rate: float, seconds: int = 0, arrivals: str = "poisson", *, lateness: bool = True
    ) -> Speed:
        """Run Locust at a rate."""
        with cloned(self.dsn, "off") as database:
            return locust(
                self.project,
                database,
                rate,
                users=_USERS,
                seconds=seconds or self.seconds,
                settings={"ARRIVALS": arrivals, "LOAD_LOOP": self.loop},
                lateness=lateness,
            )

    def pgbench(self, rate: float | None = None) -> Speed:
        """Run pgbench at a rate, or as fast as it can."""
        with cloned(self.dsn, "off") as database:
            return pgbench(database, _USERS, self.seconds, rate)

    def kept(self, rate: float) -> dict[str, Any]:
        """Return how each keeps a rate: of each round, and the medians."""

        def one_round() -> dict[str, dict[str, float]]:
            pgbench = self.pgbench(rate).figures()
            return {"pgbench": pgbench, "locust": self.locust(rate).figures()}

        return {"rate": rate, **self._measured(one_round)}

    def cpu(self) -> dict[str, Any]:
        """Return the figures without lateness, whose recording costs CPU time, of both loops."""
        loops = {loop: replace(self, loop=loop) for loop in ("compiled", "gevent")}

        def one_round() -> dict[str, dict[str, float]]:
            found = {
                name: load.locust(_CPU_RATE, lateness=False).figures()
                for name, load in loops.items()
            }
            return {**found, "pgbench": self.pgbench(_CPU_RATE).figures()}

        return {"rate": _CPU_RATE, **self._measured(one_round)}

    def _measured(self, one_round: Callable[[], dict[str, dict[str, float]]]) -> dict[str, Any]:
        rounds = []
        for _ in range(self.rounds):
            rounds.append(one_round())
            print(rounds[-1], flush=True)
        medians = {
            name: {
                figure: statistics.median(one[name][figure] for one in rounds) for figure in figures
            }
            for name, figures in rounds[0].items()
        }
        print("medians", medians, flush=True)
        return {"medians": medians, "rounds": rounds}

    def exact(self, rate: float) -> dict[str, Any]:
        """Return how many arrivals fell due in a minute, compared with the target."""
        speed = self.locust(rate, _EXACT_SECONDS, "jitter")
        # The last samples belong to the drain.
        last = {sample.operation: sample for sample in Sample.read(self.project / _LATEST)}
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

    def highest(self) -> dict[str, float]:
        """Return the highest rate that each can keep."""
        limit = self.pgbench().writes_per_second
        theirs = _search(lambda rate: _in_time(self.pgbench(rate), rate), limit)
        ours = _search(lambda rate: _in_time(self.locust(rate), rate), limit)
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
