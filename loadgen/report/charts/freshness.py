"""The chart of each copy's age over the run, from the markers' deliveries. Pure.

Between two deliveries a copy grows older second by second, and a delivery renews it. In a long run
many deliveries share a point: the oldest and the youngest age of each stretch are drawn.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from loadgen.report.analysis.deliveries import Deliveries
from loadgen.report.charts.load import End, TimeAxis, draw_time_axis, latency_ticks, name_ends
from loadgen.report.charts.palette import LIGHT, apart
from loadgen.report.charts.svg import Drawing, Shape, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE: Final = Shape(824, 300, (0.07, 0.1, 0.77, 0.67))
TALL: Final = Shape(400, 280, (0.135, 0.1, 0.62, 0.66))
_STRETCHES: Final = 240  # of the run's length, at most
_LEAST_AGE: Final = 0.01  # seconds; younger copies are drawn at this age
_TITLE: Final = "How old each copy was"
_SENTENCE: Final = "The age of its newest marker, up to each delivery and after it."

AgeSeries = Sequence[tuple[float, float]]  # seconds of the run, seconds of age


def age_series(delivered: Mapping[str, Deliveries], start: datetime) -> dict[str, AgeSeries]:
    """Return the ages of each tool's copy over the run, of tools with two deliveries or more.

    They are those before and after each delivery but the first; time counts from `start`.
    """
    series = {}
    for tool, deliveries in delivered.items():
        renewals = [
            (
                (now.seen_at - start).total_seconds(),
                (now.seen_at - before.written_at).total_seconds(),
                now.seconds,
            )
            for before, now in pairwise(deliveries.renewals())
        ]
        if renewals:
            series[tool] = _thinned(renewals)
    return series


def _thinned(renewals: Sequence[tuple[float, float, float]]) -> AgeSeries:
    """Return the ages of (moment, age before, age after) as a line of at most so many stretches."""
    if len(renewals) <= _STRETCHES:
        return [point for at, old, young in renewals for point in ((at, old), (at, young))]
    first = renewals[0][0]
    width = (renewals[-1][0] - first) / _STRETCHES
    stretches: dict[int, list[tuple[float, float, float]]] = {}
    for renewal in renewals:
        stretches.setdefault(int((renewal[0] - first) / width), []).append(renewal)
    points = []
    for stretch in stretches.values():
        at, old, _ = max(stretch, key=lambda renewal: renewal[1])
        points += [(at, old), (at, min(young for _, _, young in stretch))]
    return points


def draw_freshness(series: Mapping[str, AgeSeries], shape: Shape) -> Drawing:
    """Draw the ages of the copies, a line a tool."""
    length = max(at for line in series.values() for at, _ in line)

    def paint(figure: "Figure", axes: "Axes") -> None:
        axes.set_yscale("log")
        all_ages = [max(age, _LEAST_AGE) for line in series.values() for _, age in line]
        axes.set_ylim(min(all_ages) / 1.5, max(all_ages) * 1.5)
        ends: list[End] = []
        for color_name, (tool, line) in zip(apart(len(series)), series.items(), strict=True):
            color = LIGHT[color_name]
            times, ages = [at for at, _ in line], [max(age, _LEAST_AGE) for _, age in line]
            axes.plot(times, ages, color=color, linewidth=1.2)
            ends.append((ages[-1], tool, color))
        draw_time_axis(axes, TimeAxis(length))
        latency_ticks(axes)
        name_ends(axes, ends)
        muted: dict[str, Any] = {"color": LIGHT["muted"], "size": 9.5}
        for down, text, style in (
            (11, _TITLE, {"weight": "bold", "size": 12}),
            (29, _SENTENCE, {"size": 10.5}),
            (47, "age, log scale", muted),
        ):
            figure.text(0.005, 1 - down / shape.height, text, va="center", **style)

    return draw(f"freshness-{shape.width}", f"{_TITLE}: {_SENTENCE}", paint, shape)
