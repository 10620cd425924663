"""The verdict on a run as the report shows it: a headline, a sentence, and the checks behind them.

`record.verdict` judges, here as at the end of the load; this module hands it the run's facts and
puts its answer into sentences. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from loadgen import text
from loadgen.config.thresholds import Threshold
from loadgen.record.run import JournalEvent
from loadgen.record.verdict import (
    TOLERANCE,
    Evidence,
    Judgement,
    Measured,
    RunVerdict,
    is_as_planned,
    verdict_of,
)
from loadgen.report.analysis.run import Facts, Stretch

_HEADLINE_SHARE: Final = 0.001  # a greater share of skipped or failed belongs in the headline
_NEARLY_ALL: Final = 0.95  # a standstill with such a share of the skipped arrivals explains them
_MOST_STRETCHES: Final = 3
_INTERRUPTED: Final = 130
_KEPT_UP: Final = "The generator kept up"
_TRUSTED: Final = (0, 3, 5)  # exit codes: passed, a threshold was missed, paused by the watch

Level = Literal["good", "warn", "bad"]
_ENDINGS: Final = {
    5: "; the load was paused to the end, to protect the source",
    130: "; interrupted",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold for the numbers to be believed, and whether it does."""

    level: Level
    name: str
    finding: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the run went, in a headline, a sentence and checks.

    kept_up and sound are None if the record does not show it. Arrivals skipped while the source
    took no write, or while the load was killed, do not count against the generator. `run` is None
    if the run has no end.
    """

    level: Level
    headline: str
    sentence: str
    checks: tuple[Check, ...]
    kept_up: bool | None
    sound: bool | None
    run: RunVerdict | None
    judgement: Judgement

    @property
    def trusted(self) -> bool:
        """Whether the figures can be trusted: the run ended, is sound, and the load kept up.

        A missed threshold, or a pause by the watch, is the run's result and no doubt about it.
        """
        if self.run is None or self.kept_up is False or self.sound is False:
            return False
        return self.run.exit_code in _TRUSTED

    @property
    def but(self) -> str:
        """What the headline adds to the generator's having kept up, to end a sentence with."""
        if self.headline.startswith(_KEPT_UP):
            return self.headline.removeprefix(_KEPT_UP)
        return f"; {self.headline[:1].lower()}{self.headline[1:]}"


def judge(facts: Facts, limits: tuple[Threshold, ...] = ()) -> Verdict:
    """Return the verdict on a run, with its limits judged."""
    run = _run_verdict(facts, limits)
    judgement = run.judgement
    soundness = (_unknown(facts, run), _counters(facts, run), _law(facts, run))
    is_broken = any(check.level == "bad" for check in soundness)
    kept_up = None
    if facts.ended and facts.planned:
        too_many_skipped = judgement.missed_share("skipped") and not _is_explained(facts)
        kept_up = not (run.about("offered") or too_many_skipped or judgement.bottleneck)
    level, headline = _headline(facts, run, kept_up=kept_up, is_broken=is_broken)
    return Verdict(
        level=level,
        headline=headline,
        sentence=_sentence(facts, soundness, run),
        checks=(
            *([Check(_level(run), "Verdict", str(run))] if facts.ended else []),
            _offered(facts, run),
            _skipped(facts, judgement),
            _failed(facts),
            *_generator(facts, judgement),
            *soundness,
            *_thresholds(judgement),
        ),
        kept_up=kept_up,
        sound=not run.problems if facts.ended else False if is_broken else None,
        run=run if facts.ended else None,
        judgement=judgement,
    )


def limit_text(name: str, amount: float) -> str:
    """Return a limit, or its measurement, in the unit that its name ends with."""
    if name.endswith("_share"):
        return text.share(amount, 1)
    return f"${amount:,.2f}" if name.endswith("_dollars") else text.latency(amount)


def offered_text(offered: int, planned: float) -> str:
    """Return how many arrivals were offered; the plan has parts of one, chance more or fewer."""
    arrivals = text.plural(offered, "arrival")
    if offered - planned >= 1:
        return f"{arrivals}; the rates ask for {text.whole(planned)}"
    if planned - offered < 1:
        return f"all {arrivals} asked for" if offered else "nothing"
    share = text.share(offered, planned)
    return f"{text.count(offered)} of {text.whole(planned)} arrivals asked for, {share}"


def _run_verdict(facts: Facts, limits: tuple[Threshold, ...]) -> RunVerdict:
    """Return the verdict by the record; it may differ from the load's, as limits may change."""
    generator, run = facts.generator, facts.run
    measured = Measured(
        seconds=facts.seconds,
        bottleneck_seconds=generator.bottleneck_seconds if generator else None,
        total=facts.totals,
        totals={operation.name: operation.totals for operation in facts.operations},
        latency_all=run.latency_all.model_dump(),
        latency={name: latency.model_dump() for name, latency in run.latency.items()},
    )
    evidence = Evidence(
        measured,
        {o.name: o.planned for o in facts.operations if o.planned is not None},
        growth=facts.growth,
        samples=facts.samples,
        broken_samples=facts.broken,
        in_flight=facts.in_flight,
        hard_cases=sum(case.committed for case in run.hard_cases.values()),
        poisson=facts.is_poisson,
        interrupted=run.exit_code == _INTERRUPTED,
        paused_by=_paused_by(run.journal),
        unproved=frozenset(name for name, kind in run.proof.items() if kind == "unproved"),
    )
    verdict = verdict_of(evidence, limits)
    if run.valid is not False or verdict.problems:
        return verdict
    was_bottleneck = generator is not None and run.bottleneck_reason is not None
    if was_bottleneck and run.invalid_reason == run.bottleneck_reason:
        return verdict
    reason = run.invalid_reason or "the load itself judged the run invalid"
    return verdict_of(replace(evidence, load_problems=(reason,)), limits)


def _paused_by(journal: Sequence[JournalEvent]) -> str | None:
    """Return who had the load paused when it ended."""
    events = (event for event in reversed(journal) if event.kind in {"pause", "resume"})
    last = next(events, None)
    return str(last.details.get("by")) if last is not None and last.kind == "pause" else None


def _headline(
    facts: Facts, run: RunVerdict, *, kept_up: bool | None, is_broken: bool
) -> tuple[Level, str]:
    if not facts.ended:
        if is_broken:
            return "bad", "These numbers can't be relied on"
        return "warn", "The run has no end: it was killed, or is still running"
    level, headline = _delivery(facts, kept_up=kept_up is not False)
    if run.judgement.bottleneck:
        headline = "The generator itself was the bottleneck"
    if run.about("written"):
        headline = "Nothing was written"
    if any(problem.subject not in {"written", "offered"} for problem in run.problems):
        headline = "These numbers can't be relied on"
    if missed := run.judgement.missed:
        headline += f"; {text.plural(len(missed), 'threshold')} missed"
    headline += _ENDINGS.get(run.exit_code, "")
    if run.exit_code == 0:
        return level, headline
    return _level(run), headline


def _level(run: RunVerdict) -> Level:
    """Return how bad a verdict is: being interrupted or paused is worth a note."""
    if run.reasons or run.judgement.missed:
        return "bad"
    return "warn" if run.exit_code else "good"


def _delivery(facts: Facts, *, kept_up: bool) -> tuple[Level, str]:
    """Return the headline of a run of which nothing worse is known."""
    if not facts.planned:
        return "warn", "No arrivals were planned"
    if not kept_up:
        return "bad", "The generator did not keep up"
    totals = facts.totals
    if totals.skipped > _HEADLINE_SHARE * totals.offered and _is_explained(facts):
        if facts.skipped_in_gaps:
            times = text.plural(len(facts.gaps), "time")
            return "warn", f"{_KEPT_UP}, but the load was killed and resumed, {times}"
        pause = text.duration(facts.standstill.seconds)
        return "warn", f"{_KEPT_UP}, but for {pause} the source took no write"
    loss = _loss(facts)
    return ("warn", f"{_KEPT_UP}{loss}") if loss else ("good", _KEPT_UP)


def _loss(facts: Facts) -> str:
    """Return the end of a headline on what failed or was skipped; "" if that was next to nothing.

    An operation of which nothing was written comes first, however few its writes are.
    """
    for operation in facts.operations:
        failed = operation.totals.failed
        if failed and failed == operation.totals.offered:
            name = facts.label(operation.name).lower()
            return f", but all {text.count(failed)} writes of {name} failed"
    totals = facts.totals
    for number, ending in (
        (totals.skipped, "arrivals were skipped"),
        (totals.failed, "writes failed"),
    ):
        if number > _HEADLINE_SHARE * totals.offered:
            return f"; {text.share(number, totals.offered)} of the {ending}"
    return ""


def _is_explained(facts: Facts) -> bool:
    """Tell whether nearly all skipped arrivals fell due while source or load were down."""
    explained = max(facts.standstill.skipped, facts.skipped_in_gaps)
    return explained >= _NEARLY_ALL * facts.totals.skipped > 0


def _sentence(facts: Facts, soundness: Sequence[Check], run: RunVerdict) -> str:
    """Return how many rows were written, and whether the tables confirm it."""
    if not facts.samples and not facts.ended:
        return "The run left no sample, so nothing is known about it."
    problems = [check.finding for check in soundness if check.level == "bad"]
    if facts.ended:
        problems += [problem.text for problem in run.about("offered", "written", "load")]
        problems += [run.judgement.bottleneck] if run.judgement.bottleneck else []
    sentences = [f"{text.first_capital('; '.join(problems))}."] if problems else []
    if facts.ended and run.about("rows"):
        return sentences[0]  # what the load counted is what is in doubt
    if facts.totals.offered or not problems:
        until = f"up to the last sample at {text.moment(facts.last_sample)}, "
        sentences.append(text.first_capital(("" if facts.ended else until) + _written(facts)))
    if facts.totals.offered:
        sentences.append(_unwritten(facts, confirmed=facts.ended and not problems))
    if not problems and (seconds := facts.run.sampled.seconds_without):
        sentences.append(f"For {text.duration(seconds)} there was no sample.")
    return " ".join(sentences)


def _written(facts: Facts) -> str:
    """Return how many of the writes that were planned, or else fell due, were committed."""
    totals, planned = facts.totals, facts.planned
    offered, committed = totals.offered, totals.committed
    if not offered:
        return "the load wrote nothing."
    as_planned = abs(offered - planned) < 1 + 1e-6 * planned
    writes = text.plural(offered, "planned write" if as_planned else "offered write")
    if committed == offered:
        written = f"the load committed {'all' if offered > 1 else 'the'} {writes}"
    else:
        written = f"the load committed {text.count(committed)} of the {writes}"
    if as_planned:
        return f"{written}."
    if facts.is_poisson:
        return f"{written}; on average, its random arrivals are {text.whole(planned)}."
    if offered > planned:
        return f"{written}; the rates ask for {text.whole(planned)}."
    return f"{written}, {text.share(offered, planned)} of the {text.whole(planned)} planned."


def _unwritten(facts: Facts, *, confirmed: bool) -> str:
    """Return how many arrivals failed or were skipped."""
    totals = facts.totals
    parts = []
    if totals.skipped:
        share = text.share(totals.skipped, totals.offered)
        verb = "was" if totals.skipped == 1 else "were"
        parts.append(f"{text.count(totals.skipped)} ({share}) {verb} skipped")
    if totals.failed:
        share = text.share(totals.failed, totals.offered)
        parts.append(f"{text.count(totals.failed)} ({share}) failed")
    unwritten = text.listed(parts) if parts else "None failed or was skipped"
    return f"{unwritten}, and the tables confirm the count." if confirmed else f"{unwritten}."


def _offered(facts: Facts, run: RunVerdict) -> Check:
    name = "Offered as asked"
    finding = offered_text(facts.totals.offered, facts.planned)
    if not facts.ended:
        return Check("warn", name, f"{finding} so far")
    if run.about("offered"):
        off = [
            facts.label(operation.name).lower()
            for operation in facts.operations
            if operation.planned is not None
            and not is_as_planned(
                operation.totals.offered, operation.planned, poisson=facts.is_poisson
            )
        ]
        limit = "chance allows" if facts.is_poisson else f"{TOLERANCE:.1%}"
        return Check("bad", name, f"{finding}; off by more than {limit}: {text.listed(off)}")
    return Check("good", name, finding)


def _skipped(facts: Facts, judgement: Judgement) -> Check:
    skipped, limit = facts.totals.skipped, facts.run.settings.get("lateness_limit_seconds")
    in_time = "in time"
    if isinstance(limit, int | float):
        in_time = f"within {text.duration(limit)} of the due time"
    if not skipped:
        return Check("good", "Skipped", f"none: a connection was free {in_time}")
    share, standstill = text.share(skipped, facts.totals.offered), facts.standstill
    finding = f"{text.plural(skipped, 'arrival')} ({share}): no connection free {in_time}"
    if facts.skipped_in_gaps:
        finding += f"; {text.count(facts.skipped_in_gaps)} while the load was killed"
    elif _is_explained(facts):
        is_all = standstill.skipped == skipped
        several = "all" if is_all else f"{text.count(standstill.skipped)} of them"
        pause = text.duration(standstill.seconds)
        finding += f"; {several} in or beside {pause} in which the source took no write"
    return Check("bad" if judgement.missed_share("skipped") else "warn", "Skipped", finding)


def _failed(facts: Facts) -> Check:
    failed = facts.totals.failed
    if not failed:
        return Check("good", "Failed", "none: the source refused no write")
    share = text.share(failed, facts.totals.offered)
    return Check("warn", "Failed", f"{text.plural(failed, 'write')} ({share}); see Failures")


def _generator(facts: Facts, judgement: Judgement) -> list[Check]:
    """Return how the load's processes did; nothing if that was not measured."""
    name, generator = "Generator", facts.generator
    if generator is None:
        return []
    if not generator.bottleneck_seconds:
        lag = text.latency(generator.lag)
        busy = f"{min(1.0, generator.busy_ratio):.0%}"
        return [
            Check(
                "good",
                name,
                f"never the bottleneck: its loop was late by {lag} at most, its busiest process "
                f"took or awaited {busy} of a processor",
            )
        ]
    seconds = generator.bottleneck_seconds
    share = text.share(min(seconds, facts.seconds or 0), facts.seconds or 0)
    finding = (
        f"the bottleneck itself in {text.duration(seconds)} ({share}): "
        f"samples of {_stretches(generator.stretches)} UTC"
    )
    return [Check("bad" if judgement.bottleneck else "warn", name, finding)]


def _stretches(stretches: tuple[Stretch, ...]) -> str:
    """Return when the generator was the bottleneck, by the samples' times."""
    shown = [
        f"{stretch.first:%H:%M:%S}"
        + (f" to {stretch.last:%H:%M:%S}" if stretch.last > stretch.first else "")
        for stretch in stretches[:_MOST_STRETCHES]
    ]
    if len(stretches) > _MOST_STRETCHES:
        shown.append(f"{text.count(len(stretches) - _MOST_STRETCHES)} times more")
    return text.listed(shown)


def _thresholds(judgement: Judgement) -> list[Check]:
    """Return how many limits were held, or the first that was missed with its figures."""
    name, limits, missed = "Thresholds", judgement.thresholds, judgement.missed
    if missed:
        first = missed[0].threshold
        measured = limit_text(first.name, missed[0].measured or 0.0)
        more = f" and {text.plural(len(missed) - 1, 'other')}" if len(missed) > 1 else ""
        limit = limit_text(first.name, first.limit)
        return [Check("bad", name, f"missed: {first}: {measured}, limit {limit}{more}")]
    passed = sum(judged.verdict == "pass" for judged in limits)
    finding = f"{text.count(passed)} of {text.plural(len(limits), 'limit')} passed"
    if passed == len(limits):
        return [Check("good", name, finding)]
    return [Check("warn", name, f"{finding}; see Thresholds")]


def _unknown(facts: Facts, run: RunVerdict) -> Check:
    name, unknown = "Fate of every write", facts.totals.unknown
    if not facts.ended:
        left = unknown + facts.in_flight
        if not left:
            return Check("good", name, "known up to the last sample")
        return Check("warn", name, f"{text.plural(left, 'arrival')} unfinished at the last sample")
    kinds = facts.run.proof
    lost = sum(o.totals.unknown for o in facts.operations if kinds.get(o.name) == "unproved")
    if proved := unknown - lost:
        return Check("bad", name, f"{text.plural(proved, 'write')} could not be looked up")
    if in_flight := run.about("in flight"):
        return Check("bad", name, in_flight[0].text)
    if lost:
        unproved = f"{text.plural(lost, 'lost write')} of operations without a proof"
        return Check("warn", name, f"known but for {unproved}")
    return Check("good", name, "known: no write was left unknown")


def _counters(facts: Facts, run: RunVerdict) -> Check:
    name, growth = "Counters equal rows", facts.growth
    if growth is None:
        level: Level = "bad" if facts.ended else "warn"
        return Check(level, name, "the rows were not counted at the end of the run")
    if run.about("rows"):
        wrong = [
            f"the load counted {text.count(written)} {noun} committed to {table}, "
            f"but the table gained {text.count(gained)}"
            for table, grown in growth.items()
            for noun, written, gained in grown.differences
        ]
        return Check("bad", "Counters and rows differ", "; ".join(wrong))
    if run.about("written"):
        return Check("warn", name, "nothing was committed, so there is nothing to compare")
    gained = text.count(sum(grown.changes for grown in growth.values()))
    return Check("good", name, f"the tables gained {gained} changes, exactly those counted")


def _law(facts: Facts, run: RunVerdict) -> Check:
    name, samples = "Accounting law", text.plural(facts.samples, "sample")
    if not facts.samples:
        return Check("bad" if facts.ended else "warn", name, "there are no samples to judge it by")
    if run.about("law"):
        return Check("bad", name, f"broken in {text.count(facts.broken)} of {samples}")
    law = "offered = committed + failed + skipped + unknown + in flight"
    return Check("good", name, f"{law}, in all {samples}")
