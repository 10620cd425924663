"""`loadgen init`: the example files of settings, tools, limits and decision, to be edited."""

import argparse
from importlib.resources import files
from pathlib import Path

_FOLDER = Path(str(files("loadgen"))) / "examples"  # in the wheel
_CHECKOUT = Path(str(files("loadgen"))).parent
# Each example and what it becomes once it is copied.
EXAMPLES = {
    ".env.example": ".env",
    "tools.example.toml": "tools.toml",
    "thresholds.example.toml": "thresholds.toml",
    "decision.example.toml": "decision.toml",
}
_EXAMPLE = "example: mkdir trial && cd trial && loadgen init && cp .env.example .env"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    subparsers.add_parser(
        "init",
        help="write the example files of settings, tools, thresholds and decision here",
        description="Writes the example files into this folder. Copy the ones that you need to "
        "the names without `example` and edit them; all of them are optional. A file that exists "
        "is kept as it is.",
        epilog=_EXAMPLE,
    )


def run(_args: argparse.Namespace) -> int:
    """Write each example that is not here yet."""
    folder = _FOLDER if _FOLDER.is_dir() else _CHECKOUT
    for name, copy in EXAMPLES.items():
        path = Path(name)
        if path.exists():
            print(f"{name} exists: kept")
            continue
        path.write_text((folder / name).read_text(encoding="utf-8"), encoding="utf-8")
        print(f"{name} written: copy it to {copy}")
    return 0
