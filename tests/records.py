"""Made-up runs, written through the record's own writer, for tests of what reads them.

The swarm is a model: arrivals at even rates, one wait in two samples, and an outage during which
nothing commits and what waits longer than a second is skipped. The accounting law holds in it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loadgen.record.folder import RunRecord
from loadgen.record.rows import MarkerSample, Sample
from loadgen.record.run import Run
from loadgen.record.verify import Finding, TableOutcome, ToolVerification, Verification

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
RATES = {
    "insert_order": 36_000.0,
    "insert_event": 72_000.0,
    "update_order_status": 18_000.0,
    "soft_delete_user": 720.0,
}
BEFORE = {
    "users": {"rows": 1_000, "version_sum": 20},
    "orders": {"rows": 5_000, "version_sum": 9_000},
    "events": {"rows": 20_000},
}
_REFUSALS = {"insert_order": "40P01", "update_order_status": "02000"}


def marker(
    sequence: int, seconds: float | None, *, tool: str = "copy", every: float = 1.0
) -> MarkerSample:
    """Return a tool's marker, one `every` so many seconds; it took `seconds`, or never came."""
    written = START + timedelta(seconds=every * sequence)
    seen = None if seconds is None else written + timedelta(seconds=seconds)
    return MarkerSample(tool, sequence, written, seen, seconds, None if seen is None else 0.5)


@dataclass(frozen=True, slots=True)
class Made:
    """A run to be made up: rates are per hour, outage and the rest in seconds."""

    seconds: int = 60
    rates: Mapping[str, float] = field(default_factory=lambda: dict(RATES))
    every: int = 1
    outage: tuple[float, float] = (0.0, 0.0)
    refused_every: int = 0  # one in so many status updates and orders fails
    ended: bool = True
    start: datetime = START
    planned: int | None = None  # seconds that the run is to last, if not `seconds`


@dataclass(slots=True)
class _Counts:
    offered: int = 0
    committed: int = 0
    failed: int = 0
    skipped: int = 0


def write_run(reports: Path, made: Made, run_id: str = "20261123T080000Z-0001") -> Path:
    """Write the record of such a run and return its folder."""
    record = RunRecord.create(reports, run_id)
    record.begin(Run.model_validate(_opening(made)))
    counts = {name: _Counts() for name in made.rates}
    record.append(_samples(made, counts))
    if made.ended:
        update(record, **_closing(made, counts))
    return record.path


def update(record: RunRecord, **changed: object) -> None:
    """Change keys of run.json, whatever they are."""
    if journal := changed.pop("journal", None):
        text = json.dumps({**record.run.plain(), "journal": journal}, default=str)
        record.begin(Run.model_validate_json(text))
    for key, value in changed.items():
        setattr(record.run, key, value)
    record.write()


def _samples(made: Made, counts: Mapping[str, _Counts]) -> Iterator[Sample]:
    for second in range(made.every, made.seconds + made.every, made.every):
        at = made.start + timedelta(seconds=second)
        for name, so_far in counts.items():
            yield _sample(made, at, second, name, so_far)


def _sample(made: Made, at: datetime, second: int, name: str, so_far: _Counts) -> Sample:
    rate = made.rates[name] / 3600
    now = min(second, made.seconds)
    down = made.outage[0] < second <= made.outage[1]
    so_far.offered = int(rate * now)
    waiting = so_far.offered - so_far.committed - so_far.failed - so_far.skipped
    if down:
        kept = int(rate)
        so_far.skipped += max(0, waiting - kept)
    else:
        refused = _refused(made, name, so_far)
        so_far.failed += refused
        so_far.committed += waiting - refused
    in_flight = so_far.offered - so_far.committed - so_far.failed - so_far.skipped
    quick = 0.001 + 0.0001 * (second * 7919 % 10)
    after = made.outage[1] < second <= made.outage[1] + made.every and made.outage[1] > 0
    times = (None,) * 6 if down or not waiting else _times(quick, 1.0 if after else quick * 2)
    return Sample(
        at,
        name,
        rate if second < made.seconds else 0.0,
        so_far.offered,
        so_far.committed,
        so_far.failed,
        so_far.skipped,
        0,
        in_flight,
        *times,
    )


def _refused(made: Made, name: str, so_far: _Counts) -> int:
    if not made.refused_every or name not in _REFUSALS:
        return 0
    return so_far.offered // made.refused_every - so_far.failed


def _times(service: float, intended: float) -> tuple[float, ...]:
    return service, service * 2, service * 3, intended, intended * 2, intended * 3


def _opening(made: Made) -> dict[str, object]:
    per_hour = dict(zip(_RATE_SETTINGS, made.rates.values(), strict=True))
    return {
        "seed": 42,
        "profile": "steady",
        "settings": {
            "arrivals": "even",
            "lateness_limit_seconds": 1.0,
            "initial_users": 1_000,
            "event_bytes": 300,
            **per_hour,
        },
        "versions": {"python": "3.11.7", "loadgen": "0.1.0", "postgres": "18.6"},
        "machine": {
            "cpu": "An Imaginary Processor",
            "cores": 2,
            "memory_bytes": 8 * 2**30,
            "os": "Linux 6.18",
        },
        "source": {"version": "18.6", "embedded": True, "wal_level": "logical"},
        "started_at": made.start - timedelta(seconds=1),
        "ended_at": None,
        "schedule_started_at": made.start,
        "totals": {},
        "rows_before": BEFORE,
        "rows_after": None,
        "valid": None,
        "invalid_reason": None,
        "users": 8,
        "duration_seconds": float(made.planned or made.seconds),
    }


def _closing(made: Made, counts: Mapping[str, _Counts]) -> dict[str, object]:
    done = {name: so_far.committed for name, so_far in counts.items()}
    quantiles = {"p50": 0.0012, "p95": 0.0031, "p99": 0.0102, "max": 0.25}
    return {
        "ended_at": made.start + timedelta(seconds=made.seconds + 1),
        "totals": {
            name: {
                "offered": so_far.offered,
                "committed": so_far.committed,
                "failed": so_far.failed,
                "skipped": so_far.skipped,
                "unknown": 0,
            }
            for name, so_far in counts.items()
        },
        "asked": {name: rate * made.seconds / 3600 for name, rate in made.rates.items()},
        "failures": {
            name: {_REFUSALS[name]: so_far.failed}
            for name, so_far in counts.items()
            if so_far.failed
        },
        "latency": {
            name: {"service": quantiles, "intended": {k: v * 1.5 for k, v in quantiles.items()}}
            for name in counts
        },
        "rows_after": rows_after(done),
        "valid": True,
        "exit_code": 0,
    }


def rows_after(done: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Return the source's rows after these writes were committed."""
    users, orders, events = (dict(BEFORE[name]) for name in ("users", "orders", "events"))
    users["version_sum"] += done.get("soft_delete_user", 0)
    orders["rows"] += done.get("insert_order", 0)
    orders["version_sum"] += done.get("update_order_status", 0)
    events["rows"] += done.get("insert_event", 0)
    return {"users": users, "orders": orders, "events": events}


_RATE_SETTINGS = (
    "orders_per_hour",
    "events_per_hour",
    "status_updates_per_hour",
    "soft_deletes_per_hour",
)


# verify.json of a copy that is wrong.
_FINDING = Finding("orders", "17", "amount", "differs", "1.20", "<b>1.2</b>" + "0" * 60)
VERIFIED_COPY = ToolVerification(
    at="2026-11-23T10:00:00+00:00",
    verdict="wrong",
    totals={"missing": 2, "differs": 1_000},
    in_flight=3,
    tables={"orders": TableOutcome(1_500, 1_400), "users": TableOutcome(500, 500)},
    problems=("table events is not there",),
    findings=(_FINDING,) * 9,
)
VERIFIED = Verification(tools={"copy": VERIFIED_COPY})
