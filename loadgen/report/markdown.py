"""Text and tables as Markdown shows them, and as they read well where nobody renders them. Pure."""

import re
from typing import Final

from markupsafe import Markup

from loadgen.errors import printable
from loadgen.report.tables import load
from loadgen.text import Table

# What Markdown would take for HTML; before a digit (<0.01%) it takes neither sign for a tag.
_HTML_SIGNS: Final = {r"&": "&amp;", r"<(?!\d)": "&lt;", r">(?!\d)": "&gt;"}
_MARKDOWN_SIGNS: Final = r"\`*[]|"
_BEGINS_A_BLOCK: Final = re.compile(r"^( *\d*)([#+.)-](?=[# ]))")  # a heading, an item of a list


def plain_table(table: Table) -> Markup:
    """Return the table in Markdown, its columns aligned so that it reads well as plain text."""
    columns = load.flat(table).columns
    head = [str(escaped(column.label)) for column in columns]
    cells = [[str(escaped(cell)) for cell in row] for row in table.rows]
    widths = [max(3, *map(len, column)) for column in zip(head, *cells, strict=True)]

    def line(texts: list[str]) -> str:
        placed = [
            text.rjust(width) if column.number else text.ljust(width)
            for text, width, column in zip(texts, widths, columns, strict=True)
        ]
        return f"| {' | '.join(placed)} |"

    rules = [
        "-" * (width - 1) + ":" if column.number else "-" * width
        for width, column in zip(widths, columns, strict=True)
    ]
    lines = [line(head), f"| {' | '.join(rules)} |", *map(line, cells)]
    return Markup("\n".join(lines))  # noqa: S704 - each cell was escaped above


def escaped(value: object) -> Markup:
    """Return a value as Markdown shows it: its signs as signs, on one line."""
    if isinstance(value, Markup):
        return value
    text = printable(" ".join(str(value).split("\n")))
    for sign, entity in _HTML_SIGNS.items():
        text = re.sub(sign, entity, text)
    text = "".join(f"\\{sign}" if sign in _MARKDOWN_SIGNS else sign for sign in text)
    return Markup(_BEGINS_A_BLOCK.sub(r"\1\\\2", text))  # noqa: S704
