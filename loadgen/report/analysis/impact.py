"""What a run was to its source: latency, WAL a write, processor time; alone and beside a control.

The control is a run without tools. What a tool adds is the difference, where both were measured.
Pure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loadgen import text
from loadgen.record.run import Run, Spent
from loadgen.text import Column, Table

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
    """Return what the run's record tells of its source."""
    writes = sum(totals.committed for totals in run.totals.values())
    wal, cpu = wal_bytes(run.spent_before, run.spent_after), cpu_seconds(run)
    return Impact(
        service_p95=run.latency_all.service.p95,
        intended_p95=run.latency_all.intended.p95,
        wal_bytes_a_write=wal / writes if wal is not None and writes else None,
        cpu_seconds_a_thousand=cpu * 1000 / writes if cpu is not None and writes else None,
    )


def wal_bytes(before: Spent, after: Spent) -> int | None:
    """Return the WAL between two moments; None where it is not known, or went back."""
    if before.wal_bytes is None or after.wal_bytes is None or after.wal_bytes < before.wal_bytes:
        return None
    return after.wal_bytes - before.wal_bytes


def cpu_seconds(run: Run) -> float | None:
    """Return the server's processor seconds over the run; a restart begins them anew."""
    before, after = run.spent_before, run.spent_after
    if before.cpu_seconds is None or after.cpu_seconds is None:
        return None
    if before.server_started_at != after.server_started_at:
        return None
    return after.cpu_seconds - before.cpu_seconds


_Say = Callable[[float | None], str]


def _bytes(number: float | None) -> str:
    return NOT_MEASURED if number is None else text.size(number)


def _seconds(number: float | None) -> str:
    return NOT_MEASURED if number is None else text.latency(number)


FIGURES: Final[tuple[tuple[str, str, _Say], ...]] = (
    ("service_p95", "service p95", _seconds),
    ("intended_p95", "intended p95", _seconds),
    ("wal_bytes_a_write", "WAL a write", _bytes),
    ("cpu_seconds_a_thousand", "CPU per 1k writes", _seconds),
)


def impact_table(found: Impact, control: Impact | None) -> Table:
    """Return the figures of a run, and those of its control beside them where there is one."""
    columns = [Column("figure"), Column("this run", number=True)]
    if control is not None:
        columns += [Column("without tools", number=True), Column("difference", number=True)]
    rows = []
    for name, label, say in FIGURES:
        value = getattr(found, name)
        row = [label, say(value)]
        if control is not None:
            base = getattr(control, name)
            row += [say(base), against(value, base)]
        rows.append(tuple(row))
    return Table(tuple(columns), tuple(rows))


def against(value: float | None, base: float | None) -> str:
    """Return a figure's difference from the control's, in percent; a dash where one is missing."""
    if value is None or not base:
        return text.NOTHING
    return f"{100 * (value / base - 1):+.0f}%"
