"""RESULTS.md's form: the rows of its matrix, and what people wrote into it, read back. Pure.

What loadgen wrote has a checksum in the file: where it does not hold, somebody's words stand where
they would be lost, and the file is refused.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from html import unescape
from typing import Final

from loadgen.errors import RecordError

# The rows of the matrix, in this order. In PEOPLES' somebody writes, the others are filled in.
LABELS: Final[Mapping[str, str]] = {
    "set_up_time": "Set-up time",
    "ux": "UX",
    "cost": "Cost",
    "snowflake_efficiency": "Snowflake efficiency",
    "correctness": "Correctness",
    "freshness": "Freshness",
    "features": "Features",
    "notes": "Notes on the tool",
    "score": "Score",
    "limits": "Limits",
    "decision": "Decision",
}
PEOPLES: Final = ("set_up_time", "ux", "features", "notes", "decision")
HEAD: Final = ("criterion", "by")
NOTES: Final = "## Notes"
MATRIX: Final = "## Decision matrix"
_SUM: Final = re.compile(r"<!-- loadgen wrote this; sum ([0-9a-f]{64}) -->")
_RULE: Final = re.compile(r"[|\s:-]+")


@dataclass(frozen=True, slots=True)
class Words:
    """What people wrote: cells by row and tool, the tools in their order, and all below Notes."""

    tools: tuple[str, ...] = ()
    cells: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    added: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # rows: whose, and cells
    notes: str = "\n"


def read_words(text: str, where: str) -> Words:
    """Return what people wrote into the file; RecordError where something would be lost."""
    own, found, notes = text.partition(f"\n{NOTES}")
    written = _SUM.search(own)
    if not found or (notes and not notes.startswith("\n")):
        raise _unread(where, f"has no line `{NOTES}`")
    if written is None:
        raise _unread(where, "was not written by loadgen, or its first comment is gone")
    rows = list(_matrix_rows(own))
    if not rows or tuple(rows[0][:2]) != HEAD or len(set(rows[0])) != len(rows[0]):
        raise _unread(where, "has no decision matrix, or its heading was changed")
    tools = tuple(_unescaped(name) for name in rows[0][2:])
    for row in rows[1:]:
        if len(row) != len(rows[0]):
            raise _unread(where, f"has {len(row)} cells in row {row[:1]}, not {len(rows[0])}")
    names = [row[0] for row in rows[1:]]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _unread(where, f"has two rows {twice!r}")
    if checksum(f"{own}\n{NOTES}") != written[1]:
        raise _unread(where, "was changed in a row or a text that loadgen writes")
    keys = {LABELS[key]: key for key in PEOPLES}
    cells = {
        keys[row[0]]: dict(zip(tools, row[2:], strict=True)) for row in rows[1:] if row[0] in keys
    }
    added = {row[0]: tuple(row[1:]) for row in rows[1:] if row[0] not in LABELS.values()}
    return Words(tools, cells, added, notes)


def _unread(where: str, why: str) -> RecordError:
    return RecordError(
        f"{where} {why}: nothing was written, so that no word of yours is lost; move the file away "
        "and copy your words into the new one"
    )


def _matrix_rows(own: str) -> Iterator[list[str]]:
    """Yield the cells of the matrix, its heading first, without the rule below that."""
    section = own.partition(f"\n{MATRIX}")[2].partition("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("|") and not _RULE.fullmatch(line):
            yield _cells(line)[1:-1]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())]


def checksum(text: str) -> str:
    """Return the sum over what loadgen wrote: all but people's cells and rows, and spaces."""
    found: list[str] = []
    matrix = False
    for line in text.splitlines():
        matrix = line.rstrip() == MATRIX or (matrix and not line.startswith("## "))
        if _SUM.fullmatch(line) or _RULE.fullmatch(line):
            continue
        cells = _cells(line)
        if not matrix or not line.startswith("|"):
            found += line.replace("|", " | ").split()
        elif cells[1] in {LABELS[key] for key in PEOPLES}:
            found += cells[1:3]
        elif cells[1] in {*LABELS.values(), HEAD[0]}:
            found += [word for cell in cells for word in cell.split()]
    return sha256(" ".join(found).encode()).hexdigest()


def _unescaped(name: str) -> str:
    return unescape(re.sub(r"\\([\\`*\[\]|])", r"\1", name))
