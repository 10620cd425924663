r"""Transactions per second and client CPU of workload tpcb: Locust and pgbench in turn.

    python -m bench.tpcb [--scale 50] [--rounds 5] [--seconds 5] [--processes 1]
                         [--loop gevent]

pgbench runs `-M prepared` with the same four statements between \startpipeline and \endpipeline,
so both send a transaction at once and wait for its commit: three updates and an insert, without
TPC-B's SELECT, over 8 connections, with synchronous_commit off. pgbench runs as fast as it can.
Locust's target is a fifth above pgbench's last result, with schedule, accounting, latencies and
record switched on. Each pair runs back to back in databases cloned from one template, and in each
the sums of the balances must equal that of the history. The result is the median of the pairs'
ratios; it goes to bench/results/. Locust's writes are sent by the compiled loop of the
extra `fast`, or by gevent.
"""

from pathlib import Path
from typing import Any

from bench.contestants import Speed, Work, locust, pgbench
from bench.project import add_loop, argument_parser, running_server
from bench.results import ratio_text, spread, write_results
from bench.template import cloned, seed_workload
from loadgen.source.postgres import connect
from loadgen.workload.read_model import read_model

_WORKLOAD = "tpcb"
_USERS = 8


def main() -> int:
    """Run the rounds and print the ratios."""
    parser = argument_parser(__doc__)
    parser.add_argument("--scale", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=1)
    add_loop(parser)
    arguments = parser.parse_args()
    work = Work(
        Path(__file__).with_suffix(".sql"),
        {"scale": str(arguments.scale)},
        lambda rate: ["--transaction-per-hour", f"{rate * 3600:.0f}"],
        {"WORKLOAD": _WORKLOAD, "LOAD_LOOP": arguments.loop},
    )
    with running_server() as (project, info):
        scale = ("--scale", str(arguments.scale))
        seed_workload(project, info.dsn, "--workload", _WORKLOAD, *scale)
        pairs = [
            _pair(project, info.dsn, work, arguments.seconds, arguments.processes)
            for _ in range(arguments.rounds)
        ]
    write_results("tpcb", {"postgres": info.version, **vars(arguments), **_ratios(pairs)})
    return 0


def _pair(project: Path, dsn: str, work: Work, seconds: int, processes: int) -> tuple[Speed, Speed]:
    with cloned(dsn, "off") as database:
        limit = pgbench(database, _USERS, seconds, work=work)
        _check(database)
    with cloned(dsn, "off") as database:
        ours = locust(
            project,
            database,
            limit.writes_per_second * 1.2,
            users=_USERS,
            seconds=seconds,
            processes=processes,
            # Whatever falls due waits for its turn: to pass over it would be work of another kind.
            settings={"LATENESS_LIMIT_SECONDS": "300"},
            work=work,
        )
        _check(database)
    print(
        f"pgbench {limit.writes_per_second:7,.0f}/s {limit.cpu_us_per_write:5.1f} us, "
        f"locust {ours.writes_per_second:7,.0f}/s {ours.cpu_us_per_write:5.1f} us",
        flush=True,
    )
    return limit, ours


def _check(dsn: str) -> None:
    """Exit unless the balances are the sums of the history."""
    with connect(dsn) as connection:
        for check in read_model(_WORKLOAD).checks:
            row = connection.execute(check.violations.encode()).fetchone()
            if row is None or row[0]:
                raise SystemExit(f"not so: {check.title}")


def _ratios(pairs: list[tuple[Speed, Speed]]) -> dict[str, Any]:
    writes = [ours.writes_per_second / limit.writes_per_second for limit, ours in pairs]
    cpu = [ours.cpu_us_per_write / limit.cpu_us_per_write for limit, ours in pairs]
    print(f"writes {ratio_text(writes)}, CPU a write {ratio_text(cpu)}, medians", flush=True)
    return {
        "connections": _USERS,
        "synchronous_commit": "off",
        "writes_ratio": spread(writes),
        "cpu_ratio": spread(cpu),
        "pairs": [{"pgbench": limit.figures(), "locust": ours.figures()} for limit, ours in pairs],
    }


if __name__ == "__main__":
    raise SystemExit(main())
