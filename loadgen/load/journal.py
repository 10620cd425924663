"""The run's journal as the load keeps it: what happens again and again is one entry.

A source that flaps for two days would give six figures of entries, each a write of all of run.json.
So what happens to one subject (a process, a tool, a slot) without a quiet minute in between is an
*episode*, with one entry of each sort: when it happened first (`at`) and last (`until`), and how
often (`count`). The quiet that ends an episode is a minute longer each time.

What others post (people, `loadgen tools`, the watch) is bounded as well: by number, and by size.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from loadgen.errors import JournalFullError
from loadgen.record.writer import RunRecord

LARGEST_ENTRY: Final = 4096  # bytes of what is posted
MOST_POSTED: Final = 1000  # entries in a run's journal
_MOST_NOTED: Final = 2000  # of what repeats; workers that come and go have new names each time
# Only the load writes them: what is resumed, verified and reported is read from them again.
_OWN_REPEATS: Final = frozenset({"fault", "clock_stepped", "worker_lost", "worker_joined"})
OWN: Final = _OWN_REPEATS | {"rate_change", "pause", "resume", "gap"}
# What the playground's other commands post.
POSTED: Final = frozenset(
    {"slot_lost", "copy_went_back", "copy_there_again", "tool_started", "tool_stopped"}
)
_QUIET: Final = timedelta(minutes=1)
# What the playground notes without anybody's doing. Whatever else is posted stands alone.
_REPEATS: Final = _OWN_REPEATS | {"slot_lost", "copy_went_back", "copy_there_again"}
# They end what another entry has begun, and belong to its episode however late they come.
_ENDINGS: Final = frozenset({"source_back", "copy_there_again"})


@dataclass(slots=True)
class _Entry:
    number: int  # in the record
    since: datetime
    details: dict[str, object]
    count: int = 1


@dataclass(slots=True)
class _Episode:
    ordinal: int
    last: datetime
    entries: dict[str, _Entry] = field(default_factory=dict)


class Journal:
    """Writes what happened into a run's record."""

    def __init__(self, record: RunRecord) -> None:
        self._record = record
        self._episodes: dict[tuple[str, ...], _Episode] = {}
        kinds = record.kinds()  # there are some in a run that is resumed
        self._posted = sum(kind not in OWN for kind in kinds)
        self._noted = sum(kind in _OWN_REPEATS for kind in kinds)

    def post(self, kind: str, details: Mapping[str, object]) -> None:
        """Note what a person or a program posted. Raises JournalFullError."""
        if self._posted >= MOST_POSTED:
            raise JournalFullError(
                f"{MOST_POSTED:,} entries were posted to this run's journal, which is all that it "
                "takes: start another run"
            )
        self.note(kind, details)

    def note(
        self, kind: str, details: Mapping[str, object], at: datetime | None = None
    ) -> Mapping[str, object] | None:
        """Note something that happened, now unless `at` is given.

        Returns what deserves a line in the terminal: the details, with `count` and `since` where it
        has happened before; None where its count has not doubled since the last line.
        """
        if kind not in _REPEATS:
            self._enter(kind, at, details)
            return details
        now = self._record.now()
        sort = str(details.get("what", kind))
        entries = self._entries(kind, sort, details, now)
        entry = entries.get(sort)
        if entry is None:
            if kind in OWN and self._noted >= _MOST_NOTED:
                return self._leave_out(details)
            number = self._enter(kind, at or now, details)
            entries[sort] = _Entry(number, at or now, dict(details))
            return details
        entry.count += 1
        merged = _merged(sort, entry.details, details)
        if len(json.dumps(merged, default=str)) <= LARGEST_ENTRY:
            entry.details = merged
        self._record.amend(entry.number, **{"until": now, **entry.details, "count": entry.count})
        if entry.count & (entry.count - 1):
            return None
        return {**details, "count": entry.count, "since": entry.since}

    def _enter(self, kind: str, at: datetime | None, details: Mapping[str, object]) -> int:
        self._posted += kind not in OWN
        self._noted += kind in _OWN_REPEATS
        return self._record.note(kind, at, **details)

    def _leave_out(self, details: Mapping[str, object]) -> Mapping[str, object] | None:
        """Count what the journal has no room for; return it if the terminal is to have it."""
        run = self._record.run
        run.journal_left_out += 1
        self._record.write_later()
        return None if run.journal_left_out & (run.journal_left_out - 1) else details

    def _entries(
        self, kind: str, sort: str, details: Mapping[str, object], now: datetime
    ) -> dict[str, _Entry]:
        """Return the entries of the subject's episode, which may begin with this one."""
        # A worker that comes again has another name: joining and leaving are all workers' affair.
        worker = details.get("worker") if kind == "fault" else None
        subject = (str(worker), str(details.get("tool")), str(details.get("slot")))
        episode = self._episodes.get(subject)
        if episode is None:
            episode = self._episodes[subject] = _Episode(1, now)
        elif now - episode.last > episode.ordinal * _QUIET and sort not in _ENDINGS:
            episode = self._episodes[subject] = _Episode(episode.ordinal + 1, now)
        episode.last = now
        return episode.entries


def _merged(
    sort: str, before: Mapping[str, object], details: Mapping[str, object]
) -> dict[str, object]:
    """Return the details of one more: seconds and connections made again add up."""
    added = ("seconds", "connections") if sort == "reconnected" else ("seconds",)
    sums: dict[str, object] = {}
    for name in added:
        one, other = before.get(name), details.get(name)
        if isinstance(one, int | float) and isinstance(other, int | float):
            sums[name] = round(one + other, 3)
    return {**before, **details, **sums}
