"""The report's charts of the load: for each operation its rates, latency, and unwritten arrivals.

House style: no frame, hairline grid, the operation's name in its colour, a sentence that says what
the chart shows, units at the axes, each line's name at its end. Pure.
"""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from loadgen import text
from loadgen.report.analysis.intervals import (
    FEW_ARRIVALS,
    RunningTotal,
    Span,
    downsample,
    running_totals,
)
from loadgen.report.analysis.run import Facts, OperationSummary, shown_events
from loadgen.report.charts.palette import LIGHT, Palette, of_operations
from loadgen.report.charts.svg import TITLE_SIZE, Drawing, Shape, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_BARS = 80
_NAME_GAP = 0.1  # between two names at the ends of lines, as a share of the axes' height
_MOST_NUMBERED_MARKS = 12
_LETTER_WIDTH = 5.7  # points, on average
_FEW_POINTS = 40  # a line through fewer shows its points
_TIME_UNITS = ((10800, 3600, "hours"), (180, 60, "minutes"), (0, 1, "seconds"))
_HOUR_STEPS = (0.5, 1, 2, 3, 4, 6, 8, 12, 24, 48)
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 60)
_DASHES = (0, (3, 2.2))

End = tuple[float, str, str]  # a line's last value, its name, its colour


@dataclass(frozen=True, slots=True)
class ChartList:
    """The charts of a report, in three groups; a group without anything to show is empty."""

    rates: tuple[Drawing, ...]
    latency: tuple[Drawing, ...]
    unwritten: tuple[Drawing, ...]

    def files(self) -> dict[str, tuple[Drawing, ...]]:
        """Return the groups that have charts, by the name of the file that holds them."""
        groups = {"rates": self.rates, "latency": self.latency, "undone": self.unwritten}
        return {name: drawings for name, drawings in groups.items() if drawings}


@dataclass(frozen=True, slots=True)
class Mark:
    """An event of the journal on the time axis; `label` is its number there."""

    seconds: float
    label: str


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """The time axis that all charts of a run share: its length in seconds, and its marks."""

    length: float
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class ChartTitle:
    """The operation above a chart, and the sentence that says what the chart shows."""

    operation: str
    label: str
    sentence: str
    palette: Palette

    @classmethod
    def of(cls, facts: Facts, operation: str, sentence: str) -> "ChartTitle":
        """Return the title of a chart of one of the run's operations."""
        palette = of_operations(facts.workload)
        return cls(operation, facts.label(operation), sentence, palette)

    @property
    def color(self) -> str:
        """The operation's colour."""
        return self.palette.of(self.operation)


def charts(facts: Facts) -> ChartList:
    """Return the charts of a run."""
    spans = {name: downsample(intervals) for name, intervals in facts.intervals.items()}
    axis = _axis(facts, spans)
    shown = [operation for operation in facts.operations if spans.get(operation.name)]
    return ChartList(
        rates=tuple(
            _rates(facts, operation, spans[operation.name], axis)
            for operation in shown
            if operation.totals.offered
        ),
        latency=_latency(facts, axis),
        unwritten=tuple(
            _unwritten(facts, operation, axis)
            for operation in shown
            if operation.totals.skipped or operation.totals.failed
        ),
    )


def _axis(facts: Facts, spans: Mapping[str, Sequence[Span]]) -> TimeAxis:
    start = facts.start
    marks = tuple(
        Mark((event.at - start).total_seconds(), str(number))
        for number, event in shown_events(facts.run)
        if start is not None
    )
    return TimeAxis(max((line[-1].end for line in spans.values() if line), default=0.0), marks)


def _rates(
    facts: Facts, operation: OperationSummary, spans: Sequence[Span], axis: TimeAxis
) -> Drawing:
    title = ChartTitle.of(facts, operation.name, _rates_sentence(operation))
    if (operation.planned or operation.totals.offered) < FEW_ARRIVALS:
        return draw_running_totals(title, running_totals(facts.intervals[operation.name]), axis)
    return draw_rates(title, spans, axis)


def _latency(facts: Facts, axis: TimeAxis) -> tuple[Drawing, ...]:
    spans = {
        operation.name: downsample(facts.intervals[operation.name], smooth=False)
        for operation in facts.operations
        if operation.name in facts.intervals
    }
    timed = {name: line for name, line in spans.items() if any(span.intended for span in line)}
    limits = latency_limits(list(timed.values()))
    if limits is None:
        return ()
    return tuple(
        draw_latency(ChartTitle.of(facts, name, _latency_sentence(facts, name)), line, axis, limits)
        for name, line in timed.items()
    )


def _unwritten(facts: Facts, operation: OperationSummary, axis: TimeAxis) -> Drawing:
    intervals = facts.intervals[operation.name]
    seconds = sum(i.seconds for i in intervals if i.skipped or i.failed)
    counts = [f"{text.count(number)} {name}" for name, number in _skipped_and_failed(operation)]
    duration = text.duration(max(1, round(seconds)))
    sentence = f"{text.listed(counts)}, within {duration} of the run."
    title = ChartTitle.of(facts, operation.name, sentence)
    return draw_unwritten(title, downsample(intervals, _MOST_BARS, smooth=False), axis)


def _rates_sentence(operation: OperationSummary) -> str:
    committed, offered = operation.totals.committed, operation.totals.offered
    if committed == offered == 1:
        return "The one arrival was committed."
    if committed == offered:
        return f"All {text.count(offered)} arrivals were committed."

    def part(number: int) -> str:
        return text.count(number) if offered < FEW_ARRIVALS else text.share(number, offered)

    rest = [f"{part(number)} {name}" for name, number in _skipped_and_failed(operation)]
    ending = f"; {', '.join(rest)}" if rest else ""
    return f"{part(committed)} of {text.plural(offered, 'arrival')} were committed{ending}."


def _skipped_and_failed(operation: OperationSummary) -> list[tuple[str, int]]:
    counts = (("skipped", operation.totals.skipped), ("failed", operation.totals.failed))
    return [(name, number) for name, number in counts if number]


def _latency_sentence(facts: Facts, operation: str) -> str:
    latency = facts.run.latency.get(operation)
    if latency is None or latency.service.p95 is None:
        return "p95 of each sample; the run has no end yet."
    service, intended = text.latency(latency.service.p95), text.latency(latency.intended.p95)
    return f"95% of writes took {service} from sending, {intended} from their due time."


def rate_unit(per_second: float) -> tuple[float, str]:
    """Return the seconds and the name of the unit in which a rate is a number people read."""
    if per_second >= 1:
        return 1, "per second"
    return (60, "per minute") if per_second >= 1 / 6 else (3600, "per hour")


def draw_rates(title: ChartTitle, spans: Sequence[Span], axis: TimeAxis) -> Drawing:
    """Draw the offered and committed rates beside the target, in a unit that suits the target."""
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

    return _chart("rate", unit, title, axis, paint)


def draw_running_totals(
    title: ChartTitle, totals: Sequence[RunningTotal], axis: TimeAxis
) -> Drawing:
    """Draw counts so far beside the plan; a rate of few arrivals would show chance."""
    color, ink = title.color, LIGHT["ink"]
    at, last = [total.at for total in totals], totals[-1]
    planned, offered, committed = (
        [getattr(total, name) for total in totals] for name in ("planned", "offered", "committed")
    )

    def paint(axes: "Axes") -> None:
        shape: dict[str, Any] = {"step": "post", "color": color, "alpha": 0.16, "linewidth": 0}
        axes.fill_between(at, committed, **shape)
        axes.step(at, offered, where="post", color=LIGHT["muted"], linewidth=1.0)
        axes.step(at, committed, where="post", color=color, linewidth=1.5)
        axes.plot(at, planned, color=ink, linewidth=1.0, linestyle=_DASHES)
        axes.set_ylim(0, 1.15 * max(last.planned, last.offered, 1))
        _plain_ticks(axes, whole=True)
        ends = _three_ends(last.planned, last.offered, last.committed, color, target="planned")
        name_ends(axes, ends)

    return _chart("rate", "arrivals so far", title, axis, paint)


def draw_latency(
    title: ChartTitle, spans: Sequence[Span], axis: TimeAxis, limits: tuple[float, float]
) -> Drawing:
    """Draw p95 of service and of intended latency; the shade reaches up to the worst sample's."""
    color, muted = title.color, LIGHT["muted"]
    times = [(span.begin + span.end) / 2 for span in spans]
    service, worst_service, intended, worst = (
        [math.nan if (p95 := getattr(span, name)) is None else p95 for span in spans]
        for name in ("service", "worst_service", "intended", "worst_intended")
    )

    def paint(axes: "Axes") -> None:
        axes.set_yscale("log")
        axes.set_ylim(limits[0] / 1.5, limits[1] * 1.8)
        axes.fill_between(times, service, worst_service, color=muted, alpha=0.25, linewidth=0)
        axes.fill_between(times, intended, worst, color=color, alpha=0.3, linewidth=0)
        for line, line_color, width in ((service, muted, 1.0), (intended, color, 1.5)):
            axes.plot(times, line, color=line_color, linewidth=width)
            axes.plot(times, _dots(line), "o", color=line_color, markersize=2.2, mew=0)
        latency_ticks(axes)
        ends = [(_last(service), "service", muted), (_last(intended), "intended", color)]
        name_ends(axes, ends)

    return _chart("latency", "p95, log scale", title, axis, paint)


def latency_limits(series: Sequence[Sequence[Span]]) -> tuple[float, float] | None:
    """Return the least and the greatest latency of all charts, so that they share one scale."""
    latencies = [
        latency
        for spans in series
        for s in spans
        for latency in (s.service, s.worst_service, s.intended, s.worst_intended)
        if latency
    ]
    return (min(latencies), max(latencies)) if latencies else None


def draw_unwritten(title: ChartTitle, spans: Sequence[Span], axis: TimeAxis) -> Drawing:
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

    return _chart("undone", f"arrivals in {width}", title, axis, paint)


def _chart(
    kind: str, unit: str, title: ChartTitle, axis: TimeAxis, paint: Callable[["Axes"], None]
) -> Drawing:
    def whole(figure: "Figure", axes: "Axes") -> None:
        paint(axes)
        draw_time_axis(axes, axis)
        draw_heading(figure, Shape(), title.label, title.sentence, unit, title.color)

    name, description = f"{kind}-{title.operation}", f"{title.label}: {title.sentence}"
    return draw(name, description, whole, palette=title.palette)


def draw_heading(
    figure: "Figure", shape: Shape, title: str, sentence: str, unit: str, color: str = LIGHT["ink"]
) -> None:
    """Write a chart's title, the sentence below it, and the unit of its upright axis."""
    style: dict[str, Any] = {"va": "center"}
    figure.text(
        0.005, 1 - 11 / shape.height, title, color=color, weight="bold", size=TITLE_SIZE, **style
    )
    down = 29
    for line in textwrap.wrap(sentence, int(shape.width / _LETTER_WIDTH)):
        figure.text(0.005, 1 - down / shape.height, line, **style)
        down += 15
    figure.text(0.005, 1 - (down + 4) / shape.height, unit, color=LIGHT["muted"], **style)


def draw_time_axis(axes: "Axes", axis: TimeAxis) -> None:
    """Draw the time axis, with the journal's marks."""
    seconds, unit = next((s, unit) for least, s, unit in _TIME_UNITS if axis.length >= least)
    axes.set_xlim(0, axis.length)
    step = _round_step(axis.length / seconds / 6, _HOUR_STEPS if unit == "hours" else _STEPS)
    ticks = [i * step for i in range(int(axis.length / seconds / step * 1.0001) + 1)]
    axes.set_xticks([tick * seconds for tick in ticks], [text.quantity(tick) for tick in ticks])
    style: dict[str, Any] = {"color": LIGHT["muted"]}
    axes.text(1.045, -0.035, unit, transform=axes.transAxes, va="top", **style)
    marks = [mark for mark in axis.marks if 0 <= mark.seconds <= axis.length]
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
    axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: text.quantity(tick)))


def latency_ticks(axes: "Axes") -> None:
    """Draw the other axis as latencies, on a log scale."""
    from matplotlib.ticker import (  # noqa: PLC0415 - as in svg.draw
        FuncFormatter,
        LogLocator,
        NullLocator,
    )

    low, high = axes.get_ylim()
    subs = (1.0,) if high > 100 * low else (1.0, 3.0) if high > 20 * low else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=9))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: text.latency(tick)))


def _three_ends(
    planned: float, offered: float, committed: float, color: str, target: str = "target"
) -> list[End]:
    muted, ink = LIGHT["muted"], LIGHT["ink"]
    return [(committed, "committed", color), (offered, "offered", muted), (planned, target, ink)]


def name_ends(axes: "Axes", ends: Sequence[End]) -> None:
    """Write each line's name at its end, moved apart if lines end together."""
    to_share = axes.transAxes.inverted()
    heights = [
        float(to_share.transform(axes.transData.transform((0, last)))[1])
        for last, _, _ in ends
        if math.isfinite(last)
    ]
    named = [end for end in ends if math.isfinite(end[0])]
    # Equal heights keep the order in which they were given, the first lowest.
    order = sorted(range(len(named)), key=lambda i: round(heights[i] / _NAME_GAP))
    for i, height in zip(order, _apart([heights[i] for i in order]), strict=True):
        _, name, color = named[i]
        axes.text(1.02, height, name, transform=axes.transAxes, color=color, va="center")


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


def _dots(line: Sequence[float]) -> list[float]:
    """Return the points that need a dot: all if they are few, else those without neighbours."""
    if sum(map(math.isfinite, line)) <= _FEW_POINTS:
        return list(line)
    padded = [math.nan, *line, math.nan]
    alone = [
        math.isnan(before) and math.isnan(after)
        for before, after in zip(padded, padded[2:], strict=False)
    ]
    return [point if is_alone else math.nan for point, is_alone in zip(line, alone, strict=True)]


def _last(line: Sequence[float]) -> float:
    return next((point for point in reversed(line) if math.isfinite(point)), math.nan)
