"""Opens a tool's copy by its entry in tools.toml, and finds its schema and tables."""

from collections.abc import Iterable

from loadgen.config.settings import Settings
from loadgen.errors import DestinationError
from loadgen.source.embedded import server
from loadgen.source.embedded.server import source_dsn
from loadgen.tools.columns import available_names, find_name
from loadgen.tools.readers.duckdb import DuckdbReader
from loadgen.tools.readers.parquet import ParquetReader
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.readers.reader import TableReader
from loadgen.tools.readers.snowflake import SnowflakeReader
from loadgen.tools.s3 import S3Prefix
from loadgen.tools.tools_file import Tool


def open_copy(tool: Tool, settings: Settings) -> TableReader:
    """Return the reader of a tool's copy, not connected yet. Raises PlaygroundError."""
    if tool.destination == "snowflake":
        return SnowflakeReader(tool, settings)
    if tool.destination == "duckdb":
        return DuckdbReader(tool.duckdb_file)
    if tool.destination == "parquet":
        source, s3 = source_dsn(settings), S3Prefix.of(tool)
        folder = tool.parquet_folder if s3 is None else tool.mirror_folder
        return ParquetReader(folder, tool.schema_name, source, s3)
    address = tool.address()
    if address is None:
        running = server.status(tool.folder)
        if running is None:
            raise DestinationError(
                f"no Postgres runs in {tool.folder}: start it with `loadgen tools start "
                f"{tool.name}`"
            )
        address = running.dsn
    return PostgresReader(address, setting=tool.address_setting)


def resolve_schema(tool: Tool, reader: TableReader) -> Tool:
    """Return the tool with the names of its schema and database as its copy's catalogue has them.

    Raises DestinationError if the copy has no such schema.
    """
    schemas = reader.schemas()
    schema = find_name(tool.schema_name, schemas, tool.engine)
    if schema is None:
        raise DestinationError(
            f"no schema {tool.schema_name} at {reader.where}; "
            f"{available_names(tool.schema_name, schemas)}: correct schema in [tools.{tool.name}]"
        )
    return tool.model_copy(update={"named_schema": schema, "database": reader.database})


def missing_table_problem(tool: Tool, table: str, names: Iterable[str]) -> str:
    """Return a line on a source table that is not among the copy's `names`, with its remedy."""
    wanted = tool.convention.table_name(table, folds_to=tool.folds_to)
    tables = list(names)
    other_case = next((name for name in tables if name.lower() == wanted.lower()), None)
    if other_case is None:
        remedy = "let the tool sync it, or give our user the right to see it"
    elif other_case in {wanted.upper(), wanted.lower()}:
        case = "upper" if other_case == wanted.upper() else "lower"
        remedy = f'set convention.case = "{case}" in [tools.{tool.name}]'
    else:
        remedy = "rename it, a convention's names are all upper or all lower case"
    return f"no table {wanted} in {tool.schema_name}; {available_names(wanted, tables)}: {remedy}"
