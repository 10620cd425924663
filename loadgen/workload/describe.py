"""A workload's values, parameters and proofs in words."""

from collections.abc import Mapping
from typing import Final

from loadgen.text import plural, quantity, written_duration
from loadgen.workload import model
from loadgen.workload.model import Operation, Parameter, ProfileLevels, Table

_PROOFS: Final[Mapping[model.ProofKind, str]] = {
    "key": "by the key {table}.{column}",
    "version": "by {table}.{version}",
    "once": "by {table}.{column}, whose row no other write aims at",
    "unproved": "none: a lost write stays unknown",
}
_EQUAL_SHARES: Final = 1.05  # the largest by the smallest: no shares are shown


def proof(operation: Operation) -> str:
    """Return the look-up of an operation's lost writes."""
    facts = operation.proof
    return _PROOFS[facts.kind].format(table=facts.table, column=facts.column, version=facts.version)


def profile_line(profile: ProfileLevels) -> str:
    """Return a model's own profile in a line."""
    levels = profile.levels
    mean = sum(levels) / len(levels)
    low, high = (quantity(level / mean) for level in (min(levels), max(levels)))
    return (
        f"{plural(len(levels), 'level')} of {written_duration(profile.every)} each, {low} to "
        f"{high} times the rates; then again"
    )


def table_line(table: Table) -> str:
    """Return a table's name, baseline rows and key."""
    key = f", key ({', '.join(table.key)})" if table.key else ", no key"
    setting = f" ({table.rows_setting.upper()})" if table.rows_setting else ""
    return f"{table.name}: {plural(table.rows, 'row')}{setting}{key}"


def value_text(parameter: Parameter) -> str:
    """Return a value or a parameter in a line."""
    if not isinstance(parameter, model.Value):
        return _parameter(parameter)
    nulls = f"{parameter.null_share:.0%} NULL, else " if parameter.null_share else ""
    return nulls + _generator(parameter.generator)


def _parameter(parameter: Parameter) -> str:
    match parameter:
        case model.KeyParameter():
            return "a new key, made by the client"
        case model.OnceParameter(table, column, share):
            return f"{table}.{column} of each row once, the quietest {share:.0%}"
        case model.InsertedParameter(operation, name, "oldest"):
            return f"{name} of the rows of {operation}, in their order"
        case model.InsertedParameter(operation, name, _):
            return f"{name} of a recent row of {operation}"
        case model.StateParameter(table, part):
            return f"{part} of a row of {table} in its life cycle"
    raise TypeError(parameter)


def _generator(generator: model.Generator) -> str:  # noqa: C901, PLR0911, PLR0912 - one for each kind
    match generator:
        case model.Constant(text):
            return f"always {text!r}"
        case model.SqlDefault():
            return "the column's default"
        case model.Sequence(start, pattern):
            place = f" as {pattern}" if pattern else ""
            return f"{start:,}, {start + 1:,}, …{place}"
        case model.Uuid():
            return "a random uuid"
        case model.Choice(texts, weights):
            return _choice(texts, weights)
        case model.Number(low, high, skew):
            return f"{low:,} to {high:,}{_low_ones(skew)}"
        case model.Decimal(low, high, scale, skew):
            decimals = plural(scale, "decimal")
            return f"{low:,.15g} to {high:,.15g}, {decimals}{_low_ones(skew)}"
        case model.Boolean(share):
            return f"true in {share:.0%}"
        case model.Text(shortest, longest):
            return f"words, {shortest} to {longest} characters"
        case model.Bytes(shortest, longest):
            return f"{shortest} to {longest} random bytes"
        case model.PersonName(by):
            return f"a person's name, by {by}" if by else "a person's name"
        case model.Email(by):
            return f"an address, by {by}" if by else "an address"
        case model.Time(days, "growth", _):
            return f"{plural(days, 'day')}, in the order of rows"
        case model.Time(days, _, _):
            return f"at random in {plural(days, 'day')}"
        case model.TimeAfter(column, share):
            return _later(column, share)
        case model.Json(_, by, pad_to):
            padded = f", padded to {pad_to} bytes" if pad_to else ""
            return f"JSON, by {by}{padded}" if by else f"JSON{padded}"
        case model.Array(element, fewest, most):
            return f"{fewest} to {most} of: {_generator(element)}"
        case model.Row(table, column, each=True):
            return f"{table}.{column} of each row in turn"
        case model.Row(table, column, skew, _):
            busy = f", skew {skew:g}" if skew > 1 else ""
            return f"{table}.{column} of a row{busy}"


def _choice(texts: tuple[str, ...], weights: tuple[float, ...]) -> str:
    """Return the texts, with their shares unless all are about equal."""
    if max(weights) <= _EQUAL_SHARES * min(weights):
        return f"one of {', '.join(texts)}"
    total = sum(weights)
    shares = (f"{text} ({weight / total:.0%})" for text, weight in zip(texts, weights, strict=True))
    return ", ".join(shares)


def _later(column: str, share: float) -> str:
    if not share:
        return f"as {column}"
    return f"later than {column}" + (f" in {share:.3g} of the rows" if share < 1 else "")


def _low_ones(skew: float) -> str:
    return f", low ones more often (skew {skew:g})" if skew > 1 else ""
