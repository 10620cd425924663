"""Who used a tool's warehouse: the tool, another tool, or a stranger. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from loadgen.costs.reading import Unread
from loadgen.costs.snowflake_reading import Reading
from loadgen.destination.tools_file import Tool


@dataclass(frozen=True, slots=True)
class Strays:
    """Statements on a tool's warehouse that were not the tool's, and their share of the work."""

    words: str
    share_of_work: Decimal

    @classmethod
    def of(cls, tool: Tool, reading: Reading) -> "Strays":
        """Return them; nobody where the statements can't be read, which is said."""
        ran = reading.ran(str(tool.warehouse).upper())
        if isinstance(ran, Unread):
            return cls(f"who used it is not known: {ran.why}", Decimal(0))
        users: dict[str, int] = {}
        for statement in ran:
            if reading.clock.window.within(statement.span).length > 0:
                users[statement.who] = users.get(statement.who, 0) + 1
        if tool.user is None:
            return cls(_unnamed(users), Decimal(0))
        own = tool.user.upper()
        others = {user: number for user, number in users.items() if user.upper() != own}
        if not others:
            return cls("", Decimal(0))
        listed = ", ".join(f"{number} by {user}" for user, number in sorted(others.items()))
        said = f"statements of other users on its warehouse: {listed}"
        share = _share(tool, reading)
        if share is None:
            said += ", whose part is not known before QUERY_ATTRIBUTION_HISTORY is filled"
        return cls(said, share or Decimal(0))


def split(tool: Tool, sharing: Sequence[Tool], reading: Reading) -> Decimal | Unread:
    """Return the tool's part of a warehouse that several tools use, by attributed credits."""
    if isinstance(reading.attributed, Unread):
        return reading.attributed
    users = {one.name: (one.user or "").upper() for one in sharing}
    if "" in users.values() or len(set(users.values())) < len(users):
        return Unread("it can be split only where each tool has a user of its own in tools.toml")
    if not reading.clock.final("QUERY_ATTRIBUTION_HISTORY"):
        ready = reading.clock.after_hours("QUERY_ATTRIBUTION_HISTORY")
        return Unread(f"to split it, run `loadgen costs` again after {ready:%Y-%m-%d %H:%M} UTC")
    used = _by_user(tool, reading.attributed)
    together = sum((used.get(user, Decimal(0)) for user in users.values()), Decimal(0))
    if not together:
        return Unread("QUERY_ATTRIBUTION_HISTORY has nothing to split it by")
    return used.get(users[tool.name], Decimal(0)) / together


def _share(tool: Tool, reading: Reading) -> Decimal | None:
    if isinstance(reading.attributed, Unread):
        return None
    used = _by_user(tool, reading.attributed)
    together = sum(used.values(), Decimal(0))
    if not together:
        return None
    return 1 - used.get(str(tool.user).upper(), Decimal(0)) / together


def _by_user(tool: Tool, attributed: Mapping[tuple[str, str], Decimal]) -> dict[str, Decimal]:
    warehouse = str(tool.warehouse).upper()
    return {user.upper(): used for (of, user), used in attributed.items() if of == warehouse}


def _unnamed(users: dict[str, int]) -> str:
    if len(users) < 2:
        return ""
    listed = ", ".join(f"{number} by {user}" for user, number in sorted(users.items()))
    return f"its users: {listed}; tools.toml does not name the tool's user"
