"""The rows of the run record's CSV files, with their writer and reader.

A torn last line, of a process that was killed, is dropped. Any other line that does not fit is
refused with its file and number.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar, Final, Self, TypeVar

from loadgen.errors import RecordError, one_line, printable
from loadgen.record.model import iso, moment
from loadgen.untrusted import bounded

_DECIMALS: Final = 9  # nanoseconds, and rates down to one in 30 years
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of one CSV file; its fields are the file's columns."""

    FILE: ClassVar[str]

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Return the file's columns."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def read(cls, folder: Path) -> Iterator[Self]:
        """Yield the rows of the folder's file; none if it does not exist. Raises RecordError."""
        file, columns = folder / cls.FILE, cls.columns()
        parsers = [_PARSERS[field.type] for field in fields(cls)]
        for number, line in _whole_lines(file):
            try:
                cells = _cells(line)
                if number == 1:
                    _require_header(cells, columns)
                else:
                    yield cls(*_parsed(parsers, cells))
            except (ValueError, ArithmeticError, csv.Error) as exc:
                why = one_line(exc)
                raise RecordError(f"{file}, line {number}: {why}; mend or remove the line") from exc

    def line(self) -> str:
        """Return the row as a line of its file."""
        return csv_line(getattr(self, name) for name in self.columns())


def law_holds(
    offered: int, committed: int, failed: int, skipped: int, unknown: int, in_flight: int
) -> bool:
    """Tell whether every offered arrival is accounted for, exactly once: the accounting law."""
    return offered == committed + failed + skipped + unknown + in_flight


@dataclass(frozen=True, slots=True)
class Sample(Row):
    """One operation at the end of one interval; counters run from the start of the run.

    target_rate is per second. Latencies are seconds, of the interval alone; None if nothing
    finished in it.
    """

    FILE: ClassVar = "samples.csv"

    time: datetime
    operation: str
    target_rate: float
    offered: int
    committed: int
    failed: int
    skipped: int
    unknown: int
    in_flight: int
    service_p50: float | None = None
    service_p95: float | None = None
    service_p99: float | None = None
    intended_p50: float | None = None
    intended_p95: float | None = None
    intended_p99: float | None = None

    def balanced(self) -> bool:
        """Tell whether the accounting law holds."""
        return law_holds(
            self.offered, self.committed, self.failed, self.skipped, self.unknown, self.in_flight
        )


@dataclass(frozen=True, slots=True)
class GeneratorSample(Row):
    """The load's own processes in one interval, the worst of them for each figure.

    Lags are seconds, ratios shares of a processor; busy_ratio adds the time of waiting for one.
    bottleneck_seconds of the interval were late through the generator and not through the source.
    """

    FILE: ClassVar = "generator.csv"

    time: datetime
    loop_lag_p99: float
    loop_lag_max: float
    cpu_ratio: float
    busy_ratio: float
    bottleneck_seconds: int


@dataclass(frozen=True, slots=True)
class SlotSample(Row):
    """One replication slot at one moment; None if Postgres itself has no value."""

    FILE: ClassVar = "slots.csv"

    time: datetime
    slot: str
    active: bool
    wal_status: str
    retained_bytes: int | None
    confirmed_lag_bytes: int | None
    safe_wal_bytes: int | None
    wal_bytes_total: int


@dataclass(frozen=True, slots=True)
class ToolSample(Row):
    """What the processes of a local tool used at one moment.

    The counters run from the watch's start; None if the operating system does not tell.
    """

    FILE: ClassVar = "tools.csv"

    time: datetime
    tool: str
    cpu_seconds: float
    resident_bytes: int
    read_bytes: int | None
    written_bytes: int | None

    @classmethod
    def pairs(cls, samples: "Iterable[ToolSample]") -> "Iterator[tuple[ToolSample, ToolSample]]":
        """Yield each tool's samples that follow each other; none across the start of a watch."""
        latest: dict[str, ToolSample] = {}
        for sample in samples:
            before = latest.get(sample.tool)
            latest[sample.tool] = sample
            if before is not None and before.cpu_seconds <= sample.cpu_seconds:
                yield before, sample


@dataclass(frozen=True, slots=True)
class MarkerSample(Row):
    """A marker at one tool's destination; seen_at is None if it never arrived."""

    FILE: ClassVar = "freshness.csv"

    tool: str
    sequence: int
    written_at: datetime
    seen_at: datetime | None
    delivery_seconds: float | None
    poll_seconds: float | None


@dataclass(frozen=True, slots=True)
class ExpectedMarker(Row):
    """A written marker, and a tool that is to deliver it."""

    FILE: ClassVar = "markers.csv"

    tool: str
    sequence: int
    written_at: datetime


@dataclass(frozen=True, slots=True)
class SumsSample(Row):
    """A conserved sum as one statement saw it at a copy; `tool` is "" for the source itself.

    The read is torn if the sums have moved apart since the run's start, by `difference`.
    """

    FILE: ClassVar = "consistency.csv"

    time: datetime
    tool: str
    invariant: str
    torn: bool
    difference: float


@dataclass(frozen=True, slots=True)
class DeletedRow(Row):
    """A key of `hard_cases` that a hard case has deleted for good, and when."""

    FILE: ClassVar = "deletes.csv"

    time: datetime
    case_name: str
    key: int


def bottleneck_seconds(folder: Path) -> int | None:
    """Return in how many seconds the generator was the bottleneck; None if it was not measured."""
    seconds = [row.bottleneck_seconds for row in GeneratorSample.read(folder)]
    return sum(seconds) if seconds else None


def read_deliveries(folder: Path) -> list[MarkerSample]:
    """Return a row for each marker and each tool, delivered or not.

    freshness.csv holds arrived markers, and missing ones once the watch has ended. Before that, or
    if the watch was killed, the missing ones are those in markers.csv alone.
    """
    rows = list(MarkerSample.read(folder))
    known = {(row.tool, row.sequence) for row in rows}
    return rows + [
        MarkerSample(marker.tool, marker.sequence, marker.written_at, None, None, None)
        for marker in ExpectedMarker.read(folder)
        if (marker.tool, marker.sequence) not in known
    ]


def csv_line(cells: Iterable[object]) -> str:
    """Return one CSV line of the cells, ready to be appended."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow([_cell(cell) for cell in cells])
    return buffer.getvalue()


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return iso(value)
        case float() if not isfinite(value):
            raise ValueError(f"a cell of the record can't hold {value}")
        case float():
            return repr(round(value, _DECIMALS))
        case str() if "\n" in value or "\r" in value:
            raise ValueError(f"a cell of the record can't hold a line break: {value!r}")
    return str(value)


def _require_header(cells: list[str], columns: tuple[str, ...]) -> None:
    if tuple(cells) != columns:
        raise ValueError(f"the columns are {','.join(cells)}, not {','.join(columns)}")


def _parsed(parsers: list[Callable[[str], Any]], cells: list[str]) -> list[Any]:
    if len(cells) != len(parsers):
        raise ValueError(f"there are {len(cells)} cells, not {len(parsers)}")
    return [parse(cell) for parse, cell in zip(parsers, cells, strict=True)]


def _whole_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.endswith(b"\n"):
                    yield number, line[:-1]
    except FileNotFoundError:
        return
    except OSError as exc:
        raise RecordError(f"can't read {file}: {exc.strerror or exc}") from exc


def _cells(line: bytes) -> list[str]:
    text = line.decode()
    return next(csv.reader([text], strict=True), []) if '"' in text else text.split(",")


def _number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text} is not a number")
    return float(bounded(number))


def _whole(text: str) -> int:
    return int(bounded(int(text)))


def _truth(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


def _or_none(parse: Callable[[str], _T]) -> Callable[[str], _T | None]:
    return lambda text: parse(text) if text else None


_PARSERS: Final[dict[Any, Callable[[str], Any]]] = {
    datetime: moment,
    datetime | None: _or_none(moment),
    str: printable,
    bool: _truth,
    int: _whole,
    int | None: _or_none(_whole),
    float: _number,
    float | None: _or_none(_number),
}
