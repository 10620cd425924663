"""Rows that the run deleted, and which of them earlier verifications still found in a copy.

A deleted row is resurrected if an earlier verification after its delete did not find it, and this
one does. No clock is involved. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from loadgen.record.rows import DeletedRow
from loadgen.record.verify import LookedForDeletes


@dataclass(frozen=True, slots=True)
class Deletes:
    """The deletes in the run's record, in order, at the start of a verification.

    Earlier verifications of the tool have looked for the first `looked_for` rows, and each of them
    found the rows with keys `never_gone`.
    """

    rows: tuple[DeletedRow, ...] = ()
    looked_for: int = 0
    never_gone: frozenset[int] = frozenset()

    @property
    def gone(self) -> frozenset[int]:
        """The keys that an earlier verification did not find."""
        return frozenset(row.key for row in self.rows[: self.looked_for]) - self.never_gone

    @property
    def keys(self) -> frozenset[int]:
        """All deleted keys."""
        return frozenset(row.key for row in self.rows)

    def after(self, still_there: Iterable[int]) -> "Deletes":
        """Return the state for the next verification, if this one found those keys."""
        never_gone = frozenset(still_there) & self.keys - self.gone
        return Deletes(self.rows, len(self.rows), never_gone)

    def recorded(self) -> LookedForDeletes:
        """Return the entry of verify.json."""
        return LookedForDeletes(self.looked_for, tuple(sorted(self.never_gone)))


def deletes_of(rows: Iterable[DeletedRow], before: LookedForDeletes | None) -> Deletes:
    """Return the deletes of a record, with the results of one tool's earlier verifications."""
    if before is None:
        return Deletes(tuple(rows))
    return Deletes(tuple(rows), before.looked_for, frozenset(before.never_gone))
