"""The one place that connects to Postgres: reads an address, connects, and sets the session.

Every session is the same, whatever the role, the database or the environment say: settings are sent
after connecting, since poolers refuse the start-up parameter `options`. A pooler in transaction
mode is refused before anything is set. A password never leaves this module, neither in a message
nor in the chain of exceptions behind it. It knows nothing of schema, servers or settings.
"""

import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

import psycopg
from psycopg import conninfo, pq
from psycopg.rows import TupleRow

from loadgen.errors import SourceError, one_line
from loadgen.sql import statements

# Part of the address of every embedded server; such an address takes nothing from the environment.
EMBEDDED: Final = {"user": "playground", "host": "127.0.0.1", "sslmode": "disable"}

# The defaults of every connection; an address may give others.
_DEFAULTS: Final = {
    "connect_timeout": "5",
    # A host that is gone without a word is noticed after a minute, not after two hours.
    "tcp_user_timeout": "60000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}
# What changes the text form of values, or how text is read.
_TEXT_FORM: Final = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "3",
    "lc_monetary": "C",
    "standard_conforming_strings": "on",
    "search_path": "public",
}
# What ends a session that waits on purpose; 0 is no limit. The last one came with version 17.
_TIMEOUTS: Final = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
)
_POOLER_ROUNDS: Final = 5
_POOLER_SECONDS: Final = 10.0

_SQL: Final = statements("loadgen.source", "postgres.sql")
_SCHEME: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://")
_SCHEMES: Final = ("postgresql", "postgres")
_SET_BY_OPTIONS: Final = re.compile(r"(?:-c\s*|--)([\w-]+)\s*=")
_LIBPQ: Final = pq.Conninfo.get_defaults()
_PARAMETERS: Final = frozenset(option.keyword.decode() for option in _LIBPQ)
# libpq marks the options that a user interface has to hide.
_SECRETS: Final = frozenset(o.keyword.decode() for o in _LIBPQ if o.dispchar == b"*")
# What another server can't use, or is not its business.
_NOT_PASSED_ON: Final = {"service", "passfile", "options", "application_name", "client_encoding"}
_VARIABLES: Final = {o.envvar.decode(): o.keyword.decode() for o in _LIBPQ if o.envvar}
# What libpq reads besides, and sends to the server or looks up whatever the address says.
_OTHER_VARIABLES: Final = ("PGSERVICEFILE", "PGREQUIRESSL", "PGDATESTYLE", "PGTZ", "PGGEQO")
_PREFIX: Final = re.compile(
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
    (r"unsupported startup parameter", "the pooler in front of it refuses a parameter"),
    (
        r"invalid .* value|invalid integer|bad value for",
        "a parameter has a value that is not allowed",
    ),
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

_direct: set[str] = set()  # addresses that are known to be no transaction pooler's
_environment = threading.Lock()
_hides = False  # whether an embedded server is connected to while there are PG* variables


class Session(psycopg.Connection[TupleRow]):
    """A connection whose session is set; `server_pid` is its backend's, also behind a pooler."""

    server_pid: int


def connect(
    dsn: str,
    *,
    autocommit: bool = True,
    application_name: str = "loadgen",
    statement_timeout: str = "0",
    called: str = "DATABASE_URL",
) -> Session:
    """Return a connection to `dsn` with the session that everything here relies on.

    `called` is the setting that the address comes from. Raises SourceError, without the password,
    if the address is malformed, nobody lets us in, or a pooler in transaction mode answers.
    """
    parameters = _complete(_parse(dsn, called), application_name)
    session = {
        **_TEXT_FORM,
        **dict.fromkeys(_TIMEOUTS, "0"),
        "statement_timeout": statement_timeout,
    }
    # A time limit that the address itself asks for is kept.
    asked_for = _SET_BY_OPTIONS.findall(parameters.get("options", ""))
    for name in {name.replace("-", "_").lower() for name in asked_for}.intersection(_TIMEOUTS):
        del session[name]
    try:
        connection = _open(parameters)
        try:
            if dsn not in _direct and not _is_embedded(parameters):
                _refuse_transaction_pooler(connection, parameters, called)
                _direct.add(dsn)
            settings = (list(session), list(session.values()))
            row = connection.execute(_SQL["session"], settings, prepare=False).fetchone()
            connection.server_pid = int(row[0]) if row else 0
            connection.autocommit = autocommit
        except BaseException:
            connection.close()
            raise
    except psycopg.Error as exc:
        raise explain(exc, dsn, called) from exc
    return connection


def complete_dsn(
    dsn: str, *, application_name: str = "loadgen", called: str = "DATABASE_URL"
) -> str:
    """Return `dsn`, checked, with our name and a time limit on connecting where it has none."""
    return conninfo.make_conninfo("", **_complete(_parse(dsn, called), application_name))


def subscription_dsn(dsn: str, publisher: psycopg.Connection[Any]) -> str:
    """Return the address by which another server subscribes to `publisher`, which is at `dsn`.

    That server connects by itself, and not through a pooler: it is given the session as start-up
    options, and what this process has in PG* variables. Text is read and written as it asks for.
    """
    given = _parse(dsn)
    if not _is_embedded(given):
        given = _from_environment() | given
    since_17 = publisher.info.server_version >= 170_000
    limits = _TIMEOUTS if since_17 else _TIMEOUTS[:-1]
    ours = " ".join(f"-c {name}=0" for name in limits)
    options = {"options": f"{ours} {given.get('options', '')}".strip()}
    return conninfo.make_conninfo("", **_complete(given | options, "loadgen replication"))


def embedded_dsn(password: str, port: int, database: str) -> str:
    """Return the address of a database of an embedded server."""
    user, host, sslmode = EMBEDDED["user"], EMBEDDED["host"], EMBEDDED["sslmode"]
    return f"postgresql://{user}:{password}@{host}:{port}/{database}?sslmode={sslmode}"


def is_embedded(connection: psycopg.Connection[Any]) -> bool:
    """Return whether an embedded server is at the other end, so that there is no DATABASE_URL."""
    return _is_embedded(connection.info.get_parameters())


def _complete(given: Mapping[str, str], application_name: str) -> dict[str, str]:
    # Known to libpq before the session is set: the server's first words come in it.
    encoding = {"client_encoding": _TEXT_FORM["client_encoding"]}
    return {**_DEFAULTS, "application_name": application_name, **given, **encoding}


def _is_embedded(given: Mapping[str, str]) -> bool:
    return EMBEDDED.items() <= given.items()


def _from_environment() -> dict[str, str]:
    """Return what libpq's variables say of an address, in the words of an address."""
    return {
        keyword: os.environ[variable]
        for variable, keyword in _VARIABLES.items()
        if variable in os.environ and keyword not in _NOT_PASSED_ON
    }


def _open(parameters: Mapping[str, str]) -> Session:
    with _environment_of(parameters):
        return Session.connect(conninfo.make_conninfo("", **parameters), autocommit=True)


@contextmanager
def _environment_of(parameters: Mapping[str, str]) -> Iterator[None]:
    """Hide libpq's variables from a connection to an embedded server.

    Naming every parameter is not enough: PGSERVICE is looked up all the same, PGDATESTYLE is sent,
    and several parameters have no value that means none. What is hidden is hidden from the whole
    process, so others that connect wait meanwhile.
    """
    global _hides  # noqa: PLW0603 - the environment is the process's too
    names = (*_VARIABLES, *_OTHER_VARIABLES) if _is_embedded(parameters) else ()
    _hides = _hides or not os.environ.keys().isdisjoint(names)
    if not _hides:
        yield
        return
    with _environment:
        kept = {name: os.environ.pop(name) for name in names if name in os.environ}
        try:
            yield
        finally:
            os.environ.update(kept)


def _refuse_transaction_pooler(
    connection: Session, parameters: Mapping[str, str], called: str
) -> None:
    """Raise SourceError if transactions of two connections are done by one backend.

    A pooler makes up the process id that it tells at login, as it has to pass cancel requests on.
    If that is the backend's own, nobody is in between.
    """
    if _backend_pid(connection) == connection.info.backend_pid:
        return
    where = f"Postgres at {_place(parameters)} is behind a pooler"
    remedy = f"set {called} to the database's direct address"
    try:
        with _open(parameters) as other, ended_after(other, _POOLER_SECONDS):
            rounds = [
                (_backend_pid(connection), _backend_pid(other)) for _ in range(_POOLER_ROUNDS)
            ]
    except psycopg.Error as exc:
        text = _PREFIX.sub("", one_line(exc), count=1)
        raise SourceError(f"{where} that gives no second connection ({text}): {remedy}") from exc
    if any(ours == theirs for ours, theirs in rounds):
        raise SourceError(
            f"{where} in transaction mode (PgBouncer, for example), which loses a session's "
            f"settings, locks and prepared statements: {remedy}, or to a pool in session mode"
        )


def _backend_pid(connection: Session) -> int:
    """Return who does a transaction of its own; nothing is prepared for it."""
    row = connection.execute(_SQL["backend_pid"], prepare=False).fetchone()
    return int(row[0]) if row else 0


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


def explain(exc: psycopg.Error, dsn: str, called: str = "DATABASE_URL") -> SourceError:
    """Return why connecting to `dsn` failed: what was wrong, where, what to do."""
    given = _parse(dsn, called)
    embedded = _is_embedded(given)
    if not embedded:
        given = _from_environment() | given
    place = _place(given)
    text = _PREFIX.sub("", _QUESTION.sub("", one_line(exc)), count=1)
    names = {"user": repr(given.get("user", "")), "dbname": repr(given.get("dbname", ""))}
    for pattern, meaning in _REFUSALS:
        if re.search(pattern, text):
            reason = meaning.format(**names)
            remedy = "see `loadgen db status`" if embedded else f"check {called}"
            return SourceError(f"Postgres at {place}: {reason} ({text}); {remedy}")
    if "FATAL" in text:
        return SourceError(f"Postgres at {place} refuses the connection: {text}")
    remedy = (
        "start it with `loadgen db up`, or `loadgen tools start` if it is a copy"
        if embedded
        else f"start it, or correct {called}"
    )
    return SourceError(f"can't reach Postgres at {place} ({text}): {remedy}")


def _cut(connection: psycopg.Connection[Any]) -> None:
    """Shut the socket from outside: who waits on it is told that the other side has ended it."""
    with (
        suppress(OSError, psycopg.OperationalError),  # it may be closed by now
        socket.socket(fileno=os.dup(connection.fileno())) as wire,
    ):
        wire.shutdown(socket.SHUT_RDWR)


def _parse(dsn: str, called: str = "DATABASE_URL") -> dict[str, str]:
    """Return the DSN's options; libpq's own words are left out, as they quote parts of it."""
    scheme = _SCHEME.match(dsn)
    if scheme and scheme[1].lower() not in _SCHEMES:
        raise SourceError(
            f"{called}: the scheme is {scheme[1]}://, only postgresql:// and postgres:// are "
            "understood: write postgresql://user:password@host:port/database"
        )
    if not dsn.strip():
        raise SourceError(f"{called} is empty: leave it unset, or give a postgresql:// URL")
    unknown: list[str] = []
    try:
        given = {k: str(v) for k, v in conninfo.conninfo_to_dict(_lower_scheme(dsn)).items()}
    except (psycopg.Error, ValueError):
        given = {"port": "unreadable"}
        unknown = _unknown_parameters(dsn)
    # Errors are raised outside the handler, so that libpq's text is not chained either.
    if unknown:
        near = get_close_matches(unknown[0], _PARAMETERS, n=1)
        raise SourceError(
            f"{called}: Postgres knows no parameter {unknown[0]}: remove it from the address"
            + (f", or write {near[0]}" if near else "")
        )
    # An unescaped @ or / in the password moves the rest of it into the host, port or database.
    path = dsn.partition("://")[2].partition("?")[0].partition("/")[2]
    spilt = scheme and ("@" in given.get("host", "") or "@" in path)
    ports = given.get("port", "").split(",")
    if spilt or not all(map(_is_port, ports)):
        raise SourceError(
            f"{called} can't be read (not shown, as it may hold a password): write "
            "postgresql://user:password@host:port/database with @ / : % in the password as "
            "%40 %2F %3A %25, and a port from 1 to 65535"
        )
    return given


def _unknown_parameters(dsn: str) -> list[str]:
    """Return the parameters of a URL that libpq does not know; none if they may be a secret's part.

    An unescaped / in the password makes what follows a ? look like parameters, up to the @; an
    unescaped & does so in one that is given as a parameter.
    """
    address = dsn.partition("://")[2]
    login, _, place = address.partition("@")
    if place and "/" not in login:
        address = place
    query = address.partition("?")[2]
    names = [unquote(part.partition("=")[0]) for part in query.split("&")]
    if "@" in query or not _SECRETS.isdisjoint(names):
        return []
    return [name for name in names if name.isidentifier() and name not in _PARAMETERS]


def _is_port(text: str) -> bool:
    return text == "" or (text.isdecimal() and 1 <= int(text) <= 65535)


def _lower_scheme(dsn: str) -> str:
    return _SCHEME.sub(lambda found: f"{found[1].lower()}://", dsn, count=1)


def _place(given: Mapping[str, str]) -> str:
    """Return host:port, for each host if there are several; libpq's defaults where not given."""
    hosts = given.get("host", given.get("hostaddr", "local socket")).split(",")
    ports = given.get("port", "5432").split(",")
    if len(ports) < len(hosts):
        ports = ports * len(hosts)
    pairs = zip(hosts, ports, strict=False)
    return ",".join(
        f"{f'[{host}]' if ':' in host else host}:{port or 5432}" for host, port in pairs
    )
