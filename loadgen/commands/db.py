"""`loadgen db`: the embedded Postgres of this folder, or a check of the one at DATABASE_URL.

What a tool gets there and loses again is in db_grant.py.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from loadgen.commands.db_grant import add_arguments, grant, revoke
from loadgen.config.settings import Settings, load_settings
from loadgen.errors import PlaygroundError, SourceError
from loadgen.source.embedded import server
from loadgen.source.embedded.server import source_dsn
from loadgen.source.postgres import connect, mask
from loadgen.source.schema import check_source, require_ownership

_EXAMPLE: Final = 'example: loadgen db up && psql "$(loadgen db dsn)"'


@dataclass(frozen=True, slots=True)
class _Report:
    """What `up` and `status` say; `dsn` has its password masked."""

    running: bool
    embedded: bool
    dsn: str | None = None
    version: str | None = None
    port: int | None = None
    pid: int | None = None
    data_dir: str | None = None
    log: str | None = None


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its own subcommands to the parser."""
    parser = subparsers.add_parser(
        "db",
        help="the embedded Postgres, or a check of the one at DATABASE_URL",
        description="Starts, stops and shows the embedded Postgres that belongs to this folder.",
        epilog=_EXAMPLE,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (action, text) in _ACTIONS.items():
        one = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if action in (_up, _status):
            one.add_argument("--json", action="store_true", help="print JSON instead of text")
        if action in (grant, revoke):
            add_arguments(one, grants=action is grant)
        if action is _reset:
            one.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` names."""
    action, _ = _ACTIONS[args.action]
    return action(args, load_settings())


def _up(args: argparse.Namespace, settings: Settings) -> int:
    if settings.database_url is None:
        server.start(Path.cwd(), pg_bin=settings.pg_bin)
    return _status(args, settings)


def _status(args: argparse.Namespace, settings: Settings) -> int:
    """Say what runs; 0 if the source can be used as it is, 1 if the embedded one is stopped."""
    embedded = settings.database_url is None
    running = server.status(Path.cwd()) if embedded else None
    if embedded and running is None:
        _say(args, _Report(running=False, embedded=True))
        return 1
    dsn = source_dsn(settings)
    with connect(dsn) as conn:
        check_source(conn)
        require_ownership(conn)
        # Distributions add their own version in brackets.
        version = (conn.info.parameter_status("server_version") or "").partition(" ")[0]
    _say(
        args,
        _Report(
            running=True,
            embedded=embedded,
            dsn=mask(dsn),
            version=version,
            port=running.port if running else None,
            pid=running.pid if running else None,
            data_dir=str(running.data_dir) if running else None,
            log=str(running.log) if running else None,
        ),
    )
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
    if not args.yes and not _agreed():
        return 1
    server.reset(Path.cwd())
    print("removed: `loadgen db up` starts with an empty one")
    return 0


def _agreed() -> bool:
    question = f"Stop the embedded Postgres of {Path.cwd()} and remove all its data? [y/N] "
    if not sys.stdin.isatty():
        raise PlaygroundError("db reset removes all data: say --yes where nobody can be asked")
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _require_embedded(args: argparse.Namespace, settings: Settings) -> None:
    if settings.database_url is not None:
        raise SourceError(
            f"db {args.action} is for the embedded Postgres, and DATABASE_URL is set, which is "
            "yours to manage: unset DATABASE_URL first"
        )


def _say(args: argparse.Namespace, report: _Report) -> None:
    if args.json:
        print(json.dumps(asdict(report), indent=2))
    elif not report.running:
        print("the embedded Postgres is not running: start it with `loadgen db up`")
    else:
        kind = "embedded Postgres" if report.embedded else "Postgres at DATABASE_URL"
        print(f"{kind} {report.version} is ready: {report.dsn}")
        if report.embedded:
            print(f"process {report.pid}, data in {report.data_dir}, log in {report.log}")


_ACTIONS: Final[dict[str, tuple[Callable[[argparse.Namespace, Settings], int], str]]] = {
    "up": (_up, "start the embedded Postgres, or check the one at DATABASE_URL"),
    "down": (_down, "stop the embedded Postgres; its data stays"),
    "status": (_status, "say what runs; exit code 1 if nothing does"),
    "dsn": (_dsn, "print the source's address with its password, for other programs"),
    "grant": (grant, "make a tool's user, rights, publication and slot on the source"),
    "revoke": (revoke, "take them away again, the slot included"),
    "reset": (_reset, "stop the embedded Postgres and remove all its data"),
}
