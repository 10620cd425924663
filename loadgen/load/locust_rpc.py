"""The two ends of the sockets between Locust's master and its workers.

Locust takes whoever connects for a worker, and a frame that it can't decode ends its listener, and
with it the run. Here the master's runner only hears of workers that have proved the token (so that
what Locust counts, shows and waits for are admitted workers), and what can't be decoded is dropped.
A worker that is unknown is sent a nonce; its next frame has to be the proof.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import atexit
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import gevent
from locust.exception import RPCError
from locust.rpc import Message, zmqrpc

from loadgen.config.settings import load_settings
from loadgen.errors import PlaygroundError, SettingsError, one_line
from loadgen.load.worker_token import (
    is_proof,
    proof,
    remove_token_file,
    require_worker_token,
    token_of_master,
    tokens_of_worker,
    write_token_file,
)

logger = logging.getLogger(__name__)

Fail = Callable[[PlaygroundError], NoReturn]

CHALLENGE: Final = "loadgen_challenge"  # the master's: data is a nonce
PROOF: Final = "loadgen_proof"  # a worker's: data is a list of proofs
REFUSED: Final = "loadgen_refused"  # the master's: a worker has no right proof
_MOST_CHALLENGED: Final = 256  # strangers may connect without end
_ANSWER_SECONDS: Final = 4.0  # a worker asks again after five
_NO_LOCUSTFILE: Final = "this master hands out no locustfile: start the worker with its own"


def _raise(exc: PlaygroundError) -> NoReturn:
    raise exc


fail: Fail = _raise  # ends this process with an error; set by `locust_patches.patch_workers`


class Notices:
    """Says each kind of trouble once: who causes it may do so without end."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, kind: str, text: str) -> None:
        """Log a warning if it is the first of its kind."""
        if kind not in self._said:
            self._said.add(kind)
            logger.warning("%s (said once)", text)


@dataclass(slots=True)
class _Challenge:
    """What somebody unknown was asked, and the wish to be taken that it came with."""

    nonce: str = field(default_factory=lambda: secrets.token_hex(32))
    since: float = field(default_factory=time.monotonic)
    wish: Message | None = None


class GuardedServer(zmqrpc.Server):
    """The master's end: hands on messages of admitted workers, and nothing else."""

    def __init__(self, host: str, port: int) -> None:
        try:
            settings = load_settings()
            require_worker_token(settings, host)
        except PlaygroundError as exc:
            fail(exc)
        super().__init__(host, port)  # type: ignore[no-untyped-call]  # Locust's, not ours
        self._token = token_of_master(settings)
        self._admitted: set[str] = set()
        self._challenged: dict[str, _Challenge] = {}  # by a worker's name
        self._notices = Notices()
        try:
            path = write_token_file(self._token, self.port)
            atexit.register(remove_token_file, path, self._token)
        except OSError as exc:
            if settings.loadgen_worker_token is None:
                logger.warning(
                    "Can't write %s (%s): workers that are started apart from this process need "
                    "LOADGEN_WORKER_TOKEN, here and there",
                    exc.filename,
                    exc.strerror,
                )

    def recv_from_client(self) -> tuple[str, Message]:
        """Wait for the next message of an admitted worker."""
        while True:
            try:
                name, message = super().recv_from_client()  # type: ignore[no-untyped-call]
            except RPCError:  # the socket itself is broken: Locust makes another one
                raise
            except Exception as exc:  # noqa: BLE001 - whatever a stranger's bytes lead to
                self._drop(f"A frame that is no message was dropped ({_told(exc)})")
                continue
            if name not in self._admitted:
                wish = self._admit(name, message)
                if wish is not None:
                    return name, wish
            elif message.node_id != name:
                self._drop("A worker's message in another one's name was dropped")
            elif message.type != PROOF:
                return name, message

    def _admit(self, name: str, message: Message) -> Message | None:
        """Answer somebody unknown; return its wish to be taken once it has proved the token."""
        gevent.sleep(0)  # a flood leaves the others their turn
        if message.type == PROOF:
            challenge = self._challenged.pop(name, None)
            if challenge is None:  # it answers twice
                return None
            if is_proof(message.data, self._token, challenge.nonce, name):
                self._admitted.add(name)
                return challenge.wish
            self._notices.say("refused", f"{_shown(name)} has another token: it was not admitted")
            self._send(name, REFUSED, None)
        elif message.type == "locustfile":
            self._send(name, "locustfile", {"error": _NO_LOCUSTFILE})
        else:
            self._challenge(name, message)
        return None

    def _challenge(self, name: str, message: Message) -> None:
        """Send a nonce, the same one until it is answered: a worker may ask several times."""
        if name not in self._challenged:
            if len(self._challenged) >= _MOST_CHALLENGED:
                self._challenged.pop(next(iter(self._challenged)))
            self._challenged[name] = _Challenge()
        challenge = self._challenged[name]
        if message.type == "client_ready" and message.node_id == name:
            challenge.wish = message
        if time.monotonic() - challenge.since > _ANSWER_SECONDS:
            self._notices.say("silent", f"{_shown(name)} proves no token: it was not admitted")
        self._send(name, CHALLENGE, challenge.nonce)

    def _send(self, name: str, kind: str, data: object) -> None:
        self.send_to_client(Message(kind, data, name))  # type: ignore[no-untyped-call]

    def _drop(self, text: str) -> None:
        self._notices.say(
            text.partition("(")[0], f"{text}: who uses port {self.port} beside the workers?"
        )
        gevent.sleep(0)


class ProvingClient(zmqrpc.Client):
    """A worker's end: proves the token whenever the master asks."""

    def __init__(self, host: str, port: int, identity: str) -> None:
        super().__init__(host, port, identity)  # type: ignore[no-untyped-call]  # Locust's
        self._host, self._port, self._name = host, port, identity
        self._notices = Notices()

    def recv(self) -> Message:
        """Wait for the master's next message that is Locust's or the run's."""
        while True:
            try:
                message: Message = super().recv()  # type: ignore[no-untyped-call]
            except RPCError:  # Locust asks again at once, while another greenlet opens a new socket
                gevent.sleep(0.1)
                raise
            except Exception as exc:  # noqa: BLE001 - as above
                text = f"A frame that is no message was dropped ({_told(exc)})"
                self._notices.say("frame", f"{text}: who else listens on port {self._port}?")
                continue
            if message.type == CHALLENGE:
                self._prove(str(message.data))
            elif message.type == REFUSED:
                fail(
                    SettingsError(
                        f"the master at {self._host}:{self._port} does not know this worker: set "
                        "LOADGEN_WORKER_TOKEN to the same text for both, or start the worker as "
                        "the master's user in the master's folder"
                    )
                )
            else:
                return message

    def _prove(self, nonce: str) -> None:
        try:
            tokens = tokens_of_worker(load_settings(), self._port)
        except PlaygroundError as exc:
            fail(exc)
        proofs: Any = [proof(token, nonce, self._name) for token in tokens]
        self.send(Message(PROOF, proofs, self._name))  # type: ignore[no-untyped-call]


def _told(exc: Exception) -> str:
    return f"{type(exc).__name__}: {one_line(exc, 200)}"


def _shown(name: str) -> str:
    """Return a name that a stranger has chosen as it may stand in a log."""
    return repr(name[:80])
