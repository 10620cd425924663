"""The chart of the WAL that each replication slot kept over the run, from slots.csv. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from loadgen import text
from loadgen.record.rows import SlotSample
from loadgen.report.charts.load import End, TimeAxis, draw_heading, draw_time_axis, name_ends
from loadgen.report.charts.palette import LIGHT, apart
from loadgen.report.charts.svg import Drawing, Shape, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE: Final = Shape(824, 250, (0.085, 0.11, 0.675, 0.61))
TALL: Final = Shape(344, 250, (0.17, 0.11, 0.64, 0.5))
_STRETCHES: Final = 240  # at most; each shows its highest point
_TITLE: Final = "WAL kept by each slot"
_SENTENCE: Final = "What the source can't delete until the slot's reader has confirmed it."

WalSeries = Sequence[tuple[float, int]]  # seconds of the run, bytes


def wal_series(samples: Iterable[SlotSample], start: datetime) -> dict[str, WalSeries]:
    """Return the WAL that each slot kept; time counts from `start`, in which a run began."""
    slots: dict[str, list[tuple[float, int]]] = {}
    for sample in samples:
        at = (sample.time - start).total_seconds()
        if at >= 0 and sample.retained_bytes is not None:
            slots.setdefault(sample.slot, []).append((at, sample.retained_bytes))
    return {
        slot: _thinned(points) for slot, points in slots.items() if points[0][0] < points[-1][0]
    }


def _thinned(points: Sequence[tuple[float, int]]) -> WalSeries:
    """Return the points, of very many the highest of each stretch."""
    if len(points) <= _STRETCHES:
        return points
    width = points[-1][0] / _STRETCHES or 1.0
    highest: dict[int, tuple[float, int]] = {}
    for point in points:
        number = int(point[0] / width)
        highest[number] = max(highest.get(number, point), point, key=lambda each: each[1])
    return list(highest.values())


def draw_wal(series: Mapping[str, WalSeries], shape: Shape) -> Drawing:
    """Draw the WAL kept over the run, a line a slot."""
    length = max(points[-1][0] for points in series.values())

    def paint(figure: "Figure", axes: "Axes") -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator  # noqa: PLC0415 - as in svg.draw

        ends: list[End] = []
        for color_name, (slot, points) in zip(apart(len(series)), series.items(), strict=True):
            color = LIGHT[color_name]
            times, sizes = [at for at, _ in points], [size for _, size in points]
            axes.fill_between(times, sizes, color=color, alpha=0.16, linewidth=0)
            axes.plot(times, sizes, color=color, linewidth=1.5)
            ends.append((float(sizes[-1]), slot, color))
        most = max(size for points in series.values() for _, size in points)
        axes.set_ylim(0, 1.15 * most or 1)
        unit = 1024 ** int(math.log(max(most, 1), 1024))
        ticks = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(0, most / unit)
        axes.set_yticks([tick * unit for tick in ticks if tick * unit <= 1.15 * most])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda size, _: text.size(size)))
        draw_time_axis(axes, TimeAxis(length))
        if shape is WIDE:
            name_ends(axes, ends)
        else:  # too narrow for the names to stand beside the lines
            for row, (_, slot, color) in enumerate(ends):
                high = 1.0 - 0.11 * row
                axes.text(0.02, high, slot, transform=axes.transAxes, color=color, va="top")
        draw_heading(figure, shape, _TITLE, _SENTENCE, "")

    return draw(f"slots-{shape.width}", f"{_TITLE}: {_SENTENCE}", paint, shape)
