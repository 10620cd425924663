"""The one door to Postgres: reads a DSN, connects, and says in one line why it could not.

Owns what may be said about a DSN: a password never leaves this module, neither in a message nor in
the chain of exceptions behind it. It knows nothing of schema, servers or settings.
"""

import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import quote, urlencode

import psycopg
from psycopg import conninfo, pq
from psycopg.rows import TupleRow

from loadgen.errors import SourceError, one_line
from loadgen.sql import statements

CONNECT_TIMEOUT_SECONDS: Final = 5

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://")
_SCHEMES: Final = ("postgresql", "postgres")
# libpq marks the options that a user interface has to hide.
_SECRETS: Final = frozenset(
    option.keyword.decode() for option in pq.Conninfo.get_defaults() if option.dispchar == b"*"
)
_PREFIX = re.compile(
    r"connection (?:failed|is bad|timeout expired): (?:connection to server .*?(?: failed)?: )?"
)
# What libpq asks back, of each address that it has tried.
_QUESTION = re.compile(r"\s*Is the server running [^?]*\?")
# What the server says (a FATAL at the door has no SQLSTATE in libpq), and what to do about it.
_REFUSALS: Final = (
    (r"password authentication failed|no password supplied", "wrong password for user {user}"),
    (r'role ".*" does not exist', "there is no user {user}"),
    (r'database ".*" does not exist', "there is no database {dbname}"),
    (r"no pg_hba\.conf entry|require[sd]? SSL|not support SSL", "it lets nobody in this way"),
    (r"invalid response|expected authentication", "something other than Postgres answers there"),
    (r"too many (?:clients|connections)|remaining connection slots", "no connection is free"),
    (r"preparing \w+: SQLSTATE", "it does not take the load's statements"),
    (r"starting up|shutting down|recovery", "the server is starting or stopping: try again"),
)
_HINTS: Final = {
    "25006": "the database is read-only; use one that can be written to",
    "42501": "ask the owner for the right, or use a role that has it",
    "53400": "free what nobody uses (replication slots, say), or raise the server's limit",
    "53100": "free some disk space and run the same command again",
    "57014": "run the same command again",
    "57P01": "the server was stopped; start it and run the same command again",
}


def connect(
    dsn: str, *, autocommit: bool = True, application_name: str = "loadgen"
) -> psycopg.Connection[TupleRow]:
    """Return a connection to `dsn` with search_path public and time zone UTC.

    Raises SourceError, without the password, when the DSN is malformed or nobody lets us in.
    """
    complete = complete_dsn(dsn, application_name=application_name)
    try:
        connection = psycopg.connect(complete, autocommit=True)
        connection.execute(session_sql())
        connection.autocommit = autocommit
    except psycopg.Error as exc:
        raise explain(exc, dsn) from exc
    return connection


def session_sql() -> str:
    """Return the statement that readies a session; for connections that others open."""
    return statements("loadgen.source", "postgres.sql")["session"]


def complete_dsn(dsn: str, *, application_name: str = "loadgen") -> str:
    """Return `dsn`, checked, with our name and a time limit on connecting where it has none."""
    given = _parse(dsn)
    given.setdefault("connect_timeout", str(CONNECT_TIMEOUT_SECONDS))
    return conninfo.make_conninfo("", **(given | {"application_name": application_name}))


@contextmanager
def ended_after(connection: psycopg.Connection[Any], seconds: float) -> Iterator[None]:
    """End the connection where what is done within takes longer; that then raises psycopg.Error.

    A frozen server, or a network that swallows everything, would be waited for without end.
    """
    timer = threading.Timer(seconds, _cut, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def plain_errors(doing: str) -> Iterator[None]:
    """Turn what Postgres refuses within into a SourceError that says what was being done."""
    try:
        yield
    except psycopg.Error as exc:
        text = server_message(exc)
        hint = _HINTS.get(exc.sqlstate or "", "the server's log has more")
        raise SourceError(f"{doing}: {text} (SQLSTATE {exc.sqlstate}): {hint}") from exc


def server_message(exc: psycopg.Error) -> str:
    """Return what Postgres says in one line, with the detail that tells why."""
    if exc.diag.message_primary is None:
        return one_line(exc)
    return one_line("; ".join(filter(None, (exc.diag.message_primary, exc.diag.message_detail))))


def mask(dsn: str) -> str:
    """Return `dsn` as a URL whose secrets read ***; of one that can't be read, only that."""
    try:
        given = _parse(dsn)
    except SourceError:
        return "postgresql://***"
    shown = {name: "***" if name in _SECRETS else value for name, value in given.items()}
    user = quote(shown.pop("user", ""), safe="")
    password = ":***" if shown.pop("password", None) else ""
    login = f"{user}{password}@" if user or password else ""
    in_url = (
        {"host", "port", "dbname"} if not given.get("host", "/").startswith("/") else {"dbname"}
    )
    host = _place(given) if "host" in in_url else ""
    name = quote(given.get("dbname", ""), safe="")
    rest = {key: value for key, value in shown.items() if key not in in_url}
    query = f"?{urlencode(rest, safe='*/')}" if rest else ""
    return f"postgresql://{login}{host}/{name}{query}"


def place(dsn: str) -> str:
    """Return host, port and database of `dsn`, for where there is little room."""
    given = _parse(dsn)
    return f"{_place(given)}/{given.get('dbname', '')}"


def explain(exc: psycopg.Error, dsn: str) -> SourceError:
    """Return why connecting to `dsn` failed: what was wrong, where, what to do."""
    given = _parse(dsn)
    place = _place(given)
    text = _PREFIX.sub("", _QUESTION.sub("", one_line(exc)), count=1)
    names = {"user": repr(given.get("user", "")), "dbname": repr(given.get("dbname", ""))}
    for pattern, meaning in _REFUSALS:
        if re.search(pattern, text):
            said = meaning.format(**names)
            return SourceError(f"Postgres at {place}: {said} ({text}); check DATABASE_URL")
    if "FATAL" in text:
        return SourceError(f"Postgres at {place} refuses the connection: {text}")
    return SourceError(
        f"can't reach Postgres at {place} ({text}): start it, or correct DATABASE_URL"
    )


def _cut(connection: psycopg.Connection[Any]) -> None:
    """Shut the socket from outside: who waits on it is told that the other side has ended it."""
    with (
        suppress(OSError, psycopg.OperationalError),  # it may be closed by now
        socket.socket(fileno=os.dup(connection.fileno())) as wire,
    ):
        wire.shutdown(socket.SHUT_RDWR)


def _parse(dsn: str) -> dict[str, str]:
    """Return the DSN's options; libpq's own words are left out, as they quote parts of it."""
    scheme = _SCHEME.match(dsn)
    if scheme and scheme[1].lower() not in _SCHEMES:
        raise SourceError(
            f"DATABASE_URL: the scheme is {scheme[1]}://, only postgresql:// and postgres:// are "
            "understood: write postgresql://user:password@host:port/database"
        )
    if not dsn.strip():
        raise SourceError("DATABASE_URL is empty: leave it unset, or give a postgresql:// URL")
    try:
        given = {k: str(v) for k, v in conninfo.conninfo_to_dict(_lower_scheme(dsn)).items()}
    except (psycopg.Error, ValueError):
        given = {"port": "unreadable"}
    # An unescaped @ or / in the password moves the rest of it into the host, port or database.
    path = dsn.partition("://")[2].partition("?")[0].partition("/")[2]
    spilt = scheme and ("@" in given.get("host", "") or "@" in path)
    ports = given.get("port", "").split(",")
    if spilt or not all(map(_is_port, ports)):
        # Raised outside the handler, so that libpq's text is not chained either.
        raise SourceError(
            "DATABASE_URL can't be read (not shown, as it may hold a password): write "
            "postgresql://user:password@host:port/database with @ / : % in the password as "
            "%40 %2F %3A %25, and a port from 1 to 65535"
        )
    return given


def _is_port(text: str) -> bool:
    return text == "" or (text.isdecimal() and 1 <= int(text) <= 65535)


def _lower_scheme(dsn: str) -> str:
    return _SCHEME.sub(lambda found: f"{found[1].lower()}://", dsn, count=1)


def _place(given: dict[str, str]) -> str:
    """Return host:port, for each host if there are several; libpq's defaults where not given."""
    hosts = given.get("host", given.get("hostaddr", "local socket")).split(",")
    ports = given.get("port", "5432").split(",")
    if len(ports) < len(hosts):
        ports = ports * len(hosts)
    pairs = zip(hosts, ports, strict=False)
    return ",".join(
        f"{f'[{host}]' if ':' in host else host}:{port or 5432}" for host, port in pairs
    )
