"""The run record, written: one folder a run, which every part reads and one process writes.

run.json is replaced atomically; the CSV files grow by whole lines, each append in one write call.
Killing the process at any moment leaves the last whole state on the disk. Plain blocking file
calls only, so that it behaves the same in a gevent-patched process. Each file has one writer at a
time: the load's master for run.json, samples.csv, generator.csv and deletes.csv, watch for
slots.csv, markers.csv and freshness.csv, verify for verify.json.
Reading is record_reader's, the calls that reach the disk are record_files'.
"""

import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from math import inf
from pathlib import Path

from loadgen.errors import RecordError
from loadgen.record.files import LONE, append_lines, naming, replace_file
from loadgen.record.model import SCHEMA_VERSION, iso
from loadgen.record.position import Position
from loadgen.record.rows import (
    DeletedRow,
    ExpectedMarker,
    GeneratorSample,
    MarkerSample,
    Row,
    Sample,
    SlotSample,
    columns_of,
    csv_line,
)
from loadgen.record.run import JournalEvent, Run

LATEST = "latest"
_SYNC_SECONDS = 10.0  # in the load, waiting for the disk makes writes late
_BURST_SECONDS = 1.0  # between two writes of run.json for what need not be there at once
_RUN_ID = re.compile(r"(?!latest$)[\w][\w.:+-]{0,127}")


class RunRecord:
    """The folder of one run, open for writing.

    What could not be written (a full disk) stays in memory and goes out with the next call. `now`
    is the clock of the journal.
    """

    __slots__ = (
        *("_journal", "_run_waits", "_synced_at", "_tried_at", "_waiting"),
        *("journaled", "now", "path", "run", "run_id"),
    )

    def __init__(self, path: Path, run: Run) -> None:
        self.path = path
        self.run_id = path.name
        self.run = run  # as the next write of run.json has it, but for the journal
        self._journal: list[str] = []  # JSON texts: an entry is encoded once, not at each write
        self._run_waits = False  # run.json on the disk lacks something
        self._waiting: dict[type[Row], list[str]] = {}  # lines that are not on the disk yet
        self._synced_at = self._tried_at = -inf
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.journaled: Counter[str] = Counter()  # entries by kind, since it was opened
        self._begin(run)

    @classmethod
    def create(cls, reports_dir: Path, run_id: str) -> "RunRecord":
        """Make the folder of a new run and point `latest` at it; nothing else is written yet."""
        if not _RUN_ID.fullmatch(run_id):
            raise RecordError(f"run id {run_id!r} can't name a folder: use letters, digits and -")
        path = reports_dir / run_id
        with naming(path):
            path.mkdir(parents=True)
        _point_latest(reports_dir, run_id)
        return cls(path, Run())

    @classmethod
    def open(cls, path: Path) -> "RunRecord":
        """Go on with an existing run's folder, whose run.json need not be there yet."""
        folder = path.resolve()
        if not folder.is_dir():
            raise RecordError(f"{path} is not a run's folder: name one that holds {Run.FILE}")
        try:
            return cls(folder, Run.read(folder))
        except FileNotFoundError:
            return cls(folder, Run())

    @classmethod
    def resume(cls, path: Path) -> "RunRecord":
        """Go on with a run as its load; `latest` points at it again."""
        record = cls.open(path)
        _point_latest(record.path.parent, record.run_id)
        return record

    def begin(self, run: Run) -> None:
        """Replace the whole of run.json, its journal too."""
        self._begin(run)
        self.write()

    def _begin(self, run: Run) -> None:
        self.run = run
        run.schema_version, run.run_id = SCHEMA_VERSION, self.run_id
        self._journal = [_event_text(event) for event in run.journal]

    def kinds(self) -> list[str]:
        """Return the kind of each event of the journal."""
        return [json.loads(entry)["kind"] for entry in self._journal]

    def journal(self, kind: str, /, at: datetime | None = None, **details: object) -> int:
        """Append one event to run.json's journal; `at` is now unless given. Costs one fsync.

        Returns its number, for `amend`. What can't be written raises RecordError and is not there.
        """
        number = self._enter(kind, at, details)
        try:
            self.write()
        except RecordError:
            del self._journal[number]
            self.journaled[kind] -= 1
            raise
        return number

    def note(self, kind: str, /, at: datetime | None = None, **details: object) -> int:
        """Append an event as `journal` does, but one of a burst waits for the next `flush`.

        So does one that can't be written: it has happened all the same.
        """
        number = self._enter(kind, at, details)
        self._write_soon()
        return number

    def amend(self, number: int, /, **details: object) -> None:
        """Add to an event of the journal what was not known when it was written."""
        entry = {**json.loads(self._journal[number]), **details}
        self._journal[number] = _encoded(entry, f"journal entry {entry['kind']}")
        self._write_soon()

    def keep(self, rows: Iterable[Row]) -> None:
        """Take rows of any file, for the next `flush`."""
        lines = [(type(row), _line(row)) for row in rows]
        for kind, line in lines:
            self._waiting.setdefault(kind, []).append(line)

    def flush(self) -> None:
        """Write whatever is not on the disk yet. Raises RecordError; then all the rest waits."""
        for kind in tuple(self._waiting):
            self._write_rows(kind)
        if self._run_waits:
            self.write()

    def keep_position(self, position: Position) -> None:
        """Replace what a run that is killed now would need to go on; every 10 s with an fsync."""
        synced = time.monotonic() - self._synced_at >= _SYNC_SECONDS
        if synced:
            self._synced_at = time.monotonic()
        text = json.dumps(position.plain())
        replace_file(self.path / Position.FILE, text.encode(), synced=synced)

    def forget_position(self) -> None:
        """Remove it: a run that has ended can't go on."""
        with naming(self.path / Position.FILE):
            (self.path / Position.FILE).unlink(missing_ok=True)

    def append_samples(self, rows: Iterable[Sample]) -> None:
        """Append to samples.csv, whole lines in one write call."""
        self._append(Sample, rows)

    def append_generator(self, row: GeneratorSample) -> None:
        """Append to generator.csv, a whole line in one write call."""
        self._append(GeneratorSample, [row])

    def append_deletes(self, rows: Iterable[DeletedRow]) -> None:
        """Append to deletes.csv, whole lines in one write call."""
        self._append(DeletedRow, rows)

    def append_slots(self, rows: Iterable[SlotSample]) -> None:
        """Append to slots.csv, whole lines in one write call."""
        self._append(SlotSample, rows)

    def append_markers(self, rows: Iterable[ExpectedMarker]) -> None:
        """Append to markers.csv, whole lines in one write call."""
        self._append(ExpectedMarker, rows)

    def append_freshness(self, rows: Iterable[MarkerSample]) -> None:
        """Append to freshness.csv, whole lines in one write call."""
        self._append(MarkerSample, rows)

    def replace_freshness(self, rows: Iterable[MarkerSample]) -> None:
        """Replace freshness.csv: a watch that begins anew takes back what was not seen yet."""
        text = "".join([csv_line(columns_of(MarkerSample)), *map(_line, rows)])
        replace_file(self.path / MarkerSample.FILE, text.encode())

    def _append(self, kind: type[Row], rows: Iterable[Row]) -> None:
        self.keep(rows)
        self._write_rows(kind)

    def _write_rows(self, kind: type[Row]) -> None:
        if lines := self._waiting.get(kind):
            append_lines(self.path / kind.FILE, csv_line(columns_of(kind)), "".join(lines))
            del self._waiting[kind]

    def _enter(self, kind: str, at: datetime | None, details: Mapping[str, object]) -> int:
        self._journal.append(_event_text(JournalEvent(at or self.now(), kind, details)))
        self.journaled[kind] += 1
        return len(self._journal) - 1

    def _write_soon(self) -> None:
        """Write run.json now, or in the next `flush` if it was written just before."""
        self._run_waits = True
        if time.monotonic() - self._tried_at >= _BURST_SECONDS:
            with suppress(RecordError):
                self.write()

    def write_later(self) -> None:
        """Write run.json with the next `flush`."""
        self._run_waits = True

    def write(self) -> None:
        """Replace run.json. Raises RecordError; then the next `flush` tries again."""
        self._run_waits, self._tried_at = True, time.monotonic()
        values = self.run.model_dump(exclude_unset=True)
        keys = [key for key in Run.model_fields if key in values or key == "journal"]
        keys += [key for key in values if key not in Run.model_fields]
        parts = [f"  {json.dumps(key)}: {self._text(key, values)}" for key in keys]
        text = "{\n" + ",\n".join(parts) + "\n}\n"
        replace_file(self.path / Run.FILE, text.encode(errors=LONE))
        self._run_waits = False

    def _text(self, key: str, values: Mapping[str, object]) -> str:
        if key != "journal":
            return _encoded(values[key], key, indent=2).replace("\n", "\n  ")
        return "[\n    " + ",\n    ".join(self._journal) + "\n  ]" if self._journal else "[]"


def _point_latest(reports_dir: Path, run_id: str) -> None:
    link, temporary = reports_dir / LATEST, reports_dir / f".{LATEST}.{os.getpid()}.tmp"
    with naming(link):
        temporary.unlink(missing_ok=True)
        try:
            temporary.symlink_to(run_id, target_is_directory=True)
            temporary.replace(link)
        except OSError:  # no symlinks on this file system, or `latest` is something else
            temporary.unlink(missing_ok=True)
            replace_file(link, f"{run_id}\n".encode())


def _line(row: Row) -> str:
    return csv_line(getattr(row, name) for name in columns_of(type(row)))


def _event_text(event: JournalEvent) -> str:
    entry = {"at": event.at, "kind": event.kind, **event.details}
    return _encoded(entry, f"journal entry {event.kind}")


def _encoded(value: object, key: str, indent: int | None = None) -> str:
    try:
        return json.dumps(value, default=_plain, allow_nan=False, ensure_ascii=False, indent=indent)
    except (TypeError, ValueError) as exc:
        raise RecordError(f"{Run.FILE}: {key} holds a value that can't be kept: {exc}") from exc


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Decimal | Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not plain data")
