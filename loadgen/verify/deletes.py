"""Which rows are gone at the source for good, and which of them each verification still found.

A deleted row is resurrected where an earlier verification of the same run, begun after its delete,
has not found it, and this one does: it was gone, and is there again. No clock is read. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from loadgen.record.rows import DeletedRow
from loadgen.record.verify import LookedForDeletes


@dataclass(frozen=True, slots=True)
class Deletes:
    """The deletes that the run's record holds, in its order, as a verification begins.

    Earlier ones of the same tool have looked for the first `looked_for` of them; of those they have
    never found `never_gone` gone.
    """

    rows: tuple[DeletedRow, ...] = ()
    looked_for: int = 0
    never_gone: frozenset[int] = frozenset()

    @property
    def gone(self) -> frozenset[int]:
        """The keys that an earlier verification has not found."""
        return frozenset(row.key for row in self.rows[: self.looked_for]) - self.never_gone

    @property
    def keys(self) -> frozenset[int]:
        """All keys that were deleted."""
        return frozenset(row.key for row in self.rows)

    def after(self, still_there: Iterable[int]) -> "Deletes":
        """Return what the next verification has to know, where this one has found those keys."""
        never_gone = frozenset(still_there) & self.keys - self.gone
        return Deletes(self.rows, len(self.rows), never_gone)

    def recorded(self) -> LookedForDeletes:
        """Return what verify.json holds of it."""
        return LookedForDeletes(self.looked_for, tuple(sorted(self.never_gone)))


def deletes_of(rows: Iterable[DeletedRow], before: LookedForDeletes | None) -> Deletes:
    """Return the deletes of a record, with what verify.json says of one tool's checks before."""
    if before is None:
        return Deletes(tuple(rows))
    return Deletes(tuple(rows), before.looked_for, frozenset(before.never_gone))
