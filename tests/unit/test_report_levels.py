"""Levels over a run: WAL kept by slots, processors and memory of local tools."""

from datetime import timedelta

from loadgen.record.rows import SlotSample, ToolSample
from loadgen.record.verify import Verification
from loadgen.report.analysis.local_use import local_use
from loadgen.report.charts.levels import (
    CPU,
    MEMORY,
    TALL,
    WIDE,
    cpu_series,
    draw_levels,
    memory_series,
    wal_series,
)
from loadgen.report.tables.tools import copies_of
from loadgen.text import NOTHING
from tests.records import START

MIB = 2**20


def use(second: float, tool: str, cpu: float, mib: int, written: int | None = None) -> ToolSample:
    """Return a tool's use at a second of the run."""
    at = START + timedelta(seconds=second)
    return ToolSample(at, tool, cpu, mib * MIB, None if written is None else 0, written)


USED = [
    use(-5, "dlt", 0.0, 100, 0),
    use(0, "dlt", 1.0, 100, 0),
    use(0, "cdc", 0.0, 30),
    use(10, "dlt", 6.0, 300, 5 * MIB),
    use(10, "cdc", 1.0, 40),
    use(20, "dlt", 0.0, 90, 0),  # a new watch: its counters begin again
    use(20, "cdc", 2.5, 35),
    use(30, "dlt", 2.0, 90, MIB),
]


def test_processors_are_the_increase_by_the_time() -> None:
    """From one sample to the next; nothing is known across the start of a new watch."""
    series = cpu_series(USED, START)
    assert series["dlt"] == [(0.0, 0.2), (10.0, 0.5), (30.0, 0.2)]
    assert series["cdc"] == [(10.0, 0.1), (20.0, 0.15)]


def test_memory_is_that_of_each_moment() -> None:
    """From the run's begin on."""
    series = memory_series(USED, START)
    assert series["dlt"] == [(0.0, 100 * MIB), (10, 300 * MIB), (20, 90 * MIB), (30, 90 * MIB)]


def test_a_slot_without_two_looks_has_no_line() -> None:
    """A point is no chart."""
    samples = [SlotSample(START, "s", True, "reserved", 5, 0, None, 0)]
    assert wal_series(samples, START) == {}


def test_very_many_looks_keep_their_peaks() -> None:
    """Two days of looks become some hundred points, and the highest of them stays."""
    series = memory_series(
        (use(5.0 * n, "cdc", 0.0, 500 if n == 17_000 else 20) for n in range(34_560)), START
    )
    assert len(series["cdc"]) < 300
    assert max(level for _, level in series["cdc"]) == 500 * MIB


def test_charts_name_their_lines() -> None:
    """Wide and narrow, with a text for those who can't see them."""
    for chart, series in ((CPU, cpu_series(USED, START)), (MEMORY, memory_series(USED, START))):
        for shape in (WIDE, TALL):
            drawing = draw_levels(chart, series, shape).inline()
            assert chart.title in drawing
            assert "dlt" in drawing
            assert "cdc" in drawing


def test_the_report_adds_up_what_a_tool_used() -> None:
    """Of each watch from its start; what the system does not tell is a dash."""
    table = copies_of(Verification(), {}, use=local_use(USED)).use
    assert [column.label for column in table.columns][:4] == [
        "tool",
        "processor time",
        "processors used",
        "most memory",
    ]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["dlt"] == ("8 s", "0.32", "300 MiB", "0 B", "6 MiB")
    assert rows["cdc"] == ("2.5 s", "0.125", "40 MiB", NOTHING, NOTHING)
