"""`loadgen rates`: shows what a running load is asked for, and changes it."""

import argparse
import json
from typing import Any

from loadgen.config.settings import load_settings
from loadgen.control import ControlError, LoadControl
from loadgen.untrusted import reading
from loadgen.workload.operations import OPERATIONS

_EXAMPLE = "example: loadgen rates --set insert_order=36000 --set insert_event=72000"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "rates",
        help="shows the rates of a running load, and changes them",
        description="Shows what a running load is asked for and does. With --set or --profile it "
        "changes that, and waits until every worker has acknowledged it.",
        epilog=_EXAMPLE,
    )
    add_url(parser)
    parser.add_argument(
        "--set",
        dest="rates",
        metavar="OPERATION=RATE",
        type=_assignment,
        action="append",
        default=[],
        help=f"rate per hour of {', '.join(OPERATIONS)}; may be given several times",
    )
    parser.add_argument(
        "--profile", metavar="NAME", help="steady, diurnal, burst or ramp, from now"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def add_url(parser: argparse.ArgumentParser) -> None:
    """Add the option that names another load than this machine's."""
    parser.add_argument(
        "--url", metavar="U", help="the load's address (default: LOAD_URL, else METRICS_PORT here)"
    )


def run(args: argparse.Namespace) -> int:
    """Show, or change and show; 1 if not every worker has acknowledged the change."""
    body: dict[str, object] = {"rates_per_hour": dict(args.rates), "by": "cli"}
    if args.profile is not None:
        body["profile"] = args.profile
    changes = bool(args.rates) or args.profile is not None
    control = LoadControl.of(load_settings(), args.url)
    return show(args, control.ask("rates", body if changes else None), changed=changes)


def show(args: argparse.Namespace, found: dict[str, Any], *, changed: bool) -> int:
    """Print a load's state; return 1 if a change was not acknowledged by every worker."""
    if getattr(args, "json", False):
        print(json.dumps(found, indent=2))
    else:
        with reading("the answer", "check METRICS_PORT, or name a load by --url", ControlError):
            print(_text(found))
    applied, _, of = str(found.get("applied_by") or "").partition(" of ")
    return int(changed and applied != of)


def _text(found: dict[str, Any]) -> str:
    if found["state"] == "idle":
        return "the load is idle: no run is going on"
    state = f"paused: {found['reason']}" if found["state"] == "paused" else found["state"]
    line = f"run {found['run_id']}, {found['profile']}, {state}"
    line += f"; last change applied by {found['applied_by']}" if found["applied_by"] else ""
    lines = [line, (f"{'operation':<20}{'per hour':>14}{'target/s':>11}{'offered':>11}"
             f"{'committed':>11}{'failed':>9}{'skipped':>9}{'in flight':>11}")]  # fmt: skip
    for name, now in found["operations"].items():
        lines.append(f"{name:<20}{found['rates_per_hour'][name]:>14,.15g}{now['target']:>11,.3f}"
                     f"{now['offered']:>11,}{now['committed']:>11,}{now['failed']:>9,}"
                     f"{now['skipped']:>9,}{now['in_flight']:>11,}")  # fmt: skip
    return "\n".join(lines)


def _assignment(text: str) -> tuple[str, str]:
    name, equals, rate = text.partition("=")
    if not equals or not rate.strip():
        raise argparse.ArgumentTypeError(f"{text!r} has to be OPERATION=RATE, insert_order=3600")
    return name.strip(), rate.strip()
