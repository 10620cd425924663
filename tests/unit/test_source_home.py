"""The place of a project's server, and that projects never get into each other's way."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from loadgen.errors import SourceError
from loadgen.source.embedded import home
from loadgen.source.embedded.account import SystemAccount, server_account
from loadgen.source.embedded.home import Home, belongs, former_home, home_of, locked, make_home


@pytest.fixture
def as_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let homes be made as for root, in a system folder of the test's own."""
    ourselves = SystemAccount("me", os.geteuid(), os.getegid(), switch=True)
    monkeypatch.setattr(home, "server_account", lambda: ourselves)
    monkeypatch.setattr(home, "SYSTEM_FOLDER", tmp_path / "system")


def settled(project: Path) -> Home:
    """Make a project folder and its home."""
    project.mkdir(exist_ok=True)
    found = home_of(project)
    with locked(found):
        make_home(found)
    return found


def mode(path: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_ordinary_user_lives_in_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is below .loadgen, closed to others, and belongs by being there."""
    ourselves = SystemAccount("me", os.geteuid(), os.getegid(), switch=False)
    monkeypatch.setattr(home, "server_account", lambda: ourselves)
    found = settled(tmp_path / "p")
    assert found.folder == tmp_path / "p" / ".loadgen" / "postgres"
    assert mode(found.folder) == 0o700
    assert mode(found.password_file) == 0o600
    assert belongs(found)
    assert former_home(found) is None


@pytest.mark.usefixtures("as_root")
def test_root_lives_in_a_system_folder(tmp_path: Path) -> None:
    """Named by a hash of the path, passable whatever the umask, with a pointer in the project."""
    previous = os.umask(0o077)
    try:
        found = settled(tmp_path / "p")
    finally:
        os.umask(previous)
    assert found.folder.parent == tmp_path / "system"
    assert mode(found.folder) == mode(found.folder.parent) == 0o755
    assert mode(found.password_file) == 0o600
    assert str(found.folder) in found.pointer.read_text()
    assert belongs(found)


@pytest.mark.usefixtures("as_root")
def test_the_same_project_keeps_its_home(tmp_path: Path) -> None:
    """Making a home again changes neither password nor pointer."""
    first = settled(tmp_path / "p")
    before = (first.password_file.read_text(), first.pointer.read_text())
    again = settled(tmp_path / "p")
    assert again == first
    assert (again.password_file.read_text(), again.pointer.read_text()) == before


@pytest.mark.usefixtures("as_root")
def test_a_copied_project_gets_a_home_of_its_own(tmp_path: Path) -> None:
    """The copy includes the pointer, but the original still claims the home that it points to."""
    original = settled(tmp_path / "p")
    shutil.copytree(tmp_path / "p", tmp_path / "copy")
    copy = home_of(tmp_path / "copy")
    assert copy.folder != original.folder
    assert former_home(copy) is None
    make_home(copy)
    assert belongs(copy)
    assert belongs(original)


@pytest.mark.usefixtures("as_root")
def test_a_moved_project_finds_its_former_home(tmp_path: Path) -> None:
    """No project is left at the place in the pointer, so the home may follow."""
    original = settled(tmp_path / "p")
    (tmp_path / "p").rename(tmp_path / "moved")
    moved = home_of(tmp_path / "moved")
    assert former_home(moved) == original
    original.folder.rename(moved.folder)
    make_home(moved)
    assert belongs(moved)
    assert former_home(home_of(tmp_path / "moved")) is None


@pytest.mark.usefixtures("as_root")
def test_a_new_project_at_an_old_place_does_not_own_its_home(tmp_path: Path) -> None:
    """After `rm -rf` and a fresh clone, the data of the project that was there is not taken on."""
    found = settled(tmp_path / "p")
    shutil.rmtree(tmp_path / "p")
    (tmp_path / "p").mkdir()
    assert not belongs(home_of(tmp_path / "p"))
    assert home_of(tmp_path / "p") == found


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("text", ["", "[]", "{", '{"id": 7}', '"id"'])
def test_a_spoilt_pointer_claims_nothing(tmp_path: Path, text: str) -> None:
    """Whatever is in the pointer, only the home's own id makes it the project's."""
    found = settled(tmp_path / "p")
    found.pointer.write_text(text)
    assert not belongs(found)
    assert former_home(found) is None


def test_a_lost_password_is_said(tmp_path: Path) -> None:
    """Data whose password is gone is of no use: the way out is named, nothing is overwritten."""
    found = Home(
        tmp_path, tmp_path / "h", SystemAccount("me", os.geteuid(), os.getegid(), switch=False)
    )
    found.data_dir.mkdir(parents=True)
    with pytest.raises(SourceError, match="loadgen db reset"):
        make_home(found)
    assert not found.password_file.exists()


def test_one_caller_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that can't get the lock in time learns who holds it; after release it is free."""
    monkeypatch.setattr(home, "LOCK_SECONDS", 0.0)
    found = home_of(tmp_path)
    with locked(found), pytest.raises(SourceError, match=r"holds .*server\.lock"), locked(found):
        pass
    with locked(found) as descriptor:
        assert os.fstat(descriptor)


def test_a_project_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A folder in which no file can be made is refused with its name."""
    (tmp_path / ".loadgen").write_text("in the way")
    with pytest.raises(SourceError, match=r"can't write .*\.loadgen"), locked(home_of(tmp_path)):
        pass


def test_root_without_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root needs an account to run the server under."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(SourceError, match="no user 'no-such-user'"):
        server_account("no-such-user")


def test_ordinary_users_run_it_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """No account is switched if Postgres accepts the user who runs it."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not server_account().switch
