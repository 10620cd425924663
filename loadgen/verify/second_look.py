"""Judges keys whose rows differ: at once, or by a second look while the source moves.

While a load writes, a difference counts only if a second look, `lag` seconds later, still finds it
and the source's rows have not changed; otherwise the rows are in flight. If markers give the copy a
horizon, a difference that is not proven due by it is late.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from loadgen.record.verify import Finding
from loadgen.verify.canonical import same_value
from loadgen.verify.findings import TableContext, row_findings
from loadgen.verify.mapping import TablePair
from loadgen.verify.scan import Key, Row

_MOST_SUSPECTS: Final = 100_000  # keys of a table that wait for their second look
_Marks = tuple[tuple[str | None, int], ...]
KeyRows = tuple[Key, Sequence[Row], Sequence[Row]]  # a key's rows at the source and in the copy


@dataclass(slots=True)
class Progress:
    """The progress of a table's comparison; `on_change` is called now and then."""

    on_change: Callable[["Progress"], None] = lambda _: None
    rows: int = 0  # of the source, so far
    copy_rows: int = 0
    share: float = 0.0  # of the range of keys
    fetched: int = 0  # rows compared by value
    suspects: int = 0  # fetched rows that wait for their second look
    in_flight: int = 0


class SecondLook:
    """The judgement of one table's differing keys.

    `refetch` yields the present rows of keys. It reads the copy first, so that any later change at
    the source shows in the row's mark.
    """

    def __init__(
        self,
        pair: TablePair,
        context: TableContext,
        lag: float,
        progress: Progress,
        refetch: Callable[[Sequence[Key]], Iterator[KeyRows]],
    ) -> None:
        self._pair = pair
        self._context = context
        self._lag = lag
        self._progress = progress
        self._refetch = refetch
        self._marks: dict[Key, _Marks] = {}  # of the suspects' rows at the source
        self._since = 0.0
        self.is_needed = lag > 0 or context.horizon is not None

    @property
    def is_full(self) -> bool:
        """Whether no more suspects should wait."""
        return len(self._marks) >= _MOST_SUSPECTS

    def judge(self, key: Key, source: Sequence[Row], copy: Sequence[Row]) -> Iterator[Finding]:
        """Yield the findings of a key, or note it for the second look."""
        if not self.is_needed:
            yield from row_findings(self._pair, key, source, copy, self._context)
        elif not _agree(self._pair, source, copy):
            self._marks[key] = _marks(source)
            self._since = time.monotonic()

    def show_progress(self) -> None:
        """Report the number of suspects."""
        self._progress.suspects = len(self._marks)
        self._progress.on_change(self._progress)

    def look(self) -> Iterator[Finding]:
        """Wait until all suspects have had their lag; yield those that still differ.

        Raises DestinationError.
        """
        suspects, self._marks = self._marks, {}
        if not suspects:
            return
        self._progress.on_change(self._progress)
        time.sleep(max(0.0, self._since + self._lag - time.monotonic()))
        self._progress.suspects = 0
        for key, ours, theirs in self._refetch(list(suspects)):
            if _marks(ours) != suspects[key] or _agree(self._pair, ours, theirs):
                self._progress.in_flight += 1
                continue
            is_due = self._is_due(ours)
            for finding in row_findings(self._pair, key, ours, theirs, self._context):
                yield finding if is_due else replace(finding, late=True)

    def _is_due(self, source: Sequence[Row]) -> bool:
        """Return whether the copy must hold these rows by now; unproven if there are none."""
        horizon = self._context.horizon
        if horizon is None:
            return True
        return bool(source) and all(int(row.mark or 0) < horizon for row in source)


def _marks(rows: Sequence[Row]) -> _Marks:
    return tuple((row.mark, row.count) for row in rows)


def _agree(pair: TablePair, source: Sequence[Row], copy: Sequence[Row]) -> bool:
    """Return whether both sides have no row, or one row with the same values as often."""
    if len(source) != len(copy) or len(source) > 1:
        return False
    return all(
        source_row.count == copy_row.count
        and all(
            same_value(column.form, ours, theirs)
            for column, ours, theirs in zip(
                pair.columns, source_row.texts, copy_row.texts, strict=True
            )
        )
        for source_row, copy_row in zip(source, copy, strict=True)
    )
