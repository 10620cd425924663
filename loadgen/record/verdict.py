"""The verdict on a run, which terminal, report, run.json and exit code share.

The load collects the evidence at the end of a run; the report collects it again from the record.
Thresholds are judged here too. Two hold for every run, with or without thresholds.toml: on skipped
arrivals and on the generator. A limit on something that was not measured is reported as not judged.
Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Final, Literal

from loadgen.config.thresholds import BOTTLENECK, LATENCIES, SHARES, Threshold
from loadgen.errors import EXIT_CODES, first_exit_code
from loadgen.record.run import TableGrowth, Totals

Quantiles = Mapping[str, Mapping[str, float | None]]  # of service and intended, in seconds

# The offered count may differ from the planned one by half a percent or one arrival; with Poisson
# arrivals by chance too. Five sigma and two arrivals fail less than one run in 10,000 by chance,
# also short ones.
TOLERANCE: Final = 0.005
_SIGMAS, _FEW = 5, 2
# Built-in limits: a twentieth of the arrivals; a twentieth of the run, or in a short run a hiccup
# of the machine.
_SKIPPED_SHARE: Final = 0.05
_BOTTLENECK_SHARE, _BOTTLENECK_SECONDS = 0.05, 3.0
_PROTECTOR: Final = "watch"  # pauses a load to protect the source
_WHOLE: Final = 1000  # from here on a measurement is shown without decimals

Subject = Literal["law", "unknown", "in flight", "rows", "offered", "written", "load"]


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of a run. Those that were not made are None or absent.

    `total` and `latency_all` are of all operations together. `bottleneck_seconds` are those in
    which the generator itself was the bottleneck.
    """

    seconds: float | None
    bottleneck_seconds: float | None
    total: Totals
    totals: Mapping[str, Totals]
    latency_all: Quantiles
    latency: Mapping[str, Quantiles]

    @property
    def bottleneck_share(self) -> float | None:
        """The share of the run in which the generator was the bottleneck."""
        if self.bottleneck_seconds is None or not self.seconds:
            return None
        # Whole seconds may extend a little beyond the two ends of a run.
        return min(1.0, self.bottleneck_seconds / self.seconds)

    def totals_of(self, operation: str | None) -> Totals | None:
        """Return the totals of one operation, or of all."""
        return self.total if operation is None else self.totals.get(operation)


@dataclass(frozen=True, slots=True)
class JudgedThreshold:
    """A threshold and its measurement; `why` says why it was not judged."""

    threshold: Threshold
    verdict: Literal["pass", "missed", "not judged"]
    measured: float | None = None
    why: str = ""

    def plain(self) -> dict[str, object]:
        """Return plain values, as run.json has them."""
        return {
            "name": self.threshold.name,
            "operation": self.threshold.operation,
            "limit": self.threshold.limit,
            "measured": self.measured,
            "verdict": self.verdict,
        }

    def __str__(self) -> str:
        limit = f"{self.threshold}: limit {self.threshold.limit:.15g}"
        if self.measured is None:
            return f"{limit}, {self.verdict}: {self.why}"
        measured = f"{self.measured:.3g}" if self.measured < _WHOLE else f"{self.measured:.0f}"
        return f"{limit}, measured {measured}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """All thresholds judged; `bottleneck` is the line that says why the generator was too slow."""

    thresholds: tuple[JudgedThreshold, ...]
    bottleneck: str | None

    @property
    def missed(self) -> list[JudgedThreshold]:
        """The missed thresholds, without the one on the generator itself."""
        return [
            judged
            for judged in self.thresholds
            if judged.verdict == "missed" and judged.threshold.name != BOTTLENECK
        ]

    def missed_share(self, outcome: Literal["skipped", "failed"]) -> bool:
        """Tell whether a threshold on this share was missed, of the run or of one operation."""
        return any(SHARES.get(judged.threshold.name) == outcome for judged in self.missed)


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a run is invalid; the subject `load` is for what only the load can see."""

    subject: Subject
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The facts about an ended run that its verdict depends on.

    `planned` is how many arrivals the rates called for, `growth` what the tables gained; it is
    None if that was not counted, and `why_not_counted` gives the reason. A lost write of an
    operation in `unproved` may stay unknown. `hard_cases` counts their committed turns. `paused_by`
    is who had the load paused at the end.
    """

    measured: Measured
    planned: Mapping[str, float]
    growth: Mapping[str, TableGrowth] | None
    samples: int
    broken_samples: int
    in_flight: int = 0
    hard_cases: int = 0
    poisson: bool = False
    interrupted: bool = False
    paused_by: str | None = None
    why_not_counted: str = ""
    load_problems: tuple[str, ...] = ()
    unproved: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """Whether a run is valid and whether it passes; only `verdict_of` makes one."""

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
        """The reasons why the run is invalid, a line each."""
        bottleneck = self.judgement.bottleneck
        return [*(problem.text for problem in self.problems), *([bottleneck] if bottleneck else [])]

    @property
    def exit_code(self) -> int:
        """The exit code of the run: of those that apply, the one that takes precedence."""
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
        return verdict_text(self.exit_code)


def verdict_text(exit_code: int) -> str:
    """Return the text of a verdict from its exit code."""
    return f"{EXIT_CODES.get(exit_code, 'not known')} (exit code {exit_code})"


def verdict_of(evidence: Evidence, limits: tuple[Threshold, ...] = ()) -> RunVerdict:
    """Return the verdict on a run."""
    return RunVerdict(
        tuple(_problems(evidence)),
        judge(with_built_in(limits), evidence.measured),
        interrupted=evidence.interrupted,
        protected=evidence.paused_by == _PROTECTOR,
    )


def with_built_in(limits: tuple[Threshold, ...]) -> tuple[Threshold, ...]:
    """Return the limits, with the built-in one on skipped arrivals unless they have their own."""
    if any(limit.name == "skipped_share" and limit.operation is None for limit in limits):
        return limits
    return (Threshold("skipped_share", _SKIPPED_SHARE), *limits)


def judge(limits: tuple[Threshold, ...], measured: Measured) -> Judgement:
    """Compare the measurements with the limits."""
    judged = tuple(_judged(limit, measured) for limit in limits)
    return Judgement(judged, _bottleneck(limits, measured))


def is_as_planned(offered: int, planned: float, *, poisson: bool) -> bool:
    """Tell whether as many arrivals were offered as the rates called for."""
    chance = _SIGMAS * sqrt(planned) + _FEW if poisson else 0.0
    return abs(offered - planned) <= max(1.0, TOLERANCE * planned, chance)


def _problems(evidence: Evidence) -> Iterator[Problem]:
    """Yield each reason why the run's figures can't be relied on."""
    measured = evidence.measured
    totals, total = measured.totals, measured.total
    if not evidence.samples:
        yield Problem("law", "there are no samples to judge the accounting law by")
    if evidence.broken_samples:
        text = f"the accounting law was broken in {evidence.broken_samples} samples"
        yield Problem("law", text)
    unknown = total.unknown - sum(
        counts.unknown for name, counts in totals.items() if name in evidence.unproved
    )
    if unknown:
        yield Problem("unknown", f"{unknown} writes could not be looked up and stay unknown")
    if evidence.in_flight:
        text = f"{evidence.in_flight} writes had no answer when the run was closed"
        yield Problem("in flight", text)
    yield from _row_problems(evidence)
    off = [
        f"{name} {counts.offered} of {evidence.planned[name]:,.1f}"
        for name, counts in totals.items()
        if name in evidence.planned
        and not is_as_planned(counts.offered, evidence.planned[name], poisson=evidence.poisson)
    ]
    if off:
        yield Problem("offered", f"the offered arrivals do not match the rates: {', '.join(off)}")
    if why := _why_nothing_was_written(evidence):
        yield Problem("written", why)
    for text in evidence.load_problems:
        yield Problem("load", text)


def _row_problems(evidence: Evidence) -> Iterator[Problem]:
    if evidence.growth is None:
        why = f" ({evidence.why_not_counted})" if evidence.why_not_counted else ""
        text = f"the source could not be read at the end{why}: rows are not compared"
        yield Problem("rows", text)
        return
    for table, growth in evidence.growth.items():
        for noun, written, gained in growth.differences:
            text = f"{table}: {written} {noun} committed, but the table gained {gained}"
            yield Problem("rows", text)


def _why_nothing_was_written(evidence: Evidence) -> str:
    """Say why a run committed nothing, since 0 = 0 is not agreement; empty if it committed.

    If no arrival fell due, committed hard cases count as writes.
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
    if sum(evidence.planned.values()) > 0:
        return "nothing was written: no arrival fell due; raise the rates or the run time"
    return "nothing was written: all rates were 0"


def _judged(limit: Threshold, measured: Measured) -> JudgedThreshold:
    if limit.name in SHARES:
        return _judged_share(limit, measured.totals_of(limit.operation))
    if limit.name in LATENCIES:
        return _judged_latency(limit, measured)
    if limit.name == BOTTLENECK and measured.bottleneck_share is not None:
        return _compared(limit, measured.bottleneck_share)
    return JudgedThreshold(limit, "not judged", why="nothing measured")


def _judged_share(limit: Threshold, totals: Totals | None) -> JudgedThreshold:
    """Judge a share; a single arrival never misses it, however few there are."""
    if totals is None or not totals.offered:
        return JudgedThreshold(limit, "not judged", why="no arrival fell due")
    part = totals.skipped if SHARES[limit.name] == "skipped" else totals.failed
    share = part / totals.offered
    return JudgedThreshold(limit, "missed" if part > 1 and share > limit.limit else "pass", share)


def _judged_latency(limit: Threshold, measured: Measured) -> JudgedThreshold:
    kind, quantile, fewest = LATENCIES[limit.name]
    operation = limit.operation
    totals = measured.totals_of(operation)
    committed = totals.committed if totals is not None else 0
    if committed < fewest:
        why = f"{committed} writes are too few for a {quantile}, which takes {fewest}"
        return JudgedThreshold(limit, "not judged", why=why)
    quantiles = measured.latency_all if operation is None else measured.latency.get(operation, {})
    seconds = quantiles.get(kind, {}).get(quantile)
    if seconds is None:
        return JudgedThreshold(limit, "not judged", why="nothing measured")
    return _compared(limit, seconds)


def _compared(limit: Threshold, measured: float) -> JudgedThreshold:
    return JudgedThreshold(limit, "missed" if measured > limit.limit else "pass", measured)


def _bottleneck(limits: tuple[Threshold, ...], measured: Measured) -> str | None:
    share, seconds = measured.bottleneck_share, measured.seconds or 0.0
    if share is None:
        return None
    built_in = max(_BOTTLENECK_SHARE, _BOTTLENECK_SECONDS / seconds)
    limit = next((limit.limit for limit in limits if limit.name == BOTTLENECK), built_in)
    if share <= limit:
        return None
    return (
        f"the generator itself was the bottleneck in {share * seconds:g} of {seconds:g} s "
        f"({share:.1%}, limit {limit:.1%}): lower the rates, share the load among --processes, or "
        "free the machine"
    )
