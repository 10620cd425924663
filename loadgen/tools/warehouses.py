"""Whether Snowflake tools are compared fairly: a warehouse each, all alike, nothing accelerated."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadgen.config.settings import Settings
from loadgen.errors import DestinationError
from loadgen.tools.columns import find_name, there_is
from loadgen.tools.readers.snowflake import SnowflakeReader
from loadgen.tools.tools_file import Tool


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A tool's warehouse, as SHOW WAREHOUSES has it."""

    tool: str
    name: str
    size: str
    generation: str
    accelerated: bool


def configured(tool: Tool, settings: Settings) -> bool:
    """Return whether it is known which Snowflake the tool delivers to."""
    place = tool.account or settings.snowflake_account or settings.snowflake_host
    return tool.destination == "snowflake" and bool(place)


def look(tool: Tool, settings: Settings) -> Warehouse | None:
    """Read the tool's database, and return its warehouse; None where it names none.

    An emulator has no warehouses. Raises DestinationError where either can't be read.
    """
    door = SnowflakeReader(tool, settings)
    try:
        if not door.schemas():
            raise DestinationError(
                f"no schema of database {door.database} can be read at {door.where}: make it, or "
                "GRANT USAGE on it to the role that asks"
            )
        if tool.warehouse is None or settings.snowflake_host:
            return None
        rows = door.named("SHOW WAREHOUSES")
    finally:
        door.close()
    return read(tool, rows)


def read(tool: Tool, rows: Sequence[Mapping[str, Any]]) -> Warehouse:
    """Return the tool's warehouse from the answer. Raises DestinationError where it lacks it."""
    wanted = str(tool.warehouse)
    by_name = {str(row["name"]): row for row in rows}
    name = find_name(wanted, by_name, "snowflake")
    if name is None:
        raise DestinationError(
            f"warehouse {wanted} is not there for the role that asks; "
            f"{there_is(wanted, by_name)}: correct warehouse in [tools.{tool.name}], or GRANT "
            f"USAGE, MONITOR ON WAREHOUSE {wanted} to the role"
        )
    row = by_name[name]
    return Warehouse(
        tool=tool.name,
        name=name,
        size=str(row["size"]),
        generation=str(row.get("generation") or row.get("resource_constraint") or "unknown"),
        accelerated=str(row.get("enable_query_acceleration")).lower() == "true",
    )


def shared(tools: Sequence[Tool], ours: str | None) -> Iterator[str]:
    """Yield warehouses of two owners; `ours` is that of our own queries."""
    owners = {ours.upper(): "our own queries (SNOWFLAKE_WAREHOUSE)"} if ours else {}
    for tool in tools:
        if tool.destination != "snowflake" or tool.warehouse is None:
            continue
        other = owners.setdefault(tool.warehouse.upper(), f"tool {tool.name}")
        if other != f"tool {tool.name}":
            yield (
                f"warehouse {tool.warehouse} of tool {tool.name} is that of {other} too, so their "
                "credits can't be told apart: give each its own in TOOLS_FILE"
            )


def unfair(found: Sequence[Warehouse]) -> Iterator[str]:
    """Yield what would make one tool's credits dearer, or its copy quicker, than another's."""
    for one in found:
        if one.accelerated:
            yield (
                f"warehouse {one.name} of tool {one.tool} has query acceleration on, which costs "
                f"credits besides: ALTER WAREHOUSE {one.name} SET "
                "ENABLE_QUERY_ACCELERATION = FALSE"
            )
    for what, setting in (("size", "WAREHOUSE_SIZE"), ("generation", "GENERATION")):
        values = {one.tool: str(getattr(one, what)) for one in found}
        if len(set(values.values())) > 1:
            said = ", ".join(f"{tool} {value}" for tool, value in values.items())
            yield (
                f"the tools' warehouses differ in {what} ({said}): make them alike with "
                f"ALTER WAREHOUSE … SET {setting} = …"
            )
