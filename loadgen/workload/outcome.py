"""How a run ended: the one verdict that the terminal, the report, run.json and the exit code share.

The load fills in the evidence at the end of a run, the report fills it in again from the record.
Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final, Literal

from loadgen.config import thresholds
from loadgen.config.thresholds import Judgement, Measured, Tally, Threshold
from loadgen.errors import EXIT_CODES, first_exit_code
from loadgen.workload.ledger import Counts

Rows = Mapping[str, Mapping[str, int]]

# Offered may differ from asked by half a percent or one arrival; Poisson arrivals by chance too. At
# five sigma and two arrivals chance alone spoils less than one run in 10,000, also a short one.
TOLERANCE: Final = 0.005
_SIGMAS, _FEW = 5, 2
_PROTECTOR: Final = "watch"  # who pauses a load to protect the source

Subject = Literal["law", "unknown", "in flight", "rows", "offered", "written", "load"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a run is invalid; `load` is the subject of what only the load could see."""

    subject: Subject
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a run once it has ended.

    `gained` is what the tables gained, None if that was not counted (`why_not_counted` says why).
    `hard_cases` counts their committed turns, `paused_by` is who had it paused at the end.
    """

    measured: Measured
    asked: Mapping[str, float]
    gained: Mapping[str, int] | None
    samples: int
    broken_samples: int
    in_flight: int = 0
    hard_cases: int = 0
    poisson: bool = False
    interrupted: bool = False
    paused_by: str | None = None
    why_not_counted: str = ""
    seen_by_load: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """Whether a run is valid and whether it passes; made by `verdict_of` alone."""

    problems: tuple[Problem, ...]
    judgement: Judgement
    interrupted: bool
    protected: bool  # paused by the watch to the end

    @property
    def valid(self) -> bool:
        """Whether the figures can be relied on."""
        return not self.problems and not self.judgement.bottleneck

    @property
    def reasons(self) -> list[str]:
        """Why the run is invalid, a line each."""
        bottleneck = self.judgement.bottleneck
        return [*(problem.text for problem in self.problems), *([bottleneck] if bottleneck else [])]

    @property
    def exit_code(self) -> int:
        """The exit code of the run: of all that apply, the one that takes precedence."""
        applies = {
            130: self.interrupted,
            1: bool(self.problems),
            4: self.judgement.bottleneck is not None,
            5: self.protected,
            3: bool(self.judgement.missed),
        }
        return first_exit_code(code for code, holds in applies.items() if holds)

    def about(self, *subjects: Subject) -> list[Problem]:
        """Return the problems with these subjects."""
        return [problem for problem in self.problems if problem.subject in subjects]

    def __str__(self) -> str:
        return verdict_words(self.exit_code)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: what the terminal says and the process answers."""

    run_id: str
    verdict: RunVerdict
    totals: Mapping[str, Counts]
    asked: Mapping[str, float]
    latency: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    seconds: float
    bottleneck_seconds: int | None
    failures: Mapping[str, Mapping[str, int]]  # by operation or hard case, then SQLSTATE

    @property
    def exit_code(self) -> int:
        """The exit code of the run."""
        return self.verdict.exit_code


def verdict_words(exit_code: int) -> str:
    """Return a verdict as it is shown everywhere, from its exit code."""
    return f"{EXIT_CODES.get(exit_code, 'not known')} (exit code {exit_code})"


def verdict_of(evidence: Evidence, limits: tuple[Threshold, ...] = ()) -> RunVerdict:
    """Return the verdict on a run."""
    return RunVerdict(
        tuple(_problems(evidence)),
        thresholds.judge(thresholds.with_built_in(limits), evidence.measured),
        interrupted=evidence.interrupted,
        protected=evidence.paused_by == _PROTECTOR,
    )


def recorded(outcome: Outcome) -> dict[str, Any]:
    """Return what the record holds of an outcome, by run.json's keys."""
    verdict = outcome.verdict
    return {
        "exit_code": verdict.exit_code,
        "valid": verdict.valid,
        "invalid_reason": "; ".join(verdict.reasons) or None,
        "failures": outcome.failures,
        "totals": {name: plain_totals(counts) for name, counts in outcome.totals.items()},
        "asked": dict(outcome.asked),
        "latency": outcome.latency,
        "duration_seconds": round(outcome.seconds, 3),
        "bottleneck_reason": verdict.judgement.bottleneck,
        "thresholds": [result.plain() for result in verdict.judgement.results],
    }


def is_as_asked(offered: int, asked: float, *, poisson: bool) -> bool:
    """Tell whether as many arrivals were offered as the rates asked for."""
    chance = _SIGMAS * sqrt(asked) + _FEW if poisson else 0.0
    return abs(offered - asked) <= max(1.0, TOLERANCE * asked, chance)


def _problems(evidence: Evidence) -> Iterator[Problem]:
    """Yield each reason why the run's figures can't be relied on."""
    measured = evidence.measured
    totals, total = measured.totals, measured.total
    if not evidence.samples:
        yield Problem("law", "there are no samples to judge the accounting law by")
    if evidence.broken_samples:
        text = f"the accounting law was broken in {evidence.broken_samples} samples"
        yield Problem("law", text)
    if total.unknown:
        yield Problem("unknown", f"{total.unknown} writes could not be looked up and stay unknown")
    if evidence.in_flight:
        text = f"{evidence.in_flight} writes had no answer when the run was closed"
        yield Problem("in flight", text)
    yield from _row_problems(totals, evidence)
    off = [
        f"{name} {counts.offered} of {evidence.asked[name]:,.1f}"
        for name, counts in totals.items()
        if name in evidence.asked
        and not is_as_asked(counts.offered, evidence.asked[name], poisson=evidence.poisson)
    ]
    if off:
        yield Problem("offered", f"not as many arrivals were offered as asked: {', '.join(off)}")
    if why := _why_nothing_was_written(evidence):
        yield Problem("written", why)
    for text in evidence.seen_by_load:
        yield Problem("load", text)


def _row_problems(totals: Mapping[str, Tally], evidence: Evidence) -> Iterator[Problem]:
    if evidence.gained is None:
        why = f" ({evidence.why_not_counted})" if evidence.why_not_counted else ""
        text = f"the source could not be read at the end{why}: rows are not compared"
        yield Problem("rows", text)
        return
    for name, counts in totals.items():
        if counts.committed != evidence.gained[name]:
            gained = evidence.gained[name]
            text = f"{name}: {counts.committed} committed, but the tables gained {gained}"
            yield Problem("rows", text)


def _why_nothing_was_written(evidence: Evidence) -> str:
    """Say why a run committed nothing, since 0 = 0 is not agreement; empty if it committed.

    Hard cases are what was planned if no arrival fell due.
    """
    total = evidence.measured.total
    if total.committed or (evidence.hard_cases and not total.offered):
        return ""
    if total.offered:
        return (
            f"nothing was written: of {total.offered} arrivals {total.failed} failed, "
            f"{total.skipped} were skipped and {total.unknown} are unknown"
        )
    if evidence.paused_by:
        return f"nothing was written: the load was paused by {evidence.paused_by}"
    if sum(evidence.asked.values()) > 0:
        return "nothing was written: no arrival fell due; raise the rates or the run time"
    return "nothing was written: all rates were 0"


def plain_totals(counts: Counts) -> dict[str, int]:
    """Return an operation's totals as the record holds them."""
    return {
        "offered": counts.offered,
        "committed": counts.committed,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "unknown": counts.unknown,
    }


def by_operation(failures: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """Return {operation: {SQLSTATE: failed writes}}."""
    nested: dict[str, dict[str, int]] = {}
    for (operation, sqlstate), n in sorted(failures.items()):
        nested.setdefault(operation, {})[sqlstate] = n
    return nested
