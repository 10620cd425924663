"""Charts of levels over the run: torn reads, WAL kept by slots, use of local tools. Pure."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from loadgen import text
from loadgen.record.rows import SlotSample, ToolSample
from loadgen.report.analysis.consistency import SOURCE, SumsReads
from loadgen.report.charts.freshness import band_width
from loadgen.report.charts.load import End, TimeAxis, draw_heading, draw_time_axis, name_ends
from loadgen.report.charts.palette import LIGHT, apart
from loadgen.report.charts.svg import Drawing, Shape, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE: Final = Shape(824, 250, (0.085, 0.11, 0.675, 0.61))
TALL: Final = Shape(344, 250, (0.17, 0.11, 0.64, 0.5))
_STRETCHES: Final = 240  # at most; each shows its highest point

Series = Sequence[tuple[float, float]]  # seconds of the run, and the level


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of levels: the stem of its file, its heading, and how it writes a level."""

    name: str
    title: str
    sentence: str
    written: Callable[[float], str]
    base: int  # of the units in which levels are rounded: 1024 for bytes


WAL: Final = Chart(
    "slots",
    "WAL kept by each slot",
    "What the source can't delete until the slot's reader has confirmed it.",
    text.size,
    1024,
)
CPU: Final = Chart(
    "tool_cpu",
    "Processors used by each local tool",
    "Of all its processes, those of the copy's server too; 1 is one processor, always busy.",
    lambda level: f"{level:.3g}",
    10,
)
MEMORY: Final = Chart(
    "tool_memory",
    "Memory of each local tool",
    "Of all its processes, those of the copy's server too; shared pages count once.",
    text.size,
    1024,
)


TORN: Final = Chart(
    "torn",
    "Torn reads of each copy",
    "The share of reads that saw a part of a transaction, in each minute or less.",
    lambda level: f"{level:.0%}",
    10,
)


def torn_series(reads: Mapping[str, SumsReads], start: datetime) -> dict[str, Series]:
    """Return the share of torn reads of each copy in each stretch of the run, at its middle."""
    last = max((max(of.torn_at) for of in reads.values()), default=start)
    width = band_width((last - start).total_seconds())
    shares = (
        (tool, start + timedelta(seconds=(number + 0.5) * width), share)
        for tool, of in reads.items()
        if tool != SOURCE
        for number, share in _torn_shares(of, start, width)
    )
    return _series(shares, start)


def _torn_shares(of: SumsReads, start: datetime, width: float) -> Iterator[tuple[int, float]]:
    stretches: dict[int, list[bool]] = {}
    for at, torn in sorted(of.torn_at.items()):
        stretches.setdefault(int((at - start).total_seconds() // width), []).append(torn)
    for number, reads in stretches.items():
        yield number, sum(reads) / len(reads)


def wal_series(samples: Iterable[SlotSample], start: datetime) -> dict[str, Series]:
    """Return the WAL that each slot kept; time counts from `start`, in which a run began."""
    levels = (
        (sample.slot, sample.time, float(sample.retained_bytes))
        for sample in samples
        if sample.retained_bytes is not None
    )
    return _series(levels, start)


def memory_series(samples: Iterable[ToolSample], start: datetime) -> dict[str, Series]:
    """Return the memory of each local tool, in bytes."""
    return _series(((s.tool, s.time, float(s.resident_bytes)) for s in samples), start)


def cpu_series(samples: Iterable[ToolSample], start: datetime) -> dict[str, Series]:
    """Return the processors that each local tool used between two samples of one watch."""
    ratios = (
        (now.tool, now.time, (now.cpu_seconds - before.cpu_seconds) / seconds)
        for before, now in ToolSample.pairs(samples)
        if (seconds := (now.time - before.time).total_seconds()) > 0
    )
    return _series(ratios, start)


def _series(levels: Iterable[tuple[str, datetime, float]], start: datetime) -> dict[str, Series]:
    series: dict[str, list[tuple[float, float]]] = {}
    for name, time, level in levels:
        at = (time - start).total_seconds()
        if at >= 0:
            series.setdefault(name, []).append((at, level))
    return {
        name: _thinned(points) for name, points in series.items() if points[0][0] < points[-1][0]
    }


def _thinned(points: Sequence[tuple[float, float]]) -> Series:
    """Return the points, of very many the highest of each stretch."""
    if len(points) <= _STRETCHES:
        return points
    width = points[-1][0] / _STRETCHES or 1.0
    highest: dict[int, tuple[float, float]] = {}
    for point in points:
        number = int(point[0] / width)
        highest[number] = max(highest.get(number, point), point, key=lambda each: each[1])
    return list(highest.values())


def draw_levels(chart: Chart, series: Mapping[str, Series], shape: Shape) -> Drawing:
    """Draw the levels over the run, a line for each name."""
    length = max(points[-1][0] for points in series.values())

    def paint(figure: "Figure", axes: "Axes") -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator  # noqa: PLC0415 - as in svg.draw

        ends: list[End] = []
        for color_name, (name, points) in zip(apart(len(series)), series.items(), strict=True):
            color = LIGHT[color_name]
            times, levels = [at for at, _ in points], [level for _, level in points]
            axes.fill_between(times, levels, color=color, alpha=0.16, linewidth=0)
            axes.plot(times, levels, color=color, linewidth=1.5)
            ends.append((levels[-1], name, color))
        most = max(level for points in series.values() for _, level in points)
        room = 1.15 if shape is WIDE else 1.15 + 0.15 * len(ends)  # for names above the lines
        axes.set_ylim(0, room * most or 1)
        unit = float(chart.base ** math.floor(math.log(most, chart.base))) if most else 1.0
        ticks = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(0, most / unit)
        axes.set_yticks([tick * unit for tick in ticks if tick * unit <= 1.15 * most])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda level, _: chart.written(level)))
        draw_time_axis(axes, TimeAxis(length))
        if shape is WIDE:
            name_ends(axes, ends)
        else:  # too narrow for the names to stand beside the lines
            for row, (_, name, color) in enumerate(ends):
                high = 1.0 - 0.11 * row
                axes.text(0.02, high, name, transform=axes.transAxes, color=color, va="top")
        draw_heading(figure, shape, chart.title, chart.sentence, "")

    alternative = f"{chart.title}: {chart.sentence}"
    return draw(f"{chart.name}-{shape.width}", alternative, paint, shape)
