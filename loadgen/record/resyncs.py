"""The re-syncs of a run, by its journal: a tool copied everything again while the load ran."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from loadgen.record.run import JournalEvent

BEGAN: Final = "resync_began"
ENDED: Final = "resync_ended"


@dataclass(frozen=True, slots=True)
class Resync:
    """One re-sync, from the removal of the copy to its completion; None if that did not come."""

    tool: str
    began_at: datetime
    ended_at: datetime | None = None
    rows: int | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return None if self.ended_at is None else (self.ended_at - self.began_at).total_seconds()


def resyncs_of(journal: Iterable[JournalEvent]) -> list[Resync]:
    """Return the re-syncs in the order of their beginnings."""
    resyncs: list[Resync] = []
    for event in journal:
        tool, rows = event.details.get("tool"), event.details.get("rows")
        if event.kind == BEGAN:
            resyncs.append(Resync(str(tool), event.at))
        elif event.kind == ENDED and isinstance(rows, int):
            for place, resync in enumerate(resyncs):
                if resync.tool == tool and resync.ended_at is None:
                    resyncs[place] = replace(resync, ended_at=event.at, rows=max(0, rows))
    return resyncs
