"""What a run needs to know of its source: the baseline, and the keys that it begins with.

All is read once, at the run's start, so that all processes agree; a resumed run has it in its plan.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Final

import numpy as np
import psycopg
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
from loadgen.workload.schedule.plan import Plan
from loadgen.workload.schedule.shards import Shard
from loadgen.workload.values import ValueMakers

_SQL = statements("loadgen.load", "targets.sql")
_CHUNK: Final = 10_000  # keys that are looked up at once
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
    once = first_once(connection, model, types, value_makers(model, plan))
    return replace(plan, first_once=once)


def shortages(plan: Plan, model: WorkloadModel) -> Iterator[str]:
    """Yield a warning for each operation that the run plans more often than it has rows for."""
    makers = value_makers(model, plan)
    for name, operation in model.operations.items():
        for once in (p for p in operation.parameters.values() if isinstance(p, OnceParameter)):
            left = makers.once_limit(once.table, once.share) - plan.first_once[once.table]
            planned = round(plan.mix.rate(name) * plan.duration)
            if planned > max(left, 0):
                yield (
                    f"{name}: the run plans {planned:,} writes, but only {max(left, 0):,} rows of "
                    f"{once.table} are left for them; the others fail with SQLSTATE 02000. `once` "
                    "takes each row of the quietest share once, from the first on that no write "
                    "has changed"
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


def first_once(
    connection: psycopg.Connection,
    model: WorkloadModel,
    types: Mapping[str, str],
    makers: ValueMakers,
) -> dict[str, int]:
    """Return, by table, how many of the rows that the run takes once are used up."""
    used: dict[str, int] = {}
    for operation in model.operations.values():
        for name, parameter in operation.parameters.items():
            if isinstance(parameter, OnceParameter):
                key_type = types[f"{parameter.table}.{parameter.column}"]
                table = model.tables[parameter.table]
                proof = operation.proof
                own = proof.kind == "once" and proof.parameter == name
                condition = proof.condition if own else ""
                ours = _used_up(connection, table, parameter, key_type, condition, makers)
                used[table.name] = max(used.get(table.name, 0), ours)
    return used


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
    key_type: str,
    condition: str,
    makers: ValueMakers,
) -> int:
    """Return the index after the last row that was taken already, of those that come in turn.

    A run skips some and takes later ones, so that untouched rows lie among the others.
    """
    maker = makers.column(parameter.table, parameter.column)
    rows_of = makers.once_rows(parameter.table, parameter.share)
    query = sql.SQL(
        "SELECT coalesce(max(n), 0) FROM unnest(%(keys)s::text[]) WITH ORDINALITY AS own (key, n)"
        " WHERE NOT EXISTS (SELECT FROM {} WHERE {} = own.key::{}{})"
    ).format(
        identifier(table),
        sql.Identifier(parameter.column),
        sql.SQL(key_type),
        sql.SQL(f" AND ({condition.replace('%', '%%')})" if condition else ""),
    )
    used = 0
    for first in count(step=_CHUNK):
        rows = rows_of(np.arange(first, first + _CHUNK, dtype=np.int64))
        rows = rows[rows >= 0]
        keys = [bytes(text).decode() for text in maker.texts(rows)]  # type: ignore[arg-type] # no key is NULL
        row = connection.execute(query, {"keys": keys}).fetchone()
        last = int(row[0]) if row is not None else 0
        if last:
            used = first + last
        if not last or len(rows) < _CHUNK:
            return used
    raise AssertionError


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
