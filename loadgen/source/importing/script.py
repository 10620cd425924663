"""Takes comments and psql's commands out of SQL, without touching quoted text."""

import re
from collections.abc import Iterator
from typing import Final

_PIECE: Final = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/|^\\[^\n]*)
    |(?P<end>;)
    |\b[eE]'(?:[^'\\]|\\.|'')*'|'[^']*'|"[^"]*"
    |\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
    |.""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


def split_script(text: str) -> Iterator[str]:
    """Yield the statements of a script, without comments and psql's commands.

    The body of a function in standard SQL becomes several, which still make it when they are
    written one after the other.
    """
    pieces: list[str] = []
    for match in _PIECE.finditer(text):
        if match["end"]:
            yield "".join(pieces).strip()
            pieces.clear()
        elif not match["comment"]:
            pieces.append(match[0])
    if last := "".join(pieces).strip():
        yield last


def without_comments(statement: str) -> str:
    """Return a statement without comments, which may hold values."""
    return next(split_script(statement), "")
