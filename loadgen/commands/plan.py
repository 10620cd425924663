"""`loadgen plan`: the first arrivals of a run with these settings, the same on every machine."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from math import inf
from typing import Final

from loadgen.commands.numbers import whole
from loadgen.config.settings import Settings, load_settings
from loadgen.errors import SettingsError
from loadgen.workload.operations import profile_of, rates_per_hour
from loadgen.workload.read_model import read_model
from loadgen.workload.schedule.arrival_process import ArrivalProcess
from loadgen.workload.schedule.arrivals import Schedule
from loadgen.workload.schedule.plan import Mix

_COUNT: Final = 20
_EXAMPLE: Final = "example: ORDERS_PER_HOUR=36000 loadgen plan --seed 42 --count 10000 | sha256sum"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "plan",
        help="print the first arrivals of a run: operation, k, time, draw",
        description="Prints the first arrivals of a run in the order in which they fall due, one "
        "per line: operation, k (its number within the operation), seconds from the start, and the "
        "64-bit draw in hex that places it in time. Needs no database. PROFILE says how the rates "
        "rise and fall.",
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        "--seed", metavar="S", help="seed of the schedule (default: the setting SEED)"
    )
    parser.add_argument(
        "--count",
        type=whole,
        default=_COUNT,
        metavar="N",
        help=f"number of arrivals (default: {_COUNT})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=run)


@dataclass(frozen=True, slots=True)
class _PlannedArrival:
    """An arrival for display; its draw is a 64-bit integer in hex."""

    operation: str
    k: int
    due_seconds: float
    draw: str


def run(args: argparse.Namespace) -> int:
    """Print the first `args.count` arrivals."""
    arrivals = islice(_planned(load_settings({"seed": args.seed})), args.count)
    sys.stdout.writelines(_as_json(arrivals) if args.json else map(_as_text, arrivals))
    return 0


def _planned(settings: Settings) -> Iterator[_PlannedArrival]:
    """Yield the arrivals of the whole swarm, without end."""
    model = read_model(settings.workload)
    operations, profile = model.operations, profile_of(settings, model)
    rates = rates_per_hour(settings, operations)
    if not any(rates.values()):
        names = ", ".join(operation.option.upper() for operation in operations.values())
        raise SettingsError(f"{names} are all 0, so nothing ever falls due: set one above 0")
    schedule = Schedule(
        settings.seed, settings.arrivals, Mix(rates), profile, own_profile=model.profile
    )
    processes = {name: ArrivalProcess(settings.seed, name, settings.arrivals) for name in rates}
    for due, operation, k, _ in schedule.pop_due(inf):
        draw = f"{processes[operation].draws_from(k)[0]:016x}"
        yield _PlannedArrival(operation, k, round(due, 6), draw)


def _as_text(arrival: _PlannedArrival) -> str:
    fields = (arrival.operation, str(arrival.k), f"{arrival.due_seconds:.6f}", arrival.draw)
    return "\t".join(fields) + "\n"


def _as_json(arrivals: Iterable[_PlannedArrival]) -> Iterator[str]:
    """Yield a list of objects, one per line; a draw is text, since JSON numbers are too short."""
    before = "[\n"
    for arrival in arrivals:
        yield f"{before}{json.dumps(asdict(arrival))}"
        before = ",\n"
    yield "\n]\n"
