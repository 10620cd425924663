"""The report's charts, one an operation: rates against the target, latency, what was not done.

House style: no frame, hairline grid, the operation's name in its colour, a sentence that says what
is to be seen, units at the axes, lines named where they end. Pure: values in, drawings out.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from loadgen import text
from loadgen.report.analysis.downsample import Span, Step
from loadgen.report.charts.palette import LIGHT, color_name
from loadgen.report.charts.svg import Drawing, draw
from loadgen.workload.operations import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAME_GAP = 0.085  # between two names at the ends of lines, as a share of the axes' height
_MOST_NUMBERED_MARKS = 12
_FEW_POINTS = 40  # a line through fewer shows its points
_TIME_UNITS = ((10800, 3600, "hours"), (180, 60, "minutes"), (0, 1, "seconds"))
_HOUR_STEPS = (0.5, 1, 2, 3, 4, 6, 8, 12, 24, 48)
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 60)
_DASHES = (0, (3, 2.2))

End = tuple[float, str, str]  # a line's last value, its name, its colour


@dataclass(frozen=True, slots=True)
class Mark:
    """Something of the journal on the time axis; `label` is its number there."""

    seconds: float
    label: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What the charts of a run share: the length of the time axis (seconds), and its marks."""

    length: float
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class ChartTitle:
    """What stands above a chart: the operation, and in a sentence what is to be seen."""

    operation: str
    says: str

    @property
    def color(self) -> str:
        """The operation's colour."""
        return LIGHT[color_name(self.operation)]


def rate_unit(per_second: float) -> tuple[float, str]:
    """Return the seconds and the name of the unit in which a rate is a number people read."""
    if per_second >= 1:
        return 1, "per second"
    return (60, "per minute") if per_second >= 1 / 6 else (3600, "per hour")


def draw_rates(title: ChartTitle, spans: Sequence[Span], frame: Frame) -> Drawing:
    """Draw what was offered and committed beside the target, in a unit that suits the target."""
    seconds, unit = rate_unit(max(span.target for span in spans))
    color, ink = title.color, LIGHT["ink"]
    edges = [spans[0].begin, *(span.end for span in spans)]
    target, offered, committed, least, most = (
        [getattr(span, name) * seconds for span in spans]
        for name in ("target", "offered", "committed", "least", "most")
    )

    def paint(axes: "Axes") -> None:
        axes.stairs(committed, edges, fill=True, color=color, alpha=0.16, linewidth=0)
        if least != most:
            axes.stairs(most, edges, baseline=least, fill=True, color=color, alpha=0.3, linewidth=0)
        axes.stairs(offered, edges, color=LIGHT["muted"], linewidth=1.0, baseline=None)
        axes.stairs(committed, edges, color=color, linewidth=1.5, baseline=None)
        axes.stairs(target, edges, color=ink, linewidth=1.0, linestyle=_DASHES, baseline=None)
        axes.set_ylim(0, 1.15 * max([*most, *target, *offered, 1e-9]))
        _plain_ticks(axes)
        name_ends(axes, _three_ends(target[-1], offered[-1], committed[-1], color))

    return _chart("rate", unit, title, frame, paint)


def draw_steps(title: ChartTitle, steps: Sequence[Step], frame: Frame) -> Drawing:
    """Draw counts so far beside those asked for: of few arrivals a rate would show chance."""
    color, ink = title.color, LIGHT["ink"]
    at, last = [step.at for step in steps], steps[-1]
    asked, offered, committed = (
        [getattr(step, name) for step in steps] for name in ("asked", "offered", "committed")
    )

    def paint(axes: "Axes") -> None:
        shape: dict[str, Any] = {"step": "post", "color": color, "alpha": 0.16, "linewidth": 0}
        axes.fill_between(at, committed, **shape)
        axes.step(at, offered, where="post", color=LIGHT["muted"], linewidth=1.0)
        axes.step(at, committed, where="post", color=color, linewidth=1.5)
        axes.plot(at, asked, color=ink, linewidth=1.0, linestyle=_DASHES)
        axes.set_ylim(0, 1.15 * max(last.asked, last.offered, 1))
        _plain_ticks(axes, whole=True)
        ends = _three_ends(last.asked, last.offered, last.committed, color, target="asked")
        name_ends(axes, ends)

    return _chart("rate", "arrivals so far", title, frame, paint)


def draw_latency(
    title: ChartTitle, spans: Sequence[Span], frame: Frame, limits: tuple[float, float]
) -> Drawing:
    """Draw p95 of service and of intended latency; the shade reaches up to the worst sample's."""
    color, muted = title.color, LIGHT["muted"]
    times = [(span.begin + span.end) / 2 for span in spans]
    service, worst_service, intended, worst = (
        [math.nan if value is None else value for value in values]
        for values in (
            [span.service for span in spans],
            [span.worst_service for span in spans],
            [span.intended for span in spans],
            [span.worst_intended for span in spans],
        )
    )

    def paint(axes: "Axes") -> None:
        axes.set_yscale("log")
        axes.set_ylim(limits[0] / 1.5, limits[1] * 1.8)
        axes.fill_between(times, service, worst_service, color=muted, alpha=0.25, linewidth=0)
        axes.fill_between(times, intended, worst, color=color, alpha=0.3, linewidth=0)
        for values, line_color, width in ((service, muted, 1.0), (intended, color, 1.5)):
            axes.plot(times, values, color=line_color, linewidth=width)
            axes.plot(times, _dots(values), "o", color=line_color, markersize=2.2, mew=0)
        latency_ticks(axes)
        ends = [(_last(service), "service", muted), (_last(intended), "intended", color)]
        name_ends(axes, ends)

    return _chart("latency", "p95, log scale", title, frame, paint)


def latency_limits(series: Sequence[Sequence[Span]]) -> tuple[float, float] | None:
    """Return the least and the greatest latency of all charts, so that they share one scale."""
    found = [
        value
        for spans in series
        for s in spans
        for value in (s.service, s.worst_service, s.intended, s.worst_intended)
        if value
    ]
    return (min(found), max(found)) if found else None


def draw_undone(title: ChartTitle, spans: Sequence[Span], frame: Frame) -> Drawing:
    """Draw how many arrivals were skipped and how many writes failed, a bar a span."""
    edges = [spans[0].begin, *(span.end for span in spans)]
    skipped = [span.skipped for span in spans]
    both = [span.skipped + span.failed for span in spans]
    widths = sorted(span.end - span.begin for span in spans)
    width = text.duration(max(1, round(widths[len(widths) // 2])))
    bad, warn = LIGHT["bad"], LIGHT["warn"]

    def paint(axes: "Axes") -> None:
        # Outlined in their own colour, as a bar of one span in 160 is thinner than a hairline.
        shape: dict[str, Any] = {"fill": True, "linewidth": 0.7}
        names: list[End] = []
        if any(span.failed for span in spans):
            axes.stairs(both, edges, baseline=skipped, fc=bad, ec=bad, **shape)
            names.append((both[-1], "failed", bad))
        if any(skipped):
            axes.stairs(skipped, edges, fc=warn, ec=warn, **shape)
            names.append((skipped[-1], "skipped", warn))
        axes.set_ylim(0, 1.15 * max([*both, 1]))
        _plain_ticks(axes, whole=True)
        name_ends(axes, names)

    return _chart("undone", f"arrivals in {width}", title, frame, paint)


def _chart(
    kind: str, unit: str, title: ChartTitle, frame: Frame, paint: Callable[["Axes"], None]
) -> Drawing:
    operation, muted = label(title.operation), LIGHT["muted"]

    def whole(figure: "Figure", axes: "Axes") -> None:
        paint(axes)
        time_axis(axes, frame)
        figure.text(0.005, 0.955, operation, color=title.color, weight="bold", size=12, va="center")
        figure.text(0.005, 0.875, title.says, size=10.5, va="center")
        figure.text(0.005, 0.785, unit, color=muted, size=9.5, va="center")

    return draw(f"{kind}-{title.operation}", f"{operation}: {title.says}", whole)


def time_axis(axes: "Axes", frame: Frame) -> None:
    """Make the axis one of time, with the journal's marks."""
    seconds, unit = next((s, unit) for least, s, unit in _TIME_UNITS if frame.length >= least)
    axes.set_xlim(0, frame.length)
    step = _round_step(frame.length / seconds / 6, _HOUR_STEPS if unit == "hours" else _STEPS)
    ticks = [i * step for i in range(int(frame.length / seconds / step * 1.0001) + 1)]
    axes.set_xticks([tick * seconds for tick in ticks], [text.quantity(tick) for tick in ticks])
    style: dict[str, Any] = {"color": LIGHT["muted"], "size": 9.5}
    axes.text(1.045, -0.035, unit, transform=axes.transAxes, va="top", **style)
    marks = [mark for mark in frame.marks if 0 <= mark.seconds <= frame.length]
    for mark in marks:
        axes.axvline(mark.seconds, color=LIGHT["muted"], linewidth=0.7, linestyle=(0, (1, 1.6)))
        if len(marks) <= _MOST_NUMBERED_MARKS:
            place = axes.get_xaxis_transform()
            axes.text(mark.seconds, 1.01, mark.label, transform=place, ha="center", **style)


def _round_step(least: float, steps: Sequence[float]) -> float:
    """Return the next step that reads well on an axis of time, in the axis' unit."""
    return next((step for step in steps if step >= least), 24 * math.ceil(least / 24))


def _plain_ticks(axes: "Axes", *, whole: bool = False) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator  # noqa: PLC0415 - as in svg.draw

    steps = [1, 2, 5, 10] if whole else [1, 2, 2.5, 5, 10]
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=whole, steps=steps, min_n_ticks=2))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text.quantity(value)))


def latency_ticks(axes: "Axes") -> None:
    """Make the other axis one of times, on a log scale."""
    from matplotlib.ticker import (  # noqa: PLC0415 - as in svg.draw
        FuncFormatter,
        LogLocator,
        NullLocator,
    )

    low, high = axes.get_ylim()
    subs = (1.0,) if high > 100 * low else (1.0, 3.0) if high > 20 * low else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=9))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text.latency(value)))


def _three_ends(
    asked: float, offered: float, committed: float, color: str, target: str = "target"
) -> list[End]:
    muted, ink = LIGHT["muted"], LIGHT["ink"]
    return [(committed, "committed", color), (offered, "offered", muted), (asked, target, ink)]


def name_ends(axes: "Axes", ends: Sequence[End]) -> None:
    """Write each line's name where it ends, kept apart where they end together."""
    to_share = axes.transAxes.inverted()
    heights = [
        float(to_share.transform(axes.transData.transform((0, value)))[1])
        for value, _, _ in ends
        if math.isfinite(value)
    ]
    named = [end for end in ends if math.isfinite(end[0])]
    # Equal heights keep the order in which they were given, the first lowest.
    order = sorted(range(len(named)), key=lambda i: round(heights[i] / _NAME_GAP))
    for i, height in zip(order, _apart([heights[i] for i in order]), strict=True):
        _, name, color = named[i]
        axes.text(1.02, height, name, transform=axes.transAxes, color=color, size=10, va="center")


def _apart(heights: Sequence[float]) -> list[float]:
    """Move rising heights as little as puts them a gap apart, within the axes."""
    blocks: list[list[float]] = []  # neighbours that would overlap, less the gaps below each
    for i, height in enumerate(heights):
        blocks.append([height - i * _NAME_GAP])
        while len(blocks) > 1 and fmean(blocks[-2]) > fmean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    room = 1.0 - (len(heights) - 1) * _NAME_GAP
    bases = [min(max(fmean(block), 0.03), room) for block in blocks for _ in block]
    return [base + i * _NAME_GAP for i, base in enumerate(bases)]


def _dots(values: Sequence[float]) -> list[float]:
    """Return the values that need a dot: all where they are few, else those without neighbours."""
    if sum(map(math.isfinite, values)) <= _FEW_POINTS:
        return list(values)
    padded = [math.nan, *values, math.nan]
    alone = [
        math.isnan(before) and math.isnan(after)
        for before, after in zip(padded, padded[2:], strict=False)
    ]
    return [value if lone else math.nan for value, lone in zip(values, alone, strict=True)]


def _last(values: Sequence[float]) -> float:
    return next((value for value in reversed(values) if math.isfinite(value)), math.nan)
