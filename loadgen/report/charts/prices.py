"""The chart of a month's price by tool under test, and by vendors that did not run. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loadgen import text
from loadgen.record.costs import PricedMonth, Projection, short_vendor
from loadgen.report.analysis.tool_summary import INFRASTRUCTURE_CARD, ToolSummary
from loadgen.report.charts.load import draw_heading
from loadgen.report.charts.palette import LIGHT
from loadgen.report.charts.svg import Drawing, Shape, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW: Final = 22  # points
_MOST_VENDORS: Final = 5
_TITLE: Final = "Price of a month at this run's rate"
_SENTENCE: Final = "Dot: the list price. Bar: from the least to the most that it can be."
# The widths of the chart for a wide page and a narrow one, with the room at its left and right.
_MARGINS: Final = {824: (150, 170), 344: (94, 112)}
PRICE_WIDTHS: Final = tuple(_MARGINS)


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One line of the chart; without a price it has only its note. A group begins with a heading.

    Prices are dollars; `most` is None if there is no bound.
    """

    group: str
    name: str
    least: float | None = None
    likely: float | None = None
    most: float | None = None
    note: str = ""


def price_rows(tools: Sequence[ToolSummary], projection: Projection) -> list[PriceRow]:
    """Return the tools under test, then the cheapest plan of each vendor that did not run.

    SimplyLoad's machines stand apart: their cost is not its price.
    """
    rows = []
    run_here: set[str] = set()
    for tool in tools:
        month = tool.cost.priced_month if tool.cost else None
        if month is None:
            rows.append(PriceRow("Under test", tool.name, note=text.NOT_PRICED))
            continue
        run_here.add(month.card)
        group = "Machines alone, no price" if month.card == INFRASTRUCTURE_CARD else "Under test"
        rows.append(_row(group, tool.name, month))
    others: dict[str, PricedMonth] = {}
    for month in projection.months:
        if month.card not in run_here and not month.former:
            others[month.card] = min(others.get(month.card, month), month, key=_least)
    vendors = [month for month in others.values() if month.card != INFRASTRUCTURE_CARD]
    vendors = sorted(vendors, key=_least)[:_MOST_VENDORS]
    rows += [_row("Did not run here", short_vendor(month.vendor), month) for month in vendors]
    if machines := others.get(INFRASTRUCTURE_CARD):
        name = short_vendor(machines.vendor)
        rows.append(_row("Machines alone, no price", name, machines))
    return sorted(rows, key=lambda row: _GROUPS.index(row.group))


_GROUPS: Final = ("Under test", "Did not run here", "Machines alone, no price")


def _least(month: PricedMonth) -> float:
    return float(month.least)


def _row(group: str, name: str, month: PricedMonth) -> PriceRow:
    if month.amount is None:
        most = None if month.most is None else float(month.most)
        note = text.dollar_range(month.least, month.most)
        return PriceRow(group, name, float(month.least), None, most, f"{note} ({month.grade})")
    low, high = (month.amount if bound is None else bound for bound in (month.low, month.high))
    likely = float(month.amount)
    note = f"{text.dollars(month.amount)} ({month.grade})"
    return PriceRow(group, name, float(low), likely, float(high), note)


def draw_prices(rows: Sequence[PriceRow], width: int) -> Drawing:
    """Draw the prices as dots on bars, on a scale of logarithms."""
    lines: list[PriceRow | str] = []
    for row in rows:
        if not any(isinstance(line, PriceRow) and line.group == row.group for line in lines):
            lines.append(row.group)
        lines.append(row)
    left, right = _MARGINS[width]
    top, bottom = (58 if width > 400 else 73), 22
    height = top + bottom + _ROW * len(lines)
    place = (left / width, bottom / height, (width - left - right) / width)
    shape = Shape(width, height, (*place, _ROW * len(lines) / height))

    def paint(figure: "Figure", axes: "Axes") -> None:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator  # noqa: PLC0415 - slow

        prices = [p for row in rows for p in (row.least, row.likely, row.most) if p]
        axes.set_xscale("log")
        axes.set_xlim(max(1.0, min(prices, default=1.0)) / 1.6, max([*prices, 10.0]) * 1.6)
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.set_yticks([])
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda dollars, _: _short(dollars)))
        for place, line in enumerate(lines):
            _paint_line(axes, place, line, -left / (width - left - right))
        draw_heading(figure, shape, _TITLE, _SENTENCE, "dollars, log scale")

    return draw(f"prices-{width}", f"{_TITLE}: {_SENTENCE}", paint, shape)


def _short(dollars: float) -> str:
    return f"${dollars / 1000:g}k" if dollars >= 1000 else f"${dollars:g}"


def _paint_line(axes: "Axes", place: int, line: "PriceRow | str", left: float) -> None:
    """Paint a group's heading, or the name, the bar and the note of a row."""
    beside = axes.get_yaxis_transform()
    if isinstance(line, str):
        axes.text(left, place + 0.12, line, transform=beside, color=LIGHT["muted"], va="center")
        return
    tested = line.group == "Under test"
    color = LIGHT["amber"] if tested else LIGHT["muted"]
    weight = "bold" if tested else "normal"
    axes.text(left, place, line.name, transform=beside, va="center", weight=weight)
    axes.text(1.03, place, line.note, transform=beside, va="center", color=LIGHT["muted"])
    if line.least is None:
        return
    high = line.most if line.most is not None else axes.get_xlim()[1]
    axes.plot([max(line.least, 1.0), max(high, 1.0)], [place, place], color=color, linewidth=5,
              alpha=0.35, solid_capstyle="butt")  # fmt: skip
    if line.likely is not None:
        axes.plot([max(line.likely, 1.0)], [place], "o", color=color, markersize=6)
