"""`loadgen init` and `loadgen locustfile`: all that an empty folder needs."""

import argparse
from importlib.resources import files
from pathlib import Path

_PACKAGE = Path(str(files("loadgen")))
LOCUSTFILE = _PACKAGE / "load" / "locustfile.py"
_EXAMPLES = _PACKAGE / "examples"  # in the wheel
# Each example and its name once it is copied.
EXAMPLES = {
    ".env.example": ".env",
    "tools.example.toml": "tools.toml",
    "thresholds.example.toml": "thresholds.toml",
    "decision.example.toml": "decision.toml",
}
_INIT_EXAMPLE = "example: mkdir trial && cd trial && loadgen init && cp .env.example .env"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both commands to the parser."""
    subparsers.add_parser(
        "init",
        help="write the example files of settings, tools, thresholds and decision here",
        description="Writes the example files into this folder. Copy the ones that you need to "
        "the names without `example` and edit them; all of them are optional. A file that exists "
        "is kept as it is.",
        epilog=_INIT_EXAMPLE,
    )
    subparsers.add_parser(
        "locustfile",
        help="print the locustfile's path, to run `locust` in any folder",
        description="Prints the path of the locustfile that comes with the package. A checkout of "
        "the playground has its own, which `locust` finds by itself.",
        epilog='example: locust -f "$(loadgen locustfile)"',
    )


def run(args: argparse.Namespace) -> int:
    """Print the path of the locustfile, or write each example that is not here yet."""
    if args.command == "locustfile":
        print(LOCUSTFILE)
        return 0
    folder = _EXAMPLES if _EXAMPLES.is_dir() else _PACKAGE.parent
    for name, copy in EXAMPLES.items():
        path = Path(name)
        if path.exists():
            print(f"{name} exists: kept")
            continue
        path.write_text((folder / name).read_text(encoding="utf-8"), encoding="utf-8")
        print(f"{name} written: copy it to {copy}")
    return 0
