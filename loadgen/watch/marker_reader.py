"""Tracks the markers of a run, and which of them each tool's destination has shown.

Pure: times are arguments. A destination that shows a marker counts as showing all before it.
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
class MarkerPoll:
    """One answer of a destination; `previous` is the time of the query before.

    `newest` is the highest sequence that the destination shows, None if it shows none.
    """

    newest: int | None
    previous: datetime | None
    answered_at: datetime


@dataclass(frozen=True, slots=True)
class CopyRewind:
    """A copy lost markers that it had shown, for example during a re-sync, or has them again.

    `newest` is the highest sequence that it has ever shown, `shows` the present one, 0 for none.
    """

    newest: int
    shows: int

    @property
    def went_back(self) -> bool:
        """Whether it lost them; else it has them again."""
        return self.shows < self.newest


class MarkerReader:
    """The markers of one run at each of `tools`; `known` are rows of the run's record."""

    def __init__(self, tools: Sequence[str], known: Iterable[MarkerSample] = ()) -> None:
        self._written: dict[int, datetime] = {}
        self._last = 0
        self._newest = dict.fromkeys(tools, 0)  # highest sequence that each tool has shown
        self._rewound_to: dict[str, int] = {}  # present sequence of tools that show less now
        for row in known:
            self._written[row.sequence] = row.written_at
            if row.seen_at is not None and row.tool in self._newest:
                self._newest[row.tool] = max(self._newest[row.tool], row.sequence)

    def last_sequence(self) -> int:
        """Return the highest sequence up to which every marker is known; 0 if none is."""
        while self._last + 1 in self._written:
            self._last += 1
        return self._last

    def add_marker(self, marker: Marker) -> None:
        """Add a marker; of two times for the same marker the first counts, being more exact."""
        self._written.setdefault(marker.sequence, marker.written_at)

    def markers_after(self, after: int) -> list[Marker]:
        """Return the markers from sequence `after` + 1 up to the first gap."""
        return [
            Marker(seq, self._written[seq]) for seq in range(after + 1, self.last_sequence() + 1)
        ]

    def check_rewind(self, tool: str, poll: MarkerPoll) -> CopyRewind | None:
        """Return a rewind that this poll is the first to show; call it before `record_poll`."""
        shows, newest = poll.newest or 0, self._newest[tool]
        was_rewound = tool in self._rewound_to
        if shows < newest:
            self._rewound_to[tool] = shows
        else:
            self._rewound_to.pop(tool, None)
        return None if was_rewound == (shows < newest) else CopyRewind(newest, shows)

    def record_poll(self, tool: str, poll: MarkerPoll) -> list[MarkerSample]:
        """Return a row for each marker that this poll is the first to show."""
        shown = [seq for seq in self._pending(tool) if seq <= (poll.newest or 0)]
        self._newest[tool] = max([self._newest[tool], *shown])
        return [_sighting(tool, sequence, self._written[sequence], poll) for sequence in shown]

    def unseen(self, tool: str) -> list[MarkerSample]:
        """Return a row without a sighting for each marker that the tool has not shown."""
        return [
            MarkerSample(tool, sequence, self._written[sequence], None, None, None)
            for sequence in self._pending(tool)
        ]

    def freshness(self, tool: str, now: datetime) -> float | None:
        """Return the age in seconds of the newest marker that the tool shows.

        Before the first it is the age of the oldest marker; None if there are no markers.
        """
        newest = self._rewound_to.get(tool, self._newest[tool])
        since = self._written.get(newest) or min(self._written.values(), default=None)
        return None if since is None else (now - since).total_seconds()

    def _pending(self, tool: str) -> list[int]:
        top = max(self.last_sequence(), *self._newest.values())
        return [seq for seq in range(self._newest[tool] + 1, top + 1) if seq in self._written]


class DeliveryHistogram:
    """Delivery times of one tool since the start of the process, counted by bucket."""

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
        buckets = [(str(edge), float(n)) for edge, n in zip(BUCKETS, self._counts, strict=True)]
        return [*buckets, ("+Inf", float(self._count))]


def _sighting(tool: str, sequence: int, written_at: datetime, poll: MarkerPoll) -> MarkerSample:
    """Return the row of a sighting; poll_seconds is the part that our polling may account for."""
    since = max(written_at, poll.previous) if poll.previous else written_at
    return MarkerSample(
        tool,
        sequence,
        written_at,
        poll.answered_at,
        max(0.0, (poll.answered_at - written_at).total_seconds()),
        max(0.0, (poll.answered_at - since).total_seconds()),
    )
