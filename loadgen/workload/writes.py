"""What is written: one statement's request, and how it is looked up if its answer is lost."""

from typing import Final, NamedTuple


class Order(NamedTuple):
    """An order that may still change, as this process knows it."""

    number: bytes
    status: str
    version: int


class Write(NamedTuple):
    """One statement to send; `key` and `version` say how to look it up if its answer is lost."""

    operation: str
    k: int
    request: bytes  # see `wire`
    key: bytes
    finds: Order | None = None  # the order as it stands before
    leaves: Order | None = None  # and once this is committed

    @property
    def version(self) -> int:
        """The version that an update expects; 0 for other writes."""
        return self.finds.version if self.finds else 0


# new(Write, (...)) makes a named tuple, all fields given, in half the time of Write(...), which
# is a function of Python's; on the load's hot path.
new: Final = tuple.__new__
