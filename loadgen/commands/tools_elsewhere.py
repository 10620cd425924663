"""What `loadgen tools` says of tools that others run: how one lands rows, what Snowflake needs."""

import argparse
from contextlib import ExitStack

from loadgen.config.settings import Settings
from loadgen.errors import DestinationError
from loadgen.source.locate import source_dsn
from loadgen.tools.probe import recognised
from loadgen.tools.probe_entry import entry
from loadgen.tools.readers.factory import open_copy
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.snowflake_setup import set_up, tear_down
from loadgen.tools.tools_file import Tool
from loadgen.verify.reconcile import published


def probe(_: argparse.Namespace, settings: Settings, tools: tuple[Tool, ...]) -> int:
    """Print the entry of tools.toml that each tool's copy suggests."""
    with ExitStack() as held:
        source = PostgresReader(source_dsn(settings, start=False), is_source=True)
        held.callback(source.close)
        tables = published(source)
        for place, tool in enumerate(tools):
            door = open_copy(tool, settings)
            held.callback(door.close)
            try:
                with door.reading():
                    copies = {schema: door.tables(schema) for schema in door.schemas()}
            except DestinationError as exc:
                raise DestinationError(f"tool {tool.name}: {exc}") from exc
            landing = recognised(tool, tables, copies)
            if landing is None:
                raise DestinationError(
                    f"tool {tool.name}: no schema of {door.where} has a table like "
                    f"{', '.join(tables)} (schemas: {', '.join(copies) or 'none'}): let the tool "
                    "sync first, and let our user see its tables"
                )
            print(("\n" if place else "") + entry(tool, landing, door.where), end="")
    return 0


def snowflake_sql(args: argparse.Namespace, settings: Settings, tools: tuple[Tool, ...]) -> int:
    """Print the SQL that an administrator runs before a study, or after it."""
    if args.teardown:
        print(tear_down(tools, settings, all_of_it=not args.names), end="")
    else:
        print(set_up(tools, settings, quota=args.credits, generation=args.generation), end="")
    return 0
