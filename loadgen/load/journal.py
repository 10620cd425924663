"""The run's journal as the load writes it: repeated events are one entry.

A source that flaps for two days would give six figures of entries, each a write of all of run.json.
So the events of one subject (a process, a tool, a slot) without a quiet minute in between are an
*episode*, with one entry of each sort: when it happened first (`at`) and last (`until`), and how
often (`count`). The quiet that ends an episode is a minute longer each time.

Entries that others post (people, `loadgen tools`, the watch) are bounded by number and by size.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from loadgen.errors import JournalFullError
from loadgen.record.folder import RunRecord
from loadgen.record.resyncs import BEGAN, ENDED

LARGEST_ENTRY: Final = 4096  # bytes of a posted entry
MOST_POSTED: Final = 1000  # posted entries of a run
_MOST_REPEATS: Final = 2000  # workers that come and go have new names each time
# Only the load writes them: resume, verification and report rely on them.
_OWN_REPEATS: Final = frozenset({"fault", "clock_stepped", "worker_lost", "worker_joined"})
OWN: Final = _OWN_REPEATS | {"rate_change", "pause", "resume", "gap"}
# Posted by the playground's other commands.
POSTED: Final = frozenset(
    {
        *("slot_lost", "copy_went_back", "copy_there_again"),
        *("tool_started", "tool_stopped", "tool_crashed"),
        *(BEGAN, ENDED),
    }
)
_QUIET: Final = timedelta(minutes=1)
# Events without a person behind them. Every other entry stands alone.
_REPEATS: Final = _OWN_REPEATS | {
    *("slot_lost", "copy_went_back", "copy_there_again", "tool_crashed"),
}
# They end the episode of an earlier entry, and belong to it however late they come.
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
        kinds = record.kinds()  # a resumed run has some already
        self._posted = sum(kind not in OWN for kind in kinds)
        self._repeats = sum(kind in _OWN_REPEATS for kind in kinds)

    def post(self, kind: str, details: Mapping[str, object]) -> None:
        """Note an entry that a person or a program posted. Raises JournalFullError."""
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

        Returns the details for a line on the terminal, with `count` and `since` if it has happened
        before; None unless its count has doubled since the last line.
        """
        if kind not in _REPEATS:
            self._enter(kind, at, details)
            return details
        now = self._record.now()
        sort = str(details.get("what", kind))
        entries = self._entries_of_episode(kind, sort, details, now)
        entry = entries.get(sort)
        if entry is None:
            if kind in OWN and self._repeats >= _MOST_REPEATS:
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
        self._repeats += kind in _OWN_REPEATS
        return self._record.note(kind, at, **details)

    def _leave_out(self, details: Mapping[str, object]) -> Mapping[str, object] | None:
        """Count an entry that has no room; return it if it deserves a line on the terminal."""
        run = self._record.run
        run.journal_left_out += 1
        self._record.write_later()
        return None if run.journal_left_out & (run.journal_left_out - 1) else details

    def _entries_of_episode(
        self, kind: str, sort: str, details: Mapping[str, object], now: datetime
    ) -> dict[str, _Entry]:
        """Return the entries of the subject's episode, which may begin with this one."""
        # A worker that comes back has another name: all workers share the joining and leaving.
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
    """Return the details of one more event: seconds and new connections add up."""
    summed = ("seconds", "connections") if sort == "reconnected" else ("seconds",)
    sums: dict[str, object] = {}
    for name in summed:
        total, more = before.get(name), details.get(name)
        if isinstance(total, int | float) and isinstance(more, int | float):
            sums[name] = round(total + more, 3)
    return {**before, **details, **sums}
