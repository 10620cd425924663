"""`loadgen db`, as a person uses it: the embedded server, and the one at DATABASE_URL."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loadgen.commands import db
from loadgen.errors import PlaygroundError, SourceError
from loadgen.source.embedded import server
from loadgen.source.postgres import connect

if TYPE_CHECKING:
    from tests.conftest import RunLoadgen

Db = Callable[..., int]


@pytest.fixture
def run_db(project: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> Db:
    """Return a runner of `loadgen db ARGUMENTS…` in the test's project, with clean settings."""
    monkeypatch.chdir(project)
    for name in ("DATABASE_URL", "PG_BIN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(server, "PREFERRED_PORT", free_port)

    def run(*arguments: str) -> int:
        parser = argparse.ArgumentParser()
        db.add_parser(parser.add_subparsers())
        return db.run(parser.parse_args(["db", *arguments]))

    return run


def test_up_status_dsn_down(run_db: Db, free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole life; passwords are shown by `dsn` only, which is for programs."""
    assert run_db("status") == 1
    assert "not running" in capsys.readouterr().out
    assert run_db("up") == 0
    said = capsys.readouterr().out
    assert f"playground:***@127.0.0.1:{free_port}/playground" in said
    assert "server.log" in said
    assert run_db("dsn") == 0
    with connect(capsys.readouterr().out.strip()) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    assert run_db("status") == 0
    assert run_db("down") == 0
    assert "stopped" in capsys.readouterr().out
    assert run_db("down") == 0
    assert "was not running" in capsys.readouterr().out
    with pytest.raises(SourceError, match="loadgen db up"):
        run_db("dsn")


def test_json_has_one_shape(run_db: Db, free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Up and status report the same keys, running or not."""
    assert run_db("status", "--json") == 1
    stopped = json.loads(capsys.readouterr().out)
    assert run_db("up", "--json") == 0
    started = json.loads(capsys.readouterr().out)
    assert stopped.keys() == started.keys()
    assert (stopped["running"], started["running"]) == (False, True)
    assert started["port"] == free_port
    assert started["embedded"] is True
    assert ":***@" in started["dsn"]


def test_reset_asks_first(
    run_db: Db, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reset needs a yes: typed in a terminal, or given as --yes without a terminal."""
    run_db("up")
    running = server.status(project)
    with pytest.raises(PlaygroundError, match="--yes"):
        run_db("reset")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    for answer in ("", "no"):
        monkeypatch.setattr("builtins.input", lambda _, said=answer: said)
        assert run_db("reset") == 1
    assert server.status(project) == running
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    assert run_db("reset") == 0
    assert server.status(project) is None
    assert run_db("reset", "--yes") == 0
    assert "starts with an empty one" in capsys.readouterr().out


def test_reset_takes_the_end_of_input_for_no(run_db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-D is no yes."""

    def end_of_input(_: str) -> str:
        raise EOFError

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", end_of_input)
    assert run_db("reset") == 1


def test_database_url_is_checked_not_started(
    run_db: Db,
    project: Path,
    each_database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With DATABASE_URL, up and status look at that server; nothing embedded is started."""
    monkeypatch.setenv("DATABASE_URL", each_database)
    for action in ("up", "status"):
        assert run_db(action, "--json") == 0
        said = json.loads(capsys.readouterr().out)
        assert said["embedded"] is False
        assert said["running"] is True
    assert run_db("up") == 0
    assert "Postgres at DATABASE_URL" in capsys.readouterr().out
    monkeypatch.delenv("DATABASE_URL")
    assert server.status(project) is None


@pytest.mark.parametrize("arguments", [("down",), ("reset", "--yes")])
def test_database_url_is_never_stopped(
    run_db: Db, database: str, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """A foreign server is not ours to stop or to empty."""
    monkeypatch.setenv("DATABASE_URL", database)
    with pytest.raises(SourceError, match="unset DATABASE_URL") as caught:
        run_db(*arguments)
    assert caught.value.exit_code == 2
    assert database.rpartition("@")[0] not in str(caught.value)


def test_an_unfit_database_url_is_said(
    run_db: Db, project: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`db up` finds a database that can't carry the playground."""
    info = server.start(project, port=free_port, options={"wal_level": "replica"})
    monkeypatch.setenv("DATABASE_URL", info.dsn)
    with pytest.raises(SourceError, match="wal_level"):
        run_db("up")


def test_typed_in_a_shell(run_loadgen: "RunLoadgen", project: Path) -> None:
    """The commands as a person types them, twice in a row, in a folder with blanks and unicode."""
    for _ in range(2):
        up = run_loadgen("db", "up")
        assert (up.returncode, up.stderr) == (0, "")
        assert "is ready" in up.stdout
    assert run_loadgen("db", "reset").returncode == 2
    assert run_loadgen("db", "down").returncode == 0
    assert run_loadgen("db", "status").returncode == 1
    assert run_loadgen("db", "reset", "--yes").returncode == 0
    assert server.status(project) is None


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"PG_BIN": "/nonexistent"}, "PG_BIN=/nonexistent"),
        ({"DATABASE_URL": "mysql://u:s3cret@h/d"}, "mysql://"),
        ({"DATABASE_URL": "postgresql://u:s3cret@127.0.0.1:1/d"}, "127.0.0.1:1"),
        ({"DATABASE_URL": "postgresql://u:a/s3cret@h/d"}, "DATABASE_URL"),
    ],
)
def test_bad_settings_are_one_line(
    run_loadgen: "RunLoadgen", project: Path, env: dict[str, str], named: str
) -> None:
    """Exit code 2, one line that names the setting or the place, no password, nothing made."""
    ended = run_loadgen("db", "up", env=env)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert named in ended.stderr
    assert "s3cret" not in ended.stderr + ended.stdout
    assert server.status(project) is None
