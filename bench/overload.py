"""Writes per second of a load with a target far above its capacity, and of one just above it.

    python -m bench.overload [--rounds 5] [--seconds 5] [--loop gevent]

Locust with 8 connections and synchronous_commit off: a target of 1.2 times the rate that pgbench
has just reached, and of ten times that rate, in turn, in databases cloned from one template. Writes
that can't be done in time are skipped, and skipping should cost almost nothing. The writes are sent
by the compiled loop of the extra `fast`, or by gevent. Results go to bench/results/.
"""

import statistics

from bench.contestants import Speed, locust, pgbench
from bench.project import add_loop, argument_parser, running_server
from bench.results import write_results
from bench.template import cloned, seed

_USERS = 8
_SETTINGS = {"MAX_RATE_PER_HOUR": "3600000000"}


def main() -> int:
    """Run the rounds and print the ratios."""
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    add_loop(parser)
    arguments = parser.parse_args()
    loop = {"LOAD_LOOP": arguments.loop}
    rounds: list[dict[str, float]] = []
    with running_server() as (project, info):
        seed(project, info.dsn)

        def asked_for(rate: float) -> Speed:
            with cloned(info.dsn, "off") as database:
                return locust(
                    project,
                    database,
                    rate,
                    users=_USERS,
                    seconds=arguments.seconds,
                    settings=_SETTINGS | loop,
                )

        for _ in range(arguments.rounds):
            with cloned(info.dsn, "off") as database:
                limit = pgbench(database, _USERS, arguments.seconds).writes_per_second
            little, far = asked_for(1.2 * limit), asked_for(10 * limit)
            ratio = far.writes_per_second / little.writes_per_second
            rounds.append(
                {
                    "pgbench": round(limit, 1),
                    "asked_1_2": round(little.writes_per_second, 1),
                    "asked_10": round(far.writes_per_second, 1),
                    "ratio": round(ratio, 3),
                }
            )
            print(
                f"asked for 1.2 times {limit:,.0f}/s: {little.writes_per_second:,.0f}/s, "
                f"for 10 times: {far.writes_per_second:,.0f}/s, ratio {ratio:.2f}",
                flush=True,
            )
    ratios = [one["ratio"] for one in rounds]
    print(f"median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    facts = {"postgres": info.version, "seconds": arguments.seconds, **loop}
    write_results("overload", {**facts, "rounds": rounds})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
