"""`loadgen pause`: lets a running load offer nothing until it is resumed."""

import argparse

from loadgen.commands.rates import add_url, show
from loadgen.config.settings import load_settings
from loadgen.control import LoadControl

_EXAMPLE = 'example: loadgen pause --reason "the tool is being upgraded"'


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "pause",
        help="lets a running load offer nothing until it is resumed",
        description="Stops the schedule's clock: nothing falls due, and nothing is made up later. "
        "The run's end stays where it is.",
        epilog=_EXAMPLE,
    )
    add_url(parser)
    parser.add_argument("--reason", default="asked for", help="why; it is journaled")


def run(args: argparse.Namespace) -> int:
    """Pause; 1 if not every worker has acknowledged it."""
    body = {"reason": args.reason, "by": "cli"}
    return show(args, LoadControl.of(load_settings(), args.url).ask("pause", body), changed=True)
