"""`loadgen expose`: the local Postgres through an ngrok TCP tunnel, after security checks."""

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
from loadgen.terminal import print_table
from loadgen.text import Column, Table

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
        help="open an ngrok TCP tunnel to the local Postgres, after security checks",
        description="Opens an ngrok TCP tunnel to the local Postgres, shows the connection "
        "settings for each tool, and closes it on Ctrl-C or after --minutes. Refuses a server "
        "without TLS and scram-sha-256, or without a user of `loadgen db grant`.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("--tool", metavar="NAME", help="only the settings for this tool")
    parser.add_argument(
        "--minutes",
        type=number("minutes", 525_600),
        metavar="M",
        help="close it after M minutes (default: on Ctrl-C)",
    )
    parser.add_argument(
        "--ngrok-api",
        type=_http,
        default=NGROK_API,
        metavar="URL",
        help=f"ngrok's local API, web_addr of its configuration (default: {NGROK_API})",
    )


def run(args: argparse.Namespace) -> int:
    """Keep a tunnel open for --minutes or until Ctrl-C; 0 if it is verified closed."""
    with connect(source_dsn(load_settings())) as conn:
        server = examine_server(conn, args.tool)
    _wrapped(_WARNING)
    try:
        with tunnel(server, args.ngrok_api) as opened:
            _print_connection(server, opened, args.minutes)
            _hold(opened, args.minutes)
    except KeyboardInterrupt:
        print("Tunnel closed and verified closed.")
        raise
    print("Time limit reached. Tunnel closed and verified closed.")
    return 0


def _hold(opened: Tunnel, minutes: float | None) -> None:
    """Wait for the time limit. Raises TunnelError if the tunnel breaks before."""
    deadline = time.monotonic() + (math.inf if minutes is None else minutes * 60)
    while (left := deadline - time.monotonic()) > 0:
        opened.require_open()
        time.sleep(min(_LOOK_SECONDS, left))


def _print_connection(server: ExposableServer, opened: Tunnel, minutes: float | None) -> None:
    print(f"\nopen: {opened.host}:{opened.port} leads to {server.host}:{server.port}")
    for grant in server.grants:
        print(f"\nSettings for {grant.tool}:", flush=True)
        print_table(_settings_of(grant, opened))
    if server.plain_lines:
        lines = ", ".join(map(str, server.plain_lines))
        _wrapped(
            f"\nnote: pg_hba.conf, line {lines}, allows connections without TLS too: write hostssl "
            "there to refuse them"
        )
    until = "Ctrl-C closes it" if minutes is None else f"it closes in {minutes:g} min, or on Ctrl-C"
    print(f"\n{until}", flush=True)


def _wrapped(text: str) -> None:
    print("\n" * text.startswith("\n") + textwrap.fill(text.strip(), _WIDTH))


def _settings_of(grant: Grant, opened: Tunnel) -> Table:
    return Table(
        (Column(""), Column("")),
        (
            ("host", opened.host),
            ("port", str(opened.port)),
            ("user", grant.user),
            ("password", "as shown by `loadgen db grant`"),
            ("database", grant.database),
            ("schema", "public"),
            ("TLS", "on: require (verify-full fails, since the host name is ngrok's)"),
            ("method", "logical replication, CDC (pgoutput)"),
            ("slot", grant.slot or ""),
            ("publication", grant.publication),
        ),
    )


def _http(text: str) -> str:
    if not text.startswith(("http://127.0.0.1:", "http://localhost:")):
        raise argparse.ArgumentTypeError(f"{text!r} is not http://127.0.0.1:PORT")
    return text.rstrip("/")
