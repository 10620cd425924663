"""`loadgen workload import` refuses bad arguments before it connects, and words its results."""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loadgen import cli
from loadgen.commands.workload_import import (
    _number,
    _seconds,
    _share,
    grouped,
    literals,
    window_text,
)
from loadgen.workload.importing.facts import ColumnFacts, DatabaseFacts, TableFacts, Window

NOWHERE = "postgresql://reader:secret-word@127.0.0.1:1/shop"
NOW = datetime(2026, 11, 29, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("out", "line"),
    [
        ("shop", "--out: shop is a built-in workload: choose another name"),
        ("full", "--out: full is not empty: name a new folder, or remove it"),
        ("file", "--out: file is a file: name a new folder"),
        ("no/where", "--out: no folder can be made in no: name another place"),
    ],
)
def test_a_folder_that_can_t_be_made_is_refused_first(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    out: str,
    line: str,
) -> None:
    """Nothing answers at the URL, but that is not what the line is about."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").touch()
    (tmp_path / "file").touch()
    assert cli.main(["workload", "import", NOWHERE, "--out", out]) == 2
    assert capsys.readouterr().err == f"loadgen: error: {line}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]


@pytest.mark.parametrize(
    "url", [NOWHERE, "postgresql://reader:secret-word@@host/shop", "mysql://r:secret-word@h/shop"]
)
def test_an_address_that_leads_nowhere_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    """One line that names the URL, without its password."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["workload", "import", url, "--out", "mywork"]) == 2
    shown = capsys.readouterr()
    (line,) = [line for line in shown.err.splitlines() if "error" in line]
    assert "URL" in line
    assert "DATABASE_URL" not in line
    assert "secret-word" not in shown.err + shown.out
    assert list(tmp_path.iterdir()) == []


def test_arguments_have_units() -> None:
    """A percentage, a duration, a number of rows per hour; anything else names an example."""
    assert (_share("1%"), _share("12.5 %"), _share("200%")) == (0.01, 0.125, 2.0)
    assert (_seconds("90s"), _seconds("10m"), _seconds("1d12h"), _seconds("0.5h")) == (
        90,
        600,
        129_600,
        1800,
    )
    assert (_number("0"), _number("2.5")) == (0, 2.5)
    for parse, texts in (
        (_share, ("1", "0%", "-1%", "nan%", "20000%")),
        (_seconds, ("10", "m", "0s", "10 m 5", "ten")),
        (_number, ("-1", "nan", "inf", "many")),
    ):
        for text in texts:
            with pytest.raises(argparse.ArgumentTypeError, match="is no"):
                parse(text)


@pytest.mark.parametrize(
    ("began", "is_measured", "parts"),
    [
        (None, False, ["over an unknown time", "--interval 1h"]),
        (timedelta(days=10), False, ["for 240 h since the statistics were reset, from 2026-11-19"]),
        (timedelta(minutes=10), True, ["measured for 10 min, from", "a quiet hour is wrong"]),
        (timedelta(hours=24), True, ["measured for 24 h"]),
    ],
)
def test_the_window_is_put_in_words(
    began: timedelta | None, is_measured: bool, parts: list[str]
) -> None:
    """With a warning if it is shorter than a day."""
    began_at = None if began is None else NOW - began
    text = window_text(Window(began_at, NOW, is_measured))
    assert all(part in text for part in parts)
    assert ("a quiet hour is wrong" in text) == ("a quiet hour is wrong" in parts)


def test_parts_of_a_measured_window_show_how_the_rate_varies() -> None:
    """From the quietest to the busiest one."""
    window = Window(NOW - timedelta(hours=24), NOW, is_measured=True, shares=(0.25, 2.5, 0.25))
    assert window_text(window).endswith(
        " The 3 parts had 0.25 to 2.5 times the mean rate, which is the model's profile."
    )


def test_guesses_of_the_same_words_are_one_line() -> None:
    """A database of 200 tables has hundreds of guesses; a guess without a place stays unchanged."""
    words = "row: some rows are updated more often: give another `skew`"
    guesses = [f"[operations.update_{n}] {words}" for n in "abc"]
    assert grouped([*guesses, "all rates: measure them", "[tables.a] rows: few"]) == [
        f"[operations.update_a] and 2 more {words}",
        "all rates: measure them",
        "[tables.a] rows: few",
    ]


def test_literals_of_the_schema_are_shown() -> None:
    """Texts and numbers, each once; not names of sequences, and no sizes of types."""
    columns = tuple(
        ColumnFacts(name, "text", default=default)
        for name, default in (
            ("id", "nextval('sales.orders_id_seq'::regclass)"),
            ("made_at", "now()"),
            ("code", "substr(id1, n2)::character varying(20)"),
            ("state", "'open'::text"),
            ("former", "'open'::text"),
            ("rank", "7"),
        )
    )
    table = TableFacts("orders", columns, checks=("(total > 0)", "(a < b)"))
    facts = DatabaseFacts((), 150_008, NOW, Window(None, NOW), (table,))
    assert literals(facts) == [
        "'open'::text (orders.state and 1 more)",
        "7 (orders.rank)",
        "(total > 0) (orders)",
    ]
