"""The token by which a master knows its workers, and the ways to find it.

It is LOADGEN_WORKER_TOKEN, or one that this process makes when it is loaded, so that the workers
that Locust forks have it too. The master also writes it to a file of the project's folder that only
its user may read, for a plain `locust --worker` on the same machine. A worker never sends it: it
sends an HMAC over the master's nonce and its own name.
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
_own: Final = secrets.token_urlsafe(32)


def require_worker_token(settings: Settings, host: str) -> None:
    """Refuse an address that other machines can reach if no token of theirs is set.

    A token in a file could admit none. Raises SettingsError.
    """
    if settings.loadgen_worker_token is None and not is_loopback(host.strip("[]")):
        raise SettingsError(
            f"--master-bind-host is {host!r}: set LOADGEN_WORKER_TOKEN to a long random text here "
            "and on the workers' hosts, or omit --master-bind-host for workers of this machine"
        )


def token_of_master(settings: Settings) -> str:
    """Return the token that workers have to prove to this process."""
    return _configured(settings) or _own


def tokens_of_worker(settings: Settings, port: int) -> list[str]:
    """Return what may be the token of the master at `port`: the setting, else this process's."""
    if configured := _configured(settings):
        return [configured]
    tokens = [_own]
    with suppress(OSError, UnicodeDecodeError):
        tokens.append(token_file(port).read_text(encoding="utf-8"))
    return tokens


def token_file(port: int) -> Path:
    """Return the file of the token of the master that listens on `port`."""
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
    """Return the proof that the worker of that name has the token, which does not reveal it."""
    message = f"{nonce} {worker}".encode()
    return hmac.new(token.encode(), message, hashlib.sha256).hexdigest()


def is_proof(proofs: object, token: str, nonce: str, worker: str) -> bool:
    """Tell whether one of the proofs that a worker has sent is right."""
    if not isinstance(proofs, list):
        return False
    right = proof(token, nonce, worker).encode()
    texts = [text.encode("utf-8", "replace") for text in proofs[:2] if isinstance(text, str)]
    return any(hmac.compare_digest(text, right) for text in texts)


def _configured(settings: Settings) -> str | None:
    token = settings.loadgen_worker_token
    return None if token is None else token.get_secret_value()
