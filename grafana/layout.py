"""Positions of panels on the grid of a Grafana dashboard."""

from collections.abc import Iterable, Sequence

from grafana.panels import Panel
from grafana.queries import SOURCE

Row = tuple[str, Sequence[Panel]]
WIDTH = 24


def repeated(panel: Panel, variable: str, per_row: int) -> Panel:
    """Return the panel, repeated for each value of a variable."""
    return panel | {"repeat": variable, "repeatDirection": "h", "maxPerRow": per_row}


def laid_out(rows: Iterable[Row]) -> list[Panel]:
    """Return the panels with positions and numbers, under a heading for each row.

    Within a row they run from left to right, and wrap if there is no room.
    """
    placed: list[Panel] = []
    y = 0
    for heading, panels in rows:
        if heading:
            place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
            placed.append(
                {
                    "type": "row",
                    "title": heading,
                    "collapsed": False,
                    "gridPos": place,
                    "panels": [],
                }
            )
            y += 1
        x = height = 0
        for panel in panels:
            size = panel["gridPos"]
            if x + size["w"] > WIDTH:
                x, y, height = 0, y + height, 0
            placed.append(panel | {"gridPos": {"x": x, "y": y, **size}})
            x, height = x + size["w"], max(height, size["h"])
        y += height
    return [_numbered(panel, i) for i, panel in enumerate(placed, start=1)]


def _numbered(panel: Panel, number: int) -> Panel:
    numbered = {"id": number, "datasource": SOURCE, **panel}
    if "targets" in panel:
        numbered["targets"] = [
            {"refId": chr(ord("A") + i), **target} for i, target in enumerate(panel["targets"])
        ]
    return numbered
