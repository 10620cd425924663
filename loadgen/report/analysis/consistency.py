"""Reads of a workload's conserved sums, by copy: how many of them were torn, and when. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from loadgen.record.resyncs import Resync
from loadgen.record.rows import SumsSample

SOURCE: Final = ""  # the name under which the source itself was read


class ReadCount(NamedTuple):
    """A number of reads, and how many of them were torn."""

    reads: int
    torn: int


@dataclass(slots=True)
class SumsReads:
    """The reads of one copy by their time, and whether each was torn.

    `copying` are the times of its first copy and its re-syncs, as far as they are known: such a
    copy is not complete. `differences` has the largest of each sum outside of them.
    """

    copying: Sequence[Resync] = ()
    torn_at: dict[datetime, bool] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)

    def count(self, *, while_copying: bool = False) -> ReadCount:
        """Return the reads of the complete copy, or of the other one."""
        torn = [torn for at, torn in self.torn_at.items() if self._is_copying(at) == while_copying]
        return ReadCount(len(torn), sum(torn))

    def add(self, sample: SumsSample) -> None:
        """Add one conserved sum of a read."""
        self.torn_at[sample.time] = self.torn_at.get(sample.time, False) or sample.torn
        if sample.torn and not self._is_copying(sample.time):
            largest = self.differences.get(sample.invariant, 0.0)
            self.differences[sample.invariant] = max(largest, sample.difference)

    def _is_copying(self, at: datetime) -> bool:
        return any(
            copy.began_at <= at and (copy.ended_at is None or at <= copy.ended_at)
            for copy in self.copying
        )


def reads_by_tool(
    samples: Iterable[SumsSample], copying: Sequence[Resync] = ()
) -> Mapping[str, SumsReads]:
    """Return the reads of each copy, and of the source under the name SOURCE."""
    reads: dict[str, SumsReads] = {}
    for sample in samples:
        if sample.tool not in reads:
            reads[sample.tool] = SumsReads([copy for copy in copying if copy.tool == sample.tool])
        reads[sample.tool].add(sample)
    return reads
