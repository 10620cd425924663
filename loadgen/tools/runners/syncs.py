"""A local tool's state and its history of syncs, the source of its first copy and recovery.

The history is JSON lines in the tool's folder. A torn last line of a killed process is dropped.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from loadgen.record.files import append_lines
from loadgen.record.model import moment
from loadgen.record.verify import InitialSync
from loadgen.untrusted import parse_json, reading

FILE: Final = "syncs.jsonl"


@dataclass(frozen=True, slots=True)
class Sync:
    """One sync: rows moved by table; `problem` is None if it succeeded.

    `first_row_at` is None if none of its rows could be read before its end.
    """

    began_at: datetime
    ended_at: datetime
    rows: Mapping[str, int] = field(default_factory=dict)
    problem: str | None = None
    first_row_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ToolStatus:
    """The state of one local tool at one moment.

    `rows` are those of the copy by its server's estimate, or those moved so far. `copied` is
    whether the first copy is complete. Each commit up to `position`, an LSN of the source or a time
    (ISO 8601, UTC), has arrived, as far as the tool can see it. `problem` is a line for the user.
    """

    running: bool
    copied: bool = False
    last_received: datetime | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    initial: InitialSync | None = None
    position: str | None = None
    problem: str | None = None


def append_sync(folder: Path, sync: Sync) -> None:
    """Add a sync to the folder's history. Raises RecordError."""
    append_lines(folder / FILE, "", json.dumps(asdict(sync), default=datetime.isoformat) + "\n")


def read_syncs(folder: Path) -> list[Sync]:
    """Return the folder's syncs, oldest first; none if it has no history."""
    file = folder / FILE
    try:
        with reading(file, "`loadgen tools remove` resets the tool"):
            lines = file.read_bytes().splitlines(keepends=True)
            return [_parse_sync(line) for line in lines if line.endswith(b"\n")]
    except FileNotFoundError:
        return []


def initial_sync(syncs: Sequence[Sync]) -> InitialSync | None:
    """Return the first copy: from the first start to the end of the first success."""
    first = next((sync for sync in syncs if sync.problem is None), None)
    if first is None:
        return None
    return InitialSync(
        syncs[0].began_at,
        first.ended_at,
        sum(first.rows.values()),
        first_row_at=first.first_row_at or first.ended_at,
    )


def last_success(syncs: Sequence[Sync]) -> Sync | None:
    """Return the newest sync that succeeded."""
    return next((sync for sync in reversed(syncs) if sync.problem is None), None)


def rows_moved(syncs: Sequence[Sync]) -> dict[str, int]:
    """Return the rows moved by all syncs, by table."""
    total: Counter[str] = Counter()
    for sync in syncs:
        total.update(sync.rows)
    return dict(total)


def _parse_sync(line: bytes) -> Sync:
    raw = parse_json(line)
    first_row_at = raw.get("first_row_at")
    return Sync(
        moment(raw["began_at"]),
        moment(raw["ended_at"]),
        {str(table): int(rows) for table, rows in raw["rows"].items()},
        raw["problem"],
        None if first_row_at is None else moment(first_row_at),
    )
