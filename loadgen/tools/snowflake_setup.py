"""The SQL that sets up a study in Snowflake, and takes it away: one of each thing for each tool.

A bill is a warehouse's, so tools can be told apart by it only where each has its own; and compared
only where all are of one size and generation, with query acceleration off. A warehouse that is made
without a word on its generation may be of the second, which costs more an hour.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from loadgen.config.settings import Settings
from loadgen.errors import SettingsError
from loadgen.sql import statements
from loadgen.tools.columns import folded, literal, quoted
from loadgen.tools.tools_file import Tool

_SQL: Final = statements("loadgen.tools", "snowflake_set_up.sql")
# Who reads: the names stand where no setting gives one.
_PROBE, _READER, _READER_USER, _MONITOR = (
    "WH_PLAYGROUND_PROBE",
    "LOADGEN",
    "SVC_LOADGEN",
    "PLAYGROUND_LIMIT",
)


def set_up(tools: Sequence[Tool], settings: Settings, *, quota: int, generation: int) -> str:
    """Return what an administrator runs before a study of `tools`, those in Snowflake.

    A resource monitor stops all warehouses at `quota` credits. Raises SettingsError where no tool
    is in Snowflake, or two share what each must have alone.
    """
    fill = _account(settings) | {"credits": str(quota), "generation": str(generation)}
    parts = [_SQL["account"].format(**fill)]
    parts += [_titled(name, _SQL["tool"].format(**fill, **one)) for name, one in _each(tools)]
    return _whole(parts)


def tear_down(tools: Sequence[Tool], settings: Settings, *, all_of_it: bool) -> str:
    """Return the reverse: of `tools`, and with `all_of_it` of what they had in common."""
    parts = ["USE ROLE ACCOUNTADMIN"]
    parts += [_titled(name, _SQL["without_tool"].format(**one)) for name, one in _each(tools)]
    if all_of_it:
        parts.append(_titled("all", _SQL["without_account"].format(**_account(settings))))
    return _whole(parts)


def _account(settings: Settings) -> dict[str, str]:
    return {
        "monitor": _name(_MONITOR),
        "probe": _name(settings.snowflake_warehouse or _PROBE),
        "reader": _name(settings.snowflake_role or _READER),
        "reader_user": _name(settings.snowflake_user or _READER_USER),
    }


def _each(tools: Sequence[Tool]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each Snowflake tool's names. Raises SettingsError."""
    there = [tool for tool in tools if tool.destination == "snowflake"]
    if not there:
        raise SettingsError(
            "none of the tools has its copy in Snowflake: there is nothing to set up"
        )
    taken: dict[str, str] = {}
    for tool in there:
        suffix = "".join(
            one if one.isascii() and one.isalnum() else "_" for one in tool.name
        ).upper()
        names = {
            "warehouse": folded(tool.warehouse or f"WH_ELT_{suffix}", "snowflake"),
            "database": folded(tool.database or f"DB_ELT_{suffix}", "snowflake"),
            "role": f"ROLE_ELT_{suffix}",
            "user": f"SVC_ELT_{suffix}",
        }
        for kind, name in names.items():
            if name in taken:
                raise SettingsError(
                    f"tools {taken[name]} and {tool.name} share the {kind} {name}: their bills "
                    f"could not be told apart; name another {kind} in [tools.{tool.name}]"
                )
            taken[name] = tool.name
        yield (
            tool.name,
            {key: _name(name) for key, name in names.items()}
            | {"tag": literal(f"tool={suffix.lower()}")},
        )


def _name(name: str) -> str:
    """Return a name that is found again however its case is written in tools.toml."""
    return quoted(folded(name, "snowflake"))


def _titled(name: str, text: str) -> str:
    return f"-- {name}\n{text}"


def _whole(parts: Sequence[str]) -> str:
    return ";\n\n".join(parts) + ";\n"
