"""Who used a tool's warehouse: the tool, another tool, or a stranger. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from loadgen.costs.snowflake.reading import Reading
from loadgen.costs.unavailable import Unavailable, not_yet
from loadgen.tools.tools_file import Tool

_VIEW: Final = "QUERY_ATTRIBUTION_HISTORY"


@dataclass(frozen=True, slots=True)
class OtherUsers:
    """Statements on a tool's warehouse that were not the tool's, and their share of the work."""

    words: str
    share_of_work: Decimal

    @classmethod
    def of(cls, tool: Tool, reading: Reading) -> "OtherUsers":
        """Return them; nobody where the statements can't be read, which is said."""
        ran = reading.ran(str(tool.warehouse).upper())
        if isinstance(ran, Unavailable):
            return cls(f"who used it is not known: {ran.why}", Decimal(0))
        users: dict[str, int] = {}
        for statement in ran:
            if reading.clock.has(statement.span):
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
        if isinstance(share, Unavailable):
            return cls(f"{said}, whose part is {share.why}", Decimal(0))
        return cls(said, share)


def split(tool: Tool, sharing: Sequence[Tool], reading: Reading) -> Decimal | Unavailable:
    """Return the tool's part of a warehouse that several tools use, by attributed credits."""
    if isinstance(reading.attributed, Unavailable):
        return reading.attributed
    users = {one.name: (one.user or "").upper() for one in sharing}
    if "" in users.values() or len(set(users.values())) < len(users):
        return Unavailable(
            "it can be split only where each tool has a user of its own in tools.toml"
        )
    if not reading.clock.final(_VIEW):
        return not_yet("it can't be split yet", reading.clock.after_hours(_VIEW))
    used = _by_user(tool, reading.attributed)
    together = sum((used.get(user, Decimal(0)) for user in users.values()), Decimal(0))
    if not used.get(users[tool.name]) and (why := unattributed(tool, reading)):
        return Unavailable(why)
    if not together:
        return Unavailable(f"{_VIEW} has nothing to split it by")
    return used.get(users[tool.name], Decimal(0)) / together


def unattributed(tool: Tool, reading: Reading) -> str:
    """Return why nothing is attributed to a tool that used its warehouse; "" where it did not.

    Snowflake attributes no credits to statements of less than about 100 ms.
    """
    user, used = str(tool.user).upper(), reading.attributed
    ran = reading.ran(str(tool.warehouse).upper())
    if not isinstance(used, Unavailable) and _by_user(tool, used).get(user):
        return ""
    if isinstance(ran, Unavailable):
        return f"not attributed: {_VIEW} has nothing of {user}, and what it ran can't be read"
    own = [one for one in ran if one.who.upper() == user and reading.clock.has(one.span)]
    if not own:
        return ""
    return (
        f"not attributed: {_VIEW} has none of the {len(own)} statement(s) of {user}; it leaves out "
        "those under about 100 ms, which wake the warehouse all the same"
    )


def _share(tool: Tool, reading: Reading) -> Decimal | Unavailable:
    """Return which part of the work was not the tool's."""
    if isinstance(reading.attributed, Unavailable):
        return Unavailable(f"not known before {_VIEW} is filled")
    if why := unattributed(tool, reading):
        return Unavailable(why)
    used = _by_user(tool, reading.attributed)
    together = sum(used.values(), Decimal(0))
    if not together:
        return Unavailable(f"not known before {_VIEW} is filled")
    return 1 - used.get(str(tool.user).upper(), Decimal(0)) / together


def _by_user(tool: Tool, attributed: Mapping[tuple[str, str], Decimal]) -> dict[str, Decimal]:
    warehouse = str(tool.warehouse).upper()
    return {user.upper(): used for (of, user), used in attributed.items() if of == warehouse}


def _unnamed(users: dict[str, int]) -> str:
    if len(users) < 2:
        return ""
    listed = ", ".join(f"{number} by {user}" for user, number in sorted(users.items()))
    return f"its users: {listed}; tools.toml does not name the tool's user"
