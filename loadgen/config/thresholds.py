"""thresholds.toml: limits on a run, read from the file, and judged from what was measured.

Used at the end of a run and again by the report. A name that is not known is refused before a run
starts; what nothing has measured is not judged, and never passes in silence. Two limits hold for
every run, with or without a file: on skipped arrivals and on the generator. Judging is pure.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Final, Literal, Protocol

from loadgen.config.settings import Settings
from loadgen.config.toml_file import read_named
from loadgen.errors import SettingsError, meant

BOTTLENECK: Final = "generator_bottleneck_share"
_SHARES: Final = {"skipped_share": "skipped", "failed_share": "failed"}
# The kind of latency, its quantile, and how few writes are too few: fewer, and one write decides.
_LATENCIES: Final = {
    f"{kind}_{quantile}_seconds": (kind, quantile, least)
    for kind in ("service", "intended")
    for quantile, least in (("p95", 20), ("p99", 100))
}
_WHOLE: Final = 1000  # from here on a measurement is shown without digits behind the point
_LATER: Final = ("freshness_p95_seconds", "freshness_p99_seconds", "cost_dollars")
_OF_AN_OPERATION: Final = (*_SHARES, *_LATENCIES)
_OF_A_RUN: Final = (*_OF_AN_OPERATION, BOTTLENECK, *_LATER)
# Limits that hold unless the file has its own: a twentieth of the arrivals; a twentieth of the run,
# and in a short run a hiccup of the machine.
_SKIPPED_SHARE: Final = 0.05
_BOTTLENECK_SHARE, _BOTTLENECK_SECONDS = 0.05, 3.0

Verdict = Literal["pass", "missed", "not judged"]
Quantiles = Mapping[str, Mapping[str, float | None]]  # of service and intended, in seconds


class Tally(Protocol):
    """What became of arrivals, as far as a limit asks."""

    @property
    def offered(self) -> int:
        """Arrivals that fell due."""

    @property
    def committed(self) -> int:
        """Those whose commit was answered."""

    @property
    def failed(self) -> int:
        """Those that the source refused."""

    @property
    def skipped(self) -> int:
        """Those that nobody could take in time."""

    @property
    def unknown(self) -> int:
        """Those whose answer was lost and that could not be looked up."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """One limit: the highest value that passes; `operation` None is the whole run."""

    name: str
    limit: float
    operation: str | None = None

    def __str__(self) -> str:
        return self.name if self.operation is None else f"{self.name} of {self.operation}"


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of a run. None and absent keys are what nothing has measured.

    `total` and latency_all are of all operations together. bottleneck_seconds are those in which
    the generator was the bottleneck itself.
    """

    seconds: float | None
    bottleneck_seconds: float | None
    total: Tally
    totals: Mapping[str, Tally]
    latency_all: Quantiles
    latency: Mapping[str, Quantiles]

    @property
    def bottleneck_share(self) -> float | None:
        """The part of the run in which the generator was the bottleneck."""
        if self.bottleneck_seconds is None or not self.seconds:
            return None
        # Whole seconds may reach a little over a run's two ends.
        return min(1.0, self.bottleneck_seconds / self.seconds)

    def tally(self, operation: str | None) -> Tally | None:
        """Return the counts of one operation, or of all."""
        return self.total if operation is None else self.totals.get(operation)

    def quantiles(self, operation: str | None) -> Quantiles:
        """Return the latencies of one operation, or of all."""
        return self.latency_all if operation is None else self.latency.get(operation, {})


@dataclass(frozen=True, slots=True)
class Judged:
    """One limit and what was measured; `why` says why it was not judged."""

    threshold: Threshold
    verdict: Verdict
    measured: float | None = None
    why: str = ""

    def plain(self) -> dict[str, object]:
        """Return plain values, as the record holds them."""
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
    """All limits judged; `bottleneck` says in a line why the generator makes the run invalid."""

    results: tuple[Judged, ...]
    bottleneck: str | None

    @property
    def missed(self) -> list[Judged]:
        """The limits that were missed and that are not about the generator itself."""
        return [
            found
            for found in self.results
            if found.verdict == "missed" and found.threshold.name != BOTTLENECK
        ]

    def missed_share(self, outcome: Literal["skipped", "failed"]) -> bool:
        """Tell whether a limit on this share was missed, of the run or of one operation."""
        return any(_SHARES.get(result.threshold.name) == outcome for result in self.missed)


def load(settings: Settings, operations: Collection[str]) -> tuple[Threshold, ...]:
    """Return the limits in THRESHOLDS_FILE, of the run or of `operations`; none without a file.

    Raises SettingsError: for a file that was named and is not there, and for each thing in it that
    is no limit.
    """
    path, raw = settings.thresholds_file, read_named(settings, "thresholds_file")
    if raw is None:
        return ()
    found = list(_parsed(raw, operations))
    bad = [text for text in found if isinstance(text, str)]
    if bad:
        raise SettingsError("\n".join(f"{path}: {text}" for text in bad))
    return tuple(limit for limit in found if isinstance(limit, Threshold))


def with_built_in(limits: tuple[Threshold, ...]) -> tuple[Threshold, ...]:
    """Return the limits and the built-in one on skipped arrivals, unless they have their own."""
    if any(limit.name == "skipped_share" and limit.operation is None for limit in limits):
        return limits
    return (Threshold("skipped_share", _SKIPPED_SHARE), *limits)


def judge(limits: tuple[Threshold, ...], measured: Measured) -> Judgement:
    """Return what the limits say of what was measured."""
    results = tuple(_judged(limit, measured) for limit in limits)
    return Judgement(results, _bottleneck(limits, measured))


def _parsed(raw: Mapping[str, object], operations: Collection[str]) -> Iterator[Threshold | str]:
    """Yield each limit, or what is wrong with it."""
    for name, value in raw.items():
        if name != "operations":
            yield _limit(name, value, None)
        elif not isinstance(value, dict):
            yield "operations has to be tables, [operations.insert_order] for example"
        else:
            for operation, inner in value.items():
                if operation not in operations:
                    hint = meant(operation, operations)
                    yield f"[operations.{operation}] is no operation: {hint}"
                elif not isinstance(inner, dict):
                    yield f"operations.{operation} has to be a table, [operations.{operation}]"
                else:
                    yield from (_limit(inner_name, v, operation) for inner_name, v in inner.items())


def _limit(name: str, value: object, operation: str | None) -> Threshold | str:
    where = name if operation is None else f"{name} of [operations.{operation}]"
    known = _OF_A_RUN if operation is None else _OF_AN_OPERATION
    if name not in known:
        if name in _OF_A_RUN:
            return f"{where} is a limit on the whole run: put it above the tables"
        return f"{where} is no threshold: {meant(name, known)}"
    highest = 1.0 if name.endswith("_share") else inf
    allowed = "a number from 0 to 1" if highest == 1 else "a number, 0 or more"
    if not isinstance(value, int | float) or isinstance(value, bool):
        return f"{where} is {value!r}: it must be {allowed}"
    if not isfinite(value) or not 0 <= value <= highest:
        return f"{where} is {value!r}: it must be {allowed}"
    return Threshold(name, float(value), operation)


def _judged(limit: Threshold, measured: Measured) -> Judged:
    if limit.name in _SHARES:
        return _judged_share(limit, measured.tally(limit.operation))
    if limit.name in _LATENCIES:
        return _judged_latency(limit, measured)
    if limit.name == BOTTLENECK and measured.bottleneck_share is not None:
        return _compared(limit, measured.bottleneck_share)
    return Judged(limit, "not judged", why="nothing measured")


def _judged_share(limit: Threshold, tally: Tally | None) -> Judged:
    """Judge a share; one arrival alone is none, however few there are."""
    if tally is None or not tally.offered:
        return Judged(limit, "not judged", why="no arrival fell due")
    part = int(getattr(tally, _SHARES[limit.name]))
    share = part / tally.offered
    return Judged(limit, "missed" if part > 1 and share > limit.limit else "pass", share)


def _judged_latency(limit: Threshold, measured: Measured) -> Judged:
    kind, quantile, least = _LATENCIES[limit.name]
    tally = measured.tally(limit.operation)
    committed = tally.committed if tally is not None else 0
    if committed < least:
        why = f"{committed} writes are too few for a {quantile}, which takes {least}"
        return Judged(limit, "not judged", why=why)
    value = measured.quantiles(limit.operation).get(kind, {}).get(quantile)
    if value is None:
        return Judged(limit, "not judged", why="nothing measured")
    return _compared(limit, value)


def _compared(limit: Threshold, value: float) -> Judged:
    return Judged(limit, "missed" if value > limit.limit else "pass", value)


def _bottleneck(limits: tuple[Threshold, ...], measured: Measured) -> str | None:
    share, seconds = measured.bottleneck_share, measured.seconds or 0.0
    if share is None:
        return None
    given = next((limit.limit for limit in limits if limit.name == BOTTLENECK), None)
    limit = max(_BOTTLENECK_SHARE, _BOTTLENECK_SECONDS / seconds) if given is None else given
    if share <= limit:
        return None
    return (
        f"the generator itself was the bottleneck in {share * seconds:g} of {seconds:g} s "
        f"({share:.1%}, limit {limit:.1%}): ask for less, share the load among --processes, or "
        "free the machine"
    )
