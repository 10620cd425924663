"""Which markers of a run were written, and which of them each tool's destination has shown.

Pure: moments are arguments. A destination that shows a marker is taken to show all before it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from loadgen.record.rows import MarkerSample
from loadgen.source.markers import Marker

# Upper edges of the published buckets, in seconds: from a slot's reader to a daily sync.
BUCKETS: Final = (
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
    *(1800.0, 3600.0, 7200.0, 21600.0, 86400.0),
)


@dataclass(frozen=True, slots=True)
class Look:
    """One question to a destination that was answered; `previous` is when the one before was asked.

    `newest` is the highest sequence that it showed, None where it showed none.
    """

    newest: int | None
    previous: datetime | None
    answered_at: datetime


@dataclass(frozen=True, slots=True)
class Turn:
    """A copy lost markers that it had shown, as one that is copied anew does, or has them again.

    `newest` is the highest sequence that it had ever shown, `shows` what it shows now, 0 for none.
    """

    newest: int
    shows: int

    @property
    def went_back(self) -> bool:
        """Whether it lost them; else it has them again."""
        return self.shows < self.newest


class MarkerReader:
    """The markers of one run at each of `tools`; `known` are rows that its record has already."""

    def __init__(self, tools: Sequence[str], known: Iterable[MarkerSample] = ()) -> None:
        self._written: dict[int, datetime] = {}
        self._last = 0
        self._newest = dict.fromkeys(tools, 0)  # sequence up to which each tool has shown all
        self._gone_back: dict[str, int] = {}  # to which sequence, of tools that show less now
        for row in known:
            self._written[row.sequence] = row.written_at
            if row.seen_at is not None and row.tool in self._newest:
                self._newest[row.tool] = max(self._newest[row.tool], row.sequence)

    def last(self) -> int:
        """Return the highest sequence up to which every marker is known; 0 where none is."""
        while self._last + 1 in self._written:
            self._last += 1
        return self._last

    def wrote(self, marker: Marker) -> None:
        """Take over a marker; a time that is known from before stays, as it is the better one."""
        self._written.setdefault(marker.sequence, marker.written_at)

    def written(self, after: int) -> list[Marker]:
        """Return the markers from sequence `after` + 1 on, up to the first that is not known."""
        return [Marker(seq, self._written[seq]) for seq in range(after + 1, self.last() + 1)]

    def turned(self, tool: str, look: Look) -> Turn | None:
        """Return what this look shows to have turned since the last one; asked before `saw`."""
        shows, newest = look.newest or 0, self._newest[tool]
        was_back = tool in self._gone_back
        if shows < newest:
            self._gone_back[tool] = shows
        else:
            self._gone_back.pop(tool, None)
        return None if was_back == (shows < newest) else Turn(newest, shows)

    def saw(self, tool: str, look: Look) -> list[MarkerSample]:
        """Return a row for each marker that this look shows first."""
        shown = [seq for seq in self._waited_for(tool) if seq <= (look.newest or 0)]
        self._newest[tool] = max([self._newest[tool], *shown])
        return [_seen(tool, sequence, self._written[sequence], look) for sequence in shown]

    def unseen(self, tool: str) -> list[MarkerSample]:
        """Return a row, without a sighting, for each marker that the tool has not shown."""
        return [
            MarkerSample(tool, sequence, self._written[sequence], None, None, None)
            for sequence in self._waited_for(tool)
        ]

    def freshness(self, tool: str, now: datetime) -> float | None:
        """Return the age in seconds of the newest marker that the tool shows.

        Before the first it is the age of the oldest one written; None where none was.
        """
        newest = self._gone_back.get(tool, self._newest[tool])
        since = self._written.get(newest) or min(self._written.values(), default=None)
        return None if since is None else (now - since).total_seconds()

    def _waited_for(self, tool: str) -> list[int]:
        top = max(self.last(), *self._newest.values())
        return [seq for seq in range(self._newest[tool] + 1, top + 1) if seq in self._written]


class Deliveries:
    """How long deliveries to one tool took, counted by bucket; from the start of the process."""

    def __init__(self) -> None:
        self._counts = [0] * len(BUCKETS)
        self._count = 0
        self.total = 0.0  # seconds

    def add(self, seconds: float) -> None:
        """Count one delivery."""
        self.total += seconds
        self._count += 1
        self._counts = [
            n + (seconds <= edge) for n, edge in zip(self._counts, BUCKETS, strict=True)
        ]

    def buckets(self) -> list[tuple[str, float]]:
        """Return the cumulative counts by upper edge, as Prometheus wants them."""
        found = [(str(edge), float(n)) for edge, n in zip(BUCKETS, self._counts, strict=True)]
        return [*found, ("+Inf", float(self._count))]


def _seen(tool: str, sequence: int, written_at: datetime, look: Look) -> MarkerSample:
    """Return the row of a sighting; poll_seconds is how much of it may be our own waiting."""
    since = max(written_at, look.previous) if look.previous else written_at
    return MarkerSample(
        tool,
        sequence,
        written_at,
        look.answered_at,
        max(0.0, (look.answered_at - written_at).total_seconds()),
        max(0.0, (look.answered_at - since).total_seconds()),
    )
