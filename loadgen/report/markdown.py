"""Text and tables as Markdown, aligned so that they read well as plain text too. Pure."""

import re
from typing import Final

from markupsafe import Markup

from loadgen.errors import printable
from loadgen.text import Table

# What Markdown would take for HTML; before a digit (<0.01%) it takes neither sign for a tag.
_HTML_SIGNS: Final = {r"&": "&amp;", r"<(?!\d)": "&lt;", r">(?!\d)": "&gt;"}
_MARKDOWN_SIGNS: Final = r"\`*[]|"
_BEGINS_A_BLOCK: Final = re.compile(r"^( *\d*)([#+.)-](?=[# ]))")  # a heading, a list


def markdown_table(table: Table) -> Markup:
    """Return the table in Markdown; a group's heading becomes part of its columns' labels."""
    labels = [f"{column.group} {column.label}".strip() for column in table.columns]
    lines = [[str(escaped(cell)) for cell in row] for row in (labels, *table.rows)]
    widths = [max(3, *map(len, cells)) for cells in zip(*lines, strict=True)]
    numbers = [column.number for column in table.columns]

    def line(cells: list[str]) -> str:
        placed = [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(cells, widths, numbers, strict=True)
        ]
        return f"| {' | '.join(placed)} |"

    rules = [
        "-" * (width - 1) + (":" if number else "-")
        for width, number in zip(widths, numbers, strict=True)
    ]
    return Markup("\n".join([line(lines[0]), line(rules), *map(line, lines[1:])]))  # noqa: S704 - each cell was escaped above


def escaped(cell: object) -> Markup:
    """Return a value as Markdown shows it: no sign of it is markup, and it is one line."""
    if isinstance(cell, Markup):
        return cell
    text = printable(" ".join(str(cell).split("\n")))
    for sign, entity in _HTML_SIGNS.items():
        text = re.sub(sign, entity, text)
    text = "".join(f"\\{sign}" if sign in _MARKDOWN_SIGNS else sign for sign in text)
    return Markup(_BEGINS_A_BLOCK.sub(r"\1\\\2", text))  # noqa: S704
