"""`loadgen workload`: the built-in workloads, what one holds, the mistakes in yours, an import."""

import argparse
import re
from pathlib import Path
from textwrap import fill
from typing import Final

from loadgen.commands import workload_import
from loadgen.config.settings import load_settings
from loadgen.source.embedded import server
from loadgen.source.embedded.server import source_dsn
from loadgen.source.imported import require_other_database
from loadgen.source.postgres import connect
from loadgen.terminal import print_table
from loadgen.text import Column, Table, listed, plural, quantity
from loadgen.workload.describe import profile_line, proof, table_line, value_text
from loadgen.workload.model import Statement, WorkloadModel
from loadgen.workload.read_model import ModelError, built_in_models, read_model

_EXAMPLE: Final = "example: loadgen workload check my-workload"
_WIDTH: Final = 80
_LONGEST_VALUE: Final = 60  # characters


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "workload",
        help="workloads: the built-in ones, and your own",
        description="Lists, shows and checks workloads, and imports one from a live Postgres; "
        "docs/workload.md describes their files.",
        epilog=_EXAMPLE,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="the built-in workloads", epilog=_EXAMPLE)
    show = actions.add_parser(
        "show", help="tables, values, operations and proofs of one", epilog=_EXAMPLE
    )
    show.add_argument("workload", metavar="NAME", help="a built-in name, or a folder")
    check = actions.add_parser("check", help="the mistakes in one, if any", epilog=_EXAMPLE)
    check.add_argument(
        "workload",
        metavar="PATH",
        nargs="?",
        help="a folder or built-in name; default: WORKLOAD",
    )
    workload_import.add_parser(actions)


def run(args: argparse.Namespace) -> int:
    """List, show, check or import; 0 if the workload has no mistake."""
    if args.action == "list":
        print_table(_list())
    elif args.action == "import":
        return workload_import.run(args)
    elif args.action == "show":
        _show(read_model(args.workload))
    else:
        model = read_model(args.workload or load_settings().workload)
        print(summary(model, checked=_is_checked_by_postgres(model)))
    return 0


def _is_checked_by_postgres(model: WorkloadModel) -> bool:
    """Let a Postgres judge schema, baseline and statements; False if none runs. Raises ModelError.

    That is the one at DATABASE_URL, else the embedded one in its empty maintenance database.
    """
    from loadgen.source.check_model import check_model  # noqa: PLC0415 - numpy takes 17 MB

    settings = load_settings()
    running = None if settings.database_url else server.status(Path.cwd())
    if settings.database_url is None and running is None:
        return False
    with connect(running.dsn_of("postgres") if running else source_dsn(settings)) as conn:
        require_other_database(conn, model)
        if problems := check_model(conn, model):
            raise ModelError("\n".join(problems))
    return True


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
    if model.profile is not None:
        print(f"profile: {profile_line(model.profile)} (PROFILE=steady ignores it)")
    for table in model.tables.values():
        print(f"\n{table_line(table)}")
        values = tuple(
            (name, _short(value_text(value), _LONGEST_VALUE))
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
            line = f"  {'parameters:' if not i else '           '} {name} = {value_text(parameter)}"
            print(_short(line, _WIDTH))
        print(f"  proof of a lost write: {proof(operation)}")
    print()
    for check in model.checks:
        print(f"check {check.name}: {check.title}")
    for conserved in model.conserved:
        sums = listed([".".join(place) for place in conserved.columns])
        line = f"conserved {conserved.name}: sums of {sums}"
        print(fill(line, _WIDTH, subsequent_indent="  "))


def _named(statement: Statement) -> str:
    """Return the SQL with :name in the place of $1 …, as in the model."""
    return re.sub(r"\$(\d+)", lambda n: f":{statement.parameters[int(n[1]) - 1]}", statement.sql)


def _indented(sql: str) -> str:
    return "\n".join(
        fill(line, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False)
        for line in sql.splitlines()
    )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def summary(model: WorkloadModel, *, checked: bool) -> str:
    """Return in a line that a model is right, its size, and which operations have no proof.

    One that no Postgres has `checked` can only be read.
    """
    unproved = [o.name for o in model.operations.values() if o.proof.kind == "unproved"]
    proofs = f"no proof of {listed(unproved)}" if unproved else "each with a proof"
    rows = sum(table.rows for table in model.tables.values())
    state = "is right" if checked else "can be read, and was not checked with Postgres"
    remedy = "" if checked else "; `loadgen db up`, then check again"
    return (
        f"{model.name} {state}: {plural(len(model.tables), 'table')}, "
        f"{plural(rows, 'row')}, {plural(len(model.operations), 'operation')}, {proofs}{remedy}"
    )
