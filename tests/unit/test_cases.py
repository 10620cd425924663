"""The hard cases' verdicts: counted by row, compared with the expectation, and documented."""

from pathlib import Path

from loadgen.config.settings import HARD_CASES
from loadgen.record.verify import Finding, Kind, LookedForDeletes, Verification
from loadgen.tools.conventions import known_conventions
from loadgen.verify.cases import CaseFindings, case_example, case_text, expectations, judge_cases
from loadgen.verify.outcome import ToolOutcome, verification

DOC = Path(__file__).parents[2] / "docs" / "hard-cases.md"


def found(*findings: tuple[str, str | None, Kind]) -> CaseFindings:
    """Return a case's findings, made from key, column and kind."""
    case = CaseFindings()
    for key, column, kind in findings:
        case.add(Finding("hard_cases", key, column, kind, None, None))
    return case


def test_each_case_is_right_wrong_or_not_tried() -> None:
    """A row counts once, whatever its columns; the first is the example."""
    cases = {
        "hard_deletes": found(("3", None, "not_deleted"), ("9", None, "not_deleted")),
        "odd_texts": found(("4", "word", "differs"), ("4", "moment", "differs")),
        "odd_numbers": found(("5", "amount", "lossy")),
    }
    tried = {"hard_deletes": 12, "odd_texts": 7, "odd_numbers": 2, "key_reuses": 1}
    of = judge_cases(tried, cases, "cursor")
    assert list(of) == list(HARD_CASES)
    assert case_text(of["hard_deletes"]) == "wrong (2 of 12), as expected"
    assert case_example(of["hard_deletes"]) == "key 3: not_deleted"
    assert case_text(of["odd_texts"]) == "wrong (1 of 7), NOT EXPECTED"
    assert case_example(of["odd_texts"]) == "key 4: differs in word"
    assert case_text(of["odd_numbers"]) == "lossy (1 of 2)"
    assert (case_text(of["key_reuses"]), case_example(of["key_reuses"])) == ("right (1)", "")
    assert case_text(of["late_commits"]) == "not tried"


def test_the_same_may_be_unexpected_of_another_tool() -> None:
    """If it is unknown how a tool reads, nothing is expected."""
    cases = {"hard_deletes": found(("3", None, "not_deleted"))}
    log, unknown = (judge_cases({}, cases, reads)["hard_deletes"] for reads in ("log", None))
    assert case_text(log) == "wrong (1 of 1), NOT EXPECTED"
    assert case_text(unknown) == "wrong (1 of 1)"


def test_what_is_not_settled_is_not_called_unexpected() -> None:
    """While a load runs only a drain settles a case; rows that are not due are late."""
    late = Finding("hard_cases", "4", None, "missing", None, None, late=True)
    case = found(("3", None, "not_deleted"))
    case.add(late)
    only_late = found()
    only_late.add(late)
    cases = {"hard_deletes": case, "odd_texts": only_late}
    tried = {"odd_texts": 7}
    of = judge_cases(tried, cases, "log", settled=False)
    assert case_text(of["hard_deletes"]) == "wrong (1 of 1), confirm by --drain"
    assert case_text(of["odd_texts"]) == "late (1 of 7)"
    by_cursor = judge_cases(tried, cases, "cursor", settled=False)["hard_deletes"]
    assert case_text(by_cursor) == "wrong (1 of 1), as expected"


def test_what_could_not_be_compared_is_not_checked() -> None:
    """A copy without the added column has it wrong, whether or not a row was found."""
    unread = judge_cases({"odd_texts": 3}, None, "log")
    assert [unread[name].verdict for name in ("odd_texts", "odd_times")] == [
        "not checked", "not tried",
    ]  # fmt: skip
    lacking = judge_cases({"added_columns": 3}, {}, "log", ["added_columns"])["added_columns"]
    assert case_text(lacking) == "wrong (3 of 3), as expected"
    assert case_example(lacking) == "the copy lacks its column"
    assert judge_cases({}, {}, "log", ["added_columns"])["added_columns"].verdict == "not tried"


def test_the_page_has_what_is_expected() -> None:
    """Each case is on it, in the words of the data; each kind but the generic says how it reads."""
    page = DOC.read_text(encoding="utf-8")
    assert list(expectations()) == list(HARD_CASES)
    for name, one in expectations().items():
        log, cursor = one.answers["log"], one.answers["cursor"]
        assert f"| `{name}` | {log} | {cursor} | {one.because} |" in page
    assert [kind for kind, one in known_conventions().items() if "reads" not in one] == ["generic"]


def test_what_was_seen_of_deletes_outlives_a_copy_that_is_away() -> None:
    """Otherwise the next verification would count deleted rows as never deleted."""
    seen = LookedForDeletes(2, (5,))
    away = ToolOutcome(problems=["unreachable"])
    before = Verification(tools={"t": away.recorded("", seen)})
    assert verification({"t": away}, before).tools["t"].deletes == seen
