"""Whether a run's figures can be relied on: one sentence first, and the checks behind it.

The verdict is `workload.outcome`'s, the same as the load's own; here it gets its headline, and each
check its words. Whether the generator kept up is told beside it. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from loadgen import text as words
from loadgen.config.thresholds import Judgement, Threshold
from loadgen.report.analysis import judging
from loadgen.report.analysis.run import Facts
from loadgen.workload.operations import label
from loadgen.workload.outcome import TOLERANCE, RunVerdict, is_as_asked

_WORTH_TELLING: Final = 0.001  # a greater share of skipped or failed belongs in the headline
_NEARLY_ALL = 0.95  # of what was skipped, for a standstill to explain it

Level = Literal["good", "warn", "bad"]
_ENDINGS: Final = {5: "; it was paused to the end, to protect the source", 130: "; interrupted"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold for the numbers to be believed, and what was found."""

    level: Level
    name: str
    finding: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reader in a hurry needs: how it went, in a headline and a sentence.

    kept_up and sound are None where the record does not tell. What was skipped while the source
    took nothing, or as the load had been killed, does not count against the generator. `run` is
    None if the run has no end.
    """

    level: Level
    headline: str
    sentence: str
    checks: tuple[Check, ...]
    kept_up: bool | None
    sound: bool | None
    run: RunVerdict | None
    judgement: Judgement


def judge(facts: Facts, limits: tuple[Threshold, ...] = ()) -> Verdict:
    """Return the verdict on a run, and what the limits say of it."""
    run = judging.verdict_on(facts, limits)
    judgement = run.judgement
    sound = (_unknown(facts, run), _counters(facts, run), _law(facts, run))
    bad = any(check.level == "bad" for check in sound)
    kept_up = None
    if facts.ended and facts.asked:
        late = judgement.missed_share("skipped") and not _explains(facts)
        kept_up = not (run.about("offered") or late or judgement.bottleneck)
    level, headline = _headline(facts, run, kept_up=kept_up, bad=bad)
    return Verdict(
        level=level,
        headline=headline,
        sentence=_sentence(facts, sound, run),
        checks=(
            *_ended(facts, run),
            _offered(facts, run),
            _skipped(facts, judgement),
            _failed(facts),
            *_generator(facts, judgement),
            *sound,
            *_thresholds(judgement),
        ),
        kept_up=kept_up,
        sound=not run.problems if facts.ended else False if bad else None,
        run=run if facts.ended else None,
        judgement=judgement,
    )


def _headline(
    facts: Facts, run: RunVerdict, *, kept_up: bool | None, bad: bool
) -> tuple[Level, str]:
    if not facts.ended:
        if bad:
            return "bad", "These numbers can't be relied on"
        return "warn", "The run has no end: it was killed, or is still going on"
    level, headline = _delivery(facts, kept_up=kept_up is not False)
    if run.judgement.bottleneck:
        headline = "The generator itself was the bottleneck"
    if run.about("written"):
        headline = "Nothing was written"
    if any(problem.subject not in {"written", "offered"} for problem in run.problems):
        headline = "These numbers can't be relied on"
    if missed := run.judgement.missed:
        headline += f"; {words.plural(len(missed), 'threshold')} missed"
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
    """Say how what was asked for was delivered, if nothing worse is to be said."""
    if not facts.asked:
        return "warn", "Nothing was asked of the generator"
    if not kept_up:
        return "bad", "The generator did not keep up"
    if _share(facts, "skipped") > _WORTH_TELLING and _explains(facts):
        if facts.skipped_beside_gaps:
            times = words.plural(len(facts.gaps), "time")
            return "warn", f"The generator kept up, but it was killed and resumed, {times}"
        pause = words.duration(facts.standstill.seconds)
        return "warn", f"The generator kept up, but for {pause} the source took no write"
    for outcome, of in (("skipped", "arrivals were skipped"), ("failed", "writes failed")):
        if _share(facts, outcome) > _WORTH_TELLING:
            share = words.share(facts.total(outcome), facts.total("offered"))
            return "warn", f"The generator kept up; {share} of the {of}"
    return "good", "The generator kept up"


def _ended(facts: Facts, run: RunVerdict) -> list[Check]:
    """Return the verdict in the terminal's words; nothing of a run without an end."""
    if not facts.ended:
        return []
    return [Check(_level(run), "Verdict", str(run))]


def _explains(facts: Facts) -> bool:
    explained = max(facts.standstill.skipped, facts.skipped_beside_gaps)
    return explained >= _NEARLY_ALL * facts.total("skipped") > 0


def _sentence(facts: Facts, sound: Sequence[Check], run: RunVerdict) -> str:
    """Say it all in one sentence: offered, skipped, failed, rows and the law."""
    if not facts.samples and not facts.ended:
        return "It left no sample behind, so nothing is known of what it did."
    offered, asked = facts.total("offered"), facts.asked
    if not offered and not asked:
        part = "nothing, as it was asked for nothing"
    elif abs(offered - asked) < 1 + 1e-6 * asked:
        part = f"all {words.plural(offered, 'arrival')} asked for" if offered else "nothing"
    elif facts.run.settings.get("arrivals") == "poisson":
        arrivals = words.plural(offered, "arrival")
        part = f"{arrivals}, where chance gives {words.whole(asked)} on average"
    elif offered > asked:
        part = f"{words.plural(offered, 'arrival')}, where the rates ask for {words.whole(asked)}"
    else:
        part = f"{words.share(offered, asked)} of the {words.whole(asked)} arrivals asked for"
    skipped, failed = (_part_of(facts, outcome) for outcome in ("skipped", "failed"))
    done = words.plural(facts.total("committed"), "write")
    text = f"It offered {part}, skipped {skipped} and saw {failed} fail; {done} were committed"
    unsound = [check.finding for check in sound if check.level == "bad"]
    if facts.ended:
        unsound += [problem.text for problem in run.about("offered", "written", "load")]
        unsound += [run.judgement.bottleneck] if run.judgement.bottleneck else []
    if unsound:
        return f"{words.first_capital('; '.join(unsound))}. {text}."
    if not facts.ended:
        return f"{text} up to the last sample at {words.moment(facts.last_sample)}."
    samples = words.plural(facts.samples, "sample")
    without = facts.run.seconds_without_sample
    missing = f"; for {words.duration(without)} there was none" if without else ""
    return (
        f"{text}, as many as the rows show, and the accounting law held in all {samples}{missing}."
    )


def _part_of(facts: Facts, outcome: str) -> str:
    number = facts.total(outcome)
    if not number:
        return "none"
    return f"{words.count(number)} ({words.share(number, facts.total('offered'))})"


def _share(facts: Facts, outcome: str) -> float:
    offered = facts.total("offered")
    return facts.total(outcome) / offered if offered else 0.0


def of_asked(offered: int, asked: float) -> str:
    """Say how many arrivals were offered; rates ask for parts of one, chance for more or fewer."""
    if offered - asked >= 1:
        return f"{words.plural(offered, 'arrival')}, where the rates ask for {words.whole(asked)}"
    if asked - offered < 1:
        return f"all {words.plural(offered, 'arrival')} asked for" if offered else "nothing"
    return (
        f"{words.count(offered)} of {words.whole(asked)} arrivals asked for, "
        f"{words.share(offered, asked)}"
    )


def _offered(facts: Facts, run: RunVerdict) -> Check:
    name, offered = "Offered as asked", facts.total("offered")
    finding = of_asked(offered, facts.asked)
    if not facts.ended:
        return Check("warn", name, f"{finding} so far")
    if run.about("offered"):
        poisson = facts.run.settings.get("arrivals") == "poisson"
        off = [
            label(done.operation).lower()
            for done in facts.operations
            if done.asked is not None
            and not is_as_asked(done.totals.offered, done.asked, poisson=poisson)
        ]
        limit = "chance allows" if poisson else f"{TOLERANCE:.1%}"
        return Check("bad", name, f"{finding}; off by more than {limit}: {words.listed(off)}")
    return Check("good", name, finding)


def _skipped(facts: Facts, judgement: Judgement) -> Check:
    skipped = facts.total("skipped")
    if not skipped:
        return Check("good", "Skipped", f"none: a connection was free {_in_time(facts)}")
    part, still = words.share(skipped, facts.total("offered")), facts.standstill
    finding = f"{words.plural(skipped, 'arrival')} ({part}): no connection free {_in_time(facts)}"
    explained = _explains(facts)
    if beside := facts.skipped_beside_gaps:
        finding += f"; {words.count(beside)} as the load had been killed"
    elif explained:
        several = "all" if still.skipped == skipped else f"{words.count(still.skipped)} of them"
        pause = words.duration(still.seconds)
        finding += f"; {several} in or beside {pause} in which the source took no write"
    return Check("bad" if judgement.missed_share("skipped") else "warn", "Skipped", finding)


def _in_time(facts: Facts) -> str:
    limit = facts.run.settings.get("lateness_limit_seconds")
    if not isinstance(limit, int | float):
        return "in time"
    return f"within {words.duration(limit)} of the due time"


def _failed(facts: Facts) -> Check:
    failed = facts.total("failed")
    if not failed:
        return Check("good", "Failed", "none: the source refused no write")
    part = words.share(failed, facts.total("offered"))
    return Check("warn", "Failed", f"{words.plural(failed, 'write')} ({part}); see Failures")


def _generator(facts: Facts, judgement: Judgement) -> list[Check]:
    """Say how the load's own processes did; nothing where that was not measured."""
    name, own = "Generator", facts.generator
    if own is None:
        return []
    if not own.bottleneck_seconds:
        lag = words.latency(own.lag)
        busy = f"{min(1.0, own.busy_ratio):.0%}"
        return [
            Check(
                "good",
                name,
                f"never the bottleneck: its loop was late by {lag} at most, its busiest process "
                f"took or awaited {busy} of a processor",
            )
        ]
    when = judging.stretches_words(own.stretches)
    share = words.share(min(own.bottleneck_seconds, facts.seconds or 0), facts.seconds or 0)
    finding = (
        f"the bottleneck itself in {words.duration(own.bottleneck_seconds)} ({share}): "
        f"samples of {when} UTC"
    )
    return [Check("bad" if judgement.bottleneck else "warn", name, finding)]


def _thresholds(judgement: Judgement) -> list[Check]:
    """Say how many limits were held."""
    name, results = "Thresholds", judgement.results
    if judgement.missed:
        return [Check("bad", name, f"missed: {judging.missed_words(judgement.missed)}")]
    passed = sum(found.verdict == "pass" for found in results)
    text = f"{words.count(passed)} of {words.plural(len(results), 'limit')} passed"
    left = len(results) - passed
    if not left:
        return [Check("good", name, text)]
    return [Check("warn", name, f"{text}; see Thresholds")]


def _unknown(facts: Facts, run: RunVerdict) -> Check:
    name, unknown = "Fate of every write", facts.total("unknown")
    if not facts.ended:
        left = unknown + sum(done.in_flight for done in facts.operations)
        if not left:
            return Check("good", name, "known up to the last sample")
        finding = f"{words.plural(left, 'arrival')} unfinished at the last sample"
        return Check("warn", name, finding)
    if run.about("unknown"):
        return Check("bad", name, f"{words.plural(unknown, 'write')} could not be looked up")
    if open_at_end := run.about("in flight"):
        return Check("bad", name, open_at_end[0].text)
    return Check("good", name, "known: no write was left unknown")


def _counters(facts: Facts, run: RunVerdict) -> Check:
    name = "Counters equal rows"
    if any(done.gained is None for done in facts.operations) or not facts.operations:
        level: Level = "bad" if facts.ended else "warn"
        return Check(level, name, "the rows were not counted at the end of the run")
    if run.about("rows"):
        wrong = [
            f"{label(done.operation).lower()}: {words.count(done.totals.committed)}"
            f" committed, but the tables gained {words.count(done.gained)}"
            for done in facts.operations
            if not done.agrees
        ]
        return Check("bad", name, "; ".join(wrong))
    if run.about("written"):
        return Check("warn", name, "nothing was committed, so there is nothing to compare")
    gained = words.count(sum(done.gained or 0 for done in facts.operations))
    return Check("good", name, f"the tables gained {gained} changes, exactly those counted")


def _law(facts: Facts, run: RunVerdict) -> Check:
    name, samples = "Accounting law", words.plural(facts.samples, "sample")
    if not facts.samples:
        return Check("bad" if facts.ended else "warn", name, "there are no samples to judge it by")
    if run.about("law"):
        return Check("bad", name, f"broken in {words.count(facts.broken)} of {samples}")
    law = "offered = committed + failed + skipped + unknown + in flight"
    return Check("good", name, f"{law}, in all {samples}")
