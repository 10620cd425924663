"""The horizon of a copy: which transactions it must hold by its markers. Pure.

A marker stores the lowest id of the transactions that were open when it was written. All lower ones
had ended, so a copy that shows the marker must hold their changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.source.markers import Marker


@dataclass(frozen=True, slots=True)
class Horizon:
    """The copy must hold all changes of transactions below `xid`; 0 means none.

    `lacking_seconds` is the age of the oldest marker that the copy lacks, None if it shows all.
    `newest_seconds` is the age of the source's newest marker.
    """

    xid: int
    lacking_seconds: float | None
    newest_seconds: float


def horizon_of(
    markers: Sequence[Marker], shown: int, *, round_seconds: float, in_order: bool
) -> Horizon | None:
    """Return the horizon of a copy that shows the markers up to sequence `shown`.

    None if no marker has a horizon. If the tool applies transactions `in_order`, the newest marker
    proves all tables. If it copies table by table, that proves only the markers' table; the others
    are proven by an earlier marker, at least a whole round of the tool older.
    """
    usable = [marker for marker in markers if marker.horizon is not None]
    if not usable:
        return None
    lacking = [marker.age_seconds for marker in usable if marker.sequence > shown]
    proving = [marker for marker in usable if marker.sequence <= shown]
    if proving and not in_order:
        *earlier, newest = proving
        old_enough = newest.age_seconds + round_seconds
        proving = [marker for marker in earlier if marker.age_seconds >= old_enough]
    return Horizon(
        xid=max((marker.horizon or 0 for marker in proving), default=0),
        lacking_seconds=max(lacking, default=None),
        newest_seconds=min(marker.age_seconds for marker in usable),
    )
