"""How each tool got going, and how it came back after it had stood still.

A tool that stands still shows in its deliveries alone, whoever runs it and for whatever reason: no
marker arrives, and then many at once. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from math import ceil
from statistics import median
from typing import Any, Final

from loadgen.record_rows import MarkerSample
from loadgen.report import words
from loadgen.report.tables import Column, Table

_FEWEST: Final = 5  # arrivals, before which nothing is ordinary
_LONGER: Final = 3  # times what is ordinary, so that it is called standing still
_LEAST_SECONDS: Final = 10.0  # and that much longer


@dataclass(frozen=True, slots=True)
class Interruption:
    """A tool stood still: from its last delivery to the next, None where none came any more.

    `oldest` is how long a marker waited; `caught_up` when one first arrived as quickly again as 95%
    of them had before.
    """

    began: datetime
    resumed: datetime | None
    oldest: timedelta
    caught_up: datetime | None


@dataclass(frozen=True, slots=True)
class Recovery:
    """The tables; one without rows is not shown."""

    initial: Table
    interruptions: Table

    def __bool__(self) -> bool:
        """Tell whether anything is known."""
        return bool(self.initial.rows or self.interruptions.rows)


@dataclass(frozen=True, slots=True)
class Arrival:
    """Markers that were first seen in one look; seconds.

    The newest `took` so long, the oldest had `waited`, `ours` of it maybe between two looks.
    """

    seen: datetime
    written: datetime  # the newest of them
    took: float
    waited: float
    ours: float


def recovery_of(verified: Mapping[str, Any], markers: Iterable[MarkerSample]) -> Recovery:
    """Return what verify.json's content and the rows of freshness.csv say."""
    by_tool: dict[str, list[MarkerSample]] = {}
    for row in markers:
        by_tool.setdefault(row.tool, []).append(row)
    return Recovery(
        _initial(verified.get("tools", {})),
        Table(
            tuple(
                Column(label, label in {"for", "a row waited", "caught up after"})
                for label in (
                    "tool", "stood still from", "for", "a row waited", "caught up after",
                )
            ),
            tuple(line for name, rows in by_tool.items() for line in _lines(name, rows)),
        ),
    )  # fmt: skip


def interruptions(rows: Sequence[MarkerSample]) -> list[Interruption]:
    """Return when one tool stood still. Raises ValueError where too little arrived to tell.

    That is where a marker waited three times as long as is ordinary, the median, and ten seconds
    longer; what may be the watch's own absence does not count.
    """
    arrivals = list(arrivals_of(rows))
    if len(arrivals) <= _FEWEST:
        raise ValueError(f"only {len(arrivals)} deliveries")
    usual = median(one.waited for one in arrivals)
    limit = max(_LONGER * usual, usual + _LEAST_SECONDS)
    found: list[Interruption] = []
    for place, (before, now) in enumerate(pairwise(arrivals), 1):
        behind = bool(found) and (found[-1].caught_up is None or found[-1].caught_up > now.seen)
        if now.waited - now.ours > limit and not behind:
            quick = _p95([one.took for one in arrivals[:place]])
            back = next(
                (one.seen for one in arrivals[place:] if one.took - one.ours <= quick), None
            )
            waited = timedelta(seconds=now.waited)
            found.append(Interruption(before.seen, now.seen, waited, back))
    last = arrivals[-1]
    unseen = [row.written_at for row in rows if row.written_at > last.written]
    if unseen and (max(unseen) - min(unseen)).total_seconds() > limit:
        found.append(Interruption(last.seen, None, max(unseen) - min(unseen), None))
    return found


def arrivals_of(rows: Iterable[MarkerSample]) -> Iterator[Arrival]:
    """Yield what each look has found that was newer than all before."""
    newest: datetime | None = None
    seen = [(row.seen_at, row) for row in rows if row.seen_at is not None]
    for at, together in groupby(sorted(seen, key=lambda one: one[0]), key=lambda one: one[0]):
        found = [row for _, row in together]
        times = sorted(row.written_at for row in found)
        if newest is None or times[-1] > newest:
            newest = times[-1]
            took, waited = ((at - one).total_seconds() for one in (newest, times[0]))
            ours = max(row.poll_seconds or 0.0 for row in found)
            yield Arrival(at, newest, took, waited, min(waited, ours))


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[ceil(0.95 * len(values)) - 1]


def _lines(name: str, rows: Sequence[MarkerSample]) -> Iterator[tuple[str, ...]]:
    try:
        found = interruptions(rows)
    except ValueError:
        yield (name, "too few deliveries to tell", *[words.NOTHING] * 3)
        return
    if not found:
        yield (name, "never", *[words.NOTHING] * 3)
    for one in found:
        still = None if one.resumed is None else (one.resumed - one.began).total_seconds()
        caught = words.NOTHING if one.resumed is None else "not by the end"
        if one.resumed is not None and one.caught_up is not None:
            seconds = (one.caught_up - one.resumed).total_seconds()
            caught = words.duration(seconds) if seconds else "at once"
        yield (
            name,
            f"{one.began:%Y-%m-%d %H:%M:%S} UTC",
            "the rest of the run" if still is None else words.duration(still),
            words.duration(one.oldest.total_seconds()),
            caught,
        )


def _initial(tools: Mapping[str, Any]) -> Table:
    rows = []
    for name, tool in tools.items():
        found = tool.get("initial_sync")
        if found is None:
            continue
        began, ended = (datetime.fromisoformat(found[key]) for key in ("began_at", "caught_up_at"))
        seconds = (ended - began).total_seconds()
        rate = words.count(round(found["rows"] / seconds)) if seconds else words.NOTHING
        took = words.duration(seconds)
        rows.append(
            (name, f"{began:%Y-%m-%d %H:%M:%S} UTC", took, words.count(found["rows"]), rate)
        )
    labels = ("tool", "began", "took", "rows", "rows a second")
    return Table(tuple(Column(one, one not in {"tool", "began"}) for one in labels), tuple(rows))
