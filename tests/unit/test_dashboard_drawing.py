"""Drawings of dashboards: Grafana's units, thresholds and layout, from made-up answers."""

from typing import Any

import pytest

from grafana.drawing.answers import Series
from grafana.drawing.charts import Frame, draw
from grafana.drawing.formats import color, number_text
from grafana.panels import GREEN, RED, bars, column, heatmap, lines, stat, states, steps, table
from grafana.queries import query

FRAME = Frame(400, 220, 0.0, 60.0, (30.0,))
RISING = [(float(at), at / 10) for at in range(0, 60, 5)]


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (0.00045, "s", "450 µs"),
        (75.0, "s", "1.25 min"),
        (1_048_576, "bytes", "1 MiB"),
        (37_400, "Bps", "37.4 kB/s"),
        (0.1234, "percentunit", "12.3%"),
        (2_100, "short", "2.1 K"),
        (55, "wps", "55 wr/s"),
        (0.5, "currencyUSD", "$0.5"),
    ],
)
def test_numbers_have_grafanas_units(number: float, unit: str, text: str) -> None:
    """To three digits, as Grafana writes them by default."""
    assert number_text(number, unit) == text


def test_a_tile_has_the_colour_of_the_threshold_that_it_reaches() -> None:
    """Without a value it has its text for nothing."""
    tile = stat("Wrong", "", "x", "short", steps((None, GREEN), (1, RED)), nothing="not verified")
    assert color(RED) in draw(tile, [Series("", {}, [(60.0, 1.0)])], FRAME)
    assert color(GREEN) in draw(tile, [Series("", {}, [(60.0, 0.0)])], FRAME)
    assert "not verified" in draw(tile, [], FRAME)


def test_a_line_breaks_where_points_are_missing() -> None:
    """The target is dashed, and the journal is marked."""
    chart = lines("Rate", "", "wps", query("x", "due"), query("y", "target"), dashed="target")
    gap = [point for point in RISING if not 20 < point[0] < 45]
    drawn = draw(chart, [Series("due", {}, gap), Series("target", {}, RISING)], FRAME)
    assert drawn.count("<polyline") == 3
    assert 'stroke-dasharray="8 6"' in drawn
    assert 'stroke-dasharray="3 3"' in drawn


TWO_TOOLS = [Series(name, {"le": le, "slot": name}, RISING, "held") for name, le in
             (("a", "0.1"), ("b", "+Inf"))]  # fmt: skip


@pytest.mark.parametrize(
    ("panel", "shown"),
    [
        (heatmap("Time", "", "x"), "100 ms"),
        (states("Up", "", query("x"), {"0": ("down", RED)}), "down"),
        (bars("Findings", "", "short", query("x"), nothing="none"), "5.5"),
        (table("Slots", "", "slot", {"held": column("x", "bytes")}), "<th>held</th>"),
    ],
)
def test_each_kind_of_panel_is_drawn(panel: dict[str, Any], shown: str) -> None:
    """With its axis, states or headings."""
    assert shown in draw(panel, TWO_TOOLS, FRAME)
