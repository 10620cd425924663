"""A run's impact on its source: latency, WAL per write and processor time.

A control is a run without tools; what tools add is the difference to it. Pure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loadgen import text
from loadgen.record.run import Run, Spent

NOT_MEASURED: Final = "not measured"


@dataclass(frozen=True, slots=True)
class Impact:
    """One run's figures; None is not measured.

    Latency is seconds, of all operations together. A write is one that was committed; WAL and
    processor seconds are the whole server's, from before the first arrival to after the last.
    """

    service_p95: float | None
    intended_p95: float | None
    wal_bytes_a_write: float | None
    cpu_seconds_a_thousand: float | None  # of the server's processes, for a thousand writes


def impact_of(run: Run) -> Impact:
    """Return the impact that the run's record shows."""
    writes = sum(totals.committed for totals in run.totals.values())
    wal, cpu = _wal_bytes(run), _cpu_seconds(run)
    return Impact(
        service_p95=run.latency_all.service.p95,
        intended_p95=run.latency_all.intended.p95,
        wal_bytes_a_write=wal / writes if wal is not None and writes else None,
        cpu_seconds_a_thousand=cpu * 1000 / writes if cpu is not None and writes else None,
    )


def _wal_bytes(run: Run) -> int | None:
    """Return the WAL written over the run; None if it is not known, or its position fell."""
    before, after = run.spent_before.wal_bytes, (run.spent_after or Spent()).wal_bytes
    return None if before is None or after is None or after < before else after - before


def _cpu_seconds(run: Run) -> float | None:
    """Return the server's processor seconds over the run; None if it restarted, from 0."""
    before, after = run.spent_before, run.spent_after or Spent()
    if before.cpu_seconds is None or after.cpu_seconds is None:
        return None
    if before.server_started_at != after.server_started_at:
        return None
    return after.cpu_seconds - before.cpu_seconds


def _bytes(number: float | None) -> str:
    return NOT_MEASURED if number is None else text.size(number)


def _seconds(number: float | None) -> str:
    return NOT_MEASURED if number is None else text.latency(number)


# Each figure's name in Impact, its label, and how it is written.
FIGURES: Final[tuple[tuple[str, str, Callable[[float | None], str]], ...]] = (
    ("service_p95", "service p95", _seconds),
    ("intended_p95", "intended p95", _seconds),
    ("wal_bytes_a_write", "WAL a write", _bytes),
    ("cpu_seconds_a_thousand", "CPU per 1k writes", _seconds),
)


def against(figure: float | None, base: float | None) -> str:
    """Return a figure's difference to the control's, in percent; a dash if one is missing."""
    if figure is None or not base:
        return text.NOTHING
    return f"{100 * (figure / base - 1):+.0f}%"
