"""The only module that connects to Postgres: it reads an address, connects, and sets the session.

Every session is the same, whatever the role, the database or the environment say: settings are sent
after connecting, since poolers refuse the start-up parameter `options`. A pooler in transaction
mode is refused first. A password never leaves this module, neither in a message nor in the chain of
exceptions behind it.
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

# In the address of every embedded server; a connection to one ignores the environment.
EMBEDDED: Final = {"user": "playground", "host": "127.0.0.1", "sslmode": "disable"}

# The defaults of every connection; an address may give others.
_DEFAULTS: Final = {
    "connect_timeout": "5",
    # A host that vanished is noticed after a minute, not after two hours.
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
# Timeouts that would end a session that waits on purpose; 0 is no limit. The last one is new in 17.
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
# Parameters that another server can't use or does not need.
_NOT_PASSED_ON: Final = {"service", "passfile", "options", "application_name", "client_encoding"}
_VARIABLES: Final = {o.envvar.decode(): o.keyword.decode() for o in _LIBPQ if o.envvar}
# Further variables that libpq reads, whatever the address says.
_OTHER_VARIABLES: Final = ("PGSERVICEFILE", "PGREQUIRESSL", "PGDATESTYLE", "PGTZ", "PGGEQO")
_PREFIX: Final = re.compile(
    r"connection (?:failed|is bad|timeout expired): (?:connection to server .*?(?: failed)?: )?"
)
# libpq asks this about each address that it has tried.
_QUESTION = re.compile(r"\s*Is the server running [^?]*\?")
# The server's message at login (libpq has no SQLSTATE for it), and its meaning.
_REFUSALS: Final = (
    (r"password authentication failed|no password supplied", "wrong password for user {user}"),
    (r'role ".*" does not exist', "there is no user {user}"),
    (r'database ".*" does not exist', "there is no database {dbname}"),
    (
        r"no pg_hba\.conf entry|require[sd]? SSL|not support SSL",
        "it refuses such connections",
    ),
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
    "53400": "free what is unused (replication slots, for example), or raise the server's limit",
    "53100": "free some disk space and run the same command again",
    "57014": "run the same command again",
    "57P01": "the server was stopped; start it and run the same command again",
}

_direct: set[str] = set()  # addresses that are known not to be a transaction pooler's
_environment = threading.Lock()
_hides = False  # whether PG* variables have to be hidden from connections to an embedded server


Connection = psycopg.Connection[Any]  # with any row factory


class Session(psycopg.Connection[TupleRow]):
    """A connection whose session is set; `server_pid` is its backend's, even behind a pooler."""

    server_pid: int


def connect(
    dsn: str,
    *,
    autocommit: bool = True,
    application_name: str = "loadgen",
    statement_timeout: str = "0",
    setting: str = "DATABASE_URL",
) -> Session:
    """Return a connection to `dsn` with the session settings that all our statements rely on.

    `setting` names the origin of the address. Raises SourceError, without the password, if the
    address is malformed, the server refuses, or a pooler in transaction mode answers.
    """
    parameters = _complete(_parse(dsn, setting), application_name)
    session = {
        **_TEXT_FORM,
        **dict.fromkeys(_TIMEOUTS, "0"),
        "statement_timeout": statement_timeout,
    }
    # A time limit in the address itself stays.
    own_settings = _SET_BY_OPTIONS.findall(parameters.get("options", ""))
    for name in {name.replace("-", "_").lower() for name in own_settings}.intersection(_TIMEOUTS):
        del session[name]
    try:
        connection = _open(parameters)
        try:
            if dsn not in _direct and not _is_embedded(parameters):
                _refuse_transaction_pooler(connection, parameters, setting)
                _direct.add(dsn)
            settings = (list(session), list(session.values()))
            row = connection.execute(_SQL["session"], settings, prepare=False).fetchone()
            connection.server_pid = int(row[0]) if row else 0
            connection.autocommit = autocommit
        except BaseException:
            connection.close()
            raise
    except psycopg.Error as exc:
        raise explain(exc, dsn, setting) from exc
    return connection


def connect_for_replication(dsn: str, application_name: str) -> Connection:
    """Return a connection to `dsn` that takes replication commands, and SQL without parameters.

    It stays open however long it is idle: an exported snapshot ends with it. Raises SourceError.
    """
    parameters = _complete(_parse(dsn), application_name)
    try:
        connection = _open({**parameters, "replication": "database"})
        try:
            connection.execute(_SQL["no_timeouts"])
        except BaseException:
            connection.close()
            raise
    except psycopg.Error as exc:
        raise explain(exc, dsn) from exc
    return connection


def complete_dsn(
    dsn: str, *, application_name: str = "loadgen", setting: str = "DATABASE_URL"
) -> str:
    """Return `dsn`, checked, with our name and a time limit on connecting if it has none."""
    return conninfo.make_conninfo("", **_complete(_parse(dsn, setting), application_name))


def without_encryption(dsn: str) -> str:
    """Return the address of connections that a server need not encrypt, and is not asked to."""
    return conninfo.make_conninfo(
        "", **_parse(dsn) | {"sslmode": "disable", "gssencmode": "disable"}
    )


def subscription_dsn(dsn: str, publisher: Connection) -> str:
    """Return the address by which another server subscribes to `publisher`, which is at `dsn`.

    That server connects by itself, without a pooler, so the timeouts and this process' PG*
    variables go into the address. The server chooses the text form of values.
    """
    parameters = _parse(dsn)
    if not _is_embedded(parameters):
        parameters = _from_environment() | parameters
    since_17 = publisher.info.server_version >= 170_000
    timeouts = _TIMEOUTS if since_17 else _TIMEOUTS[:-1]
    no_timeouts = " ".join(f"-c {name}=0" for name in timeouts)
    options = {"options": f"{no_timeouts} {parameters.get('options', '')}".strip()}
    return conninfo.make_conninfo("", **_complete(parameters | options, "loadgen replication"))


def program_address(dsn: str, application_name: str, options: str) -> tuple[str, dict[str, str]]:
    """Return the address of `dsn` for a program of Postgres', and the environment to run it in.

    The password is in the environment alone, which other users can't read. `options` are settings
    of the session. Raises SourceError if the address has another secret.
    """
    parameters = _complete(_parse(dsn), application_name)
    environment = dict(os.environ)
    if _is_embedded(parameters):
        for variable in (*_VARIABLES, *_OTHER_VARIABLES):
            environment.pop(variable, None)
    if password := parameters.pop("password", ""):
        environment["PGPASSWORD"] = password
    if secret := _SECRETS & parameters.keys():
        raise SourceError(f"the address has a secret, {min(secret)}, that no program may be given")
    parameters["options"] = f"{options} {parameters.get('options', '')}".strip()
    return conninfo.make_conninfo("", **parameters), environment


def embedded_dsn(password: str, port: int, database: str) -> str:
    """Return the address of a database of an embedded server."""
    user, host, sslmode = EMBEDDED["user"], EMBEDDED["host"], EMBEDDED["sslmode"]
    return f"postgresql://{user}:{password}@{host}:{port}/{database}?sslmode={sslmode}"


def is_embedded(connection: Connection) -> bool:
    """Return whether the server is an embedded one, so that there is no DATABASE_URL."""
    return _is_embedded(connection.info.get_parameters())


def _complete(parameters: Mapping[str, str], application_name: str) -> dict[str, str]:
    # Sent at start-up already: messages before the session is set use it too.
    encoding = {"client_encoding": _TEXT_FORM["client_encoding"]}
    return {**_DEFAULTS, "application_name": application_name, **parameters, **encoding}


def _is_embedded(parameters: Mapping[str, str]) -> bool:
    return EMBEDDED.items() <= parameters.items()


def _from_environment() -> dict[str, str]:
    """Return the connection parameters that libpq's variables set."""
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

    Naming every parameter is not enough: libpq still reads PGSERVICE and sends PGDATESTYLE, and
    several parameters have no value that means none. The environment is the whole process', so
    other connections wait meanwhile.
    """
    global _hides  # noqa: PLW0603 - the environment is the process's too
    names = (*_VARIABLES, *_OTHER_VARIABLES) if _is_embedded(parameters) else ()
    _hides = _hides or not os.environ.keys().isdisjoint(names)
    if not _hides:
        yield
        return
    with _environment:
        hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
        try:
            yield
        finally:
            os.environ.update(hidden)


def _refuse_transaction_pooler(
    connection: Session, parameters: Mapping[str, str], setting: str
) -> None:
    """Raise SourceError if one backend serves the transactions of two connections.

    A pooler makes up the process id that it reports at login, since it has to forward cancel
    requests. If that id is the backend's, there is no pooler.
    """
    if _backend_pid(connection) == connection.info.backend_pid:
        return
    where = f"Postgres at {_place(parameters)} is behind a pooler"
    remedy = f"set {setting} to the database's direct address"
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
    """Return the process id of the backend that serves the next transaction."""
    row = connection.execute(_SQL["backend_pid"], prepare=False).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def ended_after(connection: Connection, seconds: float) -> Iterator[None]:
    """End the connection if the block takes longer; the block then raises psycopg.Error.

    Without it, a frozen server or a network that drops everything would be waited for for ever.
    """
    timer = threading.Timer(seconds, _shut_down, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def plain_errors(doing: str) -> Iterator[None]:
    """Turn errors of Postgres in the block into a SourceError that begins with `doing`."""
    try:
        yield
    except psycopg.Error as exc:
        text = server_message(exc)
        hint = _HINTS.get(exc.sqlstate or "", "the server's log has more")
        raise SourceError(f"{doing}: {text} (SQLSTATE {exc.sqlstate}): {hint}") from exc


def server_message(exc: psycopg.Error) -> str:
    """Return Postgres' message and its detail as one line."""
    if exc.diag.message_primary is None:
        return one_line(exc)
    return one_line("; ".join(filter(None, (exc.diag.message_primary, exc.diag.message_detail))))


def mask(dsn: str) -> str:
    """Return `dsn` as a URL with *** for its secrets, or for all of it if it can't be read."""
    try:
        parameters = _parse(dsn)
    except SourceError:
        return "postgresql://***"
    host = "" if parameters.get("host", "/").startswith("/") else _place(parameters)
    for keyword in _SECRETS & parameters.keys():
        parameters[keyword] = "***"
    user = quote(parameters.pop("user", ""), safe="")
    password = ":***" if parameters.pop("password", None) else ""
    login = f"{user}{password}@" if user or password else ""
    database = quote(parameters.pop("dbname", ""), safe="")
    if host:
        parameters.pop("host")
        parameters.pop("port", None)
    query = f"?{urlencode(parameters, safe='*/')}" if parameters else ""
    return f"postgresql://{login}{host}/{database}{query}"


def place(dsn: str, setting: str = "DATABASE_URL") -> str:
    """Return host, port and database of `dsn`, the short form for messages."""
    parameters = _parse(dsn, setting)
    return f"{_place(parameters)}/{parameters.get('dbname', '')}"


def explain(exc: psycopg.Error, dsn: str, setting: str = "DATABASE_URL") -> SourceError:
    """Return an error that says why connecting to `dsn` failed, and the remedy."""
    parameters = _parse(dsn, setting)
    embedded = _is_embedded(parameters)
    if not embedded:
        parameters = _from_environment() | parameters
    place = _place(parameters)
    text = _PREFIX.sub("", _QUESTION.sub("", one_line(exc)), count=1)
    names = {name: repr(parameters.get(name, "")) for name in ("user", "dbname")}
    for pattern, meaning in _REFUSALS:
        if re.search(pattern, text):
            reason = meaning.format(**names)
            remedy = "see `loadgen db status`" if embedded else f"check {setting}"
            return SourceError(f"Postgres at {place}: {reason} ({text}); {remedy}")
    if "FATAL" in text:
        return SourceError(f"Postgres at {place} refuses the connection: {text}")
    remedy = (
        "start it with `loadgen db up`, or `loadgen tools start` if it is a copy"
        if embedded
        else f"start it, or correct {setting}"
    )
    return SourceError(f"can't reach Postgres at {place} ({text}): {remedy}")


def _shut_down(connection: Connection) -> None:
    """Shut the socket down: a thread that waits on it sees the end of the stream."""
    with (
        suppress(OSError, psycopg.OperationalError),  # it may be closed by now
        socket.socket(fileno=os.dup(connection.fileno())) as wire,
    ):
        wire.shutdown(socket.SHUT_RDWR)


def _parse(dsn: str, setting: str = "DATABASE_URL") -> dict[str, str]:
    """Return the parameters of a DSN. Errors leave libpq's message out, which quotes the DSN."""
    scheme = _SCHEME.match(dsn)
    if scheme and scheme[1].lower() not in _SCHEMES:
        raise SourceError(
            f"{setting}: the scheme is {scheme[1]}://, only postgresql:// and postgres:// are "
            "understood: write postgresql://user:password@host:port/database"
        )
    if not dsn.strip():
        raise SourceError(f"{setting} is empty: leave it unset, or give a postgresql:// URL")
    unknown: list[str] = []
    try:
        lower_scheme = _SCHEME.sub(lambda match: f"{match[1].lower()}://", dsn, count=1)
        parameters = {k: str(v) for k, v in conninfo.conninfo_to_dict(lower_scheme).items()}
    except (psycopg.Error, ValueError):
        parameters = {"port": "unreadable"}
        unknown = _unknown_parameters(dsn)
    # Errors are raised outside the handler, so that libpq's text is not chained either.
    if unknown:
        near = get_close_matches(unknown[0], _PARAMETERS, n=1)
        raise SourceError(
            f"{setting}: Postgres knows no parameter {unknown[0]}: remove it from the address"
            + (f", or write {near[0]}" if near else "")
        )
    # An unescaped @ or / in the password moves the rest of it into the host, port or database.
    path = dsn.partition("://")[2].partition("?")[0].partition("/")[2]
    unescaped = scheme and ("@" in parameters.get("host", "") or "@" in path)
    if unescaped or not all(map(_is_port, parameters.get("port", "").split(","))):
        raise SourceError(
            f"{setting} can't be read (not shown, as it may hold a password): write "
            "postgresql://user:password@host:port/database with @ / : % in the password as "
            "%40 %2F %3A %25, and a port from 1 to 65535"
        )
    return parameters


def _unknown_parameters(dsn: str) -> list[str]:
    """Return parameters of a URL that libpq does not know, but none that may be part of a secret.

    An unescaped / in the password makes the text between a ? and the @ look like parameters; in a
    password that is a parameter, an unescaped & does so.
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


def _place(parameters: Mapping[str, str]) -> str:
    """Return host:port of each host, with libpq's defaults."""
    hosts = parameters.get("host", parameters.get("hostaddr", "local socket")).split(",")
    ports = parameters.get("port", "5432").split(",")
    if len(ports) < len(hosts):
        ports = ports * len(hosts)
    pairs = zip(hosts, ports, strict=False)
    return ",".join(
        f"{f'[{host}]' if ':' in host else host}:{port or 5432}" for host, port in pairs
    )
