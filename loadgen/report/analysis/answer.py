"""The answer of a run: the tool to take and why, or the load's effect on the source. Pure.

Report and terminal show the same sentences. A run whose figures can't be trusted says so first, and
then no tool is a GO.
"""

import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loadgen import text
from loadgen.config.decision import CRITERIA, Rules, Score
from loadgen.record.costs import PricedMonth, short_vendor
from loadgen.record.run import Run
from loadgen.report.analysis.impact import NOT_MEASURED, Impact
from loadgen.report.analysis.imported import likeness
from loadgen.report.analysis.run import Facts
from loadgen.report.analysis.tool_answer import (
    FIGURE_NAMES,
    WORDS,
    Fact,
    Study,
    ToolAnswer,
    latency_change,
    limit_text,
    tool_answer,
    whole_dollars,
)
from loadgen.report.analysis.tool_summary import INFRASTRUCTURE_CARD, lowest_published
from loadgen.report.analysis.verdict import Level, Verdict

_ORDER: Final = tuple(WORDS)
_SHORT_RUN: Final = 3600.0  # seconds
_DAY: Final = 86_400
_FEW_WRITES: Final = 100  # of fewer a rate or a share of the server's work says little
_COLUMNS: Final = 80  # of a terminal
_NO_TOOLS: Final = (
    "No tool was tested, so this run does not say which to take, what it costs or how old a copy "
    "is."
)
_TO_COMPARE: Final = "name them in tools.toml and run again; this run can be the control"
_ON_TERMINAL: Final = ("trusted", "model", "tools", "prices")


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """The first screen of a report.

    `facts` are those of a run without tools. `caveats` are to be read before deciding.
    """

    level: Level
    headline: str
    sentence: str
    tools: tuple[ToolAnswer, ...]
    facts: tuple[Fact, ...]
    score: str
    caveats: tuple[Fact, ...]
    trusted: bool

    def lines(self) -> Iterator[str]:
        """Yield the answer for a terminal, short enough for its last lines to hold it."""
        yield from textwrap.wrap(self.headline, _COLUMNS)
        if not self.trusted or not self.tools:
            yield from textwrap.wrap(self.sentence, _COLUMNS)
        lines = [(tool.word, f"{tool.name}: {tool.sentence}") for tool in self.tools]
        lines += [(fact.label, fact.text) for fact in self.facts]
        lines += [("score", self.score)] if self.score else []
        caveats = (caveat for caveat in self.caveats if caveat.label in _ON_TERMINAL)
        lines += [(caveat.label, caveat.brief or caveat.text) for caveat in caveats]
        width = max(len(label) for label, _ in lines) + 2
        for label, sentence in lines:
            yield from textwrap.wrap(
                sentence,
                _COLUMNS,
                initial_indent=label.ljust(width),
                subsequent_indent=" " * width,
            )


def answer_of(facts: Facts, verdict: Verdict, study: Study) -> RunAnswer:
    """Return the run's answer."""
    tools = _ordered([tool_answer(tool, study, trusted=verdict.trusted) for tool in study.tools])
    caveats = tuple(_caveats(facts, verdict, study))
    if not verdict.trusted:
        level, headline, sentence = verdict.level, verdict.headline, verdict.sentence
    elif tools:
        level, headline, sentence = _tools_headline(tools)
        if best := _cheapest_instead(study):
            tools_have = {1: "It has no", 2: "Neither tool has a"}.get(len(tools), "No tool has a")
            sentence += (
                f" {tools_have} vendor's price; for comparison, the lowest list price of a vendor "
                f"for this load is {_price(best)}, which was not tested."
            )
        level = max(level, "warn", key=_severity) if verdict.level != "good" else level
    else:
        level, headline, sentence = _source_headline(facts, verdict, study.impact)
    if not tools:
        sentence += f" {_NO_TOOLS}"
    shown = () if tools else tuple(_source_facts(facts, study.impact))
    return RunAnswer(
        level, headline, sentence, tools, shown, _score(tools), caveats, verdict.trusted
    )


def _ordered(tools: Sequence[ToolAnswer]) -> tuple[ToolAnswer, ...]:
    """Return the tools, best first."""

    def rank(tool: ToolAnswer) -> tuple[int, float]:
        return _ORDER.index(tool.answer), -(_out_of_ten(tool.score) or 0.0)

    return tuple(sorted(tools, key=rank))


def _tools_headline(tools: Sequence[ToolAnswer]) -> tuple[Level, str, str]:
    takes = [tool for tool in tools if tool.answer == "go"]
    undecided = [tool for tool in tools if tool.answer == "open"]
    if takes:
        best = [tool for tool in takes if _out_of_ten(tool.score) == _out_of_ten(takes[0].score)]
        headline = f"Take {text.listed([tool.name for tool in best], 'or')}"
        others = [tool for tool in tools if tool not in best]
        sentence = " ".join([_why(best[0], 2), *(_named(tool) for tool in others)])
        return "good", headline, sentence
    if undecided:
        headline = f"Undecided: {text.listed([tool.name for tool in undecided])}"
        return "warn", headline, " ".join(map(_named, tools))
    names = text.listed([tool.name for tool in tools], "or")
    return "bad", f"Do not take {names}", " ".join(map(_named, tools))


def _named(tool: ToolAnswer) -> str:
    """Return a sentence on a tool that is not the headline's first choice."""
    if tool.answer == "go":
        fresh = next(fact for fact in tool.facts if fact.label == "fresh")
        return f"{tool.name} is a GO too: {_lower_first(fresh.as_sentence())}"
    prefix = "Not" if tool.answer == "no-go" else "Undecided on"
    reason = _why(tool, 1) if tool.facts[0].level != "good" else f"{'; '.join(tool.reasons)}."
    return f"{prefix} {tool.name}: {_lower_first(reason)}"


def _why(tool: ToolAnswer, number: int) -> str:
    return " ".join(fact.as_sentence() for fact in tool.facts[:number])


def _score(tools: Sequence[ToolAnswer]) -> str:
    """Return the score of each tool by the reader's weights; "" if there are no weights."""
    scored = [(tool.name, tool.answer, tool.score) for tool in tools if tool.score is not None]
    if not scored:
        return ""
    lacking = [set(score.unknown) for _, _, score in scored]
    shared = set.intersection(*lacking)
    parts = []
    for (name, answer, score), unknown in zip(scored, lacking, strict=True):
        points = _out_of_ten(score)
        shown = f"{points:.1f} of 10" if points is not None else NOT_MEASURED
        notes = ["over a limit"] if answer == "no-go" else []
        notes += [f"without {_criteria(unknown - shared)}"] if unknown - shared else []
        parts.append(f"{name} {shown}" + (f" ({', '.join(notes)})" if notes else ""))
    without = f"; without {_criteria(shared)}" if shared else ""
    return f"{', '.join(parts)}{without}"


def _criteria(names: Collection[str]) -> str:
    return text.listed([CRITERION_NAMES[name] for name in CRITERIA if name in names])


CRITERION_NAMES: Final[Mapping[str, str]] = {
    "set_up_time": "set-up time",
    "ux": "UX",
    "cost": "cost",
    "snowflake_efficiency": "Snowflake efficiency",
    "correctness": "correctness",
    "freshness": "freshness",
    "features": "features",
}


def _out_of_ten(score: Score | None) -> float | None:
    return None if score is None or not score.most else 10 * score.total / score.most


def _source_headline(
    facts: Facts, verdict: Verdict, impact: Impact | None
) -> tuple[Level, str, str]:
    """Return what a load without tools showed."""
    committed, seconds = facts.totals.committed, facts.seconds
    if not seconds or not committed:
        return verdict.level, verdict.headline, verdict.sentence
    if committed < _FEW_WRITES:
        headline = f"The source took {text.plural(committed, 'write')} in {text.duration(seconds)}"
        return verdict.level, headline + verdict.but, verdict.sentence
    rate = rate_text(committed / seconds)
    if verdict.level != "good":
        return verdict.level, f"The source took {rate}{verdict.but}", verdict.sentence
    headline = f"The source kept up with {rate}"  # as planned: more was not tried
    if impact is not None and impact.service_p95 is not None:
        headline += f", 95% of them within {text.latency(impact.service_p95)}"
    return verdict.level, headline, verdict.sentence


def _source_facts(facts: Facts, impact: Impact | None) -> Iterator[Fact]:
    """Yield what the load showed about the source, a line each."""
    committed, seconds = facts.totals.committed, facts.seconds
    if not seconds or not facts.totals.offered:
        return
    if abs(committed - facts.planned) < 1:
        plan = "as planned"
    else:
        plan = f"{text.share(committed, facts.planned)} of the plan"
    writes = text.plural(committed, "write")
    yield Fact(
        "rate", f"{rate_text(committed / seconds)}, {plan}: {writes} in {text.duration(seconds)}"
    )
    if impact is None:
        return
    if impact.service_p95 is not None:
        due = f"; {text.latency(impact.intended_p95)} from when the write was due"
        yield Fact("latency", f"{text.latency(impact.service_p95)} service p95{due}")
    if committed < _FEW_WRITES:
        return
    if impact.wal_bytes_a_write is not None:
        daily = impact.wal_bytes_a_write * committed / seconds * _DAY
        a_write = text.size(impact.wal_bytes_a_write)
        yield Fact("WAL", f"{a_write} a write, {text.size(daily)} a day at this rate")
    if impact.cpu_seconds_a_thousand is not None:
        yield Fact("CPU", f"{text.latency(impact.cpu_seconds_a_thousand)} per 1,000 writes")


def rate_text(per_second: float) -> str:
    """Return a rate of writes in the unit that suits it, to three digits."""
    if per_second >= 1:
        seconds, unit = 1, "a second"
    else:
        seconds, unit = (60, "a minute") if per_second >= 1 / 6 else (3600, "an hour")
    return f"{text.quantity(float(f'{per_second * seconds:.3g}'))} writes {unit}"


def _caveats(facts: Facts, verdict: Verdict, study: Study) -> Iterator[Fact]:
    """Yield what to read before deciding."""
    if verdict.trusted:
        noted = verdict.level != "good"
        finding = f"{verdict.headline}. " if noted else ""
        trust = f"yes: {_lower_first(finding + verdict.sentence)}"
        brief = f"yes: {_lower_first(verdict.headline)}, and the tables confirm its count"
        shown = trust if study.tools else brief  # without tools the sentence stands above
        yield Fact("trusted", shown, "warn" if noted else "good", brief=brief)
    else:
        reason = _lower_first(verdict.headline)
        yield Fact("trusted", f"no: {reason}; find the cause, then repeat the run", "bad")
    yield Fact("length", _length(facts), "warn")
    if (model := likeness(facts.run, facts.seconds)) is not None:
        yield model
    if not study.tools:
        yield Fact("tools", f"none was tested: {_TO_COMPARE}", "warn")
    yield _prices(facts.run, study)
    if study.tools:
        yield Fact("limits", _limits(study.rules), "good" if study.rules.file else "warn")
    change = latency_change(study)
    if change and len(study.tools) > 1 and study.control:
        control = f"against run {study.control.run_id} without tools"
        yield Fact("source", f"writes with all tools: {change} {control}")
    if study.tools:
        yield Fact("unknown", "; ".join(_unknown(study)), "warn")


def _length(facts: Facts) -> str:
    writes = text.plural(facts.totals.committed, "write")
    if facts.seconds is None:
        return f"one run of unknown length, {writes}"
    run = f"one run of {text.duration(facts.seconds)}, {writes}"
    if facts.seconds < _SHORT_RUN:
        return f"{run}: too short for checkpoints, vacuum and daily peaks"
    return run


def _prices(run: Run, study: Study) -> Fact:
    projection = study.costs.projection if study.costs else None
    if projection is None or not projection.months:
        return Fact("prices", "not known; for list prices, run loadgen costs", "warn")
    dates = sorted(month.as_of for month in projection.months if month.as_of)
    dated = f" of {dates[0]}" if dates else ""
    dated += f" to {dates[-1]}" if dates and dates[0] != dates[-1] else ""
    sources = f"list prices{dated}, no quotes"
    if run.imported is not None and run.imported.rate_scale != 1:
        sources += "; a month of the imported database: loadgen costs --expected"
    best = _cheapest_instead(study)
    if best is None:
        return Fact("prices", sources, "warn")
    finding = f"no vendor's tool ran; the lowest list price for this load is {_price(best)}"
    brief = f"no vendor's tool ran; lowest list price for this load {_price(best)}"
    return Fact("prices", f"{finding}; {sources}", "warn", brief=brief)


def _price(month: PricedMonth) -> str:
    return f"{whole_dollars(month)} a month ({short_vendor(month.vendor)})"


def _cheapest_instead(study: Study) -> PricedMonth | None:
    """Return the cheapest vendor's month if none of the tools has a vendor's price."""
    months = [tool.cost.priced_month for tool in study.tools if tool.cost]
    if study.costs is None or any(m and m.card != INFRASTRUCTURE_CARD for m in months):
        return None
    return lowest_published(study.costs.projection.months)


def _limits(rules: Rules) -> str:
    if not rules.file:
        return "only the built-in one, no wrong rows: set yours in decision.toml"
    limits = [
        f"{FIGURE_NAMES[figure]} at most {limit_text(figure, limit)}"
        for figure, limit in rules.no_go.items()
    ]
    return f"{rules.file}: {', '.join(limits) or 'none'}"


def _unknown(study: Study) -> Iterator[str]:
    if study.control is None:
        yield "what the tools add to the source's load (no run without tools)"
    yield "queries on the copy, the network to a vendor, people's work"


def _lower_first(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _severity(level: Level) -> int:
    return ("good", "warn", "bad").index(level)
