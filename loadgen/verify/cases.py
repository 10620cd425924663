"""Judges each hard case in a copy: right, wrong or not tried, and whether that was expected. Pure.

A finding belongs to the case that its row names, or to the case that added its column.
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
    """The expected answer for a case, by how a tool reads, and the reason."""

    answers: Mapping[Reads, Answer]
    because: str


@dataclass(slots=True)
class CaseFindings:
    """The findings of one case, counted by row; those of one row are added in succession."""

    rows: int = 0
    late: int = 0  # rows that are not proven to be due
    lossy_only: bool = True
    first: CaseExample | None = None
    _last_key: str = field(default="")

    def add(self, finding: Finding) -> None:
        """Count the finding's row once."""
        is_new, self._last_key = finding.key != self._last_key, finding.key
        if finding.late:
            self.late += is_new
            return
        self.first = self.first or CaseExample(finding.key, finding.column, finding.kind)
        self.rows += is_new
        self.lossy_only = self.lossy_only and finding.kind == "lossy"


@cache
def expectations() -> Mapping[str, Expectation]:
    """Return the expectations of hard_cases.toml by case."""
    text = files("loadgen.verify").joinpath("hard_cases.toml").read_text(encoding="utf-8")
    return {
        name: Expectation({reads: entry[reads] for reads in get_args(Reads)}, entry["because"])
        for name, entry in tomllib.loads(text).items()
    }


def judge_cases(
    tried: Mapping[str, int],
    findings: Mapping[str, CaseFindings] | None,
    reads: Reads | None,
    lacking: Sequence[str] = (),
    *,
    settled: bool = True,
) -> dict[str, CaseOutcome]:
    """Return each case's outcome from its `tried` rows and its findings.

    `findings` are None if the table was not compared. The copy lacks the columns of the cases
    `lacking`.
    """
    return {
        name: replace(
            _judge_case(
                tried.get(name, 0),
                None if findings is None else findings.get(name, CaseFindings()),
                expectations()[name].answers[reads] if reads else None,
                lacks=name in lacking,
            ),
            settled=settled,
        )
        for name in HARD_CASES
    }


def _judge_case(
    tried: int, findings: CaseFindings | None, expected: Answer | None, *, lacks: bool
) -> CaseOutcome:
    if findings is None:
        return CaseOutcome("not checked" if tried else "not tried", expected=expected)
    if lacks and tried:
        return CaseOutcome("wrong", tried, tried, findings.first, expected)
    if findings.rows:
        verdict: CaseVerdict = "lossy" if findings.lossy_only else "wrong"
        # A row may be wrong before its case has happened, when it is not counted as tried.
        checked = max(tried, findings.rows)
        return CaseOutcome(verdict, checked, findings.rows, findings.first, expected, findings.late)
    if findings.late:
        checked = max(tried, findings.late)
        return CaseOutcome("late", checked, expected=expected, late=findings.late)
    return CaseOutcome("right" if tried else "not tried", tried, expected=expected)


_CONFIRM: Final = "confirm by --drain"
_LACKS: Final = "the copy lacks its column"


def case_text(case: CaseOutcome) -> str:
    """Return a case's verdict as text, for example "wrong (3 of 12), as expected"."""
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


def case_example(case: CaseOutcome) -> str:
    """Return the key, kind and column of a case's first finding."""
    if case.example is None:
        return _LACKS if case.verdict == "wrong" else ""
    column = f" in {case.example.column}" if case.example.column else ""
    return f"key {case.example.key}: {case.example.kind}{column}"
