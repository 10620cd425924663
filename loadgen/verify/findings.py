"""Finds the differences between both sides of a key, and names the kind of each. Pure.

If several kinds fit, the first of `KINDS` counts.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from unicodedata import normalize

from loadgen.record.verify import Finding, Kind
from loadgen.text import plural
from loadgen.tools.conventions import Lossy
from loadgen.verify.canonical import (
    JSON_FORMS,
    ColumnPair,
    Form,
    json_difference,
    parse_number,
    parse_time,
    same_value,
)
from loadgen.verify.mapping import TablePair
from loadgen.verify.scan import Key, Row

STORED_FINDINGS: Final = 100  # findings stored of a kind and column (or row); all are counted

CASE: Final = "case_name"  # column of hard_cases with the case of each row
ADDED: Final = "added_later"  # column of the case added_columns, in the rows of all cases

_SHOWN: Final = 60  # characters of a value
_BEFORE: Final = 16  # characters shown before the first difference


@dataclass(frozen=True, slots=True)
class TableContext:
    """Facts about a table that decide the kind of a finding."""

    last_key: int | None = None  # the highest that the source's sequence has returned
    gone: frozenset[int] = frozenset()  # deleted, and not found by an earlier verification
    since: datetime | None = None  # the run's start by the source's clock; None if unknown
    deleted: frozenset[int] = frozenset()  # by the run's hard cases
    horizon: int | None = None  # the copy must hold the changes of transactions below this id
    lossy: Sequence[Lossy] = ()
    masked: bool = False


@dataclass(slots=True)
class FindingTally:
    """The number of a tool's findings by kind, and the first of each table, kind and column."""

    totals: Counter[Kind] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    _counts: Counter[tuple[str, str | None, Kind]] = field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        """Count a finding, and store it if there are few of its table, kind and column."""
        self.totals[finding.kind] += 1
        sort = finding.table, finding.column, finding.kind
        self._counts[sort] += 1
        if self._counts[sort] <= STORED_FINDINGS:
            self.findings.append(finding)

    def merge(self, other: "FindingTally") -> None:
        """Add another tally's findings."""
        self.totals.update(other.totals)
        self.findings += other.findings


def few_of_each_sort(findings: Sequence[Finding], few: int) -> Iterator[Finding]:
    """Yield the first findings of each table, kind and column, so that none hides the others."""
    counts: Counter[tuple[str, str | None, Kind]] = Counter()
    for finding in findings:
        sort = finding.table, finding.column, finding.kind
        counts[sort] += 1
        if counts[sort] <= few:
            yield finding


def row_findings(
    pair: TablePair,
    key: Key | None,
    source: Sequence[Row],
    copy: Sequence[Row],
    context: TableContext,
) -> Iterator[Finding]:
    """Yield the findings of one key's rows; none if both sides agree."""
    place = _FindingPlace(pair, key, context, _case(pair, key, source, copy, context))
    if pair.key_size == 0:
        yield from _count_findings(place, sum(r.count for r in source), sum(r.count for r in copy))
    elif len(copy) > 1:
        yield place.row_finding("duplicate", plural(len(source), "row"), plural(len(copy), "row"))
    elif source and not copy:
        yield place.row_finding("missing", "there", None)
    elif copy and not source:
        yield place.row_finding(_surplus_kind(key, context), None, "there")
    elif source and copy:
        yield from _value_findings(place, source[0], copy[0])


def key_text(key: Key | None) -> str:
    """Return a key as findings show it: that of several columns is "a, b"."""
    if isinstance(key, tuple):
        return ", ".join("NULL" if text is None else text for text in key)
    return str(key)


@dataclass(frozen=True, slots=True)
class _FindingPlace:
    """The table, key and hard case of a finding."""

    pair: TablePair
    key: Key | None
    context: TableContext
    case: str | None

    def row_finding(self, kind: Kind, source: str | None, copy: str | None) -> Finding:
        return Finding(self.pair.table, key_text(self.key), None, kind, source, copy, self.case)

    def column_finding(
        self, kind: Kind, pair: ColumnPair, source: str | None, copy: str | None
    ) -> Finding:
        if self.context.masked and pair.form in {"text", "padded", *JSON_FORMS}:
            shown = masked(source), masked(copy)
        else:
            shown = contrast(pair.form, source, copy)
        name = pair.source.name
        case = "added_columns" if self.case and name == ADDED else self.case
        return Finding(self.pair.table, key_text(self.key), name, kind, *shown, case)


def _count_findings(place: _FindingPlace, source: int, copy: int) -> Iterator[Finding]:
    """Yield the finding of equal rows in a table without a key, with their number on each side."""
    if source == copy:
        return
    kind: Kind = "missing" if copy < source else "duplicate" if source else "extra"
    counts = [plural(number, "row") if number else None for number in (source, copy)]
    yield place.row_finding(kind, *counts)


def _surplus_kind(key: Key | None, context: TableContext) -> Kind:
    """Return the kind of a row that the source lacks."""
    if key in context.gone:
        return "resurrected"
    last = context.last_key
    existed = isinstance(key, int) and last is not None and 0 < key <= last
    return "not_deleted" if existed else "extra"


def _case(
    pair: TablePair,
    key: Key | None,
    source: Sequence[Row],
    copy: Sequence[Row],
    context: TableContext,
) -> str | None:
    """Return the hard case of a key's rows, from the source's row if there is one.

    None for rows of an earlier run.
    """
    position = pair.position(CASE)
    rows = source or copy
    if position is None or not rows or not _is_of_run(pair, key, source, context):
        return None
    return rows[0].texts[position]


def _is_of_run(
    pair: TablePair, key: Key | None, source: Sequence[Row], context: TableContext
) -> bool:
    """Return whether the run was the last to write or delete a key; True if that is unknown."""
    updated = pair.position("updated_at")
    if context.since is None or (source and updated is None):
        return True
    if not source or updated is None:
        return key in context.deleted
    updated_at = parse_time(source[0].texts[updated] or "")
    return not isinstance(updated_at, datetime) or updated_at >= context.since


def _value_findings(place: _FindingPlace, source: Row, copy: Row) -> Iterator[Finding]:
    differing = [
        (column, ours, theirs)
        for column, ours, theirs in zip(place.pair.columns, source.texts, copy.texts, strict=True)
        if not same_value(column.form, ours, theirs)
    ]
    if differing and _is_stale(place.pair, source, copy):
        version = place.pair.position("version")
        assert version is not None  # noqa: S101 - otherwise it would not be stale
        column = place.pair.columns[version]
        yield place.column_finding("stale", column, source.texts[version], copy.texts[version])
        return
    for column, ours, theirs in differing:
        lossy = any(_explains(loss, column, ours, theirs) for loss in place.context.lossy)
        yield place.column_finding("lossy" if lossy else "differs", column, ours, theirs)


def _is_stale(pair: TablePair, source: Row, copy: Row) -> bool:
    """Return whether the copy has an earlier state: a lower version and an earlier time."""
    version, updated = pair.position("version"), pair.position("updated_at")
    if version is None or updated is None:
        return False
    ours, theirs = (parse_number(row.texts[version] or "") for row in (source, copy))
    now, then = (parse_time(row.texts[updated] or "") for row in (source, copy))
    return (
        ours is not None
        and theirs is not None
        and 0 <= theirs < ours
        and isinstance(now, datetime)
        and isinstance(then, datetime)
        and then < now
    )


def _explains(loss: Lossy, pair: ColumnPair, source: str | None, copy: str | None) -> bool:
    """Return whether the known loss explains the whole difference."""
    if source is None or copy is None:
        return False
    if (loss.source, loss.destination) != (pair.source.family, pair.copy.family):
        return False
    return _SAME_WITHIN[loss.keeps](source, copy)


def _same_float(source: str, copy: str) -> bool:
    ours, theirs = parse_number(source), parse_number(copy)
    return ours is not None and theirs is not None and float(source) == float(copy)


def _same_time(unit: timedelta, source: str, copy: str) -> bool:
    ours, theirs = parse_time(source), parse_time(copy)
    if not isinstance(ours, datetime) or not isinstance(theirs, datetime):
        return False
    return abs(ours - theirs) < unit


_SAME_WITHIN: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "float": _same_float,
    "milliseconds": partial(_same_time, timedelta(milliseconds=1)),
    "seconds": partial(_same_time, timedelta(seconds=1)),
}


def contrast(form: Form, source: str | None, copy: str | None) -> tuple[str | None, str | None]:
    """Return two values that differ, shortened to the part that shows the difference.

    Long values are cut around the first difference, with its position: a path in JSON, a byte in
    binary. If the parts still look alike, invisible characters are escaped.
    """
    if source is None or copy is None:
        return shortened(source), shortened(copy)
    longest = max(len(source), len(copy))
    difference = json_difference(source, copy) if form in JSON_FORMS and longest > _SHOWN else None
    path, source, copy = difference or ("", source, copy)
    longest = max(len(source), len(copy))
    start = _first_difference(source, copy) if longest > _SHOWN else 0
    if form == "hex":
        start -= start % 2
    low = max(0, start - _BEFORE)
    parts = [text[low : low + _SHOWN] for text in (source, copy)]
    if _visible(parts[0]) == _visible(parts[1]):
        parts = [ascii(part) for part in parts]
    shown = [
        f"{'…' if low else ''}{part}{'…' if low + _SHOWN < len(text) else ''}"
        + (_position(form, start, len(text)) if longest > _SHOWN else "")
        for part, text in zip(parts, (source, copy), strict=True)
    ]
    if path:
        place = path if len(path) <= _SHOWN else f"…{path[-_SHOWN:]}"
        shown = [f"{place}: {part}" for part in shown]
    ours, theirs = shown
    return ours, theirs


def _first_difference(source: str, copy: str) -> int:
    pairs = enumerate(zip(source, copy, strict=False))
    return next((at for at, (ours, theirs) in pairs if ours != theirs), min(len(source), len(copy)))


def _position(form: Form, start: int, length: int) -> str:
    """Return the position of the first difference as text."""
    unit, width = ("byte", 2) if form == "hex" else ("character", 1)
    if start >= length:
        return f" (ends after {unit} {length // width})"
    return f" (from {unit} {start // width + 1} of {length // width})"


def _visible(text: str) -> str:
    """Return the visible part of a text."""
    return "".join(char for char in normalize("NFC", text) if char.isprintable()).strip()


def shortened(text: str | None) -> str | None:
    """Return a value shortened to fit on a line."""
    if text is None or len(text) <= _SHOWN:
        return text
    return f"{text[:_SHOWN]}… ({len(text)} characters)"


def masked(text: str | None) -> str | None:
    """Return only the length of a value."""
    return None if text is None else f"*** ({len(text)} characters)"
