"""The embedded server's life: the promises of start, stop, status and reset."""

import os
import shutil
import socket
import stat
from pathlib import Path

import pytest

from loadgen.config.settings import load_settings
from loadgen.errors import SourceError
from loadgen.source.embedded import server
from loadgen.source.embedded.home import home_of
from loadgen.source.embedded.server import source_dsn
from loadgen.source.postgres import connect

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def scalar(dsn: str, query: str) -> object:
    """Return the one value that `query` gives."""
    with connect(dsn) as conn:
        row = conn.execute(query.encode()).fetchone()
    assert row
    return row[0]


def test_start_serves_logical_replication_on_loopback_only(project: Path, free_port: int) -> None:
    """The settings that the playground needs are on, and so is fsync: its WAL is real."""
    info = server.start(project, port=free_port)
    assert info.port == free_port
    settings = {
        "wal_level": "logical",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "on",
        "password_encryption": "scram-sha-256",
        "server_encoding": "UTF8",
    }
    for name, value in settings.items():
        assert scalar(info.dsn, f"SELECT current_setting('{name}')") == value
    assert int(str(scalar(info.dsn, "SELECT current_setting('max_replication_slots')"))) >= 10
    assert scalar(info.dsn, "SELECT current_database()") == "playground"


def test_the_password_is_needed_and_kept_private(project: Path, free_port: int) -> None:
    """Access needs the password; only its owner can read it, and the log; it shows in no repr."""
    info = server.start(project, port=free_port)
    password = home_of(project).password_file
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert stat.S_IMODE(info.log.stat().st_mode) == 0o600
    assert password.read_text() not in repr(info)
    with pytest.raises(SourceError, match="wrong password"):
        connect(info.dsn.replace(password.read_text(), "guess"))


def test_starting_twice_is_one_server(project: Path, free_port: int) -> None:
    """A second start returns the running server as it is."""
    assert server.start(project, port=free_port) == server.start(project, port=free_port)


def test_data_and_port_outlive_a_stop(project: Path, free_port: int) -> None:
    """After stop and start the rows are there, at the same address."""
    info = server.start(project, port=free_port)
    with connect(info.dsn) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 7 AS n")
    assert server.stop(project)
    assert server.status(project) is None
    again = server.start(project, port=free_port + 1)
    assert again.dsn == info.dsn
    assert scalar(again.dsn, "SELECT n FROM kept") == 7


def test_stop_of_what_does_not_run(project: Path) -> None:
    """Without a server, stop returns false and makes nothing."""
    assert not server.stop(project)
    assert not (project / ".loadgen").exists()


def test_status_only_looks(project: Path, free_port: int) -> None:
    """It tells what start told, and without a server makes nothing."""
    assert server.status(project) is None
    assert not (project / ".loadgen").exists()
    info = server.start(project, port=free_port)
    assert server.status(project) == info


def test_reset_begins_anew(project: Path, free_port: int) -> None:
    """Data, password and log are gone, the server too; the next start is a new one."""
    info = server.start(project, port=free_port)
    server.reset(project)
    assert not home_of(project).folder.exists()
    server.reset(project)
    again = server.start(project, port=free_port)
    assert again.dsn != info.dsn


def test_a_taken_port_is_passed_over(project: Path, free_port: int) -> None:
    """If another program has the requested port, the next free port is taken."""
    with socket.create_server(("127.0.0.1", free_port)):
        assert server.start(project, port=free_port).port > free_port


def test_a_port_taken_on_all_addresses_is_passed_over(project: Path, free_port: int) -> None:
    """As a database published by a container takes it."""
    with socket.create_server(("0.0.0.0", free_port)):  # noqa: S104 - the very case that is tested
        assert server.start(project, port=free_port).port > free_port


def test_a_port_taken_at_the_last_moment_is_passed_over(
    project: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a port looks free but Postgres refuses it, the next port is tried."""
    monkeypatch.setattr(server, "listen_error", lambda *_: None)
    with socket.create_server(("127.0.0.1", free_port)):
        assert server.start(project, port=free_port).port > free_port


def test_no_free_port_is_said(
    project: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no port is free, the error names the range that was tried."""
    monkeypatch.setattr(server, "listen_error", lambda *_: "in use")
    with pytest.raises(SourceError, match=f"no port from {free_port} to"):
        server.start(project, port=free_port)


def test_odd_paths(tmp_path: Path, free_port: int) -> None:
    """Quotes, dollars, blanks, unicode, and more bytes than a socket's path may have."""
    folder = tmp_path / f'it\'s $HOME "quoted" `ü` {"long" * 40}'
    folder.mkdir()
    try:
        assert scalar(server.start(folder, port=free_port).dsn, "SELECT 1") == 1
    finally:
        server.reset(folder)


def test_a_symlink_leads_to_the_same_server(project: Path, free_port: int) -> None:
    """A project has one server, by whatever path it is reached."""
    link = project.with_name("link")
    link.symlink_to(project)
    assert server.start(link, port=free_port) == server.start(project, port=free_port)


def test_data_of_another_major_version_is_refused(
    project: Path, free_port: int, debian_bin: Path
) -> None:
    """Both versions and the ways out are named; the data is left alone."""
    server.start(project, port=free_port, pg_bin=debian_bin)
    server.stop(project)
    with pytest.raises(SourceError, match=r"Postgres 15, .* Postgres 18.*loadgen db reset"):
        server.start(project, port=free_port)
    assert server.start(project, port=free_port, pg_bin=debian_bin).version == "15"


def test_wrong_pg_bin_is_refused(project: Path, free_port: int) -> None:
    """A folder without programs starts nothing."""
    with pytest.raises(SourceError, match="PG_BIN="):
        server.start(project, port=free_port, pg_bin=project)
    assert server.status(project) is None


def test_plugins_are_listed_where_the_setting_exists(project: Path, free_port: int) -> None:
    """New minor releases refuse decoding plugins that are not listed."""
    info = server.start(project, port=free_port)
    with connect(info.dsn) as conn:
        row = conn.execute(
            "SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries'"
        ).fetchone()
    assert row is None or "wal2json" in row[0]


def test_a_server_that_cannot_start_says_why(project: Path, free_port: int) -> None:
    """The server's last messages are passed on, with the log's place."""
    with pytest.raises(SourceError, match=r"did not start: .*no_such_setting.*server\.log"):
        server.start(project, port=free_port, options={"no_such_setting": "1"})


def test_initdb_that_fails_says_why(
    project: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message of initdb is passed on, and no half-made data folder is left behind as data."""
    monkeypatch.setattr(server, "USER", "pg_not_allowed")
    with pytest.raises(SourceError, match=r"initdb failed: .*pg_not_allowed"):
        server.start(project, port=free_port)
    assert not home_of(project).data_dir.exists()


def test_what_the_system_refuses_is_said(project: Path, free_port: int) -> None:
    """A failing file operation becomes one line that names the file."""
    home = home_of(project)
    home.folder.parent.mkdir(parents=True, exist_ok=True)
    home.folder.write_text("in the way")
    try:
        with pytest.raises(SourceError, match=f"starting Postgres: .*{home.folder}"):
            server.start(project, port=free_port)
    finally:
        home.folder.unlink()


@needs_root
def test_a_fresh_clone_at_an_old_place_starts_empty(project: Path, free_port: int) -> None:
    """The server of a project that was removed is ended, and its data not taken on."""
    old = server.start(project, port=free_port)
    shutil.rmtree(project)
    project.mkdir()
    assert server.status(project) is None
    new = server.start(project, port=free_port)
    assert new.dsn != old.dsn
    # A zombie that has not been waited for yet has ended too: it has no command line.
    command = Path(f"/proc/{old.pid}/cmdline")
    assert not command.exists() or command.read_bytes() == b""


@needs_root
def test_a_moved_project_keeps_its_data(project: Path, free_port: int) -> None:
    """Its server is ended at the old place and runs again at the new one."""
    with connect(server.start(project, port=free_port).dsn) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 7 AS n")
    moved = project.with_name("moved")
    project.rename(moved)
    try:
        assert scalar(server.start(moved, port=free_port).dsn, "SELECT n FROM kept") == 7
    finally:
        server.reset(moved)
        project.mkdir()


@needs_root
def test_a_copied_project_has_a_server_of_its_own(project: Path, free_port: int) -> None:
    """Original and copy run side by side and know nothing of each other."""
    original = server.start(project, port=free_port)
    copy = project.with_name("copy")
    shutil.copytree(project, copy)
    try:
        other = server.start(copy, port=free_port)
        assert other.port != original.port
        assert other.data_dir != original.data_dir
        assert server.status(project) == original
    finally:
        server.reset(copy)
    assert server.status(project) == original


def test_source_dsn_prefers_database_url(project: Path) -> None:
    """With DATABASE_URL no server is looked for, let alone started."""
    settings = load_settings({"database_url": "postgresql://u:p@h/d"})
    assert source_dsn(settings, project=project) == "postgresql://u:p@h/d"
    assert server.status(project) is None


def test_source_dsn_is_that_of_the_running_embedded_server(
    project: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without DATABASE_URL and without a server, the error says how to start it."""
    monkeypatch.chdir(project)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    settings = load_settings()
    with pytest.raises(SourceError, match="loadgen db up"):
        source_dsn(settings)
    started = server.start(project, port=free_port).dsn
    assert source_dsn(settings) == started
