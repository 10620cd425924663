"""What a load prints on the terminal: plain lines without colour, readable in a log file.

On a terminal its activity is one line that is rewritten in place, elsewhere a line a minute.
"""

import sys
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from typing import TextIO

from loadgen.config.settings import dashboard_link
from loadgen.errors import PlaygroundError, error_lines
from loadgen.load.controller import RunController
from loadgen.load.outcome import Outcome
from loadgen.load.rate_history import RateHistory, Rates
from loadgen.record.run import SampleCoverage
from loadgen.terminal import print_table, print_wrapped, status_line
from loadgen.text import Column, Table, count, duration, latency, quantity, value, whole
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts

_LINE_SECONDS = 60.0  # between two lines of activity
_EARLY_SECONDS = 10.0  # between those of the first minute, if somebody may be watching
_COLUMNS = 80
_LOSSES = ("failed", "skipped", "unknown")  # columns that are shown only if there are any


class RunConsole:
    """Prints one run: its start, its activity, and its summary.

    With `on_stderr` stdout is left to Locust's --json.
    """

    def __init__(self, controller: RunController, *, on_stderr: bool = False) -> None:
        self._controller = controller
        self._on_stderr = on_stderr
        self._next_line = 0.0
        self._intended = Histogram()  # since the last line

    def print_start(self) -> None:
        """Print the plan and the path of the record."""
        controller = self._controller
        plan, live_changes = controller.plan, controller.live_changes
        rates = [f"{name} {value(n)}" for name, n in live_changes.mix.rates_per_hour.items()]
        done = plan.duration - controller.left
        resumed = f", resumed after {duration(done)}" if done else ""
        self._print(
            f"run {plan.run_id}: {duration(plan.duration)}, {live_changes.profile}, "
            f"{plan.arrivals} arrivals{resumed}"
        )
        for line in textwrap.wrap(f"per hour: {', '.join(rates)}", _COLUMNS - 2):
            self._print(f"  {line}")
        if paused := live_changes.paused:
            self._print(
                f"  paused by {paused.by} ({paused.reason}): continue with `loadgen resume`"
            )
        self._print(f"  record: {controller.record.path}")

    def print_activity(self, history: RateHistory, total: Counts) -> None:
        """Show the newest rates on the terminal; without one, print a line a minute."""
        latest = self._controller.sampler.intended
        self._intended.merge(latest)
        newest = history.newest()
        if newest is None:
            return
        is_shown = status_line.show(self._activity(newest, latest, total))
        is_terminal = self._file().isatty()
        if is_shown and is_terminal:
            return
        # A terminal that shows no live line, as that of a job in the background, has some lines
        # early.
        is_early = is_terminal and newest.seconds < _LINE_SECONDS
        interval = _EARLY_SECONDS if is_early else _LINE_SECONDS
        if newest.seconds < max(interval, self._next_line):
            return
        since, self._intended = self._intended, Histogram()
        self._next_line = (newest.seconds // interval + 1) * interval
        self._print(self._activity(history.newest(interval) or newest, since, total))

    def _activity(self, rates: Rates, intended: Histogram, total: Counts) -> str:
        """Return a line on the rates and latencies of late; it fits 80 columns without losses."""
        controller = self._controller
        (p95,) = intended.quantiles((0.95,))
        left = max(0.0, controller.plan.duration - rates.seconds)
        paused = controller.live_changes.paused
        parts = [
            f"paused by {paused.by}" if paused else f"target {quantity(rates.target)}/s",
            f"committed {quantity(rates.committed)}/s",
            f"p95 {latency(p95)}",
            f"skipped {total.skipped:,}",
            *(f"{name} {n:,}" for name in ("failed", "unknown") if (n := getattr(total, name))),
        ]
        return f"{duration(round(rates.seconds))}, {duration(round(left))} left: {', '.join(parts)}"

    def print_notices(self, notices: Sequence[tuple[str, Mapping[str, object]]]) -> None:
        """Print what happened to the processes, the source and the record since the last sample."""
        for kind, details in notices:
            if kind == "worker_joined":
                self._print(f"worker {details['worker']} has joined{_repeated(details)}")
            elif notice := _notice(kind, details):
                print_warning(f"{notice}{_repeated(details)}")

    def print_summary(self, outcome: Outcome) -> None:
        """Print the counts and latencies by operation, and the verdict."""
        controller, verdict = self._controller, outcome.verdict
        plan, paused = controller.plan, controller.live_changes.paused
        self._print(
            f"\nrun {outcome.run_id}: {duration(outcome.seconds)} of {plan.profile} "
            f"{plan.arrivals} arrivals ({whole(sum(outcome.planned.values()))} planned), "
            f"seed {plan.seed}, {controller.users} users"
        )
        labels = {name: of.label for name, of in controller.operations.items()}
        with redirect_stdout(self._file()):
            print_table(_summary_table(outcome, labels), caption="service, intended: latency, p95")
        for name, failures in outcome.failures.items():
            by_sqlstate = [f"{n:,} with SQLSTATE {state}" for state, n in failures.items()]
            self._print(f"failed: {name}: {', '.join(by_sqlstate)}")
        if not any(getattr(total, name) for total in outcome.totals.values() for name in _LOSSES):
            self._print("No write failed, and none was skipped.")
        if not verdict.problems:
            self._print(
                "Rows gained equal the committed counters; the accounting law held in all "
                f"{_samples(controller.sampled)}."
            )
        if paused is not None:
            self._print(f"It was paused by {paused.by} to the end: {paused.reason}")
        for reason in verdict.reasons:
            self._print(f"INVALID: {reason}")
        self._print_judgement(outcome)
        if controller.settings.grafana_url:
            now = datetime.now(UTC)
            began = now - timedelta(seconds=outcome.seconds)
            link = dashboard_link(controller.settings.grafana_url, outcome.run_id, began, now)
            self._print(f"graphs: {link}")
        self._print(f"record: {controller.record.path}\nnext:   loadgen report")

    def _print_judgement(self, outcome: Outcome) -> None:
        """Print the thresholds that were missed or not judged, and the verdict."""
        judgement = outcome.verdict.judgement
        if outcome.bottleneck_seconds and not judgement.bottleneck:
            self._print(
                f"The generator itself was the bottleneck in {outcome.bottleneck_seconds} of "
                f"{outcome.seconds:g} s, which is within the limit: see generator.csv"
            )
        for judged in judgement.thresholds:
            if judged.verdict == "not judged":
                self._print(f"Threshold {judged}")
        for judged in judgement.missed:
            self._print(f"MISSED: {judged}")
        passed = sum(judged.verdict == "pass" for judged in judgement.thresholds)
        if passed:
            self._print(f"Thresholds passed: {passed} of {len(judgement.thresholds)}")
        self._print(f"verdict: {outcome.verdict}")

    def _file(self) -> TextIO:
        return sys.stderr if self._on_stderr else sys.stdout

    def _print(self, text: str) -> None:
        print_wrapped(text, self._file())


def print_error(exc: PlaygroundError) -> None:
    """Print an error, a line for each thing that is wrong."""
    for line in error_lines(exc):
        print(f"loadgen: error: {line}", file=sys.stderr, flush=True)


def print_warning(warning: str) -> None:
    """Print a warning in one line."""
    print(f"loadgen: warning: {warning}", file=sys.stderr, flush=True)


def warn_of_ignored_settings(lines: Sequence[str]) -> None:
    """Warn of settings that a resumed run does not take, since it keeps its own."""
    if lines:
        print_warning(f"a resumed run keeps its own settings; not taken: {'; '.join(lines)}")


def warn_of_misspelt(names: Mapping[str, str]) -> None:
    """Warn of names in .env that are no setting, each with the setting that it resembles."""
    for name, setting in names.items():
        print_warning(f".env has {name}, which is no setting: did you mean {setting}?")


def _notice(kind: str, details: Mapping[str, object]) -> str:
    """Return a journal entry as a warning; empty if it needs none."""
    why, pause = details.get("why"), f"{details.get('seconds')} s"
    match kind, details.get("what"):
        case "worker_lost", _:
            then = "the others take over" if "handed_over_at" in details else "the run is ending"
            notice = f"worker {details['worker']} is lost ({why}): {then}"
        case "clock_stepped", _:
            notice = f"this machine's clock was set by {pause}; the record's clock was not"
        case "fault", "source_lost":
            notice = f"no connection to the source is left ({why}): trying again"
        case "fault", "source_back":
            notice = f"the source is back after {pause}"
        case "fault", "connection_refused":
            notice = f"only {details.get('connections')} connections can be had: {why}"
        case "fault", "record_unwritable" if "seconds" in details:
            notice = f"the record can be written again after {pause}; nothing is missing"
        case "fault", "record_unwritable":
            notice = f"{why}; the record is kept in memory and tried again every second"
        case _:
            notice = ""
    return notice


def _repeated(details: Mapping[str, object]) -> str:
    """Return how often it has happened, unless it is the first time."""
    since = details.get("since")
    if not isinstance(since, datetime):
        return ""
    return f" ({details['count']} times since {since:%Y-%m-%d %H:%M:%S} UTC)"


def _samples(sampled: SampleCoverage) -> str:
    without = sampled.seconds_without
    missing = f", but for {duration(without)} there was none" if without else ""
    return f"{sampled.samples:,} samples{missing}"


def _summary_table(outcome: Outcome, labels: Mapping[str, str]) -> Table:
    """Return a row an operation; losses have a column only if there are any."""
    losses = [
        name for name in _LOSSES if any(getattr(total, name) for total in outcome.totals.values())
    ]
    columns = ["offered", "committed", *losses, "service", "intended"]
    rows = [
        (
            labels[name],
            count(total.offered),
            count(total.committed),
            *(count(getattr(total, loss)) for loss in losses),
            latency(outcome.latency[name]["service"]["p95"]),
            latency(outcome.latency[name]["intended"]["p95"]),
        )
        for name, total in outcome.totals.items()
    ]
    return Table((Column(""), *(Column(name, number=True) for name in columns)), tuple(rows))
