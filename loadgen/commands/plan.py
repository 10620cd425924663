"""`loadgen plan`: the arrivals of a run before there is one, the same bytes on every machine.

A run with the same settings offers exactly these; it needs neither a database nor a clock.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from math import inf
from typing import Final

from loadgen.commands.numbers import whole
from loadgen.errors import SettingsError
from loadgen.settings import RATE_SETTINGS, Settings, load_settings
from loadgen.workload.arrivals import Schedule
from loadgen.workload.mix import Mix
from loadgen.workload.streams import Arrival

_COUNT: Final = 20
_EXAMPLE: Final = "example: ORDERS_PER_HOUR=36000 loadgen plan --seed 42 --count 10000 | sha256sum"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "plan",
        help="the first arrivals of a run: operation, k, point in time, draws",
        description="Prints the first arrivals of a run in the order in which they fall due, one a "
        "line: operation, k (which of its kind), seconds from the start, and the eight 64-bit "
        "draws in hex that its target and its values come from. Needs no database.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("--seed", metavar="S", help="of the schedule (default: the setting SEED)")
    parser.add_argument(
        "--count", type=whole, default=_COUNT, metavar="N", help=f"arrivals (default: {_COUNT})"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the first `args.count` arrivals."""
    arrivals = islice(_planned(load_settings({"seed": args.seed})), args.count)
    sys.stdout.writelines(_as_json(arrivals) if args.json else map(_as_text, arrivals))
    return 0


def _planned(settings: Settings) -> Iterator[Arrival]:
    """Return the whole swarm's arrivals without end."""
    rates = settings.rates_per_hour()
    if not any(rates.values()):
        names = ", ".join(setting.upper() for setting in RATE_SETTINGS.values())
        raise SettingsError(f"{names} are all 0, so nothing ever falls due: set one above 0")
    schedule = Schedule(settings.seed, settings.arrivals, Mix(rates), settings.profile)
    return schedule.pop_due(inf)


def _as_text(arrival: Arrival) -> str:
    return (
        "\t".join((arrival.operation, str(arrival.k), f"{arrival.due:.6f}", *_hex(arrival.draws)))
        + "\n"
    )


def _as_json(arrivals: Iterable[Arrival]) -> Iterator[str]:
    """Yield a list of objects, one a line; draws are text, since JSON's numbers are too short."""
    before = "[\n"
    for arrival in arrivals:
        fields = {
            "operation": arrival.operation,
            "k": arrival.k,
            "due_seconds": round(arrival.due, 6),
            "draws": _hex(arrival.draws),
        }
        yield f"{before}{json.dumps(fields)}"
        before = ",\n"
    yield "\n]\n"


def _hex(draws: Iterable[int]) -> list[str]:
    return [f"{draw:016x}" for draw in draws]
