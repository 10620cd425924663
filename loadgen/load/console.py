"""What a run says in the terminal: plain lines, no colour, readable in a log file."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from loadgen.config.settings import dashboard_link
from loadgen.errors import PlaygroundError, error_lines
from loadgen.load.controller import RunController
from loadgen.load.outcome import Outcome
from loadgen.record.run import SampleCoverage
from loadgen.workload.ledger import Counts
from loadgen.workload.operations import OPERATIONS

_FIRST_MINUTE, _LATER = 10.0, 600.0  # seconds between two lines of activity
_stdout_is_taken = False


def leave_stdout() -> None:
    """Say everything on stderr from now on: with --json Locust's stdout is for programs."""
    global _stdout_is_taken  # noqa: PLW0603 - one terminal a process
    _stdout_is_taken = True


def _print(text: str) -> None:
    print(text, file=sys.stderr if _stdout_is_taken else None, flush=True)


class Activity:
    """Says a line of activity every 10 s in the first minute, then every 10 minutes."""

    def __init__(self) -> None:
        self._next = _FIRST_MINUTE

    def line(self, now: float, counts: Mapping[str, Counts], asked: Mapping[str, float]) -> None:
        """Print one line if it is time for one."""
        if now < self._next:
            return
        self._next += _FIRST_MINUTE if self._next < 60 else _LATER
        total = sum(counts.values(), Counts())
        parts = [
            f"{duration(now):>8}",
            f"asked {sum(asked.values()):,.1f}  offered {total.offered:,}",
            f"committed {total.committed:,}",
        ]
        parts += [
            f"{word} {n:,}"
            for word, n in (
                ("failed", total.failed),
                ("skipped", total.skipped),
                ("unknown", total.unknown),
            )
            if n
        ]
        _print("  ".join(parts))


def print_opening(controller: RunController) -> None:
    """Say what is asked for and where it is written."""
    plan = controller.plan
    mix, profile = controller.live_changes.mix, controller.live_changes.profile
    rates = ", ".join(f"{name} {rate:,.15g}" for name, rate in mix.rates_per_hour.items())
    done = plan.duration - controller.left
    at = f", resumed after {duration(done)}" if done else ""
    _print(f"run {plan.run_id}: {duration(plan.duration)}, {profile}, {plan.arrivals} arrivals{at}")
    _print(f"  per hour: {rates}")
    paused = controller.live_changes.paused
    if paused is not None:
        _print(f"  paused by {paused.by} ({paused.reason}): `loadgen resume` goes on")
    _print(f"  record: {controller.record.path}")


def print_news(news: Sequence[tuple[str, Mapping[str, object]]]) -> None:
    """Say what happened to the processes since the last sample."""
    for kind, details in news:
        if kind == "worker_lost":
            then = "the others take over" if "handed_over_at" in details else "the run is ending"
            text = f"worker {details['worker']} is lost ({details['why']}): {then}"
            print(f"loadgen: warning: {text}{_times(details)}", file=sys.stderr, flush=True)
        elif kind == "worker_joined":
            _print(f"worker {details['worker']} has joined{_times(details)}")
        elif kind == "clock_stepped":
            text = f"this machine's clock was set by {details['seconds']} s; the record's goes on"
            print(f"loadgen: warning: {text}{_times(details)}", file=sys.stderr, flush=True)
        elif kind == "fault" and (text := _fault(details)):
            print(f"loadgen: warning: {text}", file=sys.stderr, flush=True)


def _fault(details: Mapping[str, object]) -> str:
    """Return what is said of a fault; empty for one that needs no word here."""
    if details["what"] == "source_lost":
        text = f"no connection to the source is left ({details['why']}): trying again"
    elif details["what"] == "source_back":
        text = f"the source is back after {details['seconds']} s"
    elif details["what"] == "connection_refused":
        text = f"only {details['connections']} connections can be had: {details['why']}"
    elif details["what"] == "record_unwritable" and "seconds" not in details:
        text = f"{details['why']}; the record is kept in memory and tried again every second"
    elif details["what"] == "record_unwritable":
        text = f"the record can be written again after {details['seconds']} s; nothing is missing"
    else:
        return ""
    return f"{text}{_times(details)}"


def _times(details: Mapping[str, object]) -> str:
    """Return how often something has happened, where it is not the first time."""
    since = details.get("since")
    if not isinstance(since, datetime):
        return ""
    return f" ({details['count']} times since {since:%Y-%m-%d %H:%M:%S} UTC)"


def _law(found: SampleCoverage) -> str:
    """Return what may be claimed of the accounting law: it was looked at in samples alone."""
    without = found.seconds_without
    missing = f", but for {duration(without)} there was none" if without else ""
    return f"the accounting law held in all {found.samples:,} samples{missing}"


def print_summary(outcome: Outcome, controller: RunController) -> None:
    """Say what was asked, offered and done, how long it took, and whether to trust it."""
    plan = controller.plan
    _print(
        f"\nrun {outcome.run_id}: {duration(outcome.seconds)} of {plan.profile} {plan.arrivals} "
        f"arrivals, seed {plan.seed}, {controller.users} users"
    )
    _print(
        f"{'operation':<20}{'asked':>11}{'offered':>10}{'committed':>10}{'failed':>8}"
        f"{'skipped':>8}{'unknown':>8}{'service p95':>13}{'intended p95':>14}"
    )
    for name in OPERATIONS:
        counts, latency = outcome.totals[name], outcome.latency[name]
        _print(
            f"{name:<20}{outcome.planned[name]:>11,.1f}{counts.offered:>10,}"
            f"{counts.committed:>10,}"
            f"{counts.failed:>8,}{counts.skipped:>8,}{counts.unknown:>8,}"
            f"{milliseconds(latency['service']['p95']):>13}"
            f"{milliseconds(latency['intended']['p95']):>14}"
        )
    for name, failures in outcome.failures.items():
        by_sqlstate = ", ".join(f"{n:,} with SQLSTATE {state}" for state, n in failures.items())
        _print(f"failed: {name}: {by_sqlstate}")
    verdict = outcome.verdict
    if not verdict.problems:
        _print(f"Rows gained equal the committed counters; {_law(controller.sampled)}.")
    paused = controller.live_changes.paused
    if paused is not None:
        _print(f"It was paused by {paused.by} to the end: {paused.reason}")
    for reason in verdict.reasons:
        _print(f"INVALID: {reason}")
    _print_judgement(outcome)
    if controller.settings.grafana_url:
        began = datetime.now(UTC) - timedelta(seconds=outcome.seconds)
        link = dashboard_link(
            controller.settings.grafana_url, outcome.run_id, began, datetime.now(UTC)
        )
        _print(f"graphs: {link}")
    _print(f"record: {controller.record.path}\nnext:   loadgen report")


def _print_judgement(outcome: Outcome) -> None:
    """Say what the limits say, and the verdict."""
    judgement = outcome.verdict.judgement
    if outcome.bottleneck_seconds and not judgement.bottleneck:
        _print(
            f"The generator itself was the bottleneck in {outcome.bottleneck_seconds} of "
            f"{outcome.seconds:g} s, which is within the limit: see generator.csv"
        )
    for found in judgement.thresholds:
        if found.verdict == "not judged":
            _print(f"Threshold {found}")
    for found in judgement.missed:
        _print(f"MISSED: {found}")
    passed = sum(found.verdict == "pass" for found in judgement.thresholds)
    if passed:
        _print(f"Thresholds passed: {passed} of {len(judgement.thresholds)}")
    _print(f"verdict: {outcome.verdict}")


def print_error(exc: PlaygroundError) -> None:
    """Say what was wrong, a line for each thing."""
    for line in error_lines(exc):
        print(f"loadgen: error: {line}", file=sys.stderr, flush=True)


def warn_of_kept(words: Sequence[str]) -> None:
    """Say what was asked for and is not taken, since a resumed run keeps its own."""
    if words:
        text = f"a resumed run keeps its own settings; not taken: {'; '.join(words)}"
        print(f"loadgen: warning: {text}", file=sys.stderr, flush=True)


def warn_of_misspelt(names: Mapping[str, str]) -> None:
    """Say which names in .env are no setting, and which was probably meant."""
    for name, meant in names.items():
        text = f".env has {name}, which is no setting: did you mean {meant}?"
        print(f"loadgen: warning: {text}", file=sys.stderr)


def warn_of_options(texts: Sequence[str]) -> None:
    """Say which options were given in vain."""
    for text in texts:
        print(f"loadgen: warning: {text}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Return `seconds` as a person would write it: 48h, 1h30m, 90s."""
    whole = round(seconds)
    if whole < 120:
        return f"{seconds:g}s" if seconds == whole else f"{seconds:.1f}s"
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    parts = (
        f"{hours}h" if hours else "",
        f"{minutes}m" if minutes else "",
        f"{rest}s" if rest else "",
    )
    return "".join(parts)


def milliseconds(seconds: float | None) -> str:
    """Return a latency in milliseconds; a dash where there is none."""
    return "-" if seconds is None else f"{seconds * 1000:,.1f} ms"
