"""Reads [imported] of workload.toml: the database that a model was imported from."""

import re
from datetime import datetime
from typing import Final

from loadgen.workload.model import Imported, ImportedTable
from loadgen.workload.section import Section

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SMALLEST_SCALE: Final = 1e-9
_LARGEST_SCALE: Final = 1e6


def read_imported(document: Section) -> Imported | None:
    """Return what an import wrote of its database; None if a person wrote the model.

    Raises ModelError.
    """
    if "imported" not in document:
        return None
    entries = document.section("imported").entries
    section = Section(document.file, "[imported]", "", entries)
    section.only("read_at", "databases", "window_seconds", "row_scale", "rate_scale", "tables")
    return Imported(
        read_at=_read_at(section),
        digests=_digests(section),
        window_seconds=_number(section, "window_seconds"),
        row_scale=_scale(section, "row_scale"),
        rate_scale=_scale(section, "rate_scale"),
        tables={name: _table(table) for name, table in section.sections("tables")},
    )


def _table(section: Section) -> ImportedTable:
    section.only("rows", "bytes", "index_bytes", "inserts", "updates", "deletes")
    return ImportedTable(
        rows=section.whole("rows"),
        bytes=section.whole("bytes"),
        index_bytes=section.whole("index_bytes", 0),
        inserts=_number(section, "inserts"),
        updates=_number(section, "updates"),
        deletes=_number(section, "deletes"),
    )


def _read_at(section: Section) -> str:
    read_at = section.text("read_at")
    try:
        has_zone = datetime.fromisoformat(read_at).tzinfo is not None
    except ValueError:
        has_zone = False
    if not has_zone:
        raise section.wrong("read_at", 'an instant, such as "2026-11-29T13:00:00+00:00"')
    return read_at


def _digests(section: Section) -> tuple[str, ...]:
    """Return the digests; without one, nothing would keep a load from the database."""
    digests = section.texts("databases")
    if not digests or not all(map(_DIGEST.fullmatch, digests)):
        raise section.error(
            "databases", "it has a digest of 64 hex digits, or several: import the database again"
        )
    return digests


def _number(section: Section, key: str) -> float | None:
    return section.number(key) if key in section else None


def _scale(section: Section, key: str) -> float:
    return section.number(key, 1.0, low=_SMALLEST_SCALE, high=_LARGEST_SCALE)
