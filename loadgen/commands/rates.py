"""`loadgen rates`, `pause` and `resume`: show a running load, and change it."""

import argparse
import json
from typing import Any

from loadgen.config.settings import load_settings
from loadgen.control import ControlError, LoadControl
from loadgen.terminal import print_table
from loadgen.text import Column, Table
from loadgen.untrusted import reading


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the three commands to the parser."""
    rates = subparsers.add_parser(
        "rates",
        help="show or change the rates of a running load",
        description="Shows the rates and counters of a running load. With --set or --profile it "
        "changes them, and waits until every worker has acknowledged the change.",
        epilog="example: loadgen rates --set insert_order=36000 --set insert_event=72000",
    )
    pause = subparsers.add_parser(
        "pause",
        help="pause a running load until it is resumed",
        description="Stops the schedule's clock: no arrival falls due meanwhile, and none is made "
        "up for later. The end of the run does not move.",
        epilog='example: loadgen pause --reason "the tool is being upgraded"',
    )
    resume = subparsers.add_parser(
        "resume",
        help="resume a paused load",
        description="Starts the schedule's clock again where it stopped.",
        epilog="example: loadgen resume",
    )
    for parser in (rates, pause, resume):
        parser.add_argument(
            "--url",
            metavar="U",
            help="the load's address (default: LOAD_URL, else METRICS_PORT here)",
        )
    rates.add_argument(
        "--set",
        dest="rates",
        metavar="OPERATION=RATE",
        type=_assignment,
        action="append",
        default=[],
        help="rate per hour of an operation; may be given several times",
    )
    rates.add_argument(
        "--profile",
        metavar="NAME",
        help="steady, diurnal, burst, ramp, or workload: its own",
    )
    rates.add_argument("--json", action="store_true", help="print JSON instead of a table")
    pause.add_argument("--reason", default="asked for", help="the reason, for the journal")


def run(args: argparse.Namespace) -> int:
    """Show or change the load; 1 if not every worker has acknowledged the change."""
    body: dict[str, object] | None = {"by": "cli"}
    if args.command == "pause":
        body = {"reason": args.reason, "by": "cli"}
    elif args.command == "rates":
        profile = {} if args.profile is None else {"profile": args.profile}
        changes = bool(args.rates or profile)
        body = {"rates_per_hour": dict(args.rates), "by": "cli", **profile} if changes else None
    state = LoadControl.of(load_settings(), args.url).ask(args.command, body)
    if args.command == "rates" and args.json:
        print(json.dumps(state, indent=2))
    else:
        with reading("the answer", "check METRICS_PORT, or name a load by --url", ControlError):
            summary, table = _summary(state), _table(state)
        print(summary)
        if table.rows:
            print_table(table)
    acknowledged, _, workers = str(state.get("applied_by") or "").partition(" of ")
    return int(body is not None and acknowledged != workers)


def _summary(state: dict[str, Any]) -> str:
    if state["state"] == "idle":
        return "the load is idle: no run is under way"
    status = f"paused: {state['reason']}" if state["state"] == "paused" else state["state"]
    applied = f"; last change applied by {state['applied_by']}" if state["applied_by"] else ""
    return f"run {state['run_id']}, {state['profile']}, {status}{applied}"


def _table(state: dict[str, Any]) -> Table:
    operations = {} if state["state"] == "idle" else state["operations"]
    counters = ("offered", "committed", "failed", "skipped", "in_flight")
    numbers = ("per hour", "target/s", *(name.replace("_", " ") for name in counters))
    return Table(
        (Column("operation"), *(Column(label, number=True) for label in numbers)),
        tuple(
            (
                name,
                f"{state['rates_per_hour'][name]:,.15g}",
                f"{now['target']:,.3f}",
                *(f"{now[counter]:,}" for counter in counters),
            )
            for name, now in operations.items()
        ),
    )


def _assignment(text: str) -> tuple[str, str]:
    name, equals, rate = text.partition("=")
    if not equals or not rate.strip():
        raise argparse.ArgumentTypeError(f"{text!r} must be OPERATION=RATE, insert_order=3600")
    return name.strip(), rate.strip()
