"""Who is asked for cost lines: the protocol that vendors' cards, Snowflake and AWS keep."""

from typing import Protocol

from loadgen.record.costs import CostLine
from loadgen.record.run import Run


class CostSource(Protocol):
    """One place that knows what something cost."""

    @property
    def name(self) -> str:
        """What messages call it: `Snowflake`, say."""

    def lines(self, run: Run) -> list[CostLine]:
        """Return the run's cost lines.

        What can't be read or priced is a line too (`record_costs.not_priced`) that says why: it
        raises nothing for a missing right, a view that is not filled yet or an unknown price.
        """
