"""The token by which a master knows its workers, and where each of them finds it.

It is LOADGEN_WORKER_TOKEN, or one that this process makes when it is loaded: the workers that
Locust forks have it too. The master also writes it to a file of the project's folder that only its
own user may read, for a plain `locust --worker` beside it. A worker never sends it: it sends an
HMAC over the master's nonce and its own name.
"""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from loadgen.config.settings import Settings
from loadgen.errors import SettingsError
from loadgen.source.embedded.home import write_private
from loadgen.web_access import is_loopback

_FOLDER: Final = Path(".loadgen")
_made: Final = secrets.token_urlsafe(32)


def require_worker_token(settings: Settings, host: str) -> None:
    """Refuse an address that other machines can reach if no token of theirs is set.

    A file's token could admit none of them. Raises SettingsError.
    """
    if settings.loadgen_worker_token is None and not is_loopback(host.strip("[]")):
        raise SettingsError(
            f"--master-bind-host is {host!r}: set LOADGEN_WORKER_TOKEN to a long random text here "
            "and on the workers' hosts, or leave --master-bind-host away for workers of this "
            "machine"
        )


def token_of_master(settings: Settings) -> str:
    """Return what workers have to prove to this process."""
    return _given(settings) or _made


def tokens_of_worker(settings: Settings, port: int) -> list[str]:
    """Return what may be the token of the master at `port`: what is set, else what is found."""
    if given := _given(settings):
        return [given]
    tokens = [_made]
    with suppress(OSError, UnicodeDecodeError):
        tokens.append(token_file(port).read_text(encoding="utf-8"))
    return tokens


def token_file(port: int) -> Path:
    """Return where the master that listens on `port` writes its token."""
    return _FOLDER.absolute() / f"worker-{port}.token"


def write_token_file(token: str, port: int) -> Path:
    """Write the token for workers of the same user on this machine. Raises OSError."""
    path = token_file(port)
    if not path.parent.exists():
        path.parent.mkdir()
        if os.geteuid() == 0:  # what root makes in a project belongs to the project's owner
            owner = path.parent.parent.stat()
            os.chown(path.parent, owner.st_uid, owner.st_gid)
    write_private(path, token)
    return path


def remove_token_file(path: Path, token: str) -> None:
    """Remove the file, unless another master has written its own by now."""
    with suppress(OSError, UnicodeDecodeError):
        if path.read_text(encoding="utf-8") == token:
            path.unlink()


def proof(token: str, nonce: str, worker: str) -> str:
    """Return what shows that the worker of that name has the token, and lets nobody learn it."""
    message = f"{nonce} {worker}".encode()
    return hmac.new(token.encode(), message, hashlib.sha256).hexdigest()


def is_proof(given: object, token: str, nonce: str, worker: str) -> bool:
    """Tell whether one of the proofs that a worker has sent is right."""
    if not isinstance(given, list):
        return False
    right = proof(token, nonce, worker).encode()
    sent = [one.encode("utf-8", "replace") for one in given[:2] if isinstance(one, str)]
    return any(hmac.compare_digest(one, right) for one in sent)


def _given(settings: Settings) -> str | None:
    token = settings.loadgen_worker_token
    return None if token is None else token.get_secret_value()
