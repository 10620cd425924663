"""`loadgen settings`: the values in force and where each came from, secrets masked."""

import argparse
import json
from typing import Final

from loadgen.config.settings import Settings, load_settings, misspelt, origins
from loadgen.load.console import warn_of_misspelt
from loadgen.source.postgres import complete_dsn, mask

_EXAMPLE: Final = "example: ORDERS_PER_HOUR=3600 loadgen settings | grep -v default"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "settings",
        help="the values in force and where each came from, secrets masked",
        description="Shows every setting, its value, and whether that came from the environment, "
        "from .env or is the default. .env.example names them all.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the settings; warn of names in .env that look like a mistyped one."""
    settings = load_settings()
    values, came_from = shown(settings), origins()
    if args.json:
        rows = {n.upper(): {"value": v, "origin": came_from[n]} for n, v in values.items()}
        print(json.dumps(rows, indent=2))
    else:
        texts = {name: _text(value) for name, value in values.items()}
        width = max(len(text) for text in texts.values())
        names = max(len(name) for name in texts)
        for name, text in texts.items():
            print(f"{name.upper():<{names + 2}}{text:<{width + 2}}{came_from[name]}")
    warn_of_misspelt(misspelt())
    return 0


def shown(settings: Settings) -> dict[str, object]:
    """Return each setting's value as it may be shown: of DATABASE_URL all but the password."""
    values = settings.public()
    if settings.database_url is not None:
        complete_dsn(settings.database_url.get_secret_value())  # refused here if it can't be read
        values["database_url"] = mask(settings.database_url.get_secret_value())
    return values


def _text(value: object) -> str:
    if value is None:
        return "not set"
    return f"{value:.15g}" if isinstance(value, float) else str(value)
