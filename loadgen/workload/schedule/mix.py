"""The operation mix: what may be written and how often.

Rates are per hour for the whole swarm; an operation's weight is its share of their sum.
"""

from collections.abc import Mapping
from dataclasses import dataclass

_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Mix:
    """Arrival rates by operation, per hour, for the whole swarm."""

    rates_per_hour: Mapping[str, float]

    def rate(self, operation: str) -> float:
        """Return the arrival rate of `operation` per second."""
        return self.rates_per_hour[operation] / _HOUR

    def weights(self) -> dict[str, float]:
        """Return each operation's share of the sum of the rates; all 0 where nothing is asked."""
        total = sum(self.rates_per_hour.values())
        return {name: rate / total if total else 0.0 for name, rate in self.rates_per_hour.items()}
