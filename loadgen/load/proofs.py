"""How to find out whether a write whose answer was lost is in the database: SQL by a `Proof`.

Call it only once the write's backend has left: until then it may still be committed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from loadgen.load.columns import Columns
from loadgen.workload.model import InsertedParameter, Operation, ProofKind, Table, WorkloadModel
from loadgen.workload.schedule.plan import Plan
from loadgen.workload.values import ValueMakers


class Proofs:
    """Looks up the writes of a run's operations, by the proof that each has."""

    def __init__(self, model: WorkloadModel, plan: Plan, makers: ValueMakers) -> None:
        columns = Columns(model, plan, makers)
        self.kinds = {
            operation.name: proof_kind(operation) for operation in model.operations.values()
        }
        self.unproved = frozenset(name for name, kind in self.kinds.items() if kind == "unproved")
        self._lookups = {
            name: _Lookup.of(model, model.operations[name], plan.key_types)
            for name, kind in self.kinds.items()
            if kind != "unproved"
        }
        self._columns = {
            name: columns.one(model.operations[name], model.operations[name].proof.parameter)
            for name, kind in self.kinds.items()
            if kind in ("key", "once")
        }

    def is_committed(
        self, connection: psycopg.Connection, operation: str, key: str, version: int
    ) -> bool:
        """Tell whether the write with this key, which expected this version, is in the database."""
        return self._lookups[operation].is_committed(connection, key, version)

    def count_committed(
        self, connection: psycopg.Connection, operation: str, ks: Sequence[int]
    ) -> int:
        """Return how many of these arrivals are in the database; not for proof by version."""
        keys = self._columns[operation].keys(ks)
        return self._lookups[operation].count_committed(connection, keys)


@dataclass(frozen=True, slots=True)
class _Lookup:
    """The look-up of one operation's writes; `untouched` counts rows without the write."""

    _table: sql.Identifier
    _column: sql.Identifier
    _type: sql.SQL
    _condition: sql.Composable
    _untouched: bool

    @classmethod
    def of(
        cls, model: WorkloadModel, operation: Operation, key_types: Mapping[str, str]
    ) -> "_Lookup":
        """Return the look-up of an operation that has a proof; types by "table.column"."""
        proof = operation.proof
        condition: sql.Composable = sql.SQL("")
        if proof.kind == "version":
            condition = sql.SQL(" AND {} > %(version)s").format(sql.Identifier(proof.version))
        elif proof.kind == "once" and proof.condition:
            text = proof.condition.replace("%", "%%")
            # A row that the run inserted is written only if it is there.
            holds = " IS NOT TRUE" if _aims_at_inserted(operation) else ""
            condition = sql.SQL(f" AND ({text}){holds}")
        return cls(
            identifier(model.tables[proof.table]),
            sql.Identifier(proof.column),
            sql.SQL(key_types[f"{proof.table}.{proof.column}"]),
            condition,
            proof.kind == "once" and not _aims_at_inserted(operation),
        )

    def is_committed(self, connection: psycopg.Connection, key: str, version: int) -> bool:
        """Tell whether the write with this key, which expected this version, is in the database."""
        query = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} = %(key)s::{}{})").format(
            self._table, self._column, self._type, self._condition
        )
        row = connection.execute(query, {"key": key, "version": version}).fetchone()
        return (row is not None and bool(row[0])) != self._untouched

    def count_committed(self, connection: psycopg.Connection, keys: Sequence[str]) -> int:
        """Return how many writes with these keys are in the database.

        Not for proof by version: keys alone prove nothing there.
        """
        query = sql.SQL("SELECT count(*) FROM {} WHERE {} = ANY (%(keys)s::{}[]){}").format(
            self._table, self._column, self._type, self._condition
        )
        row = connection.execute(query, {"keys": list(keys)}).fetchone()
        count = int(row[0]) if row is not None else 0
        return len(keys) - count if self._untouched else count


def identifier(table: Table) -> sql.Identifier:
    """Return a table's name for SQL."""
    return sql.Identifier(table.schema, table.relation)


def proof_kind(operation: Operation) -> ProofKind:
    """Return the kind of proof that an operation's writes have.

    A row that the run itself inserts may never have been there: that it is gone proves nothing.
    """
    proof = operation.proof
    if proof.kind == "once" and not proof.condition and _aims_at_inserted(operation):
        return "unproved"
    return proof.kind


def _aims_at_inserted(operation: Operation) -> bool:
    return isinstance(operation.parameters.get(operation.proof.parameter), InsertedParameter)
