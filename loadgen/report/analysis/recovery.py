"""How each tool got going, and how it came back after it had stood still, or begun anew.

A tool that stands still shows in its deliveries alone, whoever runs it and for whatever reason: no
marker arrives, and then many at once. One that copies anew while its copy can be read takes back
markers that it had shown; the watch has the journal say so. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise
from statistics import median
from typing import Final

from loadgen import text
from loadgen.record.run import JournalEvent
from loadgen.record.verify import Verification
from loadgen.report.analysis.deliveries import Deliveries, nearest
from loadgen.text import Column, Table

_FEWEST: Final = 5  # arrivals, before which nothing is ordinary
_LONGER: Final = 3  # times what is ordinary, so that it is called standing still
_LEAST_SECONDS: Final = 10.0  # and that much longer
_MOST_LINES: Final = 100  # of what the journal tells
_COLUMNS: Final = (
    Column("tool"),
    Column("stood still from"),
    *(Column(label, number=True) for label in ("for", "a row waited", "caught up after")),
)
_ANEW: Final = (
    Column("tool"),
    Column("went back at"),
    *(Column(label, number=True) for label in ("from marker", "to", "there again after")),
)


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
    anew: Table

    def __bool__(self) -> bool:
        """Tell whether anything is known."""
        return bool(self.initial.rows or self.interruptions.rows or self.anew.rows)


def recovery_of(
    verified: Verification,
    delivered: Mapping[str, Deliveries],
    journal: Sequence[JournalEvent] = (),
) -> Recovery:
    """Return what verify.json's content, the tools' deliveries and the journal say."""
    lines = tuple(line for name, found in delivered.items() for line in _lines(name, found))
    anew = Table(_ANEW, tuple(_bounded(_setbacks(journal))))
    return Recovery(_initial(verified), Table(_COLUMNS, lines), anew)


def interruptions(delivered: Deliveries) -> list[Interruption]:
    """Return when one tool stood still. Raises ValueError where too little arrived to tell.

    That is where a marker waited three times as long as is ordinary, the median, and ten seconds
    longer; what may be the watch's own absence does not count.
    """
    arrivals = list(delivered.renewals())
    if len(arrivals) <= _FEWEST:
        raise ValueError(f"only {len(arrivals)} deliveries")
    usual = median(one.oldest_seconds for one in arrivals)
    limit = max(_LONGER * usual, usual + _LEAST_SECONDS)
    found: list[Interruption] = []
    for place, (before, now) in enumerate(pairwise(arrivals), 1):
        behind = bool(found) and (found[-1].caught_up is None or found[-1].caught_up > now.seen_at)
        if now.oldest_seconds - now.poll_seconds > limit and not behind:
            quick = nearest(sorted(one.seconds for one in arrivals[:place]), 0.95)
            back = next(
                (
                    one.seen_at
                    for one in arrivals[place:]
                    if one.seconds - one.poll_seconds <= quick
                ),
                None,
            )
            waited = timedelta(seconds=now.oldest_seconds)
            found.append(Interruption(before.seen_at, now.seen_at, waited, back))
    last = arrivals[-1]
    unseen = [row.written_at for row in delivered.markers if row.written_at > last.written_at]
    if unseen and (max(unseen) - min(unseen)).total_seconds() > limit:
        found.append(Interruption(last.seen_at, None, max(unseen) - min(unseen), None))
    return found


def _lines(name: str, delivered: Deliveries) -> Iterator[tuple[str, ...]]:
    try:
        found = interruptions(delivered)
    except ValueError:
        yield (name, "too few deliveries to tell", *[text.NOTHING] * 3)
        return
    if not found:
        yield (name, "never", *[text.NOTHING] * 3)
    for one in found:
        still = None if one.resumed is None else (one.resumed - one.began).total_seconds()
        caught = text.NOTHING if one.resumed is None else "not by the end"
        if one.resumed is not None and one.caught_up is not None:
            seconds = (one.caught_up - one.resumed).total_seconds()
            caught = text.duration(seconds) if seconds else "at once"
        yield (
            name,
            text.moment(one.began),
            "the rest of the run" if still is None else text.duration(still),
            text.duration(one.oldest.total_seconds()),
            caught,
        )


def _setbacks(journal: Sequence[JournalEvent]) -> Iterator[tuple[str, ...]]:
    """Yield a line for each time that a copy took back what it had shown."""
    open_: dict[object, JournalEvent] = {}
    for event in journal:
        tool = event.details.get("tool")
        if event.kind == "copy_went_back":
            open_.setdefault(tool, event)  # a second watch says it again
        elif event.kind == "copy_there_again" and tool in open_:
            began = open_.pop(tool)
            yield _setback(began, text.duration((event.at - began.at).total_seconds()))
    for began in open_.values():
        yield _setback(began, "not by the end")


def _bounded(lines: Iterator[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Yield the first lines, and how many there are besides."""
    yield from islice(lines, _MOST_LINES)
    if more := sum(1 for _ in lines):
        yield ("…", f"{text.count(more)} more", "", "", "they are in run.json")


def _setback(event: JournalEvent, until: str) -> tuple[str, ...]:
    if "count" in event.details:
        until = f"{event.details['count']} times until {event.details['until']}"
    newest, shows = (event.details.get(key) for key in ("newest", "shows"))
    tool = str(event.details.get("tool"))
    return (tool, text.moment(event.at), str(newest), str(shows or "none"), until)


def _initial(verified: Verification) -> Table:
    rows = []
    for name, tool in verified.tools.items():
        sync = tool.initial_sync
        if sync is None:
            continue
        waited = (sync.first_row_at - sync.began_at).total_seconds() if sync.first_row_at else None
        rows.append(
            (
                name,
                text.moment(sync.began_at),
                text.duration(waited),
                text.duration(sync.seconds),
                text.count(sync.rows),
                text.count(round(sync.rows / sync.seconds)) if sync.seconds else text.NOTHING,
            )
        )
    labels = ("tool", "began", "first row after", "all after", "rows", "rows a second")
    return Table(tuple(Column(one, one not in {"tool", "began"}) for one in labels), tuple(rows))
