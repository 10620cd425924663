"""`loadgen resume`: lets a paused load go on."""

import argparse

from loadgen.commands.rates import add_url, show
from loadgen.config.settings import load_settings
from loadgen.control import LoadControl


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "resume",
        help="lets a paused load go on",
        description="Starts the schedule's clock again where it stood still.",
        epilog="example: loadgen resume",
    )
    add_url(parser)


def run(args: argparse.Namespace) -> int:
    """Resume; 1 if not every worker has acknowledged it."""
    control = LoadControl.of(load_settings(), args.url)
    return show(args, control.ask("resume", {"by": "cli"}), changed=True)
