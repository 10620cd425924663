"""AWS as one source of cost lines: usage at list prices, and what was billed in their place."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from loadgen.config.settings import Settings
from loadgen.costs.aws.bill import NEVER, bill_of, requests_line
from loadgen.costs.aws.client import Clients, clients
from loadgen.costs.aws.listed import gone
from loadgen.costs.aws.prices import AwsPrices
from loadgen.costs.aws.s3 import S3CostTracker
from loadgen.costs.aws.usage import EVERYONE, Account, EC2CostTracker, RDSCostTracker, what_of
from loadgen.costs.billing_window import run_window
from loadgen.costs.cards import RateCard
from loadgen.costs.lines import joined
from loadgen.costs.source import CostSource
from loadgen.costs.unavailable import Unavailable
from loadgen.record.costs import CostLine
from loadgen.record.run import Run

_NOTHING: Final = "nothing in the region has the tag `tool` with a name of tools.toml, or `source`"
_EMPTY: Final = Unavailable(
    "Cost Explorer has nothing of the tag `tool` yet: activate it as a cost allocation tag, which "
    "counts from then on",
    yet=True,
)


class AwsCosts:
    """Asks S3, EC2 and RDS, then Cost Explorer; a `CostSource`. Without AWS_REGION it is silent."""

    name = "AWS"

    def __init__(
        self,
        tools: Sequence[str],
        settings: Settings,
        card: RateCard | Unavailable,
        now: datetime,
        made: Clients | None = None,
    ) -> None:
        prices = AwsPrices(card, settings.aws_region or "")
        self._account = Account(made or clients(settings), prices, tools, now)
        self._trackers: tuple[CostSource, ...] = (
            S3CostTracker(self._account),
            EC2CostTracker(self._account),
            RDSCostTracker(self._account),
        )
        self._used = settings.aws_region is not None

    def lines(self, run: Run) -> list[CostLine]:
        """Return the run's lines; what can't be read or priced says why."""
        window = run_window(run, self._account.now)
        if not self._used:
            return []
        if window is None:
            return [what_of(EVERYONE, "AWS").unpriced("the run's record has no time to price")]
        listed = [line for tracker in self._trackers for line in tracker.lines(run)]
        listed += gone(self._account, window, run.path)
        bill = bill_of(self._account, window, run.path)
        if isinstance(bill, Unavailable):
            tools = dict.fromkeys(line.tool for line in listed)
            found = [line for tool in tools for line in _listed(tool, listed, bill)]
            nothing = replace(bill, why=f"{_NOTHING}; {bill.why}")
            return found or [what_of(EVERYONE, "AWS").unpriced(nothing)]
        tools = dict.fromkeys([*(line.tool for line in listed), *bill.billed])
        found = [
            line
            for tool in tools
            for line in [*bill.lines(tool, window)] or _listed(tool, listed, _EMPTY)
        ]
        return [*found, *bill.apart_lines(window), requests_line(self._account, bill)]


def _listed(tool: str, lines: Sequence[CostLine], bill: Unavailable) -> Iterator[CostLine]:
    """Yield a tool's list prices with what keeps Cost Explorer's word from standing there."""
    own = [line for line in lines if line.tool == tool]
    if tool == EVERYONE:  # what could not be asked
        yield from own
        return
    for line in own:
        later = "" if bill.why == NEVER else bill.why
        yield replace(line, final=line.final and not bill.yet, note=joined(line.note, later))
    why = "where bytes went is not told by metrics: Cost Explorer has it, by whole days"
    yield what_of(tool, "transfer").unpriced(replace(bill, why=why))
