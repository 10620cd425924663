"""The chart of each copy's age over the run, from the markers' deliveries. Pure.

Between two deliveries a copy grows older second by second, and a delivery renews it. Drawn is a
band for each minute, or less of a short run: from the youngest age to the oldest, and the median.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from loadgen import text
from loadgen.report.analysis.deliveries import Deliveries
from loadgen.report.charts.load import (
    End,
    TimeAxis,
    draw_heading,
    draw_time_axis,
    latency_ticks,
    name_ends,
)
from loadgen.report.charts.palette import LIGHT, apart
from loadgen.report.charts.svg import Drawing, Shape, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE: Final = Shape(824, 290, (0.075, 0.1, 0.745, 0.66))
TALL: Final = Shape(344, 280, (0.155, 0.1, 0.52, 0.6))
_MINUTE: Final = 60.0  # seconds
_SHORT_RUN: Final = 720.0  # seconds; a longer run has bands of a minute or more
_SHORT_BANDS: Final = 16  # at most
_LONG_BANDS: Final = 240
_WIDTHS: Final = (1.0, 2.0, 5.0, 10.0, 30.0, _MINUTE, 300.0, 900.0, 3600.0, 86_400.0)
_LEAST_AGE: Final = 0.01  # seconds; younger copies are drawn at this age
_TITLE: Final = "How old each copy was"
_PIECES: Final = 8  # of a stretch without a delivery, for the median


@dataclass(frozen=True, slots=True)
class AgeBand:
    """A copy's ages in one stretch of the run, all in seconds."""

    begin: float
    end: float
    youngest: float
    median: float
    oldest: float


AgeSeries = Sequence[AgeBand]


def age_series(delivered: Mapping[str, Deliveries], start: datetime) -> dict[str, AgeSeries]:
    """Return the bands of each tool with two deliveries or more; time counts from `start`."""
    growths = {tool: list(_growths(deliveries, start)) for tool, deliveries in delivered.items()}
    length = max((lines[-1][1] for lines in growths.values() if lines), default=0.0)
    width = band_width(length)
    return {tool: _bands(lines, width) for tool, lines in growths.items() if lines}


def _growths(
    deliveries: Deliveries, start: datetime
) -> Iterator[tuple[float, float, float, float]]:
    """Yield from when to when a copy grew older, and from which age to which."""
    for before, now in pairwise(deliveries.renewals()):
        begin = (before.seen_at - start).total_seconds()
        end = (now.seen_at - start).total_seconds()
        yield begin, end, before.seconds, (now.seen_at - before.written_at).total_seconds()


def band_width(length: float) -> float:
    """Return the width of a band of a run of that length, in seconds."""
    most, least = (_SHORT_BANDS, 0.0) if length < _SHORT_RUN else (_LONG_BANDS, _MINUTE)
    wide = (width for width in _WIDTHS if width >= least and length / width <= most)
    return next(wide, _WIDTHS[-1])


def _bands(growths: Sequence[tuple[float, float, float, float]], width: float) -> AgeSeries:
    stretches: dict[int, list[tuple[float, float]]] = {}  # ages with the seconds that they lasted
    ends: dict[int, list[float]] = {}
    for begin, end, young, old in growths:
        slope = (old - young) / (end - begin) if end > begin else 0.0
        at = begin
        while at < end:
            number = int(at / width)
            until = min(end, (number + 1) * width)
            ages = stretches.setdefault(number, [])
            piece = (until - at) / _PIECES
            middles = (at + (part + 0.5) * piece for part in range(_PIECES))
            ages += [(young + slope * (middle - begin), piece) for middle in middles]
            bounds = (young + slope * (at - begin), young + slope * (until - begin))
            ends.setdefault(number, []).extend(bounds)
            at = until if until > at else end
    return [
        AgeBand(
            number * width,
            (number + 1) * width,
            min(ends[number]),
            _weighted_median(ages),
            max(ends[number]),
        )
        for number, ages in sorted(stretches.items())
    ]


def _weighted_median(ages: Sequence[tuple[float, float]]) -> float:
    half, passed = sum(seconds for _, seconds in ages) / 2, 0.0
    for age, seconds in sorted(ages):
        passed += seconds
        if passed >= half:
            return age
    return max(ages)[0]


def draw_freshness(series: Mapping[str, AgeSeries], shape: Shape) -> Drawing:
    """Draw the ages of the copies, a band a tool."""
    length = max(bands[-1].end for bands in series.values())
    first = next(iter(series.values()))[0]
    width = first.end - first.begin
    each = "minute" if width == _MINUTE else text.duration(width)
    sentence = f"Band: youngest to oldest in each {each}. Line: the median."

    def paint(figure: "Figure", axes: "Axes") -> None:
        axes.set_yscale("log")
        lows = [max(band.youngest, _LEAST_AGE) for bands in series.values() for band in bands]
        highs = [max(band.oldest, _LEAST_AGE) for bands in series.values() for band in bands]
        axes.set_ylim(min(lows) / 1.5, max(highs) * 1.5)
        ends: list[End] = []
        for color_name, (tool, bands) in zip(apart(len(series)), series.items(), strict=True):
            color = LIGHT[color_name]
            times = [at for band in bands for at in (band.begin, band.end)]
            youngest, median, oldest = (
                [max(getattr(band, name), _LEAST_AGE) for band in bands for _ in range(2)]
                for name in ("youngest", "median", "oldest")
            )
            axes.fill_between(times, youngest, oldest, color=color, alpha=0.22, linewidth=0)
            axes.plot(times, median, color=color, linewidth=1.6)
            ends.append((median[-1], tool, color))
        draw_time_axis(axes, TimeAxis(length))
        latency_ticks(axes)
        name_ends(axes, ends)
        draw_heading(figure, shape, _TITLE, sentence, "age, log scale")

    return draw(f"freshness-{shape.width}", f"{_TITLE}: {sentence}", paint, shape)
