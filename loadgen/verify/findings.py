"""What is wrong with a row, in one word: both sides of a key in, findings out. Pure.

The kinds, and which comes first if several would fit, are those of `KINDS`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from unicodedata import normalize

from loadgen.record.verify import Finding, Kind
from loadgen.tools.conventions import Lossy
from loadgen.verify.canonical import JSON_FORMS, Form, Pair, json_difference, moment, number, same
from loadgen.verify.mapping import TablePair
from loadgen.verify.scan import Row

KEPT: Final = 100  # findings shown of a table and kind; all are counted

CASE: Final = "case_name"  # in which a row of hard_cases says what it is there for
ADDED: Final = "added_later"  # the column of the case added_columns, in the rows of all cases

_SHOWN: Final = 60  # characters of a value
_BEFORE: Final = 16  # of them, those before the first difference
_UNITS: Final = {"milliseconds": timedelta(milliseconds=1), "seconds": timedelta(seconds=1)}


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a table beside its rows."""

    last_key: int | None = None  # the highest that the source has given out
    gone: frozenset[int] = frozenset()  # deleted, and not here when it was verified before
    since: datetime | None = None  # the run's begin by the source; None if all rows may be its own
    deleted: frozenset[int] = frozenset()  # by the run's hard cases
    horizon: int | None = None  # what transactions with a lower id wrote must be in the copy
    lossy: Sequence[Lossy] = ()
    masked: bool = False


@dataclass(slots=True)
class Tally:
    """Findings of a tool: all counted, some kept."""

    totals: Counter[Kind] = field(default_factory=Counter)
    kept: list[Finding] = field(default_factory=list)
    _of: Counter[tuple[str, Kind]] = field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        """Count one, and keep it while there are few of its table and kind."""
        self.totals[finding.kind] += 1
        self._of[finding.table, finding.kind] += 1
        if self._of[finding.table, finding.kind] <= KEPT:
            self.kept.append(finding)

    def merge(self, other: "Tally") -> None:
        """Count another's findings too."""
        self.totals.update(other.totals)
        self.kept += other.kept


def judged(
    pair: TablePair, key: int | None, source: Sequence[Row], copy: Sequence[Row], known: Known
) -> Iterator[Finding]:
    """Yield what is wrong with the rows of one key; nothing where they agree."""
    at = _At(pair, key, known, _case(pair, key, source, copy, known))
    if len(copy) > 1:
        yield at.row("duplicate", f"{_rows(len(source))}", f"{_rows(len(copy))}")
    elif source and not copy:
        yield at.row("missing", "there", None)
    elif copy and not source:
        yield at.row(_kind_of_surplus(key, known), None, "there")
    elif source and copy:
        yield from _compared(at, source[0], copy[0])


@dataclass(frozen=True, slots=True)
class _At:
    """The place of a finding."""

    pair: TablePair
    key: int | None
    known: Known
    case: str | None

    def row(self, kind: Kind, source: str | None, copy: str | None) -> Finding:
        return Finding(self.pair.table, str(self.key), None, kind, source, copy, self.case)

    def column(self, kind: Kind, both: Pair, source: str | None, copy: str | None) -> Finding:
        if self.known.masked and both.form in {"text", *JSON_FORMS}:
            shown = masked(source), masked(copy)
        else:
            shown = contrasted(both.form, source, copy)
        name = both.source.name
        case = "added_columns" if self.case and name == ADDED else self.case
        return Finding(self.pair.table, str(self.key), name, kind, *shown, case)


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _kind_of_surplus(key: int | None, known: Known) -> Kind:
    """Say what a row is that the source does not have (any more)."""
    if key in known.gone:
        return "resurrected"
    given_out = key is not None and known.last_key is not None and 0 < key <= known.last_key
    return "not_deleted" if given_out else "extra"


def _case(
    pair: TablePair, key: int | None, source: Sequence[Row], copy: Sequence[Row], known: Known
) -> str | None:
    """Return the hard case that a key's rows are there for, by the source where it has a row.

    None for rows that an earlier run has left.
    """
    position = pair.position(CASE)
    rows = source or copy
    if position is None or not rows or not _is_of_run(pair, key, source, known):
        return None
    return rows[0].texts[position]


def _is_of_run(pair: TablePair, key: int | None, source: Sequence[Row], known: Known) -> bool:
    """Tell whether the run has written a key last, or deleted it; yes if nothing tells."""
    updated = pair.position("updated_at")
    if known.since is None or (source and updated is None):
        return True
    if not source or updated is None:
        return key in known.deleted
    at = moment(source[0].texts[updated] or "")
    return not isinstance(at, datetime) or at >= known.since


def _compared(at: _At, source: Row, copy: Row) -> Iterator[Finding]:
    differing = [
        (both, ours, theirs)
        for both, ours, theirs in zip(at.pair.columns, source.texts, copy.texts, strict=True)
        if not same(both.form, ours, theirs)
    ]
    if differing and _is_stale(at.pair, source, copy):
        version = at.pair.position("version")
        assert version is not None  # noqa: S101 - or it would not be stale
        both = at.pair.columns[version]
        yield at.column("stale", both, source.texts[version], copy.texts[version])
        return
    for both, ours, theirs in differing:
        lossy = any(_explains(loss, both, ours, theirs) for loss in at.known.lossy)
        yield at.column("lossy" if lossy else "differs", both, ours, theirs)


def _is_stale(pair: TablePair, source: Row, copy: Row) -> bool:
    """Tell whether the copy is how the row was: of a lower version, and of an earlier time."""
    version, updated = pair.position("version"), pair.position("updated_at")
    if version is None or updated is None:
        return False
    ours, theirs = (number(row.texts[version] or "") for row in (source, copy))
    now, then = (moment(row.texts[updated] or "") for row in (source, copy))
    return (
        ours is not None
        and theirs is not None
        and 0 <= theirs < ours
        and isinstance(now, datetime)
        and isinstance(then, datetime)
        and then < now
    )


def _explains(loss: Lossy, both: Pair, source: str | None, copy: str | None) -> bool:
    """Tell whether what the tool is known to lose is all that differs."""
    if source is None or copy is None:
        return False
    if (loss.source, loss.destination) != (both.source.family, both.copy.family):
        return False
    return _KEEPS[loss.keeps](source, copy)


def _as_float(source: str, copy: str) -> bool:
    numbers = (number(source), number(copy))
    return all(isinstance(one, Decimal) for one in numbers) and float(source) == float(copy)


def _within(unit: str) -> Callable[[str, str], bool]:
    def close(source: str, copy: str) -> bool:
        ours, theirs = moment(source), moment(copy)
        if not isinstance(ours, datetime) or not isinstance(theirs, datetime):
            return False
        return abs(ours - theirs) < _UNITS[unit]

    return close


_KEEPS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "float": _as_float,
    **{unit: _within(unit) for unit in _UNITS},
}


def contrasted(form: Form, source: str | None, copy: str | None) -> tuple[str | None, str | None]:
    """Return two values that differ so that a line has room for them, and shows how they differ.

    Of long ones that is the part from the first difference on, and its place: of JSON a path, of
    bytes the byte. If they still look alike, what can't be seen is escaped.
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
    if _looks(parts[0]) == _looks(parts[1]):
        parts = [ascii(part) for part in parts]
    both = [
        f"{'…' if low else ''}{part}{'…' if low + _SHOWN < len(text) else ''}"
        + (_place(form, start, len(text)) if longest > _SHOWN else "")
        for part, text in zip(parts, (source, copy), strict=True)
    ]
    if path:
        both = [f"{path if len(path) <= _SHOWN else f'…{path[-_SHOWN:]}'}: {part}" for part in both]
    ours, theirs = both
    return ours, theirs


def _first_difference(source: str, copy: str) -> int:
    pairs = enumerate(zip(source, copy, strict=False))
    return next((at for at, (ours, theirs) in pairs if ours != theirs), min(len(source), len(copy)))


def _place(form: Form, start: int, length: int) -> str:
    """Return where a shown part begins to differ, in words."""
    unit, width = ("byte", 2) if form == "hex" else ("character", 1)
    if start >= length:
        return f" (ends after {unit} {length // width})"
    return f" (from {unit} {start // width + 1} of {length // width})"


def _looks(text: str) -> str:
    """Return what a reader sees of a text."""
    return "".join(one for one in normalize("NFC", text) if one.isprintable()).strip()


def shortened(value: str | None) -> str | None:
    """Return a value as a line has room for it."""
    if value is None or len(value) <= _SHOWN:
        return value
    return f"{value[:_SHOWN]}… ({len(value)} characters)"


def masked(value: str | None) -> str | None:
    """Return no more of a value than how long it is."""
    return None if value is None else f"*** ({len(value)} characters)"
