"""Statements live in .sql files beside the code that uses them; this loads them by name.

A file holds blocks that begin with `-- name: some_name`; the comment line after it says in one
line what the statement does. Text before the first name is the file's own comment.
"""

import re
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


@cache
def statements(package: str, file: str) -> dict[str, LiteralString]:
    """Return {name: SQL text} of `file` in `package`'s sql folder, comments left out.

    Raises ValueError where a name is used twice or a statement has no description line.
    """
    text = files(package).joinpath("sql", file).read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    found: dict[str, LiteralString] = {}
    for name, block in zip(parts[::2], parts[1::2], strict=True):
        description, _, body = block.strip().partition("\n")
        if name in found or not description.startswith("-- ") or not body.strip():
            raise ValueError(f"{package}/sql/{file}: statement {name!r} is doubled or undescribed")
        # The text ships with the package and is never built from input, as LiteralString demands.
        found[name] = cast("LiteralString", body.strip().rstrip(";"))
    return found
