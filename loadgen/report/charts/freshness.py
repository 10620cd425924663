"""The chart of how old each copy was over the run, from the markers' deliveries. Pure.

Between two deliveries a copy grows older second by second, and a delivery renews it: a saw. Of a
long run many deliveries share a point, the oldest age and the youngest of each stretch.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from loadgen.report.analysis.deliveries import Deliveries
from loadgen.report.charts.load import End, Frame, latency_ticks, name_ends, time_axis
from loadgen.report.charts.palette import LIGHT, apart
from loadgen.report.charts.svg import Drawing, Shape, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE: Final = Shape(824, 300, (0.07, 0.1, 0.77, 0.67))
TALL: Final = Shape(400, 280, (0.135, 0.1, 0.62, 0.66))
_STRETCHES: Final = 240  # of the run's length, at most
_LEAST: Final = 0.01  # seconds; what is younger lies on the floor
_TITLE: Final = "How old each copy was"
_SAYS: Final = "The age of its newest marker, up to each delivery and after it."

Saw = Sequence[tuple[float, float]]  # seconds of the run, seconds of age


def saws(delivered: Mapping[str, Deliveries], start: datetime) -> dict[str, Saw]:
    """Return the saw of each tool of which two deliveries are known; time counts from `start`."""
    found = {name: _saw(one, start) for name, one in delivered.items()}
    return {name: saw for name, saw in found.items() if saw}


def _saw(delivered: Deliveries, start: datetime) -> Saw:
    """Return the ages before and after each delivery but the first, thinned."""
    teeth = [
        ((now.seen - start).total_seconds(), (now.seen - before.written).total_seconds(), now.took)
        for before, now in pairwise(delivered.arrivals())
    ]
    if len(teeth) <= _STRETCHES:
        return [point for at, old, young in teeth for point in ((at, old), (at, young))]
    width = (teeth[-1][0] - teeth[0][0]) / _STRETCHES
    stretches: dict[int, list[tuple[float, float, float]]] = {}
    for tooth in teeth:
        stretches.setdefault(int((tooth[0] - teeth[0][0]) / width), []).append(tooth)
    points = []
    for some in stretches.values():
        at, old, _ = max(some, key=lambda tooth: tooth[1])
        points += [(at, old), (at, min(tooth[2] for tooth in some))]
    return points


def draw_freshness(tools: Mapping[str, Saw], shape: Shape) -> Drawing:
    """Draw the ages of the copies, a line a tool."""
    length = max(at for saw in tools.values() for at, _ in saw)

    def paint(figure: "Figure", axes: "Axes") -> None:
        axes.set_yscale("log")
        ages = [max(age, _LEAST) for saw in tools.values() for _, age in saw]
        axes.set_ylim(min(ages) / 1.5, max(ages) * 1.5)
        ends: list[End] = []
        for color_name, (name, saw) in zip(apart(len(tools)), tools.items(), strict=True):
            color = LIGHT[color_name]
            times, tall = [at for at, _ in saw], [max(age, _LEAST) for _, age in saw]
            axes.plot(times, tall, color=color, linewidth=1.2)
            ends.append((tall[-1], name, color))
        time_axis(axes, Frame(length))
        latency_ticks(axes)
        name_ends(axes, ends)
        muted: dict[str, Any] = {"color": LIGHT["muted"], "size": 9.5}
        for down, text, style in (
            (11, _TITLE, {"weight": "bold", "size": 12}),
            (29, _SAYS, {"size": 10.5}),
            (47, "age, log scale", muted),
        ):
            figure.text(0.005, 1 - down / shape.height, text, va="center", **style)

    return draw(f"freshness-{shape.width}", f"{_TITLE}: {_SAYS}", paint, shape)
