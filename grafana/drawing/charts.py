"""The panels of a dashboard as HTML and SVG, from their answers. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from grafana.drawing import formats
from grafana.drawing.answers import SCRAPE_SECONDS, Series, colors, overrides
from grafana.drawing.formats import INK, MUTED, RULE, clock, mapped, number_text, threshold_color

Panel = Mapping[str, Any]

_LEFT, _BOTTOM, _TOP = 62, 20, 6  # of a chart's axes, in pixels
_TICKS: Final = 4
_GAP: Final = 2.5 * SCRAPE_SECONDS  # without a point, after which a line is broken
_ROW: Final = 26  # pixels of a state's or bar's row
_MOST_LEVELS: Final = 9  # named on a heat map's axis


@dataclass(frozen=True, slots=True)
class Frame:
    """The size of a panel's content in pixels, and the time range and journal of its charts."""

    width: int
    height: int
    start: float
    end: float
    journal: Sequence[float] = ()

    def x(self, at: float) -> float:
        """Return a time's place on the axis."""
        share = (at - self.start) / (self.end - self.start)
        return _LEFT + share * (self.width - _LEFT - 4)

    def svg(self, body: str, height: int) -> str:
        """Return a drawing as wide as the panel."""
        return f'<svg width="{self.width}" height="{height}">{body}</svg>'

    def times(self, height: int) -> str:
        """Return the axis of time under a chart, with the journal's entries."""
        step = next(s for s in (30, 60, 120, 300, 600, 3600) if (self.end - self.start) / s <= 6)
        first = math.ceil(self.start / step) * step
        parts = [
            f'<text x="{self.x(at):.1f}" y="{height - 5}" text-anchor="middle">{clock(at)[:5]}'
            "</text>"
            for at in range(first, int(self.end), step)
            if _LEFT + 14 < self.x(at) < self.width - 18
        ]
        parts += [
            _line(
                self.x(at), _TOP, self.x(at), height - _BOTTOM, "#FF9830", 'stroke-dasharray="3 3"'
            )
            for at in self.journal
        ]
        return "".join(parts)


def draw(panel: Panel, series: Sequence[Series], frame: Frame) -> str:
    """Return a panel's content."""
    if not series and panel["type"] != "table":
        message = panel["fieldConfig"]["defaults"].get("noValue", "No data")
        return f'<p class="nothing">{escape(message)}</p>'
    return _DRAWN[panel["type"]](panel, series, frame)


def _stat(panel: Panel, series: Sequence[Series], frame: Frame) -> str:
    look, newest = panel["fieldConfig"]["defaults"], series[0]
    shown = mapped(newest.last, look["mappings"])
    text, color = shown or (
        number_text(newest.last, look["unit"]),
        threshold_color(newest.last, look["thresholds"]),
    )
    if panel["options"]["textMode"] == "name":
        text = newest.name
    size = min(34.0, 1.6 * frame.width / max(6, len(text)))
    return f'<p class="stat" style="color: {color}; font-size: {size:.0f}px">{escape(text)}</p>'


def _timeseries(panel: Panel, series: Sequence[Series], frame: Frame) -> str:
    look = panel["fieldConfig"]["defaults"]
    custom, unit, tones = look["custom"], look["unit"], colors(panel, series)
    is_log = custom.get("scaleDistribution", {}).get("type") == "log"
    stacked = custom["stacking"]["mode"] == "normal"
    lines = _stacked(series) if stacked else [line.points for line in series]
    numbers = [number for points in lines for _, number in points if number > 0 or not is_log]
    if not numbers:
        return draw(panel, [], frame)
    binary = unit == "bytes"
    if is_log:
        ticks = _log_ticks(numbers, 16 if binary else 10)
    else:
        ticks = _linear_ticks(numbers, binary=binary)
    legend, rows = _legend(series, tones, frame.width)
    height = frame.height - 17 * rows - 4
    low, high = ticks[0], ticks[-1]

    def y(number: float) -> float:
        if is_log:
            number = max(number, low)
            share = math.log(number / low) / math.log(high / low)
        else:
            share = (number - low) / (high - low)
        return height - _BOTTOM - share * (height - _BOTTOM - _TOP)

    parts = [frame.times(height), *_levels(ticks, y, unit, frame)]
    for line, points, tone in zip(series, lines, tones, strict=True):
        opacity = overrides(panel, line.name).get("custom.fillOpacity", custom["fillOpacity"])
        dash = overrides(panel, line.name).get("custom.lineStyle", {}).get("dash")
        parts += _path(points, y, tone, frame, y(low), opacity, dash)
    if custom["thresholdsStyle"]["mode"] == "line":
        limits = [step for step in look["thresholds"]["steps"] if step["value"] is not None]
        parts += [
            _line(
                _LEFT, y(step["value"]), frame.width, y(step["value"]), formats.color(step["color"])
            )
            for step in limits
            if low <= step["value"] <= high
        ]
    return frame.svg("".join(parts), height) + legend


def _stacked(series: Sequence[Series]) -> list[list[tuple[float, float]]]:
    """Return the points of each line on top of those before it."""
    sums: dict[float, float] = {}
    lines = []
    for line in series:
        for at, number in line.points:
            sums[at] = sums.get(at, 0.0) + number
        lines.append([(at, sums[at]) for at, _ in line.points])
    return lines


def _path(
    points: Sequence[tuple[float, float]], y: Callable[[float], float], tone: str, frame: Frame,
    floor: float, opacity: float, dash: Sequence[int] | None,
) -> list[str]:  # fmt: skip
    """Return a line and the area under it, broken where points are missing."""
    pieces: list[list[tuple[float, float]]] = []
    for at, number in points:
        if not pieces or at - pieces[-1][-1][0] > _GAP:
            pieces.append([])
        pieces[-1].append((at, number))
    drawn = []
    for piece in pieces:
        corners = " ".join(f"{frame.x(at):.1f},{y(number):.1f}" for at, number in piece)
        if opacity:
            left, right = frame.x(piece[0][0]), frame.x(piece[-1][0])
            drawn.append(
                f'<polygon points="{left:.1f},{floor:.1f} {corners} {right:.1f},{floor:.1f}" '
                f'fill="{tone}" opacity="{opacity / 100}"/>'
            )
        style = f'stroke-dasharray="{" ".join(map(str, dash))}"' if dash else ""
        drawn.append(f'<polyline points="{corners}" fill="none" stroke="{tone}" {style}/>')
    return drawn


def _levels(
    ticks: Sequence[float], y: Callable[[float], float], unit: str, frame: Frame
) -> list[str]:
    return [
        _line(_LEFT, y(tick), frame.width, y(tick), RULE)
        + f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">'
        f"{escape(number_text(tick, unit))}</text>"
        for tick in ticks
    ]


def _line(x1: float, y1: float, x2: float, y2: float, color: str, more: str = "") -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" {more}/>'
    )


def _linear_ticks(numbers: Sequence[float], *, binary: bool) -> list[float]:
    """Return round numbers from 0 to the highest or above it; of bytes powers of 2."""
    low, high = min(0.0, *numbers), max(numbers)
    span = (high - low) or 1.0
    if binary:
        step = 2.0 ** math.ceil(math.log2(span / _TICKS))
    else:
        size = 10 ** math.floor(math.log10(span / _TICKS))
        step = next(m * size for m in (1, 2, 2.5, 5, 10) if m * size * _TICKS >= span)
    first = math.floor(low / step)
    count = math.ceil((low + span) / step) - first
    return [(first + i) * step for i in range(count + 1)]


def _log_ticks(numbers: Sequence[float], base: int) -> list[float]:
    """Return the powers around the numbers."""
    low, high = (math.log(bound(numbers), base) for bound in (min, max))
    first, last = math.floor(low), math.ceil(high)
    return [float(base) ** power for power in range(first, max(last, first + 1) + 1)]


def _legend(series: Sequence[Series], tones: Sequence[str], width: int) -> tuple[str, int]:
    """Return the names under a chart, and the rows that they need."""
    names = "".join(
        f'<span><i style="background: {tone}"></i>{escape(line.name)}</span>'
        for line, tone in zip(series, tones, strict=True)
    )
    letters = sum(len(line.name) + 4 for line in series)
    return f'<p class="legend">{names}</p>', max(1, math.ceil(6.6 * letters / width))


def _heatmap(panel: Panel, series: Sequence[Series], frame: Frame) -> str:
    from matplotlib import colormaps  # noqa: PLC0415 - slow

    unit, height = panel["options"]["yAxis"]["unit"], frame.height
    buckets = sorted(series, key=lambda line: float(line.labels["le"]))
    below: dict[float, float] = {}
    cells: list[tuple[int, float, float]] = []
    for row, bucket in enumerate(buckets):
        for at, count in bucket.points:
            if count - below.get(at, 0.0) > 1e-9:
                cells.append((row, at, count - below.get(at, 0.0)))
            below[at] = count
    most = max((count for *_, count in cells), default=1.0)
    turbo, high = colormaps["turbo"], (height - _BOTTOM - _TOP) / len(buckets)

    def y(row: float) -> float:
        return height - _BOTTOM - row * high

    wide = frame.x(frame.start + SCRAPE_SECONDS) - _LEFT
    parts = [
        f'<rect x="{frame.x(at) - wide:.1f}" y="{y(row + 1):.1f}" width="{wide + 0.4:.1f}" '
        f'height="{high + 0.3:.1f}" fill="{_hex(turbo((count / most) ** 0.5))}"/>'
        for row, at, count in cells
        if frame.x(at) - wide >= _LEFT - 1
    ]
    every = math.ceil(len(buckets) / _MOST_LEVELS)
    for row in range(0, len(buckets), every):
        le = float(buckets[row].labels["le"])
        text = "∞" if math.isinf(le) else number_text(le, unit)
        parts.append(
            f'<text x="{_LEFT - 6}" y="{y(row + 0.5) + 4:.1f}" text-anchor="end">{text}</text>'
        )
    return frame.svg("".join(parts) + frame.times(height), height)


def _hex(color: Sequence[float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in color[:3])


def _states(panel: Panel, series: Sequence[Series], frame: Frame) -> str:
    mappings = panel["fieldConfig"]["defaults"]["mappings"]
    parts, wide = [], max(len(line.name) for line in series) * 6.6 + 10
    for row, line in enumerate(series):
        y = _TOP + row * _ROW
        parts.append(f'<text x="0" y="{y + 17}">{escape(line.name)}</text>')
        for begin, end, number in _stretches(line.points):
            left, right = (max(wide, _rescaled(frame, at, wide)) for at in (begin, end))
            text, tone = mapped(number, mappings) or (number_text(number, "short"), MUTED)
            parts.append(
                f'<rect x="{left:.1f}" y="{y}" width="{max(1.0, right - left):.1f}" '
                f'height="{_ROW - 4}" fill="{tone}" opacity="0.7"/>'
            )
            if right - left > 7 * len(text):
                parts.append(
                    f'<text x="{left + 5:.1f}" y="{y + 16}" class="on">{escape(text)}</text>'
                )
    return frame.svg("".join(parts), min(frame.height, _TOP + _ROW * len(series)))


def _rescaled(frame: Frame, at: float, left: float) -> float:
    share = (at - frame.start) / (frame.end - frame.start)
    return left + share * (frame.width - left)


def _stretches(points: Sequence[tuple[float, float]]) -> list[tuple[float, float, float]]:
    """Return from when to when a state lasted, and its value."""
    stretches: list[tuple[float, float, float]] = []
    for at, number in points:
        if stretches and stretches[-1][2] == number and at - stretches[-1][1] <= _GAP:
            stretches[-1] = (stretches[-1][0], at, number)
        else:
            if stretches and at - stretches[-1][1] <= _GAP:
                stretches[-1] = (stretches[-1][0], at, stretches[-1][2])
            stretches.append((at, at, number))
    return stretches


def _bars(panel: Panel, series: Sequence[Series], _: Frame) -> str:
    look = panel["fieldConfig"]["defaults"]
    unit, most = look["unit"], max(line.last for line in series)
    tones = colors(panel, series)
    if look["color"]["mode"] == "thresholds":
        tones = [threshold_color(line.last, look["thresholds"]) for line in series]
    rows = "".join(
        f'<p class="bar"><b>{escape(line.name)}</b><i><em style="width: '
        f'{100 * line.last / most if most else 0:.1f}%; background: {tone}"></em></i>'
        f'<span style="color: {tone}">{escape(number_text(line.last, unit))}</span></p>'
        for line, tone in zip(series, tones, strict=True)
    )
    return f'<div class="bars">{rows}</div>'


def _table(panel: Panel, series: Sequence[Series], _: Frame) -> str:
    key = panel["transformations"][0]["options"]["byField"]
    headings = [target["refId"] for target in panel["targets"]]
    keys = sorted({line.labels[key] for line in series})
    cells = {(line.labels[key], line.query): line.last for line in series}
    rows = "".join(
        f"<tr><td>{escape(name)}</td>"
        + "".join(_cell(panel, heading, cells.get((name, heading))) for heading in headings)
        + "</tr>"
        for name in keys
    )
    names = "".join(f"<th>{escape(heading)}</th>" for heading in [key, *headings])
    return f"<table><tr>{names}</tr>{rows}</table>"


def _cell(panel: Panel, heading: str, number: float | None) -> str:
    if number is None:
        return f"<td>{escape(panel['fieldConfig']['defaults']['noValue'])}</td>"
    look = overrides(panel, heading)
    text, color = mapped(number, look.get("mappings", [])) or (
        number_text(number, look["unit"]),
        threshold_color(number, look["thresholds"]) if "thresholds" in look else INK,
    )
    return f'<td style="color: {color}">{escape(text)}</td>'


_DRAWN: Final[Mapping[str, Callable[[Panel, Sequence[Series], Frame], str]]] = {
    "stat": _stat,
    "timeseries": _timeseries,
    "heatmap": _heatmap,
    "state-timeline": _states,
    "bargauge": _bars,
    "table": _table,
}
