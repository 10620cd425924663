"""A dashboard as a page: its panels on Grafana's grid, each drawn from its own queries."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from grafana.drawing.answers import Prometheus
from grafana.drawing.charts import Frame, draw
from grafana.drawing.formats import INK, MUTED, PANEL, PAPER, RULE, clock
from grafana.layout import WIDTH

PAGE_WIDTH: Final = 1280  # pixels
_HEADER, _CELL, _GAP = 62, 38, 8  # pixels; a cell's height has the gap under it
_HEADING, _EDGE = 30, 10  # of a panel, in pixels
_STYLE: Final = f"""
body {{ margin: 0; background: {PAPER}; color: {INK}; font: 12px/1.35 system-ui, sans-serif; }}
header {{ height: {_HEADER - 10}px; padding: 10px 12px 0; font-size: 13px; color: {MUTED}; }}
header b {{ display: block; font-size: 17px; color: {INK}; }}
main {{ position: relative; }}
section, h2 {{ position: absolute; box-sizing: border-box; overflow: hidden; margin: 0; }}
section {{ background: {PANEL}; border: 1px solid {RULE}; padding: 0 {_EDGE}px; }}
h2 {{ font-size: 14px; padding: 8px 4px 0; }}
h3 {{ margin: 0; height: {_HEADING - 6}px; padding-top: 6px; font-size: 13px;
  font-weight: 500; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }}
svg {{ display: block; }} text {{ fill: {MUTED}; font-size: 11px; }} text.on {{ fill: #111217; }}
.legend {{ margin: 2px 0 0; }} .legend span {{ margin-right: 12px; white-space: nowrap; }}
.legend i {{ display: inline-block; width: 12px; height: 3px; margin: 0 5px 3px 0; }}
.stat {{ white-space: nowrap; }}
.nothing, .stat {{ height: 66%; display: flex; align-items: center; justify-content: center;
  margin: 0; color: {MUTED}; text-align: center; font-weight: 500; }}
table {{ width: 100%; border-collapse: collapse; font-size: 13px; }}
th, td {{ text-align: left; padding: 6px 4px; border-bottom: 1px solid {RULE}; }}
.bar {{ display: flex; align-items: center; gap: 10px; margin: 8px 0; }}
.bar b {{ width: 34%; text-align: right; font-weight: 400; }}
.bar i {{ flex: 1; background: {RULE}; }}
.bar em {{ display: block; height: 18px; }} .bar span {{ width: 56px; }}
"""


def page(dashboard: Mapping[str, Any], prometheus: Prometheus) -> str:
    """Return a dashboard as an HTML page."""
    variables = {v["name"]: v for v in dashboard["templating"]["list"] if v["type"] == "query"}
    choices = {name: prometheus.values_of(variable) for name, variable in variables.items()}
    journal, everything = prometheus.journal(dashboard), dict.fromkeys(variables, ".*")
    parts, lowest = [], 0
    for panel, values in _placed(dashboard, choices, everything):
        place = panel["gridPos"]
        lowest = max(lowest, place["y"] + place["h"])
        column = (PAGE_WIDTH - _GAP) / WIDTH
        width, height = round(place["w"] * column - _GAP), place["h"] * _CELL - _GAP
        box = (
            f"left: {_GAP + place['x'] * column:.0f}px; top: {place['y'] * _CELL}px; "
            f"width: {width}px; height: {height}px"
        )
        title = escape(_filled(panel["title"], values))
        if panel["type"] == "row":
            parts.append(f'<h2 style="{box}">{title}</h2>')
            continue
        frame = Frame(
            width - 2 * _EDGE - 2, height - _HEADING - 6, prometheus.start, prometheus.end, journal
        )
        content = draw(panel, prometheus.series(panel, values), frame)
        parts.append(f'<section style="{box}"><h3>{title}</h3>{content}</section>')
    times = f"{clock(prometheus.start)} to {clock(prometheus.end)} UTC"
    return (
        f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style>"
        f"<header><b>{escape(dashboard['title'])}</b>{times}. Drawn from the panels' own queries "
        "to a Prometheus by scripts/dashboard-pictures: this is not Grafana's rendering.</header>"
        f'<main style="height: {lowest * _CELL}px">{"".join(parts)}</main>'
    )


def _placed(
    dashboard: Mapping[str, Any], choices: Mapping[str, list[str]], everything: Mapping[str, str]
) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """Yield the panels with their variables; a repeated one for each value, side by side."""
    down = 0  # rows of the grid that repeated panels add
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        below = {**panel, "gridPos": {**place, "y": place["y"] + down}}
        if "repeat" not in panel:
            yield below, dict(everything)
            continue
        values = choices[panel["repeat"]] or [".*"]
        across = min(len(values), panel["maxPerRow"])
        width = WIDTH // across
        for number, value in enumerate(values):
            y = place["y"] + down + number // across * place["h"]
            at = {"x": number % across * width, "y": y, "w": width, "h": place["h"]}
            yield {**panel, "gridPos": at}, {**everything, panel["repeat"]: value}
        down += (len(values) - 1) // across * place["h"]


def _filled(title: str, values: Mapping[str, str]) -> str:
    for name, text in values.items():
        title = title.replace(f"${name}", text)
    return title
