"""`loadgen expose`: the local Postgres through an ngrok TCP tunnel, with the security checks."""

import argparse
import math
import textwrap
import time
from typing import Final

from loadgen.commands.numbers import number
from loadgen.config.settings import load_settings
from loadgen.source.embedded.server import source_dsn
from loadgen.source.grant import Grant
from loadgen.source.postgres import connect
from loadgen.source.tunnel import NGROK_API, ExposableServer, Tunnel, examine_server, tunnel

_EXAMPLE: Final = "example: loadgen db grant fivetran && loadgen expose --minutes 60"
_LOOK_SECONDS: Final = 0.5
_WIDTH: Final = 80
_WARNING: Final = (
    "WARNING: this opens a Postgres port to the internet, and such ports are scanned within "
    "minutes. Keep only made-up data in it, and close it when you are done. ngrok's free plan "
    "wants a card on file for TCP, gives another address each time, and can't limit who connects. "
    "An SSH bastion (all three vendors have it) or RDS with a security group is safer: "
    "docs/expose.md."
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "expose",
        help="the local Postgres through an ngrok TCP tunnel, with the security checks",
        description="Opens an ngrok TCP tunnel to the local Postgres, says what to type in each "
        "tool, and closes it on Ctrl-C or after --minutes. Refuses a server without TLS and "
        "scram-sha-256, or without a user of `loadgen db grant`.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("--tool", metavar="NAME", help="only what this tool needs")
    parser.add_argument(
        "--minutes",
        type=number("minutes", 525_600),
        metavar="M",
        help="close it then (default: on Ctrl-C)",
    )
    parser.add_argument(
        "--ngrok-api",
        type=_http,
        default=NGROK_API,
        metavar="URL",
        help=f"ngrok's local API, web_addr of its configuration (default: {NGROK_API})",
    )


def run(args: argparse.Namespace) -> int:
    """Keep a tunnel open until it is time, or until Ctrl-C; 0 once it is seen to be closed."""
    with connect(source_dsn(load_settings())) as conn:
        server = examine_server(conn, args.tool)
    _wrapped(_WARNING)
    try:
        with tunnel(server, args.ngrok_api) as opened:
            _tell(server, opened, args.minutes)
            _hold(opened, args.minutes)
    except KeyboardInterrupt:
        print("closed, and seen to be")
        raise
    print("the time is over: closed, and seen to be")
    return 0


def _hold(opened: Tunnel, minutes: float | None) -> None:
    """Wait until it is time. Raises TunnelError where the tunnel breaks before."""
    deadline = time.monotonic() + (math.inf if minutes is None else minutes * 60)
    while (left := deadline - time.monotonic()) > 0:
        opened.require_open()
        time.sleep(min(_LOOK_SECONDS, left))


def _tell(server: ExposableServer, opened: Tunnel, minutes: float | None) -> None:
    print(f"\nopen: {opened.host}:{opened.port} leads to {server.host}:{server.port}")
    for grant in server.grants:
        _tell_tool(grant, opened)
    if server.plain_lines:
        lines = ", ".join(map(str, server.plain_lines))
        _wrapped(
            f"\nnote: pg_hba.conf, line {lines}, takes connections without TLS too: write hostssl "
            "there to refuse them"
        )
    until = "Ctrl-C closes it" if minutes is None else f"it closes in {minutes:g} min, or on Ctrl-C"
    print(f"\n{until}", flush=True)


def _wrapped(text: str) -> None:
    print("\n" * text.startswith("\n") + textwrap.fill(text.strip(), _WIDTH))


def _tell_tool(grant: Grant, opened: Tunnel) -> None:
    print(f"\ntype in {grant.tool}:")
    for name, value in (
        ("host", opened.host),
        ("port", opened.port),
        ("user", grant.user),
        ("password", "as `loadgen db grant` showed it"),
        ("database", grant.database),
        ("schema", "public"),
        ("TLS", "on: require (verify-full fails, as the name is ngrok's)"),
        ("method", "logical replication, CDC (pgoutput)"),
        ("slot", grant.slot),
        ("publication", grant.publication),
    ):
        print(f"  {name:<12} {value}")


def _http(text: str) -> str:
    if not text.startswith(("http://127.0.0.1:", "http://localhost:")):
        raise argparse.ArgumentTypeError(f"{text!r} is not http://127.0.0.1:PORT")
    return text.rstrip("/")
