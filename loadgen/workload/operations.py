"""The operations of the built-in shop. Whatever differs between operations is defined here.

An operation is one kind of write, with a rate. Its name is a metrics label and a key of the run
record; its statements are in `sql/operations.sql`, under the names that the properties give.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, LiteralString

from loadgen.config.settings import Settings
from loadgen.record.run import OperationFacts, Run, TableRows
from loadgen.sql import statements

WORKLOAD: Final = "shop"  # the name of the workload in run.json
_SQL: Final = statements("loadgen.workload", "operations.sql")


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of write: the change it makes, and how it is proved, counted and shown.

    `proof` is how to find out whether a write whose answer was lost is in the database: by the
    client-made `key` of its row, by a `version` that only this write can have left, or because the
    run aims at each row only `once`. Colours are those of charts and dashboards.
    """

    name: str
    label: str  # in reports
    rate_setting: str  # the setting of its rate per hour
    table: str
    change: Literal["insert", "update"]  # as vendors count it; a soft delete is an update
    proof: Literal["key", "version", "once"]
    light: str  # its colour on light paper, as #rrggbb
    dark: str  # and on dark paper

    @property
    def counter(self) -> Literal["rows", "version_sum"]:
        """The figure of its table that rises by one with each commit.

        That is the number of its rows or, of updates, the sum of its rows' versions.
        """
        return "rows" if self.change == "insert" else "version_sum"

    @property
    def facts(self) -> OperationFacts:
        """The facts that a run's record needs to be read."""
        return OperationFacts(
            label=self.label,
            table=self.table,
            change=self.change,
            counter=self.counter,
            proof=self.proof,
            option=self.rate_setting,
            light=self.light,
            dark=self.dark,
        )

    @property
    def key_type(self) -> Literal["uuid", "bigint"]:
        """The type of the key that a lost write has in the look-up."""
        return "bigint" if self.proof == "once" else "uuid"

    @property
    def statement(self) -> LiteralString:
        """The write itself, with $1 … for its parameters; the first one is the row's key."""
        return _SQL[self.name]

    @property
    def lookup(self) -> LiteralString:
        """Whether one write is committed, by %(key)s and %(version)s."""
        return _SQL[f"is_committed_{self.name}"]

    @property
    def count_committed(self) -> LiteralString:
        """How many of the writes with these keys are committed; not for proof by version."""
        return _SQL[f"count_committed_{self.name}"]

    @property
    def last_hour(self) -> LiteralString:
        """How many of its writes the tables show for the last hour."""
        return _SQL[f"last_hour_{self.name}"]


_SHOP: Final = (
    Operation(
        name="insert_order",
        label="New orders",
        rate_setting="orders_per_hour",
        table="orders",
        change="insert",
        proof="key",
        light="#1a3ac5",
        dark="#6e93ed",
    ),
    Operation(
        name="insert_event",
        label="New events",
        rate_setting="events_per_hour",
        table="events",
        change="insert",
        proof="key",
        light="#9a6016",
        dark="#d88c30",
    ),
    Operation(
        name="update_order_status",
        label="Status updates",
        rate_setting="status_updates_per_hour",
        table="orders",
        change="update",
        proof="version",
        light="#1d7572",
        dark="#35d88c",
    ),
    Operation(
        name="soft_delete_user",
        label="Soft deletes",
        rate_setting="soft_deletes_per_hour",
        table="users",
        change="update",
        proof="once",
        light="#8f188c",
        dark="#f2b4d4",
    ),
)
_SHOP_BY_NAME: Final[Mapping[str, Operation]] = {operation.name: operation for operation in _SHOP}


def operations_of(settings: Settings) -> Mapping[str, Operation]:  # noqa: ARG001 - names the workload
    """Return the operations of the workload that the settings name: so far always the shop."""
    return _SHOP_BY_NAME


def rates_per_hour(settings: Settings, operations: Mapping[str, Operation]) -> dict[str, float]:
    """Return the arrival rate of each operation in the settings, per hour."""
    return {
        name: getattr(settings, operation.rate_setting) for name, operation in operations.items()
    }


def gained(
    operations: Mapping[str, Operation],
    before: Mapping[str, TableRows],
    after: Mapping[str, TableRows],
) -> dict[str, int]:
    """Return how much each operation added to the tables between two counts of their rows."""
    return {
        name: after[of.table].count(of.counter) - before[of.table].count(of.counter)
        for name, of in operations.items()
    }


def facts_of_run(run: Run) -> Mapping[str, OperationFacts]:
    """Return the operations in a run's record; an older one without them is of the shop."""
    return run.operations or {name: operation.facts for name, operation in _SHOP_BY_NAME.items()}
