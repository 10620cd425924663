"""How report, costs, compare and verify name a run (RUN or --run RUN) and a tool (--tool NAME)."""

import argparse
from collections.abc import Iterable

from loadgen.errors import PlaygroundError, suggest


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add RUN and --run, which mean the same; `run_name` returns the run."""
    parser.add_argument(
        "run_positional",
        metavar="RUN",
        nargs="?",
        help="a run's id or folder, or latest (default: the latest run in REPORTS_DIR)",
    )
    parser.add_argument("--run", dest="run_option", metavar="RUN", help="the same as RUN")


def add_tool(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Add --tool, with its purpose in this command."""
    parser.add_argument("--tool", metavar="NAME", help=f"{purpose} (default: all)")


def run_name(args: argparse.Namespace) -> str | None:
    """Return the run that was named, by either argument; None if none was."""
    names = {name for name in (args.run_positional, args.run_option) if name is not None}
    if len(names) > 1:
        raise PlaygroundError(
            f"RUN is {args.run_positional!r} and --run is {args.run_option!r}: give one of them"
        )
    return names.pop() if names else None


def require_tool(name: str | None, known: Iterable[str], place: str) -> None:
    """Raise PlaygroundError if a tool was named that `place` does not have."""
    names = list(dict.fromkeys(known))
    if name is not None and name not in names:
        hint = suggest(name, names) if names else "it has no tools"
        raise PlaygroundError(f"no tool {name!r} in {place}: {hint}")
