"""The local Postgres through an ngrok TCP tunnel: what must hold before, opening, closing.

ngrok passes bytes through as they are, so the server itself has to encrypt and to ask for a
password. ngrok runs as a child of ours, and is ended with us, also if we are killed; that it is, is
checked.
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
from typing import IO, Any, Final
from urllib.error import URLError
from urllib.parse import urlsplit

import psycopg
from psycopg import conninfo

from loadgen.errors import CheckFailed, PlaygroundError, SourceError, one_line
from loadgen.orphans import ended_with_us
from loadgen.proxies import open_url
from loadgen.source.examine import doors, speaks_tls
from loadgen.source.grant import Grant, grants
from loadgen.untrusted import parse_json

NGROK_API: Final = "http://127.0.0.1:4040"
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OPENS_WITHIN_SECONDS: Final = 30.0
_CLOSES_WITHIN_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.2
# pg_hba.conf's ways that let in nobody without SCRAM or a client's certificate.
_SAFE_METHODS: Final = frozenset({"scram-sha-256", "cert", "reject"})
_LAST_LINES: Final = 5  # of what ngrok says, in a message
# What ngrok says when it gives up, and what to do.
_REFUSALS: Final = {
    "ERR_NGROK_4018": "log in first: ngrok config add-authtoken TOKEN "
    "(https://dashboard.ngrok.com/get-started/your-authtoken)",
    "ERR_NGROK_105": "the authtoken is wrong: ngrok config add-authtoken TOKEN",
    "ERR_NGROK_8013": "ngrok wants a credit or debit card on file for TCP, on the free plan too; "
    "or use an SSH bastion: docs/expose.md",
    "ERR_NGROK_108": "another ngrok of this account runs: stop that one",
}


class TunnelError(PlaygroundError):
    """The tunnel could not be opened, or broke; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Exposable:
    """A server that may be exposed: where it listens, and who may come in by it."""

    host: str
    port: int
    grants: tuple[Grant, ...]
    plain_lines: tuple[int, ...]  # of pg_hba.conf, that take connections without TLS too


@dataclass(frozen=True, slots=True)
class Tunnel:
    """An open tunnel: where it is on the internet."""

    host: str
    port: int
    process: "subprocess.Popen[bytes]"
    said: IO[bytes]

    def require_open(self) -> None:
        """Raise TunnelError where ngrok has ended."""
        if self.process.poll() is not None:
            raise TunnelError(f"the tunnel is gone: {_why_ended(self.process, self.said)}")


def examine_server(conn: psycopg.Connection[Any], tool: str | None = None) -> Exposable:
    """Return what may be exposed. Raises SourceError where it would not be safe, and what to do."""
    host, port = _listens(conn)
    if not speaks_tls(conn):
        raise SourceError(
            "this Postgres has no TLS (the embedded wheel is built without it), and a tunnel would "
            "carry everything in plain text: set PG_BIN to a Postgres with TLS (on Debian "
            "/usr/lib/postgresql/15/bin) or use compose's, with ssl = on and a certificate; "
            "docs/expose.md"
        )
    found = doors(conn)
    for door in found:
        if door.method not in _SAFE_METHODS:
            raise SourceError(
                f"pg_hba.conf, line {door.line}, lets connections in by {door.method}: a tunnel's "
                "come from this machine and would be too; make it scram-sha-256, and reload"
            )
    held = [grant for grant in grants(conn) if grant.database == conn.info.dbname and grant.slot]
    chosen = tuple(grant for grant in held if tool in {None, grant.tool})
    if not chosen:
        raise SourceError(
            f"no dedicated replication user {f'of tool {tool} ' if tool else ''}is there, and your "
            f"own is not for the internet: make one with `loadgen db grant {tool or 'TOOL'}`"
        )
    plain = tuple(door.line for door in found if door.type == "host" and door.method != "reject")
    return Exposable(host, port, chosen, plain)


@contextmanager
def tunnel(server: Exposable, api: str = NGROK_API) -> Iterator[Tunnel]:
    """Open a tunnel to the server and close it in the end, whatever happens; then check that.

    Raises TunnelError where ngrok is missing, refuses, ends or says nothing, and CheckFailed where
    the tunnel can't be seen to be closed.
    """
    program = shutil.which("ngrok")
    if program is None:
        raise TunnelError(
            "there is no ngrok on PATH: install it (https://ngrok.com/download) and log in, or use "
            "an SSH bastion or RDS: docs/expose.md"
        )
    if _tunnels(api) is not None:
        raise TunnelError(
            f"an ngrok runs already (it answers at {api}): stop that one first, so that what is "
            "open is what was opened here"
        )
    address = f"{server.host}:{server.port}"
    command = [program, "tcp", address, "--log", "stdout", "--log-format", "logfmt"]
    with tempfile.TemporaryFile() as said, ended_with_us() as children:
        # A session of its own: Ctrl-C is for us, who end it and see that it has.
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        children.began(process)
        try:
            where = _wait_until_open(process, said, api)
            yield Tunnel(*where, process, said)
        finally:
            # Whoever is impatient waits: what is half closed is open.
            former = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
            try:
                _close(process, api)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _listens(conn: psycopg.Connection[Any]) -> tuple[str, int]:
    """Return where the server is reached on this machine. Raises SourceError if it is elsewhere."""
    host = conn.info.hostaddr
    if not host:
        raise SourceError(
            "DATABASE_URL names a socket, and ngrok needs a port: write postgresql://…@127.0.0.1:…"
        )
    if not ip_address(host).is_loopback:
        name = conninfo.conninfo_to_dict(conn.info.dsn).get("host", host)
        raise SourceError(
            f"DATABASE_URL is at {name}, not on this machine: nothing to tunnel; let the tool's "
            "addresses in there, or use an SSH bastion: docs/expose.md"
        )
    return host, conn.info.port


def _wait_until_open(
    process: "subprocess.Popen[bytes]", said: IO[bytes], api: str
) -> tuple[str, int]:
    """Return host and port of the tunnel once ngrok has one."""
    deadline = time.monotonic() + _OPENS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TunnelError(f"ngrok has ended: {_why_ended(process, said)}")
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
    """Return the public addresses that ngrok has open; None where none answers."""
    try:
        with open_url(f"{api}/api/tunnels", 2) as answer:
            found = parse_json(answer.read())["tunnels"]
        return [str(one["public_url"]) for one in found]
    except (OSError, URLError):
        return None
    except (ValueError, KeyError, TypeError, RecursionError):
        return []  # somebody answers, with nothing that we understand


def _close(process: "subprocess.Popen[bytes]", api: str) -> None:
    """End ngrok, by force if need be. Raises CheckFailed where it can be seen to live on."""
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
                f"ngrok was ended, yet {api} still names a tunnel: look for another ngrok, and end "
                "it (https://dashboard.ngrok.com/endpoints shows what is open)"
            )
        time.sleep(_POLL_SECONDS)


def _why_ended(process: "subprocess.Popen[bytes]", said: IO[bytes]) -> str:
    said.seek(0)
    text = said.read().decode(errors="replace")
    for code, meaning in _REFUSALS.items():
        if f"{code}\n" in f"{text}\n".replace('"', "\n").replace(" ", "\n"):
            return f"{meaning} ({code})"
    lines = [line for line in text.splitlines() if line.strip()]
    message = one_line("\n".join(lines[-_LAST_LINES:])) or "it said nothing"
    return f"exit code {process.returncode}: {message}"
