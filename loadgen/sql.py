"""Loads SQL statements by name from the .sql files next to the code that uses them.

A file consists of blocks that begin with `-- name: some_name` and a comment line that describes the
statement. Text before the first name is the file's comment.
"""

import re
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


@cache
def statements(package: str, file: str) -> dict[str, LiteralString]:
    """Return {name: SQL text} of `file` in `package`'s sql folder, without the leading comments.

    Raises ValueError if a name is used twice or a statement has no description line.
    """
    text = files(package).joinpath("sql", file).read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    by_name: dict[str, LiteralString] = {}
    for name, block in zip(parts[::2], parts[1::2], strict=True):
        description, _, body = block.strip().partition("\n")
        if name in by_name or not description.startswith("-- ") or not body.strip():
            raise ValueError(f"{package}/sql/{file}: statement {name!r} is doubled or undescribed")
        # The text ships with the package and is never built from input, as LiteralString demands.
        by_name[name] = cast("LiteralString", body.strip().rstrip(";"))
    return by_name
