"""What became of each hard case in a copy: right, wrong or not tried, and what was to be expected.

A finding's row names its case, so each is attributed to one; a column that a case adds is that
case's, in whatever row. Pure.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Final, get_args

from loadgen.config.settings import HARD_CASES
from loadgen.record.verify import Answer, CaseExample, CaseOutcome, CaseVerdict, Finding
from loadgen.tools.conventions import Reads


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a case should come to, by how a tool reads, and why."""

    answers: Mapping[Reads, Answer]
    because: str


@dataclass(slots=True)
class CaseFindings:
    """What was found of one case; findings of one row come one after the other."""

    rows: int = 0
    late: int = 0  # rows of which nothing proves that they are due
    lossy_only: bool = True
    first: CaseExample | None = None
    _last_key: str = field(default="")

    def add(self, finding: Finding) -> None:
        """Count its row, once."""
        is_new, self._last_key = finding.key != self._last_key, finding.key
        if finding.late:
            self.late += is_new
            return
        self.first = self.first or CaseExample(finding.key, finding.column, finding.kind)
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


def said(case: CaseOutcome) -> str:
    """Return a case's verdict in words: wrong (3 of 12), as expected."""
    if case.verdict in {"not tried", "not checked"}:
        return case.verdict
    if case.verdict == "right":
        return f"right ({case.checked:,})"
    if case.verdict == "late":
        return f"late ({case.late:,} of {case.checked:,})"
    verdict = f"{case.verdict} ({case.wrong:,} of {case.checked:,})"
    if case.verdict == "lossy" or case.expected is None:
        return verdict
    if case.expected == "wrong":
        return f"{verdict}, as expected"
    return f"{verdict}, {'NOT EXPECTED' if case.settled else _CONFIRM}"


def example(case: CaseOutcome) -> str:
    """Return the first thing that is wrong with a case: its key, kind and column."""
    if case.example is None:
        return _LACKS if case.verdict == "wrong" else ""
    column = f" in {case.example.column}" if case.example.column else ""
    return f"key {case.example.key}: {case.example.kind}{column}"
