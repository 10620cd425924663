"""What a tool's credits were spent on: how idle, how chatty, how wide its rows are. Pure."""

from decimal import Decimal

from loadgen.costs.snowflake.credits import Used, total
from loadgen.costs.snowflake.reading import Reading
from loadgen.costs.unavailable import Unavailable
from loadgen.record.costs import Efficiency
from loadgen.tools.tools_file import Tool


def efficiency(tool: Tool, used: Used | Unavailable, reading: Reading, changes: int) -> Efficiency:
    """Return the figures of a tool that wrote `changes` changes in the window."""
    warehouse = str(tool.warehouse).upper()
    credits_ = idle = None
    if not isinstance(used, Unavailable):
        credits_ = used.total
        parts = used.idle
        idle = total(parts.values()) / credits_ if parts is not None and credits_ else None
    wakes = reading.awake(warehouse)
    number = None if wakes is None else sum(reading.clock.has(one) for one in wakes)
    users = _users(reading, warehouse)
    ran = None if users is None else sum(users.values())
    shown = (
        None if isinstance(reading.warehouses, Unavailable) else reading.warehouses.get(warehouse)
    )
    return Efficiency(
        tool=tool.name,
        warehouse=warehouse,
        size=shown.size if shown else None,
        generation=shown.generation if shown else None,
        credits=credits_,
        credits_per_million_changes=(
            credits_ * 1_000_000 / changes if credits_ is not None and changes else None
        ),
        idle_share=idle,
        statements=ran,
        wake_ups=number,
        statements_a_wake_up=Decimal(ran) / number if ran is not None and number else None,
        bytes_a_row=_bytes_a_row(tool, reading),
        users=tuple((*who, count) for who, count in sorted((users or {}).items())),
    )


def _users(reading: Reading, warehouse: str) -> dict[tuple[str, str, str], int] | None:
    ran = reading.ran(warehouse)
    if isinstance(ran, Unavailable):
        return None
    found: dict[tuple[str, str, str], int] = {}
    for one in ran:
        if reading.clock.has(one.span):
            who = (one.user, one.role, one.tag)
            found[who] = found.get(who, 0) + 1
    return found


def _bytes_a_row(tool: Tool, reading: Reading) -> Decimal | None:
    if isinstance(reading.rows_kept, Unavailable) or not tool.database:
        return None
    rows, size = reading.rows_kept.get(tool.database.upper(), (0, 0))
    return Decimal(size) / rows if rows else None
