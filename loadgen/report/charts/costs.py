"""The charts of costs: a month's price by volume, by event size and by number of busy rows.

Each line is a vendor. If part of its price is not published, the shade reaches from the published
part to the bound. Both axes are logarithmic, and prices up to a dollar lie on the floor. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import sqrt
from typing import TYPE_CHECKING, Any, Final

from loadgen import text
from loadgen.record.costs import PriceCurve, Projection, short_vendor
from loadgen.report.charts.load import End, draw_heading, name_ends
from loadgen.report.charts.palette import LIGHT, apart
from loadgen.report.charts.svg import Drawing, Shape, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL: Final = Shape(place=(0.15, 0.12, 0.58, 0.54))
TALL: Final = Shape(344, 340, (0.15, 0.08, 0.58, 0.66))
WIDE: Final = Shape(824, 400, (0.07, 0.08, 0.79, 0.755))
_FLOOR: Final = 1.0  # dollars
_MOST_DOTS: Final = 12
_BENDS: Final = Decimal("1.05")  # a curve with less rise than this shows nothing
_TOP: Final = 2.0  # room above the highest


@dataclass(frozen=True, slots=True)
class CostCurve:
    """One chart: its texts, its x axis, and each vendor's (least, most) at each x."""

    name: str
    title: str
    subtitle: str
    unit: str
    x: Sequence[float]
    vendors: Mapping[str, Sequence[tuple[Decimal, Decimal | None]]]
    mark: tuple[float, str] | None = None  # x and label of this run
    dots: Sequence[tuple[float, float]] = ()  # points at which the cheapest vendor changes


def curves_of(projection: Projection) -> list[CostCurve]:
    """Return the curves of a projection: the price by volume, then by two what-ifs."""
    curves, usage = projection.curves, projection.usage
    if curves is None or usage is None:
        return []
    dots = [
        (entry.from_changes, min(float(point.least) for point in entry.at_from))
        for entry in projection.cheapest[1:]
    ]
    names = projection.vendors
    width = [
        CostCurve(
            "event-bytes",
            "As events grow wider",
            "At this run's rate: who charges by byte, charges for width.",
            "bytes",
            curve.x,
            _points(curve, names),
            None if projection.event_bytes is None else (projection.event_bytes, "this run"),
        )
        for curve in (curves.event_bytes,)
        if curve
    ]
    return [
        CostCurve(
            "changes",
            "What a month costs as the volume grows",
            "Same mix as this run. Shaded: between what is priced and its bound.",
            "changes",
            curves.changes.x,
            _points(curves.changes, names),
            (usage.month.changes, "this run"),
            dots if len(dots) <= _MOST_DOTS else [],
        ),
        *width,
        CostCurve(
            "hot-rows",
            "As updates spread over more rows",
            "If this run's updates returned to so many busy rows.",
            "rows",
            curves.hot_rows.x,
            _points(curves.hot_rows, names),
        ),
    ]


def _points(
    curve: PriceCurve, names: Mapping[str, str]
) -> dict[str, list[tuple[Decimal, Decimal | None]]]:
    return {
        short_vendor(names[name]): [(point.least, point.most) for point in points]
        for name, points in curve.vendors.items()
    }


def bends(curve: CostCurve) -> bool:
    """Return whether a price rises enough over the curve to be worth showing."""
    bounds = [
        [low if high is None else high for low, high in points] for points in curve.vendors.values()
    ]
    return any(max(prices) > _BENDS * min(prices) for prices in bounds)


def draw_curve(curve: CostCurve, shape: Shape) -> Drawing:
    """Return the drawing of a curve."""

    def paint(figure: "Figure", axes: "Axes") -> None:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(curve.x[0], curve.x[-1])
        axes.set_ylim(_FLOOR, _TOP * _highest(curve))
        ends = [
            _vendor(axes, curve, name, LIGHT[color])
            for name, color in zip(curve.vendors, apart(len(curve.vendors)), strict=True)
        ]
        _mark(axes, curve)
        _ticks(axes, curve.unit)
        name_ends(axes, ends)
        draw_heading(figure, shape, curve.title, curve.subtitle, "$ a month, log scale")
        muted: dict[str, Any] = {"color": LIGHT["muted"]}
        axes.text(1.05, -0.035, curve.unit, transform=axes.transAxes, va="top", **muted)

    name = f"cost-{curve.name}-{shape.width}"
    return draw(name, f"{curve.title}: {curve.subtitle}", paint, shape)


def _highest(curve: CostCurve) -> float:
    points = [point for vendor in curve.vendors.values() for point in vendor]
    return max([100.0, *(float(least if most is None else most) for least, most in points)])


def _vendor(axes: "Axes", curve: CostCurve, name: str, color: str) -> End:
    points = curve.vendors[name]
    least = [max(_FLOOR, float(low)) for low, _ in points]
    most = [max(_FLOOR, float(low if high is None else high)) for low, high in points]
    known = [low == high for low, high in points]
    if not all(known):
        first = max(0, known.index(False) - 1)
        x = curve.x[first:]
        axes.fill_between(x, least[first:], most[first:], color=color, alpha=0.13, linewidth=0)
        for bound in (least, most):
            axes.plot(x, bound[first:], color=color, linewidth=0.8, linestyle=(0, (2, 2)))
    line = [price if sure else float("nan") for price, sure in zip(least, known, strict=True)]
    axes.plot(curve.x, line, color=color, linewidth=1.8, solid_capstyle="round")
    return sqrt(least[-1] * most[-1]), name, color


def _mark(axes: "Axes", curve: CostCurve) -> None:
    for x, y in curve.dots:
        style: dict[str, Any] = {"markersize": 4.2, "mew": 1.1, "zorder": 5}
        axes.plot([x], [max(_FLOOR, y)], "o", mfc=LIGHT["paper"], mec=LIGHT["ink"], **style)
    if curve.mark is None or not curve.x[0] <= curve.mark[0] <= curve.x[-1]:
        return
    at, label = curve.mark
    axes.axvline(at, color=LIGHT["muted"], linewidth=0.8, linestyle=(0, (1, 1.6)))
    right = at > sqrt(curve.x[0] * curve.x[-1])
    axes.text(
        at, 1.015, f"{label} " if right else f" {label}", transform=axes.get_xaxis_transform(),
        ha="right" if right else "left", color=LIGHT["muted"],
    )  # fmt: skip


def _ticks(axes: "Axes", unit: str) -> None:
    from matplotlib.ticker import (  # noqa: PLC0415 - as in svg.draw
        FuncFormatter,
        LogLocator,
        NullLocator,
    )

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(numticks=7))
        axis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda dollars, _: _price(dollars)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _short(x, unit)))


def _price(dollars: float) -> str:
    return "\N{LESS-THAN OR EQUAL TO}$1" if dollars <= _FLOOR else f"${_short(dollars, '')}"


def _short(number: float, unit: str) -> str:
    if unit == "bytes":
        return text.gigabytes(Decimal(number))
    for scale, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= scale:
            return f"{number / scale:g}{letter}"
    return f"{number:g}"
