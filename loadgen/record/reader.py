"""The run record, read: run.json as typed values, the CSV files as iterators of rows.

A run that is still going on, or that was killed, reads like a finished one: what is not there yet
is None or empty, and a torn last CSV line is dropped. Anything else that does not fit is refused
with the file and the line or key. Writing is `record`'s.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from loadgen.errors import RecordError, one_line, printable
from loadgen.record.model import moment
from loadgen.record.rows import (
    DeletedRow,
    ExpectedMarker,
    GeneratorSample,
    MarkerSample,
    Row,
    Sample,
    SlotSample,
    columns_of,
)
from loadgen.record.run import Run
from loadgen.record.writer import LATEST
from loadgen.untrusted import bounded, reading

_V = TypeVar("_V")
_SHOWN_RUNS = 5
_SHOWN_NAME = 80  # characters


def find_run(reports_dir: Path, name: str | None = None) -> Path:
    """Return the folder of the named run (a run id or a path), or of the latest one."""
    with reading(one_line(name or reports_dir, _SHOWN_NAME), "name a run's id or its folder"):
        path = _latest(reports_dir) if name in {None, LATEST} else reports_dir / str(name)
        if (path / Run.FILE).is_file():
            return path.resolve()
        if name is not None and (Path(name) / Run.FILE).is_file():
            return Path(name).resolve()
    runs = sorted(reports_dir.glob(f"*/{Run.FILE}"), key=lambda file: -file.stat().st_mtime)
    known = [file.parent.name for file in runs if file.parent.name != LATEST][:_SHOWN_RUNS]
    wanted = f"no run {one_line(repr(name), _SHOWN_NAME)}" if name is not None else "no latest run"
    advice = f"there are {', '.join(known)}" if known else "start one with `locust` or `make demo`"
    raise RecordError(f"{wanted} in {reports_dir}: {advice}")


def read_samples(path: Path) -> Iterator[Sample]:
    """Yield the rows of the folder's samples.csv; nothing where there is no such file yet."""
    return _rows(path, Sample)


def read_generator(path: Path) -> Iterator[GeneratorSample]:
    """Yield the rows of the folder's generator.csv; nothing where there is no such file."""
    return _rows(path, GeneratorSample)


def bottleneck_seconds(path: Path) -> int | None:
    """Return in how many seconds the generator was the bottleneck; None if that was not measured.

    `path` is the run's folder.
    """
    marked = [row.bottleneck_seconds for row in read_generator(path)]
    return sum(marked) if marked else None


def read_slots(path: Path) -> Iterator[SlotSample]:
    """Yield the rows of the folder's slots.csv; nothing where there is no such file."""
    return _rows(path, SlotSample)


def read_freshness(path: Path) -> Iterator[MarkerSample]:
    """Yield the rows of the folder's freshness.csv; nothing where there is no such file."""
    return _rows(path, MarkerSample)


def read_markers(path: Path) -> Iterator[ExpectedMarker]:
    """Yield the rows of the folder's markers.csv; nothing where there is no such file."""
    return _rows(path, ExpectedMarker)


def read_deliveries(path: Path) -> list[MarkerSample]:
    """Return a row for each marker that each tool delivered, or has not delivered.

    freshness.csv has those that were seen, and the others only once nobody looks any more; until
    then, and if the watch was killed, markers.csv tells which they are.
    """
    rows = list(read_freshness(path))
    known = {(row.tool, row.sequence) for row in rows}
    return rows + [
        MarkerSample(marker.tool, marker.sequence, marker.written_at, None, None, None)
        for marker in read_markers(path)
        if (marker.tool, marker.sequence) not in known
    ]


def read_deletes(path: Path) -> Iterator[DeletedRow]:
    """Yield the rows of the folder's deletes.csv; nothing where there is no such file."""
    return _rows(path, DeletedRow)


def _rows(path: Path, kind: type[Row]) -> Iterator[Any]:
    file = path / kind.FILE
    columns = columns_of(kind)
    parsers = [_PARSERS[field.type] for field in fields(kind)]
    for number, line in _whole_lines(file):
        try:
            cells = _cells(line)
            if number == 1:
                _require_header(cells, columns)
            else:
                yield kind(*_parsed(parsers, cells))
        except (ValueError, ArithmeticError, csv.Error) as exc:
            why = one_line(exc)
            raise RecordError(f"{file}, line {number}: {why}; mend or remove the line") from exc


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


def _require_header(cells: list[str], columns: tuple[str, ...]) -> None:
    if tuple(cells) != columns:
        raise ValueError(f"the columns are {','.join(cells)}, not {','.join(columns)}")


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


def _or_none(parse: Callable[[str], _V]) -> Callable[[str], _V | None]:
    return lambda text: parse(text) if text else None


def _latest(reports_dir: Path) -> Path:
    """Return the folder that `latest` names: a symlink, or a file that holds the run id."""
    link = reports_dir / LATEST
    if not link.is_file():
        return link
    return reports_dir / link.read_text(encoding="utf-8").strip()


_PARSERS: dict[Any, Callable[[str], Any]] = {
    datetime: moment,
    datetime | None: _or_none(moment),
    str: printable,
    bool: _truth,
    int: _whole,
    int | None: _or_none(_whole),
    float: _number,
    float | None: _or_none(_number),
}
