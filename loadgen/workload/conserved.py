"""How far conserved sums have moved apart: 0 in every state between transactions. Pure.

`Sums` are by table and column. A reference is the same sums at another moment of the source.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from loadgen.record.run import TableRows
from loadgen.workload.model import Conserved

Sums = Mapping[tuple[str, str], Decimal]


def columns_of(conserved: Iterable[Conserved]) -> tuple[tuple[str, str], ...]:
    """Return each table and column that is summed, once."""
    return tuple(dict.fromkeys(place for each in conserved for place in each.columns))


def sums_of(tables: Mapping[str, TableRows]) -> Sums:
    """Return the sums that were counted with the rows of tables."""
    return {
        (table, column): total
        for table, rows in tables.items()
        for column, total in rows.sums.items()
    }


def moved_apart(conserved: Conserved, reference: Sums, sums: Sums) -> Decimal:
    """Return by how much the sums moved apart since the reference; of a lone one, how far it moved.

    Raises KeyError if one of them is not known.
    """
    moves = [sums[place] - reference[place] for place in conserved.columns]
    return max(moves) - min(moves) if len(moves) > 1 else abs(moves[0])
