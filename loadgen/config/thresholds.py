"""thresholds.toml: limits on a run, read and compared with its measurements.

Used at the end of a run and by the report. An unknown name is refused before a run starts; a limit
without a measurement is reported as not judged. Two limits apply to every run, even without a file:
on skipped arrivals and on the generator.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Final, Literal, Protocol

from loadgen.config.settings import Settings, read_toml_setting
from loadgen.errors import SettingsError, meant

BOTTLENECK: Final = "generator_bottleneck_share"
_SHARES: Final = {"skipped_share": "skipped", "failed_share": "failed"}
# The kind of latency, its quantile, and the fewest writes for it: below, a single write decides.
_LATENCIES: Final = {
    f"{kind}_{quantile}_seconds": (kind, quantile, least)
    for kind in ("service", "intended")
    for quantile, least in (("p95", 20), ("p99", 100))
}
_WHOLE: Final = 1000  # larger measurements are shown without decimals
_LATER: Final = ("freshness_p95_seconds", "freshness_p99_seconds", "cost_dollars")
_OF_AN_OPERATION: Final = (*_SHARES, *_LATENCIES)
_OF_A_RUN: Final = (*_OF_AN_OPERATION, BOTTLENECK, *_LATER)
# Limits unless the file sets them: a twentieth of the arrivals; a twentieth of the run, or three
# seconds in a short run, in which the machine may pause once.
_SKIPPED_SHARE: Final = 0.05
_BOTTLENECK_SHARE, _BOTTLENECK_SECONDS = 0.05, 3.0

Verdict = Literal["pass", "missed", "not judged"]
Quantiles = Mapping[str, Mapping[str, float | None]]  # of service and intended, in seconds


class Tally(Protocol):
    """Arrivals by outcome."""

    @property
    def offered(self) -> int:
        """Arrivals that fell due."""

    @property
    def committed(self) -> int:
        """Arrivals whose commit was confirmed."""

    @property
    def failed(self) -> int:
        """Arrivals that the source refused."""

    @property
    def skipped(self) -> int:
        """Arrivals that no connection could take in time."""

    @property
    def unknown(self) -> int:
        """Arrivals whose answer was lost and that could not be looked up."""


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
    """Measurements of a run; None and absent keys were not measured.

    `total` and `latency_all` cover all operations. `bottleneck_seconds` is the time in which the
    generator itself was the bottleneck.
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
        # Whole seconds may extend beyond the ends of a run.
        return min(1.0, self.bottleneck_seconds / self.seconds)

    def tally(self, operation: str | None) -> Tally | None:
        """Return the counts of one operation, or of all."""
        return self.total if operation is None else self.totals.get(operation)

    def quantiles(self, operation: str | None) -> Quantiles:
        """Return the latencies of one operation, or of all."""
        return self.latency_all if operation is None else self.latency.get(operation, {})


@dataclass(frozen=True, slots=True)
class Judged:
    """A limit and its measurement; `why` is the reason if it was not judged."""

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
    """All limits, judged; `bottleneck` is a line if the generator makes the run invalid."""

    results: tuple[Judged, ...]
    bottleneck: str | None

    @property
    def missed(self) -> list[Judged]:
        """The limits that were missed, without that on the generator."""
        return [
            judged
            for judged in self.results
            if judged.verdict == "missed" and judged.threshold.name != BOTTLENECK
        ]

    def missed_share(self, outcome: Literal["skipped", "failed"]) -> bool:
        """Return whether a limit on this share was missed, of the run or of one operation."""
        return any(_SHARES.get(judged.threshold.name) == outcome for judged in self.missed)


def load(settings: Settings, operations: Collection[str]) -> tuple[Threshold, ...]:
    """Return the limits in THRESHOLDS_FILE, on the run or on `operations`; none without a file.

    Raises SettingsError if a file that was named explicitly does not exist, and with a line for
    each error in the file.
    """
    path, raw = settings.thresholds_file, read_toml_setting(settings, "thresholds_file")
    if raw is None:
        return ()
    parsed = list(_parsed(raw, operations))
    errors = [text for text in parsed if isinstance(text, str)]
    if errors:
        raise SettingsError("\n".join(f"{path}: {text}" for text in errors))
    return tuple(limit for limit in parsed if isinstance(limit, Threshold))


def with_built_in(limits: tuple[Threshold, ...]) -> tuple[Threshold, ...]:
    """Add the built-in limit on skipped arrivals unless `limits` has one."""
    if any(limit.name == "skipped_share" and limit.operation is None for limit in limits):
        return limits
    return (Threshold("skipped_share", _SKIPPED_SHARE), *limits)


def judge(limits: tuple[Threshold, ...], measured: Measured) -> Judgement:
    """Compare the measurements with the limits."""
    return Judgement(
        tuple(_judged(limit, measured) for limit in limits), _bottleneck(limits, measured)
    )


def _parsed(raw: Mapping[str, object], operations: Collection[str]) -> Iterator[Threshold | str]:
    """Yield each limit, or the error in it as text."""
    tables = raw.get("operations", {})
    yield from (_limit(name, limit, None) for name, limit in raw.items() if name != "operations")
    if not isinstance(tables, dict):
        yield "operations must be tables, [operations.insert_order] for example"
        return
    for operation, table in tables.items():
        if operation not in operations:
            hint = meant(operation, operations)
            yield f"[operations.{operation}] is not an operation: {hint}"
        elif not isinstance(table, dict):
            yield f"operations.{operation} must be a table, [operations.{operation}]"
        else:
            yield from (_limit(name, limit, operation) for name, limit in table.items())


def _limit(name: str, limit: object, operation: str | None) -> Threshold | str:
    where = name if operation is None else f"{name} of [operations.{operation}]"
    known = _OF_A_RUN if operation is None else _OF_AN_OPERATION
    if name not in known:
        if name in _OF_A_RUN:
            return f"{where} is a limit on the whole run: put it above the tables"
        return f"{where} is no threshold: {meant(name, known)}"
    highest = 1.0 if name.endswith("_share") else inf
    allowed = "a number from 0 to 1" if highest == 1 else "a number, 0 or more"
    if (
        isinstance(limit, bool)
        or not isinstance(limit, int | float)
        or not (isfinite(limit) and 0 <= limit <= highest)
    ):
        return f"{where} is {limit!r}: it must be {allowed}"
    return Threshold(name, float(limit), operation)


def _judged(limit: Threshold, measured: Measured) -> Judged:
    if limit.name in _SHARES:
        return _judged_share(limit, measured.tally(limit.operation))
    if limit.name in _LATENCIES:
        return _judged_latency(limit, measured)
    if limit.name == BOTTLENECK and measured.bottleneck_share is not None:
        return _compared(limit, measured.bottleneck_share)
    return Judged(limit, "not judged", why="nothing measured")


def _judged_share(limit: Threshold, tally: Tally | None) -> Judged:
    """Judge a share; a single arrival never misses a limit, however few there are."""
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
    seconds = measured.quantiles(limit.operation).get(kind, {}).get(quantile)
    if seconds is None:
        return Judged(limit, "not judged", why="nothing measured")
    return _compared(limit, seconds)


def _compared(limit: Threshold, figure: float) -> Judged:
    return Judged(limit, "missed" if figure > limit.limit else "pass", figure)


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
