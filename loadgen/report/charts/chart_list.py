"""Which charts a run's report has, and the sentence above each. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadgen import text
from loadgen.report.analysis.downsample import FEW_ARRIVALS, Span, spans, steps
from loadgen.report.analysis.intervals import Interval
from loadgen.report.analysis.run import Done, Facts, shown_events
from loadgen.report.charts import load
from loadgen.report.charts.load import ChartTitle, Frame, Mark
from loadgen.report.charts.svg import Drawing

_MOST_BARS = 80


@dataclass(frozen=True, slots=True)
class ChartList:
    """The charts of a report, in three groups; a group without anything to show is empty."""

    rates: tuple[Drawing, ...]
    latency: tuple[Drawing, ...]
    undone: tuple[Drawing, ...]

    def files(self) -> dict[str, tuple[Drawing, ...]]:
        """Return the groups that have charts, by the name of the file that holds them."""
        groups = {"rates": self.rates, "latency": self.latency, "undone": self.undone}
        return {name: drawings for name, drawings in groups.items() if drawings}


def charts(facts: Facts) -> ChartList:
    """Return the charts of a run."""
    thinned = {name: spans(parts) for name, parts in facts.parts.items()}
    frame = _frame(facts, thinned)
    shown = [done for done in facts.operations if thinned.get(done.operation)]
    return ChartList(
        rates=tuple(_rates(done, facts, thinned, frame) for done in shown if done.totals.offered),
        latency=_latency(facts, frame),
        undone=tuple(
            _undone(done, facts.parts[done.operation], frame)
            for done in shown
            if done.totals.skipped or done.totals.failed
        ),
    )


def _frame(facts: Facts, thinned: Mapping[str, Sequence[Span]]) -> Frame:
    length = max((found[-1].end for found in thinned.values() if found), default=0.0)
    start = facts.start
    marks = tuple(
        Mark((event.at - start).total_seconds(), str(number))
        for number, event in shown_events(facts.run)
        if start is not None
    )
    return Frame(length, marks)


def _rates(
    done: Done, facts: Facts, thinned: Mapping[str, Sequence[Span]], frame: Frame
) -> Drawing:
    title = ChartTitle(done.operation, _done_sentence(done))
    if (done.asked or done.totals.offered) < FEW_ARRIVALS:
        return load.draw_steps(title, steps(facts.parts[done.operation]), frame)
    return load.draw_rates(title, thinned[done.operation], frame)


def _latency(facts: Facts, frame: Frame) -> tuple[Drawing, ...]:
    names = [done.operation for done in facts.operations if done.operation in facts.parts]
    series = {name: spans(facts.parts[name], telling=False) for name in names}
    timed = {n: found for n, found in series.items() if any(span.intended for span in found)}
    limits = load.latency_limits(list(timed.values()))
    if limits is None:
        return ()
    return tuple(
        load.draw_latency(ChartTitle(name, _latency_sentence(facts, name)), found, frame, limits)
        for name, found in timed.items()
    )


def _undone(done: Done, parts: Sequence[Interval], frame: Frame) -> Drawing:
    title = ChartTitle(done.operation, _undone_sentence(done, parts))
    return load.draw_undone(title, spans(parts, _MOST_BARS, telling=False), frame)


def _done_sentence(done: Done) -> str:
    totals, offered = done.totals, done.totals.offered
    if totals.committed == offered:
        return (
            "The one arrival was committed."
            if offered == 1
            else (f"All {text.count(offered)} arrivals were committed.")
        )

    def part(number: int) -> str:
        return text.count(number) if offered < FEW_ARRIVALS else text.share(number, offered)

    rest = [
        f"{part(number)} {name}"
        for name, number in (("skipped", totals.skipped), ("failed", totals.failed))
        if number
    ]
    tail = f"; {', '.join(rest)}" if rest else ""
    of = f"{text.count(offered)} {'arrival' if offered == 1 else 'arrivals'}"
    return f"{part(totals.committed)} of {of} were committed{tail}."


def _latency_sentence(facts: Facts, operation: str) -> str:
    found = facts.run.latency.get(operation)
    if found is None or found.service.p95 is None:
        return "p95 of each sample; the run has no end yet."
    service, intended = text.latency(found.service.p95), text.latency(found.intended.p95)
    return f"95% of writes took {service} from sending, {intended} from their due time."


def _undone_sentence(done: Done, parts: Sequence[Interval]) -> str:
    seconds = sum(part.seconds for part in parts if part.skipped or part.failed)
    found = [
        f"{text.count(number)} {name}"
        for name, number in (("skipped", done.totals.skipped), ("failed", done.totals.failed))
        if number
    ]
    return f"{text.listed(found)}, within {text.duration(max(1, round(seconds)))} of the run."
