"""The chart of each local tool's first copy: the rows a second, from start to end. Pure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from loadgen import text
from loadgen.record.verify import InitialSync
from loadgen.report.charts.load import draw_heading
from loadgen.report.charts.palette import LIGHT
from loadgen.report.charts.svg import Drawing, Shape, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW: Final = 38  # points
_TITLE: Final = "How fast each first copy was"
_SENTENCE: Final = "Rows a second, from the tool's start until its copy had the whole baseline."
# The widths of the chart for a wide page and a narrow one, with the room at its left and right.
_MARGINS: Final = {824: (150, 230), 344: (4, 12)}
FIRST_COPY_WIDTHS: Final = tuple(_MARGINS)


def draw_first_copies(copies: Mapping[str, InitialSync], width: int) -> Drawing:
    """Draw a bar for each tool, the fastest first."""
    rows = sorted(copies.items(), key=lambda copy: -copy[1].rows_per_second)
    most = max(copy.rows_per_second for copy in copies.values()) or 1.0
    narrow = width < 400  # names and figures then stand above the bars
    left, right = _MARGINS[width]
    top, bottom = (73 if narrow else 58), 22
    height = top + bottom + _ROW * len(rows)
    place = (left / width, bottom / height, (width - left - right) / width)
    shape = Shape(width, height, (*place, _ROW * len(rows) / height))

    def paint(figure: "Figure", axes: "Axes") -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator  # noqa: PLC0415 - as in svg.draw

        axes.set_xlim(0, 1.04 * most)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks([])
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(3 if narrow else 5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda speed, _: text.count(round(speed))))
        beside = axes.get_yaxis_transform()
        edge = -left / (width - left - right)
        for line, (name, copy) in enumerate(rows):
            speed, shift = copy.rows_per_second, 0.2 if narrow else 0.0
            note = f"{text.plural(copy.rows, 'row')} in {text.duration(copy.seconds)}"
            if not narrow:
                note = f"{text.count(round(speed))} a second ({note})"
            axes.text(edge, line - 1.2 * shift, name, transform=beside, va="center", weight="bold")
            axes.barh(line + shift, speed, 0.3, color=LIGHT["blue"], alpha=0.75)
            at, side = (1.0, "right") if narrow else (1.02, "left")
            axes.text(at, line - 1.2 * shift, note, transform=beside, va="center", ha=side,
                      color=LIGHT["muted"])  # fmt: skip
        draw_heading(figure, shape, _TITLE, _SENTENCE, "rows a second")

    return draw(f"first-copy-{width}", f"{_TITLE}: {_SENTENCE}", paint, shape)
