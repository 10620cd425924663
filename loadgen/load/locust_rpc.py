"""The two ends of the sockets between Locust's master and its workers.

Locust takes every connection for a worker, and a frame that it can't decode ends its listener, and
with it the run. Here the master's runner only sees workers that have proved the token, so that
Locust counts, shows and waits for admitted workers only; frames that can't be decoded are dropped.
An unknown worker gets a nonce; its next frame has to be the proof.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import atexit
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NoReturn

import gevent
from locust.exception import RPCError
from locust.rpc import Message, zmqrpc

from loadgen.config.settings import Settings
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

Fail = Callable[[PlaygroundError], NoReturn]  # ends this process with an error
ReadSettings = Callable[[], Settings]

CHALLENGE: Final = "loadgen_challenge"  # the master's: data is a nonce
PROOF: Final = "loadgen_proof"  # a worker's: data is a list of proofs
REFUSED: Final = "loadgen_refused"  # the master's: a worker has no right proof
_MOST_CHALLENGED: Final = 256  # strangers may connect without end
_ANSWER_SECONDS: Final = 4.0  # a worker asks again after five
_NO_LOCUSTFILE: Final = "this master hands out no locustfile: start the worker with its own"


class OnceLogger:
    """Logs each kind of trouble once: its cause may repeat it without end."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def log(self, kind: str, text: str) -> None:
        """Log a warning if it is the first of its kind."""
        if kind not in self._logged:
            self._logged.add(kind)
            logger.warning("%s (logged once)", text)


@dataclass(slots=True)
class _Challenge:
    """The nonce that an unknown worker got, and its request to be admitted."""

    nonce: str = field(default_factory=lambda: secrets.token_hex(32))
    since: float = field(default_factory=time.monotonic)
    request: Message | None = None


class GuardedServer(zmqrpc.Server):
    """The master's end: passes on messages of admitted workers only."""

    def __init__(self, host: str, port: int, *, read_settings: ReadSettings, fail: Fail) -> None:
        try:
            settings = read_settings()
            require_worker_token(settings, host)
        except PlaygroundError as exc:
            fail(exc)
        super().__init__(host, port)  # type: ignore[no-untyped-call]  # Locust's, not ours
        self._token = token_of_master(settings)
        self._admitted: set[str] = set()
        self._challenged: dict[str, _Challenge] = {}  # by a worker's name
        self._once = OnceLogger()
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
            except Exception as exc:  # noqa: BLE001 - any error that a stranger's bytes cause
                self._drop(f"A frame that is no message was dropped ({_described(exc)})")
                continue
            if name not in self._admitted:
                request = self._admit(name, message)
                if request is not None:
                    return name, request
            elif message.node_id != name:
                self._drop("A worker's message in another one's name was dropped")
            elif message.type != PROOF:
                return name, message

    def _admit(self, name: str, message: Message) -> Message | None:
        """Answer an unknown worker; return its request once it has proved the token."""
        gevent.sleep(0)  # a flood leaves the others their turn
        if message.type == PROOF:
            challenge = self._challenged.pop(name, None)
            if challenge is None:  # it answers twice
                return None
            if is_proof(message.data, self._token, challenge.nonce, name):
                self._admitted.add(name)
                return challenge.request
            self._once.log("refused", f"{_shown(name)} has another token: it was not admitted")
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
            challenge.request = message
        if time.monotonic() - challenge.since > _ANSWER_SECONDS:
            self._once.log("silent", f"{_shown(name)} proves no token: it was not admitted")
        self._send(name, CHALLENGE, challenge.nonce)

    def _send(self, name: str, kind: str, data: object) -> None:
        self.send_to_client(Message(kind, data, name))  # type: ignore[no-untyped-call]

    def _drop(self, text: str) -> None:
        self._once.log(
            text.partition("(")[0],
            f"{text}: another program than the workers may use port {self.port}",
        )
        gevent.sleep(0)


class ProvingClient(zmqrpc.Client):
    """A worker's end: proves the token whenever the master sends a nonce."""

    def __init__(
        self, host: str, port: int, identity: str, *, read_settings: ReadSettings, fail: Fail
    ) -> None:
        super().__init__(host, port, identity)  # type: ignore[no-untyped-call]  # Locust's
        self._read_settings, self._fail = read_settings, fail
        self._host, self._port, self._name = host, port, identity
        self._once = OnceLogger()

    def recv(self) -> Message:
        """Wait for the master's next message to Locust or the run."""
        while True:
            try:
                message: Message = super().recv()  # type: ignore[no-untyped-call]
            except RPCError:  # Locust tries again at once, while another greenlet opens a socket
                gevent.sleep(0.1)
                raise
            except Exception as exc:  # noqa: BLE001 - as above
                text = f"A frame that is no message was dropped ({_described(exc)})"
                self._once.log(
                    "frame", f"{text}: another program than the master may use port {self._port}"
                )
                continue
            if message.type == CHALLENGE:
                self._prove(str(message.data))
            elif message.type == REFUSED:
                self._fail(
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
            tokens = tokens_of_worker(self._read_settings(), self._port)
        except PlaygroundError as exc:
            self._fail(exc)
        proofs = [proof(token, nonce, self._name) for token in tokens]
        self.send(Message(PROOF, proofs, self._name))  # type: ignore[no-untyped-call]


def _described(exc: Exception) -> str:
    return f"{type(exc).__name__}: {one_line(exc, 200)}"


def _shown(name: str) -> str:
    """Return a name that a stranger has chosen, safe for a log."""
    return repr(name[:80])
