"""run.json as typed values: what a run's record says of itself, checked key by key.

Absent and null keys read as None or empty, since a run that is going on or was killed has not
written them; a value of another kind than the one asked for is a MisfitError that names its key.
Files are record_reader's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Final, TypeVar

from loadgen.errors import one_line
from loadgen.record.model import moment

_V = TypeVar("_V")
_SHOWN: Final = 60  # characters of a value


class MisfitError(ValueError):
    """A value of run.json is of another kind than its key wants."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What became of one operation's arrivals over the whole run."""

    offered: int
    committed: int
    failed: int
    skipped: int
    unknown: int


@dataclass(frozen=True, slots=True)
class TableRows:
    """One table of the source at one moment; version_sum is None where it has no version."""

    rows: int
    version_sum: int | None


@dataclass(frozen=True, slots=True)
class Spent:
    """What the source's server had spent at one moment; None where it can't be told."""

    wal_bytes: int | None
    cpu_seconds: float | None
    server_started_at: datetime | None


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """Something that happened to the run at one moment; details depend on the kind."""

    at: datetime
    kind: str
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles over the whole run, in seconds; None where nothing finished."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class OperationLatency:
    """The same operation timed twice: from sending, and from the moment it was due."""

    service: Latency
    intended: Latency


@dataclass(frozen=True, slots=True)
class Run:
    """What run.json holds. Empty mappings and None stand for what was not written (yet)."""

    path: Path
    run_id: str
    seed: int | None
    profile: str | None
    settings: Mapping[str, object]
    versions: Mapping[str, object]
    machine: Mapping[str, object]
    source: Mapping[str, object]
    started_at: datetime | None
    ended_at: datetime | None
    journal: tuple[JournalEvent, ...]
    asked: Mapping[str, float]
    totals: Mapping[str, Totals]
    rows_before: Mapping[str, TableRows]
    rows_after: Mapping[str, TableRows]
    valid: bool | None
    invalid_reason: str | None
    failures: Mapping[str, Mapping[str, int]]
    latency: Mapping[str, OperationLatency]
    schedule_started_at: datetime | None
    duration_seconds: float | None
    users: int | None
    exit_code: int | None
    latency_all: OperationLatency
    bottleneck_reason: str | None
    spent_before: Spent
    spent_after: Spent
    hard_cases: Mapping[str, int]  # turns that were committed
    seconds_without_sample: float | None = None
    source_time: datetime | None = None  # the source's own, before the first write
    journal_left_out: int = 0  # events that the journal had no room for


def run_of(path: Path, raw: Mapping[str, object]) -> Run:
    """Return the run that the folder's run.json describes. Raises MisfitError."""
    keys = Keys(raw)
    return Run(
        path=path,
        run_id=keys.text("run_id") or path.resolve().name,
        seed=keys.whole("seed"),
        profile=keys.text("profile"),
        settings=keys.mapping("settings"),
        versions=keys.mapping("versions"),
        machine=keys.mapping("machine"),
        source=keys.mapping("source"),
        started_at=keys.moment("started_at"),
        ended_at=keys.moment("ended_at"),
        journal=tuple(_event(entry) for entry in keys.entries("journal")),
        asked=_asked(keys.below("asked")),
        totals=keys.each("totals", _totals),
        rows_before=keys.each("rows_before", _rows),
        rows_after=keys.each("rows_after", _rows),
        valid=keys.truth("valid"),
        invalid_reason=keys.text("invalid_reason"),
        failures=keys.each("failures", _by_sqlstate),
        latency=keys.each("latency", _latencies),
        schedule_started_at=keys.moment("schedule_started_at"),
        duration_seconds=keys.number("duration_seconds"),
        users=keys.whole("users"),
        exit_code=keys.whole("exit_code"),
        latency_all=_latencies(keys.below("latency_all")),
        bottleneck_reason=keys.text("bottleneck_reason"),
        spent_before=_spent(keys.below("spent_before")),
        spent_after=_spent(keys.below("spent_after")),
        hard_cases=keys.each("hard_cases", lambda case: case.whole("committed") or 0),
        seconds_without_sample=keys.below("sampled").number("seconds_without"),
        source_time=keys.moment("source_time"),
        journal_left_out=keys.whole("journal_left_out") or 0,
    )


class Keys:
    """One JSON object, asked for its values by key and kind; `where` is its own key."""

    __slots__ = ("_raw", "_where")

    def __init__(self, raw: Mapping[str, object], where: str = "") -> None:
        self._raw, self._where = raw, where

    def text(self, key: str) -> str | None:
        """Return a string."""
        return self._value(key, str, "a text")

    def truth(self, key: str) -> bool | None:
        """Return true or false."""
        return self._value(key, bool, "true or false")

    def whole(self, key: str) -> int | None:
        """Return a whole number."""
        return self._value(key, int, "a whole number")

    def number(self, key: str) -> float | None:
        """Return a finite number, whole or not."""
        value = self._value(key, (int, float), "a number")
        if value is not None and not isfinite(value):
            raise self._misfit(key, "a number")
        return value

    def moment(self, key: str) -> datetime | None:
        """Return a moment in UTC."""
        text = self.text(key)
        try:
            return None if text is None else moment(text)
        except ValueError as exc:
            raise self._misfit(key, "a time with its zone") from exc

    def mapping(self, key: str) -> Mapping[str, object]:
        """Return an object as it stands; empty where there is none."""
        found: Mapping[str, object] = self._value(key, dict, "an object") or {}
        return found

    def entries(self, key: str) -> list[object]:
        """Return a list as it stands; empty where there is none."""
        return self._value(key, list, "a list") or []

    def below(self, key: str) -> "Keys":
        """Return the object under the key, to be asked in turn."""
        return Keys(self.mapping(key), f"{self._where}{key}.")

    def each(self, key: str, parse: Callable[["Keys"], _V]) -> dict[str, _V]:
        """Return what `parse` makes of each object under the key, by name."""
        inner = self.below(key)
        return {name: parse(inner.below(name)) for name in self.mapping(key)}

    def names(self) -> list[str]:
        """Return the object's keys."""
        return list(self._raw)

    def _value(self, key: str, kind: type[_V] | tuple[type[_V], ...], wanted: str) -> _V | None:
        value = self._raw.get(key)
        if value is None:
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self._misfit(key, wanted)
        return value

    def _misfit(self, key: str, wanted: str) -> MisfitError:
        return MisfitError(f"{self._where}{key} is {_short(self._raw.get(key))}, not {wanted}")


def _short(value: object) -> str:
    return one_line(repr(value), _SHOWN)


def _counts(keys: Keys, *names: str) -> list[int]:
    return [keys.whole(name) or 0 for name in names]


def _asked(keys: Keys) -> dict[str, float]:
    return {name: keys.number(name) or 0.0 for name in keys.names()}


def _totals(keys: Keys) -> Totals:
    return Totals(*_counts(keys, "offered", "committed", "failed", "skipped", "unknown"))


def _rows(keys: Keys) -> TableRows:
    return TableRows(keys.whole("rows") or 0, keys.whole("version_sum"))


def _spent(keys: Keys) -> Spent:
    wal_bytes, cpu_seconds = keys.whole("wal_bytes"), keys.number("cpu_seconds")
    return Spent(wal_bytes, cpu_seconds, keys.moment("server_started_at"))


def _by_sqlstate(keys: Keys) -> dict[str, int]:
    return dict(zip(keys.names(), _counts(keys, *keys.names()), strict=True))


def _latencies(keys: Keys) -> OperationLatency:
    service, intended = keys.below("service"), keys.below("intended")
    return OperationLatency(_quantiles(service), _quantiles(intended))


def _quantiles(keys: Keys) -> Latency:
    return Latency(*(keys.number(name) for name in ("p50", "p95", "p99", "max")))


def _event(entry: object) -> JournalEvent:
    if not isinstance(entry, dict):
        raise MisfitError(f"journal holds {_short(entry)}, not an event")
    keys = Keys(entry, "journal.")
    at, kind = keys.moment("at"), keys.text("kind")
    if at is None or kind is None:
        raise MisfitError(f"journal holds {_short(entry)}, an event without its time or kind")
    return JournalEvent(at, kind, {k: v for k, v in entry.items() if k not in {"at", "kind"}})
