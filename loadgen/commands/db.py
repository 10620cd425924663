"""`loadgen db`: the embedded Postgres of this folder, or the one at DATABASE_URL.

`grant` and `revoke` manage a tool's user, rights, publication and slot there.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from loadgen.config.settings import Settings, load_settings, variable
from loadgen.errors import PlaygroundError, SettingsError, SourceError
from loadgen.source.clean import clean
from loadgen.source.embedded import server
from loadgen.source.embedded.server import source_dsn, workload_database
from loadgen.source.grant import Grant, create_grant, revoke_grant
from loadgen.source.postgres import connect, mask, place
from loadgen.source.schema import (
    PUBLICATION,
    check_source,
    require_ownership,
    require_playground,
)
from loadgen.terminal import print_wrapped
from loadgen.text import first_capital
from loadgen.tools.tools_file import load_tools, select_tools

_EXAMPLE: Final = 'example: loadgen db up && psql "$(loadgen db dsn)"'


@dataclass(frozen=True, slots=True)
class _Status:
    """The output of `up` and `status`; `dsn` has its password masked."""

    running: bool
    embedded: bool
    dsn: str | None = None
    version: str | None = None
    port: int | None = None
    pid: int | None = None
    data_dir: str | None = None
    log: str | None = None


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its subcommands to the parser."""
    parser = subparsers.add_parser(
        "db",
        help="start, stop or check the source; create a tool's user and slot",
        description="Starts, stops and shows the embedded Postgres that belongs to this folder.",
        epilog=_EXAMPLE,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (action, text) in _ACTIONS.items():
        subparser = actions.add_parser(name, help=text, description=f"{first_capital(text)}.")
        if action in (_up, _status):
            subparser.add_argument("--json", action="store_true", help="print JSON instead of text")
        if action in (_grant, _revoke):
            subparser.add_argument("tool", metavar="TOOL", help="the tool's name in TOOLS_FILE")
        if action is _grant:
            subparser.add_argument(
                "--password-env",
                metavar="NAME",
                help="variable with the password, in the environment or .env; "
                "without it a random password is made and shown once",
            )
        if action is _clean:
            subparser.add_argument(
                "--tables", action="store_true", help="the workload's tables and rows, too"
            )
        if action in (_reset, _clean):
            subparser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand `args.action`."""
    action, _ = _ACTIONS[args.action]
    return action(args, load_settings())


def _up(args: argparse.Namespace, settings: Settings) -> int:
    if settings.database_url is None:
        server.start(Path.cwd(), pg_bin=settings.pg_bin, database=workload_database(settings))
    return _status(args, settings)


def _status(args: argparse.Namespace, settings: Settings) -> int:
    """Show the source; 0 if it can be used, 1 if the embedded server is stopped."""
    embedded = settings.database_url is None
    running = server.status(Path.cwd()) if embedded else None
    if embedded and running is None:
        _print_status(args, _Status(running=False, embedded=True))
        return 1
    dsn = source_dsn(settings)
    with connect(dsn) as conn:
        check_source(conn)
        require_ownership(conn)
        # Distributions append their own version in brackets.
        version = (conn.info.parameter_status("server_version") or "").partition(" ")[0]
    status = _Status(
        running=True,
        embedded=embedded,
        dsn=mask(dsn),
        version=version,
        port=running.port if running else None,
        pid=running.pid if running else None,
        data_dir=str(running.data_dir) if running else None,
        log=str(running.log) if running else None,
    )
    _print_status(args, status)
    return 0


def _down(args: argparse.Namespace, settings: Settings) -> int:
    _require_embedded(args, settings)
    print("stopped" if server.stop(Path.cwd()) else "it was not running")
    return 0


def _dsn(args: argparse.Namespace, settings: Settings) -> int:  # noqa: ARG001
    """Print the DSN with its password, for other programs."""
    print(source_dsn(settings))
    return 0


def _reset(args: argparse.Namespace, settings: Settings) -> int:
    _require_embedded(args, settings)
    question = f"Stop the embedded Postgres of {Path.cwd()} and remove all its data?"
    if not args.yes and not _confirmed(args.action, question):
        return 1
    server.reset(Path.cwd())
    print("removed: `loadgen db up` starts with an empty one")
    return 0


def _confirmed(action: str, question: str) -> bool:
    if not sys.stdin.isatty():
        raise PlaygroundError(f"db {action} removes data: add --yes if there is no terminal to ask")
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _require_embedded(args: argparse.Namespace, settings: Settings) -> None:
    if settings.database_url is not None:
        raise SourceError(
            f"db {args.action} is for the embedded Postgres, and DATABASE_URL is set, which is "
            "yours to manage: unset DATABASE_URL first"
        )


def _print_status(args: argparse.Namespace, status: _Status) -> None:
    if args.json:
        print(json.dumps(asdict(status), indent=2))
    elif not status.running:
        print("the embedded Postgres is not running: start it with `loadgen db up`")
    else:
        kind = "embedded Postgres" if status.embedded else "Postgres at DATABASE_URL"
        print_wrapped(f"{kind} {status.version} is ready: {status.dsn}")
        if status.embedded:
            print_wrapped(f"process {status.pid}, data in {status.data_dir}, log in {status.log}")


def _grant(args: argparse.Namespace, settings: Settings) -> int:
    """Make the tool's user, rights, publication and slot, as far as they are missing."""
    (tool,) = select_tools(load_tools(settings), args.tool)
    if tool.runner is not None:
        raise SettingsError(f"tool {tool.name} runs here and makes what it needs: nothing to grant")
    password = None
    if args.password_env is not None:
        password = variable(args.password_env)
        if password is None:
            raise SettingsError(
                f"--password-env names {args.password_env}, which is not set: set it in the "
                "environment or in .env"
            )
    dsn, statements = source_dsn(settings), []

    def show(statement: str) -> None:
        statements.append(statement)
        _show(statement)

    with connect(dsn) as conn:
        check_source(conn)
        require_playground(conn)
        grant = Grant(tool.name, conn.info.dbname, tool.slot, tool.publication or PUBLICATION)
        new_password = create_grant(conn, grant, show, password)
    if not statements:
        print(f"{tool.name} has all of this already: nothing was changed")
    if grant.slot is None:
        access = "which may read and, as the tool names no slot, not replicate"
    else:
        access = f"slot {grant.slot}, publication {grant.publication}"
    print(f"-- at {place(dsn)}: user {grant.user}, {access}")
    if new_password and password is None:
        print(f"password of {grant.user}, shown only now: {new_password}")
    elif new_password:
        print(f"password of {grant.user}: as in {args.password_env}")
    return 0


def _revoke(args: argparse.Namespace, settings: Settings) -> int:
    """Remove all that `grant` made; the tool need not be in TOOLS_FILE any more."""
    with connect(source_dsn(settings)) as conn:
        revoked = revoke_grant(conn, args.tool, _show)
    print(
        f"{args.tool} has nothing left on the source"
        if revoked
        else f"{args.tool} had nothing on the source: nothing was changed"
    )
    return 0


def _clean(args: argparse.Namespace, settings: Settings) -> int:
    """Remove all of ours; the workload's tables stay unless they are named too."""
    dsn = source_dsn(settings)
    parts = "users, slots, publication, markers and run data"
    what = f"{parts}, and the workload's tables with all rows" if args.tables else parts
    if not args.yes and not _confirmed(args.action, f"Remove from {mask(dsn)} our {what}?"):
        return 1
    slots = [slot for tool in load_tools(settings) if (slot := tool.slot_read)]
    with connect(dsn) as conn:
        clean(conn, slots, _show, tables=args.tables)
    print(f"removed from {place(dsn)}: {what}")
    return 0


def _show(statement: str) -> None:
    print(f"{statement};", flush=True)


_ACTIONS: Final[dict[str, tuple[Callable[[argparse.Namespace, Settings], int], str]]] = {
    "up": (_up, "start the embedded Postgres, or check the one at DATABASE_URL"),
    "down": (_down, "stop the embedded Postgres; its data stays"),
    "status": (_status, "show the running server; exit code 1 if there is none"),
    "dsn": (_dsn, "print the source's address with its password, for other programs"),
    "grant": (_grant, "make a tool's user, rights, publication and slot on the source"),
    "revoke": (_revoke, "remove them again, including the slot"),
    "clean": (_clean, "remove everything of ours from the source; the workload's tables stay"),
    "reset": (_reset, "stop the embedded Postgres and remove all its data"),
}
