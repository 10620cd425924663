"""thresholds.toml: limits on a run. `record.verdict` applies them.

A name that is not known is refused before a run starts.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Final

from loadgen.config.settings import Settings, read_toml_setting
from loadgen.errors import SettingsError, suggest

BOTTLENECK: Final = "generator_bottleneck_share"
SHARES: Final = {"skipped_share": "skipped", "failed_share": "failed"}
# The kind of latency, its quantile, and the fewest writes to judge it by: with fewer, one write
# decides.
LATENCIES: Final = {
    f"{kind}_{quantile}_seconds": (kind, quantile, fewest)
    for kind in ("service", "intended")
    for quantile, fewest in (("p95", 20), ("p99", 100))
}
_LATER: Final = ("freshness_p95_seconds", "freshness_p99_seconds", "cost_dollars")
_OF_AN_OPERATION: Final = (*SHARES, *LATENCIES)
_OF_A_RUN: Final = (*_OF_AN_OPERATION, BOTTLENECK, *_LATER)


@dataclass(frozen=True, slots=True)
class Threshold:
    """One limit: the highest value that passes; `operation` None is the whole run."""

    name: str
    limit: float
    operation: str | None = None

    def __str__(self) -> str:
        return self.name if self.operation is None else f"{self.name} of {self.operation}"


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


def _parsed(raw: Mapping[str, object], operations: Collection[str]) -> Iterator[Threshold | str]:
    """Yield each limit, or the error in it as text."""
    tables = raw.get("operations", {})
    yield from (_limit(name, limit, None) for name, limit in raw.items() if name != "operations")
    if not isinstance(tables, dict):
        yield "operations must be tables, [operations.insert_order] for example"
        return
    for operation, table in tables.items():
        if operation not in operations:
            hint = suggest(operation, operations)
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
        return f"{where} is no threshold: {suggest(name, known)}"
    highest = 1.0 if name.endswith("_share") else inf
    allowed = "a number from 0 to 1" if highest == 1 else "a number, 0 or more"
    if (
        isinstance(limit, bool)
        or not isinstance(limit, int | float)
        or not (isfinite(limit) and 0 <= limit <= highest)
    ):
        return f"{where} is {limit!r}: it must be {allowed}"
    return Threshold(name, float(limit), operation)
