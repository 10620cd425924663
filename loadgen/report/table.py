"""A table of a report: what the HTML and the Markdown report show alike."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """One column; numbers stand to the right. Neighbours of one group share a heading."""

    label: str
    number: bool = False
    group: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as they are shown; `total` says that the last row sums up the others."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    total: bool = False
