"""A proposal as an entry of tools.toml: keys that can be read back, and why each is so."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Final

from loadgen.source.postgres import mask
from loadgen.tools.probe import Landing
from loadgen.tools.tools_file import Tool

_WIDTH: Final = 96
# Keys of the entry that a catalogue says nothing of: they stay as they are.
_KEPT: Final = (
    *("account", "database", "warehouse", "role", "user", "private_key_path"),
    *("url_env", "file", "slot", "publication", "price", "runner", "interval_seconds"),
)
# Convention's keys in the order of conventions.toml; those that are notes alone come with them.
_ORDER: Final = (
    *("table_pattern", "case", "ignored_columns", "deletes", "delete_marker"),
    *("current_row", "load_time", "lossy", "types"),
)


def entry(tool: Tool, landing: Landing, where: str) -> str:
    """Return the proposal as text; a password stays out of it."""
    return "\n".join(_lines(tool, landing, where)) + "\n"


def _lines(tool: Tool, landing: Landing, where: str) -> Iterator[str]:
    yield from _comment(
        f"proposed by `loadgen tools probe {tool.name}` from the catalogue of {where}"
    )
    for line in landing.notes.get("", ()):
        yield from _comment(line)
    yield f"[tools.{_key(tool.name)}]"
    yield from _noted("kind", landing.kind, landing)
    yield f"destination = {_value(tool.destination)}"
    yield from _noted("schema", landing.schema, landing)
    if tool.url is not None:
        yield "# the password is that of your own entry: url_env names a variable that holds it all"
        yield f"url = {_value(mask(tool.url.get_secret_value()))}"
    given = tool.model_dump(exclude_none=True)
    yield from (f"{key} = {_value(given[key])}" for key in _KEPT if key in given)
    said = [key for key in _ORDER if key in landing.notes or key in landing.convention]
    if said:
        yield ""
        # Without a key of its own the table is not needed; its comments are all there is to say.
        if landing.convention:
            yield f"[tools.{_key(tool.name)}.convention]"
    for key in said:
        yield from _noted(key, landing.convention.get(key), landing)


def _noted(key: str, value: object, landing: Landing) -> Iterator[str]:
    for line in landing.notes.get(key, ()):
        yield from _comment(f"{key}: {line}")
    if value is not None:
        yield f"{key} = {_value(value)}"


def _comment(text: str) -> Iterator[str]:
    yield from (f"# {line}" for line in wrap(text, _WIDTH - 2))


def _key(name: str) -> str:
    plain = all(one.isascii() and (one.isalnum() or one in "-_") for one in name)
    return name if plain else _value(name)


def _value(value: object) -> str:
    """Return a value as TOML has it: strings as JSON writes them, tables on one line."""
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{k} = {_value(v)}" for k, v in value.items() if v is not None) + " }"
        )
    if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        return "[\n" + "".join(f"  {_value(one)},\n" for one in value) + "]"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
