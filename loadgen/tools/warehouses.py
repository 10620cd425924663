"""Snowflake warehouses of the tools: a fair comparison needs one each, of equal settings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loadgen.config.settings import Settings
from loadgen.errors import DestinationError
from loadgen.tools.columns import available_names, find_name
from loadgen.tools.readers.snowflake import SnowflakeReader
from loadgen.tools.tools_file import Tool


@dataclass(frozen=True, slots=True)
class ToolWarehouse:
    """A tool's warehouse by SHOW WAREHOUSES."""

    tool: str
    name: str
    size: str
    generation: str
    accelerated: bool


def snowflake_is_configured(tool: Tool, settings: Settings) -> bool:
    """Return whether the tool delivers to Snowflake, and an account is set."""
    account = tool.account or settings.snowflake_account or settings.snowflake_host
    return tool.destination == "snowflake" and bool(account)


def read_warehouse(tool: Tool, settings: Settings) -> ToolWarehouse | None:
    """Check that the tool's database can be read, and return its warehouse; None if it names none.

    An emulator has no warehouses. Raises DestinationError if either can't be read.
    """
    reader = SnowflakeReader(tool, settings)
    try:
        if not reader.schemas():
            raise DestinationError(
                f"no schema of database {reader.database} can be read at {reader.where}: create "
                "it, or GRANT USAGE on it to our role"
            )
        if tool.warehouse is None or settings.snowflake_host:
            return None
        rows = reader.query_dicts("SHOW WAREHOUSES")
    finally:
        reader.close()
    return warehouse_from_rows(tool, rows)


def warehouse_from_rows(tool: Tool, rows: Sequence[Mapping[str, object]]) -> ToolWarehouse:
    """Return the tool's warehouse from the rows. Raises DestinationError if they lack it."""
    wanted = str(tool.warehouse)
    by_name = {str(row["name"]): row for row in rows}
    name = find_name(wanted, by_name, "snowflake")
    if name is None:
        raise DestinationError(
            f"our role sees no warehouse {wanted}; "
            f"{available_names(wanted, by_name)}: correct warehouse in [tools.{tool.name}], or "
            f"GRANT USAGE, MONITOR ON WAREHOUSE {wanted} to the role"
        )
    row = by_name[name]
    return ToolWarehouse(
        tool=tool.name,
        name=name,
        size=str(row["size"]),
        generation=str(row.get("generation") or row.get("resource_constraint") or "unknown"),
        accelerated=str(row.get("enable_query_acceleration")).lower() == "true",
    )


def shared_warehouses(tools: Sequence[Tool], ours: str | None) -> Iterator[str]:
    """Yield a problem for each warehouse with two users; `ours` is that of our queries."""
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


def unequal_warehouses(warehouses: Sequence[ToolWarehouse]) -> Iterator[str]:
    """Yield a problem for each setting that favours one tool's costs or speed over another's."""
    for warehouse in warehouses:
        if warehouse.accelerated:
            yield (
                f"warehouse {warehouse.name} of tool {warehouse.tool} has query acceleration on, "
                f"which costs extra credits: ALTER WAREHOUSE {warehouse.name} SET "
                "ENABLE_QUERY_ACCELERATION = FALSE"
            )
    for attribute, setting in (("size", "WAREHOUSE_SIZE"), ("generation", "GENERATION")):
        by_tool = {warehouse.tool: getattr(warehouse, attribute) for warehouse in warehouses}
        if len(set(by_tool.values())) > 1:
            sizes = ", ".join(f"{tool} {size}" for tool, size in by_tool.items())
            yield (
                f"the tools' warehouses differ in {attribute} ({sizes}): make them alike with "
                f"ALTER WAREHOUSE … SET {setting} = …"
            )
