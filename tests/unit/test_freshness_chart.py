"""The chart of the copies' ages: a band a tool, from the youngest age to the oldest."""

import pytest

from loadgen.report.analysis.deliveries import by_tool
from loadgen.report.charts.freshness import TALL, WIDE, age_series, draw_freshness
from tests.records import START, marker


def test_a_copy_ages_between_deliveries() -> None:
    """Bands touch, and hold the age before and after each delivery; one delivery makes none."""
    rows = [marker(0, 1.0), marker(10, 2.0), marker(20, 1.5), marker(30, None)]
    rows += [marker(0, 1.0, tool="single"), marker(0, None, tool="away")]
    series = age_series(by_tool(rows), START)
    assert list(series) == ["copy"]
    bands = series["copy"]
    assert [band.begin for band in bands] == [2.0 * k for k in range(11)]
    assert all(band.youngest <= band.median <= band.oldest for band in bands)
    assert bands[0].youngest == 1.0
    assert bands[5].oldest == 12.0
    assert bands[6].youngest == 2.0


@pytest.mark.parametrize(
    ("seconds", "width"), [(20, 2), (60, 5), (600, 60), (3600, 60), (172_800, 900)]
)
def test_a_band_is_a_minute_or_what_suits_the_run(seconds: int, width: int) -> None:
    """Short runs have shorter bands, days have longer ones."""
    rows = [marker(k, 0.5) for k in range(0, seconds, max(1, seconds // 50))]
    first = age_series(by_tool(rows), START)["copy"][0]
    assert first.end - first.begin == width


def test_of_a_long_run_the_worst_moments_are_kept() -> None:
    """Two days of a marker a minute, one of them two hours late, in a few hundred bands."""
    rows = [marker(60 * k, 5.0) for k in range(2880) if not 1000 <= k < 1120]
    bands = age_series(by_tool(rows), START)["copy"]
    assert len(bands) <= 240
    assert max(band.oldest for band in bands) == pytest.approx(121 * 60 + 5)
    assert min(band.youngest for band in bands) == pytest.approx(5.0)


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
