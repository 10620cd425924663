"""Finds the look-up of an operation's lost writes: by key, version, or a row aimed at once."""

from collections.abc import Mapping, Sequence

from loadgen.workload.model import (
    KeyParameter,
    Parameter,
    Proof,
    StateParameter,
    States,
)
from loadgen.workload.read_sql import ParsedStatement


def prove(
    statements: Sequence[ParsedStatement],
    parameters: Mapping[str, Parameter],
    *,
    keys: Mapping[str, tuple[str, ...]],
    states: Mapping[str, States],
    targets: Mapping[str, tuple[str, str]],
) -> Proof:
    """Return the strongest proof of a transaction.

    `keys` are the columns of each table's key, `states` the life cycles by table; `targets` are
    table and column of the parameters that only this operation aims with, each row once.
    """
    return (
        _by_key(statements, parameters, keys)
        or _by_version(parameters, states)
        or _by_once(statements, targets)
        or Proof("unproved")
    )


def key_place(statements: Sequence[ParsedStatement], parameter: str) -> tuple[str, str | int]:
    """Return table and column (or its number) that get a client-made key; "" if none does."""
    for parsed in statements:
        if parsed.statement.change == "insert" and parameter in parsed.values:
            return parsed.statement.table, parsed.values[parameter][0]
    return "", ""


def _by_key(
    statements: Sequence[ParsedStatement],
    parameters: Mapping[str, Parameter],
    keys: Mapping[str, tuple[str, ...]],
) -> Proof | None:
    # Only of a plain INSERT … VALUES: with ON CONFLICT or SELECT it may insert nothing.
    made = [
        Proof("key", name, parameter.table, parameter.column)
        for parsed in statements
        for name in parsed.values
        if isinstance(parameter := parameters[name], KeyParameter)
        and parsed.statement.change == "insert"
        and parsed.statement.table == parameter.table
    ]
    return next((p for p in made if p.column in keys.get(p.table, ())), made[0] if made else None)


def _by_version(parameters: Mapping[str, Parameter], states: Mapping[str, States]) -> Proof | None:
    parts = {
        p.part: (name, p.table) for name, p in parameters.items() if isinstance(p, StateParameter)
    }
    if "key" not in parts or "version" not in parts:
        return None
    name, table = parts["key"]
    return Proof("version", name, table, states[table].key, states[table].version)


def _by_once(
    statements: Sequence[ParsedStatement], targets: Mapping[str, tuple[str, str]]
) -> Proof | None:
    for parsed in statements:
        for name, column in parsed.aims.items():
            if targets.get(name) != (parsed.statement.table, column):
                continue
            if parsed.statement.change == "delete":
                return Proof("once", name, parsed.statement.table, column)
            # An update proves itself if it changes what its own condition looks at.
            others = set(parsed.looked_at) - set(parsed.aims.values())
            if (
                parsed.statement.change == "update"
                and others & set(parsed.columns)
                and not parsed.has_other_parameters
            ):
                return Proof(
                    "once", name, parsed.statement.table, column, condition=parsed.condition
                )
    return None
