"""The answer of a run on one tool: go, undecided or no-go, and the facts behind it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from loadgen import text
from loadgen.config import decision
from loadgen.config.decision import Rules, Score
from loadgen.record.costs import Costs, PricedMonth
from loadgen.record.verify import Kind
from loadgen.report.analysis.compare import Control
from loadgen.report.analysis.consistency import SOURCE, ReadCount, SumsReads
from loadgen.report.analysis.deliveries import Deliveries
from loadgen.report.analysis.impact import NOT_MEASURED, Impact, against
from loadgen.report.analysis.local_use import LocalUse
from loadgen.report.analysis.tool_summary import (
    INFRASTRUCTURE_CARD,
    Correctness,
    ToolCost,
    ToolSummary,
)
from loadgen.report.analysis.verdict import Level

WORDS: Final[Mapping[decision.Answer, str]] = {"go": "GO", "open": "UNDECIDED", "no-go": "NO-GO"}
FIGURE_NAMES: Final[Mapping[str, str]] = {
    "cost_dollars": "cost of the run",
    "credits_per_million_changes": "Snowflake credits per 1M changes",
    "wrong_rows": "wrong rows",
    "freshness_p95_seconds": "freshness p95",
}
_LEVELS: Final[Mapping[decision.Answer, Level]] = {"go": "good", "open": "warn", "no-go": "bad"}
_DESTINATIONS: Final = {
    "duckdb": "DuckDB",
    "parquet": "Parquet",
    "postgres": "Postgres",
    "snowflake": "Snowflake",
}
_UNTRUSTED: Final = "the run's figures can't be trusted"
_LONG: Final = 120.0  # seconds
_FIRST_FACTS: Final = 3  # of a tool: correctness, freshness, cost


@dataclass(frozen=True, slots=True)
class Study:
    """The tools of a run, the rules they are judged by, and their impact on the source.

    `reads` are those of conserved sums, at the copies and the source. `cells` are people's cells of
    RESULTS.md by criterion and tool. `wal_kept` is the most WAL, in
    bytes, that each tool's slot kept; None if the tool has no slot. `kinds`, `destinations` and
    `runners` are those of tools.toml.
    """

    tools: tuple[ToolSummary, ...] = ()
    rules: Rules = decision.BUILT_IN
    cells: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    wal_kept: Mapping[str, int | None] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    destinations: Mapping[str, str] = field(default_factory=dict)
    runners: Mapping[str, str] = field(default_factory=dict)
    impact: Impact | None = None
    control: Control | None = None
    costs: Costs | None = None
    use: Mapping[str, LocalUse] = field(default_factory=dict)  # by local tools
    reads: Mapping[str, SumsReads] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fact:
    """A labelled line of the answer; `level` colours its label.

    `sentence` is the same for running text, if the text alone does not read as one, `brief` the
    same for a terminal.
    """

    label: str
    text: str
    level: Level = "good"
    sentence: str = ""
    brief: str = ""

    def as_sentence(self) -> str:
        """Return the fact as a sentence."""
        return f"{text.first_capital(self.sentence or self.text)}."


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """The answer on one tool, and the facts behind it; `reasons` are limits missed or unknown."""

    name: str
    answer: decision.Answer
    reasons: tuple[str, ...]
    facts: tuple[Fact, ...]
    score: Score | None = None
    into: str = ""  # the kind of its destination

    @property
    def word(self) -> str:
        """The answer as people read it."""
        return WORDS[self.answer]

    @property
    def level(self) -> Level:
        """The answer's colour."""
        return _LEVELS[self.answer]

    @property
    def sentence(self) -> str:
        """What counts most, as sentences for a terminal."""
        shown = self.facts[:_FIRST_FACTS]
        if self.facts[0].level == "good":
            shown += tuple(fact for fact in self.facts if fact.label in {"limit", "open"})
        return " ".join(fact.as_sentence() for fact in shown)


def decide(
    tool: ToolSummary, rules: Rules, *, trusted: bool = True
) -> tuple[decision.Answer, tuple[str, ...]]:
    """Return whether a tool is a go, and the limits that it missed or that are not known."""
    figures = tool.figures()
    checks, wrong = decision.limits(rules, figures), figures["wrong_rows"]
    answer = decision.answer(checks, wrong)
    reasons = [
        f"{FIGURE_NAMES[check.figure]} {limit_text(check.figure, check.measured or 0.0)}, "
        f"limit {limit_text(check.figure, check.limit)}"
        for check in checks
        if check.over
    ]
    if wrong and not reasons:
        allowed = answer == "open"
        reasons.append(
            "the limit allows its wrong rows" if allowed else "a copy with wrong rows is no go"
        )
    reasons += [
        f"{FIGURE_NAMES[check.figure]} {NOT_MEASURED}" for check in checks if check.over is None
    ]
    if answer == "go" and not trusted:
        return "open", (_UNTRUSTED,)
    return answer, tuple(reasons)


def limit_text(figure: str, amount: float) -> str:
    """Return a figure of decision.toml in its unit."""
    if figure == "freshness_p95_seconds":
        return _age(amount)
    return f"${amount:,.2f}" if figure == "cost_dollars" else text.quantity(amount)


def month_text(month: PricedMonth) -> str:
    """Return a month's price with its band and grade."""
    grade = f"grade {month.grade}" + (f", {month.as_of}" if month.as_of else "")
    if month.amount is None:
        bounds = text.dollar_range(month.least, month.most)
        return f"{bounds} a month: part of it is not priced ({grade})"
    band = ""
    if month.low is not None and month.low != month.high:
        band = f"{text.dollar_range(month.low, month.high)}; "
    return f"{whole_dollars(month)} a month ({band}{grade})"


def whole_dollars(month: PricedMonth) -> str:
    """Return a month's price, a large one without cents."""
    amount = month.amount
    return f"${amount:,.0f}" if amount is not None and amount >= 100 else text.dollars(amount)


def tool_answer(tool: ToolSummary, study: Study, *, trusted: bool) -> ToolAnswer:
    """Return the answer on one tool; `trusted` tells whether the run's figures can be."""
    answer, reasons = decide(tool, study.rules, trusted=trusted)
    cells = {criterion: row.get(tool.name, "") for criterion, row in study.cells.items()}
    facts = [
        _correctness(tool.correctness),
        _freshness(tool.freshness),
        _cost(tool.cost, study.use.get(tool.name)),
        *_consistency(tool, study),
        *_source(tool, study),
    ]
    if reasons:
        listed = "; ".join(reasons)
        label, begin = ("limit", "over the limit") if answer == "no-go" else ("open", "open")
        facts.append(Fact(label, listed, _LEVELS[answer], f"{begin}: {listed}"))
    score = decision.score(study.rules, tool.figures(), cells)
    into = _DESTINATIONS.get(study.destinations.get(tool.name, ""), "")
    return ToolAnswer(tool.name, answer, reasons, tuple(facts), score, into)


def _correctness(copy: Correctness | None) -> Fact:
    if copy is None:
        return Fact(
            "correct", "not checked: loadgen verify did not run", "warn", "the copy was not checked"
        )
    rows = text.plural(copy.rows, "row")
    if copy.verdict == "right" and not copy.wrong:
        return Fact("correct", f"all {rows} match" if copy.rows != 1 else "the one row matches")
    if copy.verdict == "lossy":
        declared = text.plural(copy.findings.get("lossy", 0), "value")
        return Fact("correct", f"all {rows} match, except {declared} declared lossy")
    if copy.verdict == "late":
        return Fact("late", f"{_kinds(copy.late)} of {rows}, not due yet", "warn")
    if copy.wrong is None:
        problem = f": {copy.problem}" if copy.problem else ""
        return Fact("correct", f"not checked{problem}", "warn")
    return _wrong(copy, copy.wrong)


def _wrong(copy: Correctness, number: int) -> Fact:
    example = ""
    if finding := copy.example:
        column = f".{finding.column}" if finding.column else ""
        kind = finding.kind.replace("_", " ")
        example = f" (example: {finding.table} {finding.key}{column}, {kind})"
    kinds = _kinds(copy.findings)
    if "differs" in copy.findings:  # of a row, one for each column
        counts = f"{text.plural(number, 'difference')} in {text.plural(copy.rows, 'row')}: {kinds}"
        return Fact("wrong", counts + example, "bad", counts)
    counts = f"{text.plural(number, 'row')} of {text.count(copy.rows)}"
    sentence = f"{counts} {'is' if number == 1 else 'are'} wrong: {kinds}"
    return Fact("wrong", f"{counts}: {kinds}{example}", "bad", sentence)


def _kinds(counts: Mapping[Kind, int]) -> str:
    """Return the counts of undeclared findings in plain words."""
    shown = {kind.replace("_", " "): n for kind, n in counts.items() if kind != "lossy"}
    return text.kinds(shown)


def _freshness(copy: Deliveries | None) -> Fact:
    if copy is None:
        return Fact(
            "fresh", "not measured: loadgen watch did not run", "warn", "freshness was not measured"
        )
    count = text.plural(len(copy.markers), "marker")
    if not copy.seconds:
        return Fact("fresh", f"no change arrived: 0 of {count} seen", "bad")
    median = f"{copy.at_most}{_age(copy.quantile(0.5))} median"
    sentence = f"half the changes arrive within {_age(copy.quantile(0.5))}"
    if copy.p95 is None:
        rest = f"{_age(copy.seconds[-1])} longest of {len(copy.seconds)}"
        sentence += f", the slowest within {_age(copy.seconds[-1])}"
    else:
        rest = f"{_age(copy.p95)} p95"
        sentence += f", 95% within {_age(copy.p95)}"
    unseen = f"; {text.count(copy.not_seen)} of {count} not seen" if copy.not_seen else ""
    return Fact("fresh", f"{median}, {rest}{unseen}", sentence=sentence + unseen)


def _age(seconds: float | None) -> str:
    """Return an age, a long one in minutes or hours."""
    return text.latency(seconds) if seconds is None or seconds < _LONG else text.duration(seconds)


def _cost(cost: ToolCost | None, use: LocalUse | None) -> Fact:
    if cost is None:
        return Fact("cost", f"{text.NOT_PRICED}: tools.toml names no price for it", "warn")
    month = cost.priced_month
    if month is not None:
        level: Level = "good" if month.amount else "warn"
        if month.card != INFRASTRUCTURE_CARD:
            return Fact("cost", month_text(month), level)
        machines = f"{whole_dollars(month)} a month for machines only"
        return Fact(
            "cost", f"{month_text(month)}; machines only, no margin or work", level, machines
        )
    if cost.why_not_priced and use is not None and use.processors is not None:
        share, memory = _processors(use.processors), text.size(use.resident_bytes)
        brief = f"{text.NOT_PRICED}: {max(0.01, use.processors):.0%} CPU and {memory} here"
        return Fact("cost", f"{cost}, on {share} and {memory} of memory", "warn", brief)
    return Fact("cost", str(cost), "warn")


def _processors(number: float) -> str:
    share = f"{max(0.01, number):.0%} of a processor"
    return share if number < 1 else f"{text.quantity(number)} processors"


def _consistency(tool: ToolSummary, study: Study) -> Iterator[Fact]:
    """Yield how many reads of the copy were torn, if any were made and the source's agree."""
    reads, control = study.reads.get(tool.name), study.reads.get(SOURCE)
    count = reads.count() if reads else ReadCount(0, 0)
    if not count.reads or (control and control.count().torn):
        return
    number = text.plural(count.reads, "read")
    if count.torn:
        share = text.share(count.torn, count.reads)
        yield Fact("torn", f"{share} of {number} saw a part of a transaction", "warn")
    else:
        yield Fact("consistent", f"none of {number} saw a part of a transaction")


def _source(tool: ToolSummary, study: Study) -> Iterator[Fact]:
    """Yield what the tool does to the source, as far as it is known of the tool alone."""
    parts = []
    if len(study.tools) == 1 and (latency := latency_change(study)):
        parts.append(latency)
    if tool.name in study.wal_kept:
        size = study.wal_kept[tool.name]
        parts.append("no slot, keeps no WAL" if size is None else f"{text.size(size)} of WAL kept")
    if parts:
        yield Fact("source", ", ".join(parts), sentence=f"source: {', '.join(parts)}")


def latency_change(study: Study) -> str:
    """Return by how much writes took longer than without tools; "" without a control."""
    if study.control is None or study.impact is None:
        return ""
    change = against(study.impact.service_p95, study.control.impact.service_p95)
    return "" if change == text.NOTHING else f"{change} service p95"
