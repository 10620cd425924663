"""`loadgen locustfile`: where the package's locustfile is, for `locust -f`."""

import argparse
from importlib.resources import files
from pathlib import Path

LOCUSTFILE = Path(str(files("loadgen") / "load" / "locustfile.py"))
_EXAMPLE = 'example: locust -f "$(loadgen locustfile)"'


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    subparsers.add_parser(
        "locustfile",
        help="path of the locustfile, to run `locust` in any folder",
        description="Prints the path of the locustfile that comes with the package. A checkout of "
        "the playground has its own, which `locust` finds by itself.",
        epilog=_EXAMPLE,
    )


def run(_args: argparse.Namespace) -> int:
    """Print the path."""
    print(LOCUSTFILE)
    return 0
