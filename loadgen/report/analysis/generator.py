"""What generator.csv tells of the load's own processes over a whole run. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from loadgen.record.rows import GeneratorSample


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring samples in which the generator was the bottleneck, by their times."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Generator:
    """The load's processes: the worst lag in seconds, the busiest as a share of a processor.

    busy_ratio counts the time of waiting for a processor too.
    """

    bottleneck_seconds: int
    stretches: tuple[Stretch, ...]
    lag: float
    cpu_ratio: float
    busy_ratio: float


def generator_of(rows: Iterable[GeneratorSample]) -> Generator | None:
    """Return what the rows tell together; None where there are none."""
    found = list(rows)
    if not found:
        return None
    return Generator(
        bottleneck_seconds=sum(row.bottleneck_seconds for row in found),
        stretches=tuple(_stretches(found)),
        lag=max(row.loop_lag_max for row in found),
        cpu_ratio=max(row.cpu_ratio for row in found),
        busy_ratio=max(row.busy_ratio for row in found),
    )


def _stretches(rows: Iterable[GeneratorSample]) -> list[Stretch]:
    """Return the marked stretches; one unmarked sample between two marked ones ends no stretch."""
    stretches: list[Stretch] = []
    since = 2
    for row in rows:
        if not row.bottleneck_seconds:
            since += 1
            continue
        if since <= 1 and stretches:
            stretches[-1] = Stretch(stretches[-1].first, row.time)
        else:
            stretches.append(Stretch(row.time, row.time))
        since = 0
    return stretches
