"""The requirements of a load before it starts: a seeded source, the load's lock, free ports."""

import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Final
from urllib.error import HTTPError

import psycopg
from psycopg import sql

from loadgen.config.settings import Settings
from loadgen.control import ControlError, LoadControl, http_address
from loadgen.errors import SettingsError, SourceError
from loadgen.load.compile import statements_of
from loadgen.load.lookup import current_run_token
from loadgen.network import listen_error
from loadgen.source import postgres, schema
from loadgen.source.embedded.server import source_dsn
from loadgen.source.imported import require_other_database
from loadgen.sql import statements
from loadgen.workload.model import Operation, WorkloadModel
from loadgen.workload.schedule.plan import run_id_of_token

_ANSWER_SECONDS: Final = 5.0
_PROBE_SECONDS: Final = 2.0  # for another load to answer
_TAKE: Final = statements("loadgen.load", "targets.sql")["lock"]


def prepare_source(settings: Settings, model: WorkloadModel, *, may_seed: bool = True) -> str:
    """Return the DSN of a seeded source; a database at DATABASE_URL is never seeded.

    The embedded server is seeded only if it has no baseline: one of other sizes than the settings'
    was made on purpose.
    """
    if settings.database_url is None:
        _loadgen("db", "up", stdout=subprocess.DEVNULL)
        if may_seed and not _is_seeded(source_dsn(settings), model):
            _loadgen("seed")
    dsn = source_dsn(settings)
    if not _is_seeded(dsn, model):
        raise SourceError("the source holds no complete baseline: run `loadgen seed` first")
    _require_rights(dsn, model.operations.values())
    return dsn


def _require_rights(dsn: str, operations: Iterable[Operation]) -> None:
    """Refuse a role without the right to one of the load's writes, which would all fail.

    The server checks a statement's rights when it begins it, and EXPLAIN only begins it.
    """
    with postgres.connect(dsn) as connection:
        for operation in operations:
            doing = f"the load's {operation.name} needs a right that is missing"
            for name, statement in zip(statements_of(operation), operation.statements, strict=True):
                prepared = sql.Identifier(f"loadgen_{name}")
                nulls = sql.SQL(", ").join([sql.NULL] * len(statement.parameters))
                arguments = sql.SQL("({})").format(nulls) if statement.parameters else sql.SQL("")
                with postgres.plain_errors(doing):
                    connection.execute(
                        b"PREPARE %b AS %b"
                        % (prepared.as_bytes(connection), statement.sql.encode())
                    )
                    connection.execute(sql.SQL("EXPLAIN EXECUTE {}{}").format(prepared, arguments))
                    connection.execute(sql.SQL("DEALLOCATE {}").format(prepared))


def _is_seeded(dsn: str, model: WorkloadModel) -> bool:
    with postgres.connect(dsn) as connection:
        require_other_database(connection, model)
        schema.check_source(connection)
        schema.require_ownership(connection, model)
        state = schema.seed_state(connection)
    return state is not None and state.complete


def _loadgen(*arguments: str, stdout: int | None = None) -> None:
    """Run a command of ours in another process, without gevent's patch; it prints its errors."""
    command = [sys.executable, "-m", "loadgen", *arguments]
    # In another process group: a signal to ours would reach it twice.
    with subprocess.Popen(command, stdout=stdout, process_group=0) as process:  # noqa: S603 - ours
        try:
            code = process.wait()
        except BaseException:  # interrupted: it ends cleanly, and its work is kept
            process.terminate()
            raise
    if code:
        sys.exit(code)


def require_page_port(settings: Settings, host: str, port: int, base: str = "") -> None:
    """Refuse a taken port here: Locust would say so only after the database was started."""
    if why := listen_error(host, port):
        _refuse_second_load(settings, host, port, base)
        raise SettingsError(
            f"Locust's page can't listen on {host or '*'}:{port} ({why}): choose a free port with "
            "--web-port, or LOCUST_WEB_PORT"
        )


def require_metrics_port(settings: Settings) -> None:
    """Refuse a taken METRICS_PORT before anything is started."""
    host, port = settings.metrics_host, settings.metrics_port
    if why := listen_error(host, port):
        _refuse_second_load(settings, host, port)
        raise SettingsError(
            f"METRICS_PORT: the load's metrics can't listen on {host}:{port} ({why}): set "
            "METRICS_PORT to a free port, METRICS_HOST to an address of this machine"
        )


def _refuse_second_load(settings: Settings, host: str, port: int, base: str = "") -> None:
    """Raise SettingsError if the program that has the port is a load."""
    control = LoadControl(http_address(host, port) + base, settings.loadgen_web_token)
    try:
        state = control.ask("rates")
    except ControlError as exc:
        if (
            not isinstance(exc.__cause__, HTTPError)
            or exc.__cause__.code != HTTPStatus.UNAUTHORIZED
        ):
            return
        doing = "it has another LOADGEN_WEB_TOKEN"
    else:
        if "state" not in state:
            return
        doing = f"run {state['run_id']}" if state.get("run_id") else "no run at the moment"
    raise SettingsError(
        f"a load already runs here ({doing}, {host or '*'}:{port}): stop it with Ctrl-C in its "
        "terminal. A second one beside it needs another DATABASE_URL, METRICS_PORT and --web-port"
    )


def _answers(connection: psycopg.Connection) -> bool:
    """Tell whether a session answers soon; one that does not is ended."""
    with suppress(psycopg.Error), postgres.ended_after(connection, _ANSWER_SECONDS):
        connection.execute("SELECT")
        return True
    return False


class LoadLock:
    """One load a database: a lock in a separate session, for as long as this process lives."""

    def __init__(self, dsn: str, connection: psycopg.Connection) -> None:
        self.connection = connection
        self._dsn = dsn
        self._turn = threading.Lock()

    @classmethod
    def open(cls, dsn: str) -> "LoadLock":
        """Connect and take the lock. Raises SourceError if another load has it."""
        lock = cls(dsn, postgres.connect(dsn))
        if not lock._take():
            run_token = current_run_token(lock.connection)
            last = f" (its last run: {run_id_of_token(run_token)})" if run_token else ""
            raise SourceError(
                f"a load already runs against {postgres.mask(dsn)}{last}: stop it first, or give "
                "this one another database with DATABASE_URL"
            )
        return lock

    @contextmanager
    def session(self) -> Iterator[psycopg.Connection]:
        """Yield the lock's session for a short query, or a new one if it is silent.

        A role may be allowed no connection but the users' and this one. But an open one may hang
        for ever: its server may be gone, or stand still.
        """
        with self._turn:
            connection = self.connection
            if _answers(connection):
                yield connection
                return
            with postgres.connect(self._dsn) as another:
                yield another

    def keep(self) -> bool:
        """Take the lock again if its session has ended; False while another session has it.

        That may be our own old session, whose end the server notices late.
        """
        with suppress(psycopg.Error):
            self.connection.execute("SELECT")
            return True
        self.connection.close()
        with suppress(SourceError, psycopg.Error):
            self.connection = postgres.connect(self._dsn)
            if not self._take():
                self.connection.close()
                return False
        return True  # or the source is away, and no load can have it

    def _take(self) -> bool:
        # If this machine loses its power, the server notices in 25 s, not after two hours.
        for name, number in (("idle", "10"), ("interval", "5"), ("count", "3")):
            setting = (f"tcp_keepalives_{name}", number)
            self.connection.execute("SELECT set_config(%s, %s, false)", setting)
        row = self.connection.execute(_TAKE).fetchone()
        return row is not None and bool(row[0])
