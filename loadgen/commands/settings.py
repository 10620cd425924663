"""`loadgen settings`: every setting with its value and origin, secrets masked."""

import argparse
import json
from contextlib import suppress
from typing import Final

from loadgen.config.settings import Settings, load_settings, misspelt, origins
from loadgen.load.console import warn_of_misspelt
from loadgen.source.postgres import complete_dsn, mask
from loadgen.terminal import print_table
from loadgen.text import Column, Table
from loadgen.workload.operations import profile_of
from loadgen.workload.read_model import ModelError, read_model

_EXAMPLE: Final = "example: ORDERS_PER_HOUR=3600 loadgen settings | grep -v default"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "settings",
        help="show every setting with its value and origin, secrets masked",
        description="Shows every setting, its value, and whether that comes from the environment, "
        "from .env or is the default. .env.example names them all.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the settings; warn of names in .env that look like misspelt settings."""
    settings = load_settings()
    shown, origin = masked(settings), origins()
    if settings.profile is None:
        with suppress(ModelError):  # of a workload that other commands refuse
            shown["profile"] = profile_of(settings, read_model(settings.workload))
    if args.json:
        rows = {n.upper(): {"value": v, "origin": origin[n]} for n, v in shown.items()}
        print(json.dumps(rows, indent=2))
    else:
        columns = (Column("setting"), Column("value"), Column("origin"))
        cells = tuple((name.upper(), _text(shown[name]), origin[name]) for name in shown)
        print_table(Table(columns, cells))
    warn_of_misspelt(misspelt())
    return 0


def masked(settings: Settings) -> dict[str, object]:
    """Return each setting's value for display; of DATABASE_URL only the password is masked."""
    shown = settings.public()
    if settings.database_url is not None:
        complete_dsn(settings.database_url.get_secret_value())  # refuses an unreadable one
        shown["database_url"] = mask(settings.database_url.get_secret_value())
    return shown


def _text(setting: object) -> str:
    if setting is None:
        return "not set"
    return f"{setting:.15g}" if isinstance(setting, float) else str(setting)
