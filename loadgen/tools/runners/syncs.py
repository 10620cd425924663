"""What a tool moved and when, a line a sync, so that recovery can be told afterwards.

JSON lines in the tool's own folder; a torn last line, of a process that was killed, is dropped.
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
    """One sync: rows moved by table; `problem` is None where it succeeded.

    `first_row_at` is None where no row of it could be read before its end.
    """

    began_at: datetime
    ended_at: datetime
    rows: Mapping[str, int] = field(default_factory=dict)
    problem: str | None = None
    first_row_at: datetime | None = None


def append_sync(folder: Path, sync: Sync) -> None:
    """Add a sync to the folder's file. Raises RecordError."""
    append_lines(folder / FILE, "", json.dumps(asdict(sync), default=datetime.isoformat) + "\n")


def read_syncs(folder: Path) -> list[Sync]:
    """Return the syncs of a folder, oldest first; none where it has no file."""
    file = folder / FILE
    try:
        with reading(file, "`loadgen tools remove` begins the tool anew"):
            lines = file.read_bytes().splitlines(keepends=True)
            return [_sync(line) for line in lines if line.endswith(b"\n")]
    except FileNotFoundError:
        return []


def initial_sync(syncs: Sequence[Sync]) -> InitialSync | None:
    """Return how the first copy went: from the first begin to the end of the first success."""
    first = next((sync for sync in syncs if sync.problem is None), None)
    if first is None:
        return None
    return InitialSync(
        syncs[0].began_at,
        first.ended_at,
        sum(first.rows.values()),
        first_row_at=first.first_row_at or first.ended_at,
    )


def moved(syncs: Sequence[Sync]) -> dict[str, int]:
    """Return the rows moved by all syncs, by table."""
    total: Counter[str] = Counter()
    for sync in syncs:
        total.update(sync.rows)
    return dict(total)


def _sync(line: bytes) -> Sync:
    raw = parse_json(line)
    first = raw.get("first_row_at")
    return Sync(
        moment(raw["began_at"]),
        moment(raw["ended_at"]),
        {str(table): int(rows) for table, rows in raw["rows"].items()},
        raw["problem"],
        None if first is None else moment(first),
    )
