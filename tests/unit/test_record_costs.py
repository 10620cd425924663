"""costs.json: lines are read back as written, totals are sums, and nothing unpriced becomes $0."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from loadgen.errors import RecordError
from loadgen.record.costs import (
    CostLine,
    Costs,
    Projection,
    ReportedUsage,
    Total,
    not_priced,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def line(amount: str | None, **changed: object) -> CostLine:
    """Return a line of a warehouse with the given amount."""
    parts: dict[str, object] = {
        "tool": "fivetran",
        "payer": "customer",
        "category": "warehouse",
        "quantity": Decimal("1.35"),
        "unit": "credit",
        "unit_price": Decimal("2.00"),
        "amount": None if amount is None else Decimal(amount),
        "basis": "measured",
        "grade": "P",
        "source": "consumption table",
        "as_of": date(2026, 4, 1),
        "note": "" if amount is not None else "not priced: no right",
        **changed,
    }
    return CostLine(**parts)  # type: ignore[arg-type] # a test's own parts


def test_lines_come_back_as_they_were_written(tmp_path: Path) -> None:
    """Decimals keep every digit, dates and reasons too."""
    lines = (line("2.700000000000000001"), line(None, at_most=Decimal("1E+3")))
    reported = {"five": ReportedUsage(source="its page", billed_usd=Decimal("0.10"))}
    projection = Projection(reported=reported)
    costs = Costs(made_at=NOW, lines=lines, warnings=("a card is old",), projection=projection)
    path = costs.write(tmp_path)
    raw = json.loads(path.read_text())
    assert raw["lines"][0]["amount"] == "2.700000000000000001"
    assert raw["lines"][1]["amount"] is None
    assert raw["lines"][1]["at_most"] == "1000"
    assert list(raw) == ["schema_version", "mode", "made_at", "lines", "warnings", "outlook"]
    assert raw["outlook"] == {"reported": {"five": {"source": "its page", "billed_usd": "0.10"}}}
    back = Costs.of(tmp_path)
    assert back is not None
    assert back.lines == lines
    assert (back.made_at, back.warnings, back.mode) == (NOW, ("a card is old",), "final")


def test_one_provisional_line_makes_all_provisional() -> None:
    """Costs are final only if no line can still be corrected."""
    assert Costs(made_at=NOW, lines=(line("1"), line("1", final=False))).mode == "provisional"
    assert Costs(made_at=NOW, lines=(line("1"),)).mode == "final"


def test_totals_are_sums_of_lines_by_tool_and_payer() -> None:
    """A tenth ten times is one dollar; unpriced lines are counted, not added."""
    lines = (*[line("0.1")] * 10, line(None, payer="service"), line("7", tool="airbyte"))
    costs = Costs(made_at=NOW, lines=lines)
    assert costs.tools() == ("fivetran", "airbyte")
    assert costs.total("fivetran") == Total(Decimal("1.0"), 1, None)
    assert costs.total("fivetran", "customer") == Total(Decimal("1.0"), 0, Decimal("1.0"))
    bounded = (line("1"), line(None, at_most=Decimal(4)))
    assert Total.of(bounded) == Total(Decimal(1), 1, Decimal(5))


def test_a_line_without_amount_says_why() -> None:
    """There is no way to leave a figure out in silence, or to slip a float in."""
    assert not_priced("x", "service", "usage", "no card").note == "not priced: no card"
    with pytest.raises(ValueError, match="says why"):
        line(None, note="")
    with pytest.raises(ValueError, match="not a Decimal"):
        line("1", unit_price=0.1)
    with pytest.raises(ValueError, match="payer is 'me'"):
        line("1", payer="me")


def test_no_costs_are_none(tmp_path: Path) -> None:
    """A run that was not priced has no costs, which is no error."""
    assert Costs.of(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "can't be read"),
        ("[]", "schema_version is None"),
        ('{"schema_version": 9}', "schema_version is 9"),
        ('{"schema_version": 1}', "made_at is missing"),
        (
            '{"schema_version": 1, "made_at": "2026-11-23T12:00:00Z", "lines": [3]}',
            "lines.0 is 3, not an object",
        ),
        (
            '{"schema_version": 1, "made_at": "2026-11-23T12:00:00Z", "lines": [{"amount": "x"}]}',
            "lines.0.tool is missing",
        ),
    ],
)
def test_a_file_that_was_changed_is_named(text: str, said: str, tmp_path: Path) -> None:
    """One line with the file and the way out."""
    (tmp_path / Costs.FILE).write_text(text)
    with pytest.raises(RecordError, match="run `loadgen costs` again") as caught:
        Costs.of(tmp_path)
    assert said in str(caught.value)
    assert Costs.FILE in str(caught.value)
