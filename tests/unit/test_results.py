"""RESULTS.md: measured cells are replaced, people's words kept, and none is ever lost."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.config.decision import Rules
from loadgen.errors import RecordError
from loadgen.report.analysis.deliveries import Deliveries
from loadgen.report.analysis.tool_answer import Study
from loadgen.report.analysis.tool_summary import Correctness, ToolSummary
from loadgen.report.decision_matrix import (
    Annotations,
    blank_results,
    decision_tables,
    read_annotations,
    results_text,
)
from loadgen.report.folder import write_report
from tests.pages import markdown_tables, page_of
from tests.records import START, VERIFIED, Made, marker, write_run

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "docs" / "sample"
RIGHT = Correctness("right", 2_000, {}, 0)
STANDINGS = (
    ToolSummary("one", RIGHT, Deliveries([marker(k, 1.0) for k in range(20)])),
    ToolSummary("t|w*o", Correctness("wrong", 10, {"missing": 2, "lossy": 7}, 0)),
)
RULES = Rules({"correctness": 2, "ux": 1}, {"wrong_rows": 0}, {"wrong_rows": 4}, {"wrong_rows": 0})


def results(tools: tuple[ToolSummary, ...], annotations: Annotations) -> str:
    """Return the file of these tools."""
    study = Study(tools, RULES, annotations.cells)
    return results_text("Results of run <r>", decision_tables(study, annotations), annotations)


def written(kept: Annotations | None = None) -> str:
    """Return the file of two tools."""
    return results(STANDINGS, kept or Annotations())


def cells(text: str, label: str) -> list[str]:
    """Return the cells after a row's label."""
    return next(row[1:] for row in markdown_tables(text) if row[0] == label)


def edited(text: str, label: str, *mine: str) -> str:
    """Return the file with a person's cells in the row."""
    old = next(line for line in text.splitlines() if line.startswith(f"| {label} "))
    return text.replace(old, f"| {label} | yours | {' | '.join(mine)} |")


def test_the_matrix_has_what_was_measured_and_its_arithmetic() -> None:
    """Figures with their basis, the score as it is summed up, a limit that is exceeded."""
    text = written()
    assert cells(text, "Correctness")[1] == (
        "right: all 2,000 rows match; every row and column compared"
    )
    assert cells(text, "Freshness")[1].startswith(
        "changes arrive in 1 s (median), 1 s (p95), of 20"
    )
    assert cells(text, "Cost") == ["loadgen", "not measured", "not measured"]
    assert cells(text, "Limits") == ["loadgen", "go", "no-go: wrong rows 2, limit 0"]
    assert ["Correctness", "2", "2 x 10 = 20", "2 x 5 = 10"] in markdown_tables(text)
    assert cells(text, "Score")[1:] == [
        "20 of 20; without UX: not measured",
        "10 of 20; without UX: not measured",
    ]


def test_a_late_copy_leaves_the_decision_open() -> None:
    """Nothing is known to be wrong, and not all is known."""
    late = ToolSummary("one", Correctness("late", 10, {}, 0, {"missing": 3}))
    text = results((late,), Annotations())
    assert cells(text, "Correctness")[1].startswith(
        "late: nothing wrong, not due yet 3 missing in 10 rows"
    )
    assert cells(text, "Limits")[1] == "open: wrong rows not measured"


def test_people_s_words_are_kept_word_for_word() -> None:
    """Cells, added rows and all text below Notes survive each rewrite."""
    text = edited(written(), "UX", "7/10: a \\| b, `c`", "**d** <br> &amp; \\\\")
    row = next(line for line in text.splitlines() if line.startswith("| UX "))
    text = text.replace(row, f"{row}\n| Our legal team | us | yes | no, *really* |")
    text += "\nAn essay.\n\n## Notes\n\n| Cost | a table of ours |\n"
    for _ in range(2):
        text = written(read_annotations(text, "f"))
    assert "| 7/10: a \\| b, `c` " in text
    assert "| **d** <br> &amp; \\\\ " in text
    assert cells(text, "Our legal team") == ["us", "yes", "no, *really*"]
    assert text.endswith("\nAn essay.\n\n## Notes\n\n| Cost | a table of ours |\n")
    assert "| 1 x 7 = 7 " in text


def test_a_tool_that_is_gone_keeps_its_column() -> None:
    """Its annotations stay, and its measurements become "not measured"."""
    kept = read_annotations(edited(written(), "Decision", "buy", "no"), "f")
    text = results(STANDINGS[1:], kept)
    assert cells(text, "Decision") == ["yours", "buy", "no"]
    assert cells(text, "Correctness")[1] == "not measured"


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=9), max_size=2))
def test_whatever_is_typed_is_kept_or_refused(typed: list[str]) -> None:
    """A cell of any signs is there again, or nothing is written."""
    mine = [*typed, "", ""][:2]
    try:
        kept = read_annotations(edited(written(), "Features", *mine), "f")
    except RecordError:
        assert any("|" in cell or cell.endswith("\\") for cell in mine)
        return
    again = read_annotations(written(kept), "f")
    assert list(again.cells["features"].values()) == mine


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("## Notes", "## Our notes"),
        ("## Notes", "## Notes on all"),
        ("<!-- loadgen wrote this", "<!-- we wrote this"),
        ("| right: all 2,000", "| we think it is right: all 2,000"),
        ("| not measured ", "| $500, says the invoice "),
        ("## Decision matrix\n", "## Decision matrix\n\nA sentence of ours.\n"),
        ("\n## Score", "\nA sentence of ours.\n\n## Score"),
        ("| Set-up time ", "| Set up "),
        ("| UX ", "| UX | "),
        ("| criterion ", "| what "),
        ("| one ", "| uno "),
        ("2 x 10 = 20", "2 x 10 = 20 (too much)"),
        ("| Features ", "| UX "),
    ],
)
def test_a_file_whose_structure_was_changed_is_refused(old: str, new: str) -> None:
    """In one line that says what; a word that stands in no place of people's would be lost."""
    text = written()
    assert old in text
    with pytest.raises(RecordError, match="nothing was written") as refused:
        read_annotations(text.replace(old, new, 1), "RESULTS.md")
    assert len(str(refused.value).splitlines()) == 1


def test_a_formatter_s_spaces_change_nothing() -> None:
    """Tables may be aligned otherwise, lines wrapped as an editor likes."""
    text = written().replace(" | ", "|").replace("not measured", "not   measured")
    assert read_annotations(text, "f").tools == ("one", "t|w*o")


def test_the_report_writes_it_beside_itself(tmp_path: Path) -> None:
    """Where tools were under test; one that can't be read back stops the whole report."""
    assert write_report(write_run(tmp_path / "bare", Made(seconds=2)), START).matrix is None
    folder = write_run(tmp_path / "reports", Made(seconds=2))
    VERIFIED.write(folder)
    file = write_report(folder, START).matrix
    assert file is not None
    assert cells(file.read_text(), "Correctness")[1].startswith("wrong: 2 missing, 1,000 differs")
    file.write_text("our own words")
    (folder / "report.html").unlink()
    with pytest.raises(RecordError, match="nothing was written"):
        write_report(folder, START)
    assert file.read_text() == "our own words"
    assert not (folder / "report.html").exists()
    file.write_bytes(b"\xff")
    with pytest.raises(RecordError, match="can't be read"):
        write_report(folder, START)


def test_the_blank_one_is_the_code_s(tmp_path: Path) -> None:
    """docs/RESULTS.md is what scripts/blank-results prints, and a study can begin with it."""
    text = (ROOT / "docs" / "RESULTS.md").read_text(encoding="utf-8")
    assert text == blank_results()
    folder = write_run(tmp_path / "reports", Made(seconds=2))
    (folder / "RESULTS.md").write_text(edited(text, "UX", "good", "", "", "better"))
    file = write_report(folder, START).matrix
    assert file is not None
    assert cells(file.read_text(), "UX")[1:] == ["good", "", "", "better"]


def test_the_sample_is_one_that_could_be_written_again() -> None:
    """docs/sample is small, offline and complete, and its RESULTS.md can be read back."""
    page = (SAMPLE / "report.html").read_text(encoding="utf-8")
    assert len(page) < 5_000_000
    assert {"costs", "correctness", "freshness", "impact"} <= set(page_of(page).tables)
    kept = read_annotations(
        (ROOT / "docs" / "sample" / "RESULTS.md").read_text(encoding="utf-8"), "f"
    )
    assert kept.tools == ("demo-replication", "demo-dlt", "demo-rivet", "demo-simplyload")
    pictures = list((ROOT / "docs" / "pictures").glob("*.png"))
    assert pictures
    assert all(picture.stat().st_size < 200_000 for picture in pictures)
