"""The `loadgen` command: finds the command that was asked for, runs it, turns errors into lines."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from loadgen import __version__
from loadgen.errors import PlaygroundError

# In the order in which a new user meets them; one module of loadgen.commands each.
COMMANDS = ("demo", "db", "settings", "seed", "validate", "plan", "report")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="loadgen",
        description="Find out by experiment which pipe should copy your Postgres into Snowflake.",
        epilog="The load itself is Locust's own command: locust --headless -t 60s",
    )
    parser.add_argument("--version", action="version", version=f"loadgen {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        if find_spec(f"loadgen.commands.{name}") is not None:
            import_module(f"loadgen.commands.{name}").add_parser(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        args = build_parser().parse_args(arguments)
        code: int = import_module(f"loadgen.commands.{args.command}").run(args)
    except PlaygroundError as exc:
        print(f"loadgen: error: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        print("loadgen: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; keep the interpreter's own flush quiet too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code
