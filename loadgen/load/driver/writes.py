"""What is written: one statement's request, and how it is looked up if its answer is lost."""

from typing import NamedTuple

from loadgen.load.driver.wire import places
from loadgen.workload.data.orders import Order


class Write(NamedTuple):
    """One statement to send; `key` and `version` say how to look it up if its answer is lost."""

    operation: str
    k: int
    request: bytes  # see `wire`
    finds: Order | None = None  # the order as it stands before
    leaves: Order | None = None  # and once this is committed

    @property
    def key(self) -> bytes:
        """The row's key, as the statement names it: it is each statement's first parameter."""
        return self.request[places(self.request)[0]]

    @property
    def version(self) -> int:
        """The version that an update expects; 0 for other writes."""
        return self.finds.version if self.finds else 0
