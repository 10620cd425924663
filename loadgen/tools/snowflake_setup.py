"""The SQL that sets up a study in Snowflake, with own objects for each tool, and removes it.

Snowflake bills by warehouse, so tools can be told apart only if each has its own, and compared only
if all are of one size and generation, without query acceleration. The generation is always named:
Snowflake's default may be the second, which costs more an hour.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from loadgen.config.settings import Settings
from loadgen.errors import SettingsError
from loadgen.sql import statements
from loadgen.tools.columns import folded, literal, quoted
from loadgen.tools.tools_file import Tool, word_characters

_SQL: Final = statements("loadgen.tools", "snowflake_set_up.sql")
_MONITOR: Final = "PLAYGROUND_LIMIT"
# Defaults of SNOWFLAKE_WAREHOUSE, SNOWFLAKE_ROLE and SNOWFLAKE_USER.
_PROBE: Final = "WH_PLAYGROUND_PROBE"
_READER: Final = "LOADGEN"
_READER_USER: Final = "SVC_LOADGEN"


def set_up(tools: Sequence[Tool], settings: Settings, *, quota: int, generation: int) -> str:
    """Return the SQL that an administrator runs before a study of those `tools` in Snowflake.

    A resource monitor stops all warehouses at `quota` credits. Raises SettingsError if no tool is
    in Snowflake, or two tools share an object that each needs for itself.
    """
    names = _account_names(settings) | {"credits": str(quota), "generation": str(generation)}
    parts = [_SQL["account"].format(**names)]
    parts += [
        f"-- {tool}\n{_SQL['tool'].format(**names, **tool_names)}"
        for tool, tool_names in _tool_names(tools)
    ]
    return _script(parts)


def tear_down(tools: Sequence[Tool], settings: Settings, *, shared_too: bool) -> str:
    """Return the SQL that removes the tools' objects, and with `shared_too` the shared ones."""
    parts = ["USE ROLE ACCOUNTADMIN"]
    parts += [
        f"-- {tool}\n{_SQL['without_tool'].format(**tool_names)}"
        for tool, tool_names in _tool_names(tools)
    ]
    if shared_too:
        parts.append(f"-- all\n{_SQL['without_account'].format(**_account_names(settings))}")
    return _script(parts)


def _account_names(settings: Settings) -> dict[str, str]:
    return {
        "monitor": _identifier(_MONITOR),
        "probe": _identifier(settings.snowflake_warehouse or _PROBE),
        "reader": _identifier(settings.snowflake_role or _READER),
        "reader_user": _identifier(settings.snowflake_user or _READER_USER),
    }


def _tool_names(tools: Sequence[Tool]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each Snowflake tool with the names of its objects. Raises SettingsError."""
    in_snowflake = [tool for tool in tools if tool.destination == "snowflake"]
    if not in_snowflake:
        raise SettingsError(
            "none of the tools has its copy in Snowflake: there is nothing to set up"
        )
    users: dict[str, str] = {}
    for tool in in_snowflake:
        suffix = word_characters(tool.name).upper()
        names = {
            "warehouse": folded(tool.warehouse or f"WH_ELT_{suffix}", "snowflake"),
            "database": folded(tool.database or f"DB_ELT_{suffix}", "snowflake"),
            "role": f"ROLE_ELT_{suffix}",
            "user": f"SVC_ELT_{suffix}",
        }
        for kind, name in names.items():
            if name in users:
                raise SettingsError(
                    f"tools {users[name]} and {tool.name} share the {kind} {name}: their bills "
                    f"could not be told apart; name another {kind} in [tools.{tool.name}]"
                )
            users[name] = tool.name
        identifiers = {key: _identifier(name) for key, name in names.items()}
        yield tool.name, identifiers | {"tag": literal(f"tool={suffix.lower()}")}


def _identifier(name: str) -> str:
    """Return the quoted name in upper case, so that its case in tools.toml does not matter."""
    return quoted(folded(name, "snowflake"))


def _script(parts: Sequence[str]) -> str:
    return ";\n\n".join(parts) + ";\n"
