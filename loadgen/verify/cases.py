"""What became of each hard case in a copy: right, wrong or not tried, and what was to be expected.

A finding's row names its case, so each is attributed to one; a column that a case adds is that
case's, in whatever row. Pure.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, get_args

from loadgen.config.settings import HARD_CASES
from loadgen.tools.conventions import Reads
from loadgen.verify.findings import Finding

CaseVerdict = Literal["right", "late", "lossy", "wrong", "not tried", "not checked"]
Answer = Literal["right", "wrong"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a case should come to, by how a tool reads, and why."""

    answers: Mapping[Reads, Answer]
    because: str


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """One case in one copy: rows of it that were checked, those that are wrong, the first of them.

    `expected` is None where nobody said how the tool learns of changes. `late` rows may still come
    right. `settled`: no other could, since the source rests and all was delivered.
    """

    verdict: CaseVerdict
    checked: int = 0
    wrong: int = 0
    example: Finding | None = None
    expected: Answer | None = None
    late: int = 0
    settled: bool = True

    def plain(self) -> dict[str, object]:
        """Return it as verify.json holds it."""
        one = self.example
        example = {"key": one.key, "column": one.column, "kind": one.kind} if one else None
        return {
            "verdict": self.verdict,
            "checked": self.checked,
            "wrong": self.wrong,
            "example": example,
            "expected": self.expected,
            "late": self.late,
            "settled": self.settled,
        }


@dataclass(slots=True)
class CaseFindings:
    """What was found of one case; findings of one row come one after the other."""

    rows: int = 0
    late: int = 0  # rows of which nothing proves that they are due
    lossy_only: bool = True
    first: Finding | None = None
    _last_key: str = field(default="")

    def add(self, finding: Finding) -> None:
        """Count its row, once."""
        is_new, self._last_key = finding.key != self._last_key, finding.key
        if finding.late:
            self.late += is_new
            return
        self.first = self.first or finding
        self.rows += is_new
        self.lossy_only = self.lossy_only and finding.kind == "lossy"


@cache
def expectations() -> Mapping[str, Expectation]:
    """Return what to expect, by case; hard_cases.toml has it."""
    text = files("loadgen.verify").joinpath("hard_cases.toml").read_text(encoding="utf-8")
    return {
        name: Expectation({way: one[way] for way in get_args(Reads)}, one["because"])
        for name, one in tomllib.loads(text).items()
    }


def judged_cases(
    tried: Mapping[str, int],
    found: Mapping[str, CaseFindings] | None,
    reads: Reads | None,
    lacking: Sequence[str] = (),
    *,
    settled: bool = True,
) -> dict[str, CaseOutcome]:
    """Return each case's outcome: `tried` are its rows; `found` is None where none was compared.

    Of the cases `lacking` the copy has not the column.
    """
    return {
        name: replace(
            _judged(
                tried.get(name, 0),
                None if found is None else found.get(name, CaseFindings()),
                expectations()[name].answers[reads] if reads else None,
                lacks=name in lacking,
            ),
            settled=settled,
        )
        for name in HARD_CASES
    }


def _judged(
    tried: int, found: CaseFindings | None, expected: Answer | None, *, lacks: bool
) -> CaseOutcome:
    if found is None:
        return CaseOutcome("not checked" if tried else "not tried", expected=expected)
    if lacks and tried:
        return CaseOutcome("wrong", tried, tried, found.first, expected)
    if found.rows:
        verdict: CaseVerdict = "lossy" if found.lossy_only else "wrong"
        # Also a row that waits for its turn may be wrong: it was not counted as tried.
        return CaseOutcome(
            verdict, max(tried, found.rows), found.rows, found.first, expected, found.late
        )
    if found.late:
        return CaseOutcome("late", max(tried, found.late), expected=expected, late=found.late)
    return CaseOutcome("right" if tried else "not tried", tried, expected=expected)


_CONFIRM: Final = "confirm by --drain"
_LACKS: Final = "the copy lacks its column"


def said(case: Mapping[str, Any]) -> str:
    """Return in words what verify.json holds of a case: wrong (3 of 12), as expected."""
    verdict, checked = case["verdict"], case["checked"]
    if verdict in {"not tried", "not checked"}:
        return str(verdict)
    if verdict == "right":
        return f"right ({checked:,})"
    if verdict == "late":
        return f"late ({case['late']:,} of {checked:,})"
    words = f"{verdict} ({case['wrong']:,} of {checked:,})"
    if verdict == "lossy" or case["expected"] is None:
        return words
    if case["expected"] == "wrong":
        return f"{words}, as expected"
    return f"{words}, {'NOT EXPECTED' if case.get('settled', True) else _CONFIRM}"


def example(case: Mapping[str, Any]) -> str:
    """Return the first thing that is wrong with a case: its key, kind and column."""
    one = case["example"]
    if one is None:
        return _LACKS if case["verdict"] == "wrong" else ""
    column = f" in {one['column']}" if one["column"] else ""
    return f"key {one['key']}: {one['kind']}{column}"
