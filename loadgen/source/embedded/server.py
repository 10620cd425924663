"""The embedded server of a project: start, stop, status, reset; and the source's address.

Each may be repeated and run concurrently; the next call repairs what a killed caller left. The
server outlives its callers until `stop`.
"""

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from psycopg import sql

from loadgen.config.settings import Settings
from loadgen.errors import SourceError
from loadgen.network import listen_error
from loadgen.source.embedded import postmaster
from loadgen.source.embedded.binaries import Binaries, find_binaries
from loadgen.source.embedded.home import (
    Home,
    belongs,
    former_home,
    home_of,
    locked,
    make_home,
    write_private,
)
from loadgen.source.embedded.postmaster import Postmaster
from loadgen.source.postgres import EMBEDDED, connect, embedded_dsn
from loadgen.sql import statements
from loadgen.workload.read_model import read_model

HOST: Final = EMBEDDED["host"]
PREFERRED_PORT: Final = 5432
USER: Final = EMBEDDED["user"]
# The shop's database has the name that it had before there were other workloads.
DATABASE: Final = "playground"
_SHOP: Final = "shop"
_TAKEN: Final = ("playground", "postgres", "template0", "template1")

_PORTS_TRIED: Final = 200
# Written once, when the data folder is made, so ALTER SYSTEM and postgresql.conf may change them.
# As durable as a production server, since its WAL is measured.
_SETTINGS: Final = {
    "wal_level": "logical",
    "max_replication_slots": "20",
    "max_wal_senders": "20",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
# New in the minor releases of 2026: replication users may use only the plugins in this list.
_PLUGIN_SETTING: Final = "output_plugin_libraries"
_PLUGINS: Final = "pgoutput, test_decoding, wal2json, decoderbufs"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A running embedded server; `version` is the major one, from its data folder."""

    dsn: str = field(repr=False)
    data_dir: Path
    log: Path
    port: int
    version: str
    pid: int

    def dsn_of(self, database: str) -> str:
        """Return the address of another one of its databases."""
        head, _, query = self.dsn.partition("?")
        return f"{head.rpartition('/')[0]}/{database}?{query}"


def start(
    project: Path,
    *,
    pg_bin: Path | None = None,
    port: int | None = None,
    database: str = DATABASE,
    options: Mapping[str, str] | None = None,
) -> RunningServer:
    """Start the server of `project`, which is made on the first start, unless it runs; return it.

    `database` is made if it is missing.

    A server keeps its last port if that is free, else it takes the first free one from `port`
    (default: 5432) on. `options` are settings for this start only. Raises SourceError.
    """
    home = home_of(project)
    with _plain_os_errors("starting Postgres"), locked(home) as lock:
        _settle_in(home)
        binaries = find_binaries(pg_bin, home.account, home.folder)
        _require_same_major(home, binaries)
        server = postmaster.running(home.data_dir)
        if server and not server.ready:
            server = postmaster.wait_until_ready(home.data_dir, server.pid, home.log)
        if not server:
            if not home.data_dir.exists():
                _initialise(home, binaries, lock)
            server = _launch(home, binaries, port or PREFERRED_PORT, options or {})
        running = _describe(home, server)
        _make_database(home, running, database)
    return running


def stop(project: Path) -> bool:
    """Stop the server of `project`; returns whether it was running."""
    home = home_of(project)
    if not home.folder.exists():
        return False
    with _plain_os_errors("stopping Postgres"), locked(home):
        return _halt(home)


def status(project: Path) -> RunningServer | None:
    """Return the running server of `project`, or None; starts and changes nothing."""
    home = home_of(project)
    server = postmaster.running(home.data_dir)
    return _describe(home, server) if server and server.ready and belongs(home) else None


def reset(project: Path) -> None:
    """Stop the server of `project` and remove its data, password and log."""
    home = home_of(project)
    with _plain_os_errors("removing the embedded Postgres"), locked(home):
        _halt(home)
        shutil.rmtree(home.folder, ignore_errors=not home.folder.exists())
        home.pointer.unlink(missing_ok=True)


def source_dsn(settings: Settings, project: Path | None = None) -> str:
    """Return the source's address: DATABASE_URL, else that of the running embedded server.

    `project` is the folder that the server belongs to, by default the current one.
    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    project = project or Path.cwd()
    running = status(project)
    if running is None:
        raise SourceError(
            f"no embedded Postgres runs for {project}: start it with `loadgen db up`, or set "
            "DATABASE_URL"
        )
    return running.dsn_of(workload_database(settings))


def workload_database(settings: Settings) -> str:
    """Return the name of the workload's database: its own. Raises ModelError."""
    if settings.workload == _SHOP:
        return DATABASE
    name = read_model(settings.workload).name
    return f"{name}_workload" if name in _TAKEN else name


def _settle_in(home: Home) -> None:
    """Make the home; move that of a moved project here, and remove that of a former project."""
    former = former_home(home)
    if former:
        _halt(former)
        former.folder.rename(home.folder)
    elif home.folder.exists() and not belongs(home):
        _halt(home)
        shutil.rmtree(home.folder)
    make_home(home)


def _halt(home: Home) -> bool:
    server = postmaster.running(home.data_dir)
    if server:
        postmaster.halt(home.data_dir, server)
    return server is not None


def _require_same_major(home: Home, binaries: Binaries) -> None:
    if not home.data_dir.exists():
        return
    made_by = _major(home)
    if made_by != str(binaries.major):
        raise SourceError(
            f"{home.data_dir} was made by Postgres {made_by or '(unknown)'}, the programs in "
            f"{binaries.folder} are Postgres {binaries.version}: set PG_BIN to a Postgres "
            f"{made_by or 'that made it'}, or start over with `loadgen db reset`"
        )


def _initialise(home: Home, binaries: Binaries, lock: int) -> None:
    """Run initdb in a temporary folder, so that the data folder appears completely or not at all.

    initdb inherits the lock: if its caller is killed, the next caller waits for initdb.
    """
    for leftover in home.folder.glob("data.new-*"):
        shutil.rmtree(leftover)
    fresh = home.folder / f"data.new-{secrets.token_hex(4)}"
    fresh.mkdir(mode=0o700)
    password = fresh.with_name("password.new")
    write_private(password, home.password_file.read_text(encoding="utf-8"))
    home.account.own(fresh)
    home.account.own(password)
    try:
        made = home.account.run(
            [
                *(binaries.folder / "initdb", "--pgdata", fresh, "--username", USER),
                *("--pwfile", password, "--auth", "scram-sha-256"),
                *("--encoding", "UTF8", "--no-locale"),
            ],
            home.folder,
            pass_fds=(lock,),
        )
    finally:
        password.unlink()
    if made.returncode != 0:
        raise SourceError(f"initdb failed: {postmaster.failure_cause(made.stderr)}")
    _write_settings(home, binaries, fresh)
    fresh.rename(home.data_dir)


def _write_settings(home: Home, binaries: Binaries, data_dir: Path) -> None:
    known = home.account.run([binaries.folder / "postgres", "--describe-config"], Path("/")).stdout
    plugins = {_PLUGIN_SETTING: _PLUGINS} if f"{_PLUGIN_SETTING}\t" in known else {}
    lines = [f"{name} = '{setting}'\n" for name, setting in (_SETTINGS | plugins).items()]
    with (data_dir / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.writelines(["\n# SimplyLoad Playground\n", *lines])


def _launch(home: Home, binaries: Binaries, port: int, options: Mapping[str, str]) -> Postmaster:
    # Loopback TCP only: the path of a Unix socket could exceed its limit of 107 bytes.
    fixed = {"listen_addresses": HOST, "unix_socket_directories": ""}
    if home.log.exists():
        home.log.replace(home.log.with_suffix(".log.1"))
    last_port = home.folder / "port"
    preferred = [int(last_port.read_text(encoding="utf-8"))] if last_port.exists() else []
    for candidate in (*preferred, *range(port, port + _PORTS_TRIED)):
        if listen_error(HOST, candidate):
            continue
        chosen = {**options, **fixed, "port": str(candidate)}
        flags = [flag for name, setting in chosen.items() for flag in ("-c", f"{name}={setting}")]
        program = binaries.folder / "postgres"
        server = postmaster.launch(program, home.data_dir, home.log, home.account, flags)
        if server:
            write_private(last_port, str(server.port))
            return server
    raise SourceError(
        f"no port from {port} to {port + _PORTS_TRIED - 1} on {HOST} is free for Postgres: free one"
    )


def _make_database(home: Home, running: RunningServer, database: str) -> None:
    maintenance = embedded_dsn(_password(home), running.port, "postgres")
    with connect(maintenance) as conn:
        query = statements("loadgen.source", "server.sql")["has_database"]
        if conn.execute(query, {"name": database}).fetchone() != (True,):
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))


def _describe(home: Home, server: Postmaster) -> RunningServer:
    return RunningServer(
        dsn=embedded_dsn(_password(home), server.port, DATABASE),
        data_dir=home.data_dir,
        log=home.log,
        port=server.port,
        version=_major(home),
        pid=server.pid,
    )


def _password(home: Home) -> str:
    return home.password_file.read_text(encoding="utf-8")


def _major(home: Home) -> str:
    try:
        return (home.data_dir / "PG_VERSION").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


@contextmanager
def _plain_os_errors(doing: str) -> Iterator[None]:
    """Turn errors of the operating system into a SourceError that names the file."""
    try:
        yield
    except OSError as exc:
        where = f" ({exc.filename})" if exc.filename else ""
        raise SourceError(
            f"{doing}: {exc.strerror or exc}{where}: correct that, or set DATABASE_URL"
        ) from exc
