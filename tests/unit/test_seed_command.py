"""How `loadgen seed` shows its progress, in a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from loadgen.commands import seed
from loadgen.source.seed import Phase, SeedProgress


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time that was set."""
        return self.now


def test_rate_and_time_left_count_from_the_first_step() -> None:
    """Rows that an earlier call had copied are no part of the rate."""
    clock = Clock()
    pace = seed.SeedPace(clock)
    assert (
        pace.text(SeedProgress("rows", "events", 500_000, 2_000_000)) == "500,000 of 2,000,000 rows"
    )
    clock.now += 4
    shown = pace.text(SeedProgress("rows", "events", 900_000, 2_000_000))
    assert shown == "900,000 of 2,000,000 rows, 100,000/s, 11 s left"
    clock.now += 36
    shown = pace.text(SeedProgress("rows", "events", 940_000, 2_000_000))
    assert shown == "940,000 of 2,000,000 rows, 11,000/s, 96 s left"
    shown = pace.text(SeedProgress("indexes", "", 2_000_000, 2_000_000))
    assert shown == "2,000,000 of 2,000,000 rows"


def test_lines_come_now_and_then_and_with_each_phase_after_the_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal a line is printed every three seconds, not for every transaction."""
    clock = Clock()
    monkeypatch.setattr(seed, "monotonic", clock)
    monkeypatch.setattr(seed.SeedPace.__init__, "__defaults__", (clock,))
    copying: list[tuple[Phase, str]] = [
        *(("rows", "users"),) * 3,
        *(("rows", "orders"),) * 4,
    ]
    phases: list[tuple[Phase, str]] = [*copying, ("indexes", ""), ("statistics", "")]
    with seed._progress(Console(file=io.StringIO())) as report:
        for done, (phase, table) in enumerate(phases):
            report(SeedProgress(phase, table, min(done * 10, 70), 70))
            clock.now += 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "copying users: 0 of 70 rows",
        "copying orders: 30 of 70 rows, 10/s, 4 s left",
        "copying orders: 60 of 70 rows, 10/s, 1 s left",
        "building indexes and foreign keys: 70 of 70 rows",
        "collecting statistics: 70 of 70 rows",
    ]


def test_a_terminal_gets_a_bar() -> None:
    """The bar shows the phase, the share, the rows, the rate and the time left."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    with seed._progress(console) as report:
        report(SeedProgress("rows", "users", 0, 1000))
        report(SeedProgress("rows", "orders", 250, 1000))
    shown = screen.getvalue()
    assert "copying orders" in shown
    assert "25%" in shown
    assert "250 of 1,000 rows" in shown
    assert " left" in shown


def test_an_interrupt_says_that_nothing_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C still ends the command, after a line that says how to continue."""
    with pytest.raises(KeyboardInterrupt), seed._progress(Console(file=io.StringIO())):
        raise KeyboardInterrupt
    assert "Run the same command to continue." in capsys.readouterr().err
