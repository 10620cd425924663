"""The local Postgres through an ngrok TCP tunnel: security checks, opening, closing.

ngrok forwards bytes unchanged, so the server itself has to encrypt and to require a password. ngrok
runs as our child and ends with us, even if we are killed; afterwards its API is checked for open
tunnels.
"""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import IO, Final
from urllib.error import URLError
from urllib.parse import urlsplit

from psycopg import conninfo

from loadgen.errors import CheckFailed, PlaygroundError, SourceError, one_line
from loadgen.network import open_url
from loadgen.orphans import ended_with_us
from loadgen.source.examine import accepts_tls, hba_rules
from loadgen.source.grant import Grant, list_grants
from loadgen.source.postgres import Connection
from loadgen.untrusted import parse_json

NGROK_API: Final = "http://127.0.0.1:4040"
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OPENS_WITHIN_SECONDS: Final = 30.0
_CLOSES_WITHIN_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.2
# Methods of pg_hba.conf that require SCRAM or a client certificate.
_SAFE_METHODS: Final = frozenset({"scram-sha-256", "cert", "reject"})
_LAST_LINES: Final = 5  # of ngrok's log, in a message
# ngrok's error codes, with cause and remedy.
_REFUSALS: Final = {
    "ERR_NGROK_4018": "log in first: ngrok config add-authtoken TOKEN "
    "(https://dashboard.ngrok.com/get-started/your-authtoken)",
    "ERR_NGROK_105": "the authtoken is wrong: ngrok config add-authtoken TOKEN",
    "ERR_NGROK_8013": "ngrok wants a credit or debit card on file for TCP, on the free plan too; "
    "or use an SSH bastion: docs/expose.md",
    "ERR_NGROK_108": "this account already runs another ngrok: stop that one",
}


class TunnelError(PlaygroundError):
    """The tunnel can't be opened, or broke; the text has the cause and the remedy."""


@dataclass(frozen=True, slots=True)
class ExposableServer:
    """A server that may be exposed: its address, and the grants of the tools that may connect."""

    host: str
    port: int
    grants: tuple[Grant, ...]
    plain_lines: tuple[int, ...]  # lines of pg_hba.conf that allow connections without TLS


@dataclass(frozen=True, slots=True)
class Tunnel:
    """An open tunnel with its address on the internet."""

    host: str
    port: int
    process: "subprocess.Popen[bytes]"
    log: IO[bytes]

    def require_open(self) -> None:
        """Raise TunnelError if ngrok has ended."""
        if self.process.poll() is not None:
            raise TunnelError(f"the tunnel is closed: {_why_ended(self.process, self.log)}")


def examine_server(conn: Connection, tool: str | None = None) -> ExposableServer:
    """Return the server. Raises SourceError, with a remedy, if exposing it would not be safe."""
    host, port = _local_address(conn)
    if not accepts_tls(conn):
        raise SourceError(
            "this Postgres has no TLS (the embedded wheel is built without it), and a tunnel would "
            "carry everything in plain text: set PG_BIN to a Postgres with TLS (on Debian "
            "/usr/lib/postgresql/15/bin) or use compose's, with ssl = on and a certificate; "
            "docs/expose.md"
        )
    rules = hba_rules(conn)
    for rule in rules:
        if rule.method not in _SAFE_METHODS:
            raise SourceError(
                f"pg_hba.conf, line {rule.line}, allows connections by {rule.method}, and those of "
                "a tunnel come from this machine: make it scram-sha-256, and reload"
            )
    grants = tuple(
        grant
        for grant in list_grants(conn)
        if grant.database == conn.info.dbname and grant.slot and tool in {None, grant.tool}
    )
    if not grants:
        raise SourceError(
            f"there is no dedicated replication user{f' of tool {tool}' if tool else ''}, and your "
            f"own is not for the internet: make one with `loadgen db grant {tool or 'TOOL'}`"
        )
    plain_lines = tuple(
        rule.line for rule in rules if rule.type == "host" and rule.method != "reject"
    )
    return ExposableServer(host, port, grants, plain_lines)


@contextmanager
def tunnel(server: ExposableServer, api: str = NGROK_API) -> Iterator[Tunnel]:
    """Open a tunnel to the server; close it at the end, whatever happens, and verify that.

    Raises TunnelError if ngrok is missing, refuses, ends or names no tunnel, and CheckFailed if
    ngrok's API still names a tunnel at the end.
    """
    program = shutil.which("ngrok")
    if program is None:
        raise TunnelError(
            "there is no ngrok on PATH: install it (https://ngrok.com/download) and log in, or use "
            "an SSH bastion or RDS: docs/expose.md"
        )
    if _tunnels(api) is not None:
        raise TunnelError(
            f"an ngrok runs already (it answers at {api}): stop that one first, so that this "
            "tunnel is the only one"
        )
    address = f"{server.host}:{server.port}"
    command = [program, "tcp", address, "--log", "stdout", "--log-format", "logfmt"]
    with tempfile.TemporaryFile() as log_file, ended_with_us() as children:
        # In a new session, so that Ctrl-C reaches only us; we end ngrok.
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            command,
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        children.began(process)
        try:
            host, port = _wait_until_open(process, log_file, api)
            yield Tunnel(host, port, process, log_file)
        finally:
            # A second Ctrl-C must not interrupt the closing.
            former = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
            try:
                _close(process, api)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _local_address(conn: Connection) -> tuple[str, int]:
    """Return the server's address on this machine. Raises SourceError if it is elsewhere."""
    host = conn.info.hostaddr
    if not host:
        raise SourceError(
            "DATABASE_URL names a socket, and ngrok needs a port: write postgresql://…@127.0.0.1:…"
        )
    if not ip_address(host).is_loopback:
        name = conninfo.conninfo_to_dict(conn.info.dsn).get("host", host)
        raise SourceError(
            f"DATABASE_URL is at {name}, not on this machine: it needs no tunnel; allow the "
            "tool's addresses there, or use an SSH bastion: docs/expose.md"
        )
    return host, conn.info.port


def _wait_until_open(
    process: "subprocess.Popen[bytes]", log: IO[bytes], api: str
) -> tuple[str, int]:
    """Return host and port of the tunnel as soon as ngrok names one."""
    deadline = time.monotonic() + _OPENS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TunnelError(f"ngrok has ended: {_why_ended(process, log)}")
        for address in _tunnels(api) or []:
            parts = urlsplit(address)
            if parts.scheme == "tcp" and parts.hostname and parts.port:
                return parts.hostname, parts.port
        time.sleep(_POLL_SECONDS)
    raise TunnelError(
        f"ngrok runs, but names no tunnel at {api} within {_OPENS_WITHIN_SECONDS:g} s: check the "
        "network, and web_addr in ngrok's configuration (--ngrok-api names another)"
    )


def _tunnels(api: str) -> list[str] | None:
    """Return the public addresses of ngrok's tunnels; None if no ngrok answers."""
    try:
        with open_url(f"{api}/api/tunnels", 2) as answer:
            tunnels = parse_json(answer.read())["tunnels"]
        return [str(tunnel["public_url"]) for tunnel in tunnels]
    except (OSError, URLError):
        return None
    except (ValueError, KeyError, TypeError, RecursionError):
        return []  # another program answers


def _close(process: "subprocess.Popen[bytes]", api: str) -> None:
    """End ngrok, by force if necessary. Raises CheckFailed if its API still names a tunnel."""
    process.terminate()
    try:
        process.wait(_CLOSES_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    deadline = time.monotonic() + _CLOSES_WITHIN_SECONDS
    while _tunnels(api):
        if time.monotonic() > deadline:
            raise CheckFailed(
                f"ngrok has ended, but {api} still names a tunnel: look for another ngrok, and end "
                "it (https://dashboard.ngrok.com/endpoints lists open tunnels)"
            )
        time.sleep(_POLL_SECONDS)


def _why_ended(process: "subprocess.Popen[bytes]", log: IO[bytes]) -> str:
    log.seek(0)
    text = log.read().decode(errors="replace")
    for code, meaning in _REFUSALS.items():
        if f"{code}\n" in f"{text}\n".replace('"', "\n").replace(" ", "\n"):
            return f"{meaning} ({code})"
    lines = [line for line in text.splitlines() if line.strip()]
    message = one_line("\n".join(lines[-_LAST_LINES:])) or "without a message"
    return f"exit code {process.returncode}: {message}"
