"""The chart of the copies' ages: a saw a tool, the oldest of each stretch kept."""

from loadgen.report.analysis.deliveries import by_tool
from loadgen.report.charts.freshness import TALL, WIDE, age_series, draw_freshness
from tests.records import START, marker


def test_a_saw_rises_to_each_delivery_and_falls() -> None:
    """Of one, or of none, there is nothing to draw."""
    rows = [marker(0, 1.0), marker(10, 2.0), marker(20, 1.5), marker(30, None)]
    rows += [marker(0, 1.0, tool="single"), marker(0, None, tool="away")]
    assert age_series(by_tool(rows), START) == {
        "copy": [(12.0, 12.0), (12.0, 2.0), (21.5, 11.5), (21.5, 1.5)]
    }


def test_of_a_long_run_the_worst_moments_are_kept() -> None:
    """Two days of a marker a minute, one of them two hours late, in a few hundred points."""
    rows = [marker(60 * k, 5.0) for k in range(2880) if not 1000 <= k < 1120]
    saw = age_series(by_tool(rows), START)["copy"]
    assert len(saw) <= 2 * 241
    assert max(age for _, age in saw) == 121 * 60 + 5
    assert min(age for _, age in saw) == 5.0


def test_it_names_each_tool_and_fits_a_phone() -> None:
    """Both shapes have the same lines."""
    rows = [marker(k, 0.5, tool=tool) for tool in ("one", "two") for k in range(0, 60, 5)]
    found = age_series(by_tool(rows), START)
    for shape in (WIDE, TALL):
        drawn = draw_freshness(found, shape)
        assert drawn.shape.width == shape.width
        assert ">one<" in drawn.body
        assert ">two<" in drawn.body
        assert "How old each copy was" in drawn.description
