"""The activity of a load: a line a minute in a pipe, one line that is rewritten on a terminal."""

import os
import re
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from loadgen.load.console import RunConsole
from loadgen.load.live_changes import PauseReason
from loadgen.load.rate_history import RateHistory
from loadgen.terminal import print_table, status_line
from loadgen.text import Column, Table
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts
from tests.pseudo_terminal import shown_in, terminal

if TYPE_CHECKING:
    from loadgen.load.controller import RunController


def run_for(seconds: int, counts: Counts | None = None, *, paused: bool = False) -> None:
    """Show the activity of a load of 20 writes a second, each of 5 ms, sampled once a second."""
    sampler = SimpleNamespace(intended=Histogram())
    sampler.intended.add([0.005] * 20)
    controller = SimpleNamespace(
        plan=SimpleNamespace(duration=172_800.0),
        sampler=sampler,
        live_changes=SimpleNamespace(paused=PauseReason("a slot", "watch") if paused else None),
    )
    console, history = RunConsole(cast("RunController", controller)), RateHistory()
    for s in range(seconds + 1):
        history.add(float(s), 20.0 * s, 20 * s, 19 * s)
        console.print_activity(history, counts or Counts())


def test_a_pipe_gets_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """Whole lines with the rates of that minute, so that the log of two days can be read."""
    run_for(150)
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "60 s, 47 h 59 min left: target 20/s, committed 19/s, p95 5 ms, skipped 0",
        "2 min, 47 h 58 min left: target 20/s, committed 19/s, p95 5 ms, skipped 0",
    ]
    assert not err


def test_the_line_has_losses_and_pauses(capsys: pytest.CaptureFixture[str]) -> None:
    """If there are any."""
    run_for(60, Counts(failed=2, skipped=1_234), paused=True)
    assert capsys.readouterr().out == (
        "60 s, 47 h 59 min left: paused by watch, committed 19/s, p95 5 ms, skipped 1,234, "
        "failed 2\n"
    )


def test_a_terminal_has_one_line_that_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    """It never breaks, and no further line comes after a minute."""
    with terminal(monkeypatch, 60) as theirs:
        run_for(61)
        shown = shown_in(theirs)
        status_line.clear()
    assert "\n" not in shown
    updates = [update.removesuffix("\x1b[K") for update in shown.split("\r")[1:]]
    assert len(updates) == 61
    assert all(len(update) <= 59 for update in updates)
    assert updates[0].startswith("1 s, 47 h 59 min left: target 20/s, committed 19/s, p95")


def test_other_output_replaces_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message or a table replaces the line and is never mixed with it."""
    with terminal(monkeypatch, 80) as theirs:
        assert status_line.show("the line")
        sys.stdout.write("a message\n")
        assert status_line.show("the line")
        print_table(Table((Column("a"),), (("a cell",),)))
        sys.stdout.flush()
        shown = shown_in(theirs)
    assert shown.startswith("\rthe line\x1b[K\r\x1b[Ka message\n\rthe line\x1b[K\r\x1b[K")
    assert not re.search(r"line[^\r]*a cell", shown)


@pytest.mark.parametrize("reason", ["no terminal", "dumb", "background"])
def test_no_line_where_it_can_t_be_rewritten(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    """In a log, on a dumb terminal, or in a job in the background."""
    if reason == "no terminal":
        assert not status_line.show("the line")
        return
    with terminal(monkeypatch, 80) as theirs:
        if reason == "dumb":
            monkeypatch.setenv("TERM", "dumb")
        else:
            monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() + 1)
        assert not status_line.show("the line")
        run_for(150)
        lines = shown_in(theirs).splitlines()
    # Lines are printed instead, the first ones early, for a user who is watching.
    expected = ["10 s", "20 s", "30 s", "40 s", "50 s", "60 s", "2 min"]
    assert [line.partition(",")[0] for line in lines] == expected
