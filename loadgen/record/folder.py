"""A run's folder: found by name, created by the load, and written by one process per file.

The load's master writes run.json, samples.csv, generator.csv, deletes.csv and position.json; the
watch writes slots.csv, tools.csv, markers.csv, freshness.csv and consistency.csv. A process that is
killed at any moment leaves whole files. All calls block, so that they behave the same under gevent.
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

from loadgen.errors import RecordError, one_line
from loadgen.record.files import LONE, append_lines, naming, replace_file
from loadgen.record.model import SCHEMA_VERSION, iso
from loadgen.record.position import Position
from loadgen.record.rows import MarkerSample, Row, csv_line
from loadgen.record.run import JournalEvent, Run
from loadgen.untrusted import reading

LATEST = "latest"
_SHOWN_RUNS = 5
_SHOWN_NAME = 80  # characters
_SYNC_SECONDS = 10.0  # waiting for the disk makes the load's writes late
_BURST_SECONDS = 1.0  # between two writes of run.json that may wait
_RUN_ID = re.compile(r"(?!latest$)[\w][\w.:+-]{0,127}")


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


class RunRecord:
    """The folder of one run, open for writing.

    If the disk is full, what could not be written stays in memory for the next call. `now` is the
    clock of the journal.
    """

    __slots__ = (
        *("_journal", "_run_waits", "_synced_at", "_tried_at", "_waiting"),
        *("journaled", "now", "path", "run", "run_id"),
    )

    def __init__(self, path: Path, run: Run) -> None:
        self.path = path
        self.run_id = path.name
        self.run = run  # the content of run.json, without its journal
        self._journal: list[str] = []  # as JSON texts, so that each event is encoded once
        self._run_waits = False  # whether run.json has changed since it was written
        self._waiting: dict[type[Row], list[str]] = {}  # lines that were not written yet
        self._synced_at = self._tried_at = -inf
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.journaled: Counter[str] = Counter()  # entries by kind, since it was opened
        self._begin(run)

    @classmethod
    def create(cls, reports_dir: Path, run_id: str) -> "RunRecord":
        """Create the folder of a new run and point `latest` at it; run.json is not written yet."""
        if not _RUN_ID.fullmatch(run_id):
            raise RecordError(f"run id {run_id!r} can't name a folder: use letters, digits and -")
        path = reports_dir / run_id
        with naming(path):
            path.mkdir(parents=True)
        _point_latest(reports_dir, run_id)
        return cls(path, Run())

    @classmethod
    def open(cls, path: Path) -> "RunRecord":
        """Open the folder of an existing run, with or without a run.json."""
        folder = path.resolve()
        if not folder.is_dir():
            raise RecordError(f"{path} is not a run's folder: name one that holds {Run.FILE}")
        try:
            return cls(folder, Run.read(folder))
        except FileNotFoundError:
            return cls(folder, Run())

    @classmethod
    def resume(cls, path: Path) -> "RunRecord":
        """Open the folder of a killed run to continue it; `latest` points at it again."""
        record = cls.open(path)
        _point_latest(record.path.parent, record.run_id)
        return record

    def begin(self, run: Run) -> None:
        """Replace run.json, including its journal."""
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
        """Append one event to run.json's journal, which costs one fsync; `at` is now by default.

        Returns its number, for `amend`. If it can't be written, it is dropped: raises RecordError.
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
        """Append an event as `journal` does; in a burst it is written by the next `flush`.

        So is one that can't be written now, since it has happened anyway.
        """
        number = self._enter(kind, at, details)
        self._write_soon()
        return number

    def amend(self, number: int, /, **details: object) -> None:
        """Add details to an event of the journal."""
        entry = {**json.loads(self._journal[number]), **details}
        self._journal[number] = _encoded(entry, f"journal entry {entry['kind']}")
        self._write_soon()

    def buffer(self, rows: Iterable[Row]) -> None:
        """Add rows of any files, which the next `flush` writes."""
        lines = [(type(row), row.line()) for row in rows]
        for kind, line in lines:
            self._waiting.setdefault(kind, []).append(line)

    def flush(self) -> None:
        """Write everything that was not written yet. After a RecordError the rest is kept."""
        self.write_rows(*self._waiting)
        if self._run_waits:
            self.write()

    def write_position(self, position: Position) -> None:
        """Replace position.json, every 10 s with an fsync."""
        synced = time.monotonic() - self._synced_at >= _SYNC_SECONDS
        if synced:
            self._synced_at = time.monotonic()
        text = position.model_dump_json()
        replace_file(self.path / Position.FILE, text.encode(), synced=synced)

    def remove_position(self) -> None:
        """Remove position.json, since a run that has ended can't be continued."""
        with naming(self.path / Position.FILE):
            (self.path / Position.FILE).unlink(missing_ok=True)

    def append(self, rows: Iterable[Row]) -> None:
        """Append rows to their files, the lines of each file in one write call."""
        rows = list(rows)
        self.buffer(rows)
        self.write_rows(*dict.fromkeys(type(row) for row in rows))

    def replace_freshness(self, rows: Iterable[MarkerSample]) -> None:
        """Replace freshness.csv; a new watch removes the markers that had not arrived yet."""
        lines = [csv_line(MarkerSample.columns()), *(row.line() for row in rows)]
        replace_file(self.path / MarkerSample.FILE, "".join(lines).encode())

    def write_rows(self, *kinds: type[Row]) -> None:
        """Write the buffered rows of these files. Threads may write different files at a time."""
        for kind in kinds:
            if lines := self._waiting.get(kind):
                append_lines(self.path / kind.FILE, csv_line(kind.columns()), "".join(lines))
                del self._waiting[kind]

    def _enter(self, kind: str, at: datetime | None, details: Mapping[str, object]) -> int:
        self._journal.append(_event_text(JournalEvent(at or self.now(), kind, details)))
        self.journaled[kind] += 1
        return len(self._journal) - 1

    def _write_soon(self) -> None:
        """Write run.json now, or with the next `flush` if it was written a moment ago."""
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


def _latest(reports_dir: Path) -> Path:
    """Return the folder that `latest` names: a symlink, or a file that holds the run id."""
    link = reports_dir / LATEST
    if not link.is_file():
        return link
    return reports_dir / link.read_text(encoding="utf-8").strip()


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


def _event_text(event: JournalEvent) -> str:
    entry = {"at": event.at, "kind": event.kind, **event.details}
    return _encoded(entry, f"journal entry {event.kind}")


def _encoded(value: object, key: str, indent: int | None = None) -> str:
    try:
        return json.dumps(value, default=_plain, allow_nan=False, ensure_ascii=False, indent=indent)
    except (TypeError, ValueError) as exc:
        raise RecordError(f"{Run.FILE}: {key} has a value that JSON can't hold: {exc}") from exc


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Decimal | Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not plain data")
