"""Opens a tool's pipe: its bucket and its destination."""

from collections.abc import Callable

from loadgen.config.settings import Settings
from loadgen.tools.runners.simplyload.bucket import Bucket
from loadgen.tools.runners.simplyload.duckdb_copy import DuckdbDestination
from loadgen.tools.runners.simplyload.snowflake_copy import SnowflakeDestination
from loadgen.tools.runners.simplyload.sync import Pipe
from loadgen.tools.tools_file import Tool


def open_pipe(
    tool: Tool, settings: Settings, reached: Callable[[str], None] = lambda _: None
) -> Pipe:
    """Return the pipe of a tool. Raises DestinationError."""
    bucket = Bucket.of(tool)
    destination = (
        DuckdbDestination(tool)
        if tool.destination == "duckdb"
        else SnowflakeDestination(tool, settings, bucket)
    )
    return Pipe(tool, bucket, destination, reached)
