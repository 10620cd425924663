"""`loadgen workload`: the built-in workloads, what one holds, and the mistakes in your own."""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from textwrap import fill
from typing import Final

from loadgen.config.settings import load_settings
from loadgen.source.check_model import check_model
from loadgen.source.embedded import server
from loadgen.source.embedded.server import source_dsn
from loadgen.source.postgres import connect
from loadgen.terminal import print_table
from loadgen.text import Column, Table, listed, plural, quantity
from loadgen.workload import model as workload
from loadgen.workload.model import Operation, Parameter, WorkloadModel
from loadgen.workload.read_model import ModelError, built_in_models, read_model

_EXAMPLE: Final = "example: loadgen workload check my-workload"
_PROOFS: Final[Mapping[workload.ProofKind, str]] = {
    "key": "by the key {table}.{column}",
    "version": "by {table}.{version}",
    "once": "by {table}.{column}, aimed at once",
    "unproved": "none: a lost write stays unknown",
}
_WIDTH: Final = 80
_LONGEST_VALUE: Final = 60  # characters


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "workload",
        help="workloads: the built-in ones, and your own",
        description="Lists, shows and checks workloads; docs/workload.md describes their files.",
        epilog=_EXAMPLE,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="the built-in workloads", epilog=_EXAMPLE)
    show = actions.add_parser(
        "show", help="tables, values, operations and proofs of one", epilog=_EXAMPLE
    )
    show.add_argument("workload", metavar="NAME", help="a built-in name, or a folder")
    check = actions.add_parser("check", help="the mistakes in one, if any", epilog=_EXAMPLE)
    check.add_argument("workload", metavar="PATH", help="a folder, or a built-in name")


def run(args: argparse.Namespace) -> int:
    """List, show or check; 0 if the workload has no mistake."""
    if args.action == "list":
        print_table(_list())
    elif args.action == "show":
        _show(read_model(args.workload))
    else:
        model = read_model(args.workload)
        _check_by_postgres(model)
        print(summary(model))
    return 0


def _check_by_postgres(model: WorkloadModel) -> None:
    """Let a Postgres judge the schema, the baseline and the statements. Raises ModelError.

    That is the one at DATABASE_URL, else the embedded one in its empty maintenance database.
    """
    settings = load_settings()
    running = None if settings.database_url else server.status(Path.cwd())
    if settings.database_url is None and running is None:
        print(
            "not checked with Postgres, since none runs here: `loadgen db up`, then again",
            file=sys.stderr,
        )
        return
    with connect(running.dsn_of("postgres") if running else source_dsn(settings)) as conn:
        if problems := check_model(conn, model):
            raise ModelError("\n".join(problems))


def _list() -> Table:
    models = [read_model(name) for name in built_in_models()]
    return Table(
        columns=tuple(map(Column, ("workload", "title", "tables", "operations"))),
        rows=tuple(
            (model.name, model.title, ", ".join(model.tables), ", ".join(model.operations))
            for model in models
        ),
    )


def _show(model: WorkloadModel) -> None:
    print(f"{model.name}: {model.title}")
    for table in model.tables.values():
        key = f", key ({', '.join(table.key)})" if table.key else ", no key"
        setting = f" ({table.rows_setting.upper()})" if table.rows_setting else ""
        print(f"\n{table.name}: {plural(table.rows, 'row')}{setting}{key}")
        values = tuple(
            (name, _short(described(value), _LONGEST_VALUE))
            for name, value in table.columns.items()
        )
        if values:
            print_table(Table((Column("column"), Column("value in the baseline")), values))
    for operation in model.operations.values():
        option = f"--{operation.option.replace('_', '-')}"
        print(f"\n{operation.name}: {quantity(operation.per_hour)} per hour ({option})")
        for statement in operation.statements:
            print(_indented(_named(statement)))
        for i, (name, parameter) in enumerate(operation.parameters.items()):
            line = f"  {'parameters:' if not i else '           '} {name} = {described(parameter)}"
            print(_short(line, _WIDTH))
        print(f"  proof of a lost write: {proof(operation)}")
    print()
    for check in model.checks:
        print(f"check {check.name}: {check.title}")


def _named(statement: workload.Statement) -> str:
    """Return the SQL with :name in the place of $1 …, as in the model."""
    return re.sub(r"\$(\d+)", lambda n: f":{statement.parameters[int(n[1]) - 1]}", statement.sql)


def _indented(sql: str) -> str:
    return "\n".join(
        fill(line, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False)
        for line in sql.splitlines()
    )


def proof(operation: Operation) -> str:
    """Return how a lost write of an operation is looked up."""
    facts = operation.proof
    return _PROOFS[facts.kind].format(table=facts.table, column=facts.column, version=facts.version)


def described(parameter: Parameter) -> str:
    """Return a value or a parameter in a line."""
    if not isinstance(parameter, workload.Value):
        return _generator(parameter)
    nulls = f"{parameter.null_share:.0%} NULL, else " if parameter.null_share else ""
    return nulls + _generator(parameter.generator)


def _generator(generator: object) -> str:  # noqa: PLR0911 - one for each kind
    """Return a generator's or parameter's kind and its facts other than the defaults."""
    match generator:
        case workload.Constant(text):
            return f"always {text!r}"
        case workload.Choice(texts):
            return f"one of {', '.join(texts)}"
        case workload.Json(_, by, pad_to):
            padded = f", padded to {pad_to} bytes" if pad_to else ""
            return f"JSON by {by}{padded}" if by else f"JSON{padded}"
        case workload.Array(element, fewest, most):
            return f"{fewest} to {most} of: {_generator(element)}"
        case workload.Row(table, column, skew):
            return f"{table}.{column} of a row" + (f", skew {skew:g}" if skew > 1 else "")
        case workload.KeyParameter():
            return "a key made by the client"
        case workload.OnceParameter(table, column, share):
            return f"{table}.{column} of a row, each once, the quietest {share:.0%}"
        case workload.InsertedParameter(operation, parameter, order):
            return f"{parameter} of a row of {operation}, the {order} first"
        case workload.StateParameter(table, part):
            return f"{part} of a row of {table} in its life cycle"
        case _:
            return " ".join([_words(type(generator).__name__), *_facts(generator)])


def _facts(generator: object) -> Iterator[str]:
    if not is_dataclass(generator):
        return
    for field in fields(generator):
        fact = getattr(generator, field.name)
        if fact != field.default and fact not in ("", None):
            shown = f"{fact:g}" if isinstance(fact, float) else fact
            yield f"{field.name.replace('_', ' ')} {shown}"


def _words(name: str) -> str:
    """Return a class's name as words: PersonName is `person name`."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def summary(model: WorkloadModel) -> str:
    """Return in a line that a model is right, its size, and which operations have no proof."""
    unproved = [o.name for o in model.operations.values() if o.proof.kind == "unproved"]
    proofs = f"no proof of {listed(unproved)}" if unproved else "each with a proof"
    rows = sum(table.rows for table in model.tables.values())
    return (
        f"{model.name} is right: {plural(len(model.tables), 'table')}, "
        f"{plural(rows, 'row')}, {plural(len(model.operations), 'operation')}, {proofs}"
    )
