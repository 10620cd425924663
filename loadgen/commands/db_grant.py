"""`loadgen db grant` and `db revoke`: what a tool under test has on the source."""

import argparse

from loadgen.config.settings import Settings, variable
from loadgen.errors import SettingsError
from loadgen.source.embedded.server import source_dsn
from loadgen.source.grant import Grant, create_grant, revoke_grant
from loadgen.source.postgres import connect, place
from loadgen.source.schema import PUBLICATION, check_source, require_playground
from loadgen.tools.tools_file import Tool, load_tools, select_tools


def add_arguments(parser: argparse.ArgumentParser, *, grants: bool) -> None:
    """Add the arguments of one of the two to its parser."""
    parser.add_argument("tool", metavar="TOOL", help="the tool's name in TOOLS_FILE")
    if grants:
        parser.add_argument(
            "--password-env",
            metavar="NAME",
            help="take the password from this variable (environment or .env); "
            "without it one is made up and shown once",
        )


def grant(args: argparse.Namespace, settings: Settings) -> int:
    """Make the tool's user, rights, publication and slot; a no-op where they are all there."""
    (tool,) = select_tools(load_tools(settings), args.tool)
    if tool.runner is not None:
        raise SettingsError(f"tool {tool.name} runs here and makes what it needs: nothing to grant")
    dsn, password, told = source_dsn(settings), _given_password(args), _Told()
    with connect(dsn) as conn:
        check_source(conn)
        require_playground(conn)
        wanted = _wanted(tool, conn.info.dbname)
        made = create_grant(conn, wanted, told.say, password)
    if not told.count:
        print(f"{tool.name} has all of this already: nothing was changed")
    print(f"-- at {place(dsn)}: {_described(wanted)}")
    if made and password is None:
        print(f"password of {wanted.user}, shown only now: {made}")
    elif made:
        print(f"password of {wanted.user}: as in {args.password_env}")
    return 0


def revoke(args: argparse.Namespace, settings: Settings) -> int:
    """Take all of it away; a no-op where nothing is there. The tool may be gone from TOOLS_FILE."""
    with connect(source_dsn(settings)) as conn:
        gone = revoke_grant(conn, args.tool, _Told().say)
    print(
        f"{args.tool} has nothing left on the source"
        if gone
        else f"{args.tool} had nothing on the source: nothing was changed"
    )
    return 0


class _Told:
    """Prints statements as they are run, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def say(self, statement: str) -> None:
        self.count += 1
        print(f"{statement};", flush=True)


def _wanted(tool: Tool, database: str) -> Grant:
    return Grant(tool.name, database, tool.slot, tool.publication or PUBLICATION)


def _given_password(args: argparse.Namespace) -> str | None:
    if args.password_env is None:
        return None
    found = variable(args.password_env)
    if found is None:
        raise SettingsError(
            f"--password-env names {args.password_env}, which is not set: set it in the "
            "environment or in .env"
        )
    return found


def _described(wanted: Grant) -> str:
    if wanted.slot is None:
        return f"user {wanted.user}, which may read and, as the tool names no slot, not replicate"
    return f"user {wanted.user}, slot {wanted.slot}, publication {wanted.publication}"
