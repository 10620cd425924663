"""The folder of a project's embedded server, and the lock for starting and stopping it.

An ordinary user's server lives in the project's .loadgen folder. Root's lives in a system folder
named by a hash of the project's path, since the account `nobody` can't read root's folders. The
project then keeps a pointer file with an id, so that a copied, moved or replaced project never uses
another project's data.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadgen.errors import RecordError, SourceError
from loadgen.record.files import lock_within
from loadgen.source.embedded.account import SystemAccount, server_account
from loadgen.untrusted import read_json

SYSTEM_FOLDER: Final = Path("/var/lib/simplyload-playground")
LOCK_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one project's server."""

    project: Path
    folder: Path
    account: SystemAccount

    @property
    def data_dir(self) -> Path:
        """Postgres' data folder; it gets this name when initdb is complete."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "server.log"

    @property
    def password_file(self) -> Path:
        """The superuser's password, readable only for the caller."""
        return self.folder / "password"

    @property
    def pointer(self) -> Path:
        """The project's file that names its server's folder."""
        return self.project / ".loadgen" / "server.json"

    @property
    def claim(self) -> Path:
        """The counterpart of the pointer, in the server's folder."""
        return self.folder / "project.json"


def home_of(project: Path) -> Home:
    """Return the folder of the server of `project`, whether it exists or not."""
    account = server_account()
    project = project.resolve()
    if not account.switch:
        return Home(project, project / ".loadgen" / "postgres", account)
    name = hashlib.sha256(os.fsencode(project)).hexdigest()[:16]
    return Home(project, SYSTEM_FOLDER / name, account)


def belongs(home: Home) -> bool:
    """Return whether the home's folder was made for this project."""
    return not home.account.switch or _same_note(home.pointer, home.claim)


def former_home(home: Home) -> Home | None:
    """Return the home that this project had before its folder was moved."""
    note = _read_note(home.pointer)
    if not home.account.switch or home.folder.exists() or not note.get("project"):
        return None
    former = home_of(Path(note["project"]))
    moved = _same_note(home.pointer, former.claim) and not belongs(former)
    return former if moved else None


def make_home(home: Home) -> None:
    """Make the missing ones of folders, password and pointer."""
    home.folder.mkdir(parents=True, exist_ok=True)
    if home.account.switch:
        # Accessible for the server's account, whatever root's umask.
        home.folder.parent.chmod(0o755)
        home.folder.chmod(0o755)
    else:
        home.folder.chmod(0o700)
    if home.data_dir.exists() and not home.password_file.exists():
        raise SourceError(
            f"{home.password_file} is gone, and without it {home.data_dir} allows no login: "
            "put it back, or start over with `loadgen db reset`"
        )
    if not home.password_file.exists():
        write_private(home.password_file, secrets.token_urlsafe(24))
    if home.account.switch and not (
        belongs(home) and _read_note(home.pointer).get("project") == str(home.project)
    ):
        note = {"id": secrets.token_hex(16), "project": str(home.project)}
        text = json.dumps(note | {"folder": str(home.folder)}, indent=2) + "\n"
        write_private(home.claim, text)
        write_private(home.pointer, text)
        _give_to_project(home, home.pointer)


@contextmanager
def locked(home: Home) -> Iterator[int]:
    """Hold the project's lock; yields its descriptor, which a child process can inherit."""
    path = home.pointer.with_name("server.lock")
    try:
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        _give_to_project(home, path.parent, path)
    except OSError as exc:
        raise SourceError(
            f"can't write {path}: {exc.strerror}: run in a folder that you may write to, or set "
            "DATABASE_URL"
        ) from exc
    try:
        if not lock_within(descriptor, LOCK_SECONDS):
            raise SourceError(
                f"another process has been starting or stopping the server for "
                f"{LOCK_SECONDS:.0f} s and holds {path}: end it and try again"
            )
        yield descriptor
    finally:
        os.close(descriptor)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, completely or not at all."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    unfinished.rename(path)


def _same_note(pointer: Path, claim: Path) -> bool:
    note_id = _read_note(pointer).get("id")
    return note_id is not None and note_id == _read_note(claim).get("id")


def _read_note(path: Path) -> dict[str, str]:
    try:
        note = read_json(path, "")
    except (RecordError, FileNotFoundError):
        return {}
    return {str(k): str(v) for k, v in note.items()} if isinstance(note, dict) else {}


def _give_to_project(home: Home, *paths: Path) -> None:
    """Give files that root makes in a project to the project's owner."""
    if home.account.switch:
        owner = home.project.stat()
        for path in paths:
            os.chown(path, owner.st_uid, owner.st_gid)
