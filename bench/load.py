"""Writes per second and client CPU per write: Locust and pgbench in turn on one server.

    python -m bench.load [--rounds 5] [--seconds 5] [--quick] [--loop gevent]

Both do one commit per write, with the same statements, parameters, mix, indexes, triggers and
connections. pgbench runs as fast as it can. Locust's target is a fifth above pgbench's last result,
so it runs as fast as it can too, with schedule, accounting, latencies and record switched on. Each
pair runs back to back in databases cloned from one template. The result is the median of the pairs'
ratios, for synchronous_commit on and off, several numbers of connections, two processes, and ten
writes under way on each connection. `--quick` runs only the first two cases. Locust's
writes are sent by the compiled loop of the extra `fast`, or by gevent. Results go to
bench/results/.
"""

from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.contestants import Speed, locust, pgbench
from bench.project import add_loop, argument_parser, running_server
from bench.results import ratio_text, spread, write_results
from bench.template import cloned, seed


@dataclass(frozen=True, slots=True)
class Case:
    """The options of a pair of runs; the depth is Locust's alone."""

    synchronous_commit: str
    users: int = 8
    processes: int = 1
    depth: int = 1
    loop: str = "compiled"  # LOAD_LOOP

    def __str__(self) -> str:
        """Return it as a line's beginning."""
        words = f"commit {self.synchronous_commit:3} {self.users:2} connections"
        words += f", {self.processes} processes" if self.processes > 1 else ""
        return words + (f", {self.depth} deep" if self.depth > 1 else "")


_CASES = (
    Case("off"),
    Case("on"),
    Case("off", users=1),
    Case("off", users=32),
    Case("off", processes=2),
    Case("off", depth=10),
    Case("on", users=1),
    Case("on", users=32),
)


def main() -> int:
    """Run the rounds and print the ratios."""
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    add_loop(parser)
    arguments = parser.parse_args()
    with running_server() as (project, info):
        seed(project, info.dsn)
        cases = [
            _measured(project, info.dsn, replace(case, loop=arguments.loop), arguments)
            for case in (_CASES[:2] if arguments.quick else _CASES)
        ]
    figures = {"seconds": arguments.seconds, "loop": arguments.loop, "cases": cases}
    write_results("load", {"postgres": info.version, **figures})
    return 0


def _measured(project: Path, dsn: str, case: Case, arguments: Namespace) -> dict[str, Any]:
    pairs = [_pair(project, dsn, case, arguments.seconds) for _ in range(arguments.rounds)]
    writes = [ours.writes_per_second / limit.writes_per_second for limit, ours in pairs]
    cpu = [ours.cpu_us_per_write / limit.cpu_us_per_write for limit, ours in pairs]
    print(
        f"{case}: writes {ratio_text(writes)}, CPU a write {ratio_text(cpu)}, medians", flush=True
    )
    return {
        "synchronous_commit": case.synchronous_commit,
        "connections": case.users,
        "processes": case.processes,
        "depth": case.depth,
        "writes_ratio": spread(writes),
        "cpu_ratio": spread(cpu),
        "rounds": [{"pgbench": limit.figures(), "locust": ours.figures()} for limit, ours in pairs],
    }


def _pair(project: Path, dsn: str, case: Case, seconds: int) -> tuple[Speed, Speed]:
    with cloned(dsn, case.synchronous_commit) as database:
        limit = pgbench(database, case.users, seconds)
    with cloned(dsn, case.synchronous_commit) as database:
        ours = locust(
            project,
            database,
            limit.writes_per_second * (1.2 if case.depth == 1 else 4),
            users=case.users,
            seconds=seconds,
            processes=case.processes,
            # Whatever falls due waits for its turn: to pass over it would be work of another kind.
            settings={
                "PIPELINE_DEPTH": str(case.depth),
                "LOAD_LOOP": case.loop,
                "LATENESS_LIMIT_SECONDS": "300",
            },
        )
    print(
        f"{case}: pgbench {limit.writes_per_second:7,.0f}/s {limit.cpu_us_per_write:5.1f} us, "
        f"locust {ours.writes_per_second:7,.0f}/s {ours.cpu_us_per_write:5.1f} us",
        flush=True,
    )
    return limit, ours


if __name__ == "__main__":
    raise SystemExit(main())
