"""Whether a run's figures can be relied on: one sentence first, and the checks behind it.

Two questions are kept apart. The figures are sound if the accounting law held, every write's fate
is known and the counters equal the rows; the generator kept up if it offered what was asked and
skipped next to nothing. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

from loadgen.report import judging, words
from loadgen.report.facts import Done, Facts
from loadgen.thresholds import Judgement, Threshold

# Offered may differ from asked by half a percent or one arrival; Poisson arrivals by 3 sigma.
TOLERANCE = 0.005
_SIGMAS = 3
SKIPPED_LIMIT = 0.001  # a greater share of arrivals skipped is not keeping up
_FAILED_LIMIT = 0.001  # a greater share of writes failed belongs in the headline
_NEARLY_ALL = 0.95  # of what was skipped, for a standstill to explain it

Level = Literal["good", "warn", "bad"]


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
    took nothing, or as the load had been killed, does not count against the generator.
    """

    level: Level
    headline: str
    sentence: str
    checks: tuple[Check, ...]
    kept_up: bool | None
    sound: bool | None
    judgement: Judgement


def judge(facts: Facts, limits: tuple[Threshold, ...] = ()) -> Verdict:
    """Return the verdict on a run, and what the limits say of it."""
    judgement = judging.judgement_of(facts, limits)
    offered, skipped = _offered(facts), _skipped(facts)
    own = _generator(facts, judgement)
    sound = (_unknown(facts), _counters(facts), _law(facts))
    level, headline = _headline(facts, (offered, skipped), sound, judgement)
    bad = any(check.level == "bad" for check in sound) or _called_invalid(facts)
    kept_up = None
    if facts.ended and facts.asked:
        kept_up = "bad" not in {offered.level, skipped.level} and not judgement.bottleneck
    return Verdict(
        level=level,
        headline=headline,
        sentence=_sentence(facts, sound, judgement),
        checks=(offered, skipped, _failed(facts), *own, *sound, *_thresholds(judgement)),
        kept_up=kept_up,
        sound=False if bad else True if facts.ended else None,
        judgement=judgement,
    )


def _called_invalid(facts: Facts) -> bool:
    """Tell whether the load itself saw more against its numbers than that it was the bottleneck."""
    run = facts.run
    judged_anew = facts.generator is not None and run.bottleneck_reason is not None
    return run.valid is False and not (judged_anew and run.invalid_reason == run.bottleneck_reason)


def _headline(
    facts: Facts, delivered: Sequence[Check], sound: Sequence[Check], judgement: Judgement
) -> tuple[Level, str]:
    if any(check.level == "bad" for check in sound) or _called_invalid(facts):
        return "bad", "These numbers can't be relied on"
    if not facts.ended:
        return "warn", "The run has no end: it was killed, or is still going on"
    if not facts.asked:
        return "warn", "Nothing was asked of the generator"
    if not facts.total("offered"):
        return "warn", "No arrival fell due in this run: it was too short for its rates"
    level, headline = _delivery(facts, delivered, judgement)
    if judgement.missed and level != "bad":
        return "bad", f"{headline}; {words.plural(len(judgement.missed), 'threshold')} missed"
    return level, headline


def _delivery(facts: Facts, delivered: Sequence[Check], judgement: Judgement) -> tuple[Level, str]:
    offered, skipped = delivered
    if judgement.bottleneck:
        return "bad", "The generator itself was the bottleneck"
    if "bad" in {offered.level, skipped.level}:
        return "bad", "The generator did not keep up"
    if _share(facts, "skipped") > SKIPPED_LIMIT and facts.skipped_beside_gaps:
        times = words.plural(len(facts.gaps), "time")
        return "warn", f"The generator kept up, but it was killed and resumed, {times}"
    if _share(facts, "skipped") > SKIPPED_LIMIT:
        pause = words.duration(facts.standstill.seconds)
        return "warn", f"The generator kept up, but for {pause} the source took no write"
    if _share(facts, "failed") > _FAILED_LIMIT:
        failed = words.share(facts.total("failed"), facts.total("offered"))
        return "warn", f"The generator kept up; {failed} of the writes failed"
    return "good", "The generator kept up"


def _explains(facts: Facts) -> bool:
    explained = max(facts.standstill.skipped, facts.skipped_beside_gaps)
    return explained >= _NEARLY_ALL * facts.total("skipped") > 0


def _sentence(facts: Facts, sound: Sequence[Check], judgement: Judgement) -> str:
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
    else:
        part = f"{words.share(offered, asked)} of the {words.whole(asked)} arrivals asked for"
    skipped, failed = (_part_of(facts, outcome) for outcome in ("skipped", "failed"))
    done = words.plural(facts.total("committed"), "write")
    text = f"It offered {part}, skipped {skipped} and saw {failed} fail; {done} were committed"
    unsound = "; ".join(check.finding for check in sound if check.level == "bad")
    if not unsound and _called_invalid(facts):
        unsound = facts.run.invalid_reason or "the load itself judged the run invalid"
    unsound = unsound or judgement.bottleneck or ""
    if unsound:
        return f"{words.first_capital(unsound)}. {text}."
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


def _offered(facts: Facts) -> Check:
    name, offered = "Offered as asked", facts.total("offered")
    finding = (
        f"{words.count(offered)} of {words.whole(facts.asked)} arrivals asked for, "
        f"{words.share(offered, facts.asked)}"
    )
    poisson = facts.run.settings.get("arrivals") == "poisson"
    off = [done for done in facts.operations if not _as_asked(done, poisson=poisson)]
    if not facts.ended:
        return Check("warn", name, f"{finding} so far")
    if off:
        names = words.listed([words.operation_words(done.operation).lower() for done in off])
        limit = "chance allows" if poisson else f"{TOLERANCE:.1%}"
        return Check("bad", name, f"{finding}; off by more than {limit}: {names}")
    return Check("good", name, finding)


def _as_asked(done: Done, *, poisson: bool) -> bool:
    if done.asked is None:
        return True
    scatter = _SIGMAS * sqrt(done.asked) if poisson else 0.0
    return abs(done.totals.offered - done.asked) <= max(1.0, TOLERANCE * done.asked, scatter)


def _skipped(facts: Facts) -> Check:
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
    many = _share(facts, "skipped") > SKIPPED_LIMIT
    level: Level = "bad" if many and not explained else "warn"
    return Check(level, "Skipped", finding)


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
    """Say how many limits were held; nothing where there are none."""
    name, results = "Thresholds", judgement.results
    if not results:
        return []
    if judgement.missed:
        return [Check("bad", name, f"missed: {judging.missed_words(judgement.missed)}")]
    passed = sum(found.verdict == "pass" for found in results)
    text = f"{words.count(passed)} of {words.plural(len(results), 'limit')} passed"
    left = len(results) - passed
    if not left:
        return [Check("good", name, text)]
    return [Check("warn", name, f"{text}; see Thresholds")]


def _unknown(facts: Facts) -> Check:
    name, unknown = "Fate of every write", facts.total("unknown")
    if not facts.ended:
        left = unknown + sum(done.in_flight for done in facts.operations)
        if not left:
            return Check("good", name, "known up to the last sample")
        finding = f"{words.plural(left, 'arrival')} unfinished at the last sample"
        return Check("warn", name, finding)
    if unknown:
        return Check("bad", name, f"{words.plural(unknown, 'write')} could not be looked up")
    return Check("good", name, "known: no write was left unknown")


def _counters(facts: Facts) -> Check:
    name = "Counters equal rows"
    if any(done.gained is None for done in facts.operations) or not facts.operations:
        level: Level = "bad" if facts.ended else "warn"
        return Check(level, name, "the rows were not counted at the end of the run")
    wrong = [
        f"{words.operation_words(done.operation).lower()}: {words.count(done.totals.committed)} "
        f"committed, but the tables gained {words.count(done.gained)}"
        for done in facts.operations
        if not done.agrees
    ]
    if wrong:
        return Check("bad", name, "; ".join(wrong))
    gained = words.count(sum(done.gained or 0 for done in facts.operations))
    return Check("good", name, f"the tables gained {gained} changes, exactly those counted")


def _law(facts: Facts) -> Check:
    name, samples = "Accounting law", words.plural(facts.samples, "sample")
    if facts.broken:
        return Check("bad", name, f"broken in {words.count(facts.broken)} of {samples}")
    if not facts.samples:
        return Check("bad" if facts.ended else "warn", name, "there are no samples to judge it by")
    law = "offered = committed + failed + skipped + unknown + in flight"
    return Check("good", name, f"{law}, in all {samples}")
