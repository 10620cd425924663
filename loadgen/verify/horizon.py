"""What markers prove of a copy: which transactions it must hold, and whether it is overdue. Pure.

A marker stores the lowest id of the transactions that were open when it was written. All below had
ended, so a copy that shows the marker must hold what they wrote.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.source.markers import Marker


@dataclass(frozen=True, slots=True)
class Horizon:
    """What a copy must hold: all that transactions with an id below `xid` wrote; 0 is nothing.

    `lacking_seconds` is the age of the oldest marker that the copy lacks, None if it shows all;
    `newest_seconds` that of the source's newest one.
    """

    xid: int
    lacking_seconds: float | None
    newest_seconds: float


def horizon_of(
    markers: Sequence[Marker], shown: int, *, round_seconds: float, in_order: bool
) -> Horizon | None:
    """Return what a copy must hold that shows the markers up to sequence `shown`.

    None if no marker has a horizon. One marker proves the whole copy of a tool that carries
    transactions `in_order`. Of one that goes table by table, the newest proves its own table only;
    the others are proven by the marker before, and only if a whole round, from one look at a table
    to the next, has its time in between.
    """
    known = [marker for marker in markers if marker.horizon is not None]
    if not known:
        return None
    lacking = [marker.age_seconds for marker in known if marker.sequence > shown]
    proving = [marker for marker in known if marker.sequence <= shown]
    if proving and not in_order:
        *earlier, newest = proving
        old_enough = newest.age_seconds + round_seconds
        proving = [marker for marker in earlier if marker.age_seconds >= old_enough]
    return Horizon(
        xid=max((marker.horizon or 0 for marker in proving), default=0),
        lacking_seconds=max(lacking, default=None),
        newest_seconds=min(marker.age_seconds for marker in known),
    )
