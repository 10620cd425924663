"""Tables on a terminal of 80 columns: no line is wider, and no word or number is broken."""

import re
import sys

import pytest

from loadgen.terminal import print_table, print_wrapped
from loadgen.text import Column, Table
from tests.pseudo_terminal import shown_in, terminal

COSTS = Table(
    (
        Column("tool"), Column("paid by"), Column("for"), Column("quantity", number=True),
        Column("amount", number=True), Column("basis"), Column("grade"),
    ),
    (
        ("demo-replication", "customer", "machine", "1", "not priced", "estimate", "?"),
        ("estuary", "service", "freshness markers", "0.01667 task-hours", "<$1", "estimate", "P"),
        ("rivery", "service", "hard cases, at most", "15 markers", "$0.47", "estimate", "K"),
    ),
)  # fmt: skip
SUMMARY = Table(
    tuple(
        Column(label, number=bool(label))
        for label in (
            "", "offered", "committed", "failed", "skipped", "unknown", "service", "intended",
        )
    ),
    tuple(
        (label, "62,208,000", "62,100,000", "100,000", "8,000", "12", "123 ms", "1,024 ms")
        for label in ("New orders", "New events", "Status updates", "Soft deletes")
    ),
)  # fmt: skip
TEXTS = Table(
    (Column("invariant"), Column("state"), Column("finding")),
    (
        ("at most 20% of users soft deleted", "ok", "0 users too many"),
        ("counters of the last run = rows", "ok", "run 20261129T065336Z-ca29: all match"),
    ),
)


def lines_of(table: Table, monkeypatch: pytest.MonkeyPatch, columns: int) -> list[str]:
    """Return the lines in which a terminal shows a table, without its styles."""
    monkeypatch.setenv("COLUMNS", str(columns))  # rich looks at the real stdout
    with terminal(monkeypatch, columns) as theirs:
        print_table(table)
        sys.stdout.flush()
        shown = shown_in(theirs)
    return re.sub(r"\x1b\[[0-9;]*[mK]|\r", "", shown).splitlines()


@pytest.mark.parametrize("table", [COSTS, SUMMARY, TEXTS], ids=["costs", "summary", "texts"])
def test_a_table_fits_80_columns(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are folded between words; a name, a date or an amount stays in one piece."""
    lines = lines_of(table, monkeypatch, 80)
    assert max(map(len, lines)) <= 80
    words = " ".join(lines).split()
    for row in table.rows:
        for cell in row:
            assert set(cell.split()) <= set(words)


def test_numbers_stay_whole_before_texts_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quantity and its unit are on one line if there is room for every word, else on two."""
    shown = {columns: "\n".join(lines_of(COSTS, monkeypatch, columns)) for columns in (70, 80, 110)}
    assert ["0.01667 task-hours" in lines for lines in shown.values()] == [False, True, True]
    assert ["freshness markers" in lines for lines in shown.values()] == [False, False, True]


def test_a_long_value_is_broken_rather_than_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a text of a hundred characters that verify found to differ."""
    table = Table(
        tuple(map(Column, ("kind", "table", "source"))), (("differs", "orders", "x" * 100),)
    )
    lines = lines_of(table, monkeypatch, 80)
    assert max(map(len, lines)) <= 80
    assert "".join(lines).count("x") == 100


def test_a_message_breaks_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address stays in one piece, so that it can be clicked."""
    message = (
        f"watching postgresql://{'a' * 60} every 2 s, metrics at http://127.0.0.1:9647/metrics"
    )
    with terminal(monkeypatch, 80) as theirs:
        print_wrapped(message)
        lines = shown_in(theirs).splitlines()
    assert max(map(len, lines[1:])) <= 80
    assert [line.strip() for line in lines] == [
        "watching",
        f"postgresql://{'a' * 60}",
        "every 2 s, metrics at http://127.0.0.1:9647/metrics",
    ]
