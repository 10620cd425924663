"""What a run needs to know of its source: the baseline, and the keys that it begins with.

All is read once, at the run's start, so that all processes agree; a resumed run has it in its plan.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from loadgen.config.settings import Settings
from loadgen.errors import SettingsError, SourceError
from loadgen.load.columns import is_number, value_makers
from loadgen.load.proofs import identifier
from loadgen.load.state_machine import ROWS_LIMIT, StateRow
from loadgen.source import schema
from loadgen.sql import statements
from loadgen.workload.model import (
    KeyParameter,
    OnceParameter,
    Row,
    States,
    Table,
    WorkloadModel,
    generator_settings,
    parts_of,
)
from loadgen.workload.schedule.arrivals import schedule_of
from loadgen.workload.schedule.plan import Plan, packed_bits, unused_indexes
from loadgen.workload.schedule.shards import WHOLE, Shard
from loadgen.workload.values import ValueMakers

_SQL = statements("loadgen.load", "targets.sql")
_CHUNK: Final = 10_000  # keys of one look-up
_RECENT: Final = 200_000  # rows of a table with a number as key among which open ones are sought


def with_source(
    plan: Plan, connection: psycopg.Connection, model: WorkloadModel, settings: Settings
) -> Plan:
    """Return the plan of a new run with all that it needs to know of its source.

    Raises SettingsError if a setting does not fit the baseline, SourceError if a column is missing.
    """
    state = schema.seed_state(connection)
    if state is None:
        raise SourceError("the source holds no baseline: run `loadgen seed` first")
    parameters = state.parameters
    types = key_types(connection, model)
    plan = replace(
        plan,
        workload=model.digest,
        settings=settings.chosen(generator_settings(model)),
        baseline_seed=parameters.seed,
        baseline_end=parameters.end.isoformat(),
        baseline_rows=parameters.rows,
        key_types=types,
        first_keys=first_keys(connection, model, types),
    )
    for row in parts_of(model, Row):
        limit = plan.settings[row.hot_setting] if row.hot_setting else None
        if limit is not None and limit > (rows := plan.baseline_rows[row.table]):
            raise SettingsError(
                f"{row.hot_setting.upper()} is {limit}, but the source has {rows} {row.table}: "
                "lower it"
            )
    used = once_used(connection, model, types, value_makers(model, plan))
    return replace(plan, once_used=used)


def shortages(plan: Plan, model: WorkloadModel) -> Iterator[str]:
    """Yield a warning for each operation that the run plans more often than it has rows for."""
    makers, schedule = value_makers(model, plan), schedule_of(plan, WHOLE)
    for name, operation in model.operations.items():
        for once in (p for p in operation.parameters.values() if isinstance(p, OnceParameter)):
            limit = makers.once_limit(once.table, once.share)
            left = len(unused_indexes(plan.once_used[once.table], limit))
            planned = round(schedule.planned(plan.duration)[name])
            if planned > left:
                yield (
                    f"{name}: the run plans {planned:,} writes, but only {left:,} rows of "
                    f"{once.table} are left for them; the others fail with SQLSTATE 02000. `once` "
                    "takes each row of the quietest share once, if it is there and meets the "
                    "condition of its statement when the run begins"
                )


def key_types(connection: psycopg.Connection, model: WorkloadModel) -> dict[str, str]:
    """Return the types of the columns by which the run finds rows, by "table.column"."""
    columns = dict.fromkeys(_key_columns(model))
    return {
        f"{table}.{column}": _type(connection, model.tables[table], column)
        for table, column in columns
    }


def first_keys(
    connection: psycopg.Connection, model: WorkloadModel, types: Mapping[str, str]
) -> dict[str, int]:
    """Return the first free key of each column whose client-made keys are numbers."""
    return {
        place: 1 + _largest(connection, table, column)
        for place, (table, column) in _number_keys(model, types).items()
    }


def once_used(
    connection: psycopg.Connection,
    model: WorkloadModel,
    types: Mapping[str, str],
    makers: ValueMakers,
) -> dict[str, str]:
    """Return, by table, which of the rows that the run may take once are used up, packed.

    They are gone, or the statement that would change them does not find them: a run before took
    them, or they never met its condition.
    """
    parameters = [
        parameter
        for operation in model.operations.values()
        for parameter in operation.parameters.values()
        if isinstance(parameter, OnceParameter)
    ]
    used: dict[str, NDArray[np.bool_]] = {}
    for parameter in parameters:
        ours = _used_up(connection, model.tables[parameter.table], parameter, types, makers)
        before = used.get(parameter.table, ours[:0])
        both = np.zeros(max(len(before), len(ours)), np.bool_)
        both[: len(before)] |= before
        both[: len(ours)] |= ours
        used[parameter.table] = both
    return {table: packed_bits(bits) for table, bits in used.items()}


def state_rows(
    connection: psycopg.Connection, model: WorkloadModel, types: Mapping[str, str], shard: Shard
) -> dict[str, list[StateRow]]:
    """Return, by table, this shard of the recent rows that may move on, the newest last."""
    return {
        table.name: _state_rows(connection, table, table.states, types, shard)
        for table in model.tables.values()
        if table.states is not None
    }


def _state_rows(
    connection: psycopg.Connection,
    table: Table,
    states: States,
    types: Mapping[str, str],
    shard: Shard,
) -> list[StateRow]:
    key = sql.Identifier(states.key)
    order: sql.Composable = sql.SQL("hashtext({}::text)").format(key)
    mine = sql.SQL("mod(hashtext({}::text) + 2147483648, %(of)s) = %(part)s").format(key)
    if len(table.key) == 1 and is_number(types[f"{table.name}.{table.key[0]}"]):
        order = sql.Identifier(table.key[0])
        mine = sql.SQL(
            "{0} > (SELECT max({0}) FROM {1}) - %(recent)s AND mod({0}, %(of)s) = %(part)s"
        ).format(order, identifier(table))
    query = sql.SQL(
        "SELECT {key}::text, {state}::text, {version} FROM {table}"
        " WHERE {state}::text = ANY (%(open)s) AND {mine} ORDER BY {order} DESC LIMIT %(limit)s"
    ).format(
        key=key,
        state=sql.Identifier(states.column),
        version=sql.Identifier(states.version),
        table=identifier(table),
        mine=mine,
        order=order,
    )
    parameters = {
        "open": list(states.open_states),
        "of": shard.of,
        "part": shard.part,
        "recent": _RECENT,
        "limit": ROWS_LIMIT,
    }
    rows = connection.execute(query, parameters).fetchall()
    return [StateRow(key.encode(), state, version) for key, state, version in reversed(rows)]


def set_sequences(
    connection: psycopg.Connection, model: WorkloadModel, types: Mapping[str, str]
) -> None:
    """Let the sequences of client-made keys continue behind the keys that are in the tables."""
    for table, column in _number_keys(model, types).values():
        name = identifier(table)
        connection.execute(
            sql.SQL(_SQL["set_sequence"]).format(table=name, column=sql.Identifier(column)),
            {"table": name.as_string(connection), "column": column},
        )


def _used_up(
    connection: psycopg.Connection,
    table: Table,
    parameter: OnceParameter,
    types: Mapping[str, str],
    makers: ValueMakers,
) -> NDArray[np.bool_]:
    """Return for each row that comes in turn whether there is none to take."""
    condition = parameter.condition.replace("%", "%%")
    query = sql.SQL(
        "SELECT n - 1 FROM unnest(%(keys)s::text[]) WITH ORDINALITY AS own (key, n)"
        " WHERE NOT EXISTS (SELECT FROM {} WHERE {} = own.key::{}{})"
    ).format(
        identifier(table),
        sql.Identifier(parameter.column),
        sql.SQL(types[f"{table.name}.{parameter.column}"]),
        sql.SQL(f" AND ({condition})" if condition else ""),
    )
    maker = makers.column(parameter.table, parameter.column)
    rows_of = makers.once_rows(parameter.table, parameter.share)
    used = np.zeros(makers.once_limit(parameter.table, parameter.share), np.bool_)
    for first in range(0, len(used), _CHUNK):
        rows = rows_of(np.arange(first, min(first + _CHUNK, len(used)), dtype=np.int64))
        keys = [bytes(text).decode() for text in maker.texts(rows)]  # type: ignore[arg-type] # no key is NULL
        numbers = connection.execute(query, {"keys": keys}).fetchall()
        used[[first + n for (n,) in numbers]] = True
    return used


def _key_columns(model: WorkloadModel) -> Iterator[tuple[str, str]]:
    for table in model.tables.values():
        if table.states is not None:
            yield table.name, table.states.key
            yield from ((table.name, column) for column in table.key)
    for operation in model.operations.values():
        if operation.proof.kind != "unproved":
            yield operation.proof.table, operation.proof.column
        for parameter in operation.parameters.values():
            if isinstance(parameter, KeyParameter | OnceParameter):
                yield parameter.table, parameter.column


def _number_keys(model: WorkloadModel, types: Mapping[str, str]) -> dict[str, tuple[Table, str]]:
    """Return table and column of the client-made keys that are numbers."""
    keys = {
        f"{parameter.table}.{parameter.column}": parameter
        for operation in model.operations.values()
        for parameter in operation.parameters.values()
        if isinstance(parameter, KeyParameter)
    }
    return {
        place: (model.tables[key.table], key.column)
        for place, key in keys.items()
        if is_number(types[place])
    }


def _type(connection: psycopg.Connection, table: Table, column: str) -> str:
    names = {"schema": table.schema, "table": table.relation, "column": column}
    row = connection.execute(_SQL["column_type"], names).fetchone()
    if row is None:
        raise SourceError(
            f"the source has no column {table.name}.{column}, which the workload's operations "
            "use: run `loadgen seed` for this workload first"
        )
    return str(row[0])


def _largest(connection: psycopg.Connection, table: Table, column: str) -> int:
    """Return the largest number in a column; 0 if there is none above."""
    query = sql.SQL("SELECT greatest(max({}), 0)::bigint FROM {}")
    names = sql.Identifier(column), identifier(table)
    row = connection.execute(query.format(*names)).fetchone()
    return int(row[0]) if row is not None else 0
