"""Recovery as the report shows it: from deliveries alone, however the tool is run."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from loadgen import text
from loadgen.record.rows import MarkerSample
from loadgen.record.run import JournalEvent
from loadgen.record.verify import InitialSync, Verification
from loadgen.report.analysis.deliveries import Deliveries, Outage, by_tool
from loadgen.report.tables.tools import copies_of
from tests.records import START, VERIFIED_COPY, marker

EVERY = 10  # seconds between two markers


def delivered(number: int, seconds: float | None, *, tool: str = "copy") -> MarkerSample:
    """Return marker `number`, one every EVERY seconds."""
    return marker(number, seconds, tool=tool, every=EVERY)


def still(rows: Sequence[MarkerSample]) -> list[Outage]:
    """Return when a tool stood still."""
    outages = Deliveries(rows).outages()
    assert outages is not None
    return outages


def told(rows: Sequence[MarkerSample]) -> tuple[tuple[str, ...], ...]:
    """Return the lines of the report's table."""
    return copies_of(Verification(), by_tool(rows)).outages.rows


def at(seconds: float) -> object:
    """Return a moment, in seconds from the first marker's."""
    return START + timedelta(seconds=seconds)


def test_a_tool_that_keeps_on_never_stood_still() -> None:
    """One marker a look, or several in each batch of a tool with an interval."""
    assert still([delivered(k, 1 + k % 3) for k in range(40)]) == []
    batches = [delivered(k, 60 - (k % 6) * EVERY) for k in range(60)]
    assert still(batches) == []
    (line,) = told(batches)
    assert line[:2] == ("copy", "never")


def test_an_outage_is_seen_and_how_long_it_took_to_catch_up() -> None:
    """Markers 20 to 29 arrive together at 305 s; three later ones are slow before all is well."""
    usual = [delivered(k, 2.0) for k in range(20)]
    held = [delivered(k, 305 - EVERY * k) for k in range(20, 30)]
    slow = [delivered(30, 15.0), delivered(31, 9.0), delivered(32, 4.0)]
    later = [delivered(k, 2.0) for k in range(33, 50)]
    (found,) = still([*usual, *held, *slow, *later])
    assert found.began == at(192)
    assert found.resumed == at(305)
    assert found.oldest == timedelta(seconds=105)
    assert found.caught_up == at(332)
    (line,) = told([*usual, *held, *slow, delivered(33, 2.0)])
    assert line[2:] == ("113 s", "105 s", "27 s")


def test_a_watch_that_was_away_is_no_tool_that_stood_still() -> None:
    """It wrote no marker meanwhile; or it wrote some, and did not look."""
    away = [delivered(k, 2.0) for k in (*range(20), *range(30, 50))]
    assert still(away) == []
    blind = [replace(delivered(k, 305 - EVERY * k), poll_seconds=110.0) for k in range(20, 30)]
    assert still([*[delivered(k, 2.0) for k in range(20)], *blind]) == []


def test_a_quick_tools_hiccup_is_not_called_standing_still() -> None:
    """Five seconds are many times a tenth of one, and nothing to speak of."""
    rows = [delivered(k, 5.0 if k == 20 else 0.1) for k in range(40)]
    assert still(rows) == []


def test_a_tool_that_comes_back_at_once_has_nothing_to_catch_up() -> None:
    """Its first delivery has a marker as fresh as ever among the old ones."""
    rows = [delivered(k, 2.0) for k in range(20)]
    rows += [delivered(k, 302 - EVERY * k) for k in range(20, 31)]
    (line,) = told(rows)
    assert line[4] == "at once"


def test_a_tool_that_does_not_come_back_is_said_to() -> None:
    """Standing still at the end, and slow to the end."""
    rows = [delivered(k, 2.0) for k in range(20)]
    gone = [*rows, *[delivered(k, None) for k in range(20, 40)]]
    (found,) = still(gone)
    assert (found.began, found.resumed, found.caught_up) == (at(192), None, None)
    assert found.oldest == timedelta(seconds=190)
    (line,) = told(gone)
    assert line[2:] == ("the rest of the run", "3 min 10 s", text.NOTHING)
    slow = [*rows, *[delivered(k, 305 - EVERY * k) for k in range(20, 30)], delivered(30, 20.0)]
    (line,) = told(slow)
    assert line[4] == "not by the end"


def test_of_a_few_deliveries_nothing_is_told() -> None:
    """A tool that delivered nothing gets the same line; each tool has separate lines."""
    few = [delivered(k, 2.0) for k in range(5)]
    none = [delivered(k, None, tool="away") for k in range(9)]
    lines = told([*few, *none])
    assert [line[:2] for line in lines] == [
        ("copy", "too few deliveries to tell"), ("away", "too few deliveries to tell"),
    ]  # fmt: skip
    assert not copies_of(Verification(), {}).has_recovery


def test_a_first_copy_is_told_with_its_rate() -> None:
    """Of those that say so."""
    at = [START + timedelta(seconds=seconds) for seconds in (0, 1.5, 4)]
    sync = InitialSync(at[0], at[2], 2000, first_row_at=at[1])
    here = VERIFIED_COPY.model_copy(update={"initial_sync": sync})
    verified = Verification(tools={"here": here, "there": VERIFIED_COPY})
    (row,) = copies_of(verified, {}).first_copies.rows
    assert (row[0], row[2:]) == ("here", ("1.5 s", "4 s", "2,000", "500"))


def test_a_copy_that_went_back_is_told_until_it_is_there_again() -> None:
    """A second watch says again that it went back; another tool's return is its own."""

    def event(seconds: float, kind: str, tool: str, shows: int) -> JournalEvent:
        return JournalEvent(
            START + timedelta(seconds=seconds), kind, {"tool": tool, "newest": 40, "shows": shows}
        )

    journal = [
        JournalEvent(START, "rate_change", {}),
        event(10, "copy_went_back", "copy", 0),
        event(12, "copy_went_back", "slow", 7),
        event(20, "copy_went_back", "copy", 0),
        event(25, "copy_there_again", "copy", 40),
        event(26, "copy_there_again", "other", 40),
    ]
    found = copies_of(Verification(), {}, journal=journal)
    assert found.has_recovery
    assert found.setbacks.rows == (
        ("copy", text.moment(START + timedelta(seconds=10)), "40", "none", "15 s"),
        ("slow", text.moment(START + timedelta(seconds=12)), "40", "7", "not by the end"),
    )
