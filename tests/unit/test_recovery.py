"""Recovery as the report tells it: from deliveries alone, whoever runs the tool."""

from dataclasses import replace
from datetime import timedelta

from loadgen.record_rows import MarkerSample
from loadgen.report import words
from loadgen.report.recovery import interruptions, recovery_of
from tests.records import START

EVERY = 10  # seconds between two markers


def delivered(number: int, seconds: float | None, *, tool: str = "copy") -> MarkerSample:
    """Return marker `number`, seen so many seconds after it was written, or never."""
    written = START + timedelta(seconds=EVERY * number)
    seen = None if seconds is None else written + timedelta(seconds=seconds)
    return MarkerSample(tool, number, written, seen, seconds, None if seen is None else 0.5)


def at(seconds: float) -> object:
    """Return a moment, in seconds from the first marker's."""
    return START + timedelta(seconds=seconds)


def test_a_tool_that_keeps_on_never_stood_still() -> None:
    """One marker a look, or several in each batch of a tool with an interval."""
    assert interruptions([delivered(k, 1 + k % 3) for k in range(40)]) == []
    batches = [delivered(k, 60 - (k % 6) * EVERY) for k in range(60)]
    assert interruptions(batches) == []
    (line,) = recovery_of({}, batches).interruptions.rows
    assert line[:2] == ("copy", "never")


def test_an_outage_is_seen_and_how_long_it_took_to_catch_up() -> None:
    """Markers 20 to 29 arrive together at 305 s; three later ones are slow before all is well."""
    usual = [delivered(k, 2.0) for k in range(20)]
    held = [delivered(k, 305 - EVERY * k) for k in range(20, 30)]
    slow = [delivered(30, 15.0), delivered(31, 9.0), delivered(32, 4.0)]
    later = [delivered(k, 2.0) for k in range(33, 50)]
    (found,) = interruptions([*usual, *held, *slow, *later])
    assert found.began == at(192)
    assert found.resumed == at(305)
    assert found.oldest == timedelta(seconds=105)
    assert found.caught_up == at(332)
    (line,) = recovery_of({}, [*usual, *held, *slow, delivered(33, 2.0)]).interruptions.rows
    assert line[2:] == ("113 s", "105 s", "27 s")


def test_a_watch_that_was_away_is_no_tool_that_stood_still() -> None:
    """It wrote no marker meanwhile; or it wrote some, and did not look."""
    away = [delivered(k, 2.0) for k in (*range(20), *range(30, 50))]
    assert interruptions(away) == []
    blind = [replace(delivered(k, 305 - EVERY * k), poll_seconds=110.0) for k in range(20, 30)]
    assert interruptions([*[delivered(k, 2.0) for k in range(20)], *blind]) == []


def test_a_quick_tools_hiccup_is_not_called_standing_still() -> None:
    """Five seconds are many times a tenth of one, and nothing to speak of."""
    rows = [delivered(k, 5.0 if k == 20 else 0.1) for k in range(40)]
    assert interruptions(rows) == []


def test_a_tool_that_comes_back_at_once_has_nothing_to_catch_up() -> None:
    """Its first delivery has a marker as fresh as ever among the old ones."""
    rows = [delivered(k, 2.0) for k in range(20)]
    rows += [delivered(k, 302 - EVERY * k) for k in range(20, 31)]
    (line,) = recovery_of({}, rows).interruptions.rows
    assert line[4] == "at once"


def test_a_tool_that_does_not_come_back_is_said_to() -> None:
    """Standing still at the end, and slow to the end."""
    rows = [delivered(k, 2.0) for k in range(20)]
    gone = [*rows, *[delivered(k, None) for k in range(20, 40)]]
    (found,) = interruptions(gone)
    assert (found.began, found.resumed, found.caught_up) == (at(192), None, None)
    assert found.oldest == timedelta(seconds=190)
    (line,) = recovery_of({}, gone).interruptions.rows
    assert line[2:] == ("the rest of the run", "3 min 10 s", words.NOTHING)
    slow = [*rows, *[delivered(k, 305 - EVERY * k) for k in range(20, 30)], delivered(30, 20.0)]
    (line,) = recovery_of({}, slow).interruptions.rows
    assert line[4] == "not by the end"


def test_of_a_few_deliveries_nothing_is_told() -> None:
    """Nor of a tool that delivered nothing; each tool has lines of its own."""
    few = [delivered(k, 2.0) for k in range(5)]
    none = [delivered(k, None, tool="away") for k in range(9)]
    lines = recovery_of({}, [*few, *none]).interruptions.rows
    assert [line[:2] for line in lines] == [
        ("copy", "too few deliveries to tell"), ("away", "too few deliveries to tell"),
    ]  # fmt: skip
    assert not recovery_of({}, [])


def test_a_first_copy_is_told_with_its_rate() -> None:
    """Of those that say so."""
    sync = {"began_at": str(START), "caught_up_at": str(START + timedelta(seconds=4)), "rows": 2000}
    tools = {"here": {"initial_sync": sync}, "there": {"initial_sync": None}, "old": {}}
    (row,) = recovery_of({"tools": tools}, []).initial.rows
    assert (row[0], row[2:]) == ("here", ("4 s", "2,000", "500"))
