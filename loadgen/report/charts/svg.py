"""Charts as SVG, from what matplotlib writes: inside the report's page, and as files. Pure.

A drawing has the light colours. In the page they become the page's CSS variables; a file has its
paper and the dark colours too. Text stays text, in the page's font.
"""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from loadgen.report.charts.palette import LIGHT, PLAIN, Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 344, 250  # points; a phone shows it at this size, a page a little larger
TEXT_SIZE, TITLE_SIZE = 11, 12.5
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_GUTTER, _EDGE = 16, 12  # between the panels of a sheet, and around them
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": TEXT_SIZE,
    "text.color": LIGHT["ink"],
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.edgecolor": LIGHT["muted"],
    "axes.linewidth": 0.8,
    "axes.spines.left": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": LIGHT["rule"],
    "grid.linewidth": 0.6,
    "xtick.color": LIGHT["muted"],
    "xtick.labelcolor": LIGHT["muted"],
    "xtick.labelsize": TEXT_SIZE,
    "xtick.major.size": 3,
    "xtick.minor.size": 0,
    "ytick.color": LIGHT["muted"],
    "ytick.labelcolor": LIGHT["muted"],
    "ytick.labelsize": TEXT_SIZE,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}


@dataclass(frozen=True, slots=True)
class Shape:
    """A chart's size in points, and where its axes are: left, bottom, width, height in shares."""

    width: int = WIDTH
    height: int = HEIGHT
    place: tuple[float, float, float, float] = (0.135, 0.11, 0.67, 0.58)


@dataclass(frozen=True, slots=True)
class Drawing:
    """One chart; its name is unique in a report, its description is its text for screen readers."""

    name: str
    description: str
    body: str
    shape: Shape = Shape()
    palette: Palette = PLAIN

    def inline(self) -> str:
        """Return the drawing for a page that has the colours as CSS variables."""
        root = _root(self.body, self.description, self.shape.width, self.shape.height)
        return self.palette.themed(root)


def draw(
    name: str,
    description: str,
    paint: Callable[["Figure", "Axes"], None],
    shape: Shape = Shape(),
    palette: Palette = PLAIN,
) -> Drawing:
    """Return what `paint` paints on empty axes."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second, only where charts are drawn
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - as above
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(shape.width / 72, shape.height / 72))
        FigureCanvasSVG(figure)
        paint(figure, figure.add_axes(shape.place))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=_NO_METADATA)
    return Drawing(name, description, _plain(buffer.getvalue(), name), shape, palette)


def sheet(drawings: Sequence[Drawing], columns: int = 2) -> str:
    """Return drawings side by side as an SVG file, on its own paper, light and dark.

    All have the size and the palette of the first.
    """
    across, down = min(columns, len(drawings)), -(-len(drawings) // columns)
    shape = drawings[0].shape
    width = across * shape.width + (across - 1) * _GUTTER + 2 * _EDGE
    height = down * shape.height + (down - 1) * _GUTTER + 2 * _EDGE
    panels = []
    for i, drawing in enumerate(drawings):
        x = _EDGE + i % columns * (shape.width + _GUTTER)
        y = _EDGE + i // columns * (shape.height + _GUTTER)
        panels.append(f'<g transform="translate({x} {y})">{drawing.body}</g>')
    dark = drawings[0].palette.dark_overrides()
    style = f"<style>text {{ font-family: {FONT}; }} {dark}</style>"
    paper = f'<rect width="100%" height="100%" style="fill: {LIGHT["paper"]}"/>'
    description = " ".join(drawing.description for drawing in drawings)
    return _root(style + paper + "\n".join(panels), description, width, height, sized=True) + "\n"


def _plain(svg: str, name: str) -> str:
    """Return the drawing's elements without what only a drawing program wants."""
    body = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)  # not referred to, and the same in each drawing
    prefix = re.sub(r"[^\w-]", "-", name)
    body = re.sub(r'(?<= id=")|(?<=url\(#)|(?<=href="#)', f"{prefix}-", body)
    body = re.sub(r"font-family: [^;\"]*; ?", "", body)
    body = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", body)
    return re.sub(r"\s*\n\s*", "\n", body).strip()


def _root(body: str, description: str, width: int, height: int, *, sized: bool = False) -> str:
    size = f'width="{width}" height="{height}" ' if sized else ""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{size}viewBox="0 0 {width} {height}" role="img" aria-label="{escape(description)}">'
        f"{body}</svg>"
    )
