"""decision.toml: its syntax, and the scores that follow from figures and people's cells."""

from pathlib import Path

import pytest

from loadgen.config import decision
from loadgen.config.decision import BUILT_IN, CRITERIA, FIGURES, Rules, ScorePart
from loadgen.config.settings import Settings, load_settings
from loadgen.errors import SettingsError

ROOT = Path(__file__).parents[2]
RULES = Rules(
    weights={"cost": 3, "correctness": 4, "ux": 1},
    ten_points={"cost_dollars": 0, "wrong_rows": 0},
    no_points={"cost_dollars": 100, "wrong_rows": 10},
    no_go={"wrong_rows": 0, "cost_dollars": 50},
)


def read(tmp_path: Path, text: str) -> Rules:
    """Return the rules in a file with this text."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return decision.load(load_settings({"decision_file": path}))


@pytest.mark.parametrize(
    ("figure", "points"), [(0, 10), (25, 7.5), (33.333, 6.7), (100, 0), (1e9, 0), (None, None)]
)
def test_points_follow_a_line_and_nothing_measured_has_none(
    figure: float | None, points: float | None
) -> None:
    """Ten at the one value, none from the other on, between them straight, to a tenth."""
    found = decision.score(RULES, {"cost_dollars": figure}, {})
    assert found is not None
    assert found.parts[1] == ScorePart("cost", 3, points)


def test_a_score_is_the_sum_of_what_is_shown() -> None:
    """Known parts add weight x points; unknown ones count neither in the sum nor in its maximum."""
    figures = {"cost_dollars": 50.0, "wrong_rows": None}
    found = decision.score(RULES, figures, {"ux": " 7.5/10: fine"})
    assert found is not None
    assert [part.product for part in found.parts] == [7.5, 15.0, None]
    assert (found.total, found.most, found.unknown) == (22.5, 40.0, ("correctness",))
    assert decision.score(Rules(), figures, {}) is None


@pytest.mark.parametrize(
    ("cell", "points"),
    [("7/10", 7), ("7.5 / 10, good", 7.5), ("11/10", None), ("good, 7/10", None), ("7/100", None)],
)
def test_points_stand_at_the_beginning_of_a_cell(cell: str, points: float | None) -> None:
    """Anything else is words."""
    assert decision.points_in_cell(cell) == points


@pytest.mark.parametrize(
    ("wrong", "dollars", "said"),
    [(0, 50, "go"), (1, 0, "no-go"), (0, None, "open"), (1, None, "no-go"), (None, 51, "no-go")],
)
def test_a_limit_exceeded_is_no_go_and_one_unmeasured_leaves_it_open(
    wrong: float | None, dollars: float | None, said: str
) -> None:
    """The limit itself is still a go."""
    held = decision.limits(RULES, {"wrong_rows": wrong, "cost_dollars": dollars})
    assert decision.answer(held) == said


def test_without_limits_nothing_is_a_go() -> None:
    """There is no figure that would be too much; wrong rows are a no-go all the same."""
    assert decision.answer(decision.limits(Rules(), {"wrong_rows": 0})) == "open"
    assert decision.answer((), wrong_rows=1) == "no-go"


def test_wrong_rows_within_a_limit_leave_it_open() -> None:
    """A limit may allow some, but a copy with wrong rows is never simply a go."""
    rules = Rules(no_go={"wrong_rows": 5})
    assert decision.answer(decision.limits(rules, {"wrong_rows": 3}), 3) == "open"
    assert decision.answer(decision.limits(rules, {"wrong_rows": 0}), 0) == "go"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[weight]", "[weight] is not a table of this file: did you mean weights?"),
        ("[weights]\ncosts = 1", "costs of [weights] is unknown: did you mean cost?"),
        ("[no_go]\nzzz = 1", "zzz of [no_go] is unknown: there are cost_dollars"),
        ("[no_go]\nwrong_rows = -1", "wrong_rows of [no_go] is -1: it must be a number, 0 or more"),
        ("[no_go]\nwrong_rows = true", "is True: it must be a number"),
        ("[no_go]\nwrong_rows = nan", "is nan: it must be a number"),
        ("weights = 1", "weights must be a table, [weights]"),
        ("[weights]\ncost = 1", "cost has a weight, so [ten_points] needs cost_dollars"),
        (
            "[ten_points]\nwrong_rows = 5\n[no_points]\nwrong_rows = 5",
            "wrong_rows: [ten_points] must be below [no_points]",
        ),
        ("a b", "can't be read as TOML"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(text: str, said: str, tmp_path: Path) -> None:
    """The error has the file, the table, the name, and the likely meaning."""
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, text)
    assert said in str(refused.value)
    assert "mine.toml" in str(refused.value)


def test_nobody_has_to_have_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file no row may be wrong; a file that was named has to be there."""
    monkeypatch.chdir(tmp_path)
    assert decision.load(load_settings()) == BUILT_IN
    with pytest.raises(SettingsError, match=r"copy decision\.example\.toml to it"):
        decision.load(load_settings({"decision_file": "other.toml"}))


def test_the_example_names_everything() -> None:
    """decision.example.toml can be copied as it is, and leaves nothing out."""
    path = ROOT / "decision.example.toml"
    rules = decision.load(Settings(decision_file=path))
    assert set(rules.weights) == set(CRITERIA)
    assert set(rules.ten_points) == set(rules.no_points) == set(FIGURES)
    text = path.read_text(encoding="utf-8").partition("[no_go]")[2]
    assert all(f"{name} = " in text for name in FIGURES)
